//! Errors of the API that tell too much, replaced by clean ones.
//!
//! **What it does.** A response with status 500 or above, and any other error (400 and above) whose body shows a stack
//! trace, SQL, a path of the server, a version, an internal address or a framework's debug page, is replaced by a
//! problem (RFC 9457) with the same status and a reference. What the API said goes to the record, cut to 2 KiB, where
//! `portcullis log REFERENCE` shows it. Ordinary errors (validation messages, "not found") pass as they are.
//!
//! **The attack.** Error messages are a map: the framework and its version to look up, the query to inject into, the
//! folders to reach, the names of tables and hosts.
//! OWASP API8:2023; CWE-209, CWE-550, CWE-497.
//!
//! ```yaml
//! mask:
//!   server_errors: all       # or: leaking — 5xx answers too pass where they show nothing
//!   kinds: [stack_trace, sql, path, version, debug_page, internals]   # all of them
//! ```
//!
//! `Retry-After`, `WWW-Authenticate`, `Allow` and the fields of CORS, cookies and rate limits are kept.

mod detect;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};
use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Guard, GuardError, Hooks, LocalReply, Masked, Stage, Verdict,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::protection::{CompileCx, Fault, Part, Protection};
use detect::Kind;

codes! {
    ERROR_MASKED = "error-masked" 500 Api8 209 Low
        "the API could not handle the request"
        attack "Server errors, provoked on purpose, describe the inside of the API."
        client "Retry later; report the reference to the API's operator."
        operator "`portcullis log` with the reference shows what the API said. `mask.server_errors: leaking` lets clean ones pass.";
    DETAIL_MASKED = "detail-masked" 400 Api8 209 Medium
        "the API refused the request"
        attack "Error messages with stack traces, SQL, paths or versions tell an attacker what to try next."
        client "Check the request against the API's documentation; report the reference to the API's operator."
        operator "`portcullis log` with the reference shows what the API said; have it say less.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mask;

/// Error masking.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "MaskGuard")]
pub(crate) struct Config {
    /// Which answers with status 500 and above are replaced.
    server_errors: ServerErrors,
    /// What makes an error tell too much.
    kinds: Vec<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ServerErrors {
    /// All of them.
    All,
    /// Those that tell too much.
    Leaking,
}

impl Default for Config {
    fn default() -> Self {
        Config { server_errors: ServerErrors::All, kinds: Kind::ALL.into() }
    }
}

impl Protection for Mask {
    const NAME: &'static str = "mask";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, _: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        detect::prepare();
        // Last of the response's judges, first of its shapers: what others withhold needs no mask.
        Ok(vec![Part::new(Stage::Inspect, Errors(config.clone()))])
    }
}

#[derive(Debug)]
struct Errors(Config);

/// Bytes of an error that the record keeps.
const EXCERPT: usize = 2048;

/// Fields that still mean something without the body they came with.
static KEPT: [HeaderName; 11] = [
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    header::ALLOW,
    header::SET_COOKIE,
    header::VARY,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
];

impl Guard for Errors {
    fn hooks(&self) -> Hooks {
        Hooks { response_body: true, ..Hooks::default() }
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        match cx.response.as_deref() {
            Some(response) if response.status.as_u16() >= 400 => BodyNeed::Bytes,
            _ => BodyNeed::Nothing,
        }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(response) = cx.response.as_deref() else { return Ok(Verdict::Pass) };
        let status = response.status;
        let leak = detect::leak(body.bytes(), &self.0.kinds);
        let server_error = status.is_server_error() && self.0.server_errors == ServerErrors::All;
        let (code, reason) = match leak {
            Some(kind) if status.is_server_error() => (&ERROR_MASKED, kind.reason()),
            Some(kind) => (&DETAIL_MASKED, kind.reason()),
            None if server_error => (&ERROR_MASKED, "a server error"),
            None => return Ok(Verdict::Pass),
        };
        let reply = reply(status, code, &response.headers, cx);
        if cx.enforcing {
            let start = body.bytes().get(..body.bytes().len().min(EXCERPT)).unwrap_or_default();
            cx.mask(Masked { status, excerpt: String::from_utf8_lossy(start).into() });
        }
        // A clean 5xx is no finding against the API: it is in the record as what it is.
        if leak.is_some() || !cx.enforcing {
            cx.correct(code, reason);
        }
        Ok(Verdict::Answer(Box::new(reply)))
    }
}

fn reply(status: StatusCode, code: &'static Code, from: &HeaderMap, cx: &Cx<'_>) -> LocalReply {
    let mut reply = LocalReply::problem_as(status, code, None, &[], cx.id);
    for name in &KEPT {
        for value in from.get_all(name) {
            reply.headers.append(name.clone(), value.clone());
        }
    }
    reply
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
