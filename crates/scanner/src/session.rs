//! The state of one scan: who calls, what is known, what was made, what it has cost so far.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::{Api, Auth, Call, Danger, Operation, Place, text};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::{Client, Exchange, Request, Target};
use crate::identity::{Actor, Credential, Identity, Origin, Role};
use crate::pool::Pool;
use crate::random::Random;
use crate::values::{self, Taste};
use crate::words;

/// What a scan may do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API is. Nothing else is ever called.
    pub target: Target,
    /// In whose names to call.
    pub identities: Vec<Identity>,
    /// What random values are made from.
    pub seed: u64,
    /// Only reads by method and by name.
    pub read_only: bool,
    /// Also removals and floods, on what the scan itself made.
    pub destructive: bool,
    /// Most requests.
    pub max_requests: u64,
    /// Most time.
    pub max_time: Duration,
    /// Most requests in a second; `None` for no bound.
    pub rate: Option<u32>,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Names of checks to run; empty for all.
    pub only: Vec<String>,
    /// `HOST:PORT` under which the target reaches the call-back listener; for a target on loopback one is
    /// chosen.
    pub callback: Option<String>,
    /// Fields that go with every call: what somebody in front of the target asks for.
    pub headers: Vec<(String, String)>,
}

impl Options {
    /// Sensible bounds for one target.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            identities: Vec::new(),
            seed: 1,
            read_only: false,
            destructive: false,
            max_requests: 5000,
            max_time: Duration::from_secs(900),
            rate: None,
            timeout: Duration::from_secs(10),
            only: Vec::new(),
            callback: None,
            headers: Vec::new(),
        }
    }
}

/// Why a scan ends before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The request cap is reached.
    Requests,
    /// The time is over.
    Time,
    /// The target stopped answering.
    Gone,
}

impl Stop {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Requests => "the cap of requests was reached; raise --max-requests",
            Self::Time => "the time was over; raise --max-time",
            Self::Gone => "the target stopped answering; see whether it still runs",
        }
    }
}

/// What is going on, for whoever watches.
#[derive(Debug, Clone)]
pub struct Progress {
    /// What is being tested.
    pub doing: String,
    /// Steps done, of all.
    pub step: (usize, usize),
    /// Requests so far.
    pub requests: u64,
    /// Confirmed findings so far.
    pub confirmed: usize,
}

/// Something that the scan made in the API.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) operation: usize,
    pub(crate) actor: usize,
    pub(crate) call: Call,
    pub(crate) exchange: Rc<Exchange>,
    pub(crate) gone: bool,
}

/// A call that worked, and what it answered.
#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    pub(crate) call: Call,
    pub(crate) exchange: Rc<Exchange>,
}

pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// What the API shows of an object, and the exchange in which it did.
pub(crate) type View = (Rc<Exchange>, serde_json::Map<String, Value>);

/// A protected read: the call, its answer to who may, and its refusal of who may not.
pub(crate) type Door = (Call, Rc<Exchange>, Rc<Exchange>);

pub(crate) struct Session<'a> {
    pub(crate) options: &'a Options,
    pub(crate) api: Rc<Api>,
    pub(crate) client: Client,
    pub(crate) random: Random,
    pub(crate) actors: Vec<Actor>,
    pub(crate) pool: Pool,
    pub(crate) made: Vec<Made>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) baselines: BTreeMap<(usize, usize), Option<Baseline>>,
    pub(crate) callback: Option<crate::callback::Listener>,
    pub(crate) requests: u64,
    pub(crate) started: Instant,
    pub(crate) base: String,
    pub(crate) notes: Vec<String>,
    /// Text of server errors seen anywhere, with the operation.
    pub(crate) errors: Vec<(usize, Rc<Exchange>)>,
    /// Tokens that were given and are no longer the current ones.
    spent: Vec<(String, String)>,
    failures: u32,
    sent_at: Option<Instant>,
    reported: BTreeSet<String>,
    watch: &'a mut dyn FnMut(&Progress),
    pub(crate) step: (usize, usize),
    pub(crate) doing: String,
}

pub(crate) const ANONYMOUS: usize = 0;

