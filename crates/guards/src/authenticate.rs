//! Who calls: API keys, App ID with App Key, access tokens and client certificates, as the contract's `security`
//! demands.
//!
//! **What it does.** Every operation asks for the credentials that the contract's `security` names (any one of its
//! alternatives; within one, all). API keys (`apiKey` schemes in a header, query parameter or cookie) are
//! verified here against the gateway's keys (`portcullis keys`). Two `apiKey` schemes that are needed together are
//! an App ID and its App Key. Access tokens (`oauth2`, `openIdConnect`, `http` with `bearer`) are verified against
//! `issuers`: signature, issuer, audience, times, type, the scopes that the contract names, and the key that a token is
//! bound to (DPoP, or the client certificate). Tokens that are no JWTs are asked about (`introspection`). Client
//! certificates (`mutualTLS`) stand for the consumers under `certificates`.
//!
//! Verified credentials are not passed on; the API learns the consumer from `X-Consumer-Id` and the user from
//! `X-Forwarded-User`, which no client can set, and from a signed `assertion` where one is configured.
//!
//! A credential that is presented and wrong is refused even where another would have done, a credential that
//! stands twice is refused, and so are two that name different consumers. Where the contract asks for a key and a token
//! at once, the key names the consumer and the token the user.
//!
//! **Deny by default.** An operation is open only if the contract says `security: []` or a policy says
//! `public: true`. A configuration that leaves one open by silence is an error. Without a configuration file such
//! operations stay open, and are listed at start.
//!
//! **What the API verifies itself** (HTTP Basic, tokens of nobody under `issuers`): say so by name,
//! `schemes: { userToken: upstream }`. The credential must then be there, and is passed on as it is. Without a
//! configuration file that is assumed, with a warning, save for an `openIdConnectUrl`, which is discovered.
//!
//! **The attack.** Calls without a credential, with a guessed, expired or revoked one, with two of which each
//! checker reads another, or with a header that claims to be somebody.
//! OWASP API2:2023; CWE-306, CWE-287, CWE-290, CWE-294.
//!
//! ```yaml
//! authenticate:
//!   app_id: X-App-Id          # asked for beside what the contract says, and where it says nothing
//!   app_key: X-App-Key
//!   schemes:
//!     userToken: upstream     # the API verifies this one
//!     partnerToken: api_key   # `Authorization: Bearer` carries one of this gateway's API keys
//!   certificates:
//!     billing: { uri: "spiffe://example.org/billing" }
//!   consumer_header: X-Consumer-Id
//!   forward_credentials: false
//! issuers:
//!   main: { issuer: "https://login.example.com", audiences: [orders] }
//! policies:
//!   - match: { operation: getStatus }
//!     public: true
//! ```

mod assertion;
mod certificates;
mod identity;
mod opaque;
mod plan;
mod present;
mod tokens;

use std::collections::BTreeMap;

use http::header::{self, HeaderName, HeaderValue};
use portcullis_engine::{
    Body, BodyNeed, Code, CredentialKind, Cx, Denial, Guard, GuardError, Hooks, MediaType, Principal, Stage,
    Verdict, code,
};
use portcullis_identity::certificate::CertificateMap;
use portcullis_identity::dpop::DpopError;
use portcullis_identity::jose::TokenError;
use portcullis_identity::oauth::VerifiedToken;
use portcullis_identity::{
    AuthScheme, BindingError, KeyRingHandle, SecretKind, Verdict as Lookup, recognise,
};
use portcullis_openapi::{In, SchemeKind, Security};
use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;
use std::sync::Arc;

use crate::codes::codes;
use crate::compile::Access;
use crate::cors::is_preflight;
use crate::protection::{CompileCx, Fault, Part, Protection};
use plan::{Check, Need};
use present::{Place, Presented, Value};
use tokens::{Judged, Why};

pub use opaque::IntrospectionConfig;
pub use tokens::{Credentials, IssuerConfig, Tokens};

pub(crate) use tokens::not_recorded;

