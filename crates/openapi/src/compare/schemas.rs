//! What two schemas demand of a value, and whether the second one demands more or less.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use super::{Changes, Effect, Pair};
use crate::merged::{Additional, Member, Merged, Range};
use crate::outline::{bound, cut, outline, range, types};
use crate::schema::{Arena, Bound, Direction, SchemaId, compare_numbers};

/// Levels that are compared.
const MAX_DEPTH: usize = 24;

/// Pairs of schemas that are compared for one value of a message.
const MAX_PAIRS: usize = 5_000;

/// Compares the schemas of one part of a message.
pub(super) struct Schemas<'s> {
    pair: Pair<'s>,
    part: &'s str,
    direction: Direction,
    changes: &'s mut Changes,
    seen: HashSet<(Vec<SchemaId>, Vec<SchemaId>)>,
    pointer: String,
    depth: usize,
}

impl<'s> Schemas<'s> {
    pub(super) fn new(pair: Pair<'s>, part: &'s str, direction: Direction, changes: &'s mut Changes) -> Self {
        Self { pair, part, direction, changes, seen: HashSet::new(), pointer: String::new(), depth: 0 }
    }

    fn note(&mut self, what: impl Into<String>, effect: Effect) {
        let part = match self.pointer.is_empty() {
            true => self.part.to_owned(),
            false => format!("{} {}", self.part, self.pointer),
        };
        self.pair.note(self.changes, &part, what, effect);
    }

    /// Fewer values are allowed: requests that were in order are refused.
    fn stricter(&mut self, what: impl Into<String>) {
        let effect = match self.direction {
            Direction::Request => Effect::BREAKING,
            Direction::Response => Effect::NONE,
        };
        self.note(what, effect);
    }

    /// More values are allowed: requests that were refused pass, and answers may hold what clients do not know.
    fn looser(&mut self, what: impl Into<String>) {
        let effect = match self.direction {
            Direction::Request => Effect::WEAKER,
            Direction::Response => Effect::BREAKING,
        };
        self.note(what, effect);
    }

