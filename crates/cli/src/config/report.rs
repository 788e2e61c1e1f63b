//! What is wrong with a configuration file, shown at its place.

use std::fmt::{self, Display};

use portcullis_openapi::source::{Document, Span};

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
    Excerpt { line: at.line, text, from, len: len.clamp(1, room.max(1)) }
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
