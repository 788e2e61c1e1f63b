//! JavaScript put where a value stands: calls of what an attack calls, and the ways to hide them.

use crate::class::Class;
use crate::detect::View;
use crate::detect::html::script_url;
use crate::finder::Finder;
use crate::text::{at, from, has, has_any, is_space, is_word, listed, skip_space, skip_while, slice, trim};
use crate::verdict::Hits;

/// Functions that an attack calls, sorted.
const SINKS: &[&str] = &[
    "$",
    "alert",
    "atob",
    "confirm",
    "eval",
    "execscript",
    "fetch",
    "function",
    "import",
    "print",
    "prompt",
    "setinterval",
    "settimeout",
];

/// Objects through which a page is reached, sorted.
const OBJECTS: &[&str] =
    &["document", "frames", "globalthis", "location", "parent", "self", "this", "top", "window"];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let discount = if view.document { 35 } else { 0 };
    if let Some(why) = script_url(bytes) {
        hits.add(Class::Xss, 88 - discount, why, 0, bytes.len());
    }
    punctuation_only(view, hits);
    let tail = trim(bytes);
    let hidden_tail = tail.ends_with(b"//")
        || tail.ends_with(b"<!--")
        || has(slice(bytes, bytes.len().saturating_sub(12), bytes.len()), b"//");
    if !hits.spend(bytes.len() * 4) {
        return;
    }
    let mut index = 0;
    while index < bytes.len() {
        let byte = at(bytes, index);
        if !(byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$') {
            index += 1;
            continue;
        }
        let end = skip_while(bytes, index, |b| is_word(b) || b == b'$');
        let word = slice(bytes, index, end);
        if !hits.spend(WORD) {
            return;
        }
        let before = before(bytes, index);
        let known = listed(SINKS, word)
            || listed(OBJECTS, word)
            || matches!(
                word,
                b"constructor" | b"fromCharCode" | b"innerHTML" | b"outerHTML" | b"insertAdjacentHTML"
            );
        if !known {
            index = end.max(index + 1);
            continue;
        }
        let cost = if listed(OBJECTS, word) { OBJECT } else { CALL };
        if !hits.spend(cost) {
            return;
        }
        let place = Place { bytes, index, end, before, hidden_tail, discount, short: view.is_short() };
        if listed(SINKS, word) {
            place.call(word, hits);
        } else if listed(OBJECTS, word) {
            place.object(word, hits);
        } else {
            place.property(word, hits);
        }
        index = end.max(index + 1);
    }
}

/// Steps for a word, for a known function, for a known object, and for a name in brackets behind that.
const WORD: usize = 20;
const CALL: usize = 320;
const OBJECT: usize = 160;
const COMPUTED: usize = 400;

/// The last byte before `index` that is no white space.
fn before(bytes: &[u8], index: usize) -> u8 {
    slice(bytes, 0, index).iter().rev().take(16).copied().find(|&b| !is_space(b)).unwrap_or(0)
}

/// What an attack shows, to prove that it can.
static SHOWN: Finder = Finder::new(&[
    b"document",
    b"cookie",
    b"origin",
    b"string.from",
    b"atob",
    b"xss",
    b"location",
    b"window",
    b"self",
]);

/// What calls or sets a member.
static CALLED: Finder = Finder::new(&[b"](", b"]`", b"]=", b"].call", b"] ("]);

/// How a name is spelt that should not be seen.
static HIDDEN: Finder = Finder::new(&[
    b"'+'",
    b"\"+\"",
    b"\\x",
    b"\\u",
    b"![]",
    b"/*",
    b"atob",
    b"fromcharcode",
    b".join",
    b"\\1",
    b"tostring",
    b".source",
    b"alert",
    b"eval",
    b"concat",
    b"+[]",
    b"cookie",
]);

struct Place<'a> {
    bytes: &'a [u8],
    index: usize,
    end: usize,
    before: u8,
    hidden_tail: bool,
    discount: u8,
    short: bool,
}

