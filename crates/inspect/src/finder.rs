//! Looking for many words at once, in one pass over the bytes.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind};

/// A list of words, lower case, that are looked for whatever the case.
#[derive(Debug)]
pub(crate) struct Finder {
    words: &'static [&'static [u8]],
    dfa: OnceLock<Option<DFA>>,
}

impl Finder {
    pub(crate) const fn new(words: &'static [&'static [u8]]) -> Finder {
        Finder { words, dfa: OnceLock::new() }
    }

    /// The word at `index` of the list.
    pub(crate) fn word(&self, index: usize) -> Option<&'static [u8]> {
        self.words.get(index).copied()
    }

    /// Calls `found` with the index of each word in `bytes` and the place where it begins.
    pub(crate) fn each(&self, bytes: &[u8], mut found: impl FnMut(usize, usize)) {
        self.walk(bytes, |word, start| {
            found(word, start);
            ControlFlow::Continue(())
        });
    }

    /// As [`Finder::each`], until `found` breaks.
    fn walk(&self, bytes: &[u8], mut found: impl FnMut(usize, usize) -> ControlFlow<()>) {
        let build = || {
            DFA::builder().ascii_case_insensitive(true).match_kind(MatchKind::Standard).build(self.words).ok()
        };
        let Some(dfa) = self.dfa.get_or_init(build) else { return self.walk_slowly(bytes, found) };
        let Ok(mut state) = dfa.start_state(Anchored::No) else { return self.walk_slowly(bytes, found) };
        for (index, &byte) in bytes.iter().enumerate() {
            state = dfa.next_state(Anchored::No, state, byte);
            if !(dfa.is_special(state) && dfa.is_match(state)) {
                continue;
            }
            for place in 0..dfa.match_len(state) {
                let word = dfa.match_pattern(state, place).as_usize();
                let length = self.words.get(word).map_or(0, |word| word.len());
                if found(word, (index + 1).saturating_sub(length)).is_break() {
                    return;
                }
            }
        }
    }

    /// What there is to do where the automaton could not be built.
    fn walk_slowly(&self, bytes: &[u8], mut found: impl FnMut(usize, usize) -> ControlFlow<()>) {
        for (index, word) in self.words.iter().enumerate() {
            if let Some(start) = crate::text::find(bytes, word)
                && found(index, start).is_break()
            {
                return;
            }
        }
    }

    /// The word that stands first in the list, of those in `bytes`.
    pub(crate) fn first(&self, bytes: &[u8]) -> Option<&'static [u8]> {
        let mut best = usize::MAX;
        self.each(bytes, |word, _| best = best.min(word));
        self.words.get(best).copied()
    }

    /// Whether any of the words stands in `bytes`.
    pub(crate) fn any(&self, bytes: &[u8]) -> bool {
        self.find(bytes).is_some()
    }

    /// Where the word begins that ends first in `bytes`.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<usize> {
        let mut first = None;
        self.walk(bytes, |_, start| {
            first = Some(start);
            ControlFlow::Break(())
        });
        first
    }

    /// The first place of each word that stands in `bytes`, in the list's order.
    pub(crate) fn firsts(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        self.each(bytes, |word, start| {
            // Few are found, and most of them more than once.
            if !places.iter().any(|(known, _)| *known == word) {
                places.push((word, start));
            }
        });
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::Finder;

    static WORDS: Finder = Finder::new(&[b"he", b"she", b"hers"]);

    #[test]
    fn overlapping_words_are_all_found() {
        assert_eq!(WORDS.firsts(b"uSHERS she"), [(0, 2), (1, 1), (2, 2)]);
        assert_eq!(WORDS.first(b"SHE"), Some(&b"he"[..]));
        assert!(!WORDS.any(b"sh"));
    }
}
