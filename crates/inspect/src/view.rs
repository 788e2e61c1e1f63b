//! A value and its other forms, each judged once.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::budget::Budget;
use crate::class::{Class, Classes};
use crate::decode::{Decoding, others, plainer};
use crate::detect::{self, ALL_UNSEEN, Unseen, View};
use crate::leaves;
use crate::place::Place;
use crate::screen::{Bytes, screen};
use crate::text::{is_space, skip_while, slice};
use crate::verdict::{ATTACK, Hits, SUSPICIOUS, Verdict, excerpt};

/// Layers that are undone of a form.
const LAYERS: usize = 5;

/// Decodings that lead to a form, at most.
const UNDONE: usize = 12;

/// What `value`, which stood in `place`, carries; nothing where it carries nothing worth a word.
pub fn inspect(value: &[u8], place: Place) -> Option<Verdict> {
    inspect_within(value, place, Classes::default(), &mut Budget::of(value.len()))
}

/// As [`inspect`], for one value of many that share a `budget`: those of a request. Kinds that are `passed` are not looked
/// for: what else the value carries is answered.
pub fn inspect_within(value: &[u8], place: Place, passed: Classes, budget: &mut Budget) -> Option<Verdict> {
    let kinds = Bytes::of(value);
    // What has only letters, digits and underscores, and is short, is neither statement nor encoded statement.
    if kinds.0 == 0 && value.len() < 12 && !value.starts_with(b"__") {
        return None;
    }
    // Forms that are not the value with single characters undone, together, may be as long as the value.
    let mut search =
        Search { best: None, passed, budget: *budget, room: value.len() * 2 + 256, forms: Vec::new() };
    search.explore(value, place, kinds, &[]);
    *budget = search.budget;
    if budget.is_out() && !search.sure() {
        search.best = Some(Verdict {
            class: Class::Excess,
            score: 100,
            why: "it takes more work to judge than any ordinary text",
            evidence: excerpt(value, 0, value.len()),
            undone: Vec::new(),
        });
    }
    search.best
}

/// How many steps [`inspect`] takes for `value`: see [`Budget`].
pub fn steps(value: &[u8], place: Place) -> u64 {
    let mut budget = Budget::of(value.len());
    inspect_within(value, place, Classes::default(), &mut budget);
    budget.spent()
}

#[derive(Debug)]
struct Search {
    best: Option<Verdict>,
    passed: Classes,
    budget: Budget,
    /// Bytes that further forms may have.
    room: usize,
    /// What the value may be as a whole, in other words. The same form found once more says nothing new.
    forms: Vec<Form>,
}

#[derive(Debug, Default)]
struct Form {
    bytes: Vec<u8>,
    undone: Vec<Decoding>,
}

/// What is judged at once: a form of a value, or a sentence of one.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    place: Place,
    kinds: Bytes,
    /// Whether it is a whole form, and no sentence of one.
    whole: bool,
}

impl Search {
    /// Judges `value`, what it is with one layer after the other undone, and what those may be as a whole.
    fn explore(&mut self, value: &[u8], place: Place, kinds: Bytes, undone: &[Decoding]) {
        let waiting = self.forms.len();
        let mut undone = undone.to_vec();
        let (mut current, mut kinds) = (Cow::Borrowed(value), kinds);
        let mut unseen = ALL_UNSEEN;
        for layer in 0..LAYERS {
            // Of a document of JSON its strings are undone, each by itself.
            if self.json(&current, place, kinds, &undone) {
                break;
            }
            self.judge(&Part { bytes: &current, place, kinds, whole: true }, &undone, &mut unseen);
            if self.ended() {
                return;
            }
            if is_document(&current) {
                self.sentences(&current, place, &undone);
                if self.ended() {
                    return;
                }
                if current.len() > LONG {
                    return self.pieces(&current, place, &undone);
                }
            }
            if !self.budget.spend(current.len() * OTHERS) {
                return;
            }
            others(&current, kinds, |decoding, bytes| self.wait(bytes, decoding, &undone));
            let undoable = kinds.0 & UNDOABLE;
            if undoable == 0 {
                break;
            }
            if undone.len() >= UNDONE || layer + 1 == LAYERS {
                // What is still encoded is not known: nobody encodes that often.
                if kinds.has(Bytes::PERCENT)
                    && plainer(&current, Bytes(Bytes::PERCENT), &mut undone).is_some()
                {
                    self.budget.exhaust();
                }
                break;
            }
            if !self.budget.spend(current.len() * PLAINER * undoable.count_ones() as usize) {
                return;
            }
            let Some((next, made)) = plainer(&current, kinds, &mut undone) else { break };
            for unseen in &mut unseen {
                *unseen |= made;
            }
            kinds = Bytes::of(&next);
            current = Cow::Owned(next);
        }
        self.waiting(waiting, place);
    }

