//! Parameters, bodies and responses as OpenAPI 3 writes them.

use super::Builder;
use super::files::At;
use crate::media::{BodyFormat, MediaRange};
use crate::model::{
    Encoding, In, Media, Parameter, QueryString, RequestBody, Response, Status, Style, Version,
};
use crate::parameters::Decoder;
use crate::problem::{Problem, Severity};
use crate::routes::bare_name;
use crate::schema::SchemaId;

impl<'d> Builder<'d> {
    /// Takes the parameter that is the whole query string out of the list.
    pub(super) fn read_query_string(
        &mut self,
        nodes: &mut Vec<At<'d>>,
        unenforced: &mut Vec<Problem>,
    ) -> Option<Box<QueryString>> {
        let is_it = |at: &At<'d>| at.str("in") == Some("querystring");
        let found = *nodes.iter().find(|at| is_it(at))?;
        if nodes.iter().filter(|at| is_it(at)).count() > 1
            || nodes.iter().any(|at| at.str("in") == Some("query"))
        {
            let what = "a parameter `in: querystring` beside others in the query";
            unenforced.push(self.problem(
                found,
                Severity::Error,
                what,
                "either one of these or those of `in: query`",
            ));
        }
        nodes.retain(|at| !is_it(at));
        let media =
            found.get("content").map(|content| self.read_content(content, unenforced)).unwrap_or_default();
        let Some(media) = media.into_iter().next() else {
            let what = "a parameter `in: querystring` without `content`";
            unenforced.push(self.problem(found, Severity::Error, what, "`content` with one media type"));
            return None;
        };
        let name = found.str("name").unwrap_or_default().into();
        Some(Box::new(QueryString { name, required: found.bool("required"), media }))
    }

    pub(super) fn read_parameter(&mut self, at: At<'d>, unenforced: &mut Vec<Problem>) -> Option<Parameter> {
        let Some(name) = at.str("name") else {
            let problem = self.problem(at, Severity::Error, "a parameter without `name`", "`name` and `in`");
            unenforced.push(problem);
            return None;
        };
        let location = match at.str("in").unwrap_or_default() {
            "path" => In::Path,
            "query" => In::Query,
            "header" => In::Header,
            "cookie" => In::Cookie,
            other => {
                let what = format!("the parameter `{name}` in `{other}`");
                let problem = self.problem(at, Severity::Error, what, "`in: path, query, header or cookie`");
                unenforced.push(problem);
                return None;
            }
        };
        // Section "Fixed Fields" of the Parameter Object: these are described elsewhere.
        let elsewhere = ["accept", "content-type", "authorization"];
        if location == In::Header && elsewhere.iter().any(|header| name.eq_ignore_ascii_case(header)) {
            return None;
        }
        let mut style = self.style(at, location, unenforced);
        let explode = at.get("explode").and_then(|explode| explode.node.as_bool());
        if explode == Some(true) && matches!(style, Style::SpaceDelimited | Style::PipeDelimited) {
            // "Style Examples" leaves it open, and `explode` says that each item is a parameter of its own.
            self.warn(
                at,
                format!("`{name}` exploded, and separated as well"),
                "`style: form`, or `explode: false`",
            );
            style = Style::Form;
        }
        let (content, schema) = self.value_of(at, unenforced);
        Some(Parameter {
            name: bare_name(name).into(),
            location,
            required: location == In::Path || at.bool("required"),
            deprecated: at.bool("deprecated"),
            style,
            explode: explode.unwrap_or(matches!(style, Style::Form | Style::Cookie)),
            allow_reserved: at.bool("allowReserved"),
            allow_empty: at.bool("allowEmptyValue"),
            content,
            schema,
            decoder: Decoder::default(),
        })
    }

