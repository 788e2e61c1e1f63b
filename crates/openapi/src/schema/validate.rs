//! A value against a schema.
//!
//! One walk serves both questions. Asked whether a value fits, it stops at the first thing that does not and
//! builds no text; only if something does not fit is it walked again to collect what, up to
//! [`MAX_VIOLATIONS`].

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::json::Text;
use super::number::Num;
use super::{
    Applied, Arena, ArrayRules, Direction, NumberRules, ObjectRules, Schema, SchemaId, StringRules, Types,
    explain, value,
};
use crate::report::{MAX_VIOLATIONS, push_step};

/// Schemas inside each other that are followed, in the value's depth and in place together.
const MAX_DEPTH: u16 = 256;

/// Schemas that are visited for any value before it is refused as too complex to judge.
const FUEL: u32 = 100_000;

/// Schemas that are visited for each part of a value on top of that.
const FUEL_PER_PART: u32 = 64;

/// One thing about a value that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) pointer: String,
    pub(crate) expected: Cow<'static, str>,
}

/// The way from the value to a part of it, kept on the stack.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    /// A key as JSON writes it, between its quotes.
    Token(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    pub(crate) fn pointer(&self) -> String {
        let mut steps = SmallVec::<[&Path<'_>; 16]>::new();
        let mut at = self;
        while let Path::Key(parent, _) | Path::Token(parent, _) | Path::Index(parent, _) = at {
            steps.push(at);
            at = parent;
        }
        let mut out = String::new();
        for step in steps.iter().rev() {
            match step {
                Path::Key(_, key) => push_step(&mut out, key),
                Path::Token(_, raw) => {
                    let mut key = String::new();
                    Text { raw, escaped: raw.contains('\\') }.unescape(&mut key);
                    push_step(&mut out, &key);
                }
                Path::Index(_, index) => push_step(&mut out, &index.to_string()),
                Path::Root => {}
            }
        }
        out
    }
}

/// Where what does not fit goes to.
pub(super) trait Sink {
    /// Whether to go on after the first.
    const COLLECTS: bool;
    fn report(&mut self, path: &Path<'_>, expected: impl FnOnce() -> Cow<'static, str>);
}

pub(super) struct Silent;

impl Sink for Silent {
    const COLLECTS: bool = false;
    fn report(&mut self, _: &Path<'_>, _: impl FnOnce() -> Cow<'static, str>) {}
}

#[derive(Default)]
struct Collect(Vec<Issue>);

impl Sink for Collect {
    const COLLECTS: bool = true;
    fn report(&mut self, path: &Path<'_>, expected: impl FnOnce() -> Cow<'static, str>) {
        if self.0.len() < MAX_VIOLATIONS {
            self.0.push(Issue { pointer: path.pointer(), expected: expected() });
        }
    }
}

/// Notes what does not hold; leaves at once unless all of it is wanted.
macro_rules! demand {
    ($ok:ident, $sink:ident: $S:ident, $path:expr, $holds:expr, $($expected:tt)+) => {
        if !$holds {
            $sink.report($path, || Cow::from($($expected)+));
            if !$S::COLLECTS {
                return false;
            }
            $ok = false;
        }
    };
}

/// Takes over the answer of an inner check.
macro_rules! require {
    ($ok:ident, $S:ident, $inner:expr) => {
        if !$inner {
            if !$S::COLLECTS {
                return false;
            }
            $ok = false;
        }
    };
}

impl Arena {
    /// Whether a value satisfies a schema.
    pub(crate) fn accepts(&self, id: SchemaId, value: &Value, direction: Direction) -> bool {
        Walk::new(self, direction, value).visit(id, value, &Path::Root, &mut Silent)
    }

    /// What about a value does not satisfy a schema; empty if it does. Nothing is allocated then.
    pub(crate) fn validate(&self, id: SchemaId, value: &Value, direction: Direction) -> Vec<Issue> {
        if self.accepts(id, value, direction) { Vec::new() } else { self.explain(id, value, direction) }
    }

    /// What about a value does not satisfy a schema that it is known not to satisfy.
    pub(crate) fn explain(&self, id: SchemaId, value: &Value, direction: Direction) -> Vec<Issue> {
        let mut sink = Collect::default();
        Walk::new(self, direction, value).visit(id, value, &Path::Root, &mut sink);
        if sink.0.is_empty() {
            let expected = "a value that the schema accepts".into();
            sink.0.push(Issue { pointer: String::new(), expected });
        }
        sink.0
    }

    /// What about a text does not satisfy a schema that has no sub-schemas.
    pub(crate) fn validate_text(&self, id: SchemaId, text: &str) -> Result<(), Cow<'static, str>> {
        let schema = self.get(id);
        let fits = schema.types.has(Types::STRING)
            && schema.constants.as_ref().is_none_or(|constants| has_string(&constants.strings, text))
            && schema.string.as_ref().is_none_or(|rules| string(rules, text, &Path::Root, &mut Silent));
        if fits {
            return Ok(());
        }
        let mut sink = Collect::default();
        match (&schema.constants, &schema.string) {
            _ if !schema.types.has(Types::STRING) => {
                return Err(explain::types(schema.types, schema.nullable));
            }
            (Some(constants), _) if !has_string(&constants.strings, text) => {
                return Err(explain::constants(constants));
            }
            (_, Some(rules)) => string(rules, text, &Path::Root, &mut sink),
            _ => true,
        };
        Err(sink.0.pop().map_or(Cow::from("a value that the schema accepts"), |issue| issue.expected))
    }
}

