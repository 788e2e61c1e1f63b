//! `portcullis contract show`.

use std::path::PathBuf;

use portcullis_openapi::{
    BodyFormat, Direction, In, Media, Operation, Outline, Parameter, Problem, Requirement, Security, Status,
};
use serde_json::{Value, json};

use super::{Format, Loaded, Reading, count, print_json};
use crate::exit::{Exit, Failure, Result};
use crate::nearest::nearest;
use crate::term::{self, Style, Table, fit, out};

/// What will be enforced.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The OpenAPI document
    document: PathBuf,
    /// One operation, by its id or as `METHOD /path`: everything about it. None: a list of all
    operation: Option<String>,
    /// Levels of nested objects and arrays that are shown
    #[arg(long, default_value_t = 6)]
    depth: usize,
    #[command(flatten)]
    reading: Reading,
}

pub(super) fn run(args: &Args) -> Result {
    let loaded = Loaded::of(&args.document, &args.reading)?;
    let operations = loaded.contract.operations();
    let chosen: Vec<&Operation> = match &args.operation {
        None => operations.iter().collect(),
        Some(name) => vec![find(operations, name)?],
    };
    match (args.reading.format, &args.operation) {
        (Format::Json, _) => {
            let all: Vec<Value> = chosen.iter().map(|one| as_json(&loaded, one, args.depth)).collect();
            print_json(&all);
        }
        (Format::Text, None) => list(&loaded),
        (Format::Text, Some(_)) => {
            for operation in chosen {
                detail(&loaded, operation, args.depth);
            }
        }
    }
    Ok(Exit::Ok)
}

fn find<'o>(operations: &'o [Operation], name: &str) -> Result<&'o Operation> {
    let label = |operation: &Operation| operation.label();
    let by = |wanted: &dyn Fn(&&Operation) -> bool| -> Vec<&'o Operation> {
        operations.iter().filter(wanted).collect()
    };
    let exact = by(&|one| one.id.as_deref() == Some(name) || label(one).eq_ignore_ascii_case(name));
    let found = if exact.is_empty() { by(&|one| *one.path == *name) } else { exact };
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let labels: Vec<String> = operations.iter().map(label).collect();
            let names = operations.iter().filter_map(|one| one.id.as_deref());
            let near = nearest(name, names.chain(labels.iter().map(String::as_str)));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`portcullis contract show DOCUMENT` lists all".into(),
            };
            Err(Failure::Usage(format!("no operation `{name}`; {hint}")))
        }
        several => {
            let names: Vec<String> = several.iter().map(|one| format!("`{}`", label(one))).collect();
            Err(Failure::Usage(format!("several operations have `{name}`; name one: {}", names.join(", "))))
        }
    }
}

fn list(loaded: &Loaded) {
    let operations = loaded.contract.operations();
    let mut table = Table::new(&["operation", "id", "callers", "parameters", "body", "answers", "enforced"]);
    for operation in operations {
        let body = match &operation.body {
            None => "none".into(),
            Some(body) => checked(&body.content, Direction::Request),
        };
        let answers = operation.responses.iter().flat_map(|response| &response.content);
        let described = answers.clone().count();
        let read = answers.filter(|media| is_read(media, Direction::Response)).count();
        let (enforced, style) = match (operation.unenforced.len(), operation.unenforced_responses.len()) {
            (0, 0) => ("yes".to_owned(), None),
            (0, many) => (format!("but for answers: {}", count(many, "reason")), Some(Style::Yellow)),
            (many, _) => (format!("refused: {}", count(many, "reason")), Some(Style::Red)),
        };
        table.row(vec![
            (fit(&operation.label(), 60), Some(Style::Bold)),
            (fit(operation.id.as_deref().unwrap_or("-"), 32), Some(Style::Dim)),
            (fit(&callers(&operation.security), 40), None),
            (operation.parameters.len().to_string(), None),
            (body, None),
            (format!("{read} of {described}"), None),
            (enforced, style),
        ]);
    }
    term::print(&table);
    let refused = operations.iter().filter(|operation| !operation.unenforced.is_empty()).count();
    let info = loaded.contract.info();
    term::say(format_args!(
        "\n{} {}: {}, {refused} refused; `portcullis contract show DOCUMENT OPERATION` says all of one",
        fit(&info.title, 60),
        fit(&info.api_version, 20),
        count(operations.len(), "operation"),
    ));
}

