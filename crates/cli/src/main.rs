//! `portcullis`: the command line over all the other crates. One file per command; the wiring of the gateway is
//! in [`gateway`].

mod commands;
mod config;
mod control;
mod exit;
mod files;
mod gateway;
mod nearest;
mod observe;
mod random;
mod report;
mod term;

use std::process::ExitCode;

/// A call allocates in short-lived pieces of a few sizes, on the thread that frees them: what a thread-local
/// allocator is best at. Measured by `cargo dev bench proxy`: a tenth of the CPU time of a call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::main()
}
