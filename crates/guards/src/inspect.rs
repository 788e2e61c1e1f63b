//! Attacks in what a client sends: injection of every kind, known by grammar.
//!
//! **What it does.** Every text that a client chose (path segments, query parameters, headers, cookies, the fields and
//! strings of JSON, form, multipart, XML and GraphQL bodies) is read as the interpreter would that an attack is aimed
//! at: SQL, HTML and JavaScript, shells, file paths, NoSQL operators, templates, LDAP, XPath, XML entities, header and
//! log lines, JNDI lookups, prototypes, serialised objects, addresses. What hides an attack (percent-encoding, entities,
//! base64, escapes, odd Unicode, …) is undone first. Ordinary text is left alone, whatever words it has: O'Brien, "Drop
//! Table Tennis", prose, Markdown, code. A body that is not what its content type says is refused, and so is an
//! uploaded file that is a program, the EICAR test file, or a script behind a picture's name. Archives (ZIP and what is
//! built on it, gzip, tar) are looked into: one that unpacks to more than its bounds, holds a program, a link or a file that
//! leaves its folder, or cannot be looked into, is refused.
//!
//! A value gets a score of 0 to 100; from `threshold` on (70) it is refused. `portcullis inspect VALUE` shows how a
//! value is judged, and why. What a request may cost to judge grows with its length and has an end: where the values of a
//! request take more work than any ordinary text, the request is refused as `excess`, and nothing passes unseen. A kind
//! that is off, watched or excepted hides no other: the rest of the value is judged all the same.
//!
//! **The attack.** A value becomes code: it reads the database, runs in another user's browser, starts a program.
//! OWASP API8:2023, API7:2023; CWE-74 and its kin (each code names its own).
//!
//! ```yaml
//! inspect:
//!   threshold: 70
//!   classes: { ssrf: monitor, xpath: off }
//! policies:
//!   - match: { operation: createArticle }
//!     inspect:
//!       except:
//!         - { field: /body/html, classes: [xss], reason: editors write HTML, until: 2027-06-30 }
//! ```
//!
//! A scanner for malware that speaks ICAP (RFC 3507) is asked about every file that is fine by itself:
//! `icap: { url: "icap://127.0.0.1:1344/avscan" }`. No answer is a refusal.
//!
//! A field is named as a finding names it: a parameter's or header's name, or the members that lead to a string of a
//! document (`/order/comment`; indices are left out). An exception ends at the end of the day that `until` names.
//!
//! What the contract says of a field counts. Where `validate` holds a value to a number, a date, a UUID, an address of the
//! internet protocol, values of a list, or a `pattern` of letters and digits from `^` to `$`, nothing is left to find and
//! nobody looks. Where it only watches, and in fields of the formats `email` and `hostname`, a score of 50 is enough:
//! neither prose nor code has a reason to be there.

mod fields;
mod icap;
mod uploads;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use portcullis_engine::{Body, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, Stage, Verdict};
use portcullis_inspect::leaves::{self, Format, Leaf};
use portcullis_inspect::{Budget, Class, Classes, SUSPICIOUS, inspect_within};
use schemars::JsonSchema;
use serde::Deserialize;
use time::Date;
use time::macros::format_description;

