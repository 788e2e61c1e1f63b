//! `cargo dev bench scan`: the tester beside Schemathesis and OFFAT, on applications that are weak on purpose and say where.
//!
//! What an application documents is data (`benches/scan`), in our own words: which kind of weakness, at which operation.
//! Whatever a tool reports beside that is judged there as well, with the reason, or listed as not judged.

pub(super) mod apps;
mod count;
pub(super) mod judge;
mod tools;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::setup::{self, Purpose, Source};
use crate::{Failure, Outcome, cache, release};
use apps::App;
use judge::{Judged, Sheet};
use tools::{Run, Tool};

/// What to run.
#[derive(Debug)]
pub struct Options {
    /// A folder with clones of the applications; those that are not there are left out.
    pub apps: Option<PathBuf>,
    /// Only applications whose title contains this.
    pub only: Option<String>,
    /// How often Portcullis scans each, every time with another seed.
    pub runs: u64,
    /// Whether the other tools have their turn.
    pub peers: bool,
    /// Whether the section of docs/scan.md is written.
    pub write: bool,
}

/// Scans every application with every tool, prints the table and what is not judged, and writes the table into the page.
///
/// # Errors
/// If something cannot be installed, an application does not start, or a tool does not run.
pub fn run(options: &Options) -> Outcome {
    let missing = setup::ensure(&[Purpose::Bench], Some(Source::Apt))?;
    if !missing.is_empty() {
        return Err(Failure::new(format!("still missing:\n  {}", missing.join("\n  "))));
    }
    let program = release::to_measure()?.program;
    let folder = cache::folder().join("bench-scan");
    fs::create_dir_all(&folder)?;
    let mut tools = vec![Tool::Portcullis(program.clone())];
    if options.peers {
        let python = apps::environment("peers", &["schemathesis==4.32.5", "offat==0.19.4"])?;
        tools.extend([Tool::Schemathesis(python.join("bin/st")), Tool::Offat(python.join("bin/offat"))]);
    }
    let mut rows = Vec::new();
    for name in ["vampi", "vuln-bank", "demo"] {
        let sheet = Sheet::read(name)?;
        if options.only.as_ref().is_some_and(|only| !sheet.title.contains(only.as_str())) {
            continue;
        }
        let Some(app) = App::new(&sheet.start, options.apps.as_deref(), &program, &folder)? else {
            eprintln!("{}: not in --apps, left out", sheet.title);
            continue;
        };
        for variant in &sheet.variants {
            let title = [&*sheet.title, &*variant.title].join(", ");
            let title = title.trim_end_matches(", ");
            for tool in &tools {
                let times = if matches!(tool, Tool::Portcullis(_)) { options.runs.max(1) } else { 1 };
                for seed in 1..=times {
                    eprintln!("{title}: {} {seed}", tool.title());
                    let run = tool.run(&app, variant, seed, &folder)?;
                    let judged = sheet.judge(&run.claims, variant);
                    tell(title, tool, &judged);
                    rows.push(Row { title: title.to_owned(), tool: tool.title(), run, judged });
                }
            }
        }
    }
    let section = section(&rows);
    eprintln!("{section}");
    if options.write {
        super::write_section("scan.md", "measured", &section)?;
    }
    Ok(())
}

/// One tool's run on one application.
#[derive(Debug)]
struct Row {
    title: String,
    tool: &'static str,
    run: Run,
    judged: Judged,
}

fn tell(title: &str, tool: &Tool, judged: &Judged) {
    let all: [(&str, &[String]); 4] = [
        ("missed", &judged.missed),
        ("false", &judged.wrong),
        ("not judged", &judged.open),
        ("although mended", &judged.mended),
    ];
    for (what, list) in all {
        for one in list {
            eprintln!("  {title}, {}: {what}: {one}", tool.title());
        }
    }
}

/// The table: a line for each tool on each application, the worst of its runs.
fn section(rows: &[Row]) -> String {
    let mut text = String::from(
        "| application | tool | runs | documented | detected | other findings that hold | false | not judged | requests | seconds |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut done: Vec<(&str, &str)> = Vec::new();
    for row in rows {
        let key = (&*row.title, row.tool);
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        let runs: Vec<&Row> = rows.iter().filter(|other| (&*other.title, other.tool) == key).collect();
        let range = |of: &dyn Fn(&Row) -> usize| {
            let all = || runs.iter().map(|row| of(row));
            match (all().min().unwrap_or(0), all().max().unwrap_or(0)) {
                (least, most) if least == most => most.to_string(),
                (least, most) => format!("{least} to {most}"),
            }
        };
        let seconds =
            |pick: fn(f64, f64) -> f64| runs.iter().map(|row| row.run.seconds).reduce(pick).unwrap_or(0.0);
        let (least, most) = (seconds(f64::min), seconds(f64::max));
        let seconds = if runs.len() == 1 { format!("{most:.0}") } else { format!("{least:.0} to {most:.0}") };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {seconds} |",
            row.title,
            row.tool,
            runs.len(),
            row.judged.documented,
            range(&|row| row.judged.detected.len()),
            range(&|row| row.judged.right.len()),
            range(&|row| row.judged.wrong.len() + row.judged.mended.len()),
            range(&|row| row.judged.open.len()),
            range(&|row| usize::try_from(row.run.requests).unwrap_or(0)),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_tool_stand_together() {
        let row = |seconds, detected: usize| Row {
            title: "Bank".into(),
            tool: "Portcullis",
            run: Run { claims: Vec::new(), requests: 7, seconds },
            judged: Judged {
                documented: 3,
                detected: (0..detected).map(|id| id.to_string()).collect(),
                ..Judged::default()
            },
        };
        let text = section(&[row(1.0, 2), row(9.4, 3)]);
        assert!(text.contains("| Bank | Portcullis | 2 | 3 | 2 to 3 | 0 | 0 | 0 | 7 | 1 to 9 |"), "{text}");
    }
}