fn checked(content: &[Media], direction: Direction) -> String {
    let read = content.iter().filter(|media| is_read(media, direction)).count();
    match (read, content.len()) {
        (_, 0) => "not described".into(),
        (read, all) if read == all => "checked".into(),
        (0, _) => "media type only".into(),
        (read, all) => format!("{read} of {all} checked"),
    }
}

/// Whether bodies of this type are looked into.
fn is_read(media: &Media, direction: Direction) -> bool {
    let known = match media.range.format() {
        _ if !media.range.is_concrete() => true,
        format @ (BodyFormat::JsonLines | BodyFormat::JsonSequence | BodyFormat::Xml) => {
            direction == Direction::Request && media.looks_into(format)
        }
        format => media.looks_into(format),
    };
    media.schemas().next().is_some() && known
}

fn callers(security: &Security) -> String {
    match security {
        Security::Absent => "anyone: nothing is said".into(),
        Security::AnyOf(list) if list.is_empty() => "anyone".into(),
        Security::AnyOf(list) => list.iter().map(requirement).collect::<Vec<_>>().join(", or "),
    }
}

fn requirement(requirement: &Requirement) -> String {
    let uses = requirement.all_of.iter().map(|used| match (used.index, used.scopes.is_empty()) {
        (None, _) => format!("{} (not defined: nobody)", used.scheme),
        (_, true) => used.scheme.to_string(),
        _ => format!("{} ({})", used.scheme, used.scopes.join(" ")),
    });
    let uses: Vec<String> = uses.collect();
    if uses.is_empty() { "anyone".into() } else { uses.join(" and ") }
}

fn head(text: &str) {
    term::say(format_args!("  {}", out(Style::Cyan, text)));
}

fn detail(loaded: &Loaded, operation: &Operation, depth: usize) {
    let outline = |schema, direction| loaded.contract.outline(schema, direction, depth);
    term::say(format_args!(
        "{}  {}  {}",
        out(Style::Bold, operation.label()),
        operation.id.as_deref().unwrap_or_default(),
        out(Style::Dim, loaded.place(&operation.place)),
    ));
    for text in operation.summary.iter() {
        term::say(format_args!("  {}", fit(text, 100)));
    }
    if operation.deprecated {
        let end = operation.sunset.as_deref().map(|sunset| format!(", it ends at {sunset}"));
        term::say(format_args!("  {}{}", out(Style::Yellow, "deprecated"), end.unwrap_or_default()));
    }
    head("callers");
    term::say(format_args!("    {}", callers(&operation.security)));
    let mut limits = Vec::new();
    if !operation.parameters.is_empty() {
        head("parameters");
        let mut table = Lines::default();
        for parameter in &operation.parameters {
            let shown = outline(parameter.schema, Direction::Request);
            without_limit(&format!("{} {}", place(parameter.location), parameter.name), &shown, &mut limits);
            table.add(
                4,
                &format!("{} {}", place(parameter.location), parameter.name),
                parameter.required,
                &{
                    let written = written(parameter);
                    format!("{}{written}", shown.is)
                },
            );
            for part in &shown.parts {
                table.outline(6, part);
            }
        }
        table.print();
    }
    if let Some(body) = &operation.body {
        head(if body.required { "request body, must be there" } else { "request body, may be there" });
        content(&body.content, Direction::Request, &outline, &mut limits);
    }
    head("answers");
    if operation.responses.is_empty() {
        term::say("    none is described: not checked");
    }
    for response in &operation.responses {
        let status = match response.status {
            Status::Exact(status) => status.to_string(),
            Status::Class(class) => format!("{class}XX"),
            Status::Default => "any other status".into(),
        };
        term::say(format_args!("    {}", out(Style::Bold, status)));
        for header in &response.headers {
            let shown = outline(header.schema, Direction::Response);
            let required = if header.required { ", must be there" } else { "" };
            term::say(format_args!("      header {}: {}{required}", header.name, shown.is));
        }
        match response.content.is_empty() {
            true => term::say("      nothing is said of a body: not checked"),
            false => content(&response.content, Direction::Response, &outline, &mut Vec::new()),
        }
    }
    if !limits.is_empty() {
        head("without a limit of size");
        for name in limits.iter().take(20) {
            term::say(format_args!("    {}", fit(name, 100)));
        }
        if limits.len() > 20 {
            term::say(format_args!("    and {} more", limits.len() - 20));
        }
    }
    let refused = out(Style::Red, "refused, since this cannot be enforced");
    let watched = out(Style::Yellow, "of answers, this cannot be enforced");
    for (problems, title) in [(&operation.unenforced, refused), (&operation.unenforced_responses, watched)] {
        if !problems.is_empty() {
            term::say(format_args!("  {title}"));
        }
        for problem in problems {
            let file = loaded.file(&problem.source);
            term::say(format_args!(
                "    {file}:{}:{}: {}; expected {}",
                problem.line,
                problem.column,
                fit(&problem.what, 200),
                fit(&problem.expected, 200)
            ));
        }
    }
}

