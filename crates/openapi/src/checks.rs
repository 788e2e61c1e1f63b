//! The checks of one call against its operation.

use std::borrow::Cow;

use crate::contract::Contract;
use crate::media::{BodyFormat, MediaType};
use crate::model::{Media, Operation, Response, Status};
use crate::parameters::{
    check_cookies, check_header, check_headers, check_path, check_query, coerce, form_value, multipart_value,
};
use crate::report::{Location, MAX_VIOLATIONS, Violation, ViolationKind};
use crate::schema::{BodyLimits, Direction, Fault, Issue, SchemaId, Types};
use crate::xml::{Unread, xml_value};

/// Which of the checks that cost something and that a policy may not want are done. The others always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Report headers that the operation does not describe, but for those of HTTP itself and of browsers.
    pub unknown_headers: bool,
    /// Report cookies that the operation does not describe.
    pub unknown_cookies: bool,
    /// Report properties that a schema neither describes nor forbids.
    pub unknown_properties: bool,
    /// Report `readOnly` properties in requests and `writeOnly` ones in responses.
    pub access: bool,
    /// How deep a JSON body may be nested, and how many values it may have.
    pub limits: BodyLimits,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            unknown_headers: false,
            unknown_cookies: false,
            unknown_properties: true,
            access: true,
            limits: BodyLimits::default(),
        }
    }
}

