//! Properties that the API stores and cannot read.
//!
//! **What it does.** Encrypts what `fields` names on its way to the API, in bodies, forms, the query and the path, and
//! decrypts it in answers for those who may see it. Others see it masked (`mask`), or `***`. Whoever has the API's
//! database, its logs or its backups has nothing.
//!
//! **The attack.** A stolen database, a backup, a log line, or an answer with more in it than its reader may see.
//! OWASP API3:2023, API8:2023; CWE-311, CWE-312, CWE-359.
//!
//! ```yaml
//! data_keys:
//!   cards: { keys: [{ file: card-2.key }, { file: card-1.key }] }   # the first encrypts, all decrypt
//! encrypt:
//!   keys: cards
//!   fields:
//!     cardNumber: { show: { roles: [billing] }, mask: last4 }
//!     email: { lookup: true, show: { scopes: [users:read] }, mask: email, mask_for: { roles: [support] } }
//!     /patient/diagnosis: {}
//! ```
//!
//! A field is a name (`cardNumber`), which means parameters, form fields and members at any depth, or a JSON pointer
//! (`/items/*/card`). `show` says who sees it whole: scopes (all of them), roles, groups and consumers (one of them);
//! without it, all who may call. `mask` is what others see: `last4`, `first6_last4`, `email`, `first`, or `all` (`***`),
//! which is the default. With `mask_for`, only those see the mask.
//!
//! Values are encrypted with AES-256-GCM under a key for each value (XAES-256-GCM), so that nobody can tell which are
//! alike. With `lookup: true` the same value is the same text (AES-256-GCM-SIV), and the API can look for it:
//! `GET /users?email=…` still finds. Each text is bound to its field (the last name of the pointer, or `as`), and opens
//! in no other. Whatever was no text comes back as it was written: numbers, objects.
//!
//! Keys are 32 bytes from a file, the environment or a command: `openssl rand -base64 32 > card-1.key`. To turn the ring,
//! put a new key first; what the old ones encrypted stays readable. Looking for values goes on with the key that has
//! `lookup: true`, until the old data was written anew.
//!
//! The API must take texts in these fields: 60 characters and more for a card number (45 with `lookup`). What it had
//! before stays as it is, and is shown by the same rules. Answers that are not JSON are not decrypted.

mod mask;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header;
use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, MediaType, Stage, Verdict,
};
use portcullis_identity::{Context, DataKeys, Unopened};
use portcullis_openapi::{BodyLimits, Edit, Found, LenientName, Selector};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callers::Callers;
use crate::codes::codes;
use crate::config::escape;
use crate::media::{is_opaque, keep_private};
use crate::place::PathParameter;
use crate::protection::{CompileCx, Fault, Part, Protection};
use crate::rewrite::{self, Unwritten, Values, quoted, readings};

use mask::Mask;

