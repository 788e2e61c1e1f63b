//! The model of an API that all checks work on, whatever kind of document it came from.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::http::Request;
use crate::words;

/// Where a value stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A part of the path.
    Path,
    /// The query.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// The body; the name is a JSON pointer.
    Body,
}

impl Place {
    /// `path`, `query`, `header`, `cookie` or `body`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body",
        }
    }
}

/// A parameter outside the body.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Where it stands; never [`Place::Body`].
    pub place: Place,
    /// Whether a call must have it.
    pub required: bool,
    /// Its JSON schema, references resolved, examples included.
    pub schema: Value,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// XML.
    Xml,
    /// Anything else; the value is a string, taken as it is.
    Other,
}

/// What an operation takes as its body.
#[derive(Debug, Clone)]
pub struct Body {
    /// How it is written.
    pub media: Media,
    /// The media type as written.
    pub content_type: String,
    /// Its JSON schema, references resolved.
    pub schema: Value,
    /// Whether a call must have it.
    pub required: bool,
    /// An example from the document or a recording.
    pub example: Option<Value>,
}

/// Who may call, as far as the document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// The document says nothing.
    Unsaid,
    /// It says that anyone may.
    Open,
    /// It asks for a credential.
    Needed,
}

/// What a call may do to the API's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Danger {
    /// Nothing.
    Read,
    /// It makes or changes something.
    Write,
    /// It ends the session that calls it.
    Session,
    /// It removes something.
    Delete,
    /// It may ruin the API for everybody: reset, wipe, shut down. Never called.
    Never,
}

/// One method on one path template.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The method in upper case.
    pub method: String,
    /// The path template, base path not included.
    pub path: String,
    /// `operationId`.
    pub id: Option<String>,
    /// Tags and summary in one, for what they say.
    pub words: String,
    /// `deprecated`.
    pub deprecated: bool,
    /// Parameters outside the body.
    pub params: Vec<Param>,
    /// The body, if one is described.
    pub body: Option<Body>,
    /// Schemas of successful responses.
    pub answers: Vec<Value>,
    /// Who may call.
    pub auth: Auth,
    /// Whether the operation itself says who may call, and not the document for all of them.
    pub own_auth: bool,
    /// Names of the schemes of which one is asked for.
    pub schemes: Vec<String>,
    /// Whether it changes or removes all things of a list at once, whoever made them.
    pub on_all: bool,
}

/// How a credential is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// The scheme's name in the document.
    pub name: String,
    /// [`Place::Header`], [`Place::Query`] or [`Place::Cookie`].
    pub place: Place,
    /// The header, parameter or cookie.
    pub field: String,
    /// What stands before the token: `Bearer ` or nothing.
    pub prefix: String,
}

/// An API.
#[derive(Debug, Clone, Default)]
pub struct Api {
    /// Its title.
    pub title: String,
    /// The base path of the document, used when the target has none.
    pub base: String,
    /// Its operations, in the order of the document.
    pub operations: Vec<Operation>,
    /// Ways to carry a credential.
    pub schemes: Vec<Scheme>,
}

/// The values of one call of one operation, still open to change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    /// The operation's index.
    pub(crate) operation: usize,
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) body: Option<Value>,
}

/// One place of a call where a value can be put.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    /// The name, or for a body the JSON pointer.
    pub(crate) name: String,
    pub(crate) schema: Value,
}

impl Slot {
    /// `query q` or `body /items/0/name`.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.place.as_str(), self.name)
    }

    /// The last word of the pointer, or the name.
    pub(crate) fn key(&self) -> &str {
        self.name.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap_or(&self.name)
    }

    /// The schema's type, `string` when nothing is said.
    pub(crate) fn kind(&self) -> &str {
        kind_of(&self.schema)
    }
}

/// The type that a schema asks for.
pub(crate) fn kind_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or("string")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

