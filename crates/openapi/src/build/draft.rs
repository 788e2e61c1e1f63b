//! A schema whose keywords are read, made whole: what several of them say together.

use std::sync::Arc;

use serde_json::{Number, Value};

use super::files::At;
use super::keywords::Written;
use super::schemas::Compiler;
use crate::schema::{
    Applied, ArrayRules, Bound, Constants, Dependents, Discriminator, Format, NumberRules, ObjectRules,
    Pattern, Property, Schema, SchemaId, StringRules, Types,
};

/// A schema while its keywords are read.
#[derive(Debug, Default)]
pub(super) struct Draft<'d> {
    pub(super) schema: Schema,
    pub(super) format: Option<&'d str>,
    pub(super) constants: Option<Vec<Value>>,
    pub(super) constant: Option<Value>,
    pub(super) minimum: Option<Number>,
    pub(super) maximum: Option<Number>,
    pub(super) exclusive_minimum: bool,
    pub(super) exclusive_maximum: bool,
    pub(super) above: Option<Number>,
    pub(super) below: Option<Number>,
    pub(super) additional_items: Option<SchemaId>,
    pub(super) min_contains: Option<u64>,
    pub(super) properties: Vec<(&'d str, SchemaId)>,
    pub(super) required: Vec<&'d str>,
    pub(super) patterns: Vec<(Arc<Pattern>, SchemaId)>,
    pub(super) dependent_required: Vec<Dependents>,
    pub(super) dependent_schemas: Vec<(Box<str>, SchemaId)>,
    /// For each branch: whether it is of `allOf`, its reference, its schema.
    pub(super) branches: Vec<(bool, Option<&'d str>, SchemaId)>,
    pub(super) discriminator: Option<At<'d>>,
    /// What `$dynamicRef` leads to.
    pub(super) dynamic: Option<SchemaId>,
}

impl Draft<'_> {
    pub(super) fn string(&mut self) -> &mut StringRules {
        self.schema.string.get_or_insert_default()
    }

    pub(super) fn number(&mut self) -> &mut NumberRules {
        self.schema.number.get_or_insert_default()
    }

    pub(super) fn array(&mut self) -> &mut ArrayRules {
        self.schema.array.get_or_insert_default()
    }

    pub(super) fn object(&mut self) -> &mut ObjectRules {
        self.schema.object.get_or_insert_default()
    }

    pub(super) fn applied(&mut self) -> &mut Applied {
        self.schema.applied.get_or_insert_default()
    }
}

impl<'d> Compiler<'d> {
    pub(super) fn finish(&mut self, mut draft: Draft<'d>) -> Schema {
        let mut written = Written {
            lower: draft.minimum.is_some() || draft.above.is_some(),
            upper: draft.maximum.is_some() || draft.below.is_some(),
            format: false,
        };
        if let Some(dynamic) = draft.dynamic {
            let applied = draft.applied();
            match applied.reference {
                None => applied.reference = Some(dynamic),
                Some(_) => applied.all_of = applied.all_of.iter().copied().chain([dynamic]).collect(),
            }
        }
        self.discriminate(&mut draft);
        written.format = formats(&mut draft);
        if let Some(value) = draft.minimum.take() {
            let bound = Bound::new(value, draft.exclusive_minimum);
            tighten(&mut draft.number().min, bound, std::cmp::Ordering::Greater);
        }
        if let Some(value) = draft.above.take() {
            tighten(&mut draft.number().min, Bound::new(value, true), std::cmp::Ordering::Greater);
        }
        if let Some(value) = draft.maximum.take() {
            let bound = Bound::new(value, draft.exclusive_maximum);
            tighten(&mut draft.number().max, bound, std::cmp::Ordering::Less);
        }
        if let Some(value) = draft.below.take() {
            tighten(&mut draft.number().max, Bound::new(value, true), std::cmp::Ordering::Less);
        }
        if let Some(additional) = draft.additional_items
            && !draft.array().prefix.is_empty()
        {
            let array = draft.array();
            array.items = array.items.or(Some(additional));
        }
        if let Some(array) = &mut draft.schema.array {
            array.min_contains = draft.min_contains.unwrap_or(1);
        }
        let mut constants = draft.constants.take();
        if let Some(constant) = draft.constant.take() {
            let kept = match constants {
                Some(values) if !values.contains(&constant) => Vec::new(),
                _ => vec![constant],
            };
            constants = Some(kept);
        }
        draft.schema.constants = constants.map(|values| Box::new(sorted_constants(values)));
        if !draft.properties.is_empty() || !draft.required.is_empty() {
            let (properties, required) =
                (std::mem::take(&mut draft.properties), std::mem::take(&mut draft.required));
            draft.object().properties = sorted_properties(properties, required);
        }
        if let Some(object) = &mut draft.schema.object {
            object.patterns = draft.patterns.into();
            object.dependent_required = draft.dependent_required.into();
            object.dependent_schemas = draft.dependent_schemas.into();
        }
        if let Some(keywords) = &mut self.keywords {
            keywords.note(&draft.schema, written);
        }
        draft.schema
    }

