//! The keywords of schemas: which there are, which one a misspelt one meant, and how often compiled schemas hold
//! each. The last is what the loader is checked by: as often as in the text, or the difference is listed.

use std::collections::BTreeMap;

use crate::schema::{Schema, Types};

/// Keywords that demand something of a value, in every dialect that documents use.
pub(super) const KEYWORDS: &[&str] = &[
    "$dynamicRef",
    "$recursiveRef",
    "$ref",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "discriminator",
    "else",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
];

/// The keyword that an unknown one most likely is: one in another case or with other separators, or one letter
/// away from it.
pub(super) fn near_keyword(key: &str) -> Option<&'static str> {
    if key.starts_with("x-") || key.len() < 4 || KEYWORDS.contains(&key) {
        return None;
    }
    let plain = |text: &str| {
        let kept = text.chars().filter(|char| !matches!(char, '_' | '-' | '$'));
        kept.map(|char| char.to_ascii_lowercase()).collect::<String>()
    };
    let wanted = plain(key);
    let near = |keyword: &&&str| {
        let known = plain(keyword);
        known == wanted
            || known.len() > 5 && wanted.len() > 5 && is_one_edit(known.as_bytes(), wanted.as_bytes())
    };
    KEYWORDS.iter().find(near).copied()
}

/// Whether two words differ by one letter: another one, one more, one less, or two next to each other swapped.
fn is_one_edit(left: &[u8], right: &[u8]) -> bool {
    let start = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let (left, right) = (left.get(start..).unwrap_or_default(), right.get(start..).unwrap_or_default());
    match (left, right) {
        ([_, left @ ..], [_, right @ ..]) if left == right => true,
        ([a, b, left @ ..], [c, d, right @ ..]) if (a, b) == (d, c) && left == right => true,
        (long, [_, rest @ ..]) if long == rest => true,
        ([_, rest @ ..], long) => rest == long,
        _ => false,
    }
}

/// The keywords of the vocabulary for validation (2020-12 validation, section 6).
pub(super) fn asserts(key: &str) -> bool {
    matches!(
        key,
        "type"
            | "enum"
            | "const"
            | "multipleOf"
            | "maximum"
            | "exclusiveMaximum"
            | "minimum"
            | "exclusiveMinimum"
            | "maxLength"
            | "minLength"
            | "pattern"
            | "maxItems"
            | "minItems"
            | "uniqueItems"
            | "maxContains"
            | "minContains"
            | "maxProperties"
            | "minProperties"
            | "required"
            | "dependentRequired"
    )
}

/// Keywords that demand nothing of a value.
pub(super) fn is_annotation(key: &str) -> bool {
    matches!(
        key,
        "title"
            | "description"
            | "summary"
            | "example"
            | "examples"
            | "default"
            | "deprecated"
            | "externalDocs"
            | "$comment"
            | "$id"
            | "id"
            | "$schema"
            | "$anchor"
            | "$dynamicAnchor"
            | "$defs"
            | "definitions"
            | "contentMediaType"
            | "contentEncoding"
            | "contentSchema"
            | "$vocabulary"
            | "collectionFormat"
    ) || key.starts_with("x-") && key != "x-nullable"
}

/// Names that authors write for a type.
pub(super) fn near_type(name: &str) -> Option<(&'static str, Types)> {
    Some(match name.to_ascii_lowercase().as_str() {
        "string" | "str" | "text" | "date" | "datetime" | "date-time" | "uuid" | "uri" | "url" | "email"
        | "enum" | "byte" | "binary" | "password" | "timestamp" | "char" => ("string", Types::STRING),
        "integer" | "int" | "int32" | "int64" | "long" => ("integer", Types::INTEGER),
        "number" | "float" | "double" | "decimal" | "numeric" => ("number", Types::NUMBER),
        "boolean" | "bool" => ("boolean", Types::BOOLEAN),
        "array" | "list" => ("array", Types::ARRAY),
        "object" | "map" | "dict" | "json" | "hash" => ("object", Types::OBJECT),
        "null" | "nil" | "none" => ("null", Types::NULL),
        "any" | "mixed" => ("no `type` at all", Types::ANY),
        _ => return None,
    })
}

/// How often the compiled schemas hold each keyword.
#[derive(Debug, Default)]
pub(crate) struct Keywords(pub(crate) BTreeMap<&'static str, usize>);

/// What a schema itself writes, where the compiled one does not tell: a numeric format makes bounds, too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) lower: bool,
    pub(super) upper: bool,
    pub(super) format: bool,
}

impl Keywords {
    /// Counts what a finished schema holds. A lower bound counts as `minimum`, whichever keyword wrote it, and
    /// an upper one as `maximum`; both forms of dependencies count as `dependencies`.
    pub(super) fn note(&mut self, schema: &Schema, written: Written) {
        let mut note = |keyword: &'static str, holds: bool| {
            if holds {
                *self.0.entry(keyword).or_default() += 1;
            }
        };
        note("type", schema.types != Types::ANY);
        note("nullable", schema.nullable);
        note("readOnly", schema.read_only);
        note("writeOnly", schema.write_only);
        note("enum", schema.constants.is_some());
        note("format", written.format);
        if let Some(string) = &schema.string {
            note("minLength", string.min.is_some());
            note("maxLength", string.max.is_some());
            note("pattern", string.pattern.is_some());
        }
        if let Some(number) = &schema.number {
            note("minimum", written.lower && number.min.is_some());
            note("maximum", written.upper && number.max.is_some());
            note("multipleOf", number.multiple_of.is_some());
        }
        if let Some(array) = &schema.array {
            note("items", array.items.is_some() || !array.prefix.is_empty());
            note("contains", array.contains.is_some());
            note("maxContains", array.max_contains.is_some());
            note("minItems", array.min.is_some());
            note("maxItems", array.max.is_some());
            note("uniqueItems", array.unique);
            note("unevaluatedItems", array.unevaluated.is_some());
        }
        if let Some(object) = &schema.object {
            note("properties", object.properties.iter().any(|property| property.described));
            note("required", object.properties.iter().any(|property| property.required));
            note("patternProperties", !object.patterns.is_empty());
            note("additionalProperties", object.additional.is_some());
            note("propertyNames", object.names.is_some());
            note("minProperties", object.min.is_some());
            note("maxProperties", object.max.is_some());
            note("unevaluatedProperties", object.unevaluated.is_some());
            let dependent = !object.dependent_required.is_empty() || !object.dependent_schemas.is_empty();
            note("dependencies", dependent);
        }
        if let Some(applied) = &schema.applied {
            note("$ref", applied.reference.is_some());
            note("allOf", !applied.all_of.is_empty());
            note("anyOf", !applied.any_of.is_empty());
            note("oneOf", !applied.one_of.is_empty());
            note("not", applied.not.is_some());
            note("if", applied.condition.is_some());
            note("then", applied.then.is_some());
            note("else", applied.otherwise.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::near_keyword;

    #[test]
    fn misspelt_keywords_are_known_again() {
        for (written, meant) in [
            ("maxlength", Some("maxLength")),
            ("max_length", Some("maxLength")),
            ("Required", Some("required")),
            ("requried", Some("required")),
            ("additionalPropertes", Some("additionalProperties")),
            ("patterns", Some("pattern")),
            ("paterns", None),
            ("x-maxLength", None),
            ("description", None),
            ("default", None),
            ("title", None),
            ("in", None),
            ("name", None),
            ("maxLength", None),
            ("example", None),
        ] {
            assert_eq!(near_keyword(written), meant, "{written}");
        }
    }
}
