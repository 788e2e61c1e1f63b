//! Calls that were seen or written down (Postman, HAR, Burp), turned into operations: values in paths become
//! parameters, bodies become schemas.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::openapi::media;
use crate::api::{Api, Auth, Body, Media, Operation, Param, Place, Scheme, is_version};
use crate::words;

/// One call.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) method: String,
    /// The path, `{name}` where the source itself names a parameter.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// Values of named parameters.
    pub(super) values: BTreeMap<String, String>,
    /// How the source says that a credential is carried, if it says that one is needed.
    pub(super) auth: Option<Scheme>,
    /// What was answered with success, if it is known.
    pub(super) answer: Option<Value>,
    /// Whether the answer said that the operation is on its way out.
    pub(super) deprecated: bool,
    /// Members that are files, for a body in parts.
    pub(super) files: Vec<String>,
}

/// A model of all the calls.
pub(super) fn model(title: &str, seen: Vec<Seen>) -> Result<Api, String> {
    let mut api = Api { title: title.to_owned(), ..Api::default() };
    let known: Vec<String> = seen.iter().map(|one| one.path.clone()).collect();
    for one in seen {
        let known_method =
            ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].contains(&one.method.as_str());
        if !known_method || one.method == "OPTIONS" || is_static(&one.path) {
            continue;
        }
        let (path, values) = template(&one, &known);
        let header = |name: &str| {
            one.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
        };
        let bearer =
            header("authorization").is_some_and(|value| value.to_ascii_lowercase().starts_with("bearer"));
        // A browser sends what it has, whether it is asked for or not: that is no word about who may call.
        let scheme = one.auth.clone().or_else(|| bearer.then(bearer_token));
        if let Some(scheme) = scheme.as_ref().filter(|scheme| !api.schemes.contains(scheme)) {
            api.schemes.push(scheme.clone());
        }
        let params = values
            .into_iter()
            .map(|(name, value)| Param {
                name,
                place: Place::Path,
                required: true,
                schema: schema_of_text(&value),
            })
            .chain(one.query.iter().map(|(name, value)| Param {
                name: name.clone(),
                place: Place::Query,
                required: true,
                schema: schema_of_text(value),
            }))
            .collect();
        let operation = Operation {
            method: one.method.clone(),
            path,
            // A sentence is no name: its words say more than what the operation does.
            id: (!one.name.is_empty() && !one.name.contains(char::is_whitespace)).then(|| one.name.clone()),
            words: one.name.clone(),
            deprecated: one.deprecated,
            params,
            body: body(&one, header("content-type").as_deref()),
            answers: one.answer.iter().map(schema_of).collect(),
            auth: if one.auth.is_some() { Auth::Needed } else { Auth::Unsaid },
            own_auth: false,
            on_all: false,
            schemes: scheme.into_iter().map(|scheme| scheme.name).collect(),
        };
        // The same operation seen again: what it takes adds up.
        match api.operations.iter_mut().find(|op| op.method == operation.method && op.path == operation.path)
        {
            Some(known) => {
                // What one of the calls did without need not be there.
                for param in known.params.iter_mut().filter(|param| param.place == Place::Query) {
                    param.required &=
                        operation.params.iter().any(|p| p.name == param.name && p.place == param.place);
                }
                for mut param in operation.params {
                    param.required &= param.place == Place::Path;
                    if !known.params.iter().any(|p| p.name == param.name && p.place == param.place) {
                        known.params.push(param);
                    }
                }
                known.deprecated |= operation.deprecated;
                known.body = known.body.take().or(operation.body);
                known.answers.extend(operation.answers);
            }
            None => api.operations.push(operation),
        }
    }
    if api.operations.is_empty() {
        return Err("no call of an API was found in it".to_owned());
    }
    Ok(api)
}

/// The usual way of a token.
pub(super) fn bearer_token() -> Scheme {
    let [name, field, prefix] = ["bearer", "Authorization", "Bearer "].map(str::to_owned);
    Scheme { name, place: Place::Header, field, prefix }
}

/// Pictures, styles and scripts of a page are no operations.
fn is_static(path: &str) -> bool {
    let ending = path
        .rsplit('/')
        .next()
        .and_then(|last| last.rsplit_once('.'))
        .map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|e| {
        matches!(
            e.as_str(),
            "js" | "css"
                | "png"
                | "jpg"
                | "jpeg"
                | "gif"
                | "svg"
                | "ico"
                | "woff"
                | "woff2"
                | "map"
                | "html"
                | "ttf"
        )
    })
}

