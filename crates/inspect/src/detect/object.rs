//! Serialised objects, and names that reach an object's prototype.

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::place::Place;
use crate::text::{at, find, from, has, is_word, skip_while, slice, starts};
use crate::verdict::Hits;

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// `__proto__`.
    Prototype,
    /// `constructor` and `prototype`, as one path.
    Path,
    /// `constructor` as a member's name.
    Constructor,
    /// A function that every object of JavaScript has.
    Accessor,
    Java,
    DotNet,
    /// The beginning of a pickle in text.
    Pickle,
    /// What jsonpickle calls.
    JsonPickle,
    Yaml,
    Node,
}

use Says::{Accessor, Constructor, DotNet, Java, JsonPickle, Node, Path, Pickle, Prototype, Yaml};

/// What is looked for, in one pass.
const KNOWN: [(&[u8], Says); 63] = [
    (b"__proto__", Prototype),
    (b"constructor.prototype", Path),
    (b"constructor/prototype", Path),
    (b"constructor][prototype", Path),
    (b"constructor[prototype", Path),
    (b"constructor\"][", Path),
    (b"\"constructor\"", Constructor),
    (b"__definegetter__", Accessor),
    (b"__definesetter__", Accessor),
    (b"__lookupgetter__", Accessor),
    (b"__lookupsetter__", Accessor),
    // Classes that a deserialiser of Java makes, and the tools that write them.
    (b"@type\":\"com.sun.", Java),
    (b"@type\":\"java.", Java),
    (b"@type\":\"javax.", Java),
    (b"@type\":\"org.apache.", Java),
    (b"@type\":\"org.springframework.", Java),
    (b"@type\":\"org.hibernate.", Java),
    (b"@type\":\"com.mchange.", Java),
    (b"@type\":\"com.zaxxer.", Java),
    (b"@type\":\"com.ibatis.", Java),
    (b"@type\":\"ch.qos.logback.", Java),
    (b"@type\":\"oracle.jdbc.", Java),
    (b"@type\":\"lcom.", Java),
    (b"@type\":\"[com.", Java),
    (b"@class\":\"java.", Java),
    (b"@class\":\"com.sun.", Java),
    (b"!!javax.script", Java),
    (b"!!java.", Java),
    (b"!!com.sun", Java),
    (b"!!org.springframework", Java),
    (b"org.apache.commons.collections", Java),
    (b"com.sun.rowset.jdbcrowsetimpl", Java),
    (b"classpathxmlapplicationcontext", Java),
    (b"filesystemxmlapplicationcontext", Java),
    (b"com.zaxxer.hikari.hikariconfig", Java),
    (b"invokertransformer", Java),
    (b"java.beans.eventhandler", Java),
    (b"jdk.nashorn.internal", Java),
    (b"<dynamic-proxy", Java),
    (b"<java.util.priorityqueue", Java),
    (b"javax.naming.ldap", Java),
    (b"ysoserial", Java),
    (b"templatesimpl", Java),
    (b"c3p0", Java),
    // Classes that a deserialiser of .NET makes.
    (b"\"$type\":\"system.", DotNet),
    (b"\"$type\": \"system.", DotNet),
    (b"objectdataprovider", DotNet),
    (b"\"__type\":\"system", DotNet),
    (b"\"$type\":'system", DotNet),
    (b"typeobject\":", DotNet),
    (b"windowsidentity", DotNet),
    (b"cos\nsystem", Pickle),
    (b"cposix\nsystem", Pickle),
    (b"c__builtin__\n", Pickle),
    (b"cbuiltins\n", Pickle),
    (b"csubprocess\n", Pickle),
    (b"cnt\nsystem", Pickle),
    (b"py/reduce", JsonPickle),
    (b"!!python/", Yaml),
    (b"!!ruby/", Yaml),
    (b"!ruby/object", Yaml),
    (b"!ruby/hash", Yaml),
    (b"_$$nd_func$$_", Node),
];

static LIST: [&[u8]; KNOWN.len()] = {
    let mut words: [&[u8]; KNOWN.len()] = [b""; KNOWN.len()];
    let mut index = 0;
    while index < KNOWN.len() {
        #[expect(clippy::indexing_slicing, reason = "within the lengths, and evaluated when compiled")]
        {
            words[index] = KNOWN[index].0;
        }
        index += 1;
    }
    words
};

