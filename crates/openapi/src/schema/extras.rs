//! What a valid value has beyond what its schema describes: undescribed members, and members that the other
//! side alone may set or see.

use serde_json::Value;
use smallvec::SmallVec;

use super::validate::{Path, Walk, next_property};
use super::{Arena, Direction, Property, Schema, SchemaId};
use crate::report::MAX_VIOLATIONS;

/// A member that should not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) pointer: String,
    pub(crate) kind: ExtraKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtraKind {
    /// No schema in force describes it, and none invites it.
    Undescribed,
    /// It is `readOnly` and the value goes to the server, or `writeOnly` and it comes from there.
    WrongDirection,
}

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) undescribed: bool,
    pub(crate) wrong_direction: bool,
}

type Schemas = SmallVec<[SchemaId; 8]>;

impl Arena {
    /// Finds members that should not be there, up to ten. An object of which nothing at all is described is
    /// free-form; so is one that says `additionalProperties`.
    pub(crate) fn extras(
        &self,
        id: SchemaId,
        value: &Value,
        direction: Direction,
        wanted: Wanted,
    ) -> Vec<Extra> {
        let reaches = self.reaches(id);
        let access = match direction {
            Direction::Request => reaches.read_only,
            Direction::Response => reaches.write_only,
        };
        let wanted = Wanted { wrong_direction: wanted.wrong_direction && access, ..wanted };
        if !wanted.undescribed && !wanted.wrong_direction || id == SchemaId::ANY {
            return Vec::new();
        }
        let mut search =
            Search { arena: self, walk: Walk::new(self, direction, value), wanted, found: Vec::new() };
        search.visit(&[id], value, &Path::Root);
        search.found
    }
}

struct Search<'a> {
    arena: &'a Arena,
    walk: Walk<'a>,
    wanted: Wanted,
    found: Vec<Extra>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, ids: &[SchemaId], value: &Value, path: &Path<'_>) {
        if !value.is_object() && !value.is_array() || self.found.len() >= MAX_VIOLATIONS {
            return;
        }
        let Some(depth) = self.walk.enter() else { return };
        if let [id] = ids
            && let Some(schema) = self.single(*id)
        {
            self.plain(schema, value, path);
            self.walk.leave(depth);
            return;
        }
        let mut schemas = Schemas::new();
        ids.iter().for_each(|id| self.gather(*id, value, &mut schemas));
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    self.member(&schemas, key, member, path);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let inner: Schemas = schemas
                        .iter()
                        .filter_map(|id| {
                            let array = self.arena.get(*id).array.as_ref()?;
                            array.prefix.get(index).copied().or(array.items)
                        })
                        .collect();
                    if !inner.is_empty() {
                        self.visit(&inner, item, &Path::Index(path, index));
                    }
                }
            }
            _ => {}
        }
        self.walk.leave(depth);
    }

    /// The only schema in force for a value, if that can be told without looking at the value.
    fn single(&self, id: SchemaId) -> Option<&'a Schema> {
        let schema = self.arena.get(id);
        let dependent = schema.object.as_ref().is_some_and(|object| !object.dependent_schemas.is_empty());
        (schema.applied.is_none() && !dependent).then_some(schema)
    }

    /// The same as [`Search::member`] for every member or item, where one schema says it all.
    fn plain(&mut self, schema: &Schema, value: &Value, path: &Path<'_>) {
        match value {
            Value::Object(members) => {
                let Some(object) = &schema.object else { return };
                let closed =
                    !object.patterns.is_empty() || object.properties.iter().any(|known| known.described);
                let rest = object.additional.or(object.unevaluated);
                let mut cursor = 0;
                for (key, member) in members {
                    let property =
                        next_property(object, key, &mut cursor).filter(|property| property.described);
                    let path = Path::Key(path, key);
                    if let Some(property) = property
                        && self.goes_wrong_way(property)
                    {
                        self.report(&path, ExtraKind::WrongDirection);
                    }
                    let is_container = member.is_object() || member.is_array();
                    if property.is_some() && object.patterns.is_empty() && !is_container {
                        continue;
                    }
                    let mut inner: Schemas = property.map(|property| property.schema).into_iter().collect();
                    let patterns = object.patterns.iter().filter(|(pattern, _)| pattern.is_match(key));
                    inner.extend(patterns.map(|(_, schema)| *schema));
                    if inner.is_empty() {
                        if rest.is_none() && closed && self.wanted.undescribed {
                            self.report(&path, ExtraKind::Undescribed);
                        }
                        inner.extend(rest);
                    }
                    if is_container && !inner.is_empty() {
                        self.visit(&inner, member, &path);
                    }
                }
            }
            Value::Array(items) => {
                let Some(array) = &schema.array else { return };
                for (index, item) in items.iter().enumerate() {
                    if let Some(inner) = array.prefix.get(index).copied().or(array.items) {
                        self.visit(&[inner], item, &Path::Index(path, index));
                    }
                }
            }
            _ => {}
        }
    }

    fn goes_wrong_way(&self, property: &Property) -> bool {
        self.wanted.wrong_direction
            && match self.walk.direction {
                Direction::Request => property.read_only,
                Direction::Response => property.write_only,
            }
    }

    fn report(&mut self, path: &Path<'_>, kind: ExtraKind) {
        if self.found.len() < MAX_VIOLATIONS {
            self.found.push(Extra { pointer: path.pointer(), kind });
        }
    }

    /// All schemas that are in force for a value: itself and what it applies in place.
    fn gather(&self, id: SchemaId, value: &Value, into: &mut Schemas) {
        if into.contains(&id) || into.len() > 256 {
            return;
        }
        into.push(id);
        let schema = self.arena.get(id);
        if let Some(applied) = &schema.applied {
            for inner in self.walk.in_force(applied, value) {
                self.gather(inner, value, into);
            }
        }
        if let (Some(object), Value::Object(members)) = (&schema.object, value) {
            for (name, inner) in &object.dependent_schemas {
                if members.contains_key(&**name) {
                    self.gather(*inner, value, into);
                }
            }
        }
    }

    fn member(&mut self, schemas: &Schemas, key: &str, member: &Value, path: &Path<'_>) {
        let mut inner = Schemas::new();
        let mut described = false;
        let mut any_described = false;
        let mut invited = false;
        let mut wrong = false;
        for id in schemas {
            let schema = self.arena.get(*id);
            // A discriminator without alternatives: what it names may describe more.
            invited |= schema.applied.as_ref().is_some_and(|applied| {
                applied.discriminator.as_ref().is_some_and(|discriminator| discriminator.mapping.is_empty())
            });
            let Some(object) = &schema.object else { continue };
            any_described |=
                object.properties.iter().any(|property| property.described) || !object.patterns.is_empty();
            let mut here = false;
            if let Some(property) = object.property(key).filter(|property| property.described) {
                here = true;
                inner.push(property.schema);
                wrong |= self.goes_wrong_way(property);
            }
            for (pattern, schema) in &object.patterns {
                if pattern.is_match(key) {
                    here = true;
                    inner.push(*schema);
                }
            }
            if !here && let Some(rest) = object.additional.or(object.unevaluated) {
                invited = true;
                inner.push(rest);
            }
            described |= here;
        }
        let kind = if wrong {
            Some(ExtraKind::WrongDirection)
        } else if !described && !invited && any_described && self.wanted.undescribed {
            Some(ExtraKind::Undescribed)
        } else {
            None
        };
        let path = Path::Key(path, key);
        if let Some(kind) = kind {
            self.report(&path, kind);
        }
        if !inner.is_empty() {
            self.visit(&inner, member, &path);
        }
    }
}