codes! {
    FIELD_UNREADABLE = "field-unreadable" 400 Api3 311 Medium
        "a protected value stands in a form that is not supported here"
        attack "A value is sent in a form that the gateway does not read, so that it is stored in the clear."
        client "Send the value in JSON or in a form."
        operator "The record's reason names the field. Have clients send JSON or a form, or take the operation out of `encrypt`.";
    MASK_WRITTEN = "mask-written" 409 Api3 471 Low
        "a masked value was sent back"
        attack "A client that saw a mask saves the whole object, and the mask replaces the value."
        client "Leave out what you only saw masked, or send the whole value."
        operator "Nothing: the value was kept from being lost. Let the client send only what it changes.";
    DECRYPTION_FAILED = "decryption-failed" 502 Api8 311 High
        "a value in an answer could not be decrypted"
        attack "A value was altered in the database, or moved from another field."
        client "Nothing: the value was left out."
        operator "The record's reason says whether its key is missing from the ring (bring it back) or it was altered or moved.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Encrypt;

/// Properties that are stored encrypted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "EncryptGuard")]
pub(crate) struct Config {
    /// The ring of `data_keys`.
    keys: Option<String>,
    /// By name (`cardNumber`) or JSON pointer (`/card/number`): what is encrypted.
    fields: BTreeMap<String, Field>,
}

/// A property that is stored encrypted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "EncryptedField")]
struct Field {
    /// Whether the same value is the same text, by which it can be looked for.
    lookup: bool,
    /// Who sees it whole. Default: all who may call.
    show: Option<Some_>,
    /// What others see.
    mask: Mask,
    /// Who sees the mask; others see `***`. Default: all who do not see it whole.
    mask_for: Option<Some_>,
    /// Its name, by which its values are told from those of others. Default: the last name of the pointer.
    #[serde(rename = "as")]
    named: Option<String>,
}

/// Callers that fit all of what is said of them here.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "FieldCallers")]
struct Some_ {
    /// Scopes of which the credential must carry all.
    scopes: Vec<Box<str>>,
    /// Roles of which the user must have one.
    roles: Vec<Box<str>>,
    /// Groups of which the user must be in one.
    groups: Vec<Box<str>>,
    /// Consumers of which it must be one.
    consumers: Vec<Box<str>>,
}

impl Some_ {
    fn callers(&self, pointer: &str) -> Result<Callers, Fault> {
        let callers = Callers {
            scopes: self.scopes.clone(),
            roles: self.roles.clone(),
            groups: self.groups.clone(),
            consumers: self.consumers.clone(),
            ..Callers::default()
        };
        match callers.is_everybody() {
            true => Err(Fault::new(
                pointer,
                "says nothing of whom it is for: expected `scopes`, `roles`, `groups` or `consumers`",
            )),
            false => Ok(callers),
        }
    }
}

impl Protection for Encrypt {
    const NAME: &'static str = "encrypt";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let Some((_, operation)) = cx.operation.filter(|_| !config.fields.is_empty()) else {
            return Ok(Vec::new());
        };
        if cx.fails_open() {
            return Err(Fault::new(
                "/on_error",
                "a guard that keeps values secret cannot fail open; take `on_error` out",
            ));
        }
        let Some(name) = &config.keys else {
            return Err(Fault::new("/keys", "expected a ring of `data_keys`, such as `cards`"));
        };
        let ring = cx.rings.get(name, "/keys")?;
        let mut fields = Fields {
            ring,
            fields: Vec::new(),
            path: Vec::new(),
            parameters: Vec::new(),
            selector: Selector::new(),
            limits: BodyLimits { depth: cx.bounds.json_depth, values: cx.bounds.json_values },
            uploads: operation
                .body
                .as_ref()
                .is_some_and(|body| body.content.iter().any(|media| !media.range.may_be_structured())),
        };
        for (tag, (pattern, field)) in config.fields.iter().enumerate() {
            let pointer = format!("/fields/{}", escape(pattern));
            fields
                .selector
                .add(pattern, tag)
                .map_err(|error| Fault::new(pointer.clone(), error.to_string()))?;
            let last = pattern.rsplit('/').find(|part| *part != "*").unwrap_or_default();
            let name = field.named.as_deref().unwrap_or(last);
            let callers = |some: &Option<Some_>, key: &str| {
                some.as_ref().map(|some| some.callers(&format!("{pointer}/{key}"))).transpose()
            };
            if !pattern.starts_with('/') {
                let lenient = LenientName::new(pattern);
                for capture in operation.captures.iter().filter(|capture| lenient.is(capture)) {
                    fields.path.extend(PathParameter::of(cx, capture).map(|parameter| (parameter, tag)));
                }
                // A refusal that comes before encryption records what was sent.
                let described = operation.parameters.iter().map(|parameter| &*parameter.name);
                for name in described.filter(|name| lenient.is(name)).chain([pattern.as_str()]) {
                    cx.secret_parameter(name);
                }
                fields.parameters.push((lenient, tag));
            }
            let context = Context::of(&[b"field", LenientName::new(name).as_str().as_bytes()]);
            fields.fields.push(Sealed {
                name: pattern.as_str().into(),
                context,
                lookup: field.lookup,
                show: callers(&field.show, "show")?,
                mask: field.mask,
                mask_for: callers(&field.mask_for, "mask_for")?,
            });
        }
        let fields = Arc::new(fields);
        Ok(vec![
            // Before all who look at answers.
            Part::new(Stage::Admit, Decrypting(Arc::clone(&fields))),
            // Behind all who look at requests, and at answers in the clear.
            Part::new(Stage::Shape, Encrypting(fields)),
        ])
    }
}

/// The fields of an operation. Tags of the selector are indexes of `fields`.
#[derive(Debug)]
struct Fields {
    ring: Arc<DataKeys>,
    fields: Vec<Sealed>,
    path: Vec<(PathParameter, usize)>,
    parameters: Vec<(LenientName, usize)>,
    selector: Selector,
    limits: BodyLimits,
    /// The contract describes bodies without structure, such as pictures: they may pass unread.
    uploads: bool,
}

/// One of them.
#[derive(Debug)]
struct Sealed {
    /// As the configuration writes it.
    name: Box<str>,
    context: Context,
    lookup: bool,
    show: Option<Callers>,
    mask: Mask,
    mask_for: Option<Callers>,
}

impl Sealed {
    fn is_shown(&self, cx: &Cx<'_>) -> bool {
        let principal = cx.facts.principal.as_deref();
        self.show.as_ref().is_none_or(|callers| principal.is_some_and(|principal| callers.fit(principal)))
    }

