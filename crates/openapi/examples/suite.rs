#![expect(clippy::print_stdout, clippy::indexing_slicing, reason = "it is a command")]
//! Runs the JSON Schema Test Suite through a contract.
//!
//! `cargo run -p portcullis-openapi --example suite -- SUITE draft2020-12 3.1.0 [--format] [--pinned FOLDER]`, and
//! `… draft4 3.0.0`: each schema becomes the request body of an operation. SUITE holds `tests` and `remotes`. Tests in
//! `optional` are left out. Formats are annotations in the suite and assertions here: only with `--format` are they
//! kept. Metaschemas are read from FOLDER, as the gateway reads pinned copies.

use std::path::{Path, PathBuf};

use portcullis_openapi::{Checks, Contract, Fetch, FetchError, Folder, Options, Route, ViolationKind};
use serde_json::{Value, json};

/// What the suite's remote files are under.
const REMOTES: &str = "http://localhost:1234/";

struct Files {
    document: Vec<u8>,
    schema: Vec<u8>,
    remotes: PathBuf,
    pinned: Folder,
}

impl Fetch for Files {
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        let none = || FetchError { what: format!("`{uri}` is not here") };
        match uri {
            "openapi.json" => Ok(self.document.clone()),
            "schema.json" => Ok(self.schema.clone()),
            _ => match uri.strip_prefix(REMOTES) {
                Some(path) => std::fs::read(self.remotes.join(path)).map_err(|_| none()),
                // Their copies have no ending.
                None => self.pinned.fetch(uri),
            },
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [suite, draft, version, options @ ..] = arguments.as_slice() else {
        eprintln!("expected the suite's folder, a draft and a version of OpenAPI");
        std::process::exit(2);
    };
    let formats = options.iter().any(|option| option == "--format");
    let pinned = options.iter().skip_while(|option| *option != "--pinned").nth(1);
    let folder = Path::new(suite).join("tests").join(draft);
    let mut files: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::path);
    let (mut right, mut wrong, mut unenforced) = (0, 0, 0);
    for file in files.iter().filter(|file| file.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        let groups: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        let name = file.file_name();
        let name = name.to_string_lossy();
        for group in groups {
            let document = json!({"openapi": version, "info": {"title": "t", "version": "1"}, "paths": {"/x": {"post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "schema.json"}}}},
                "responses": {}}}}});
            let mut schema = group["schema"].clone();
            if !formats {
                without_formats(&mut schema);
            }
            let fetch = Files {
                document: document.to_string().into_bytes(),
                schema: schema.to_string().into_bytes(),
                remotes: Path::new(suite).join("remotes"),
                pinned: Folder::new("").pinned(pinned.map_or("", String::as_str)),
            };
            let loaded = Contract::load("openapi.json", &fetch, &Options::default());
            let tests = group["tests"].as_array().map(Vec::as_slice).unwrap_or_default();
            let contract = match loaded {
                Ok(contract) => contract,
                Err(error) => {
                    wrong += tests.len();
                    println!("wrong  {name}: {}: {error}", group["description"]);
                    continue;
                }
            };
            let Route::Found { operation, .. } = contract.route("POST", "/x", None) else {
                wrong += tests.len();
                continue;
            };
            let reasons = &contract.operations()[operation].unenforced;
            if let Some(reason) = reasons.first() {
                println!("refused  {name}: {}: {reason}", group["description"]);
            }
            for test in tests {
                let checks = Checks { unknown_properties: false, access: false, ..Checks::default() };
                let body = test["data"].to_string();
                let found =
                    contract.check_request_body(operation, Some("application/json"), body.as_bytes(), checks);
                let valid = !found.iter().any(|violation| violation.kind == ViolationKind::InvalidBody);
                if !reasons.is_empty() {
                    unenforced += 1;
                } else if valid == (test["valid"] == true) {
                    right += 1;
                } else {
                    wrong += 1;
                    println!(
                        "wrong  {name}: {}: {} (said {valid})",
                        group["description"], test["description"]
                    );
                }
            }
        }
    }
    println!("{right} right, {wrong} wrong, {unenforced} of schemas that are marked as not enforceable");
}

/// Takes `format` away where it is a keyword.
fn without_formats(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("format").is_some_and(Value::is_string) {
                members.remove("format");
            }
            members.values_mut().for_each(without_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(without_formats),
        _ => {}
    }
}