impl Contract {
    /// Checks the parameters of a request. `captures` is what [`Contract::route`] answered, `query` is the raw
    /// query string without `?`, `headers` are names and raw values (a `cookie` header among them).
    ///
    /// Nothing is allocated if the request is in order and its parameters are of primitive types. At most
    /// [`MAX_VIOLATIONS`] are reported. An unknown `operation` has one violation, not none.
    pub fn check_request_head<'a, H>(
        &self,
        operation: usize,
        captures: &[&str],
        query: Option<&str>,
        headers: H,
        checks: Checks,
    ) -> Vec<Violation>
    where
        H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
    {
        let Some(operation) = self.operations.get(operation) else { return no_operation() };
        let mut out = Vec::new();
        check_path(&self.schemas, &operation.parameters, &operation.capture_parameters, captures, &mut out);
        check_query(&self.schemas, operation, query.unwrap_or_default(), &mut out);
        check_headers(&self.schemas, operation, &headers, checks.unknown_headers, &mut out);
        check_cookies(&self.schemas, operation, &headers, checks.unknown_cookies, &mut out);
        out.truncate(MAX_VIOLATIONS);
        out
    }

    /// How [`Contract::check_request_body`] reads a body of this `Content-Type`; [`BodyFormat::Opaque`] if it
    /// does not look into it, so that the body need not be buffered for it.
    pub fn request_body_format(&self, operation: usize, content_type: Option<&str>) -> BodyFormat {
        let content = self.operations.get(operation).and_then(|operation| operation.body.as_ref());
        let sent = content_type.and_then(MediaType::parse);
        match (content, sent) {
            (Some(body), Some(sent)) => match find(&body.content, &sent) {
                Some(media) if media.looks_into(sent.format()) => sent.format(),
                _ => BodyFormat::Opaque,
            },
            _ => BodyFormat::Opaque,
        }
    }

    /// Checks the body of a request: that it may and must be there, its media type, and its value.
    pub fn check_request_body(
        &self,
        operation: usize,
        content_type: Option<&str>,
        body: &[u8],
        checks: Checks,
    ) -> Vec<Violation> {
        let Some(operation) = self.operations.get(operation) else { return no_operation() };
        let Some(described) = &operation.body else {
            return if body.is_empty() {
                Vec::new()
            } else {
                vec![violation(ViolationKind::UnexpectedBody, "", "no body")]
            };
        };
        if body.is_empty() {
            return if described.required {
                vec![violation(ViolationKind::MissingBody, "", "a body")]
            } else {
                Vec::new()
            };
        }
        let Some((media, sent)) = matching(&described.content, content_type) else {
            let mut refused = violation(ViolationKind::UnsupportedMediaType, "", ranges(&described.content));
            refused.location = Location::Header;
            refused.name = "content-type".into();
            return vec![refused];
        };
        self.check_body(media, &sent, body, Direction::Request, checks)
    }

    /// Checks status, media type and headers of a response. `content_type` is absent for a response that has
    /// no body.
    pub fn check_response_head<'a, H>(
        &self,
        operation: usize,
        status: u16,
        content_type: Option<&str>,
        headers: H,
    ) -> Vec<Violation>
    where
        H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
    {
        let Some(operation) = self.operations.get(operation) else { return no_operation() };
        let Some(response) = response(operation, status) else {
            let known = operation.responses.iter().map(|response| match response.status {
                Status::Exact(status) => status.to_string(),
                Status::Class(class) => format!("{class}XX"),
                Status::Default => "default".into(),
            });
            let known: Vec<String> = known.take(MAX_VIOLATIONS).collect();
            let expected = format!("one of the described statuses: {}", known.join(", "));
            let undocumented = violation(ViolationKind::UndocumentedStatus, "", expected);
            return vec![Violation { location: Location::Status, ..undocumented }];
        };
        let mut out = Vec::new();
        if content_type.is_some()
            && !response.content.is_empty()
            && matching(&response.content, content_type).is_none()
        {
            let mut wrong = violation(ViolationKind::UndocumentedMediaType, "", ranges(&response.content));
            wrong.location = Location::Header;
            wrong.name = "content-type".into();
            out.push(wrong);
        }
        for header in &response.headers {
            let kind = ViolationKind::InvalidResponseHeader;
            check_header(&self.schemas, header, &headers, kind, kind, &mut out);
        }
        out.truncate(MAX_VIOLATIONS);
        out
    }

    /// Whether the body of such a response must be read to check it. Sequences of values are not: a stream has no end
    /// to wait for.
    pub fn reads_response_body(&self, operation: usize, status: u16, content_type: Option<&str>) -> bool {
        let response = self.operations.get(operation).and_then(|operation| response(operation, status));
        response.and_then(|response| matching(&response.content, content_type)).is_some_and(
            |(media, sent)| {
                media.schema.is_some_and(|schema| schema != SchemaId::ANY)
                    && matches!(sent.format(), BodyFormat::Json | BodyFormat::Text)
            },
        )
    }

    /// Checks the body of a response. A status or media type that is not described is reported by [`Contract::check_response_head`], not here.
    pub fn check_response_body(
        &self,
        operation: usize,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
        checks: Checks,
    ) -> Vec<Violation> {
        let Some(operation) = self.operations.get(operation) else { return no_operation() };
        let found =
            response(operation, status).and_then(|response| matching(&response.content, content_type));
        let Some((media, sent)) = found else { return Vec::new() };
        let out = self.check_body(media, &sent, body, Direction::Response, checks);
        let as_response = |violation: Violation| match violation.kind {
            ViolationKind::InvalidBody
            | ViolationKind::MalformedBody
            | ViolationKind::DuplicateKey
            | ViolationKind::TooComplexBody => {
                Violation { kind: ViolationKind::InvalidResponseBody, ..violation }
            }
            _ => violation,
        };
        out.into_iter().map(as_response).collect()
    }

    /// A JSON body without the members that should not be there, of the kinds that `checks` names: copied span by
    /// span, so that everything else stays as it was written. Nothing if there are none. What no schema describes
    /// is judged as by [`Contract::check_request_body`], whether or not the rest of the body fits; a member that
    /// `additionalProperties: false` forbids is left out, too.
    ///
    /// # Errors
    /// If the body cannot be read, or is none of which members can be left out: a form.
    pub fn strip_request_body(
        &self,
        operation: usize,
        content_type: Option<&str>,
        body: &[u8],
        checks: Checks,
    ) -> Result<Option<Vec<u8>>, Violation> {
        let described = self.operations.get(operation).and_then(|operation| operation.body.as_ref());
        let media = described.and_then(|described| matching(&described.content, content_type));
        self.strip_body(media, body, Direction::Request, checks)
    }

    /// As [`Contract::strip_request_body`], for a response.
    ///
    /// # Errors
    /// As there.
    pub fn strip_response_body(
        &self,
        operation: usize,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
        checks: Checks,
    ) -> Result<Option<Vec<u8>>, Violation> {
        let described = self.operations.get(operation).and_then(|operation| response(operation, status));
        let media = described.and_then(|described| matching(&described.content, content_type));
        self.strip_body(media, body, Direction::Response, checks)
    }

    fn strip_body(
        &self,
        media: Option<(&Media, MediaType<'_>)>,
        body: &[u8],
        direction: Direction,
        checks: Checks,
    ) -> Result<Option<Vec<u8>>, Violation> {
        match media {
            Some((media, sent)) if sent.format() == BodyFormat::Json => {
                self.strip_json(media.schema.unwrap_or(SchemaId::ANY), body, direction, checks)
            }
            Some(_) => Err(violation(
                ViolationKind::Unenforceable,
                "",
                "JSON: members cannot be left out of any other form",
            )),
            None => Ok(None),
        }
    }

    fn check_body(
        &self,
        media: &Media,
        sent: &MediaType<'_>,
        body: &[u8],
        direction: Direction,
        checks: Checks,
    ) -> Vec<Violation> {
        let schema = media.schema.unwrap_or(SchemaId::ANY);
        let types = self.schemas.types_of(schema);
        let is_text = types.has(Types::STRING.with(Types::NUMBER).with(Types::BOOLEAN));
        let malformed = |expected: &'static str| vec![violation(ViolationKind::MalformedBody, "", expected)];
        let value = match sent.format() {
            BodyFormat::Json => return self.check_json(schema, body, direction, checks),
            BodyFormat::JsonLines | BodyFormat::JsonSequence
                if media.item_schema.is_some() || media.parted =>
            {
                return self.check_sequence(media, sent.format(), body, direction, checks);
            }
            BodyFormat::Form => match form_value(&self.schemas, media, body) {
                Ok(value) => value,
                Err(issues) => return report(issues, ViolationKind::MalformedBody),
            },
            BodyFormat::Multipart => match multipart_value(&self.schemas, media, sent, body) {
                Ok(value) => value,
                Err(issues) => return report(issues, ViolationKind::MalformedBody),
            },
            BodyFormat::Xml if media.parted => match xml_value(&self.schemas, schema, body, checks.limits) {
                Ok(value) => value,
                Err(Unread::Issues(issues)) => return report(issues, ViolationKind::InvalidBody),
                Err(Unread::Fault(Fault::TooComplex)) => {
                    let expected = "fewer elements, less deeply nested";
                    return vec![violation(ViolationKind::TooComplexBody, "", expected)];
                }
                Err(Unread::Fault(Fault::DuplicateKey)) => {
                    return vec![violation(ViolationKind::DuplicateKey, "", "each attribute once")];
                }
                Err(Unread::Fault(Fault::Malformed)) => {
                    return malformed("XML in UTF-8, without a document type and its entities");
                }
            },
            BodyFormat::Text if schema != SchemaId::ANY && is_text => match std::str::from_utf8(body) {
                Ok(text) => coerce(&self.schemas, schema, text),
                Err(_) => return malformed("UTF-8"),
            },
            _ => {
                // A schema of texts describes bytes of any kind; one of objects says what cannot be seen here.
                return if types.has(Types::STRING) {
                    Vec::new()
                } else {
                    let expected = "a media type whose bodies can be checked: JSON, a form or XML";
                    vec![violation(ViolationKind::Unenforceable, "", expected)]
                };
            }
        };
        if schema == SchemaId::ANY {
            return Vec::new();
        }
        let mut out = report(self.schemas.validate(schema, &value, direction), ViolationKind::InvalidBody);
        if (checks.unknown_properties || checks.access) && (value.is_object() || value.is_array()) {
            out.extend(self.extras_of(schema, &value, direction, checks));
        }
        out
    }
}

