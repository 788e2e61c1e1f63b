//! What calls carry.

use std::collections::BTreeSet;

use portcullis_engine::looks_secret;
use serde_json::{Map, Value, json};

use crate::commands::fix::remedy::{Case, Cure, Scope, one};
use crate::commands::fix::traffic::leaves;
use crate::report::Exchange;

/// The members that a proof added are refused.
pub(super) fn members(case: &Case<'_>) -> Vec<Cure> {
    let Some(pointer) = case.place().and_then(|place| place.strip_prefix("body.").map(str::to_owned)) else {
        return Vec::new();
    };
    let refused = json!({ "request": { "deny": [pointer] } });
    vec![case.here("properties", refused), case.here("validate", one("unknown_property", "enforce"))]
}

fn bounds(case: &Case<'_>, bound: Value) -> Vec<Cure> {
    match (case.place(), case.operation()) {
        (Some(place), Some(_)) => vec![case.here("values", one(&place, bound))],
        _ => Vec::new(),
    }
}

/// Numbers from zero on.
pub(super) fn amounts(case: &Case<'_>) -> Vec<Cure> {
    bounds(case, json!({ "minimum": 0 }))
}

/// Ten times what ordinary clients ask for of a thing, then as much as they ask for; of every element where the finding
/// is of one.
pub(super) fn quantities(case: &Case<'_>) -> Vec<Cure> {
    let Some(place) = case.place() else { return Vec::new() };
    let seen = case.traffic.values(case.label(), &place);
    let whole = |value: &&str| Some(value.parse::<f64>().ok().filter(|amount| *amount >= 0.0)?.ceil() as u64);
    let most = seen.iter().filter_map(whole).max().unwrap_or(1);
    let every =
        |segment: &str| if segment.parse::<usize>().is_ok() { "*".to_owned() } else { segment.to_owned() };
    let place = place.split('/').map(every).collect::<Vec<_>>().join("/");
    let bounded = |maximum: u64| one(&place, json!({ "minimum": 0, "maximum": maximum }));
    vec![
        case.here("values", bounded(most.saturating_mul(10))),
        case.here("values", bounded(most.saturating_mul(2))),
        case.here("values", bounded(most)),
    ]
}

/// A megabyte for a file, then a quarter of one.
pub(super) fn files(case: &Case<'_>) -> Vec<Cure> {
    [1024, 256].map(|kib| case.here("bounds", json!({ "request_body": format!("{kib}KiB") }))).into()
}

/// The largest page that ordinary clients ask for, and no less than a hundred.
pub(super) fn pages(case: &Case<'_>) -> Vec<Cure> {
    let values =
        case.place().map(|place| case.traffic.values(case.label(), &place)).unwrap_or_default().into_iter();
    let most = values.filter_map(|value| value.parse::<u64>().ok()).max().unwrap_or(0);
    bounds(case, json!({ "minimum": 0, "maximum": most.max(100) }))
}

/// Four times what ordinary clients send.
pub(super) fn lengths(case: &Case<'_>) -> Vec<Cure> {
    let values = case.place().map(|place| case.traffic.values(case.label(), &place)).unwrap_or_default();
    let most = values.iter().map(|value| value.chars().count()).max().unwrap_or(0);
    let least = if case.item.code == "regex-blow-up" { 24 } else { 1000 };
    let mut cures = bounds(case, json!({ "maxLength": (most * 4).max(least) }));
    cures.extend(bounds(case, json!({ "maxLength": most.max(least / 2) })));
    cures
}

/// Where a GraphQL call over HTTP has its document (GraphQL over HTTP, "Request Parameters").
const DOCUMENT: &str = "body./query";

/// Four times the longest document of ordinary clients, then as long as that.
pub(super) fn documents(case: &Case<'_>) -> Vec<Cure> {
    let seen = case.traffic.values(case.label(), DOCUMENT);
    let most = seen.iter().map(|value| value.chars().count()).max().unwrap_or(0).max(100);
    let bounded = |longest: usize| case.here("values", one(DOCUMENT, json!({ "maxLength": longest })));
    vec![bounded(most * 4), bounded(most)]
}

/// One document a call.
pub(super) fn one_document(case: &Case<'_>) -> Vec<Cure> {
    vec![case.here("values", one(DOCUMENT, one("required", true)))]
}

