//! Paths to operations: a trie over segments.
//!
//! A literal segment goes before one that is partly literal, that before a parameter, and that before one that
//! may hold slashes; a path that fails under one is tried under the next. The trie is a tree and a path has one
//! segment for each level, so a look-up visits each node at most once; below a parameter that may hold slashes
//! at most once for each segment of the path.

use std::cmp::Ordering;

use smallvec::SmallVec;

use crate::model::{Fixed, Operation};

/// Whether a slash at the end of a path counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// `/a/` and `/a` are two paths.
    #[default]
    Strict,
    /// `/a/` is `/a`, unless the document has both.
    Ignore,
}

/// Whether the case of literal segments counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CaseOf {
    /// `/A` and `/a` are two paths.
    #[default]
    Sensitive,
    /// `/A` is `/a`, in ASCII.
    Insensitive,
}

/// Parts of a path that stand for parameters, as they are in the path: still percent-encoded.
pub type Captures<'p> = SmallVec<[&'p str; 8]>;

/// Where a call belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'c, 'p> {
    /// To an operation.
    Found {
        /// Its index in [`Contract::operations`](crate::Contract::operations).
        operation: usize,
        /// The values of the path's parameters.
        captures: Captures<'p>,
    },
    /// To no path of the contract.
    NotFound,
    /// To a path that does not have this method.
    MethodNotAllowed {
        /// The methods it has: the value of an `Allow` header.
        allow: &'c str,
    },
}

/// One piece of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    Capture,
    /// A parameter whose value may hold slashes: always a segment by itself.
    Rest,
}

#[derive(Debug, Default)]
struct Node {
    /// Decoded literals in the order of [`order`].
    literals: Vec<(Box<[u8]>, u32)>,
    /// Segments that are partly literal; the one with the most literal bytes first.
    partials: Vec<(Vec<Piece>, u32)>,
    /// A segment that is one parameter.
    capture: Option<u32>,
    /// One or more segments that are one parameter. There is none below it, so that a look-up tries each
    /// number of segments once.
    rest: Option<u32>,
    leaf: Option<Leaf>,
}

#[derive(Debug, Default)]
struct Leaf {
    /// A method, and the operations that it may be: more than one if their path keys differ in the query.
    methods: Vec<(Box<str>, SmallVec<[u32; 1]>)>,
    allow: Box<str>,
    /// Whether the template ended with a slash that was left out of the trie.
    slash: bool,
}

/// The paths of a contract.
#[derive(Debug)]
pub(crate) struct Routes {
    nodes: Vec<Node>,
    trailing_slash: TrailingSlash,
    case: CaseOf,
}

/// A path key, taken apart.
#[derive(Debug)]
pub(crate) struct Template {
    segments: Vec<Vec<Piece>>,
    /// Names of the parameters, in their order.
    pub(crate) names: Vec<Box<str>>,
    /// `name=value` pairs after `?` or `#`.
    pub(crate) fixed: Vec<Fixed>,
    /// They stand after `#`: in the query or in the body of a call, nobody says where.
    pub(crate) in_fragment: bool,
    /// Two parameters stand side by side, so that none can tell where one ends.
    pub(crate) ambiguous: bool,
    /// The parameter that may hold slashes.
    pub(crate) rest: Option<Box<str>>,
}

