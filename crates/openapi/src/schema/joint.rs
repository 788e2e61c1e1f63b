//! A value that several schemas speak about: `allOf` that could not be merged, alternatives, conditions, and what
//! is left for `unevaluatedProperties`.
//!
//! First everything that is in force is gathered, alternatives by trial where nothing tells them apart sooner; then
//! the value is read once against all of it.

use smallvec::SmallVec;

use super::cut::Cutter;
use super::items::Tally;
use super::json::Fault;
use super::pass::{ExtraKind, Pass, Passed, Purpose, Stop, TRIAL};
use super::validate::Path;
use super::{Applied, ArrayRules, Dispatch, Schema, SchemaId, Types};

/// Schemas that may be in force for one value.
const MAX_CONJUNCTS: usize = 256;

/// Values that several schemas speak about, inside each other. The stack bears them.
const MAX_NESTED: u32 = 128;

/// A schema that is in force.
#[derive(Debug, Clone, Copy)]
struct Conjunct<'a> {
    schema: &'a Schema,
    /// The value has still to satisfy it. Otherwise it was found to, and only describes members.
    binding: bool,
    /// What it applies itself follows it up to here.
    end: usize,
}

/// What is in force for one value.
struct Frame<'a> {
    kind: Types,
    list: SmallVec<[Conjunct<'a>; 6]>,
    /// Schemas that are being gathered, inside each other.
    open: SmallVec<[SchemaId; 12]>,
}

/// A schema for a member or an item, and whether it binds.
type Root = (SchemaId, bool);

