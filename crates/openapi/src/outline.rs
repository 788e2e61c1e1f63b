//! What a schema demands, in words and as a tree that a person can read.

use crate::contract::Contract;
use crate::merged::{Additional, Merged, Range};
use crate::schema::{Arena, Bound, Direction, SchemaId, Types};

/// One value of an outline: what it must be, and the values inside it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Outline {
    /// The name of a property, `[]` for each item of an array, `*` for members that are not described, `one of`
    /// or `any of` for an alternative; empty for the value itself.
    pub name: String,
    /// It must be there.
    pub required: bool,
    /// What it must be: `string, 1 to 40 characters`. `anything` is said where nothing is demanded.
    pub is: String,
    /// Members that are not described may be there as well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// It may be of any size: a text without a longest length, pattern, format or values, or an array without
    /// a largest number of items.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unbounded: bool,
    /// What it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Outline>,
}

/// Values that one outline has at most.
const MAX_PARTS: usize = 2_000;

/// Characters of a pattern or of a list of values that are shown.
const SHOWN: usize = 80;

impl Contract {
    /// What a schema demands of messages that go one way, down to `depth` levels.
    pub fn outline(&self, schema: SchemaId, direction: Direction, depth: usize) -> Outline {
        let mut room = MAX_PARTS;
        outline(&self.schemas, &[schema], direction, depth, &mut room)
    }
}

pub(crate) fn outline(
    arena: &Arena,
    ids: &[SchemaId],
    direction: Direction,
    depth: usize,
    room: &mut usize,
) -> Outline {
    let merged = Merged::of(arena, ids);
    let mut out = Outline {
        name: String::new(),
        required: false,
        is: words(&merged),
        open: merged.types.has(Types::OBJECT)
            && !merged.properties.is_empty()
            && merged.additional == Additional::Anything,
        unbounded: merged.types != Types::ANY && merged.choices.is_empty() && is_unbounded(&merged),
        parts: Vec::new(),
    };
    if depth == 0 {
        return out;
    }
    let mut part = |name: &str, required: bool, ids: &[SchemaId]| {
        if let Some(left) = room.checked_sub(1) {
            *room = left;
            let inner = outline(arena, ids, direction, depth - 1, room);
            out.parts.push(Outline { name: name.into(), required, ..inner });
        }
    };
    if merged.types.has(Types::OBJECT) {
        for (name, member) in merged.properties.iter().filter(|(_, member)| member.travels(direction)) {
            part(name, member.required, &member.schemas);
        }
        if let Additional::These(list) = &merged.additional {
            part("*", false, list);
        }
    }
    if merged.types.has(Types::ARRAY) {
        for (index, ids) in merged.prefix.iter().enumerate() {
            part(&format!("[{index}]"), false, ids);
        }
        if !merged.item.is_empty() {
            part("[]", false, &merged.item);
        }
    }
    for (one, list) in &merged.choices {
        for id in list {
            part(if *one { "one of" } else { "any of" }, false, &[*id]);
        }
    }
    out
}

fn is_unbounded(merged: &Merged) -> bool {
    let text = merged.types.has(Types::STRING)
        && merged.constants.is_none()
        && merged.length.max.is_none()
        && merged.formats.is_empty()
        && merged.patterns.is_empty();
    text || merged.types.has(Types::ARRAY) && merged.items.max.is_none()
}

/// What is demanded of the value itself.
pub(crate) fn words(merged: &Merged) -> String {
    let mut words: Vec<String> = Vec::new();
    if merged.types != Types::ANY || merged.constants.is_some() {
        words.push(types(merged.types));
    }
    if let Some(constants) = &merged.constants {
        let all: Vec<&str> = constants.iter().map(String::as_str).collect();
        words.push(cut(&all.join(" | ")));
    }
    words.extend(range(merged.length, "character", "characters"));
    words.extend(merged.formats.iter().cloned());
    words.extend(merged.patterns.iter().map(|pattern| format!("matches {}", cut(pattern))));
    words.extend(bound(merged.lower.as_ref(), ">", ">="));
    words.extend(bound(merged.upper.as_ref(), "<", "<="));
    words.extend(merged.multiples.iter().map(|divisor| format!("multiple of {divisor}")));
    words.extend(range(merged.items, "item", "items"));
    if merged.unique {
        words.push("no item twice".into());
    }
    words.extend(range(merged.members, "member", "members"));
    if merged.types.has(Types::OBJECT) && merged.additional == Additional::Nothing {
        words.push("no other members".into());
    }
    if merged.conditions > 0 {
        words.push("further conditions".into());
    }
    if words.is_empty() { "anything".into() } else { words.join(", ") }
}

pub(crate) fn types(types: Types) -> String {
    let mut names = Vec::new();
    for (one, name) in [
        (Types::STRING, "string"),
        (Types::NUMBER, "number"),
        (Types::INTEGER, "integer"),
        (Types::BOOLEAN, "boolean"),
        (Types::ARRAY, "array"),
        (Types::OBJECT, "object"),
        (Types::NULL, "null"),
    ] {
        let whole = types.and(one) == one;
        if whole && !(one == Types::INTEGER && names.contains(&"number")) {
            names.push(name);
        }
    }
    if names.is_empty() { "nothing".into() } else { names.join(" or ") }
}

pub(crate) fn range(range: Range, one: &str, many: &str) -> Option<String> {
    Some(match (range.min, range.max) {
        (None, None) => return None,
        (Some(1), None) => format!("at least 1 {one}"),
        (Some(min), None) => format!("at least {min} {many}"),
        (None, Some(1)) => format!("at most 1 {one}"),
        (None, Some(max)) => format!("at most {max} {many}"),
        (Some(min), Some(max)) if min == max => format!("{min} {}", if min == 1 { one } else { many }),
        (Some(min), Some(max)) => format!("{min} to {max} {many}"),
    })
}

pub(crate) fn bound(bound: Option<&Bound>, exclusive: &str, inclusive: &str) -> Option<String> {
    bound.map(|bound| format!("{} {}", if bound.exclusive { exclusive } else { inclusive }, bound.value))
}

pub(crate) fn cut(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}
