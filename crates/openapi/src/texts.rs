//! What texts a schema lets through: whether a value that satisfies it can hold anything at all.

use std::collections::BTreeMap;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::contract::Contract;
use crate::merged::Merged;
use crate::schema::{Arena, Direction, SchemaId, Types};

/// What a text that satisfies a schema can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Text {
    /// Numbers, dates, identifiers, the contract's own values: nothing that an interpreter reads as more.
    Closed,
    /// Of a form that prose and code do not have, such as an address; signs are possible.
    Narrow,
    /// Anything.
    Free,
}

/// What the texts in a value can be. Arrays are left out: their items stand where the array does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The value itself, where it is a text.
    pub own: Text,
    /// The described members, where it is an object.
    pub members: BTreeMap<Box<str>, Texts>,
}

/// Levels of objects that are looked into.
const DEPTH: usize = 12;

/// Values that one schema is looked into for; what is left counts as free.
const MOST: usize = 2_000;

impl Contract {
    /// What the texts in a value that satisfies `schema` can be, in messages that go one way.
    pub fn texts(&self, schema: SchemaId, direction: Direction) -> Texts {
        let mut room = MOST;
        texts(&self.schemas, &[schema], direction, DEPTH, &mut room)
    }
}

fn texts(arena: &Arena, ids: &[SchemaId], direction: Direction, depth: usize, room: &mut usize) -> Texts {
    let merged = Merged::of(arena, ids);
    let mut out = Texts { own: own(&merged), members: BTreeMap::new() };
    let Some(depth) = depth.checked_sub(1) else {
        out.own = Text::Free;
        return out;
    };
    for (name, member) in merged.properties.iter().filter(|(_, member)| member.travels(direction)) {
        let Some(left) = room.checked_sub(1) else { break };
        *room = left;
        out.members.insert(name.clone(), texts(arena, &member.schemas, direction, depth, room));
    }
    if merged.types.has(Types::ARRAY) {
        let known = merged.prefix.is_empty() && !merged.item.is_empty();
        match room.checked_sub(1).filter(|_| known) {
            Some(left) => {
                *room = left;
                let item = texts(arena, &merged.item, direction, depth, room);
                out = if merged.types.has(Types::OBJECT) { out.loosest(&item) } else { item };
                out.own = out.own.max(own(&merged));
            }
            None => out = Texts { own: Text::Free, members: BTreeMap::new() },
        }
    }
    out
}

impl Texts {
    /// What a text can be that satisfies the one or the other.
    pub fn loosest(&self, other: &Texts) -> Texts {
        let members = self
            .members
            .iter()
            .filter_map(|(name, own)| Some((name.clone(), own.loosest(other.members.get(name)?))))
            .collect();
        Texts { own: self.own.max(other.own), members }
    }
}

/// What the value itself can be, where it is a text.
fn own(merged: &Merged) -> Text {
    let format = |names: &[&str]| merged.formats.iter().any(|format| names.contains(&format.as_str()));
    if !merged.types.has(Types::STRING)
        || merged.constants.is_some()
        || format(&["date", "date-time", "time", "duration", "uuid", "ipv4", "ipv6"])
        || merged.patterns.iter().any(|pattern| is_closed(pattern))
    {
        Text::Closed
    } else if format(&["email", "hostname"]) {
        Text::Narrow
    } else {
        Text::Free
    }
}

/// Whether what matches `pattern` as a whole consists of letters, digits and the signs of names and dates.
fn is_closed(pattern: &str) -> bool {
    // Classes of letters as ASCII has them: what ECMA-262 means by `\w` and `\d`.
    let parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
    let Ok(hir) = parser else { return false };
    let HirKind::Concat(parts) = hir.kind() else { return false };
    let [first, middle @ .., last] = parts.as_slice() else { return false };
    is_look(first, Look::Start) && is_look(last, Look::End) && middle.iter().all(is_harmless)
}

fn is_look(hir: &Hir, look: Look) -> bool {
    matches!(hir.kind(), HirKind::Look(found) if *found == look)
}

fn is_harmless(hir: &Hir) -> bool {
    let byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => literal.0.iter().copied().all(byte),
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().all(|range| (range.start()..=range.end()).all(byte))
        }
        HirKind::Class(Class::Unicode(class)) => class.iter().all(|range| {
            range.end().is_ascii() && (range.start()..=range.end()).all(|c| u8::try_from(c).is_ok_and(byte))
        }),
        HirKind::Look(_) => false,
        HirKind::Repetition(repeated) => is_harmless(&repeated.sub),
        HirKind::Capture(group) => is_harmless(&group.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(is_harmless),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Options;

    #[test]
    fn patterns_are_closed_as_a_whole_or_not_at_all() {
        for closed in
            ["^[a-z]+$", "^\\d{4}-\\d{2}$", "^(asc|desc)$", "^[A-Za-z0-9_-]{1,64}$", "^v\\d+\\.\\d+$"]
        {
            assert!(is_closed(closed), "{closed}");
        }
        for open in [
            "[a-z]+",
            "^[a-z]+",
            "^a|b$",
            "^.*$",
            "^[^<>]+$",
            "^[a-z ]+$",
            "^\\S+$",
            "^a/b$",
            "^(?=a)a$",
            "(",
        ] {
            assert!(!is_closed(open), "{open}");
        }
    }

    #[test]
    fn members_and_items() {
        let document = r#"
openapi: 3.1.0
info: { title: T, version: '1' }
paths:
  /a:
    post:
      requestBody:
        content:
          application/json:
            schema:
              allOf:
                - type: object
                  properties:
                    id: { type: string, format: uuid }
                    n: { type: integer }
                    mail: { type: string, format: email }
                    note: { type: string }
                    tags: { type: array, items: { enum: [a, b] } }
                    pair: { type: array, prefixItems: [{ type: integer }] }
                    lines: { type: array, items: { type: object, properties: { sku: { type: string, pattern: '^[A-Z]+$' } } } }
                - properties: { note: { maxLength: 5 }, any: { anyOf: [{ type: integer }, { type: string }] } }
      responses: { '200': { description: ok } }
"#;
        let contract = Contract::parse("a.yaml", document.as_bytes(), &Options::default()).unwrap();
        let schema = contract.operations()[0].body.as_ref().unwrap().content[0].schema.unwrap();
        let texts = contract.texts(schema, Direction::Request);
        let of = |name: &str| texts.members[name].own;
        assert_eq!([of("id"), of("n"), of("tags")], [Text::Closed; 3]);
        assert_eq!(of("mail"), Text::Narrow);
        assert_eq!([of("note"), of("pair"), of("any")], [Text::Free; 3]);
        assert_eq!(texts.members["lines"].members["sku"].own, Text::Closed);
        // An object is no text.
        assert_eq!(texts.own, Text::Closed);
    }
}