    fn style(&mut self, at: At<'d>, location: In, unenforced: &mut Vec<Problem>) -> Style {
        let default = if matches!(location, In::Path | In::Header) { Style::Simple } else { Style::Form };
        let Some(written) = at.get("style") else { return default };
        match (written.node.as_str().unwrap_or_default(), location) {
            ("simple", In::Path | In::Header) => Style::Simple,
            ("label", In::Path) => Style::Label,
            ("matrix", In::Path) => Style::Matrix,
            ("form", In::Query | In::Cookie) => Style::Form,
            ("cookie", In::Cookie) => Style::Cookie,
            ("spaceDelimited", In::Query) => Style::SpaceDelimited,
            ("pipeDelimited", In::Query) => Style::PipeDelimited,
            ("deepObject", In::Query) => Style::DeepObject,
            // A style of another place is a slip that tools read as the default.
            ("simple" | "form", _) => {
                self.warn(written, "a style of another place", "one of the styles of this place");
                default
            }
            (other, _) => {
                let what = format!("the style `{other}`");
                let problem = self.problem(written, Severity::Error, what, "one of the styles of this place");
                unenforced.push(problem);
                default
            }
        }
    }

    /// What a parameter or header must be: by `schema`, or by the one media type of `content`.
    fn value_of(&mut self, at: At<'d>, unenforced: &mut Vec<Problem>) -> (Option<Box<str>>, SchemaId) {
        if let Some(schema) = at.get("schema") {
            return (None, self.compiler.schema(schema));
        }
        let Some(content) = at.get("content") else { return (None, SchemaId::ANY) };
        let first = content.node.as_object().and_then(<[_]>::first);
        let Some(member) = first else {
            let problem =
                self.problem(content, Severity::Error, "`content` without a media type", "one media type");
            unenforced.push(problem);
            return (None, SchemaId::ANY);
        };
        let media = content.with(&member.value);
        let schema = media.get("schema").map_or(SchemaId::ANY, |schema| self.compiler.schema(schema));
        (Some(member.key.clone()), schema)
    }

    pub(super) fn read_request_body(
        &mut self,
        at: At<'d>,
        unenforced: &mut Vec<Problem>,
    ) -> Option<RequestBody> {
        let at = match self.follow(at) {
            Ok(at) => at,
            Err(problem) => {
                unenforced.push(problem);
                return None;
            }
        };
        let content =
            at.get("content").map(|content| self.read_content(content, unenforced)).unwrap_or_default();
        Some(RequestBody { required: at.bool("required"), content })
    }

    fn read_content(&mut self, at: At<'d>, unenforced: &mut Vec<Problem>) -> Vec<Media> {
        let mut list = Vec::new();
        for member in at.node.as_object().unwrap_or_default() {
            let inner = at.with(&member.value);
            if member.key.starts_with("x-") {
                continue;
            }
            let Some(range) = MediaRange::parse(&member.key) else {
                // Nothing can be sent or received under it: to leave it out is strict enough.
                let what = format!("the media type `{}`", member.key);
                self.problem(inner, Severity::Error, what, "a media type such as `application/json`");
                continue;
            };
            // OpenAPI 3.2 lets media types be references.
            let Ok(inner) = self.follow(inner) else { continue };
            let schema = inner.get("schema").map(|schema| self.compiler.schema(schema));
            let encoding = inner.get("encoding").map(|encoding| self.read_encoding(encoding, unenforced));
            let item_schema =
                inner.get("itemSchema").and_then(|schema| self.read_item_schema(schema, &range, unenforced));
            let encoding = encoding.unwrap_or_default();
            list.push(Media { item_schema, encoding, ..Media::new(range, schema) });
        }
        list.sort_by_key(|media| media.range.breadth());
        list
    }

    /// What each value of a sequence must be (OpenAPI 3.2, "Sequential Media Types"), of those that are JSON.
    fn read_item_schema(
        &mut self,
        at: At<'d>,
        range: &MediaRange,
        unenforced: &mut Vec<Problem>,
    ) -> Option<SchemaId> {
        if matches!(range.format(), BodyFormat::JsonLines | BodyFormat::JsonSequence) {
            return Some(self.compiler.schema(at));
        }
        let what = format!("an `itemSchema` under `{range}`");
        let expected =
            "a sequence of JSON values: application/jsonl, application/x-ndjson or application/json-seq";
        unenforced.push(self.problem(at, Severity::Error, what, expected));
        None
    }

