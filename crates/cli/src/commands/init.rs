//! `portcullis init`: writes a configuration file for an API, with comments.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use portcullis_openapi::{Contract, Folder, Options, SchemeKind, Security, SecurityScheme};

use crate::config::DEFAULT_FILE;
use crate::exit::{Exit, Failure, Result};
use crate::term::{self, Style, out};

/// Write a commented configuration file for an API.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// OpenAPI document of the API
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Where the API is, such as http://127.0.0.1:3000
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    upstream: String,
    /// The file to write
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_FILE)]
    output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let contract = args.spec.as_deref().map(load).transpose()?;
    let spec = args.spec.as_deref().map(|spec| beside(&args.output, spec)).transpose()?;
    let without = || Facts { uncontracted: true, ..Facts::default() };
    let facts = contract.as_ref().map_or_else(without, Facts::of);
    let text = render(spec.as_deref(), &args.upstream, &facts);
    write(&args.output, &text, args.force)?;
    let file = args.output.display();
    term::say(format_args!("{} {file}", out(Style::Green, "wrote")));
    if !facts.silent.is_empty() {
        let count = facts.silent.len();
        term::say(format_args!(
            "the contract does not say who may call {count} operations; the file asks for an API key there"
        ));
    }
    term::say(format_args!(
        "next: portcullis config check --config {file}, then portcullis run --config {file}"
    ));
    Ok(Exit::Ok)
}

fn load(spec: &Path) -> Result<Contract> {
    let folder = spec.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let name = spec.file_name().unwrap_or_default().to_string_lossy();
    Contract::load(&name, &Folder::new(folder), &Options::default())
        .map_err(|error| Failure::Usage(format!("the contract cannot be loaded: {error}")))
}

/// The path of `spec` as the file at `output` would name it.
fn beside(output: &Path, spec: &Path) -> Result<String> {
    let folder = output.parent().filter(|folder| *folder != Path::new(""));
    let path = match folder {
        None => spec.to_owned(),
        Some(folder) => {
            let failed = |error| Failure::Incomplete(format!("`{}`: {error}", folder.display()));
            let (folder, whole) =
                (folder.canonicalize().map_err(failed)?, spec.canonicalize().map_err(failed)?);
            whole.strip_prefix(&folder).map(Path::to_owned).unwrap_or(whole)
        }
    };
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::Usage(format!("`{}` is not UTF-8", path.display())))
}

fn write(output: &Path, text: &str, force: bool) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    // Without --force the file must be new: what somebody else writes at this moment is not lost either.
    if force {
        options.write(true).create(true).truncate(true)
    } else {
        options.write(true).create_new(true)
    };
    let mut file = options.open(output).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::Usage(format!("`{}` is there already; --force writes over it", output.display()))
        }
        _ => Failure::Incomplete(format!("`{}` cannot be written: {error}", output.display())),
    })?;
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::Incomplete(format!("`{}` cannot be written: {error}", output.display())))
}

