//! Requests with other values in them: what is not meant keeps its bytes.

use std::ops::ControlFlow;

use portcullis_engine::{MediaType, canonical};
use portcullis_inspect::leaves::{self, Format, Leaf, Name, Part};
use portcullis_openapi::{BodyLimits, Edit, Found, Selector};

use crate::place::member_name;
use crate::text::decode;

/// The parameters of a query or a form, with what `put` says in the place of values: it is given each name and value,
/// decoded. Nothing where nothing changes.
pub(crate) fn pairs<E>(
    raw: &str,
    mut put: impl FnMut(&str, &str) -> Result<Option<String>, E>,
) -> Result<Option<String>, E> {
    let mut changed = false;
    let mut out = String::with_capacity(raw.len());
    for (at, pair) in raw.split('&').enumerate() {
        if at > 0 {
            out.push('&');
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let put = match pair.is_empty() {
            true => None,
            false => put(&lossy(name), &lossy(value))?,
        };
        match put {
            Some(value) => {
                changed = true;
                out.push_str(name);
                out.push('=');
                out.push_str(&encode(&value));
            }
            None => out.push_str(pair),
        }
    }
    Ok(changed.then_some(out))
}

fn lossy(raw: &str) -> String {
    String::from_utf8_lossy(&decode(raw).collect::<Vec<u8>>()).into_owned()
}

/// Percent-encoded, so that it can stand anywhere in a URL.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    canonical::encode(text.as_bytes(), &mut out);
    out
}

/// The names that a parameter may be read by: `filter[orderId]` is `filter` and `orderId`.
pub(crate) fn readings(name: &str) -> impl Iterator<Item = &str> {
    name.split('[').map(|part| part.trim_end_matches(']'))
}

