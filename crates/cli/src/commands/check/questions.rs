//! The questions, in the order in which they are asked.

use std::time::{Duration, Instant};

use portcullis_engine::Owasp;
use time::OffsetDateTime;

use super::{Outcome, Probe, Question, Verdict};
use crate::commands::audit::dependencies;
use crate::commands::audit::transport::{self, Transport};
use crate::commands::audit::wire::{self, Answer, Endpoint};
use crate::exit::{Failure, Result};
use crate::gateway::watch::Kept;
use crate::report::{Exchange, Report, Severity};

/// The seven.
pub(super) const QUESTIONS: &[Question] = &[
    Question {
        code: "check-transport",
        text: "Is all traffic forced over TLS 1.2 or higher?",
        page: "Cleartext and outdated TLS let whoever is on the way read and change calls.",
        owasp: Owasp::Api8,
        cwe: 319,
        severity: Severity::High,
        gateway: Some("A listener with `tls` speaks TLS 1.2 and 1.3 only, and `headers` sends HSTS."),
        ask: transport,
    },
    Question {
        code: "check-tokens",
        text: "Are tokens validated for signature and expiration?",
        page: "A token that is not verified is whatever its bearer writes into it.",
        owasp: Owasp::Api2,
        cwe: 347,
        severity: Severity::High,
        gateway: Some("`issuers` and `authenticate` verify every token before the API sees the call."),
        ask: tokens,
    },
    Question {
        code: "check-input",
        text: "Is input checked before it is used?",
        page: "What is not refused at the door is interpreted behind it.",
        owasp: Owasp::Api8,
        cwe: 20,
        severity: Severity::Medium,
        gateway: Some(
            "`validate` refuses what the contract does not allow, `inspect` what carries an attack.",
        ),
        ask: input,
    },
    Question {
        code: "check-errors",
        text: "Are errors masked?",
        page: "Stack traces, queries and versions tell an attacker which attack fits.",
        owasp: Owasp::Api8,
        cwe: 209,
        severity: Severity::Medium,
        gateway: Some(
            "`mask` replaces errors by a clean problem with a reference; the original goes to the log.",
        ),
        ask: errors,
    },
    Question {
        code: "check-headers",
        text: "Are security headers sent?",
        page: "They keep browsers from guessing types, framing, caching and naming the server's version.",
        owasp: Owasp::Api8,
        cwe: 693,
        severity: Severity::Low,
        gateway: Some("`headers` sends them with every answer."),
        ask: headers,
    },
    Question {
        code: "check-alerts",
        text: "Are spikes of 401 and 403 logged and alerted?",
        page: "Guessing shows as a spike of refusals before it shows as a breach.",
        owasp: Owasp::Api8,
        cwe: 778,
        severity: Severity::Medium,
        gateway: Some("Spikes become incidents by themselves; `alerts.webhook` says whom to tell."),
        ask: alerts,
    },
    Question {
        code: "check-dependencies",
        text: "Are the dependencies free of known vulnerabilities?",
        page: "Published vulnerabilities are tried on every API that still runs the version.",
        owasp: Owasp::Api8,
        cwe: 1395,
        severity: Severity::High,
        gateway: None,
        ask: dependencies,
    },
];

