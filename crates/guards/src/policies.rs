//! Policies: what the configuration says about guards, for all operations and for some.

use std::borrow::Cow;
use std::collections::BTreeMap;

use portcullis_engine::{Bounds, Mode};
use portcullis_openapi::{Contract, Operation};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::REGISTRY;
use crate::authenticate::IssuerConfig;
use crate::config::{CompileError, Layer, Section, escape, parse, unknown};
use crate::data_keys::RingConfig;
use crate::protection::Entry;

/// Whether a guard's refusals take effect, or whether it runs at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GuardMode {
    /// A refusal refuses.
    Enforce,
    /// A refusal is counted and recorded; the call goes on.
    Monitor,
    /// The guard does not run.
    Off,
}

/// What the configuration says about guards: a section for each under its name, which holds for all operations,
/// and `policies`, which say where some differ.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// Whether refusals take effect, where no section says otherwise.
    pub mode: Mode,
    /// Whether there is no configuration file.
    pub zero_config: bool,
    /// The bounds of bodies, where no policy says otherwise.
    pub bounds: Bounds,
    /// By name: who issues access tokens.
    pub issuers: BTreeMap<String, IssuerConfig>,
    /// By name: rings of keys for data, which the host reads.
    pub data_keys: BTreeMap<String, RingConfig>,
    sections: Vec<(usize, Layer)>,
    policies: Vec<Policy>,
}

/// Which operations a policy is about. Several conditions must all hold; of a list, one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// `operationId`, or `METHOD /template`.
    pub operation: OneOrMany,
    /// A tag.
    pub tag: OneOrMany,
    /// A path template as the contract writes it, or a pattern: `*` is one segment, `**` any number of them.
    pub path: OneOrMany,
    /// A method.
    pub method: OneOrMany,
    /// Requests that match no operation of the contract.
    pub unmatched: bool,
}

/// One text, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum OneOrMany {
    /// No condition.
    #[default]
    #[schemars(skip)]
    Any,
    /// One.
    One(String),
    /// One of these.
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(OneOrMany::Any),
            Value::String(one) => Ok(OneOrMany::One(one)),
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(one) => Ok(one),
                    _ => Err(serde::de::Error::custom("expected a text")),
                })
                .collect::<Result<_, _>>()
                .map(OneOrMany::Many),
            _ => Err(serde::de::Error::custom("expected a text or a list of texts")),
        }
    }
}

impl OneOrMany {
    pub(crate) fn each(&self) -> &[String] {
        match self {
            OneOrMany::Any => &[],
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }

    fn holds(&self, test: impl FnMut(&String) -> bool) -> bool {
        *self == OneOrMany::Any || self.each().iter().any(test)
    }
}

impl Match {
    /// Whether it is about `operation`, or about requests that match none.
    pub fn holds(&self, operation: Option<&Operation>) -> bool {
        let Some(operation) = operation else { return self.unmatched || *self == Match::default() };
        !self.unmatched
            && self.operation.holds(|id| operation.id.as_deref() == Some(id) || operation.label() == *id)
            && self.tag.holds(|tag| operation.tags.iter().any(|known| **known == **tag))
            && self.method.holds(|method| method.eq_ignore_ascii_case(operation.method.as_str()))
            && self.path.holds(|pattern| path_matches(pattern, &operation.path))
    }
}

/// Whether `template` is, or falls under, `pattern`.
fn path_matches(pattern: &str, template: &str) -> bool {
    let path: Vec<&str> = template.split('/').collect();
    // After each part of the pattern: up to where in the path it may have come.
    let mut reached = vec![false; path.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for part in pattern.split('/') {
        let mut next = vec![false; path.len() + 1];
        let mut any = false;
        for (at, here) in reached.iter().enumerate() {
            any |= here;
            let one = *here && path.get(at).is_some_and(|segment| part == "*" || part == *segment);
            if part == "**"
                && let Some(place) = next.get_mut(at)
            {
                *place |= any;
            } else if one && let Some(place) = next.get_mut(at + 1) {
                *place = true;
            }
        }
        reached = next;
    }
    pattern == template || reached.last() == Some(&true)
}

/// What a policy stands in for until the API itself is mended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// The findings that it closes: a code, and what it is about, as in `bola-read GET /orders/{id}`.
    pub closes: Vec<String>,
    /// The day on which it is to be looked at again. It goes on protecting: what ends by itself would open the hole.
    pub until: Day,
}

/// A day: `2027-05-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub time::Date);

impl Default for Day {
    fn default() -> Day {
        Day(time::Date::MAX)
    }
}

const DAY: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year]-[month]-[day]");

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.format(DAY).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = String::deserialize(deserializer)?;
        let day = time::Date::parse(&text, DAY);
        day.map(Day).map_err(|_| serde::de::Error::custom("expected a day, such as `2027-05-31`"))
    }
}

