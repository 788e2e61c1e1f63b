//! `portcullis keys import`: keys that clients have already, from another system or another gateway.

use std::io::Read;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use portcullis_engine::CredentialKind;
use portcullis_identity::Pepper;
use portcullis_store::keys::{KeyRow, KeyStore};
use serde::Deserialize;

use super::{Place, new_id, say_force, tell_gateway};
use crate::exit::{Exit, Failure, Result};
use crate::gateway::keys::open_store;
use crate::gateway::make_data_folder;
use crate::term::{self, Style, out};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each object: {\"consumer\": \"mobile-app\", \"secret\": \"…\"}, and where wanted \"credential\", \
                        \"kind\" (\"api-key\", \"app-key\"), \"scopes\", \"networks\", \"not_before\", \"expires\" \
                        (seconds since 1970), \"label\". Secrets are hashed and not kept.\n\
                        Keys of a gateway with the same pepper carry \"digest\" in the place of \"secret\"."
)]
pub(super) struct Import {
    /// The file, or `-` for standard input
    file: PathBuf,
}

/// A key as somebody else has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Foreign {
    consumer: String,
    secret: String,
    #[serde(default)]
    credential: Option<String>,
    #[serde(default = "api_key")]
    kind: CredentialKind,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    networks: Vec<IpNet>,
    #[serde(default)]
    not_before: Option<u64>,
    #[serde(default)]
    expires: Option<u64>,
    #[serde(default)]
    label: String,
}

fn api_key() -> CredentialKind {
    CredentialKind::ApiKey
}

/// Bytes of a file of keys.
const MAX: u64 = 256 << 20;

/// A secret that is shorter can be guessed.
const MIN_SECRET: usize = 16;

pub(super) fn run(place: Place<'_>, import: &Import, now: u64) -> Result {
    let Place { data, json } = place;
    let text = read(&import.file)?;
    make_data_folder(data)?;
    let (store, pepper) = open_store(data)?;
    let rows = parse(&text, &Pepper::new(pepper), now)?;
    let done = store.import(&rows, now).map_err(Failure::usage)?;
    let in_force = tell_gateway(data)?;
    if json {
        let answer =
            serde_json::json!({ "added": done.added, "unchanged": done.unchanged, "in_force": in_force });
        term::say(serde_json::to_string_pretty(&answer).unwrap_or_default());
    } else {
        let (added, unchanged) = (done.added, done.unchanged);
        term::say(format_args!(
            "{} {added} keys; {unchanged} were there already",
            out(Style::Green, "imported")
        ));
        say_force(in_force);
    }
    Ok(Exit::Ok)
}

fn read(file: &Path) -> Result<String> {
    let failed =
        |error: std::io::Error| Failure::Usage(format!("`{}` cannot be read: {error}", file.display()));
    let mut text = String::new();
    let source: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file).map_err(failed)?),
    };
    source.take(MAX + 1).read_to_string(&mut text).map_err(failed)?;
    match text.len() as u64 > MAX {
        true => Err(Failure::Usage(format!(
            "`{}` is larger than {MAX} bytes; import it in parts",
            file.display()
        ))),
        false => Ok(text),
    }
}

/// All keys of a text, or what is wrong with the first that is none. Errors never repeat a secret.
fn parse(text: &str, pepper: &Pepper, now: u64) -> Result<Vec<KeyRow>> {
    let values: Vec<serde_json::Value> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)
            .map_err(|error| Failure::Usage(format!("no list of JSON objects: line {}", error.line())))?
    } else {
        let mut values = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            values.push(
                serde_json::from_str(line)
                    .map_err(|_| Failure::Usage(format!("line {number} is no JSON object")))?,
            );
        }
        values
    };
    values.into_iter().zip(1..).map(|(value, number)| row(value, number, pepper, now)).collect()
}

fn row(value: serde_json::Value, number: usize, pepper: &Pepper, now: u64) -> Result<KeyRow> {
    let wrong = |error: serde_json::Error| {
        // serde names fields and types; a value of a field could be a secret.
        let text = error.to_string();
        let text = if text.contains("unknown field") || text.contains("missing field") {
            text
        } else {
            "a field has the wrong type".to_owned()
        };
        Failure::Usage(format!("key {number}: {text}"))
    };
    if value.get("digest").is_some() {
        return serde_json::from_value(value).map_err(wrong);
    }
    let foreign: Foreign = serde_json::from_value(value).map_err(wrong)?;
    if foreign.secret.len() < MIN_SECRET || foreign.secret.len() > 1024 {
        let what =
            format!("key {number}, of `{}`: its secret has {} bytes", foreign.consumer, foreign.secret.len());
        return Err(Failure::Usage(format!(
            "{what}, expected {MIN_SECRET} to 1024; a shorter one can be guessed"
        )));
    }
    let printable = foreign.secret.bytes().all(|b| b.is_ascii_graphic());
    if !printable {
        let what = format!("key {number}, of `{}`", foreign.consumer);
        return Err(Failure::Usage(format!("{what}: its secret has characters that no header can carry")));
    }
    Ok(KeyRow {
        credential: foreign.credential.map_or_else(new_id, Ok)?,
        consumer: foreign.consumer,
        kind: foreign.kind,
        digest: pepper.digest(&foreign.secret).0,
        scopes: foreign.scopes,
        networks: foreign.networks,
        not_before: foreign.not_before,
        expires: foreign.expires,
        revoked_at: None,
        created_at: now,
        label: foreign.label,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_lists_are_read_and_secrets_never_repeated() {
        let pepper = Pepper::new([1; 32]);
        let one = r#"{"consumer": "a", "secret": "0123456789abcdef", "scopes": ["x"]}"#;
        let two =
            r#"{"consumer": "b", "secret": "fedcba9876543210", "credential": "b-1", "kind": "app-key"}"#;
        for text in [format!("{one}\n\n{two}\n"), format!("[{one},{two}]")] {
            let rows = parse(&text, &pepper, 7).unwrap();
            assert_eq!(rows[0].digest, pepper.digest("0123456789abcdef").0);
            assert_eq!((rows[1].credential.as_str(), rows[1].kind), ("b-1", CredentialKind::AppKey));
            assert_eq!(rows[0].created_at, 7);
        }
        let again = serde_json::to_string(&parse(one, &pepper, 7).unwrap()[0]).unwrap();
        assert_eq!(
            parse(&again, &pepper, 9).unwrap()[0].created_at,
            7,
            "a row of another store stays as it is"
        );
        for bad in [
            "hunter2hunter2hunter2",
            r#"{"consumer": "a"}"#,
            r#"{"consumer": "a", "secret": "hunter2"}"#,
            r#"{"consumer": "a", "secret": ["hunter2hunter2hunter2"]}"#,
            r#"{"consumer": "a", "secret": "hunter2 hunter2 hunter2"}"#,
            r#"{"consumer": "a", "secret": "0123456789abcdef", "expire": 1}"#,
            r#"[{"consumer": "a", "secret": "hunter2hunter2hunter2"},]"#,
        ] {
            let error = parse(bad, &pepper, 7).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
