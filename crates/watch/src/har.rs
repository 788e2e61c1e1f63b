//! HAR 1.2, as browsers and proxies really write it.
//!
//! Read leniently: fields may be missing or of the wrong type, HTTP/2 pseudo-header fields may stand among the
//! others, several values of a field may stand in one, separated by line breaks. What cannot be replayed is named
//! by its entry's index, and the rest is kept.

use std::fmt;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Method, StatusCode, Version};
use portcullis_engine::{BodyLength, ExchangeId, Fields, RequestHead, Scheme};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::base64;
use crate::recording::{
    DecisionWord, Name, PastDecision, RecordedBody, RecordedExchange, RecordedResponse, Recording, Skipped,
    Source,
};

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HarLimits {
    /// Bytes of the file. Default 512 MiB.
    pub bytes: usize,
    /// Entries. Default 200,000.
    pub entries: usize,
}

impl Default for HarLimits {
    fn default() -> Self {
        HarLimits { bytes: 512 << 20, entries: 200_000 }
    }
}

/// The file as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HarError {
    /// Too long.
    #[error(
        "the file has {have} bytes, more than the {most} that are read: record less at a time, or raise the limit"
    )]
    TooLong {
        /// Its bytes.
        have: usize,
        /// The limit.
        most: usize,
    },
    /// Too many entries.
    #[error("the file has more than {0} entries: record less at a time, or raise the limit")]
    TooMany(usize),
    /// Not JSON, or cut off.
    #[error("not a HAR file: line {line} column {column}: {what}; it may have been cut off, or be no JSON")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser expected.
        what: String,
    },
    /// JSON, but no HAR.
    #[error("not a HAR file: expected an object with `log.entries`, a list")]
    NoEntries,
}

impl Recording {
    /// Reads a HAR file (version 1.2, or 1.1).
    ///
    /// # Errors
    /// Where the file is too long, is not JSON or has no list of entries. Entries that cannot be replayed are no
    /// error: see [`Recording::skipped`].
    pub fn from_har(bytes: &[u8], limits: &HarLimits) -> Result<Recording, HarError> {
        if bytes.len() > limits.bytes {
            return Err(HarError::TooLong { have: bytes.len(), most: limits.bytes });
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut found = Found { entries: None, too_many: false, most: limits.entries };
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let parsed = Top { found: &mut found, depth: 0 }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        if found.too_many {
            return Err(HarError::TooMany(limits.entries));
        }
        if let Err(error) = parsed {
            let what = error.to_string();
            // The parser's place is told apart from what it says.
            let what = what.split(" at line ").next().unwrap_or_default().to_owned();
            return Err(HarError::Json { line: error.line(), column: error.column(), what });
        }
        let entries = found.entries.ok_or(HarError::NoEntries)?;
        let (mut exchanges, mut skipped) = (Vec::with_capacity(entries.len()), Vec::new());
        let mut clock = 0;
        for (index, raw) in entries.iter().enumerate() {
            let parsed = serde_json::from_str::<Value>(raw.get()).map_err(|error| {
                format!("not JSON at byte {} of the entry: {}", error.column(), kind_of(&error))
            });
            match parsed.and_then(|entry| exchange(index, entry, clock)) {
                Ok(exchange) => {
                    clock = exchange.began;
                    exchanges.push(exchange);
                }
                Err(reason) => skipped.push(Skipped { name: Name::Entry(index), reason }),
            }
        }
        Ok(Recording::new(Source::Har, exchanges, skipped))
    }
}

fn kind_of(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Syntax => "a syntax error, or nested too deeply",
        _ => "it ends too early",
    }
}

/// The entries, not looked into yet.
struct Found<'a> {
    entries: Option<Vec<&'a RawValue>>,
    too_many: bool,
    most: usize,
}

/// Walks to `log.entries`: depth 0 is the file, 1 is `log`, 2 is `entries`. Whatever else stands there is skipped.
struct Top<'f, 'a> {
    found: &'f mut Found<'a>,
    depth: u8,
}

impl<'a> DeserializeSeed<'a> for Top<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Top<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.depth < 2 { "an object" } else { "a list of entries" })
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let wanted = match self.depth {
            0 => "log",
            1 => "entries",
            _ => "",
        };
        while let Some(name) = map.next_key::<String>()? {
            if self.depth < 2 && name == wanted {
                map.next_value_seed(Top { found: &mut *self.found, depth: self.depth + 1 })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth < 2 {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element::<&'a RawValue>()? {
            if entries.len() >= self.found.most {
                self.found.too_many = true;
                return Err(serde::de::Error::custom("too many entries"));
            }
            entries.push(entry);
        }
        self.found.entries = Some(entries);
        Ok(())
    }
}

