//! Schemas of a document, whichever dialect, compiled into the arena.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::files::{At, Files, Resolver};
use super::keywords::{Bounds, KEYWORDS, Keywords, near_keyword};
use crate::model::Version;
use crate::problem::{Problem, Severity};
use crate::schema::{
    Applied, Arena, ArrayRules, Bound, Constants, Dependents, Discriminator, Format, MultipleOf, NumberRules,
    ObjectRules, Pattern, Property, Schema, SchemaId, StringRules, Types,
};
use crate::source::{Kind, Member, Node};

/// References that are followed from one to the next.
const MAX_HOPS: usize = 64;

/// Combinations of anchors that schemas with `$dynamicRef` are compiled for.
const MAX_ENVS: usize = 1_024;

/// For each dynamic anchor, the outermost schema that has it on the way to where it is used (2020-12 core, section
/// 8.2.3.2). A schema that is entered by two ways is compiled for each. Nothing for one that is there twice.
type Env<'d> = Vec<(&'d str, Option<At<'d>>)>;

/// An [`Env`] by its place.
type EnvId = usize;

/// Compiles schemas, each node once, and keeps what was wrong with them.
#[derive(Debug)]
pub(crate) struct Compiler<'d> {
    resolver: &'d Resolver<'d>,
    versions: Vec<Version>,
    pub(crate) arena: Arena,
    memo: HashMap<(*const Node, EnvId), SchemaId>,
    queue: Vec<(SchemaId, At<'d>, EnvId)>,
    /// The anchors in force where the schema that is being read was entered from.
    env: EnvId,
    envs: Vec<Env<'d>>,
    known_envs: HashMap<Vec<(&'d str, Option<*const Node>)>, EnvId>,
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

    fn files(&self) -> &'d Files {
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

    fn flaw(&mut self, at: At<'d>, what: impl Into<String>, expected: impl Into<String>) {
        let problem = self.files().problem(at, Severity::Error, what, expected);
        self.flaws.entry(self.current).or_default().push(problem);
    }

    fn warn(&mut self, at: At<'d>, what: impl Into<String>, expected: impl Into<String>) {
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
            _ => {
                if let Some(near) = near_keyword(key) {
                    self.warn(value, format!("`{key}`, which says nothing"), format!("`{near}`"));
                }
            }
        }
    }

    /// The anchors in force after entering the resource of a schema.
    fn enter(&mut self, env: EnvId, at: At<'d>) -> EnvId {
        if !self.resolver.is_dynamic {
            return env;
        }
        let mut list = self.envs.get(env).cloned().unwrap_or_default();
        let length = list.len();
        for (name, anchor) in self.resolver.dynamic_anchors(at) {
            if !list.iter().any(|(known, _)| *known == name) {
                list.push((name, anchor));
            }
        }
        if list.len() == length || self.envs.len() >= MAX_ENVS {
            return env;
        }
        list.sort_by_key(|(name, _)| *name);
        let key = list.iter().map(|(name, at)| (*name, at.map(|at| std::ptr::from_ref(at.node)))).collect();
        let next = self.envs.len();
        let id = *self.known_envs.entry(key).or_insert(next);
        if id == next {
            self.envs.push(list);
        }
        id
    }

    /// A reference whose target depends on where the schema was entered from.
    fn dynamic(&mut self, draft: &mut Draft<'d>, key: &str, value: At<'d>) {
        let reference = value.node.as_str().unwrap_or_default();
        let target = match self.resolver.find(value, reference) {
            Ok(target) => target,
            Err(expected) => return self.flaw(value, format!("`{reference}` leads nowhere"), expected),
        };
        let name = match key {
            "$recursiveRef" => target
                .get("$recursiveAnchor")
                .filter(|anchor| anchor.node.as_bool() == Some(true))
                .map(|_| ""),
            // Only an anchor that is dynamic itself stands for others of its name.
            _ => target
                .str("$dynamicAnchor")
                .filter(|name| reference.split_once('#').is_some_and(|(_, own)| own == *name)),
        };
        let env = self.envs.get(self.env);
        let outermost = name.and_then(|name| env?.iter().find(|(known, _)| *known == name));
        let ambiguous = matches!(outermost, Some((_, None))) || name.is_some() && self.envs.len() >= MAX_ENVS;
        if ambiguous {
            return self.flaw(
                value,
                format!("a `{key}` that may lead to several places"),
                "a `$ref`, or an anchor that is there once in each schema with a `$id`",
            );
        }
        let target = outermost.and_then(|(_, outermost)| *outermost).unwrap_or(target);
        draft.dynamic = Some(self.schema(target));
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

    fn finish(&mut self, mut draft: Draft<'d>) -> Schema {
        let bounds = Bounds {
            lower: draft.minimum.is_some() || draft.above.is_some(),
            upper: draft.maximum.is_some() || draft.below.is_some(),
        };
        if let Some(dynamic) = draft.dynamic {
            let applied = draft.applied();
            match applied.reference {
                None => applied.reference = Some(dynamic),
                Some(_) => applied.all_of = applied.all_of.iter().copied().chain([dynamic]).collect(),
            }
        }
        self.discriminate(&mut draft);
        self.formats(&mut draft);
        if let Some(value) = draft.minimum.take() {
            let bound = Bound::new(value, draft.exclusive_minimum);
            tighten(&mut draft.number().min, bound, std::cmp::Ordering::Greater);
        }
        if let Some(value) = draft.above.take() {
            tighten(&mut draft.number().min, Bound::new(value, true), std::cmp::Ordering::Greater);
        }
        if let Some(value) = draft.maximum.take() {
            let bound = Bound::new(value, draft.exclusive_maximum);
            tighten(&mut draft.number().max, bound, std::cmp::Ordering::Less);
        }
        if let Some(value) = draft.below.take() {
            tighten(&mut draft.number().max, Bound::new(value, true), std::cmp::Ordering::Less);
        }
        if let Some(additional) = draft.additional_items
            && !draft.array().prefix.is_empty()
        {
            let array = draft.array();
            array.items = array.items.or(Some(additional));
        }
        if let Some(array) = &mut draft.schema.array {
            array.min_contains = draft.min_contains.unwrap_or(1);
        }
        let mut constants = draft.constants.take();
        if let Some(constant) = draft.constant.take() {
            let kept = match constants {
                Some(values) if !values.contains(&constant) => Vec::new(),
                _ => vec![constant],
            };
            constants = Some(kept);
        }
        draft.schema.constants = constants.map(|values| Box::new(sorted_constants(values)));
        if !draft.properties.is_empty() || !draft.required.is_empty() {
            let (properties, required) =
                (std::mem::take(&mut draft.properties), std::mem::take(&mut draft.required));
            draft.object().properties = sorted_properties(properties, required);
        }
        if let Some(object) = &mut draft.schema.object {
            object.patterns = draft.patterns.into();
            object.dependent_required = draft.dependent_required.into();
            object.dependent_schemas = draft.dependent_schemas.into();
        }
        if let Some(keywords) = &mut self.keywords {
            keywords.note(&draft.schema, bounds);
        }
        draft.schema
    }

    /// Formats of numbers are bounds; formats of strings are checked.
    fn formats(&mut self, draft: &mut Draft<'d>) {
        let Some(name) = draft.format else { return };
        let numeric = draft.schema.types.has(Types::INTEGER) && !draft.schema.types.has(Types::STRING);
        let range: Option<(Number, Number)> = match name {
            "int32" => Some((i32::MIN.into(), i32::MAX.into())),
            "int64" => Some((i64::MIN.into(), i64::MAX.into())),
            "int16" => Some((i16::MIN.into(), i16::MAX.into())),
            "int8" => Some((i8::MIN.into(), i8::MAX.into())),
            "uint32" => Some((0.into(), u32::MAX.into())),
            "uint64" => Some((0.into(), u64::MAX.into())),
            "uint16" => Some((0.into(), u16::MAX.into())),
            "uint8" => Some((0.into(), u8::MAX.into())),
            _ => None,
        };
        if let (Some((min, max)), true) = (range, numeric) {
            draft.number().min = Some(Bound::new(min, false));
            draft.number().max = Some(Bound::new(max, false));
        } else if draft.schema.types.has(Types::STRING)
            && let Some(format) = Format::from_name(name)
        {
            draft.string().format = Some(format);
        }
    }

    fn discriminate(&mut self, draft: &mut Draft<'d>) {
        let Some(at) = draft.discriminator else { return };
        // Swagger 2.0 names the property and nothing else.
        let Some(property) = at.node.as_str().or_else(|| at.str("propertyName")) else {
            self.warn(at, "a `discriminator` without `propertyName`", "the name of a property");
            return;
        };
        if at.get("defaultMapping").is_some() {
            // What an unknown value leads to (OpenAPI 3.2): all alternatives are tried.
            return;
        }
        let branches: Vec<(Option<&str>, SchemaId)> = draft
            .branches
            .iter()
            .filter(|(all, ..)| !all)
            .map(|(_, reference, schema)| (*reference, *schema))
            .collect();
        if branches.iter().any(|(reference, _)| reference.is_none()) {
            return;
        }
        let mut mapping: Vec<(Box<str>, SchemaId)> = Vec::new();
        let mut complete = true;
        if !branches.is_empty() {
            let written = at.get("mapping").and_then(|mapping| mapping.node.as_object()).unwrap_or_default();
            for member in written {
                let Some(reference) = member.value.as_str() else { continue };
                match self.named(at, reference) {
                    Some(schema) => mapping.push((member.key.clone(), schema)),
                    // The alternatives themselves are judged as well without it.
                    None => {
                        complete = false;
                        self.warn(
                            at.with(&member.value),
                            format!("`{reference}` leads nowhere; all alternatives are tried instead"),
                            "a reference to a schema, or its name",
                        );
                    }
                }
            }
            if !complete {
                return;
            }
            for (reference, schema) in branches {
                let name = reference.unwrap_or_default().rsplit(['/', '#']).next().unwrap_or_default();
                let name = name.strip_suffix(".json").or(name.strip_suffix(".yaml")).unwrap_or(name);
                let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
                let name: Box<str> = crate::source::unescape_token(&name).into();
                if !mapping.iter().any(|(known, _)| *known == name) {
                    mapping.push((name, schema));
                }
            }
            mapping.sort_by(|left, right| left.0.cmp(&right.0));
            mapping.dedup_by(|left, right| left.0 == right.0);
        }
        draft.applied().discriminator =
            Some(Discriminator { property: property.into(), mapping: mapping.into() });
    }

    /// A schema by reference or by its bare name.
    fn named(&mut self, at: At<'d>, reference: &'d str) -> Option<SchemaId> {
        if let Ok(target) = self.resolver.find(at, reference)
            && reference.contains(['#', '/', '.'])
        {
            return Some(self.schema(target));
        }
        let root = self.files().documents().get(at.file)?.root();
        let schemas = root.pointer("/components/schemas").or_else(|| root.get("definitions"))?;
        schemas.get(reference).map(|node| self.schema(At { file: at.file, node }))
    }
}

/// A schema while its keywords are read.
#[derive(Debug, Default)]
struct Draft<'d> {
    schema: Schema,
    format: Option<&'d str>,
    constants: Option<Vec<Value>>,
    constant: Option<Value>,
    minimum: Option<Number>,
    maximum: Option<Number>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    above: Option<Number>,
    below: Option<Number>,
    additional_items: Option<SchemaId>,
    min_contains: Option<u64>,
    properties: Vec<(&'d str, SchemaId)>,
    required: Vec<&'d str>,
    patterns: Vec<(Arc<Pattern>, SchemaId)>,
    dependent_required: Vec<Dependents>,
    dependent_schemas: Vec<(Box<str>, SchemaId)>,
    /// For each branch: whether it is of `allOf`, its reference, its schema.
    branches: Vec<(bool, Option<&'d str>, SchemaId)>,
    discriminator: Option<At<'d>>,
    /// What `$dynamicRef` leads to.
    dynamic: Option<SchemaId>,
}

impl Draft<'_> {
    fn string(&mut self) -> &mut StringRules {
        self.schema.string.get_or_insert_default()
    }

    fn number(&mut self) -> &mut NumberRules {
        self.schema.number.get_or_insert_default()
    }

    fn array(&mut self) -> &mut ArrayRules {
        self.schema.array.get_or_insert_default()
    }

    fn object(&mut self) -> &mut ObjectRules {
        self.schema.object.get_or_insert_default()
    }

    fn applied(&mut self) -> &mut Applied {
        self.schema.applied.get_or_insert_default()
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

/// The keywords of the vocabulary for validation (2020-12 validation, section 6).
fn asserts(key: &str) -> bool {
    matches!(
        key,
        "type"
            | "enum"
            | "const"
            | "multipleOf"
            | "maximum"
            | "exclusiveMaximum"
            | "minimum"
            | "exclusiveMinimum"
            | "maxLength"
            | "minLength"
            | "pattern"
            | "maxItems"
            | "minItems"
            | "uniqueItems"
            | "maxContains"
            | "minContains"
            | "maxProperties"
            | "minProperties"
            | "required"
            | "dependentRequired"
    )
}

/// Keywords that demand nothing of a value.
fn is_annotation(key: &str) -> bool {
    matches!(
        key,
        "title"
            | "description"
            | "summary"
            | "example"
            | "examples"
            | "default"
            | "deprecated"
            | "externalDocs"
            | "xml"
            | "$comment"
            | "$id"
            | "id"
            | "$schema"
            | "$anchor"
            | "$dynamicAnchor"
            | "$defs"
            | "definitions"
            | "contentMediaType"
            | "contentEncoding"
            | "contentSchema"
            | "$vocabulary"
            | "collectionFormat"
    ) || key.starts_with("x-") && key != "x-nullable"
}

/// Names that authors write for a type.
fn near_type(name: &str) -> Option<(&'static str, Types)> {
    Some(match name.to_ascii_lowercase().as_str() {
        "string" | "str" | "text" | "date" | "datetime" | "date-time" | "uuid" | "uri" | "url" | "email"
        | "enum" | "byte" | "binary" | "password" | "timestamp" | "char" => ("string", Types::STRING),
        "integer" | "int" | "int32" | "int64" | "long" => ("integer", Types::INTEGER),
        "number" | "float" | "double" | "decimal" | "numeric" => ("number", Types::NUMBER),
        "boolean" | "bool" => ("boolean", Types::BOOLEAN),
        "array" | "list" => ("array", Types::ARRAY),
        "object" | "map" | "dict" | "json" | "hash" => ("object", Types::OBJECT),
        "null" | "nil" | "none" => ("null", Types::NULL),
        "any" | "mixed" => ("no `type` at all", Types::ANY),
        _ => return None,
    })
}

/// Keeps the tighter of two bounds.
fn tighten(slot: &mut Option<Bound>, bound: Bound, tighter: std::cmp::Ordering) {
    let keep = slot.as_ref().is_some_and(|known| {
        let order = crate::schema::compare_numbers(&known.value, &bound.value);
        order == tighter || order.is_eq() && known.exclusive
    });
    if !keep {
        *slot = Some(bound);
    }
}

fn sorted_constants(values: Vec<Value>) -> Constants {
    let (mut strings, mut others): (Vec<Box<str>>, Vec<Value>) = Default::default();
    for value in values {
        match value {
            Value::String(text) => strings.push(text.into()),
            other => others.push(other),
        }
    }
    strings.sort_unstable();
    strings.dedup();
    Constants { strings: strings.into(), others: others.into() }
}

fn sorted_properties(described: Vec<(&str, SchemaId)>, required: Vec<&str>) -> Box<[Property]> {
    let property = |name: &str, schema, described| Property {
        name: name.into(),
        schema,
        described,
        required: false,
        read_only: false,
        write_only: false,
    };
    let mut list: Vec<Property> =
        described.into_iter().map(|(name, schema)| property(name, schema, true)).collect();
    list.sort_by(|left, right| left.name.cmp(&right.name));
    let mut undescribed = Vec::new();
    for name in required {
        match list.binary_search_by(|known| (*known.name).cmp(name)) {
            Ok(found) => {
                if let Some(known) = list.get_mut(found) {
                    known.required = true;
                }
            }
            Err(_) => undescribed.push(name),
        }
    }
    undescribed.sort_unstable();
    undescribed.dedup();
    list.extend(
        undescribed
            .into_iter()
            .map(|name| Property { required: true, ..property(name, SchemaId::ANY, false) }),
    );
    list.sort_by(|left, right| left.name.cmp(&right.name));
    list.into()
}
