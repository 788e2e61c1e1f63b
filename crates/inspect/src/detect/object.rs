//! Serialised objects, and names that reach an object's prototype.

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::place::Place;
use crate::text::{at, find, from, has, has_any, is_word, skip_while, slice, starts};
use crate::verdict::Hits;

/// Classes that a deserialiser of Java makes, and the tools that write them.
static JAVA: Finder = Finder::new(&[
    b"@type\":\"com.sun.",
    b"@type\":\"java.",
    b"@type\":\"javax.",
    b"@type\":\"org.apache.",
    b"@type\":\"org.springframework.",
    b"@type\":\"org.hibernate.",
    b"@type\":\"com.mchange.",
    b"@type\":\"com.zaxxer.",
    b"@type\":\"com.ibatis.",
    b"@type\":\"ch.qos.logback.",
    b"@type\":\"oracle.jdbc.",
    b"@type\":\"lcom.",
    b"@type\":\"[com.",
    b"@class\":\"java.",
    b"@class\":\"com.sun.",
    b"!!javax.script",
    b"!!java.",
    b"!!com.sun",
    b"org.apache.commons.collections",
    b"ysoserial",
    b"templatesimpl",
    b"c3p0",
]);

/// Modules that a pickle should not name.
static MODULES: Finder = Finder::new(&[
    b"builtins",
    b"__builtin__",
    b"posix",
    b"subprocess",
    b"nt\n",
    b"\x02nt",
    b"\x02os",
    b"cos\n",
    b"sys",
    b"commands",
    b"pty",
    b"runpy",
    b"timeit",
    b"platform",
    b"webbrowser",
    b"socket",
]);

/// Functions that a pickle should not call.
static CALLS: Finder = Finder::new(&[
    b"eval",
    b"exec",
    b"system",
    b"popen",
    b"getattr",
    b"__import__",
    b"compile",
    b"open",
    b"check_output",
    b"run",
    b"call",
    b"spawn",
]);

/// Classes that a deserialiser of .NET makes.
static DOTNET: Finder = Finder::new(&[
    b"\"$type\":\"system.",
    b"\"$type\": \"system.",
    b"objectdataprovider",
    b"\"__type\":\"system",
    b"\"$type\":'system",
    b"typeobject\":",
    b"windowsidentity",
]);

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    if !hits.spend(view.bytes.len() * 8) {
        return;
    }
    prototype(view, hits);
    java(view, hits);
    php(view, hits);
    python(view, hits);
    others(view, hits);
}

fn prototype(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let name = view.place == Place::Name;
    if let Some(start) = find(bytes, b"__proto__") {
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        let after = at(bytes, start + 9);
        let key = matches!(before, b'[' | b'.' | b'"' | b'\'' | 0 | b'{' | b'&' | b'?' | b',' | b' ')
            && matches!(after, b']' | b'.' | b'[' | b'"' | b'\'' | 0 | b':' | b'=');
        // Code names it as a string; a document has it as a name, a path in brackets.
        let string = matches!(after, b'"' | b'\'')
            && at(bytes, start.wrapping_sub(2)) != b'['
            && !matches!(at(bytes, crate::text::skip_space(bytes, start + 10)), b':' | b'=');
        let score = if name && key {
            95
        } else if key
            && !string
            && !view.document
            && (before != b' ' || after == b'[' || after == b'.' || after == b'=')
            && bytes.len() > 9
        {
            82
        } else {
            45
        };
        hits.add(Class::Prototype, score, "names an object's prototype", start, start + 10);
    }
    for path in [
        &b"constructor.prototype"[..],
        b"constructor][prototype",
        b"constructor[prototype",
        b"constructor\"][",
    ] {
        if let Some(start) = find(bytes, path) {
            hits.add(
                Class::Prototype,
                if name {
                    94
                } else if view.document {
                    40
                } else {
                    72
                },
                "names an object's prototype",
                start,
                start + path.len(),
            );
        }
    }
    if let Some(start) = find(bytes, b"\"constructor\"")
        && has(slice(bytes, start, start + 40), b"\"prototype\"")
    {
        hits.add(Class::Prototype, 88, "names an object's prototype", start, start + 40);
    }
    for known in [&b"__definegetter__"[..], b"__definesetter__", b"__lookupgetter__"] {
        if name && has(bytes, known) {
            hits.add(Class::Prototype, 85, "names what every object has", 0, bytes.len());
        }
    }
}

