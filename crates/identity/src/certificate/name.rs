//! Distinguished names as text (RFC 4514), so that two different names never read alike.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// `name`, most specific part first, escaped.
pub(crate) fn rfc4514(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for rdn in name.iter_rdn() {
        let attributes: Vec<String> = rdn.iter().map(attribute).collect();
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    parts.join(",")
}

/// Names of attributes (RFC 4514 section 3, and two that are common besides).
const TYPES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.5", "serialNumber"),
];

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let known = TYPES.iter().find(|(id, _)| *id == oid);
    match (known, attribute.as_str()) {
        (Some((_, name)), Ok(value)) => format!("{name}={}", escape(value)),
        _ => format!("{oid}=#{}", HEXLOWER.encode(attribute.as_slice())),
    }
}

fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => {
                text.push('\\');
                text.push(c);
            }
            '#' | ' ' if at == 0 => {
                text.push('\\');
                text.push(c);
            }
            ' ' if at == last => text.push_str("\\ "),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02x}");
                }
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_value_is_escaped() {
        for (value, escaped) in [
            ("app", "app"),
            ("a, O=Evil", "a\\, O\\=Evil"),
            ("#1", "\\#1"),
            ("a#", "a#"),
            (" a ", "\\ a\\ "),
            (" ", "\\ "),
            ("a+b\"c\\d<e>f;g", "a\\+b\\\"c\\\\d\\<e\\>f\\;g"),
            ("a\0b\n", "a\\00b\\0a"),
            ("", ""),
            ("é", "é"),
        ] {
            assert_eq!(escape(value), escaped, "{value:?}");
        }
    }
}
