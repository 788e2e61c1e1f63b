//! The keywords of a document, counted in its text: by a reader that shares nothing with the crate's own, from
//! the operations on, each schema once. What the crate kept must be as many.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

/// How many schemas that operations reach hold each keyword; nothing for a document of several files.
pub(crate) fn count(root: &Value) -> Option<BTreeMap<&'static str, usize>> {
    let legacy = match (root.get("swagger"), root.get("openapi").and_then(Value::as_str)) {
        (Some(_), _) => Legacy::Swagger,
        (None, Some(version)) if version.starts_with("3.0") || version == "3" => Legacy::OpenApi30,
        _ => Legacy::No,
    };
    let mut walk =
        Walk { root, legacy, seen: HashSet::new(), open: Vec::new(), count: BTreeMap::new(), outside: false };
    walk.paths();
    while let Some(schema) = walk.open.pop() {
        walk.schema(schema);
    }
    (!walk.outside).then_some(walk.count)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Legacy {
    Swagger,
    OpenApi30,
    No,
}

struct Walk<'v> {
    root: &'v Value,
    legacy: Legacy,
    seen: HashSet<*const Value>,
    open: Vec<&'v Value>,
    count: BTreeMap<&'static str, usize>,
    /// A reference leads to another file.
    outside: bool,
}

const METHODS: &[&str] = &["get", "head", "post", "put", "patch", "delete", "options", "trace", "query"];

const ANNOTATIONS: &[&str] = &[
    "title",
    "description",
    "summary",
    "example",
    "examples",
    "default",
    "deprecated",
    "externalDocs",
    "xml",
    "$comment",
    "$id",
    "id",
    "$schema",
    "$anchor",
    "$dynamicAnchor",
    "$defs",
    "definitions",
    "contentMediaType",
    "contentEncoding",
    "contentSchema",
    "$vocabulary",
    "collectionFormat",
];

