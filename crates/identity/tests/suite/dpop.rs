//! The proofs of `tests/attacks/dpop.json`: every check of RFC 9449 section 4.3, those of the FAPI 2.0 conformance
//! tests for resource servers among them.

use portcullis_engine::Now;
use portcullis_identity::dpop::{Dpop, DpopError, DpopRules, ProvedCall};
use portcullis_identity::jose::{Algorithm, JwkRules, Thumbprint, TokenError, VerificationKey};
use serde_json::{Map, Value, json};

use crate::support::{SigningKey, b64, hmac_with};

const NOW: Now = at(0);
const TOKEN: &str = "the.access.token";

const fn at(after_s: i64) -> Now {
    let unix_s = (1_800_000_000 + after_s) as u64;
    Now { unix_ns: unix_s * 1_000_000_000, mono_ns: (1_000_000 + after_s) as u64 * 1_000_000_000 }
}

fn thumbprint(key: &SigningKey) -> Thumbprint {
    VerificationKey::from_jwk(key.jwk().to_string().as_bytes(), &JwkRules::default()).unwrap().thumbprint()
}

fn merged(case: &Value, part: &str, base: Value) -> String {
    if let Some(text) = case[format!("{part}_text")].as_str() {
        return text.to_owned();
    }
    let mut members: Map<String, Value> = base.as_object().unwrap().clone();
    for (name, value) in case[part].as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    let text = Value::Object(members).to_string();
    match case[format!("{part}_more")].as_str() {
        Some(more) => format!("{},{more}}}", text.strip_suffix('}').unwrap()),
        None => text,
    }
}

fn proof(case: &Value, key: &SigningKey, other: &SigningKey, dpop: &Dpop, jti: &str) -> String {
    let mut jwk = key.bare_jwk();
    for (name, value) in case["jwk"].as_object().into_iter().flatten() {
        jwk[name] = value.clone();
    }
    let ath =
        Thumbprint::of(if case["token"] == "other" { b"another.access.token" } else { TOKEN.as_bytes() });
    let mut claims = json!({
        "jti": jti, "htm": "GET", "htu": "https://api.example.com/orders/7", "iat": 1_800_000_000,
        "ath": ath.to_string(),
    });
    if case["ath_hex"] == true {
        claims["ath"] = data_encoding::HEXLOWER.encode(&ath.0).into();
    }
    if case["huge_jti"] == true {
        claims["jti"] = "x".repeat(600).into();
    }
    match case["nonce"].as_str() {
        None => {}
        Some("current") => claims["nonce"] = dpop.nonce(NOW).into(),
        Some("previous") => claims["nonce"] = dpop.nonce(at(-60)).into(),
        Some("old") => claims["nonce"] = dpop.nonce(at(-120)).into(),
        Some("next") => claims["nonce"] = dpop.nonce(at(60)).into(),
        Some("foreign") => claims["nonce"] = Dpop::new(DpopRules::default(), [9; 32]).nonce(NOW).into(),
        Some(other) => panic!("unknown nonce `{other}`"),
    }
    let header = merged(case, "header", json!({"typ": "dpop+jwt", "alg": key.alg, "jwk": jwk}));
    let claims = merged(case, "claims", claims);
    let input = format!("{}.{}", b64(header), b64(claims));
    let how = case["sign"].as_str().unwrap_or("key");
    let signature = match how {
        "key" => key.sign(input.as_bytes()),
        "other" => other.sign(input.as_bytes()),
        "none" => Vec::new(),
        "zero" => vec![0; 64],
        "flip" => {
            let mut signature = key.sign(input.as_bytes());
            signature[10] ^= 1;
            signature
        }
        "hmac-public" => hmac_with("HS256", key.bare_jwk().to_string().as_bytes(), input.as_bytes()),
        secret => hmac_with("HS256", secret.strip_prefix("hmac:").unwrap().as_bytes(), input.as_bytes()),
    };
    let proof = format!("{input}.{}", b64(signature));
    case["edit"].as_array().into_iter().flatten().fold(proof, |proof, edit| {
        let edit = edit.as_str().unwrap();
        match edit.split_once(':').unwrap_or((edit, "")) {
            ("append", text) => format!("{proof}{text}"),
            ("whole", text) => text.to_owned(),
            _ => format!("{proof}{}", "A".repeat(8 << 10)),
        }
    })
}

