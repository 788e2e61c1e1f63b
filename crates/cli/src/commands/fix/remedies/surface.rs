//! What is there at all.

use serde_json::json;

use super::callers::key;
use crate::commands::fix::remedy::{Case, Cure, Scope, one};

/// What the contract does not have is refused; what it has and nobody ordinary calls needs a key.
pub(super) fn closed(case: &Case<'_>) -> Vec<Cure> {
    match case.operation() {
        Some(_) if !case.traffic.uses(case.label()) => vec![key(case)],
        Some(_) => Vec::new(),
        None => vec![Cure::default().and(Scope::All, "validate", one("unknown_path", "enforce"))],
    }
}

/// Methods that the contract does not have are refused.
pub(super) fn methods(_: &Case<'_>) -> Vec<Cure> {
    vec![Cure::default().and(Scope::All, "validate", one("unknown_method", "enforce"))]
}

/// Gone when the patch is looked at again, which callers are told until then; gone at once where no ordinary call is left.
pub(super) fn sunset(case: &Case<'_>) -> Vec<Cure> {
    if case.operation().is_none() {
        return Vec::new();
    }
    let ends = |day: &str| case.here("deprecated", json!({ "sunset": day, "after_sunset": "refuse" }));
    match case.traffic.uses(case.label()) {
        true => vec![ends(&case.until)],
        false => vec![ends(&case.today), ends(&case.until)],
    }
}