impl Template {
    /// Reads a path key such as `/users/{id}.{ext}?view=full`. Braces that do not pair are literal.
    pub(crate) fn parse(key: &str) -> Self {
        let (path, suffix) = match key.find(['?', '#']) {
            // A `?` or `#` inside braces belongs to a name.
            Some(at) if !in_braces(key, at) => key.split_at(at),
            _ => (key, ""),
        };
        let mut template = Self {
            segments: Vec::new(),
            names: Vec::new(),
            fixed: Vec::new(),
            in_fragment: suffix.starts_with('#'),
            ambiguous: false,
            rest: None,
        };
        for pair in suffix.split(['?', '#', '&']).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                // A templated value is a parameter, not a fixed one.
                Some((name, value)) if value.starts_with('{') && value.ends_with('}') => {
                    template.fixed.push((name.into(), None));
                }
                Some((name, value)) => template.fixed.push((name.into(), Some(value.into()))),
                None if pair.starts_with('{') || pair.starts_with('/') => {}
                None => template.fixed.push((pair.into(), None)),
            }
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        for segment in split_segments(path) {
            let pieces = template.pieces(segment);
            template.segments.push(pieces);
        }
        template
    }

    fn pieces(&mut self, segment: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = segment;
        while !rest.is_empty() {
            let open = rest.find('{');
            let pair = open.and_then(|open| Some((open, open + rest.get(open..)?.find('}')?)));
            let Some((open, close)) = pair else {
                pieces.push(Piece::Literal(decoded(rest)));
                break;
            };
            if open > 0 {
                pieces.push(Piece::Literal(decoded(rest.get(..open).unwrap_or_default())));
            }
            let name = rest.get(open + 1..close).unwrap_or_default();
            self.names.push(bare_name(name).into());
            if pieces.last() == Some(&Piece::Capture) {
                self.ambiguous = true;
            }
            pieces.push(Piece::Capture);
            rest = rest.get(close + 1..).unwrap_or_default();
            // `{+path}` is reserved expansion (RFC 6570, section 3.2.3), `{path*}` and `{path+}` are what
            // frameworks and gateways write for the same.
            let wide = bare_name(name) != name.trim();
            if wide && pieces.len() == 1 && rest.is_empty() && self.rest.is_none() {
                self.rest = Some(bare_name(name).into());
                pieces = vec![Piece::Rest];
            }
        }
        pieces
    }

    /// Lets a parameter hold slashes. False if it is not a segment by itself, or if another one does already:
    /// then nothing could tell where one ends.
    pub(crate) fn widen(&mut self, name: &str) -> bool {
        if self.rest.is_some() {
            return self.rest.as_deref() == Some(name);
        }
        let mut names = self.names.iter();
        for segment in &mut self.segments {
            let captures = segment.iter().filter(|piece| !matches!(piece, Piece::Literal(_))).count();
            let found = names.by_ref().take(captures).any(|known| **known == *name);
            if found {
                let alone = matches!(segment.as_slice(), [Piece::Capture]);
                if alone {
                    *segment = vec![Piece::Rest];
                    self.rest = Some(name.into());
                }
                return alone;
            }
        }
        false
    }

    /// A path key without the names of its parameters.
    pub(crate) fn anonymous(key: &str) -> String {
        let (mut out, mut rest) = (String::new(), key);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((_, after)) = after.split_once('}') else { break };
            out.push_str(before);
            out.push_str("{}");
            rest = after;
        }
        out + rest
    }

    /// Whether two path keys are the same but for the marks of parameters that may hold slashes.
    pub(crate) fn is_marked_copy(marked: &str, key: &str) -> bool {
        let bare = |key: &str| key.replace("{+", "{").replace("+}", "}").replace("*}", "}");
        bare(marked) == bare(key)
    }
}

/// A parameter's name in a path key, without the marks of one that may hold slashes.
pub(crate) fn bare_name(name: &str) -> &str {
    name.trim_matches(['+', '*', ' '])
}

fn in_braces(key: &str, at: usize) -> bool {
    let before = key.get(..at).unwrap_or_default();
    let after = key.get(at..).unwrap_or_default();
    let open = before.rfind('{').is_some_and(|open| !before.get(open..).unwrap_or_default().contains('}'));
    open && after.find('}').is_some()
}

/// Splits at slashes that are not inside braces.
fn split_segments(path: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    path.split(move |char| {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        char == '/' && depth == 0
    })
}

fn decoded(text: &str) -> Box<[u8]> {
    percent_encoding::percent_decode_str(text).collect()
}

impl Routes {
    pub(crate) fn new(trailing_slash: TrailingSlash, case: CaseOf) -> Self {
        Self { nodes: vec![Node::default()], trailing_slash, case }
    }