fn content(
    content: &[Media],
    direction: Direction,
    outline: &impl Fn(portcullis_openapi::SchemaId, Direction) -> Outline,
    limits: &mut Vec<String>,
) {
    for media in content {
        let what = match (media.schemas().next(), is_read(media, direction)) {
            (None, _) => ": no schema, not checked",
            (Some(_), true) => "",
            (Some(_), false) if direction == Direction::Request && !media.judges(media.range.format()) => {
                ": not looked into, and refused"
            }
            (Some(_), false) => ": not looked into",
        };
        term::say(format_args!("      {}{what}", media.range));
        if !is_read(media, direction) {
            continue;
        }
        for (schema, each) in media
            .schema
            .map(|schema| (schema, ""))
            .into_iter()
            .chain(media.item_schema.map(|schema| (schema, "each: ")))
        {
            let shown = outline(schema, direction);
            without_limit("", &shown, limits);
            let mut table = Lines::default();
            table.add(8, "", false, &format!("{each}{}", is(&shown)));
            for part in &shown.parts {
                table.outline(8, part);
            }
            table.print();
        }
    }
}

fn is(outline: &Outline) -> String {
    format!("{}{}", outline.is, if outline.open { ", other members as well" } else { "" })
}

/// Names of values that may be of any size.
fn without_limit(path: &str, outline: &Outline, into: &mut Vec<String>) {
    if outline.unbounded {
        let name = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        if !into.contains(&name) {
            into.push(name);
        }
    }
    for part in &outline.parts {
        let inner = if part.name.contains(' ') { path.to_owned() } else { format!("{path}/{}", part.name) };
        without_limit(&inner, part, into);
    }
}

fn place(place: In) -> &'static str {
    match place {
        In::Path => "path",
        In::Query => "query",
        In::Header => "header",
        In::Cookie => "cookie",
    }
}

/// How it is written, where that is not what everybody expects.
fn written(parameter: &Parameter) -> String {
    use portcullis_openapi::Style;
    if let Some(content) = &parameter.content {
        return format!(", as {content}");
    }
    match (parameter.style, parameter.explode) {
        (Style::Simple | Style::Form, _) => String::new(),
        (Style::Cookie, _) => ", not escaped".into(),
        (Style::DeepObject, _) => ", as name[member]=value".into(),
        (Style::Label, _) => ", after a dot".into(),
        (Style::Matrix, _) => ", as ;name=value".into(),
        (Style::SpaceDelimited, _) => ", separated by spaces".into(),
        (Style::PipeDelimited, _) => ", separated by |".into(),
        (Style::TabDelimited, _) => ", separated by tabs".into(),
    }
}

