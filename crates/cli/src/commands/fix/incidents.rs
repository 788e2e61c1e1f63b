//! Incidents of a gateway as findings: what was tried there is made dearer to try.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_engine::Owasp;
use portcullis_openapi::{Contract, Operation};
use portcullis_watch::{Incident, Subject};

use crate::exit::{Failure, Result};
use crate::gateway::watch;
use crate::report::{Confidence, Evidence, Item, Place, Severity, State};

/// The name of the file in a gateway's data folder.
const FILE: &str = "incidents.jsonl";

/// The data folder that `path` means, where it is one or its file of incidents.
pub(super) fn folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let named = path.file_name().is_some_and(|name| name == FILE);
    named.then(|| path.parent().map(Path::to_path_buf).unwrap_or_default())
}

/// The incidents of the gateway over the data folder `data`, each subject once: the last of it counts.
///
/// # Errors
/// If they cannot be read, or there are none.
pub(super) fn read(data: &Path, contract: &Contract) -> Result<Vec<Item>> {
    let shown = data.display();
    let (kept, broken) = watch::read(data)
        .map_err(|error| Failure::Usage(format!("`{shown}`: its incidents cannot be read: {error}")))?;
    if kept.is_empty() {
        let unread =
            if broken > 0 { format!(" ({broken} lines of {FILE} are not read)") } else { String::new() };
        return Err(Failure::Usage(format!(
            "`{shown}` holds no incidents{unread}; expected the data folder of a gateway that saw some, or a report"
        )));
    }
    let last: BTreeMap<Subject, Incident> =
        kept.into_iter().map(|kept| (kept.incident.subject.clone(), kept.incident)).collect();
    Ok(last.into_values().map(|incident| item(incident, contract)).collect())
}

fn item(incident: Incident, contract: &Contract) -> Item {
    let guessing = incident.unauthorized * 2 > incident.refusals;
    let (operation, part) = match &incident.subject {
        Subject::Operation(name) => (Some(label(contract, name)), None),
        subject => (None, Some(subject.to_string())),
    };
    let fix = match &incident.subject {
        Subject::Consumer(_) => {
            "Ask whose key it is; `portcullis keys rotate` gives its owner another, `portcullis keys revoke` ends it"
        }
        _ => {
            "See with `portcullis log` what was tried; log-ins should be slowed down and told to their users"
        }
    };
    let place = Place { operation, part, ..Place::default() };
    let fingerprint = Item::fingerprint_of(&incident.detector, &place.to_string());
    Item {
        code: incident.detector,
        title: "Refusals far above what is usual".into(),
        detail: incident.summary,
        owasp: if guessing { Owasp::Api2 } else { Owasp::Api4 },
        cwe: if guessing { GUESSING } else { 799 },
        severity: Severity::Medium,
        confidence: Confidence::Confirmed,
        places: vec![place],
        evidence: Evidence {
            proof: format!(
                "{} refusals, {} of them 401, at most {} in a minute where {:.1} are usual",
                incident.refusals, incident.unauthorized, incident.peak, incident.usual
            ),
            ..Evidence::default()
        },
        fix: fix.into(),
        patch: None,
        points: None,
        fingerprint,
        state: State::New,
    }
}

/// CWE-307: too many tries to authenticate.
pub(super) const GUESSING: u16 = 307;

/// The label of the operation that records call `name`.
fn label(contract: &Contract, name: &str) -> String {
    let named = |one: &&Operation| one.id.as_deref() == Some(name);
    contract.operations().iter().find(named).map_or_else(|| name.to_owned(), Operation::label)
}
