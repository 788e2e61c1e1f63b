//! Documents of several kinds, read into the one model.

pub(crate) mod graphql;
mod observed;
mod openapi;
mod postman;
mod recorded;

use serde_json::Value;

use crate::api::Api;

/// Reads a document of any kind that the scanner knows. `name` stands in error texts.
///
/// # Errors
/// If it is neither JSON, YAML nor XML, of no known kind, or has no operation.
pub fn read(name: &str, bytes: &[u8]) -> Result<Api, String> {
    let text = String::from_utf8_lossy(bytes);
    if text.trim_start().starts_with('<') {
        return recorded::burp(&text);
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
            "`{name}` is of no known kind; expected OpenAPI, Swagger, a Postman collection, HAR, a Burp export or \
             the answer to a GraphQL introspection"
        ))
    }
}

/// A member that is a string.
fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}
