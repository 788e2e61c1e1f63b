//! Tokens: what the API believes that nobody signed, what it signed with a word, and what it never forgets.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Map, Value};

use super::Check;
use crate::api::{Call, Danger, encode};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::{Exchange, Request};
use crate::jwt::{Token, weak_secrets};
use crate::session::{ANONYMOUS, Outcome, Session};

/// The check.
pub(super) static TOKEN: Check = Check {
    name: "token",
    about: "forged, unsigned, weakly signed and unending tokens",
    kinds: &[&UNVERIFIED, &NONE, &WEAK_SECRET, &ENDLESS, &IN_URL, &LOGOUT],
    run,
};

static UNVERIFIED: Kind = Kind {
    code: "token-not-verified",
    title: "The signature of a token is not verified",
    owasp: Owasp::Api2,
    cwe: 347,
    severity: Severity::High,
    fix: "Verify the signature with one fixed algorithm and key before a single claim is read; never decode as a fallback.",
    block: "authenticate: jwt with the issuer's keys; the gateway refuses what does not verify",
};

static NONE: Kind = Kind {
    code: "token-alg-none",
    title: "A token without a signature is accepted (`alg: none`)",
    owasp: Owasp::Api2,
    cwe: 347,
    severity: Severity::High,
    fix: "Allow exactly the algorithm that the issuer uses; `none` is never one of them.",
    block: "authenticate: jwt; `none` is refused whatever the policy says",
};

static WEAK_SECRET: Kind = Kind {
    code: "token-weak-secret",
    title: "Tokens are signed with a secret that can be guessed",
    owasp: Owasp::Api2,
    cwe: 1391,
    severity: Severity::High,
    fix: "Sign with 256 random bits or more, or with a private key, and keep it out of the code.",
    block: "authenticate: jwt with the issuer's asymmetric keys",
};

static ENDLESS: Kind = Kind {
    code: "token-never-expires",
    title: "Tokens do not expire",
    owasp: Owasp::Api2,
    cwe: 613,
    severity: Severity::Medium,
    fix: "Give every token an `exp` of minutes to hours and refuse those past it.",
    block: "authenticate: jwt requires `exp`",
};

static IN_URL: Kind = Kind {
    code: "token-in-url",
    title: "A credential is accepted in the URL",
    owasp: Owasp::Api2,
    cwe: 598,
    severity: Severity::Medium,
    fix: "Take credentials from the `Authorization` header only: URLs end up in logs, histories and referrers.",
    block: "validate: parameters that the contract does not have are refused",
};

static LOGOUT: Kind = Kind {
    code: "logout-keeps-token",
    title: "A token works on after log-out",
    owasp: Owasp::Api2,
    cwe: 613,
    severity: Severity::Medium,
    fix: "Keep sessions on the server, or a list of revoked token ids until they expire.",
    block: "short token lives; revocation by `jti`",
};

/// Seconds of a year.
const YEAR: i64 = 365 * 24 * 3600;

/// Seconds that a forged token lives: as long as somebody may take to look at the report.
const FORGED_LIFE: i64 = 30 * 24 * 3600;

fn run(cx: &mut Session<'_>) -> Outcome {
    let candidates: Vec<usize> =
        cx.users().into_iter().chain(cx.admin()).filter(|a| cx.actor(*a).token.is_some()).collect();
    for actor in candidates {
        // A fresh token: what is tested must not be refused for its age.
        cx.log_in(actor)?;
        let Some((call, valid, refused)) = cx.door(actor)? else { continue };
        forge(cx, actor, &call, &valid, &refused)?;
        in_url(cx, actor, &call, &valid, &refused)?;
        break;
    }
    log_out(cx)
}

/// The request of a call with another token in the place of the actor's.
fn with_token(cx: &Session<'_>, actor: usize, call: &Call, token: &str) -> Request {
    let mut request = cx.request_of(call);
    let state = cx.actor(actor);
    let own = state.token.clone().unwrap_or_default();
    for (name, value) in &state.headers {
        request.set_header(name, &value.replace(&own, token));
    }
    request
}

fn attempt(cx: &mut Session<'_>, actor: usize, call: &Call, token: &str) -> Outcome<Rc<Exchange>> {
    let request = with_token(cx, actor, call, token);
    cx.send_once(ANONYMOUS, request)
}

