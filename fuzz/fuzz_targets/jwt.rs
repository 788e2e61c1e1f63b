//! Tokens, proofs, keys and what issuers answer: whatever the bytes, nothing panics, and a token that is accepted is
//! the one canonical spelling of what it says.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_engine::Now;
use portcullis_identity::certificate::CertificateIdentity;
use portcullis_identity::dpop::{Dpop, DpopRules, ProvedCall};
use portcullis_identity::jose::{Algorithm, JwkRules, Jws, JwsRules, KeySet, Thumbprint};
use portcullis_identity::oauth::{
    Fetched, Introspection, IntrospectionRules, Issuer, Issuers, Metadata, TokenCache, TokenRules,
    Verification,
};

const NOW: Now = Now { unix_ns: 1_800_000_000_000_000_000, mono_ns: 1_000_000_000_000 };

/// A shared secret, so that a fuzzer may find its way past the signature: see `token`.
const SECRET_SET: &str =
    r#"{"keys":[{"kty":"oct","alg":"HS256","k":"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY"}]}"#;
const SECRET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";

static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    KeySet::parse(SECRET_SET.as_bytes(), &JwkRules { algorithms: &[Algorithm::Hs256] }).expect("a good set")
});

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    match kind % 6 {
        0 => token(&text),
        // Header and claims are the fuzzer's, the signature is right: what is behind the signature is reached, too.
        1 => token(&signed(rest)),
        2 => {
            let dpop = Dpop::new(DpopRules::default(), [1; 32]);
            let call = ProvedCall { method: "GET", scheme: "https", authority: "a", path: "/" };
            let _ = dpop.verify(&text, &call, "token", Thumbprint([0; 32]), NOW);
        }
        3 => {
            let all: Vec<Algorithm> = Algorithm::ASYMMETRIC.into_iter().chain(Algorithm::SYMMETRIC).collect();
            if let Ok(set) = KeySet::parse(rest, &JwkRules { algorithms: &all }) {
                assert!(!set.keys().is_empty());
            }
        }
        4 => {
            let _ = Metadata::parse(rest, "https://a");
            let opaque = Introspection::new("https://a", IntrospectionRules::default(), [1; 32], 10);
            let _ = opaque.store("token", Fetched::Answer { status: 200, body: rest, max_age_s: None }, NOW);
        }
        _ => {
            let _ = CertificateIdentity::parse(rest);
        }
    }
});

fn signed(rest: &[u8]) -> String {
    let at = rest.iter().position(|&byte| byte == 0).unwrap_or(0);
    let (header, claims) = rest.split_at(at);
    let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let input = format!("{}.{}", encode(header), encode(claims.get(1..).unwrap_or_default()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", encode(tag.as_ref()))
}

fn token(text: &str) {
    let issuer = Issuer::fixed("https://a", KEYS.clone(), TokenRules::default());
    let issuers = Issuers::new([issuer], TokenCache::new([1; 32], 10));
    let Verification::Verified(facts) = issuers.verify(text, NOW) else { return };
    // Accepted: then it is canonical, and says what a plain reader reads in it.
    assert!(Jws::parse(text, &JwsRules::default()).is_ok());
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("not three parts") };
    for part in [header, claims, signature] {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64url");
        assert_eq!(data_encoding::BASE64URL_NOPAD.encode(&bytes), **part);
    }
    let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["iss"], "https://a");
    assert_eq!(facts.subject(), claims["sub"].as_str());
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp + 30.0 > 1_800_000_000.0));
}
