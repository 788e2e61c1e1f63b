//! Whether a call may leave, and to which addresses.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Body, BodyLength, BodyNeed, Cx, Denial, Destination, Guard, GuardError, Hooks, Lookup, LookupFailure,
    Origin, Scheme, Verdict,
};

use super::{DestinationConfig, Shared};
use crate::codes::codes;
use crate::ssrf::url::is_public;

codes! {
    DESTINATION_REFUSED = "destination-refused" 403 Api7 441 High
        "calls may not leave to there"
        attack "Code that was smuggled in calls home, or the API is made to fetch from where it never should."
        client "Call only what the operator has listed."
        operator "If the API needs it, name host and port under `egress.destinations`.";
    DESTINATION_INSIDE = "destination-inside" 403 Api7 918 High
        "the name leads to an address that is not public"
        attack "A name outside resolves to the cloud's metadata or to a server inside, perhaps only the second time."
        client "Call a public address."
        operator "If the host is one of yours, name its network under the destination's `networks`.";
    EGRESS_CLIENT = "egress-client" 403 Api8 441 Medium
        "this client may not use the proxy"
        attack "Whoever reaches a proxy calls in its name, to where it may call."
        client "Ask the operator to list your network."
        operator "Name the network under `egress.clients`.";
}

/// How long a name may take to resolve...
const RESOLVE: Duration = Duration::from_secs(5);
/// ...and how long the answer is good for other calls.
const SHARE: Duration = Duration::from_secs(10);

/// What is allowed of calls to one destination.
#[derive(Debug)]
pub(super) struct Rule {
    ports: Vec<u16>,
    tunnel: bool,
    tls: bool,
    networks: Vec<ipnet::IpNet>,
    most: u64,
}

impl Rule {
    pub(super) fn of(config: &DestinationConfig, contract: bool) -> Rule {
        Rule {
            ports: if config.ports.is_empty() { vec![80, 443] } else { config.ports.clone() },
            tunnel: config.tunnel.unwrap_or(!contract),
            tls: config.tls,
            networks: config.networks.clone(),
            most: config.response_body.map_or_else(
                || portcullis_engine::Bounds::default().response_body,
                |size| size.bytes() as u64,
            ),
        }
    }

    /// Scheme and port of the call that goes on.
    fn onward(&self, origin: &Origin) -> (Scheme, u16) {
        match (self.tls && !origin.tunnel, origin.port) {
            (true, 80) => (Scheme::Https, 443),
            (true, port) => (Scheme::Https, port),
            (false, port) => (origin.scheme, port),
        }
    }

    pub(super) fn has_port(&self, origin: &Origin) -> bool {
        self.ports.contains(&self.onward(origin).1)
    }

    fn takes(&self, address: IpAddr) -> bool {
        is_public(address) || self.networks.iter().any(|network| network.contains(&address))
    }
}

/// The guard; without a rule, of calls to where nobody said that they may go.
#[derive(Debug)]
pub(super) struct Toward {
    pub(super) rule: Option<Arc<Rule>>,
    pub(super) shared: Arc<Shared>,
}

impl Toward {
    /// What is against the call before anything is resolved.
    fn objection(&self, client: IpAddr, origin: &Origin) -> Option<Denial> {
        let clients = &self.shared.clients;
        if !clients.is_empty() && !clients.iter().any(|network| network.contains(&client)) {
            return Some(Denial::new(&EGRESS_CLIENT, format!("{client} is in none of the listed networks")));
        }
        match &self.rule {
            None => {
                let reason = format!("`{}:{}` is not on the list", origin.host, origin.port);
                Some(Denial::new(&DESTINATION_REFUSED, reason))
            }
            Some(rule) if origin.tunnel && !rule.tunnel => {
                let reason =
                    format!("no tunnel to `{}`: what goes through it could not be checked", origin.host);
                Some(Denial::new(&DESTINATION_REFUSED, reason))
            }
            Some(_) => None,
        }
    }

    /// The addresses of the host: its own, listed, or what was answered.
    fn addresses(&self, cx: &Cx<'_>, host: &str) -> Result<Vec<IpAddr>, Verdict> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![address.to_canonical()]);
        }
        if let Some(listed) = self.shared.names.get(host) {
            return Ok(listed.clone());
        }
        let key = format!("resolve:{host}");
        let Some(answer) = cx.answer(&key) else {
            return Err(Verdict::from(Lookup {
                purpose: "resolve",
                key: key.into(),
                share: Some(SHARE),
                destination: Destination::Resolve { name: host.into() },
                timeout: RESOLVE,
                max_response: 64 * 1024,
            }));
        };
        let failed = |failure: &LookupFailure| Verdict::from(failure.denial("resolve"));
        let answer = answer.as_ref().map_err(failed)?;
        let lines = std::str::from_utf8(&answer.body).unwrap_or_default().lines();
        let found: Result<Vec<IpAddr>, _> =
            lines.map(|line| line.parse().map(|ip: IpAddr| ip.to_canonical())).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            _ => Err(failed(&LookupFailure::Unreachable("the name has no address".into()))),
        }
    }
}

impl Guard for Toward {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, response_body: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some(origin) = cx.request.origin.as_deref() else {
            return Err(GuardError("the call leads nowhere".into()));
        };
        let mut objection = self.objection(cx.facts.client, origin);
        if let Some(objection) = objection.take_if(|_| cx.enforcing) {
            return Ok(objection.into());
        }
        let addresses = match self.addresses(cx, &origin.host) {
            Ok(addresses) => addresses,
            Err(verdict) => return Ok(verdict),
        };
        // One that is not public is enough: a name that leads outside and inside is no honest one.
        let inside = |address: &&IpAddr| {
            !self.rule.as_ref().map_or_else(|| is_public(**address), |rule| rule.takes(**address))
        };
        if let Some(address) = addresses.iter().find(inside) {
            let denial = Denial::new(&DESTINATION_INSIDE, format!("`{}` is {address}", origin.host));
            if cx.enforcing {
                return Ok(denial.into());
            }
            objection.get_or_insert(denial);
        }
        let onward = self.rule.as_ref().map(|rule| rule.onward(origin));
        if let Some(origin) = cx.request.origin.as_deref_mut() {
            if let Some((scheme, port)) = onward {
                (origin.scheme, origin.port) = (scheme, port);
            }
            origin.addresses = addresses;
        }
        Ok(objection.map_or(Verdict::Pass, Verdict::from))
    }

    /// An answer of a known length is cut off there by whoever reads it; one that may go on for ever is read first.
    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let most = self.rule.as_ref().map_or(u64::MAX, |rule| rule.most);
        match cx.response.as_ref().map(|head| head.body) {
            Some(BodyLength::Exact(length)) if length <= most => BodyNeed::Nothing,
            Some(BodyLength::None) | None => BodyNeed::Nothing,
            _ => BodyNeed::Bytes,
        }
    }

    fn response_body(&self, _: &mut Cx<'_>, _: &Body) -> Result<Verdict, GuardError> {
        Ok(Verdict::Pass)
    }
}
