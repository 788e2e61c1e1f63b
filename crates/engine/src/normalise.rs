//! A request head made into the one form that guards see and that goes upstream, and what of it may be recorded.

use bytes::Bytes;
use bytestring::ByteString;
use http::header::{self, HeaderValue};
use http::{Method, Version};

use crate::canonical;
use crate::code;
use crate::denial::Denial;
use crate::engine::Settings;
use crate::facts::Facts;
use crate::head::{Connection, ExchangeId, Origin, Request, RequestHead, Scheme};
use crate::headers;
use crate::routes::PathParams;

/// Normalises a head. A denial leaves what could be made of it, for the record.
pub(crate) fn normalise(
    settings: &Settings,
    head: RequestHead,
    connection: &Connection,
    id: ExchangeId,
) -> (Request, Facts, Option<Denial>) {
    let RequestHead { method, target, authority, version, headers, body } = head;
    let (client, scheme) = settings.trusted_hops.client(connection.peer, connection.scheme, &headers);
    let mut facts = Facts {
        client,
        principal: None,
        trace_id: id.0,
        allow: None,
        deprecated: false,
        claimed: Vec::new(),
    };
    let mut request = Request {
        method,
        target: ByteString::new(),
        path_len: 0,
        authority: HeaderValue::from_static(""),
        scheme,
        version,
        headers,
        body,
        upgrade: None,
        origin: None,
        params: PathParams::default(),
    };
    let refusal = fill(settings, &mut request, &mut facts, &target, authority, connection, id).err();
    if refusal.is_some() && request.target.is_empty() {
        request.target = escape(&target);
        request.path_len = request.target.len();
    }
    (request, facts, refusal)
}

fn fill(
    settings: &Settings,
    request: &mut Request,
    facts: &mut Facts,
    raw_target: &Bytes,
    authority: Option<Bytes>,
    connection: &Connection,
    id: ExchangeId,
) -> Result<(), Denial> {
    let tunnel = settings.forward_proxy && request.method == Method::CONNECT;
    if matches!(request.method, Method::TRACE | Method::CONNECT) && !tunnel {
        let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        let reason = format!("{} is never accepted", request.method);
        return Err(Denial::new(&code::METHOD_REFUSED, reason).header(header::ALLOW, allow).close());
    }
    let target = match tunnel {
        true => tunnel_target(request, raw_target)?,
        false => canonical::target(raw_target, settings.encoded_slash)
            .map_err(|ambiguous| Denial::new(&code::PATH_AMBIGUOUS, ambiguous.0).close())?,
    };
    if target.bytes.as_ref() == b"*" && request.method != Method::OPTIONS {
        return Err(Denial::new(&code::REQUEST_MALFORMED, "`*` is a target of OPTIONS only").close());
    }
    // A canonical target is ASCII.
    request.target = ByteString::try_from(target.bytes)
        .map_err(|_| Denial::new(&code::PATH_AMBIGUOUS, "the target is not ASCII").close())?;
    request.path_len = target.path_len;
    let absolute = target.authority.is_some();
    request.authority = one_authority(request, authority, target.authority)?;
    if settings.forward_proxy {
        let https = raw_target.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"https"));
        let scheme = if https { Scheme::Https } else { Scheme::Http };
        request.origin = Some(Box::new(origin(&request.authority, scheme, absolute, tunnel)?));
    }
    let mut stripped = headers::sanitise(&mut request.headers, &settings.protected_fields)?;
    request.upgrade = stripped.upgrade.take();
    let peer_is_trusted = settings.trusted_hops.trusts(connection.peer.ip());
    let origin = headers::Origin {
        client: facts.client,
        peer: connection.peer,
        scheme: request.scheme,
        authority: &request.authority,
        chain: stripped.forwarded_for.filter(|_| peer_is_trusted),
    };
    headers::set_forwarded(&mut request.headers, settings.forwarded, origin);
    facts.trace_id = headers::continue_trace(&mut request.headers, id, settings.forwarded.trace);
    Ok(())
}

/// The target of CONNECT (RFC 9110 section 9.3.6), which has no body.
fn tunnel_target(request: &Request, raw: &Bytes) -> Result<canonical::Target, Denial> {
    if request.version == Version::HTTP_2 || request.body.is_some() {
        let reason = "CONNECT is taken over HTTP/1.1 and without a body";
        return Err(Denial::new(&code::REQUEST_MALFORMED, reason).close());
    }
    let bytes = escape(raw).into_bytes();
    Ok(canonical::Target { path_len: bytes.len(), bytes, authority: Some(raw.clone()) })
}

