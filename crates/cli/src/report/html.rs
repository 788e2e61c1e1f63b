//! One self-contained page: what it means on top, every finding with its proof below. No script runs in it and
//! nothing is fetched, so that what an attacked server answered stays text.

use std::fmt::Write;

use time::macros::format_description;

use super::xml::escaped;
use super::{Confidence, Exchange, Item, Report, Section, Severity, State, har, redact};

const STYLE: &str = include_str!("report.css");

/// Places of one finding that are listed.
const PLACES: usize = 50;

/// The report as a page.
pub(super) fn write(report: &Report) -> String {
    let mut out = String::with_capacity(64 << 10);
    let title = format!("{} of {}", name(report), report.target);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escaped(&title)
    );
    head(&mut out, report);
    for section in &report.tables {
        table(&mut out, section);
    }
    findings(&mut out, report);
    accepted(&mut out, report);
    notes(&mut out, report);
    rules(&mut out, report);
    let _ = write!(
        out,
        "<p class=\"quiet\">Portcullis {}. Findings are confirmed where the evidence proves them, likely where \
         another explanation is less likely, suspected where something points at them and nothing proves them.</p>\n\
         </main>\n</body>\n</html>\n",
        escaped(&report.version)
    );
    out
}

fn name(report: &Report) -> &'static str {
    match report.command.as_str() {
        "scan" => "Security test",
        "audit" => "Security audit",
        "check" => "Security checklist",
        "fix" => "Closed at the gateway",
        _ => "Security report",
    }
}

fn head(out: &mut String, report: &Report) {
    let day = report
        .started
        .format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
        .unwrap_or_default();
    let _ = write!(
        out,
        "<p class=\"lead\">{}</p>\n<h1>{}</h1>\n<p class=\"quiet\">{day}, {:.1} s</p>\n",
        name(report),
        escaped(&report.target),
        report.seconds
    );
    if let Some(why) = &report.incomplete {
        let _ = writeln!(
            out,
            "<div class=\"banner\"><b>Not complete.</b> {} What was found until then is below; what is not below \
             was not necessarily looked at.</div>",
            prose(why)
        );
    }
    let _ = writeln!(out, "<p>{}</p>", prose(&summary(report)));
    let counts = report.counts();
    out.push_str("<div class=\"tiles\">\n");
    if let Some(score) = report.score {
        let class = match score {
            80.. => "good",
            50.. => "medium",
            _ => "high",
        };
        let _ = writeln!(out, "<div class=\"tile {class}\"><b>{score}</b><span>score of 100</span></div>");
    }
    let mut tile = |class: &str, count: usize, label: &str| {
        let none = if count == 0 { " none" } else { "" };
        let _ = writeln!(out, "<div class=\"tile {class}{none}\"><b>{count}</b><span>{label}</span></div>");
    };
    for (severity, count) in Severity::ALL.into_iter().zip(counts.by_severity) {
        tile(severity.as_str(), count, severity.as_str());
    }
    tile("info", counts.suspected, "suspected");
    if counts.known + counts.ignored > 0 {
        tile("info", counts.known + counts.ignored, "known or accepted");
    }
    out.push_str("</div>\n");
    if !report.facts.is_empty() {
        out.push_str("<div class=\"scroll facts\"><table>\n");
        for fact in &report.facts {
            let _ = writeln!(out, "<tr><td>{}</td><td>{}</td></tr>", escaped(&fact.name), prose(&fact.value));
        }
        out.push_str("</table></div>\n");
    }
}

/// What a reader who stops after three lines should take along.
fn summary(report: &Report) -> String {
    let counts = report.counts();
    let [critical, high, medium, low, _] = counts.by_severity;
    let serious = critical + high;
    let proved: usize = counts.by_severity.iter().sum();
    if report.items.is_empty() {
        return match report.incomplete {
            Some(_) => "Nothing was found in what was looked at.".into(),
            None => format!("Nothing was found; {} rules ran.", report.rules.len()),
        };
    }
    let mut text = match (serious, medium + low) {
        (0, 0) if proved == 0 => "Nothing new is proved.".to_owned(),
        (0, 0) => "Nothing serious was found.".to_owned(),
        (0, rest) => format!("{rest} weaknesses, none of them serious by itself."),
        (1, _) => "One serious weakness: fix it before anything else.".to_owned(),
        (serious, _) => format!("{serious} serious weaknesses: fix them before anything else."),
    };
    let worst = report.items.iter().find(|item| item.state == State::New);
    if let Some(worst) = worst.filter(|worst| worst.severity >= Severity::Medium) {
        let _ = write!(text, " The first: “{}”.", worst.title.trim_end_matches('.'));
    }
    let closable =
        report.items.iter().filter(|item| item.state == State::New && item.patch.is_some()).count();
    if closable > 0 {
        let all = report.items.iter().filter(|item| item.state == State::New).count();
        let _ = write!(
            text,
            " Of all {all} findings {closable} can be closed at the gateway, without changing the API."
        );
    }
    text
}

