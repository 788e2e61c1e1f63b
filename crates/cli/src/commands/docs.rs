//! `portcullis docs`: the reference pages, made of the code itself. `--check` fails when those on disk are stale.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{config, explain};
use crate::exit::{Exit, Failure, Result};
use crate::term::{self, Style, out};

/// Write the reference pages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to
    #[arg(default_value = "docs/reference")]
    folder: PathBuf,
    /// Write nothing; fail where a page is not what would be written
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut stale = Vec::new();
    for (name, text) in pages() {
        let path = args.folder.join(name);
        let now = std::fs::read_to_string(&path).unwrap_or_default();
        if now == text {
            continue;
        }
        if !args.check {
            write(&path, &text)?;
        }
        stale.push(path);
    }
    for path in &stale {
        let what = if args.check { out(Style::Red, "stale") } else { out(Style::Green, "wrote") };
        term::say(format_args!("{what} {}", path.display()));
    }
    Ok(if args.check && !stale.is_empty() { Exit::Failed } else { Exit::Ok })
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| Failure::Incomplete(format!("`{}` cannot be written: {error}", path.display())))
}

/// Every page: its name and its text.
fn pages() -> Vec<(&'static str, String)> {
    let mut schema = serde_json::to_string_pretty(&config::schema()).unwrap_or_default();
    schema.push('\n');
    vec![
        ("guards.md", guards()),
        ("codes.md", codes()),
        ("config.md", settings()),
        ("cli.md", command_line()),
        ("findings.md", findings()),
        ("portcullis.schema.json", schema),
    ]
}

const GENERATED: &str = "<!-- Made by `cargo dev docs` of the code; change it there. -->\n\n";

fn guards() -> String {
    let mut page = format!("# Guards\n\n{GENERATED}");
    page.push_str(
        "Each guard has a section of its own in the configuration, under its name. Beside what is listed, ",
    );
    page.push_str(
        "every section has `mode` (`enforce`, `monitor`, `off`) and `on_error` (`closed`, `open`). ",
    );
    page.push_str("Guards of one stage run in this order.\n");
    for (name, text, codes) in portcullis_guards::docs() {
        let _ = write!(page, "\n## {name}\n\n{}\n", text.trim());
        let codes: Vec<String> =
            codes.iter().map(|code| format!("[`{0}`](codes.md#{0})", code.name)).collect();
        if !codes.is_empty() {
            let _ = write!(page, "\nCodes: {}.\n", codes.join(", "));
        }
    }
    page
}

fn codes() -> String {
    let mut page = format!("# Codes\n\n{GENERATED}");
    page.push_str("What a refusal says as `code`, and a record as its finding. `portcullis explain CODE` prints the same.\n");
    for code in explain::all() {
        let _ = write!(
            page,
            "\n## {}\n\n{}: {} ({}, CWE-{}, {})\n\n- **Attack.** {}\n- **Client.** {}\n- **Operator.** {}\n",
            code.name,
            code.status,
            code.title,
            code.owasp.title(),
            code.cwe,
            format!("{:?}", code.severity).to_lowercase(),
            code.attack,
            code.client,
            code.operator
        );
    }
    page
}

/// Everything that a scan or an audit can find, and what closes it at the gateway.
fn findings() -> String {
    let mut page = format!("# Findings\n\n{GENERATED}");
    page.push_str(
        "What `portcullis scan` and `portcullis audit` find, and what `portcullis fix` does about it. A remedy counts once \
         it is proved: see [the guide](../guide/fix.md).\n",
    );
    page.push_str("\n## Of a scan\n\n| code | what | OWASP | CWE | severity | at the gateway |\n|---|---|---|---|---|---|\n");
    for kind in portcullis_scanner::CHECKS.iter().flat_map(|check| check.kinds) {
        let how = super::fix::how(kind.code).unwrap_or("nothing");
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {how} |",
            kind.code,
            kind.title,
            crate::report::owasp_id(kind.owasp),
            kind.cwe,
            format!("{:?}", kind.severity).to_lowercase(),
        );
    }
    page.push_str("\n## Of a contract\n");
    for rule in portcullis_audit::contract::RULES {
        let _ = write!(
            page,
            "\n### {}\n\n{}, CWE-{}, {}: {}.\n\n{}\n\n**In the document.** {}\n",
            rule.code,
            crate::report::owasp_id(rule.owasp),
            rule.cwe,
            format!("{:?}", rule.severity).to_lowercase(),
            rule.title,
            rule.page().trim(),
            rule.fix,
        );
        if let Some((guard, what)) = rule.guard {
            let _ = write!(page, "\n**At the gateway.** [`{guard}`](guards.md#{guard}): {what}\n");
        }
    }
    page
}

