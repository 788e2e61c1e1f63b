//! How a person repeats what was found, on a system that knows nothing of the scan: which calls come first, what of their
//! answers later calls carry, and what the answers have to show.
//!
//! The calls are those that the scan made. What a call carries and an earlier answer had is taken from that answer again: a
//! token, the id of something that was made. Words that the scan made up are made up anew, so that nothing is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;

use serde_json::Value;

use crate::finding::{Confidence, Finding, Sign};
use crate::http::{Exchange, Request};
use crate::identity::{Actor, Origin};
use crate::pool::{last_name, leaves};
use crate::session::Session;
use crate::{api, words};

/// The calls that repeat a finding.
#[derive(Debug, Clone, Default)]
pub struct Reproduction {
    /// The calls in order: what has to be there first, then the evidence.
    pub steps: Vec<Step>,
    /// Names of variables for words that were made up.
    pub words: Vec<String>,
    /// Names of variables for passwords of accounts that the recipe opens.
    pub passwords: Vec<String>,
    /// What has to be seen, by the index of a step.
    pub signs: Vec<Sign>,
    /// Whether something has to listen at the variable `CALLBACK`, `HOST:PORT`.
    pub calls_back: bool,
    /// Where something has to stand in for an upstream of the API.
    pub upstream: Option<SocketAddr>,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Step {
    /// In whose name.
    pub actor: String,
    /// The call; `«NAME»` stands for a variable.
    pub request: Request,
    /// How often in a row.
    pub times: u32,
    /// Whether those go out at one moment.
    pub together: bool,
    /// What of the answer is kept.
    pub captures: Vec<Capture>,
    /// Whether it is evidence, and no preparation.
    pub evidence: bool,
    /// What the stand-in for an upstream answers meanwhile, as HTTP/1.1, padded with spaces up to its length; empty for
    /// silence.
    pub upstream: Option<String>,
}

/// A value of an answer that goes into a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The variable.
    pub variable: String,
    /// Where it is.
    pub from: Source,
}

/// Where a value stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The n-th member of this name, counted from 1 in the order of the text.
    Member(String, usize),
    /// A cookie that the answer sets.
    Cookie(String),
}

/// Most calls before the evidence.
const STEPS: usize = 40;

impl Session<'_> {
    /// Adds to each confirmed finding how it is repeated.
    pub(crate) fn add_recipes(&mut self) {
        let mut findings = std::mem::take(&mut self.findings);
        let origins = Origins::of(&self.history);
        let callback = self.callback.as_ref().map(|listener| listener.authority().to_owned());
        for finding in findings.iter_mut().filter(|f| f.confidence == Confidence::Confirmed) {
            let slice = Slice::new(&self.actors, &origins, &self.base, callback.as_deref());
            finding.recipe = slice.recipe(finding);
        }
        self.findings = findings;
    }
}

/// Which answers had which values first.
struct Origins<'a> {
    history: &'a [Rc<Exchange>],
    by_value: BTreeMap<String, Vec<(usize, Source)>>,
    /// Which call first said a word that the scan made up.
    by_word: BTreeMap<String, usize>,
}

impl<'a> Origins<'a> {
    fn of(history: &'a [Rc<Exchange>]) -> Self {
        let mut by_value: BTreeMap<String, Vec<(usize, Source)>> = BTreeMap::new();
        let mut by_word = BTreeMap::new();
        for (index, exchange) in history.iter().enumerate() {
            let mut told = BTreeSet::new();
            if !matches!(exchange.request.method.as_str(), "GET" | "HEAD") {
                for word in made_up(&String::from_utf8_lossy(&exchange.request.body)) {
                    by_word.entry(word).or_insert(index);
                }
            }
            for (name, value) in cookies(&exchange.response.headers) {
                by_value.entry(value).or_default().push((index, Source::Cookie(name)));
            }
            let Some(answer) = exchange.response.json() else { continue };
            let text = exchange.response.text();
            for (pointer, value) in leaves(&answer).into_iter().take(400) {
                let name = last_name(&pointer);
                let value = api::text(value);
                let tells = words::is_id(name) || looks_made_up(&value);
                // A password that is shown was sent before.
                if !tells || words::is_password(name) || value.is_empty() || !told.insert(value.clone()) {
                    continue;
                }
                if let Some(nth) = nth(&text, name, &value) {
                    by_value.entry(value).or_default().push((index, Source::Member(name.to_owned(), nth)));
                }
            }
        }
        Self { history, by_value, by_word }
    }

