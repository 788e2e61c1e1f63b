//! Business: amounts below zero, the same thing twice, and two calls at once.

use portcullis_engine::{Owasp, Severity};
use serde_json::{Value, json};

use super::Check;
use crate::api::{Danger, Operation, Place, Slot};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Exchange;
use crate::session::{Baseline, Outcome, Session, says_failure};
use crate::words;

/// The check.
pub(super) static FLOW: Check = Check {
    name: "business-flow",
    about: "amounts below zero and without bound, limits that are stated and not kept",
    kinds: &[&NEGATIVE, &HUGE, &STATED],
    run,
};

static NEGATIVE: Kind = Kind {
    code: "negative-amount",
    title: "An amount below zero is accepted",
    owasp: Owasp::Api6,
    cwe: 840,
    severity: Severity::High,
    fix: "Bound amounts and quantities from below and above before they are used.",
    block: "validate: `minimum` and `maximum` in the contract",
};

static HUGE: Kind = Kind {
    code: "amount-unlimited",
    title: "An amount of any size is accepted",
    owasp: Owasp::Api6,
    cwe: 840,
    severity: Severity::Medium,
    fix: "Bound what one call may move, lend or pay, and what a customer may in a day.",
    block: "validate: `maximum` in the contract",
};

/// More than anybody moves in one call; each call asks for fifty times as much as the one before, since what that one moved
/// covers nothing then.
fn much(cx: &Session<'_>) -> i64 {
    let before = cx.findings.iter().filter(|finding| finding.kind == &HUGE).count().min(5);
    1_000_000_007 * 50_i64.pow(u32::try_from(before).unwrap_or(0))
}

static STATED: Kind = Kind {
    code: "stated-limit-not-kept",
    title: "More is taken than the API itself says one may have",
    owasp: Owasp::Api6,
    cwe: 841,
    severity: Severity::Medium,
    fix: "Check the limit where the order is written, over all orders of the customer.",
    block: "flow: a limit of units a consumer",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    negative(cx)?;
    stated(cx)?;
    unlimited(cx)
}

/// Paths under which an amount goes one way only.
const MOVES: [&str; 19] = [
    "transfer",
    "payment",
    "pay",
    "loan",
    "order",
    "checkout",
    "purchase",
    "withdraw",
    "withdrawal",
    "deposit",
    "cart",
    "basket",
    "refund",
    "buy",
    "card",
    "bill",
    "charge",
    "payout",
    "topup",
];

/// Whether it moves, lends or takes money or goods.
pub(super) fn moves(operation: &Operation) -> bool {
    operation.path_says(&MOVES)
        || operation.segments().any(|segment| MOVES.contains(&words::singular(segment).as_str()))
}

fn is_amount(name: &str) -> bool {
    words::has(name, &["amount", "quantity", "qty", "price", "sum", "count", "units", "limit"])
        || words::contains(name, &["amount", "quantity"])
}

fn makers(cx: &Session<'_>) -> Vec<usize> {
    cx.operations(|op| {
        op.danger() == Danger::Write
            && op.body.is_some()
            && !op.alters_account()
            && !op.is_login()
            && !op.is_register()
    })
}

