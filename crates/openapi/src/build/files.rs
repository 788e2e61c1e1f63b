//! The files of a contract, and references between them.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};

use super::resources::{Resource, Survey};
use crate::fetch::Fetch;
use crate::model::{Place, Version};
use crate::problem::{Problem, Severity};
use crate::source::{Document, Kind, Limits, Node, SourceError, Span, array_index, unescape_token};

/// Files that one contract may consist of.
const MAX_FILES: usize = 2_000;

/// Problems whose JSON pointer is looked up.
const MAX_LOCATED: usize = 5_000;

/// References that are followed from one to the next.
const MAX_HOPS: usize = 64;

/// A node and the file it is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'d> {
    pub(crate) file: usize,
    pub(crate) node: &'d Node,
}

impl<'d> At<'d> {
    pub(crate) fn get(self, key: &str) -> Option<At<'d>> {
        self.node.get(key).map(|node| At { file: self.file, node })
    }

    pub(crate) fn with(self, node: &'d Node) -> At<'d> {
        At { file: self.file, node }
    }

    pub(crate) fn str(self, key: &str) -> Option<&'d str> {
        self.node.get(key)?.as_str()
    }

    pub(crate) fn bool(self, key: &str) -> bool {
        self.node.get(key).and_then(Node::as_bool).unwrap_or(false)
    }
}

/// All files, loaded before anything is resolved.
#[derive(Debug)]
pub(crate) struct Files {
    documents: Vec<Document>,
    /// Files by the URI they were fetched by, and by the one they give themselves.
    uris: HashMap<String, usize>,
    names: Vec<String>,
    /// What references in a file count from, the first that leads somewhere: `$self` of OpenAPI 3.2, then the
    /// place where the file was found.
    bases: Vec<Vec<String>>,
    /// Files that could not be had, and why.
    failed: HashMap<String, String>,
    /// For each file: whether something in it has a URI or an anchor, or a reference that depends on where its schema
    /// was entered from.
    named: Vec<bool>,
    /// Problems so far: the first ones are located to the node, any further only to the line.
    problems: Cell<usize>,
}

impl Files {
    /// Reads a document and, breadth first, all files that it refers to.
    pub(crate) fn load(
        name: &str,
        bytes: &[u8],
        fetch: &dyn Fetch,
        limits: Limits,
    ) -> Result<Self, SourceError> {
        let mut files = Self {
            documents: Vec::new(),
            uris: HashMap::new(),
            names: Vec::new(),
            bases: Vec::new(),
            failed: HashMap::new(),
            named: Vec::new(),
            problems: Cell::new(0),
        };
        files.add(name.to_owned(), Document::parse_with(name, bytes, limits)?);
        let mut open = VecDeque::from([0]);
        while let Some(index) = open.pop_front() {
            for candidates in files.external(index) {
                for uri in candidates {
                    if files.uris.contains_key(&uri) {
                        break;
                    }
                    if files.failed.contains_key(&uri) {
                        continue;
                    }
                    match files.fetch(&uri, fetch, limits) {
                        Ok(document) => {
                            open.push_back(files.add(uri, document));
                            break;
                        }
                        Err(why) => {
                            files.failed.insert(uri, why);
                        }
                    }
                }
            }
        }
        Ok(files)
    }

    fn fetch(&self, uri: &str, fetch: &dyn Fetch, limits: Limits) -> Result<Document, String> {
        if self.documents.len() >= MAX_FILES {
            return Err(format!("the contract has more than {MAX_FILES} files"));
        }
        let bytes = fetch.fetch(uri).map_err(|error| error.what)?;
        Document::parse_with(uri, &bytes, limits).map_err(|error| error.to_string())
    }

    fn add(&mut self, uri: String, document: Document) -> usize {
        let index = self.documents.len();
        let own = document.root().get("$self").and_then(Node::as_str);
        let own = own.map(|own| join(&uri, own.split('#').next().unwrap_or_default()));
        let own = own.filter(|own| !own.is_empty() && *own != uri);
        if let Some(own) = &own {
            self.uris.entry(own.clone()).or_insert(index);
        }
        self.uris.insert(uri.clone(), index);
        self.bases.push(own.into_iter().chain([uri.clone()]).collect());
        self.names.push(uri);
        self.documents.push(document);
        self.named.push(false);
        index
    }

