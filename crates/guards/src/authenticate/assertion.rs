//! The gateway's own word to the API: who calls, signed for this call only.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use portcullis_engine::{Cx, GuardError, Period};
use portcullis_identity::{AssertedCall, AssertionSigner};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::protection::Fault;

/// A signed assertion of who calls, for the API.
#[derive(Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Assertion")]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The private key, PKCS #8 in PEM, for ES256 or Ed25519: `${file:assertion.pem}`.
    key: String,
    /// What the API is called in the assertion (`aud`).
    audience: String,
    /// What this gateway is called in it (`iss`). Default `portcullis`.
    #[serde(default)]
    issuer: Option<String>,
    /// For how long it holds. Default 30 s, at most 5 min.
    #[serde(default)]
    lifetime: Option<Period>,
    /// The header. Default `X-Portcullis-Assertion`.
    #[serde(default)]
    header: Option<String>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// Signs.
#[derive(Debug)]
pub(crate) struct Asserting {
    pub(crate) header: HeaderName,
    audience: Box<str>,
    signer: Arc<AssertionSigner>,
}

impl Asserting {
    pub(crate) fn compile(config: &Config) -> Result<Asserting, Fault> {
        let header = config.header.as_deref().unwrap_or("X-Portcullis-Assertion");
        let header = HeaderName::try_from(header).map_err(|_| {
            Fault::new("/assertion/header", "expected a field name, such as `X-Portcullis-Assertion`")
        })?;
        let lifetime = config.lifetime.map_or(30, |period| period.0.as_secs());
        if !(1..=300).contains(&lifetime) {
            return Err(Fault::new("/assertion/lifetime", "expected `1s` to `5m`"));
        }
        let wrong = |message: &str| Fault::new("/assertion/key", message);
        let body: String = config
            .key
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("-----"))
            .collect();
        let der = data_encoding::BASE64
            .decode(body.as_bytes())
            .map_err(|_| wrong("expected a private key in PEM: `openssl genpkey -algorithm ed25519`"))?;
        let issuer = config.issuer.as_deref().unwrap_or("portcullis");
        let signer = AssertionSigner::from_pkcs8(&der, issuer, lifetime)
            .map_err(|error| wrong(&format!("{error}: `openssl genpkey -algorithm ed25519` makes one")))?;
        Ok(Asserting { header, audience: config.audience.as_str().into(), signer: Arc::new(signer) })
    }

    /// Sets the assertion about the call of `cx`.
    pub(crate) fn set(&self, cx: &mut Cx<'_>) -> Result<(), GuardError> {
        let call = AssertedCall {
            audience: &self.audience,
            method: cx.request.method.as_str(),
            path: cx.request.path(),
            principal: cx.facts.principal.as_deref(),
        };
        let signed = self.signer.sign(&call, cx.id.0.to_be_bytes(), cx.now.unix_ns / 1_000_000_000);
        let signed = signed.map_err(|error| GuardError(error.to_string().into()))?;
        let value = HeaderValue::from_str(&signed)
            .map_err(|_| GuardError("the assertion does not fit into a header".into()))?;
        cx.request.headers.insert(self.header.clone(), value);
        Ok(())
    }
}