codes! {
    CREDENTIAL_MISSING = "credential-missing" 401 Api2 306 Low
        "a credential is needed"
        attack "Calling what needs a credential without one, hoping that some path forgot to check."
        client "Send the credential that the API's documentation names; `WWW-Authenticate` says which kinds are taken."
        operator "If anyone may call this operation, say `security: []` in the contract or `public: true` in a policy.";
    CREDENTIAL_INVALID = "credential-invalid" 401 Api2 287 Medium
        "the credential is not valid"
        attack "Guessed, stolen, revoked or mistyped keys."
        client "Check the key for typing errors; ask the API's operator for a new one."
        operator "The record's reason says what was wrong with it: unknown, mistyped, revoked, not yet valid, or used from another network.";
    CREDENTIAL_EXPIRED = "credential-expired" 401 Api2 613 Low
        "the credential has expired"
        attack "Old keys live on in logs, backups and former employees' notes."
        client "Use the new key, or ask the API's operator for one."
        operator "`portcullis keys rotate` makes a new key beside the old one.";
    CREDENTIAL_AMBIGUOUS = "credential-ambiguous" 400 Api2 290 High
        "the credentials contradict each other"
        attack "A credential that stands twice, or two of different consumers: the gateway checks one, the API believes the other."
        client "Send one credential, once."
        operator "There is no switch.";
    TOKEN_INVALID = "token-invalid" 401 Api2 345 Medium
        "the access token is not valid"
        attack "Forged, altered or borrowed tokens: another issuer's, another API's, an ID token, a stolen token that is bound to a key."
        client "Get an access token for this API from its identity provider, and present it as the provider says."
        operator "The record's reason says what was wrong with it. Tokens for another audience need it listed under `issuers.NAME.audiences`.";
    PROOF_INVALID = "dpop-proof-invalid" 401 Api2 294 Medium
        "the proof of possession is not valid"
        attack "A stolen token is used without its key, or with a proof that was seen on another call."
        client "Make a new DPoP proof for every call: its method, its URI, its token, the current time, and the nonce that was asked for."
        operator "The record's reason says what was wrong. If the URI is, a proxy in front changes host or scheme: list it under `trusted_hops`.";
    TOKEN_EXPIRED = "token-expired" 401 Api2 613 Low
        "the access token has expired"
        attack "A token that was stolen lives on."
        client "Get a new access token."
        operator "If it happens to fresh tokens, a clock is wrong: `issuers.NAME.leeway` allows for some.";
    SCOPE_INSUFFICIENT = "insufficient-scope" 403 Api5 862 Medium
        "the access token may not do this"
        attack "A token that was given for one thing is used for another."
        client "Ask the identity provider for a token with the scopes that `WWW-Authenticate` names."
        operator "The contract's `security` names the scopes that an operation needs.";
    SECURITY_UNSATISFIABLE = "security-unsatisfiable" 403 Api2 287 Low
        "no credential can be accepted here"
        attack "What the contract demands cannot be verified; letting calls through would be the same as no protection."
        client "Tell the API's operator."
        operator "The contract asks for a scheme that is undefined, unknown, or cannot be verified here: correct it, or name who verifies it under `authenticate.schemes`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Authenticate;

/// Who calls.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "AuthenticateGuard")]
pub(crate) struct Config {
    /// A header in which an API key is asked for, beside what the contract says.
    pub(crate) api_key: Option<String>,
    /// The header of the App ID, beside what the contract says.
    pub(crate) app_id: Option<String>,
    /// The header of the App Key.
    pub(crate) app_key: Option<String>,
    /// By the name of a security scheme of the contract: what it is.
    pub(crate) schemes: BTreeMap<String, Role>,
    /// By consumer: the client certificates that stand for it.
    pub(crate) certificates: BTreeMap<String, certificates::Names>,
    /// Whether verified credentials are passed on to the API.
    pub(crate) forward_credentials: bool,
    /// The header that tells the API which consumer calls.
    pub(crate) consumer_header: String,
    /// A signed assertion of who calls, for the API.
    pub(crate) assertion: Option<assertion::Config>,
    /// The realm that `WWW-Authenticate` names.
    pub(crate) realm: String,
}

/// What a security scheme of the contract is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// An API key of this gateway.
    ApiKey,
    /// The App ID of this gateway.
    AppId,
    /// The App Key of this gateway.
    AppKey,
    /// An access token of one of `issuers`.
    Token,
    /// The API verifies it; here it must only be there.
    Upstream,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            api_key: None,
            app_id: None,
            app_key: None,
            schemes: BTreeMap::new(),
            certificates: BTreeMap::new(),
            forward_credentials: false,
            consumer_header: "X-Consumer-Id".into(),
            assertion: None,
            realm: "api".into(),
        }
    }
}

