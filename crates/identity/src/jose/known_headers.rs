//! Headers of genuine tokens, read once: an issuer's tokens all begin with the same few.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use hashbrown::DefaultHashBuilder;

use crate::jose::jws::Header;

const SLOTS: usize = 16;

/// What the headers of tokens with a good signature said, by their text. Bounded: one of another text may take the
/// place of one that was there, and nothing is lost by it but time.
#[derive(Default)]
pub(crate) struct KnownHeaders {
    slots: [ArcSwapOption<Known>; SLOTS],
    hasher: DefaultHashBuilder,
}

struct Known {
    text: Box<str>,
    header: Arc<Header>,
}

// What a token says is not for logs.
impl fmt::Debug for KnownHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownHeaders").finish_non_exhaustive()
    }
}

impl KnownHeaders {
    /// What the header with exactly this text says, if that is known.
    pub(crate) fn get(&self, text: &str) -> Option<Arc<Header>> {
        let known = self.slot(text)?.load();
        known.as_ref().filter(|known| *known.text == *text).map(|known| Arc::clone(&known.header))
    }

    /// Keeps what the header with this text says. Only for tokens that were found genuine: then nobody else decides
    /// what is kept here.
    pub(crate) fn remember(&self, text: &str, header: &Arc<Header>) {
        let Some(slot) = self.slot(text) else { return };
        let kept = slot.load().as_ref().is_some_and(|known| Arc::ptr_eq(&known.header, header));
        if !kept {
            slot.store(Some(Arc::new(Known { text: text.into(), header: Arc::clone(header) })));
        }
    }

    fn slot(&self, text: &str) -> Option<&ArcSwapOption<Known>> {
        self.slots.get(self.hasher.hash_one(text) as usize % SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url;
    use crate::jose::HeaderKeys;

    fn header(kid: &str) -> (String, Arc<Header>) {
        let text = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
        let header = Header::parse(text.as_bytes(), HeaderKeys::Ignore).unwrap();
        (base64url::encode(text.as_bytes()), Arc::new(header))
    }

    #[test]
    fn a_header_is_known_by_its_whole_text() {
        let known = KnownHeaders::default();
        let (text, one) = header("one");
        assert!(known.get(&text).is_none());
        known.remember(&text, &one);
        assert!(Arc::ptr_eq(&known.get(&text).unwrap(), &one));
        let beginning = &text[..text.len() - 1];
        let longer = format!("{text}A");
        for other in [beginning, &longer, "", &text.to_lowercase()] {
            assert!(known.get(other).is_none(), "{other}");
        }
        assert_eq!(format!("{known:?}"), "KnownHeaders { .. }");
        // What is there already stays, and is not made again.
        known.remember(&text, &known.get(&text).unwrap());
        assert!(Arc::ptr_eq(&known.get(&text).unwrap(), &one));
    }

    #[test]
    fn many_are_kept_apart() {
        let known = KnownHeaders::default();
        let all: Vec<_> = (0..200).map(|n| header(&format!("key-{n}"))).collect();
        all.iter().for_each(|(text, header)| known.remember(text, header));
        let kept = all.iter().filter(|(text, header)| match known.get(text) {
            Some(found) => {
                assert_eq!(found, *header);
                true
            }
            None => false,
        });
        assert!((SLOTS / 2..=SLOTS).contains(&kept.count()));
    }
}
