//! JSON Schema 2020-12 as an arena: one entry for each schema, references are indexes.
//!
//! What a document writes in an older dialect has been brought to this one form when it arrives here.
//!
//! | module | what it does |
//! |---|---|
//! | [`plan`] | at load: merges what can be merged, finds what tells alternatives apart |
//! | [`pass`], [`items`], [`joint`] | a JSON body, in one pass over its bytes |
//! | [`validate`] | a value that came in another form, and why a body does not fit |
//! | [`json`], [`keys`] | tokens; member names |

mod cut;
mod explain;
mod format;
mod items;
mod joint;
mod json;
mod keys;
mod number;
mod pass;
mod pattern;
mod plan;
mod validate;
mod value;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Number, Value};
use smallvec::SmallVec;

pub(crate) use cut::Cutter;
pub(crate) use format::Format;
pub(crate) use json::{Fault, Lexer, Text};
pub(crate) use number::MultipleOf;
pub(crate) use number::compare as compare_numbers;
pub use pass::BodyLimits;
pub(crate) use pass::{ExtraKind, Findings, Pass, Passed, Purpose, Unfit, Wanted};
pub(crate) use pattern::Pattern;
pub(crate) use validate::{Issue, Path};

use crate::xml::{Shapes, Xml};

/// Which way a value travels: `readOnly` counts in requests, `writeOnly` in responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Response,
}

impl Direction {
    /// The one that is for this way, of one for each.
    #[inline(always)]
    fn of<T>(self, [request, response]: [T; 2]) -> T {
        match self {
            Self::Request => request,
            Self::Response => response,
        }
    }
}

/// A schema of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub(crate) u32);

impl SchemaId {
    /// The schema that everything satisfies.
    pub(crate) const ANY: Self = Self(0);
    /// The schema that nothing satisfies.
    pub(crate) const NEVER: Self = Self(1);
}

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Types(pub(crate) u8);

impl Schema {
    /// Whether it describes members of objects.
    pub(crate) fn has_members(&self) -> bool {
        self.object.as_ref().is_some_and(|rules| !rules.properties.is_empty())
    }
}

impl Types {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    /// Numbers without a fractional part.
    pub(crate) const INTEGER: Self = Self(4);
    /// Numbers with one.
    pub(crate) const FRACTION: Self = Self(8);
    pub(crate) const NUMBER: Self = Self(4 | 8);
    pub(crate) const STRING: Self = Self(16);
    pub(crate) const ARRAY: Self = Self(32);
    pub(crate) const OBJECT: Self = Self(64);
    pub(crate) const ANY: Self = Self(127);

    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if number::Num::of(number).is_integral() => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// One schema. Rules for a type it does not allow are not kept.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) types: Types,
    /// `null` satisfies it whatever else it says.
    pub(crate) nullable: bool,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    /// Something it says cannot be enforced.
    pub(crate) flawed: bool,
    /// It was merged from one that names schemas which describe more members.
    pub(crate) invites: bool,
    pub(crate) string: Option<Box<StringRules>>,
    pub(crate) number: Option<Box<NumberRules>>,
    pub(crate) array: Option<Box<ArrayRules>>,
    pub(crate) object: Option<Box<ObjectRules>>,
    pub(crate) constants: Option<Box<Constants>>,
    pub(crate) applied: Option<Box<Applied>>,
}

