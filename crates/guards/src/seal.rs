//! Identifiers that nobody else can write down.
//!
//! **What it does.** Seals the ids of objects on their way out: what a client gets is a text that was made for this
//! caller and this kind of object. On the way in it is opened again, in the path, the query and the body. Whatever was
//! not sealed for this caller is not there (404): another's id, a guessed one, one from a leaked list. The API sees and
//! says its own ids as before, and its contract stays as it is.
//!
//! **The attack.** A user changes the id in a call and reads, changes or deletes what belongs to somebody else.
//! OWASP API1:2023; CWE-639, CWE-340.
//!
//! ```yaml
//! seal:
//!   ids:
//!     order: orderId                       # wherever something is called so, in requests and answers
//!     user: [userId, owner_id]
//! policies:
//!   - match: { operation: [getOrder, createOrder] }
//!     seal: { ids: { order: [orderId, /id] } }           # a JSON pointer into bodies
//!   - match: { operation: listOrders }
//!     seal: { ids: { order: [orderId, /items/*/id] } }
//! ```
//!
//! By `ids` stand, for each kind of object, names and places. A name (`orderId`) means path and query parameters, form
//! fields and members at any depth, written in any case and with or without `_` and `-`. A JSON pointer (`/items/*/id`)
//! means the bodies of requests and answers; `path.NAME`, `query.NAME`, `header.NAME` and `body./pointer` mean requests
//! alone. Arrays are looked into. Links are sealed too: `Location`, `Content-Location` and `Link` fields, and texts in
//! bodies that are a URL of this API, wherever an operation of the contract has such a parameter.
//!
//! Nothing else has to be set. The key is the gateway's own, kept in its data folder; `keys: NAME` takes a ring of
//! `data_keys`, which can be turned: what an old key sealed still opens. An id is sealed the same way every time, so that
//! clients can compare and keep it. Where users are known to the API alone, `by: header.Authorization` (or
//! `cookie.NAME`) takes its session for the user, as in `provenance`.
//!
//! Only JSON answers are sealed. In others the API's own ids show, and lead nowhere.

