//! SQL: what a quote does to a query, shown by errors, by pairs of true and false, and by a log-in without a
//! password.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::LazyLock;

use portcullis_engine::{Owasp, Severity};
use regex::Regex;
use serde_json::Value;

use super::Check;
use crate::api::{Call, Danger, Place, Slot};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::Exchange;
use crate::session::{ANONYMOUS, Outcome, Session, find_token, says_failure};
use crate::values::Taste;
use crate::words;

/// The check.
pub(super) static SQL: Check =
    Check { name: "sql", about: "SQL and NoSQL injection", kinds: &[&INJECTION, &LOGIN, &NOSQL], run };

pub(super) static INJECTION: Kind = Kind {
    code: "sql-injection",
    title: "A parameter becomes part of an SQL query",
    owasp: Owasp::Api8,
    cwe: 89,
    severity: Severity::High,
    fix: "Bind parameters; where a name of a column is wanted, choose it from a list.",
    block: "inspect: sql; validate: patterns and formats in the contract",
};

static LOGIN: Kind = Kind {
    code: "sql-injection-login",
    title: "A log-in succeeds without a password, by SQL",
    owasp: Owasp::Api2,
    cwe: 89,
    severity: Severity::High,
    fix: "Bind parameters, and compare the password's hash in the program.",
    block: "inspect: sql; validate: a pattern for user names in the contract",
};

pub(super) static NOSQL: Kind = Kind {
    code: "nosql-injection",
    title: "An operator in the place of a value becomes part of a query",
    owasp: Owasp::Api8,
    cwe: 943,
    severity: Severity::High,
    fix: "Check that each member has the type it should have before it goes into a query.",
    block: "validate: types in the contract",
};

/// What databases say when a query is broken. Words that no API says by itself.
static ERRORS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)you have an error in your sql syntax|unterminated quoted string at or near|unrecognized token: |near \\?"[^"]{0,60}\\?": syntax error|syntax error at or near|quoted string not properly terminated|unclosed quotation mark|sqlite3?\.?(operationalerror|error|exception)|sqlite_error|psycopg2?\.|pg::syntaxerror|pdoexception|sqlstate\[?|ora-\d{5}|mysql_fetch|mysqlclient|com\.mysql|org\.postgresql|org\.hibernate\.exception|sequelizedatabaseerror|sqlalchemy\.exc|microsoft ole db|odbc sql server|incorrect syntax near|invalid input syntax for (type )?(integer|uuid|numeric)|mongoerror|mongoservererror|\[sql: "#,
    )
    .ok()
});

/// Whether a text holds a database's error.
pub(crate) fn database_error(text: &str) -> Option<String> {
    ERRORS.as_ref()?.find(text).map(|found| found.as_str().to_owned())
}

/// What databases say when the words of a query themselves are wrong, and not only a value.
static SYNTAX: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)you have an error in your sql syntax|unterminated quoted string at or near|unrecognized token: |near \\?"[^"]{0,60}\\?": syntax error|syntax error at or near|quoted string not properly terminated|unclosed quotation mark|pg::syntaxerror|sqlstate\[42(000|601)\]|ora-0(0933|0936|1756)|incorrect syntax near|er_parse_error|jdbcsqlsyntaxerror|sqlsyntaxerrorexception|badsqlgrammar|sqlgrammarexception|dynamic sql error|syntax error in (sql statement|query expression)|malformed string"#,
    )
    .ok()
});

/// Whether a text holds a database's error about a query's own words. A value that is no number, refused by a database
/// that was given it as a value, is none; nor is a search expression that the API lets its callers write.
fn syntax_error(text: &str) -> Option<String> {
    let found = SYNTAX.as_ref()?.find(text)?;
    let after = text.get(found.end()..).unwrap_or_default();
    let other = after.chars().take(120).collect::<String>();
    (!other.contains("jsonpath") && !other.contains("tsquery")).then(|| found.as_str().to_owned())
}

