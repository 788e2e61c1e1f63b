//! An issuer's metadata: OpenID Connect Discovery 1.0 and RFC 8414.

use http::Uri;
use serde_json::Value;

use crate::json;

/// Most bytes of a metadata document.
pub const MAX_METADATA_BYTES: usize = 128 << 10;

/// What is used of an issuer's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The issuer, exactly as its tokens name it.
    pub issuer: Box<str>,
    /// Where its keys are.
    pub jwks_uri: Box<str>,
    /// Where opaque tokens are asked about (RFC 7662), if it says.
    pub introspection_endpoint: Option<Box<str>>,
}

/// Why metadata is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// It is no JSON object, names a member twice, or is too long.
    #[error("the metadata is no JSON object, names a member twice, or is too long")]
    NotAnObject,
    /// Its `issuer` is not the expected one, so another issuer could be speaking (RFC 8414 section 3.3).
    #[error(
        "the metadata's `issuer` is not exactly the configured issuer: copy it from there, with or without the slash at its end"
    )]
    OtherIssuer,
    /// Its `jwks_uri` is missing.
    #[error("the metadata has no `jwks_uri`")]
    NoKeySet,
    /// An address in it is not to be asked.
    #[error("an address in the metadata is refused: {0}")]
    Address(AddressError),
}

/// Why an address is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no absolute URL.
    #[error("it is no absolute URL")]
    NotAbsolute,
    /// It is not `https`; `http` is for loopback addresses only.
    #[error("it is not `https` (`http` is accepted for loopback addresses only)")]
    NotSecure,
    /// It has user information or a fragment.
    #[error("it has user information or a fragment")]
    Excess,
}

impl Metadata {
    /// The metadata that `json` states for `issuer`.
    ///
    /// # Errors
    /// If it is not JSON, is of another issuer, or names no address of keys that may be asked.
    pub fn parse(json: &[u8], issuer: &str) -> Result<Metadata, MetadataError> {
        let metadata = Metadata::parse_any(json)?;
        if &*metadata.issuer == issuer { Ok(metadata) } else { Err(MetadataError::OtherIssuer) }
    }

    /// As [`Metadata::parse`], where only the document's address is known (a contract's `openIdConnectUrl`): the
    /// issuer must be the one whose metadata stands at `address`.
    ///
    /// # Errors
    /// As [`Metadata::parse`].
    pub fn parse_at(json: &[u8], address: &str) -> Result<Metadata, MetadataError> {
        let metadata = Metadata::parse_any(json)?;
        let theirs = metadata_addresses(&metadata.issuer);
        if theirs.iter().any(|theirs| theirs == address) {
            Ok(metadata)
        } else {
            Err(MetadataError::OtherIssuer)
        }
    }

    fn parse_any(json: &[u8]) -> Result<Metadata, MetadataError> {
        if json.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::NotAnObject);
        }
        let members = json::object(json, 16, 10_000).ok_or(MetadataError::NotAnObject)?;
        let text = |name| members.get(name).and_then(Value::as_str);
        let issuer = text("issuer").ok_or(MetadataError::OtherIssuer)?;
        let jwks_uri = text("jwks_uri").ok_or(MetadataError::NoKeySet)?;
        check_address(jwks_uri).map_err(MetadataError::Address)?;
        let introspection_endpoint = text("introspection_endpoint");
        if let Some(address) = introspection_endpoint {
            check_address(address).map_err(MetadataError::Address)?;
        }
        Ok(Metadata {
            issuer: issuer.into(),
            jwks_uri: jwks_uri.into(),
            introspection_endpoint: introspection_endpoint.map(Into::into),
        })
    }
}

/// Where the metadata of `issuer` may stand, in the order in which to ask: OpenID Connect Discovery section 4, then
/// RFC 8414 section 3.1.
pub fn metadata_addresses(issuer: &str) -> Vec<String> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let mut addresses = vec![format!("{base}/.well-known/openid-configuration")];
    if let Some((scheme, rest)) = base.split_once("://") {
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        addresses.push(format!("{scheme}://{authority}/.well-known/oauth-authorization-server{path}"));
        if !path.is_empty() {
            addresses.push(format!("{scheme}://{authority}/.well-known/openid-configuration{path}"));
        }
    }
    addresses
}

