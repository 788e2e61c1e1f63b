//! Unsafe consumption: what the API does with the answers of an upstream that is broken, careless or hostile. The API has to be
//! pointed at a stand-in of the scan for that.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Value, json};

use super::Check;
use crate::api::{Call, Danger, text};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::{Client, Exchange};
use crate::pool::{last_name, leaves};
use crate::session::{Outcome, Session, says_failure};
use crate::stub::Upstream;
use crate::words;

/// The check.
pub(super) static CONSUMPTION: Check = Check {
    name: "unsafe-consumption",
    about: "what the API makes of an upstream's answers; takes --stub",
    kinds: &[&INJECTION, &VALUE, &REDIRECT, &LARGE, &SILENT, &SHOWN, &UNHANDLED],
    run,
};

static INJECTION: Kind = Kind {
    code: "upstream-injection",
    title: "Words of an upstream become part of a query",
    owasp: Owasp::Api10,
    cwe: 89,
    severity: Severity::High,
    fix: "Bind what an upstream says as parameters, as what a caller says: neither is to be trusted.",
    block: "egress: answers of the upstream are held to its contract",
};

static VALUE: Kind = Kind {
    code: "upstream-value-believed",
    title: "An upstream's amount below zero is used",
    owasp: Owasp::Api10,
    cwe: 1284,
    severity: Severity::Medium,
    fix: "Check answers of an upstream against a schema with bounds before they are used.",
    block: "egress: answers of the upstream are held to its contract",
};

static REDIRECT: Kind = Kind {
    code: "upstream-redirect-followed",
    title: "An upstream sends the API's calls to another host",
    owasp: Owasp::Api10,
    cwe: 918,
    severity: Severity::Medium,
    fix: "Follow no redirects, or only those that stay with the upstream's own host.",
    block: "egress: only hosts of a list",
};

static LARGE: Kind = Kind {
    code: "upstream-answer-unbounded",
    title: "An upstream's answer of any size is read",
    owasp: Owasp::Api10,
    cwe: 770,
    severity: Severity::Medium,
    fix: "Stop to read where no honest answer is longer.",
    block: "egress: a bound for answers",
};

static SILENT: Kind = Kind {
    code: "upstream-without-timeout",
    title: "Calls wait for an upstream that never answers",
    owasp: Owasp::Api10,
    cwe: 1088,
    severity: Severity::Medium,
    fix: "Give every call to an upstream a time by which it has to be answered.",
    block: "egress: timeouts",
};

static SHOWN: Kind = Kind {
    code: "upstream-error-shown",
    title: "An upstream's error is shown to the caller",
    owasp: Owasp::Api10,
    cwe: 209,
    severity: Severity::Low,
    fix: "Log what the upstream says, and answer 502 or 503 with words of your own.",
    block: "mask: errors",
};

static UNHANDLED: Kind = Kind {
    code: "upstream-answer-unhandled",
    title: "An upstream's malformed answer is a server error",
    owasp: Owasp::Api10,
    cwe: 755,
    severity: Severity::Low,
    fix: "Expect that an upstream answers anything: 502 says that it was not us.",
    block: "mask: errors",
};

/// More than any honest answer, and little enough for a machine that reads it whole.
const MUCH: usize = 48 << 20;

/// Longer than any call should wait for another.
const LONG: Duration = Duration::from_secs(61);

/// Places of one answer that are tried.
const PLACES: usize = 8;

/// What is tried on: a call that has the API ask a stand-in.
struct Consumer {
    stand: usize,
    actor: usize,
    call: Call,
    label: String,
    control: Rc<Exchange>,
}

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.stands.is_empty() {
        return Ok(());
    }
    let mut tried = BTreeSet::new();
    known(cx, &mut tried)?;
    // What was not reached so far may want an object that nothing was done with yet: reads of a new one first.
    if !cx.options.read_only
        && let Some(fresh) = cx.register(&serde_json::Map::new())?
    {
        make(cx, fresh)?;
        for danger in [Danger::Read, Danger::Write] {
            let reached =
                |index: &usize| cx.baselines.iter().any(|((op, _), found)| op == index && found.is_some());
            let mut rest = cx.operations(|op| op.danger() == danger && !op.is_login() && !op.is_register());
            rest.retain(|index| !reached(index));
            for index in rest {
                cx.baseline(index, fresh)?;
            }
            known(cx, &mut tried)?;
        }
    }
    if cx.consumers.is_empty() {
        cx.notes
            .push("no call had the API ask a stand-in: is it pointed at the address of --stub?".to_owned());
    }
    Ok(())
}