#[test]
fn every_check_of_section_4_3() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../attacks/dpop.json")).unwrap();
    let other = SigningKey::new("ES256", "other");
    let mut refused = 0;
    for (index, case) in cases.iter().enumerate() {
        let name = case["name"].as_str().unwrap();
        let key = SigningKey::new(
            match case["key"].as_str() {
                Some("EdDSA") => "EdDSA",
                Some("PS256") => "PS256",
                Some("RS256") => "RS256",
                Some("ES384") => "ES384",
                _ => "ES256",
            },
            "key",
        );
        let rules = DpopRules { require_nonce: case["require_nonce"] == true, ..DpopRules::default() };
        let dpop = Dpop::new(rules, [7; 32]);
        let bound = thumbprint(if case["bound"] == "other" { &other } else { &key });
        let prover = if case["whole_key"] == "other" { &other } else { &key };
        let proof = proof(case, prover, &other, &dpop, &format!("jti-{index}"));
        let call = ProvedCall {
            method: case["call"]["method"].as_str().unwrap_or("GET"),
            scheme: case["call"]["scheme"].as_str().unwrap_or("https"),
            authority: case["call"]["authority"].as_str().unwrap_or("api.example.com"),
            path: case["call"]["path"].as_str().unwrap_or("/orders/7"),
        };
        let show = || dpop.verify(&proof, &call, TOKEN, bound, NOW);
        let mut verdict = show();
        if case["twice"] == true {
            assert_eq!(verdict, Ok(bound), "{name}: at first");
            verdict = show();
        }
        match (verdict, case["accept"] == true) {
            (Ok(proved), true) => assert_eq!(proved, bound, "{name}"),
            (Ok(_), false) => panic!("{name}: accepted"),
            (Err(error), true) => panic!("{name}: refused: {error}"),
            (Err(error), false) => {
                refused += 1;
                let expected = case["error"].as_str().unwrap();
                assert!(format!("{error:?}").starts_with(expected), "{name}: {error:?}, not {expected}");
                // What was refused used nothing up: the same proof, made right, is accepted afterwards.
                if case["twice"] != true {
                    let right = crate::dpop::proof(&json!({}), &key, &other, &dpop, &format!("jti-{index}"));
                    let call = ProvedCall {
                        method: "GET",
                        scheme: "https",
                        authority: "api.example.com",
                        path: "/orders/7",
                    };
                    let after = dpop.verify(&right, &call, TOKEN, thumbprint(&key), NOW);
                    let also_refused = case["require_nonce"] == true || key.alg == "RS256";
                    assert!(after.is_ok() || also_refused, "{name}: the jti was used up");
                }
            }
        }
    }
    assert!(refused >= 32, "{refused}");
}

#[test]
fn a_replay_is_refused_for_as_long_as_the_proof_would_hold() {
    let key = SigningKey::new("ES256", "key");
    let dpop = Dpop::new(DpopRules::default(), [7; 32]);
    let call = ProvedCall { method: "GET", scheme: "https", authority: "api.example.com", path: "/orders/7" };
    let ahead = proof(&json!({"claims": {"iat": 1_800_000_010}}), &key, &key, &dpop, "ahead");
    let dated = proof(&json!({"nonce": "current"}), &key, &key, &dpop, "dated");
    for proof in [&ahead, &dated] {
        assert!(dpop.verify(proof, &call, TOKEN, thumbprint(&key), NOW).is_ok());
        for after_s in 0..200 {
            let again = dpop.verify(proof, &call, TOKEN, thumbprint(&key), at(after_s));
            assert!(
                matches!(again, Err(DpopError::Replayed | DpopError::Time | DpopError::Nonce)),
                "{after_s}: {again:?}"
            );
        }
    }
}

