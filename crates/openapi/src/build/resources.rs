//! What references count from: files, and the schemas inside them that have a URI of their own (`$id`, 2020-12 core,
//! section 8.2; `id` of draft 4 in files that are schemas).
//!
//! Only keywords count: an `$id` in an example, a constant or under a keyword that nobody knows is data.

use std::collections::HashMap;

use super::files::join;
use crate::source::{Document, Kind, Member, Node, Span};

/// A schema with a URI of its own, or a file.
#[derive(Debug)]
pub(super) struct Resource<'n> {
    pub(super) root: &'n Node,
    /// Its URI, absolute if that of the file is.
    pub(super) uri: String,
    /// The resource around it, by its place in the survey.
    pub(super) parent: Option<usize>,
    /// `$anchor` and `$dynamicAnchor`.
    pub(super) anchors: HashMap<&'n str, &'n Node>,
    /// `$dynamicAnchor`, and `$recursiveAnchor` under no name; nothing for one that is there twice.
    pub(super) dynamic: HashMap<&'n str, Option<&'n Node>>,
    /// The dialect that it names itself.
    pub(super) dialect: Option<&'n str>,
}

/// What a file holds that references are about.
#[derive(Debug)]
pub(super) struct Survey<'n> {
    /// The file itself first; those inside it in the order of the text.
    pub(super) resources: Vec<Resource<'n>>,
    /// What stands before `#` in references to other files, and the resource that they count from.
    pub(super) references: Vec<(usize, &'n str)>,
    /// A reference depends on where its schema was entered from.
    pub(super) is_dynamic: bool,
    /// Something in it has a URI or an anchor.
    pub(super) is_named: bool,
}

/// What a node is, as far as that tells which of its members are keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// An object of a description.
    Description,
    Schema,
    /// Schemas by name.
    Schemas,
    /// Under a keyword that nobody knows: a reference may lead here, and onwards from here.
    Unknown,
}

impl Place {
    /// What the value of a member is; nothing if it is data.
    fn inner(self, key: &str) -> Option<Self> {
        match self {
            Self::Schemas => Some(Self::Schema),
            Self::Description => match key {
                "example" | "examples" | "x-examples" => None,
                "schema" | "itemSchema" | "items" => Some(Self::Schema),
                "schemas" | "definitions" => Some(Self::Schemas),
                _ => Some(Self::Description),
            },
            Self::Schema => match key {
                "enum" | "const" | "default" | "example" | "examples" | "x-examples" => None,
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas"
                | "dependencies" => Some(Self::Schemas),
                "allOf"
                | "anyOf"
                | "oneOf"
                | "not"
                | "if"
                | "then"
                | "else"
                | "items"
                | "prefixItems"
                | "additionalItems"
                | "unevaluatedItems"
                | "contains"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "propertyNames"
                | "contentSchema" => Some(Self::Schema),
                _ => Some(Self::Unknown),
            },
            Self::Unknown => match key {
                "example" | "examples" | "x-examples" => None,
                _ => Some(Self::Unknown),
            },
        }
    }
}

impl<'n> Survey<'n> {
    /// Looks through a file. `legacy` is for files of dialects before `$id`, in which `id` has its place.
    pub(super) fn of(document: &'n Document, uri: &str, legacy: bool) -> Self {
        let root = document.root();
        let standalone = root.get("openapi").is_none() && root.get("swagger").is_none();
        let own = root.get("$self").and_then(Node::as_str).map(|own| join(uri, without_fragment(own)));
        let mut survey = Self {
            resources: vec![Resource::new(root, own.unwrap_or_else(|| uri.to_owned()), None)],
            references: Vec::new(),
            is_dynamic: false,
            is_named: false,
        };
        let dialect = root.get(if standalone { "$schema" } else { "jsonSchemaDialect" });
        let legacy = match dialect.and_then(Node::as_str) {
            Some(dialect) if dialect.contains("json-schema.org/") => dialect.contains("/draft-0"),
            _ => legacy,
        };
        let place = if standalone { Place::Schema } else { Place::Description };
        let mut open = vec![(root, place, 0)];
        while let Some((node, place, resource)) = open.pop() {
            match &node.kind {
                Kind::Object(members) => {
                    let from = open.len();
                    survey.object(node, members, place, resource, legacy && standalone, &mut open);
                    if let Some(added) = open.get_mut(from..) {
                        added.reverse();
                    }
                }
                Kind::Array(items) => {
                    open.extend(items.iter().rev().map(|item| (item, place, resource)));
                }
                _ => {}
            }
        }
        if let Some(first) = survey.resources.first_mut() {
            first.dialect = dialect.and_then(Node::as_str);
        }
        survey.references.sort_unstable();
        survey.references.dedup();
        survey
    }

