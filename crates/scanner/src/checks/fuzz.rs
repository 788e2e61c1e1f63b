//! Input that no client should send: wrong types, odd characters, sizes and shapes; what breaks is made as small
//! as it goes.

use std::rc::Rc;
use std::sync::LazyLock;

use portcullis_engine::{Owasp, Severity};
use regex::Regex;
use serde_json::{Value, json};

use super::Check;
use crate::api::{Call, Danger, Media, Place, Slot};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::Exchange;
use crate::session::{Outcome, Session};

/// The check.
pub(super) static FUZZ: Check =
    Check { name: "fuzz", about: "input that no client should send", kinds: &[&CRASH, &HANG, &VERBOSE], run };

static CRASH: Kind = Kind {
    code: "unhandled-input",
    title: "Malformed input is a server error",
    owasp: Owasp::Api8,
    cwe: 20,
    severity: Severity::Low,
    fix: "Check input against the contract first, and answer 400.",
    block: "validate: the contract is enforced; mask: errors",
};

static HANG: Kind = Kind {
    code: "input-hangs",
    title: "Malformed input keeps the API busy until the caller gives up",
    owasp: Owasp::Api4,
    cwe: 400,
    severity: Severity::Medium,
    fix: "Check input before work is begun with it, and bound the time that one call may take.",
    block: "validate: the contract is enforced; timeouts: total",
};

pub(super) static VERBOSE: Kind = Kind {
    code: "verbose-error",
    title: "Errors show the program's inside",
    owasp: Owasp::Api8,
    cwe: 209,
    severity: Severity::Medium,
    fix: "Log the details and answer with a plain error; switch debug mode off.",
    block: "mask: errors of the upstream",
};

/// Stack traces and the words of frameworks and databases.
static TRACES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"Traceback \(most recent call last\)|File \\?"[^"\\]+\.py\\?", line \d+|\bat [\w$.<>/ ]+ ?\(?(/|[A-Z]:\\|file:|node:)[^\s)]+:\d+:\d+\)?|\bat [\w$.]+\([\w$]+\.(java|kt|scala|groovy):\d+\)|goroutine \d+ \[running\]|(\.go:\d+ \+0x[0-9a-f]+)|\b[\w\\/.-]+\.php(:| on line )\d+|[\w./-]+\.rb:\d+:in |System\.\w+Exception: |at [\w.]+ in .+:line \d+|panicked at |werkzeug debugger|<title>.{0,80}(Error|Exception).{0,80}// Werkzeug"#,
    )
    .ok()
});

/// A trace or a database's words in an answer.
pub(super) fn inside(text: &str) -> Option<String> {
    let trace = TRACES.as_ref()?.find(text).map(|found| found.as_str().to_owned());
    trace.or_else(|| super::sql::database_error(text)).map(|found| found.chars().take(80).collect())
}

fn run(cx: &mut Session<'_>) -> Outcome {
    let operations = cx.operations(|op| op.danger() <= Danger::Write);
    for index in operations {
        let operation = cx.operation(index).clone();
        let writes = operation.danger() == Danger::Write;
        if writes && cx.options.read_only || operation.is_register() && cx.disposables().is_empty() {
            continue;
        }
        let ours = cx.disposables().last().copied();
        let actor = if operation.alters_account() { ours } else { Some(cx.first_user()) };
        let Some(actor) = actor else { continue };
        let Some(baseline) = super::sql::start(cx, index, actor)? else { continue };
        let control = cx.call(actor, &baseline)?;
        if control.response.status >= 500 || control.response.status == 0 {
            continue;
        }
        let mut budget = 24_u32;
        for slot in operation.slots(&baseline) {
            for value in odd(&slot) {
                if budget == 0 || cx.has_reported(&CRASH, &operation.label()) {
                    break;
                }
                budget -= 1;
                let call = baseline.with(&slot, value);
                let exchange = cx.call(actor, &call)?;
                if crashed(&exchange) {
                    report(cx, actor, &call, &control, &exchange, &slot.label())?;
                } else if late(&exchange) {
                    hang(cx, actor, (&baseline, &call), &control, &slot.label())?;
                    budget = 0;
                }
            }
        }
        let media = operation.body.as_ref().map(|body| body.media);
        if let Some(media) = media.filter(|_| writes && !cx.has_reported(&CRASH, &operation.label())) {
            bodies(cx, actor, &baseline, &control, media)?;
        }
    }
    verbose(cx);
    Ok(())
}