/// Eight characters, or as many as ordinary clients have.
pub(super) fn passwords(case: &Case<'_>) -> Vec<Cure> {
    let Some(operation) = case.operation() else { return Vec::new() };
    let place = case.place().or_else(|| {
        let schemas = operation.body.iter().flat_map(|body| &body.content).filter_map(|media| media.schema);
        let outlines =
            schemas.map(|schema| case.contract.outline(schema, portcullis_openapi::Direction::Request, 2));
        let named = outlines
            .flat_map(|outline| outline.parts)
            .find(|part| part.name.to_ascii_lowercase().contains("password"));
        Some(format!("body./{}", named.map_or_else(|| "password".to_owned(), |part| part.name)))
    });
    let Some(place) = place else { return Vec::new() };
    let values = case.traffic.values(case.label(), &place);
    let shortest = values.iter().map(|value| value.chars().count()).min().unwrap_or(8).min(8);
    vec![case.here("values", one(&place, one("minLength", shortest)))]
}

/// Texts without control characters but those that end lines and cells.
const READABLE: &str = "[^\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F]*";

/// Numbers of 32 bits fit everywhere; characters of a text that is no document.
const MOST: f64 = 2_147_483_647.0;
const LONGEST: usize = 1000;

/// A text that can be read, where ordinary values are texts; a number where they are numbers. In either case with room for
/// far more than was seen.
pub(super) fn types(case: &Case<'_>) -> Vec<Cure> {
    let place = case.place().unwrap_or_default();
    let values = case.traffic.values(case.label(), &place);
    let numbers: Vec<f64> = values.iter().filter_map(|value| value.parse::<f64>().ok()).collect();
    let is_number =
        !values.is_empty() && numbers.len() == values.len() && !case.traffic.has_texts(case.label(), &place);
    let mut bound = match is_number {
        true => {
            let most = numbers.iter().map(|number| number.abs() * 100.0).fold(MOST, f64::max);
            json!({ "type": "number", "minimum": -most, "maximum": most })
        }
        false => {
            let longest = values.iter().map(|value| value.chars().count() * 10).max().unwrap_or(0);
            let mut bound = json!({ "pattern": READABLE, "maxLength": longest.max(LONGEST) });
            // What type a value has that nobody sent is not known.
            if let (false, Some(bound)) = (values.is_empty(), bound.as_object_mut()) {
                bound.insert("type".into(), "string".into());
            }
            bound
        }
    };
    let mut cures = bounds(case, bound.clone());
    if case.is_about_body() {
        cures.extend(complete(case));
    }
    // What honest calls always have may be asked for.
    if !values.is_empty() && values.len() >= case.traffic.count(case.label()) {
        if let Some(bound) = bound.as_object_mut() {
            bound.insert("required".into(), true.into());
        }
        cures.extend(bounds(case, bound));
    }
    cures.extend(characters(case));
    cures.push(Cure::default().and(Scope::All, "mask", json!({ "mode": "enforce", "server_errors": "all" })));
    cures
}

/// The members that all ordinary bodies have; where too few of them were seen to say so of all members, of one at a time.
fn complete(case: &Case<'_>) -> Vec<Cure> {
    let always = case.traffic.always(case.label());
    let required = |places: &mut dyn Iterator<Item = &str>| -> Cure {
        let bounds: Map<String, Value> =
            places.map(|place| (place.to_owned(), one("required", true))).collect();
        case.here("values", bounds.into())
    };
    match case.traffic.count(case.label()) >= ENOUGH && !always.is_empty() {
        true => vec![required(&mut always.into_iter())],
        false => always.into_iter().map(|place| required(&mut std::iter::once(place))).collect(),
    }
}

/// The engine's own detectors, sharper; then only the characters that ordinary values have.
pub(super) fn attacks(case: &Case<'_>) -> Vec<Cure> {
    if case.operation().is_none() {
        return vec![Cure::default().and(Scope::All, "inspect", one("mode", "enforce"))];
    }
    let mut cures = vec![case.here("inspect", json!({ "mode": "enforce", "threshold": 50 }))];
    cures.extend(characters(case));
    cures
}

/// Texts that become part of a page: no markup goes in, and what is there already does not run; then what closes other
/// attacks.
pub(super) fn scripts(case: &Case<'_>) -> Vec<Cure> {
    let mut cures = Vec::new();
    if let Some(cure) = without_markup(case) {
        cures.push(cure);
    }
    cures.extend(attacks(case));
    cures
}

