//! JSON and YAML text read into one tree that remembers where everything stood.
//!
//! [`Document::parse`] takes the bytes of a file and answers a tree of [`Node`]s. Every node keeps the byte
//! range that it was read from; [`Document::locate`] turns that into a line and a column, and
//! [`Document::pointer_at`] into a JSON pointer, so a diagnosis can name the place without the reader having
//! kept track of it.
//!
//! YAML is read by the core schema of YAML 1.2: `yes`, `on`, `no` and `off` are strings, `0o17` and `0x1F`
//! are integers, unquoted keys such as `200` become the string `"200"`. Merge keys (`<<`) are honoured,
//! aliases are expanded up to a cap, and a file holds one document.

mod json;
mod scalar;
mod yaml;

#[cfg(test)]
mod tests;

use std::fmt;

/// What a reader accepts before it gives up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes in one file. At most 4 GiB, since spans are 32 bits wide.
    pub bytes: usize,
    /// Objects and arrays inside each other.
    pub depth: usize,
    /// Nodes in one file, aliases expanded.
    pub nodes: usize,
    /// Nodes that come from expanding aliases and merge keys.
    pub aliased_nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 128 << 20, depth: 200, nodes: 20_000_000, aliased_nodes: 500_000 }
    }
}

/// The bytes of the source that a node was read from: `start` inclusive, `end` exclusive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

/// A place in a source as a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Offset in bytes, from 0.
    pub offset: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One value of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stood.
    pub span: Span,
}

/// The JSON data model.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer or a float. Integers beyond 64 bits are kept as floats.
    Number(serde_json::Number),
    /// A string.
    String(Box<str>),
    /// An array.
    Array(Vec<Node>),
    /// An object, members in the order of the source, each key once.
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The key.
    pub key: Box<str>,
    /// Where the key stood.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// A key that occurs twice in one object. The first one counts; the later one is left out of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateKey {
    /// The key.
    pub key: Box<str>,
    /// Where it stood first.
    pub first: Span,
    /// Where it stood again.
    pub second: Span,
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// The name that the file was given.
    pub source: Box<str>,
    /// Where reading stopped; absent if the file as a whole is at fault.
    pub location: Option<Location>,
    /// What was wrong, and what was expected.
    pub what: String,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location {
            Some(at) => write!(f, "{}:{at}: {}", self.source, self.what),
            None => write!(f, "{}: {}", self.source, self.what),
        }
    }
}

impl std::error::Error for SourceError {}

/// A file that was read.
#[derive(Debug)]
pub struct Document {
    name: Box<str>,
    text: Box<str>,
    lines: Lines,
    root: Node,
    duplicates: Vec<DuplicateKey>,
}

/// What a reader of one syntax hands back.
struct Parsed {
    root: Node,
    duplicates: Vec<DuplicateKey>,
}

/// Where and why a reader of one syntax stopped; the offset is in bytes.
#[derive(Debug)]
struct Stopped {
    at: u32,
    what: String,
}

impl Stopped {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at: u32::try_from(at).unwrap_or(u32::MAX), what: what.into() }
    }
}

