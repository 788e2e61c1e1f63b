//! A tree with spans, deserialised: every error knows the place in the file that it is about.

use std::collections::HashSet;
use std::fmt::{self, Display};

use portcullis_openapi::source::{Document, Kind, Member, Node, Span};
use serde::de::{self, DeserializeOwned, Expected, IntoDeserializer, Unexpected, Visitor};
use serde_json::Value;

use crate::nearest::nearest;

/// What is wrong at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) span: Option<Span>,
    /// What is wrong and what was expected.
    pub(crate) what: String,
    /// What may stand there instead.
    pub(crate) hint: Option<String>,
    /// Whether the line holds a secret and is not shown.
    pub(crate) secret: bool,
}

impl Fault {
    /// A fault at a place that is not known yet.
    pub(crate) fn new(what: impl Into<String>) -> Fault {
        Fault { span: None, what: what.into(), hint: None, secret: false }
    }

    /// A fault at `span`.
    pub(crate) fn at(span: Span, what: impl Into<String>) -> Fault {
        Fault { span: Some(span), ..Fault::new(what) }
    }

    /// Adds what may stand there instead.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    fn or_at(mut self, span: Span) -> Fault {
        self.span.get_or_insert(span);
        self
    }

    /// A word where only certain words may stand.
    pub(crate) fn unknown<'a>(
        kind: &str,
        word: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Fault {
        if let Some(near) = nearest(word, known.clone()) {
            return Fault::new(format!("unknown {kind} `{word}`; did you mean `{near}`?"));
        }
        let mut all: Vec<&str> = known.into_iter().collect();
        all.sort_unstable();
        let hint = match all.is_empty() {
            true => "none is expected here".to_owned(),
            false => format!("expected one of: {}", all.join(", ")),
        };
        Fault::new(format!("unknown {kind} `{word}`")).hint(hint)
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Fault {
        let text = message.to_string();
        let what = match text.split_once("data did not match any variant of untagged enum ") {
            Some(_) => "this has none of the forms that are expected here".to_owned(),
            None => text,
        };
        Fault::new(what)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::new(format!("expected {}, found {}", plain(expected), show(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::invalid_type(found, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Fault {
        Fault::unknown("key", field, expected.iter().copied())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Fault {
        Fault::unknown("value", variant, expected.iter().copied())
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault::new(format!("the key `{field}` is missing here"))
    }
}

/// What was expected, in the reader's words instead of the program's.
fn plain(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let first = text.split([' ', ',']).next().unwrap_or_default();
    match first {
        "struct" | "map" | "internally" | "adjacently" => "a mapping".into(),
        "enum" | "variant" => "one of the known words".into(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, zero or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "tuple" => "a list".into(),
        _ => match text.as_str() {
            "a sequence" => "a list".into(),
            "a map" => "a mapping".into(),
            "a boolean" => "`true` or `false`".into(),
            "path string" => "a path".into(),
            "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number above zero".into(),
            _ => text,
        },
    }
}

fn show(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Map | Unexpected::StructVariant => "a mapping".into(),
        Unexpected::Seq | Unexpected::TupleVariant => "a list".into(),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Str(text) => format!("`{}`", crate::term::fit(text, 60)),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        other => other.to_string(),
    }
}

/// Starts of scalars that came out of the environment: text that may stand where a number is expected.
pub(crate) type Substituted = HashSet<u32>;

/// Deserialises `node`.
pub(crate) fn from_node<T: DeserializeOwned>(node: &Node, substituted: &Substituted) -> Result<T, Fault> {
    T::deserialize(De { node, substituted }).map_err(|fault| fault.or_at(node.span))
}

/// The tree as JSON. A substituted scalar that stands without quotes is read anew, as YAML would read it.
pub(crate) fn to_json(node: &Node, document: &Document, substituted: &Substituted) -> Value {
    match &node.kind {
        Kind::Array(items) => items.iter().map(|item| to_json(item, document, substituted)).collect(),
        Kind::Object(members) => Value::Object(
            members
                .iter()
                .map(|member| (member.key.to_string(), to_json(&member.value, document, substituted)))
                .collect(),
        ),
        Kind::String(text) if substituted.contains(&node.span.start) => {
            let quoted = document.snippet(node.span).starts_with(['"', '\'']);
            let scalar = serde_json::from_str::<Value>(text).ok();
            match scalar.filter(|value| !quoted && (value.is_number() || value.is_boolean())) {
                Some(value) => value,
                None => Value::String(text.to_string()),
            }
        }
        _ => node.to_json(),
    }
}

#[derive(Clone, Copy)]
struct De<'a> {
    node: &'a Node,
    substituted: &'a Substituted,
}

impl<'a> De<'a> {
    /// The text of a scalar that was substituted.
    fn loose(&self) -> Option<&'a str> {
        let text = self.node.as_str()?;
        self.substituted.contains(&self.node.span.start).then_some(text)
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Some(text) = self.loose() else { return self.any(visitor) };
        if let Ok(value) = text.parse::<u64>() {
            return visitor.visit_u64(value);
        }
        if let Ok(value) = text.parse::<i64>() {
            return visitor.visit_i64(value);
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => visitor.visit_f64(value),
            _ => self.any(visitor),
        }
    }

    fn any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(value) => visitor.visit_bool(*value),
            Kind::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, Some(value)) => visitor.visit_f64(value),
                _ => Err(Fault::at(self.node.span, "this number is out of range")),
            },
            Kind::String(text) => visitor.visit_str(text),
            Kind::Array(items) => visitor.visit_seq(Items { items: items.iter(), of: self }),
            Kind::Object(members) => visitor.visit_map(Members {
                members: members.iter(),
                value: None,
                skip_nulls: false,
                of: self,
            }),
        }
        .map_err(|fault| fault.or_at(self.node.span))
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.number(visitor).map_err(|fault| fault.or_at(self.node.span))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for De<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.any(visitor)
    }

    numbers! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_f32 deserialize_f64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.loose() {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            _ => self.any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let loosely_empty = self.loose() == Some("");
        if self.node.is_null() || loosely_empty { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self).map_err(|fault| fault.or_at(self.node.span))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.kind {
            // serde would take a list for a struct, too.
            Kind::Array(_) => Err(Fault::at(self.node.span, "expected a mapping, found a list")),
            // A key behind which nothing stands is as if it were not there; a key that nobody knows is one still.
            Kind::Object(members) => {
                let mut nulls = members.iter().filter(|member| member.value.is_null());
                if let Some(unknown) = nulls.find(|member| !fields.contains(&&*member.key)) {
                    let fault = Fault::unknown("key", &unknown.key, fields.iter().copied());
                    return Err(fault.or_at(unknown.key_span));
                }
                let members = Members { members: members.iter(), value: None, skip_nulls: true, of: self };
                visitor.visit_map(members).map_err(|fault| fault.or_at(self.node.span))
            }
            _ => self.any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let span = self.node.span;
        match &self.node.kind {
            Kind::String(word) => {
                let word: &str = word;
                visitor.visit_enum(word.into_deserializer()).map_err(|fault: Fault| fault.or_at(span))
            }
            Kind::Object(members) => match members.as_slice() {
                [member] => {
                    visitor.visit_enum(Variant { member, of: self }).map_err(|fault| fault.or_at(span))
                }
                _ => Err(Fault::at(span, "expected a mapping with exactly one key")
                    .hint(format!("expected one of: {}", variants.join(", ")))),
            },
            _ => Err(Fault::at(span, format!("expected one of: {}", variants.join(", ")))),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    of: De<'a>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let item = De { node, ..self.of };
        seed.deserialize(item).map(Some).map_err(|fault| fault.or_at(node.span))
    }
}

struct Members<'a> {
    members: std::slice::Iter<'a, Member>,
    value: Option<&'a Member>,
    skip_nulls: bool,
    of: De<'a>,
}

impl<'de> de::MapAccess<'de> for Members<'_> {
    type Error = Fault;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let skip = self.skip_nulls;
        let Some(member) = self.members.find(|member| !(skip && member.value.is_null())) else {
            return Ok(None);
        };
        self.value = Some(member);
        let key: &str = &member.key;
        let key: de::value::StrDeserializer<'_, Fault> = key.into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.or_at(member.key_span))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(member) = self.value.take() else { return Err(de::Error::custom("a value without a key")) };
        // A value that is missing as a whole is best shown at its key.
        let span = if member.value.is_null() { member.key_span } else { member.value.span };
        seed.deserialize(De { node: &member.value, ..self.of }).map_err(|mut fault| {
            if member.value.is_null() && fault.span == Some(member.value.span) {
                fault.span = None;
            }
            fault.or_at(span)
        })
    }
}