/// A database's error of any kind that a quote may have made: worth looking at closer.
fn quote_error(text: &str) -> Option<String> {
    database_error(text).filter(|found| !found.to_lowercase().starts_with("invalid input"))
}

fn run(cx: &mut Session<'_>) -> Outcome {
    logins(cx)?;
    let operations = cx.operations(|op| op.danger() <= Danger::Write);
    for index in operations {
        let operation = cx.operation(index).clone();
        let writes = operation.danger() == Danger::Write;
        if writes && cx.options.read_only || operation.is_register() || operation.is_reset_confirm() {
            continue;
        }
        let ours = cx.disposables().last().copied();
        let actor = if operation.alters_account() { ours } else { Some(cx.first_user()) };
        let Some(actor) = actor else { continue };
        let Some(call) = start(cx, index, actor)? else { continue };
        let mut slots = operation.slots(&call);
        // Parameters that a call need not have are tried as well.
        slots.retain(|slot| matches!(slot.kind(), "string" | "integer" | "number"));
        let mut seen = BTreeSet::new();
        for slot in slots.iter().filter(|slot| !words::is_password(slot.key()) || operation.is_login()) {
            if !seen.insert(slot.label())
                || slot.place == Place::Header && words::contains(&slot.name, &["version", "accept"])
            {
                continue;
            }
            probe(cx, actor, &call, slot, writes)?;
        }
    }
    Ok(())
}

/// A call to start from: one that works, or the best that can be made.
pub(super) fn start(cx: &mut Session<'_>, index: usize, actor: usize) -> Outcome<Option<Call>> {
    if let Some(baseline) = cx.baseline(index, actor)? {
        return Ok(Some(baseline.call));
    }
    if cx.operation(index).danger() >= Danger::Session {
        return Ok(None);
    }
    Ok(Some(cx.compose(index, actor, Taste::Marked)))
}

fn probe(cx: &mut Session<'_>, actor: usize, call: &Call, slot: &Slot, writes: bool) -> Outcome {
    let label = cx.operation(call.operation).label();
    let value = call.text(slot);
    let with = |text: String| call.with(slot, Value::String(text));
    let broken = cx.call(actor, &with(format!("{value}'")))?;
    let text = broken.response.text().into_owned();
    let said = quote_error(&text);
    let odd = broken.response.status >= 500 || said.is_some();
    if odd {
        // Two quotes are one inside a string: a query that breaks on one and not on two has it inside.
        let healed = cx.call(actor, &with(format!("{value}''")))?;
        let again = cx.call(actor, &with(format!("{value}'")))?;
        let repeats = again.response.status == broken.response.status
            && quote_error(&again.response.text()).is_some() == said.is_some();
        let differs = quote_error(&healed.response.text()).is_none() && healed.response.status < 500;
        if let Some(said) = said.as_deref().filter(|_| repeats) {
            let baseline =
                cx.call(actor, &with(value.clone())).map(|e| quote_error(&e.response.text()).is_none())?;
            let said = syntax_error(&text).unwrap_or_else(|| said.to_owned());
            if baseline && (differs || syntax_error(&text).is_some()) {
                let finding = Finding::new(&INJECTION, Confidence::Confirmed, label, &[&broken, &healed])
                    .at(slot.label())
                    .shows(Sign::Has(0, said.clone()));
                cx.report(finding.saying(format!("a quote in {} breaks a query: `{said}`", slot.label())).proved(
                    "the quote is data like any other character",
                    if differs { "one quote breaks the query, two (an escaped quote) do not, and the plain value does not either" } else { "the database names its syntax error for the quote, and none for the plain value" },
                ));
                return Ok(());
            }
        }
        if differs && repeats && broken.response.status >= 500 {
            if let Some(finding) = boolean(cx, actor, call, slot, &value, writes)? {
                cx.report(finding);
                return Ok(());
            }
            let finding =
                Finding::new(&INJECTION, Confidence::Likely, label, &[&broken, &healed]).at(slot.label());
            cx.report(
                finding
                    .saying(format!("one quote in {} is a server error, two are not", slot.label()))
                    .proved(
                        "the same kind of answer for both",
                        "in SQL two quotes are one inside a string; repeated with the same result",
                    ),
            );
            return Ok(());
        }
    }
    if let Some(finding) = boolean(cx, actor, call, slot, &value, writes)? {
        cx.report(finding);
        return Ok(());
    }
    // What a user may not ask for never gets to the query; what an administrator asks for does.
    let is_query = cx.operation(call.operation).is_query();
    let turned_away =
        matches!(broken.response.status, 401 | 403) || is_query && says_failure(&broken.response);
    if let Some(admin) = cx.admin().filter(|admin| turned_away && !writes && *admin != actor) {
        probe(cx, admin, call, slot, writes)?;
    }
    Ok(())
}

