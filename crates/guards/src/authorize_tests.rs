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

/// An API of users and orders, with keys: the consumers are `alice` and `bob`.
const OWNED: &str = r#"
openapi: 3.1.0
info: { title: Owned, version: '1' }
servers: [{ url: /v1 }]
components: { securitySchemes: { key: { type: apiKey, in: header, name: X-API-Key } } }
security: [{ key: [] }]
paths:
  /users/{userId}/orders:
    parameters: [{ name: userId, in: path, required: true, schema: { type: string } }]
    get: { operationId: list, responses: { '200': { description: ok } } }
    post:
      operationId: add
      requestBody: { content: { application/json: {}, application/x-www-form-urlencoded: {} } }
      responses: { '201': { description: ok } }
  /search:
    get: { operationId: search, responses: { '200': { description: ok } } }
  /orders/{orderId}:
    parameters: [{ name: orderId, in: path, required: true, schema: { type: string } }]
    get: { operationId: read, responses: { '200': { description: ok } } }
    put: { operationId: write, responses: { '200': { description: ok } } }
    delete: { operationId: remove, responses: { '204': { description: ok } } }
  /orders/{orderId}/cancel:
    parameters: [{ name: orderId, in: path, required: true, schema: { type: string } }]
    post: { operationId: cancel, responses: { '200': { description: ok } } }
"#;

fn owned(operation: &str, authorize: &serde_json::Value) -> std::sync::Arc<portcullis_engine::Engine> {
    let policies = json!({
        "validate": "off",
        "policies": [{ "match": { "operation": operation }, "authorize": authorize }],
    });
    build(OWNED, &policies, false).unwrap().engine
}

