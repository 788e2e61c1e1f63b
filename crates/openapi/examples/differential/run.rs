//! One schema, many bodies, two judges.

use std::collections::BTreeMap;
use std::fmt;

use portcullis_openapi::{Checks, Contract, Options, Status, ViolationKind};
use serde_json::Value;

use crate::bodies::{Chance, fitting, mutate, scramble, write};
use crate::oracle::{Distinct, translated};

/// A response schema of a document.
pub(crate) struct Subject {
    pub(crate) label: String,
    document: Value,
    pointer: String,
    contract: Contract,
    operation: usize,
    oracle: jsonschema::Validator,
}

impl Subject {
    /// The largest response schema of a document that says nothing unclear.
    pub(crate) fn of(name: &str, text: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(text).ok()?;
        if text.len() > 2 << 20 {
            return None;
        }
        let contract = Contract::parse(name, text, &Options::default()).ok()?;
        // What is read with good will has no meaning that both could agree on.
        if !contract.problems().is_empty() {
            return None;
        }
        let mut found = None;
        let mut most = 2;
        for (operation, known) in contract.operations().iter().enumerate() {
            let ok = |response: &&portcullis_openapi::Response| response.status == Status::Exact(200);
            if !known.unenforced.is_empty() || !known.responses.iter().any(|response| ok(&response)) {
                continue;
            }
            let Some(pointer) = schema_of(&document, &known.path, known.method.as_str()) else { continue };
            let Some(schema) = document.pointer(&pointer) else { continue };
            let size = size(&document, schema, 0);
            if size > most {
                most = size;
                found = Some((operation, pointer, format!("{} {}", known.method, known.path)));
            }
        }
        let (operation, pointer, label) = found?;
        let schema = translated(&document, &pointer);
        let oracle = jsonschema::draft202012::options().should_validate_formats(false).build(&schema).ok()?;
        Some(Self { label, document, pointer, contract, operation, oracle })
    }
}

/// Where the schema of the JSON answer with status 200 stands.
fn schema_of(document: &Value, path: &str, method: &str) -> Option<String> {
    let escaped = path.replace('~', "~0").replace('/', "~1");
    let at = format!("/paths/{escaped}/{}/responses/200", method.to_ascii_lowercase());
    let response = document.pointer(&at)?;
    ["/schema", "/content/application~1json/schema"]
        .iter()
        .map(|end| format!("{at}{end}"))
        .find(|pointer| document.pointer(pointer).is_some())
        .filter(|_| {
            let produces = document.get("produces").into_iter().flat_map(|list| list.as_array());
            response.get("content").is_some() || produces.flatten().any(|kind| kind == "application/json")
        })
}

/// How many members and alternatives a schema has, to a depth.
fn size(document: &Value, schema: &Value, depth: usize) -> usize {
    if depth > 6 {
        return 0;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        return target.map_or(0, |target| size(document, target, depth + 1));
    }
    let members = schema["properties"].as_object().into_iter().flatten().map(|(_, inner)| inner);
    let lists = ["allOf", "oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
    let items =
        [&schema["items"], &schema["additionalProperties"]].into_iter().filter(|inner| inner.is_object());
    members.chain(lists).chain(items).map(|inner| 1 + size(document, inner, depth + 1)).sum()
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) valid: u64,
    pub(crate) invalid: u64,
    pub(crate) malformed: u64,
    pub(crate) argued: BTreeMap<&'static str, u64>,
    pub(crate) disagreements: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.valid += other.valid;
        self.invalid += other.invalid;
        self.malformed += other.malformed;
        self.disagreements.extend(other.disagreements.iter().cloned());
        for (reason, count) in &other.argued {
            *self.argued.entry(reason).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { valid, invalid, malformed, argued, disagreements } = self;
        let (argued, not) = (argued.values().sum::<u64>(), disagreements.len());
        write!(
            f,
            "{valid:>7} valid {invalid:>7} invalid {malformed:>7} no JSON {argued:>5} argued {not:>3} disagreements"
        )
    }
}

/// Judges so many bodies.
pub(crate) fn judge(subject: &Subject, bodies: u64, seed: u64) -> Tally {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut tally = Tally::default();
    let schema = subject.document.pointer(&subject.pointer).unwrap_or(&Value::Null);
    let mut base = Value::Null;
    for round in 0..bodies {
        if round % 16 == 0 {
            base = fitting(&subject.document, schema, &mut chance, 0);
        }
        let mut value = base.clone();
        for _ in 0..chance.below(4) {
            mutate(&mut value, &mut chance);
        }
        let mut bytes = write(&value, &mut chance);
        if chance.below(4) == 0 {
            scramble(&mut bytes, &mut chance);
        }
        one(subject, &bytes, &mut tally);
    }
    tally
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Valid,
    Invalid,
    Malformed,
    Twice,
}

fn one(subject: &Subject, bytes: &[u8], tally: &mut Tally) {
    let checks = Checks { unknown_properties: false, access: false, ..Checks::default() };
    // An empty body is no body at all, which is asked elsewhere.
    if bytes.is_empty() {
        return;
    }
    let found =
        subject.contract.check_response_body(subject.operation, 200, Some("application/json"), bytes, checks);
    let here = match found.first() {
        None => Verdict::Valid,
        Some(first) if first.expected.starts_with("JSON at line") => Verdict::Malformed,
        Some(first) if first.expected.starts_with("each member once") => Verdict::Twice,
        Some(first) => {
            assert_eq!(first.kind, ViolationKind::InvalidResponseBody, "{found:?}");
            Verdict::Invalid
        }
    };
    let (there, value) = match serde_json::from_slice::<Value>(bytes) {
        Err(_) => (Verdict::Malformed, Value::Null),
        Ok(_) if serde_json::from_slice::<Distinct>(bytes).is_err() => (Verdict::Twice, Value::Null),
        Ok(value) if subject.oracle.is_valid(&value) => (Verdict::Valid, value),
        Ok(value) => (Verdict::Invalid, value),
    };
    match there {
        Verdict::Valid => tally.valid += 1,
        Verdict::Invalid => tally.invalid += 1,
        Verdict::Malformed | Verdict::Twice => tally.malformed += 1,
    }
    if here == there {
        return;
    }
    // Classes that `tests/data/disagreements.json` argues.
    if here == Verdict::Invalid
        && there == Verdict::Valid
        && found.iter().all(|found| is_format(&found.expected))
    {
        *tally.argued.entry("formats").or_default() += 1;
        return;
    }
    if here == Verdict::Twice && there == Verdict::Malformed {
        *tally.argued.entry("twice-and-broken").or_default() += 1;
        return;
    }
    if tally.disagreements.len() < 5 {
        let text = String::from_utf8_lossy(bytes).chars().take(2_000).collect::<String>();
        let why: Vec<String> = found.iter().map(ToString::to_string).collect();
        let others: Vec<String> = subject
            .oracle
            .iter_errors(&value)
            .take(3)
            .map(|error| format!("{} {}", error.instance_path(), error.schema_path()))
            .collect();
        tally.disagreements.push(format!(
            "here {here:?} ({why:?}), there {there:?} ({others:?})\n  {}\n  {text}",
            subject.label
        ));
    }
}

fn is_format(expected: &str) -> bool {
    [
        "(RFC ",
        "(ISO 8601)",
        "an email address",
        "a host name",
        "an IPv4",
        "an IPv6",
        "a UUID",
        "a regular",
        "base64",
    ]
    .iter()
    .any(|mark| expected.contains(mark))
}
