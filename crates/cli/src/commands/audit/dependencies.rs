//! Lock files and SBOMs in a report: known vulnerabilities, each with its way into the project and its fix.

use std::path::{Path, PathBuf};

use portcullis_audit::dependencies::{Advisories, Band, Inventory, Vulnerable, audit, lock};
use portcullis_engine::Owasp;

use crate::commands::advisories;
use crate::exit::{Failure, Result};
use crate::report::{Confidence, Evidence, Item, Place, Report, Rule, Severity, State};

const CODE: &str = "dependency-vulnerable";

/// The rule under which vulnerable dependencies are reported.
pub(crate) fn rule() -> Rule {
    Rule {
        code: CODE.into(),
        title: "Dependency with a known vulnerability".into(),
        page: "A package that the project uses, at the version that its lock file pins, has a published \
               vulnerability. Whoever reads the advisory can try it on every API that still runs the version.\n\n\
               Take the version in which it is fixed. Where a package in between holds it back, raise that one, or \
               override the version in the lock file. Where there is no fix, look whether the vulnerable part is \
               used, and accept the finding with a reason and a day in the ignore file.\n\n\
               CWE-1395; advisories in the OSV format, scores by CVSS 3 and 4."
            .into(),
        owasp: Owasp::Api8,
        cwe: 1395,
        severity: Severity::Critical,
    }
}

/// Whether this is a file that [`collect`] reads, by its name.
pub(crate) fn is_lock(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| lock::format_of(name).is_some())
}

/// Reads one lock file or SBOM, within [`lock::MAX_BYTES`].
///
/// # Errors
/// If it cannot be read, is too large, or is of another kind.
pub(crate) fn read(path: &Path) -> Result<Inventory> {
    let wrong = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
    let bytes = super::read_file(path, lock::MAX_BYTES)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    lock::read(name, &bytes).map_err(|error| wrong(error.to_string()))
}

/// Adds to `report` what `sources` know of the packages in `files`. Without `sources` the folder is used that
/// `portcullis advisories` keeps.
///
/// # Errors
/// If a file or a source cannot be read.
pub(crate) fn collect(report: &mut Report, files: &[PathBuf], sources: &[PathBuf]) -> Result<()> {
    let mut inventories = Vec::new();
    for path in files {
        inventories.push((path, read(path)?));
    }
    let mut known = Advisories::for_packages(inventories.iter().map(|(_, inventory)| inventory));
    let kept = advisories::folder();
    match (sources, &kept) {
        ([], Some(folder)) if folder.is_dir() => {
            known.read(folder).map_err(Failure::incomplete)?;
        }
        ([], _) => {}
        (sources, _) => {
            for source in sources {
                known.read(source).map_err(Failure::usage)?;
            }
        }
    }
    report.rules.push(rule());
    report.fact("advisories", known.seen());
    report.fact("packages", inventories.iter().map(|(_, inventory)| inventory.len()).sum::<usize>());
    if known.seen() == 0 {
        report.incomplete = Some(
            "there are no advisories to compare with; bring them with `portcullis advisories import FILE`, or name a \
             folder with `--advisories`"
                .into(),
        );
    }
    for broken in known.broken().iter().take(5) {
        report.notes.push(format!("an advisory could not be read: {broken}"));
    }
    if known.broken().len() > 5 {
        report.notes.push(format!("{} more advisories could not be read", known.broken().len() - 5));
    }
    for (path, inventory) in &inventories {
        let file = path.display().to_string();
        for note in inventory.notes() {
            report.notes.push(format!("{file}: {note}"));
        }
        let found = audit(inventory, &known);
        for (package, what) in &found.unknown {
            report.notes.push(format!("{file}: `{}` could not be judged: {what}", package.name));
        }
        report.items.extend(found.vulnerable.iter().map(|flaw| item(&file, flaw)));
    }
    Ok(())
}

fn item(file: &str, flaw: &Vulnerable<'_>) -> Item {
    let package = flaw.package;
    let advisory = &flaw.advisory;
    let named = format!("{} {}", package.name, package.version);
    let summary = match advisory.summary.trim() {
        "" => advisory.details.trim().lines().next().unwrap_or_default().chars().take(160).collect(),
        summary => summary.to_owned(),
    };
    let severity = match flaw.band {
        Band::Critical => Severity::Critical,
        Band::High => Severity::High,
        Band::Low => Severity::Low,
        Band::Medium | Band::Unknown => Severity::Medium,
    };
    let way: Vec<String> = flaw.path.iter().map(|step| format!("{} {}", step.name, step.version)).collect();
    let mut proof = format!("`{file}` pins {named}; {} says that this version is affected.", advisory.id);
    if way.len() > 1 {
        proof.push_str(&format!(" It comes in by {}.", way.join(" → ")));
    }
    if let Some((score, vector)) = &flaw.cvss {
        proof.push_str(&format!(" Its score is {score:.1} ({vector})."));
    }
    if flaw.exploited {
        proof.push_str(" It is known to be exploited.");
    }
    if flaw.development {
        proof.push_str(" The package is needed only to build and test.");
    }
    let links: Vec<&str> = advisory.references.iter().map(|link| link.url.as_str()).take(3).collect();
    let fix = match (&flaw.fixed, flaw.path.as_slice()) {
        (Some(fixed), [_]) => format!("Raise {} to {fixed} or later.", package.name),
        (Some(fixed), [direct, ..]) => format!(
            "Raise {} to {fixed} or later; `{}` asks for it, so raise that one, or override the version.",
            package.name, direct.name
        ),
        _ => format!(
            "There is no fixed version of {}. Look whether the vulnerable part is used; replace the package, or \
             accept the finding with a reason and a day.",
            package.name
        ),
    };
    Item {
        code: CODE.into(),
        title: format!("{named}: {}", flaw.names.join(", ")),
        detail: if links.is_empty() { summary } else { format!("{summary}\n\n{}", links.join("\n")) },
        owasp: Owasp::Api8,
        cwe: 1395,
        severity: if flaw.exploited { Severity::Critical } else { severity },
        confidence: Confidence::Confirmed,
        places: vec![Place { part: Some(named.clone()), file: Some(file.to_owned()), ..Place::default() }],
        evidence: Evidence { proof, exchanges: Vec::new(), ..Evidence::default() },
        fix,
        patch: None,
        points: None,
        fingerprint: Item::fingerprint_of(
            CODE,
            &format!("{}\0{}\0{}", package.ecosystem, package.name, advisory.id),
        ),
        state: State::New,
    }
}