impl Default for Schema {
    fn default() -> Self {
        Self {
            types: Types::ANY,
            nullable: false,
            read_only: false,
            write_only: false,
            flawed: false,
            invites: false,
            string: None,
            number: None,
            array: None,
            object: None,
            constants: None,
            applied: None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct StringRules {
    /// In characters.
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
    pub(crate) pattern: Option<Arc<Pattern>>,
    pub(crate) format: Option<Format>,
}

#[derive(Debug, Default)]
pub(crate) struct NumberRules {
    pub(crate) min: Option<Bound>,
    pub(crate) max: Option<Bound>,
    pub(crate) multiple_of: Option<MultipleOf>,
}

#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) value: Number,
    /// The same, to compare with.
    num: number::Num,
    pub(crate) exclusive: bool,
}

impl Bound {
    pub(crate) fn new(value: Number, exclusive: bool) -> Self {
        Self { num: number::Num::of(&value), value, exclusive }
    }
}

#[derive(Debug, Default)]
pub(crate) struct ArrayRules {
    pub(crate) prefix: Box<[SchemaId]>,
    /// What follows the prefix.
    pub(crate) items: Option<SchemaId>,
    pub(crate) contains: Option<SchemaId>,
    pub(crate) min_contains: u64,
    pub(crate) max_contains: Option<u64>,
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
    pub(crate) unique: bool,
    pub(crate) unevaluated: Option<SchemaId>,
}

#[derive(Debug, Default)]
pub(crate) struct ObjectRules {
    /// Sorted by name: those described, and those only required.
    pub(crate) properties: Box<[Property]>,
    pub(crate) patterns: Box<[(Arc<Pattern>, SchemaId)]>,
    /// What is neither described nor matches a pattern.
    pub(crate) additional: Option<SchemaId>,
    pub(crate) names: Option<SchemaId>,
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
    /// How many properties a request, and a response, must have.
    pub(crate) required: [u32; 2],
    pub(crate) dependent_required: Box<[Dependents]>,
    pub(crate) dependent_schemas: Box<[(Box<str>, SchemaId)]>,
    pub(crate) unevaluated: Option<SchemaId>,
    /// Where `properties` are by name.
    pub(crate) table: keys::KeyTable,
    /// It describes members, and does not say that there are more.
    pub(crate) describes: bool,
}

/// A property, and those that must be beside it.
pub(crate) type Dependents = (Box<str>, Box<[Box<str>]>);

#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub(crate) name: Box<str>,
    pub(crate) schema: SchemaId,
    /// It is described, not only required.
    pub(crate) described: bool,
    pub(crate) required: bool,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
}

impl Property {
    pub(crate) fn is_required(&self, direction: Direction) -> bool {
        self.required
            && match direction {
                Direction::Request => !self.read_only,
                Direction::Response => !self.write_only,
            }
    }
}

impl ObjectRules {
    pub(crate) fn property(&self, name: &str) -> Option<&Property> {
        self.find(name).and_then(|found| self.properties.get(found))
    }

    /// How many properties a message must have that goes this way.
    fn required_in(&self, direction: Direction) -> u32 {
        direction.of(self.required)
    }
}

/// `enum` and `const`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Constants {
    /// Sorted.
    pub(crate) strings: Box<[Box<str>]>,
    pub(crate) others: Box<[Value]>,
}

/// Keywords that apply schemas to the same value.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) reference: Option<SchemaId>,
    pub(crate) all_of: Box<[SchemaId]>,
    pub(crate) any_of: Box<[SchemaId]>,
    pub(crate) one_of: Box<[SchemaId]>,
    pub(crate) not: Option<SchemaId>,
    pub(crate) condition: Option<SchemaId>,
    pub(crate) then: Option<SchemaId>,
    pub(crate) otherwise: Option<SchemaId>,
    pub(crate) discriminator: Option<Discriminator>,
    pub(crate) any_dispatch: Option<Box<Dispatch>>,
    pub(crate) one_dispatch: Option<Box<Dispatch>>,
}

/// A member that each of some alternatives wants to be one of certain texts.
#[derive(Debug)]
pub(crate) struct Dispatch {
    property: Box<str>,
    /// Sorted by text: the alternatives that it leaves.
    values: Box<[Left]>,
}

/// A text, and the alternatives that it leaves.
pub(crate) type Left = (Box<str>, Box<[SchemaId]>);

/// A property whose value names the one schema of `oneOf` or `anyOf` that counts.
#[derive(Debug)]
pub(crate) struct Discriminator {
    pub(crate) property: Box<str>,
    /// Sorted by value. Empty: it names schemas that refer here, which is not followed.
    pub(crate) mapping: Box<[(Box<str>, SchemaId)]>,
}

