//! Parameters, bodies and responses of one operation in two contracts.

use super::schemas::Schemas;
use super::{Changes, Effect, Pair};
use crate::media::MediaRange;
use crate::model::{In, Media, Parameter, Response, Status};
use crate::schema::{Direction, SchemaId};

pub(super) fn place_name(place: In) -> &'static str {
    match place {
        In::Path => "path",
        In::Query => "query",
        In::Header => "header",
        In::Cookie => "cookie",
    }
}

impl Pair<'_> {
    pub(super) fn parameters(&self, changes: &mut Changes) {
        let part = |parameter: &Parameter| format!("{} {}", place_name(parameter.location), parameter.name);
        for (index, old) in self.old.parameters.iter().enumerate() {
            match self.counterpart(index, old) {
                Some(new) => self.parameter(&part(new), old, new, changes),
                None => {
                    // Headers and cookies that are not described pass.
                    let (effect, what) = match old.location {
                        In::Query => (Effect::BREAKING, "the parameter is gone: who sends it is refused"),
                        _ if old.schema != SchemaId::ANY || old.required => {
                            (Effect::WEAKER, "the parameter is gone: it is not checked any more")
                        }
                        _ => (Effect::NONE, "the parameter is gone"),
                    };
                    self.note(changes, &part(old), what, effect);
                }
            }
        }
        for (index, new) in self.new.parameters.iter().enumerate() {
            let swapped = Pair {
                old_contract: self.new_contract,
                new_contract: self.old_contract,
                old: self.new,
                new: self.old,
            };
            if swapped.counterpart(index, new).is_none() {
                let (what, effect) = match new.required {
                    true => ("a new parameter that must be there", Effect::BREAKING),
                    false => ("a new parameter", Effect::NONE),
                };
                self.note(changes, &part(new), what, effect);
            }
        }
    }

    /// The new operation's parameter that is this one: of a path by its position, of others by name.
    fn counterpart(&self, index: usize, old: &Parameter) -> Option<&Parameter> {
        if old.location == In::Path {
            let position = self.old.capture_parameters.iter().position(|found| *found == Some(index))?;
            let found = *self.new.capture_parameters.get(position)?;
            return self.new.parameters.get(found?);
        }
        self.new.parameters.iter().find(|new| {
            new.location == old.location
                && match old.location {
                    In::Header => new.name.eq_ignore_ascii_case(&old.name),
                    _ => new.name == old.name,
                }
        })
    }

    fn parameter(&self, part: &str, old: &Parameter, new: &Parameter, changes: &mut Changes) {
        match (old.required, new.required) {
            (false, true) => self.note(changes, part, "it must be there now", Effect::BREAKING),
            (true, false) => self.note(changes, part, "it need not be there any more", Effect::WEAKER),
            _ => {}
        }
        let written = |parameter: &Parameter| (parameter.style, parameter.explode, parameter.content.clone());
        if written(old) != written(new) && !(is_scalar(old) && is_scalar(new) && old.style == new.style) {
            self.note(changes, part, "it is written in another way", Effect::BREAKING);
        }
        if !old.allow_empty && new.allow_empty {
            self.note(changes, part, "it may be empty now", Effect::WEAKER);
        }
        self.schemas(part, Direction::Request, changes).compare(&[old.schema], &[new.schema]);
    }

    pub(super) fn bodies(&self, changes: &mut Changes) {
        match (&self.old.body, &self.new.body) {
            (None, None) => {}
            (None, Some(new)) => {
                let (what, effect) = match new.required {
                    true => ("a body must be there now", Effect::BREAKING),
                    false => ("there may be a body now", Effect::NONE),
                };
                self.note(changes, "request body", what, effect);
            }
            (Some(_), None) => {
                self.note(changes, "request body", "no body is allowed any more", Effect::BREAKING);
            }
            (Some(old), Some(new)) => {
                match (old.required, new.required) {
                    (false, true) => {
                        self.note(changes, "request body", "it must be there now", Effect::BREAKING);
                    }
                    (true, false) => {
                        self.note(changes, "request body", "it need not be there any more", Effect::WEAKER);
                    }
                    _ => {}
                }
                self.content("request", &old.content, &new.content, Direction::Request, changes);
            }
        }
    }

    fn content(&self, part: &str, old: &[Media], new: &[Media], direction: Direction, changes: &mut Changes) {
        let find =
            |list: &'_ [Media], range: &MediaRange| list.iter().position(|media| media.range == *range);
        for before in old {
            let part = format!("{part} {}", before.range);
            let Some(after) = find(new, &before.range).and_then(|index| new.get(index)) else {
                let effect = match direction {
                    Direction::Response if old.is_empty() => Effect::NONE,
                    _ => Effect::BREAKING,
                };
                self.note(changes, &part, "the media type is gone", effect);
                continue;
            };
            let each = format!("{part} /[]");
            for (part, before, after) in
                [(&part, before.schema, after.schema), (&each, before.item_schema, after.item_schema)]
            {
                match (before, after) {
                    (Some(before), None) if before != SchemaId::ANY => {
                        let what = "its schema is gone: it is not checked any more";
                        self.note(changes, part, what, Effect::WEAKER);
                    }
                    (before, after) => {
                        let known = |schema: Option<SchemaId>| schema.unwrap_or(SchemaId::ANY);
                        self.schemas(part, direction, changes).compare(&[known(before)], &[known(after)]);
                    }
                }
            }
        }
        for after in new.iter().filter(|after| find(old, &after.range).is_none()) {
            let part = format!("{part} {}", after.range);
            let unchecked = after.schemas().all(|schema| schema == SchemaId::ANY) || !after.is_checked();
            let (what, effect) = match unchecked {
                true if !old.is_empty() => ("a new media type whose bodies are not checked", Effect::WEAKER),
                _ => ("a new media type", Effect::NONE),
            };
            self.note(changes, &part, what, effect);
        }
    }

    pub(super) fn responses(&self, changes: &mut Changes) {
        let find = |list: &'_ [Response], status: Status| list.iter().position(|one| one.status == status);
        for old in &self.old.responses {
            let part = format!("response {}", status_name(old.status));
            let Some(new) = find(&self.new.responses, old.status).and_then(|at| self.new.responses.get(at))
            else {
                let success = matches!(old.status, Status::Exact(200..=299) | Status::Class(2));
                let effect = if success { Effect::BREAKING } else { Effect::NONE };
                self.note(changes, &part, "it is not described any more", effect);
                continue;
            };
            if !old.content.is_empty() && new.content.is_empty() {
                let what = "nothing is said of its body any more: it is not checked";
                self.note(changes, &part, what, Effect::BOTH);
            } else {
                self.content(&part, &old.content, &new.content, Direction::Response, changes);
            }
            for before in &old.headers {
                let part = format!("{part} header {}", before.name);
                match new.headers.iter().find(|after| after.name.eq_ignore_ascii_case(&before.name)) {
                    None => self.note(changes, &part, "it is not described any more", Effect::BREAKING),
                    Some(after) => {
                        if before.required && !after.required {
                            self.note(changes, &part, "it need not be there any more", Effect::BREAKING);
                        }
                        self.schemas(&part, Direction::Response, changes)
                            .compare(&[before.schema], &[after.schema]);
                    }
                }
            }
        }
        for new in &self.new.responses {
            if find(&self.old.responses, new.status).is_none() {
                let part = format!("response {}", status_name(new.status));
                self.note(changes, &part, "a new status", Effect::NONE);
            }
        }
    }

    fn schemas<'s>(&'s self, part: &'s str, direction: Direction, changes: &'s mut Changes) -> Schemas<'s> {
        Schemas::new(*self, part, direction, changes)
    }
}

fn is_scalar(parameter: &Parameter) -> bool {
    parameter.decoder.is_scalar() && parameter.content.is_none()
}

pub(super) fn status_name(status: Status) -> String {
    match status {
        Status::Exact(status) => status.to_string(),
        Status::Class(class) => format!("{class}XX"),
        Status::Default => "default".into(),
    }
}
