//! What is worked out once, when all schemas are there, so that a pass need not: `allOf` and references merged into
//! one schema where that is sound, alternatives told apart by a constant member, and where names are found.

use std::collections::{BTreeMap, HashMap};

use super::keys::KeyTable;
use super::{
    Applied, Arena, ArrayRules, Bound, Constants, Direction, Dispatch, NumberRules, ObjectRules, Property,
    Schema, SchemaId, StringRules, Types, value,
};

/// The schema that a pass reads by in place of another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) id: SchemaId,
    /// It applies no other schema to the same value.
    pub(crate) single: bool,
}

/// `allOf` inside `allOf` that is merged.
const MAX_DEPTH: usize = 24;

impl Arena {
    pub(crate) fn plan(&self, id: SchemaId) -> Plan {
        self.plans.get(id.0 as usize).copied().unwrap_or(Plan { id, single: false })
    }

    /// To be called once, when everything else is known.
    pub(super) fn make_plans(&mut self) {
        let most = self.schemas.len() * 2 + 1_000;
        let mut merger = Merger { arena: self, state: HashMap::new(), joined: HashMap::new(), most };
        let mut next = 0;
        // Merging adds schemas, which are merged in their turn.
        while next < merger.arena.schemas.len() {
            merger.plan(SchemaId(u32::try_from(next).unwrap_or(u32::MAX)), 0);
            next += 1;
        }
        let state = merger.state;
        self.plans = (0..self.schemas.len())
            .map(|at| {
                let id = SchemaId(u32::try_from(at).unwrap_or(u32::MAX));
                match state.get(&id) {
                    Some(State::Merged(merged)) => Plan { id: *merged, single: true },
                    _ => Plan { id, single: false },
                }
            })
            .collect();
        let plans = &self.plans;
        for schema in &mut self.schemas {
            let invites = schema.invites();
            if let Some(object) = &mut schema.object {
                let alone = object.patterns.is_empty() && object.names.is_none();
                object.table = KeyTable::new(&object.properties, alone, |property| {
                    let id = property.schema;
                    plans.get(id.0 as usize).copied().unwrap_or(Plan { id, single: false })
                });
                let described = object.properties.iter().any(|property| property.described);
                object.describes = !invites && (described || !object.patterns.is_empty());
                object.required = [Direction::Request, Direction::Response].map(|direction| {
                    let required =
                        object.properties.iter().filter(|property| property.is_required(direction));
                    u32::try_from(required.count()).unwrap_or(u32::MAX)
                });
            }
        }
        for at in 0..self.schemas.len() {
            let dispatch = |list: &[SchemaId]| self.dispatch(list).map(Box::new);
            let Some(applied) = self.schemas.get(at).and_then(|schema| schema.applied.as_ref()) else {
                continue;
            };
            let (any, one) = (dispatch(&applied.any_of), dispatch(&applied.one_of));
            if let Some(applied) = self.schemas.get_mut(at).and_then(|schema| schema.applied.as_mut()) {
                (applied.any_dispatch, applied.one_dispatch) = (any, one);
            }
        }
    }

    /// The member whose constant tells alternatives apart, if each has one.
    fn dispatch(&self, list: &[SchemaId]) -> Option<Dispatch> {
        let objects: Vec<(SchemaId, &ObjectRules)> = list
            .iter()
            .filter(|id| self.types_of(**id).has(Types::OBJECT))
            .map(|id| {
                let plan = self.plan(*id);
                let object = self.get(plan.id).object.as_deref().filter(|_| plan.single)?;
                Some((*id, object))
            })
            .collect::<Option<_>>()?;
        let (_, first) = objects.first().filter(|_| objects.len() > 1)?;
        first.properties.iter().find_map(|property| {
            let mut values: BTreeMap<Box<str>, Vec<SchemaId>> = BTreeMap::new();
            for (id, object) in &objects {
                let property = object.properties.get(object.find(&property.name)?)?;
                for text in self.only_texts(property)? {
                    let list = values.entry(text.clone()).or_default();
                    // The same schema listed twice fits twice.
                    list.push(*id);
                }
            }
            let most = values.values().map(Vec::len).max().unwrap_or(0);
            let values: Vec<_> = values.into_iter().map(|(text, list)| (text, list.into())).collect();
            (most < objects.len())
                .then(|| Dispatch { property: property.name.clone(), values: values.into() })
        })
    }

