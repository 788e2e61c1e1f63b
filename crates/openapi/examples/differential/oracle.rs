//! A schema of a document as JSON Schema 2020-12, written anew from the specifications of OpenAPI and apart from
//! what the contract does, and a parser that finds names which come twice.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

/// The whole document with every schema in it translated, so that references keep their places.
pub(crate) fn translated(document: &Value, pointer: &str) -> Value {
    let legacy =
        document.get("openapi").and_then(Value::as_str).is_none_or(|version| version.starts_with("3.0"));
    let mut root = Map::new();
    for part in ["components", "definitions", "paths", "parameters", "responses"] {
        if let Some(value) = document.get(part) {
            root.insert(part.into(), walk(value, document, legacy, 0));
        }
    }
    root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("$ref".into(), json!(format!("#{pointer}")));
    Value::Object(root)
}

/// Translates everything that may be a schema. What is none is not asked.
fn walk(value: &Value, document: &Value, legacy: bool, depth: usize) -> Value {
    match value {
        Value::Object(members) if depth < 200 => {
            let inner = |value: &Value| walk(value, document, legacy, depth + 1);
            schema(members, document, legacy, &inner)
        }
        Value::Array(items) => items.iter().map(|item| walk(item, document, legacy, depth + 1)).collect(),
        other => other.clone(),
    }
}

fn schema(
    members: &Map<String, Value>,
    document: &Value,
    legacy: bool,
    inner: &dyn Fn(&Value) -> Value,
) -> Value {
    let mut out = Map::new();
    let referring = legacy && members.get("$ref").is_some_and(Value::is_string);
    for (key, value) in members {
        match key.as_str() {
            "example" | "examples" | "default" | "x-nullable" | "nullable" | "readOnly" | "writeOnly" => {}
            "enum" | "const" => drop(out.insert(key.clone(), value.clone())),
            // The names of members may be keywords.
            "properties" | "patternProperties" | "definitions" | "schemas" if value.is_object() => {
                let members = value.as_object().into_iter().flatten();
                let each = members.map(|(name, value)| (name.clone(), inner(value))).collect();
                out.insert(key.clone(), Value::Object(each));
            }
            // What only the client sends is not required of an answer.
            "required" if value.is_array() && members.get("properties").is_some_and(Value::is_object) => {
                let shown = |name: &&Value| {
                    let name = name.as_str().unwrap_or_default();
                    !write_only(document, &members["properties"][name], 0)
                };
                let names: Vec<&Value> = value.as_array().into_iter().flatten().filter(shown).collect();
                out.insert(key.clone(), json!(names));
            }
            "$ref" => drop(out.insert(key.clone(), value.clone())),
            _ if referring => {}
            "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() => {}
            "discriminator" => {}
            _ => drop(out.insert(key.clone(), inner(value))),
        }
    }
    if !referring {
        for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
            if members.get(exclusive) == Some(&Value::Bool(true))
                && let Some(value) = out.remove(bound)
            {
                out.insert(exclusive.into(), value);
            }
        }
        numeric_format(members, &mut out);
        discriminated(members, document, &mut out);
    }
    let nullable = ["nullable", "x-nullable"].iter().any(|key| members.get(*key) == Some(&Value::Bool(true)));
    if nullable { json!({"anyOf": [{"type": "null"}, out]}) } else { Value::Object(out) }
}

fn write_only(document: &Value, schema: &Value, depth: usize) -> bool {
    let target = schema["$ref"].as_str().and_then(|at| document.pointer(at.strip_prefix('#')?));
    let parts = schema["allOf"].as_array().into_iter().flatten().chain(target);
    schema["writeOnly"] == true
        || depth < 20 && parts.into_iter().any(|part| write_only(document, part, depth + 1))
}

/// `int32` and the like are bounds (OpenAPI format registry).
fn numeric_format(members: &Map<String, Value>, out: &mut Map<String, Value>) {
    let text = |key: &str| members.get(key).and_then(Value::as_str);
    let bounds = match text("format") {
        Some("int32") => Some((json!(i32::MIN), json!(i32::MAX))),
        Some("int64") => Some((json!(i64::MIN), json!(i64::MAX))),
        Some("int16") => Some((json!(i16::MIN), json!(i16::MAX))),
        Some("int8") => Some((json!(i8::MIN), json!(i8::MAX))),
        Some("uint32") => Some((json!(0), json!(u32::MAX))),
        Some("uint64") => Some((json!(0), json!(u64::MAX))),
        _ => None,
    };
    let integer = matches!(text("type"), Some("integer" | "number"));
    if let Some((min, max)) = bounds.filter(|_| integer) {
        let mut all = out.remove("allOf").and_then(|all| all.as_array().cloned()).unwrap_or_default();
        all.push(json!({"minimum": min, "maximum": max}));
        out.insert("allOf".into(), all.into());
    }
}

/// A discriminator with alternatives: the one that it names, or none; without its member, the alternatives.
fn discriminated(members: &Map<String, Value>, document: &Value, out: &mut Map<String, Value>) {
    let Some(discriminator) = members.get("discriminator") else { return };
    let Some(property) = discriminator.as_str().or_else(|| discriminator["propertyName"].as_str()) else {
        return;
    };
    let alternatives: Vec<&Value> =
        ["oneOf", "anyOf"].iter().filter_map(|key| members.get(*key)?.as_array()).flatten().collect();
    let references: Vec<&str> = alternatives.iter().filter_map(|one| one["$ref"].as_str()).collect();
    if alternatives.is_empty() || references.len() < alternatives.len() {
        return;
    }
    let mut named: Vec<(String, String)> = Vec::new();
    for (name, target) in discriminator["mapping"].as_object().into_iter().flatten() {
        let Some(target) = target.as_str() else { continue };
        let at = if target.starts_with('#') {
            target.to_owned()
        } else {
            format!("#/components/schemas/{target}")
        };
        if document.pointer(at.trim_start_matches('#')).is_some() {
            named.push((name.clone(), at));
        }
    }
    for reference in references {
        let name = reference.rsplit('/').next().unwrap_or_default().to_owned();
        if !named.iter().any(|(known, _)| *known == name) {
            named.push((name, reference.to_owned()));
        }
    }
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    let says =
        json!({"type": "object", "required": [property], "properties": {property: {"type": "string"}}});
    let mut choice = vec![json!({"properties": {property: {"enum": names}}})];
    for (name, target) in &named {
        choice.push(json!({"if": {"properties": {property: {"const": name}}}, "then": {"$ref": target}}));
    }
    let free: Map<String, Value> =
        ["oneOf", "anyOf"].iter().filter_map(|key| Some(((*key).to_owned(), out.remove(*key)?))).collect();
    let rest = std::mem::take(out);
    *out = Map::from_iter([(
        "allOf".to_owned(),
        json!([rest, {"if": says, "then": {"allOf": choice}, "else": free}]),
    )]);
}

/// JSON in which no object names a member twice.
#[derive(Debug)]
pub(crate) struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Distinct {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !seen.insert(name) {
                return Err(de::Error::custom("twice"));
            }
            members.next_value::<Self>()?;
        }
        Ok(self)
    }
}
