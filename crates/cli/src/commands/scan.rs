//! `portcullis scan`: tests a running API for the OWASP API Security Top 10, and proves what it finds.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_scanner::{
    self as scanner, Answers, CHECKS, Confidence, Finding, Identity, Options, Progress, Stub, Target,
};
use time::OffsetDateTime;

use crate::commands::audit::transport;
use crate::config::scan::{IdentityWritten, ScanWritten};
use crate::config::{self, Config, DEFAULT_FILE, Overrides};
use crate::exit::{Failure, Result};
use crate::files;
use crate::report::{
    self, Evidence, Header, Item, Output, Patch, Place, Report, Reproduction, Rule, Secret, Sign, Source,
    State, Step,
};
use crate::term::{self, Table};

/// Most bytes of what describes the API.
const MAX_DOCUMENT: u64 = 128 << 20;

/// Test your own running API for the OWASP API Security Top 10, with proof
#[derive(Debug, clap::Args)]
#[command(after_help = "portcullis scan --spec openapi.yaml --target http://127.0.0.1:3000 \\\n    \
                        --identity alice=login:alice:${ALICE_PASSWORD} --identity bob=login:bob:${BOB_PASSWORD}\n\
                        Only scan what is yours. Nothing but --target is ever called; see --list for the checks.")]
pub(crate) struct Args {
    #[command(flatten)]
    scanning: Scanning,
    /// Configuration file whose section `scan` says what is not said here [default: portcullis.yaml, where neither --spec nor --target is given]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// List the checks and leave
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    output: Output,
}

/// What is scanned, in whose name, and how hard.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Scanning {
    /// What describes the API: OpenAPI, Swagger, Postman collection, HAR, Burp export, the gateway's events (`portcullis log --json`) or GraphQL introspection; a file or a URL; given again, it adds what the first does not have
    #[arg(long = "spec", value_name = "FILE|URL")]
    pub(super) specs: Vec<String>,
    /// Where the API is; addresses in the document are never called
    #[arg(long, value_name = "URL")]
    pub(super) target: Option<String>,
    /// In whose name to call: NAME=login:USER:PASSWORD, bearer:TOKEN, basic:USER:PASSWORD, header:FIELD: VALUE, cookie:NAME=VALUE or client:PATH:ID:SECRET; ${VARIABLE} is replaced; NAME:admin for an administrator; can be given again
    #[arg(long = "identity", value_name = "NAME=KIND:…")]
    identities: Vec<String>,
    /// Identities with log-in recipes, YAML or JSON
    #[arg(long, value_name = "FILE")]
    identities_file: Option<PathBuf>,
    /// A field that goes with every call, such as a key of the gateway: NAME: VALUE; can be given again
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A host that may be scanned although it is not this machine; can be given again
    #[arg(long = "allow-host", value_name = "HOST")]
    allow_hosts: Vec<String>,
    /// Authorities that sign the target's certificate, PEM [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Scan although the target's certificate does not hold; that is reported
    #[arg(long)]
    insecure: bool,
    /// Only reads
    #[arg(long, conflicts_with = "destructive")]
    read_only: bool,
    /// Also try to remove things, those that the scan itself made
    #[arg(long)]
    destructive: bool,
    /// Most requests [default: 5000]
    #[arg(long, value_name = "COUNT")]
    max_requests: Option<u64>,
    /// Most seconds [default: 900]
    #[arg(long, value_name = "SECONDS")]
    max_time: Option<u64>,
    /// Most requests in a second
    #[arg(long, value_name = "COUNT")]
    rate: Option<u32>,
    /// Most requests on their way at once, where their order does not matter [default: 4]
    #[arg(long, value_name = "COUNT")]
    parallel: Option<usize>,
    /// Keep every exchange in a file; given again, a scan that was stopped goes on where it was. The file holds secrets
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Longest wait for one answer, in seconds [default: 10]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// What random values are made from; the same seed makes the same calls [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,
    /// Only this check; can be given again
    #[arg(long = "check", value_name = "NAME")]
    checks: Vec<String>,
    /// Stand in for an upstream of the API, which is pointed at HOST:PORT meanwhile: its answers are those of a URL, of one JSON file for every call, or of a HAR; can be given again
    #[arg(long = "stub", value_name = "HOST:PORT=URL|FILE")]
    stubs: Vec<String>,
    /// HOST:PORT at which the target reaches this machine, for blind request forgery
    #[arg(long, value_name = "HOST:PORT")]
    callback: Option<String>,
    /// Identities of the configuration.
    #[arg(skip)]
    written: Vec<Identity>,
}

