//! Wycheproof's vectors for JSON Web Signatures and Keys, where they are at hand.

use std::path::PathBuf;

use portcullis_identity::jose::{Algorithm, JwkRules, Jws, JwsRules, KeySet, VerificationKey};
use serde_json::Value;

/// Valid in the vectors and refused here, or the other way round, each for a reason.
const WAIVED: [(u64, &str); 8] = [
    (346, "its key is for PS256, its token says PS384"),
    (347, "its key is for `ES521`, which is no algorithm; its token says ES512"),
    (350, "its key is for PS256, its token says PS384"),
    (351, "its key is for `ES521`, which is no algorithm; its token says ES512"),
    (367, "named invalid, and byte for byte the valid token 357"),
    (370, "named invalid, and byte for byte the valid token 357"),
    (372, "named valid, with a `?` inside its base64url"),
    (373, "named valid, with a `?` inside its base64url"),
];

/// The vectors of `file`, or nothing where they are not at hand.
fn vectors(test: &str, file: &str) -> Option<Value> {
    let shared = std::env::var_os("PORTCULLIS_SHARED").map(PathBuf::from);
    let shared =
        shared.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let path = shared.join("data/wycheproof").join(file);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("the vectors are JSON")),
        Err(error) => {
            println!(
                "SKIPPED (extra) {test}: `{}` is not there ({error}); \
                 get C2SP/wycheproof's `testvectors_v1/{file}` and name its folder's parent's parent in PORTCULLIS_SHARED",
                path.display()
            );
            None
        }
    }
}

/// Every algorithm: the vectors' keys are an operator's own.
fn rules() -> Vec<Algorithm> {
    Algorithm::ASYMMETRIC.into_iter().chain(Algorithm::SYMMETRIC).collect()
}

fn verifies(jws: &str, key: &Value) -> bool {
    let algorithms = rules();
    let rules = JwkRules { algorithms: &algorithms };
    let Ok(jws) = Jws::parse(jws, &JwsRules::default()) else { return false };
    if key.get("keys").is_some() {
        let Ok(set) = KeySet::parse(key.to_string().as_bytes(), &rules) else { return false };
        return set.candidates(jws.kid(), jws.algorithm()).any(|key| jws.verify(key).is_ok());
    }
    VerificationKey::from_jwk(key.to_string().as_bytes(), &rules).is_ok_and(|key| jws.verify(&key).is_ok())
}

fn run(test: &str, file: &str, waived: &[(u64, &str)]) -> Option<usize> {
    let vectors = vectors(test, file)?;
    let (mut held, mut wrong, mut unwaived) = (0, Vec::new(), Vec::new());
    for group in vectors["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        for case in group["tests"].as_array().unwrap() {
            // Some are in JSON form, which is read nowhere.
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let Some(jws) = case.get("jws").map(text) else {
                // Encrypted tokens are none of our business, and refused.
                assert!(Jws::parse(&text(&case["jwe"]), &JwsRules::default()).is_err(), "{case}");
                continue;
            };
            let id = case["tcId"].as_u64().unwrap();
            let holds = verifies(&jws, key) == (case["result"] == "valid");
            match (holds, waived.iter().any(|(waived, _)| *waived == id)) {
                (true, false) => held += 1,
                (false, true) => {}
                (false, false) => wrong.push(format!("{id} {}: {}", case["comment"], case["result"])),
                (true, true) => unwaived.push(id),
            }
        }
    }
    assert!(wrong.is_empty(), "{file}: {wrong:#?}");
    assert!(unwaived.is_empty(), "{file}: waived without need: {unwaived:?}");
    Some(held)
}

#[test]
fn signatures() {
    let held = run("wycheproof::signatures", "json_web_signature_test.json", &WAIVED);
    assert!(held.is_none_or(|held| held == 393), "{held:?}");
}

#[test]
fn keys() {
    let held = run("wycheproof::keys", "json_web_key_test.json", &[]);
    assert!(held.is_none_or(|held| held == 26), "{held:?}");
}

#[test]
fn crypto() {
    let held = run("wycheproof::crypto", "json_web_crypto_test.json", &[]);
    assert!(held.is_none_or(|held| held == 49), "{held:?}");
}