#[test]
fn bound_parameters_name_the_caller_wherever_they_stand() {
    let alice = |call: Call| call.with("x-api-key", "alice-key");
    let get = |target: &str| alice(call("GET", target));
    let path = json!({ "bind": { "path.userId": "consumer" } });
    let engine = owned("list", &path);
    for (target, expected) in [
        ("/v1/users/alice/orders", "permitted"),
        ("/v1/users/bob/orders", "parameter-not-own"),
        ("/v1/users/ALICE/orders", "parameter-not-own"),
        ("/v1/users/%61lice/orders", "permitted"),
        ("/v1/users/alice%20/orders", "parameter-not-own"),
        ("/v1/users/alice/orders?userId=alice", "permitted"),
        ("/v1/users/alice/orders?userId=bob", "parameter-not-own"),
        ("/v1/users/alice/orders?user_id=bob", "parameter-not-own"),
        ("/v1/users/alice/orders?userId[]=bob", "parameter-not-own"),
        ("/v1/users/alice/orders?userid%5B0%5D=bob", "parameter-not-own"),
        ("/v1/users/alice/orders?other=bob", "permitted"),
    ] {
        let went = send(&engine, &get(target));
        assert_eq!(went.code(), expected, "{target}");
        assert_eq!(went.upstream.is_some(), expected == "permitted", "{target}");
    }
    let engine = owned("add", &path);
    let post = || alice(call("POST", "/v1/users/alice/orders"));
    for (body, expected) in [
        (r#"{"item":1}"#, "permitted"),
        (r#"{"userId":"alice"}"#, "permitted"),
        (r#"{"userId":"bob"}"#, "parameter-not-own"),
        (r#"{"user_id":["alice","bob"]}"#, "parameter-not-own"),
        (r#"{"user-id":{"id":"bob"}}"#, "parameter-not-own"),
        ("[]", "permitted"),
        (r#"[{"userId":"alice"},{"userId":"bob"}]"#, "parameter-not-own"),
    ] {
        assert_eq!(send(&engine, &post().json(body)).code(), expected, "{body}");
    }
    let form = |body: &str| {
        let mut call = post().with("content-type", "application/x-www-form-urlencoded");
        call.body = Some(body.into());
        send(&engine, &call).code()
    };
    assert_eq!(
        (form("item=1&userId=alice"), form("item=1&userId=b%6fb")),
        ("permitted", "parameter-not-own")
    );

    let parts = |name: &str| {
        let mut call = post().with("content-type", "multipart/form-data; boundary=x");
        call.body = Some(format!("--x\r\nContent-Disposition: form-data; {name}\r\n\r\nbob\r\n--x--\r\n"));
        send(&engine, &call).code()
    };
    assert_eq!(
        [parts("name=\"item\""), parts("name=\"userId\""), parts("name=user_id")],
        ["permitted", "parameter-not-own", "parameter-not-own"]
    );

    // Elsewhere: in fields, cookies, and forms of every kind.
    let engine = owned("list", &path);
    for (name, value, expected) in [
        ("user-id", "alice", "permitted"),
        ("user-id", "bob", "parameter-not-own"),
        ("userid", "bob", "parameter-not-own"),
        ("x-other", "bob", "permitted"),
        ("cookie", "a=b; userId=alice", "permitted"),
        ("cookie", "a=b; userId=bob", "parameter-not-own"),
        ("cookie", "user_id=alice; user_id=bob", "parameter-not-own"),
    ] {
        let went = send(&engine, &get("/v1/users/alice/orders").with(name, value));
        assert_eq!(went.code(), expected, "{name}: {value}");
    }
    let engine = owned("add", &path);
    for (kind, body, expected) in [
        ("application/json", r#"[[{"userId":"bob"}]]"#, "parameter-not-own"),
        ("application/json", r#"{"USERID":"bob"}"#, "parameter-not-own"),
        ("application/json", r#"{"user\u0049d":"bob"}"#, "parameter-not-own"),
        ("application/json", r#"{"userId":1e0}"#, "parameter-not-own"),
        ("application/json", r#"{"userId":null}"#, "parameter-not-own"),
        ("application/vnd.api+json", r#"{"userId":"bob"}"#, "parameter-not-own"),
        ("text/plain", r#"{"userId":"bob"}"#, "parameter-not-own"),
        ("text/plain", r#"{"userId":"alice"}"#, "permitted"),
        ("text/plain", "userId=bob", "parameter-not-own"),
        ("application/x-www-form-urlencoded", "userId=alice&userId=bob", "parameter-not-own"),
        ("application/x-www-form-urlencoded", "user%5Fid=bob", "parameter-not-own"),
        ("application/xml", "<o><userId>bob</userId></o>", "parameter-not-own"),
        ("application/xml", "<o userId=\"bob\"/>", "parameter-not-own"),
        ("application/xml", "<o><userId>alice</userId></o>", "permitted"),
        ("multipart/form-data; boundary=x", "--x\r\nno", "parameter-not-own"),
    ] {
        let mut call = post().with("content-type", kind);
        call.body = Some(body.into());
        assert_eq!(send(&engine, &call).code(), expected, "{kind}: {body}");
    }

    let engine = owned("search", &json!({ "bind": { "query.owner": "consumer" } }));
    for (target, expected) in [
        ("/v1/search?owner=alice", "permitted"),
        ("/v1/search?owner=alice&owner=bob", "parameter-not-own"),
        ("/v1/search?owner=bob&owner=alice", "parameter-not-own"),
        ("/v1/search", "parameter-not-own"),
        ("/v1/search?owner=", "parameter-not-own"),
    ] {
        assert_eq!(send(&engine, &get(target)).code(), expected, "{target}");
    }
    let engine = owned("add", &json!({ "bind": { "body./by/name": "consumer" } }));
    for (body, expected) in [
        (r#"{"by":{"name":"alice"}}"#, "permitted"),
        (r#"{"by":{"name":"bob"}}"#, "parameter-not-own"),
        (r#"{"by":{}}"#, "parameter-not-own"),
        (r#"{"by":{"name":"alice"},"name":"bob"}"#, "parameter-not-own"),
    ] {
        assert_eq!(send(&engine, &post().json(body)).code(), expected, "{body}");
    }
    assert_eq!(send(&engine, &post()).code(), "parameter-not-own", "no body at all");
    let mut text = post().with("content-type", "text/plain");
    text.body = Some(r#"{"by":{"name":"alice"}}"#.into());
    assert_eq!(send(&engine, &text).code(), "parameter-not-own", "nobody knows how the API reads it");
}

#[test]
fn an_object_is_shown_to_its_owner_only() {
    let engine = owned("read", &json!({ "owner": { "response": "/owner/id", "is": "consumer" } }));
    let read = |status: u16, kind: &'static str, body: &str| {
        let call = call("GET", "/v1/orders/7").with("x-api-key", "bob-key");
        send(&engine, &call.answered(status, &[("content-type", kind)], body))
    };
    const JSON: &str = "application/json";
    for (status, kind, body, expected) in [
        (200, JSON, r#"{"owner":{"id":"bob"}}"#, 200),
        (200, JSON, r#"{"owner":{"id":"alice"},"secret":1}"#, 404),
        (200, JSON, r#"{"owner":{},"secret":1}"#, 404),
        (200, JSON, r#"{"owner":null,"secret":1}"#, 404),
        (200, JSON, r#"{"owner":{"id":true},"secret":1}"#, 404),
        (200, JSON, r#"[{"owner":{"id":"bob"}}]"#, 404),
        (200, JSON, r#"{"secret""#, 404),
        (200, "text/html", "<p>secret", 404),
        (206, JSON, r#"{"secret":1}"#, 404),
        (404, JSON, r#"{"error":"no such order"}"#, 404),
    ] {
        let went = read(status, kind, body);
        assert_eq!(went.status, expected, "{body}");
        assert!(!went.body.contains("secret"), "{body}");
    }
    let engine = owned("search", &json!({ "owner": { "response": "/items/*/owner", "is": "consumer" } }));
    for (body, expected) in [
        (r#"{"items":[]}"#, 200),
        (r#"{"items":[{"owner":"bob"},{"owner":"bob"}]}"#, 200),
        (r#"{"items":[{"owner":"bob"},{"owner":"alice"}]}"#, 404),
        (r#"{"items":[{"owner":"bob"},{}]}"#, 404),
        (r#"{"items":{"owner":"bob"}}"#, 404),
        ("{}", 404),
    ] {
        let call = call("GET", "/v1/search").with("x-api-key", "bob-key");
        assert_eq!(
            send(&engine, &call.answered(200, &[("content-type", JSON)], body)).status,
            expected,
            "{body}"
        );
    }
}

#[test]
fn what_is_written_is_read_first() {
    let rule = json!({ "owner": { "response": "/owner", "is": "consumer" } });
    for (operation, method) in [("write", "PUT"), ("remove", "DELETE")] {
        let engine = owned(operation, &rule);
        let write = |status, object: &str| {
            let call = call(method, "/v1/orders/a%20b?x=1").with("x-api-key", "bob-key");
            send(&engine, &call.reads(status, object))
        };
        for (status, object, expected) in [
            (200, r#"{"owner":"bob"}"#, "permitted"),
            (200, r#"{"owner":"alice"}"#, "owner-mismatch"),
            (200, "{}", "owner-mismatch"),
            (200, "nonsense", "owner-mismatch"),
            (404, "", "permitted"),
            (403, "", "owner-mismatch"),
            (302, "", "owner-mismatch"),
            (500, "", "lookup-failed"),
        ] {
            let went = write(status, object);
            assert_eq!(went.code(), expected, "{method} {status} {object}");
            assert_eq!(went.upstream.is_some(), expected == "permitted");
            assert_eq!(went.read.as_deref(), Some("GET /v1/orders/a%20b"));
        }
        let unread = send(&engine, &call(method, "/v1/orders/7").with("x-api-key", "bob-key"));
        assert_eq!((unread.code(), unread.status), ("lookup-failed", 503));
    }
    let elsewhere =
        json!({ "owner": { "response": "/owner", "is": "consumer", "read": "/orders/{orderId}" } });
    let engine = owned("cancel", &elsewhere);
    let went = send(
        &engine,
        &call("POST", "/v1/orders/7/cancel").with("x-api-key", "bob-key").reads(200, r#"{"owner":"alice"}"#),
    );
    assert_eq!((went.code(), went.read.as_deref()), ("owner-mismatch", Some("GET /v1/orders/7")));
}

#[test]
fn rules_that_cannot_hold_are_said() {
    let error = |operation: &str, authorize: serde_json::Value| {
        let policies =
            json!({ "policies": [{ "match": { "operation": operation }, "authorize": authorize }] });
        errors(OWNED, policies).join("\n")
    };
    let said = error("list", json!({ "bind": { "path.userID": "token.sub" } }));
    assert!(said.contains("did you mean `userId`?"), "{said}");
    assert!(error("list", json!({ "bind": { "path.userId": "sub" } })).contains("`token.sub`"));
    assert!(error("list", json!({ "bind": { "userId": "consumer" } })).contains("path.id"));
    let said = error("cancel", json!({ "owner": { "response": "/owner", "is": "consumer" } }));
    assert!(said.contains("no GET on `/orders/{orderId}/cancel`"), "{said}");
    assert!(
        error("read", json!({ "owner": { "response": "owner", "is": "consumer" } })).contains("JSON pointer")
    );
}

#[test]
fn what_nobody_thought_of_can_be_closed() {
    let policies = json!({
        "authorize": { "default": "deny" },
        "policies": [{ "match": { "operation": "read" }, "authorize": { "consumers": ["bob"] } }],
    });
    let engine = build(OWNED, &policies, false).unwrap().engine;
    let code = |target: &str| send(&engine, &call("GET", target).with("x-api-key", "bob-key")).code();
    assert_eq!((code("/v1/orders/7"), code("/v1/search")), ("permitted", "operation-denied"));
}
