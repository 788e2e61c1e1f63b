//! `go.mod` and `go.sum`.

use super::super::inventory::{Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, text};

fn package(name: &str, version: &str) -> Package {
    Package { ecosystem: Ecosystem::Go, name: name.to_owned(), version: version.to_owned() }
}

/// `go.mod`: from Go 1.17 on it names every module that is built in, not only those asked for.
pub(super) fn module(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let mut inventory = Inventory::default();
    let mut block = "";
    let mut required: Vec<(String, String, bool)> = Vec::new();
    let mut replaced: Vec<Replacement> = Vec::new();
    let mut named = false;
    for line in text(bytes)?.lines() {
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let code = code.trim();
        let words: Vec<&str> = code.split_whitespace().collect();
        let (directive, words) = match (block, words.as_slice()) {
            (_, []) => continue,
            (_, [")"]) => {
                block = "";
                continue;
            }
            ("", [directive, "("]) => {
                block = directive;
                continue;
            }
            ("", [directive, rest @ ..]) => (*directive, rest),
            (block, words) => (block, words),
        };
        match (directive, words) {
            ("module", _) => named = true,
            ("go", [version]) if old(version) => inventory.note(format!(
                "written for Go {version}: before 1.17 go.mod names only what is asked for; give go.sum as well"
            )),
            ("toolchain", [_]) => {}
            ("require", [name, version]) => {
                let indirect = comment.trim().starts_with("indirect");
                required.push((name.trim_matches('"').to_owned(), (*version).to_owned(), indirect));
            }
            ("replace", words) => {
                let Some(arrow) = words.iter().position(|word| *word == "=>") else { continue };
                let (from, to) = words.split_at(arrow);
                let Some(name) = from.first() else { continue };
                let version = from.get(1).map(|version| (*version).to_owned());
                let to = match to {
                    [_, name, version] => Some(((*name).to_owned(), (*version).to_owned())),
                    // A folder: code of one's own.
                    _ => None,
                };
                replaced.push(Replacement { name: (*name).to_owned(), version, to });
            }
            _ => {}
        }
    }
    if !block.is_empty() {
        return Err(ReadError::new(format!("it ends inside `{block} (`: expected `)`")));
    }
    if !named && required.is_empty() {
        return Err(ReadError::new("neither `module` nor `require` in it: expected a go.mod"));
    }
    for (name, version, indirect) in required {
        let replacement = replaced
            .iter()
            .find(|rule| rule.name == name && rule.version.as_ref().is_none_or(|only| *only == version))
            .map(|rule| &rule.to);
        let id = match replacement {
            None => inventory.add(package(&name, &version), false),
            Some(Some((name, version))) => inventory.add(package(name, version), false),
            Some(None) => {
                inventory.note(format!("`{name}` is replaced by a folder: not judged"));
                continue;
            }
        };
        if !indirect {
            inventory.direct(id);
        }
    }
    Ok(inventory)
}

/// `replace name version => to`: without a version all of them; without `to` a folder of one's own.
struct Replacement {
    name: String,
    version: Option<String>,
    to: Option<(String, String)>,
}

fn old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (1, 17)
}

/// `go.sum`: every module whose code was looked at; some of them are not built in.
pub(super) fn sum(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let mut inventory = Inventory::default();
    for (at, line) in text(bytes)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, version, hash] = words.as_slice() else {
            return Err(ReadError::new(format!("line {}: expected `module version hash`", at + 1)));
        };
        if !hash.starts_with("h1:") {
            return Err(ReadError::new(format!("line {}: expected a hash that begins with `h1:`", at + 1)));
        }
        // `version/go.mod` was only read to choose versions.
        if !version.ends_with("/go.mod") {
            inventory.add(package(name, version), false);
        }
    }
    Ok(inventory)
}
