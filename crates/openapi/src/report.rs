//! What a call did that the contract does not allow.

use std::borrow::Cow;
use std::fmt;

/// Which rule was broken. A guard puts each kind under a switch of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ViolationKind {
    /// A required parameter is absent.
    MissingParameter,
    /// A parameter is not what its schema or its style demands, or came more than once.
    InvalidParameter,
    /// A query parameter, header or cookie that the operation does not describe.
    UnknownParameter,
    /// A required request body is absent.
    MissingBody,
    /// A request body where the operation describes none.
    UnexpectedBody,
    /// The request's media type is none of those described.
    UnsupportedMediaType,
    /// The body cannot be read as its media type.
    MalformedBody,
    /// A JSON body names a member of an object twice.
    DuplicateKey,
    /// A JSON body is nested too deep or has too many values.
    TooComplexBody,
    /// The request body is not what its schema demands.
    InvalidBody,
    /// The request sets a property that only the server may set (`readOnly`).
    ReadOnlyProperty,
    /// The response shows a property that only the client may send (`writeOnly`).
    WriteOnlyProperty,
    /// A property that the schema does not describe and does not forbid either.
    UnknownProperty,
    /// A status that the operation does not describe.
    UndocumentedStatus,
    /// The response's media type is none of those described.
    UndocumentedMediaType,
    /// A response header is absent or not what its schema demands.
    InvalidResponseHeader,
    /// The response body is not what its schema demands.
    InvalidResponseBody,
    /// The contract says something here that cannot be enforced.
    Unenforceable,
}

impl ViolationKind {
    /// The kind's name in configuration, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingParameter => "missing_parameter",
            Self::InvalidParameter => "invalid_parameter",
            Self::UnknownParameter => "unknown_parameter",
            Self::MissingBody => "missing_body",
            Self::UnexpectedBody => "unexpected_body",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::MalformedBody => "malformed_body",
            Self::DuplicateKey => "duplicate_key",
            Self::TooComplexBody => "too_complex_body",
            Self::InvalidBody => "invalid_body",
            Self::ReadOnlyProperty => "read_only_property",
            Self::WriteOnlyProperty => "write_only_property",
            Self::UnknownProperty => "unknown_property",
            Self::UndocumentedStatus => "undocumented_status",
            Self::UndocumentedMediaType => "undocumented_media_type",
            Self::InvalidResponseHeader => "invalid_response_header",
            Self::InvalidResponseBody => "invalid_response_body",
            Self::Unenforceable => "unenforceable",
        }
    }
}

/// The part of a message that a violation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// A segment of the path.
    Path,
    /// The query string.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// The body.
    Body,
    /// The status line of a response.
    Status,
}

impl Location {
    /// The name that OpenAPI gives it, where it gives one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body",
            Self::Status => "status",
        }
    }
}

/// One broken rule. It never holds a value of the message; names that the sender chose are cut to
/// [`MAX_NAME`] bytes and freed of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub kind: ViolationKind,
    /// Where in the message.
    pub location: Location,
    /// The name of the parameter, header or cookie; empty for a body.
    pub name: Box<str>,
    /// JSON pointer into the value; empty for the value as a whole.
    pub pointer: Box<str>,
    /// What was expected there, as a noun phrase.
    pub expected: Cow<'static, str>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.location.as_str())?;
        if !self.name.is_empty() {
            write!(f, " `{}`", self.name)?;
        }
        if !self.pointer.is_empty() {
            write!(f, " at `{}`", self.pointer)?;
        }
        write!(f, ": expected {}", self.expected)
    }
}

/// Violations that one check reports at most.
pub const MAX_VIOLATIONS: usize = 10;

/// Bytes of a sender-chosen name that a violation keeps at most.
pub const MAX_NAME: usize = 64;

/// Bytes of a JSON pointer that a violation keeps at most.
pub const MAX_POINTER: usize = 256;

/// A name that a sender chose, safe to show: short, printable, cut at a character.
pub(crate) fn safe_name(name: &str) -> String {
    let mut out = String::new();
    push_safe(&mut out, name, MAX_NAME);
    out
}

/// Appends a step to a JSON pointer, safe to show; beyond [`MAX_POINTER`] bytes only that there is more.
pub(crate) fn push_step(pointer: &mut String, step: &str) {
    if pointer.len() > MAX_POINTER - MAX_NAME {
        if !pointer.ends_with("/…") {
            pointer.push_str("/…");
        }
        return;
    }
    pointer.push('/');
    match step.contains(['~', '/']) {
        true => push_safe(pointer, &step.replace('~', "~0").replace('/', "~1"), MAX_NAME),
        false => push_safe(pointer, step, MAX_NAME),
    }
}

/// Appends at most `room` bytes of `name`, control and bidirectional formatting characters replaced.
pub(crate) fn push_safe(out: &mut String, name: &str, room: usize) {
    let end = out.len() + room;
    if name.len() <= room && name.bytes().all(|byte| matches!(byte, 0x20..0x7f)) {
        return out.push_str(name);
    }
    for char in name.chars() {
        let char = match char {
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                '\u{fffd}'
            }
            char if char.is_control() => '\u{fffd}',
            char => char,
        };
        if out.len() + char.len_utf8() > end {
            out.push('…');
            return;
        }
        out.push(char);
    }
}
