//! JSON of credentials: an object, no member named twice at any depth, bounded.

use portcullis_engine::Bounds;
use portcullis_engine::body::{parse_json_members, same_name};
use serde_json::{Map, Value};

/// The members of a parsed JSON object, each name once. A list: credentials have few, and most questions about them are
/// about names that are not there, which the lengths of the names answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Members(Vec<(String, Value)>);

impl Members {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(other, _)| same_name(other, name)).map(|(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Takes member `name` out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Adds member `name`, which takes the place of another of that name.
    pub(crate) fn insert(&mut self, name: &str, value: Value) {
        self.remove(name);
        self.0.push((name.to_owned(), value));
    }

    /// Member `name`, which must be a string where it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, NotText> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(NotText),
        }
    }
}

impl From<Map<String, Value>> for Members {
    fn from(object: Map<String, Value>) -> Members {
        Members(object.into_iter().collect())
    }
}

/// The object that `bytes` spell. At most `depth` levels and `values` values.
pub(crate) fn object(bytes: &[u8], depth: u32, values: u32) -> Option<Members> {
    let bounds = Bounds { json_depth: depth, json_values: values, ..Bounds::default() };
    parse_json_members(bytes, &bounds).ok().map(Members)
}

/// A member that must be a string is something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotText;
