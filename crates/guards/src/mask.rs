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
//! With `failures: alike`, for a log-in or a reset, every failure becomes the same 401: none says whether it was the name
//! or the password. Where the API answers failures with 200, `success: /token` says what only a success has.
//!
//! `Retry-After`, `WWW-Authenticate`, `Allow` and the fields of CORS, cookies and rate limits are kept.

mod detect;

use http::StatusCode;
use http::header::{self, HeaderName};
use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Fields, Guard, GuardError, Hooks, LocalReply, Masked, MediaType, Stage, Verdict,
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
    FAILURE_MASKED = "failure-masked" 401 Api2 204 Low
        "that did not work"
        attack "Answers to failed log-ins tell which users exist, and which of the two was wrong."
        client "Check user name and password."
        operator "`portcullis log` with the reference shows what the API said. `mask.failures: pass` lets its own words through.";
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
    /// What becomes of the API's own failures (4xx) that show nothing of its inside.
    failures: Failures,
    /// With `failures: alike`: a member that only a success has, as a JSON pointer. Other answers below 400 are failures,
    /// too; the client gets 401 for them.
    success: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Failures {
    /// They pass as they are.
    #[default]
    Pass,
    /// All look the same, so that none says which user exists.
    Alike,
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
        Config {
            server_errors: ServerErrors::All,
            kinds: Kind::ALL.into(),
            failures: Failures::Pass,
            success: None,
        }
    }
}

impl Protection for Mask {
    const NAME: &'static str = "mask";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, _: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        if config.success.as_deref().is_some_and(|pointer| !pointer.starts_with('/')) {
            return Err(Fault::new("/success", "expected a JSON pointer, such as `/token`"));
        }
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
            Some(response) if self.0.failures == Failures::Alike && self.0.success.is_some() => {
                let kind = response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                match kind.is_some_and(|text| MediaType { text }.is_json()) {
                    true => BodyNeed::Parsed,
                    false => BodyNeed::Bytes,
                }
            }
            _ => BodyNeed::Nothing,
        }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(response) = cx.response.as_deref() else { return Ok(Verdict::Pass) };
        let status = response.status;
        if status.as_u16() < 400 {
            let succeeded =
                |pointer: &str| body.json().is_some_and(|document| document.pointer(pointer).is_some());
            return Ok(match self.0.success.as_deref().is_none_or(succeeded) {
                true => Verdict::Pass,
                false => alike(status, cx, body),
            });
        }
        let leak = detect::leak(body.bytes(), &self.0.kinds);
        let server_error = status.is_server_error() && self.0.server_errors == ServerErrors::All;
        let (code, reason) = match leak {
            Some(kind) if status.is_server_error() => (&ERROR_MASKED, kind.reason()),
            Some(kind) => (&DETAIL_MASKED, kind.reason()),
            None if server_error => (&ERROR_MASKED, "a server error"),
            None if self.0.failures == Failures::Alike && !status.is_server_error() => {
                return Ok(alike(status, cx, body));
            }
            None => return Ok(Verdict::Pass),
        };
        let reply = reply(status, code, &response.headers, cx);
        keep(status, cx, body);
        // A clean 5xx is no finding against the API: it is in the record as what it is.
        if leak.is_some() || !cx.enforcing {
            cx.correct(code, reason);
        }
        Ok(Verdict::Answer(Box::new(reply)))
    }
}

/// One answer for every failure: its status, its words and its fields say nothing of what was wrong.
fn alike(said: StatusCode, cx: &mut Cx<'_>, body: &Body) -> Verdict {
    let reply = reply(StatusCode::UNAUTHORIZED, &FAILURE_MASKED, &Fields::new(), cx);
    keep(said, cx, body);
    cx.correct(&FAILURE_MASKED, "a failure that could say which users exist");
    Verdict::Answer(Box::new(reply))
}

/// Keeps what the API said, for the operator.
fn keep(status: StatusCode, cx: &mut Cx<'_>, body: &Body) {
    if cx.enforcing {
        let start = body.bytes().get(..body.bytes().len().min(EXCERPT)).unwrap_or_default();
        cx.mask(Masked { status, excerpt: String::from_utf8_lossy(start).into() });
    }
}

fn reply(status: StatusCode, code: &'static Code, from: &Fields, cx: &Cx<'_>) -> LocalReply {
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
