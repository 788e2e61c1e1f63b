#![expect(clippy::print_stdout, clippy::indexing_slicing, reason = "it is a command")]
//! Runs the JSON Schema Test Suite through a contract.
//!
//! `cargo run -p portcullis-openapi --example suite -- TESTS/draft2020-12 3.1.0` and `… TESTS/draft4 3.0.0`:
//! each schema becomes the request body of an operation. Tests in `optional` are left out.

use std::path::Path;

use portcullis_openapi::{Checks, Contract, Fetch, FetchError, Options, Route, ViolationKind};
use serde_json::{Value, json};

struct One(Vec<u8>, Vec<u8>);

impl Fetch for One {
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        match uri {
            "openapi.json" => Ok(self.0.clone()),
            "schema.json" => Ok(self.1.clone()),
            _ => Err(FetchError { what: format!("`{uri}` is not here") }),
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(version)) = (arguments.next(), arguments.next()) else {
        eprintln!("expected a folder of tests and a version of OpenAPI");
        std::process::exit(2);
    };
    let mut files: Vec<_> = std::fs::read_dir(Path::new(&folder)).into_iter().flatten().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::path);
    let (mut right, mut wrong, mut unenforced) = (0, 0, 0);
    for file in files.iter().filter(|file| file.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        let groups: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        for group in groups {
            let document = json!({"openapi": version, "info": {"title": "t", "version": "1"}, "paths": {"/x": {"post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "schema.json"}}}},
                "responses": {}}}}});
            let fetch = One(document.to_string().into_bytes(), group["schema"].to_string().into_bytes());
            let Ok(contract) = Contract::load("openapi.json", &fetch, &Options::default()) else { continue };
            let Route::Found { operation, .. } = contract.route("POST", "/x", None) else { continue };
            let flawed = !contract.operations()[operation].unenforced.is_empty();
            for test in group["tests"].as_array().into_iter().flatten() {
                let checks = Checks { unknown_properties: false, access: false, ..Checks::default() };
                let body = test["data"].to_string();
                let found =
                    contract.check_request_body(operation, Some("application/json"), body.as_bytes(), checks);
                let valid = !found.iter().any(|violation| violation.kind == ViolationKind::InvalidBody);
                if valid == (test["valid"] == true) {
                    right += 1;
                } else if flawed {
                    unenforced += 1;
                } else {
                    wrong += 1;
                    println!(
                        "wrong  {}: {}: {} (said {valid})",
                        file.file_name().to_string_lossy(),
                        group["description"],
                        test["description"]
                    );
                }
            }
        }
    }
    println!("{right} right, {wrong} wrong, {unenforced} of schemas that are marked as not enforceable");
}