fn response(operation: &Operation, status: u16) -> Option<&Response> {
    // Exact statuses are sorted before classes, and those before the default.
    operation.responses.iter().find(|response| match response.status {
        Status::Exact(exact) => exact == status,
        Status::Class(class) => u16::from(class) == status / 100,
        Status::Default => true,
    })
}

fn matching<'c, 't>(
    content: &'c [Media],
    content_type: Option<&'t str>,
) -> Option<(&'c Media, MediaType<'t>)> {
    let sent = MediaType::parse(content_type?)?;
    find(content, &sent).map(|media| (media, sent))
}

fn find<'c>(content: &'c [Media], sent: &MediaType<'_>) -> Option<&'c Media> {
    content.iter().find(|media| media.range.matches(sent))
}

fn ranges(content: &[Media]) -> String {
    let list: Vec<String> =
        content.iter().take(MAX_VIOLATIONS).map(|media| media.range.to_string()).collect();
    if list.is_empty() { "no body".into() } else { list.join(" or ") }
}

pub(crate) fn violation(
    kind: ViolationKind,
    pointer: &str,
    expected: impl Into<Cow<'static, str>>,
) -> Violation {
    Violation {
        kind,
        location: Location::Body,
        name: "".into(),
        pointer: pointer.into(),
        expected: expected.into(),
    }
}

pub(crate) fn report(issues: Vec<Issue>, kind: ViolationKind) -> Vec<Violation> {
    issues.into_iter().map(|issue| violation(kind, &issue.pointer, issue.expected)).collect()
}

fn no_operation() -> Vec<Violation> {
    vec![violation(ViolationKind::Unenforceable, "", "an operation of this contract")]
}
