//! One thing that was found: what, where, how sure, the proof, and what to do.

use std::fmt::{self, Write};

use portcullis_engine::Owasp;
use serde::{Deserialize, Serialize};

/// One finding.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    /// The stable code of the rule or check, such as `bola-read`; never renamed.
    pub(crate) code: String,
    /// What is wrong, in a few words, with the name of what it is about.
    pub(crate) title: String,
    /// What is wrong, in sentences.
    pub(crate) detail: String,
    /// The category of the OWASP API Security Top 10, edition 2023.
    #[serde(with = "owasp")]
    pub(crate) owasp: Owasp,
    /// The Common Weakness Enumeration's number.
    pub(crate) cwe: u16,
    /// How bad.
    pub(crate) severity: Severity,
    /// How sure.
    pub(crate) confidence: Confidence,
    /// Where: the place itself first, then what else it affects.
    pub(crate) places: Vec<Place>,
    /// The proof.
    pub(crate) evidence: Evidence,
    /// How to fix it in the API.
    pub(crate) fix: String,
    /// How Portcullis closes it, where it can.
    pub(crate) patch: Option<Patch>,
    /// Points of the score that fixing it gives.
    pub(crate) points: Option<f64>,
    /// What is the same finding in two runs: see [`Item::fingerprint_of`].
    pub(crate) fingerprint: String,
    /// Whether it is new.
    pub(crate) state: State,
}

impl Item {
    /// The fingerprint of a finding: the same as long as its code and `key` are. The key names what it is about
    /// by what lasts (operation, parameter, schema), never by line numbers, values or times.
    pub(crate) fn fingerprint_of(code: &str, key: &str) -> String {
        // FNV-1a, 128 bits: stable over versions and machines; nobody gains by a collision.
        let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
        for byte in code.bytes().chain([0]).chain(key.bytes()) {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
        format!("{hash:032x}")
    }

    /// Where it is, in a few words.
    pub(crate) fn place(&self) -> String {
        self.places.first().map(Place::to_string).unwrap_or_default()
    }

    /// A shell script that shows it again, where there are requests. Secrets are shell variables.
    pub(crate) fn script(&self) -> Option<String> {
        if self.evidence.script.is_some() {
            return self.evidence.script.clone();
        }
        if self.evidence.exchanges.is_empty() {
            return None;
        }
        let mut script = String::new();
        for exchange in &self.evidence.exchanges {
            if !exchange.label.is_empty() {
                let label: String =
                    exchange.label.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                let _ = writeln!(script, "# {label}");
            }
            let command = exchange.request.curl();
            let _ = match exchange.times {
                0 | 1 => writeln!(script, "{command}"),
                times => writeln!(script, "for _ in $(seq {times}); do\n{command}\ndone"),
            };
        }
        Some(script)
    }
}

/// How bad.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Worth knowing.
    Info,
    /// A weakness that needs others to be of use.
    Low,
    /// A weakness that helps an attack.
    Medium,
    /// An attack works, or nearly.
    High,
    /// An attack works, for anyone, at great cost to the owner.
    Critical,
}

impl Severity {
    /// All, the worst first.
    pub(crate) const ALL: [Severity; 5] =
        [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<portcullis_engine::Severity> for Severity {
    fn from(severity: portcullis_engine::Severity) -> Severity {
        match severity {
            portcullis_engine::Severity::Info => Severity::Info,
            portcullis_engine::Severity::Low => Severity::Low,
            portcullis_engine::Severity::Medium => Severity::Medium,
            portcullis_engine::Severity::High => Severity::High,
        }
    }
}

/// How sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confidence {
    /// Something points at it, nothing proves it.
    Suspected,
    /// The evidence has another explanation that is less likely.
    Likely,
    /// The evidence proves it.
    Confirmed,
}

impl Confidence {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Confidence::Suspected => "suspected",
            Confidence::Likely => "likely",
            Confidence::Confirmed => "confirmed",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether an item was known before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It is new.
    #[default]
    New,
    /// The baseline has it.
    Known,
    /// The ignore file accepts it.
    Ignored {
        /// Why.
        reason: String,
        /// Until which day, as `2026-12-31`.
        until: String,
    },
}

/// A place in a file, an operation, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// `METHOD /path`, where it is about an operation.
    pub(crate) operation: Option<String>,
    /// What inside: `query limit`, `/components/schemas/User`, a package's name and version.
    pub(crate) part: Option<String>,
    /// The file's path as the user gave it.
    pub(crate) file: Option<String>,
    /// From 1; 0 where it is not known.
    pub(crate) line: u32,
    /// In characters, from 1; 0 where it is not known.
    pub(crate) column: u32,
}