    /// Judges the sentences and lines of a long text, each as a value of its own: what is put into a text is no text.
    fn sentences(&mut self, text: &[u8], place: Place, undone: &[Decoding]) {
        if !self.budget.spend(text.len()) || is_technical(text) {
            return;
        }
        let mut start = 0;
        while start < text.len() {
            let end = sentence_end(text, start);
            let sentence = slice(text, start, end).trim_ascii();
            start = end;
            if sentence.len() < 6 {
                continue;
            }
            let part = Part { bytes: sentence, place, kinds: Bytes::of(sentence), whole: false };
            self.judge(&part, undone, &mut { ALL_UNSEEN });
            if self.ended() {
                return;
            }
        }
    }

    /// Undoes what hides in a long text, piece by piece: what is encoded in one paragraph is no reason to read all others
    /// again.
    fn pieces(&mut self, text: &[u8], place: Place, undone: &[Decoding]) {
        let mut start = 0;
        while start < text.len() {
            let end = skip_while(text, start + PIECE, |byte| !is_space(byte)).min(start + PIECE * 2);
            // What begins in one piece ends in the next.
            let piece = slice(text, start.saturating_sub(OVERLAP), end);
            start = end;
            let kinds = Bytes::of(piece);
            let undoable = kinds.0 & UNDOABLE;
            let looks = 1 + OTHERS + PLAINER * undoable.count_ones() as usize;
            if undone.len() >= UNDONE || !self.budget.spend(piece.len() * looks) {
                return;
            }
            let first = self.forms.len();
            others(piece, kinds, |decoding, bytes| self.wait(bytes, decoding, undone));
            let mut layers = undone.to_vec();
            if let Some((next, _)) = plainer(piece, kinds, &mut layers) {
                self.explore(&next, place, Bytes::of(&next), &layers);
            }
            self.waiting(first, place);
            if self.ended() {
                return;
            }
        }
    }

    /// Judges the forms that wait, from the one at `first` on.
    fn waiting(&mut self, first: usize, place: Place) {
        for index in first..self.forms.len() {
            if self.ended() {
                return;
            }
            let Some(form) = self.forms.get_mut(index).map(std::mem::take) else { return };
            self.explore(&form.bytes, place, Bytes::of(&form.bytes), &form.undone);
            if let Some(done) = self.forms.get_mut(index) {
                *done = form;
            }
        }
    }

    /// Notes a form that is to be judged, unless it is known.
    fn wait(&mut self, bytes: Vec<u8>, decoding: Decoding, undone: &[Decoding]) {
        let known = self.forms.iter().any(|form| form.bytes == bytes);
        if bytes.is_empty() || undone.len() >= UNDONE || known {
            return;
        }
        if bytes.len() > self.room {
            self.budget.exhaust();
            return;
        }
        self.room -= bytes.len();
        self.forms.push(Form { bytes, undone: [undone, &[decoding]].concat() });
    }

