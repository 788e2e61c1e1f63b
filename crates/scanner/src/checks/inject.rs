//! Values that become code elsewhere: a shell's, a template's, a path's, a header's, a page's.

use std::sync::LazyLock;

use portcullis_engine::{Owasp, Severity};
use regex::Regex;
use serde_json::Value;

use super::Check;
use crate::api::{Call, Danger, Place, Slot};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::session::{Outcome, Session};
use crate::words;

/// The check.
pub(super) static INJECT: Check = Check {
    name: "injection",
    about: "commands, templates, paths, headers and pages made of parameters",
    kinds: &[&COMMAND, &TEMPLATE, &PATH, &HEADER, &SCRIPT, &XML],
    run,
};

static COMMAND: Kind = Kind {
    code: "command-injection",
    title: "A parameter becomes part of a shell command",
    owasp: Owasp::Api8,
    cwe: 78,
    severity: Severity::High,
    fix: "Call programs with a list of arguments and without a shell, or do without the program.",
    block: "inspect: command; validate: patterns in the contract",
};

static TEMPLATE: Kind = Kind {
    code: "template-injection",
    title: "A parameter is evaluated as a template",
    owasp: Owasp::Api8,
    cwe: 1336,
    severity: Severity::High,
    fix: "Templates are files of the program; parameters are data that they are given.",
    block: "inspect: template; validate: patterns in the contract",
};

static PATH: Kind = Kind {
    code: "path-traversal",
    title: "A parameter reads files outside their folder",
    owasp: Owasp::Api8,
    cwe: 22,
    severity: Severity::High,
    fix: "Choose files by an id from a table, or refuse what does not stay in the folder after resolving.",
    block: "inspect: path; validate: patterns in the contract",
};

static HEADER: Kind = Kind {
    code: "header-injection",
    title: "A parameter writes header fields of the answer",
    owasp: Owasp::Api8,
    cwe: 113,
    severity: Severity::Medium,
    fix: "Refuse line breaks in what becomes a header field.",
    block: "inspect: crlf",
};

static SCRIPT: Kind = Kind {
    code: "cross-site-scripting",
    title: "A parameter becomes part of a page",
    owasp: Owasp::Api8,
    cwe: 79,
    severity: Severity::Medium,
    fix: "Answer JSON as `application/json` with `nosniff`, and escape what goes into HTML.",
    block: "headers: nosniff and a content security policy; inspect: script",
};

static XML: Kind = Kind {
    code: "xml-external-entity",
    title: "An XML body reads files or calls addresses (XXE)",
    owasp: Owasp::Api8,
    cwe: 611,
    severity: Severity::High,
    fix: "Switch document types and external entities off in the XML parser.",
    block: "validate: media types in the contract; inspect: xml",
};

static PASSWD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"root:[^:\s]*:0:0:").ok());

/// What `/proc/version` says.
static VERSION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"Linux version \d+\.\d+\S* \(").ok());

/// The text of an element.
static CONTENT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r">[^<>]+</").ok());

fn run(cx: &mut Session<'_>) -> Outcome {
    let operations = cx.operations(|op| op.danger() <= Danger::Write);
    for index in operations {
        let operation = cx.operation(index).clone();
        let writes = operation.danger() == Danger::Write;
        if writes && cx.options.read_only
            || operation.is_register()
            || operation.is_reset_confirm()
            || operation.is_reset_request()
        {
            continue;
        }
        let ours = cx.disposables().last().copied();
        let actor = if operation.alters_account() { ours } else { Some(cx.first_user()) };
        let Some(actor) = actor else { continue };
        let Some(call) = super::sql::start(cx, index, actor)? else { continue };
        if operation.body.as_ref().is_some_and(|body| body.media == crate::api::Media::Xml) {
            entities(cx, actor, &call)?;
        }
        for slot in operation.slots(&call) {
            if slot.kind() != "string" && slot.place != Place::Path && slot.place != Place::Query
                || words::is_password(slot.key())
                || slot.place == Place::Header
            {
                continue;
            }
            computed(cx, actor, &call, &slot)?;
            markup(cx, actor, &call, &slot)?;
            if takes_file(&slot) {
                files(cx, actor, &call, &slot)?;
            }
        }
    }
    Ok(())
}

