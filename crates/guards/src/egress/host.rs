//! Which hosts a destination names.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use url::{Host, Url};

/// A host, all names under one (`*.example.com`), or every host (`*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Lower case, without brackets, a final dot and the `*.`.
    name: Box<str>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Under,
    Every,
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, String> {
        if text == "*" {
            return Ok(Pattern { name: Box::default(), kind: Kind::Every });
        }
        let wrong = |what: &str| {
            format!(
                "`{text}`: {what}; expected something like `api.example.com`, `*.example.com`, `10.0.0.7` or `*`"
            )
        };
        let (kind, name) = match text.strip_prefix("*.") {
            Some(name) => (Kind::Under, name),
            None => (Kind::Exact, text),
        };
        if name.contains('*') {
            return Err(wrong("a `*` stands for whole labels at the beginning of a name"));
        }
        if name.is_empty() || name.contains(['/', '@', '?', '#']) {
            return Err(wrong("not a host"));
        }
        if name.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(Pattern { name: name.to_ascii_lowercase().into(), kind });
        }
        // Read as URLs are, so that a name in other scripts is what clients send for it.
        let url = Url::parse(&format!("http://{name}/")).map_err(|error| wrong(&error.to_string()))?;
        if url.port().is_some() || name.contains(':') && !name.starts_with('[') {
            return Err(wrong("a port belongs under `ports`"));
        }
        let (name, is_name): (Cow<'_, str>, bool) = match url.host() {
            Some(Host::Domain(name)) => (name.trim_end_matches('.').into(), true),
            Some(Host::Ipv4(address)) => (address.to_string().into(), false),
            Some(Host::Ipv6(address)) => (address.to_string().into(), false),
            None => return Err(wrong("not a host")),
        };
        if kind == Kind::Under && !is_name {
            return Err(wrong("no name is under an address"));
        }
        Ok(Pattern { name: name.into(), kind })
    }

    /// The host, where it names one.
    pub(super) fn exact(&self) -> Option<&str> {
        (self.kind == Kind::Exact).then_some(&self.name)
    }

    /// How exactly it says which: the more, the longer.
    pub(super) fn precision(&self) -> usize {
        self.name.len()
    }

    /// Whether `host`, lower case and without a final dot, is one of them.
    pub(super) fn holds(&self, host: &str) -> bool {
        match self.kind {
            Kind::Every => true,
            Kind::Exact => host == &*self.name,
            Kind::Under => {
                host.strip_suffix(&*self.name).is_some_and(|before| before.len() > 1 && before.ends_with('.'))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        Pattern::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "HostPattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A name or an address; *.example.com for all names under one, * for every host.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_hold_whole_labels() {
        for (pattern, host, holds) in [
            ("api.example.com", "api.example.com", true),
            ("API.Example.COM.", "api.example.com", true),
            ("bücher.example", "xn--bcher-kva.example", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", ".example.com", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("[::1]", "::1", true),
            ("::1", "::1", true),
            ("*", "anything", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().holds(host), holds, "{pattern} {host}");
        }
        for wrong in ["", "a*b", "*.10.0.0.7", "https://a", "a/b", "u@a", "a:80", "*.*.a"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
