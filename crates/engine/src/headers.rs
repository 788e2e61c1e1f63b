//! Request fields, normalised once: ambiguous ones refused, hop-by-hop ones stripped, trusted ones set.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::code;
use crate::denial::Denial;
use crate::fields::Fields;
use crate::head::{ExchangeId, Scheme};

/// Which fields tell the upstream about the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    pub x_forwarded: bool,
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// `traceparent` (W3C Trace Context).
    pub trace: bool,
}

impl Default for ForwardedHeaders {
    fn default() -> Self {
        ForwardedHeaders { x_forwarded: true, forwarded: false, trace: true }
    }
}

/// Fields that mean different things to different servers when they stand twice.
static SINGLE: [HeaderName; 9] = [
    header::HOST,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::RANGE,
    header::ORIGIN,
    header::EXPECT,
];

/// Fields whose look-alikes (an underscore for a hyphen, as CGI-like servers read it) are refused.
static PROTECTED: [&str; 22] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "authorization",
    "connection",
    "proxy-authorization",
    "proxy-connection",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-api-key",
    "x-app-id",
    "x-app-key",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Hop-by-hop fields (RFC 9110 section 7.6.1), fields that a stranger may not set, and what [`crate::Request`]
/// says by itself: host and length.
fn stays_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "te" | "host"
            | "expect"
            | "upgrade"
            | "forwarded"
            | "x-real-ip"
            | "x-client-ip"
            | "x-original-host"
            | "x-original-uri"
            | "x-original-method"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "x-cluster-client-ip"
            | "connection"
            | "keep-alive"
            | "content-length"
            | "http2-settings"
            | "x-original-url"
            | "x-rewrite-url"
            | "x-forwarded-for"
            | "x-forwarded-ssl"
            | "x-forwarded-uri"
            | "x-forwarded-method"
            | "x-forwarded-scheme"
            | "x-forwarded-server"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-forwarded-prefix"
            | "proxy-connection"
            | "transfer-encoding"
            | "proxy-authenticate"
            | "proxy-authorization"
    )
}

/// Fields by which frameworks take another method than that of the request line.
fn overrides_method(name: &HeaderName) -> bool {
    matches!(name.as_str(), "x-http-method-override" | "x-http-method" | "x-method-override")
}

/// What was taken out of the fields on the way.
#[derive(Debug, Default)]
pub(crate) struct Stripped {
    pub(crate) upgrade: Option<Bytes>,
    pub(crate) forwarded_for: Option<String>,
}

/// Refuses ambiguous fields and strips those that end here. `extra` are further protected names, lower case.
pub(crate) fn sanitise(headers: &mut Fields, extra: &[HeaderName]) -> Result<Stripped, Denial> {
    if headers.may_repeat() {
        refuse_repeated(headers, extra)?;
    }
    let mut stripped = Stripped::default();
    let mut ending: usize = 0;
    for name in headers.keys() {
        if memchr::memchr(b'_', name.as_str().as_bytes()).is_some() {
            refuse_twin(name.as_str(), extra)?;
        }
        if stays_here(name) {
            ending += 1;
        } else if overrides_method(name) {
            let reason = format!("`{name}`: what is checked is one method, what the API would do another");
            return Err(Denial::new(&code::HEADER_AMBIGUOUS, reason).close());
        }
    }
    // Nearly every request has a Host, and nothing else of all this.
    if ending == 0 || (ending == 1 && headers.remove(header::HOST).is_some()) {
        return Ok(stripped);
    }
    let mut named: SmallVec<[HeaderName; 4]> = SmallVec::new();
    let trailers = headers.get_all(header::TE).any(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if let Some(upgrade) = headers.get(header::UPGRADE)
        && names_connection_option(headers, "upgrade")
    {
        stripped.upgrade = Some(Bytes::copy_from_slice(upgrade.as_bytes()));
    }
    for value in headers.get_all(header::CONNECTION) {
        let text = value.to_str().map_err(|_| malformed("`connection` is not ASCII"))?;
        for option in text.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            let name = HeaderName::from_bytes(option.as_bytes())
                .map_err(|_| malformed("`connection` names no field"))?;
            // A caller must not be able to strip what the upstream decides by.
            let end_to_end = SINGLE.contains(&name) || name == header::COOKIE || extra.contains(&name);
            if end_to_end {
                return Err(malformed("`connection` names an end-to-end field"));
            }
            named.push(name);
        }
    }
    if headers.contains_key(X_FORWARDED_FOR) {
        let mut list = String::new();
        for value in headers.get_all(X_FORWARDED_FOR) {
            if let Ok(text) = value.to_str() {
                if !list.is_empty() {
                    list.push_str(", ");
                }
                list.push_str(text);
            }
        }
        stripped.forwarded_for = Some(list);
    }
    headers.retain(|name, _| !stays_here(name) && !named.contains(name));
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(stripped)
}

