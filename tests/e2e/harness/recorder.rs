//! An upstream that records every byte it is sent and reads it with no leniency at all.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A complete request as it arrived upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case; values as latin-1 text.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct Log {
    requests: Vec<Request>,
    faults: Vec<String>,
}

/// A running recorder. It answers each complete request with 200 and a body of its method and target, so that
/// an answer that reaches the wrong caller shows.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    /// At an address of its own.
    pub(crate) fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let shared = Arc::clone(&log);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &log));
            }
        });
        Self { address, log }
    }

    /// The requests that came since the last call, in the order in which they were complete.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.log.lock().unwrap().requests)
    }

    /// What was sent here that a strict reader could not read, since the last call.
    pub(crate) fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap().faults)
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Log>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        match read_request(&buffer) {
            Ok(Some((request, used))) => {
                buffer.drain(..used);
                let answer = answer(&request);
                log.lock().unwrap().requests.push(request);
                if stream.write_all(&answer).is_err() {
                    return;
                }
                continue;
            }
            Ok(None) => {}
            Err(fault) => {
                let shown = String::from_utf8_lossy(&buffer[..buffer.len().min(400)]).into_owned();
                log.lock().unwrap().faults.push(format!("{fault}: {shown:?}"));
                return;
            }
        }
        match stream.read(&mut chunk) {
            // What is left in the buffer is a request that was given up half-way: nothing happened.
            Ok(0) | Err(_) => return,
            Ok(n) => buffer.extend_from_slice(&chunk[..n]),
        }
    }
}

fn answer(request: &Request) -> Vec<u8> {
    let body = format!("{} {}", request.method, request.target);
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
    if request.method != "HEAD" {
        answer.push_str(&body);
    }
    answer.into_bytes()
}

/// Reads one request from the front of `buffer`: `None` when it is not complete, an error for any byte that
/// a sender with no ambiguity would not have sent.
fn read_request(buffer: &[u8]) -> Result<Option<(Request, usize)>, String> {
    let Some(head_end) = find(buffer, b"\r\n\r\n") else {
        return if buffer.len() > 1024 * 1024 { Err("endless head".into()) } else { Ok(None) };
    };
    let head: String = buffer[..head_end].iter().map(|byte| char::from(*byte)).collect();
    let mut lines = head.split("\r\n");
    let start: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1"] = start[..] else { return Err("bad request line".into()) };
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
        return Err("bad method".into());
    }
    let plain = target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !plain || !(target.starts_with('/') || target == "*") {
        return Err("bad target".into());
    }
    let mut request = Request { method: method.into(), target: target.into(), ..Request::default() };
    for line in lines {
        request.fields.push(read_field(line)?);
    }
    let all = |name: &str| request.fields.iter().filter(move |(known, _)| known == name).collect::<Vec<_>>();
    if all("host").len() != 1 {
        return Err("not exactly one Host".into());
    }
    let body_start = head_end + 4;
    let rest = &buffer[body_start..];
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let used = match (&lengths[..], &codings[..]) {
        ([], []) => 0,
        ([(_, length)], []) => {
            let length: usize = length.parse().map_err(|_| "bad Content-Length")?;
            if rest.len() < length {
                return Ok(None);
            }
            request.body = rest[..length].to_vec();
            length
        }
        ([], [(_, coding)]) if coding == "chunked" => match read_chunks(rest, &mut request)? {
            Some(used) => used,
            None => return Ok(None),
        },
        _ => return Err("ambiguous framing".into()),
    };
    Ok(Some((request, body_start + used)))
}

fn read_chunks(bytes: &[u8], request: &mut Request) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(length) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&bytes[at..at + length]).into_owned();
        if line.is_empty() || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("bad chunk size {line:?}"));
        }
        let size = usize::from_str_radix(&line, 16).map_err(|_| "huge chunk size")?;
        at += length + 2;
        if size == 0 {
            break;
        }
        if bytes.len() < at + size + 2 {
            return Ok(None);
        }
        request.body.extend_from_slice(&bytes[at..at + size]);
        if bytes[at + size..at + size + 2] != *b"\r\n" {
            return Err("a chunk does not end in CRLF".into());
        }
        at += size + 2;
    }
    loop {
        let Some(length) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line: String = bytes[at..at + length].iter().map(|byte| char::from(*byte)).collect();
        at += length + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        request.trailers.push(read_field(&line)?);
    }
}

fn read_field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("bad field name {name:?}"));
    }
    if value.chars().any(|c| (c < ' ' && c != '\t') || c == '\u{7f}') {
        return Err(format!("a control character in {line:?}"));
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
