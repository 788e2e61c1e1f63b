use serde_json::json;

use super::*;

const NOW_S: u64 = 1_800_000_000;

fn now(after_s: u64) -> Now {
    Now { unix_ns: (NOW_S + after_s) * SECOND, mono_ns: (1000 + after_s) * SECOND }
}

fn introspection(rules: IntrospectionRules) -> Introspection {
    Introspection::new("https://issuer.example", rules, [1; 32], 1000)
}

fn answer(json: &str) -> Fetched<'_> {
    Fetched::Answer { status: 200, body: json.as_bytes(), max_age_s: None }
}

fn active() -> Value {
    json!({"active": true, "sub": "alice", "client_id": "app", "scope": "a b", "aud": "orders", "exp": NOW_S + 100})
}

fn is_active(introspected: &Introspected) -> bool {
    matches!(introspected, Introspected::Active(_))
}

#[test]
fn answers_are_believed_for_a_while_and_no_longer() {
    let tokens = introspection(IntrospectionRules::default());
    assert!(matches!(tokens.lookup("t", now(0)), Introspected::Ask));
    let Ok(Introspected::Active(facts)) = tokens.store("t", answer(&active().to_string()), now(0)) else {
        panic!()
    };
    assert_eq!(facts.check(&["orders"], NOW_S, 0), Ok(()));
    assert_eq!(
        (facts.subject(), &*facts.principal().consumer),
        (Some("alice"), "https://issuer.example/app")
    );
    assert!(is_active(&tokens.lookup("t", now(29))));
    assert!(matches!(tokens.lookup("t", now(30)), Introspected::Ask), "revoked tokens are found out");
    assert!(matches!(tokens.lookup("u", now(0)), Introspected::Ask), "another token");
    let revoked = tokens.store("t", answer(r#"{"active":false}"#), now(30));
    assert!(matches!(revoked, Ok(Introspected::Inactive)));
    assert!(matches!(tokens.lookup("t", now(39)), Introspected::Inactive));
    assert!(matches!(tokens.lookup("t", now(40)), Introspected::Ask));
}

#[test]
fn a_token_ends_when_it_ends_even_if_it_is_still_believed() {
    let rules = IntrospectionRules { active_s: 1000, leeway_s: 0, ..IntrospectionRules::default() };
    let tokens = introspection(rules);
    tokens.store("t", answer(&active().to_string()), now(0)).unwrap();
    assert!(is_active(&tokens.lookup("t", now(99))));
    assert!(matches!(tokens.lookup("t", now(100)), Introspected::Inactive));
}

#[test]
fn what_contradicts_itself_is_inactive() {
    let tokens = introspection(IntrospectionRules::default());
    for (name, value) in [
        ("iss", json!("https://other.example")),
        ("iss", json!(["https://issuer.example"])),
        ("exp", json!(NOW_S - 100)),
        ("exp", json!("never")),
        ("nbf", json!(NOW_S + 100)),
        ("iat", json!(NOW_S + 100)),
        ("cnf", json!({"unknown": "x"})),
        ("cnf", json!({})),
        ("token_type", json!("DPoP")),
        ("scope", json!(7)),
        ("aud", json!({"a": 1})),
        ("sub", json!(7)),
    ] {
        let mut claims = active();
        claims[name] = value;
        let token = claims.to_string();
        let stored = tokens.store(&token, answer(&token), now(0));
        assert!(matches!(stored, Ok(Introspected::Inactive)), "{token}");
    }
    let mut right = active();
    right["iss"] = json!("https://issuer.example");
    right["token_type"] = json!("Bearer");
    assert!(is_active(&tokens.store("t", answer(&right.to_string()), now(0)).unwrap()));
}

#[test]
fn no_answer_is_no_answer() {
    let tokens = introspection(IntrospectionRules::default());
    for (length, is_read) in [(MAX_INTROSPECTION_BYTES, true), (MAX_INTROSPECTION_BYTES + 1, false)] {
        let body = r#"{"active":false}"#.to_owned() + &" ".repeat(length - 16);
        assert_eq!(tokens.store("long", answer(&body), now(0)).is_ok(), is_read);
    }
    let large = format!(r#"{{"active":true,"x":"{}"}}"#, "x".repeat(MAX_INTROSPECTION_BYTES));
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":false,"active":true}"#,
        &large,
    ] {
        assert_eq!(tokens.store("t", answer(body), now(0)).unwrap_err(), IntrospectionError::Unreadable);
    }
    let json = active().to_string();
    for status in [201, 204, 301, 401, 500] {
        let answer = Fetched::Answer { status, body: json.as_bytes(), max_age_s: None };
        assert_eq!(tokens.store("t", answer, now(0)).unwrap_err(), IntrospectionError::NoAnswer);
    }
    assert_eq!(tokens.store("t", Fetched::Failed, now(0)).unwrap_err(), IntrospectionError::NoAnswer);
    assert!(matches!(tokens.lookup("t", now(0)), Introspected::Ask), "none of it is kept");
}

#[test]
fn without_an_audience_it_is_for_nobody_unless_configured() {
    let mut silent = active();
    silent.as_object_mut().unwrap().remove("aud");
    let json = silent.to_string();
    for (ours, expected) in [(vec![], Err(TokenError::Audience)), (vec!["orders".into()], Ok(()))] {
        let tokens =
            introspection(IntrospectionRules { silent_audiences: ours, ..IntrospectionRules::default() });
        let Ok(Introspected::Active(facts)) = tokens.store("t", answer(&json), now(0)) else { panic!() };
        assert_eq!(facts.check(&["orders"], NOW_S, 0), expected);
    }
    let tokens =
        introspection(IntrospectionRules { silent_audiences: vec!["orders".into()], ..Default::default() });
    let mut other = active();
    other["aud"] = json!("payments");
    let Ok(Introspected::Active(facts)) = tokens.store("t", answer(&other.to_string()), now(0)) else {
        panic!()
    };
    assert_eq!(facts.check(&["orders"], NOW_S, 0), Err(TokenError::Audience));
}

#[test]
fn the_question_carries_the_token_whole() {
    assert_eq!(Introspection::form("a-b.c_~"), "token=a-b.c_~&token_type_hint=access_token");
    assert_eq!(
        Introspection::form("a&b=c+d/é %"),
        "token=a%26b%3Dc%2Bd%2F%C3%A9%20%25&token_type_hint=access_token"
    );
}
