//! Object level: what belongs to one user, asked for by another.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::Value;

use super::Check;
use crate::api::{Call, Danger, Place, text};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Exchange;
use crate::pool::{last_name, leaves};
use crate::realms::{is_empty_page, shows_nothing};
use crate::session::{ANONYMOUS, Lists, Named, Outcome, Session};
use crate::words;

/// The check of reads.
pub(crate) static READ: Check = Check {
    name: "bola-read",
    about: "one user reads what belongs to another",
    kinds: &[&BOLA_READ, &NO_AUTHENTICATION],
    run: read,
};

/// One user reads another's object.
pub(super) static BOLA_READ: Kind = Kind {
    code: "bola-read",
    title: "A user reads an object that belongs to another",
    owasp: Owasp::Api1,
    cwe: 639,
    severity: Severity::High,
    fix: "Compare the object's owner with the caller in the query that loads it, and answer 404 when they differ.",
    block: "authorize: { owner: { response: /owner_id, is: token.sub } } or bind the path to the caller",
};

/// Nobody reads somebody's object.
pub(super) static NO_AUTHENTICATION: Kind = Kind {
    code: "private-without-login",
    title: "Anyone reads private data without logging in",
    owasp: Owasp::Api2,
    cwe: 306,
    severity: Severity::High,
    fix: "Ask for a credential before the object is loaded, and compare its owner with the caller.",
    block: "authenticate: the operation gets a `security` of its own in the contract or a policy",
};

/// How an answer to A shows that it is A's alone.
struct Proof {
    /// Names of members that B saw nowhere else.
    exclusive: Vec<String>,
    private: bool,
    /// Whether the others' own reads show values that are rare enough to be this object's.
    shared: bool,
}

fn read(cx: &mut Session<'_>) -> Outcome {
    let readers = cx.operations(|op| {
        op.is_get()
            && op.danger() == Danger::Read
            && (!op.path_names().is_empty()
                || op.params.iter().any(|p| p.place == Place::Query && words::is_id(&p.name)))
    });
    let users: Vec<usize> = cx.users().into_iter().take(2).collect();
    for index in readers {
        for (turn, owner) in users.iter().enumerate() {
            let other = users.get(1 - turn).copied();
            if cx.has_confirmed(&BOLA_READ, &cx.operation(index).label()) {
                break;
            }
            read_one(cx, index, *owner, other)?;
        }
        if users.is_empty() {
            read_one(cx, index, ANONYMOUS, None)?;
        }
    }
    Ok(())
}

/// Calls of a reader with ids that are the owner's.
fn calls(cx: &mut Session<'_>, index: usize, owner: usize) -> Outcome<Vec<(Call, Rc<Exchange>)>> {
    let mut calls = Vec::new();
    if let Some(baseline) = cx.baseline(index, owner)? {
        calls.push((baseline.call, baseline.exchange));
    }
    // Further objects of the owner's: the first one may be everybody's.
    let operation = cx.operation(index).clone();
    let last =
        operation.params.iter().rfind(|p| p.place == Place::Path && !words::contains(&p.name, &["version"]));
    let last =
        last.or_else(|| operation.params.iter().find(|p| p.place == Place::Query && words::is_id(&p.name)));
    let Some(param) = last else { return Ok(calls) };
    let noun = if param.place == Place::Path {
        crate::session::noun_before(&operation, &param.name)
    } else {
        operation.noun()
    };
    // Where the first ones showed nothing, one of the others may.
    let again = cx.looks_again();
    let most = if again { 12 } else { 2 };
    let fitting = cx.pool.fitting(owner, &param.name, &noun, &param.schema);
    let own: Vec<String> =
        fitting.iter().filter(|e| e.actor == owner).map(|e| e.value.clone()).take(most).collect();
    let slot =
        crate::api::Slot { place: param.place, name: param.name.clone(), schema: param.schema.clone() };
    for value in own {
        let call = match calls.first() {
            Some((call, _)) => call.clone(),
            None => cx.compose(index, owner, crate::values::Taste::Marked),
        };
        let call = call.with(&slot, Value::String(value));
        let request = cx.request_of(&call);
        if calls.iter().any(|(known, _)| cx.request_of(known) == request) {
            continue;
        }
        let exchange = cx.call(owner, &call)?;
        if exchange.response.ok() {
            cx.note_answer(index, owner, &exchange, false);
            calls.push((call, exchange));
        }
    }
    if again {
        calls.retain(|(_, exchange)| !exchange.response.json().is_some_and(|answer| shows_nothing(&answer)));
        calls.truncate(3);
    }
    Ok(calls)
}

