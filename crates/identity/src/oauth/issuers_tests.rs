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

fn ready(keys: &[&SigningKey]) -> Issuers {
    let issuers = issuers(KeysFrom::KeySet("https://issuer.example/keys".into()));
    fetch(&issuers, &jwks(keys.iter().copied()), now(0));
    issuers
}

fn outcome(issuers: &Issuers, token: &str, at: Now) -> String {
    match issuers.verify(token, at) {
        Verification::Verified(_) => "verified".to_owned(),
        Verification::NeedKeys(_) => "need keys".to_owned(),
        Verification::Refused(error) => format!("{error:?}"),
        Verification::Unavailable { retry_after_s } => format!("unavailable for {retry_after_s}"),
        Verification::Opaque => "opaque".to_owned(),
    }
}

#[test]
fn what_was_verified_is_known_until_it_ends() {
    let key = SigningKey::new("ES256", "k");
    let issuers = ready(&[&key]);
    let token = key.token(json!({"typ": "at+jwt"}), &claims());
    let facts = |at| match issuers.verify(&token, at) {
        Verification::Verified(facts) => Some(facts),
        _ => None,
    };
    let first = facts(now(0)).unwrap();
    assert!(Arc::ptr_eq(&first, &facts(now(599)).unwrap()), "the same facts, not verified again");
    assert_eq!(issuers.cache.len(), 1);
    let late = facts(now(600)).unwrap();
    assert!(!Arc::ptr_eq(&first, &late), "within the leeway it is verified each time");
    assert_eq!(late.check(&["orders"], NOW_S + 629, 30), Ok(()));
    assert!(issuers.cache.is_empty());
    assert_eq!(outcome(&issuers, &token, now(630)), "Expired");
}

#[test]
fn what_a_key_proved_ends_with_the_key() {
    let [old, new] = ["old", "new"].map(|kid| SigningKey::new("ES256", kid));
    let issuers = ready(&[&old]);
    let token = old.token(json!({}), &claims());
    assert_eq!(outcome(&issuers, &token, now(0)), "verified");
    fetch(&issuers, &jwks([&old, &new]), now(30));
    assert_eq!(outcome(&issuers, &token, now(30)), "verified");
    fetch(&issuers, &jwks([&new]), now(60));
    assert_eq!(outcome(&issuers, &token, now(60)), "UnknownKey");
    assert_eq!(outcome(&issuers, &new.token(json!({}), &claims()), now(60)), "verified");
}

#[test]
fn keys_are_not_asked_for_in_vain() {
    let key = SigningKey::new("ES256", "k");
    let issuers = ready(&[&key]);
    // 30 seconds later a fetch would be allowed, and none of these is worth one.
    for (header, claims) in [
        (json!({"alg": "HS256"}), claims()),
        (json!({"alg": "none"}), claims()),
        (json!({"kid": "other", "crit": ["x"]}), claims()),
        (json!({"kid": "other", "jwk": {}}), claims()),
        (json!({"kid": "other"}), json!({"iss": "https://other.example"})),
    ] {
        let outcome = outcome(&issuers, &key.token(header.clone(), &claims), now(30));
        assert!(!["need keys", "verified"].contains(&&*outcome), "{header}: {outcome}");
    }
    assert_eq!(outcome(&issuers, &key.token(json!({"kid": "other"}), &claims()), now(29)), "UnknownKey");
    assert_eq!(outcome(&issuers, &key.token(json!({"kid": "other"}), &claims()), now(30)), "need keys");
}

