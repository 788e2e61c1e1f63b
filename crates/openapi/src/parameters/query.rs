//! The query string: read once for all parameters.

use std::borrow::Cow;

use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::style::{MAX_ITEMS, too_many};
use super::{Reject, Wire, check_text, form_value, judge, missing, text, value_of};
use crate::media::BodyFormat;
use crate::model::{In, Operation, Parameter, QueryString, Style};
use crate::report::{Location, MAX_VIOLATIONS, Violation, ViolationKind, safe_name};
use crate::schema::{Arena, Issue, SchemaId, Types};

/// `name=value` pairs that a query string may have.
const MAX_PAIRS: usize = 1_000;

/// Brackets after each other in the name of a `deepObject` member.
const MAX_BRACKETS: usize = 8;

/// One pair, and the parameter that it belongs to.
#[derive(Debug)]
pub(super) struct Pair<'q> {
    pub(super) name: Cow<'q, str>,
    pub(super) value: &'q str,
    owner: Option<usize>,
}

impl Pair<'_> {
    pub(super) fn is_of(&self, parameter: usize) -> bool {
        self.owner == Some(parameter)
    }

    pub(super) fn is_nobodys(&self) -> bool {
        self.owner.is_none()
    }
}

pub(super) type Pairs<'q> = SmallVec<[Pair<'q>; 16]>;

/// Checks the query parameters of an operation, and that there are no others.
pub(crate) fn check_query(arena: &Arena, operation: &Operation, query: &str, out: &mut Vec<Violation>) {
    if let Some(whole) = &operation.query_string {
        check_whole(arena, operation, whole, query, out);
        return;
    }
    let pairs = match scan(query, &operation.parameters, MAX_PAIRS) {
        Ok(pairs) => pairs,
        Err(expected) => {
            out.push(violation(ViolationKind::InvalidParameter, "", expected));
            return;
        }
    };
    for (index, parameter) in operation.parameters.iter().enumerate() {
        if parameter.location != In::Query {
            continue;
        }
        let mut own = pairs.iter().filter(|pair| pair.owner == Some(index));
        let (first, more) = (own.next(), own.next().is_some());
        let Some(first) = first else {
            if parameter.required {
                out.push(missing(parameter));
            }
            continue;
        };
        let alone = !more && parameter.style != Style::DeepObject && first.name == *parameter.name;
        let checked = if parameter.allow_empty && !more && first.value.is_empty() {
            Ok(())
        } else if alone && !is_list(parameter) {
            check_text(arena, parameter, first.value, Wire::Form)
        } else {
            check_pairs(arena, parameter, &pairs, index)
        };
        if let Err(reject) = checked {
            reject.report(parameter, ViolationKind::InvalidParameter, out);
        }
    }
    let credentials = |name: &str| {
        operation.credential_names.iter().any(|(place, known)| *place == In::Query && **known == *name)
    };
    let fixed = |name: &str| operation.fixed_query.iter().any(|(known, _)| **known == *name);
    let unknown =
        pairs.iter().filter(|pair| pair.owner.is_none() && !credentials(&pair.name) && !fixed(&pair.name));
    for pair in unknown.take(MAX_VIOLATIONS) {
        out.push(violation(
            ViolationKind::UnknownParameter,
            &pair.name,
            "a parameter that the operation describes",
        ));
    }
}

/// Checks a query string that is one value: a form, or a text of another type that is percent-encoded.
fn check_whole(
    arena: &Arena,
    operation: &Operation,
    whole: &QueryString,
    query: &str,
    out: &mut Vec<Violation>,
) {
    let is_credential = |pair: &&str| {
        let name = Wire::Form.decode(pair.split('=').next().unwrap_or_default()).unwrap_or_default();
        operation.credential_names.iter().any(|(place, known)| *place == In::Query && **known == *name)
    };
    let own: Vec<&str> = query.split('&').filter(|pair| !is_credential(pair)).collect();
    let own = own.join("&");
    if own.is_empty() {
        if whole.required {
            out.push(violation(ViolationKind::MissingParameter, &whole.name, "it to be there"));
        }
        return;
    }
    let schema = whole.media.schema.unwrap_or(SchemaId::ANY);
    let value = match whole.media.range.format() {
        BodyFormat::Form => form_value(arena, &whole.media, own.as_bytes()),
        format => match Wire::Percent.decode(&own) {
            Err(_) => Err(vec![Issue { pointer: String::new(), expected: "percent-encoded UTF-8".into() }]),
            Ok(text) if format == BodyFormat::Json => serde_json::from_str(&text)
                .map_err(|_| vec![Issue { pointer: String::new(), expected: "JSON".into() }]),
            Ok(text) => Ok(text::coerce(arena, schema, &text)),
        },
    };
    let issues = match value {
        Ok(value) => arena.validate(schema, &value, crate::schema::Direction::Request),
        Err(issues) => issues,
    };
    out.extend(issues.into_iter().take(MAX_VIOLATIONS).map(|issue| Violation {
        kind: ViolationKind::InvalidParameter,
        location: Location::Query,
        name: safe_name(&whole.name).into(),
        pointer: issue.pointer.into(),
        expected: issue.expected,
    }));
}