/// What of a contract decides how its configuration looks.
#[derive(Debug, Default)]
struct Facts {
    title: String,
    /// Operations of which nobody says who may call them.
    silent: Vec<String>,
    /// Schemes that the API itself has to verify, and what they are.
    upstream: Vec<(String, &'static str)>,
    /// Operations that anyone may call because the contract says so.
    open: usize,
    /// The header of the contract's own API key, where there is one.
    keys: bool,
    login: Option<String>,
    /// Whether there is no contract at all.
    uncontracted: bool,
}

impl Facts {
    fn of(contract: &Contract) -> Facts {
        let mut facts = Facts { title: contract.info().title.to_string(), ..Facts::default() };
        let mut used = BTreeSet::new();
        for operation in contract.operations() {
            match &operation.security {
                Security::Absent => {
                    let label = operation.label();
                    facts.silent.push(operation.id.as_deref().map(str::to_owned).unwrap_or(label));
                }
                Security::AnyOf(requirements) => {
                    facts.open += usize::from(requirements.iter().all(|one| one.all_of.is_empty()));
                    used.extend(requirements.iter().flat_map(|one| &one.all_of).filter_map(|one| one.index));
                }
            }
            let path = operation.path.to_ascii_lowercase();
            let login =
                ["login", "signin", "sign-in", "token", "session"].iter().any(|word| path.contains(word));
            if login && operation.method.as_str() == "POST" && facts.login.is_none() {
                facts.login = Some(operation.id.as_deref().map_or_else(|| operation.label(), str::to_owned));
            }
        }
        for SecurityScheme { name, kind } in
            used.iter().filter_map(|index| contract.security_schemes().get(*index))
        {
            let what = match kind {
                SchemeKind::ApiKey { .. } => {
                    facts.keys = true;
                    continue;
                }
                SchemeKind::Basic => "user name and password",
                SchemeKind::Bearer { .. } => "a bearer token",
                SchemeKind::OAuth2 { .. } => "an OAuth 2 token",
                SchemeKind::OpenIdConnect { .. } => "an OpenID Connect token",
                SchemeKind::MutualTls => "a client certificate",
                SchemeKind::Http { .. } | SchemeKind::Unknown => "a credential of another kind",
            };
            facts.upstream.push((name.to_string(), what));
        }
        facts
    }
}

fn render(spec: Option<&str>, upstream: &str, facts: &Facts) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        let _ = text.write_fmt(arguments);
        text.push('\n');
    };
    let title = if facts.title.trim().is_empty() { "this API" } else { facts.title.trim() };
    let title: String = title.chars().filter(|c| !c.is_control()).take(80).collect();
    line(format_args!("# Portcullis before {title}."));
    line(format_args!(
        "# `portcullis config check` says what is wrong here, `portcullis config show` what it amounts to."
    ));
    line(format_args!(
        "# Secrets stay out of this file: ${{NAME}}, ${{NAME:-default}} and ${{file:/path}} are filled in."
    ));
    line(format_args!(""));
    line(format_args!("# Where clients connect. With a certificate:"));
    line(format_args!(
        "#   listen: {{ address: 0.0.0.0:8443, tls: {{ certificate: cert.pem, key: key.pem }} }}"
    ));
    line(format_args!("listen: 127.0.0.1:8080"));
    line(format_args!(""));
    line(format_args!("# Where metrics and health are read; others than this machine need a token."));
    line(format_args!("admin: 127.0.0.1:9600"));
    line(format_args!(""));
    line(format_args!("# Where the API is; a list for several instances."));
    line(format_args!("upstream: {}", scalar(upstream)));
    line(format_args!(""));
    match spec {
        Some(spec) => {
            line(format_args!("# Only what this document describes gets through."));
            line(format_args!("contract: {}", scalar(spec)));
        }
        None => {
            line(format_args!(
                "# The API's OpenAPI document. Without one, paths, parameters and bodies are not checked."
            ));
            line(format_args!("# contract: openapi.yaml"));
        }
    }
    line(format_args!(""));
    line(format_args!("# Event log and keys."));
    line(format_args!("data: .portcullis"));
    line(format_args!(""));
    line(format_args!("# Proxies in front of this one whose word on the client's address is taken."));
    line(format_args!("# trusted_hops: [10.0.0.0/8]"));
    line(format_args!(""));
    line(format_args!(
        "# `monitor` refuses nothing and records what would have been refused: a way to begin."
    ));
    line(format_args!("mode: enforce"));
    line(format_args!(""));
    authenticate(&mut line, facts);
    line(format_args!("# How much each client may do. Quotas and limits by consumer: docs/guide/limits.md"));
    line(format_args!("limit:"));
    line(format_args!("  baseline: {{ rate: 100/s, burst: 200, per: client }}"));
    line(format_args!(""));
    line(format_args!(
        "# What differs for some operations; all that match apply, the later over the earlier."
    ));
    match &facts.login {
        Some(login) => {
            line(format_args!("policies:"));
            line(format_args!("  # Guessing passwords gets slow."));
            line(format_args!("  - match: {{ operation: {} }}", scalar(login)));
            line(format_args!("    limit: {{ rate: 10/min, burst: 10, per: client }}"));
            line(format_args!("  # - match: {{ operation: getStatus }}"));
        }
        None => {
            line(format_args!("# policies:"));
            line(format_args!("#   - match: {{ operation: getStatus }}"));
        }
    }
    line(format_args!("#     public: true"));
    text
}

