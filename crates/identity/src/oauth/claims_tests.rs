use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

fn read(claims: Value) -> Result<VerifiedToken, TokenError> {
    let Value::Object(claims) = claims else { panic!() };
    VerifiedToken::read(claims.into(), "https://issuer.example", None, &ClaimNames::default(), || {
        "name".to_owned()
    })
}

fn with(more: Value) -> Result<VerifiedToken, TokenError> {
    let mut claims = json!({"exp": NOW + 100, "aud": "a"});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    read(claims)
}

fn texts(list: &[Box<str>]) -> Vec<&str> {
    list.iter().map(|text| &**text).collect()
}

#[test]
fn who_it_acts_for() {
    let token = with(json!({"sub": "alice", "client_id": "app", "azp": "other", "jti": "t-1"})).unwrap();
    assert_eq!((token.subject(), token.client().map(|client| &**client)), (Some("alice"), Some("app")));
    let principal = token.principal();
    assert_eq!((&*principal.consumer, &*principal.credential), ("https://issuer.example/app", "t-1"));
    assert_eq!(principal.kind, CredentialKind::AccessToken);
    assert_eq!(principal.subject(), "alice");
    assert_eq!(token.issuer(), "https://issuer.example");
    assert_eq!(principal.claims.as_ref().unwrap().issuer(), "https://issuer.example");
    for name in ["azp", "cid", "appid"] {
        let token = with(json!({name: "app"})).unwrap();
        assert_eq!(&*token.principal().consumer, "https://issuer.example/app", "{name}");
    }
    let user_only = with(json!({"sub": "alice"})).unwrap();
    let user = user_only.principal();
    assert_eq!((&*user.consumer, &*user.credential), ("https://issuer.example/user/alice", "name"));
    assert_eq!(&*with(json!({})).unwrap().principal().consumer, "https://issuer.example");
    for bad in [
        json!({"sub": ""}),
        json!({"sub": 1}),
        json!({"sub": null}),
        json!({"client_id": []}),
        json!({"jti": {}}),
    ] {
        assert!(matches!(with(bad.clone()), Err(TokenError::Claims(_))), "{bad}");
    }
    assert!(with(json!({"sub": "x".repeat(MAX_NAME)})).is_ok());
    assert!(with(json!({"sub": "x".repeat(MAX_NAME + 1)})).is_err());
}

#[test]
fn what_it_may_be_used_for() {
    let scopes = |more| with(more).map(|token| texts(&token.principal().scopes).join(" "));
    assert_eq!(scopes(json!({"scope": "b a  b"})).unwrap(), "a b");
    assert_eq!(scopes(json!({"scp": ["b", "a"]})).unwrap(), "a b");
    assert_eq!(scopes(json!({"scp": "c", "scope": ["b", "a"]})).unwrap(), "a b c");
    assert_eq!(scopes(json!({"scope": ""})).unwrap(), "");
    assert_eq!(scopes(json!({})).unwrap(), "");
    for bad in [json!({"scope": 1}), json!({"scope": null}), json!({"scp": ["a", 1]}), json!({"scope": {}})] {
        assert!(matches!(scopes(bad.clone()), Err(TokenError::Claims(_))), "{bad}");
    }
    let many: Vec<String> = (0..MAX_ENTRIES).map(|n| n.to_string()).collect();
    assert!(with(json!({"scp": many})).is_ok());
    let too_many: Vec<String> = (0..=MAX_ENTRIES).map(|n| n.to_string()).collect();
    assert!(with(json!({"scp": too_many})).is_err());
    assert!(with(json!({"scp": ["x".repeat(MAX_NAME)]})).is_ok());
    assert!(with(json!({"scp": ["x".repeat(MAX_NAME + 1)]})).is_err());
}

#[test]
fn roles_and_groups() {
    let token =
        with(json!({"roles": ["b"], "realm_access": {"roles": ["a", "b"]}, "groups": ["/g one", "g2"]}))
            .unwrap();
    let claims = token.principal().claims.as_ref().unwrap();
    assert_eq!(texts(claims.roles()), ["a", "b"]);
    assert_eq!(texts(claims.groups()), ["/g one", "g2"]);
    assert_eq!(
        texts(with(json!({"roles": "Order Admin"})).unwrap().principal().claims.as_ref().unwrap().roles()),
        ["Order Admin"]
    );
    // What is no list of texts grants nothing, and refuses nothing.
    for odd in [
        json!({"roles": {"admin": 1}}),
        json!({"roles": [1]}),
        json!({"roles": null}),
        json!({"groups": true}),
    ] {
        let token = with(odd).unwrap();
        let claims = token.principal().claims.as_ref().unwrap();
        assert!(claims.roles().is_empty() && claims.groups().is_empty());
    }
}

#[test]
fn what_is_claimed_is_not_printed() {
    let token = with(json!({"mail": "canary-2", "roles": ["canary-3"]})).unwrap();
    let printed = format!("{token:?} {:?}", token.principal());
    assert!(
        printed.starts_with("VerifiedToken { issuer: \"https://issuer.example\", expires: "),
        "{printed}"
    );
    assert!(printed.contains("TokenClaims { issuer: ") && !printed.contains("canary"), "{printed}");
}

