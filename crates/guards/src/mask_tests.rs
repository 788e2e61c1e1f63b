use serde_json::json;

use crate::testing::*;

const SQL: &str = r#"{"error":"SQLITE_ERROR: near \"'\": syntax error"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

fn status() -> Call {
    call("GET", "/status")
}

#[test]
fn errors_that_tell_too_much_are_replaced() {
    let engine = shop(json!({})).engine;
    for (code, status_code) in
        [("detail-masked", 400), ("detail-masked", 404), ("error-masked", 500), ("error-masked", 503)]
    {
        let went = send(
            &engine,
            &status().answered(
                status_code,
                &[JSON, ("retry-after", "7"), ("x-debug", "1"), ("etag", "x")],
                SQL,
            ),
        );
        assert_eq!(went.status, status_code);
        assert!(!went.body.contains("SQLITE") && went.body.contains(code), "{}", went.body);
        assert!(went.body.contains("00000000000000000000000000000007"), "the reference: {}", went.body);
        assert_eq!(went.header("content-type"), Some("application/problem+json"));
        assert_eq!(
            (went.header("retry-after"), went.header("x-debug"), went.header("etag")),
            (Some("7"), None, None)
        );
        assert!(went.header("x-content-type-options").is_some());
        let masked = went.record.masked.as_ref().unwrap();
        assert!(masked.excerpt.contains("SQLITE_ERROR") && masked.status == status_code);
        assert!(went.found().contains(&code), "{:?}", went.found());
    }
}

#[test]
fn ordinary_errors_pass_and_server_errors_do_not() {
    let engine = shop(json!({})).engine;
    let plain = r#"{"error":"email is required"}"#;
    let went = send(&engine, &status().answered(422, &[JSON], plain));
    assert_eq!((went.status, went.body.as_str(), went.record.masked.is_none()), (422, plain, true));
    let went = send(&engine, &status().answered(500, &[JSON], plain));
    assert!(went.status == 500 && !went.body.contains("email"));
    // What says it worked is not looked at.
    let went = send(&engine, &status().answered(200, &[JSON], SQL));
    assert_eq!(went.body, SQL);
    let leaking = shop(json!({ "mask": { "server_errors": "leaking" } })).engine;
    assert_eq!(send(&leaking, &status().answered(503, &[JSON], plain)).body, plain);
    assert_ne!(send(&leaking, &status().answered(503, &[JSON], SQL)).body, SQL);
    let kinds = shop(json!({ "mask": { "server_errors": "leaking", "kinds": ["path"] } })).engine;
    assert_eq!(send(&kinds, &status().answered(503, &[JSON], SQL)).body, SQL);
}

#[test]
fn compressed_errors_are_read_and_monitor_mode_changes_nothing() {
    let engine = shop(json!({ "mask": { "mode": "monitor" } })).engine;
    let went = send(&engine, &status().answered(500, &[JSON], SQL));
    assert_eq!((went.body.as_str(), went.record.masked.is_none()), (SQL, true));
    assert!(went.found().contains(&"error-masked"));
}

#[test]
fn errors_of_unmatched_requests_are_masked_too() {
    let engine = shop(json!({
        "validate": { "unknown_path": "monitor" },
        "policies": [{ "match": { "unmatched": true }, "public": true }],
    }))
    .engine;
    let went = send(&engine, &call("GET", "/nowhere").answered(500, &[JSON], SQL));
    assert!(went.status == 500 && !went.body.contains("SQLITE"));
}

#[test]
fn failures_look_alike() {
    let engine = shop(serde_json::json!({ "policies": [
        { "match": { "operation": "status" }, "mask": { "failures": "alike", "success": "/token" } }
    ] }))
    .engine;
    let json = [("content-type", "application/json"), ("x-user", "none")];
    let answer = |status: u16, body: &str| {
        let went = send(&engine, &call("GET", "/status").answered(status, &json, body));
        (went.status, went.header("x-user").map(str::to_owned), went.body)
    };
    let unknown = answer(404, r#"{"error":"no such user"}"#);
    assert_eq!((unknown.0, &unknown.1), (401, &None));
    for (status, body) in
        [(401, r#"{"error":"wrong password"}"#), (200, r#"{"status":"fail"}"#), (422, "[]"), (200, "\"no\"")]
    {
        assert_eq!(answer(status, body), unknown, "{status} {body}");
    }
    assert_eq!(answer(200, r#"{"token":"t"}"#).2, r#"{"token":"t"}"#);
    assert_eq!(answer(500, "{}").0, 500);
}
