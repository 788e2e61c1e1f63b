//! The contract, enforced: only what the OpenAPI document describes gets through.
//!
//! **What it does.** A path or method that the document does not have is refused (404, 405 with `Allow`). So is
//! a request whose parameters, content type or body are not what the operation describes. Responses are held
//! against the document too, and what differs is found. A refusal says where (a JSON pointer, a parameter's
//! name) and what was expected, never what was sent.
//!
//! Each check has a switch: `enforce`, `monitor` or `off`; those about members of a body also `strip`, which leaves
//! the member out and lets the rest pass (of JSON; a form that would have to be changed is refused).
//!
//! | switch | default | what it is about |
//! |---|---|---|
//! | `unknown_path` | enforce | a path that is not in the document (shadow endpoints) |
//! | `unknown_method` | enforce | a method that the path does not have |
//! | `parameters` | enforce | a parameter that is missing, or not what its schema says |
//! | `unknown_query` | enforce | a query parameter that is not described, save those in `allow_query` |
//! | `unknown_header`, `unknown_cookie` | off | a field or cookie that is not described |
//! | `media_type` | enforce | a content type that is not described |
//! | `unexpected_body` | enforce | a body where none is described |
//! | `malformed_body` | enforce | a body that is not of its content type: broken JSON, too deep, too many values |
//! | `duplicate_keys` | enforce | JSON that names a member of an object twice, which two readers may read in two ways |
//! | `body` | enforce | a body that is missing, or not what its schema says |
//! | `unknown_property` | monitor | a member of the body that the schema neither describes nor forbids (mass assignment) |
//! | `read_only` | enforce | a member that only the server may set (`readOnly`) |
//! | `response_status`, `response_media_type`, `response_headers`, `response_body` | monitor | an answer that is not as described |
//! | `response_property` | monitor | a member of the answer that is not described (excessive data exposure) |
//! | `write_only` | monitor | a member of the answer that only the client may send (`writeOnly`: a password) |
//!
//! An operation of which the document says something that cannot be enforced is closed (501), and listed at
//! start, unless `unenforceable: open`. What is about its answers alone is listed; it closes the operation where a
//! switch about answers is on `enforce` or `strip`. Bodies of forms that are not looked into are refused alike
//! where the document describes their members: what is read are JSON, sequences of JSON, forms, XML and text.
//!
//! A path that is let through by `unknown_path: monitor` still needs a credential, unless a policy with
//! `match: { unmatched: true }` says `public: true`.
//!
//! **The attack.** Forgotten endpoints, methods nobody meant to offer, parameters and members that the code
//! reads although the document does not say so, values that no honest client sends.
//! OWASP API3:2023, API8:2023, API9:2023; CWE-20, CWE-915, CWE-1059.
//!
//! ```yaml
//! validate:
//!   allow_query: [utm_*, _]
//!   unknown_property: enforce
//! policies:
//!   - match: { tag: legacy }
//!     validate: { body: monitor, response_body: off }
//! ```

use std::sync::Arc;

