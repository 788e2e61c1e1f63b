//! The section `scan`: what `portcullis scan` tests, in whose names, and how hard.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis_engine::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::written::OneOrMany;

/// What `portcullis scan` tests; the command line goes before it. Variables in it are read when a scan begins, and not when
/// the gateway starts.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "Scan")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScanWritten {
    /// Where the API is. Default: the first `upstream`.
    pub(crate) target: Option<String>,
    /// What describes the API, files or URLs; further ones add what the first does not have. Default: `contract`.
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub(crate) spec: Option<Vec<String>>,
    /// By a name of your choice: in whose names to call.
    pub(crate) identities: BTreeMap<String, IdentityWritten>,
    /// Header fields that go with every call, such as a key of the gateway.
    pub(crate) headers: BTreeMap<String, String>,
    /// Hosts beside this machine that may be scanned, or asked for tokens.
    pub(crate) allow_hosts: Vec<String>,
    /// Authorities that sign the target's certificate, PEM. Default: those of this machine.
    pub(crate) ca: Option<PathBuf>,
    /// Whether a target is scanned although its certificate does not hold.
    pub(crate) insecure: bool,
    /// Whether only reads are made.
    pub(crate) read_only: bool,
    /// Whether removals are tried as well, of what the scan itself made.
    pub(crate) destructive: bool,
    /// Most requests. Default 5000.
    pub(crate) max_requests: Option<u64>,
    /// Most time. Default 15 min.
    pub(crate) max_time: Option<Period>,
    /// Most requests in a second.
    pub(crate) rate: Option<u32>,
    /// Most requests on their way at once, where their order does not matter. Default 4.
    pub(crate) parallel: Option<usize>,
    /// Longest wait for one answer. Default 10 s.
    pub(crate) timeout: Option<Period>,
    /// What random values are made from. Default 1.
    pub(crate) seed: Option<u64>,
    /// Only these checks.
    pub(crate) checks: Vec<String>,
    /// `HOST:PORT=URL|FILE`: where the scan stands in for an upstream of the API, and whose answers it gives.
    pub(crate) stubs: Vec<String>,
    /// `HOST:PORT` at which the target reaches this machine, for blind request forgery.
    pub(crate) callback: Option<String>,
}

/// One identity. It proves itself in one way: a name and a password for the log-in that the document describes, `login`,
/// `client` or `headers`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ScanIdentity")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IdentityWritten {
    /// What it may do. Default `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<RoleWritten>,
    /// The name at the log-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// The password at the log-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// Header fields that go with every call of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    /// A log-in spelled out.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<LoginWritten>,
    /// OAuth 2.0 client credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<ClientWritten>,
}

/// What an identity may do.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RoleWritten {
    User,
    Admin,
}

/// A log-in: what is posted where, and what of the answer is the token.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ScanLogin")]
#[serde(deny_unknown_fields)]
struct LoginWritten {
    /// The path on the target.
    path: String,
    /// The method. Default `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// The body, sent as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    /// The body, sent as a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<BTreeMap<String, String>>,
    /// The JSON pointer of the token in the answer; without one it is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// The header that carries the token. Default `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    /// What stands before the token. Default `Bearer `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    /// The token against forged requests that the log-in asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    csrf: Option<CsrfWritten>,
}

/// A token against forged requests: where it is had, and where it goes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ScanCsrf")]
#[serde(deny_unknown_fields)]
struct CsrfWritten {
    /// The path on the target whose answer has the token.
    path: String,
    /// The cookie that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<String>,
    /// The member of the log-in's body that takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The header that takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4). A token is asked for anew before it runs out.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ScanClient")]
#[serde(deny_unknown_fields)]
struct ClientWritten {
    /// The token endpoint, where it is not on the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The token endpoint's path on the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The client's id.
    id: String,
    /// The client's secret.
    secret: String,
    /// The scope to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The resource to ask for (RFC 8707).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// The audience to ask for, where the server has it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
}

impl ScanWritten {
    /// Files of the section start from the configuration's folder; URLs stay.
    pub(crate) fn in_folder(mut self, folder: &std::path::Path) -> Self {
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&*ca);
        }
        for spec in self.spec.iter_mut().flatten().filter(|spec| !spec.contains("://")) {
            let file: PathBuf = folder.join(&*spec);
            *spec = file.display().to_string();
        }
        self
    }
}
