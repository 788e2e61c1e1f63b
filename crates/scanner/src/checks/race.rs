//! Races: what may be done once, done by two calls at the same moment.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Map, Value};

use super::Check;
use crate::api::{Call, Danger, Place, Slot, text};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::{Exchange, Request};
use crate::pool::{last_name, leaves};
use crate::session::{ANONYMOUS, Made, Outcome, Session, noun_before, says_failure};
use crate::values::Taste;
use crate::words;

/// The check.
pub(super) static RACE: Check = Check {
    name: "race",
    about: "what may be done once, by calls at the same moment",
    kinds: &[&RACE_KIND],
    run,
};

static RACE_KIND: Kind = Kind {
    code: "race-condition",
    title: "Calls at the same moment do what may be done once",
    owasp: Owasp::Api6,
    cwe: 362,
    severity: Severity::High,
    fix: "Check and change in one statement or under one lock, and let a unique key in the database have the last word.",
    block: "limit: one call at a time a consumer on the operation",
};

/// Calls that go out at once.
const AT_ONCE: usize = 8;

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    spending(cx)?;
    once(cx)
}

fn is_success(exchange: &Exchange) -> bool {
    exchange.response.ok() && !says_failure(&exchange.response)
}

/// Refused for what it asks, not for how often or by whom.
fn is_refusal(exchange: &Exchange) -> bool {
    matches!(exchange.response.status, 400 | 402 | 403 | 404 | 409 | 410 | 412 | 422)
        || exchange.response.ok() && says_failure(&exchange.response)
}

/// The amount that an identity has to spend, as its own account shows it.
fn balance(cx: &mut Session<'_>, actor: usize) -> Outcome<Option<(Rc<Exchange>, f64)>> {
    let Some(name) = cx.actor(actor).username.clone() else { return Ok(None) };
    let is_balance =
        |key: &str| words::has(key, &["balance", "credit", "credits", "funds", "wallet", "points"]);
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str().and_then(|t| t.parse().ok()));
    let shown = cx.look_up(actor, &name)?;
    let found = shown.into_iter().find_map(|(exchange, object)| {
        let amount = object.iter().filter(|(key, _)| is_balance(key)).find_map(|(_, value)| number(value))?;
        Some((exchange, amount))
    });
    if found.is_some() {
        return Ok(found);
    }
    // What the registration answered, where no read shows it.
    let made = cx.made.iter().find(|m| m.actor == actor && cx.operation(m.operation).is_register());
    let Some(exchange) = made.map(|made| made.exchange.clone()) else { return Ok(None) };
    let answer = exchange.response.json().unwrap_or_default();
    let amount = leaves(&answer)
        .into_iter()
        .filter(|(pointer, _)| is_balance(last_name(pointer)))
        .find_map(|(_, value)| number(value));
    Ok(amount.map(|amount| (exchange, amount)))
}

/// All that an identity has, spent by several calls at once.
fn spending(cx: &mut Session<'_>) -> Outcome {
    let spenders = cx.operations(|op| {
        op.method == "POST"
            && op.danger() == Danger::Write
            && op.path_names().is_empty()
            && !op.is_login()
            && !op.is_register()
            && !op.alters_account()
            && op.body_members().iter().any(|(name, _)| is_amount(name))
    });
    for index in spenders.into_iter().take(4) {
        let mut fresh = Vec::new();
        for _ in 0..2 {
            fresh.extend(cx.register(&Map::new())?);
        }
        let [first, second] = fresh[..] else { return Ok(()) };
        let Some((_, had)) = balance(cx, first)?.filter(|(_, had)| *had >= 1.0) else { return Ok(()) };
        let Some((shown, other)) = balance(cx, second)?.filter(|(_, other)| *other >= 1.0) else {
            return Ok(());
        };
        // One after the other: the first may spend all, the second finds nothing left.
        let Some(call) = spend(cx, index, first, had) else { continue };
        let paid = cx.call(first, &call)?;
        if !is_success(&paid) {
            continue;
        }
        let refused = cx.call(first, &call)?;
        if !is_refusal(&refused) {
            continue;
        }
        let Some(call) = spend(cx, index, second, other) else { continue };
        let request = cx.request_of(&call);
        let answers = cx.send_at_once(second, &vec![request; AT_ONCE])?;
        let passed: Vec<&Rc<Exchange>> = answers.iter().filter(|answer| is_success(answer)).collect();
        if passed.len() < 2 {
            continue;
        }
        let label = cx.operation(index).label();
        let mut evidence = vec![&paid, &refused, &shown];
        evidence.extend(passed.first());
        let finding = Finding::new(&RACE_KIND, Confidence::Confirmed, label, &evidence).at_once(3, AT_ONCE);
        cx.report(
            finding
                .saying(format!("{} of {AT_ONCE} calls at once each spent all of {other}", passed.len()))
                .proved(
                    "one success; the others find nothing left",
                    "for an identity of the same kind the second call, made after the first, is refused",
                ),
        );
    }
    Ok(())
}

fn is_amount(name: &str) -> bool {
    words::has(name, &["amount", "sum", "value"]) && !words::has(name, &["limit", "max", "min"])
}

