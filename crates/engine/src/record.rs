//! Records: what is kept of an exchange after it ended.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytestring::ByteString;
use http::header;
use http::{HeaderValue, Method, StatusCode, Version};
use smallvec::SmallVec;

use crate::code::Code;
use crate::engine::EngineRef;
use crate::facts::Principal;
use crate::fields::Fields;
use crate::guard::Finding;
use crate::head::{ExchangeId, Now};
use crate::plan::OperationInfo;

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It went to the upstream, and the answer to the client.
    Permitted,
    /// It was refused on the way in: nothing reached the upstream.
    Refused {
        /// The code of the refusal.
        code: &'static Code,
        /// The guard that refused, or `protocol` for the host and the engine themselves.
        guard: &'static str,
        /// What exactly, for the operator.
        reason: Cow<'static, str>,
    },
    /// The upstream got it, but its answer was withheld.
    Withheld {
        /// The code of the refusal.
        code: &'static Code,
        /// The guard that refused.
        guard: &'static str,
        /// What exactly, for the operator.
        reason: Cow<'static, str>,
    },
    /// The gateway answered by itself (a CORS preflight).
    Answered {
        /// The guard that did.
        guard: &'static str,
    },
}

impl Decision {
    /// The refusal's code, guard and reason, where there is one.
    pub fn refusal(&self) -> Option<(&'static Code, &'static str, &str)> {
        match self {
            Decision::Refused { code, guard, reason } | Decision::Withheld { code, guard, reason } => {
                Some((code, guard, reason))
            }
            Decision::Permitted | Decision::Answered { .. } => None,
        }
    }

    /// One word for logs: `permitted`, `refused`, `withheld`, `answered`.
    pub fn word(&self) -> &'static str {
        match self {
            Decision::Permitted => "permitted",
            Decision::Refused { .. } => "refused",
            Decision::Withheld { .. } => "withheld",
            Decision::Answered { .. } => "answered",
        }
    }
}

/// How the exchange ended on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client was handed the whole answer.
    Complete,
    /// The client went away before.
    ClientGone,
    /// The upstream's answer broke off after its head was passed on.
    UpstreamBroke,
    /// The host stopped: drain deadline, stall deadline.
    Cut,
}

impl End {
    /// One word for logs.
    pub fn word(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::ClientGone => "client-gone",
            End::UpstreamBroke => "upstream-broke",
            End::Cut => "cut",
        }
    }
}

/// What an upstream's error said before it was masked.
#[derive(Debug, Clone)]
pub struct Masked {
    /// The upstream's status.
    pub status: StatusCode,
    /// The start of its body, bounded, lossy UTF-8.
    pub excerpt: Box<str>,
}

/// What the host adds when an exchange ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The status that was sent.
    pub status: StatusCode,
    /// How it ended.
    pub end: End,
    /// Body bytes received from the client.
    pub bytes_in: u64,
    /// Body bytes handed to the client.
    pub bytes_out: u64,
    /// The upstream instance that answered.
    pub upstream: Option<Arc<str>>,
    /// Nanoseconds from sending the request upstream to its response head.
    pub upstream_ns: Option<u64>,
    /// The moment of the end.
    pub now: Now,
}

/// What is kept of an exchange: who, which operation, what was decided and by what, how long it took. Never a
/// secret; never a body, save for a masked error's excerpt.
#[derive(Debug)]
pub struct Record {
    /// Names the exchange; the `reference` of a refusal.
    pub id: ExchangeId,
    /// When its head was read.
    pub began: Now,
    /// Nanoseconds until the end.
    pub duration_ns: u64,
    /// The client's address.
    pub client: IpAddr,
    /// The method.
    pub method: Method,
    pub(crate) target: ByteString,
    pub(crate) path_len: usize,
    pub(crate) query: Option<ByteString>,
    /// The authority that was asked for.
    pub authority: HeaderValue,
    /// The protocol version.
    pub version: Version,
    pub(crate) headers: Fields,
    pub(crate) engine: EngineRef,
    pub(crate) plan: Option<usize>,
    /// Who called.
    pub principal: Option<Arc<Principal>>,
    /// What was decided.
    pub decision: Decision,
    /// All that guards saw, enforced or not.
    pub findings: SmallVec<[Finding; 1]>,
    /// The status that the client got.
    pub status: StatusCode,
    /// How it ended.
    pub end: End,
    /// Body bytes in.
    pub bytes_in: u64,
    /// Body bytes out.
    pub bytes_out: u64,
    /// The upstream instance.
    pub upstream: Option<Arc<str>>,
    /// Nanoseconds that the upstream took to its response head.
    pub upstream_ns: Option<u64>,
    /// The trace.
    pub trace_id: u128,
    /// What an error said before it was masked.
    pub masked: Option<Box<Masked>>,
}

impl Record {
    /// The operation; none for a request that matched none.
    pub fn operation(&self) -> Option<&OperationInfo> {
        self.engine.plan(self.plan).operation()
    }

    /// The request's content type.
    pub fn content_type(&self) -> Option<&HeaderValue> {
        self.headers.get(header::CONTENT_TYPE)
    }

    /// The client's `User-Agent`.
    pub fn user_agent(&self) -> Option<&HeaderValue> {
        self.headers.get(header::USER_AGENT)
    }

    /// The request's fields, as an allocation to use again.
    pub fn into_fields(self) -> Fields {
        self.headers
    }

    /// The canonical path (the raw one, escaped and cut, where it was refused for its form).
    pub fn path(&self) -> &str {
        self.target.get(..self.path_len).unwrap_or_default()
    }

    /// The query, values of secret-looking parameters replaced by `***`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
}

/// Who is told of every exchange: the event log, metrics, the access log. Called on the worker's thread before
/// the client can see the end of the response; must not block.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// Takes note.
    fn observe(&self, record: &Record);
}

impl Observer for () {
    fn observe(&self, _: &Record) {}
}
