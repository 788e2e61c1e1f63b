//! What Swagger 2.0 writes in its own way: parameters with types of their own, bodies as parameters.

use super::Builder;
use super::files::At;
use crate::media::{BodyFormat, MediaRange};
use crate::model::{Encoding, In, Media, Parameter, RequestBody, Style};
use crate::problem::{Problem, Severity};
use crate::schema::{ObjectRules, Property, Schema, SchemaId, Types};

impl<'d> Builder<'d> {
    pub(super) fn read_swagger_parameters(
        &mut self,
        operation: At<'d>,
        nodes: &[At<'d>],
        unenforced: &mut Vec<Problem>,
    ) -> (Vec<Parameter>, Option<RequestBody>) {
        let (mut parameters, mut fields, mut body) = (Vec::new(), Vec::new(), None);
        for at in nodes {
            match at.str("in").unwrap_or_default() {
                "body" => {
                    let schema = at.get("schema").map(|schema| self.compiler.schema(schema));
                    let ranges = self.media_ranges(operation, "consumes");
                    let ranges = if ranges.is_empty() {
                        MediaRange::parse("application/json").into_iter().collect()
                    } else {
                        ranges
                    };
                    let media = |range| Media::new(range, schema);
                    let content = ranges.into_iter().map(media).collect();
                    body = Some(RequestBody { required: at.bool("required"), content });
                }
                "formData" => fields.push(*at),
                _ => parameters.extend(self.swagger_parameter(*at, unenforced)),
            }
        }
        if !fields.is_empty() && body.is_none() {
            body = Some(self.swagger_form(operation, &fields, unenforced));
        }
        (parameters, body)
    }

    fn swagger_parameter(&mut self, at: At<'d>, unenforced: &mut Vec<Problem>) -> Option<Parameter> {
        let mut parameter = self.read_parameter(at, unenforced)?;
        (parameter.style, parameter.explode) = self.collection_format(at, parameter.location, unenforced);
        // The parameter is its own schema; some authors write one all the same.
        parameter.schema = self.compiler.schema(at.get("schema").unwrap_or(at));
        Some(parameter)
    }

    fn collection_format(
        &mut self,
        at: At<'d>,
        location: In,
        unenforced: &mut Vec<Problem>,
    ) -> (Style, bool) {
        let is_list = at.str("type") == Some("array");
        if is_list && at.get("items").and_then(|items| items.str("type")) == Some("array") {
            unenforced.push(self.problem(
                at,
                Severity::Error,
                "a list of lists in one text",
                "a list of single values",
            ));
        }
        let plain = if matches!(location, In::Path | In::Header) { Style::Simple } else { Style::Form };
        match at.str("collectionFormat").filter(|_| is_list).unwrap_or("csv") {
            "csv" => (plain, false),
            "ssv" => (Style::SpaceDelimited, false),
            "tsv" => (Style::TabDelimited, false),
            "pipes" => (Style::PipeDelimited, false),
            "multi" if matches!(location, In::Query | In::Cookie) => (Style::Form, true),
            other => {
                let what = format!("the collection format `{other}`");
                unenforced.push(self.problem(
                    at,
                    Severity::Error,
                    what,
                    "csv, ssv, tsv, pipes, or multi in a query or form",
                ));
                (plain, false)
            }
        }
    }

    /// Form fields become one object.
    fn swagger_form(
        &mut self,
        operation: At<'d>,
        nodes: &[At<'d>],
        unenforced: &mut Vec<Problem>,
    ) -> RequestBody {
        let (mut properties, mut encoding) = (Vec::new(), Vec::new());
        let mut has_file = false;
        for at in nodes {
            let Some(name) = at.str("name") else {
                let problem = self.problem(*at, Severity::Error, "a form field without `name`", "`name`");
                unenforced.push(problem);
                continue;
            };
            has_file |= at.str("type") == Some("file");
            let (style, explode) = self.collection_format(*at, In::Query, unenforced);
            encoding.push(Encoding {
                property: name.into(),
                content_types: Vec::new(),
                style,
                explode,
                allow_reserved: false,
                required_headers: Vec::new(),
            });
            properties.push(Property {
                name: name.into(),
                schema: self.compiler.schema(*at),
                described: true,
                required: at.bool("required"),
                read_only: false,
                write_only: false,
            });
        }
        let required = properties.iter().any(|property| property.required);
        properties.sort_by(|left, right| left.name.cmp(&right.name));
        properties.dedup_by(|left, right| left.name == right.name);
        let object = ObjectRules { properties: properties.into(), ..ObjectRules::default() };
        let schema = Schema { types: Types::OBJECT, object: Some(Box::new(object)), ..Schema::default() };
        let schema = self.compiler.add(schema);
        let is_form = |range: &MediaRange| matches!(range.format(), BodyFormat::Form | BodyFormat::Multipart);
        let mut ranges = self.media_ranges(operation, "consumes");
        ranges.retain(is_form);
        if ranges.is_empty() {
            let defaults: &[&str] = if has_file {
                &["multipart/form-data"]
            } else {
                &["application/x-www-form-urlencoded", "multipart/form-data"]
            };
            ranges = defaults.iter().filter_map(|text| MediaRange::parse(text)).collect();
        }
        let copy = |from: &Encoding| Encoding {
            property: from.property.clone(),
            content_types: Vec::new(),
            style: from.style,
            explode: from.explode,
            allow_reserved: false,
            required_headers: Vec::new(),
        };
        let content = ranges
            .into_iter()
            .map(|range| Media {
                encoding: encoding.iter().map(copy).collect(),
                ..Media::new(range, Some(schema))
            })
            .collect();
        RequestBody { required, content }
    }

    pub(super) fn swagger_response(&mut self, operation: At<'d>, at: At<'d>) -> Vec<Media> {
        let Some(schema) = at.get("schema") else { return Vec::new() };
        let schema: SchemaId = self.compiler.schema(schema);
        let mut ranges = self.media_ranges(operation, "produces");
        if ranges.is_empty() {
            ranges.extend(MediaRange::parse("*/*"));
        }
        let media = |range| Media::new(range, Some(schema));
        let mut list: Vec<Media> = ranges.into_iter().map(media).collect();
        list.sort_by_key(|media| media.range.breadth());
        list
    }

    fn media_ranges(&mut self, operation: At<'d>, key: &str) -> Vec<MediaRange> {
        let Some(list) = operation.get(key).or_else(|| self.root.get(key)) else { return Vec::new() };
        let mut ranges = Vec::new();
        for node in list.node.as_array().unwrap_or_default() {
            match node.as_str().and_then(MediaRange::parse) {
                Some(range) => ranges.push(range),
                None => self.warn(
                    list.with(node),
                    "what is no media type",
                    "a media type such as `application/json`",
                ),
            }
        }
        ranges.sort_by_key(MediaRange::breadth);
        ranges
    }
}
