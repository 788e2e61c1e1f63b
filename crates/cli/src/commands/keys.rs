//! `portcullis keys`: makes, lists, rotates, revokes and imports the keys of clients. A secret is shown once.

mod import;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use portcullis_engine::{CredentialKind, Period};
use portcullis_identity::{Pepper, Secret, SecretKind, recognise};
use portcullis_store::keys::{KeyRow, KeyStore, Replacement};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::DataFolder;
use crate::control::{self, Ask};
use crate::exit::{Exit, Failure, Result};
use crate::gateway::keys::open_store;
use crate::gateway::make_data_folder;
use crate::random;
use crate::term::{self, Style, Table, out};

/// Make, list, rotate, revoke and import the keys of clients.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A change counts from the next call on: a running gateway is told, and the command waits \
                        for its word.\n\
                        portcullis keys create mobile-app --expires 90d\n\
                        portcullis keys create partner-shop --app --scope catalogue:read\n\
                        portcullis keys rotate key-7c2f91d04e --keep-old 7d"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    data: DataFolder,
    /// Write JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a key; its secret is shown this once
    Create(Create),
    /// List the keys; their secrets are not known any more
    List {
        /// Also those that are revoked or expired
        #[arg(long)]
        all: bool,
        /// Only those of this consumer
        consumer: Option<String>,
    },
    /// Make a new key in the place of another
    Rotate {
        /// The key's id
        credential: String,
        /// How long the old one still holds; 0s ends it at once
        #[arg(long, value_name = "SPAN", default_value = "24h")]
        keep_old: Period,
        /// When the new one ends: a span such as 90d, or a time
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
    },
    /// Take a key back, for good
    Revoke {
        /// The key's id
        credential: String,
    },
    /// Take over keys that clients have already: JSON, one object a line or a list
    Import(import::Import),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Who calls: an app, a team; with --app an App ID to add a key to, or a name for a new one
    consumer: String,
    /// An App ID with an App Key instead of one API key
    #[arg(long)]
    app: bool,
    /// What it may be used for; several for several
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Networks from which it may be used; several for several
    #[arg(long = "network", value_name = "NET")]
    networks: Vec<String>,
    /// When it ends: a span such as 90d, or a time such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// From when on it holds
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// A note
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
}

/// A new secret, for its owner's eyes.
#[derive(Serialize)]
struct Made<'a> {
    credential: &'a str,
    consumer: &'a str,
    kind: CredentialKind,
    secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    in_force: bool,
}

/// Where keys are, and how answers are written.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    data: &'a Path,
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let data = args.data.path().map_err(Failure::usage)?;
    let place = Place { data: &data, json: args.json };
    match &args.action {
        Action::Create(create) => self::create(place, create, now),
        Action::List { all, consumer } => list(place, *all, consumer.as_deref(), now),
        Action::Rotate { credential, keep_old, expires } => {
            rotate(place, credential, *keep_old, expires.as_deref(), now)
        }
        Action::Revoke { credential } => revoke(place, credential, now),
        Action::Import(import) => import::run(place, import, now),
    }
}

fn create(place: Place<'_>, create: &Create, now: u64) -> Result {
    let networks = networks(&create.networks)?;
    let expires = create.expires.as_deref().map(|text| end(text, now)).transpose()?;
    let not_before = create.not_before.as_deref().map(moment).transpose()?;
    make_data_folder(place.data)?;
    let (store, pepper) = open_store(place.data)?;
    let (kind, secret, consumer, label) = match create.app {
        false => {
            let secret = Secret::api_key(&random::bytes()?);
            (CredentialKind::ApiKey, secret, create.consumer.clone(), create.label.clone())
        }
        true => {
            let secret = Secret::app_key(&random::bytes()?);
            let (app_id, label) = app_id(create)?;
            (CredentialKind::AppKey, secret, app_id, label)
        }
    };
    let row = KeyRow {
        credential: new_id()?,
        consumer,
        kind,
        digest: Pepper::new(pepper).digest(secret.expose()).0,
        scopes: create.scopes.clone(),
        networks,
        not_before,
        expires,
        revoked_at: None,
        created_at: now,
        label,
    };
    store.create(&row, now).map_err(Failure::usage)?;
    let in_force = tell_gateway(place.data)?;
    show_made(place, &row, &secret, in_force);
    Ok(Exit::Ok)
}

/// The App ID that a key is for, and the key's label: the one that was named, or a new one for that name.
fn app_id(create: &Create) -> Result<(String, String)> {
    let label =
        |default: &str| if create.label.is_empty() { default.to_owned() } else { create.label.clone() };
    match recognise(create.consumer.as_bytes()) {
        Some(Ok(SecretKind::AppId)) => Ok((create.consumer.clone(), label(""))),
        Some(_) => Err(Failure::Usage(format!("`{}` is no App ID, or is mistyped", create.consumer))),
        None => Ok((Secret::app_id(&random::bytes()?), label(&create.consumer))),
    }
}

