//! The fields of a message (RFC 9110 section 5): a flat list in the order of the wire.
//!
//! A message has a dozen fields, and most questions about them are about one that is not there. A list that is walked,
//! with one word that remembers which names it may hold, answers both sooner than a hash table.

use std::fmt;
use std::ops::Index;
use std::slice;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a message, repeated ones in their order.
#[derive(Clone, Default)]
pub struct Fields {
    list: Vec<(HeaderName, HeaderValue)>,
    /// One bit for each name that stands in the list, by [`bit`]; bits of names that were removed may stay.
    names: u64,
    /// Whether a name may stand twice: never `false` while one does.
    repeats: bool,
}

// What was removed leaves traces that are no part of what there is.
impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.list == other.list
    }
}

impl Eq for Fields {}

/// What a field can be asked for by: a name, or text in any case.
pub trait FieldName {
    /// The name's bytes.
    fn bytes(&self) -> &[u8];

    /// Whether `name` is this name.
    fn is(&self, name: &HeaderName) -> bool;
}

impl FieldName for HeaderName {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }

    #[inline]
    fn is(&self, name: &HeaderName) -> bool {
        self == name
    }
}

impl FieldName for str {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    #[inline]
    fn is(&self, name: &HeaderName) -> bool {
        name.as_str().eq_ignore_ascii_case(self)
    }
}

impl<T: FieldName + ?Sized> FieldName for &T {
    #[inline]
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }

    #[inline]
    fn is(&self, name: &HeaderName) -> bool {
        (**self).is(name)
    }
}

/// The bit of a name, the same for all spellings of its letters.
#[inline]
fn bit(name: &[u8]) -> u64 {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 1 };
    let letter = |byte: &u8| u32::from(byte | 0x20);
    let length = u32::try_from(name.len()).unwrap_or(0);
    1u64.wrapping_shl(length.wrapping_mul(5) ^ letter(first) ^ letter(last).wrapping_mul(9))
}

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Fields {
        Fields { list: Vec::new(), names: 0, repeats: false }
    }

    /// No fields, with room for so many.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Fields {
        Fields { list: Vec::with_capacity(capacity), names: 0, repeats: false }
    }

    /// For how many fields there is room without another allocation.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.list.capacity()
    }

    /// Makes room for so many more.
    #[inline]
    pub fn reserve(&mut self, more: usize) {
        self.list.reserve(more);
    }

    /// How many field lines there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether some name may stand more than once; `false` is certain.
    #[inline]
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        self.repeats
    }

    /// Removes all, and keeps the allocation.
    #[inline]
    pub fn clear(&mut self) {
        self.list.clear();
        (self.names, self.repeats) = (0, false);
    }

    #[inline]
    fn may_hold(&self, name: &(impl FieldName + ?Sized)) -> bool {
        self.names & bit(name.bytes()) != 0
    }

    /// Whether a field of this name is there.
    #[inline]
    #[must_use]
    pub fn contains_key(&self, name: impl FieldName) -> bool {
        self.get(name).is_some()
    }

    /// The first field of this name.
    #[inline]
    #[must_use]
    pub fn get(&self, name: impl FieldName) -> Option<&HeaderValue> {
        if !self.may_hold(&name) {
            return None;
        }
        self.list.iter().find(|(known, _)| name.is(known)).map(|(_, value)| value)
    }

    /// All fields of this name, in their order.
    #[inline]
    pub fn get_all<N: FieldName>(&self, name: N) -> Values<'_, N> {
        let list = if self.may_hold(&name) { self.list.as_slice() } else { &[] };
        Values { list: list.iter(), name }
    }

    /// The names in the order of the fields; a repeated one is named each time.
    #[inline]
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &HeaderName> {
        self.list.iter().map(|(name, _)| name)
    }

    /// Name and value of each field.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { list: self.list.iter() }
    }

    /// Name and value of each field, the value to be changed.
    #[inline]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&HeaderName, &mut HeaderValue)> {
        self.list.iter_mut().map(|(name, value)| (&*name, value))
    }

    /// Adds a field behind those of the same name.
    #[inline]
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        let bit = bit(name.bytes());
        self.repeats =
            self.repeats || (self.names & bit != 0 && self.list.iter().any(|(known, _)| *known == name));
        self.names |= bit;
        self.list.push((name, value));
    }

    /// Puts a field in the place of all of its name; the first one's value is given back.
    #[inline]
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) -> Option<HeaderValue> {
        if self.may_hold(&name)
            && let Some(at) = self.list.iter().position(|(known, _)| *known == name)
        {
            return self.replace(at, value);
        }
        self.names |= bit(name.bytes());
        self.list.push((name, value));
        None
    }

    /// Puts `value` at `at`, and removes the later fields of the same name.
    fn replace(&mut self, at: usize, value: HeaderValue) -> Option<HeaderValue> {
        if self.repeats {
            let name = self.list.get(at).map(|(name, _)| name.clone())?;
            let mut index = 0;
            self.list.retain(|(known, _)| {
                index += 1;
                index <= at + 1 || *known != name
            });
        }
        self.list.get_mut(at).map(|(_, old)| std::mem::replace(old, value))
    }

    /// Adds a field if none of its name is there.
    #[inline]
    pub fn insert_absent(&mut self, name: &HeaderName, value: &HeaderValue) {
        if !self.contains_key(name) {
            self.names |= bit(name.bytes());
            self.list.push((name.clone(), value.clone()));
        }
    }

    /// Removes all fields of this name; the first one's value is given back.
    #[inline]
    pub fn remove(&mut self, name: impl FieldName) -> Option<HeaderValue> {
        if !self.may_hold(&name) {
            return None;
        }
        let at = self.list.iter().position(|(known, _)| name.is(known))?;
        let (_, first) = self.list.remove(at);
        if self.repeats {
            self.list.retain(|(known, _)| !name.is(known));
        }
        Some(first)
    }

    /// Keeps the fields that `keep` wants.
    #[inline]
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.list.retain(|(name, value)| keep(name, value));
    }
}

