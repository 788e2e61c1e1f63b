//! The target URI of a proof and of a call, made comparable (RFC 9449 section 4.3; RFC 3986 sections 6.2.2, 6.2.3).

use bytes::Bytes;
use http::HeaderValue;
use portcullis_engine::canonical;

/// A target URI without query and fragment: scheme and host in lower case, no default port, canonical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetUri {
    https: bool,
    authority: HeaderValue,
    path: Bytes,
}

impl TargetUri {
    /// The absolute URI `text`. `None` if it is none, or can be read in two ways.
    pub(crate) fn parse(text: &str) -> Option<TargetUri> {
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let path = path.find(['?', '#']).map_or(path, |end| path.get(..end).unwrap_or_default());
        TargetUri::new(scheme, authority, if path.is_empty() { "/" } else { path })
    }

    /// The URI of these parts; `path` may have a query, which does not count.
    pub(crate) fn new(scheme: &str, authority: &str, path: &str) -> Option<TargetUri> {
        let (https, default_port) = match scheme {
            scheme if scheme.eq_ignore_ascii_case("https") => (true, ":443"),
            scheme if scheme.eq_ignore_ascii_case("http") => (false, ":80"),
            _ => return None,
        };
        let authority = authority.strip_suffix(default_port).unwrap_or(authority);
        let authority = authority.strip_suffix(':').unwrap_or(authority);
        let authority = canonical::authority(&HeaderValue::from_str(authority).ok()?).ok()?;
        let path = path.split('?').next()?;
        let target = canonical::target(&Bytes::copy_from_slice(path.as_bytes()), true).ok()?;
        if target.authority.is_some() {
            return None;
        }
        Some(TargetUri { https, authority, path: target.bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_target_in_other_words() {
        let same = TargetUri::new("https", "api.example.com", "/orders/7?a=1").unwrap();
        for text in [
            "https://api.example.com/orders/7",
            "HTTPS://API.Example.com/orders/7",
            "https://api.example.com:443/orders/7",
            "https://api.example.com:/orders/7",
            "https://api.example.com/orders/7?x=1",
            "https://api.example.com/orders/7#f",
            "https://api.example.com/orders/7?x#f/g",
            "https://api.example.com/%6frders/7",
            "https://api.example.com/a/../orders/./7",
        ] {
            assert_eq!(TargetUri::parse(text).as_ref(), Some(&same), "{text}");
        }
        assert_eq!(TargetUri::parse("http://[::1]:80"), TargetUri::new("http", "[::1]", "/"));
        assert_eq!(TargetUri::parse("http://a?x"), TargetUri::new("http", "a", "/"));
    }

    #[test]
    fn another_target_is_another() {
        let call = TargetUri::new("https", "api.example.com", "/orders/7").unwrap();
        for text in [
            "http://api.example.com/orders/7",
            "https://api.example.com:8443/orders/7",
            "https://api.example.com:80/orders/7",
            "https://api.example.com/orders/7/",
            "https://api.example.com/Orders/7",
            "https://api.example.com/orders%2F7",
            "https://api.example.com/orders/8",
            "https://api.example.com",
            "https://evil.example/orders/7",
            "https://api.example.com.evil.example/orders/7",
            "https://api.example.com@evil.example/orders/7",
            "https://u:p@api.example.com/orders/7",
            "https://api.example.com\\@evil.example/orders/7",
            "https:///orders/7",
            "//api.example.com/orders/7",
            "/orders/7",
            "orders/7",
            "ftp://api.example.com/orders/7",
            "https://api.example.com/orders/%7",
            "https://api.example.com//orders/7",
            " https://api.example.com/orders/7",
            "https://api.example.com/orders/7 ",
            "",
        ] {
            assert_ne!(TargetUri::parse(text).as_ref(), Some(&call), "{text}");
        }
    }
}
