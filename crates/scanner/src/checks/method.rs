//! Methods that nobody wrote down: TRACE, words of one's own, overrides, and doors that only some methods find
//! locked.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};

use super::Check;
use crate::api::Danger;
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Exchange;
use crate::session::{ANONYMOUS, Outcome, Session, says_failure};

/// The check.
pub(super) static METHOD: Check = Check {
    name: "method",
    about: "TRACE, unknown methods, overrides, doors that other methods open",
    kinds: &[&TRACE, &OVERRIDE, &BYPASS, &NO_ALLOW],
    run,
};

static TRACE: Kind = Kind {
    code: "trace-enabled",
    title: "TRACE shows a caller its own request, credentials included",
    owasp: Owasp::Api8,
    cwe: 489,
    severity: Severity::Low,
    fix: "Switch TRACE off in the server.",
    block: "validate: methods that the contract does not have are refused",
};

static OVERRIDE: Kind = Kind {
    code: "method-override",
    title: "A header changes the method of a request",
    owasp: Owasp::Api5,
    cwe: 650,
    severity: Severity::Medium,
    fix: "Switch method overrides off: what stands in front of the API decides by the method that it sees.",
    block: "the engine refuses override headers",
};

static BYPASS: Kind = Kind {
    code: "method-bypass",
    title: "Another method opens a protected operation",
    owasp: Owasp::Api5,
    cwe: 288,
    severity: Severity::High,
    fix: "Authenticate before the method is looked at; refuse methods that are not handled.",
    block: "validate: methods that the contract does not have are refused",
};

static NO_ALLOW: Kind = Kind {
    code: "405-without-allow",
    title: "405 does not say which methods there are",
    owasp: Owasp::Api8,
    cwe: 436,
    severity: Severity::Info,
    fix: "Send `Allow` with 405 (RFC 9110, section 15.5.6).",
    block: "nothing is to be blocked",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    trace(cx)?;
    overrides(cx)?;
    bypass(cx)
}

fn trace(cx: &mut Session<'_>) -> Outcome {
    let marker = cx.marker();
    let mut request = crate::http::Request::new("TRACE", &format!("{}/", cx.base));
    request.set_header("X-Pc-Trace", &marker);
    let exchange = cx.send_once(ANONYMOUS, request)?;
    let shown = exchange.response.text().to_lowercase().contains(&format!("x-pc-trace: {marker}"));
    if exchange.response.ok() && shown {
        let finding = Finding::new(&TRACE, Confidence::Confirmed, "", &[&exchange]);
        cx.report(
            finding
                .saying("TRACE is answered with the request")
                .proved("405 or 501", "the answer's body holds a header line made for this call"),
        );
    }
    let allow = exchange.response.header("allow").is_some();
    if exchange.response.status == 405 && !allow {
        let finding = Finding::new(&NO_ALLOW, Confidence::Confirmed, "", &[&exchange]);
        cx.report(finding.proved("`Allow` beside 405", "RFC 9110 asks for the field; the answer has none"));
    }
    Ok(())
}

/// A made-up method in an override header on a read that works: a server that honours it no longer finds the
/// operation. Nothing is changed, whatever it does.
fn overrides(cx: &mut Session<'_>) -> Outcome {
    let readers = cx.operations(|op| op.is_get() && op.danger() == Danger::Read);
    let user = cx.first_user();
    let mut tried = 0;
    for index in readers {
        let Some(baseline) = cx.baseline(index, user)? else { continue };
        tried += 1;
        if tried > 4 {
            break;
        }
        for (base, word) in [("GET", "PCNONE"), ("POST", "GET")] {
            let mut plain = cx.request_of(&baseline.call);
            base.clone_into(&mut plain.method);
            let with = |name: &str, word: &str| {
                let mut request = plain.clone();
                request.set_header(name, word);
                request
            };
            let control = cx.send(user, with("X-Pc-Nothing", word))?;
            for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
                let words = if base == "GET" { vec![word, "OPTIONS"] } else { vec![word] };
                for word in words {
                    let turned = cx.send(user, with(name, word))?;
                    let differs = |a: &Exchange, b: &Exchange| {
                        a.response.status != b.response.status
                            && a.response.status != 0
                            && b.response.status != 0
                    };
                    // A gateway that refuses the header as such does not honour it.
                    let refused = matches!(turned.response.status, 400 | 403 | 429);
                    if !differs(&control, &turned) || refused || base == "POST" && !turned.response.ok() {
                        continue;
                    }
                    let again = cx.send(user, with(name, word))?;
                    let still = cx.send(user, with("X-Pc-Nothing", word))?;
                    if again.response.status != turned.response.status
                        || still.response.status != control.response.status
                    {
                        continue;
                    }
                    let label = cx.operation(index).label();
                    let finding = Finding::new(&OVERRIDE, Confidence::Confirmed, label, &[&control, &turned])
                        .at(format!("header {name}"));
                    cx.report(finding.saying(format!("`{name}: {word}` on {base} is obeyed")).proved(
                        "the same answer as with any unknown header",
                        format!("with the field the status is {}, with a field of another name and the same value {}; twice", turned.response.status, control.response.status),
                    ));
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn bypass(cx: &mut Session<'_>) -> Outcome {
    let user = cx.first_user();
    let readers = cx.operations(|op| op.is_get() && op.danger() == Danger::Read);
    let mut tried = 0;
    for index in readers {
        let Some(baseline) = cx.baseline(index, user)? else { continue };
        let refused = cx.call(ANONYMOUS, &baseline.call)?;
        if !matches!(refused.response.status, 401 | 403) || !baseline.exchange.response.ok() {
            continue;
        }
        tried += 1;
        if tried > 5 {
            break;
        }
        for method in ["HEAD", "PCWORD", "get", "PROPFIND"] {
            let mut request = cx.request_of(&baseline.call);
            method.clone_into(&mut request.method);
            let exchange: Rc<Exchange> = cx.send_once(ANONYMOUS, request.clone())?;
            if !exchange.response.ok() || says_failure(&exchange.response) {
                continue;
            }
            // It opens only if it gives what the owner gets.
            let same = if method == "HEAD" {
                let theirs = cx.send(user, request)?;
                let length = |e: &Exchange| e.response.header("content-length").map(str::to_owned);
                length(&theirs).is_some_and(|l| l.len() > 2) && length(&theirs) == length(&exchange)
            } else {
                exchange.response.json().is_some()
                    && exchange.response.body.len() * 10 >= baseline.exchange.response.body.len() * 9
                    && exchange.response.body.len() > 20
            };
            if same {
                let label = cx.operation(index).label();
                let finding = Finding::new(&BYPASS, Confidence::Confirmed, label, &[&refused, &exchange])
                    .at(format!("method {method}"));
                cx.report(
                    finding.saying(format!("`{method}` gives without a credential what GET refuses")).proved(
                        "401, as for GET",
                        "the answer is as large as the owner's own, and GET without a credential is refused",
                    ),
                );
                break;
            }
        }
    }
    Ok(())
}
