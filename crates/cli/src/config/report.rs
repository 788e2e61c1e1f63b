//! What is wrong with a configuration file, shown at its place.

use std::fmt::{self, Display};
use std::ops::Range;
use std::sync::LazyLock;

use portcullis_engine::looks_secret;
use portcullis_openapi::source::{Document, Span};
use regex::Regex;

use super::de::Fault;

/// What is wrong with one file: `file:line:column`, the line itself, what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The file, and where in it.
    pub(crate) place: String,
    /// What is wrong.
    pub(crate) what: String,
    /// The line, its number, and the columns that are meant.
    pub(crate) excerpt: Option<Excerpt>,
    /// What to do.
    pub(crate) hint: Option<String>,
}

/// A line of a file with a part of it marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    line: u32,
    text: String,
    from: usize,
    len: usize,
}

impl ConfigError {
    /// An error about a file as a whole.
    pub(crate) fn whole(file: impl Display, what: impl Into<String>) -> ConfigError {
        ConfigError { place: file.to_string(), what: what.into(), excerpt: None, hint: None }
    }

    /// An error about one place of `document`.
    pub(crate) fn new(document: &Document, fault: Fault) -> ConfigError {
        let Fault { span, what, hint, secret } = fault;
        match span {
            Some(span) => {
                let at = document.locate(span.start);
                let place = format!("{}:{at}", document.name());
                let excerpt = (!secret).then(|| excerpt(document, span));
                ConfigError { place, what, excerpt, hint }
            }
            None => ConfigError { place: document.name().to_owned(), what, excerpt: None, hint },
        }
    }

    /// The line that it is about, where it is about one.
    pub(crate) fn line(&self) -> Option<u32> {
        self.excerpt.as_ref().map(|excerpt| excerpt.line)
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> ConfigError {
        self.hint = Some(hint.into());
        self
    }
}

fn excerpt(document: &Document, span: Span) -> Excerpt {
    let at = document.locate(span.start);
    let line = document.line(at.line);
    let from = (at.column as usize).saturating_sub(1);
    let snippet = document.snippet(span);
    let len = snippet.lines().next().unwrap_or_default().trim_end().chars().count();
    let text: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect();
    let room = text.chars().count().saturating_sub(from);
    let len = len.clamp(1, room.max(1));
    Excerpt { line: at.line, text: without_secrets(&text, from..from + len), from, len }
}

/// The line with stars in the place of what other keys of it that look like secrets have; `shown` are the columns that
/// the error is about. References such as `${NAME}` tell nothing.
fn without_secrets(line: &str, shown: Range<usize>) -> String {
    static PAIRS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let value = r#"("[^"]*"?|'[^']*'?|[^\s,{}\[\]"'$][^\s,}\]]*)"#;
        Regex::new(&format!(r#"([\w-]+)["']?\s*:\s+{value}"#)).ok()
    });
    let mut hidden: Vec<Range<usize>> = Vec::new();
    for found in PAIRS.iter().flat_map(|pairs| pairs.captures_iter(line)) {
        let (Some(name), Some(value)) = (found.get(1), found.get(2)) else { continue };
        if !looks_secret(name.as_str()) || value.as_str().contains("${") {
            continue;
        }
        let start = line.get(..value.start()).unwrap_or_default().chars().count();
        let end = start + value.as_str().chars().count();
        if end <= shown.start || shown.end <= start {
            hidden.push(start..end);
        }
    }
    let is_hidden = |at: usize| hidden.iter().any(|range| range.contains(&at));
    line.chars().enumerate().map(|(at, c)| if is_hidden(at) { '*' } else { c }).collect()
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        let mut pad = 1;
        if let Some(Excerpt { line, text, from, len }) = &self.excerpt {
            let number = line.to_string();
            pad = number.len() + 1;
            write!(f, "\n{:pad$}|\n{number} | {text}\n{:pad$}| {:from$}{}", "", "", "", "^".repeat(*len))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{:pad$}= {hint}", "")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// All that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Errors in the order of the file.
    pub(crate) fn new(errors: impl Iterator<Item = ConfigError>) -> ConfigErrors {
        let mut errors: Vec<ConfigError> = errors.collect();
        errors.sort_by_key(ConfigError::line);
        ConfigErrors(errors)
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> ConfigErrors {
        ConfigErrors(vec![error])
    }
}

impl Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let gap = if index > 0 { "\n\n" } else { "" };
            write!(f, "{gap}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_no_secret_beside_the_mistake() {
        for (line, shown) in [
            (r#"a: { secret: "whsec_abc", least: 5 }"#, r#"a: { secret: ***********, least: 5 }"#),
            (r#"{"client_secret": "s", "least": 1}"#, r#"{"client_secret": ***, "least": 1}"#),
            ("x: { password: hunter2, least: 5 }", "x: { password: *******, least: 5 }"),
            ("x: { api_token: 'é,}', least: 5 }", "x: { api_token: *****, least: 5 }"),
            ("x: { authorization: Basic-abc, least: 5 }", "x: { authorization: *********, least: 5 }"),
            ("x: { secret: \"${NAME}\", least: 5 }", "x: { secret: \"${NAME}\", least: 5 }"),
            ("x: { secret: ${NAME}, least: 5 }", "x: { secret: ${NAME}, least: 5 }"),
            ("x: { secret: \"cut off, least: 5", "x: { secret: ******************"),
        ] {
            let at = line.find("least").unwrap_or(line.len());
            let shown_columns = if line.contains("cut off") { 0..1 } else { at..at + 5 };
            assert_eq!(without_secrets(line, shown_columns), shown);
        }
        let mistaken = "keys: nowhere";
        assert_eq!(without_secrets(mistaken, 6..13), mistaken);
    }
}
