use serde_json::json;

use crate::testing::*;

const ALICE: (&str, &str) = ("x-api-key", "alice-key");

#[test]
fn only_what_the_contract_describes_gets_through() {
    let engine = shop(json!({ "validate": { "allow_query": ["utm_*"] } })).engine;
    let get = |target: &str| call("GET", target).with(ALICE.0, ALICE.1);
    let put = |body: &str| call("PUT", "/orders/1").with(ALICE.0, ALICE.1).json(body);
    for (call, expected) in [
        (get("/orders/1"), "permitted"),
        (get("/orders/1?expand=items"), "permitted"),
        (get("/orders/1?utm_source=x"), "permitted"),
        (get("/orders/1?expand=all"), "parameter-invalid"),
        (get("/orders/1?debug=1"), "parameter-unknown"),
        (get("/orders/x"), "parameter-invalid"),
        (get("/orders"), "path-unknown"),
        (call("DELETE", "/orders/1"), "method-unknown"),
        (call("OPTIONS", "/orders/1"), "method-unknown"),
        (get("/orders/1").json("{}"), "body-unexpected"),
        (put(r#"{"total": 1}"#), "permitted"),
        (put(r#"{"total": "1"}"#), "body-invalid"),
        (put("{}"), "body-invalid"),
        (put(r#"{"total": 1"#), "body-malformed"),
        (put(r#"{"total": 1, "total": 2}"#), "body-duplicate-key"),
        (put(r#"{"total": 1, "id": 7}"#), "property-read-only"),
        (put(r#"{"total": 1, "role": "admin"}"#), "permitted"),
        (call("PUT", "/orders/1").with(ALICE.0, ALICE.1), "body-invalid"),
        (call("PUT", "/orders/1").with(ALICE.0, ALICE.1).with("content-type", "text/plain"), "body-invalid"),
    ] {
        let went = send(&engine, &call);
        assert_eq!(went.code(), expected, "{call:?} {:?}", went.record.findings);
    }
    let mut form = put("total=1");
    form.headers.pop();
    let went = send(&engine, &form.with("content-type", "application/x-www-form-urlencoded"));
    assert_eq!((went.code(), went.status), ("media-type-unsupported", 415));
    let went = send(&engine, &put(r#"{"total": 1, "role": "admin"}"#).answered(204, &[], ""));
    assert_eq!(went.found(), ["property-unknown"]);
    let went = send(&engine, &call("DELETE", "/orders/1"));
    assert_eq!((went.status, went.header("allow")), (405, Some("GET, HEAD, PUT")));
}

#[test]
fn refusals_say_where_and_what_was_expected_but_never_what_was_sent() {
    let engine = shop(json!({ "validate": { "unknown_property": "enforce" } })).engine;
    let put = |body: &str| send(&engine, &call("PUT", "/orders/1").with(ALICE.0, ALICE.1).json(body)).body;
    let body = put(r#"{"total": "<script>"}"#);
    assert!(
        body.contains(r#""pointer":"/total""#) && body.contains("a number") && !body.contains("script"),
        "{body}"
    );
    let body = put(r#"{"total": 1, "<script>": 1}"#);
    assert!(body.contains("property-unknown") && !body.contains("script"), "{body}");
    let went = send(&engine, &call("GET", "/orders/1?%3Cscript%3E=1").with(ALICE.0, ALICE.1));
    assert!(went.code() == "parameter-unknown" && !went.body.contains("script"), "{}", went.body);
}

#[test]
fn every_switch_has_three_positions() {
    let get = |target: &str| call("GET", target).with(ALICE.0, ALICE.1);
    let put = |body: &str| call("PUT", "/orders/1").with(ALICE.0, ALICE.1).json(body);
    for (switch, call, code) in [
        ("unknown_path", get("/nowhere"), "path-unknown"),
        ("unknown_method", call("DELETE", "/orders/1"), "method-unknown"),
        ("parameters", get("/orders/x"), "parameter-invalid"),
        ("unknown_query", get("/orders/1?x=1"), "parameter-unknown"),
        ("unknown_header", get("/orders/1").with("x-odd", "1"), "parameter-unknown"),
        ("unknown_cookie", get("/orders/1").with("cookie", "odd=1"), "parameter-unknown"),
        ("unexpected_body", get("/orders/1").json("{}"), "body-unexpected"),
        ("body", put(r#"{"total": true}"#), "body-invalid"),
        ("malformed_body", put(r#"{"total": 1"#), "body-malformed"),
        ("duplicate_keys", put(r#"{"total": 1, "total": 2}"#), "body-duplicate-key"),
        ("unknown_property", put(r#"{"total": 1, "x": 1}"#), "property-unknown"),
        ("read_only", put(r#"{"total": 1, "id": 1}"#), "property-read-only"),
        ("response_status", get("/orders/1").answered(299, &[], ""), "response-undocumented"),
        (
            "response_media_type",
            get("/orders/1").answered(200, &[("content-type", "text/csv")], "a"),
            "response-undocumented",
        ),
        (
            "response_body",
            get("/orders/1").answered(200, &[("content-type", "application/json")], r#"{"id": "x"}"#),
            "response-invalid",
        ),
        (
            "response_property",
            get("/orders/1").answered(
                200,
                &[("content-type", "application/json")],
                r#"{"id": 1, "hash": "x"}"#,
            ),
            "response-property",
        ),
        (
            "write_only",
            get("/orders/1").answered(
                200,
                &[("content-type", "application/json")],
                r#"{"id": 1, "pin": "1"}"#,
            ),
            "response-property",
        ),
    ] {
        for position in ["enforce", "monitor", "off"] {
            let policies = json!({
                "validate": { switch: position },
                "policies": [{ "match": { "unmatched": true }, "public": true }],
            });
            let went = send(&shop(policies).engine, &call);
            let found = went.found().contains(&code);
            match position {
                "enforce" => {
                    assert!(went.code() == code && found, "{switch}: {} {:?}", went.code(), went.found());
                }
                "monitor" => assert!(
                    went.code() == "permitted" && found,
                    "{switch}: {} {:?}",
                    went.code(),
                    went.found()
                ),
                _ => assert!(
                    went.code() == "permitted" && !found,
                    "{switch}: {} {:?}",
                    went.code(),
                    went.found()
                ),
            }
        }
    }
}

#[test]
fn paths_outside_the_contract_still_need_a_credential() {
    let engine = shop(json!({ "validate": { "unknown_path": "monitor" } })).engine;
    assert_eq!(send(&engine, &call("GET", "/nowhere")).code(), "credential-missing");
}

#[test]
fn what_cannot_be_enforced_is_closed() {
    let document = r##"{openapi: 3.1.0, info: {title: t, version: '1'}, security: [], paths: {/a: {get: {parameters:
        [{name: q, in: query, schema: {$ref: '#/components/schemas/Nowhere'}}], responses: {'200': {description: ok}}}}}}"##;
    let closed = build(document, &json!({}), false).unwrap();
    assert_eq!(closed.report.operations[0].unenforced.len(), 1, "{:?}", closed.report);
    assert_eq!(send(&closed.engine, &call("GET", "/a")).code(), "contract-unenforceable");
    let open = build(document, &json!({ "validate": { "unenforceable": "open" } }), false).unwrap();
    assert_eq!(send(&open.engine, &call("GET", "/a")).code(), "permitted");
}

#[test]
fn a_body_of_another_form_is_no_way_around_the_schema() {
    let document = r#"{openapi: 3.1.0, info: {title: t, version: '1'}, security: [], paths: {/a: {post: {requestBody:
        {content: {application/json: {schema: &s {type: object, required: [a]}}, application/protobuf: {schema: *s},
        application/x-ndjson: {schema: *s}, text/xml: {schema: *s}, image/png: {}}}, responses: {'200': {description: ok}}}}}}"#;
    let post = |kind: &str, body: &str| {
        let mut call = call("POST", "/a").json(body);
        call.headers.pop();
        call.with("content-type", kind)
    };
    for (policies, code) in [
        (json!({}), "contract-unenforceable"),
        (json!({ "validate": { "unenforceable": "open" } }), "permitted"),
        (json!({ "validate": { "body": "off" } }), "permitted"),
    ] {
        let built = build(document, &policies, false).unwrap();
        assert_eq!(send(&built.engine, &post("application/protobuf", "a")).code(), code, "{policies}");
        let warned = format!("{:?}", built.report).contains("bodies of `application/protobuf`");
        assert_eq!(warned, policies != json!({ "validate": { "body": "off" } }), "{:?}", built.report);
    }
    let engine = build(document, &json!({}), false).unwrap().engine;
    for (kind, body, code) in [
        ("application/json", "{\"a\": 1}", "permitted"),
        ("application/json", "{}", "body-invalid"),
        ("application/x-ndjson", "{\"a\": 1}\n{\"a\": 2}\n", "permitted"),
        ("application/x-ndjson", "{\"a\": 1}\n{}\n", "body-invalid"),
        ("application/x-ndjson", "{\"a\": 1}\n{\n", "body-malformed"),
        ("text/xml", "<x><a>1</a></x>", "permitted"),
        ("text/xml; charset=utf-8", "<x><b>1</b></x>", "body-invalid"),
        (
            "text/xml",
            "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x><a>&e;</a></x>",
            "body-malformed",
        ),
        ("image/png", "not looked into", "permitted"),
    ] {
        assert_eq!(send(&engine, &post(kind, body)).code(), code, "{kind} {body}");
    }
}

#[test]
fn what_cannot_be_enforced_of_answers_closes_where_answers_are_refused() {
    let document = r##"{openapi: 3.1.0, info: {title: t, version: '1'}, security: [], paths: {/a: {get: {parameters:
        [{name: q, in: query, schema: {type: integer}}], responses: {'200': {description: ok, content:
        {application/json: {schema: {properties: {a: {$ref: '#/components/schemas/Nowhere'}}}}}}}}}}}"##;
    for (switch, mode, code) in [
        ("response_body", "monitor", "permitted"),
        ("response_body", "enforce", "contract-unenforceable"),
        ("response_status", "enforce", "contract-unenforceable"),
        ("write_only", "strip", "contract-unenforceable"),
    ] {
        let built = build(document, &json!({ "validate": { switch: mode } }), false).unwrap();
        let warned = format!("{:?}", built.report);
        assert!(warned.contains("Nowhere"), "{warned}");
        assert_eq!(send(&built.engine, &call("GET", "/a?q=1")).code(), code, "{switch} {mode}");
    }
    let engine = build(document, &json!({}), false).unwrap().engine;
    assert_eq!(send(&engine, &call("GET", "/a?q=b")).code(), "parameter-invalid");
}

#[test]
fn response_refusals_do_not_describe_the_answer() {
    let engine = shop(json!({ "validate": { "response_property": "enforce" } })).engine;
    let leak = r#"{"id": 1, "password_hash": "x"}"#;
    let went = send(
        &engine,
        &call("GET", "/orders/1").with(ALICE.0, ALICE.1).answered(
            200,
            &[("content-type", "application/json")],
            leak,
        ),
    );
    assert_eq!((went.code(), went.status), ("response-property", 502));
    assert!(!went.body.contains("hash") && went.record.findings[0].reason.contains("hash"));
}

#[test]
fn members_are_left_out_and_the_rest_passes() {
    let put = |body: &str| call("PUT", "/orders/1").with(ALICE.0, ALICE.1).json(body).answered(204, &[], "");
    let policies = json!({ "validate": { "unknown_property": "strip", "read_only": "strip" } });
    let engine = shop(policies.clone()).engine;
    let body = r#"{"role": "admin", "total": 1.50, "id": 7}"#;
    let went = send(&engine, &put(body));
    assert_eq!((went.code(), went.sent.as_deref()), ("permitted", Some(r#"{"total": 1.50}"#)));
    assert_eq!(went.found(), ["property-unknown", "property-read-only"]);
    assert!(went.record.findings.iter().all(|finding| finding.enforced), "{:?}", went.record.findings);
    // What is wrong beside that is still refused.
    assert_eq!(send(&engine, &put(r#"{"role": 1, "total": "1"}"#)).code(), "body-invalid");
    assert_eq!(send(&engine, &put(r#"{"role": 1, "total": 1, "role": 2}"#)).code(), "body-duplicate-key");
    // In monitor mode nothing is changed.
    let mut monitored = policies;
    monitored["validate"]["mode"] = json!("monitor");
    let went = send(&shop(monitored).engine, &put(body));
    assert_eq!((went.code(), went.sent.as_deref()), ("permitted", Some(body)));
    assert!(went.found().len() == 2 && went.record.findings.iter().all(|finding| !finding.enforced));
}

#[test]
fn answers_lose_what_may_not_be_shown() {
    let policies = json!({ "validate": { "response_property": "strip", "write_only": "strip" } });
    let engine = shop(policies).engine;
    let get = |body: &str| {
        let fields = [("content-type", "application/json"), ("etag", "\"1\"")];
        send(&engine, &call("GET", "/orders/1").with(ALICE.0, ALICE.1).answered(200, &fields, body))
    };
    let went = get(r#"{"id": 1, "pin": "1234", "hash": "x"}"#);
    assert_eq!((went.status, went.body.as_str()), (200, r#"{"id": 1}"#));
    assert_eq!((went.header("content-length"), went.header("etag")), (Some("9"), None));
    // An answer that does not fit, which is only watched, loses it as well.
    let went = get(r#"{"hash": "x", "id": "one"}"#);
    assert_eq!((went.status, went.body.as_str()), (200, r#"{"id": "one"}"#));
    assert_eq!(went.found(), ["response-invalid", "response-property"]);
    // One that is as described is not touched.
    let went = get(r#"{ "id": 1 }"#);
    assert_eq!((went.body.as_str(), went.header("etag")), (r#"{ "id": 1 }"#, Some("\"1\"")));
}