fn findings(out: &mut String, report: &Report) {
    let new: Vec<&Item> = report.items.iter().filter(|item| item.state == State::New).collect();
    if new.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h2>Findings</h2>\n<fieldset>");
    let mut boxes: Vec<&str> = Severity::ALL
        .into_iter()
        .filter(|severity| new.iter().any(|item| item.severity == *severity))
        .map(Severity::as_str)
        .collect();
    if new.iter().any(|item| item.confidence == Confidence::Suspected) {
        boxes.push("suspected");
    }
    for name in boxes {
        let _ = writeln!(out, "<label><input type=\"checkbox\" id=\"show-{name}\" checked> {name}</label>");
    }
    out.push_str("</fieldset>\n");
    for item in new {
        finding(out, report, item);
    }
}

fn finding(out: &mut String, report: &Report, item: &Item) {
    let suspected = if item.confidence == Confidence::Suspected { " is-suspected" } else { "" };
    let more = match item.places.len() {
        0 | 1 => String::new(),
        places => format!(" and {} more places", places - 1),
    };
    let _ = write!(
        out,
        "<details class=\"finding is-{severity}{suspected}\" id=\"f-{}\">\n<summary><span class=\"mark {severity}\">\
         {severity}</span><span class=\"title\">{}</span><code class=\"quiet code\">{}</code>\
         <span class=\"where\">{}{more}</span></summary>\n<div>\n",
        escaped(&item.fingerprint),
        prose(&item.title),
        escaped(&item.code),
        escaped(&item.place()),
        severity = item.severity,
    );
    let points =
        item.points.map(|points| format!(" · fixing it gives {points:.1} points")).unwrap_or_default();
    let _ = write!(
        out,
        "<p class=\"quiet\">{} · {} · CWE-{}{points}</p>\n<p>{}</p>\n",
        item.confidence,
        escaped(item.owasp.title()),
        item.cwe,
        prose(&item.detail)
    );
    if item.places.len() > 1 {
        out.push_str("<details class=\"exchange\"><summary>all places</summary><ul>\n");
        for place in item.places.iter().take(PLACES) {
            let _ = writeln!(out, "<li><code>{}</code></li>", escaped(&place.to_string()));
        }
        if item.places.len() > PLACES {
            let _ = writeln!(out, "<li>and {} more</li>", item.places.len() - PLACES);
        }
        out.push_str("</ul></details>\n");
    }
    evidence(out, item);
    if let Some(script) = item.script() {
        let _ = writeln!(out, "<h3>Reproduce</h3>");
        if item.evidence.script.is_none() {
            let names = redact::variables(&Report {
                items: vec![item.clone()],
                ..Report::new("", "", report.started)
            });
            if !names.is_empty() {
                let list: Vec<String> =
                    names.iter().map(|name| format!("<code>{}</code>", escaped(name))).collect();
                let _ = writeln!(out, "<p class=\"quiet\">Set {} first.</p>", list.join(", "));
            }
        }
        let har = har::log(&report.version, std::slice::from_ref(item));
        let har = percent_encoding::utf8_percent_encode(&har, percent_encoding::NON_ALPHANUMERIC);
        let _ = writeln!(
            out,
            "<pre>{}</pre>\n<p><a download=\"{}.har\" href=\"data:application/json,{har}\">the same as HAR</a></p>",
            escaped(&script),
            escaped(&item.code)
        );
    }
    let _ = write!(out, "<h3>Fix in the API</h3>\n<p>{}</p>\n", prose(&item.fix));
    if let Some(patch) = &item.patch {
        let _ = write!(out, "<h3>Close it with Portcullis</h3>\n<p>{}</p>\n", prose(&patch.text));
        if let Some(yaml) = &patch.yaml {
            let _ = writeln!(out, "<pre>{}</pre>", escaped(yaml));
        }
    }
    out.push_str("</div>\n</details>\n");
}

