//! What ordinary calls show: which operation hands out sessions, what a session says of its user, and how that hangs
//! together with the objects that are asked for. A patch is made of it, and proved afterwards; a guess that is wrong is
//! found there.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_openapi::{Contract, Direction, In, Operation, Route, SchemeKind, Status};
use portcullis_watch::{RecordedBody, Recording};
use serde_json::Value;

use crate::report::Item;

/// Ordinary calls, in their order.
#[derive(Debug)]
pub(super) struct Traffic<'c> {
    contract: &'c Contract,
    calls: Vec<Call>,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// Index of the operation in the contract.
    operation: Option<usize>,
    /// Parameters and members of the body by place, such as `path.id` or `body./limit`; scalars as texts.
    pub(super) sent: Vec<(String, String)>,
    /// Places of the body whose values are written as texts.
    texts: Vec<String>,
    /// Fields, names in lower case.
    fields: Vec<(String, String)>,
    answer: Option<Value>,
    /// Whether the answer is a page with scripts of its own.
    scripts: bool,
    /// Cookies that the answer sets.
    cookies: Vec<(String, String)>,
    status: u16,
    /// Whether it came from a proof and not from a recording: what led to it was not seen.
    evidence: bool,
}

/// How sessions come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sessions {
    /// Where they are presented: `header.authorization`, `cookie.sid`.
    pub(super) by: String,
    /// Which operation hands them out, and where in its answer.
    pub(super) opens: BTreeSet<(String, String)>,
    /// Which operations end them.
    pub(super) closes: BTreeSet<String>,
}

/// Something that is known of a session's user: a claim of its token, or a member of the answer that opened it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fact {
    /// What it is called among the claims.
    pub(super) name: String,
    /// Where it stands in the answer that opened the session, if it is no claim of the token.
    pub(super) pointer: Option<String>,
}

/// An object's id was shown there: operation, and where in its answer.
pub(super) type Source = (String, String);

