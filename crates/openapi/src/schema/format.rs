//! The formats that are asserted (JSON Schema Validation, section 7.3, and OpenAPI's own).

/// A format of strings that is checked. Others are annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Date,
    DateTime,
    Time,
    Duration,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Uri,
    UriReference,
    Iri,
    IriReference,
    Uuid,
    JsonPointer,
    Regex,
    Byte,
}

impl Format {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "date" => Self::Date,
            "date-time" => Self::DateTime,
            "time" => Self::Time,
            "duration" => Self::Duration,
            "email" => Self::Email,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "uri" => Self::Uri,
            "uri-reference" => Self::UriReference,
            "iri" => Self::Iri,
            "iri-reference" => Self::IriReference,
            "uuid" => Self::Uuid,
            "json-pointer" => Self::JsonPointer,
            "regex" => Self::Regex,
            "byte" => Self::Byte,
            _ => return None,
        })
    }

    /// What is expected, as a noun phrase.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::Date => "a date such as 2024-02-29 (RFC 3339)",
            Self::DateTime => "a date-time such as 2024-02-29T12:00:00Z (RFC 3339)",
            Self::Time => "a time such as 12:00:00Z (RFC 3339)",
            Self::Duration => "a duration such as P1DT12H (ISO 8601)",
            Self::Email => "an email address",
            Self::Hostname => "a host name",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
            Self::Uri => "an absolute URI (RFC 3986)",
            Self::UriReference => "a URI reference (RFC 3986)",
            Self::Iri => "an absolute IRI (RFC 3987)",
            Self::IriReference => "an IRI reference (RFC 3987)",
            Self::Uuid => "a UUID",
            Self::JsonPointer => "a JSON pointer (RFC 6901)",
            Self::Regex => "a regular expression",
            Self::Byte => "base64",
        }
    }

    /// Whether a text has the format.
    pub(crate) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Date => date(text.as_bytes()),
            Self::DateTime => date_time(text),
            Self::Time => time(text),
            Self::Duration => duration(text),
            Self::Email => email(text),
            Self::Hostname => hostname(text),
            Self::Ipv4 => text.parse::<std::net::Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<std::net::Ipv6Addr>().is_ok(),
            Self::Uri => uri(text, true, false),
            Self::UriReference => uri(text, false, false),
            Self::Iri => uri(text, true, true),
            Self::IriReference => uri(text, false, true),
            Self::Uuid => uuid(text.as_bytes()),
            Self::JsonPointer => json_pointer(text),
            Self::Regex => super::Pattern::new(text).is_ok_and(|pattern| pattern.compiles()),
            Self::Byte => base64(text.as_bytes()),
        }
    }
}

