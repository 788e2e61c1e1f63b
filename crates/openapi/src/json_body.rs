//! JSON bodies: judged in one pass over their bytes, and explained when they do not fit.

use std::borrow::Cow;

use serde_json::Value;

use crate::Checks;
use crate::checks::{report, violation};
use crate::contract::Contract;
use crate::report::{Violation, ViolationKind};
use crate::schema::{Direction, ExtraKind, Fault, Findings, Purpose, SchemaId, Unfit, Wanted};

impl Contract {
    /// Checks a JSON body. Nothing is allocated if it is in order.
    pub(crate) fn check_json(
        &self,
        schema: SchemaId,
        body: &[u8],
        direction: Direction,
        checks: Checks,
    ) -> Vec<Violation> {
        match self.read_json(schema, body, direction, checks, Purpose::Judge) {
            Ok(found) if found.extras.is_empty() => Vec::new(),
            Ok(found) => extras(found, direction).collect(),
            Err(Unfit::Fault(fault, line, column)) => vec![faulty(fault, line, column)],
            Err(Unfit::Invalid) => self.explain_json(schema, body, direction, checks),
        }
    }

    /// A JSON body without the members that `checks` looks for; nothing if there are none.
    pub(crate) fn strip_json(
        &self,
        schema: SchemaId,
        body: &[u8],
        direction: Direction,
        checks: Checks,
    ) -> Result<Option<Vec<u8>>, Violation> {
        match self.read_json(schema, body, direction, checks, Purpose::Cut) {
            Ok(found) if found.cuts.is_empty() => Ok(None),
            Ok(found) => Ok(Some(without(body, &found.cuts))),
            Err(unfit) => Err(unreadable(unfit)),
        }
    }

    pub(crate) fn read_json(
        &self,
        schema: SchemaId,
        body: &[u8],
        direction: Direction,
        checks: Checks,
        purpose: Purpose,
    ) -> Result<Findings, Unfit> {
        let wanted = Wanted { undescribed: checks.unknown_properties, wrong_direction: checks.access };
        self.schemas.read(schema, body, direction, wanted, purpose, checks.limits)
    }

    /// Members that should not be there in a value that did not come as JSON.
    pub(crate) fn extras_of(
        &self,
        schema: SchemaId,
        value: &Value,
        direction: Direction,
        checks: Checks,
    ) -> Vec<Violation> {
        let text = value.to_string();
        match self.read_json(schema, text.as_bytes(), direction, checks, Purpose::Find) {
            Ok(found) => extras(found, direction).collect(),
            Err(_) => vec![too_hard()],
        }
    }

    /// Says what is wrong with a body that was found wrong. This is the way of few bodies, and may cost more.
    fn explain_json(
        &self,
        schema: SchemaId,
        body: &[u8],
        direction: Direction,
        checks: Checks,
    ) -> Vec<Violation> {
        // That it is no JSON further on comes before that something in it does not fit.
        let silent = Checks { unknown_properties: false, access: false, ..checks };
        if let Err(Unfit::Fault(fault, line, column)) =
            self.read_json(SchemaId::ANY, body, direction, silent, Purpose::Judge)
        {
            return vec![faulty(fault, line, column)];
        }
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return vec![faulty(Fault::Malformed, 1, 1)];
        };
        let issues = self.schemas.explain(schema, &value, direction);
        let mut out = report(issues, ViolationKind::InvalidBody);
        if checks.unknown_properties || checks.access {
            match self.read_json(schema, body, direction, checks, Purpose::Find) {
                Ok(found) => out.extend(extras(found, direction)),
                // What was not looked at must not pass where only the schema is watched and not enforced.
                Err(_) => out.push(too_hard()),
            }
        }
        out
    }
}

/// A text without some spans of it, which are in order and disjoint.
pub(crate) fn without(text: &[u8], cuts: &[(usize, usize)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for (from, to) in cuts {
        out.extend_from_slice(text.get(at..*from).unwrap_or_default());
        at = *to;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out
}

/// What is wrong with a body that could not be read.
pub(crate) fn unreadable(unfit: Unfit) -> Violation {
    match unfit {
        Unfit::Fault(fault, line, column) => faulty(fault, line, column),
        Unfit::Invalid => too_hard(),
    }
}

fn too_hard() -> Violation {
    violation(ViolationKind::Unenforceable, "", "a simpler value: this one takes too many steps to judge")
}

fn faulty(fault: Fault, line: usize, column: usize) -> Violation {
    let (kind, expected) = match fault {
        Fault::Malformed => (ViolationKind::MalformedBody, "JSON"),
        Fault::DuplicateKey => (ViolationKind::DuplicateKey, "each member once"),
        Fault::TooComplex => (ViolationKind::TooComplexBody, "fewer values, less deeply nested"),
    };
    violation(kind, "", Cow::from(format!("{expected} at line {line} column {column}")))
}

fn extras(found: Findings, direction: Direction) -> impl Iterator<Item = Violation> {
    found.extras.into_iter().map(move |extra| {
        let (kind, expected) = match (extra.kind, direction) {
            (ExtraKind::Undescribed, _) => (ViolationKind::UnknownProperty, "a property that is described"),
            (ExtraKind::WrongDirection, Direction::Request) => {
                (ViolationKind::ReadOnlyProperty, "no property that only the server may set")
            }
            (ExtraKind::WrongDirection, Direction::Response) => {
                (ViolationKind::WriteOnlyProperty, "no property that only the client may send")
            }
        };
        violation(kind, &extra.pointer, expected)
    })
}