impl<'c> Traffic<'c> {
    pub(super) fn new(contract: &'c Contract) -> Traffic<'c> {
        Traffic { contract, calls: Vec::new() }
    }

    /// Adds what was recorded.
    pub(super) fn add(&mut self, recording: &Recording) {
        for exchange in recording.exchanges() {
            let target = String::from_utf8_lossy(&exchange.head.target).into_owned();
            let fields = exchange.head.headers.iter().map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            let fields: Vec<_> = fields.collect();
            let body = match &exchange.body {
                RecordedBody::Whole(bytes) => &bytes[..],
                RecordedBody::None | RecordedBody::Missing => b"",
            };
            let Some(response) = &exchange.response else { continue };
            let answer = match &response.body {
                RecordedBody::Whole(bytes) => &bytes[..],
                RecordedBody::None | RecordedBody::Missing => b"",
            };
            let set = response.headers.get_all(http::header::SET_COOKIE);
            let set: Vec<String> =
                set.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
            let method = exchange.head.method.as_str();
            self.push(method, &target, fields, body, response.status.as_u16(), answer, &set, false);
        }
    }

    /// Adds those exchanges of a proof that show what its object's owner may do: all by another than the last one,
    /// which is the attack.
    pub(super) fn add_evidence(&mut self, item: &Item) {
        let exchanges = &item.evidence.exchanges;
        let Some(attack) = exchanges.last() else { return };
        for exchange in exchanges.iter().filter(|one| one.identity != attack.identity) {
            let Some(response) = &exchange.response else { continue };
            let url = &exchange.request.url;
            let start = url.find("://").map_or(0, |at| at + 3);
            let target = url.get(start..).and_then(|rest| Some(rest.get(rest.find('/')?..)?.to_owned()));
            let fields = exchange.request.headers.iter();
            let fields = fields.map(|field| (field.name.to_ascii_lowercase(), field.value.clone())).collect();
            let text = |body: &Option<crate::report::Body>| body.as_ref().map(|body| body.text.clone());
            let (sent, answer) = (text(&exchange.request.body), text(&response.body));
            self.push(
                &exchange.request.method,
                &target.unwrap_or_default(),
                fields,
                sent.unwrap_or_default().as_bytes(),
                response.status,
                answer.unwrap_or_default().as_bytes(),
                &[],
                true,
            );
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an exchange, from two models")]
    fn push(
        &mut self,
        method: &str,
        target: &str,
        fields: Vec<(String, String)>,
        body: &[u8],
        status: u16,
        answer: &[u8],
        set: &[String],
        evidence: bool,
    ) {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut call = Call { fields, status, evidence, ..Call::default() };
        if let Route::Found { operation, captures } = self.contract.route(method, path, query) {
            call.operation = Some(operation);
            let names = self.contract.operations().get(operation).map_or(&[][..], |one| &one.captures);
            for (name, raw) in names.iter().zip(&captures) {
                call.sent.push((format!("path.{name}"), decode(raw, false)));
            }
        }
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            call.sent.push((format!("query.{}", decode(name, true)), decode(value, true)));
        }
        if let Ok(document) = serde_json::from_slice::<Value>(body) {
            each_leaf(&document, "", &mut |at, value| {
                if value.is_string() {
                    call.texts.push(format!("body.{at}"));
                }
            });
            call.sent.extend(leaves(&document).into_iter().map(|(at, text)| (format!("body.{at}"), text)));
        }
        call.answer = serde_json::from_slice(answer).ok();
        call.scripts = call.answer.is_none() && String::from_utf8_lossy(answer).contains("<script");
        for cookie in set {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                call.cookies.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        self.calls.push(call);
    }

    /// Calls of an operation that went through.
    fn of<'t>(&'t self, label: &str) -> impl Iterator<Item = (usize, &'t Call)> {
        let wanted = self.contract.operations().iter().position(|one| one.label() == label);
        self.calls
            .iter()
            .enumerate()
            .filter(move |(_, call)| wanted.is_some() && call.operation == wanted && call.status < 400)
    }

    /// Whether the operation was called, outside of proofs.
    pub(super) fn uses(&self, label: &str) -> bool {
        self.count(label) > 0
    }

    /// How often the operation was called, outside of proofs.
    pub(super) fn count(&self, label: &str) -> usize {
        self.of(label).filter(|(_, call)| !call.evidence).count()
    }

    /// Whether ordinary answers of the operation are pages with scripts of their own.
    pub(super) fn has_scripts(&self, label: &str) -> bool {
        self.of(label).any(|(_, call)| !call.evidence && call.scripts)
    }

    /// The values that stood at a place of an operation.
    pub(super) fn values<'t>(&'t self, label: &str, place: &str) -> Vec<&'t str> {
        let sent = self.of(label).filter(|(_, call)| !call.evidence).flat_map(|(_, call)| &call.sent);
        sent.filter(|(at, _)| at == place).map(|(_, value)| value.as_str()).collect()
    }

