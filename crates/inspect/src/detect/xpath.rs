//! XPath and XQuery, put where a value stands.

use crate::class::Class;
use crate::detect::View;
use crate::text::{at, find, from, has_any, is_word, skip_space, slice};
use crate::verdict::Hits;

/// Functions that are XPath's own: with parentheses and, where English has the word too, with a path inside.
const FUNCTIONS: &[(&[u8], u8)] = &[
    (b"string-length(", 72),
    (b"substring(name(", 82),
    (b"local-name(", 72),
    (b"namespace-uri(", 72),
    (b"doc-available(", 80),
    (b"starts-with(name", 75),
    (b"normalize-space(", 60),
    (b"count(/", 82),
    (b"name(/", 80),
    (b"position()", 66),
    (b"last()", 50),
    (b"node()", 70),
    (b"name()", 62),
    (b"string(/", 72),
    (b"doc(concat(", 82),
    (b"unparsed-text(", 78),
    (b"count(//", 84),
    (b"parent::", 66),
    (b"child::", 70),
    (b"ancestor::", 70),
    (b"descendant::", 70),
    (b"following-sibling::", 66),
    (b"preceding-sibling::", 66),
    (b"attribute::", 66),
    (b"text()", 60),
    (b"processing-instruction(", 72),
    (b"comment()", 60),
    (b"encode-for-uri(", 72),
];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if view.document {
        return;
    }
    hits.step(bytes.len() * 4);
    let broken = bytes.iter().take(256).any(|b| matches!(b, b'\'' | b'"'));
    for (function, worth) in FUNCTIONS {
        let Some(start) = find(slice(bytes, 0, 8192), function) else { continue };
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        // `std::child::x(` and `a.parent::b` are code; `text()` is a method of everything.
        if is_word(before) || before == b'.' || before == b':' || before == b'>' {
            continue;
        }
        let logic = has_any(slice(bytes, 0, start), &[b" or ", b" and ", b"'or", b"\"or", b"|"]);
        let score = worth
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
                && (at(rest, 0) == b'|' && at(rest, 1) != b'|'
                    || rest.starts_with(b"//") && rest.contains(&b'[')
                    || rest.starts_with(b"/*"))
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
    if body.starts_with(b"//") && (has_any(body, &[b"[@", b"/text()", b"//*"]))
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
