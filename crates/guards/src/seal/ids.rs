//! Ids of one reader.

use std::sync::Arc;

use portcullis_engine::GuardError;
use portcullis_identity::{Context, DataKeys, Sealer};

use crate::who::Who;

/// An id of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain {
    /// It is a number where it stands in JSON.
    pub(super) number: bool,
    /// As it is written.
    pub(super) text: String,
}

impl Plain {
    /// As JSON writes it.
    pub(super) fn token(&self) -> String {
        if self.number { self.text.clone() } else { crate::rewrite::quoted(&self.text) }
    }
}

/// Seals for one reader, and opens what was sealed for them.
#[derive(Debug)]
pub(super) struct Reader<'k> {
    ring: &'k DataKeys,
    /// None: nobody is known, and nothing opens.
    who: Option<Vec<u8>>,
    sealers: Vec<(Box<str>, Sealer<'k>)>,
}

impl<'k> Reader<'k> {
    pub(super) fn new(ring: &'k Arc<DataKeys>, who: Option<&Who<'_>>) -> Reader<'k> {
        Reader { ring, who: who.map(Who::bytes), sealers: Vec::new() }
    }

    pub(super) fn is_known(&self) -> bool {
        self.who.is_some()
    }

    fn sealer(&mut self, kind: &str) -> Option<&Sealer<'k>> {
        let who = self.who.as_deref()?;
        let at = match self.sealers.iter().position(|(known, _)| **known == *kind) {
            Some(at) => at,
            None => {
                let context = Context::of(&[b"id", kind.as_bytes(), who]);
                self.sealers.push((kind.into(), self.ring.sealer(context)));
                self.sealers.len() - 1
            }
        };
        self.sealers.get(at).map(|(_, sealer)| sealer)
    }

    /// The text that stands for `plain`, which is of `kind`.
    pub(super) fn seal(&mut self, kind: &str, plain: &Plain) -> Result<String, GuardError> {
        let nobody = GuardError("nobody is known to seal for".into());
        let mut bytes = vec![u8::from(plain.number)];
        bytes.extend_from_slice(plain.text.as_bytes());
        let sealed = self.sealer(kind).ok_or(nobody)?.seal(&bytes);
        sealed.map_err(|error| GuardError(error.to_string().into()))
    }

    /// What `sealed` stands for; `None` where it was not sealed for this reader as an id of `kind`.
    pub(super) fn open(&mut self, kind: &str, sealed: &str) -> Option<Plain> {
        let bytes = self.sealer(kind)?.open(sealed.as_bytes())?;
        let (number, text) = bytes.split_first()?;
        Some(Plain { number: *number == 1, text: String::from_utf8(text.to_vec()).ok()? })
    }

    /// [`Reader::open`] of each id of a list, whatever separates them.
    pub(super) fn open_list(&mut self, kind: &str, sealed: &str) -> Option<String> {
        let separates = |c: char| matches!(c, ',' | '|' | ' ' | '\t');
        let mut out = String::new();
        for piece in sealed.split_inclusive(separates) {
            let id = piece.trim_end_matches(separates);
            out.push_str(&self.open(kind, id)?.text);
            out.push_str(piece.get(id.len()..).unwrap_or_default());
        }
        (!out.is_empty()).then_some(out)
    }
}
