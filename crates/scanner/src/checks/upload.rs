//! Uploads: files of another type than what is meant, and of any size.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Value, json};

use super::Check;
use crate::api::{Danger, Media, Operation};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::{Exchange, Request};
use crate::session::{Outcome, Session, says_failure};

/// The check.
pub(super) static UPLOAD: Check = Check {
    name: "upload",
    about: "files of any type, served as what they say, and of any size",
    kinds: &[&TYPE, &SIZE],
    run,
};

static TYPE: Kind = Kind {
    code: "unrestricted-upload",
    title: "Uploads of any kind are kept and served",
    owasp: Owasp::Api8,
    cwe: 434,
    severity: Severity::High,
    fix: "Accept the few types that are meant, by content; serve uploads as downloads from another origin.",
    block: "validate: media types of parts in the contract",
};

static SIZE: Kind = Kind {
    code: "unlimited-upload",
    title: "Files of any size are taken",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Medium,
    fix: "Bound a file by what it is for, before it is read: a picture of a person has a few megabytes at most.",
    block: "limit: body",
};

/// Bytes that no picture of a person or a thing has.
const LARGE: usize = 16 << 20;

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    let operations = cx.operations(|op| {
        op.danger() == Danger::Write
            && op
                .body
                .as_ref()
                .is_some_and(|body| body.media == Media::Multipart || body.content_type.starts_with("image/"))
    });
    for index in operations {
        let operation = cx.operation(index).clone();
        let actor = cx.disposables().last().copied().unwrap_or_else(|| cx.first_user());
        types(cx, index, actor, &operation)?;
        sizes(cx, index, actor, &operation)?;
    }
    Ok(())
}

/// Sends a file where one is wanted; `None` where the operation takes none.
fn send(
    cx: &mut Session<'_>,
    index: usize,
    actor: usize,
    (name, media, content): (&str, &str, String),
) -> Outcome<Option<Rc<Exchange>>> {
    let operation = cx.operation(index).clone();
    let mut call = cx.compose(index, actor, crate::values::Taste::Marked);
    if operation.path_names().len() == 1
        && let Some(id) = super::own_id(cx, actor, &operation)
    {
        call.path.insert(crate::explore::last_parameter(&operation), id);
    }
    let multipart = operation.body.as_ref().is_some_and(|body| body.media == Media::Multipart);
    if multipart {
        let members = operation.body_members();
        let file =
            members.iter().find(|(_, schema)| schema.get("format").and_then(Value::as_str) == Some("binary"));
        let Some((member, _)) = file else { return Ok(None) };
        let members = [(member.clone(), json!({ "filename": name, "type": media, "content": content }))];
        call = call.with_members(&members.into_iter().collect());
    } else {
        call.body = Some(Value::String(content));
    }
    let mut request = cx.request_of(&call);
    if !multipart {
        request.set_header("content-type", media);
    }
    cx.send(actor, request).map(Some)
}

fn is_taken(exchange: &Exchange) -> bool {
    exchange.response.ok() && !says_failure(&exchange.response)
}

/// A page with a script in it, sent where a picture is wanted, and fetched again.
fn types(cx: &mut Session<'_>, index: usize, actor: usize, operation: &Operation) -> Outcome {
    let marker = cx.marker();
    let page = format!("<html><script>/*{marker}*/</script></html>");
    let Some(sent) = send(cx, index, actor, (&format!("{marker}.html"), "text/html", page))? else {
        return Ok(());
    };
    if !is_taken(&sent) {
        return Ok(());
    }
    // Where it is: a path in the answer, or the same path read.
    let mut places: Vec<String> = vec![sent.request.path().to_owned()];
    if let Some(answer) = sent.response.json() {
        for (_, value) in crate::pool::leaves(&answer) {
            if let Some(text) = value.as_str()
                && text.contains('/')
                && !text.contains("://")
                && !text.contains(' ')
                && text.len() < 200
            {
                places.push(format!("/{}", text.trim_start_matches('/')));
            }
        }
    }
    for place in places {
        let served = cx.send(actor, Request::new("GET", &place))?;
        if !served.response.text().contains(&marker) {
            continue;
        }
        let attachment =
            served.response.header("content-disposition").is_some_and(|value| value.contains("attachment"));
        let runs = served.response.is_html() && !attachment;
        let confidence = if runs { Confidence::Confirmed } else { Confidence::Likely };
        let finding = Finding::new(&TYPE, confidence, operation.label(), &[&sent, &served])
            .shows(Sign::Has(1, "text/html".to_owned()));
        cx.report(
            finding.saying("a page with a script was taken in the place of a file, and is served").proved(
                "400 or 415 for what is not the type that is meant",
                if runs {
                    "the file came back as `text/html` with the script made for this call"
                } else {
                    "the file came back as it was sent"
                },
            ),
        );
        break;
    }
    Ok(())
}

/// A picture that is larger than any.
fn sizes(cx: &mut Session<'_>, index: usize, actor: usize, operation: &Operation) -> Outcome {
    let picture = |length: usize| format!("GIF89a{}", "a".repeat(length));
    let small = send(cx, index, actor, ("pc.gif", "image/gif", picture(64)))?;
    let Some(small) = small.filter(|small| is_taken(small)) else { return Ok(()) };
    let large = send(cx, index, actor, ("pc.gif", "image/gif", picture(LARGE)))?;
    let Some(large) = large.filter(|large| is_taken(large)) else { return Ok(()) };
    let says = ["picture", "avatar", "photo", "image", "logo", "icon", "thumbnail"];
    // What is meant for videos or backups may well be as large.
    let shown = operation.path_says(&says)
        || operation.body_members().iter().any(|(name, _)| crate::words::has(name, &says));
    let confidence = if shown { Confidence::Confirmed } else { Confidence::Suspected };
    let finding = Finding::new(&SIZE, confidence, operation.label(), &[&small, &large]);
    cx.report(finding.saying(format!("a file of {} MiB was taken", LARGE >> 20)).proved(
        "413, long before that size",
        "a small file is taken, and one that is larger than any such picture is taken alike",
    ));
    Ok(())
}
