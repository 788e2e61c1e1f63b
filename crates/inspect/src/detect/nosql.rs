//! Operators and code of document databases.

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::place::Place;
use crate::text::{Table, at, from, has, is_space, is_word, skip_space, skip_while, slice, trim};
use crate::verdict::Hits;

/// Operators of MongoDB's query language, and what a client that names one is worth. Sorted.
static OPERATORS: Table<u8> = Table::new(&[
    ("$accumulator", 90),
    ("$addtoset", 74),
    ("$all", 70),
    ("$and", 72),
    ("$currentdate", 74),
    ("$elemmatch", 65),
    ("$eq", 70),
    ("$exists", 75),
    ("$expr", 80),
    ("$facet", 72),
    ("$function", 92),
    ("$geointersects", 72),
    ("$geowithin", 72),
    ("$graphlookup", 80),
    ("$gt", 75),
    ("$gte", 72),
    ("$in", 70),
    ("$inc", 74),
    ("$jsonschema", 70),
    ("$lookup", 78),
    ("$lt", 72),
    ("$lte", 72),
    ("$match", 72),
    ("$merge", 76),
    ("$mod", 70),
    ("$mul", 74),
    ("$ne", 82),
    ("$near", 72),
    ("$nearsphere", 72),
    ("$nin", 75),
    ("$nor", 75),
    ("$not", 72),
    ("$or", 72),
    ("$out", 76),
    ("$pull", 74),
    ("$pullall", 74),
    ("$push", 74),
    ("$regex", 78),
    ("$rename", 74),
    ("$set", 60),
    ("$setoninsert", 74),
    ("$size", 50),
    ("$text", 50),
    ("$type", 30),
    ("$unionwith", 80),
    ("$unset", 60),
    ("$where", 94),
]);

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if !hits.spend(bytes.len() * 3) {
        return;
    }
    let discount = if view.document { 35 } else { 0 };
    let add = |hits: &mut Hits, score: u8, why, start: usize, end: usize| {
        hits.add(Class::NoSql, score.saturating_sub(discount), why, start, end);
    };
    let objects = bytes.contains(&b'{') || has(bytes, b"', ");
    let mut index = 0;
    while let Some(found) = from(bytes, index).iter().position(|&b| b == b'$') {
        let start = index + found;
        let end = skip_while(bytes, start + 1, is_word);
        index = end.max(start + 1);
        if !hits.spend(32) {
            return;
        }
        let Some(worth) = OPERATORS.get(slice(bytes, start, end)) else { continue };
        let before = slice(bytes, 0, start).last().copied().unwrap_or(0);
        let after = at(bytes, skip_space(bytes, end));
        // `a[$type]`: where names have brackets, whatever the operator.
        let worth = if view.place == Place::Name && before == b'[' { worth.max(72) } else { worth };
        let nested = start == 0 && at(bytes, end) == b'[';
        let key = view.place == Place::Name && (before == b'[' || before == b'.' || start == 0);
        let quoted = matches!(before, b'\'' | b'"') && matches!(after, b'\'' | b'"' | b':');
        let bare = (after == b':' || at(bytes, end) == b']')
            && (before == 0 || is_space(before) || matches!(before, b'{' | b',' | b'['));
        if key && (start == 0 && end == bytes.len() || nested || before != 0) {
            add(hits, worth, "an operator of a query where a name should stand", start, end);
        } else if quoted || bare {
            // Where text holds an object, the object must be there too.
            let object = objects || before == b'[' || start < 12;
            let sentence = if is_sentence(bytes, start) { 20 } else { 0 };
            let worth = if worth < 50 { worth } else { worth.max(72) };
            add(
                hits,
                if object { worth - sentence.min(worth) } else { 50 },
                "an operator of a query in a value",
                start,
                (end + 40).min(bytes.len()),
            );
        }
    }
    let calls = [&b"db."[..], b"this."];
    for call in calls {
        let mut from_here = 0;
        while let Some(found) = crate::text::find(from(bytes, from_here), call) {
            let start = from_here + found;
            from_here = start + call.len();
            let before = if start == 0 { 0 } else { at(bytes, start - 1) };
            if !hits.spend(16) {
                return;
            }
            if is_word(before) {
                continue;
            }
            let near = slice(bytes, start, start + 80);
            if !hits.spend(near.len() * 5) {
                return;
            }
            let method = METHODS.any(near);
            // `db.get('x').find(…)` is a library of another kind.
            let end = skip_while(near, call.len(), is_word);
            let member = at(near, end) == b'.' || has(near, b"getcollectionnames");
            // `this.users.find(` is any program's code; a document has fields, and strings match.
            let direct =
                if call == b"this." { has(near, b".match(") || has(near, b".injection") } else { member };
            if method && direct {
                let strong = has(near, b".getcollectionnames(") || call == b"this." && has(near, b".match(/");
                add(
                    hits,
                    if strong {
                        85
                    } else if view.is_short() {
                        75
                    } else {
                        45
                    },
                    "code of a document database",
                    start,
                    start + near.len(),
                );
            }
        }
    }
    if bytes.len() < 256 && !bytes.contains(&b'\n') && hits.spend(bytes.len() * 10) {
        broken_javascript(bytes, &mut |score, why, start, end| add(hits, score, why, start, end));
    }
}