    /// The texts that a member may be, if it may be nothing else.
    fn only_texts(&self, property: &Property) -> Option<&[Box<str>]> {
        let plan = self.plan(property.schema);
        let schema = self.get(plan.id);
        let constants = schema.constants.as_ref()?;
        let only = plan.single && property.described && !schema.nullable && constants.others.is_empty();
        only.then_some(&*constants.strings)
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Busy,
    /// It stays what it is, and applies others when it is read.
    Compound,
    Merged(SchemaId),
}

struct Merger<'a> {
    arena: &'a mut Arena,
    state: HashMap<SchemaId, State>,
    /// Schemas made to hold for one member together.
    joined: HashMap<(SchemaId, SchemaId), SchemaId>,
    /// Schemas that there may be in the end.
    most: usize,
}

impl Merger<'_> {
    /// The one schema that says the same, if there can be one.
    fn plan(&mut self, id: SchemaId, depth: usize) -> Option<SchemaId> {
        match self.state.get(&id) {
            Some(State::Merged(merged)) => return Some(*merged),
            Some(State::Busy | State::Compound) => return None,
            None => {}
        }
        if depth > MAX_DEPTH {
            return None;
        }
        self.state.insert(id, State::Busy);
        let merged = self.merge(id, depth);
        self.state.insert(id, merged.map_or(State::Compound, State::Merged));
        if let Some(merged) = merged {
            self.state.insert(merged, State::Merged(merged));
        }
        merged
    }

    fn merge(&mut self, id: SchemaId, depth: usize) -> Option<SchemaId> {
        let schema = self.arena.get(id);
        if schema.object.as_ref().is_some_and(|object| !object.dependent_schemas.is_empty()) {
            return None;
        }
        let mut parts = Vec::new();
        if let Some(applied) = &schema.applied {
            let open = applied.discriminator.as_ref().is_none_or(|found| found.mapping.is_empty());
            if !applied.any_of.is_empty()
                || !applied.one_of.is_empty()
                || applied.not.is_some()
                || applied.condition.is_some()
                || !open
            {
                return None;
            }
            parts.extend(applied.reference.iter().chain(&applied.all_of).copied());
        } else if !schema.has_unevaluated() {
            return Some(id);
        }
        let mut merged: Vec<SchemaId> = Vec::new();
        for part in parts {
            let part = self.plan(part, depth + 1)?;
            if part != SchemaId::ANY && !merged.contains(&part) {
                merged.push(part);
            }
        }
        let own = self.arena.get(id);
        if let [only] = merged.as_slice()
            && own.says_nothing()
        {
            return Some(*only);
        }
        if self.arena.schemas.len() >= self.most {
            return None;
        }
        let mut sum = own.without_applied();
        let nullable = own.nullable;
        for part in &merged {
            sum = self.both(&sum, *part)?;
        }
        // What is left over is what nothing in it speaks about.
        if let Some(object) = &mut sum.object
            && let Some(rest) = self.arena.get(id).object.as_ref().and_then(|object| object.unevaluated)
        {
            object.additional = object.additional.or(Some(rest));
        }
        if let Some(array) = &mut sum.array
            && let Some(rest) = self.arena.get(id).array.as_ref().and_then(|array| array.unevaluated)
        {
            if array.contains.is_some() {
                return None;
            }
            array.items = array.items.or(Some(rest));
        }
        sum.nullable |= nullable;
        Some(self.add(sum))
    }

    fn add(&mut self, schema: Schema) -> SchemaId {
        let id = SchemaId(u32::try_from(self.arena.schemas.len()).unwrap_or(u32::MAX));
        self.arena.schemas.push(schema);
        id
    }

    /// A schema that says what two say.
    fn both(&mut self, left: &Schema, right: SchemaId) -> Option<Schema> {
        let null = left.takes_null() && self.arena.get(right).takes_null();
        let objects = match (&left.object, &self.arena.get(right).object) {
            (Some(left), Some(right)) => {
                let (left, right) = (left.copy(), right.copy());
                Some(Box::new(self.both_objects(left, right)?))
            }
            (left, right) => left.as_ref().or(right.as_ref()).map(|rules| Box::new(rules.copy())),
        };
        let arrays = match (&left.array, &self.arena.get(right).array) {
            (Some(left), Some(right)) => {
                let (left, right) = (left.copy(), right.copy());
                Some(Box::new(self.both_arrays(left, right)?))
            }
            (left, right) => left.as_ref().or(right.as_ref()).map(|rules| Box::new(rules.copy())),
        };
        let right = self.arena.get(right);
        Some(Schema {
            types: left.types.and(right.types).without(if null { Types::NONE } else { Types::NULL }),
            nullable: null,
            read_only: left.read_only || right.read_only,
            write_only: left.write_only || right.write_only,
            flawed: left.flawed || right.flawed,
            invites: left.invites() || right.invites(),
            string: either(&left.string, &right.string, StringRules::copy, both_strings)?,
            number: either(&left.number, &right.number, NumberRules::copy, both_numbers)?,
            array: arrays,
            object: objects,
            constants: either(&left.constants, &right.constants, Constants::clone, both_constants)?,
            applied: None,
        })
    }

    fn both_objects(&mut self, left: ObjectRules, right: ObjectRules) -> Option<ObjectRules> {
        let closed = left.additional.is_some() || right.additional.is_some();
        let patterned = !left.patterns.is_empty() || !right.patterns.is_empty();
        // A pattern and `additionalProperties` of two schemas: which names both speak about is not known now.
        if closed && patterned || left.names.is_some() && right.names.is_some() && left.names != right.names {
            return None;
        }
        let mut properties: BTreeMap<Box<str>, Property> = BTreeMap::new();
        for (own, other) in [(&left, &right), (&right, &left)] {
            for property in &own.properties {
                if properties.contains_key(&property.name) {
                    continue;
                }
                let twin = other.properties.iter().find(|twin| twin.name == property.name);
                let said = |property: Option<&Property>, rules: &ObjectRules| match property {
                    Some(property) if property.described => Some(property.schema),
                    _ => rules.additional,
                };
                let schema = match (said(Some(property), own), said(twin, other)) {
                    (Some(left), Some(right)) => self.joined(left, right)?,
                    (left, right) => left.or(right).unwrap_or(SchemaId::ANY),
                };
                let described = property.described || twin.is_some_and(|twin| twin.described);
                let additional = own.additional.is_some() || other.additional.is_some();
                let merged = Property {
                    name: property.name.clone(),
                    schema,
                    // A name that is only required falls to `additionalProperties`, which is joined above.
                    described: described || additional,
                    required: property.required || twin.is_some_and(|twin| twin.required),
                    read_only: property.read_only || twin.is_some_and(|twin| twin.read_only),
                    write_only: property.write_only || twin.is_some_and(|twin| twin.write_only),
                };
                properties.insert(property.name.clone(), merged);
            }
        }
        let additional = match (left.additional, right.additional) {
            (Some(left), Some(right)) => Some(self.joined(left, right)?),
            (left, right) => left.or(right),
        };
        Some(ObjectRules {
            properties: properties.into_values().collect(),
            patterns: left.patterns.into_iter().chain(right.patterns).collect(),
            additional,
            names: left.names.or(right.names),
            min: left.min.max(right.min),
            max: least(left.max, right.max),
            dependent_required: left.dependent_required.into_iter().chain(right.dependent_required).collect(),
            ..ObjectRules::default()
        })
    }

    fn both_arrays(&mut self, left: ArrayRules, right: ArrayRules) -> Option<ArrayRules> {
        if left.contains.is_some() && right.contains.is_some() {
            return None;
        }
        let length = left.prefix.len().max(right.prefix.len());
        let mut prefix = Vec::new();
        for index in 0..length {
            let said = |rules: &ArrayRules| rules.prefix.get(index).copied().or(rules.items);
            prefix.push(match (said(&left), said(&right)) {
                (Some(left), Some(right)) => self.joined(left, right)?,
                (left, right) => left.or(right).unwrap_or(SchemaId::ANY),
            });
        }
        let items = match (left.items, right.items) {
            (Some(left), Some(right)) => Some(self.joined(left, right)?),
            (left, right) => left.or(right),
        };
        let contains = if left.contains.is_some() { &left } else { &right };
        Some(ArrayRules {
            prefix: prefix.into(),
            items,
            contains: contains.contains,
            min_contains: contains.min_contains,
            max_contains: contains.max_contains,
            min: left.min.max(right.min),
            max: least(left.max, right.max),
            unique: left.unique || right.unique,
            unevaluated: None,
        })
    }

    /// A schema that demands both.
    fn joined(&mut self, left: SchemaId, right: SchemaId) -> Option<SchemaId> {
        if left == right || right == SchemaId::ANY || left == SchemaId::NEVER {
            return Some(left);
        }
        if left == SchemaId::ANY || right == SchemaId::NEVER {
            return Some(right);
        }
        let pair = (left.min(right), left.max(right));
        if let Some(known) = self.joined.get(&pair) {
            return Some(*known);
        }
        if self.arena.schemas.len() >= self.most {
            return None;
        }
        let all_of = [pair.0, pair.1].into();
        let applied = Some(Box::new(Applied { all_of, ..Applied::default() }));
        let id = self.add(Schema { applied, ..Schema::default() });
        self.joined.insert(pair, id);
        Some(id)
    }
}

