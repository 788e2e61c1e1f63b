//! Making calls that work: values from what is known, and the answers remembered.

use serde_json::{Map, Value};

use super::{Baseline, Made, Outcome, Session, says_failure};
use crate::api::{Call, Danger, Operation, Place, text};
use crate::http::{Exchange, Request};
use crate::pool::Pool;
use crate::values::{self, Taste};
use crate::words;

impl Session<'_> {
    /// Values for a call of an operation in an actor's name.
    pub(crate) fn compose(&mut self, index: usize, actor: usize, taste: Taste) -> Call {
        let api = self.api.clone();
        let mut call = Call { operation: index, ..Call::default() };
        let Some(operation) = api.operations.get(index) else { return call };
        for param in &operation.params {
            let wanted = param.required || (taste == Taste::Example && param.schema.get("example").is_some());
            if param.place != Place::Path && !wanted {
                continue;
            }
            let noun = if param.place == Place::Path {
                noun_before(operation, &param.name)
            } else {
                operation.noun()
            };
            let value = self.value(actor, &param.name, &noun, &param.schema, taste);
            let value = text(&value);
            match param.place {
                Place::Path => {
                    let value = if value.is_empty() { "1".to_owned() } else { value };
                    call.path.insert(param.name.clone(), value);
                }
                Place::Query => call.query.push((param.name.clone(), value)),
                Place::Header => call.headers.push((param.name.clone(), value)),
                Place::Cookie => call.cookies.push((param.name.clone(), value)),
                Place::Body => {}
            }
        }
        if let Some(body) = &operation.body {
            call.body = Some(match (&body.example, taste) {
                (Some(example), Taste::Example) => example.clone(),
                _ => {
                    let mut random = self.random.clone();
                    let noun = operation.noun();
                    let pool = &self.pool;
                    let others: Vec<String> = (1..self.actors.len())
                        .filter(|other| *other != actor)
                        .filter_map(|other| self.actor(other).username.clone())
                        .collect();
                    // An account is new in all that it is known by; only what it belongs to is there already.
                    let new = operation.is_register();
                    let joint = if new { Map::new() } else { self.shown_together(operation, taste) };
                    let mut known = |name: &str, schema: &Value| {
                        if let Some(value) = joint.get(name) {
                            return Some(typed(&text(value), schema));
                        }
                        if let Some(other) = recipient(name, &others).filter(|_| !new) {
                            return Some(Value::String(other));
                        }
                        let refers =
                            words::split(name).last().is_some_and(|word| word == "id" || word == "uuid");
                        (!new || refers).then(|| reference(pool, actor, name, &noun, schema)).flatten()
                    };
                    let value = values::generate(&mut random, taste, "", &body.schema, &mut known, 0);
                    self.random = random;
                    value
                }
            });
        }
        call
    }

    /// Members of a body that the API showed together in one object that was made: a card's number, its code and its
    /// expiry say nothing apart. Another object for another taste.
    fn shown_together(&self, operation: &Operation, taste: Taste) -> Map<String, Value> {
        let asked: Vec<String> = operation.body_members().into_iter().map(|(name, _)| name).collect();
        let mut found: Vec<Map<String, Value>> = Vec::new();
        for made in self.made.iter().filter(|made| !made.gone) {
            if let Some(answer) = made.exchange.response.json() {
                fitting_objects(&answer, &asked, &mut found);
            }
        }
        let best = found.iter().map(Map::len).max().unwrap_or(0);
        found.retain(|object| object.len() == best);
        match taste {
            Taste::Marked => found.pop(),
            Taste::Example => found.into_iter().next(),
            Taste::Least => found.into_iter().nth(1),
        }
        .unwrap_or_default()
    }

    fn value(&mut self, actor: usize, name: &str, noun: &str, schema: &Value, taste: Taste) -> Value {
        let shown = schema.get("example").filter(|_| taste == Taste::Example);
        if let Some(shown) = shown {
            return shown.clone();
        }
        if !noun_free(name)
            && let Some(entry) = self.pool.fitting(actor, name, noun, schema).first()
        {
            return typed(&entry.value, schema);
        }
        let mut random = self.random.clone();
        let mut none = |_: &str, _: &Value| None;
        let value = values::generate(&mut random, taste, name, schema, &mut none, 0);
        self.random = random;
        value
    }

    /// A call of an operation that works for an actor, made once and remembered. Operations that write make
    /// something by this; what they make is kept in `made`.
    pub(crate) fn baseline(&mut self, index: usize, actor: usize) -> Outcome<Option<Baseline>> {
        if let Some(known) = self.baselines.get(&(index, actor)) {
            return Ok(known.clone());
        }
        let operation = self.operation(index);
        let writes = operation.danger() != Danger::Read;
        let skip = operation.danger() >= Danger::Session
            || (writes && (self.options.read_only || operation.is_login() || operation.alters_account()));
        if skip {
            return Ok(None);
        }
        let mut found = None;
        let mut tried: Vec<Request> = Vec::new();
        for taste in [Taste::Marked, Taste::Example, Taste::Least] {
            let call = self.compose(index, actor, taste);
            let request = self.request_of(&call);
            if tried.contains(&request) {
                continue;
            }
            tried.push(request);
            let exchange = self.call(actor, &call)?;
            let status = exchange.response.status;
            if exchange.response.ok() && !says_failure(&exchange.response) {
                self.note_answer(index, actor, &exchange, writes);
                if writes {
                    let exchange = exchange.clone();
                    self.made.push(Made {
                        operation: index,
                        actor,
                        call: call.clone(),
                        exchange,
                        gone: false,
                    });
                }
                found = Some(Baseline { call, exchange });
                break;
            }
            if matches!(status, 401 | 403 | 405 | 0) {
                break;
            }
        }
        self.baselines.insert((index, actor), found.clone());
        Ok(found)
    }

    /// Takes in what an answer says.
    pub(crate) fn note_answer(&mut self, index: usize, actor: usize, exchange: &Exchange, made: bool) {
        let Some(answer) = exchange.response.json() else { return };
        // What comes under an id that another was given was not shown to this actor by itself, nor made for it.
        if self.asks_for_anothers(index, actor, exchange) {
            return;
        }
        let carried = format!(
            "{} {}",
            percent_encoding::percent_decode_str(&exchange.request.target).decode_utf8_lossy(),
            String::from_utf8_lossy(&exchange.request.body)
        );
        let operation = self.operation(index);
        let mut path: Vec<String> =
            words::split(operation.thing()).iter().map(|word| words::singular(word)).collect();
        if operation
            .segments()
            .last()
            .is_some_and(|last| matches!(last, "me" | "self" | "whoami" | "profile"))
        {
            path.push("user".to_owned());
        }
        if !made && operation.is_for_operators() {
            self.pool.overhear(actor, &path, &answer);
            return;
        }
        self.pool.observe(actor, &path, &answer, if made { "" } else { &carried }, made);
        if made {
            // What a new object was made of names it as well: `book_title` may be its key.
            if let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&exchange.request.body) {
                // What it refers to is not what it is.
                body.retain(|name, _| {
                    !words::is_id(name) || matches!(words::flat(name).as_str(), "slug" | "key")
                });
                let body = Value::Object(body);
                self.pool.observe(actor, &path, &body, "", true);
            }
        }
    }
}

