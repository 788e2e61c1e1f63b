//! Headers: the `simple` style on plain text.

use smallvec::SmallVec;

use super::{Reject, Wire, check_text, missing};
use crate::model::{In, Operation, Parameter};
use crate::report::{Location, MAX_VIOLATIONS, Violation, ViolationKind, safe_name};
use crate::schema::{Arena, Types};

/// Checks the header parameters of an operation; with `unknown` also that there are no others.
pub(crate) fn check_headers<'a, H>(
    arena: &Arena,
    operation: &Operation,
    headers: &H,
    unknown: bool,
    out: &mut Vec<Violation>,
) where
    H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
{
    for parameter in operation.parameters.iter().filter(|parameter| parameter.location == In::Header) {
        check_header(
            arena,
            parameter,
            headers,
            ViolationKind::MissingParameter,
            ViolationKind::InvalidParameter,
            out,
        );
    }
    if !unknown {
        return;
    }
    let described = |name: &str| {
        let parameters = operation.parameters.iter().filter(|parameter| parameter.location == In::Header);
        parameters.clone().any(|parameter| parameter.name.eq_ignore_ascii_case(name))
            || operation
                .credential_names
                .iter()
                .any(|(place, known)| *place == In::Header && known.eq_ignore_ascii_case(name))
    };
    let strangers = headers.clone().filter(|(name, _)| !is_protocol(name) && !described(name));
    for (name, _) in strangers.take(MAX_VIOLATIONS) {
        out.push(Violation {
            kind: ViolationKind::UnknownParameter,
            location: Location::Header,
            name: safe_name(name).into(),
            pointer: "".into(),
            expected: "a header that the operation describes".into(),
        });
    }
}

/// Checks one described header.
pub(crate) fn check_header<'a, H>(
    arena: &Arena,
    parameter: &Parameter,
    headers: &H,
    if_missing: ViolationKind,
    if_invalid: ViolationKind,
    out: &mut Vec<Violation>,
) where
    H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
{
    let mut values: SmallVec<[&[u8]; 4]> = SmallVec::new();
    values.extend(
        headers.clone().filter(|(name, _)| name.eq_ignore_ascii_case(&parameter.name)).map(|(_, v)| v),
    );
    let checked = match values.as_slice() {
        [] if parameter.required => {
            out.push(Violation { kind: if_missing, ..missing(parameter) });
            return;
        }
        [] => return,
        [one] => utf8(one).and_then(|text| check_text(arena, parameter, text, Wire::Plain)),
        several => {
            if parameter.decoder.types().has(Types::ARRAY) {
                // Lines of one name are one list (RFC 9110, section 5.3).
                let joined: Result<Vec<&str>, Reject> = several.iter().map(|value| utf8(value)).collect();
                joined.and_then(|lines| check_text(arena, parameter, &lines.join(","), Wire::Plain))
            } else {
                Err(Reject::text("one value, not several"))
            }
        }
    };
    if let Err(reject) = checked {
        reject.report(parameter, if_invalid, out);
    }
}

fn utf8(value: &[u8]) -> Result<&str, Reject> {
    let text = std::str::from_utf8(value).map_err(|_| Reject::text("UTF-8"))?;
    Ok(text.trim_matches([' ', '\t']))
}

/// Headers of HTTP itself, of browsers and of proxies: no document describes them.
fn is_protocol(name: &str) -> bool {
    const KNOWN: &[&str] = &[
        "host",
        "connection",
        "content-length",
        "content-type",
        "content-encoding",
        "content-language",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "date",
        "via",
        "forwarded",
        "cookie",
        "referer",
        "origin",
        "pragma",
        "cache-control",
        "user-agent",
        "authorization",
        "proxy-authorization",
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "dnt",
        "priority",
        "traceparent",
        "tracestate",
        "baggage",
        "keep-alive",
        "upgrade-insecure-requests",
        "save-data",
        "from",
        "x-request-id",
        "x-real-ip",
        "x-requested-with",
        "max-forwards",
        "alt-used",
    ];
    const PREFIXES: &[&str] = &["accept", "sec-", "x-forwarded-", "access-control-request-", ":"];
    KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known))
        || PREFIXES
            .iter()
            .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}