impl Api {
    /// Marks what changes or removes all things of a list at once: `PATCH /todos` beside `/todos/{id}`.
    pub(crate) fn mark_on_all(&mut self) {
        let is_list = |path: &str, other: &Operation| {
            let item = other.path.strip_prefix(path).and_then(|rest| rest.strip_prefix("/{"));
            item.and_then(|item| item.strip_suffix('}')).is_some_and(|name| !name.contains('}'))
        };
        let lists: Vec<bool> = self
            .operations
            .iter()
            .map(|op| {
                matches!(op.method.as_str(), "PUT" | "PATCH" | "DELETE")
                    && self.operations.iter().any(|other| is_list(&op.path, other))
            })
            .collect();
        for (operation, list) in self.operations.iter_mut().zip(lists) {
            operation.on_all = list;
        }
    }
}

impl Operation {
    /// `METHOD /path`.
    pub fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Static segments of the path, in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter(|segment| !segment.is_empty() && !segment.contains('{'))
    }

    /// What the path is about: its last static segment that is no version, in the singular.
    pub(crate) fn noun(&self) -> String {
        words::split(self.thing()).last().map(|word| words::singular(word)).unwrap_or_default()
    }

    /// The last static segment of the path that is neither a version nor a verb.
    pub(crate) fn thing(&self) -> &str {
        let telling = |segment: &&str| !is_version(segment) && !words::is_verb(segment);
        self.segments().filter(telling).last().unwrap_or_default()
    }

    /// Whether a path segment, the operation's id or a tag has one of these words.
    pub(crate) fn says(&self, wanted: &[&str]) -> bool {
        self.path_says(wanted) || self.id.as_deref().is_some_and(|id| words::has(id, wanted))
    }

    /// Whether a path segment has one of these words, joined words included.
    pub(crate) fn path_says(&self, wanted: &[&str]) -> bool {
        self.segments().any(|segment| {
            words::has(segment, wanted) || wanted.iter().any(|word| words::flat(segment) == *word)
        })
    }

    /// Whether its path says that it is for those who run the API: what it shows to others is no sign that it is theirs.
    pub(crate) fn is_for_operators(&self) -> bool {
        self.path_says(&["admin", "debug", "_debug", "internal", "export", "dump", "backup"])
    }

    /// Whether it is a plain read by its method.
    pub(crate) fn is_get(&self) -> bool {
        self.method == "GET"
    }

    /// Names of the path's parameters, in order.
    pub(crate) fn path_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut rest = self.path.as_str();
        while let Some((_, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            names.push(name.to_owned());
            rest = after;
        }
        names
    }

    /// What it may do.
    pub(crate) fn danger(&self) -> Danger {
        if self.on_all {
            return Danger::Never;
        }
        let tokens: Vec<String> = self
            .segments()
            .flat_map(|segment| {
                let mut all = words::split(segment);
                all.push(words::flat(segment));
                all
            })
            .chain(self.id.iter().flat_map(|id| words::split(id)))
            .collect();
        let any = |wanted: &[&str]| tokens.iter().any(|token| wanted.contains(&token.as_str()));
        let about_secret = any(&["password", "passwd", "pin", "code", "link", "token", "forgot"]);
        if any(&[
            "shutdown",
            "restart",
            "reboot",
            "wipe",
            "drop",
            "truncate",
            "purge",
            "flush",
            "createdb",
            "initdb",
            "resetdb",
            "dropdb",
            "populate",
            "populatedb",
            "seed",
            "seeddb",
            "factory",
            "install",
            "migrate",
            "restore",
            "halt",
            "kill",
            "terminate",
            "poweroff",
            "reinit",
            "reinitialize",
            "rollback",
            "destroyall",
        ]) || (any(&["reset", "clear"]) && !about_secret)
        {
            return Danger::Never;
        }
        if any(&["logout", "signout", "logoff", "signoff"]) {
            return Danger::Session;
        }
        if self.method == "DELETE"
            || any(&["delete", "remove", "destroy", "erase", "deactivate", "unregister", "cancel"])
        {
            return Danger::Delete;
        }
        match self.method.as_str() {
            "GET" | "HEAD" | "OPTIONS" | "QUERY" | "TRACE" => {
                let acts =
                    any(&["create", "update", "approve", "transfer", "send", "toggle", "enable", "disable"]);
                if acts && self.method == "GET" && !self.path.contains('{') {
                    Danger::Write
                } else {
                    Danger::Read
                }
            }
            _ if self.is_query() => Danger::Read,
            _ => Danger::Write,
        }
    }

    /// The document that it sends, where it is one field of a GraphQL schema.
    fn document(&self) -> Option<&str> {
        self.body.as_ref()?.schema.pointer("/properties/query/const")?.as_str()
    }

    /// Whether it is one field of a GraphQL schema.
    pub(crate) fn is_graphql(&self) -> bool {
        self.document().is_some()
    }

    /// Whether it is a GraphQL query: a POST that only reads.
    pub(crate) fn is_query(&self) -> bool {
        self.document().is_some_and(|document| document.starts_with("query "))
    }

    /// Whether it changes an account's own name, address, password, role or state.
    pub(crate) fn alters_account(&self) -> bool {
        if self.is_get() || self.is_login() || self.is_register() {
            return false;
        }
        let named = self.says(&[
            "password",
            "passwd",
            "email",
            "username",
            "role",
            "roles",
            "profile",
            "me",
            "pin",
            "mfa",
            "2fa",
            "suspend",
            "suspension",
            "ban",
            "block",
            "activate",
            "promote",
            "permissions",
            "settings",
        ]);
        let user_object = matches!(self.method.as_str(), "PUT" | "PATCH" | "DELETE")
            && matches!(
                self.noun().as_str(),
                "user" | "account" | "member" | "customer" | "employee" | "person"
            );
        named || user_object
    }

    /// Members of the body, by name; those of its only member where that is an object (`{"user": {…}}`).
    pub(crate) fn body_members(&self) -> Vec<(String, &Value)> {
        let Some(properties) = self.body.as_ref().and_then(|body| body.schema.get("properties")) else {
            return Vec::new();
        };
        let mut members = properties.as_object();
        if let Some(all) = members.filter(|all| all.len() == 1)
            && let Some(inner) = all.values().next().and_then(|only| only.get("properties"))
        {
            members = inner.as_object();
        }
        members
            .map(|all| all.iter().map(|(name, schema)| (name.clone(), schema)).collect())
            .unwrap_or_default()
    }

    fn has_password(&self) -> bool {
        self.body_members().iter().any(|(name, _)| words::is_password(name))
    }

    fn has_login_name(&self) -> bool {
        self.body_members().iter().any(|(name, _)| words::is_login_name(name))
    }

    /// Whether it gives a token or a session for a name and a password.
    pub(crate) fn is_login(&self) -> bool {
        // A session is created by logging in, an account is not.
        let named =
            self.says(&["login", "signin", "authenticate", "token", "session", "sessions", "tokens", "sign"]);
        let about_account = self.says(&["create"])
            || matches!(self.noun().as_str(), "user" | "account" | "member" | "customer");
        self.method == "POST"
            && self.has_password()
            && self.has_login_name()
            && (named || self.says(&["auth"]) && !about_account)
            && !self.says(&["register", "signup", "up", "reset", "forgot", "change", "registration"])
    }

    /// Whether it opens an account.
    pub(crate) fn is_register(&self) -> bool {
        self.method == "POST"
            && self.has_password()
            && self.has_login_name()
            && !self.path.contains('{')
            && !self.path_says(&["admin", "login", "reset", "forgot", "change"])
            && (self.says(&["register", "signup", "registration", "join"])
                || matches!(self.noun().as_str(), "user" | "account" | "member" | "customer"))
    }

    /// Whether it asks for a way to set a forgotten password.
    pub(crate) fn is_reset_request(&self) -> bool {
        self.method == "POST"
            && !self.has_password()
            && self.has_login_name()
            && (self.says(&["forgot", "forgotten", "recover"])
                || (self.says(&["reset"]) && self.says(&["password"])))
    }

    /// Whether it sets a password with a code.
    pub(crate) fn is_reset_confirm(&self) -> bool {
        self.method == "POST"
            && self.has_password()
            && self.reset_code().is_some()
            && self.says(&["reset", "recover", "forgot", "confirm"])
    }

    /// The member of the body that takes the reset code.
    pub(crate) fn reset_code(&self) -> Option<String> {
        let members = self.body_members();
        let code = members.iter().find(|(name, _)| words::has(name, &["pin", "code", "otp", "token"]));
        code.map(|(name, _)| name.clone())
    }

    /// Every place where a value of this call can be changed: parameters of the call, and scalars of its body.
    pub(crate) fn slots(&self, call: &Call) -> Vec<Slot> {
        let mut slots = Vec::new();
        for param in &self.params {
            slots.push(Slot { place: param.place, name: param.name.clone(), schema: param.schema.clone() });
        }
        if let (Some(body), Some(value)) = (&self.body, &call.body) {
            scalars(value, &body.schema, String::new(), &mut slots, 0);
        }
        slots
    }

    /// The request that a call stands for.
    pub(crate) fn request(&self, call: &Call, base: &str) -> Request {
        let mut path = String::from(base);
        let mut rest = self.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            path.push_str(before);
            let Some((name, after)) = after.split_once('}') else { break };
            path.push_str(&encode(call.path.get(name).map_or("1", String::as_str)));
            rest = after;
        }
        path.push_str(rest);
        if path.is_empty() {
            path.push('/');
        }
        for (index, (name, value)) in call.query.iter().enumerate() {
            path.push(if index == 0 && !path.contains('?') { '?' } else { '&' });
            path.push_str(&encode(name));
            path.push('=');
            path.push_str(&encode(value));
        }
        let mut request = Request::new(&self.method, &path.replace(' ', "%20"));
        for (name, value) in &call.headers {
            request.headers.push((name.clone(), value.clone()));
        }
        if !call.cookies.is_empty() {
            let pairs: Vec<String> =
                call.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.set_header("cookie", &pairs.join("; "));
        }
        if let Some(value) = &call.body {
            let (media, content_type) = self
                .body
                .as_ref()
                .map_or((Media::Json, "application/json"), |b| (b.media, b.content_type.as_str()));
            write_body(&mut request, media, content_type, value, self.body.as_ref().map(|b| &b.schema));
        }
        request
    }
}

