//! What answers hold that nobody should read: passwords, hashes, keys, whole card numbers.

use std::rc::Rc;
use std::sync::LazyLock;

use portcullis_engine::{Owasp, Severity};
use regex::Regex;
use serde_json::Value;

use super::Check;
use crate::api::Place;
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Exchange;
use crate::pool::{last_name, leaves};
use crate::session::{ANONYMOUS, Outcome, Session};
use crate::words;

/// The check.
pub(super) static EXPOSURE: Check =
    Check { name: "exposure", about: "secrets in answers", kinds: &[&PASSWORDS, &SECRETS, &CARDS], run };

static PASSWORDS: Kind = Kind {
    code: "password-in-answer",
    title: "Answers hold passwords or their hashes",
    owasp: Owasp::Api3,
    cwe: 522,
    severity: Severity::High,
    fix: "Answer with a type that has no such member, and keep passwords only as slow salted hashes.",
    block: "mask: the member; validate: answers keep to the contract",
};

static SECRETS: Kind = Kind {
    code: "secret-in-answer",
    title: "Answers hold keys or other secrets",
    owasp: Owasp::Api3,
    cwe: 200,
    severity: Severity::High,
    fix: "Take the member out of the answer; change the secret, it is known now.",
    block: "mask: the member; validate: answers keep to the contract",
};

static CARDS: Kind = Kind {
    code: "card-data-in-answer",
    title: "Answers hold whole card numbers or card codes",
    owasp: Owasp::Api3,
    cwe: 359,
    severity: Severity::High,
    fix: "Show the last four digits only and never keep the card code (PCI DSS 3.3).",
    block: "mask: card numbers in answers",
};

static HASH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}|\$argon2(id|i|d)\$.+|\$(1|5|6|y)\$.+\$.+|pbkdf2[:_][^$ ]+\$[^$ ]+\$\S+|scrypt[:$][^$ ]+\$[^$ ]+\$\S+|\{SSHA\}.+)$").ok()
});

static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"-----BEGIN (RSA |EC |OPENSSH |DSA )?PRIVATE KEY-----|\b(AKIA|ASIA)[A-Z0-9]{12,20}\b|\bghp_[A-Za-z0-9]{30,}|\bsk_live_[A-Za-z0-9]{10,}").ok()
});

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Password,
    Secret,
    Card,
}

fn run(cx: &mut Session<'_>) -> Outcome {
    let mut seen: Vec<(usize, usize, Rc<Exchange>)> = Vec::new();
    for ((index, actor), baseline) in &cx.baselines {
        if let Some(baseline) = baseline {
            seen.push((*index, *actor, baseline.exchange.clone()));
        }
    }
    for made in &cx.made {
        seen.push((made.operation, made.actor, made.exchange.clone()));
    }
    for (index, actor, exchange) in seen {
        let operation = cx.operation(index);
        // A key is shown to whoever has it made, once; and a log-in gives what it is for.
        let gives = operation.is_login() || !operation.is_get();
        let label = operation.label();
        look(cx, &label, actor, &exchange, gives);
    }
    keys(cx)
}

