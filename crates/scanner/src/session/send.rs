//! Sending: within the bounds, in somebody's name, and never so that an identity that was given is altered.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Outcome, Session, Stop};
use crate::api::{Call, Danger, text};
use crate::callback::Listener;
use crate::http::{Exchange, Request, Response};
use crate::identity::Origin;
use crate::journal::Journal;
use crate::stub::Stand;
use crate::words;

/// Exchanges that are remembered, bytes of the largest answer among them, and of all with what was sent.
const REMEMBERED: usize = 10_000;
const TOLD: usize = 128 << 10;
const TOLD_IN_ALL: usize = 64 << 20;

/// Bytes of server errors that are looked at in the end.
const ERRORS: usize = 16 << 20;

impl Session<'_> {
    pub(super) fn admit(&mut self) -> Outcome {
        let owed = if self.cleaning { 0 } else { self.owed() };
        if self.requests + owed >= self.options.max_requests {
            return Err(Stop::Requests);
        }
        // What was made has to go, late as it is.
        if self.started.elapsed() > self.options.max_time && !self.cleaning {
            return Err(Stop::Time);
        }
        if self.failures >= 24 {
            return Err(Stop::Gone);
        }
        if let (Some(rate), Some(before)) = (self.options.rate, self.sent_at) {
            let gap = Duration::from_secs_f64(1.0 / f64::from(rate.max(1)));
            std::thread::sleep(gap.saturating_sub(before.elapsed()));
        }
        self.sent_at = Some(Instant::now());
        self.requests += 1;
        if self.requests.is_multiple_of(10) {
            self.tell();
        }
        Ok(())
    }

    fn finish(&mut self, actor: usize, request: Request, response: Response) -> Rc<Exchange> {
        // An answer that does not come in time still shows a listening target; no connection does not.
        let refused = response.error.as_deref().is_some_and(|error| error.starts_with("no connection"));
        let late = response.error.as_deref() == Some("no answer in time");
        // A few that come too late, one after the other, say that nothing is answered any more.
        self.failures = if refused {
            self.failures + 2
        } else if late {
            self.failures + 3
        } else {
            0
        };
        if refused {
            std::thread::sleep(Duration::from_millis(250));
        }
        let name = self.actor(actor).name.clone();
        let exchange = Rc::new(Exchange { actor: name, request, response, times: 1, together: false });
        self.record(actor, &exchange);
        let tells = exchange.response.status < 400 && exchange.response.body.len() <= TOLD;
        let bytes = exchange.request.body.len() + exchange.response.body.len();
        if tells && self.history.len() < REMEMBERED && self.remembered + bytes <= TOLD_IN_ALL {
            self.remembered += bytes;
            self.history.push(exchange.clone());
        }
        exchange
    }

    fn dressed(&self, actor: usize, mut request: Request) -> Request {
        self.actor(actor).dress(&mut request);
        for (name, value) in &self.options.headers {
            request.set_header(name, value);
        }
        if request.header("user-agent").is_none() {
            request.set_header("User-Agent", concat!("portcullis-scan/", env!("CARGO_PKG_VERSION")));
        }
        if request.header("accept").is_none() {
            request.set_header("Accept", "application/json, */*;q=0.5");
        }
        request.set_header("X-Portcullis-Scan", &format!("seed-{}", self.options.seed));
        request
    }

    /// Sends a request in an actor's name. A log-in that ran out is renewed once.
    pub(crate) fn send(&mut self, actor: usize, request: Request) -> Outcome<Rc<Exchange>> {
        self.refresh(actor)?;
        let exchange = self.send_once(actor, request.clone())?;
        let old = self.actor(actor).since.is_some_and(|since| since.elapsed() > Duration::from_secs(15));
        if exchange.response.status == 401 && old && self.actor(actor).can_log_in() && self.log_in(actor)? {
            return self.send_once(actor, request);
        }
        Ok(exchange)
    }

    /// Sends a request without renewing anything.
    pub(crate) fn send_once(&mut self, actor: usize, request: Request) -> Outcome<Rc<Exchange>> {
        self.admit()?;
        let request = self.dressed(actor, request);
        let response = self.answer(std::slice::from_ref(&request)).pop().unwrap_or_default();
        let exchange = self.finish(actor, request, response);
        if self.actor(actor).origin != Origin::Anonymous {
            let headers = exchange.response.headers.clone();
            self.actor_mut(actor).keep_cookies(&headers);
        }
        Ok(exchange)
    }

    /// Sends requests that do not depend on each other, as many at once as the options allow. The answers come in
    /// the order of the requests; nothing is renewed.
    pub(crate) fn send_many(&mut self, actor: usize, requests: Vec<Request>) -> Outcome<Vec<Rc<Exchange>>> {
        self.refresh(actor)?;
        let most = self.options.parallel.max(1);
        let mut exchanges = Vec::with_capacity(requests.len());
        for some in requests.chunks(most) {
            exchanges.extend(self.send_at_once(actor, some)?);
        }
        Ok(exchanges)
    }

    /// The answers to requests: from the journal as long as it goes on with these, then from the target.
    fn answer(&mut self, requests: &[Request]) -> Vec<Response> {
        if let Some(journal) = &mut self.journal
            && let Some(answers) = journal.replay(requests)
        {
            self.recall();
            return answers;
        }
        let answers = match requests {
            [one] => vec![self.client.send(one)],
            all => self.client.send_all(all),
        };
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.record(requests, &answers)
        {
            self.give_up_journal(&error);
        }
        self.remember();
        answers
    }

    fn give_up_journal(&mut self, error: &std::io::Error) {
        self.notes.push(format!("the journal cannot be written: {error}"));
        self.journal = None;
    }

    /// Takes over what arrived beside the answers when they came from the target.
    fn recall(&mut self) {
        let notes = self.journal.as_mut().map(Journal::notes).unwrap_or_default();
        for note in notes {
            if let Some(place) = note.get("listens").and_then(Value::as_str) {
                self.listened = Some(place.to_owned());
            }
            if let Some(listener) = &self.callback {
                let lines = note.get("called").and_then(Value::as_array).into_iter().flatten();
                for line in lines.filter_map(Value::as_str) {
                    listener.recall(line.to_owned());
                    self.noted.called += 1;
                }
            }
            for (index, stand) in self.stands.iter().enumerate() {
                if let Some(seen) = note.pointer(&format!("/stands/{index}")) {
                    stand.recall(seen);
                    self.noted.stands.insert(index, stand.hits());
                }
            }
        }
    }

    /// Keeps what arrived beside the answers, for a scan that goes on after this one was stopped.
    fn remember(&mut self) {
        let Some(journal) = self.journal.as_mut().filter(|journal| !journal.replays()) else { return };
        let mut note = serde_json::Map::new();
        if let Some(listener) = &self.callback {
            if self.listened.as_deref() != Some(listener.authority()) {
                self.listened = Some(listener.authority().to_owned());
                note.insert("listens".to_owned(), listener.authority().into());
            }
            let called = listener.since(self.noted.called);
            if !called.is_empty() {
                self.noted.called += called.len();
                note.insert("called".to_owned(), called.into());
            }
        }
        let asked = |(index, stand): (usize, &Stand)| self.noted.stands.get(&index) != Some(&stand.hits());
        if self.stands.iter().enumerate().any(asked) {
            self.noted.stands = self.stands.iter().map(Stand::hits).enumerate().collect();
            note.insert("stands".to_owned(), self.stands.iter().map(Stand::seen).collect());
        }
        if !note.is_empty()
            && let Err(error) = journal.note(&note.into())
        {
            self.give_up_journal(&error);
        }
    }

    /// The call-back listener begins: where it was in an earlier part of the same scan, if there was one.
    pub(crate) fn listen(&mut self, listener: Listener) {
        let moved = self.listened.as_ref().filter(|place| *place != listener.authority());
        if let Some(place) = moved {
            self.notes
                .push(format!("call-backs that still come to {place} are not heard: the address is taken"));
        }
        self.callback = Some(listener);
        self.remember();
    }

    /// Whether a probe was called back, waited for a little.
    pub(crate) fn called_back(&mut self, probe: &str, wait: Duration) -> Option<String> {
        self.recall();
        let hit = self.callback.as_ref()?.was_hit(probe, wait);
        self.remember();
        hit
    }

    /// Sends requests at the same moment, whatever the options say of how many: what a check of races needs.
    pub(crate) fn send_at_once(&mut self, actor: usize, requests: &[Request]) -> Outcome<Vec<Rc<Exchange>>> {
        let mut dressed = Vec::with_capacity(requests.len());
        for request in requests {
            self.admit()?;
            dressed.push(self.dressed(actor, request.clone()));
        }
        let answers = self.answer(&dressed);
        Ok(dressed
            .into_iter()
            .zip(answers)
            .map(|(request, answer)| self.finish(actor, request, answer))
            .collect())
    }

    /// Sends a call in an actor's name and remembers server errors. A call that would alter an identity that was
    /// given to the scan is not sent: its answer has the status 0.
    pub(crate) fn call(&mut self, actor: usize, call: &Call) -> Outcome<Rc<Exchange>> {
        let request = self.operation(call.operation).request(call, &self.base);
        if self.would_harm(actor, call) {
            let error = Some("not sent: it would alter an identity that was given to the scan".to_owned());
            let response = Response { error, ..Default::default() };
            return Ok(Rc::new(Exchange {
                actor: self.actor(actor).name.clone(),
                request,
                response,
                times: 1,
                together: false,
            }));
        }
        let asked: Vec<u64> = self.stands.iter().map(Stand::hits).collect();
        let exchange = self.send(actor, request)?;
        if exchange.response.ok() && !super::says_failure(&exchange.response) {
            let now = self.stands.iter().map(Stand::hits);
            let more = asked.iter().zip(now).enumerate().filter(|(_, (before, now))| now > *before);
            for (stand, _) in more.collect::<Vec<_>>() {
                self.consumers.insert((call.operation, stand), (actor, call.clone()));
            }
        }
        // A refusal may show as much of the inside as a server error does.
        let status = exchange.response.status;
        let tells = status >= 500
            || status >= 400 && crate::checks::database_error(&exchange.response.text()).is_some();
        let bytes = exchange.request.body.len() + exchange.response.body.len();
        if tells && self.errors.len() < 400 && self.failed + bytes <= ERRORS {
            self.failed += bytes;
            self.errors.push((call.operation, exchange.clone()));
        }
        if exchange.response.ok() && self.operation(call.operation).alters_account() {
            self.repair(actor, call)?;
        }
        Ok(exchange)
    }

    /// Whether a call changes an account that is not the scan's own.
    fn would_harm(&self, actor: usize, call: &Call) -> bool {
        let operation = self.operation(call.operation);
        let removes = operation.danger() == Danger::Delete;
        let resets = operation.is_reset_request() || operation.is_reset_confirm();
        let removes_account = removes && matches!(operation.noun().as_str(), "user" | "account" | "member");
        let about_accounts = operation.alters_account() || resets || removes_account;
        if !about_accounts {
            return operation.danger() == Danger::Session && self.actor(actor).origin == Origin::Given;
        }
        let body = call.body.as_ref().map(crate::pool::leaves).unwrap_or_default();
        let named: Vec<(&str, String)> = call
            .path
            .iter()
            .chain(call.query.iter().map(|(name, value)| (name, value)))
            .map(|(name, value)| (name.as_str(), value.clone()))
            .chain(body.iter().map(|(pointer, value)| (crate::pool::last_name(pointer), text(value))))
            // A version is a small number like many an id.
            .filter(|(name, _)| !words::contains(name, &["version"]))
            .collect();
        let given = |index: &usize| self.actor(*index).origin == Origin::Given;
        let is_own = |index: usize, name: &str, value: &str| {
            let by_id = (words::is_id(name) || call.path.contains_key(name))
                && crate::checks::own_name(self, index, name, &Value::Null).as_deref() == Some(value);
            by_id || self.actor(index).username.as_deref() == Some(value)
        };
        let touches = (1..self.actors.len())
            .filter(given)
            .any(|index| named.iter().any(|(name, value)| is_own(index, name, value)));
        // An account of the scan's own is its to take away, whoever does it.
        let ours = self
            .disposables()
            .into_iter()
            .any(|index| named.iter().any(|(name, value)| is_own(index, name, value)));
        if removes && (ours || self.cleaning) {
            return touches;
        }
        // Without a name in it, it is about who calls; an account of nobody's is not there to be hurt.
        touches || self.actor(actor).origin == Origin::Given
    }

    /// After a change of accounts: whoever of ours can no longer log in gets the password that was sent.
    fn repair(&mut self, actor: usize, call: &Call) -> Outcome {
        let sent = call.members().and_then(|body| {
            let password = |(name, value): (&String, &Value)| {
                (words::is_password(name) && !words::has(name, &["old", "current"])).then(|| text(value))
            };
            body.iter().find_map(password)
        });
        let Some(sent) = sent else { return Ok(()) };
        let named = |index: &usize| {
            let state = self.actor(*index);
            *index == actor
                || state.username.as_ref().is_some_and(|name| call.path.values().any(|value| value == name))
        };
        let touched: Vec<usize> = self.disposables().into_iter().filter(named).collect();
        for index in touched {
            if self.log_in(index)? {
                continue;
            }
            self.set_password(index, &sent);
            self.log_in(index)?;
        }
        Ok(())
    }
}