impl Call {
    /// The value of a slot.
    pub(crate) fn get(&self, slot: &Slot) -> Option<Value> {
        let pair = |pairs: &[(String, String)]| {
            pairs.iter().find(|(name, _)| *name == slot.name).map(|(_, value)| Value::String(value.clone()))
        };
        match slot.place {
            Place::Path => self.path.get(&slot.name).cloned().map(Value::String),
            Place::Query => pair(&self.query),
            Place::Header => pair(&self.headers),
            Place::Cookie => pair(&self.cookies),
            Place::Body => self.body.as_ref().and_then(|body| body.pointer(&slot.name)).cloned(),
        }
    }

    /// The value of a slot as text.
    pub(crate) fn text(&self, slot: &Slot) -> String {
        self.get(slot).map(|value| text(&value)).unwrap_or_default()
    }

    /// This call with another value in one slot.
    pub(crate) fn with(&self, slot: &Slot, value: Value) -> Self {
        let mut call = self.clone();
        let put = |pairs: &mut Vec<(String, String)>| {
            pairs.retain(|(name, _)| *name != slot.name);
            pairs.push((slot.name.clone(), text(&value)));
        };
        match slot.place {
            Place::Path => {
                call.path.insert(slot.name.clone(), text(&value));
            }
            Place::Query => put(&mut call.query),
            Place::Header => put(&mut call.headers),
            Place::Cookie => put(&mut call.cookies),
            Place::Body => {
                if let Some(place) = call.body.as_mut().and_then(|body| body.pointer_mut(&slot.name)) {
                    *place = value;
                }
            }
        }
        call
    }