fn transport(probe: &Probe<'_>, report: &mut Report) -> Result<Outcome> {
    let endpoint = &probe.endpoint;
    if !endpoint.tls {
        let Some((answer, exchange)) = probe.get("cleartext", None) else {
            let seen = "nothing answers HTTP there";
            return Ok(Outcome::new(Verdict::Unknown, seen, "Name the URL that clients use."));
        };
        let way = "Serve the API over TLS only; let the cleartext port redirect, or close it.";
        return Ok(if to_tls(&answer) {
            let seen = "cleartext is redirected to https; the TLS side was not looked at";
            Outcome::new(Verdict::Unknown, seen, "Check the https URL.")
        } else {
            let seen = format!("a call over cleartext is answered with {}", answer.status);
            Outcome::new(Verdict::No, seen, way).with(vec![exchange])
        });
    }
    let found = Transport::probe(endpoint, &probe.roots);
    if let Some(why) = &found.failed {
        return Ok(Outcome::new(
            Verdict::Unknown,
            format!("no handshake: {why}"),
            "Look whether the host speaks TLS.",
        ));
    }
    let wrong = transport::items(&found, &endpoint.authority(), probe.now);
    let serious: Vec<String> = wrong
        .iter()
        .filter(|item| matches!(item.code.as_str(), "tls-old-version" | "tls-weak-suite" | "tls-untrusted"))
        .map(|item| item.title.clone())
        .collect();
    report.items.extend(wrong);
    if !serious.is_empty() {
        let way = "Speak TLS 1.2 and 1.3 with modern suites only, and serve a certificate that holds.";
        return Ok(Outcome::new(Verdict::No, serious.join("; "), way));
    }
    let spoken = found.versions.join(" and ");
    // The cleartext port beside the standard one.
    if endpoint.port == 443 {
        let plain = Endpoint { tls: false, port: 80, ..endpoint.clone() };
        if let Ok(answer) = wire::exchange(&plain, &probe.tls, "GET", "/", &[], b"")
            && !to_tls(&answer)
            && answer.status < 400
        {
            let seen = format!("{spoken} are spoken, but port 80 answers {} in cleartext", answer.status);
            return Ok(Outcome::new(Verdict::No, seen, "Let port 80 redirect to https, or close it."));
        }
    }
    Ok(Outcome::new(
        Verdict::Yes,
        format!("{spoken} are spoken, older versions are refused, the certificate holds"),
        "",
    ))
}

fn to_tls(answer: &Answer) -> bool {
    matches!(answer.status, 301 | 302 | 307 | 308)
        && answer.header("location").is_some_and(|to| to.to_ascii_lowercase().starts_with("https://"))
}

fn tokens(probe: &Probe<'_>, _: &mut Report) -> Result<Outcome> {
    let Some(token) = &probe.args.token else {
        let way = "Give a valid token (`--token`) and a path that needs one (`--path`).";
        return Ok(Outcome::new(Verdict::Unknown, "no token was given", way));
    };
    let (Some((valid, _)), Some((bare, open))) =
        (probe.get("valid token", Some(token)), probe.get("no token", None))
    else {
        return Ok(Outcome::new(Verdict::Unknown, "no answer came", "Look whether the API is up."));
    };
    if !(200..300).contains(&valid.status) {
        let seen =
            format!("`{}` answers {} with the token: nothing can be compared", probe.args.path, valid.status);
        return Ok(Outcome::new(
            Verdict::Unknown,
            seen,
            "Give a token that is valid, and the path that it opens.",
        ));
    }
    if (200..300).contains(&bare.status) {
        let seen = format!("`{}` answers {} without any token", probe.args.path, bare.status);
        let way = "Give a path that needs a token; if this one should, demand it.";
        return Ok(Outcome::new(Verdict::Unknown, seen, way).with(vec![open]));
    }
    let Some(variants) = forged(token) else {
        return Ok(Outcome::new(
            Verdict::Unknown,
            "the token is no JWT: it cannot be forged here",
            "Nothing.",
        ));
    };
    let (mut tried, mut accepted, mut proof) = (0, Vec::new(), Vec::new());
    for (name, variant) in &variants {
        let Some((answer, exchange)) = probe.get(name, Some(variant)) else { continue };
        tried += 1;
        if (200..300).contains(&answer.status) {
            accepted.push(*name);
            proof.push(Exchange { expected: "401".into(), ..exchange });
        }
    }
    if !accepted.is_empty() {
        let seen = format!("accepted: {}", accepted.join(", "));
        let way = "Verify every token against the issuer's keys with a fixed list of algorithms.";
        return Ok(Outcome::new(Verdict::No, seen, way).with(proof));
    }
    let Some(expired) = &probe.args.expired_token else {
        let seen = format!("{tried} forged variants are refused; expiration was not tried");
        return Ok(Outcome::new(Verdict::Unknown, seen, "Give a token that expired (`--expired-token`)."));
    };
    match probe.get("expired token", Some(expired)) {
        Some((answer, exchange)) if (200..300).contains(&answer.status) => {
            let seen = format!("a token that expired is answered with {}", answer.status);
            let exchange = Exchange { expected: "401".into(), ..exchange };
            Ok(Outcome::new(Verdict::No, seen, "Refuse tokens after their `exp`.").with(vec![exchange]))
        }
        Some(_) => {
            let seen =
                format!("{tried} forged variants and the expired token are refused, the valid one is taken");
            Ok(Outcome::new(Verdict::Yes, seen, ""))
        }
        None => Ok(Outcome::new(Verdict::Unknown, "no answer came", "Look whether the API is up.")),
    }
}

