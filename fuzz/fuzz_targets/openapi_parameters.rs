//! Any bytes as a path segment, a query, headers, cookies and bodies, for parameters of every style.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use portcullis_openapi::source::Document;
use portcullis_openapi::{Checks, Contract, Options, Route};
use serde_json::{Value, json};

fn contracts() -> &'static [Contract] {
    static CONTRACTS: OnceLock<Vec<Contract>> = OnceLock::new();
    CONTRACTS.get_or_init(|| {
        let files = [
            include_str!("../../tests/vectors/parameters/path.yaml"),
            include_str!("../../tests/vectors/parameters/query.yaml"),
            include_str!("../../tests/vectors/parameters/header.yaml"),
            include_str!("../../tests/vectors/parameters/cookie.yaml"),
            include_str!("../../tests/vectors/parameters/swagger.yaml"),
        ];
        let read = |text: &str| {
            let document = Document::parse("groups.yaml", text.as_bytes()).ok()?;
            document.root().to_json()["groups"].as_array().cloned()
        };
        let groups: Vec<Value> = files.into_iter().filter_map(read).flatten().collect();
        let load = |group: &Value| {
            let parameter = &group["parameter"];
            let path = if parameter["in"] == "path" { "/x/{p}" } else { "/x" };
            let form = json!({"schema": {"type": "object", "properties": {"p": parameter["schema"],
                "n": {"type": "integer"}, "l": {"type": "array", "items": {"type": "number"}}}}});
            let content = json!({"application/x-www-form-urlencoded": form, "multipart/form-data": form,
                "application/xml": form, "application/jsonl": form, "application/json-seq": form});
            let operation =
                json!({"parameters": [parameter], "requestBody": {"content": content}, "responses": {}});
            let info = json!({"title": "t", "version": "1"});
            let mut document = json!({"info": info, "paths": {path: {"post": operation}}});
            let version = match group["document"].as_str() {
                Some("swagger") => ("swagger", "2.0"),
                version => ("openapi", version.unwrap_or("3.0.3")),
            };
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
        let Route::Found { operation, captures } = contract.route("POST", &path, Some(&text)) else {
            continue;
        };
        let headers = [("x-p", bytes), ("cookie", bytes)];
        let found = contract.check_request_head(
            operation,
            &captures,
            Some(&text),
            headers.into_iter(),
            Checks::default(),
        );
        assert!(found.len() <= portcullis_openapi::MAX_VIOLATIONS);
        let kinds = [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=b",
            "application/xml",
            "application/jsonl",
            "application/json-seq",
        ];
        for kind in kinds.into_iter().chain([&*text]) {
            contract.check_request_body(operation, Some(kind), bytes, Checks::default());
        }
    }
});
