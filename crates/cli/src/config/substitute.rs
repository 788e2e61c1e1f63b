//! `${VAR}`, `${VAR:-default}` and `${file:/path}` in the scalars of a configuration file, so that secrets need
//! not stand in it.

use std::path::Path;

use portcullis_openapi::source::{Kind, Node, Span};

use super::de::{Fault, Substituted};
use crate::files;

/// Bytes that a file named by `${file:…}` may have.
const MAX_FILE: u64 = 64 << 10;

/// Where substitutes come from.
pub(crate) struct Source<'a> {
    /// Environment variables.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The folder that relative paths start from.
    pub(crate) folder: &'a Path,
}

/// Replaces all references in the strings of `node`. `$${` stands for a literal `${`.
pub(crate) fn substitute(node: &mut Node, source: &Source<'_>, done: &mut Substituted) -> Result<(), Fault> {
    let span = node.span;
    match &mut node.kind {
        Kind::String(text) if text.contains("${") => {
            *text = expand(text, span, source)?.into();
            done.insert(span.start);
        }
        Kind::Array(items) => {
            for item in items {
                substitute(item, source, done)?;
            }
        }
        Kind::Object(members) => {
            for member in members {
                substitute(&mut member.value, source, done)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn expand(text: &str, span: Span, source: &Source<'_>) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        let reference = reference.get(2..).unwrap_or_default();
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = reference;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = reference.split_once('}') else {
            return Err(Fault::at(span, "`${` without its `}`").hint("write `$${` for a literal `${`"));
        };
        out.push_str(&value(name, span, source)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn value(reference: &str, span: Span, source: &Source<'_>) -> Result<String, Fault> {
    if let Some(path) = reference.strip_prefix("file:") {
        return file(&source.folder.join(path))
            .map_err(|error| Fault::at(span, format!("the file `{path}` cannot be read: {error}")));
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let well_formed = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty();
    if !well_formed {
        return Err(Fault::at(span, format!("`{name}` is not the name of an environment variable"))
            .hint("expected `${NAME}`, `${NAME:-default}` or `${file:/path}`"));
    }
    match (source.variable)(name).filter(|value| !value.is_empty()).or(default.map(str::to_owned)) {
        Some(value) => Ok(value),
        None => Err(Fault::at(span, format!("the environment variable `{name}` is not set"))
            .hint(format!("set it, or give a default: `${{{name}:-…}}`"))),
    }
}

fn file(path: &Path) -> Result<String, String> {
    let text = files::read_text(path, MAX_FILE).map_err(|error| error.to_string())?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, String> {
        let variable = |name: &str| match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let folder = std::env::temp_dir();
        let source = Source { variable: &variable, folder: &folder };
        expand(text, Span::default(), &source).map_err(|fault| fault.what)
    }

    #[test]
    fn references_are_replaced_or_named() {
        assert_eq!(run("a ${PORT} b ${PORT}").unwrap(), "a 8080 b 8080");
        assert_eq!(run("${NONE:-x:-y}").unwrap(), "x:-y");
        assert_eq!(run("${EMPTY:-fallback}").unwrap(), "fallback");
        assert_eq!(run("$${PORT} $5 {}").unwrap(), "${PORT} $5 {}");
        assert_eq!(run("${NONE}").unwrap_err(), "the environment variable `NONE` is not set");
        assert_eq!(run("${PORT").unwrap_err(), "`${` without its `}`");
        assert_eq!(run("${a b}").unwrap_err(), "`a b` is not the name of an environment variable");
        assert!(
            run("${file:no-such-file}").unwrap_err().starts_with("the file `no-such-file` cannot be read")
        );
    }
}
