//! `portcullis check`: the seven questions before an API goes live, each answered with what was seen.

mod badge;
mod questions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use portcullis_engine::Owasp;
use rustls::{ClientConfig, RootCertStore};
use time::OffsetDateTime;

use super::audit::transport;
use super::audit::wire::{self, Answer, Endpoint};
use crate::exit::{Failure, Result};
use crate::report::{
    Body, Confidence, Evidence, Exchange, Header, Item, Output, Patch, Place, Report, Request, Response,
    Rule, Secret, Section, Severity, State, save,
};

/// Answer the seven questions before an API goes live: transport, tokens, input, errors, headers, alerts, dependencies
#[derive(Clone, clap::Args)]
#[command(
    after_help = "portcullis check https://api.example.com --path /orders --token \"$TOKEN\" --lock Cargo.lock\n\
                        A few dozen requests are sent, some of them malformed or with forged tokens. Only check what \
                        is yours."
)]
pub(crate) struct Args {
    /// Where the API is
    url: String,
    /// A path that answers GET, with the token where one is needed
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
    /// A valid access token; variants of it are forged [default: $PORTCULLIS_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A token that was valid and expired
    #[arg(long, value_name = "TOKEN", requires = "token")]
    expired_token: Option<String>,
    /// A lock file or SBOM of the API; can be given again
    #[arg(long, value_name = "FILE")]
    lock: Vec<PathBuf>,
    /// Advisories in the OSV format: a folder, a .zip or a .json [default: what `portcullis advisories` keeps]
    #[arg(long, value_name = "PATH")]
    advisories: Vec<PathBuf>,
    /// Authorities that sign the API's certificate, PEM [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The admin port of the gateway before the API, which is asked for the incident that a spike must lead to
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Write a badge, SVG
    #[arg(long, value_name = "FILE")]
    badge: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args").field("url", &self.url).field("path", &self.path).finish_non_exhaustive()
    }
}

/// Runs it.
///
/// # Errors
/// If the URL is none, a file cannot be read, or the API does not answer at all.
pub(crate) fn run(args: &Args) -> Result {
    let now = OffsetDateTime::now_utc();
    args.output.check(now)?;
    // On a command line every user of the machine can read it.
    let mut args = args.clone();
    args.token =
        args.token.or_else(|| std::env::var("PORTCULLIS_TOKEN").ok().filter(|token| !token.is_empty()));
    let args = &args;
    let clock = Instant::now();
    let endpoint = Endpoint::parse(&args.url).map_err(Failure::Usage)?;
    if !args.path.starts_with('/') || args.path.contains([' ', '\r', '\n', '#']) {
        return Err(Failure::Usage(format!("`{}` is no path: expected one that begins with `/`", args.path)));
    }
    if args.token.iter().chain(&args.expired_token).any(|token| token.contains(['\r', '\n'])) {
        return Err(Failure::Usage("a token has no line breaks".into()));
    }
    let roots = transport::roots(args.ca.as_deref())?;
    let probe = Probe { tls: transport::curious(&roots)?, endpoint, roots, args, now };
    if let Err(error) = probe.endpoint.connect() {
        return Err(Failure::Incomplete(format!("{} does not answer: {error}", args.url)));
    }
    let mut report = Report::new("check", &args.url, now);
    for (variable, token) in [("TOKEN", &args.token), ("EXPIRED_TOKEN", &args.expired_token)] {
        report
            .secrets
            .extend(token.iter().map(|token| Secret { variable: variable.into(), value: token.clone() }));
    }
    let mut answers = Vec::new();
    for question in questions::QUESTIONS {
        let answer = (question.ask)(&probe, &mut report)?;
        report.rules.push(question.rule());
        if answer.verdict == Verdict::No {
            report.items.push(item(question, &answer, &args.url));
        }
        answers.push((question, answer));
    }
    let rows = answers.iter().map(|(question, answer)| {
        let way = if answer.verdict == Verdict::Yes { String::new() } else { answer.way.clone() };
        vec![answer.verdict.as_str().to_owned(), question.text.to_owned(), answer.seen.clone(), way]
    });
    let head = ["answer", "question", "what was seen", "the way to yes"].map(str::to_owned).to_vec();
    report.tables.insert(0, Section { title: "Checklist".into(), head, rows: rows.collect() });
    let count = |verdict| answers.iter().filter(|(_, answer)| answer.verdict == verdict).count();
    let (yes, no) = (count(Verdict::Yes), count(Verdict::No));
    report.fact("yes", yes);
    report.fact("no", no);
    report.fact("could not tell", answers.len() - yes - no);
    report.seconds = clock.elapsed().as_secs_f64();
    if let Some(path) = &args.badge {
        save(path, &badge::svg(yes, no, answers.len()))?;
    }
    args.output.finish(report, now)
}