    fn old(&self) -> &'s Arena {
        &self.pair.old_contract.schemas
    }

    fn new_arena(&self) -> &'s Arena {
        &self.pair.new_contract.schemas
    }

    pub(super) fn compare(&mut self, old: &[SchemaId], new: &[SchemaId]) {
        let full = self.depth >= MAX_DEPTH || self.seen.len() >= MAX_PAIRS;
        if full || !self.seen.insert((old.to_vec(), new.to_vec())) {
            return;
        }
        let (a, b) = (Merged::of(self.old(), old), Merged::of(self.new_arena(), new));
        self.types(&a, &b);
        self.constants(&a, &b);
        self.ranges(&a, &b);
        self.sets(&a.patterns, &b.patterns, "the pattern");
        self.sets(&a.formats, &b.formats, "the format");
        self.sets(&a.multiples, &b.multiples, "the step");
        match (a.unique, b.unique) {
            (false, true) => self.stricter("no item may be there twice now"),
            (true, false) => self.looser("items may be there twice now"),
            _ => {}
        }
        self.depth += 1;
        self.properties(&a, &b);
        self.additional(&a, &b);
        if !a.item.is_empty() || !b.item.is_empty() {
            self.within("/[]", |this| this.compare(&a.item, &b.item));
        }
        for (index, (old, new)) in a.prefix.iter().zip(&b.prefix).enumerate() {
            self.within(&format!("/{index}"), |this| this.compare(old, new));
        }
        self.choices(&a, &b);
        self.depth -= 1;
        if a.conditions > b.conditions {
            self.looser("it has fewer conditions");
        } else if a.conditions < b.conditions {
            self.stricter("it has more conditions");
        }
    }

    fn within(&mut self, step: &str, compare: impl FnOnce(&mut Self)) {
        let length = self.pointer.len();
        self.pointer.push_str(step);
        compare(self);
        self.pointer.truncate(length);
    }

    fn types(&mut self, a: &Merged, b: &Merged) {
        let (gone, new) = (a.types.without(b.types), b.types.without(a.types));
        let words = || format!("it is {}, was {}", types(b.types), types(a.types));
        match (gone.0 == 0, new.0 == 0) {
            (true, true) => {}
            (false, true) => self.stricter(words()),
            (true, false) => self.looser(words()),
            (false, false) => self.note(words(), Effect::BOTH),
        }
    }

    fn constants(&mut self, a: &Merged, b: &Merged) {
        let list = |values: Vec<&String>| {
            cut(&values.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", "))
        };
        match (&a.constants, &b.constants) {
            (None, Some(new)) => self.stricter(format!("only {} now", list(new.iter().collect()))),
            (Some(_), None) => self.looser("any value now, not only those that were listed"),
            (Some(old), Some(new)) => {
                let gone: Vec<&String> = old.difference(new).collect();
                let added: Vec<&String> = new.difference(old).collect();
                if !gone.is_empty() {
                    self.stricter(format!("{} no longer", list(gone)));
                }
                if !added.is_empty() {
                    self.looser(format!("{} as well now", list(added)));
                }
            }
            (None, None) => {}
        }
    }

    fn ranges(&mut self, a: &Merged, b: &Merged) {
        for (old, new, one, many) in [
            (a.length, b.length, "character", "characters"),
            (a.items, b.items, "item", "items"),
            (a.members, b.members, "member", "members"),
        ] {
            if old == new {
                continue;
            }
            let any = || format!("any number of {many}");
            let words = |of: Range| range(of, one, many).unwrap_or_else(any);
            let what = format!("{}, was {}", words(new), words(old));
            let min = new.min.unwrap_or(0).cmp(&old.min.unwrap_or(0));
            let max = old.max.unwrap_or(u64::MAX).cmp(&new.max.unwrap_or(u64::MAX));
            self.either(min.is_gt() || max.is_gt(), min.is_lt() || max.is_lt(), what);
        }
        let lower = strictness(a.lower.as_ref(), b.lower.as_ref(), false);
        let upper = strictness(a.upper.as_ref(), b.upper.as_ref(), true);
        let words = |of: &Merged| {
            let both = [bound(of.lower.as_ref(), ">", ">="), bound(of.upper.as_ref(), "<", "<=")];
            let both: Vec<String> = both.into_iter().flatten().collect();
            if both.is_empty() { "any number".into() } else { both.join(" and ") }
        };
        if lower.is_ne() || upper.is_ne() {
            let what = format!("{}, was {}", words(b), words(a));
            self.either(lower.is_gt() || upper.is_gt(), lower.is_lt() || upper.is_lt(), what);
        }
    }

    fn either(&mut self, stricter: bool, looser: bool, what: String) {
        match (stricter, looser) {
            (true, false) => self.stricter(what),
            (false, true) => self.looser(what),
            (true, true) => self.note(what, Effect::BOTH),
            (false, false) => {}
        }
    }

    fn sets(&mut self, old: &BTreeSet<String>, new: &BTreeSet<String>, what: &str) {
        let list = |from: &BTreeSet<String>, without: &BTreeSet<String>| {
            cut(&from.difference(without).map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        let (gone, added) = (list(old, new), list(new, old));
        match (gone.is_empty(), added.is_empty()) {
            (true, true) => {}
            (true, false) => self.stricter(format!("{what} {added} now")),
            (false, true) => self.looser(format!("{what} {gone} no longer")),
            (false, false) => self.note(format!("{what} {added}, was {gone}"), Effect::BOTH),
        }
    }

    fn properties(&mut self, a: &Merged, b: &Merged) {
        let none = Member::default();
        let names: BTreeSet<&str> =
            a.properties.keys().chain(b.properties.keys()).map(|name| &**name).collect();
        for name in names {
            let old = a.properties.get(name);
            let new = b.properties.get(name);
            self.within(&format!("/{name}"), |this| this.property(a, b, old, new, &none));
        }
    }

    fn property(
        &mut self,
        a: &Merged,
        b: &Merged,
        old: Option<&Member>,
        new: Option<&Member>,
        none: &Member,
    ) {
        let travels = |member: Option<&Member>| member.is_some_and(|member| member.travels(self.direction));
        let (before, after) = (travels(old), travels(new));
        let shown = self.direction == Direction::Response;
        match (old.filter(|old| old.described), new.filter(|new| new.described)) {
            (Some(_), Some(_)) if !before && after => {
                return match shown {
                    true => self.note("it is shown now, and was not before", Effect::WEAKER),
                    false => self.note("clients may set it now; only the server did before", Effect::WEAKER),
                };
            }
            (Some(_), Some(_)) if before && !after => {
                return self.note("it is no part of this message any more", Effect::BREAKING);
            }
            (Some(old), Some(new)) if after => self.compare(&old.schemas, &new.schemas),
            (Some(_), None) if before => match (&b.additional, self.direction) {
                (Additional::Nothing, Direction::Request) => self.stricter("it is not allowed any more"),
                (_, Direction::Request) => {
                    self.note("it is not described any more: it is not checked", Effect::WEAKER);
                }
                _ => self.note("it is not described any more", Effect::BREAKING),
            },
            (None, Some(new)) if after => {
                let required = new.required && !shown;
                let (what, effect) = match (required, shown, &a.additional) {
                    (true, ..) => ("a new property that must be there", Effect::BREAKING),
                    (false, false, Additional::Anything) => ("a new property", Effect::NONE),
                    (false, true, _) => ("a new property is shown", Effect::NONE),
                    (false, false, _) => ("a new property may be set", Effect::NONE),
                };
                return self.note(what, effect);
            }
            _ => {}
        }
        if !(before || after) {
            return;
        }
        let (was, is) = (old.unwrap_or(none).required && before, new.unwrap_or(none).required && after);
        match (was, is) {
            (false, true) => self.stricter("it must be there now"),
            (true, false) if new.is_some() => self.looser("it need not be there any more"),
            _ => {}
        }
    }

    fn additional(&mut self, a: &Merged, b: &Merged) {
        use crate::schema::Types;
        if !a.types.has(Types::OBJECT) || !b.types.has(Types::OBJECT) {
            return;
        }
        match (&a.additional, &b.additional) {
            (Additional::Nothing, Additional::Anything | Additional::These(_)) => {
                self.note("members that are not described are allowed now", Effect::WEAKER);
            }
            (Additional::Anything | Additional::These(_), Additional::Nothing) => {
                self.stricter("members that are not described are not allowed any more");
            }
            (Additional::These(old), Additional::These(new)) => {
                self.within("/*", |this| this.compare(old, new));
            }
            (Additional::These(_), Additional::Anything) => {
                self.looser("members that are not described may be anything now");
            }
            (Additional::Anything, Additional::These(_)) => {
                self.stricter("members that are not described must be of a kind now");
            }
            _ => {}
        }
    }

    /// Alternatives that look alike in both are the same; the others are compared in their order.
    fn choices(&mut self, a: &Merged, b: &Merged) {
        let gather = |merged: &Merged| -> Vec<SchemaId> {
            merged.choices.iter().flat_map(|(_, list)| list.iter().copied()).collect()
        };
        let (old, new) = (gather(a), gather(b));
        match (old.is_empty(), new.is_empty()) {
            (true, true) => return,
            (true, false) => return self.stricter("one of several alternatives must fit now"),
            (false, true) => return self.looser("none of its alternatives must fit any more"),
            (false, false) => {}
        }
        let looks =
            |arena: &Arena, id: SchemaId| format!("{:?}", outline(arena, &[id], self.direction, 3, &mut 200));
        let mut new: Vec<(String, SchemaId)> =
            new.iter().map(|id| (looks(self.new_arena(), *id), *id)).collect();
        let mut changed: Vec<SchemaId> = Vec::new();
        for id in old {
            let text = looks(self.old(), id);
            match new.iter().position(|(known, _)| *known == text) {
                Some(at) => {
                    new.remove(at);
                }
                None => changed.push(id),
            }
        }
        let pairs = changed.len().min(new.len());
        for (old, (_, new)) in changed.iter().zip(&new) {
            self.within("/(alternative)", |this| this.compare(&[*old], &[*new]));
        }
        for _ in pairs..changed.len() {
            self.stricter("one alternative less");
        }
        for _ in pairs..new.len() {
            self.looser("one alternative more");
        }
    }
}

/// Whether the new bound allows fewer numbers (greater) or more (less).
fn strictness(old: Option<&Bound>, new: Option<&Bound>, upper: bool) -> Ordering {
    let (Some(old), Some(new)) = (old, new) else { return new.is_some().cmp(&old.is_some()) };
    let order = compare_numbers(&new.value, &old.value);
    let order = if upper { order.reverse() } else { order };
    order.then(new.exclusive.cmp(&old.exclusive))
}
