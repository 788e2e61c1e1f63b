//! The checks, one file each. The order of [`CHECKS`] is the order in which they run: reads first, what changes
//! something later, what may disturb last.

mod alter;
mod bola;
mod config;
mod consumption;
mod exposure;
mod fixation;
mod flow;
mod function;
mod fuzz;
mod graphql;
mod hidden;
mod inject;
mod inventory;
mod login;
mod mass;
mod method;
mod path;
mod predictable;
mod query;
mod race;
mod reference;
mod replace;
mod replay;
mod resources;
mod role;
mod sql;
mod ssrf;
mod stored;
mod timing;
mod token;
mod upload;

pub(crate) use alter::{own_id, own_name};
pub(crate) use bola::READ as OBJECTS;
pub(crate) use sql::database_error;

use crate::finding::Kind;
use crate::session::{Outcome, Session};

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its name, for `--check` and the report.
    pub name: &'static str,
    /// What it tests, in a few words.
    pub about: &'static str,
    /// What it can find.
    pub kinds: &'static [&'static Kind],
    pub(crate) run: fn(&mut Session<'_>) -> Outcome,
}

impl Check {
    /// Whether it is about what callers do with operations, and so runs again in the names of each further kind of accounts;
    /// the others are about the API as a whole.
    pub(crate) fn is_of_callers(&self) -> bool {
        !matches!(
            self.name,
            "hidden-parameter"
                | "misconfiguration"
                | "inventory"
                | "path-confusion"
                | "graphql"
                | "session-fixation"
                | "unsafe-consumption"
        )
    }
}

/// All checks, in the order in which they run.
pub static CHECKS: &[&Check] = &[
    &bola::READ,
    &hidden::HIDDEN,
    &exposure::EXPOSURE,
    &token::TOKEN,
    &login::LOGIN,
    &fixation::FIXATION,
    &function::FUNCTION,
    &sql::SQL,
    &timing::TIMING,
    &query::QUERY,
    &inject::INJECT,
    &ssrf::SSRF,
    &config::CONFIG,
    &inventory::INVENTORY,
    &method::METHOD,
    &path::PATHS,
    &mass::MASS,
    &role::ROLE,
    &alter::ALTER,
    &replace::REPLACE,
    &stored::STORED,
    &flow::FLOW,
    &upload::UPLOAD,
    &reference::REFERENCE,
    &replay::REPLAY,
    &race::RACE,
    &predictable::PREDICTABLE,
    &resources::RESOURCES,
    &graphql::GRAPHQL,
    &consumption::CONSUMPTION,
    &fuzz::FUZZ,
];

/// The kind of finding with a code.
pub fn kind(code: &str) -> Option<&'static Kind> {
    CHECKS.iter().flat_map(|check| check.kinds).copied().find(|kind| kind.code == code)
}

/// A body without what changes by itself: times, long random words, request ids.
pub(crate) fn steady(text: &str) -> String {
    static MOVING: std::sync::LazyLock<Option<regex::Regex>> = std::sync::LazyLock::new(|| {
        regex::Regex::new(
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b1[6-9]\d{8}(\.\d+|\d{3})?\b|\b[0-9a-fA-F]{24,}\b|ey[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]+",
        )
        .ok()
    });
    match MOVING.as_ref() {
        Some(moving) => moving.replace_all(text, "~").into_owned(),
        None => text.to_owned(),
    }
}
