#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]
//! Every style, with and without `explode`, of scalars, arrays and objects, and forms with their encodings: cases
//! as data, in `tests/vectors/parameters`, whose README says how they are written.

use std::path::Path;

use portcullis_openapi::source::Document;
use portcullis_openapi::{Checks, Contract, Options, Route, ViolationKind};
use serde_json::{Value, json};

/// All groups of a file.
fn groups(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/parameters").join(file);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let document = Document::parse(file, &bytes).unwrap_or_else(|error| panic!("{error}"));
    document.root().to_json()["groups"].as_array().unwrap().clone()
}

const PARAMETERS: [&str; 5] = ["path.yaml", "query.yaml", "header.yaml", "cookie.yaml", "swagger.yaml"];

fn contract(group: &Value) -> Contract {
    let parameter = &group["parameter"];
    let mut operation = json!({"responses": {"200": {"description": "ok"}}});
    let mut path = "/x";
    if let Some(media) = group.get("media") {
        operation["requestBody"] =
            json!({"required": true, "content": {group["type"].as_str().unwrap(): media}});
    } else if let Some(form) = group.get("swagger") {
        operation["consumes"] = json!([group["type"]]);
        operation["parameters"] = form.clone();
    } else {
        operation["parameters"] = json!([parameter]);
        path = if parameter["in"] == "path" { "/x/{p}" } else { path };
    }
    let swagger = group["document"] == "swagger" || group.get("swagger").is_some();
    let version = match swagger {
        true => ("swagger", "2.0"),
        false => ("openapi", group["document"].as_str().unwrap_or("3.0.3")),
    };
    let mut document = json!({"info": {"title": "t", "version": "1"}, "paths": {path: {"post": operation}}});
    document[version.0] = json!(version.1);
    let contract = Contract::parse("t.json", document.to_string().as_bytes(), &Options::default()).unwrap();
    let problems = group["problems"].as_u64().unwrap_or_default();
    assert_eq!(contract.problems().len() as u64, problems, "{group}: {:?}", contract.problems());
    assert!(contract.operations()[0].unenforced.is_empty(), "{group}");
    contract
}

/// What is wrong with a text; `None` if no route matches it.
fn check(contract: &Contract, group: &Value, text: &Value) -> Option<Vec<String>> {
    let place = group["parameter"]["in"].as_str().unwrap();
    let name = group["parameter"]["name"].as_str().unwrap();
    let raw = text.as_str().unwrap_or_default();
    let path = if place == "path" { format!("/x/{raw}") } else { "/x".to_owned() };
    let Route::Found { operation, captures } = contract.route("POST", &path, None) else { return None };
    let query = place.starts_with("query").then_some(raw);
    let headers: Vec<(&str, &[u8])> = match place {
        "header" => text.as_array().unwrap().iter().map(|v| (name, v.as_str().unwrap().as_bytes())).collect(),
        "cookie" => vec![("Cookie", raw.as_bytes())],
        _ => Vec::new(),
    };
    let found =
        contract.check_request_head(operation, &captures, query, headers.into_iter(), Checks::default());
    for violation in &found {
        let known = [
            ViolationKind::MissingParameter,
            ViolationKind::InvalidParameter,
            ViolationKind::UnknownParameter,
        ];
        assert!(known.contains(&violation.kind), "{violation:?}");
    }
    Some(found.iter().map(ToString::to_string).collect())
}

/// What is wrong with a form, or with a multipart body made of parts.
fn check_body(contract: &Contract, group: &Value, body: &Value) -> Option<Vec<String>> {
    let kind = group["type"].as_str().unwrap();
    let (kind, text) = match body {
        Value::String(text) => (kind.to_owned(), text.clone()),
        parts => {
            let mut text = String::new();
            for part in parts.as_array().unwrap() {
                let line = |key: &str, before: &str| {
                    part[key].as_str().map(|value| format!("{before}{value}\r\n")).unwrap_or_default()
                };
                let file = part["filename"].as_str().map(|name| format!("; filename=\"{name}\""));
                text += &format!(
                    "--b\r\nContent-Disposition: form-data; name=\"{}\"{}\r\n{}{}\r\n{}\r\n",
                    part["name"].as_str().unwrap(),
                    file.unwrap_or_default(),
                    line("type", "Content-Type: "),
                    line("header", ""),
                    part["value"].as_str().unwrap()
                );
            }
            (format!("{kind}; boundary=b"), text + "--b--\r\n")
        }
    };
    let checks = Checks { unknown_properties: false, ..Checks::default() };
    let found = contract.check_request_body(0, Some(&kind), text.as_bytes(), checks);
    Some(found.iter().map(ToString::to_string).collect())
}

#[test]
fn texts_are_right_or_wrong() {
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in PARAMETERS.into_iter().chain(["bodies.yaml"]) {
        for group in groups(file) {
            let contract = contract(&group);
            for (list, expected) in [("good", true), ("bad", false)] {
                for text in group[list].as_array().unwrap() {
                    cases += 1;
                    let found = match file {
                        "bodies.yaml" => check_body(&contract, &group, text),
                        _ => check(&contract, &group, text),
                    };
                    if found.as_ref().is_some_and(Vec::is_empty) != expected {
                        wrong.push(format!("{}: {text} should be {list}: {found:?}", group["title"]));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 800, "{cases}");
}

#[test]
fn violations_never_show_values() {
    for group in PARAMETERS.into_iter().flat_map(groups) {
        let contract = contract(&group);
        let secret = "s3cretvalue";
        let place = group["parameter"]["in"].as_str().unwrap();
        let text = match place {
            "header" => json!([secret]),
            "path" => json!(secret),
            _ => json!(format!("p={secret}&p[R]={secret}")),
        };
        for violation in check(&contract, &group, &text).into_iter().flatten() {
            assert!(!violation.contains(secret), "{}: {violation}", group["title"]);
        }
    }
}
