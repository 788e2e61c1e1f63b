//! XML bodies, read by what the contract says of their members (OpenAPI, "XML Object").
//!
//! An element becomes the value that its schema describes: members by the names that `xml` gives them, attributes,
//! arrays with and without an element around them. What no schema describes becomes a member all the same, so that it is
//! found where only described members may be. Names are compared without their prefixes.

mod element;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use crate::merged::{Additional, Merged};
use crate::parameters::coerce;
use crate::report::push_step;
use crate::schema::{Arena, BodyLimits, Fault, Issue, SchemaId, Types};

use element::{Element, is_space};

/// How a schema's value is written in XML.
#[derive(Debug, Clone, Default)]
pub(crate) struct Xml {
    pub(crate) name: Option<Box<str>>,
    /// It is an attribute of the element around it.
    pub(crate) attribute: bool,
    /// An array has an element of its own around its items.
    pub(crate) wrapped: bool,
    /// It is the text of the element around it (`nodeType` of OpenAPI 3.2).
    pub(crate) text: bool,
}

/// Why a body is no value.
#[derive(Debug)]
pub(crate) enum Unread {
    Fault(Fault),
    Issues(Vec<Issue>),
}

/// The value that a body stands for.
pub(crate) fn xml_value(
    arena: &Arena,
    schema: SchemaId,
    body: &[u8],
    limits: BodyLimits,
) -> Result<Value, Unread> {
    let limits = BodyLimits { depth: limits.depth.min(MAX_DEPTH), ..limits };
    let root = Element::parse(body, limits).map_err(Unread::Fault)?;
    let mut reading = Reading { arena, issues: Vec::new() };
    let value = reading.value(&root, &[schema], &mut String::new());
    if reading.issues.is_empty() { Ok(value) } else { Err(Unread::Issues(reading.issues)) }
}

/// Levels that are followed whatever the limits say: it is the stack that they cost.
const MAX_DEPTH: u32 = 100;

/// Schemas that are looked through for how one value is written.
const MAX_PARTS: usize = 64;

impl Arena {
    /// How a value is written that all of these schemas describe.
    fn xml_of(&self, schemas: &[SchemaId]) -> Xml {
        let mut found = Xml::default();
        let mut open = schemas.to_vec();
        let mut seen = Vec::new();
        while let Some(id) = open.pop() {
            if seen.contains(&id) || seen.len() > MAX_PARTS {
                continue;
            }
            seen.push(id);
            if let Some(xml) = self.xml.get(&id) {
                found.name = found.name.or_else(|| xml.name.clone());
                found.attribute |= xml.attribute;
                found.wrapped |= xml.wrapped;
                found.text |= xml.text;
            }
            if let Some(applied) = &self.get(id).applied {
                open.extend(applied.all_of.iter().copied().chain(applied.reference));
            }
        }
        found
    }
}

/// What elements may hold, by the schemas that describe them: found out when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Shapes(RwLock<HashMap<Vec<SchemaId>, Arc<Shape>>>);

/// Shapes that are kept.
const MAX_SHAPES: usize = 50_000;

/// What an element may hold.
#[derive(Debug)]
struct Shape {
    types: Types,
    /// By the names of elements.
    elements: HashMap<Box<str>, Slot>,
    /// By the names of attributes: the members that they are.
    attributes: HashMap<Box<str>, (Box<str>, Vec<SchemaId>)>,
    text: Option<(Box<str>, Vec<SchemaId>)>,
    items: Vec<SchemaId>,
    additional: Vec<SchemaId>,
    /// Names of members, so that no other element is taken for one.
    members: Vec<Box<str>>,
}

#[derive(Debug, Clone)]
struct Slot {
    member: Box<str>,
    kind: Holds,
}

#[derive(Debug, Clone)]
enum Holds {
    One(Vec<SchemaId>),
    /// One item of an array.
    Item(Vec<SchemaId>),
    /// All items of an array, each in an element of one of these names.
    Items(Vec<Box<str>>, Vec<SchemaId>),
}

struct Reading<'a> {
    arena: &'a Arena,
    issues: Vec<Issue>,
}