impl JsonSchema for Day {
    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date" })
    }
}

/// One entry of `policies`.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    patch: Option<Patch>,
    matches: Match,
    scope: String,
    mode: Option<Mode>,
    public: Option<bool>,
    websocket: Option<bool>,
    bounds: Option<Map<String, Value>>,
    sections: Vec<(usize, Layer)>,
}

/// What holds for one operation.
#[derive(Debug)]
pub(crate) struct Effective {
    /// What refusals do, where no guard's section says otherwise.
    pub(crate) mode: Mode,
    pub(crate) public: bool,
    pub(crate) websocket: bool,
    pub(crate) bounds: Bounds,
    /// One for each entry of the registry.
    pub(crate) sections: Vec<Section>,
}

const POLICY_KEYS: [&str; 7] = ["name", "match", "patch", "mode", "public", "websocket", "bounds"];

impl Policies {
    /// What holds without a configuration file: every default.
    pub fn zero_config() -> Policies {
        Policies { zero_config: true, ..Policies::default() }
    }

    /// The keys of a configuration file that are read here: `mode`, `issuers`, `data_keys`, `policies` and each guard's
    /// name.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        ["mode", "issuers", "data_keys", "policies"]
            .into_iter()
            .chain(REGISTRY.iter().map(|entry| entry.name))
    }

    /// Reads a mapping with [`Policies::keys`].
    ///
    /// # Errors
    /// All that is wrong with it, each at its place.
    pub fn from_value(document: &Value) -> Result<Policies, Vec<CompileError>> {
        let mut errors = Vec::new();
        let mut policies = Policies::default();
        let empty = Map::new();
        let members = match document {
            Value::Null => &empty,
            Value::Object(members) => members,
            _ => return Err(vec![CompileError::new("", "expected a mapping")]),
        };
        for (key, value) in members {
            let pointer = format!("/{}", escape(key));
            match key.as_str() {
                "mode" => read(value, &pointer, &mut policies.mode, &mut errors),
                "issuers" => read(value, &pointer, &mut policies.issuers, &mut errors),
                "data_keys" => read(value, &pointer, &mut policies.data_keys, &mut errors),
                "policies" => policies.policies = read_policies(value, &mut errors),
                _ => section(key, value, &pointer, &mut policies.sections, &mut errors, || {
                    Policies::keys().collect()
                }),
            }
        }
        if errors.is_empty() { Ok(policies) } else { Err(errors) }
    }

    /// The schemas of [`Policies::keys`], to be joined with those of the file's other keys.
    pub fn properties(generator: &mut SchemaGenerator) -> Map<String, Value> {
        let mut properties = Map::new();
        let mut policy = Map::new();
        for entry in REGISTRY {
            let schema = entry.schema(generator).to_value();
            properties.insert(entry.name.into(), schema.clone());
            policy.insert(entry.name.into(), schema);
        }
        let mut issuers = generator.subschema_for::<BTreeMap<String, IssuerConfig>>().to_value();
        if let Some(members) = issuers.as_object_mut() {
            members
                .insert("description".into(), "By a name of your choice: who issues access tokens.".into());
        }
        properties.insert("issuers".into(), issuers);
        let mut rings = generator.subschema_for::<BTreeMap<String, RingConfig>>().to_value();
        if let Some(members) = rings.as_object_mut() {
            let text = "By a name of your choice: rings of keys for data, which `encrypt` and `seal` use.";
            members.insert("description".into(), text.into());
        }
        properties.insert("data_keys".into(), rings);
        let mode = generator.subschema_for::<Mode>().to_value();
        properties.insert("mode".into(), mode.clone());
        policy.insert("mode".into(), mode);
        policy.insert("name".into(), serde_json::json!({ "type": "string", "description": "For people." }));
        policy.insert("match".into(), generator.subschema_for::<Match>().to_value());
        policy.insert("patch".into(), generator.subschema_for::<Patch>().to_value());
        policy.insert(
            "public".into(),
            serde_json::json!({ "type": "boolean", "description": "Whether anyone may call." }),
        );
        policy.insert(
            "websocket".into(),
            serde_json::json!({ "type": "boolean", "description": "Whether WebSocket upgrades may pass." }),
        );
        policy.insert("bounds".into(), generator.subschema_for::<Bounds>().to_value());
        let description =
            "What differs for some operations. All that match apply, the later over the earlier.";
        properties.insert(
            "policies".into(),
            serde_json::json!({
                "type": "array",
                "description": description,
                "items": { "type": "object", "additionalProperties": false, "properties": policy },
            }),
        );
        properties
    }

    /// Policies that stand in for a mended API, with their place in the list.
    pub fn patches(&self) -> impl Iterator<Item = (usize, &Patch)> {
        self.policies.iter().enumerate().filter_map(|(index, policy)| Some((index, policy.patch.as_ref()?)))
    }

    /// What holds for `operation`, or for requests that match none.
    pub(crate) fn effective(&self, operation: Option<&Operation>) -> Effective {
        let mut sections: Vec<Section> =
            REGISTRY.iter().map(|entry| Section::new(entry.name, self.mode)).collect();
        let lay = |sections: &mut [Section], layers: &[(usize, Layer)], at: &str, scope: &str| {
            for (index, layer) in layers {
                if let (Some(section), Some(entry)) = (sections.get_mut(*index), REGISTRY.get(*index)) {
                    section.lay(layer, &format!("{at}/{}", entry.name), scope);
                }
            }
        };
        lay(&mut sections, &self.sections, "", "");
        let mut effective =
            Effective { mode: self.mode, public: false, websocket: false, bounds: self.bounds, sections };
        for (index, policy) in self.policies.iter().enumerate().filter(|(_, p)| p.matches.holds(operation)) {
            effective.public = policy.public.unwrap_or(effective.public);
            effective.websocket = policy.websocket.unwrap_or(effective.websocket);
            if let Some(bounds) = &policy.bounds {
                effective.bounds = overlay(effective.bounds, bounds);
            }
            if let Some(mode) = policy.mode {
                effective.mode = mode;
                effective.sections.iter_mut().for_each(|section| section.mode = mode);
            }
            lay(&mut effective.sections, &policy.sections, &format!("/policies/{index}"), &policy.scope);
        }
        effective
    }

    /// Which policies apply; operations with the same answer have the same [`Effective`].
    pub(crate) fn applying(&self, operation: Option<&Operation>) -> Vec<usize> {
        let applies = |(index, policy): (usize, &Policy)| policy.matches.holds(operation).then_some(index);
        self.policies.iter().enumerate().filter_map(applies).collect()
    }

    /// Policies that are about nothing: a slip that would leave something unprotected.
    pub(crate) fn idle(&self, contract: Option<&Contract>) -> Vec<CompileError> {
        let operations = contract.map_or(&[][..], Contract::operations);
        let mut errors = Vec::new();
        for (index, policy) in self.policies.iter().enumerate() {
            let at = format!("/policies/{index}/match");
            for (place, id) in policy.matches.operation.each().iter().enumerate() {
                let wanted = Match { operation: OneOrMany::One(id.clone()), ..Match::default() };
                if !operations.iter().any(|operation| wanted.holds(Some(operation))) {
                    let labels: Vec<String> = operations.iter().map(Operation::label).collect();
                    let ids = operations.iter().filter_map(|o| o.id.as_deref());
                    let message = match operations.is_empty() {
                        true => format!("no operation `{id}`: there is no contract"),
                        false => nearest_operation(id, ids.chain(labels.iter().map(String::as_str))),
                    };
                    let many = matches!(policy.matches.operation, OneOrMany::Many(_));
                    let pointer =
                        if many { format!("{at}/operation/{place}") } else { format!("{at}/operation") };
                    errors.push(CompileError::new(pointer, message));
                }
            }
            let known = operations.iter().map(Some).chain([None]).any(|o| policy.matches.holds(o));
            if !known && errors.is_empty() {
                let message =
                    "no operation of the contract matches: `portcullis config show --spec FILE` lists them";
                errors.push(CompileError::new(at, message));
            }
        }
        errors
    }
}

