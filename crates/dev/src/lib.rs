//! The project's own chores, as a library: `cargo dev` is a thin shell over it, and the end-to-end tests use
//! it to find the programs that `cargo dev setup` installed.

#![expect(clippy::print_stdout, reason = "the chores talk to the person who runs them")]

pub mod bench;
pub mod cache;
pub mod docs;
pub mod fuzz;
pub mod process;
pub mod release;
pub mod server;
pub mod setup;
pub mod suite;
pub mod walls;

use std::fmt;

/// Why a chore could not be done, in words for the person who ran it.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with a message: lower case, what went wrong and what to do next.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What every chore answers.
pub type Outcome<T = ()> = Result<T, Failure>;
