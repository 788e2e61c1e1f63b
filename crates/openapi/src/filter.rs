//! Which members of a JSON body stay: by paths, whatever a schema says.
//!
//! What goes is cut out of the text; what stays is copied as it was written, so that numbers, escapes and order
//! are those of the sender.

use std::fmt;

use smallvec::SmallVec;

use crate::json_body::without;
use crate::report::{MAX_VIOLATIONS, Violation};
use crate::schema::{Arena, BodyLimits, Cutter, Direction, Pass, Passed, Path, Purpose, Wanted};

/// Steps that a path may have.
pub(crate) const MAX_STEPS: usize = 64;

/// Members that may stay and members that must go, compiled once and run over many bodies.
///
/// A path is a JSON pointer (RFC 6901) in which `*` stands for any member or item: `/items/*/price`. One that names
/// an object or an array speaks for all that is in it. Without a list of what may stay, everything may; what must
/// go goes whatever else says that it may stay.
///
/// ```
/// use portcullis_openapi::{BodyLimits, Filtered, PropertyFilter};
///
/// let filter = PropertyFilter::new(Some(&["/id", "/items/*/sku"]), &["/items/*/cost"])?;
/// let body = br#"{"id": 1, "secret": 2, "items": [{"sku": "a", "cost": 3}]}"#;
/// let Ok(Filtered::Cut { bytes, members }) = filter.apply(body, BodyLimits::default()) else { panic!() };
/// assert_eq!(bytes, br#"{"id": 1, "items": [{"sku": "a"}]}"#);
/// assert_eq!(members, ["/secret", "/items/0/cost"]);
/// # Ok::<(), portcullis_openapi::FilterError>(())
/// ```
#[derive(Debug)]
pub struct PropertyFilter {
    nodes: Vec<Node>,
    /// Only what is named may stay.
    listed: bool,
    /// Reads any JSON.
    reader: Arena,
}

/// A step of all paths.
#[derive(Debug, Default)]
struct Node {
    /// Sorted by name.
    named: Vec<(Box<str>, usize)>,
    any: Option<usize>,
    /// What is here stays.
    stays: bool,
    /// What is here goes.
    goes: bool,
    /// Something below may stay.
    leads: bool,
}

/// A path that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// The path.
    pub path: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a path such as `/items/*/price`, of {MAX_STEPS} steps at most, instead of `{}`",
            self.path
        )
    }
}

impl std::error::Error for FilterError {}

/// What a filter made of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filtered {
    /// Nothing has to go.
    Unchanged,
    /// Something had to.
    Cut {
        /// The body without it.
        bytes: Vec<u8>,
        /// JSON pointers to what went, ten at most; its names are cut to
        /// [`MAX_NAME`](crate::MAX_NAME) bytes and freed of control characters.
        members: Vec<String>,
    },
}

/// The paths that are followed at a place: indexes of nodes.
type Here = SmallVec<[usize; 4]>;

impl PropertyFilter {
    /// Compiles paths: what alone may stay, if that is given, and what must go.
    ///
    /// # Errors
    /// If a path does not start with `/`, or has too many steps.
    pub fn new(allow: Option<&[&str]>, deny: &[&str]) -> Result<Self, FilterError> {
        let mut filter = Self { nodes: vec![Node::default()], listed: allow.is_some(), reader: Arena::new() };
        for path in allow.unwrap_or_default() {
            filter.add(path, true)?;
        }
        for path in deny {
            filter.add(path, false)?;
        }
        filter.reader.finish();
        Ok(filter)
    }

