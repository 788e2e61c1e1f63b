//! Postman collections, version 2.0 and 2.1.

use std::collections::BTreeMap;

use serde_json::Value;

use super::observed::{Seen, bearer_token, model, split};
use super::string;
use crate::api::{Api, Place, Scheme};

pub(super) fn read(root: &Value) -> Result<Api, String> {
    let mut variables = BTreeMap::new();
    for one in root.get("variable").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(key), Some(value)) = (string(one, "key"), one.get("value")) {
            variables.insert(key.to_owned(), crate::api::text(value));
        }
    }
    let mut seen = Vec::new();
    let auth = needs(root.get("auth")).flatten();
    items(root, auth.as_ref(), &variables, &mut seen, 0);
    let title = root.pointer("/info/name").and_then(Value::as_str).unwrap_or("collection");
    model(title, seen)
}

/// How a credential is carried, or that none is needed; `None` where nothing is said, and the folder's word counts.
fn needs(auth: Option<&Value>) -> Option<Option<Scheme>> {
    let auth = auth?;
    let kind = string(auth, "type")?;
    let given = |name: &str| {
        let pairs = auth.get(kind)?.as_array()?;
        pairs.iter().find(|pair| string(pair, "key") == Some(name)).and_then(|pair| string(pair, "value"))
    };
    Some(match kind {
        "noauth" => None,
        "apikey" => Some(Scheme {
            name: given("key").unwrap_or("apikey").to_owned(),
            place: if given("in") == Some("query") { Place::Query } else { Place::Header },
            field: given("key").unwrap_or("Authorization").to_owned(),
            prefix: String::new(),
        }),
        _ => Some(bearer_token()),
    })
}

fn items(
    folder: &Value,
    auth: Option<&Scheme>,
    variables: &BTreeMap<String, String>,
    seen: &mut Vec<Seen>,
    depth: usize,
) {
    if depth > 20 {
        return;
    }
    for item in folder.get("item").and_then(Value::as_array).into_iter().flatten() {
        let own = needs(item.get("auth"));
        let auth = own.as_ref().map_or(auth, Option::as_ref);
        if item.get("item").is_some() {
            items(item, auth, variables, seen, depth + 1);
        }
        if let Some(request) = item.get("request") {
            seen.push(call(item, request, auth, variables));
        }
    }
}

fn call(item: &Value, request: &Value, auth: Option<&Scheme>, variables: &BTreeMap<String, String>) -> Seen {
    let auth = needs(request.get("auth")).unwrap_or_else(|| auth.cloned());
    let url = request.get("url").unwrap_or(&Value::Null);
    let raw = url.as_str().or_else(|| string(url, "raw")).or_else(|| request.as_str()).unwrap_or_default();
    // The base stands in a variable, whose value is not believed: the target is what the command line says.
    let raw = match raw.strip_prefix("{{").and_then(|rest| rest.split_once("}}")) {
        Some((_, rest)) => format!("http://x/{}", rest.trim_start_matches('/')),
        None if raw.contains("://") => raw.to_owned(),
        None => format!("http://{raw}"),
    };
    let (mut path, mut query) = split(&raw);
    if raw == "http://" {
        (path, query) = pieces(url);
    }
    let mut values = BTreeMap::new();
    for one in url.get("variable").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(key), Some(value)) = (string(one, "key"), one.get("value")) {
            values.insert(key.to_owned(), crate::api::text(value));
        }
    }
    let segments = path.split('/').map(|segment| {
        if let Some(name) = segment.strip_prefix(':') {
            return format!("{{{name}}}");
        }
        if let Some(name) = segment.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
            if let Some(value) = variables.get(name) {
                values.insert(name.to_owned(), value.clone());
            }
            return format!("{{{name}}}");
        }
        segment.to_owned()
    });
    let path = segments.collect::<Vec<_>>().join("/");
    let headers = request.get("header").and_then(Value::as_array).into_iter().flatten();
    let headers = headers.filter(|h| h.get("disabled").and_then(Value::as_bool) != Some(true));
    let mut headers: Vec<(String, String)> = headers
        .filter_map(|h| Some((string(h, "key")?.to_owned(), string(h, "value")?.to_owned())))
        .collect();
    let body = request.get("body");
    let mode = body.and_then(|body| string(body, "mode")).unwrap_or("raw");
    let mut text = String::new();
    let mut files = Vec::new();
    match (mode, body) {
        ("raw", Some(body)) => fill(string(body, "raw").unwrap_or_default(), variables).clone_into(&mut text),
        ("urlencoded", Some(body)) => {
            let pairs = body.get("urlencoded").and_then(Value::as_array).into_iter().flatten();
            let pairs = pairs.filter_map(|p| {
                Some(format!("{}={}", string(p, "key")?, string(p, "value").unwrap_or_default()))
            });
            text = pairs.collect::<Vec<_>>().join("&");
            headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        ("formdata", Some(body)) => {
            let mut plain = String::new();
            for part in body.get("formdata").and_then(Value::as_array).into_iter().flatten() {
                let Some(key) = string(part, "key") else { continue };
                if string(part, "type") == Some("file") {
                    files.push(key.to_owned());
                } else {
                    let value = fill(string(part, "value").unwrap_or_default(), variables);
                    plain.push_str(&format!(
                        "--x\r\ncontent-disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n"
                    ));
                }
            }
            text = plain;
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            headers.push(("content-type".to_owned(), "multipart/form-data".to_owned()));
        }
        ("file", Some(_)) => text = "<binary>".to_owned(),
        _ => {}
    }
    // A body that is JSON says so, whatever its header forgot.
    if serde_json::from_str::<Value>(&text).is_ok()
        && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let query = query.into_iter().map(|(name, value)| (name, fill(&value, variables))).collect();
    Seen {
        name: string(item, "name").unwrap_or_default().to_owned(),
        method: string(request, "method").unwrap_or("GET").to_ascii_uppercase(),
        path,
        query,
        headers,
        body: text,
        values,
        auth,
        answer: example(item),
        files,
        deprecated: false,
    }
}

