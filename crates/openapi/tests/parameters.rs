#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
//! Every style, with and without `explode`, of scalars, arrays and objects: cases as data.
//!
//! `data/parameters.json` is a list of parameters as a document describes them, each with texts that are right
//! and texts that are wrong: a query string, a path segment, the values of a header, or a `Cookie` header.

use portcullis_openapi::{Checks, Contract, Options, Route, ViolationKind};
use serde_json::{Value, json};

fn contract(group: &Value) -> Contract {
    let parameter = &group["parameter"];
    let path = if parameter["in"] == "path" { "/x/{p}" } else { "/x" };
    let operation = json!({"parameters": [parameter], "responses": {"200": {"description": "ok"}}});
    let paths = json!({path: {"get": operation}});
    let info = json!({"title": "t", "version": "1"});
    let document = if group["swagger"] == true {
        json!({"swagger": "2.0", "info": info, "paths": paths})
    } else {
        json!({"openapi": "3.0.3", "info": info, "paths": paths})
    };
    let contract = Contract::parse("t.json", document.to_string().as_bytes(), &Options::default()).unwrap();
    assert!(contract.problems().is_empty(), "{group}: {:?}", contract.problems());
    contract
}

/// What is wrong with a text; `None` if no route matches it.
fn check(contract: &Contract, group: &Value, text: &Value) -> Option<Vec<String>> {
    let place = group["parameter"]["in"].as_str().unwrap();
    let name = group["parameter"]["name"].as_str().unwrap();
    let raw = text.as_str().unwrap_or_default();
    let path = if place == "path" { format!("/x/{raw}") } else { "/x".to_owned() };
    let Route::Found { operation, captures } = contract.route("GET", &path, None) else { return None };
    let query = (place == "query").then_some(raw);
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

#[test]
fn texts_are_right_or_wrong() {
    let groups: Vec<Value> = serde_json::from_str(include_str!("data/parameters.json")).unwrap();
    let (mut cases, mut wrong) = (0, Vec::new());
    for group in &groups {
        let contract = contract(group);
        for (list, expected) in [("good", true), ("bad", false)] {
            for text in group[list].as_array().unwrap() {
                cases += 1;
                let found = check(&contract, group, text);
                if found.as_ref().is_some_and(Vec::is_empty) != expected {
                    wrong.push(format!("{}: {text} should be {list}: {found:?}", group["title"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 250, "{cases}");
}

#[test]
fn violations_never_show_values() {
    let groups: Vec<Value> = serde_json::from_str(include_str!("data/parameters.json")).unwrap();
    for group in &groups {
        let contract = contract(group);
        let secret = "s3cretvalue";
        let place = group["parameter"]["in"].as_str().unwrap();
        let text = match place {
            "query" | "cookie" => json!(format!("p={secret}&p[R]={secret}")),
            "header" => json!([secret]),
            _ => json!(secret),
        };
        for violation in check(&contract, group, &text).into_iter().flatten() {
            assert!(!violation.contains(secret), "{}: {violation}", group["title"]);
        }
    }
}
