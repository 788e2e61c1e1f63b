//! The checks, one file each. The order of [`CHECKS`] is the order in which they run: reads first, what changes
//! something later, what may disturb last.

mod bola;
mod exposure;
mod login;
mod token;

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

/// All checks, in the order in which they run.
pub static CHECKS: &[&Check] = &[&bola::READ, &exposure::EXPOSURE, &token::TOKEN, &login::LOGIN];

/// The kind of finding with a code.
pub fn kind(code: &str) -> Option<&'static Kind> {
    CHECKS.iter().flat_map(|check| check.kinds).copied().find(|kind| kind.code == code)
}