/// The status and the body without what the request carried, numbers kept.
pub(super) fn shape(exchange: &Exchange, sent: &str, value: &str) -> (u16, String) {
    let mut text = exchange.response.text().into_owned();
    for carried in [sent, value].into_iter().filter(|carried| !carried.is_empty()) {
        let escaped = serde_json::to_string(carried).unwrap_or_default();
        text = text
            .replace(escaped.trim_matches('"'), "")
            .replace(carried, "")
            .replace(&crate::api::encode(carried), "");
    }
    (exchange.response.status, super::steady(&text))
}

/// Three pairs of a true and a false condition: all true ones answer alike, all false ones alike and otherwise.
fn boolean(
    cx: &mut Session<'_>,
    actor: usize,
    call: &Call,
    slot: &Slot,
    value: &str,
    writes: bool,
) -> Outcome<Option<Finding>> {
    // A write may match more than it should: only reads are tried.
    if writes || slot.place == Place::Header {
        return Ok(None);
    }
    let plain = cx.call(actor, &call.with(slot, Value::String(value.to_owned())))?;
    let shape_plain = shape(&plain, value, value);
    if plain.response.status >= 500 {
        return Ok(None);
    }
    let numeric = value.parse::<f64>().is_ok();
    let mut forms: Vec<(&str, &str)> = vec![("' AND '", "")];
    if numeric {
        forms.push((" AND ", ""));
    }
    for (glue, _) in forms {
        let mut evidence: Vec<Rc<Exchange>> = vec![plain.clone()];
        let mut holds = true;
        for round in 0..3 {
            let (a, b) = (1000 + cx.random.between(0, 8000), 1000 + cx.random.between(0, 8000));
            let b = if a == b { b + 1 } else { b };
            let quoted = glue.ends_with('\'');
            let (yes, no) = if quoted {
                (format!("{value}{glue}{a}'='{a}"), format!("{value}{glue}{a}'='{b}"))
            } else {
                (format!("{value}{glue}{a}={a}"), format!("{value}{glue}{a}={b}"))
            };
            let truth = cx.call(actor, &call.with(slot, Value::String(yes.clone())))?;
            // Most parameters fail here, after one call.
            if shape(&truth, &yes, value) != shape_plain {
                holds = false;
                break;
            }
            let lie = cx.call(actor, &call.with(slot, Value::String(no.clone())))?;
            if shape(&lie, &no, value) == shape_plain || lie.response.status == 429 {
                holds = false;
                break;
            }
            evidence.push(truth);
            evidence.push(lie);
            if round == 2 {
                // The control: the same length of text that is no condition must not answer like the plain value.
                let filler = format!("{value}{glue}{a}'x'{b}");
                let control = cx.call(actor, &call.with(slot, Value::String(filler.clone())))?;
                holds = shape(&control, &filler, value) != shape_plain;
                evidence.push(control);
            }
        }
        if holds {
            let label = cx.operation(call.operation).label();
            let finding =
                Finding::new(&INJECTION, Confidence::Confirmed, label, &evidence.iter().collect::<Vec<_>>())
                    .at(slot.label())
                    .shows(Sign::Differ(1, 2));
            return Ok(Some(finding.saying(format!("conditions in {} are evaluated by a database", slot.label())).proved(
                "all of them are values that match nothing",
                "in three rounds with fresh numbers a true condition answers like the plain value and a false one does not; a text of the same shape that is no condition does not either",
            )));
        }
    }
    Ok(None)
}

