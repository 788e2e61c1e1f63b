use std::sync::Arc;

use portcullis_engine::CredentialKind;

use super::*;
use crate::jose::{Jws, JwsRules, TokenError};

fn principal() -> Principal {
    let scopes: Arc<[Box<str>]> = Arc::from(["a:read".into(), "b\"x".into()]);
    Principal::new("shop".into(), "key-1".into(), CredentialKind::ApiKey, scopes)
}

fn read(signer: &AssertionSigner, token: &str) -> Result<Value, TokenError> {
    let jws = Jws::parse(token, &JwsRules::default())?;
    assert!(jws.is_type(ASSERTION_TYPE));
    let keys = signer.verification_keys();
    let key = keys.candidates(jws.kid(), jws.algorithm()).next().ok_or(TokenError::UnknownKey)?;
    Ok(serde_json::from_slice(jws.verify(key)?).unwrap())
}

#[test]
fn the_api_can_check_what_the_gateway_says() {
    let ed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let principal = principal();
    let call = AssertedCall {
        audience: "orders-api",
        method: "PUT",
        path: "/orders/7",
        principal: Some(&principal),
    };
    for pkcs8 in [AssertionSigner::generate_pkcs8().unwrap().to_vec(), ed.as_ref().to_vec()] {
        let signer = AssertionSigner::from_pkcs8(&pkcs8, "gateway", 30).unwrap();
        let token = signer.sign(&call, [7; 16], 1_800_000_000).unwrap();
        assert_eq!(
            read(&signer, &token).unwrap(),
            json!({
                "iss": "gateway", "aud": "orders-api", "iat": 1_800_000_000, "exp": 1_800_000_030,
                "jti": base64url::encode(&[7; 16]), "htm": "PUT", "path": "/orders/7",
                "sub": "shop", "client_id": "shop", "scope": "a:read b\"x",
            })
        );
        let other =
            AssertionSigner::from_pkcs8(&AssertionSigner::generate_pkcs8().unwrap(), "gateway", 30).unwrap();
        assert_eq!(read(&other, &token), Err(TokenError::UnknownKey));
        assert!(AssertionSigner::key_set([&signer, &other]).contains(&other.kid().to_string()));
    }
    let signer =
        AssertionSigner::from_pkcs8(&AssertionSigner::generate_pkcs8().unwrap(), "gateway", 30).unwrap();
    let public = signer.sign(&AssertedCall { principal: None, ..call }, [7; 16], 1).unwrap();
    assert!(read(&signer, &public).unwrap().get("sub").is_none());
}

#[test]
fn only_keys_for_it_are_taken_and_none_is_printed() {
    let p384 =
        EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new())
            .unwrap();
    for bad in [b"".as_slice(), b"x", p384.as_ref()] {
        assert_eq!(AssertionSigner::from_pkcs8(bad, "g", 30).unwrap_err(), AssertionError::Key);
    }
    let signer = AssertionSigner::from_pkcs8(&AssertionSigner::generate_pkcs8().unwrap(), "g", 30).unwrap();
    assert!(!AssertionSigner::key_set([&signer]).contains("\"d\""));
    assert_eq!(
        format!("{signer:?}"),
        format!("AssertionSigner {{ kid: {:?}, issuer: \"g\", .. }}", signer.kid())
    );
}