    /// The URIs that a reference in a file may mean, the likeliest first.
    fn candidates(&self, file: usize, reference: &str) -> Vec<String> {
        let mut list: Vec<String> =
            self.bases.get(file).into_iter().flatten().map(|base| join(base, reference)).collect();
        list.dedup();
        list
    }

    /// The URIs that a file's references to other files may mean, the likeliest first, for each of them.
    fn external(&mut self, index: usize) -> Vec<Vec<String>> {
        let Some(survey) = self.survey(index) else { return Vec::new() };
        let named = survey.is_named || survey.is_dynamic;
        let inside: HashSet<&str> = survey.resources.iter().map(|resource| &*resource.uri).collect();
        let mut all = Vec::new();
        for (resource, path) in &survey.references {
            let base = survey.resources.get(*resource).map_or("", |resource| &*resource.uri);
            let mut list = vec![join(base, path)];
            list.extend(self.candidates(index, path));
            list.dedup();
            if !list.first().is_some_and(|first| inside.contains(&**first)) {
                all.push(list);
            }
        }
        if let Some(slot) = self.named.get_mut(index) {
            *slot = named;
        }
        all
    }

    fn survey(&self, index: usize) -> Option<Survey<'_>> {
        let version = self.version_of(index).or(self.version_of(0));
        let legacy = version.is_some_and(|version| !version.is_json_schema());
        let name = self.names.get(index)?;
        Some(Survey::of(self.documents.get(index)?, name, legacy))
    }

    pub(crate) fn root(&self) -> Option<At<'_>> {
        self.documents.first().map(|document| At { file: 0, node: document.root() })
    }

    pub(crate) fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// The specification that a file names itself.
    pub(crate) fn version_of(&self, file: usize) -> Option<Version> {
        let document = self.documents.get(file)?;
        let root = document.root();
        let text = |key: &str| {
            let node = root.get(key)?;
            Some(node.as_str().unwrap_or_else(|| document.snippet(node.span)))
        };
        if let Some(version) = text("swagger") {
            return version.trim().starts_with('2').then_some(Version::Swagger2);
        }
        let version = text("openapi")?.trim();
        [("3.0", Version::OpenApi30), ("3.1", Version::OpenApi31), ("3.2", Version::OpenApi32)]
            .into_iter()
            .find(|(prefix, _)| version.starts_with(prefix))
            .map(|(_, version)| version)
            .or_else(|| (version == "3").then_some(Version::OpenApi30))
    }

    /// The text of a scalar as it was written, be it a string or not.
    pub(crate) fn written(&self, at: At<'_>) -> String {
        match &at.node.kind {
            Kind::String(text) => text.to_string(),
            Kind::Null | Kind::Array(_) | Kind::Object(_) => String::new(),
            _ => {
                let snippet = self.documents.get(at.file).map(|document| document.snippet(at.node.span));
                snippet.unwrap_or_default().trim().to_owned()
            }
        }
    }

    /// Where a node stands.
    pub(crate) fn place(&self, at: At<'_>) -> Place {
        match self.documents.get(at.file) {
            Some(document) => {
                let found = document.locate(at.node.span.start);
                Place { source: document.name().into(), line: found.line, column: found.column }
            }
            None => Place { source: "".into(), line: 0, column: 0 },
        }
    }

    pub(crate) fn problem(
        &self,
        at: At<'_>,
        severity: Severity,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) -> Problem {
        self.problem_at(at.file, at.node.span, severity, what, expected)
    }

    pub(crate) fn problem_at(
        &self,
        file: usize,
        span: Span,
        severity: Severity,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) -> Problem {
        let (what, expected) = (what.into().into(), expected.into().into());
        match self.documents.get(file) {
            Some(document) => {
                let count = self.problems.replace(self.problems.get() + 1);
                let place = document.locate(span.start);
                Problem {
                    source: document.name().into(),
                    pointer: if count < MAX_LOCATED { document.pointer_at(span).into() } else { "".into() },
                    line: place.line,
                    column: place.column,
                    severity,
                    what,
                    expected,
                }
            }
            None => Problem {
                source: "".into(),
                pointer: "".into(),
                line: 0,
                column: 0,
                severity,
                what,
                expected,
            },
        }
    }
}

