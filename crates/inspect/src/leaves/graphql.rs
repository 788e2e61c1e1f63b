//! The string literals of a GraphQL document: the rest is names that the schema knows.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::{Leaf, Name, Visit, json};
use crate::place::Place;
use crate::text::{at, from, is_space, is_word, slice, starts};

/// Whether `bytes` is a document of GraphQL: it begins as one, and outside of strings it has only what one has.
pub(crate) fn is_document(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii();
    let begins = [&b"query"[..], b"mutation", b"subscription", b"fragment", b"introspectionquery"]
        .iter()
        .any(|word| {
            starts(text, word) && !is_word(at(text, word.len())) || starts(text, word) && text.contains(&b'{')
        })
        || text.starts_with(b"{") && text.ends_with(b"}");
    if !begins || !text.contains(&b'{') {
        return false;
    }
    let mut index = 0;
    while index < text.len() {
        let byte = at(text, index);
        match byte {
            b'"' => match literal(text, index) {
                Some((_, end)) => index = end,
                None => return false,
            },
            b'#' => index = crate::text::skip_while(text, index, |b| b != b'\n'),
            _ if is_word(byte)
                || is_space(byte)
                || matches!(
                    byte,
                    b'{' | b'}'
                        | b'('
                        | b')'
                        | b'['
                        | b']'
                        | b':'
                        | b','
                        | b'!'
                        | b'$'
                        | b'@'
                        | b'.'
                        | b'='
                        | b'|'
                        | b'&'
                        | b'-'
                        | b'+'
                ) =>
            {
                index += 1;
            }
            _ => return false,
        }
    }
    true
}

/// Calls `visit` for each string literal of the document `bytes`.
pub(crate) fn leaves(bytes: &[u8], name: &[u8], visit: Visit<'_>) -> ControlFlow<()> {
    if !is_document(bytes) {
        return visit(Leaf { place: Place::Body, name: Name::Plain(name), bytes: Cow::Borrowed(bytes) });
    }
    let mut index = 0;
    while let Some(found) = from(bytes, index).iter().position(|&b| b == b'"') {
        let Some((text, end)) = literal(bytes, index + found) else { break };
        visit(Leaf { place: Place::Body, name: Name::Plain(name), bytes: text })?;
        index = end;
    }
    ControlFlow::Continue(())
}

/// The literal that begins at `index`, and where it ends.
fn literal(bytes: &[u8], index: usize) -> Option<(Cow<'_, [u8]>, usize)> {
    let rest = from(bytes, index);
    if rest.starts_with(b"\"\"\"") {
        let body = from(rest, 3);
        let end = body.windows(3).position(|three| three == b"\"\"\"")?;
        return Some((Cow::Borrowed(slice(body, 0, end)), index + end + 6));
    }
    let mut at_ = 1;
    loop {
        match at(rest, at_) {
            b'"' => return Some((json::unescape(slice(rest, 1, at_)), index + at_ + 1)),
            b'\\' => at_ += 2,
            b'\n' => return None,
            _ if at_ >= rest.len() => return None,
            _ => at_ += 1,
        }
    }
}
