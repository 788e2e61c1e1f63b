//! What a rule is.

use std::fmt;

use portcullis_engine::Owasp;

use super::findings::Out;
use super::model::{Description, Operation, Parameter, Response, Schema, Scheme, Server};

/// How bad what a rule finds is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; costs no points.
    Info,
    /// A weakness that needs others to be of use.
    Low,
    /// A weakness that helps an attack.
    Medium,
    /// An attack works, or nearly.
    High,
}

impl Severity {
    /// The share of an operation's score that it costs at most.
    pub(crate) fn weight(self) -> f64 {
        match self {
            Severity::Info => 0.0,
            Severity::Low => 0.03,
            Severity::Medium => 0.08,
            Severity::High => 0.20,
        }
    }
}

/// One rule: a file in `rules/`, whose doc comment is its page, and a line in the registry.
pub struct Rule {
    /// Its stable code; never renamed.
    pub code: &'static str,
    /// What is wrong where it hits, in a few words.
    pub title: &'static str,
    /// What to do about it.
    pub fix: &'static str,
    /// The category of the OWASP API Security Top 10, edition 2023.
    pub owasp: Owasp,
    /// The Common Weakness Enumeration's number.
    pub cwe: u16,
    /// How bad.
    pub severity: Severity,
    /// Whether what it says needs a person to judge: a name that looks sensitive, not a fact of the document.
    pub suspects: bool,
    /// Whether all its hits in a document have one cause, and are one finding.
    pub once: bool,
    /// The guard of Portcullis that closes it, and what it does there.
    pub guard: Option<(&'static str, &'static str)>,
    /// Its source file, of which [`Rule::page`] is made.
    pub(crate) source: &'static str,
    /// Where it looks.
    pub(crate) hook: Hook,
}

/// Where a rule looks. Each schema, parameter, scheme and server is shown once, however often it is used.
pub(crate) enum Hook {
    Document(for<'t> fn(&Description<'t>, &mut Out<'_, 't>)),
    Operation(for<'t> fn(&Description<'t>, &Operation<'t>, &mut Out<'_, 't>)),
    Parameter(for<'t> fn(&Description<'t>, &Parameter<'t>, &mut Out<'_, 't>)),
    Response(for<'t> fn(&Description<'t>, &Operation<'t>, &Response<'t>, &mut Out<'_, 't>)),
    Schema(for<'t> fn(&Description<'t>, &Schema<'t>, &mut Out<'_, 't>)),
    Scheme(for<'t> fn(&Description<'t>, &Scheme<'t>, &mut Out<'_, 't>)),
    Server(for<'t> fn(&Description<'t>, &Server<'t>, &mut Out<'_, 't>)),
}

impl Rule {
    /// Its page: what it finds, the attack, how to fix it. Markdown.
    pub fn page(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn run<'t>(&'static self, description: &Description<'t>, out: &mut Out<'_, 't>) {
        match self.hook {
            Hook::Document(check) => check(description, out),
            Hook::Operation(check) => {
                description.operations.iter().for_each(|operation| check(description, operation, out));
            }
            Hook::Parameter(check) => {
                description.parameters.iter().for_each(|parameter| check(description, parameter, out));
            }
            Hook::Response(check) => {
                for operation in &description.operations {
                    for response in &operation.responses {
                        check(description, operation, response, out);
                    }
                }
            }
            Hook::Schema(check) => {
                description.schemas.iter().for_each(|schema| check(description, schema, out));
            }
            Hook::Scheme(check) => {
                description.schemes.iter().for_each(|scheme| check(description, scheme, out));
            }
            Hook::Server(check) => {
                description.servers.iter().for_each(|server| check(description, server, out));
            }
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("code", &self.code).finish_non_exhaustive()
    }
}
