//! Requests to their leaves: the texts that a client chose, each with where it stood.
//!
//! Nothing is built that is thrown away again: a leaf borrows from what it came from wherever nothing had to be
//! undone. Numbers, booleans and nulls are no leaves.

mod graphql;
mod json;
mod multipart;
mod parameters;
mod xml;

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;

pub use json::Malformed;
pub use multipart::{Part, boundary, parts};
pub use parameters::{cookies, header, path, query};

use crate::place::Place;

/// A text that a client chose.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// Where it stood.
    pub place: Place,
    /// Its name there.
    pub name: Name<'a>,
    /// The text, decoded as its place demands.
    pub bytes: Cow<'a, [u8]>,
}

/// What leads to a leaf.
#[derive(Debug, Clone, Copy)]
pub enum Name<'a> {
    /// A parameter's, field's, header's or part's name.
    Plain(&'a [u8]),
    /// The members that lead to a value of a document, outermost first; array indices are left out.
    Members(&'a [&'a [u8]]),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &[u8]| -> String {
            String::from_utf8_lossy(name.get(..name.len().min(64)).unwrap_or_default())
                .chars()
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .collect()
        };
        match self {
            Name::Plain(name) => f.write_str(&shown(name)),
            Name::Members(members) => {
                for member in *members {
                    write!(f, "/{}", shown(member))?;
                }
                Ok(())
            }
        }
    }
}

/// What is called for each leaf; `Break` ends the search.
pub type Visit<'v> = &'v mut dyn FnMut(Leaf<'_>) -> ControlFlow<()>;

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data` and its kin (RFC 7578).
    Multipart,
    /// XML.
    Xml,
    /// A GraphQL document.
    GraphQl,
    /// Text of no known form.
    Text,
    /// Bytes that are no text: pictures, protocol buffers.
    Binary,
}

impl Format {
    /// How a body with the content type `essence` (type and subtype alone) is read. What says nothing is told by
    /// its first bytes, as servers do that guess.
    pub fn of(essence: &str, body: &[u8]) -> Format {
        let lower = essence.to_ascii_lowercase();
        match lower.as_str() {
            "application/json" | "text/json" => Format::Json,
            "application/x-www-form-urlencoded" => Format::Form,
            "application/xml" | "text/xml" => Format::Xml,
            "application/graphql" => Format::GraphQl,
            _ if lower.starts_with("multipart/") => Format::Multipart,
            _ if lower.ends_with("+json") => Format::Json,
            _ if lower.ends_with("+xml") => Format::Xml,
            _ => Format::guess(body),
        }
    }

    /// How a body is read that is not what its content type says.
    pub fn guess(body: &[u8]) -> Format {
        let text = body.trim_ascii_start();
        match text.first() {
            Some(b'{' | b'[') if json::is_whole(text) => Format::Json,
            Some(b'<') if text.starts_with(b"<?xml") => Format::Xml,
            _ => {
                let head = body.get(..body.len().min(512)).unwrap_or_default();
                let odd = head.iter().filter(|&&b| b < b' ' && !crate::text::is_space(b)).count();
                let start = body.get(..body.len().min(1 << 14)).unwrap_or_default();
                let high = start.iter().filter(|&&b| b >= 0x80).count();
                let torn = high * 8 > start.len()
                    && std::str::from_utf8(start).is_err_and(|error| error.valid_up_to() + 4 < start.len());
                if odd * 20 > head.len() || torn {
                    Format::Binary
                } else if is_form(head) {
                    Format::Form
                } else {
                    Format::Text
                }
            }
        }
    }
}

/// Whether `head` begins as `name=value&`.
fn is_form(head: &[u8]) -> bool {
    let name = head.iter().position(|&b| b == b'=').unwrap_or(0);
    name > 0
        && head
            .get(..name)
            .unwrap_or_default()
            .iter()
            .all(|&b| crate::text::is_word(b) || matches!(b, b'-' | b'.' | b'[' | b']' | b'%'))
        && !head.contains(&b'\n')
}

/// Calls `visit` for each leaf of `body`.
///
/// # Errors
/// If `body` is not what `format` says.
pub fn body(body: &[u8], format: Format, content_type: &str, visit: Visit<'_>) -> Result<(), Malformed> {
    match format {
        Format::Json => json::leaves(body, visit),
        Format::Form => {
            parameters::pairs(body, Place::Form, visit);
            Ok(())
        }
        Format::Multipart => multipart::leaves(body, content_type, visit),
        Format::Xml => xml::leaves(body, visit),
        Format::GraphQl => {
            let _ = graphql::leaves(body, b"query", visit);
            Ok(())
        }
        Format::Text => {
            let _ =
                visit(Leaf { place: Place::Body, name: Name::Plain(b"body"), bytes: Cow::Borrowed(body) });
            Ok(())
        }
        Format::Binary => Ok(()),
    }
}

pub(crate) use json::{is_sequence as is_json, sequence as json_leaves};
