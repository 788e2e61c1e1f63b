//! Response heads (RFC 9112 sections 4 and 6), as an upstream sends them.

use bytes::{Bytes, BytesMut};
use http::header;
use http::{Method, StatusCode, Version};
use portcullis_engine::Fields;

use super::fields::{ConnectionOptions, Section, parse_content_length};
use super::{BodyLength, HeadError, HeadLimits, HeadScanner, StartLine};

/// A response head with exactly one reading.
#[derive(Clone, Debug)]
pub struct ParsedResponse {
    /// The status code.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The fields as they were sent, in order, names in lower case.
    pub headers: Fields,
    /// How the end of the body is found.
    pub body: BodyLength,
    /// What Content-Length announces, also where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// Whether the connection may be used again once the body has ended.
    pub keep_alive: bool,
}

/// Takes the next response head from `buffer`, which answers a request of `method`; `None` means that more is needed.
/// As [`take_request`](super::take_request).
///
/// # Errors
/// As strict as for requests: an answer that a client could frame differently than this gateway is not passed on.
pub fn take_response(
    buffer: &mut BytesMut,
    scanner: &mut HeadScanner,
    limits: &HeadLimits,
    method: &Method,
    fields: &mut Fields,
) -> Result<Option<ParsedResponse>, HeadError> {
    let mut section = Section::default();
    if scanner.whole(buffer, limits, &mut section) {
        let head = buffer.split_to(section.end).freeze();
        let line = status_line(&head)?;
        return parse(&head, &line, &section, method, std::mem::take(fields)).map(Some);
    }
    let Some(found) = scanner.scan(buffer, limits)? else { return Ok(None) };
    *scanner = HeadScanner::new(StartLine::Response);
    let head = buffer.split_to(found.end).freeze();
    parse_response_into(&head, method, std::mem::take(fields)).map(Some)
}

/// Parses a complete response head that answers a request of `method`.
///
/// # Errors
/// As [`take_response`].
pub fn parse_response(head: &Bytes, method: &Method) -> Result<ParsedResponse, HeadError> {
    parse_response_into(head, method, Fields::with_capacity(16))
}

fn parse_response_into(head: &Bytes, method: &Method, headers: Fields) -> Result<ParsedResponse, HeadError> {
    let line = status_line(head)?;
    let section = Section::of(head, line.end)?;
    parse(head, &line, &section, method, headers)
}

/// A status line.
struct Line {
    version: Version,
    status: StatusCode,
    /// The offset behind it.
    end: usize,
}

fn status_line(head: &[u8]) -> Result<Line, HeadError> {
    let line_end = memchr::memchr(b'\r', head).ok_or(HeadError::StartLine)?;
    let line = head.get(..line_end).unwrap_or_default();
    let (version, rest) = match line.split_at_checked(8) {
        Some((b"HTTP/1.1", rest)) => (Version::HTTP_11, rest),
        Some((b"HTTP/1.0", rest)) => (Version::HTTP_10, rest),
        Some((start, _)) if start.starts_with(b"HTTP/") => return Err(HeadError::UnsupportedVersion),
        _ => return Err(HeadError::StartLine),
    };
    let status = match rest {
        [b' ', a, b, c] | [b' ', a, b, c, b' ', ..] if [a, b, c].iter().all(|d| d.is_ascii_digit()) => {
            let code = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            StatusCode::from_u16(code).ok().filter(|_| code < 600).ok_or(HeadError::Status)?
        }
        _ => return Err(HeadError::Status),
    };
    if !super::table::is_value(rest.get(4..).unwrap_or_default()) {
        return Err(HeadError::StartLine);
    }
    Ok(Line { version, status, end: line_end + 2 })
}

fn parse(
    head: &Bytes,
    line: &Line,
    section: &Section,
    method: &Method,
    mut headers: Fields,
) -> Result<ParsedResponse, HeadError> {
    let Line { version, status, .. } = *line;
    let mut content_length = None;
    let mut codings = 0u32;
    let mut options = ConnectionOptions::default();
    section.store(head, &mut headers, |name, value| {
        if *name == header::CONTENT_LENGTH {
            if content_length.is_some() {
                return Err(HeadError::ContentLengthRepeated);
            }
            content_length = Some(parse_content_length(value.as_bytes())?);
        } else if *name == header::TRANSFER_ENCODING {
            codings += 1;
            if codings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::TransferEncoding);
            }
        } else if *name == header::CONNECTION {
            options.read(value.as_bytes())?;
        }
        Ok(())
    })?;
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *method == Method::HEAD;
    let body = match (content_length, codings) {
        (Some(_), 1..) => return Err(HeadError::LengthAndCoding),
        (None, 1..) if version == Version::HTTP_10 => return Err(HeadError::TransferEncodingVersion),
        _ if bodiless => BodyLength::Empty,
        (None, 1..) => BodyLength::Chunked,
        (Some(0), 0) => BodyLength::Empty,
        (Some(n), 0) => BodyLength::Fixed(n),
        (None, 0) => BodyLength::UntilClose,
    };
    let keep_alive = !options.close
        && body != BodyLength::UntilClose
        && (version == Version::HTTP_11 || options.keep_alive)
        && status != StatusCode::SWITCHING_PROTOCOLS;
    Ok(ParsedResponse { status, version, headers, body, content_length, keep_alive })
}
