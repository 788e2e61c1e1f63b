use std::sync::Arc;

use portcullis_engine::Engine;
use serde_json::json;

use crate::testing::{Call, SHOP, call, errors, send, shop};

fn engine() -> Arc<Engine> {
    shop(json!({
        "validate": { "unknown_query": "off", "unknown_property": "off" },
        "policies": [
            { "match": { "operation": "putOrder" }, "provenance": {
                "shows": { "order": "location" },
                "needs": { "order": ["path.id", "query.copy", "body./parts/*/of"] } } },
            { "match": { "operation": "getOrder" }, "provenance": {
                "shows": { "order": ["/id", "/others/*/id"] } } },
        ],
    }))
    .engine
}

fn by(who: &str, call: Call) -> Call {
    call.with("x-api-key", who)
}

fn shows(who: &str, body: &str) -> Call {
    by(who, call("GET", "/orders/1").answered(200, &[("content-type", "application/json")], body))
}

fn put(who: &str, target: &str, body: &str) -> Call {
    by(who, call("PUT", target).json(body).answered(204, &[], ""))
}

#[test]
fn only_what_was_shown_is_there() {
    let engine = engine();
    let status = |call: &Call| send(&engine, call).status;
    let plain = r#"{ "total": 1 }"#;
    assert_eq!(status(&put("alice-key", "/orders/17", plain)), 404);
    assert_eq!(
        status(&shows("alice-key", r#"{ "id": 17, "others": [{ "id": "18" }, { "no": 1 }, { "id": 19 }] }"#)),
        200
    );
    for target in ["/orders/17", "/orders/18", "/orders/19?copy=17", "/orders/%31%37"] {
        assert_eq!(status(&put("alice-key", target, plain)), 204, "{target}");
        assert_eq!(status(&put("bob-key", target, plain)), 404, "{target} of another");
    }
    for target in ["/orders/20", "/orders/17?copy=20", "/orders/17?copy=17&copy=20", "/orders/017"] {
        assert_ne!(status(&put("alice-key", target, plain)), 204, "{target}");
    }
    assert_eq!(
        status(&put("alice-key", "/orders/17", r#"{ "total": 1, "parts": [{ "of": 17 }, { "of": "18" }] }"#)),
        204
    );
    assert_eq!(
        status(&put("alice-key", "/orders/17", r#"{ "total": 1, "parts": [{ "of": 17 }, { "of": 20 }] }"#)),
        404
    );
    assert_eq!(
        status(&put("alice-key", "/orders/17", r#"{ "total": 1, "parts": [{ "of": { "a": 1 } }] }"#)),
        404
    );
    let refused = send(&engine, &put("bob-key", "/orders/17", plain));
    assert_eq!(refused.code(), "object-unknown");
    assert!(refused.upstream.is_none());
}

#[test]
fn what_was_shown_is_forgotten_and_failures_show_nothing() {
    let engine = engine();
    let status = |call: &Call| send(&engine, call).status;
    let plain = r#"{ "total": 1 }"#;
    send(&engine, &shows("alice-key", r#"{ "id": 17 }"#));
    let day = 24 * 3600 * 1000;
    assert_eq!(status(&put("alice-key", "/orders/17", plain).at(day - 1)), 204);
    assert_eq!(status(&put("alice-key", "/orders/17", plain).at(day)), 404);
    let failed =
        shows("bob-key", "").answered(404, &[("content-type", "application/json")], r#"{ "id": 30 }"#);
    send(&engine, &failed.at(day));
    assert_eq!(status(&put("bob-key", "/orders/30", plain).at(day)), 404);
    // A created object is shown by where it is.
    send(&engine, &shows("bob-key", r#"{ "id": 5 }"#).at(day));
    let made = put("bob-key", "/orders/5", plain).answered(
        201,
        &[("location", "https://api.example.com/orders/77?x=1")],
        "",
    );
    assert_eq!(status(&made.at(day)), 201);
    assert_eq!(status(&put("bob-key", "/orders/77", plain).at(day)), 204);
}

#[test]
fn a_session_of_the_api_tells_users_apart() {
    for (by, name) in [("header.Authorization", "authorization"), ("cookie.sid", "cookie")] {
        let engine = shop(json!({ "policies": [
            { "match": { "operation": "putOrder" }, "provenance": { "by": by, "needs": { "order": "path.id" } } },
            { "match": { "operation": "getOrder" }, "provenance": { "by": by, "shows": { "order": "/id" } } },
        ] }))
        .engine;
        let session =
            |who: &str| if name == "cookie" { format!("a=b; sid={who}") } else { format!("Bearer {who}") };
        let put = |who: &str| put("alice-key", "/orders/17", r#"{ "total": 1 }"#).with(name, &session(who));
        let status = |call: &Call| send(&engine, call).status;
        assert_eq!(status(&put("one")), 404);
        send(&engine, &shows("alice-key", r#"{ "id": 17 }"#).with(name, &session("one")));
        assert_eq!(status(&put("one")), 204, "{by}");
        assert_eq!(status(&put("two")), 404, "{by}");
        assert_ne!(status(&put("one").with(name, &session("two"))), 204, "two sessions are none: {by}");
    }
}

#[test]
fn parameters_of_a_base_path_are_no_parameters_of_the_operation() {
    let contract =
        SHOP.replacen("paths:", "servers: [{ url: 'https://api.example.com/{tenant}/v1' }]\npaths:", 1);
    let engine = crate::testing::build(
        &contract,
        &json!({ "authenticate": { "schemes": { "user": "upstream" } }, "policies": [
            { "match": { "operation": "putOrder" }, "provenance": { "needs": { "order": "path.id" } } },
            { "match": { "operation": "getOrder" }, "provenance": { "shows": { "order": "/id" } } },
        ] }),
        false,
    )
    .unwrap()
    .engine;
    let json = [("content-type", "application/json")];
    let list = by("alice-key", call("GET", "/17/v1/orders/1").answered(200, &json, r#"{ "id": 17 }"#));
    assert_eq!(send(&engine, &list).status, 200);
    let plain = r#"{ "total": 1 }"#;
    assert_eq!(send(&engine, &put("alice-key", "/17/v1/orders/17", plain)).status, 204);
    assert_eq!(
        send(&engine, &put("alice-key", "/17/v1/orders/18", plain)).status,
        404,
        "the tenant is no order"
    );
}

#[test]
fn mistakes_are_found_at_load() {
    let of = |section: serde_json::Value| {
        errors(SHOP, json!({ "authenticate": { "schemes": { "user": "upstream" } }, "policies": [{ "match": { "operation": "putOrder" }, "provenance": section }] })).join("\n")
    };
    let unknown = of(json!({ "shows": { "order": "/id" }, "needs": { "ordre": "path.id" } }));
    assert!(
        unknown.contains("/policies/0/provenance/needs/ordre") && unknown.contains("did you mean `order`?"),
        "{unknown}"
    );
    assert!(of(json!({ "shows": { "order": "id" } })).contains("JSON pointer"));
    assert!(
        of(json!({ "shows": { "order": "/id" }, "needs": { "order": "path.order" } }))
            .contains("unknown path parameter `order`")
    );
    assert!(of(json!({ "needs": { "order": "order" } })).contains("names no place"));
    assert!(of(json!({ "by": "query.sid", "shows": { "order": "/id" } })).contains("/provenance/by"));
}
