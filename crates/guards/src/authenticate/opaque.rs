//! Tokens that are no JWTs: their issuer is asked about each (RFC 7662), and the answer believed for a short while.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use portcullis_engine::{Cx, Destination, Fields, Lookup, Period};
use portcullis_identity::jose::Thumbprint;
use portcullis_identity::oauth::{
    Fetched, Introspected, Introspection, IntrospectionRules, Issuer, Issuers, MAX_INTROSPECTION_BYTES,
    VerifiedToken, check_address,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::tokens::{IssuerConfig, Judged, Why, need_keys};
use crate::config::{CompileError, escape};

/// How an issuer is asked about opaque tokens.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "Introspection")]
#[serde(deny_unknown_fields, default)]
pub struct IntrospectionConfig {
    /// Where. Default: what the issuer's metadata says.
    pub url: Option<String>,
    /// The client that this gateway is to the issuer.
    pub client_id: String,
    /// Its secret; better `${INTROSPECTION_SECRET}` than the secret itself.
    pub client_secret: String,
    /// For how long a token counts as active after its issuer said so: so long may a revoked one work. Default 30 s.
    pub cache: Option<Period>,
    /// For how long a token counts as inactive. Default 10 s.
    pub negative_cache: Option<Period>,
    /// Whether tokens for which the issuer names no audience are taken: it answers only about tokens that are meant for
    /// this client.
    pub audience_optional: bool,
}

impl fmt::Debug for IntrospectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The issuer that is asked.
#[derive(Debug)]
pub(crate) struct Opaque {
    issuer: Arc<Issuer>,
    url: Option<Box<str>>,
    authorization: HeaderValue,
    known: Introspection,
}

/// The one of `configs` that is asked about opaque tokens.
pub(crate) fn opaque(
    configs: &BTreeMap<String, IssuerConfig>,
    issuers: &Issuers,
    key: [u8; 32],
) -> Result<Option<Opaque>, Vec<CompileError>> {
    let mut found = None;
    for (name, config) in configs {
        let Some(introspection) = &config.introspection else { continue };
        let at = format!("/issuers/{}/introspection", escape(name));
        let wrong = |place: &str, message: &str| vec![CompileError::new(format!("{at}{place}"), message)];
        if found.is_some() {
            let message =
                "another issuer is asked about opaque tokens already, which do not say whose they are";
            return Err(wrong("", message));
        }
        if introspection.client_id.is_empty() || introspection.client_secret.is_empty() {
            return Err(wrong(
                "",
                "expected `client_id` and `client_secret`, by which the issuer knows this gateway",
            ));
        }
        if let Some(url) = &introspection.url {
            check_address(url).map_err(|error| wrong("/url", &format!("`{url}`: {error}")))?;
        }
        let Some(issuer) = issuers.get(&config.issuer).cloned() else { continue };
        let seconds =
            |period: Option<Period>, default: u64| period.map_or(default, |period| period.0.as_secs());
        let rules = IntrospectionRules {
            active_s: seconds(introspection.cache, 30),
            inactive_s: seconds(introspection.negative_cache, 10),
            leeway_s: issuer.rules().leeway_s,
            names: config.claims.names(name),
            silent_audiences: match introspection.audience_optional {
                true => config.audiences.iter().map(|audience| audience.as_str().into()).collect(),
                false => Vec::new(),
            },
        };
        let known = Introspection::new(config.issuer.as_str(), rules, key, 100_000);
        let authorization = basic(&introspection.client_id, &introspection.client_secret);
        let url = introspection.url.as_deref().map(Into::into);
        found = Some(Opaque { issuer, url, authorization, known });
    }
    Ok(found)
}

impl Opaque {
    /// What the issuer says of `token`, or said a short while ago.
    pub(crate) fn ask(&self, token: &str, cx: &Cx<'_>) -> Result<Arc<VerifiedToken>, Judged> {
        let key = || format!("introspection {}", Thumbprint::of(token.as_bytes()));
        let known = match self.known.lookup(token, cx.now) {
            Introspected::Ask => match cx.answer(&key()) {
                Some(Ok(answer)) => {
                    let answer = Fetched::Answer {
                        status: answer.status.as_u16(),
                        body: &answer.body,
                        max_age_s: None,
                    };
                    self.known.store(token, answer, cx.now)
                }
                Some(Err(_)) => self.known.store(token, Fetched::Failed, cx.now),
                None => Ok(Introspected::Ask),
            },
            known => Ok(known),
        };
        match known {
            Ok(Introspected::Active(facts)) => Ok(facts),
            Ok(Introspected::Inactive) => Err(Judged::Refused(Why::Inactive)),
            Ok(Introspected::Ask) => Err(self.lookup(token, key(), cx)),
            Err(_) => Err(Judged::Unknown { retry_after_s: 5 }),
        }
    }

    fn lookup(&self, token: &str, key: String, cx: &Cx<'_>) -> Judged {
        let Some(url) = self.url.clone().or_else(|| self.issuer.keys().introspection_endpoint()) else {
            // Where to ask stands in the metadata, which are fetched with the keys.
            return need_keys(&self.issuer, cx);
        };
        let mut headers = Fields::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Judged::Ask(Box::new(Lookup {
            purpose: "introspection",
            key: key.into(),
            share: Some(Duration::ZERO),
            destination: Destination::Url {
                method: Method::POST,
                url,
                headers,
                body: Bytes::from(Introspection::form(token)),
            },
            timeout: Duration::from_secs(5),
            max_response: MAX_INTROSPECTION_BYTES as u64,
        }))
    }
}

/// HTTP Basic with both parts form-encoded (RFC 6749 section 2.3.1).
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encode = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    let pair = format!("{}:{}", encode(id), encode(secret));
    let text = format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
    // Base64 is visible ASCII.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
