//! Writing message heads. What is written here is what the strict parser would accept.

use http::StatusCode;
use http::header::{self, HeaderName};
use portcullis_engine::Fields;

use super::BodyLength;

/// Appends one field line.
#[inline]
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Fields that belong to one connection (RFC 9110 section 7.6.1) and are written by this codec alone.
#[inline]
#[must_use]
pub fn is_connection_field(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::CONTENT_LENGTH
        || *name == header::UPGRADE
        || *name == header::EXPECT
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Appends the request line and all fields that are not about the connection, without the empty line.
///
/// `target` must be in origin form and free of control characters and spaces.
pub fn write_request_start(out: &mut Vec<u8>, method: &str, target: &[u8], host: &[u8], headers: &Fields) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_field(out, b"host", host);
    for (name, value) in headers {
        if *name != header::HOST && !is_connection_field(name) {
            write_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

/// Appends the status line and all fields that are not about the connection, without the empty line.
pub fn write_response_start(out: &mut Vec<u8>, status: StatusCode, headers: &Fields) {
    // A client that spoke HTTP/1.0 is answered in HTTP/1.1 as well: the version is the server's own (RFC 9110
    // section 2.5); only what is done with the connection follows the client.
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    for (name, value) in headers {
        if !is_connection_field(name) {
            write_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

/// Appends the field that tells where the body ends.
///
/// `Empty` writes `content-length: 0` if `explicit_zero`, and nothing otherwise.
pub fn write_framing(out: &mut Vec<u8>, body: BodyLength, explicit_zero: bool) {
    match body {
        BodyLength::Empty if explicit_zero => out.extend_from_slice(b"content-length: 0\r\n"),
        BodyLength::Empty | BodyLength::UntilClose => {}
        BodyLength::Fixed(n) => write_content_length(out, n),
        BodyLength::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

/// Appends `content-length: n`.
pub fn write_content_length(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(b"content-length: ");
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut n = n;
    loop {
        at -= 1;
        if let Some(slot) = digits.get_mut(at) {
            *slot = b'0' + u8::try_from(n % 10).unwrap_or(0);
        }
        n /= 10;
        if n == 0 || at == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}