use http::header::{self, HeaderValue};
use portcullis_engine::{
    Body, BodyLength, BodyNeed, Code, Cx, Denial, Fields, Guard, GuardError, Hooks, Mode, ProblemError,
    Stage, Verdict, code,
};
use portcullis_openapi::{
    BodyFormat, BodyLimits, Checks, Contract, In, Location, MediaType, Operation, Parameter, Problem, Route,
    Violation, ViolationKind,
};
use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::codes::codes;
use crate::cors::is_preflight;
use crate::inspect::Held;
use crate::policies::GuardMode;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    PATH_UNKNOWN = "path-unknown" 404 Api9 1059 Medium
        "there is no such path"
        attack "Probing for forgotten, internal or debug endpoints that answer although nobody documents them."
        client "Use the paths of the API's documentation; mind case and a slash at the end."
        operator "Add the path to the contract, or set `validate.unknown_path` to `monitor`.";
    METHOD_UNKNOWN = "method-unknown" 405 Api9 650 Medium
        "the path does not have this method"
        attack "A method that the framework answers although nobody meant to offer it, past the checks of the others."
        client "Use one of the methods in the `Allow` field."
        operator "Add the method to the contract, or set `validate.unknown_method` to `monitor`.";
    PARAMETER_INVALID = "parameter-invalid" 400 Api8 20 Medium
        "a parameter is missing or not what it should be"
        attack "Values outside what the API expects reach code that was never tested with them: injection, overflow, type juggling."
        client "Correct what `errors` lists."
        operator "Correct the parameter's schema, or set `validate.parameters` to `monitor`.";
    PARAMETER_UNKNOWN = "parameter-unknown" 400 Api8 20 Low
        "a parameter is not described"
        attack "Hidden switches (debug, admin, fields) and parameter pollution."
        client "Leave out what the API's documentation does not mention."
        operator "Add it to the contract or to `validate.allow_query`, or set `validate.unknown_query` to `monitor`.";
    MEDIA_TYPE_UNSUPPORTED = "media-type-unsupported" 415 Api8 436 Medium
        "the body's content type is not accepted here"
        attack "A body in a form that takes another parser (XML with external entities, a form that needs no preflight)."
        client "Send one of the documented content types."
        operator "Add the media type to the contract, or set `validate.media_type` to `monitor`.";
    BODY_UNEXPECTED = "body-unexpected" 400 Api8 444 Low
        "this operation takes no body"
        attack "A body where none is expected is read by one server and left in the connection by another."
        client "Leave the body out."
        operator "Describe the body in the contract, or set `validate.unexpected_body` to `monitor`.";
    BODY_INVALID = "body-invalid" 400 Api8 20 Medium
        "the body is not what it should be"
        attack "Values outside what the API expects: injection, operators instead of values, type juggling."
        client "Correct what `errors` lists."
        operator "Correct the body's schema, or set `validate.body` to `monitor`.";
    PROPERTY_READ_ONLY = "property-read-only" 400 Api3 915 High
        "the body sets a property that only the server may set"
        attack "Mass assignment: the caller sets owner, role, price or status by naming it."
        client "Leave the property out."
        operator "Correct `readOnly` in the contract, or set `validate.read_only` to `monitor`.";
    PROPERTY_UNKNOWN = "property-unknown" 400 Api3 915 Medium
        "the body has a property that is not described"
        attack "Mass assignment: frameworks bind whatever member has the name of a column."
        client "Leave out what the API's documentation does not mention."
        operator "Describe the property, or set `validate.unknown_property` to `monitor`.";
    CONTRACT_UNENFORCEABLE = "contract-unenforceable" 501 Api8 636 Low
        "this operation cannot be checked"
        attack "What cannot be checked must not pass as if it had been."
        client "Tell the API's operator."
        operator "`portcullis contract lint` says what cannot be enforced; correct it, or set `validate.unenforceable` to `open`.";
    RESPONSE_UNDOCUMENTED = "response-undocumented" 502 Api9 1059 Low
        "the API's answer has a status or content type that is not described"
        attack "Undocumented answers are where error pages, redirects and debug output leave."
        client "Report the reference to the API's operator."
        operator "Describe the response, or set `validate.response_status` or `validate.response_media_type` to `monitor`.";
    RESPONSE_INVALID = "response-invalid" 502 Api8 1059 Low
        "the API's answer is not what it should be"
        attack "An answer that differs from its description may carry what nobody meant to show."
        client "Report the reference to the API's operator."
        operator "Correct the response's schema or the API, or set `validate.response_body` to `monitor`.";
    RESPONSE_PROPERTY = "response-property" 502 Api3 213 Medium
        "the API's answer has a property that may not be shown"
        attack "Excessive data exposure: the whole row is serialised, password hash and all."
        client "Report the reference to the API's operator."
        operator "Describe the property or have the API leave it out; or set `validate.response_property` or `validate.write_only` to `monitor`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Validate;

