//! What the API shows: a door that is locked for others, and an object as its owner sees it.

use serde_json::Value;

use super::{ANONYMOUS, Door, Outcome, Session, View, noun_before};
use crate::api::{Auth, Call, Danger, text};
use crate::http::{Request, Response};
use crate::values::Taste;

impl Session<'_> {
    /// A read that works for an actor and is refused without a credential: the call, what it answered, and the
    /// refusal.
    pub(crate) fn door(&mut self, actor: usize) -> Outcome<Option<Door>> {
        let mut readers = self.operations(|op| op.is_get() && op.danger() == Danger::Read);
        readers.sort_by_key(|index| {
            let op = self.operation(*index);
            (op.auth == Auth::Open, op.path_names().len(), !op.path_says(&["me", "profile", "self"]))
        });
        for index in readers {
            let Some(baseline) = self.baseline(index, actor)? else { continue };
            let again = self.call(actor, &baseline.call)?;
            if !again.response.ok() {
                continue;
            }
            let nobody = self.call(ANONYMOUS, &baseline.call)?;
            if matches!(nobody.response.status, 401 | 403) {
                return Ok(Some((baseline.call, again, nobody)));
            }
        }
        Ok(None)
    }

    /// What the API shows of an object: members of the innermost object that holds this value, from reads in an
    /// actor's name. Each read is asked anew.
    pub(crate) fn look_up(&mut self, actor: usize, value: &str) -> Outcome<Vec<View>> {
        let mut found = Vec::new();
        // Reads of one's own that nobody has made in this name yet.
        let own =
            self.operations(|op| op.is_get() && op.danger() == Danger::Read && op.path_names().is_empty());
        for index in own.into_iter().take(20) {
            self.baseline(index, actor)?;
        }
        let known: Vec<Call> = self
            .baselines
            .iter()
            .filter(|((index, who), _)| *who == actor && self.operation(*index).is_get())
            .filter_map(|(_, baseline)| baseline.as_ref().map(|b| b.call.clone()))
            .collect();
        let mut calls: Vec<Call> =
            known.into_iter().filter(|call| call.path.values().all(|v| v == value || v.len() < 4)).collect();
        // Reads that take the value as their id.
        let readers =
            self.operations(|op| op.is_get() && op.danger() == Danger::Read && op.path_names().len() == 1);
        for index in readers {
            let operation = self.operation(index);
            let name = operation.path_names().pop().unwrap_or_default();
            let noun = noun_before(operation, &name);
            let schema = operation
                .params
                .iter()
                .find(|p| p.name == name)
                .map(|p| p.schema.clone())
                .unwrap_or_default();
            if self.pool.fitting(actor, &name, &noun, &schema).iter().any(|entry| entry.value == value) {
                let mut call = self.compose(index, actor, Taste::Marked);
                call.path.insert(name, value.to_owned());
                calls.push(call);
            }
        }
        let mut asked: Vec<Request> = Vec::new();
        for call in calls {
            let request = self.request_of(&call);
            if asked.contains(&request) || asked.len() > 24 {
                continue;
            }
            asked.push(request);
            let exchange = self.call(actor, &call)?;
            if !exchange.response.ok() {
                continue;
            }
            if let Some(answer) = exchange.response.json()
                && let Some(object) = holder(&answer, value)
            {
                found.push((exchange, object));
            }
        }
        Ok(found)
    }
}

/// The fullest object that holds a value directly: an echo of what was sent has less in it than what is stored.
pub(crate) fn holder(answer: &Value, value: &str) -> Option<serde_json::Map<String, Value>> {
    fn walk<'a>(answer: &'a Value, value: &str, best: &mut Option<&'a serde_json::Map<String, Value>>) {
        match answer {
            Value::Object(members) => {
                let direct = members.values().any(|m| !m.is_object() && !m.is_array() && text(m) == value);
                if direct && best.is_none_or(|known| members.len() > known.len()) {
                    *best = Some(members);
                }
                members.values().for_each(|member| walk(member, value, best));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, value, best)),
            _ => {}
        }
    }
    let mut best = None;
    walk(answer, value, &mut best);
    best.cloned()
}

/// Whether a 2xx answer says in its body that it failed.
pub(crate) fn says_failure(response: &Response) -> bool {
    let Some(answer) = response.json() else { return false };
    let status = answer.get("status").or_else(|| answer.get("result")).and_then(Value::as_str);
    let failed = status
        .is_some_and(|s| matches!(s.to_ascii_lowercase().as_str(), "fail" | "failed" | "error" | "failure"));
    let flag = answer.get("success").or_else(|| answer.get("ok")).and_then(Value::as_bool) == Some(false);
    // A GraphQL answer with errors that has nothing beside them.
    let empty = |data: &Value| match data {
        Value::Object(fields) => fields.values().all(Value::is_null),
        other => other.is_null(),
    };
    let graph = answer.get("errors").is_some_and(Value::is_array) && answer.get("data").is_none_or(empty);
    failed || flag || graph
}
