//! The description as rules look at it: operations, parameters, schemas, each once, with what uses it.

use std::cell::RefCell;
use std::collections::HashMap;

use portcullis_openapi::source::{Document, Kind, Member, Node, Span};
use portcullis_openapi::{References, Tree, Version};

use super::Options;
use super::names::{self, Meaning};
use super::reach::{Bits, Reach};

/// Schemas inside each other without a reference between; deeper ones are not looked at.
const MAX_DEPTH: usize = 64;

/// References that are named as unread.
const MAX_UNREAD: usize = 100;

/// A node and the file it is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot<'t> {
    pub(crate) file: usize,
    pub(crate) node: &'t Node,
}

impl<'t> Spot<'t> {
    pub(crate) fn get(self, key: &str) -> Option<Spot<'t>> {
        self.node.get(key).map(|node| Spot { file: self.file, node })
    }

    pub(crate) fn str(self, key: &str) -> Option<&'t str> {
        self.node.get(key)?.as_str()
    }

    pub(crate) fn is(self, key: &str) -> bool {
        self.node.get(key).and_then(Node::as_bool).unwrap_or(false)
    }

    pub(crate) fn members(self) -> &'t [Member] {
        self.node.as_object().unwrap_or_default()
    }

    pub(crate) fn items(self) -> impl Iterator<Item = Spot<'t>> {
        let items = self.node.as_array().unwrap_or_default();
        items.iter().map(move |node| Spot { file: self.file, node })
    }

    pub(crate) fn with(self, node: &'t Node) -> Spot<'t> {
        Spot { file: self.file, node }
    }
}

/// Everything that rules look at.
#[derive(Debug)]
pub(crate) struct Description<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) references: References<'t>,
    pub(crate) version: Version,
    pub(crate) options: Options,
    pub(crate) root: Spot<'t>,
    pub(crate) servers: Vec<Server<'t>>,
    pub(crate) schemes: Vec<Scheme<'t>>,
    pub(crate) operations: Vec<Operation<'t>>,
    /// What each operation is called: `GET /orders/{id}`.
    pub(crate) labels: Vec<String>,
    pub(crate) parameters: Vec<Parameter<'t>>,
    pub(crate) units: Vec<Unit<'t>>,
    pub(crate) schemas: Vec<Schema<'t>>,
    /// For each operation, the units that its requests may hold, and its answers.
    pub(crate) reach: Reach,
    pub(crate) uses: Uses,
    /// References that lead nowhere, with what was expected.
    unread: RefCell<Vec<(Spot<'t>, String)>>,
}

/// Units by what operations use them.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// In requests that write, of others than administrators.
    pub(crate) written: Bits,
    /// In answers that neither create something nor log somebody in.
    pub(crate) shown: Bits,
    /// In errors, as a whole or named by what is.
    pub(crate) errors: Bits,
}

/// A URL that the API is said to be at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server<'t> {
    pub(crate) spot: Spot<'t>,
    /// Its URL, or its host in Swagger 2.0.
    pub(crate) url: &'t str,
    /// The schemes of Swagger 2.0.
    pub(crate) schemes: Option<Spot<'t>>,
}

/// A security scheme.
#[derive(Debug)]
pub(crate) struct Scheme<'t> {
    pub(crate) name: &'t str,
    pub(crate) spot: Spot<'t>,
    pub(crate) kind: &'t str,
    /// Whether any requirement names it.
    pub(crate) used: bool,
}

/// What an operation demands of its caller.
#[derive(Debug, Clone)]
pub(crate) enum Security<'t> {
    /// Neither it nor the document says anything.
    Absent,
    /// It says that nobody needs to prove anything: `security: []`.
    Open(Spot<'t>),
    /// Any one of these.
    AnyOf(Spot<'t>, Vec<Requirement<'t>>),
}

/// Schemes needed together, each with its scopes. None at all: an empty requirement, `{}`.
pub(crate) type Requirement<'t> = Vec<(&'t Member, Vec<&'t str>)>;

