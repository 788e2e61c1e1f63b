//! Lock files: one reader a format, and their registry.

mod bundler;
mod cargo;
mod composer;
mod go;
mod gradle;
mod maven;
mod npm;
mod nuget;
mod pnpm;
mod python;
mod yarn;

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::inventory::Inventory;
use super::sbom;

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub String);

impl ReadError {
    pub(super) fn new(text: impl Into<String>) -> ReadError {
        ReadError(text.into())
    }
}

/// A kind of file that names packages at exact versions.
#[derive(Debug)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// The names of its files. A leading `*` stands for any beginning.
    pub files: &'static [&'static str],
    /// What reads it.
    pub read: fn(&[u8]) -> Result<Inventory, ReadError>,
}

/// Every format.
pub static FORMATS: &[Format] = &[
    Format { name: "cargo", files: &["Cargo.lock"], read: cargo::read },
    Format { name: "npm", files: &["package-lock.json", "npm-shrinkwrap.json"], read: npm::read },
    Format { name: "pnpm", files: &["pnpm-lock.yaml"], read: pnpm::read },
    Format { name: "yarn", files: &["yarn.lock"], read: yarn::read },
    Format {
        name: "requirements",
        files: &["requirements.txt", "*requirements.txt"],
        read: python::requirements,
    },
    Format { name: "poetry", files: &["poetry.lock"], read: python::poetry },
    Format { name: "uv", files: &["uv.lock"], read: python::uv },
    Format { name: "pdm", files: &["pdm.lock"], read: python::poetry },
    Format { name: "pipenv", files: &["Pipfile.lock"], read: python::pipfile },
    Format { name: "pylock", files: &["pylock.toml"], read: python::pylock },
    Format { name: "go-mod", files: &["go.mod"], read: go::module },
    Format { name: "go-sum", files: &["go.sum"], read: go::sum },
    Format { name: "maven", files: &["pom.xml"], read: maven::read },
    Format { name: "gradle", files: &["gradle.lockfile", "*gradle.lockfile"], read: gradle::read },
    Format { name: "composer", files: &["composer.lock"], read: composer::read },
    Format { name: "bundler", files: &["Gemfile.lock", "gems.locked"], read: bundler::read },
    Format { name: "nuget", files: &["packages.lock.json", "*packages.lock.json"], read: nuget::read },
    Format { name: "cyclonedx", files: &["bom.json", "*.cdx.json"], read: sbom::cyclonedx::read },
    Format { name: "spdx", files: &["*.spdx.json"], read: sbom::spdx::read },
];

/// The most bytes of one file that are read.
pub const MAX_BYTES: u64 = 256 << 20;

/// The format of a file of this name (without its folder).
pub fn format_of(file: &str) -> Option<&'static Format> {
    let matches = |pattern: &str| match pattern.strip_prefix('*') {
        Some(end) => file.len() > end.len() && file.ends_with(end),
        None => file == pattern,
    };
    // An exact name counts before a pattern.
    let exact = FORMATS.iter().find(|format| format.files.contains(&file));
    exact.or_else(|| FORMATS.iter().find(|format| format.files.iter().any(|name| matches(name))))
}

/// Reads the file named `file`.
///
/// # Errors
/// If it is of no known kind, or broken; the message says what was expected.
pub fn read(file: &str, bytes: &[u8]) -> Result<Inventory, ReadError> {
    let format = match format_of(file) {
        Some(format) => format,
        None => guess(bytes).ok_or_else(|| {
            let known: Vec<&str> = FORMATS
                .iter()
                .flat_map(|format| format.files)
                .filter(|f| !f.starts_with('*'))
                .copied()
                .collect();
            ReadError::new(format!(
                "`{file}` is no lock file that is known; known are {}, CycloneDX and SPDX in JSON",
                known.join(", ")
            ))
        })?,
    };
    (format.read)(bytes)
}

/// SBOMs have any name; their content tells.
fn guess(bytes: &[u8]) -> Option<&'static Format> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let name = if value.get("bomFormat").is_some() {
        "cyclonedx"
    } else if value.get("spdxVersion").is_some() {
        "spdx"
    } else {
        return None;
    };
    FORMATS.iter().find(|format| format.name == name)
}

pub(super) fn json(bytes: &[u8]) -> Result<Value, ReadError> {
    serde_json::from_slice(strip_bom(bytes)).map_err(|error| ReadError::new(format!("not JSON: {error}")))
}

fn toml(bytes: &[u8]) -> Result<toml::Table, ReadError> {
    text(bytes)?.parse().map_err(|error: toml::de::Error| {
        ReadError::new(format!("not TOML: {}", error.message().replace('\n', " ")))
    })
}

fn text(bytes: &[u8]) -> Result<&str, ReadError> {
    std::str::from_utf8(strip_bom(bytes)).map_err(|error| {
        ReadError::new(format!("not UTF-8 text: byte {} begins no character", error.valid_up_to()))
    })
}

fn strip_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The tables of an array of tables.
fn tables<'a>(table: &'a toml::Table, key: &str) -> impl Iterator<Item = &'a toml::Table> {
    let array = table.get(key).and_then(toml::Value::as_array);
    array.into_iter().flatten().filter_map(toml::Value::as_table)
}

fn word<'a>(table: &'a toml::Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(toml::Value::as_str)
}

fn field<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The members of an object, none where there is no object.
fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}
