//! `yarn.lock`: the own format of Yarn 1, and the YAML of Yarn 2 and later.

use std::collections::HashMap;

use portcullis_openapi::source::{Document, Node};

use super::super::inventory::{Id, Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, strip_bom, text};

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = text(bytes)?;
    if lock.contains("\n__metadata:") || lock.starts_with("__metadata:") {
        return berry(bytes);
    }
    if !lock.contains("yarn lockfile v1")
        && !lock.lines().any(|line| line.starts_with("  version ") || line.starts_with("  \"version\" "))
    {
        return Err(ReadError::new(
            "neither `# yarn lockfile v1` nor `__metadata` in it: expected a yarn.lock",
        ));
    }
    Ok(classic(lock))
}

/// An entry: the descriptors that lead to it, and what it needs.
#[derive(Default)]
struct Entry<'a> {
    descriptors: Vec<&'a str>,
    version: &'a str,
    needs: Vec<(&'a str, &'a str)>,
}

fn classic(lock: &str) -> Inventory {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut in_needs = false;
    for line in lock.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if indent == 0 {
            let descriptors = line.trim_end_matches(':').split(',').map(|text| unquoted(text.trim()));
            entries.push(Entry { descriptors: descriptors.collect(), ..Entry::default() });
            in_needs = false;
            continue;
        }
        let Some(entry) = entries.last_mut() else { continue };
        if indent <= 2 {
            // Some tools quote the keys too.
            in_needs =
                matches!(unquoted(line.trim_end_matches(':')), "dependencies" | "optionalDependencies");
            if let Some((key, version)) = line.split_once(' ')
                && unquoted(key) == "version"
            {
                entry.version = unquoted(version.trim());
            }
        } else if in_needs && let Some((name, range)) = line.split_once(' ') {
            entry.needs.push((unquoted(name), unquoted(range.trim())));
        }
    }
    assemble(&entries, |name, range| format!("{name}@{range}"))
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

fn berry(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let document = Document::parse("yarn.lock", strip_bom(bytes))
        .map_err(|error| ReadError::new(format!("not YAML: {error}")))?;
    let members = document.root().as_object().unwrap_or_default();
    let mut own: Vec<&Node> = Vec::new();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for member in members.iter().filter(|member| &*member.key != "__metadata") {
        let value = &member.value;
        let resolution = value.get("resolution").and_then(Node::as_str).unwrap_or_default();
        if resolution.contains("@workspace:") {
            own.push(value);
            continue;
        }
        let mut needs = Vec::new();
        for needed in value.get("dependencies").and_then(Node::as_object).unwrap_or_default() {
            needs.push((&*needed.key, needed.value.as_str().unwrap_or_default()));
        }
        // What is installed under an alias has its real name in `resolution`.
        let mut descriptors = vec![resolution];
        descriptors.extend(member.key.split(',').map(str::trim));
        let version = value.get("version").and_then(Node::as_str).unwrap_or_default();
        entries.push(Entry { descriptors, version, needs });
    }
    let key = |name: &str, range: &str| match range.contains(':') {
        true => format!("{name}@{range}"),
        false => format!("{name}@npm:{range}"),
    };
    let mut inventory = assemble(&entries, key);
    let by_descriptor = index(&entries, &mut inventory);
    for project in own {
        for kind in ["dependencies", "devDependencies"] {
            for needed in project.get(kind).and_then(Node::as_object).unwrap_or_default() {
                let range = needed.value.as_str().unwrap_or_default();
                if let Some(&id) = by_descriptor.get(key(&needed.key, range).as_str()) {
                    inventory.direct(id);
                }
            }
        }
    }
    Ok(inventory)
}

/// `name@range` to the name; a scope begins with `@` itself. An alias (`alias@npm:name@range`) has the inner name.
fn name(descriptor: &str) -> &str {
    let cut = |text: &str| text.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
    let Some(at) = cut(descriptor) else { return descriptor };
    let (outer, range) = (descriptor.get(..at), descriptor.get(at + 1..));
    let inner = range.and_then(|range| range.strip_prefix("npm:"));
    let inner = inner.and_then(|inner| cut(inner).and_then(|at| inner.get(..at)));
    inner.or(outer).unwrap_or(descriptor)
}

fn index<'a>(entries: &[Entry<'a>], inventory: &mut Inventory) -> HashMap<&'a str, Id> {
    let mut by_descriptor = HashMap::new();
    for entry in entries {
        let Some(first) = entry.descriptors.first() else { continue };
        if entry.version.is_empty() {
            inventory.note(format!("`{}` has no version: not judged", name(first)));
            continue;
        }
        let package = Package {
            ecosystem: Ecosystem::Npm,
            name: name(first).to_owned(),
            version: entry.version.to_owned(),
        };
        let id = inventory.add(package, false);
        by_descriptor.extend(entry.descriptors.iter().map(|&descriptor| (descriptor, id)));
    }
    by_descriptor
}

fn assemble(entries: &[Entry<'_>], key: impl Fn(&str, &str) -> String) -> Inventory {
    let mut inventory = Inventory::default();
    let by_descriptor = index(entries, &mut inventory);
    for entry in entries {
        let this = entry.descriptors.first().and_then(|first| by_descriptor.get(first));
        for (name, range) in &entry.needs {
            let needed = by_descriptor.get(key(name, range).as_str());
            if let (Some(&this), Some(&needed)) = (this, needed) {
                inventory.needs(this, needed);
            }
        }
    }
    inventory.roots_are_direct();
    inventory
}
