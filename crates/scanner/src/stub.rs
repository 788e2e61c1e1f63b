//! A stand-in for an upstream of the API: the API is pointed at it, ordinary calls get what the upstream would answer, and a
//! check may have it answer what a broken or hostile upstream would.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Client, Request, Response, Target};
use crate::journal;

/// Where a stand-in listens, and where its ordinary answers are from.
#[derive(Debug, Clone)]
pub struct Stub {
    /// Where the API is told that its upstream is.
    pub listen: SocketAddr,
    /// What it answers.
    pub answers: Answers,
}

/// Where ordinary answers are from.
#[derive(Debug, Clone)]
pub enum Answers {
    /// The upstream itself, which is asked each time.
    Of(Target),
    /// This JSON, whatever is asked.
    Json(Value),
    /// A recording in HAR, by method and path.
    Recorded(Value),
}

/// What the next calls are answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Upstream {
    /// What the upstream answers.
    Plain,
    /// The same with another value at one place.
    With(String, Value),
    /// Another status, with this text for a body.
    Failing(u16, String),
    /// A redirect.
    Redirect(String),
    /// The ordinary answer, and spaces behind it up to this length.
    Large(usize),
    /// Nothing at all, for this long.
    Silent(Duration),
}

/// Bytes of a request that are read at most.
const MOST: usize = 1 << 20;

/// How long one connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Shared {
    answers: Answers,
    timeout: Duration,
    mode: Mutex<Upstream>,
    seen: Mutex<Seen>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Seen {
    /// Requests so far.
    hits: u64,
    /// The last ordinary answer.
    plain: Option<Response>,
    /// Bytes of the last answer that were taken.
    taken: usize,
}