fn without_markup(case: &Case<'_>) -> Option<Cure> {
    let exchanges = &case.item.evidence.exchanges;
    let mut cure = Cure::default();
    for exchange in exchanges {
        let Some(label) = case.called(exchange) else { continue };
        for place in marked_up(case, exchange) {
            let ordinary = case.traffic.values(&label, &place);
            if !ordinary.iter().any(|value| value.contains(['<', '>'])) {
                let bound = one("pattern", "[^<>]*");
                cure = cure.and(Scope::Operation(label.clone()), "values", one(&place, bound));
            }
        }
    }
    if case.operation().is_some() && !case.traffic.has_scripts(case.label()) {
        let policy = "script-src 'none'; object-src 'none'; base-uri 'none'";
        let set = one("set", one("Content-Security-Policy", policy));
        cure = cure.and(Scope::Operation(case.label().to_owned()), "headers", set);
    }
    (!cure.pieces.is_empty()).then_some(cure)
}

/// The places of a call that carry markup.
fn marked_up(case: &Case<'_>, exchange: &Exchange) -> Vec<String> {
    let body = exchange.request.body.as_ref();
    let document: Option<Value> = body.and_then(|body| serde_json::from_str(&body.text).ok());
    let members = document.as_ref().map(leaves).unwrap_or_default();
    let marked = members.into_iter().filter(|(_, text)| text.contains('<'));
    let mut places: Vec<String> = marked.map(|(at, _)| format!("body.{at}")).collect();
    places.extend(case.place().filter(|place| !place.starts_with("body.")));
    places
}

/// Letters, digits and what else ordinary values of the place have.
fn characters(case: &Case<'_>) -> Vec<Cure> {
    let Some(place) = case.place() else { return Vec::new() };
    let values = case.traffic.values(case.label(), &place);
    match class_of(&place, values.into_iter()) {
        Some(class) => bounds(case, one("pattern", format!("{class}*"))),
        None => Vec::new(),
    }
}

/// Different values that must have been seen before something is said of those that were not.
const ENOUGH: usize = 3;

/// The class of characters that ordinary values of a place have; nothing where they have too much, where too few of them
/// were seen, and of secrets, in which people put anything.
fn class_of<'v>(place: &str, values: impl Iterator<Item = &'v str>) -> Option<String> {
    let values: BTreeSet<&str> = values.collect();
    if values.len() < ENOUGH || looks_secret(place) {
        return None;
    }
    let mut other: BTreeSet<char> = values.iter().flat_map(|value| value.chars()).collect();
    other.retain(|c| !c.is_alphanumeric());
    other.extend(['-', '_']);
    if other.iter().any(|c| !matches!(c, '-' | '_' | ' ' | '.' | '@' | '+' | ',' | ':')) {
        return None;
    }
    let class: String =
        other.iter().map(|c| if *c == '-' { "\\-".to_owned() } else { c.to_string() }).collect();
    Some(format!("[\\p{{L}}\\p{{N}}{class}]"))
}

/// Places that carry addresses are judged.
pub(super) fn addresses(case: &Case<'_>) -> Vec<Cure> {
    match (case.place(), case.operation()) {
        (Some(place), Some(_)) => vec![case.here("ssrf", one("parameters", json!([place])))],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_is_not_forbidden() {
        let class = |place: &str, values: &[&str]| class_of(place, values.iter().copied());
        let names = ["hanna", "otto", "lea-2"];
        assert_eq!(class("body./username", &names).as_deref(), Some("[\\p{L}\\p{N}\\-_]"));
        assert_eq!(
            class("body./email", &["a@b.c", "d@e.f", "g@h.i"]).as_deref(),
            Some("[\\p{L}\\p{N}\\-.@_]")
        );
        assert_eq!(class("body./username", &["hanna", "otto", "otto"]), None, "two people are no rule");
        assert_eq!(class("body./email", &[]), None);
        assert_eq!(class("body./password", &names), None, "a password may have any character");
        assert_eq!(class("body./note", &["a", "b", "c;d"]), None);
        for secret in ["body./reset_pin_code", "query.access_token", "header.x-api-key"] {
            assert_eq!(class(secret, &names), None, "{secret}");
        }
    }

    #[test]
    fn readable_texts_have_lines_and_no_null() {
        let readable = regex::Regex::new(&format!("^(?:{READABLE})$")).unwrap();
        for text in ["", "o'Brien; <b>", "two\nlines\r\n\tand a cell", "\u{fffd}é漢"] {
            assert!(readable.is_match(text), "{text:?}");
        }
        for text in ["a\0b", "\u{1b}[2J", "\u{7f}", "\u{8}"] {
            assert!(!readable.is_match(text), "{text:?}");
        }
    }
}
