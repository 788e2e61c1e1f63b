//! The nearest known word to one that is not known.

/// The candidate that `word` most likely meant, or `None` where all are far off.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_ascii_lowercase();
        let whole = strsim::normalized_damerau_levenshtein(&word, &candidate);
        // A word cut short, or with more behind it, is a likelier slip than one of another length.
        let part = word.len() >= 3 && (candidate.starts_with(&word) || word.starts_with(&candidate));
        if part { whole.max(0.7) } else { whole }
    };
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["listen", "upstream", "contract", "timeouts", "trusted_hops"];
        assert_eq!(nearest("upsteam", known), Some("upstream"));
        assert_eq!(nearest("Listen", known), Some("listen"));
        assert_eq!(nearest("timeout", known), Some("timeouts"));
        assert_eq!(nearest("trusted-hops", known), Some("trusted_hops"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(nearest("", known), None);
    }
}