/// Keys that a read shows again and again to whoever has the account's session, proved by calling with them.
fn keys(cx: &mut Session<'_>) -> Outcome {
    let mut shown: Vec<(usize, usize, Rc<Exchange>, String, String)> = Vec::new();
    for ((index, actor), baseline) in &cx.baselines {
        let Some(baseline) = baseline.as_ref().filter(|_| cx.operation(*index).is_get()) else { continue };
        let Some(answer) = baseline.exchange.response.json() else { continue };
        for (pointer, value) in leaves(&answer) {
            let name = last_name(&pointer);
            let Some(key) = value.as_str().filter(|key| key.len() >= 16 && !key.contains([' ', '*'])) else {
                continue;
            };
            let fresh = shown.iter().all(|(known, .., other, _)| known != index || other != name);
            if is_key(name) && fresh && cx.actor(*actor).token.as_deref() != Some(key) {
                shown.push((*index, *actor, baseline.exchange.clone(), name.to_owned(), key.to_owned()));
            }
        }
    }
    let fields: Vec<(String, String)> = cx
        .api
        .schemes
        .iter()
        .filter(|scheme| scheme.place == Place::Header && scheme.prefix != "Basic ")
        .map(|scheme| (scheme.field.clone(), scheme.prefix.clone()))
        .collect();
    for (index, actor, read, name, key) in shown.into_iter().take(4) {
        let Some((call, _, refused)) = cx.door(actor)? else { continue };
        for (field, prefix) in &fields {
            let mut request = cx.request_of(&call);
            request.set_header(field, &format!("{prefix}{key}"));
            let opened = cx.send_once(ANONYMOUS, request)?;
            if !opened.response.ok() || crate::session::says_failure(&opened.response) {
                continue;
            }
            let label = cx.operation(index).label();
            let finding = Finding::new(&SECRETS, Confidence::Confirmed, label, &[&read, &refused, &opened])
                .at(format!("answer {name}"));
            cx.report(finding.saying(format!("`{name}` is shown by a read, and opens the API by itself")).proved(
                "a key is shown once, when it is made",
                format!("a call that is refused without a credential is answered with what the read showed as its `{field}`"),
            ));
            break;
        }
    }
    Ok(())
}

/// Whether a member of this name holds a key that stands for an account.
fn is_key(name: &str) -> bool {
    matches!(
        words::flat(name).as_str(),
        "apikey"
            | "apitoken"
            | "apisecret"
            | "accesskey"
            | "accesstoken"
            | "authtoken"
            | "secretkey"
            | "authkey"
    )
}

/// Reports what one answer holds that nobody should read. `gives` is whether secrets are what it is for.
pub(super) fn look(cx: &mut Session<'_>, label: &str, actor: usize, exchange: &Rc<Exchange>, gives: bool) {
    let Some(answer) = exchange.response.json().filter(|answer| !is_document(answer)) else { return };
    let passwords: Vec<String> =
        cx.actors.iter().filter_map(|a| a.password.clone()).filter(|p| p.len() > 3).collect();
    let target = percent_encoding::percent_decode_str(&exchange.request.target).decode_utf8_lossy();
    let sent = format!("{target} {}", String::from_utf8_lossy(&exchange.request.body));
    let mut hits: Vec<(Class, String, bool)> = Vec::new();
    for (pointer, value) in leaves(&answer) {
        let Some(class) = classify(&pointer, value, &answer, &passwords) else { continue };
        let shown = crate::api::text(value);
        // What one just sent, shown to oneself, is bad style and no leak.
        if sent.contains(&shown) && shown.len() > 2 || class == Class::Secret && gives {
            continue;
        }
        let name = last_name(&pointer).to_owned();
        if !hits.iter().any(|(known, n, _)| *known == class && *n == name) {
            hits.push((class, name, passwords.contains(&shown)));
        }
    }
    for (class, name, known) in hits {
        let kind = match class {
            Class::Password => &PASSWORDS,
            Class::Secret => &SECRETS,
            Class::Card => &CARDS,
        };
        let who = cx.actor(actor).name.clone();
        let proof = if known {
            "the value is the very password that an identity of this scan logs in with"
        } else {
            "the member stands in the answer with a value that is neither empty nor masked, and that the request did not carry"
        };
        let finding =
            Finding::new(kind, Confidence::Confirmed, label, &[exchange]).at(format!("answer {name}"));
        cx.report(
            finding
                .saying(format!("`{name}` is in the answer to {who}"))
                .proved("an answer without it", proof),
        );
    }
}

/// A description of an API or a schema speaks of passwords without having any.
fn is_document(answer: &Value) -> bool {
    ["openapi", "swagger", "$schema", "paths", "definitions"].iter().any(|key| answer.get(key).is_some())
}

