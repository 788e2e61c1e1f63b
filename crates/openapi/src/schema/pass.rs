//! A body against a schema in one pass over its bytes.
//!
//! No tree is built. Grammar, depth, number of values and names that come twice are checked on the way, and so are
//! members that should not be there ([`Extra`]). A value that one schema speaks about, which merging at load makes
//! of most ([`super::plan`]), is read by [`Pass::single`]; one that several speak about by [`super::joint`]. Nothing
//! is allocated for a text in order: what grows is kept by the thread.

use std::cell::Cell;

use smallvec::SmallVec;

use super::cut::Cutter;
use super::items::Item;
use super::json::{Fault, Lexer, Text};
use super::keys::{Entry, Names, Trails};
use super::number::Num;
use super::plan::Plan;
use super::validate::{Path, Silent, has_string, number, string};
use super::{Arena, Constants, Direction, ObjectRules, Property, Schema, SchemaId, Types, value};
use crate::report::MAX_VIOLATIONS;

/// How deep a body may be nested, and how many values it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Objects and arrays inside each other; 100 at most, however large this is.
    pub depth: u32,
    /// Objects, arrays and scalars.
    pub values: u32,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { depth: 100, values: 1_000_000 }
    }
}

/// Levels that are followed whatever the limits say: it is the stack that they cost.
pub(super) const MAX_DEPTH: u32 = 100;

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

/// Which members to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) undescribed: bool,
    pub(crate) wrong_direction: bool,
}

impl Wanted {
    pub(super) fn any(self) -> bool {
        self.undescribed || self.wrong_direction
    }
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To judge: it ends at the first thing that does not fit.
    Judge,
    /// To find the members that should not be there, whether the value fits or not.
    Find,
    /// The same, and where they stand, all of them.
    Cut,
}

/// Why a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is no JSON that can be taken: line and column, from one.
    Fault(Fault, usize, usize),
    /// It is JSON, as far as it was read, but does not satisfy the schema.
    Invalid,
}

/// What a pass found in a body.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Up to [`MAX_VIOLATIONS`].
    pub(crate) extras: Vec<Extra>,
    /// With [`Purpose::Cut`]: what to leave out, from and to, in order, disjoint.
    pub(crate) cuts: Vec<(usize, usize)>,
}

/// Why a pass ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Fault(Fault),
    Invalid,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

pub(crate) type Passed = Result<(), Stop>;

impl Arena {
    /// Reads a body against a schema.
    pub(crate) fn read(
        &self,
        id: SchemaId,
        body: &[u8],
        direction: Direction,
        wanted: Wanted,
        purpose: Purpose,
        limits: BodyLimits,
    ) -> Result<Findings, Unfit> {
        let reaches = self.reaches(id);
        let access = direction.of([reaches.read_only, reaches.write_only]);
        let wanted = Wanted { wrong_direction: wanted.wrong_direction && access, ..wanted };
        self.pass(body, direction, wanted, purpose, limits, |pass| pass.value(id, &Path::Root))
    }

    /// Runs over a body: `run` takes the one value that it is.
    pub(crate) fn pass<'a, 'b>(
        &'a self,
        body: &'b [u8],
        direction: Direction,
        wanted: Wanted,
        purpose: Purpose,
        limits: BodyLimits,
        run: impl FnOnce(&mut Pass<'a, 'b>) -> Passed,
    ) -> Result<Findings, Unfit> {
        let text = match std::str::from_utf8(body) {
            Ok(text) => text,
            Err(error) => {
                let valid = body.get(..error.valid_up_to()).unwrap_or_default();
                let mut lexer = Lexer::new(std::str::from_utf8(valid).unwrap_or_default());
                lexer.at = valid.len();
                let (line, column) = lexer.place();
                return Err(Unfit::Fault(Fault::Malformed, line, column));
            }
        };
        if u32::try_from(text.len()).is_err() {
            return Err(Unfit::Fault(Fault::TooComplex, 1, 1));
        }
        let mut pass = Pass {
            arena: self,
            lexer: Lexer::new(text),
            direction,
            wanted,
            purpose,
            probing: false,
            exhausted: false,
            invalid: false,
            depth: limits.depth.min(MAX_DEPTH),
            values: limits.values,
            fuel: FUEL.saturating_add((text.len() as u64).saturating_mul(FUEL_PER_BYTE)),
            nested: 0,
            active: SmallVec::new(),
            scratch: SCRATCH.take().unwrap_or_default(),
            found: Findings::default(),
        };
        let end = run(&mut pass).and_then(|()| pass.ends());
        let (place, invalid, exhausted) = (pass.lexer, pass.invalid, pass.exhausted);
        let (mut scratch, found) = (pass.scratch, pass.found);
        scratch.reset();
        SCRATCH.set(Some(scratch));
        match end {
            Err(Stop::Fault(fault)) => {
                let (line, column) = place.place();
                Err(Unfit::Fault(fault, line, column))
            }
            Err(Stop::Invalid) => Err(Unfit::Invalid),
            Ok(()) if purpose == Purpose::Judge && (invalid || exhausted) => Err(Unfit::Invalid),
            Ok(()) => Ok(found),
        }
    }
}

