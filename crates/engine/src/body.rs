//! Bodies: decoded and parsed once, within bounds, for all guards together.

use std::fmt;
use std::io::Read;

use bytes::Bytes;
use serde::de::{self, DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::code::{self, Code};
use crate::denial::Denial;

/// How large and how complex bodies may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Bytes of a request body, encoded and decoded alike. Default 10 MiB.
    #[serde(with = "crate::units::bytes")]
    #[schemars(with = "crate::Size")]
    pub request_body: u64,
    /// Bytes of a response body that guards need to read. Default 10 MiB.
    #[serde(with = "crate::units::bytes")]
    #[schemars(with = "crate::Size")]
    pub response_body: u64,
    /// How many times larger than its encoded form a body may be once decoded. Default 100.
    pub expansion: u32,
    /// Levels of nesting in JSON. Default 32.
    pub json_depth: u32,
    /// Values (members, elements and scalars) in a JSON document. Default 100,000.
    pub json_values: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            request_body: 10 << 20,
            response_body: 10 << 20,
            expansion: 100,
            json_depth: 32,
            json_values: 100_000,
        }
    }
}

/// A media type (RFC 9110 section 8.3.1) as it stands in a `Content-Type` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// The whole field.
    pub text: &'a str,
}

impl<'a> MediaType<'a> {
    /// Type and subtype, without parameters.
    pub fn essence(self) -> &'a str {
        self.text.split(';').next().unwrap_or_default().trim()
    }

    /// Whether it is JSON: `application/json`, `text/json` or a `+json` suffix (RFC 6839).
    pub fn is_json(self) -> bool {
        let essence = self.essence();
        let suffix = essence.len().checked_sub(5).and_then(|at| essence.get(at..));
        essence.eq_ignore_ascii_case("application/json")
            || essence.eq_ignore_ascii_case("text/json")
            || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
    }

    /// Whether whoever obeys its `charset` reads `bytes` as they are read here: as UTF-8. UTF-7 and its like give
    /// plain ASCII bytes another meaning.
    pub fn reads_as_utf8(self, bytes: &[u8]) -> bool {
        let same =
            |charset: &str, names: &[&str]| names.iter().any(|name| charset.eq_ignore_ascii_case(name));
        self.text.split(';').skip(1).all(|parameter| {
            let Some((name, value)) = parameter.split_once('=') else { return true };
            let charset = value.trim().trim_matches('"');
            !name.trim().eq_ignore_ascii_case("charset")
                || same(charset, &["utf-8", "utf8"])
                || same(charset, &["us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252"])
                    && bytes.is_ascii()
        })
    }
}

/// A whole body, decoded, and parsed where its content type has a form that guards read.
#[derive(Debug, Clone)]
pub struct Body {
    bytes: Bytes,
    content_type: Option<Box<str>>,
    json: Option<Value>,
}

impl Body {
    /// A body of `bytes`; `json` where it was parsed.
    pub fn new(bytes: Bytes, content_type: Option<&str>, json: Option<Value>) -> Body {
        Body { bytes, content_type: content_type.map(Into::into), json }
    }

    /// The decoded bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The `Content-Type` field.
    pub fn content_type(&self) -> Option<MediaType<'_>> {
        self.content_type.as_deref().map(|text| MediaType { text })
    }

    /// The JSON document, where the content type is JSON and a guard asked for it.
    pub fn json(&self) -> Option<&Value> {
        self.json.as_ref()
    }
}