#[test]
fn claims_by_pointer() {
    let token =
        with(json!({"tenant": {"id": 7, "a/b": "x"}, "https://x.example/y": "z", "l": [1, {"m": 2}]}))
            .unwrap();
    for (pointer, value) in [
        ("/tenant/id", Some(json!(7))),
        ("/tenant/a~1b", Some(json!("x"))),
        ("/https:~1~1x.example~1y", Some(json!("z"))),
        ("/l/1/m", Some(json!(2))),
        ("/aud", Some(json!("a"))),
        ("aud", None),
        ("", None),
        ("/", None),
        ("/tenant/none", None),
        ("/none/id", None),
    ] {
        assert_eq!(token.claim(pointer), value.as_ref(), "{pointer}");
        assert_eq!(token.principal().claims.as_ref().unwrap().claim(pointer), value.as_ref(), "{pointer}");
    }
}

#[test]
fn times_are_rounded_against_the_token() {
    let dated = |exp: f64, nbf: f64| read(json!({"exp": exp, "nbf": nbf, "aud": "a"})).unwrap();
    let token = dated(100.9, 50.1);
    assert_eq!(token.expires(), 100);
    assert_eq!(token.check(&["a"], 99, 0), Ok(()));
    assert_eq!(token.check(&["a"], 100, 0), Err(TokenError::Expired));
    assert_eq!(token.check(&["a"], 104, 5), Ok(()));
    assert_eq!(token.check(&["a"], 105, 5), Err(TokenError::Expired));
    assert_eq!(token.check(&["a"], 50, 0), Err(TokenError::NotYetValid));
    assert_eq!(token.check(&["a"], 51, 0), Ok(()));
    assert_eq!(token.check(&["a"], 46, 5), Ok(()));
    assert_eq!(token.check(&["a"], 45, 5), Err(TokenError::NotYetValid));
    let issued = read(json!({"exp": 100, "iat": 60, "nbf": 10, "aud": "a"})).unwrap();
    assert_eq!(issued.check(&["a"], 59, 0), Err(TokenError::NotYetValid));
    assert_eq!(issued.check(&["a"], 60, 0), Ok(()));
    assert!(read(json!({"exp": 253_402_300_799u64})).is_ok());
    for bad in
        [json!(253_402_300_800u64), json!(-1), json!(-0.5), json!("1"), json!(null), json!(1e300), json!([1])]
    {
        assert!(matches!(read(json!({"exp": bad})), Err(TokenError::Claims(_))), "{bad}");
    }
    assert!(matches!(read(json!({})), Err(TokenError::Claims(_))));
}

/// Two issuers, and an issuer's client and its user, may be called alike and are not one consumer.
#[test]
fn consumers_are_named_by_their_issuer() {
    let names = ClaimNames { realm: "main".into(), ..ClaimNames::default() };
    for (claims, consumer) in [
        (json!({"exp": NOW + 100, "client_id": "alice"}), "main/alice"),
        (json!({"exp": NOW + 100, "sub": "alice"}), "main/user/alice"),
        (json!({"exp": NOW + 100}), "main"),
    ] {
        let Value::Object(claims) = claims else { panic!() };
        let token = VerifiedToken::read(claims.into(), "i", None, &names, || "name".to_owned()).unwrap();
        assert_eq!(&*token.principal().consumer, consumer);
    }
}

#[test]
fn audiences() {
    let token = with(json!({"aud": ["a", "b"]})).unwrap();
    assert_eq!(texts(token.audiences()), ["a", "b"]);
    assert_eq!(token.check(&["x", "b"], NOW, 0), Ok(()));
    assert_eq!(token.check(&["x", "A", "ab", ""], NOW, 0), Err(TokenError::Audience));
    assert_eq!(token.check(&[] as &[&str], NOW, 0), Err(TokenError::Audience));
    let names = ClaimNames { audiences: vec!["/client_id".into()], ..ClaimNames::default() };
    let Value::Object(claims) = json!({"exp": NOW + 100, "client_id": "app", "aud": "x"}) else { panic!() };
    let token = VerifiedToken::read(claims.into(), "i", None, &names, || "name".to_owned()).unwrap();
    assert_eq!(token.check(&["app"], NOW, 0), Ok(()));
    assert_eq!(token.check(&["x"], NOW, 0), Err(TokenError::Audience));
}

#[test]
fn bindings() {
    let hash = Thumbprint([7; 32]);
    let binding = |cnf: Value| with(json!({"cnf": cnf})).map(|token| token.binding());
    let jkt = binding(json!({"jkt": hash.to_string()})).unwrap();
    assert_eq!((jkt.jkt, jkt.certificate, jkt.is_bound()), (Some(hash), None, true));
    let both = binding(json!({"jkt": hash.to_string(), "x5t#S256": hash.to_string()})).unwrap();
    assert_eq!((both.jkt, both.certificate), (Some(hash), Some(hash)));
    assert!(!with(json!({})).unwrap().binding().is_bound());
    for bad in [
        json!(null),
        json!({}),
        json!("x"),
        json!({"kid": "x"}),
        json!({"jwk": {}}),
        json!({"jkt": 1}),
        json!({"jkt": "AAAA"}),
        json!({"jkt": hash.to_string(), "kid": hash.to_string()}),
        json!({"x5t#S256": format!("{hash}=")}),
    ] {
        assert!(binding(bad.clone()).is_err(), "{bad}");
    }
}
