//! Field names that were read lately.
//!
//! The peers of a gateway say the same few names over and over, in the same spelling. What a thread has read once is
//! found again by its bytes, without checking, lower-casing and looking up each letter.

use std::cell::RefCell;

use http::header::HeaderName;

use super::HeadError;

/// How many are remembered; a new one takes the place of another whose bytes fall on the same place.
const PLACES: usize = 256;
/// Longer names are not remembered.
const LONGEST: usize = 40;

thread_local! {
    static LATELY: RefCell<[Option<Known>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

struct Known {
    /// The bytes as they stood on the wire.
    spelt: Box<[u8]>,
    name: HeaderName,
}

/// The name that is `spelt` so.
///
/// # Errors
/// [`HeadError::FieldName`] if it is none.
#[inline]
pub(super) fn name(spelt: &[u8]) -> Result<HeaderName, HeadError> {
    LATELY.with_borrow_mut(|known| match known.get_mut(place(spelt)) {
        Some(Some(known)) if *known.spelt == *spelt => Ok(known.name.clone()),
        slot => read(spelt, slot),
    })
}

#[cold]
fn read(spelt: &[u8], slot: Option<&mut Option<Known>>) -> Result<HeaderName, HeadError> {
    let name = HeaderName::from_bytes(spelt).map_err(|_| HeadError::FieldName)?;
    if let Some(slot) = slot.filter(|_| spelt.len() <= LONGEST) {
        *slot = Some(Known { spelt: spelt.into(), name: name.clone() });
    }
    Ok(name)
}

#[inline]
fn place(spelt: &[u8]) -> usize {
    let byte = |at: usize| usize::from(spelt.get(at).copied().unwrap_or(0));
    let length = spelt.len();
    // The factors keep the names that browsers, servers and proxies use apart from each other.
    let (first, middle, last) = (byte(0), byte(length / 2), byte(length.wrapping_sub(1)));
    (length.wrapping_mul(23) ^ (first * 25) ^ (middle * 5) ^ (last * 21)) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again_in_each_spelling() {
        // Two that fall on one place take turns.
        assert_eq!(place(b"X-Ab-1"), place(b"X-Cb-1"));
        for _ in 0..3 {
            for (spelt, name) in [
                ("Host", "host"),
                ("HOST", "host"),
                ("X-Ab-1", "x-ab-1"),
                ("X-Cb-1", "x-cb-1"),
                (&"Y".repeat(200), &"y".repeat(200)),
            ] {
                assert_eq!(super::name(spelt.as_bytes()).unwrap(), name);
            }
            for bad in ["", "a b", "a:", "\u{e9}"] {
                assert_eq!(super::name(bad.as_bytes()).unwrap_err(), HeadError::FieldName);
            }
        }
    }
}
