//! Asking outside for the engine: the keys of issuers, and what a guard wants of a server of its own. On a thread of
//! its own, so that workers never wait for anything but an answer.

pub(crate) mod client;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AGE, CACHE_CONTROL};
use http::{HeaderValue, Method};
use portcullis_engine::{Answer, Destination, Fields, Lookup, LookupFailure, LookupResult};
use portcullis_guards::Tokens;
use portcullis_identity::oauth::{Begin, Fetched, Finish, Issuer};
use portcullis_proxy::{LookupFuture, Lookups as Host, ProxyHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, oneshot};

use client::{Client, Outgoing};

/// Lookups under way at the same time; further ones fail at once.
const MOST: usize = 1024;
/// Shared answers that are kept; beyond that the oldest go.
const MOST_SHARED: usize = 10_000;
/// How long one document of an issuer may take.
const KEYS_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks. Cloned handles are one.
#[derive(Debug)]
pub(crate) struct Lookups {
    jobs: mpsc::UnboundedSender<Job>,
    under_way: Arc<AtomicUsize>,
    tokens: Arc<arc_swap::ArcSwap<Tokens>>,
}

#[derive(Debug)]
struct Job {
    lookup: Lookup,
    reply: oneshot::Sender<LookupResult>,
    _slot: Slot,
}

/// One of the lookups under way.
#[derive(Debug)]
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lookups {
    /// Starts the thread, which fetches the keys of `tokens` and keeps them fresh. Time is `proxy`'s.
    pub(crate) fn start(tokens: Arc<Tokens>, proxy: ProxyHandle) -> std::io::Result<Arc<Lookups>> {
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let tokens = Arc::new(arc_swap::ArcSwap::new(tokens));
        let lookups = Arc::new(Lookups { jobs, under_way: Arc::default(), tokens: Arc::clone(&tokens) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("lookups".into()).spawn(move || {
            let service = Rc::new(Service {
                client: Client::default(),
                tokens,
                proxy,
                flights: RefCell::default(),
                fetches: RefCell::default(),
            });
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let mut ticks = tokio::time::interval(Duration::from_secs(1));
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        job = queue.recv() => match job {
                            Some(job) => drop(tokio::task::spawn_local(Rc::clone(&service).serve(job))),
                            None => return,
                        },
                        _ = ticks.tick() => service.refresh(),
                    }
                }
            });
        })?;
        Ok(lookups)
    }

    /// The issuers whose keys are fetched.
    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        self.tokens.load_full()
    }

    /// Fetches the keys of these issuers from now on.
    pub(crate) fn use_tokens(&self, tokens: Arc<Tokens>) {
        self.tokens.store(tokens);
    }
}

