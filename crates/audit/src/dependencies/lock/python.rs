//! Python: `requirements.txt`, `poetry.lock`, `pdm.lock`, `uv.lock`, `Pipfile.lock` and `pylock.toml` (PEP 751).

use std::collections::HashMap;

use ::toml::Value as Toml;
use serde_json::Value;

use super::super::inventory::{Id, Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, field, json, members, tables, text, toml, word};

fn package(name: &str, version: &str) -> Package {
    Package { ecosystem: Ecosystem::PyPi, name: name.to_owned(), version: version.to_owned() }
}

fn key(name: &str) -> String {
    Ecosystem::PyPi.canonical_name(name)
}

/// `name[extra]==1.2.3 ; marker --hash=…`. What is not pinned to one version cannot be judged.
pub(super) fn requirements(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let mut inventory = Inventory::default();
    let joined = text(bytes)?.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut lines = 0usize;
    let mut strange = 0usize;
    for line in joined.lines() {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        lines += 1;
        if line.starts_with('-') {
            if line.starts_with("-r") || line.starts_with("--requirement") || line.starts_with("-c") {
                inventory.note(format!("`{line}` is another file: give it as well"));
            }
            continue;
        }
        let wanted = line.split(';').next().unwrap_or(line);
        let wanted = wanted.split(" --").next().unwrap_or(wanted).trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let end = wanted.find(|c| !is_name(c)).unwrap_or(wanted.len());
        let (name, rest) = wanted.split_at(end);
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(extras) => extras.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let rest = rest.trim();
        let pinned = rest.strip_prefix("===").or_else(|| rest.strip_prefix("=="));
        let pinned = pinned.map(str::trim).filter(|v| !v.contains([',', '*', ' ']) && !v.is_empty());
        match pinned {
            Some(version) if !name.is_empty() => {
                let id = inventory.add(package(name, version), false);
                inventory.direct(id);
            }
            _ if name.is_empty() || !rest.starts_with(['=', '<', '>', '!', '~', '@']) && !rest.is_empty() => {
                strange += 1;
                inventory.note("a line names no package: not judged".to_owned());
            }
            _ => inventory.note(format!(
                "`{name}` is not pinned to one version: not judged; `pip freeze` or `pip-compile` pins it"
            )),
        }
    }
    if lines > 0 && strange == lines {
        return Err(ReadError::new("no line names a package: expected a requirements file"));
    }
    Ok(inventory)
}

/// `poetry.lock`, and `pdm.lock`, which is alike.
pub(super) fn poetry(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = toml(bytes)?;
    let development = |entry: &::toml::Table| {
        let groups = entry.get("groups").and_then(Toml::as_array);
        let only = groups.is_some_and(|groups| {
            !groups.is_empty() && groups.iter().all(|g| !matches!(g.as_str(), Some("main" | "default")))
        });
        word(entry, "category") == Some("dev") || only
    };
    let needs = |entry: &::toml::Table| -> Vec<String> {
        match entry.get("dependencies") {
            Some(Toml::Table(table)) => table.keys().map(|name| key(name)).collect(),
            Some(Toml::Array(lines)) => {
                let lines = lines.iter().filter_map(Toml::as_str);
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                lines.map(|line| key(line.split(|c| !is_name(c)).next().unwrap_or_default())).collect()
            }
            _ => Vec::new(),
        }
    };
    graph(&lock, "package", "poetry.lock or pdm.lock", development, needs, |_| false)
}

/// `uv.lock`.
pub(super) fn uv(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = toml(bytes)?;
    let own = |entry: &::toml::Table| {
        let source = entry.get("source").and_then(Toml::as_table);
        source.is_some_and(|source| {
            ["virtual", "editable", "directory"].iter().any(|k| source.contains_key(*k))
        })
    };
    let needs = |entry: &::toml::Table| -> Vec<String> {
        let mut out: Vec<String> =
            tables(entry, "dependencies").filter_map(|needed| word(needed, "name")).map(key).collect();
        for kind in ["optional-dependencies", "dev-dependencies"] {
            let groups = entry.get(kind).and_then(Toml::as_table);
            for group in groups.into_iter().flat_map(|groups| groups.keys().map(move |k| (groups, k))) {
                let named = tables(group.0, group.1).filter_map(|needed| word(needed, "name"));
                out.extend(named.map(key));
            }
        }
        out
    };
    graph(&lock, "package", "uv.lock", |_| false, needs, own)
}

/// `pylock.toml` (PEP 751).
pub(super) fn pylock(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = toml(bytes)?;
    let needs = |entry: &::toml::Table| -> Vec<String> {
        tables(entry, "dependencies").filter_map(|needed| word(needed, "name")).map(key).collect()
    };
    graph(&lock, "packages", "pylock.toml", |_| false, needs, |_| false)
}

fn graph(
    lock: &::toml::Table,
    section: &str,
    expected: &str,
    development: impl Fn(&::toml::Table) -> bool,
    needs: impl Fn(&::toml::Table) -> Vec<String>,
    own: impl Fn(&::toml::Table) -> bool,
) -> Result<Inventory, ReadError> {
    if !lock.contains_key(section)
        && !lock.keys().any(|k| matches!(k.as_str(), "metadata" | "version" | "lock-version"))
    {
        return Err(ReadError::new(format!("no `[[{section}]]` in it: expected a {expected}")));
    }
    let mut inventory = Inventory::default();
    let mut by_name: HashMap<String, Vec<Id>> = HashMap::new();
    for entry in tables(lock, section).filter(|entry| !own(entry)) {
        let Some(name) = word(entry, "name") else {
            return Err(ReadError::new(format!("a `[[{section}]]` without name: expected a {expected}")));
        };
        let Some(version) = word(entry, "version") else {
            inventory.note(format!("`{name}` has no version: not judged"));
            continue;
        };
        let id = inventory.add(package(name, version), development(entry));
        by_name.entry(key(name)).or_default().push(id);
    }
    let mut said = false;
    for entry in tables(lock, section) {
        let this = word(entry, "name").filter(|_| !own(entry));
        let this: Vec<Id> = this.and_then(|name| by_name.get(&key(name))).cloned().unwrap_or_default();
        for needed in needs(entry).iter().filter_map(|name| by_name.get(name)).flatten() {
            if own(entry) {
                inventory.direct(*needed);
                said = true;
            }
            for this in &this {
                inventory.needs(*this, *needed);
            }
        }
    }
    if !said {
        inventory.roots_are_direct();
    }
    Ok(inventory)
}

/// `Pipfile.lock`.
pub(super) fn pipfile(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = json(bytes)?;
    if lock.get("_meta").is_none() || !lock.get("default").is_some_and(Value::is_object) {
        return Err(ReadError::new("no `_meta` and `default` in it: expected a Pipfile.lock"));
    }
    let mut inventory = Inventory::default();
    for (section, development) in [("default", false), ("develop", true)] {
        for (name, entry) in members(&lock, section) {
            match field(entry, "version").and_then(|version| version.strip_prefix("==")) {
                Some(version) => {
                    let id = inventory.add(package(name, version), development);
                    if entry.get("index").is_some() {
                        inventory.direct(id);
                    }
                }
                None => inventory.note(format!("`{name}` is not pinned to one version: not judged")),
            }
        }
    }
    Ok(inventory)
}
