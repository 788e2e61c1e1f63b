//! Descriptions in a report: findings, scores, fixes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_audit::contract::{self as audit, Audit, Edit, Finding, Options, RULES, apply};
use portcullis_openapi::Folder;
use time::OffsetDateTime;

use crate::exit::{Exit, Failure, Result};
use crate::report::{Confidence, Evidence, Item, Patch, Place, Report, Rule, Section, Severity, State};
use crate::term::{self, Table};

/// Operations that are listed with their scores.
const WORST: usize = 15;

/// Which fixes are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fixes {
    /// Any at all.
    pub(super) write: bool,
    /// Those, too, that may turn away calls.
    pub(super) all: bool,
}

/// Prints the rules.
pub(super) fn list() -> Exit {
    let mut table = Table::new(&["code", "severity", "category", "what it finds"]);
    for rule in RULES {
        table.row(vec![
            (rule.code.to_owned(), None),
            (severity(rule.severity).to_string(), None),
            (crate::report::owasp_id(rule.owasp).to_owned(), None),
            (rule.title.to_owned(), None),
        ]);
    }
    term::print(table);
    Exit::Ok
}

/// Audits documents into a report; writes fixes first, where they are wanted.
pub(super) fn collect(
    report: &mut Report,
    paths: &[PathBuf],
    fixes: Fixes,
    now: OffsetDateTime,
) -> Result<()> {
    report.rules.extend(RULES.iter().map(|rule| described(rule)));
    let (mut operations, mut scores) = (0, Vec::new());
    let mut documents = Section {
        title: "Descriptions".into(),
        head: ["score", "operations", "schemas", "findings", "document"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    for path in paths {
        let mut found = read(path, fixes.write, now)?;
        if fixes.write {
            let before = found.score;
            let written = fix(path, &found, fixes.all)?;
            if written > 0 {
                found = read(path, false, now)?;
            }
            report.notes.push(format!(
                "`{}`: {written} fixes written, score {before:.0} before and {:.0} now",
                path.display(),
                found.score
            ));
        }
        operations += found.operations.len();
        scores.push(found.score);
        documents.rows.push(vec![
            format!("{:.0}", found.score),
            found.operations.len().to_string(),
            found.schemas.to_string(),
            found.findings.len().to_string(),
            path.display().to_string(),
        ]);
        if let [_] = paths {
            report.fact("description", format!("{} ({})", found.title, found.version));
            report.tables.extend(by_rule(&found));
            report.tables.extend(worst(&found));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        report.items.extend(found.findings.iter().map(|finding| item(finding, folder)));
    }
    report.fact("operations", operations);
    #[expect(clippy::cast_precision_loss, reason = "nobody audits 2^52 documents")]
    let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a score is between 0 and 100"
    )]
    let score = mean.clamp(0.0, 100.0).round() as u8;
    report.score = Some(score);
    if documents.rows.len() > 1 {
        documents.rows.sort_by_key(|row| row.first().and_then(|score| score.parse::<u32>().ok()));
        report.tables.insert(0, documents);
    }
    Ok(())
}

fn read(path: &Path, edits: bool, now: OffsetDateTime) -> Result<Audit> {
    let bytes = super::read_file(path, super::MAX_BYTES)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let options =
        Options { today: Some((now.year(), u8::from(now.month()), now.day())), edits, ..Options::default() };
    audit::audit(name, &bytes, &Folder::new(folder), &options).map_err(Failure::usage)
}

/// Writes fixes into the files that they are about. A file is written only if the document still reads, with all
/// its operations.
fn fix(path: &Path, found: &Audit, all: bool) -> Result<usize> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
    for edit in found.findings.iter().flat_map(|finding| &finding.edits).filter(|edit| all || edit.safe) {
        files.entry(&edit.source).or_default().push(edit);
    }
    let mut written = 0;
    for (name, edits) in files {
        // What came from a URL is not on this disk.
        let file = folder.join(name);
        if name.contains("://") || !file.is_file() {
            continue;
        }
        let failed = |error: std::io::Error| {
            Failure::Incomplete(format!("`{}` cannot be fixed: {error}", file.display()))
        };
        let text = std::fs::read_to_string(&file).map_err(failed)?;
        let (mark, body) = match text.strip_prefix('\u{feff}') {
            Some(body) => ("\u{feff}", body),
            None => ("", text.as_str()),
        };
        let fixed = apply(body, &edits);
        portcullis_openapi::source::Document::parse(name, fixed.as_bytes()).map_err(|error| {
            Failure::Incomplete(format!(
                "the fixes of `{}` would break it ({error}); nothing was written",
                file.display()
            ))
        })?;
        crate::report::save(&file, &format!("{mark}{fixed}"))?;
        written += edits.len();
    }
    Ok(written)
}