fn negative(cx: &mut Session<'_>) -> Outcome {
    for index in makers(cx) {
        let operation = cx.operation(index).clone();
        let actor = cx.disposables().last().copied().unwrap_or_else(|| cx.first_user());
        let Some(baseline) = cx.baseline(index, actor)? else { continue };
        for slot in operation.slots(&baseline.call) {
            let minimum = slot.schema.get("minimum").and_then(Value::as_f64);
            if slot.place != Place::Body
                || !matches!(slot.kind(), "integer" | "number")
                || !is_amount(slot.key())
                || minimum.is_some_and(|m| m < 0.0)
            {
                continue;
            }
            let call = baseline.call.with(&slot, json!(-3));
            let exchange = cx.call(actor, &call)?;
            if !exchange.response.ok() || says_failure(&exchange.response) {
                continue;
            }
            // What it did is shown by another number below zero: what was computed of it. Where the number itself is all
            // that is shown, it may be one that can well be below zero.
            let before = baseline.exchange.response.json().unwrap_or_default();
            let below = |(pointer, value): &(String, &Value)| {
                value.as_f64().is_some_and(|n| n < 0.0)
                    && !words::flat(crate::pool::last_name(pointer)).ends_with(&words::flat(slot.key()))
                    && before.pointer(pointer).and_then(Value::as_f64).is_some_and(|n| n >= 0.0)
            };
            let shown =
                exchange.response.json().is_some_and(|answer| crate::pool::leaves(&answer).iter().any(below));
            // A value that the server turns away otherwise shows that it looks: zero and words.
            let words_call = baseline.call.with(&slot, json!("pc"));
            let checked = !cx.call(actor, &words_call)?.response.ok();
            // Money that is moved, lent or paid, and goods that are ordered, have a direction.
            let confidence = if shown || checked && moves(&operation) {
                Confidence::Confirmed
            } else {
                Confidence::Likely
            };
            let finding =
                Finding::new(&NEGATIVE, confidence, operation.label(), &[&baseline.exchange, &exchange])
                    .at(slot.label());
            cx.report(finding.saying(format!("`{}: -3` succeeds like a positive number", slot.key())).proved(
                "400",
                if shown { "the call succeeded, and its answer shows a number below zero" } else { "the call with -3 succeeded like the one with a positive number, while a word in its place is refused: the number was used" },
            ));
        }
    }
    Ok(())
}

/// Money that is moved, lent or paid without any bound. Goods are left alone: what the scan orders, nobody else gets. Each
/// operation in the name of a new account, since the one before may have ruined its own.
fn unlimited(cx: &mut Session<'_>) -> Outcome {
    // Whom another kind of accounts charges may have been made rich by what was tried before.
    if cx.realm.is_some() {
        return Ok(());
    }
    let is_money = |slot: &Slot| {
        slot.place == Place::Body
            && (words::has(slot.key(), &["amount", "sum"]) || words::contains(slot.key(), &["amount"]))
            && matches!(slot.kind(), "integer" | "number")
            && slot.schema.get("maximum").is_none()
    };
    for index in makers(cx) {
        let operation = cx.operation(index).clone();
        let usual = cx.disposables().last().copied();
        let Some(usual) = usual.filter(|_| moves(&operation)) else { continue };
        let Some(known) = cx.baseline(index, usual)? else { continue };
        let Some(slot) = operation.slots(&known.call).into_iter().find(is_money) else { continue };
        let Some(fresh) = cx.register(&serde_json::Map::new())? else { continue };
        if let Some(baseline) = cx.baseline(index, fresh)? {
            huge(cx, fresh, &baseline, &slot)?;
        }
    }
    Ok(())
}

fn huge(cx: &mut Session<'_>, actor: usize, baseline: &Baseline, slot: &Slot) -> Outcome {
    let operation = cx.operation(baseline.call.operation).clone();
    let done = |exchange: &Exchange| exchange.response.ok() && !says_failure(&exchange.response);
    // A server that turns a word away looks at the member.
    let word = cx.call(actor, &baseline.call.with(slot, json!("pc")))?;
    if done(&word) {
        return Ok(());
    }
    let much = much(cx);
    let call = baseline.call.with(slot, json!(much));
    let exchange = cx.call(actor, &call)?;
    if done(&exchange) {
        let finding =
            Finding::new(&HUGE, Confidence::Confirmed, operation.label(), &[&baseline.exchange, &exchange])
                .at(slot.label());
        cx.report(finding.saying(format!("`{}: {much}` succeeds like a small number", slot.key())).proved(
            "400, or a refusal for want of cover",
            "the call with the amount succeeded like the one before, while a word in its place is refused: the number was used",
        ));
        return Ok(());
    }
    if !(400..500).contains(&exchange.response.status) && !exchange.response.ok() {
        return Ok(());
    }
    // It is refused, as it should be. What refuses it may hang on a choice that the caller makes: how it is paid.
    let choices = operation
        .slots(&baseline.call)
        .into_iter()
        .filter(|other| other.place == Place::Body && other.schema.get("enum").is_some_and(Value::is_array));
    for choice in choices.take(2) {
        let unlisted = cx.marker();
        let with = |value: Value| call.with(&choice, value);
        let passed = cx.call(actor, &with(Value::String(unlisted.clone())))?;
        if !done(&passed) {
            continue;
        }
        let finding = Finding::new(&HUGE, Confidence::Confirmed, operation.label(), &[&exchange, &passed])
            .at(slot.label());
        cx.report(finding.saying(format!("`{}: {much}` succeeds when `{}` is a word that is on no list", slot.key(), choice.key())).proved(
            "400: the contract lists the choices",
            format!("the same call with a choice of the contract is refused for its amount, and with `{unlisted}` in its place it succeeds"),
        ));
        break;
    }
    Ok(())
}