fn malformed(reason: &'static str) -> Denial {
    Denial::new(&code::REQUEST_MALFORMED, reason).close()
}

fn names_connection_option(headers: &Fields, option: &str) -> bool {
    headers
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .any(|text| text.split(',').any(|o| o.trim().eq_ignore_ascii_case(option)))
}

fn refuse_repeated(headers: &Fields, extra: &[HeaderName]) -> Result<(), Denial> {
    for name in SINGLE.iter().chain(extra) {
        if headers.get_all(name).nth(1).is_some() {
            let reason: Cow<'static, str> = format!("`{name}` stands more than once").into();
            return Err(Denial::new(&code::HEADER_AMBIGUOUS, reason).close());
        }
    }
    Ok(())
}

fn refuse_twin(name: &str, extra: &[HeaderName]) -> Result<(), Denial> {
    let hyphened = name.replace('_', "-");
    let known = HeaderName::from_bytes(hyphened.as_bytes());
    if PROTECTED.contains(&hyphened.as_str())
        || extra.iter().any(|e| e.as_str() == hyphened)
        || known.is_ok_and(|name| stays_here(&name) || overrides_method(&name))
    {
        let reason = format!("a field imitates `{hyphened}` with an underscore");
        return Err(Denial::new(&code::HEADER_AMBIGUOUS, reason).close());
    }
    Ok(())
}

/// What the upstream is told about the client.
pub(crate) struct Origin<'a> {
    pub(crate) client: IpAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) scheme: Scheme,
    pub(crate) authority: &'a HeaderValue,
    /// The chain that a trusted hop sent; `None` from strangers.
    pub(crate) chain: Option<String>,
}

/// Sets the trusted fields.
pub(crate) fn set_forwarded(headers: &mut Fields, which: ForwardedHeaders, origin: Origin<'_>) {
    if which.x_forwarded {
        let mut list: SmallVec<[u8; 48]> = SmallVec::new();
        if let Some(chain) = origin.chain.filter(|chain| !chain.is_empty()) {
            list.extend_from_slice(chain.as_bytes());
            list.extend_from_slice(b", ");
        }
        push_address(&mut list, origin.peer.ip().to_canonical());
        if let Ok(value) = HeaderValue::from_bytes(&list) {
            headers.insert(X_FORWARDED_FOR, value);
        }
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(origin.scheme.as_str()));
        if !origin.authority.is_empty() {
            headers.insert(X_FORWARDED_HOST, origin.authority.clone());
        }
    }
    if which.forwarded {
        let client = match origin.client {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        };
        let host = origin.authority.to_str().unwrap_or_default();
        let text = format!("{client};host=\"{host}\";proto={}", origin.scheme.as_str());
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(header::FORWARDED, value);
        }
    }
}

/// The trace id to go on with (W3C Trace Context section 3.2), and the field set for the upstream.
pub(crate) fn continue_trace(headers: &mut Fields, id: ExchangeId, set: bool) -> u128 {
    let incoming = headers.get(TRACEPARENT).and_then(|value| parse_traceparent(value.as_bytes()));
    let (trace, flags) = incoming.unwrap_or((id.0, 0));
    if set {
        let mut text = [b'0'; 55];
        let span = (id.0 as u64) | 1; // an all-zero parent id is invalid
        write_hex(&mut text, 3, 32, trace);
        write_hex(&mut text, 36, 16, u128::from(span));
        write_hex(&mut text, 53, 2, u128::from(flags));
        for at in [2, 35, 52] {
            if let Some(byte) = text.get_mut(at) {
                *byte = b'-';
            }
        }
        if let Ok(value) = HeaderValue::from_bytes(&text) {
            headers.insert(TRACEPARENT, value);
        }
    } else if incoming.is_none() {
        headers.remove(TRACEPARENT);
    }
    trace
}

fn parse_traceparent(value: &[u8]) -> Option<(u128, u8)> {
    let text = std::str::from_utf8(value).ok()?;
    if text.len() < 55 || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut parts = text.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let extra = parts.next().is_some();
    if version.len() != 2 || version == "ff" || (version == "00" && extra) {
        return None;
    }
    if trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit()).then_some(());
    hex(version)?;
    hex(trace)?;
    hex(span)?;
    hex(flags)?;
    let trace = u128::from_str_radix(trace, 16).ok().filter(|&t| t != 0)?;
    u64::from_str_radix(span, 16).ok().filter(|&s| s != 0)?;
    Some((trace, u8::from_str_radix(flags, 16).ok()?))
}