/// A multipart form with what `put` says in the place of its parts' contents.
fn parts<E>(
    body: &[u8],
    content_type: &str,
    mut put: impl FnMut(&Part<'_>) -> Result<Option<Vec<u8>>, Unwritten<E>>,
) -> Result<Option<Vec<u8>>, Unwritten<E>> {
    let malformed = |expected: &str| Unwritten::Malformed(format!("expected {expected}"));
    let boundary = leaves::boundary(content_type).ok_or_else(|| malformed("one boundary"))?;
    let parts = leaves::parts(body, boundary).map_err(|why| malformed(why.expected))?;
    let mut out = Vec::new();
    let mut copied = 0;
    for part in &parts {
        let Some(new) = put(part)? else { continue };
        if memchr::memmem::find(&new, boundary.as_bytes()).is_some() {
            return Err(malformed("a value without the boundary"));
        }
        // A part's content is a slice of the body: an offset is the distance of their starts.
        let from = (part.content.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        out.extend_from_slice(body.get(copied..from).unwrap_or_default());
        out.extend_from_slice(&new);
        copied = from + part.content.len();
    }
    if copied == 0 {
        return Ok(None);
    }
    out.extend_from_slice(body.get(copied..).unwrap_or_default());
    Ok(Some(out))
}

/// What stands in the place of values of a body that a selector means.
pub(crate) trait Values {
    /// Why a value is refused.
    type Refused;

    /// Of a value in JSON.
    fn json(&mut self, found: Found<'_>) -> Result<Edit, Self::Refused>;

    /// Of the text of a form's field, which has the tag `tag`.
    fn text(&mut self, tag: usize, text: &str) -> Result<String, Self::Refused>;
}

/// Why a body could not be rewritten.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unwritten<E> {
    /// It is not what it says that it is, or no two readers would agree about it.
    Malformed(String),
    /// A value that is meant, by this tag, stands in a form that is read here and not written.
    Foreign(usize),
    /// [`Values`] said so.
    Refused(E),
}

/// A body with what `values` says in the place of what `selector` means. Nothing where nothing changes. Forms: JSON,
/// forms of both kinds, and JSON in their parts.
pub(crate) fn body<V: Values>(
    body: &[u8],
    content_type: &str,
    selector: &Selector,
    limits: BodyLimits,
    values: &mut V,
) -> Result<Option<Vec<u8>>, Unwritten<V::Refused>> {
    let field = |name: &str| readings(name).chain([name]).find_map(|reading| selector.member(reading));
    match Format::of(MediaType { text: content_type }.essence(), body) {
        Format::Json => json(body, selector, limits, values),
        Format::Form => {
            let raw =
                std::str::from_utf8(body).map_err(|_| Unwritten::Malformed("it is not UTF-8".into()))?;
            let new = pairs(raw, |name, text| match field(name).filter(|_| !text.is_empty()) {
                Some(tag) => values.text(tag, text).map(Some),
                None => Ok(None),
            });
            Ok(new.map_err(Unwritten::Refused)?.map(String::into_bytes))
        }
        Format::Multipart => parts(body, content_type, |part| {
            if let Some(tag) = field(&String::from_utf8_lossy(part.name)).filter(|_| !part.content.is_empty())
            {
                let text = std::str::from_utf8(part.content).map_err(|_| Unwritten::Foreign(tag))?;
                let new = values.text(tag, text).map_err(Unwritten::Refused)?;
                return Ok(Some(new.into_bytes()));
            }
            let essence =
                part.content_type.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
            match Format::of(MediaType { text: essence }.essence(), part.content) {
                Format::Json => json(part.content, selector, limits, values),
                _ => Ok(None),
            }
        }),
        format => {
            let mut found = None;
            let mut visit = |leaf: Leaf<'_>| {
                let named = |name: &[u8]| field(&String::from_utf8_lossy(&member_name(name)));
                let tag = match leaf.name {
                    Name::Plain(name) => named(name),
                    Name::Members(names) => names.iter().find_map(|name| named(name)),
                };
                found = tag.filter(|_| !leaf.bytes.is_empty());
                if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let read = match format {
                Format::Text | Format::Binary => Ok(()),
                _ => leaves::body(body, format, content_type, &mut visit),
            };
            match (found, read) {
                (Some(tag), _) => Err(Unwritten::Foreign(tag)),
                (None, Err(why)) => Err(Unwritten::Malformed(format!("expected {}", why.expected))),
                (None, Ok(())) => Ok(None),
            }
        }
    }
}

/// A JSON document with what `values` says in the place of what `selector` means.
pub(crate) fn json<V: Values>(
    body: &[u8],
    selector: &Selector,
    limits: BodyLimits,
    values: &mut V,
) -> Result<Option<Vec<u8>>, Unwritten<V::Refused>> {
    let mut refused = None;
    let edited = selector.edit(body, limits, &mut |found| match refused {
        Some(_) => Edit::Keep,
        None => values.json(found).unwrap_or_else(|why| {
            refused = Some(why);
            Edit::Keep
        }),
    });
    match (refused, edited) {
        (Some(why), _) => Err(Unwritten::Refused(why)),
        (None, Ok(edited)) => Ok(edited),
        (None, Err(violation)) => Err(Unwritten::Malformed(violation.to_string())),
    }
}

/// A text as JSON writes it.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_bytes_unless_they_are_put_anew() {
        let put = |name: &str, value: &str| -> Result<Option<String>, ()> {
            match (name, value) {
                ("id", "bad") => Err(()),
                ("id", value) => Ok(Some(format!("<{value}>"))),
                _ => Ok(None),
            }
        };
        assert_eq!(pairs("a=1&b=%20+&c", put), Ok(None));
        assert_eq!(
            pairs("a=%31&id=x+y&&%69d=z&id", put),
            Ok(Some("a=%31&id=%3Cx%20y%3E&&%69d=%3Cz%3E&id=%3C%3E".into()))
        );
        assert_eq!(pairs("id=bad", put), Err(()));
        assert_eq!(readings("filter[orderId][]").collect::<Vec<_>>(), ["filter", "orderId", ""]);
    }

    #[test]
    fn parts_are_put_anew() {
        let form = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\nx\r\n--b--\r\n";
        let rewrite = |new: &'static str| {
            let put = |part: &Part<'_>| {
                Ok::<_, Unwritten<()>>((part.name == b"id").then(|| new.as_bytes().to_vec()))
            };
            parts(form.as_bytes(), "multipart/form-data; boundary=b", put)
        };
        assert_eq!(rewrite("17"), Ok(Some(form.replace("\r\n\r\nx", "\r\n\r\n17").into_bytes())));
        assert!(matches!(rewrite("\r\n--b--"), Err(Unwritten::Malformed(_))));
        let none = parts(b"x", "multipart/form-data", |_| Ok::<_, Unwritten<()>>(None));
        assert!(matches!(none, Err(Unwritten::Malformed(_))));
    }
}