pub(crate) use self::fields::Held;
use self::fields::{Fields, Judged};
use self::uploads::{Archives, Icap, Uploads};
use crate::codes::codes;
use crate::media::is_opaque;
use crate::policies::GuardMode;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    INSPECT_SQL = "inspect-sql" 403 Api8 89 High
        "a value carries SQL"
        attack "SQL injection: the value leaves its place in a statement, and reads or changes what it likes."
        client "Send the value as plain text; if it is plain text, report the reference to the API's operator."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_XSS = "inspect-xss" 403 Api8 79 High
        "a value carries markup or script"
        attack "Cross-site scripting: another user's browser runs what the value says."
        client "Send the value as plain text; if it is plain text, report the reference to the API's operator."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_COMMAND = "inspect-command" 403 Api8 78 High
        "a value carries a command"
        attack "Command injection: a shell on the server runs what the value says."
        client "Send the value as plain text; if it is plain text, report the reference to the API's operator."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_PATH = "inspect-path" 403 Api8 22 High
        "a value climbs out of its folder"
        attack "Path traversal: the server reads or writes a file that nobody meant to offer."
        client "Name files without `..` and absolute paths."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_NOSQL = "inspect-nosql" 403 Api8 943 High
        "a value carries an operator of a database"
        attack "NoSQL injection: an operator where a value should stand matches every document."
        client "Send plain values."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_TEMPLATE = "inspect-template" 403 Api8 1336 High
        "a value carries a template's expression"
        attack "Template injection: the engine that renders the value runs it."
        client "Send the value as plain text."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_CODE = "inspect-code" 403 Api8 94 High
        "a value carries code"
        attack "Code injection: an interpreter on the server runs the value."
        client "Send the value as plain text."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_LDAP = "inspect-ldap" 403 Api8 90 High
        "a value carries an LDAP filter"
        attack "LDAP injection: the filter matches whom it should not."
        client "Send the value as plain text."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_XPATH = "inspect-xpath" 403 Api8 643 High
        "a value carries an XPath expression"
        attack "XPath injection: the query reads other parts of the document."
        client "Send the value as plain text."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_XML = "inspect-xml" 403 Api8 611 High
        "XML declares entities or includes documents"
        attack "External entities read files and reach servers inside; nested ones use up memory."
        client "Send XML without a document type."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_CRLF = "inspect-crlf" 403 Api8 93 Medium
        "a value carries a line of a header, log or mail"
        attack "A line break in a value starts a header field, a log line or a mail command of the attacker's."
        client "Send the value on one line."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_JNDI = "inspect-jndi" 403 Api8 917 High
        "a value carries a lookup"
        attack "A logging library resolves the lookup and loads code from the attacker's server."
        client "Send the value as plain text."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_PROTOTYPE = "inspect-prototype" 403 Api8 1321 High
        "a name reaches an object's prototype"
        attack "Prototype pollution: every object of the program gets a property of the attacker's."
        client "Leave the name out."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_DESERIALIZATION = "inspect-deserialization" 403 Api8 502 High
        "a value is a serialised object"
        attack "Reading the object back runs code that it names."
        client "Send plain data."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_SSRF = "inspect-ssrf" 403 Api7 918 High
        "a URL leads inside"
        attack "Server-side request forgery: the API fetches what only it can reach."
        client "Send URLs of public servers."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_SSI = "inspect-ssi" 403 Api8 97 High
        "a value carries a server-side include"
        attack "The server that delivers the value runs the directive."
        client "Send the value as plain text."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_EXCESS = "inspect-excess" 403 Api4 400 Medium
        "a request is made to be costly to judge"
        attack "Denial of service: repetitions of what inspection has to look at twice use up the server's time."
        client "Send ordinary values; if they are ordinary, report the reference to the API's operator."
        operator "`portcullis inspect VALUE` explains the verdict; an `except` of the `inspect` guard lets a field through.";
    INSPECT_UPLOAD = "inspect-upload" 403 Api8 434 High
        "a file is not what it says it is, or is harmful"
        attack "A program or script behind a harmless name is run by the server or by who downloads it."
        client "Send the kind of file that the API documents."
        operator "Set `inspect.uploads` to `monitor` where such files are wanted.";
    INSPECT_MALFORMED = "inspect-malformed" 400 Api8 436 Medium
        "a body is not what its content type says"
        attack "What one parser refuses another reads differently: the attack is in the difference."
        client "Send a well-formed body."
        operator "Set `inspect.malformed` to `monitor` where clients cannot be corrected.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Inspect;

