//! The log-in and what belongs to it: names that give themselves away, guessing without end, reset codes.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::Value;

use super::Check;
use crate::api::{Call, Operation};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::Exchange;
use crate::session::{ANONYMOUS, Outcome, Session, find_token};
use crate::values::Taste;
use crate::words;

/// The check.
pub(super) static LOGIN: Check = Check {
    name: "login",
    about: "user enumeration, guessing, weak passwords, reset codes",
    kinds: &[&ENUMERATION, &NO_LOCKOUT, &WEAK_PASSWORD, &RESET_GUESS, &RESET_LEAK, &MAILS],
    run,
};

static ENUMERATION: Kind = Kind {
    code: "user-enumeration",
    title: "Answers tell which users exist",
    owasp: Owasp::Api2,
    cwe: 204,
    severity: Severity::Medium,
    fix: "Give the same status, the same words and the same work for unknown names and wrong passwords.",
    block: "mask: one answer for every failed log-in; limit: few tries a client",
};

static NO_LOCKOUT: Kind = Kind {
    code: "no-rate-limit-login",
    title: "Passwords can be guessed without limit",
    owasp: Owasp::Api4,
    cwe: 307,
    severity: Severity::Medium,
    fix: "Slow down or refuse after a few failures for a name and for an address, with 429 and `Retry-After`.",
    block: "limit: { rate: 5/min, per: client } on the log-in",
};

static WEAK_PASSWORD: Kind = Kind {
    code: "weak-password-accepted",
    title: "A password of one character is accepted",
    owasp: Owasp::Api2,
    cwe: 521,
    severity: Severity::Medium,
    fix: "Ask for eight characters at least and refuse the well-known ones (NIST SP 800-63B).",
    block: "validate: `minLength` on the password in the contract",
};

static RESET_GUESS: Kind = Kind {
    code: "reset-code-guessable",
    title: "Codes for a new password can be tried without limit",
    owasp: Owasp::Api2,
    cwe: 640,
    severity: Severity::High,
    fix: "Use 128 random bits, let a code die after a few wrong tries and within minutes.",
    block: "limit: { rate: 5/min, per: client } on the confirmation",
};

static RESET_LEAK: Kind = Kind {
    code: "reset-code-in-answer",
    title: "The code for a new password is in the answer",
    owasp: Owasp::Api2,
    cwe: 640,
    severity: Severity::High,
    fix: "Send the code to the owner's address and nowhere else.",
    block: "mask: the member that holds the code",
};

static MAILS: Kind = Kind {
    code: "no-rate-limit-reset",
    title: "Messages with reset codes can be asked for without limit",
    owasp: Owasp::Api4,
    cwe: 799,
    severity: Severity::Medium,
    fix: "Send few messages an hour to one account, and count what one address asks for.",
    block: "limit: { rate: 3/min, per: client } on the operation",
};

/// Messages asked for before the absence of a limit is believed.
const MESSAGES: usize = 12;

/// Failures before the absence of a limit is believed.
const TRIES: usize = 30;

fn run(cx: &mut Session<'_>) -> Outcome {
    let Some(login) = cx.login_for(ANONYMOUS) else { return reset(cx) };
    enumeration(cx, login)?;
    if !cx.options.read_only {
        guessing(cx, login)?;
        weak_password(cx)?;
    }
    reset(cx)
}

/// A name that exists, best one of ours.
fn somebody(cx: &Session<'_>) -> Option<usize> {
    let named = |actor: &usize| cx.actor(*actor).username.is_some();
    cx.disposables().into_iter().rfind(named).or_else(|| cx.users().into_iter().find(named))
}

/// An answer without what is different anyway: the name itself, numbers, times.
fn normal(exchange: &Exchange, name: &str) -> (u16, String) {
    let text = exchange.response.text().replace(name, "NAME");
    let text: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    (exchange.response.status, text)
}