fn nearest_operation<'a>(id: &str, known: impl Iterator<Item = &'a str>) -> String {
    let text = unknown("operation", id, known);
    // A contract has too many operations to list them all.
    text.split("; expected one of").next().unwrap_or_default().to_owned()
}

fn overlay(bounds: Bounds, over: &Map<String, Value>) -> Bounds {
    let Ok(Value::Object(mut base)) = serde_json::to_value(bounds) else { return bounds };
    base.extend(
        over.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), value.clone())),
    );
    serde_json::from_value(Value::Object(base)).unwrap_or(bounds)
}

/// Reads `value` into `to`, which stays as it is where nothing is written.
fn read<T: serde::de::DeserializeOwned>(
    value: &Value,
    pointer: &str,
    to: &mut T,
    errors: &mut Vec<CompileError>,
) {
    if value.is_null() {
        return;
    }
    match parse(value) {
        Ok(read) => *to = read,
        Err(error) => errors.push(error.under(pointer)),
    }
}

fn section(
    key: &str,
    value: &Value,
    pointer: &str,
    sections: &mut Vec<(usize, Layer)>,
    errors: &mut Vec<CompileError>,
    known: impl Fn() -> Vec<&'static str>,
) {
    let entry: Option<(usize, &Entry)> = REGISTRY.iter().enumerate().find(|(_, entry)| entry.name == key);
    let Some((index, entry)) = entry else {
        return errors.push(CompileError::new(pointer, unknown("key", key, known())));
    };
    match Layer::read(entry, value, pointer) {
        Ok(layer) => sections.push((index, layer)),
        Err(error) => errors.push(error),
    }
}

