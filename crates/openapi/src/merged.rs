//! What a schema demands once everything that applies to the same value is put together: for people who read a
//! contract, and to compare two. Calls are not checked by this.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::{Arena, Bound, Constants, Direction, Schema, SchemaId, Types, compare_numbers};

/// Schemas that are put together at most.
const MAX_PARTS: usize = 200;

/// The conjunction of schemas: the tightest of each bound, all patterns, the members of all.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) types: Types,
    /// Texts of the values that are allowed.
    pub(crate) constants: Option<BTreeSet<String>>,
    /// Characters.
    pub(crate) length: Range,
    pub(crate) items: Range,
    pub(crate) members: Range,
    pub(crate) lower: Option<Bound>,
    pub(crate) upper: Option<Bound>,
    /// Patterns, formats and divisors, as they are shown.
    pub(crate) patterns: BTreeSet<String>,
    pub(crate) formats: BTreeSet<String>,
    pub(crate) multiples: BTreeSet<String>,
    pub(crate) unique: bool,
    pub(crate) properties: BTreeMap<Box<str>, Member>,
    pub(crate) additional: Additional,
    /// What every item is.
    pub(crate) item: Vec<SchemaId>,
    pub(crate) prefix: Vec<Vec<SchemaId>>,
    /// Alternatives: whether exactly one must hold, and which there are.
    pub(crate) choices: Vec<(bool, Vec<SchemaId>)>,
    /// `not`, `if` and other conditions, counted.
    pub(crate) conditions: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
}

impl Range {
    fn narrow(&mut self, min: Option<u64>, max: Option<u64>) {
        self.min = self.min.max(min.filter(|min| *min > 0));
        self.max = match (self.max, max) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
    }
}

/// A property of an object.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) schemas: Vec<SchemaId>,
    pub(crate) required: bool,
    pub(crate) described: bool,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
}

impl Member {
    /// Whether it is a part of messages that go this way.
    pub(crate) fn travels(&self, direction: Direction) -> bool {
        match direction {
            Direction::Request => !self.read_only,
            Direction::Response => !self.write_only,
        }
    }
}

/// What is said about members that are not described.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Additional {
    #[default]
    Anything,
    These(Vec<SchemaId>),
    Nothing,
}

impl Merged {
    pub(crate) fn of(arena: &Arena, ids: &[SchemaId]) -> Self {
        let mut merged = Self {
            types: Types::ANY,
            constants: None,
            length: Range::default(),
            items: Range::default(),
            members: Range::default(),
            lower: None,
            upper: None,
            patterns: BTreeSet::new(),
            formats: BTreeSet::new(),
            multiples: BTreeSet::new(),
            unique: false,
            properties: BTreeMap::new(),
            additional: Additional::Anything,
            item: Vec::new(),
            prefix: Vec::new(),
            choices: Vec::new(),
            conditions: 0,
        };
        let mut open: Vec<SchemaId> = ids.iter().rev().copied().collect();
        let mut seen: Vec<SchemaId> = Vec::new();
        while let Some(id) = open.pop() {
            if seen.contains(&id) || seen.len() >= MAX_PARTS {
                continue;
            }
            seen.push(id);
            merged.types = merged.types.and(arena.types_of(id));
            let schema = arena.get(id);
            merged.add(schema);
            if let Some(applied) = &schema.applied {
                open.extend(applied.all_of.iter().rev().copied().chain(applied.reference));
                for (one, list) in [(false, &applied.any_of), (true, &applied.one_of)] {
                    match list.as_ref() {
                        [] => {}
                        [single] => open.push(*single),
                        several => merged.choices.push((one, several.to_vec())),
                    }
                }
                merged.conditions +=
                    usize::from(applied.not.is_some()) + usize::from(applied.condition.is_some());
            }
        }
        merged
    }

    fn add(&mut self, schema: &Schema) {
        if let Some(constants) = &schema.constants {
            let mut new = texts(constants);
            if schema.nullable {
                new.insert("null".into());
            }
            self.constants = Some(match self.constants.take() {
                Some(known) => known.intersection(&new).cloned().collect(),
                None => new,
            });
        }
        if let Some(rules) = &schema.string {
            self.length.narrow(rules.min, rules.max);
            self.patterns.extend(rules.pattern.as_ref().map(|pattern| pattern.source().to_owned()));
            self.formats.extend(rules.format.map(|format| kebab(&format!("{format:?}"))));
        }
        if let Some(rules) = &schema.number {
            tighten(&mut self.lower, rules.min.as_ref(), std::cmp::Ordering::Greater);
            tighten(&mut self.upper, rules.max.as_ref(), std::cmp::Ordering::Less);
            self.multiples.extend(rules.multiple_of.as_ref().map(|multiple| multiple.divisor.to_string()));
        }
        if let Some(rules) = &schema.array {
            self.items.narrow(rules.min, rules.max);
            self.unique |= rules.unique;
            self.item.extend(rules.items);
            for (index, id) in rules.prefix.iter().enumerate() {
                match self.prefix.get_mut(index) {
                    Some(list) => list.push(*id),
                    None => self.prefix.push(vec![*id]),
                }
            }
            self.conditions += usize::from(rules.contains.is_some());
        }
        if let Some(rules) = &schema.object {
            self.members.narrow(rules.min, rules.max);
            for property in &rules.properties {
                let member = self.properties.entry(property.name.clone()).or_default();
                if property.described {
                    member.schemas.push(property.schema);
                }
                member.described |= property.described;
                member.required |= property.required;
                member.read_only |= property.read_only;
                member.write_only |= property.write_only;
            }
            for id in [rules.additional, rules.unevaluated].into_iter().flatten() {
                match (&mut self.additional, id) {
                    (_, SchemaId::NEVER) => self.additional = Additional::Nothing,
                    (Additional::Nothing, _) | (_, SchemaId::ANY) => {}
                    (Additional::These(list), id) => list.push(id),
                    (other, id) => *other = Additional::These(vec![id]),
                }
            }
            self.conditions += rules.dependent_required.len() + rules.dependent_schemas.len();
        }
    }
}

fn texts(constants: &Constants) -> BTreeSet<String> {
    let strings = constants.strings.iter().map(|text| serde_json::Value::from(&**text).to_string());
    strings.chain(constants.others.iter().map(ToString::to_string)).collect()
}

fn tighten(slot: &mut Option<Bound>, new: Option<&Bound>, tighter: std::cmp::Ordering) {
    let Some(new) = new else { return };
    let keeps = slot.as_ref().is_some_and(|known| {
        let order = compare_numbers(&known.value, &new.value);
        order == tighter || order.is_eq() && known.exclusive
    });
    if !keeps {
        *slot = Some(new.clone());
    }
}

/// `DateTime` as `date-time`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for char in name.chars() {
        if char.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(char.to_ascii_lowercase());
    }
    out
}