impl Protection for Authenticate {
    const NAME: &'static str = "authenticate";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let consumer = HeaderName::try_from(config.consumer_header.as_str())
            .map_err(|_| Fault::new("/consumer_header", "expected a field name, such as `X-Consumer-Id`"))?;
        cx.protect_header(&consumer);
        let needs = plan::needs(config, cx)?;
        let access = match (&needs, cx.operation) {
            _ if cx.public => Access::OpenByPolicy,
            (None, Some((_, operation))) if operation.security == Security::Absent => Access::OpenBySilence,
            (None, _) => Access::OpenByContract,
            // A way without credentials.
            (Some(needs), _) if needs.alternatives.iter().any(SmallVec::is_empty) => Access::OpenByContract,
            (Some(needs), _) => Access::Credentials(needs.labels.clone()),
        };
        cx.access(access);
        let mut strip = Strip {
            consumer,
            headers: Vec::new(),
            query: Vec::new(),
            cookies: Vec::new(),
            token: false,
            assertion: config.assertion.as_ref().map(assertion::Asserting::compile).transpose()?,
        };
        if let Some(assertion) = &strip.assertion {
            cx.protect_header(&assertion.header);
        }
        if !config.forward_credentials {
            strip.headers = plan::gateway_headers(config, cx)?;
        }
        let mut parts = Vec::new();
        if let Some(needs) = needs {
            for place in &needs.places {
                match place {
                    Place::Header(name) => cx.protect_header(name),
                    Place::Query(name) => cx.secret_parameter(name),
                    Place::Token => cx.protect_header(&DPOP),
                    Place::Cookie(_) | Place::Bearer => {}
                }
            }
            if !needs.token_schemes.is_empty() && cx.tokens.unaddressed() {
                cx.warn_once(
                    "tokens for any audience are taken, since nothing says what this API is called in them: \
                     name it in a configuration file, `issuers: { main: { issuer: …, audiences: [orders] } }`",
                );
            }
            if !config.forward_credentials {
                for check in &needs.checks {
                    for place in check.places().filter_map(|index| needs.places.get(index)) {
                        match place {
                            Place::Header(_) => {}
                            Place::Bearer => strip.headers.push(header::AUTHORIZATION),
                            // Where nobody said that it ends here, the API may want to see it.
                            Place::Token => strip.token = !cx.zero_config,
                            Place::Query(name) => strip.query.push(name.clone()),
                            Place::Cookie(name) => strip.cookies.push(name.clone()),
                        }
                    }
                }
            }
            let challenge = HeaderValue::from_str(&needs.challenge(&config.realm))
                .map_err(|_| Fault::new("/realm", "expected visible ASCII characters without quotes"))?;
            let preflights = cx.operation.is_none();
            let realm = config.realm.clone();
            let (keys, tokens) = (cx.keys.clone(), Arc::clone(cx.tokens));
            let certificates = certificates::map(&config.certificates)?;
            let guard = Verify { needs, keys, tokens, certificates, realm, challenge, preflights };
            parts.push(Part::new(Stage::Authenticate, guard));
        }
        parts.push(Part::new(Stage::Shape, strip));
        Ok(parts)
    }
}

/// Verifies what was presented.
#[derive(Debug)]
struct Verify {
    needs: plan::Needs,
    keys: KeyRingHandle,
    tokens: Arc<Tokens>,
    certificates: CertificateMap,
    realm: String,
    challenge: HeaderValue,
    /// Whether preflights pass: browsers send them without credentials.
    preflights: bool,
}

