//! Uploads without a limit.
//!
//! **What it finds.** Binary strings in requests without `maxLength`, and `file` parameters of Swagger 2.0.
//!
//! **The attack.** Disks that fill; pages and scripts uploaded where images were meant.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "upload-unbounded",
    title: "files of any size and kind are accepted",
    fix: "Bound the size (`maxLength`), and name the media types (`encoding.contentType`).",
    owasp: Owasp::Api4,
    cwe: 400,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: Some(("limit", "body sizes per operation")),
    source: include_str!("upload_unbounded.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let file = schema.facts.format == Some("binary") || schema.spot.str("type") == Some("file");
    if file && !schema.facts.max_length && in_request(description, schema) {
        out.schema(schema, true, false);
    }
}
