//! Cases of one kind of attack a file: what is one, and what looks like one and is none.
//!
//! A line is `+` or `-`, where the value stands, and the value. `query`, `path`, `header`, `cookie`, `form`, `body` and
//! `name` are places of a value; `target`, `json`, `xml` and `urlencoded` a part of a request, which is taken apart first.
//! In all but `json`, `\xNN`, `\r`, `\n`, `\t` and `\\` stand for bytes; every other backslash for itself.

use std::fmt::Write as _;

use portcullis_inspect::{Found, Place, Request, Verdict, inspect, inspect_request};

const FILES: [(&str, &str); 11] = [
    ("crlf", include_str!("cases/classes/crlf.txt")),
    ("deserialization", include_str!("cases/classes/deserialization.txt")),
    ("jndi", include_str!("cases/classes/jndi.txt")),
    ("ldap", include_str!("cases/classes/ldap.txt")),
    ("nosql", include_str!("cases/classes/nosql.txt")),
    ("path", include_str!("cases/classes/path.txt")),
    ("prototype", include_str!("cases/classes/prototype.txt")),
    ("ssrf", include_str!("cases/classes/ssrf.txt")),
    ("template", include_str!("cases/classes/template.txt")),
    ("xml", include_str!("cases/classes/xml.txt")),
    ("xpath", include_str!("cases/classes/xpath.txt")),
];

/// A line of a file.
struct Case<'a> {
    line: &'a str,
    attack: bool,
    place: &'a str,
    value: &'a str,
}

#[expect(clippy::panic, reason = "a line that cannot be read ends the test")]
fn cases(text: &str) -> impl Iterator<Item = Case<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let [sign, place, value] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(matches!(sign, "+" | "-"), "{line}");
        Case { line, attack: sign == "+", place, value }
    })
}

/// The bytes that `text` spells.
#[expect(clippy::indexing_slicing, reason = "every index is below the length")]
fn bytes(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let (mut out, mut index) = (Vec::new(), 0);
    while index < text.len() {
        let hex = text.get(index + 2..index + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        let (byte, length) = match (text[index], text.get(index + 1)) {
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'\\')) => (b'\\', 2),
            (b'\\', Some(b'x')) => match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => (byte, 4),
                None => (b'\\', 1),
            },
            (byte, _) => (byte, 1),
        };
        out.push(byte);
        index += length;
    }
    out
}

/// The kind of what is found; nothing where nothing is.
fn request(target: &[u8], content_type: &str, body: &[u8]) -> Option<&'static str> {
    let fields = [("content-type", content_type.as_bytes())];
    let headers = if content_type.is_empty() { &[][..] } else { &fields[..] };
    inspect_request(&Request { target, headers, body }).map(|found| match found {
        Found::Attack { verdict, .. } => verdict.class.name(),
        Found::Malformed(_) => "malformed",
    })
}

#[expect(clippy::panic, reason = "a place that is none ends the test")]
fn judge(place: &str, value: &str) -> Option<&'static str> {
    let at =
        |place| inspect(&bytes(value), place).filter(Verdict::is_attack).map(|verdict| verdict.class.name());
    match place {
        "query" => at(Place::Query),
        "path" => at(Place::Path),
        "header" => at(Place::Header),
        "cookie" => at(Place::Cookie),
        "form" => at(Place::Form),
        "body" => at(Place::Body),
        "name" => at(Place::Name),
        "target" => request(&bytes(value), "", b""),
        "json" => request(b"/", "application/json", value.as_bytes()),
        "xml" => request(b"/", "application/xml", &bytes(value)),
        "urlencoded" => request(b"/", "application/x-www-form-urlencoded", &bytes(value)),
        other => panic!("`{other}` is no place"),
    }
}

#[test]
fn every_case_is_judged_as_it_says() {
    let mut wrong = String::new();
    for (class, text) in FILES {
        for case in cases(text) {
            let found = judge(case.place, case.value);
            if found.is_some() != case.attack {
                writeln!(wrong, "{class}: {}: {found:?}", case.line).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Attacks of one kind may be found as those of another: of a path that a URL names, of code in a template.
#[test]
fn most_attacks_are_known_for_what_they_are() {
    for (class, text) in FILES {
        let attacks: Vec<_> = cases(text).filter(|case| case.attack).collect();
        let own = attacks.iter().filter(|case| judge(case.place, case.value) == Some(class)).count();
        assert!(own * 10 >= attacks.len() * 6, "{class}: {own} of {}", attacks.len());
    }
}

/// `value` with every byte spelt that is no letter and no digit.
fn percent(value: &[u8]) -> String {
    value.iter().fold(String::new(), |mut out, &byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// A parameter of a query, of a form, a string of JSON hide nothing. But lines are ordinary in forms and documents.
#[test]
fn it_is_the_same_wherever_it_is_sent() {
    let mut missed = String::new();
    for (class, text) in FILES {
        for case in cases(text).filter(|case| case.attack && case.place == "query") {
            let value = bytes(case.value);
            let once = percent(&value);
            let twice = percent(once.as_bytes());
            let mut sent = vec![
                ("query", request(format!("/?q={once}").as_bytes(), "", b"")),
                ("query, encoded twice", request(format!("/?q={twice}").as_bytes(), "", b"")),
                (
                    "form",
                    request(b"/", "application/x-www-form-urlencoded", format!("a=b&q={once}").as_bytes()),
                ),
            ];
            if let Ok(text) = std::str::from_utf8(&value)
                && !text.chars().any(|c| c.is_control())
            {
                let json: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                sent.push((
                    "JSON",
                    request(b"/", "application/json", format!("{{\"q\":\"{json}\"}}").as_bytes()),
                ));
            }
            for (how, found) in sent {
                if found.is_none() && (class != "crlf" || how.starts_with("query")) {
                    writeln!(missed, "{class}: {how}: {}", case.line).unwrap();
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed}");
}