/// Where a forward proxy is asked to call.
fn origin(authority: &HeaderValue, scheme: Scheme, absolute: bool, tunnel: bool) -> Result<Origin, Denial> {
    let malformed = |reason: &'static str| Denial::new(&code::REQUEST_MALFORMED, reason).close();
    if !absolute {
        return Err(malformed("a forward proxy is asked with a whole URL, or with CONNECT and host:port"));
    }
    let (host, port) = canonical::host_and_port(authority)
        .ok_or_else(|| malformed("the host is not a name or address with an optional port"))?;
    let port = match (port, scheme) {
        (Some(port), _) => port,
        (None, _) if tunnel => return Err(malformed("CONNECT names a host and a port")),
        (None, Scheme::Http) => 80,
        (None, Scheme::Https) => 443,
    };
    Ok(Origin { scheme, host: host.into(), port, tunnel, addresses: Vec::new() })
}

/// The one authority that Host, `:authority` and an absolute-form target agree on.
fn one_authority(
    request: &Request,
    pseudo: Option<Bytes>,
    absolute: Option<Bytes>,
) -> Result<HeaderValue, Denial> {
    let invalid = |reason: &'static str| Denial::new(&code::HOST_INVALID, reason).close();
    let mut hosts = request.headers.get_all(header::HOST);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(invalid("several Host fields"));
    }
    if host.is_none() && pseudo.is_none() && request.version == Version::HTTP_11 {
        return Err(invalid("no Host field"));
    }
    let normal = |value: &HeaderValue| canonical::authority(value).map_err(|ambiguous| invalid(ambiguous.0));
    let as_value = |bytes: Bytes| {
        HeaderValue::from_maybe_shared(bytes)
            .map_err(|_| invalid("the host is not a name or address with an optional port"))
    };
    let host = host.map(normal).transpose()?;
    let mut agreed = host;
    for other in [pseudo, absolute].into_iter().flatten() {
        let other = normal(&as_value(other)?)?;
        match &agreed {
            Some(first) if *first != other => return Err(invalid("the Host field contradicts the target")),
            Some(_) => {}
            None => agreed = Some(other),
        }
    }
    let Some(agreed) = agreed else {
        return match request.version {
            Version::HTTP_2 | Version::HTTP_3 => Err(invalid("neither `:authority` nor Host")),
            _ => Ok(HeaderValue::from_static("")),
        };
    };
    Ok(agreed)
}

/// What a record keeps of a target that has no canonical form: printable ASCII, at most 512 bytes of it.
pub(crate) fn escape(raw: &[u8]) -> ByteString {
    let mut out = String::new();
    for &byte in raw.iter().take_while(|&&byte| byte != b'?').take(512) {
        out.extend(std::ascii::escape_default(byte).map(char::from));
    }
    out.into()
}

/// The query with secret-looking values replaced; `None` where there is nothing to replace.
pub(crate) fn redact(query: &str, listed: &[Box<str>]) -> Option<String> {
    let secret = |name: &str| looks_secret(name) || listed.iter().any(|l| **l == *name);
    // A value is passed over in one go; a name is looked at byte by byte anyway.
    let mut rest = query;
    loop {
        let end = rest.bytes().position(|byte| matches!(byte, b'=' | b'&')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if secret(name) {
            break;
        }
        match memchr::memchr(b'&', after.as_bytes()).and_then(|at| after.get(at + 1..)) {
            Some(next) => rest = next,
            None => return None,
        }
    }
    let shown = query.split('&').map(|pair| {
        let name = name_of(pair);
        if secret(name) { format!("{name}=***") } else { pair.to_owned() }
    });
    Some(shown.collect::<Vec<_>>().join("&"))
}

fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

/// Whether the name of a parameter or a key has a word that secrets go by; an encoded name could spell anything.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        let words: &[&[u8]] = match byte | 0x20 {
            b'a' => &[b"auth"],
            b'c' => &[b"code", b"credential"],
            b'j' => &[b"jwt"],
            b'k' => &[b"key"],
            b'o' => &[b"otp"],
            b'p' => &[b"pass", b"pwd"],
            b's' => &[b"secret", b"session", b"sig"],
            b't' => &[b"token"],
            _ => return *byte == b'%',
        };
        let rest = bytes.get(at..).unwrap_or_default();
        words.iter().any(|word| rest.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_looking_parameters_are_redacted() {
        for (query, shown) in [
            ("a=1&b=2", None),
            ("", None),
            ("page=2&api_key=s3cret", Some("page=2&api_key=***")),
            ("ACCESS_TOKEN=x&a=1", Some("ACCESS_TOKEN=***&a=1")),
            ("%74oken=x", Some("%74oken=***")),
            ("listed=x&a", Some("listed=***&a")),
            ("key", Some("key=***")),
        ] {
            assert_eq!(redact(query, &["listed".into()]).as_deref(), shown, "{query}");
        }
    }

    #[test]
    fn a_recorded_raw_target_is_printable_and_bounded() {
        assert_eq!(escape(b"/a\x00\xff?token=1"), r"/a\x00\xff");
        assert!(escape(&[0xff; 10_000]).len() <= 4 * 512);
    }
}