impl Reading<'_> {
    fn shape(&self, schemas: &[SchemaId]) -> Arc<Shape> {
        let kept = &self.arena.shapes.0;
        if let Some(known) = kept.read().unwrap_or_else(PoisonError::into_inner).get(schemas) {
            return Arc::clone(known);
        }
        let shape = Arc::new(self.new_shape(schemas));
        let mut kept = kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_SHAPES {
            kept.insert(schemas.to_vec(), Arc::clone(&shape));
        }
        shape
    }

    fn new_shape(&self, schemas: &[SchemaId]) -> Shape {
        let merged = Merged::of(self.arena, schemas);
        let mut shape = Shape {
            types: merged.types,
            elements: HashMap::new(),
            attributes: HashMap::new(),
            text: None,
            items: Vec::new(),
            additional: Vec::new(),
            members: Vec::new(),
        };
        // Of alternatives each may describe a member; which of them holds is judged on the value.
        let mut open = vec![merged];
        let mut looked = 0;
        while let Some(merged) = open.pop() {
            looked += 1;
            if looked > MAX_PARTS {
                break;
            }
            let alternatives = merged.choices.iter().flat_map(|(_, list)| list);
            open.extend(alternatives.map(|one| Merged::of(self.arena, &[*one])));
            shape.items.extend(merged.item);
            if let Additional::These(list) = merged.additional {
                shape.additional.extend(list);
            }
            for (name, member) in merged.properties {
                if member.described && !shape.members.contains(&name) {
                    self.add(&mut shape, &name, &member.schemas);
                    shape.members.push(name);
                }
            }
        }
        shape
    }

    fn add(&self, shape: &mut Shape, member: &str, schemas: &[SchemaId]) {
        let xml = self.arena.xml_of(schemas);
        let own: Box<str> = xml.name.unwrap_or_else(|| member.into());
        let place = || (member.into(), schemas.to_vec());
        if xml.attribute {
            shape.attributes.insert(own, place());
            return;
        }
        if xml.text {
            shape.text = Some(place());
            return;
        }
        let inner = Merged::of(self.arena, schemas);
        let slot = |kind| Slot { member: member.into(), kind };
        if inner.types.has(Types::ARRAY) && !inner.types.has(Types::OBJECT) {
            let item = self.arena.xml_of(&inner.item).name;
            if xml.wrapped {
                let names = vec![item.unwrap_or_else(|| own.clone()), member.into()];
                shape.elements.insert(own, slot(Holds::Items(names, inner.item)));
            } else {
                // The name of an array without an element of its own is not used.
                shape.elements.insert(item.unwrap_or_else(|| member.into()), slot(Holds::Item(inner.item)));
            }
            return;
        }
        shape.elements.insert(own, slot(Holds::One(schemas.to_vec())));
    }

    /// The value of an element. `at` is its pointer.
    fn value(&mut self, element: &Element, schemas: &[SchemaId], at: &mut String) -> Value {
        let shape = self.shape(schemas);
        if element.nil && shape.types.has(Types::NULL) {
            return Value::Null;
        }
        let bare = element.children.is_empty() && element.attributes.is_empty();
        let scalars = Types::STRING.with(Types::NUMBER).with(Types::BOOLEAN).with(Types::NULL);
        if bare && shape.types.has(scalars) {
            return self.scalar(schemas, &element.text);
        }
        if shape.types.has(Types::ARRAY) && !shape.types.has(Types::OBJECT) && element.attributes.is_empty() {
            self.no_text(element, at);
            return self.items(&element.children, &shape.items, at);
        }
        self.object(element, &shape, at)
    }

    fn scalar(&self, schemas: &[SchemaId], text: &str) -> Value {
        let schema = schemas.first().copied().unwrap_or(SchemaId::ANY);
        let is_text = self.arena.types_of(schema).has(Types::STRING);
        // Around all that is no text, white space says nothing (XML Schema 2, section 4.3.6).
        coerce(
            self.arena,
            schema,
            if is_text {
                text
            } else {
                text.trim_matches(|char: char| char.is_ascii() && is_space(char as u8))
            },
        )
    }

    fn items(&mut self, elements: &[Element], schemas: &[SchemaId], at: &mut String) -> Value {
        let mut list = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            list.push(self.at(&index.to_string(), at, |reading, at| reading.value(element, schemas, at)));
        }
        Value::Array(list)
    }

    fn object(&mut self, element: &Element, shape: &Shape, at: &mut String) -> Value {
        let mut members = Map::new();
        for (name, text) in &element.attributes {
            match shape.attributes.get(name.as_str()) {
                Some((member, schemas)) => {
                    let value = self.scalar(schemas, text);
                    self.insert(&mut members, member, value, at);
                }
                None => self.insert(&mut members, &format!("@{name}"), text.as_str().into(), at),
            }
        }
        for child in &element.children {
            let Some(slot) = shape.elements.get(child.name.as_str()) else {
                self.undescribed(&mut members, child, shape, at);
                continue;
            };
            let member = &*slot.member;
            match &slot.kind {
                Holds::One(schemas) => {
                    let value = self.at(member, at, |reading, at| reading.value(child, schemas, at));
                    self.insert(&mut members, member, value, at);
                }
                Holds::Item(schemas) => {
                    let Value::Array(list) =
                        members.entry(member).or_insert_with(|| Value::Array(Vec::new()))
                    else {
                        continue;
                    };
                    let index = list.len().to_string();
                    let mut list = std::mem::take(list);
                    list.push(self.at(member, at, |reading, at| {
                        reading.at(&index, at, |reading, at| reading.value(child, schemas, at))
                    }));
                    members.insert(member.into(), Value::Array(list));
                }
                Holds::Items(names, schemas) => {
                    let value = self.at(member, at, |reading, at| {
                        reading.no_text(child, at);
                        let known = |item: &Element| names.iter().any(|name| **name == *item.name);
                        if !child.children.iter().all(known) || !child.attributes.is_empty() {
                            let expected = names.first().map_or("items", |name| name);
                            reading.issue(at, format!("elements `{expected}` only"));
                        }
                        reading.items(&child.children, schemas, at)
                    });
                    self.insert(&mut members, member, value, at);
                }
            }
        }
        match &shape.text {
            Some((member, schemas)) => {
                let value = self.scalar(schemas, &element.text);
                self.insert(&mut members, member, value, at);
            }
            None => self.no_text(element, at),
        }
        Value::Object(members)
    }

    /// An element that no member is written as. Several of one name are an array.
    fn undescribed(
        &mut self,
        members: &mut Map<String, Value>,
        child: &Element,
        shape: &Shape,
        at: &mut String,
    ) {
        // A member has another name in XML: by its own it is not described.
        let name = match shape.members.iter().any(|member| **member == *child.name) {
            true => format!("<{}>", child.name),
            false => child.name.clone(),
        };
        let value = self.at(&child.name, at, |reading, at| reading.value(child, &shape.additional, at));
        match members.get_mut(&name) {
            None => {
                members.insert(name, value);
            }
            Some(Value::Array(list)) => list.push(value),
            Some(known) => *known = Value::Array(vec![known.take(), value]),
        }
    }

    fn insert(&mut self, members: &mut Map<String, Value>, member: &str, value: Value, at: &mut String) {
        if members.insert(member.to_owned(), value).is_some() {
            self.at(member, at, |reading, at| reading.issue(at, "each member once".into()));
        }
    }

    /// Between elements there is white space only.
    fn no_text(&mut self, element: &Element, at: &str) {
        if !element.text.bytes().all(is_space) {
            self.issue(at, "elements, and no text between them".into());
        }
    }

    fn issue(&mut self, at: &str, expected: String) {
        self.issues.push(Issue { pointer: at.to_owned(), expected: expected.into() });
    }

    /// Runs for a member, or an item.
    fn at<T>(&mut self, step: &str, at: &mut String, run: impl FnOnce(&mut Self, &mut String) -> T) -> T {
        let length = at.len();
        push_step(at, step);
        let done = run(self, at);
        at.truncate(length);
        done
    }
}