fn evidence(out: &mut String, item: &Item) {
    let evidence = &item.evidence;
    if evidence.proof.is_empty() && evidence.excerpt.is_none() && evidence.exchanges.is_empty() {
        return;
    }
    let _ = write!(out, "<h3>Evidence</h3>\n<p>{}</p>\n", prose(&evidence.proof));
    if let Some(excerpt) = &evidence.excerpt {
        let _ = writeln!(out, "<pre>{}</pre>", escaped(excerpt));
    }
    let open = if evidence.exchanges.len() <= 2 { " open" } else { "" };
    for Exchange { label, request, response, expected, millis, .. } in &evidence.exchanges {
        let status = response.as_ref().map_or("no answer".to_owned(), |response| response.status.to_string());
        let label = if label.is_empty() { &request.method } else { label };
        let _ = writeln!(
            out,
            "<details class=\"exchange\"{open}><summary>{} <span class=\"quiet\">{status}, {millis:.0} ms</span>\
             </summary>",
            escaped(label)
        );
        if !expected.is_empty() {
            let _ = writeln!(out, "<p>Expected: {}</p>", prose(expected));
        }
        let answer = response.as_ref().map_or("no answer".to_owned(), super::Response::text);
        let _ = writeln!(
            out,
            "<div class=\"pair\"><div><pre>{}</pre></div><div><pre>{}</pre></div></div></details>",
            escaped(&request.text()),
            escaped(&answer)
        );
    }
}

fn table(out: &mut String, section: &Section) {
    if section.rows.is_empty() {
        return;
    }
    let _ = write!(out, "<h2>{}</h2>\n<div class=\"scroll\"><table>\n<tr>", escaped(&section.title));
    for head in &section.head {
        let _ = write!(out, "<th>{}</th>", escaped(head));
    }
    out.push_str("</tr>\n");
    for row in &section.rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = match tone(cell) {
                Some(tone) => write!(out, "<td><span class=\"mark {tone}\">{}</span></td>", escaped(cell)),
                None => write!(out, "<td>{}</td>", prose(cell)),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
}

fn accepted(out: &mut String, report: &Report) {
    let rows = report.items.iter().filter_map(|item| {
        let why = match &item.state {
            State::New => return None,
            State::Known => "known from the baseline".to_owned(),
            State::Ignored { reason, until } => format!("accepted until {until}: {reason}"),
        };
        Some(vec![item.severity.to_string(), item.code.clone(), item.title.clone(), why])
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let head = ["severity", "code", "finding", "why it does not count"].map(str::to_owned).to_vec();
    table(out, &Section { title: "Known and accepted".into(), head, rows });
}

fn notes(out: &mut String, report: &Report) {
    if report.notes.is_empty() {
        return;
    }
    out.push_str("<h2>Notes</h2>\n<ul>\n");
    for note in &report.notes {
        let _ = writeln!(out, "<li>{}</li>", prose(note));
    }
    out.push_str("</ul>\n");
}

fn rules(out: &mut String, report: &Report) {
    let rows = report.rules.iter().map(|rule| {
        let found =
            report.items.iter().filter(|item| item.code == rule.code && item.state == State::New).count();
        let found = if found == 0 { "none".to_owned() } else { found.to_string() };
        vec![rule.code.clone(), rule.title.clone(), rule.owasp.title().to_owned(), found]
    });
    let head = ["code", "what it looks for", "category", "findings"].map(str::to_owned).to_vec();
    table(out, &Section { title: "What was looked for".into(), head, rows: rows.collect() });
}

/// The colour of a cell that is nothing but a severity or an answer.
fn tone(cell: &str) -> Option<&'static str> {
    match cell {
        "yes" => Some("good"),
        "no" | "open" => Some("high"),
        _ => Severity::ALL.into_iter().map(Severity::as_str).find(|severity| *severity == cell),
    }
}

/// Text in which backticks stand around what was written somewhere.
fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escaped(text).to_string();
    }
    let mut out = String::with_capacity(text.len() + 32);
    for (at, part) in parts.into_iter().enumerate() {
        let _ = match at % 2 {
            0 => write!(out, "{}", escaped(part)),
            _ => write!(out, "<code>{}</code>", escaped(part)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_become_code_and_nothing_else_does() {
        for (text, page) in [
            ("no marks", "no marks"),
            ("give `--token` and `<b>`.", "give <code>--token</code> and <code>&lt;b&gt;</code>."),
            ("`a` <script>", "<code>a</code> &lt;script&gt;"),
            ("one ` alone & more", "one ` alone &amp; more"),
            ("", ""),
        ] {
            assert_eq!(prose(text), page);
        }
        assert_eq!(
            (tone("yes"), tone("medium"), tone("could not tell")),
            (Some("good"), Some("medium"), None)
        );
    }
}