impl Document {
    /// Reads JSON or YAML, whichever the bytes are. `name` is used in diagnoses only.
    ///
    /// # Errors
    /// If the bytes are not UTF-8, are neither JSON nor YAML, or exceed the default [`Limits`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        Self::parse_with(name, bytes, Limits::default())
    }

    /// [`Document::parse`] with limits of one's own.
    ///
    /// # Errors
    /// If the bytes are not UTF-8, are neither JSON nor YAML, or exceed `limits`.
    pub fn parse_with(name: &str, bytes: &[u8], limits: Limits) -> Result<Self, SourceError> {
        let whole = |what: String| SourceError { source: name.into(), location: None, what };
        if bytes.len() > limits.bytes.min(u32::MAX as usize - 1) {
            return Err(whole(format!(
                "the file has {} bytes, expected at most {}; split it or raise the limit",
                bytes.len(),
                limits.bytes
            )));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let lines = Lines::of(bytes);
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            SourceError {
                source: name.into(),
                location: Some(lines.locate(valid, valid.len())),
                what: "expected UTF-8 text; save the file as UTF-8".into(),
            }
        })?;
        let lines = Lines::of(bytes);
        let looks_like_json = matches!(text.trim_ascii_start().as_bytes().first(), Some(b'{' | b'['));
        let parsed = if looks_like_json {
            json::parse(text, limits).or_else(|stopped| {
                // A flow mapping of YAML starts like JSON. If it is neither, the JSON error is the useful one.
                if name.ends_with(".json") || text.len() > 4 << 20 {
                    return Err(stopped);
                }
                yaml::parse(text, limits).map_err(|_| stopped)
            })
        } else {
            yaml::parse(text, limits)
        };
        match parsed {
            Ok(Parsed { duplicates, .. }) if duplicates.len() >= MAX_DUPLICATES => {
                let place =
                    duplicates.last().map(|last| lines.locate(text.as_bytes(), last.second.start as usize));
                let what =
                    format!("expected each key once, found more than {MAX_DUPLICATES} for the second time");
                Err(SourceError { source: name.into(), location: place, what })
            }
            Ok(Parsed { root, duplicates }) => {
                Ok(Self { name: name.into(), text: text.into(), lines, root, duplicates })
            }
            Err(Stopped { at, what }) => Err(SourceError {
                source: name.into(),
                location: Some(lines.locate(text.as_bytes(), at as usize)),
                what,
            }),
        }
    }

    /// The name given at [`Document::parse`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text that was read, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of the whole file.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Keys that were written twice in one object. The first of each is in the tree.
    pub fn duplicates(&self) -> &[DuplicateKey] {
        &self.duplicates
    }

    /// The exact text of a span: what was written, before it was read as a number or a string.
    pub fn snippet(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Line and column of a byte offset.
    pub fn locate(&self, offset: u32) -> Location {
        self.lines.locate(self.text.as_bytes(), offset as usize)
    }

    /// One line of the text, from 1, without its line break.
    pub fn line(&self, line: u32) -> &str {
        let index = (line as usize).saturating_sub(1);
        let start = self.lines.starts.get(index).copied().unwrap_or(u32::MAX) as usize;
        let rest = self.text.get(start..).unwrap_or_default();
        rest.split(['\n', '\r']).next().unwrap_or_default()
    }

    /// The node that an RFC 6901 JSON pointer names.
    pub fn get(&self, pointer: &str) -> Option<&Node> {
        self.root.pointer(pointer)
    }

    /// The JSON pointer of the innermost node that covers a byte offset. Nodes that came in through an alias
    /// are found where their anchor stands.
    pub fn pointer_at(&self, span: Span) -> String {
        let mut pointer = String::new();
        let mut node = &self.root;
        while node.span != span {
            let inside = |inner: &Node| inner.span.start <= span.start && span.end <= inner.span.end;
            match &node.kind {
                Kind::Object(members) => {
                    let is = |member: &&Member| member.key_span == span || inside(&member.value);
                    // Members stand in the order of the source, all but those of aliases.
                    let after = members.partition_point(|member| member.key_span.start <= span.start);
                    let near = after.checked_sub(1).and_then(|at| members.get(at)).filter(is);
                    let Some(member) = near.or_else(|| members.iter().find(is)) else { break };
                    pointer.push('/');
                    push_escaped(&mut pointer, &member.key);
                    if member.key_span == span {
                        break;
                    }
                    node = &member.value;
                }
                Kind::Array(items) => {
                    let Some((index, item)) = items.iter().enumerate().find(|(_, item)| inside(item)) else {
                        break;
                    };
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                    node = item;
                }
                _ => break,
            }
        }
        pointer
    }
}

