//! What credentials a request presents, and where.

use std::fmt;

use http::header::{self, HeaderName, HeaderValue};
use portcullis_engine::{Fields, Request};
use portcullis_identity::AuthScheme;
use smallvec::SmallVec;

use crate::text::{decode, is_parameter};

/// Where a credential stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The value of a field.
    Header(HeaderName),
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: Bearer` or `Authorization: DPoP`, with the scheme.
    Token,
    /// A query parameter.
    Query(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header(name) => write!(f, "{name}"),
            Place::Bearer | Place::Token => f.write_str("authorization"),
            Place::Query(name) => write!(f, "query parameter {name}"),
            Place::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

/// A credential as it was presented, never empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Borrowed(&'a [u8]),
    Decoded(SmallVec<[u8; 64]>),
}

impl Value<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Value::Borrowed(bytes) => bytes,
            Value::Decoded(bytes) => bytes,
        }
    }
}

/// By place: what stands there.
pub(crate) type Presented<'a> = SmallVec<[Option<Value<'a>>; 4]>;

/// What stands at `places`. An error is the first of them that is taken twice.
pub(crate) fn read<'a>(places: &'a [Place], request: &'a Request) -> Result<Presented<'a>, &'a Place> {
    places.iter().map(|place| one(place, request).map_err(|()| place)).collect()
}

fn one<'a>(place: &Place, request: &'a Request) -> Result<Option<Value<'a>>, ()> {
    let found = match place {
        Place::Header(name) => single(request.headers.get_all(name).map(HeaderValue::as_bytes))?,
        Place::Bearer => single(request.headers.get_all(header::AUTHORIZATION).map(HeaderValue::as_bytes))?
            .and_then(|value| after_scheme(value, "bearer")),
        Place::Token => single(request.headers.get_all(header::AUTHORIZATION).map(HeaderValue::as_bytes))?
            .filter(|value| token(value).is_some()),
        Place::Query(name) => {
            let pairs = request.query().unwrap_or_default().split('&');
            let values = pairs.filter_map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                is_parameter(key, name).then_some(value.as_bytes())
            });
            let found = single(values)?;
            let encoded = found.is_some_and(|value| value.contains(&b'%') || value.contains(&b'+'));
            if encoded {
                let raw = found.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
                return Ok(Some(Value::Decoded(decode(raw).collect())));
            }
            found
        }
        Place::Cookie(name) => single(cookies(&request.headers).filter_map(|pair| {
            let (key, value) = split_pair(pair);
            (key == name.as_bytes()).then_some(value)
        }))?,
    };
    Ok(found.filter(|value| !value.is_empty()).map(Value::Borrowed))
}

fn single<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, ()> {
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// What follows the authentication scheme in an `Authorization` field (RFC 9110 section 11.4).
fn after_scheme<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let (found, rest) = value.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ")?;
    found.eq_ignore_ascii_case(scheme.as_bytes()).then(|| rest.trim_ascii())
}

/// How a token is presented in an `Authorization` field, and the token.
pub(crate) fn token(value: &[u8]) -> Option<(AuthScheme, &[u8])> {
    let bearer = after_scheme(value, "bearer").map(|token| (AuthScheme::Bearer, token));
    let found = bearer.or_else(|| after_scheme(value, "dpop").map(|token| (AuthScheme::Dpop, token)));
    found.filter(|(_, token)| !token.is_empty())
}

/// Whether the query or form has a parameter `name`.
pub(crate) fn has_parameter(query: &str, name: &str) -> bool {
    let mut pairs = query.split('&');
    pairs.any(|pair| is_parameter(pair.split('=').next().unwrap_or_default(), name))
}

fn cookies(headers: &Fields) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::COOKIE)
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b';'))
        .map(<[u8]>::trim_ascii)
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', pair) {
        Some(at) => {
            let (key, value) = pair.split_at_checked(at).unwrap_or((pair, &[]));
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            (key.trim_ascii(), quoted.unwrap_or(value))
        }
        None => (pair, &[]),
    }
}

/// Whether something stands at `place`; with `scheme`, whether it is of that authentication scheme.
pub(crate) fn suffices(presented: &Presented<'_>, place: usize, scheme: Option<&str>) -> bool {
    let Some(Some(value)) = presented.get(place) else { return false };
    scheme.is_none_or(|scheme| after_scheme(value.bytes(), scheme).is_some_and(|rest| !rest.is_empty()))
}

/// Takes the cookies `names` out of the request; the others keep their bytes.
pub(crate) fn remove_cookies(headers: &mut Fields, names: &[Box<str>]) {
    let gone = |pair: &&[u8]| names.iter().any(|name| name.as_bytes() == split_pair(pair).0);
    if !cookies(headers).any(|pair| gone(&pair)) {
        return;
    }
    let kept: Vec<&[u8]> = cookies(headers).filter(|pair| !pair.is_empty() && !gone(pair)).collect();
    let kept = HeaderValue::from_bytes(&kept.join(&b"; "[..]));
    headers.remove(header::COOKIE);
    // Parts of field values make a field value.
    if let Ok(kept) = kept
        && !kept.is_empty()
    {
        headers.insert(header::COOKIE, kept);
    }
}
