//! Cures as entries of `policies`: merged by what they are about, written as YAML with comments that say what each line
//! closes, and put into a configuration without touching the rest of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use portcullis_openapi::Contract;
use portcullis_openapi::source::{Document, Kind};
use serde_json::{Map, Value};

use super::code_of;
use super::remedy::{Cure, Scope};

/// Every entry, in the order in which it is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Patches(BTreeMap<Scope, Entry>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Entry {
    public: Option<bool>,
    sections: BTreeMap<&'static str, Section>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Section {
    value: Value,
    closes: BTreeSet<String>,
}

impl Patches {
    /// Adds a cure of the finding `key`.
    pub(super) fn add(&mut self, cure: &Cure, key: &str) {
        for piece in &cure.pieces {
            let entry = self.0.entry(piece.scope.clone()).or_default();
            if piece.section == "public" {
                entry.public = piece.value.as_bool();
                continue;
            }
            let section = entry.sections.entry(piece.section).or_default();
            merge(&mut section.value, &piece.value, "");
            section.closes.insert(key.to_owned());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines of `policies`, each indented by `indent`.
    pub(super) fn yaml(&self, contract: &Contract, until: &str, indent: &str) -> String {
        let mut out = String::new();
        for (scope, Entry { public, sections }) in &self.0 {
            let closes: BTreeSet<&String> = sections.values().flat_map(|section| &section.closes).collect();
            let mut lines = Vec::new();
            if let Scope::Operation(label) = scope {
                lines.push(format!("match: {{ operation: {} }}", scalar(name(contract, label))));
            }
            let closes = Value::Array(closes.iter().map(|key| key.as_str().into()).collect());
            lines.push(format!("patch: {{ closes: {}, until: {until} }}", flow(&closes)));
            lines.extend(public.map(|public| format!("public: {public}")));
            for (name, section) in sections {
                let codes: BTreeSet<&str> = section.closes.iter().map(|key| code_of(key)).collect();
                lines.push(format!("# Closes {}.", codes.into_iter().collect::<Vec<_>>().join(", ")));
                lines.push(format!("{name}: {}", flow(&section.value)));
            }
            for (at, line) in lines.iter().enumerate() {
                let _ = writeln!(out, "{indent}{}{line}", if at == 0 { "- " } else { "  " });
            }
        }
        out
    }

    /// The configuration with these entries behind those that it has.
    ///
    /// # Errors
    /// If it is written in a form into which lines cannot be put.
    pub(super) fn written_into(
        &self,
        text: &str,
        contract: &Contract,
        until: &str,
    ) -> Result<String, String> {
        if self.is_empty() {
            return Ok(text.to_owned());
        }
        let document = Document::parse("configuration", text.as_bytes()).map_err(|error| error.what)?;
        let text = document.text();
        if text.trim_start().starts_with('{') {
            return Err("the configuration is written as JSON: write it as YAML, so that a patch can say what it closes".into());
        }
        let ends = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let Some(node) = document.get("/policies").filter(|node| !node.is_null()) else {
            if let Some(empty) = key_line(text, "policies") {
                // `policies:` with nothing behind it.
                let (before, after) = text.split_at(empty);
                let gap = if before.ends_with('\n') { "" } else { "\n" };
                return Ok(format!("{before}{gap}{}{after}", self.yaml(contract, until, "  ")));
            }
            return Ok(format!("{text}{ends}\npolicies:\n{}", self.yaml(contract, until, "  ")));
        };
        let Kind::Array(items) = &node.kind else { return Err("`policies` is no list".into()) };
        let (start, end) = (node.span.start as usize, node.span.end as usize);
        if text.get(start..).is_some_and(|rest| rest.starts_with('[')) {
            let mut block = String::from("\n");
            for item in items {
                let _ = writeln!(block, "  - {}", document.snippet(item.span).trim());
            }
            block.push_str(&self.yaml(contract, until, "  "));
            let (before, after) =
                (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
            let after = after.strip_prefix('\n').unwrap_or(after);
            return Ok(format!("{}{block}{after}", before.trim_end()));
        }
        let Some(last) = items.last() else {
            return Err("`policies` is written in a way that cannot be added to".into());
        };
        // The dash stands before the item, in the column of all others.
        let head = text.get(..last.span.start as usize).unwrap_or_default();
        let dash = head.rfind('-').ok_or("`policies` is written in a way that cannot be added to")?;
        let line = head.get(..dash).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let indent = text.get(line..dash).unwrap_or_default();
        if !indent.trim().is_empty() {
            return Err("`policies` is written in a way that cannot be added to".into());
        }
        let at = end_of_list(text, line, indent.len());
        let (before, after) = text.split_at(at);
        let gap = if before.ends_with('\n') { "" } else { "\n" };
        Ok(format!("{before}{gap}{}{after}", self.yaml(contract, until, indent)))
    }
}

/// Behind the last line of the list whose last item begins at `line`: lines further in than its dash belong to it.
fn end_of_list(text: &str, line: usize, indent: usize) -> usize {
    let mut end = line;
    let mut at = line;
    for (index, one) in text.get(line..).unwrap_or_default().split_inclusive('\n').enumerate() {
        let depth = one.len() - one.trim_start_matches(' ').len();
        let body = one.trim();
        let inside = index == 0 || depth > indent;
        if !inside && !body.is_empty() && !body.starts_with('#') {
            break;
        }
        at += one.len();
        if inside && !body.is_empty() && !body.starts_with('#') {
            end = at;
        }
    }
    end
}

/// Behind the line of a top-level key that has no value.
fn key_line(text: &str, key: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        let bare = line.split('#').next().unwrap_or_default().trim_end();
        if bare.strip_suffix(':') == Some(key) {
            return Some(at);
        }
    }
    None
}

/// The configuration without the entries at these places of `policies`, which patches made.
pub(super) fn without(text: &str, places: &[usize]) -> Result<String, String> {
    let document = Document::parse("configuration", text.as_bytes()).map_err(|error| error.what)?;
    let text = document.text();
    let items = document.get("/policies").and_then(|node| node.as_array()).unwrap_or_default();
    let mut gone: Vec<(usize, usize)> = Vec::new();
    for (_, item) in items.iter().enumerate().filter(|(index, _)| places.contains(index)) {
        let start = item.span.start as usize;
        let line = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let head = text.get(line..start).unwrap_or_default();
        if head.trim() != "-" {
            return Err("an entry of `policies` does not begin a line: take it out by hand".into());
        }
        gone.push((line, end_of_list(text, line, head.len() - head.trim_start().len())));
    }
    let mut out = String::new();
    let mut at = 0;
    for (start, end) in gone {
        out.push_str(text.get(at..start).unwrap_or_default());
        at = end.max(at);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Ok(out)
}

/// The id of an operation where it has one, else its label.
fn name<'a>(contract: &'a Contract, label: &'a str) -> &'a str {
    let operation = contract.operations().iter().find(|operation| operation.label() == label);
    operation.and_then(|operation| operation.id.as_deref()).unwrap_or(label)
}

/// Puts `over` into `base`: mappings member by member, lists joined; of two bounds the tighter one.
fn merge(base: &mut Value, over: &Value, key: &str) {
    match (&mut *base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(key) {
                    Some(known) => merge(known, value, key),
                    None => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(base), Value::Array(over)) => {
            for value in over {
                if !base.contains(value) {
                    base.push(value.clone());
                }
            }
        }
        (Value::Number(old), Value::Number(new)) => {
            let lower = key.starts_with("max") || key == "threshold" || key == "burst";
            if (new.as_f64() < old.as_f64()) == lower {
                *old = new.clone();
            }
        }
        // Whose calls are counted: those of one address are no fewer than those of one consumer at it.
        (Value::String(base), _) if key == "per" && base == "client" => {}
        (Value::String(base), Value::String(over)) if key == "rate" && is_slower(base, over) => {}
        (base, over) => *base = over.clone(),
    }
}

/// Whether of two rates in the same unit the first is the lower one.
fn is_slower(one: &str, other: &str) -> bool {
    let read = |text: &str| {
        let (count, unit) = text.split_once('/')?;
        Some((count.trim().parse::<u64>().ok()?, unit.trim().to_owned()))
    };
    read(one).zip(read(other)).is_some_and(|((a, unit), (b, same))| unit == same && a < b)
}

/// A pointer in which every index is `*`.
pub(super) fn starred(pointer: &str) -> String {
    let rooted =
        if pointer.starts_with('/') { pointer.to_owned() } else { format!("/{}", pointer.replace('.', "/")) };
    let parts =
        rooted.split('/').map(|part| match !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            true => "*",
            false => part,
        });
    parts.collect::<Vec<_>>().join("/")
}

/// YAML on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(members) => flow_members(members),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

fn flow_members(members: &Map<String, Value>) -> String {
    if members.is_empty() {
        return "{}".into();
    }
    let members: Vec<String> =
        members.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
    format!("{{ {} }}", members.join(", "))
}

/// A scalar of YAML's flow style: plain where nothing else can be read in it. `${` is data.
fn scalar(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-');
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'/');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    match begins && text.bytes().all(plain) && !word.contains(&text.to_ascii_lowercase().as_str()) {
        true => text.to_owned(),
        false => serde_json::to_string(&text.replace("${", "$${")).unwrap_or_default(),
    }
}

/// What differs, as `diff -u` shows it.
pub(super) fn diff(name: &str, old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = old.iter().zip(&new).take_while(same).count();
    let most = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(same).count();
    let (gone, added) = (
        old.get(head..old.len() - tail).unwrap_or_default(),
        new.get(head..new.len() - tail).unwrap_or_default(),
    );
    if gone.is_empty() && added.is_empty() {
        return String::new();
    }
    const AROUND: usize = 3;
    let from = head.saturating_sub(AROUND);
    let before = old.get(from..head).unwrap_or_default();
    let after = old.get(old.len() - tail..(old.len() - tail + AROUND).min(old.len())).unwrap_or_default();
    let mut out = format!("--- {name}\n+++ {name} (patched)\n");
    let size = |lines: usize| lines + before.len() + after.len();
    let _ = writeln!(out, "@@ -{},{} +{},{} @@", from + 1, size(gone.len()), from + 1, size(added.len()));
    let mut lines = |mark: char, lines: &[&str]| {
        for line in lines {
            let _ = writeln!(out, "{mark}{line}");
        }
    };
    lines(' ', before);
    lines('-', gone);
    lines('+', added);
    lines(' ', after);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fix::remedy::one;
    use serde_json::json;

    const CONTRACT: &str = "openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths:\n  '/a/{id}':\n    get: \
        { operationId: readA, parameters: [{ name: id, in: path, required: true, schema: { type: string } }], responses: { '200': { description: ok } } }\n";

    fn contract() -> Contract {
        Contract::parse("t.yaml", CONTRACT.as_bytes(), &portcullis_openapi::Options::default()).unwrap()
    }

    fn patches() -> Patches {
        let mut patches = Patches::default();
        let here = || Scope::Operation("GET /a/{id}".into());
        let first = Cure::default().and(Scope::All, "session", json!({ "by": "header.authorization" })).and(
            here(),
            "values",
            one("path.id", json!({ "maxLength": 100 })),
        );
        let second = Cure::default().and(
            here(),
            "values",
            one("path.id", json!({ "maxLength": 50, "pattern": "[a-z]*" })),
        );
        patches.add(&first, "bola-read GET /a/{id}");
        patches.add(&second, "unlimited-body GET /a/{id} path id");
        patches
    }

    #[test]
    fn a_patch_goes_behind_what_is_there_and_leaves_it_alone() {
        let contract = contract();
        let ours = [
            "patch: { closes: [\"bola-read GET /a/{id}\"",
            "match: { operation: readA }",
            "maxLength: 50",
            "# Closes bola-read, unlimited-body.",
        ];
        for before in [
            "",
            "upstream: http://127.0.0.1:1 # where\n",
            "upstream: http://127.0.0.1:1",
            "policies:\n# nothing yet\nlimit: { baseline: off }\n",
            "policies: []\nlimit: { baseline: off }\n",
            "policies: [{ public: true }, { match: { path: /b },\n   public: true }]\n# end\nlimit: { baseline: off }\n",
            "# top\npolicies:\n  # one\n  - match: { operation: readA }\n    public: true   # why\n\n  # trailing\n\n# limits\nlimit: { baseline: off }\n",
            "policies:\n- public: true\n- match:\n    operation: readA\n  public: false\nlimit: { baseline: off }\n",
            "policies:\n    - public: true",
        ] {
            let after = patches().written_into(before, &contract, "2027-01-31").unwrap();
            let kept = before.lines().filter(|line| !line.starts_with("policies: ["));
            for line in kept.filter(|line| !line.trim_start().starts_with("public: true }]")) {
                assert!(after.contains(line), "{line:?} is gone:\n{after}");
            }
            let count = |text: &str| {
                let document = Document::parse("c", text.as_bytes()).unwrap();
                assert!(document.duplicates().is_empty());
                document.get("/policies").and_then(|node| node.as_array()).map_or(0, <[_]>::len)
            };
            assert_eq!(count(&after), count(before) + 2, "{after}");
            for line in ours {
                assert!(after.contains(line), "{line} is missing:\n{after}");
            }
            assert!(diff("c", before, &after).lines().filter(|line| line.starts_with('-')).count() <= 3);
            // Taken out again, the rest is as it was.
            let all: Vec<usize> = (count(before)..count(before) + 2).collect();
            let again = without(&after, &all).unwrap();
            assert_eq!(count(&again), count(before), "{again}");
        }
    }

    #[test]
    fn what_cannot_be_added_to_is_said() {
        assert!(
            patches()
                .written_into("{\"upstream\": \"http://127.0.0.1:1\"}", &contract(), "2027-01-31")
                .is_err()
        );
        assert!(patches().written_into("policies: 7\n", &contract(), "2027-01-31").is_err());
    }

    #[test]
    fn texts_are_quoted_where_they_mean_something() {
        for text in ["GET /a/{id}", "off", "a: b", "#x", "${HOME}", "*/id", "12h", "header.authorization"] {
            let line = format!("k: {}\n", scalar(text));
            let document = Document::parse("c", line.as_bytes()).unwrap();
            assert_eq!(
                document.get("/k").and_then(|node| node.as_str()),
                Some(&*text.replace("${", "$${")),
                "{line}"
            );
        }
        assert_eq!(starred("/items/0/name"), "/items/*/name");
        assert_eq!(starred("items.0.name"), "/items/*/name");
    }
}