/// Whether the operator at `start` stands in a sentence: words on both sides, and no object or string that was left.
fn is_sentence(bytes: &[u8], start: usize) -> bool {
    let words = |text: &[u8]| {
        text.split(|&b| is_space(b)).filter(|w| w.len() > 1 && w.iter().all(u8::is_ascii_alphabetic)).count()
    };
    let lead = slice(bytes, start.saturating_sub(256), start);
    at(bytes, 0).is_ascii_alphabetic()
        && lead.iter().filter(|b| matches!(b, b'{' | b'[' | b'"' | b'\'' | b';')).count() < 3
        && words(lead) > 0
        && words(lead) + words(slice(bytes, start, start + 256)) > 5
}

/// Methods of a collection.
static METHODS: Finder = Finder::new(&[
    b".insert(",
    b".find(",
    b".findone(",
    b".drop(",
    b".remove(",
    b".update(",
    b".getcollectionnames(",
    b".injection",
    b".match(/",
    b".deleteone(",
    b".aggregate(",
]);

/// Code that leaves a string.
static CODE: Finder = Finder::new(&[
    b"return true",
    b"return 1",
    b"return ''",
    b"return(true",
    b"while(1)",
    b"while(true)",
    b"new date()",
    b"sleep(",
    b"this.",
    b"==1",
    b"=='",
    b"==\"",
    b"1==1",
    b"emit(",
    b"tojson(",
]);

/// `'; return true; var a='`, `' || '1'=='1`, `1; while(1);`: a string of server-side JavaScript, left.
fn broken_javascript(bytes: &[u8], add: &mut impl FnMut(u8, &'static str, usize, usize)) {
    let head = slice(bytes, 0, 2048);
    let Some(quote) = head.iter().position(|b| matches!(b, b'\'' | b'"' | b';')) else { return };
    let rest = slice(bytes, quote, quote + 256);
    let inner = trim(from(rest, 1));
    let breaks = inner.starts_with(b"||")
        || inner.starts_with(b"&&")
        || inner.starts_with(b";")
        || inner.starts_with(b"}")
        || at(rest, 0) == b';';
    if !breaks {
        return;
    }
    let code = CODE.any(rest);
    let loops = has(rest, b"new date()") && (has(rest, b"do{") || has(rest, b"do {") || has(rest, b"while"));
    if loops || has(rest, b"while(1)") || has(rest, b"while(true)") {
        add(85, "code that keeps the database busy", quote, quote + rest.len());
    } else if code
        && (has(rest, b"return true")
            || has(rest, b"return(true")
            || has(rest, b"return 1")
            || has(rest, b"return '' ")
            || has(rest, b"tojson(")
            || has(rest, b"'=='")
            || has(rest, b"1==1")
            || has(rest, b"this."))
    {
        add(76, "code that leaves the string it was put in", quote, quote + rest.len());
    } else if has(rest, b"new date()") && has(rest, b"var ") {
        add(72, "code that leaves the string it was put in", quote, quote + rest.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_sorted() {
        assert!(OPERATORS.entries().is_sorted_by(|a, b| a.0 < b.0));
    }
}
