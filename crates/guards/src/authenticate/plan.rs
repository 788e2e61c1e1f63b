//! From the contract's `security` and the configuration to what is checked.

use http::header::{self, HeaderName};
use portcullis_openapi::{In, Requirement, SchemeKind, SchemeUse, Security, SecurityScheme};
use smallvec::{SmallVec, smallvec};

use super::present::Place;
use super::{Config, Role, kind};
use crate::config::unknown;
use crate::protection::{CompileCx, Fault};

/// What an operation asks for: any one of the alternatives, all of its needs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) places: Vec<Place>,
    pub(crate) checks: Vec<Check>,
    pub(crate) alternatives: Vec<SmallVec<[Need; 2]>>,
    /// For people: one text for each alternative.
    pub(crate) labels: Vec<String>,
    /// Whether no alternative can ever be met.
    pub(crate) impossible: bool,
    schemes: Vec<&'static str>,
    /// Names of the contract's security schemes for which tokens are taken.
    pub(crate) token_schemes: Vec<Box<str>>,
}

/// A credential that is verified here; numbers are places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    ApiKey(usize),
    App {
        id: usize,
        key: usize,
    },
    /// An access token, for the security scheme of this number among the plan's.
    Token {
        place: usize,
        scheme: usize,
    },
    /// A client certificate.
    Certificate,
}

impl Check {
    pub(crate) fn places(self) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Check::ApiKey(place) => (Some(place), None),
            Check::App { id, key } => (Some(id), Some(key)),
            Check::Token { place, .. } => (Some(place), None),
            Check::Certificate => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// One thing that an alternative needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// A check, by its number.
    Check(usize),
    /// A check of a token, by its number, and scopes (or roles) that the token must carry, all of them.
    Token(usize, Box<[Box<str>]>),
    /// Something at a place, of an authentication scheme where one is named.
    Present(usize, Option<Box<str>>),
    /// What can never be.
    Never,
}

impl Needs {
    fn place(&mut self, place: Place) -> usize {
        self.places.iter().position(|known| *known == place).unwrap_or_else(|| {
            self.places.push(place);
            self.places.len() - 1
        })
    }

    fn check(&mut self, check: Check) -> Need {
        Need::Check(self.number(check))
    }

    fn number(&mut self, check: Check) -> usize {
        self.checks.iter().position(|known| *known == check).unwrap_or_else(|| {
            self.checks.push(check);
            self.checks.len() - 1
        })
    }

    fn token(&mut self, used: &SchemeUse) -> Need {
        let place = self.place(Place::Token);
        let scheme = self.token_schemes.iter().position(|name| *name == used.scheme).unwrap_or_else(|| {
            self.token_schemes.push(used.scheme.clone());
            self.token_schemes.len() - 1
        });
        self.scheme("Bearer");
        self.scheme("DPoP");
        Need::Token(self.number(Check::Token { place, scheme }), used.scopes.clone().into())
    }

    fn scheme(&mut self, scheme: &'static str) {
        if !self.schemes.contains(&scheme) {
            self.schemes.push(scheme);
        }
    }

    /// The value of `WWW-Authenticate` (RFC 9110 section 11.6.1).
    pub(crate) fn challenge(&self, realm: &str) -> String {
        self.challenge_of(realm, "", "")
    }