fn read_one(cx: &mut Session<'_>, index: usize, owner: usize, other: Option<usize>) -> Outcome {
    let operation = cx.operation(index).clone();
    for (call, mine) in calls(cx, index, owner)? {
        let Some(answer) = mine.response.json() else { continue };
        let others: Vec<usize> = other.into_iter().chain([ANONYMOUS]).collect();
        let proof = proof(cx, &call, &answer, owner, &others);
        let nobody = cx.call(ANONYMOUS, &call)?;
        let open = nobody.response.ok() && !crate::session::says_failure(&nobody.response);
        let own_id = id_is_own(cx, index, &call, owner, &others);
        if open {
            if operation.path_says(&["public"]) || !same_content(&answer, &nobody, &proof) {
                continue;
            }
            // Whoever reads it, it is private only if it says so, and only if it is about one object.
            let telling: Vec<String> =
                names(&answer).into_iter().filter(|name| words::is_sensitive(name)).collect();
            let distinct = is_about_the_id(cx, index, &call, &nobody, ANONYMOUS)?;
            if (telling.is_empty() || !distinct) && !(own_id && proof.private && distinct) {
                continue;
            }
            let confidence = match (own_id, telling.is_empty()) {
                (true, false) => Confidence::Confirmed,
                // An address or a number to call may be there for all to see.
                (true, true) => Confidence::Likely,
                _ => Confidence::Suspected,
            };
            let summary = format!(
                "{} gives {} to anyone who knows or guesses the id",
                operation.label(),
                list(&telling, &proof)
            );
            let finding = Finding::new(&NO_AUTHENTICATION, confidence, operation.label(), &[&mine, &nobody])
                .saying(summary);
            cx.report(finding.proved(
                "401 without a credential",
                "the owner and a caller without any credential got the same private members, and another id gives another answer",
            ));
            continue;
        }
        let Some(other) = other else { continue };
        let theirs = cx.call(other, &call)?;
        if !theirs.response.ok() || crate::session::says_failure(&theirs.response) {
            continue;
        }
        if !same_content(&answer, &theirs, &proof) {
            continue;
        }
        if proof.exclusive.is_empty() && !own_id {
            continue;
        }
        let personal = operation.segments().any(|s| words::split(s).iter().any(|w| words::is_personal(w)));
        let telling = names(&answer).iter().any(|name| words::is_sensitive(name));
        let about =
            !proof.exclusive.is_empty() || own_id && is_about_the_id(cx, index, &call, &theirs, other)?;
        if !about && !personal {
            continue;
        }
        let lists = lists(cx, index, &call, (owner, other))?;
        let apart = matches!(lists, Lists::Apart(..));
        let sure = about && own_id && (apart || personal && !proof.exclusive.is_empty() || telling)
            || proof.exclusive.iter().any(|name| words::is_sensitive(name));
        // What one's own list shows to everybody is meant for everybody, as far as can be seen from outside.
        let shared = matches!(lists, Lists::Shared) && !telling
            || !apart && proof.shared && proof.exclusive.is_empty();
        let confidence = if shared {
            Confidence::Suspected
        } else if sure {
            Confidence::Confirmed
        } else if apart || personal || proof.private {
            Confidence::Likely
        } else {
            Confidence::Suspected
        };
        let (a, b) = (cx.actor(owner).name.clone(), cx.actor(other).name.clone());
        let shown = if apart {
            format!("; the list that shows it to {a} does not show it to {b}")
        } else if own_id {
            format!(", under an id that {b}'s own lists do not show")
        } else {
            ", some of which were shown to nobody else anywhere".to_owned()
        };
        let status = nobody.response.status;
        let mut finding = Finding::new(&BOLA_READ, confidence, operation.label(), &[])
            .saying(format!("{b} reads what belongs to {a}: {}", list(&[], &proof)))
            .proved(
                "403 or 404 for everyone but the owner",
                format!("{b} got the same values as {a}{shown}; without a credential the answer is {status}"),
            );
        finding.evidence = evidence(&[&mine, &nobody, &theirs], &lists);
        cx.report(finding);
    }
    Ok(())
}

/// How the lists of both treat the object that a call names.
fn lists(cx: &mut Session<'_>, index: usize, call: &Call, (owner, other): (usize, usize)) -> Outcome<Lists> {
    let operation = cx.operation(index);
    let parameter = crate::explore::last_parameter(operation);
    let noun = crate::session::noun_before(operation, &parameter);
    let Some(id) = call.path.get(&parameter).cloned() else { return Ok(Lists::Silent) };
    cx.lists(owner, other, Named { id: &id, parameter: &parameter, noun: &noun })
}

/// What proves it. The attack stands last: who made it owns nothing here, everyone before may.
fn evidence(calls: &[&Rc<Exchange>], lists: &Lists) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = calls.iter().map(|exchange| exchange.as_ref().clone()).collect();
    if let Lists::Apart(mine, theirs) = lists {
        all.extend([mine.as_ref().clone(), theirs.as_ref().clone()]);
    }
    all
}

fn list(telling: &[String], proof: &Proof) -> String {
    let mut names: Vec<String> =
        telling.iter().chain(&proof.exclusive).map(|name| format!("`{name}`")).collect();
    names.dedup();
    names.truncate(5);
    if names.is_empty() { "the whole object".to_owned() } else { names.join(", ") }
}

