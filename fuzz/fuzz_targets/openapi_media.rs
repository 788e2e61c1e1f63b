//! Any bytes as a body that is not JSON: XML, a form, a multipart body, a sequence of JSON values. Schemas come by
//! chance, with `xml` objects and encodings; the first three bytes choose. Reading ends, says little, says the same
//! twice, and says no less when it looks for more; a sequence of one value is that value.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use portcullis_openapi::{BodyLimits, Checks, Contract, Options, Violation, ViolationKind};
use serde_json::{Value, json};

#[path = "../../crates/openapi/tests/chance/mod.rs"]
mod chance;

const SCHEMAS: usize = 256;
const TYPES: [&str; 7] = [
    "application/xml",
    "text/xml; charset=utf-8",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=\"a b\"",
    "application/x-ndjson",
    "application/json-seq",
];

/// Gives some of the schemas in `schema` an `xml` object.
fn with_xml(schema: &mut Value, chance: &mut chance::Chance) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(|inner| with_xml(inner, chance));
            if members.contains_key("type") {
                let xml = match chance.below(8) {
                    0 => json!({"attribute": true}),
                    1 => json!({"wrapped": true}),
                    2 => json!({"name": "a", "prefix": "p", "namespace": "urn:p"}),
                    3 => json!({"nodeType": "text"}),
                    _ => return,
                };
                members.insert("xml".to_owned(), xml);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| with_xml(inner, chance)),
        _ => {}
    }
}

/// Each with whether its schema describes members itself: a schema of texts alone takes any bytes.
fn contracts() -> &'static [(Contract, bool)] {
    static CONTRACTS: OnceLock<Vec<(Contract, bool)>> = OnceLock::new();
    CONTRACTS.get_or_init(|| {
        let mut chance = chance::Chance(0x000b_ed1a);
        let mut list = Vec::new();
        while list.len() < SCHEMAS {
            let mut schema = chance::schema(&mut chance, 4);
            with_xml(&mut schema, &mut chance);
            let encoding = json!({"a": {"contentType": "application/json"}, "b": {"style": "deepObject", "explode": true}});
            let media = |kind: &str| (kind.to_owned(), json!({"schema": schema, "encoding": encoding}));
            let mut content: serde_json::Map<String, Value> =
                TYPES.iter().map(|kind| media(kind.split(';').next().unwrap_or(kind))).collect();
            content.extend([media("application/json")]);
            let operation = json!({"requestBody": {"content": content}, "responses": {}});
            let document = json!({"openapi": "3.2.0", "paths": {"/x": {"post": operation}}}).to_string();
            if let Ok(contract) = Contract::parse("t", document.as_bytes(), &Options::default()) {
                list.push((contract, schema.get("properties").is_some()));
            }
        }
        list
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first_chunk::<3>() else { return };
    let contracts = contracts();
    let (contract, members) = &contracts[usize::from(u16::from_le_bytes([choice[0], choice[1]])) % contracts.len()];
    let kind = TYPES[usize::from(choice[2]) % TYPES.len()];
    let limits = BodyLimits { depth: 40, values: 1_000 };
    let plain = Checks { unknown_properties: false, access: false, limits, ..Checks::default() };
    let check = |kind: &str, checks: Checks| contract.check_request_body(0, Some(kind), body, checks);
    let found = check(kind, plain);
    assert!(found.len() <= 10 && found == check(kind, plain));
    let more = check(kind, Checks { unknown_properties: true, access: true, ..plain });
    let extra = |violation: &&Violation| {
        matches!(violation.kind, ViolationKind::UnknownProperty | ViolationKind::Unenforceable)
    };
    if more.len() < 10 {
        assert!(more.iter().filter(|violation| !extra(violation)).count() >= found.len());
    }
    if *members && kind == "application/x-ndjson" && !body.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let single = check("application/json", plain);
        if let Ok(value) = serde_json::from_slice::<Value>(body)
            && !value.is_array()
        {
            // A schema that takes arrays is one of all the values together.
            if single.is_empty() != found.is_empty() {
                let list = [b"[", body, b"]"].concat();
                let together = contract.check_request_body(0, Some("application/json"), &list, plain);
                assert_eq!(together.is_empty(), found.is_empty(), "{value}\n{single:?}\n{found:?}\n{together:?}");
            }
        }
    }
});