fn opens(valid: &Exchange, attempt: &Exchange) -> bool {
    attempt.response.ok()
        && !crate::session::says_failure(&attempt.response)
        && attempt.response.status == valid.response.status
}

fn forge(
    cx: &mut Session<'_>,
    actor: usize,
    call: &Call,
    valid: &Rc<Exchange>,
    refused: &Rc<Exchange>,
) -> Outcome {
    let label = cx.operation(call.operation).label();
    let Some(token) = cx.actor(actor).token.as_deref().and_then(Token::parse) else { return Ok(()) };
    if !token.claims.is_empty() && !token.claims.contains_key("exp") {
        let what = "the token that the log-in gives has no `exp` claim";
        cx.report(Finding::new(&ENDLESS, Confidence::Likely, "", &[valid]).saying(what).proved(
            "an `exp` claim",
            "the claims of the token in the request can be read by anyone; a server-side limit cannot be seen from outside",
        ));
    }
    // The control: a token that is none at all has to be refused, or the door is open to everyone anyway.
    let marker = cx.marker();
    let nonsense = attempt(cx, actor, call, &format!("{marker}.{marker}.{marker}"))?;
    if opens(valid, &nonsense) {
        let finding = Finding::new(&UNVERIFIED, Confidence::Confirmed, label, &[valid, refused, &nonsense]);
        cx.report(finding.saying("any text in the place of the token opens a protected operation").proved(
            "401, as without a token",
            "without a token the answer is a refusal, with meaningless text it is the owner's",
        ));
        return Ok(());
    }
    let mut claims = token.claims.clone();
    claims.insert("pc".to_owned(), Value::String(marker));
    // Whoever makes a token says how long it lives.
    if claims.contains_key("exp") {
        claims.insert(
            "exp".to_owned(),
            Value::from(time::OffsetDateTime::now_utc().unix_timestamp() + FORGED_LIFE),
        );
    }
    let own = cx.actor(actor).token.clone().unwrap_or_default();
    let forgeries =
        [token.with_claims_unsigned(&claims), token.with_broken_signature(), token.without_signature()];
    let mut believed = None;
    // The token that was handed out is no forgery: one that never had a signature has none to lose.
    for (turn, forgery) in forgeries.iter().enumerate().filter(|(_, forgery)| **forgery != own) {
        let exchange = attempt(cx, actor, call, forgery)?;
        if turn == 0 && opens(valid, &exchange) {
            let old = token.with_claims_unsigned(&aged(&claims));
            age(cx, actor, call, (valid, refused, &exchange), &old)?;
        }
        believed = believed.or_else(|| opens(valid, &exchange).then_some(exchange));
    }
    if let Some(forged) = &believed {
        let finding =
            Finding::new(&UNVERIFIED, Confidence::Confirmed, "", &[valid, refused, &nonsense, forged]);
        cx.report(finding.saying("a token whose signature no key made is believed, claims and all").proved(
            "401, as for any invalid token",
            "the same door refuses a call without a token and one with a meaningless token, and opens for one with a false signature",
        ));
    }
    for word in ["none", "None", "NONE", "nOnE"] {
        let unsigned = attempt(cx, actor, call, &token.unsigned(&claims, word))?;
        if opens(valid, &unsigned) {
            let finding =
                Finding::new(&NONE, Confidence::Confirmed, "", &[valid, refused, &nonsense, &unsigned]);
            cx.report(
                finding.saying(format!("a token with `alg: {word}` and no signature is believed")).proved(
                    "401, as for any invalid token",
                    "the same door refuses a call without a token and one with a meaningless token",
                ),
            );
            break;
        }
    }
    let secrets = weak_secrets(&cx.api.title);
    if let Some(secret) = token.secret_among(secrets.iter().map(String::as_str))
        && let Some(forged) = token.signed_with(&claims, secret.as_bytes())
    {
        let accepted = attempt(cx, actor, call, &forged)?;
        let sure = opens(valid, &accepted);
        if sure && let Some(old) = token.signed_with(&aged(&claims), secret.as_bytes()) {
            age(cx, actor, call, (valid, refused, &accepted), &old)?;
        }
        let confidence = if sure { Confidence::Confirmed } else { Confidence::Likely };
        // The secret's length says enough to find it; the word itself stays out of reports.
        let hint: String = secret.chars().take(1).chain("…".chars()).collect();
        let finding = Finding::new(&WEAK_SECRET, confidence, "", &[valid, refused, &accepted]);
        cx.report(finding.saying(format!("tokens are signed with a word of {} characters (`{hint}`): anyone can make tokens for anyone", secret.chars().count())).proved(
            "a secret that no word list has",
            "the signature was reproduced offline, and a token with a claim of our own, signed with that word, was accepted",
        ));
    }
    Ok(())
}

