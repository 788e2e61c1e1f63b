//! Lists without pages.
//!
//! **What it finds.** `get` operations whose answer is an array, and that take no parameter for pages.
//!
//! **The attack.** Each call costs what the whole table costs; each call copies the whole table.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "pagination-missing",
    title: "a list is answered whole",
    fix: "Page it: a limit with a maximum, and a cursor or an offset.",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Low,
    suspects: true,
    once: false,
    guard: None,
    source: include_str!("pagination_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(description: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    if operation.method != "get" {
        return;
    }
    let paging = [
        "limit",
        "size",
        "page",
        "offset",
        "cursor",
        "per",
        "count",
        "top",
        "skip",
        "after",
        "before",
        "first",
        "last",
        "start",
        "max",
        "take",
        "since",
        "marker",
        "continuation",
        "token",
        "pagesize",
        "perpage",
        "rows",
        "from",
        "next",
    ];
    let pages =
        operation.parameters.iter().filter_map(|index| description.parameters.get(*index as usize)).any(
            |parameter| {
                matches!(parameter.place, "query" | "header")
                    && names::words(parameter.name).iter().any(|word| paging.contains(&word.as_str()))
            },
        );
    let list = operation
        .responses
        .iter()
        .filter(|response| response.status.starts_with('2'))
        .flat_map(|response| &response.media)
        .find(|media| {
            let unit = media.unit.and_then(|unit| description.units.get(unit as usize));
            unit.is_some_and(|unit| {
                let facts = Facts::of(unit.spot.node);
                facts.array && !facts.max_items
            })
        });
    if let (false, Some(media)) = (pages, list) {
        out.operation(operation, media.spot.file, media.key, media.name);
    }
}
