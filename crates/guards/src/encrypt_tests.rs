use std::sync::Arc;

use serde_json::{Value, json};

use crate::testing::{Call, Went, build, call, errors, send};

const API: &str = r#"
openapi: 3.1.0
info: { title: Cards, version: '1' }
components: { securitySchemes: { key: { type: apiKey, in: header, name: X-API-Key } } }
security: [{ key: [] }]
paths:
  /cards:
    get:
      operationId: listCards
      parameters: [{ name: email, in: query, schema: { type: string } }, { name: page, in: query, schema: { type: integer } }]
      responses: { '200': { description: ok, content: { application/json: { schema: {} } } } }
    post:
      operationId: addCard
      requestBody:
        content:
          application/json: { schema: { type: object, properties: { cardNumber: { type: string, pattern: '^[0-9]{16}$' } } } }
          application/x-www-form-urlencoded: { schema: {} }
          application/xml: { schema: {} }
      responses: { '200': { description: ok, content: { application/json: { schema: {} } } } }
  /by-email/{email}:
    get:
      operationId: byEmail
      parameters: [{ name: email, in: path, required: true, schema: { type: string, format: email } }]
      responses: { '200': { description: ok, content: { application/json: { schema: {} } } } }
"#;

fn policies() -> Value {
    json!({
        "inspect": "off",
        "encrypt": {
            "keys": "cards",
            "fields": {
                "cardNumber": { "show": { "consumers": ["alice"] }, "mask": "last4" },
                "email": { "lookup": true, "show": { "consumers": ["alice"] }, "mask": "email", "mask_for": { "consumers": ["bob"] } },
                "/secret/note": { "show": { "consumers": ["alice"] } },
                "salary": {},
            },
        },
    })
}

fn engine() -> Arc<portcullis_engine::Engine> {
    build(API, &policies(), false).unwrap().engine
}

fn by(who: &str, method: &str, target: &str) -> Call {
    call(method, target).with("x-api-key", if who == "alice" { "alice-key" } else { "bob-key" })
}

fn put(body: &str) -> Went {
    send(&engine(), &by("alice", "POST", "/cards").json(body))
}

fn stored(body: &str) -> Value {
    let went = put(body);
    serde_json::from_str(&went.sent.unwrap_or_else(|| panic!("{:?}", went.record.decision))).unwrap()
}

/// What `who` sees of what is stored.
fn seen(who: &str, stored: &Value) -> Value {
    let json = [("content-type", "application/json")];
    let went = send(&engine(), &by(who, "GET", "/cards").answered(200, &json, &stored.to_string()));
    assert_eq!(went.status, 200, "{:?}", went.record.decision);
    serde_json::from_str(&went.body).unwrap()
}

