//! Documents of several kinds, read into the one model.

pub(crate) mod graphql;
mod observed;
mod openapi;
mod postman;
mod recorded;

use serde_json::Value;

use crate::api::{Api, Operation, Place};

/// Reads a document of any kind that the scanner knows. `name` stands in error texts.
///
/// # Errors
/// If it is neither JSON, YAML nor XML, of no known kind, or has no operation.
pub fn read(name: &str, bytes: &[u8]) -> Result<Api, String> {
    let text = String::from_utf8_lossy(bytes);
    if text.trim_start().starts_with('<') {
        return recorded::burp(&text);
    }
    if let Some(events) = recorded::events(&text) {
        return events;
    }
    let document =
        portcullis_openapi::source::Document::parse(name, bytes).map_err(|error| error.to_string())?;
    let root = document.root().to_json();
    if root.get("openapi").is_some() || root.get("swagger").is_some() {
        openapi::read(&root)
    } else if root.pointer("/log/entries").is_some() {
        recorded::har(&root)
    } else if root.pointer("/data/__schema").or_else(|| root.get("__schema")).is_some() {
        graphql::read(&root)
    } else if root.get("item").is_some() && root.get("info").is_some() {
        postman::read(&root)
    } else {
        Err(format!(
            "`{name}` is of no known kind; expected OpenAPI, Swagger, a Postman collection, HAR, a Burp export, the \
             gateway's events or the answer to a GraphQL introspection"
        ))
    }
}

impl Api {
    /// Adds what another document knows of the same API: operations that this one does not have, and query parameters of
    /// those that it has.
    pub fn add(&mut self, other: Api) {
        for operation in other.operations {
            match self.operations.iter_mut().find(|known| is_same(known, &operation)) {
                Some(known) => {
                    for mut param in operation.params.into_iter().filter(|param| param.place == Place::Query)
                    {
                        param.required = false;
                        if !known.params.iter().any(|p| p.place == Place::Query && p.name == param.name) {
                            known.params.push(param);
                        }
                    }
                }
                None => self.operations.push(operation),
            }
        }
        let fresh = other.schemes.into_iter().filter(|scheme| !self.schemes.contains(scheme));
        let fresh: Vec<_> = fresh.collect();
        self.schemes.extend(fresh);
    }
}

/// Whether two descriptions are of one operation: the method is the same, and so is every segment, or the first has a
/// parameter there that can hold what the second has.
fn is_same(known: &Operation, other: &Operation) -> bool {
    let holds = |name: &str, value: &str| {
        let param = known.params.iter().find(|param| param.place == Place::Path && param.name == name);
        let kind = param.map_or("string", |param| crate::api::kind_of(&param.schema));
        value.starts_with('{') || !matches!(kind, "integer" | "number") || value.parse::<f64>().is_ok()
    };
    let fits = |(known, other): (&str, &str)| match known
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some(name) => holds(name, other),
        None => known == other,
    };
    known.method == other.method
        // Several GraphQL operations share one path.
        && (known.id == other.id || !known.is_graphql() && !other.is_graphql())
        && known.path.split('/').count() == other.path.split('/').count()
        && known.path.split('/').zip(other.path.split('/')).all(fits)
}

/// A member that is a string.
fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}
