//! Recorded calls made again, in their order, against something that runs: with the sessions and ids that it gives out
//! now in the places of those that were recorded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::Fields;
use portcullis_watch::{Name, RecordedBody, RecordedExchange, Recording};
use rustls::ClientConfig;
use serde_json::Value;

use crate::commands::audit::wire::{self, Answer, Endpoint};

/// What became of a call.
#[derive(Debug, Clone)]
pub(super) struct Repeated {
    /// Which.
    pub(super) name: Name,
    /// `METHOD /path`.
    pub(super) call: String,
    /// The status that was recorded.
    pub(super) then: u16,
    /// The status now; 0 where no answer came.
    pub(super) now: u16,
    /// The code with which the gateway stopped it.
    pub(super) code: Option<String>,
}

impl Repeated {
    /// Whether it went through then.
    pub(super) fn passed(&self) -> bool {
        (100..400).contains(&self.then)
    }

    /// Whether it goes through now.
    pub(super) fn passes(&self) -> bool {
        self.code.is_none() && (100..400).contains(&self.now)
    }
}

/// How many seconds are waited for a limit to let a call through that it let through when it was recorded.
const PATIENCE: u64 = 65;

/// Makes every call of `recording` at `endpoint`, with `fields` beside its own. A recording of minutes is made again within
/// seconds: `wait` lets the time go by for which a limit asks.
pub(super) fn repeat(
    recording: &Recording,
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
    fields: &[(String, String)],
    wait: &dyn Fn(Duration),
) -> Vec<Repeated> {
    let mut known = Known::default();
    recording.exchanges().iter().filter_map(|one| known.repeat(one, endpoint, tls, fields, wait)).collect()
}

/// Whether a recorded session comes to its end: a call with it passes now, and is refused `lifetime` later.
pub(super) fn session_ends(
    recording: &Recording,
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
    fields: &[(String, String)],
    by: &str,
    lifetime: Duration,
    wait: &dyn Fn(Duration),
) -> bool {
    let (part, name) = by.split_once('.').unwrap_or_default();
    let carries = |one: &RecordedExchange| match part {
        "cookie" => one.head.headers.get_all(http::header::COOKIE).any(|value| {
            let value = String::from_utf8_lossy(value.as_bytes());
            value.split(';').any(|pair| pair.trim().split('=').next() == Some(name))
        }),
        _ => one.head.headers.contains_key(name),
    };
    let mut known = Known::default();
    for one in recording.exchanges() {
        let Some(repeated) = known.repeat(one, endpoint, tls, fields, wait) else { continue };
        if one.head.method == http::Method::GET && carries(one) && repeated.passes() {
            wait(lifetime);
            let again = known.repeat(one, endpoint, tls, fields, wait);
            return again.is_some_and(|again| again.code.as_deref() == Some("session-unknown"));
        }
    }
    false
}

/// What was recorded, and what stands in its place now.
#[derive(Debug, Default)]
struct Known(HashMap<String, String>);

