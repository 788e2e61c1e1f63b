//! Sections: what was written under a guard's name, for all operations and for some, merged and read.

use std::any::Any;
use std::fmt::Write as _;

use portcullis_engine::{FailMode, Mode};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::policies::GuardMode;
use crate::protection::Entry;

/// What is wrong with the configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at `{pointer}`)")]
pub struct CompileError {
    /// A JSON pointer into the configuration (RFC 6901).
    pub pointer: String,
    /// What is wrong, what was expected and what to do.
    pub message: String,
}

impl CompileError {
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> CompileError {
        CompileError { pointer: pointer.into(), message: message.into() }
    }

    /// The same, of a value that stands at `pointer`.
    pub(crate) fn under(mut self, pointer: &str) -> CompileError {
        self.pointer.insert_str(0, pointer);
        self
    }
}

/// What one place of the configuration says about one guard.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) mode: Option<GuardMode>,
    pub(crate) on_error: Option<FailMode>,
    pub(crate) config: Map<String, Value>,
}

impl Layer {
    /// Reads and checks what was written at `pointer` under the name of `entry`.
    pub(crate) fn read(entry: &Entry, value: &Value, pointer: &str) -> Result<Layer, CompileError> {
        let only = |mode| Layer { mode, on_error: None, config: Map::new() };
        let mut config = match value {
            Value::Null | Value::Bool(true) => return Ok(only(None)),
            Value::Bool(false) => return Ok(only(Some(GuardMode::Off))),
            Value::String(word) => {
                let mode = parse(&Value::String(word.clone())).map_err(|error| error.under(pointer))?;
                return Ok(only(Some(mode)));
            }
            Value::Object(members) => members.clone(),
            _ => {
                let message = "expected a mapping, or one of `enforce`, `monitor` and `off`";
                return Err(CompileError::new(pointer, message));
            }
        };
        let mode = config
            .remove("mode")
            .filter(|mode| !mode.is_null())
            .map(|mode| parse(&mode).map_err(|error| error.under("/mode").under(pointer)));
        let on_error = config
            .remove("on_error")
            .filter(|word| !word.is_null())
            .map(|word| parse(&word).map_err(|error| error.under("/on_error").under(pointer)));
        let layer = Layer { mode: mode.transpose()?, on_error: on_error.transpose()?, config };
        (entry.parse)(&Value::Object(layer.config.clone())).map_err(|error| error.under(pointer))?;
        Ok(layer)
    }
}

/// A guard's section as it holds for one operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Section {
    pub(crate) off: bool,
    pub(crate) mode: Mode,
    pub(crate) on_error: FailMode,
    config: Map<String, Value>,
    /// For each key, who set it last: the pointer of its section, and its scope.
    origins: Vec<(String, String, String)>,
    pointer: String,
}

impl Section {
    /// A section of which nothing was written yet.
    pub(crate) fn new(name: &str, mode: Mode) -> Section {
        Section { mode, pointer: format!("/{name}"), ..Section::default() }
    }

    /// Lays what stands at `pointer` over what was said before.
    pub(crate) fn lay(&mut self, layer: &Layer, pointer: &str, scope: &str) {
        match layer.mode {
            Some(GuardMode::Off) => self.off = true,
            Some(GuardMode::Enforce) => (self.off, self.mode) = (false, Mode::Enforce),
            Some(GuardMode::Monitor) => (self.off, self.mode) = (false, Mode::Monitor),
            None => self.off = false,
        }
        self.on_error = layer.on_error.unwrap_or(self.on_error);
        for key in layer.config.keys() {
            self.origins.retain(|(known, ..)| known != key);
            self.origins.push((key.clone(), pointer.to_owned(), scope.to_owned()));
        }
        merge(&mut self.config, &layer.config);
        pointer.clone_into(&mut self.pointer);
    }

    pub(crate) fn scope(&self, key: &str) -> &str {
        self.origins.iter().find(|(known, ..)| known == key).map_or("", |(_, _, scope)| scope)
    }

    /// Where in the configuration the member of this section at `pointer` was written.
    pub(crate) fn place(&self, pointer: &str) -> String {
        let key = pointer.strip_prefix('/').and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let origin = self.origins.iter().find(|(known, ..)| known == key);
        match origin {
            Some((_, section, _)) => format!("{section}{pointer}"),
            None => self.pointer.clone(),
        }
    }

    /// Reads the merged section.
    pub(crate) fn parse(&self, entry: &Entry) -> Result<Box<dyn Any>, CompileError> {
        (entry.parse)(&Value::Object(self.config.clone())).map_err(|error| {
            let pointer = self.place(&error.pointer);
            CompileError { pointer, ..error }
        })
    }
}

