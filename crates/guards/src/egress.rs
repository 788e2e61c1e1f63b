//! The API's own calls to others, which leave through `portcullis egress`.
//!
//! **What it does.** The API's HTTP clients use it as their proxy (`HTTP_PROXY`, `HTTPS_PROXY`). A call passes to the
//! hosts and ports of `destinations` and nowhere else. A name is resolved once; its addresses must be public, or in the
//! destination's `networks`; the connection goes to the addresses that were checked. So neither a name that resolves
//! differently the next time (DNS rebinding), nor a redirect, which is a call of its own, nor an odd spelling of an
//! address leads inside. A host that is not on the list is not even resolved.
//!
//! A call through CONNECT is a tunnel: nothing in it is seen, so only host and port count. Calls in the clear are read.
//! With `tls`, such a call goes on over TLS with the certificate checked, so that the API can ask for
//! `http://api.partner.example/…`, and what comes back can be held to the partner's `contract`: an answer that is not
//! as described does not reach the API, and members that are not described are left out of it. An answer whose length
//! is not announced is read whole before it passes, up to `response_body` bytes; a longer one does not pass.
//!
//! **The attack.** An API that fetches what a client names is made to call the cloud's metadata, or what stands beside
//! it without a password; code that was smuggled in calls home; a partner that was broken into answers with what the
//! API believes. OWASP API7:2023, API10:2023; CWE-918, CWE-441.
//!
//! ```yaml
//! egress:
//!   listen: 127.0.0.1:3128
//!   destinations:
//!     shipping: { hosts: [api.shipping.example], tls: true, contract: shipping.yaml }
//!     mail: { hosts: ["*.mail.example"], ports: [443] }
//!     billing: { hosts: [billing.internal], ports: [9000], networks: [10.1.0.0/16] }
//! ```

mod destination;
mod host;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_engine::{
    Destinations, Engine, FailMode, Mode, Origin, Plan, Planned, Settings, Size, Stage, State,
};
use portcullis_identity::{KeyRing, KeyRingHandle, Pepper};
use portcullis_openapi::Contract;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::REGISTRY;
use crate::authenticate::{Credentials, Tokens};
use crate::compile::{Compiled, Report, compile_behind};
use crate::config::{CompileError, escape};
use crate::policies::Policies;
pub(crate) use destination::CODES;
use destination::{Rule, Toward};
use host::Pattern;

/// The name of the guard.
pub(crate) const NAME: &str = "egress";

/// Where an API may call, and what may come back.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Destination")]
pub struct DestinationConfig {
    /// Names and addresses; `*.example.com` for all names under one, `*` for every host.
    pub(crate) hosts: Vec<Pattern>,
    /// Ports. Default 80 and 443.
    pub(crate) ports: Vec<u16>,
    /// Whether CONNECT may be used, through which nothing is seen. Default: where there is no `contract`.
    pub(crate) tunnel: Option<bool>,
    /// Whether calls in the clear go on over TLS; those to port 80 then go to 443.
    pub(crate) tls: bool,
    /// Networks that are not public, and to which the hosts may lead all the same.
    #[schemars(with = "Vec<String>")]
    pub(crate) networks: Vec<IpNet>,
    /// The OpenAPI document that calls and answers are held to.
    pub contract: Option<PathBuf>,
    /// Bytes of an answer's body. Default 10 MiB.
    pub(crate) response_body: Option<Size>,
    /// Sections of guards, as in a policy. Only `validate` is on by default, where there is a `contract`.
    pub(crate) guards: Map<String, Value>,
}

/// What a forward proxy is told, beside its destinations.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// Whether refusals take effect.
    pub mode: Mode,
    /// Networks of those who may call; empty for whoever can connect.
    pub clients: Vec<IpNet>,
    /// Names that are not to be resolved, and their addresses.
    pub names: BTreeMap<String, Vec<IpAddr>>,
}