impl Scanning {
    /// Takes from the configuration what the command line does not say.
    ///
    /// # Errors
    /// If an identity there has no way to prove itself.
    pub(super) fn fill(&mut self, config: &Config) -> Result<()> {
        let section = config.scan.clone().unwrap_or_default();
        let ScanWritten { target, spec, identities, headers, allow_hosts, read_only, destructive, .. } =
            section;
        let upstream = config.gateway.proxy.upstream.origins.first().map(|origin| origin.url.clone());
        self.target = self.target.take().or(target).or(upstream);
        if self.specs.is_empty() {
            let contract =
                config.gateway.contract.as_ref().map(|source| vec![source.file.display().to_string()]);
            self.specs = spec.or(contract).unwrap_or_default();
        }
        // Whoever names identities here means those, and not others beside them.
        if self.identities.is_empty() && self.identities_file.is_none() {
            let one = |(name, identity): (&String, &IdentityWritten)| {
                Identity::from_value(name, &serde_json::to_value(identity).unwrap_or_default())
            };
            self.written =
                identities.iter().map(one).collect::<std::result::Result<_, _>>().map_err(Failure::Usage)?;
        }
        self.headers.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        self.allow_hosts.extend(allow_hosts);
        self.ca = self.ca.take().or(section.ca);
        self.insecure |= section.insecure;
        self.read_only |= read_only && !self.destructive;
        self.destructive |= destructive && !self.read_only;
        self.max_requests = self.max_requests.or(section.max_requests);
        self.max_time = self.max_time.or(section.max_time.map(|time| time.millis() / 1000));
        self.rate = self.rate.or(section.rate);
        self.parallel = self.parallel.or(section.parallel);
        self.timeout = self.timeout.or(section.timeout.map(|time| time.millis() / 1000));
        self.seed = self.seed.or(section.seed);
        self.stubs.extend(section.stubs);
        self.callback = self.callback.take().or(section.callback);
        if self.checks.is_empty() {
            self.checks = section.checks;
        }
        Ok(())
    }

    /// What random values are made from.
    pub(super) fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    /// The longest wait for one answer.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(10).max(1))
    }

    /// Whom to trust that it is the target.
    ///
    /// # Errors
    /// If the file of authorities has none.
    fn tls(&self) -> Result<Arc<rustls::ClientConfig>> {
        let roots = transport::roots(self.ca.as_deref())?;
        if self.insecure {
            transport::curious(&roots)
        } else {
            transport::careful(roots).map_err(Failure::incomplete)
        }
    }

    /// The fields that go with every call.
    ///
    /// # Errors
    /// If one has no `:`, or asks for a variable that is not set.
    pub(super) fn fields(&self) -> Result<Vec<(String, String)>> {
        let one = |text: &String| -> Result<(String, String)> {
            let text = expand(text)?;
            let (name, value) = text.split_once(':').ok_or_else(|| {
                // What stands there may be a secret.
                Failure::Usage("a `--header` has no `:`; expected `NAME: VALUE`".into())
            })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        self.headers.iter().map(one).collect()
    }

    /// The same, of a gateway before the target; no faster than a gateway lets one client call by default, so that what
    /// its limits refuse is not taken for what its guards do.
    pub(super) fn through(&self, target: String) -> Scanning {
        let mut scanning = self.clone();
        scanning.target = Some(target);
        scanning.rate.get_or_insert(60);
        scanning
    }

    /// Scans, and reports what was found; for the `run`-th time, where one API is scanned again.
    ///
    /// # Errors
    /// If the document cannot be read, or the target does not answer.
    pub(super) fn scan(&self, now: OffsetDateTime, run: u64) -> Result<Report> {
        let options = Options { run, ..options(self)? };
        let mut documents = self.specs.iter().map(|spec| -> Result<scanner::Api> {
            scanner::read(spec, &document(self, spec)?).map_err(Failure::usage)
        });
        let Some(first) = documents.next() else {
            return Err(Failure::Usage("what describes the API? Give `--spec`".into()));
        };
        let mut api = first?;
        for more in documents {
            api.add(more?);
        }
        let mut bar = Bar::new();
        let found = scanner::scan(api, &options, &mut |progress| bar.show(progress));
        bar.clear();
        let found = found.map_err(|error| {
            let advice = if error.contains("no TLS") {
                " (--ca names its authority; --insecure scans it all the same)"
            } else {
                ""
            };
            Failure::Incomplete(format!("{error}{advice}"))
        })?;
        let mut report = report(&found, &options, now);
        if options.target.tls && looks(&options, "misconfiguration") {
            let url = options.target.url("");
            transport::collect(&mut report, &url, self.ca.as_deref(), now)?;
        }
        Ok(report)
    }
}