static WORDS: Finder = Finder::new(&LIST);

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

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    if !hits.spend(view.bytes.len() * 6) {
        return;
    }
    for (index, start) in WORDS.firsts(view.bytes) {
        if let Some((word, says)) = KNOWN.get(index) {
            named(view, word, *says, start, hits);
        }
    }
    java(view, hits);
    php(view, hits);
    python(view, hits);
    others(view, hits);
}

/// What a word at `start` means.
fn named(view: &View<'_>, word: &[u8], says: Says, start: usize, hits: &mut Hits) {
    let bytes = view.bytes;
    let name = view.place == Place::Name;
    let end = (start + word.len().max(80)).min(bytes.len());
    let mut add = |class, score, why| hits.add(class, score, why, start, end);
    match says {
        Prototype => add(Class::Prototype, proto(view, start), "names an object's prototype"),
        Path => {
            let whole = start == 0 || !at(bytes, start - 1).is_ascii_alphanumeric();
            let score = match () {
                () if name => 94,
                () if view.document => 40,
                () if whole || view.is_short() => 72,
                () => 60,
            };
            // `Foo.constructor.prototype.bar = …` is code.
            let code = !name && bytes.contains(&b'=') && bytes.contains(&b' ');
            add(Class::Prototype, if code { 55 } else { score }, "names an object's prototype");
        }
        Constructor if has(slice(bytes, start, start + 40), b"\"prototype\"") => {
            add(Class::Prototype, 88, "names an object's prototype");
        }
        Accessor if name => add(Class::Prototype, 85, "names what every object has"),
        Constructor | Accessor => {}
        // A class that is named in a text is not made.
        Java if !word.starts_with(b"@") && !word.starts_with(b"!!") && view.document => {
            add(Class::Deserialization, 60, "names a class of Java to be made");
        }
        Java => add(Class::Deserialization, 90, "names a class of Java to be made"),
        DotNet => add(Class::Deserialization, 88, "names a class of .NET to be made"),
        Pickle => add(Class::Deserialization, 95, "a pickle of Python"),
        JsonPickle if name || view.is_short() => {
            add(Class::Deserialization, 85, "a call in JSON, for a reader of pickles");
        }
        JsonPickle => {}
        Yaml => add(Class::Deserialization, 90, "YAML that makes an object"),
        Node => add(Class::Deserialization, 96, "a function for node-serialize"),
    }
}

/// How much `__proto__` at `start` is worth.
fn proto(view: &View<'_>, start: usize) -> u8 {
    let bytes = view.bytes;
    let name = view.place == Place::Name;
    let before = if start == 0 { 0 } else { at(bytes, start - 1) };
    let after = at(bytes, start + 9);
    let key = matches!(before, b'[' | b'.' | b'/' | b'"' | b'\'' | 0 | b'{' | b'&' | b'?' | b',' | b' ')
        && matches!(after, b']' | b'.' | b'/' | b'[' | b'"' | b'\'' | 0 | b':' | b'=');
    // `__pro__proto__to__`: what is left when it is taken out once.
    let twice = name && starts(from(bytes, start + 9), b"to__") && slice(bytes, 0, start).ends_with(b"__pro");
    // Code names it as a string; a document has it as a name, a path in brackets.
    let string = matches!(after, b'"' | b'\'')
        && at(bytes, start.wrapping_sub(2)) != b'['
        && !matches!(at(bytes, crate::text::skip_space(bytes, start + 10)), b':' | b'=');
    if name && (key || twice) {
        95
    } else if bytes.len() == 9 {
        // A path of one step, for those who set what paths lead to.
        74
    } else if key
        && !string
        && !view.document
        && (before != b' ' || after == b'[' || after == b'.' || after == b'=')
    {
        82
    } else {
        45
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
}

/// `O:8:"stdClass":1:{`, behind anything that ends a value.
fn php(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let mut index = 0;
    while let Some(found) = from(bytes, index).iter().position(|&b| b == b':') {
        let colon = index + found;
        index = colon + 1;
        if colon == 0 || !matches!(at(bytes, colon - 1), b'O' | b'C' | b'o') {
            continue;
        }
        let start = colon - 1;
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

/// Pickles that call something.
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
}

fn others(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if bytes.starts_with(b"AAEAAAD/////") || bytes.starts_with(&[0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]) {
        hits.add(Class::Deserialization, 92, "a serialised object of .NET", 0, bytes.len().min(80));
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
}
