//! What of the caller a parameter or a field is compared with.

use portcullis_engine::Principal;
use serde_json::Value;

use crate::config::escape;

/// A value of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The consumer: the App ID, the owner of the key, the token's client.
    Consumer,
    /// A claim of the token, by its JSON pointer.
    Claim(String),
}

impl Caller {
    /// Reads `token.sub`, `token./tenant/id` or `consumer`.
    pub(crate) fn parse(text: &str) -> Result<Caller, String> {
        match text.strip_prefix("token.") {
            Some(pointer) if pointer.starts_with('/') => Ok(Caller::Claim(pointer.into())),
            Some(name) if !name.is_empty() => Ok(Caller::Claim(format!("/{}", escape(name)))),
            None if text == "consumer" => Ok(Caller::Consumer),
            _ => Err(format!("expected `consumer`, or a claim as in `token.sub`, and not `{text}`")),
        }
    }

    /// The value, where there is exactly one.
    pub(crate) fn text(&self, principal: Option<&Principal>) -> Option<String> {
        match self {
            Caller::Consumer => Some(principal?.consumer.as_ref().into()),
            Caller::Claim(pointer) => text(principal?.claims.as_ref()?.claim(pointer)?),
        }
    }

    /// Whether `value` is the caller's. A claim that is missing is nobody's; of a list, any element will do.
    pub(crate) fn is(&self, principal: Option<&Principal>, value: &str) -> bool {
        let Some(principal) = principal else { return false };
        match self {
            Caller::Consumer => *principal.consumer == *value,
            Caller::Claim(pointer) => {
                let claim = principal.claims.as_ref().and_then(|claims| claims.claim(pointer));
                match claim {
                    Some(Value::Array(items)) => items.iter().any(|item| same(item, value)),
                    Some(claim) => same(claim, value),
                    None => false,
                }
            }
        }
    }
}

/// Whether a scalar is written as `text`. What is empty, or no scalar, is like nothing.
fn same(scalar: &Value, text: &str) -> bool {
    !text.is_empty()
        && match scalar {
            Value::String(own) => own == text,
            Value::Number(number) => number.to_string() == text,
            _ => false,
        }
}

/// A scalar of a JSON document as a text.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
