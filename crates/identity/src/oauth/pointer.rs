//! Where a claim stands.

use std::borrow::Cow;

use serde_json::Value;

use crate::json::Members;

/// A claim by its JSON pointer (RFC 6901), taken apart once. A text that is no pointer to a member names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPointer(Option<Path<Box<str>>>);

/// The member of the claims, and the pointer that goes on from its value: empty for the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Path<T> {
    member: T,
    rest: T,
}

impl ClaimPointer {
    /// What stands there.
    pub(crate) fn of<'a>(&self, claims: &'a Members) -> Option<&'a Value> {
        let Path { member, rest } = self.0.as_ref()?;
        within(claims.get(member)?, rest)
    }
}

impl<T: AsRef<str>> From<T> for ClaimPointer {
    fn from(pointer: T) -> ClaimPointer {
        ClaimPointer(
            split(pointer.as_ref())
                .map(|Path { member, rest }| Path { member: unescape(member).into(), rest: rest.into() }),
        )
    }
}

/// What stands at `pointer`, for pointers that are said by the call.
pub(crate) fn claim<'a>(claims: &'a Members, pointer: &str) -> Option<&'a Value> {
    let Path { member, rest } = split(pointer)?;
    within(claims.get(&unescape(member))?, rest)
}

fn split(pointer: &str) -> Option<Path<&str>> {
    let path = pointer.strip_prefix('/')?;
    let (member, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    Some(Path { member, rest })
}

fn unescape(member: &str) -> Cow<'_, str> {
    if member.contains('~') { member.replace("~1", "/").replace("~0", "~").into() } else { member.into() }
}

fn within<'a>(value: &'a Value, rest: &str) -> Option<&'a Value> {
    if rest.is_empty() { Some(value) } else { value.pointer(rest) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_a_json_pointer() {
        let claims = json!({
            "sub": "a", "": "empty", "a/b": 1, "m~n": 2, "~1": 3, "deep": {"": [4, {"x/y": 5}]}, "list": [6, 7],
        });
        let Value::Object(object) = claims.clone() else { panic!() };
        let members = Members::from(object);
        for pointer in [
            "/sub",
            "/",
            "/a~1b",
            "/m~0n",
            "/~01",
            "/deep",
            "/deep/",
            "/deep//0",
            "/deep//1/x~1y",
            "/list/1",
            "/list/2",
            "/sub/x",
            "/nothing",
            "/nothing/0",
            "/deep/x",
            "sub",
            "sub/x",
            "deep/",
        ] {
            let expected = claims.pointer(pointer);
            assert_eq!(claim(&members, pointer), expected, "{pointer}");
            assert_eq!(ClaimPointer::from(pointer).of(&members), expected, "{pointer}");
        }
        // The claims as a whole are no claim.
        assert_eq!((claim(&members, ""), ClaimPointer::from("").of(&members)), (None, None));
    }
}