/// What became of one check.
#[derive(Debug)]
enum Checked {
    /// Nothing, or not all of it, was presented.
    Absent,
    Found(Arc<Principal>),
    Wrong(Denial),
}

/// What became of the token of a call.
#[derive(Debug)]
enum Token {
    Absent,
    Genuine(Arc<VerifiedToken>, AuthScheme),
    Wrong(Denial),
    Ask(Box<portcullis_engine::Lookup>),
}

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

impl Guard for Verify {
    fn hooks(&self) -> Hooks {
        let tokens = !self.needs.token_schemes.is_empty();
        Hooks { request_head: true, request_body: tokens, ..Hooks::default() }
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let form = cx.request_header(header::CONTENT_TYPE).map(|text| MediaType { text }.essence());
        match form.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
            true => BodyNeed::Bytes,
            false => BodyNeed::Nothing,
        }
    }

    fn request_body(&self, _: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        // RFC 6750 section 2.2: an API that takes it there would take another than the one that was verified.
        let form = std::str::from_utf8(body.bytes()).unwrap_or_default();
        if present::has_parameter(form, "access_token") {
            let reason = "a token stands in the body, where the API may take it instead of the verified one";
            return Ok(Denial::new(&CREDENTIAL_AMBIGUOUS, reason).into());
        }
        Ok(Verdict::Pass)
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if self.preflights && is_preflight(cx.request).is_some() {
            return Ok(Verdict::Pass);
        }
        let now = cx.now.unix_ns / 1_000_000_000;
        let recorded = cx.recorded.and_then(|recorded| recorded.credential.clone());
        if let Some(id) = recorded {
            return Ok(self.recorded(cx, &id, now));
        }
        let presented = match present::read(&self.needs.places, cx.request) {
            Ok(presented) => presented,
            Err(repeated) => {
                let reason = format!("`{repeated}` stands more than once");
                return Ok(Denial::new(&CREDENTIAL_AMBIGUOUS, reason).into());
            }
        };
        if !self.needs.token_schemes.is_empty()
            && present::has_parameter(cx.request.query().unwrap_or_default(), "access_token")
        {
            let reason =
                "a token stands in the query, where logs and histories keep it (RFC 9700 section 4.3.2)";
            return Ok(Denial::new(&CREDENTIAL_AMBIGUOUS, reason).into());
        }
        let keys = self.keys.load();
        // Once, whatever schemes it may serve: a proof of possession can be shown once.
        let token = match self.token(&presented, cx) {
            Token::Ask(lookup) => return Ok(Verdict::Need(lookup)),
            token => token,
        };
        let ask = |check: &Check| self.check(check, &presented, &keys, &token, now, cx);
        let checked: SmallVec<[Checked; 2]> = self.needs.checks.iter().map(ask).collect();
        let waive = cx.recorded.is_some_and(|recorded| !recorded.bodies);
        let decided = self.decide(&checked, &presented, waive);
        drop(presented);
        match decided {
            Ok(principal) => {
                let proved = matches!(token, Token::Genuine(_, AuthScheme::Dpop));
                let nonce = self.tokens.nonce(cx.now).filter(|_| proved);
                if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::from_str(&nonce).ok()) {
                    cx.add_response_header(DPOP_NONCE, nonce);
                }
                cx.facts.principal = principal;
                Ok(Verdict::Pass)
            }
            Err(denial) => Ok(denial.into()),
        }
    }
}

