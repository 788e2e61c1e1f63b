//! YAML events folded into the tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as EventSpan, StrInput, Tag};

use super::{DuplicateKey, Kind, Limits, Member, Members, Node, Parsed, Span, Stopped, scalar};

pub(super) fn parse(text: &str, limits: Limits) -> Result<Parsed, Stopped> {
    // The parser takes a NUL for the end: what follows would be left out in silence.
    if let Some(at) = text.find('\0') {
        return Err(Stopped::new(at, "expected text; a NUL byte stands here"));
    }
    let mut builder = Builder {
        cursor: Cursor { text, ascii: text.is_ascii(), chars: 0, bytes: 0 },
        limits,
        nodes: 0,
        aliased: 0,
        open: Vec::new(),
        anchors: HashMap::new(),
        duplicates: Vec::new(),
        root: None,
    };
    let mut parser = Parser::<StrInput<'_>>::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => {
                let at = builder.cursor.byte(*error.marker());
                return Err(Stopped { at, what: format!("expected YAML or JSON: {}", error.info()) });
            }
        }
    }
    let end = text.len();
    let root = builder.root.unwrap_or(Node {
        kind: Kind::Null,
        span: Span { start: 0, end: u32::try_from(end).unwrap_or(u32::MAX) },
    });
    Ok(Parsed { root, duplicates: builder.duplicates })
}

/// Turns the parser's character positions into byte positions. Positions mostly ascend, so it walks.
struct Cursor<'t> {
    text: &'t str,
    ascii: bool,
    chars: usize,
    bytes: usize,
}

impl Cursor<'_> {
    fn byte(&mut self, marker: Marker) -> u32 {
        let target = marker.index();
        if self.ascii {
            return u32::try_from(target.min(self.text.len())).unwrap_or(u32::MAX);
        }
        if target >= self.chars {
            let rest = self.text.get(self.bytes..).unwrap_or_default();
            let mut walked = 0;
            for char in rest.chars().take(target - self.chars) {
                self.bytes += char.len_utf8();
                walked += 1;
            }
            self.chars += walked;
        } else {
            let before = self.text.get(..self.bytes).unwrap_or_default();
            for char in before.chars().rev().take(self.chars - target) {
                self.bytes -= char.len_utf8();
                self.chars -= 1;
            }
        }
        u32::try_from(self.bytes).unwrap_or(u32::MAX)
    }
}

/// A collection whose end has not come yet.
enum Open {
    Array { items: Vec<Node>, start: u32, anchor: usize },
    Object { members: Members, key: Option<Key>, merges: Vec<Node>, start: u32, anchor: usize },
}

struct Key {
    text: Box<str>,
    span: Span,
    merge: bool,
}

