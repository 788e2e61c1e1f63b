//! Alerts: a signed webhook. Each is written to a spool first and sent from there, so that neither a receiver that is down
//! nor a restart loses one, and no call waits for it.
//!
//! Signed as Standard Webhooks are (github.com/standard-webhooks/standard-webhooks): `webhook-signature` is `v1,` and the
//! base64 of HMAC-SHA256 over `webhook-id`, `webhook-timestamp` and the body, joined by dots.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_identity::sign_webhook;
use portcullis_watch::Incident;
use rustls::ClientConfig;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::commands::audit::transport;
use crate::commands::audit::wire::{self, Endpoint};

/// Where alerts go.
#[derive(Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Webhook")]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookWritten {
    /// The URL, http or https.
    pub(crate) url: String,
    /// What alerts are signed with, at least 24 characters: `${ALERT_SECRET}`. One that begins with `whsec_` is base64.
    pub(crate) secret: String,
    /// Authorities that sign the receiver's certificate, PEM. Default: those of this machine.
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
}

impl std::fmt::Debug for WebhookWritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookWritten").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Alerts in the spool at most; beyond that the oldest goes.
const MOST: usize = 1000;

/// After so long an alert is given up.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Pauses between tries: the first, doubled up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The sender.
#[derive(Debug)]
pub(crate) struct Webhook {
    spool: PathBuf,
    wake: Mutex<Sender<()>>,
    numbers: Arc<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    sent: AtomicU64,
    failed: AtomicU64,
    problem: Mutex<Option<String>>,
}

/// What the thread sends with.
struct Sending {
    endpoint: Endpoint,
    path: String,
    key: Vec<u8>,
    tls: Arc<ClientConfig>,
    spool: PathBuf,
    numbers: Arc<Numbers>,
}

impl Webhook {
    /// Starts the thread that sends.
    ///
    /// # Errors
    /// If the URL or the secret is of no use, or the spool cannot be made.
    pub(crate) fn start(written: &WebhookWritten, spool: &Path) -> io::Result<Arc<Webhook>> {
        let (endpoint, path) = split(&written.url).map_err(io::Error::other)?;
        let key = key(&written.secret).map_err(io::Error::other)?;
        let roots = transport::roots(written.ca.as_deref()).map_err(io::Error::other)?;
        let tls = transport::careful(roots).map_err(io::Error::other)?;
        std::fs::create_dir_all(spool)?;
        let numbers = Arc::new(Numbers::default());
        let sending =
            Sending { endpoint, path, key, tls, spool: spool.to_owned(), numbers: Arc::clone(&numbers) };
        let (wake, woken) = channel();
        std::thread::Builder::new().name("alerts".into()).spawn(move || sending.run(&woken))?;
        Ok(Arc::new(Webhook { spool: spool.to_owned(), wake: Mutex::new(wake), numbers }))
    }

    /// Puts an alert into the spool; whether it is there.
    pub(crate) fn tell(&self, event: &str, incident: &Incident) -> bool {
        let moment = seconds();
        let body = serde_json::json!({ "type": event, "timestamp": moment, "data": incident });
        let name = format!("{moment:012}-{}-{event}.json", incident.id);
        let written = write(&self.spool, &name, body.to_string().as_bytes());
        if let Err(error) = &written {
            tracing::error!(%error, "an alert cannot be kept");
        }
        let waiting = spooled(&self.spool);
        for old in waiting.iter().take(waiting.len().saturating_sub(MOST)) {
            let _ = std::fs::remove_file(old);
        }
        let _ = self.wake.lock().unwrap_or_else(PoisonError::into_inner).send(());
        written.is_ok()
    }

    /// Alerts that were taken.
    pub(crate) fn sent(&self) -> u64 {
        self.numbers.sent.load(Ordering::Relaxed)
    }

