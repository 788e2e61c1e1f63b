//! Sessions that the API itself hands out: only those that it did hand out count.
//!
//! **What it does.** `opens` says where an operation's answer holds a new session: a JSON pointer, or `cookie.NAME`.
//! The gateway remembers what it saw go out, for `lifetime` (12 h by default). Where the contract or a policy asks for a
//! session, the one that stands at `by` must be among them; a log-out (`closes: true`) ends it. So a token that somebody
//! made up, signed with a guessed secret or not at all, leads nowhere, whatever the API thinks of it.
//!
//! What a session says of its user is known as well: the claims of a JSON Web Token that the API signed and this gateway
//! saw it hand out, and under `claims` members of that answer. `authorize` compares them as it does those of any
//! token: `owner: { response: /owner, is: token.sub }`. A claim that is `true` counts as a role of its name, where
//! `roles` lists it.
//!
//! **The attack.** Forged tokens (`alg: none`, a weak secret, a signature that nobody verifies), tokens that never
//! expire, tokens that live on after a log-out. OWASP API2:2023; CWE-347, CWE-345, CWE-613.
//!
//! ```yaml
//! session: { by: header.Authorization, lifetime: 8h, roles: [is_admin] }
//! policies:
//!   - match: { operation: login }
//!     session: { opens: /token, claims: { account: /user/account } }
//!   - match: { operation: logout }
//!     session: { closes: true }
//! ```
//!
//! `unknown: refuse` refuses a session that was not handed out here even where none is needed: APIs that ask for more than
//! their contract says are protected as well. Operations that hand sessions out are left alone.
//!
//! Of a field like `Authorization` what follows the scheme is the session. `required` says whether an operation needs
//! one; without it the contract's `security` does, for schemes that the API verifies. What was handed out is remembered
//! in this process and ends with it: after a restart, users log in again.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header;
use portcullis_engine::memory::{Mark, Memory};
use portcullis_engine::{
    Body, BodyNeed, Claims, Code, CredentialKind, Cx, Denial, Guard, GuardError, Hooks, MediaType, Period,
    Principal, Role, Stage, Verdict,
};
use portcullis_openapi::{In, SchemeKind, Security};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::authenticate::not_recorded;
use crate::codes::codes;
use crate::cors::is_preflight;
use crate::place::{Place, Spot};
use crate::policies::OneOrMany;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    SESSION_MISSING = "session-missing" 401 Api2 306 Low
        "a session is needed"
        attack "Calling what needs a log-in without one, hoping that some path forgot to check."
        client "Log in, and send what you got with each call."
        operator "If anyone may call this operation, set `session: { required: false }` in a policy.";
    SESSION_UNKNOWN = "session-unknown" 401 Api2 347 High
        "this session was not handed out here, or is over"
        attack "A forged token: without a signature, with a guessed secret, with somebody else's name in it; or one that was stolen long ago."
        client "Log in again."
        operator "If sessions are handed out in another way, add that operation to `session.opens`; after a restart of the gateway users log in again.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session;

/// Sessions of the API's own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "SessionGuard")]
pub(crate) struct Config {
    /// Where callers present it: `header.NAME` or `cookie.NAME`.
    by: Option<Place>,
    /// Where this operation's answer holds a new session: JSON pointers, or `cookie.NAME`.
    opens: OneOrMany,
    /// Whether this operation ends the session.
    closes: bool,
    /// Whether this operation needs one. Default: where the contract's `security` does.
    required: Option<bool>,
    /// What happens to a session that was not handed out here, or is over, where none is needed. Default `pass`.
    unknown: Unknown,
    /// How long a session lasts. Default 12 h.
    lifetime: Option<Period>,
    /// By name: members of the answer that say something of the user, as JSON pointers.
    claims: BTreeMap<String, String>,
    /// Claims that are roles: their text or texts, or where they are `true` their name.
    roles: Vec<Box<str>>,
}

/// What happens to sessions that nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "UnknownSession")]
enum Unknown {
    /// The call passes, as one without a session.
    #[default]
    Pass,
    /// The call is refused.
    Refuse,
}

const DEFAULT_LIFETIME: Period = Period::seconds(12 * 3600);

/// Bytes of a session at most; longer ones are none.
const LONGEST: usize = 16 << 10;

