//! Text that is kept, and becomes part of a page for whoever reads it.

use portcullis_engine::{Owasp, Severity};
use serde_json::Value;

use super::Check;
use crate::api::{Danger, Place};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::session::{Outcome, Session, says_failure};

/// The check.
pub(super) static STORED: Check =
    Check { name: "stored-script", about: "kept text that becomes part of a page", kinds: &[&SCRIPT], run };

static SCRIPT: Kind = Kind {
    code: "stored-cross-site-scripting",
    title: "Kept text becomes part of a page",
    owasp: Owasp::Api8,
    cwe: 79,
    severity: Severity::High,
    fix: "Answer JSON as `application/json` with `nosniff`, and escape what goes into HTML.",
    block: "headers: nosniff and a content security policy; inspect: script",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    let mut done = Vec::new();
    for made in cx.made.clone() {
        let operation = cx.operation(made.operation).clone();
        if made.gone
            || done.contains(&made.operation)
            || operation.is_register()
            || operation.alters_account()
        {
            continue;
        }
        done.push(made.operation);
        let marker = cx.marker();
        let mut call = made.call.clone();
        let mut placed = None;
        for slot in operation.slots(&made.call) {
            let free = slot.place == Place::Body
                && slot.kind() == "string"
                && crate::values::is_free(slot.key(), &slot.schema);
            if free {
                call = call.with(&slot, Value::String(format!("{marker}<i {marker}>")));
                placed.get_or_insert(slot);
            }
        }
        let Some(slot) = placed else { continue };
        let sent = cx.call(made.actor, &call)?;
        if !sent.response.ok() || says_failure(&sent.response) {
            continue;
        }
        // Where it may be shown: the same path, and reads of the same thing.
        let noun = operation.noun();
        let readers = cx.operations(|op| op.is_get() && op.danger() == Danger::Read && op.noun() == noun);
        for index in readers.into_iter().take(4) {
            let Some(mut read) = cx.baseline(index, made.actor)?.map(|baseline| baseline.call) else {
                continue;
            };
            for (name, value) in &call.path {
                if read.path.contains_key(name) {
                    read.path.insert(name.clone(), value.clone());
                }
            }
            let mut request = cx.request_of(&read);
            request.set_header("Accept", "text/html");
            let page = cx.send(made.actor, request)?;
            if !page.response.runs_scripts() || !page.response.text().contains(&format!("<i {marker}>")) {
                continue;
            }
            let label = cx.operation(index).label();
            let finding = Finding::new(&SCRIPT, Confidence::Confirmed, label, &[&sent, &page])
                .at(slot.label())
                .shows(Sign::Has(1, "text/html".to_owned()));
            cx.report(finding.saying(format!("a tag that was kept by {} stands in a page as a tag", operation.label())).proved(
                "the tag escaped, or an answer that is no page",
                "to a caller that asks for HTML the answer is `text/html` and has the tag, made for this call, unescaped",
            ));
            break;
        }
    }
    Ok(())
}
