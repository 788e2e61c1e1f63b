//! HTTP/2 frames by hand: what a careful library would never send (RFC 9113, RFC 7541).

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::vectors::bytes;

/// What a client sends in one step.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Frame {
    Headers {
        /// `name: value`, split at the first `: ` after the first character.
        headers: Vec<String>,
        #[serde(default)]
        end_stream: bool,
        #[serde(default = "yes")]
        end_headers: bool,
        /// Cut the block into CONTINUATION frames of this size.
        continue_every: Option<usize>,
        stream: Option<u32>,
    },
    Continuation {
        continuation: Vec<String>,
        #[serde(default = "yes")]
        end_headers: bool,
    },
    Data {
        data: String,
        #[serde(default)]
        end_stream: bool,
        pad: Option<u8>,
    },
    Reset {
        rst: u32,
        stream: Option<u32>,
    },
    Settings {
        settings: Vec<(u16, u32)>,
    },
    Ping {
        ping: String,
    },
    WindowUpdate {
        window_update: u32,
        stream: Option<u32>,
    },
    Priority {
        /// The stream that it depends on.
        priority: u32,
    },
    Raw {
        /// Type, flags, stream and payload.
        raw: (u8, u8, u32, String),
    },
    Repeat {
        repeat: u32,
        frames: Vec<Frame>,
        /// Each round is on the next stream.
        #[serde(default)]
        next_stream: bool,
    },
}

fn yes() -> bool {
    true
}

/// The bytes of a list of frames, and the last stream that they use; the first one is stream 1.
pub(crate) fn encode(frames: &[Frame]) -> (Vec<u8>, u32) {
    let mut out = Vec::new();
    let mut stream = 1;
    encode_into(frames, &mut stream, &mut out);
    (out, stream)
}

fn encode_into(frames: &[Frame], current: &mut u32, out: &mut Vec<u8>) {
    for step in frames {
        let stream = *current;
        match step {
            Frame::Headers { headers, end_stream, end_headers, continue_every, stream: on } => {
                let block = field_block(headers);
                let on = on.unwrap_or(stream);
                let mut pieces = block.chunks(continue_every.unwrap_or(16_000)).collect::<Vec<_>>();
                if pieces.is_empty() {
                    pieces.push(&[]);
                }
                let last = pieces.len() - 1;
                for (index, piece) in pieces.into_iter().enumerate() {
                    let end = if index == last && *end_headers { 4 } else { 0 };
                    let flags = if index == 0 { end | u8::from(*end_stream) } else { end };
                    frame(if index == 0 { 1 } else { 9 }, flags, on, piece, out);
                }
            }
            Frame::Continuation { continuation, end_headers } => {
                frame(9, if *end_headers { 4 } else { 0 }, stream, &field_block(continuation), out);
            }
            Frame::Data { data, end_stream, pad } => {
                let mut payload = Vec::new();
                payload.extend(pad.iter());
                payload.extend(bytes(data));
                payload.resize(payload.len() + usize::from(pad.unwrap_or(0)), 0);
                let flags = u8::from(*end_stream) | if pad.is_some() { 8 } else { 0 };
                frame(0, flags, stream, &payload, out);
            }
            Frame::Reset { rst, stream: on } => frame(3, 0, on.unwrap_or(stream), &rst.to_be_bytes(), out),
            Frame::Settings { settings } => {
                let mut payload = Vec::new();
                for (id, value) in settings {
                    payload.extend(id.to_be_bytes());
                    payload.extend(value.to_be_bytes());
                }
                frame(4, 0, 0, &payload, out);
            }
            Frame::Ping { ping } => frame(6, 0, 0, &bytes(ping), out),
            Frame::WindowUpdate { window_update, stream: on } => {
                frame(8, 0, on.unwrap_or(stream), &window_update.to_be_bytes(), out);
            }
            Frame::Priority { priority } => {
                let mut payload = priority.to_be_bytes().to_vec();
                payload.push(15);
                frame(2, 0, stream, &payload, out);
            }
            Frame::Raw { raw: (kind, flags, on, payload) } => frame(*kind, *flags, *on, &bytes(payload), out),
            Frame::Repeat { repeat, frames, next_stream } => {
                for round in 0..*repeat {
                    if *next_stream && round > 0 {
                        *current += 2;
                    }
                    encode_into(frames, current, out);
                }
            }
        }
    }
}

