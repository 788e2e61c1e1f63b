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

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    #[test]
    fn every_shell_learns_the_commands() {
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut crate::commands::command_line(), "portcullis", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("explain") && script.contains("doctor"), "{shell}");
        }
        crate::commands::command_line().debug_assert();
    }
}