/// Bytes of re-reading that any body may cost, where alternatives have to be tried: a body beyond it is refused as
/// too complex to judge.
const FUEL: u64 = 4 << 20;

/// The same, for each byte of the body.
const FUEL_PER_BYTE: u64 = 64;

/// What each trial costs beside the bytes that it reads.
pub(super) const TRIAL: u64 = 32;

thread_local! {
    /// What a pass needs to grow. It is taken while one runs.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) names: Names,
    trails: Trails,
    pub(super) items: Vec<Item>,
    pub(super) buffer: String,
}

impl Scratch {
    fn reset(&mut self) {
        const KEPT: usize = 1 << 12;
        self.names.reset();
        self.items.clear();
        self.items.shrink_to(KEPT);
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
    }
}

/// One pass and where it is.
pub(crate) struct Pass<'a, 'b> {
    pub(super) arena: &'a Arena,
    pub(crate) lexer: Lexer<'b>,
    pub(super) direction: Direction,
    pub(super) wanted: Wanted,
    pub(super) purpose: Purpose,
    /// An alternative is being tried: what it is about is read in full elsewhere.
    pub(super) probing: bool,
    /// The fuel ran out: nothing that was said since counts.
    pub(super) exhausted: bool,
    invalid: bool,
    pub(super) depth: u32,
    values: u32,
    pub(super) fuel: u64,
    /// Values that several schemas speak about, inside each other, trials included.
    pub(super) nested: u32,
    /// Alternatives that are being tried, and where.
    pub(super) active: SmallVec<[(SchemaId, usize); 8]>,
    pub(super) scratch: Box<Scratch>,
    pub(super) found: Findings,
}

impl<'a, 'b> Pass<'a, 'b> {
    /// Nothing follows but white space.
    fn ends(&mut self) -> Passed {
        if self.lexer.peek() != 0 || self.lexer.at < self.lexer.len() {
            return Err(Fault::Malformed.into());
        }
        Ok(())
    }

    /// Reads a value against a schema.
    #[inline]
    pub(super) fn value(&mut self, id: SchemaId, path: &Path<'_>) -> Passed {
        self.planned(self.arena.plan(id), path)
    }

    /// Reads a value by a plan.
    #[inline]
    pub(super) fn planned(&mut self, plan: Plan, path: &Path<'_>) -> Passed {
        if plan.id == SchemaId::ANY {
            return self.skip();
        }
        if plan.single {
            self.single(self.arena.get(plan.id), path)
        } else {
            self.several(&[(plan.id, true)], path)
        }
    }

    /// Notes that something does not fit; ends the pass unless it goes on all the same.
    #[inline]
    pub(super) fn refuse(&mut self) -> Passed {
        if self.purpose == Purpose::Judge || self.probing {
            return Err(Stop::Invalid);
        }
        self.invalid = true;
        Ok(())
    }

    /// [`Pass::refuse`] unless something holds.
    #[inline]
    pub(super) fn demand(&mut self, holds: bool) -> Passed {
        if holds { Ok(()) } else { self.refuse() }
    }

