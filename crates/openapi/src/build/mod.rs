//! Documents to contracts: reading is lenient, and says what it left out.

mod draft;
mod dynamic;
mod files;
mod keywords;
mod messages;
mod operations;
mod resources;
mod schemas;
mod security;
mod swagger;
mod tree;

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tests_reading;
#[cfg(test)]
mod tests_resources;
#[cfg(test)]
mod tests_sequences;

pub use tree::{References, Tree};

use std::collections::{HashMap, HashSet};

use crate::contract::{Contract, LoadError, Options};
use crate::fetch::Fetch;
use crate::model::{In, Info, Media, Method, Operation, SecurityScheme, Version};
use crate::parameters::{Decoder, fields};
use crate::problem::{Problem, Severity};
use crate::routes::{Routes, Template};
use crate::schema::{Arena, Schema, SchemaId, Types};
use crate::source::Span;

use files::{At, Files, Resolver};
use schemas::Compiler;

/// Problems that a contract keeps at most.
const MAX_PROBLEMS: usize = 10_000;

/// Problems that an operation keeps at most.
const MAX_UNENFORCED: usize = 20;

/// Reads a document and compiles it.
pub(crate) fn build(
    name: &str,
    bytes: &[u8],
    fetch: &dyn Fetch,
    options: &Options,
) -> Result<Contract, LoadError> {
    let files = Files::load(name, bytes, fetch, options.limits).map_err(LoadError::Source)?;
    let resolver = Resolver::new(&files);
    let none = Problem {
        source: name.into(),
        pointer: "".into(),
        line: 1,
        column: 1,
        severity: Severity::Error,
        what: "an empty document".into(),
        expected: "an OpenAPI document".into(),
    };
    let root = files.root().ok_or(LoadError::NotAContract(none))?;
    let Some(version) = files.version_of(0) else {
        let problem = files.problem(
            root,
            Severity::Error,
            "neither `swagger: '2.0'` nor a known `openapi: 3.x`",
            "a document of Swagger 2.0 or OpenAPI 3.0, 3.1 or 3.2",
        );
        return Err(LoadError::NotAContract(problem));
    };
    let mut builder = Builder {
        files: &files,
        resolver: &resolver,
        version,
        root,
        compiler: Compiler::new(&resolver, version),
        schemes: Vec::new(),
        default_security: None,
        problems: Vec::new(),
        drafts: Vec::new(),
        multi_segment: &options.multi_segment,
        idle_marks: (0..options.multi_segment.len()).collect(),
        keys: Vec::new(),
    };
    builder.compiler.keywords = options.count_keywords.then(keywords::Keywords::default);
    builder.read();
    Ok(builder.finish(options))
}

/// An operation that is read but not yet compiled.
struct Draft<'d> {
    operation: Operation,
    template: Template,
    bases: Vec<String>,
    file: usize,
    span: Span,
    at: At<'d>,
    /// The keys that lead to it: what stands there a second time leaves open which counts.
    keys: Vec<(usize, Span)>,
}

/// Operations that share a path and a method and differ after `#`.
type Places<'d> = HashMap<(Box<str>, Method), Vec<(usize, At<'d>)>>;

struct Builder<'d> {
    files: &'d Files,
    resolver: &'d Resolver<'d>,
    version: Version,
    root: At<'d>,
    compiler: Compiler<'d>,
    schemes: Vec<SecurityScheme>,
    default_security: Option<crate::model::Security>,
    problems: Vec<Problem>,
    drafts: Vec<Draft<'d>>,
    multi_segment: &'d [String],
    /// Those of them that have had no effect so far.
    idle_marks: Vec<usize>,
    /// The keys that lead to the operation that is being read.
    keys: Vec<(usize, Span)>,
}

impl<'d> Builder<'d> {
    fn problem(
        &mut self,
        at: At<'d>,
        severity: Severity,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) -> Problem {
        let problem = self.files.problem(at, severity, what, expected);
        self.problems.push(problem.clone());
        problem
    }

    fn warn(&mut self, at: At<'d>, what: impl Into<String>, expected: impl Into<String>) {
        self.problem(at, Severity::Warning, what, expected);
    }

