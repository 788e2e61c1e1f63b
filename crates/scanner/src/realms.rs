//! Further kinds of accounts: an API for customers may have merchants, drivers or partners who register and log in
//! elsewhere. What only they reach is tested in their names.

use std::collections::BTreeSet;

use crate::api::{Danger, Operation};
use crate::pool::{last_name, leaves};
use crate::session::{ANONYMOUS, Outcome, Session, find_token, says_failure};
use crate::words;

/// Kinds of accounts that are looked at beside the first.
const MOST: usize = 3;

impl Session<'_> {
    /// The log-ins of further kinds of accounts that anyone may open, each with the operations that only they may reach.
    pub(crate) fn further_realms(&mut self) -> Outcome<Vec<(usize, BTreeSet<usize>)>> {
        let (Some(first), false) = (self.login_for(ANONYMOUS), self.options.read_only) else {
            return Ok(Vec::new());
        };
        let api = self.api.clone();
        let folder = |index: usize| {
            let path = api.operations.get(index).map_or("", |op| op.path.as_str());
            path.rsplit_once('/').map_or("", |(folder, _)| folder)
        };
        let logins = self.operations(|op| op.is_login());
        let registers = self.operations(|op| op.is_register());
        let mut found = Vec::new();
        for login in logins.into_iter().filter(|login| *login != first && folder(*login) != folder(first)) {
            let home = folder(login);
            let beside = |index: &usize| {
                folder(*index) == home || api.operations.get(*index).is_some_and(|op| op.path == home)
            };
            let Some(register) = registers.iter().copied().find(beside) else { continue };
            if home.is_empty() || self.knows(login)? {
                continue;
            }
            let reached: BTreeSet<usize> = self
                .baselines
                .iter()
                .filter(|(_, baseline)| baseline.is_some())
                .map(|((index, _), _)| *index)
                .collect();
            let closed = |op: &Operation| {
                let theirs = op.path.starts_with(home);
                !op.is_login()
                    && !op.is_register()
                    && !op.path_says(&["admin"])
                    && (op.danger() <= Danger::Write && !op.alters_account() || theirs)
            };
            let mut scope: BTreeSet<usize> =
                self.operations(closed).into_iter().filter(|index| !reached.contains(index)).collect();
            if scope.is_empty() {
                continue;
            }
            scope.extend([login, register]);
            found.push((login, scope));
            if found.len() == MOST {
                break;
            }
        }
        Ok(found)
    }

    /// Whether a log-in takes an account of the first kind: then it is another door to the same.
    fn knows(&mut self, login: usize) -> Outcome<bool> {
        let known = self.users().into_iter().find_map(|actor| {
            let state = self.actor(actor);
            state.username.clone().zip(state.password.clone())
        });
        let Some((name, password)) = known else { return Ok(true) };
        let call = self.login_call(login, &name, &password);
        let exchange = self.call(ANONYMOUS, &call)?;
        let inside = exchange.response.json().is_some_and(|answer| find_token(&answer).is_some())
            || exchange.response.header("set-cookie").is_some();
        Ok(exchange.response.ok() && !says_failure(&exchange.response) && inside)
    }

    /// Turns to a further kind of accounts, registers some and looks around. Answers whether there are any.
    pub(crate) fn enter(&mut self, login: usize, scope: BTreeSet<usize>) -> Outcome<bool> {
        let label = self.operation(login).label();
        self.realm = Some(login);
        self.scope = Some(scope);
        self.register_missing()?;
        if self.users().is_empty() {
            return Ok(false);
        }
        self.notes.push(format!(
            "{label} is for another kind of accounts: what they reach was tested in their names"
        ));
        self.look_around()?;
        Ok(true)
    }

    /// Turns back to the first kind of accounts.
    pub(crate) fn leave(&mut self) {
        self.realm = None;
        self.scope = None;
    }

    /// Whether what showed nothing at first is looked at once more.
    pub(crate) fn looks_again(&self) -> bool {
        self.realm.is_none() && self.scope.is_some()
    }

    /// Narrows what is looked at to reads that showed an empty list to the first two users so far: by now there may be more.
    /// Answers whether there is any.
    pub(crate) fn narrow_to_empty(&mut self) -> bool {
        let users: Vec<usize> = self.users().into_iter().take(2).collect();
        let empty = |(key, baseline): (&(usize, usize), &Option<crate::session::Baseline>)| {
            let answer = baseline.as_ref()?.exchange.response.json()?;
            (users.contains(&key.1) && self.operation(key.0).is_get() && shows_nothing(&answer))
                .then_some(*key)
        };
        let stale: Vec<(usize, usize)> = self.baselines.iter().filter_map(empty).collect();
        for key in &stale {
            self.baselines.remove(key);
        }
        self.scope = Some(stale.into_iter().map(|(index, _)| index).collect());
        self.scope.as_ref().is_some_and(|scope| !scope.is_empty())
    }
}

/// Whether an answer has lists, and nothing in any of them.
pub(crate) fn shows_nothing(answer: &serde_json::Value) -> bool {
    fn walk(value: &serde_json::Value, lists: &mut usize) -> bool {
        match value {
            serde_json::Value::Array(items) => {
                *lists += 1;
                items.is_empty()
            }
            serde_json::Value::Object(members) => members.values().all(|member| walk(member, lists)),
            _ => true,
        }
    }
    let mut lists = 0;
    walk(answer, &mut lists) && lists > 0
}

/// Whether an answer is about lists that are empty, and shows nothing beside but how many there are: what everybody sees who
/// has nothing.
pub(crate) fn is_empty_page(answer: &serde_json::Value) -> bool {
    let says_little = |(pointer, value): &(String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => {
            text.is_empty() || words::has(last_name(pointer), &["status", "message", "msg", "code", "result"])
        }
        serde_json::Value::Number(number) => {
            number.as_f64() == Some(0.0)
                || words::has(
                    last_name(pointer),
                    &["page", "pages", "limit", "offset", "size", "per", "total", "count", "skip", "take"],
                )
        }
        _ => true,
    };
    shows_nothing(answer) && leaves(answer).iter().all(says_little)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_lists_are_told_from_full_ones() {
        for nothing in [json!([]), json!({ "status": "ok", "items": [] })] {
            assert!(shows_nothing(&nothing), "{nothing}");
        }
        for something in [json!({ "id": 1 }), json!([1]), json!({ "a": [], "b": [{}] })] {
            assert!(!shows_nothing(&something), "{something}");
        }
        for empty in [
            json!({ "data": [], "total": 0 }),
            json!({ "status": "ok", "items": [], "page": 1, "per_page": 20 }),
        ] {
            assert!(is_empty_page(&empty), "{empty}");
        }
        for private in [json!({ "name": "Ann", "tags": [] }), json!({ "balance": 12, "payments": [] })] {
            assert!(!is_empty_page(&private), "{private}");
        }
    }
}
