//! `Gemfile.lock`.

use std::collections::HashMap;

use super::super::inventory::{Id, Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, text};

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let mut inventory = Inventory::default();
    let mut by_name: HashMap<&str, Vec<Id>> = HashMap::new();
    let mut needs: Vec<(Id, &str)> = Vec::new();
    let mut direct: Vec<&str> = Vec::new();
    let mut section = "";
    let mut this = None;
    let mut known = false;
    for line in text(bytes)?.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if indent == 0 {
            section = line;
            known |= matches!(line, "GEM" | "DEPENDENCIES" | "PLATFORMS");
            continue;
        }
        let name = line.split([' ', '!']).next().unwrap_or(line);
        match (section, indent) {
            // A gem from a Git repository is judged by the version that it calls itself.
            ("GEM" | "GIT", 4) => {
                let version = line.split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
                let Some(version) = version else { continue };
                // What follows the hyphen is a platform, such as `x86_64-linux`.
                let version = version.split('-').next().unwrap_or(version);
                let package = Package {
                    ecosystem: Ecosystem::RubyGems,
                    name: name.to_owned(),
                    version: version.to_owned(),
                };
                let id = inventory.add(package, false);
                this = Some(id);
                by_name.entry(name).or_default().push(id);
            }
            ("GEM" | "GIT", 6) => needs.extend(this.map(|this| (this, name))),
            ("PATH", 4) => {
                inventory.note(format!("`{name}` does not come from a gem server: not judged"));
            }
            ("DEPENDENCIES", 2) => direct.push(name),
            _ => {}
        }
    }
    if !known {
        return Err(ReadError::new("no `GEM` section in it: expected a Gemfile.lock"));
    }
    for (this, name) in needs {
        for &needed in by_name.get(name).map_or(&[][..], Vec::as_slice) {
            inventory.needs(this, needed);
        }
    }
    for id in direct.iter().filter_map(|name| by_name.get(name)).flatten() {
        inventory.direct(*id);
    }
    Ok(inventory)
}