    /// As [`Needs::challenge`], with `more` parameters of the scheme `of` (RFC 6750 section 3, RFC 9449 section 7.1).
    pub(crate) fn challenge_of(&self, realm: &str, of: &str, more: &str) -> String {
        let schemes = if self.schemes.is_empty() { &["ApiKey"][..] } else { &self.schemes };
        let realm = realm.replace(['"', '\\'], "");
        let each = schemes.iter().map(|scheme| {
            let more = if *scheme == of { more } else { "" };
            let algorithms = if *scheme == "DPoP" { ", algs=\"ES256 ES384 EdDSA PS256\"" } else { "" };
            format!("{scheme} realm=\"{realm}\"{more}{algorithms}")
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

/// What the operation asks for; `None` where anyone may call.
pub(crate) fn needs(config: &Config, cx: &CompileCx<'_>) -> Result<Option<Needs>, Fault> {
    let schemes = cx.contract.map_or(&[][..], |contract| contract.security_schemes());
    for name in config.schemes.keys() {
        if !schemes.iter().any(|scheme| *scheme.name == **name) {
            let known = schemes.iter().map(|scheme| &*scheme.name);
            let place = format!("/schemes/{}", crate::config::escape(name));
            return Err(Fault::new(place, unknown("security scheme", name, known)));
        }
    }
    if cx.public {
        return Ok(None);
    }
    let mut needs = Needs::default();
    let extras = extras(config, &mut needs)?;
    let security = cx.operation.map(|(_, operation)| &operation.security);
    match security {
        Some(Security::AnyOf(requirements)) => {
            if requirements.iter().all(|requirement| requirement.all_of.is_empty()) {
                return Ok(None);
            }
            for requirement in requirements {
                let alternative = alternative(requirement, schemes, config, cx, &mut needs)?;
                let words =
                    requirement.all_of.iter().map(|used| &*used.scheme).collect::<Vec<_>>().join(" and ");
                if extras.is_empty() {
                    needs.alternatives.push(alternative);
                    needs.labels.push(words);
                    continue;
                }
                for (extra, name) in &extras {
                    let mut both = alternative.clone();
                    let mut label = words.clone();
                    if !both.contains(extra) {
                        both.push(extra.clone());
                        label = if words.is_empty() { name.clone() } else { format!("{words} and {name}") };
                    }
                    needs.alternatives.push(both);
                    needs.labels.push(label);
                }
            }
        }
        Some(Security::Absent) | None if !extras.is_empty() => {
            for (extra, name) in extras {
                needs.alternatives.push(smallvec![extra]);
                needs.labels.push(name);
            }
        }
        Some(Security::Absent) => {
            if !cx.zero_config {
                cx.open_by_silence();
            }
            return Ok(None);
        }
        // Requests that match no operation of a contract: nothing says that they may pass.
        None if cx.contract.is_some() => {}
        None if cx.zero_config => {
            cx.warn_once("there is no contract: every request passes without a credential");
            return Ok(None);
        }
        None => {
            let message = "nothing says who may call: there is no contract; name a header under `authenticate` \
                (`api_key`, or `app_id` and `app_key`), or say `public: true` in a policy";
            return Err(Fault::new("", message));
        }
    }
    let never = |needs: &SmallVec<[Need; 2]>| needs.contains(&Need::Never);
    needs.impossible = !needs.alternatives.is_empty() && needs.alternatives.iter().all(never);
    if needs.impossible {
        cx.warn("closed, since none of the contract's security requirements can be met");
    }
    Ok(Some(needs))
}

/// The credentials that the configuration asks for by itself.
fn extras(config: &Config, needs: &mut Needs) -> Result<Vec<(Need, String)>, Fault> {
    let mut extras = Vec::new();
    if let Some(name) = &config.api_key {
        let place = needs.place(Place::Header(field("api_key", name)?));
        extras.push((needs.check(Check::ApiKey(place)), name.clone()));
        needs.scheme("ApiKey");
    }
    match (&config.app_id, &config.app_key) {
        (Some(id_name), Some(key_name)) => {
            let id = needs.place(Place::Header(field("app_id", id_name)?));
            let key = needs.place(Place::Header(field("app_key", key_name)?));
            if id == key {
                return Err(Fault::new("/app_key", "expected another header than that of the App ID"));
            }
            extras.push((needs.check(Check::App { id, key }), format!("{id_name} and {key_name}")));
            needs.scheme("ApiKey");
        }
        (Some(_), None) => return Err(Fault::new("/app_id", "an App ID needs its key: name `app_key` too")),
        (None, Some(_)) => {
            return Err(Fault::new("/app_key", "an App Key needs its App ID: name `app_id` too"));
        }
        (None, None) => {}
    }
    Ok(extras)
}

fn field(key: &str, name: &str) -> Result<HeaderName, Fault> {
    HeaderName::try_from(name)
        .map_err(|_| Fault::new(format!("/{key}"), "expected a field name, such as `X-API-Key`"))
}

/// The needs of one alternative of the contract.
fn alternative(
    requirement: &Requirement,
    schemes: &[SecurityScheme],
    config: &Config,
    cx: &CompileCx<'_>,
    needs: &mut Needs,
) -> Result<SmallVec<[Need; 2]>, Fault> {
    let mut found = SmallVec::new();
    let mut keys: Vec<(&SchemeUse, Option<Role>, usize)> = Vec::new();
    for used in &requirement.all_of {
        let scheme = used.index.and_then(|index| schemes.get(index));
        let Some(scheme) = scheme.filter(|scheme| scheme.kind != SchemeKind::Unknown) else {
            cx.warn(format!("the security scheme `{}` is not defined, so it can never be met", used.scheme));
            found.push(Need::Never);
            continue;
        };
        let role = config.schemes.get(&*scheme.name).copied();
        if role == Some(Role::Token) || (role.is_none() && takes_tokens(&scheme.kind)) {
            if !takes_tokens(&scheme.kind) && !in_authorization(&scheme.kind) {
                return Err(mistaken(scheme));
            }
            if cx.tokens.serve(&scheme.name) {
                found.push(needs.token(used));
                continue;
            }
            if role.is_some() {
                let place = format!("/schemes/{}", crate::config::escape(&scheme.name));
                let message =
                    "nobody issues such tokens: name who does under `issuers`, with the API's `audiences`";
                return Err(Fault::new(place, message));
            }
        }
        if scheme.kind == SchemeKind::MutualTls && role.is_none() && !config.certificates.is_empty() {
            found.push(needs.check(Check::Certificate));
            continue;
        }
        let place = match (&scheme.kind, role) {
            (SchemeKind::ApiKey { .. }, Some(Role::Upstream)) => None,
            (SchemeKind::ApiKey { location, name }, role) => {
                if role.is_none() && cx.zero_config {
                    cx.warn_once(zero_config_key(scheme));
                }
                if is_token(scheme, role, cx) { None } else { Some(api_key_place(*location, name, cx)?) }
            }
            (SchemeKind::Bearer { .. }, Some(Role::ApiKey)) => Some(Place::Bearer),
            (_, Some(Role::Upstream)) => None,
            (_, Some(_)) => {
                return Err(mistaken(scheme));
            }
            (_, None) if cx.zero_config && scheme.kind != SchemeKind::MutualTls => {
                cx.warn_once(format!(
                    "the security scheme `{}` ({}) is left to the API to verify: here it must only be present",
                    scheme.name,
                    kind(&scheme.kind)
                ));
                None
            }
            (_, None) if cx.zero_config => {
                cx.warn_once(format!(
                    "the security scheme `{}` (mutualTLS) can never be met here",
                    scheme.name
                ));
                found.push(Need::Never);
                continue;
            }
            (SchemeKind::MutualTls, None) => {
                let message = format!(
                    "the contract asks for `{0}` (a client certificate): say whose certificates are good under \
                     `authenticate.certificates`, and name who signs them under `listen.tls.client_ca`; or say \
                     `schemes: {{ {0}: upstream }}` if another proxy checks them",
                    scheme.name
                );
                return Err(Fault::new("/schemes", message));
            }
            (_, None) => {
                let message = format!(
                    "the contract asks for `{0}` ({1}), which cannot be verified here: name who issues such tokens under \
                     `issuers`, or say `schemes: {{ {0}: upstream }}` if the API verifies it itself",
                    scheme.name,
                    kind(&scheme.kind)
                );
                return Err(Fault::new("/schemes", message));
            }
        };
        match place {
            Some(place) => {
                needs.scheme(if place == Place::Bearer { "Bearer" } else { "ApiKey" });
                let place = needs.place(place);
                keys.push((used, role, place));
            }
            None => found.extend(presence(&scheme.kind, cx, needs)?),
        }
    }
    found.extend(own(&keys, config, cx, needs)?);
    Ok(found)
}

fn mistaken(scheme: &SecurityScheme) -> Fault {
    let place = format!("/schemes/{}", crate::config::escape(&scheme.name));
    let message = format!(
        "`{}` is {}: only an api key or a bearer token can be verified here",
        scheme.name,
        kind(&scheme.kind)
    );
    Fault::new(place, message)
}

/// Whether it is the header `Authorization` by another name.
fn in_authorization(kind: &SchemeKind) -> bool {
    matches!(kind, SchemeKind::ApiKey { location: In::Header, name } if name.eq_ignore_ascii_case("authorization"))
}

/// Whether access tokens are presented under such a scheme.
fn takes_tokens(kind: &SchemeKind) -> bool {
    match kind {
        SchemeKind::Bearer { .. } | SchemeKind::OAuth2 { .. } | SchemeKind::OpenIdConnect { .. } => true,
        SchemeKind::Http { scheme } => &**scheme == "dpop",
        _ => false,
    }
}

/// Whether what the contract calls an API key is a token that the API issues: Swagger 2.0 has no other words for
/// `Authorization: Bearer` than an API key in the header `Authorization`.
fn is_token(scheme: &SecurityScheme, role: Option<Role>, cx: &CompileCx<'_>) -> bool {
    cx.zero_config && role.is_none() && in_authorization(&scheme.kind)
}

/// What is said of an API key that no configuration speaks of.
fn zero_config_key(scheme: &SecurityScheme) -> String {
    let (name, kind) = (&scheme.name, kind(&scheme.kind));
    match &scheme.kind {
        kind_ if in_authorization(kind_) => {
            format!(
                "the security scheme `{name}` ({kind}, `Authorization`) is left to the API to verify: here it must only be present"
            )
        }
        _ => format!(
            "the security scheme `{name}` ({kind}) takes the keys that `portcullis keys` makes; if the API has keys of \
             its own, say `authenticate: {{ schemes: {{ {name}: upstream }} }}` in a configuration file"
        ),
    }
}

fn api_key_place(location: In, name: &str, cx: &CompileCx<'_>) -> Result<Place, Fault> {
    Ok(match location {
        In::Query => {
            cx.warn_once(format!("the query parameter `{name}` carries a credential: queries end up in logs and histories; prefer a header"));
            Place::Query(name.into())
        }
        In::Cookie => Place::Cookie(name.into()),
        In::Header | In::Path => Place::Header(HeaderName::try_from(name).map_err(|_| {
            Fault::new("", format!("the contract names a header `{name}`, which is no field name"))
        })?),
    })
}

/// What must be there of a credential that the API verifies.
fn presence(scheme: &SchemeKind, cx: &CompileCx<'_>, needs: &mut Needs) -> Result<Option<Need>, Fault> {
    let authorization = |needs: &mut Needs, scheme: Option<&str>| {
        let place = needs.place(Place::Header(header::AUTHORIZATION));
        Some(Need::Present(place, scheme.map(Into::into)))
    };
    Ok(match scheme {
        SchemeKind::ApiKey { location, name } => {
            let place = api_key_place(*location, name, cx)?;
            Some(Need::Present(needs.place(place), None))
        }
        SchemeKind::Basic => {
            needs.scheme("Basic");
            authorization(needs, Some("basic"))
        }
        SchemeKind::Bearer { .. } => {
            needs.scheme("Bearer");
            authorization(needs, Some("bearer"))
        }
        SchemeKind::Http { scheme } => authorization(needs, Some(scheme)),
        // Real services also take `token` or `DPoP` here.
        SchemeKind::OAuth2 { .. } | SchemeKind::OpenIdConnect { .. } => {
            needs.scheme("Bearer");
            authorization(needs, None)
        }
        // The operator says that what stands in front or behind checks the certificate.
        SchemeKind::MutualTls => None,
        SchemeKind::Unknown => Some(Need::Never),
    })
}

/// The checks of the keys of one alternative: one is an API key, two are an App ID and its App Key.
fn own(
    keys: &[(&SchemeUse, Option<Role>, usize)],
    config: &Config,
    cx: &CompileCx<'_>,
    needs: &mut Needs,
) -> Result<Option<Need>, Fault> {
    let role = |(_, role, place): &(&SchemeUse, Option<Role>, usize)| {
        role.or_else(|| {
            let header = match needs.places.get(*place) {
                Some(Place::Header(name)) => name.as_str(),
                _ => return None,
            };
            let is = |configured: &Option<String>| {
                configured.as_deref().is_some_and(|c| c.eq_ignore_ascii_case(header))
            };
            if is(&config.app_id) {
                Some(Role::AppId)
            } else if is(&config.app_key) {
                Some(Role::AppKey)
            } else {
                None
            }
        })
    };
    match keys {
        [] => Ok(None),
        [only] => match role(only) {
            None | Some(Role::ApiKey) => Ok(Some(needs.check(Check::ApiKey(only.2)))),
            // Its other half is asked for by the configuration.
            Some(_) if config.app_id.is_some() => Ok(None),
            Some(_) => {
                let place = format!("/schemes/{}", crate::config::escape(&only.0.scheme));
                Err(Fault::new(
                    place,
                    "an App ID and an App Key are needed together, but the contract asks for one",
                ))
            }
        },
        [first, second] => {
            let (id, key) = match (role(first), role(second)) {
                (Some(Role::AppId), _) | (_, Some(Role::AppKey)) => (first, second),
                (Some(Role::AppKey), _) | (_, Some(Role::AppId)) => (second, first),
                _ => match (looks_like_id(&first.0.scheme), looks_like_id(&second.0.scheme)) {
                    (true, false) => (first, second),
                    (false, true) => (second, first),
                    _ => {
                        let by_place = |key: &(&SchemeUse, Option<Role>, usize)| {
                            needs.places.get(key.2).is_some_and(|place| looks_like_id(&place.to_string()))
                        };
                        match (by_place(first), by_place(second)) {
                            (true, false) => (first, second),
                            (false, true) => (second, first),
                            _ if cx.zero_config => {
                                cx.warn_once(format!(
                                    "`{}` is taken for the App ID and `{}` for its key",
                                    first.0.scheme, second.0.scheme
                                ));
                                (first, second)
                            }
                            _ => {
                                let message = format!(
                                    "the contract asks for two keys together: say which is the App ID, \
                                     `schemes: {{ {}: app_id, {}: app_key }}`",
                                    first.0.scheme, second.0.scheme
                                );
                                return Err(Fault::new("/schemes", message));
                            }
                        }
                    }
                },
            };
            if id.2 == key.2 {
                return Err(Fault::new("", "the contract has the App ID and its key in the same place"));
            }
            let check = Check::App { id: id.2, key: key.2 };
            Ok(Some(needs.check(check)))
        }
        _ if cx.zero_config => {
            cx.warn("the contract asks for more than two keys together, which can never be met here");
            Ok(Some(Need::Never))
        }
        _ => Err(Fault::new(
            "/schemes",
            "the contract asks for more than two keys together: say of all but two that they are `upstream`",
        )),
    }
}

/// Whether a name is that of an identifier and not of a secret: `app_id`, `X-Client-Id`, `appId`.
fn looks_like_id(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let secret = ["key", "secret", "token", "pass"].iter().any(|word| lower.contains(word));
    let id =
        lower.ends_with("id") || lower.contains("_id") || lower.contains("-id") || lower.contains("account");
    id && !secret
}

/// All headers of credentials that are verified here, of whichever operation: none of them concerns the API.
pub(crate) fn gateway_headers(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<HeaderName>, Fault> {
    let mut names = Vec::new();
    for (key, name) in
        [("api_key", &config.api_key), ("app_id", &config.app_id), ("app_key", &config.app_key)]
    {
        if let Some(name) = name {
            names.push(field(key, name)?);
        }
    }
    for scheme in cx.contract.map_or(&[][..], |contract| contract.security_schemes()) {
        let role = config.schemes.get(&*scheme.name).copied();
        let upstream = matches!(role, Some(Role::Upstream | Role::Token)) || is_token(scheme, role, cx);
        if let SchemeKind::ApiKey { location: In::Header, name } = &scheme.kind
            && !upstream
            && let Ok(name) = HeaderName::try_from(&**name)
        {
            cx.protect_header(&name);
            names.push(name);
        }
    }
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    Ok(names)
}