/// Attacks in what a client sends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "InspectGuard")]
pub(crate) struct Config {
    /// From which score on, of 100, a value is refused.
    threshold: u8,
    /// Kinds of attack with a mode of their own, by name (`sql`, `xss`, `command`, …).
    classes: BTreeMap<String, GuardMode>,
    /// Multipart and XML bodies that are not what their content type says; for JSON see `validate.body`.
    malformed: GuardMode,
    /// Uploaded files that are programs, scripts, not what they say, or archives out of bounds.
    uploads: GuardMode,
    /// Bodies that are a file as a whole (declared as a picture, an archive, bytes of no known kind) are read up to the
    /// bound of bodies and judged as uploads; otherwise they stream past.
    whole_files: bool,
    /// How archives are looked into.
    archives: Archives,
    /// A scanner for malware that is asked about every uploaded file.
    icap: Option<Icap>,
    /// Fields of which some attacks are expected.
    except: Vec<Except>,
}

/// A field of which some attacks are expected.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Except {
    /// The field, as a finding names it.
    field: String,
    /// The kinds of attack; all where none is named.
    #[serde(default)]
    classes: Vec<String>,
    /// Why.
    reason: String,
    /// The last day on which it holds, such as `2027-06-30`.
    until: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            threshold: portcullis_inspect::ATTACK,
            classes: BTreeMap::new(),
            malformed: GuardMode::Enforce,
            uploads: GuardMode::Enforce,
            whole_files: false,
            archives: Archives::default(),
            icap: None,
            except: Vec::new(),
        }
    }
}

impl Protection for Inspect {
    const NAME: &'static str = "inspect";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        if cx.operation.is_none() && cx.contract.is_some() {
            // Refused by the contract already.
            return Ok(Vec::new());
        }
        if config.threshold > 100 {
            return Err(Fault::new("/threshold", "expected a score of at most 100"));
        }
        portcullis_inspect::prepare();
        let mut modes = [GuardMode::Enforce; Class::ALL.len()];
        for (name, mode) in &config.classes {
            let class = class(name, "/classes")?;
            if let Some(place) = modes.get_mut(class as usize) {
                *place = *mode;
            }
        }
        let mut exceptions = Vec::new();
        for (index, except) in config.except.iter().enumerate() {
            let at = format!("/except/{index}");
            if except.reason.trim().is_empty() {
                return Err(Fault::new(format!("{at}/reason"), "expected a reason, for who reads this next"));
            }
            let classes: Result<Vec<Class>, Fault> =
                except.classes.iter().map(|name| class(name, &format!("{at}/classes"))).collect();
            let until = except
                .until
                .as_deref()
                .map(|text| {
                    last_moment(text).ok_or_else(|| {
                        Fault::new(format!("{at}/until"), "expected a day, such as `2027-06-30`")
                    })
                })
                .transpose()?;
            exceptions.push(Exception {
                field: except.field.as_str().into(),
                classes: classes?.into(),
                until,
            });
        }
        let fields = match (cx.contract, cx.operation) {
            (Some(contract), Some((_, operation))) => Fields::of(contract, operation, cx.held()),
            _ => Fields::default(),
        };
        let rules = Rules {
            threshold: config.threshold,
            fields,
            modes,
            malformed: config.malformed,
            uploads: Uploads::of(config.uploads, &config.archives, config.icap.as_ref())?,
            whole_files: config.whole_files,
            exceptions,
        };
        Ok(vec![Part::new(Stage::Inspect, rules)])
    }
}

/// The class with `name`.
fn class(name: &str, pointer: &str) -> Result<Class, Fault> {
    Class::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| {
        let known: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
        Fault::new(pointer, format!("there is no kind of attack `{name}`; there are: {}", known.join(", ")))
    })
}

/// Seconds since the Unix epoch at which the day `text` ends.
fn last_moment(text: &str) -> Option<u64> {
    let day = Date::parse(text.trim(), format_description!("[year]-[month]-[day]")).ok()?;
    u64::try_from(day.next_day()?.midnight().assume_utc().unix_timestamp()).ok()
}

