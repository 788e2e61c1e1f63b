//! XML in requests.
//!
//! **What it finds.** Request bodies of an XML media type.
//!
//! **The attack.** External entities read files and call hosts of the inside; entities inside each other fill memory.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "media-xml",
    title: "a request body may be XML",
    fix: "Turn external entities and document types off in the parser, or accept JSON only.",
    owasp: Owasp::Api8,
    cwe: 611,
    severity: Severity::Info,
    suspects: false,
    once: false,
    guard: Some(("inspect", "refuses document types and entities")),
    source: include_str!("media_xml.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    for media in operation.body.iter().flat_map(|body| &body.media) {
        if media.name.ends_with("/xml") || media.name.contains("+xml") {
            out.operation(operation, media.spot.file, media.key, media.name);
        }
    }
}
