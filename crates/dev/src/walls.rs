//! The walls between the crates: who may know whom, and behind which door each heavy dependency lives.
//!
//! `cargo dev walls` and a test read `cargo metadata` and fail on any edge that the tables below do not allow.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

use crate::{Failure, Outcome, cache, process};

/// Which crates of ours a crate may depend on (in any way: normal, dev or build). A crate that is not listed
/// may know nothing of ours, so a new crate starts behind the highest wall.
const MAY_KNOW: &[(&str, Reach)] = &[
    ("portcullis-identity", Reach::Only(&["portcullis-engine"])),
    (
        "portcullis-guards",
        Reach::Only(&[
            "portcullis-engine",
            "portcullis-openapi",
            "portcullis-identity",
            "portcullis-inspect",
        ]),
    ),
    ("portcullis-watch", Reach::Only(&["portcullis-engine", "portcullis-openapi"])),
    (
        "portcullis-scanner",
        Reach::Only(&[
            "portcullis-engine",
            "portcullis-openapi",
            "portcullis-identity",
            "portcullis-inspect",
        ]),
    ),
    (
        "portcullis-audit",
        Reach::Only(&[
            "portcullis-engine",
            "portcullis-openapi",
            "portcullis-identity",
            "portcullis-inspect",
        ]),
    ),
    ("portcullis-store", Reach::Only(&["portcullis-engine", "portcullis-watch"])),
    ("portcullis-proxy", Reach::Only(&["portcullis-engine"])),
    ("portcullis-envoy", Reach::Only(&["portcullis-engine"])),
    ("portcullis-console", Reach::Only(&["portcullis-engine", "portcullis-watch", "portcullis-store"])),
    ("portcullis", Reach::All),
    ("portcullis-dev", Reach::All),
    ("portcullis-tests", Reach::All),
];

/// Heavy dependencies, and the only crates of ours that may name them. Direct edges count: what another
/// library brings along is its own affair.
const DOORS: &[(&str, &[&str])] = &[
    ("jsonschema", &["portcullis-openapi"]),
    ("aws-lc-rs", &["portcullis-identity"]),
    ("rusqlite", &["portcullis-store", "portcullis-demo"]),
    ("tonic", &["portcullis-envoy"]),
];

/// Crates that decide and never do: no I/O, no async, no sockets.
const SANS_IO: &[&str] = &[
    "portcullis-engine",
    "portcullis-openapi",
    "portcullis-identity",
    "portcullis-inspect",
    "portcullis-guards",
    "portcullis-watch",
];

/// What a crate in [`SANS_IO`] may not name, save in its tests and examples.
const IO: &[&str] =
    &["tokio", "hyper", "hyper-util", "h2", "rustls", "tokio-rustls", "socket2", "rustix", "reqwest"];

#[derive(Clone, Copy, Debug)]
enum Reach {
    All,
    Only(&'static [&'static str]),
}

/// The part of `cargo metadata --no-deps` that the walls need.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    kind: Option<String>,
}

/// Reads the workspace's manifests through `cargo metadata` and answers every edge that breaks a wall, one line
/// each; empty when all stand.
pub fn breaches() -> Outcome<Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let json = process::run_quietly(
        Command::new(cargo)
            .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .current_dir(cache::workspace()),
    )?;
    let metadata: Metadata = serde_json::from_str(&json)
        .map_err(|e| Failure::new(format!("cannot read the output of `cargo metadata`: {e}")))?;
    Ok(judge(&metadata))
}

/// `cargo dev walls`.
pub fn check() -> Outcome<String> {
    let breaches = breaches()?;
    if breaches.is_empty() {
        return Ok("the walls stand: no crate knows one that it may not".to_owned());
    }
    Err(Failure::new(format!(
        "{} dependencies break a wall:\n  {}\nthe tables are in crates/dev/src/walls.rs, the reasons in ARCHITECTURE.md",
        breaches.len(),
        breaches.join("\n  ")
    )))
}

fn judge(metadata: &Metadata) -> Vec<String> {
    let ours: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let reach: BTreeMap<&str, Reach> = MAY_KNOW.iter().copied().collect();
    let mut breaches = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        for dependency in &package.dependencies {
            let target = dependency.name.as_str();
            if target == name {
                continue;
            }
            if ours.contains(&target) {
                let allowed = match reach.get(name) {
                    Some(Reach::All) => true,
                    Some(Reach::Only(list)) => list.contains(&target),
                    None => false,
                };
                if !allowed {
                    breaches.push(format!("{name} -> {target}: it may not know that crate"));
                }
            }
            if let Some((_, doors)) = DOORS.iter().find(|(heavy, _)| *heavy == target)
                && !doors.contains(&name)
            {
                breaches.push(format!("{name} -> {target}: only {} may name it", doors.join(" and ")));
            }
            let in_tests = dependency.kind.as_deref() == Some("dev");
            if SANS_IO.contains(&name) && IO.contains(&target) && !in_tests {
                breaches.push(format!("{name} -> {target}: {name} does no I/O"));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(packages: &[(&str, &[&str])]) -> Vec<String> {
        judge(&Metadata {
            packages: packages
                .iter()
                .map(|(name, dependencies)| Package {
                    name: (*name).to_owned(),
                    dependencies: dependencies
                        .iter()
                        .map(|target| Dependency { name: (*target).to_owned(), kind: None })
                        .collect(),
                })
                .collect(),
        })
    }

    #[test]
    fn allowed_edges_pass() {
        assert_eq!(
            judged(&[
                ("portcullis-engine", &["bytes"]),
                ("portcullis-openapi", &["jsonschema"]),
                ("portcullis-guards", &["portcullis-engine", "portcullis-openapi"]),
                ("portcullis", &["portcullis-engine", "portcullis-guards", "tokio"]),
            ]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_kind_of_breach_is_named() {
        let breaches = judged(&[
            ("portcullis-engine", &["portcullis-guards", "tokio"]),
            ("portcullis-guards", &["jsonschema"]),
            ("portcullis-proxy", &["portcullis-guards"]),
            ("portcullis-brand-new", &["portcullis-engine"]),
        ]);
        assert_eq!(
            breaches,
            [
                "portcullis-engine -> portcullis-guards: it may not know that crate",
                "portcullis-engine -> tokio: portcullis-engine does no I/O",
                "portcullis-guards -> jsonschema: only portcullis-openapi may name it",
                "portcullis-proxy -> portcullis-guards: it may not know that crate",
                "portcullis-brand-new -> portcullis-engine: it may not know that crate",
            ]
        );
    }
}