/// Whether `address` may be asked for keys, metadata or about tokens.
///
/// # Errors
/// If it is not absolute, not `https` (or `http` to a loopback address), or has user information or a fragment.
pub fn check_address(address: &str) -> Result<(), AddressError> {
    if address.contains('#') {
        return Err(AddressError::Excess);
    }
    let uri: Uri = address.parse().map_err(|_| AddressError::NotAbsolute)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(AddressError::NotAbsolute);
    };
    if authority.as_str().contains('@') {
        return Err(AddressError::Excess);
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(authority.host()) => Ok(()),
        _ => Err(AddressError::NotSecure),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_must_be_exact() {
        let json =
            br#"{"issuer":"https://login.example.com/","jwks_uri":"https://keys.example.com/jwks","x":[1]}"#;
        let found = Metadata::parse(json, "https://login.example.com/").unwrap();
        assert_eq!(&*found.jwks_uri, "https://keys.example.com/jwks");
        for other in
            ["https://login.example.com", "https://LOGIN.example.com/", "", "https://login.example.com//"]
        {
            assert_eq!(Metadata::parse(json, other), Err(MetadataError::OtherIssuer), "{other}");
        }
        let at = |address| Metadata::parse_at(json, address);
        assert!(at("https://login.example.com/.well-known/openid-configuration").is_ok());
        assert!(at("https://login.example.com/.well-known/oauth-authorization-server").is_ok());
        assert_eq!(
            at("https://evil.example/.well-known/openid-configuration"),
            Err(MetadataError::OtherIssuer)
        );
        assert_eq!(
            at("https://login.example.com/a/.well-known/openid-configuration"),
            Err(MetadataError::OtherIssuer)
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let parse = |json: &str| Metadata::parse(json.as_bytes(), "https://a").unwrap_err();
        assert_eq!(parse("[]"), MetadataError::NotAnObject);
        assert_eq!(parse(r#"{"issuer":"https://a","issuer":"https://a"}"#), MetadataError::NotAnObject);
        assert_eq!(parse(r#"{"jwks_uri":"https://a/k"}"#), MetadataError::OtherIssuer);
        assert_eq!(parse(r#"{"issuer":["https://a"],"jwks_uri":"https://a/k"}"#), MetadataError::OtherIssuer);
        assert_eq!(parse(r#"{"issuer":"https://a"}"#), MetadataError::NoKeySet);
        let address = |uri: &str| parse(&format!(r#"{{"issuer":"https://a","jwks_uri":"{uri}"}}"#));
        for (uri, why) in [
            ("http://a/k", AddressError::NotSecure),
            ("ftp://a/k", AddressError::NotSecure),
            ("file:///etc/passwd", AddressError::NotAbsolute),
            ("/k", AddressError::NotAbsolute),
            ("https://u:p@a/k", AddressError::Excess),
            ("https://a/k#f", AddressError::Excess),
            ("http://127.0.0.1.evil.example/k", AddressError::NotSecure),
            ("http://169.254.169.254/k", AddressError::NotSecure),
            ("", AddressError::NotAbsolute),
        ] {
            assert_eq!(address(uri), MetadataError::Address(why), "{uri}");
        }
        let large = format!(r#"{{"issuer":"https://a","x":"{}"}}"#, "x".repeat(MAX_METADATA_BYTES));
        assert_eq!(parse(&large), MetadataError::NotAnObject);
        let good = r#"{"issuer":"https://a","jwks_uri":"https://a/k"}"#;
        for (length, is_read) in [(MAX_METADATA_BYTES, true), (MAX_METADATA_BYTES + 1, false)] {
            let padded = good.to_owned() + &" ".repeat(length - good.len());
            assert_eq!(Metadata::parse(padded.as_bytes(), "https://a").is_ok(), is_read);
        }
    }

    #[test]
    fn loopback_may_be_plain() {
        for uri in [
            "http://127.0.0.1:9/k",
            "http://[::1]/k",
            "http://localhost:3000/",
            "http://127.8.9.1/",
            "https://x/",
        ] {
            assert_eq!(check_address(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn where_metadata_stands() {
        assert_eq!(
            metadata_addresses("https://a.example/realms/x"),
            [
                "https://a.example/realms/x/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/realms/x",
                "https://a.example/.well-known/openid-configuration/realms/x",
            ]
        );
        assert_eq!(
            metadata_addresses("https://a.example/"),
            [
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ]
        );
    }
}
