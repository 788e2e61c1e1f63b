//! Arrays in the pass: their items, how many there are, which of them are contained, whether they differ.

use super::json::{Fault, Lexer, Text};
use super::keys::secret_hash;
use super::number::Num;
use super::pass::{MAX_DEPTH, Pass, Passed};
use super::plan::Plan;
use super::validate::Path;
use super::{ArrayRules, value};

/// An item of an array whose items must differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    hash: u64,
    from: usize,
    to: usize,
}

impl<'a> Pass<'a, '_> {
    pub(super) fn array(&mut self, rules: &'a ArrayRules, path: &Path<'_>) -> Passed {
        self.deeper()?;
        if let (Some(items), true) = (rules.items, rules.is_plain()) {
            return self.list(rules, self.arena.plan(items), path);
        }
        let mut tally = Tally::new(rules.unique, self);
        let mut index = 0;
        let mut more = self.lexer.open(b']');
        while more {
            tally.before(rules, self);
            match rules.prefix.get(index).copied().or(rules.items) {
                Some(schema) => self.value(schema, &Path::Index(path, index))?,
                None => self.skip()?,
            }
            tally.after(self);
            index += 1;
            more = self.lexer.more(b']')?;
        }
        self.depth += 1;
        let fits = tally.fits(rules, index as u64, self);
        self.demand(fits)
    }

    /// An array of which each item is read by one plan.
    fn list(&mut self, rules: &ArrayRules, plan: Plan, path: &Path<'_>) -> Passed {
        let mut index = 0;
        let mut more = self.lexer.open(b']');
        while more {
            self.planned(plan, &Path::Index(path, index))?;
            index += 1;
            more = self.lexer.more(b']')?;
        }
        self.depth += 1;
        let items = index as u64;
        let fits = rules.min.is_none_or(|min| items >= min) && rules.max.is_none_or(|max| items <= max);
        self.demand(fits)
    }
}

impl ArrayRules {
    /// Whether all items are of one kind, and nothing is said of them together but their number.
    fn is_plain(&self) -> bool {
        !self.unique && self.contains.is_none() && self.prefix.is_empty()
    }
}

/// Counts what is said of an array as a whole.
#[derive(Debug)]
pub(super) struct Tally {
    start: usize,
    /// Where the items that must differ are noted from, if they must.
    unique: Option<usize>,
    contained: u64,
}

impl Tally {
    /// `pass` is at the opening bracket. Of several for one array, one has to look whether items differ.
    pub(super) fn new(unique: bool, pass: &Pass<'_, '_>) -> Self {
        Self { start: pass.lexer.at, unique: unique.then_some(pass.scratch.items.len()), contained: 0 }
    }

    /// Before each item.
    pub(super) fn before(&mut self, rules: &ArrayRules, pass: &mut Pass<'_, '_>) {
        pass.lexer.peek();
        self.start = pass.lexer.at;
        if let Some(contains) = rules.contains {
            let enough = rules.max_contains.map_or(rules.min_contains, |max| max.saturating_add(1));
            if self.contained < enough && pass.fits(contains) {
                self.contained += 1;
            }
        }
    }

    /// After each item.
    pub(super) fn after(&self, pass: &mut Pass<'_, '_>) {
        if self.unique.is_some() {
            let mut lexer = pass.lexer;
            lexer.at = self.start;
            let hash = hash(&mut lexer, &mut pass.scratch.buffer, MAX_DEPTH);
            pass.scratch.items.push(Item { hash, from: self.start, to: pass.lexer.at });
        }
    }

    /// After the last.
    pub(super) fn fits(self, rules: &ArrayRules, items: u64, pass: &mut Pass<'_, '_>) -> bool {
        let contained = rules.contains.is_none()
            || self.contained >= rules.min_contains
                && rules.max_contains.is_none_or(|max| self.contained <= max);
        rules.min.is_none_or(|min| items >= min)
            && rules.max.is_none_or(|max| items <= max)
            && contained
            && self.unique.is_none_or(|mark| pass.all_differ(mark))
    }
}

impl Pass<'_, '_> {
    /// Whether the items noted since `mark` differ; they are forgotten.
    fn all_differ(&mut self, mark: usize) -> bool {
        let lexer = self.lexer;
        let parsed =
            |item: &Item| serde_json::from_slice::<serde_json::Value>(lexer.span(item.from, item.to)).ok();
        let same = |left: &Item, right: &Item| match (parsed(left), parsed(right)) {
            (Some(left), Some(right)) => value::equal(&left, &right),
            _ => false,
        };
        let items = self.scratch.items.get_mut(mark..).unwrap_or_default();
        items.sort_unstable_by_key(|item| item.hash);
        let runs = items.chunk_by(|left, right| left.hash == right.hash);
        // Equal hashes mean equal values but for an accident, so that a run is as long as two.
        let twice = runs.filter(|run| run.len() > 1).any(|run| {
            run.iter().enumerate().any(|(index, item)| run.iter().take(index).any(|other| same(item, other)))
        });
        self.scratch.items.truncate(mark);
        !twice
    }
}

/// A hash of the value at a place: equal for equal values however they are written. What is no value, or deeper
/// than `depth`, is refused elsewhere.
fn hash(lexer: &mut Lexer<'_>, buffer: &mut String, depth: u32) -> u64 {
    let text_hash = |text: Result<Text<'_>, Fault>, buffer: &mut String, seed| match text {
        Ok(Text { raw, escaped: false }) => secret_hash(raw.as_bytes(), seed),
        Ok(text) => {
            buffer.clear();
            text.unescape(buffer);
            secret_hash(buffer.as_bytes(), seed)
        }
        Err(_) => 0,
    };
    match lexer.peek() {
        b'"' => text_hash(lexer.string(), buffer, 3),
        b'{' | b'[' if depth == 0 => {
            lexer.hop();
            0
        }
        b'{' => {
            // The order of members does not count.
            let mut sum = 0_u64;
            let mut more = lexer.open(b'}');
            while more {
                let key = text_hash(lexer.string(), buffer, 4);
                if lexer.expect(b':').is_err() {
                    return sum;
                }
                let member = hash(lexer, buffer, depth - 1);
                sum = sum.wrapping_add(secret_hash(&member.to_le_bytes(), key));
                more = lexer.more(b'}').unwrap_or(false);
            }
            secret_hash(&sum.to_le_bytes(), 5)
        }
        b'[' => {
            let mut sum = 6;
            let mut more = lexer.open(b']');
            while more {
                let item = hash(lexer, buffer, depth - 1);
                sum = secret_hash(&item.to_le_bytes(), sum);
                more = lexer.more(b']').unwrap_or(false);
            }
            sum
        }
        b't' => lexer.literal("true").map_or(0, |()| secret_hash(&[1], 0)),
        b'f' => lexer.literal("false").map_or(0, |()| secret_hash(&[0], 0)),
        b'n' => lexer.literal("null").map_or(0, |()| secret_hash(&[2], 0)),
        _ => {
            // Equal numbers are equal as doubles, however they are written; zero has two signs.
            let float = lexer.number().map_or(0.0, Num::as_f64);
            let float = if float == 0.0 { 0.0 } else { float };
            secret_hash(&float.to_le_bytes(), 1)
        }
    }
}