/// An entry as an exchange; `clock` is when the one before it began.
fn exchange(index: usize, mut entry: Value, clock: u64) -> Result<RecordedExchange, String> {
    let mut request =
        entry.get_mut("request").map(Value::take).filter(Value::is_object).ok_or("it has no `request`")?;
    let mut response = entry.get_mut("response").map(Value::take).unwrap_or_default();
    let method = text(&request, "method").ok_or("its request has no `method`")?;
    let method = Method::from_bytes(method.trim().as_bytes()).map_err(|_| "its `method` is no method")?;
    if method == Method::CONNECT {
        return Err("a CONNECT only opens a tunnel".to_owned());
    }
    let url = text(&request, "url").ok_or("its request has no `url`")?;
    let Url { scheme, authority, target } = Url::parse(url)?;
    let fields = Listed::read(request.get("headers"));
    let version = version(text(&request, "httpVersion"), &fields);
    let mut headers = fields.headers;
    let bare = headers.is_empty();
    // Bodies are recorded decoded, and as a whole.
    headers.remove(header::TRANSFER_ENCODING);
    let multiplexed = matches!(version, Version::HTTP_2 | Version::HTTP_3);
    let authority = fields.authority.or(authority);
    match &authority {
        Some(authority) if !multiplexed && !headers.contains_key(header::HOST) => {
            let host = HeaderValue::from_str(authority).map_err(|_| "its `url` has no valid host")?;
            headers.insert(header::HOST, host);
        }
        _ => {}
    }
    if !headers.contains_key(header::COOKIE)
        && let Some(cookies) = cookies(&request)
    {
        headers.insert(header::COOKIE, cookies);
    }
    let body = request_body(&mut request, &mut headers, bare);
    let length = match &body {
        RecordedBody::None => BodyLength::None,
        RecordedBody::Whole(bytes) => BodyLength::Exact(bytes.len() as u64),
        RecordedBody::Missing => match number(&request, "bodySize").filter(|&size| size > 0.0) {
            Some(size) => BodyLength::Exact(size as u64),
            None => BodyLength::Unknown,
        },
    };
    let (response, past) = answer(&mut response, &method);
    let milliseconds = number(&entry, "time").filter(|ms| ms.is_finite() && *ms > 0.0).unwrap_or(0.0);
    Ok(RecordedExchange {
        name: Name::Entry(index),
        id: ExchangeId(index as u128 + 1),
        began: text(&entry, "startedDateTime").and_then(moment).unwrap_or(clock),
        // Nobody records a day; whoever writes so means something else.
        duration: (milliseconds.min(86_400_000.0) * 1e6) as u64,
        head: RequestHead {
            method,
            target: target.into(),
            authority: authority.filter(|_| multiplexed).map(Bytes::from),
            version,
            headers,
            body: length,
        },
        fields: true,
        redacted: false,
        scheme,
        client: None,
        credential: None,
        body,
        response,
        past,
    })
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// A number, also where it was written as a string.
fn number(object: &Value, name: &str) -> Option<f64> {
    match object.get(name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

struct Url {
    scheme: Scheme,
    authority: Option<String>,
    /// As it stood on the wire: what is odd about it is for the engine to see.
    target: String,
}

impl Url {
    fn parse(url: &str) -> Result<Url, String> {
        let url = url.split('#').next().unwrap_or_default();
        if url.starts_with('/') {
            return Ok(Url { scheme: Scheme::Http, authority: None, target: url.to_owned() });
        }
        let (scheme, rest) = url.split_once("://").ok_or("its `url` is not absolute")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => Scheme::Http,
            "https" | "wss" => Scheme::Https,
            _ => return Err("its `url` is not one of HTTP".to_owned()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        if authority.is_empty() {
            return Err("its `url` has no host".to_owned());
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Url { scheme, authority: Some(authority.to_owned()), target })
    }
}

/// Header fields, and what the pseudo ones among them say.
struct Listed {
    headers: Fields,
    authority: Option<String>,
    pseudo: bool,
}

impl Listed {
    /// Reads a list of `{name, value}`, or an object of them. What is no field could not have been sent.
    fn read(list: Option<&Value>) -> Listed {
        let mut fields = Listed { headers: Fields::new(), authority: None, pseudo: false };
        match list {
            Some(Value::Array(list)) => {
                for field in list {
                    if let (Some(name), Some(value)) = (text(field, "name"), text(field, "value")) {
                        fields.add(name, value);
                    }
                }
            }
            Some(Value::Object(list)) => {
                for (name, value) in list {
                    if let Some(value) = value.as_str() {
                        fields.add(name, value);
                    }
                }
            }
            _ => {}
        }
        fields
    }

    fn add(&mut self, name: &str, value: &str) {
        let name = name.trim();
        if name.starts_with(':') {
            self.pseudo = true;
            if name.eq_ignore_ascii_case(":authority") && !value.is_empty() {
                self.authority = Some(value.to_owned());
            }
            return;
        }
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return };
        for line in value.split('\n') {
            // More fields than any server takes are not a recording of what one took.
            if self.headers.len() >= 10_000 {
                return;
            }
            if let Ok(value) = HeaderValue::from_bytes(line.trim().as_bytes()) {
                self.headers.append(name.clone(), value);
            }
        }
    }
}

fn version(written: Option<&str>, fields: &Listed) -> Version {
    let written = written.unwrap_or_default().trim().to_ascii_lowercase();
    match written.as_str() {
        "http/1.0" => Version::HTTP_10,
        "http/1.1" => Version::HTTP_11,
        "h2" | "h2c" | "http/2" | "http/2.0" => Version::HTTP_2,
        "h3" | "http/3" | "http/3.0" => Version::HTTP_3,
        other if other.starts_with("h3-") || other.contains("quic") => Version::HTTP_3,
        _ if fields.pseudo => Version::HTTP_2,
        _ => Version::HTTP_11,
    }
}

/// The `Cookie` field, from the list of cookies that some recorders keep instead.
fn cookies(request: &Value) -> Option<HeaderValue> {
    let list = request.get("cookies")?.as_array()?;
    let pairs: Vec<String> = list
        .iter()
        .filter_map(|cookie| Some(format!("{}={}", text(cookie, "name")?, text(cookie, "value")?)))
        .collect();
    if pairs.is_empty() { None } else { HeaderValue::from_str(&pairs.join("; ")).ok() }
}

/// The body; `bare` where the recorder left the fields out, so that the body's own word on its type is taken.
fn request_body(request: &mut Value, headers: &mut Fields, bare: bool) -> RecordedBody {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse::<u64>().ok());
    let size = number(request, "bodySize").filter(|&size| size > 0.0).map_or(0, |size| size as u64);
    let Some(mut data) = request.get_mut("postData").map(Value::take).filter(Value::is_object) else {
        return if size > 0 || announced.is_some_and(|length| length > 0) {
            RecordedBody::Missing
        } else if announced.is_some() {
            RecordedBody::Whole(Bytes::new())
        } else {
            RecordedBody::None
        };
    };
    let kind = text(&data, "mimeType").unwrap_or_default().to_owned();
    if bare
        && !kind.is_empty()
        && let Ok(value) = HeaderValue::from_str(&kind)
    {
        headers.insert(header::CONTENT_TYPE, value);
    }
    let form = kind.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    let body = match take_text(&mut data) {
        Taken::Some(bytes) if !bytes.is_empty() => bytes,
        Taken::Broken => return RecordedBody::Missing,
        Taken::Some(_) | Taken::None => match data.get("params").and_then(Value::as_array) {
            Some(params) if !params.is_empty() && form => form_of(params),
            // The parts of a multipart body are listed without what frames them.
            Some(params) if !params.is_empty() => return RecordedBody::Missing,
            _ if size > 0 => return RecordedBody::Missing,
            _ => Bytes::new(),
        },
    };
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        // Most recorders keep what was said; some what was sent.
        Some(coding) if !looks_encoded(coding, &body) => {
            headers.remove(header::CONTENT_ENCODING);
        }
        None if (body.len() as u64) < size => return RecordedBody::Missing,
        _ => {}
    }
    RecordedBody::Whole(body)
}

/// Whether `body` begins as that coding does.
fn looks_encoded(coding: &[u8], body: &[u8]) -> bool {
    match coding.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => body.starts_with(&[0x1f, 0x8b]),
        b"zstd" => body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        // These have no magic: what is text was decoded.
        _ => std::str::from_utf8(body).is_err(),
    }
}