fn digits(bytes: &[u8], count: usize) -> Option<u32> {
    let digits = bytes.get(..count)?;
    digits
        .iter()
        .try_fold(0_u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn date(bytes: &[u8]) -> bool {
    let parse = || {
        if bytes.len() != 10 || bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
            return None;
        }
        let (year, month, day) =
            (digits(bytes, 4)?, digits(bytes.get(5..)?, 2)?, digits(bytes.get(8..)?, 2)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        Some((1..=last).contains(&day))
    };
    parse() == Some(true)
}

fn date_time(text: &str) -> bool {
    let (day, rest) = match (text.get(..10), text.get(10..)) {
        (Some(day), Some(rest)) => (day, rest),
        _ => return false,
    };
    date(day.as_bytes()) && rest.strip_prefix(['T', 't', ' ']).is_some_and(time)
}

fn time(text: &str) -> bool {
    let parse = || {
        let bytes = text.as_bytes();
        let (hour, minute, second) =
            (digits(bytes, 2)?, digits(bytes.get(3..)?, 2)?, digits(bytes.get(6..)?, 2)?);
        if bytes.get(2) != Some(&b':')
            || bytes.get(5) != Some(&b':')
            || hour > 23
            || minute > 59
            || second > 60
        {
            return None;
        }
        let mut rest = bytes.get(8..)?;
        if let Some(fraction) = rest.strip_prefix(b".") {
            let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if count == 0 {
                return None;
            }
            rest = fraction.get(count..)?;
        }
        let offset: i32 = match rest {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), offset @ ..] if offset.len() == 5 && offset.get(2) == Some(&b':') => {
                let (hours, minutes) = (digits(offset, 2)?, digits(offset.get(3..)?, 2)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let minutes = i32::try_from(hours * 60 + minutes).ok()?;
                if *sign == b'+' { minutes } else { -minutes }
            }
            _ => return None,
        };
        // A leap second is the last of a day in UTC.
        let utc = (i32::try_from(hour * 60 + minute).ok()? - offset).rem_euclid(24 * 60);
        Some(second < 60 || utc == 23 * 60 + 59)
    };
    parse() == Some(true)
}

fn duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    if let Some(weeks) = rest.strip_suffix('W') {
        return !weeks.is_empty() && weeks.bytes().all(|byte| byte.is_ascii_digit());
    }
    let (days, times) = match rest.split_once('T') {
        Some((days, times)) => (days, Some(times)),
        None => (rest, None),
    };
    // Units in order, none skipped between two that are there.
    let part = |text: &str, units: &[u8]| {
        let (mut from, mut rest) = (None::<usize>, text.as_bytes());
        while !rest.is_empty() {
            let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let unit = rest.get(count).and_then(|unit| units.iter().position(|known| known == unit))?;
            if count == 0 || from.is_some_and(|last| unit != last + 1) {
                return None;
            }
            from = Some(unit);
            rest = rest.get(count + 1..)?;
        }
        Some(())
    };
    part(days, b"YMD").is_some()
        && match times {
            Some(times) => !times.is_empty() && part(times, b"HMS").is_some(),
            None => !days.is_empty(),
        }
}

fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom = |text: &str| {
        text.split('.').all(|atom| {
            !atom.is_empty()
                && atom.chars().all(|char| {
                    char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char) || !char.is_ascii()
                })
        })
    };
    let quoted = |text: &str| {
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.is_some_and(|inner| {
            let mut escaped = false;
            let fine = inner.chars().all(|char| {
                let fine = escaped || char != '"' && !char.is_control();
                escaped = !escaped && char == '\\';
                fine
            });
            fine && !escaped
        })
    };
    let literal = |text: &str| {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inner.is_some_and(|inner| match inner.strip_prefix("IPv6:") {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => inner.parse::<std::net::Ipv4Addr>().is_ok(),
        })
    };
    !local.is_empty()
        && local.len() <= 64
        && domain.len() <= 255
        && (atom(local) || quoted(local))
        && (literal(domain)
            || labels(domain, |char| char.is_ascii_alphanumeric() || char == '-' || !char.is_ascii()))
}

fn hostname(text: &str) -> bool {
    text.len() <= 253 && labels(text, |char| char.is_ascii_alphanumeric() || char == '-')
}

fn labels(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(&allowed)
    })
}

fn uri(text: &str, absolute: bool, international: bool) -> bool {
    let bytes = text.as_bytes();
    let scheme = text.find(':').filter(|colon| {
        let scheme = bytes.get(..*colon).unwrap_or_default();
        scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
    });
    if absolute && scheme.is_none() {
        return false;
    }
    let rest = match scheme {
        Some(colon) => text.get(colon + 1..).unwrap_or_default(),
        // A relative reference may not have a colon in its first segment.
        None => match text.find([':', '/', '?', '#']) {
            Some(at) if bytes.get(at) == Some(&b':') => return false,
            _ => text,
        },
    };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (hierarchy, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match hierarchy.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", hierarchy),
    };
    let characters = |text: &str, extra: &[u8]| {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'%' => {
                    let hex = bytes.get(at + 1..at + 3).unwrap_or_default();
                    if hex.len() != 2 || !hex.iter().all(u8::is_ascii_hexdigit) {
                        return false;
                    }
                    at += 3;
                    continue;
                }
                byte if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte) => {}
                byte if !byte.is_ascii() && international => {}
                byte if extra.contains(byte) => {}
                _ => return false,
            }
            at += 1;
        }
        true
    };
    characters(path, b"/")
        && characters(query, b"/?")
        && characters(fragment, b"/?")
        && authority_fits(authority, characters)
}

