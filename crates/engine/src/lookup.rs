//! Lookups: what a guard has to ask outside before it can decide, as plain data that a host carries out.
//!
//! A guard answers [`Verdict::Need`](crate::Verdict::Need). The host asks, hands the result to
//! [`Inspection::resolve`](crate::Inspection::resolve), and the same hook of the same guard runs again, from its
//! start; it finds the result with [`Cx::answer`](crate::Cx::answer).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};

use crate::code;
use crate::denial::Denial;
use crate::fields::Fields;
use crate::head::{BodyLength, Request};
use crate::inspection::{ForwardBody, Permit};

/// Lookups that all guards of one exchange may make together; a guard that wants more has failed.
pub const MOST_LOOKUPS: u8 = 8;

/// A request to somewhere outside, and how it is to be made.
#[derive(Debug)]
pub struct Lookup {
    /// What it is for, in one word, for metrics and logs: `key-set`, `introspection`, `owner`.
    pub purpose: &'static str,
    /// Its name: the guard finds the result under it. No secret in clear.
    pub key: Box<str>,
    /// `Some`: lookups with the same key are one. Who comes while it is under way gets its result, and so does who
    /// comes within this time after it began, whatever the result was. `None`: it is this exchange's own.
    pub share: Option<Duration>,
    /// Where it goes.
    pub destination: Destination,
    /// How long it may take, from connecting to the last byte.
    pub timeout: Duration,
    /// Bytes that the answer's body may have.
    pub max_response: u64,
}

/// Where a lookup goes.
#[derive(Debug)]
pub enum Destination {
    /// A server of its own. Redirects are not followed.
    Url {
        /// The method.
        method: Method,
        /// An absolute `https` URL; whether plain `http` may be used is the host's to say.
        url: Box<str>,
        /// Fields beside `Host` and `Content-Length`.
        headers: Fields,
        /// The body; empty for none.
        body: Bytes,
    },
    /// The keys of a configured issuer of tokens: the host fetches them into the place that it shares with the guard,
    /// or waits for a fetch that is under way. The answer says only that it tried.
    Keys {
        /// The issuer.
        issuer: Arc<str>,
    },
    /// The addresses of a name, by the host's resolver: the answer's body has one on each line.
    Resolve {
        /// The name.
        name: Box<str>,
    },
    /// The names of an address, by the host's resolver: the answer's body has one on each line, and none where there
    /// is no name.
    Names {
        /// The address.
        address: IpAddr,
    },
    /// A server that speaks a protocol of the guard's over TCP. Each message goes over a connection of its own, one after
    /// the other; the answer's body is what came back on all of them, each until the other side closed.
    Stream {
        /// Host and port.
        address: Box<str>,
        /// What is sent.
        messages: Vec<Bytes>,
    },
    /// The API behind the gateway, over the same connections as any call.
    Upstream(Box<UpstreamRead>),
}

/// A read of the API that the gateway makes for itself; see [`Cx::read_upstream`](crate::Cx::read_upstream).
#[derive(Debug)]
pub struct UpstreamRead {
    /// The right to send it.
    pub permit: Permit,
    /// What is sent.
    pub request: Request,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: Fields,
    /// The whole body, as it came on the wire.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupFailure {
    /// Connecting, TLS or HTTP failed.
    Unreachable(Cow<'static, str>),
    /// No whole answer in time.
    Timeout,
    /// The answer is larger than the lookup allows.
    TooLarge,
    /// The host must not ask there: cleartext, or no way to ask at all.
    Forbidden(Cow<'static, str>),
    /// Too many lookups are under way.
    Busy,
    /// In replay: the recording does not hold the answer.
    NotRecorded,
}

/// What came of a lookup.
pub type LookupResult = Result<Arc<Answer>, LookupFailure>;

/// A result, under its lookup's name.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) key: Box<str>,
    pub(crate) result: LookupResult,
}

impl LookupFailure {
    /// What went wrong, for the operator.
    pub fn reason(&self) -> &str {
        match self {
            LookupFailure::Unreachable(reason) | LookupFailure::Forbidden(reason) => reason,
            LookupFailure::Timeout => "no answer in time",
            LookupFailure::TooLarge => "the answer is too large",
            LookupFailure::Busy => "too many lookups are under way",
            LookupFailure::NotRecorded => "the recording does not hold the answer",
        }
    }

    /// The refusal of a call that cannot be decided without the answer: 503, to be tried again in a few seconds.
    pub fn denial(&self, purpose: &str) -> Denial {
        Denial::new(&code::LOOKUP_FAILED, format!("{purpose}: {}", self.reason()))
            .header(RETRY_AFTER, HeaderValue::from_static("5"))
    }
}

impl UpstreamRead {
    /// A GET of `target`, an origin-form that is canonical already, in the name of `request`'s sender: with its fields,
    /// save for those that are about a body, a range or a cached copy.
    pub(crate) fn new(request: &Request, id: crate::head::ExchangeId, target: &str) -> UpstreamRead {
        let mut headers = request.headers.clone();
        let about_body = |name: &str| {
            name.starts_with("content-")
                || name.starts_with("if-")
                || matches!(
                    name,
                    "range"
                        | "digest"
                        | "repr-digest"
                        | "te"
                        | "trailer"
                        | "accept-encoding"
                        | "idempotency-key"
                )
        };
        headers.retain(|name, _| !about_body(name.as_str()));
        let target = ByteString::from(target);
        let path_len = target.find('?').unwrap_or(target.len());
        let request = Request {
            method: Method::GET,
            target,
            path_len,
            authority: request.authority.clone(),
            scheme: request.scheme,
            version: request.version,
            headers,
            body: BodyLength::None,
            upgrade: None,
            origin: None,
            params: crate::routes::PathParams::default(),
        };
        UpstreamRead { permit: Permit { id, body: ForwardBody::None, upgrade: false }, request }
    }
}
