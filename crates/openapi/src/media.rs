//! Media types and ranges (RFC 9110, sections 8.3.1 and 12.5.1).

use std::fmt;

use smallvec::SmallVec;

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyFormat {
    /// `application/json` and everything `+json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// `text/*`: one string.
    Text,
    /// JSON values, one a line: JSON Lines, NDJSON.
    JsonLines,
    /// JSON values, each after a record separator (RFC 7464).
    JsonSequence,
    /// XML, by what the schema says of its members.
    Xml,
    /// Bytes that are not looked into.
    Opaque,
}

/// A media type or range as a document writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRange {
    /// Lower case; `*` for any.
    kind: Box<str>,
    /// Lower case; `*` for any, `*+json` for any with that suffix.
    subtype: Box<str>,
    /// Names in lower case, in the order written.
    parameters: Vec<(Box<str>, Box<str>)>,
}

/// A media type as a message names it, borrowed.
#[derive(Debug, Clone)]
pub struct MediaType<'a> {
    kind: &'a str,
    subtype: &'a str,
    parameters: SmallVec<[(&'a str, &'a str); 4]>,
    format: BodyFormat,
}

impl<'a> MediaType<'a> {
    /// Reads a `Content-Type` value. Nothing if it is not one (RFC 9110, section 8.3.1).
    pub fn parse(text: &'a str) -> Option<Self> {
        // Nearly every message of an API.
        if text == "application/json" {
            let (kind, subtype) = ("application", "json");
            return Some(Self { kind, subtype, parameters: SmallVec::new(), format: BodyFormat::Json });
        }
        let (essence, mut rest) = match memchr::memchr(b';', text.as_bytes()) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)?),
            None => (text, ""),
        };
        let essence = essence.trim_matches([' ', '\t']);
        let slash = memchr::memchr(b'/', essence.as_bytes())?;
        let (kind, subtype) = (essence.get(..slash)?, essence.get(slash + 1..)?);
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut parameters = SmallVec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return Some(Self { kind, subtype, parameters, format: format_of(kind, subtype) });
            }
            let (name, after) = rest.split_once('=')?;
            let value = if let Some(quoted) = after.strip_prefix('"') {
                // A backslash escapes; such values are kept as written, since none of ours needs one.
                let mut end = 0;
                let bytes = quoted.as_bytes();
                loop {
                    match bytes.get(end)? {
                        b'"' => break,
                        b'\\' => end += 2,
                        _ => end += 1,
                    }
                }
                rest = quoted.get(end + 1..)?;
                quoted.get(..end)?
            } else {
                let end = after.find(';').unwrap_or(after.len());
                rest = after.get(end..)?;
                after.get(..end)?.trim_end_matches([' ', '\t'])
            };
            let after_value = rest.trim_start_matches([' ', '\t']);
            if !is_token(name.trim_matches([' ', '\t']))
                || !after_value.is_empty() && !after_value.starts_with(';')
            {
                return None;
            }
            parameters.push((name.trim_matches([' ', '\t']), value));
        }
    }

    /// The value of a parameter. Names compare without case.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Whether this is `kind/subtype`, without regard to case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// How a body of this type is read.
    pub fn format(&self) -> BodyFormat {
        self.format
    }
}

impl MediaRange {
    /// Reads a key of a `content` object.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self { kind: "*".into(), subtype: "*".into(), parameters: Vec::new() });
        }
        let media = MediaType::parse(text)?;
        Some(Self {
            kind: media.kind.to_ascii_lowercase().into(),
            subtype: media.subtype.to_ascii_lowercase().into(),
            parameters: media
                .parameters
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase().into(), (*value).into()))
                .collect(),
        })
    }

    /// Whether a message's type falls under this. A parameter counts only if it is written here, and
    /// `charset` only if the message says another one.
    pub fn matches(&self, media: &MediaType<'_>) -> bool {
        let kind = &*self.kind == "*" || same(&self.kind, media.kind);
        let subtype = &*self.subtype == "*"
            || same(&self.subtype, media.subtype)
            || self.subtype.strip_prefix("*+").is_some_and(|suffix| {
                suffix_of(media.subtype).is_some_and(|other| other.eq_ignore_ascii_case(suffix))
            });
        kind && subtype
            && self.parameters.iter().all(|(name, value)| match media.parameter(name) {
                Some(sent) => sent.eq_ignore_ascii_case(value),
                None => &**name == "charset",
            })
    }

    /// Sorts ranges: the most specific first.
    pub(crate) fn breadth(&self) -> (u8, std::cmp::Reverse<usize>) {
        let breadth = match (&*self.kind, &*self.subtype) {
            ("*", _) => 3,
            (_, "*") => 2,
            (_, subtype) if subtype.starts_with("*+") => 1,
            _ => 0,
        };
        (breadth, std::cmp::Reverse(self.parameters.len()))
    }

    /// Whether it names one type and not several.
    pub fn is_concrete(&self) -> bool {
        !self.kind.contains('*') && !self.subtype.contains('*')
    }

    /// How a body of this type is read; opaque for a range of several.
    pub fn format(&self) -> BodyFormat {
        format_of(&self.kind, &self.subtype)
    }

    /// Whether a body under this range may be one that is looked into.
    pub fn may_be_structured(&self) -> bool {
        !self.is_concrete() || self.format() != BodyFormat::Opaque
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype)?;
        self.parameters.iter().try_for_each(|(name, value)| write!(f, "; {name}={value}"))
    }
}

