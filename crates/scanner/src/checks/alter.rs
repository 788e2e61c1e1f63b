//! Writes to what belongs to another: one user changes or removes an object, and its owner reads it again.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Map, Value};

use super::Check;
use crate::api::{Call, Danger, Operation, text};
use crate::explore::last_parameter;
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Exchange;
use crate::pool::{last_name, leaves};
use crate::session::{ANONYMOUS, Made, Named, Outcome, Session, View, noun_before, says_failure};
use crate::values::Taste;
use crate::words;

/// The check.
pub(super) static ALTER: Check = Check {
    name: "bola-write",
    about: "one user changes or removes what belongs to another",
    kinds: &[&WRITE, &DELETE, &ACCOUNT],
    run,
};

pub(super) static WRITE: Kind = Kind {
    code: "bola-write",
    title: "A user changes an object that belongs to another",
    owasp: Owasp::Api1,
    cwe: 639,
    severity: Severity::High,
    fix: "Put the caller's id into the condition of the update, and answer 404 when nothing matched.",
    block: "authorize: bind the path to the caller, or `owner` on the object",
};

static DELETE: Kind = Kind {
    code: "bola-delete",
    title: "A user removes an object that belongs to another",
    owasp: Owasp::Api1,
    cwe: 639,
    severity: Severity::High,
    fix: "Put the caller's id into the condition of the removal, and answer 404 when nothing matched.",
    block: "authorize: bind the path to the caller, or `owner` on the object",
};

static ACCOUNT: Kind = Kind {
    code: "account-takeover",
    title: "A user changes another user's password or address",
    owasp: Owasp::Api1,
    cwe: 620,
    severity: Severity::High,
    fix: "Change the account of the caller, whatever the path says, and ask for the old password.",
    block: "authorize: { bind: { path.userId: token.sub } }",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    accounts(cx)?;
    let writers = cx.operations(|op| {
        !op.is_get()
            && !op.path_names().is_empty()
            && !op.alters_account()
            && op.danger() == Danger::Write
            && !op.path_says(&["admin"])
    });
    for index in writers {
        write(cx, index)?;
    }
    if cx.options.destructive {
        let removers = cx.operations(|op| op.danger() == Danger::Delete && !op.path_names().is_empty());
        for index in removers {
            remove(cx, index)?;
        }
    }
    Ok(())
}

/// Objects that the scan made in one user's name and that an operation's last path parameter can name.
fn targets(cx: &mut Session<'_>, index: usize) -> Vec<(Made, Call)> {
    let operation = cx.operation(index).clone();
    let noun = noun_before(&operation, &last_parameter(&operation));
    let made: Vec<Made> = cx.made.iter().filter(|made| !made.gone).cloned().collect();
    let mut found = Vec::new();
    for one in made {
        let maker = cx.operation(one.operation);
        // The maker is of the same kind: its path leads there, or it speaks of the same noun.
        let akin = operation.path.starts_with(maker.path.as_str())
            || maker.segments().any(|s| words::split(s).iter().any(|w| words::singular(w) == noun));
        if akin
            && !maker.is_register()
            && let Some(call) = cx.call_for(index, &one, &noun)
        {
            found.push((one, call));
        }
    }
    found
}

/// What its owner sees of an object.
fn view(cx: &mut Session<'_>, owner: usize, id: &str) -> Outcome<Option<View>> {
    let found = cx.look_up(owner, id)?;
    // The fullest view shows most changes.
    Ok(found.into_iter().max_by_key(|(_, object)| object.len()))
}

/// How sure it is that an object is its maker's alone: where people work on the same things, a change by another is none
/// of a thief's.
fn owned(
    cx: &mut Session<'_>,
    index: usize,
    (owner, other): (usize, usize),
    id: &str,
    (read, object): (&Exchange, &Map<String, Value>),
) -> Outcome<Confidence> {
    let operation = cx.operation(index);
    let parameter = last_parameter(operation);
    let noun = noun_before(operation, &parameter);
    let named = Named { id, parameter: &parameter, noun: &noun };
    let owned = cx.belongs(owner, other, named, (read, object))?;
    Ok(if owned { Confidence::Confirmed } else { Confidence::Likely })
}

