//! Bodies of several JSON values: one a line (JSON Lines, NDJSON), or each after a record separator (RFC 7464).

use crate::Checks;
use crate::checks::violation;
use crate::contract::Contract;
use crate::media::BodyFormat;
use crate::model::Media;
use crate::report::{MAX_VIOLATIONS, Violation, ViolationKind};
use crate::schema::{Direction, SchemaId};

/// What each text of a sequence starts with (RFC 7464, section 2.2).
const RECORD_SEPARATOR: u8 = 0x1e;

impl Contract {
    /// Checks each value by `itemSchema`, and all of them as one array by `schema` (OpenAPI 3.2, "Sequential Media
    /// Types"). A `schema` that takes no array is one of each value: so it was written before 3.2.
    pub(crate) fn check_sequence(
        &self,
        media: &Media,
        format: BodyFormat,
        body: &[u8],
        direction: Direction,
        checks: Checks,
    ) -> Vec<Violation> {
        let whole = media.schema.unwrap_or(SchemaId::ANY);
        let (each, together) = match media.item_schema {
            Some(item) => (item, whole),
            None if media.single => (whole, SchemaId::ANY),
            None => (SchemaId::ANY, whole),
        };
        let malformed = |expected: &'static str| vec![violation(ViolationKind::MalformedBody, "", expected)];
        let values = match format {
            BodyFormat::JsonSequence => match texts(body) {
                Some(texts) => texts,
                None => return malformed("JSON texts, each between a record separator and a line feed"),
            },
            _ => lines(body),
        };
        if values.len() > checks.limits.values as usize {
            return vec![violation(ViolationKind::TooComplexBody, "", "fewer values")];
        }
        let mut out = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let found = self.check_json(each, value, direction, checks);
            out.extend(
                found
                    .into_iter()
                    .map(|found| Violation { pointer: format!("/{index}{}", found.pointer).into(), ..found }),
            );
            if out.len() >= MAX_VIOLATIONS {
                break;
            }
        }
        // Each is one value by now, so that a comma between two makes an array of them.
        if out.is_empty() && together != SchemaId::ANY {
            let array = [b"[", values.join(&b","[..]).as_slice(), b"]"].concat();
            out = self.check_json(together, &array, direction, checks);
        }
        out.truncate(MAX_VIOLATIONS);
        out
    }
}

/// The lines that hold something.
fn lines(body: &[u8]) -> Vec<&[u8]> {
    body.split(|byte| *byte == b'\n').map(trimmed).filter(|line| !line.is_empty()).collect()
}

/// Without the white space of JSON around it.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// The texts of a sequence; nothing if it is none. A text that no line feed ends was cut off (RFC 7464, section 2.4).
fn texts(body: &[u8]) -> Option<Vec<&[u8]>> {
    let rest = body.strip_prefix(&[RECORD_SEPARATOR])?;
    // Separators may follow each other (section 2.1).
    let texts = rest.split(|byte| *byte == RECORD_SEPARATOR).filter(|text| !trimmed(text).is_empty());
    texts.map(|text| text.ends_with(b"\n").then(|| trimmed(text))).collect()
}
