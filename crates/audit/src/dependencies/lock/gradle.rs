//! `gradle.lockfile`: `group:artifact:version=configurations`.

use super::super::inventory::{Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, text};

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let mut inventory = Inventory::default();
    for (at, line) in text(bytes)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("empty=") {
            continue;
        }
        let Some((coordinates, configurations)) = line.split_once('=') else {
            return Err(ReadError::new(format!("line {}: expected `group:artifact:version=…`", at + 1)));
        };
        let [group, artifact, version] = coordinates.split(':').collect::<Vec<_>>()[..] else {
            return Err(ReadError::new(format!("line {}: expected `group:artifact:version=…`", at + 1)));
        };
        let only_tests = !configurations.is_empty()
            && configurations.split(',').all(|name| name.to_lowercase().contains("test"));
        let package = Package {
            ecosystem: Ecosystem::Maven,
            name: format!("{group}:{artifact}"),
            version: version.to_owned(),
        };
        inventory.add(package, only_tests);
    }
    Ok(inventory)
}