fn least(left: Option<u64>, right: Option<u64>) -> Option<u64> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

/// The rules of one of two schemas, or of both; nothing if those of both cannot be one.
#[expect(clippy::option_option, reason = "no rules are something else than rules that cannot be merged")]
fn either<T>(
    left: &Option<Box<T>>,
    right: &Option<Box<T>>,
    copy: impl Fn(&T) -> T,
    both: impl Fn(&T, &T) -> Option<T>,
) -> Option<Option<Box<T>>> {
    Some(match (left, right) {
        (Some(left), Some(right)) => Some(Box::new(both(left, right)?)),
        (left, right) => left.as_ref().or(right.as_ref()).map(|rules| Box::new(copy(rules))),
    })
}

fn both_strings(left: &StringRules, right: &StringRules) -> Option<StringRules> {
    let pattern = match (&left.pattern, &right.pattern) {
        (Some(left), Some(right)) if left.source() != right.source() => return None,
        (left, right) => left.as_ref().or(right.as_ref()).cloned(),
    };
    let format = match (left.format, right.format) {
        (Some(left), Some(right)) if left != right => return None,
        (left, right) => left.or(right),
    };
    Some(StringRules { min: left.min.max(right.min), max: least(left.max, right.max), pattern, format })
}

fn both_numbers(left: &NumberRules, right: &NumberRules) -> Option<NumberRules> {
    let multiple_of = match (&left.multiple_of, &right.multiple_of) {
        (Some(left), Some(right)) if left.divisor != right.divisor => return None,
        (left, right) => left.as_ref().or(right.as_ref()).cloned(),
    };
    let tighter = |left: &Option<Bound>, right: &Option<Bound>, order: std::cmp::Ordering| match (left, right)
    {
        (Some(left), Some(right)) => {
            let found = super::compare_numbers(&left.value, &right.value);
            let keep_left = found == order || found.is_eq() && left.exclusive;
            Some(if keep_left { left.clone() } else { right.clone() })
        }
        (left, right) => left.as_ref().or(right.as_ref()).cloned(),
    };
    let min = tighter(&left.min, &right.min, std::cmp::Ordering::Greater);
    let max = tighter(&left.max, &right.max, std::cmp::Ordering::Less);
    Some(NumberRules { min, max, multiple_of })
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside those that may have nothing to answer")]
fn both_constants(left: &Constants, right: &Constants) -> Option<Constants> {
    let strings = left.strings.iter().filter(|text| right.strings.contains(*text)).cloned().collect();
    let others = left.others.iter().filter(|one| right.others.iter().any(|other| value::equal(one, other)));
    Some(Constants { strings, others: others.cloned().collect() })
}

impl StringRules {
    fn copy(&self) -> Self {
        Self { min: self.min, max: self.max, pattern: self.pattern.clone(), format: self.format }
    }
}

impl NumberRules {
    fn copy(&self) -> Self {
        Self { min: self.min.clone(), max: self.max.clone(), multiple_of: self.multiple_of.clone() }
    }
}

impl ArrayRules {
    fn copy(&self) -> Self {
        Self { prefix: self.prefix.clone(), unevaluated: None, ..*self }
    }
}

impl ObjectRules {
    /// All but what is worked out at the end, and `unevaluatedProperties`, which is a schema's own.
    fn copy(&self) -> Self {
        Self {
            properties: self.properties.clone(),
            patterns: self.patterns.clone(),
            dependent_required: self.dependent_required.clone(),
            additional: self.additional,
            names: self.names,
            min: self.min,
            max: self.max,
            ..Self::default()
        }
    }
}

impl Schema {
    fn without_applied(&self) -> Self {
        Self {
            types: self.types,
            nullable: self.nullable,
            read_only: self.read_only,
            write_only: self.write_only,
            flawed: self.flawed,
            invites: self.invites(),
            string: self.string.as_ref().map(|rules| Box::new(rules.copy())),
            number: self.number.as_ref().map(|rules| Box::new(rules.copy())),
            array: self.array.as_ref().map(|rules| Box::new(rules.copy())),
            object: self.object.as_ref().map(|rules| Box::new(rules.copy())),
            constants: self.constants.clone(),
            applied: None,
        }
    }

    /// Whether it demands nothing but what it applies.
    fn says_nothing(&self) -> bool {
        self.types == Types::ANY && !self.nullable && self.is_bare()
    }

    /// Whether it says nothing of a value beyond its type, but for what it applies. An integer is told from another
    /// number only when it is read.
    pub(crate) fn is_bare(&self) -> bool {
        let numbers = self.types.and(Types::NUMBER);
        (numbers == Types::NONE || numbers == Types::NUMBER)
            && self.string.is_none()
            && self.number.is_none()
            && self.array.is_none()
            && self.object.is_none()
            && self.constants.is_none()
            && !self.invites()
    }

    /// Whether `null` satisfies it, what it applies aside.
    pub(crate) fn takes_null(&self) -> bool {
        self.nullable
            || self.types.has(Types::NULL)
                && self
                    .constants
                    .as_ref()
                    .is_none_or(|known| known.others.iter().any(serde_json::Value::is_null))
    }

    /// Whether members may be there that nothing describes: a discriminator without alternatives names schemas
    /// that refer here, and that describe more.
    pub(crate) fn invites(&self) -> bool {
        self.invites
            || self
                .applied
                .as_ref()
                .and_then(|applied| applied.discriminator.as_ref())
                .is_some_and(|discriminator| discriminator.mapping.is_empty())
    }

    pub(crate) fn has_unevaluated(&self) -> bool {
        self.object.as_ref().is_some_and(|rules| rules.unevaluated.is_some())
            || self.array.as_ref().is_some_and(|rules| rules.unevaluated.is_some())
    }
}