/// Names and what they must be, in two columns.
#[derive(Default)]
struct Lines(Vec<(usize, String, bool, String)>);

impl Lines {
    fn add(&mut self, indent: usize, name: &str, required: bool, is: &str) {
        self.0.push((indent, name.to_owned(), required, is.to_owned()));
    }

    fn outline(&mut self, indent: usize, outline: &Outline) {
        self.add(indent, &outline.name, outline.required, &is(outline));
        for part in &outline.parts {
            self.outline(indent + 2, part);
        }
    }

    fn print(&self) {
        let width = |(indent, name, required, _): &(usize, String, bool, String)| {
            indent + name.chars().count() + usize::from(*required)
        };
        let column = self.0.iter().map(width).max().unwrap_or_default().min(60) + 2;
        for line in &self.0 {
            let (indent, name, required, is) = line;
            let mark = if *required { "*" } else { "" };
            let gap = if name.is_empty() { 0 } else { column.saturating_sub(width(line)).max(1) };
            let room = term::width().saturating_sub(column).max(30);
            term::say(format_args!(
                "{:indent$}{name}{}{:gap$}{}",
                "",
                out(Style::Yellow, mark),
                "",
                out(Style::Dim, fit(is, room))
            ));
        }
    }
}

fn as_json(loaded: &Loaded, operation: &Operation, depth: usize) -> Value {
    let problems = |list: &[Problem]| -> Vec<Value> {
        list.iter().map(|problem| super::lint::as_json(loaded, problem)).collect()
    };
    let outline = |schema, direction| loaded.contract.outline(schema, direction, depth);
    let content = |list: &[Media], direction: Direction| -> Vec<Value> {
        list.iter()
            .map(|media| {
                json!({
                    "type": media.range.to_string(),
                    "checked": is_read(media, direction),
                    "schema": media.schema.map(|schema| outline(schema, direction)),
                    "itemSchema": media.item_schema.map(|schema| outline(schema, direction)),
                })
            })
            .collect()
    };
    let mut limits = Vec::new();
    let parameters: Vec<Value> = operation
        .parameters
        .iter()
        .map(|parameter| {
            let shown = outline(parameter.schema, Direction::Request);
            without_limit(&format!("{} {}", place(parameter.location), parameter.name), &shown, &mut limits);
            json!({
                "name": parameter.name,
                "in": place(parameter.location),
                "required": parameter.required,
                "deprecated": parameter.deprecated,
                "schema": shown,
            })
        })
        .collect();
    let media = operation.body.iter().flat_map(|body| &body.content);
    for schema in media.filter(|media| is_read(media, Direction::Request)).flat_map(Media::schemas) {
        without_limit("", &outline(schema, Direction::Request), &mut limits);
    }
    json!({
        "operation": operation.label(),
        "id": operation.id,
        "place": loaded.place(&operation.place),
        "tags": operation.tags,
        "deprecated": operation.deprecated,
        "sunset": operation.sunset,
        "callers": callers(&operation.security),
        "parameters": parameters,
        "body": operation.body.as_ref().map(|body| json!({
            "required": body.required,
            "content": content(&body.content, Direction::Request),
        })),
        "answers": operation.responses.iter().map(|response| json!({
            "status": match response.status {
                Status::Exact(status) => status.to_string(),
                Status::Class(class) => format!("{class}XX"),
                Status::Default => "default".into(),
            },
            "headers": response.headers.iter().map(|header| json!({
                "name": header.name,
                "required": header.required,
                "schema": outline(header.schema, Direction::Response),
            })).collect::<Vec<_>>(),
            "content": content(&response.content, Direction::Response),
        })).collect::<Vec<_>>(),
        "unlimited": limits,
        "unenforced": problems(&operation.unenforced),
        "unenforcedResponses": problems(&operation.unenforced_responses),
    })
}
