//! Cross-origin access, answered here.
//!
//! **What it does.** With `origins`, preflights are answered by the gateway (the API never sees them), responses get the
//! `Access-Control` fields of the configuration, and those of the API are taken away. An origin is let in by its exact
//! name or a pattern with `*` in the place of subdomains; never any origin together with credentials.
//!
//! Without configuration the API's own answers pass, save the dangerous ones: credentials allowed for `*`, for `null`,
//! or for whatever origin of another site asked. Of these the permission for credentials is taken away, and
//! `cors-unsafe` is found. If another site's pages are meant to use the API with cookies, list their origins.
//!
//! **The attack.** An API that mirrors whatever `Origin` asks lets any web page read what its visitor may read.
//! OWASP API8:2023; CWE-942, CWE-346.
//!
//! ```yaml
//! cors:
//!   origins: [https://app.example.com, "https://*.example.org"]
//!   headers: [Content-Type, Authorization]
//!   expose: [X-Request-Id]
//!   credentials: true
//!   max_age: 10m
//! ```
//!
//! `origins: []` lets no other origin in. `cors-refused` (403) answers a preflight of an origin that is not let in.

use std::sync::{Arc, OnceLock};

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use portcullis_engine::{
    BodyLength, Code, Cx, Denial, Fields, Guard, GuardError, Hooks, LocalReply, Period, Request, Stage,
    Verdict,
};
use portcullis_openapi::{Contract, Route};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    CORS_REFUSED = "cors-refused" 403 Api8 346 Low
        "this origin is not let in"
        attack "A web page of a stranger calls the API from its visitor's browser."
        client "Call from an origin that the API's operator has listed, or from a server."
        operator "Add the origin to `cors.origins`.";
    CORS_UNSAFE = "cors-unsafe" 502 Api8 942 High
        "the API lets any origin in with credentials"
        attack "Any web page reads what its visitor may read: the API mirrors the origin that asks, and allows cookies."
        client "Nothing: the API's operator has to act."
        operator "List the origins that may use credentials under `cors.origins`, with `credentials: true`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cors;

/// Cross-origin access.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "CorsGuard")]
pub(crate) struct Config {
    /// Who is let in: `https://app.example.com`, `https://*.example.com`, or `*` for everyone.
    origins: Option<Vec<String>>,
    /// Request headers that may be sent.
    headers: Vec<String>,
    /// Response headers that may be read.
    expose: Vec<String>,
    /// Whether cookies and other credentials may be sent.
    credentials: bool,
    /// How long a preflight's answer may be kept. Default `10m`.
    max_age: Period,
}

impl Default for Config {
    fn default() -> Self {
        let headers = ["Accept", "Authorization", "Content-Type"];
        Config {
            origins: None,
            headers: headers.map(str::to_owned).into(),
            expose: Vec::new(),
            credentials: false,
            max_age: Period::seconds(600),
        }
    }
}

/// By operation: who is let in. Complete once all operations are compiled.
pub(crate) type Table = Arc<OnceLock<Vec<Option<Arc<Policy>>>>>;

/// The method that a CORS preflight asks about (Fetch standard, "CORS-preflight request").
pub(crate) fn is_preflight(request: &Request) -> Option<&str> {
    if request.method != Method::OPTIONS
        || matches!(request.body, BodyLength::Exact(1..) | BodyLength::Unknown)
    {
        return None;
    }
    request.headers.get(header::ORIGIN)?;
    request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()
}

impl Protection for Cors {
    const NAME: &'static str = "cors";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let policy = Policy::read(config)?.map(Arc::new);
        let mut parts = Vec::new();
        let options = cx.operation.is_none_or(|(_, operation)| operation.method.as_str() == "OPTIONS");
        if let Some(contract) = cx.contract.filter(|_| options) {
            let table = Arc::clone(&cx.shared.cross_origin);
            parts
                .push(Part::new(Stage::Admit, Preflight::Contract { contract: Arc::clone(contract), table }));
        } else if let Some(policy) = policy.clone().filter(|_| options) {
            parts.push(Part::new(Stage::Admit, Preflight::Everywhere(policy)));
        }
        if let Some((index, _)) = cx.operation {
            cx.shared.cross_origin_of(index, policy.clone());
        }
        parts.push(match policy {
            Some(policy) => Part::new(Stage::Shape, Answer(policy)),
            None => Part::new(Stage::Shape, Disarm),
        });
        Ok(parts)
    }
}