fn severity(severity: audit::Severity) -> Severity {
    match severity {
        audit::Severity::Info => Severity::Info,
        audit::Severity::Low => Severity::Low,
        audit::Severity::Medium => Severity::Medium,
        audit::Severity::High => Severity::High,
    }
}

fn described(rule: &audit::Rule) -> Rule {
    Rule {
        code: rule.code.into(),
        title: rule.title.into(),
        page: rule.page(),
        owasp: rule.owasp,
        cwe: rule.cwe,
        severity: severity(rule.severity),
    }
}

fn item(finding: &Finding, folder: &Path) -> Item {
    let rule = finding.rule;
    let about = match finding.subject.as_str() {
        "" => String::new(),
        subject => format!(": {subject}"),
    };
    let count = if finding.count > 1 { format!(", {} places", finding.count) } else { String::new() };
    let names: Vec<&str> =
        finding.hits.iter().map(|hit| hit.name.as_str()).filter(|name| !name.is_empty()).take(8).collect();
    let mut detail = format!("{}.", capital(rule.title));
    if !names.is_empty() {
        let more = if finding.count > names.len() { ", …" } else { "" };
        detail.push_str(&format!(" It concerns `{}`{more}.", names.join("`, `")));
    }
    if finding.operation_count > 1 {
        detail.push_str(&format!(" {} operations are concerned.", finding.operation_count));
    }
    let place = |hit: &audit::Hit| Place {
        operation: None,
        part: Some(if hit.pointer.is_empty() { hit.name.clone() } else { hit.pointer.clone() })
            .filter(|part| !part.is_empty()),
        file: Some(folder.join(&hit.source).display().to_string()),
        line: hit.line,
        column: hit.column,
    };
    let mut places: Vec<Place> = finding.hits.iter().map(place).collect();
    if let (Some(first), [operation]) = (places.first_mut(), finding.operations.as_slice()) {
        first.operation = Some(operation.clone());
    } else {
        places.extend(finding.operations.iter().map(Place::operation));
    }
    Item {
        code: rule.code.into(),
        title: format!("{}{about}{count}", rule.title),
        detail,
        owasp: rule.owasp,
        cwe: rule.cwe,
        severity: severity(finding.severity),
        confidence: if rule.suspects { Confidence::Likely } else { Confidence::Confirmed },
        places,
        evidence: Evidence::default(),
        fix: rule.fix.into(),
        patch: rule
            .guard
            .map(|(guard, what)| Patch { text: format!("Guard `{guard}`: {what}."), yaml: None }),
        points: Some(finding.points),
        fingerprint: Item::fingerprint_of(rule.code, &finding.key),
        state: State::New,
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What each rule costs: where to begin.
fn by_rule(found: &Audit) -> Option<Section> {
    let mut rules: BTreeMap<&str, (f64, usize, usize, Severity)> = BTreeMap::new();
    for finding in &found.findings {
        let entry = rules.entry(finding.rule.code).or_insert((0.0, 0, 0, severity(finding.severity)));
        entry.0 += finding.points;
        entry.1 += 1;
        entry.2 += finding.count;
    }
    let mut rows: Vec<_> = rules.into_iter().collect();
    rows.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then_with(|| a.0.cmp(b.0)));
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(code, (points, findings, places, severity))| {
            vec![
                code.into(),
                severity.to_string(),
                findings.to_string(),
                places.to_string(),
                format!("{points:.1}"),
            ]
        })
        .collect();
    let head = ["rule", "severity", "findings", "places", "points"].map(str::to_owned).to_vec();
    (!rows.is_empty()).then(|| Section { title: "What it costs".into(), head, rows })
}

fn worst(found: &Audit) -> Option<Section> {
    let mut operations: Vec<_> = found.operations.iter().filter(|one| one.score < 99.95).collect();
    operations.sort_by(|a, b| a.score.total_cmp(&b.score).then_with(|| a.operation.cmp(&b.operation)));
    let rows: Vec<Vec<String>> = operations
        .iter()
        .take(WORST)
        .map(|one| {
            let reasons: Vec<String> = one
                .reasons
                .iter()
                .take(3)
                .map(|reason| format!("{} −{:.0}", reason.code, reason.points))
                .collect();
            vec![format!("{:.0}", one.score), one.operation.clone(), reasons.join(", ")]
        })
        .collect();
    let title = format!("Operations with the lowest scores ({} of {})", rows.len(), found.operations.len());
    let head = ["score", "operation", "costs it the most"].map(str::to_owned).to_vec();
    (!rows.is_empty()).then_some(Section { title, head, rows })
}