/// A method on a path.
#[derive(Debug)]
pub(crate) struct Operation<'t> {
    pub(crate) index: u32,
    /// In lower case.
    pub(crate) method: &'t str,
    pub(crate) path: &'t str,
    /// Where its method stands.
    pub(crate) key: Span,
    pub(crate) spot: Spot<'t>,
    pub(crate) security: Security<'t>,
    /// Indices of its parameters, those of the path item included.
    pub(crate) parameters: Vec<u32>,
    pub(crate) body: Option<Body<'t>>,
    pub(crate) responses: Vec<Response<'t>>,
    pub(crate) deprecated: bool,
    /// Whether its path leads to what only administrators may use.
    pub(crate) admin: bool,
    /// Whether it is about logging in, tokens or the like.
    pub(crate) login: bool,
}

impl Operation<'_> {
    /// `GET /orders/{id}`.
    fn label(&self) -> String {
        format!("{} {}", self.method.to_ascii_uppercase(), self.path)
    }

    /// Whether it may change something.
    pub(crate) fn writes(&self) -> bool {
        matches!(self.method, "post" | "put" | "patch" | "delete")
    }

    pub(crate) fn response(&self, status: &str) -> Option<&Response<'_>> {
        self.responses.iter().find(|response| response.status.eq_ignore_ascii_case(status))
    }

    /// Whether callers must prove who they are.
    pub(crate) fn is_protected(&self) -> bool {
        match &self.security {
            Security::Absent | Security::Open(_) => false,
            Security::AnyOf(_, any) => any.iter().all(|requirement| !requirement.is_empty()),
        }
    }
}

/// A request body.
#[derive(Debug)]
pub(crate) struct Body<'t> {
    pub(crate) spot: Spot<'t>,
    pub(crate) media: Vec<Media<'t>>,
}

/// One media type of a body or an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Media<'t> {
    pub(crate) name: &'t str,
    pub(crate) key: Span,
    pub(crate) spot: Spot<'t>,
    /// The unit of its schema.
    pub(crate) unit: Option<u32>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response<'t> {
    pub(crate) status: &'t str,
    pub(crate) key: Span,
    pub(crate) spot: Spot<'t>,
    pub(crate) media: Vec<Media<'t>>,
}

impl<'t> Response<'t> {
    /// Whether it tells of an error.
    pub(crate) fn is_error(&self) -> bool {
        self.status.starts_with(['4', '5']) || self.status == "default"
    }

    pub(crate) fn header(&self, wanted: impl Fn(&str) -> bool) -> Option<&'t Member> {
        self.spot.get("headers")?.members().iter().find(|header| wanted(&header.key.to_ascii_lowercase()))
    }
}

/// A parameter, once, however many operations use it.
#[derive(Debug)]
pub(crate) struct Parameter<'t> {
    pub(crate) spot: Spot<'t>,
    pub(crate) name: &'t str,
    /// `path`, `query`, `header`, `cookie`, `formData` or `body`.
    pub(crate) place: &'t str,
    /// Its schema: the member `schema`, or the parameter itself in Swagger 2.0.
    pub(crate) facts: Facts<'t>,
    pub(crate) unit: Option<u32>,
    pub(crate) operations: Vec<u32>,
}

/// A schema with a name of its own, or one written where it is used; with everything in it up to the next
/// reference.
#[derive(Debug)]
pub(crate) struct Unit<'t> {
    pub(crate) spot: Spot<'t>,
    pub(crate) label: Label<'t>,
    /// Units that it refers to.
    pub(crate) edges: Vec<u32>,
    /// Whether requests may hold it.
    pub(crate) request: bool,
    /// Whether answers may hold it.
    pub(crate) response: bool,
}

