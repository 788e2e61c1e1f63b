//! What is written and read under one path: one user writes it, its owner reads it.

use serde_json::Value;

use super::Check;
use super::alter::WRITE;
use crate::api::{Danger, Media, Place};
use crate::explore::last_parameter;
use crate::finding::{Confidence, Finding};
use crate::session::{Outcome, Session, says_failure};
use crate::values::Taste;
use crate::words;

/// The check.
pub(super) static REPLACE: Check = Check {
    name: "bola-replace",
    about: "one user replaces what stands under another's path",
    kinds: &[&WRITE],
    run,
};

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    let disposables = cx.disposables();
    let [victim, attacker, ..] = disposables[..] else { return Ok(()) };
    let writers = cx.operations(|op| {
        matches!(op.method.as_str(), "PUT" | "PATCH" | "POST")
            && op.danger() == Danger::Write
            && !op.alters_account()
            && op.path_names().len() == 1
            && !op.path.ends_with('}')
            && op.body.is_some()
    });
    for index in writers {
        let operation = cx.operation(index).clone();
        let owned = matches!(
            crate::session::noun_before(&operation, &last_parameter(&operation)).as_str(),
            "user" | "account" | "member" | "customer" | "profile" | "person"
        );
        let reader = cx.operations(|op| op.is_get() && op.path == operation.path).first().copied();
        let (Some(reader), true, false) = (reader, owned, cx.has_reported(&WRITE, &operation.label())) else {
            continue;
        };
        let Some(id) = super::own_id(cx, victim, &operation) else { continue };
        let marker = cx.marker();
        let mut call = cx.compose(index, attacker, Taste::Marked);
        call.path.insert(last_parameter(&operation), id.clone());
        let raw = operation.body.as_ref().is_some_and(|body| body.media == Media::Other);
        let mut request = if raw {
            // What is taken as it is may have to look like what it should be: a picture keeps its first bytes.
            let mut request = cx.request_of(&call);
            request.body = b"\x89PNG\r\n\x1a\n".iter().copied().chain(marker.bytes()).collect();
            request
        } else {
            let slots = operation.slots(&call);
            let free = slots.iter().find(|slot| {
                slot.place == Place::Body
                    && slot.kind() == "string"
                    && crate::values::is_free(slot.key(), &slot.schema)
                    && !words::is_password(slot.key())
            });
            let Some(slot) = free else { continue };
            cx.request_of(&call.with(slot, Value::String(marker.clone())))
        };
        if raw && request.header("content-type").is_none_or(|kind| kind.contains('*')) {
            request.set_header("content-type", "image/png");
        }
        let mut read = cx.compose(reader, victim, Taste::Marked);
        read.path.insert(last_parameter(&operation), id);
        let before = cx.call(victim, &read)?;
        let attack = cx.send(attacker, request)?;
        if !attack.response.ok() || says_failure(&attack.response) {
            continue;
        }
        let after = cx.call(victim, &read)?;
        if !after.response.ok()
            || !after.response.text().contains(&marker)
            || before.response.text().contains(&marker)
        {
            continue;
        }
        let (a, b) = (cx.actor(victim).name.clone(), cx.actor(attacker).name.clone());
        let finding =
            Finding::new(&WRITE, Confidence::Confirmed, operation.label(), &[&before, &attack, &after]);
        cx.report(finding.saying(format!("{b} replaced what stands under the path of {a}")).proved(
            "403 or 404, and everything as it was",
            format!("{a} read it before and after; it now holds the marker that {b} sent"),
        ));
    }
    Ok(())
}