fn enumeration(cx: &mut Session<'_>, login: usize) -> Outcome {
    let Some(actor) = somebody(cx) else { return Ok(()) };
    let known = cx.actor(actor).username.clone().unwrap_or_default();
    let mut answers: Vec<[(u16, String); 2]> = Vec::new();
    let mut evidence: Vec<Rc<Exchange>> = Vec::new();
    for _ in 0..2 {
        let wrong = cx.marker();
        // The unknown name has the shape of the known one.
        let random = cx.marker();
        let unknown =
            known.split_once('@').map_or_else(|| random.clone(), |(_, host)| format!("{random}@{host}"));
        let call = cx.login_call(login, &known, &wrong);
        let there = cx.call(ANONYMOUS, &call)?;
        let call = cx.login_call(login, &unknown, &wrong);
        let absent = cx.call(ANONYMOUS, &call)?;
        let limited = |e: &Exchange| matches!(e.response.status, 0 | 429) || e.response.status >= 500;
        if limited(&there) || limited(&absent) {
            return Ok(());
        }
        answers.push([strip(normal(&there, &known), &wrong), strip(normal(&absent, &unknown), &wrong)]);
        evidence.extend([there, absent]);
    }
    let stable = answers.windows(2).all(|pair| pair.first() == pair.last());
    let differ = answers.first().is_some_and(|[there, absent]| there != absent);
    if stable && differ {
        let label = cx.operation(login).label();
        let finding =
            Finding::new(&ENUMERATION, Confidence::Confirmed, label, &evidence.iter().collect::<Vec<_>>())
                .shows(Sign::Differ(0, 1));
        cx.report(finding.saying("the log-in answers otherwise for a name that exists").proved(
            "the same answer for both",
            "the difference is the same in two rounds with fresh names and passwords; the names themselves are not compared",
        ));
    }
    Ok(())
}

fn strip(answer: (u16, String), secret: &str) -> (u16, String) {
    (answer.0, answer.1.replace(secret, "PASSWORD"))
}

fn guessing(cx: &mut Session<'_>, login: usize) -> Outcome {
    // Only an identity of ours may be locked out.
    let Some(actor) = cx.disposables().last().copied() else { return Ok(()) };
    let Some((name, password)) = cx.actor(actor).username.clone().zip(cx.actor(actor).password.clone())
    else {
        return Ok(());
    };
    let mut last = None;
    for _ in 0..TRIES {
        let wrong = cx.marker();
        let call = cx.login_call(login, &name, &wrong);
        let exchange = cx.call(ANONYMOUS, &call)?;
        if says_limit(&exchange) {
            return Ok(());
        }
        last = Some(exchange);
    }
    let call = cx.login_call(login, &name, &password);
    let right = cx.call(ANONYMOUS, &call)?;
    let welcome = right.response.ok()
        && !crate::session::says_failure(&right.response)
        && (right.response.json().is_some_and(|a| find_token(&a).is_some())
            || right.response.header("set-cookie").is_some());
    if let (true, Some(last)) = (welcome, last) {
        let label = cx.operation(login).label();
        let finding =
            Finding::new(&NO_LOCKOUT, Confidence::Confirmed, label, &[&last, &right]).times(0, TRIES);
        cx.report(finding.saying(format!("{TRIES} wrong passwords in a row were each answered, and the right one still works")).proved(
            "429 or a locked account after a few",
            "an identity of the scan's own was tried; none of the answers was 429, 423 or spoke of a limit",
        ));
    }
    Ok(())
}

fn weak_password(cx: &mut Session<'_>) -> Outcome {
    let Some(register) = cx.operations(Operation::is_register).first().copied() else { return Ok(()) };
    let names: Vec<String> = cx
        .operation(register)
        .body_members()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|n| words::is_password(n))
        .collect();
    let members = names.into_iter().map(|name| (name, Value::String("a".to_owned()))).collect();
    let Some(actor) = cx.register(&members)? else { return Ok(()) };
    if cx.actor(actor).password.as_deref() != Some("a") {
        return Ok(());
    }
    let Some(made) = cx.made.iter().rfind(|made| made.actor == actor).cloned() else { return Ok(()) };
    let label = cx.operation(made.operation).label();
    let finding = Finding::new(&WEAK_PASSWORD, Confidence::Confirmed, label, &[&made.exchange]);
    cx.report(finding.saying("an account with the password `a` was opened, and it logs in").proved(
        "400: the password is too short",
        "the registration succeeded and the log-in with that password gave a session",
    ));
    Ok(())
}

