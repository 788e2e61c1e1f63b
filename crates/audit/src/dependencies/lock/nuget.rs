//! `packages.lock.json` of NuGet.

use std::collections::HashMap;

use serde_json::Value;

use super::super::inventory::{Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, field, json, members};

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = json(bytes)?;
    if !lock.get("dependencies").is_some_and(Value::is_object) || lock.get("version").is_none() {
        return Err(ReadError::new("no `version` and `dependencies` in it: expected a packages.lock.json"));
    }
    let mut inventory = Inventory::default();
    for (framework, packages) in members(&lock, "dependencies") {
        let mut by_name = HashMap::new();
        let entries = || packages.as_object().into_iter().flatten();
        for (name, entry) in entries() {
            if field(entry, "type") == Some("Project") {
                continue;
            }
            let Some(version) = field(entry, "resolved") else {
                inventory.note(format!("`{name}` for {framework} has no resolved version: not judged"));
                continue;
            };
            let package =
                Package { ecosystem: Ecosystem::NuGet, name: name.clone(), version: version.to_owned() };
            let id = inventory.add(package, false);
            if field(entry, "type") == Some("Direct") {
                inventory.direct(id);
            }
            by_name.insert(name.to_lowercase(), id);
        }
        for (name, entry) in entries() {
            let this = by_name.get(&name.to_lowercase());
            for (needed, _) in members(entry, "dependencies") {
                if let (Some(&this), Some(&needed)) = (this, by_name.get(&needed.to_lowercase())) {
                    inventory.needs(this, needed);
                }
            }
        }
    }
    Ok(inventory)
}
