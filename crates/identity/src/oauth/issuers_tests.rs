use serde_json::{Value, json};

use super::*;
use crate::oauth::{Begin, Fetched, Finish};
use crate::support::{SigningKey, jwks};

const NOW_S: u64 = 1_800_000_000;

fn now(after_s: u64) -> Now {
    Now { unix_ns: (NOW_S + after_s) * SECOND, mono_ns: (1000 + after_s) * SECOND }
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": ["orders"], "sub": "alice", "client_id": "app",
        "iat": NOW_S, "exp": NOW_S + 600, "jti": "t-1", "scope": "orders:read orders:write",
    })
}

fn issuers(from: KeysFrom) -> Issuers {
    let issuer = Issuer::fetched(
        "https://issuer.example",
        from,
        Algorithm::ASYMMETRIC,
        KeyTimes::default(),
        TokenRules::default(),
    );
    Issuers::new([issuer], TokenCache::new([1; 32], 1000))
}

fn fetch(issuers: &Issuers, set: &str, now: Now) -> Finish {
    let keys = issuers.all()[0].keys();
    let Begin::Fetch(fetch) = keys.begin(now) else { panic!("no leave to fetch") };
    keys.finish(&fetch, Fetched::Answer { status: 200, body: set.as_bytes(), max_age_s: None }, now)
}

#[test]
fn a_token_is_verified_once_its_keys_are_there() {
    let issuers = issuers(KeysFrom::KeySet("https://issuer.example/keys".into()));
    for (index, alg) in ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS384"].into_iter().enumerate() {
        let key = SigningKey::new(alg, alg);
        let token = key.token(json!({"typ": "at+jwt"}), &claims());
        let at = now(40 * index as u64);
        assert!(matches!(issuers.verify(&token, at), Verification::NeedKeys(_)), "{alg}");
        assert_eq!(fetch(&issuers, &jwks([&key]), at), Finish::Done { usable: 1, skipped: 0 });
        let Verification::Verified(facts) = issuers.verify(&token, at) else { panic!("{alg}") };
        assert_eq!(facts.subject(), Some("alice"));
        assert_eq!(
            facts.principal().scopes.iter().map(|s| &**s).collect::<Vec<_>>(),
            ["orders:read", "orders:write"]
        );
        assert_eq!(facts.check(&["orders"], NOW_S, 0), Ok(()));
        assert_eq!(facts.check(&["payments"], NOW_S, 0), Err(TokenError::Audience));
    }
}
