//! `portcullis config`: checks a configuration, shows what it amounts to, prints its schema.

use std::sync::Arc;

use portcullis_engine::{FailMode, Mode, State};
use portcullis_guards::{Access, Compiled, GuardReport, Policies, Report};
use serde_json::{Value, json};

use crate::config::written::Written;
use crate::config::{self, Config, Overrides};
use crate::exit::{Exit, Failure, Result};
use crate::gateway::build;
use crate::gateway::keys::Keys;
use crate::term::{self, Style, out};

/// Check a configuration file, print its schema, or show what it amounts to.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Read the configuration and everything it names; say what is wrong, and where
    Check {
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Show who may call each operation, and which guards it has in which mode
    Show {
        #[command(flatten)]
        overrides: Overrides,
        /// Write JSON
        #[arg(long)]
        json: bool,
        /// Only operations whose id or path contains this
        filter: Option<String>,
    },
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
}

pub(crate) fn run(args: &Args) -> Result {
    match args {
        Args::Check { overrides } => check(overrides),
        Args::Show { overrides, json, filter } => show(overrides, *json, filter.as_deref()),
        Args::Schema => {
            term::say(serde_json::to_string_pretty(&schema()).unwrap_or_default());
            Ok(Exit::Ok)
        }
    }
}

fn compile(overrides: &Overrides) -> Result<(Config, Compiled)> {
    // What guards what can be asked of a contract alone; a file is a gateway's, and names its upstream.
    let upstream_optional = overrides.config.is_none() && overrides.spec.is_some();
    let config =
        config::load(&Overrides { upstream_optional, ..overrides.clone() }).map_err(Failure::usage)?;
    let compiled = build::compile(&config, Keys::none().ring().clone(), Arc::new(State::new(1024)))
        .map_err(Failure::usage)?;
    Ok((config, compiled))
}

fn check(overrides: &Overrides) -> Result {
    let (config, Compiled { report, .. }) = compile(overrides)?;
    for warning in &report.warnings {
        term::say(format_args!("{} {warning}", out(Style::Yellow, "warning:")));
    }
    let what = config.file().unwrap_or("the command line");
    let open = report.open().count();
    term::say(format_args!(
        "{} {what}: {} operations, {open} of them open to anyone",
        out(Style::Green, "ok"),
        report.operations.len()
    ));
    Ok(Exit::Ok)
}

fn show(overrides: &Overrides, json: bool, filter: Option<&str>) -> Result {
    let (_, Compiled { report, .. }) = compile(overrides)?;
    if json {
        term::say(serde_json::to_string_pretty(&report_json(&report, filter)).unwrap_or_default());
        return Ok(Exit::Ok);
    }
    for operation in wanted(&report, filter) {
        let head = format!("{} {}", operation.method, operation.template);
        term::say(format_args!("{}  {}", out(Style::Bold, head), out(Style::Dim, &operation.id)));
        term::say(format_args!("  access  {}", access_text(&operation.access)));
        term::say(format_args!("  guards  {}", guards_text(&operation.guards)));
        for problem in &operation.unenforced {
            term::say(format_args!("  {} {problem}", out(Style::Yellow, "refused, cannot be enforced:")));
        }
    }
    if filter.is_none() {
        term::say(out(Style::Bold, "requests that match no operation"));
        term::say(format_args!("  guards  {}", guards_text(&report.unmatched)));
    }
    Ok(Exit::Ok)
}

fn wanted<'a>(
    report: &'a Report,
    filter: Option<&'a str>,
) -> impl Iterator<Item = &'a portcullis_guards::OperationReport> {
    let matches = move |text: &str| filter.is_none_or(|filter| text.contains(filter));
    report.operations.iter().filter(move |o| matches(&o.id) || matches(&o.template))
}

fn access_text(access: &Access) -> String {
    match access {
        Access::OpenByContract => "anyone, says the contract".into(),
        Access::OpenByPolicy => "anyone, says a policy".into(),
        Access::OpenBySilence => "anyone, since nothing says who may call".into(),
        Access::Credentials(sets) => sets.join(", or "),
    }
}

fn guards_text(guards: &[GuardReport]) -> String {
    let mut names: Vec<String> = Vec::new();
    for guard in guards {
        let mut name = guard.name.to_owned();
        if guard.mode == Mode::Monitor {
            name.push_str(" (monitor)");
        }
        if guard.on_error == FailMode::Open {
            name.push_str(" (open on error)");
        }
        // One protection may have several guards; a reader wants its name once.
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn report_json(report: &Report, filter: Option<&str>) -> Value {
    let guards = |guards: &[GuardReport]| -> Value {
        guards
            .iter()
            .map(|guard| {
                json!({
                    "name": guard.name,
                    "stage": format!("{:?}", guard.stage).to_lowercase(),
                    "mode": guard.mode,
                    "on_error": guard.on_error,
                })
            })
            .collect()
    };
    let operations: Vec<Value> = wanted(report, filter)
        .map(|operation| {
            let open = match operation.access {
                Access::OpenByContract => json!("contract"),
                Access::OpenByPolicy => json!("policy"),
                Access::OpenBySilence => json!("silence"),
                Access::Credentials(_) => Value::Null,
            };
            let credentials = match &operation.access {
                Access::Credentials(sets) => json!(sets),
                _ => json!([]),
            };
            json!({
                "id": &*operation.id,
                "method": operation.method.as_str(),
                "path": &*operation.template,
                "open_by": open,
                "credentials": credentials,
                "guards": guards(&operation.guards),
                "unenforced": operation.unenforced,
            })
        })
        .collect();
    json!({ "operations": operations, "unmatched": guards(&report.unmatched), "warnings": report.warnings })
}

/// The JSON Schema of the whole file: the gateway's own sections and those of the guards.
pub(crate) fn schema() -> Value {
    let mut generator = schemars::SchemaGenerator::default();
    let guards = Policies::properties(&mut generator);
    let mut schema = generator.into_root_schema_for::<Written>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "portcullis.yaml".into());
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            properties.extend(guards);
        }
        // An instance may be written as its URL alone, and one where a list is meant.
        if let Some(origins) =
            root.get_mut("$defs").and_then(|d| d.pointer_mut("/UpstreamConfig/properties/origins"))
        {
            let (url, origin) = (json!({ "type": "string" }), json!({ "$ref": "#/$defs/OriginConfig" }));
            let description = origins.get("description").cloned().unwrap_or_default();
            let list = json!({ "type": "array", "items": { "anyOf": [url, origin] } });
            *origins = json!({ "description": description, "anyOf": [url, origin, list] });
        }
    }
    schema
}