/// Writes `digits` lower-case hex digits of `value` at `at`.
fn write_hex(out: &mut [u8], at: usize, digits: usize, value: u128) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = value.to_be_bytes();
    let used = bytes.iter().skip(bytes.len() - digits / 2);
    let pairs = out.get_mut(at..at + digits).unwrap_or_default().chunks_exact_mut(2);
    for (pair, byte) in pairs.zip(used) {
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 0xf)).copied().unwrap_or(b'0');
        pair.copy_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
}

/// Appends an address; IPv4, the usual case, without the formatter's padding machinery.
fn push_address(out: &mut SmallVec<[u8; 48]>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (i, octet) in address.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                for divisor in [100, 10] {
                    if octet >= divisor {
                        out.push(b'0' + octet / divisor % 10);
                    }
                }
                out.push(b'0' + octet % 10);
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

/// Fields of a response that speak of the upstream's connection alone (RFC 9110 section 7.6.1).
fn ends_with_the_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "upgrade"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "transfer-encoding"
            | "proxy-authenticate"
    )
}

/// Strips what belongs to the upstream's connection from a response.
pub(crate) fn sanitise_response(headers: &mut Fields) {
    let mut any = false;
    let mut named: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for (name, value) in headers.iter() {
        if !ends_with_the_connection(name) {
            continue;
        }
        any = true;
        // `keep-alive` is taken out by its own name, and `close` is the name of no field (RFC 9110 section 7.6.1).
        let usual = [&b"keep-alive"[..], b"close"];
        if *name != header::CONNECTION || usual.iter().any(|usual| value.as_bytes() == *usual) {
            continue;
        }
        for option in value.to_str().unwrap_or_default().split(',') {
            if let Ok(name) = HeaderName::from_bytes(option.trim().as_bytes())
                && name != header::CONTENT_LENGTH
            {
                named.push(name);
            }
        }
    }
    if any {
        headers.retain(|name, _| !ends_with_the_connection(name) && !named.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> Fields {
        let mut headers = Fields::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("true-client-ip", "10.0.0.1"),
            ("x-forwarded-uri", "/admin"),
            ("accept", "*/*"),
        ]);
        let stripped = sanitise(&mut headers, &[]).unwrap();
        assert_eq!(stripped.forwarded_for.as_deref(), Some("10.0.0.1"));
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "te"]);
    }

    #[test]
    fn repeated_imitated_and_stripped_security_fields_are_refused() {
        for fields in [
            &[("authorization", "a"), ("authorization", "b")][..],
            &[("content-type", "a/b"), ("content-type", "c/d")],
            &[("x_forwarded_for", "1.1.1.1")],
            &[("content_length", "5")],
            &[("x-forwarded_for", "1.1.1.1")],
            &[("connection", "authorization")],
            &[("connection", "x y")],
            &[("x_custom_key", "1")],
            &[("x-http-method-override", "DELETE")],
            &[("x-method-override", "DELETE")],
            &[("x_method-override", "DELETE")],
            &[("true_client_ip", "10.0.0.1")],
        ] {
            let extra = [HeaderName::from_static("x-custom-key")];
            assert!(sanitise(&mut map(fields), &extra).is_err(), "{fields:?}");
        }
        assert!(sanitise(&mut map(&[("x_harmless", "1"), ("accept", "a"), ("accept", "b")]), &[]).is_ok());
    }

    #[test]
    fn addresses_are_written_as_the_formatter_writes_them() {
        for text in ["0.0.0.0", "1.10.100.255", "192.0.2.7", "99.9.109.200", "2001:db8::1", "::1"] {
            let mut out = SmallVec::new();
            push_address(&mut out, text.parse().unwrap());
            assert_eq!(out.as_slice(), text.as_bytes());
        }
    }

    #[test]
    fn traces_go_on() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = map(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
        let id = ExchangeId(0xabcd);
        assert_eq!(continue_trace(&mut headers, id, true), 0x4bf92f3577b34da6a3ce929d0e0e4736);
        let sent = headers["traceparent"].to_str().unwrap().to_owned();
        assert_eq!(sent, "00-4bf92f3577b34da6a3ce929d0e0e4736-000000000000abcd-01");
        assert_ne!(sent, parent);
        for bad in [
            "00-0000",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            let mut headers = Fields::new();
            headers.insert(HeaderName::from_static("traceparent"), HeaderValue::from_static(bad));
            assert_eq!(continue_trace(&mut headers, id, true), id.0);
            assert!(headers["traceparent"].to_str().unwrap().starts_with(&format!("00-{id}-")));
        }
    }
}