fn other_than(cx: &Session<'_>, owner: usize) -> Option<usize> {
    cx.users().into_iter().find(|user| *user != owner && cx.actor(*user).role == crate::identity::Role::User)
}

fn write(cx: &mut Session<'_>, index: usize) -> Outcome {
    for (made, call) in targets(cx, index) {
        if cx.has_reported(&WRITE, &cx.operation(index).label()) {
            break;
        }
        let Some(other) = other_than(cx, made.actor) else { continue };
        let id = call.path.get(&last_parameter(cx.operation(index))).cloned().unwrap_or_default();
        let Some((before, was)) = view(cx, made.actor, &id)? else { continue };
        // Values of the other's own: what is free text becomes a marker, numbers move a little.
        let mut call = call;
        let fresh = cx.compose(index, other, Taste::Marked);
        call.body = fresh.body;
        let slots = cx.operation(index).slots(&call);
        for slot in slots.iter().filter(|slot| slot.place == crate::api::Place::Body) {
            let key = slot.key().to_owned();
            if matches!(slot.kind(), "integer" | "number")
                && let Some(number) = was.get(&key).and_then(Value::as_i64)
            {
                call = call.with(slot, Value::from(number.saturating_add(1)));
            }
        }
        let attack = cx.call(other, &call)?;
        if !attack.response.ok() || says_failure(&attack.response) {
            continue;
        }
        let Some((after, is)) = view(cx, made.actor, &id)? else { continue };
        let sent: Vec<String> =
            call.body.as_ref().map(|b| leaves(b).iter().map(|(_, v)| text(v)).collect()).unwrap_or_default();
        let changed: Vec<String> = is
            .iter()
            .filter(|(name, value)| {
                was.get(*name) != Some(*value)
                    && !words::contains(name, &["updated", "modified", "time", "etag", "version"])
            })
            .filter(|(_, value)| {
                call.body.is_none() && (value.is_boolean() || value.is_string())
                    || sent.contains(&text(value))
            })
            .map(|(name, _)| name.clone())
            .collect();
        let Some(first) = changed.first() else { continue };
        let (a, b) = (cx.actor(made.actor).name.clone(), cx.actor(other).name.clone());
        let confidence = owned(cx, index, (made.actor, other), &id, (&before, &was))?;
        let label = cx.operation(index).label();
        let finding = Finding::new(&WRITE, confidence, label, &[&made.exchange, &before, &attack, &after]);
        cx.report(finding.saying(format!("{b} changed `{first}` of an object that {a} had made")).proved(
            "403 or 404, and the object as it was",
            format!("{a} read the object before and after; `{first}` now holds what {b} sent"),
        ));
    }
    Ok(())
}