impl Known {
    fn repeat(
        &mut self,
        one: &RecordedExchange,
        endpoint: &Endpoint,
        tls: &Arc<ClientConfig>,
        fields: &[(String, String)],
        rest: &dyn Fn(Duration),
    ) -> Option<Repeated> {
        let response = one.response.as_ref()?;
        let body = match &one.body {
            RecordedBody::Whole(bytes) => self.body(bytes, content_type(&one.head.headers)),
            RecordedBody::None => Vec::new(),
            // A body that was not kept cannot be sent again.
            RecordedBody::Missing => return None,
        };
        let target = self.target(&String::from_utf8_lossy(&one.head.target));
        let method = one.head.method.as_str();
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in &one.head.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            match name.as_str() {
                "host" | "user-agent" | "content-length" | "connection" | "transfer-encoding"
                | "accept-encoding" => {}
                "cookie" => headers.push(("Cookie".into(), self.cookies(&value))),
                name => headers.push((name.to_owned(), self.field(&value))),
            }
        }
        for (name, value) in fields {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value.clone()));
        }
        let mut waited = 0;
        let answer = loop {
            let answer = wire::exchange(endpoint, tls, method, &target, &headers, &body).unwrap_or_default();
            let limited = code(&answer).is_some_and(|code| code == "rate-exceeded");
            let wait =
                answer.header("retry-after").and_then(|text| text.parse::<u64>().ok()).unwrap_or(1).max(1);
            if !limited || waited + wait > PATIENCE {
                break answer;
            }
            rest(Duration::from_secs(wait));
            waited += wait;
        };
        if let RecordedBody::Whole(recorded) = &response.body
            && let (Ok(then), Ok(now)) =
                (serde_json::from_slice::<Value>(recorded), serde_json::from_slice::<Value>(&answer.body))
        {
            self.learn("", &then, &now);
        }
        for value in response.headers.get_all(http::header::SET_COOKIE) {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let Some((name, then)) = pair(&text) else { continue };
            let now = answer.headers.iter().filter(|(field, _)| field.eq_ignore_ascii_case("set-cookie"));
            let now = now.filter_map(|(_, value)| pair(value)).find(|(known, _)| *known == name);
            if let Some((_, now)) = now {
                self.0.insert(then.to_owned(), now.to_owned());
            }
        }
        Some(Repeated {
            name: one.name,
            call: format!("{method} {target}"),
            then: response.status.as_u16(),
            now: answer.status,
            code: code(&answer),
        })
    }

    /// Values that stand in the same place of both answers and differ: ids, tokens, codes.
    fn learn(&mut self, name: &str, then: &Value, now: &Value) {
        match (then, now) {
            (Value::Object(then), Value::Object(now)) => {
                for (name, value) in then {
                    if let Some(now) = now.get(name) {
                        self.learn(name, value, now);
                    }
                }
            }
            (Value::Array(then), Value::Array(now)) => {
                then.iter().zip(now).for_each(|(then, now)| self.learn(name, then, now));
            }
            (Value::String(then), Value::String(now)) if then != now && names_one(then) => {
                self.0.insert(then.clone(), now.clone());
            }
            // A number alone may mean anything; that of an id means it.
            (Value::Number(then), Value::Number(now)) if then != now && names_id(name) => {
                self.0.insert(then.to_string(), now.to_string());
            }
            _ => {}
        }
    }

    fn whole(&self, text: &str) -> Option<&String> {
        self.0.get(text)
    }

    fn field(&self, value: &str) -> String {
        if let Some(new) = self.whole(value) {
            return new.clone();
        }
        match value.split_once(' ') {
            Some((scheme, rest)) => match self.whole(rest) {
                Some(new) => format!("{scheme} {new}"),
                None => value.to_owned(),
            },
            None => value.to_owned(),
        }
    }

    fn cookies(&self, value: &str) -> String {
        let one = |text: &str| match text.trim().split_once('=') {
            Some((name, value)) => format!("{name}={}", self.whole(value).map_or(value, String::as_str)),
            None => text.trim().to_owned(),
        };
        value.split(';').map(one).collect::<Vec<_>>().join("; ")
    }

    fn target(&self, target: &str) -> String {
        let replaced = |text: &str| {
            let plain = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
            match self.whole(&plain) {
                Some(new) => {
                    percent_encoding::utf8_percent_encode(new, percent_encoding::NON_ALPHANUMERIC).to_string()
                }
                None => text.to_owned(),
            }
        };
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = path.split('/').map(replaced).collect::<Vec<_>>().join("/");
        let Some(query) = query else { return path };
        let pair = |text: &str| match text.split_once('=') {
            Some((name, value)) => format!("{name}={}", replaced(value)),
            None => text.to_owned(),
        };
        format!("{path}?{}", query.split('&').map(pair).collect::<Vec<_>>().join("&"))
    }

    fn body(&self, bytes: &[u8], kind: &str) -> Vec<u8> {
        if let Ok(mut document) = serde_json::from_slice::<Value>(bytes) {
            return match self.json(&mut document) {
                true => serde_json::to_vec(&document).unwrap_or_default(),
                false => bytes.to_vec(),
            };
        }
        if kind.starts_with("application/x-www-form-urlencoded")
            && let Ok(form) = std::str::from_utf8(bytes)
        {
            let target = self.target(&format!("?{form}"));
            return target.trim_start_matches('?').as_bytes().to_vec();
        }
        bytes.to_vec()
    }

    /// Whether something was put in the place of something.
    fn json(&self, value: &mut Value) -> bool {
        match value {
            Value::Object(members) => members.values_mut().fold(false, |any, value| self.json(value) | any),
            Value::Array(items) => items.iter_mut().fold(false, |any, value| self.json(value) | any),
            Value::String(text) => match self.whole(text) {
                Some(new) => {
                    *text = new.clone();
                    true
                }
                None => false,
            },
            // Amounts and counts are numbers, too: only texts of digits are ids here.
            _ => false,
        }
    }
}

/// Whether a text is one that was made for one thing, such as an id or a token: a word, such as a state, may stand for many.
fn names_one(text: &str) -> bool {
    text.len() >= 16 || text.len() >= 4 && text.bytes().any(|byte| byte.is_ascii_digit())
}

fn names_id(name: &str) -> bool {
    let name = super::traffic::plain(name);
    name.ends_with("id") || name.ends_with("number") || name.ends_with("no") || name == "key"
}

fn pair(cookie: &str) -> Option<(&str, &str)> {
    let (name, value) = cookie.split(';').next()?.split_once('=')?;
    Some((name.trim(), value.trim()))
}

fn content_type(headers: &Fields) -> &str {
    headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The code of a refusal by the gateway.
pub(super) fn code(answer: &Answer) -> Option<String> {
    let problem =
        answer.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json"));
    let document: Value = serde_json::from_slice(&answer.body).ok().filter(|_| problem)?;
    let code = document.get("code")?.as_str()?;
    let known = portcullis_guards::codes().chain(portcullis_engine::code::CODES.iter().copied());
    // A masked error is the API's own.
    let own = ["error-masked", "detail-masked", "failure-masked"];
    known.map(|known| known.name).find(|known| *known == code && !own.contains(known)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_given_out_now_stands_in_the_place_of_what_was_recorded() {
        let mut known = Known::default();
        let then = json!({ "token": "tok-01d", "state": "open", "user": { "id": 7, "age": 30 }, "items": [{ "orderId": 1 }] });
        let now = json!({ "token": "tok-new", "state": "paid", "user": { "id": 9, "age": 31 }, "items": [{ "orderId": 5 }] });
        known.learn("", &then, &now);
        assert_eq!(known.field("Bearer tok-01d"), "Bearer tok-new");
        assert_eq!(
            known.target("/users/7/orders/1?token=tok-01d&age=30"),
            "/users/9/orders/5?token=tok%2Dnew&age=30"
        );
        assert_eq!(known.cookies("a=b; sid=tok-01d"), "a=b; sid=tok-new");
        let body: Value = serde_json::from_slice(&known.body(br#"{"t":"tok-01d","n":7}"#, "")).unwrap();
        assert_eq!(body, json!({ "t": "tok-new", "n": 7 }));
        assert_eq!(known.body(br#"{"s":"open"}"#, ""), br#"{"s":"open"}"#);
        assert_eq!(known.body(b"t=tok-01d&n=1", "application/x-www-form-urlencoded"), b"t=tok%2Dnew&n=5");
    }
}