/// Compiles the policy of a forward proxy: `destinations` by name, each with its contract. Errors point into a section
/// `egress` with `destinations`.
///
/// # Errors
/// All that is wrong, each at its place.
pub fn compile_egress(
    egress: &Egress,
    destinations: &BTreeMap<String, (DestinationConfig, Option<Arc<Contract>>)>,
    settings: &Settings,
    state: &Arc<State>,
) -> Result<Compiled, Vec<CompileError>> {
    let settings = Settings { forward_proxy: true, ..settings.clone() };
    let shared = Arc::new(Shared::of(egress));
    let planned = |rule: Option<Arc<Rule>>| Planned {
        name: NAME,
        stage: Stage::Admit,
        mode: egress.mode,
        on_error: FailMode::Closed,
        guard: Box::new(Toward { rule, shared: Arc::clone(&shared) }),
    };
    let mut errors = Vec::new();
    let mut table = Table::default();
    let mut report = Report { operations: Vec::new(), unmatched: Vec::new(), warnings: Vec::new() };
    for (name, (config, contract)) in destinations {
        let place = format!("/egress/destinations/{}", escape(name));
        let at = |error: CompileError| CompileError::new(format!("{place}{}", error.pointer), error.message);
        if config.hosts.is_empty() {
            let message = "it names no host; expected names such as `api.example.com` or `*.example.com`";
            errors.push(CompileError::new(format!("{place}/hosts"), message));
            continue;
        }
        let rule = Arc::new(Rule::of(config, contract.is_some()));
        let policies = policies(config, contract.is_some(), egress.mode);
        let compiled = policies.and_then(|policies| {
            let first = || vec![planned(Some(Arc::clone(&rule)))];
            let keys = KeyRingHandle::new(KeyRing::empty(Pepper::new([0; 32])));
            compile_behind(
                &first,
                contract.clone(),
                &policies,
                settings.clone(),
                keys.into(),
                Arc::clone(state),
            )
        });
        match compiled {
            Ok(compiled) => {
                report.operations.extend(compiled.report.operations);
                report.warnings.extend(compiled.report.warnings.iter().map(|one| format!("{name}: {one}")));
                table.add(config, &rule, &compiled.engine);
            }
            Err(found) => errors.extend(found.into_iter().map(|error| {
                let guards = CompileError::new(format!("/guards{}", error.pointer), error.message);
                at(guards)
            })),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    table.sort();
    let elsewhere = Plan::new(None, portcullis_engine::Bounds::default(), vec![planned(None)]);
    let engine = Engine::builder(Arc::clone(state))
        .settings(settings)
        .unmatched(elsewhere)
        .destinations(table)
        .build();
    let nobody = Credentials::from(KeyRingHandle::new(KeyRing::empty(Pepper::new([0; 32]))));
    let tokens = Tokens::of(&BTreeMap::new(), None, false, &nobody)?;
    Ok(Compiled { engine, report, tokens })
}

/// What holds for calls to one destination: what the contract says and what its `guards` add. Guards that are about
/// clients of an API of one's own are off.
fn policies(config: &DestinationConfig, contract: bool, mode: Mode) -> Result<Policies, Vec<CompileError>> {
    let mut sections = config.guards.clone();
    for entry in REGISTRY {
        let own = match entry.name {
            "validate" if contract => json!({
                "response_status": "enforce", "response_media_type": "enforce", "response_headers": "enforce",
                "response_body": "enforce", "response_property": "strip",
            }),
            _ => json!("off"),
        };
        let section = sections.entry(entry.name).or_insert_with(|| own.clone());
        if let (Value::Object(section), Value::Object(own)) = (section, own) {
            for (key, value) in own {
                section.entry(key).or_insert(value);
            }
        }
    }
    sections.insert("policies".into(), json!([{ "public": true }]));
    let mut policies = Policies::from_value(&Value::Object(sections))?;
    policies.mode = mode;
    if let Some(most) = config.response_body {
        policies.bounds.response_body = most.bytes() as u64;
    }
    Ok(policies)
}

/// What all destinations share.
#[derive(Debug)]
pub(crate) struct Shared {
    clients: Vec<IpNet>,
    names: HashMap<Box<str>, Vec<IpAddr>>,
}

impl Shared {
    fn of(egress: &Egress) -> Self {
        let lower = |name: &String| name.trim_end_matches('.').to_ascii_lowercase().into_boxed_str();
        Shared {
            clients: egress.clients.clone(),
            names: egress.names.iter().map(|(name, found)| (lower(name), found.clone())).collect(),
        }
    }
}

/// Who judges which call.
#[derive(Debug, Default)]
struct Table {
    exact: HashMap<Box<str>, Vec<Line>>,
    /// The longest first.
    under: Vec<(Pattern, Line)>,
}

#[derive(Debug, Clone)]
struct Line {
    rule: Arc<Rule>,
    engine: Arc<Engine>,
}

impl Table {
    fn add(&mut self, config: &DestinationConfig, rule: &Arc<Rule>, engine: &Arc<Engine>) {
        for host in &config.hosts {
            let line = Line { rule: Arc::clone(rule), engine: Arc::clone(engine) };
            match host.exact() {
                Some(name) => self.exact.entry(name.into()).or_default().push(line),
                None => self.under.push((host.clone(), line)),
            }
        }
    }

    fn sort(&mut self) {
        self.under.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.precision()));
    }
}

impl Destinations for Table {
    fn engine(&self, origin: &Origin) -> Option<&Arc<Engine>> {
        let exact = self.exact.get(&origin.host).into_iter().flatten();
        let under =
            self.under.iter().filter(|(pattern, _)| pattern.holds(&origin.host)).map(|(_, line)| line);
        // Of several that name the host, the first that has the port; a call to none of their ports is refused.
        let mut lines = exact.chain(under);
        lines.find(|line| line.rule.has_port(origin)).map(|line| &line.engine)
    }
}

#[cfg(test)]
mod tests;
