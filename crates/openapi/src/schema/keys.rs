//! Member names: foreseen, found among those that a schema describes, and found out when one comes twice.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use super::json::Text;
use super::plan::Plan;
use super::{Direction, ObjectRules, Property};

/// Where the names of an object's properties stand, by hash: open addressing, half empty at least. The names are
/// the contract's, so the hash need not be secret.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    /// Index + 1; zero is free. A power of two many.
    slots: Box<[u16]>,
    /// Of each property.
    prints: Box<[Print]>,
    /// What a pass reads of each property.
    entries: Box<[Entry]>,
    /// Where its [`Trails`] start.
    trail: usize,
    /// Nothing but a property speaks about a member that has one, and there are few enough to be noted as bits.
    foreseeable: bool,
}

/// What a pass wants of a property: all in one place.
#[derive(Debug)]
pub(crate) struct Entry {
    token: Token,
    pub(crate) plan: Plan,
    pub(crate) described: bool,
    required: [bool; 2],
    wrong: [bool; 2],
}

impl Entry {
    fn of(property: &Property, plan: Plan) -> Self {
        Self {
            // What is only required falls to other rules.
            token: if property.described { Token::of(&property.name) } else { Token::never() },
            plan,
            described: property.described,
            required: [Direction::Request, Direction::Response].map(|way| property.is_required(way)),
            wrong: [property.read_only, property.write_only],
        }
    }

    #[inline(always)]
    pub(crate) fn is_required(&self, direction: Direction) -> bool {
        direction.of(self.required)
    }

    /// It may not be there in what goes this way.
    #[inline(always)]
    pub(crate) fn goes_wrong_way(&self, direction: Direction) -> bool {
        direction.of(self.wrong)
    }
}

/// A name as it stands in a text where nobody wrote it in an odd way: between quotes, with the colon.
#[derive(Debug)]
struct Token {
    /// The first eight bytes, and the last: the same if there are fewer.
    first: u64,
    last: u64,
    /// The bytes of them that count.
    mask: u64,
    /// Where the last eight start.
    skip: usize,
    length: usize,
    /// All of it, where those do not say it.
    whole: Option<Box<[u8]>>,
}

impl Token {
    /// What no text starts with.
    fn never() -> Self {
        Self { first: 1, last: 1, mask: 0, skip: 0, length: 0, whole: None }
    }

    fn of(name: &str) -> Self {
        let text = format!("\"{name}\":").into_bytes();
        if name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
            // It has to be written with escapes.
            return Self::never();
        }
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
            u64::from_le_bytes(word)
        };
        let (length, skip) = (text.len(), text.len().saturating_sub(8));
        let mask = u64::MAX >> (64 - 8 * length.min(8));
        let last = word(text.get(skip..).unwrap_or_default());
        Self { first: word(&text), last, mask, skip, length, whole: (length > 16).then(|| text.into()) }
    }

    #[inline(always)]
    fn starts(&self, text: &[u8]) -> bool {
        let word =
            |at: usize| text.get(at..).and_then(<[u8]>::first_chunk).map(|word| u64::from_le_bytes(*word));
        let (Some(first), Some(last)) = (word(0), word(self.skip)) else { return false };
        first & self.mask == self.first
            && last & self.mask == self.last
            && self.whole.as_ref().is_none_or(|whole| text.starts_with(whole))
    }
}

/// Which property came after which, the last time: senders write the members of their objects in one order. It only
/// says where to look first.
#[derive(Debug)]
pub(super) struct Trails([u8; 512]);

impl Default for Trails {
    fn default() -> Self {
        Self([0; 512])
    }
}

/// What has been read of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trail(usize);

impl Trails {
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length")]
    fn slot(&mut self, trail: Trail) -> &mut u8 {
        &mut self.0[trail.0 & 511]
    }
}

/// What tells most names apart, and all of up to 16 bytes: their length, their first and their last eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    first: u64,
    last: u64,
    length: usize,
}

impl Print {
    #[inline(always)]
    fn of(name: &[u8]) -> Self {
        let length = name.len();
        let word = |bytes: Option<&[u8; 8]>| u64::from_le_bytes(bytes.copied().unwrap_or_default());
        let half =
            |bytes: Option<&[u8; 4]>| u64::from(u32::from_le_bytes(bytes.copied().unwrap_or_default()));
        let (first, last) = if length >= 8 {
            (word(name.first_chunk()), word(name.last_chunk()))
        } else if length >= 4 {
            (half(name.first_chunk()), half(name.last_chunk()))
        } else {
            (name.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), 0)
        };
        Self { first, last, length }
    }

    #[inline(always)]
    fn spread(self) -> usize {
        let mixed = self.first ^ self.last.rotate_left(23) ^ self.length as u64;
        let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mixed = mixed as u32;
        mixed as usize
    }
}

