//! SARIF 2.1.0 (OASIS), as code hosts and IDEs show it.

use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;

use super::{Confidence, Exchange, Item, Place, Report, Response, Rule, Severity, State};

/// The report as SARIF.
pub(super) fn write(report: &Report) -> String {
    let mut rules: Vec<Rule> = report.rules.clone();
    for item in &report.items {
        if !rules.iter().any(|rule| rule.code == item.code) {
            rules.push(Rule {
                code: item.code.clone(),
                title: item.title.clone(),
                page: item.detail.clone(),
                owasp: item.owasp,
                cwe: item.cwe,
                severity: item.severity,
            });
        }
    }
    let index = |item: &Item| rules.iter().position(|rule| rule.code == item.code);
    let mut cwes: Vec<u16> = rules.iter().map(|rule| rule.cwe).collect();
    cwes.extend(report.items.iter().map(|item| item.cwe));
    cwes.sort_unstable();
    cwes.dedup();
    let ended = report.started + time::Duration::seconds_f64(report.seconds.clamp(0.0, 1e9));
    let mut invocation = json!({
        "executionSuccessful": report.incomplete.is_none(),
        "startTimeUtc": report.started.format(&Rfc3339).unwrap_or_default(),
        "endTimeUtc": ended.format(&Rfc3339).unwrap_or_default(),
    });
    let mut notes: Vec<Value> = Vec::new();
    notes.extend(report.incomplete.iter().map(|why| json!({ "level": "error", "message": { "text": why } })));
    notes.extend(report.notes.iter().map(|note| json!({ "level": "note", "message": { "text": note } })));
    if let (false, Some(invocation)) = (notes.is_empty(), invocation.as_object_mut()) {
        invocation.insert("toolExecutionNotifications".into(), notes.into());
    }
    let has_baseline = report.items.iter().any(|item| item.state == State::Known);
    let results: Vec<Value> =
        report.items.iter().map(|item| result(report, item, index(item), has_baseline)).collect();
    let run = json!({
        "tool": { "driver": {
            "name": "Portcullis",
            "version": report.version,
            "semanticVersion": report.version,
            "rules": rules.iter().map(descriptor).collect::<Vec<_>>(),
            "supportedTaxonomies": [{ "name": "CWE", "index": 0 }],
        }},
        "taxonomies": [{
            "name": "CWE",
            "organization": "MITRE",
            "shortDescription": { "text": "The MITRE Common Weakness Enumeration" },
            "isComprehensive": false,
            "taxa": cwes.iter().map(|cwe| json!({ "id": cwe.to_string() })).collect::<Vec<_>>(),
        }],
        "automationDetails": { "id": format!("portcullis/{}/", report.command) },
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": results,
        "properties": { "target": report.target, "score": report.score },
    });
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    });
    serde_json::to_string_pretty(&log).unwrap_or_default() + "\n"
}

fn descriptor(rule: &Rule) -> Value {
    let owasp = super::owasp_id(rule.owasp);
    json!({
        "id": rule.code,
        "name": pascal(&rule.code),
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": first_paragraph(&rule.page, &rule.title) },
        "help": { "text": rule.page, "markdown": rule.page },
        "defaultConfiguration": { "level": level(rule.severity) },
        "relationships": [{
            "target": { "id": rule.cwe.to_string(), "toolComponent": { "name": "CWE", "index": 0 } },
            "kinds": ["superset"],
        }],
        "properties": {
            "tags": ["security", format!("external/cwe/cwe-{:03}", rule.cwe), owasp],
            "security-severity": security_severity(rule.severity),
        },
    })
}