impl Protection for Session {
    const NAME: &'static str = "session";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let Some((_, operation)) = cx.operation else { return Ok(Vec::new()) };
        let Some(by) = config.by.clone() else {
            return match config.opens.each().is_empty() && !config.closes && config.required != Some(true) {
                true => Ok(Vec::new()),
                false => Err(Fault::new(
                    "/by",
                    "expected where callers present the session: `header.Authorization` or `cookie.NAME`",
                )),
            };
        };
        match &by {
            Place::Header(name) => cx.protect_header(name),
            Place::Cookie(_) => {}
            _ => return Err(Fault::new("/by", "expected `header.NAME` or `cookie.NAME`")),
        }
        let mut parts = Vec::new();
        let schemes = cx.contract.map_or(&[][..], |contract| contract.security_schemes());
        let asked = match &operation.security {
            // Whatever way a caller chooses, a session belongs to it.
            Security::AnyOf(any) => {
                let asks = |name: &str| {
                    schemes.iter().any(|scheme| *scheme.name == *name && stands_at(&scheme.kind, &by))
                };
                !any.is_empty() && any.iter().all(|needed| needed.all_of.iter().any(|one| asks(&one.scheme)))
            }
            Security::Absent => false,
        };
        let required = config.required.unwrap_or(asked && !cx.public);
        if required {
            cx.access_by("a session of the API");
        }
        // Whoever logs in again may still carry what is over.
        let strict = config.unknown == Unknown::Refuse && config.opens.each().is_empty();
        let spot = Spot::of(by.clone(), cx, "/by")?;
        let needed = Needed { by: spot, required, strict: required || strict, closes: config.closes };
        if needed.strict || config.closes {
            cx.asks_for("session", "session", "/by");
            parts.push(Part::new(Stage::Authenticate, needed));
        } else {
            // Who logged in is known where nobody has to.
            parts.push(Part { stage: Stage::Authenticate, monitor: true, guard: Box::new(needed) });
        }
        let mut opens = Vec::new();
        for (at, text) in config.opens.each().iter().enumerate() {
            let place = if text.starts_with('/') { format!("body.{text}") } else { text.clone() };
            match place.parse() {
                Ok(place @ (Place::Body(_) | Place::Cookie(_) | Place::Header(_))) => opens.push(place),
                _ => {
                    let what = format!(
                        "`{text}` is neither a JSON pointer, such as `/token`, nor `cookie.NAME` or `header.NAME`"
                    );
                    return Err(Fault::new(format!("/opens/{at}"), what));
                }
            }
        }
        if !opens.is_empty() {
            cx.provides("session", "session");
            let lifetime = config.lifetime.unwrap_or(DEFAULT_LIFETIME);
            let open = Opens {
                opens,
                lifetime_ns: lifetime.nanos(),
                claims: config.claims.clone(),
                roles: config.roles.clone(),
            };
            // It only watches: an answer that it cannot read goes its way.
            parts.push(Part { stage: Stage::Authenticate, monitor: true, guard: Box::new(open) });
        }
        Ok(parts)
    }
}

/// Whether the credential of a scheme of the contract stands at `by`.
fn stands_at(kind: &SchemeKind, by: &Place) -> bool {
    match (kind, by) {
        (SchemeKind::ApiKey { location: In::Header, name }, Place::Header(field)) => {
            field.as_str().eq_ignore_ascii_case(name)
        }
        (SchemeKind::ApiKey { location: In::Cookie, name }, Place::Cookie(cookie)) => name == cookie,
        (SchemeKind::ApiKey { .. } | SchemeKind::MutualTls | SchemeKind::Unknown, _) => false,
        (_, by) => *by == Place::Header(header::AUTHORIZATION),
    }
}

/// A field's value without its scheme.
fn bare(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value.iter().position(|byte| *byte == b' ') {
        Some(space) => value.get(space..).unwrap_or_default().trim_ascii(),
        None => value,
    }
}

fn mark(sessions: &Memory<Arc<Principal>>, session: &[u8]) -> Mark {
    sessions.mark("session", session)
}

/// Lets only sessions through that were handed out.
#[derive(Debug)]
struct Needed {
    by: Spot,
    required: bool,
    /// A session that is presented must be a known one.
    strict: bool,
    closes: bool,
}

impl Needed {
    /// Whether something stands there that another reader might take for a session.
    fn is_ambiguous(&self, cx: &Cx<'_>) -> bool {
        let mut any = false;
        self.by.in_head(cx.request, &mut |value| any |= !bare(value).is_empty());
        any
    }
}

impl Guard for Needed {
    fn role(&self) -> Role {
        if self.strict || self.closes { Role::Refuses } else { Role::Learns }
    }

    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, response_head: self.closes, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if is_preflight(cx.request).is_some() {
            return Ok(Verdict::Pass);
        }
        if self.strict && cx.recorded.is_some_and(|recorded| !recorded.bodies) {
            // A recording without fields does not hold the session.
            return Ok(not_recorded());
        }
        let Some(presented) = self.by.single(cx.request).map(bare).filter(|value| !value.is_empty()) else {
            return Ok(match (self.required, self.strict && self.is_ambiguous(cx)) {
                (true, _) => Denial::new(&SESSION_MISSING, format!("nothing stands at {}", self.by)).into(),
                (false, true) => Denial::new(&SESSION_UNKNOWN, "more than one is presented").into(),
                (false, false) => Verdict::Pass,
            });
        };
        let sessions = &cx.state.sessions;
        match sessions.value(mark(sessions, presented), cx.now) {
            Some(user) => {
                cx.facts.principal = Some(match cx.facts.principal.take() {
                    // A key names the application, the session its user.
                    Some(known) if known.claims.is_none() => Arc::new(Principal {
                        consumer: Arc::clone(&known.consumer),
                        scopes: Arc::clone(&known.scopes),
                        ..Principal::clone(&user)
                    }),
                    Some(known) => known,
                    None => user,
                });
                Ok(Verdict::Pass)
            }
            None if self.strict => {
                Ok(Denial::new(&SESSION_UNKNOWN, "it was not handed out here, or is over").into())
            }
            None => Ok(Verdict::Pass),
        }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let done = cx.response.as_ref().is_some_and(|response| response.status.as_u16() < 400);
        let presented = self.by.single(cx.request).map(bare);
        if done
            && cx.enforcing
            && let Some(presented) = presented
        {
            let sessions = &cx.state.sessions;
            sessions.forget(mark(sessions, presented), cx.now);
        }
        Ok(Verdict::Pass)
    }
}