impl Place<'_> {
    fn add(&self, score: u8, why: &'static str, hits: &mut Hits) {
        let score = score.saturating_sub(self.discount);
        hits.add(Class::Xss, score, why, self.index, (self.index + 60).min(self.bytes.len()));
    }

    /// How much where the word stands adds: it begins the value, or follows what closes a string or a statement.
    fn bonus(&self) -> u8 {
        let start = slice(self.bytes, 0, self.index);
        let lead = match self.before {
            0 => 20,
            _ if start.len() < 256 && start.iter().all(|&b| !is_word(b)) => 20,
            b'\'' | b'"' | b'`' | b';' | b')' | b'}' | b']' | b'-' | b'+' | b'*' | b'/' | b'^' | b'|'
            | b'&' | b'%' | b'?' | b'!' | b'~' | b',' | b':' | b'=' | b'(' | b'{' | b'>' | b'[' => {
                if broke_out(start) {
                    20
                } else {
                    5
                }
            }
            _ => 0,
        };
        lead + if self.hidden_tail { 15 } else { 0 }
    }

    /// A call of a sink: `alert(1)`, ``alert`1` ``, `alert.call(null, 1)`, `alert?.(1)`, `(alert)(1)`, `top.alert(1)`.
    fn call(&self, word: &[u8], hits: &mut Hits) {
        let mut next = skip_gaps(self.bytes, self.end);
        if at(self.bytes, next) == b')' {
            next = skip_gaps(self.bytes, next + 1);
        }
        let rest = from(self.bytes, next);
        let called = at(rest, 0) == b'('
            || at(rest, 0) == b'`' && at(rest, 1) != b'`' && self.before != b'`'
            || rest.starts_with(b"?.(");
        let through = [&b".call"[..], b".apply", b".bind", b"[\"call", b"['call"]
            .iter()
            .any(|known| rest.starts_with(known));
        if !called && !through {
            // `onerror=alert;throw 1`, `{onerror=alert}`.
            if self.before == b'='
                && matches!(at(rest, 0), b';' | b'}')
                && has_any(
                    slice(self.bytes, self.index.saturating_sub(48), self.index + 48),
                    &[b"throw", b"onerror"],
                )
            {
                self.add(60 + self.bonus(), "hands an error to a function of the page", hits);
            }
            return;
        }
        let weak = matches!(
            word.to_ascii_lowercase().as_slice(),
            b"$" | b"import" | b"print" | b"function" | b"settimeout" | b"setinterval" | b"fetch" | b"atob"
        );
        let argument = skip_space(rest, 1);
        let shown =
            matches!(at(rest, argument), b'0'..=b'9' | b'\'' | b'"' | b'`' | b'/' | b')' | b'%' | b'\\')
                || SHOWN.any(slice(rest, 0, 48));
        let base = match (weak, shown) {
            (false, true) => 58,
            (false, false) => 48,
            (true, true) => 30,
            (true, false) => 15,
        };
        let through = if through { 10 } else { 0 };
        self.add(base + through + self.bonus(), "calls a function that shows a page can be scripted", hits);
    }

    /// `document.cookie`, `window['al'+'ert'](1)`, `location=…`.
    fn object(&self, word: &[u8], hits: &mut Hits) {
        let next = skip_gaps(self.bytes, self.end);
        let rest = from(self.bytes, next);
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if at(rest, 0) == b'[' {
            if !hits.spend(COMPUTED) {
                return;
            }
            let index = skip_gaps(rest, 1);
            let odd = matches!(
                at(rest, index),
                b'\'' | b'"' | b'`' | b'(' | b'!' | b'+' | b'/' | b'[' | b'{' | b'\\' | b'~'
            ) || at(rest, index).is_ascii_digit() && has(slice(rest, 0, 40), b"tostring");
            let head = slice(rest, 0, 72);
            let called = CALLED.any(head);
            let page = is("document") && has_any(slice(rest, 0, 20), &[b"cookie", b"domain", b"write"]);
            if page {
                self.add(55 + self.bonus(), "reads or writes the page", hits);
            }
            if odd && called {
                // `this['name'](` is ordinary in code; hidden spellings are not.
                let hidden = HIDDEN.any(head);
                self.add(
                    if hidden { 75 } else { 45 } + self.bonus(),
                    "reaches a function of the page by a computed name",
                    hits,
                );
            }
            return;
        }
        if at(rest, 0) == b'.' {
            let start = skip_gaps(rest, 1);
            let end = skip_while(rest, start, is_word);
            let property = slice(rest, start, end);
            let after = from(rest, skip_space(rest, end));
            let strong = is("document")
                && ["cookie", "write", "writeln", "domain"].iter().any(|known| property == known.as_bytes())
                || is("window") && ["name", "onerror"].iter().any(|known| property == known.as_bytes());
            let writes = at(after, 0) == b'=' && at(after, 1) != b'=' || at(after, 0) == b'(';
            // The page's own address, and its cookies with it.
            if property == b"location" && writes && has(slice(after, 0, 120), b"document.cookie") {
                self.add(78, "sends the page's cookies elsewhere", hits);
            }
            if strong {
                self.add(if writes { 52 } else { 42 } + self.bonus(), "reads or writes the page", hits);
            } else if (property == b"location" || is("location")) && writes {
                self.add(40 + self.bonus(), "leads the page elsewhere", hits);
            }
            return;
        }
        if is("location")
            && at(rest, 0) == b'='
            && at(rest, 1) != b'='
            && (self.before == 0 || matches!(self.before, b';' | b'"' | b'\'' | b'>' | b')' | b'='))
        {
            let target = trim(from(rest, 1));
            if matches!(at(target, 0), b'\'' | b'"' | b'`' | b'/')
                || target.starts_with(b"name")
                || has(slice(target, 0, 24), b"javascript")
                || has(slice(target, 0, 24), b"document")
            {
                self.add(50 + self.bonus(), "leads the page elsewhere", hits);
            }
        }
    }

    /// `[].constructor.constructor('…')()`, `String.fromCharCode(88, …)`, `x.innerHTML=`.
    fn property(&self, word: &[u8], hits: &mut Hits) {
        let rest = from(self.bytes, skip_gaps(self.bytes, self.end));
        let near = slice(rest, 0, 96);
        match word {
            b"fromCharCode" if at(rest, 0) == b'(' && at(rest, skip_space(rest, 1)).is_ascii_digit() => {
                self.add(55 + self.bonus(), "spells a string out in numbers", hits);
            }
            b"constructor"
                if near.starts_with(b".constructor")
                    || near.starts_with(b"[")
                    || near.starts_with(b"(\"")
                    || near.starts_with(b"('")
                    || near.starts_with(b"(`")
                    || matches!(self.before, b'.' | b'\'' | b'"')
                        && matches!(at(near, 0), b'(' | b'\'' | b'"' | b']')
                        && has_any(near, &[b"](", b"alert(", b"eval(", b"('", b"(\""]) =>
            {
                let code = has_any(near, &[b"alert", b"eval", b"return", b"(\"", b"('", b"`", b"prototype"]);
                self.add(if code { 65 } else { 45 } + self.bonus(), "makes a function out of text", hits);
            }
            b"innerHTML" | b"outerHTML" | b"insertAdjacentHTML"
                if at(rest, 0) == b'=' || at(rest, 0) == b'(' =>
            {
                self.add(40 + self.bonus(), "writes markup into the page", hits);
            }
            _ => {}
        }
        let _ = self.short;
    }
}