/// A path with what looks like a value made a parameter, and the values.
fn template(one: &Seen, known: &[String]) -> (String, Vec<(String, String)>) {
    let mut out: Vec<String> = Vec::new();
    let mut values: Vec<(String, String)> = Vec::new();
    let segments: Vec<&str> = one.path.split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            values.push((name.to_owned(), one.values.get(name).cloned().unwrap_or_default()));
            out.push((*segment).to_owned());
            continue;
        }
        let before: Vec<&str> = segments.get(..index).unwrap_or_default().to_vec();
        if is_value(segment) || is_one_of_many(&before, segment, segments.len(), known) {
            let noun = before
                .iter()
                .rev()
                .find(|s| !s.is_empty() && !s.contains('{') && !is_version(s))
                .copied()
                .unwrap_or("item");
            let noun =
                words::split(noun).last().map_or_else(|| "item".to_owned(), |word| words::singular(word));
            let mut name = if is_value(segment) { format!("{noun}_id") } else { format!("{noun}_name") };
            if values.iter().any(|(known, _)| *known == name) {
                name = format!("{name}_{}", values.len() + 1);
            }
            out.push(format!("{{{name}}}"));
            values
                .push((name, percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()));
        } else {
            out.push((*segment).to_owned());
        }
    }
    (out.join("/"), values)
}

/// Numbers, UUIDs, long hex or mixed words.
fn is_value(segment: &str) -> bool {
    if is_version(segment) || segment.is_empty() {
        return false;
    }
    let digits = segment.chars().filter(char::is_ascii_digit).count();
    segment.chars().all(|c| c.is_ascii_digit())
        || segment.len() == 36 && segment.matches('-').count() == 4
        || segment.len() >= 16
            && digits >= 3
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        || segment.contains('@')
        || segment.contains('%')
}

/// Whether many different words were seen at this very place: then they are values.
fn is_one_of_many(before: &[&str], segment: &str, length: usize, known: &[String]) -> bool {
    let mut others: Vec<&str> = known
        .iter()
        .filter_map(|path| {
            let parts: Vec<&str> = path.split('/').collect();
            (parts.len() == length && parts.get(..before.len()) == Some(before))
                .then(|| parts.get(before.len()).copied())
                .flatten()
        })
        .collect();
    others.sort_unstable();
    others.dedup();
    others.len() > 8 && others.contains(&segment)
}

fn schema_of_text(value: &str) -> Value {
    if let Some(schema) = placeholder(value) {
        return schema;
    }
    let kind = if value.parse::<i64>().is_ok() && value.len() < 16 { "integer" } else { "string" };
    let example =
        if kind == "integer" { value.parse::<i64>().map_or(Value::Null, Value::from) } else { json!(value) };
    json!({ "type": kind, "example": example })
}

/// A schema that a value keeps to.
fn schema_of(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let properties: Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), schema_of(value))).collect();
            json!({ "type": "object", "properties": properties })
        }
        Value::Array(items) => {
            json!({ "type": "array", "items": items.first().map_or_else(|| json!({}), schema_of) })
        }
        Value::Bool(_) => json!({ "type": "boolean", "example": value }),
        Value::Number(number) => {
            json!({ "type": if number.is_i64() || number.is_u64() { "integer" } else { "number" }, "example": value })
        }
        Value::String(text) => {
            placeholder(text).unwrap_or_else(|| json!({ "type": "string", "example": text }))
        }
        Value::Null => json!({}),
    }
}

/// What stands for a value in collections that were made from a description: `<string>`, `<long>`, `<email>`.
fn placeholder(text: &str) -> Option<Value> {
    let name = text.strip_prefix('<')?.strip_suffix('>')?;
    Some(match name {
        "string" | "password" | "byte" => json!({ "type": "string" }),
        "integer" | "long" | "int32" | "int64" => json!({ "type": "integer" }),
        "number" | "float" | "double" => json!({ "type": "number" }),
        "boolean" => json!({ "type": "boolean" }),
        "date" | "uuid" | "uri" | "email" | "hostname" | "ipv4" | "ipv6" | "time" => {
            json!({ "type": "string", "format": name })
        }
        "dateTime" | "date-time" => json!({ "type": "string", "format": "date-time" }),
        "binary" => json!({ "type": "string", "format": "binary" }),
        _ => return None,
    })
}

