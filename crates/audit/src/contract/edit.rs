//! Changes to a document's text that leave everything else as it stood: comments, order, quotes.

use portcullis_openapi::source::{Document, Kind, Member, Node, Span};
use serde_json::Value;

/// Text put in place of other text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The name of the file.
    pub source: String,
    /// Offset in bytes of what is replaced, from the start of the text without a byte order mark.
    pub start: usize,
    /// Offset behind it; the same as `start` where text is only added.
    pub end: usize,
    /// The new text.
    pub text: String,
    /// Whether it cannot turn away a call that the API serves.
    pub safe: bool,
}

/// Applies the edits of one file. Of two that overlap, the one that begins first is kept; equal ones count once.
pub fn apply(text: &str, edits: &[&Edit]) -> String {
    let mut sorted: Vec<&Edit> = edits.to_vec();
    sorted.sort_by(|a, b| (a.start, a.end).cmp(&(b.start, b.end)).then_with(|| a.text.cmp(&b.text)));
    sorted.dedup();
    let mut out =
        String::with_capacity(text.len() + sorted.iter().map(|edit| edit.text.len()).sum::<usize>());
    let mut at = 0;
    for edit in sorted {
        let (Some(between), true) = (text.get(at..edit.start), text.is_char_boundary(edit.end)) else {
            continue;
        };
        out.push_str(between);
        out.push_str(&edit.text);
        at = edit.end.max(edit.start);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// `key: value` added to an object, where its keys are sorted in its place; never behind the last member, where
/// comments of the next thing may stand.
pub(crate) fn insert(
    document: &Document,
    object: &Node,
    key: &str,
    value: &Value,
    safe: bool,
) -> Option<Edit> {
    let members = object.as_object()?;
    if members.iter().any(|member| &*member.key == key) {
        return None;
    }
    let text = document.text();
    let (start, end) = (object.span.start as usize, object.span.end as usize);
    // Members that a merge key or an alias brought stand elsewhere.
    let own = |span: Span| start <= span.start as usize && (span.end as usize) <= end;
    if !members.iter().all(|member| own(member.key_span)) {
        return None;
    }
    let after = members.iter().find(|member| *member.key > *key).or(members.last());
    let Some(next) = after else {
        // `{}`: nothing but blanks between the braces.
        let inner = text.get(start..end)?.strip_prefix('{')?.strip_suffix('}')?;
        if !inner.trim().is_empty() {
            return None;
        }
        let json = serde_json::to_string(value).ok()?;
        let key = serde_json::to_string(key).ok()?;
        return Some(Edit {
            source: document.name().into(),
            start: start + 1,
            end: end - 1,
            text: format!("{key}: {json}"),
            safe,
        });
    };
    let at = next.key_span.start as usize;
    // A document may be one line of megabytes: no more is looked at than an indentation needs.
    let mut from = at.saturating_sub(LINE);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let near = text.get(from..at)?;
    let line = near.rfind(['\n', '\r']).map_or(0, |newline| newline + 1);
    let before = near.get(line..)?;
    let begins = line > 0 || from == 0;
    let newline = if near.get(..line).is_some_and(|head| head.ends_with("\r\n")) { "\r\n" } else { "\n" };
    let flow = text.get(start..)?.starts_with('{');
    let is_json = flow && text.get(at..)?.starts_with('"');
    let new = if flow {
        let blank = begins && before.chars().all(char::is_whitespace);
        let step = indent_step(before);
        let json = match blank {
            true => indented(value, before, step, newline),
            false => serde_json::to_string(value).ok()?,
        };
        let key = if is_json { serde_json::to_string(key).ok()? } else { scalar(&Value::String(key.into())) };
        match blank {
            true => format!("{key}: {json},{newline}{before}"),
            false if !is_json || written_wide(text, next) => format!("{key}: {json}, "),
            false => format!("{key}:{json},"),
        }
    } else {
        // An explicit key (`? key`), an anchor or a tag before it stays with what it belongs to.
        if !begins || before.trim_start_matches([' ', '-']).trim() != "" {
            return None;
        }
        let column: String = before.chars().map(|_| ' ').collect();
        let key = scalar(&Value::String(key.into()));
        let mut out = key;
        block(&mut out, value, &column, newline);
        out.push_str(newline);
        out.push_str(&column);
        out
    };
    Some(Edit { source: document.name().into(), start: at, end: at, text: new, safe })
}

/// Bytes of a line that are looked at.
const LINE: usize = 4096;

/// Whether a blank stands between a key's colon and its value.
fn written_wide(text: &str, member: &Member) -> bool {
    let between = text.get(member.key_span.end as usize..member.value.span.start as usize);
    between.is_some_and(|between| between.contains(' '))
}

/// Another scalar in place of one.
pub(crate) fn replace(document: &Document, node: &Node, value: &Value, safe: bool) -> Option<Edit> {
    if matches!(node.kind, Kind::Object(_) | Kind::Array(_)) {
        return None;
    }
    let (start, end) = (node.span.start as usize, node.span.end as usize);
    let written = document.text().get(start..end)?;
    // Block scalars (`|`, `>`) and those over several lines are left alone.
    if written.is_empty() || written.contains(['\n', '\r']) || written.starts_with(['|', '>', '&', '!']) {
        return None;
    }
    let text = match written.starts_with('"') {
        true => serde_json::to_string(value).ok()?,
        false => scalar(value),
    };
    Some(Edit { source: document.name().into(), start, end, text, safe })
}

/// How far one level is indented further than the next, guessed from a line's indentation.
fn indent_step(before: &str) -> &str {
    if before.starts_with('\t') {
        return "\t";
    }
    if before.len().is_multiple_of(4) && !before.len().is_multiple_of(6) { "    " } else { "  " }
}

/// JSON over several lines, the first one where it stands already.
fn indented(value: &Value, before: &str, step: &str, newline: &str) -> String {
    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut out = String::new();
    for (index, line) in pretty.lines().enumerate() {
        let inner = line.trim_start_matches(' ');
        if index > 0 {
            out.push_str(newline);
            out.push_str(before);
            out.push_str(&step.repeat((line.len() - inner.len()) / 2));
        }
        out.push_str(inner);
    }
    out
}

/// A value behind a key of block YAML.
fn block(out: &mut String, value: &Value, column: &str, newline: &str) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push(':');
            let inner = format!("{column}  ");
            for (key, value) in members {
                out.push_str(newline);
                out.push_str(&inner);
                out.push_str(&scalar(&Value::String(key.clone())));
                block(out, value, &inner, newline);
            }
        }
        other => {
            out.push_str(": ");
            out.push_str(&scalar(other));
        }
    }
}

/// A scalar of YAML: plain where nothing else can be read in it.
fn scalar(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '/'))
        && !text.ends_with(' ')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain {
        return text.clone();
    }
    let printable = !text.chars().any(|c| c.is_control());
    match printable {
        true => format!("'{}'", text.replace('\'', "''")),
        false => serde_json::to_string(text).unwrap_or_default(),
    }
}