fn takes_file(slot: &Slot) -> bool {
    let example = slot.schema.get("example").and_then(Value::as_str).unwrap_or_default();
    words::has(
        slot.key(),
        &[
            "file",
            "filename",
            "path",
            "name",
            "template",
            "page",
            "document",
            "doc",
            "dir",
            "folder",
            "download",
            "image",
            "include",
            "view",
            "lang",
            "theme",
            "log",
            "report",
            "attachment",
            "key",
            "resource",
            "src",
        ],
    ) || words::contains(slot.key(), &["filename", "filepath"])
        || Regex::new(r"\.\w{2,4}$").is_ok_and(|ending| ending.is_match(example))
}

/// Products of numbers nobody else would multiply: whoever shows one has computed it.
fn computed(cx: &mut Session<'_>, actor: usize, call: &Call, slot: &Slot) -> Outcome {
    let value = call.text(slot);
    let mut number = || 1000 + cx.random.between(0, 8999);
    let (a, b) = (number(), number());
    let product = (a * b).to_string();
    // One call looks at all; only what answers is looked at closer.
    let both = format!("{value}{{{{{a}*{b}}}}}${{{a}*{b}}}<%={a}*{b}%>#{{{a}*{b}}};echo $(({a}*{b}));");
    let first = cx.call(actor, &call.with(slot, Value::String(both.clone())))?;
    let shows = |text: &str| text.contains(&product);
    let shell_first =
        cx.call(actor, &call.with(slot, Value::String(format!("{value};echo $(({a}*{b}))"))))?;
    let dollar = cx.call(actor, &call.with(slot, Value::String(format!("{value}$(expr {a} \\* {b})"))))?;
    if !shows(&first.response.text())
        && !shows(&shell_first.response.text())
        && !shows(&dollar.response.text())
    {
        return Ok(());
    }
    let forms: [Form; 8] = [
        ("{{…}}", &Kind2::Template, |a, b| format!("{{{{{a}*{b}}}}}")),
        ("${…}", &Kind2::Template, |a, b| format!("${{{a}*{b}}}")),
        ("<%=…%>", &Kind2::Template, |a, b| format!("<%={a}*{b}%>")),
        ("#{…}", &Kind2::Template, |a, b| format!("#{{{a}*{b}}}")),
        (";…", &Kind2::Command, |a, b| format!(";echo $(({a}*{b}))")),
        ("|…", &Kind2::Command, |a, b| format!("|echo $(({a}*{b}))")),
        ("&&…", &Kind2::Command, |a, b| format!("&&echo $(({a}*{b}))")),
        ("$(…)", &Kind2::Command, |a, b| format!("$(expr {a} \\* {b})")),
    ];
    for (form, kind, make) in forms {
        let mut evidence = Vec::new();
        let mut products = Vec::new();
        let mut holds = true;
        for _ in 0..2 {
            let (a, b) = (1000 + cx.random.between(0, 8999), 1000 + cx.random.between(0, 8999));
            let exchange =
                cx.call(actor, &call.with(slot, Value::String(format!("{value}{}", make(a, b)))))?;
            holds &= exchange.response.text().contains(&(a * b).to_string());
            evidence.push(exchange);
            products.push((a * b).to_string());
            if !holds {
                break;
            }
        }
        if holds {
            let kind = match kind {
                Kind2::Template => &TEMPLATE,
                Kind2::Command => &COMMAND,
            };
            let label = cx.operation(call.operation).label();
            let mut finding =
                Finding::new(kind, Confidence::Confirmed, label, &evidence.iter().collect::<Vec<_>>())
                    .at(slot.label());
            for (index, product) in products.into_iter().enumerate() {
                finding = finding.shows(Sign::Has(index, product));
            }
            cx.report(finding.saying(format!("`{form}` in {} is evaluated", slot.label())).proved(
                "the text as it was sent, or a refusal",
                "two products of random numbers came back computed; the numbers, not the products, were sent",
            ));
            return Ok(());
        }
    }
    Ok(())
}

/// How an expression is written, what would evaluate it, and the expression itself.
type Form = (&'static str, &'static Kind2, fn(u64, u64) -> String);

enum Kind2 {
    Template,
    Command,
}

