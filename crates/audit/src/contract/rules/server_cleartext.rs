//! Calls that anyone on the way can read and change.
//!
//! **What it finds.** `servers` whose URL begins with `http:` or `ws:`, and `schemes` of Swagger 2.0 with `http` or
//! `ws`, other than on this machine.
//!
//! **The attack.** Tokens and data are read on the way, answers are changed on the way.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "server-cleartext",
    title: "the API is served over cleartext HTTP",
    fix: "Serve it over `https` only, and say so in `servers`.",
    owasp: Owasp::Api8,
    cwe: 319,
    severity: Severity::High,
    suspects: false,
    once: false,
    guard: Some(("headers", "HSTS; listeners with TLS, and cleartext redirected")),
    source: include_str!("server_cleartext.rs"),
    hook: Hook::Server(check),
};

fn check<'t>(_: &Description<'t>, server: &Server<'t>, out: &mut Out<'_, 't>) {
    if let Some(schemes) = server.schemes {
        for scheme in schemes.items().filter(|_| !is_local(host_of(server.url))) {
            if matches!(scheme.node.as_str(), Some("http" | "ws")) {
                out.document(scheme, scheme.node.as_str().unwrap_or_default());
            }
        }
    } else if is_cleartext(server.url) && !is_local(host_of(server.url)) {
        out.place(server.spot, server.url, &[]);
        let secure = server.url.replacen("http://", "https://", 1).replacen("ws://", "wss://", 1);
        if let Some(url) = server.spot.get("url") {
            out.replace(url, || secure.into(), false);
        }
    }
}