    /// Adds an operation under a template. Answers the operation that stands there already with the same
    /// method and the same fixed query, if there is one; the new one is left out then.
    pub(crate) fn add(
        &mut self,
        base: &Template,
        template: &Template,
        method: &str,
        operation: usize,
        same_query: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut segments: Vec<&Vec<Piece>> = base.segments.iter().chain(&template.segments).collect();
        // A base path may end with a slash, and `split` gives an empty segment for an empty path.
        let last = segments.len().saturating_sub(1);
        let mut index = 0;
        segments.retain(|segment| {
            index += 1;
            !segment.is_empty() || index - 1 == last
        });
        let mut slash = false;
        if self.trailing_slash == TrailingSlash::Ignore
            && segments.len() > 1
            && segments.last().is_some_and(|segment| segment.is_empty())
        {
            segments.pop();
            slash = true;
        }
        let mut at = 0;
        for segment in segments {
            at = self.child(at, segment);
        }
        let leaf = self.nodes.get_mut(at)?.leaf.get_or_insert_with(Leaf::default);
        leaf.slash |= slash;
        let id = u32::try_from(operation).unwrap_or(u32::MAX);
        match leaf.methods.iter_mut().find(|(known, _)| &**known == method) {
            Some((_, operations)) => {
                if let Some(same) = operations.iter().find(|known| same_query(**known as usize)) {
                    return Some(*same as usize);
                }
                operations.push(id);
            }
            None => leaf.methods.push((method.into(), SmallVec::from_slice(&[id]))),
        }
        leaf.allow = allow(&leaf.methods);
        None
    }

    fn child(&mut self, at: usize, segment: &[Piece]) -> usize {
        let case = self.case;
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let found = match segment {
            [] => slot(&mut node.literals, Box::default(), next, case),
            [Piece::Literal(text)] => slot(&mut node.literals, text.clone(), next, case),
            [Piece::Capture] => *node.capture.get_or_insert(next),
            [Piece::Rest] => *node.rest.get_or_insert(next),
            pieces => match node.partials.iter().find(|(known, _)| known == pieces) {
                Some((_, found)) => *found,
                None => {
                    node.partials.push((pieces.to_vec(), next));
                    node.partials.sort_by_key(|(pieces, _)| std::cmp::Reverse(literal_bytes(pieces)));
                    next
                }
            },
        };
        if found == next {
            self.nodes.push(Node::default());
        }
        found as usize
    }

    /// Finds the operation of a canonical path. `choose` picks among operations that share path and method.
    pub(crate) fn find<'c, 'p>(
        &'c self,
        method: &str,
        path: &'p str,
        choose: impl Fn(&[u32]) -> Option<usize>,
    ) -> Route<'c, 'p> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let Some(relative) = path.strip_prefix('/') else { return Route::NotFound };
        let mut segments: SmallVec<[&str; 16]> = relative.split('/').collect();
        if self.trailing_slash == TrailingSlash::Ignore && segments.len() > 1 && segments.last() == Some(&"")
        {
            segments.pop();
        }
        let mut search =
            Search { routes: self, path, method, choose: &choose, captures: Captures::new(), allow: None };
        match search.descend(0, &segments) {
            Some(operation) => Route::Found { operation, captures: search.captures },
            None => match search.allow {
                Some(allow) => Route::MethodNotAllowed { allow },
                None => Route::NotFound,
            },
        }
    }
}

struct Search<'s, 'c, 'p, F> {
    routes: &'c Routes,
    path: &'p str,
    method: &'s str,
    choose: &'s F,
    captures: Captures<'p>,
    allow: Option<&'c str>,
}