/// A server error that is the program's own: not a gateway's, not a refusal to serve.
fn crashed(exchange: &Exchange) -> bool {
    exchange.response.status == 500 || exchange.response.status > 504
}

/// No answer in time, though somebody listens.
fn late(exchange: &Exchange) -> bool {
    exchange.response.error.as_deref() == Some("no answer in time")
}

/// An input that is never answered, while the well-formed call is, before and after.
fn hang(
    cx: &mut Session<'_>,
    actor: usize,
    (plain, call): (&Call, &Call),
    control: &Rc<Exchange>,
    part: &str,
) -> Outcome {
    let calm = cx.call(actor, plain)?;
    let again = cx.call(actor, call)?;
    let after = cx.call(actor, plain)?;
    if late(&calm) || !late(&again) || late(&after) {
        return Ok(());
    }
    let label = cx.operation(call.operation).label();
    let finding = Finding::new(&HANG, Confidence::Confirmed, label, &[control, &again, &after]).at(part);
    cx.report(finding.saying(format!("{part} with a value that it is not made for is not answered in time")).proved(
        "400, at once",
        "twice there was no answer, while the well-formed call was answered before, between and after",
    ));
    Ok(())
}

/// Values that a slot is not made for; the few that find most, first.
fn odd(slot: &Slot) -> Vec<Value> {
    let kind = slot.kind();
    if slot.place != Place::Body {
        return match kind {
            "integer" | "number" => {
                vec![json!("abc"), json!("-1"), json!("99999999999999999999"), json!("1e309"), json!("%00")]
            }
            _ => vec![
                json!("'\"`\\"),
                json!("\u{0}"),
                json!("99999999999999999999"),
                json!("\u{feff}\u{202e}ü𝄞"),
            ],
        };
    }
    match kind {
        "integer" | "number" => {
            vec![json!("abc"), json!(null), json!({}), json!(-1), json!(1e300), json!([1])]
        }
        "boolean" => vec![json!("abc"), json!(null)],
        _ => vec![json!(12345), json!(null), json!({"a": 1}), json!(["a"]), json!("\u{0}"), json!("")],
    }
}

/// Bodies that are no such thing, or hardly: what each is, and its bytes.
fn malformed(media: Media) -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    match media {
        Media::Json => vec![
            ("no JSON", text("{\"a\":")),
            ("a list", text("[]")),
            ("a word", text("\"pc\"")),
            ("null", text("null")),
            ("an empty object", text("{}")),
            ("a deep list", format!("{}{}", "[".repeat(2000), "]".repeat(2000)).into_bytes()),
            ("no UTF-8", b"{\"a\":\"\xff\xfe\"}".to_vec()),
        ],
        Media::Xml => vec![
            ("XML that breaks off", text("<a><b>")),
            ("no XML", text("pc")),
            ("empty", Vec::new()),
            ("an entity that nothing declares", text("<a>&pc;</a>")),
            ("deep XML", format!("{}{}", "<a>".repeat(2000), "</a>".repeat(2000)).into_bytes()),
        ],
        Media::Form => vec![
            ("an escape that breaks off", text("a=%&b=%2")),
            ("an escape of no UTF-8", text("a=%ff%fe")),
            ("empty", Vec::new()),
        ],
        // The boundary is the one that the head names.
        Media::Multipart => vec![
            ("parts without an end", text("--pc\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nx")),
            ("a part without a name", text("--pc\r\n\r\nx\r\n--pc--\r\n")),
            ("empty", Vec::new()),
        ],
        Media::Other => vec![("empty", Vec::new()), ("no UTF-8", b"\xff\xfe\x00".to_vec())],
    }
}