/// Undoes `Content-Encoding` (RFC 9110 section 8.4): one of gzip, deflate, br, or none.
///
/// Refuses stacked and unknown codings, broken streams, trailing bytes, and what grows beyond
/// `limit` bytes or beyond `bounds.expansion` times its size (under 64 KiB any expansion is fine).
pub fn decode(bytes: &Bytes, encoding: Option<&str>, limit: u64, bounds: &Bounds) -> Result<Bytes, Denial> {
    let Some(encoding) = encoding else { return Ok(bytes.clone()) };
    let encoding = encoding.trim();
    if encoding.eq_ignore_ascii_case("identity") || bytes.is_empty() {
        return Ok(bytes.clone());
    }
    let by_ratio = (bytes.len() as u64).saturating_mul(u64::from(bounds.expansion)).max(64 << 10);
    let most = limit.min(by_ratio);
    if encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip") {
        read_bounded(&mut flate2::read::MultiGzDecoder::new(bytes.as_ref()), most)
    } else if encoding.eq_ignore_ascii_case("deflate") {
        // RFC 9110 means zlib; some clients send the bare stream. The first byte tells them apart: a zlib
        // header has compression method 8 and a checksum over both bytes.
        let zlib = matches!(bytes.get(..2), Some(&[a, b]) if a & 0x0f == 8 && (u16::from(a) << 8 | u16::from(b)).is_multiple_of(31));
        if zlib {
            let mut decoder = flate2::read::ZlibDecoder::new(bytes.as_ref());
            let out = read_bounded(&mut decoder, most)?;
            whole(decoder.total_in(), bytes)?;
            Ok(out)
        } else {
            let mut decoder = flate2::read::DeflateDecoder::new(bytes.as_ref());
            let out = read_bounded(&mut decoder, most)?;
            whole(decoder.total_in(), bytes)?;
            Ok(out)
        }
    } else if encoding.eq_ignore_ascii_case("br") {
        read_bounded(&mut brotli_decompressor::Decompressor::new(bytes.as_ref(), 4096), most)
    } else {
        Err(Denial::new(&code::BODY_ENCODING, "unknown or stacked content coding"))
    }
}

fn whole(read: u64, bytes: &Bytes) -> Result<(), Denial> {
    if read == bytes.len() as u64 {
        return Ok(());
    }
    Err(Denial::new(&code::BODY_ENCODING, "bytes follow the compressed stream"))
}

fn read_bounded(decoder: &mut dyn Read, most: u64) -> Result<Bytes, Denial> {
    let mut out = Vec::new();
    match decoder.take(most.saturating_add(1)).read_to_end(&mut out) {
        Err(_) => Err(Denial::new(&code::BODY_ENCODING, "the compressed stream is broken")),
        Ok(_) if out.len() as u64 > most => {
            Err(Denial::new(&code::BODY_EXPANDS, format!("the decoded body exceeds {most} bytes")))
        }
        Ok(_) => Ok(out.into()),
    }
}

/// Parses JSON (RFC 8259) within bounds; a member named twice is an error.
///
/// An empty body is malformed JSON.
pub fn parse_json(bytes: &[u8], bounds: &Bounds) -> Result<Value, Denial> {
    parse_strictly(bytes, bounds, |seed, deserializer| seed.deserialize(deserializer))
}

/// As [`parse_json`], for a text that must be an object: its members in their order. What reads a few of many members
/// once is served better by a list than by a tree.
pub fn parse_json_members(bytes: &[u8], bounds: &Bounds) -> Result<Vec<(String, Value)>, Denial> {
    parse_strictly(bytes, bounds, |seed, deserializer| {
        deserializer.deserialize_map(StrictMembers(seed.counted()?))
    })
}

type TextDeserializer<'de> = serde_json::Deserializer<serde_json::de::StrRead<'de>>;

fn parse_strictly<T>(
    bytes: &[u8],
    bounds: &Bounds,
    parse: impl FnOnce(Strict<'_>, &mut TextDeserializer<'_>) -> Result<T, serde_json::Error>,
) -> Result<T, Denial> {
    let mut budget = Budget { values: bounds.json_values, refusal: None };
    // The whole text at once is looked through faster than each string of it.
    let text = str::from_utf8(bytes).map_err(|_| {
        let place = "not UTF-8";
        Denial::new(&code::BODY_MALFORMED, place).detail(place)
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Our own depth bound replaces the parser's; it is checked before each descent.
    let depth = bounds.json_depth.min(100);
    let seed = Strict { budget: &mut budget, depth };
    let parsed = parse(seed, &mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| {
        let code = budget.refusal.unwrap_or(&code::BODY_MALFORMED);
        // The parser's own text may quote the body; line and column do not.
        let what = match code.name {
            "body-duplicate-key" => "a member is named twice",
            "body-too-complex" => "too deep or too many values",
            _ => "not JSON",
        };
        let place = format!("{what} at line {} column {}", error.line(), error.column());
        Denial::new(code, place.clone()).detail(place)
    })
}

struct Budget {
    values: u32,
    refusal: Option<&'static Code>,
}

struct Strict<'a> {
    budget: &'a mut Budget,
    depth: u32,
}

impl Strict<'_> {
    fn refuse<E: de::Error>(self, code: &'static Code) -> E {
        self.budget.refusal = Some(code);
        E::custom(code.title)
    }

    /// With one value more counted.
    fn counted<E: de::Error>(self) -> Result<Self, E> {
        match self.budget.values.checked_sub(1) {
            None => Err(self.refuse(&code::BODY_TOO_COMPLEX)),
            Some(left) => {
                self.budget.values = left;
                Ok(self)
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self.counted()?)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Some(depth) = self.depth.checked_sub(1) else { return Err(self.refuse(&code::BODY_TOO_COMPLEX)) };
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(Strict { budget: &mut *self.budget, depth })? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some(depth) = self.depth.checked_sub(1) else { return Err(self.refuse(&code::BODY_TOO_COMPLEX)) };
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Strict { budget: &mut *self.budget, depth })?;
            if members.insert(name, value).is_some() {
                return Err(self.refuse(&code::BODY_DUPLICATE_KEY));
            }
        }
        Ok(Value::Object(members))
    }
}

