//! A secret planted in every type that holds a credential shows in nothing that is printed.

use portcullis_engine::{CredentialKind, Now};
use portcullis_identity::dpop::{Dpop, DpopRules};
use portcullis_identity::jose::{Algorithm, JwkRules, Jws, JwsRules, KeySet, VerificationKey};
use portcullis_identity::oauth::{
    Begin, Fetched, Introspected, Introspection, IntrospectionRules, Issuer, Issuers, KeyTimes, KeysFrom,
    TokenCache, TokenRules, Verification,
};
use portcullis_identity::{
    AssertionSigner, KeyEntry, KeyRing, KeyRingHandle, Pepper, Secret, StretchCost, Stretcher,
};
use serde_json::json;

use crate::support::{SigningKey, b64, jwks};

const CANARY: &str = "canary-7f3a9c";
const NOW: Now = Now { unix_ns: 1_800_000_000_000_000_000, mono_ns: 1_000_000_000_000 };

/// `text` shows neither the canary, nor its bytes, nor `more`.
fn silent(what: &str, text: &str, more: &[&str]) {
    let bytes = format!("{:?}", CANARY.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    for secret in [CANARY, bytes, &hex, &b64(CANARY)].into_iter().chain(more.iter().copied()) {
        assert!(!text.contains(secret), "{what} prints `{secret}`: {text}");
    }
}

#[test]
fn keys_and_what_guards_them() {
    let mut random = [0; 32];
    random[..CANARY.len()].copy_from_slice(CANARY.as_bytes());
    let secret = Secret::api_key(&random);
    silent("a secret", &format!("{secret:?}"), &[secret.expose(), &secret.expose()[8..20]]);
    let pepper = Pepper::new(random);
    silent("a pepper", &format!("{pepper:?} {pepper:#?}"), &[]);
    let entry = KeyEntry::new(pepper.digest(CANARY), CredentialKind::ApiKey, "shop", "key-1");
    let digest: String = entry.digest.0.iter().take(4).map(|byte| format!("{byte}, ")).collect();
    silent("an entry", &format!("{entry:?}"), &[&digest]);
    let ring = KeyRingHandle::new(KeyRing::new(pepper.clone(), [entry]).unwrap());
    silent("a ring", &format!("{ring:?} {:?}", ring.load()), &[&digest]);
    let cost = StretchCost { memory_kib: 8, passes: 1 };
    silent("a stretcher", &format!("{:?}", Stretcher::new(&pepper, cost).unwrap()), &[]);
    silent("a judge of proofs", &format!("{:?}", Dpop::new(DpopRules::default(), random)), &[]);
    let pkcs8 = AssertionSigner::generate_pkcs8().unwrap();
    let private = format!("{:?}", &pkcs8[36..48]);
    let signer = AssertionSigner::from_pkcs8(&pkcs8, "gateway", 30).unwrap();
    silent("a signer", &format!("{signer:?}"), &[private.trim_matches(['[', ']'])]);
}

#[test]
fn shared_secrets() {
    let jwk = json!({"kty": "oct", "alg": "HS256", "kid": "k", "k": b64(CANARY.repeat(4))}).to_string();
    let rules = JwkRules { algorithms: &[Algorithm::Hs256] };
    let key = VerificationKey::from_jwk(jwk.as_bytes(), &rules).unwrap();
    let thumbprint = key.thumbprint().to_string();
    silent("a shared secret", &format!("{key:?} {key:#?}"), &[&thumbprint]);
    let set = KeySet::of(key);
    silent("a set of them", &format!("{set:?}"), &[&thumbprint]);
    let issuer = Issuer::fixed("https://issuer.example", set, TokenRules::default());
    silent("an issuer with them", &format!("{issuer:?}"), &[&thumbprint]);
}

#[test]
fn tokens() {
    let key = SigningKey::new("ES256", "k");
    let claims = json!({
        "iss": "https://issuer.example", "sub": CANARY, "aud": "orders", "exp": 1_800_000_100, "email": CANARY,
        "jti": "t", "scope": "a",
    });
    let token = key.token(json!({"typ": "at+jwt", "x": CANARY}), &claims);
    let parts: Vec<&str> = token.split('.').collect();
    let jws = Jws::parse(&token, &JwsRules::default()).unwrap();
    silent("a token that was read", &format!("{jws:?} {jws:#?}"), &parts);
    let issuer = Issuer::fetched(
        "https://issuer.example",
        KeysFrom::KeySet("https://issuer.example/keys".into()),
        Algorithm::ASYMMETRIC,
        KeyTimes::default(),
        TokenRules::default(),
    );
    let issuers = Issuers::new([issuer], TokenCache::new([1; 32], 10));
    let Begin::Fetch(fetch) = issuers.all()[0].keys().begin(NOW) else { panic!() };
    let set = jwks([&key]);
    let answer = Fetched::Answer { status: 200, body: set.as_bytes(), max_age_s: None };
    issuers.all()[0].keys().finish(&fetch, answer, NOW);
    let verification = issuers.verify(&token, NOW);
    assert!(matches!(verification, Verification::Verified(_)));
    silent("a verified token", &format!("{verification:?}"), &parts);
    silent("the issuers", &format!("{issuers:?}"), &parts);
    for end in (1..token.len()).step_by(7) {
        let refused = issuers.verify(&token[..end], NOW);
        silent("a refusal", &format!("{refused:?}"), &parts);
        if let Verification::Refused(error) = refused {
            silent("its text", &error.to_string(), &parts);
        }
    }
    let opaque = Introspection::new("https://issuer.example", IntrospectionRules::default(), [1; 32], 10);
    let answer = json!({"active": true, "sub": CANARY, "aud": "orders"}).to_string();
    let answer = Fetched::Answer { status: 200, body: answer.as_bytes(), max_age_s: None };
    let known = opaque.store(CANARY, answer, NOW).unwrap();
    assert!(matches!(known, Introspected::Active(_)));
    silent("an opaque token", &format!("{known:?} {opaque:?}"), &[]);
}
