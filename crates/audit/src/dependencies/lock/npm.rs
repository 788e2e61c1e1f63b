//! `package-lock.json` and `npm-shrinkwrap.json`, lock file versions 1 to 3.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::super::inventory::{Id, Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, field, json, members};

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let lock = json(bytes)?;
    if lock.get("packages").is_some_and(Value::is_object) {
        return Ok(packages(&lock));
    }
    if lock.get("dependencies").is_some_and(Value::is_object) || lock.get("lockfileVersion").is_some() {
        return Ok(nested(&lock));
    }
    Err(ReadError::new("neither `packages` nor `dependencies` in it: expected a package-lock.json"))
}

fn flag(entry: &Value, key: &str) -> bool {
    entry.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn is_development(entry: &Value) -> bool {
    flag(entry, "dev") || flag(entry, "devOptional")
}

/// Lock file versions 2 and 3: a flat map from the folder of each package.
fn packages(lock: &Value) -> Inventory {
    let mut inventory = Inventory::default();
    let mut by_folder: HashMap<&str, Option<Id>> = HashMap::new();
    for (folder, entry) in members(lock, "packages") {
        by_folder.insert(folder, install(&mut inventory, folder, entry));
    }
    for (folder, entry) in members(lock, "packages") {
        let this = by_folder.get(folder.as_str()).copied().flatten();
        let own = !folder.contains("node_modules/");
        // Development dependencies are installed for the project's own packages alone.
        let kinds = ["dependencies", "optionalDependencies", "peerDependencies", "devDependencies"];
        for kind in kinds.iter().take(if own { 4 } else { 3 }) {
            for (name, _) in members(entry, kind) {
                let Some(needed) = resolve(&by_folder, folder, name) else { continue };
                match this {
                    Some(this) => inventory.needs(this, needed),
                    None if own => inventory.direct(needed),
                    None => {}
                }
            }
        }
    }
    inventory
}

/// The project's own packages, and links to them, are not judged.
fn install(inventory: &mut Inventory, folder: &str, entry: &Value) -> Option<Id> {
    let (_, name) = folder.rsplit_once("node_modules/")?;
    if flag(entry, "link") {
        return None;
    }
    // An alias is installed under another name than its own.
    let name = field(entry, "name").unwrap_or(name);
    let Some(version) = field(entry, "version") else {
        inventory.note(format!("`{name}` has no version: not judged"));
        return None;
    };
    let package = Package { ecosystem: Ecosystem::Npm, name: name.to_owned(), version: version.to_owned() };
    Some(inventory.add(package, is_development(entry)))
}

/// As Node.js resolves: the nearest `node_modules` up from the folder of who asks.
fn resolve(by_folder: &HashMap<&str, Option<Id>>, folder: &str, name: &str) -> Option<Id> {
    let mut base = folder;
    loop {
        let place = match base {
            "" => format!("node_modules/{name}"),
            base => format!("{base}/node_modules/{name}"),
        };
        if let Some(found) = by_folder.get(place.as_str()) {
            return *found;
        }
        if base.is_empty() {
            return None;
        }
        base = base.rfind("/node_modules/").map_or("", |at| base.get(..at).unwrap_or_default());
    }
}

/// Lock file version 1: packages inside packages.
fn nested(lock: &Value) -> Inventory {
    let mut inventory = Inventory::default();
    let mut asked = Vec::new();
    level(&mut inventory, None, lock, &mut Vec::new(), &mut asked);
    for (this, scopes, entry) in asked {
        for (name, _) in members(entry, "requires") {
            let found = scopes.iter().rev().find_map(|scope| scope.get(name.as_str()));
            if let Some(&needed) = found {
                inventory.needs(this, needed);
            }
        }
    }
    inventory.roots_are_direct();
    inventory
}

/// The packages of one `node_modules` folder, by the name under which they are installed.
type Scope<'a> = Rc<HashMap<&'a str, Id>>;

/// `asked` gets every package with the folders in which Node.js looks for what it requires.
fn level<'a>(
    inventory: &mut Inventory,
    this: Option<Id>,
    parent: &'a Value,
    scopes: &mut Vec<Scope<'a>>,
    asked: &mut Vec<(Id, Vec<Scope<'a>>, &'a Value)>,
) {
    let mut scope = HashMap::new();
    let mut here = Vec::new();
    for (name, entry) in members(parent, "dependencies") {
        let version = field(entry, "version").unwrap_or_default();
        // An alias: `npm:real-name@1.2.3`.
        let alias = version.strip_prefix("npm:").and_then(|rest| rest.rsplit_once('@'));
        let (real, version) = alias.unwrap_or((name, version));
        let package =
            Package { ecosystem: Ecosystem::Npm, name: real.to_owned(), version: version.to_owned() };
        let id = inventory.add(package, is_development(entry));
        scope.insert(name.as_str(), id);
        here.push((id, entry));
    }
    scopes.push(Rc::new(scope));
    asked.extend(this.map(|this| (this, scopes.clone(), parent)));
    for (id, entry) in here {
        level(inventory, Some(id), entry, scopes, asked);
    }
    scopes.pop();
}