fn show_made(place: Place<'_>, row: &KeyRow, secret: &Secret, in_force: bool) {
    let app_id = (row.kind == CredentialKind::AppKey).then_some(row.consumer.as_str());
    if place.json {
        let made = Made {
            credential: &row.credential,
            consumer: &row.consumer,
            kind: row.kind,
            secret: secret.expose(),
            app_id,
            expires: row.expires.map(show_time),
            in_force,
        };
        term::say(serde_json::to_string_pretty(&made).unwrap_or_default());
        return;
    }
    match app_id {
        Some(app_id) => {
            term::say(format_args!("App ID   {}", out(Style::Bold, app_id)));
            term::say(format_args!("App Key  {}", out(Style::Bold, secret.expose())));
        }
        None => term::say(format_args!("API key  {}", out(Style::Bold, secret.expose()))),
    }
    let until = row.expires.map(|at| format!(", until {}", show_time(at))).unwrap_or_default();
    term::note(format_args!("id {}{until}", row.credential));
    term::note("the secret is not kept and cannot be shown again: hand it to its owner now");
    say_force(in_force);
}

fn say_force(in_force: bool) {
    term::note(match in_force {
        true => "in force at the running gateway",
        false => "no gateway runs over this data folder; its next start reads it",
    });
}

fn list(place: Place<'_>, all: bool, consumer: Option<&str>, now: u64) -> Result {
    let mut rows = match place.data.is_dir() {
        true => open_store(place.data)?.0.list().map_err(Failure::incomplete)?,
        false => Vec::new(),
    };
    rows.retain(|row| consumer.is_none_or(|consumer| row.consumer == consumer || row.label == consumer));
    let hidden = rows.iter().filter(|row| !row.is_active(now)).count();
    rows.retain(|row| all || row.is_active(now));
    if place.json {
        let rows: Vec<_> = rows.iter().map(|row| Shown::of(row, now)).collect();
        term::say(serde_json::to_string_pretty(&rows).unwrap_or_default());
        return Ok(Exit::Ok);
    }
    let mut table =
        Table::new(&["id", "consumer", "kind", "state", "expires", "scopes", "networks", "label"]);
    for row in &rows {
        let shown = Shown::of(row, now);
        let style = if row.is_active(now) { Style::Green } else { Style::Dim };
        let networks: Vec<String> = row.networks.iter().map(ToString::to_string).collect();
        table.row(vec![
            (row.credential.clone(), Some(Style::Bold)),
            (term::fit(&row.consumer, 40), None),
            (shown.kind_word().into(), None),
            (shown.state.into(), Some(style)),
            (row.expires.map_or("never".into(), show_time), None),
            (term::fit(&or_dash(row.scopes.join(" ")), 40), None),
            (term::fit(&or_dash(networks.join(" ")), 40), None),
            (term::fit(&row.label, 40), None),
        ]);
    }
    if table.is_empty() {
        term::say("no keys; `portcullis keys create NAME` makes one");
    } else {
        term::print(&table);
    }
    if !all && hidden > 0 {
        term::note(format_args!("{hidden} more are revoked or expired; --all shows them"));
    }
    Ok(Exit::Ok)
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

/// A key as it is listed: without its digest.
#[derive(Serialize)]
struct Shown<'a> {
    credential: &'a str,
    consumer: &'a str,
    kind: CredentialKind,
    state: &'static str,
    scopes: &'a [String],
    networks: &'a [IpNet],
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    created_at: String,
    label: &'a str,
}

impl<'a> Shown<'a> {
    fn of(row: &'a KeyRow, now: u64) -> Shown<'a> {
        let state = match () {
            () if row.revoked_at.is_some() => "revoked",
            () if !row.is_active(now) => "expired",
            () if row.not_before.is_some_and(|from| from > now) => "not yet",
            () => "active",
        };
        Shown {
            credential: &row.credential,
            consumer: &row.consumer,
            kind: row.kind,
            state,
            scopes: &row.scopes,
            networks: &row.networks,
            not_before: row.not_before.map(show_time),
            expires: row.expires.map(show_time),
            revoked_at: row.revoked_at.map(show_time),
            created_at: show_time(row.created_at),
            label: &row.label,
        }
    }

    fn kind_word(&self) -> &'static str {
        match self.kind {
            CredentialKind::ApiKey => "API key",
            CredentialKind::AppKey => "App Key",
            CredentialKind::AccessToken => "access token",
            CredentialKind::Certificate => "certificate",
            CredentialKind::Session => "session",
        }
    }
}