impl KeyTable {
    /// `plan` gives what a pass reads a property by; `alone` is whether nothing but properties speaks about members.
    pub(crate) fn new(properties: &[Property], alone: bool, plan: impl Fn(&Property) -> Plan) -> Self {
        let entries: Box<[Entry]> =
            properties.iter().map(|property| Entry::of(property, plan(property))).collect();
        // More are found by binary search.
        if properties.is_empty() || properties.len() > 1 << 14 {
            return Self { entries, ..Self::default() };
        }
        let prints: Box<[Print]> =
            properties.iter().map(|property| Print::of(property.name.as_bytes())).collect();
        let mut slots = vec![0_u16; (properties.len() * 2).next_power_of_two()];
        let mask = slots.len() - 1;
        for (index, print) in (1_u16..).zip(&prints) {
            let mut at = print.spread() & mask;
            while let Some(slot) = slots.get_mut(at) {
                if *slot == 0 {
                    *slot = index;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
        // Any start will do; that of another table means a wrong guess now and then.
        let trail = prints.iter().fold(properties.len(), |sum, print| sum.wrapping_mul(31) ^ print.spread());
        let foreseeable = alone && properties.len() <= 64;
        Self { slots: slots.into(), prints, entries, trail, foreseeable }
    }
}

impl ObjectRules {
    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.table.entries.get(index)
    }

    /// Nothing has been read yet.
    pub(super) fn trail(&self) -> Trail {
        Trail(self.table.trail)
    }

    /// The property whose name, in quotes and with its colon, `text` starts with, if it is the one that came next the
    /// last time; and how long that is.
    #[inline(always)]
    pub(super) fn foreseen(&self, trail: Trail, trails: &mut Trails, text: &[u8]) -> Option<(usize, usize)> {
        if !self.table.foreseeable {
            return None;
        }
        let index = usize::from(*trails.slot(trail));
        let token = &self.table.entries.get(index)?.token;
        token.starts(text).then_some((index, token.length))
    }

    /// Where to look after a property; it is remembered that it came now.
    #[inline(always)]
    pub(super) fn follow(&self, trail: Trail, trails: &mut Trails, index: usize) -> Trail {
        // It is one of 64 at most wherever it is looked at.
        *trails.slot(trail) = (index & 63) as u8;
        Trail(self.table.trail.wrapping_add(index + 1))
    }

    /// The index of a property by its name.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let slots = &self.table.slots;
        let Some(mask) = slots.len().checked_sub(1) else {
            return self.properties.binary_search_by(|property| (*property.name).cmp(name)).ok();
        };
        let print = Print::of(name.as_bytes());
        let mut at = print.spread() & mask;
        loop {
            let index = usize::from(*slots.get(at)?).checked_sub(1)?;
            if *self.table.prints.get(index)? == print
                && (print.length <= 16 || &*self.properties.get(index)?.name == name)
            {
                return Some(index);
            }
            at = (at + 1) & mask;
        }
    }
}

/// A hash that no sender can foresee: words are multiplied into 128 bits and folded, keyed once per process.
#[inline]
pub(crate) fn secret_hash(bytes: &[u8], seed: u64) -> u64 {
    static KEYS: OnceLock<[u64; 2]> = OnceLock::new();
    let [first, second] = *KEYS.get_or_init(|| {
        let state = RandomState::new();
        [state.hash_one(1_u8) | 1, state.hash_one(2_u8) | 1]
    });
    let fold = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
        let low = product as u64;
        low ^ (product >> 64) as u64
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ first ^ bytes.len() as u64;
    for word in words {
        hash = fold(hash ^ u64::from_le_bytes(*word), second).wrapping_add(first);
    }
    let tail = rest.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    fold(fold(hash ^ tail, second) ^ first, second)
}

/// The names of the objects that are open at the moment, the innermost last.
#[derive(Debug, Default)]
pub(crate) struct Names {
    list: Vec<Name>,
    buffer: String,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    hash: u64,
    start: u32,
    length: u32,
    escaped: bool,
}

impl Names {
    pub(crate) fn mark(&self) -> usize {
        self.list.len()
    }

    /// Notes a name that starts at `start`.
    #[inline]
    pub(crate) fn push(&mut self, name: Text<'_>, start: usize) {
        let hash = if name.escaped {
            self.buffer.clear();
            name.unescape(&mut self.buffer);
            secret_hash(self.buffer.as_bytes(), 0)
        } else {
            secret_hash(name.raw.as_bytes(), 0)
        };
        // Texts beyond 4 GiB are not taken in the first place.
        let (start, length) = (start as u32, name.raw.len() as u32);
        self.list.push(Name { hash, start, length, escaped: name.escaped });
    }