fn bodies(cx: &mut Session<'_>, actor: usize, call: &Call, control: &Rc<Exchange>, media: Media) -> Outcome {
    for (what, body) in malformed(media) {
        let mut request = cx.request_of(call);
        request.body = body;
        if media == Media::Multipart {
            request.set_header("content-type", "multipart/form-data; boundary=pc");
        }
        let exchange = cx.send(actor, request.clone())?;
        if !crashed(&exchange) {
            continue;
        }
        cx.errors.push((call.operation, exchange.clone()));
        let again = cx.send(actor, request)?;
        if crashed(&again) {
            let label = cx.operation(call.operation).label();
            let finding = Finding::new(&CRASH, Confidence::Confirmed, label, &[control, &again])
                .at("body")
                .last_tells();
            cx.report(
                finding
                    .saying(format!("a body that is {what} is a server error ({})", again.response.status))
                    .proved("400", "repeated with the same result; a well-formed call is no server error"),
            );
            return Ok(());
        }
    }
    Ok(())
}

/// Repeats, then takes away what is not needed.
fn report(
    cx: &mut Session<'_>,
    actor: usize,
    call: &Call,
    control: &Rc<Exchange>,
    first: &Rc<Exchange>,
    part: &str,
) -> Outcome {
    let again = cx.call(actor, call)?;
    if !crashed(&again) {
        return Ok(());
    }
    // A server that fails at everything by now fails at this for another reason.
    let mut calm = cx.request_of(call);
    calm.method.clone_from(&control.request.method);
    let same = |exchange: &Exchange| {
        exchange.response.status == first.response.status
            && crate::checks::steady(&exchange.response.text())
                == crate::checks::steady(&first.response.text())
    };
    let mut smallest = (call.clone(), again);
    let mut left = 16_u32;
    // What was tried once and is needed stands in `needed`, so that each is tried once.
    let mut needed: Vec<Call> = Vec::new();
    while left > 0 {
        let Some(less) = smaller(&smallest.0, part).into_iter().find(|less| !is_known(&needed, less)) else {
            break;
        };
        left -= 1;
        let exchange = cx.call(actor, &less)?;
        if same(&exchange) {
            smallest = (less, exchange);
        } else {
            needed.push(less);
        }
    }
    let label = cx.operation(call.operation).label();
    let shown: String = String::from_utf8_lossy(&smallest.1.request.body).chars().take(120).collect();
    let what = if part.starts_with("body") {
        format!("the body `{shown}`")
    } else {
        format!("`{}`", smallest.1.request.target)
    };
    let finding =
        Finding::new(&CRASH, Confidence::Confirmed, label, &[control, &smallest.1]).at(part).last_tells();
    cx.report(finding.saying(format!("{what} is a server error ({})", smallest.1.response.status)).proved(
        "400",
        "repeated with the same result, and made as small as it still fails; the well-formed call is no server error",
    ));
    Ok(())
}

fn is_known(known: &[Call], call: &Call) -> bool {
    known.iter().any(|one| one.body == call.body && one.query == call.query && one.headers == call.headers)
}

/// The call without one of its members, items or parameters, the part that breaks it left in; the largest cuts first.
fn smaller(call: &Call, part: &str) -> Vec<Call> {
    let mut found = Vec::new();
    for (place, pairs) in [("query", &call.query), ("header", &call.headers)] {
        for (index, (name, _)) in pairs.iter().enumerate() {
            if part == format!("{place} {name}") {
                continue;
            }
            let mut less = call.clone();
            let pairs = if place == "query" { &mut less.query } else { &mut less.headers };
            pairs.remove(index);
            found.push(less);
        }
    }
    let kept = part.strip_prefix("body ").unwrap_or_default();
    let mut places = Vec::new();
    if let Some(body) = &call.body {
        cuts(body, String::new(), kept, &mut places);
    }
    for pointer in places {
        let Some((parent, last)) = pointer.rsplit_once('/') else { continue };
        let mut less = call.clone();
        match less.body.as_mut().and_then(|body| body.pointer_mut(parent)) {
            Some(Value::Object(members)) => {
                members.remove(&last.replace("~1", "/").replace("~0", "~"));
            }
            Some(Value::Array(items)) => {
                if let Some(index) = last.parse().ok().filter(|index| *index < items.len()) {
                    items.remove(index);
                }
            }
            _ => continue,
        }
        found.push(less);
    }
    found
}

