//! What the contract says of the fields whose values are inspected.

use std::collections::BTreeMap;

use portcullis_inspect::Place;
use portcullis_inspect::leaves::{Leaf, Name};
use portcullis_openapi::{BodyFormat, Contract, Direction, In, Operation, Text, Texts};

/// How a field's value is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// Not at all: the contract holds it, and what the contract lets through carries nothing.
    No,
    /// What is only worth a look elsewhere is an attack here: no prose and no code has a reason to be there.
    Strictly,
    /// As free text.
    Freely,
}

/// What the contract's checks refuse before a value is inspected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Parameters that are not what their schema says.
    pub(crate) parameters: bool,
    /// Bodies that are not what their schema says.
    pub(crate) body: bool,
}

/// What is known of the fields of one operation.
#[derive(Debug, Default)]
pub(super) struct Fields {
    parameters: Vec<Named>,
    json: Option<Members>,
    form: Option<Members>,
}

/// A parameter of which something is known.
#[derive(Debug)]
struct Named {
    place: Place,
    name: Box<str>,
    judged: Judged,
}

/// A value of a body, and its members.
#[derive(Debug)]
struct Members {
    own: Judged,
    members: BTreeMap<Box<[u8]>, Members>,
}

impl Fields {
    pub(super) fn of(contract: &Contract, operation: &Operation, held: Held) -> Fields {
        let mut parameters = Vec::new();
        for parameter in &operation.parameters {
            let place = match parameter.location {
                In::Query => Place::Query,
                In::Header => Place::Header,
                In::Cookie => Place::Cookie,
                // A path's segments have no names here.
                In::Path => continue,
            };
            let texts = contract.texts(parameter.schema, Direction::Request);
            let judged = judged(texts.own, held.parameters);
            // Objects are written in one text, with signs between; so is what another media type describes.
            if texts.members.is_empty() && parameter.content.is_none() && judged != Judged::Freely {
                parameters.push(Named { place, name: parameter.name.clone(), judged });
            }
        }
        let body = |format| body(contract, operation, format).map(|texts| Members::of(&texts, held.body));
        Fields { parameters, json: body(BodyFormat::Json), form: body(BodyFormat::Form) }
    }

    /// How the value of `leaf` is judged; `json` says that it stands in a body that calls itself JSON.
    pub(super) fn judged(&self, leaf: &Leaf<'_>, json: bool) -> Judged {
        let known = match (leaf.place, leaf.name) {
            (Place::Query | Place::Header | Place::Cookie, Name::Plain(name)) => {
                self.parameters.iter().find(|known| known.is(leaf.place, name)).map(|known| known.judged)
            }
            (Place::Form, Name::Plain(name)) => self.form.as_ref().map(|form| form.at(&[name])),
            (Place::Body, Name::Members(path)) if json => self.json.as_ref().map(|json| json.at(path)),
            _ => None,
        };
        known.unwrap_or(Judged::Freely)
    }
}

impl Named {
    fn is(&self, place: Place, name: &[u8]) -> bool {
        self.place == place
            && match place {
                Place::Header => self.name.as_bytes().eq_ignore_ascii_case(name),
                _ => self.name.as_bytes() == name,
            }
    }
}

impl Members {
    fn of(texts: &Texts, held: bool) -> Members {
        let members = texts
            .members
            .iter()
            .map(|(name, texts)| (name.as_bytes().into(), Members::of(texts, held)))
            .collect();
        Members { own: judged(texts.own, held), members }
    }

    fn at(&self, path: &[&[u8]]) -> Judged {
        let mut here = self;
        for name in path {
            match here.members.get(*name) {
                Some(inner) => here = inner,
                None => return Judged::Freely,
            }
        }
        here.own
    }
}

fn judged(text: Text, held: bool) -> Judged {
    match text {
        Text::Closed if held => Judged::No,
        Text::Closed | Text::Narrow => Judged::Strictly,
        Text::Free => Judged::Freely,
    }
}

/// What the texts in bodies of `format` can be, whichever of the described media types they have.
fn body(contract: &Contract, operation: &Operation, format: BodyFormat) -> Option<Texts> {
    let mut all: Option<Texts> = None;
    for media in &operation.body.as_ref()?.content {
        if !media.range.is_concrete() {
            // A body of this format may be described there.
            return None;
        }
        if media.range.format() == format {
            let texts = contract.texts(media.schema?, Direction::Request);
            all = Some(all.map_or_else(|| texts.clone(), |known| known.loosest(&texts)));
        }
    }
    all
}