fn classify(pointer: &str, value: &Value, answer: &Value, passwords: &[String]) -> Option<Class> {
    let name = last_name(pointer);
    let flat = words::flat(name);
    let shown = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let masked = shown.contains("**")
        || shown.contains('•')
        || shown.to_lowercase().contains("xxx")
        || shown.contains("...")
        || matches!(
            shown.to_lowercase().as_str(),
            "" | "null"
                | "none"
                | "hidden"
                | "redacted"
                | "[redacted]"
                | "string"
                | "updated."
                | "updated"
                | "password"
                | "required"
                | "n/a"
        );
    if masked || shown.contains(' ') && shown.len() < 200 && !shown.contains("PRIVATE KEY") {
        return None;
    }
    if value.is_string() && passwords.contains(&shown) {
        return Some(Class::Password);
    }
    // A shell's working directory bears the name of a password.
    if matches!(flat.as_str(), "pwd" | "oldpwd") && shown.starts_with(['/', '\\']) {
        return None;
    }
    // A whole word of a password's name, and a value that is none of a setting (`passwordPolicy`, `passwordUrl`).
    let setting = words::has(
        name,
        &[
            "policy", "url", "uri", "link", "hint", "reset", "changed", "updated", "expires", "expiry",
            "length", "min", "max", "required", "at", "on", "date", "strength", "type", "field", "label",
            "error", "message", "rule", "rules",
        ],
    );
    if value.is_string()
        && !setting
        && (words::is_password(name)
            || matches!(
                flat.as_str(),
                "pwdhash" | "passwordhash" | "passhash" | "hashedpassword" | "passworddigest"
            ))
        && shown.len() >= 3
    {
        return Some(Class::Password);
    }
    if HASH.as_ref().is_some_and(|hash| hash.is_match(&shown)) {
        return Some(Class::Password);
    }
    if KEY.as_ref().is_some_and(|key| key.is_match(&shown)) {
        return Some(Class::Secret);
    }
    if value.is_string()
        && shown.len() >= 6
        && !setting
        && (matches!(
            flat.as_str(),
            "privatekey"
                | "secretkey"
                | "secretaccesskey"
                | "clientsecret"
                | "jwtsecret"
                | "appsecretkey"
                | "appsecret"
                | "dbpassword"
                | "databaseurl"
                | "mfasecret"
                | "totpsecret"
                | "otpsecret"
                | "encryptionkey"
                | "signingkey"
                | "resettoken"
                | "resetpin"
                | "resetcode"
        ) || (flat == "apikey" && pointer.matches('/').count() > 1 && pointer.contains("/0/")))
    {
        return Some(Class::Secret);
    }
    let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
    let cardish = words::contains(name, &["cardnumber", "creditcard"]) || words::has(name, &["pan"]);
    if cardish && (13..=19).contains(&digits.len()) && digits.len() + 4 >= shown.len() {
        return Some(Class::Card);
    }
    let beside_card = {
        let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        answer
            .pointer(parent)
            .and_then(Value::as_object)
            .is_some_and(|all| all.keys().any(|key| words::contains(key, &["card"])))
    };
    if matches!(flat.as_str(), "cvv" | "cvc" | "cvv2" | "cardcvv" | "securitycode")
        && (3..=4).contains(&digits.len())
        && (beside_card || flat != "securitycode")
    {
        return Some(Class::Card);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_and_values_that_are_secrets_and_that_are_not() {
        let class = |pointer: &str, value: Value| {
            classify(pointer, &value, &json!({}), &["hunter22".to_owned()]).is_some()
        };
        assert!(class("/users/0/password", json!("pass1")));
        assert!(class("/x", json!("hunter22")));
        assert!(class("/hash", json!(format!("$2b$12${}", "a".repeat(53)))));
        assert!(class("/card_number", json!("4111111111111111")) && class("/cvv", json!("123")));
        for (pointer, value) in [
            ("/password", json!("********")),
            ("/Password", json!("Updated.")),
            ("/passwordPolicy", json!("strong")),
            ("/password", json!("must have eight characters")),
            ("/password", json!(true)),
            ("/card_number", json!("************1111")),
            ("/passport", json!("x1234567")),
            ("/token", json!("abcdefgh")),
            ("/PWD", json!("/srv/app")),
            ("/algorithm", json!("pbkdf2_sha256")),
        ] {
            assert!(!class(pointer, value.clone()), "{pointer} {value}");
        }
    }
}
