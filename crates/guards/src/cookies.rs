//! Cookies, hardened on their way out.
//!
//! **What it does.** Every `Set-Cookie` of the API gets `Secure` (over TLS), `HttpOnly` and `SameSite=Lax`, where it
//! does not say otherwise. Cookies that scripts are meant to read (`XSRF-TOKEN`, `csrftoken`, and those listed) keep
//! out of `HttpOnly`. `SameSite=None` without `Secure` becomes both; a `__Host-` cookie gets `Path=/` and loses its
//! `Domain`, without which browsers drop it (RFC 6265bis section 4.1.3).
//!
//! **The attack.** A session cookie read by an injected script, sent over cleartext, or sent along by another site.
//! OWASP API8:2023, API2:2023; CWE-614, CWE-1004, CWE-1275.
//!
//! ```yaml
//! cookies:
//!   same_site: strict        # lax, strict, none or off
//!   readable: [theme]        # beside the usual ones
//!   http_only: true
//!   secure: true
//! ```
//!
//! In monitor mode nothing is changed; `cookie-weak` says what would be.

use http::header::{self, HeaderValue};
use portcullis_engine::{Code, Cx, Guard, GuardError, Hooks, Scheme, Stage, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    COOKIE_WEAK = "cookie-weak" 502 Api8 1004 Low
        "the API sets a cookie without protection"
        attack "A session cookie that scripts can read, that travels in cleartext, or that other sites can make a browser send."
        client "Nothing: the API's operator has to act."
        operator "Have the API set `Secure`, `HttpOnly` and `SameSite`, or let the `cookies` guard do it in enforce mode.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cookies;

/// Cookies, hardened.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "CookiesGuard")]
pub(crate) struct Config {
    /// Whether cookies get `Secure` over TLS.
    secure: bool,
    /// Whether cookies get `HttpOnly`.
    http_only: bool,
    /// The `SameSite` of cookies that have none.
    same_site: SameSite,
    /// Names of cookies that scripts are meant to read.
    readable: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SameSite {
    Lax,
    Strict,
    None,
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Config { secure: true, http_only: true, same_site: SameSite::Lax, readable: Vec::new() }
    }
}

/// What the names of cookies contain that frameworks give to scripts on purpose, to be sent back in a header or form:
/// `XSRF-TOKEN`, `csrftoken`, `_xsrf`.
const READABLE: [&[u8]; 2] = [b"csrf", b"xsrf"];

impl Protection for Cookies {
    const NAME: &'static str = "cookies";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, _: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        Ok(vec![Part::new(Stage::Shape, Harden(config.clone()))])
    }
}

#[derive(Debug)]
struct Harden(Config);

impl Guard for Harden {
    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let tls = cx.request.scheme == Scheme::Https;
        let Some(response) = cx.response.as_deref_mut() else { return Ok(Verdict::Pass) };
        if !response.headers.contains_key(header::SET_COOKIE) {
            return Ok(Verdict::Pass);
        }
        let mut weak = None;
        for value in response.headers.get_all(header::SET_COOKIE) {
            if harden(value.as_bytes(), &self.0, tls).is_some() {
                let name = value.as_bytes().split(|&b| b == b'=').next().unwrap_or_default();
                weak = Some(
                    String::from_utf8_lossy(name.get(..name.len().min(64)).unwrap_or_default()).into_owned(),
                );
                break;
            }
        }
        let Some(weak) = weak else { return Ok(Verdict::Pass) };
        if !cx.enforcing {
            cx.find(&COOKIE_WEAK, format!("the cookie `{weak}` lacks attributes"));
            return Ok(Verdict::Pass);
        }
        let cookies = response.headers.iter_mut().filter(|(name, _)| **name == header::SET_COOKIE);
        for (_, value) in cookies {
            if let Some(hardened) = harden(value.as_bytes(), &self.0, tls) {
                *value = HeaderValue::from_bytes(&hardened)
                    .map_err(|_| GuardError("a cookie could not be rewritten".into()))?;
            }
        }
        Ok(Verdict::Pass)
    }
}

