//! Session fixation: a session that was there before the log-in is the one after it.

use portcullis_engine::{Owasp, Severity};

use super::Check;
use crate::api::Danger;
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Request;
use crate::identity::Actor;
use crate::session::{ANONYMOUS, Outcome, Session, says_failure};

/// The check.
pub(super) static FIXATION: Check =
    Check { name: "session-fixation", about: "sessions that survive the log-in", kinds: &[&KIND], run };

static KIND: Kind = Kind {
    code: "session-fixation",
    title: "A session from before the log-in is logged in by it",
    owasp: Owasp::Api2,
    cwe: 384,
    severity: Severity::High,
    fix: "Give a new session at every log-in, and forget the old one.",
    block: "authenticate: tokens instead of sessions that anyone may set",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    let Some(actor) = cx.users().into_iter().find(|index| {
        let state = cx.actor(*index);
        state.token.is_none() && !state.cookies.is_empty() && state.can_log_in()
    }) else {
        return Ok(());
    };
    let Some((door, _, refused)) = cx.door(actor)? else { return Ok(()) };
    // A session that nobody has logged in yet: the first cookie that a caller without a credential is given.
    let reads = cx.operations(|op| op.is_get() && op.danger() == Danger::Read && op.path_names().is_empty());
    let mut before = None;
    for request in reads
        .into_iter()
        .take(3)
        .map(|index| {
            let call = cx.compose(index, ANONYMOUS, crate::values::Taste::Least);
            cx.request_of(&call)
        })
        .collect::<Vec<Request>>()
    {
        let exchange = cx.send_once(ANONYMOUS, request)?;
        let mut jar = Actor::anonymous();
        jar.keep_cookies(&exchange.response.headers);
        if !jar.cookies.is_empty() {
            before = Some((exchange, jar.cookies));
            break;
        }
    }
    let Some((given, cookies)) = before else { return Ok(()) };
    let names: Vec<String> = cookies.iter().map(|(name, _)| name.clone()).collect();
    // Only a cookie that the log-in itself sets is one of a session.
    if !cx.actor(actor).cookies.iter().any(|(name, _)| names.contains(name)) {
        return Ok(());
    }
    let line: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let line = line.join("; ");
    let with = |request: &Request| {
        let mut request = request.clone();
        request.set_header("Cookie", &line);
        request
    };
    let door = cx.request_of(&door);
    let closed = cx.send_once(ANONYMOUS, with(&door))?;
    let Some(entry) = cx.log_in_request(actor) else { return Ok(()) };
    let welcome = cx.send_once(ANONYMOUS, with(&entry))?;
    let opened = cx.send_once(ANONYMOUS, with(&door))?;
    let shut =
        matches!(closed.response.status, 401 | 403) || closed.response.status == refused.response.status;
    if shut && !closed.response.ok() && opened.response.ok() && !says_failure(&opened.response) {
        let finding = Finding::new(&KIND, Confidence::Confirmed, "", &[&given, &closed, &welcome, &opened]);
        cx.report(finding.saying("the session that a caller had before the log-in is logged in afterwards").proved(
            "the old session refused after the log-in, which gives a new one",
            "the same cookies are refused before the log-in and let in after it, though nobody took what it answered",
        ));
    }
    cx.log_in(actor)?;
    Ok(())
}