mod ids;
mod links;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, MediaType, Role, Stage, Verdict,
};
use portcullis_identity::DataKeys;
use portcullis_openapi::{
    BodyLimits, Direction, Edit, Found, In, LenientName, Operation, Security, Selector,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::config::escape;
use crate::media::{is_opaque, keep_private};
use crate::place::{PathParameter, Place};
use crate::policies::OneOrMany;
use crate::protection::{CompileCx, Fault, Part, Protection};
use crate::rewrite::{self, Unwritten, Values, quoted, readings};
use crate::who::{Who, is_session};

use ids::{Plain, Reader};
pub(crate) use links::{InUrl, Table};
use links::{Links, Spot};

codes! {
    OBJECT_NOT_SEALED = "object-not-sealed" 404 Api1 639 High
        "there is no such object"
        attack "Somebody counts ids up, or uses one that they saw elsewhere, to reach what is not theirs."
        client "Use ids exactly as this API gave them to you."
        operator "The record's reason says where it stood. If clients come by ids in another way, name where in `seal.ids`; ids that were given out before sealing began have to be fetched anew.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Seal;

/// Identifiers that are sealed for their reader.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "SealGuard")]
pub(crate) struct Config {
    /// By kind of object: names (`orderId`), JSON pointers (`/items/*/id`) and places in requests (`path.id`).
    ids: BTreeMap<Box<str>, OneOrMany>,
    /// Where the API's own session stands, where it is what tells users apart: `header.NAME` or `cookie.NAME`.
    /// Default: the principal that was proved here.
    by: Option<Place>,
    /// A ring of `data_keys`. Default: the gateway's own key.
    keys: Option<String>,
}

impl Protection for Seal {
    const NAME: &'static str = "seal";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let (Some((index, operation)), Some(contract)) = (cx.operation, cx.contract) else {
            return Ok(Vec::new());
        };
        for capture in &operation.captures {
            cx.provides("path parameter", capture);
        }
        if config.ids.is_empty() {
            return Ok(Vec::new());
        }
        if !is_session(config.by.as_ref()) {
            return Err(Fault::new("/by", "expected `header.NAME` or `cookie.NAME`"));
        }
        let ring = match &config.keys {
            Some(name) => cx.rings.get(name, "/keys")?,
            None => cx.rings.own.clone().ok_or_else(|| Fault::new("", "there is no key to seal with"))?,
        };
        let places = Places::of(config, cx, operation)?;
        if !places.path.is_empty() && config.by.is_none() && is_open(cx, operation) {
            let message = "anyone may call this operation, so there is nobody to seal ids for; turn `seal` off for it, or say `by`";
            return Err(Fault::new("", message));
        }
        let numeric = |name: &str, location: In| {
            let parameter = operation.parameters.iter().find(|p| p.location == location && *p.name == *name);
            parameter.is_some_and(|parameter| {
                let is = contract.outline(parameter.schema, Direction::Request, 0).is;
                is.starts_with("integer") || is.starts_with("number")
            })
        };
        let spot = |kind: &Arc<str>, name: &str, location| Spot {
            kind: Arc::clone(kind),
            numeric: numeric(name, location),
        };
        let in_url = InUrl {
            path: places.path.iter().map(|(p, name, kind)| (*p, spot(kind, name, In::Path))).collect(),
            query: places
                .query
                .iter()
                .map(|(n, name, kind)| (n.clone(), spot(kind, name, In::Query)))
                .collect(),
        };
        if !in_url.is_empty() {
            cx.shared.sealed_in(index, in_url);
        }
        let uploads = operation
            .body
            .as_ref()
            .is_some_and(|body| body.content.iter().any(|media| !media.range.may_be_structured()));
        let ids = Arc::new(Ids {
            links: Links { contract: Arc::clone(contract), table: Arc::clone(&cx.shared.sealed) },
            ring,
            by: config.by.clone(),
            limits: BodyLimits { depth: cx.bounds.json_depth, values: cx.bounds.json_values },
            places,
            uploads,
        });
        Ok(vec![
            Part::new(Stage::Authorize, Opening(Arc::clone(&ids))),
            // Behind all who look at the API's own ids.
            Part::new(Stage::Shape, Sealing(ids)),
        ])
    }
}

/// Whether the operation can be called without a credential.
fn is_open(cx: &CompileCx<'_>, operation: &Operation) -> bool {
    cx.public
        || match &operation.security {
            Security::AnyOf(any) => any.iter().any(|needed| needed.all_of.is_empty()) || any.is_empty(),
            Security::Absent => false,
        }
}

/// Where ids stand in the calls of an operation. Tags of the selectors are indexes of `kinds`.
#[derive(Debug)]
struct Places {
    kinds: Vec<Arc<str>>,
    path: Vec<(PathParameter, Box<str>, Arc<str>)>,
    query: Vec<(LenientName, Box<str>, Arc<str>)>,
    headers: Vec<(HeaderName, Arc<str>)>,
    request: Selector,
    response: Selector,
}

impl Places {
    fn of(config: &Config, cx: &CompileCx<'_>, operation: &Operation) -> Result<Places, Fault> {
        let mut places = Places {
            kinds: Vec::new(),
            path: Vec::new(),
            query: Vec::new(),
            headers: Vec::new(),
            request: Selector::new(),
            response: Selector::new(),
        };
        for (tag, (kind, texts)) in config.ids.iter().enumerate() {
            let pointer = format!("/ids/{}", escape(kind));
            let wrong = |message: String| Fault::new(pointer.clone(), message);
            let kind: Arc<str> = (&**kind).into();
            for text in texts.each() {
                places.add(text, tag, &kind, &pointer, cx, operation).map_err(wrong)?;
            }
            places.kinds.push(kind);
        }
        places.request.texts();
        places.response.texts();
        Ok(places)
    }