fn authority_fits(authority: &str, characters: impl Fn(&str, &[u8]) -> bool) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() && !address.starts_with(['v', 'V']) {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => ("", port),
                None if after.is_empty() => ("", ""),
                None => return false,
            }
        }
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    port.bytes().all(|byte| byte.is_ascii_digit())
        && !host.contains([':', '@'])
        && characters(host, b"")
        && characters(user, b"")
}

fn uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn json_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && text.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

/// Base64 of either alphabet (RFC 4648, sections 4 and 5), padded or not; line breaks are not.
fn base64(bytes: &[u8]) -> bool {
    let body = bytes.iter().take_while(|byte| **byte != b'=').count();
    let padding = bytes.len() - body;
    bytes.iter().skip(body).all(|byte| *byte == b'=')
        && bytes.iter().take(body).all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
        && body % 4 != 1
        && (padding == 0 || padding <= 2 && bytes.len().is_multiple_of(4))
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn formats() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "date",
                &["2024-02-29", "1999-12-31"],
                &["2023-02-29", "2024-13-01", "2024-1-01", "24-01-01", "", "2024-01-01T00:00:00Z"],
            ),
            (
                "date-time",
                &[
                    "2024-02-29T12:00:00Z",
                    "2024-02-29t12:00:00.123+05:30",
                    "1998-12-31T23:59:60Z",
                    "1998-12-31T15:59:60.1-08:00",
                ],
                &[
                    "2024-02-29",
                    "2024-02-29T12:00:00",
                    "2024-02-29T25:00:00Z",
                    "1998-12-31T22:59:60Z",
                    "2024-02-29T12:00:00.Z",
                    "é024-02-29T1",
                ],
            ),
            ("time", &["12:00:00Z", "12:00:00+01:00"], &["12:00", "24:00:00Z", "12:00:00", "12-00-00Z"]),
            (
                "duration",
                &["P1D", "P1Y2M3DT4H5M6S", "PT1S", "P4W"],
                &["P", "PT", "P1", "1D", "P1W1D", "P1Y2D", "PT1D"],
            ),
            (
                "email",
                &["a@b.c", "a.b+c@example.com", "\"a b\"@x.y", "ü@x.y", "a@[127.0.0.1]"],
                &["a", "@b", "a@", "a..b@c", "a@-b.c", "a b@c.d", "a@b@c d"],
            ),
            ("hostname", &["example.com", "a", "a-b.c1"], &["", "-a", "a-", "a..b", "a_b", "ü.de"]),
            ("ipv4", &["127.0.0.1"], &["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4 "]),
            ("ipv6", &["::1", "2001:db8::", "::ffff:1.2.3.4"], &["1", ":::", "12345::", "::1%eth0"]),
            (
                "uri",
                &["http://a/b?c#d", "urn:a:b", "mailto:a@b.c", "http://[::1]:80/", "a:"],
                &[
                    "//a",
                    "a",
                    "http://a b",
                    "http://a/%zz",
                    "http://[::1",
                    "http://a:b/",
                    "http://a/ü",
                    "",
                    "1a:b",
                    "http://a\\b",
                ],
            ),
            ("uri-reference", &["", "a/b", "//a", "?x", "#y", "/a:b"], &["a b", "\\a", "%", ":a", "1:2"]),
            ("iri", &["http://ü/ö"], &["ü"]),
            (
                "uuid",
                &["123e4567-e89b-12d3-a456-426614174000"],
                &[
                    "123e4567e89b12d3a456426614174000",
                    "123e4567-e89b-12d3-a456-42661417400g",
                    "{123e4567-e89b-12d3-a456-42661417400}",
                ],
            ),
            ("json-pointer", &["", "/a/~0~1"], &["a", "/~", "/~2"]),
            ("byte", &["", "YQ==", "YWI=", "YWJj", "YQ", "-_8="], &["Y", "YQ=", "Y===", "YQ==YQ==", "Y Q="]),
            ("regex", &["^a+$"], &["(", "a{2,1}"]),
        ];
        for (name, good, bad) in cases {
            let format = Format::from_name(name).unwrap();
            good.iter().for_each(|text| assert!(format.accepts(text), "{name} {text:?}"));
            bad.iter().for_each(|text| assert!(!format.accepts(text), "{name} {text:?}"));
        }
    }
}
