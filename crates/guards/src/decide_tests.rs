use std::sync::Arc;

use serde_json::{Value, json};

use crate::testing::{Call, SHOP, Went, build, call, errors, send};

fn engine(protocol: &str, decide: Value) -> Arc<portcullis_engine::Engine> {
    let mut section =
        json!({ "url": "https://pdp.example.com/", "protocol": protocol, "token": "pdp-token" });
    if protocol == "openfga" {
        section["store"] = json!("01ABC");
    }
    let policies = json!({
        "authenticate": { "schemes": { "user": "upstream" } },
        "validate": "off",
        "limit": "off",
        "decide": section,
        "policies": [{ "match": { "tag": "orders" }, "decide": decide }],
    });
    build(SHOP, &policies, false).unwrap().engine
}

fn by(who: &str, method: &str, target: &str) -> Call {
    call(method, target).with("x-api-key", if who == "alice" { "alice-key" } else { "bob-key" })
}

fn view() -> Value {
    json!({ "relation": "viewer", "object": "order:{path.id}" })
}

fn body(went: &Went, at: usize) -> Value {
    serde_json::from_str(&went.asked[at].2).unwrap()
}

#[test]
fn openfga_is_asked_as_it_says() {
    let mut view = view();
    view["model"] = json!("01MODEL");
    view["context"] = json!({ "via": "{operation}" });
    let went =
        send(&engine("openfga", view), &by("alice", "GET", "/orders/17").told(200, r#"{"allowed":true}"#));
    assert_eq!((went.code(), went.asked.len()), ("permitted", 1));
    let (url, headers, _) = &went.asked[0];
    assert_eq!(url, "https://pdp.example.com/stores/01ABC/check");
    assert_eq!(headers["authorization"], "Bearer pdp-token");
    assert_eq!(
        body(&went, 0),
        json!({
            "tuple_key": { "user": "user:alice", "relation": "viewer", "object": "order:17" },
            "context": { "via": "getOrder" },
            "authorization_model_id": "01MODEL",
        })
    );
    assert!(went.upstream.is_some_and(|(_, headers)| !headers.contains_key("authorization")));
}

#[test]
fn authzen_is_asked_as_it_says() {
    let went =
        send(&engine("authzen", view()), &by("alice", "GET", "/orders/17").told(200, r#"{"decision":true}"#));
    assert_eq!(
        (went.code(), went.asked[0].0.as_str()),
        ("permitted", "https://pdp.example.com/access/v1/evaluation")
    );
    assert_eq!(
        body(&went, 0),
        json!({
            "subject": { "type": "user", "id": "alice" },
            "action": { "name": "viewer" },
            "resource": { "type": "order", "id": "17" },
        })
    );
}

#[test]
fn whatever_is_no_yes_is_a_refusal() {
    for protocol in ["openfga", "authzen"] {
        for (status, answer, expected) in [
            (200, r#"{"allowed":false,"decision":false}"#, "object-refused"),
            (200, r#"{"allowed":"true","decision":1}"#, "lookup-failed"),
            (200, "{}", "lookup-failed"),
            (200, "true", "lookup-failed"),
            (200, "", "lookup-failed"),
            (200, r#"[{"allowed":true,"decision":true}]"#, "lookup-failed"),
            (201, r#"{"allowed":true,"decision":true}"#, "lookup-failed"),
            (302, r#"{"allowed":true,"decision":true}"#, "lookup-failed"),
            (400, r#"{"allowed":true,"decision":true}"#, "lookup-failed"),
            (500, "", "lookup-failed"),
        ] {
            let went = send(&engine(protocol, view()), &by("bob", "GET", "/orders/17").told(status, answer));
            assert_eq!(went.code(), expected, "{protocol} {status} {answer}");
            assert!(went.upstream.is_none());
        }
        let silent = send(&engine(protocol, view()), &by("bob", "GET", "/orders/17"));
        assert_eq!((silent.code(), silent.status), ("lookup-failed", 503));
    }
}

#[test]
fn facts_are_kept_for_a_short_while_and_for_one_question() {
    let engine = engine("openfga", view());
    let get = |who: &str, target: &str, at: u64, answer: &str| {
        let went = send(&engine, &by(who, "GET", target).at(at).told(200, answer));
        (went.code(), went.asked.len())
    };
    let (yes, no) = (r#"{"allowed":true}"#, r#"{"allowed":false}"#);
    assert_eq!(get("alice", "/orders/17", 0, yes), ("permitted", 1));
    assert_eq!(get("alice", "/orders/17", 4_999, no), ("permitted", 0));
    assert_eq!(get("bob", "/orders/17", 1, no), ("object-refused", 1));
    assert_eq!(get("alice", "/orders/18", 1, no), ("object-refused", 1));
    assert_eq!(get("alice", "/orders/18", 999, yes), ("object-refused", 0));
    assert_eq!(get("alice", "/orders/18", 1_002, yes), ("permitted", 1));
    assert_eq!(get("alice", "/orders/17", 5_001, no), ("object-refused", 1), "a right that was withdrawn");
    let mut uncached = view();
    (uncached["cache"], uncached["negative_cache"]) = (json!("0s"), json!("0s"));
    let engine = self::engine("openfga", uncached);
    for _ in 0..2 {
        let went = send(&engine, &by("alice", "GET", "/orders/17").told(200, yes));
        assert_eq!((went.code(), went.asked.len()), ("permitted", 1));
    }
}

#[test]
fn several_objects_are_asked_about_together() {
    let both = json!({ "relation": "editor", "object": ["order:{path.id}", "order:{body./from/*}"], "cache": "0s", "negative_cache": "0s" });
    let merge = |who: &str, json: &str| by(who, "PUT", "/orders/17").json(json);
    let fga = engine("openfga", both.clone());
    let yes = r#"{"result":{"0":{"allowed":true},"1":{"allowed":true},"2":{"allowed":true}}}"#;
    let went = send(&fga, &merge("alice", r#"{"from":[18,"19",17]}"#).told(200, yes));
    assert_eq!(
        (went.code(), went.asked[0].0.as_str()),
        ("permitted", "https://pdp.example.com/stores/01ABC/batch-check")
    );
    let objects: Vec<Value> = body(&went, 0)["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["tuple_key"]["object"].clone())
        .collect();
    assert_eq!(objects, [json!("order:17"), json!("order:18"), json!("order:19")]);
    for answer in [
        r#"{"result":{"0":{"allowed":true},"1":{"allowed":false},"2":{"allowed":true}}}"#,
        r#"{"result":{"0":{"allowed":true},"2":{"allowed":true}}}"#,
        r#"{"result":{"0":{"allowed":true},"1":{"error":{"message":"x"}},"2":{"allowed":true}}}"#,
        r#"{"allowed":true}"#,
    ] {
        let went = send(&fga, &merge("alice", r#"{"from":[18,19]}"#).told(200, answer));
        assert!(went.upstream.is_none(), "{answer}");
    }
    let zen = engine("authzen", both);
    let yes = r#"{"evaluations":[{"decision":true},{"decision":true}]}"#;
    let went = send(&zen, &merge("alice", r#"{"from":[18]}"#).told(200, yes));
    assert_eq!(
        (went.code(), went.asked[0].0.as_str()),
        ("permitted", "https://pdp.example.com/access/v1/evaluations")
    );
    for answer in [
        r#"{"evaluations":[{"decision":true}]}"#,
        r#"{"evaluations":[{"decision":true},{"decision":false}]}"#,
        r#"{"evaluations":[{"decision":true},{"decision":true},{"decision":true}]}"#,
        r#"{"decision":true}"#,
    ] {
        let went = send(&zen, &merge("alice", r#"{"from":[18]}"#).told(200, answer));
        assert!(went.upstream.is_none(), "{answer}");
    }
    // More than one request holds.
    let many: Vec<u32> = (100..160).collect();
    let yes = |count: usize| {
        let all: serde_json::Map<String, Value> =
            (0..count).map(|at| (at.to_string(), json!({ "allowed": true }))).collect();
        json!({ "result": all }).to_string()
    };
    let call = merge("alice", &json!({ "from": many }).to_string()).told(200, &yes(50)).told(200, &yes(11));
    let went = send(&fga, &call);
    assert_eq!((went.code(), went.asked.len()), ("permitted", 2));
    let too_many: Vec<u32> = (0..101).collect();
    assert_eq!(
        send(&fga, &merge("alice", &json!({ "from": too_many }).to_string())).code(),
        "object-refused"
    );
}

#[test]
fn what_cannot_be_asked_about_is_refused_unasked() {
    let fga = engine("openfga", view());
    for target in ["/orders/a%23viewer", "/orders/*", "/orders/a%20b", "/orders/%00"] {
        let went = send(&fga, &by("bob", "GET", target));
        assert!(went.upstream.is_none() && went.asked.is_empty(), "{target}");
    }
    let in_body = engine("openfga", json!({ "relation": "editor", "object": "order:{body./order}" }));
    for body in
        ["{}", r#"{"order":null}"#, r#"{"order":""}"#, r#"{"order":{}}"#, "", "{", r#"{"order":1,"order":2}"#]
    {
        let went = send(&in_body, &by("bob", "PUT", "/orders/17").json(body));
        assert!(went.upstream.is_none() && went.asked.is_empty(), "{body}");
    }
    for (body, kind) in [("order=5", "text/csv"), ("<order>5</order>", "application/xml")] {
        let mut call = by("bob", "PUT", "/orders/17").with("content-type", kind);
        call.body = Some(body.into());
        assert!(send(&in_body, &call).upstream.is_none(), "{kind}");
    }
    let went = send(
        &in_body,
        &by("bob", "PUT", "/orders/17")
            .json(r#"[{"ORDER":5},{"order":6}]"#)
            .told(200, r#"{"result":{"0":{"allowed":true},"1":{"allowed":true}}}"#),
    );
    assert_eq!(body(&went, 0)["checks"].as_array().map(Vec::len), Some(2), "lists and other spellings count");
}

#[test]
fn a_right_that_is_not_about_an_object_is_403() {
    let decide = json!({ "relation": "admin", "object": "api:shop" });
    let went =
        send(&engine("openfga", decide), &by("bob", "GET", "/orders/17").told(200, r#"{"allowed":false}"#));
    assert_eq!((went.status, went.code()), (403, "decision-denied"));
}

#[test]
fn mistakes_are_named() {
    let url = "https://pdp.example.com";
    for (decide, expected) in [
        (
            json!({ "relation": "viewer", "object": "order:{path.id}" }),
            "expected where the decision point is",
        ),
        (
            json!({ "url": "http://pdp.example.com", "relation": "viewer", "object": "order:{path.id}" }),
            "pdp.example.com",
        ),
        (
            json!({ "url": url, "protocol": "openfga", "relation": "viewer", "object": "order:{path.id}" }),
            "OpenFGA's store",
        ),
        (
            json!({ "url": url, "store": "x", "relation": "viewer", "object": "order:{path.id}" }),
            "protocol: openfga",
        ),
        (json!({ "url": url, "object": "order:{path.id}" }), "expected what the user must be"),
        (json!({ "url": url, "relation": "viewer" }), "expected the object"),
        (json!({ "url": url, "relation": "viewer", "object": "{path.id}" }), "expected `type:id`"),
        (json!({ "url": url, "relation": "viewer", "object": "order:{path.ix}" }), "did you mean `id`?"),
        (json!({ "url": url, "relation": "viewer", "object": "order:{path.id" }), "without its"),
        (json!({ "url": url, "relation": "viewer", "object": "order:{id}" }), "names no place"),
    ] {
        let policies = json!({ "policies": [{ "match": { "operation": "getOrder" }, "decide": decide }] });
        let errors = errors(SHOP, policies);
        assert!(errors.iter().any(|error| error.contains(expected)), "{decide}: {errors:?}");
    }
}
