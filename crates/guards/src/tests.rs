//! What holds for all guards together.

use std::collections::HashSet;

use schemars::SchemaGenerator;
use serde_json::{Value, json};

use crate::testing::*;
use crate::{Policies, REGISTRY, codes, docs};

#[test]
fn names_and_codes_are_unique_and_explained() {
    let mut names = HashSet::new();
    for code in portcullis_engine::code::CODES.iter().copied().chain(codes()) {
        assert!(names.insert(code.name), "{} is taken twice", code.name);
        for text in [code.title, code.attack, code.client, code.operator] {
            assert!(text.len() > 5, "{}", code.name);
        }
        assert!((400..600).contains(&code.status), "{}", code.name);
    }
    let guards: HashSet<_> = REGISTRY.iter().map(|entry| entry.name).collect();
    assert_eq!(guards.len(), REGISTRY.len());
}

#[test]
fn every_page_says_what_the_attack_is_and_its_examples_are_valid() {
    for (name, page, _) in docs() {
        assert!(page.contains("OWASP API") && page.contains("CWE-"), "{name}");
        assert!(page.contains("**What it does.**") && page.contains("**The attack.**"), "{name}");
        let examples: Vec<&str> =
            page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let tree =
                portcullis_openapi::source::Document::parse("example.yaml", example.as_bytes()).unwrap();
            let value = to_value(tree.root());
            if name == crate::egress::NAME {
                let read = serde_json::from_value::<
                    std::collections::BTreeMap<String, crate::DestinationConfig>,
                >(value["egress"]["destinations"].clone());
                assert!(read.is_ok_and(|destinations| !destinations.is_empty()), "{example}");
                continue;
            }
            let read = Policies::from_value(&value);
            assert!(read.is_ok(), "{name}: {:?}\n{example}", read.err());
        }
    }
}

fn to_value(node: &portcullis_openapi::source::Node) -> Value {
    use portcullis_openapi::source::Kind;
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => json!(value),
        Kind::Number(number) => json!(number),
        Kind::String(text) => json!(text),
        Kind::Array(items) => items.iter().map(to_value).collect(),
        Kind::Object(members) => members.iter().map(|m| (m.key.to_string(), to_value(&m.value))).collect(),
    }
}

#[test]
fn the_schema_names_every_key() {
    let properties = Policies::properties(&mut SchemaGenerator::default());
    for key in Policies::keys() {
        assert!(properties.contains_key(key), "{key}");
    }
    let limit = properties["limit"].to_string();
    assert!(limit.contains("baseline") && limit.contains("on_error"), "{limit}");
    assert!(properties["policies"]["items"]["properties"]["match"].to_string().len() > 10);
}

#[test]
fn slips_are_named_with_the_nearest_word() {
    for (policies, expected) in [
        (json!({ "limt": {} }), "/limt: unknown key `limt`; did you mean `limit`?"),
        (json!({ "mode": "of" }), "/mode: unknown value `of`"),
        (json!({ "policies": {} }), "/policies: expected a list"),
        (
            json!({ "policies": [{ "mtch": {} }] }),
            "/policies/0/mtch: unknown key `mtch`; did you mean `match`?",
        ),
        (
            json!({ "policies": [{ "match": { "operaton": "x" } }] }),
            "/policies/0/match/operaton: unknown key `operaton`; did you mean `operation`?",
        ),
        (
            json!({ "policies": [{ "match": { "tag": 3 } }] }),
            "/policies/0/match/tag: expected a text or a list",
        ),
        (
            json!({ "policies": [{ "bounds": { "json_dpth": 3 } }] }),
            "/policies/0/bounds/json_dpth: unknown key `json_dpth`; did you mean `json_depth`?",
        ),
        (json!({ "policies": [{ "public": "yes" }] }), "/policies/0/public"),
        (
            json!({ "policies": [{ "match": { "operation": "getOrdr" } }] }),
            "/policies/0/match/operation: unknown operation `getOrdr`; did you mean `getOrder`?",
        ),
        (
            json!({ "policies": [{ "match": { "tag": "nothing" } }] }),
            "/policies/0/match: no operation of the contract matches",
        ),
        (json!([]), ": expected a mapping"),
    ] {
        let errors = errors(SHOP, policies.clone());
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{policies}: {errors:?}");
    }
}

