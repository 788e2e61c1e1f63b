#![expect(clippy::indexing_slicing, reason = "a test")]
//! Schemas and values by chance, judged here and by the `jsonschema` crate: no disagreement.

use portcullis_openapi::{Checks, Contract, Options};
use serde_json::json;

mod chance;

use chance::{Chance, schema, value};

#[test]
fn schemas_by_chance_are_judged_alike() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let (mut valid, mut invalid) = (0, 0);
    for _ in 0..2_500 {
        let schema = schema(&mut chance, 3);
        // One that is no schema, such as a `type` that names one twice, is passed over.
        let Ok(oracle) = jsonschema::draft202012::options().build(&schema) else { continue };
        let content = json!({"application/json": {"schema": schema}});
        let operation = json!({"requestBody": {"content": content}, "responses": {}});
        let document = json!({"openapi": "3.1.0", "paths": {"/x": {"post": operation}}}).to_string();
        let contract = Contract::parse("t", document.as_bytes(), &Options::default()).unwrap();
        assert!(contract.operations()[0].unenforced.is_empty(), "{schema}: {:?}", contract.problems());
        let checks = Checks { unknown_properties: false, access: false, ..Checks::default() };
        for _ in 0..25 {
            let value = value(&mut chance, 3);
            let expected = oracle.is_valid(&value);
            let body = value.to_string();
            let found = contract.check_request_body(0, Some("application/json"), body.as_bytes(), checks);
            assert_eq!(found.is_empty(), expected, "{schema}\n{value}\n{found:?}");
            if expected { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid > 5_000 && invalid > 5_000, "{valid} {invalid}");
}