/// Log-ins by a comment, by a pair of conditions, and by operators.
fn logins(cx: &mut Session<'_>) -> Outcome {
    for login in cx.operations(crate::api::Operation::is_login) {
        let known = cx.users().into_iter().find_map(|actor| cx.actor(actor).username.clone());
        let name = known.unwrap_or_else(|| "admin".to_owned());
        let wrong = cx.marker();
        let enter = |cx: &mut Session<'_>, user: &str, password: Value| -> Outcome<(bool, Rc<Exchange>)> {
            let mut call = cx.login_call(login, user, "x");
            if let Some(body) = call.members_mut() {
                for (key, value) in body.iter_mut() {
                    if words::is_password(key) {
                        value.clone_from(&password);
                    }
                }
            }
            let exchange = cx.call(ANONYMOUS, &call)?;
            let token = exchange.response.json().is_some_and(|answer| find_token(&answer).is_some());
            let inside = exchange.response.ok()
                && !says_failure(&exchange.response)
                && (token || exchange.response.header("set-cookie").is_some());
            Ok((inside, exchange))
        };
        let (control, refused) = enter(cx, &name, Value::String(wrong.clone()))?;
        if control {
            continue;
        }
        let label = cx.operation(login).label();
        let (a, b) = (1000 + cx.random.between(0, 4000), 5500 + cx.random.between(0, 4000));
        let tries = [
            (format!("{name}'--"), format!("{name}'xx--")),
            (format!("{name}' -- "), format!("{name}'xx -- ")),
            (format!("{name}' OR '{a}'='{a}"), format!("{name}' OR '{a}'='{b}")),
            (format!("x{b}' OR {a}={a} -- "), format!("x{b}' OR {a}={b} -- ")),
            (format!("x{b}' OR {a}={a}#"), format!("x{b}' OR {a}={b}#")),
        ];
        for (payload, control) in tries {
            let (inside, exchange) = enter(cx, &payload, Value::String(wrong.clone()))?;
            if !inside {
                continue;
            }
            let (also, other) = enter(cx, &control, Value::String(wrong.clone()))?;
            if !also {
                let member = if name.contains('@') { "user" } else { "name" };
                let finding = Finding::new(
                    &LOGIN,
                    Confidence::Confirmed,
                    label.clone(),
                    &[&refused, &exchange, &other],
                );
                cx.report(finding.saying(format!("a {member} that ends in SQL logs in with any password")).proved(
                    "401, as for any wrong password",
                    "a wrong password alone is refused, with a comment or a true condition in the name it is accepted, with a false one it is not",
                ));
                break;
            }
        }
        let random = cx.marker();
        let (by_operator, exchange) = enter(cx, &name, serde_json::json!({ "$ne": random }))?;
        if by_operator {
            let (control, other) = enter(cx, &name, serde_json::json!({ "$eq": random }))?;
            if !control {
                let finding =
                    Finding::new(&NOSQL, Confidence::Confirmed, label, &[&refused, &exchange, &other]);
                cx.report(finding.saying("`{\"$ne\": …}` in the place of the password logs in").proved(
                    "400: a password is a string",
                    "the operator for `unequal` opens, the one for `equal` with the same value does not",
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_errors_and_ordinary_words() {
        for text in [
            "near \"'\": syntax error",
            "(sqlite3.OperationalError) unrecognized token: \"'x''\"",
            "ERROR: unterminated quoted string at or near \"'\"",
            "You have an error in your SQL syntax; check",
        ] {
            assert!(syntax_error(text).is_some(), "{text}");
        }
        for text in
            ["syntax error in your JSON", "invalid input", "unexpected token", "the query is too long"]
        {
            assert!(database_error(text).is_none(), "{text}");
        }
    }
}