    /// This call with further members in its body.
    pub(crate) fn with_members(&self, members: &serde_json::Map<String, Value>) -> Self {
        let mut call = self.clone();
        call.body.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(object) = call.members_mut() {
            for (name, value) in members {
                object.insert(name.clone(), value.clone());
            }
        }
        call
    }

    /// Members of the body as [`Operation::body_members`] means them.
    pub(crate) fn members(&self) -> Option<&serde_json::Map<String, Value>> {
        let all = self.body.as_ref()?.as_object()?;
        Some(only(all).and_then(|name| all.get(name)?.as_object()).unwrap_or(all))
    }

    /// The same, to be changed.
    pub(crate) fn members_mut(&mut self) -> Option<&mut serde_json::Map<String, Value>> {
        let all = self.body.as_mut()?.as_object_mut()?;
        match only(all).map(str::to_owned) {
            Some(name) => all.get_mut(&name)?.as_object_mut(),
            None => Some(all),
        }
    }
}

/// The name of the only member, where that is an object.
fn only(members: &serde_json::Map<String, Value>) -> Option<&str> {
    let (name, value) = members.iter().next().filter(|_| members.len() == 1)?;
    value.is_object().then_some(name.as_str())
}

/// Whether a segment is a version: `v1`, `V2`, `v1.3`.
pub(crate) fn is_version(segment: &str) -> bool {
    let rest = segment.strip_prefix(['v', 'V']).unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// A scalar as text, as it stands in a path or a query.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Percent-encodes everything but unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}

fn scalars(value: &Value, schema: &Value, pointer: String, slots: &mut Vec<Slot>, depth: usize) {
    if depth > 4 || slots.len() > 60 {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let inner = schema.get("properties").and_then(|all| all.get(name)).unwrap_or(&Value::Null);
                let escaped = name.replace('~', "~0").replace('/', "~1");
                scalars(member, inner, format!("{pointer}/{escaped}"), slots, depth + 1);
            }
        }
        Value::Array(items) => {
            if let Some(first) = items.first() {
                let inner = schema.get("items").unwrap_or(&Value::Null);
                scalars(first, inner, format!("{pointer}/0"), slots, depth + 1);
            }
        }
        _ => {
            let mut schema = schema.clone();
            if !schema.is_object() {
                let kind = match value {
                    Value::Number(_) => "number",
                    Value::Bool(_) => "boolean",
                    _ => "string",
                };
                schema = serde_json::json!({ "type": kind });
            }
            slots.push(Slot { place: Place::Body, name: pointer, schema });
        }
    }
}