#[test]
fn the_api_gets_texts_that_it_cannot_read() {
    let plain = r#"{"cardNumber":"4111111111111111","email":"jane@example.com","secret":{"note":{"a":[1.0]},"x":1},"salary":5.0e4,"list":[{"card_number":"5555444433332222"}],"none":{"salary":null}}"#;
    let went = put(plain);
    let sent = went.sent.unwrap();
    for secret in ["4111", "jane", "[1.0]", "5.0e4", "5555"] {
        assert!(!sent.contains(secret), "{sent}");
    }
    assert!(sent.contains(r#""x":1}"#) && sent.contains(r#"{"salary":null}"#), "{sent}");
    let stored: Value = serde_json::from_str(&sent).unwrap();
    // It comes back as it was written, byte by byte.
    let json = [("content-type", "application/json")];
    let back = send(&engine(), &by("alice", "GET", "/cards").answered(200, &json, &sent));
    assert_eq!(back.body, plain);
    assert_eq!(back.header("cache-control"), Some("private, no-store"));
    assert_eq!(
        seen("bob", &stored),
        json!({
            "cardNumber": "************1111", "email": "j***@example.com", "secret": { "note": "***", "x": 1 },
            "salary": 5.0e4, "list": [{ "card_number": "************2222" }], "none": { "salary": null },
        })
    );
}

#[test]
fn the_same_value_is_looked_for_and_no_other_is_alike() {
    let body = r#"{"cardNumber":"4111111111111111","email":"jane@example.com"}"#;
    // Another exchange has another name; here all have the same, so that only the value tells.
    let (one, two) =
        (stored(body), stored(r#"{"cardNumber":"4111111111111112","email":"jane@example.com"}"#));
    assert_ne!(one["cardNumber"], two["cardNumber"]);
    assert_eq!(one["email"], two["email"]);
    let twice = stored(r#"{"a":{"cardNumber":"4111111111111111"},"b":{"cardNumber":"4111111111111111"}}"#);
    assert_ne!(twice["a"], twice["b"]);
    let email = one["email"].as_str().unwrap();
    for (target, expected) in [
        ("/cards?page=2&email=jane%40example.com".to_owned(), format!("/cards?page=2&email={email}")),
        ("/by-email/jane@example.com".into(), format!("/by-email/{email}")),
    ] {
        let went = send(&engine(), &by("bob", "GET", &target));
        assert_eq!(went.upstream.unwrap_or_else(|| panic!("{:?}", went.record.decision)).0, expected);
        let record = format!("{:?}", went.record);
        assert!(!record.contains("jane"), "{record}");
    }
    let form = {
        let mut call =
            by("alice", "POST", "/cards").with("content-type", "application/x-www-form-urlencoded");
        call.body = Some("a=1&email=jane%40example.com".into());
        send(&engine(), &call).sent.unwrap()
    };
    assert_eq!(form, format!("a=1&email={email}"));
}

#[test]
fn rings_turn_and_look_ups_go_on() {
    let mut old = policies();
    old["encrypt"]["keys"] = json!("old");
    let old = build(API, &old, false).unwrap().engine;
    let body = r#"{"cardNumber":"4111111111111111","email":"jane@example.com"}"#;
    let before: Value =
        serde_json::from_str(&send(&old, &by("alice", "POST", "/cards").json(body)).sent.unwrap()).unwrap();
    assert_eq!(seen("alice", &before), serde_json::from_str::<Value>(body).unwrap());
    assert_eq!(stored(body)["email"], before["email"], "the new ring looks with the old key");
    let after = stored(body);
    let json = [("content-type", "application/json")];
    let went = send(&old, &by("alice", "GET", "/cards").answered(200, &json, &after.to_string()));
    assert!(went.found().contains(&"decryption-failed"), "the old ring does not have the new key");
}

#[test]
fn texts_open_in_no_other_field() {
    let all = stored(r#"{"cardNumber":"4111111111111111","email":"jane@example.com","salary":7}"#);
    let moved = json!({ "cardNumber": all["email"], "salary": all["cardNumber"], "email": all["salary"] });
    assert_eq!(seen("alice", &moved), json!({ "cardNumber": null, "salary": null, "email": null }));
    let other = json!({ "comment": all["cardNumber"] });
    assert_eq!(seen("alice", &other), other, "what is no field stays a text");
    let mut text = all["cardNumber"].as_str().unwrap().to_owned();
    text.pop();
    assert_eq!(seen("alice", &json!({ "cardNumber": text })), json!({ "cardNumber": null }));
}

#[test]
fn what_was_there_before_is_shown_by_the_same_rules() {
    let before = json!({ "cardNumber": "4111111111111111", "email": "jane@example.com", "secret": { "note": "x" }, "salary": 7 });
    assert_eq!(seen("alice", &before), before);
    let bob = seen("bob", &before);
    assert_eq!((&bob["cardNumber"], &bob["secret"]["note"]), (&json!("************1111"), &json!("***")));
    let carol = json!({ "email": "jane@example.com" });
    let json = [("content-type", "application/json")];
    let other = call("GET", "/cards").with("x-api-key", "inside-key").from("10.0.0.1");
    let went = send(&engine(), &other.answered(200, &json, &carol.to_string()));
    assert_eq!(went.body, carol.to_string(), "alice has several keys");
}

#[test]
fn masks_are_not_written_back() {
    let write = |who: &str, body: &str| send(&engine(), &by(who, "POST", "/cards").json(body)).code();
    assert_eq!(write("bob", r#"{"email":"j***@example.com"}"#), "mask-written");
    assert_eq!(write("bob", r#"{"email":"jane@example.com"}"#), "permitted");
    assert_eq!(
        write("alice", r#"{"email":"j***@example.com"}"#),
        "permitted",
        "who sees it whole knows what it is"
    );
}

#[test]
fn forms_that_are_not_written_are_refused() {
    let send = |body: &str, kind: &str| {
        let mut call = by("alice", "POST", "/cards").with("content-type", kind);
        call.body = Some(body.into());
        send(&engine(), &call).code()
    };
    assert_eq!(
        send("<card><cardNumber>4111111111111111</cardNumber></card>", "application/xml"),
        "field-unreadable"
    );
    assert_eq!(send("<card><other>1</other></card>", "application/xml"), "permitted");
}

#[test]
fn the_contract_is_about_values_in_the_clear() {
    assert_eq!(put(r#"{"cardNumber":"41"}"#).status, 400);
    let mut policies = policies();
    policies["validate"] = json!({ "response_body": "enforce" });
    let engine = build(API, &policies, false).unwrap().engine;
    let sent =
        send(&engine, &by("alice", "POST", "/cards").json(r#"{"cardNumber":"4111111111111111"}"#)).sent;
    let json = [("content-type", "application/json")];
    let back = by("bob", "POST", "/cards").json("{}").answered(200, &json, &sent.unwrap());
    assert_eq!(send(&engine, &back).status, 200);
}

#[test]
fn monitoring_changes_nothing() {
    let mut policies = policies();
    policies["encrypt"]["mode"] = json!("monitor");
    let engine = build(API, &policies, false).unwrap().engine;
    let body = r#"{"cardNumber":"4111111111111111"}"#;
    let json = [("content-type", "application/json")];
    let went = send(&engine, &by("bob", "POST", "/cards").json(body).answered(200, &json, body));
    assert_eq!((went.sent.as_deref(), &*went.body), (Some(body), body));
}

#[test]
fn mistakes_are_named() {
    for (encrypt, expected) in [
        (json!({ "fields": { "a": {} } }), "expected a ring of `data_keys`"),
        (json!({ "keys": "card", "fields": { "a": {} } }), "did you mean `cards`?"),
        (json!({ "keys": "cards", "fields": { "a": { "show": {} } } }), "says nothing of whom"),
        (json!({ "keys": "cards", "fields": { "a": { "mask": "last" } } }), "last4"),
        (json!({ "keys": "cards", "fields": { "": {} } }), "expected a path"),
        (json!({ "keys": "cards", "fields": { "a": {} }, "on_error": "open" }), "cannot fail open"),
    ] {
        let errors = errors(API, json!({ "encrypt": encrypt }));
        assert!(errors.iter().any(|error| error.contains(expected)), "{encrypt}: {errors:?}");
    }
}