#[test]
fn issuers_are_kept_apart() {
    let [a, b] = ["a", "b"].map(|kid| SigningKey::new("ES256", kid));
    let fixed = |name: &str, key: &SigningKey, rules| {
        let set = KeySet::parse(jwks([key]).as_bytes(), &crate::jose::JwkRules::default()).unwrap();
        Issuer::fixed(format!("https://{name}.example"), set, rules)
    };
    let small = TokenRules { max_bytes: 600, ..TokenRules::default() };
    let issuers = Issuers::new(
        [fixed("a", &a, TokenRules::default()), fixed("b", &b, small)],
        TokenCache::new([1; 32], 1000),
    );
    let of = |name: &str, more: &str| {
        let mut claims = claims();
        claims["iss"] = format!("https://{name}.example").into();
        claims["more"] = more.into();
        claims
    };
    assert_eq!(outcome(&issuers, &a.token(json!({}), &of("a", "")), now(0)), "verified");
    assert_eq!(outcome(&issuers, &b.token(json!({}), &of("b", "")), now(0)), "verified");
    assert_eq!(outcome(&issuers, &a.token(json!({}), &of("b", "")), now(0)), "UnknownKey");
    assert_eq!(outcome(&issuers, &a.token(json!({"kid": "b"}), &of("b", "")), now(0)), "Signature");
    assert_eq!(outcome(&issuers, &b.token(json!({}), &of("a", "")), now(0)), "UnknownKey");
    let long = "x".repeat(600);
    assert_eq!(outcome(&issuers, &a.token(json!({}), &of("a", &long)), now(0)), "verified");
    assert_eq!(outcome(&issuers, &b.token(json!({}), &of("b", &long)), now(0)), "TooLarge");
    // The bound itself is within it.
    let token = b.token(json!({}), &of("b", &long));
    for (max_bytes, expected) in [(token.len(), "verified"), (token.len() - 1, "TooLarge")] {
        let rules = TokenRules { max_bytes, ..TokenRules::default() };
        let wide = fixed("a", &a, TokenRules::default());
        let one = Issuers::new([fixed("b", &b, rules.clone())], TokenCache::new([1; 32], 1000));
        let beside = Issuers::new([wide, fixed("b", &b, rules)], TokenCache::new([1; 32], 1000));
        assert_eq!(outcome(&one, &token, now(0)), expected);
        assert_eq!(outcome(&beside, &token, now(0)), expected);
    }
    assert_eq!(issuers.all()[1].rules().max_bytes, 600);
    assert!(!issuers.cache.is_empty());
    assert_eq!(issuers.all().len(), 2);
    assert!(issuers.get("https://a.example").is_some() && issuers.get("https://c.example").is_none());
    let again = Issuers::new(
        [fixed("a", &a, TokenRules::default()), fixed("a", &b, TokenRules::default())],
        TokenCache::new([1; 32], 1000),
    );
    assert_eq!(again.all().len(), 1, "the last of a name counts");
    assert_eq!(outcome(&again, &b.token(json!({}), &of("a", "")), now(0)), "verified");
}

#[test]
fn a_contracts_address_is_enough() {
    let key = SigningKey::new("ES256", "k");
    let issuers =
        issuers(KeysFrom::WellKnown("https://issuer.example/.well-known/openid-configuration".into()));
    let of = |issuer: &str| {
        let mut claims = claims();
        claims["iss"] = issuer.into();
        key.token(json!({}), &claims)
    };
    assert_eq!(outcome(&issuers, &of("https://issuer.example/"), now(0)), "need keys");
    let keys = issuers.all()[0].keys();
    let Begin::Fetch(first) = keys.begin(now(0)) else { panic!() };
    let metadata = br#"{"issuer":"https://issuer.example/","jwks_uri":"https://issuer.example/keys"}"#;
    let answer = Fetched::Answer { status: 200, body: metadata, max_age_s: None };
    let Finish::Next(next) = keys.finish(&first, answer, now(0)) else { panic!() };
    let set = jwks([&key]);
    keys.finish(&next, Fetched::Answer { status: 200, body: set.as_bytes(), max_age_s: None }, now(0));
    assert_eq!(outcome(&issuers, &of("https://issuer.example/"), now(0)), "verified");
    assert_eq!(
        outcome(&issuers, &of("https://issuer.example"), now(0)),
        "Issuer",
        "the metadata say which it is"
    );
}

#[test]
fn a_gone_issuer_is_told_from_a_bad_token() {
    let issuers = issuers(KeysFrom::KeySet("https://issuer.example/keys".into()));
    let token = SigningKey::new("ES256", "k").token(json!({}), &claims());
    let keys = issuers.all()[0].keys();
    let Begin::Fetch(fetch) = keys.begin(now(0)) else { panic!() };
    keys.finish(&fetch, Fetched::Failed, now(0));
    assert_eq!(outcome(&issuers, &token, now(10)), "unavailable for 20");
    assert_eq!(outcome(&issuers, &token, now(30)), "need keys");
}

#[test]
fn a_cache_of_nothing_works_too() {
    let key = SigningKey::new("ES256", "k");
    let set = KeySet::parse(jwks([&key]).as_bytes(), &crate::jose::JwkRules::default()).unwrap();
    let issuers = Issuers::new(
        [Issuer::fixed("https://issuer.example", set, TokenRules::default())],
        TokenCache::default(),
    );
    let token = key.token(json!({}), &claims());
    assert_eq!(
        (outcome(&issuers, &token, now(0)), outcome(&issuers, &token, now(0))),
        ("verified".into(), "verified".into())
    );
    assert!(issuers.cache.is_empty());
}