    fn object(
        &mut self,
        node: &'n Node,
        members: &'n [Member],
        place: Place,
        mut resource: usize,
        legacy: bool,
        open: &mut Vec<(&'n Node, Place, usize)>,
    ) {
        let text = |key: &str| node.get(key).and_then(Node::as_str);
        if place == Place::Schema {
            // Beside a reference nothing counts before 2019-09.
            let id = match legacy {
                true if node.get("$ref").is_some() => None,
                true => text("id"),
                false => text("$id"),
            };
            if let Some(id) = id {
                self.is_named = true;
                let (path, fragment) = id.split_once('#').unwrap_or((id, ""));
                let base = self.resources.get(resource).map_or("", |resource| &*resource.uri);
                let uri = join(base, path);
                if path.is_empty() {
                } else if std::ptr::eq(node, self.resources.first().map_or(node, |first| first.root)) {
                    if let Some(first) = self.resources.first_mut() {
                        first.uri = uri;
                    }
                } else {
                    self.resources.push(Resource::new(node, uri, Some(resource)));
                    resource = self.resources.len() - 1;
                    if let Some(own) = self.resources.last_mut() {
                        own.dialect = text("$schema");
                    }
                }
                self.name(resource, fragment, node, false);
            }
            self.name(resource, text("$anchor").unwrap_or_default(), node, false);
            self.name(resource, text("$dynamicAnchor").unwrap_or_default(), node, true);
            if node.get("$recursiveAnchor").and_then(Node::as_bool) == Some(true)
                && let Some(resource) = self.resources.get_mut(resource)
            {
                self.is_named = true;
                resource.dynamic.insert("", Some(node));
            }
            // The dialect decides what its keywords are.
            if let Some(dialect) = text("$schema").filter(|dialect| !is_known(dialect)) {
                self.is_named = true;
                self.references.push((resource, without_fragment(dialect)));
            }
        }
        for member in members {
            match (&*member.key, &member.value.kind) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Kind::String(reference))
                    if place != Place::Schemas =>
                {
                    self.is_dynamic |= &*member.key != "$ref";
                    let path = without_fragment(reference);
                    if !path.is_empty() {
                        self.references.push((resource, path));
                    }
                }
                ("mapping", Kind::Object(kinds)) if place != Place::Schemas => {
                    let targets = kinds.iter().filter_map(|kind| kind.value.as_str());
                    let files = targets.map(without_fragment).filter(|file| looks_like_file(file));
                    self.references.extend(files.map(|file| (resource, file)));
                }
                ("jsonSchemaDialect", Kind::String(dialect))
                    if place == Place::Description && resource == 0 && !is_known(dialect) =>
                {
                    self.is_named = true;
                    self.references.push((0, without_fragment(dialect)));
                }
                _ => {
                    if let Some(inner) = place.inner(&member.key) {
                        open.push((&member.value, inner, resource));
                    }
                }
            }
        }
    }

    fn name(&mut self, resource: usize, name: &'n str, node: &'n Node, dynamic: bool) {
        let Some(resource) = self.resources.get_mut(resource).filter(|_| !name.is_empty()) else { return };
        self.is_named = true;
        resource.anchors.entry(name).or_insert(node);
        if dynamic {
            resource.dynamic.entry(name).and_modify(|known| *known = None).or_insert(Some(node));
        }
    }

    /// The innermost resource around a place.
    pub(super) fn around(&self, span: Span) -> usize {
        let before = self.resources.get(1..).unwrap_or_default();
        let mut at = before.partition_point(|resource| resource.root.span.start <= span.start);
        loop {
            match self.resources.get(at) {
                Some(resource) if at > 0 && resource.root.span.end < span.end => {
                    at = resource.parent.unwrap_or_default();
                }
                _ => return at,
            }
        }
    }
}

impl<'n> Resource<'n> {
    fn new(root: &'n Node, uri: String, parent: Option<usize>) -> Self {
        Self { root, uri, parent, anchors: HashMap::new(), dynamic: HashMap::new(), dialect: None }
    }
}

/// What of a reference names a file.
pub(super) fn without_fragment(reference: &str) -> &str {
    reference.split('#').next().unwrap_or_default()
}

/// Whether a dialect is one of those whose keywords are known here.
fn is_known(dialect: &str) -> bool {
    ["//json-schema.org/", "//spec.openapis.org/"].iter().any(|host| dialect.contains(host))
}

fn looks_like_file(text: &str) -> bool {
    [".json", ".yaml", ".yml"].iter().any(|end| text.ends_with(end)) || text.contains('/')
}
