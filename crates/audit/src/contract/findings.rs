//! Hits of rules, gathered into findings by what causes them.

use std::collections::HashMap;

use portcullis_openapi::source::{Node, Span};
use serde_json::Value;

use super::edit::{self, Edit};
use super::model::{Description, Operation, Parameter, Schema, Spot};
use super::rule::{Rule, Severity};

/// Hits of one finding that are kept with their places; all are counted.
pub const MAX_HITS: usize = 100;

/// Operations of one finding that are kept by name; all are counted.
pub(crate) const MAX_OPERATIONS: usize = 50;

/// Something wrong, with all places that have the same cause.
#[derive(Debug)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// What it is about: a schema, an operation, the document.
    pub subject: String,
    /// What stays the same from run to run as long as the finding does.
    pub key: String,
    /// How bad.
    pub severity: Severity,
    /// The places, at most [`MAX_HITS`]; never empty.
    pub hits: Vec<Hit>,
    /// How many there are.
    pub count: usize,
    /// The operations that it concerns, at most 50; empty where it is the document's.
    pub operations: Vec<String>,
    /// How many there are.
    pub operation_count: usize,
    /// Points of the document's score that fixing it gives.
    pub points: f64,
    /// Changes that mend it, where there are any and they were asked for.
    pub edits: Vec<Edit>,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The file's name.
    pub source: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// The name of what is there: a property, a parameter, a status.
    pub name: String,
    /// Its JSON pointer; of the first hit only.
    pub pointer: String,
}

/// What hits have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Document,
    Operation(u32),
    Unit(u32),
    /// A parameter, a scheme, a server, by its place.
    Place(usize, u32),
}

/// A finding in the making.
#[derive(Debug)]
pub(crate) struct Group<'t> {
    pub(crate) rule: &'static Rule,
    pub(crate) subject: Subject,
    /// Whether it concerns the requests, and whether the answers, of the operations that reach the unit.
    pub(crate) request: bool,
    pub(crate) response: bool,
    /// Operations that it concerns, where the subject does not say.
    pub(crate) operations: Vec<u32>,
    pub(crate) operation_count: usize,
    hits: Vec<(usize, Span, &'t str)>,
    count: usize,
    edits: Vec<Edit>,
}

/// Where rules put what they hit.
#[derive(Debug)]
pub(crate) struct Out<'a, 't> {
    description: &'a Description<'t>,
    rule: Option<&'static Rule>,
    groups: Vec<Group<'t>>,
    index: HashMap<Subject, usize>,
    /// The group that was hit last.
    last: Option<usize>,
}

impl<'a, 't> Out<'a, 't> {
    pub(crate) fn new(description: &'a Description<'t>) -> Self {
        Self { description, rule: None, groups: Vec::new(), index: HashMap::new(), last: None }
    }

    /// What follows is hit by `rule`.
    pub(crate) fn begin(&mut self, rule: &'static Rule) {
        self.rule = Some(rule);
        self.index.clear();
        self.last = None;
    }