/// Remembers what is handed out.
#[derive(Debug)]
struct Opens {
    opens: Vec<Place>,
    lifetime_ns: u64,
    claims: BTreeMap<String, String>,
    roles: Vec<Box<str>>,
}

impl Opens {
    fn open(&self, cx: &Cx<'_>, session: &[u8], answer: Option<&Value>) {
        let session = bare(session);
        if session.is_empty() || session.len() > LONGEST {
            return;
        }
        let mut claims = payload(session).unwrap_or_default();
        for (name, pointer) in &self.claims {
            if let Some(value) = answer.and_then(|answer| answer.pointer(pointer)) {
                claims.insert(name.clone(), value.clone());
            }
        }
        let sessions = &cx.state.sessions;
        let mark = mark(sessions, session);
        let user = User::new(claims, &self.roles);
        // Names the session in records, and cannot be used as one.
        let name: Arc<str> = format!("session-{mark}").into();
        let consumer = user.subject.as_deref().map_or_else(|| Arc::clone(&name), Arc::from);
        let mut principal = Principal::new(consumer, name, CredentialKind::Session, Arc::new([]));
        principal.claims = Some(Arc::new(user));
        sessions.keep(mark, Arc::new(principal), self.lifetime_ns, cx.now);
    }
}

/// The claims of a JSON Web Token. Who calls this saw its issuer hand it out: nothing is verified here.
fn payload(session: &[u8]) -> Option<Map<String, Value>> {
    let mut parts = session.split(|byte| *byte == b'.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let bytes = data_encoding::BASE64URL_NOPAD.decode(claims.trim_ascii_end()).ok()?;
    match portcullis_engine::body::parse_json(&bytes, &portcullis_engine::Bounds::default()) {
        Ok(Value::Object(claims)) => Some(claims),
        _ => None,
    }
}

/// What a session says of its user.
#[derive(Debug)]
struct User {
    claims: Value,
    subject: Option<Box<str>>,
    roles: Box<[Box<str>]>,
}

impl User {
    fn new(claims: Map<String, Value>, names: &[Box<str>]) -> User {
        let mut roles: Vec<Box<str>> = Vec::new();
        for name in names {
            match claims.get(&**name) {
                Some(Value::Bool(true)) => roles.push(name.clone()),
                Some(Value::String(role)) => roles.push(role.as_str().into()),
                Some(Value::Array(list)) => {
                    roles.extend(list.iter().filter_map(Value::as_str).map(Into::into));
                }
                _ => {}
            }
        }
        // What fits into a field: it is passed on to the API.
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject.filter(|text| {
            (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        User { subject: subject.map(Into::into), roles: roles.into(), claims: Value::Object(claims) }
    }
}

impl Claims for User {
    fn issuer(&self) -> &str {
        "session"
    }

    fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    fn groups(&self) -> &[Box<str>] {
        &[]
    }

    fn claim(&self, pointer: &str) -> Option<&Value> {
        self.claims.pointer(pointer)
    }
}

impl Guard for Opens {
    fn role(&self) -> Role {
        Role::Learns
    }

    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, response_body: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some(response) = cx.response.as_ref().filter(|response| response.status.as_u16() < 400) else {
            return Ok(Verdict::Pass);
        };
        let mut found: Vec<Vec<u8>> = Vec::new();
        for place in &self.opens {
            match place {
                Place::Header(name) => {
                    found.extend(response.headers.get_all(name).map(|value| value.as_bytes().to_vec()));
                }
                Place::Cookie(name) => {
                    for cookie in response.headers.get_all(header::SET_COOKIE) {
                        let pair = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
                        let value = pair.trim_ascii().strip_prefix(name.as_bytes());
                        found.extend(value.and_then(|rest| rest.strip_prefix(b"=")).map(<[u8]>::to_vec));
                    }
                }
                _ => {}
            }
        }
        for session in found {
            self.open(cx, &session, None);
        }
        Ok(Verdict::Pass)
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let wanted = self.opens.iter().any(|place| matches!(place, Place::Body(_)));
        let json = cx.response.as_ref().is_some_and(|response| {
            let kind = response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            response.status.is_success() && kind.is_some_and(|text| MediaType { text }.is_json())
        });
        if wanted && json { BodyNeed::Parsed } else { BodyNeed::Nothing }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(answer) = body.json() else { return Ok(Verdict::Pass) };
        for place in &self.opens {
            let Place::Body(members) = place else { continue };
            crate::place::walk(answer, members, &mut |value| {
                if let Value::String(session) = value {
                    self.open(cx, session.as_bytes(), Some(answer));
                }
            });
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