/// The contract's checks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ValidateGuard")]
pub(crate) struct Config {
    /// A path that the contract does not have.
    unknown_path: GuardMode,
    /// A method that the path does not have.
    unknown_method: GuardMode,
    /// A parameter that is missing or not what its schema says.
    parameters: GuardMode,
    /// A query parameter that is not described.
    unknown_query: GuardMode,
    /// Query parameters that may be there without a description; `*` at the end stands for any rest.
    allow_query: Vec<String>,
    /// A header that is not described.
    unknown_header: GuardMode,
    /// A cookie that is not described.
    unknown_cookie: GuardMode,
    /// A content type that is not described.
    media_type: GuardMode,
    /// A body where none is described.
    unexpected_body: GuardMode,
    /// A body that cannot be read as its content type, or not within `bounds`.
    malformed_body: GuardMode,
    /// A JSON body that names a member of an object twice.
    duplicate_keys: GuardMode,
    /// A body that is missing or not what its schema says.
    body: GuardMode,
    /// A member of the body that is not described.
    unknown_property: MemberMode,
    /// A member of the body that only the server may set.
    read_only: MemberMode,
    /// A response status that is not described.
    response_status: GuardMode,
    /// A response content type that is not described.
    response_media_type: GuardMode,
    /// Response headers that are missing or not what their schemas say.
    response_headers: GuardMode,
    /// A response body that is not what its schema says.
    response_body: GuardMode,
    /// A member of a response body that is not described.
    response_property: MemberMode,
    /// A member of a response body that only the client may send.
    write_only: MemberMode,
    /// Calls of operations of which something cannot be enforced.
    unenforceable: Unenforceable,
}

/// What happens to a message with a member that should not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum MemberMode {
    /// It is refused.
    Enforce,
    /// It passes; what was seen is recorded.
    Monitor,
    /// It passes without the member.
    Strip,
    /// Nobody looks.
    Off,
}

impl MemberMode {
    /// As a check that refuses, watches or does not look. To strip is to act.
    fn as_mode(self) -> GuardMode {
        match self {
            Self::Enforce | Self::Strip => GuardMode::Enforce,
            Self::Monitor => GuardMode::Monitor,
            Self::Off => GuardMode::Off,
        }
    }
}

/// What happens to calls of an operation of which something cannot be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unenforceable {
    /// They are refused.
    Closed,
    /// They pass with the checks that can be made.
    Open,
}

impl Default for Config {
    fn default() -> Self {
        use GuardMode::{Enforce, Monitor, Off};
        Config {
            unknown_path: Enforce,
            unknown_method: Enforce,
            parameters: Enforce,
            unknown_query: Enforce,
            allow_query: Vec::new(),
            unknown_header: Off,
            unknown_cookie: Off,
            media_type: Enforce,
            unexpected_body: Enforce,
            malformed_body: Enforce,
            duplicate_keys: Enforce,
            body: Enforce,
            unknown_property: MemberMode::Monitor,
            read_only: MemberMode::Enforce,
            response_status: Monitor,
            response_media_type: Monitor,
            response_headers: Monitor,
            response_body: Monitor,
            response_property: MemberMode::Monitor,
            write_only: MemberMode::Monitor,
            unenforceable: Unenforceable::Closed,
        }
    }
}

impl Config {
    /// The switches about an answer's head.
    fn response_head(&self) -> [GuardMode; 3] {
        [self.response_status, self.response_media_type, self.response_headers]
    }

    /// The switches about an answer's body.
    fn response_body(&self) -> [GuardMode; 3] {
        [self.response_body, self.response_property.as_mode(), self.write_only.as_mode()]
    }
}

