//! Incidents, kept: the last ones in memory, all in `incidents.jsonl` in the data folder, one line for each beginning and
//! each end.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use portcullis_watch::Incident;
use serde::{Deserialize, Serialize};

/// An incident, and whether somebody was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(flatten)]
    pub(crate) incident: Incident,
    /// Whether an alert was handed to the webhook's queue.
    pub(crate) alerted: bool,
}

/// Incidents that are kept in memory.
const MOST: usize = 1000;

/// Bytes of the file before its older half goes.
const MOST_BYTES: u64 = 16 << 20;

/// The incidents of a gateway.
#[derive(Debug)]
pub(crate) struct Incidents {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: VecDeque<Kept>,
    begun: u64,
}

impl Incidents {
    /// Those of the gateway over `data`; none at first.
    pub(crate) fn open(data: &Path) -> Incidents {
        Incidents { path: file(data), inner: Mutex::default() }
    }

    /// Keeps one that begins or ends.
    pub(crate) fn keep(&self, kept: Kept) {
        if let Err(error) = self.write(&kept) {
            tracing::error!(%error, "an incident cannot be written down");
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.last.iter_mut().find(|known| known.incident.id == kept.incident.id) {
            Some(known) => *known = kept,
            None => {
                inner.begun += u64::from(!kept.incident.over);
                if inner.last.len() >= MOST {
                    inner.last.pop_front();
                }
                inner.last.push_back(kept);
            }
        }
    }

    /// Takes note of how one that goes on stands; it is written down when it is over.
    pub(crate) fn update(&self, incident: &Incident) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = inner.last.iter_mut().find(|known| known.incident.id == incident.id) {
            known.incident.clone_from(incident);
        }
    }

    fn write(&self, kept: &Kept) -> std::io::Result<()> {
        let mut line = serde_json::to_string(kept)?;
        line.push('\n');
        if std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > MOST_BYTES) {
            std::fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
        }
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(line.as_bytes())
    }

    /// Incidents that began.
    pub(crate) fn begun(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).begun
    }

    /// Those that go on.
    pub(crate) fn open_count(&self) -> usize {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last.iter().filter(|kept| !kept.incident.over).count()
    }

    /// The last ones as JSON, the newest first.
    pub(crate) fn json(&self) -> String {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let list: Vec<&Kept> = inner.last.iter().rev().collect();
        serde_json::to_string(&list).unwrap_or_default()
    }
}

fn file(data: &Path) -> PathBuf {
    data.join("incidents.jsonl")
}

/// The incidents that the gateway over `data` wrote down, each as it was last seen, the oldest first. Lines that cannot be
/// read are passed over and counted.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn read(data: &Path) -> std::io::Result<(Vec<Kept>, usize)> {
    let (mut found, mut broken): (Vec<Kept>, usize) = (Vec::new(), 0);
    let mut known: HashMap<String, usize> = HashMap::new();
    for path in [file(data).with_extension("jsonl.1"), file(data)] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file.take(4 * MOST_BYTES)).split(b'\n') {
            let Ok(kept) = serde_json::from_slice::<Kept>(&line?) else {
                broken += 1;
                continue;
            };
            match known.get(&kept.incident.id).and_then(|at| found.get_mut(*at)) {
                Some(before) => *before = kept,
                None => {
                    known.insert(kept.incident.id.clone(), found.len());
                    found.push(kept);
                }
            }
        }
    }
    Ok((found, broken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_watch::Subject;

    fn incident(id: &str, over: bool) -> Kept {
        Kept {
            incident: Incident {
                id: id.into(),
                detector: "refusal-spike".into(),
                subject: Subject::Client("192.0.2.7".parse().unwrap()),
                began: 1,
                last: 2,
                over,
                refusals: 20,
                unauthorized: 20,
                peak: 20,
                usual: 0.0,
                summary: "s".into(),
            },
            alerted: true,
        }
    }

    #[test]
    fn each_is_kept_once_as_it_was_last_seen() {
        let folder = tempfile::tempdir().unwrap();
        let incidents = Incidents::open(folder.path());
        incidents.keep(incident("a", false));
        incidents.keep(incident("b", false));
        let mut more = incident("b", false);
        more.incident.refusals = 99;
        incidents.update(&more.incident);
        assert!(incidents.json().contains("99"), "{}", incidents.json());
        incidents.keep(incident("a", true));
        assert_eq!((incidents.begun(), incidents.open_count()), (2, 1));
        std::fs::OpenOptions::new()
            .append(true)
            .open(file(folder.path()))
            .unwrap()
            .write_all(b"\xff\xfe\n{\"cut")
            .unwrap();
        let (kept, broken) = read(folder.path()).unwrap();
        assert_eq!(kept, [incident("a", true), incident("b", false)]);
        assert_eq!(broken, 2);
        assert!(incidents.json().contains("\"kind\":\"client\""), "{}", incidents.json());
    }
}