/// All schemas of a contract.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) schemas: Vec<Schema>,
    /// For each schema: the types that it allows, with those it applies.
    types: Vec<Types>,
    /// For each schema: what a pass reads by.
    plans: Vec<plan::Plan>,
    /// How values are written in XML, where a schema says something of it.
    pub(crate) xml: HashMap<SchemaId, Xml>,
    pub(crate) shapes: Shapes,
    /// For each schema: whether a `readOnly`, a `writeOnly` property can be reached.
    pub(crate) reaches: Vec<Reaches>,
}

/// What can be reached from a schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reaches {
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    pub(crate) flawed: bool,
}

impl Arena {
    pub(crate) fn new() -> Self {
        let never = Schema { types: Types::NONE, ..Schema::default() };
        Self {
            schemas: vec![Schema::default(), never],
            types: Vec::new(),
            plans: Vec::new(),
            xml: HashMap::new(),
            shapes: Shapes::default(),
            reaches: Vec::new(),
        }
    }

    pub(crate) fn get(&self, id: SchemaId) -> &Schema {
        static NEVER: Schema = Schema {
            types: Types::NONE,
            nullable: false,
            read_only: false,
            write_only: false,
            flawed: true,
            invites: false,
            string: None,
            number: None,
            array: None,
            object: None,
            constants: None,
            applied: None,
        };
        self.schemas.get(id.0 as usize).unwrap_or(&NEVER)
    }

