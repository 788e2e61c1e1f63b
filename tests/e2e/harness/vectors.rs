//! The strictness vectors: compact families in JSON, expanded into single cases.
//!
//! A family's strings may hold `${name}`, replaced from each row of its table (`columns`, `rows`) and of its
//! second table (`across`), which are multiplied, and `${text*N}`, which is `text` N times. A list element
//! that is only `${name}` may stand for a list. Each character up to U+00FF is one byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[expect(dead_code, reason = "for the reader of the file")]
    about: String,
    vectors: Vec<Family>,
}

#[derive(Debug, Deserialize)]
struct Family {
    id: String,
    why: String,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    rows: Vec<Vec<Value>>,
    across: Option<Table>,
    #[serde(flatten)]
    body: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// One expanded case; what it holds beside its names depends on the protocol.
#[derive(Debug)]
pub(crate) struct Case<T> {
    pub(crate) id: String,
    pub(crate) why: String,
    pub(crate) vector: T,
}

/// A request in HTTP/1, byte by byte.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http1 {
    #[serde(deserialize_with = "latin1")]
    pub(crate) raw: Vec<u8>,
    /// What the client does after it has sent everything.
    pub(crate) then: Option<Then>,
    pub(crate) expect: Expect<u16>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Then {
    /// It closes its sending side.
    Shut,
}

/// What may happen. With both given, either may.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect<R> {
    /// The request that the upstream sees.
    pub(crate) accept: Option<Seen>,
    /// The requests that the upstream sees, before the refusal where `reject` is given too.
    #[serde(default)]
    pub(crate) accepts: Vec<Seen>,
    /// The ways in which it may be refused: a status, or 0 for a connection closed without an answer.
    #[serde(default = "Vec::new")]
    pub(crate) reject: Vec<R>,
    /// The upstream may have seen some of the requests.
    #[serde(default)]
    pub(crate) partial: bool,
    /// It may also simply be borne: the connection goes on serving.
    #[serde(default)]
    pub(crate) or_served: bool,
}

/// A request as the upstream must see it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    #[serde(default, deserialize_with = "some_latin1")]
    pub(crate) body: Option<Vec<u8>>,
    #[serde(default)]
    pub(crate) fields: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) absent: Vec<String>,
    #[serde(default)]
    pub(crate) absent_trailers: Vec<String>,
    /// The connection closes after the answer.
    #[serde(default)]
    pub(crate) closes: bool,
}

impl Seen {
    /// Compares with what the upstream saw.
    pub(crate) fn check(&self, request: &super::recorder::Request) -> Result<(), String> {
        let expect = |what: &str, same: bool, saw: &str| {
            if same { Ok(()) } else { Err(format!("the upstream saw {what} {saw:?}")) }
        };
        expect("the method", request.method == self.method, &request.method)?;
        expect("the target", request.target == self.target, &request.target)?;
        if let Some(body) = &self.body {
            expect("the body", request.body == *body, &String::from_utf8_lossy(&request.body))?;
        }
        for (name, value) in &self.fields {
            let saw = request.field(name);
            expect(&format!("`{name}`"), saw == Some(value), saw.unwrap_or("(nothing)"))?;
        }
        for name in &self.absent {
            expect(
                &format!("`{name}`"),
                request.field(name).is_none(),
                request.field(name).unwrap_or_default(),
            )?;
        }
        for name in &self.absent_trailers {
            let found = request.trailers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
            expect("the trailer", !found, name)?;
        }
        Ok(())
    }
}

/// Reads and expands all files of a folder, in the order of their names.
pub(crate) fn load<T: for<'de> Deserialize<'de>>(folder: &Path) -> Vec<Case<T>> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let file: File = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for family in file.vectors {
            expand(&family, &mut cases);
        }
    }
    cases
}

fn expand<T: for<'de> Deserialize<'de>>(family: &Family, cases: &mut Vec<Case<T>>) {
    let none = Table { columns: Vec::new(), rows: vec![Vec::new()] };
    let first_rows = if family.rows.is_empty() { &none.rows } else { &family.rows };
    let second = family.across.as_ref().unwrap_or(&none);
    for one in first_rows {
        for two in &second.rows {
            assert_eq!(
                (one.len(), two.len()),
                (family.columns.len(), second.columns.len()),
                "{}: {one:?}",
                family.id
            );
            let mut id = family.id.clone();
            // The second table's values may name the first one's columns, so they are replaced first.
            let mut names: Vec<(&str, &Value)> = Vec::new();
            for (columns, row) in [(&second.columns, two), (&family.columns, one)] {
                names.extend(columns.iter().map(String::as_str).zip(row));
            }
            for (columns, row) in [(&family.columns, one), (&second.columns, two)] {
                for (_, value) in columns.iter().zip(row).filter(|(column, _)| *column == "id") {
                    id.push('-');
                    id.push_str(value.as_str().unwrap_or_else(|| panic!("{}: an id is text", family.id)));
                }
            }
            let body = fill(&Value::Object(family.body.clone()), &names);
            let vector = serde_json::from_value(body).unwrap_or_else(|e| panic!("{id}: {e}"));
            cases.push(Case { id, why: family.why.clone(), vector });
        }
    }
}

fn fill(value: &Value, names: &[(&str, &Value)]) -> Value {
    let whole = |text: &str| {
        let name = text.strip_prefix("${")?.strip_suffix('}')?;
        names.iter().find(|(known, value)| *known == name && !value.is_string()).map(|(_, value)| *value)
    };
    match value {
        Value::String(text) => match whole(text) {
            Some(value) => fill(value, names),
            None => Value::String(fill_text(text, names)),
        },
        Value::Array(list) => {
            let mut filled = Vec::new();
            for element in list {
                match element.as_str().and_then(whole) {
                    Some(Value::Array(inner)) => filled.extend(inner.iter().map(|value| fill(value, names))),
                    _ => filled.push(fill(element, names)),
                }
            }
            Value::Array(filled)
        }
        Value::Object(map) => Value::Object(
            map.iter().map(|(key, value)| (fill_text(key, names), fill(value, names))).collect(),
        ),
        other => other.clone(),
    }
}

fn fill_text(text: &str, names: &[(&str, &Value)]) -> String {
    let mut text = text.to_owned();
    for (name, value) in names {
        if let Value::String(value) = value {
            text = text.replace(&format!("${{{name}}}"), value);
        }
    }
    repeat(&text)
}

/// Replaces each `${text*N}`.
fn repeat(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let end = inside.find('}').unwrap_or_else(|| panic!("an open placeholder in {text:?}"));
        let (unit, times) = inside[..end]
            .rsplit_once('*')
            .unwrap_or_else(|| panic!("nothing is called {:?}", &inside[..end]));
        out.push_str(&unit.repeat(times.parse().unwrap()));
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    out
}

/// The bytes of a text of characters up to U+00FF.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c).unwrap_or_else(|_| panic!("{c:?} is no byte; write its UTF-8 bytes")))
        .collect()
}

fn latin1<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Ok(bytes(&String::deserialize(deserializer)?))
}

fn some_latin1<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    latin1(deserializer).map(Some)
}
