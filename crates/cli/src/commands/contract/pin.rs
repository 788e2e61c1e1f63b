//! `portcullis contract pin`: copies of what a document refers to by URL.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Uri};
use portcullis_engine::Fields;
use portcullis_openapi::source::Document;
use portcullis_openapi::{Contract, Fetch, FetchError, Folder, Options};
use serde_json::{Value, json};

use super::{Format, Reading, count, print_json, root_and_name};
use crate::exit::{Exit, Failure, Result};
use crate::gateway::lookups::client::{Client, Outgoing};
use crate::term::{self, Style, fit, out};

/// How long one file may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that one file may have.
const MOST: u64 = 128 << 20;

/// Copies of URLs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The OpenAPI document
    document: PathBuf,
    /// Fetch the URLs that begin so, such as `https://example.com/schemas/`. Without it nothing is fetched: the URLs
    /// that have no copy are listed
    #[arg(long = "from", value_name = "URL")]
    from: Vec<String>,
    /// Fetch those as well that have a copy
    #[arg(long, requires = "from")]
    again: bool,
    #[command(flatten)]
    reading: Reading,
}

pub(super) fn run(args: &Args) -> Result {
    let from: Vec<Prefix> = args.from.iter().map(|text| Prefix::parse(text)).collect::<Result<_>>()?;
    let (_, name) = root_and_name(&args.document)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let pinning = Pinning {
        folder: args.reading.folder(&args.document)?,
        from,
        again: args.again,
        client: Client::default(),
        runtime: runtime.map_err(Failure::incomplete)?,
        seen: RefCell::default(),
    };
    Contract::load(name, &pinning, &Options::default())
        .map_err(|error| Failure::Usage(format!("{}: {error}", args.document.display())))?;
    let seen = pinning.seen.into_inner();
    let missing = seen.values().filter(|state| matches!(state, State::Missing | State::Failed(_))).count();
    match args.reading.format {
        Format::Json => print_json(&seen.iter().map(as_json).collect::<Vec<_>>()),
        Format::Text => {
            for (url, state) in &seen {
                print(url, state);
            }
            term::say(format_args!(
                "{}: {}, {} without a copy",
                args.document.display(),
                count(seen.len(), "URL"),
                missing
            ));
        }
    }
    Ok(if missing > 0 { Exit::Failed } else { Exit::Ok })
}

/// What became of a URL.
#[derive(Debug)]
enum State {
    /// It had a copy.
    Kept(PathBuf),
    /// It was fetched, and the copy is new.
    Saved(PathBuf),
    /// It has none, and nobody named it.
    Missing,
    /// It was named and could not be had.
    Failed(String),
}

fn as_json((url, state): (&String, &State)) -> Value {
    let (word, detail) = match state {
        State::Kept(path) => ("kept", path.display().to_string()),
        State::Saved(path) => ("saved", path.display().to_string()),
        State::Missing => ("missing", String::new()),
        State::Failed(why) => ("failed", why.clone()),
    };
    json!({"url": url, "state": word, "detail": detail})
}

fn print(url: &str, state: &State) {
    let url = fit(url, 300);
    let (style, word, more) = match state {
        State::Kept(path) => (Style::Dim, "kept", path.display().to_string()),
        State::Saved(path) => (Style::Green, "saved", path.display().to_string()),
        State::Missing => (Style::Yellow, "missing", "no copy; name it with --from to fetch it".into()),
        State::Failed(why) => (Style::Red, "failed", fit(why, 300).to_string()),
    };
    term::say(format_args!("{} {url}: {more}", out(style, format_args!("{word:<8}"))));
}

/// What a URL has to begin with to be fetched.
#[derive(Debug)]
struct Prefix(String);

impl Prefix {
    fn parse(text: &str) -> Result<Prefix> {
        let uri = text.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("https" | "http"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        });
        match uri {
            Some(_) => Ok(Prefix(text.to_owned())),
            None => Err(Failure::Usage(format!(
                "`{text}` is no URL; expected one such as `https://example.com/schemas/`"
            ))),
        }
    }

    /// Ends at a slash, so that `https://example.com` is no prefix of `https://example.com.attacker.example/`.
    fn fits(&self, url: &str) -> bool {
        url.strip_prefix(&*self.0)
            .is_some_and(|rest| rest.is_empty() || self.0.ends_with('/') || rest.starts_with(['/', '?']))
    }
}

