//! Reading bytes without ever reaching past them.

use std::cmp::Ordering;

/// The byte at `index`, or NUL past the end.
pub(crate) fn at(bytes: &[u8], index: usize) -> u8 {
    bytes.get(index).copied().unwrap_or(0)
}

/// `bytes[from..to]`, or what of it there is.
pub(crate) fn slice(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    let to = to.min(bytes.len());
    bytes.get(from.min(to)..to).unwrap_or_default()
}

/// `bytes[from..]`, or nothing.
pub(crate) fn from(bytes: &[u8], from: usize) -> &[u8] {
    bytes.get(from..).unwrap_or_default()
}

/// Whether `bytes` begins with `word`, whatever the case; `word` is lower case.
#[inline]
pub(crate) fn starts(bytes: &[u8], word: &[u8]) -> bool {
    // Most differ in their first byte.
    bytes.len() >= word.len()
        && bytes.iter().zip(word).all(|(byte, known)| byte.to_ascii_lowercase() == *known)
}

/// The first place of `word` in `bytes`, whatever the case; `word` is short and lower case.
pub(crate) fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    let first = *word.first()?;
    let last = bytes.len().checked_sub(word.len())?;
    (0..=last).find(|&i| at(bytes, i).to_ascii_lowercase() == first && starts(from(bytes, i), word))
}

/// Whether `word` stands in `bytes`, whatever the case.
pub(crate) fn has(bytes: &[u8], word: &[u8]) -> bool {
    find(bytes, word).is_some()
}

/// Whether any of `words` stands in `bytes`, whatever the case.
pub(crate) fn has_any(bytes: &[u8], words: &[&[u8]]) -> bool {
    // One pass: most bytes begin no word.
    let mut firsts = [0_u128; 2];
    for word in words {
        let first = at(word, 0);
        if let Some(half) = firsts.get_mut(usize::from(first >> 7)) {
            *half |= 1 << (first & 0x7f);
        }
    }
    bytes.iter().enumerate().any(|(index, byte)| {
        let first = byte.to_ascii_lowercase();
        firsts.get(usize::from(first >> 7)).is_some_and(|half| half >> (first & 0x7f) & 1 == 1)
            && words.iter().any(|word| at(word, 0) == first && starts(from(bytes, index), word))
    })
}

/// A letter, a digit or an underscore.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// White space as parsers see it: blank, tab, line breaks, vertical tab, form feed.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The first index from `index` on that is no white space.
pub(crate) fn skip_space(bytes: &[u8], index: usize) -> usize {
    let rest = from(bytes, index);
    index + rest.iter().position(|&b| !is_space(b)).unwrap_or(rest.len())
}

/// The first index from `index` on that `keep` does not hold for.
pub(crate) fn skip_while(bytes: &[u8], index: usize, keep: impl Fn(u8) -> bool) -> usize {
    let rest = from(bytes, index);
    index + rest.iter().position(|&b| !keep(b)).unwrap_or(rest.len())
}

/// `bytes` without white space at either end.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Words, sorted and lower case, and what each means.
#[derive(Debug)]
pub(crate) struct Table<T: 'static> {
    entries: &'static [(&'static str, T)],
    /// Where the words begin that begin with each letter, `a` first, and where those with `z` end.
    letters: [u16; 27],
}

impl<T: Copy> Table<T> {
    pub(crate) const fn new(entries: &'static [(&'static str, T)]) -> Table<T> {
        let mut letters = [0; 27];
        let mut index = 0;
        while index < entries.len() {
            #[expect(clippy::indexing_slicing, reason = "within the lengths, and evaluated when compiled")]
            let letter = entries[index].0.as_bytes()[0];
            index += 1;
            let mut next = if letter < b'a' { 0 } else { (letter - b'a') as usize + 1 };
            while next < letters.len() {
                #[expect(clippy::indexing_slicing, reason = "below the length")]
                {
                    letters[next] = index as u16;
                }
                next += 1;
            }
        }
        Table { entries, letters }
    }

    /// What `word` means, whatever its case.
    pub(crate) fn get(&self, word: &[u8]) -> Option<T> {
        let first = word.first()?.to_ascii_lowercase();
        let range = match first {
            b'a'..=b'z' => {
                let letter = usize::from(first - b'a');
                usize::from(*self.letters.get(letter)?)..usize::from(*self.letters.get(letter + 1)?)
            }
            // Signs stand before the letters, all in one place.
            _ => 0..usize::from(*self.letters.first()?),
        };
        let words = self.entries.get(range)?;
        let found = words.binary_search_by(|(known, _)| compare(known, word)).ok()?;
        words.get(found).map(|(_, value)| *value)
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> &'static [(&'static str, T)] {
        self.entries
    }
}

/// No table has a longer word.
const LONGEST: usize = 48;

/// The order of `known` and `word`, whatever the case of `word`. Two words differ in their first bytes, mostly: a loop is
/// done where a call would begin.
fn compare(known: &str, word: &[u8]) -> Ordering {
    for (a, b) in known.bytes().zip(word) {
        match a.cmp(&b.to_ascii_lowercase()) {
            Ordering::Equal => {}
            order => return order,
        }
    }
    known.len().cmp(&word.len())
}

/// Whether `word` stands in `table`, which is sorted and lower case; whatever the case of `word`.
pub(crate) fn listed(table: &[&str], word: &[u8]) -> bool {
    word.len() <= LONGEST && table.binary_search_by(|known| compare(known, word)).is_ok()
}
