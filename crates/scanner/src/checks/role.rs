//! Roles that a user gives itself, by the very operation that gives roles.

use portcullis_engine::{Owasp, Severity};
use serde_json::{Map, Value};

use super::Check;
use super::mass::{is_role, roles};
use crate::api::{Danger, text};
use crate::explore::last_parameter;
use crate::finding::{Confidence, Finding, Kind};
use crate::session::{Outcome, Session, says_failure};
use crate::values::Taste;
use crate::words;

/// The check.
pub(super) static ROLE: Check =
    Check { name: "role", about: "roles that a user gives itself", kinds: &[&SELF_GIVEN], run };

static SELF_GIVEN: Kind = Kind {
    code: "role-self-given",
    title: "A user gives itself another role",
    owasp: Owasp::Api5,
    cwe: 269,
    severity: Severity::High,
    fix: "Let only those change roles who hold one that may, and never their own.",
    block: "authorize: { roles: [admin] } on the operation",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    let Some(actor) = cx.disposables().first().copied() else { return Ok(()) };
    if cx.options.read_only {
        return Ok(());
    }
    let givers = cx.operations(|op| {
        !op.is_get()
            && op.danger() == Danger::Write
            && !op.is_login()
            && !op.is_register()
            && op.path_names().len() <= 1
            && op.body_members().iter().any(|(name, _)| is_role(name))
    });
    for index in givers {
        give(cx, index, actor)?;
    }
    Ok(())
}

/// Calls an operation that gives roles, in the name of an identity and about that identity, and reads it again.
fn give(cx: &mut Session<'_>, index: usize, actor: usize) -> Outcome {
    let operation = cx.operation(index).clone();
    let Some(username) = cx.actor(actor).username.clone() else { return Ok(()) };
    let mut call = cx.compose(index, actor, Taste::Marked);
    let mut names = vec![username.clone()];
    if !operation.path_names().is_empty() {
        let Some(id) = super::own_id(cx, actor, &operation) else { return Ok(()) };
        call.path.insert(last_parameter(&operation), id.clone());
        names.push(id);
    }
    let mut member = String::new();
    let mut whom = Map::new();
    for (name, schema) in operation.body_members() {
        if is_role(&name) {
            member = name;
        } else if words::contains(&name, &["userid", "accountid"]) {
            let id = super::own_name(cx, actor, &name, schema);
            whom.extend(id.map(|id| (name, crate::session::typed(&id, schema))));
        } else if words::is_login_name(&name) {
            whom.insert(name, Value::String(username.clone()));
        }
    }
    // Who is meant has to be said somewhere, or the call is about nobody we know.
    if operation.path_names().is_empty()
        && whom.is_empty()
        && !operation.path_says(&["me", "profile", "self"])
    {
        return Ok(());
    }
    let mut before = None;
    for name in &names {
        let shown = cx.look_up(actor, name)?;
        before = shown.into_iter().find(|(_, object)| object.keys().any(|key| is_role(key)));
        if before.is_some() {
            break;
        }
    }
    let Some((before, object)) = before else { return Ok(()) };
    let Some((key, current)) = object.iter().find(|(key, value)| is_role(key) && value.is_string()) else {
        return Ok(());
    };
    let current = text(current);
    for role in roles(cx, &current) {
        let mut members = whom.clone();
        members.insert(member.clone(), role.clone());
        let attack = cx.call(actor, &call.with_members(&members))?;
        if !attack.response.ok() || says_failure(&attack.response) {
            continue;
        }
        let after = cx.send(actor, before.request.plain())?;
        let now = names.iter().find_map(|name| {
            let object = crate::session::holder(&after.response.json()?, name)?;
            object.get(key).map(text)
        });
        if now.as_deref() != role.as_str() {
            continue;
        }
        let who = cx.actor(actor).name.clone();
        // Between roles of equal rank, buyer and seller say, people may well choose for themselves.
        let higher = words::contains(
            &text(&role),
            &["admin", "root", "super", "owner", "manager", "employee", "staff", "moderator"],
        );
        let confidence = if higher { Confidence::Confirmed } else { Confidence::Likely };
        let finding = Finding::new(&SELF_GIVEN, confidence, operation.label(), &[&before, &attack, &after])
            .at(format!("body /{member}"));
        cx.report(finding.saying(format!("{who}, `{current}` until then, made itself `{}`", text(&role))).proved(
            "403 for everyone who may not give roles",
            "the account was read before and after by its owner, who had just been registered; the role is the one that it sent",
        ));
        return Ok(());
    }
    Ok(())
}
