//! OpenAPI 3 and Swagger 2.0.

use serde_json::{Map, Value, json};

use super::string;
use crate::api::{Api, Auth, Body, Media, Operation, Param, Place, Scheme};

/// References followed inside one schema before the rest is left open.
const DEPTH: usize = 12;
/// Nodes of one resolved schema.
const NODES: usize = 4000;

pub(super) fn read(root: &Value) -> Result<Api, String> {
    let paths = root.get("paths").and_then(Value::as_object).ok_or("the document has no `paths`")?;
    let mut api = Api {
        title: root.pointer("/info/title").and_then(Value::as_str).unwrap_or_default().to_owned(),
        base: base(root),
        operations: Vec::new(),
        schemes: schemes(root),
    };
    let everywhere = root.get("security");
    for (path, item) in paths {
        let item = deref(item, root);
        let Some(members) = item.as_object() else { continue };
        for (method, operation) in members {
            let known = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
            if known.contains(&method.as_str()) && operation.is_object() {
                let shared = item.get("parameters");
                api.operations.push(read_operation(root, path, method, operation, shared, everywhere));
            }
        }
    }
    if api.operations.is_empty() {
        return Err("the document has no operation; nothing to test".to_owned());
    }
    Ok(api)
}

fn base(root: &Value) -> String {
    let base = match string(root, "basePath") {
        Some(base) => base.to_owned(),
        None => {
            let url = root.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            if url.contains('{') {
                String::new()
            } else {
                rest.find('/').map(|at| rest[at..].to_owned()).unwrap_or_default()
            }
        }
    };
    base.trim_end_matches('/').to_owned()
}

fn read_operation(
    root: &Value,
    path: &str,
    method: &str,
    operation: &Value,
    shared: Option<&Value>,
    everywhere: Option<&Value>,
) -> Operation {
    let mut params: Vec<Param> = Vec::new();
    let mut form = Map::new();
    let mut required_fields = Vec::new();
    let mut binary = false;
    let mut body = None;
    let lists = [operation.get("parameters"), shared];
    for parameter in lists.into_iter().flatten().filter_map(Value::as_array).flatten() {
        let parameter = deref(parameter, root);
        let (Some(name), Some(place)) = (string(&parameter, "name"), string(&parameter, "in")) else {
            continue;
        };
        let required = parameter.get("required").and_then(Value::as_bool).unwrap_or(false);
        let schema = parameter_schema(&parameter, root);
        let place = match place {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "cookie" => Place::Cookie,
            "body" => {
                let schema = resolve(parameter.get("schema").unwrap_or(&Value::Null), root);
                let content_type = consumes(operation, root, "application/json");
                let example = schema.get("example").cloned();
                body = Some(Body { media: media(&content_type), content_type, schema, required, example });
                continue;
            }
            "formData" => {
                binary |= string(&parameter, "type") == Some("file");
                let mut schema = schema;
                if string(&parameter, "type") == Some("file") {
                    schema = json!({ "type": "string", "format": "binary" });
                }
                form.insert(name.to_owned(), schema);
                if required {
                    required_fields.push(Value::String(name.to_owned()));
                }
                continue;
            }
            _ => continue,
        };
        if place == Place::Header && is_reserved_header(name) {
            continue;
        }
        if !params.iter().any(|known| known.name == name && known.place == place) {
            params.push(Param {
                name: name.to_owned(),
                place,
                required: required || place == Place::Path,
                schema,
            });
        }
    }
    if !form.is_empty() {
        let media = if binary { Media::Multipart } else { Media::Form };
        let schema = json!({ "type": "object", "properties": form, "required": required_fields });
        body = Some(Body { media, content_type: String::new(), schema, required: true, example: None });
    }
    if let Some(described) = operation.get("requestBody") {
        body = request_body(&deref(described, root), root).or(body);
    }
    let mut operation_model = Operation {
        method: method.to_ascii_uppercase(),
        path: path.split(['?', '#']).next().unwrap_or_default().to_owned(),
        id: string(operation, "operationId").map(str::to_owned),
        words: said(operation),
        deprecated: operation.get("deprecated").and_then(Value::as_bool).unwrap_or(false),
        params,
        body,
        answers: answers(operation, root),
        auth: auth(operation.get("security").or(everywhere)),
        own_auth: operation.get("security").is_some(),
        on_all: false,
        schemes: scheme_names(operation.get("security").or(everywhere)),
    };
    for name in operation_model.path_names() {
        if !operation_model.params.iter().any(|known| known.place == Place::Path && known.name == name) {
            let schema = json!({ "type": "string" });
            operation_model.params.push(Param { name, place: Place::Path, required: true, schema });
        }
    }
    operation_model
}