impl Verify {
    /// In replay: the recording names the credential that was proved.
    fn recorded(&self, cx: &mut Cx<'_>, id: &str, now: u64) -> Verdict {
        match self.keys.load().by_id(id, now, cx.facts.client) {
            Lookup::Found(principal) => {
                let wanted = |check: &Check| match check {
                    Check::ApiKey(_) => principal.kind == CredentialKind::ApiKey,
                    Check::App { .. } => principal.kind == CredentialKind::AppKey,
                    Check::Token { .. } | Check::Certificate => false,
                };
                let enough = self.needs.alternatives.iter().any(|needs| {
                    needs.iter().all(|need| match need {
                        Need::Check(index) => self.needs.checks.get(*index).is_some_and(wanted),
                        Need::Present(..) => true,
                        Need::Never | Need::Token(..) => false,
                    })
                });
                if !enough {
                    return self.missing().into();
                }
                cx.facts.principal = Some(principal);
                Verdict::Pass
            }
            // A recording does not hold what a token said.
            Lookup::Unknown if self.foreign() => tokens::not_recorded(),
            other => self.wrong(&other, None).into(),
        }
    }

    /// Whether there are credentials that are proved by others than the gateway's own keys.
    fn foreign(&self) -> bool {
        self.needs.checks.iter().any(|check| matches!(check, Check::Token { .. } | Check::Certificate))
    }

    fn check(
        &self,
        check: &Check,
        presented: &Presented<'_>,
        keys: &portcullis_identity::KeyRing,
        token: &Token,
        now: u64,
        cx: &Cx<'_>,
    ) -> Checked {
        let client = cx.facts.client;
        let value = |place: usize| presented.get(place).and_then(Option::as_ref).map(Value::bytes);
        let (verdict, secret) = match *check {
            Check::ApiKey(place) => match value(place) {
                Some(secret) => (keys.api_key(secret, now, client), secret),
                None => return Checked::Absent,
            },
            Check::App { id, key } => match (value(id), value(key)) {
                (Some(id), Some(secret)) => (keys.app_key(id, secret, now, client), secret),
                _ => return Checked::Absent,
            },
            Check::Token { scheme, .. } => {
                return match token {
                    Token::Genuine(facts, how) => {
                        let scheme = self.needs.token_schemes.get(scheme).map_or("", |name| name);
                        match self.tokens.fits(facts, scheme, cx.now) {
                            Ok(()) => Checked::Found(Arc::clone(facts.principal())),
                            Err(why) => Checked::Wrong(self.invalid(why, *how, cx)),
                        }
                    }
                    Token::Wrong(denial) => Checked::Wrong(denial.clone()),
                    Token::Absent | Token::Ask(_) => Checked::Absent,
                };
            }
            Check::Certificate => {
                return match certificates::owner(&self.certificates, cx) {
                    None => Checked::Absent,
                    Some(Ok(principal)) => Checked::Found(principal),
                    Some(Err(reason)) => Checked::Wrong(Denial::new(&CREDENTIAL_INVALID, reason)),
                };
            }
        };
        match verdict {
            Lookup::Found(principal) => Checked::Found(principal),
            other => Checked::Wrong(self.wrong(&other, Some(secret))),
        }
    }

    /// Judges the token that the call presents, where a token can be of use.
    fn token(&self, presented: &Presented<'_>, cx: &Cx<'_>) -> Token {
        let place = self.needs.places.iter().position(|place| *place == Place::Token);
        let field = place.and_then(|place| presented.get(place)).and_then(Option::as_ref).map(Value::bytes);
        let Some((how, token)) = field.and_then(present::token) else { return Token::Absent };
        let judged = match std::str::from_utf8(token) {
            Ok(token) => self.tokens.judge(token, how, cx),
            Err(_) => Judged::Refused(Why::Opaque),
        };
        match judged {
            Judged::Genuine(facts) => Token::Genuine(facts, how),
            Judged::Ask(lookup) => Token::Ask(lookup),
            Judged::Unknown { retry_after_s } => {
                let denial = Denial::new(&code::LOOKUP_FAILED, "the token's issuer cannot be asked");
                Token::Wrong(denial.header(header::RETRY_AFTER, HeaderValue::from(retry_after_s)))
            }
            Judged::Refused(why) => Token::Wrong(self.invalid(why, how, cx)),
        }
    }