impl Session<'_> {
    /// Whether a path names something that only others were shown so far.
    fn asks_for_anothers(&self, index: usize, actor: usize, exchange: &Exchange) -> bool {
        let path = exchange.request.path().strip_prefix(self.base.as_str()).unwrap_or_default();
        let segments = self.operation(index).path.split('/').zip(path.split('/'));
        segments.filter(|(template, _)| template.starts_with('{')).any(|(_, value)| {
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            self.pool.foreign(actor, &value)
        })
    }
}

/// Of each object in an answer the members that a body asks for, where they name one thing: a number or a key that is no
/// bare `id`, and more that stands beside it.
fn fitting_objects(answer: &Value, asked: &[String], found: &mut Vec<Map<String, Value>>) {
    match answer {
        Value::Object(members) => {
            let shared: Map<String, Value> = members
                .iter()
                .filter(|(name, value)| {
                    (value.is_string() || value.is_number()) && asked.contains(name) && !is_common(name)
                })
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let names_it = shared.keys().any(|name| words::is_id(name) && words::split(name).len() > 1);
            if names_it && shared.len() > 1 {
                found.push(shared);
            }
            members.values().for_each(|member| fitting_objects(member, asked, found));
        }
        Value::Array(items) => items.iter().for_each(|item| fitting_objects(item, asked, found)),
        _ => {}
    }
}