    /// The call whose answer a value is from: the one that made what it is the id of, or the first that has it without
    /// having sent it. `noun` is what it is the id of, as far as that is known.
    fn origin(&self, value: &str, noun: &str) -> Option<(usize, &Source)> {
        let fresh = |(index, _): &&(usize, Source)| {
            self.history.get(*index).is_some_and(|exchange| !carries(&exchange.request, value))
        };
        let found: Vec<&(usize, Source)> = self.by_value.get(value)?.iter().filter(fresh).collect();
        let made = found.iter().find(|(index, _)| self.makes(*index, noun));
        made.or(found.first()).map(|(index, source)| (*index, source))
    }

    /// Whether a call makes things of this kind. Who registers makes an account.
    fn makes(&self, index: usize, noun: &str) -> bool {
        let Some(exchange) = self.history.get(index) else { return false };
        let names = words::split(exchange.request.path());
        let account = matches!(noun, "user" | "account" | "customer" | "member" | "profile");
        let opens = ["register", "signup", "registration", "join"];
        exchange.request.method == "POST"
            && !noun.is_empty()
            && names
                .iter()
                .any(|word| words::singular(word) == noun || account && opens.contains(&word.as_str()))
    }
}

/// Whether a value looks like one that only this system has: an account's number, an id at random, a token.
fn looks_made_up(value: &str) -> bool {
    value.len() >= 6
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && !value.bytes().any(|byte| byte.is_ascii_whitespace())
        && !value.contains(['"', '\\', '/', '@'])
}

fn carries(request: &Request, value: &str) -> bool {
    request.target.contains(value)
        || String::from_utf8_lossy(&request.body).contains(value)
        || request.headers.iter().any(|(_, header)| header.contains(value))
}

fn cookies(headers: &[(String, String)]) -> impl Iterator<Item = (String, String)> {
    headers.iter().filter(|(name, _)| name == "set-cookie").filter_map(|(_, line)| {
        let (name, value) = line.split(';').next()?.split_once('=')?;
        (value.trim().len() >= 6).then(|| (name.trim().to_owned(), value.trim().to_owned()))
    })
}

/// How many-th member of a name it is whose value is this one, as a text search finds them.
fn nth(text: &str, name: &str, value: &str) -> Option<usize> {
    let key = format!("\"{name}\"");
    let mut count = 0;
    let mut rest = text;
    while let Some(at) = rest.find(&key) {
        rest = rest.get(at + key.len()..)?;
        let Some(after) = rest.trim_start_matches(' ').strip_prefix(':') else { continue };
        let after = after.trim_start_matches(' ');
        let found = match after.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => after.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).next(),
        };
        let Some(found) = found.filter(|found| !found.is_empty() || after.starts_with('"')) else { continue };
        count += 1;
        if found == value {
            return Some(count);
        }
    }
    None
}

/// The calls that one finding needs, found by going back from its evidence.
struct Slice<'a> {
    actors: &'a [Actor],
    origins: &'a Origins<'a>,
    base: &'a str,
    steps: Vec<Step>,
    /// Which step stands for which exchange of the history.
    done: BTreeMap<usize, usize>,
    variables: BTreeMap<String, String>,
    callback: Option<&'a str>,
}

impl<'a> Slice<'a> {
    fn new(actors: &'a [Actor], origins: &'a Origins<'a>, base: &'a str, callback: Option<&'a str>) -> Self {
        Self {
            actors,
            origins,
            base,
            callback,
            steps: Vec::new(),
            done: BTreeMap::new(),
            variables: BTreeMap::new(),
        }
    }

