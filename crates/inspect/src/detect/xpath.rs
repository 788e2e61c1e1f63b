//! XPath and XQuery, put where a value stands.

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::text::{at, find, from, has_any, is_word, skip_space, slice};
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
    b"descendant::",
    b"following-sibling::",
    b"preceding-sibling::",
    b"attribute::",
    b"text()",
    b"processing-instruction(",
    b"comment()",
    b"encode-for-uri(",
]);

/// What joins a predicate to the one before.
static LOGIC: Finder = Finder::new(&[b" or ", b" and ", b"'or", b"\"or", b"|"]);

/// How telling each of them is.
const WORTHS: [u8; 28] = [
    72, 82, 72, 72, 80, 75, 60, 82, 80, 66, 50, 70, 62, 72, 82, 78, 84, 66, 70, 70, 70, 66, 66, 66, 60, 72,
    60, 72,
];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if view.document {
        return;
    }
    if !hits.spend(bytes.len() * 4) {
        return;
    }
    // Where a logical operator has ended that stands before what follows.
    let logic_at = {
        let mut first = usize::MAX;
        LOGIC.each(bytes, |word, start| {
            first = first.min(start + LOGIC.word(word).map_or(0, <[u8]>::len));
        });
        first
    };
    let broken = bytes.iter().take(256).any(|b| matches!(b, b'\'' | b'"'));
    for (index, start) in FUNCTIONS.firsts(bytes) {
        let (Some(function), Some(&worth)) = (FUNCTIONS.word(index), WORTHS.get(index)) else { continue };
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        // `std::child::x(` and `a.parent::b` are code; `text()` is a method of everything.
        if is_word(before) || before == b'.' || before == b':' || before == b'>' {
            continue;
        }
        // Words of English or of any language's code: only in the middle of a path or a predicate.
        let end = start + function.len();
        let after = at(bytes, end);
        let joined = matches!(before, b'/' | b'[' | b'(' | b'=' | b'@' | b'|')
            || matches!(after, b'/' | b'[' | b'=' | b'<' | b'>' | b')' | b'|');
        if function.ends_with(b"()") && !joined && bytes.len() > end + 1 {
            continue;
        }
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
        if let Some(start) = find(slice(bytes, 0, 8192), close) {
            let next = skip_space(bytes, start + close.len());
            let rest = from(bytes, next);
            if start < 64
                && (at(rest, 0) == b'|' && matches!(at(rest, skip_space(rest, 1)), b'/' | b'*' | b'.')
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
    let first = body.starts_with(b"/*[") && at(body, 3).is_ascii_digit() && at(body, 4) == b']';
    if body.starts_with(b"//")
        && (has_any(body, &[b"[@", b"/text()", b"//*", b"[name()", b"[position()", b"[last()"]))
        || first
        || body == b"/*"
        || body == b"//*"
        || body.starts_with(b"x' or 1=1 or 'x'='y")
        || body.starts_with(b"/*/") && body.len() < 24
    {
        let captured = has_any(body, &[b"[@id=", b"[@class="]);
        hits.add(
            Class::XPath,
            if captured { 45 } else { 72 },
            "a path through an XML document",
            0,
            bytes.len(),
        );
    }
}
