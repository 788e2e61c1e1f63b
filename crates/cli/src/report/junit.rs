//! JUnit XML, as CI servers show it: a test case for each rule without findings, and one for each finding.

use std::fmt::Write;

use time::format_description::well_known::Rfc3339;

use super::xml::escaped;
use super::{Item, Report, State, owasp_id};

/// The report as JUnit XML.
pub(super) fn write(report: &Report) -> String {
    let quiet: Vec<_> =
        report.rules.iter().filter(|rule| report.items.iter().all(|item| item.code != rule.code)).collect();
    let new = report.items.iter().filter(|item| item.state == State::New).count();
    let tests = report.items.len() + quiet.len() + usize::from(report.incomplete.is_some());
    let errors = usize::from(report.incomplete.is_some());
    let sums = format!(
        "tests=\"{tests}\" failures=\"{new}\" errors=\"{errors}\" skipped=\"{}\" time=\"{:.3}\"",
        report.items.len() - new,
        report.seconds
    );
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let name = format!("portcullis {}", report.command);
    let _ = writeln!(out, "<testsuites name=\"{}\" {sums}>", escaped(&name));
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" timestamp=\"{}\" {sums}>",
        escaped(&report.target),
        report.started.format(&Rfc3339).unwrap_or_default()
    );
    for rule in quiet {
        let _ = writeln!(
            out,
            "    <testcase classname=\"portcullis.{}.{}\" name=\"{}: {}\"/>",
            report.command,
            owasp_id(rule.owasp).split(':').next().unwrap_or_default(),
            escaped(&rule.code),
            escaped(&rule.title)
        );
    }
    for item in &report.items {
        case(&mut out, report, item);
    }
    if let Some(why) = &report.incomplete {
        let _ = writeln!(
            out,
            "    <testcase classname=\"portcullis.{}\" name=\"came to its end\"><error message=\"{}\"/></testcase>",
            report.command,
            escaped(why)
        );
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn case(out: &mut String, report: &Report, item: &Item) {
    let place = item.places.first();
    let file = place.and_then(|place| place.file.as_deref()).map_or(String::new(), |file| {
        let line = place.map_or(0, |place| place.line);
        let line = if line > 0 { format!(" line=\"{line}\"") } else { String::new() };
        format!(" file=\"{}\"{line}", escaped(file))
    });
    let _ = writeln!(
        out,
        "    <testcase classname=\"portcullis.{}.{}\" name=\"{}\"{file}>",
        report.command,
        owasp_id(item.owasp).split(':').next().unwrap_or_default(),
        escaped(&format!("{}: {} [{}]", item.code, item.title, item.place())),
    );
    match &item.state {
        State::New => {
            let mut text = format!("{}\n\nat {}\n", item.detail, item.place());
            if !item.evidence.proof.is_empty() {
                let _ = write!(text, "\n{}\n", item.evidence.proof);
            }
            if let Some(script) = item.script() {
                let _ = write!(text, "\n{script}");
            }
            let _ = write!(text, "\nfix: {}", item.fix);
            let _ = writeln!(
                out,
                "      <failure type=\"{}\" message=\"{}\">{}</failure>",
                item.severity,
                escaped(&format!("{} ({}, {})", item.title, item.severity, item.confidence)),
                escaped(&text)
            );
        }
        State::Known => out.push_str("      <skipped message=\"known from the baseline\"/>\n"),
        State::Ignored { reason, until } => {
            let _ = writeln!(
                out,
                "      <skipped message=\"{}\"/>",
                escaped(&format!("ignored until {until}: {reason}"))
            );
        }
    }
    out.push_str("    </testcase>\n");
}