/// Who is let in, compiled.
#[derive(Debug)]
pub(crate) struct Policy {
    any: bool,
    exact: Vec<String>,
    /// Scheme with `://`, and the end of the host with its dot.
    patterns: Vec<(String, String)>,
    credentials: bool,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

impl Policy {
    fn read(config: &Config) -> Result<Option<Policy>, Fault> {
        let Some(origins) = &config.origins else { return Ok(None) };
        let list = |names: &[String], key: &str| {
            for (index, name) in names.iter().enumerate() {
                HeaderName::try_from(name.as_str()).map_err(|_| {
                    Fault::new(format!("/{key}/{index}"), format!("`{name}` is no field name"))
                })?;
            }
            let joined = (!names.is_empty()).then(|| HeaderValue::from_str(&names.join(", ")));
            joined.transpose().map_err(|_| Fault::new(format!("/{key}"), "expected field names"))
        };
        let mut policy = Policy {
            any: false,
            exact: Vec::new(),
            patterns: Vec::new(),
            credentials: config.credentials,
            headers: list(&config.headers, "headers")?,
            expose: list(&config.expose, "expose")?,
            max_age: HeaderValue::from(config.max_age.0.as_secs()),
        };
        for (index, origin) in origins.iter().enumerate() {
            let fault = |message: &str| Err(Fault::new(format!("/origins/{index}"), message));
            let lower = origin.to_ascii_lowercase();
            if lower == "*" {
                if config.credentials {
                    return fault(
                        "every origin with credentials would let any web page read what its visitor may read: list the origins",
                    );
                }
                policy.any = true;
                continue;
            }
            let valid = |rest: &str| {
                !rest.is_empty()
                    && rest
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
            };
            match lower.split_once("://") {
                Some((scheme, rest)) if !scheme.is_empty() => match rest.strip_prefix('*') {
                    // A whole top-level domain is nobody's.
                    Some(end) if end.starts_with('.') && valid(end) && end.matches('.').count() >= 2 => {
                        policy.patterns.push((format!("{scheme}://"), end.to_owned()));
                    }
                    None if valid(rest) => policy.exact.push(lower),
                    _ => {
                        return fault(
                            "expected an origin, such as `https://app.example.com` or `https://*.example.com`",
                        );
                    }
                },
                _ => {
                    return fault(
                        "expected an origin with its scheme, such as `https://app.example.com`, or `*`",
                    );
                }
            }
        }
        Ok(Some(policy))
    }

    fn admits(&self, origin: &str) -> bool {
        let pattern = |(scheme, end): &(String, String)| {
            let host = origin.strip_prefix(scheme.as_str()).and_then(|rest| rest.strip_suffix(end.as_str()));
            host.is_some_and(|host| {
                !host.is_empty()
                    && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
            })
        };
        // Browsers send origins in lower case (RFC 6454 section 6.2).
        self.any || self.exact.iter().any(|known| known == origin) || self.patterns.iter().any(pattern)
    }

