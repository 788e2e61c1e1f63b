//! A value and its other forms, each judged once.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::decode::{Decoding, others, plainer};
use crate::detect::{self, View};
use crate::leaves;
use crate::place::Place;
use crate::screen::{Bytes, screen};
use crate::text::is_space;
use crate::verdict::{ATTACK, Hits, SUSPICIOUS, Verdict, excerpt};

/// Layers that are undone.
const LAYERS: usize = 5;

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
    /// Bytes that further forms may have.
    budget: usize,
}

struct Form {
    bytes: Vec<u8>,
    undone: Vec<Decoding>,
}

impl Search {
    fn run(&mut self, value: &[u8], place: Place, kinds: Bytes) -> Option<Verdict> {
        // Forms that are not the value with single characters undone, together, may be as long as the value.
        self.budget = value.len() * 2 + 256;
        self.explore(value, place, kinds, &[]);
        self.best.take()
    }

    /// Judges `value`, what it is with one layer after the other undone, and what those may be as a whole.
    fn explore(&mut self, value: &[u8], place: Place, kinds: Bytes, undone: &[Decoding]) {
        let mut waiting: Vec<Form> = Vec::new();
        let mut undone = undone.to_vec();
        let (mut current, mut kinds) = (Cow::Borrowed(value), kinds);
        for layer in 0..LAYERS {
            self.form(&current, place, kinds, &undone);
            if self.sure() {
                return;
            }
            others(&current, kinds, |decoding, bytes| {
                if bytes.len() <= self.budget && !bytes.is_empty() && undone.len() < LAYERS {
                    self.budget -= bytes.len();
                    let mut layers = undone.clone();
                    layers.push(decoding);
                    waiting.push(Form { bytes, undone: layers });
                }
            });
            if layer + 1 == LAYERS {
                break;
            }
            let Some(next) = plainer(&current, kinds, &mut undone) else { break };
            self.hits += next.len() as u64 * 4;
            kinds = Bytes::of(&next);
            current = Cow::Owned(next);
        }
        for form in waiting {
            self.explore(&form.bytes, place, Bytes::of(&form.bytes), &form.undone);
            if self.sure() {
                return;
            }
        }
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
            self.explore(&leaf.bytes, inner, Bytes::of(&leaf.bytes), &layers);
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
