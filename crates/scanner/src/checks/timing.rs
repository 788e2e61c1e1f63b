//! Blind SQL: a database that is told to wait, and waits as long as it is told.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::Check;
use super::sql::INJECTION;
use crate::api::{Call, Danger, Place, Slot};
use crate::finding::{Confidence, Finding, Sign};
use crate::http::Exchange;
use crate::session::{Outcome, Session};
use crate::words;

/// The check.
pub(super) static TIMING: Check =
    Check { name: "sql-timing", about: "SQL injection by time, in proportion", kinds: &[&INJECTION], run };

/// A pause of so many tenths of a second, written for one kind of database and place in a query. `{v}` is the
/// value that works.
const FORMS: &[(&str, &str)] = &[
    ("PostgreSQL, in a string", "{v}'||(SELECT CASE WHEN pg_sleep({s}) IS NULL THEN '' ELSE '' END)||'"),
    ("PostgreSQL, in a number", "{v} AND (SELECT CASE WHEN pg_sleep({s}) IS NULL THEN 1 ELSE 1 END)=1"),
    ("MySQL, in a string", "{v}' AND (SELECT SLEEP({s}) FROM (SELECT 1) pc)=0 AND '1'='1"),
    ("MySQL, in a number", "{v} AND (SELECT SLEEP({s}) FROM (SELECT 1) pc)=0"),
    ("SQL Server", "{v}'; WAITFOR DELAY '0:0:{s}'--"),
];

/// Slots that are tried; each takes a call for each form.
const SLOTS: usize = 60;

fn run(cx: &mut Session<'_>) -> Outcome {
    let operations = cx.operations(|op| op.danger() <= Danger::Write);
    let mut tried = 0;
    for index in operations {
        let operation = cx.operation(index).clone();
        let writes = operation.danger() == Danger::Write;
        if writes && cx.options.read_only
            || operation.is_register()
            || operation.is_reset_confirm()
            || cx.has_reported(&INJECTION, &operation.label())
        {
            continue;
        }
        let ours = cx.disposables().last().copied();
        let actor = if operation.alters_account() { ours } else { Some(cx.first_user()) };
        let Some(actor) = actor else { continue };
        let Some(call) = super::sql::start(cx, index, actor)? else { continue };
        for slot in operation.slots(&call) {
            if tried >= SLOTS
                || !matches!(slot.kind(), "string" | "integer" | "number")
                || words::is_password(slot.key())
                || slot.place == Place::Header
            {
                continue;
            }
            tried += 1;
            if waits(cx, actor, &call, &slot)? {
                break;
            }
        }
    }
    Ok(())
}

fn waits(cx: &mut Session<'_>, actor: usize, call: &Call, slot: &Slot) -> Outcome<bool> {
    let value = call.text(slot);
    let numeric = value.parse::<f64>().is_ok();
    let send = |cx: &mut Session<'_>, form: &str, pause: &str| -> Outcome<Rc<Exchange>> {
        let text = form.replace("{v}", &value).replace("{s}", pause);
        cx.call(actor, &call.with(slot, Value::String(text)))
    };
    for (name, form) in FORMS {
        if name.ends_with("number") && !numeric {
            continue;
        }
        // SQL Server counts whole seconds only.
        let (short, long) = if name.starts_with("SQL Server") { ("1", "2") } else { ("0.5", "1") };
        let first = send(cx, form, short)?;
        let pause = Duration::from_secs_f64(short.parse().unwrap_or(1.0));
        if first.response.elapsed < pause {
            continue;
        }
        // Slow, and so? Three rounds of none, short and long have to stand in proportion, whatever else the machine
        // does: the quickest of each counts.
        let mut none = Vec::new();
        let mut some = Vec::new();
        let mut more = Vec::new();
        for _ in 0..3 {
            none.push(send(cx, form, "0")?);
            some.push(send(cx, form, short)?);
            more.push(send(cx, form, long)?);
        }
        let quickest =
            |all: &[Rc<Exchange>]| all.iter().map(|one| one.response.elapsed).min().unwrap_or_default();
        let (a, b, c) = (quickest(&none), quickest(&some), quickest(&more));
        let waited = b.checked_sub(a).is_some_and(|wait| wait * 10 >= pause * 9);
        let twice = c.checked_sub(a).is_some_and(|wait| wait * 10 >= pause * 18);
        let together = a * 2 < pause;
        if !waited || !twice || !together {
            continue;
        }
        let label = cx.operation(call.operation).label();
        let evidence: Vec<&Rc<Exchange>> =
            none.first().into_iter().chain(some.first()).chain(more.first()).collect();
        let finding = Finding::new(&INJECTION, Confidence::Confirmed, label, &evidence)
            .at(slot.label())
            .shows(Sign::Slower(2, 0, 3));
        cx.report(finding.saying(format!("a database ({name}) waits as long as {} says", slot.label())).proved(
            "no answer later than the others",
            format!(
                "of three rounds the quickest answers took {} ms with no pause, {} ms with one of {short} s and {} ms with one of {long} s",
                a.as_millis(),
                b.as_millis(),
                c.as_millis()
            ),
        ));
        return Ok(true);
    }
    Ok(false)
}
