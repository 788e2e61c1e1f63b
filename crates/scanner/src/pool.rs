//! What the API has said so far: values by the names they stood under, and who saw them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::{kind_of, text};
use crate::words;

/// Values kept; a scan of a huge API forgets none of the first ones.
const ENTRIES: usize = 20_000;

/// One value under one name.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The name, flat.
    pub(crate) key: String,
    /// What the object is, by the member that holds it.
    holder: Vec<String>,
    /// What the object is, by the path.
    path: Vec<String>,
    pub(crate) value: String,
    /// Who saw it first.
    pub(crate) actor: usize,
    /// Whether that actor made the object.
    pub(crate) made: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Pool {
    entries: Vec<Entry>,
    known: BTreeSet<(String, String, String, usize)>,
    /// For each value, the actors who saw it in answers to calls that did not carry it.
    seen: BTreeMap<String, u64>,
    /// Whether what is taken in counts as seen.
    unseen: bool,
}

const ENVELOPES: &[&str] = &[
    "data", "items", "results", "result", "response", "payload", "list", "rows", "records", "content",
    "objects", "entries", "values", "body", "details", "detail", "embedded", "docs", "hits", "edges", "node",
];

impl Pool {
    /// Takes in an answer. `carried` is what the request had in it: seeing that again says nothing.
    pub(crate) fn observe(
        &mut self,
        actor: usize,
        path_words: &[String],
        answer: &Value,
        carried: &str,
        made: bool,
    ) {
        self.walk(actor, path_words, &[], "", answer, carried, made, 0);
    }

    /// Takes in an answer that should not have come: its values are known, and nobody's for having been shown there.
    pub(crate) fn overhear(&mut self, actor: usize, path_words: &[String], answer: &Value) {
        self.unseen = true;
        self.walk(actor, path_words, &[], "", answer, "", false, 0);
        self.unseen = false;
    }

    #[expect(clippy::too_many_arguments, reason = "the walk's whole context, named apart")]
    fn walk(
        &mut self,
        actor: usize,
        path: &[String],
        holder: &[String],
        key: &str,
        value: &Value,
        carried: &str,
        made: bool,
        depth: usize,
    ) {
        if depth > 12 || self.entries.len() >= ENTRIES {
            return;
        }
        match value {
            Value::Object(members) => {
                let own: Vec<String> = words::split(key)
                    .iter()
                    .map(|w| words::singular(w))
                    .filter(|w| !is_envelope(w))
                    .collect();
                let holder = if own.is_empty() { holder.to_vec() } else { own };
                for (name, member) in members {
                    self.walk(actor, path, &holder, name, member, carried, made, depth + 1);
                }
            }
            Value::Array(items) => {
                for item in items.iter().take(200) {
                    self.walk(actor, path, holder, key, item, carried, made, depth + 1);
                }
            }
            Value::Null | Value::Bool(_) => {}
            scalar => {
                let value = text(scalar);
                if value.is_empty() || value.len() > 4096 {
                    return;
                }
                if !self.unseen && !carried.contains(&value) && actor < 64 {
                    *self.seen.entry(value.clone()).or_default() |= 1 << actor;
                }
                let key = words::flat(key);
                if value.len() <= 300
                    && self.known.insert((
                        key.clone(),
                        value.clone(),
                        format!(
                            "{holder:?}{}",
                            if holder.is_empty() { path.join(" ") } else { String::new() }
                        ),
                        actor,
                    ))
                {
                    let (holder, path) = (holder.to_vec(), path.to_vec());
                    self.entries.push(Entry { key, holder, path, value, actor, made });
                }
            }
        }
    }

    /// Whether an actor saw a value on its own.
    pub(crate) fn saw(&self, actor: usize, value: &str) -> bool {
        actor < 64 && self.seen.get(value).is_some_and(|who| who & (1 << actor) != 0)
    }

    /// Whether an actor saw a value that none of the others did.
    pub(crate) fn only(&self, actor: usize, others: &[usize], value: &str) -> bool {
        self.saw(actor, value) && !others.iter().any(|other| self.saw(*other, value))
    }

    /// Whether a value is somebody else's as far as is known: another saw it, this actor never did.
    pub(crate) fn foreign(&self, actor: usize, value: &str) -> bool {
        actor < 64 && self.seen.get(value).is_some_and(|who| who & (1 << actor) == 0)
    }

    /// Values seen under a flat name, each once.
    pub(crate) fn values(&self, key: &str) -> Vec<String> {
        let found: BTreeSet<&String> =
            self.entries.iter().filter(|entry| entry.key == key).map(|entry| &entry.value).collect();
        found.into_iter().cloned().collect()
    }

