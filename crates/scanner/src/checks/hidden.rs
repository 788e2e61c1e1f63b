//! Parameters that no document names and that say whose data is meant.

use serde_json::Value;

use super::Check;
use super::bola::BOLA_READ;
use crate::api::{Danger, Place, Slot, text};
use crate::finding::{Confidence, Finding, Sign};
use crate::pool::{last_name, leaves};
use crate::session::{Outcome, Session, says_failure};
use crate::words;

/// The check.
pub(super) static HIDDEN: Check = Check {
    name: "hidden-parameter",
    about: "undocumented parameters that choose whose data is read",
    kinds: &[&BOLA_READ],
    run,
};

/// Names under which programs take an owner.
const NAMES: &[&str] = &[
    "userId",
    "user_id",
    "userid",
    "user",
    "uid",
    "owner",
    "ownerId",
    "owner_id",
    "accountId",
    "account_id",
    "customerId",
    "customer_id",
    "username",
    "email",
];

fn run(cx: &mut Session<'_>) -> Outcome {
    let Some((owner, other)) = cx.pair() else { return Ok(()) };
    let lists = cx.operations(|op| {
        op.is_get()
            && op.danger() == Danger::Read
            && op.path_names().is_empty()
            && !op.path_says(&["public", "admin"])
    });
    let mut tried = 0;
    for index in lists {
        let Some(mine) = cx.baseline(index, owner)? else { continue };
        let Some(theirs) = cx.baseline(index, other)? else { continue };
        // Only what differs between two callers depends on who calls.
        let differs = mine.exchange.response.json() != theirs.exchange.response.json();
        if !differs || tried >= 8 {
            continue;
        }
        tried += 1;
        let own = theirs.exchange.response.text().into_owned();
        let answer = mine.exchange.response.json().unwrap_or_default();
        let told: Vec<(String, String)> = leaves(&answer)
            .into_iter()
            .map(|(pointer, value)| (last_name(&pointer).to_owned(), text(value)))
            .filter(|(_, value)| value.len() >= 3 && !own.contains(value.as_str()))
            .collect();
        for name in NAMES {
            let documented =
                cx.operation(index).params.iter().any(|param| words::flat(&param.name) == words::flat(name));
            let schema = serde_json::json!({ "type": "string" });
            let wants_name =
                words::contains(name, &["username", "email"]) || matches!(*name, "user" | "owner");
            let id = if wants_name {
                cx.actor(owner).username.clone()
            } else {
                super::own_name(cx, owner, "id", &schema)
            };
            let (Some(id), false) = (id, documented) else { continue };
            let slot = Slot { place: Place::Query, name: (*name).to_owned(), schema };
            let call = theirs.call.with(&slot, Value::String(id.clone()));
            let attack = cx.call(other, &call)?;
            if !attack.response.ok() || says_failure(&attack.response) {
                break;
            }
            let got = attack.response.text().into_owned();
            let leaked: Vec<&(String, String)> =
                told.iter().filter(|(_, value)| *value != id && got.contains(value.as_str())).collect();
            if leaked.len() * 2 < told.len() || leaked.is_empty() {
                continue;
            }
            // What came may be new to both: the control is the same call without the parameter, now.
            let control = cx.call(other, &theirs.call)?;
            let still = control.response.text().into_owned();
            if leaked.iter().any(|(_, value)| still.contains(value.as_str())) {
                continue;
            }
            let (a, b) = (cx.actor(owner).name.clone(), cx.actor(other).name.clone());
            let names: Vec<String> = leaked.iter().take(3).map(|(name, _)| format!("`{name}`")).collect();
            let label = cx.operation(index).label();
            let finding =
                Finding::new(&BOLA_READ, Confidence::Confirmed, label, &[&mine.exchange, &control, &attack])
                    .shows(Sign::Differ(1, 2));
            cx.report(
                finding
                    .at(slot.label())
                    .saying(format!(
                        "with `?{name}=`, which no document has, {b} reads what belongs to {a}: {}",
                        names.join(", ")
                    ))
                    .proved(
                        "the parameter ignored, or 400",
                        format!(
                            "without it {b} gets own data only; with it the values that {a}'s own call showed"
                        ),
                    ),
            );
            break;
        }
    }
    Ok(())
}
