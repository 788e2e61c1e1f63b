//! A user name and a password in `servers`.
//!
//! **What it finds.** Server URLs of the form `https://user:password@host`.
//!
//! **The attack.** Descriptions are published, generated into clients and sent to testers.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "server-credentials",
    title: "a server's URL holds credentials",
    fix: "Take them out, and change them: whoever read the document has them.",
    owasp: Owasp::Api8,
    cwe: 522,
    severity: Severity::High,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("server_credentials.rs"),
    hook: Hook::Server(check),
};

fn check<'t>(_: &Description<'t>, server: &Server<'t>, out: &mut Out<'_, 't>) {
    let rest = server.url.split_once("://").map_or(server.url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
        out.place(server.spot, "url", &[]);
    }
}
