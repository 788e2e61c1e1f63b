use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;

use super::*;
use crate::jose::key::Message;
use crate::jose::{KeySet, KeySetError, MAX_KEYS};
use crate::support::{SigningKey, b64};

fn from(jwk: &Value) -> Result<VerificationKey, JwkError> {
    VerificationKey::from_jwk(jwk.to_string().as_bytes(), &JwkRules::default())
}

fn with(jwk: &Value, name: &str, value: Value) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value;
    jwk
}

fn without(jwk: &Value, name: &str) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

#[test]
fn a_key_is_for_exactly_one_algorithm() {
    for alg in ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS512"] {
        let key = SigningKey::new(alg, "k");
        let read = from(&key.jwk()).unwrap();
        assert_eq!((read.algorithm().name(), read.kid()), (alg, Some("k")));
        let signature = key.sign(b"message");
        let signed = |bytes: &'static [u8], hashed: bool| {
            let sha256 = hashed.then(|| digest(&SHA256, bytes));
            read.verifies(&Message { bytes, sha256 }, &signature)
        };
        for hashed in [false, true] {
            assert!(signed(b"message", hashed), "{alg}");
            assert!(!signed(b"messagf", hashed), "{alg}");
        }
        // Without `alg` it follows from the type and curve; an RSA key's is the first that is configured.
        let implied = if alg == "PS512" { "RS256" } else { alg };
        assert_eq!(from(&key.bare_jwk()).unwrap().algorithm().name(), implied);
        for other in ["none", "ES256K", "RSA-OAEP", "HS256", "es256", "ECDH-ES", "A128KW", ""] {
            assert_eq!(
                from(&with(&key.jwk(), "alg", other.into())).unwrap_err(),
                JwkError::Algorithm,
                "{alg} {other}"
            );
        }
        assert_eq!(from(&with(&key.jwk(), "alg", 7.into())).unwrap_err(), JwkError::Member("alg"));
    }
    let ec = SigningKey::new("ES256", "k").jwk();
    assert_eq!(from(&with(&ec, "alg", "ES384".into())).unwrap_err(), JwkError::Algorithm);
    assert_eq!(from(&with(&ec, "alg", "EdDSA".into())).unwrap_err(), JwkError::Algorithm);
    let ed = SigningKey::new("EdDSA", "k").jwk();
    assert_eq!(from(&with(&ed, "alg", "Ed25519".into())).unwrap().algorithm(), Algorithm::EdDsa);
    let rsa = SigningKey::new("RS256", "k").bare_jwk();
    let only = |algorithms: &[Algorithm]| {
        VerificationKey::from_jwk(rsa.to_string().as_bytes(), &JwkRules { algorithms })
            .map(|key| key.algorithm())
    };
    assert_eq!(only(&[Algorithm::Es256, Algorithm::Ps384, Algorithm::Rs256]).unwrap(), Algorithm::Ps384);
    assert_eq!(only(&[Algorithm::Es256]).unwrap_err(), JwkError::Algorithm);
    assert_eq!(only(&[]).unwrap_err(), JwkError::Algorithm);
}