    fn add(&mut self, path: &str, stays: bool) -> Result<(), FilterError> {
        let error = || FilterError { path: path.into() };
        let steps: Vec<&str> = match path.strip_prefix('/') {
            Some(steps) => steps.split('/').collect(),
            None if path.is_empty() => Vec::new(),
            None => return Err(error()),
        };
        if steps.len() > MAX_STEPS {
            return Err(error());
        }
        let mut at = 0;
        for step in steps {
            let next = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return Err(error()) };
            node.leads |= stays;
            let known = if step == "*" {
                *node.any.get_or_insert(next)
            } else {
                let name: Box<str> = crate::source::unescape_token(step).into();
                match node.named.binary_search_by(|(known, _)| known.cmp(&name)) {
                    Ok(found) => node.named.get(found).map_or(next, |(_, at)| *at),
                    Err(place) => {
                        node.named.insert(place, (name, next));
                        next
                    }
                }
            };
            if known == next {
                self.nodes.push(Node::default());
            }
            at = known;
        }
        if let Some(node) = self.nodes.get_mut(at) {
            if stays { node.stays = true } else { node.goes = true }
        }
        Ok(())
    }

    /// Runs over a body.
    ///
    /// # Errors
    /// If the body is no JSON, or beyond `limits`: it must not pass as if it had been filtered.
    pub fn apply(&self, body: &[u8], limits: BodyLimits) -> Result<Filtered, Violation> {
        let nothing = Wanted { undescribed: false, wrong_direction: false };
        let root = self.nodes.first().map(|root| (root.stays, root.goes));
        let free = !self.listed || root.is_some_and(|(stays, _)| stays);
        let (mut run, mut whole) = (Run { filter: self, cuts: Vec::new(), members: Vec::new() }, false);
        let read = self.reader.pass(body, Direction::Response, nothing, Purpose::Judge, limits, |pass| {
            whole = root.is_some_and(|(_, goes)| goes) || !free && !pass.at_container();
            if whole { pass.skip() } else { run.value(pass, &[0], free, &Path::Root) }
        });
        if let Err(unfit) = read {
            return Err(crate::json_body::unreadable(unfit));
        }
        Ok(if whole {
            Filtered::Cut { bytes: b"null".to_vec(), members: vec![String::new()] }
        } else if run.cuts.is_empty() {
            Filtered::Unchanged
        } else {
            Filtered::Cut { bytes: without(body, &run.cuts), members: run.members }
        })
    }

    /// Where the paths lead from a place by the name of a member.
    fn step(&self, here: &[usize], name: &str) -> Here {
        let mut next = Here::new();
        for node in here.iter().filter_map(|at| self.nodes.get(*at)) {
            if let Some((_, at)) = node.named.iter().find(|(known, _)| **known == *name) {
                next.push(*at);
            }
            if let Some(any) = node.any {
                next.push(any);
            }
        }
        next
    }

    /// The same by the index of an item.
    fn step_at(&self, here: &[usize], index: usize) -> Here {
        let named = self.any(here, |node| !node.named.is_empty());
        self.step(here, if named { index.to_string() } else { String::new() }.as_str())
    }

    fn any(&self, here: &[usize], holds: impl Fn(&Node) -> bool) -> bool {
        here.iter().filter_map(|at| self.nodes.get(*at)).any(holds)
    }
}

/// A filter on its way through a body.
struct Run<'f> {
    filter: &'f PropertyFilter,
    cuts: Vec<(usize, usize)>,
    members: Vec<String>,
}