/// Variants of a JWT that nobody should accept; nothing where it is none.
fn forged(token: &str) -> Option<Vec<(&'static str, String)>> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts.as_slice() else { return None };
    if !head.starts_with("eyJ") || signature.is_empty() {
        return None;
    }
    // One character of the middle: the last one may carry bits that decoders drop.
    let altered: String = signature
        .char_indices()
        .map(|(at, c)| if at == signature.len() / 2 { if c == 'A' { 'B' } else { 'A' } } else { c })
        .collect();
    // {"alg":"none","typ":"JWT"} and {"alg":"NONE"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let shouted = "eyJhbGciOiJOT05FIn0";
    // {"sub":"admin","exp":4102444800}
    let other = "eyJzdWIiOiJhZG1pbiIsImV4cCI6NDEwMjQ0NDgwMH0";
    Some(vec![
        ("signature altered", format!("{head}.{claims}.{altered}")),
        ("signature left out", format!("{head}.{claims}.")),
        ("claims replaced", format!("{head}.{other}.{signature}")),
        ("algorithm none", format!("{none}.{claims}.")),
        ("algorithm NONE", format!("{shouted}.{claims}.")),
        ("algorithm none, signature kept", format!("{none}.{claims}.{signature}")),
    ])
}

/// Values that mean something to an interpreter, percent-encoded, and what they are.
const ATTACKS: &[(&str, &str)] = &[
    ("SQL", "%27%20OR%20%271%27%3D%271"),
    ("SQL union", "1%20UNION%20SELECT%20null%2Cversion%28%29--%20"),
    ("script", "%3Cscript%3Ealert%281%29%3C%2Fscript%3E"),
    ("path", "..%2F..%2F..%2F..%2Fetc%2Fpasswd"),
    ("command", "%3B%20cat%20%2Fetc%2Fpasswd"),
    ("NUL", "a%00b"),
];

fn input(probe: &Probe<'_>, _: &mut Report) -> Result<Outcome> {
    let bearer = probe.args.token.as_ref().map(|token| format!("Bearer {token}"));
    let base: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    let joint = if probe.args.path.contains('?') { '&' } else { '?' };
    let Some((usual, _)) = probe.send("usual call", "GET", &probe.args.path, &base, b"") else {
        return Ok(Outcome::new(Verdict::Unknown, "no answer came", "Look whether the API is up."));
    };
    if !(200..300).contains(&usual.status) {
        let seen = format!("`{}` answers {}: nothing gets as far as input", probe.args.path, usual.status);
        let way = "Name a path that answers (`--path`), with a token where one is needed (`--token`).";
        return Ok(Outcome::new(Verdict::Unknown, seen, way));
    }
    let (mut refused, mut taken, mut wrong, mut proof) = (0, Vec::new(), Vec::new(), Vec::new());
    for (name, value) in ATTACKS {
        let path = format!("{}{joint}q={value}", probe.args.path);
        let Some((answer, exchange)) = probe.send(name, "GET", &path, &base, b"") else { continue };
        let told = match answer.status {
            500.. => Some("breaks the API"),
            400.. => {
                refused += 1;
                continue;
            }
            _ if works(&answer) => Some("is interpreted"),
            _ => None,
        };
        match told {
            Some(told) => {
                wrong.push(format!("{name} {told}"));
                proof.push(Exchange { expected: "400, 403 or 422".into(), ..exchange });
            }
            None => taken.push(*name),
        }
    }
    let way = "Describe parameters with types, patterns and limits; refuse what does not fit and what is not described.";
    Ok(match (wrong.is_empty(), taken.is_empty(), refused) {
        (false, ..) => Outcome::new(Verdict::No, wrong.join("; "), way).with(proof),
        // A search takes any text, and may well treat it right.
        (_, false, _) => {
            let seen = format!("taken without a visible effect: {}; refused: {refused}", taken.join(", "));
            Outcome::new(
                Verdict::Unknown,
                seen,
                "Test the API with `portcullis scan`, which knows its parameters.",
            )
        }
        (_, _, 0) => Outcome::new(Verdict::Unknown, "no answer came to any of the probes", way),
        (_, _, refused) => {
            Outcome::new(Verdict::Yes, format!("{refused} of {refused} hostile values are refused"), "")
        }
    })
}

