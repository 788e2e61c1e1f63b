//! Parameters: texts of a path, a query, headers and cookies, read by their style and checked.
//!
//! A parameter whose value is a scalar is checked on its text; only arrays, objects and schemas that apply
//! others build a value. Types are given to texts only where the wire has none, by what the schema allows.

mod cookie;
mod form;
mod header;
mod multipart;
mod query;
mod style;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::Value;

use crate::media::MediaType;
use crate::model::{In, Media, Parameter, Style};
use crate::report::{Location, Violation, ViolationKind};
use crate::schema::{Arena, Direction, Issue, SchemaId, Types};

pub(crate) use cookie::check_cookies;
pub(crate) use form::form_value;
pub(crate) use header::{check_header, check_headers};
pub(crate) use multipart::multipart_value;
pub(crate) use query::check_query;
pub(crate) use text::{Wire, coerce};

/// What is known about a parameter's values once its schema is compiled.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    types: u8,
    /// Described members of an object that is written apart.
    members: Box<[Box<str>]>,
    /// It may have members that are not described.
    open: bool,
    /// `content` of a JSON type.
    json: bool,
}

impl Decoder {
    pub(crate) fn compile(arena: &Arena, parameter: &Parameter) -> Self {
        let types = arena.types_of(parameter.schema);
        let apart = types.has(Types::OBJECT)
            && parameter.explode
            && matches!(parameter.style, Style::Form | Style::Cookie);
        // Of a schema that says nothing no other parameter may be taken away.
        let apart =
            apart && parameter.schema != SchemaId::ANY && types != Types::ANY && parameter.content.is_none();
        let media = parameter.content.as_deref().and_then(MediaType::parse);
        Self {
            types: types.0,
            members: if apart { arena.member_names(parameter.schema).into() } else { Box::default() },
            open: apart && arena.invites_members(parameter.schema),
            json: media.is_some_and(|media| media.format() == crate::media::BodyFormat::Json),
        }
    }

    fn types(&self) -> Types {
        Types(self.types)
    }

    pub(crate) fn is_scalar(&self) -> bool {
        !self.types().has(Types::ARRAY) && !self.types().has(Types::OBJECT)
    }

    fn is_apart(&self) -> bool {
        self.open || !self.members.is_empty()
    }
}

/// The described properties of a form, each as a parameter of its own.
pub(crate) fn fields(arena: &Arena, media: &Media) -> Vec<Parameter> {
    use crate::media::BodyFormat;
    let Some(schema) = media.schema else { return Vec::new() };
    if !matches!(media.range.format(), BodyFormat::Form | BodyFormat::Multipart) && media.range.is_concrete()
    {
        return Vec::new();
    }
    let field = |name: Box<str>| {
        let encoding = media.encoding.iter().find(|encoding| encoding.property == name);
        let mut parameter = Parameter {
            schema: arena.member_schema(schema, &name).unwrap_or(SchemaId::ANY),
            name,
            location: In::Query,
            required: false,
            deprecated: false,
            style: encoding.map_or(Style::Form, |encoding| encoding.style),
            explode: encoding.is_none_or(|encoding| encoding.explode),
            allow_reserved: false,
            allow_empty: false,
            content: None,
            decoder: Decoder::default(),
        };
        let json = encoding
            .and_then(|encoding| encoding.content_types.first())
            .is_some_and(|range| range.format() == BodyFormat::Json);
        parameter.decoder = Decoder { json, ..Decoder::compile(arena, &parameter) };
        parameter
    };
    arena.member_names(schema).into_iter().map(field).collect()
}

/// Why a text is not a value of its parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reject {
    /// It cannot be read by its style.
    Malformed(Cow<'static, str>),
    /// It can, and does not satisfy the schema.
    Issues(Vec<Issue>),
}

impl Reject {
    fn text(expected: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed(expected.into())
    }

    pub(crate) fn report(self, parameter: &Parameter, kind: ViolationKind, out: &mut Vec<Violation>) {
        let violation = |pointer: String, expected| Violation {
            kind,
            location: location_of(parameter.location),
            name: crate::report::safe_name(&parameter.name).into(),
            pointer: pointer.into(),
            expected,
        };
        match self {
            Self::Malformed(expected) => out.push(violation(String::new(), expected)),
            Self::Issues(issues) => {
                out.extend(issues.into_iter().map(|issue| violation(issue.pointer, issue.expected)));
            }
        }
    }
}