pub(crate) fn run(args: &Args) -> Result {
    if args.list {
        return Ok(list());
    }
    let now = OffsetDateTime::now_utc();
    args.output.check(now)?;
    let mut scanning = args.scanning.clone();
    let implied = scanning.specs.is_empty() && scanning.target.is_none() && Path::new(DEFAULT_FILE).exists();
    if let Some(file) = args.config.clone().or_else(|| implied.then(|| DEFAULT_FILE.into())) {
        let overrides =
            Overrides { config: Some(file), upstream_optional: true, scan: true, ..Overrides::default() };
        scanning.fill(&config::load(&overrides).map_err(Failure::usage)?)?;
    }
    args.output.finish(scanning.scan(now, 0)?, OffsetDateTime::now_utc())
}

fn list() -> crate::exit::Exit {
    let mut table = Table::new(&["check", "tests", "codes"]);
    for check in CHECKS {
        let codes: Vec<&str> = check.kinds.iter().map(|kind| kind.code).collect();
        table.row(vec![(check.name.into(), None), (check.about.into(), None), (codes.join(" "), None)]);
    }
    term::print(table);
    crate::exit::Exit::Ok
}

fn options(args: &Scanning) -> Result<Options> {
    let Some(target) = args.target.as_deref() else {
        return Err(Failure::Usage("where is the API? Give `--target`".into()));
    };
    let target = Target::parse(target).map_err(Failure::Usage)?;
    allow(&target, &args.allow_hosts)?;
    let mut options = Options::new(target);
    for text in &args.identities {
        options.identities.push(Identity::parse(&expand(text)?).map_err(Failure::Usage)?);
    }
    if let Some(path) = &args.identities_file {
        let text = files::read_text(path, config::MAX_BYTES)
            .map_err(|error| Failure::Usage(format!("`{}` cannot be read: {error}", path.display())))?;
        let name = path.display().to_string();
        options.identities.extend(Identity::read(&name, expand(&text)?.as_bytes()).map_err(Failure::Usage)?);
    }
    options.identities.extend(args.written.iter().cloned());
    for at in options.identities.iter().filter_map(Identity::elsewhere) {
        allow(at, &args.allow_hosts)?;
    }
    for name in &args.checks {
        if !CHECKS.iter().any(|check| check.name == name) {
            return Err(Failure::Usage(format!(
                "there is no check `{name}`; `portcullis scan --list` shows them"
            )));
        }
    }
    options.only.clone_from(&args.checks);
    options.seed = args.seed();
    options.read_only = args.read_only;
    options.destructive = args.destructive;
    options.max_requests = args.max_requests.unwrap_or(options.max_requests);
    options.max_time = args.max_time.map_or(options.max_time, Duration::from_secs);
    options.rate = args.rate;
    options.timeout = args.patience();
    options.parallel = args.parallel.unwrap_or(options.parallel);
    options.callback.clone_from(&args.callback);
    options.stubs = args.stubs.iter().map(|text| stub(text, &args.allow_hosts)).collect::<Result<_>>()?;
    options.headers = args.fields()?;
    options.journal.clone_from(&args.journal);
    if options.target.tls
        || options.identities.iter().any(|identity| identity.elsewhere().is_some_and(|at| at.tls))
    {
        options.tls = Some(args.tls()?);
    }
    Ok(options)
}

