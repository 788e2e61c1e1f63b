//! Key rings for data: `data_keys` in the configuration names where their keys are, the host brings them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_identity::DataKeys;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::config::unknown;
use crate::protection::Fault;

/// Key rings that are in force.
#[derive(Debug, Clone, Default)]
pub struct DataRings {
    /// Seals identifiers where no ring is named: the gateway's own.
    pub own: Option<Arc<DataKeys>>,
    /// By their names in `data_keys`.
    pub named: BTreeMap<String, Arc<DataKeys>>,
}

impl DataRings {
    /// The ring `name`, which stands at `pointer` in a section.
    pub(crate) fn get(&self, name: &str, pointer: &str) -> Result<Arc<DataKeys>, Fault> {
        self.named.get(name).cloned().ok_or_else(|| {
            let known = self.named.keys().map(String::as_str);
            Fault::new(
                pointer,
                format!("{} (rings stand under `data_keys`)", unknown("key ring", name, known)),
            )
        })
    }
}

/// A ring of keys for data, the current one first: it encrypts, all decrypt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DataKeyRing")]
pub struct RingConfig {
    /// Its keys, 32 bytes each in base64 or hexadecimal, the current one first. Keep an old one as long as there is data
    /// that it encrypted.
    pub keys: Vec<KeySource>,
}

/// Where a key is. It never stands in the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySource {
    /// Where.
    pub from: KeyPlace,
    /// Values that are looked for (`lookup: true` in `encrypt`) are encrypted with this key, even where it is no longer
    /// the current one.
    pub lookup: bool,
}

/// A place from which a key is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A file, relative to the configuration's folder.
    File(String),
    /// An environment variable.
    Env(String),
    /// What a command prints: the program and its arguments, without a shell.
    Command(Vec<String>),
}

const EXPECTED: &str = "expected where the key is: `{ file: PATH }`, `{ env: NAME }` or `{ command: [PROGRAM, ARGUMENT] }`; a key never stands in the configuration";

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeySource, D::Error> {
        // Whatever stands here may be a key: no error repeats it.
        let wrong = || de::Error::custom(EXPECTED);
        let Value::Object(members) = Value::deserialize(deserializer)? else { return Err(wrong()) };
        let mut places = Vec::new();
        let mut lookup = false;
        for (name, value) in members {
            let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            match name.as_str() {
                "file" => places.push(text.map(KeyPlace::File).ok_or_else(wrong)?),
                "env" => places.push(text.map(KeyPlace::Env).ok_or_else(wrong)?),
                "command" => {
                    let words: Option<Vec<String>> = value.as_array().and_then(|words| {
                        words.iter().map(|word| word.as_str().map(str::to_owned)).collect()
                    });
                    let words = words.filter(|words| !words.is_empty());
                    places.push(words.map(KeyPlace::Command).ok_or_else(wrong)?);
                }
                "lookup" => {
                    lookup = value.as_bool().ok_or_else(|| de::Error::custom("`lookup` is true or false"))?;
                }
                _ => return Err(wrong()),
            }
        }
        match <[KeyPlace; 1]>::try_from(places) {
            Ok([from]) => Ok(KeySource { from, lookup }),
            Err(_) => Err(wrong()),
        }
    }
}

impl JsonSchema for KeySource {
    fn schema_name() -> Cow<'static, str> {
        "DataKeySource".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |name: &str, value: Value| {
            let mut properties = serde_json::Map::new();
            properties.insert(name.into(), value);
            properties.insert("lookup".into(), serde_json::json!({ "type": "boolean" }));
            serde_json::json!({
                "type": "object", "required": [name], "additionalProperties": false, "properties": properties,
            })
        };
        let text = serde_json::json!({ "type": "string", "minLength": 1 });
        let words = serde_json::json!({ "type": "array", "minItems": 1, "items": { "type": "string" } });
        json_schema!({
            "description": "Where a key is: a file, an environment variable, or a command that prints it. With \
                            `lookup: true` it encrypts the values that are looked for.",
            "oneOf": [one("file", text.clone()), one("env", text), one("command", words)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KeySource, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_named_and_never_written_down() {
        let file = read(r#"{"file":"a.key","lookup":true}"#).unwrap();
        assert_eq!(file, KeySource { from: KeyPlace::File("a.key".into()), lookup: true });
        assert!(read(r#"{"env":"KEY"}"#).is_ok() && read(r#"{"command":["vault","read"]}"#).is_ok());
        for wrong in [
            r#""c2VjcmV0""#,
            "7",
            "{}",
            r#"{"key":"c2VjcmV0"}"#,
            r#"{"file":"a","env":"c2VjcmV0"}"#,
            r#"{"command":"c2VjcmV0"}"#,
            r#"{"command":[]}"#,
            r#"{"env":""}"#,
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("expected where the key is") && !error.contains("c2Vj"), "{error}");
        }
    }
}
