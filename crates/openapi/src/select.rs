//! Values of a JSON body, found by where they stand and put anew: whatever else is in it is copied as it was written.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::filter::{FilterError, MAX_STEPS};
use crate::report::Violation;
use crate::schema::{Arena, BodyLimits, Direction, Lexer, Purpose, SchemaId, Text, Wanted};

/// A name as lenient frameworks read it: `user_id`, `userId`, `User-Id` and `userid[]` are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LenientName(Box<str>);

impl LenientName {
    /// The name that `text` is.
    pub fn new(text: &str) -> LenientName {
        LenientName(folded(text).collect::<String>().into())
    }

    /// The form in which all spellings of it are one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is read as this name by somebody.
    pub fn is(&self, text: &str) -> bool {
        folded(text).eq(self.0.chars())
    }
}

fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    let base = match text.find('[') {
        // What begins with a bracket has no name before it.
        Some(0) | None => text,
        Some(at) => text.get(..at).unwrap_or_default(),
    };
    base.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' ')).flat_map(char::to_lowercase)
}

/// Which values of a JSON document are meant: by a name that they have anywhere, or by a path.
///
/// A path is a JSON pointer (RFC 6901) in which `*` stands for any member or item. Arrays on the way are looked into
/// even where the path does not say so, and names are [lenient](LenientName): a client must not get past by writing a
/// list of objects for an object, or `OrderID` for `orderId`.
///
/// ```
/// use portcullis_openapi::{BodyLimits, Edit, Selector};
///
/// let mut selector = Selector::new();
/// selector.add("orderId", 0)?;
/// selector.add("/items/*/id", 1)?;
/// let body = br#"{"items": [{"id": 1}], "a": {"order_id": 2}, "id": 3}"#;
/// let edited = selector.edit(body, BodyLimits::default(), &mut |found| Edit::Replace(format!("\"<{}>\"", found.token)));
/// assert_eq!(edited.unwrap().unwrap(), br#"{"items": [{"id": "<1>"}], "a": {"order_id": "<2>"}, "id": 3}"#);
/// # Ok::<(), portcullis_openapi::FilterError>(())
/// ```
#[derive(Debug)]
pub struct Selector {
    nodes: Vec<Node>,
    anywhere: Vec<(LenientName, usize)>,
    texts: bool,
    /// Reads any JSON.
    reader: Arena,
}

#[derive(Debug, Default)]
struct Node {
    named: Vec<(LenientName, usize)>,
    any: Option<usize>,
    tag: Option<usize>,
}

/// A value that was meant.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// What was given to [`Selector::add`]; none for a text that nothing names ([`Selector::texts`]).
    pub tag: Option<usize>,
    /// The value as it is written.
    pub token: &'a str,
}

impl<'a> Found<'a> {
    /// What it says, where it is a string.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let raw = self.token.strip_prefix('"')?.strip_suffix('"')?;
        if !raw.contains('\\') {
            return Some(Cow::Borrowed(raw));
        }
        let mut out = String::new();
        Text { raw, escaped: true }.unescape(&mut out);
        Some(Cow::Owned(out))
    }

    /// Whether it is an object or an array.
    pub fn is_container(&self) -> bool {
        self.token.starts_with(['{', '['])
    }
}

/// What becomes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// It stays.
    Keep,
    /// This stands in its place: a JSON value.
    Replace(String),
    /// It stays, and what is in it is looked at: the items of an array as if each were named.
    Inside,
}

/// The paths that are followed at a place: indexes of nodes.
type Here = SmallVec<[usize; 4]>;

impl Default for Selector {
    fn default() -> Self {
        Selector::new()
    }
}

impl Selector {
    /// Nothing is meant yet.
    pub fn new() -> Selector {
        let mut reader = Arena::new();
        reader.finish();
        Selector { nodes: vec![Node::default()], anywhere: Vec::new(), texts: false, reader }
    }

