//! Logging in, and staying so.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{ANONYMOUS, Outcome, Session};
use crate::api::{Call, Media, Place, encode, text, write_body};
use crate::http::{Exchange, Request};
use crate::identity::{Credential, Csrf};
use crate::values::Taste;
use crate::words;

impl Session<'_> {
    /// Notes that an identity of the scan's own has another password now.
    pub(crate) fn set_password(&mut self, actor: usize, password: &str) {
        let state = self.actor_mut(actor);
        state.password = Some(password.to_owned());
        if let Some(Credential::Password { password: known, .. }) = &mut state.credential {
            password.clone_into(known);
        }
    }

    /// Logs an actor in again when its token is about to run out.
    pub(super) fn refresh(&mut self, actor: usize) -> Outcome {
        let state = self.actor(actor);
        let Some(since) = state.since else { return Ok(()) };
        let claimed = || crate::jwt::Token::parse(state.token.as_deref()?)?.life();
        let Some(life) = claimed().or(state.life) else { return Ok(()) };
        // Before it ends by a quarter of its life, and by eight seconds at most.
        let early = (life / 4).min(Duration::from_secs(8));
        if state.can_log_in() && since.elapsed() + early > life {
            self.log_in(actor)?;
        }
        Ok(())
    }

    /// The request with which an actor logs in; `None` for one whose credential never changes.
    pub(crate) fn log_in_request(&mut self, actor: usize) -> Option<Request> {
        let credential = self.actor(actor).credential.clone()?;
        match &credential {
            Credential::Headers(_) => None,
            Credential::Recipe(recipe) => {
                let mut request = Request::new(&recipe.method, &format!("{}{}", self.base, recipe.path));
                let media = if recipe.form { Media::Form } else { Media::Json };
                write_body(&mut request, media, "application/json", &recipe.body, None);
                Some(request)
            }
            Credential::Client(client) => Some(client.request(&self.base, true)),
            Credential::Password { username, password } => {
                let login = self.login_for(actor)?;
                let call = self.login_call(login, username, password);
                Some(self.request_of(&call))
            }
        }
    }

    /// Logs an actor in. Answers whether it now has a token or a cookie.
    pub(crate) fn log_in(&mut self, actor: usize) -> Outcome<bool> {
        let Some(credential) = self.actor(actor).credential.clone() else { return Ok(false) };
        let Some(mut request) = self.log_in_request(actor) else {
            return Ok(matches!(credential, Credential::Headers(_)));
        };
        let state = self.actor_mut(actor);
        state.headers.clear();
        state.cookies.clear();
        let csrf = match &credential {
            Credential::Recipe(recipe) => recipe.csrf.clone(),
            _ => None,
        };
        if let Some(csrf) = &csrf {
            self.fetch_csrf(actor, csrf, &mut request)?;
        }
        let exchange = match &credential {
            Credential::Client(client) => self.ask_for_token(actor, client, request)?,
            _ => self.send_once(actor, request)?,
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
        state.life = answer.as_ref().and_then(life_of);
        state.greeting = answer;
        let got_cookie = !state.cookies.is_empty();
        // A double-submitted token goes with every later call, from the cookie that the log-in may have renewed.
        let submitted = csrf.and_then(|csrf| {
            let cookie = csrf.cookie?;
            let (_, value) = state.cookies.iter().find(|(name, _)| *name == cookie)?;
            Some((csrf.header?, value.clone()))
        });
        if let Some(token) = token {
            let old = state
                .token
                .take()
                .map(|old| (format!("{}_OLD_TOKEN", state.name.to_uppercase().replace('-', "_")), old));
            state.headers = vec![(header, format!("{prefix}{token}"))];
            state.token = Some(token);
            state.headers.extend(submitted);
            state.since = Some(Instant::now());
            self.spent.extend(old);
            return Ok(true);
        } else if !got_cookie {
            return Ok(false);
        }
        state.headers.extend(submitted);
        state.since = Some(Instant::now());
        Ok(true)
    }

    /// The log-in operation of an actor's kind of accounts; for nobody, of the kind that is looked at now.
    pub(crate) fn login_for(&self, actor: usize) -> Option<usize> {
        let realm = if actor == ANONYMOUS { self.realm } else { self.actor(actor).realm };
        realm.or_else(|| {
            let all = self.api.operations.iter().enumerate().filter(|(_, op)| op.is_login());
            // A log-in for all beats one of a part of the API.
            all.min_by_key(|(_, op)| op.segments().count()).map(|(index, _)| index)
        })
    }

    /// Reads the token that a form asks for, and puts it on the log-in.
    fn fetch_csrf(&mut self, actor: usize, csrf: &Csrf, request: &mut Request) -> Outcome {
        let page = Request::new("GET", &format!("{}{}", self.base, csrf.path));
        let exchange = self.send_once(actor, page)?;
        let cookie = csrf.cookie.as_ref().and_then(|wanted| {
            let found = self.actor(actor).cookies.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone())
        });
        let Some(token) = cookie.or_else(|| token_in(&exchange, csrf.field.as_deref())) else {
            return Ok(());
        };
        if let Some(header) = &csrf.header {
            request.set_header(header, &token);
        }
        if let Some(field) = &csrf.field {
            let form = request.header("content-type").is_some_and(|value| value.contains("form"));
            if form {
                let joint = if request.body.is_empty() { "" } else { "&" };
                let pair = format!("{joint}{}={}", encode(field), encode(&token));
                request.body.extend_from_slice(pair.as_bytes());
            } else if let Ok(Value::Object(mut members)) = serde_json::from_slice(&request.body) {
                members.insert(field.clone(), Value::String(token));
                request.body = Value::Object(members).to_string().into_bytes();
            }
        }
        Ok(())
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
        if let Some(body) = call.members_mut() {
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
}

/// How long an answer to a log-in says that its token lives.
fn life_of(answer: &Value) -> Option<Duration> {
    let seconds =
        ["expires_in", "expiresIn"].iter().find_map(|name| answer.get(name)).and_then(Value::as_u64)?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// The token of a form: a member of a JSON answer, or a hidden input or `meta` of a page.
fn token_in(exchange: &Exchange, field: Option<&str>) -> Option<String> {
    if let Some(answer) = exchange.response.json() {
        let leaves = crate::pool::leaves(&answer);
        let named = |pointer: &str| {
            let name = crate::pool::last_name(pointer);
            Some(name) == field || words::contains(name, &["csrf", "xsrf"])
        };
        return leaves.iter().find(|(pointer, _)| named(pointer)).map(|(_, value)| text(value));
    }
    let page = exchange.response.text();
    let tag = page.split('<').find(|tag| {
        (tag.starts_with("input") || tag.starts_with("meta"))
            && match field {
                Some(field) => {
                    tag.contains(&format!("name=\"{field}\"")) || tag.contains(&format!("name='{field}'"))
                }
                None => words::contains(tag, &["csrf", "xsrf"]),
            }
    })?;
    let attribute = if tag.starts_with("meta") { "content=" } else { "value=" };
    let rest = tag.split(attribute).nth(1)?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest.get(1..)?.split(quote).next().map(str::to_owned)
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