impl<'a> Session<'a> {
    pub(crate) fn new(
        options: &'a Options,
        api: Api,
        watch: &'a mut dyn FnMut(&Progress),
    ) -> Result<Self, String> {
        let client = Client::new(&options.target, options.timeout)?;
        let base =
            if options.target.base.is_empty() { api.base.clone() } else { options.target.base.clone() };
        let mut actors = vec![Actor::anonymous()];
        actors.extend(options.identities.iter().map(|identity| Actor::new(identity, Origin::Given)));
        Ok(Self {
            options,
            api: Rc::new(api),
            client,
            random: Random::new(options.seed),
            actors,
            pool: Pool::default(),
            made: Vec::new(),
            findings: Vec::new(),
            baselines: BTreeMap::new(),
            callback: None,
            requests: 0,
            started: Instant::now(),
            base,
            notes: Vec::new(),
            errors: Vec::new(),
            spent: Vec::new(),
            failures: 0,
            sent_at: None,
            reported: BTreeSet::new(),
            watch,
            step: (0, 1),
            doing: String::new(),
        })
    }

    /// Tokens, passwords and fixed credentials of all identities, with names for shell variables.
    pub(crate) fn secrets(&self) -> Vec<(String, String)> {
        let mut secrets = Vec::new();
        for actor in self.actors.iter().skip(1) {
            let name: String = actor
                .name
                .to_uppercase()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            let fixed = match &actor.credential {
                Some(Credential::Headers(headers)) => headers.first().map(|(_, value)| value.clone()),
                _ => None,
            };
            let cookie = actor.cookies.first().map(|(_, value)| value.clone());
            let all = [
                ("TOKEN", actor.token.clone()),
                ("PASSWORD", actor.password.clone()),
                ("COOKIE", cookie),
                ("CREDENTIAL", fixed),
            ];
            secrets
                .extend(all.into_iter().filter_map(|(kind, value)| Some((format!("{name}_{kind}"), value?))));
        }
        secrets.extend(self.spent.iter().cloned());
        secrets
    }

    /// Tells whoever watches what is being done.
    pub(crate) fn doing(&mut self, what: &str) {
        what.clone_into(&mut self.doing);
        self.tell();
    }

    fn tell(&mut self) {
        let confirmed = self.findings.iter().filter(|f| f.confidence == Confidence::Confirmed).count();
        let progress =
            Progress { doing: self.doing.clone(), step: self.step, requests: self.requests, confirmed };
        (self.watch)(&progress);
    }

    /// The operation of an index.
    pub(crate) fn operation(&self, index: usize) -> &Operation {
        // Indices come from `operations()` of the same model and nowhere else.
        #[expect(clippy::indexing_slicing, reason = "indices come from this very list")]
        &self.api.operations[index]
    }

    pub(crate) fn actor(&self, index: usize) -> &Actor {
        #[expect(clippy::indexing_slicing, reason = "actors are only ever added")]
        &self.actors[index]
    }

    pub(crate) fn actor_mut(&mut self, index: usize) -> &mut Actor {
        #[expect(clippy::indexing_slicing, reason = "actors are only ever added")]
        &mut self.actors[index]
    }

    /// Indices of all operations that fit.
    pub(crate) fn operations(&self, fit: impl Fn(&Operation) -> bool) -> Vec<usize> {
        self.api.operations.iter().enumerate().filter(|(_, op)| fit(op)).map(|(index, _)| index).collect()
    }

    /// Ordinary users in order, given ones first.
    pub(crate) fn users(&self) -> Vec<usize> {
        let user = |actor: &Actor| actor.origin != Origin::Anonymous && actor.role == Role::User;
        self.actors.iter().enumerate().filter(|(_, a)| user(a)).map(|(index, _)| index).collect()
    }

    /// Two ordinary users, if there are two.
    pub(crate) fn pair(&self) -> Option<(usize, usize)> {
        let users = self.users();
        Some((*users.first()?, *users.get(1)?))
    }

    /// The administrator, if one was given.
    pub(crate) fn admin(&self) -> Option<usize> {
        self.actors.iter().position(|actor| actor.role == Role::Admin)
    }

