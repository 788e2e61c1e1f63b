use serde_json::json;

use crate::testing::{Call, call, errors, send, shop};

fn refused(policies: serde_json::Value, call: Call) -> bool {
    let went = send(&shop(policies).engine, &call.with("x-api-key", "alice-key"));
    match went.status {
        403 => {
            assert_eq!(went.code(), "url-refused");
            assert!(!went.body.contains("10.0.0"), "the URL is not echoed: {}", went.body);
            true
        }
        _ => false,
    }
}

#[test]
fn declared_places_lead_only_where_the_list_says() {
    let policy = || {
        json!({
            "validate": { "unknown_query": "off", "unknown_property": "off" },
            "policies": [{ "match": { "operation": "putOrder" }, "ssrf": {
                "parameters": ["body./hooks/*/to", "query.from", "header.X-Callback", "cookie.home"],
                "allow": ["https://*.example.com"],
            } }],
        })
    };
    let put = |target: &str| call("PUT", target).json(r#"{ "total": 1 }"#);
    assert!(!refused(policy(), put("/orders/1")));
    assert!(!refused(policy(), put("/orders/1?from=https%3A%2F%2Fa.example.com%2Fx")));
    assert!(refused(policy(), put("/orders/1?from=https%3A%2F%2Fexample.org%2Fx")));
    assert!(
        refused(policy(), put("/orders/1?from=https://a.example.com&from=https://example.org")),
        "repeated"
    );
    assert!(refused(policy(), put("/orders/1?fro%6d=10.0.0.1")), "an encoded name, no scheme");
    assert!(
        refused(policy(), put("/orders/1").with("x-callback", "http://a.example.com")),
        "a scheme not on the list"
    );
    assert!(!refused(policy(), put("/orders/1").with("x-callback", "https://a.example.com")));
    assert!(refused(policy(), put("/orders/1").with("cookie", "a=b; home=http://10.0.0.1")));
    let body = |url: &str| {
        call("PUT", "/orders/1").json(
            &json!({ "total": 1, "hooks": [{ "to": "https://b.example.com" }, { "to": url }] }).to_string(),
        )
    };
    assert!(!refused(policy(), body("https://a.example.com/x")));
    assert!(refused(policy(), body("https://example.org/x")));
    assert!(refused(policy(), body("10.0.0.1")));
    assert!(
        refused(
            policy(),
            call("PUT", "/orders/1").json(r#"{ "total": 1, "hooks": [{ "t\u006f": "http:\/\/10.0.0.1" }] }"#)
        ),
        "escapes"
    );
}

#[test]
fn names_that_say_url_are_judged_without_configuration() {
    let policy = || json!({ "validate": { "unknown_query": "off", "unknown_property": "off" } });
    let with = |name: &str, value: &str| {
        call("PUT", "/orders/1").json(&json!({ "total": 1, "deep": { name: value } }).to_string())
    };
    assert!(refused(policy(), with("imageUrl", "http://10.0.0.1/a.png")));
    assert!(refused(policy(), with("callback", "//169.254.169.254/")));
    assert!(!refused(policy(), with("imageUrl", "https://cdn.example.com/a.png")));
    assert!(!refused(policy(), with("imageUrl", "10.0.0.1")), "no whole URL");
    assert!(!refused(policy(), with("note", "http://10.0.0.1/")), "a name that says nothing");
    assert!(!refused(policy(), with("redirect_uri", "http://127.0.0.1:8123/")), "RFC 8252");
    let ignored =
        json!({ "validate": { "unknown_property": "off" }, "ssrf": { "ignore": ["body./deep/imageUrl"] } });
    assert!(!refused(ignored, with("imageUrl", "http://10.0.0.1/a.png")));
}

#[test]
fn mistakes_are_found_at_load() {
    let of = |section: serde_json::Value| {
        errors(crate::testing::SHOP, json!({ "authenticate": { "schemes": { "user": "upstream" } }, "policies": [{ "match": { "operation": "getOrder" }, "ssrf": section }] })).join("\n")
    };
    assert!(of(json!({ "allow": ["https://example.com"] })).contains("`parameters` names no place"));
    assert!(of(json!({ "parameters": ["path.url"] })).contains("no parameter `url`"));
    assert!(of(json!({ "parameters": ["url"] })).contains("names no place"));
    assert!(of(json!({ "parameters": ["query.url"], "allow": ["*"] })).contains("`*`"));
}