pub(crate) fn location_of(place: In) -> Location {
    match place {
        In::Path => Location::Path,
        In::Query => Location::Query,
        In::Header => Location::Header,
        In::Cookie => Location::Cookie,
    }
}

pub(crate) fn missing(parameter: &Parameter) -> Violation {
    Violation {
        kind: ViolationKind::MissingParameter,
        location: location_of(parameter.location),
        name: crate::report::safe_name(&parameter.name).into(),
        pointer: "".into(),
        expected: "it to be there".into(),
    }
}

/// Checks one text that is the whole value of a parameter.
pub(crate) fn check_text(arena: &Arena, parameter: &Parameter, raw: &str, wire: Wire) -> Result<(), Reject> {
    let once = |wire: Wire| {
        if parameter.schema == SchemaId::ANY && parameter.content.is_none() {
            return wire.decode(raw).map(drop);
        }
        if parameter.decoder.is_scalar() && parameter.content.is_none() {
            let raw = style::undressed(parameter, raw)?;
            let text = wire.decode(raw)?;
            return text::check_scalar(arena, parameter.schema, parameter.decoder.types(), &text);
        }
        let value = value_of(arena, parameter, raw, wire)?;
        judge(arena, parameter.schema, &value)
    };
    once(wire).or_else(|reject| match wire {
        // A plus sign is a space in a form, and itself to senders that follow RFC 3986.
        Wire::Form if raw.contains('+') => once(Wire::Percent).map_err(|_| reject),
        _ => Err(reject),
    })
}

fn judge(arena: &Arena, schema: SchemaId, value: &Value) -> Result<(), Reject> {
    let issues = arena.validate(schema, value, Direction::Request);
    if issues.is_empty() { Ok(()) } else { Err(Reject::Issues(issues)) }
}

/// Reads one text that is the whole value of a parameter: as the first of the shapes that its schema allows
/// and accepts.
pub(crate) fn value_of(arena: &Arena, parameter: &Parameter, raw: &str, wire: Wire) -> Result<Value, Reject> {
    if parameter.content.is_some() {
        let text = wire.decode(raw)?;
        return if parameter.decoder.json {
            serde_json::from_str(&text).map_err(|_| Reject::text("JSON"))
        } else {
            Ok(text::coerce(arena, parameter.schema, &text))
        };
    }
    // A deep object's members never stand in one text; only what else its schema allows does.
    let composites = Types::ARRAY.with(Types::OBJECT);
    let types = parameter.decoder.types();
    let types = if parameter.style == Style::DeepObject { types.without(composites) } else { types };
    if types == Types::NONE {
        return Err(Reject::text("members as `name[member]=value`"));
    }
    let mut first = None;
    let mut attempt = |read: Result<Value, Reject>| match read {
        Ok(value) if arena.accepts(parameter.schema, &value, Direction::Request) => Some(value),
        other => {
            if first.is_none() || matches!((&first, &other), (Some(Err(_)), Ok(_))) {
                first = Some(other);
            }
            None
        }
    };
    if types.has(Types::ARRAY)
        && let Some(value) = attempt(style::array(arena, parameter, raw, wire))
    {
        return Ok(value);
    }
    if types.has(Types::OBJECT)
        && let Some(value) = attempt(style::object(arena, parameter, raw, wire))
    {
        return Ok(value);
    }
    let scalar =
        || Ok(text::coerce(arena, parameter.schema, &wire.decode(style::undressed(parameter, raw)?)?));
    if types.and(Types::ANY) != Types::ARRAY
        && types != Types::OBJECT
        && let Some(value) = attempt(scalar())
    {
        return Ok(value);
    }
    first.unwrap_or_else(scalar)
}

/// Checks the parameters of a path.
pub(crate) fn check_path(
    arena: &Arena,
    parameters: &[Parameter],
    described: &[Option<usize>],
    captures: &[&str],
    out: &mut Vec<Violation>,
) {
    // What a base path captured comes first, and nothing describes it.
    let base = captures.len().saturating_sub(described.len());
    for (raw, parameter) in captures.iter().skip(base).zip(described) {
        let Some(parameter) = parameter.and_then(|index| parameters.get(index)) else { continue };
        if let Err(reject) = check_text(arena, parameter, raw, Wire::Percent) {
            reject.report(parameter, ViolationKind::InvalidParameter, out);
        }
    }
}