    /// The node behind a reference; a problem if there is none.
    fn follow(&mut self, at: At<'d>) -> Result<At<'d>, Problem> {
        let resolver = self.resolver;
        resolver.follow(at).map_err(|expected| {
            let what = match at.str("$ref") {
                Some(reference) => format!("`{reference}` leads nowhere"),
                None => "a reference leads nowhere".into(),
            };
            self.problem(at, Severity::Error, what, expected)
        })
    }

    fn read(&mut self) {
        self.read_schemes();
        self.default_security = self.read_security(self.root);
        self.read_paths();
        self.compiler.drain();
    }

    fn info(&self) -> Info {
        let text = |pointer: &str| {
            let node = self.root.node.pointer(pointer);
            node.map(|node| self.files.written(self.root.with(node))).unwrap_or_default().into()
        };
        Info {
            version: self.version,
            title: text("/info/title"),
            api_version: text("/info/version"),
            servers: self.server_urls().into_iter().map(Into::into).collect(),
        }
    }

    fn finish(mut self, options: &Options) -> Contract {
        let info = self.info();
        let mut arena = std::mem::replace(&mut self.compiler.arena, Arena::new());
        arena.finish();
        let mut problems = std::mem::take(&mut self.problems);
        problems.append(&mut self.compiler.warnings);
        problems.extend(self.compiler.flaws.values().flatten().cloned());
        let mut routes = Routes::new(options.trailing_slash, options.case);
        let mut operations: Vec<Operation> = Vec::with_capacity(self.drafts.len());
        let bases = options.base_paths.clone();
        let mut places: Places<'d> = HashMap::new();
        for mut draft in std::mem::take(&mut self.drafts) {
            self.compile(&arena, &mut draft);
            self.note_duplicates(&mut draft);
            let index = operations.len();
            if draft.template.in_fragment && !is_told_apart(&draft.operation) {
                let place = (
                    draft.operation.path.split('#').next().unwrap_or_default().into(),
                    draft.operation.method.clone(),
                );
                places.entry(place).or_default().push((index, draft.at));
            }
            let mut standing = None;
            for base in bases.as_ref().unwrap_or(&draft.bases) {
                let same = |other: usize| {
                    operations.get(other).is_some_and(|other| {
                        other.fixed_query == draft.operation.fixed_query
                            && other.fixed_headers == draft.operation.fixed_headers
                    })
                };
                let method = draft.operation.method.as_str();
                standing =
                    standing.or(routes.add(&Template::parse(base), &draft.template, method, index, same));
            }
            if let Some(other) = standing {
                let taken = operations.get(other).map(Operation::label).unwrap_or_default();
                let what = format!("`{}` matches the same calls as `{taken}`", draft.operation.label());
                let problem = self.files.problem(
                    draft.at,
                    Severity::Error,
                    what,
                    "paths that differ in more than names",
                );
                problems.push(problem.clone());
                draft.operation.unenforced.push(problem.clone());
                if let Some(other) = operations.get_mut(other) {
                    other.unenforced.push(problem);
                }
            }
            draft.operation.unenforced.truncate(MAX_UNENFORCED);
            draft.operation.unenforced_responses.truncate(MAX_UNENFORCED);
            operations.push(draft.operation);
        }
        problems.append(&mut self.problems);
        self.note_fragments(&places, &mut operations, &mut problems);
        for (file, document) in self.files.documents().iter().enumerate() {
            problems.extend(document.duplicates().iter().map(|duplicate| {
                let what = format!("the key `{}` for the second time", duplicate.key);
                self.files.problem_at(file, duplicate.second, Severity::Error, what, "each key once")
            }));
        }
        let mut seen = HashSet::new();
        problems.retain(|problem| seen.insert(problem.clone()));
        problems.sort_by(|a, b| (&a.source, a.line, a.column).cmp(&(&b.source, b.line, b.column)));
        problems.truncate(MAX_PROBLEMS);
        let keywords = self.compiler.keywords.take().unwrap_or_default().0;
        Contract {
            info,
            operations,
            security_schemes: self.schemes,
            problems,
            routes,
            schemas: arena,
            keywords,
            idle_marks: self.idle_marks,
        }
    }

    /// Compiles what needs the finished schemas, and notes what cannot be enforced.
    fn compile(&mut self, arena: &Arena, draft: &mut Draft<'d>) {
        let operation = &mut draft.operation;
        let (mut sent, mut received): (Vec<SchemaId>, Vec<SchemaId>) = Default::default();
        for parameter in &mut operation.parameters {
            parameter.decoder = Decoder::compile(arena, parameter);
            sent.push(parameter.schema);
        }
        let media = |media: &mut Media, roots: &mut Vec<SchemaId>| {
            media.fields = fields(arena, media);
            let types = media.schema.map_or(Types::ANY, |schema| arena.types_of(schema));
            media.structured = !types.has(Types::STRING);
            let says =
                |what: fn(&Schema) -> bool| media.schema.is_some_and(|schema| arena.says(schema, what));
            let (members, items) = (says(Schema::has_members), says(|schema| schema.array.is_some()));
            media.parted = media.structured || members || items;
            media.single = !types.has(Types::ARRAY) || members && !items;
            media.scalar = types.has(Types::NUMBER.with(Types::BOOLEAN));
            roots.extend(media.schemas());
        };
        if let Some(body) = &mut operation.body {
            body.content.iter_mut().for_each(|one| media(one, &mut sent));
        }
        if let Some(query_string) = &mut operation.query_string {
            media(&mut query_string.media, &mut sent);
        }
        for response in &mut operation.responses {
            response.content.iter_mut().for_each(|one| media(one, &mut received));
            for header in &mut response.headers {
                header.decoder = Decoder::compile(arena, header);
                received.push(header.schema);
            }
        }
        self.note_blind(draft);
        let operation = &mut draft.operation;
        self.note_flaws(arena, sent, &mut operation.unenforced);
        self.note_flaws(arena, received, &mut operation.unenforced_responses);
    }

    /// Notes bodies that are described by members and are not looked into: their calls are refused, and all of the
    /// operation's if it takes no others.
    fn note_blind(&mut self, draft: &mut Draft<'d>) {
        let Some(body) = &draft.operation.body else { return };
        let blind = |media: &&Media| media.range.is_concrete() && !media.judges(media.range.format());
        let blind: Vec<String> =
            body.content.iter().filter(blind).map(|media| media.range.to_string()).collect();
        if blind.is_empty() {
            return;
        }
        let what =
            format!("a schema of members for bodies of `{}`, which are not looked into", blind.join("`, `"));
        let expected = "JSON, a form or XML, or a schema of bytes";
        if blind.len() < body.content.len() {
            return self.warn(draft.at, what, expected);
        }
        let problem = self.problem(draft.at, Severity::Error, what, expected);
        draft.operation.unenforced.push(problem);
    }

    /// Adds what cannot be enforced of schemas and of those that they lead to.
    fn note_flaws(&self, arena: &Arena, mut roots: Vec<SchemaId>, unenforced: &mut Vec<Problem>) {
        roots.retain(|root| arena.reaches(*root).flawed);
        let mut seen = HashSet::new();
        while let Some(id) = roots.pop() {
            if !seen.insert(id) || unenforced.len() >= MAX_UNENFORCED {
                continue;
            }
            unenforced.extend(self.compiler.flaws.get(&id).into_iter().flatten().cloned());
            arena.get(id).each_child(&mut |child| {
                if arena.reaches(child).flawed {
                    roots.push(child);
                }
            });
        }
    }

    /// What stands after `#` is sent in a query, a header or a body. If no parameter says in which, nothing
    /// tells which of those that share a path a call is for.
    fn note_fragments(&self, places: &Places<'d>, operations: &mut [Operation], problems: &mut Vec<Problem>) {
        for list in places.values().filter(|list| list.len() > 1) {
            for (index, at) in list {
                let Some(operation) = operations.get_mut(*index) else { continue };
                let what = format!(
                    "`{}` shares its path and method with {} others",
                    operation.label(),
                    list.len() - 1
                );
                let expected = "operations that the path, the method and the query tell apart";
                let problem = self.files.problem(*at, Severity::Error, what, expected);
                problems.push(problem.clone());
                operation.unenforced.push(problem);
            }
        }
    }

    /// A key that is there twice inside an operation, or on the way to it, leaves open which of the two counts.
    fn note_duplicates(&self, draft: &mut Draft<'d>) {
        for (file, document) in self.files.documents().iter().enumerate() {
            for duplicate in document.duplicates() {
                let inside = file == draft.file
                    && draft.span.start <= duplicate.second.start
                    && duplicate.second.end <= draft.span.end;
                if inside || draft.keys.contains(&(file, duplicate.first)) {
                    let what = format!("the key `{}` for the second time", duplicate.key);
                    let problem =
                        self.files.problem_at(file, duplicate.second, Severity::Error, what, "each key once");
                    draft.operation.unenforced.push(problem);
                }
            }
        }
    }
}

/// Whether all that stands after `#` in the path key is in the query or in headers.
fn is_told_apart(operation: &Operation) -> bool {
    let in_query = |name: &str| operations::described(&operation.parameters, In::Query, name);
    operation.method == Method::Get || operation.fixed_query.iter().all(|(name, _)| in_query(name))
}