/// The same claims of two years ago.
fn aged(claims: &Map<String, Value>) -> Map<String, Value> {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut old = claims.clone();
    for (name, ago) in [("iat", 2), ("nbf", 2), ("auth_time", 2), ("exp", 1)] {
        if let Some(value) = old.get_mut(name) {
            *value = Value::from(now - ago * YEAR);
        }
    }
    old
}

/// A made-up token that the API believes tells whether it looks at ages: nothing on the server can know this one.
fn age(
    cx: &mut Session<'_>,
    actor: usize,
    call: &Call,
    (valid, refused, fresh): (&Rc<Exchange>, &Rc<Exchange>, &Rc<Exchange>),
    old: &str,
) -> Outcome {
    let accepted = attempt(cx, actor, call, old)?;
    if opens(valid, &accepted) {
        let finding = Finding::new(&ENDLESS, Confidence::Confirmed, "", &[refused, fresh, &accepted]);
        cx.report(finding.saying("a token that says that it is two years old still opens").proved(
            "401: the token is past its time",
            "the token was made for this call, so that no list on the server has it, and the times in it were the only way to tell its age",
        ));
    }
    Ok(())
}

fn in_url(
    cx: &mut Session<'_>,
    actor: usize,
    call: &Call,
    valid: &Rc<Exchange>,
    refused: &Rc<Exchange>,
) -> Outcome {
    let Some(token) = cx.actor(actor).token.clone() else { return Ok(()) };
    for name in ["access_token", "token", "api_key", "auth", "jwt", "apikey", "key"] {
        let mut request = cx.request_of(call);
        let joint = if request.target.contains('?') { '&' } else { '?' };
        request.target = format!("{}{joint}{name}={}", request.target, encode(&token));
        let exchange = cx.send_once(ANONYMOUS, request)?;
        if opens(valid, &exchange) {
            let documented =
                cx.api.schemes.iter().any(|s| s.place == crate::api::Place::Query && s.field == name);
            let confidence = if documented { Confidence::Likely } else { Confidence::Confirmed };
            let label = cx.operation(call.operation).label();
            let finding =
                Finding::new(&IN_URL, confidence, label, &[refused, &exchange]).at(format!("query {name}"));
            cx.report(finding.saying(format!("the token is accepted as `?{name}=`")).proved(
                "401: a credential in the URL is no credential",
                "the same call is refused without the parameter and answered with it",
            ));
            return Ok(());
        }
    }
    Ok(())
}

fn log_out(cx: &mut Session<'_>) -> Outcome {
    let Some(actor) = cx.disposables().last().copied() else { return Ok(()) };
    let Some(index) = cx.operations(|op| op.danger() == Danger::Session).first().copied() else {
        return Ok(());
    };
    cx.log_in(actor)?;
    let Some((call, before, _)) = cx.door(actor)? else { return Ok(()) };
    let mut old = cx.request_of(&call);
    cx.actor(actor).dress(&mut old);
    let leave = cx.compose(index, actor, crate::values::Taste::Example);
    let left = cx.call(actor, &leave)?;
    let after = cx.send_once(ANONYMOUS, old)?;
    if left.response.status < 400
        && left.response.status != 0
        && after.response.status == before.response.status
    {
        let label = cx.operation(index).label();
        let finding = Finding::new(&LOGOUT, Confidence::Confirmed, label, &[&before, &left, &after]);
        cx.report(
            finding.saying("the token of a session that was ended still opens protected operations").proved(
                "401 after the log-out",
                "the same call with the same token worked before the log-out and after it",
            ),
        );
    }
    cx.log_in(actor)?;
    Ok(())
}