fn names(answer: &Value) -> Vec<String> {
    let mut names: Vec<String> = leaves(answer)
        .iter()
        .filter(|(_, value)| !value.is_null() && value.as_str() != Some(""))
        .map(|(pointer, _)| last_name(pointer).to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn proof(cx: &Session<'_>, call: &Call, answer: &Value, owner: usize, others: &[usize]) -> Proof {
    let carried: Vec<String> =
        call.path.values().cloned().chain(call.query.iter().map(|(_, v)| v.clone())).collect();
    let mut exclusive = Vec::new();
    let mut shared = false;
    for (pointer, value) in leaves(answer) {
        let shown = text(value);
        let rare = match value {
            Value::String(s) => s.len() >= 4 && !looks_like_time(s),
            Value::Number(_) => shown.len() >= 5 && !looks_like_epoch(&shown),
            _ => false,
        };
        if !rare || carried.contains(&shown) {
            continue;
        }
        if cx.pool.only(owner, others, &shown) {
            exclusive.push(last_name(&pointer).to_owned());
        }
        // What is made up for one call stands in no other answer by chance.
        shared |= shown.starts_with("pc")
            && shown.len() > 9
            && others.iter().any(|other| cx.pool.saw(*other, &shown));
    }
    exclusive.sort();
    exclusive.dedup();
    let private = exclusive.iter().any(|name| words::is_private(name));
    Proof { exclusive, private, shared }
}

fn looks_like_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && bytes.iter().take(4).all(u8::is_ascii_digit)
        || text.ends_with(" GMT")
}

fn looks_like_epoch(text: &str) -> bool {
    text.len() >= 10
        && (text.starts_with("16")
            || text.starts_with("17")
            || text.starts_with("18")
            || text.starts_with("19"))
}

/// Whether the id in the call is one that the owner's lists show and the others' do not.
fn id_is_own(cx: &Session<'_>, index: usize, call: &Call, owner: usize, others: &[usize]) -> bool {
    let operation = cx.operation(index);
    let ids = operation
        .params
        .iter()
        .filter(|p| p.place == Place::Path || p.place == Place::Query && words::is_id(&p.name));
    let values: Vec<String> = ids
        .filter_map(|p| match p.place {
            Place::Path => call.path.get(&p.name).cloned(),
            _ => call.query.iter().find(|(name, _)| *name == p.name).map(|(_, value)| value.clone()),
        })
        .collect();
    // Small numbers are seen everywhere for other reasons; there, only what one made counts.
    values.iter().any(|value| {
        if value.len() >= 4 { cx.pool.only(owner, others, value) } else { made_by(cx, owner, value) }
    })
}

fn made_by(cx: &Session<'_>, owner: usize, value: &str) -> bool {
    let made = |actor: usize| {
        cx.made.iter().filter(move |m| m.actor == actor).any(|m| {
            m.exchange.response.json().is_some_and(|answer| {
                leaves(&answer)
                    .iter()
                    .any(|(pointer, leaf)| words::is_id(last_name(pointer)) && text(leaf) == value)
            })
        })
    };
    made(owner)
}

/// Whether the other answer shows what the owner's did, at the same places.
fn same_content(answer: &Value, theirs: &Exchange, proof: &Proof) -> bool {
    let Some(other) = theirs.response.json() else { return false };
    let mine = leaves(answer);
    let same = mine.iter().filter(|(pointer, value)| other.pointer(pointer) == Some(value)).count();
    let needed: Vec<_> =
        mine.iter().filter(|(p, _)| proof.exclusive.iter().any(|name| name == last_name(p))).collect();
    let exclusive_there =
        needed.is_empty() || needed.iter().any(|(pointer, value)| other.pointer(pointer) == Some(value));
    !mine.is_empty() && !is_empty_page(answer) && same * 4 >= mine.len() * 3 && exclusive_there
}

/// Whether another id gives another answer: an answer that is the same for all is about nobody.
fn is_about_the_id(
    cx: &mut Session<'_>,
    index: usize,
    call: &Call,
    seen: &Exchange,
    actor: usize,
) -> Outcome<bool> {
    let operation = cx.operation(index).clone();
    let param = operation.params.iter().rfind(|p| p.place == Place::Path);
    let Some(param) = param.or_else(|| operation.params.iter().find(|p| words::is_id(&p.name))) else {
        return Ok(false);
    };
    let slot =
        crate::api::Slot { place: param.place, name: param.name.clone(), schema: param.schema.clone() };
    let other =
        if crate::api::kind_of(&param.schema) == "integer" { "987654321".to_owned() } else { cx.marker() };
    let exchange = cx.call(actor, &call.with(&slot, Value::String(other)))?;
    Ok(exchange.response.status != seen.response.status || leaves_text(&exchange) != leaves_text(seen))
}

fn leaves_text(exchange: &Exchange) -> Vec<String> {
    let answer = exchange.response.json().unwrap_or_default();
    leaves(&answer)
        .iter()
        .filter(|(_, v)| !v.as_str().is_some_and(looks_like_time))
        .map(|(_, v)| text(v))
        .collect()
}
