use serde_json::{Value, json};

use super::tests::{body, load, posting};
use crate::{BodyLimits, Checks, Contract, SchemeKind, Security, ViolationKind};

const ITEM: &str = r#"{"type": "object", "required": ["id"], "additionalProperties": false,
                        "properties": {"id": {"type": "integer"}}}"#;

fn sequence(range: &str, media: Value) -> Contract {
    let contract = posting("3.2.0", &json!({range: media}), &json!({}));
    assert!(contract.operations()[0].unenforced.is_empty(), "{:?}", contract.problems());
    contract
}

fn item() -> Value {
    serde_json::from_str(ITEM).unwrap()
}

fn places(contract: &Contract, content_type: &str, bytes: &str) -> Vec<String> {
    body(contract, content_type, bytes).into_iter().map(|(_, pointer)| pointer).collect()
}

#[test]
fn each_line_is_a_value() {
    for range in ["application/jsonl", "application/x-ndjson"] {
        let contract = sequence(range, json!({"itemSchema": item()}));
        for (bytes, wrong) in [
            ("{\"id\": 1}\n{\"id\": 2}\n", &[][..]),
            ("{\"id\": 1}\r\n\r\n {\"id\": 2} ", &[]),
            ("\n", &[]),
            ("{\"id\": 1}\n{\"id\": \"x\"}\n", &["/1/id"]),
            ("{}\n{\"id\": 1, \"b\": 2}", &["/0", "/1/b"]),
            // Two on a line, and one on two, are no lines.
            ("{\"id\": 1},{\"id\": 2}\n", &["/0"]),
            ("{\"id\": 1}{\"id\": 2}\n", &["/0"]),
            ("{\"id\":\n1}\n", &["/0", "/1"]),
            ("[{\"id\": 1}]\n", &["/0"]),
            ("{\"id\": 1, \"id\": 2}\n", &["/0"]),
            ("\u{c}{\"id\": 1}\n", &["/0"]),
        ] {
            assert_eq!(places(&contract, range, bytes), wrong, "{range} {bytes:?}");
        }
    }
}

#[test]
fn each_text_is_between_a_separator_and_a_line_feed() {
    for range in ["application/json-seq", "application/geo+json-seq"] {
        let contract = sequence(range, json!({"itemSchema": item()}));
        for (bytes, wrong) in [
            ("\u{1e}{\"id\": 1}\n\u{1e}{\"id\":\n2}\n", &[][..]),
            ("\u{1e}\u{1e}{\"id\": 1}\n", &[]),
            ("\u{1e}{\"id\": 1}\n\u{1e}{}\n", &["/1"]),
            ("{\"id\": 1}\n", &[""]),
            ("\u{1e}{\"id\": 1}", &[""]),
            ("\u{1e}{\"id\": 1}\n{\"id\": 2}\n", &["/0"]),
        ] {
            assert_eq!(places(&contract, range, bytes), wrong, "{range} {bytes:?}");
        }
    }
}

#[test]
fn a_schema_is_of_all_values_as_one_array() {
    let list = json!({"type": "array", "maxItems": 2, "items": {"type": "object"}});
    for media in [json!({"schema": list}), json!({"schema": list, "itemSchema": item()})] {
        let contract = sequence("application/jsonl", media.clone());
        assert!(places(&contract, "application/jsonl", "{\"id\": 1}\n{\"id\": 2}\n").is_empty());
        let three = "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 3}\n";
        assert_eq!(places(&contract, "application/jsonl", three), [""], "{media}");
        assert_eq!(places(&contract, "application/jsonl", "1\n"), ["/0"], "{media}");
    }
    // Before 3.2 it was written of each.
    let contract = posting("3.0.3", &json!({"application/x-ndjson": {"schema": item()}}), &json!({}));
    assert!(places(&contract, "application/x-ndjson", "{\"id\": 1}\n{\"id\": 2}\n").is_empty());
    assert_eq!(places(&contract, "application/x-ndjson", "{\"id\": 1}\n[]\n"), ["/1"]);
    // One of texts describes bytes.
    let bytes = json!({"application/x-ndjson": {"schema": {"type": "string"}}});
    assert!(places(&posting("3.0.3", &bytes, &json!({})), "application/x-ndjson", "{").is_empty());
}