impl<'v> Walk<'v> {
    fn find(&mut self, reference: &str) -> Option<&'v Value> {
        let Some(fragment) = reference.strip_prefix('#') else {
            self.outside = true;
            return None;
        };
        let fragment = percent_decoded(fragment);
        let mut at = self.root;
        for token in fragment.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            at = match at {
                Value::Array(items) => items.get(token.parse::<usize>().ok()?)?,
                other => other.get(&token)?,
            };
        }
        Some(at)
    }

    fn follow(&mut self, mut at: &'v Value) -> Option<&'v Value> {
        for _ in 0..64 {
            match at.get("$ref").and_then(Value::as_str) {
                Some(reference) => at = self.find(reference)?,
                None => return Some(at),
            }
        }
        None
    }

    fn paths(&mut self) {
        let Some(paths) = self.root.get("paths").and_then(|paths| self.follow(paths)) else { return };
        for (key, own) in paths.as_object().into_iter().flatten().filter(|(key, _)| !key.starts_with("x-")) {
            if !own.is_object() || key.matches('/').count() > 200 {
                continue;
            }
            let target = self.follow(own).filter(|target| !std::ptr::eq(*target, own));
            let sources: Vec<&'v Value> = std::iter::once(own).chain(target).collect();
            let shared = sources.iter().find_map(|source| source.get("parameters"));
            let mut seen = HashSet::new();
            for source in &sources {
                for (method, operation) in source.as_object().into_iter().flatten() {
                    if METHODS.contains(&method.as_str()) && seen.insert(method) {
                        self.operation(operation, shared);
                    }
                }
                let additional = source.get("additionalOperations").and_then(Value::as_object);
                for operation in additional.into_iter().flat_map(Map::values) {
                    self.operation(operation, shared);
                }
            }
        }
    }

    fn operation(&mut self, operation: &'v Value, shared: Option<&'v Value>) {
        let Some(operation) = self.follow(operation).filter(|operation| operation.is_object()) else {
            return;
        };
        let mut parameters: Vec<&'v Value> = Vec::new();
        for list in [operation.get("parameters"), shared].into_iter().flatten() {
            for item in list.as_array().into_iter().flatten() {
                let Some(item) = self.follow(item) else { continue };
                let same = |known: &&Value| {
                    let text =
                        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
                    let equal = |key: &str| text(known, key).is_some() && text(known, key) == text(item, key);
                    equal("in") && (equal("name") || text(item, "in").as_deref() == Some("body"))
                };
                if !parameters.iter().any(same) {
                    parameters.push(item);
                }
            }
        }
        let has_body = parameters.iter().any(|p| p.get("in").and_then(Value::as_str) == Some("body"));
        for parameter in parameters {
            self.parameter(parameter, has_body);
        }
        if self.legacy != Legacy::Swagger
            && let Some(body) = operation.get("requestBody").and_then(|body| self.follow(body))
        {
            self.content(body);
        }
        for (status, response) in operation.get("responses").and_then(Value::as_object).into_iter().flatten()
        {
            let known = status.eq_ignore_ascii_case("default")
                || status.len() == 3 && status.as_bytes().first().is_some_and(u8::is_ascii_digit);
            let Some(response) = known.then(|| self.follow(response)).flatten() else { continue };
            if self.legacy == Legacy::Swagger {
                self.open.extend(response.get("schema"));
            } else {
                self.content(response);
            }
            for (name, header) in response.get("headers").and_then(Value::as_object).into_iter().flatten() {
                let Some(header) = self.follow(header) else { continue };
                if name.eq_ignore_ascii_case("content-type") {
                    continue;
                }
                if self.legacy == Legacy::Swagger { self.open.push(header) } else { self.value_of(header) }
            }
        }
    }

    fn parameter(&mut self, parameter: &'v Value, has_body: bool) {
        let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
        let elsewhere = ["accept", "content-type", "authorization"];
        let named = !text("name").is_empty();
        match (text("in"), self.legacy) {
            ("body", Legacy::Swagger) => self.open.extend(parameter.get("schema")),
            ("formData", Legacy::Swagger) if !has_body && named => {
                self.open.push(parameter);
            }
            ("header", _) if elsewhere.iter().any(|name| name.eq_ignore_ascii_case(text("name"))) => {}
            ("path" | "query" | "header" | "cookie", Legacy::Swagger) if named => {
                if parameter.get("schema").is_some() {
                    self.value_of(parameter);
                }
                self.open.push(parameter.get("schema").unwrap_or(parameter));
            }
            ("path" | "query" | "header" | "cookie" | "querystring", _) if named => self.value_of(parameter),
            _ => {}
        }
    }

    fn value_of(&mut self, owner: &'v Value) {
        if let Some(schema) = owner.get("schema") {
            self.open.push(schema);
        } else if let Some((_, media)) =
            owner.get("content").and_then(Value::as_object).and_then(|content| content.iter().next())
        {
            self.open.extend(media.get("schema"));
        }
    }

    fn content(&mut self, owner: &'v Value) {
        for (range, media) in owner.get("content").and_then(Value::as_object).into_iter().flatten() {
            if !range.starts_with("x-")
                && portcullis_openapi::MediaRange::parse(range).is_some()
                && let Some(media) = self.follow(media)
            {
                self.open.extend(media.get("schema"));
                self.open.extend(media.get("itemSchema"));
            }
        }
    }

    fn schema(&mut self, schema: &'v Value) {
        let Some(members) = schema.as_object() else { return };
        if !self.seen.insert(schema) {
            return;
        }
        let reference = members.get("$ref").and_then(Value::as_str);
        let is_true = |key: &str| members.get(key).and_then(Value::as_bool) == Some(true);
        let flags = ["nullable", "x-nullable", "readOnly", "writeOnly"];
        let annotation =
            |key: &str| ANNOTATIONS.contains(&key) || key.starts_with("x-") && key != "x-nullable";
        if let Some(reference) = reference {
            let target = self.find(reference);
            self.open.extend(target);
            let says_more = match self.legacy {
                Legacy::No => {
                    members
                        .keys()
                        .any(|key| key != "$ref" && !annotation(key) && !flags.contains(&key.as_str()))
                        || flags.iter().any(|flag| is_true(flag))
                }
                _ => flags.iter().any(|flag| is_true(flag)),
            };
            if !says_more {
                return;
            }
        }
        let beside = reference.is_some() && self.legacy != Legacy::No;
        let mut holds: HashSet<&'static str> = HashSet::new();
        if !beside && is_formatted(members) {
            holds.insert("format");
        }
        for (key, value) in members {
            if beside && key != "$ref" && !flags.contains(&key.as_str()) {
                continue;
            }
            holds.extend(says(key, value));
            self.inner(key, value);
        }
        if !beside {
            self.mapped(members);
        }
        for keyword in holds {
            *self.count.entry(keyword).or_default() += 1;
        }
    }

    fn inner(&mut self, key: &str, value: &'v Value) {
        match key {
            "items"
            | "additionalItems"
            | "contains"
            | "unevaluatedItems"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "propertyNames"
            | "not"
            | "if"
            | "then"
            | "else"
            | "prefixItems"
            | "allOf"
            | "anyOf"
            | "oneOf" => match value {
                Value::Array(items) => self.open.extend(items),
                other => self.open.push(other),
            },
            "properties" | "patternProperties" | "dependentSchemas" | "dependencies" => {
                self.open.extend(value.as_object().into_iter().flat_map(Map::values));
            }
            _ => {}
        }
    }

    /// Schemas that a discriminator names.
    fn mapped(&mut self, members: &'v Map<String, Value>) {
        let branches = ["anyOf", "oneOf"].iter().filter_map(|key| members.get(*key)?.as_array()).flatten();
        let mut branches = branches.peekable();
        if branches.peek().is_none() || !branches.all(|branch| branch.get("$ref").is_some()) {
            return;
        }
        let mapping = members.get("discriminator").and_then(|found| found.get("mapping"));
        for reference in mapping.and_then(Value::as_object).into_iter().flat_map(Map::values) {
            let Some(reference) = reference.as_str() else { continue };
            let target = if reference.starts_with('#') {
                self.find(reference)
            } else {
                let schemas =
                    self.root.pointer("/components/schemas").or_else(|| self.root.get("definitions"));
                schemas.and_then(|schemas| schemas.get(reference))
            };
            self.open.extend(target);
        }
    }
}