/// White space and comments.
fn skip_gaps(bytes: &[u8], index: usize) -> usize {
    let mut index = skip_space(bytes, index);
    for _ in 0..4 {
        if at(bytes, index) != b'/' || at(bytes, index + 1) != b'*' {
            break;
        }
        let rest = slice(bytes, index + 2, index + 258);
        let Some(end) = rest.windows(2).position(|pair| pair == b"*/") else { break };
        index = skip_space(bytes, index + 2 + end + 2);
    }
    index
}

/// Whether `start` closes a string, a call or a block that it did not open: the value broke out of one.
fn broke_out(start: &[u8]) -> bool {
    let mut open = 0_i32;
    let (mut single, mut double, mut back) = (0_u32, 0_u32, 0_u32);
    for &byte in start.iter().rev().take(64) {
        match byte {
            b'\'' => single += 1,
            b'"' => double += 1,
            b'`' => back += 1,
            b')' | b']' | b'}' => open += 1,
            b'(' | b'[' | b'{' => open -= 1,
            _ => {}
        }
    }
    open > 0 || [single, double, back].iter().any(|count| count % 2 == 1)
}

/// JavaScript of brackets and signs alone.
fn punctuation_only(view: &View<'_>, hits: &mut Hits) {
    let mut run = 0;
    let mut signs = [false; 5];
    for &byte in view.bytes {
        let sign = match byte {
            b'[' => 0,
            b']' => 1,
            b'(' => 2,
            b'!' => 3,
            b'+' => 4,
            b')' | b' ' | b'{' | b'}' | b'~' => 5,
            _ => {
                run = 0;
                signs = [false; 5];
                continue;
            }
        };
        if let Some(seen) = signs.get_mut(sign) {
            *seen = true;
        }
        run += 1;
        if run >= 24 && signs.iter().filter(|&&seen| seen).count() >= 4 && signs[0] && signs[4] {
            hits.add(Class::Xss, 85, "script of brackets and signs alone", 0, view.bytes.len().min(60));
            return;
        }
    }
}
