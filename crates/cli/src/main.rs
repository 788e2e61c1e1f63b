//! `portcullis`: the command line over all the other crates. One file per command; the wiring of the gateway is
//! in [`gateway`].

mod commands;
mod config;
mod control;
mod exit;
mod gateway;
mod nearest;
mod observe;
mod random;
mod term;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
