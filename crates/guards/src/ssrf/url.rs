//! Where a URL leads, read so that every client reads it alike, and whether that is outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use url::{Host, Url};

/// Names that end so are inside, or answer with an address inside that stands in the name itself.
const INSIDE: &[&str] = &[
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "corp",
    "home",
    "lan",
    "private",
    "home.arpa",
    "in-addr.arpa",
    "ip6.arpa",
    "nip.io",
    "sslip.io",
    "xip.io",
    "localtest.me",
    "lvh.me",
    "vcap.me",
    "rbndr.us",
];

/// Where a URL may lead: `https://*.example.com:8443/hooks/**`. Scheme, port and path may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    scheme: Option<Box<str>>,
    /// Without the `*.`, where there was one.
    host: Box<str>,
    wildcard: bool,
    port: Option<u16>,
    /// What the path begins with.
    path: Option<Box<str>>,
}

impl Allowed {
    fn parse(text: &str) -> Result<Allowed, String> {
        let wrong = |what: &str| {
            format!(
                "`{text}`: {what}; expected something like `https://*.example.com/hooks/**` or `example.com:8443`"
            )
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase().into()), rest),
            None => (None, text),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (wildcard, authority) = match authority.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, authority),
        };
        if authority.contains('*') {
            return Err(wrong("a `*` stands for whole labels at the beginning of a name"));
        }
        // Read as the URLs are read that it is compared with.
        let url = Url::parse(&format!("http://{authority}/")).map_err(|error| wrong(&error.to_string()))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("no host"))?;
        if !url.username().is_empty() || wildcard && !host.contains('.') {
            return Err(wrong("no host of one's own"));
        }
        let explicit = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let path = match path.strip_suffix("**").unwrap_or(path) {
            "" | "/" => None,
            path => Some(path.into()),
        };
        Ok(Allowed { scheme, host: host.trim_end_matches('.').into(), wildcard, port: explicit, path })
    }

    fn admits(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let host = match self.wildcard {
            true => {
                host.strip_suffix(&*self.host).is_some_and(|before| before.len() > 1 && before.ends_with('.'))
            }
            false => host == &*self.host,
        };
        let port = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            None => url.port().is_none(),
        };
        host && port
            && self.scheme.as_deref().is_none_or(|scheme| scheme == url.scheme())
            && self.path.as_deref().is_none_or(|path| url.path().starts_with(path))
    }

    /// Whether it names one host by its whole name: then the host may be inside.
    fn is_exact(&self) -> bool {
        !self.wildcard
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Allowed, D::Error> {
        Allowed::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Allowed {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AllowedUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Where a URL may lead, such as https://*.example.com:8443/hooks/**. Scheme, port and path \
                            may be left out.",
        })
    }
}

/// Why a URL is refused: what it looks like, never what it says.
pub(super) type Reason = &'static str;

/// Judges `value`. Where `declared`, a value without a scheme counts as one of `http`, as servers guess; otherwise
/// what does not look like a URL is none.
///
/// # Errors
/// If it leads where it must not, or different clients could read it in different ways.
pub(super) fn judge(
    value: &str,
    declared: bool,
    schemes: &[Box<str>],
    allow: &[Allowed],
) -> Result<(), Reason> {
    let text = value.trim_matches([' ', '\t', '\r', '\n']);
    let looks = looks_absolute(text);
    if text.is_empty() || !declared && !looks {
        return Ok(());
    }
    if text.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace()) {
        return Err("a backslash, a space or a control character in a URL");
    }
    if declared && !looks && (text.starts_with(['?', '#', '.']) || is_path(text)) {
        // Relative to the API itself; only where no list says otherwise.
        return if allow.is_empty() { Ok(()) } else { Err("a relative reference") };
    }
    let full = match (looks, text.strip_prefix("//")) {
        (_, Some(rest)) => format!("http://{rest}"),
        (true, None) => text.to_owned(),
        (false, None) => format!("http://{text}"),
    };
    let Ok(url) = Url::parse(&full) else { return Err("not a URL that all clients read alike") };
    if !schemes.iter().any(|scheme| **scheme == *url.scheme()) {
        return Err("a scheme that is not allowed");
    }
    // `http:example.com` and `http:///example.com` lead to example.com for some clients only.
    let strict = full
        .get(url.scheme().len()..)
        .is_some_and(|rest| rest.starts_with("://") && !rest.starts_with(":///"));
    if !strict || !url.has_host() {
        return Err("not a URL that all clients read alike");
    }
    if !url.username().is_empty() || url.password().is_some() || authority(&full).contains('@') {
        return Err("a user name or password in a URL");
    }
    let admitted = allow.iter().find(|allowed| allowed.admits(&url));
    if admitted.is_some_and(Allowed::is_exact) {
        return Ok(());
    }
    match url.host() {
        Some(Host::Ipv4(address)) if !is_public_v4(address) => return Err("an address that is not public"),
        Some(Host::Ipv6(address)) if !is_public_v6(address) => return Err("an address that is not public"),
        Some(Host::Domain(name)) if is_inside(name) => return Err("a name inside"),
        Some(_) => {}
        None => return Err("no host"),
    }
    if !allow.is_empty() && admitted.is_none() {
        return Err("a destination that is not on the list");
    }
    Ok(())
}

