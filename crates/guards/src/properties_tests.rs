use serde_json::json;

use crate::testing::*;

const API: &str = r#"
openapi: 3.1.0
info: { title: Users, version: '1' }
components: { securitySchemes: { key: { type: apiKey, in: header, name: X-API-Key } } }
security: [{ key: [] }]
paths:
  /me:
    get: { responses: { '200': { description: ok } } }
    put:
      requestBody: { content: { application/json: {}, application/x-www-form-urlencoded: {}, text/plain: {} } }
      responses: { '200': { description: ok } }
"#;

fn engine(section: serde_json::Value) -> std::sync::Arc<portcullis_engine::Engine> {
    build(API, &json!({ "validate": "off", "properties": section }), false).unwrap().engine
}

#[test]
fn callers_see_what_the_first_rule_about_them_says() {
    let rules = json!([
        { "consumers": ["bob"] },
        { "scopes": ["write"], "allow": [] },
        { "consumers": ["alice"], "allow": ["/id", "/items/*/sku", "/card"], "deny": ["/card/number"] },
    ]);
    let engine = engine(json!({ "read": rules }));
    let body = r#"{"id": 1.0, "card": {"number": "4111", "kind": "visa"}, "items": [{"sku": "a", "cost": 3}], "hash": "x"}"#;
    let read = |key: &str, kind: &'static str, body: &str| {
        let fields = [("content-type", kind), ("etag", "\"1\"")];
        send(
            &engine,
            &call("GET", "/me")
                .with("x-api-key", key)
                .with("range", "bytes=0-9")
                .answered(200, &fields, body),
        )
    };
    let json = "application/json";
    let all = read("bob-key", json, body);
    assert_eq!((all.body.as_str(), all.header("etag")), (body, Some("\"1\"")));
    let some = read("alice-key", json, body);
    assert_eq!(some.body, r#"{"id": 1.0, "card": {"kind": "visa"}, "items": [{"sku": "a"}]}"#);
    assert_eq!(some.header("content-length"), Some(some.body.len().to_string().as_str()));
    assert_eq!(some.header("etag"), None);
    assert!(!some.upstream.unwrap().1.contains_key("range"));
    for (kind, body) in [("text/html", "<p>4111"), (json, "{\"card\""), (json, "4111")] {
        let went = read("alice-key", kind, body);
        assert!(!went.body.contains("4111") && !went.body.contains("card"), "{body}: {}", went.body);
    }
    // Nobody whom no rule is about sees anything.
    let engine = self::engine(json!({ "read": [{ "roles": ["admin"] }] }));
    let none = send(
        &engine,
        &call("GET", "/me").with("x-api-key", "alice-key").answered(200, &[("content-type", json)], body),
    );
    assert_eq!(none.body, "{}");
}

#[test]
fn callers_set_what_they_may() {
    let engine = engine(json!({ "write": [{ "consumers": ["bob"] }, { "allow": ["/name", "/address"] }] }));
    let put = |key: &str, kind: &str, body: &str| {
        let mut call = call("PUT", "/me").with("x-api-key", key).with("content-type", kind);
        call.body = Some(body.into());
        send(&engine, &call).code()
    };
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    for (kind, body, expected) in [
        (JSON, r#"{"name":"a","address":{"city":"b"}}"#, "permitted"),
        (JSON, r#"{"name":"a","role":"admin"}"#, "property-refused"),
        (JSON, r#"{"name":"a","r\u006fle":"admin"}"#, "property-refused"),
        (JSON, r#"[{"role":"admin"}]"#, "property-refused"),
        (FORM, "name=a", "permitted"),
        (FORM, "name=a&role=admin", "property-refused"),
        (FORM, "name=a&r%6fle=admin", "property-refused"),
        (FORM, "name=a&role[x]=admin", "property-refused"),
        ("text/plain", r#"{"role":"admin"}"#, "property-refused"),
        (JSON, "", "permitted"),
    ] {
        assert_eq!(put("alice-key", kind, body), expected, "{body}");
        assert_eq!(put("bob-key", kind, body), "permitted", "{body}");
    }
}

#[test]
fn monitor_mode_only_says() {
    let engine =
        engine(json!({ "mode": "monitor", "read": [{ "allow": ["/id"] }], "write": [{ "allow": [] }] }));
    let body = r#"{"id":1,"hash":"x"}"#;
    let went = send(
        &engine,
        &call("GET", "/me").with("x-api-key", "bob-key").answered(
            200,
            &[("content-type", "application/json")],
            body,
        ),
    );
    assert_eq!((went.body.as_str(), went.found()), (body, vec!["property-hidden"]));
}

#[test]
fn paths_that_are_none_are_said() {
    let said = errors(API, json!({ "properties": { "read": [{ "allow": ["id"] }] } })).join("\n");
    assert!(said.contains("/properties/read/0") && said.contains("/items/*/price"), "{said}");
}
