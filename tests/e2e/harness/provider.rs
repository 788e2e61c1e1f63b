//! A real OpenID provider: npm's `oidc-provider`, started by `provider.mjs`, with hooks for faults and tokens.

use std::process::Command;
use std::time::Duration;

use portcullis_dev::cache;
use serde_json::Value;

use super::client::Client;
use super::peers::{Peer, free_address};
use super::{data, needs};

/// A running provider.
#[derive(Debug)]
pub(crate) struct Provider {
    peer: Peer,
}

impl Provider {
    /// Starts one; `None` after saying that the test is skipped and why.
    pub(crate) fn start(test: &str) -> Option<Provider> {
        let node = needs(test, "node")?;
        let modules = cache::node().join("node_modules");
        if !modules.join("oidc-provider").is_dir() {
            println!("SKIPPED {test}: `oidc-provider` is not installed; run `cargo dev setup`");
            return None;
        }
        let address = free_address();
        let mut command = Command::new(node);
        command.arg(data("e2e/harness/provider.mjs")).arg(modules).arg(address.port().to_string());
        let peer = Peer::start(command, tempfile::tempdir().unwrap(), address);
        Some(Provider { peer })
    }

    /// What its tokens call it.
    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.peer.address)
    }

    /// The `issuers` section of a config file; `more` are further keys.
    pub(crate) fn section(&self, more: &str) -> String {
        format!("issuers:\n  main: {{ issuer: \"{}\", audiences: [orders]{more} }}\n", self.issuer())
    }

    /// Asks a hook.
    pub(crate) fn hook(&self, name: &str, query: &[(&str, &str)]) -> String {
        let query: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
        let target = format!("/_test/{name}?{}", query.join("&"));
        let response = Client::connect(self.peer.address).get(&target).unwrap();
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        response.text()
    }

    /// An access token of `client` from the provider's token endpoint.
    pub(crate) fn token(&self, client: &str, more: &[(&str, &str)]) -> String {
        self.hook("token", &[&[("client", client)], more].concat())
    }

    /// A token with these claims and header fields over the usual ones.
    pub(crate) fn signed(&self, claims: &Value, header: &Value, more: &[(&str, &str)]) -> String {
        let (claims, header) = (claims.to_string(), header.to_string());
        self.hook("sign", &[&[("claims", claims.as_str()), ("header", header.as_str())], more].concat())
    }

    /// How often `path` was asked for.
    pub(crate) fn count(&self, path: &str) -> u64 {
        let counts: Value = serde_json::from_str(&self.hook("counts", &[])).unwrap();
        counts[path].as_u64().unwrap_or(0)
    }

    /// Waits until `path` was asked for `times` times.
    pub(crate) fn wait_for(&self, path: &str, times: u64, most: Duration) {
        let deadline = std::time::Instant::now() + most;
        while self.count(path) < times {
            assert!(std::time::Instant::now() < deadline, "`{path}` was not asked for {times} times");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