fn suffix_of(subtype: &str) -> Option<&str> {
    subtype.rsplit_once('+').map(|(_, suffix)| suffix)
}

fn format_of(kind: &str, subtype: &str) -> BodyFormat {
    let is = |a: &str, b: &str| same(kind, a) && same(subtype, b);
    if is("application", "json") {
        return BodyFormat::Json;
    }
    let lines = [
        "x-ndjson",
        "ndjson",
        "jsonl",
        "x-jsonl",
        "jsonlines",
        "x-jsonlines",
        "x-json-stream",
        "stream+json",
    ];
    let suffix = |wanted: &str| suffix_of(subtype).is_some_and(|suffix| suffix.eq_ignore_ascii_case(wanted));
    if kind.eq_ignore_ascii_case("application") && lines.iter().any(|line| subtype.eq_ignore_ascii_case(line))
    {
        BodyFormat::JsonLines
    } else if is("application", "json-seq") || suffix("json-seq") {
        BodyFormat::JsonSequence
    } else if is("text", "json")
        || is("text", "x-json")
        || is("application", "x-json")
        || suffix("json")
        || subtype.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("json+"))
    {
        BodyFormat::Json
    } else if is("application", "x-www-form-urlencoded") {
        BodyFormat::Form
    } else if is("multipart", "form-data") {
        BodyFormat::Multipart
    } else if is("application", "xml") || is("text", "xml") || suffix("xml") {
        BodyFormat::Xml
    } else if kind.eq_ignore_ascii_case("text")
        && !subtype.eq_ignore_ascii_case("event-stream")
        && subtype != "*"
    {
        BodyFormat::Text
    } else {
        BodyFormat::Opaque
    }
}

/// Whether the two are the same but for case; mostly they are the same in every byte.
fn same(a: &str, b: &str) -> bool {
    a == b || a.eq_ignore_ascii_case(b)
}

/// The characters of a token (RFC 9110, section 5.6.2).
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "below 256; evaluated at compile time")]
        {
            table[byte] = (byte as u8).is_ascii_alphanumeric()
                || matches!(
                    byte as u8,
                    b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
                );
        }
        byte += 1;
    }
    table
};

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| TOKEN.get(usize::from(byte)).is_some_and(|is| *is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_match_types() {
        let cases = [
            ("application/json", "application/json", true),
            ("application/json", "Application/JSON; charset=utf-8", true),
            ("application/json", "application/problem+json", false),
            ("application/*", "application/xml", true),
            ("application/*+json", "application/problem+json", true),
            ("*/*", "image/png", true),
            ("text/*", "application/json", false),
            ("application/json; version=1", "application/json", false),
            ("application/json; version=1", "application/json;version=\"1\"", true),
            ("application/json; charset=utf-8", "application/json", true),
            ("application/json; charset=utf-8", "application/json; charset=latin1", false),
        ];
        for (range, media, expected) in cases {
            let range = MediaRange::parse(range).unwrap();
            assert_eq!(range.matches(&MediaType::parse(media).unwrap()), expected, "{range} {media}");
        }
    }

    #[test]
    fn malformed_types_are_refused() {
        for text in [
            "",
            "json",
            "a/",
            "/b",
            "a/b; x",
            "a/b; x=\"y",
            "a/b; x=\"y\\",
            "a b/c",
            "a/b; =c",
            "a/b; x=\"y\"z",
        ] {
            assert!(MediaType::parse(text).is_none(), "{text}");
        }
        assert!(MediaType::parse("a/b;").is_some());
        assert!(MediaType::parse("a/b ; x=1 ; y=\"2;3\"").unwrap().parameter("Y") == Some("2;3"));
    }
}
