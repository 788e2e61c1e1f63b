//! Finding where a message head ends, without reading any byte twice.

use memchr::{memchr, memchr2};

use super::fields::Section;
use super::{HeadError, HeadLimits};

/// Which kind of start line the head begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StartLine {
    /// `METHOD target HTTP/1.1`
    Request,
    /// `HTTP/1.1 200 OK`
    Response,
}

/// Searches a growing buffer for the end of a message head.
///
/// What can be refused before the whole head is there is refused at once: a bare CR or LF, a folded line, a first
/// byte that starts no message, an HTTP/0.9 request, and every bound.
#[derive(Clone, Copy, Debug)]
pub struct HeadScanner {
    kind: StartLine,
    /// Everything before this offset has been looked at.
    pos: usize,
    line_start: usize,
    /// Completed lines, start line included.
    lines: usize,
    /// Bytes of an empty line before the request line (RFC 9112 section 2.2): 0 or 2.
    skipped: usize,
}

/// A complete head in the buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    /// Bytes to drop before the start line.
    pub skip: usize,
    /// Bytes from the start of the buffer to the end of the empty line.
    pub end: usize,
}

impl HeadScanner {
    /// A scanner at the start of a message.
    #[must_use]
    pub const fn new(kind: StartLine) -> Self {
        Self { kind, pos: 0, line_start: 0, lines: 0, skipped: 0 }
    }

    /// Looks at what was added to `buffer` since the last call; `None` means that more is needed.
    ///
    /// # Errors
    /// The first thing that no continuation of the buffer could make good.
    #[inline]
    pub fn scan(&mut self, buffer: &[u8], limits: &HeadLimits) -> Result<Option<Found>, HeadError> {
        while let Some(rest) = buffer.get(self.pos..) {
            let Some(offset) = memchr2(b'\r', b'\n', rest) else {
                self.pos = buffer.len();
                break;
            };
            let at = self.pos + offset;
            if buffer.get(at) == Some(&b'\n') {
                return Err(HeadError::BareLf);
            }
            match buffer.get(at + 1) {
                None => {
                    self.pos = at;
                    break;
                }
                Some(b'\n') => {}
                Some(_) => return Err(HeadError::BareCr),
            }
            self.pos = at + 2;
            let line = buffer.get(self.line_start..at).unwrap_or_default();
            self.line_start = self.pos;
            if let Some(found) = self.line(line, limits)? {
                return if found.end - found.skip > limits.bytes {
                    Err(HeadError::HeadTooLarge)
                } else {
                    Ok(Some(found))
                };
            }
        }
        self.incomplete(buffer, limits)?;
        Ok(None)
    }

    /// Whether a head lies whole in `buffer`, of which nothing was looked at before: `section` is then its fields.
    /// `false` says nothing but that [`scan`](Self::scan) is to look. Of the start line only its end is looked at.
    #[inline]
    pub(super) fn whole(&self, buffer: &[u8], limits: &HeadLimits, section: &mut Section) -> bool {
        if self.pos > 0 || !self.may_start_with(buffer.first()) {
            return false;
        }
        let Some(line_end) = memchr(b'\r', buffer).filter(|end| *end > 0) else { return false };
        buffer.get(line_end + 1) == Some(&b'\n')
            && section.read(buffer, line_end + 2, limits.fields) == Ok(true)
            && section.end <= limits.bytes
    }

    fn line(&mut self, line: &[u8], limits: &HeadLimits) -> Result<Option<Found>, HeadError> {
        if line.is_empty() {
            if self.lines > 0 {
                return Ok(Some(Found { skip: self.skipped, end: self.pos }));
            }
            if self.skipped > 0 || self.kind == StartLine::Response {
                return Err(HeadError::StartLine);
            }
            self.skipped = 2;
            return Ok(None);
        }
        if self.lines == 0 {
            if !self.may_start_with(line.first()) {
                return Err(HeadError::StartLine);
            }
            if self.kind == StartLine::Request {
                check_request_line_end(line)?;
            }
        } else if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(HeadError::ObsFold);
        }
        self.lines += 1;
        if self.lines > limits.fields + 1 {
            return Err(HeadError::TooManyFields);
        }
        Ok(None)
    }

    fn may_start_with(&self, first: Option<&u8>) -> bool {
        match (self.kind, first) {
            (_, None | Some(b'\r')) => true,
            (StartLine::Request, Some(b)) => b.is_ascii_uppercase(),
            (StartLine::Response, Some(b)) => *b == b'H',
        }
    }

    fn incomplete(&self, buffer: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
        if self.lines == 0 {
            let line = buffer.get(self.line_start..).unwrap_or_default();
            if !self.may_start_with(line.first()) {
                return Err(HeadError::StartLine);
            }
            // The method and the version are bounded too; 64 bytes hold both.
            if self.kind == StartLine::Request && line.len() > limits.target.saturating_add(64) {
                return Err(HeadError::TargetTooLong);
            }
        }
        if buffer.len() > limits.bytes { Err(HeadError::HeadTooLarge) } else { Ok(()) }
    }
}

fn check_request_line_end(line: &[u8]) -> Result<(), HeadError> {
    if line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0") {
        return Ok(());
    }
    let version = line.rsplit(|b| *b == b' ').next().unwrap_or_default();
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(HeadError::UnsupportedVersion)
        }
        _ => Err(HeadError::Version),
    }
}
