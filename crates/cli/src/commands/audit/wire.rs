//! One HTTP/1.1 exchange over a connection of its own, as bytes: what a checklist sends is not always well-formed.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How long one connection may take, from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(8);

/// Bytes of an answer that are read at most.
const MOST: usize = 512 << 10;

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Whether to speak TLS.
    pub(crate) tls: bool,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The path before all others, without a slash at its end.
    pub(crate) base: String,
}

impl Endpoint {
    /// Reads `https://host:port/base`, or `host:port`, which stands for TLS.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn parse(text: &str) -> Result<Endpoint, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some((scheme, _)) => {
                return Err(format!("`{scheme}` is no scheme for this: expected http or https"));
            }
            None => (true, text),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let authority_uri: http::uri::Authority =
            authority.parse().map_err(|_| format!("`{text}` is no URL: expected https://host[:port]"))?;
        let host = authority_uri.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || authority.contains('@') || path.contains(['?', '#', ' ']) {
            return Err(format!("`{text}` is no URL of an API: expected https://host[:port][/path]"));
        }
        let port = authority_uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Endpoint { tls, host, port, base: path.trim_end_matches('/').to_owned() })
    }

    /// `host:port` as a `Host` field has it.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            _ => format!("{host}:{}", self.port),
        }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}{path}", self.authority(), self.base)
    }

    /// A connection without TLS.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The fields in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub(crate) body: Vec<u8>,
    /// Milliseconds from connecting to the last byte.
    pub(crate) millis: f64,
}