    pub(crate) fn reaches(&self, id: SchemaId) -> Reaches {
        self.reaches.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// Marks properties by what their schemas say, and each schema by what can be reached from it. To be
    /// called once, when all schemas are there.
    pub(crate) fn finish(&mut self) {
        let access: Vec<(bool, bool)> = (0..self.schemas.len()).map(|id| self.access(id)).collect();
        for schema in &mut self.schemas {
            let Some(object) = &mut schema.object else { continue };
            for property in &mut object.properties {
                if let Some((read_only, write_only)) = access.get(property.schema.0 as usize) {
                    property.read_only = *read_only;
                    property.write_only = *write_only;
                }
            }
        }
        self.reaches = self.reachability();
        self.narrow();
        self.make_plans();
    }

    /// Whether a schema is `readOnly`, `writeOnly`: itself, what it refers to, or a part of its `allOf`.
    fn access(&self, id: usize) -> (bool, bool) {
        let mut found = (false, false);
        let mut open = vec![SchemaId(u32::try_from(id).unwrap_or(u32::MAX))];
        let mut seen = Vec::new();
        while let Some(id) = open.pop() {
            if seen.contains(&id) || seen.len() > 64 {
                continue;
            }
            seen.push(id);
            let schema = self.get(id);
            found.0 |= schema.read_only;
            found.1 |= schema.write_only;
            if let Some(applied) = &schema.applied {
                open.extend(applied.reference);
                open.extend(applied.all_of.iter().copied());
            }
        }
        found
    }

    /// Whether a schema offers a choice that leads back to itself on the same value: `A` is "`A` or a number".
    /// Nothing follows from such a choice. With a discriminator something does, and with `allOf` it adds nothing.
    pub(crate) fn chooses_itself(&self, id: SchemaId) -> bool {
        let Some(applied) = &self.get(id).applied else { return false };
        let dispatched = applied.discriminator.as_ref().is_some_and(|found| !found.mapping.is_empty());
        let mut open: SmallVec<[SchemaId; 16]> =
            [applied.not, applied.condition].into_iter().flatten().collect();
        if !dispatched {
            open.extend(applied.any_of.iter().chain(&applied.one_of).copied());
        }
        let mut seen: SmallVec<[SchemaId; 16]> = SmallVec::new();
        while let Some(next) = open.pop() {
            if next == id {
                return true;
            }
            if seen.contains(&next) || seen.len() > 1_000 {
                continue;
            }
            seen.push(next);
            if let Some(applied) = &self.get(next).applied {
                let lists = [&applied.all_of, &applied.any_of, &applied.one_of];
                open.extend(lists.into_iter().flatten().copied());
                let single =
                    [applied.reference, applied.not, applied.condition, applied.then, applied.otherwise];
                open.extend(single.into_iter().flatten());
            }
        }
        false
    }

    /// Spreads what each schema has to all that lead to it.
    fn reachability(&self) -> Vec<Reaches> {
        let mut parents: Vec<Vec<u32>> = vec![Vec::new(); self.schemas.len()];
        let mut reaches = vec![Reaches::default(); self.schemas.len()];
        let mut changed = Vec::new();
        for (index, schema) in self.schemas.iter().enumerate() {
            let id = u32::try_from(index).unwrap_or(u32::MAX);
            schema.each_child(&mut |child| {
                if let Some(list) = parents.get_mut(child.0 as usize) {
                    list.push(id);
                }
            });
            let properties = schema.object.iter().flat_map(|object| object.properties.iter());
            let own = Reaches {
                read_only: properties.clone().any(|property| property.read_only),
                write_only: properties.clone().any(|property| property.write_only),
                flawed: schema.flawed,
            };
            if own != Reaches::default() {
                changed.push(index);
            }
            if let Some(slot) = reaches.get_mut(index) {
                *slot = own;
            }
        }
        while let Some(index) = changed.pop() {
            let from = reaches.get(index).copied().unwrap_or_default();
            for parent in parents.get(index).into_iter().flatten() {
                let Some(slot) = reaches.get_mut(*parent as usize) else { continue };
                let joined = Reaches {
                    read_only: slot.read_only || from.read_only,
                    write_only: slot.write_only || from.write_only,
                    flawed: slot.flawed || from.flawed,
                };
                if joined != *slot {
                    *slot = joined;
                    changed.push(*parent as usize);
                }
            }
        }
        reaches
    }

    /// Whether it, or one that it applies, says `something`. Many documents describe members without saying that the
    /// value is an object: a body in a form that has members is read by them all the same.
    pub(crate) fn says(&self, id: SchemaId, something: impl Fn(&Schema) -> bool) -> bool {
        self.find_within(id, &mut |schema| something(schema).then_some(())).is_some()
    }

    /// The types that a value may have to satisfy a schema: exact for `type`, wide where it is not certain.
    pub(crate) fn types_of(&self, id: SchemaId) -> Types {
        self.types.get(id.0 as usize).copied().unwrap_or_else(|| self.get(id).types)
    }

    /// Narrows the types of all schemas step by step, from what each says itself to what those say that it
    /// applies. Every step is true; cycles only mean that the last one is not the narrowest.
    fn narrow(&mut self) {
        const STEPS: usize = 12;
        self.types = self.schemas.iter().map(Schema::own_types).collect();
        for _ in 0..STEPS {
            let next: Vec<Types> = self.schemas.iter().map(|schema| self.types_within(schema)).collect();
            if next == self.types {
                return;
            }
            self.types = next;
        }
    }

    fn types_within(&self, schema: &Schema) -> Types {
        let mut types = schema.own_types();
        let Some(applied) = &schema.applied else { return types };
        for part in applied.reference.iter().chain(&applied.all_of) {
            types = types.and(self.types_of(*part));
        }
        for list in [&applied.any_of, &applied.one_of] {
            if !list.is_empty() {
                types = types.and(list.iter().map(|id| self.types_of(*id)).fold(Types::NONE, Types::with));
            }
        }
        if schema.nullable { types.with(Types::NULL) } else { types }
    }

    /// What is said about the items of an array: at `index`.
    pub(crate) fn item_schema(&self, id: SchemaId, index: usize) -> SchemaId {
        self.find_within(id, &mut |schema| {
            let array = schema.array.as_ref()?;
            array.prefix.get(index).copied().or(array.items)
        })
        .unwrap_or(SchemaId::ANY)
    }

    /// What is said about a member of an object; nothing if it is not described.
    pub(crate) fn member_schema(&self, id: SchemaId, name: &str) -> Option<SchemaId> {
        self.find_within(id, &mut |schema| {
            let object = schema.object.as_ref()?;
            let property = object.property(name).filter(|property| property.described);
            property.map(|property| property.schema).or_else(|| {
                object.patterns.iter().find(|(pattern, _)| pattern.is_match(name)).map(|(_, schema)| *schema)
            })
        })
        .or_else(|| {
            self.find_within(id, &mut |schema| {
                schema.object.as_ref()?.additional.filter(|additional| *additional != SchemaId::NEVER)
            })
        })
    }

    /// The names of all described properties, `allOf` and the like included.
    pub(crate) fn member_names(&self, id: SchemaId) -> Vec<Box<str>> {
        let mut names: Vec<Box<str>> = Vec::new();
        self.find_within::<()>(id, &mut |schema| {
            let object = schema.object.as_ref()?;
            names.extend(object.properties.iter().filter(|p| p.described).map(|p| p.name.clone()));
            None
        });
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether an object may have members that are not described.
    pub(crate) fn is_open(&self, id: SchemaId) -> bool {
        let closed = self.find_within(id, &mut |schema| {
            let object = schema.object.as_ref()?;
            (object.additional == Some(SchemaId::NEVER) || object.unevaluated == Some(SchemaId::NEVER))
                .then_some(())
        });
        closed.is_none()
    }

    /// Whether an object says in so many words that it may have members that are not described.
    pub(crate) fn invites_members(&self, id: SchemaId) -> bool {
        let described = !self.member_names(id).is_empty();
        let invited = self.find_within(id, &mut |schema| {
            let object = schema.object.as_ref()?;
            let additional = object.additional.is_some_and(|additional| additional != SchemaId::NEVER);
            (additional || !object.patterns.is_empty()).then_some(())
        });
        invited.is_some() || !described && self.is_open(id)
    }

    /// The first answer among a schema and those it applies to the same value, each asked once.
    fn find_within<T>(&self, id: SchemaId, ask: &mut dyn FnMut(&Schema) -> Option<T>) -> Option<T> {
        const ASKED: usize = 512;
        let mut seen: SmallVec<[SchemaId; 16]> = SmallVec::new();
        let mut open: SmallVec<[SchemaId; 16]> = SmallVec::from_slice(&[id]);
        while let Some(id) = open.pop() {
            if seen.contains(&id) || seen.len() >= ASKED {
                continue;
            }
            seen.push(id);
            let schema = self.get(id);
            if let Some(found) = ask(schema) {
                return Some(found);
            }
            if let Some(applied) = &schema.applied {
                let lists = applied.all_of.iter().chain(&applied.any_of).chain(&applied.one_of);
                // The last one in is asked first.
                open.extend(lists.copied().rev().chain(applied.reference));
            }
        }
        None
    }
}

impl Schema {
    /// The types that it allows by itself.
    fn own_types(&self) -> Types {
        let mut types = self.types;
        if let Some(constants) = &self.constants {
            let strings = if constants.strings.is_empty() { Types::NONE } else { Types::STRING };
            types = types.and(constants.others.iter().map(Types::of).fold(strings, Types::with));
        }
        if self.nullable { types.with(Types::NULL) } else { types }
    }

    /// Whether it only looks at the value itself: no sub-schema, so a scalar can be checked without a tree.
    pub(crate) fn is_plain(&self) -> bool {
        self.applied.is_none()
    }

    /// Calls `visit` for every schema that this one leads to.
    pub(crate) fn each_child(&self, visit: &mut dyn FnMut(SchemaId)) {
        if let Some(array) = &self.array {
            array.prefix.iter().copied().for_each(&mut *visit);
            [array.items, array.contains, array.unevaluated].into_iter().flatten().for_each(&mut *visit);
        }
        if let Some(object) = &self.object {
            object.properties.iter().map(|property| property.schema).for_each(&mut *visit);
            object.patterns.iter().map(|(_, schema)| *schema).for_each(&mut *visit);
            object.dependent_schemas.iter().map(|(_, schema)| *schema).for_each(&mut *visit);
            [object.additional, object.names, object.unevaluated].into_iter().flatten().for_each(&mut *visit);
        }
        if let Some(applied) = &self.applied {
            for list in [&applied.all_of, &applied.any_of, &applied.one_of] {
                list.iter().copied().for_each(&mut *visit);
            }
            let single = [applied.reference, applied.not, applied.condition, applied.then, applied.otherwise];
            single.into_iter().flatten().for_each(&mut *visit);
            if let Some(discriminator) = &applied.discriminator {
                discriminator.mapping.iter().map(|(_, schema)| *schema).for_each(&mut *visit);
            }
        }
    }
}
