//! Function level: operations that only some may use, called by those who may not.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};

use super::Check;
use crate::api::{Auth, Danger, Operation};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Exchange;
use crate::pool::leaves;
use crate::session::{ANONYMOUS, Outcome, Session, says_failure};
use crate::values::Taste;
use crate::words;

/// The check.
pub(super) static FUNCTION: Check = Check {
    name: "function-level",
    about: "administrators' operations, and protected ones without a credential",
    kinds: &[&ADMIN, &OPEN],
    run,
};

static ADMIN: Kind = Kind {
    code: "admin-function-open",
    title: "An ordinary user calls an administrator's operation",
    owasp: Owasp::Api5,
    cwe: 285,
    severity: Severity::High,
    fix: "Check the caller's role in one place before every operation of this kind; deny by default.",
    block: "authorize: { roles: [admin] } on the operations",
};

static OPEN: Kind = Kind {
    code: "authentication-not-enforced",
    title: "A protected operation answers without a credential",
    owasp: Owasp::Api2,
    cwe: 306,
    severity: Severity::High,
    fix: "Ask for a credential in one place before every operation; list the few that are public.",
    block: "authenticate: the contract's own `security` is enforced",
};

/// Whether a path, a tag or the summary says that an operation is for administrators.
fn is_admin(operation: &Operation) -> Option<bool> {
    let named = operation.segments().any(|segment| {
        words::split(segment).iter().any(|word| {
            matches!(
                word.as_str(),
                "admin" | "administrator" | "administration" | "backoffice" | "superuser" | "sysadmin"
            )
        })
    });
    if named {
        return Some(true);
    }
    let text = operation.words.to_lowercase();
    let said = text.contains("admin only")
        || text.contains("only admin")
        || text.contains("admins only")
        || text.contains("administrators only")
        || text.contains("of an admin")
        || text.contains("admin endpoint")
        || text.contains("requires admin");
    said.then_some(false)
}

fn run(cx: &mut Session<'_>) -> Outcome {
    open(cx)?;
    admin(cx)
}

/// Whether an answer has something in it: JSON with values, or a page that is not the log-in.
fn tells_something(exchange: &Exchange) -> bool {
    if let Some(answer) = exchange.response.json() {
        return !leaves(&answer).is_empty();
    }
    let text = exchange.response.text().to_lowercase();
    exchange.response.body.len() > 40 && !(text.contains("password") && text.contains("<form"))
}

/// Whether an answer has in it what only this user was shown.
fn shows_own(cx: &Session<'_>, user: usize, exchange: &Exchange) -> bool {
    let others: Vec<usize> = cx.users().into_iter().filter(|other| *other != user).collect();
    exchange.response.json().is_some_and(|answer| {
        leaves(&answer).iter().any(|(_, value)| {
            let value = crate::api::text(value);
            value.len() >= 4 && cx.pool.only(user, &others, &value)
        })
    })
}

fn open(cx: &mut Session<'_>) -> Outcome {
    // An API that refuses nobody anywhere has no authentication that could be missing in one place; then the
    // document is believed all the same, but the finding is one for a person.
    let user = cx.first_user();
    let enforced = cx.door(user)?.is_some();
    let protected =
        cx.operations(|op| op.auth == Auth::Needed && op.danger() <= Danger::Write && !op.is_login());
    for index in protected {
        let operation = cx.operation(index).clone();
        let writes = operation.danger() == Danger::Write;
        if writes && (cx.options.read_only || operation.alters_account()) {
            continue;
        }
        let Some(baseline) = cx.baseline(index, user)? else { continue };
        let nobody =
            if user == ANONYMOUS { baseline.exchange.clone() } else { cx.call(ANONYMOUS, &baseline.call)? };
        if !nobody.response.ok() || says_failure(&nobody.response) || !tells_something(&nobody) {
            continue;
        }
        if nobody.response.is_html() && !baseline.exchange.response.is_html() {
            continue;
        }
        // A scheme that the identity did not carry either is enforced by somebody else, or by nobody.
        let carries = |name: &String| {
            let scheme = cx.api.schemes.iter().find(|scheme| scheme.name == *name);
            scheme.is_some_and(|scheme| {
                let state = cx.actor(user);
                state.headers.iter().any(|(field, _)| field.eq_ignore_ascii_case(&scheme.field))
                    || scheme.place == crate::api::Place::Cookie && !state.cookies.is_empty()
            })
        };
        let enforced = enforced && operation.schemes.iter().any(carries);
        let same = nobody.response.status == baseline.exchange.response.status;
        // One line for a whole document is often meant for most of it only.
        let meant = operation.own_auth || writes || shows_own(cx, user, &baseline.exchange);
        let confidence = if enforced && same && meant { Confidence::Confirmed } else { Confidence::Likely };
        let finding = Finding::new(&OPEN, confidence, operation.label(), &[&baseline.exchange, &nobody]);
        cx.report(finding.saying("the contract asks for a credential, and the API does not").proved(
            "401 without a credential",
            if enforced { "the same call with and without a credential is answered with success; other operations refuse without one" } else { "the same call is answered with success without a credential; no operation was seen to refuse" },
        ));
    }
    Ok(())
}