/// A folder that fetches what was named, and keeps it.
struct Pinning {
    folder: Folder,
    from: Vec<Prefix>,
    again: bool,
    client: Client,
    runtime: tokio::runtime::Runtime,
    seen: RefCell<BTreeMap<String, State>>,
}

impl Fetch for Pinning {
    fn fetch(&self, uri: &str) -> std::result::Result<Vec<u8>, FetchError> {
        if !uri.contains("://") {
            return self.folder.fetch(uri);
        }
        let path = self.folder.path_of(uri);
        let named = self.from.iter().any(|prefix| prefix.fits(uri));
        let kept = if named && self.again { None } else { self.folder.fetch(uri).ok() };
        let (state, bytes) = match (kept, path) {
            (Some(bytes), Some(path)) => (State::Kept(path), Some(bytes)),
            (None, Some(path)) if named => match self.save(uri, &path) {
                Ok(bytes) => (State::Saved(path), Some(bytes)),
                Err(why) => (State::Failed(why), None),
            },
            (_, None) => (State::Failed("expected the URL of a file".into()), None),
            _ => (State::Missing, None),
        };
        self.seen.borrow_mut().insert(uri.to_owned(), state);
        bytes.ok_or_else(|| FetchError { what: format!("`{uri}` has no copy") })
    }
}

impl Pinning {
    /// Fetches a URL and writes its copy, whole or not at all.
    fn save(&self, url: &str, path: &Path) -> std::result::Result<Vec<u8>, String> {
        let request = Outgoing {
            method: Method::GET,
            url: url.into(),
            headers: Fields::new(),
            body: Bytes::new(),
            most: MOST,
        };
        let answer =
            self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, self.client.send(request)).await });
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => return Err(failure.reason().to_owned()),
            Err(_) => return Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        };
        if answer.status.is_redirection() {
            let to = answer
                .headers
                .get(http::header::LOCATION)
                .and_then(|to| to.to_str().ok())
                .unwrap_or("elsewhere");
            return Err(format!("it leads to `{to}`; refer to that, or save a copy by hand"));
        }
        if answer.status != http::StatusCode::OK {
            return Err(format!("the answer is {}", answer.status));
        }
        // What is neither JSON nor YAML with a mapping is a page that says something else.
        let document = Document::parse(url, &answer.body).map_err(|error| error.to_string())?;
        if document.root().as_object().is_none() {
            return Err("the answer is no document: expected JSON or YAML with a mapping".into());
        }
        write(path, &answer.body)
            .map_err(|error| format!("`{}` cannot be written: {error}", path.display()))?;
        Ok(answer.body.to_vec())
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    // The gateway may run as somebody else.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_with_a_named_url_is_fetched() {
        for (prefix, url, fits) in [
            ("https://example.com", "https://example.com/a.yaml", true),
            ("https://example.com/", "https://example.com/a.yaml", true),
            ("https://example.com/a", "https://example.com/a/b.yaml", true),
            ("https://example.com/a.yaml", "https://example.com/a.yaml", true),
            ("https://example.com", "https://example.com.attacker.example/a.yaml", false),
            ("https://example.com", "https://example.com:8443/a.yaml", false),
            ("https://example.com", "https://example.com@attacker.example/a.yaml", false),
            ("https://example.com", "http://example.com/a.yaml", false),
            ("https://example.com/a", "https://example.com/ab.yaml", false),
        ] {
            assert_eq!(Prefix::parse(prefix).unwrap().fits(url), fits, "{prefix} {url}");
        }
        for wrong in ["example.com", "file:///etc", "https://user@example.com/", "", "https://"] {
            assert!(Prefix::parse(wrong).is_err(), "{wrong}");
        }
    }
}