enum Taken {
    None,
    Broken,
    Some(Bytes),
}

/// The `text` of a body, decoded where `encoding` says base64.
fn take_text(data: &mut Value) -> Taken {
    let encoding = text(data, "encoding").or_else(|| text(data, "_encoding"));
    let encoded = encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"));
    match data.get_mut("text").map(Value::take) {
        Some(Value::String(text)) if encoded => {
            base64::decode(&text).map_or(Taken::Broken, |b| Taken::Some(b.into()))
        }
        Some(Value::String(text)) => Taken::Some(text.into()),
        _ => Taken::None,
    }
}

/// A form's body from its parameters, percent-encoded where a recorder decoded them.
fn form_of(params: &[Value]) -> Bytes {
    let mut body = String::new();
    for param in params {
        if !body.is_empty() {
            body.push('&');
        }
        escape(text(param, "name").unwrap_or_default(), &mut body);
        body.push('=');
        escape(text(param, "value").unwrap_or_default(), &mut body);
    }
    body.into()
}

fn escape(part: &str, out: &mut String) {
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' | b'%' | b'+' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                use fmt::Write as _;
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// What the upstream answered; or, where a gateway of ours stood in between and refused, what it decided.
fn answer(response: &mut Value, method: &Method) -> (Option<RecordedResponse>, Option<PastDecision>) {
    // Recorders write 0, or -1, where no answer came.
    let status = number(response, "status").filter(|status| (100.0..1000.0).contains(status));
    let Some(status) = status.and_then(|status| StatusCode::from_u16(status as u16).ok()) else {
        return (None, None);
    };
    let mut headers = Listed::read(response.get("headers")).headers;
    for gone in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(gone);
    }
    let mut content = response.get_mut("content").map(Value::take).unwrap_or_default();
    let size = number(&content, "size").filter(|&size| size > 0.0).map_or(0, |size| size as u64);
    if !headers.contains_key(header::CONTENT_TYPE)
        && headers.is_empty()
        && let Some(kind) = text(&content, "mimeType").filter(|kind| !kind.is_empty())
        && let Ok(value) = HeaderValue::from_str(kind)
    {
        headers.insert(header::CONTENT_TYPE, value);
    }
    let body = match take_text(&mut content) {
        _ if *method == Method::HEAD => RecordedBody::None,
        Taken::Some(bytes) if (bytes.len() as u64) < size => RecordedBody::Missing,
        Taken::Some(bytes) => RecordedBody::Whole(bytes),
        Taken::Broken => RecordedBody::Missing,
        Taken::None if size > 0 => RecordedBody::Missing,
        Taken::None => RecordedBody::Whole(Bytes::new()),
    };
    if let Some(code) = own_code(&headers, &body) {
        // An error that was masked had gone through; what the upstream said is not in the recording.
        let masked = code.ends_with("-masked");
        let past = PastDecision {
            decision: if masked { DecisionWord::Permitted } else { DecisionWord::Refused },
            code: Some(code).filter(|_| !masked),
            guard: None,
            status: status.as_u16(),
        };
        return (None, Some(past));
    }
    (Some(RecordedResponse { status, headers, body }), None)
}

