//! What hosts hand in: heads, connections, time and identity of an exchange.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use bytestring::ByteString;
use http::{HeaderValue, Method, StatusCode, Version};

use crate::canonical::Ambiguous;
use crate::fields::Fields;
use crate::routes::PathParams;

/// A moment, as the host saw it. The engine has no clock of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// Nanoseconds on a clock that never goes back; its zero is the host's to choose.
    pub mono_ns: u64,
}

impl Now {
    /// A moment of a recording: both clocks follow the recorded time.
    pub fn recorded(unix_ns: u64) -> Now {
        Now { unix_ns, mono_ns: unix_ns }
    }
}

/// 128 random bits that name an exchange: the reference in a refusal, the key of its record and, where the
/// caller sent none, its trace id. Handed in by the host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ExchangeId(pub u128);

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How the client reached the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// The connection that an exchange came on. Made once a connection and shared by its exchanges.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end of the socket. Not necessarily the client: see [`crate::TrustedHops`].
    pub peer: SocketAddr,
    /// The address that the host accepted it on.
    pub local: SocketAddr,
    /// Whether TLS protects it.
    pub scheme: Scheme,
    /// The server name that TLS asked for (RFC 6066 section 3).
    pub sni: Option<Arc<str>>,
    /// The client's certificate, where the host asked for one and verified it.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// A client's certificate that the host verified: its chain, its dates, and that it was not revoked.
#[derive(Debug, Clone, Default)]
pub struct ClientCertificate {
    der: Bytes,
    thumbprint: OnceLock<[u8; 32]>,
}

impl ClientCertificate {
    /// The certificate whose DER encoding is `der`.
    pub fn new(der: impl Into<Bytes>) -> ClientCertificate {
        ClientCertificate { der: der.into(), thumbprint: OnceLock::new() }
    }

    /// Its DER encoding.
    pub fn der(&self) -> &Bytes {
        &self.der
    }

    /// Its SHA-256 thumbprint (RFC 8705 section 3.1), made once a connection by `sha256`.
    pub fn thumbprint(&self, sha256: impl FnOnce(&[u8]) -> [u8; 32]) -> [u8; 32] {
        *self.thumbprint.get_or_init(|| sha256(&self.der))
    }
}

/// What a host knows of a body before it read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// Exactly so many bytes were announced; zero is a body too.
    Exact(u64),
    /// Chunked, HTTP/2 without a content-length, or ended by closing.
    Unknown,
}

impl BodyLength {
    /// Whether a body is announced at all.
    pub fn is_some(self) -> bool {
        self != BodyLength::None
    }
}

/// A request head as a host parsed it: framing already checked, nothing normalised.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The request target as it stood on the wire (RFC 9112 section 3.2); for HTTP/2 the `:path`. Before an API of one's
    /// own a host may hand in the origin-form of an absolute-form.
    pub target: Bytes,
    /// HTTP/2's `:authority`; `None` for HTTP/1, where `Host` stands in the headers.
    pub authority: Option<Bytes>,
    /// The protocol version.
    pub version: Version,
    /// All fields, duplicates kept in order.
    pub headers: Fields,
    /// What is known of the body.
    pub body: BodyLength,
}

/// A request after normalisation: the form that guards see **and** that goes upstream.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    pub(crate) target: ByteString,
    pub(crate) path_len: usize,
    /// Host and port that the client asked for, lower case; empty where HTTP/1.0 sent none.
    pub authority: HeaderValue,
    /// How the client reached the first trusted hop.
    pub scheme: Scheme,
    /// The protocol version that the client spoke.
    pub version: Version,
    /// The fields that go upstream: hop-by-hop ones are gone, trusted ones are set.
    pub headers: Fields,
    /// What is known of the body.
    pub body: BodyLength,
    /// The protocol that the client asked to upgrade to (RFC 9110 section 7.8), where it asked for one.
    pub upgrade: Option<Bytes>,
    /// Where a forward proxy is asked to call; `None` before an API of one's own.
    pub origin: Option<Box<Origin>>,
    pub(crate) params: PathParams,
}

/// The server that a client of a forward proxy wants to reach (RFC 9110 sections 4.3 and 7.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// How it is called; of no meaning in a tunnel.
    pub scheme: Scheme,
    /// Name or address, lower case, without brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// CONNECT: what goes through is between client and server.
    pub tunnel: bool,
    /// The addresses that a guard has checked. Hosts connect to these and resolve nothing; to none, they do not connect.
    pub addresses: Vec<IpAddr>,
}

impl Request {
    /// The canonical target in origin-form (or `*`): path and query, ASCII.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The canonical target's bytes, shared.
    pub fn target_bytes(&self) -> &Bytes {
        self.target.as_bytes()
    }