const BOUNDARY: &str = "portcullis-5f0c1e7d";

/// Writes a value as a body of a media type.
pub(crate) fn write_body(
    request: &mut Request,
    media: Media,
    content_type: &str,
    value: &Value,
    schema: Option<&Value>,
) {
    let members = || value.as_object().into_iter().flatten();
    request.body = match media {
        Media::Json => value.to_string().into_bytes(),
        Media::Form => {
            let pairs = members().map(|(name, value)| format!("{}={}", encode(name), encode(&text(value))));
            pairs.collect::<Vec<_>>().join("&").into_bytes()
        }
        Media::Multipart => {
            let mut out = String::new();
            for (name, value) in members() {
                let property = schema.and_then(|s| s.get("properties")).and_then(|all| all.get(name));
                let binary = property.and_then(|p| p.get("format")).and_then(Value::as_str) == Some("binary");
                out.push_str(&format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\""));
                if binary {
                    let file = value.get("filename").and_then(Value::as_str).unwrap_or("portcullis.png");
                    let kind = value.get("type").and_then(Value::as_str).unwrap_or("image/png");
                    let content = value.get("content").map_or_else(|| text(value), text);
                    out.push_str(&format!(
                        "; filename=\"{file}\"\r\ncontent-type: {kind}\r\n\r\n{content}\r\n"
                    ));
                } else {
                    out.push_str(&format!("\r\n\r\n{}\r\n", text(value)));
                }
            }
            out.push_str(&format!("--{BOUNDARY}--\r\n"));
            out.into_bytes()
        }
        Media::Xml => match value {
            Value::String(text) => text.clone().into_bytes(),
            other => format!("<?xml version=\"1.0\"?>{}", xml("root", other)).into_bytes(),
        },
        Media::Other => text(value).into_bytes(),
    };
    let content_type = match media {
        Media::Multipart => format!("multipart/form-data; boundary={BOUNDARY}"),
        Media::Form => "application/x-www-form-urlencoded".to_owned(),
        _ => content_type.to_owned(),
    };
    request.set_header("content-type", &content_type);
}