impl Protection for Validate {
    const NAME: &'static str = "validate";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let Some(contract) = cx.contract else { return Ok(Vec::new()) };
        let Some((index, operation)) = cx.operation else {
            let unrouted = Unrouted {
                contract: Arc::clone(contract),
                path: config.unknown_path,
                method: config.unknown_method,
            };
            if cx.mode == Mode::Enforce
                && unrouted.path == GuardMode::Enforce
                && unrouted.method == GuardMode::Enforce
            {
                cx.refuse_unmatched();
            }
            // After the limits: whoever searches for paths that nobody documents meets theirs.
            return Ok(vec![Part::new(Stage::Authenticate, unrouted)]);
        };
        let mut parts = Vec::new();
        let refuses = |modes: &[GuardMode]| modes.contains(&GuardMode::Enforce);
        let listed =
            |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let answers = listed(&operation.unenforced_responses);
        let mut what = listed(&operation.unenforced);
        if refuses(&config.response_head()) || refuses(&config.response_body()) {
            let between = if what.is_empty() || answers.is_empty() { "" } else { "; " };
            what = format!("{what}{between}{answers}");
        } else if !answers.is_empty() {
            cx.warn(format!("what the contract says of answers cannot be watched in full here: {answers}"));
        }
        if !what.is_empty() {
            if config.unenforceable == Unenforceable::Closed {
                cx.warn(format!("closed, since the contract cannot be enforced here: {what}"));
                parts.push(Part::new(Stage::Admit, Closed));
            } else {
                cx.warn(format!("open, although the contract cannot be enforced here: {what}"));
            }
        }
        if config.body == GuardMode::Enforce {
            let media = operation.body.iter().flat_map(|body| &body.content);
            for media in
                media.filter(|media| media.range.is_concrete() && !media.judges(media.range.format()))
            {
                let become_of_them = match config.unenforceable {
                    Unenforceable::Closed => "they are refused",
                    Unenforceable::Open => "they pass unchecked",
                };
                cx.warn_once(format!(
                    "bodies of `{}` are not looked into: where the contract describes their members {become_of_them}",
                    media.range
                ));
            }
        }
        let holds = |switch: GuardMode| {
            cx.mode == Mode::Enforce
                && !cx.fails_open()
                && switch == GuardMode::Enforce
                && operation.unenforced.is_empty()
        };
        cx.holds(Held { parameters: holds(config.parameters), body: holds(config.body) });
        let described = |parameter: &Parameter| matches!(parameter.location, In::Header | In::Cookie);
        let unknown = config.unknown_header != GuardMode::Off || config.unknown_cookie != GuardMode::Off;
        let rules = Arc::new(Rules {
            contract: Arc::clone(contract),
            index,
            config: config.clone(),
            request_fields: unknown || operation.parameters.iter().any(described),
            response_fields: operation.responses.iter().any(|response| !response.headers.is_empty()),
            limits: BodyLimits { depth: cx.bounds.json_depth, values: cx.bounds.json_values },
        });
        let any = |switches: &[GuardMode], mode| switches.contains(&mode);
        let head = [
            config.parameters,
            config.unknown_query,
            config.unknown_header,
            config.unknown_cookie,
            config.media_type,
            config.unexpected_body,
            config.body,
        ];
        if any(&head, GuardMode::Enforce) || any(&head, GuardMode::Monitor) {
            let guard = RequestHead { rules: Arc::clone(&rules), needs_body: needs_body(operation) };
            parts.push(Part::new(Stage::Validate, guard));
        }
        let body = [
            config.malformed_body,
            config.duplicate_keys,
            config.body,
            config.unknown_property.as_mode(),
            config.read_only.as_mode(),
        ];
        if operation.body.is_some() && (any(&body, GuardMode::Enforce) || any(&body, GuardMode::Monitor)) {
            let mut part = Part::new(Stage::Validate, RequestBody { rules: Arc::clone(&rules) });
            part.monitor = !any(&body, GuardMode::Enforce);
            parts.push(part);
        }
        for (switches, reads_body) in [(config.response_head(), false), (config.response_body(), true)] {
            let described = !reads_body || operation.reads_response_body();
            if described && (any(&switches, GuardMode::Enforce) || any(&switches, GuardMode::Monitor)) {
                let mut part = Part::new(Stage::Validate, Response { rules: Arc::clone(&rules), reads_body });
                part.monitor = !any(&switches, GuardMode::Enforce);
                parts.push(part);
            }
        }
        Ok(parts)
    }
}

fn needs_body(operation: &Operation) -> bool {
    operation.body.as_ref().is_some_and(|body| body.required)
}

/// Refuses what the contract does not have.
#[derive(Debug)]
struct Unrouted {
    contract: Arc<Contract>,
    path: GuardMode,
    method: GuardMode,
}

impl Guard for Unrouted {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        // A preflight for a documented method is the API's to answer, where this gateway does not.
        if let Some(method) = is_preflight(cx.request)
            && let Route::Found { .. } = self.contract.route(method, cx.request.path(), cx.request.query())
        {
            return Ok(Verdict::Pass);
        }
        let (mode, denial) = match &cx.facts.allow {
            Some(allow) => {
                let denial = Denial::new(&METHOD_UNKNOWN, "the path does not have this method");
                let allow = HeaderValue::from_str(allow);
                (self.method, allow.map_or(denial.clone(), |allow| denial.header(header::ALLOW, allow)))
            }
            None => (self.path, Denial::new(&PATH_UNKNOWN, "the path is not in the contract")),
        };
        match mode {
            GuardMode::Enforce => Ok(denial.into()),
            GuardMode::Monitor => {
                cx.find(denial.code, denial.reason);
                Ok(Verdict::Pass)
            }
            GuardMode::Off => Ok(Verdict::Pass),
        }
    }
}

/// Refuses every call of an operation that cannot be checked.
#[derive(Debug)]
struct Closed;