#[test]
fn policies_apply_in_order_and_modes_follow_the_nearest_word() {
    let mode = |policies: Value, guard: &str| {
        let report = shop(policies).report;
        let operation = report.operations.into_iter().find(|o| &*o.id == "getOrder").unwrap();
        operation
            .guards
            .iter()
            .find(|g| g.name == guard && g.stage <= portcullis_engine::Stage::Quota)
            .map(|g| g.mode)
    };
    use portcullis_engine::Mode::{Enforce, Monitor};
    let orders = json!({ "tag": "orders" });
    assert_eq!(mode(json!({}), "limit"), Some(Enforce));
    assert_eq!(mode(json!({ "mode": "monitor" }), "limit"), Some(Monitor));
    assert_eq!(mode(json!({ "mode": "monitor", "limit": { "mode": "enforce" } }), "limit"), Some(Enforce));
    assert_eq!(mode(json!({ "limit": "monitor" }), "limit"), Some(Monitor));
    assert_eq!(mode(json!({ "policies": [{ "match": orders, "mode": "monitor" }] }), "limit"), Some(Monitor));
    assert_eq!(
        mode(json!({ "policies": [{ "match": orders, "mode": "monitor", "limit": "enforce" }] }), "limit"),
        Some(Enforce)
    );
    assert_eq!(mode(json!({ "policies": [{ "match": orders, "limit": "off" }] }), "limit"), None);
    let later = json!({ "policies": [{ "match": orders, "limit": "off" }, { "match": { "method": "get" }, "limit": "monitor" }] });
    assert_eq!(mode(later, "limit"), Some(Monitor));
}

#[test]
fn a_broken_file_gives_all_its_errors_at_once() {
    let errors = errors(SHOP, json!({ "limt": {}, "headers": { "hsts": 3 }, "policies": [{ "mod": 1 }] }));
    assert_eq!(errors.len(), 3, "{errors:?}");
}

