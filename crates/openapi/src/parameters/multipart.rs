//! `multipart/form-data` bodies (RFC 7578), read within bounds.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::form::pointer;
use super::text;
use crate::media::{BodyFormat, MediaType};
use crate::model::Media;
use crate::schema::{Arena, Issue, SchemaId, Types};

/// Parts that a body may have.
const MAX_PARTS: usize = 1_000;

/// Bytes that the headers of one part may have.
const MAX_HEADERS: usize = 8 << 10;

/// Bytes of a boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

struct Part<'b> {
    name: String,
    is_file: bool,
    content_type: Option<&'b str>,
    headers: &'b str,
    body: &'b [u8],
}

/// Reads a multipart body as the object that its schema describes. Parts that are not text become strings
/// without a meaning.
///
/// # Errors
/// If the bytes are no multipart body within bounds, or a part is not what its encoding says.
pub(crate) fn multipart_value(
    arena: &Arena,
    media: &Media,
    content_type: &MediaType<'_>,
    body: &[u8],
) -> Result<Value, Vec<Issue>> {
    let whole =
        |expected: &'static str| vec![Issue { pointer: String::new(), expected: Cow::from(expected) }];
    let boundary = content_type
        .parameter("boundary")
        .filter(|boundary| !boundary.is_empty() && boundary.len() <= MAX_BOUNDARY)
        .ok_or_else(|| whole("a multipart type with a boundary"))?;
    let parts = split(body, boundary).map_err(whole)?;
    let schema = media.schema.unwrap_or(SchemaId::ANY);
    let mut members: Map<String, Value> = Map::new();
    let mut issues = Vec::new();
    for part in parts {
        let field = arena.member_schema(schema, &part.name).unwrap_or(SchemaId::ANY);
        let types = arena.types_of(field);
        let is_list = types.has(Types::ARRAY) && !types.has(Types::STRING);
        let list_of_json = is_list && part.is_json();
        let item = if is_list && !list_of_json { arena.item_schema(field, 0) } else { field };
        let value = match read(arena, media, &part, item) {
            Ok(value) => value,
            Err(expected) => {
                issues.push(Issue { pointer: pointer(&part.name), expected });
                continue;
            }
        };
        if is_list && !(list_of_json && value.is_array()) {
            let list = members.entry(part.name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(value);
            }
        } else if members.insert(part.name.clone(), value).is_some() {
            issues.push(Issue { pointer: pointer(&part.name), expected: "one part, not several".into() });
        }
    }
    if issues.is_empty() { Ok(Value::Object(members)) } else { Err(issues) }
}

impl Part<'_> {
    fn is_json(&self) -> bool {
        self.content_type.and_then(MediaType::parse).is_some_and(|media| media.format() == BodyFormat::Json)
    }
}

fn read(arena: &Arena, media: &Media, part: &Part<'_>, schema: SchemaId) -> Result<Value, Cow<'static, str>> {
    let encoding = media.encoding.iter().find(|encoding| *encoding.property == *part.name);
    if let Some(encoding) = encoding {
        let sent = part.content_type.unwrap_or("text/plain");
        let sent = MediaType::parse(sent).ok_or("a media type as the part's content type")?;
        let fits = encoding.content_types.iter().any(|range| range.matches(&sent));
        if !encoding.content_types.is_empty() && !fits {
            let list: Vec<String> = encoding.content_types.iter().map(ToString::to_string).collect();
            return Err(format!("a part of type {}", list.join(" or ")).into());
        }
        for header in &encoding.required_headers {
            let there = part.headers.lines().any(|line| {
                line.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case(header))
            });
            if !there {
                return Err(format!("a part with the header `{header}`").into());
            }
        }
    }
    let types = arena.types_of(schema);
    let structured = types.and(Types::OBJECT.with(Types::ARRAY)) != Types::NONE && types != Types::ANY;
    let json = part.is_json() || structured && !types.has(Types::STRING) && part.content_type.is_none();
    if json && !part.is_file {
        return serde_json::from_slice(part.body).map_err(|_| "JSON".into());
    }
    match std::str::from_utf8(part.body) {
        Ok(text) if !part.is_file => Ok(text::coerce(arena, schema, text)),
        Err(_) if !part.is_file && part.content_type.is_none() => Err("UTF-8".into()),
        _ => Ok(Value::String(String::from_utf8_lossy(part.body).into_owned())),
    }
}

