//! What the fuzz target asserts, on the cases and on what a seeded mutation makes of them: a smoke test that runs
//! everywhere. `cargo dev fuzz inspect` goes on from there.

use std::ops::ControlFlow;

use portcullis_inspect::leaves::{self, Format, Leaf};
use portcullis_inspect::{Budget, Place, inspect, steps, upload};

const PLACES: [Place; 7] =
    [Place::Query, Place::Path, Place::Header, Place::Cookie, Place::Form, Place::Body, Place::Name];

/// What interpreters read as more than text.
const SIGNS: &[u8] = b"'\"<>%&\\\0\n;|(){}[]$#`+=/*-\x80\xc0\xff";

/// Xorshift: the same values on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }
}

#[expect(clippy::indexing_slicing, reason = "every index was drawn from below the length")]
fn mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = seed.to_vec();
    let at = random.below(out.len() + 1);
    match random.below(6) {
        0 => out.truncate(at),
        1 => out.splice(at..at, other.iter().copied().skip(random.below(other.len()))).for_each(drop),
        2 if at < out.len() => out[at] = random.below(256) as u8,
        3 => out.insert(at, SIGNS[random.below(SIGNS.len())]),
        4 => {
            let piece = out[at..].to_vec();
            (0..random.below(40)).for_each(|_| out.extend_from_slice(&piece));
        }
        _ => out.reverse(),
    }
    out.truncate(20_000);
    out
}

#[test]
fn nothing_panics_and_work_stays_bounded() {
    let cases = [
        include_str!("cases/attacks.txt"),
        include_str!("cases/ordinary.txt"),
        include_str!("cases/evasions.txt"),
    ];
    let seeds: Vec<&[u8]> = cases.iter().flat_map(|text| text.lines()).map(str::as_bytes).collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for index in 0..seeds.len() * 2 {
        let seed = seeds[index % seeds.len()];
        let other = seeds[random.below(seeds.len())];
        let value = mutated(seed, other, &mut random);
        let place = PLACES[random.below(PLACES.len())];
        let verdict = inspect(&value, place);
        assert_eq!(verdict, inspect(&value, place), "the same twice");
        assert!(verdict.is_none_or(|verdict| verdict.score <= 100 && verdict.evidence.len() <= 400));
        let steps = steps(&value, place);
        assert!(steps <= Budget::steps(value.len()), "{steps} steps for {value:?}");
        let mut visit = |_: Leaf<'_>| ControlFlow::Continue(());
        for format in
            [Format::Json, Format::Form, Format::Multipart, Format::Xml, Format::GraphQl, Format::Text]
        {
            let _ = leaves::body(&value, format, "multipart/form-data; boundary=b", &mut visit);
        }
        leaves::path(&value, &mut visit);
        leaves::header("referer", &value, &mut visit);
        leaves::cookies(&value, &mut visit);
        let part = leaves::Part {
            name: b"f",
            filename: Some(b"a"),
            extended: false,
            content_type: None,
            encoding: None,
            content: &value,
        };
        let _ = upload::judge(&part, &upload::Limits::default());
    }
}