    /// Forgets the names since `mark`; where one of them stands for the second time, if one does. `text` gives
    /// the name at a place.
    pub(crate) fn close<'b>(&mut self, mark: usize, text: impl Fn(usize, usize) -> &'b str) -> Option<usize> {
        let same = |left: &Name, right: &Name| {
            left.hash == right.hash && {
                let plain = |name: &Name| {
                    let raw = text(name.start as usize, name.length as usize);
                    let mut out = String::new();
                    Text { raw, escaped: name.escaped }.unescape(&mut out);
                    out
                };
                plain(left) == plain(right)
            }
        };
        let names = self.list.get_mut(mark..).unwrap_or_default();
        let mut twice = None;
        if names.len() <= 8 {
            for (index, name) in names.iter().enumerate() {
                if names.iter().take(index).any(|other| same(name, other)) {
                    twice = Some(name.start as usize);
                    break;
                }
            }
        } else {
            names.sort_unstable_by_key(|name| (name.hash, name.start));
            let runs = names.chunk_by(|left, right| left.hash == right.hash);
            for run in runs.filter(|run| run.len() > 1) {
                let again = run
                    .iter()
                    .enumerate()
                    .find(|(index, name)| run.iter().take(*index).any(|other| same(name, other)));
                twice = again.map(|(_, name)| name.start as usize).or(twice);
            }
        }
        self.list.truncate(mark);
        twice
    }

    /// Forgets everything, and gives back what a huge text made it take.
    pub(crate) fn reset(&mut self) {
        const KEPT: usize = 1 << 12;
        self.list.clear();
        self.list.shrink_to(KEPT);
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaId;

    fn table(properties: &[Property]) -> KeyTable {
        KeyTable::new(properties, true, |property| Plan { id: property.schema, single: true })
    }

    #[test]
    fn what_came_last_is_foreseen() {
        let names =
            ["", "a", "abcde", "abcdef", "abcdefghijklmn", "a name that is longer", "é", "\"", "x\\y", "\t"];
        let mut names: Vec<&str> = names.to_vec();
        names.sort_unstable();
        let properties: Box<[Property]> = names
            .iter()
            .map(|name| Property {
                name: (*name).into(),
                schema: SchemaId::ANY,
                described: true,
                required: false,
                read_only: false,
                write_only: false,
            })
            .collect();
        let rules = ObjectRules { table: table(&properties), properties, ..ObjectRules::default() };
        let mut trails = Trails::default();
        for (index, name) in names.iter().enumerate() {
            let quoted = serde_json::to_string(name).unwrap();
            let text = format!("{quoted}: 1, and more");
            let before = rules.trail();
            rules.follow(before, &mut trails, index);
            let found = rules.foreseen(before, &mut trails, text.as_bytes());
            let plain = quoted.len() == name.len() + 2;
            assert_eq!(found, plain.then_some((index, quoted.len() + 1)), "{name:?}");
            for other in [
                "\"other\": 1234567",
                "\"abcde\" : 1234",
                "\"abcdf\": 12345",
                "\"abcdefghijklmo\":1",
                "\"abcd",
            ] {
                assert_eq!(rules.foreseen(before, &mut trails, other.as_bytes()), None, "{name:?} {other}");
            }
        }
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        for count in [0, 1, 2, 7, 100, 3_000, 20_000] {
            let mut names: Vec<String> = (0..count).map(|at| format!("same_start_{at:x}_same_end")).collect();
            names.sort();
            let property = |name: &String| Property {
                name: name.as_str().into(),
                schema: SchemaId::ANY,
                described: true,
                required: false,
                read_only: false,
                write_only: false,
            };
            let properties: Box<[Property]> = names.iter().map(property).collect();
            let rules = ObjectRules { table: table(&properties), properties, ..ObjectRules::default() };
            for (index, name) in names.iter().enumerate() {
                assert_eq!(rules.find(name), Some(index));
            }
            for other in ["", "a", "same_start_zz_same_end", "same_start_0_same_en", "éé", "12345678"] {
                assert_eq!(rules.find(other), None, "{other}");
            }
        }
    }

    #[test]
    fn names_that_come_twice() {
        let run = |list: &[&'static str]| {
            let all: String = list.concat();
            let mut names = Names::default();
            let outer = names.mark();
            names.push(Text { raw: "outer", escaped: false }, 0);
            let mark = names.mark();
            let mut start = 0;
            for raw in list {
                names.push(Text { raw, escaped: raw.contains('\\') }, start);
                start += raw.len();
            }
            let found = names.close(mark, |start, length| all[start..start + length].to_owned().leak());
            assert_eq!(names.mark(), outer + 1);
            found
        };
        assert_eq!(run(&["a", "b", "c"]), None);
        assert_eq!(run(&["a", "b", "a"]), Some(2));
        assert_eq!(run(&["a", "b", "\\u0061"]), Some(2));
        assert_eq!(run(&["outer"]), None);
        let many: Vec<&'static str> = (0..500).map(|at| &*format!("key{at:04}").leak()).collect();
        assert_eq!(run(&many), None);
        let again: Vec<&'static str> = many.iter().copied().chain(["key0123"]).collect();
        assert_eq!(run(&again), Some(3_500));
    }
}