/// A stand-in as it is written.
fn stub(text: &str, allowed: &[String]) -> Result<Stub> {
    let wrong = |what: String| Failure::Usage(format!("`--stub {text}`: {what}"));
    let (listen, from) =
        text.split_once('=').ok_or_else(|| wrong("expected HOST:PORT=URL or HOST:PORT=FILE".into()))?;
    let listen =
        listen.parse().map_err(|_| wrong(format!("`{listen}` is no address such as 127.0.0.1:9000")))?;
    if from.starts_with("http://") || from.starts_with("https://") {
        let at = Target::parse(from).map_err(Failure::Usage)?;
        allow(&at, allowed)?;
        return Ok(Stub { listen, answers: Answers::Of(at) });
    }
    let bytes = files::read(Path::new(from), MAX_DOCUMENT)
        .map_err(|error| wrong(format!("`{from}` cannot be read: {error}")))?;
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("`{from}` is no JSON: {error}")))?;
    let recorded = json.pointer("/log/entries").is_some();
    Ok(Stub { listen, answers: if recorded { Answers::Recorded(json) } else { Answers::Json(json) } })
}

/// A scan is an attack: against another machine than this one it takes a second word.
fn allow(target: &Target, allowed: &[String]) -> Result<()> {
    if target.is_loopback() || allowed.iter().any(|host| host.eq_ignore_ascii_case(&target.host)) {
        return Ok(());
    }
    let host = &target.host;
    Err(Failure::Usage(format!(
        "`{host}` is not this machine; if the API there is yours to test, add `--allow-host {host}`"
    )))
}

