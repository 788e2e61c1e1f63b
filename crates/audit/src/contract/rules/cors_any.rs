//! `Access-Control-Allow-Origin: *` by contract.
//!
//! **What it finds.** Answers that describe the header with `*` as example, default, `const` or only `enum` value, on
//! operations that ask for credentials.
//!
//! **The attack.** A page that a user visits reads the API with what the user may.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "cors-any",
    title: "any website may read the answers",
    fix: "Name the origins that may, and never allow credentials for `*`.",
    owasp: Owasp::Api8,
    cwe: 942,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some(("cors", "answers only origins of a list")),
    source: include_str!("cors_any.rs"),
    hook: Hook::Response(check),
};

fn check<'t>(
    description: &Description<'t>,
    operation: &Operation<'t>,
    response: &Response<'t>,
    out: &mut Out<'_, 't>,
) {
    let Some(header) = response.header(|name| name == "access-control-allow-origin") else { return };
    let Some(header) = description.follow(response.spot.with(&header.value)) else { return };
    let schema = header.get("schema").unwrap_or(header);
    let any = [header.str("example"), schema.str("example"), schema.str("default"), schema.str("const")];
    let listed =
        schema.get("enum").is_some_and(|list| list.items().any(|item| item.node.as_str() == Some("*")));
    if operation.is_protected() && (listed || any.contains(&Some("*"))) {
        out.operation(operation, header.file, header.node.span, "Access-Control-Allow-Origin");
    }
}
