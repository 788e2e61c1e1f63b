//! The section `egress`: what `portcullis egress` is told, made into the settings of a gateway without an API.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use portcullis_engine::Mode;
use portcullis_guards::{DestinationConfig, Egress};
use portcullis_proxy::UpstreamConfig;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Fault;
use super::checked::{ContractSource, Wrong};
use super::written::{AdminWritten, ForwardedWritten, ListenWritten, Written};

const DEFAULT_LISTEN: &str = "127.0.0.1:3128";
const DEFAULT_ADMIN: &str = "127.0.0.1:9601";
const DEFAULT_DATA: &str = ".portcullis-egress";

/// The API's own calls to others: where they may go. See the guard `egress`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Egress")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EgressWritten {
    /// Where the API's HTTP clients connect. Default `127.0.0.1:3128`.
    listen: String,
    /// Where metrics and health are read, or `off`; on this machine only. Default `127.0.0.1:9601`.
    admin: String,
    /// The folder of the event log. Default `.portcullis-egress`.
    data: PathBuf,
    /// Whether refusals take effect, or are only recorded: a way to find out where an API calls.
    mode: Mode,
    /// Networks whose clients may use it. Must be named where other machines can connect.
    #[schemars(with = "Vec<String>")]
    clients: Vec<IpNet>,
    /// Names that are not to be resolved, and their addresses.
    names: BTreeMap<String, Vec<IpAddr>>,
    /// File with the certificates (PEM) that may sign a destination's; the platform's bundle by default.
    ca: Option<PathBuf>,
    /// By a name of your choice: where calls may go.
    destinations: BTreeMap<String, DestinationConfig>,
}

impl Default for EgressWritten {
    fn default() -> Self {
        EgressWritten {
            listen: DEFAULT_LISTEN.into(),
            admin: DEFAULT_ADMIN.into(),
            data: DEFAULT_DATA.into(),
            mode: Mode::default(),
            clients: Vec::new(),
            names: BTreeMap::new(),
            ca: None,
            destinations: BTreeMap::new(),
        }
    }
}

/// The section, checked.
#[derive(Debug)]
pub(crate) struct Outward {
    pub(crate) egress: Egress,
    pub(crate) destinations: BTreeMap<String, (DestinationConfig, Option<ContractSource>)>,
}

impl Written {
    /// Takes the section's listener, admin port and folder in the place of the gateway's own, and returns the rest.
    pub(crate) fn turn_outward(&mut self, folder: &Path) -> Result<Outward, Wrong> {
        let Some(section) = self.egress.take() else {
            let fault = Fault::new("there is no section `egress`");
            let hint = "name where the API may call, as in \
                        `egress: { destinations: { mail: { hosts: [api.mail.example] } } }`";
            return Err(Wrong { pointer: "/egress".into(), fault: fault.hint(hint) });
        };
        let EgressWritten { listen, admin, data, mode, clients, names, ca, destinations } = section;
        self.listen = Some(vec![ListenWritten { address: listen, tls: None, proxy_protocol: false }]);
        self.admin = Some(AdminWritten { listen: admin, token: None });
        self.data = Some(data);
        self.contract = None;
        self.upstream = Some(UpstreamConfig { ca, ..UpstreamConfig::default() });
        self.trusted_hops = Vec::new();
        // Nobody outside is told who asked.
        self.forwarded = ForwardedWritten { x_forwarded: false, rfc7239: false, trace: false };
        let source = |file: &PathBuf| ContractSource {
            file: folder.join(file),
            options: portcullis_openapi::Options::default(),
            pinned: None,
        };
        let destinations = destinations.into_iter().map(|(name, config)| {
            let contract = config.contract.as_ref().map(source);
            (name, (config, contract))
        });
        Ok(Outward { egress: Egress { mode, clients, names }, destinations: destinations.collect() })
    }
}

impl Outward {
    /// One that others can reach must say who may use it.
    pub(crate) fn check(&self, listen: impl IntoIterator<Item = std::net::SocketAddr>) -> Result<(), Wrong> {
        let open = listen.into_iter().find(|address| !address.ip().is_loopback());
        match open.filter(|_| self.egress.clients.is_empty()) {
            None => Ok(()),
            Some(address) => {
                let what = format!("`{address}` can be reached from outside, and `clients` names nobody");
                let hint = "listen on 127.0.0.1, or name the API's networks, as in `clients: [10.0.0.0/8]`";
                Err(Wrong { pointer: "/egress/listen".into(), fault: Fault::new(what).hint(hint) })
            }
        }
    }
}