/// A call that spends an amount, towards somebody else where it has to go to somebody.
fn spend(cx: &mut Session<'_>, index: usize, actor: usize, amount: f64) -> Option<Call> {
    let call = cx.compose(index, actor, Taste::Least);
    let slots = cx.operation(index).slots(&call);
    let slot = slots.iter().find(|slot| slot.place == Place::Body && is_amount(slot.key()))?;
    let value = match slot.kind() {
        "integer" => Value::from(amount.floor() as i64),
        "string" => Value::String(amount.to_string()),
        _ => Value::from(amount),
    };
    Some(call.with(slot, value))
}

/// Calls that are taken once and refused the second time, sent at once on something new.
fn once(cx: &mut Session<'_>) -> Outcome {
    let candidates = cx.operations(|op| {
        op.method == "POST"
            && op.danger() == Danger::Write
            && op.path_names().len() <= 1
            && !op.is_login()
            && !op.is_reset_request()
            && !op.is_reset_confirm()
            && (!op.alters_account() || op.is_register())
    });
    for index in candidates.into_iter().take(12) {
        let operation = cx.operation(index).clone();
        let Some(actor) =
            (if operation.is_register() { Some(ANONYMOUS) } else { cx.disposables().last().copied() })
        else {
            return Ok(());
        };
        if cx.has_reported(&RACE_KIND, &operation.label()) {
            continue;
        }
        let Some(call) = new_call(cx, index, actor)? else { continue };
        let first = cx.call(actor, &call)?;
        if !is_success(&first) {
            continue;
        }
        let again = cx.call(actor, &call)?;
        if !is_refusal(&again) {
            continue;
        }
        // The control holds for this call. Now the same with something new, all at once; twice, since a race is
        // a matter of luck.
        for _ in 0..2 {
            let Some(call) = new_call(cx, index, actor)? else { break };
            let request: Request = cx.request_of(&call);
            let answers = cx.send_at_once(actor, &vec![request; AT_ONCE])?;
            let passed: Vec<Rc<Exchange>> = answers.into_iter().filter(|answer| is_success(answer)).collect();
            if passed.len() < 2 {
                continue;
            }
            let confidence =
                if differ(&passed, &operation.noun()) { Confidence::Confirmed } else { Confidence::Likely };
            let mut evidence = vec![&first, &again];
            evidence.extend(passed.first());
            let finding =
                Finding::new(&RACE_KIND, confidence, operation.label(), &evidence).at_once(2, AT_ONCE);
            cx.report(finding.saying(format!("{} of {AT_ONCE} equal calls at once were each taken", passed.len())).proved(
                "one success, the others refused",
                "the same call made twice, one after the other, is refused the second time; the answers to those made at once name different objects",
            ));
            break;
        }
    }
    Ok(())
}

/// Whether answers name different objects: one answer given to all would be a sound way to treat equal calls.
fn differ(passed: &[Rc<Exchange>], noun: &str) -> bool {
    let id = |exchange: &Rc<Exchange>| crate::explore::id_of(&exchange.response.json()?, noun);
    let ids: Vec<String> = passed.iter().filter_map(id).collect();
    ids.iter().any(|one| ids.first() != Some(one))
}

/// A call with fresh values; where it is about an object, about one that is made for it.
pub(super) fn new_call(cx: &mut Session<'_>, index: usize, actor: usize) -> Outcome<Option<Call>> {
    let operation = cx.operation(index).clone();
    let Some(name) = operation.path_names().pop() else {
        return Ok(Some(cx.compose(index, actor, Taste::Marked)));
    };
    // What a body has to say beside free text is what worked before or what the document shows: a code, a choice.
    let known = cx.baselines.iter().filter(|((known, _), _)| *known == index);
    let known = known
        .filter_map(|((_, who), baseline)| Some((*who != actor, baseline.clone()?)))
        .min_by_key(|(other, _)| *other);
    let call = match known {
        Some((_, baseline)) => baseline.call,
        None => cx.compose(index, actor, Taste::Example),
    };
    let noun = noun_before(&operation, &name);
    let maker = cx
        .made
        .iter()
        .find(|made| {
            let maker = cx.operation(made.operation);
            !maker.is_register() && operation.path.starts_with(&format!("{}/{{", maker.path))
        })
        .cloned();
    let Some(maker) = maker else { return Ok(None) };
    let fresh = cx.compose(maker.operation, actor, Taste::Marked);
    let exchange = cx.call(actor, &fresh)?;
    if !is_success(&exchange) {
        return Ok(None);
    }
    let made = Made { operation: maker.operation, actor, call: fresh, exchange, gone: false };
    let Some(about) = cx.call_for(index, &made, &noun) else { return Ok(None) };
    let schema =
        operation.params.iter().find(|p| p.name == name).map(|p| p.schema.clone()).unwrap_or_default();
    let id = about.path.get(&name).cloned().unwrap_or_default();
    let slot = Slot { place: Place::Path, name, schema };
    Ok(Some(call.with(&slot, Value::String(text(&Value::String(id))))))
}