fn violation(kind: ViolationKind, name: &str, expected: &'static str) -> Violation {
    Violation {
        kind,
        location: Location::Query,
        name: safe_name(name).into(),
        pointer: "".into(),
        expected: expected.into(),
    }
}

/// Whether each item stands in a pair of its own.
fn is_list(parameter: &Parameter) -> bool {
    parameter.style == Style::Form
        && parameter.explode
        && parameter.content.is_none()
        && parameter.decoder.types().has(Types::ARRAY)
}

/// Takes a query string or a form apart and finds the parameter of each pair.
pub(super) fn scan<'q>(
    text: &'q str,
    parameters: &[Parameter],
    max: usize,
) -> Result<Pairs<'q>, &'static str> {
    let mut pairs = Pairs::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() >= max {
            return Err("fewer parameters");
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = Wire::Form.decode(name).map_err(|_| "names that are percent-encoded UTF-8")?;
        let owner = owner(&name, parameters);
        pairs.push(Pair { name, value, owner });
    }
    Ok(pairs)
}

fn owner(name: &str, parameters: &[Parameter]) -> Option<usize> {
    let query = || parameters.iter().enumerate().filter(|(_, parameter)| parameter.location == In::Query);
    let found = query()
        .find(|(_, parameter)| *parameter.name == *name)
        .or_else(|| {
            query().find(|(_, parameter)| {
                parameter.style == Style::DeepObject
                    && name.strip_prefix(&*parameter.name).is_some_and(|rest| rest.starts_with('['))
            })
        })
        .or_else(|| {
            query().find(|(_, parameter)| parameter.decoder.members.iter().any(|member| **member == *name))
        })
        .or_else(|| query().find(|(_, parameter)| parameter.decoder.open));
    found.map(|(index, _)| index)
}

fn check_pairs(arena: &Arena, parameter: &Parameter, pairs: &Pairs<'_>, index: usize) -> Result<(), Reject> {
    let once = |wire| judge(arena, parameter.schema, &read(arena, parameter, pairs, index, wire)?);
    once(Wire::Form).or_else(|reject| {
        let plus = pairs.iter().any(|pair| pair.owner == Some(index) && pair.value.contains('+'));
        if plus { once(Wire::Percent).map_err(|_| reject) } else { Err(reject) }
    })
}

