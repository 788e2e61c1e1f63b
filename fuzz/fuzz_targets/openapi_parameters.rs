//! Any bytes as a path segment, a query, headers, cookies and bodies, for parameters of every style.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use portcullis_openapi::{Checks, Contract, Options, Route};
use serde_json::{Value, json};

fn contracts() -> &'static [Contract] {
    static CONTRACTS: OnceLock<Vec<Contract>> = OnceLock::new();
    CONTRACTS.get_or_init(|| {
        let groups = include_str!("../../crates/openapi/tests/data/parameters.json");
        let groups: Vec<Value> = serde_json::from_str(groups).unwrap_or_default();
        let load = |group: &Value| {
            let parameter = &group["parameter"];
            let path = if parameter["in"] == "path" { "/x/{p}" } else { "/x" };
            let form = json!({"schema": {"type": "object", "properties": {"p": parameter["schema"],
                "n": {"type": "integer"}, "l": {"type": "array", "items": {"type": "number"}}}}});
            let content = json!({"application/x-www-form-urlencoded": form, "multipart/form-data": form});
            let operation = json!({"parameters": [parameter], "requestBody": {"content": content}, "responses": {}});
            let info = json!({"title": "t", "version": "1"});
            let mut document = json!({"info": info, "paths": {path: {"post": operation}}});
            let version = if group["swagger"] == true { ("swagger", "2.0") } else { ("openapi", "3.0.3") };
            document[version.0] = json!(version.1);
            Contract::parse("t.json", document.to_string().as_bytes(), &Options::default()).ok()
        };
        groups.iter().filter_map(load).collect()
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let contracts = contracts();
    let Some(contract) = contracts.get(usize::from(*choice) % contracts.len().max(1)) else { return };
    let text = String::from_utf8_lossy(bytes);
    for path in ["/x".to_owned(), format!("/x/{text}")] {
        let Route::Found { operation, captures } = contract.route("POST", &path, Some(&text)) else { continue };
        let headers = [("x-p", bytes), ("cookie", bytes)];
        let found =
            contract.check_request_head(operation, &captures, Some(&text), headers.into_iter(), Checks::default());
        assert!(found.len() <= portcullis_openapi::MAX_VIOLATIONS);
        for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", &text] {
            contract.check_request_body(operation, Some(kind), bytes, Checks::default());
        }
    }
});
