//! URLs that a client hands to the API to fetch from.
//!
//! **What it does.** Reads the values of the places in `parameters`, and of parameters and members whose name says that
//! they carry a URL (`url`, `callback_uri`, `webhook`, …), as every client would read them, and refuses what leads
//! inside: private, loopback, link-local and metadata addresses in every notation (decimal, octal, hexadecimal,
//! IPv4 in IPv6, full-width digits), names inside, user names in URLs, schemes other than `http` and `https`, and
//! what two clients could read in two ways. With `allow`, the places in `parameters` may lead only where the list
//! says. A value of a place that nobody named is judged only if it is a whole URL.
//!
//! **The attack.** A picture to import, a webhook to call: the API fetches what the client says, from inside the
//! network, where the cloud's metadata, the database's port and everything without a password live.
//! OWASP API7:2023; CWE-918.
//!
//! ```yaml
//! policies:
//!   - match: { operation: addWebhook }
//!     ssrf:
//!       parameters: [body./callback, query.image]
//!       allow: ["https://*.example.com", "https://hooks.partner.example:8443/in/**"]
//! ```
//!
//! A host inside may be allowed by its whole name (`http://billing:9000`). What a name resolves to when the API asks,
//! and where a redirect leads, is decided later than a gateway in front can see: let the API's own calls leave through
//! `portcullis egress`.

use std::ops::ControlFlow;

use portcullis_engine::{Body, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, Stage, Verdict};
use portcullis_inspect::leaves::{self, Format, Leaf, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::media::is_opaque;
use crate::place::{PathParameter, Place, member_name};
use crate::protection::{CompileCx, Fault, Part, Protection};

pub(crate) mod url;

codes! {
    URL_REFUSED = "url-refused" 403 Api7 918 High
        "a URL leads where it must not"
        attack "The API is made to fetch from inside its own network: cloud metadata, databases, admin pages."
        client "Give a public http or https URL, without a user name in it."
        operator "If it is meant to be fetched, add it to `ssrf.allow`; if the field is no URL that the API fetches, \
                  add its place to `ssrf.ignore`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ssrf;

/// URLs that clients send.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "SsrfGuard")]
pub(crate) struct Config {
    /// Places whose values are URLs that the API fetches.
    parameters: Vec<Place>,
    /// Where they may lead; empty means everywhere outside.
    allow: Vec<url::Allowed>,
    /// Schemes that they may have. Default http and https.
    schemes: Vec<Box<str>>,
    /// Whether places whose name says that they carry a URL are judged, too. Default true.
    names: bool,
    /// Places that are not judged.
    ignore: Vec<Place>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            parameters: Vec::new(),
            allow: Vec::new(),
            schemes: vec!["http".into(), "https".into()],
            names: true,
            ignore: Vec::new(),
        }
    }
}

impl Protection for Ssrf {
    const NAME: &'static str = "ssrf";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        if config.allow.is_empty() && config.parameters.is_empty() && !config.names {
            return Ok(Vec::new());
        }
        if !config.allow.is_empty() && config.parameters.is_empty() {
            return Err(Fault::new(
                "/allow",
                "says where URLs may lead, but `parameters` names no place that has one",
            ));
        }
        let mut paths = Vec::new();
        for (at, place) in config.parameters.iter().enumerate() {
            let Place::Path(name) = place else { continue };
            let parameter = PathParameter::of(cx, name).ok_or_else(|| {
                Fault::new(format!("/parameters/{at}"), format!("the path has no parameter `{name}`"))
            })?;
            paths.push(parameter);
        }
        Ok(vec![Part::new(Stage::Inspect, Outward { config: config.clone(), paths })])
    }
}

#[derive(Debug)]
struct Outward {
    config: Config,
    /// Path parameters among `parameters`.
    paths: Vec<PathParameter>,
}

impl Outward {
    /// `own` is the authority that the client addressed: a URL of the API itself, in a place that nobody named, is a
    /// link that it gave out.
    fn judge(&self, leaf: &Leaf<'_>, own: &[u8]) -> Option<url::Reason> {
        let declared = self.config.parameters.iter().any(|place| place.holds(leaf));
        let named = self.config.names && says_url(&leaf.name);
        if !declared && !named {
            return None;
        }
        if self.config.ignore.iter().any(|place| place.holds(leaf)) {
            return None;
        }
        let Ok(text) = std::str::from_utf8(&leaf.bytes) else { return Some("a URL that is not UTF-8") };
        if !declared && url::authority(text).as_bytes().eq_ignore_ascii_case(own) {
            return None;
        }
        self.text(text, declared)
    }