fn admin(cx: &mut Session<'_>) -> Outcome {
    let operations =
        cx.operations(|op| is_admin(op).is_some() && op.danger() <= Danger::Delete && !op.is_login());
    // Where everything is called so, the word tells nobody apart.
    if operations.len() * 2 > cx.api.operations.len() {
        return Ok(());
    }
    let Some(user) = cx.users().first().copied() else { return Ok(()) };
    let attacker = cx.disposables().last().copied();
    for index in operations {
        let operation = cx.operation(index).clone();
        let by_path = is_admin(&operation) == Some(true);
        if operation.danger() == Danger::Read {
            read(cx, index, user, by_path)?;
            continue;
        }
        // Writes: only on what does not exist, so that nothing is changed; who may not is refused before that.
        let (Some(attacker), false) = (attacker, cx.options.read_only) else { continue };
        if operation.path_names().is_empty() {
            if operation.danger() == Danger::Write {
                write(cx, index, attacker, by_path)?;
            }
            continue;
        }
        missing(cx, index, attacker, by_path)?;
    }
    Ok(())
}

fn read(cx: &mut Session<'_>, index: usize, user: usize, by_path: bool) -> Outcome {
    let Some(baseline) = cx.baseline(index, user)? else { return Ok(()) };
    if !tells_something(&baseline.exchange) {
        return Ok(());
    }
    let label = cx.operation(index).label();
    let mut evidence: Vec<Rc<Exchange>> = vec![baseline.exchange.clone()];
    let mut as_admin = false;
    if let Some(admin) = cx.admin() {
        let theirs = cx.call(admin, &baseline.call)?;
        as_admin = theirs.response.ok();
        evidence.push(theirs);
    }
    let nobody = cx.call(ANONYMOUS, &baseline.call)?;
    let guarded = !nobody.response.ok();
    evidence.push(nobody);
    let confidence =
        if by_path && (guarded || as_admin) { Confidence::Confirmed } else { Confidence::Likely };
    let name = cx.actor(user).name.clone();
    let finding = Finding::new(&ADMIN, confidence, label, &evidence.iter().collect::<Vec<_>>());
    cx.report(finding.saying(format!("{name}, an ordinary user, gets what the operation gives to administrators")).proved(
        "403 for everyone without the role",
        if as_admin { "the administrator and the user got an answer of the same kind" } else { "the operation's name says whom it is for; a caller without a credential and an ordinary user are told apart, the user and an administrator are not" },
    ));
    Ok(())
}

fn write(cx: &mut Session<'_>, index: usize, attacker: usize, by_path: bool) -> Outcome {
    let call = cx.compose(index, attacker, Taste::Marked);
    let nobody = cx.call(ANONYMOUS, &call)?;
    let attempt = cx.call(attacker, &call)?;
    if !attempt.response.ok() || says_failure(&attempt.response) {
        return Ok(());
    }
    let label = cx.operation(index).label();
    let confidence = if by_path { Confidence::Confirmed } else { Confidence::Likely };
    let finding = Finding::new(&ADMIN, confidence, label, &[&attempt, &nobody]);
    cx.report(finding.saying("an ordinary user's call of an administrator's operation succeeded").proved(
        "403 for everyone without the role",
        "the call was answered with success in the name of an identity that the scan had just registered",
    ));
    Ok(())
}

/// An operation on an object that is not there: who may not call gets 403 before the object is looked for.
fn missing(cx: &mut Session<'_>, index: usize, attacker: usize, by_path: bool) -> Outcome {
    let mut call = cx.compose(index, attacker, Taste::Marked);
    let operation = cx.operation(index).clone();
    for param in operation.params.iter().filter(|p| p.place == crate::api::Place::Path) {
        let absent = if crate::api::kind_of(&param.schema) == "integer" {
            "987654321".to_owned()
        } else {
            cx.marker()
        };
        call.path.insert(param.name.clone(), absent);
    }
    let nobody = cx.call(ANONYMOUS, &call)?;
    let attempt = cx.call(attacker, &call)?;
    let status = attempt.response.status;
    let passed = status == 404 || attempt.response.ok();
    if !passed || !matches!(nobody.response.status, 401 | 403) {
        return Ok(());
    }
    let confidence = if by_path && attempt.response.ok() && !says_failure(&attempt.response) {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    };
    let finding = Finding::new(&ADMIN, confidence, operation.label(), &[&attempt, &nobody]);
    cx.report(finding.saying(format!("an ordinary user's call of an administrator's operation came as far as {status}")).proved(
        "403 for everyone without the role, whether the object exists or not",
        "the object does not exist, so nothing was changed; a caller without a credential is refused, an ordinary user is let through to it",
    ));
    Ok(())
}