    fn recipe(mut self, finding: &Finding) -> Reproduction {
        let mut places = Vec::new();
        for exchange in &finding.evidence {
            self.need(exchange, 0);
            // What is already there, because something else needs it, is not done twice.
            let known = self.origins.history.iter().position(|one| {
                one.request == exchange.request && one.response.body == exchange.response.body
            });
            let step = match known.and_then(|known| self.done.get(&known).copied()) {
                Some(step) if exchange.times == 1 && !exchange.together && !places.contains(&step) => step,
                _ => {
                    let step = self.push(exchange);
                    self.done.extend(known.map(|known| (known, step)));
                    step
                }
            };
            if let Some(step) = self.steps.get_mut(step) {
                step.evidence = true;
            }
            places.push(step);
        }
        if let Some((_, answers)) = &finding.upstream {
            for (place, answer) in places.iter().zip(answers) {
                if let Some(step) = self.steps.get_mut(*place) {
                    step.upstream = Some(String::from_utf8_lossy(answer).into_owned());
                }
            }
        }
        let mut signs = finding.signs(&places);
        let mut made_up = BTreeMap::new();
        let mut calls_back = false;
        for step in &mut self.steps {
            for (value, variable) in &self.variables {
                replace(&mut step.request, value, variable);
            }
            if let Some(callback) = self.callback {
                calls_back |= call_back(&mut step.request, callback);
                if let Some(answer) = step.upstream.as_mut().filter(|answer| answer.contains(callback)) {
                    *answer = answer.replace(callback, &mark("CALLBACK"));
                    calls_back = true;
                }
            }
            if let Some(answer) = &mut step.upstream {
                renamed(answer, &mut made_up);
            }
            rename(&mut step.request, &mut made_up);
        }
        for sign in &mut signs {
            if let Some(text) = sign.text_mut() {
                for (value, variable) in &self.variables {
                    *text = text.replace(value.as_str(), &mark(variable));
                }
                renamed(text, &mut made_up);
            }
        }
        let own = |actor: &&Actor| actor.origin == Origin::Disposable;
        let passwords =
            self.actors.iter().filter(own).map(|actor| format!("{}_PASSWORD", shell_name(&actor.name)));
        Reproduction {
            steps: self.steps,
            words: made_up.into_values().collect(),
            passwords: passwords.collect(),
            signs,
            calls_back,
            upstream: finding.upstream.as_ref().map(|(address, _)| *address),
        }
    }

    /// Sees to it that whatever a call carries can be had.
    fn need(&mut self, exchange: &Exchange, depth: usize) {
        if depth > 8 {
            return;
        }
        self.need_words(exchange, depth);
        for (value, noun, is_credential) in self.carried(&exchange.request) {
            if self.variables.contains_key(&value) || self.steps.len() >= STEPS {
                continue;
            }
            let origins = self.origins;
            let Some((index, source)) = origins.origin(&value, &noun) else { continue };
            let Some(origin) = origins.history.get(index) else { continue };
            // What a list shows was there before; only what is nobody else's has to be looked up.
            let reads = matches!(origin.request.method.as_str(), "GET" | "HEAD");
            if reads && !is_credential && !looks_made_up(&value) {
                continue;
            }
            let step = self.first(index, origin, depth);
            let variable = self.variable(&value, source, &origin.actor, &exchange.actor);
            if let Some(step) = self.steps.get_mut(step) {
                let capture = Capture { variable: variable.clone(), from: source.clone() };
                if !step.captures.contains(&capture) {
                    step.captures.push(capture);
                }
            }
            self.variables.insert(value, variable);
        }
    }

    /// A call of the history is made before.
    fn first(&mut self, index: usize, origin: &Exchange, depth: usize) -> usize {
        if let Some(step) = self.done.get(&index) {
            return *step;
        }
        self.need(origin, depth + 1);
        // On the way there it may have become one already.
        if let Some(step) = self.done.get(&index) {
            return *step;
        }
        let step = self.push(origin);
        self.done.insert(index, step);
        step
    }

    /// A name that the scan made up means something only where it was said before: an account, a title.
    fn need_words(&mut self, exchange: &Exchange, depth: usize) {
        let origins = self.origins;
        let said = format!("{} {}", exchange.request.target, String::from_utf8_lossy(&exchange.request.body));
        for word in made_up(&said) {
            let Some(index) = origins.by_word.get(&word).copied() else { continue };
            let Some(origin) = origins.history.get(index) else { continue };
            if origin.request == exchange.request || self.steps.len() >= STEPS {
                continue;
            }
            self.first(index, origin, depth);
        }
    }

    fn push(&mut self, exchange: &Exchange) -> usize {
        self.steps.push(Step {
            actor: exchange.actor.clone(),
            request: exchange.request.clone(),
            times: exchange.times,
            together: exchange.together,
            captures: Vec::new(),
            evidence: false,
            upstream: None,
        });
        self.steps.len() - 1
    }