/// Whether a schema has a format that demands something of the type beside it.
fn is_formatted(members: &Map<String, Value>) -> bool {
    const TEXTS: [&str; 16] = [
        "date",
        "date-time",
        "time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "uuid",
        "json-pointer",
        "regex",
        "byte",
    ];
    const NUMBERS: [&str; 8] = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"];
    let Some(format) = members.get("format").and_then(Value::as_str) else { return false };
    let types: Vec<&str> = match members.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) => return false,
        None => vec!["string"],
    };
    let has = |name: &str| types.contains(&name);
    let number = has("integer") || has("number");
    has("string") && TEXTS.contains(&format) || number && !has("string") && NUMBERS.contains(&format)
}

/// The keyword that a member counts as, if it demands something.
fn says(key: &str, value: &Value) -> Option<&'static str> {
    let text = value.as_str();
    let numeric = value.is_number() || text.is_some_and(|text| text.trim().parse::<f64>().is_ok());
    let filled = match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    };
    let schema = value.is_object() || value.is_boolean();
    let yes = value.as_bool() == Some(true);
    let known = |name: &Value| {
        ["string", "integer", "number", "boolean", "array", "object", "null"]
            .iter()
            .any(|known| name == known)
    };
    let (keyword, counts) = match key {
        "$ref" => ("$ref", text.is_some()),
        "type" => (
            "type",
            value.is_null() || known(value) || value.as_array().is_some_and(|all| all.iter().any(known)),
        ),
        "nullable" | "x-nullable" => ("nullable", yes),
        "readOnly" => ("readOnly", yes),
        "writeOnly" => ("writeOnly", yes),
        "enum" => ("enum", value.is_array()),
        "const" => ("enum", true),
        "minLength" => ("minLength", numeric),
        "maxLength" => ("maxLength", numeric),
        "pattern" => ("pattern", text.is_some()),
        "minimum" => ("minimum", numeric),
        "exclusiveMinimum" => ("minimum", numeric),
        "maximum" => ("maximum", numeric),
        "exclusiveMaximum" => ("maximum", numeric),
        "multipleOf" | "divisibleBy" => ("multipleOf", numeric),
        "items" => ("items", schema || filled),
        "prefixItems" => ("items", filled),
        "contains" => ("contains", schema),
        "maxContains" => ("maxContains", numeric),
        "minItems" => ("minItems", numeric),
        "maxItems" => ("maxItems", numeric),
        "uniqueItems" => ("uniqueItems", yes),
        "unevaluatedItems" => ("unevaluatedItems", schema),
        "properties" => ("properties", value.is_object() && filled),
        "required" => ("required", value.is_array() && filled || text.is_some()),
        "patternProperties" => ("patternProperties", filled),
        "additionalProperties" => ("additionalProperties", schema),
        "propertyNames" => ("propertyNames", schema),
        "minProperties" => ("minProperties", numeric),
        "maxProperties" => ("maxProperties", numeric),
        "unevaluatedProperties" => ("unevaluatedProperties", schema),
        "dependencies" | "dependentRequired" | "dependentSchemas" => ("dependencies", filled),
        "allOf" => ("allOf", filled),
        "anyOf" => ("anyOf", filled),
        "oneOf" => ("oneOf", filled),
        "not" => ("not", schema),
        "if" => ("if", schema),
        "then" => ("then", schema),
        "else" => ("else", schema),
        _ => return None,
    };
    counts.then_some(keyword)
}

fn percent_decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [byte, after @ ..] = rest {
        rest = after;
        let hex = (*byte == b'%').then(|| after.get(..2)).flatten();
        let escaped = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { rest.get(2..).unwrap_or_default() } else { rest };
    }
    String::from_utf8_lossy(&out).into_owned()
}
