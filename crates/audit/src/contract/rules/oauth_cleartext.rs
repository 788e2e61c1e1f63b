//! Where tokens come from, without encryption.
//!
//! **What it finds.** `authorizationUrl`, `tokenUrl`, `refreshUrl` and `openIdConnectUrl` that begin with `http:`,
//! other than on this machine.
//!
//! **The attack.** Whoever is on the way reads codes, tokens and client secrets, or answers with keys of his own.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "oauth-cleartext",
    title: "tokens are asked for over cleartext HTTP",
    fix: "Use `https` for every OAuth 2 and OpenID Connect URL.",
    owasp: Owasp::Api8,
    cwe: 319,
    severity: Severity::High,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("oauth_cleartext.rs"),
    hook: Hook::Scheme(check),
};

fn check<'t>(description: &Description<'t>, scheme: &Scheme<'t>, out: &mut Out<'_, 't>) {
    let own = scheme.spot.get("openIdConnectUrl").into_iter();
    let urls = flows(scheme).flat_map(|(_, _, flow)| {
        let keys = ["authorizationUrl", "deviceAuthorizationUrl", "tokenUrl", "refreshUrl"];
        keys.into_iter().filter_map(move |key| flow.get(key))
    });
    for at in own.chain(urls) {
        let url = at.node.as_str().unwrap_or_default();
        if is_cleartext(url) && !is_local(host_of(url)) {
            out.place(at, url, &users_of(description, scheme.name));
        }
    }
}
