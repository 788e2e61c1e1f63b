//! Security fields of every response, and no banner.
//!
//! **What it does.** Sets the fields that tell a browser to be careful, where the API does not set them itself:
//!
//! | field | value | when |
//! |---|---|---|
//! | `Strict-Transport-Security` | `max-age=31536000; includeSubDomains` | over TLS |
//! | `X-Content-Type-Options` | `nosniff` | always |
//! | `Content-Security-Policy` | `default-src 'none'; frame-ancestors 'none'` | unless the response is HTML |
//! | `Referrer-Policy` | `no-referrer` | always |
//! | `Cache-Control` | `no-store` | the caller proved who they are, or a cookie is set, and the API says nothing about caching |
//!
//! Removes what names the software behind: `Server`, `X-Powered-By`, `X-AspNet-Version`, `X-AspNetMvc-Version`,
//! `X-Runtime`, `X-Generator`, `X-Drupal-Cache`, `X-Varnish`, `Via` and their kin.
//!
//! **The attack.** A JSON answer that a browser is talked into running as a page; a private answer left in a
//! shared cache; a downgrade to cleartext; a version banner looked up in a list of known holes.
//! OWASP API8:2023, CWE-693, CWE-525, CWE-200.
//!
//! **Configuration.** Each field may be given another value, or `off`.
//!
//! ```yaml
//! headers:
//!   hsts: max-age=63072000; includeSubDomains; preload
//!   content_security_policy: off
//!   remove: [X-Backend-Server]      # beside the usual ones
//!   keep: [Via]                     # of the usual ones
//!   set: { X-Frame-Options: DENY }  # whatever the API says
//! ```
//!
//! It refuses nothing and has no codes.

use std::collections::BTreeMap;

use http::header::{self, HeaderName, HeaderValue};
use portcullis_engine::{Cx, Guard, GuardError, Hooks, Scheme, Stage, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::protection::{CompileCx, Fault, Part, Protection};

/// See the module.
#[derive(Debug)]
pub(crate) struct Headers;

/// Security fields of responses.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "HeadersGuard")]
pub(crate) struct Config {
    /// `Strict-Transport-Security`, over TLS only; or `off`.
    hsts: Setting,
    /// `X-Content-Type-Options`; or `off`.
    content_type_options: Setting,
    /// `Content-Security-Policy` of everything but HTML; or `off`.
    content_security_policy: Setting,
    /// `Referrer-Policy`; or `off`.
    referrer_policy: Setting,
    /// `Cache-Control` of private answers that say nothing about caching; or `off`.
    cache_control: Setting,
    /// Further fields to remove.
    remove: Vec<String>,
    /// Fields not to remove, of those that usually are.
    keep: Vec<String>,
    /// Fields to set, whatever the API says.
    set: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        let on = |value: &str| Setting(Some(value.to_owned()));
        Config {
            hsts: on("max-age=31536000; includeSubDomains"),
            content_type_options: on("nosniff"),
            content_security_policy: on("default-src 'none'; frame-ancestors 'none'"),
            referrer_policy: on("no-referrer"),
            cache_control: on("no-store"),
            remove: Vec::new(),
            keep: Vec::new(),
            set: BTreeMap::new(),
        }
    }
}

/// A field's value, or `off`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "String")]
struct Setting(Option<String>);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Switch(bool),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Text(text)) => Ok(Setting((text != "off").then_some(text))),
            Ok(Written::Switch(false)) => Ok(Setting(None)),
            _ => Err(serde::de::Error::custom("expected the field's value, or `off`")),
        }
    }
}

/// Fields that name software, versions or hosts behind the gateway.
const BANNERS: [&str; 20] = [
    "server",
    "x-powered-by",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-powered-by-plesk",
    "x-runtime",
    "x-version",
    "x-generator",
    "x-drupal-cache",
    "x-drupal-dynamic-cache",
    "x-varnish",
    "x-backend-server",
    "x-served-by",
    "x-server",
    "x-server-name",
    "x-mod-pagespeed",
    "x-page-speed",
    "x-debug-token",
    "x-debug-token-link",
    "via",
];

/// Names to look for in every response. A response has few of them: most are told apart by first letter and length.
#[derive(Debug)]
struct Names {
    names: Box<[HeaderName]>,
    /// By first letter: which lengths there are, one bit each.
    lengths: [u32; 128],
}

