use std::sync::Arc;

use portcullis_engine::Engine;
use serde_json::json;

use crate::testing::{Call, SHOP, call, errors, send, shop};

/// `{"sub":"alice","is_admin":true}` and `{"sub":"bob","is_admin":false}`, as an API would sign them.
const ALICE: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImlzX2FkbWluIjp0cnVlfQ.c2lnbmVk";
const BOB: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJpc19hZG1pbiI6ZmFsc2V9.c2lnbmVk";

fn engine() -> Arc<Engine> {
    shop(json!({
        "session": { "by": "header.Authorization", "lifetime": "1h", "roles": ["is_admin"] },
        "policies": [
            { "match": { "operation": "status" }, "session": { "opens": "/token" } },
            { "match": { "operation": "getOrder" }, "session": { "required": true },
              "authorize": { "owner": { "response": "/owner", "is": "token.sub" } } },
            { "match": { "operation": "byQuery" }, "session": { "required": true }, "authorize": { "roles": ["is_admin"] } },
            { "match": { "operation": "maybe" }, "session": { "closes": true } },
        ],
    }))
    .engine
}

fn log_in(engine: &Arc<Engine>, token: &str, at: u64) {
    let body = json!({ "token": token }).to_string();
    let login = call("GET", "/status").answered(200, &[("content-type", "application/json")], &body).at(at);
    assert_eq!(send(engine, &login).status, 200);
}

fn by_user(token: &str) -> Call {
    call("GET", "/by-user").with("authorization", &format!("Bearer {token}"))
}

#[test]
fn only_what_was_handed_out_counts() {
    let engine = engine();
    let code = |call: &Call| send(&engine, call).code();
    assert_eq!(code(&by_user(ALICE)), "session-unknown");
    log_in(&engine, ALICE, 0);
    assert_eq!(code(&by_user(ALICE)), "permitted");
    assert_eq!(code(&by_user(BOB)), "session-unknown");
    assert_eq!(code(&by_user(&format!("{ALICE}x"))), "session-unknown");
    // Without a signature, or with another's claims.
    assert_eq!(code(&by_user("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.")), "session-unknown");
    assert_eq!(code(&call("GET", "/by-user").with("authorization", "Bearer ")), "credential-missing");
    let recorded = send(&engine, &by_user(ALICE)).record;
    let principal = recorded.principal.unwrap();
    assert_eq!((&*principal.consumer, principal.subject()), ("alice", "alice"));
    assert!(!principal.credential.contains("c2lnbmVk"));
    let hour = 3600 * 1000;
    assert_eq!(code(&by_user(ALICE).at(hour - 1)), "permitted");
    assert_eq!(code(&by_user(ALICE).at(hour)), "session-unknown", "it is over");
}

#[test]
fn an_unknown_session_can_be_refused_where_none_is_needed() {
    let engine = shop(json!({
        "session": { "by": "cookie.sid", "unknown": "refuse" },
        "policies": [{ "match": { "operation": "status" }, "session": { "opens": "/token" } }],
    }))
    .engine;
    let order = |cookie: &str| {
        let call = call("GET", "/orders/1").with("x-api-key", "alice-key").with("cookie", cookie);
        let body = json!({ "id": 1 }).to_string();
        send(&engine, &call.answered(200, &[("content-type", "application/json")], &body)).code()
    };
    assert_eq!(order("theme=dark"), "permitted", "none is needed");
    assert_eq!(order(&format!("sid={ALICE}")), "session-unknown");
    log_in(&engine, ALICE, 0);
    assert_eq!(order(&format!("sid={ALICE}")), "permitted");
    assert_eq!(order(&format!("sid={BOB}")), "session-unknown");
    assert_eq!(order(&format!("sid={ALICE}; sid={BOB}")), "session-unknown", "which of them, nobody knows");
    assert_eq!(order("sid="), "permitted", "that is none");
    let again = call("GET", "/status").with("cookie", &format!("sid={BOB}"));
    let body = json!({ "token": BOB }).to_string();
    let again = again.answered(200, &[("content-type", "application/json")], &body);
    assert_eq!(send(&engine, &again).code(), "permitted", "whoever logs in again may carry an old one");
}

#[test]
fn what_a_session_says_of_its_user_is_compared() {
    let engine = engine();
    log_in(&engine, ALICE, 0);
    log_in(&engine, BOB, 0);
    let order = |token: &str, owner: &str| {
        let body = json!({ "id": 1, "owner": owner }).to_string();
        let call = call("GET", "/orders/1")
            .with("x-api-key", "alice-key")
            .with("authorization", &format!("Bearer {token}"))
            .answered(200, &[("content-type", "application/json")], &body);
        send(&engine, &call).code()
    };
    assert_eq!(order(ALICE, "alice"), "permitted");
    assert_eq!(order(BOB, "alice"), "owner-mismatch");
    let admin = |token: &str| {
        let call =
            call("GET", "/by-query?api_key=alice-key").with("authorization", &format!("Bearer {token}"));
        send(&engine, &call).code()
    };
    assert_eq!((admin(ALICE), admin(BOB)), ("permitted", "role-missing"));
    assert_eq!(send(&engine, &call("GET", "/by-query?api_key=alice-key")).code(), "session-missing");
}

#[test]
fn a_log_out_ends_it() {
    let engine = engine();
    log_in(&engine, ALICE, 0);
    let leave = |status: u16| {
        send(
            &engine,
            &call("GET", "/maybe").with("authorization", &format!("Bearer {ALICE}")).answered(
                status,
                &[],
                "",
            ),
        );
    };
    leave(500);
    assert_eq!(send(&engine, &by_user(ALICE)).code(), "permitted", "it did not work");
    leave(204);
    assert_eq!(send(&engine, &by_user(ALICE)).code(), "session-unknown");
}

#[test]
fn cookies_are_sessions_too() {
    let engine = shop(json!({
        "session": { "by": "cookie.sid" },
        "policies": [
            { "match": { "operation": "status" }, "session": { "opens": "cookie.sid" } },
            { "match": { "operation": "old" }, "session": { "required": true } },
        ],
    }))
    .engine;
    let old = |cookie: &str| send(&engine, &call("GET", "/old").with("cookie", cookie)).code();
    assert_eq!(old("sid=s3cr3t"), "session-unknown");
    send(&engine, &call("GET", "/status").answered(200, &[("set-cookie", "sid=s3cr3t; HttpOnly")], ""));
    assert_eq!(old("a=b; sid=s3cr3t"), "permitted");
    assert_eq!(old("sid=s3cr3t; sid=other"), "session-missing", "two are none");
}

#[test]
fn mistakes_are_found_at_load() {
    let of = |section: serde_json::Value| {
        errors(
            SHOP,
            json!({ "authenticate": { "schemes": { "user": "upstream" } },
            "policies": [{ "match": { "operation": "byUser" }, "session": section }] }),
        )
        .join("\n")
    };
    assert!(of(json!({ "opens": "/token" })).contains("where callers present the session"));
    assert!(of(json!({ "by": "query.sid" })).contains("header.NAME"));
    assert!(of(json!({ "by": "header.Authorization", "opens": "token" })).contains("JSON pointer"));
    assert!(of(json!({ "by": "header.Authorization" })).contains("session"), "nothing hands one out");
}