#[test]
fn sequences_are_bounded() {
    let contract = sequence("application/jsonl", json!({"itemSchema": item()}));
    let limits = BodyLimits { values: 5, ..BodyLimits::default() };
    let checks = Checks { limits, ..Checks::default() };
    let found = contract.check_request_body(0, Some("application/jsonl"), &b"{\"id\":1}\n".repeat(6), checks);
    assert_eq!(found.first().map(|found| found.kind), Some(ViolationKind::TooComplexBody));
    let many = b"{}\n".repeat(100);
    let found = contract.check_request_body(0, Some("application/jsonl"), &many, Checks::default());
    assert_eq!(found.len(), crate::MAX_VIOLATIONS);
}

#[test]
fn what_is_not_looked_into_is_closed() {
    // Items of other sequences.
    for range in ["text/event-stream", "multipart/mixed", "application/json", "*/*"] {
        let contract = posting("3.2.0", &json!({range: {"itemSchema": item()}}), &json!({}));
        assert_eq!(contract.operations()[0].unenforced.len(), 1, "{range}");
    }
    let answers =
        json!({"200": {"description": "", "content": {"text/event-stream": {"itemSchema": item()}}}});
    let contract = posting("3.2.0", &json!({"application/json": {}}), &answers);
    assert!(contract.operations()[0].unenforced.is_empty());
    assert_eq!(contract.operations()[0].unenforced_responses.len(), 1);
    // Members of a form that is not read: of one media type, and of the only one.
    let both = json!({"application/json": {"schema": item()}, "application/protobuf": {"schema": item()}});
    let contract = posting("3.0.3", &both, &json!({}));
    assert!(contract.operations()[0].unenforced.is_empty());
    assert_eq!(contract.problems().len(), 1);
    assert_eq!(body(&contract, "application/protobuf", "a")[0].0, ViolationKind::Unenforceable);
    assert!(body(&contract, "application/json", "{\"id\": 1}").is_empty());
    let contract = posting("3.0.3", &json!({"application/protobuf": {"schema": item()}}), &json!({}));
    assert_eq!(contract.operations()[0].unenforced.len(), 1);
    for schema in [json!({"type": "string", "format": "binary"}), json!({})] {
        let contract = posting("3.0.3", &json!({"application/pdf": {"schema": schema}}), &json!({}));
        assert!(contract.problems().is_empty());
        assert!(body(&contract, "application/pdf", "%PDF").is_empty());
    }
}

#[test]
fn callers_as_openapi_3_2_writes_them() {
    let contract = load(
        r##"
openapi: 3.2.0
tags: [{ name: all }, { name: orders, parent: all, kind: nav }]
paths:
  /a: { get: { tags: [orders], security: [{ '#/components/securitySchemes/device': [read] }], responses: {} } }
  /b: { get: { security: [{ '#/components/securitySchemes/none': [] }], responses: {} } }
components:
  securitySchemes:
    device:
      type: oauth2
      oauth2MetadataUrl: https://issuer.example/.well-known/oauth-authorization-server
      flows: { deviceAuthorization: { deviceAuthorizationUrl: https://issuer.example/device, tokenUrl: https://issuer.example/token, scopes: { read: '' } } }
"##,
    );
    let scheme = |index: usize| {
        let Security::AnyOf(list) = &contract.operations()[index].security else { panic!("nothing said") };
        list[0].all_of[0].index.map(|index| &contract.security_schemes()[index].kind)
    };
    let Some(SchemeKind::OAuth2 { urls, scopes, .. }) = scheme(0) else { panic!("{:?}", scheme(0)) };
    assert_eq!(urls.len(), 2);
    assert_eq!(**scopes, ["read".into()][..]);
    assert_eq!(scheme(1), None, "nobody may call");
    // A tag's parent groups pages; policies match the tags that an operation has.
    assert_eq!(*contract.operations()[0].tags, ["orders".into()][..]);
}