/// Names that stand in objects of any kind.
fn is_common(name: &str) -> bool {
    matches!(
        words::flat(name).as_str(),
        "id" | "name"
            | "title"
            | "description"
            | "type"
            | "status"
            | "amount"
            | "currency"
            | "quantity"
            | "note"
            | "email"
    )
}

/// What the path is about before a parameter.
pub(crate) fn noun_before(operation: &Operation, name: &str) -> String {
    let before = operation.path.split(&format!("{{{name}}}")).next().unwrap_or_default();
    let fixed = |segment: &&str| {
        !segment.is_empty()
            && !segment.contains('{')
            && !crate::api::is_version(segment)
            && !words::is_verb(segment)
    };
    let last = before.split('/').rfind(fixed).unwrap_or_default();
    words::split(last).last().map(|word| words::singular(word)).unwrap_or_default()
}

/// Who is meant by a member that says to whom something goes, as far as it is a name to log in with.
fn recipient(name: &str, others: &[String]) -> Option<String> {
    let words = words::split(name);
    let towards = words.first().is_some_and(|word| {
        matches!(word.as_str(), "to" | "recipient" | "receiver" | "payee" | "beneficiary" | "target")
    });
    let names_person = words
        .iter()
        .skip(1)
        .any(|word| matches!(word.as_str(), "email" | "mail" | "user" | "username" | "login" | "name"));
    let mail = words::contains(name, &["mail"]);
    let fits = |other: &&String| !mail || other.contains('@');
    (towards && (names_person || words.len() == 1 && words.first().is_some_and(|word| word != "to")))
        .then(|| others.iter().find(fits).cloned())
        .flatten()
}

/// Names that never refer to an object.
fn noun_free(name: &str) -> bool {
    words::is_password(name)
        || matches!(
            words::flat(name).as_str(),
            "limit"
                | "offset"
                | "page"
                | "size"
                | "sort"
                | "order"
                | "q"
                | "query"
                | "search"
                | "filter"
                | "format"
                | "version"
                | "apiversion"
                | "email"
        )
}

/// A value of a body that names an object which the API knows.
fn reference(pool: &Pool, actor: usize, name: &str, noun: &str, schema: &Value) -> Option<Value> {
    if noun_free(name) || schema.get("enum").is_some() || schema.get("format").is_some_and(|f| f == "email") {
        return None;
    }
    let names_another = words::is_id(name) && words::flat(name) != "id"
        || words::split(name).first().is_some_and(|w| w == "to");
    if !names_another {
        return None;
    }
    // An object's own name is new, not one that is there.
    if words::telling(name).last().is_some_and(|word| word == noun) && !words::flat(name).ends_with("id") {
        return None;
    }
    let fitting = pool.fitting(actor, name, "", schema);
    let to_another = words::split(name).first().is_some_and(|w| w == "to");
    let entry = if to_another { fitting.iter().find(|entry| entry.actor != actor) } else { None };
    entry.or(fitting.first()).map(|entry| typed(&entry.value, schema))
}

/// A value as the type that a schema asks for.
pub(crate) fn typed(value: &str, schema: &Value) -> Value {
    match crate::api::kind_of(schema) {
        "integer" | "number" => {
            serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()))
        }
        _ => Value::String(value.to_owned()),
    }
}