fn java(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if bytes.starts_with(&[0xac, 0xed, 0x00, 0x05]) || starts(bytes, b"aced0005") {
        hits.add(Class::Deserialization, 96, "a serialised object of Java", 0, bytes.len().min(80));
    }
    // Base64 of that header, alone or behind something.
    if let Some(start) = find(slice(bytes, 0, 4096), b"ro0abx")
        && slice(bytes, start, start + 5) == b"rO0AB"
        && (start == 0 || !is_word(at(bytes, start - 1)))
    {
        hits.add(
            Class::Deserialization,
            92,
            "a serialised object of Java",
            start,
            (start + 80).min(bytes.len()),
        );
    }
    if JAVA.any(bytes) {
        hits.add(Class::Deserialization, 90, "names a class of Java to be made", 0, bytes.len().min(80));
    }
}

/// `O:8:"stdClass":1:{`, behind anything that ends a value.
fn php(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let mut index = 0;
    while let Some(found) =
        from(bytes, index).windows(2).position(|pair| matches!(pair, b"O:" | b"C:" | b"o:"))
    {
        let start = index + found;
        index = start + 2;
        if !hits.spend(24) {
            return;
        }
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        if is_word(before) {
            continue;
        }
        let sign = if at(bytes, start + 2) == b'+' { start + 3 } else { start + 2 };
        let digits = skip_while(slice(bytes, 0, sign + 8), sign, |b| b.is_ascii_digit());
        if digits == sign || at(bytes, digits) != b':' || !matches!(at(bytes, digits + 1), b'"' | b'\'') {
            continue;
        }
        let near = slice(bytes, digits + 2, digits + 130);
        if !hits.spend(near.len() * 3) {
            return;
        }
        if has(near, b"\":") || has(near, b"':") || has(near, b":{") {
            hits.add(
                Class::Deserialization,
                92,
                "a serialised object of PHP",
                start,
                (start + 80).min(bytes.len()),
            );
            return;
        }
    }
}

/// Pickles that call something; YAML that makes objects.
fn python(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let binary = at(bytes, 0) == 0x80 && matches!(at(bytes, 1), 1..=5);
    if binary {
        let module = MODULES.any(bytes);
        let call = CALLS.any(bytes);
        let reduce = bytes.iter().any(|&b| b == b'R' || b == 0x81);
        let score = match (module, call && reduce) {
            (true, true) => 96,
            (true, false) | (false, true) if reduce => 72,
            _ => 45,
        };
        hits.add(Class::Deserialization, score, "a pickle of Python", 0, bytes.len().min(80));
    }
    let text = [
        &b"cos\nsystem"[..],
        b"cposix\nsystem",
        b"c__builtin__\n",
        b"cbuiltins\n",
        b"csubprocess\n",
        b"cnt\nsystem",
    ];
    if has_any(bytes, &text) {
        hits.add(Class::Deserialization, 95, "a pickle of Python", 0, bytes.len().min(80));
    }
    if has_any(bytes, &[b"!!python/", b"!!ruby/", b"!ruby/object", b"!ruby/hash"]) {
        hits.add(Class::Deserialization, 90, "YAML that makes an object", 0, bytes.len().min(80));
    }
}

fn others(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if bytes.starts_with(b"AAEAAAD/////") || bytes.starts_with(&[0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]) {
        hits.add(Class::Deserialization, 92, "a serialised object of .NET", 0, bytes.len().min(80));
    }
    if DOTNET.any(bytes) {
        hits.add(Class::Deserialization, 88, "names a class of .NET to be made", 0, bytes.len().min(80));
    }
    if bytes.starts_with(&[4, 8])
        && matches!(at(bytes, 2), b'o' | b'c' | b'[' | b'{' | b'e' | b'U')
        && bytes.len() > 8
    {
        hits.add(
            Class::Deserialization,
            if at(bytes, 2) == b'o' || has(bytes, b"gem::") { 88 } else { 60 },
            "a serialised object of Ruby",
            0,
            bytes.len().min(80),
        );
    }
    if has(bytes, b"_$$nd_func$$_") {
        hits.add(Class::Deserialization, 96, "a function for node-serialize", 0, bytes.len().min(80));
    }
}