    /// Judges the strings of a document of JSON instead of the document; `false` where `bytes` is none.
    fn json(&mut self, bytes: &[u8], place: Place, kinds: Bytes, undone: &[Decoding]) -> bool {
        if !kinds.has(Bytes::QUOTE) || kinds.0 & (Bytes::BRACE | Bytes::BRACKET) == 0 {
            return false;
        }
        let body = bytes.trim_ascii();
        let document =
            body.first().zip(body.last()).is_some_and(|ends| matches!(ends, (b'{', b'}') | (b'[', b']')));
        if !document || undone.len() >= UNDONE || !self.budget.spend(body.len() * 4) || !leaves::is_json(body)
        {
            return false;
        }
        let mut layers = undone.to_vec();
        layers.push(Decoding::Json);
        let mut visit = |leaf: leaves::Leaf<'_>| {
            let inner = match leaf.place {
                Place::Name => Place::Name,
                _ if place == Place::Header => Place::Header,
                _ => Place::Body,
            };
            self.budget.spend(LEAF);
            self.explore(&leaf.bytes, inner, Bytes::of(&leaf.bytes), &layers);
            if self.ended() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let _ = leaves::json_leaves(body, &mut visit);
        true
    }

    fn sure(&self) -> bool {
        self.best.as_ref().is_some_and(|best| best.score >= ATTACK)
    }

    /// Whether nothing more is to be looked at.
    fn ended(&self) -> bool {
        self.sure() || self.budget.is_out()
    }

    /// Judges `part`, and keeps what is found where it is more than is known.
    fn judge(&mut self, part: &Part<'_>, undone: &[Decoding], unseen: &mut Unseen) {
        let &Part { bytes, place, kinds, whole } = part;
        if !self.budget.spend(bytes.len() * 3 + 16) {
            return;
        }
        let marks = screen(bytes, kinds);
        if marks.is_empty() {
            return;
        }
        let view = View { bytes, place, marks, document: whole && is_document(bytes) };
        let mut hits = Hits { best: None, passed: self.passed, budget: self.budget };
        detect::judge(&view, unseen, &mut hits);
        self.budget = hits.budget;
        let Some(hit) = hits.best else { return };
        let least = if whole { SUSPICIOUS } else { SENTENCE };
        if hit.score < least || self.best.as_ref().is_some_and(|best| best.score >= hit.score) {
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

/// Whether `text` has code, tables or markup in more than one of its sentences or lines: about such things people write,
/// and one by one they look like what attacks.
fn is_technical(text: &[u8]) -> bool {
    let (mut start, mut technical, mut largest) = (0, 0, 0);
    while start < text.len() {
        let end = sentence_end(text, start);
        let sentence = slice(text, start, end);
        let signs = sentence.iter().filter(|byte| CODE.contains(byte)).count();
        let indented = sentence.starts_with(b"    ") || sentence.starts_with(b"\t");
        if signs * 33 > sentence.len() || indented {
            technical += sentence.len();
            largest = largest.max(sentence.len());
        }
        start = end;
    }
    (technical - largest) * 100 > (text.len() - largest) * TECHNICAL
}

/// Where the sentence or line of `text` ends that begins at `start`.
fn sentence_end(text: &[u8], start: usize) -> usize {
    let rest = crate::text::from(text, start);
    let mut last = 0;
    for (index, &byte) in rest.iter().enumerate() {
        if matches!(byte, b'\n' | b'\r') && index > 0 {
            return start + index + 1;
        }
        if is_space(byte) && matches!(last, b'.' | b'!' | b'?') {
            return start + index + 1;
        }
        last = byte;
    }
    text.len()
}

/// What a leaf of a document costs beside its bytes.
const LEAF: usize = 40;

/// From this score on a sentence in a long text is taken for an attack: more than of a whole value is asked.
const SENTENCE: u8 = 80;

/// Signs of code and markup.
const CODE: &[u8] = b"{}`=;<>$|\\[]_#*/@~";

/// As many of a hundred bytes may be code, in a text whose sentences are judged one by one.
const TECHNICAL: usize = 15;

/// A text of so many bytes is undone in pieces, of so many each, that overlap by so many.
const LONG: usize = 2048;
const PIECE: usize = 1024;
const OVERLAP: usize = 192;

/// Steps a byte for looking what a form may be as a whole.
const OTHERS: usize = 2;

/// Steps a byte for undoing one kind of bytes.
const PLAINER: usize = 2;

/// Kinds of bytes that can stand for others.
const UNDOABLE: u32 =
    Bytes::PERCENT | Bytes::PLUS | Bytes::AMPERSAND | Bytes::BACKSLASH | Bytes::HIGH | Bytes::CONTROL;

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
