//! SPDX 2.2 and 2.3, JSON.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::super::inventory::{Id, Inventory};
use super::super::lock::{self, ReadError};
use super::{from_purl, purl};

/// Reads a document.
///
/// # Errors
/// If it is not JSON or no SPDX 2.
pub fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let document = lock::json(bytes)?;
    if !document.get("spdxVersion").and_then(Value::as_str).is_some_and(|v| v.starts_with("SPDX-2")) {
        return Err(ReadError(
            "no `\"spdxVersion\": \"SPDX-2.…\"` in it: expected an SPDX document in JSON".into(),
        ));
    }
    if document.get("packages").is_some_and(|packages| !packages.is_array()) {
        return Err(ReadError("`packages` is no array: expected an SPDX document in JSON".into()));
    }
    let array = |key: &str| document.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut inventory = Inventory::default();
    let mut by_id: HashMap<&str, Id> = HashMap::new();
    let mut described: HashSet<&str> = array("documentDescribes").filter_map(Value::as_str).collect();
    let text = |value: &'_ Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    for entry in array("relationships") {
        if text(entry, "relationshipType").as_deref() == Some("DESCRIBES") {
            described.extend(entry.get("relatedSpdxElement").and_then(Value::as_str));
        }
    }
    for package in array("packages") {
        let id = package.get("SPDXID").and_then(Value::as_str).unwrap_or_default();
        let references = package.get("externalRefs").and_then(Value::as_array).into_iter().flatten();
        let found = references
            .filter(|reference| text(reference, "referenceType").as_deref() == Some("purl"))
            .find_map(|reference| from_purl(reference.get("referenceLocator")?.as_str()?));
        match found {
            Some(_) if described.contains(id) => {}
            Some(found) => {
                by_id.insert(id, inventory.add(found, false));
            }
            None if described.contains(id) => {}
            None => inventory.note(format!(
                "`{}` has no package URL of a known type with a version: not judged",
                text(package, "name").unwrap_or_else(|| "a package".to_owned())
            )),
        }
    }
    for entry in array("relationships") {
        let element = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let (from, to) = (element("spdxElementId"), element("relatedSpdxElement"));
        let (this, needed) = match element("relationshipType") {
            "DEPENDS_ON" | "CONTAINS" => (from, to),
            "DEPENDENCY_OF" | "CONTAINED_BY" => (to, from),
            _ => continue,
        };
        match (by_id.get(this), by_id.get(needed)) {
            (Some(&this), Some(&needed)) => inventory.needs(this, needed),
            (None, Some(&needed)) if described.contains(this) => inventory.direct(needed),
            _ => {}
        }
    }
    if !inventory.iter().any(|(id, _)| inventory.is_direct(id)) {
        inventory.roots_are_direct();
    }
    Ok(inventory)
}

/// Writes the inventory of the project `name` as SPDX 2.3. `serial` is a UUID (RFC 9562), `timestamp` RFC 3339 in UTC.
pub fn write(inventory: &Inventory, name: &str, serial: &str, timestamp: &str) -> Value {
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-project",
        "name": name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
    })];
    let mut relationships = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": "SPDXRef-project",
    })];
    let names: HashMap<Id, String> =
        inventory.iter().enumerate().map(|(at, (id, _))| (id, format!("SPDXRef-{at}"))).collect();
    let mut relation = |from: &str, to: Option<&String>| {
        relationships.push(json!({
            "spdxElementId": from, "relationshipType": "DEPENDS_ON", "relatedSpdxElement": to,
        }));
    };
    for (id, package) in inventory.iter() {
        let Some(own) = names.get(&id) else { continue };
        packages.push(json!({
            "SPDXID": own,
            "name": package.name,
            "versionInfo": package.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl(package),
            }],
        }));
        if inventory.is_direct(id) {
            relation("SPDXRef-project", Some(own));
        }
        for needed in inventory.needed_by(id) {
            relation(own, names.get(&needed));
        }
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("urn:uuid:{serial}"),
        "creationInfo": {
            "created": timestamp,
            "creators": [concat!("Tool: portcullis-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    })
}