    /// The members that the bodies of all ordinary calls have, outside of arrays.
    pub(super) fn always<'t>(&'t self, label: &str) -> BTreeSet<&'t str> {
        let mut calls = self.of(label).filter(|(_, call)| !call.evidence).map(|(_, call)| {
            let places = call.sent.iter().map(|(at, _)| at.as_str());
            places.filter(|at| at.starts_with("body./") && !at.contains('*')).collect::<BTreeSet<_>>()
        });
        let first = calls.next().unwrap_or_default();
        calls.fold(first, |all, one| all.intersection(&one).copied().collect())
    }

    /// Whether ordinary calls write the values at a place as texts, even where they are made of digits.
    pub(super) fn has_texts(&self, label: &str, place: &str) -> bool {
        self.of(label).any(|(_, call)| !call.evidence && call.texts.iter().any(|at| at == place))
    }

    fn label(&self, call: &Call) -> Option<String> {
        self.contract.operations().get(call.operation?).map(Operation::label)
    }

    /// Where the contract and the calls present sessions.
    fn places(&self) -> BTreeSet<String> {
        let mut places = BTreeSet::from(["header.authorization".to_owned()]);
        for scheme in self.contract.security_schemes() {
            match &scheme.kind {
                SchemeKind::ApiKey { location: In::Header, name } => {
                    places.insert(format!("header.{}", name.to_ascii_lowercase()));
                }
                SchemeKind::ApiKey { location: In::Cookie, name } => {
                    places.insert(format!("cookie.{name}"));
                }
                _ => {}
            }
        }
        for call in &self.calls {
            places.extend(call.cookies.iter().map(|(name, _)| format!("cookie.{name}")));
        }
        places
    }

    /// How sessions come and go: what is presented was in an answer before. Where nothing was recorded, what the
    /// contract says of its log-in.
    pub(super) fn sessions(&self) -> Option<Sessions> {
        let mut best: Option<(usize, Sessions)> = None;
        for by in self.places() {
            let mut opens = BTreeSet::new();
            let (mut explained, mut unexplained) = (0, 0);
            for (at, call) in
                self.calls.iter().enumerate().filter(|(_, call)| !call.evidence && call.status < 400)
            {
                let Some(session) = call.presented(&by) else { continue };
                match self.opened(at, session) {
                    Some((opener, pointer)) => {
                        explained += 1;
                        opens.extend(
                            self.calls
                                .get(opener)
                                .and_then(|call| self.label(call))
                                .map(|label| (label, pointer)),
                        );
                    }
                    None => unexplained += 1,
                }
            }
            let better = best.as_ref().is_none_or(|(count, _)| *count < explained);
            // A session that came from elsewhere would be refused.
            if explained > 0 && unexplained == 0 && better {
                best = Some((explained, Sessions { by, opens, closes: self.closers() }));
            }
        }
        best.map(|(_, sessions)| sessions).or_else(|| self.described())
    }

    /// The call before `at` whose answer held `session`, and where.
    fn opened(&self, at: usize, session: &str) -> Option<(usize, String)> {
        let before = self.calls.get(..at).unwrap_or_default().iter().enumerate().rev();
        before.filter(|(_, call)| call.status < 400).find_map(|(index, call)| {
            let found = call.answer.as_ref().map(leaves).unwrap_or_default();
            let member = found.into_iter().find(|(_, text)| bare(text) == session).map(|(at, _)| at);
            let place = member.or_else(|| {
                let cookie = call.cookies.iter().find(|(_, value)| value == session);
                cookie.map(|(name, _)| format!("cookie.{name}"))
            })?;
            Some((index, place))
        })
    }

    fn closers(&self) -> BTreeSet<String> {
        let named = |operation: &&Operation| {
            let last = operation.path.rsplit('/').find(|part| !part.starts_with('{')).unwrap_or_default();
            let last: String = last.chars().filter(char::is_ascii_alphanumeric).collect();
            matches!(last.to_ascii_lowercase().as_str(), "logout" | "signout" | "logoff")
        };
        self.contract.operations().iter().filter(named).map(Operation::label).collect()
    }

    /// What the contract says of its log-in: a POST that takes a password and answers with a token.
    fn described(&self) -> Option<Sessions> {
        let mut opens = BTreeSet::new();
        for operation in self.contract.operations() {
            let takes = operation.body.iter().flat_map(|body| &body.content).filter_map(|media| media.schema);
            let password = takes.into_iter().any(|schema| {
                let outline = self.contract.outline(schema, Direction::Request, 3);
                outline.parts.iter().any(|part| plain(&part.name).contains("password"))
            });
            if operation.method.as_str() != "POST" || !password {
                continue;
            }
            let answers = operation
                .responses
                .iter()
                .filter(|one| matches!(one.status, Status::Exact(200..=299) | Status::Class(2)));
            for schema in answers.flat_map(|one| &one.content).filter_map(|media| media.schema) {
                let outline = self.contract.outline(schema, Direction::Response, 4);
                let mut found = Vec::new();
                tokens(&outline.parts, "", &mut found);
                opens.extend(found.into_iter().map(|pointer| (operation.label(), pointer)));
            }
        }
        let by = "header.authorization".to_owned();
        (!opens.is_empty()).then(|| Sessions { by, opens, closes: self.closers() })
    }

    /// What is known of the user of a call, with its values.
    fn facts(&self, at: usize, call: &Call, by: &str) -> BTreeMap<Fact, String> {
        let mut facts = BTreeMap::new();
        let Some(session) = call.presented(by) else { return facts };
        for (pointer, text) in payload(session).as_ref().map(leaves).unwrap_or_default() {
            let name = pointer.trim_start_matches('/').to_owned();
            if !name.contains(['/', '*']) {
                facts.insert(Fact { name, pointer: None }, text);
            }
        }
        if let Some((opener, _)) = self.opened(at, session).filter(|_| !call.evidence) {
            let answer = self.calls.get(opener).and_then(|call| call.answer.as_ref());
            for (pointer, text) in answer.map(leaves).unwrap_or_default() {
                let name = pointer.rsplit('/').next().unwrap_or_default().to_owned();
                let known = facts.keys().any(|fact: &Fact| fact.name == name);
                if !pointer.contains('*') && !known && bare(&text) != session {
                    facts.insert(Fact { name, pointer: Some(pointer) }, text);
                }
            }
        }
        facts
    }

    /// The facts of their user that `pick` finds in every ordinary call of the operation; those of the token first.
    fn common(
        &self,
        label: &str,
        by: &str,
        pick: impl Fn(&Call) -> Vec<(String, String)>,
    ) -> Vec<(String, Fact)> {
        let mut common: Option<BTreeSet<(String, Fact)>> = None;
        for (at, call) in self.of(label) {
            let facts = self.facts(at, call, by);
            if facts.is_empty() {
                continue;
            }
            let mut here = BTreeSet::new();
            for (place, value) in pick(call) {
                let same = facts.iter().filter(|(_, known)| **known == value && !value.is_empty());
                here.extend(same.map(|(fact, _)| (place.clone(), fact.clone())));
            }
            common = Some(match common {
                None => here,
                Some(before) => before.intersection(&here).cloned().collect(),
            });
        }
        let mut common: Vec<_> = common.unwrap_or_default().into_iter().collect();
        common.sort_by_key(|(place, fact)| {
            (fact.pointer.is_some(), place.matches('/').count(), fact.name.len())
        });
        common
    }

    /// Parameters of the operation that named the caller in every ordinary call, and by which fact.
    pub(super) fn bound(&self, label: &str, by: &str) -> Vec<(String, Fact)> {
        self.common(label, by, |call| {
            call.sent.iter().filter(|(place, _)| names_one(place)).cloned().collect()
        })
    }

    /// Members of the answer that named the caller in every ordinary call.
    pub(super) fn owned(&self, label: &str, by: &str) -> Vec<(String, Fact)> {
        self.common(label, by, |call| call.answer.as_ref().map(leaves).unwrap_or_default())
    }

    /// Where callers came by the value of a parameter: sources that explain every ordinary call.
    pub(super) fn sources(&self, label: &str, place: &str, by: &str) -> Option<BTreeSet<Source>> {
        let mut sources = BTreeSet::new();
        let mut any = false;
        for (at, call) in self.of(label).filter(|(_, call)| !call.evidence) {
            let Some((_, value)) = call.sent.iter().find(|(name, _)| name == place) else { continue };
            let session = call.presented(by)?;
            let before = self.calls.get(..at).unwrap_or_default();
            let known = before.iter().filter(|one| one.status < 400 && one.presented(by) == Some(session));
            let found: Vec<Source> = known
                .filter_map(|one| {
                    let shown = one.answer.as_ref().map(leaves).unwrap_or_default();
                    let pointer =
                        shown.into_iter().find(|(at, text)| text == value && shows_one(at, place))?.0;
                    Some((self.label(one)?, pointer))
                })
                .collect();
            if found.is_empty() {
                return None;
            }
            sources.extend(found);
            any = true;
        }
        any.then_some(sources)
    }

    /// Roles that callers of the operation had in every ordinary call, and that not every user has: names of claims that
    /// are true, or texts of claims whose name speaks of roles.
    pub(super) fn roles(&self, label: &str, by: &str) -> Vec<(Fact, String)> {
        let role = |fact: &Fact, value: &str| {
            let name = plain(&fact.name);
            let speaks =
                name.contains("role") || name.contains("admin") || name == "scope" || name == "group";
            match value {
                "true" => Some(fact.name.clone()),
                "false" | "0" | "1" | "" => None,
                text if speaks => Some(text.to_owned()),
                _ => None,
            }
        };
        let roles_of = |at: usize, call: &Call| -> BTreeSet<(Fact, String)> {
            let facts = self.facts(at, call, by);
            facts.into_iter().filter_map(|(fact, value)| Some((fact.clone(), role(&fact, &value)?))).collect()
        };
        let everyone: Vec<BTreeSet<_>> = self
            .calls
            .iter()
            .enumerate()
            .filter(|(_, call)| call.presented(by).is_some())
            .map(|(at, call)| roles_of(at, call))
            .collect();
        let some = |one: &(Fact, String)| everyone.iter().any(|roles| !roles.contains(one));
        let callers: Vec<BTreeSet<_>> =
            self.of(label).filter(|(_, call)| !call.evidence).map(|(at, call)| roles_of(at, call)).collect();
        let candidates: BTreeSet<(Fact, String)> = match callers.split_first() {
            Some((first, rest)) => {
                first.iter().filter(|one| rest.iter().all(|roles| roles.contains(*one))).cloned().collect()
            }
            // Nobody ordinary called it: whoever has what speaks of administration.
            None => {
                let all = everyone.iter().flatten().cloned();
                all.filter(|(fact, role)| {
                    plain(&fact.name).contains("admin") || plain(role).contains("admin")
                })
                .collect()
            }
        };
        let mut roles: Vec<_> = candidates.into_iter().filter(some).collect();
        roles.sort_by_key(|(fact, role)| {
            !(plain(&fact.name).contains("admin") || plain(role).contains("admin"))
        });
        roles
    }

    /// Claims of any session whose name speaks of administration, such as `is_admin`, whatever their value.
    pub(super) fn admin_claims(&self, by: &str) -> BTreeSet<Fact> {
        let facts = self.calls.iter().enumerate().flat_map(|(at, call)| self.facts(at, call, by));
        facts
            .filter(|(fact, value)| {
                plain(&fact.name).contains("admin") && matches!(value.as_str(), "true" | "false")
            })
            .map(|(fact, _)| fact)
            .collect()
    }
}