    fn add(
        &mut self,
        text: &str,
        tag: usize,
        kind: &Arc<str>,
        pointer: &str,
        cx: &CompileCx<'_>,
        operation: &Operation,
    ) -> Result<(), String> {
        let both = |places: &mut Places| {
            places
                .request
                .add(text, tag)
                .and_then(|()| places.response.add(text, tag))
                .map_err(|e| e.to_string())
        };
        if text.starts_with('/') {
            return both(self);
        }
        let known = ["path.", "query.", "header.", "cookie.", "body."];
        if !known.iter().any(|part| text.starts_with(part)) {
            let name = LenientName::new(text);
            for capture in operation.captures.iter().filter(|capture| name.is(capture)) {
                let parameter = PathParameter::of(cx, capture).ok_or("the path has no such parameter")?;
                self.path.push((parameter, capture.clone(), Arc::clone(kind)));
            }
            self.query.push((name, text.into(), Arc::clone(kind)));
            return both(self);
        }
        match text.parse()? {
            Place::Path(name) => {
                // A section may be about many operations, of which some have the parameter.
                cx.asks_for("path parameter", &name, pointer);
                if let Some(parameter) = PathParameter::of(cx, &name) {
                    self.path.push((parameter, name, Arc::clone(kind)));
                }
            }
            Place::Query(name) => self.query.push((LenientName::new(&name), name, Arc::clone(kind))),
            Place::Header(name) => {
                cx.protect_header(&name);
                self.headers.push((name, Arc::clone(kind)));
            }
            Place::Cookie(_) => return Err(
                "ids in cookies are the API's own session; expected `path.`, `query.`, `header.` or `body.`"
                    .into(),
            ),
            Place::Body(_) => {
                let pointer = text.strip_prefix("body.").unwrap_or_default();
                self.request.add(pointer, tag).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn kind(&self, tag: usize) -> &str {
        self.kinds.get(tag).map_or("", |kind| kind)
    }

    /// The kind of the query or form parameter `name`.
    fn parameter(&self, name: &str) -> Option<&Arc<str>> {
        let reads = |known: &LenientName| readings(name).any(|reading| known.is(reading)) || known.is(name);
        self.query.iter().find(|(known, ..)| reads(known)).map(|(.., kind)| kind)
    }
}

/// What both guards share.
#[derive(Debug)]
struct Ids {
    places: Places,
    links: Links,
    ring: Arc<DataKeys>,
    by: Option<Place>,
    limits: BodyLimits,
    /// The contract describes bodies without structure, such as pictures: they may pass unread.
    uploads: bool,
}

impl Ids {
    fn reader(&self, cx: &Cx<'_>) -> Reader<'_> {
        Reader::new(&self.ring, Who::known(self.by.as_ref(), cx).as_ref())
    }
}

/// Where an id stood that was not sealed for the caller.
type Refused = String;

fn refuse(place: &str) -> Verdict {
    Denial::new(&OBJECT_NOT_SEALED, format!("{place}: not sealed for this caller")).into()
}

/// Opens what was sealed.
#[derive(Debug)]
struct Opening(Arc<Ids>);

impl Opening {
    fn head(&self, cx: &mut Cx<'_>) -> Result<(), Refused> {
        let places = &self.0.places;
        let mut reader = self.0.reader(cx);
        for (parameter, name, kind) in &places.path {
            let refused = || format!("path.{name}");
            let sealed = String::from_utf8(parameter.value(cx.request)).map_err(|_| refused())?;
            let plain = reader.open_list(kind, &sealed).ok_or_else(refused)?;
            if cx.enforcing {
                let index = parameter.index(cx.request).ok_or_else(refused)?;
                cx.request.set_param(index, &plain).map_err(|_| refused())?;
            }
        }
        let query = rewrite::pairs(cx.request.query().unwrap_or_default(), |name, value| {
            let Some(kind) = places.parameter(name).filter(|_| !value.is_empty()) else { return Ok(None) };
            reader.open_list(kind, value).map(Some).ok_or_else(|| format!("query.{name}"))
        })?;
        if let Some(query) = query.filter(|_| cx.enforcing) {
            cx.request.set_query(&query);
        }
        for (name, kind) in &places.headers {
            let Some(value) = cx.request.headers.get(name) else { continue };
            let plain = value.to_str().ok().and_then(|value| reader.open_list(kind, value.trim()));
            let plain = plain.and_then(|plain| HeaderValue::try_from(plain).ok());
            let plain = plain.ok_or_else(|| format!("header.{name}"))?;
            if cx.enforcing {
                cx.request.headers.insert(name.clone(), plain);
            }
        }
        Ok(())
    }
}

/// Opens the ids of a body.
struct OpeningValues<'a> {
    ids: &'a Ids,
    reader: Reader<'a>,
    authority: &'a str,
}

impl Values for OpeningValues<'_> {
    type Refused = Refused;

    fn json(&mut self, found: Found<'_>) -> Result<Edit, Refused> {
        if found.is_container() {
            return Ok(Edit::Inside);
        }
        let text = found.text();
        let Some(tag) = found.tag else {
            let text = text.unwrap_or_default();
            let opened = self.ids.links.rewrite(&text, self.authority, &mut |spot, sealed| {
                let opened = self.reader.open_list(&spot.kind, sealed);
                opened.map(Some).ok_or_else(|| format!("a link to a `{}`", spot.kind))
            })?;
            return Ok(opened.map_or(Edit::Keep, |url| Edit::Replace(quoted(&url))));
        };
        if found.token == "null" || text.as_deref() == Some("") {
            return Ok(Edit::Keep);
        }
        let kind = self.ids.places.kind(tag);
        let opened = text.and_then(|text| self.reader.open(kind, &text));
        opened.map(|plain| Edit::Replace(plain.token())).ok_or_else(|| format!("a `{kind}` in the body"))
    }

    fn text(&mut self, tag: usize, text: &str) -> Result<String, Refused> {
        let kind = self.ids.places.kind(tag);
        self.reader.open_list(kind, text).ok_or_else(|| format!("a `{kind}` in the body"))
    }
}

impl Guard for Opening {
    fn role(&self) -> Role {
        Role::ComparesObjects
    }

    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, request_body: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if cx.enforcing {
            // Of a part of a document nobody knows which ids are in it.
            cx.request.headers.remove(header::RANGE);
        }
        Ok(self.head(cx).map_or_else(|place| refuse(&place), |()| Verdict::Pass))
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        if self.0.uploads && is_opaque(cx.request) { BodyNeed::Nothing } else { BodyNeed::Bytes }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let bytes = body.bytes();
        if bytes.is_empty() {
            return Ok(Verdict::Pass);
        }
        let content_type = body.content_type().map_or("", |media| media.text);
        let authority = cx.request.authority.to_str().unwrap_or_default();
        let mut values = OpeningValues { ids: &self.0, reader: self.0.reader(cx), authority };
        match rewrite::body(bytes, content_type, &self.0.places.request, self.0.limits, &mut values) {
            Ok(Some(opened)) => cx.replace_body(opened.into()),
            Ok(None) => {}
            Err(Unwritten::Refused(place)) => return Ok(refuse(&place)),
            Err(Unwritten::Foreign(tag)) => {
                let kind = self.0.places.kind(tag);
                return Ok(refuse(&format!("a `{kind}` in a body of a form that is not opened")));
            }
            Err(Unwritten::Malformed(why)) => {
                return Ok(refuse(&format!("a body that is malformed ({why})")));
            }
        }
        Ok(Verdict::Pass)
    }
}

/// Seals what goes out.
#[derive(Debug)]
struct Sealing(Arc<Ids>);

impl Sealing {
    fn link(
        &self,
        reader: &mut Reader<'_>,
        authority: &str,
        url: &str,
    ) -> Result<Option<String>, GuardError> {
        self.0.links.rewrite(url, authority, &mut |spot, plain| {
            let plain = Plain { number: spot.numeric, text: plain.into() };
            reader.seal(&spot.kind, &plain).map(Some)
        })
    }

