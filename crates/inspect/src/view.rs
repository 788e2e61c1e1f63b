//! A value and its other forms, each judged once.

use std::ops::ControlFlow;

use crate::decode::{Decoding, decodings};
use crate::detect::{self, View};
use crate::leaves;
use crate::place::Place;
use crate::screen::{Bytes, screen};
use crate::text::is_space;
use crate::verdict::{ATTACK, Hits, SUSPICIOUS, Verdict, excerpt};

/// Layers that are undone.
const LAYERS: usize = 5;

/// Forms that are judged, the value itself included.
const FORMS: usize = 16;

/// What `value`, which stood in `place`, carries; nothing where it carries nothing worth a word.
pub fn inspect(value: &[u8], place: Place) -> Option<Verdict> {
    let kinds = Bytes::of(value);
    // What has only letters, digits and underscores, and is short, is neither statement nor encoded statement.
    if kinds.0 == 0 && value.len() < 12 && !value.starts_with(b"__") {
        return None;
    }
    Search::default().run(value, place, kinds)
}

/// How many bytes and tokens [`inspect`] looks at for `value`: what bounds its work.
pub fn steps(value: &[u8], place: Place) -> u64 {
    let mut search = Search::default();
    search.run(value, place, Bytes::of(value));
    search.hits
}

#[derive(Debug, Default)]
struct Search {
    best: Option<Verdict>,
    hits: u64,
}

struct Form {
    bytes: Vec<u8>,
    undone: Vec<Decoding>,
}

impl Search {
    fn run(&mut self, value: &[u8], place: Place, kinds: Bytes) -> Option<Verdict> {
        let mut waiting: Vec<Form> = Vec::new();
        // Forms together may be a few times as long as the value.
        let mut budget = value.len() * 6 + 256;
        self.form(value, place, kinds, &[]);
        if self.sure() {
            return self.best.take();
        }
        derive(value, kinds, &[], &mut waiting, &mut budget);
        let mut forms = 1;
        while let Some(form) = waiting.pop() {
            forms += 1;
            if forms > FORMS {
                break;
            }
            let kinds = Bytes::of(&form.bytes);
            self.form(&form.bytes, place, kinds, &form.undone);
            if self.sure() {
                break;
            }
            if form.undone.len() < LAYERS {
                derive(&form.bytes, kinds, &form.undone, &mut waiting, &mut budget);
            }
        }
        self.best.take()
    }

    /// Judges the strings of a document of JSON instead of the document; `false` where `bytes` is none.
    fn json(&mut self, bytes: &[u8], place: Place, undone: &[Decoding]) -> bool {
        let body = bytes.trim_ascii();
        let document =
            body.first().zip(body.last()).is_some_and(|ends| matches!(ends, (b'{', b'}') | (b'[', b']')));
        if !document || undone.len() >= LAYERS || !leaves::is_json(body) {
            return false;
        }
        self.hits += body.len() as u64;
        let mut layers = undone.to_vec();
        layers.push(Decoding::Json);
        let mut visit = |leaf: leaves::Leaf<'_>| {
            let inner = match leaf.place {
                Place::Name => Place::Name,
                _ if place == Place::Header => Place::Header,
                _ => Place::Body,
            };
            let kinds = Bytes::of(&leaf.bytes);
            self.form(&leaf.bytes, inner, kinds, &layers);
            if !self.sure() {
                let (mut waiting, mut budget) = (Vec::new(), leaf.bytes.len() * 3 + 64);
                derive(&leaf.bytes, kinds, &layers, &mut waiting, &mut budget);
                for form in waiting.into_iter().take(4) {
                    self.form(&form.bytes, inner, Bytes::of(&form.bytes), &form.undone);
                }
            }
            if self.sure() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let _ = leaves::json_leaves(body, &mut visit);
        true
    }

    fn sure(&self) -> bool {
        self.best.as_ref().is_some_and(|best| best.score >= ATTACK)
    }

    fn form(&mut self, bytes: &[u8], place: Place, kinds: Bytes, undone: &[Decoding]) {
        if kinds.has(Bytes::QUOTE)
            && kinds.0 & (Bytes::BRACE | Bytes::BRACKET) != 0
            && self.json(bytes, place, undone)
        {
            return;
        }
        let marks = screen(bytes, kinds);
        let document = is_document(bytes);
        let view = View { bytes, place, marks, document };
        let mut hits = Hits::default();
        hits.step(bytes.len() * 2);
        detect::judge(&view, &mut hits);
        self.hits = self.hits.saturating_add(hits.steps);
        let Some(hit) = hits.best else { return };
        if hit.score < SUSPICIOUS || self.best.as_ref().is_some_and(|best| best.score >= hit.score) {
            return;
        }
        self.best = Some(Verdict {
            class: hit.class,
            score: hit.score,
            why: hit.why,
            evidence: excerpt(bytes, hit.start, hit.end),
            undone: undone.to_vec(),
        });
    }
}

/// Adds to `waiting` what `bytes` is with one more layer undone.
fn derive(bytes: &[u8], kinds: Bytes, undone: &[Decoding], waiting: &mut Vec<Form>, budget: &mut usize) {
    decodings(bytes, kinds, |decoding, out| {
        if out.len() > *budget || out.is_empty() {
            return;
        }
        *budget -= out.len();
        let mut layers = undone.to_vec();
        layers.push(decoding);
        waiting.push(Form { bytes: out, undone: layers });
    });
}

/// Whether `bytes` is a text that a person wrote for others to read: long, of lines or sentences.
fn is_document(bytes: &[u8]) -> bool {
    if bytes.len() < 300 {
        return false;
    }
    let (mut blanks, mut lines, mut sentences, mut letters, mut run, mut longest) = (0, 0, 0, 0, 0, 0);
    let mut last = 0;
    for &byte in bytes {
        if is_space(byte) {
            blanks += 1;
            lines += usize::from(byte == b'\n');
            sentences += usize::from(matches!(last, b'.' | b'!' | b'?' | b',' | b':'));
            longest = longest.max(run);
            run = 0;
        } else {
            run += 1;
            letters += usize::from(byte.is_ascii_alphabetic() || byte >= 0x80);
        }
        last = byte;
    }
    let words = blanks * 14 > bytes.len() && letters * 2 > bytes.len() && longest.max(run) * 3 < bytes.len();
    words && (sentences > 2 || lines > 4)
}