fn result(report: &Report, item: &Item, index: Option<usize>, has_baseline: bool) -> Value {
    let mut text = format!("{}. {}", item.title.trim_end_matches('.'), item.detail);
    if !item.evidence.proof.is_empty() {
        text = format!("{text} {}", item.evidence.proof);
    }
    let mut result = json!({
        "ruleId": item.code,
        "level": if item.confidence == Confidence::Suspected { "note" } else { level(item.severity) },
        "kind": "fail",
        "message": { "text": text },
        "locations": item.places.iter().take(1).map(|place| location(report, place)).collect::<Vec<_>>(),
        "relatedLocations": item.places.iter().skip(1).take(100).map(|place| location(report, place))
            .collect::<Vec<_>>(),
        "partialFingerprints": { "portcullis/v1": item.fingerprint },
        "properties": {
            "confidence": item.confidence,
            "severity": item.severity,
            "security-severity": security_severity(item.severity),
            "owasp": super::owasp_id(item.owasp),
            "cwe": format!("CWE-{}", item.cwe),
            "fix": item.fix,
        },
    });
    let Some(members) = result.as_object_mut() else { return result };
    if let Some(index) = index {
        members.insert("ruleIndex".into(), index.into());
    }
    if has_baseline {
        let state = if item.state == State::Known { "unchanged" } else { "new" };
        members.insert("baselineState".into(), state.into());
    }
    if let State::Ignored { reason, until } = &item.state {
        let why = format!("{reason} (until {until})");
        let suppression = json!({ "kind": "external", "status": "accepted", "justification": why });
        members.insert("suppressions".into(), json!([suppression]));
    }
    // A result names one exchange; the last one is where it shows.
    if let Some(exchange) = item.evidence.exchanges.last() {
        members.insert("webRequest".into(), request(exchange));
        if let Some(response) = &exchange.response {
            members.insert("webResponse".into(), answer(response));
        }
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        if let Some(script) = item.script() {
            properties.insert("reproduce".into(), script.into());
        }
        if let Some(patch) = &item.patch {
            properties.insert("patch".into(), json!({ "text": patch.text, "yaml": patch.yaml }));
        }
    }
    result
}

fn location(report: &Report, place: &Place) -> Value {
    let mut location = Map::new();
    // Code hosts show only what lies in a file; what has none is shown at the target.
    let uri = match &place.file {
        Some(file) => uri(file),
        None => uri(&report.target),
    };
    let mut physical = json!({ "artifactLocation": { "uri": uri } });
    if let (1.., Some(physical)) = (place.line, physical.as_object_mut()) {
        let mut region = json!({ "startLine": place.line });
        if let (1.., Some(region)) = (place.column, region.as_object_mut()) {
            region.insert("startColumn".into(), place.column.into());
        }
        physical.insert("region".into(), region);
    }
    location.insert("physicalLocation".into(), physical);
    let names = [(&place.operation, "resource"), (&place.part, "element")];
    let logical: Vec<Value> = names
        .into_iter()
        .filter_map(|(name, kind)| {
            name.as_ref().map(|name| json!({ "fullyQualifiedName": name, "kind": kind }))
        })
        .collect();
    if !logical.is_empty() {
        location.insert("logicalLocations".into(), logical.into());
    }
    location.into()
}

/// A path or URL as a URI reference: what may not stand in one is percent-encoded.
fn uri(path: &str) -> String {
    const UNSAFE: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    percent_encoding::utf8_percent_encode(path, UNSAFE).to_string()
}

fn request(exchange: &Exchange) -> Value {
    let request = &exchange.request;
    json!({
        "protocol": "HTTP",
        "version": "1.1",
        "method": request.method,
        "target": request.url,
        "headers": fields(&request.headers),
        "body": { "text": request.body.as_ref().map(super::Body::shown).unwrap_or_default() },
    })
}

fn answer(response: &Response) -> Value {
    json!({
        "protocol": "HTTP",
        "version": "1.1",
        "statusCode": response.status,
        "headers": fields(&response.headers),
        "body": { "text": response.body.as_ref().map(super::Body::shown).unwrap_or_default() },
    })
}

/// SARIF has one value a name: several are joined as HTTP joins them.
fn fields(headers: &[super::Header]) -> Value {
    let mut fields = Map::new();
    for header in headers {
        match fields.get_mut(&header.name) {
            Some(Value::String(text)) => {
                text.push_str(", ");
                text.push_str(&header.value);
            }
            _ => {
                fields.insert(header.name.clone(), header.value.clone().into());
            }
        }
    }
    fields.into()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// What code hosts sort by: a number on the scale of CVSS.
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Info => "0.0",
    }
}

fn pascal(code: &str) -> String {
    let mut out = String::new();
    for word in code.split(['-', '_', '/']) {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

fn first_paragraph<'t>(page: &'t str, title: &'t str) -> &'t str {
    page.split("\n\n").map(str::trim).find(|part| !part.is_empty() && !part.starts_with('#')).unwrap_or(title)
}
