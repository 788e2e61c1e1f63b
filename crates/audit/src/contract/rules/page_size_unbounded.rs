//! Page sizes without a limit.
//!
//! **What it finds.** Query parameters named `limit`, `pageSize`, `per_page` and the like, without `maximum`.
//!
//! **The attack.** `?limit=100000000`, and the database does the rest. `--unsafe-fixes` writes a maximum of 1000.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "page-size-unbounded",
    title: "the caller decides how much is read at once",
    fix: "Give the parameter a `maximum`.",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some(("validate", "enforces `maximum` as soon as the contract has one")),
    source: include_str!("page_size_unbounded.rs"),
    hook: Hook::Parameter(check),
};

fn check<'t>(_: &Description<'t>, parameter: &Parameter<'t>, out: &mut Out<'_, 't>) {
    let joined = names::words(parameter.name).concat();
    let size = [
        "limit",
        "pagesize",
        "perpage",
        "size",
        "count",
        "maxresults",
        "top",
        "first",
        "pagelimit",
        "maxitems",
        "resultsperpage",
        "itemsperpage",
        "take",
        "rows",
        "maxcount",
    ]
    .contains(&joined.as_str());
    let facts = &parameter.facts;
    if parameter.place == "query" && size && (facts.integer || facts.number) && !facts.maximum && !facts.fixed
    {
        out.parameter(parameter);
        let holder = parameter.spot.get("schema").filter(|schema| schema.node.get("$ref").is_none());
        let holder = holder.or_else(|| parameter.spot.node.get("type").map(|_| parameter.spot));
        if let Some(holder) = holder {
            out.insert(holder, "maximum", || 1000.into(), false);
        }
    }
}
