//! How the API is set up: headers, origins, banners, pages for developers.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};

use super::Check;
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::{Exchange, Request};
use crate::session::{ANONYMOUS, Outcome, Session};

/// The check.
pub(super) static CONFIG: Check = Check {
    name: "misconfiguration",
    about: "headers, origins, banners, pages for developers",
    kinds: &[&CORS, &HEADERS, &BANNER, &DEBUG, &CACHE, &CLEARTEXT],
    run,
};

static CORS: Kind = Kind {
    code: "cors-any-origin",
    title: "Any website may read answers in its visitor's name",
    owasp: Owasp::Api8,
    cwe: 942,
    severity: Severity::Medium,
    fix: "Allow the origins of a list; never mirror what the request says, least of all with credentials.",
    block: "cors: origins: [https://app.example.com]",
};

static HEADERS: Kind = Kind {
    code: "missing-nosniff",
    title: "Answers lack `X-Content-Type-Options: nosniff`",
    owasp: Owasp::Api8,
    cwe: 693,
    severity: Severity::Info,
    fix: "Send `X-Content-Type-Options: nosniff` with every answer.",
    block: "headers: on by default",
};

static BANNER: Kind = Kind {
    code: "version-banner",
    title: "Answers name the server's software and version",
    owasp: Owasp::Api8,
    cwe: 200,
    severity: Severity::Info,
    fix: "Take the version out of `Server` and `X-Powered-By`.",
    block: "headers: `Server` and `X-Powered-By` are removed by default",
};

pub(super) static DEBUG: Kind = Kind {
    code: "debug-page",
    title: "A page for developers is open to all",
    owasp: Owasp::Api8,
    cwe: 489,
    severity: Severity::High,
    fix: "Switch it off, or bind it to another address.",
    block: "validate: paths that the contract does not have are refused",
};

static CACHE: Kind = Kind {
    code: "private-data-cacheable",
    title: "Private answers may be cached for everybody",
    owasp: Owasp::Api8,
    cwe: 525,
    severity: Severity::Low,
    fix: "Send `Cache-Control: no-store` with answers that depend on who asks.",
    block: "headers: `cache-control` on protected operations",
};

static CLEARTEXT: Kind = Kind {
    code: "no-tls",
    title: "Credentials travel without TLS",
    owasp: Owasp::Api8,
    cwe: 319,
    severity: Severity::Medium,
    fix: "Serve over HTTPS only, and send `Strict-Transport-Security`.",
    block: "listen with a certificate; the gateway redirects",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    let user = cx.first_user();
    let mut sample: Vec<(usize, crate::api::Call, Rc<Exchange>)> = Vec::new();
    for ((index, actor), baseline) in &cx.baselines {
        if *actor == user
            && let Some(baseline) = baseline
            && cx.operation(*index).is_get()
        {
            sample.push((*index, baseline.call.clone(), baseline.exchange.clone()));
        }
    }
    origins(cx, user, &sample)?;
    headers(cx, user, &sample)?;
    pages(cx)
}

fn origins(cx: &mut Session<'_>, user: usize, sample: &[(usize, crate::api::Call, Rc<Exchange>)]) -> Outcome {
    for (index, call, _) in sample.iter().take(6) {
        let origin = format!("https://{}.example", cx.marker());
        for origin in [origin, "null".to_owned()] {
            let mut request = cx.request_of(call);
            request.set_header("Origin", &origin);
            let exchange = cx.send(user, request)?;
            let allowed = exchange.response.header("access-control-allow-origin").unwrap_or_default();
            let credentials = exchange.response.header("access-control-allow-credentials") == Some("true");
            if allowed != origin {
                continue;
            }
            // Mirrored without credentials it opens no more than `*` would.
            // Only a cookie or a password that the browser keeps goes with a call of another site.
            let ambient = !cx.actor(user).cookies.is_empty()
                || cx.actor(user).headers.iter().any(|(_, value)| value.starts_with("Basic "));
            let confidence = if credentials && ambient { Confidence::Confirmed } else { Confidence::Likely };
            let label = cx.operation(*index).label();
            let finding = Finding::new(&CORS, confidence, "", &[&exchange])
                .shows(Sign::Has(0, format!("access-control-allow-origin: {origin}")));
            cx.report(finding.saying(format!("an origin made up for this call may read {label}{}", if credentials { ", cookies included" } else { "" })).proved(
                "no `Access-Control-Allow-Origin` for an origin that is on no list",
                "the answer allows the very origin that the request named, and nobody can have listed it",
            ));
            return Ok(());
        }
    }
    Ok(())
}

