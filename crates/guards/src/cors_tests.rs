use serde_json::json;

use super::*;
use crate::testing::*;

fn preflight(target: &str, origin: &str, method: &str) -> Call {
    call("OPTIONS", target).with("origin", origin).with("access-control-request-method", method)
}

#[test]
fn preflights_are_answered_for_those_who_are_let_in() {
    let cors = json!({ "cors": { "origins": ["https://app.example.com", "https://*.example.org"], "credentials": true, "expose": ["X-Total"] } });
    let engine = shop(cors).engine;
    let went = send(&engine, &preflight("/orders/1", "https://app.example.com", "PUT"));
    assert_eq!((went.status, went.code(), went.upstream.is_none()), (204, "answered", true));
    assert_eq!(went.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(went.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(went.header("access-control-allow-methods"), Some("PUT"));
    assert!(went.header("vary").unwrap().contains("Origin"));
    for (origin, admitted) in [
        ("https://a.example.org", true),
        ("https://a.b.example.org", true),
        ("https://example.org", false),
        ("https://evil.com/.example.org", false),
        ("https://evilexample.org", false),
        ("https://app.example.com.evil.com", false),
        ("http://app.example.com", false),
        ("https://app.example.com:8443", false),
        ("https://APP.example.com", false),
        ("null", false),
        ("", false),
    ] {
        let went = send(&engine, &preflight("/orders/1", origin, "GET"));
        assert_eq!(went.code(), if admitted { "answered" } else { "cors-refused" }, "{origin}");
        // An ordinary call passes, but its answer can be read only by those who are let in.
        let went = send(
            &engine,
            &call("GET", "/status").with("origin", origin).answered(
                200,
                &[("access-control-allow-origin", "*")],
                "",
            ),
        );
        assert_eq!(went.header("access-control-allow-origin"), admitted.then_some(origin), "{origin}");
        assert_eq!(went.header("vary"), Some("Origin"));
    }
    // A refusal can be read too.
    let went = send(&engine, &call("GET", "/orders/1").with("origin", "https://app.example.com"));
    assert_eq!(
        (went.status, went.header("access-control-allow-origin")),
        (401, Some("https://app.example.com"))
    );
    assert_eq!(went.header("access-control-expose-headers"), Some("X-Total"));
    // What is not in the contract is not answered for.
    assert_eq!(
        send(&engine, &preflight("/nowhere", "https://app.example.com", "GET")).code(),
        "path-unknown"
    );
    assert_eq!(
        send(&engine, &preflight("/orders/1", "https://app.example.com", "DELETE")).code(),
        "method-unknown"
    );
}

#[test]
fn policies_differ_by_operation() {
    let engine =
        shop(json!({ "policies": [{ "match": { "operation": "status" }, "cors": { "origins": ["*"] } }] }))
            .engine;
    let went = send(&engine, &preflight("/status", "https://any.net", "GET"));
    assert_eq!((went.code(), went.header("access-control-allow-origin")), ("answered", Some("*")));
    // Where nothing is configured, the API answers, without a credential.
    let went = send(&engine, &preflight("/orders/1", "https://any.net", "GET"));
    assert_eq!((went.code(), went.upstream.is_some()), ("permitted", true));
    assert_eq!(send(&engine, &preflight("/orders/1", "https://any.net", "DELETE")).code(), "method-unknown");
}

#[test]
fn mirrors_lose_their_credentials() {
    let engine = shop(json!({})).engine;
    let ask = |origin: &str, allowed: &str, credentials: &str| {
        let answer =
            [("access-control-allow-origin", allowed), ("access-control-allow-credentials", credentials)];
        let went = send(&engine, &call("GET", "/status").with("origin", origin).answered(200, &answer, ""));
        assert_eq!(went.header("access-control-allow-origin"), Some(allowed));
        (went.header("access-control-allow-credentials").is_some(), went.found().contains(&"cors-unsafe"))
    };
    assert_eq!(ask("https://evil.net", "https://evil.net", "true"), (false, true));
    assert_eq!(ask("https://evil.net", "*", "true"), (false, true));
    assert_eq!(ask("null", "null", "true"), (false, true));
    // One site, a fixed origin, or no credentials: the API's own business.
    assert_eq!(ask("https://app.example.com", "https://app.example.com", "true"), (true, false));
    assert_eq!(ask("https://evil.net", "https://partner.net", "true"), (true, false));
    assert_eq!(ask("https://evil.net", "*", "false"), (true, false));
    let monitor = shop(json!({ "cors": { "mode": "monitor" } })).engine;
    let answer = [("access-control-allow-origin", "*"), ("access-control-allow-credentials", "true")];
    let went =
        send(&monitor, &call("GET", "/status").with("origin", "https://a.b").answered(200, &answer, ""));
    assert!(went.header("access-control-allow-credentials").is_some() && went.found() == ["cors-unsafe"]);
}

#[test]
fn sites() {
    for (origin, authority, same) in [
        ("https://app.example.com", "api.example.com", true),
        ("https://example.com:8443", "api.example.com:443", true),
        ("http://localhost:3000", "127.0.0.1:8080", true),
        ("https://evil.com", "api.example.com", false),
        ("https://example.com.evil.com", "api.example.com", false),
        ("https://a.co.uk", "b.co.uk", false),
        ("https://x.a.co.uk", "y.a.co.uk", true),
        ("http://10.0.0.1", "10.0.0.2", false),
        ("http://10.0.0.1:1", "10.0.0.1:2", true),
        ("null", "api.example.com", false),
        ("https://com", "com", true),
        ("https://com", "example.com", false),
    ] {
        assert_eq!(same_site(origin.as_bytes(), authority.as_bytes()), same, "{origin} {authority}");
    }
}

#[test]
fn slips_are_named() {
    for (cors, at) in [
        (json!({ "origins": ["*"], "credentials": true }), "/cors/origins/0"),
        (json!({ "origins": ["app.example.com"] }), "/cors/origins/0"),
        (json!({ "origins": ["https://*"] }), "/cors/origins/0"),
        (json!({ "origins": ["https://*.com"] }), "/cors/origins/0"),
        (json!({ "origins": ["https://a.b/path"] }), "/cors/origins/0"),
        (json!({ "headers": ["a b"], "origins": [] }), "/cors/headers/0"),
    ] {
        let errors =
            errors(SHOP, json!({ "cors": cors, "authenticate": { "schemes": { "user": "upstream" } } }));
        assert!(errors[0].starts_with(at), "{cors} {errors:?}");
    }
}
