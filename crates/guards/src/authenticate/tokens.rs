//! Access tokens: who may issue them, and what a call's token proves.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_engine::{Cx, Destination, Lookup, Now, Period, Verdict};
use portcullis_identity::dpop::{Dpop, DpopError, DpopRules, ProvedCall};
use portcullis_identity::jose::{Algorithm, Thumbprint, TokenError};
use portcullis_identity::oauth::{
    ClaimNames, Issuer, Issuers, KeyTimes, KeysFrom, TokenCache, TokenProfile, TokenRules, Verification,
    VerifiedToken, check_address,
};
use portcullis_identity::{AuthScheme, BindingError, KeyRingHandle, Presented};
use portcullis_openapi::{Contract, SchemeKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::opaque::{IntrospectionConfig, Opaque, opaque};
use crate::config::{CompileError, escape, unknown};
use crate::data_keys::DataRings;

/// What credentials are verified with. A [`KeyRingHandle`] alone will do where nothing is kept between compilations.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The gateway's own keys.
    pub keys: KeyRingHandle,
    /// The issuers of the configuration before this one: where they are the same, their keys are kept.
    pub tokens: Option<Arc<Tokens>>,
    /// 32 random bytes, by which tokens are known in caches.
    pub cache_key: [u8; 32],
    /// The keys for data.
    pub data: DataRings,
}

impl From<KeyRingHandle> for Credentials {
    fn from(keys: KeyRingHandle) -> Credentials {
        Credentials { keys, tokens: None, cache_key: [0; 32], data: DataRings::default() }
    }
}

/// Who issues access tokens, and how they are judged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "Issuer")]
#[serde(deny_unknown_fields, default)]
pub struct IssuerConfig {
    /// The issuer, exactly as its tokens name it (`iss`): `https://login.example.com/realms/shop`.
    pub issuer: String,
    /// What this API is called in its tokens (`aud`). A token must name one of these.
    pub audiences: Vec<String>,
    /// Where its metadata is, if not at `/.well-known/openid-configuration` under the issuer.
    pub discovery: Option<String>,
    /// Where its keys are, if no metadata is to be asked.
    pub jwks_uri: Option<String>,
    /// Signature algorithms that are accepted. Default: RS, PS and ES with 256, 384 and 512 bits, and EdDSA.
    pub algorithms: Vec<String>,
    /// Whether only tokens of RFC 9068 (`typ: at+jwt`) are accepted.
    pub strict: bool,
    /// By how much its clock may differ from this gateway's. Default 30 s, at most 5 min.
    pub leeway: Option<Period>,
    /// After how long its keys are fetched again. Default 5 min.
    pub refresh: Option<Period>,
    /// How long its last good keys are used while it cannot be reached. Default 24 h.
    pub keep: Option<Period>,
    /// Security schemes of the contract for which its tokens are good. Default: all that take tokens.
    pub schemes: Vec<String>,
    /// Which claims say what.
    pub claims: ClaimsConfig,
    /// How it is asked about tokens that are no JWTs (RFC 7662). One issuer at most may be asked: such tokens do not say
    /// whose they are.
    pub introspection: Option<IntrospectionConfig>,
    /// Whether DPoP proofs must carry a nonce of this gateway (RFC 9449 section 9).
    pub dpop_nonce: bool,
}

/// Which claims say what: JSON pointers (`/realm_access/roles`) or plain names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "IssuerClaims")]
#[serde(deny_unknown_fields, default)]
pub struct ClaimsConfig {
    /// The user. Default `sub`.
    pub subject: Option<String>,
    /// The client. Default `client_id`, `azp`, `cid` or `appid`, the first that is there.
    pub client: Option<String>,
    /// Scopes. Default `scope` and `scp`.
    pub scopes: Option<String>,
    /// Roles. Default `roles` and `/realm_access/roles`.
    pub roles: Option<String>,
    /// Groups. Default `groups`.
    pub groups: Option<String>,
}

