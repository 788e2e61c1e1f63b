//! How a report leaves: the options that all commands with findings share, and the exit code.

use std::io;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::baseline::Baseline;
use super::ignore::{self, Ignore};
use super::{Confidence, Report, Severity, State, har, html, json, junit, markdown, sarif, terminal};
use crate::exit::{Exit, Failure, Result};
use crate::term;

/// What becomes of findings.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Output {
    /// What is printed
    #[arg(long, value_name = "FORM", default_value = "terminal", help_heading = "Report")]
    pub(crate) format: Form,
    /// Also write a file, its form by its name: .json .sarif .xml (JUnit) .html .md .har; can be given again
    #[arg(long = "output", short = 'o', value_name = "FILE", help_heading = "Report")]
    pub(crate) files: Vec<PathBuf>,
    /// Show the evidence of each finding, too
    #[arg(long, help_heading = "Report")]
    pub(crate) details: bool,
    /// Findings that are known already; only new ones count
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write a baseline of what was found
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) write_baseline: Option<PathBuf>,
    /// Accepted findings, each with a reason and a day [default: .portcullis-ignore.yaml, where there is one]
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) ignore: Option<PathBuf>,
    /// Exit with 1 from this severity on
    #[arg(long, value_name = "SEVERITY", default_value = "low", help_heading = "Report")]
    pub(crate) fail_on: Severity,
    /// Suspected findings count for the exit code, too
    #[arg(long, help_heading = "Report")]
    pub(crate) strict: bool,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// A table for a person.
    Terminal,
    /// The whole model.
    Json,
    /// SARIF 2.1.0, for code hosts and IDEs.
    Sarif,
    /// JUnit XML, for CI servers.
    Junit,
    /// One self-contained page.
    Html,
    /// Markdown, for a comment on a change.
    Markdown,
    /// The exchanges of the findings, HAR 1.2.
    Har,
}

impl Form {
    fn of(path: &Path) -> Result<Form> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
        let ends = |end: &str| name.ends_with(end);
        Ok(match () {
            () if ends(".sarif") || ends(".sarif.json") => Form::Sarif,
            () if ends(".json") => Form::Json,
            () if ends(".xml") => Form::Junit,
            () if ends(".html") || ends(".htm") => Form::Html,
            () if ends(".md") => Form::Markdown,
            () if ends(".har") => Form::Har,
            () => {
                return Err(Failure::Usage(format!(
                    "`{}` does not say its form: expected a name in .json, .sarif, .xml, .html, .md or .har",
                    path.display()
                )));
            }
        })
    }

    fn write(self, report: &Report) -> String {
        match self {
            Form::Terminal => terminal::write(report, true),
            Form::Json => json::write(report),
            Form::Sarif => sarif::write(report),
            Form::Junit => junit::write(report),
            Form::Html => html::write(report),
            Form::Markdown => markdown::write(report),
            Form::Har => har::write(report),
        }
    }
}

impl Output {
    /// Looks for mistakes before the work begins, so that an hour's scan does not end in one.
    ///
    /// # Errors
    /// If a file's form is not known, its folder is missing, or the baseline or ignore file is wrong.
    pub(crate) fn check(&self, now: OffsetDateTime) -> Result<()> {
        for path in &self.files {
            Form::of(path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                return Err(Failure::Usage(format!(
                    "`{}` cannot be written: there is no folder `{}`",
                    path.display(),
                    folder.display()
                )));
            }
        }
        self.baseline.as_deref().map(Baseline::read).transpose()?;
        self.read_ignore(now)?;
        Ok(())
    }

    /// Applies baseline and ignore file, takes secrets out, writes everything, and answers how it ended.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub(crate) fn finish(&self, mut report: Report, now: OffsetDateTime) -> Result {
        self.apply(&mut report, now)?;
        if self.format == Form::Terminal {
            term::print(terminal::write(&report, self.details));
        } else {
            term::print(self.format.write(&report));
        }
        for path in &self.files {
            save(path, &Form::of(path)?.write(&report))?;
        }
        if let Some(path) = &self.write_baseline {
            save(path, &Baseline::of(&report).text())?;
        }
        Ok(self.exit(&report))
    }

    /// What happens before anything is written.
    pub(super) fn apply(&self, report: &mut Report, now: OffsetDateTime) -> Result<()> {
        report.redact();
        if let Some(ignore) = self.read_ignore(now)? {
            ignore.apply(report, now.date());
        }
        if let Some(path) = &self.baseline {
            let gone = Baseline::read(path)?.apply(report);
            if gone > 0 {
                report.notes.push(format!("{gone} findings of the baseline are gone; write it anew"));
            }
        }
        report.sort();
        Ok(())
    }

    /// 1 where something new reaches the severity, 3 where the run did not come to its end, else 0.
    pub(super) fn exit(&self, report: &Report) -> Exit {
        let counts = report.items.iter().any(|item| {
            item.state == State::New
                && item.severity >= self.fail_on
                && (self.strict || item.confidence != Confidence::Suspected)
        });
        match (counts, &report.incomplete) {
            (true, _) => Exit::Failed,
            (false, Some(_)) => Exit::Incomplete,
            (false, None) => Exit::Ok,
        }
    }

    fn read_ignore(&self, now: OffsetDateTime) -> Result<Option<Ignore>> {
        let default = Path::new(ignore::DEFAULT_FILE);
        match &self.ignore {
            Some(path) => Ignore::read(path, now.date()).map(Some),
            None if default.is_file() => Ignore::read(default, now.date()).map(Some),
            None => Ok(None),
        }
    }
}

/// Writes a file whole or not at all.
///
/// # Errors
/// If its folder cannot be written.
pub(crate) fn save(path: &Path, text: &str) -> Result<()> {
    let failed =
        |error: io::Error| Failure::Incomplete(format!("`{}` cannot be written: {error}", path.display()));
    let known = std::fs::metadata(path).ok();
    if known.as_ref().is_some_and(|known| !known.is_file()) {
        return std::fs::write(path, text).map_err(failed);
    }
    // What is written over keeps its place behind a link, and who may read it.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    if let Some(known) = known {
        file.as_file().set_permissions(known.permissions()).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