impl Names {
    fn new(names: Vec<HeaderName>) -> Names {
        let mut lengths = [0; 128];
        for name in &names {
            let (first, bit) = Names::mark(name);
            if let Some(lengths) = lengths.get_mut(first) {
                *lengths |= bit;
            }
        }
        Names { names: names.into(), lengths }
    }

    fn mark(name: &HeaderName) -> (usize, u32) {
        let text = name.as_str();
        (usize::from(text.bytes().next().unwrap_or(0)), 1 << text.len().min(31))
    }

    fn find(&self, name: &HeaderName) -> Option<&HeaderName> {
        let (first, bit) = Names::mark(name);
        let maybe = self.lengths.get(first).is_some_and(|lengths| lengths & bit != 0);
        if maybe { self.names.iter().find(|known| *known == name) } else { None }
    }
}

#[derive(Debug)]
struct Shape {
    hsts: Option<HeaderValue>,
    nosniff: Option<HeaderValue>,
    csp: Option<HeaderValue>,
    referrer: Option<HeaderValue>,
    cache: Option<HeaderValue>,
    remove: Names,
    set: Box<[(HeaderName, HeaderValue)]>,
}

impl Protection for Headers {
    const NAME: &'static str = "headers";
    const CODES: &'static [&'static portcullis_engine::Code] = &[];
    type Config = Config;

    fn compile(config: &Config, _: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let value = |setting: &Setting, key: &str| match &setting.0 {
            None => Ok(None),
            Some(text) => HeaderValue::from_str(text)
                .map(Some)
                .map_err(|_| Fault::new(format!("/{key}"), "expected visible ASCII characters")),
        };
        let name = |text: &str, place: String| {
            HeaderName::try_from(text).map_err(|_| Fault::new(place, format!("`{text}` is no field name")))
        };
        let mut keep = Vec::new();
        for (index, text) in config.keep.iter().enumerate() {
            keep.push(name(text, format!("/keep/{index}"))?);
        }
        let mut remove: Vec<HeaderName> =
            BANNERS.into_iter().map(HeaderName::from_static).filter(|name| !keep.contains(name)).collect();
        for (index, text) in config.remove.iter().enumerate() {
            remove.push(name(text, format!("/remove/{index}"))?);
        }
        let mut set = Vec::new();
        for (field, text) in &config.set {
            let place = format!("/set/{}", crate::config::escape(field));
            let value = HeaderValue::from_str(text)
                .map_err(|_| Fault::new(place.clone(), "expected visible ASCII characters"))?;
            set.push((name(field, place)?, value));
        }
        let shape = Shape {
            hsts: value(&config.hsts, "hsts")?,
            nosniff: value(&config.content_type_options, "content_type_options")?,
            csp: value(&config.content_security_policy, "content_security_policy")?,
            referrer: value(&config.referrer_policy, "referrer_policy")?,
            cache: value(&config.cache_control, "cache_control")?,
            remove: Names::new(remove),
            set: set.into(),
        };
        Ok(vec![Part::new(Stage::Shape, shape)])
    }
}

impl Guard for Shape {
    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if !cx.enforcing {
            return Ok(Verdict::Pass);
        }
        let private = cx.facts.principal.is_some() || cx.request.headers.contains_key(header::AUTHORIZATION);
        let tls = cx.request.scheme == Scheme::Https;
        let Some(response) = cx.response.as_deref_mut() else { return Ok(Verdict::Pass) };
        let headers = &mut response.headers;
        headers.retain(|name, _| self.remove.find(name).is_none());
        let html = headers.get(header::CONTENT_TYPE).is_some_and(|value| {
            let essence = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"text/html")
                || essence.trim_ascii().eq_ignore_ascii_case(b"application/xhtml+xml")
        });
        headers.reserve(6);
        let mut unless_set = |name: HeaderName, value: &Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert_absent(&name, value);
            }
        };
        if tls {
            unless_set(header::STRICT_TRANSPORT_SECURITY, &self.hsts);
        }
        if !html {
            unless_set(header::CONTENT_SECURITY_POLICY, &self.csp);
        }
        unless_set(header::REFERRER_POLICY, &self.referrer);
        // Whatever else stands there is no protection.
        if let Some(value) = &self.nosniff {
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, value.clone());
        }
        let silent = !headers.contains_key(header::CACHE_CONTROL)
            && !headers.contains_key(header::EXPIRES)
            && !headers.contains_key(header::PRAGMA);
        if silent
            && (private || headers.contains_key(header::SET_COOKIE))
            && let Some(value) = &self.cache
        {
            headers.insert(header::CACHE_CONTROL, value.clone());
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