/// The issuers in force, with their keys and what their tokens said lately. Shared by all calls, and kept over a reload
/// that does not change them.
#[derive(Debug)]
pub struct Tokens {
    issuers: Issuers,
    uses: BTreeMap<Arc<str>, Use>,
    /// What they were made of.
    configs: BTreeMap<String, IssuerConfig>,
    discovered: BTreeMap<Box<str>, Vec<String>>,
    opaque: Option<Opaque>,
    dpop: Dpop,
    /// Whether DPoP proofs must carry a nonce of ours.
    nonces: bool,
}

/// What tokens of one issuer are good for.
#[derive(Debug)]
struct Use {
    /// `None`: nobody said what this API is called.
    audiences: Option<Vec<String>>,
    schemes: Vec<String>,
}

impl Tokens {
    /// The issuers that `configs` names; where there is no configuration file, those that the contract names by their
    /// `openIdConnectUrl`. `before` is given back where nothing changed.
    ///
    /// # Errors
    /// What is wrong with an issuer, at its place in the configuration.
    pub(crate) fn of(
        configs: &BTreeMap<String, IssuerConfig>,
        contract: Option<&Contract>,
        zero_config: bool,
        credentials: &Credentials,
    ) -> Result<Arc<Tokens>, Vec<CompileError>> {
        let schemes = contract.map_or(&[][..], Contract::security_schemes);
        // By the address of its metadata: the schemes that name it.
        let mut discovered: BTreeMap<Box<str>, Vec<String>> = BTreeMap::new();
        for scheme in schemes.iter().filter(|_| zero_config) {
            if let SchemeKind::OpenIdConnect { url } = &scheme.kind
                && check_address(url).is_ok()
            {
                discovered.entry(url.clone()).or_default().push(scheme.name.to_string());
            }
        }
        if let Some(before) = &credentials.tokens
            && before.configs == *configs
            && before.discovered == discovered
        {
            return Ok(Arc::clone(before));
        }
        let mut errors = Vec::new();
        let mut issuers = Vec::new();
        let mut uses = BTreeMap::new();
        for (name, config) in configs {
            let at = format!("/issuers/{}", escape(name));
            for (index, scheme) in config.schemes.iter().enumerate() {
                if !schemes.iter().any(|known| *known.name == **scheme) {
                    let known = schemes.iter().map(|scheme| &*scheme.name);
                    let message = unknown("security scheme", scheme, known);
                    errors.push(CompileError::new(format!("{at}/schemes/{index}"), message));
                }
            }
            match config.issuer(name) {
                Ok(issuer) => {
                    let used =
                        Use { audiences: Some(config.audiences.clone()), schemes: config.schemes.clone() };
                    if uses.insert(Arc::clone(issuer.keys().issuer()), used).is_some() {
                        let message = format!("`{}` is listed twice", config.issuer);
                        errors.push(CompileError::new(format!("{at}/issuer"), message));
                    }
                    issuers.push(issuer);
                }
                Err((place, message)) => errors.push(CompileError::new(format!("{at}{place}"), message)),
            }
        }
        for (url, schemes) in &discovered {
            let name = url.split("/.well-known/").next().unwrap_or(url);
            let from = KeysFrom::WellKnown(url.clone());
            let rules = TokenRules::default();
            let issuer = Issuer::fetched(name, from, Algorithm::ASYMMETRIC, KeyTimes::default(), rules);
            uses.insert(
                Arc::clone(issuer.keys().issuer()),
                Use { audiences: None, schemes: schemes.clone() },
            );
            issuers.push(issuer);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let capacity = if issuers.is_empty() { 0 } else { 100_000 };
        let key = credentials.cache_key;
        let issuers = Issuers::new(issuers, TokenCache::new(key, capacity));
        let opaque = opaque(configs, &issuers, key)?;
        let nonces = configs.values().any(|config| config.dpop_nonce);
        let dpop = Dpop::new(DpopRules { require_nonce: nonces, ..DpopRules::default() }, key);
        Ok(Arc::new(Tokens { issuers, uses, configs: configs.clone(), discovered, opaque, dpop, nonces }))
    }

    /// The issuers, for whoever fetches their keys.
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// Whether there is anyone whose tokens are taken under `scheme`.
    pub(crate) fn serve(&self, scheme: &str) -> bool {
        self.uses.values().any(|used| used.takes(scheme))
    }

    /// Whether tokens are taken although nobody said what this API is called in them.
    pub(crate) fn unaddressed(&self) -> bool {
        self.uses.values().any(|used| used.audiences.is_none())
    }

    /// What `token` says, and that whoever presents it under `how` holds the key that it is bound to.
    pub(crate) fn judge(&self, token: &str, how: AuthScheme, cx: &Cx<'_>) -> Judged {
        let facts = match self.issuers.verify(token, cx.now) {
            Verification::Verified(facts) => facts,
            Verification::NeedKeys(issuer) => return need_keys(&issuer, cx),
            Verification::Unavailable { retry_after_s } => return Judged::Unknown { retry_after_s },
            Verification::Refused(error) => return Judged::Refused(Why::Token(error)),
            Verification::Opaque => match &self.opaque {
                None => return Judged::Refused(Why::Opaque),
                Some(opaque) => match opaque.ask(token, cx) {
                    Ok(facts) => facts,
                    Err(judged) => return judged,
                },
            },
        };
        let certificate = cx.connection.certificate.as_ref();
        let certificate = certificate.map(|found| Thumbprint(found.thumbprint(|der| Thumbprint::of(der).0)));
        let mut presented = Presented { scheme: how, proof: None, certificate };
        if let (AuthScheme::Dpop, Some(bound)) = (how, facts.binding().jkt)
            && let Some(proof) = cx.request_header("dpop")
        {
            let call = ProvedCall {
                method: cx.request.method.as_str(),
                scheme: cx.request.scheme.as_str(),
                authority: cx.request.authority.to_str().unwrap_or_default(),
                path: cx.request.path(),
            };
            match self.dpop.verify(proof, &call, token, bound, cx.now) {
                Ok(key) => presented.proof = Some(key),
                Err(DpopError::NoRoom) => return Judged::Unknown { retry_after_s: 5 },
                Err(error) => return Judged::Refused(Why::Proof(error)),
            }
        }
        match presented.check(facts.binding()) {
            Ok(()) => Judged::Genuine(facts),
            Err(error) => Judged::Refused(Why::Binding(error)),
        }
    }

    /// Whether what `facts` says is good for the security scheme `scheme` of this API.
    pub(crate) fn fits(&self, facts: &VerifiedToken, scheme: &str, now: Now) -> Result<(), Why> {
        let issuer = self.issuers.get(facts.issuer()).ok_or(Why::Token(TokenError::Issuer))?;
        let used = self.uses.get(issuer.keys().issuer()).ok_or(Why::Token(TokenError::Issuer))?;
        if !used.takes(scheme) {
            return Err(Why::Token(TokenError::Issuer));
        }
        let Some(audiences) = &used.audiences else { return Ok(()) };
        facts.check(audiences, now.unix_ns / 1_000_000_000, issuer.rules().leeway_s).map_err(Why::Token)
    }

    /// The nonce that DPoP proofs must carry, where they must.
    pub(crate) fn nonce(&self, now: Now) -> Option<String> {
        self.nonces.then(|| self.dpop.nonce(now))
    }
}

impl Use {
    fn takes(&self, scheme: &str) -> bool {
        self.schemes.is_empty() || self.schemes.iter().any(|taken| taken == scheme)
    }
}

/// What came of a token.
#[derive(Debug)]
pub(crate) enum Judged {
    /// Its issuer vouches for it, and who presents it may. What it may do is to be asked yet.
    Genuine(Arc<VerifiedToken>),
    Refused(Why),
    /// Nobody can tell now.
    Unknown {
        retry_after_s: u64,
    },
    Ask(Box<Lookup>),
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum Why {
    #[error(transparent)]
    Token(TokenError),
    #[error(transparent)]
    Binding(BindingError),
    #[error(transparent)]
    Proof(DpopError),
    #[error("the token is no JWT, and no issuer is asked about others")]
    Opaque,
    #[error("the token's issuer says that it is not active")]
    Inactive,
}

/// In replay: what a token said is not in the recording, and the host will say so.
pub(crate) fn not_recorded() -> Verdict {
    let issuer: Arc<str> = Arc::default();
    Lookup {
        purpose: "recorded-token",
        key: "recorded-token".into(),
        share: None,
        destination: Destination::Keys { issuer },
        timeout: std::time::Duration::ZERO,
        max_response: 0,
    }
    .into()
}

/// Has the keys of `issuer` fetched, once.
pub(super) fn need_keys(issuer: &Issuer, cx: &Cx<'_>) -> Judged {
    let issuer = issuer.keys().issuer();
    let key = format!("key-set {issuer}");
    if cx.answer(&key).is_some() {
        return Judged::Unknown { retry_after_s: 5 };
    }
    Judged::Ask(Box::new(Lookup {
        purpose: "key-set",
        key: key.into(),
        share: None,
        destination: Destination::Keys { issuer: Arc::clone(issuer) },
        timeout: std::time::Duration::from_secs(10),
        max_response: 0,
    }))
}

impl IssuerConfig {
    fn issuer(&self, name: &str) -> Result<Issuer, (String, String)> {
        let address = |place: &str, url: &str| {
            check_address(url).map_err(|error| (place.to_owned(), format!("`{url}`: {error}")))
        };
        address("/issuer", &self.issuer)?;
        if self.audiences.is_empty() {
            let message = "nothing says what this API is called in the tokens (`aud`): a token made for another API \
                           would be taken; name it, as in `audiences: [orders]`";
            return Err((String::new(), message.into()));
        }
        let from = match (&self.jwks_uri, &self.discovery) {
            (Some(_), Some(_)) => {
                return Err(("/jwks_uri".into(), "expected one of `jwks_uri` and `discovery`".into()));
            }
            (Some(url), None) => {
                address("/jwks_uri", url)?;
                KeysFrom::KeySet(url.as_str().into())
            }
            (None, Some(url)) => {
                address("/discovery", url)?;
                KeysFrom::Metadata(url.as_str().into())
            }
            (None, None) => KeysFrom::Discovery,
        };
        let mut algorithms = Vec::new();
        for (index, name) in self.algorithms.iter().enumerate() {
            match Algorithm::from_name(name).filter(|algorithm| !algorithm.is_symmetric()) {
                Some(algorithm) => algorithms.push(algorithm),
                None => {
                    let known = Algorithm::ASYMMETRIC.iter().map(|algorithm| algorithm.name());
                    return Err((format!("/algorithms/{index}"), unknown("algorithm", name, known)));
                }
            }
        }
        if algorithms.is_empty() {
            algorithms.extend(Algorithm::ASYMMETRIC);
        }
        let seconds =
            |period: Option<Period>, default: u64| period.map_or(default, |period| period.0.as_secs());
        let leeway_s = seconds(self.leeway, 30);
        if leeway_s > 300 {
            return Err((
                "/leeway".into(),
                "expected at most `5m`: expired tokens are accepted for as long".into(),
            ));
        }
        let defaults = KeyTimes::default();
        let times = KeyTimes {
            refresh_s: seconds(self.refresh, defaults.refresh_s).max(1),
            keep_s: seconds(self.keep, defaults.keep_s),
        };
        let rules = TokenRules {
            profile: if self.strict { TokenProfile::Rfc9068 } else { TokenProfile::AccessToken },
            leeway_s,
            names: self.claims.names(name),
            ..TokenRules::default()
        };
        Ok(Issuer::fetched(self.issuer.as_str(), from, algorithms, times, rules))
    }
}

impl ClaimsConfig {
    /// `realm` is the issuer's name in the configuration.
    pub(super) fn names(&self, realm: &str) -> ClaimNames {
        let mut names = ClaimNames { realm: realm.into(), ..ClaimNames::default() };
        for (list, said) in [
            (&mut names.subject, &self.subject),
            (&mut names.client, &self.client),
            (&mut names.scopes, &self.scopes),
            (&mut names.roles, &self.roles),
            (&mut names.groups, &self.groups),
        ] {
            if let Some(said) = said {
                *list = vec![pointer(said).into()];
            }
        }
        names
    }
}

/// A claim's name as a JSON pointer: one that begins with a slash is one already.
pub(crate) fn pointer(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("/{}", escape(name)) }
}
