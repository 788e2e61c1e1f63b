//! What a handler reads and what it answers with: one request, one reply, one fault.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

/// A request with its path split and decoded and its body read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The target as it came, for TRACE and for messages.
    pub(crate) target: String,
    /// Path segments, percent-decoded.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// True in the fixed twin: unknown fields, lengths and ranges are checked.
    pub(crate) strict: bool,
}

impl Request {
    /// The first value of a query parameter.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header as text, where it is visible ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A whole number from the query, within `range` in the fixed twin.
    pub(crate) fn number(&self, name: &str, default: i64, range: (i64, i64)) -> Result<i64, Fault> {
        let Some(text) = self.param(name) else { return Ok(default) };
        match text.parse::<i64>() {
            Ok(value) if !self.strict || (range.0..=range.1).contains(&value) => Ok(value),
            Err(error) if !self.strict => Err(Fault::broken(format!("query `{name}`: {error}"))),
            _ => Err(Fault::bad(format!("`{name}` must be a whole number from {} to {}", range.0, range.1))),
        }
    }

    /// The JSON object in the body. `known` are the fields the operation documents: the fixed twin refuses any
    /// other, the weak one hands them all on.
    pub(crate) fn fields(&self, known: &[&str]) -> Result<Fields, Fault> {
        let value: Value = serde_json::from_slice(&self.body).map_err(|error| {
            if self.strict {
                Fault::bad("the body must be one JSON object")
            } else {
                Fault::broken(format!("serde_json: {error} while reading {} bytes", self.body.len()))
            }
        })?;
        let Value::Object(map) = value else { return Err(Fault::bad("the body must be one JSON object")) };
        if self.strict && map.keys().any(|key| !known.contains(&key.as_str())) {
            return Err(Fault::bad(format!("the body may hold only: {}", known.join(", "))));
        }
        Ok(Fields { map, strict: self.strict })
    }
}

/// The fields of a JSON body.
#[derive(Debug)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    strict: bool,
}

impl Fields {
    /// A field as it came, whatever its type.
    pub(crate) fn raw(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    /// A text that must be there; its length in characters is checked in the fixed twin.
    pub(crate) fn text(&self, name: &str, min: usize, max: usize) -> Result<&str, Fault> {
        let text = self.map.get(name).and_then(Value::as_str);
        let fits = |text: &&str| !self.strict || (min..=max).contains(&text.chars().count());
        text.filter(fits)
            .ok_or_else(|| Fault::bad(format!("`{name}` must be a text of {min} to {max} characters")))
    }

    /// A text that may be missing.
    pub(crate) fn text_if_any(&self, name: &str, min: usize, max: usize) -> Result<Option<&str>, Fault> {
        if self.map.contains_key(name) { self.text(name, min, max).map(Some) } else { Ok(None) }
    }

    /// A whole number that must be there; its range is checked in the fixed twin.
    pub(crate) fn number(&self, name: &str, min: i64, max: i64) -> Result<i64, Fault> {
        number_in(&self.map, name, (min, max), self.strict)
    }

    /// A list of objects that must be there.
    pub(crate) fn list(&self, name: &str, max: usize) -> Result<Vec<&Map<String, Value>>, Fault> {
        let list = self.map.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
        let list =
            list.ok_or_else(|| Fault::bad(format!("`{name}` must be a list of 1 to {max} objects")))?;
        if self.strict && list.len() > max {
            return Err(Fault::bad(format!("`{name}` must hold at most {max} objects")));
        }
        list.iter()
            .map(|item| item.as_object().ok_or_else(|| Fault::bad(format!("`{name}` must hold objects"))))
            .collect()
    }
}

/// A whole number out of a JSON object.
pub(crate) fn number_in(
    map: &Map<String, Value>,
    name: &str,
    (min, max): (i64, i64),
    strict: bool,
) -> Result<i64, Fault> {
    let number = map.get(name).and_then(Value::as_i64);
    let fits = |number: &i64| !strict || (min..=max).contains(number);
    number
        .filter(fits)
        .ok_or_else(|| Fault::bad(format!("`{name}` must be a whole number from {min} to {max}")))
}

/// Sets a field of a JSON object.
pub(crate) fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(name.to_owned(), value);
    }
}

/// What goes back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        Self::bytes(status, "application/json", Bytes::from(value.to_string()))
    }

    pub(crate) fn ok(value: &Value) -> Self {
        Self::json(StatusCode::OK, value)
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::bytes(status, "", Bytes::new())
    }

    pub(crate) fn bytes(status: StatusCode, content_type: &str, body: Bytes) -> Self {
        Self { status, content_type: content_type.to_owned(), body, headers: Vec::new() }
    }

    /// Adds a header; a value that is none is left out.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// What only the operator should see. The weak twin shows it to everybody (API8).
    pub(crate) internals: Option<String>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), internals: None }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "this is not yours to do")
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "too many attempts: wait a minute")
    }

    /// Something inside went wrong; `internals` says what.
    pub(crate) fn broken(internals: impl Into<String>) -> Self {
        let mut fault =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on our side");
        fault.internals = Some(internals.into());
        fault
    }

    /// The answer: the weak twin adds the internals and a real stack trace.
    pub(crate) fn into_reply(self, strict: bool) -> Reply {
        let mut body = json!({ "error": self.code, "message": self.message });
        if let (Some(internals), false) = (&self.internals, strict) {
            let stack = std::backtrace::Backtrace::force_capture().to_string();
            let frames: Vec<&str> = stack
                .lines()
                .map(str::trim)
                .filter(|line| line.contains("portcullis_demo"))
                .take(20)
                .collect();
            put(&mut body, "exception", json!(internals));
            put(&mut body, "stackTrace", json!(frames));
        }
        let reply = Reply::json(self.status, &body);
        match self.status {
            StatusCode::UNAUTHORIZED => reply.with("www-authenticate", "Bearer realm=\"shop\""),
            StatusCode::TOO_MANY_REQUESTS => reply.with("retry-after", "60"),
            _ => reply,
        }
    }
}