/// Tries what is known to ask and was not tried yet.
fn known(cx: &mut Session<'_>, tried: &mut BTreeSet<(usize, usize)>) -> Outcome {
    let fresh = cx.consumers.iter().filter(|(key, _)| !tried.contains(*key));
    let fresh: Vec<((usize, usize), (usize, Call))> =
        fresh.map(|(key, value)| (*key, value.clone())).collect();
    for ((index, stand), (actor, call)) in fresh {
        tried.insert((index, stand));
        let Some(consumer) = working(cx, index, stand, actor, call)? else { continue };
        let outcome = on(cx, &consumer);
        answer(cx, stand, Upstream::Plain);
        outcome?;
    }
    Ok(())
}

/// Objects of a new account's own.
fn make(cx: &mut Session<'_>, actor: usize) -> Outcome {
    let makers =
        cx.operations(|op| op.method == "POST" && op.path_names().is_empty() && op.danger() == Danger::Write);
    for maker in makers.into_iter().take(8) {
        cx.baseline(maker, actor)?;
    }
    Ok(())
}

fn on(cx: &mut Session<'_>, consumer: &Consumer) -> Outcome {
    let plain = cx.stands.get(consumer.stand).and_then(crate::stub::Stand::plain).unwrap_or_default();
    for (pointer, value) in leaves(&plain).into_iter().take(PLACES) {
        match value {
            Value::String(_) => words_at(cx, consumer, &pointer, value)?,
            Value::Number(_) => amount_at(cx, consumer, &pointer, value)?,
            _ => {}
        }
    }
    redirect(cx, consumer)?;
    failing(cx, consumer)?;
    large(cx, consumer)?;
    silent(cx, consumer)
}

fn answer(cx: &Session<'_>, stand: usize, mode: Upstream) {
    if let Some(stand) = cx.stands.get(stand) {
        stand.answer(mode);
    }
}

fn hits(cx: &Session<'_>, stand: usize) -> u64 {
    cx.stands.get(stand).map_or(0, crate::stub::Stand::hits)
}

fn done(exchange: &Exchange) -> bool {
    exchange.response.ok() && !says_failure(&exchange.response)
}

/// A call that works now and has the API ask: the one that did, or the same of a new account with objects of its own.
fn working(
    cx: &mut Session<'_>,
    index: usize,
    stand: usize,
    actor: usize,
    call: Call,
) -> Outcome<Option<Consumer>> {
    let label = cx.operation(index).label();
    let before = hits(cx, stand);
    let control = cx.call(actor, &call)?;
    if done(&control) && hits(cx, stand) > before {
        return Ok(Some(Consumer { stand, actor, call, label, control }));
    }
    let Some(fresh) = cx.register(&serde_json::Map::new())? else { return Ok(None) };
    make(cx, fresh)?;
    let before = hits(cx, stand);
    let Some(baseline) = cx.baseline(index, fresh)? else { return Ok(None) };
    let fits = hits(cx, stand) > before;
    let (call, control) = (baseline.call, baseline.exchange);
    Ok(fits.then_some(Consumer { stand, actor: fresh, call, label, control }))
}

/// The call while the stand-in answers in a way.
fn with(cx: &mut Session<'_>, consumer: &Consumer, mode: Upstream) -> Outcome<Rc<Exchange>> {
    answer(cx, consumer.stand, mode);
    cx.call(consumer.actor, &consumer.call)
}

