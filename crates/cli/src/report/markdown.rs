//! Markdown, for a comment on a change or a wiki page.

use std::fmt::Write;

use super::{Item, Report, Section, State};

/// The report as GitHub-flavoured Markdown.
pub(super) fn write(report: &Report) -> String {
    let mut out = format!("# portcullis {}: {}\n\n", report.command, line(&report.target));
    if let Some(why) = &report.incomplete {
        let _ = writeln!(out, "**Incomplete:** {}\n", line(why));
    }
    let _ = writeln!(out, "**{}**\n", report.counts().words());
    if let Some(score) = report.score {
        let _ = writeln!(out, "Score: **{score}** of 100\n");
    }
    for fact in &report.facts {
        let _ = writeln!(out, "- {}: {}", line(&fact.name), line(&fact.value));
    }
    let new: Vec<&Item> = report.items.iter().filter(|item| item.state == State::New).collect();
    if !new.is_empty() {
        let rows = new.iter().map(|item| {
            vec![
                item.severity.to_string(),
                item.confidence.to_string(),
                item.code.clone(),
                item.title.clone(),
                item.place(),
            ]
        });
        let head = ["severity", "confidence", "code", "finding", "where"].map(str::to_owned).to_vec();
        table(&mut out, &Section { title: "Findings".into(), head, rows: rows.collect() });
    }
    for section in &report.tables {
        table(&mut out, section);
    }
    for item in new {
        finding(&mut out, item);
    }
    let accepted: Vec<&Item> = report.items.iter().filter(|item| item.state != State::New).collect();
    if !accepted.is_empty() {
        out.push_str("\n## Known and ignored\n\n");
        for item in accepted {
            let why = match &item.state {
                State::Ignored { reason, until } => format!("ignored until {until}: {reason}"),
                _ => "known from the baseline".to_owned(),
            };
            let _ = writeln!(out, "- {} {} ({})", code(&item.code), line(&item.title), line(&why));
        }
    }
    if !report.notes.is_empty() {
        out.push_str("\n## Notes\n\n");
        for note in &report.notes {
            let _ = writeln!(out, "- {}", line(note));
        }
    }
    out
}

fn finding(out: &mut String, item: &Item) {
    let _ = write!(out, "\n## {}\n\n", line(&item.title));
    let _ = writeln!(
        out,
        "{} · {} · {} · {} · CWE-{}\n",
        code(&item.code),
        item.severity,
        item.confidence,
        item.owasp.title(),
        item.cwe
    );
    let _ = writeln!(out, "{}\n", line(&item.detail));
    for place in item.places.iter().take(20) {
        let _ = writeln!(out, "- {}", code(&place.to_string()));
    }
    if item.places.len() > 20 {
        let _ = writeln!(out, "- and {} more", item.places.len() - 20);
    }
    if !item.evidence.proof.is_empty() {
        let _ = write!(out, "\n**Evidence.** {}\n", line(&item.evidence.proof));
    }
    if let Some(excerpt) = &item.evidence.excerpt {
        fenced(out, "", excerpt);
    }
    for exchange in &item.evidence.exchanges {
        let _ = write!(out, "\n{}", line(&exchange.label));
        if !exchange.expected.is_empty() {
            let _ = write!(out, " (expected: {})", line(&exchange.expected));
        }
        out.push('\n');
        fenced(out, "http", &exchange.request.text());
        match &exchange.response {
            Some(response) => fenced(out, "http", &response.text()),
            None => out.push_str("\nno answer\n"),
        }
    }
    if let Some(script) = item.script() {
        out.push_str("\n**Reproduce**\n");
        fenced(out, "sh", &script);
    }
    let _ = write!(out, "\n**Fix in the API.** {}\n", line(&item.fix));
    if let Some(patch) = &item.patch {
        let _ = write!(out, "\n**Fix by Portcullis.** {}\n", line(&patch.text));
        if let Some(yaml) = &patch.yaml {
            fenced(out, "yaml", yaml);
        }
    }
}

fn table(out: &mut String, section: &Section) {
    let _ = write!(out, "\n## {}\n\n", line(&section.title));
    let row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| line(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    out.push_str(&row(&section.head));
    out.push_str(&format!("|{}\n", "---|".repeat(section.head.len())));
    for cells in &section.rows {
        out.push_str(&row(cells));
    }
}

/// Text on one line in which nothing is markup.
fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '!' | '@' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Text as code within a line: its fence is longer than any run of backticks in it.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.contains('`') { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

fn fenced(out: &mut String, language: &str, text: &str) {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    let _ = write!(out, "\n{fence}{language}\n{}\n{fence}\n", text.trim_end_matches('\n'));
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