/// What a unit is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Label<'t> {
    /// By the reference that names it.
    Reference(&'t str),
    /// A body of an operation, by its index.
    Request(u32),
    /// An answer of an operation, by its index.
    Response(u32, &'t str),
    /// A parameter.
    Parameter(&'t str),
}

/// One schema.
#[derive(Debug)]
pub(crate) struct Schema<'t> {
    pub(crate) spot: Spot<'t>,
    pub(crate) unit: u32,
    /// The property, or what else it is: `items`, `additionalProperties`.
    pub(crate) name: &'t str,
    /// Where its name stands; its own place where it has none.
    pub(crate) key: Span,
    /// What it is to the schema around it.
    pub(crate) role: Role,
    pub(crate) facts: Facts<'t>,
    /// Of a property, what its name says.
    pub(crate) meaning: Meaning,
}

/// What a schema is to the one around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The whole of its unit.
    Root,
    /// A property.
    Property,
    /// The items of an array.
    Items,
    /// The values of a map.
    Values,
    /// A part of `allOf`: the others bind, too.
    All,
    /// A part of `anyOf` or `oneOf`.
    Any,
}

/// What a schema says of its values, read in one pass over its members.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts<'t> {
    pub(crate) string: bool,
    pub(crate) integer: bool,
    pub(crate) number: bool,
    pub(crate) array: bool,
    pub(crate) object: bool,
    pub(crate) typed: bool,
    pub(crate) max_length: bool,
    pub(crate) pattern: Option<&'t Node>,
    pub(crate) format: Option<&'t str>,
    pub(crate) fixed: bool,
    pub(crate) max_items: bool,
    pub(crate) minimum: bool,
    pub(crate) maximum: bool,
    pub(crate) items: bool,
    pub(crate) properties: Option<&'t Node>,
    pub(crate) additional: Option<&'t Node>,
    pub(crate) closed: bool,
    pub(crate) max_properties: bool,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    pub(crate) reference: bool,
    pub(crate) combined: bool,
    pub(crate) empty: bool,
}

