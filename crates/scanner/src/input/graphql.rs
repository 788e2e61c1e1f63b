//! The answer to a GraphQL introspection query: every query and mutation becomes a POST of one document.

use serde_json::{Map, Value, json};

use super::string;
use crate::api::{Api, Auth, Body, Media, Operation};

/// Where GraphQL is served unless something else is known.
const PATH: &str = "/graphql";

/// What asks a server for its schema (GraphQL, section 4).
pub(crate) const INTROSPECTION: &str = "query { __schema { queryType { name } mutationType { name } types { kind name \
    fields(includeDeprecated: true) { name isDeprecated args { name type { ...T } } type { ...T } } \
    inputFields { name type { ...T } } enumValues { name } } } } \
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }";

pub(crate) fn read(root: &Value) -> Result<Api, String> {
    let schema =
        root.pointer("/data/__schema").or_else(|| root.get("__schema")).ok_or("no `__schema` in it")?;
    let types: Vec<&Value> = schema.get("types").and_then(Value::as_array).into_iter().flatten().collect();
    let find = |name: &str| types.iter().find(|one| string(one, "name") == Some(name)).copied();
    let mut api = Api { title: "GraphQL".to_owned(), ..Api::default() };
    for (root_name, word) in [("queryType", "query"), ("mutationType", "mutation")] {
        let Some(root_type) = schema.get(root_name).and_then(|t| string(t, "name")).and_then(find) else {
            continue;
        };
        for field in root_type.get("fields").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = string(field, "name") else { continue };
            let mut variables = Map::new();
            let mut declared = Vec::new();
            let mut passed = Vec::new();
            for argument in field.get("args").and_then(Value::as_array).into_iter().flatten() {
                let (Some(arg), Some(kind)) = (string(argument, "name"), argument.get("type")) else {
                    continue;
                };
                declared.push(format!("${arg}: {}", written(kind)));
                passed.push(format!("{arg}: ${arg}"));
                variables.insert(arg.to_owned(), input(kind, &types, 0));
            }
            let declared =
                if declared.is_empty() { String::new() } else { format!("({})", declared.join(", ")) };
            let passed = if passed.is_empty() { String::new() } else { format!("({})", passed.join(", ")) };
            let picked = field.get("type").map(|kind| selection(kind, &types, 0)).unwrap_or_default();
            let document = format!("{word} pc{declared} {{ {name}{passed}{picked} }}");
            let body = json!({ "type": "object", "required": ["query", "variables"], "properties": {
                "query": { "const": document },
                "variables": { "type": "object", "properties": variables } } });
            api.operations.push(Operation {
                method: "POST".to_owned(),
                // The fragment never goes out: it tells the operations of one path apart.
                path: PATH.to_owned(),
                id: Some(name.to_owned()),
                words: format!("{word} {name}"),
                deprecated: field.get("isDeprecated").and_then(Value::as_bool).unwrap_or(false),
                params: Vec::new(),
                body: Some(Body {
                    media: Media::Json,
                    content_type: "application/json".to_owned(),
                    schema: body,
                    required: true,
                    example: None,
                }),
                answers: Vec::new(),
                auth: Auth::Unsaid,
                own_auth: false,
                on_all: false,
                schemes: Vec::new(),
            });
        }
    }
    if api.operations.is_empty() { Err("the schema has no query".to_owned()) } else { Ok(api) }
}

/// A type as it is written in a document.
fn written(kind: &Value) -> String {
    let inner = || kind.get("ofType").map(written).unwrap_or_default();
    match string(kind, "kind") {
        Some("NON_NULL") => format!("{}!", inner()),
        Some("LIST") => format!("[{}]", inner()),
        _ => string(kind, "name").unwrap_or("String").to_owned(),
    }
}

/// The named type inside lists and non-nulls.
fn named(kind: &Value) -> &str {
    match kind.get("ofType").filter(|inner| !inner.is_null()) {
        Some(inner) => named(inner),
        None => string(kind, "name").unwrap_or_default(),
    }
}

/// A JSON schema of an input type.
fn input(kind: &Value, types: &[&Value], depth: usize) -> Value {
    if string(kind, "kind") == Some("LIST") {
        return json!({ "type": "array", "items": kind.get("ofType").map(|inner| input(inner, types, depth)) });
    }
    if string(kind, "kind") == Some("NON_NULL") {
        return kind.get("ofType").map(|inner| input(inner, types, depth)).unwrap_or_default();
    }
    match named(kind) {
        "Int" => json!({ "type": "integer" }),
        "Float" => json!({ "type": "number" }),
        "Boolean" => json!({ "type": "boolean" }),
        name => {
            let described = types.iter().find(|one| string(one, "name") == Some(name));
            let list = |key: &str| {
                described.and_then(|d| d.get(key)).and_then(Value::as_array).cloned().unwrap_or_default()
            };
            let choices: Vec<Value> =
                list("enumValues").iter().filter_map(|v| v.get("name").cloned()).collect();
            if !choices.is_empty() {
                return json!({ "type": "string", "enum": choices });
            }
            let fields = list("inputFields");
            if fields.is_empty() || depth > 3 {
                return json!({ "type": "string" });
            }
            let properties = fields.iter().filter_map(|field| {
                Some((string(field, "name")?.to_owned(), input(field.get("type")?, types, depth + 1)))
            });
            json!({ "type": "object", "properties": properties.collect::<Map<String, Value>>() })
        }
    }
}

/// Fields without arguments, two levels deep.
fn selection(kind: &Value, types: &[&Value], depth: usize) -> String {
    let described = types.iter().find(|one| string(one, "name") == Some(named(kind)));
    let Some(fields) = described.and_then(|d| d.get("fields")).and_then(Value::as_array) else {
        return String::new();
    };
    let plain =
        fields.iter().filter(|field| field.get("args").and_then(Value::as_array).is_none_or(Vec::is_empty));
    let mut names = vec!["__typename".to_owned()];
    for field in plain.take(30) {
        let (Some(name), Some(kind)) = (string(field, "name"), field.get("type")) else { continue };
        let inner = if depth < 2 { selection(kind, types, depth + 1) } else { String::new() };
        let is_object = types.iter().any(|one| {
            string(one, "name") == Some(named(kind)) && one.get("fields").is_some_and(Value::is_array)
        });
        if !is_object || !inner.is_empty() {
            names.push(format!("{name}{inner}"));
        }
    }
    format!(" {{ {} }}", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_become_operations() {
        let root = json!({ "data": { "__schema": { "queryType": { "name": "Q" }, "types": [
            { "name": "Q", "fields": [{ "name": "user", "args": [{ "name": "id", "type": { "kind": "NON_NULL", "ofType": { "kind": "SCALAR", "name": "Int" } } }],
                "type": { "kind": "OBJECT", "name": "User" } }] },
            { "name": "User", "fields": [{ "name": "name", "args": [], "type": { "kind": "SCALAR", "name": "String" } }] } ] } } });
        let api = read(&root).unwrap();
        let body = api.operations[0].body.as_ref().unwrap();
        assert_eq!(
            body.schema["properties"]["query"]["const"],
            "query pc($id: Int!) { user(id: $id) { __typename name } }"
        );
    }
}