    /// What this caller sees of a value; `None` where it is all of it.
    fn masked(&self, cx: &Cx<'_>, text: Option<&str>) -> Option<String> {
        if self.is_shown(cx) {
            return None;
        }
        let principal = cx.facts.principal.as_deref();
        let part = self.mask_for.as_ref().is_none_or(|callers| principal.is_some_and(|p| callers.fit(p)));
        Some(match text {
            Some(text) if part => self.mask.of(text),
            _ => mask::ALL.to_owned(),
        })
    }
}

/// What was a text, and what was anything else in JSON.
const TEXT: u8 = b's';
const OTHER: u8 = b'j';

/// Why a request does not go on.
enum Stopped {
    Mask(Box<str>),
    Failed(GuardError),
}

/// Encrypts values, one after the other.
struct EncryptingValues<'a, 'c> {
    fields: &'a Fields,
    cx: &'a Cx<'c>,
    /// Tells the values of an exchange apart: where they stand, and how many there were before.
    part: u8,
    count: u64,
}

impl EncryptingValues<'_, '_> {
    fn encrypt(&mut self, tag: usize, form: u8, text: &str) -> Result<String, Stopped> {
        let Some(field) = self.fields.fields.get(tag) else {
            return Err(Stopped::Failed(GuardError("a field without a rule".into())));
        };
        if form == TEXT && mask::is_mask(text) && !field.is_shown(self.cx) {
            return Err(Stopped::Mask(field.name.clone()));
        }
        let plain = zeroize::Zeroizing::new([&[form], text.as_bytes()].concat());
        let encrypted = if field.lookup {
            self.fields.ring.encrypt_same(&field.context, &plain)
        } else {
            self.count += 1;
            let mut unique = self.cx.id.0.to_be_bytes().to_vec();
            unique.push(self.part);
            unique.extend_from_slice(&self.count.to_be_bytes());
            self.fields.ring.encrypt(&field.context, &unique, &plain)
        };
        encrypted.map_err(|error| Stopped::Failed(GuardError(error.to_string().into())))
    }
}

impl Values for EncryptingValues<'_, '_> {
    type Refused = Stopped;

    fn json(&mut self, found: Found<'_>) -> Result<Edit, Stopped> {
        let Some(tag) = found.tag.filter(|_| found.token != "null") else { return Ok(Edit::Keep) };
        if found.token.starts_with('[') {
            return Ok(Edit::Inside);
        }
        let encrypted = match found.text() {
            Some(text) => self.encrypt(tag, TEXT, &text)?,
            None => self.encrypt(tag, OTHER, found.token)?,
        };
        Ok(Edit::Replace(quoted(&encrypted)))
    }

    fn text(&mut self, tag: usize, text: &str) -> Result<String, Stopped> {
        self.encrypt(tag, TEXT, text)
    }
}

/// Encrypts what goes in, and masks what goes out.
#[derive(Debug)]
struct Encrypting(Arc<Fields>);

/// What a head is to say instead: path parameters by their place, and the query.
type Replaced = (Vec<(usize, String)>, Option<String>);

impl Encrypting {
    fn head(&self, cx: &Cx<'_>) -> Result<Replaced, Stopped> {
        let mut values = EncryptingValues { fields: &self.0, cx, part: b'h', count: 0 };
        let mut path = Vec::new();
        for (parameter, tag) in &self.0.path {
            let text = String::from_utf8_lossy(&parameter.value(cx.request)).into_owned();
            if let Some(index) = parameter.index(cx.request) {
                path.push((index, values.encrypt(*tag, TEXT, &text)?));
            }
        }
        let query = rewrite::pairs(cx.request.query().unwrap_or_default(), |name, value| {
            let reads =
                |known: &LenientName| readings(name).any(|reading| known.is(reading)) || known.is(name);
            match self.0.parameters.iter().find(|(known, _)| reads(known)) {
                Some((_, tag)) if !value.is_empty() => values.encrypt(*tag, TEXT, value).map(Some),
                _ => Ok(None),
            }
        })?;
        Ok((path, query))
    }

    fn stopped(stopped: Stopped) -> Result<Verdict, GuardError> {
        match stopped {
            Stopped::Mask(name) => {
                Ok(Denial::new(&MASK_WRITTEN, format!("`{name}` has a masked value")).into())
            }
            Stopped::Failed(error) => Err(error),
        }
    }
}