#[derive(Debug)]
struct Exception {
    field: Box<str>,
    /// Empty: all.
    classes: Box<[Class]>,
    /// Seconds since the Unix epoch.
    until: Option<u64>,
}

#[derive(Debug)]
struct Rules {
    threshold: u8,
    fields: Fields,
    modes: [GuardMode; Class::ALL.len()],
    malformed: GuardMode,
    uploads: Uploads,
    whole_files: bool,
    exceptions: Vec<Exception>,
}

/// A search through the leaves of a request's head or of its body.
struct Search {
    /// Seconds since the Unix epoch.
    now: u64,
    /// How many bytes are searched.
    bytes: usize,
    /// The work that they may cost together.
    budget: Budget,
    found: Vec<Found>,
}

impl Search {
    fn of(bytes: usize, cx: &Cx<'_>) -> Search {
        Search { now: cx.now.unix_ns / 1_000_000_000, bytes, budget: Budget::of(bytes), found: Vec::new() }
    }
}

/// Something that was found, and whether it is refused.
struct Found {
    code: &'static Code,
    reason: String,
    enforced: bool,
}

impl Rules {
    /// Judges one leaf; what is to be refused ends the search.
    fn judge(&self, leaf: &Leaf<'_>, json: bool, search: &mut Search) -> ControlFlow<()> {
        let threshold = match self.fields.judged(leaf, json) {
            Judged::No => return ControlFlow::Continue(()),
            Judged::Strictly => self.threshold.min(SUSPICIOUS),
            Judged::Freely => self.threshold,
        };
        let mut passed = Classes::default();
        // An attack that passes here must not hide one of another kind behind it: without its kind the value is judged
        // again.
        loop {
            let verdict = inspect_within(&leaf.bytes, leaf.place, passed, &mut search.budget);
            let Some(verdict) = verdict.filter(|verdict| verdict.score >= threshold) else {
                return ControlFlow::Continue(());
            };
            let mode = self.modes.get(verdict.class as usize).copied().unwrap_or(GuardMode::Enforce);
            let name = leaf.name.to_string();
            let excepted = mode == GuardMode::Off || self.excepts(&name, verdict.class, search.now);
            if !excepted {
                // The reason says where and what, never the value: it may be a secret, and it may be an attack on who
                // reads it.
                search.found.push(Found {
                    code: code_of(verdict.class),
                    reason: format!("`{name}`: {verdict}"),
                    enforced: mode == GuardMode::Enforce,
                });
                if mode == GuardMode::Enforce {
                    return ControlFlow::Break(());
                }
            }
            // Whoever lets costly values pass pays for them.
            search.budget = Budget::of(search.bytes);
            if verdict.class == Class::Excess || !passed.insert(verdict.class) {
                return ControlFlow::Continue(());
            }
        }
    }

    fn excepts(&self, name: &str, class: Class, now: u64) -> bool {
        self.exceptions.iter().any(|exception| {
            &*exception.field == name
                && (exception.classes.is_empty() || exception.classes.contains(&class))
                && exception.until.is_none_or(|until| now < until)
        })
    }

    /// Notes what was only watched, and answers what is refused.
    fn answer(found: Vec<Found>, cx: &mut Cx<'_>) -> Verdict {
        for found in found {
            if found.enforced {
                return Denial::new(found.code, found.reason).into();
            }
            cx.find(found.code, found.reason);
        }
        Verdict::Pass
    }
}

/// The files of a multipart body.
fn files<'a>(body: &'a [u8], content_type: &str) -> Vec<leaves::Part<'a>> {
    let parts = leaves::boundary(content_type).and_then(|boundary| leaves::parts(body, boundary).ok());
    let mut parts = parts.unwrap_or_default();
    parts.retain(|part| part.filename.is_some());
    parts
}