/// The hardened form of a `Set-Cookie` value; `None` where it is hard enough.
fn harden(value: &[u8], config: &Config, tls: bool) -> Option<Vec<u8>> {
    let mut parts = value.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    let pair = parts.next()?;
    let name = pair.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii();
    let starts = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|n| n.eq_ignore_ascii_case(prefix));
    let (host, secure_prefix) = (starts(b"__Host-"), starts(b"__Secure-"));
    let mut out = pair.to_vec();
    let mut changed = false;
    let (mut secure, mut http_only, mut same_site, mut path, mut cross) = (false, false, false, false, false);
    for attribute in parts {
        let mut halves = attribute.splitn(2, |&b| b == b'=');
        let key = halves.next().unwrap_or_default().trim_ascii();
        let text = halves.next().unwrap_or_default().trim_ascii();
        let is = |word: &str| key.eq_ignore_ascii_case(word.as_bytes());
        if is("secure") {
            secure = true;
        } else if is("httponly") {
            http_only = true;
        } else if is("samesite") {
            same_site = true;
            cross = text.eq_ignore_ascii_case(b"none");
        } else if host && (is("domain") || is("path") && text != b"/") {
            changed = true;
            continue;
        } else if is("path") {
            path = true;
        }
        if !attribute.is_empty() {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(attribute);
        }
    }
    let mut add = |attribute: &[u8]| {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(attribute);
        changed = true;
    };
    if host && !path {
        add(b"Path=/");
    }
    if !same_site {
        match config.same_site {
            SameSite::Lax => add(b"SameSite=Lax"),
            SameSite::Strict => add(b"SameSite=Strict"),
            SameSite::None => {
                add(b"SameSite=None");
                cross = true;
            }
            SameSite::Off => {}
        }
    }
    // Browsers drop a cookie that says `SameSite=None` or has such a prefix, and is not `Secure`.
    let demanded = tls && (host || secure_prefix || cross);
    if !secure && (demanded || tls && config.secure) {
        add(b"Secure");
    }
    let readable = || {
        let has = |part: &[u8]| name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
        READABLE.into_iter().any(has) || config.readable.iter().any(|known| known.as_bytes() == name)
    };
    if !http_only && config.http_only && !readable() {
        add(b"HttpOnly");
    }
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hard(value: &str, tls: bool) -> Option<String> {
        harden(value.as_bytes(), &Config::default(), tls).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn cookies_are_hardened() {
        for (given, tls, expected) in [
            ("sid=1", true, Some("sid=1; SameSite=Lax; Secure; HttpOnly")),
            ("sid=1", false, Some("sid=1; SameSite=Lax; HttpOnly")),
            ("sid=1; Path=/; secure; HTTPONLY; samesite=strict", true, None),
            ("sid=1; HttpOnly; SameSite=Lax", false, None),
            ("a=b; SameSite=None", true, Some("a=b; SameSite=None; Secure; HttpOnly")),
            ("XSRF-TOKEN=x; SameSite=Lax; Secure", true, None),
            ("_xsrf=2|a|b; SameSite=Lax", false, None),
            ("my_CsrfToken=x; SameSite=Lax", false, None),
            ("sid=csrf; SameSite=Lax", false, Some("sid=csrf; SameSite=Lax; HttpOnly")),
            (
                "__Host-s=1; Domain=a.com; Path=/x; Secure; HttpOnly; SameSite=Lax",
                true,
                Some("__Host-s=1; Secure; HttpOnly; SameSite=Lax; Path=/"),
            ),
            (
                "__Secure-s=1; HttpOnly; SameSite=Lax",
                true,
                Some("__Secure-s=1; HttpOnly; SameSite=Lax; Secure"),
            ),
            ("v=a=b==; Max-Age=5;", true, Some("v=a=b==; Max-Age=5; SameSite=Lax; Secure; HttpOnly")),
            ("", true, Some("; SameSite=Lax; Secure; HttpOnly")),
            // An attribute's name in the value is no attribute.
            ("x=secure", true, Some("x=secure; SameSite=Lax; Secure; HttpOnly")),
        ] {
            assert_eq!(hard(given, tls).as_deref(), expected, "{given}");
            if let Some(once) = hard(given, tls) {
                assert_eq!(hard(&once, tls), None, "hardening twice is hardening once: {given}");
            }
        }
    }
}
