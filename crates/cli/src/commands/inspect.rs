//! `portcullis inspect`: how a value is judged, and why.

use portcullis_inspect::{Place, inspect};

use crate::exit::{Exit, Result};
use crate::term;

/// Explains how a value would be judged: which attack it carries, how sure that is, and what gave it away.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The value, as the API would read it
    value: String,
    /// Where it stands
    #[arg(long = "as", value_enum, default_value_t = Where::Query)]
    place: Where,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Where {
    Query,
    Json,
    Header,
    Path,
}

pub(crate) fn run(args: &Args) -> Result {
    let place = match args.place {
        Where::Query => Place::Query,
        Where::Json => Place::Body,
        Where::Header => Place::Header,
        Where::Path => Place::Path,
    };
    let Some(verdict) = inspect(args.value.as_bytes(), place) else {
        term::say("ordinary: nothing in it that an interpreter would run".to_owned());
        return Ok(Exit::Ok);
    };
    let what = if verdict.is_attack() { "attack" } else { "suspicious, let through" };
    term::say(format!(
        "{what}: {verdict}\n  seen:  {}\n  code:  inspect-{} (CWE-{})",
        verdict.evidence,
        verdict.class.name(),
        verdict.class.cwe()
    ));
    Ok(if verdict.is_attack() { Exit::Failed } else { Exit::Ok })
}