fn reset(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    let Some(actor) = cx.disposables().last().copied() else { return Ok(()) };
    let Some(name) = cx.actor(actor).username.clone() else { return Ok(()) };
    let mut mail = name.clone();
    if let Some(made) = cx.made.iter().find(|m| m.actor == actor)
        && let Some(body) = made.call.members()
        && let Some((_, value)) = body.iter().find(|(key, _)| words::contains(key, &["mail"]))
    {
        mail = crate::api::text(value);
    }
    let fill = |call: &mut Call, name: &str, mail: &str| {
        if let Some(body) = call.members_mut() {
            for (key, value) in body.iter_mut() {
                if words::contains(key, &["mail"]) {
                    *value = Value::String(mail.to_owned());
                } else if words::is_login_name(key) {
                    *value = Value::String(name.to_owned());
                }
            }
        }
    };
    for index in cx.operations(Operation::is_reset_request) {
        for mut call in versions(cx, index) {
            fill(&mut call, &name, &mail);
            let asked = cx.call(ANONYMOUS, &call)?;
            if !asked.response.ok() {
                continue;
            }
            leak(cx, index, &asked);
            messages(cx, index, &call, &asked)?;
            let random = cx.marker();
            let mut other = call.clone();
            let absent =
                mail.split_once('@').map_or_else(|| random.clone(), |(_, host)| format!("{random}@{host}"));
            fill(&mut other, &random, &absent);
            let unknown = cx.call(ANONYMOUS, &other)?;
            let there = normal(&asked, &name);
            if there.0 != unknown.response.status
                && unknown.response.status != 429
                && unknown.response.status < 500
            {
                let label = cx.operation(index).label();
                let finding = Finding::new(&ENUMERATION, Confidence::Confirmed, label, &[&asked, &unknown]);
                cx.report(
                    finding
                        .saying("asking for a new password answers otherwise for a name that exists")
                        .proved(
                            "the same answer for both",
                            "the status differs for two names of the same shape, one of which is registered",
                        ),
                );
            }
        }
    }
    for index in cx.operations(Operation::is_reset_confirm) {
        let Some(code) = cx.operation(index).reset_code() else { continue };
        let digits = code_is_short(cx.operation(index), &code);
        for mut call in versions(cx, index) {
            fill(&mut call, &name, &mail);
            guess_codes(cx, index, &call, &code, digits)?;
        }
    }
    Ok(())
}

/// Asks again and again for a message to an identity of the scan's own.
fn messages(cx: &mut Session<'_>, index: usize, call: &Call, first: &Rc<Exchange>) -> Outcome {
    let mut last = first.clone();
    for _ in 1..MESSAGES {
        let exchange = cx.call(ANONYMOUS, call)?;
        if !exchange.response.ok() || says_limit(&exchange) {
            return Ok(());
        }
        last = exchange;
    }
    // Whether a message goes out each time cannot be seen from here: a sound API may well say so and send none.
    let label = cx.operation(index).label();
    let finding = Finding::new(&MAILS, Confidence::Likely, label, &[first, &last]).times(1, MESSAGES - 1);
    cx.report(finding.saying(format!("{MESSAGES} codes in a row were asked for and promised")).proved(
        "429 after a few",
        "all were for one identity of the scan's own; none of the answers was 429 or spoke of a limit",
    ));
    Ok(())
}

/// Whether an answer speaks of a limit.
fn says_limit(exchange: &Exchange) -> bool {
    let text = exchange.response.text().to_lowercase();
    matches!(exchange.response.status, 0 | 423 | 429)
        || exchange.response.header("retry-after").is_some()
        || ["too many", "locked", "captcha", "rate limit", "try again later"]
            .iter()
            .any(|word| text.contains(word))
}

