//! `*/*` in requests.
//!
//! **What it finds.** Request bodies whose media type is a range: `*/*`, `application/*`.
//!
//! **The attack.** XML with external entities where JSON was meant; forms that browsers send across sites without
//! asking.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "media-any",
    title: "a request body of any media type is accepted",
    fix: "Name the media types that the operation reads.",
    owasp: Owasp::Api8,
    cwe: 436,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: Some(("validate", "refuses media types that the contract does not name")),
    source: include_str!("media_any.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    for media in operation.body.iter().flat_map(|body| &body.media).filter(|media| media.name.contains('*')) {
        out.operation(operation, media.spot.file, media.key, media.name);
    }
}