fn xml(name: &str, value: &Value) -> String {
    let inner = match value {
        Value::Object(members) => members.iter().map(|(name, value)| xml(name, value)).collect(),
        Value::Array(items) => items.iter().map(|item| xml("item", item)).collect(),
        other => text(other).replace('&', "&amp;").replace('<', "&lt;"),
    };
    format!("<{name}>{inner}</{name}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_whole_list_is_never_called() {
        let mut api = Api::default();
        for (method, path) in [
            ("PATCH", "/todos"),
            ("GET", "/todos"),
            ("PATCH", "/todos/{id}"),
            ("DELETE", "/me"),
            ("PUT", "/todos/{id}/tags"),
        ] {
            api.operations.push(operation(method, path));
        }
        api.mark_on_all();
        let never = api.operations.iter().filter(|op| op.danger() == Danger::Never).map(Operation::label);
        assert_eq!(never.collect::<Vec<_>>(), ["PATCH /todos"]);
    }

    fn operation(method: &str, path: &str) -> Operation {
        Operation {
            method: method.into(),
            path: path.into(),
            id: None,
            words: String::new(),
            deprecated: false,
            params: Vec::new(),
            body: None,
            answers: Vec::new(),
            auth: Auth::Unsaid,
            own_auth: false,
            on_all: false,
            schemes: Vec::new(),
        }
    }

    #[test]
    fn danger_is_in_the_path_as_well() {
        for (method, path, danger) in [
            ("GET", "/users", Danger::Read),
            ("GET", "/logout", Danger::Session),
            ("GET", "/createdb", Danger::Never),
            ("POST", "/admin/reset", Danger::Never),
            ("POST", "/reset-password", Danger::Write),
            ("POST", "/admin/delete_account/{id}", Danger::Delete),
            ("DELETE", "/orders/{id}", Danger::Delete),
            ("POST", "/orders", Danger::Write),
        ] {
            assert_eq!(operation(method, path).danger(), danger, "{method} {path}");
        }
    }

    #[test]
    fn members_may_stand_in_an_envelope() {
        let mut call = Call { body: Some(serde_json::json!({ "user": { "name": "a" } })), ..Call::default() };
        call = call.with_members(&serde_json::Map::from_iter([("role".to_owned(), Value::from("x"))]));
        assert_eq!(call.body, Some(serde_json::json!({ "user": { "name": "a", "role": "x" } })));
        let plain = Call { body: Some(serde_json::json!({ "a": 1 })), ..Call::default() };
        assert!(plain.members().is_some_and(|members| members.contains_key("a")));
    }

    #[test]
    fn a_call_becomes_a_request() {
        let mut call = Call::default();
        call.path.insert("id".into(), "a/b'".into());
        call.query.push(("q".into(), "x y".into()));
        let request = operation("GET", "/v1/things/{id}").request(&call, "/base");
        assert_eq!(request.target, "/base/v1/things/a%2Fb%27?q=x%20y");
        assert_eq!(operation("GET", "/v1/things/{id}").noun(), "thing");
    }
}
