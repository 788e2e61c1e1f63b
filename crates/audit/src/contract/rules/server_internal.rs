//! Hosts that nobody outside should know of.
//!
//! **What it finds.** `servers` on private addresses, on this machine, or under names such as `.local`, `.internal`,
//! `.corp` and `.svc.cluster.local`. A server that says `x-internal: true` is left out.
//!
//! **The attack.** Names and addresses of the inside are what a server-side request forgery needs.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "server-internal",
    title: "a server of the inside is named in the description",
    fix: "Publish a description without internal hosts.",
    owasp: Owasp::Api9,
    cwe: 200,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("server_internal.rs"),
    hook: Hook::Server(check),
};

fn check<'t>(_: &Description<'t>, server: &Server<'t>, out: &mut Out<'_, 't>) {
    if is_internal(host_of(server.url)) && !server.spot.is("x-internal") {
        out.place(server.spot, server.url, &[]);
    }
}