    /// Means the values at `pattern`, a name or a path, and marks them with `tag`.
    ///
    /// # Errors
    /// If a path has too many steps, or a name says nothing.
    pub fn add(&mut self, pattern: &str, tag: usize) -> Result<(), FilterError> {
        let error = || FilterError { path: pattern.into() };
        let Some(steps) = pattern.strip_prefix('/') else {
            let name = LenientName::new(pattern);
            if name.0.is_empty() {
                return Err(error());
            }
            self.anywhere.push((name, tag));
            return Ok(());
        };
        let mut at = 0;
        for (count, step) in steps.split('/').enumerate() {
            let next = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at).filter(|_| count < MAX_STEPS) else {
                return Err(error());
            };
            let known = if step == "*" {
                *node.any.get_or_insert(next)
            } else {
                let name = LenientName::new(&crate::source::unescape_token(step));
                match node.named.iter().find(|(known, _)| *known == name) {
                    Some((_, found)) => *found,
                    None => {
                        node.named.push((name, next));
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
            node.tag.get_or_insert(tag);
        }
        Ok(())
    }

    /// Shows the other texts of a document too.
    pub fn texts(&mut self) {
        self.texts = true;
    }

    /// Whether nothing is meant.
    pub fn is_empty(&self) -> bool {
        self.anywhere.is_empty() && self.nodes.len() == 1 && !self.texts
    }

    /// The tag of the values that a member, field or parameter called `name` has anywhere.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.anywhere.iter().find(|(known, _)| known.is(name)).map(|(_, tag)| *tag)
    }

    /// The tag of a top-level member called `name`, or of one that may stand anywhere.
    pub fn member(&self, name: &str) -> Option<usize> {
        let top = self.step(&Here::from_slice(&[0]), Some(name));
        self.tag(&top).or_else(|| self.named(name))
    }

    /// Asks `edit` about each value that is meant; the body with what it said, or nothing where nothing changed.
    ///
    /// # Errors
    /// If the body is no JSON, names a member twice, or is beyond `limits`.
    pub fn edit(
        &self,
        body: &[u8],
        limits: BodyLimits,
        edit: &mut dyn FnMut(Found<'_>) -> Edit,
    ) -> Result<Option<Vec<u8>>, Violation> {
        let nothing = Wanted { undescribed: false, wrong_direction: false };
        let read = self.reader.read(SchemaId::ANY, body, Direction::Request, nothing, Purpose::Judge, limits);
        if let Err(unfit) = read {
            return Err(crate::json_body::unreadable(unfit));
        }
        // That it is UTF-8 has just been seen.
        let text = std::str::from_utf8(body).unwrap_or_default();
        let mut run = Run { selector: self, text, lexer: Lexer::new(text), put: Vec::new(), edit };
        run.value(&Here::from_slice(&[0]), None);
        let Run { put, .. } = run;
        if put.is_empty() {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(body.len() + put.iter().map(|(.., new)| new.len()).sum::<usize>());
        let mut at = 0;
        for (from, to, new) in &put {
            out.extend_from_slice(body.get(at..*from).unwrap_or_default());
            out.extend_from_slice(new.as_bytes());
            at = *to;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        Ok(Some(out))
    }

    /// Where the paths lead from a place: to a member by its name, or to an item. Where a path says `*`, what stands there
    /// may be the one item itself: some servers take it for a list of one.
    fn step(&self, here: &Here, name: Option<&str>) -> Here {
        let mut next = Here::new();
        for node in here.iter().filter_map(|at| self.nodes.get(*at)) {
            if let Some(name) = name {
                let itself = node.any.and_then(|any| self.nodes.get(any));
                let named = itself.into_iter().chain([node]).flat_map(|node| &node.named);
                next.extend(named.filter(|(known, _)| known.is(name)).map(|(_, at)| *at));
            }
            next.extend(node.any);
        }
        next
    }

    fn tag(&self, here: &Here) -> Option<usize> {
        here.iter().find_map(|at| self.nodes.get(*at)?.tag)
    }

    /// The tag of a value that is neither an object nor an array.
    fn tag_of_scalar(&self, here: &Here) -> Option<usize> {
        let itself = |at: &usize| self.nodes.get(self.nodes.get(*at)?.any?)?.tag;
        self.tag(here).or_else(|| here.iter().find_map(itself))
    }
}

/// A selector on its way through a body that has been found well-formed.
struct Run<'s, 'b, 'e> {
    selector: &'s Selector,
    text: &'b str,
    lexer: Lexer<'b>,
    /// What stands where instead; in order and disjoint.
    put: Vec<(usize, usize, String)>,
    edit: &'e mut dyn FnMut(Found<'_>) -> Edit,
}

impl Run<'_, '_, '_> {
    fn value(&mut self, here: &Here, tag: Option<usize>) {
        let first = self.lexer.peek();
        let start = self.lexer.at;
        let container = matches!(first, b'{' | b'[');
        if tag.is_some() || self.selector.texts && first == b'"' {
            let mut ahead = self.lexer;
            ahead.hop();
            let token = self.text.get(start..ahead.at).unwrap_or_default();
            match (self.edit)(Found { tag, token }) {
                Edit::Inside if container => {}
                Edit::Replace(new) => {
                    self.put.push((start, ahead.at, new));
                    self.lexer = ahead;
                    return;
                }
                Edit::Keep | Edit::Inside => {
                    self.lexer = ahead;
                    return;
                }
            }
        }
        match first {
            b'{' => self.members(here),
            b'[' => self.items(here, tag),
            _ => self.lexer.hop(),
        }
    }

    fn members(&mut self, here: &Here) {
        let mut more = self.lexer.open(b'}');
        let mut unescaped = String::new();
        while more {
            let name = self.lexer.string().unwrap_or(Text { raw: "", escaped: false });
            let name = match name.escaped {
                true => {
                    unescaped.clear();
                    name.unescape(&mut unescaped);
                    unescaped.as_str()
                }
                false => name.raw,
            };
            let next = self.selector.step(here, Some(name));
            let named = self.selector.named(name);
            if self.lexer.expect(b':').is_err() {
                return;
            }
            let tag = match self.lexer.peek() {
                b'{' | b'[' => self.selector.tag(&next),
                _ => self.selector.tag_of_scalar(&next),
            };
            let tag = tag.or(named);
            self.value(&next, tag);
            more = self.lexer.more(b'}').unwrap_or(false);
        }
    }

    fn items(&mut self, here: &Here, tag: Option<usize>) {
        let mut next = self.selector.step(here, None);
        let tag = tag.or_else(|| self.selector.tag(&next));
        next.extend(here.iter().copied());
        let mut more = self.lexer.open(b']');
        while more {
            self.value(&next, tag);
            more = self.lexer.more(b']').unwrap_or(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(patterns: &[&str]) -> Selector {
        let mut selector = Selector::new();
        for (tag, pattern) in patterns.iter().enumerate() {
            selector.add(pattern, tag).unwrap();
        }
        selector
    }

    fn edited(patterns: &[&str], body: &str) -> String {
        let mut edit = |found: Found<'_>| match found.is_container() {
            true => Edit::Inside,
            false => Edit::Replace(format!("#{}", found.tag.map_or("-".into(), |tag| tag.to_string()))),
        };
        match selector(patterns).edit(body.as_bytes(), BodyLimits::default(), &mut edit).unwrap() {
            Some(bytes) => String::from_utf8(bytes).unwrap(),
            None => body.to_owned(),
        }
    }

    #[test]
    fn values_are_found_by_name_and_by_path() {
        for (patterns, body, expected) in [
            (&["/id"][..], r#"{"id":1,"a":{"id":2}}"#, r#"{"id":#0,"a":{"id":2}}"#),
            (&["/id"], r#"[{"id":1},[{"id":2}]]"#, r#"[{"id":#0},[{"id":#0}]]"#),
            (&["/items/*/id"], r#"{"items":[{"id":1}],"id":2}"#, r#"{"items":[{"id":#0}],"id":2}"#),
            (&["/items/*/id"], r#"{"items":[[{"id":1}]]}"#, r#"{"items":[[{"id":#0}]]}"#),
            (&["/items/*/id"], r#"{"items":{"x":{"id":1}}}"#, r#"{"items":{"x":{"id":#0}}}"#),
            (&["/items/*/id"], r#"{"items":{"id":1}}"#, r#"{"items":{"id":#0}}"#),
            (&["/ids/*"], r#"{"ids":1}"#, r#"{"ids":#0}"#),
            (&["/items/id"], r#"{"items":[{"id":1}]}"#, r#"{"items":[{"id":#0}]}"#),
            (&["/ids"], r#"{"ids":[1,[2,"3"],{"id":4}]}"#, r#"{"ids":[#0,[#0,#0],{"id":4}]}"#),
            (&["/ids/*"], r#"{"ids":[1,[2]]}"#, r#"{"ids":[#0,[#0]]}"#),
            (
                &["orderId"],
                r#"{"a":[{"order_id":1}],"ORDERID":"x"}"#,
                r##"{"a":[{"order_id":#0}],"ORDERID":#0}"##,
            ),
            (&["orderId"], r#"{"order\u0049d":1,"orderId2":2}"#, r#"{"order\u0049d":#0,"orderId2":2}"#),
            (&["orderId"], r#"{"orderId":{"orderId":1,"b":2}}"#, r#"{"orderId":{"orderId":#0,"b":2}}"#),
            (&["b", "/a/b"], r#"{"a":{"b":1},"c":{"b":2}}"#, r#"{"a":{"b":#1},"c":{"b":#0}}"#),
            (&["/a~1b/m~0n"], r#"{"a/b":{"m~n":1}}"#, r#"{"a/b":{"m~n":#0}}"#),
            (&["/*"], r#"[1,{"a":2}]"#, r#"[#0,{"a":#0}]"#),
            (&["/x"], r#" { "y" : [ ] , "z" : { } } "#, r#" { "y" : [ ] , "z" : { } } "#),
            (&["/x"], "7", "7"),
        ] {
            assert_eq!(edited(patterns, body), expected, "{patterns:?} {body}");
        }
    }

    #[test]
    fn what_is_not_meant_is_copied_byte_by_byte() {
        let body = "{ \"a\\u0062\" : 1.0e0 ,\n\t\"id\":\"x\" , \"n\": -0 }";
        let mut edit = |found: Found<'_>| Edit::Replace(format!("[{}]", found.text().unwrap()));
        let out =
            selector(&["/id"]).edit(body.as_bytes(), BodyLimits::default(), &mut edit).unwrap().unwrap();
        assert_eq!(out, body.replace("\"x\"", "[x]").as_bytes());
    }

    #[test]
    fn other_texts_are_shown_where_that_was_asked_for() {
        let mut selector = selector(&["id"]);
        selector.texts();
        let mut seen = Vec::new();
        let mut edit = |found: Found<'_>| {
            seen.push((found.tag, found.text().map(Cow::into_owned)));
            Edit::Keep
        };
        let body = br#"{"id":"1","a":["x\n",2],"b":{"c":"y"}}"#;
        assert_eq!(selector.edit(body, BodyLimits::default(), &mut edit), Ok(None));
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(seen, [(Some(0), text("1")), (None, text("x\n")), (None, text("y"))]);
    }

    #[test]
    fn what_cannot_be_read_is_not_edited() {
        let selector = selector(&["/a"]);
        for body in ["", "{", r#"{"a":1,"a":2}"#, r#"{"b":01}"#, "{}x"] {
            assert!(
                selector.edit(body.as_bytes(), BodyLimits::default(), &mut |_| Edit::Keep).is_err(),
                "{body}"
            );
        }
        for wrong in ["", "_", &"/a".repeat(65)] {
            assert!(Selector::new().add(wrong, 0).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_read_as_lenient_frameworks_do() {
        let name = LenientName::new("user_id");
        for same in ["userId", "UserID", "user-id", "user.id", "userid[]", "user_id[0]", "USER_ID"] {
            assert!(name.is(same), "{same}");
        }
        for other in ["user", "userid2", "id", "[userid]", ""] {
            assert!(!name.is(other), "{other}");
        }
    }
}
