//! Whose an object is, as far as the API's own answers tell it from outside.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{Outcome, Session};
use crate::api::{Call, Danger, text};
use crate::http::Exchange;
use crate::pool::{last_name, leaves};
use crate::words;

/// How the lists of two users treat one object.
#[derive(Debug)]
pub(crate) enum Lists {
    /// The same list shows it to its owner and not to the other.
    Apart(Rc<Exchange>, Rc<Exchange>),
    /// The other's own list shows it: it is meant for both.
    Shared,
    /// No list shows it.
    Silent,
}

/// An object as its id names it: the value, the name of the parameter that takes it, and what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) id: &'a str,
    pub(crate) parameter: &'a str,
    pub(crate) noun: &'a str,
}

impl Named<'_> {
    /// Whether an answer shows the object.
    fn is_in(&self, answer: &Value) -> bool {
        let parameter = words::flat(self.parameter);
        let own = format!("{}id", self.noun);
        leaves(answer).into_iter().any(|(pointer, value)| {
            let name = words::flat(last_name(&pointer));
            let names_it = matches!(name.as_str(), "id" | "uuid" | "guid" | "pk" | "key" | "slug" | "name")
                || name == parameter
                || name == own;
            names_it && text(value) == self.id
        })
    }
}

impl Session<'_> {
    /// Asks the lists that showed an object to its owner again, in both names.
    pub(crate) fn lists(&mut self, owner: usize, other: usize, object: Named<'_>) -> Outcome<Lists> {
        let known: Vec<Call> = self
            .baselines
            .iter()
            .filter(|((index, who), _)| {
                let operation = self.operation(*index);
                // A short id is one of many kinds of things.
                *who == owner
                    && (object.id.len() >= 8 || operation.noun() == object.noun)
                    && operation.is_get()
                    && operation.danger() == Danger::Read
                    && !operation.is_for_operators()
                    && operation.path_names().iter().all(|name| words::contains(name, &["version"]))
            })
            .filter_map(|(_, baseline)| baseline.as_ref())
            .filter(|baseline| baseline.exchange.response.json().is_some_and(|answer| object.is_in(&answer)))
            .map(|baseline| baseline.call.clone())
            .collect();
        let mut apart = None;
        for call in known.into_iter().take(3) {
            let mine = self.call(owner, &call)?;
            let theirs = self.call(other, &call)?;
            let (Some(shown), Some(answer)) = (mine.response.json(), theirs.response.json()) else {
                continue;
            };
            if !theirs.response.ok() || !object.is_in(&shown) {
                continue;
            }
            if object.is_in(&answer) {
                return Ok(Lists::Shared);
            }
            apart.get_or_insert((mine, theirs));
        }
        Ok(apart.map_or(Lists::Silent, |(mine, theirs)| Lists::Apart(mine, theirs)))
    }

    /// Whether an object says that it is one user's and not the other's: a member such as `owner` or `user_id` holds
    /// what names the one.
    pub(crate) fn names_owner(&self, owner: usize, other: usize, object: &Map<String, Value>) -> bool {
        let names = |actor: usize| -> Vec<String> {
            let state = self.actor(actor);
            let id = crate::checks::own_name(self, actor, "id", &Value::Null);
            state.username.clone().into_iter().chain(id).collect()
        };
        let (mine, theirs) = (names(owner), names(other));
        leaves(&Value::Object(object.clone())).into_iter().any(|(pointer, value)| {
            let says_owner = words::has(
                &pointer.replace('/', " "),
                &[
                    "user", "username", "owner", "author", "account", "customer", "creator", "by", "member",
                    "seller", "userid", "ownerid", "assignee", "holder",
                ],
            );
            let value = text(value);
            says_owner && mine.contains(&value) && !theirs.contains(&value)
        })
    }

    /// Whether an object belongs to one user alone: lists keep it apart, it names its owner, or the other may not
    /// even read it. `read` is how its owner sees it.
    pub(crate) fn belongs(
        &mut self,
        owner: usize,
        other: usize,
        named: Named<'_>,
        (read, object): (&Exchange, &Map<String, Value>),
    ) -> Outcome<bool> {
        if self.names_owner(owner, other, object) {
            return Ok(true);
        }
        match self.lists(owner, other, named)? {
            Lists::Apart(..) => Ok(true),
            Lists::Shared => Ok(false),
            Lists::Silent => {
                let mut request = read.request.plain();
                for (name, _) in self.actor(owner).headers.clone() {
                    request.remove_header(&name);
                }
                let theirs = self.send(other, request)?;
                Ok(matches!(theirs.response.status, 401 | 403 | 404))
            }
        }
    }
}
