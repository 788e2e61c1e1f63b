//! Addresses that the API calls because somebody told it to.

use std::rc::Rc;
use std::time::{Duration, Instant};

use portcullis_engine::{Owasp, Severity};
use serde_json::Value;

use super::Check;
use crate::api::{Danger, Slot};
use crate::callback::CONTENT;
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::Exchange;
use crate::session::{Outcome, Session};
use crate::words;

/// The check.
pub(super) static SSRF: Check =
    Check { name: "ssrf", about: "addresses that the API calls for others", kinds: &[&REQUEST_FORGERY], run };

static REQUEST_FORGERY: Kind = Kind {
    code: "ssrf",
    title: "The API calls an address that a caller gives",
    owasp: Owasp::Api7,
    cwe: 918,
    severity: Severity::High,
    fix: "Call only hosts of a list, resolve once, refuse private addresses and redirects, and show nothing of the answer.",
    block: "inspect: ssrf; validate: a pattern for the address in the contract",
};

fn takes_address(slot: &Slot) -> bool {
    let format = slot.schema.get("format").and_then(Value::as_str);
    let example = slot.schema.get("example").and_then(Value::as_str).unwrap_or_default();
    slot.kind() == "string"
        && (matches!(format, Some("uri" | "url" | "uri-reference" | "hostname"))
            || example.starts_with("http")
            || words::has(
                slot.key(),
                &[
                    "url", "uri", "webhook", "callback", "link", "host", "endpoint", "redirect", "src",
                    "feed", "proxy", "target", "site", "website", "domain", "fetch", "remote", "image",
                    "avatar",
                ],
            )
            || words::contains(slot.key(), &["imageurl", "callbackurl", "webhook"]))
}

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.callback.is_none() {
        return Ok(());
    }
    let operations = cx.operations(|op| op.danger() <= Danger::Write && !op.is_login());
    let mut late = Vec::new();
    for index in operations {
        let operation = cx.operation(index).clone();
        if operation.is_get() && cx.options.read_only {
            continue;
        }
        let ours = cx.disposables().last().copied();
        let actor = ours.unwrap_or_else(|| cx.first_user());
        let Some(mut call) = super::sql::start(cx, index, actor)? else { continue };
        // What is one's own by the path has to be one's own here, too.
        if operation.path_names().len() == 1
            && let Some(id) = super::own_id(cx, actor, &operation)
            && matches!(
                crate::session::noun_before(&operation, &crate::explore::last_parameter(&operation)).as_str(),
                "user" | "account" | "member" | "customer" | "profile"
            )
        {
            call.path.insert(crate::explore::last_parameter(&operation), id);
        }
        // Optional query parameters are no part of the call, and are tried as well.
        for slot in operation.slots(&call).iter().filter(|slot| takes_address(slot)) {
            let Some(listener) = &cx.callback else { return Ok(()) };
            let authority = listener.authority().to_owned();
            let port = authority.rsplit(':').next().unwrap_or_default().to_owned();
            for turn in 0..4 {
                if turn == 3 && !authority.starts_with("127.0.0.1")
                    || turn == 2 && !words::has(slot.key(), &["host", "domain", "endpoint", "target"])
                {
                    continue;
                }
                let word = format!("pc{}", cx.random.word(12));
                let address = match turn {
                    0 => format!("http://{authority}/{word}.png"),
                    1 => format!("http://localhost:{port}/{word}.png"),
                    2 => format!("{authority}/{word}.png"),
                    _ => format!("http://2130706433:{port}/{word}.png"),
                };
                let exchange = cx.call(actor, &call.with(slot, Value::String(address)))?;
                let probe = Probe { word, operation: operation.label(), slot: slot.label(), exchange };
                if arrived(cx, &probe, Duration::from_millis(120)) {
                    break;
                }
                // Whatever is done later, by a queue or on a busy machine, is looked for once more at the end.
                late.push(probe);
            }
        }
    }
    let end = Instant::now() + LATE;
    for probe in late {
        arrived(cx, &probe, end.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// How long a call-back may take that the API makes after it answered.
const LATE: Duration = Duration::from_millis(1500);

/// An address that was given to the API.
struct Probe {
    /// What is in it and nowhere else.
    word: String,
    operation: String,
    slot: String,
    exchange: Rc<Exchange>,
}

/// Whether the API called the address; that is reported.
fn arrived(cx: &mut Session<'_>, probe: &Probe, wait: Duration) -> bool {
    let Some(hit) = cx.called_back(&probe.word, wait) else { return false };
    let shown = probe.exchange.response.text().contains(CONTENT);
    let finding =
        Finding::new(&REQUEST_FORGERY, Confidence::Confirmed, probe.operation.clone(), &[&probe.exchange])
            .at(probe.slot.clone())
            .last_tells()
            .shows(Sign::Called(probe.word.clone()));
    let summary = if shown {
        "the API fetched an address of ours on loopback and showed what it found"
    } else {
        "the API fetched an address of ours on loopback"
    };
    cx.report(finding.saying(summary).proved(
        "400: only hosts that the API knows",
        format!("`{hit}` arrived at the scan's own listener, under a path made for this one call"),
    ));
    true
}