fn remove(cx: &mut Session<'_>, index: usize) -> Outcome {
    for (made, call) in targets(cx, index) {
        if cx.has_reported(&DELETE, &cx.operation(index).label()) {
            break;
        }
        let Some(other) = other_than(cx, made.actor) else { continue };
        let id = call.path.get(&last_parameter(cx.operation(index))).cloned().unwrap_or_default();
        let Some((before, was)) = view(cx, made.actor, &id)? else { continue };
        // Whose it is can be asked only as long as it is there.
        let confidence = owned(cx, index, (made.actor, other), &id, (&before, &was))?;
        let attack = cx.call(other, &call)?;
        if !attack.response.ok() || says_failure(&attack.response) {
            continue;
        }
        let after = cx.send(made.actor, before.request.plain())?;
        let now = after.response.json().and_then(|answer| crate::session::holder(&answer, &id));
        let gone = after.response.status == 404 || after.response.ok() && now.is_none();
        // What is cancelled stays, and says so.
        let ended = now.as_ref().is_some_and(|now| {
            now.iter().any(|(name, value)| {
                let says = value.as_str().is_some_and(|word| {
                    words::contains(word, &["cancel", "deleted", "removed", "closed", "inactive", "void"])
                });
                was.get(name) != Some(value) && (says || value.is_boolean())
            })
        });
        if !gone && !ended {
            continue;
        }
        for one in cx
            .made
            .iter_mut()
            .filter(|one| one.operation == made.operation && Rc::ptr_eq(&one.exchange, &made.exchange))
        {
            one.gone = true;
        }
        let (a, b) = (cx.actor(made.actor).name.clone(), cx.actor(other).name.clone());
        let label = cx.operation(index).label();
        let finding = Finding::new(&DELETE, confidence, label, &[&made.exchange, &before, &attack, &after]);
        let (done, shown) =
            if gone { ("removed", "it is gone") } else { ("cancelled", "it says that it has ended") };
        cx.report(finding.saying(format!("{b} {done} an object that {a} had made")).proved(
            "403 or 404, and the object as it was",
            format!("{a} read the object before; afterwards {shown}"),
        ));
    }
    Ok(())
}

/// One disposable identity changes the password of another, whose log-in then tells.
fn accounts(cx: &mut Session<'_>) -> Outcome {
    let disposables = cx.disposables();
    let (Some(victim), Some(attacker)) = (disposables.first().copied(), disposables.get(1).copied()) else {
        return Ok(());
    };
    let changers = cx.operations(|op| {
        matches!(op.method.as_str(), "PUT" | "PATCH" | "POST")
            && op.danger() == Danger::Write
            && op.alters_account()
            && !op.is_reset_confirm()
            && op.path_names().len() <= 1
            && op.body.is_some()
    });
    for index in changers {
        let operation = cx.operation(index).clone();
        let Some((id, call)) = about(cx, index, attacker, victim) else { continue };
        let members: Vec<String> = operation.body_members().into_iter().map(|(name, _)| name).collect();
        let password =
            members.iter().find(|name| words::is_password(name) && !words::has(name, &["old", "current"]));
        let before = cx.look_up(victim, &id)?;
        if let Some(member) = password {
            let fresh = format!("Pc-{}-8R", cx.random.word(8));
            let mut set = Map::new();
            set.insert(member.clone(), Value::String(fresh.clone()));
            let call = call.with_members(&set);
            let request = cx.request_of(&call);
            let attack = cx.send(attacker, request)?;
            if !attack.response.ok() {
                continue;
            }
            let Some((login, name)) = cx.login_for(victim).zip(cx.actor(victim).username.clone()) else {
                continue;
            };
            let entry = cx.login_call(login, &name, &fresh);
            let welcome = cx.call(ANONYMOUS, &entry)?;
            let inside = welcome.response.ok()
                && !says_failure(&welcome.response)
                && (welcome.response.json().is_some_and(|a| crate::session::find_token(&a).is_some())
                    || welcome.response.header("set-cookie").is_some());
            if inside {
                cx.set_password(victim, &fresh);
                let (a, b) = (cx.actor(victim).name.clone(), cx.actor(attacker).name.clone());
                let finding =
                    Finding::new(&ACCOUNT, Confidence::Confirmed, operation.label(), &[&attack, &welcome]);
                cx.report(finding.saying(format!("{b} set the password of {a} and logged in as {a}")).proved(
                    "403, and the old password still the right one",
                    "the log-in with the name of the one and the password that the other chose gives a session",
                ));
            } else if !cx.log_in(attacker)? {
                // It changed the caller's own password, whatever the path said.
                cx.set_password(attacker, &fresh);
                cx.log_in(attacker)?;
            }
            continue;
        }
        let attack = cx.call(attacker, &call)?;
        if !attack.response.ok() || says_failure(&attack.response) {
            continue;
        }
        let sent: Vec<String> =
            call.body.as_ref().map(|b| leaves(b).iter().map(|(_, v)| text(v)).collect()).unwrap_or_default();
        let after = cx.look_up(victim, &id)?;
        let hit = after.iter().find_map(|(exchange, object)| {
            let (_, was) = before.iter().find(|(old, _)| old.request.target == exchange.request.target)?;
            let name = object.iter().find(|(name, value)| {
                was.get(*name) != Some(*value) && value.is_string() && sent.contains(&text(value))
            })?;
            Some((exchange.clone(), name.0.clone()))
        });
        if let Some((exchange, name)) = hit {
            let (a, b) = (cx.actor(victim).name.clone(), cx.actor(attacker).name.clone());
            let finding =
                Finding::new(&ACCOUNT, Confidence::Confirmed, operation.label(), &[&attack, &exchange]);
            cx.report(finding.saying(format!("{b} changed `{name}` of the account of {a}")).proved(
                "403, and the account as it was",
                format!("{a} read the own account before and after; `{name}` now holds what {b} sent"),
            ));
        }
    }
    Ok(())
}

