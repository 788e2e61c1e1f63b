use std::sync::Arc;

use portcullis_engine::Engine;
use serde_json::json;

use crate::testing::{Call, SHOP, call, errors, send, shop};

fn engine(checkout: serde_json::Value) -> Arc<Engine> {
    shop(json!({ "policies": [
        { "match": { "operation": "getOrder" }, "flow": { "step": "cart" } },
        { "match": { "operation": "putOrder" }, "flow": checkout },
    ] }))
    .engine
}

fn cart(who: &str, at: u64, status: u16) -> Call {
    call("GET", "/orders/1").with("x-api-key", who).at(at).answered(status, &[], "")
}

fn checkout(who: &str, at: u64, status: u16) -> Call {
    call("PUT", "/orders/1").with("x-api-key", who).json(r#"{ "total": 1 }"#).at(at).answered(status, &[], "")
}

#[test]
fn steps_come_in_their_order_and_count_once() {
    let engine = engine(json!({ "after": [{ "step": "cart", "within": "30m", "not_before": "2s" }] }));
    let went = |call: &Call| send(&engine, call).code();
    assert_eq!(went(&checkout("alice-key", 0, 204)), "step-missing");
    assert_eq!(went(&cart("alice-key", 0, 404)), "permitted");
    assert_eq!(went(&checkout("alice-key", 5_000, 204)), "step-missing", "a step that failed is none");
    went(&cart("alice-key", 10_000, 200));
    assert_eq!(went(&checkout("alice-key", 11_000, 204)), "step-too-fast");
    assert_eq!(went(&checkout("bob-key", 15_000, 204)), "step-missing", "of another");
    assert_eq!(went(&checkout("alice-key", 15_000, 422)), "permitted", "and the step is still there");
    assert_eq!(went(&checkout("alice-key", 16_000, 204)), "permitted");
    assert_eq!(went(&checkout("alice-key", 17_000, 204)), "step-missing", "used up");
    went(&cart("alice-key", 20_000, 200));
    assert_eq!(went(&checkout("alice-key", 20_000 + 30 * 60_000 + 1, 204)), "step-missing", "too long ago");
}

#[test]
fn a_step_can_be_kept() {
    let engine = engine(json!({ "after": [{ "step": "cart" }], "keep": true }));
    send(&engine, &cart("alice-key", 0, 200));
    for at in 1..4 {
        assert_eq!(send(&engine, &checkout("alice-key", at, 204)).status, 204);
    }
}

#[test]
fn an_idempotency_key_counts_once() {
    let engine = engine(json!({ "idempotency_key": "required" }));
    let went = |call: Call| send(&engine, &call).code();
    let with = |who: &str, value: &str, at: u64, status: u16| {
        checkout(who, at, status).with("idempotency-key", value)
    };
    assert_eq!(went(checkout("alice-key", 0, 204)), "idempotency-key-missing");
    assert_eq!(went(with("alice-key", "", 0, 204)), "idempotency-key-missing");
    assert_eq!(went(with("alice-key", "k1", 0, 204)), "permitted");
    assert_eq!(went(with("alice-key", "k1", 1, 204)), "idempotency-key-used");
    assert_eq!(went(with("bob-key", "k1", 1, 204)), "permitted", "another's value");
    assert_eq!(went(with("alice-key", "k2", 2, 503)), "permitted");
    assert_eq!(went(with("alice-key", "k2", 3, 204)), "permitted", "after an answer that says to try again");
    assert_eq!(went(with("alice-key", "k2", 4, 204)), "idempotency-key-used");
    assert_eq!(went(with("alice-key", "k1", 24 * 3600 * 1000 + 1, 204)), "permitted", "a day later");
}

#[test]
fn what_counts_once_counts_once() {
    let engine = engine(json!({ "once": ["path.id", "body./code"] }));
    let went = |who: &str, order: &str, body: &str, at: u64, status: u16| {
        let call = call("PUT", &format!("/orders/{order}")).with("x-api-key", who).json(body);
        send(&engine, &call.at(at).answered(status, &[], "")).code()
    };
    assert_eq!(went("alice-key", "1", r#"{"total":1,"code":"A"}"#, 0, 422), "permitted");
    assert_eq!(
        went("alice-key", "1", r#"{"total":1,"code":"A"}"#, 1, 204),
        "permitted",
        "what failed did not count"
    );
    assert_eq!(went("alice-key", "1", r#"{"total":1,"code":"A"}"#, 2, 204), "already-done");
    assert_eq!(
        went("alice-key", "1", r#"{"total":1,"code":" a "}"#, 3, 204),
        "already-done",
        "another spelling"
    );
    assert_eq!(went("alice-key", "1", r#"{"total":1,"code":["A"]}"#, 3, 204), "already-done", "in a list");
    assert_eq!(
        went("alice-key", "1", r#"{"total":1,"code":["A","B"]}"#, 3, 204),
        "already-done",
        "of two values"
    );
    assert_eq!(went("alice-key", "1", "\u{1}", 3, 204), "body-malformed", "what cannot be read");
    assert_eq!(went("alice-key", "2", r#"{"total":1,"code":"A"}"#, 4, 204), "permitted", "of another order");
    assert_eq!(went("bob-key", "1", r#"{"total":1,"code":"A"}"#, 5, 204), "permitted", "of another caller");
    assert_eq!(went("alice-key", "1", r#"{"total":1,"code":"B"}"#, 6, 204), "permitted", "another code");
    let later = 24 * 3600 * 1000 + 2;
    assert_eq!(went("alice-key", "1", r#"{"total":1,"code":"A"}"#, later, 204), "permitted", "a day later");
}

#[test]
fn mistakes_are_found_at_load() {
    let of = |section: serde_json::Value| {
        errors(
            SHOP,
            json!({ "authenticate": { "schemes": { "user": "upstream" } }, "policies": [
            { "match": { "operation": "getOrder" }, "flow": { "step": "cart" } },
            { "match": { "operation": "putOrder" }, "flow": section },
        ] }),
        )
        .join("\n")
    };
    let unknown = of(json!({ "after": [{ "step": "card" }] }));
    assert!(
        unknown.contains("/policies/1/flow/after/0/step") && unknown.contains("did you mean `cart`?"),
        "{unknown}"
    );
    assert!(
        of(json!({ "after": [{ "step": "cart", "within": "1s", "not_before": "2s" }] }))
            .contains("less than `within`")
    );
}