    /// Identities that the scan registered, with their passwords known.
    pub(crate) fn disposables(&self) -> Vec<usize> {
        let own = |actor: &Actor| actor.origin == Origin::Disposable && actor.token.is_some();
        self.actors.iter().enumerate().filter(|(_, a)| own(a)).map(|(index, _)| index).collect()
    }

    /// Whether some ordinary user is logged in.
    pub(crate) fn first_user(&self) -> usize {
        self.users().first().copied().unwrap_or(ANONYMOUS)
    }

    fn admit(&mut self) -> Outcome {
        if self.requests >= self.options.max_requests {
            return Err(Stop::Requests);
        }
        if self.started.elapsed() > self.options.max_time {
            return Err(Stop::Time);
        }
        if self.failures >= 12 {
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

    fn finish(&mut self, actor: usize, request: Request, response: crate::http::Response) -> Rc<Exchange> {
        // An answer that does not come in time still shows a listening target; no connection does not.
        let refused = response.error.as_deref().is_some_and(|error| error.starts_with("no connection"));
        self.failures = if refused { self.failures + 1 } else { 0 };
        if refused {
            std::thread::sleep(Duration::from_millis(250));
        }
        let name = self.actor(actor).name.clone();
        Rc::new(Exchange { actor: name, request, response })
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
        let response = self.client.send(&request);
        let exchange = self.finish(actor, request, response);
        if self.actor(actor).origin != Origin::Anonymous {
            let headers = exchange.response.headers.clone();
            self.actor_mut(actor).keep_cookies(&headers);
        }
        Ok(exchange)
    }

    /// Sends a call in an actor's name and remembers server errors. A call that would alter an identity that was
    /// given to the scan is not sent: its answer has the status 0.
    pub(crate) fn call(&mut self, actor: usize, call: &Call) -> Outcome<Rc<Exchange>> {
        let request = self.operation(call.operation).request(call, &self.base);
        if self.would_harm(actor, call) {
            let error = Some("not sent: it would alter an identity that was given to the scan".to_owned());
            let response = crate::http::Response { error, ..Default::default() };
            return Ok(Rc::new(Exchange { actor: self.actor(actor).name.clone(), request, response }));
        }
        let exchange = self.send(actor, request)?;
        if exchange.response.status >= 500 && self.errors.len() < 400 {
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
        let named: Vec<String> = call
            .path
            .values()
            .cloned()
            .chain(call.query.iter().map(|(_, value)| value.clone()))
            .chain(
                call.body
                    .iter()
                    .flat_map(|body| crate::pool::leaves(body).into_iter().map(|(_, value)| text(value))),
            )
            .collect();
        let given = |index: &usize| self.actor(*index).origin == Origin::Given;
        let touches = (1..self.actors.len()).filter(given).any(|index| {
            let own = [self.actor(index).username.clone(), crate::checks::own_id(self, index, operation)];
            own.into_iter().flatten().any(|own| named.contains(&own))
        });
        // Without a name in it, it is about who calls; an account of nobody's is not there to be hurt.
        touches || self.actor(actor).origin == Origin::Given
    }

    /// After a change of accounts: whoever of ours can no longer log in gets the password that was sent.
    fn repair(&mut self, actor: usize, call: &Call) -> Outcome {
        let sent = call.body.as_ref().and_then(Value::as_object).and_then(|body| {
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

    /// Notes that an identity of the scan's own has another password now.
    pub(crate) fn set_password(&mut self, actor: usize, password: &str) {
        let state = self.actor_mut(actor);
        state.password = Some(password.to_owned());
        if let Some(Credential::Password { password: known, .. }) = &mut state.credential {
            password.clone_into(known);
        }
    }

    /// The request of a call without any credential.
    pub(crate) fn request_of(&self, call: &Call) -> Request {
        self.operation(call.operation).request(call, &self.base)
    }

    /// Logs an actor in again when its token is about to run out.
    fn refresh(&mut self, actor: usize) -> Outcome {
        let state = self.actor(actor);
        let (Some(since), Some(token)) = (state.since, state.token.as_deref()) else { return Ok(()) };
        let Some(life) = crate::jwt::Token::parse(token).and_then(|token| token.life()) else {
            return Ok(());
        };
        if state.can_log_in()
            && since.elapsed() + Duration::from_secs(8) > life
            && life > Duration::from_secs(12)
        {
            self.log_in(actor)?;
        }
        Ok(())
    }

    /// Logs an actor in. Answers whether it now has a token or a cookie.
    pub(crate) fn log_in(&mut self, actor: usize) -> Outcome<bool> {
        let Some(credential) = self.actor(actor).credential.clone() else { return Ok(false) };
        let exchange = match &credential {
            Credential::Headers(_) => return Ok(true),
            Credential::Recipe(recipe) => {
                let mut request = Request::new("POST", &format!("{}{}", self.base, recipe.path));
                request.set_header("content-type", "application/json");
                request.body = recipe.body.to_string().into_bytes();
                self.send_plain(actor, request)?
            }
            Credential::Client { path, id, secret, scope } => {
                let mut request = Request::new("POST", &format!("{}{path}", self.base));
                let mut members = serde_json::Map::new();
                for (name, value) in
                    [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)]
                {
                    members.insert(name.to_owned(), Value::String(value.to_owned()));
                }
                if let Some(scope) = scope {
                    members.insert("scope".to_owned(), Value::String(scope.clone()));
                }
                crate::api::write_body(
                    &mut request,
                    crate::api::Media::Form,
                    "",
                    &Value::Object(members),
                    None,
                );
                self.send_plain(actor, request)?
            }
            Credential::Password { username, password } => {
                let Some(login) = self.login_for(actor) else { return Ok(false) };
                let call = self.login_call(login, username, password);
                let request = self.request_of(&call);
                self.send_plain(actor, request)?
            }
        };
        if !exchange.response.ok() && !(300..400).contains(&exchange.response.status) {
            return Ok(false);
        }
        let answer = exchange.response.json();
        let pointer = match &credential {
            Credential::Recipe(recipe) => recipe.token.as_deref(),
            _ => None,
        };
        let token = answer.as_ref().and_then(|answer| match pointer {
            Some(pointer) => answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned),
            None => find_token(answer),
        });
        let (header, prefix) = match &credential {
            Credential::Recipe(recipe) => (recipe.header.clone(), recipe.prefix.clone()),
            _ => self.carrier(),
        };
        let state = self.actor_mut(actor);
        state.greeting = answer;
        let got_cookie = !state.cookies.is_empty();
        if let Some(token) = token {
            let old = state
                .token
                .take()
                .map(|old| (format!("{}_OLD_TOKEN", state.name.to_uppercase().replace('-', "_")), old));
            state.headers = vec![(header, format!("{prefix}{token}"))];
            state.token = Some(token);
            state.since = Some(Instant::now());
            self.spent.extend(old);
            return Ok(true);
        } else if !got_cookie {
            return Ok(false);
        }
        state.since = Some(Instant::now());
        Ok(true)
    }

    /// The log-in operation that an actor registered for, or the document's first.
    pub(crate) fn login_for(&self, _actor: usize) -> Option<usize> {
        let logins = self.operations(Operation::is_login);
        // A log-in for all beats one of a part of the API.
        logins.into_iter().min_by_key(|index| self.operation(*index).segments().count())
    }

    fn send_plain(&mut self, actor: usize, request: Request) -> Outcome<Rc<Exchange>> {
        let state = self.actor_mut(actor);
        state.headers.clear();
        state.cookies.clear();
        self.send_once(actor, request)
    }

    /// The body of a log-in with a name and a password.
    pub(crate) fn login_call(&mut self, login: usize, username: &str, password: &str) -> Call {
        let mut call = self.compose(login, ANONYMOUS, Taste::Example);
        let has_own =
            |name: &str| matches!(words::flat(name).as_str(), "email" | "username" | "login" | "user");
        let members = self.operation(login).body_members();
        let mut names: Vec<String> =
            members.iter().map(|(name, _)| name.clone()).filter(|name| words::is_login_name(name)).collect();
        // Where there are several, the one that looks like what we have; e-mail only for an address.
        if names.len() > 1 {
            let mail = username.contains('@');
            names.sort_by_key(|name| (words::contains(name, &["mail"]) != mail, !has_own(name)));
            names.truncate(1);
        }
        if let Some(body) = call.body.as_mut().and_then(Value::as_object_mut) {
            for (name, value) in body.iter_mut() {
                if words::is_password(name) {
                    *value = Value::String(password.to_owned());
                } else if names.contains(name) {
                    *value = Value::String(username.to_owned());
                }
            }
        }
        call
    }

    /// How this API takes a token: header and prefix.
    pub(crate) fn carrier(&self) -> (String, String) {
        let header = |scheme: &&crate::api::Scheme| scheme.place == Place::Header;
        let bearer = self.api.schemes.iter().filter(header).find(|scheme| scheme.prefix == "Bearer ");
        let by_name =
            |scheme: &&crate::api::Scheme| words::contains(&scheme.field, &["auth", "token", "session"]);
        let named = self.api.schemes.iter().filter(header).find(by_name);
        match bearer.or(named) {
            Some(scheme) if scheme.prefix != "Basic " => (scheme.field.clone(), scheme.prefix.clone()),
            _ => ("Authorization".to_owned(), "Bearer ".to_owned()),
        }
    }

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
                    let mut known = |name: &str, schema: &Value| reference(pool, actor, name, &noun, schema);
                    let value = values::generate(&mut random, taste, "", &body.schema, &mut known, 0);
                    self.random = random;
                    value
                }
            });
        }
        call
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
        let carried = format!(
            "{} {}",
            percent_encoding::percent_decode_str(&exchange.request.target).decode_utf8_lossy(),
            String::from_utf8_lossy(&exchange.request.body)
        );
        let operation = self.operation(index);
        let path: Vec<String> =
            words::split(operation.thing()).iter().map(|word| words::singular(word)).collect();
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