/// Whether an answer shows that a value was interpreted: a file of the system, or markup in a page.
fn works(answer: &Answer) -> bool {
    let text = answer.text();
    let page = answer.header("content-type").is_some_and(|kind| kind.trim_start().starts_with("text/html"));
    text.contains("root:x:0:0:") || (page && text.contains("<script>alert(1)</script>"))
}

/// Marks of an error that came out as it was thrown. Each is one that ordinary messages do not have.
const LEAKS: &[(&str, &str)] = &[
    ("Traceback (most recent call last)", "a Python stack trace"),
    ("\tat ", "a Java stack trace"),
    ("Exception in thread", "a Java exception"),
    ("at Object.<anonymous>", "a JavaScript stack trace"),
    ("node_modules/", "a path of the server"),
    ("node:internal/", "a JavaScript stack trace"),
    ("site-packages/", "a path of the server"),
    ("goroutine 1 [", "a Go panic"),
    ("thread 'main' panicked", "a Rust panic"),
    (" panicked at ", "a Rust panic"),
    ("System.NullReferenceException", "a .NET exception"),
    ("StackTrace", "a stack trace"),
    ("stackTrace", "a stack trace"),
    ("Fatal error: ", "a PHP error"),
    ("SQLSTATE[", "a database error"),
    ("You have an error in your SQL syntax", "a database error"),
    ("sqlite3.OperationalError", "a database error"),
    ("psycopg2.", "a database error"),
    ("ORA-0", "a database error"),
    ("Werkzeug Debugger", "a debugger"),
    ("/usr/lib/", "a path of the server"),
    ("/home/", "a path of the server"),
    ("C:\\\\", "a path of the server"),
];

fn errors(probe: &Probe<'_>, _: &mut Report) -> Result<Outcome> {
    let json = ("Content-Type", "application/json");
    let bearer = probe.args.token.as_ref().map(|token| format!("Bearer {token}"));
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(String, String)> {
        let auth = bearer.iter().map(|bearer| ("Authorization".to_owned(), bearer.clone()));
        auth.chain(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect()
    };
    let nowhere = "/portcullis-check-7d1c-no-such-path";
    let long = format!("{}/{}", probe.args.path.trim_end_matches('/'), "9".repeat(600));
    let inner = format!("{}/abc", probe.args.path.trim_end_matches('/'));
    let quoted = format!("{}/1'%22", probe.args.path.trim_end_matches('/'));
    let path = probe.args.path.as_str();
    // Label, method, path, fields, body.
    type Probe<'a> = (&'a str, &'a str, &'a str, Vec<(String, String)>, &'a [u8]);
    let probes: Vec<Probe<'_>> = vec![
        ("unknown path", "GET", nowhere, with(&[]), b""),
        ("JSON that breaks off", "POST", path, with(&[json]), b"{\"a\":"),
        ("JSON of another type", "POST", path, with(&[json]), b"[[[1,\"x\"]]]"),
        ("form where JSON was meant", "POST", path, with(&[("Content-Type", "text/plain")]), b"\xff\xfe\x00"),
        ("a number out of range", "GET", &long, with(&[]), b""),
        ("a word where a number may stand", "GET", &inner, with(&[]), b""),
        ("a quote where a number may stand", "GET", &quoted, with(&[]), b""),
        ("a quote in the path", "GET", "/'%22%3E", with(&[]), b""),
        ("unknown method", "PROPFIND", path, with(&[]), b""),
        ("a token that is none", "GET", path, vec![("Authorization".into(), "Bearer a.b.c".into())], b""),
    ];
    let (mut failures, mut leaks, mut proof) = (0, Vec::new(), Vec::new());
    for (label, method, path, headers, body) in probes {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let Some((answer, exchange)) = probe.send(label, method, path, &headers, body) else { continue };
        if answer.status < 400 {
            continue;
        }
        failures += 1;
        let text = answer.text();
        if let Some((_, what)) = LEAKS.iter().find(|(mark, _)| text.contains(mark)) {
            leaks.push(format!("{what} ({label})"));
            proof.push(Exchange { expected: "an error without details of the inside".into(), ..exchange });
        }
    }
    let way =
        "Answer errors with a code, a message for the caller and a reference; keep the rest in the log.";
    Ok(match (failures, leaks.is_empty()) {
        (_, false) => Outcome::new(Verdict::No, format!("errors show {}", leaks.join(", ")), way).with(proof),
        (0..3, true) => {
            let seen = format!("only {failures} of the probes led to an error");
            Outcome::new(Verdict::Unknown, seen, "Name a path that takes input (`--path`).")
        }
        (_, true) => {
            Outcome::new(Verdict::Yes, format!("{failures} errors of different kinds give nothing away"), "")
        }
    })
}

