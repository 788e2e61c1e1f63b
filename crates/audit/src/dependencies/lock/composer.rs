//! `composer.lock`.

use std::collections::HashMap;

use serde_json::Value;

use super::super::inventory::{Id, Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, field, json, members};

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = json(bytes)?;
    let Some(_) = lock.get("packages").and_then(Value::as_array) else {
        return Err(ReadError::new("no `packages` array in it: expected a composer.lock"));
    };
    let mut inventory = Inventory::default();
    let mut by_name: HashMap<String, Id> = HashMap::new();
    let sections = [("packages", false), ("packages-dev", true)];
    let entries = |section: &str| lock.get(section).and_then(Value::as_array).into_iter().flatten();
    for (section, development) in sections {
        for entry in entries(section) {
            let (Some(name), Some(version)) = (field(entry, "name"), field(entry, "version")) else {
                continue;
            };
            let package = Package {
                ecosystem: Ecosystem::Packagist,
                name: name.to_owned(),
                version: version.to_owned(),
            };
            by_name.insert(name.to_lowercase(), inventory.add(package, development));
        }
    }
    for (section, _) in sections {
        for entry in entries(section) {
            let this = field(entry, "name").and_then(|name| by_name.get(&name.to_lowercase()));
            for (name, _) in members(entry, "require") {
                if let (Some(&this), Some(&needed)) = (this, by_name.get(&name.to_lowercase())) {
                    inventory.needs(this, needed);
                }
            }
        }
    }
    inventory.roots_are_direct();
    Ok(inventory)
}
