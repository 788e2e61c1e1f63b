//! The owner of an object, as the API itself says it.

use std::time::Duration;

use http::{Method, StatusCode};
use portcullis_engine::{Body, BodyNeed, Cx, Denial, Guard, GuardError, Hooks, LookupFailure, Verdict};
use portcullis_openapi::Operation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::OWNER_MISMATCH;
use super::caller::{Caller, text};
use crate::place::PathParameter;
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

#[derive(Debug)]
pub(crate) struct Owned {
    pointer: Vec<String>,
    who: Caller,
    /// For methods that change: what is read first.
    read: Option<Template>,
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
    pub(crate) fn compile(owner: &Owner, cx: &CompileCx<'_>) -> Result<Owned, Fault> {
        let who = Caller::parse(&owner.is).map_err(|message| Fault::new("/owner/is", message))?;
        let Some(rest) = owner.response.strip_prefix('/') else {
            return Err(Fault::new("/owner/response", "expected a JSON pointer, such as `/owner_id`"));
        };
        let pointer = rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        let Some((_, operation)) = cx.operation else {
            return Err(Fault::new("/owner", "requests that match no operation have no object"));
        };
        let safe = matches!(operation.method.as_str(), "GET");
        let read = if safe { None } else { Some(template(owner, operation, cx)?) };
        Ok(Owned { pointer, who, read })
    }

    /// Whether every owner that `body` names is the caller, and there is one.
    fn is_own(&self, cx: &Cx<'_>, body: &Value) -> Result<(), &'static str> {
        let mut found = false;
        let mut level = vec![body];
        for part in &self.pointer {
            let mut next = Vec::new();
            for value in level {
                match value {
                    Value::Array(items) if part == "*" => {
                        // An empty list shows nothing of anybody.
                        found |= items.is_empty();
                        next.extend(items);
                    }
                    Value::Array(items) => match part.parse::<usize>().ok().and_then(|at| items.get(at)) {
                        Some(item) => next.push(item),
                        None => return Err("the field that names the owner is missing"),
                    },
                    Value::Object(members) => match members.get(part) {
                        Some(member) => next.push(member),
                        None => return Err("the field that names the owner is missing"),
                    },
                    _ => return Err("the field that names the owner is missing"),
                }
            }
            level = next;
        }
        for value in level {
            found = true;
            let own = text(value).is_some_and(|text| self.who.is(cx.facts.principal.as_deref(), &text));
            if !own {
                return Err("the owner is not the caller");
            }
        }
        if found { Ok(()) } else { Err("the field that names the owner is missing") }
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
    fn hooks(&self) -> Hooks {
        let reads = self.read.is_none();
        Hooks { request_head: true, response_head: reads, response_body: reads, request_body: false }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if self.read.is_none() && cx.enforcing {
            // A part of an object does not show whose it is.
            cx.request.headers.remove(http::header::RANGE);
        }
        let Some(template) = &self.read else { return Ok(Verdict::Pass) };
        let answer = match cx.answer(READ) {
            Some(answer) => answer,
            None => {
                let target = template
                    .target(cx)
                    .ok_or_else(|| GuardError("the path does not fit its template".into()))?;
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
        let Some(response) = &cx.response else { return Ok(Verdict::Pass) };
        let unseen = match response.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => false,
            status if !status.is_success() => false,
            // What has no body shows nothing but that it is there.
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
            _ => BodyNeed::Nothing,
        }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(object) = body.json() else { return Ok(refused("the answer is not JSON")) };
        Ok(self.is_own(cx, object).map_or_else(refused, |()| Verdict::Pass))
    }
}

fn is_json(cx: &Cx<'_>) -> bool {
    let headers = cx.response.as_ref().map(|response| &response.headers);
    let field = headers.and_then(|headers| headers.get(http::header::CONTENT_TYPE));
    field
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| portcullis_engine::MediaType { text }.is_json())
}