impl<'c, 'p, F: Fn(&[u32]) -> Option<usize>> Search<'_, 'c, 'p, F> {
    /// Levels are as many as the longest template has segments: the recursion is bounded by the document.
    fn descend(&mut self, at: u32, segments: &[&'p str]) -> Option<usize> {
        let node = self.routes.nodes.get(at as usize)?;
        let Some((segment, rest)) = segments.split_first() else {
            return node.leaf.as_ref().and_then(|leaf| self.at_leaf(leaf));
        };
        let mut buffer = SmallVec::<[u8; 128]>::new();
        let raw: &[u8] = if segment.contains('%') {
            buffer.extend(percent_encoding::percent_decode_str(segment));
            &buffer
        } else {
            segment.as_bytes()
        };
        let case = self.routes.case;
        if let Ok(found) = node.literals.binary_search_by(|(literal, _)| order(literal, raw, case))
            && let Some((_, child)) = node.literals.get(found)
            && let Some(operation) = self.descend(*child, rest)
        {
            return Some(operation);
        }
        if segment.is_empty() {
            return None;
        }
        let before = self.captures.len();
        for (pieces, child) in &node.partials {
            if split_pieces(pieces, segment, case, &mut self.captures)
                && let Some(operation) = self.descend(*child, rest)
            {
                return Some(operation);
            }
            self.captures.truncate(before);
        }
        if let Some(child) = node.capture {
            self.captures.push(segment);
            if let Some(operation) = self.descend(child, rest) {
                return Some(operation);
            }
            self.captures.truncate(before);
        }
        if let Some(child) = node.rest {
            return self.descend_wide(child, segments);
        }
        None
    }

    /// Gives a parameter that may hold slashes as few segments as the template after it allows. None of them
    /// is empty but the last one of the path.
    fn descend_wide(&mut self, child: u32, segments: &[&'p str]) -> Option<usize> {
        let before = self.captures.len();
        let start = offset_in(self.path, segments.first()?);
        for taken in 1..=segments.len() {
            let last = segments.get(taken - 1)?;
            if last.is_empty() && (taken < segments.len() || taken == 1) {
                return None;
            }
            let end = offset_in(self.path, last) + last.len();
            self.captures.push(self.path.get(start..end)?);
            if let Some(operation) = self.descend(child, segments.get(taken..)?) {
                return Some(operation);
            }
            self.captures.truncate(before);
        }
        None
    }

    /// A path that lacks the method does not end the search: `POST /users/me` may be `POST /users/{id}` where
    /// only `GET /users/me` is declared.
    fn at_leaf(&mut self, leaf: &'c Leaf) -> Option<usize> {
        let declared = |method: &str| leaf.methods.iter().find(|(known, _)| &**known == method);
        let found =
            declared(self.method).or_else(|| (self.method == "HEAD").then(|| declared("GET")).flatten());
        let operation = found.and_then(|(_, operations)| match operations.as_slice() {
            [one] => Some(*one as usize),
            several => (self.choose)(several),
        });
        if operation.is_none() && self.allow.is_none() {
            self.allow = Some(&leaf.allow);
        }
        operation
    }
}

/// Where a part of a text starts in it.
fn offset_in(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// The `Allow` value: what is declared, and HEAD where GET is.
fn allow(methods: &[(Box<str>, SmallVec<[u32; 1]>)]) -> Box<str> {
    let mut names: Vec<&str> = methods.iter().map(|(name, _)| &**name).collect();
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.join(", ").into()
}

fn slot(literals: &mut Vec<(Box<[u8]>, u32)>, text: Box<[u8]>, next: u32, case: CaseOf) -> u32 {
    match literals.binary_search_by(|(known, _)| order(known, &text, case)) {
        Ok(found) => literals.get(found).map_or(next, |(_, child)| *child),
        Err(place) => {
            literals.insert(place, (text, next));
            next
        }
    }
}

fn order(known: &[u8], text: &[u8], case: CaseOf) -> Ordering {
    match case {
        CaseOf::Sensitive => known.cmp(text),
        CaseOf::Insensitive => {
            known.iter().map(u8::to_ascii_lowercase).cmp(text.iter().map(u8::to_ascii_lowercase))
        }
    }
}

fn literal_bytes(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| if let Piece::Literal(text) = piece { text.len() } else { 0 }).sum()
}

/// Splits a segment along its pieces: each parameter takes as little as the literal after it allows, the last
/// one the rest; none is empty. As in matching a glob, the leftmost choice finds a split if there is one.
fn split_pieces<'p>(pieces: &[Piece], segment: &'p str, case: CaseOf, captures: &mut Captures<'p>) -> bool {
    let mut at = 0;
    let mut capture_from = None;
    for (index, piece) in pieces.iter().enumerate() {
        let is_last = index + 1 == pieces.len();
        match (piece, capture_from) {
            (Piece::Capture | Piece::Rest, None) => capture_from = Some(at),
            (Piece::Capture | Piece::Rest, Some(from)) => {
                // Side by side: the first takes one character, or one escape.
                let rest = segment.get(from..).unwrap_or_default();
                let Some(first) = rest.chars().next() else { return false };
                let width = if first == '%' { 3 } else { first.len_utf8() };
                let Some(value) = rest.get(..width) else { return false };
                captures.push(value);
                capture_from = Some(from + width);
            }
            (Piece::Literal(text), None) => match literal_at(segment, at, text, case) {
                Some(end) => at = end,
                None => return false,
            },
            (Piece::Literal(text), Some(from)) => {
                let splits =
                    |start: &usize| segment.is_char_boundary(*start) && !inside_escape(segment, *start);
                let found = (from + 1..segment.len()).filter(splits).find_map(|start| {
                    let end = literal_at(segment, start, text, case)?;
                    (!is_last || end == segment.len()).then_some((start, end))
                });
                let Some((start, end)) = found else { return false };
                captures.push(segment.get(from..start).unwrap_or_default());
                capture_from = None;
                at = end;
            }
        }
    }
    match capture_from {
        Some(from) if from < segment.len() => {
            captures.push(segment.get(from..).unwrap_or_default());
            true
        }
        Some(_) => false,
        None => at == segment.len(),
    }
}