impl Call {
    /// The session that stands at `by`, without the scheme.
    fn presented(&self, by: &str) -> Option<&str> {
        let field = |wanted: &str| {
            self.fields
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.as_str())
        };
        let session = match by.split_once('.')? {
            ("header", name) => bare(field(name)?),
            ("cookie", name) => field("cookie")?
                .split(';')
                .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))?,
            _ => return None,
        };
        (!session.is_empty()).then_some(session)
    }
}

fn bare(value: &str) -> &str {
    let value = value.trim();
    value.split_once(' ').map_or(value, |(_, rest)| rest.trim())
}

/// Letters and digits in lower case: `Owner-ID` is `ownerid`.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a place may name a user or an object: not a switch, a page or an amount.
fn names_one(place: &str) -> bool {
    let name = plain(place.rsplit(['.', '/']).next().unwrap_or_default());
    place.starts_with("path.")
        || ["id", "user", "name", "account", "owner", "customer", "email", "number"]
            .iter()
            .any(|word| name.contains(word))
}

/// Whether a member of an answer may be the id that a parameter takes: a number alone means nothing.
fn shows_one(pointer: &str, place: &str) -> bool {
    let last = plain(pointer.rsplit('/').next().unwrap_or_default());
    let wanted = plain(place.rsplit(['.', '/']).next().unwrap_or_default());
    last == wanted || last == "id" || last.ends_with("id") || wanted.ends_with(&last) && last.len() > 2
}