impl Host for Lookups {
    fn ask(&self, lookup: Lookup) -> LookupFuture {
        let slot = Slot(Arc::clone(&self.under_way));
        if slot.0.fetch_add(1, Ordering::Relaxed) >= MOST {
            return Box::pin(std::future::ready(Err(LookupFailure::Busy)));
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(Job { lookup, reply, _slot: slot });
        Box::pin(async move {
            let gone = || LookupFailure::Forbidden("the gateway stops".into());
            sent.map_err(|_| gone())?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

#[derive(Debug)]
struct Service {
    client: Client,
    tokens: Arc<arc_swap::ArcSwap<Tokens>>,
    proxy: ProxyHandle,
    flights: RefCell<HashMap<Box<str>, Flight>>,
    /// By issuer: who waits for its keys.
    fetches: RefCell<HashMap<Arc<str>, Rc<Notify>>>,
}

/// A lookup that several share.
#[derive(Debug)]
struct Flight {
    /// From when on its answer is nobody's any more.
    until: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    UnderWay(Vec<oneshot::Sender<LookupResult>>),
    Done(LookupResult),
}

/// What is asked of somebody outside.
enum Question {
    Http(Outgoing),
    /// The addresses of a name.
    Name(Box<str>),
    /// The names of an address.
    Address(IpAddr),
    /// A protocol of the guard's.
    Stream {
        address: Box<str>,
        messages: Vec<Bytes>,
        most: u64,
    },
}

/// Asks the system's resolver, on a thread that may wait.
async fn resolve(name: &str) -> Result<Answer, LookupFailure> {
    let found = tokio::net::lookup_host((name, 0)).await;
    let found = found.map_err(|error| LookupFailure::Unreachable(format!("`{name}`: {error}").into()))?;
    let lines: Vec<String> = found.map(|address| address.ip().to_string()).collect();
    Ok(Answer { status: http::StatusCode::OK, headers: Fields::new(), body: lines.join("\n").into() })
}

/// Asks the system's resolver for the name of an address, on a thread that may wait.
#[expect(
    clippy::disallowed_methods,
    reason = "no worker's runtime but that of the lookups, whose threads for waiting are bounded"
)]
async fn names(address: IpAddr) -> Result<Answer, LookupFailure> {
    let failed = |why: String| LookupFailure::Unreachable(format!("`{address}`: {why}").into());
    let found = tokio::task::spawn_blocking(move || dns_lookup::lookup_addr(&address)).await;
    let name = match found.map_err(|error| failed(error.to_string()))? {
        Ok(name) => name,
        // That there is no name is an answer.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error.to_string())),
    };
    // Without a name, the resolver gives the address back.
    let body = if name.parse::<IpAddr>().is_ok() { String::new() } else { name };
    Ok(Answer { status: http::StatusCode::OK, headers: Fields::new(), body: body.into() })
}

/// Sends each message over a connection of its own, and reads what comes back until the other side closes.
async fn stream(address: &str, messages: &[Bytes], most: u64) -> Result<Answer, LookupFailure> {
    let failed = |error: std::io::Error| LookupFailure::Unreachable(format!("`{address}`: {error}").into());
    let mut body = Vec::new();
    for message in messages {
        let mut socket = tokio::net::TcpStream::connect(address).await.map_err(failed)?;
        let (mut from, mut to) = socket.split();
        let left = most.saturating_sub(body.len() as u64);
        let mut bounded = (&mut from).take(left + 1);
        // Who answers before all is sent may not read the rest: what counts is the answer.
        let (_, read) = tokio::join!(to.write_all(message), bounded.read_to_end(&mut body));
        read.map_err(failed)?;
        if body.len() as u64 > most {
            return Err(LookupFailure::TooLarge);
        }
    }
    Ok(Answer { status: http::StatusCode::OK, headers: Fields::new(), body: body.into() })
}

impl Service {
    async fn serve(self: Rc<Self>, job: Job) {
        let Job { lookup, reply, _slot } = job;
        let Lookup { key, share, destination, timeout, max_response, .. } = lookup;
        let question = match destination {
            Destination::Url { method, url, headers, body } => {
                Question::Http(Outgoing { method, url, headers, body, most: max_response })
            }
            Destination::Resolve { name } => Question::Name(name),
            Destination::Names { address } => Question::Address(address),
            Destination::Stream { address, messages } => {
                Question::Stream { address, messages, most: max_response }
            }
            Destination::Keys { issuer } => {
                // Whatever came of it, the guard looks what is there now.
                let _ = tokio::time::timeout(timeout, self.keys(&issuer)).await;
                let answer = Answer {
                    status: http::StatusCode::NO_CONTENT,
                    headers: Fields::new(),
                    body: Bytes::new(),
                };
                let _ = reply.send(Ok(Arc::new(answer)));
                return;
            }
            Destination::Upstream(_) => {
                let _ = reply.send(Err(LookupFailure::Forbidden("the proxy itself asks the API".into())));
                return;
            }
        };
        let Some(share) = share else {
            let _ = reply.send(self.send(question, timeout).await);
            return;
        };
        if let Some(reply) = self.join(&key, reply) {
            let until = Instant::now() + share;
            let flight = Flight { until, state: State::UnderWay(vec![reply]) };
            self.flights.borrow_mut().insert(key.clone(), flight);
            let result = self.send(question, timeout).await;
            let done = Flight { until, state: State::Done(result.clone()) };
            let before = match until > Instant::now() {
                true => self.flights.borrow_mut().insert(key, done),
                false => self.flights.borrow_mut().remove(&key),
            };
            if let Some(Flight { state: State::UnderWay(waiting), .. }) = before {
                for reply in waiting {
                    let _ = reply.send(result.clone());
                }
            }
        }
    }

    /// Joins a lookup that is under way or still counts; gives `reply` back where there is none.
    fn join(&self, key: &str, reply: oneshot::Sender<LookupResult>) -> Option<oneshot::Sender<LookupResult>> {
        let mut flights = self.flights.borrow_mut();
        match flights.get_mut(key) {
            Some(Flight { state: State::UnderWay(waiting), .. }) => {
                waiting.push(reply);
                return None;
            }
            Some(Flight { until, state: State::Done(result) }) if *until > Instant::now() => {
                let _ = reply.send(result.clone());
                return None;
            }
            _ => {}
        }
        if flights.len() >= MOST_SHARED {
            let now = Instant::now();
            flights.retain(|_, flight| matches!(flight.state, State::UnderWay(_)) || flight.until > now);
            if flights.len() >= MOST_SHARED {
                flights.retain(|_, flight| matches!(flight.state, State::UnderWay(_)));
            }
        }
        Some(reply)
    }

    async fn send(&self, question: Question, timeout: Duration) -> LookupResult {
        let answer = async {
            match question {
                Question::Http(request) => self.client.send(request).await,
                Question::Name(name) => resolve(&name).await,
                Question::Address(address) => names(address).await,
                Question::Stream { address, messages, most } => stream(&address, &messages, most).await,
            }
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => answer.map(Arc::new),
            Err(_) => Err(LookupFailure::Timeout),
        }
    }

    /// Starts what is due.
    fn refresh(self: &Rc<Self>) {
        let now = self.proxy.now();
        for issuer in self.tokens.load().issuers().all() {
            if issuer.keys().due(now) {
                let (service, name) = (Rc::clone(self), Arc::clone(issuer.keys().issuer()));
                tokio::task::spawn_local(async move { service.keys(&name).await });
            }
        }
    }

    /// Fetches the keys of the issuer `name`, or waits for who does.
    async fn keys(self: &Rc<Self>, name: &Arc<str>) {
        let Some(issuer) = self.tokens.load().issuers().get(name).cloned() else { return };
        let waiting = Rc::clone(self.fetches.borrow_mut().entry(Arc::clone(name)).or_default());
        match issuer.keys().begin(self.proxy.now()) {
            Begin::Fetch(fetch) => {
                // A task of its own: it goes on when the call that needed it has gone.
                let service = Rc::clone(self);
                let fetched = tokio::task::spawn_local(async move {
                    service.fetch(&issuer, fetch).await;
                    waiting.notify_waiters();
                });
                let _ = fetched.await;
            }
            Begin::UnderWay => waiting.notified().await,
            Begin::NotNow => {}
        }
    }

    async fn fetch(&self, issuer: &Issuer, mut fetch: portcullis_identity::oauth::Fetch) {
        loop {
            let mut headers = Fields::new();
            headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
            let most = fetch.max_bytes as u64;
            let request =
                Outgoing { method: Method::GET, url: fetch.url.clone(), headers, body: Bytes::new(), most };
            let answer = self.send(Question::Http(request), KEYS_TIMEOUT).await;
            let fetched = match &answer {
                Ok(answer) => Fetched::Answer {
                    status: answer.status.as_u16(),
                    body: &answer.body,
                    max_age_s: max_age(&answer.headers),
                },
                Err(_) => Fetched::Failed,
            };
            let name = issuer.keys().issuer();
            match issuer.keys().finish(&fetch, fetched, self.proxy.now()) {
                Finish::Next(next) => fetch = next,
                Finish::Done { usable, skipped } => {
                    tracing::debug!(issuer = %name, usable, skipped, "keys fetched");
                    return;
                }
                Finish::Failed(why) => {
                    let why = answer.err().map_or(why, |failure| failure.reason().to_owned());
                    tracing::warn!(issuer = %name, url = %fetch.url, why, "its keys could not be fetched, the last good ones stay");
                    return;
                }
                Finish::Late => return,
            }
        }
    }
}

/// For how many seconds an answer is fresh, if it says (RFC 9111 section 4.2.1).
fn max_age(headers: &Fields) -> Option<u64> {
    let control = headers.get(CACHE_CONTROL)?.to_str().ok()?;
    let age = control.split(',').find_map(|part| part.trim().strip_prefix("max-age="))?.trim_matches('"');
    let spent = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).unwrap_or(0u64);
    age.parse::<u64>().ok().map(|age| age.saturating_sub(spent))
}