impl Guard for Encrypting {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, request_body: true, response_head: true, response_body: true }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let (path, query) = match self.head(cx) {
            Ok(put) => put,
            Err(why) => return Encrypting::stopped(why),
        };
        if !cx.enforcing {
            return Ok(Verdict::Pass);
        }
        // A part of a document does not show which values are in it.
        cx.request.headers.remove(header::RANGE);
        for (index, encrypted) in path {
            cx.request.set_param(index, &encrypted).map_err(|why| GuardError(why.0.into()))?;
        }
        if let Some(query) = query {
            cx.request.set_query(&query);
        }
        Ok(Verdict::Pass)
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        if self.0.uploads && is_opaque(cx.request) { BodyNeed::Nothing } else { BodyNeed::Bytes }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        if body.bytes().is_empty() {
            return Ok(Verdict::Pass);
        }
        let fields = &*self.0;
        let content_type = body.content_type().map_or("", |media| media.text);
        let mut values = EncryptingValues { fields, cx, part: b'b', count: 0 };
        let unreadable = |what: String| Ok(Denial::new(&FIELD_UNREADABLE, what).into());
        match rewrite::body(body.bytes(), content_type, &fields.selector, fields.limits, &mut values) {
            Ok(Some(encrypted)) => cx.replace_body(encrypted.into()),
            Ok(None) => {}
            Err(Unwritten::Refused(why)) => return Encrypting::stopped(why),
            Err(Unwritten::Malformed(why)) => return unreadable(format!("the body is malformed: {why}")),
            Err(Unwritten::Foreign(tag)) => {
                let name = fields.fields.get(tag).map_or("", |field| &field.name);
                return unreadable(format!("`{name}` stands in a form that is not encrypted"));
            }
        }
        Ok(Verdict::Pass)
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if let Some(response) = cx.response.as_deref_mut().filter(|_| cx.enforcing && !cx.local_reply) {
            keep_private(&mut response.headers);
        }
        Ok(Verdict::Pass)
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        if answers_json(cx) { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let fields = &*self.0;
        let masked = fields.selector.edit(body.bytes(), fields.limits, &mut |found| {
            let Some(field) = found.tag.and_then(|tag| fields.fields.get(tag)) else { return Edit::Keep };
            if found.token.starts_with('[') {
                return Edit::Inside;
            }
            let text = found.text();
            match field.masked(cx, text.as_deref()).filter(|_| found.token != "null") {
                Some(masked) => Edit::Replace(quoted(&masked)),
                // What is in an object that is shown has rules of its own.
                None if found.is_container() => Edit::Inside,
                None => Edit::Keep,
            }
        });
        match masked {
            Ok(Some(masked)) => cx.replace_body(masked.into()),
            Ok(None) => {}
            // It says that it is JSON. What cannot be read cannot be masked.
            Err(why) => {
                return Ok(Denial::new(&DECRYPTION_FAILED, format!("the answer is malformed: {why}")).into());
            }
        }
        Ok(Verdict::Pass)
    }
}

/// Decrypts what comes back.
#[derive(Debug)]
struct Decrypting(Arc<Fields>);

fn answers_json(cx: &Cx<'_>) -> bool {
    let field = cx.response.as_ref().and_then(|response| response.headers.get(header::CONTENT_TYPE));
    field.and_then(|value| value.to_str().ok()).is_some_and(|text| MediaType { text }.is_json())
}

impl Guard for Decrypting {
    fn hooks(&self) -> Hooks {
        Hooks { response_body: true, ..Hooks::default() }
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        if answers_json(cx) { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let fields = &*self.0;
        let mut failed: Option<(&str, Unopened)> = None;
        let decrypted = fields.selector.edit(body.bytes(), fields.limits, &mut |found| {
            let Some(field) = found.tag.and_then(|tag| fields.fields.get(tag)) else { return Edit::Keep };
            if found.is_container() {
                return Edit::Inside;
            }
            let Some(text) = found.text().filter(|text| DataKeys::is_encrypted(text)) else {
                return Edit::Keep;
            };
            let plain = fields.ring.decrypt(&field.context, &text);
            let plain = plain.as_deref().map_err(|why| *why).and_then(|plain| {
                let (form, plain) = plain.split_first().ok_or(Unopened::Broken)?;
                let plain = std::str::from_utf8(plain).map_err(|_| Unopened::Broken)?;
                Ok(if *form == TEXT { quoted(plain) } else { plain.to_owned() })
            });
            Edit::Replace(plain.unwrap_or_else(|why| {
                failed = Some((&field.name, why));
                "null".into()
            }))
        });
        if let Some((name, why)) = failed {
            cx.correct(&DECRYPTION_FAILED, format!("`{name}`: {why}"));
        }
        // What is no JSON is for the part that masks to refuse.
        if let Ok(Some(decrypted)) = decrypted {
            cx.replace_body(decrypted.into());
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "encrypt_tests.rs"]
mod tests;
