use serde_json::json;

use crate::testing::*;

#[test]
fn scopes_and_consumers_are_asked_for() {
    let code = |authorize: serde_json::Value, key: &str| {
        let engine =
            shop(json!({ "policies": [{ "match": { "operation": "getOrder" }, "authorize": authorize }] }))
                .engine;
        send(&engine, &call("GET", "/orders/1").with("x-api-key", key)).code()
    };
    assert_eq!(code(json!({ "scopes": ["read"] }), "alice-key"), "permitted");
    assert_eq!(code(json!({ "scopes": ["read", "write"] }), "alice-key"), "scope-missing");
    assert_eq!(code(json!({ "any_scope": ["read", "write"] }), "alice-key"), "permitted");
    assert_eq!(code(json!({ "any_scope": ["write"] }), "alice-key"), "scope-missing");
    assert_eq!(code(json!({ "consumers": ["bob"] }), "alice-key"), "consumer-refused");
    assert_eq!(code(json!({ "consumers": ["bob"] }), "bob-key"), "permitted");
    assert_eq!(code(json!({ "mode": "monitor", "consumers": ["bob"] }), "alice-key"), "permitted");
    assert_eq!(code(json!({ "scopes": ["read"] }), "wrong"), "credential-invalid");
}

#[test]
fn no_credential_of_ours_carries_no_scope() {
    let engine = shop(
        json!({ "policies": [{ "match": { "operation": "byUser" }, "authorize": { "scopes": ["read"] } }] }),
    )
    .engine;
    assert_eq!(
        send(&engine, &call("GET", "/by-user").with("authorization", "Bearer t")).code(),
        "scope-missing"
    );
    let errors = errors(
        SHOP,
        json!({
            "authenticate": { "schemes": { "user": "upstream" } },
            "policies": [{ "match": { "operation": "getOrder" }, "public": true, "authorize": { "scopes": ["read"] } }],
        }),
    );
    assert!(errors[0].starts_with("/policies/0/authorize"), "{errors:?}");
}
