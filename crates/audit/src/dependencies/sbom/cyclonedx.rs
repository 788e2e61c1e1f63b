//! CycloneDX, JSON, specification versions 1.2 to 1.6.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::inventory::{Id, Inventory};
use super::super::lock::{self, ReadError};
use super::{from_purl, purl};

/// Reads a bill.
///
/// # Errors
/// If it is not JSON or no CycloneDX.
pub fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let bill = lock::json(bytes)?;
    if bill.get("bomFormat").and_then(Value::as_str) != Some("CycloneDX") {
        return Err(ReadError(
            "no `\"bomFormat\": \"CycloneDX\"` in it: expected a CycloneDX bill in JSON".into(),
        ));
    }
    if bill.get("components").is_some_and(|components| !components.is_array()) {
        return Err(ReadError("`components` is no array: expected a CycloneDX bill in JSON".into()));
    }
    let mut inventory = Inventory::default();
    let mut by_ref: HashMap<&str, Id> = HashMap::new();
    components(&bill, &mut inventory, &mut by_ref, 0);
    let root = bill.pointer("/metadata/component/bom-ref").and_then(Value::as_str);
    for entry in bill.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
        let this = entry.get("ref").and_then(Value::as_str).unwrap_or_default();
        let needs = entry.get("dependsOn").and_then(Value::as_array).into_iter().flatten();
        for needed in needs.filter_map(Value::as_str).filter_map(|needed| by_ref.get(needed)) {
            match by_ref.get(this) {
                Some(&this) => inventory.needs(this, *needed),
                None if Some(this) == root => inventory.direct(*needed),
                None => {}
            }
        }
    }
    if !inventory.iter().any(|(id, _)| inventory.is_direct(id)) {
        inventory.roots_are_direct();
    }
    Ok(inventory)
}

fn components<'a>(
    parent: &'a Value,
    inventory: &mut Inventory,
    by_ref: &mut HashMap<&'a str, Id>,
    depth: usize,
) {
    if depth > 32 {
        return inventory.note("components inside each other more than 32 deep: the rest is not judged");
    }
    for component in parent.get("components").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| component.get(key).and_then(Value::as_str);
        match text("purl").and_then(from_purl) {
            Some(package) => {
                let id = inventory.add(package, text("scope") == Some("excluded"));
                by_ref.extend(text("bom-ref").map(|name| (name, id)));
            }
            None => inventory.note(format!(
                "`{}` has no package URL of a known type with a version: not judged",
                text("name").unwrap_or("a component")
            )),
        }
        components(component, inventory, by_ref, depth + 1);
    }
}

/// Writes the inventory of the project `name` as CycloneDX 1.6. `serial` is a UUID (RFC 9562), `timestamp` RFC 3339.
pub fn write(inventory: &Inventory, name: &str, serial: &str, timestamp: &str) -> Value {
    let mut ids: HashMap<Id, String> = HashMap::new();
    let mut list = Vec::new();
    for (id, package) in inventory.iter() {
        let purl = purl(package);
        list.push(json!({
            "type": "library",
            "bom-ref": purl,
            "name": package.name,
            "version": package.version,
            "purl": purl,
            "scope": if inventory.is_development(id) { "excluded" } else { "required" },
        }));
        ids.insert(id, purl);
    }
    let refs =
        |of: &mut dyn Iterator<Item = Id>| -> Vec<&String> { of.filter_map(|id| ids.get(&id)).collect() };
    let direct = refs(&mut inventory.iter().map(|(id, _)| id).filter(|&id| inventory.is_direct(id)));
    let mut dependencies = vec![json!({ "ref": "project", "dependsOn": direct })];
    for (id, _) in inventory.iter() {
        dependencies.push(json!({ "ref": ids.get(&id), "dependsOn": refs(&mut inventory.needed_by(id)) }));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{serial}"),
        "version": 1,
        "metadata": {
            "timestamp": timestamp,
            "tools": { "components": [{ "type": "application", "name": "portcullis", "version": env!("CARGO_PKG_VERSION") }] },
            "component": { "type": "application", "bom-ref": "project", "name": name },
        },
        "components": list,
        "dependencies": dependencies,
    })
}
