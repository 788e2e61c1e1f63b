//! Staging, sandboxes and `example.com`.
//!
//! **What it finds.** `servers` with a label such as `dev`, `test`, `staging`, `uat` or `qa` in their host, and
//! placeholder hosts.
//!
//! **The attack.** Test systems run newer or older code, with weaker keys and copies of real data; the description
//! leads there. A placeholder says that nobody knows where the API is.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "server-test",
    title: "a test or placeholder server is named in the description",
    fix: "Publish a description with the servers that its readers may use.",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Low,
    suspects: true,
    once: false,
    guard: None,
    source: include_str!("server_test.rs"),
    hook: Hook::Server(check),
};

fn check<'t>(_: &Description<'t>, server: &Server<'t>, out: &mut Out<'_, 't>) {
    let host = host_of(server.url).to_ascii_lowercase();
    let labels = [
        "dev",
        "develop",
        "development",
        "test",
        "testing",
        "staging",
        "stage",
        "stg",
        "uat",
        "qa",
        "preprod",
        "int",
    ];
    let test = host.split(['.', '-']).any(|label| labels.contains(&label));
    let placeholder = ["example.com", "example.org", "example.net", "yourdomain.com", "your-domain.com"]
        .iter()
        .any(|name| host == *name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')));
    if (test || placeholder) && !is_internal(&host) {
        out.place(server.spot, server.url, &[]);
    }
}
