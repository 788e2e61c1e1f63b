//! The keywords of schemas: which there are, which one a misspelt one meant, and how often compiled schemas hold
//! each. The last is what the loader is checked by: as often as in the text, or the difference is listed.

use std::collections::BTreeMap;

use crate::schema::Schema;

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

/// How often the compiled schemas hold each keyword.
#[derive(Debug, Default)]
pub(crate) struct Keywords(pub(crate) BTreeMap<&'static str, usize>);

/// Bounds of numbers that a schema itself writes; a numeric format makes others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) lower: bool,
    pub(super) upper: bool,
}

impl Keywords {
    /// Counts what a finished schema holds. A lower bound counts as `minimum`, whichever keyword wrote it, and
    /// an upper one as `maximum`; both forms of dependencies count as `dependencies`.
    pub(super) fn note(&mut self, schema: &Schema, bounds: Bounds) {
        let mut note = |keyword: &'static str, holds: bool| {
            if holds {
                *self.0.entry(keyword).or_default() += 1;
            }
        };
        note("type", schema.types != crate::schema::Types::ANY);
        note("nullable", schema.nullable);
        note("readOnly", schema.read_only);
        note("writeOnly", schema.write_only);
        note("enum", schema.constants.is_some());
        if let Some(string) = &schema.string {
            note("minLength", string.min.is_some());
            note("maxLength", string.max.is_some());
            note("pattern", string.pattern.is_some());
        }
        if let Some(number) = &schema.number {
            note("minimum", bounds.lower && number.min.is_some());
            note("maximum", bounds.upper && number.max.is_some());
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
