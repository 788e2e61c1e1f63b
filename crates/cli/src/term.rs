//! What is printed: colours only on a terminal, and a closed pipe is no error.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

/// A style of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Cyan => "36",
        }
    }
}

/// Text in a style, where the output shows styles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Styled<T> {
    text: T,
    style: Option<Style>,
}

impl<T: Display> Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "\u{1b}[{}m{}\u{1b}[0m", style.code(), self.text),
            None => self.text.fmt(f),
        }
    }
}

/// Text in a style on standard output, if that is a terminal and `NO_COLOR` is not set.
pub(crate) fn out<T: Display>(style: Style, text: T) -> Styled<T> {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    let colours = *COLOURS.get_or_init(|| wanted(io::stdout().is_terminal()));
    Styled { text, style: colours.then_some(style) }
}

/// As [`out`], on standard error.
pub(crate) fn err<T: Display>(style: Style, text: T) -> Styled<T> {
    Styled { text, style: colours_on_stderr().then_some(style) }
}

/// Whether standard error shows colours.
pub(crate) fn colours_on_stderr() -> bool {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    *COLOURS.get_or_init(|| wanted(io::stderr().is_terminal()))
}

/// The terminal's width in characters, or what fits everywhere.
pub(crate) fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(110).clamp(60, 400)
}

fn wanted(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes text to standard output. Whoever reads it may go away at any time (`| head`): then the program ends,
/// as one that was told to stop.
pub(crate) fn print(text: impl Display) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        let code = if error.kind() == io::ErrorKind::BrokenPipe { 0 } else { 3 };
        std::process::exit(code);
    }
}

/// Writes one line to standard output.
pub(crate) fn say(line: impl Display) {
    print(format_args!("{line}\n"));
}

/// Writes one line to standard output for whoever reads it: a gateway goes on when nobody does any more.
pub(crate) fn tell(line: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Writes one line to standard error.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A table of text: columns as wide as their widest cell, two spaces between.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<(String, Option<Style>)>>,
}

impl Table {
    /// A table with a head.
    pub(crate) fn new(head: &[&str]) -> Table {
        let head = head.iter().map(|cell| ((*cell).to_owned(), Some(Style::Dim))).collect();
        Table { rows: vec![head] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<(String, Option<Style>)>) {
        self.rows.push(cells);
    }

    /// Whether there is nothing but the head.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (column, (cell, _)) in row.iter().enumerate() {
                let width = cell.chars().count();
                match widths.get_mut(column) {
                    Some(known) => *known = width.max(*known),
                    None => widths.push(width),
                }
            }
        }
        for row in &self.rows {
            for (column, (cell, style)) in row.iter().enumerate() {
                let last = column + 1 == row.len();
                let fill =
                    if last { 0 } else { widths.get(column).map_or(0, |w| w - cell.chars().count()) + 2 };
                match style {
                    Some(style) => write!(f, "{}", out(*style, cell))?,
                    None => f.write_str(cell)?,
                }
                write!(f, "{:fill$}", "")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Text cut to `width` characters, the cut marked; control characters shown as `·`, so that what an attacker
/// sent cannot steer the reader's terminal.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let mut out: String =
        text.chars().take(width).map(|c| if c.is_control() || is_bidi(c) { '·' } else { c }).collect();
    if text.chars().nth(width).is_some() {
        out.pop();
        out.push('…');
    }
    out
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_text_fits() {
        let mut table = Table::new(&["a", "long head"]);
        table.row(vec![("wider".into(), None), ("x".into(), None)]);
        assert_eq!(table.to_string(), "a      long head\nwider  x\n");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abcd", 4), "abcd");
        assert_eq!(fit("a\u{1b}[2J\n", 9), "a·[2J·");
    }
}