/// A stand-in that listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Stand {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stand {
    /// Starts to listen.
    pub(crate) fn start(stub: &Stub, timeout: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind(stub.listen)?;
        let shared = Arc::new(Shared {
            answers: stub.answers.clone(),
            timeout,
            mode: Mutex::new(Upstream::Plain),
            seen: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        let address = listener.local_addr()?;
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.stop.load(Ordering::Acquire) {
                    break;
                }
                let (Ok(stream), shared) = (stream, of_thread.clone()) else { continue };
                std::thread::spawn(move || {
                    let _ = shared.serve(stream);
                });
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests so far.
    pub(crate) fn hits(&self) -> u64 {
        lock(&self.shared.seen).hits
    }

    /// The last ordinary answer, as JSON.
    pub(crate) fn plain(&self) -> Option<Value> {
        lock(&self.shared.seen).plain.as_ref()?.json()
    }

    /// Bytes of the last answer that were taken.
    pub(crate) fn taken(&self) -> usize {
        lock(&self.shared.seen).taken
    }

    /// What was seen so far, to be kept.
    pub(crate) fn seen(&self) -> Value {
        let seen = lock(&self.shared.seen);
        json!({ "hits": seen.hits, "taken": seen.taken, "plain": seen.plain.as_ref().map(journal::written) })
    }

    /// Takes over what an earlier part of the same scan saw.
    pub(crate) fn recall(&self, kept: &Value) {
        let number = |name: &str| kept.get(name).and_then(Value::as_u64).unwrap_or_default();
        let mut seen = lock(&self.shared.seen);
        seen.hits = number("hits");
        seen.taken = usize::try_from(number("taken")).unwrap_or(usize::MAX);
        seen.plain = kept.get("plain").and_then(journal::read);
    }

    /// What is answered from now on.
    pub(crate) fn answer(&self, mode: Upstream) {
        *lock(&self.shared.mode) = mode;
    }

    /// The answer to a request that is like the last ordinary one, as bytes; none for silence.
    pub(crate) fn bytes(&self, mode: &Upstream) -> Vec<u8> {
        if matches!(mode, Upstream::Silent(_)) {
            return Vec::new();
        }
        let plain = lock(&self.shared.seen).plain.clone().unwrap_or_default();
        rendered(&plain, mode)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // The accept call waits for somebody: that is us.
        let own = SocketAddr::from(([127, 0, 0, 1], self.address.port()));
        let to = if self.address.ip().is_unspecified() { own } else { self.address };
        let _ = TcpStream::connect_timeout(&to, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Some(request) = read(&mut stream)? else { return Ok(()) };
        let mode = lock(&self.mode).clone();
        lock(&self.seen).hits += 1;
        if let Upstream::Silent(wait) = mode {
            let end = Instant::now() + wait;
            while Instant::now() < end && !self.stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(100));
            }
            return Ok(());
        }
        let plain = self.plain(&request);
        lock(&self.seen).plain = Some(plain.clone());
        let answer = rendered(&plain, &mode);
        let length = match mode {
            Upstream::Large(length) => length,
            _ => answer.len(),
        };
        stream.write_all(&answer)?;
        let mut taken = answer.len();
        let padding = [b' '; 1 << 16];
        while taken < length {
            let some = padding.get(..(length - taken).min(padding.len())).unwrap_or_default();
            let sent = stream.write(some)?;
            if sent == 0 {
                break;
            }
            taken += sent;
            lock(&self.seen).taken = taken;
        }
        lock(&self.seen).taken = taken;
        Ok(())
    }

    fn plain(&self, request: &Request) -> Response {
        let json = |value: &Value| Response {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: value.to_string().into_bytes(),
            ..Response::default()
        };
        match &self.answers {
            Answers::Json(value) => json(value),
            Answers::Recorded(har) => recorded(har, request).unwrap_or_default(),
            Answers::Of(target) => {
                let mut request = request.clone();
                request.target.insert_str(0, &target.base);
                match Client::new(target, self.timeout, 64 << 20, None) {
                    Ok(client) => client.send(&request),
                    Err(_) => Response::default(),
                }
            }
        }
    }
}

/// What a recording answers to such a request: the same path, or one of the method at least.
fn recorded(har: &Value, request: &Request) -> Option<Response> {
    let entries = har.pointer("/log/entries")?.as_array()?;
    let text = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let fits = |entry: &&Value, path: bool| {
        let url = text(entry, "/request/url").unwrap_or_default();
        let after = url.splitn(4, '/').nth(3).unwrap_or_default();
        let same = after.split('?').next() == Some(request.path().trim_start_matches('/'));
        text(entry, "/request/method").as_deref() == Some(request.method.as_str()) && (same || !path)
    };
    let entry = entries.iter().find(|entry| fits(entry, true));
    let entry = entry.or_else(|| entries.iter().find(|entry| fits(entry, false)))?;
    let media = text(entry, "/response/content/mimeType").unwrap_or_else(|| "application/json".into());
    Some(Response {
        status: entry.pointer("/response/status").and_then(Value::as_u64)?.try_into().ok()?,
        headers: vec![("content-type".into(), media)],
        body: text(entry, "/response/content/text").unwrap_or_default().into_bytes(),
        ..Response::default()
    })
}

/// An answer on the wire.
fn rendered(plain: &Response, mode: &Upstream) -> Vec<u8> {
    let mut status = if plain.status == 0 { 502 } else { plain.status };
    let mut body = plain.body.clone();
    let mut media = plain.header("content-type").unwrap_or("application/json").to_owned();
    let mut location = String::new();
    let mut length = None;
    match mode {
        Upstream::Plain | Upstream::Silent(_) => {}
        Upstream::With(pointer, value) => {
            if let Some(mut json) = plain.json() {
                if let Some(place) = json.pointer_mut(pointer) {
                    *place = value.clone();
                }
                body = json.to_string().into_bytes();
            }
        }
        Upstream::Failing(with, text) => {
            status = *with;
            body = text.clone().into_bytes();
            if !text.starts_with('{') {
                "text/plain".clone_into(&mut media);
            }
        }
        Upstream::Redirect(to) => {
            status = 302;
            body.clear();
            location = format!("location: {to}\r\n");
        }
        Upstream::Large(whole) => length = Some(*whole),
    }
    let head = |length: usize| {
        format!(
            "HTTP/1.1 {status} .\r\ncontent-type: {media}\r\n{location}content-length: {length}\r\nconnection: close\r\n\r\n"
        )
    };
    // The length of the whole is bounded, head included; the head's own length hangs on the digits alone.
    let length = length.map_or(body.len(), |whole| whole.saturating_sub(head(whole).len()).max(body.len()));
    [head(length).into_bytes(), body].concat()
}

/// Reads one request; none if it is not whole.
fn read(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 || bytes.len() > MOST {
            return Ok(None);
        }
        bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
    };
    let head = String::from_utf8_lossy(bytes.get(..head_end).unwrap_or_default()).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or("/"));
    // A proxy's form names the host as well.
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    let fields: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = fields.get("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
    while bytes.len() < head_end + length.min(MOST) {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    let hop = ["host", "connection", "content-length", "transfer-encoding", "expect", "accept-encoding"];
    Ok(Some(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: fields.into_iter().filter(|(name, _)| !hop.contains(&name.as_str())).collect(),
        body: bytes.get(head_end..).unwrap_or_default().to_vec(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(stand: &Stand) -> String {
        let mut stream = TcpStream::connect(stand.address()).unwrap();
        stream.write_all(b"POST /quote HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_answers_as_it_is_told() {
        let stub = Stub {
            listen: ([127, 0, 0, 1], 0).into(),
            answers: Answers::Json(json!({ "carrier": "Swift", "cents": 4 })),
        };
        let stand = Stand::start(&stub, Duration::from_secs(1)).unwrap();
        assert!(ask(&stand).ends_with(r#"{"carrier":"Swift","cents":4}"#));
        assert_eq!(stand.plain().unwrap()["cents"], 4);
        stand.answer(Upstream::With("/cents".into(), json!(-7)));
        assert!(ask(&stand).ends_with(r#""cents":-7}"#));
        stand.answer(Upstream::Redirect("http://127.0.0.1:9/x".into()));
        assert!(
            ask(&stand).starts_with("HTTP/1.1 302") && ask(&stand).contains("location: http://127.0.0.1:9/x")
        );
        stand.answer(Upstream::Failing(500, "broken".into()));
        assert!(ask(&stand).ends_with("broken"));
        stand.answer(Upstream::Large(200_000));
        assert_eq!(ask(&stand).len(), 200_000);
        assert_eq!((stand.taken(), stand.hits()), (200_000, 6));
        let kept = stand.seen();
        let next = Stand::start(&stub, Duration::from_secs(1)).unwrap();
        next.recall(&kept);
        assert_eq!((next.taken(), next.hits(), next.plain()), (200_000, 6, stand.plain()));
    }

    #[test]
    fn a_recording_answers_by_its_path() {
        let entry = |path: &str, body: &str| {
            json!({ "request": { "method": "GET", "url": format!("http://u.example{path}") },
            "response": { "status": 200, "content": { "mimeType": "application/json", "text": body } } })
        };
        let har = json!({ "log": { "entries": [entry("/a?x=1", "[1]"), entry("/b", "[2]")] } });
        let body = |target: &str| recorded(&har, &Request::new("GET", target)).map(|answer| answer.body);
        assert_eq!(body("/b?y=2").unwrap(), b"[2]");
        assert_eq!(body("/other").unwrap(), b"[1]");
        assert!(recorded(&har, &Request::new("PUT", "/b")).is_none());
    }
}