impl Node {
    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&[Member]> {
        match &self.kind {
            Kind::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items, if this is an array.
    pub fn as_array(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<&serde_json::Number> {
        match &self.kind {
            Kind::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The number as a size, if it is a non-negative integer (`3.0` counts as one).
    pub fn as_u64(&self) -> Option<u64> {
        let number = self.as_number()?;
        number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be integral and in range"
            )]
            (float >= 0.0 && float.fract() == 0.0 && float < 9e15).then_some(float as u64)
        })
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The value of a member, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_object()?.iter().find(|member| &*member.key == key).map(|member| &member.value)
    }

    /// The node that an RFC 6901 JSON pointer names, seen from here.
    pub fn pointer(&self, pointer: &str) -> Option<&Node> {
        if pointer.is_empty() {
            return Some(self);
        }
        let mut node = self;
        for token in pointer.strip_prefix('/')?.split('/') {
            node = match &node.kind {
                Kind::Object(members) => {
                    let key = unescape_token(token);
                    &members.iter().find(|member| *member.key == *key)?.value
                }
                Kind::Array(items) => items.get(array_index(token)?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The name of the type, as JSON Schema calls it.
    pub fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "boolean",
            Kind::Number(_) => "number",
            Kind::String(_) => "string",
            Kind::Array(_) => "array",
            Kind::Object(_) => "object",
        }
    }

    /// This tree as a `serde_json` value. Spans are lost.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::String(text) => Value::String(text.to_string()),
            Kind::Array(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Object(members) => Value::Object(
                members.iter().map(|member| (member.key.to_string(), member.value.to_json())).collect(),
            ),
        }
    }
}

/// An array index of RFC 6901: digits without a leading zero.
pub(crate) fn array_index(token: &str) -> Option<usize> {
    if token.len() > 1 && token.starts_with('0') || !token.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    token.parse().ok()
}

/// Turns `~1` and `~0` of a JSON pointer's token back.
pub(crate) fn unescape_token(token: &str) -> std::borrow::Cow<'_, str> {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
}

/// Appends a key to a JSON pointer, escaped.
pub(crate) fn push_escaped(pointer: &mut String, key: &str) {
    for char in key.chars() {
        match char {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// Duplicate keys that a file may have; one with more is refused.
const MAX_DUPLICATES: usize = 500;

/// Bytes between two counts of characters.
const STRIDE: usize = 4096;

/// Where lines start, and how many characters there are up to every so many bytes: some documents are one line
/// of megabytes and have many problems.
#[derive(Debug)]
struct Lines {
    starts: Vec<u32>,
    characters: Vec<u32>,
}

impl Lines {
    /// A line ends with `\n`, `\r\n` or a lone `\r`.
    fn of(bytes: &[u8]) -> Self {
        let mut starts = vec![0];
        for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let is_first_of_pair = bytes.get(at) == Some(&b'\r') && bytes.get(at + 1) == Some(&b'\n');
            if !is_first_of_pair {
                starts.push(u32::try_from(at + 1).unwrap_or(u32::MAX));
            }
        }
        let mut sum = 0;
        let strides = bytes.chunks(STRIDE).map(|stride| {
            let before = sum;
            sum += count_characters(stride);
            before
        });
        Self { characters: strides.collect(), starts }
    }

    fn characters_before(&self, bytes: &[u8], offset: usize) -> u32 {
        let stride = (offset / STRIDE).min(self.characters.len().saturating_sub(1));
        let rest = bytes.get(stride * STRIDE..offset).unwrap_or_default();
        self.characters.get(stride).copied().unwrap_or(0) + count_characters(rest)
    }

    fn locate(&self, bytes: &[u8], offset: usize) -> Location {
        let offset = offset.min(bytes.len());
        let offset32 = u32::try_from(offset).unwrap_or(u32::MAX);
        let line = self.starts.partition_point(|start| *start <= offset32).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0) as usize;
        let column = self.characters_before(bytes, offset) - self.characters_before(bytes, start) + 1;
        Location { line: u32::try_from(line).unwrap_or(u32::MAX), column, offset: offset32 }
    }
}

/// Continuation bytes are no characters; counting the others needs no boundary.
fn count_characters(bytes: &[u8]) -> u32 {
    let count = bytes.iter().filter(|byte| (**byte & 0xC0) != 0x80).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Members of an object under construction; finds keys that are already there.
#[derive(Default)]
struct Members {
    list: Vec<Member>,
    index: Option<std::collections::HashSet<Box<str>>>,
}

impl Members {
    /// Objects up to this size are searched key by key.
    const LINEAR: usize = 16;

    fn contains(&mut self, key: &str) -> bool {
        if self.list.len() <= Self::LINEAR {
            return self.list.iter().any(|member| &*member.key == key);
        }
        self.index
            .get_or_insert_with(|| self.list.iter().map(|member| member.key.clone()).collect())
            .contains(key)
    }

    fn push(&mut self, member: Member) {
        if let Some(index) = &mut self.index {
            index.insert(member.key.clone());
        }
        self.list.push(member);
    }

    /// Adds a member, or notes that its key is there already.
    fn add(&mut self, member: Member, duplicates: &mut Vec<DuplicateKey>) {
        if self.contains(&member.key) {
            if duplicates.len() >= MAX_DUPLICATES {
                return;
            }
            let first = self.list.iter().find(|known| known.key == member.key);
            duplicates.push(DuplicateKey {
                first: first.map(|known| known.key_span).unwrap_or_default(),
                second: member.key_span,
                key: member.key,
            });
        } else {
            self.push(member);
        }
    }

    fn finish(mut self) -> Vec<Member> {
        self.list.shrink_to_fit();
        self.list
    }
}
