//! Schemas that have URIs and anchors of their own.

use serde_json::{Value, json};

use super::tests::load;
use crate::{Checks, Contract, Fetch, FetchError, Options};

/// Whether a contract takes a body for its only operation.
fn takes(contract: &Contract, body: &Value) -> bool {
    let checks = Checks { unknown_properties: false, access: false, ..Checks::default() };
    assert!(contract.operations()[0].unenforced.is_empty(), "{:?}", contract.operations()[0].unenforced);
    contract.check_request_body(0, Some("application/json"), body.to_string().as_bytes(), checks).is_empty()
}

fn posting(schema: &Value, components: &Value) -> Contract {
    let body = json!({"content": {"application/json": {"schema": schema}}});
    let document = json!({"openapi": "3.1.0", "paths": {"/x": {"post": {"requestBody": body, "responses": {}}}},
        "components": {"schemas": components}});
    load(&document.to_string())
}

#[test]
fn references_count_from_the_schema_around_them() {
    let components = json!({
        "Order": {"$id": "https://example.com/schemas/order", "properties": {
            "item": {"$ref": "item"}, "same": {"$ref": "#/$defs/id"}, "named": {"$ref": "#id"},
            "counted_from_the_document": {"$ref": "#/components/schemas/Flag"}},
            "$defs": {"id": {"$anchor": "id", "type": "integer"}}},
        "Item": {"$id": "https://example.com/schemas/item", "properties": {"id": {"$ref": "#id"}},
            "$defs": {"id": {"$anchor": "id", "type": "string"}}},
        "Flag": {"type": "boolean"},
        // An example is data.
        "Shown": {"examples": [{"$id": "https://example.com/schemas/item"}], "const": {"$id": "item"}}});
    let contract = posting(&json!({"$ref": "https://example.com/schemas/order"}), &components);
    for (body, fits) in [
        (json!({"same": 1, "named": 2, "item": {"id": "a"}, "counted_from_the_document": true}), true),
        (json!({"same": "a"}), false),
        (json!({"named": "a"}), false),
        (json!({"item": {"id": 1}}), false),
        (json!({"counted_from_the_document": 1}), false),
    ] {
        assert_eq!(takes(&contract, &body), fits, "{body}");
    }
}

#[test]
fn a_dynamic_reference_leads_where_its_schema_was_entered_from() {
    let components = json!({
        "Page": {"$id": "page", "type": "object", "required": ["items"],
            "properties": {"items": {"type": "array", "items": {"$dynamicRef": "#item"}}},
            "$defs": {"item": {"$dynamicAnchor": "item", "not": {}}}},
        "Pets": {"$id": "pets", "$ref": "page", "$defs": {"item": {"$dynamicAnchor": "item", "type": "string"}}},
        "Ages": {"$id": "ages", "$ref": "page", "$defs": {"item": {"$dynamicAnchor": "item", "type": "integer"}}},
        "Both": {"properties": {
            "pets": {"$ref": "#/components/schemas/Pets"}, "ages": {"$ref": "#/components/schemas/Ages"},
            "none": {"$ref": "#/components/schemas/Page"}}}});
    let contract = posting(&json!({"$ref": "#/components/schemas/Both"}), &components);
    let (texts, numbers) = (json!({"items": ["a"]}), json!({"items": [1]}));
    for (body, fits) in [
        (json!({"pets": texts, "ages": numbers, "none": {"items": []}}), true),
        (json!({"pets": numbers}), false),
        (json!({"ages": texts}), false),
        (json!({"none": texts}), false),
        (json!({"pets": {}}), false),
    ] {
        assert_eq!(takes(&contract, &body), fits, "{body}");
    }
    // A tree that closes what it is extended by: the inner nodes are closed, too.
    let components = json!({
        "Tree": {"$id": "tree", "$dynamicAnchor": "node", "type": "object",
            "properties": {"children": {"type": "array", "items": {"$dynamicRef": "#node"}}}},
        "Strict": {"$id": "strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false}});
    let contract = posting(&json!({"$ref": "strict"}), &components);
    assert!(takes(&contract, &json!({"children": [{"children": []}]})));
    assert!(!takes(&contract, &json!({"children": [{"childen": []}]})));
}

#[test]
fn an_anchor_that_is_there_twice_is_refused() {
    let components = json!({
        "A": {"$dynamicAnchor": "x", "type": "string"}, "B": {"$dynamicAnchor": "x", "type": "integer"}});
    let contract = posting(&json!({"$dynamicRef": "#x"}), &components);
    assert_eq!(contract.operations()[0].unenforced.len(), 1);
}

struct Two(Vec<u8>, Vec<u8>);

impl Fetch for Two {
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        match uri {
            "api/openapi.json" => Ok(self.0.clone()),
            "api/types/a.json" => Ok(self.1.clone()),
            _ => Err(FetchError { what: format!("`{uri}` is not here") }),
        }
    }
}

#[test]
fn files_that_are_schemas() {
    let document = json!({"openapi": "3.1.0", "paths": {"/x": {"post": {"responses": {},
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "types/a.json"}}}}}}}});
    // A property may be called as a keyword is; what stands in it is read, and loaded.
    let schema = json!({"$id": "https://example.com/a.json", "properties": {
        "example": {"$ref": "b"}, "$id": {"type": "integer"}},
        "$defs": {"b": {"$id": "b", "type": "string"}}});
    let files = Two(document.to_string().into_bytes(), schema.to_string().into_bytes());
    let contract = Contract::load("api/openapi.json", &files, &Options::default()).unwrap();
    assert!(takes(&contract, &json!({"example": "a", "$id": 1})));
    assert!(!takes(&contract, &json!({"example": 1})));
    assert!(!takes(&contract, &json!({"$id": "a"})));
}

#[test]
fn a_dialect_without_assertions() {
    let document = json!({"openapi": "3.1.0", "jsonSchemaDialect": "types/a.json", "paths": {"/x": {"post": {
        "responses": {}, "requestBody": {"content": {"application/json": {"schema": {
            "properties": {"a": {"minimum": 10}, "b": false}}}}}}}}});
    for (vocabularies, fits) in [
        (json!({"https://json-schema.org/draft/2020-12/vocab/applicator": true}), true),
        (json!({"https://json-schema.org/draft/2020-12/vocab/validation": true}), false),
    ] {
        let dialect = json!({"$vocabulary": vocabularies});
        let files = Two(document.to_string().into_bytes(), dialect.to_string().into_bytes());
        let contract = Contract::load("api/openapi.json", &files, &Options::default()).unwrap();
        assert_eq!(takes(&contract, &json!({"a": 1})), fits);
        assert!(!takes(&contract, &json!({"b": 1})));
    }
}
