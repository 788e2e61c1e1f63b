//! Who calls, and how often.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::objects::required;
use crate::commands::fix::incidents::GUESSING;
use crate::commands::fix::remedy::{Case, Cure, Scope, one};
use crate::commands::fix::search::LIFETIME;
use crate::commands::fix::traffic::Fact;

/// The header in which a key of the gateway is asked for.
const KEY: &str = "X-Api-Key";

/// Adds what makes sessions known, where it is known how they come and go.
pub(super) fn with_sessions(case: &Case<'_>, mut cure: Cure) -> Cure {
    let Some(sessions) = case.sessions else { return cure };
    let lifetime = format!("{}h", LIFETIME.as_secs() / 3600);
    cure = cure.and(Scope::All, "session", json!({ "by": sessions.by, "lifetime": lifetime }));
    for (label, place) in &sessions.opens {
        cure = cure.and(Scope::Operation(label.clone()), "session", one("opens", json!([place])));
    }
    for label in &sessions.closes {
        cure = cure.and(Scope::Operation(label.clone()), "session", one("closes", true));
    }
    cure
}

/// Adds where a fact that is no claim of the token comes from.
pub(super) fn claims(case: &Case<'_>, mut cure: Cure, fact: &Fact) -> Cure {
    let (Some(pointer), Some(sessions)) = (&fact.pointer, case.sessions) else { return cure };
    for (label, _) in &sessions.opens {
        let claim = one("claims", one(&fact.name, pointer.as_str()));
        cure = cure.and(Scope::Operation(label.clone()), "session", claim);
    }
    cure
}

/// A key of the gateway is asked for.
pub(super) fn key(case: &Case<'_>) -> Cure {
    let here = Scope::Operation(case.label().to_owned());
    Cure::default().and(here.clone(), "public", Value::Bool(false)).and(
        here,
        "authenticate",
        one("api_key", KEY),
    )
}

/// The role that ordinary callers have; where nobody ordinary calls, a claim that speaks of administration, or a key.
pub(super) fn administrators(case: &Case<'_>) -> Vec<Cure> {
    let mut cures = Vec::new();
    if let Some(sessions) = case.sessions {
        let role = |fact: &Fact, role: &str| {
            let cure = claims(case, with_sessions(case, Cure::default()), fact);
            let cure = cure.and(Scope::All, "session", one("roles", json!([fact.name])));
            required(case, cure).and(
                Scope::Operation(case.label().to_owned()),
                "authorize",
                one("roles", json!([role])),
            )
        };
        let roles = case.traffic.roles(case.label(), &sessions.by);
        cures.extend(roles.iter().take(2).map(|(fact, name)| role(fact, name)));
        if cures.is_empty() && !case.traffic.uses(case.label()) {
            let claims = case.traffic.admin_claims(&sessions.by);
            cures.extend(claims.iter().take(1).map(|fact| role(fact, &fact.name)));
        }
    }
    if !case.traffic.uses(case.label()) {
        cures.push(key(case));
    }
    cures
}

/// A session, or a key.
pub(super) fn known(case: &Case<'_>) -> Vec<Cure> {
    let mut cures = Vec::new();
    if case.sessions.is_some() {
        cures.push(required(case, with_sessions(case, Cure::default())));
        // Who has a session may still read what is another's.
        cures.extend(super::objects::own(case));
    }
    if !case.traffic.uses(case.label()) {
        cures.push(key(case));
    }
    cures
}

/// Only sessions that were handed out, wherever one is presented.
pub(super) fn sessions(case: &Case<'_>) -> Vec<Cure> {
    if case.sessions.is_none() {
        return Vec::new();
    }
    let cure = with_sessions(case, Cure::default());
    let cure = cure.and(Scope::All, "session", one("unknown", "refuse"));
    let mut cures = vec![cure.clone()];
    if case.operation().is_some() {
        cures.push(required(case, cure));
    }
    cures
}

/// So many tries for each client; fewer where more are still let through.
pub(super) fn tries(case: &Case<'_>) -> Vec<Cure> {
    if case.operation().is_none() {
        return Vec::new();
    }
    let limit = |count: u32| {
        case.here("limit", json!({ "rate": format!("{count}/min"), "burst": count, "per": "client" }))
    };
    vec![limit(10), limit(5)]
}

/// What spiked is limited: the operation itself; of a client that guesses, the operations that hand out sessions; of one
/// that meets refusals wherever it goes, all that it does. A consumer is its owner's business.
pub(super) fn spikes(case: &Case<'_>) -> Vec<Cure> {
    if case.operation().is_some() {
        return tries(case);
    }
    let part = case.item.places.first().and_then(|place| place.part.as_deref()).unwrap_or_default();
    if !part.starts_with("client ") {
        return Vec::new();
    }
    let mut cures = Vec::new();
    let opens: BTreeSet<&String> =
        case.sessions.into_iter().flat_map(|sessions| &sessions.opens).map(|(label, _)| label).collect();
    if case.item.cwe == GUESSING && !opens.is_empty() {
        let limit = json!({ "rate": "10/min", "burst": 10, "per": "client" });
        cures.push(opens.into_iter().fold(Cure::default(), |cure, label| {
            cure.and(Scope::Operation(label.clone()), "limit", limit.clone())
        }));
    }
    let scanners = json!({ "refusals": 40, "within": "1m", "block": "10m" });
    cures.push(Cure::default().and(Scope::All, "bots", one("scanners", scanners)));
    cures
}

/// Every failure alike. Where the operation hands out sessions, an answer without one is a failure.
pub(super) fn one_failure(case: &Case<'_>) -> Vec<Cure> {
    if case.operation().is_none() {
        return Vec::new();
    }
    let here = Scope::Operation(case.label().to_owned());
    let alike = one("failures", "alike");
    let opens = case.sessions.into_iter().flat_map(|sessions| &sessions.opens);
    let mut pointers = opens.filter(|(label, place)| label == case.label() && place.starts_with('/'));
    let mut cures = Vec::new();
    if let Some((_, pointer)) = pointers.next() {
        cures.push(case.here("mask", json!({ "failures": "alike", "success": pointer })));
    }
    cures.push(case.here("mask", alike.clone()));
    let limited = case.here("mask", alike);
    cures.push(limited.and(here, "limit", json!({ "rate": "10/min", "burst": 10, "per": "client" })));
    cures
}

/// One call at a time, of whoever calls.
pub(super) fn one_at_a_time(case: &Case<'_>) -> Vec<Cure> {
    let Some(operation) = case.operation() else { return Vec::new() };
    let anonymous = matches!(&operation.security, portcullis_openapi::Security::AnyOf(any) if any.is_empty());
    let limit = |per: &str| case.here("limit", json!({ "concurrent": 1, "per": per }));
    let known = limit("consumer");
    match anonymous {
        true => vec![limit("client")],
        false => vec![with_sessions(case, known), limit("client")],
    }
}

/// The same values at the place of the finding count once, for the object that the path names.
pub(super) fn once(case: &Case<'_>) -> Vec<Cure> {
    let Some(operation) = case.operation() else { return Vec::new() };
    let places: Vec<Value> = operation
        .captures
        .iter()
        .map(|name| format!("path.{name}"))
        .chain(case.place())
        .map(Value::String)
        .collect();
    let mut cures = Vec::new();
    if case.place().is_some_and(|place| place.eq_ignore_ascii_case("header.idempotency-key")) {
        cures.push(case.here("flow", one("idempotency_key", "optional")));
    }
    if !places.is_empty() {
        let cure = case.here("flow", one("once", places));
        cures.push(with_sessions(case, cure));
    }
    cures
}
