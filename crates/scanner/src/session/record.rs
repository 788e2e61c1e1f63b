//! The record of what the scan made: whatever check it was, and whether it knew. From it everything is removed in the
//! end, or listed.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::{ANONYMOUS, Made, Outcome, Session, noun_before, says_failure};
use crate::api::{Call, Danger, Media, Operation, text};
use crate::explore::{id_of, last_parameter};
use crate::http::{Exchange, Request};
use crate::identity::Origin;
use crate::pool::leaves;
use crate::words;

impl Session<'_> {
    /// Takes in an exchange: a write that succeeded may have made something.
    pub(super) fn record(&mut self, actor: usize, exchange: &Rc<Exchange>) {
        let method = exchange.request.method.as_str();
        let made = match method {
            "POST" => exchange.response.ok() && !says_failure(&exchange.response),
            // What was there before is replaced, and no more there than it was.
            "PUT" | "PATCH" => exchange.response.status == 201,
            _ => false,
        };
        if !made {
            return;
        }
        let api = self.api.clone();
        let path = exchange.request.path().strip_prefix(self.base.as_str()).unwrap_or_default();
        let Some((operation, values)) = api.at(method, path) else { return };
        let Some(described) = api.operations.get(operation) else { return };
        if described.is_login() || described.danger() != Danger::Write {
            return;
        }
        let body = body_of(described, &exchange.request);
        // A GraphQL query is a POST as well, and makes nothing.
        let asks = |body: &Value| {
            let document = body.get("query")?.as_str()?.trim_start();
            Some(document.starts_with('{') || document.starts_with("query"))
        };
        if body.as_ref().and_then(asks) == Some(true) {
            return;
        }
        let call = Call { operation, path: values, body, ..Call::default() };
        self.created.push(Made { operation, actor, call, exchange: exchange.clone(), gone: false });
    }

    /// Requests that the clean-up will take: they are kept free under the cap.
    pub(super) fn owed(&self) -> u64 {
        (self.created.len() as u64).min(self.options.max_requests / 5)
    }

    /// Removes what the scan made, as far as the API offers it, and answers what is left.
    pub(crate) fn clean_up(&mut self) -> Outcome<Vec<String>> {
        self.doing("clean up");
        self.cleaning = true;
        let mut created = std::mem::take(&mut self.created);
        let mut asked = BTreeSet::new();
        let mut stopped = None;
        // What was made last may stand in what was made before.
        for one in created.iter_mut().rev() {
            // Nobody registers; who was registered may go.
            if self.operation(one.operation).is_register() {
                one.actor = self.registered(one).unwrap_or(one.actor);
            }
            match self.remove(one, &mut asked) {
                Ok(gone) => one.gone = gone,
                Err(stop) => {
                    stopped = Some(stop);
                    break;
                }
            }
        }
        let mut left: Vec<String> =
            created.iter().filter(|one| !one.gone).map(|one| self.name_of(one)).collect();
        left.sort();
        left.dedup();
        self.left = left.clone();
        stopped.map_or(Ok(left), Err)
    }

    /// The identity of the scan's own that a registration made.
    fn registered(&self, one: &Made) -> Option<usize> {
        let sent = one.call.body.as_ref().map(leaves).unwrap_or_default();
        let mut ours = (1..self.actors.len()).filter(|index| self.actor(*index).origin == Origin::Disposable);
        ours.find(|index| {
            let name = self.actor(*index).username.as_deref();
            sent.iter().any(|(_, value)| value.as_str().is_some() && value.as_str() == name)
        })
    }

    /// Removes one thing. Answers whether it is gone, by this call or by one before.
    fn remove(&mut self, one: &Made, asked: &mut BTreeSet<(String, bool)>) -> Outcome<bool> {
        let operation = self.operation(one.operation).clone();
        let mut calls: Vec<Call> = Vec::new();
        if let Some(remover) = self.remover(&operation) {
            let noun = noun_before(self.operation(remover), &last_parameter(self.operation(remover)));
            calls.extend(self.call_for(remover, one, &noun));
        }
        // Whoever called may have registered somebody else.
        let own = operation.is_register() && self.registered(one) == Some(one.actor);
        if own {
            // An account may take itself out.
            let leavers = self.operations(|op| {
                op.method == "DELETE"
                    && op.path_names().is_empty()
                    && op.danger() == Danger::Delete
                    && op.path_says(&["me", "self", "profile", "account"])
            });
            for index in leavers.into_iter().take(1) {
                calls.push(self.compose(index, one.actor, crate::values::Taste::Least));
            }
        }
        for call in calls {
            let key = format!("{} {}", one.actor, self.request_of(&call).target);
            if asked.contains(&(key.clone(), true)) {
                return Ok(true);
            }
            if asked.contains(&(key.clone(), false)) {
                continue;
            }
            let mut gone = false;
            for actor in [
                Some(one.actor).filter(|actor| *actor != ANONYMOUS || !operation.is_register()),
                self.admin(),
            ]
            .into_iter()
            .flatten()
            {
                let status = self.call(actor, &call)?.response.status;
                gone = (200..300).contains(&status) || matches!(status, 404 | 410);
                if gone {
                    break;
                }
            }
            asked.insert((key, gone));
            if gone {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How a person finds what is left: the operation, the id or the name it has, and who made it.
    fn name_of(&self, one: &Made) -> String {
        let operation = self.operation(one.operation);
        let answer = one.exchange.response.json();
        let id =
            answer.as_ref().and_then(|answer| id_of(answer, &operation.noun())).map(|id| format!(" {id}"));
        let named = || {
            let body = one.call.body.as_ref()?;
            let leaves = leaves(body);
            let telling = |wanted: &[&str]| {
                leaves.iter().find_map(|(pointer, value)| {
                    let name = crate::pool::last_name(pointer);
                    let shown = text(value);
                    (words::has(name, wanted) && (1..=60).contains(&shown.len()))
                        .then(|| format!(" ({name} `{shown}`)"))
                })
            };
            telling(&["username", "login", "email"])
                .or_else(|| telling(&["name", "title", "slug", "code", "subject"]))
        };
        let registered = self.registered(one).filter(|_| operation.is_register());
        let account = registered.and_then(|account| self.actor(account).username.clone());
        let known = account.map(|user| format!(" (user `{user}`)")).or_else(|| id.or_else(named));
        format!("{}{} by {}", operation.label(), known.unwrap_or_default(), self.actor(one.actor).name)
    }

    fn remover(&self, maker: &Operation) -> Option<usize> {
        let found = self.operations(|op| {
            op.method == "DELETE"
                && op.danger() == Danger::Delete
                && op
                    .path
                    .strip_prefix(maker.path.as_str())
                    .is_some_and(|rest| rest.starts_with("/{") && !rest.contains("}/"))
        });
        let account = |noun: &str| matches!(noun, "user" | "account" | "member" | "customer");
        let by_noun = || {
            self.operations(|op| {
                op.method == "DELETE"
                    && op.path.ends_with('}')
                    && op.path_names().len() == 1
                    && (op.noun() == maker.noun() || maker.is_register() && account(&op.noun()))
            })
        };
        found.first().copied().or_else(|| by_noun().first().copied())
    }
}

/// The body of a request as a value, as far as it can be read.
fn body_of(operation: &Operation, request: &Request) -> Option<Value> {
    match operation.body.as_ref()?.media {
        Media::Json => serde_json::from_slice(&request.body).ok(),
        Media::Form => {
            let pairs = form_urlencoded(&request.body);
            Some(Value::Object(
                pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>(),
            ))
        }
        _ => None,
    }
}

fn form_urlencoded(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body).replace('+', " ");
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

impl crate::api::Api {
    /// The operation that a method on a path is, and the values of its path parameters. The one with most fixed
    /// segments counts.
    fn at(&self, method: &str, path: &str) -> Option<(usize, std::collections::BTreeMap<String, String>)> {
        let segments: Vec<&str> = path.split('/').collect();
        let fits = |operation: &Operation| {
            let template: Vec<&str> = operation.path.split('/').collect();
            let mut values = std::collections::BTreeMap::new();
            if operation.method != method || template.len() != segments.len() {
                return None;
            }
            for (known, given) in template.into_iter().zip(&segments) {
                match known.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                    Some(name) => {
                        let value = percent_encoding::percent_decode_str(given).decode_utf8_lossy();
                        values.insert(name.to_owned(), value.into_owned());
                    }
                    None if known == *given => {}
                    None => return None,
                }
            }
            Some(values)
        };
        let found = self.operations.iter().enumerate().filter_map(|(index, op)| Some((index, fits(op)?)));
        found.min_by_key(|(_, values)| values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        assert_eq!(
            form_urlencoded(b"a=1+2&b=%26"),
            [("a".into(), "1 2".into()), ("b".into(), "&".to_owned())]
        );
    }
}