/// A call in one identity's name about another's account, and what names that account: in the path, or where the
/// path names nobody, in the body.
fn about(cx: &mut Session<'_>, index: usize, attacker: usize, victim: usize) -> Option<(String, Call)> {
    let operation = cx.operation(index).clone();
    let mut call = cx.compose(index, attacker, Taste::Marked);
    if !operation.path_names().is_empty() {
        let id = own_id(cx, victim, &operation)?;
        call.path.insert(last_parameter(&operation), id.clone());
        return Some((id, call));
    }
    let members = operation.body_members();
    // A display name or a number to call is what an account has, not what it is known by.
    let named = members.iter().find(|(name, _)| {
        words::contains(name, &["userid", "accountid"])
            || words::is_login_name(name) && !words::has(name, &["name", "phone", "mobile"])
    });
    let (name, schema) = named?;
    let id = own_name(cx, victim, name, schema)?;
    let call = call.with_members(&Map::from_iter([(name.clone(), crate::session::typed(&id, schema))]));
    Some((id, call))
}

/// What names an actor in the path of an operation: its user name, or an id that its own answers show.
pub(crate) fn own_id(cx: &Session<'_>, actor: usize, operation: &Operation) -> Option<String> {
    let name = last_parameter(operation);
    let schema =
        operation.params.iter().find(|p| p.name == name).map(|p| p.schema.clone()).unwrap_or_default();
    own_name(cx, actor, &name, &schema)
}

/// What names an actor under a name of a parameter or a member: its user name, or an id that its own answers show.
pub(crate) fn own_name(cx: &Session<'_>, actor: usize, name: &str, schema: &Value) -> Option<String> {
    let numeric = crate::api::kind_of(schema) == "integer";
    let state = cx.actor(actor);
    let greeting = state.greeting.as_ref();
    let from_greeting = |wanted: &dyn Fn(&str) -> bool| {
        let leaves = leaves(greeting?);
        leaves
            .iter()
            .find(|(pointer, _)| wanted(&words::flat(last_name(pointer))))
            .map(|(_, value)| text(value))
    };
    let flat = words::flat(name);
    if !numeric && (words::is_login_name(name) && !words::is_id(name)) {
        return state.username.clone();
    }
    let claims =
        state.token.as_deref().and_then(crate::jwt::Token::parse).map(|token| Value::Object(token.claims));
    let by_claim = || {
        let claims = claims.as_ref()?;
        ["user_id", "userId", "uid", "id", "sub"].iter().find_map(|key| claims.get(*key)).map(text)
    };
    let id = from_greeting(&|key| key == flat)
        .or_else(|| from_greeting(&|key| matches!(key, "userid" | "id" | "accountid")))
        .or_else(|| {
            let made =
                cx.made.iter().find(|m| m.actor == actor && cx.operation(m.operation).is_register())?;
            crate::explore::id_of(&made.exchange.response.json()?, "user")
        })
        .or_else(by_claim)?;
    (!numeric || id.parse::<i64>().is_ok()).then_some(id)
}