/// Whether an offset stands between a percent sign and the end of its escape.
fn inside_escape(segment: &str, at: usize) -> bool {
    let bytes = segment.as_bytes();
    [1, 2].iter().any(|back| at.checked_sub(*back).and_then(|before| bytes.get(before)) == Some(&b'%'))
}

/// Where a decoded literal ends if it stands at `start` of an encoded segment.
fn literal_at(segment: &str, start: usize, literal: &[u8], case: CaseOf) -> Option<usize> {
    let bytes = segment.as_bytes();
    let mut at = start;
    for expected in literal {
        let (byte, width) = match bytes.get(at)? {
            b'%' => {
                let hex = segment.get(at + 1..at + 3)?;
                (u8::from_str_radix(hex, 16).ok()?, 3)
            }
            byte => (*byte, 1),
        };
        let equal = byte == *expected || case == CaseOf::Insensitive && byte.eq_ignore_ascii_case(expected);
        if !equal {
            return None;
        }
        at += width;
    }
    Some(at)
}

impl crate::contract::Contract {
    /// The operation of a call. `path` is the canonical path: unreserved characters decoded, everything else
    /// percent-encoded, so that `%2F` is data. `query` matters only to documents whose path keys hold one.
    ///
    /// HEAD falls back to GET; OPTIONS is found only if it is declared. Nothing is allocated for paths of up
    /// to 16 segments and 8 parameters.
    pub fn route<'c, 'p>(&'c self, method: &str, path: &'p str, query: Option<&str>) -> Route<'c, 'p> {
        self.route_with(method, path, query, |_| None)
    }

    /// [`Contract::route`] for documents that tell operations apart by a header as well: path keys such as
    /// `/#X-Target=Orders.List`. `header` is asked for a header's value by its name, in any case.
    pub fn route_with<'c, 'p, 'h>(
        &'c self,
        method: &str,
        path: &'p str,
        query: Option<&str>,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Route<'c, 'p> {
        self.routes.find(method, path, |candidates| self.choose(candidates, query, &header))
    }