/// A body that is a file as a whole.
fn whole_file<'a>(body: &'a [u8], content_type: &'a str) -> leaves::Part<'a> {
    leaves::Part {
        name: b"body",
        filename: None,
        extended: false,
        content_type: Some(content_type.as_bytes()),
        encoding: None,
        content: body,
    }
}

impl Guard for Rules {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, request_body: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let fields = cx.request.headers.iter().map(|(_, value)| value.as_bytes().len());
        let query = cx.request.query().map_or(0, str::len);
        let mut search = Search::of(cx.request.path().len() + query + fields.sum::<usize>(), cx);
        let mut ended = false;
        let mut visit = |leaf: Leaf<'_>| {
            if ended {
                return ControlFlow::Break(());
            }
            let flow = self.judge(&leaf, false, &mut search);
            ended = flow.is_break();
            flow
        };
        leaves::path(cx.request.path().as_bytes(), &mut visit);
        if let Some(query) = cx.request.query() {
            leaves::query(query.as_bytes(), &mut visit);
        }
        for (name, value) in &cx.request.headers {
            leaves::header(name.as_str(), value.as_bytes(), &mut visit);
        }
        Ok(Rules::answer(search.found, cx))
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let reads = !is_opaque(cx.request) || self.whole_files && self.uploads.looks();
        if reads { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let bytes = body.bytes();
        let mut search = Search::of(bytes.len(), cx);
        if bytes.is_empty() {
            return Ok(Verdict::Pass);
        }
        let content_type = body.content_type();
        let (essence, text) = content_type.map_or(("", ""), |media| (media.essence(), media.text));
        let format = Format::of(essence, bytes);
        if self.uploads.looks() {
            let files = match format {
                Format::Multipart => files(bytes, text),
                _ if self.whole_files && is_opaque(cx.request) => vec![whole_file(bytes, text)],
                _ => Vec::new(),
            };
            if let Some(verdict) = self.uploads.judge(&files, cx, &mut search.found) {
                return Ok(verdict);
            }
        }
        // What only looks like JSON was not held to what the contract says of JSON.
        let json = essence.ends_with("/json") || essence.ends_with("+json");
        let read =
            leaves::body(bytes, format, text, &mut |leaf: Leaf<'_>| self.judge(&leaf, json, &mut search));
        if read.is_err() && format == Format::Json {
            // Whether broken JSON passes is the `validate` guard's business; what passes is judged as text.
            let mut visit = |leaf: Leaf<'_>| self.judge(&leaf, false, &mut search);
            let _ = leaves::body(bytes, Format::guess(bytes), text, &mut visit);
        } else if let Err(malformed) = read
            && self.malformed != GuardMode::Off
        {
            let reason = format!("expected {} at byte {}", malformed.expected, malformed.at);
            search.found.push(Found {
                code: &INSPECT_MALFORMED,
                reason,
                enforced: self.malformed == GuardMode::Enforce,
            });
        }
        Ok(Rules::answer(search.found, cx))
    }
}

/// The code of each class.
fn code_of(class: Class) -> &'static Code {
    match class {
        Class::Sql => &INSPECT_SQL,
        Class::Xss => &INSPECT_XSS,
        Class::Command => &INSPECT_COMMAND,
        Class::Path => &INSPECT_PATH,
        Class::NoSql => &INSPECT_NOSQL,
        Class::Template => &INSPECT_TEMPLATE,
        Class::Code => &INSPECT_CODE,
        Class::Ldap => &INSPECT_LDAP,
        Class::XPath => &INSPECT_XPATH,
        Class::Xml => &INSPECT_XML,
        Class::Crlf => &INSPECT_CRLF,
        Class::Jndi => &INSPECT_JNDI,
        Class::Prototype => &INSPECT_PROTOTYPE,
        Class::Deserialization => &INSPECT_DESERIALIZATION,
        Class::Ssrf => &INSPECT_SSRF,
        Class::Ssi => &INSPECT_SSI,
        Class::Excess => &INSPECT_EXCESS,
    }
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
