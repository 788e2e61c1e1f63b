//! The report for a person at a terminal: a calm table, then what to do.

use std::fmt::Write;

use super::{Confidence, Exchange, Item, Report, Severity, State};
use crate::term::{self, Style, Table, out};

/// Rows of the table that are shown without `--details`.
const ROWS: usize = 60;

/// The report as text; with the evidence of every finding, or as a table only.
pub(super) fn write(report: &Report, details: bool) -> String {
    let mut text = String::new();
    let new: Vec<&Item> = report.items.iter().filter(|item| item.state == State::New).collect();
    if details {
        for item in &new {
            describe(&mut text, item);
        }
    }
    if !new.is_empty() {
        let _ = writeln!(text, "{}", table(&new, if details { usize::MAX } else { ROWS }));
    }
    if new.len() > ROWS && !details {
        let _ = writeln!(
            text,
            "… and {} more; --details shows all, -o report.html keeps them\n",
            new.len() - ROWS
        );
    }
    for section in &report.tables {
        let mut table = Table::new(&section.head.iter().map(String::as_str).collect::<Vec<_>>());
        for row in &section.rows {
            table.row(row.iter().map(|cell| (term::fit(cell, 72), None)).collect());
        }
        if !table.is_empty() {
            let _ = writeln!(text, "{}\n{table}", out(Style::Bold, &section.title));
        }
    }
    for note in &report.notes {
        let _ = writeln!(text, "{} {}", out(Style::Yellow, "note"), term::fit(note, 300));
    }
    if let Some(why) = &report.incomplete {
        let _ = writeln!(text, "{} {}", out(Style::Red, "incomplete"), term::fit(why, 300));
    }
    let facts: Vec<String> =
        report.facts.iter().map(|fact| format!("{} {}", fact.name, term::fit(&fact.value, 60))).collect();
    if !facts.is_empty() {
        let _ = writeln!(text, "{}", out(Style::Dim, facts.join(" · ")));
    }
    if let Some(score) = report.score {
        let style = match score {
            80.. => Style::Green,
            50.. => Style::Yellow,
            _ => Style::Red,
        };
        let _ = writeln!(text, "score {} of 100", out(style, score));
    }
    let _ =
        writeln!(text, "{}: {}", out(Style::Bold, term::fit(&report.target, 100)), report.counts().words());
    text
}

fn table(items: &[&Item], rows: usize) -> Table {
    let width = term::width();
    let (left, middle) = (width * 2 / 5, width / 3);
    let mut table = Table::new(&["severity", "", "code", "finding", "where"]);
    for item in items.iter().take(rows) {
        let sure = if item.confidence == Confidence::Confirmed { "" } else { item.confidence.as_str() };
        let more =
            if item.places.len() > 1 { format!(" (+{})", item.places.len() - 1) } else { String::new() };
        table.row(vec![
            (item.severity.to_string(), Some(style(item.severity))),
            (sure.to_owned(), Some(Style::Dim)),
            (item.code.clone(), Some(Style::Bold)),
            (term::fit(&item.title, left), None),
            (format!("{}{more}", term::fit(&short_place(item), middle)), None),
        ]);
    }
    table
}

/// The part of a place that a person looks for first.
fn short_place(item: &Item) -> String {
    let Some(place) = item.places.first() else { return String::new() };
    match (&place.operation, place.in_file()) {
        (_, Some(file)) => file,
        (Some(operation), None) => operation.clone(),
        (None, None) => place.part.clone().unwrap_or_default(),
    }
}

fn describe(text: &mut String, item: &Item) {
    let _ = writeln!(
        text,
        "{} {} {}",
        out(style(item.severity), item.severity),
        out(Style::Bold, &item.code),
        term::fit(&item.title, 300)
    );
    let about = format!("{} · {} · CWE-{}", item.confidence, item.owasp.title(), item.cwe);
    let _ = writeln!(text, "  {}", out(Style::Dim, about));
    for place in item.places.iter().take(10) {
        let _ = writeln!(text, "  {}", out(Style::Cyan, term::fit(&place.to_string(), 200)));
    }
    if item.places.len() > 10 {
        let _ = writeln!(text, "  and {} more places", item.places.len() - 10);
    }
    wrapped(text, "", &item.detail);
    wrapped(text, "proof: ", &item.evidence.proof);
    if let Some(excerpt) = &item.evidence.excerpt {
        block(text, excerpt, 20);
    }
    for exchange in &item.evidence.exchanges {
        show(text, exchange);
    }
    wrapped(text, "fix: ", &item.fix);
    if let Some(patch) = &item.patch {
        wrapped(text, "gateway: ", &patch.text);
        if let Some(yaml) = &patch.yaml {
            block(text, yaml, 40);
        }
    }
    text.push('\n');
}

fn show(text: &mut String, exchange: &Exchange) {
    if !exchange.label.is_empty() {
        let _ = writeln!(text, "  {}", term::fit(&exchange.label, 200));
    }
    block(text, &exchange.request.curl(), 20);
    match &exchange.response {
        Some(response) => block(text, &response.text(), 14),
        None => text.push_str("    (no answer)\n"),
    }
    wrapped(text, "expected: ", &exchange.expected);
}

fn block(text: &mut String, inner: &str, lines: usize) {
    for line in inner.lines().take(lines) {
        let _ = writeln!(text, "    {}", out(Style::Dim, term::fit(line, term::width().saturating_sub(4))));
    }
    if inner.lines().count() > lines {
        text.push_str("    …\n");
    }
}

/// Words on lines as wide as the terminal, two spaces in.
fn wrapped(text: &mut String, label: &str, words: &str) {
    let width = term::width().saturating_sub(4);
    let mut line = label.to_owned();
    for word in words.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() > width {
            let _ = writeln!(text, "  {}", line.trim_end());
            line.clear();
        }
        line.push_str(&term::fit(word, 400));
        line.push(' ');
    }
    if line.trim_end() != label.trim_end() {
        let _ = writeln!(text, "  {}", line.trim_end());
    }
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Critical | Severity::High => Style::Red,
        Severity::Medium => Style::Yellow,
        Severity::Low => Style::Cyan,
        Severity::Info => Style::Dim,
    }
}
