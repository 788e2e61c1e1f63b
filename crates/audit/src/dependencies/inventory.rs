//! What a lock file or an SBOM says is used: packages at exact versions, and who asked for them.

use std::collections::{HashMap, VecDeque};

use super::version::Ecosystem;

/// One package at one version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Package {
    /// Where it comes from.
    pub ecosystem: Ecosystem,
    /// Its name, as the file spells it; for Maven `group:artifact`.
    pub name: String,
    /// The exact version.
    pub version: String,
}

/// The packages of one file, as a graph.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    packages: Vec<Node>,
    by_package: HashMap<Package, usize>,
    notes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Node {
    package: Package,
    /// Asked for by the project itself.
    direct: bool,
    /// Only needed to build and test.
    development: bool,
    needs: Vec<usize>,
}

/// A package of an [`Inventory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(usize);

impl Inventory {
    /// Adds a package; the same one twice is one. It counts as development-only as long as everyone says so.
    pub fn add(&mut self, package: Package, development: bool) -> Id {
        if let Some(&at) = self.by_package.get(&package) {
            if let Some(node) = self.packages.get_mut(at) {
                node.development &= development;
            }
            return Id(at);
        }
        let at = self.packages.len();
        self.by_package.insert(package.clone(), at);
        self.packages.push(Node { package, direct: false, development, needs: Vec::new() });
        Id(at)
    }

    /// Says that the project itself asks for `id`.
    pub fn direct(&mut self, id: Id) {
        if let Some(node) = self.packages.get_mut(id.0) {
            node.direct = true;
        }
    }

    /// For files that do not say what the project itself asks for: what nobody else needs is.
    pub fn roots_are_direct(&mut self) {
        let mut needed = vec![false; self.packages.len()];
        for at in self.packages.iter().flat_map(|node| &node.needs) {
            if let Some(needed) = needed.get_mut(*at) {
                *needed = true;
            }
        }
        for (node, needed) in self.packages.iter_mut().zip(needed) {
            node.direct |= !needed;
        }
    }

    /// Says that `id` needs `other`.
    pub fn needs(&mut self, id: Id, other: Id) {
        if let Some(node) = self.packages.get_mut(id.0)
            && id != other
            && !node.needs.contains(&other.0)
        {
            node.needs.push(other.0);
        }
    }

    /// Says something about the file that its reader should know: what could not be judged, and why.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What could not be judged, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// All packages, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &Package)> {
        self.packages.iter().enumerate().map(|(at, node)| (Id(at), &node.package))
    }

    /// How many packages there are.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// Whether `id` is needed only to build and test.
    pub fn is_development(&self, id: Id) -> bool {
        self.packages.get(id.0).is_some_and(|node| node.development)
    }

    /// Whether the project itself asks for `id`.
    pub fn is_direct(&self, id: Id) -> bool {
        self.packages.get(id.0).is_some_and(|node| node.direct)
    }

    /// What `id` needs.
    pub fn needed_by(&self, id: Id) -> impl Iterator<Item = Id> {
        self.packages.get(id.0).into_iter().flat_map(|node| node.needs.iter().map(|&at| Id(at)))
    }

    /// The shortest ways from what the project asks for to each package, both ends included. A package that
    /// nobody is known to ask for has itself alone.
    pub fn paths(&self) -> Vec<Vec<&Package>> {
        let mut before: Vec<Option<usize>> = vec![None; self.packages.len()];
        let mut seen = vec![false; self.packages.len()];
        let mut queue: VecDeque<usize> = VecDeque::new();
        for (at, node) in self.packages.iter().enumerate() {
            if node.direct {
                queue.push_back(at);
                if let Some(seen) = seen.get_mut(at) {
                    *seen = true;
                }
            }
        }
        while let Some(at) = queue.pop_front() {
            for &next in self.packages.get(at).map_or(&[][..], |node| &node.needs) {
                if let (Some(seen @ false), Some(before)) = (seen.get_mut(next), before.get_mut(next)) {
                    *seen = true;
                    *before = Some(at);
                    queue.push_back(next);
                }
            }
        }
        let package = |at: usize| self.packages.get(at).map(|node| &node.package);
        let mut paths = Vec::with_capacity(self.packages.len());
        for at in 0..self.packages.len() {
            let mut path: Vec<&Package> = package(at).into_iter().collect();
            let mut here = at;
            while let Some(earlier) = before.get(here).copied().flatten() {
                path.extend(package(earlier));
                here = earlier;
            }
            path.reverse();
            paths.push(path);
        }
        paths
    }
}