    /// Reports a finding, once for each kind, operation and parameter.
    pub(crate) fn report(&mut self, finding: Finding) {
        if self.reported.insert(finding.key()) {
            self.findings.push(finding);
            self.tell();
        }
    }

    /// Whether this was reported before.
    pub(crate) fn has_reported(&self, kind: &Kind, operation: &str) -> bool {
        self.findings.iter().any(|finding| finding.kind.code == kind.code && finding.operation == operation)
    }

    /// A word that nobody else has used.
    pub(crate) fn marker(&mut self) -> String {
        format!("pc{}", self.random.word(10))
    }
}

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
pub(crate) fn says_failure(response: &crate::http::Response) -> bool {
    let Some(answer) = response.json() else { return false };
    let status = answer.get("status").or_else(|| answer.get("result")).and_then(Value::as_str);
    let failed = status
        .is_some_and(|s| matches!(s.to_ascii_lowercase().as_str(), "fail" | "failed" | "error" | "failure"));
    let flag = answer.get("success").or_else(|| answer.get("ok")).and_then(Value::as_bool) == Some(false);
    let graph =
        answer.get("errors").is_some_and(Value::is_array) && answer.get("data").is_none_or(Value::is_null);
    failed || flag || graph
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

/// The token in an answer to a log-in.
pub(crate) fn find_token(answer: &Value) -> Option<String> {
    let leaves = crate::pool::leaves(answer);
    let named = |wanted: &[&str]| {
        leaves.iter().find_map(|(pointer, value)| {
            let name = words::flat(crate::pool::last_name(pointer));
            let value = value.as_str().filter(|text| text.len() >= 8 && !text.contains(' '))?;
            wanted.contains(&name.as_str()).then(|| value.to_owned())
        })
    };
    named(&["accesstoken", "authtoken", "token", "jwt", "idtoken", "bearertoken", "sessiontoken", "apitoken"])
        .or_else(|| {
            leaves
                .iter()
                .filter_map(|(_, value)| value.as_str())
                .find(|text| crate::jwt::Token::parse(text).is_some())
                .map(str::to_owned)
        })
        .or_else(|| named(&["sessionid", "session", "key", "apikey", "authkey", "authorization", "access"]))
}
