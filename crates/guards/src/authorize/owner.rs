//! The owner of an object, as the API itself says it.

use std::time::Duration;

use http::{Method, StatusCode, header};
use portcullis_engine::{Body, BodyNeed, Cx, Denial, Guard, GuardError, Hooks, LookupFailure, Role, Verdict};
use portcullis_openapi::Operation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::OWNER_MISMATCH;
use super::caller::{Caller, text};
use crate::media::keep_private;
use crate::place::{PathParameter, every, members};
use crate::protection::{CompileCx, Fault};

/// Whose an object must be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "ObjectOwner")]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    /// Where the object names its owner: a JSON pointer; `*` is every element of an array.
    response: String,
    /// What that must be: `token.CLAIM` or `consumer`.
    is: String,
    /// For writes: the path on which the object is read first, as in `/orders/{orderId}`, its parameters being those of
    /// this operation's path. Default: the operation's own path.
    #[serde(default)]
    read: Option<String>,
}

/// Bytes of an object that is read before it is written.
const MOST_READ: u64 = 1 << 20;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The name of the read among an exchange's lookups.
const READ: &str = "owner";

/// The object is there, and somebody else's.
const NOT_OWN: &str = "the owner is not the caller";

#[derive(Debug)]
pub(crate) struct Owned {
    pointer: Box<[Box<str>]>,
    who: Caller,
    /// What is read before the call goes on, where its answer does not say whose the object is.
    read: Option<Read>,
}

/// What is read first.
#[derive(Debug)]
enum Read {
    /// For HEAD: what it is about.
    Itself,
    /// For methods that change: the object.
    Object(Template),
}

/// A path template, and that of the operation.
#[derive(Debug)]
struct Template {
    own: Vec<Piece>,
    read: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Parameter(PathParameter),
}

impl Owned {
    /// The guards of an operation: for one that reads, of its answers, and of HEAD.
    pub(crate) fn compile(owner: &Owner, cx: &CompileCx<'_>) -> Result<Vec<Owned>, Fault> {
        let who = Caller::parse(&owner.is).map_err(|message| Fault::new("/owner/is", message))?;
        let pointer = members(&owner.response)
            .ok_or_else(|| Fault::new("/owner/response", "expected a JSON pointer, such as `/owner_id`"))?;
        let Some((_, operation)) = cx.operation else {
            return Err(Fault::new("/owner", "requests that match no operation have no object"));
        };
        let reads: Vec<Option<Read>> = match operation.method.as_str() {
            "GET" => vec![None, Some(Read::Itself)],
            _ => vec![Some(Read::Object(template(owner, operation, cx)?))],
        };
        let one = |read| Owned { pointer: Box::clone(&pointer), who: who.clone(), read };
        Ok(reads.into_iter().map(one).collect())
    }

    /// Whether the object is read before the call goes on.
    pub(crate) fn reads(&self) -> bool {
        self.read.is_some()
    }

    /// Whether every owner that `body` names is the caller, and there is one.
    fn is_own(&self, cx: &Cx<'_>, body: &Value) -> Result<(), &'static str> {
        let missing = || "the field that names the owner is missing";
        every(body, &self.pointer, &missing, &mut |value| {
            let own = text(value).is_some_and(|text| self.who.is(cx.facts.principal.as_deref(), &text));
            if own { Ok(()) } else { Err(NOT_OWN) }
        })
    }
}

fn template(owner: &Owner, operation: &Operation, cx: &CompileCx<'_>) -> Result<Template, Fault> {
    let read = owner.read.as_deref().unwrap_or(&operation.path);
    let contract = cx.contract.map_or(&[][..], |contract| contract.operations());
    if !contract.iter().any(|other| other.method.as_str() == "GET" && *other.path == *read) {
        let message = format!(
            "{}: the contract has no GET on `{read}`, by which the object could be read before it is changed; name a \
             path that has one under `read`",
            cx.label
        );
        return Err(Fault::new(if owner.read.is_some() { "/owner/read" } else { "/owner" }, message));
    }
    let pieces = |path: &str| -> Result<Vec<Piece>, Fault> {
        let mut pieces = Vec::new();
        let mut rest = path;
        while let Some((text, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else { break };
            let parameter = PathParameter::of(cx, name).ok_or_else(|| {
                let known = operation.captures.iter().map(|capture| &**capture);
                Fault::new("/owner/read", crate::config::unknown("path parameter", name, known))
            })?;
            pieces.push(Piece::Text(text.to_owned()));
            pieces.push(Piece::Parameter(parameter));
            rest = tail;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(pieces)
    };
    Ok(Template { own: pieces(&operation.path)?, read: pieces(read)? })
}

impl Template {
    /// The target of the read: the operation's own path makes room for the other, behind the same base path.
    fn target(&self, cx: &Cx<'_>) -> Option<String> {
        let fill = |pieces: &[Piece]| -> Option<String> {
            let mut out = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Parameter(parameter) => out.push_str(parameter.raw(cx.request)?),
                }
            }
            Some(out)
        };
        let base = cx.request.path().trim_end_matches('/');
        let base = base.strip_suffix(fill(&self.own)?.trim_end_matches('/'))?;
        Some(format!("{base}{}", fill(&self.read)?))
    }
}

fn refused(reason: &'static str) -> Verdict {
    Denial::new(&OWNER_MISMATCH, reason).into()
}

impl Guard for Owned {
    fn role(&self) -> Role {
        Role::ComparesObjects
    }