    fn read_encoding(&mut self, at: At<'d>, unenforced: &mut Vec<Problem>) -> Vec<Encoding> {
        let mut list = Vec::new();
        for member in at.node.as_object().unwrap_or_default() {
            let inner = at.with(&member.value);
            let style = self.style(inner, In::Query, unenforced);
            let explode = inner.get("explode").and_then(|explode| explode.node.as_bool());
            let types = inner.str("contentType").unwrap_or_default();
            let headers = inner.get("headers");
            let required_headers = headers
                .and_then(|headers| headers.node.as_object())
                .unwrap_or_default()
                .iter()
                .filter(|header| {
                    header.value.get("required").and_then(crate::source::Node::as_bool) == Some(true)
                })
                .map(|header| header.key.clone())
                .collect();
            list.push(Encoding {
                property: member.key.clone(),
                content_types: types.split(',').filter_map(|text| MediaRange::parse(text.trim())).collect(),
                style,
                explode: explode.unwrap_or(style == Style::Form),
                allow_reserved: inner.bool("allowReserved"),
                required_headers,
            });
        }
        list
    }

    pub(super) fn read_responses(
        &mut self,
        operation: At<'d>,
        unenforced: &mut Vec<Problem>,
    ) -> Vec<Response> {
        let Some(responses) = operation.get("responses") else { return Vec::new() };
        let mut list = Vec::new();
        for member in responses.node.as_object().unwrap_or_default() {
            let at = responses.with(&member.value);
            if member.key.starts_with("x-") {
                continue;
            }
            let Some(status) = read_status(&member.key) else {
                let what = format!("the status `{}`", member.key);
                self.problem(
                    at,
                    Severity::Error,
                    what,
                    "a status such as `200`, a class such as `2XX`, or `default`",
                );
                continue;
            };
            let at = match self.follow(at) {
                Ok(at) => at,
                Err(problem) => {
                    unenforced.push(problem);
                    // That there is such a response is known all the same.
                    list.push(Response { status, headers: Vec::new(), content: Vec::new() });
                    continue;
                }
            };
            let content = match self.version {
                Version::Swagger2 => self.swagger_response(operation, at),
                _ => at
                    .get("content")
                    .map(|content| self.read_content(content, unenforced))
                    .unwrap_or_default(),
            };
            let headers = self.read_headers(at, unenforced);
            list.push(Response { status, headers, content });
        }
        list.sort_by_key(|response| response.status);
        list
    }

    fn read_headers(&mut self, response: At<'d>, unenforced: &mut Vec<Problem>) -> Vec<Parameter> {
        let Some(headers) = response.get("headers") else { return Vec::new() };
        let mut list = Vec::new();
        for member in headers.node.as_object().unwrap_or_default() {
            if member.key.eq_ignore_ascii_case("content-type") {
                continue;
            }
            let Ok(at) = self.follow(headers.with(&member.value)) else { continue };
            let (content, schema) = match self.version {
                Version::Swagger2 => (None, self.compiler.schema(at)),
                _ => self.value_of(at, unenforced),
            };
            list.push(Parameter {
                name: member.key.clone(),
                location: In::Header,
                required: at.bool("required"),
                deprecated: at.bool("deprecated"),
                style: Style::Simple,
                explode: at.bool("explode"),
                allow_reserved: false,
                allow_empty: false,
                content,
                schema,
                decoder: Decoder::default(),
            });
        }
        list
    }
}

fn read_status(key: &str) -> Option<Status> {
    if key.eq_ignore_ascii_case("default") {
        return Some(Status::Default);
    }
    let bytes = key.as_bytes();
    if let [class @ b'1'..=b'5', b'X' | b'x', b'X' | b'x'] = bytes {
        return Some(Status::Class(class - b'0'));
    }
    key.parse().ok().filter(|status| (100..1000).contains(status)).map(Status::Exact)
}