impl<'a> Pass<'a, '_> {
    /// Reads a value against several schemas.
    pub(super) fn several(&mut self, roots: &[Root], path: &Path<'_>) -> Passed {
        if self.nested >= MAX_NESTED {
            self.exhausted = true;
            return Err(Stop::Invalid);
        }
        self.nested += 1;
        let kind = match self.lexer.peek() {
            b'{' => Types::OBJECT,
            b'[' => Types::ARRAY,
            b'"' => Types::STRING,
            b't' | b'f' => Types::BOOLEAN,
            b'n' => Types::NULL,
            b'-' | b'0'..=b'9' => Types::NUMBER,
            _ => return Err(Fault::Malformed.into()),
        };
        let mut frame = Frame { kind, list: SmallVec::new(), open: SmallVec::new() };
        let describing = !self.probing && self.wanted.any();
        for (id, binding) in roots {
            self.gather(*id, *binding, describing, &mut frame)?;
        }
        let passed = match frame.list.as_slice() {
            [] => self.skip(),
            [Conjunct { schema, binding: true, .. }] if !schema.has_unevaluated() => {
                self.single(schema, path)
            }
            list => self.joint(kind, list, path),
        };
        self.nested -= 1;
        passed
    }

    /// Adds a schema and what it applies in place.
    fn gather(&mut self, id: SchemaId, binding: bool, describing: bool, frame: &mut Frame<'a>) -> Passed {
        let plan = self.arena.plan(id);
        let (id, schema) = (plan.id, self.arena.get(plan.id));
        // A schema that applies itself to the same value adds nothing the second time.
        let adds_nothing = id == SchemaId::ANY
            || frame.open.contains(&id)
            || frame.kind == Types::NULL && schema.nullable
            || !binding && !describing;
        if adds_nothing {
            return Ok(());
        }
        if frame.list.len() >= MAX_CONJUNCTS || frame.open.len() >= 64 || self.fuel < TRIAL {
            self.exhausted = true;
            return Err(Stop::Invalid);
        }
        self.fuel -= TRIAL;
        if binding && !self.arena.types_of(id).has(frame.kind) {
            return self.refuse();
        }
        let at = frame.list.len();
        let bare = schema.is_bare();
        if !bare {
            frame.list.push(Conjunct { schema, binding, end: at + 1 });
        }
        if plan.single {
            return Ok(());
        }
        frame.open.push(id);
        self.applied(schema, binding, describing || schema.has_unevaluated(), frame)?;
        frame.open.pop();
        let end = frame.list.len();
        if let Some(own) = frame.list.get_mut(at).filter(|_| !bare) {
            own.end = end;
        }
        Ok(())
    }

    fn applied(
        &mut self,
        schema: &'a Schema,
        binding: bool,
        describing: bool,
        frame: &mut Frame<'a>,
    ) -> Passed {
        if frame.kind == Types::OBJECT
            && let Some(object) = &schema.object
        {
            for (name, inner) in &object.dependent_schemas {
                if self.member_at(self.lexer.at, name).is_some() {
                    self.gather(*inner, binding, describing, frame)?;
                }
            }
        }
        let Some(applied) = &schema.applied else { return Ok(()) };
        for part in applied.reference.iter().chain(&applied.all_of) {
            self.gather(*part, binding, describing, frame)?;
        }
        match self.named(applied, frame.kind) {
            Named::One(schema) => self.gather(schema, binding, describing, frame)?,
            Named::Unknown => self.demand(!binding)?,
            Named::Nothing => {
                for (list, dispatch, exactly_one) in [
                    (&applied.any_of, &applied.any_dispatch, false),
                    (&applied.one_of, &applied.one_dispatch, true),
                ] {
                    if !list.is_empty() {
                        let dispatch = dispatch.as_deref();
                        self.choose(list, dispatch, exactly_one, binding, describing, frame)?;
                    }
                }
            }
        }
        if let Some(not) = applied.not.filter(|_| binding) {
            let fits = self.fits(not);
            self.demand(!fits)?;
        }
        if let Some(condition) = applied.condition {
            if self.fits(condition) {
                self.gather(condition, false, describing, frame)?;
                if let Some(then) = applied.then {
                    self.gather(then, binding, describing, frame)?;
                }
            } else if let Some(otherwise) = applied.otherwise {
                self.gather(otherwise, binding, describing, frame)?;
            }
        }
        Ok(())
    }

    fn choose(
        &mut self,
        list: &'a [SchemaId],
        dispatch: Option<&'a Dispatch>,
        exactly_one: bool,
        binding: bool,
        describing: bool,
        frame: &mut Frame<'a>,
    ) -> Passed {
        let kind = frame.kind;
        let possible = |id: &SchemaId| self.arena.types_of(*id).has(kind);
        let mut candidates: SmallVec<[SchemaId; 8]> = match dispatch {
            Some(dispatch) if kind == Types::OBJECT => self.dispatched(list, dispatch),
            _ => list.iter().copied().filter(possible).collect(),
        };
        if let [only] = candidates.as_slice() {
            // No other can fit: it has to.
            return self.gather(*only, binding, describing, frame);
        }
        let mut fitting = 0;
        let enough = match (exactly_one, describing) {
            (true, _) => 2,
            (false, true) => usize::MAX,
            (false, false) => 1,
        };
        candidates.retain(|id| {
            let fits = fitting < enough && self.fits(*id);
            fitting += usize::from(fits);
            fits
        });
        match candidates.as_slice() {
            [] => self.demand(!binding),
            [_, _, ..] if exactly_one => self.demand(!binding),
            // Reading it once more as the only one is quicker than beside others that only describe.
            [only] if describing => self.gather(*only, true, true, frame),
            _ if describing => candidates.iter().try_for_each(|id| self.gather(*id, false, true, frame)),
            _ => Ok(()),
        }
    }

    /// The alternatives that a constant member leaves.
    fn dispatched(&mut self, list: &'a [SchemaId], dispatch: &'a Dispatch) -> SmallVec<[SchemaId; 8]> {
        let start = self.lexer.at;
        let Some(at) = self.member_at(start, &dispatch.property) else {
            let optional = |id: &&SchemaId| {
                let object = self.arena.get(self.arena.plan(**id).id).object.as_ref();
                let property =
                    object.and_then(|object| object.properties.get(object.find(&dispatch.property)?));
                property.is_some_and(|property| !property.is_required(self.direction))
            };
            return list.iter().filter(optional).copied().collect();
        };
        self.lexer.at = at;
        let text = if self.lexer.peek() == b'"' { self.lexer.string().ok() } else { None };
        self.lexer.at = start;
        let Some(text) = text else { return SmallVec::new() };
        self.plainly(text, |text| {
            let found = dispatch.values.binary_search_by(|(known, _)| (**known).cmp(text)).ok();
            let found = found.and_then(|found| dispatch.values.get(found));
            found.map(|(_, list)| list.iter().copied().collect()).unwrap_or_default()
        })
    }

    /// What a discriminator says about the value.
    fn named(&mut self, applied: &'a Applied, kind: Types) -> Named {
        let Some(discriminator) = applied.discriminator.as_ref().filter(|found| !found.mapping.is_empty())
        else {
            return Named::Nothing;
        };
        let start = self.lexer.at;
        if kind != Types::OBJECT {
            return Named::Nothing;
        }
        let Some(at) = self.member_at(start, &discriminator.property) else { return Named::Nothing };
        self.lexer.at = at;
        let text = if self.lexer.peek() == b'"' { self.lexer.string().ok() } else { None };
        self.lexer.at = start;
        let Some(text) = text else { return Named::Nothing };
        self.plainly(text, |text| {
            let found = discriminator.mapping.binary_search_by(|(known, _)| (**known).cmp(text)).ok();
            let found = found.and_then(|found| discriminator.mapping.get(found));
            found.map_or(Named::Unknown, |(_, schema)| Named::One(*schema))
        })
    }

    /// Whether the value that is next satisfies a schema. Nothing else comes of it.
    pub(super) fn fits(&mut self, id: SchemaId) -> bool {
        let start = self.lexer.at;
        if id == SchemaId::ANY || self.active.contains(&(id, start)) {
            return true;
        }
        if self.fuel < TRIAL {
            self.exhausted = true;
            return false;
        }
        let (depth, nested, probing) = (self.depth, self.nested, self.probing);
        let items = self.scratch.items.len();
        self.probing = true;
        self.active.push((id, start));
        let fits = self.value(id, &Path::Root).is_ok();
        self.active.pop();
        (self.depth, self.nested, self.probing) = (depth, nested, probing);
        self.scratch.items.truncate(items);
        self.fuel = self.fuel.saturating_sub(TRIAL + (self.lexer.at.saturating_sub(start)) as u64);
        self.lexer.at = start;
        fits
    }

    /// The same for the text at a place that has been passed.
    pub(super) fn fits_at(&mut self, id: SchemaId, at: usize) -> bool {
        let here = std::mem::replace(&mut self.lexer.at, at);
        let fits = self.fits(id);
        self.lexer.at = here;
        fits
    }

    /// Where the value of a member of the object at `at` starts.
    pub(super) fn member_at(&mut self, at: usize, name: &str) -> Option<usize> {
        let here = std::mem::replace(&mut self.lexer.at, at);
        let mut found = None;
        let mut more = self.lexer.peek() == b'{' && self.lexer.open(b'}');
        while more {
            let Ok((key, _)) = self.bare_name() else { break };
            if key.escaped && self.plainly(key, |key| key == name) || !key.escaped && key.raw == name {
                found = Some(self.lexer.at);
                break;
            }
            self.lexer.hop();
            more = self.lexer.more(b'}').unwrap_or(false);
        }
        let read = self.lexer.at.saturating_sub(at) as u64;
        // The first few hundred bytes of each object are free.
        if read > 256 && self.fuel < read {
            self.exhausted = true;
        }
        self.fuel = self.fuel.saturating_sub(read);
        self.lexer.at = here;
        found
    }

    fn joint(&mut self, kind: Types, list: &[Conjunct<'a>], path: &Path<'_>) -> Passed {
        if kind == Types::OBJECT || kind == Types::ARRAY {
            for conjunct in list.iter().filter(|conjunct| conjunct.binding) {
                let fits = conjunct.schema.types.has(kind) && self.is_constant(conjunct.schema);
                self.demand(fits)?;
            }
            self.count()?;
            return if kind == Types::OBJECT {
                self.joint_object(list, path)
            } else {
                self.joint_array(list, path)
            };
        }
        let schemas: SmallVec<[&Schema; 6]> =
            list.iter().filter(|conjunct| conjunct.binding).map(|conjunct| conjunct.schema).collect();
        self.scalar(&schemas)
    }

    fn joint_array(&mut self, list: &[Conjunct<'a>], path: &Path<'_>) -> Passed {
        self.deeper()?;
        let rules = |conjunct: &Conjunct<'a>| conjunct.schema.array.as_deref();
        let mut tallies: SmallVec<[(&ArrayRules, Tally); 4]> = SmallVec::new();
        for conjunct in list.iter().filter(|conjunct| conjunct.binding) {
            if let Some(rules) = rules(conjunct) {
                let unique = rules.unique && !tallies.iter().any(|(rules, _)| rules.unique);
                tallies.push((rules, Tally::new(unique, self)));
            }
        }
        let covering = list.iter().any(|conjunct| conjunct.schema.has_unevaluated());
        let mut index = 0;
        let mut more = self.lexer.open(b']');
        while more {
            let mut roots: SmallVec<[Root; 6]> = SmallVec::new();
            let mut covers: SmallVec<[bool; 8]> = SmallVec::new();
            for (rules, tally) in &mut tallies {
                tally.before(rules, self);
            }
            for conjunct in list {
                let rules = rules(conjunct);
                let said = rules.and_then(|rules| rules.prefix.get(index).copied().or(rules.items));
                roots.extend(said.map(|schema| (schema, conjunct.binding)));
                if covering {
                    let contains = rules.and_then(|rules| rules.contains);
                    covers.push(said.is_some() || contains.is_some_and(|contains| self.fits(contains)));
                }
            }
            for (at, conjunct) in list.iter().enumerate().filter(|_| covering) {
                let Some(rest) = rules(conjunct).and_then(|rules| rules.unevaluated) else { continue };
                let nested = |at: usize| {
                    let rules = list.get(at).and_then(rules);
                    covers.get(at) == Some(&true) || rules.is_some_and(|rules| rules.unevaluated.is_some())
                };
                if covers.get(at) != Some(&true) && !(at + 1..conjunct.end).any(nested) {
                    roots.push((rest, conjunct.binding));
                }
            }
            self.inner(&roots, &Path::Index(path, index))?;
            for (_, tally) in &tallies {
                tally.after(self);
            }
            index += 1;
            more = self.lexer.more(b']')?;
        }
        self.depth += 1;
        for (rules, tally) in tallies {
            let fits = tally.fits(rules, index as u64, self);
            self.demand(fits)?;
        }
        Ok(())
    }

    fn joint_object(&mut self, list: &[Conjunct<'a>], path: &Path<'_>) -> Passed {
        self.deeper()?;
        let opened = self.lexer.at;
        let mark = self.scratch.names.mark();
        let rules = |conjunct: &Conjunct<'a>| conjunct.schema.object.as_deref();
        let describes = list.iter().filter_map(rules).any(|rules| rules.describes);
        let invites = list.iter().any(|conjunct| conjunct.schema.invites());
        let mut required: SmallVec<[u32; 8]> = list.iter().map(|_| 0).collect();
        let mut members = 0_u64;
        let mut cut = Cutter::default();
        let mut more = self.lexer.open(b'}');
        while more {
            let (key, start) = self.bare_name()?;
            self.note(key, start);
            members += 1;
            let mut roots: SmallVec<[Root; 6]> = SmallVec::new();
            let mut covers: SmallVec<[bool; 8]> = SmallVec::new();
            let (mut described, mut invited, mut wrong) = (false, invites, false);
            let direction = self.direction;
            let access: SmallVec<[_; 8]> = self.plainly(key, |key| {
                let mut named = SmallVec::new();
                for (conjunct, required) in list.iter().zip(&mut required) {
                    let Some(rules) = rules(conjunct) else {
                        covers.push(false);
                        continue;
                    };
                    let mut here = false;
                    if let Some(property) = rules.find(key).and_then(|found| rules.properties.get(found)) {
                        *required += u32::from(property.is_required(direction));
                        if property.described {
                            here = true;
                            roots.push((property.schema, conjunct.binding));
                            named.push(property);
                        }
                    }
                    for (pattern, schema) in &rules.patterns {
                        if pattern.is_match(key) {
                            here = true;
                            roots.push((*schema, conjunct.binding));
                        }
                    }
                    described |= here;
                    if let Some(additional) = rules.additional.filter(|_| !here) {
                        here = true;
                        invited = true;
                        roots.push((additional, conjunct.binding));
                    }
                    covers.push(here);
                }
                named
            });
            for property in access {
                wrong |= self.goes_wrong_way(property);
            }
            for (at, conjunct) in list.iter().enumerate() {
                let Some(rules) = rules(conjunct) else { continue };
                if let Some(names) = rules.names.filter(|_| conjunct.binding) {
                    let fits = self.fits_at(names, start);
                    self.demand(fits)?;
                }
                let Some(rest) = rules.unevaluated else { continue };
                let nested = |at: usize| {
                    let rules = list.get(at).and_then(rules_of);
                    covers.get(at) == Some(&true) || rules.is_some_and(|rules| rules.unevaluated.is_some())
                };
                if covers.get(at) != Some(&true) && !(at + 1..conjunct.end).any(nested) {
                    invited = true;
                    roots.push((rest, conjunct.binding));
                }
            }
            let path = Path::Token(path, key.raw);
            let forbidden =
                !described && self.purpose == Purpose::Cut && roots.contains(&(SchemaId::NEVER, true));
            let unwanted = if wrong && self.wanted.wrong_direction {
                self.report(&path, ExtraKind::WrongDirection)
            } else if forbidden || !described && !invited && describes {
                self.report(&path, ExtraKind::Undescribed)
            } else {
                false
            };
            self.inner(&roots, &path)?;
            let end = self.lexer.at;
            more = self.lexer.more(b'}')?;
            if self.purpose == Purpose::Cut && !self.probing {
                let next = if more { self.lexer.peek() } else { 0 };
                let following = (next != 0).then_some(self.lexer.at);
                cut.member(unwanted, (start, end), following, &mut self.found.cuts);
            }
        }
        self.close_names(mark)?;
        self.depth += 1;
        for (conjunct, required) in list.iter().zip(required).filter(|(conjunct, _)| conjunct.binding) {
            let Some(rules) = rules(conjunct) else { continue };
            let fits = rules.min.is_none_or(|min| members >= min)
                && rules.max.is_none_or(|max| members <= max)
                && required >= rules.required_in(self.direction)
                && self.dependents_fit(rules, opened);
            self.demand(fits)?;
        }
        Ok(())
    }

    /// Reads a member or an item against what is said about it.
    fn inner(&mut self, roots: &[Root], path: &Path<'_>) -> Passed {
        match roots {
            [] => self.skip(),
            [(only, true)] => self.value(*only, path),
            several => self.several(several, path),
        }
    }
}

fn rules_of<'a>(conjunct: &Conjunct<'a>) -> Option<&'a super::ObjectRules> {
    conjunct.schema.object.as_deref()
}

/// What a discriminator says.
enum Named {
    /// There is none, or the value does not have its property.
    Nothing,
    One(SchemaId),
    Unknown,
}
