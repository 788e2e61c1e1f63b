//! Old and new at once.
//!
//! **What it finds.** Paths of more than one version (`/v1/…` beside `/v2/…`) of which the older is not deprecated.
//!
//! **The attack.** The old version has the old holes; fixes go to the new one.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "versions-side-by-side",
    title: "several versions of the API are described side by side",
    fix: "Retire the old ones: mark them `deprecated`, with a date.",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Info,
    suspects: false,
    once: true,
    guard: Some(("deprecated", "answers with `Deprecation` and `Sunset`, and refuses after the date")),
    source: include_str!("versions_side_by_side.rs"),
    hook: Hook::Document(check),
};

fn check<'t>(description: &Description<'t>, out: &mut Out<'_, 't>) {
    let version = |path: &str| {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        parts.find_map(|part| part.strip_prefix(['v', 'V'])?.parse::<u32>().ok())
    };
    let rest = |path: &str| {
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| part.strip_prefix(['v', 'V']).is_none_or(|number| number.parse::<u32>().is_err()))
            .collect();
        parts.join("/")
    };
    let newest: std::collections::HashMap<(&str, String), u32> =
        description.operations.iter().fold(Default::default(), |mut map, operation| {
            if let Some(number) = version(operation.path) {
                let entry = map.entry((operation.method, rest(operation.path))).or_insert(number);
                *entry = number.max(*entry);
            }
            map
        });
    for operation in description.operations.iter().filter(|operation| !operation.deprecated) {
        let Some(number) = version(operation.path) else { continue };
        if newest.get(&(operation.method, rest(operation.path))).is_some_and(|newest| *newest > number) {
            out.operation(operation, operation.spot.file, operation.key, operation.path);
        }
    }
}
