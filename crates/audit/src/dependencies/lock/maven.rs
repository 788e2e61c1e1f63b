//! `pom.xml`: what it names itself, its properties filled in. What a parent or an import decides is not in the
//! file; a resolved list (`gradle.lockfile`, a CycloneDX SBOM) has it. A parent's managed versions are those that its
//! modules get.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::inventory::{Inventory, Package};
use super::super::version::Ecosystem;
use super::{ReadError, text};

#[derive(Debug, Default, Clone)]
struct Dependency {
    group: String,
    artifact: String,
    version: String,
    scope: String,
}

#[derive(Debug, Default)]
struct Project {
    properties: HashMap<String, String>,
    dependencies: Vec<Dependency>,
    managed: Vec<Dependency>,
    has_parent: bool,
    /// `packaging` is `pom`: the parent of others.
    is_parent: bool,
    found: bool,
}

pub(super) fn read(bytes: &[u8]) -> Result<Inventory, ReadError> {
    let project = parse(text(bytes)?)?;
    if !project.found {
        return Err(ReadError::new("no `<project>` in it: expected a pom.xml"));
    }
    let mut inventory = Inventory::default();
    if project.has_parent {
        inventory.note("it has a parent, whose dependencies and versions are not in the file".to_owned());
    }
    for dependency in &project.dependencies {
        let fill = |text: &str| fill(text, &project.properties);
        let (group, artifact) = (fill(&dependency.group), fill(&dependency.artifact));
        let managed = project
            .managed
            .iter()
            .find(|known| fill(&known.group) == group && fill(&known.artifact) == artifact);
        let mut version = fill(&dependency.version);
        if version.is_empty() {
            version = managed.map(|known| fill(&known.version)).unwrap_or_default();
        }
        // A hard requirement of one version.
        let exact = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let version = exact.filter(|inner| !inner.contains(',')).unwrap_or(&version);
        if version.is_empty() || version.contains(['$', '[', '(', ',']) {
            inventory.note(format!("the version of `{group}:{artifact}` is not in the file: not judged"));
            continue;
        }
        let scope = match dependency.scope.as_str() {
            "" => managed.map_or("", |known| &known.scope),
            scope => scope,
        };
        let package = Package {
            ecosystem: Ecosystem::Maven,
            name: format!("{group}:{artifact}"),
            version: version.to_owned(),
        };
        let id = inventory.add(package, scope == "test");
        inventory.direct(id);
    }
    if project.is_parent {
        for managed in project.managed.iter().filter(|managed| managed.scope != "import") {
            let fill = |text: &str| fill(text, &project.properties);
            let version = fill(&managed.version);
            if version.is_empty() || version.contains(['$', '[', '(', ',']) {
                continue;
            }
            let name = format!("{}:{}", fill(&managed.group), fill(&managed.artifact));
            let package = Package { ecosystem: Ecosystem::Maven, name, version };
            inventory.add(package, managed.scope == "test");
        }
    }
    Ok(inventory)
}

/// Puts properties in the place of `${…}`. A coordinate takes a handful; more than 64 is a circle, or meant ill,
/// and what is left of it stays as it was.
fn fill(text: &str, properties: &HashMap<String, String>) -> String {
    let mut out = text.to_owned();
    for _ in 0..64 {
        let place = out.find("${").and_then(|start| Some((start, start + out.get(start..)?.find('}')?)));
        let Some((start, end)) = place else { break };
        let Some(value) = out.get(start + 2..end).and_then(|name| properties.get(name)) else { break };
        if out.len() + value.len() > 4096 {
            break;
        }
        out.replace_range(start..=end, value);
    }
    out
}

fn parse(document: &str) -> Result<Project, ReadError> {
    let mut reader = Reader::from_str(document);
    let mut project = Project::default();
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut current = Dependency::default();
    loop {
        let event = reader.read_event().map_err(|error| {
            ReadError::new(format!("not XML at byte {}: {error}", reader.error_position()))
        })?;
        match event {
            Event::Eof if path.is_empty() => return Ok(project),
            Event::Eof => return Err(ReadError::new("the XML ends inside an element")),
            Event::DocType(_) => {
                return Err(ReadError::new("a document type stands in it: expected a pom.xml"));
            }
            Event::Start(start) => {
                if path.len() >= 100 {
                    return Err(ReadError::new("more than 100 elements inside each other"));
                }
                path.push(start.local_name().as_ref().to_owned());
                text.clear();
                if path.last().is_some_and(|name| name == "dependency") {
                    current = Dependency::default();
                }
            }
            Event::Text(part) => text.push_str(part.as_ref()),
            Event::CData(part) => text.push_str(part.as_ref()),
            Event::End(_) => {
                end(&mut project, &path, text.trim(), &mut current);
                path.pop();
                text.clear();
            }
            _ => {}
        }
    }
}

fn end(project: &mut Project, path: &[String], text: &str, current: &mut Dependency) {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let set = |name: &str, project: &mut Project| {
        project.properties.entry(name.to_owned()).or_insert_with(|| text.to_owned());
    };
    match path.as_slice() {
        ["project"] => project.found = true,
        ["project", "parent"] => project.has_parent = true,
        ["project", "packaging"] => project.is_parent = text == "pom",
        ["project", field @ ("version" | "groupId" | "artifactId")] => {
            // The project's own coordinates win over the parent's.
            for name in [format!("project.{field}"), format!("pom.{field}")] {
                project.properties.insert(name, text.to_owned());
            }
        }
        ["project", "parent", field] => {
            set(&format!("project.{field}"), project);
            set(&format!("project.parent.{field}"), project);
        }
        ["project", "properties", name] => {
            project.properties.insert((*name).to_owned(), text.to_owned());
        }
        [.., "dependency", field] => match *field {
            "groupId" => text.clone_into(&mut current.group),
            "artifactId" => text.clone_into(&mut current.artifact),
            "version" => text.clone_into(&mut current.version),
            "scope" => text.clone_into(&mut current.scope),
            _ => {}
        },
        ["project", "dependencies", "dependency"] => project.dependencies.push(current.clone()),
        ["project", "dependencyManagement", "dependencies", "dependency"] => {
            project.managed.push(current.clone());
        }
        _ => {}
    }
}