/// The code of a reply of our own: the recording was made in front of a gateway.
fn own_code(headers: &Fields, body: &RecordedBody) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        r#type: String,
        code: String,
    }
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let RecordedBody::Whole(bytes) = body else { return None };
    if !kind.starts_with("application/problem+json") {
        return None;
    }
    let problem: Problem = serde_json::from_slice(bytes).ok()?;
    (problem.r#type.strip_prefix("urn:portcullis:") == Some(problem.code.as_str())).then_some(problem.code)
}

/// A time as recorders write it: RFC 3339, also with a space for the `T` or without the colon in the offset.
fn moment(text: &str) -> Option<u64> {
    let text = text.trim();
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let parsed = parse(text).or_else(|| {
        let mut fixed = text.replacen(' ', "T", 1);
        let bytes = fixed.as_bytes();
        let zone = bytes.len().checked_sub(5).and_then(|at| bytes.get(at..));
        if let Some([b'+' | b'-', digits @ ..]) = zone
            && digits.iter().all(u8::is_ascii_digit)
        {
            fixed.insert(fixed.len() - 2, ':');
        } else if !fixed.ends_with(['Z', 'z'])
            && !fixed.get(10..).is_some_and(|rest| rest.contains(['+', '-']))
        {
            fixed.push('Z');
        }
        parse(&fixed)
    })?;
    u64::try_from(parsed.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
#[path = "har_tests.rs"]
mod tests;