fn split<'b>(body: &'b [u8], boundary: &str) -> Result<Vec<Part<'b>>, &'static str> {
    let delimiter = format!("\r\n--{boundary}");
    let finder = memchr::memmem::Finder::new(delimiter.as_bytes());
    let opening = delimiter.as_bytes().get(2..).unwrap_or_default();
    // The first delimiter has no line break before it unless there is a preamble.
    let mut rest = match body.strip_prefix(opening) {
        Some(rest) => rest,
        None => {
            let at = finder.find(body).ok_or("the boundary at the start of the first part")?;
            body.get(at + delimiter.len()..).unwrap_or_default()
        }
    };
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if parts.len() >= MAX_PARTS {
            return Err("fewer parts");
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let content = rest
            .get(padding..)
            .and_then(|rest| rest.strip_prefix(b"\r\n"))
            .ok_or("a line break after a boundary")?;
        let end = finder.find(content).ok_or("a boundary after the last part")?;
        parts.push(part(content.get(..end).unwrap_or_default())?);
        rest = content.get(end + delimiter.len()..).unwrap_or_default();
    }
}

fn part(bytes: &[u8]) -> Result<Part<'_>, &'static str> {
    let window = bytes.get(..bytes.len().min(MAX_HEADERS + 4)).unwrap_or_default();
    let (head, body) = match bytes.strip_prefix(b"\r\n") {
        Some(body) => (&b""[..], body),
        None => {
            let end = memchr::memmem::find(window, b"\r\n\r\n")
                .ok_or("headers of a part that are short and end")?;
            (bytes.get(..end).unwrap_or_default(), bytes.get(end + 4..).unwrap_or_default())
        }
    };
    let headers = std::str::from_utf8(head).map_err(|_| "headers of a part in UTF-8")?;
    let (mut name, mut is_file, mut content_type) = (None, false, None);
    for line in headers.split("\r\n").filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once(':').ok_or("headers of a part as `name: value`")?;
        let value = value.trim_matches([' ', '\t']);
        if key.eq_ignore_ascii_case("content-disposition") {
            if name.is_some() {
                return Err("one content disposition for a part");
            }
            let (kind, _) = value.split_once(';').ok_or("a part with a name")?;
            if !kind.trim().eq_ignore_ascii_case("form-data") {
                return Err("parts of the kind `form-data`");
            }
            name = Some(parameter(value, "name").ok_or("a part with a name")?);
            is_file = parameter(value, "filename").is_some() || parameter(value, "filename*").is_some();
        } else if key.eq_ignore_ascii_case("content-type") {
            if content_type.is_some() {
                return Err("one content type for a part");
            }
            content_type = Some(value);
        }
    }
    let name = name.ok_or("a part with a name")?;
    Ok(Part { name, is_file, content_type, headers, body })
}

/// A parameter of a `Content-Disposition`, unquoted. A backslash escapes a quote or a backslash.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, after) = rest.split_once('=')?;
        let mut text = String::new();
        rest = if let Some(quoted) = after.strip_prefix('"') {
            let mut chars = quoted.char_indices();
            loop {
                match chars.next()? {
                    (at, '"') => break quoted.get(at + 1..)?,
                    (_, '\\') if chars.as_str().starts_with(['"', '\\']) => text.push(chars.next()?.1),
                    (_, char) => text.push(char),
                }
            }
        } else {
            let end = after.find(';').unwrap_or(after.len());
            text.push_str(after.get(..end)?.trim_end());
            after.get(end..)?
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
    }
}