impl Place {
    /// An operation, `METHOD /path`.
    pub(crate) fn operation(operation: impl Into<String>) -> Place {
        Place { operation: Some(operation.into()), ..Place::default() }
    }

    /// `file:line:column`, as editors understand it.
    pub(crate) fn in_file(&self) -> Option<String> {
        let file = self.file.as_deref()?;
        Some(match (self.line, self.column) {
            (0, _) => file.to_owned(),
            (line, 0) => format!("{file}:{line}"),
            (line, column) => format!("{file}:{line}:{column}"),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.operation.clone(), self.part.clone(), self.in_file()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join("  "))
    }
}

/// Why it is so.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// Why what follows proves it, in sentences.
    pub(crate) proof: String,
    /// The exchanges, in the order in which they were made.
    pub(crate) exchanges: Vec<Exchange>,
    /// Lines of a file or other text that shows it.
    pub(crate) excerpt: Option<String>,
    /// A shell script that repeats it from nothing, and says whether it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<String>,
    /// What the script is made from.
    #[serde(skip)]
    pub(crate) reproduction: Option<Box<super::reproduce::Reproduction>>,
}

/// A request that was sent, and what came back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// What it is for: `bob reads alice's order`.
    pub(crate) label: String,
    /// Who sent it; empty for nobody in particular.
    pub(crate) identity: String,
    /// The request.
    pub(crate) request: Request,
    /// The answer; absent where none came.
    pub(crate) response: Option<Response>,
    /// What a sound API would have answered.
    pub(crate) expected: String,
    /// When it was sent, in milliseconds since 1970.
    pub(crate) sent: i64,
    /// Milliseconds until the answer had been read.
    pub(crate) millis: f64,
    /// How often in a row it was sent, where the answer shown is the last one's.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub(crate) times: u32,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_once(times: &u32) -> bool {
    *times == 1
}

/// A request as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The method.
    pub(crate) method: String,
    /// The whole URL.
    pub(crate) url: String,
    /// The fields, without those that every client adds by itself (`Host`, `Content-Length`).
    pub(crate) headers: Vec<Header>,
    /// The body.
    pub(crate) body: Option<Body>,
}

/// An answer as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// The fields.
    pub(crate) headers: Vec<Header>,
    /// The body.
    pub(crate) body: Option<Body>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
}

impl Header {
    /// A field.
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>) -> Header {
        Header { name: name.into(), value: value.into() }
    }
}

/// A body, or what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    /// Its text, or its base64 text.
    pub(crate) text: String,
    /// Whether [`Body::text`] is base64.
    pub(crate) base64: bool,
    /// How many bytes the whole had.
    pub(crate) bytes: usize,
}

impl Body {
    /// Bytes of a body that are kept at most.
    pub(crate) const KEPT: usize = 64 << 10;

    /// A body, cut to [`Body::KEPT`] bytes; text where it is UTF-8.
    pub(crate) fn of(bytes: &[u8]) -> Option<Body> {
        Self::of_at_most(bytes, Self::KEPT)
    }

    /// A body, cut to so many bytes.
    pub(crate) fn of_at_most(bytes: &[u8], most: usize) -> Option<Body> {
        if bytes.is_empty() {
            return None;
        }
        let kept = bytes.get(..most).unwrap_or(bytes);
        let text = match std::str::from_utf8(kept) {
            Ok(text) => Some(text),
            // A character that the cut went through.
            Err(error) if kept.len() < bytes.len() && kept.len() - error.valid_up_to() < 4 => {
                kept.get(..error.valid_up_to()).and_then(|whole| std::str::from_utf8(whole).ok())
            }
            Err(_) => None,
        };
        Some(match text {
            Some(text) if !text.contains('\0') => {
                Body { text: text.to_owned(), base64: false, bytes: bytes.len() }
            }
            _ => Body { text: base64(kept), base64: true, bytes: bytes.len() },
        })
    }

    /// Whether something of it was left out.
    pub(crate) fn is_cut(&self) -> bool {
        self.bytes > Self::KEPT
    }

    /// As a person reads it.
    pub(crate) fn shown(&self) -> String {
        let kind = if self.base64 { "base64 of " } else { "" };
        match (self.base64, self.is_cut()) {
            (false, false) => self.text.clone(),
            (_, cut) => {
                let mark = if cut { ", cut" } else { "" };
                format!("{}\n[{kind}{} bytes{mark}]", self.text, self.bytes)
            }
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit) & 63) as usize;
            let filled = digit <= chunk.len();
            out.push(ALPHABET.get(index).filter(|_| filled).map_or('=', |byte| char::from(*byte)));
        }
    }
    out
}

