//! Replays: keys that should make a call count once, and codes that should be good once.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Map, Value};

use super::Check;
use crate::api::{Call, Danger, Operation, Place};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::Exchange;
use crate::session::{Outcome, Session, says_failure};
use crate::words;

/// The check.
pub(super) static REPLAY: Check = Check {
    name: "replay",
    about: "calls and codes that count again when they come again",
    kinds: &[&KEY, &CODE],
    run,
};

static KEY: Kind = Kind {
    code: "replay-accepted",
    title: "A call with a key of its own counts again when it comes again",
    owasp: Owasp::Api6,
    cwe: 294,
    severity: Severity::Medium,
    fix: "Keep each key with the answer that was given for it, and give that answer again.",
    block: "flow: idempotency keys",
};

static CODE: Kind = Kind {
    code: "code-counts-again",
    title: "A code that should be good once counts again",
    owasp: Owasp::Api6,
    cwe: 837,
    severity: Severity::Medium,
    fix: "Mark the code as used for this customer and object in the same transaction that grants it.",
    block: "flow: once an object",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    keys(cx)?;
    codes(cx)
}

fn success(exchange: &Exchange) -> bool {
    exchange.response.ok() && !says_failure(&exchange.response)
}

fn is_key(name: &str) -> bool {
    words::contains(name, &["idempotency", "nonce", "dedupekey"])
}

/// The call with amounts of one: what there is has to suffice for two.
fn small(operation: &Operation, call: &Call) -> Call {
    let slots = operation.slots(call);
    let amounts = slots.iter().filter(|slot| {
        slot.place == Place::Body
            && matches!(slot.kind(), "integer" | "number")
            && words::has(slot.key(), &["amount", "sum", "total"])
    });
    amounts.fold(call.clone(), |call, slot| call.with(slot, Value::from(1)))
}

/// Whether a name is one of a number that the caller gives so that a call is known again: an order of its own.
fn is_callers_number(name: &str) -> bool {
    words::is_id(name)
        && words::split(name).first().is_some_and(|word| {
            matches!(
                word.as_str(),
                "merchant" | "client" | "external" | "partner" | "caller" | "request" | "requestor"
            )
        })
        && words::split(name).len() > 2
}

/// The same key twice: two objects.
fn keys(cx: &mut Session<'_>) -> Outcome {
    let makers =
        cx.operations(|op| op.method == "POST" && op.danger() == Danger::Write && !op.alters_account());
    for index in makers {
        let operation = cx.operation(index).clone();
        let actor = cx.disposables().last().copied().unwrap_or_else(|| cx.first_user());
        let Some(baseline) = cx.baseline(index, actor)? else { continue };
        let mut slots = operation.slots(&baseline.call);
        let pays = super::flow::moves(&operation);
        slots.retain(|slot| is_key(slot.key()) || pays && is_callers_number(slot.key()));
        let Some(slot) = slots.first() else { continue };
        let key = cx.marker();
        let call = small(&operation, &baseline.call.with(slot, Value::String(key)));
        let first = cx.call(actor, &call)?;
        let second = cx.call(actor, &call)?;
        let id = |exchange: &Rc<Exchange>| {
            crate::explore::named_id_of(&exchange.response.json()?, &operation.noun())
        };
        let Some((name, _)) = id(&first).filter(|_| success(&first) && success(&second)) else { continue };
        if id(&first) == id(&second) {
            continue;
        }
        let finding = Finding::new(&KEY, Confidence::Confirmed, operation.label(), &[&first, &second])
            .shows(Sign::Another(0, 1, name));
        cx.report(
            finding.at(slot.label()).saying("the same call with the same key made two objects").proved(
                "the first answer again, or 409",
                "both calls carry one key, and their answers name different objects",
            ),
        );
    }
    Ok(())
}

/// The same code applied twice to one object moves its numbers twice.
fn codes(cx: &mut Session<'_>) -> Outcome {
    let appliers = cx.operations(|op| {
        op.danger() == Danger::Write
            && !op.is_get()
            && op.path_names().len() == 1
            && (op.path_says(&["coupon", "coupons", "voucher", "vouchers", "promo", "promotion", "redeem"])
                || op
                    .body_members()
                    .iter()
                    .any(|(name, _)| words::has(name, &["coupon", "voucher", "promo"])))
    });
    for index in appliers {
        let operation = cx.operation(index).clone();
        let actor = cx.disposables().last().copied().unwrap_or_else(|| cx.first_user());
        let Some(call) = super::race::new_call(cx, index, actor)? else { continue };
        let id = call.path.values().next().cloned().unwrap_or_default();
        let mut answers = Vec::new();
        for _ in 0..3 {
            let exchange = cx.call(actor, &call)?;
            if !success(&exchange) {
                break;
            }
            answers.push(exchange);
        }
        let [first, second, third] = answers.as_slice() else { continue };
        let object = |exchange: &Exchange| -> Option<Map<String, Value>> {
            let answer = exchange.response.json()?;
            crate::session::holder(&answer, &id).or_else(|| answer.as_object().cloned())
        };
        let (Some(a), Some(b), Some(c)) = (object(first), object(second), object(third)) else { continue };
        let moved = a.iter().find(|(name, value)| {
            let step = |from: Option<f64>, to: Option<&Value>| Some(to?.as_f64()? - from?);
            let once = step(value.as_f64(), b.get(*name));
            let twice = step(b.get(*name).and_then(Value::as_f64), c.get(*name));
            // In the same direction both times: a time or a counter of versions is no amount.
            !words::has(
                name,
                &[
                    "id",
                    "version",
                    "revision",
                    "count",
                    "counter",
                    "uses",
                    "used",
                    "attempts",
                    "views",
                    "time",
                    "updated",
                    "modified",
                    "at",
                    "seq",
                    "sequence",
                    "number",
                    "remaining",
                    "left",
                ],
            ) && once.zip(twice).is_some_and(|(x, y)| {
                x.abs() > f64::EPSILON && x.signum() == y.signum() && y.abs() > f64::EPSILON
            })
        });
        let Some((name, _)) = moved else { continue };
        let slot = operation.slots(&call).into_iter().find(|slot| {
            slot.place == Place::Body && words::has(slot.key(), &["code", "coupon", "voucher", "promo"])
        });
        let mut finding =
            Finding::new(&CODE, Confidence::Confirmed, operation.label(), &[first, second, third]);
        if let Some(slot) = slot {
            finding = finding.at(slot.label());
        }
        let shown = |object: &Map<String, Value>| object.get(name).cloned().unwrap_or_default();
        cx.report(finding.saying(format!("the same code moved `{name}` again and again: {}, {}, {}", shown(&a), shown(&b), shown(&c))).proved(
            "409 from the second time on",
            "one call, three times: each time the amount of the same object moves in the same direction",
        ));
    }
    Ok(())
}