struct Builder<'t> {
    cursor: Cursor<'t>,
    limits: Limits,
    nodes: usize,
    aliased: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    duplicates: Vec<DuplicateKey>,
    root: Option<Node>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: EventSpan) -> Result<(), Stopped> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.span(span);
                let awaits_key = matches!(self.open.last(), Some(Open::Object { key: None, .. }));
                if awaits_key {
                    let merge = style == ScalarStyle::Plain && text == "<<";
                    if anchor != 0 {
                        self.anchors.insert(anchor, Node { kind: Kind::String((&*text).into()), span });
                    }
                    self.set_key(Key { text: (&*text).into(), span, merge });
                    return Ok(());
                }
                let kind = if style == ScalarStyle::Plain && tag.is_none() {
                    scalar::resolve(&text)
                } else {
                    tagged(&text, style, tag.as_deref())
                };
                self.place(Node { kind, span }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let start = self.begin(span)?;
                self.open.push(Open::Array { items: Vec::new(), start, anchor });
                Ok(())
            }
            Event::MappingStart(anchor, _) => {
                let start = self.begin(span)?;
                let (members, merges) = (Members::default(), Vec::new());
                self.open.push(Open::Object { members, key: None, merges, start, anchor });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) if self.root.is_some() => {
                let at = self.cursor.byte(span.start);
                Err(Stopped { at, what: "expected one document in the file, found a second one".into() })
            }
            _ => Ok(()),
        }
    }

    fn span(&mut self, span: EventSpan) -> Span {
        let start = self.cursor.byte(span.start);
        let end = self.cursor.byte(span.end);
        Span { start, end: end.max(start) }
    }

    fn begin(&mut self, span: EventSpan) -> Result<u32, Stopped> {
        let start = self.cursor.byte(span.start);
        if let Some(Open::Object { key: None, .. }) = self.open.last() {
            return Err(Stopped {
                at: start,
                what: "expected a plain key, found a collection as a key".into(),
            });
        }
        if self.open.len() >= self.limits.depth {
            return Err(Stopped { at: start, what: "objects and arrays are nested too deeply".into() });
        }
        Ok(start)
    }

    fn end(&mut self, span: EventSpan) -> Result<(), Stopped> {
        let end = self.cursor.byte(span.end);
        match self.open.pop() {
            Some(Open::Array { mut items, start, anchor }) => {
                items.shrink_to_fit();
                let span = Span { start, end: end.max(start) };
                self.place(Node { kind: Kind::Array(items), span }, anchor)
            }
            Some(Open::Object { mut members, merges, start, anchor, .. }) => {
                self.merge(&mut members, merges)?;
                let span = Span { start, end: end.max(start) };
                self.place(Node { kind: Kind::Object(members.finish()), span }, anchor)
            }
            None => Ok(()),
        }
    }

    /// Merge keys: members of the named objects count where the object itself has no such key.
    fn merge(&mut self, members: &mut Members, merges: Vec<Node>) -> Result<(), Stopped> {
        for source in merges {
            let at = source.span.start;
            let sources = match source.kind {
                Kind::Array(items) => items,
                kind => vec![Node { kind, span: source.span }],
            };
            for source in sources {
                let Kind::Object(inner) = source.kind else {
                    return Err(Stopped {
                        at,
                        what: "expected an object (or a list of them) after `<<`".into(),
                    });
                };
                for member in inner {
                    if !members.contains(&member.key) {
                        members.push(member);
                    }
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: EventSpan) -> Result<(), Stopped> {
        let span = self.span(span);
        let Some(node) = self.anchors.get(&anchor) else {
            let what =
                "expected an alias of something that is complete; this one names its own parent".into();
            return Err(Stopped { at: span.start, what });
        };
        if let Some(Open::Object { key: None, .. }) = self.open.last() {
            let Kind::String(text) = &node.kind else {
                return Err(Stopped { at: span.start, what: "expected a text as a key".into() });
            };
            let text = text.clone();
            self.set_key(Key { text, span, merge: false });
            return Ok(());
        }
        // Counted before it is copied: a few aliases of aliases would fill any memory.
        let budget = self.limits.aliased_nodes.saturating_sub(self.aliased);
        let Some(size) = size_within(node, budget) else {
            let what = format!("aliases expand to more than {} values", self.limits.aliased_nodes);
            return Err(Stopped { at: span.start, what });
        };
        self.aliased += size;
        let copy = node.clone();
        if depth_of(&copy) + self.open.len() > self.limits.depth {
            return Err(Stopped { at: span.start, what: "objects and arrays are nested too deeply".into() });
        }
        self.place(copy, 0)
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Open::Object { key, .. }) = self.open.last_mut() {
            *key = Some(new);
        }
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Stopped> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            let what = "the file has too many values; split it or raise the limit".into();
            return Err(Stopped { at: node.span.start, what });
        }
        if anchor != 0 {
            let budget = self.limits.aliased_nodes.saturating_sub(self.aliased);
            let Some(size) = size_within(&node, budget) else {
                let what = format!("anchors hold more than {} values", self.limits.aliased_nodes);
                return Err(Stopped { at: node.span.start, what });
            };
            self.aliased += size;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Array { items, .. }) => items.push(node),
            Some(Open::Object { members, key, merges, .. }) => match key.take() {
                Some(Key { merge: true, .. }) => merges.push(node),
                Some(Key { text, span, .. }) => {
                    members.add(Member { key: text, key_span: span, value: node }, &mut self.duplicates);
                }
                None => {
                    let what = "expected a plain key, found a collection as a key".into();
                    return Err(Stopped { at: node.span.start, what });
                }
            },
        }
        Ok(())
    }
}

/// A scalar with quotes or an explicit tag. Tags of an application's own are not known and not needed.
fn tagged(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    let suffix = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match suffix {
        Some("str") => Kind::String(text.into()),
        Some("null") => Kind::Null,
        Some("int" | "float" | "bool") => scalar::resolve(text),
        _ if style == ScalarStyle::Plain => scalar::resolve(text),
        _ => Kind::String(text.into()),
    }
}

/// The number of nodes of a tree, or nothing if it exceeds `budget`.
fn size_within(node: &Node, budget: usize) -> Option<usize> {
    fn count(node: &Node, left: &mut usize) -> Option<()> {
        *left = left.checked_sub(1)?;
        match &node.kind {
            Kind::Array(items) => items.iter().try_for_each(|item| count(item, left)),
            Kind::Object(members) => members.iter().try_for_each(|member| count(&member.value, left)),
            _ => Some(()),
        }
    }
    let mut left = budget;
    count(node, &mut left)?;
    Some(budget - left)
}

fn depth_of(node: &Node) -> usize {
    match &node.kind {
        Kind::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Kind::Object(members) => 1 + members.iter().map(|member| depth_of(&member.value)).max().unwrap_or(0),
        _ => 0,
    }
}