    /// Lets `origin` in.
    fn allow(&self, origin: &HeaderValue, headers: &mut Fields) {
        if self.any {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return;
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// Answers preflights.
#[derive(Debug)]
enum Preflight {
    /// By the operation that the preflight asks about.
    Contract { contract: Arc<Contract>, table: Table },
    /// There is no contract: one answer for all.
    Everywhere(Arc<Policy>),
}

impl Guard for Preflight {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let request = &*cx.request;
        let Some(method) = is_preflight(request) else { return Ok(Verdict::Pass) };
        let policy = match self {
            Preflight::Everywhere(policy) => Some(policy),
            Preflight::Contract { contract, table } => {
                match contract.route(method, request.path(), request.query()) {
                    Route::Found { operation, .. } => {
                        table.get().and_then(|table| table.get(operation)).and_then(Option::as_ref)
                    }
                    _ => None,
                }
            }
        };
        let (Some(policy), Some(origin)) = (policy, request.headers.get(header::ORIGIN)) else {
            return Ok(Verdict::Pass);
        };
        if !origin.to_str().is_ok_and(|origin| policy.admits(origin)) {
            return Ok(Denial::new(&CORS_REFUSED, "a preflight of an origin that is not listed").into());
        }
        let mut reply = LocalReply::empty(StatusCode::NO_CONTENT);
        policy.allow(origin, &mut reply.headers);
        if let Ok(method) = HeaderValue::from_str(method) {
            reply.headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        if let Some(headers) = &policy.headers {
            reply.headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
        reply.headers.insert(header::ACCESS_CONTROL_MAX_AGE, policy.max_age.clone());
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        reply.headers.insert(header::VARY, HeaderValue::from_static(vary));
        Ok(Verdict::Answer(Box::new(reply)))
    }
}

static FIELDS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// Sets the fields of the configuration in place of the API's.
#[derive(Debug)]
struct Answer(Arc<Policy>);

impl Guard for Answer {
    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if !cx.enforcing || cx.local_reply && is_preflight(cx.request).is_some() {
            return Ok(Verdict::Pass);
        }
        let origin = cx.request.headers.get(header::ORIGIN);
        let Some(response) = cx.response.as_deref_mut() else { return Ok(Verdict::Pass) };
        for name in &FIELDS {
            response.headers.remove(name);
        }
        if !self.0.any {
            response.headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|o| self.0.admits(o))) {
            self.0.allow(origin, &mut response.headers);
            if let Some(expose) = &self.0.expose {
                response.headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
            }
        }
        Ok(Verdict::Pass)
    }
}

/// Takes credentials away from answers that would give them to anyone.
#[derive(Debug)]
struct Disarm;

impl Guard for Disarm {
    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some(response) = cx.response.as_deref_mut() else { return Ok(Verdict::Pass) };
        let credentials = response.headers.get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        if !credentials.is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"true")) {
            return Ok(Verdict::Pass);
        }
        let allowed = response.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes);
        let asked = cx.request.headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
        let reason = match allowed {
            Some(b"*") => "credentials are allowed for `*`",
            Some(b"null") => "credentials are allowed for `null`, which any sandboxed page is",
            Some(origin) if Some(origin) == asked && !same_site(origin, cx.request.authority.as_bytes()) => {
                "credentials are allowed for the origin of another site"
            }
            _ => return Ok(Verdict::Pass),
        };
        if cx.enforcing {
            response.headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        }
        cx.correct(&CORS_UNSAFE, reason);
        Ok(Verdict::Pass)
    }
}

/// Whether an origin and an authority belong to one site: the same host, or the same last labels. Without a list of
/// public suffixes three labels count where the second is short (`co.uk`), else two.
fn same_site(origin: &[u8], authority: &[u8]) -> bool {
    let host = |text: &[u8]| -> Option<String> {
        let text = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
        let text = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
        let end = text.rfind(':').filter(|at| !text.get(*at..).unwrap_or_default().contains(']'));
        Some(text.get(..end.unwrap_or(text.len()))?.to_owned())
    };
    let (Some(origin), Some(authority)) = (host(origin), host(authority)) else { return false };
    if origin == authority {
        return true;
    }
    let loopback = |host: &str| host == "localhost" || host.starts_with("127.") || host == "[::1]";
    if loopback(&origin) && loopback(&authority) {
        return true;
    }
    let site = |host: &str| -> Option<String> {
        if host.starts_with('[') || host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return None;
        }
        let labels: Vec<&str> = host.rsplit('.').collect();
        let short = labels.get(1).is_some_and(|second| second.len() <= 3);
        let wanted = if short && labels.first().is_some_and(|top| top.len() == 2) { 3 } else { 2 };
        let site = labels.get(..wanted)?;
        Some(site.join("."))
    };
    matches!((site(&origin), site(&authority)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
#[path = "cors_tests.rs"]
mod tests;
