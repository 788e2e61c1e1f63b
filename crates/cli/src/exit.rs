//! Exit codes, the same for every command.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, nothing wrong.
    Ok,
    /// 1: done, and something was found wrong or did not hold.
    Failed,
    /// 2: the command line or a configuration file is wrong; nothing was done.
    Usage,
    /// 3: it could not be brought to its end: a file, a port, a peer failed.
    Incomplete,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Incomplete => 3,
        })
    }
}

/// Why a command could not do its work; printed after `error: `.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The user's input is wrong.
    #[error("{0}")]
    Usage(String),
    /// The world is.
    #[error("{0}")]
    Incomplete(String),
}

impl Failure {
    /// A wrong command line or file.
    pub(crate) fn usage(error: impl std::fmt::Display) -> Failure {
        Failure::Usage(error.to_string())
    }

    /// A file, a port or a peer that failed.
    pub(crate) fn incomplete(error: impl std::fmt::Display) -> Failure {
        Failure::Incomplete(error.to_string())
    }

    /// The exit code it stands for.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Usage(_) => Exit::Usage,
            Failure::Incomplete(_) => Exit::Incomplete,
        }
    }
}

/// What a command gives back.
pub(crate) type Result<T = Exit> = std::result::Result<T, Failure>;