fn headers(cx: &mut Session<'_>, user: usize, sample: &[(usize, crate::api::Call, Rc<Exchange>)]) -> Outcome {
    let with_body: Vec<_> = sample
        .iter()
        .filter(|(_, _, exchange)| exchange.response.ok() && !exchange.response.body.is_empty())
        .collect();
    if let Some((_, _, exchange)) = with_body.first()
        && with_body.iter().all(|(_, _, e)| e.response.header("x-content-type-options").is_none())
    {
        let finding = Finding::new(&HEADERS, Confidence::Confirmed, "", &[exchange])
            .shows(Sign::Lacks(0, "x-content-type-options".to_owned()));
        cx.report(
            finding
                .proved("the field on every answer", format!("none of {} answers has it", with_body.len())),
        );
    }
    for name in ["server", "x-powered-by", "x-aspnet-version"] {
        let found = sample.iter().find_map(|(_, _, exchange)| {
            let value = exchange.response.header(name)?;
            let versioned = value.chars().any(|c| c.is_ascii_digit()) && value.contains(['/', '.']);
            versioned.then(|| (value.to_owned(), exchange.clone()))
        });
        if let Some((value, exchange)) = found {
            let finding = Finding::new(&BANNER, Confidence::Confirmed, "", &[&exchange])
                .at(format!("header {name}"))
                .shows(Sign::Has(0, format!("{name}: {value}")));
            cx.report(
                finding
                    .saying(format!("`{name}: {value}`"))
                    .proved("no version", "the field stands in the answer"),
            );
        }
    }
    if user != ANONYMOUS {
        for (index, call, exchange) in sample.iter().take(8) {
            let control = exchange.response.header("cache-control").unwrap_or_default().to_lowercase();
            let lasting = control.contains("public")
                || control.split(',').any(|part| {
                    part.trim()
                        .strip_prefix("max-age=")
                        .and_then(|n| n.parse::<u64>().ok())
                        .is_some_and(|n| n > 0)
                }) && !control.contains("private");
            if !lasting {
                continue;
            }
            let nobody = cx.call(ANONYMOUS, call)?;
            if matches!(nobody.response.status, 401 | 403) {
                let label = cx.operation(*index).label();
                let finding = Finding::new(&CACHE, Confidence::Confirmed, label, &[exchange, &nobody])
                    .shows(Sign::Has(0, format!("cache-control: {control}")));
                cx.report(
                    finding
                        .saying(format!("`cache-control: {control}` on an answer that needs a credential"))
                        .proved(
                            "`no-store` or `private`",
                            "the field allows shared caches to keep what only the caller may see",
                        ),
                );
                break;
            }
        }
    }
    if !cx.options.target.tls
        && !cx.options.target.is_loopback()
        && let Some((_, _, exchange)) = sample.first()
    {
        let finding = Finding::new(&CLEARTEXT, Confidence::Confirmed, "", &[exchange]);
        cx.report(finding.proved("HTTPS", "the calls of this scan were answered over plain HTTP"));
    }
    Ok(())
}