    #[inline]
    pub(super) fn count(&mut self) -> Passed {
        if !self.probing {
            self.values = self.values.checked_sub(1).ok_or(Fault::TooComplex)?;
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn deeper(&mut self) -> Passed {
        self.depth = self.depth.checked_sub(1).ok_or(Fault::TooComplex)?;
        Ok(())
    }

    /// Whether an object or an array is next.
    #[inline]
    pub(crate) fn at_container(&mut self) -> bool {
        matches!(self.lexer.peek(), b'{' | b'[')
    }

    /// Takes an opening bracket: what [`Pass::closed`] wants after the closing one, and whether something follows.
    pub(crate) fn opened(&mut self, close: u8) -> Result<(usize, bool), Stop> {
        self.count()?;
        self.deeper()?;
        Ok((self.scratch.names.mark(), self.lexer.open(close)))
    }

    /// After a closing bracket.
    pub(crate) fn closed(&mut self, mark: usize) -> Passed {
        self.depth += 1;
        self.close_names(mark)
    }

    /// Reads a value that nothing is said about.
    pub(crate) fn skip(&mut self) -> Passed {
        if self.probing {
            self.lexer.hop();
            return Ok(());
        }
        self.count()?;
        self.pass_over()
    }

    fn pass_over(&mut self) -> Passed {
        if self.probing {
            self.lexer.hop();
            return Ok(());
        }
        match self.lexer.peek() {
            b'"' => {
                self.lexer.string()?;
            }
            b'{' => {
                self.deeper()?;
                let mark = self.scratch.names.mark();
                let mut more = self.lexer.open(b'}');
                while more {
                    self.name()?;
                    self.skip()?;
                    more = self.lexer.more(b'}')?;
                }
                self.close_names(mark)?;
                self.depth += 1;
            }
            b'[' => {
                self.deeper()?;
                let mut more = self.lexer.open(b']');
                while more {
                    self.skip()?;
                    more = self.lexer.more(b']')?;
                }
                self.depth += 1;
            }
            b't' => self.lexer.literal("true")?,
            b'f' => self.lexer.literal("false")?,
            b'n' => self.lexer.literal("null")?,
            _ => {
                self.lexer.number()?;
            }
        }
        Ok(())
    }

    /// Takes a member's name and the colon, and notes the name.
    pub(crate) fn name(&mut self) -> Result<Text<'b>, Stop> {
        let (text, start) = self.bare_name()?;
        self.note(text, start);
        Ok(text)
    }

    /// Takes a member's name and the colon.
    #[inline(always)]
    pub(super) fn bare_name(&mut self) -> Result<(Text<'b>, usize), Stop> {
        self.lexer.peek();
        let start = self.lexer.at;
        let text = self.lexer.string()?;
        self.lexer.expect(b':')?;
        Ok((text, start))
    }

    /// Notes a name, to tell when it comes twice.
    pub(super) fn note(&mut self, name: Text<'_>, start: usize) {
        if !self.probing {
            self.scratch.names.push(name, start);
        }
    }

    #[inline]
    pub(super) fn close_names(&mut self, mark: usize) -> Passed {
        if self.scratch.names.mark() == mark { Ok(()) } else { self.names_differ(mark) }
    }

    fn names_differ(&mut self, mark: usize) -> Passed {
        let lexer = self.lexer;
        let text = |start: usize, length: usize| {
            std::str::from_utf8(lexer.span(start + 1, start + 1 + length)).unwrap_or_default()
        };
        match self.scratch.names.close(mark, text) {
            Some(at) => {
                self.lexer.at = at;
                Err(Fault::DuplicateKey.into())
            }
            None => Ok(()),
        }
    }

    /// Reads a value against one schema that applies no other to it.
    #[inline]
    pub(super) fn single(&mut self, schema: &'a Schema, path: &Path<'_>) -> Passed {
        if self.leaf(schema)? { Ok(()) } else { self.container(schema, path) }
    }

    /// Reads a scalar against one schema; `false` if an object or an array is next, which is left. Most values are
    /// scalars: what is read for them stands in line, without a call.
    #[inline(always)]
    fn leaf(&mut self, schema: &Schema) -> Result<bool, Stop> {
        match self.lexer.peek() {
            b'"' => self.text(schema)?,
            b'{' | b'[' => return Ok(false),
            b'-' | b'0'..=b'9' => {
                self.count()?;
                let num = self.lexer.number()?;
                self.demand(number_fits(schema, num))?;
            }
            _ => self.scalar(&[schema])?,
        }
        Ok(true)
    }

    /// [`Pass::leaf`] by a plan; `false` also where that takes more than one schema.
    #[inline(always)]
    fn planned_leaf(&mut self, plan: Plan) -> Result<bool, Stop> {
        if !plan.single || plan.id == SchemaId::ANY {
            return Ok(false);
        }
        self.leaf(self.arena.get(plan.id))
    }

    #[inline(never)]
    fn container(&mut self, schema: &'a Schema, path: &Path<'_>) -> Passed {
        let is_object = self.lexer.peek() == b'{';
        let kind = if is_object { Types::OBJECT } else { Types::ARRAY };
        let fits = schema.types.has(kind) && self.is_constant(schema);
        match (&schema.object, &schema.array) {
            (Some(rules), _) if is_object && fits => {
                self.count()?;
                self.object(rules, path)
            }
            (_, Some(rules)) if !is_object && fits => {
                self.count()?;
                self.array(rules, path)
            }
            _ => {
                self.demand(fits)?;
                self.skip()
            }
        }
    }

    /// Reads a text, its opening quote being next.
    #[inline(always)]
    fn text(&mut self, schema: &Schema) -> Passed {
        self.count()?;
        let text = self.lexer.quoted()?;
        let fits = self.text_fits(schema, text);
        self.demand(fits)
    }

    /// Reads a scalar against schemas.
    pub(super) fn scalar(&mut self, schemas: &[&Schema]) -> Passed {
        self.count()?;
        match self.lexer.peek() {
            b'"' => {
                let text = self.lexer.string()?;
                for schema in schemas {
                    let fits = self.text_fits(schema, text);
                    self.demand(fits)?;
                }
            }
            b't' | b'f' => {
                let truth = self.lexer.peek() == b't';
                self.lexer.literal(if truth { "true" } else { "false" })?;
                for schema in schemas {
                    let known = |constants: &Constants| {
                        constants.others.iter().any(|other| other.as_bool() == Some(truth))
                    };
                    let fits =
                        schema.types.has(Types::BOOLEAN) && schema.constants.as_deref().is_none_or(known);
                    self.demand(fits)?;
                }
            }
            b'n' => {
                self.lexer.literal("null")?;
                for schema in schemas {
                    self.demand(schema.takes_null())?;
                }
            }
            _ => {
                let num = self.lexer.number()?;
                for schema in schemas {
                    self.demand(number_fits(schema, num))?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn text_fits(&mut self, schema: &Schema, text: Text<'_>) -> bool {
        if !schema.types.has(Types::STRING) {
            return false;
        }
        if schema.constants.is_none() && schema.string.is_none() {
            return true;
        }
        self.plainly(text, |text| {
            schema.constants.as_ref().is_none_or(|constants| has_string(&constants.strings, text))
                && schema.string.as_ref().is_none_or(|rules| string(rules, text, &Path::Root, &mut Silent))
        })
    }

    /// Hands what a text stands for to `look`.
    #[inline]
    pub(crate) fn plainly<T>(&mut self, text: Text<'_>, look: impl FnOnce(&str) -> T) -> T {
        if !text.escaped {
            return look(text.raw);
        }
        let mut buffer = std::mem::take(&mut self.scratch.buffer);
        buffer.clear();
        text.unescape(&mut buffer);
        let seen = look(&buffer);
        self.scratch.buffer = buffer;
        seen
    }

    /// Whether an object or array is one of those that a schema names. One that cannot be read will be found out.
    #[inline]
    pub(super) fn is_constant(&self, schema: &Schema) -> bool {
        schema.constants.as_ref().is_none_or(|constants| self.is_one_of(constants))
    }

    fn is_one_of(&self, constants: &Constants) -> bool {
        let mut end = self.lexer;
        end.hop();
        let Ok(found) = serde_json::from_slice(self.lexer.span(self.lexer.at, end.at)) else { return true };
        constants.others.iter().any(|constant| value::equal(constant, &found))
    }

    fn object(&mut self, rules: &'a ObjectRules, path: &Path<'_>) -> Passed {
        self.deeper()?;
        let opened = self.lexer.at;
        let mark = self.scratch.names.mark();
        let direction = self.direction;
        let (mut seen, mut required, mut members) = (0_u64, 0_u32, 0_u64);
        let mut cut = Cutter::default();
        let mut trail = rules.trail();
        let mut more = self.lexer.open(b'}');
        while more {
            self.lexer.peek();
            let start = self.lexer.at;
            members += 1;
            let foreseen = rules.foreseen(trail, &mut self.scratch.trails, self.lexer.rest());
            let found = foreseen.and_then(|(index, length)| {
                self.lexer.at += length;
                Some((index, rules.entry(index)?, None))
            });
            let (index, entry, key) = match found {
                Some((index, entry, key)) => (Some(index), Some(entry), key),
                None => {
                    let (key, _) = self.bare_name()?;
                    let found = if key.escaped {
                        self.plainly(key, |key| rules.find(key))
                    } else {
                        rules.find(key.raw)
                    };
                    let entry = found.and_then(|index| rules.entry(index));
                    (found, entry, Some(key))
                }
            };
            match (index, key) {
                (Some(index), _) if index < 64 => {
                    if seen >> index & 1 == 1 {
                        self.lexer.at = start;
                        return Err(Fault::DuplicateKey.into());
                    }
                    seen |= 1 << index;
                    trail = rules.follow(trail, &mut self.scratch.trails, index);
                }
                (_, Some(key)) => self.note(key, start),
                (_, None) => {}
            }
            if let Some(entry) = entry {
                required += u32::from(entry.is_required(direction));
            }
            if let Some(names) = rules.names {
                let fits = self.fits_at(names, start);
                self.demand(fits)?;
            }
            let unwanted = match (entry, index) {
                (Some(entry), Some(index)) if entry.described && rules.patterns.is_empty() => {
                    let name = || rules.properties.get(index).map_or("", |property| &*property.name);
                    let wrong = entry.goes_wrong_way(direction);
                    let unwanted = wrong && self.report(&Path::Key(path, name()), ExtraKind::WrongDirection);
                    if !self.planned_leaf(entry.plan)? {
                        self.planned(entry.plan, &Path::Key(path, name()))?;
                    }
                    unwanted
                }
                _ => {
                    // Nothing is foreseen that has patterns, or is not described.
                    let key = key.unwrap_or(Text { raw: "", escaped: false });
                    self.odd_member(rules, index, entry, key, &Path::Token(path, key.raw))?
                }
            };
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
        let fits = rules.min.is_none_or(|min| members >= min)
            && rules.max.is_none_or(|max| members <= max)
            && required >= rules.required_in(direction)
            && self.dependents_fit(rules, opened);
        self.demand(fits)
    }

    /// Reads a member of which more than one property may speak, or none.
    fn odd_member(
        &mut self,
        rules: &'a ObjectRules,
        index: Option<usize>,
        entry: Option<&Entry>,
        key: Text<'b>,
        path: &Path<'_>,
    ) -> Result<bool, Stop> {
        let property =
            index.and_then(|index| rules.properties.get(index)).filter(|property| property.described);
        let mut inner: SmallVec<[(SchemaId, bool); 4]> =
            property.iter().map(|property| (property.schema, true)).collect();
        self.plainly(key, |key| {
            let patterns = rules.patterns.iter().filter(|(pattern, _)| pattern.is_match(key));
            inner.extend(patterns.map(|(_, schema)| (*schema, true)));
        });
        let mut unwanted = property.is_some()
            && entry.is_some_and(|entry| entry.goes_wrong_way(self.direction))
            && self.report(path, ExtraKind::WrongDirection);
        if inner.is_empty() {
            match rules.additional {
                Some(SchemaId::NEVER) => {
                    self.refuse()?;
                    unwanted = self.purpose == Purpose::Cut && self.report(path, ExtraKind::Undescribed);
                }
                Some(additional) => inner.push((additional, true)),
                None if rules.describes => unwanted |= self.report(path, ExtraKind::Undescribed),
                None => {}
            }
        }
        match inner.as_slice() {
            [] => self.skip()?,
            [(only, _)] => self.value(*only, path)?,
            several => self.several(several, path)?,
        }
        Ok(unwanted)
    }

    pub(super) fn dependents_fit(&mut self, rules: &ObjectRules, opened: usize) -> bool {
        rules.dependent_required.iter().all(|(name, needed)| {
            self.member_at(opened, name).is_none()
                || needed.iter().all(|needed| self.member_at(opened, needed).is_some())
        })
    }

    pub(super) fn goes_wrong_way(&self, property: &Property) -> bool {
        self.direction.of([property.read_only, property.write_only])
    }

    /// Notes a member that should not be there. Whether it is one of those that are looked for.
    pub(super) fn report(&mut self, path: &Path<'_>, kind: ExtraKind) -> bool {
        let wanted = match kind {
            ExtraKind::Undescribed => self.wanted.undescribed,
            ExtraKind::WrongDirection => self.wanted.wrong_direction,
        };
        if !wanted || self.probing {
            return false;
        }
        if self.found.extras.len() < MAX_VIOLATIONS {
            self.found.extras.push(Extra { pointer: path.pointer(), kind });
        }
        true
    }
}

#[inline]
fn number_fits(schema: &Schema, num: Num) -> bool {
    // Most schemas take either, or only integers that are written as such.
    let both = schema.types.and(Types::NUMBER) == Types::NUMBER;
    let kind = if both || num.is_integral() { Types::INTEGER } else { Types::FRACTION };
    let known = |constants: &Constants| {
        let numbers = constants.others.iter().filter_map(serde_json::Value::as_number);
        numbers.into_iter().any(|other| Num::of(other).compare(num).is_eq())
    };
    schema.types.has(kind)
        && schema.constants.as_deref().is_none_or(known)
        && schema.number.as_ref().is_none_or(|rules| number(rules, num, &Path::Root, &mut Silent))
}