impl<'t> Facts<'t> {
    pub(crate) fn of(node: &'t Node) -> Facts<'t> {
        let mut facts = Facts::default();
        let Some(members) = node.as_object() else {
            // `true` stands for anything, `false` for nothing.
            facts.closed = node.as_bool() == Some(false);
            facts.empty = node.as_bool() == Some(true);
            return facts;
        };
        facts.empty = true;
        for Member { key, value, .. } in members {
            match &**key {
                "type" => {
                    let each = std::slice::from_ref(value);
                    for kind in value.as_array().unwrap_or(each).iter().filter_map(Node::as_str) {
                        facts.typed = true;
                        match kind {
                            "string" => facts.string = true,
                            "integer" => facts.integer = true,
                            "number" => facts.number = true,
                            "array" => facts.array = true,
                            "object" => facts.object = true,
                            // Swagger 2.0 has files as a type.
                            _ => {}
                        }
                    }
                }
                "maxLength" => facts.max_length = true,
                "pattern" => facts.pattern = Some(value),
                "format" => facts.format = value.as_str(),
                "enum" | "const" => facts.fixed = true,
                "maxItems" => facts.max_items = true,
                "minimum" | "exclusiveMinimum" => facts.minimum = true,
                "maximum" | "exclusiveMaximum" => facts.maximum = true,
                "items" | "prefixItems" => facts.items = true,
                "properties" => facts.properties = Some(value),
                "additionalProperties" => facts.additional = Some(value),
                "unevaluatedProperties" => facts.closed |= value.as_bool() == Some(false),
                "maxProperties" => facts.max_properties = true,
                "readOnly" => facts.read_only = value.as_bool() == Some(true),
                "writeOnly" => facts.write_only = value.as_bool() == Some(true),
                "$ref" => facts.reference = true,
                "allOf" | "anyOf" | "oneOf" | "not" | "if" => facts.combined = true,
                "$dynamicRef" | "$recursiveRef" => facts.reference = true,
                "title" | "description" | "example" | "examples" | "default" | "deprecated" | "nullable"
                | "xml" | "externalDocs" => continue,
                key if key.starts_with("x-") => continue,
                _ => {}
            }
            facts.empty = false;
        }
        facts.closed |= facts.additional.is_some_and(|node| node.as_bool() == Some(false));
        if !facts.typed {
            // What has properties is meant to be an object, what has items an array.
            facts.object = facts.properties.is_some();
            facts.array = facts.items;
        }
        facts
    }

    /// What the parts of an `allOf` say together.
    fn and(self, other: Facts<'t>) -> Facts<'t> {
        Facts {
            string: self.string || other.string,
            integer: self.integer || other.integer,
            number: self.number || other.number,
            array: self.array || other.array,
            object: self.object || other.object,
            typed: self.typed || other.typed,
            max_length: self.max_length || other.max_length,
            pattern: self.pattern.or(other.pattern),
            format: self.format.or(other.format),
            fixed: self.fixed || other.fixed,
            max_items: self.max_items || other.max_items,
            minimum: self.minimum || other.minimum,
            maximum: self.maximum || other.maximum,
            items: self.items || other.items,
            closed: self.closed || other.closed,
            max_properties: self.max_properties || other.max_properties,
            read_only: self.read_only || other.read_only,
            write_only: self.write_only || other.write_only,
            ..self
        }
    }
}

impl<'t> Description<'t> {
    pub(crate) fn read(tree: &'t Tree, version: Version, options: Options) -> Description<'t> {
        let node = tree.documents().first().map_or(&NULL, Document::root);
        let root = Spot { file: 0, node };
        let mut description = Description {
            tree,
            references: tree.references(),
            version,
            options,
            root,
            servers: Vec::new(),
            schemes: Vec::new(),
            operations: Vec::new(),
            labels: Vec::new(),
            parameters: Vec::new(),
            units: Vec::new(),
            schemas: Vec::new(),
            reach: Reach::default(),
            uses: Uses::default(),
            unread: RefCell::default(),
        };
        let mut reader = Reader::default();
        description.read_servers();
        description.read_schemes();
        description.read_operations(&mut reader);
        description.labels = description.operations.iter().map(Operation::label).collect();
        let edges: Vec<&[u32]> = description.units.iter().map(|unit| unit.edges.as_slice()).collect();
        let reach = Reach::of(&edges, &reader.direct);
        let (mut request, mut response) = (Bits::default(), Bits::default());
        let mut uses = Uses::default();
        for (index, operation) in description.operations.iter().enumerate() {
            reach.join_request(index, &mut request);
            reach.join_response(index, &mut response);
            if operation.writes() && operation.body.is_some() && !operation.admin {
                reach.join_request(index, &mut uses.written);
            }
            if operation.method != "post" && !operation.login {
                reach.join_response(index, &mut uses.shown);
            }
            let errors = operation.responses.iter().filter(|response| response.is_error());
            for unit in errors.flat_map(|response| &response.media).filter_map(|media| media.unit) {
                uses.errors.set(unit as usize);
                let named = edges.get(unit as usize).copied().unwrap_or_default();
                named.iter().for_each(|unit| uses.errors.set(*unit as usize));
            }
        }
        for (index, unit) in description.units.iter_mut().enumerate() {
            unit.request = request.has(index);
            unit.response = response.has(index);
        }
        description.reach = reach;
        description.uses = uses;
        description
    }

    /// `OpenAPI 3.0.3`, as written.
    pub(crate) fn written_version(&self) -> String {
        for (key, name) in [("openapi", "OpenAPI"), ("swagger", "Swagger")] {
            if let Some(spot) = self.root.get(key) {
                let text = spot.node.as_str().unwrap_or_else(|| self.snippet(spot));
                return format!("{name} {}", text.trim().chars().take(20).collect::<String>());
            }
        }
        String::new()
    }

    pub(crate) fn document(&self, file: usize) -> Option<&'t Document> {
        self.tree.documents().get(file)
    }

    /// What was written at a spot.
    pub(crate) fn snippet(&self, spot: Spot<'t>) -> &'t str {
        self.document(spot.file).map_or("", |document| document.snippet(spot.node.span))
    }

    pub(crate) fn is_swagger(&self) -> bool {
        self.version == Version::Swagger2
    }

    /// What references that lead nowhere should have named, with the place of each.
    pub(crate) fn unread(&self) -> Vec<String> {
        let unread = self.unread.borrow();
        let lines = unread.iter().filter_map(|(spot, expected)| {
            let document = self.document(spot.file)?;
            let at = document.locate(spot.node.span.start);
            Some(format!("{}:{at}: expected {expected}", document.name()))
        });
        lines.collect()
    }

    /// References that lead nowhere.
    pub(crate) fn broken(&self) -> Vec<Spot<'t>> {
        self.unread.borrow().iter().map(|(spot, _)| *spot).collect()
    }

    /// The spot itself, or what it refers to.
    pub(crate) fn follow(&self, spot: Spot<'t>) -> Option<Spot<'t>> {
        if spot.node.get("$ref").is_none() {
            return Some(spot);
        }
        match self.references.follow(spot.file, spot.node) {
            Ok((file, node)) => Some(Spot { file, node }),
            Err(expected) => {
                self.not_read(spot, &expected);
                None
            }
        }
    }

    fn not_read(&self, spot: Spot<'t>, expected: &str) {
        let mut unread = self.unread.borrow_mut();
        let known = |(other, _): &(Spot<'t>, String)| std::ptr::eq(other.node, spot.node);
        if unread.len() < MAX_UNREAD && !unread.iter().any(known) {
            unread.push((spot, expected.to_owned()));
        }
    }

    fn read_servers(&mut self) {
        let root = self.root;
        if self.is_swagger() {
            if let Some(host) = root.get("host").or_else(|| root.get("schemes")) {
                let url = root.str("host").unwrap_or_default();
                self.servers.push(Server { spot: host, url, schemes: root.get("schemes") });
            }
            return;
        }
        let mut push = |holder: Spot<'t>| {
            for spot in holder.get("servers").into_iter().flat_map(Spot::items) {
                let url = spot.str("url").unwrap_or_default();
                self.servers.push(Server { spot, url, schemes: None });
            }
        };
        push(root);
        for item in root.get("paths").map(Spot::members).unwrap_or_default() {
            let item = root.with(&item.value);
            push(item);
            for member in item.members().iter().filter(|member| METHODS.contains(&&*member.key)) {
                push(item.with(&member.value));
            }
        }
    }

    fn read_schemes(&mut self) {
        let root = self.root;
        let holder = match self.is_swagger() {
            true => root.get("securityDefinitions"),
            false => root.get("components").and_then(|components| components.get("securitySchemes")),
        };
        for member in holder.map(Spot::members).unwrap_or_default() {
            let Some(spot) = self.follow(root.with(&member.value)) else { continue };
            let kind = spot.str("type").unwrap_or_default();
            self.schemes.push(Scheme { name: &member.key, spot, kind, used: false });
        }
    }

    fn read_operations(&mut self, reader: &mut Reader<'t>) {
        let root = self.root;
        let default = security(root);
        for path in root.get("paths").map(Spot::members).unwrap_or_default() {
            if path.key.starts_with("x-") {
                continue;
            }
            let Some(item) = self.follow(root.with(&path.value)) else { continue };
            for member in item.members().iter().filter(|member| METHODS.contains(&&*member.key)) {
                let Some(spot) = self.follow(item.with(&member.value)) else { continue };
                if spot.node.as_object().is_none() {
                    continue;
                }
                let index = u32::try_from(self.operations.len()).unwrap_or(u32::MAX);
                let security = match security(spot) {
                    Security::Absent => default.clone(),
                    own => own,
                };
                reader.direct.push(Default::default());
                let mut operation = Operation {
                    index,
                    method: &member.key,
                    path: &path.key,
                    key: member.key_span,
                    spot,
                    security,
                    parameters: Vec::new(),
                    body: None,
                    responses: Vec::new(),
                    deprecated: spot.is("deprecated"),
                    admin: names::is_admin(&path.key),
                    login: names::is_login(&path.key, spot.str("operationId")),
                };
                self.read_parameters(&mut operation, item, reader);
                self.read_body(&mut operation, reader);
                self.read_responses(&mut operation, reader);
                self.operations.push(operation);
            }
        }
        let named: Vec<&str> = self
            .operations
            .iter()
            .map(|operation| &operation.security)
            .chain([&default])
            .filter_map(|security| match security {
                Security::AnyOf(_, any) => Some(any),
                _ => None,
            })
            .flatten()
            .flatten()
            .map(|(member, _)| &*member.key)
            .collect();
        let named: std::collections::HashSet<&str> = named.into_iter().collect();
        for scheme in &mut self.schemes {
            scheme.used = named.contains(scheme.name);
        }
    }

    fn read_parameters(&mut self, operation: &mut Operation<'t>, item: Spot<'t>, reader: &mut Reader<'t>) {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        let lists = [operation.spot.get("parameters"), item.get("parameters")];
        for written in lists.into_iter().flatten().flat_map(Spot::items) {
            let Some(spot) = self.follow(written) else { continue };
            let name = spot.str("name").unwrap_or_default();
            let place = spot.str("in").unwrap_or_default();
            if seen.contains(&(name, place)) {
                continue;
            }
            seen.push((name, place));
            if place == "body" {
                let schema = spot.get("schema");
                let label = Label::Request(operation.index);
                let unit = schema.and_then(|schema| self.unit(schema, label, reader));
                reader.request(unit);
                let consumes = operation.spot.get("consumes").or_else(|| self.root.get("consumes"));
                let consumes = consumes.and_then(|list| list.items().next());
                let name = consumes.and_then(|first| first.node.as_str()).unwrap_or("application/json");
                let media = Media { name, key: spot.node.span, spot, unit };
                operation.body = Some(Body { spot, media: vec![media] });
                continue;
            }
            let key: *const Node = spot.node;
            let index = match reader.parameters.get(&key) {
                Some(index) => *index,
                None => {
                    let content = spot.get("content").and_then(|content| {
                        let first = content.members().first()?;
                        content.with(&first.value).get("schema")
                    });
                    let schema = match self.is_swagger() {
                        true => Some(spot),
                        false => spot.get("schema").or(content),
                    };
                    let resolved = schema.and_then(|schema| self.follow(schema));
                    // In Swagger 2.0 the parameter is its own schema.
                    let unit = schema.and_then(|schema| self.unit(schema, Label::Parameter(name), reader));
                    let facts = resolved.map(|schema| Facts::of(schema.node)).unwrap_or_default();
                    let index = u32::try_from(self.parameters.len()).unwrap_or(u32::MAX);
                    self.parameters.push(Parameter {
                        spot,
                        name,
                        place,
                        facts,
                        unit,
                        operations: Vec::new(),
                    });
                    reader.parameters.insert(key, index);
                    index
                }
            };
            if let Some(parameter) = self.parameters.get_mut(index as usize) {
                reader.request(parameter.unit);
                parameter.operations.push(operation.index);
            }
            operation.parameters.push(index);
        }
    }

    fn read_body(&mut self, operation: &mut Operation<'t>, reader: &mut Reader<'t>) {
        let Some(spot) = operation.spot.get("requestBody") else { return };
        let Some(spot) = self.follow(spot) else { return };
        let mut media = Vec::new();
        for member in spot.get("content").map(Spot::members).unwrap_or_default() {
            let inner = spot.with(&member.value);
            let label = Label::Request(operation.index);
            let unit = inner.get("schema").and_then(|schema| self.unit(schema, label, reader));
            reader.request(unit);
            media.push(Media { name: &member.key, key: member.key_span, spot: inner, unit });
        }
        operation.body = Some(Body { spot, media });
    }

    fn read_responses(&mut self, operation: &mut Operation<'t>, reader: &mut Reader<'t>) {
        let Some(holder) = operation.spot.get("responses") else { return };
        for member in holder.members().iter().filter(|member| !member.key.starts_with("x-")) {
            let Some(spot) = self.follow(holder.with(&member.value)) else { continue };
            let status = &*member.key;
            let label = Label::Response(operation.index, status);
            let mut media = Vec::new();
            if self.is_swagger() {
                if let Some(schema) = spot.get("schema") {
                    let unit = self.unit(schema, label, reader);
                    reader.response(unit);
                    media.push(Media { name: "application/json", key: member.key_span, spot, unit });
                }
            } else {
                for member in spot.get("content").map(Spot::members).unwrap_or_default() {
                    let inner = spot.with(&member.value);
                    let unit = inner.get("schema").and_then(|schema| self.unit(schema, label, reader));
                    reader.response(unit);
                    media.push(Media { name: &member.key, key: member.key_span, spot: inner, unit });
                }
            }
            operation.responses.push(Response { status, key: member.key_span, spot, media });
        }
    }

    /// The unit of a schema: what it refers to, or itself.
    fn unit(&mut self, written: Spot<'t>, label: Label<'t>, reader: &mut Reader<'t>) -> Option<u32> {
        let (spot, label) = match written.str("$ref") {
            Some(reference) => (self.follow(written)?, Label::Reference(reference)),
            None => (written, label),
        };
        let key: *const Node = spot.node;
        if let Some(known) = reader.units.get(&key) {
            return Some(*known);
        }
        let mut open = vec![self.new_unit(spot, label, reader)];
        let first = open.first().copied();
        // Breadth is kept in a list of units, so that a chain of references of any length needs no stack.
        while let Some(index) = open.pop() {
            let Some(unit) = self.units.get(index as usize) else { continue };
            let (spot, key) = (unit.spot, unit.spot.node.span);
            let mut edges = Vec::new();
            let mut walk = Walk { unit: index, edges: &mut edges, open: &mut open, reader };
            self.walk(spot, ("", key, Role::Root), None, &mut walk, 0);
            edges.sort_unstable();
            edges.dedup();
            if let Some(unit) = self.units.get_mut(index as usize) {
                unit.edges = edges;
            }
        }
        first
    }

    fn new_unit(&mut self, spot: Spot<'t>, label: Label<'t>, reader: &mut Reader<'t>) -> u32 {
        let index = u32::try_from(self.units.len()).unwrap_or(u32::MAX);
        self.units.push(Unit { spot, label, edges: Vec::new(), request: false, response: false });
        reader.units.insert(spot.node, index);
        index
    }

    fn walk(
        &mut self,
        spot: Spot<'t>,
        (name, key, role): (&'t str, Span, Role),
        joined: Option<Facts<'t>>,
        walk: &mut Walk<'_, 't>,
        depth: usize,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(reference) = spot.str("$ref") {
            let Some(target) = self.follow(spot) else { return };
            let pointer: *const Node = target.node;
            let known = walk.reader.units.get(&pointer).copied();
            let unit = known.unwrap_or_else(|| {
                let unit = self.new_unit(target, Label::Reference(reference), walk.reader);
                walk.open.push(unit);
                unit
            });
            walk.edges.push(unit);
            return;
        }
        let own = Facts::of(spot.node);
        let facts = joined.map_or(own, |joined| own.and(joined));
        let meaning = match role {
            Role::Property => walk.reader.meaning(name),
            _ => Meaning::default(),
        };
        self.schemas.push(Schema { spot, unit: walk.unit, name, key, role, facts, meaning });
        let Kind::Object(members) = &spot.node.kind else { return };
        for member in members {
            let inner = spot.with(&member.value);
            match &*member.key {
                "properties" => {
                    for property in inner.members() {
                        let about = (&*property.key, property.key_span, Role::Property);
                        self.walk(inner.with(&property.value), about, None, walk, depth + 1);
                    }
                }
                "items" | "contains" => {
                    let about = (name, member.key_span, Role::Items);
                    match inner.node.as_array() {
                        Some(_) => inner.items().for_each(|item| {
                            self.walk(item, about, None, walk, depth + 1);
                        }),
                        None => self.walk(inner, about, None, walk, depth + 1),
                    }
                }
                "prefixItems" => {
                    for item in inner.items() {
                        self.walk(item, (name, item.node.span, Role::Items), None, walk, depth + 1);
                    }
                }
                "additionalProperties" | "unevaluatedProperties" if inner.node.as_object().is_some() => {
                    self.walk(inner, (name, member.key_span, Role::Values), None, walk, depth + 1);
                }
                "patternProperties" => {
                    for property in inner.members() {
                        let about = (name, property.key_span, Role::Values);
                        self.walk(inner.with(&property.value), about, None, walk, depth + 1);
                    }
                }
                "allOf" => {
                    // What one part leaves open, another may bound.
                    let mut together = own;
                    for part in inner.items() {
                        if let Some(part) = self.follow(part) {
                            together = together.and(Facts::of(part.node));
                        }
                    }
                    for part in inner.items() {
                        let about = (name, part.node.span, Role::All);
                        self.walk(part, about, Some(together), walk, depth + 1);
                    }
                }
                "anyOf" | "oneOf" => {
                    for part in inner.items() {
                        let about = (name, part.node.span, Role::Any);
                        self.walk(part, about, None, walk, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    /// A unit's name for a reader.
    pub(crate) fn unit_label(&self, unit: u32) -> String {
        let operation = |index: u32| self.labels.get(index as usize).cloned().unwrap_or_default();
        match self.units.get(unit as usize).map(|unit| unit.label) {
            Some(Label::Reference(reference)) => {
                let name = reference.rsplit(['/', '#']).next().unwrap_or(reference);
                format!("schema `{name}`")
            }
            Some(Label::Request(index)) => format!("request body of {}", operation(index)),
            Some(Label::Response(index, status)) => format!("response {status} of {}", operation(index)),
            Some(Label::Parameter(name)) => format!("parameter `{name}`"),
            None => String::new(),
        }
    }
}

fn security<'t>(holder: Spot<'t>) -> Security<'t> {
    let Some(spot) = holder.get("security") else { return Security::Absent };
    let Some(list) = spot.node.as_array() else { return Security::Absent };
    if list.is_empty() {
        return Security::Open(spot);
    }
    let scopes = |member: &'t Member| {
        let scopes = member.value.as_array().unwrap_or_default();
        scopes.iter().filter_map(Node::as_str).collect()
    };
    let one = |requirement: &'t Node| {
        let members = requirement.as_object().unwrap_or_default();
        members.iter().map(|member| (member, scopes(member))).collect()
    };
    Security::AnyOf(spot, list.iter().map(one).collect())
}

const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

static NULL: Node = Node { kind: Kind::Null, span: Span { start: 0, end: 0 } };

/// What is known while a description is read.
#[derive(Default)]
struct Reader<'t> {
    units: HashMap<*const Node, u32>,
    parameters: HashMap<*const Node, u32>,
    /// For each operation, the units of its requests and of its answers.
    direct: Vec<(Vec<u32>, Vec<u32>)>,
    /// The same names come again and again.
    meanings: HashMap<&'t str, Meaning>,
}

struct Walk<'a, 't> {
    unit: u32,
    edges: &'a mut Vec<u32>,
    open: &'a mut Vec<u32>,
    reader: &'a mut Reader<'t>,
}

impl<'t> Reader<'t> {
    fn meaning(&mut self, name: &'t str) -> Meaning {
        *self.meanings.entry(name).or_insert_with(|| Meaning::of(name))
    }

    fn request(&mut self, unit: Option<u32>) {
        if let Some((request, _)) = self.direct.last_mut() {
            request.extend(unit);
        }
    }

    fn response(&mut self, unit: Option<u32>) {
        if let Some((_, response)) = self.direct.last_mut() {
            response.extend(unit);
        }
    }
}