#[test]
fn a_full_store_refuses_and_forgets_nothing() {
    let key = SigningKey::new("ES256", "key");
    let dpop = Dpop::new(DpopRules { capacity: 64, ..DpopRules::default() }, [7; 32]);
    let call = ProvedCall { method: "GET", scheme: "https", authority: "api.example.com", path: "/orders/7" };
    let show =
        |jti| dpop.verify(&proof(&json!({}), &key, &key, &dpop, jti), &call, TOKEN, thumbprint(&key), NOW);
    assert!(show("1").is_ok());
    assert_eq!(show("2"), Err(DpopError::NoRoom));
    assert_eq!(show("1"), Err(DpopError::Replayed));
}

#[test]
fn a_shared_secret_proves_nothing_even_where_it_is_configured() {
    let key = SigningKey::new("HS256", "key");
    let dpop = Dpop::new(DpopRules { algorithms: vec![Algorithm::Hs256], ..DpopRules::default() }, [7; 32]);
    let call = ProvedCall { method: "GET", scheme: "https", authority: "api.example.com", path: "/orders/7" };
    let proof = proof(&json!({}), &key, &key, &dpop, "jti");
    let rules = JwkRules { algorithms: &[Algorithm::Hs256] };
    let bound = VerificationKey::from_jwk(key.jwk().to_string().as_bytes(), &rules).unwrap().thumbprint();
    let refused = dpop.verify(&proof, &call, TOKEN, bound, NOW);
    assert_eq!(refused, Err(DpopError::Proof(TokenError::Algorithm)));
}

#[test]
fn bounds_hold_to_the_last() {
    let key = SigningKey::new("ES256", "key");
    let dpop = Dpop::new(DpopRules::default(), [7; 32]);
    let call = ProvedCall { method: "GET", scheme: "https", authority: "api.example.com", path: "/orders/7" };
    let mut shown = 0;
    let mut show = |claims: Value| {
        shown += 1;
        let proof = proof(&json!({ "claims": claims }), &key, &key, &dpop, &format!("jti-{shown}"));
        dpop.verify(&proof, &call, TOKEN, thumbprint(&key), NOW)
    };
    for (claims, error) in [
        (json!({"jti": "x".repeat(512)}), None),
        (json!({"jti": "x".repeat(513)}), Some(DpopError::Claim("jti"))),
        (json!({"iat": 1_799_999_940}), None),
        (json!({"iat": 1_799_999_939}), Some(DpopError::Time)),
        (json!({"iat": 1_800_000_011}), Some(DpopError::Time)),
        (json!({"exp": 1_800_000_005}), None),
        (json!({"exp": 1_799_999_991}), None),
        (json!({"exp": 1_799_999_990}), Some(DpopError::Time)),
        (json!({"nbf": 1_800_000_010}), None),
        (json!({"nbf": 1_800_000_011}), Some(DpopError::Time)),
    ] {
        assert_eq!(show(claims.clone()).err(), error, "{claims}");
    }
}

#[test]
fn a_proof_that_no_longer_holds_is_forgotten() {
    let key = SigningKey::new("ES256", "key");
    let dpop = Dpop::new(DpopRules { capacity: 64, ..DpopRules::default() }, [7; 32]);
    let call = ProvedCall { method: "GET", scheme: "https", authority: "api.example.com", path: "/orders/7" };
    let show = |jti, after_s: i64| {
        let case = json!({"claims": {"iat": 1_800_000_000 + after_s}});
        let proof = proof(&case, &key, &key, &dpop, jti);
        dpop.verify(&proof, &call, TOKEN, thumbprint(&key), at(after_s))
    };
    assert!(show("1", 0).is_ok());
    assert_eq!(show("2", 30), Err(DpopError::NoRoom));
    assert!(show("3", 400).is_ok());
}