    fn invalid(&self, why: Why, how: AuthScheme, cx: &Cx<'_>) -> Denial {
        let code = match why {
            Why::Token(TokenError::Expired) => &TOKEN_EXPIRED,
            Why::Proof(_) => &PROOF_INVALID,
            _ => &TOKEN_INVALID,
        };
        let error = match why {
            Why::Proof(DpopError::Nonce) => "use_dpop_nonce",
            Why::Proof(_) => "invalid_dpop_proof",
            _ => "invalid_token",
        };
        let scheme = match (why, how) {
            // What a token that is bound to a key needs.
            (Why::Binding(BindingError::ProofMissing), _) | (_, AuthScheme::Dpop) => "DPoP",
            (_, AuthScheme::Bearer) => "Bearer",
        };
        let challenge = self.needs.challenge_of(&self.realm, scheme, &format!(", error=\"{error}\""));
        let denial = challenged(Denial::new(code, why.to_string()), &challenge);
        match self.tokens.nonce(cx.now).and_then(|nonce| HeaderValue::from_str(&nonce).ok()) {
            Some(nonce) if scheme == "DPoP" => denial.header(DPOP_NONCE, nonce),
            _ => denial,
        }
    }

    fn wrong(&self, verdict: &Lookup, secret: Option<&[u8]>) -> Denial {
        let mistyped = || match secret.and_then(recognise) {
            Some(Err(_)) => "mistyped or cut",
            Some(Ok(SecretKind::ApiKey)) => "an unknown api key",
            Some(Ok(SecretKind::AppKey)) => "an app key that is not this app id's",
            Some(Ok(SecretKind::AppId)) => "an app id in a key's place",
            None => "unknown",
        };
        let (code, reason) = match verdict {
            Lookup::Expired => (&CREDENTIAL_EXPIRED, "expired"),
            Lookup::NotYetValid => (&CREDENTIAL_INVALID, "not yet valid"),
            Lookup::Revoked => (&CREDENTIAL_INVALID, "revoked"),
            Lookup::NetworkRefused => (&CREDENTIAL_INVALID, "used from a network that is not allowed"),
            Lookup::Unknown | Lookup::Found(_) => (&CREDENTIAL_INVALID, mistyped()),
        };
        Denial::new(code, reason).header(header::WWW_AUTHENTICATE, self.challenge.clone())
    }

    fn missing(&self) -> Denial {
        if self.needs.impossible {
            return Denial::new(&SECURITY_UNSATISFIABLE, "the contract's security cannot be verified here");
        }
        Denial::new(&CREDENTIAL_MISSING, "no sufficient credential was presented")
            .header(header::WWW_AUTHENTICATE, self.challenge.clone())
    }

    /// Whether what was found suffices. `waive`: the recording shows no fields, so none can be missed.
    fn decide(
        &self,
        checked: &[Checked],
        presented: &Presented<'_>,
        waive: bool,
    ) -> Result<Option<Arc<Principal>>, Denial> {
        let principal = identity::one(&self.needs, checked)?;
        // What was presented and proved nothing is refused, unless the same field proved something else.
        for (check, outcome) in self.needs.checks.iter().zip(checked) {
            let Checked::Wrong(denial) = outcome else { continue };
            let explained = |place: usize| {
                self.needs.checks.iter().zip(checked).any(|(other, outcome)| {
                    matches!(outcome, Checked::Found(_)) && other.places().any(|index| index == place)
                })
            };
            if !check.places().all(explained) {
                return Err(denial.clone());
            }
        }
        let met = |need: &Need| match need {
            Need::Check(index) => matches!(checked.get(*index), Some(Checked::Found(_))),
            Need::Token(index, scopes) => match checked.get(*index) {
                Some(Checked::Found(principal)) => identity::grants(principal, scopes),
                _ => false,
            },
            Need::Present(place, scheme) => waive || present::suffices(presented, *place, scheme.as_deref()),
            Need::Never => false,
        };
        if self.needs.alternatives.iter().any(|needs| needs.iter().all(met)) {
            return Ok(principal);
        }
        // All is there but for what the token may do: say what it would have to.
        let short = |need: &Need| match need {
            Need::Token(index, _) => matches!(checked.get(*index), Some(Checked::Found(_))),
            other => met(other),
        };
        let short = self.needs.alternatives.iter().find(|needs| needs.iter().all(short));
        Err(short.map_or_else(|| self.missing(), |needs| self.insufficient(needs)))
    }

