//! Two contracts: what the second one breaks for the clients of the first, and what it protects less.

mod messages;
mod schemas;
mod security;

use std::collections::HashMap;

use crate::contract::Contract;
use crate::model::{Operation, Place};
use crate::routes::Template;

/// One difference of two contracts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// Calls or clients that were in order may no longer be.
    pub breaking: bool,
    /// What was refused may pass, or what was hidden may show.
    pub weaker: bool,
    /// The operations that it is about: `METHOD /path`. Empty if it is about all of them.
    pub operations: Vec<String>,
    /// The part of their messages, such as `query limit` or `request application/json /items/[]`.
    pub part: String,
    /// What changed.
    pub what: String,
    /// Where in the second document, or in the first if it is gone there.
    #[serde(serialize_with = "place_as_text")]
    pub place: Place,
}

fn place_as_text<S: serde::Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(place)
}

/// Differences that are kept at most.
const MAX_CHANGES: usize = 5_000;

impl Contract {
    /// What a newer version of this contract changes. Operations are the same if their methods are and their
    /// paths differ in the names of parameters only. The same change in several operations is one.
    ///
    /// A construct that [`Operation::unenforced`] lists is not compared.
    pub fn changes(&self, newer: &Contract) -> Vec<Change> {
        let mut changes = Changes { list: Vec::new(), known: HashMap::new() };
        security::servers(self, newer, &mut changes);
        security::schemes(self, newer, &mut changes);
        let mut rest: HashMap<(String, String), &Operation> =
            newer.operations.iter().map(|operation| (key(operation), operation)).collect();
        for old in &self.operations {
            match rest.remove(&key(old)) {
                Some(new) => {
                    let pair = Pair { old_contract: self, new_contract: newer, old, new };
                    pair.compare(&mut changes);
                }
                None => changes.add(old, "", "the operation is gone", Effect::BREAKING, &old.place),
            }
        }
        for new in &newer.operations {
            if rest.contains_key(&key(new)) {
                let open = security::is_open(&new.security);
                let (what, effect) = match open {
                    true => ("a new operation that anyone may call", Effect::WEAKER),
                    false => ("a new operation", Effect::NONE),
                };
                changes.add(new, "", what, effect, &new.place);
            }
        }
        changes.list
    }
}

/// What tells operations of one contract apart, names of parameters aside.
fn key(operation: &Operation) -> (String, String) {
    let bare = Template::anonymous(&operation.path);
    (operation.method.as_str().to_owned(), bare)
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Effect {
    breaking: bool,
    weaker: bool,
}

impl Effect {
    const NONE: Self = Self { breaking: false, weaker: false };
    const BREAKING: Self = Self { breaking: true, weaker: false };
    const WEAKER: Self = Self { breaking: false, weaker: true };
    const BOTH: Self = Self { breaking: true, weaker: true };
}

/// The changes so far; the same one in another operation is added to the first.
struct Changes {
    list: Vec<Change>,
    known: HashMap<(String, String, bool, bool), usize>,
}

impl Changes {
    fn add(
        &mut self,
        operation: &Operation,
        part: &str,
        what: impl Into<String>,
        effect: Effect,
        place: &Place,
    ) {
        self.push(Some(operation.label()), part, what.into(), effect, place);
    }

    /// One that is about the whole contract.
    fn add_overall(&mut self, part: &str, what: impl Into<String>, effect: Effect, place: &Place) {
        self.push(None, part, what.into(), effect, place);
    }

    fn push(&mut self, label: Option<String>, part: &str, what: String, effect: Effect, place: &Place) {
        let key = (part.to_owned(), what.clone(), effect.breaking, effect.weaker);
        // That an operation came or went is one change each.
        let same = (!part.is_empty()).then(|| self.known.get(&key)).flatten();
        if let Some(change) = same.and_then(|index| self.list.get_mut(*index)) {
            if let Some(label) = label
                && !change.operations.contains(&label)
            {
                change.operations.push(label);
            }
            return;
        }
        if self.list.len() >= MAX_CHANGES {
            return;
        }
        self.known.insert(key, self.list.len());
        self.list.push(Change {
            breaking: effect.breaking,
            weaker: effect.weaker,
            operations: label.into_iter().collect(),
            part: part.to_owned(),
            what,
            place: place.clone(),
        });
    }
}

/// One operation in both contracts.
#[derive(Clone, Copy)]
struct Pair<'c> {
    old_contract: &'c Contract,
    new_contract: &'c Contract,
    old: &'c Operation,
    new: &'c Operation,
}

impl Pair<'_> {
    fn note(&self, changes: &mut Changes, part: &str, what: impl Into<String>, effect: Effect) {
        changes.add(self.new, part, what, effect, &self.new.place);
    }

    fn compare(&self, changes: &mut Changes) {
        let (old, new) = (self.old, self.new);
        security::requirements(self, changes);
        if old.unenforced.is_empty() && !new.unenforced.is_empty() {
            let what = "it says what cannot be enforced now: its calls are refused";
            self.note(changes, "operation", what, Effect::BREAKING);
        }
        if old.unenforced_responses.is_empty() && !new.unenforced_responses.is_empty() {
            let what = "it says what cannot be enforced of its responses now";
            self.note(changes, "responses", what, Effect::WEAKER);
        }
        if !old.deprecated && new.deprecated {
            self.note(changes, "operation", "it is deprecated now", Effect::NONE);
        }
        if old.sunset != new.sunset
            && let Some(sunset) = &new.sunset
        {
            self.note(changes, "operation", format!("it is to end at {sunset}"), Effect::NONE);
        }
        self.parameters(changes);
        self.bodies(changes);
        self.responses(changes);
    }
}

#[cfg(test)]
mod tests;