    fn text(&self, text: &str, declared: bool) -> Option<url::Reason> {
        let allow = if declared { &self.config.allow[..] } else { &[] };
        url::judge(text, declared, &self.config.schemes, allow).err()
    }

    fn wants_body(&self) -> bool {
        self.config.names || self.config.parameters.iter().any(|place| matches!(place, Place::Body(_)))
    }
}

fn refuse(place: &str, reason: url::Reason) -> Verdict {
    Denial::new(&URL_REFUSED, format!("{place}: {reason}")).into()
}

/// Whether a name says that its value is a URL.
fn says_url(name: &Name<'_>) -> bool {
    const WORDS: [&[u8]; 9] =
        [b"url", b"uri", b"href", b"callback", b"webhook", b"endpoint", b"feed", b"proxy", b"fetch"];
    // Where the browser goes next, not what the API fetches; an application on a device is at loopback (RFC 8252).
    const NOT: [&[u8]; 3] = [b"redirect", b"return", b"logout"];
    let last = match name {
        Name::Plain(name) => Some(*name),
        Name::Members(members) => members.last().copied(),
    };
    last.map(member_name).is_some_and(|name| {
        // Names are short; a long one says nothing.
        let has = |word: &&[u8]| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
        name.len() <= 64 && WORDS.iter().any(has) && !NOT.iter().any(has)
    })
}

impl Guard for Outward {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, request_body: self.wants_body(), ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        for parameter in &self.paths {
            let text = parameter.value(cx.request);
            let Ok(text) = String::from_utf8(text) else {
                return Ok(refuse("path", "a URL that is not UTF-8"));
            };
            if let Some(reason) = self.text(&text, true) {
                return Ok(refuse("path", reason));
            }
        }
        let own = cx.request.authority.as_bytes();
        let mut found = None;
        let mut visit = |leaf: Leaf<'_>| match self.judge(&leaf, own) {
            Some(reason) => {
                found = Some((leaf.name.to_string(), reason));
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        };
        if let Some(query) = cx.request.query() {
            leaves::query(query.as_bytes(), &mut visit);
        }
        for place in &self.config.parameters {
            match place {
                Place::Header(name) => {
                    for value in cx.request.headers.get_all(name) {
                        leaves::header(name.as_str(), value.as_bytes(), &mut visit);
                    }
                }
                Place::Cookie(_) => {
                    for value in cx.request.headers.get_all(http::header::COOKIE) {
                        leaves::cookies(value.as_bytes(), &mut visit);
                    }
                }
                _ => {}
            }
        }
        Ok(found.map_or(Verdict::Pass, |(name, reason)| refuse(&name, reason)))
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        if self.wants_body() && !is_opaque(cx.request) { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let bytes = body.bytes();
        let declared = self.config.parameters.iter().any(|place| matches!(place, Place::Body(_)));
        // Where nothing is declared only whole URLs count; a body without a slash or an escape holds none.
        if !declared && memchr::memchr3(b'/', b'\\', b'%', bytes).is_none() {
            return Ok(Verdict::Pass);
        }
        let content_type = body.content_type();
        let essence = content_type.map_or("", |media| media.essence());
        let format = Format::of(essence, bytes);
        if format == Format::Text || format == Format::Binary {
            return Ok(Verdict::Pass);
        }
        let own = cx.request.authority.as_bytes();
        let mut found = None;
        let read =
            leaves::body(bytes, format, content_type.map_or("", |media| media.text), &mut |leaf| match self
                .judge(&leaf, own)
            {
                Some(reason) => {
                    found = Some((leaf.name.to_string(), reason));
                    ControlFlow::Break(())
                }
                None => ControlFlow::Continue(()),
            });
        Ok(match (found, read) {
            (Some((name, reason)), _) => refuse(&name, reason),
            (None, Err(_)) if declared => refuse("body", "not what its content type says"),
            (None, _) => Verdict::Pass,
        })
    }
}

#[cfg(test)]
#[path = "ssrf_tests.rs"]
mod tests;