    /// The canonical path, percent-encoded, without the query.
    pub fn path(&self) -> &str {
        self.target.get(..self.path_len).unwrap_or_default()
    }

    /// The query without its `?`, where there is one.
    pub fn query(&self) -> Option<&str> {
        self.target.get(self.path_len + 1..)
    }

    /// Drops the query parameters that `keep` does not want. It is given each one's name as it stands,
    /// percent-encoded. The path and the other parameters keep their bytes.
    pub fn retain_query(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let Some(query) = self.query() else { return };
        let mut wanted = |pair: &&str| keep(pair.split('=').next().unwrap_or_default());
        if query.split('&').all(|pair| wanted(&pair)) {
            return;
        }
        let mut target = String::with_capacity(self.target.len());
        target.push_str(self.path());
        let mut separator = '?';
        for pair in query.split('&').filter(wanted) {
            target.push(separator);
            target.push_str(pair);
            separator = '&';
        }
        self.target = target.into();
    }

    /// Puts `query` in the query's place: percent-encoded, ASCII, without its `?`.
    pub fn set_query(&mut self, query: &str) {
        self.target = format!("{}?{query}", self.path()).into();
    }

    /// Puts `value` in the place of the `index`-th path parameter, encoded as it must be.
    ///
    /// # Errors
    /// If there is no such parameter, or the path could then be read in another way: no value can be a segment of dots,
    /// or have a slash.
    pub fn set_param(&mut self, index: usize, value: &str) -> Result<(), Ambiguous> {
        const ABSENT: Ambiguous = Ambiguous("the path has no such parameter");
        let (from, to) = *self.params.spans.get(index).ok_or(ABSENT)?;
        let (before, after) = (self.target.get(..from as usize), self.target.get(to as usize..));
        let (Some(before), Some(after)) = (before, after) else { return Err(ABSENT) };
        let mut target = String::with_capacity(self.target.len() + value.len());
        target.push_str(before);
        crate::canonical::encode(value.as_bytes(), &mut target);
        let end = target.len();
        target.push_str(after);
        let target = ByteString::from(target);
        if crate::canonical::target(target.as_bytes(), false)?.bytes != *target.as_bytes() {
            return Err(Ambiguous("the value would change the path"));
        }
        let moved = |at: u32| {
            let at = at as usize;
            u32::try_from(if at >= to as usize { at - to as usize + end } else { at }).unwrap_or(u32::MAX)
        };
        self.path_len = self.path_len - to as usize + end;
        for (start, stop) in &mut self.params.spans {
            (*start, *stop) = (moved(*start), moved(*stop));
        }
        self.target = target;
        Ok(())
    }

    /// The path parameters that routing found.
    pub fn params(&self) -> &PathParams {
        &self.params
    }

    /// The value of the `index`-th parameter of the operation's path template, percent-encoded.
    pub fn param(&self, index: usize) -> Option<&str> {
        let (from, to) = *self.params.spans.get(index)?;
        self.path().get(from as usize..to as usize)
    }
}

/// A response head: what the upstream said, then what the client will be told.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// The fields.
    pub headers: Fields,
    /// What is known of the body.
    pub body: BodyLength,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &'static str, spans: &[(u32, u32)]) -> Request {
        Request {
            method: Method::GET,
            target: ByteString::from_static(target),
            path_len: target.find('?').unwrap_or(target.len()),
            authority: HeaderValue::from_static(""),
            scheme: Scheme::Http,
            version: Version::HTTP_11,
            headers: Fields::new(),
            body: BodyLength::None,
            upgrade: None,
            origin: None,
            params: PathParams { spans: spans.iter().copied().collect() },
        }
    }

    #[test]
    fn path_parameters_are_put_anew() {
        let mut request = request("/a/11/b/2/c?x=1", &[(3, 5), (8, 9)]);
        request.set_param(0, "long value/").unwrap_err();
        request.set_param(0, "a b\u{e9}").unwrap();
        assert_eq!(request.target(), "/a/a%20b%C3%A9/b/2/c?x=1");
        assert_eq!((request.param(0), request.param(1)), (Some("a%20b%C3%A9"), Some("2")));
        request.set_param(1, "").unwrap_err();
        request.set_param(1, "33").unwrap();
        assert_eq!((request.path(), request.query()), ("/a/a%20b%C3%A9/b/33/c", Some("x=1")));
        request.set_query("y=2");
        assert_eq!((request.param(1), request.target()), (Some("33"), "/a/a%20b%C3%A9/b/33/c?y=2"));
        for bad in [".", "..", "a/b", "a\\b", "\0", "a\nb", "a%2Fb", "%2e"] {
            assert!(request.set_param(0, bad).is_err(), "{bad:?}");
        }
        assert_eq!(request.target(), "/a/a%20b%C3%A9/b/33/c?y=2");
        request.set_param(2, "x").unwrap_err();
    }
}
