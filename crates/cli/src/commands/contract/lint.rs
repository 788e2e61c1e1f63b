//! `portcullis contract lint`.

use std::path::PathBuf;

use portcullis_openapi::{Problem, Severity};
use serde_json::{Value, json};

use super::{Format, Loaded, Reading, count, print_json};
use crate::exit::{Exit, Failure, Result};
use crate::term::{self, Style, fit, out};

/// What is wrong with documents.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// OpenAPI documents, JSON or YAML
    #[arg(required = true)]
    documents: Vec<PathBuf>,
    /// Fail for warnings as well
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    reading: Reading,
}

pub(super) fn run(args: &Args) -> Result {
    let (mut errors, mut warnings, mut broken) = (0, 0, 0);
    let mut list = Vec::new();
    for file in &args.documents {
        let loaded = match Loaded::of(file, &args.reading) {
            Ok(loaded) => loaded,
            Err(failure) => {
                broken += 1;
                list.push(json!({"document": file, "failed": failure.to_string()}));
                if args.reading.format == Format::Text {
                    term::say(format_args!("{} {failure}", out(Style::Red, "error:")));
                }
                continue;
            }
        };
        let problems = loaded.contract.problems();
        let operations = loaded.contract.operations();
        let refused = operations.iter().filter(|operation| !operation.unenforced.is_empty()).count();
        let found = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        errors += found;
        warnings += problems.len() - found;
        match args.reading.format {
            Format::Json => list.push(json!({
                "document": file,
                "operations": operations.len(),
                "refused": refused,
                "problems": problems.iter().map(|problem| as_json(&loaded, problem)).collect::<Vec<_>>(),
            })),
            Format::Text => {
                for problem in problems {
                    print(&loaded, problem);
                }
                let mark = match (found, problems.len()) {
                    (0, 0) => out(Style::Green, "ok"),
                    (0, _) => out(Style::Yellow, "warnings"),
                    _ => out(Style::Red, "errors"),
                };
                term::say(format_args!(
                    "{mark}  {}: {}, {}, {}{}",
                    file.display(),
                    count(operations.len(), "operation"),
                    count(found, "error"),
                    count(problems.len() - found, "warning"),
                    match refused {
                        0 => String::new(),
                        1 => "; 1 operation is refused, since what it says cannot be enforced".into(),
                        many =>
                            format!("; {many} operations are refused, since what they say cannot be enforced"),
                    }
                ));
            }
        }
    }
    if args.reading.format == Format::Json {
        print_json(&list);
    }
    if broken > 0 && args.documents.len() == broken {
        return Err(Failure::Usage(
            "no document could be read; name OpenAPI 3 or Swagger 2.0 documents".into(),
        ));
    }
    Ok(if errors + broken > 0 || args.strict && warnings > 0 { Exit::Failed } else { Exit::Ok })
}

fn print(loaded: &Loaded, problem: &Problem) {
    let (style, level) = match problem.severity {
        Severity::Error => (Style::Red, "error"),
        Severity::Warning => (Style::Yellow, "warning"),
    };
    let place = format!("{}:{}:{}", loaded.file(&problem.source), problem.line, problem.column);
    term::say(format_args!("{place}: {}: {}", out(style, level), fit(&problem.what, 300)));
    term::say(format_args!("    {} {}", out(Style::Dim, "expected"), fit(&problem.expected, 300)));
}

pub(super) fn as_json(loaded: &Loaded, problem: &Problem) -> Value {
    json!({
        "file": loaded.file(&problem.source),
        "line": problem.line,
        "column": problem.column,
        "pointer": problem.pointer,
        "severity": match problem.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "what": problem.what,
        "expected": problem.expected,
    })
}