fn looks_absolute(text: &str) -> bool {
    if text.starts_with("//") || text.starts_with("\\\\") || text.starts_with("/\\") {
        return true;
    }
    let scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    match text.split_once(':') {
        Some((before, after)) => scheme(before) && (after.starts_with(['/', '\\']) || is_known(before)),
        None => false,
    }
}

/// Schemes that reach something without a `//`.
fn is_known(scheme: &str) -> bool {
    ["http", "https", "file", "jar", "netdoc", "data", "javascript", "php", "phar", "expect"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//")
}

/// Host and port, and who is named before them.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

fn is_inside(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.')
        || INSIDE.iter().any(|end| {
            name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
}

/// Whether `address` is one of the public Internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By the IANA registries of special-purpose addresses; and the one of Azure's metadata, which is in none of them.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    (a, b, c, d) != (168, 63, 129, 16)
        && !matches!(
            (a, b, c),
            (0 | 10 | 127 | 224.., ..)
                | (100, 64..=127, _)
                | (169, 254, _)
                | (172, 16..=31, _)
                | (192, 0, 0 | 2)
                | (192, 88, 99)
                | (192, 168, _)
                | (198, 18..=19, _)
                | (198, 51, 100)
                | (203, 0, 113)
        )
}

/// As [`is_public_v4`]; addresses that carry one of IPv4 count as that.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, _, _, _, g, h] = address.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c) {
        // NAT64 and 6to4 carry an IPv4 address.
        (0x64, 0xff9b, 0) => is_public_v4(inner(g, h)),
        (0x2002, high, low) => is_public_v4(inner(high, low)),
        // Teredo, ORCHID, benchmarking, documentation.
        (0x2001, 0..=0x1ff | 0xdb8, _) | (0x3fff, 0..=0xfff, _) => false,
        (0x2000..=0x3fff, ..) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str, allow: &[&str]) -> Result<(), Reason> {
        let allow: Vec<Allowed> = allow.iter().map(|text| Allowed::parse(text).unwrap()).collect();
        judge(url, true, &["http".into(), "https".into()], &allow)
    }

    #[test]
    fn the_table() {
        for line in include_str!("urls.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let mut words = line.split_whitespace();
            let (expected, url) = (words.next().unwrap(), words.next().unwrap());
            let url = url.replace("\\t", "\t").replace("\\n", "\n").replace("\\s", " ").replace("\\0", "\0");
            let allow: Vec<&str> = words.collect();
            assert_eq!(
                verdict(&url, &allow).is_ok(),
                expected == "pass",
                "{line}: {:?}",
                verdict(&url, &allow)
            );
        }
    }

    #[test]
    fn what_is_no_url_is_left_alone_where_none_is_declared() {
        let schemes = ["http".into(), "https".into()];
        for text in [
            "",
            "hello",
            "a: b",
            "12:30",
            "note: see //below",
            "C:",
            "mailto:a@example.com",
            "1.2.3.4",
            "key:value",
        ] {
            assert_eq!(judge(text, false, &schemes, &[]), Ok(()), "{text}");
        }
        for text in [
            "http://10.0.0.1",
            "//127.0.0.1/",
            "gopher://example.com",
            "file:///etc/passwd",
            "http:127.0.0.1",
        ] {
            assert!(judge(text, false, &schemes, &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_are_read_strictly() {
        for wrong in [
            "",
            "https://",
            "*",
            "*.com*",
            "https://*",
            "https://a.*.example.com",
            "https://u@example.com",
            "*.localhost",
        ] {
            assert!(Allowed::parse(wrong).is_err(), "{wrong}");
        }
    }
}