/// Names that log-ins give to what they hand out.
fn tokens(parts: &[portcullis_openapi::Outline], at: &str, found: &mut Vec<String>) {
    const NAMES: [&str; 9] = [
        "token",
        "accesstoken",
        "authtoken",
        "jwt",
        "idtoken",
        "sessionid",
        "session",
        "sessiontoken",
        "bearertoken",
    ];
    for part in parts {
        let here = format!("{at}/{}", part.name);
        if NAMES.contains(&plain(&part.name).as_str()) && part.parts.is_empty() {
            found.push(here);
        } else {
            tokens(&part.parts, &here, found);
        }
    }
}

/// The claims of a JSON Web Token, unverified.
fn payload(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()
}

/// Scalars of a document as texts, with their pointers; `*` is every element.
pub(super) fn leaves(document: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    each_leaf(document, "", &mut |at, value| {
        if out.len() < MOST_LEAVES {
            out.push((at.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    });
    out
}

/// What is kept of a document: one of millions says no more than its beginning. Items of an array that are looked at.
const MOST_LEAVES: usize = 5000;
const ITEMS: usize = 500;

fn each_leaf(value: &Value, at: &str, visit: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                each_leaf(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), visit);
            }
        }
        Value::Array(items) => {
            items.iter().take(ITEMS).for_each(|item| each_leaf(item, &format!("{at}/*"), visit));
        }
        Value::Null => {}
        leaf => visit(at, leaf),
    }
}

/// Undoes percent-encoding; `+` is a space in a query.
fn decode(text: &str, query: bool) -> String {
    let text = if query { text.replace('+', " ") } else { text.to_owned() };
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
