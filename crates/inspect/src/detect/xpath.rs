//! XPath and XQuery, put where a value stands.

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::text::{
    at, find, from, has, has_any, is_space, is_word, listed, skip_space, skip_while, slice, starts,
};
use crate::verdict::Hits;

/// Functions that are XPath's own: with parentheses and, where English has the word too, with a path inside.
static FUNCTIONS: Finder = Finder::new(&[
    b"string-length(",
    b"substring(name(",
    b"local-name(",
    b"namespace-uri(",
    b"doc-available(",
    b"starts-with(name",
    b"normalize-space(",
    b"count(/",
    b"name(/",
    b"position()",
    b"last()",
    b"node()",
    b"name()",
    b"string(/",
    b"doc(concat(",
    b"unparsed-text(",
    b"count(//",
    b"parent::",
    b"child::",
    b"ancestor::",
    b"-or-self::",
    b"descendant::",
    b"following-sibling::",
    b"preceding-sibling::",
    b"attribute::",
    b"text()",
    b"processing-instruction(",
    b"comment()",
    b"encode-for-uri(",
]);

/// Tests of what kind a node is.
static NODES: Finder = Finder::new(&[b"node()", b"text()", b"comment()", b"processing-instruction("]);

/// Functions that take a path: `sum(//balance)`.
const TAKES_PATH: &[&str] = &[
    "boolean",
    "concat",
    "contains",
    "count",
    "data",
    "distinct-values",
    "ends-with",
    "exists",
    "lower-case",
    "name",
    "normalize-space",
    "not",
    "number",
    "starts-with",
    "string",
    "string-join",
    "string-length",
    "substring",
    "substring-after",
    "substring-before",
    "sum",
    "translate",
    "upper-case",
];

/// What joins a predicate to the one before.
static LOGIC: Finder = Finder::new(&[b" or ", b" and ", b"'or", b"\"or", b"|"]);

/// How telling each of them is.
const WORTHS: [u8; 29] = [
    72, 82, 72, 72, 80, 75, 60, 82, 80, 66, 50, 70, 62, 72, 82, 78, 84, 66, 70, 70, 74, 70, 66, 66, 66, 60,
    72, 60, 72,
];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if view.document {
        return;
    }
    if !hits.spend(bytes.len() * 5 + 256) {
        return;
    }
    let broken = bytes.iter().take(256).any(|b| matches!(b, b'\'' | b'"'));
    let functions = FUNCTIONS.firsts(bytes);
    // Where a logical operator has ended that stands before what follows.
    let logic_at = if functions.is_empty() {
        usize::MAX
    } else {
        let mut first = usize::MAX;
        LOGIC.each(bytes, |word, start| {
            first = first.min(start + LOGIC.word(word).map_or(0, <[u8]>::len));
        });
        first
    };
    for (index, start) in functions {
        let (Some(function), Some(&worth)) = (FUNCTIONS.word(index), WORTHS.get(index)) else { continue };
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        // `std::child::x(` and `a.parent::b` are code; `text()` is a method of everything.
        if is_word(before) && !function.starts_with(b"-")
            || before == b'.'
            || before == b':'
            || before == b'>'
        {
            continue;
        }
        // Words of English or of any language's code: only in the middle of a path or a predicate.
        let end = start + function.len();
        let after = at(bytes, end);
        let joined = matches!(before, b'/' | b'[' | b'(' | b'=' | b'@' | b'|')
            || matches!(after, b'/' | b'[' | b'=' | b'<' | b'>' | b')' | b'|');
        if function.ends_with(b"()") && !joined {
            continue;
        }
        // `child::new()` is code: an axis leads to a name, a test of nodes, or any.
        let axis = function.ends_with(b"::");
        let any = axis && (after == b'*' || NODES.any(slice(bytes, end, end + 24)));
        if axis && !any && from(bytes, skip_while(bytes, end, is_word)).starts_with(b"(") {
            continue;
        }
        let worth = if any { worth.max(74) } else { worth };
        // `normalize-space(//user[1])`: a function of English words, with a path in it.
        let worth = if function.ends_with(b"(") && slice(bytes, end, end + 2) == b"//" {
            worth.max(76)
        } else {
            worth
        };
        let logic = logic_at <= start;
        // `node()` in a text about something else.
        let text = if bytes.len() > 300 && !broken { 20 } else { 0 };
        let score = worth.saturating_sub(text)
            + if broken && logic {
                15
            } else if logic {
                6
            } else {
                0
            };
        hits.add(Class::XPath, score, "a function of XPath", start, (start + 60).min(bytes.len()));
    }
    // `'] | //user/*[contains(*,'`, `/*[1]`, `//user[name/text()=''`.
    for close in [&b"']"[..], b"\"]", b"')]"] {
        if let Some(start) = find(slice(bytes, 0, 96), close) {
            let next = skip_space(bytes, start + close.len());
            let rest = from(bytes, next);
            if start < 64
                && (at(rest, 0) == b'|' && matches!(at(rest, skip_space(rest, 1)), b'/' | b'*' | b'.')
                    || (starts(rest, b"or //") || starts(rest, b"and //")) && rest.contains(&b'[')
                    || rest.starts_with(b"//") && is_word(at(rest, 2)) && rest.contains(&b'[')
                    || rest.starts_with(b"/*") && at(rest, 2) != b' ')
            {
                hits.add(
                    Class::XPath,
                    80,
                    "closes the predicate it stands in",
                    start,
                    (start + 60).min(bytes.len()),
                );
            }
        }
    }
    let body = bytes.trim_ascii();
    if !body.contains(&b'/') {
        return;
    }
    paths(body, hits);
    // `for $x in //user return $x/password`.
    let short = slice(body, 0, 1024);
    if has(short, b"return $") && (has(body, b" in //") || has(body, b":= //") || has(body, b" in doc(")) {
        hits.add(Class::XPath, 76, "an expression of XQuery", 0, bytes.len());
    }
    if has_any(short, &[b"doc('http", b"doc(\"http"]) {
        hits.add(Class::XPath, 76, "a document from elsewhere", 0, bytes.len());
    }
    // `1]|//*[1`: a predicate closed, and another path.
    if let Some(start) = find(slice(body, 0, 256), b"]|/") {
        let opens = body.contains(&b'[');
        if body.iter().take(start).all(|&b| is_word(b) || matches!(b, b'\'' | b'"' | b')')) && opens {
            hits.add(Class::XPath, 76, "closes the predicate it stands in", start, bytes.len());
        }
    }
}