fn command_line() -> String {
    let mut page = format!("# Command line\n\n{GENERATED}");
    page.push_str(
        "Exit codes: 0 done, 1 something was found wrong, 2 wrong usage or configuration, 3 could not be ",
    );
    page.push_str("brought to its end. Colours only on a terminal, and not with `NO_COLOR`.\n");
    let mut root = super::command_line().term_width(100);
    root.build();
    describe(&mut page, &mut root, 2);
    page
}

fn describe(page: &mut String, command: &mut clap::Command, depth: usize) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.trim().lines().map(str::trim_end).collect();
    let _ = write!(page, "\n{} {name}\n\n```text\n{}\n```\n", "#".repeat(depth.min(4)), help.join("\n"));
    for inner in command.get_subcommands_mut() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            describe(page, inner, depth + 1);
        }
    }
}

fn settings() -> String {
    let mut page = format!("# Configuration file\n\n{GENERATED}");
    page.push_str(
        "A file in YAML or JSON. An address, a URL or a path may stand where a mapping is meant, and one ",
    );
    page.push_str(
        "where a list is. `${NAME}`, `${NAME:-default}` and `${file:/path}` are filled in; `$${` is a ",
    );
    page.push_str(
        "literal `${`. `portcullis.schema.json` beside this page is for editors. Sections of guards are ",
    );
    page.push_str("explained in [guards.md](guards.md).\n\n");
    let schema = config::schema();
    table(&mut page, &schema, &schema);
    let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, definition) in &definitions {
        let described =
            definition.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty());
        let listed = definition.get("oneOf").is_some() || definition.get("enum").is_some();
        if !described && !listed {
            continue;
        }
        let _ = write!(page, "\n## {name}\n\n");
        if let Some(text) = definition.get("description").and_then(Value::as_str) {
            let _ = write!(page, "{}\n\n", text.replace('\n', " "));
        }
        if described { table(&mut page, definition, &schema) } else { words(&mut page, definition) }
    }
    page
}

fn table(page: &mut String, schema: &Value, root: &Value) {
    page.push_str("| key | value | default | what it is |\n|---|---|---|---|\n");
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (key, property) in properties {
        let guard = portcullis_guards::REGISTRY.iter().any(|entry| entry.name == key);
        let description = match guard && std::ptr::eq(schema, root) {
            true => format!("A guard: [guards.md](guards.md#{key})."),
            false => text_of(property, root).unwrap_or_default().to_owned(),
        };
        let default = property.get("default").filter(|value| !value.is_null() && !value.is_object());
        let default =
            default.map(|value| format!("`{}`", value.to_string().trim_matches('"'))).unwrap_or_default();
        let _ = writeln!(
            page,
            "| `{key}` | {} | {} | {} |",
            kind(property, 0).replace('|', "\\|"),
            default.replace('|', "\\|"),
            description.replace('\n', " ").replace('|', "\\|")
        );
    }
}

fn words(page: &mut String, definition: &Value) {
    for one in definition.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let word =
            one.get("const").or_else(|| one.pointer("/enum/0")).and_then(Value::as_str).unwrap_or_default();
        let text = one.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let _ = writeln!(page, "- `{word}`: {text}");
    }
    for word in
        definition.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        let _ = writeln!(page, "- `{word}`");
    }
}

fn text_of<'a>(property: &'a Value, root: &'a Value) -> Option<&'a str> {
    property.get("description").and_then(Value::as_str).or_else(|| {
        let target = property.get("$ref").and_then(Value::as_str)?.strip_prefix('#')?;
        root.pointer(target)?.get("description").and_then(Value::as_str)
    })
}

/// What may stand there, in a few words.
fn kind(schema: &Value, depth: usize) -> String {
    if depth > 5 {
        return "…".into();
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let name = target.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(forms) = schema.get(key).and_then(Value::as_array) {
            let mut kinds: Vec<String> = Vec::new();
            for kind in forms.iter().map(|form| kind(form, depth + 1)).filter(|kind| kind != "null") {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            return kinds.join(" or ");
        }
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<String> =
            words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => vec!["any"],
    };
    let plain = |name: &str| match name {
        "array" => {
            format!("list of {}", schema.get("items").map_or("any".into(), |items| kind(items, depth + 1)))
        }
        "object" => match schema.get("additionalProperties").filter(|value| value.is_object()) {
            Some(values) => format!("mapping of names to {}", kind(values, depth + 1)),
            None => "mapping".into(),
        },
        "integer" | "number" => "number".into(),
        "boolean" => "`true`, `false`".into(),
        "string" => "text".into(),
        other => other.to_owned(),
    };
    names.into_iter().map(plain).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
#[path = "docs_tests.rs"]
mod tests;
