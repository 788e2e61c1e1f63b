//! Field lines (RFC 9112 section 5) and the values that decide how a message is framed.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use portcullis_engine::Fields;
use smallvec::SmallVec;

use super::table::{is_host, is_tchar, is_value, value_length};
use super::{HeadError, names};

/// One field line: the offsets of its name's start and end, and of its value's start and end.
type Line = [u32; 4];

/// A field section in a buffer: its lines, found and checked, and nothing made of them yet. It is filled where it
/// stands: it is too large to be handed around.
#[derive(Debug, Default)]
pub(super) struct Section {
    lines: SmallVec<[Line; 24]>,
    /// The offset behind the empty line that ends the section.
    pub(super) end: usize,
}

impl Section {
    /// Reads lines `token ":" OWS value OWS CR LF` from `at` on, up to an empty one; `false` if the buffer ends before.
    ///
    /// # Errors
    /// The first line that is none of these, or more than `most` lines.
    pub(super) fn read(&mut self, buffer: &[u8], mut at: usize, most: usize) -> Result<bool, HeadError> {
        self.lines.clear();
        loop {
            let rest = buffer.get(at..).unwrap_or_default();
            match rest {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] => {
                    self.end = at + 2;
                    return Ok(true);
                }
                [b'\r', ..] => return Err(HeadError::BareCr),
                _ if self.lines.len() == most => return Err(HeadError::TooManyFields),
                _ => {}
            }
            let Some(colon) = rest.iter().position(|b| !is_tchar(*b)) else { return Ok(false) };
            if colon == 0 || rest.get(colon) != Some(&b':') {
                return Err(match rest.first() {
                    Some(b' ' | b'\t') => HeadError::ObsFold,
                    _ => HeadError::FieldName,
                });
            }
            let value = rest.get(colon + 1..).unwrap_or_default();
            let length = value_length(value);
            // A line feed or a carriage return anywhere else is a control character in the value.
            match value.get(length..).unwrap_or_default() {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] => {}
                [b'\r', ..] => return Err(HeadError::BareCr),
                _ => return Err(HeadError::FieldValue),
            }
            let value = value.get(..length).unwrap_or_default();
            let blank = |b: &&u8| matches!(b, b' ' | b'\t');
            let before = value.iter().take_while(blank).count();
            let after = value.iter().skip(before).rev().take_while(blank).count();
            let start = at + colon + 1 + before;
            let line = [at, at + colon, start, start + length - before - after];
            self.lines.push(line.map(|n| u32::try_from(n).unwrap_or(u32::MAX)));
            at += colon + 1 + length + 2;
        }
    }

    /// The section that fills `head` from `at` to its end.
    ///
    /// # Errors
    /// As [`read`](Self::read), or that it does not end there.
    pub(super) fn of(head: &[u8], at: usize) -> Result<Self, HeadError> {
        let mut section = Self::default();
        match section.read(head, at, usize::MAX)? {
            true if section.end == head.len() => Ok(section),
            true => Err(HeadError::FieldName),
            false => Err(HeadError::BareCr),
        }
    }

    /// Stores the fields, each handed to `visit` before. Values are slices of `buffer`: nothing is copied.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub(super) fn store(
        &self,
        buffer: &Bytes,
        headers: &mut Fields,
        mut visit: impl FnMut(&HeaderName, &HeaderValue) -> Result<(), HeadError>,
    ) -> Result<(), HeadError> {
        for line in &self.lines {
            let [name, colon, start, end] = line.map(|n| n as usize);
            let name = names::name(buffer.get(name..colon).unwrap_or_default())?;
            let value = if start < end { buffer.slice(start..end) } else { Bytes::new() };
            if !is_value(&value) {
                return Err(HeadError::FieldValue);
            }
            // SAFETY: `is_value` has accepted every byte: HTAB or 0x20..=0xff without DEL, which is what the type holds.
            #[expect(unsafe_code, reason = "the bytes have just been checked with the same rule")]
            let value = unsafe { HeaderValue::from_maybe_shared_unchecked(value) };
            visit(&name, &value)?;
            headers.append(name, value);
        }
        Ok(())
    }
}