/// One frame: its length is taken from the payload, whatever was agreed.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Literal fields without indexing and without Huffman coding (RFC 7541 section 6.2.2).
fn field_block(fields: &[String]) -> Vec<u8> {
    let mut block = Vec::new();
    for field in fields {
        let raw = bytes(field);
        // A field that begins with `: ` has an empty name.
        let from = if field.starts_with(": ") { 0 } else { 1 };
        let split = raw[from..].windows(2).position(|two| two == b": ").map_or(raw.len(), |at| at + from);
        let (name, value) = (&raw[..split], raw.get(split + 2..).unwrap_or_default());
        block.push(0);
        for text in [name, value] {
            integer(text.len(), &mut block);
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a 7-bit prefix (RFC 7541 section 5.1).
fn integer(mut value: usize, out: &mut Vec<u8>) {
    if value < 127 {
        out.push(u8::try_from(value).unwrap());
        return;
    }
    out.push(127);
    value -= 127;
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
}

/// What the gateway answered on a connection.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) status: BTreeMap<u32, u16>,
    pub(crate) ended: BTreeMap<u32, bool>,
    pub(crate) resets: BTreeMap<u32, u32>,
    pub(crate) goaway: Option<u32>,
    pub(crate) closed: bool,
    pub(crate) ping_answered: bool,
}

/// One connection to the gateway, with the preface and the settings exchanged.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    pub(crate) answers: Answers,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // No dynamic table: the answers' status can then be read without a full HPACK decoder.
        frame(4, 0, 0, &[0, 1, 0, 0, 0, 0], &mut hello);
        stream.write_all(&hello).unwrap();
        Self { stream, buffer: Vec::new(), answers: Answers::default() }
    }

    /// Sends everything while reading what comes back (a flood's answers would fill both directions
    /// otherwise); stops early when the connection is closed.
    pub(crate) fn send(&mut self, bytes: &[u8], reads: bool) {
        self.stream.set_nonblocking(true).unwrap();
        let mut rest = bytes;
        let mut stuck_since = Instant::now();
        while !rest.is_empty() && !self.answers.closed {
            match self.stream.write(rest) {
                Ok(n) => {
                    rest = &rest[n..];
                    stuck_since = Instant::now();
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => break,
            }
            if reads {
                self.read_available();
            } else if stuck_since.elapsed() > Duration::from_secs(2) {
                // The gateway reads no more from a client that does not read: that is a bound, too.
                break;
            }
        }
        self.stream.set_nonblocking(false).unwrap();
    }

    /// Reads until `done` or the end of the connection; answers whether `done` was reached.
    pub(crate) fn read_until(&mut self, limit: Duration, done: impl Fn(&Answers) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        self.stream.set_nonblocking(true).unwrap();
        loop {
            self.read_available();
            if done(&self.answers) {
                return true;
            }
            if self.answers.closed || Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn read_available(&mut self) {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    self.answers.closed = true;
                    break;
                }
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.answers.closed = true;
                    break;
                }
            }
        }
        while self.buffer.len() >= 9 {
            let length = usize::from(self.buffer[0]) << 16
                | usize::from(self.buffer[1]) << 8
                | usize::from(self.buffer[2]);
            if self.buffer.len() < 9 + length {
                break;
            }
            let head: Vec<u8> = self.buffer.drain(..9 + length).collect();
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            self.read_frame(head[3], head[4], stream, &head[9..]);
        }
    }

    fn read_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let number =
            |at: usize| payload.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        match kind {
            0 | 1 => {
                if kind == 1 && !self.answers.status.contains_key(&stream) {
                    self.answers.status.insert(stream, status(payload));
                }
                if flags & 1 != 0 {
                    self.answers.ended.insert(stream, true);
                }
                if kind == 0 && !payload.is_empty() {
                    // Give the window back, so that large answers do not stop half-way.
                    let mut update = Vec::new();
                    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
                    frame(8, 0, 0, &size, &mut update);
                    let _ = self.stream.write(&update);
                }
            }
            3 => {
                self.answers.resets.insert(stream, number(0).unwrap_or_default());
            }
            4 if flags & 1 == 0 => {
                let mut acknowledgement = Vec::new();
                frame(4, 1, 0, &[], &mut acknowledgement);
                let _ = self.stream.write(&acknowledgement);
            }
            6 if flags & 1 != 0 => self.answers.ping_answered = true,
            7 => self.answers.goaway = Some(number(4).unwrap_or_default()),
            _ => {}
        }
    }
}

/// The `:status` at the front of a field block that uses no dynamic table: an entry of the static table or a
/// literal with the name of entry 8, its three digits plain or in Huffman code; 0 when it is neither.
fn status(block: &[u8]) -> u16 {
    let mut block = block;
    // A dynamic table size update may come first.
    while block.first().is_some_and(|byte| byte & 0xe0 == 0x20) {
        let long = block[0] & 0x1f == 0x1f;
        block = &block[1..];
        while long && block.first().is_some_and(|byte| byte & 0x80 != 0) {
            block = &block[1..];
        }
        if long {
            block = block.get(1..).unwrap_or_default();
        }
    }
    match block {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [0x08 | 0x18 | 0x48, length, value @ ..] => {
            let huffman = length & 0x80 != 0;
            let value = value.get(..usize::from(length & 0x7f)).unwrap_or_default();
            let digits =
                if huffman { huffman_digits(value) } else { String::from_utf8_lossy(value).into_owned() };
            digits.parse().unwrap_or(0)
        }
        _ => 0,
    }
}

/// Digits in the Huffman code of RFC 7541 appendix B: `0` to `2` have five bits, `3` to `9` six.
fn huffman_digits(bytes: &[u8]) -> String {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1)).collect();
    let mut digits = String::new();
    let mut at = 0;
    while digits.len() < 3 {
        let value = |count: usize| {
            bits.get(at..at + count).map(|b| b.iter().fold(0, |n, bit| n * 2 + u32::from(*bit)))
        };
        match (value(5), value(6)) {
            (Some(short @ 0..=2), _) => {
                digits.push(char::from_digit(short, 10).unwrap());
                at += 5;
            }
            (_, Some(long @ 0b01_1001..=0b01_1111)) => {
                digits.push(char::from_digit(long - 0b01_1001 + 3, 10).unwrap());
                at += 6;
            }
            _ => break,
        }
    }
    digits
}

#[test]
fn reads_a_status_in_every_form() {
    assert_eq!(status(&[0x88]), 200);
    assert_eq!(status(&[0x20, 0x8c]), 400);
    assert_eq!(status(&[0x08, 3, b'4', b'0', b'5']), 405);
    // RFC 7541 C.6.1: `302` in Huffman code.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), 302);
}