    /// A name for a value: a token is its owner's, an id is called as it is in the answer.
    fn variable(&self, value: &str, source: &Source, owner: &str, user: &str) -> String {
        let by_token = self.actors.iter().find(|actor| actor.token.as_deref() == Some(value));
        let stem = match (by_token, source) {
            (Some(actor), _) => format!("{}_TOKEN", shell_name(&actor.name)),
            (None, Source::Cookie(name)) => format!("{}_{}", shell_name(owner), shell_name(name)),
            (None, Source::Member(name, _)) if value.len() > 60 => {
                format!("{}_{}", shell_name(user), shell_name(name))
            }
            (None, Source::Member(name, _)) => shell_name(name),
        };
        let taken = |name: &str| self.variables.values().any(|known| known == name);
        if !taken(&stem) {
            return stem;
        }
        (2..).map(|number| format!("{stem}_{number}")).find(|name| !taken(name)).unwrap_or(stem)
    }

    /// Values in a request that may come from an answer, what each is the id of, and whether it is a credential.
    fn carried(&self, request: &Request) -> Vec<(String, String, bool)> {
        let mut found: Vec<(String, String, bool)> = Vec::new();
        for (name, value) in &request.headers {
            match name.to_ascii_lowercase().as_str() {
                "cookie" => {
                    let values = value.split("; ").filter_map(|pair| pair.split_once('='));
                    found.extend(values.map(|(_, value)| (value.to_owned(), String::new(), true)));
                }
                "user-agent" | "accept" | "content-type" | "x-portcullis-scan" => {}
                _ => {
                    let last = value.rsplit(' ').next().unwrap_or_default();
                    found.push((last.to_owned(), String::new(), true));
                }
            }
        }
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = request.path().strip_prefix(self.base).unwrap_or_default();
        let mut before = String::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let noun = words::split(&before).last().map(|word| words::singular(word)).unwrap_or_default();
            found.push((decode(segment), noun, false));
            segment.clone_into(&mut before);
        }
        let told = |name: &str| words::telling(name).last().cloned().unwrap_or_default();
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if words::is_id(name) || looks_made_up(value) {
                found.push((decode(value), told(name), false));
            }
        }
        if let Ok(body) = serde_json::from_slice::<Value>(&request.body) {
            for (pointer, value) in leaves(&body).into_iter().take(200) {
                let value = api::text(value);
                if words::is_id(last_name(&pointer)) || looks_made_up(&value) {
                    found.push((value, told(last_name(&pointer)), false));
                }
            }
        }
        found.retain(|(value, ..)| !value.is_empty());
        found
    }
}

fn shell_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_uppercase()) { name } else { format!("V{name}") }
}

fn mark(variable: &str) -> String {
    format!("«{variable}»")
}

/// Puts a variable where a value stands whole: not where it is a part of a longer word or number.
fn put(text: &str, value: &str, variable: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, tail) = rest.split_at(at);
        let after = tail.get(value.len()..).unwrap_or_default();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
        out.push_str(before);
        if joins(out.chars().next_back()) || joins(after.chars().next()) {
            out.push_str(value);
        } else {
            out.push_str(&mark(variable));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn replace(request: &mut Request, value: &str, variable: &str) {
    // A short number is an id only where an id stands: in the path, and in members that are named so.
    let short = value.len() < 6;
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (request.target.clone(), None),
    };
    let encoded = api::encode(value);
    let segments: Vec<String> = path
        .split('/')
        .map(
            |segment| {
                if segment == encoded || segment == value { mark(variable) } else { segment.to_owned() }
            },
        )
        .collect();
    request.target = segments.join("/");
    if let Some(query) = query {
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, found)) if found == encoded || found == value => {
                    format!("{name}={}", mark(variable))
                }
                _ => pair.to_owned(),
            })
            .collect();
        request.target = format!("{}?{}", request.target, pairs.join("&"));
    }
    if !short {
        for (_, header) in &mut request.headers {
            *header = put(header, value, variable);
        }
    }
    let Ok(text) = std::str::from_utf8(&request.body) else { return };
    let changed = match short {
        false => put(text, value, variable),
        true => put_member(text, value, variable),
    };
    if changed != text {
        request.body = changed.into_bytes();
    }
}

/// The same for a short value in a JSON body: only as the value of a member that is named like an id.
fn put_member(text: &str, value: &str, variable: &str) -> String {
    let Ok(body) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let mut text = text.to_owned();
    for (pointer, leaf) in leaves(&body) {
        let name = last_name(&pointer);
        if api::text(leaf) == value && words::is_id(name) {
            for (from, to) in [
                (format!("\"{name}\":{value}"), format!("\"{name}\":{}", mark(variable))),
                (format!("\"{name}\":\"{value}\""), format!("\"{name}\":\"{}\"", mark(variable))),
            ] {
                text = text.replace(&from, &to);
            }
        }
    }
    text
}