    /// Values that fit a parameter, best first, each once. `path_noun` says what the path before it is about.
    pub(crate) fn fitting(&self, actor: usize, name: &str, path_noun: &str, schema: &Value) -> Vec<&Entry> {
        let flat = words::flat(name);
        let generic = matches!(
            flat.as_str(),
            "id" | "uuid" | "guid" | "key" | "slug" | "name" | "code" | "number" | "pk" | "ref"
        );
        let mut nouns = words::telling(name);
        if nouns.is_empty() && !path_noun.is_empty() {
            nouns.push(path_noun.to_owned());
        }
        let id_like = words::is_id(name) || generic;
        let noun_id = nouns.last().map(|noun| format!("{noun}id"));
        let tells_one = words::telling(name).len() == 1;
        let mut scored: Vec<(u32, usize, &Entry)> = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let named = entry.key == flat;
            let entry_id = || matches!(entry.key.as_str(), "id" | "uuid" | "guid" | "pk") || named && generic;
            let by_holder = || nouns.iter().any(|noun| entry.holder.contains(noun));
            let by_path = || {
                nouns.iter().any(|noun| entry.path.contains(noun))
                    || !path_noun.is_empty()
                        && entry.holder.is_empty()
                        && entry.path.iter().any(|word| word == path_noun)
            };
            let mut score = if named && !generic {
                100
            } else if id_like && noun_id.as_ref().is_some_and(|id| entry.key == *id) {
                95
            } else if (id_like || tells_one) && entry_id() && by_holder() {
                90
            } else if id_like && entry_id() && by_path() {
                if entry.holder.is_empty() { 88 } else { 70 }
            } else if nouns.iter().any(|noun| noun.len() > 3 && entry.key.starts_with(noun.as_str()))
                && words::is_id(&entry.key.replace("number", "_number").replace("id", "_id"))
            {
                50
            } else {
                continue;
            };
            if !fits(&entry.value, schema) {
                continue;
            }
            // What is one's own beats a name that fits better: another's object is no example of what one may call.
            score = score * 4
                + match (entry.actor == actor, entry.made) {
                    (true, true) => 63,
                    (true, false) => match self.seen.get(&entry.value) {
                        Some(who) if *who & 1 != 0 => 1,
                        Some(who) if *who != 1 << actor => 2,
                        Some(_) => 43,
                        None => 0,
                    },
                    (false, _) => 0,
                };
            scored.push((score, index, entry));
        }
        // What came later is nearer to the state the API is in.
        scored.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.cmp(&a.1)));
        let mut known = BTreeSet::new();
        scored.into_iter().map(|(_, _, entry)| entry).filter(|entry| known.insert(&entry.value)).collect()
    }
}

fn is_envelope(word: &str) -> bool {
    ENVELOPES.iter().any(|known| words::singular(known) == word)
}

/// Whether a value can stand where a schema is asked for.
fn fits(value: &str, schema: &Value) -> bool {
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        return allowed.iter().any(|one| text(one) == value);
    }
    match kind_of(schema) {
        "integer" => value.parse::<i64>().is_ok(),
        "number" => value.parse::<f64>().is_ok(),
        "boolean" | "array" | "object" => false,
        _ => match schema.get("format").and_then(Value::as_str) {
            Some("uuid") => value.len() == 36 && value.matches('-').count() == 4,
            Some("email") => value.contains('@'),
            _ => true,
        },
    }
}

/// Every scalar of an answer with its pointer.
pub(crate) fn leaves(value: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(value: &'a Value, pointer: String, out: &mut Vec<(String, &'a Value)>) {
        if out.len() > 5000 || pointer.len() > 400 {
            return;
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    walk(member, format!("{pointer}/{name}"), out);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, format!("{pointer}/{index}"), out);
                }
            }
            scalar => out.push((pointer, scalar)),
        }
    }
    let mut out = Vec::new();
    walk(value, String::new(), &mut out);
    out
}

/// The name that a pointer ends in, array positions left out.
pub(crate) fn last_name(pointer: &str) -> &str {
    pointer.rsplit('/').find(|part| !part.is_empty() && part.parse::<usize>().is_err()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_find_their_parameters() {
        let mut pool = Pool::default();
        let path = ["card".to_owned()];
        pool.observe(1, &path, &json!({"cards": [{"id": 7, "user": {"id": 3}}]}), "", false);
        pool.observe(1, &["user".to_owned()], &json!({"account_number": "12345"}), "", false);
        let integer = json!({"type": "integer"});
        assert_eq!(pool.fitting(1, "card_id", "card", &integer)[0].value, "7");
        assert_eq!(pool.fitting(1, "userId", "user", &integer)[0].value, "3");
        assert_eq!(pool.fitting(1, "to_account", "transfer", &json!({"type": "string"}))[0].value, "12345");
        assert!(pool.only(1, &[0, 2], "12345") && !pool.only(2, &[0], "12345"));
    }
}
