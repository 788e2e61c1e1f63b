//! Numbers that stand for something and can be worked out: made from the time of day.

use std::collections::BTreeMap;
use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Check;
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::Exchange;
use crate::pool::{last_name, leaves};
use crate::session::{Outcome, Session};
use crate::words;

/// The check.
pub(super) static PREDICTABLE: Check = Check {
    name: "predictable-number",
    about: "references and numbers that are made from the time of day",
    kinds: &[&TIME],
    run,
};

static TIME: Kind = Kind {
    code: "predictable-number",
    title: "A reference is made from the time of day",
    owasp: Owasp::Api2,
    cwe: 340,
    severity: Severity::Low,
    fix: "Take references that anybody acts on from a random generator: 128 bits or so.",
    block: "authorize: nothing may hang on knowing a reference; bind the object to its owner",
};

/// A value, and the exchange that showed it.
type Shown = (String, Rc<Exchange>);

/// Looks at what calls of the scan answered; makes none of its own.
fn run(cx: &mut Session<'_>) -> Outcome {
    let api = cx.api.clone();
    let mut seen: BTreeMap<(String, String), Vec<Shown>> = BTreeMap::new();
    for exchange in cx.history.iter().filter(|exchange| exchange.request.method == "POST") {
        let Some(now) = exchange.response.header("date").and_then(seconds) else { continue };
        let Some(answer) = exchange.response.json() else { continue };
        let path = exchange.request.path().strip_prefix(cx.base.as_str()).unwrap_or_default();
        let Some(operation) = api.operations.iter().find(|op| op.method == "POST" && op.path == path) else {
            continue;
        };
        for (pointer, value) in leaves(&answer) {
            let name = last_name(&pointer);
            let value = crate::api::text(value);
            if words::has(
                name,
                &["reference", "ref", "number", "code", "invoice", "receipt", "voucher", "ticket"],
            ) && tells(&value, now)
            {
                let found = seen.entry((operation.label(), name.to_owned())).or_default();
                if found.iter().all(|(known, _)| *known != value) {
                    found.push((value, exchange.clone()));
                }
            }
        }
    }
    for ((label, name), found) in seen {
        let [(_, first), .., (last, second)] = found.as_slice() else { continue };
        let finding =
            Finding::new(&TIME, Confidence::Confirmed, label, &[first, second]).at(format!("answer {name}"));
        let finding = finding.shows(Sign::Time(0, name.clone())).shows(Sign::Time(1, name.clone()));
        cx.report(finding.saying(format!("`{name}` is the second of the call: `{last}`")).proved(
            "a value that nobody can work out",
            "in two answers, made at different times, the digits are those of the answer's own `Date` in seconds since 1970",
        ));
    }
    Ok(())
}

/// A date of HTTP (RFC 9110 section 5.6.7) in seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(&date.trim().replace("GMT", "+0000"), &Rfc2822).ok()?;
    Some(moment.unix_timestamp())
}

/// Whether a text has the time in it, in seconds or milliseconds.
fn tells(text: &str, now: i64) -> bool {
    let runs = text.split(|c: char| !c.is_ascii_digit());
    runs.filter(|digits| matches!(digits.len(), 10 | 13)).any(|digits| {
        let seconds = digits.get(..10).and_then(|digits| digits.parse::<i64>().ok());
        seconds.is_some_and(|seconds| (seconds - now).abs() <= 2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_numbers() {
        let now = seconds("Tue, 01 Dec 2026 02:50:32 GMT").unwrap();
        assert!(tells(&format!("BILL{now}"), now) && tells(&format!("{}", now * 1000 + 17), now));
        for other in ["BILL1234567890", "5968401797", "", "2026-12-01"] {
            assert!(!tells(other, now), "{other}");
        }
    }
}
