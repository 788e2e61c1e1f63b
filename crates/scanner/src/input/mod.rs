//! Documents of several kinds, read into the one model.

mod openapi;

use serde_json::Value;

use crate::api::Api;

/// Reads a document of any kind that the scanner knows. `name` stands in error texts.
///
/// # Errors
/// If it is neither JSON, YAML nor XML, or of no known kind.
pub fn read(name: &str, bytes: &[u8]) -> Result<Api, String> {
    let document =
        portcullis_openapi::source::Document::parse(name, bytes).map_err(|error| error.to_string())?;
    let root = document.root().to_json();
    if root.get("openapi").is_some() || root.get("swagger").is_some() {
        return openapi::read(&root);
    }
    Err(format!("`{name}` is no OpenAPI or Swagger document; expected a member `openapi` or `swagger`"))
}

/// A member that is a string.
fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}
