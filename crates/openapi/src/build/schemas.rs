//! Schemas of a document, whichever dialect, compiled into the arena.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Number;

use super::draft::Draft;
use super::dynamic::{Env, EnvId};
use super::files::{At, Files, Resolver};
use super::keywords::{KEYWORDS, Keywords, asserts, is_annotation, near_keyword, near_type};
use crate::model::Version;
use crate::problem::{Problem, Severity};
use crate::schema::{Arena, MultipleOf, Pattern, Schema, SchemaId, Types};
use crate::source::{Kind, Member, Node};
use crate::xml::Xml;

/// References that are followed from one to the next.
const MAX_HOPS: usize = 64;

/// Compiles schemas, each node once, and keeps what was wrong with them.
#[derive(Debug)]
pub(crate) struct Compiler<'d> {
    pub(super) resolver: &'d Resolver<'d>,
    versions: Vec<Version>,
    pub(crate) arena: Arena,
    memo: HashMap<(*const Node, EnvId), SchemaId>,
    queue: Vec<(SchemaId, At<'d>, EnvId)>,
    /// The anchors in force where the schema that is being read was entered from.
    pub(super) env: EnvId,
    pub(super) envs: Vec<Env<'d>>,
    pub(super) known_envs: HashMap<Vec<(&'d str, Option<*const Node>)>, EnvId>,
    patterns: HashMap<&'d str, Result<Arc<Pattern>, &'static str>>,
    /// Per flawed schema, what cannot be enforced.
    pub(crate) flaws: HashMap<SchemaId, Vec<Problem>>,
    /// What was read with good will.
    pub(crate) warnings: Vec<Problem>,
    /// What the schemas say, if that is to be counted.
    pub(crate) keywords: Option<Keywords>,
    current: SchemaId,
}

impl<'d> Compiler<'d> {
    /// `version` is that of the root; files that name their own are read by that.
    pub(crate) fn new(resolver: &'d Resolver<'d>, version: Version) -> Self {
        let count = resolver.files.documents().len();
        let versions = (0..count).map(|file| resolver.files.version_of(file).unwrap_or(version)).collect();
        Self {
            resolver,
            versions,
            arena: Arena::new(),
            memo: HashMap::new(),
            queue: Vec::new(),
            env: 0,
            envs: vec![Vec::new()],
            known_envs: HashMap::new(),
            patterns: HashMap::new(),
            flaws: HashMap::new(),
            warnings: Vec::new(),
            keywords: None,
            current: SchemaId::ANY,
        }
    }

    pub(super) fn files(&self) -> &'d Files {
        self.resolver.files
    }

    fn version(&self, at: At<'_>) -> Version {
        self.versions.get(at.file).copied().unwrap_or(Version::OpenApi31)
    }

    /// The schema at a node. It is complete after [`Compiler::drain`].
    pub(crate) fn schema(&mut self, at: At<'d>) -> SchemaId {
        let (mut at, mut env) = (at, self.env);
        for _ in 0..MAX_HOPS {
            env = self.enter(env, at);
            if let Some(known) = self.memo.get(&(std::ptr::from_ref(at.node), env)) {
                return *known;
            }
            match &at.node.kind {
                Kind::Bool(true) => return SchemaId::ANY,
                Kind::Bool(false) => return SchemaId::NEVER,
                Kind::Object(members) => {
                    if let Some(reference) = pure_reference(members, self.version(at)) {
                        match self.resolver.find(at, reference) {
                            Ok(target) => at = target,
                            Err(expected) => {
                                return self.flawed(at, format!("`{reference}` leads nowhere"), expected);
                            }
                        }
                        continue;
                    }
                    if members.iter().all(|member| is_annotation(&member.key)) {
                        return SchemaId::ANY;
                    }
                    let id = self.add(Schema::default());
                    self.memo.insert((at.node, env), id);
                    self.queue.push((id, at, env));
                    return id;
                }
                _ => {
                    let what = format!("a schema that is {}", at.node.type_name());
                    return self.flawed(at, what, "an object or a boolean".into());
                }
            }
        }
        self.flawed(at, "a reference that leads back to itself".into(), "a reference to a schema".into())
    }

    /// Adds a schema that stands nowhere in the document.
    pub(crate) fn add(&mut self, schema: Schema) -> SchemaId {
        let id = SchemaId(u32::try_from(self.arena.schemas.len()).unwrap_or(u32::MAX));
        self.arena.schemas.push(schema);
        id
    }

    /// Adds one that accepts everything and says that it cannot be enforced.
    pub(crate) fn flawed(&mut self, at: At<'d>, what: String, expected: String) -> SchemaId {
        let id = self.add(Schema { flawed: true, ..Schema::default() });
        let problem = self.files().problem(at, Severity::Error, what, expected);
        self.memo.insert((at.node, self.env), id);
        self.flaws.entry(id).or_default().push(problem);
        id
    }

    /// Compiles everything that has been asked for, and what that leads to.
    pub(crate) fn drain(&mut self) {
        let mut places = Vec::new();
        while let Some((id, at, env)) = self.queue.pop() {
            self.current = id;
            self.env = env;
            places.push((id, at));
            let schema = self.read(at);
            self.note_duplicates(at);
            let flawed = self.flaws.contains_key(&id);
            if let Some(slot) = self.arena.schemas.get_mut(id.0 as usize) {
                *slot = Schema { flawed, ..schema };
            }
        }
        self.env = 0;
        for (id, at) in places {
            if self.arena.chooses_itself(id) {
                self.current = id;
                self.flaw(
                    at,
                    "a choice that leads back to itself",
                    "alternatives that each say something of the value",
                );
                if let Some(schema) = self.arena.schemas.get_mut(id.0 as usize) {
                    schema.flawed = true;
                }
            }
        }
    }

    pub(super) fn flaw(&mut self, at: At<'d>, what: impl Into<String>, expected: impl Into<String>) {
        let problem = self.files().problem(at, Severity::Error, what, expected);
        self.flaws.entry(self.current).or_default().push(problem);
    }

    pub(super) fn warn(&mut self, at: At<'d>, what: impl Into<String>, expected: impl Into<String>) {
        let problem = self.files().problem(at, Severity::Warning, what, expected);
        self.warnings.push(problem);
    }

    /// A key that is there twice leaves open which of the two counts.
    fn note_duplicates(&mut self, at: At<'d>) {
        let Some(document) = self.files().documents().get(at.file) else { return };
        for duplicate in document.duplicates() {
            if at.node.span.start <= duplicate.second.start && duplicate.second.end <= at.node.span.end {
                let what = format!("the key `{}` for the second time", duplicate.key);
                let problem = self.files().problem_at(
                    at.file,
                    duplicate.second,
                    Severity::Error,
                    what,
                    "each key once",
                );
                self.flaws.entry(self.current).or_default().push(problem);
            }
        }
    }

    fn read(&mut self, at: At<'d>) -> Schema {
        let mut draft = Draft::default();
        let legacy = !self.version(at).is_json_schema();
        let members = at.node.as_object().unwrap_or_default();
        let mute = self.resolver.is_mute(at);
        let referring = legacy && members.iter().any(|member| &*member.key == "$ref");
        for member in members {
            // Until 3.1 a reference stands alone; tools honour these few beside it.
            if referring
                && !matches!(&*member.key, "$ref" | "nullable" | "x-nullable" | "readOnly" | "writeOnly")
            {
                continue;
            }
            if mute && asserts(&member.key) {
                continue;
            }
            self.keyword(&mut draft, &member.key, at.with(&member.value));
        }
        self.finish(draft)
    }

    fn keyword(&mut self, draft: &mut Draft<'d>, key: &'d str, value: At<'d>) {
        let node = value.node;
        if node.is_null() && key != "const" && key != "type" {
            // Serialisers write out what was never set.
            if KEYWORDS.contains(&key) {
                self.warn(value, format!("`{key}` that is null"), "a value, or no such keyword");
            }
            return;
        }
        match key {
            "$ref" => match node.as_str() {
                Some(reference) => draft.applied().reference = Some(self.reference(value, reference)),
                None => self.flaw(value, "a `$ref` that is no text", "a reference"),
            },
            "$dynamicRef" | "$recursiveRef" => self.dynamic(draft, key, value),
            "type" => self.types(draft, value),
            "nullable" | "x-nullable" => draft.schema.nullable |= node.as_bool() == Some(true),
            "readOnly" => draft.schema.read_only |= node.as_bool() == Some(true),
            "writeOnly" => draft.schema.write_only |= node.as_bool() == Some(true),
            "enum" => match node.as_array() {
                Some(items) => draft.constants = Some(items.iter().map(Node::to_json).collect()),
                None => self.flaw(value, format!("an `enum` that is {}", node.type_name()), "an array"),
            },
            "const" => draft.constant = Some(node.to_json()),
            "format" => draft.format = node.as_str(),
            "minLength" => draft.string().min = self.size(value, key),
            "maxLength" => draft.string().max = self.size(value, key),
            "pattern" => match node.as_str() {
                Some(source) => draft.string().pattern = self.pattern(value, source),
                None => self.flaw(value, format!("a `pattern` that is {}", node.type_name()), "text"),
            },
            "minimum" => draft.minimum = self.bound(value, key),
            "maximum" => draft.maximum = self.bound(value, key),
            "exclusiveMinimum" => match node.as_bool() {
                Some(exclusive) => draft.exclusive_minimum = exclusive,
                None => draft.above = self.bound(value, key),
            },
            "exclusiveMaximum" => match node.as_bool() {
                Some(exclusive) => draft.exclusive_maximum = exclusive,
                None => draft.below = self.bound(value, key),
            },
            "multipleOf" | "divisibleBy" => {
                let divisor = self.bound(value, key);
                let multiple = divisor.as_ref().and_then(MultipleOf::new);
                if divisor.is_some() && multiple.is_none() {
                    self.flaw(value, format!("a `{key}` of zero or less"), "a number above zero");
                }
                draft.number().multiple_of = multiple;
            }
            "items" => match node.as_array() {
                // A tuple, as drafts before 2020-12 write it.
                Some(items) => draft.array().prefix = self.list(value, items),
                None => draft.array().items = Some(self.schema(value)),
            },
            "prefixItems" => match node.as_array() {
                Some(items) => draft.array().prefix = self.list(value, items),
                None => self.flaw(value, format!("`prefixItems` that is {}", node.type_name()), "an array"),
            },
            "additionalItems" => draft.additional_items = Some(self.schema(value)),
            "contains" => draft.array().contains = Some(self.schema(value)),
            "minContains" => draft.min_contains = self.size(value, key),
            "maxContains" => draft.array().max_contains = self.size(value, key),
            "minItems" => draft.array().min = self.size(value, key),
            "maxItems" => draft.array().max = self.size(value, key),
            "uniqueItems" => draft.array().unique = node.as_bool() == Some(true),
            "unevaluatedItems" => draft.array().unevaluated = Some(self.schema(value)),
            "properties" | "patternProperties" | "dependentSchemas" | "dependencies"
            | "dependentRequired" => match node.as_object() {
                Some(members) => self.members(draft, key, value, members),
                None if node.is_null() => {}
                None => self.flaw(value, format!("`{key}` that is {}", node.type_name()), "an object"),
            },
            "additionalProperties" => draft.object().additional = Some(self.schema(value)),
            "unevaluatedProperties" => draft.object().unevaluated = Some(self.schema(value)),
            "propertyNames" => draft.object().names = Some(self.schema(value)),
            "minProperties" => draft.object().min = self.size(value, key),
            "maxProperties" => draft.object().max = self.size(value, key),
            "required" => match &node.kind {
                Kind::Array(items) => draft.required.extend(items.iter().filter_map(Node::as_str)),
                // Parameters of Swagger 2.0 are their own schemas, and draft 3 had a boolean on properties.
                Kind::Bool(_) | Kind::Null => {}
                // YAML authors write one name without a list.
                Kind::String(name) => draft.required.push(name),
                _ => {
                    self.flaw(value, format!("`required` that is {}", node.type_name()), "an array of names");
                }
            },
            "allOf" | "anyOf" | "oneOf" => self.alternatives(draft, key, value),
            "not" => draft.applied().not = Some(self.schema(value)),
            "if" => draft.applied().condition = Some(self.schema(value)),
            "then" => draft.applied().then = Some(self.schema(value)),
            "else" => draft.applied().otherwise = Some(self.schema(value)),
            "discriminator" => draft.discriminator = Some(value),
            "xml" => {
                self.arena.xml.insert(self.current, xml(value));
            }
            _ => {
                if let Some(near) = near_keyword(key) {
                    self.warn(value, format!("`{key}`, which says nothing"), format!("`{near}`"));
                }
            }
        }
    }

    fn reference(&mut self, at: At<'d>, reference: &'d str) -> SchemaId {
        match self.resolver.find(at, reference) {
            Ok(target) => self.schema(target),
            Err(expected) => {
                self.flaw(at, format!("`{reference}` leads nowhere"), expected);
                SchemaId::ANY
            }
        }
    }

    fn list(&mut self, owner: At<'d>, items: &'d [Node]) -> Box<[SchemaId]> {
        items.iter().map(|item| self.schema(owner.with(item))).collect()
    }

    fn alternatives(&mut self, draft: &mut Draft<'d>, key: &str, value: At<'d>) {
        let list = match &value.node.kind {
            Kind::Array(items) if !items.is_empty() => {
                for item in items {
                    let reference = item.get("$ref").and_then(Node::as_str);
                    draft.branches.push((key == "allOf", reference, SchemaId::ANY));
                }
                let list = self.list(value, items);
                let from = draft.branches.len() - items.len();
                for (slot, id) in draft.branches.iter_mut().skip(from).zip(&list) {
                    slot.2 = *id;
                }
                list
            }
            // An empty list is not valid, and tools take it for nothing said.
            Kind::Array(_) => {
                self.warn(value, format!("an empty `{key}`"), "at least one schema");
                return;
            }
            Kind::Object(_) => {
                self.warn(value, format!("`{key}` that is one schema"), "an array of schemas");
                [self.schema(value)].into()
            }
            _ => {
                self.flaw(
                    value,
                    format!("`{key}` that is {}", value.node.type_name()),
                    "an array of schemas",
                );
                return;
            }
        };
        let applied = draft.applied();
        match key {
            "allOf" => applied.all_of = list,
            "anyOf" => applied.any_of = list,
            _ => applied.one_of = list,
        }
    }

    fn members(&mut self, draft: &mut Draft<'d>, key: &str, value: At<'d>, members: &'d [Member]) {
        for member in members {
            let inner = value.with(&member.value);
            match key {
                "properties" => {
                    let schema = self.schema(inner);
                    draft.properties.push((&member.key, schema));
                }
                "patternProperties" => {
                    let schema = self.schema(inner);
                    if let Some(pattern) = self.pattern(inner, &member.key) {
                        draft.patterns.push((pattern, schema));
                    }
                }
                _ => match member.value.as_array() {
                    Some(names) => {
                        let names = names.iter().filter_map(Node::as_str).map(Into::into).collect();
                        draft.dependent_required.push((member.key.clone(), names));
                    }
                    None => {
                        let schema = self.schema(inner);
                        draft.dependent_schemas.push((member.key.clone(), schema));
                    }
                },
            }
        }
        // That something is said about members counts, even if it is nothing.
        draft.object();
    }

    fn types(&mut self, draft: &mut Draft<'d>, value: At<'d>) {
        let mut types = Types::NONE;
        let names: Vec<&Node> = match &value.node.kind {
            Kind::String(_) => vec![value.node],
            // YAML reads a bare `null` as the value.
            Kind::Null => {
                draft.schema.types = Types::NULL;
                return;
            }
            Kind::Array(items) => items.iter().collect(),
            _ => {
                self.flaw(
                    value,
                    format!("a `type` that is {}", value.node.type_name()),
                    "the name of a type",
                );
                return;
            }
        };
        for node in names {
            let name = match &node.kind {
                Kind::String(name) => &**name,
                Kind::Null => "null",
                _ => "",
            };
            types = types.with(match name {
                "string" => Types::STRING,
                "integer" => Types::INTEGER,
                "number" => Types::NUMBER,
                "boolean" => Types::BOOLEAN,
                "array" => Types::ARRAY,
                "object" => Types::OBJECT,
                "null" => Types::NULL,
                // Swagger 2.0: the bytes of a part or of a response.
                "file" => Types::ANY,
                other => match near_type(other) {
                    Some((near, types)) => {
                        self.warn(value.with(node), format!("the type `{other}`"), format!("`{near}`"));
                        types
                    }
                    None => {
                        self.flaw(
                            value.with(node),
                            format!("the type `{other}`"),
                            "string, number, integer, boolean, array, object or null",
                        );
                        Types::ANY
                    }
                },
            });
        }
        if types != Types::NONE {
            draft.schema.types = types;
        }
    }

    fn pattern(&mut self, at: At<'d>, source: &'d str) -> Option<Arc<Pattern>> {
        let compile = || Pattern::new(source).map(Arc::new);
        match self.patterns.entry(source).or_insert_with(compile).clone() {
            Ok(pattern) => Some(pattern),
            Err(expected) => {
                self.flaw(at, "a pattern that cannot be enforced", expected);
                None
            }
        }
    }

    /// A count: a number, or the text of one.
    fn size(&mut self, at: At<'d>, key: &str) -> Option<u64> {
        let size = at.node.as_u64().or_else(|| {
            // A negative minimum says nothing; a number beyond all sizes neither.
            let float = at.node.as_number()?.as_f64()?;
            if float < 0.0 && key.starts_with("min") { Some(0) } else { (float > 9e15).then_some(u64::MAX) }
        });
        if size.is_some() || at.node.is_null() {
            return size;
        }
        let text = at.node.as_str().and_then(|text| text.trim().parse().ok());
        match text {
            Some(_) => self.warn(at, format!("`{key}` in quotes"), "a number"),
            None => self.flaw(
                at,
                format!("a `{key}` that is no size"),
                "a number without a fraction, not negative",
            ),
        }
        text
    }

    fn bound(&mut self, at: At<'d>, key: &str) -> Option<Number> {
        if let Some(number) = at.node.as_number() {
            return Some(number.clone());
        }
        if at.node.is_null() {
            return None;
        }
        let text = at.node.as_str().and_then(|text| serde_json::from_str(text.trim()).ok());
        match text {
            Some(_) => self.warn(at, format!("`{key}` in quotes"), "a number"),
            None => self.flaw(at, format!("a `{key}` that is no number"), "a number"),
        }
        text
    }
}

/// How a value is written in XML. An array has an element of its own by `wrapped`, since OpenAPI 3.2 by `nodeType`.
fn xml(at: At<'_>) -> Xml {
    let kind = at.str("nodeType").unwrap_or_default();
    Xml {
        name: at.str("name").map(Into::into),
        attribute: at.bool("attribute") || kind == "attribute",
        wrapped: at.bool("wrapped") || kind == "element",
        text: matches!(kind, "text" | "cdata"),
    }
}

/// The reference of a schema that says nothing else of weight.
fn pure_reference(members: &[Member], version: Version) -> Option<&str> {
    let reference = members.iter().find(|member| &*member.key == "$ref")?.value.as_str()?;
    let alone = members.iter().all(|member| match &*member.key {
        "$ref" => true,
        "nullable" | "x-nullable" | "readOnly" | "writeOnly" => member.value.as_bool() != Some(true),
        key => !version.is_json_schema() || is_annotation(key),
    });
    alone.then_some(reference)
}