    /// Of operations that share path and method, the one most of whose fixed query is there; one without a
    /// fixed query matches every call.
    fn choose<'h>(
        &self,
        candidates: &[u32],
        query: Option<&str>,
        header: &impl Fn(&str) -> Option<&'h str>,
    ) -> Option<usize> {
        let operation = |id: &u32| self.operations.get(*id as usize);
        let matches = |id: &&u32| {
            operation(id).is_some_and(|operation| {
                let in_query = |(name, value): &Fixed| has_pair(query, name, value.as_deref());
                let in_headers = |(name, value): &Fixed| {
                    header(name).is_some_and(|sent| value.as_deref().is_none_or(|value| value == sent))
                };
                operation.fixed_query.iter().all(in_query) && operation.fixed_headers.iter().all(in_headers)
            })
        };
        let weight = |operation: &Operation| operation.fixed_query.len() + operation.fixed_headers.len();
        let best = candidates.iter().filter(matches).max_by_key(|id| operation(id).map_or(0, weight));
        // Where the body decides, the first stands for all; all are marked as not enforceable.
        let elsewhere = || {
            let open = |id: &&u32| {
                self.operations.get(**id as usize).is_some_and(|operation| !operation.unenforced.is_empty())
            };
            candidates.iter().find(open)
        };
        best.or_else(elsewhere).map(|id| *id as usize)
    }
}