#[test]
fn members_must_be_whole_and_canonical() {
    let ec = SigningKey::new("ES256", "k").jwk();
    let [x, y] = ["x", "y"].map(|name| ec[name].as_str().unwrap().to_owned());
    for (jwk, error) in [
        (without(&ec, "kty"), JwkError::KeyType),
        (with(&ec, "kty", "ec".into()), JwkError::KeyType),
        (with(&ec, "kty", 1.into()), JwkError::Member("kty")),
        (with(&ec, "kty", "RSA".into()), JwkError::Algorithm),
        (with(&without(&ec, "alg"), "kty", "RSA".into()), JwkError::Member("n")),
        (without(&ec, "crv"), JwkError::Member("crv")),
        (with(&ec, "crv", "P-192".into()), JwkError::Member("crv")),
        (with(&ec, "crv", "secp256k1".into()), JwkError::Member("crv")),
        (with(&ec, "crv", "P-384".into()), JwkError::Algorithm),
        (with(&without(&ec, "alg"), "crv", "P-384".into()), JwkError::Member("x")),
        (without(&ec, "x"), JwkError::Member("x")),
        (with(&ec, "x", format!("{x}=").into()), JwkError::Member("x")),
        (with(&ec, "x", b64([0; 31]).into()), JwkError::Member("x")),
        (with(&ec, "y", b64([0; 33]).into()), JwkError::Member("y")),
        (with(&ec, "y", y[1..].into()), JwkError::Member("y")),
        (with(&ec, "y", x.clone().into()), JwkError::Invalid),
        (with(&with(&ec, "x", b64([0; 32]).into()), "y", b64([0; 32]).into()), JwkError::Invalid),
        (with(&ec, "use", "enc".into()), JwkError::NotForSignatures),
        (with(&ec, "use", "".into()), JwkError::NotForSignatures),
        (with(&ec, "use", 1.into()), JwkError::Member("use")),
        (with(&ec, "key_ops", json!([])), JwkError::NotForSignatures),
        (with(&ec, "key_ops", json!(["sign"])), JwkError::NotForSignatures),
        (with(&ec, "key_ops", json!(["verify", "verify"])), JwkError::NotForSignatures),
        (with(&ec, "key_ops", json!("verify")), JwkError::Member("key_ops")),
        (with(&ec, "key_ops", json!(["verify", 1])), JwkError::Member("key_ops")),
        (with(&ec, "kid", 1.into()), JwkError::Member("kid")),
        (with(&ec, "kid", "k".repeat(MAX_KID_BYTES + 1).into()), JwkError::Member("kid")),
    ] {
        assert_eq!(from(&jwk).unwrap_err(), error, "{jwk}");
    }
    assert!(from(&with(&ec, "key_ops", json!(["verify", "sign"]))).is_ok());
    assert!(from(&with(&ec, "kid", "k".repeat(MAX_KID_BYTES).into())).is_ok());
    for private in PRIVATE {
        assert_eq!(from(&with(&ec, private, "AQ".into())).unwrap_err(), JwkError::Private, "{private}");
    }
    let ed = SigningKey::new("EdDSA", "k").jwk();
    assert_eq!(from(&with(&ed, "crv", "Ed448".into())).unwrap_err(), JwkError::Member("crv"));
    assert_eq!(from(&with(&ed, "crv", "X25519".into())).unwrap_err(), JwkError::Member("crv"));
    assert_eq!(from(&with(&ed, "x", b64([1; 31]).into())).unwrap_err(), JwkError::Member("x"));
    for text in ["", "null", "[]", "\"x\"", "{", r#"{"kty":"EC","kty":"EC"}"#] {
        assert_eq!(
            VerificationKey::from_jwk(text.as_bytes(), &JwkRules::default()).unwrap_err(),
            JwkError::NotAnObject
        );
    }
}

#[test]
fn weak_rsa_keys_are_refused() {
    let rsa = SigningKey::new("RS256", "k").jwk();
    let n = base64url::decode(rsa["n"].as_str().unwrap().as_bytes()).unwrap();
    let modulus = |bytes: &[u8]| from(&with(&rsa, "n", b64(bytes).into()));
    let exponent = |bytes: &[u8]| from(&with(&rsa, "e", b64(bytes).into()));
    assert_eq!(modulus(&n[..255]).unwrap_err(), JwkError::Weak);
    assert_eq!(modulus(&[&[0], n.as_slice()].concat()).unwrap_err(), JwkError::Member("n"));
    assert_eq!(modulus(&[]).unwrap_err(), JwkError::Member("n"));
    // The same length in bytes, and one bit less.
    let mut short = n.clone();
    short[0] = 0x7f;
    assert_eq!(modulus(&short).unwrap_err(), JwkError::Weak);
    let mut even = n.clone();
    even[255] &= 0xfe;
    assert_eq!(modulus(&even).unwrap_err(), JwkError::Weak);
    assert_eq!(modulus(&[n.as_slice(), &[0xff; 769]].concat()).unwrap_err(), JwkError::Weak);
    assert!(modulus(&[n.as_slice(), &[0xff; 768]].concat()).is_ok(), "8192 bits");
    for (bytes, error) in [
        (&[1][..], JwkError::Weak),
        (&[2], JwkError::Weak),
        (&[1, 0], JwkError::Weak),
        (&[1, 0, 0, 0, 1], JwkError::Weak),
        (&[0, 1, 0, 1], JwkError::Member("e")),
        (&[], JwkError::Member("n")),
    ] {
        assert_eq!(exponent(bytes).unwrap_err(), error, "{bytes:?}");
    }
    assert!(exponent(&[3]).is_ok() && exponent(&[1, 0, 0, 1]).is_ok());
    // A power of 65537, which is what the faulty generator's moduli are modulo every small prime.
    let mut power = vec![1u8];
    while power.len() < 257 {
        let times: u64 = 65537;
        let mut carry = 0u64;
        for byte in &mut power {
            let value = u64::from(*byte) * times + carry;
            *byte = value as u8;
            carry = value >> 8;
        }
        while carry > 0 {
            power.push(carry as u8);
            carry >>= 8;
        }
    }
    power.reverse();
    assert_eq!(modulus(&power).unwrap_err(), JwkError::Roca);
}