/// Whether a value has anything in it that only stands for a value.
fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => placeholder(text).is_some(),
        Value::Array(items) => items.iter().any(has_placeholder),
        Value::Object(members) => members.values().any(has_placeholder),
        _ => false,
    }
}

fn body(one: &Seen, content_type: Option<&str>) -> Option<Body> {
    if one.body.trim().is_empty() && one.files.is_empty() {
        return None;
    }
    let parsed: Option<Value> = serde_json::from_str(&one.body).ok();
    let content_type =
        content_type.unwrap_or(if parsed.is_some() { "application/json" } else { "text/plain" });
    let (kind, value) = match (media(content_type), parsed) {
        (Media::Json, Some(value)) => (Media::Json, value),
        (Media::Form, _) => {
            let pairs = one.body.split('&').filter_map(|pair| pair.split_once('='));
            let decode = |text: &str| {
                percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
            };
            (
                Media::Form,
                Value::Object(pairs.map(|(name, value)| (decode(name), json!(decode(value)))).collect()),
            )
        }
        (Media::Multipart, _) => {
            let parts = parts(&one.body).into_iter().map(|(name, value)| (name, json!(value)));
            let files = one.files.iter().map(|name| (name.clone(), json!("<binary>")));
            (Media::Multipart, Value::Object(parts.chain(files).collect()))
        }
        (Media::Xml, _) => (Media::Xml, json!(one.body)),
        _ => (Media::Other, json!(one.body)),
    };
    let content_type = content_type.split(';').next().unwrap_or_default().to_owned();
    let schema = schema_of(&value);
    let example = (!has_placeholder(&value)).then_some(value);
    Some(Body { media: kind, content_type, schema, required: true, example })
}

/// The parts of a `multipart/form-data` body as it stood on the wire: texts as they are, files as what stands for one.
fn parts(body: &str) -> Vec<(String, String)> {
    let Some(boundary) = body.lines().next().filter(|line| line.starts_with("--")) else { return Vec::new() };
    let attribute = |head: &str, name: &str| {
        let (_, rest) = head.split_once(&format!(" {name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    body.split(boundary)
        .filter_map(|part| {
            let (head, content) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n"))?;
            let is_file = attribute(head, "filename").is_some();
            let content = if is_file { "<binary>" } else { content.trim_end() };
            Some((attribute(head, "name")?, content.to_owned()))
        })
        .collect()
}

/// A URL as path, query pairs and host; `None` without a path.
pub(super) fn split(url: &str) -> (String, Vec<(String, String)>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = match rest.find('/') {
        Some(at) => rest.get(at..).unwrap_or("/"),
        None => "/",
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs =
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decode(n), decode(v)));
    (path.to_owned(), pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_value_is_none() {
        let seen = Seen {
            method: "POST".into(),
            path: "/orders".into(),
            body: r#"{"quantity":"<integer>","note":"<string>","code":"A"}"#.into(),
            ..Seen::default()
        };
        let api = model("t", vec![seen]).unwrap();
        let body = api.operations[0].body.as_ref().unwrap();
        assert_eq!(body.schema["properties"]["quantity"], json!({ "type": "integer" }));
        assert_eq!(
            (body.schema["properties"]["code"]["example"].as_str(), &body.example),
            (Some("A"), &None)
        );
    }

    #[test]
    fn parts_of_a_form() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nmine\r\n--x\r\n\
                    Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\nPNG\r\n--x--\r\n";
        let expected = [("title", "mine"), ("file", "<binary>")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(parts(body), expected);
    }

    #[test]
    fn observed_paths_become_templates() {
        let call =
            |method: &str, path: &str| Seen { method: method.into(), path: path.into(), ..Seen::default() };
        let seen = vec![
            call("GET", "/v1/orders/17/items/3"),
            call("GET", "/v1/orders/18/items/4"),
            call("GET", "/v1/orders"),
            call("GET", "/users/0b0e8a2c-7a52-4c3d-9f6e-1d2c3b4a5f60"),
            call("GET", "/app.js"),
        ];
        let api = model("t", seen).unwrap();
        let paths: Vec<&str> = api.operations.iter().map(|op| op.path.as_str()).collect();
        assert_eq!(paths, ["/v1/orders/{order_id}/items/{item_id}", "/v1/orders", "/users/{user_id}"]);
    }
}