/// Puts variables in the place of words that the scan made up.
fn rename(request: &mut Request, made_up: &mut BTreeMap<String, String>) {
    renamed(&mut request.target, made_up);
    for (name, value) in &mut request.headers {
        if name != "X-Portcullis-Scan" {
            renamed(value, made_up);
        }
    }
    if let Ok(text) = std::str::from_utf8(&request.body) {
        let mut text = text.to_owned();
        renamed(&mut text, made_up);
        request.body = text.into_bytes();
    }
}

/// Words that the scan made up.
static WORD: std::sync::LazyLock<Option<regex::Regex>> =
    std::sync::LazyLock::new(|| regex::Regex::new(r"\bpc[a-z]{8,12}").ok());

fn made_up(text: &str) -> Vec<String> {
    let found = WORD.as_ref().map(|word| word.find_iter(text).map(|one| one.as_str().to_owned()).collect());
    found.unwrap_or_default()
}

/// Puts the variable of the call-back in the place of its address; answers whether it stands there.
fn call_back(request: &mut Request, authority: &str) -> bool {
    let port = authority.rsplit(':').next().unwrap_or_default();
    let mut there = false;
    for form in [authority.to_owned(), format!("localhost:{port}"), format!("2130706433:{port}")] {
        let encoded = api::encode(&form);
        for form in [form, encoded] {
            there |= request.target.contains(&form);
            request.target = request.target.replace(&form, &mark("CALLBACK"));
            let body = String::from_utf8_lossy(&request.body);
            if body.contains(&form) {
                there = true;
                request.body = body.replace(&form, &mark("CALLBACK")).into_bytes();
            }
        }
    }
    there
}

fn renamed(text: &mut String, made_up: &mut BTreeMap<String, String>) {
    let Some(word) = WORD.as_ref() else { return };
    if !word.is_match(text) {
        return;
    }
    let changed = word.replace_all(text, |found: &regex::Captures<'_>| {
        let word = found.get(0).map_or("", |one| one.as_str()).to_owned();
        let next = format!("WORD_{}", made_up.len() + 1);
        mark(made_up.entry(word).or_insert(next))
    });
    *text = changed.into_owned();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Response;

    fn exchange(
        actor: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
        answer: &str,
    ) -> Rc<Exchange> {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Rc::new(Exchange {
            actor: actor.into(),
            request: Request { method: method.into(), target: target.into(), headers, body: body.into() },
            response: Response { status: 200, body: answer.into(), ..Response::default() },
            times: 1,
            together: false,
        })
    }

    #[test]
    fn what_a_call_carries_is_had_first() {
        let token = [("Authorization", "Bearer abc123def456")];
        let history = [
            exchange("alice", "POST", "/login", &[], r#"{"name":"al"}"#, r#"{"token": "abc123def456"}"#),
            exchange("alice", "POST", "/cards", &token, r#"{"title":"pcabcdefghij"}"#, r#"{"id": 17}"#),
            exchange("alice", "GET", "/cards/17", &token, "", r#"{"id":17,"title":"pcabcdefghij"}"#),
        ];
        let kind = crate::checks::kind("bola-read").unwrap();
        let finding = Finding::new(kind, Confidence::Confirmed, "GET /cards/{id}", &[&history[2]]);
        let origins = Origins::of(&history);
        let recipe = Slice::new(&[], &origins, "", None).recipe(&finding);
        let targets: Vec<&str> = recipe.steps.iter().map(|step| step.request.target.as_str()).collect();
        assert_eq!(targets, ["/login", "/cards", "/cards/«ID»"]);
        assert_eq!(recipe.steps[0].captures[0].from, Source::Member("token".into(), 1));
        assert_eq!(recipe.steps[2].request.headers[0].1, "Bearer «TOKEN»");
        assert_eq!(String::from_utf8_lossy(&recipe.steps[1].request.body), r#"{"title":"«WORD_1»"}"#);
    }

    #[test]
    fn members_are_counted() {
        let text = r#"{"id":1,"items":[{"id": 22,"x":"id"},{"id":"a-3"}]}"#;
        assert_eq!(
            (nth(text, "id", "22"), nth(text, "id", "a-3"), nth(text, "id", "9")),
            (Some(2), Some(3), None)
        );
    }
}