#[test]
fn shared_secrets_only_where_they_are_asked_for_and_long_enough() {
    let oct =
        |alg: &str, bytes: usize| json!({"kty": "oct", "alg": alg, "kid": "s", "k": b64(vec![7; bytes])});
    let read = |jwk: &Value, algorithms: &[Algorithm]| {
        VerificationKey::from_jwk(jwk.to_string().as_bytes(), &JwkRules { algorithms })
            .map(|key| key.algorithm())
    };
    assert_eq!(from(&oct("HS256", 64)).unwrap_err(), JwkError::Algorithm);
    for (alg, least) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        assert!(read(&oct(alg, least), &Algorithm::SYMMETRIC).is_ok(), "{alg}");
        assert_eq!(read(&oct(alg, least - 1), &Algorithm::SYMMETRIC), Err(JwkError::Weak), "{alg}");
        assert_eq!(read(&oct(alg, 0), &Algorithm::SYMMETRIC), Err(JwkError::Weak), "{alg}");
        assert_eq!(read(&without(&oct(alg, 64), "alg"), &Algorithm::SYMMETRIC), Err(JwkError::Algorithm));
        assert_eq!(read(&without(&oct(alg, 64), "k"), &Algorithm::SYMMETRIC), Err(JwkError::Member("k")));
    }
    assert_eq!(read(&oct("HS256", 64), &[Algorithm::Hs512]), Err(JwkError::Algorithm));
    assert_eq!(read(&oct("RS256", 64), &Algorithm::ASYMMETRIC), Err(JwkError::Algorithm));
}

fn set(keys: &[Value]) -> Result<KeySet, KeySetError> {
    let all: Vec<Algorithm> = Algorithm::ASYMMETRIC.into_iter().chain(Algorithm::SYMMETRIC).collect();
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), &JwkRules { algorithms: &all })
}

fn kids(set: &KeySet) -> Vec<&str> {
    set.keys().iter().map(|key| key.kid().unwrap_or("-")).collect()
}

fn reasons(set: &KeySet) -> Vec<(usize, Option<&str>, JwkError)> {
    set.skipped().iter().map(|skipped| (skipped.index, skipped.kid.as_deref(), skipped.reason)).collect()
}

