//! Values that become part of other queries than SQL: LDAP filters, XPath expressions, operators of document stores.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Value, json};

use super::Check;
use super::sql::{NOSQL, shape};
use crate::api::{Call, Danger, Place, Slot};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::Exchange;
use crate::session::{Outcome, Session, says_failure};
use crate::words;

/// The check.
pub(super) static QUERY: Check = Check {
    name: "query",
    about: "LDAP filters, XPath, operators of document stores",
    kinds: &[&LDAP, &XPATH, &NOSQL],
    run,
};

static LDAP: Kind = Kind {
    code: "ldap-injection",
    title: "A parameter becomes part of an LDAP filter",
    owasp: Owasp::Api8,
    cwe: 90,
    severity: Severity::High,
    fix: "Escape values for filters (RFC 4515), or build filters with the library's own functions.",
    block: "validate: patterns in the contract",
};

static XPATH: Kind = Kind {
    code: "xpath-injection",
    title: "A parameter becomes part of an XPath expression",
    owasp: Owasp::Api8,
    cwe: 643,
    severity: Severity::High,
    fix: "Bind variables; never write values into expressions.",
    block: "validate: patterns in the contract",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    let operations = cx.operations(|op| op.danger() <= Danger::Write && !op.is_login() && !op.is_register());
    for index in operations {
        let operation = cx.operation(index).clone();
        let writes = operation.danger() == Danger::Write;
        if writes && (cx.options.read_only || operation.method != "POST" || operation.alters_account()) {
            continue;
        }
        let actor = cx.first_user();
        let Some(call) = super::sql::start(cx, index, actor)? else { continue };
        for slot in operation.slots(&call) {
            if slot.kind() != "string" || slot.place == Place::Header || words::is_password(slot.key()) {
                continue;
            }
            if !writes {
                conditions(cx, actor, &call, &slot)?;
            }
            // `unequal` matches nearly all there is: nothing that changes what it matches is asked so.
            let asks = !writes
                || operation.path_says(&["search", "find", "query", "filter", "lookup", "list", "graphql"]);
            if asks {
                operators(cx, actor, &call, &slot)?;
            }
        }
    }
    Ok(())
}

/// A condition made of a name or a number, true or false.
type Form = fn(&str, &str) -> String;

/// Pairs of a true and a false condition: all true ones answer like the plain value, no false one does.
fn conditions(cx: &mut Session<'_>, actor: usize, call: &Call, slot: &Slot) -> Outcome {
    fn filter(value: &str, _: &str) -> String {
        format!("{value})(objectClass=*")
    }
    fn no_filter(value: &str, marker: &str) -> String {
        format!("{value})(objectClass={marker}")
    }
    fn expression(value: &str, marker: &str) -> String {
        format!("{value}' and '{marker}'='{marker}")
    }
    fn no_expression(value: &str, marker: &str) -> String {
        format!("{value}' and '{marker}'='x{marker}")
    }
    let forms: [(&Kind, Form, Form, &str); 2] = [
        (&LDAP, filter, no_filter, "an LDAP server"),
        // In SQL the word may be written in capitals as well, in XPath it may not.
        (&XPATH, expression, no_expression, "an XPath processor"),
    ];
    let value = call.text(slot);
    let plain = cx.call(actor, &call.with(slot, Value::String(value.clone())))?;
    if !plain.response.ok() {
        return Ok(());
    }
    let known = shape(&plain, &value, &value);
    for (kind, yes, no, what) in forms {
        let mut evidence = vec![plain.clone()];
        let mut holds = true;
        for _ in 0..3 {
            let marker = cx.marker();
            let truth = yes(&value, &marker);
            let exchange = cx.call(actor, &call.with(slot, Value::String(truth.clone())))?;
            holds = shape(&exchange, &truth, &value) == known;
            evidence.push(exchange);
            if !holds {
                break;
            }
            let lie = no(&value, &marker);
            let exchange = cx.call(actor, &call.with(slot, Value::String(lie.clone())))?;
            holds = shape(&exchange, &lie, &value) != known && exchange.response.status != 429;
            evidence.push(exchange);
            if !holds {
                break;
            }
        }
        if holds {
            // A text of the same letters that is no condition, and (for XPath) one that only SQL understands.
            let marker = cx.marker();
            let broken =
                yes(&value, &marker).replace("objectClass=*", "objectClass*=").replace(" and ", " AND ");
            let control = cx.call(actor, &call.with(slot, Value::String(broken.clone())))?;
            holds = shape(&control, &broken, &value) != known;
            evidence.push(control);
        }
        if !holds {
            continue;
        }
        let label = cx.operation(call.operation).label();
        let finding = Finding::new(kind, Confidence::Confirmed, label, &evidence.iter().collect::<Vec<_>>())
            .shows(Sign::Differ(1, 2));
        cx.report(finding.at(slot.label()).saying(format!("conditions in {} are evaluated by {what}", slot.label())).proved(
            "all of them are values that match nothing",
            "in three rounds with fresh words a true condition answers like the plain value and a false one does not; a text of the same shape that is no condition does not either",
        ));
        return Ok(());
    }
    Ok(())
}

/// An operator in the place of a value: `unequal` finds something, `equal` with the same word what the word finds.
fn operators(cx: &mut Session<'_>, actor: usize, call: &Call, slot: &Slot) -> Outcome {
    if !matches!(slot.place, Place::Query | Place::Body) {
        return Ok(());
    }
    let marker = cx.marker();
    let with = |operator: &str, word: &str| -> Call {
        if slot.place == Place::Body {
            return call.with(slot, json!({ operator: word }));
        }
        let mut call = call.clone();
        call.query.retain(|(name, _)| *name != slot.name);
        call.query.push((format!("{}[{operator}]", slot.name), word.to_owned()));
        call
    };
    let unequal = cx.call(actor, &with("$ne", &marker))?;
    if !taken(&unequal) {
        return Ok(());
    }
    let plain = cx.call(actor, &call.with(slot, Value::String(marker.clone())))?;
    let equal = cx.call(actor, &with("$eq", &marker))?;
    let bare = |exchange: &Exchange| shape(exchange, &marker, "");
    // Where the operator is ignored, or kept as text, both operators are treated alike.
    if bare(&equal) != bare(&plain) || bare(&equal) == bare(&unequal) {
        return Ok(());
    }
    let word = cx.marker();
    let again: Rc<Exchange> = cx.call(actor, &with("$ne", &word))?;
    let no = cx.call(actor, &with("$eq", &word))?;
    if !taken(&again) || shape(&no, &word, "") != bare(&equal) || shape(&again, &word, "") == bare(&equal) {
        return Ok(());
    }
    let label = cx.operation(call.operation).label();
    let finding = Finding::new(&NOSQL, Confidence::Confirmed, label, &[&plain, &equal, &unequal])
        .at(slot.label())
        .shows(Sign::Differ(1, 2));
    cx.report(finding.saying(format!("`$ne` in the place of {} finds what no value names", slot.label())).proved(
        "400: the value is a string",
        "`$eq` with a word answers like the word itself, `$ne` with the same word does not; in two rounds with fresh words",
    ));
    Ok(())
}

fn taken(exchange: &Exchange) -> bool {
    exchange.response.ok() && !says_failure(&exchange.response)
}
