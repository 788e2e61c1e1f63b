//! An HTTP/1 client that sends exactly the bytes it is given and reads answers strictly.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case, in order.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection to the gateway.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends bytes; that the other side has already closed is no error, its answer tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends a GET and reads its answer.
    pub(crate) fn get(&mut self, target: &str) -> Result<Response, String> {
        self.call("GET", target, &[], b"")
    }

    /// Sends a request and reads its answer; the host is `a.example` unless `fields` name one.
    pub(crate) fn call(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, String> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: a.example\r\n");
        }
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes);
        self.read_response(method == "HEAD")?
            .ok_or_else(|| "the connection was closed without an answer".to_owned())
    }

    /// Reads the next final answer; `None` when the connection ended instead.
    pub(crate) fn read_response(&mut self, to_head: bool) -> Result<Option<Response>, String> {
        loop {
            let Some(end) = self.fill_until(|buffer| find(buffer, b"\r\n\r\n").map(|at| at + 4))? else {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(format!("cut answer: {:?}", self.shown()))
                };
            };
            let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            self.buffer.drain(..end);
            let mut lines = head.split("\r\n");
            let start = lines.next().unwrap_or_default();
            let status: u16 = start
                .strip_prefix("HTTP/1.1 ")
                .or_else(|| start.strip_prefix("HTTP/1.0 "))
                .and_then(|rest| rest.get(..3))
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| format!("no status line: {start:?}"))?;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let fields: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let mut response = Response { status, fields, body: Vec::new() };
            if to_head || status == 204 || status == 304 || status == 101 {
                return Ok(Some(response));
            }
            response.body = self.read_body(&response)?;
            return Ok(Some(response));
        }
    }

    fn read_body(&mut self, response: &Response) -> Result<Vec<u8>, String> {
        if response.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            loop {
                let end = self
                    .fill_until(|buffer| find(buffer, b"\r\n").map(|at| at + 2))?
                    .ok_or("the answer ended in a chunk size")?;
                let line = String::from_utf8_lossy(&self.buffer[..end - 2]).into_owned();
                self.buffer.drain(..end);
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
                    .map_err(|_| format!("bad chunk size {line:?}"))?;
                if size == 0 {
                    loop {
                        let end = self
                            .fill_until(|buffer| find(buffer, b"\r\n").map(|at| at + 2))?
                            .ok_or("the answer ended in its trailers")?;
                        self.buffer.drain(..end);
                        if end == 2 {
                            return Ok(body);
                        }
                    }
                }
                self.fill_until(|buffer| (buffer.len() >= size + 2).then_some(size + 2))?
                    .ok_or("the answer ended in a chunk")?;
                body.extend_from_slice(&self.buffer[..size]);
                self.buffer.drain(..size + 2);
            }
        }
        if let Some(length) = response.field("content-length") {
            let length: usize = length.parse().map_err(|_| format!("bad content-length {length:?}"))?;
            self.fill_until(|buffer| (buffer.len() >= length).then_some(length))?
                .ok_or("the answer's body was cut")?;
            return Ok(self.buffer.drain(..length).collect());
        }
        while self.fill()? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Whether the gateway has closed the connection, waiting for it.
    pub(crate) fn is_closed(&mut self) -> Result<bool, String> {
        if !self.buffer.is_empty() {
            return Err(format!("bytes after the answer: {:?}", self.shown()));
        }
        match self.fill() {
            Ok(false) => Ok(true),
            Ok(true) => Err(format!("bytes after the answer: {:?}", self.shown())),
            Err(_) => Ok(false),
        }
    }

    /// Whether nothing has come that was not read.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let quiet = self.buffer.is_empty() && !matches!(self.stream.peek(&mut [0; 1]), Ok(1));
        self.stream.set_nonblocking(false).unwrap();
        quiet
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(80)]).into_owned()
    }

    fn fill_until(&mut self, done: impl Fn(&[u8]) -> Option<usize>) -> Result<Option<usize>, String> {
        loop {
            if let Some(end) = done(&self.buffer) {
                return Ok(Some(end));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads once; `false` at the end of the connection.
    fn fill(&mut self) -> Result<bool, String> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(e) => Err(format!("no answer: {e}")),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
