//! Who the client is when other proxies stand in front: only hops that the operator named are believed.

use std::net::{IpAddr, SocketAddr};

use http::header::HeaderName;
use ipnet::IpNet;

use crate::fields::Fields;
use crate::head::Scheme;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who counts as one client: an IPv4 address, or the /64 of an IPv6 address, since whoever has one of its addresses has
/// them all. An IPv4 address that is written in IPv6 is that address.
#[must_use]
pub fn one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The networks whose `X-Forwarded-*` fields are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedHops(Vec<IpNet>);

impl TrustedHops {
    /// Trusts the proxies in `networks`, and nobody else.
    pub fn new(networks: Vec<IpNet>) -> TrustedHops {
        TrustedHops(networks)
    }

    /// Whether `address` is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address and scheme: walking `X-Forwarded-For` from the right, the first address that is
    /// not a trusted hop. An entry that is no address ends the walk at the hop before it.
    pub(crate) fn client(&self, peer: SocketAddr, scheme: Scheme, headers: &Fields) -> (IpAddr, Scheme) {
        let mut client = peer.ip().to_canonical();
        if self.0.is_empty() || !self.trusts(client) {
            return (client, scheme);
        }
        let scheme = match headers.get_all(X_FORWARDED_PROTO).next_back().and_then(|v| v.to_str().ok()) {
            Some(list) => match list.rsplit(',').next().map(str::trim) {
                Some(last) if last.eq_ignore_ascii_case("https") => Scheme::Https,
                Some(last) if last.eq_ignore_ascii_case("http") => Scheme::Http,
                _ => scheme,
            },
            None => scheme,
        };
        // At most as many hops as a sane chain has: a longer list is the caller's own invention.
        let entries = headers
            .get_all(X_FORWARDED_FOR)
            .rev()
            .flat_map(|value| value.to_str().unwrap_or_default().rsplit(','))
            .take(32);
        for entry in entries {
            let Some(address) = parse_address(entry.trim()) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        (client, scheme)
    }
}

/// An address as `X-Forwarded-For` writes it: bare, bracketed, with or without a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let hops = TrustedHops::new(trusted.iter().map(|n| n.parse().unwrap()).collect());
        let mut headers = Fields::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        hops.client(peer.parse().unwrap(), Scheme::Http, &headers).0.to_string()
    }

    #[test]
    fn strangers_cannot_name_their_address() {
        assert_eq!(client(&[], "198.51.100.7:9", &["10.0.0.1"]), "198.51.100.7");
        assert_eq!(client(&["10.0.0.0/8"], "198.51.100.7:9", &["203.0.113.9"]), "198.51.100.7");
    }

    #[test]
    fn the_rightmost_stranger_is_the_client() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(client(&trusted, "10.0.0.1:9", &["1.1.1.1, 203.0.113.9, 10.2.2.2"]), "203.0.113.9");
        assert_eq!(client(&trusted, "10.0.0.1:9", &["1.1.1.1", "203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client(&trusted, "[2001:db8::1]:9", &["[2001:db9::7]:80"]), "2001:db9::7");
        assert_eq!(client(&trusted, "10.0.0.1:9", &["10.3.3.3"]), "10.3.3.3");
        assert_eq!(client(&trusted, "10.0.0.1:9", &["1.2.3.4, unknown"]), "10.0.0.1");
        assert_eq!(client(&trusted, "10.0.0.1:9", &["::ffff:203.0.113.9"]), "203.0.113.9");
    }
}
