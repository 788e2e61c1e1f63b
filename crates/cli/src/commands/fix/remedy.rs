//! What closes a finding at the gateway: pieces of policy, and how they are found.

use portcullis_openapi::{Contract, Operation, Route};
use serde_json::{Map, Value};

use super::traffic::{Sessions, Traffic};
use crate::report::{Exchange, Item};

/// One line of the registry: for findings of these codes, this.
#[derive(Debug)]
pub(super) struct Remedy {
    /// Codes of findings; one that ends in `*` stands for all that begin so.
    pub(super) codes: &'static [&'static str],
    /// How it closes them, in a sentence; of what no gateway can close, why.
    pub(super) how: &'static str,
    /// The pieces of policy to try, the best first. None at all: what the gateway does by itself has to be enough.
    pub(super) cures: fn(&Case<'_>) -> Vec<Cure>,
}

impl Remedy {
    /// Whether it is for findings of this code.
    pub(super) fn is_for(&self, code: &str) -> bool {
        self.codes.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => code.starts_with(start),
            None => *known == code,
        })
    }
}

/// A finding, and what is known around it.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// The finding.
    pub(super) item: &'a Item,
    /// The contract.
    pub(super) contract: &'a Contract,
    /// What ordinary calls show.
    pub(super) traffic: &'a Traffic<'a>,
    /// How sessions come and go, where it is known.
    pub(super) sessions: Option<&'a Sessions>,
    /// Today, as a policy writes days.
    pub(super) today: String,
    /// The day on which the patch is looked at again, as a policy writes days.
    pub(super) until: String,
}

impl<'a> Case<'a> {
    /// The label of the operation that it is about, `METHOD /path`; empty where it is about the API as a whole.
    pub(super) fn label(&self) -> &'a str {
        self.item.places.first().and_then(|place| place.operation.as_deref()).unwrap_or_default()
    }

    /// That operation, where the contract has it.
    pub(super) fn operation(&self) -> Option<&'a Operation> {
        self.contract.operations().iter().find(|operation| operation.label() == self.label())
    }

    /// The place in the request that it is about, as policies write it: `query.q`, `body./a/b`.
    pub(super) fn place(&self) -> Option<String> {
        let part = self.item.places.first()?.part.as_deref()?;
        let (kind, name) = part.split_once(' ')?;
        let name = name.trim().trim_matches('`');
        match kind {
            "body" | "form" => Some(format!("body.{}", super::patch::starred(name))),
            "path" | "query" | "header" | "cookie" => Some(format!("{kind}.{name}")),
            _ => None,
        }
    }

    /// Whether it is about the body as a whole.
    pub(super) fn is_about_body(&self) -> bool {
        self.item.places.first().is_some_and(|place| place.part.as_deref() == Some("body"))
    }

    /// The label of the operation that an exchange of the proof called, where the contract has it.
    pub(super) fn called(&self, exchange: &Exchange) -> Option<String> {
        let url = &exchange.request.url;
        let start = url.find("://").map_or(0, |at| at + 3);
        let target = url.get(start..).and_then(|rest| rest.get(rest.find('/')?..))?;
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        match self.contract.route(&exchange.request.method, path, query) {
            Route::Found { operation, .. } => self.contract.operations().get(operation).map(Operation::label),
            _ => None,
        }
    }

    /// A cure of this operation alone.
    pub(super) fn here(&self, section: &'static str, value: Value) -> Cure {
        Cure::default().and(Scope::Operation(self.label().to_owned()), section, value)
    }
}

/// What a piece of policy is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Every operation.
    All,
    /// One, by its label.
    Operation(String),
}

/// A part of a policy: under the name of a guard, or `public`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) scope: Scope,
    pub(super) section: &'static str,
    pub(super) value: Value,
}

/// Pieces that close a finding together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cure {
    pub(super) pieces: Vec<Piece>,
}

impl Cure {
    /// With one piece more.
    pub(super) fn and(mut self, scope: Scope, section: &'static str, value: Value) -> Cure {
        self.pieces.push(Piece { scope, section, value });
        self
    }

    /// The guards that it speaks to.
    pub(super) fn guards(&self) -> Vec<&'static str> {
        let mut guards: Vec<&'static str> = Vec::new();
        for piece in self.pieces.iter().filter(|piece| piece.section != "public") {
            if !guards.contains(&piece.section) {
                guards.push(piece.section);
            }
        }
        guards
    }
}

/// A mapping with one member.
pub(super) fn one(key: &str, value: impl Into<Value>) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value.into())]))
}
