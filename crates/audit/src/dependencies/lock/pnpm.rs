//! `pnpm-lock.yaml`, lock file versions 5 to 9.

use std::collections::HashMap;

use portcullis_openapi::source::{Document, Node};

use super::super::inventory::{Id, Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, strip_bom};

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let document = Document::parse("pnpm-lock.yaml", strip_bom(bytes))
        .map_err(|error| ReadError::new(format!("not YAML: {error}")))?;
    let root = document.root();
    if root.get("lockfileVersion").is_none() {
        return Err(ReadError::new("no `lockfileVersion` in it: expected a pnpm-lock.yaml"));
    }
    let mut inventory = Inventory::default();
    let mut by_key: HashMap<String, Id> = HashMap::new();
    // From version 9 on `packages` says what there is, and `snapshots` who needs whom.
    for section in ["packages", "snapshots"] {
        for member in root.get(section).and_then(Node::as_object).unwrap_or_default() {
            let Some((name, version)) = split(&member.key) else {
                inventory.note(format!("`{}` names no version: not judged", member.key));
                continue;
            };
            let field = |key: &str| member.value.get(key).and_then(Node::as_str);
            let package = Package {
                ecosystem: Ecosystem::Npm,
                name: field("name").unwrap_or(name).to_owned(),
                version: field("version").unwrap_or(version).to_owned(),
            };
            let development = member.value.get("dev").and_then(Node::as_bool).unwrap_or(false);
            let id = inventory.add(package, development);
            by_key.insert(member.key.trim_start_matches('/').to_owned(), id);
        }
    }
    for section in ["packages", "snapshots"] {
        for member in root.get(section).and_then(Node::as_object).unwrap_or_default() {
            let Some(&this) = by_key.get(member.key.trim_start_matches('/')) else { continue };
            for kind in ["dependencies", "optionalDependencies"] {
                for (name, version) in asked(&member.value, kind) {
                    if let Some(needed) = find(&by_key, name, &version) {
                        inventory.needs(this, needed);
                    }
                }
            }
        }
    }
    // Before workspaces the project's own needs stood at the top.
    let importers = root.get("importers").and_then(Node::as_object).unwrap_or_default();
    for project in importers.iter().map(|member| &member.value).chain([root]) {
        for kind in ["dependencies", "devDependencies", "optionalDependencies"] {
            for (name, version) in asked(project, kind) {
                if let Some(needed) = find(&by_key, name, &version) {
                    inventory.direct(needed);
                }
            }
        }
    }
    Ok(inventory)
}

/// Names and versions: `name: version`, or `name: { specifier: …, version: … }`.
fn asked<'a>(node: &'a Node, kind: &str) -> impl Iterator<Item = (&'a str, String)> {
    node.get(kind).and_then(Node::as_object).unwrap_or_default().iter().filter_map(|member| {
        let version = member.value.get("version").unwrap_or(&member.value);
        let version = match version.as_str() {
            Some(text) => text.to_owned(),
            // An unquoted version with one dot is a number to YAML.
            None => version.as_number()?.to_string(),
        };
        Some((&*member.key, version))
    })
}

fn find(by_key: &HashMap<String, Id>, name: &str, version: &str) -> Option<Id> {
    // An alias says the whole key as its version.
    let version = version.trim_start_matches('/');
    let keys = [format!("{name}@{version}"), format!("{name}/{version}"), version.to_owned()];
    keys.iter().find_map(|key| by_key.get(key)).copied()
}

/// `/name/1.0.0_peer`, `/name@1.0.0(peer)` or `name@1.0.0(peer)`.
fn split(key: &str) -> Option<(&str, &str)> {
    let key = key.trim_start_matches('/');
    let key = key.split('(').next().unwrap_or(key);
    let scope = if key.starts_with('@') { key.find('/')? + 1 } else { 0 };
    let rest = key.get(scope..)?;
    let at = rest.find(['@', '/'])?;
    let name = key.get(..scope + at)?;
    let version = rest.get(at + 1..)?;
    let version = version.split('_').next().unwrap_or(version);
    version.starts_with(|c: char| c.is_ascii_digit()).then_some((name, version))
}