impl Run<'_> {
    /// `free`: what is not spoken of stays.
    fn value(&mut self, pass: &mut Pass<'_, '_>, here: &[usize], free: bool, path: &Path<'_>) -> Passed {
        if !pass.at_container() || here.is_empty() && free {
            return pass.skip();
        }
        let close = if pass.lexer.peek() == b'{' { b'}' } else { b']' };
        let (mark, mut more) = pass.opened(close)?;
        let mut cut = Cutter::default();
        let mut index = 0_usize;
        while more {
            pass.lexer.peek();
            let start = pass.lexer.at;
            let (next, path) = if close == b'}' {
                let name = pass.name()?;
                (pass.plainly(name, |name| self.filter.step(here, name)), Path::Token(path, name.raw))
            } else {
                (self.filter.step_at(here, index), Path::Index(path, index))
            };
            index += 1;
            let free = free || self.filter.any(&next, |node| node.stays);
            let leads = self.filter.any(&next, |node| node.leads) && pass.at_container();
            let goes = self.filter.any(&next, |node| node.goes) || !free && !leads;
            if !goes {
                self.value(pass, &next, free, &path)?;
            } else {
                if self.members.len() < MAX_VIOLATIONS {
                    self.members.push(path.pointer());
                }
                pass.skip()?;
            }
            let end = pass.lexer.at;
            more = pass.lexer.more(close)?;
            pass.lexer.peek();
            let following = more.then_some(pass.lexer.at);
            cut.member(goes, (start, end), following, &mut self.cuts);
        }
        pass.closed(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(allow: Option<&[&str]>, deny: &[&str], body: &str) -> String {
        let filter = PropertyFilter::new(allow, deny).unwrap();
        match filter.apply(body.as_bytes(), BodyLimits::default()).unwrap() {
            Filtered::Unchanged => body.to_owned(),
            Filtered::Cut { bytes, .. } => String::from_utf8(bytes).unwrap(),
        }
    }

    #[test]
    fn members_stay_or_go_by_path() {
        for (allow, deny, body, expected) in [
            (None, &[][..], r#"{"a":1}"#, r#"{"a":1}"#),
            (None, &["/a"], r#"{"a":1}"#, "{}"),
            (None, &["/a"], r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
            (None, &["/b"], r#"{"a":1 , "b":2}"#, r#"{"a":1}"#),
            (None, &["/b", "/c"], r#"{ "a":1, "b":2, "c":3, "d":4 }"#, r#"{ "a":1, "d":4 }"#),
            (None, &["/b", "/c"], r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1}"#),
            (None, &["/a", "/b"], r#"{"a":1,"b":2}"#, "{}"),
            (None, &["/a", "/c"], r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2}"#),
            (None, &["/l/*/x"], r#"{"l":[{"x":1,"y":2},{"x":3},7]}"#, r#"{"l":[{"y":2},{},7]}"#),
            (None, &["/*/x"], r#"{"a":{"x":1,"y":{"x":2}}}"#, r#"{"a":{"y":{"x":2}}}"#),
            (None, &["/l/0"], r#"{"l":[1,2]}"#, r#"{"l":[2]}"#),
            (None, &["/a~1b"], r#"{"a/b":1,"a":2}"#, r#"{"a":2}"#),
            (None, &["/secret"], r#"{"s\u0065cret":1,"a":"\u0065"}"#, r#"{"a":"\u0065"}"#),
            (None, &["/a", "/a/b"], r#"{"a":{"b":1},"c":1}"#, r#"{"c":1}"#),
            (Some(&["/a"][..]), &[], r#"{"a":{"x":[1]},"b":2}"#, r#"{"a":{"x":[1]}}"#),
            (Some(&["/a/b"]), &[], r#"{"a":{"b":1,"c":2},"d":3}"#, r#"{"a":{"b":1}}"#),
            // Where only something inside may stay, a scalar in its place may not.
            (Some(&["/a/b"]), &[], r#"{"a":"secret"}"#, "{}"),
            (Some(&["/l/*/x"]), &[], r#"{"l":["secret",{"x":1,"y":2}]}"#, r#"{"l":[{"x":1}]}"#),
            (Some(&["/a"]), &["/a/x"], r#"{"a":{"x":1,"y":2}}"#, r#"{"a":{"y":2}}"#),
            (Some(&["/*/id"]), &[], r#"[{"id":1,"pin":2},{"id":3}]"#, r#"[{"id":1},{"id":3}]"#),
            (Some(&[]), &[], r#"{"a":1}"#, "{}"),
            (Some(&[]), &[], "\"secret\"", "null"),
            (Some(&[""]), &["/a"], r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
            (Some(&["/a/b"]), &["/a"], r#"{"a":{"b":1}}"#, "{}"),
        ] {
            assert_eq!(filtered(allow, deny, body), expected, "{allow:?} {deny:?} {body}");
        }
    }

    #[test]
    fn what_cannot_be_read_does_not_pass() {
        let filter = PropertyFilter::new(None, &["/a"]).unwrap();
        for body in ["", "{", "{\"a\":1,\"a\":2}", "{\"b\":01}", "{\"a\":1}x", "\u{feff}{}"] {
            assert!(filter.apply(body.as_bytes(), BodyLimits::default()).is_err(), "{body}");
        }
        assert!(filter.apply(b"{\"b\":\"\xff\"}", BodyLimits::default()).is_err());
        assert!(filter.apply(b"[[[]]]", BodyLimits { depth: 2, ..BodyLimits::default() }).is_err());
        for path in ["a", "a/b", &"/a".repeat(65)] {
            assert!(PropertyFilter::new(None, &[path]).is_err());
        }
    }

    #[test]
    fn what_is_left_is_json_whatever_goes() {
        let body = r#"{"a":[1,{"b":2,"c":[3,4]},[]],"d":{"e":{"f":1},"g":null},"h":"x"}"#;
        let paths =
            ["/a", "/a/0", "/a/1", "/a/1/b", "/a/1/c/*", "/a/2", "/d", "/d/e/f", "/d/g", "/h", "/*/*"];
        for choice in 0_u32..1 << paths.len() {
            let deny: Vec<&str> = paths
                .iter()
                .enumerate()
                .filter(|(at, _)| choice >> at & 1 == 1)
                .map(|(_, path)| *path)
                .collect();
            let out = filtered(None, &deny, body);
            let value: serde_json::Value =
                serde_json::from_str(&out).unwrap_or_else(|_| panic!("{deny:?} {out}"));
            assert_eq!(value.to_string(), out);
            for path in deny.iter().filter(|path| !path.contains('*') && !path.contains(char::is_numeric)) {
                assert!(value.pointer(path).is_none(), "{path} {out}");
            }
        }
    }
}
