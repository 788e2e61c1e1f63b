//! What holds for every value, whatever it is.

#![allow(dead_code, reason = "each target takes its part of this")]

use portcullis_inspect::{Budget, Class, Classes, Place, inspect, inspect_within};
use rustix::time::{ClockId, clock_gettime};

/// How many times slower than an ordinary build this one may be: it has sanitizers, counts branches, and is not alone on its
/// machine.
const SLOWER: u64 = 40;

pub const PLACES: [Place; 7] =
    [Place::Query, Place::Path, Place::Header, Place::Cookie, Place::Form, Place::Body, Place::Name];

/// Judges `value`: the same twice, within its steps, within its time; and what was not looked at is refused. Then once more
/// without an end at what is found, so that every tokenizer reads it to its end.
pub fn holds(value: &[u8], place: Place) {
    let verdict = inspect(value, place);
    assert_eq!(verdict, inspect(value, place), "the same twice");
    assert!(
        verdict.as_ref().is_none_or(|verdict| verdict.score <= 100 && verdict.evidence.len() <= 400),
        "a score of a hundred, and a short excerpt"
    );
    let mut passed = Classes::default();
    for class in Class::ALL {
        passed.insert(class);
    }
    for passed in [Classes::default(), passed] {
        let mut budget = Budget::of(value.len());
        let verdict = inspect_within(value, place, passed, &mut budget);
        assert!(budget.spent() <= Budget::steps(value.len()));
        assert!(!budget.is_out() || verdict.is_some_and(|verdict| verdict.is_attack()), "passed unseen");
        in_time(value.len(), || {
            inspect_within(value, place, passed, &mut Budget::of(value.len()));
        });
    }
}

/// Asserts that `work` on `bytes` bytes takes no more than its time. Others take turns on the same machine: the shortest of
/// several tries counts.
pub fn in_time(bytes: usize, mut work: impl FnMut()) {
    let allowed = SLOWER * (20_000 + 200 * bytes as u64);
    let mut best = u64::MAX;
    for _ in 0..5 {
        let start = now();
        work();
        best = best.min(now() - start);
        if best <= allowed {
            return;
        }
    }
    panic!("{best} ns of CPU for {bytes} bytes, allowed {allowed}");
}

/// Nanoseconds that this thread has run.
fn now() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What [`holds`], of the value that `data` spells in `pieces` after a byte for its place.
pub fn holds_spelt(pieces: &[&str], data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    holds(&spell(pieces, data), PLACES[usize::from(choice) % PLACES.len()]);
}

/// A value of the pieces that `data` names, one a byte; what is no piece's number stands for itself.
fn spell(pieces: &[&str], data: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    for &byte in data.iter().take(2000) {
        match pieces.get(usize::from(byte)) {
            Some(piece) => value.extend_from_slice(piece.as_bytes()),
            None => value.push(byte),
        }
    }
    value
}