/// `${NAME}` replaced by the environment's value, so that no secret has to stand in a shell's history.
fn expand(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { break };
        let value = std::env::var(name).map_err(|_| {
            Failure::Usage(format!("the environment has no `{name}`, which an identity asks for"))
        })?;
        out.push_str(before);
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn document(args: &Scanning, spec: &str) -> Result<Vec<u8>> {
    if spec.starts_with("http://") || spec.starts_with("https://") {
        let (origin, path) = split_url(spec);
        let at = Target::parse(&origin).map_err(Failure::Usage)?;
        allow(&at, &args.allow_hosts)?;
        let tls = at.tls.then(|| args.tls()).transpose()?;
        return scanner::fetch(&at, &path, args.patience(), tls.as_ref()).map_err(Failure::Incomplete);
    }
    files::read(Path::new(spec), MAX_DOCUMENT)
        .map_err(|error| Failure::Usage(format!("`{spec}` cannot be read: {error}")))
}

/// A URL as its origin, and its path and query.
fn split_url(url: &str) -> (String, String) {
    let start = url.find("://").map_or(0, |at| at + 3);
    match url.get(start..).and_then(|rest| rest.find('/')) {
        Some(at) => {
            let (origin, path) = url.split_at(start + at);
            (origin.to_owned(), path.to_owned())
        }
        None => (url.to_owned(), "/".to_owned()),
    }
}

fn report(found: &scanner::Report, options: &Options, now: OffsetDateTime) -> Report {
    let mut report = Report::new("scan", &options.target.url(&options.target.base), now);
    report.seconds = found.elapsed.as_secs_f64();
    report.incomplete.clone_from(&found.incomplete);
    report.fact("requests", found.requests);
    report.fact("operations reached", format!("{} of {}", found.reached.0, found.reached.1));
    report.fact("seed", options.seed);
    report.notes.extend(found.notes.iter().cloned());
    report.notes.extend(found.left.iter().map(|left| format!("made and not removed: {left}")));
    report.secrets = found
        .secrets
        .iter()
        .map(|(variable, value)| Secret { variable: variable.clone(), value: value.clone() })
        .collect();
    for check in CHECKS.iter().copied().filter(|check| looks(options, check.name)) {
        report.rules.extend(check.kinds.iter().map(|kind| rule(kind, check)));
    }
    report.items = found.findings.iter().map(|finding| item(finding, options, now)).collect();
    report
}

/// Whether a check runs.
fn looks(options: &Options, check: &str) -> bool {
    options.only.is_empty() || options.only.iter().any(|name| name == check)
}

fn rule(kind: &scanner::Kind, check: &scanner::Check) -> Rule {
    Rule {
        code: kind.code.into(),
        title: kind.title.into(),
        page: format!(
            "{}.\n\nFound by the check `{}` ({}).\n\n**Fix.** {}\n\n**Block.** {}\n",
            kind.title, check.name, check.about, kind.fix, kind.block
        ),
        owasp: kind.owasp,
        cwe: kind.cwe,
        severity: kind.severity.into(),
    }
}

fn item(finding: &Finding, options: &Options, now: OffsetDateTime) -> Item {
    let kind = finding.kind;
    let operation = (!finding.operation.is_empty()).then(|| finding.operation.clone());
    let place = Place { operation, part: finding.parameter.clone(), ..Place::default() };
    Item {
        code: kind.code.into(),
        title: kind.title.into(),
        detail: finding.summary.clone(),
        owasp: kind.owasp,
        cwe: kind.cwe,
        severity: kind.severity.into(),
        confidence: match finding.confidence {
            Confidence::Suspected => report::Confidence::Suspected,
            Confidence::Likely => report::Confidence::Likely,
            Confidence::Confirmed => report::Confidence::Confirmed,
        },
        places: vec![place],
        evidence: Evidence {
            proof: finding.proof.clone(),
            exchanges: finding.evidence.iter().map(|one| exchange(one, finding, options, now)).collect(),
            reproduction: reproduction(finding, options),
            ..Evidence::default()
        },
        fix: kind.fix.into(),
        patch: Some(Patch { text: kind.block.into(), yaml: None }),
        points: None,
        fingerprint: Item::fingerprint_of(kind.code, &finding.key()),
        state: State::New,
    }
}

/// How a finding is repeated, for the script of the report.
fn reproduction(finding: &Finding, options: &Options) -> Option<Box<Reproduction>> {
    let recipe = &finding.recipe;
    if recipe.steps.is_empty() {
        return None;
    }
    let step = |step: &scanner::Step| Step {
        label: format!("as {}: {} {}", step.actor, step.request.method, step.request.path()),
        request: report::Request {
            method: step.request.method.clone(),
            url: step.request.target.clone(),
            headers: step.request.headers.iter().map(|(name, value)| Header::new(name, value)).collect(),
            body: report::Body::of_at_most(&step.request.body, usize::MAX),
        },
        times: step.times,
        together: step.together,
        captures: step
            .captures
            .iter()
            .map(|capture| {
                let source = match &capture.from {
                    scanner::Source::Member(name, nth) => Source::Member(name.clone(), *nth),
                    scanner::Source::Cookie(name) => Source::Cookie(name.clone()),
                };
                (capture.variable.clone(), source)
            })
            .collect(),
        evidence: step.evidence,
        upstream: step.upstream.clone(),
    };
    Some(Box::new(Reproduction {
        steps: recipe.steps.iter().map(step).collect(),
        words: recipe.words.clone(),
        passwords: recipe.passwords.clone(),
        signs: recipe.signs.iter().map(sign).collect(),
        target: options.target.url(""),
        calls_back: recipe.calls_back,
        upstream: recipe.upstream.map(|address| address.to_string()),
    }))
}

/// A sign in words and as a test of the script. Calls are counted from 1 there.
fn sign(sign: &scanner::Sign) -> Sign {
    use scanner::Sign as Of;
    let n = |index: &usize| (index + 1).to_string();
    let (words, test) = match sign {
        Of::Status(index, class) => (
            format!("call {} answers {class}xx", n(index)),
            vec!["class".into(), n(index), class.to_string()],
        ),
        Of::Has(index, text) => {
            (format!("the answer to call {} shows it", n(index)), vec!["has".into(), n(index), text.clone()])
        }
        Of::Lacks(index, text) => (
            format!("the answer to call {} lacks it", n(index)),
            vec!["lacks".into(), n(index), text.clone()],
        ),
        Of::Differ(one, other) => (
            format!("the answers to calls {} and {} differ", n(one), n(other)),
            vec!["differ".into(), n(one), n(other)],
        ),
        Of::Another(one, other, name) => (
            format!("`{name}` differs in the answers to calls {} and {}", n(one), n(other)),
            vec!["another".into(), n(one), n(other), name.clone()],
        ),
        Of::Time(index, name) => (
            format!("`{name}` in the answer to call {} has the time of the call in it", n(index)),
            vec!["time_in".into(), n(index), name.clone()],
        ),
        Of::Slower(one, other, times) => (
            format!("call {} takes more than {times} times as long as call {}", n(one), n(other)),
            vec!["slower".into(), n(one), n(other), times.to_string()],
        ),
        Of::Called(word) => ("the call-back arrived".to_owned(), vec!["called".into(), word.clone()]),
        Of::Took(index, bytes) => (
            format!("{bytes} bytes of the upstream's answer to call {} are taken", n(index)),
            vec!["took".into(), n(index), bytes.to_string()],
        ),
        Of::Longer(index, seconds) => (
            format!("call {} takes more than {seconds} seconds", n(index)),
            vec!["longer".into(), n(index), seconds.to_string()],
        ),
        Of::Together(index, least) => (
            format!("{least} or more of the calls {} succeed", n(index)),
            vec!["together".into(), n(index), least.to_string()],
        ),
    };
    Sign { words, test }
}

fn exchange(
    one: &scanner::Exchange,
    finding: &Finding,
    options: &Options,
    now: OffsetDateTime,
) -> report::Exchange {
    let headers =
        |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| Header::new(name, value)).collect();
    let response = (one.response.status != 0).then(|| report::Response {
        status: one.response.status,
        headers: headers(&one.response.headers),
        body: report::Body::of(&one.response.body),
    });
    report::Exchange {
        times: one.times,
        label: format!("as {}: {} {}", one.actor, one.request.method, one.request.path()),
        identity: one.actor.clone(),
        request: report::Request {
            method: one.request.method.clone(),
            url: options.target.url(&one.request.target),
            headers: headers(&one.request.headers),
            body: report::Body::of(&one.request.body),
        },
        response,
        expected: finding.expected.clone(),
        sent: i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
        millis: one.response.elapsed.as_secs_f64() * 1000.0,
    }
}