/// How a question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// What was seen proves it.
    Yes,
    /// What was seen disproves it.
    No,
    /// Nothing that was seen says so.
    Unknown,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Verdict::Yes => "yes",
            Verdict::No => "no",
            Verdict::Unknown => "could not tell",
        }
    }
}

/// An answer with what it stands on.
#[derive(Debug)]
struct Outcome {
    verdict: Verdict,
    /// What was seen, in a sentence.
    seen: String,
    /// What to do, or what to give so that it can be told.
    way: String,
    /// The exchanges that show it.
    exchanges: Vec<Exchange>,
}

impl Outcome {
    fn new(verdict: Verdict, seen: impl Into<String>, way: impl Into<String>) -> Outcome {
        Outcome { verdict, seen: seen.into(), way: way.into(), exchanges: Vec::new() }
    }

    fn with(mut self, exchanges: Vec<Exchange>) -> Outcome {
        self.exchanges = exchanges;
        self
    }
}

/// One of the seven.
struct Question {
    code: &'static str,
    text: &'static str,
    page: &'static str,
    owasp: Owasp,
    cwe: u16,
    severity: Severity,
    /// How the gateway makes it a yes, where it can.
    gateway: Option<&'static str>,
    ask: fn(&Probe<'_>, &mut Report) -> Result<Outcome>,
}

impl Question {
    fn rule(&self) -> Rule {
        Rule {
            code: self.code.into(),
            title: self.text.into(),
            page: self.page.into(),
            owasp: self.owasp,
            cwe: self.cwe,
            severity: self.severity,
        }
    }
}

/// What the questions ask with.
struct Probe<'a> {
    endpoint: Endpoint,
    tls: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    args: &'a Args,
    now: OffsetDateTime,
}

impl Probe<'_> {
    /// Sends a request and keeps the exchange; nothing where no answer came.
    fn send(
        &self,
        label: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<(Answer, Exchange)> {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sent = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let answer = wire::exchange(&self.endpoint, &self.tls, method, path, &headers, body).ok()?;
        let fields =
            |list: &[(String, String)]| list.iter().map(|(name, value)| Header::new(name, value)).collect();
        let exchange = Exchange {
            label: label.to_owned(),
            identity: String::new(),
            request: Request {
                method: method.to_owned(),
                url: self.endpoint.url(path),
                headers: fields(&headers),
                body: Body::of(body),
            },
            response: Some(Response {
                status: answer.status,
                headers: fields(&answer.headers),
                body: Body::of(&answer.body),
            }),
            expected: String::new(),
            sent: i64::try_from(sent).unwrap_or(0),
            millis: answer.millis,
            times: 1,
        };
        Some((answer, exchange))
    }

    /// GET of the path that was named, with a token or without.
    fn get(&self, label: &str, token: Option<&str>) -> Option<(Answer, Exchange)> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> =
            bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
        self.send(label, "GET", &self.args.path, &headers, b"")
    }
}

fn item(question: &Question, answer: &Outcome, url: &str) -> Item {
    Item {
        code: question.code.into(),
        title: format!("{} No.", question.text),
        detail: question.page.into(),
        owasp: question.owasp,
        cwe: question.cwe,
        severity: question.severity,
        confidence: Confidence::Confirmed,
        places: vec![Place { part: Some(url.to_owned()), ..Place::default() }],
        evidence: Evidence {
            proof: answer.seen.clone(),
            exchanges: answer.exchanges.clone(),
            ..Evidence::default()
        },
        fix: answer.way.clone(),
        patch: question.gateway.map(|text| Patch { text: text.into(), yaml: None }),
        points: None,
        fingerprint: Item::fingerprint_of(question.code, url),
        state: State::New,
    }
}
