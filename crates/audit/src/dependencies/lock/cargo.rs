//! `Cargo.lock`, versions 1 to 4.

use std::collections::HashMap;

use super::super::inventory::{Id, Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, tables, toml, word};

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = toml(bytes)?;
    if !lock.contains_key("package") && !lock.contains_key("version") {
        return Err(ReadError::new("no `[[package]]` in it: expected a Cargo.lock"));
    }
    let mut inventory = Inventory::default();
    // By name: every version, with its id. The project's own packages have no source and no id.
    let mut known: HashMap<&str, Vec<(&str, Option<Id>)>> = HashMap::new();
    for package in tables(&lock, "package") {
        let (Some(name), Some(version)) = (word(package, "name"), word(package, "version")) else {
            return Err(ReadError::new("a `[[package]]` without name and version: expected a Cargo.lock"));
        };
        let id = match word(package, "source") {
            None => None,
            Some(source) => {
                if !source.starts_with("registry+") && !source.starts_with("sparse+") {
                    inventory.note(format!("`{name}` comes from `{source}`: judged by its version alone"));
                }
                let package = Package {
                    ecosystem: Ecosystem::CratesIo,
                    name: name.to_owned(),
                    version: version.to_owned(),
                };
                Some(inventory.add(package, false))
            }
        };
        known.entry(name).or_default().push((version, id));
    }
    for package in tables(&lock, "package") {
        let (Some(name), Some(version)) = (word(package, "name"), word(package, "version")) else { continue };
        let this = known.get(name).and_then(|all| all.iter().find(|(known, _)| *known == version));
        let this = this.and_then(|(_, id)| *id);
        let needs = package.get("dependencies").and_then(::toml::Value::as_array);
        for needed in needs.into_iter().flatten().filter_map(::toml::Value::as_str) {
            // `name`, `name version` or `name version (source)`.
            let mut words = needed.split(' ');
            let (Some(name), version) = (words.next(), words.next()) else { continue };
            let all = known.get(name).map_or(&[][..], Vec::as_slice);
            let found = match version {
                Some(version) => all.iter().find(|(known, _)| *known == version),
                None => all.first(),
            };
            match (this, found.and_then(|(_, id)| *id)) {
                (Some(this), Some(needed)) => inventory.needs(this, needed),
                (None, Some(needed)) => inventory.direct(needed),
                (_, None) => {}
            }
        }
    }
    Ok(inventory)
}
