//! Any bytes as a JSON body, read in one pass over them, beside a tree judged by the `jsonschema` crate. Schemas come
//! by chance, all keywords among them; the first two bytes choose one. What is stripped and filtered stays JSON.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use portcullis_engine::Bounds;
use portcullis_engine::body::parse_json;
use portcullis_openapi::{
    BodyLimits, Checks, Contract, Filtered, Options, PropertyFilter, Violation, ViolationKind,
};
use serde_json::{Value, json};

#[path = "../../crates/openapi/tests/chance/mod.rs"]
mod chance;

const SCHEMAS: usize = 512;
const JSON: Option<&str> = Some("application/json");

struct Subject {
    text: String,
    contract: Contract,
    oracle: jsonschema::Validator,
}

fn subjects() -> &'static [Subject] {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        let mut chance = chance::Chance(0x0dd_ba11);
        let mut list = Vec::new();
        while list.len() < SCHEMAS {
            let schema = chance::schema(&mut chance, 4);
            let Ok(oracle) = jsonschema::draft202012::options().build(&schema) else { continue };
            let content = json!({"application/json": {"schema": schema}});
            let operation = json!({"requestBody": {"content": content}, "responses": {}});
            let document = json!({"openapi": "3.1.0", "paths": {"/x": {"post": operation}}}).to_string();
            let Ok(contract) = Contract::parse("t", document.as_bytes(), &Options::default()) else {
                continue;
            };
            list.push(Subject { text: schema.to_string(), contract, oracle });
        }
        list
    })
}

fn filter() -> &'static PropertyFilter {
    static FILTER: OnceLock<PropertyFilter> = OnceLock::new();
    let new = || PropertyFilter::new(Some(&["/a", "/b/*/c", "/*/aa"]), &["/a/b", "/*/*/a"]);
    FILTER.get_or_init(|| new().unwrap_or_else(|error| panic!("{error}")))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first_chunk::<2>() else { return };
    if body.is_empty() {
        return;
    }
    let subjects = subjects();
    let subject = &subjects[usize::from(u16::from_le_bytes(*choice)) % subjects.len()];
    let bounds = Bounds { json_depth: 40, json_values: 1_000, ..Bounds::default() };
    let limits = BodyLimits { depth: bounds.json_depth, values: bounds.json_values };
    let plain = Checks { unknown_properties: false, access: false, limits, ..Checks::default() };
    let found = subject.contract.check_request_body(0, JSON, body, plain);
    match parse_json(body, &bounds) {
        Err(denial) => {
            let kind = found.first().map(|first| first.kind);
            let kinds =
                [ViolationKind::MalformedBody, ViolationKind::DuplicateKey, ViolationKind::TooComplexBody];
            assert!(kind.is_some_and(|kind| kinds.contains(&kind)), "{} {found:?}", denial.reason);
        }
        Ok(value) => {
            let expected = subject.oracle.is_valid(&value);
            assert_eq!(found.is_empty(), expected, "{}\n{value}\n{found:?}", subject.text);
        }
    }
    // What is looked for beside that changes nothing about it, and what is left of it is JSON.
    let all = Checks { unknown_properties: true, access: true, ..plain };
    let more = subject.contract.check_request_body(0, JSON, body, all);
    let extra = |violation: &&Violation| {
        matches!(violation.kind, ViolationKind::UnknownProperty | ViolationKind::Unenforceable)
    };
    assert_eq!(more.iter().filter(|violation| !extra(violation)).count(), found.len(), "{}", subject.text);
    if let Ok(Some(stripped)) = subject.contract.strip_request_body(0, JSON, body, all) {
        assert!(stripped.len() < body.len() && serde_json::from_slice::<Value>(&stripped).is_ok());
    }
    if let Ok(Filtered::Cut { bytes, .. }) = filter().apply(body, limits) {
        assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
    }
});