/// Functions of XPath that are given a path, and values that are one.
fn paths(body: &[u8], hits: &mut Hits) {
    let mut index = 0;
    while let Some(found) = find(from(body, index), b"(//") {
        let open = index + found;
        index = open + 3;
        if !hits.spend(found + 48) {
            return;
        }
        let name = slice(body, 0, open)
            .iter()
            .rev()
            .take(24)
            .take_while(|&&b| b.is_ascii_alphabetic() || b == b'-')
            .count();
        let name = slice(body, open - name, open);
        let step = at(body, open + 3);
        if listed(TAKES_PATH, name) && (step.is_ascii_alphabetic() || matches!(step, b'*' | b'@')) {
            hits.add(
                Class::XPath,
                76,
                "a function of XPath, and a path in it",
                open - name.len(),
                body.len(),
            );
        }
    }
    let steps = slice(body, 0, skip_while(body, 0, |b| b != b'['));
    if !body.starts_with(b"/") || body.len() > 160 || steps.iter().any(|&b| is_space(b) || b == b':') {
        return;
    }
    let double = body.starts_with(b"//");
    let node = double && NODES.any(body) && (body.ends_with(b"()") || body.contains(&b'['));
    let counted = body
        .windows(3)
        .any(|three| at(three, 0) == b'[' && at(three, 1).is_ascii_digit() && at(three, 2) == b']');
    let known = has_any(body, &[b"[@", b"/text()", b"//*", b"[name()", b"[position()", b"[last()"]);
    let any = body == b"//*" || body == b"//@*" || body.starts_with(b"/*/") && body.len() < 24;
    let counted =
        counted && (body.contains(&b'*') || double && body.iter().filter(|&&b| b == b'/').count() > 2);
    if double && known || node || any || counted || body.starts_with(b"/") && has(body, b"[position()") {
        // What tests of pages select by.
        let captured = has_any(body, &[b"[@id=", b"[@class="]);
        hits.add(
            Class::XPath,
            if captured { 45 } else { 72 },
            "a path through an XML document",
            0,
            body.len(),
        );
    }
}