    pub(crate) fn finish(self) -> Vec<Group<'t>> {
        self.groups
    }

    /// Something about the document as a whole.
    pub(crate) fn document(&mut self, at: Spot<'t>, name: &'t str) {
        self.hit(Subject::Document, at.file, at.node.span, name);
    }

    /// Something about one operation, at a place in it.
    pub(crate) fn operation(&mut self, operation: &Operation<'t>, file: usize, span: Span, name: &'t str) {
        let Some(group) = self.hit(Subject::Operation(operation.index), file, span, name) else { return };
        if group.operations.last() != Some(&operation.index) {
            group.operations.push(operation.index);
        }
    }

    /// Something about a parameter.
    pub(crate) fn parameter(&mut self, parameter: &Parameter<'t>) {
        let Spot { file, node } = parameter.spot;
        let Some(group) = self.hit(Subject::Place(file, node.span.start), file, node.span, parameter.name)
        else {
            return;
        };
        group.operations.extend(&parameter.operations);
    }

    /// Something about a schema; where it matters for requests, answers or both.
    pub(crate) fn schema(&mut self, schema: &Schema<'t>, request: bool, response: bool) {
        let subject = Subject::Unit(schema.unit);
        let Some(group) = self.hit(subject, schema.spot.file, schema.key, schema.name) else { return };
        group.request |= request;
        group.response |= response;
    }

    /// Something at a place of its own that concerns some operations, or, where there are none, the document.
    pub(crate) fn place(&mut self, at: Spot<'t>, name: &'t str, operations: &[u32]) {
        let subject = Subject::Place(at.file, at.node.span.start);
        let Some(group) = self.hit(subject, at.file, at.node.span, name) else { return };
        group.operations.extend(operations);
    }

    /// A change that mends what was hit last: `key: value` added to an object.
    pub(crate) fn insert(&mut self, object: Spot<'t>, key: &str, value: impl FnOnce() -> Value, safe: bool) {
        if !self.description.options.edits {
            return;
        }
        let Some(document) = self.description.document(object.file) else { return };
        let edit = edit::insert(document, object.node, key, &value(), safe);
        self.edit(edit);
    }

    /// A change that mends what was hit last: other text in place of a scalar.
    pub(crate) fn replace(&mut self, at: Spot<'t>, value: impl FnOnce() -> Value, safe: bool) {
        if !self.description.options.edits {
            return;
        }
        let Some(document) = self.description.document(at.file) else { return };
        let edit = edit::replace(document, at.node, &value(), safe);
        self.edit(edit);
    }

    fn edit(&mut self, edit: Option<Edit>) {
        let Some(edit) = edit else { return };
        if let Some(group) = self.last.and_then(|at| self.groups.get_mut(at)) {
            group.edits.push(edit);
        }
    }

    fn hit(&mut self, subject: Subject, file: usize, span: Span, name: &'t str) -> Option<&mut Group<'t>> {
        let rule = self.rule?;
        let subject = if rule.once { Subject::Document } else { subject };
        let groups = &mut self.groups;
        // Hits of one subject mostly follow each other.
        let same = |at: &usize| groups.get(*at).is_some_and(|group: &Group<'_>| group.subject == subject);
        let at = self.last.filter(same).unwrap_or_else(|| {
            *self.index.entry(subject).or_insert_with(|| {
                groups.push(Group {
                    rule,
                    subject,
                    request: false,
                    response: false,
                    operations: Vec::new(),
                    operation_count: 0,
                    hits: Vec::new(),
                    count: 0,
                    edits: Vec::new(),
                });
                groups.len() - 1
            })
        });
        self.last = Some(at);
        let group = self.groups.get_mut(at)?;
        group.count += 1;
        if group.hits.len() < MAX_HITS {
            group.hits.push((file, span, name));
        }
        Some(group)
    }
}

impl Group<'_> {
    /// Whether it concerns the document, not single operations.
    pub(crate) fn is_document(&self) -> bool {
        matches!(self.subject, Subject::Document | Subject::Place(..)) && self.operations.is_empty()
    }

    pub(crate) fn finish(self, description: &Description<'_>, points: f64) -> Finding {
        let mut hits: Vec<Hit> = self.hits.iter().filter_map(|hit| place(description, *hit)).collect();
        if let (Some(first), Some((file, span, _))) = (hits.first_mut(), self.hits.first()) {
            first.pointer =
                description.document(*file).map(|document| document.pointer_at(*span)).unwrap_or_default();
        }
        let first = hits.first();
        let name = first.map(|hit| hit.name.clone()).unwrap_or_default();
        let label = |index: &u32| description.labels.get(*index as usize).cloned();
        let subject = match self.subject {
            Subject::Unit(unit) => description.unit_label(unit),
            Subject::Operation(index) => label(&index).unwrap_or_default(),
            Subject::Document | Subject::Place(..) if self.count == 1 && !name.is_empty() => {
                format!("`{name}`")
            }
            Subject::Document | Subject::Place(..) => String::new(),
        };
        let key = match self.subject {
            // One more operation is something new, where it matters.
            Subject::Document if self.rule.severity >= Severity::Medium => {
                let labels: Vec<String> = self.operations.iter().filter_map(label).collect();
                labels.join(", ")
            }
            Subject::Document => String::new(),
            Subject::Unit(_) | Subject::Operation(_) => subject.clone(),
            Subject::Place(..) => format!("{name} {}", first.map_or("", |hit| &hit.pointer)),
        };
        let mut operations = self.operations;
        operations.sort_unstable();
        operations.dedup();
        let operation_count = self.operation_count.max(operations.len());
        Finding {
            rule: self.rule,
            subject,
            key,
            severity: self.rule.severity,
            hits,
            count: self.count,
            operations: operations.iter().take(MAX_OPERATIONS).filter_map(label).collect(),
            operation_count,
            points,
            edits: self.edits,
        }
    }

    /// Notes an operation that reaches the group's unit.
    pub(crate) fn reached(&mut self, operation: u32) {
        self.reached_by(&[operation], 1);
    }

    /// The same of `count` operations, of which some are `named`.
    pub(crate) fn reached_by(&mut self, named: &[u32], count: usize) {
        self.operation_count += count;
        let room = MAX_OPERATIONS.saturating_sub(self.operations.len());
        self.operations.extend(named.iter().take(room));
    }
}

fn place(description: &Description<'_>, (file, span, name): (usize, Span, &str)) -> Option<Hit> {
    let document = description.document(file)?;
    let at = document.locate(span.start);
    Some(Hit {
        source: document.name().to_owned(),
        line: at.line,
        column: at.column,
        name: name.chars().take(120).collect(),
        pointer: String::new(),
    })
}

/// The first member of an object, as a place that shows it.
pub(crate) fn head(node: &Node) -> Span {
    node.as_object().and_then(<[_]>::first).map_or(node.span, |first| first.key_span)
}
