use serde_json::json;

use crate::testing::*;

#[test]
fn responses_are_dressed_and_banners_are_gone() {
    let engine = shop(json!({})).engine;
    let answer = [
        ("content-type", "application/json"),
        ("server", "nginx/1.25.3"),
        ("x-powered-by", "Express"),
        ("x-aspnet-version", "4.0"),
        ("via", "1.1 varnish"),
    ];
    let went = send(&engine, &call("GET", "/status").answered(200, &answer, "{}"));
    for gone in
        ["server", "x-powered-by", "x-aspnet-version", "via", "cache-control", "strict-transport-security"]
    {
        assert_eq!(went.header(gone), None, "{gone}");
    }
    assert_eq!(went.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(went.header("content-security-policy"), Some("default-src 'none'; frame-ancestors 'none'"));
    assert_eq!(went.header("referrer-policy"), Some("no-referrer"));
    let went = send(&engine, &call("GET", "/status").tls());
    assert_eq!(went.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"));
}

#[test]
fn refusals_are_dressed_too() {
    let engine = shop(json!({})).engine;
    for target in ["/orders/1", "/nowhere", "//"] {
        let went = send(&engine, &call("GET", target).tls());
        assert!(went.status >= 400);
        assert!(
            went.header("strict-transport-security").is_some() && went.header("referrer-policy").is_some(),
            "{target}"
        );
    }
}

#[test]
fn what_the_api_says_stands_and_html_keeps_its_own_policy() {
    let engine = shop(json!({})).engine;
    let own = [
        ("content-security-policy", "default-src 'self'"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "bogus"),
    ];
    let went = send(&engine, &call("GET", "/status").answered(200, &own, ""));
    assert_eq!(went.header("content-security-policy"), Some("default-src 'self'"));
    assert_eq!(went.header("referrer-policy"), Some("same-origin"));
    assert_eq!(went.header("x-content-type-options"), Some("nosniff"));
    let went = send(
        &engine,
        &call("GET", "/status").answered(200, &[("content-type", "Text/HTML; charset=utf-8")], "<p>"),
    );
    assert_eq!(went.header("content-security-policy"), None);
}

#[test]
fn private_answers_stay_out_of_caches() {
    let engine = shop(json!({})).engine;
    let cached = |call: &Call| send(&engine, call).header("cache-control").map(str::to_owned);
    let order = call("GET", "/orders/1").with("x-api-key", "alice-key");
    assert_eq!(cached(&order).as_deref(), Some("no-store"));
    assert_eq!(
        cached(&order.clone().answered(200, &[("cache-control", "private, max-age=5")], "")).as_deref(),
        Some("private, max-age=5")
    );
    assert_eq!(cached(&order.answered(200, &[("expires", "0")], "")), None);
    assert_eq!(
        cached(&call("GET", "/status").answered(200, &[("set-cookie", "a=b")], "")).as_deref(),
        Some("no-store")
    );
    assert_eq!(
        cached(&call("GET", "/by-user").with("authorization", "Bearer t")).as_deref(),
        Some("no-store")
    );
    assert_eq!(cached(&call("GET", "/status")), None);
}

#[test]
fn every_field_can_be_changed_or_left_out() {
    let engine = shop(json!({ "headers": {
        "content_security_policy": "off", "referrer_policy": "origin", "keep": ["Via"], "remove": ["X-Backend"],
        "set": { "X-Frame-Options": "DENY" },
    } })).engine;
    let answer = [("via", "1.1 a"), ("x-backend", "7"), ("x-frame-options", "ALLOWALL")];
    let went = send(&engine, &call("GET", "/status").answered(200, &answer, ""));
    assert_eq!(
        (went.header("content-security-policy"), went.header("referrer-policy")),
        (None, Some("origin"))
    );
    assert_eq!(
        (went.header("via"), went.header("x-backend"), went.header("x-frame-options")),
        (Some("1.1 a"), None, Some("DENY"))
    );
    for (section, at) in [
        (json!({ "hsts": "a\nb" }), "/headers/hsts"),
        (json!({ "remove": ["a b"] }), "/headers/remove/0"),
        (json!({ "set": { "a b": "c" } }), "/headers/set/a b"),
        (json!({ "hsts": 3 }), "/headers/hsts"),
    ] {
        let errors = errors(
            SHOP,
            json!({ "headers": section, "authenticate": { "schemes": { "user": "upstream" } } }),
        );
        assert!(errors[0].starts_with(at), "{errors:?}");
    }
}