impl Guard for Closed {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, _: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(Denial::new(&CONTRACT_UNENFORCEABLE, "the contract says something here that cannot be enforced")
            .into())
    }
}

#[derive(Debug)]
struct Rules {
    contract: Arc<Contract>,
    index: usize,
    config: Config,
    /// Whether anything is said about the request's fields.
    request_fields: bool,
    /// Whether anything is said about the response's fields.
    response_fields: bool,
    limits: BodyLimits,
}

impl Rules {
    fn operation(&self) -> Option<&Operation> {
        self.contract.operations().get(self.index)
    }

    fn checks(&self, unknown_property: MemberMode, access: MemberMode) -> Checks {
        Checks {
            unknown_headers: self.config.unknown_header != GuardMode::Off,
            unknown_cookies: self.config.unknown_cookie != GuardMode::Off,
            unknown_properties: unknown_property != MemberMode::Off,
            access: access != MemberMode::Off,
            limits: self.limits,
        }
    }

    /// The switches of members that are not described and of those that go the wrong way.
    fn member_modes(&self, response: bool) -> (MemberMode, MemberMode) {
        let config = &self.config;
        if response {
            (config.response_property, config.write_only)
        } else {
            (config.unknown_property, config.read_only)
        }
    }

    /// The switch of a violation, and its code.
    fn class(&self, violation: &Violation) -> (GuardMode, &'static Code) {
        let config = &self.config;
        match violation.kind {
            ViolationKind::MissingParameter | ViolationKind::InvalidParameter => {
                (config.parameters, &PARAMETER_INVALID)
            }
            ViolationKind::UnknownParameter => {
                let switch = match violation.location {
                    Location::Header => config.unknown_header,
                    Location::Cookie => config.unknown_cookie,
                    _ if self.allowed(&violation.name) => GuardMode::Off,
                    _ => config.unknown_query,
                };
                (switch, &PARAMETER_UNKNOWN)
            }
            ViolationKind::UnsupportedMediaType => (config.media_type, &MEDIA_TYPE_UNSUPPORTED),
            ViolationKind::UnexpectedBody => (config.unexpected_body, &BODY_UNEXPECTED),
            ViolationKind::MalformedBody => (config.malformed_body, &code::BODY_MALFORMED),
            ViolationKind::TooComplexBody => (config.malformed_body, &code::BODY_TOO_COMPLEX),
            ViolationKind::DuplicateKey => (config.duplicate_keys, &code::BODY_DUPLICATE_KEY),
            ViolationKind::MissingBody | ViolationKind::InvalidBody => (config.body, &BODY_INVALID),
            ViolationKind::ReadOnlyProperty => (config.read_only.as_mode(), &PROPERTY_READ_ONLY),
            ViolationKind::WriteOnlyProperty => (config.write_only.as_mode(), &RESPONSE_PROPERTY),
            ViolationKind::UndocumentedStatus => (config.response_status, &RESPONSE_UNDOCUMENTED),
            ViolationKind::UndocumentedMediaType => (config.response_media_type, &RESPONSE_UNDOCUMENTED),
            ViolationKind::InvalidResponseHeader => (config.response_headers, &RESPONSE_INVALID),
            ViolationKind::InvalidResponseBody => (config.response_body, &RESPONSE_INVALID),
            ViolationKind::UnknownProperty => (config.unknown_property.as_mode(), &PROPERTY_UNKNOWN),
            // A kind that this version does not know, or one that cannot be enforced: closed unless told.
            _ => match config.unenforceable {
                Unenforceable::Closed => (GuardMode::Enforce, &CONTRACT_UNENFORCEABLE),
                Unenforceable::Open => (GuardMode::Monitor, &CONTRACT_UNENFORCEABLE),
            },
        }
    }

