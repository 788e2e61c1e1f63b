//! What answers show.

use serde_json::json;

use crate::commands::fix::remedy::{Case, Cure, Scope, one};
use crate::commands::fix::traffic::leaves;

/// Cuts the members that the proof shows out of the answer.
pub(super) fn cut(case: &Case<'_>) -> Vec<Cure> {
    let Some(part) = case.item.places.first().and_then(|place| place.part.as_deref()) else {
        return Vec::new();
    };
    let name = part.split_once(' ').map_or(part, |(_, name)| name);
    let name = name.rsplit('/').next().unwrap_or(name);
    let mut pointers: Vec<String> = Vec::new();
    for exchange in &case.item.evidence.exchanges {
        let body = exchange.response.as_ref().and_then(|response| response.body.as_ref());
        let Some(document) = body.and_then(|body| serde_json::from_str(&body.text).ok()) else { continue };
        for (pointer, _) in leaves(&document) {
            if pointer.rsplit('/').next() == Some(name) && !pointers.contains(&pointer) {
                pointers.push(pointer);
            }
        }
    }
    if pointers.is_empty() && case.operation().is_some() {
        pointers = vec![format!("/{name}"), format!("/*/{name}"), format!("/*/*/{name}")];
    }
    match pointers.is_empty() || case.operation().is_none() {
        true => Vec::new(),
        false => vec![case.here("properties", one("response", one("deny", json!(pointers))))],
    }
}

/// Errors are replaced.
pub(super) fn mask(case: &Case<'_>) -> Vec<Cure> {
    let all = json!({ "mode": "enforce", "server_errors": "all" });
    vec![Cure::default().and(Scope::All, "mask", all), case.here("mask", one("failures", "alike"))]
}

/// No other origin.
pub(super) fn origins(_: &Case<'_>) -> Vec<Cure> {
    vec![Cure::default().and(Scope::All, "cors", json!({ "mode": "enforce", "origins": [] }))]
}

/// The fields that browsers need.
pub(super) fn headers(_: &Case<'_>) -> Vec<Cure> {
    vec![Cure::default().and(Scope::All, "headers", one("mode", "enforce"))]
}
