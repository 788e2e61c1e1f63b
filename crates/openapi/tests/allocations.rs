//! A body in order costs no allocation, whatever kind of schema it is judged by.

use portcullis_openapi::{Checks, Contract, Options};
use serde_json::{Value, json};

use counting::Counting;

#[path = "../../../benches/counting.rs"]
mod counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn bodies_in_order_cost_no_allocation() {
    let cat = json!({"type": "object", "required": ["kind"], "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}});
    let dog = json!({"type": "object", "required": ["kind"], "properties": {"kind": {"const": "dog"}, "name": {"type": "string", "maxLength": 9}}});
    let base = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "format": "uuid"}}});
    let id = "123e4567-e89b-12d3-a456-426614174000";
    let cases: Vec<(Value, Value)> = vec![
        (
            json!({"type": "array", "items": {"type": "number", "minimum": 0.5, "multipleOf": 0.5}}),
            json!([0.5, 1, 2.5, 1e3]),
        ),
        (
            json!({"type": "array", "uniqueItems": true, "contains": {"const": 2}}),
            json!([1, 2, "a", [1], {"b": 1}]),
        ),
        (json!({"type": "string", "pattern": "^[a-z]+\\.(de|fr)$"}), json!("abc.de")),
        (json!({"additionalProperties": {"type": "integer"}}), json!({"one": 1, "two": 2, "thrée": 3})),
        (json!({"patternProperties": {"^x-": {"type": "string"}}}), json!({"x-a": "\u{e9}\n", "x-b": ""})),
        (json!({"oneOf": [cat, dog]}), json!({"name": "Rex", "kind": "dog"})),
        (
            json!({"type": "array", "items": {"anyOf": [cat, dog, {"type": "null"}]}}),
            json!([{"kind": "cat", "lives": 9}, null]),
        ),
        (
            json!({"allOf": [base, {"properties": {"name": {"type": "string"}}}]}),
            json!({"id": id, "name": "a"}),
        ),
        (json!({"allOf": [base], "unevaluatedProperties": false}), json!({"id": id})),
        (
            json!({"anyOf": [base, {"required": ["x"], "properties": {"x": {}}}], "type": "object"}),
            json!({"id": id}),
        ),
        (
            json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "dependentRequired": {"b": ["a"]}}),
            json!({"a": 1, "b": 2}),
        ),
        (json!({"propertyNames": {"maxLength": 3}, "not": {"required": ["no"]}}), json!({"abc": 1, "d": 2})),
    ];
    let mut paths = serde_json::Map::new();
    for (index, (schema, _)) in cases.iter().enumerate() {
        let content = json!({"application/json": {"schema": schema}});
        paths.insert(
            format!("/{index:02}"),
            json!({"post": {"requestBody": {"content": content}, "responses": {}}}),
        );
    }
    let document = json!({"openapi": "3.1.0", "paths": paths}).to_string();
    let contract = Contract::parse("t", document.as_bytes(), &Options::default()).unwrap();
    for (index, (schema, value)) in cases.iter().enumerate() {
        let body = value.to_string();
        let check = || {
            contract.check_request_body(index, Some("application/json"), body.as_bytes(), Checks::default())
        };
        // What grows is kept, and patterns are compiled when they are first used.
        assert!(check().is_empty(), "{schema} {value} {:?}", check());
        let before = ALLOCATOR.count();
        (0..10).for_each(|_| assert!(check().is_empty()));
        assert_eq!(ALLOCATOR.count() - before, 0, "{schema} {value}");
    }
}
