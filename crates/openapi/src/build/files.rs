//! The files of a contract, and references between them.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};

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
            problems: Cell::new(0),
        };
        files.add(name.to_owned(), Document::parse_with(name, bytes, limits)?);
        let mut open = VecDeque::from([0]);
        while let Some(index) = open.pop_front() {
            for reference in files.external(index) {
                for uri in files.candidates(index, &reference) {
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
        index
    }

    /// The URIs that a reference in a file may mean, the likeliest first.
    fn candidates(&self, file: usize, reference: &str) -> Vec<String> {
        let mut list: Vec<String> =
            self.bases.get(file).into_iter().flatten().map(|base| join(base, reference)).collect();
        list.dedup();
        list
    }

    /// What stands before `#` in a file's references to other files, each once.
    fn external(&self, index: usize) -> Vec<String> {
        let Some(document) = self.documents.get(index) else { return Vec::new() };
        let mut found = HashSet::new();
        let mut open = vec![document.root()];
        while let Some(node) = open.pop() {
            match &node.kind {
                Kind::Object(members) => {
                    for member in members {
                        match (&*member.key, &member.value.kind) {
                            ("$ref", Kind::String(reference)) => {
                                let (file, _) = reference.split_once('#').unwrap_or((reference, ""));
                                if !file.is_empty() {
                                    found.insert(file.to_owned());
                                }
                            }
                            ("mapping", Kind::Object(kinds)) => {
                                for reference in kinds.iter().filter_map(|kind| kind.value.as_str()) {
                                    let (file, _) = reference.split_once('#').unwrap_or((reference, ""));
                                    if looks_like_file(file) {
                                        found.insert(file.to_owned());
                                    }
                                }
                            }
                            ("example" | "examples" | "x-examples", _) => {}
                            _ => open.push(&member.value),
                        }
                    }
                }
                Kind::Array(items) => open.extend(items),
                _ => {}
            }
        }
        let mut found: Vec<String> = found.into_iter().collect();
        found.sort_unstable();
        found
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

/// Finds what references point at, and remembers it.
#[derive(Debug)]
pub(crate) struct Resolver<'d> {
    pub(crate) files: &'d Files,
    known: RefCell<HashMap<(usize, &'d str), Found<'d>>>,
    members: RefCell<HashMap<*const Node, HashMap<&'d str, &'d Node>>>,
    anchors: RefCell<HashMap<usize, HashMap<String, &'d Node>>>,
}

impl<'d> Resolver<'d> {
    pub(crate) fn new(files: &'d Files) -> Self {
        let (known, members, anchors) = Default::default();
        Self { files, known, members, anchors }
    }

    /// The node that a reference names, seen from a file. An error says what was expected.
    pub(crate) fn find(&self, file: usize, reference: &'d str) -> Result<At<'d>, String> {
        if let Some(found) = self.known.borrow().get(&(file, reference)) {
            return found.clone();
        }
        let found = self.look_up(file, reference, MAX_HOPS);
        self.known.borrow_mut().insert((file, reference), found.clone());
        found
    }

    /// Follows `$ref` until a node that is none.
    pub(crate) fn follow(&self, at: At<'d>) -> Result<At<'d>, String> {
        let mut at = at;
        for _ in 0..MAX_HOPS {
            match at.str("$ref") {
                Some(reference) => at = self.find(at.file, reference)?,
                None => return Ok(at),
            }
        }
        Err("a reference that does not lead back to itself".into())
    }

    fn look_up(&self, file: usize, reference: &str, hops: usize) -> Result<At<'d>, String> {
        let (path, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let file = if path.is_empty() {
            file
        } else {
            let candidates = self.files.candidates(file, path);
            match candidates.iter().find_map(|uri| self.files.uris.get(uri)) {
                Some(file) => *file,
                None => {
                    if let Some(node) = self.anchor(file, path) {
                        let at = At { file, node };
                        return self.walk(at, fragment, hops);
                    }
                    let why = candidates.iter().find_map(|uri| self.files.failed.get(uri)).cloned();
                    return Err(why.unwrap_or_else(|| format!("a file that can be read at `{path}`")));
                }
            }
        };
        let root = self.files.documents.get(file).map(Document::root).ok_or("a file that was loaded")?;
        self.walk(At { file, node: root }, fragment, hops)
    }

    fn walk(&self, root: At<'d>, fragment: &str, hops: usize) -> Result<At<'d>, String> {
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        if fragment.is_empty() {
            return Ok(root);
        }
        let Some(pointer) = fragment.strip_prefix('/') else {
            let node = self.anchor(root.file, &fragment);
            return node.map(|node| root.with(node)).ok_or_else(|| format!("an anchor named `{fragment}`"));
        };
        let mut at = root;
        for token in pointer.split('/') {
            let token = unescape_token(token);
            let next = self.member(at.node, &token).map(|node| at.with(node));
            // A pointer may lead through a reference.
            let next = next.or_else(|| {
                let reference = at.str("$ref")?;
                let target = self.look_up(at.file, reference, hops.checked_sub(1)?).ok()?;
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

    /// Where `$recursiveRef: '#'` leads: to the innermost schema around it with `$recursiveAnchor: true`.
    pub(crate) fn recursive_anchor(&self, from: At<'d>) -> Option<At<'d>> {
        let mut node = self.files.documents.get(from.file)?.root();
        let mut found = None;
        while node.span != from.node.span {
            if node.get("$recursiveAnchor").and_then(Node::as_bool) == Some(true) {
                found = Some(node);
            }
            let inside = |inner: &&Node| {
                inner.span.start <= from.node.span.start && from.node.span.end <= inner.span.end
            };
            let next = match &node.kind {
                Kind::Object(members) => members.iter().map(|member| &member.value).find(inside),
                Kind::Array(items) => items.iter().find(inside),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        found.map(|node| from.with(node))
    }

    /// Where a `$dynamicRef` leads if its anchor is there once in all files: the scope that it is used in
    /// cannot change that.
    pub(crate) fn only_anchor(&self, reference: &str) -> Option<At<'d>> {
        let name = reference.strip_prefix('#').filter(|name| !name.is_empty() && !name.starts_with('/'))?;
        let (mut found, mut open) = (None, Vec::new());
        for (file, document) in self.files.documents.iter().enumerate() {
            open.push(document.root());
            while let Some(node) = open.pop() {
                match &node.kind {
                    Kind::Object(members) => {
                        for member in members {
                            let named = matches!(&*member.key, "$anchor" | "$dynamicAnchor");
                            if named && member.value.as_str() == Some(name) {
                                if found.is_some() {
                                    return None;
                                }
                                found = Some(At { file, node });
                            }
                            open.push(&member.value);
                        }
                    }
                    Kind::Array(items) => open.extend(items),
                    _ => {}
                }
            }
        }
        found
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

/// Resolves a relative reference to a file against the file it stands in (RFC 3986, section 5.2, paths only).
pub(crate) fn join(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let decoded = percent_encoding::percent_decode_str(reference).decode_utf8_lossy();
    let (origin, path) = match base.find("://") {
        Some(at) => {
            let start =
                base.get(at + 3..).and_then(|rest| rest.find('/')).map_or(base.len(), |slash| at + 3 + slash);
            base.split_at(start)
        }
        None => ("", base),
    };
    let mut segments: Vec<&str> = Vec::new();
    if !decoded.starts_with('/') {
        segments.extend(path.split('/'));
        segments.pop();
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

fn looks_like_file(text: &str) -> bool {
    [".json", ".yaml", ".yml"].iter().any(|end| text.ends_with(end)) || text.contains('/')
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
        ] {
            assert_eq!(join(base, reference), expected, "{base} {reference}");
        }
    }
}
