use serde_json::json;

use crate::testing::{SHOP, call, errors, send, shop};

#[test]
fn values_keep_within_their_bounds() {
    let engine = shop(json!({
        "validate": { "unknown_query": "off", "unknown_property": "off", "parameters": "off", "body": "off",
                      "media_type": "off", "unknown_path": "off" },
        "policies": [{ "match": { "operation": "putOrder" }, "values": {
            "path.id": { "maximum": 100 },
            "query.size": { "type": "integer", "minimum": 1, "maximum": 50 },
            "query.q": { "maxLength": 5, "pattern": "[a-z]*" },
            "body./total": { "type": "number", "minimum": 0.01, "maximum": 1000 },
            "body./parts/*/name": { "minLength": 2, "maxLength": 4 },
            "body./kind": { "enum": ["a", 7] },
        } }],
    }))
    .engine;
    let put = |target: &str, body: &str| {
        let call = call("PUT", target).json(body).with("x-api-key", "alice-key").answered(204, &[], "");
        send(&engine, &call).code()
    };
    let whole = r#"{ "total": 1 }"#;
    for target in ["/orders/7", "/orders/7?size=50&q=abc", "/orders/7?q=", "/orders/7?size=1.0"] {
        assert_eq!(put(target, whole), "permitted", "{target}");
    }
    for target in [
        "/orders/101",
        "/orders/7?size=51",
        "/orders/7?size=0",
        "/orders/7?size=1e9",
        "/orders/7?size=x",
        "/orders/7?size=1&size=1000",
        "/orders/7?%73ize=99",
        "/orders/7?SIZE=99",
        "/orders/7?page[size]=99",
        "/orders/7?q=%ff%ff",
        "/orders/7?q=abcdef",
        "/orders/7?q=A",
        "/orders/7?size=nan",
    ] {
        assert_eq!(put(target, whole), "value-refused", "{target}");
    }
    for body in [
        r#"{"total":1000}"#,
        r#"{}"#,
        r#"{"total":null}"#,
        r#"{"total":1,"kind":7}"#,
        r#"{"parts":[{"name":"äöüß"},{}]}"#,
    ] {
        assert_eq!(put("/orders/7", body), "permitted", "{body}");
    }
    for body in [
        r#"{"total":-1}"#,
        r#"{"Total":-1}"#,
        r#"{"total":1,"tot_al":-1}"#,
        r#"[{"total":-1}]"#,
        r#"{"parts":{"name":"a"}}"#,
        r#"{"total":0}"#,
        r#"{"total":"-5"}"#,
        r#"{"total":1e300}"#,
        r#"{"total":{"$gt":0}}"#,
        r#"{"total":[1]}"#,
        r#"{"kind":"7"}"#,
        r#"{"parts":[{"name":"abc"},{"name":"a"}]}"#,
        r#"{"parts":[{"name":"abcde"}]}"#,
        r#"{"parts":[{"name":["abc"]}]}"#,
    ] {
        assert_eq!(put("/orders/7", body), "value-refused", "{body}");
    }
    let form = |body: &str, kind: &str| {
        let mut call = call("PUT", "/orders/7").with("content-type", kind).with("x-api-key", "alice-key");
        call.body = Some(body.into());
        send(&engine, &call.answered(204, &[], "")).code()
    };
    assert_eq!(form("total=5&kind=a", "application/x-www-form-urlencoded"), "permitted");
    assert_eq!(form("total=-5", "application/x-www-form-urlencoded"), "value-refused");
    assert_eq!(form("total = 5", "text/plain"), "value-refused", "what cannot be read is not judged as good");
}

#[test]
fn mistakes_are_found_at_load() {
    let of = |section: serde_json::Value| {
        errors(
            SHOP,
            json!({ "authenticate": { "schemes": { "user": "upstream" } },
            "policies": [{ "match": { "operation": "putOrder" }, "values": section }] }),
        )
        .join("\n")
    };
    assert!(of(json!({ "limit": { "maximum": 5 } })).contains("names no place"));
    assert!(of(json!({ "path.no": { "maximum": 5 } })).contains("path parameter `no`"));
    assert!(of(json!({ "query.a": { "max": 5 } })).contains("unknown key `max`"));
    assert!(of(json!({ "query.a": { "pattern": "(" } })).contains("pattern"));
}

#[test]
fn what_is_required_must_be_there() {
    let engine = shop(json!({
        "validate": { "unknown_query": "off", "unknown_property": "off", "parameters": "off", "body": "off",
                      "media_type": "off", "unknown_path": "off" },
        "policies": [{ "match": { "operation": "putOrder" }, "values": {
            "query.size": { "type": "integer", "required": true },
            "body./total": { "minimum": 0, "required": true },
        } }],
    }))
    .engine;
    let put = |target: &str, body: &str| {
        let call = call("PUT", target).json(body).with("x-api-key", "alice-key").answered(204, &[], "");
        send(&engine, &call).code()
    };
    assert_eq!(put("/orders/7?size=1", r#"{"total":1}"#), "permitted");
    assert_eq!(put("/orders/7?Size=1", r#"{"a":{},"TOTAL":1}"#), "permitted");
    for target in ["/orders/7", "/orders/7?siz=1"] {
        assert_eq!(put(target, r#"{"total":1}"#), "value-refused", "{target}");
    }
    for body in ["{}", r#"{"total":null}"#, r#"{"a":{"total":1}}"#, "[]", "null", ""] {
        assert_eq!(put("/orders/7?size=1", body), "value-refused", "{body}");
    }
}