/// Line breaks that become header fields, and tags that become part of a page.
fn markup(cx: &mut Session<'_>, actor: usize, call: &Call, slot: &Slot) -> Outcome {
    let marker = cx.marker();
    let payload = format!("{marker}<i {marker}>\r\nX-{marker}: 1");
    let exchange = cx.call(actor, &call.with(slot, Value::String(payload)))?;
    let label = cx.operation(call.operation).label();
    if exchange.response.header(&format!("x-{marker}")).is_some() {
        let finding = Finding::new(&HEADER, Confidence::Confirmed, label.clone(), &[&exchange])
            .at(slot.label())
            .shows(Sign::Has(0, format!("x-{marker}: 1")));
        cx.report(
            finding
                .saying(format!("a line break in {} starts a header field of the answer", slot.label()))
                .proved(
                    "400, or the line break encoded",
                    "the answer has a header field whose name was made for this call",
                ),
        );
    }
    // Only a page can run it: JSON shown as JSON is no page.
    if exchange.response.runs_scripts() && exchange.response.text().contains(&format!("<i {marker}>")) {
        let finding = Finding::new(&SCRIPT, Confidence::Confirmed, label, &[&exchange])
            .at(slot.label())
            .shows(Sign::Has(0, "text/html".to_owned()))
            .shows(Sign::Has(0, format!("<i {marker}>")));
        cx.report(finding.saying(format!("a tag in {} stands in a page as a tag", slot.label())).proved(
            "the tag escaped, or an answer that is no page",
            "the answer is `text/html` and has the tag, made for this call, unescaped",
        ));
    }
    Ok(())
}

/// Files of the system by what stands in them. A name that is sent may be one that is written to: the first file is
/// one that nobody can write, the other goes to reads only.
fn files(cx: &mut Session<'_>, actor: usize, call: &Call, slot: &Slot) -> Outcome {
    let up = "../".repeat(10);
    let mut paths: Vec<(String, &LazyLock<Option<Regex>>)> = Vec::new();
    for path in [
        format!("{up}proc/version"),
        "/proc/version".to_owned(),
        format!("{}proc/version", "....//".repeat(10)),
        "file:///proc/version".to_owned(),
        format!("{up}proc/version\0.png"),
    ] {
        paths.push((path, &VERSION));
    }
    if cx.operation(call.operation).is_get() {
        paths.push((format!("{up}etc/passwd"), &PASSWD));
        paths.push(("/etc/passwd".to_owned(), &PASSWD));
    }
    for (path, content) in paths {
        let shows = |text: &str| content.as_ref().is_some_and(|content| content.is_match(text));
        let exchange = cx.call(actor, &call.with(slot, Value::String(path.clone())))?;
        if shows(&exchange.response.text()) {
            let absent = path.replace("version", "pc-no-such-file").replace("passwd", "pc-no-such-file");
            let control = cx.call(actor, &call.with(slot, Value::String(absent)))?;
            if shows(&control.response.text()) {
                return Ok(());
            }
            let label = cx.operation(call.operation).label();
            let finding = Finding::new(&PATH, Confidence::Confirmed, label, &[&exchange, &control])
                .at(slot.label())
                .shows(Sign::Differ(0, 1));
            cx.report(finding.saying(format!("{} reads a file of the system", slot.label())).proved(
                "400 or 404",
                "the answer holds what only that file holds; a name beside it that does not exist gives another answer",
            ));
            return Ok(());
        }
    }
    Ok(())
}

fn entities(cx: &mut Session<'_>, actor: usize, call: &Call) -> Outcome {
    let probe = format!("pc{}", cx.random.word(12));
    let mut systems = vec!["file:///etc/passwd".to_owned()];
    systems.extend(cx.callback.as_ref().map(|listener| listener.url(&probe)));
    for system in systems {
        let mut request = cx.request_of(call);
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let body = body.split_once("?>").map_or(body.as_str(), |(_, rest)| rest).to_owned();
        let with =
            CONTENT.as_ref().map(|text| text.replacen(&body, 1, ">&pc;</").into_owned()).unwrap_or(body);
        request.body =
            format!("<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY pc SYSTEM \"{system}\">]>{with}")
                .into_bytes();
        let exchange = cx.send(actor, request)?;
        let read = PASSWD.as_ref().is_some_and(|passwd| passwd.is_match(&exchange.response.text()));
        let hit = cx.called_back(&probe, std::time::Duration::from_millis(150));
        if read || hit.is_some() {
            let label = cx.operation(call.operation).label();
            let finding = Finding::new(&XML, Confidence::Confirmed, label, &[&exchange]).at("body");
            cx.report(finding.saying("an external entity in the body is followed").proved(
                "400, or the entity left alone",
                hit.map_or_else(
                    || "the answer holds lines of /etc/passwd".to_owned(),
                    |hit| format!("`{hit}` arrived at the scan's own listener"),
                ),
            ));
            return Ok(());
        }
    }
    Ok(())
}