fn authenticate(line: &mut impl FnMut(std::fmt::Arguments<'_>), facts: &Facts) {
    let silent = !facts.silent.is_empty() || facts.uncontracted;
    if facts.upstream.is_empty() && !silent {
        if facts.keys {
            line(format_args!(
                "# Who calls: the API keys that the contract asks for. `portcullis keys create` makes them."
            ));
            line(format_args!(""));
        }
        return;
    }
    line(format_args!("# Who calls."));
    line(format_args!("authenticate:"));
    if silent {
        match facts.uncontracted {
            true => line(format_args!(
                "  # There is no contract that says who may call: every call needs an API key in"
            )),
            false => line(format_args!(
                "  # The contract does not say who may call {} of its operations. They ask for an API key in",
                facts.silent.len()
            )),
        }
        line(format_args!(
            "  # this header (`portcullis keys create`); what anyone may call needs `public: true` below."
        ));
        line(format_args!("  api_key: X-Api-Key"));
    }
    if !facts.upstream.is_empty() {
        line(format_args!("  schemes:"));
        for (name, what) in &facts.upstream {
            line(format_args!("    # {what}: must be there, and is verified by the API itself"));
            line(format_args!("    {}: upstream", scalar(name)));
        }
    }
    line(format_args!(""));
}

/// A scalar of YAML: plain where that is safe beyond doubt, quoted otherwise.
fn scalar(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b':');
    let letter = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'/');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "nan", "inf"];
    let safe = letter && text.bytes().all(plain) && !text.ends_with(':');
    match safe && !word.contains(&text.to_ascii_lowercase().as_str()) {
        true => text.to_owned(),
        false => serde_json::to_string(text).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overrides};
    use crate::gateway::build;
    use crate::gateway::keys::Keys;
    use portcullis_engine::State;
    use std::sync::Arc;

    const PLAIN: &str = r#"
openapi: 3.0.3
info: { title: "Plain\n # not a comment", version: '1' }
paths:
  /things: { get: { responses: { '200': { description: ok } } } }
  "/login: {a}": { post: { responses: { '200': { description: ok } } } }
"#;
    const MIXED: &str = r#"
openapi: 3.1.0
info: { title: Mixed, version: '1' }
security: [{ "user: token": [] }]
paths:
  /a: { get: { operationId: a, responses: { '200': { description: ok } } } }
  /b: { get: { operationId: b, security: [], responses: { '200': { description: ok } } } }
  /c: { get: { operationId: c, security: [{ key: [] }, { oauth: [read] }], responses: { '200': { description: ok } } } }
components:
  securitySchemes:
    "user: token": { type: http, scheme: bearer }
    key: { type: apiKey, in: header, name: X-Key }
    oauth: { type: oauth2, flows: { clientCredentials: { tokenUrl: "https://x/y", scopes: { read: r } } } }
"#;

    #[test]
    fn what_is_written_passes_the_check() {
        for (document, needs_keys) in [(PLAIN, true), (MIXED, false), (portcullis_demo::CONTRACT, false)] {
            let folder = tempfile::tempdir().unwrap();
            let (spec, output) = (folder.path().join("my api.yaml"), folder.path().join("portcullis.yaml"));
            std::fs::write(&spec, document).unwrap();
            let args = Args {
                spec: Some(spec),
                upstream: "http://127.0.0.1:3000".into(),
                output: output.clone(),
                force: false,
            };
            run(&args).unwrap();
            let written = std::fs::read_to_string(&output).unwrap();
            assert_eq!(written.contains("api_key: X-Api-Key"), needs_keys, "{written}");
            let overrides = Overrides { config: Some(output.clone()), ..Overrides::default() };
            let config = config::load(&overrides).unwrap_or_else(|error| panic!("{error}\n{written}"));
            let keys = Keys::none().ring().clone();
            let compiled = build::compile(&config, keys, Arc::new(State::new(64)))
                .unwrap_or_else(|error| panic!("{error}\n{written}"));
            assert!(!compiled.report.operations.is_empty());

            assert!(run(&args).unwrap_err().to_string().contains("--force"));
            run(&Args { force: true, ..args }).unwrap();
            assert_eq!(std::fs::read_to_string(&output).unwrap(), written);
        }
    }

    #[test]
    fn without_a_contract_it_is_still_a_configuration() {
        let facts = Facts { uncontracted: true, ..Facts::default() };
        let text = render(None, "http://127.0.0.1:1", &facts);
        let config = config::load_text("t", &text, Path::new("."), &Overrides::default()).unwrap();
        build::compile(&config, Keys::none().ring().clone(), Arc::new(State::new(64)))
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
    }

    #[test]
    fn scalars_survive() {
        for text in ["a: b", "# x", "true", "1", "", "a\nb", "openapi.yaml", "\"q\"", "x:"] {
            let document =
                portcullis_openapi::source::Document::parse("t", format!("k: {}", scalar(text)).as_bytes());
            assert_eq!(document.unwrap().get("/k").and_then(|node| node.as_str()), Some(text));
        }
    }
}
