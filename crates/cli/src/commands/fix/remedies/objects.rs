//! Objects of others: the caller is named by a parameter, by the object, or by what they were shown before.

use serde_json::{Value, json};

use super::callers::{claims, with_sessions};
use crate::commands::fix::remedy::{Case, Cure, Scope, one};
use crate::commands::fix::traffic::{Fact, plain};

/// Bind, then owner, then provenance.
pub(super) fn own(case: &Case<'_>) -> Vec<Cure> {
    let Some(sessions) = case.sessions else { return Vec::new() };
    let by = sessions.by.as_str();
    let label = case.label();
    let mut cures = Vec::new();
    let mut add = |fact: &Fact, section: Value| {
        let cure = with_sessions(case, Cure::default());
        let cure = claims(case, cure, fact);
        cures.push(required(case, cure).and(Scope::Operation(label.to_owned()), "authorize", section));
    };
    let is = |fact: &Fact| format!("token.{}", fact.name);
    for (place, fact) in case.traffic.bound(label, by).into_iter().take(2) {
        add(&fact, one("bind", one(&place, is(&fact))));
    }
    let object = read_path(case);
    let reader = object.as_ref().map_or_else(|| label.to_owned(), |path| format!("GET {path}"));
    for (pointer, fact) in case.traffic.owned(&reader, by).into_iter().take(2) {
        let mut owner = json!({ "response": pointer, "is": is(&fact) });
        if let (Some(path), Some(members)) = (&object, owner.as_object_mut())
            && case.operation().is_some_and(|operation| *operation.path != **path)
        {
            members.insert("read".into(), path.as_str().into());
        }
        add(&fact, one("owner", owner));
    }
    cures.extend(shown(case, by));
    cures
}

/// The operation needs a session, whatever the contract says.
pub(super) fn required(case: &Case<'_>, cure: Cure) -> Cure {
    let here = Scope::Operation(case.label().to_owned());
    let cure = cure.and(here.clone(), "session", one("required", true));
    match case.operation().is_some_and(|operation| operation.security == portcullis_openapi::Security::Absent)
    {
        true => cure.and(here, "public", Value::Bool(false)),
        false => cure,
    }
}

/// For an operation that changes: the path of its object, where the contract has a GET on it.
fn read_path(case: &Case<'_>) -> Option<String> {
    let operation = case.operation()?;
    if operation.method.as_str() == "GET" {
        return None;
    }
    let reads = |path: &str| {
        case.contract.operations().iter().any(|one| one.method.as_str() == "GET" && *one.path == *path)
    };
    let mut path: &str = &operation.path;
    while path.contains('{') {
        if reads(path) {
            return Some(path.to_owned());
        }
        path = path.rsplit_once('/')?.0;
    }
    None
}

/// Only what the caller was shown: by the calls that ordinary users make before, or where none were recorded, by those of
/// the contract that list or make such objects.
fn shown(case: &Case<'_>, by: &str) -> Vec<Cure> {
    let label = case.label();
    let Some(operation) = case.operation() else { return Vec::new() };
    let mut cures = Vec::new();
    for name in operation.captures.iter().rev() {
        let place = format!("path.{name}");
        let Some(sources) = case.traffic.sources(label, &place, by) else { continue };
        let kind = plain(name.trim_end_matches("Id").trim_end_matches("_id"));
        let kind = if kind.is_empty() || kind == "id" { collection(&operation.path) } else { kind };
        let mut cure = with_sessions(case, Cure::default()).and(Scope::All, "provenance", one("by", by));
        for (shows, pointer) in sources {
            cure =
                cure.and(Scope::Operation(shows), "provenance", one("shows", one(&kind, json!([pointer]))));
        }
        let needs = one("needs", one(&kind, json!([place])));
        cures.push(cure.and(Scope::Operation(label.to_owned()), "provenance", needs));
    }
    cures
}

/// What a path is about: its last fixed part.
fn collection(path: &str) -> String {
    let last = path.rsplit('/').find(|part| !part.is_empty() && !part.starts_with('{'));
    plain(last.unwrap_or("object").trim_end_matches('s'))
}
