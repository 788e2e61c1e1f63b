//! Request heads (RFC 9112 sections 3 and 6).

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header;
use http::{Method, Version};
use portcullis_engine::Fields;

use super::fields::{ConnectionOptions, Section, is_authority, parse_content_length};
use super::table::is_target;
use super::{BodyLength, HeadError, HeadLimits, HeadScanner};

/// A request head with exactly one reading.
#[derive(Clone, Debug)]
pub struct ParsedRequest {
    /// The method, in upper case.
    pub method: Method,
    /// The target in origin form (`/path?query`), or `*`, or an authority for CONNECT.
    pub target: Bytes,
    /// The target as it was sent, where that was in absolute form.
    pub absolute: Option<Bytes>,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The fields as they were sent, in order, names in lower case.
    pub headers: Fields,
    /// How the end of the body is found.
    pub body: BodyLength,
    /// Whether the client wants the connection to stay open.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether the client asks to switch protocols.
    pub upgrade: bool,
}

/// Takes the next request head from `buffer`; `None` means that more is needed. The fields go into what `fields` gives,
/// which must be empty.
///
/// A head that lies whole in the buffer is read in one pass. Whatever is in its way leaves the buffer as it was, and the
/// scanner looks at every line in turn: it refuses what no continuation could make good, and keeps its place.
///
/// # Errors
/// Everything that RFC 9112 forbids, and every place where it leaves a choice to the recipient. What was asked for is
/// then still in the buffer, as far as it came.
pub fn take_request(
    buffer: &mut BytesMut,
    scanner: &mut HeadScanner,
    limits: &HeadLimits,
    fields: impl Fn() -> Fields,
) -> Result<Option<ParsedRequest>, HeadError> {
    let mut section = Section::default();
    if scanner.whole(buffer, limits, &mut section) {
        let head = buffer.split_to(section.end).freeze();
        let parsed = start_line(&head, limits).and_then(|start| parse(&head, start, &section, fields()));
        if let Ok(request) = parsed {
            return Ok(Some(request));
        }
        put_back(&head, buffer);
    }
    let Some(found) = scanner.scan(buffer, limits)? else { return Ok(None) };
    let mut head = buffer.split_to(found.end);
    let head = if found.skip > 0 { head.split_off(found.skip) } else { head };
    let head = head.freeze();
    let request = parse_request_into(&head, limits, fields());
    if request.is_err() {
        put_back(&head, buffer);
    }
    request.map(Some)
}

/// Undoes that `head` was split from the front of `buffer`.
pub(super) fn put_back(head: &Bytes, buffer: &mut BytesMut) {
    let mut whole = BytesMut::with_capacity(head.len() + buffer.len());
    whole.extend_from_slice(head);
    whole.extend_from_slice(buffer);
    *buffer = whole;
}

/// Parses a complete request head: `head` starts at the method and ends after the empty line.
///
/// # Errors
/// Everything that RFC 9112 forbids, and every place where it leaves a choice to the recipient.
pub fn parse_request(head: &Bytes, limits: &HeadLimits) -> Result<ParsedRequest, HeadError> {
    parse_request_into(head, limits, Fields::with_capacity(16))
}

fn parse_request_into(
    head: &Bytes,
    limits: &HeadLimits,
    headers: Fields,
) -> Result<ParsedRequest, HeadError> {
    let start = start_line(head, limits)?;
    let section = Section::of(head, start.end)?;
    parse(head, start, &section, headers)
}

/// A request line.
struct Start {
    method: Method,
    target: Range<usize>,
    version: Version,
    /// The offset behind it.
    end: usize,
}

fn start_line(head: &[u8], limits: &HeadLimits) -> Result<Start, HeadError> {
    let line_end = memchr::memchr(b'\r', head).ok_or(HeadError::StartLine)?;
    let line = head.get(..line_end).unwrap_or_default();
    let first = memchr::memchr(b' ', line).ok_or(HeadError::StartLine)?;
    let (method, rest) = line.split_at(first);
    let method = parse_method(method)?;
    let rest = rest.get(1..).unwrap_or_default();
    let second = memchr::memchr(b' ', rest).ok_or(HeadError::Version)?;
    let version = match rest.get(second + 1..).unwrap_or_default() {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        version if version.contains(&b' ') => return Err(HeadError::StartLine),
        [b'H', b'T', b'T', b'P', b'/', a, b'.', b] if a.is_ascii_digit() && b.is_ascii_digit() => {
            return Err(HeadError::UnsupportedVersion);
        }
        _ => return Err(HeadError::Version),
    };
    if second > limits.target {
        return Err(HeadError::TargetTooLong);
    }
    let target = rest.get(..second).unwrap_or_default();
    if target.is_empty() || !target.iter().all(|b| is_target(*b)) {
        return Err(HeadError::Target);
    }
    Ok(Start { method, target: first + 1..first + 1 + second, version, end: line_end + 2 })
}