/// What a reference names, or what was expected there.
type Found<'d> = Result<At<'d>, String>;

/// A resource: its file, and its place in that file's survey.
type Scope = (usize, usize);

/// Finds what references point at, and remembers it.
#[derive(Debug)]
pub(crate) struct Resolver<'d> {
    pub(crate) files: &'d Files,
    known: RefCell<HashMap<(Scope, &'d str), Found<'d>>>,
    members: RefCell<HashMap<*const Node, HashMap<&'d str, &'d Node>>>,
    anchors: RefCell<HashMap<usize, HashMap<String, &'d Node>>>,
    /// For each file in which something has a name.
    surveys: Vec<Option<Survey<'d>>>,
    /// Resources inside files, by URI.
    inside: HashMap<String, Scope>,
    /// Resources of dialects that do not validate.
    mute: HashSet<Scope>,
    /// A reference depends on where its schema was entered from.
    pub(crate) is_dynamic: bool,
}

impl<'d> Resolver<'d> {
    pub(crate) fn new(files: &'d Files) -> Self {
        let (known, members, anchors) = Default::default();
        let surveys: Vec<Option<Survey<'d>>> = files
            .named
            .iter()
            .enumerate()
            .map(|(index, named)| if *named { files.survey(index) } else { None })
            .collect();
        let mut inside = HashMap::new();
        for (file, survey) in surveys.iter().enumerate() {
            for (index, resource) in survey.iter().flat_map(|survey| &survey.resources).enumerate() {
                inside.entry(resource.uri.clone()).or_insert((file, index));
            }
        }
        let is_dynamic = surveys.iter().flatten().any(|survey| survey.is_dynamic);
        let mut resolver =
            Self { files, known, members, anchors, surveys, inside, mute: HashSet::new(), is_dynamic };
        resolver.mute = resolver.silent_resources();
        resolver
    }

    /// The resources whose dialect has a vocabulary, and not the one of assertions (2020-12 core, section 8.1.2).
    fn silent_resources(&self) -> HashSet<Scope> {
        let mut mute = HashSet::new();
        for (file, survey) in self.surveys.iter().enumerate() {
            for (index, resource) in survey.iter().flat_map(|survey| &survey.resources).enumerate() {
                let silent = match resource.dialect {
                    Some(dialect) => self.is_silent((file, index), dialect),
                    None => resource.parent.is_some_and(|parent| mute.contains(&(file, parent))),
                };
                if silent {
                    mute.insert((file, index));
                }
            }
        }
        mute
    }

    fn is_silent(&self, scope: Scope, dialect: &str) -> bool {
        let Ok(found) = self.look_up(scope, dialect, MAX_HOPS) else { return false };
        let vocabulary = found.node.get("$vocabulary").and_then(Node::as_object);
        vocabulary.is_some_and(|list| !list.iter().any(|one| one.key.ends_with("/vocab/validation")))
    }

    /// Whether the keywords that assert something say nothing at a place.
    pub(crate) fn is_mute(&self, at: At<'_>) -> bool {
        !self.mute.is_empty() && self.mute.contains(&self.scope(at))
    }

    /// The resource that a node is in.
    fn scope(&self, at: At<'_>) -> Scope {
        let survey = self.surveys.get(at.file).and_then(Option::as_ref);
        (at.file, survey.map_or(0, |survey| survey.around(at.node.span)))
    }