/// A finding whose exchanges each have an answer of the stand-in behind them.
fn finding(
    cx: &Session<'_>,
    kind: &'static Kind,
    consumer: &Consumer,
    evidence: &[(&Rc<Exchange>, Upstream)],
) -> Finding {
    let exchanges: Vec<&Rc<Exchange>> = evidence.iter().map(|(exchange, _)| *exchange).collect();
    let mut finding = Finding::new(kind, Confidence::Confirmed, consumer.label.clone(), &exchanges);
    if let Some(stand) = cx.stands.get(consumer.stand) {
        let answers = evidence.iter().map(|(_, mode)| stand.bytes(mode)).collect();
        finding = finding.behind(stand.address(), answers);
    }
    finding
}

/// A quote in a word is a word; where it ends a text of a query, the query breaks, and with two it does not.
fn words_at(cx: &mut Session<'_>, consumer: &Consumer, pointer: &str, value: &Value) -> Outcome {
    let put = |end: &str| Upstream::With(pointer.to_owned(), json!(format!("{}{end}", text(value))));
    let plain = with(cx, consumer, put("pc"))?;
    if !done(&plain) {
        // Only what it knows is taken.
        return Ok(());
    }
    let one = with(cx, consumer, put("pc'x"))?;
    let database = super::database_error(&one.response.text());
    if done(&one) || database.is_none() && one.response.status < 500 {
        return Ok(());
    }
    let two = with(cx, consumer, put("pc''x"))?;
    let again = with(cx, consumer, put("pc'x"))?;
    if !done(&two) || done(&again) {
        return Ok(());
    }
    let evidence = [(&plain, put("pc")), (&again, put("pc'x")), (&two, put("pc''x"))];
    let found = finding(cx, &INJECTION, consumer, &evidence).at(format!("upstream {pointer}"));
    cx.report(
        found
            .saying(format!(
                "a quote in `{}` of the upstream's answer breaks the query that it is put into",
                last_name(pointer)
            ))
            .proved(
                "the quote is a letter like any other",
                match database {
                    Some(words) => format!(
                        "with one quote the answer holds `{words}`, with two and with none the call succeeds"
                    ),
                    None => "with one quote the call fails, with two and with none it succeeds".to_owned(),
                },
            ),
    );
    Ok(())
}

/// Names of amounts that are never below zero.
fn is_amount(name: &str) -> bool {
    words::has(
        name,
        &[
            "price", "cost", "fee", "amount", "quantity", "qty", "total", "cents", "shipping", "tax",
            "stock", "days", "weight",
        ],
    ) || words::contains(name, &["price", "amount", "quantity"])
}

fn amount_at(cx: &mut Session<'_>, consumer: &Consumer, pointer: &str, value: &Value) -> Outcome {
    let name = last_name(pointer);
    if !is_amount(name) || value.as_f64().is_none_or(|amount| amount < 0.0) {
        return Ok(());
    }
    let put = Upstream::With(pointer.to_owned(), json!(-48_271));
    let below = with(cx, consumer, put.clone())?;
    let shows = |exchange: &Exchange| {
        let answer = exchange.response.json().unwrap_or_default();
        leaves(&answer).iter().any(|(_, value)| {
            value.as_f64().is_some_and(|n| (n + 48_271.0).abs() < 0.5 || (n + 482.71).abs() < 0.001)
        })
    };
    if !done(&below) || !shows(&below) {
        return Ok(());
    }
    let shown = if below.response.text().contains("-48271") { "-48271" } else { "-482.71" };
    let evidence = [(&consumer.control, Upstream::Plain), (&below, put)];
    let found = finding(cx, &VALUE, consumer, &evidence)
        .at(format!("upstream {pointer}"))
        .shows(Sign::Has(1, shown.to_owned()));
    cx.report(found.saying(format!("`{name}: -48271` of the upstream is taken over")).proved(
        "502: no such amount can be meant",
        "the call succeeds, and its answer shows the number that the stand-in made up",
    ));
    Ok(())
}