    fn allowed(&self, name: &str) -> bool {
        self.config.allow_query.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => pattern == name,
        })
    }

    /// Weighs violations: a denial of those to enforce, findings of those to watch. What is to be stripped is left
    /// to [`Rules::strip`].
    fn weigh(&self, cx: &mut Cx<'_>, violations: Vec<Violation>, response: bool) -> Verdict {
        let mut refused: Option<Denial> = None;
        for violation in violations {
            let (mut switch, mut code) = self.class(&violation);
            if response && violation.kind == ViolationKind::UnknownProperty {
                (switch, code) = (self.config.response_property.as_mode(), &RESPONSE_PROPERTY);
            }
            match switch {
                GuardMode::Off => {}
                GuardMode::Monitor => cx.find(code, violation.to_string()),
                GuardMode::Enforce if self.strips(&violation, response) => {
                    cx.correct(code, violation.to_string());
                }
                // What is wrong with the API's answer is not for the caller to read.
                GuardMode::Enforce => {
                    let denial = refused.take().unwrap_or_else(|| denial(code, &violation));
                    refused = Some(if response { denial } else { denial.errors([problem(violation)]) });
                }
            }
        }
        refused.map_or(Verdict::Pass, Verdict::from)
    }

    fn strips(&self, violation: &Violation, response: bool) -> bool {
        let (undescribed, wrong_way) = self.member_modes(response);
        let mode = match violation.kind {
            ViolationKind::UnknownProperty => undescribed,
            ViolationKind::ReadOnlyProperty | ViolationKind::WriteOnlyProperty => wrong_way,
            _ => return false,
        };
        mode == MemberMode::Strip
    }

    /// Leaves out of a body what the switches say, and weighs the rest.
    fn weigh_body(
        &self,
        cx: &mut Cx<'_>,
        body: &Body,
        violations: Vec<Violation>,
        status: Option<u16>,
    ) -> Verdict {
        let response = status.is_some();
        let strips = violations.iter().any(|violation| self.strips(violation, response));
        let verdict = self.weigh(cx, violations, response);
        if !strips || !cx.enforcing || !matches!(verdict, Verdict::Pass) {
            return verdict;
        }
        let (undescribed, wrong_way) = self.member_modes(response);
        let checks = Checks {
            unknown_properties: undescribed == MemberMode::Strip,
            access: wrong_way == MemberMode::Strip,
            ..self.checks(undescribed, wrong_way)
        };
        let content_type = body.content_type().map(|media| media.text);
        let stripped = match status {
            Some(status) => {
                self.contract.strip_response_body(self.index, status, content_type, body.bytes(), checks)
            }
            None => self.contract.strip_request_body(self.index, content_type, body.bytes(), checks),
        };
        match stripped {
            Ok(Some(bytes)) => {
                cx.replace_body(bytes.into());
                Verdict::Pass
            }
            Ok(None) => Verdict::Pass,
            Err(violation) => Verdict::from(denial(&CONTRACT_UNENFORCEABLE, &violation)),
        }
    }
}

/// A refusal that says what was expected; where a body breaks the rules of its content type, in so many words.
fn denial(code: &'static Code, violation: &Violation) -> Denial {
    let denial = Denial::new(code, violation.to_string());
    match violation.kind {
        ViolationKind::MalformedBody | ViolationKind::DuplicateKey | ViolationKind::TooComplexBody => {
            denial.detail(format!("expected {}", violation.expected))
        }
        _ => denial,
    }
}

/// A violation as its sender may read it: names that the contract does not know are not said back.
fn problem(violation: Violation) -> ProblemError {
    let unknown = matches!(violation.kind, ViolationKind::UnknownParameter | ViolationKind::UnknownProperty);
    let pointer = match violation.kind {
        _ if violation.location == Location::Body && unknown => {
            violation.pointer.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned()
        }
        _ if violation.location == Location::Body => violation.pointer.into(),
        _ if unknown => String::new(),
        _ => format!("{}{}", violation.name, violation.pointer),
    };
    let expected = match (unknown, violation.location) {
        (true, Location::Body) => "no properties but those described".to_owned(),
        (true, _) => "no parameters but those described".to_owned(),
        _ => violation.expected.into_owned(),
    };
    ProblemError { location: violation.location.as_str(), pointer, expected }
}

/// The fields in a form that can be walked more than once; none where nobody looks at them.
fn fields(headers: &Fields, wanted: bool) -> SmallVec<[(&str, &[u8]); 24]> {
    if !wanted {
        return SmallVec::new();
    }
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

fn content_type(headers: &Fields) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

#[derive(Debug)]
struct RequestHead {
    rules: Arc<Rules>,
    needs_body: bool,
}

impl Guard for RequestHead {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let request = &*cx.request;
        let mut violations = {
            let spans = 0..request.params().spans.len();
            let captures: SmallVec<[&str; 8]> =
                spans.map(|index| request.param(index).unwrap_or_default()).collect();
            self.rules.contract.check_request_head(
                self.rules.index,
                &captures,
                request.query(),
                fields(&request.headers, self.rules.request_fields).iter().copied(),
                self.rules.checks(MemberMode::Off, MemberMode::Off),
            )
        };
        let absent = matches!(request.body, BodyLength::None | BodyLength::Exact(0));
        if !absent || self.needs_body {
            violations.extend(self.body(absent, content_type(&request.headers)));
        }
        if violations.is_empty() {
            return Ok(Verdict::Pass);
        }
        Ok(self.rules.weigh(cx, violations, false))
    }
}