fn headers(probe: &Probe<'_>, _: &mut Report) -> Result<Outcome> {
    let origin = "https://portcullis-check.invalid";
    let bearer = probe.args.token.as_ref().map(|token| format!("Bearer {token}"));
    let mut fields = vec![("Origin", origin)];
    fields.extend(bearer.iter().map(|bearer| ("Authorization", bearer.as_str())));
    let Some((answer, exchange)) = probe.send("usual call", "GET", &probe.args.path, &fields, b"") else {
        return Ok(Outcome::new(Verdict::Unknown, "no answer came", "Look whether the API is up."));
    };
    let has = |name: &str, wanted: &dyn Fn(&str) -> bool| {
        answer.header(name).is_some_and(|value| wanted(&value.to_ascii_lowercase()))
    };
    let mut wrong = Vec::new();
    if !has("x-content-type-options", &|value| value.trim() == "nosniff") {
        wrong.push("`X-Content-Type-Options: nosniff` is missing".to_owned());
    }
    let policy = has("content-security-policy", &|value| value.contains("frame-ancestors"));
    if !policy && !has("x-frame-options", &|value| matches!(value.trim(), "deny" | "sameorigin")) {
        wrong.push("nothing forbids framing (`Content-Security-Policy: frame-ancestors 'none'`)".into());
    }
    let private = probe.args.token.is_some() && (200..300).contains(&answer.status);
    let uncached = |value: &str| ["no-store", "private", "no-cache"].iter().any(|word| value.contains(word));
    if private && !has("cache-control", &uncached) {
        wrong.push("private data may be cached (`Cache-Control: no-store`)".into());
    }
    if probe.endpoint.tls {
        match answer.header("strict-transport-security") {
            None => wrong.push("`Strict-Transport-Security` is missing".into()),
            // RFC 6797 section 6.1.1: zero takes the host off the browser's list.
            Some(value) if transport::max_age(value).is_none_or(|seconds| seconds == 0) => {
                wrong.push("`Strict-Transport-Security` has no `max-age` that lasts".into());
            }
            Some(_) => {}
        }
    }
    let version = |value: &str| value.contains('/') && value.bytes().any(|byte| byte.is_ascii_digit());
    if has("server", &version)
        || answer.header("x-powered-by").is_some()
        || answer.header("x-aspnet-version").is_some()
    {
        wrong.push("the server names its version".into());
    }
    let any_origin = has("access-control-allow-origin", &|value| value == origin);
    if any_origin && has("access-control-allow-credentials", &|value| value.trim() == "true") {
        wrong.push("any website may read answers with the user's credentials (CORS)".into());
    }
    Ok(match wrong.is_empty() {
        true => Outcome::new(Verdict::Yes, "every field that an API needs is there, and none too many", ""),
        false => {
            let way = "Send the missing fields, and take out those that name versions.";
            Outcome::new(Verdict::No, wrong.join("; "), way).with(vec![exchange])
        }
    })
}

/// Calls that make a spike: more than the least that any sensible limit for alerts takes.
const SPIKE: usize = 60;

/// How long is waited for the incident.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