/// The id of an object in an answer, and a limit for each customer that stands beside it.
fn limited(answer: &Value, found: &mut Vec<(String, u64)>) {
    match answer {
        Value::Object(members) => {
            let limit = members.iter().find_map(|(name, value)| {
                let each = words::has(name, &["customer", "user", "person", "account", "order", "buyer"]);
                let limit = words::has(name, &["limit", "max", "maximum"]) && each;
                value.as_u64().filter(|limit_value| limit && (1..1000).contains(limit_value))
            });
            let id = members.get("id").or_else(|| members.get("_id")).map(crate::api::text);
            if let (Some(limit), Some(id)) = (limit, id) {
                found.push((id, limit));
            }
            members.values().for_each(|member| limited(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| limited(item, found)),
        _ => {}
    }
}

/// One more than the limit that an object names.
fn stated(cx: &mut Session<'_>) -> Outcome {
    let mut limits: Vec<(usize, (String, u64))> = Vec::new();
    let baselines: Vec<_> =
        cx.baselines.iter().filter_map(|((index, _), b)| Some((*index, b.clone()?))).collect();
    for (index, baseline) in baselines {
        if !cx.operation(index).is_get() {
            continue;
        }
        let mut found = Vec::new();
        limited(&baseline.exchange.response.json().unwrap_or_default(), &mut found);
        limits.extend(found.into_iter().take(2).map(|limit| (index, limit)));
    }
    let actor = cx.disposables().last().copied().unwrap_or_else(|| cx.first_user());
    let makers =
        cx.operations(|op| op.method == "POST" && op.danger() == Danger::Write && !op.alters_account());
    for (source, (id, limit)) in limits.into_iter().take(4) {
        let noun = cx.operation(source).noun();
        for index in &makers {
            let operation = cx.operation(*index).clone();
            if cx.has_reported(&STATED, &operation.label()) {
                continue;
            }
            let Some(baseline) = cx.baseline(*index, actor)? else { continue };
            let slots = operation.slots(&baseline.call);
            let names = |slot: &&crate::api::Slot| {
                words::is_id(slot.key()) && words::telling(slot.key()).contains(&noun)
            };
            let amount = |slot: &&crate::api::Slot| {
                slot.place == Place::Body && words::has(slot.key(), &["quantity", "qty", "count", "units"])
            };
            let (Some(which), Some(much)) = (slots.iter().find(names), slots.iter().find(amount)) else {
                continue;
            };
            let call = baseline.call.with(which, crate::session::typed(&id, &which.schema));
            let one = cx.call(actor, &call.with(much, json!(1)))?;
            let over = call.with(much, json!(limit + 1));
            let exchange = cx.call(actor, &over)?;
            let fine = |exchange: &crate::http::Exchange| {
                exchange.response.ok() && !says_failure(&exchange.response)
            };
            if !fine(&one) || !fine(&exchange) {
                continue;
            }
            let shown = cx.baselines.get(&(source, actor)).cloned().flatten().map(|b| b.exchange);
            let mut evidence = vec![&one, &exchange];
            evidence.extend(shown.as_ref());
            let finding =
                Finding::new(&STATED, Confidence::Confirmed, operation.label(), &evidence).at(much.label());
            cx.report(
                finding
                    .saying(format!(
                        "{} of a {noun} that says {limit} for each customer were taken",
                        limit + 1
                    ))
                    .proved(
                        "409 or 400",
                        format!(
                            "the {noun} itself names the limit, and one call for one more than that succeeds"
                        ),
                    ),
            );
        }
    }
    Ok(())
}