/// One line on a terminal that says what is going on; nothing anywhere else.
struct Bar {
    shown: bool,
    terminal: bool,
}

impl Bar {
    fn new() -> Bar {
        Bar { shown: false, terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, progress: &Progress) {
        if !self.terminal {
            return;
        }
        let (step, all) = progress.step;
        let done = (step * 20).checked_div(all).unwrap_or(0).min(20);
        let line = format!(
            "{}{} {} · {} requests · {} confirmed{}",
            "█".repeat(done),
            "░".repeat(20 - done),
            progress.doing,
            progress.requests,
            progress.confirmed,
            progress
                .last
                .as_ref()
                .map(|(code, operation)| format!(", last {code} {operation}"))
                .unwrap_or_default()
        );
        let _ = write!(std::io::stderr(), "\r\u{1b}[2K{}", term::fit(&line, term::width() - 1));
        let _ = std::io::stderr().flush();
        self.shown = true;
    }

    fn clear(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\u{1b}[2K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_takes_a_second_word() {
        let target = Target::parse("http://192.0.2.7:80").unwrap();
        assert!(allow(&target, &[]).is_err() && allow(&target, &["192.0.2.7".into()]).is_ok());
        assert!(allow(&Target::parse("http://127.0.0.1:1").unwrap(), &[]).is_ok());
    }

    #[test]
    fn urls_come_apart() {
        assert_eq!(split_url("http://a:1/x?y"), ("http://a:1".into(), "/x?y".into()));
        assert_eq!(split_url("http://a:1"), ("http://a:1".into(), "/".into()));
    }
}
