//! Where advisories come from: files, folders and archives in the OSV format, read once and kept only as far as they
//! speak of packages that are used.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_openapi::read_within;
use serde_json::Value;

use super::inventory::Inventory;
use super::osv::Advisory;
use super::version::Ecosystem;

/// The most bytes of one advisory.
const MAX_ADVISORY: u64 = 16 << 20;

/// Why advisories could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct AdvisoryError {
    /// Which file or folder.
    pub path: PathBuf,
    /// What was wrong.
    pub what: String,
}

/// The advisories about the packages of some inventories.
#[derive(Debug, Default)]
pub struct Advisories {
    wanted: HashMap<Ecosystem, HashSet<String>>,
    by_package: HashMap<(Ecosystem, String), Vec<Arc<Advisory>>>,
    exploited: HashSet<String>,
    seen: usize,
    broken: Vec<String>,
}

impl Advisories {
    /// Nothing yet, for the packages of `inventories`.
    pub fn for_packages<'a>(inventories: impl IntoIterator<Item = &'a Inventory>) -> Advisories {
        let mut advisories = Advisories::default();
        for (_, package) in inventories.into_iter().flat_map(Inventory::iter) {
            let name = package.ecosystem.canonical_name(&package.name);
            advisories.wanted.entry(package.ecosystem).or_default().insert(name);
        }
        advisories
    }

    /// Reads `path`: an OSV file (`.json`, one advisory or an array; `.jsonl`), a ZIP archive of such (what the OSV
    /// service offers for each ecosystem), CISA's catalogue of exploited flaws, or a folder with any of them.
    ///
    /// # Errors
    /// If `path` cannot be read. Broken advisories inside it are counted and passed over: [`Advisories::broken`].
    pub fn read(&mut self, path: &Path) -> Result<(), AdvisoryError> {
        let mut folders = vec![path.to_path_buf()];
        let mut visited = 0usize;
        while let Some(path) = folders.pop() {
            let error = |what: String| AdvisoryError { path: path.clone(), what };
            let kind = fs::metadata(&path).map_err(|e| error(e.to_string()))?;
            if !kind.is_dir() {
                self.read_file(&path)?;
                continue;
            }
            visited += 1;
            if visited > 100_000 {
                return Err(error("more than 100,000 folders in it".to_owned()));
            }
            for entry in fs::read_dir(&path).map_err(|e| error(e.to_string()))? {
                let entry = entry.map_err(|e| error(e.to_string()))?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                // Links are not followed inside a folder: they could lead in a circle.
                let kind = entry.file_type().map_err(|e| error(e.to_string()))?;
                let known = [".json", ".jsonl", ".zip"].iter().any(|end| name.ends_with(end));
                if !name.starts_with('.') && (kind.is_dir() || kind.is_file() && known) {
                    folders.push(entry.path());
                }
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), AdvisoryError> {
        let error = |what: String| AdvisoryError { path: path.to_path_buf(), what };
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if extension == "zip" {
            let file = File::open(path).map_err(|e| error(e.to_string()))?;
            let mut archive = zip::ZipArchive::new(BufReader::new(file))
                .map_err(|e| error(format!("no whole ZIP archive: {e}; fetch it again")))?;
            for at in 0..archive.len() {
                let mut entry = archive.by_index(at).map_err(|e| error(e.to_string()))?;
                let inner = entry.name().map(|name| name.into_owned()).unwrap_or_default();
                if !inner.ends_with(".json") {
                    continue;
                }
                let name = format!("{}:{inner}", path.display());
                let mut bytes = Vec::new();
                // The size in the directory may lie: reading stops by itself.
                match (&mut entry).take(MAX_ADVISORY + 1).read_to_end(&mut bytes) {
                    Ok(read) if read as u64 <= MAX_ADVISORY => self.take(&name, &bytes),
                    Ok(_) => self.broken.push(format!("{name}: larger than 16 MiB")),
                    Err(e) => self.broken.push(format!("{name}: {e}")),
                }
            }
            return Ok(());
        }
        let bytes = read_within(path, MAX_ADVISORY * 16).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => {
                error("larger than 256 MiB; give a ZIP archive or a folder instead".to_owned())
            }
            _ => error(e.to_string()),
        })?;
        let name = path.display().to_string();
        if extension == "jsonl" {
            for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
                if !line.trim_ascii().is_empty() {
                    self.take(&format!("{name}:{}", at + 1), line);
                }
            }
        } else {
            self.take(&name, &bytes);
        }
        Ok(())
    }

    /// Takes one file's content: an advisory, an array of them, or the catalogue of exploited flaws.
    fn take(&mut self, name: &str, bytes: &[u8]) {
        match bytes.trim_ascii_start().first() {
            Some(b'[') => match serde_json::from_slice::<Vec<Value>>(bytes) {
                Ok(all) => {
                    for value in all {
                        self.advisory(name, serde_json::from_value(value));
                    }
                }
                Err(error) => self.broken.push(format!("{name}: {error}")),
            },
            // Parsed without a tree first: most advisories are about packages that nobody here uses.
            _ => match serde_json::from_slice::<Advisory>(bytes) {
                Ok(advisory) if advisory.id.is_empty() => self.catalogue(name, bytes),
                read => self.advisory(name, read),
            },
        }
    }

    fn advisory(&mut self, name: &str, read: Result<Advisory, serde_json::Error>) {
        let advisory = match read {
            Ok(advisory) if !advisory.id.is_empty() => Arc::new(advisory),
            Ok(_) => return self.broken.push(format!("{name}: no `id` in it: no advisory")),
            Err(error) => return self.broken.push(format!("{name}: {error}")),
        };
        self.seen += 1;
        for affected in &advisory.affected {
            let Ok(ecosystem) = affected.package.ecosystem.parse::<Ecosystem>() else { continue };
            let name = ecosystem.canonical_name(&affected.package.name);
            if self.wanted.get(&ecosystem).is_some_and(|names| names.contains(&name)) {
                let list = self.by_package.entry((ecosystem, name)).or_default();
                if !list.iter().any(|known| known.id == advisory.id) {
                    list.push(Arc::clone(&advisory));
                }
            }
        }
    }

    /// CISA's catalogue: `{ "vulnerabilities": [{ "cveID": … }] }`.
    fn catalogue(&mut self, name: &str, bytes: &[u8]) {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let Some(list) = value.get("vulnerabilities").and_then(Value::as_array) else {
            return self.broken.push(format!("{name}: no `id` in it: no advisory"));
        };
        self.exploited
            .extend(list.iter().filter_map(|entry| entry.get("cveID")?.as_str().map(str::to_owned)));
    }

    /// How many advisories were read, about whatever package.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// How many flaws are known to be exploited.
    pub fn exploited(&self) -> usize {
        self.exploited.len()
    }

    /// What could not be read inside files and folders that could.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// The advisories about one package.
    pub fn about(&self, ecosystem: Ecosystem, name: &str) -> &[Arc<Advisory>] {
        self.by_package.get(&(ecosystem, ecosystem.canonical_name(name))).map_or(&[], Vec::as_slice)
    }

    /// Whether a flaw is known to be exploited, by its name or one of its aliases.
    pub fn is_exploited(&self, advisory: &Advisory) -> bool {
        std::iter::once(&advisory.id).chain(&advisory.aliases).any(|id| self.exploited.contains(id))
    }
}