impl Request {
    /// The request as text: request line, fields, body.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.url);
        push_rest(&mut text, &self.headers, self.body.as_ref());
        text
    }

    /// A cURL command that sends it again; marks of secrets become shell variables.
    pub(crate) fn curl(&self) -> String {
        self.curl_with("", &quoted)
    }

    /// The same with more options, and with another way to quote texts.
    pub(super) fn curl_with(&self, options: &str, quoted: &dyn Fn(&str) -> String) -> String {
        let mut command = format!("curl -sS -i --path-as-is {options}");
        command.truncate(command.trim_end().len());
        let has_body = self.body.is_some();
        match self.method.as_str() {
            "GET" if !has_body => {}
            "HEAD" => command.push_str(" --head"),
            "POST" if has_body => {}
            method => {
                let _ = write!(command, " -X {}", quoted(method));
            }
        }
        for header in &self.headers {
            // `Name;` is how cURL sends a field without a value.
            let field = match header.value.is_empty() {
                true => format!("{};", header.name),
                false => format!("{}: {}", header.name, header.value),
            };
            let _ = write!(command, " \\\n  -H {}", quoted(&field));
        }
        let typed = self.headers.iter().any(|header| header.name.eq_ignore_ascii_case("content-type"));
        let mut before = String::new();
        if let Some(body) = &self.body {
            if !typed {
                command.push_str(" \\\n  -H 'Content-Type:'");
            }
            if body.base64 {
                before = format!("printf %s {} | base64 -d | ", quoted(&body.text));
                command.push_str(" \\\n  --data-binary @-");
            } else {
                let _ = write!(command, " \\\n  --data-raw {}", quoted(&body.text));
            }
        }
        // `-g`: brackets and braces of a URL are no pattern.
        let _ = write!(command, " \\\n  -g {}", quoted(&self.url));
        format!("{before}{command}")
    }
}

impl Response {
    /// The answer as text: status, fields, body.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.status);
        push_rest(&mut text, &self.headers, self.body.as_ref());
        text
    }
}

fn push_rest(text: &mut String, headers: &[Header], body: Option<&Body>) {
    for header in headers {
        let _ = writeln!(text, "{}: {}", header.name, header.value);
    }
    if let Some(body) = body {
        text.push('\n');
        text.push_str(&body.shown());
        text.push('\n');
    }
}

/// Text in single quotes for a POSIX shell; marks of secrets (see [`super::redact`]) become variables in double
/// quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for (piece, variable) in super::redact::pieces(text) {
        match variable {
            false => out.push_str(&piece.replace('\'', "'\\''")),
            true => {
                let _ = write!(out, "'\"${piece}\"'");
            }
        }
    }
    out.push('\'');
    out
}

/// What closes it at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Patch {
    /// What it does, in a sentence.
    pub(crate) text: String,
    /// What to add to `portcullis.yaml`, in the shape of the file.
    pub(crate) yaml: Option<String>,
}

/// A rule or check that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// Its stable code.
    pub(crate) code: String,
    /// What it looks for, in a few words.
    pub(crate) title: String,
    /// Its page: what it finds, why that matters, how to fix it. Markdown.
    pub(crate) page: String,
    /// The category of the OWASP API Security Top 10, edition 2023.
    #[serde(with = "owasp")]
    pub(crate) owasp: Owasp,
    /// The Common Weakness Enumeration's number.
    pub(crate) cwe: u16,
    /// How bad its findings are at most.
    pub(crate) severity: Severity,
}

/// `API1:2023`.
pub(crate) fn owasp_id(owasp: Owasp) -> &'static str {
    owasp.title().split(' ').next().unwrap_or_default()
}

/// A category as `API1:2023` in files.
mod owasp {
    use portcullis_engine::Owasp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    const ALL: [Owasp; 10] = [
        Owasp::Api1,
        Owasp::Api2,
        Owasp::Api3,
        Owasp::Api4,
        Owasp::Api5,
        Owasp::Api6,
        Owasp::Api7,
        Owasp::Api8,
        Owasp::Api9,
        Owasp::Api10,
    ];

    pub(super) fn serialize<S: Serializer>(owasp: &Owasp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(super::owasp_id(*owasp))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Owasp, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = ALL.into_iter().find(|one| super::owasp_id(*one) == text);
        found.ok_or_else(|| {
            de::Error::custom(format!("expected a category such as `API1:2023`, found `{text}`"))
        })
    }
}