impl RequestHead {
    /// What can be said of a body before it was read.
    fn body(&self, absent: bool, content_type: Option<&str>) -> Option<Violation> {
        let (kind, location, name, expected) = match self.rules.operation()?.body.as_ref() {
            None => (ViolationKind::UnexpectedBody, Location::Body, "", "no body"),
            Some(_) if absent => (ViolationKind::MissingBody, Location::Body, "", "a body"),
            Some(body) if body.content.is_empty() => return None,
            Some(body) => {
                let sent = content_type.and_then(MediaType::parse);
                let described = sent.and_then(|sent| {
                    let media = body.content.iter().find(|media| media.range.matches(&sent))?;
                    Some(media.judges(sent.format()))
                });
                match described {
                    Some(judged) if judged || self.rules.config.body != GuardMode::Enforce => return None,
                    Some(_) => {
                        let expected = "a content type whose bodies can be checked: JSON, a form or XML";
                        (ViolationKind::Unenforceable, Location::Body, "", expected)
                    }
                    None => {
                        let expected = "one of the content types that are described";
                        (ViolationKind::UnsupportedMediaType, Location::Header, "content-type", expected)
                    }
                }
            }
        };
        Some(Violation { kind, location, name: name.into(), pointer: "".into(), expected: expected.into() })
    }
}

#[derive(Debug)]
struct RequestBody {
    rules: Arc<Rules>,
}

impl Guard for RequestBody {
    fn hooks(&self) -> Hooks {
        Hooks { request_body: true, ..Hooks::default() }
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        match self.rules.contract.request_body_format(self.rules.index, content_type(&cx.request.headers)) {
            BodyFormat::Json => BodyNeed::Bytes,
            BodyFormat::Opaque => BodyNeed::Nothing,
            _ if self.rules.operation().is_some_and(Operation::reads_request_body) => BodyNeed::Bytes,
            _ => BodyNeed::Nothing,
        }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let config = &self.rules.config;
        let violations = self.rules.contract.check_request_body(
            self.rules.index,
            body.content_type().map(|media| media.text),
            body.bytes(),
            self.rules.checks(config.unknown_property, config.read_only),
        );
        if violations.is_empty() {
            return Ok(Verdict::Pass);
        }
        Ok(self.rules.weigh_body(cx, body, violations, None))
    }
}

#[derive(Debug)]
struct Response {
    rules: Arc<Rules>,
    reads_body: bool,
}

impl Guard for Response {
    fn hooks(&self) -> Hooks {
        Hooks { response_head: !self.reads_body, response_body: self.reads_body, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some(response) = cx.response.as_deref() else { return Ok(Verdict::Pass) };
        let violations = self.rules.contract.check_response_head(
            self.rules.index,
            response.status.as_u16(),
            content_type(&response.headers),
            fields(&response.headers, self.rules.response_fields).iter().copied(),
        );
        if violations.is_empty() {
            return Ok(Verdict::Pass);
        }
        Ok(self.rules.weigh(cx, violations, true))
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let Some(response) = cx.response.as_deref() else { return BodyNeed::Nothing };
        let content_type = content_type(&response.headers);
        let status = response.status.as_u16();
        if !self.rules.contract.reads_response_body(self.rules.index, status, content_type) {
            return BodyNeed::Nothing;
        }
        BodyNeed::Bytes
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(status) = cx.response.as_deref().map(|response| response.status.as_u16()) else {
            return Ok(Verdict::Pass);
        };
        let config = &self.rules.config;
        let violations = self.rules.contract.check_response_body(
            self.rules.index,
            status,
            body.content_type().map(|media| media.text),
            body.bytes(),
            self.rules.checks(config.response_property, config.write_only),
        );
        if violations.is_empty() {
            return Ok(Verdict::Pass);
        }
        Ok(self.rules.weigh_body(cx, body, violations, Some(status)))
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