fn rotate(place: Place<'_>, credential: &str, keep_old: Period, expires: Option<&str>, now: u64) -> Result {
    let expires = expires.map(|text| end(text, now)).transpose()?;
    let (store, pepper) = open_store(place.data)?;
    let old = store.get(credential).map_err(Failure::incomplete)?;
    let Some(old) = old else {
        let error = portcullis_store::keys::KeyError::Unknown(credential.to_owned());
        return Err(Failure::usage(error));
    };
    let secret = match old.kind {
        CredentialKind::ApiKey => Secret::api_key(&random::bytes()?),
        CredentialKind::AppKey => Secret::app_key(&random::bytes()?),
        CredentialKind::AccessToken | CredentialKind::Certificate | CredentialKind::Session => {
            return Err(Failure::usage(format!("`{credential}` is no key of the gateway's own")));
        }
    };
    let replacement = Replacement {
        credential: new_id()?,
        digest: Pepper::new(pepper).digest(secret.expose()).0,
        expires,
        old_until: now.saturating_add(keep_old.0.as_secs()),
    };
    let row = store.rotate(credential, &replacement, now).map_err(Failure::usage)?;
    let in_force = tell_gateway(place.data)?;
    show_made(place, &row, &secret, in_force);
    if !place.json {
        term::note(match keep_old.0.as_secs() {
            0 => format!("{credential} no longer holds"),
            _ => format!("{credential} holds until {}", show_time(replacement.old_until)),
        });
    }
    Ok(Exit::Ok)
}

fn revoke(place: Place<'_>, credential: &str, now: u64) -> Result {
    let (store, _) = open_store(place.data)?;
    let row = store.revoke(credential, now).map_err(Failure::usage)?;
    let in_force = tell_gateway(place.data)?;
    if place.json {
        let answer =
            serde_json::json!({ "credential": row.credential, "revoked": true, "in_force": in_force });
        term::say(serde_json::to_string_pretty(&answer).unwrap_or_default());
    } else {
        term::say(format_args!("{} {} of {}", out(Style::Green, "revoked"), row.credential, row.consumer));
        say_force(in_force);
    }
    Ok(Exit::Ok)
}

/// Tells a running gateway that keys changed, and waits until they are in force. Whether one runs.
fn tell_gateway(data: &Path) -> Result<bool> {
    let unsure = |why: String| {
        let what = "the change is stored, but the running gateway did not confirm it";
        Failure::Incomplete(format!("{what}: {why}; look at its health and log"))
    };
    match control::ask(data, Ask::Keys) {
        Ok(None) => Ok(false),
        Ok(Some(answer)) if answer.ok => Ok(true),
        Ok(Some(answer)) => Err(unsure(answer.message)),
        Err(error) => Err(unsure(error.to_string())),
    }
}

fn networks(texts: &[String]) -> Result<Vec<IpNet>> {
    texts
        .iter()
        .map(|text| {
            text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(|_| {
                Failure::Usage(format!("`{text}` is no address and no network such as 10.0.0.0/8"))
            })
        })
        .collect()
}

/// A public identifier that nobody else has.
fn new_id() -> Result<String> {
    let bytes: [u8; 5] = random::bytes()?;
    Ok(bytes.iter().fold("key-".to_owned(), |id, byte| format!("{id}{byte:02x}")))
}

/// A span from now, or a time, in seconds since the Unix epoch; never one that has passed.
fn end(text: &str, now: u64) -> Result<u64> {
    let at = match text.parse::<Period>() {
        Ok(span) => now.saturating_add(span.0.as_secs()),
        Err(_) => moment(text)?,
    };
    match at > now {
        true => Ok(at),
        false => Err(Failure::Usage(format!("`{text}` has passed already"))),
    }
}

fn moment(text: &str) -> Result<u64> {
    let date = format!("{text}T00:00:00Z");
    [text, date.as_str()]
        .iter()
        .find_map(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .and_then(|moment| u64::try_from(moment.unix_timestamp()).ok())
        .ok_or_else(|| {
            Failure::Usage(format!(
                "`{text}` is no time: expected one such as `2027-01-31T00:00:00Z` or a span `90d`"
            ))
        })
}

fn show_time(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_spans_or_times_that_lie_ahead() {
        assert_eq!(end("90d", 1000).unwrap(), 1000 + 90 * 86_400);
        assert_eq!(end("1970-01-02", 1000).unwrap(), 86_400);
        assert_eq!(end("1970-01-01T01:00:00Z", 1000).unwrap(), 3600);
        for bad in ["1970-01-01", "0s", "soon", "", "-1d"] {
            assert!(end(bad, 1000).is_err(), "{bad}");
        }
        assert_eq!(show_time(3600), "1970-01-01T01:00:00Z");
    }

    #[test]
    fn app_ids_are_told_from_names() {
        let named = |name: &str| Create {
            consumer: name.into(),
            app: true,
            scopes: Vec::new(),
            networks: Vec::new(),
            expires: None,
            not_before: None,
            label: String::new(),
        };
        let (id, label) = app_id(&named("partner-shop")).unwrap();
        assert_eq!(recognise(id.as_bytes()), Some(Ok(SecretKind::AppId)));
        assert_eq!(label, "partner-shop");
        assert_eq!(app_id(&named(&id)).unwrap(), (id.clone(), String::new()));
        assert!(app_id(&named(&id[..id.len() - 1])).is_err(), "cut");
    }
}
