use std::sync::Arc;

use portcullis_engine::Engine;
use serde_json::json;

use crate::testing::{Call, SHOP, Went, call, errors, send, shop};

fn engine() -> Arc<Engine> {
    shop(json!({
        "validate": { "unknown_property": "off", "response_property": "off", "response_body": "off" },
        "policies": [
            { "match": { "operation": "getOrder" }, "properties": {
                "response": { "allow": ["/id", "/items/*/sku"] },
                "for": [
                    { "consumers": ["bob"], "scopes": ["read"], "response": { "deny": ["/items/*/cost"] } },
                    { "scopes": ["admin"], "response": {} },
                ] } },
            { "match": { "operation": "putOrder" }, "properties": {
                "request": { "deny": ["/role", "/lines/*/price"] },
                "for": [{ "consumers": ["bob"], "request": {} }] } },
        ],
    }))
    .engine
}

const ORDER: &str = r#"{"id": 1, "owner": "x", "items": [{"sku": "a", "cost": 3}, {"sku": "b", "cost": 4}]}"#;

fn get(who: &str, content_type: &str, body: &str) -> Call {
    call("GET", "/orders/1").with("x-api-key", who).answered(
        200,
        &[("content-type", content_type), ("etag", "\"1\"")],
        body,
    )
}

fn put(who: &str, body: &str) -> Went {
    send(&engine(), &call("PUT", "/orders/1").with("x-api-key", who).json(body).answered(204, &[], ""))
}

#[test]
fn callers_see_what_their_list_says() {
    let went = send(&engine(), &get("alice-key", "application/json", ORDER));
    assert_eq!(went.body, r#"{"id": 1, "items": [{"sku": "a"}, {"sku": "b"}]}"#);
    assert_eq!(went.header("content-length"), Some(went.body.len().to_string().as_str()));
    assert!(went.header("etag").is_none(), "it told of other bytes");
    assert!(went.found().contains(&"property-hidden"));
    let went = send(&engine(), &get("bob-key", "application/json", ORDER));
    assert_eq!(went.body, r#"{"id": 1, "owner": "x", "items": [{"sku": "a"}, {"sku": "b"}]}"#);
    let plain = r#"{"id": 1}"#;
    assert_eq!(send(&engine(), &get("alice-key", "application/json", plain)).body, plain);
}

#[test]
fn what_cannot_be_read_is_withheld() {
    for (content_type, body) in [
        ("text/plain", "owner=x"),
        ("application/json", r#"{"id": 1, "owner": "#),
        ("application/json", r#"{"id": 1, "id": {"owner": 2}}"#),
    ] {
        let went = send(&engine(), &get("alice-key", content_type, body));
        assert_eq!(went.status, 502, "{content_type} {body}: {}", went.body);
        assert!(!went.body.contains("owner"), "{}", went.body);
    }
}

#[test]
fn callers_write_what_their_list_says() {
    assert_eq!(put("alice-key", r#"{ "total": 1 }"#).status, 204);
    for body in [
        r#"{ "total": 1, "role": "admin" }"#,
        r#"{ "total": 1, "r\u006fle": "admin" }"#,
        r#"{ "total": 1, "lines": [{ "n": 1 }, { "price": 0 }] }"#,
    ] {
        let went = put("alice-key", body);
        assert_eq!((went.status, went.code()), (403, "property-refused"), "{body}");
        assert_eq!(put("bob-key", body).status, 204, "{body}");
    }
}

#[test]
fn excess_can_be_cut_out() {
    let engine = shop(json!({
        "validate": { "unknown_property": "off" },
        "policies": [{ "match": { "operation": "putOrder" }, "properties": {
            "request": { "allow": ["/total"] }, "request_excess": "strip" } }],
    }))
    .engine;
    let went = send(
        &engine,
        &call("PUT", "/orders/1")
            .with("x-api-key", "alice-key")
            .json(r#"{ "total": 1, "role": "admin" }"#)
            .answered(204, &[], ""),
    );
    assert_eq!(went.status, 204);
    let (_, headers) = went.upstream.unwrap();
    assert!(
        went.record.findings.iter().any(|finding| finding.enforced && finding.reason.contains("/role")),
        "{headers:?}"
    );
}

#[test]
fn mistakes_are_found_at_load() {
    let of = |section: serde_json::Value| {
        errors(SHOP, json!({ "authenticate": { "schemes": { "user": "upstream" } }, "policies": [{ "match": { "operation": "getOrder" }, "properties": section }] })).join("\n")
    };
    assert!(of(json!({ "response": { "allow": ["id"] } })).contains("/policies/0/properties/response"));
    assert!(of(json!({ "for": [{ "response": { "allow": [] } }] })).contains("says nothing of whom"));
}
