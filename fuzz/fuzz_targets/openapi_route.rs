//! Path keys and paths by chance: what the trie finds is what a search through all path keys finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_openapi::{CaseOf, Contract, Options, Route, TrailingSlash};

const PIECES: [&str; 16] = [
    "a", "b", "ab", "A", "{p}", "{q}", "{p}.a", "a{p}", "{p}-{q}", "{p}b", "a-b.a", "{p*}", "{+q}", "a%41",
    "", "{p}{q}",
];

const TEXTS: [&str; 12] = ["a", "b", "-", ".", "/", "A", "%41", "%2F", "ab", "a-b.a", "/a", "b/"];

fuzz_target!(|bytes: &[u8]| {
    let [choice, count, rest @ ..] = bytes else { return };
    let trailing_slash = if choice & 1 == 0 { TrailingSlash::Strict } else { TrailingSlash::Ignore };
    let case = if choice & 2 == 0 { CaseOf::Sensitive } else { CaseOf::Insensitive };
    let mut rest = rest.iter().copied();
    let mut keys: Vec<String> = Vec::new();
    for _ in 0..count % 8 {
        let Some(segments) = rest.next() else { return };
        let mut next = || PIECES[usize::from(rest.next().unwrap_or_default()) % PIECES.len()];
        let key: String = (0..=segments % 4).map(|_| format!("/{}", next())).collect();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let path: String =
        std::iter::once("/").chain(rest.map(|byte| TEXTS[usize::from(byte) % TEXTS.len()])).collect();
    let mut document = String::from("{\"openapi\": \"3.0.0\", \"paths\": {");
    for (index, key) in keys.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        document.push_str(&format!("{comma}\"{key}\": {{\"get\": {{\"responses\": {{}}}}}}"));
    }
    document.push_str("}}");
    let options = Options { trailing_slash, case, ..Options::default() };
    let Ok(contract) = Contract::parse("t.json", document.as_bytes(), &options) else { panic!("{document}") };
    assert_eq!(contract.operations().len(), keys.len());
    let rules = Rules { slash: trailing_slash == TrailingSlash::Ignore, fold: case == CaseOf::Insensitive };
    match contract.route("GET", &path, None) {
        Route::Found { operation, captures } => {
            let key = &contract.operations()[operation].path;
            assert!(rules.matches(key, &path), "{path} is not {key}");
            assert_eq!(captures.len(), contract.operations()[operation].captures.len());
            for capture in &captures {
                let start = capture.as_ptr() as usize - path.as_ptr() as usize;
                assert!(!capture.is_empty() && path.get(start..start + capture.len()) == Some(*capture));
            }
        }
        Route::NotFound => assert!(!keys.iter().any(|key| rules.matches(key, &path)), "{path} {keys:?}"),
        Route::MethodNotAllowed { .. } => panic!("{path} has the method"),
    }
    assert!(!matches!(contract.route("PUT", &path, None), Route::Found { .. }));
});

struct Rules {
    slash: bool,
    fold: bool,
}

/// What a segment of a path key is made of.
enum Part {
    Byte(u8),
    Capture,
}

impl Rules {
    fn matches(&self, key: &str, path: &str) -> bool {
        // An empty segment within a path key says nothing; at its end it is a slash.
        let mut segments: Vec<&str> = key.split('/').skip(1).collect();
        let last = segments.len() - 1;
        let mut index = 0;
        segments.retain(|segment| {
            index += 1;
            !segment.is_empty() || index - 1 == last
        });
        let mut parts: Vec<&str> = path.split('/').skip(1).collect();
        for list in [&mut segments, &mut parts] {
            if self.slash && list.len() > 1 && list.last() == Some(&"") {
                list.pop();
            }
        }
        self.segments(&segments, &parts, true)
    }

    fn segments(&self, key: &[&str], path: &[&str], may_be_wide: bool) -> bool {
        let Some((first, rest)) = key.split_first() else { return path.is_empty() };
        if may_be_wide && matches!(*first, "{p*}" | "{+q}") {
            return (1..=path.len()).any(|taken| {
                let inner = path[..taken].iter().enumerate();
                let fits = inner
                    .clone()
                    .all(|(at, part)| !part.is_empty() || at > 0 && taken == path.len() && at + 1 == taken);
                fits && self.segments(rest, &path[taken..], false)
            });
        }
        let Some((part, others)) = path.split_first() else { return false };
        self.segment(&pieces(first), &units(part)) && self.segments(rest, others, may_be_wide)
    }

    fn segment(&self, pieces: &[Part], units: &[u8]) -> bool {
        match pieces.split_first() {
            None => units.is_empty(),
            Some((Part::Byte(byte), rest)) => units.split_first().is_some_and(|(unit, units)| {
                let equal = unit == byte || self.fold && unit.eq_ignore_ascii_case(byte);
                equal && self.segment(rest, units)
            }),
            Some((Part::Capture, rest)) => (1..=units.len()).any(|taken| self.segment(rest, &units[taken..])),
        }
    }
}

fn pieces(segment: &str) -> Vec<Part> {
    let (mut out, mut rest) = (Vec::new(), segment);
    while let Some(at) = rest.find('{') {
        out.extend(units(&rest[..at]).into_iter().map(Part::Byte));
        out.push(Part::Capture);
        rest = rest[at..].split_once('}').map_or("", |(_, rest)| rest);
    }
    out.extend(units(rest).into_iter().map(Part::Byte));
    out
}

fn units(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default() as u8;
                out.push(digit(high) << 4 | digit(low));
                rest = after;
            }
            _ => out.push(*byte),
        }
    }
    out
}