    fn hooks(&self) -> Hooks {
        let reads = self.read.is_none();
        Hooks { request_head: true, response_head: reads, response_body: reads, request_body: false }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let read = match &self.read {
            None if cx.enforcing => {
                // A part of an object, or that it did not change, does not say whose it is.
                for name in [header::RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
                    cx.request.headers.remove(name);
                }
                return Ok(Verdict::Pass);
            }
            None => return Ok(Verdict::Pass),
            Some(Read::Itself) if cx.request.method != Method::HEAD => return Ok(Verdict::Pass),
            Some(read) => read,
        };
        let answer = match cx.answer(READ) {
            Some(answer) => answer,
            None => {
                let target = match read {
                    Read::Itself => cx.request.target().to_owned(),
                    Read::Object(template) => template
                        .target(cx)
                        .ok_or_else(|| GuardError("the path does not fit its template".into()))?,
                };
                return Ok(cx.read_upstream(READ, READ, &target, PATIENCE, MOST_READ).into());
            }
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(LookupFailure::TooLarge) => return Ok(refused("the object is too large to see whose it is")),
            Err(failure) => return Ok(failure.denial("reading the object").into()),
        };
        match answer.status {
            // What is not there is nobody's; what comes of it the API says.
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Verdict::Pass),
            StatusCode::OK => {
                let bounds = portcullis_engine::Bounds::default();
                let Ok(object) = portcullis_engine::body::parse_json(&answer.body, &bounds) else {
                    return Ok(refused("the object is not JSON"));
                };
                Ok(self.is_own(cx, &object).map_or_else(refused, |()| Verdict::Pass))
            }
            status if status.is_server_error() => {
                let failure = LookupFailure::Unreachable(format!("the API answered {status}").into());
                Ok(failure.denial("reading the object").into())
            }
            _ => Ok(refused("the API does not show the object to the caller")),
        }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if cx.local_reply {
            return Ok(Verdict::Pass);
        }
        let head_only = cx.request.method == Method::HEAD;
        if let Some(response) =
            cx.response.as_deref_mut().filter(|response| cx.enforcing && response.status.is_success())
        {
            keep_private(&mut response.headers);
        }
        let Some(response) = &cx.response else { return Ok(Verdict::Pass) };
        let unseen = match response.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => false,
            status if !status.is_success() => false,
            // Of what has no body, somebody else saw to it that it is the caller's.
            _ => !head_only && !is_json(cx) && response.body.is_some(),
        };
        Ok(if unseen {
            refused("the answer is not JSON, so it does not say whose it is")
        } else {
            Verdict::Pass
        })
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        match &cx.response {
            Some(response) if response.status.is_success() => BodyNeed::Parsed,
            // An error may show the object all the same.
            Some(_) if is_json(cx) => BodyNeed::Parsed,
            _ => BodyNeed::Nothing,
        }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let success = cx.response.as_ref().is_none_or(|response| response.status.is_success());
        let Some(object) = body.json() else {
            return Ok(if success { refused("the answer is not JSON") } else { Verdict::Pass });
        };
        Ok(match self.is_own(cx, object) {
            Err(why) if success || why == NOT_OWN => refused(why),
            _ => Verdict::Pass,
        })
    }
}

fn is_json(cx: &Cx<'_>) -> bool {
    let headers = cx.response.as_ref().map(|response| &response.headers);
    let field = headers.and_then(|headers| headers.get(header::CONTENT_TYPE));
    field
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| portcullis_engine::MediaType { text }.is_json())
}