/// Header parameters that OpenAPI says are ignored: they are described elsewhere.
fn is_reserved_header(name: &str) -> bool {
    ["accept", "content-type", "authorization"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn said(operation: &Value) -> String {
    let tags =
        operation.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let rest = ["summary", "description"].iter().filter_map(|key| string(operation, key));
    tags.chain(rest).collect::<Vec<_>>().join(" ")
}

fn parameter_schema(parameter: &Value, root: &Value) -> Value {
    let inner = parameter.get("schema").cloned().or_else(|| {
        let media = parameter.get("content").and_then(Value::as_object)?.values().next()?;
        media.get("schema").cloned()
    });
    let mut schema = match inner {
        Some(schema) => resolve(&schema, root),
        None => {
            // Swagger 2.0 writes the schema's members into the parameter.
            let mut members = parameter.as_object().cloned().unwrap_or_default();
            for key in ["name", "in", "required", "description"] {
                members.remove(key);
            }
            Value::Object(members)
        }
    };
    let example = parameter.get("example").cloned().or_else(|| {
        let examples = parameter.get("examples")?.as_object()?;
        deref(examples.values().next()?, root).get("value").cloned()
    });
    if let (Some(example), Some(members)) = (example, schema.as_object_mut()) {
        members.insert("example".to_owned(), example);
    }
    schema
}

fn request_body(described: &Value, root: &Value) -> Option<Body> {
    let content = described.get("content")?.as_object()?;
    let best = content.iter().min_by_key(|(kind, _)| match media(kind) {
        Media::Json => 0,
        Media::Form => 1,
        Media::Multipart => 2,
        Media::Xml => 3,
        Media::Other => 4,
    });
    let (content_type, described_as) = best?;
    let schema = resolve(described_as.get("schema").unwrap_or(&Value::Null), root);
    let example = described_as.get("example").cloned().or_else(|| {
        let examples = described_as.get("examples")?.as_object()?;
        deref(examples.values().next()?, root).get("value").cloned()
    });
    let example = example.or_else(|| schema.get("example").cloned());
    let required = described.get("required").and_then(Value::as_bool).unwrap_or(false);
    let content_type =
        if content_type.contains('*') { "application/json".to_owned() } else { content_type.clone() };
    Some(Body { media: media(&content_type), content_type, schema, required, example })
}

fn consumes(operation: &Value, root: &Value, default: &str) -> String {
    let list = operation.get("consumes").or_else(|| root.get("consumes")).and_then(Value::as_array);
    let kinds: Vec<&str> = list.into_iter().flatten().filter_map(Value::as_str).collect();
    let json = kinds.iter().find(|kind| media(kind) == Media::Json);
    json.or(kinds.first()).map_or(default, |kind| *kind).to_owned()
}

/// How a media type is written.
pub(super) fn media(kind: &str) -> Media {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" | "text/json" | "*/*" | "application/*" => Media::Json,
        "application/x-www-form-urlencoded" => Media::Form,
        "multipart/form-data" => Media::Multipart,
        "application/xml" | "text/xml" => Media::Xml,
        other if other.ends_with("+json") => Media::Json,
        other if other.ends_with("+xml") => Media::Xml,
        _ => Media::Other,
    }
}

fn answers(operation: &Value, root: &Value) -> Vec<Value> {
    let Some(responses) = operation.get("responses").and_then(Value::as_object) else { return Vec::new() };
    let mut schemas = Vec::new();
    for (status, response) in responses {
        if !status.starts_with('2') {
            continue;
        }
        let response = deref(response, root);
        let direct = response.get("schema");
        let content = response.get("content").and_then(Value::as_object);
        let inner = content.and_then(|all| all.values().find_map(|media| media.get("schema")));
        if let Some(schema) = direct.or(inner) {
            schemas.push(resolve(schema, root));
        }
    }
    schemas
}

fn auth(security: Option<&Value>) -> Auth {
    match security.and_then(Value::as_array) {
        None => Auth::Unsaid,
        Some(list) if list.is_empty() => Auth::Open,
        Some(list) if list.iter().any(|one| one.as_object().is_some_and(Map::is_empty)) => Auth::Open,
        Some(_) => Auth::Needed,
    }
}

fn scheme_names(security: Option<&Value>) -> Vec<String> {
    let list = security.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_object).flat_map(|one| one.keys().cloned()).collect()
}

fn schemes(root: &Value) -> Vec<Scheme> {
    let described = root.pointer("/components/securitySchemes").or_else(|| root.get("securityDefinitions"));
    let mut schemes = Vec::new();
    for (name, scheme) in described.and_then(Value::as_object).into_iter().flatten() {
        let scheme = deref(scheme, root);
        let header = |prefix: &str| Scheme {
            name: name.clone(),
            place: Place::Header,
            field: "Authorization".to_owned(),
            prefix: prefix.to_owned(),
        };
        match string(&scheme, "type") {
            Some("http") => match string(&scheme, "scheme").map(str::to_ascii_lowercase).as_deref() {
                Some("basic") => schemes.push(header("Basic ")),
                _ => schemes.push(header("Bearer ")),
            },
            Some("basic") => schemes.push(header("Basic ")),
            Some("oauth2" | "openIdConnect") => schemes.push(header("Bearer ")),
            Some("apiKey") => {
                let place = match string(&scheme, "in") {
                    Some("query") => Place::Query,
                    Some("cookie") => Place::Cookie,
                    _ => Place::Header,
                };
                let field = string(&scheme, "name").unwrap_or("Authorization").to_owned();
                // What stands before the token is said in words only.
                let words = string(&scheme, "description").unwrap_or_default();
                let named = field.eq_ignore_ascii_case("authorization");
                let prefix =
                    ["Bearer ", "Token ", "JWT "].into_iter().find(|word| named && words.contains(word));
                let prefix = prefix.unwrap_or_default().to_owned();
                schemes.push(Scheme { name: name.clone(), place, field, prefix });
            }
            _ => {}
        }
    }
    schemes
}

/// A reference to where it leads, once or through a few more.
fn deref(value: &Value, root: &Value) -> Value {
    let mut value = value;
    for _ in 0..DEPTH {
        let Some(target) = string(value, "$ref").and_then(|link| link.strip_prefix('#')) else { break };
        match root.pointer(target) {
            Some(found) => value = found,
            None => return Value::Null,
        }
    }
    value.clone()
}

/// A schema with its references resolved and `allOf` merged; what is endless is left open.
fn resolve(schema: &Value, root: &Value) -> Value {
    let mut left = NODES;
    walk(schema, root, 0, &mut left)
}

fn walk(schema: &Value, root: &Value, depth: usize, left: &mut usize) -> Value {
    if depth > DEPTH || *left == 0 {
        return json!({});
    }
    *left -= 1;
    let schema = deref(schema, root);
    let Value::Object(members) = schema else { return schema };
    let mut out = Map::new();
    for (key, value) in members {
        match key.as_str() {
            "properties" => {
                let resolved = value.as_object().into_iter().flatten();
                let resolved =
                    resolved.map(|(name, inner)| (name.clone(), walk(inner, root, depth + 1, left)));
                merge(&mut out, "properties", Value::Object(resolved.collect()));
            }
            "items" => {
                out.insert(key, walk(&value, root, depth + 1, left));
            }
            "allOf" => {
                for part in value.as_array().into_iter().flatten() {
                    let Value::Object(part) = walk(part, root, depth + 1, left) else { continue };
                    for (key, value) in part {
                        merge(&mut out, &key, value);
                    }
                }
            }
            "oneOf" | "anyOf" => {
                // The first that says something stands for all: a value is wanted, not a verdict.
                let options = value.as_array().into_iter().flatten();
                let first =
                    options.map(|one| deref(one, root)).find(|one| string(one, "type") != Some("null"));
                if let Some(Value::Object(part)) = first.map(|one| walk(&one, root, depth + 1, left)) {
                    for (key, value) in part {
                        merge(&mut out, &key, value);
                    }
                }
            }
            _ => {
                out.entry(key).or_insert(value);
            }
        }
    }
    Value::Object(out)
}

fn merge(out: &mut Map<String, Value>, key: &str, value: Value) {
    match (out.get_mut(key), value) {
        (Some(Value::Object(known)), Value::Object(more)) => {
            for (name, inner) in more {
                known.entry(name).or_insert(inner);
            }
        }
        (Some(Value::Array(known)), Value::Array(more)) if key == "required" => known.extend(more),
        (Some(_), _) => {}
        (None, value) => {
            out.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_all_of_are_resolved_and_cycles_end() {
        let root = json!({
            "openapi": "3.0.3", "info": { "title": "T", "version": "1" },
            "servers": [{ "url": "https://x.example/v1/" }],
            "security": [{ "b": [] }],
            "paths": { "/a/{id}": { "post": {
                "security": [],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/N" } } } },
                "responses": { "200": { "description": "" } } } } },
            "components": { "schemas": {
                "P": { "type": "object", "required": ["p"], "properties": { "p": { "type": "integer" } } },
                "N": { "allOf": [{ "$ref": "#/components/schemas/P" },
                    { "properties": { "next": { "$ref": "#/components/schemas/N" } }, "required": ["next"] }] } } }
        });
        let api = read(&root).unwrap();
        assert_eq!(api.base, "/v1");
        let operation = &api.operations[0];
        assert_eq!(operation.auth, Auth::Open);
        assert_eq!(operation.params[0].name, "id");
        let schema = &operation.body.as_ref().unwrap().schema;
        assert_eq!(schema["properties"]["p"]["type"], "integer");
        assert_eq!(schema["required"], json!(["p", "next"]));
    }
}
