//! `portcullis completions`: what a shell needs to complete the command line.

use clap_complete::Shell;

use crate::exit::{Exit, Result};
use crate::term;

/// Write the completions of a shell to standard output.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "bash:  portcullis completions bash > ~/.local/share/bash-completion/completions/portcullis\n\
                        zsh:   portcullis completions zsh > \"${fpath[1]}/_portcullis\"\n\
                        fish:  portcullis completions fish > ~/.config/fish/completions/portcullis.fish"
)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command_line(), "portcullis", &mut script);
    term::print(String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}
