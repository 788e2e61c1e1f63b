//! Active tests of a running API: they find what the OWASP API Security Top 10 describes, and prove it.
//!
//! [`read`] turns a document into an [`Api`]; [`scan`] explores the target, runs the [`CHECKS`] and answers a
//! [`Report`]. Calls go to the one target of [`Options`] and nowhere else; redirects are never followed.

mod api;
mod callback;
pub mod checks;
mod explore;
mod finding;
mod http;
mod identity;
mod input;
mod journal;
mod jwt;
mod pool;
mod random;
mod realms;
mod reproduce;
mod session;
mod stub;
mod values;
mod words;

use std::sync::Arc;
use std::time::Duration;

pub use api::{Api, Auth, Body, Danger, Media, Operation, Param, Place, Scheme};
pub use checks::{CHECKS, Check};
pub use finding::{Confidence, Finding, Kind, Sign};
pub use http::{Exchange, Request, Response, Target};
pub use identity::{ClientCredentials, Credential, Csrf, Identity, Recipe, Role};
pub use input::read;
pub use reproduce::{Capture, Reproduction, Source, Step};
pub use session::{Options, Progress};
pub use stub::{Answers, Stub};

use session::{Session, Stop};

/// What a scan found, and what it cost.
#[derive(Debug, Clone)]
pub struct Report {
    /// The findings: confirmed ones first, then by severity.
    pub findings: Vec<Finding>,
    /// Things a person should know: identities that could not log in, what was left out.
    pub notes: Vec<String>,
    /// What the scan made and could not remove.
    pub left: Vec<String>,
    /// Requests sent.
    pub requests: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Why it ended early, if it did.
    pub incomplete: Option<String>,
    /// Secrets that were used, each with a name for a shell variable: whoever writes the report leaves them out.
    pub secrets: Vec<(String, String)>,
    /// Operations that answered at least one identity with success, of all.
    pub reached: (usize, usize),
}

/// Scans a target.
///
/// # Errors
/// If the target cannot be reached at all.
pub fn scan(api: Api, options: &Options, watch: &mut dyn FnMut(&Progress)) -> Result<Report, String> {
    let mut session = Session::new(options, api, watch)?;
    let hello = session.send(session::ANONYMOUS, Request::new("GET", &format!("{}/", session.base)));
    if let Ok(exchange) = &hello
        && let Some(error) = &exchange.response.error
    {
        return Err(format!(
            "{} does not answer: {error}; start it, or see --target",
            options.target.url("")
        ));
    }
    if !options.read_only {
        match callback::Listener::start(options.callback.as_deref(), session.listened.as_deref()) {
            Ok(listener) if options.callback.is_some() || options.target.is_loopback() => {
                session.listen(listener);
            }
            Ok(_) => session.notes.push(
                "no call-back address: blind request forgery was not tested; give one with --callback"
                    .to_owned(),
            ),
            Err(error) => session.notes.push(format!("the call-back listener could not start: {error}")),
        }
    }
    for stub in &options.stubs {
        let stand = stub::Stand::start(stub, options.timeout)
            .map_err(|error| format!("{} cannot be listened on for --stub: {error}", stub.listen))?;
        session.stands.push(stand);
    }
    let mut incomplete = run(&mut session).err();
    let left = match session.clean_up() {
        Ok(left) => left,
        Err(stop) => {
            incomplete.get_or_insert(stop);
            std::mem::take(&mut session.left)
        }
    };
    for actor in 1..session.actors.len() {
        let state = session.actor(actor);
        if state.origin == identity::Origin::Given && state.can_log_in() && session.log_in(actor) == Ok(false)
        {
            let name = session.actor(actor).name.clone();
            session.notes.push(format!("identity `{name}` logged in before the scan and no longer does"));
        }
    }
    let total = session.api.operations.len();
    let reached = (0..total)
        .filter(|index| session.baselines.iter().any(|((known, _), found)| known == index && found.is_some()))
        .count();
    session.add_recipes();
    let mut findings = std::mem::take(&mut session.findings);
    findings.sort_by(|a, b| {
        b.confidence
            .cmp(&a.confidence)
            .then(b.kind.severity.cmp(&a.kind.severity))
            .then(a.key().cmp(&b.key()))
    });
    Ok(Report {
        findings,
        notes: std::mem::take(&mut session.notes),
        left,
        requests: session.requests,
        elapsed: session.started.elapsed(),
        incomplete: incomplete.map(|stop| stop.reason().to_owned()),
        secrets: session.secrets(),
        reached: (reached, total),
    })
}

/// Reads a document from a host, which `tls` says whether to trust. Redirects are not followed.
///
/// # Errors
/// If the host does not answer with 2xx.
pub fn fetch(
    at: &Target,
    path: &str,
    timeout: Duration,
    tls: Option<&Arc<rustls::ClientConfig>>,
) -> Result<Vec<u8>, String> {
    let client = http::Client::new(at, timeout, 128 << 20, tls)?;
    let response = client.send(&Request::new("GET", path));
    match response.error {
        Some(error) => Err(format!("{} cannot be fetched: {error}", at.url(path))),
        None if !response.ok() => Err(format!("{} answers {}; expected 200", at.url(path), response.status)),
        None => Ok(response.body),
    }
}

fn run(session: &mut Session<'_>) -> Result<(), Stop> {
    session.explore()?;
    let only = &session.options.only;
    let chosen: Vec<&'static Check> = CHECKS
        .iter()
        .copied()
        .filter(|check| only.is_empty() || only.iter().any(|name| name == check.name))
        .collect();
    run_all(session, &chosen)?;
    let of_callers: Vec<&'static Check> =
        chosen.iter().copied().filter(|check| check.is_of_callers()).collect();
    for (login, scope) in session.further_realms()? {
        if session.enter(login, scope)? {
            run_all(session, &of_callers)?;
        }
        session.leave();
    }
    let reads: Vec<&'static Check> =
        chosen.into_iter().filter(|check| check.name == checks::OBJECTS.name).collect();
    if !reads.is_empty() && session.narrow_to_empty() {
        run_all(session, &reads)?;
    }
    session.leave();
    Ok(())
}

fn run_all(session: &mut Session<'_>, checks: &[&'static Check]) -> Result<(), Stop> {
    for (step, check) in checks.iter().enumerate() {
        session.step = (step, checks.len());
        session.doing(check.about);
        (check.run)(session)?;
    }
    Ok(())
}