/// The value of a parameter from all pairs that belong to it.
pub(super) fn read(
    arena: &Arena,
    parameter: &Parameter,
    pairs: &Pairs<'_>,
    index: usize,
    wire: Wire,
) -> Result<Value, Reject> {
    let mut own: SmallVec<[&Pair<'_>; 8]> = pairs.iter().filter(|pair| pair.owner == Some(index)).collect();
    let named = own.iter().filter(|pair| *pair.name == *parameter.name).count();
    // Of an object that is written apart, a member may have the parameter's own name.
    let apart = parameter.decoder.is_apart()
        && (named < own.len() || parameter.decoder.members.contains(&parameter.name))
        && parameter.style == Style::Form;
    if apart {
        return members(arena, parameter, &own, wire);
    }
    if named < own.len() {
        if named > 0 {
            return Err(Reject::text("either one value or members in brackets"));
        }
        return deep(arena, parameter, &own, wire);
    }
    if is_list(parameter) {
        if own.len() > MAX_ITEMS {
            return Err(too_many());
        }
        let item = |(index, pair): (usize, &&Pair<'_>)| {
            let decoded = wire.decode(pair.value)?;
            Ok(text::coerce(arena, arena.item_schema(parameter.schema, index), &decoded))
        };
        let list = Value::Array(own.iter().enumerate().map(item).collect::<Result<_, Reject>>()?);
        let types = parameter.decoder.types();
        if own.len() > 1 || types.and(Types::ANY) == Types::ARRAY || types == Types::ARRAY.with(Types::NULL) {
            return Ok(list);
        }
        if arena.accepts(parameter.schema, &list, crate::schema::Direction::Request) {
            return Ok(list);
        }
    }
    match (own.pop(), own.is_empty()) {
        (Some(pair), true) => value_of(arena, parameter, pair.value, wire),
        _ => Err(Reject::text("one value, not several")),
    }
}

fn members(arena: &Arena, parameter: &Parameter, own: &[&Pair<'_>], wire: Wire) -> Result<Value, Reject> {
    let mut members: Map<String, Value> = Map::new();
    for pair in own {
        let schema = arena.member_schema(parameter.schema, &pair.name).unwrap_or(SchemaId::ANY);
        let decoded = wire.decode(pair.value)?;
        if arena.types_of(schema) == Types::ARRAY {
            let list = members.entry(pair.name.as_ref()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                let item = arena.item_schema(schema, list.len());
                list.push(text::coerce(arena, item, &decoded));
            }
        } else if members.insert(pair.name.to_string(), text::coerce(arena, schema, &decoded)).is_some() {
            return Err(Reject::text("each member once"));
        }
    }
    Ok(Value::Object(members))
}

/// Members of a `deepObject` while they are gathered.
enum Deep<'q> {
    Text(Cow<'q, str>),
    Members(Vec<(String, Deep<'q>)>),
}

/// `name[a][b]=1`, `name[]=1`, `name[0]=1`.
fn deep(arena: &Arena, parameter: &Parameter, own: &[&Pair<'_>], wire: Wire) -> Result<Value, Reject> {
    let malformed = || Reject::text("members as `name[member]=value`");
    let mut root: Vec<(String, Deep<'_>)> = Vec::new();
    for pair in own {
        let brackets = pair.name.strip_prefix(&*parameter.name).unwrap_or_default();
        let inner =
            brackets.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(malformed)?;
        let keys: SmallVec<[&str; 8]> = inner.split("][").collect();
        if keys.len() > MAX_BRACKETS || inner.replace("][", "").contains(['[', ']']) {
            return Err(malformed());
        }
        let value = wire.decode(pair.value)?;
        insert(&mut root, &keys, value)?;
    }
    Ok(build(arena, parameter.schema, root, MAX_BRACKETS))
}

fn insert<'q>(
    members: &mut Vec<(String, Deep<'q>)>,
    keys: &[&str],
    value: Cow<'q, str>,
) -> Result<(), Reject> {
    let Some((key, rest)) = keys.split_first() else { return Ok(()) };
    let twice = || Reject::text("each member once");
    // `[]` appends.
    let known = members.iter_mut().find(|(known, _)| !key.is_empty() && known == key);
    match (known, rest.is_empty()) {
        (None, true) => members.push(((*key).to_owned(), Deep::Text(value))),
        (None, false) => {
            let mut inner = Vec::new();
            insert(&mut inner, rest, value)?;
            members.push(((*key).to_owned(), Deep::Members(inner)));
        }
        (Some((_, Deep::Members(inner))), false) => insert(inner, rest, value)?,
        _ => return Err(twice()),
    }
    Ok(())
}

fn build(arena: &Arena, schema: SchemaId, members: Vec<(String, Deep<'_>)>, depth: usize) -> Value {
    let types = arena.types_of(schema);
    let indexes = members.iter().all(|(key, _)| key.bytes().all(|byte| byte.is_ascii_digit()));
    let is_array = types.has(Types::ARRAY) && indexes && !members.is_empty();
    let inner = |schema: SchemaId, member: Deep<'_>| match member {
        Deep::Text(decoded) => text::coerce(arena, schema, &decoded),
        Deep::Members(members) if depth > 0 => build(arena, schema, members, depth - 1),
        Deep::Members(_) => Value::Null,
    };
    if is_array {
        let item = |(index, (_, member)): (usize, (String, Deep<'_>))| {
            inner(arena.item_schema(schema, index), member)
        };
        return Value::Array(members.into_iter().enumerate().map(item).collect());
    }
    let member = |(key, member): (String, Deep<'_>)| {
        let schema = arena.member_schema(schema, &key).unwrap_or(SchemaId::ANY);
        let value = inner(schema, member);
        (key, value)
    };
    Value::Object(members.into_iter().map(member).collect())
}