fn has_pair(query: Option<&str>, name: &str, value: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(|pair| {
        let (key, given) = pair.split_once('=').unwrap_or((pair, ""));
        let equal = |raw: &str, wanted: &str| percent_encoding::percent_decode_str(raw).eq(wanted.bytes());
        equal(key, name) && value.is_none_or(|value| equal(given, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(templates: &[(&str, &str)], trailing_slash: TrailingSlash, case: CaseOf) -> Routes {
        let mut routes = Routes::new(trailing_slash, case);
        for (index, (method, template)) in templates.iter().enumerate() {
            routes.add(&Template::parse(""), &Template::parse(template), method, index, |_| false);
        }
        routes
    }

    fn find(routes: &Routes, method: &str, path: &str) -> Result<(usize, Vec<String>), Option<String>> {
        match routes.find(method, path, |candidates| candidates.first().map(|id| *id as usize)) {
            Route::Found { operation, captures } => {
                Ok((operation, captures.iter().map(|s| s.to_string()).collect()))
            }
            Route::NotFound => Err(None),
            Route::MethodNotAllowed { allow } => Err(Some(allow.to_owned())),
        }
    }

    #[test]
    fn literal_before_partial_before_parameter() {
        let all = [
            ("GET", "/users/{id}"),
            ("GET", "/users/me"),
            ("GET", "/users/{id}.json"),
            ("GET", "/users/{a}-{b}.{c}"),
            ("GET", "/users/{id}/posts/{post}"),
            ("GET", "/users/me/settings"),
            ("POST", "/users/{id}"),
            ("GET", "/x:{id}/y"),
            ("GET", "/"),
            ("GET", "/files/{path}:download"),
        ];
        let routes = routes(&all, TrailingSlash::Strict, CaseOf::Sensitive);
        let found = |path: &str, index: usize, captures: &[&str]| {
            let (operation, got) = find(&routes, "GET", path).unwrap_or_else(|e| panic!("{path}: {e:?}"));
            assert_eq!((operation, got), (index, captures.iter().map(|s| s.to_string()).collect()), "{path}");
        };
        found("/users/me", 1, &[]);
        found("/users/m%65", 1, &[]);
        found("/users/12", 0, &["12"]);
        found("/users/12.json", 2, &["12"]);
        found("/users/.json", 0, &[".json"]);
        found("/users/a-b.c", 3, &["a", "b", "c"]);
        found("/users/a-b.c-d.e", 3, &["a", "b", "c-d.e"]);
        found("/users/me/posts/7", 4, &["me", "7"]);
        found("/users/a%2Fb", 0, &["a%2Fb"]);
        found("/x:9/y", 7, &["9"]);
        found("/x%3A9/y", 7, &["9"]);
        found("/files/a%3Ab:download", 9, &["a%3Ab"]);
        found("/", 8, &[]);
        assert_eq!(find(&routes, "POST", "/users/me"), Ok((6, vec!["me".into()])));
        assert_eq!(find(&routes, "HEAD", "/users/me"), Ok((1, vec![])));
        assert_eq!(find(&routes, "DELETE", "/users/12"), Err(Some("GET, HEAD, POST".into())));
        assert_eq!(find(&routes, "OPTIONS", "/users/12"), Err(Some("GET, HEAD, POST".into())));
        for path in [
            "/users/",
            "/users",
            "//users/me",
            "/users/me/",
            "/users//posts/1",
            "/x:/y",
            "",
            "users/me",
            "/USERS/me",
        ] {
            assert_eq!(find(&routes, "GET", path), Err(None), "{path}");
        }
    }

    #[test]
    fn slash_and_case_by_policy() {
        let all = [("GET", "/a/b"), ("GET", "/c/"), ("GET", "/{x}/D")];
        let routes = routes(&all, TrailingSlash::Ignore, CaseOf::Insensitive);
        assert_eq!(find(&routes, "GET", "/a/b/"), Ok((0, vec![])));
        assert_eq!(find(&routes, "GET", "/A/B"), Ok((0, vec![])));
        assert_eq!(find(&routes, "GET", "/c"), Ok((1, vec![])));
        assert_eq!(find(&routes, "GET", "/C/"), Ok((1, vec![])));
        assert_eq!(find(&routes, "GET", "/q/d"), Ok((2, vec!["q".into()])));
        assert_eq!(find(&routes, "GET", "/a/b//"), Err(None));
    }

    #[test]
    fn slashes_in_a_parameter() {
        let all = [
            ("GET", "/files/{path*}"),
            ("GET", "/files/{id}/meta"),
            ("GET", "/{+scope}/providers/{name}"),
            ("GET", "/files/static/x"),
            ("PUT", "/proxy/{proxy+}"),
        ];
        let strict = routes(&all, TrailingSlash::Strict, CaseOf::Sensitive);
        let found = |path: &str, index: usize, captures: &[&str]| {
            let (operation, got) = find(&strict, "GET", path).unwrap_or_else(|e| panic!("{path}: {e:?}"));
            assert_eq!((operation, got), (index, captures.iter().map(|s| s.to_string()).collect()), "{path}");
        };
        found("/files/a", 0, &["a"]);
        found("/files/a/b%2Fc/d", 0, &["a/b%2Fc/d"]);
        found("/files/a/", 0, &["a/"]);
        found("/files/a/meta", 1, &["a"]);
        found("/files/a/b/meta", 0, &["a/b/meta"]);
        found("/files/static/x", 3, &[]);
        found("/files/static/y", 0, &["static/y"]);
        found("/s/1/g/2/providers/n", 2, &["s/1/g/2", "n"]);
        found("/s/providers/p/providers/n", 2, &["s/providers/p", "n"]);
        for path in ["/files/", "/files", "/files//a", "/files/a//b", "/s/providers", "//providers/n", "/x/y"]
        {
            assert_eq!(find(&strict, "GET", path), Err(None), "{path}");
        }
        assert_eq!(find(&strict, "GET", "/proxy/a/b"), Err(Some("PUT".into())));

        let mut template = Template::parse("/{a}/x/{b}.{c}/{d}");
        assert!(!template.widen("b") && !template.widen("none") && template.rest.is_none());
        assert!(template.widen("d") && template.widen("d") && !template.widen("a"));
        assert!(Template::is_marked_copy("/files/{path*}", "/files/{path}"));
        assert!(!Template::is_marked_copy("/files/{path*}", "/files/{other}"));
        // Only one may, and only as a segment by itself.
        assert_eq!(Template::parse("/{a*}/{b*}").rest.as_deref(), Some("a"));
        assert_eq!(Template::parse("/{+name}:cancel").rest, None);
    }

    #[test]
    fn templates_are_taken_apart() {
        let template = Template::parse("/a/{b}?Action=List&Version={v}#x=1");
        assert_eq!(template.names, ["b".into()]);
        let fixed: Vec<_> = template.fixed.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
        assert_eq!(fixed, [("Action", Some("List")), ("Version", None), ("x", Some("1"))]);
        assert!(Template::parse("/{a}{b}").ambiguous);
        assert_eq!(Template::parse("/{a/b}/c").names, ["a/b".into()]);
        assert_eq!(Template::parse("/{broken/c").names.len(), 0);
    }

    #[test]
    fn a_wide_and_deep_trie_is_searched_once() {
        let mut all = Vec::new();
        for depth in 0..14 {
            for bits in 0..4 {
                let path: String = (0..=depth)
                    .map(|level| if (bits >> (level % 2)) & 1 == 0 { "/a" } else { "/{p}" })
                    .collect();
                all.push(path);
            }
        }
        let all: Vec<(&str, &str)> = all.iter().map(|path| ("GET", path.as_str())).collect();
        let routes = routes(&all, TrailingSlash::Strict, CaseOf::Sensitive);
        let path = "/a".repeat(13) + "/b/c";
        assert_eq!(find(&routes, "GET", &path), Err(None));
    }

    #[test]
    fn as_a_list_of_expressions_would() {
        let mut seed = 88_172_645_463_325_252_u64;
        let mut below = |end: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) % end
        };
        let pieces = ["a", "b", "{p}", "{p}.a", "a{p}", "{p}-{q}", "{p}b", "ab", "a-b.a"];
        let name = regex::Regex::new(r"\\\{[pq]\\\}").unwrap();
        for _ in 0..300 {
            let mut templates: Vec<String> = Vec::new();
            for _ in 0..1 + below(8) {
                let segments = 1 + below(3);
                let next: String = (0..segments)
                    .map(|_| format!("/{}", pieces[below(pieces.len() as u64) as usize]))
                    .collect();
                if !templates.contains(&next) {
                    templates.push(next);
                }
            }
            let all: Vec<(&str, &str)> = templates.iter().map(|path| ("GET", path.as_str())).collect();
            let routes = routes(&all, TrailingSlash::Strict, CaseOf::Sensitive);
            let expression = |template: &String| {
                regex::Regex::new(&format!("^{}$", name.replace_all(&regex::escape(template), "([^/]+?)")))
                    .unwrap()
            };
            let expressions: Vec<regex::Regex> = templates.iter().map(expression).collect();
            let rank = |segment: &str| if segment == "{p}" { 2 } else { u8::from(segment.contains('{')) };
            // Where two templates part, the more literal one goes first.
            let goes_first = |first: &str, second: &str| {
                let parting = first.split('/').zip(second.split('/')).find(|(one, other)| one != other);
                parting.is_none_or(|(one, other)| rank(one) <= rank(other))
            };
            for _ in 0..60 {
                let segments = 1 + below(3);
                let texts = ["a", "b", "ab", "a-b", "a-b.a", "x.a", "-", "a.a", "", "bb"];
                let path: String = (0..segments)
                    .map(|_| format!("/{}", texts[below(texts.len() as u64) as usize]))
                    .collect();
                let matching: Vec<usize> =
                    (0..templates.len()).filter(|at| expressions[*at].is_match(&path)).collect();
                match find(&routes, "GET", &path) {
                    Ok((operation, captures)) => {
                        assert!(matching.contains(&operation), "{path} {templates:?}");
                        let found = &templates[operation];
                        let before = matching.iter().all(|other| goes_first(found, &templates[*other]));
                        assert!(before, "{path} {found} {templates:?}");
                        assert!(
                            captures
                                .iter()
                                .all(|capture| !capture.is_empty() && path.contains(capture.as_str()))
                        );
                    }
                    Err(_) => assert!(matching.is_empty(), "{path} {templates:?}"),
                }
            }
        }
    }
}