/// The call for each value of a version in the path.
fn versions(cx: &mut Session<'_>, index: usize) -> Vec<Call> {
    let call = cx.compose(index, ANONYMOUS, Taste::Marked);
    let operation = cx.operation(index);
    let version = operation
        .params
        .iter()
        .find(|p| words::contains(&p.name, &["version"]) && p.schema.get("enum").is_some());
    let Some(version) = version else { return vec![call] };
    let all = version.schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    let with = |value: &Value| {
        let mut call = call.clone();
        call.path.insert(version.name.clone(), crate::api::text(value));
        call
    };
    all.iter().take(4).map(with).collect()
}

fn leak(cx: &mut Session<'_>, index: usize, asked: &Rc<Exchange>) {
    let Some(answer) = asked.response.json() else { return };
    let leaked = crate::pool::leaves(&answer).into_iter().find(|(pointer, value)| {
        let name = crate::pool::last_name(pointer);
        let shown = crate::api::text(value);
        (words::has(name, &["pin", "otp", "code", "token"])
            && !words::has(name, &["status", "error", "expires"]))
            && (3..=128).contains(&shown.len())
            && !shown.contains(' ')
            && shown.chars().any(|c| c.is_ascii_digit())
    });
    if let Some((pointer, _)) = leaked {
        let label = cx.operation(index).label();
        let finding = Finding::new(&RESET_LEAK, Confidence::Confirmed, label, &[asked])
            .at(format!("body {pointer}"))
            .shows(Sign::Has(0, format!("\"{}\"", crate::pool::last_name(&pointer))));
        cx.report(
            finding.saying("whoever asks for a new password for anybody gets the code in the answer").proved(
                "an answer without the code",
                "the member stands in the answer to a caller without any credential",
            ),
        );
    }
}

/// Whether a code is short enough to be tried through, by its schema or its example.
fn code_is_short(operation: &Operation, code: &str) -> bool {
    let members = operation.body_members();
    let Some((_, schema)) = members.iter().find(|(name, _)| name == code) else { return false };
    let example = schema.get("example").map(crate::api::text).unwrap_or_default();
    let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(99);
    most <= 6 || (1..=6).contains(&example.len()) || words::has(code, &["pin"])
}

fn guess_codes(cx: &mut Session<'_>, index: usize, call: &Call, code: &str, short: bool) -> Outcome {
    let mut last: Option<Rc<Exchange>> = None;
    let mut password = call.clone();
    if let Some(body) = password.members_mut() {
        for (key, value) in body.iter_mut() {
            if words::is_password(key) {
                *value = Value::String("Pc-never-set-7Q".to_owned());
            }
        }
    }
    for turn in 0..TRIES {
        // Codes that are no codes: guessing right would change something.
        let guess = Value::String(format!("x{turn:03}"));
        let mut members = serde_json::Map::new();
        members.insert(code.to_owned(), guess);
        let exchange = cx.call(ANONYMOUS, &password.with_members(&members))?;
        let status = exchange.response.status;
        if matches!(status, 0 | 404 | 405 | 423 | 429)
            || status >= 500
            || exchange.response.ok() && !crate::session::says_failure(&exchange.response)
        {
            return Ok(());
        }
        if says_limit(&exchange) || exchange.response.text().contains("pattern") {
            return Ok(());
        }
        last = Some(exchange);
    }
    if let Some(last) = last {
        let label = cx.operation(index).label();
        // A long token can be tried for ever in vain.
        let confidence = match (short, words::has(code, &["token"])) {
            (true, _) => Confidence::Confirmed,
            (false, false) => Confidence::Likely,
            (false, true) => Confidence::Suspected,
        };
        let finding = Finding::new(&RESET_GUESS, confidence, label, &[&last])
            .times(0, TRIES)
            .at(format!("body /{code}"))
            .shows(Sign::Lacks(0, " 429".to_owned()));
        cx.report(finding.saying(format!("{TRIES} wrong codes in a row were each answered{}", if short { ", and a code is short enough to try all" } else { "" })).proved(
            "429, or the code dies after a few wrong tries",
            "an identity of the scan's own was tried; none of the answers was 429 or spoke of a limit",
        ));
    }
    Ok(())
}