/// Pointers of what can be cut out of a body without the place that is kept; outer ones first. Of a list before the kept item
/// nothing is cut: it would move.
fn cuts(value: &Value, at: String, kept: &str, found: &mut Vec<String>) {
    let mut inner = Vec::new();
    let mut one = |name: String, value: &Value, moves: bool| {
        let pointer = format!("{at}/{name}");
        if kept == pointer || kept.starts_with(&format!("{pointer}/")) {
            inner.push((pointer, value.clone()));
        } else if !moves {
            found.push(pointer);
        }
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                one(name.replace('~', "~0").replace('/', "~1"), member, false);
            }
        }
        Value::Array(items) => {
            let of_kept =
                kept.strip_prefix(&at).and_then(|rest| rest.split('/').nth(1)?.parse::<usize>().ok());
            for (index, item) in items.iter().enumerate().rev() {
                one(index.to_string(), item, of_kept.is_some_and(|kept| index < kept));
            }
        }
        _ => {}
    }
    for (pointer, value) in inner {
        cuts(&value, pointer, kept, found);
    }
}

/// Traces in any answer of the whole scan.
fn verbose(cx: &mut Session<'_>) {
    let mut known: Vec<(String, String)> = Vec::new();
    for (index, exchange) in cx.errors.clone() {
        let Some(found) = inside(&exchange.response.text()) else { continue };
        let label = cx.operation(index).label();
        if known.iter().any(|(operation, _)| *operation == label) || known.len() >= 12 {
            continue;
        }
        known.push((label.clone(), found.clone()));
        let finding = Finding::new(&VERBOSE, Confidence::Confirmed, label, &[&exchange])
            .shows(Sign::Has(0, found.clone()));
        cx.report(finding.saying(format!("an error holds `{found}`")).proved(
            "a plain error with a reference",
            "the text is one that a program's runtime or database writes, and no API by itself",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_cut_leaves_the_part_that_breaks() {
        let call = Call {
            query: vec![("page".into(), "1".into())],
            body: Some(json!({ "a": 1, "list": [{ "x": 1 }, { "b": null, "c": 2 }, 3] })),
            ..Call::default()
        };
        let bodies: Vec<Value> =
            smaller(&call, "body /list/1/b").into_iter().filter_map(|call| call.body).collect();
        assert_eq!(bodies.len(), 4);
        assert!(bodies.contains(&json!({ "list": [{ "x": 1 }, { "b": null, "c": 2 }, 3] })));
        assert!(bodies.contains(&json!({ "a": 1, "list": [{ "x": 1 }, { "b": null, "c": 2 }] })));
        assert!(bodies.contains(&json!({ "a": 1, "list": [{ "x": 1 }, { "b": null }, 3] })));
        assert!(smaller(&call, "query page").iter().all(|call| !call.query.is_empty()));
    }

    #[test]
    fn traces_of_several_languages() {
        for text in [
            "Traceback (most recent call last):\n  File \"/app/x.py\", line 3",
            "Error: x\n    at Object.<anonymous> (/srv/app/index.js:10:11)",
            "at com.example.Foo.bar(Foo.java:42)",
            "goroutine 1 [running]:\nmain.main()",
            "Fatal error: x in /var/www/a.php on line 3",
        ] {
            assert!(inside(text).is_some(), "{text}");
        }
        for text in
            ["{\"detail\":\"not found at /users/1\"}", "meet at noon (12:30:00)", "the error was logged"]
        {
            assert!(inside(text).is_none(), "{text}");
        }
    }
}