/// Members of `over` replace those of `base`, mappings member by member; `null` takes one back.
fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (_, Value::Null) => {
                base.remove(key);
            }
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Reads `value`; an error names its place and the nearest known word. A member that is `null` is read as if it were
/// not written, unless nobody knows its name.
pub(crate) fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, CompileError> {
    let mut written = value.clone();
    let mut nulls = Vec::new();
    take_nulls(&mut written, "", &mut nulls);
    let parsed = parse_written(&written)?;
    for (parent, key) in nulls {
        let mut probe = written.clone();
        if let Some(Value::Object(members)) = probe.pointer_mut(&parent) {
            members.insert(key.clone(), Value::Null);
        }
        let place = format!("{parent}/{}", escape(&key));
        if let Err(error) = parse_written::<T>(&probe)
            && error.pointer == place
            && error.message.starts_with("unknown key")
        {
            return Err(error);
        }
    }
    Ok(parsed)
}

/// Takes the members that are `null` out; `nulls` are their parents' pointers and their names.
fn take_nulls(value: &mut Value, pointer: &str, nulls: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            members.retain(|key, value| {
                if value.is_null() {
                    nulls.push((pointer.to_owned(), key.clone()));
                }
                !value.is_null()
            });
            for (key, value) in members {
                take_nulls(value, &format!("{pointer}/{}", escape(key)), nulls);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                take_nulls(item, &format!("{pointer}/{index}"), nulls);
            }
        }
        _ => {}
    }
}

fn parse_written<T: DeserializeOwned>(value: &Value) -> Result<T, CompileError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut pointer = String::new();
        for segment in error.path() {
            use serde_path_to_error::Segment;
            // Writing to a string cannot fail.
            let _ = match segment {
                Segment::Seq { index } => write!(pointer, "/{index}"),
                Segment::Map { key } => write!(pointer, "/{}", escape(key)),
                Segment::Enum { variant } => write!(pointer, "/{}", escape(variant)),
                Segment::Unknown => Ok(()),
            };
        }
        let (word, message) = explain(&error.inner().to_string());
        // An unknown key is shown at the key, whose parent the path names.
        if let Some(word) = word
            && !pointer.ends_with(&format!("/{}", escape(&word)))
        {
            let _ = write!(pointer, "/{}", escape(&word));
        }
        CompileError { pointer, message }
    })
}

/// Turns serde's text into one that names the nearest known word; the word too, where it is a key.
fn explain(text: &str) -> (Option<String>, String) {
    for (start, key) in [("unknown field `", true), ("unknown variant `", false)] {
        let Some(rest) = text.strip_prefix(start) else { continue };
        let Some((word, rest)) = rest.split_once('`') else { continue };
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let kind = if key { "key" } else { "value" };
        return (key.then(|| word.to_owned()), unknown(kind, word, known));
    }
    let text = text.split(" at line ").next().unwrap_or(text);
    (None, text.to_owned())
}

/// `word` is none of `known`: says so, with the nearest of them.
pub(crate) fn unknown<'a>(kind: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 3)
        .min();
    let mut message = format!("unknown {kind} `{word}`");
    match near {
        Some((_, near)) => {
            let _ = write!(message, "; did you mean `{near}`?");
        }
        None if known.is_empty() => message.push_str("; none is expected here"),
        None => {
            known.sort_unstable();
            let _ = write!(message, "; expected one of `{}`", known.join("`, `"));
        }
    }
    message
}

/// A member name as a part of a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The schema of a section, from that of its configuration.
pub(crate) fn section_schema(config: Schema, generator: &mut SchemaGenerator) -> Schema {
    let mode = generator.subschema_for::<GuardMode>();
    let on_error = generator.subschema_for::<FailMode>();
    let mut body = resolve(config, generator);
    if let Some(object) = body.as_object_mut()
        && let Value::Object(properties) =
            object.entry("properties").or_insert_with(|| Value::Object(Map::new()))
    {
        properties.insert("mode".into(), mode.clone().to_value());
        properties.insert("on_error".into(), on_error.to_value());
    }
    json_schema!({ "anyOf": [body, mode, { "type": ["boolean", "null"] }] })
}

/// The schema itself where `schema` refers to one.
fn resolve(schema: Schema, generator: &SchemaGenerator) -> Schema {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
    let target = name.and_then(|name| generator.definitions().get(name)).cloned();
    target.and_then(|target| Schema::try_from(target).ok()).unwrap_or(schema)
}