/// Fields of one name.
#[derive(Debug, Clone)]
pub struct Values<'a, N> {
    list: slice::Iter<'a, (HeaderName, HeaderValue)>,
    name: N,
}

impl<'a, N: FieldName> Iterator for Values<'a, N> {
    type Item = &'a HeaderValue;

    #[inline]
    fn next(&mut self) -> Option<&'a HeaderValue> {
        let name = &self.name;
        self.list.find(|(known, _)| name.is(known)).map(|(_, value)| value)
    }
}

impl<'a, N: FieldName> DoubleEndedIterator for Values<'a, N> {
    #[inline]
    fn next_back(&mut self) -> Option<&'a HeaderValue> {
        let name = &self.name;
        self.list.rfind(|(known, _)| name.is(known)).map(|(_, value)| value)
    }
}

/// Name and value of each field of a [`Fields`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    list: slice::Iter<'a, (HeaderName, HeaderValue)>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a HeaderName, &'a HeaderValue);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.list.next().map(|(name, value)| (name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.list.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Fields {
    type Item = (&'a HeaderName, &'a HeaderValue);
    type IntoIter = Iter<'a>;

    #[inline]
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl IntoIterator for Fields {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<(HeaderName, HeaderValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<N: FieldName> Index<N> for Fields {
    type Output = HeaderValue;

    /// The first field of this name.
    ///
    /// # Panics
    /// If there is none: for tests. What serves a call asks with [`get`](Fields::get).
    fn index(&self, name: N) -> &HeaderValue {
        #[expect(clippy::expect_used, reason = "an index that is not there panics, in every collection")]
        self.get(name).expect("a field of this name")
    }
}

impl Extend<(HeaderName, HeaderValue)> for Fields {
    fn extend<T: IntoIterator<Item = (HeaderName, HeaderValue)>>(&mut self, fields: T) {
        for (name, value) in fields {
            self.append(name, value);
        }
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<T: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: T) -> Fields {
        let mut all = Fields::new();
        all.extend(fields);
        all
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Fields {
        let mut fields = Fields::with_capacity(map.len() + 4);
        let mut current: Option<HeaderName> = None;
        for (name, value) in map {
            // A map names a repeated field once, and goes on with its values.
            if name.is_some() {
                current = name;
            }
            if let Some(name) = &current {
                fields.append(name.clone(), value);
            }
        }
        fields
    }
}

impl From<Fields> for HeaderMap {
    fn from(fields: Fields) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(fields.len());
        for (name, value) in fields {
            map.append(name, value);
        }
        map
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCEPT, COOKIE, HOST, TE};

    fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
        let parts = lines.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        parts.collect()
    }

    fn shown(fields: &Fields) -> Vec<String> {
        fields.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn the_order_of_the_wire_is_kept() {
        let mut some = fields(&[("b", "1"), ("cookie", "x"), ("a", "2"), ("cookie", "y"), ("c", "3")]);
        assert!(some.may_repeat());
        assert_eq!(shown(&some), ["b=1", "cookie=x", "a=2", "cookie=y", "c=3"]);
        assert_eq!(some.get_all(COOKIE).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(some.get_all("Cookie").rev().collect::<Vec<_>>(), ["y", "x"]);
        assert_eq!(some.insert(COOKIE, HeaderValue::from_static("z")).unwrap(), "x");
        assert_eq!(shown(&some), ["b=1", "cookie=z", "a=2", "c=3"]);
        some.append(COOKIE, HeaderValue::from_static("w"));
        assert_eq!(some.remove("COOKIE").unwrap(), "z");
        assert_eq!(shown(&some), ["b=1", "a=2", "c=3"]);
        some.retain(|name, _| name != "a");
        some.insert_absent(&HOST, &HeaderValue::from_static("h"));
        some.insert_absent(&HOST, &HeaderValue::from_static("other"));
        assert_eq!(shown(&some), ["b=1", "c=3", "host=h"]);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let mut some = fields(&[("host", "h"), ("x-custom", "1")]);
        assert!(!some.may_repeat());
        assert!(some.get(ACCEPT).is_none() && some.get("x-custon").is_none() && some.get("").is_none());
        assert!(some.contains_key("X-CUSTOM") && some.contains_key(&HOST));
        assert!(some.remove(TE).is_none());
        some.clear();
        assert!(some.is_empty() && !some.contains_key(HOST) && some.get_all(HOST).next().is_none());
    }

    /// Against `http`'s map, over all short sequences of operations on few names, two of which share a bit.
    #[test]
    fn it_agrees_with_a_map() {
        let names = ["x-ab", "x-cb", "host", "te"].map(HeaderName::from_static);
        assert_eq!(bit(b"x-ab"), bit(b"x-cb"), "the two are there to share a bit");
        let mut seed = 7u64;
        for _ in 0..2_000 {
            let (mut list, mut map) = (Fields::new(), HeaderMap::new());
            for step in 0..8u8 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let name = &names[(seed >> 33) as usize % names.len()];
                let value = HeaderValue::from_bytes(&[b'0' + step]).unwrap();
                match (seed >> 40) % 4 {
                    0 => assert_eq!(list.insert(name.clone(), value.clone()), map.insert(name, value)),
                    1 => assert_eq!(list.remove(name), map.remove(name)),
                    _ => {
                        list.append(name.clone(), value.clone());
                        map.append(name, value);
                    }
                }
                for name in &names {
                    assert!(list.get_all(name).eq(map.get_all(name)), "{list:?} {map:?}");
                    assert_eq!(list.get(name), map.get(name));
                }
                assert_eq!(list.len(), map.len());
                assert!(list.may_repeat() || map.len() == map.keys_len());
                assert_eq!(HeaderMap::from(list.clone()), map);
                assert!(names.iter().all(|n| Fields::from(map.clone()).get_all(n).eq(map.get_all(n))));
            }
        }
    }
}
