//! References: an account or an order that a call names and that nobody has.

use portcullis_engine::{Owasp, Severity};

use super::Check;
use crate::api::{Call, Danger, Operation, Place, Slot, kind_of};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Exchange;
use crate::session::{Baseline, Outcome, Session, says_failure};
use crate::values::Taste;
use crate::words;

/// The check.
pub(super) static REFERENCE: Check =
    Check { name: "reference", about: "calls that name what is not there", kinds: &[&UNCHECKED], run };

static UNCHECKED: Kind = Kind {
    code: "reference-not-checked",
    title: "A call succeeds for something that is not there",
    owasp: Owasp::Api6,
    cwe: 20,
    severity: Severity::Medium,
    fix: "Look up what a call refers to before anything is done, in the same transaction; let the database keep references.",
    block: "authorize: bind the reference to what the caller may name",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    let writers = cx.operations(|op| {
        op.danger() == Danger::Write
            && op.body.is_some()
            && !op.alters_account()
            && !op.is_login()
            && !op.is_register()
    });
    for index in writers {
        let operation = cx.operation(index).clone();
        let actor = cx.disposables().last().copied().unwrap_or_else(|| cx.first_user());
        let Some(baseline) = cx.baseline(index, actor)? else { continue };
        for slot in operation.slots(&baseline.call).into_iter().filter(refers) {
            one(cx, actor, &operation, &baseline, &slot)?;
        }
    }
    Ok(())
}

/// Whether a place of a body names something else: `to_account`, `productId`.
fn refers(slot: &Slot) -> bool {
    let towards = words::split(slot.key()).first().is_some_and(|word| word == "to" || word == "recipient");
    slot.place == Place::Body
        && matches!(slot.kind(), "string" | "integer")
        && slot.schema.get("enum").is_none()
        && !words::telling(slot.key()).is_empty()
        && (words::is_id(slot.key()) || towards)
}

fn done(exchange: &Exchange) -> bool {
    exchange.response.ok() && !says_failure(&exchange.response)
}

/// A value of the same shape that nobody has: every letter and digit another.
fn like(cx: &mut Session<'_>, value: &str) -> String {
    let mut pick = |from: char, count: u64| {
        let offset = u32::try_from(cx.random.between(0, count)).unwrap_or(0);
        char::from_u32(from as u32 + offset).unwrap_or(from)
    };
    let other: String = value
        .chars()
        .map(|c| match c {
            '0'..='9' => pick('0', 10),
            'a'..='f' => pick('a', 6),
            'g'..='z' => pick('g', 20),
            'A'..='Z' => pick('A', 26),
            c => c,
        })
        .collect();
    // A short number is soon somebody's.
    if value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("98{other}7")
    } else {
        other
    }
}

/// A read that takes such a value, and that says that there is none: asked with one that is there, and with one that is not.
fn reader(cx: &mut Session<'_>, actor: usize, slot: &Slot, there: &str) -> Outcome<Option<Call>> {
    let about = words::telling(slot.key());
    let readers = cx.operations(|op| op.is_get() && op.danger() == Danger::Read);
    for index in readers {
        let operation = cx.operation(index).clone();
        let fits = operation.params.iter().find(|param| {
            let mut named = words::telling(&param.name);
            if named.is_empty() && param.place == Place::Path {
                named.push(crate::session::noun_before(&operation, &param.name));
            }
            (param.place == Place::Path && operation.path.ends_with(&format!("{{{}}}", param.name)))
                && operation.path_names().len() == 1
                && named.last() == about.last()
                && (kind_of(&param.schema) != "integer" || there.parse::<i64>().is_ok())
        });
        let Some(param) = fits else { continue };
        let mut call = cx.compose(index, actor, Taste::Marked);
        call.path.insert(param.name.clone(), there.to_owned());
        let shown = cx.call(actor, &call)?;
        if done(&shown) {
            return Ok(Some(call));
        }
    }
    Ok(None)
}

fn one(
    cx: &mut Session<'_>,
    actor: usize,
    operation: &Operation,
    baseline: &Baseline,
    slot: &Slot,
) -> Outcome {
    let there = baseline.call.text(slot);
    if there.is_empty() {
        return Ok(());
    }
    let Some(mut read) = reader(cx, actor, slot, &there)? else { return Ok(()) };
    let absent = like(cx, &there);
    let value = crate::session::typed(&absent, &slot.schema);
    let exchange = cx.call(actor, &baseline.call.with(slot, value))?;
    if !done(&exchange) {
        return Ok(());
    }
    for id in read.path.values_mut() {
        id.clone_from(&absent);
    }
    let nobody = cx.call(actor, &read)?;
    if nobody.response.status != 404 {
        return Ok(());
    }
    // Elsewhere a reference to nothing may be meant: something that is yet to come.
    let confidence = if super::flow::moves(operation) { Confidence::Confirmed } else { Confidence::Likely };
    let finding =
        Finding::new(&UNCHECKED, confidence, operation.label(), &[&baseline.exchange, &exchange, &nobody])
            .at(slot.label());
    cx.report(finding.saying(format!("`{}` that nobody has is taken like one that is there", slot.key())).proved(
        "404 or 422",
        "the call succeeds for it as for one that is there, and the API itself answers 404 to who asks for it",
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_names_something_else() {
        let slot = |name: &str, kind: &str| Slot {
            place: Place::Body,
            name: format!("/{name}"),
            schema: json!({ "type": kind }),
        };
        for name in ["to_account", "productId", "recipient_account"] {
            assert!(refers(&slot(name, "string")), "{name}");
        }
        for name in ["id", "amount", "description", "name"] {
            assert!(!refers(&slot(name, "string")), "{name}");
        }
        assert!(!refers(&slot("to_account", "boolean")));
    }
}