    /// `<URL>; rel="next", <URL>; rel="prev"` (RFC 8288).
    fn links(
        &self,
        reader: &mut Reader<'_>,
        authority: &str,
        field: &str,
    ) -> Result<Option<String>, GuardError> {
        let mut out = String::with_capacity(field.len());
        let mut rest = field;
        let mut changed = false;
        while let Some((before, after)) = rest.split_once('<') {
            let Some((url, tail)) = after.split_once('>') else { break };
            let sealed = self.link(reader, authority, url)?;
            changed |= sealed.is_some();
            out.push_str(before);
            out.push('<');
            out.push_str(sealed.as_deref().unwrap_or(url));
            out.push('>');
            rest = tail;
        }
        out.push_str(rest);
        Ok(changed.then_some(out))
    }
}

impl Guard for Sealing {
    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, response_body: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let mut reader = self.0.reader(cx);
        let authority = cx.request.authority.to_str().unwrap_or_default();
        let Some(response) = cx.response.as_deref_mut().filter(|_| cx.enforcing && !cx.local_reply) else {
            return Ok(Verdict::Pass);
        };
        if !reader.is_known() {
            return Ok(Verdict::Pass);
        }
        // The ids in it are one reader's.
        if !response.status.is_redirection() {
            keep_private(&mut response.headers);
        }
        for name in [header::LOCATION, header::CONTENT_LOCATION, header::LINK] {
            let mut sealed = Vec::new();
            for value in response.headers.get_all(&name) {
                let new = match value.to_str() {
                    Ok(text) if name == header::LINK => self.links(&mut reader, authority, text)?,
                    Ok(text) => self.link(&mut reader, authority, text)?,
                    Err(_) => None,
                };
                sealed.push(
                    new.and_then(|new| HeaderValue::try_from(new).ok()).unwrap_or_else(|| value.clone()),
                );
            }
            response.headers.remove(&name);
            for value in sealed {
                response.headers.append(name.clone(), value);
            }
        }
        Ok(Verdict::Pass)
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let field = cx.response.as_ref().and_then(|response| response.headers.get(header::CONTENT_TYPE));
        let json =
            field.and_then(|value| value.to_str().ok()).is_some_and(|text| MediaType { text }.is_json());
        if json && cx.enforcing { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let reader = self.0.reader(cx);
        if !reader.is_known() || body.bytes().is_empty() {
            return Ok(Verdict::Pass);
        }
        let authority = cx.request.authority.to_str().unwrap_or_default();
        let mut values = SealingValues { sealing: self, reader, authority };
        match rewrite::json(body.bytes(), &self.0.places.response, self.0.limits, &mut values) {
            Ok(Some(sealed)) => cx.replace_body(sealed.into()),
            Err(Unwritten::Refused(error)) => return Err(error),
            // What is no JSON goes as it is: an id that nobody sealed leads nowhere.
            Ok(None) | Err(_) => {}
        }
        Ok(Verdict::Pass)
    }
}

/// Seals the ids of a body.
struct SealingValues<'a> {
    sealing: &'a Sealing,
    reader: Reader<'a>,
    authority: &'a str,
}

impl Values for SealingValues<'_> {
    type Refused = GuardError;

    fn json(&mut self, found: Found<'_>) -> Result<Edit, GuardError> {
        if found.is_container() {
            return Ok(Edit::Inside);
        }
        let text = found.text();
        let Some(tag) = found.tag else {
            let url = self.sealing.link(&mut self.reader, self.authority, &text.unwrap_or_default())?;
            return Ok(url.map_or(Edit::Keep, |url| Edit::Replace(quoted(&url))));
        };
        let plain = match text {
            Some(text) if text.is_empty() => return Ok(Edit::Keep),
            Some(text) => Plain { number: false, text: text.into_owned() },
            None if matches!(found.token, "null" | "true" | "false") => return Ok(Edit::Keep),
            None => Plain { number: true, text: found.token.into() },
        };
        let kind = self.sealing.0.places.kind(tag);
        Ok(Edit::Replace(quoted(&self.reader.seal(kind, &plain)?)))
    }

    fn text(&mut self, tag: usize, text: &str) -> Result<String, GuardError> {
        let plain = Plain { number: false, text: text.into() };
        self.reader.seal(self.sealing.0.places.kind(tag), &plain)
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