impl Answer {
    /// The value of a field; several are not joined.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request and reads its answer.
///
/// # Errors
/// If there is no connection, or what comes back is no HTTP.
pub(crate) fn exchange(
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<Answer> {
    let clock = Instant::now();
    let mut bytes =
        format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\n", endpoint.base, endpoint.authority());
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || !matches!(method, "GET" | "HEAD" | "OPTIONS" | "DELETE") {
        bytes.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    bytes.push_str("User-Agent: portcullis-check\r\nConnection: close\r\n\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    let stream = endpoint.connect()?;
    let raw = if endpoint.tls {
        let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
        talk(StreamOwned::new(connection, stream), &bytes, clock)?
    } else {
        talk(stream, &bytes, clock)?
    };
    let mut answer = parse(&raw, method == "HEAD")
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what came back is no HTTP"))?;
    answer.millis = clock.elapsed().as_secs_f64() * 1e3;
    Ok(answer)
}

/// Fetches `path` into `file`, however large up to `most` bytes; the answer comes back without its body. What is not 200
/// is not written. Redirects are not followed.
///
/// # Errors
/// If there is no connection, what comes back is no HTTP, is too long, or breaks off.
pub(crate) fn download(
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
    path: &str,
    headers: &[(String, String)],
    mut file: &std::fs::File,
    most: u64,
) -> io::Result<Answer> {
    let mut request = format!("GET {}{path} HTTP/1.0\r\nHost: {}\r\n", endpoint.base, endpoint.authority());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    // HTTP/1.0: no chunks, and the end of the connection is the end of the body.
    request.push_str("User-Agent: portcullis\r\nConnection: close\r\n\r\n");
    let stream = endpoint.connect()?;
    let mut stream: Box<dyn ReadWrite> = if endpoint.tls {
        let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
        Box::new(StreamOwned::new(connection, stream))
    } else {
        Box::new(stream)
    };
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut head = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let end = loop {
        if let Some(end) = head_end(&head) {
            break end;
        }
        if head.len() > MOST {
            return Err(odd("what comes back is no HTTP"));
        }
        match stream.read(&mut buffer)? {
            0 => return Err(odd("what comes back is no HTTP")),
            read => head.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    };
    let answer = parse(&head, true).ok_or_else(|| odd("what comes back is no HTTP"))?;
    if answer.status != 200 {
        return Ok(answer);
    }
    if answer.header("transfer-encoding").is_some() {
        return Err(odd("the answer is in chunks, which HTTP/1.0 does not have"));
    }
    let length = answer.header("content-length").and_then(|text| text.trim().parse::<u64>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(odd("the answer is too long"));
    }
    let first = head.get(end..).unwrap_or_default();
    file.write_all(first)?;
    let mut have = first.len() as u64;
    while length.is_none_or(|length| have < length) {
        let read = match stream.read(&mut buffer) {
            Ok(read) => read,
            // A peer that closes without a farewell has said all it will.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error),
        };
        if read == 0 {
            break;
        }
        have += read as u64;
        if have > most {
            return Err(odd("the answer is too long"));
        }
        file.write_all(buffer.get(..read).unwrap_or_default())?;
    }
    match length {
        Some(length) if have < length => Err(odd("the answer broke off")),
        _ => Ok(answer),
    }
}

/// Both ways of a connection.
trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

fn talk(mut stream: impl Read + Write, bytes: &[u8], clock: Instant) -> io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    stream.flush()?;
    let mut raw = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while raw.len() < MOST && clock.elapsed() < PATIENCE {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => raw.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            // A peer that closes without a farewell has said all it will.
            Err(error) if raw.is_empty() => return Err(error),
            Err(_) => break,
        }
        if is_whole(&raw) {
            break;
        }
    }
    Ok(raw)
}

/// Whether an answer with a length is there: some servers keep the connection open in spite of `close`.
fn is_whole(raw: &[u8]) -> bool {
    let Some(end) = head_end(raw) else { return false };
    let Some(answer) = parse(raw, false) else { return false };
    let length = answer.header("content-length").and_then(|length| length.trim().parse::<usize>().ok());
    match length {
        Some(length) => raw.len() >= end + length,
        None => answer.header("transfer-encoding").is_some() && raw.ends_with(b"0\r\n\r\n"),
    }
}

fn head_end(raw: &[u8]) -> Option<usize> {
    raw.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn parse(raw: &[u8], bodiless: bool) -> Option<Answer> {
    let end = head_end(raw)?;
    let head = String::from_utf8_lossy(raw.get(..end)?);
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.splitn(3, ' ');
    first.next()?.strip_prefix("HTTP/1.")?;
    let status: u16 = first.next()?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let rest = raw.get(end..)?;
    // An interim answer is not the one that was asked for.
    if (100..200).contains(&status) && status != 101 {
        return parse(rest, bodiless);
    }
    let answer = Answer { status, headers, body: Vec::new(), millis: 0.0 };
    let chunked = answer
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
    let body = match (bodiless, chunked) {
        (true, _) => Vec::new(),
        (false, true) => dechunked(rest),
        (false, false) => rest.to_vec(),
    };
    Some(Answer { body, ..answer })
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = String::from_utf8_lossy(rest.get(..line).unwrap_or_default());
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(line + 2..).and_then(|after| after.get(..size.min(after.len()))) else {
            break;
        };
        if size == 0 {
            break;
        }
        body.extend_from_slice(chunk);
        rest = rest.get(size.saturating_add(line + 4)..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        let of = |text: &str| {
            Endpoint::parse(text).map(|end| (end.tls, end.host.clone(), end.port, end.base.clone()))
        };
        assert_eq!(of("https://a.b/v1/"), Ok((true, "a.b".into(), 443, "/v1".into())));
        assert_eq!(of("http://127.0.0.1:81"), Ok((false, "127.0.0.1".into(), 81, String::new())));
        assert_eq!(of("a.b:8443"), Ok((true, "a.b".into(), 8443, String::new())));
        assert_eq!(Endpoint::parse("http://[::1]:8080").unwrap().authority(), "[::1]:8080");
        for bad in ["ftp://a", "http://", "https://u:p@a", "https://a/?x", "", "https://a b"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_are_read() {
        let whole =
            parse(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", false).unwrap();
        assert_eq!((whole.status, whole.header("a"), whole.text().as_str()), (200, Some("b"), "body"));
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(chunked, false).unwrap().text(), "abcde");
        assert!(is_whole(chunked) && !is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"));
        for bad in [&b""[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n"] {
            assert!(parse(bad, false).is_none());
        }
        assert_eq!(dechunked(b"ffffffffffffffff\r\nab"), b"ab");
        assert_eq!(dechunked(b"9\r\nab"), b"ab");
    }
}