const NO_CONDITION: &str =
    "expected a condition, found nothing; leave the key out where the policy is about every operation";

/// The pointer of the condition in a `match` that is there and says nothing.
fn empty_condition(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Object(members) => members
            .iter()
            .find(|(_, condition)| condition.is_null() || condition.as_array().is_some_and(Vec::is_empty))
            .map(|(key, _)| format!("/{}", escape(key))),
        _ => None,
    }
}

fn read_policies(value: &Value, errors: &mut Vec<CompileError>) -> Vec<Policy> {
    let items = match value {
        Value::Null => return Vec::new(),
        Value::Array(items) => items,
        _ => {
            errors.push(CompileError::new("/policies", "expected a list"));
            return Vec::new();
        }
    };
    let mut policies = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("/policies/{index}");
        let Value::Object(members) = item else {
            errors.push(CompileError::new(at, "expected a mapping"));
            continue;
        };
        let scope = members.get("match").map(Value::to_string).unwrap_or_default();
        let mut policy = Policy {
            patch: None,
            matches: Match::default(),
            scope,
            mode: None,
            public: None,
            websocket: None,
            bounds: None,
            sections: Vec::new(),
        };
        for (key, value) in members {
            let pointer = format!("{at}/{}", escape(key));
            match key.as_str() {
                "name" if value.is_string() || value.is_null() => {}
                "name" => errors.push(CompileError::new(pointer, "expected a text")),
                // An empty condition would hold for every operation.
                "match" => match empty_condition(value) {
                    Some(place) => errors.push(CompileError::new(format!("{pointer}{place}"), NO_CONDITION)),
                    None => read(value, &pointer, &mut policy.matches, errors),
                },
                "patch" => read(value, &pointer, &mut policy.patch, errors),
                "mode" => read(value, &pointer, &mut policy.mode, errors),
                "public" => read(value, &pointer, &mut policy.public, errors),
                "websocket" => read(value, &pointer, &mut policy.websocket, errors),
                "bounds" => {
                    let mut bounds = Bounds::default();
                    read(value, &pointer, &mut bounds, errors);
                    policy.bounds = value.as_object().cloned();
                }
                _ => section(key, value, &pointer, &mut policy.sections, errors, || {
                    POLICY_KEYS.into_iter().chain(REGISTRY.iter().map(|entry| entry.name)).collect()
                }),
            }
        }
        policies.push(policy);
    }
    policies
}

impl<'de> Deserialize<'de> for Policies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Policies, D::Error> {
        let document = Value::deserialize(deserializer)?;
        Policies::from_value(&document).map_err(|errors| match errors.into_iter().next() {
            Some(error) => serde::de::Error::custom(error),
            None => serde::de::Error::custom("expected a mapping"),
        })
    }
}

impl JsonSchema for Policies {
    fn schema_name() -> Cow<'static, str> {
        "Policies".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let properties = Policies::properties(generator);
        json_schema!({ "type": "object", "properties": properties })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_templates_and_patterns() {
        for (pattern, template, expected) in [
            ("/orders/{id}", "/orders/{id}", true),
            ("/orders/*", "/orders/{id}", true),
            ("/orders/*", "/orders", false),
            ("/orders/*", "/orders/{id}/items", false),
            ("/orders/**", "/orders/{id}/items", true),
            ("/orders/**", "/orders", true),
            ("/**", "/a/b/c", true),
            ("/**/items", "/orders/{id}/items", true),
            ("/**/items", "/items", true),
            ("/**/items", "/orders/{id}", false),
            ("/a/**/z", "/a/b/c/z", true),
            ("/a/**/z", "/a/b/c/y", false),
            ("", "/a", false),
        ] {
            assert_eq!(path_matches(pattern, template), expected, "{pattern} {template}");
        }
    }

    #[test]
    fn long_patterns_of_stars_end() {
        let pattern = "/**".repeat(12) + "/x";
        let path = "/a".repeat(24);
        assert!(!path_matches(&pattern, &path));
    }
}
