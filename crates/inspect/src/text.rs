//! Reading bytes without ever reaching past them.

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
pub(crate) fn starts(bytes: &[u8], word: &[u8]) -> bool {
    bytes.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
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

/// Looks `word` up in `table`, which is sorted and lower case; whatever the case of `word`.
pub(crate) fn lookup<T: Copy>(table: &[(&str, T)], word: &[u8]) -> Option<T> {
    let mut buffer = [0_u8; 32];
    let lower = buffer.get_mut(..word.len())?;
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let found = table.binary_search_by(|(known, _)| known.as_bytes().cmp(lower)).ok()?;
    table.get(found).map(|(_, value)| *value)
}

/// Whether `word` stands in `table`, which is sorted and lower case; whatever the case of `word`.
pub(crate) fn listed(table: &[&str], word: &[u8]) -> bool {
    let mut buffer = [0_u8; 32];
    let Some(lower) = buffer.get_mut(..word.len()) else { return false };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    table.binary_search_by(|known| known.as_bytes().cmp(lower)).is_ok()
}