/// An object as the list of its members.
struct StrictMembers<'a>(Strict<'a>);

/// So many members are compared with each other; of more, their names are sorted.
const FEW_MEMBERS: usize = 32;

/// So many members fit without the list growing: what is read is kept for long, and few objects have more.
const USUAL_MEMBERS: usize = 16;

/// Whether two names are the same. Names of one length mostly differ in their last byte, which spares the call that
/// compares them.
pub fn same_name(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.as_bytes().last() == other.as_bytes().last() && one == other
}

impl<'de> Visitor<'de> for StrictMembers<'_> {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let StrictMembers(strict) = self;
        let Some(depth) = strict.depth.checked_sub(1) else {
            return Err(strict.refuse(&code::BODY_TOO_COMPLEX));
        };
        let mut members: Vec<(String, Value)> = Vec::with_capacity(USUAL_MEMBERS);
        while let Some(name) = map.next_key::<String>()? {
            if members.len() < FEW_MEMBERS && members.iter().any(|(other, _)| same_name(other, &name)) {
                return Err(strict.refuse(&code::BODY_DUPLICATE_KEY));
            }
            members.push((name, map.next_value_seed(Strict { budget: &mut *strict.budget, depth })?));
        }
        if members.len() > FEW_MEMBERS {
            let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            if !names.is_sorted_by(|a, b| a < b) {
                return Err(strict.refuse(&code::BODY_DUPLICATE_KEY));
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn refused(json: &str, bounds: &Bounds) -> &'static str {
        parse_json(json.as_bytes(), bounds).unwrap_err().code.name
    }

    #[test]
    fn json_is_strict() {
        let bounds = Bounds::default();
        assert_eq!(parse_json(br#"{"a":[1,-2,3.5,"x",null,true]}"#, &bounds).unwrap()["a"][2], 3.5);
        for bad in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "NaN",
            "1 2",
            "'a'",
            "\u{feff}{}",
            "\"\\ud800\"",
            "1e999",
            "//c\n1",
        ] {
            assert_eq!(refused(bad, &bounds), "body-malformed", "{bad:?}");
        }
        for twice in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"\u0061":3}}]"#] {
            assert_eq!(refused(twice, &bounds), "body-duplicate-key");
        }
    }

    #[test]
    fn members_are_read_as_a_tree_is() {
        let bounds = Bounds { json_depth: 4, json_values: 1000, ..Bounds::default() };
        let many = |twice: &str| {
            let mut text = "{".to_owned();
            (0..100).for_each(|n| text.push_str(&format!("\"m{n}\":{n},")));
            text + twice + ":0}"
        };
        let texts = [
            "{}",
            r#"{"a":1,"b":{"c":[1,{}]}}"#,
            r#"{"a":{"b":{"c":{}}}}"#,
            r#"{"a":{"b":{"c":{"d":0}}}}"#,
            "[]",
            "1",
            "",
            "{",
            r#"{"a":1,}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            "{} {}",
            &many(r#""z""#),
            &many(r#""m0""#),
            &many(r#""m40""#),
            &many(r#""m99""#),
        ];
        for text in texts {
            let tree = parse_json(text.as_bytes(), &bounds);
            let list = parse_json_members(text.as_bytes(), &bounds);
            match (tree, list) {
                (Ok(Value::Object(tree)), Ok(list)) => {
                    assert_eq!(list.len(), tree.len(), "{text}");
                    assert!(list.iter().all(|(name, value)| tree.get(name) == Some(value)), "{text}");
                }
                (Ok(_), Err(list)) => assert_eq!(list.code.name, "body-malformed", "{text}"),
                (Err(tree), Err(list)) => assert_eq!(list.code.name, tree.code.name, "{text}"),
                (tree, list) => panic!("{text}: {tree:?}, {list:?}"),
            }
        }
        for values in [0, 1, 2, 3] {
            let bounds = Bounds { json_values: values, ..Bounds::default() };
            let text = br#"{"a":1,"b":2}"#;
            assert_eq!(
                parse_json_members(text, &bounds).is_ok(),
                parse_json(text, &bounds).is_ok(),
                "{values}"
            );
        }
        let bounds = Bounds { json_depth: 0, ..Bounds::default() };
        assert_eq!(parse_json_members(b"{}", &bounds).unwrap_err().code.name, "body-too-complex");
    }

    #[test]
    fn json_is_bounded() {
        let bounds = Bounds { json_depth: 3, json_values: 10, ..Bounds::default() };
        assert!(parse_json(b"[[[1]]]", &bounds).is_ok());
        assert_eq!(refused("[[[[]]]]", &bounds), "body-too-complex");
        assert!(parse_json(b"[1,2,3,4,5,6,7,8,9]", &bounds).is_ok());
        assert_eq!(refused("[1,2,3,4,5,6,7,8,9,10]", &bounds), "body-too-complex");
        let deep = "[".repeat(1_000_000);
        assert_eq!(refused(&deep, &Bounds { json_depth: u32::MAX, ..Bounds::default() }), "body-too-complex");
    }

    #[test]
    fn errors_do_not_echo() {
        let denial = parse_json(br#"{"password": hunter2}"#, &Bounds::default()).unwrap_err();
        assert_eq!(denial.reason, "not JSON at line 1 column 14");
    }

    fn gzip(data: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn encodings_are_undone_within_bounds() {
        let bounds = Bounds::default();
        let plain = b"{\"a\":1}".repeat(100);
        let packed = gzip(&plain);
        assert_eq!(decode(&packed, Some("gzip"), 1 << 20, &bounds).unwrap(), plain);
        assert_eq!(decode(&packed, Some("gzip"), 10, &bounds).unwrap_err().code.name, "body-expands");
        assert_eq!(decode(&packed, Some("gzip, gzip"), 10, &bounds).unwrap_err().code.name, "body-encoding");
        assert_eq!(decode(&packed, Some("zstd"), 10, &bounds).unwrap_err().code.name, "body-encoding");
        let broken = packed.slice(..packed.len() - 9);
        assert_eq!(decode(&broken, Some("gzip"), 1 << 20, &bounds).unwrap_err().code.name, "body-encoding");
        let bomb = gzip(&vec![0; 8 << 20]);
        assert_eq!(decode(&bomb, Some("gzip"), 10 << 20, &bounds).unwrap_err().code.name, "body-expands");
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&plain).unwrap();
        let mut zlib = encoder.finish().unwrap();
        assert_eq!(decode(&zlib.clone().into(), Some("deflate"), 1 << 20, &bounds).unwrap(), plain);
        zlib.extend_from_slice(b"tail");
        assert_eq!(
            decode(&zlib.into(), Some("deflate"), 1 << 20, &bounds).unwrap_err().code.name,
            "body-encoding"
        );
    }

    #[test]
    fn media_types() {
        for json in
            ["application/json", "Application/JSON; charset=utf-8", "application/problem+json", "text/json"]
        {
            assert!(MediaType { text: json }.is_json(), "{json}");
        }
        for other in ["application/jsonx", "text/plain", "", "json", "application/json-seq"] {
            assert!(!MediaType { text: other }.is_json(), "{other}");
        }
    }

    #[test]
    fn only_utf8_is_read() {
        for (text, bytes, expected) in [
            ("application/json", "{\"a\":\"\u{e9}\"}", true),
            ("application/json; Charset=\"UTF-8\"", "{\"a\":\"\u{e9}\"}", true),
            ("application/json;charset=ISO-8859-1", "{}", true),
            ("application/json;charset=ISO-8859-1", "\"\u{e9}\"", false),
            ("application/json; charset=utf-7", "\"+ADw-\"", false),
            ("application/json; charset=utf-8; charset=utf-7", "\"+ADw-\"", false),
            ("application/json; profile=x; charset=hz-gb-2312", "{}", false),
            ("application/json; charset=", "{}", false),
            ("application/json; profile=\"charset\"", "{}", true),
        ] {
            assert_eq!(MediaType { text }.reads_as_utf8(bytes.as_bytes()), expected, "{text} {bytes}");
        }
    }
}