/// Pages for developers, each with what it shows.
const PAGES: &[(&str, &[&str])] = &[
    ("/.env", &["DB_", "SECRET", "_KEY=", "PASSWORD="]),
    ("/.git/HEAD", &["ref: refs/"]),
    ("/.git/config", &["[core]"]),
    ("/actuator/env", &["propertySources"]),
    ("/actuator/heapdump", &["JAVA PROFILE"]),
    ("/actuator", &["\"env\"", "\"heapdump\"", "\"beans\"", "\"configprops\"", "\"threaddump\""]),
    ("/console", &["Werkzeug", "EVALEX", "h2-console"]),
    ("/debug/pprof/", &["goroutine", "heap"]),
    ("/debug/vars", &["\"memstats\"", "cmdline"]),
    ("/phpinfo.php", &["phpinfo()", "PHP Version"]),
    ("/server-status", &["Apache Server Status"]),
    ("/__debug__/", &["djdt"]),
    ("/_profiler/", &["Symfony Profiler"]),
    ("/telescope", &["Telescope"]),
    ("/config.json", &["password", "secret"]),
    ("/backup.sql", &["INSERT INTO", "CREATE TABLE"]),
    ("/dump.sql", &["INSERT INTO", "CREATE TABLE"]),
    ("/internal/debug", &["env", "config", "secret", "memory", "process", "schema"]),
    ("/internal/config", &["password", "secret", "key"]),
    ("/debug", &["env", "config", "secret", "stack", "password", "memory", "process", "schema"]),
    ("/debug/users", &["password", "email", "user"]),
    ("/internal/secret", &["secret", "key"]),
    ("/env", &["PATH", "HOME", "SECRET"]),
    ("/_debug", &["password", "secret", "config"]),
    ("/admin/debug", &["env", "config", "secret"]),
    ("/elmah.axd", &["Error Log for"]),
    ("/trace.axd", &["Application Trace"]),
    ("/wp-config.php.bak", &["DB_PASSWORD"]),
    ("/latest/meta-data/", &["ami-id", "instance-id"]),
];

fn pages(cx: &mut Session<'_>) -> Outcome {
    let random = cx.marker();
    let absent = cx.send_once(ANONYMOUS, Request::new("GET", &format!("{}/{random}", cx.base)))?;
    let documented: Vec<String> = cx.api.operations.iter().map(|op| op.path.clone()).collect();
    let unknown =
        |path: &str| documented.iter().all(|known| known.trim_end_matches('/') != path.trim_end_matches('/'));
    let pages: Vec<_> = PAGES.iter().filter(|(path, _)| unknown(path)).collect();
    let requests = pages.iter().map(|(path, _)| Request::new("GET", &format!("{}{path}", cx.base))).collect();
    let answers = cx.send_many(ANONYMOUS, requests)?;
    for ((path, signs), exchange) in pages.into_iter().zip(answers) {
        let text = exchange.response.text();
        let like_absent = absent.response.status == exchange.response.status
            && super::steady(&text).replace(path, "")
                == super::steady(&absent.response.text()).replace(&format!("/{random}"), "");
        if !exchange.response.ok() || like_absent || !signs.iter().any(|sign| text.contains(sign)) {
            continue;
        }
        // A page that any made-up path gives is none of these.
        if absent.response.ok() && absent.response.is_html() == exchange.response.is_html() {
            continue;
        }
        // An ordinary word in an ordinary text proves nothing; as the name of a member it does, and so does what
        // no other kind of page holds.
        let ordinary = |sign: &str| sign.chars().all(|c| c.is_ascii_lowercase());
        let named = exchange.response.json().is_some_and(|answer| {
            let leaves = crate::pool::leaves(&answer);
            leaves.iter().any(|(pointer, _)| {
                signs.iter().any(|sign| pointer.to_lowercase().contains(&sign.to_lowercase()))
            })
        });
        let sure = named || signs.iter().any(|sign| !ordinary(sign) && text.contains(sign));
        super::exposure::look(cx, &format!("GET {path}"), ANONYMOUS, &exchange, false);
        let confidence = if sure { Confidence::Confirmed } else { Confidence::Likely };
        let finding = Finding::new(&DEBUG, confidence, format!("GET {path}"), &[&absent, &exchange]);
        cx.report(finding.saying(format!("{path} answers, and shows what it is for")).proved(
            "404",
            "a made-up path is not found, this one is, and its content has the words of such a page",
        ));
    }
    Ok(())
}