    fn insufficient(&self, needs: &[Need]) -> Denial {
        let scopes = needs.iter().flat_map(|need| match need {
            Need::Token(_, scopes) => &scopes[..],
            _ => &[],
        });
        let scopes = scopes.map(|scope| &**scope).collect::<Vec<_>>().join(" ");
        let more = format!(", error=\"insufficient_scope\", scope=\"{}\"", scopes.replace(['"', '\\'], ""));
        let denial = Denial::new(&SCOPE_INSUFFICIENT, format!("the contract asks for the scopes `{scopes}`"));
        challenged(denial, &self.needs.challenge_of(&self.realm, "Bearer", &more))
    }
}

/// `denial` with a challenge; one that does not fit into a field is left out.
fn challenged(denial: Denial, challenge: &str) -> Denial {
    match HeaderValue::from_str(challenge) {
        Ok(challenge) => denial.header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => denial,
    }
}

/// Takes out what ends here, and tells the API who calls.
#[derive(Debug)]
struct Strip {
    consumer: HeaderName,
    headers: Vec<HeaderName>,
    query: Vec<Box<str>>,
    cookies: Vec<Box<str>>,
    /// Whether access tokens end here.
    token: bool,
    assertion: Option<assertion::Asserting>,
}

impl Guard for Strip {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        // A claim to be somebody never passes, whatever the mode.
        cx.request.headers.remove(&self.consumer);
        identity::strip(&mut cx.request.headers);
        if let Some(assertion) = &self.assertion {
            cx.request.headers.remove(&assertion.header);
        }
        if !cx.enforcing {
            return Ok(Verdict::Pass);
        }
        for name in &self.headers {
            cx.request.headers.remove(name);
        }
        let token = cx.request.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        if self.token && token.is_some_and(|field| present::token(field).is_some()) {
            cx.request.headers.remove(header::AUTHORIZATION);
            cx.request.headers.remove(DPOP);
        }
        if !self.query.is_empty() {
            cx.request
                .retain_query(|name| !self.query.iter().any(|gone| crate::text::is_parameter(name, gone)));
        }
        if !self.cookies.is_empty() {
            present::remove_cookies(&mut cx.request.headers, &self.cookies);
        }
        if let Some(principal) = &cx.facts.principal {
            let value = HeaderValue::from_str(&principal.consumer)
                .map_err(|_| GuardError("the consumer's name does not fit into a header".into()))?;
            cx.request.headers.insert(self.consumer.clone(), value);
            if let Some(subject) = principal.claims.as_ref().and_then(|claims| claims.subject()) {
                let value = HeaderValue::from_bytes(subject.as_bytes())
                    .map_err(|_| GuardError("the user's name does not fit into a header".into()))?;
                cx.request.headers.insert(identity::USER, value);
            }
        }
        if let Some(assertion) = &self.assertion {
            assertion.set(cx)?;
        }
        Ok(Verdict::Pass)
    }
}

/// What a security scheme is, in a few words.
pub(crate) fn kind(kind: &SchemeKind) -> &'static str {
    match kind {
        SchemeKind::ApiKey { location: In::Header, .. } => "an api key in a header",
        SchemeKind::ApiKey { location: In::Query, .. } => "an api key in the query",
        SchemeKind::ApiKey { .. } => "an api key in a cookie",
        SchemeKind::Basic => "http basic",
        SchemeKind::Bearer { .. } => "http bearer",
        SchemeKind::Http { .. } => "an http scheme",
        SchemeKind::OAuth2 { .. } => "oauth2",
        SchemeKind::OpenIdConnect { .. } => "openIdConnect",
        SchemeKind::MutualTls => "mutualTLS",
        SchemeKind::Unknown => "an unknown scheme",
    }
}

#[cfg(test)]
#[path = "authenticate_tests.rs"]
mod tests;