fn redirect(cx: &mut Session<'_>, consumer: &Consumer) -> Outcome {
    let Some(listener) = &cx.callback else { return Ok(()) };
    let probe = format!("pc{}", cx.random.word(12));
    let mode = Upstream::Redirect(listener.url(&probe));
    let led = with(cx, consumer, mode.clone())?;
    let hit = cx.called_back(&probe, Duration::from_millis(200));
    let Some(hit) = hit else { return Ok(()) };
    let found = finding(cx, &REDIRECT, consumer, &[(&led, mode)]).last_tells().shows(Sign::Called(probe));
    cx.report(found.saying("a redirect of the upstream to another place was followed").proved(
        "the redirect is an answer like others, or leads only to the upstream's own host",
        format!("`{hit}` arrived at the scan's own listener, which the stand-in's answer had named"),
    ));
    Ok(())
}

fn failing(cx: &mut Session<'_>, consumer: &Consumer) -> Outcome {
    let inner = cx.marker();
    let mode = Upstream::Failing(500, format!("connect postgres://svc:{inner}@10.0.0.7/db failed"));
    let failed = with(cx, consumer, mode.clone())?;
    if failed.response.text().contains(&inner) {
        let found = finding(cx, &SHOWN, consumer, &[(&failed, mode)]).shows(Sign::Has(0, inner));
        cx.report(found.saying("what the upstream says of its own failure stands in the answer").proved(
            "502 with words of the API's own",
            "the answer holds a word that the stand-in made up for its error",
        ));
    }
    let mode = Upstream::Failing(200, "{\"a\":".to_owned());
    let broken = with(cx, consumer, mode.clone())?;
    let calm = with(cx, consumer, Upstream::Plain)?;
    if broken.response.status == 500 && done(&calm) {
        let found = finding(cx, &UNHANDLED, consumer, &[(&calm, Upstream::Plain), (&broken, mode)]);
        cx.report(found.saying("an answer that is no JSON makes the call fail with 500").proved(
            "502: the API noticed, and says whose fault it was",
            "with the malformed answer the call is a server error, and with the ordinary one it succeeds again",
        ));
    }
    Ok(())
}

fn large(cx: &mut Session<'_>, consumer: &Consumer) -> Outcome {
    let mode = Upstream::Large(MUCH);
    let large = with(cx, consumer, mode.clone())?;
    let taken = cx.stands.get(consumer.stand).map_or(0, crate::stub::Stand::taken);
    let calm = with(cx, consumer, Upstream::Plain)?;
    if taken < MUCH || !done(&calm) {
        return Ok(());
    }
    let found =
        finding(cx, &LARGE, consumer, &[(&calm, Upstream::Plain), (&large, mode)]).shows(Sign::Took(1, MUCH));
    cx.report(found.saying(format!("{} MiB of an answer were read", MUCH >> 20)).proved(
        "the connection is closed long before",
        "the stand-in put spaces behind the ordinary answer, and every one was taken",
    ));
    Ok(())
}

fn silent(cx: &mut Session<'_>, consumer: &Consumer) -> Outcome {
    // It takes a minute each time.
    if cx.findings.iter().filter(|finding| finding.kind == &SILENT).count() >= 2 {
        return Ok(());
    }
    let before = hits(cx, consumer.stand);
    let mode = Upstream::Silent(LONG + Duration::from_secs(4));
    answer(cx, consumer.stand, mode.clone());
    // Nothing else waits as long as this.
    let Ok(patient) = Client::new(&cx.options.target, LONG, 1 << 20, cx.options.tls.as_ref()) else {
        return Ok(());
    };
    let usual = std::mem::replace(&mut cx.client, patient);
    let waited = cx.call(consumer.actor, &consumer.call);
    cx.client = usual;
    let waited = waited?;
    cx.failures = 0;
    let calm = with(cx, consumer, Upstream::Plain)?;
    let late = waited.response.error.as_deref() == Some("no answer in time");
    if !late || hits(cx, consumer.stand) == before || !done(&calm) {
        return Ok(());
    }
    let seconds = LONG.as_secs().saturating_sub(1);
    let found = finding(cx, &SILENT, consumer, &[(&calm, Upstream::Plain), (&waited, mode)])
        .shows(Sign::Longer(1, seconds));
    cx.report(found.saying(format!("a call was still waiting after {} seconds", LONG.as_secs())).proved(
        "504 or 502 after a few seconds",
        "the stand-in took the API's call and said nothing; the caller had no answer in all that time, and the ordinary call is answered",
    ));
    Ok(())
}
