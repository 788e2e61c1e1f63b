//! Refusals and the replies that a gateway gives itself, rendered in one place (RFC 9457).

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

use crate::code::Code;
use crate::fields::Fields;
use crate::head::ExchangeId;

/// One thing that is wrong with a request, told to its sender. Never carries the sender's own bytes back,
/// save for member names that the contract knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemError {
    /// Where: `body`, `query`, `path`, `header` or `cookie`.
    #[serde(rename = "in")]
    pub location: &'static str,
    /// A JSON pointer into the body (RFC 6901), or the parameter's name as the contract writes it.
    pub pointer: String,
    /// What was expected.
    pub expected: String,
}

/// A guard's refusal: its code, what the caller is told and what the log keeps.
#[derive(Debug, Clone)]
pub struct Denial {
    /// The stable code; it gives status and title.
    pub code: &'static Code,
    /// For the record only: what exactly, for the operator. No secret, no body.
    pub reason: Cow<'static, str>,
    /// For the caller: more than the title, or `None`.
    pub detail: Option<Cow<'static, str>>,
    /// What is wrong where, for the caller; at most ten.
    pub errors: Vec<ProblemError>,
    /// Fields of the refusal (`WWW-Authenticate`, `Allow`, `Retry-After`, `RateLimit`).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the connection must be closed, since the stream's state can no longer be trusted.
    pub close: bool,
}

impl Denial {
    /// A refusal with `code`; `reason` goes to the record only.
    pub fn new(code: &'static Code, reason: impl Into<Cow<'static, str>>) -> Denial {
        Denial {
            code,
            reason: reason.into(),
            detail: None,
            errors: Vec::new(),
            headers: Vec::new(),
            close: false,
        }
    }

    /// Adds what the caller may read.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Denial {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a field to the refusal.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Denial {
        self.headers.push((name, value));
        self
    }

    /// Adds what is wrong where; beyond ten they are dropped.
    pub fn errors(mut self, errors: impl IntoIterator<Item = ProblemError>) -> Denial {
        self.errors.extend(errors);
        self.errors.truncate(10);
        self
    }

    /// Has the connection closed after the refusal.
    pub fn close(mut self) -> Denial {
        self.close = true;
        self
    }

    /// The refusal as the caller gets it.
    pub fn reply(&self, id: ExchangeId) -> LocalReply {
        let mut reply = LocalReply::problem(self.code, self.detail.as_deref(), &self.errors, id);
        for (name, value) in &self.headers {
            reply.headers.insert(name.clone(), value.clone());
        }
        reply.close = self.close;
        reply
    }
}

/// A response that the gateway makes itself: a refusal, a preflight answer, a masked error.
#[derive(Debug, Clone)]
pub struct LocalReply {
    /// The status code.
    pub status: StatusCode,
    /// The fields; the host adds `Content-Length`, `Date` and connection management.
    pub headers: Fields,
    /// The body; not sent to HEAD.
    pub body: Bytes,
    /// Whether the connection must be closed after it.
    pub close: bool,
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ProblemError],
    reference: String,
}

impl LocalReply {
    /// An empty reply.
    pub fn empty(status: StatusCode) -> LocalReply {
        LocalReply { status, headers: Fields::new(), body: Bytes::new(), close: false }
    }

    /// An RFC 9457 problem. `reference` finds the record.
    pub fn problem(
        code: &'static Code,
        detail: Option<&str>,
        errors: &[ProblemError],
        id: ExchangeId,
    ) -> LocalReply {
        let status = StatusCode::from_u16(code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::problem_as(status, code, detail, errors, id)
    }

    /// As [`LocalReply::problem`], with a status of its own (a masked error keeps the upstream's).
    pub fn problem_as(
        status: StatusCode,
        code: &'static Code,
        detail: Option<&str>,
        errors: &[ProblemError],
        id: ExchangeId,
    ) -> LocalReply {
        let problem = Problem {
            kind: format!("urn:portcullis:{}", code.name),
            title: code.title,
            status: status.as_u16(),
            code: code.name,
            detail,
            errors,
            reference: id.to_string(),
        };
        let mut headers = Fields::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // A struct of strings and numbers always serialises.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        LocalReply { status, headers, body: body.into(), close: false }
    }
}
