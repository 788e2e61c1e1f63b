//! A whole request, leaf by leaf.

use std::ops::ControlFlow;

use crate::budget::Budget;
use crate::class::Classes;
use crate::leaves::{self, Format, Leaf, Malformed, Visit};
use crate::verdict::Verdict;
use crate::view::inspect_within;

/// What is looked at of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Path and query as they stand on the wire.
    pub target: &'a [u8],
    /// Names and values of the fields.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body, without its content coding.
    pub body: &'a [u8],
}

/// What a request carries.
#[derive(Debug)]
pub enum Found {
    /// A leaf with an attack.
    Attack {
        /// Its name, as a person finds it.
        name: String,
        /// What it is.
        verdict: Verdict,
    },
    /// A body that is not what its content type says.
    Malformed(Malformed),
}

/// The first attack in `request`, or that its body cannot be read.
pub fn inspect_request(request: &Request<'_>) -> Option<Found> {
    let mut found = None;
    let fields = request.headers.iter().map(|(_, value)| value.len()).sum::<usize>();
    let mut budget = Budget::of(request.target.len() + fields + request.body.len());
    let mut judge = |leaf: &Leaf<'_>| {
        inspect_within(&leaf.bytes, leaf.place, Classes::default(), &mut budget).filter(Verdict::is_attack)
    };
    let mut visit = |leaf: Leaf<'_>| match judge(&leaf) {
        Some(verdict) => {
            found = Some(Found::Attack { name: leaf.name.to_string(), verdict });
            ControlFlow::Break(())
        }
        None => ControlFlow::Continue(()),
    };
    let malformed = each_leaf(request, &mut visit);
    found.or_else(|| malformed.err().map(Found::Malformed))
}

/// Calls `visit` for each leaf of `request`.
///
/// # Errors
/// If the body is not what its content type says.
pub fn each_leaf(request: &Request<'_>, visit: Visit<'_>) -> Result<(), Malformed> {
    let mut ended = false;
    let mut each = |leaf: Leaf<'_>| {
        let flow = if ended { ControlFlow::Break(()) } else { visit(leaf) };
        ended |= flow.is_break();
        flow
    };
    let question = request.target.iter().position(|&b| b == b'?');
    let (path, query) = request.target.split_at(question.unwrap_or(request.target.len()));
    leaves::path(path, &mut each);
    leaves::query(query.get(1..).unwrap_or_default(), &mut each);
    let mut content_type = "";
    for (name, value) in request.headers {
        if name.eq_ignore_ascii_case("content-type") {
            content_type = std::str::from_utf8(value).unwrap_or_default();
        }
        leaves::header(name, value, &mut each);
    }
    if request.body.is_empty() {
        return Ok(());
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let format = Format::of(essence, request.body);
    match leaves::body(request.body, format, content_type, &mut each) {
        // No JSON: bytes that an application encrypted itself, or text. Judged as text here; the gateway refuses it.
        Err(_) if format == Format::Json && !ended => {
            let format = Format::guess(request.body);
            leaves::body(request.body, format, content_type, visit)
        }
        read => read,
    }
}