/// A URL that is written in pieces only.
fn pieces(url: &Value) -> (String, Vec<(String, String)>) {
    let segment = |one: &Value| string(one, "value").map_or_else(|| crate::api::text(one), str::to_owned);
    let path = match url.get("path") {
        Some(Value::Array(segments)) => segments.iter().map(|one| format!("/{}", segment(one))).collect(),
        Some(Value::String(path)) => format!("/{}", path.trim_start_matches('/')),
        _ => "/".to_owned(),
    };
    let pairs = url.get("query").and_then(Value::as_array).into_iter().flatten();
    let pairs = pairs.filter_map(|one| {
        Some((string(one, "key")?.to_owned(), string(one, "value").unwrap_or_default().to_owned()))
    });
    (path, pairs.collect())
}

/// What an example of an answer with success shows.
fn example(item: &Value) -> Option<Value> {
    item.get("response")?.as_array()?.iter().find_map(|answer| {
        let code = answer.get("code").and_then(Value::as_u64)?;
        (200..300).contains(&code).then(|| serde_json::from_str(string(answer, "body")?).ok()).flatten()
    })
}

/// Variables replaced by the collection's own values; unknown ones by their names.
fn fill(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            out.push_str("{{");
            rest = after;
            continue;
        };
        out.push_str(variables.get(name.trim()).map_or(name.trim(), String::as_str));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Auth;

    #[test]
    fn a_collection_is_an_api() {
        let root = serde_json::json!({
            "info": { "name": "C", "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" },
            "auth": { "type": "bearer" }, "variable": [{ "key": "user", "value": "u1" }],
            "item": [{ "name": "f", "item": [
                { "name": "login", "request": { "method": "POST", "auth": { "type": "noauth" }, "url": "{{base}}/login",
                    "body": { "mode": "raw", "raw": "{\"username\":\"{{user}}\",\"password\":\"x\"}" } } },
                { "name": "one", "request": { "method": "GET", "url": { "raw": "{{base}}/users/:id?x={{user}}", "variable": [{ "key": "id", "value": "4" }] } } }] }]
        });
        let api = read(&root).unwrap();
        assert_eq!(api.operations.len(), 2);
        let pieces = serde_json::json!({ "info": {}, "item": [{ "name": "p", "request": { "method": "POST",
            "url": { "host": ["{{base}}"], "path": ["v2", "pictures", ":id"], "query": [{ "key": "q", "value": "<string>" }],
                "variable": [{ "key": "id", "value": "<long>" }] },
            "body": { "mode": "formdata", "formdata": [{ "key": "file", "type": "file" }, { "key": "title", "type": "text", "value": "t" }] } } }] });
        let one = &read(&pieces).unwrap().operations[0];
        assert_eq!(
            (one.path.as_str(), &one.params[0].schema),
            ("/v2/pictures/{id}", &serde_json::json!({ "type": "integer" }))
        );
        let properties = &one.body.as_ref().unwrap().schema["properties"];
        assert_eq!(
            (&properties["file"]["format"], &properties["title"]["example"]),
            (&"binary".into(), &"t".into())
        );
        assert!(api.operations[0].is_login());
        assert_eq!((api.operations[1].path.as_str(), api.operations[1].auth), ("/users/{id}", Auth::Needed));
        assert_eq!(api.schemes, [bearer_token()]);
        assert_eq!(api.operations[1].params[1].schema["example"], "u1");
    }
}