pub(super) fn has_string(sorted: &[Box<str>], text: &str) -> bool {
    sorted.binary_search_by(|known| (**known).cmp(text)).is_ok()
}

/// One walk, with what it may still spend.
pub(super) struct Walk<'a> {
    arena: &'a Arena,
    pub(super) direction: Direction,
    fuel: Cell<u32>,
    /// The value as a whole, until its size has been added to the fuel.
    whole: Cell<Option<&'a Value>>,
    depth: Cell<u16>,
    /// Schemas that lead back to themselves in place, with the value they are on.
    active: RefCell<SmallVec<[(SchemaId, *const Value); 8]>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(arena: &'a Arena, direction: Direction, whole: &'a Value) -> Self {
        let active = RefCell::new(SmallVec::new());
        let (fuel, whole) = (Cell::new(FUEL), Cell::new(Some(whole)));
        Self { arena, direction, fuel, whole, depth: Cell::new(0), active }
    }

    pub(super) fn fits(&self, id: SchemaId, value: &Value) -> bool {
        self.visit(id, value, &Path::Root, &mut Silent)
    }

    fn visit<S: Sink>(&self, id: SchemaId, value: &Value, path: &Path<'_>, sink: &mut S) -> bool {
        if id == SchemaId::ANY {
            return true;
        }
        let schema = self.arena.get(id);
        if schema.nullable && value.is_null() {
            return true;
        }
        let (fuel, depth) = (self.fuel(), self.depth.get());
        if fuel == 0 || depth >= MAX_DEPTH {
            sink.report(path, || "a simpler value: this one takes too many steps to judge".into());
            return false;
        }
        let here: *const Value = value;
        if schema.applied.is_some() && depth > 16 {
            // A schema that applies itself to the same value adds nothing the second time.
            let mut active = self.active.borrow_mut();
            if active.contains(&(id, here)) {
                return true;
            }
            active.push((id, here));
        }
        self.fuel.set(fuel - 1);
        self.depth.set(depth + 1);
        let fits = self.apply(schema, id, value, path, sink);
        self.depth.set(depth);
        if schema.applied.is_some() && depth > 16 {
            self.active.borrow_mut().pop();
        }
        fits
    }

    fn apply<S: Sink>(
        &self,
        schema: &Schema,
        id: SchemaId,
        value: &Value,
        path: &Path<'_>,
        sink: &mut S,
    ) -> bool {
        let mut ok = true;
        if !schema.types.has(Types::of(value)) {
            sink.report(path, || explain::types(schema.types, schema.nullable));
            return false;
        }
        if let Some(constants) = &schema.constants {
            let known = match value {
                Value::String(text) => has_string(&constants.strings, text),
                other => constants.others.iter().any(|constant| value::equal(constant, other)),
            };
            demand!(ok, sink: S, path, known, explain::constants(constants));
        }
        match value {
            Value::String(text) => {
                if let Some(rules) = &schema.string {
                    require!(ok, S, string(rules, text, path, sink));
                }
            }
            Value::Number(found) => {
                if let Some(rules) = &schema.number {
                    require!(ok, S, number(rules, Num::of(found), path, sink));
                }
            }
            Value::Array(items) => {
                if let Some(rules) = &schema.array {
                    require!(ok, S, self.array(rules, items, path, sink));
                }
            }
            Value::Object(members) => {
                if let Some(rules) = &schema.object {
                    require!(ok, S, self.object(rules, members, value, path, sink));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
        if let Some(applied) = &schema.applied {
            require!(ok, S, self.applied(applied, value, path, sink));
        }
        if ok {
            require!(ok, S, self.unevaluated(schema, id, value, path, sink));
        }
        ok
    }

    fn array<S: Sink>(&self, rules: &ArrayRules, items: &[Value], path: &Path<'_>, sink: &mut S) -> bool {
        let mut ok = true;
        let length = items.len() as u64;
        if let Some(min) = rules.min {
            demand!(ok, sink: S, path, length >= min, format!("at least {min} item(s)"));
        }
        if let Some(max) = rules.max {
            demand!(ok, sink: S, path, length <= max, format!("at most {max} item(s)"));
        }
        if rules.items.is_some() || !rules.prefix.is_empty() {
            for (index, item) in items.iter().enumerate() {
                let Some(schema) = rules.prefix.get(index).copied().or(rules.items) else { break };
                require!(ok, S, self.visit(schema, item, &Path::Index(path, index), sink));
            }
        }
        if let Some(contains) = rules.contains {
            let enough = rules.max_contains.map_or(rules.min_contains, |max| max.saturating_add(1));
            let mut count = 0;
            for item in items {
                if count < enough && self.fits(contains, item) {
                    count += 1;
                }
            }
            let (min, max) = (rules.min_contains, rules.max_contains.unwrap_or(u64::MAX));
            demand!(ok, sink: S, path, count >= min, format!("at least {min} item(s) of the kind that it must contain"));
            demand!(ok, sink: S, path, count <= max, format!("at most {max} item(s) of the kind that it must contain"));
        }
        if rules.unique {
            demand!(ok, sink: S, path, value::all_unique(items), "no two items alike");
        }
        ok
    }

    fn object<S: Sink>(
        &self,
        rules: &ObjectRules,
        members: &Map<String, Value>,
        value: &Value,
        path: &Path<'_>,
        sink: &mut S,
    ) -> bool {
        let mut ok = true;
        let length = members.len() as u64;
        if let Some(min) = rules.min {
            demand!(ok, sink: S, path, length >= min, format!("at least {min} member(s)"));
        }
        if let Some(max) = rules.max {
            demand!(ok, sink: S, path, length <= max, format!("at most {max} member(s)"));
        }
        let mut required = 0;
        for (key, member) in members {
            let mut described = false;
            if let Some(property) = rules.property(key) {
                required += u32::from(property.is_required(self.direction));
                described = property.described;
                if described {
                    require!(ok, S, self.visit(property.schema, member, &Path::Key(path, key), sink));
                }
            }
            for (pattern, schema) in &rules.patterns {
                if pattern.is_match(key) {
                    described = true;
                    require!(ok, S, self.visit(*schema, member, &Path::Key(path, key), sink));
                }
            }
            if !described && let Some(additional) = rules.additional {
                let path = Path::Key(path, key);
                if additional == SchemaId::NEVER {
                    demand!(ok, sink: S, &path, false, "no such member");
                } else {
                    require!(ok, S, self.visit(additional, member, &path, sink));
                }
            }
            if let Some(names) = rules.names {
                let name = Value::String(key.clone());
                let fits = self.fits(names, &name);
                demand!(ok, sink: S, &Path::Key(path, key), fits, "a member name that the schema allows");
            }
        }
        if required < rules.required_in(self.direction) {
            if !S::COLLECTS {
                return false;
            }
            ok = false;
            for property in &rules.properties {
                if property.is_required(self.direction) && !members.contains_key(&*property.name) {
                    sink.report(path, || format!("the member `{}`", explain::cut(&property.name)).into());
                }
            }
        }
        for (name, needed) in &rules.dependent_required {
            if members.contains_key(&**name) {
                for other in needed {
                    demand!(ok, sink: S, path, members.contains_key(&**other), format!("the member `{}` beside `{}`", explain::cut(other), explain::cut(name)));
                }
            }
        }
        for (name, schema) in &rules.dependent_schemas {
            if members.contains_key(&**name) {
                require!(ok, S, self.visit(*schema, value, path, sink));
            }
        }
        ok
    }

    fn applied<S: Sink>(&self, applied: &Applied, value: &Value, path: &Path<'_>, sink: &mut S) -> bool {
        let mut ok = true;
        if let Some(reference) = applied.reference {
            require!(ok, S, self.visit(reference, value, path, sink));
        }
        for part in &applied.all_of {
            require!(ok, S, self.visit(*part, value, path, sink));
        }
        match applied.choice(value) {
            Choice::Of(schema) => require!(ok, S, self.visit(schema, value, path, sink)),
            Choice::Unknown(discriminator) => {
                let path = Path::Key(path, &discriminator.property);
                demand!(ok, sink: S, &path, false, known_kinds(&discriminator.mapping));
            }
            Choice::Free => {
                if !applied.any_of.is_empty() && !applied.any_of.iter().any(|part| self.fits(*part, value)) {
                    require!(ok, S, self.none_fits(&applied.any_of, value, path, sink));
                }
                if !applied.one_of.is_empty() {
                    let mut fitting = applied.one_of.iter().filter(|part| self.fits(**part, value));
                    match (fitting.next(), fitting.next()) {
                        (Some(_), None) => {}
                        (None, _) => require!(ok, S, self.none_fits(&applied.one_of, value, path, sink)),
                        (Some(_), Some(_)) => {
                            demand!(ok, sink: S, path, false, "a value of exactly one of the alternatives; this one fits several");
                        }
                    }
                }
            }
        }
        if let Some(not) = applied.not {
            demand!(ok, sink: S, path, !self.fits(not, value), "a value unlike the one that is excluded");
        }
        if let Some(condition) = applied.condition {
            let branch = if self.fits(condition, value) { applied.then } else { applied.otherwise };
            if let Some(branch) = branch {
                require!(ok, S, self.visit(branch, value, path, sink));
            }
        }
        ok
    }

    /// Says why no alternative fits: by the only one that the value's type leaves, or by their number.
    fn none_fits<S: Sink>(&self, parts: &[SchemaId], value: &Value, path: &Path<'_>, sink: &mut S) -> bool {
        if S::COLLECTS {
            let of = Types::of(value);
            let mut possible = parts.iter().filter(|part| self.arena.types_of(**part).has(of));
            match (possible.next(), possible.next()) {
                (Some(only), None) => {
                    self.visit(*only, value, path, sink);
                }
                (None, _) => {
                    let types =
                        parts.iter().map(|part| self.arena.types_of(*part)).fold(Types::NONE, Types::with);
                    sink.report(path, || explain::types(types, false));
                }
                _ => sink.report(path, || format!("a value of one of {} alternatives", parts.len()).into()),
            }
        }
        false
    }

    fn unevaluated<S: Sink>(
        &self,
        schema: &Schema,
        id: SchemaId,
        value: &Value,
        path: &Path<'_>,
        sink: &mut S,
    ) -> bool {
        let mut ok = true;
        match value {
            Value::Object(members) => {
                let Some(rest) = schema.object.as_ref().and_then(|rules| rules.unevaluated) else {
                    return true;
                };
                for (key, member) in members {
                    if !self.covers_member(id, value, members, key, true) {
                        let path = Path::Key(path, key);
                        if rest == SchemaId::NEVER {
                            demand!(ok, sink: S, &path, false, "no such member");
                        } else {
                            require!(ok, S, self.visit(rest, member, &path, sink));
                        }
                    }
                }
            }
            Value::Array(items) => {
                let Some(rest) = schema.array.as_ref().and_then(|rules| rules.unevaluated) else {
                    return true;
                };
                for (index, item) in items.iter().enumerate() {
                    if !self.covers_item(id, value, item, index, true) {
                        require!(ok, S, self.visit(rest, item, &Path::Index(path, index), sink));
                    }
                }
            }
            _ => {}
        }
        ok
    }

    /// Whether a schema that the object satisfies says something about a member (2020-12, section 11.3).
    fn covers_member(
        &self,
        id: SchemaId,
        value: &Value,
        members: &Map<String, Value>,
        key: &str,
        top: bool,
    ) -> bool {
        let schema = self.arena.get(id);
        let Some(inner) = self.enter() else { return false };
        let own = schema.object.as_ref().is_some_and(|rules| {
            rules.property(key).is_some_and(|property| property.described)
                || rules.patterns.iter().any(|(pattern, _)| pattern.is_match(key))
                || rules.additional.is_some()
                || !top && rules.unevaluated.is_some()
                || rules.dependent_schemas.iter().any(|(name, schema)| {
                    members.contains_key(&**name) && self.covers_member(*schema, value, members, key, false)
                })
        });
        let covered = own
            || schema.applied.as_ref().is_some_and(|applied| {
                self.in_force(applied, value)
                    .iter()
                    .any(|id| self.covers_member(*id, value, members, key, false))
            });
        self.depth.set(inner);
        covered
    }

    fn covers_item(&self, id: SchemaId, value: &Value, item: &Value, index: usize, top: bool) -> bool {
        let schema = self.arena.get(id);
        let Some(inner) = self.enter() else { return false };
        let own = schema.array.as_ref().is_some_and(|rules| {
            index < rules.prefix.len()
                || rules.items.is_some()
                || rules.contains.is_some_and(|contains| self.fits(contains, item))
                || !top && rules.unevaluated.is_some()
        });
        let covered = own
            || schema.applied.as_ref().is_some_and(|applied| {
                self.in_force(applied, value)
                    .iter()
                    .any(|id| self.covers_item(*id, value, item, index, false))
            });
        self.depth.set(inner);
        covered
    }

    /// What may still be spent. Big values are counted when the first portion is gone, and only then.
    fn fuel(&self) -> u32 {
        let fuel = self.fuel.get();
        if fuel > 0 {
            return fuel;
        }
        let Some(whole) = self.whole.take() else { return 0 };
        let more = u32::try_from(value::parts(whole)).unwrap_or(u32::MAX).saturating_mul(FUEL_PER_PART);
        self.fuel.set(more);
        more
    }

    /// One level deeper, unless that is too deep; answers the level to return to.
    fn enter(&self) -> Option<u16> {
        let depth = self.depth.get();
        let fuel = self.fuel().checked_sub(1)?;
        if depth >= MAX_DEPTH {
            return None;
        }
        self.fuel.set(fuel);
        self.depth.set(depth + 1);
        Some(depth)
    }

    /// The schemas of an applicator that hold for a value that satisfies it.
    fn in_force(&self, applied: &Applied, value: &Value) -> SmallVec<[SchemaId; 8]> {
        let mut list: SmallVec<[SchemaId; 8]> = applied.reference.into_iter().collect();
        list.extend_from_slice(&applied.all_of);
        match applied.choice(value) {
            Choice::Of(schema) => list.push(schema),
            Choice::Unknown(_) => {}
            Choice::Free => {
                let parts = applied.any_of.iter().chain(&applied.one_of).copied();
                list.extend(parts.filter(|part| self.fits(*part, value)));
            }
        }
        if let Some(condition) = applied.condition {
            if self.fits(condition, value) {
                list.push(condition);
                list.extend(applied.then);
            } else {
                list.extend(applied.otherwise);
            }
        }
        list
    }
}

/// Whether a text satisfies what is said of texts.
pub(super) fn string<S: Sink>(rules: &StringRules, text: &str, path: &Path<'_>, sink: &mut S) -> bool {
    let mut ok = true;
    if rules.min.is_some() || rules.max.is_some() {
        // A character is one to four bytes: most texts need not be counted.
        let bytes = text.len() as u64;
        let (min, max) = (rules.min.unwrap_or(0), rules.max.unwrap_or(u64::MAX));
        if bytes > max || bytes / 4 < min {
            let length = text.chars().count() as u64;
            demand!(ok, sink: S, path, length >= min, format!("at least {min} character(s)"));
            demand!(ok, sink: S, path, length <= max, format!("at most {max} character(s)"));
        }
    }
    if let Some(format) = rules.format {
        demand!(ok, sink: S, path, format.accepts(text), format.expected());
    }
    // A text that is too long anyway is not worth matching.
    if let Some(pattern) = rules.pattern.as_ref().filter(|_| ok) {
        demand!(ok, sink: S, path, pattern.is_match(text), format!("text that matches `{}`", explain::cut(pattern.source())));
    }
    ok
}

/// Whether a number satisfies what is said of numbers.
pub(super) fn number<S: Sink>(rules: &NumberRules, value: Num, path: &Path<'_>, sink: &mut S) -> bool {
    let mut ok = true;
    if let Some(min) = &rules.min {
        let order = value.compare(min.num);
        let fits = if min.exclusive { order.is_gt() } else { order.is_ge() };
        let words = if min.exclusive { "more than" } else { "at least" };
        demand!(ok, sink: S, path, fits, format!("{words} {}", min.value));
    }
    if let Some(max) = &rules.max {
        let order = value.compare(max.num);
        let fits = if max.exclusive { order.is_lt() } else { order.is_le() };
        let words = if max.exclusive { "less than" } else { "at most" };
        demand!(ok, sink: S, path, fits, format!("{words} {}", max.value));
    }
    if let Some(multiple) = &rules.multiple_of {
        demand!(ok, sink: S, path, multiple.divides(value), format!("a multiple of {}", multiple.divisor));
    }
    ok
}

/// What a discriminator says about a value.
enum Choice<'a> {
    /// There is none, or the value does not have its property.
    Free,
    Of(SchemaId),
    Unknown(&'a super::Discriminator),
}

impl Applied {
    fn choice(&self, value: &Value) -> Choice<'_> {
        let named = || {
            let discriminator = self.discriminator.as_ref().filter(|found| !found.mapping.is_empty())?;
            let kind = value.as_object()?.get(&*discriminator.property)?.as_str()?;
            Some((discriminator, kind))
        };
        let Some((discriminator, kind)) = named() else { return Choice::Free };
        let found = discriminator.mapping.binary_search_by(|(known, _)| (**known).cmp(kind)).ok();
        match found.and_then(|found| discriminator.mapping.get(found)) {
            Some((_, schema)) => Choice::Of(*schema),
            None => Choice::Unknown(discriminator),
        }
    }
}

fn known_kinds(mapping: &[(Box<str>, SchemaId)]) -> Cow<'static, str> {
    let strings = mapping.iter().map(|(kind, _)| kind.clone()).collect();
    explain::constants(&super::Constants { strings, others: Box::default() })
}