#[test]
fn one_bad_key_does_not_cost_the_others() {
    let [a, b] = ["a", "b"].map(|kid| SigningKey::new("ES256", kid).jwk());
    let found = set(&[
        a.clone(),
        json!(7),
        with(&b, "use", "enc".into()),
        json!({"kty": "new", "kid": "n"}),
        with(&b, "kid", "weak".into()),
        with(&with(&b, "y", "AA".into()), "kid", "bad".into()),
    ])
    .unwrap();
    assert_eq!(kids(&found), ["a", "weak"]);
    assert_eq!(
        reasons(&found),
        [
            (1, None, JwkError::NotAnObject),
            (2, Some("b"), JwkError::NotForSignatures),
            (3, Some("n"), JwkError::KeyType),
            (5, Some("bad"), JwkError::Member("y")),
        ]
    );
    assert!(matches!(set(&[json!({"kty": "new"})]), Err(KeySetError::NoKey)));
    assert!(matches!(set(&[]), Err(KeySetError::NoKey)));
    let parse = |text: &str| KeySet::parse(text.as_bytes(), &JwkRules::default()).unwrap_err();
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert_eq!(parse(text), KeySetError::NotAKeySet, "{text}");
    }
    assert_eq!(parse(&" ".repeat(crate::jose::MAX_KEY_SET_BYTES)), KeySetError::NotAKeySet);
    assert_eq!(parse(&" ".repeat(crate::jose::MAX_KEY_SET_BYTES + 1)), KeySetError::TooLarge);
    let one = VerificationKey::from_jwk(a.to_string().as_bytes(), &JwkRules::default()).unwrap();
    let print = one.thumbprint();
    assert_eq!(format!("{print:?}"), format!("Thumbprint({print})"));
    let printed = format!("{one:?}");
    assert!(printed.contains("Es256") && printed.contains(&print.to_string()), "{printed}");
    assert_eq!(kids(&KeySet::of(one)), ["a"]);
}

#[test]
fn names_must_be_unambiguous() {
    let [a, b] = ["a", "b"].map(|kid| SigningKey::new("ES256", kid).jwk());
    let other = SigningKey::new("ES384", "a").jwk();
    let same = |kid: &str| with(&b, "kid", kid.into());
    assert!(matches!(set(&[a.clone(), same("a")]), Err(KeySetError::NoKey)));
    let found = set(&[a.clone(), same("a"), b.clone()]).unwrap();
    assert_eq!(kids(&found), ["b"]);
    assert_eq!(reasons(&found), [(0, Some("a"), JwkError::SameKid), (1, Some("a"), JwkError::SameKid)]);
    // The same key twice is one; another algorithm is told apart by it; an encryption key takes no name.
    assert_eq!(kids(&set(&[a.clone(), a.clone()]).unwrap()), ["a"]);
    assert_eq!(kids(&set(&[a.clone(), other.clone()]).unwrap()), ["a", "a"]);
    assert_eq!(kids(&set(&[a.clone(), with(&same("a"), "use", "enc".into())]).unwrap()), ["a"]);
    // What cannot be read might be the one that is meant, unless it is for another algorithm.
    assert!(set(&[a.clone(), with(&same("a"), "y", "AA".into())]).is_err());
    assert!(set(&[a.clone(), without(&with(&same("a"), "y", "AA".into()), "alg")]).is_err());
    assert_eq!(kids(&set(&[a.clone(), with(&other, "y", "AA".into())]).unwrap()), ["a"]);
    // Nameless keys are never ambiguous: all are tried.
    let nameless = set(&[without(&a, "kid"), without(&b, "kid")]).unwrap();
    assert_eq!(nameless.candidates(None, Algorithm::Es256).count(), 2);
    assert_eq!(nameless.candidates(Some("a"), Algorithm::Es256).count(), 0);
    assert_eq!(nameless.candidates(None, Algorithm::Es384).count(), 0);
    // Shared secrets beside public keys are not used.
    let secret = SigningKey::new("HS256", "s").jwk();
    let mixed = set(&[secret.clone(), a.clone()]).unwrap();
    assert_eq!((kids(&mixed), reasons(&mixed)), (vec!["a"], vec![(0, Some("s"), JwkError::Mixed)]));
    assert_eq!(kids(&set(&[secret]).unwrap()), ["s"]);
}

#[test]
fn sets_are_bounded() {
    let key = SigningKey::new("ES256", "k").bare_jwk();
    let many: Vec<Value> = (0..MAX_KEYS + 50).map(|n| with(&key, "kid", n.to_string().into())).collect();
    let found = set(&many).unwrap();
    assert_eq!(found.keys().len(), MAX_KEYS);
    assert_eq!(reasons(&found), [(MAX_KEYS, None, JwkError::TooMany)]);
    assert_eq!(found.candidates(None, Algorithm::Es256).count(), 8);
    assert_eq!(found.candidates(Some("99"), Algorithm::Es256).count(), 1);
}