    fn discriminate(&mut self, draft: &mut Draft<'d>) {
        let Some(at) = draft.discriminator else { return };
        // Swagger 2.0 names the property and nothing else.
        let Some(property) = at.node.as_str().or_else(|| at.str("propertyName")) else {
            self.warn(at, "a `discriminator` without `propertyName`", "the name of a property");
            return;
        };
        if at.get("defaultMapping").is_some() {
            // What an unknown value leads to (OpenAPI 3.2): all alternatives are tried.
            return;
        }
        let branches: Vec<(Option<&str>, SchemaId)> = draft
            .branches
            .iter()
            .filter(|(all, ..)| !all)
            .map(|(_, reference, schema)| (*reference, *schema))
            .collect();
        if branches.iter().any(|(reference, _)| reference.is_none()) {
            return;
        }
        let mut mapping: Vec<(Box<str>, SchemaId)> = Vec::new();
        let mut complete = true;
        if !branches.is_empty() {
            let written = at.get("mapping").and_then(|mapping| mapping.node.as_object()).unwrap_or_default();
            for member in written {
                let Some(reference) = member.value.as_str() else { continue };
                match self.named(at, reference) {
                    Some(schema) => mapping.push((member.key.clone(), schema)),
                    // The alternatives themselves are judged as well without it.
                    None => {
                        complete = false;
                        self.warn(
                            at.with(&member.value),
                            format!("`{reference}` leads nowhere; all alternatives are tried instead"),
                            "a reference to a schema, or its name",
                        );
                    }
                }
            }
            if !complete {
                return;
            }
            for (reference, schema) in branches {
                let name = reference.unwrap_or_default().rsplit(['/', '#']).next().unwrap_or_default();
                let name = name.strip_suffix(".json").or(name.strip_suffix(".yaml")).unwrap_or(name);
                let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
                let name: Box<str> = crate::source::unescape_token(&name).into();
                if !mapping.iter().any(|(known, _)| *known == name) {
                    mapping.push((name, schema));
                }
            }
            mapping.sort_by(|left, right| left.0.cmp(&right.0));
            mapping.dedup_by(|left, right| left.0 == right.0);
        }
        draft.applied().discriminator =
            Some(Discriminator { property: property.into(), mapping: mapping.into() });
    }

    /// A schema by reference or by its bare name.
    fn named(&mut self, at: At<'d>, reference: &'d str) -> Option<SchemaId> {
        if let Ok(target) = self.resolver.find(at, reference)
            && reference.contains(['#', '/', '.'])
        {
            return Some(self.schema(target));
        }
        let root = self.files().documents().get(at.file)?.root();
        let schemas = root.pointer("/components/schemas").or_else(|| root.get("definitions"))?;
        schemas.get(reference).map(|node| self.schema(At { file: at.file, node }))
    }
}

/// Formats of numbers are bounds; formats of strings are checked. Whether it is one that says something.
fn formats(draft: &mut Draft<'_>) -> bool {
    let Some(name) = draft.format else { return false };
    let numeric = draft.schema.types.has(Types::INTEGER) && !draft.schema.types.has(Types::STRING);
    let range: Option<(Number, Number)> = match name {
        "int32" => Some((i32::MIN.into(), i32::MAX.into())),
        "int64" => Some((i64::MIN.into(), i64::MAX.into())),
        "int16" => Some((i16::MIN.into(), i16::MAX.into())),
        "int8" => Some((i8::MIN.into(), i8::MAX.into())),
        "uint32" => Some((0.into(), u32::MAX.into())),
        "uint64" => Some((0.into(), u64::MAX.into())),
        "uint16" => Some((0.into(), u16::MAX.into())),
        "uint8" => Some((0.into(), u8::MAX.into())),
        _ => None,
    };
    if let (Some((min, max)), true) = (range, numeric) {
        draft.number().min = Some(Bound::new(min, false));
        draft.number().max = Some(Bound::new(max, false));
        true
    } else if draft.schema.types.has(Types::STRING)
        && let Some(format) = Format::from_name(name)
    {
        draft.string().format = Some(format);
        true
    } else {
        false
    }
}

/// Keeps the tighter of two bounds.
fn tighten(slot: &mut Option<Bound>, bound: Bound, tighter: std::cmp::Ordering) {
    let keep = slot.as_ref().is_some_and(|known| {
        let order = crate::schema::compare_numbers(&known.value, &bound.value);
        order == tighter || order.is_eq() && known.exclusive
    });
    if !keep {
        *slot = Some(bound);
    }
}

fn sorted_constants(values: Vec<Value>) -> Constants {
    let (mut strings, mut others): (Vec<Box<str>>, Vec<Value>) = Default::default();
    for value in values {
        match value {
            Value::String(text) => strings.push(text.into()),
            other => others.push(other),
        }
    }
    strings.sort_unstable();
    strings.dedup();
    Constants { strings: strings.into(), others: others.into() }
}

fn sorted_properties(described: Vec<(&str, SchemaId)>, required: Vec<&str>) -> Box<[Property]> {
    let property = |name: &str, schema, described| Property {
        name: name.into(),
        schema,
        described,
        required: false,
        read_only: false,
        write_only: false,
    };
    let mut list: Vec<Property> =
        described.into_iter().map(|(name, schema)| property(name, schema, true)).collect();
    list.sort_by(|left, right| left.name.cmp(&right.name));
    let mut undescribed = Vec::new();
    for name in required {
        match list.binary_search_by(|known| (*known.name).cmp(name)) {
            Ok(found) => {
                if let Some(known) = list.get_mut(found) {
                    known.required = true;
                }
            }
            Err(_) => undescribed.push(name),
        }
    }
    undescribed.sort_unstable();
    undescribed.dedup();
    list.extend(
        undescribed
            .into_iter()
            .map(|name| Property { required: true, ..property(name, SchemaId::ANY, false) }),
    );
    list.sort_by(|left, right| left.name.cmp(&right.name));
    list.into()
}