fn alerts(probe: &Probe<'_>, _: &mut Report) -> Result<Outcome> {
    let way = "Ask a gateway that answers for its incidents (`--admin http://127.0.0.1:9600`, its token in \
               $PORTCULLIS_ADMIN_TOKEN).";
    let Some(admin) = &probe.args.admin else {
        let seen = "whether anybody is told cannot be seen from outside";
        return Ok(Outcome::new(Verdict::Unknown, seen, way));
    };
    let admin = Endpoint::parse(admin).map_err(Failure::Usage)?;
    if let Err(why) = incidents(probe, &admin) {
        return Ok(Outcome::new(Verdict::Unknown, format!("the admin port gives no incidents: {why}"), way));
    }
    let began = OffsetDateTime::now_utc().unix_timestamp_nanos();
    let (mut refused, mut proof) = (0, None);
    for _ in 0..SPIKE {
        let Some((answer, exchange)) = probe.get("a token that is none", Some("portcullis-check-spike"))
        else {
            continue;
        };
        if matches!(answer.status, 401 | 403) {
            refused += 1;
            proof = Some(exchange);
        } else if answer.status == 429 {
            // What limits guessing leaves no spike beyond what it lets through.
            break;
        }
    }
    if refused == 0 {
        let seen = format!("`{}` refuses no false token: there is no spike to be made", probe.args.path);
        return Ok(Outcome::new(Verdict::Unknown, seen, "Name a path that needs a token (`--path`)."));
    }
    let clock = Instant::now();
    let proof: Vec<Exchange> = proof.into_iter().collect();
    loop {
        let known = incidents(probe, &admin).unwrap_or_default();
        let ours = known.iter().find(|one| i128::from(one.incident.last) >= began);
        if let Some(Kept { incident, alerted }) = ours {
            let seen = format!("{refused} refusals became the incident {}", incident.id);
            return Ok(match alerted {
                true => Outcome::new(Verdict::Yes, format!("{seen}, and an alert was sent"), ""),
                false => {
                    let way =
                        "Say whom to tell: `alerts: { webhook: { url: …, secret: \"${ALERT_SECRET}\" } }`.";
                    Outcome::new(Verdict::No, format!("{seen}, and nobody is told"), way).with(proof)
                }
            });
        }
        if clock.elapsed() > NOTICED_WITHIN {
            let seen = format!("{refused} refusals in a row led to no incident");
            let way = "Lower `alerts.spike.at_least` below what guessing needs.";
            return Ok(Outcome::new(Verdict::No, seen, way).with(proof));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The incidents that a gateway tells of.
fn incidents(probe: &Probe<'_>, admin: &Endpoint) -> std::result::Result<Vec<Kept>, String> {
    let token = std::env::var("PORTCULLIS_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
    let headers: Vec<(String, String)> =
        token.iter().map(|token| ("Authorization".to_owned(), format!("Bearer {token}"))).collect();
    let answer = wire::exchange(admin, &probe.tls, "GET", "/incidents", &headers, b"")
        .map_err(|error| error.to_string())?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|_| "its answer cannot be read".to_owned()),
        status => Err(format!("it answers {status}")),
    }
}

fn dependencies(probe: &Probe<'_>, report: &mut Report) -> Result<Outcome> {
    if probe.args.lock.is_empty() {
        let way = "Give the API's lock file or SBOM (`--lock`).";
        return Ok(Outcome::new(Verdict::Unknown, "no lock file was given", way));
    }
    let before = report.items.len();
    dependencies::collect(report, &probe.args.lock, &probe.args.advisories)?;
    if let Some(why) = report.incomplete.take() {
        return Ok(Outcome::new(Verdict::Unknown, "there was nothing to compare with", why));
    }
    let found = report.items.len() - before;
    Ok(match found {
        0 => Outcome::new(Verdict::Yes, "no package has a known vulnerability in the advisories at hand", ""),
        found => {
            let way = "Raise the packages that are listed.";
            Outcome::new(Verdict::No, format!("{found} known vulnerabilities"), way)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_jwt_is_forged_and_every_variant_differs() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let variants = forged(token).unwrap();
        assert!(variants.iter().all(|(_, variant)| variant != token));
        assert_eq!(variants.len(), 6);
        for other in ["", "opaque", "a.b", "a.b.c.d", "abc.def.ghi", "eyJ.eyJ."] {
            assert!(forged(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_redirect_counts_only_to_tls() {
        let answer = |status: u16, to: &str| Answer {
            status,
            headers: vec![("Location".into(), to.into())],
            ..Answer::default()
        };
        assert!(to_tls(&answer(308, "https://a/")) && !to_tls(&answer(308, "http://a/")));
        assert!(!to_tls(&answer(200, "https://a/")));
    }
}