struct Variant<'a> {
    member: &'a Member,
    of: De<'a>,
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a> {
    type Error = Fault;
    type Variant = De<'a>;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, De<'a>), Fault> {
        let key: &str = &self.member.key;
        let key: de::value::StrDeserializer<'_, Fault> = key.into_deserializer();
        let value = seed.deserialize(key).map_err(|fault| fault.or_at(self.member.key_span))?;
        Ok((value, De { node: &self.member.value, ..self.of }))
    }
}

impl<'de> de::VariantAccess<'de> for De<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.node.is_null() {
            true => Ok(()),
            false => Err(Fault::at(self.node.span, "expected nothing behind this word")),
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self).map_err(|fault| fault.or_at(self.node.span))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        One,
        Two(u8),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        number: u16,
        words: Vec<Word>,
        maybe: Option<bool>,
    }

    fn read(text: &str) -> Result<Thing, String> {
        let document = Document::parse("t.yaml", text.as_bytes()).unwrap();
        from_node(document.root(), &Substituted::new()).map_err(|fault| {
            let at = document.locate(fault.span.unwrap().start);
            format!("{at} {fault}")
        })
    }

    #[test]
    fn values_arrive_and_faults_know_their_place() {
        let thing = read("number: 7\nwords: [one, {two: 2}]\nmaybe: true\n").unwrap();
        assert_eq!(thing, Thing { number: 7, words: vec![Word::One, Word::Two(2)], maybe: Some(true) });
        assert_eq!(
            read("number: 7\nwrds: []\n").unwrap_err(),
            "2:1 unknown key `wrds`; did you mean `words`?"
        );
        assert_eq!(read("words: []\n").unwrap_err(), "1:1 the key `number` is missing here");
        assert_eq!(
            read("number: -1\nwords: []").unwrap_err(),
            "1:9 expected a whole number, zero or more, found `-1`"
        );
        assert_eq!(
            read("number: 70000\nwords: []").unwrap_err(),
            "1:9 expected a whole number, zero or more, found `70000`"
        );
        assert_eq!(
            read("number: 1\nwords:\n  - one\n  - tow\n").unwrap_err(),
            "4:5 unknown value `tow`; did you mean `two`?"
        );
        assert_eq!(read("number: 1\nwords: 3\n").unwrap_err(), "2:8 expected a list, found `3`");
        assert_eq!(
            read("number: 1\nwords: [{two: x}]\n").unwrap_err(),
            "2:15 expected a whole number, zero or more, found `x`"
        );
        assert_eq!(read("[]").unwrap_err(), "1:1 expected a mapping, found a list");
        assert_eq!(
            read("number:\nwords: []").unwrap_err(),
            "1:1 the key `number` is missing here",
            "nothing behind a key is as if the key were not there"
        );
        assert_eq!(
            read("number: 1\nwords: []\nmaybe:\n").unwrap(),
            Thing { number: 1, words: vec![], maybe: None }
        );
        assert_eq!(
            read("number: 1\nwords: []\nmaybee:\n").unwrap_err(),
            "3:1 unknown key `maybee`; did you mean `maybe`?"
        );
    }
}
