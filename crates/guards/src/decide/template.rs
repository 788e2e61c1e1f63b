//! Texts with places of the call in them: `order:{path.orderId}`.

use std::fmt;

use portcullis_engine::{Body, Cx};
use portcullis_openapi::BodyLimits;

use crate::authorize::Caller;
use crate::place::{Place, Spot};
use crate::protection::{CompileCx, Fault};

/// A text with places in it.
#[derive(Debug)]
pub(super) struct Template {
    text: Box<str>,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(Box<str>),
    Subject,
    Operation,
    Caller(Caller),
    Call(Box<Spot>),
}

/// What a call does not say.
#[derive(Debug)]
pub(super) struct Missing(pub(super) String);

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

impl Template {
    /// Reads `text`, which stands at `pointer` in a section.
    pub(super) fn of(text: &str, cx: &CompileCx<'_>, pointer: &str) -> Result<Template, Fault> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else {
                return Err(Fault::new(pointer, format!("`{text}` has `{{` without its `}}`")));
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(Piece::of(name, cx, pointer)?);
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Template { text: text.into(), pieces })
    }

    /// Whether it begins with the name of a type that no caller chooses, as in `order:`.
    pub(super) fn has_type(&self) -> bool {
        matches!(self.pieces.first(), Some(Piece::Text(text)) if text.find(':').is_some_and(|at| at > 0))
    }

    pub(super) fn reads_call(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Call(_)))
    }

    pub(super) fn reads_body(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Call(spot) if spot.is_in_body()))
    }

    /// What it says for a call: a text for each combination of the values of its places.
    pub(super) fn values(
        &self,
        cx: &Cx<'_>,
        body: Option<&Body>,
        limits: BodyLimits,
    ) -> Result<Vec<String>, Missing> {
        /// Combinations that are still counted.
        const MOST: usize = 1000;
        let mut texts = vec![String::new()];
        for piece in &self.pieces {
            let values = piece.values(cx, body, limits).ok_or_else(|| Missing(self.to_string()))?;
            if values.is_empty() || values.iter().any(String::is_empty) || values.len() * texts.len() > MOST {
                return Err(Missing(self.to_string()));
            }
            texts = texts
                .iter()
                .flat_map(|text| values.iter().map(move |value| format!("{text}{value}")))
                .collect();
        }
        Ok(texts)
    }
}

impl Piece {
    fn of(name: &str, cx: &CompileCx<'_>, pointer: &str) -> Result<Piece, Fault> {
        Ok(match name {
            "subject" => Piece::Subject,
            "operation" => Piece::Operation,
            _ if name == "consumer" || name.starts_with("token.") => {
                Piece::Caller(Caller::parse(name).map_err(|message| Fault::new(pointer, message))?)
            }
            _ => {
                let place: Place = name.parse().map_err(|message: String| {
                    Fault::new(
                        pointer,
                        format!("{message}; or `subject`, `consumer`, `token.CLAIM`, `operation`"),
                    )
                })?;
                Piece::Call(Box::new(Spot::of(place, cx, pointer)?))
            }
        })
    }

    fn values(&self, cx: &Cx<'_>, body: Option<&Body>, limits: BodyLimits) -> Option<Vec<String>> {
        let principal = cx.facts.principal.as_deref();
        match self {
            Piece::Text(text) => Some(vec![(**text).into()]),
            Piece::Subject => Some(vec![principal?.subject().into()]),
            Piece::Operation => Some(vec![cx.operation?.id.as_ref().into()]),
            Piece::Caller(caller) => Some(vec![caller.text(principal)?]),
            Piece::Call(spot) => {
                let mut values = Vec::new();
                let mut take = |value: &str| values.push(value.to_owned());
                match spot.is_in_body() {
                    true => spot.ids_in_body(body?, limits, &mut take).ok()?,
                    false => spot.ids_in_head(cx.request, &mut take),
                }
                // What is no text is no identifier.
                (!values.iter().any(|value| value.contains('\u{fffd}'))).then_some(values)
            }
        }
    }
}
