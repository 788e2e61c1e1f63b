#![expect(clippy::print_stdout, reason = "it is a command")]
//! What the costliest values that are known cost: nanoseconds and steps a byte, the most expensive first.
//!
//! `cargo run --release -p portcullis-inspect --example worst`, or `cargo dev bench worst`

use std::hint::black_box;
use std::time::Instant;

use portcullis_inspect::{Budget, Classes, Place, inspect_within, prepare};

/// Each is repeated to these lengths. Shorter values have the constant's share of a budget as well.
const LENGTHS: [usize; 3] = [1_000, 4_000, 16_000];

const PLACES: [(&str, Place); 4] =
    [("query", Place::Query), ("body", Place::Body), ("path", Place::Path), ("name", Place::Name)];

/// Others take turns on the same machine: the shortest time counts.
const TRIES: usize = 25;

/// Rows that are shown.
const ROWS: usize = 12;

struct Row {
    piece: &'static str,
    place: &'static str,
    length: usize,
    nanoseconds: f64,
    steps: f64,
}

fn main() {
    prepare();
    let mut rows = Vec::new();
    for piece in include_str!("../tests/cases/costly.txt").lines() {
        for length in LENGTHS {
            let value: Vec<u8> = bytes(piece).into_iter().cycle().take(length).collect();
            for (name, place) in PLACES {
                rows.push(measure(piece, name, place, &value));
            }
        }
    }
    rows.sort_by(|a, b| b.nanoseconds.total_cmp(&a.nanoseconds));
    println!(
        "| what is repeated | where | bytes | ns a byte | steps a byte | ns a step |\n|---|---|--:|--:|--:|--:|"
    );
    for row in rows.iter().take(ROWS) {
        println!(
            "| `` {} `` | {} | {} | {:.0} | {:.0} | {:.2} |",
            row.piece.replace('|', "\\|"),
            row.place,
            row.length,
            row.nanoseconds,
            row.steps,
            row.nanoseconds / row.steps
        );
    }
}

fn measure(piece: &'static str, name: &'static str, place: Place, value: &[u8]) -> Row {
    let (mut best, mut steps) = (f64::MAX, 0);
    for _ in 0..TRIES {
        let started = Instant::now();
        let mut budget = Budget::of(value.len());
        black_box(inspect_within(black_box(value), place, Classes::default(), &mut budget));
        best = best.min(started.elapsed().as_secs_f64() * 1e9);
        steps = budget.spent();
    }
    let length = value.len() as f64;
    Row { piece, place: name, length: value.len(), nanoseconds: best / length, steps: steps as f64 / length }
}

/// A line of `costly.txt`: `\xNN` is a byte, `\\` a backslash.
fn bytes(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let hex = escape.strip_prefix('x').and_then(|hex| hex.split_at_checked(2));
        match hex.and_then(|(digits, behind)| Some((u8::from_str_radix(digits, 16).ok()?, behind))) {
            Some((byte, behind)) => {
                out.push(byte);
                rest = behind;
            }
            None => {
                out.push(b'\\');
                rest = escape.strip_prefix('\\').unwrap_or(escape);
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
