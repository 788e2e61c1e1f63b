//! `portcullis contract diff`.

use std::path::PathBuf;

use clap::ValueEnum;
use portcullis_openapi::Change;
use serde_json::json;

use super::{Format, Loaded, Reading, count, print_json};
use crate::exit::{Exit, Result};
use crate::term::{self, Style, fit, out};

/// What a newer document changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The document that clients were written for
    old: PathBuf,
    /// The document that is to take its place
    new: PathBuf,
    /// Exit with 1 if there is such a change; may be given twice
    #[arg(long, value_enum, value_name = "KIND")]
    fail_on: Vec<Kind>,
    /// Show the changes as well that neither break nor weaken anything
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    reading: Reading,
}

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Calls that were in order are refused, or answers hold what clients do not know
    Breaking,
    /// What was refused passes, or what was hidden shows
    Weaker,
}

/// Operations that are named for one change.
const NAMED: usize = 4;

pub(super) fn run(args: &Args) -> Result {
    let old = Loaded::of(&args.old, &args.reading)?;
    let new = Loaded::of(&args.new, &args.reading)?;
    let changes = old.contract.changes(&new.contract);
    let breaking = changes.iter().filter(|change| change.breaking).count();
    let weaker = changes.iter().filter(|change| change.weaker).count();
    match args.reading.format {
        Format::Json => print_json(&json!({
            "old": args.old,
            "new": args.new,
            "breaking": breaking,
            "weaker": weaker,
            "changes": changes,
        })),
        Format::Text => {
            type Group = (&'static str, Style, fn(&Change) -> bool);
            let groups: [Group; 4] = [
                ("breaks clients and weakens protection", Style::Red, |one| one.breaking && one.weaker),
                ("weakens protection", Style::Red, |one| !one.breaking && one.weaker),
                ("breaks clients", Style::Yellow, |one| one.breaking && !one.weaker),
                ("other changes", Style::Cyan, |one| !one.breaking && !one.weaker),
            ];
            for (index, (title, style, belongs)) in groups.into_iter().enumerate() {
                let list: Vec<&Change> = changes.iter().filter(|change| belongs(change)).collect();
                if list.is_empty() || index == 3 && !args.all {
                    continue;
                }
                term::say(format_args!("{} ({})", out(style, title), list.len()));
                list.iter().for_each(|change| print(&old, &new, change));
                term::say("");
            }
            let hidden = changes.iter().filter(|change| !change.breaking && !change.weaker).count();
            let hint = match (args.all, hidden) {
                (true, _) | (_, 0) => String::new(),
                (false, hidden) => {
                    format!("; {} not shown (--all shows them)", count(hidden, "other change"))
                }
            };
            term::say(format_args!(
                "{} break{} clients, {} weaken{} protection{hint}",
                count(breaking, "change"),
                if breaking == 1 { "s" } else { "" },
                count(weaker, "change"),
                if weaker == 1 { "s" } else { "" },
            ));
        }
    }
    let found = |kind: &Kind| match kind {
        Kind::Breaking => breaking > 0,
        Kind::Weaker => weaker > 0,
    };
    Ok(if args.fail_on.iter().any(found) { Exit::Failed } else { Exit::Ok })
}

fn print(old: &Loaded, new: &Loaded, change: &Change) {
    let what = match change.part.is_empty() {
        true => change.what.clone(),
        false => format!("{}: {}", change.part, change.what),
    };
    term::say(format_args!("  {}", fit(&what, 240)));
    let mut named: Vec<&str> = change.operations.iter().take(NAMED).map(String::as_str).collect();
    let more = format!("{} more", change.operations.len().saturating_sub(NAMED));
    if change.operations.len() > NAMED {
        named.push(&more);
    }
    // What is gone stands in the old document only.
    let loaded = if change.what == "the operation is gone" { old } else { new };
    let place = loaded.place(&change.place);
    let about = if named.is_empty() { "the whole contract".to_owned() } else { named.join(", ") };
    term::say(format_args!("    {}", out(Style::Dim, format_args!("{about}  {place}"))));
}