    /// Tries that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.numbers.failed.load(Ordering::Relaxed)
    }

    /// Alerts that wait.
    pub(crate) fn waiting(&self) -> usize {
        spooled(&self.spool).len()
    }

    /// Why the last try failed.
    pub(crate) fn problem(&self) -> Option<String> {
        self.numbers.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sending {
    fn run(&self, woken: &Receiver<()>) {
        let mut pause = PAUSES.0;
        // What a process before this one left behind is looked for first.
        loop {
            let waiting = spooled(&self.spool);
            if waiting.is_empty() {
                match woken.recv() {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
            if self.send_all(&waiting) {
                pause = PAUSES.0;
                continue;
            }
            if !rest(woken, pause) {
                return;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Tries each of `waiting`, the oldest first; whether all of them are gone. One that the receiver does not take keeps
    /// no other back; where the receiver cannot be reached at all, the rest waits.
    fn send_all(&self, waiting: &[PathBuf]) -> bool {
        let mut all = true;
        for next in waiting {
            let sent = self.send(next);
            *self.numbers.problem.lock().unwrap_or_else(PoisonError::into_inner) =
                sent.as_ref().err().map(|failed| failed.why.clone());
            let Err(failed) = sent else {
                self.numbers.sent.fetch_add(1, Ordering::Relaxed);
                let _ = std::fs::remove_file(next);
                continue;
            };
            // The spool was over its bound, and this one went.
            if !next.exists() {
                continue;
            }
            all = false;
            self.numbers.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = failed.why, "an alert was not taken");
            if age(next).is_some_and(|age| age > PATIENCE) {
                tracing::error!(alert = %next.display(), "an alert is given up: nobody took it for a day");
                let _ = std::fs::remove_file(next);
            }
            if !failed.answered {
                break;
            }
        }
        all
    }

    fn send(&self, path: &Path) -> Result<(), Failed> {
        let failed = |answered: bool, why: String| Failed { answered, why };
        let body = std::fs::read(path).map_err(|error| failed(true, error.to_string()))?;
        let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        // The moment of this try: receivers refuse what is old.
        let timestamp = seconds().to_string();
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &body].concat();
        let signature = format!("v1,{}", sign_webhook(&self.key, &signed));
        let headers = [
            ("Content-Type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
        ];
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let authority = self.endpoint.authority();
        let answer = wire::exchange(&self.endpoint, &self.tls, "POST", &self.path, &headers, &body)
            .map_err(|error| failed(false, format!("{authority}: {error}")))?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(failed(true, format!("{authority} answers {status}"))),
        }
    }
}

/// Why an alert was not taken.
struct Failed {
    /// Whether it is about this one: somebody answered.
    answered: bool,
    why: String,
}

/// Waits, whatever new alerts come in meanwhile; whether there is still somebody who may send.
fn rest(woken: &Receiver<()>, pause: Duration) -> bool {
    let until = Instant::now() + pause;
    loop {
        match woken.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// The URL of a webhook as where to connect, and the target.
pub(crate) fn split(url: &str) -> Result<(Endpoint, String), String> {
    let start =
        url.find("://").map(|at| at + 3).ok_or("expected a URL that begins with http:// or https://")?;
    let at = url.get(start..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| start + at);
    let (origin, path) = url.split_at(at);
    if path.contains(['\r', '\n', ' ', '#']) {
        return Err("expected a URL without blanks and fragments".into());
    }
    Ok((Endpoint::parse(origin)?, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}

/// The key that a secret stands for.
pub(crate) fn key(secret: &str) -> Result<Vec<u8>, String> {
    if secret.len() < 24 {
        return Err(
            "a webhook's secret has at least 24 characters, such as what `openssl rand -base64 32` gives"
                .into(),
        );
    }
    match secret.strip_prefix("whsec_") {
        Some(encoded) => data_encoding::BASE64
            .decode(encoded.as_bytes())
            .map_err(|_| "what follows `whsec_` is no base64".into()),
        None => Ok(secret.as_bytes().to_vec()),
    }
}

/// The alerts that wait, the oldest first.
fn spooled(spool: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(spool).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    paths.sort();
    paths
}

/// Written aside and renamed: the sender sees all of it or nothing.
fn write(spool: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let aside = spool.join(format!("{name}.part"));
    std::fs::write(&aside, bytes)?;
    std::fs::rename(aside, spool.join(name))
}

fn age(path: &Path) -> Option<Duration> {
    std::fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_watch::Subject;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn incident() -> Incident {
        Incident {
            id: "00000000000000aa".into(),
            detector: "refusal-spike".into(),
            subject: Subject::Operation("login".into()),
            began: 1,
            last: 2,
            over: false,
            refusals: 20,
            unauthorized: 20,
            peak: 20,
            usual: 0.0,
            summary: "s".into(),
        }
    }

    /// Answers each request with the next status; gives back what it got.
    fn receiver(statuses: &'static [u16]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut got = Vec::new();
            for status in statuses {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while !text.contains("\"usual\"") {
                    let read = stream.read(&mut buffer).unwrap();
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
                write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .unwrap();
                got.push(text);
            }
            got
        });
        (url, thread)
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn an_alert_is_signed_and_sent_again_until_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (url, thread) = receiver(&[503, 204]);
        let webhook =
            Webhook::start(&WebhookWritten { url, secret: SECRET.into(), ca: None }, folder.path()).unwrap();
        assert!(webhook.tell("incident.began", &incident()));
        let got = thread.join().unwrap();
        let field = |text: &str, name: &str| {
            text.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().trim().to_owned()
        };
        for text in &got {
            assert!(text.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{text}");
            let body = text.split_once("\r\n\r\n").unwrap().1;
            let signed = format!("{}.{}.{body}", field(text, "webhook-id"), field(text, "webhook-timestamp"));
            let expected = format!("v1,{}", sign_webhook(SECRET.as_bytes(), signed.as_bytes()));
            assert_eq!(field(text, "webhook-signature"), expected);
        }
        assert_eq!(field(&got[0], "webhook-id"), field(&got[1], "webhook-id"), "the same alert");
        while webhook.waiting() > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!((webhook.sent(), webhook.failed(), webhook.problem()), (1, 1, None));
    }

    #[test]
    fn what_a_process_left_behind_is_sent_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let body = serde_json::json!({ "data": incident() }).to_string();
        write(folder.path(), "000000000001-a-incident.began.json", body.as_bytes()).unwrap();
        let (url, thread) = receiver(&[200]);
        let webhook =
            Webhook::start(&WebhookWritten { url, secret: SECRET.into(), ca: None }, folder.path()).unwrap();
        assert_eq!(thread.join().unwrap().len(), 1);
        while webhook.sent() == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn one_that_is_not_taken_keeps_no_other_back() {
        let folder = tempfile::tempdir().unwrap();
        let body = serde_json::json!({ "data": incident() }).to_string();
        for name in ["000000000001-a-incident.began.json", "000000000002-b-incident.began.json"] {
            write(folder.path(), name, body.as_bytes()).unwrap();
        }
        let (url, thread) = receiver(&[400, 200]);
        let webhook =
            Webhook::start(&WebhookWritten { url, secret: SECRET.into(), ca: None }, folder.path()).unwrap();
        let got = thread.join().unwrap();
        assert!(got[1].contains("000000000002-b"), "{}", got[1]);
        while webhook.sent() == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(webhook.waiting(), 1);
    }

    #[test]
    fn a_secret_is_long_and_a_url_is_one() {
        assert!(key("short").is_err() && key("whsec_!!!!!!!!!!!!!!!!!!!!!!!!").is_err());
        assert_eq!(key("whsec_AAAAAAAAAAAAAAAAAAAAAAAA").unwrap(), [0; 18]);
        assert!(split("ftp://a/b").is_err() && split("nothing").is_err());
        assert_eq!(split("https://a.example/x?y=1").unwrap().1, "/x?y=1");
    }
}