fn parse(
    head: &Bytes,
    start: Start,
    section: &Section,
    mut headers: Fields,
) -> Result<ParsedRequest, HeadError> {
    let Start { method, target, version, .. } = start;
    let mut seen = Seen::default();
    section.store(head, &mut headers, |name, value| seen.field(name, value.as_bytes()))?;

    let sent = head.slice(target);
    let target = Seen::target(&method, version, sent.clone(), &headers)?;
    let absolute = (method != Method::CONNECT && !matches!(sent.first(), Some(b'/' | b'*'))).then_some(sent);
    let body = seen.body(version)?;
    if seen.upgrade_fields > 0 && !seen.options.upgrade {
        return Err(HeadError::Upgrade);
    }
    let keep_alive = !seen.options.close && (version == Version::HTTP_11 || seen.options.keep_alive);
    Ok(ParsedRequest {
        method,
        target,
        absolute,
        version,
        headers,
        body,
        keep_alive,
        expects_continue: seen.expects_continue && version == Version::HTTP_11 && body != BodyLength::Empty,
        upgrade: seen.upgrade_fields > 0 && version == Version::HTTP_11,
    })
}

fn parse_method(method: &[u8]) -> Result<Method, HeadError> {
    match method {
        b"GET" => Ok(Method::GET),
        b"POST" => Ok(Method::POST),
        _ => {
            if method.is_empty()
                || method.len() > 32
                || !method.iter().all(|b| b.is_ascii_uppercase() || *b == b'-')
            {
                return Err(HeadError::Method);
            }
            Method::from_bytes(method).map_err(|_| HeadError::Method)
        }
    }
}

/// The fields that frame and route a request.
#[derive(Default)]
struct Seen {
    hosts: u32,
    content_length: Option<u64>,
    codings: u32,
    options: ConnectionOptions,
    expects_continue: bool,
    upgrade_fields: u32,
}

impl Seen {
    #[inline]
    fn field(&mut self, name: &header::HeaderName, value: &[u8]) -> Result<(), HeadError> {
        if *name == header::HOST {
            self.hosts += 1;
            if self.hosts > 1 {
                return Err(HeadError::HostRepeated);
            }
            if !is_authority(value) {
                return Err(HeadError::HostMalformed);
            }
        } else if *name == header::CONTENT_LENGTH {
            if self.content_length.is_some() {
                return Err(HeadError::ContentLengthRepeated);
            }
            self.content_length = Some(parse_content_length(value)?);
        } else if *name == header::TRANSFER_ENCODING {
            self.codings += 1;
            if self.codings > 1 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::TransferEncoding);
            }
        } else if *name == header::CONNECTION {
            self.options.read(value)?;
        } else if *name == header::EXPECT {
            if self.expects_continue || !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(HeadError::Expect);
            }
            self.expects_continue = true;
        } else if *name == header::UPGRADE {
            self.upgrade_fields += 1;
            if self.upgrade_fields > 1 || value.is_empty() {
                return Err(HeadError::Upgrade);
            }
        }
        Ok(())
    }

    /// Checks the form of the target against the method and the Host field (RFC 9112 section 3.2).
    fn target(
        method: &Method,
        version: Version,
        target: Bytes,
        headers: &Fields,
    ) -> Result<Bytes, HeadError> {
        let host = headers.get(header::HOST);
        if *method == Method::CONNECT && !is_authority(&target) {
            return Err(HeadError::Target);
        }
        // HTTP/1.0 knows no Host, and clients open tunnels with it: CONNECT's target is the authority.
        let Some(host) = host else {
            return match *method == Method::CONNECT && version == Version::HTTP_10 {
                true => Ok(target),
                false => Err(HeadError::HostMissing),
            };
        };
        if *method == Method::CONNECT {
            return if !target.eq_ignore_ascii_case(host.as_bytes()) {
                Err(HeadError::HostMismatch)
            } else {
                Ok(target)
            };
        }
        if target.first() == Some(&b'/') || (*method == Method::OPTIONS && *target == *b"*") {
            return Ok(target);
        }
        let scheme = [&b"http://"[..], b"https://"]
            .into_iter()
            .find(|s| target.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)))
            .ok_or(HeadError::Target)?;
        let rest = target.slice(scheme.len()..);
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        if !is_authority(authority) {
            return Err(HeadError::Target);
        }
        if !authority.eq_ignore_ascii_case(host.as_bytes()) {
            return Err(HeadError::HostMismatch);
        }
        match rest.get(end) {
            None => Ok(Bytes::from_static(b"/")),
            Some(b'/') => Ok(rest.slice(end..)),
            // `http://host?query` has an empty path; recipients differ in what they make of it.
            Some(_) => Err(HeadError::Target),
        }
    }

    fn body(&self, version: Version) -> Result<BodyLength, HeadError> {
        match (self.content_length, self.codings) {
            (Some(_), 1..) => Err(HeadError::LengthAndCoding),
            (None, 1..) if version == Version::HTTP_10 => Err(HeadError::TransferEncodingVersion),
            (None, 1..) => Ok(BodyLength::Chunked),
            (None | Some(0), 0) => Ok(BodyLength::Empty),
            (Some(n), 0) => Ok(BodyLength::Fixed(n)),
        }
    }
}