/// A Content-Length value: one to 19 digits, no sign, no list, no leading zero.
///
/// # Errors
/// [`HeadError::ContentLength`] for any other spelling.
pub fn parse_content_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() || value.len() > 19 || (value.len() > 1 && value.first() == Some(&b'0')) {
        return Err(HeadError::ContentLength);
    }
    value.iter().try_fold(0u64, |n, b| {
        if !b.is_ascii_digit() {
            return Err(HeadError::ContentLength);
        }
        Ok(n * 10 + u64::from(b - b'0'))
    })
}

/// What a Connection field says (RFC 9110 section 7.6.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConnectionOptions {
    /// `close` is named.
    pub close: bool,
    /// `keep-alive` is named.
    pub keep_alive: bool,
    /// `upgrade` is named.
    pub upgrade: bool,
}

impl ConnectionOptions {
    /// Adds the options of one more Connection field line.
    ///
    /// # Errors
    /// [`HeadError::Connection`] if the value is not a list of tokens.
    pub fn read(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in value.split(|b| *b == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if !option.iter().all(|b| is_tchar(*b)) {
                return Err(HeadError::Connection);
            }
        }
        Ok(())
    }
}

/// Whether this is a host name or address with an optional port: what a Host field or an authority may be.
///
/// User information, percent-encoding and an empty host are not accepted.
#[must_use]
pub fn is_authority(value: &[u8]) -> bool {
    let (host, port) = if let Some(rest) = value.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|b| *b == b']') else { return false };
        let (address, after) = rest.split_at(end);
        let valid = std::str::from_utf8(address).is_ok_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok());
        if !valid {
            return false;
        }
        (None, after.get(1..).unwrap_or_default())
    } else {
        let end = value.iter().position(|b| *b == b':').unwrap_or(value.len());
        let (host, port) = value.split_at(end);
        (Some(host), port)
    };
    if host.is_some_and(|h| h.is_empty() || h.len() > 255 || !h.iter().all(|b| is_host(*b))) {
        return false;
    }
    match port {
        [] => true,
        [b':', digits @ ..] => {
            !digits.is_empty()
                && digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(digits).is_ok_and(|d| d.parse::<u16>().is_ok())
        }
        _ => false,
    }
}

/// Whether a trailer field of this name may be passed on (RFC 9110 section 6.5.1).
///
/// Fields that frame, route, authenticate, or change how the content is read have been decided upon with the head;
/// a second value after the body would come too late for every check.
#[must_use]
pub fn may_be_trailer(name: &HeaderName) -> bool {
    use http::header as h;
    let forbidden = [
        &h::CONTENT_LENGTH,
        &h::TRANSFER_ENCODING,
        &h::TE,
        &h::TRAILER,
        &h::HOST,
        &h::CONNECTION,
        &h::UPGRADE,
        &h::EXPECT,
        &h::AUTHORIZATION,
        &h::PROXY_AUTHORIZATION,
        &h::PROXY_AUTHENTICATE,
        &h::WWW_AUTHENTICATE,
        &h::COOKIE,
        &h::SET_COOKIE,
        &h::CONTENT_TYPE,
        &h::CONTENT_ENCODING,
        &h::CONTENT_RANGE,
        &h::RANGE,
        &h::CACHE_CONTROL,
        &h::AGE,
        &h::LOCATION,
        &h::VIA,
        &h::FORWARDED,
        &h::MAX_FORWARDS,
    ];
    let text = name.as_str();
    let prefixes = ["access-control-", "if-", "sec-", "proxy-", "keep-alive"];
    !forbidden.contains(&name) && !prefixes.iter().any(|prefix| text.starts_with(prefix))
}

/// Whether it may be passed on after a request's body, too. The upstream may merge it into the head, where names that
/// begin with `x-` speak of who calls and from where; a client's word on that was taken out of the head.
#[must_use]
pub fn may_be_request_trailer(name: &HeaderName) -> bool {
    let text = name.as_str();
    may_be_trailer(name) && (!text.starts_with("x-") || text == "x-checksum")
}