/// In monitor mode an exchange is what it would be without any guard, save that nobody can claim an identity.
#[test]
fn monitor_mode_never_changes_an_exchange() {
    let off: Value = REGISTRY.iter().map(|entry| (entry.name.to_owned(), json!("off"))).collect();
    let bare = shop(off).engine;
    let strict = json!({
        "mode": "monitor",
        "authenticate": { "api_key": "X-API-Key", "schemes": { "user": "upstream" } },
        "authorize": { "scopes": ["nobody-has-it"] },
        "limit": { "baseline": { "rate": "1/min" }, "concurrent": 1 },
        "cors": { "origins": ["https://only.example.com"] },
        "cookies": { "same_site": "strict" },
        "validate": { "unknown_header": "enforce", "unknown_property": "enforce", "response_body": "enforce", "response_status": "enforce" },
        "deprecated": { "sunset": "2020-01-01", "after_sunset": "refuse" },
        "headers": { "set": { "x-set": "1" } },
    });
    let monitor = shop(strict).engine;
    let answers = [
        (
            200,
            vec![("server", "nginx/1.2"), ("content-type", "application/json"), ("set-cookie", "a=b")],
            "{\"id\":\"x\"}",
        ),
        (500, vec![("content-type", "text/plain")], "Traceback (most recent call last)"),
        (404, vec![("access-control-allow-origin", "*"), ("access-control-allow-credentials", "true")], ""),
        (299, vec![("via", "1.1 x")], "plain"),
    ];
    let calls = [
        call("GET", "/status"),
        call("GET", "/orders/1").with("x-api-key", "alice-key"),
        call("GET", "/orders/x?y=1").with("x-api-key", "wrong").with("cookie", "a=b; c=d"),
        call("PUT", "/orders/1").json(r#"{"total":"x","id":1}"#),
        call("PUT", "/orders/1").json(r#"{"total":1,"total":2}"#),
        call("PUT", "/orders/1").json("not json"),
        call("DELETE", "/orders/1"),
        call("OPTIONS", "/orders/1")
            .with("origin", "https://a.b")
            .with("access-control-request-method", "PUT"),
        call("GET", "/by-query?api_key=alice-key"),
        call("GET", "/by-cookie").with("cookie", "sid=alice-key; x=y"),
        call("GET", "/nowhere").with("origin", "https://evil.net"),
        call("GET", "/old").tls(),
    ];
    let mut found = 0;
    for call in &calls {
        for (status, headers, body) in &answers {
            let call = call.clone().answered(*status, headers, body);
            let (bare, watched) = (send(&bare, &call), send(&monitor, &call));
            assert_eq!(bare.code(), "permitted");
            assert_eq!(watched.code(), "permitted", "{call:?}");
            assert_eq!(
                (bare.status, &bare.body, &bare.upstream),
                (watched.status, &watched.body, &watched.upstream)
            );
            let without_length = |went: &Went| {
                let mut headers = went.headers.clone();
                headers.remove("content-length");
                headers
            };
            assert_eq!(without_length(&bare), without_length(&watched), "{call:?}");
            found += watched.record.findings.len();
            assert!(watched.record.findings.iter().all(|finding| !finding.enforced));
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn without_a_file_everything_runs() {
    let compiled = build(SHOP, &json!({}), true).unwrap();
    let names: HashSet<_> =
        compiled.report.operations.iter().flat_map(|o| &o.guards).map(|g| g.name).collect();
    for name in ["validate", "limit", "authenticate", "mask", "cookies", "headers", "cors", "deprecated"] {
        assert!(names.contains(name), "{name}");
    }
    assert_eq!(compiled.engine.plans().len(), 10);
}

#[test]
fn nothing_behind_a_key_is_as_if_it_were_not_written() {
    let read = |document: Value| Policies::from_value(&document).map_err(|errors| errors[0].to_string());
    for document in [
        json!({ "limit": null, "mode": null, "policies": null, "headers": { "hsts": null, "mode": null } }),
        json!({ "limit": { "baseline": null, "rules": null, "per": null, "on_error": null } }),
        json!({ "policies": [{ "match": { "tag": "a" }, "public": null, "mode": null, "bounds": null, "limit": null }] }),
        json!({ "policies": [{ "match": { "tag": "a" }, "bounds": { "request_body": null, "json_depth": 3 } }] }),
    ] {
        assert_eq!(read(document.clone()).map(|_| ()), Ok(()), "{document}");
    }
    for (document, expected) in [
        (json!({ "limti": null }), "unknown key `limti`; did you mean `limit`?"),
        (json!({ "limit": { "baselin": null } }), "unknown key `baselin`; did you mean `baseline`?"),
        (json!({ "policies": [null] }), "expected a mapping"),
        // A condition that says nothing would hold for everything.
        (json!({ "policies": [{ "match": null, "public": true }] }), "expected a condition, found nothing"),
        (json!({ "policies": [{ "match": { "tag": null }, "public": true }] }), "expected a condition"),
        (json!({ "policies": [{ "match": { "path": [] }, "public": true }] }), "expected a condition"),
    ] {
        let error = read(document.clone()).unwrap_err();
        assert!(error.contains(expected), "{document}: {error}");
    }
}

#[test]
fn monitoring_does_not_break_websockets() {
    let upgrade =
        |target: &str| call("GET", target).with("connection", "upgrade").with("upgrade", "websocket");
    let sent = |document: Value, target: &str| {
        let went = send(&shop(document).engine, &upgrade(target));
        (went.code(), went.found())
    };
    assert_eq!(sent(json!({}), "/status").0, "upgrade-refused");
    assert_eq!(sent(json!({ "mode": "monitor" }), "/status"), ("permitted", vec!["upgrade-refused"]));
    assert_eq!(
        sent(json!({ "mode": "monitor" }), "/elsewhere"),
        ("permitted", vec!["path-unknown", "credential-missing", "upgrade-refused"])
    );
    let offered = json!({ "policies": [{ "match": { "operation": "status" }, "websocket": true }] });
    assert_eq!(sent(offered, "/status"), ("permitted", vec![]));
    let one = json!({ "policies": [{ "match": { "operation": "status" }, "mode": "monitor" }] });
    assert_eq!(sent(one.clone(), "/status"), ("permitted", vec!["upgrade-refused"]));
    assert_eq!(sent(one, "/maybe").0, "upgrade-refused");
}

#[test]
fn bounds_of_a_policy_take_sizes() {
    let document = json!({ "policies": [{ "match": { "operation": "putOrder" }, "bounds": { "request_body": "1KiB" } }],
        "authenticate": { "schemes": { "user": "upstream" } } });
    let engine = build(SHOP, &document, false).unwrap().engine;
    let body = |size: usize| format!("{{\"total\":1{}}}", " ".repeat(size));
    let put = |size| {
        send(&engine, &call("PUT", "/orders/7").with("x-api-key", "alice-key").json(&body(size)))
            .code()
            .to_owned()
    };
    assert_eq!((put(100).as_str(), put(2000).as_str()), ("permitted", "body-too-large"));
    let wrong = json!({ "policies": [{ "match": { "operation": "putOrder" }, "bounds": { "request_body": "1XB" } }] });
    let error = Policies::from_value(&wrong).unwrap_err();
    assert_eq!(error[0].pointer, "/policies/0/bounds/request_body");
    assert!(error[0].message.contains("`1XB` is not a size"), "{}", error[0].message);
}