    fn resource(&self, (file, index): Scope) -> Option<&Resource<'d>> {
        self.surveys.get(file)?.as_ref()?.resources.get(index)
    }

    /// The dynamic anchors of the resource that a node is in; nothing for one that is there twice.
    pub(crate) fn dynamic_anchors(&self, at: At<'_>) -> Vec<(&'d str, Option<At<'d>>)> {
        let Some(resource) = self.resource(self.scope(at)) else { return Vec::new() };
        let place = |node: &Option<&'d Node>| node.map(|node| At { file: at.file, node });
        resource.dynamic.iter().map(|(name, node)| (*name, place(node))).collect()
    }

    /// The node that a reference names, seen from another. An error says what was expected.
    pub(crate) fn find(&self, from: At<'_>, reference: &'d str) -> Result<At<'d>, String> {
        self.find_in(self.scope(from), reference)
    }

    /// The node that a reference names, seen from a file as a whole. An error says what was expected.
    pub(crate) fn find_in(&self, scope: Scope, reference: &'d str) -> Result<At<'d>, String> {
        if let Some(found) = self.known.borrow().get(&(scope, reference)) {
            return found.clone();
        }
        let found = self.look_up(scope, reference, MAX_HOPS);
        self.known.borrow_mut().insert((scope, reference), found.clone());
        found
    }

    /// Follows `$ref` until a node that is none.
    pub(crate) fn follow(&self, at: At<'d>) -> Result<At<'d>, String> {
        let mut at = at;
        for _ in 0..MAX_HOPS {
            match at.str("$ref") {
                Some(reference) => at = self.find(at, reference)?,
                None => return Ok(at),
            }
        }
        Err("a reference that does not lead back to itself".into())
    }

    fn look_up(&self, scope: Scope, reference: &str, hops: usize) -> Result<At<'d>, String> {
        let (path, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let (file, _) = scope;
        if path.is_empty() {
            let found = self.walk(scope, fragment, hops);
            // Authors give a schema a URI, and count from the document all the same.
            return match scope {
                (_, 0) => found,
                _ => found.or_else(|_| self.walk((file, 0), fragment, hops)),
            };
        }
        let mut candidates: Vec<String> =
            self.resource(scope).map(|resource| join(&resource.uri, path)).into_iter().collect();
        candidates.extend(self.files.candidates(file, path));
        let known = |uri: &String| {
            self.inside.get(uri).copied().or_else(|| self.files.uris.get(uri).map(|file| (*file, 0)))
        };
        match candidates.iter().find_map(known) {
            Some(scope) => self.walk(scope, fragment, hops),
            None => {
                if let Some(node) = self.anchor(file, path) {
                    return self.walk_from(At { file, node }, scope, fragment, hops);
                }
                let why = candidates.iter().find_map(|uri| self.files.failed.get(uri)).cloned();
                Err(why.unwrap_or_else(|| format!("a file that can be read at `{path}`")))
            }
        }
    }

    /// What a fragment names in a resource.
    fn walk(&self, scope: Scope, fragment: &str, hops: usize) -> Result<At<'d>, String> {
        let (file, _) = scope;
        let document = self.files.documents.get(file).ok_or("a file that was loaded")?;
        let node = self.resource(scope).map_or(document.root(), |resource| resource.root);
        self.walk_from(At { file, node }, scope, fragment, hops)
    }

    fn walk_from(&self, root: At<'d>, scope: Scope, fragment: &str, hops: usize) -> Result<At<'d>, String> {
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        if fragment.is_empty() {
            return Ok(root);
        }
        let Some(pointer) = fragment.strip_prefix('/') else {
            let own = self.resource(scope).and_then(|resource| resource.anchors.get(&*fragment).copied());
            let node = own.or_else(|| self.anchor(root.file, &fragment));
            return node.map(|node| root.with(node)).ok_or_else(|| format!("an anchor named `{fragment}`"));
        };
        let mut at = root;
        for token in pointer.split('/') {
            let token = unescape_token(token);
            let next = self.member(at.node, &token).map(|node| at.with(node));
            // A pointer may lead through a reference.
            let next = next.or_else(|| {
                let reference = at.str("$ref")?;
                let target = self.look_up(self.scope(at), reference, hops.checked_sub(1)?).ok()?;
                self.member(target.node, &token).map(|node| target.with(node))
            });
            at = next.ok_or_else(|| format!("something at `#{fragment}`: there is no `{token}`"))?;
        }
        Ok(at)
    }

    fn member(&self, node: &'d Node, token: &str) -> Option<&'d Node> {
        match &node.kind {
            Kind::Object(list) if list.len() > 24 => {
                let mut members = self.members.borrow_mut();
                let index = members
                    .entry(node)
                    .or_insert_with(|| list.iter().map(|member| (&*member.key, &member.value)).collect());
                index.get(token).copied()
            }
            Kind::Array(items) => items.get(array_index(token)?),
            _ => node.get(token),
        }
    }

    /// A node by its `$anchor`, `$dynamicAnchor` or `$id`.
    fn anchor(&self, file: usize, name: &str) -> Option<&'d Node> {
        let document = self.files.documents.get(file)?;
        let mut anchors = self.anchors.borrow_mut();
        let index = anchors.entry(file).or_insert_with(|| {
            let mut found = HashMap::new();
            let mut open = vec![document.root()];
            while let Some(node) = open.pop() {
                match &node.kind {
                    Kind::Object(members) => {
                        for member in members {
                            if let ("$anchor" | "$dynamicAnchor" | "$id" | "id", Some(name)) =
                                (&*member.key, member.value.as_str())
                            {
                                found.entry(name.trim_start_matches('#').to_owned()).or_insert(node);
                            }
                            open.push(&member.value);
                        }
                    }
                    Kind::Array(items) => open.extend(items),
                    _ => {}
                }
            }
            found
        });
        index.get(name).copied()
    }
}

/// Resolves a relative reference to a file against the file it stands in (RFC 3986, section 5.2; queries aside).
pub(crate) fn join(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    if has_scheme(reference) {
        return reference.to_owned();
    }
    let base = base.split('?').next().unwrap_or_default();
    let (origin, path) = match base.find("://") {
        Some(at) => {
            let start =
                base.get(at + 3..).and_then(|rest| rest.find('/')).map_or(base.len(), |slash| at + 3 + slash);
            base.split_at(start)
        }
        None => ("", base),
    };
    if let (Some(rest), Some((scheme, _))) = (reference.strip_prefix("//"), origin.split_once("://")) {
        return format!("{scheme}://{rest}");
    }
    // The names of files are written in URIs with escapes; URIs keep theirs.
    let decoded = match origin {
        "" => percent_encoding::percent_decode_str(reference).decode_utf8_lossy(),
        _ => reference.into(),
    };
    let mut segments: Vec<&str> = Vec::new();
    if !decoded.starts_with('/') {
        segments.extend(path.split('/'));
        segments.pop();
        if segments.is_empty() && !origin.is_empty() {
            segments.push("");
        }
    }
    for segment in decoded.split('/') {
        match segment {
            "." => {}
            ".." if segments.last().is_some_and(|last| !matches!(*last, ".." | "")) => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    format!("{origin}{}", segments.join("/"))
}

/// Whether a reference is a URI, not one that is relative. A single letter is a drive of Windows.
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn references_are_resolved_like_paths() {
        for (base, reference, expected) in [
            ("openapi.yaml", "./a.yaml", "a.yaml"),
            ("api/openapi.yaml", "../b/c.yaml", "b/c.yaml"),
            ("api/openapi.yaml", "x%20y.yaml", "api/x y.yaml"),
            ("openapi.yaml", "../up.yaml", "../up.yaml"),
            ("https://h/a/b.yaml", "../c.yaml", "https://h/c.yaml"),
            ("https://h/a/b.yaml", "/c.yaml", "https://h/c.yaml"),
            ("a.yaml", "https://h/c.yaml", "https://h/c.yaml"),
            ("https://h", "c.yaml", "https://h/c.yaml"),
            ("https://h/a/b.yaml", "//i/c.yaml", "https://i/c.yaml"),
            ("https://h/a/b.yaml", "x%20y.yaml", "https://h/a/x%20y.yaml"),
            ("https://h/a/b.yaml?c=/d/", "e.yaml", "https://h/a/e.yaml"),
            ("https://h/a/b.yaml", "", "https://h/a/b.yaml"),
            ("a.yaml", "urn:example:b", "urn:example:b"),
            ("urn:example:a", "urn:example:b", "urn:example:b"),
        ] {
            assert_eq!(join(base, reference), expected, "{base} {reference}");
        }
    }
}
