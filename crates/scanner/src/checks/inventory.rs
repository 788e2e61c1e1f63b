//! What answers without being in the document: old versions, neighbours, what was deprecated.

use std::collections::BTreeSet;

use portcullis_engine::{Owasp, Severity};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Check;
use crate::api::{Danger, is_version};
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Request;
use crate::session::{ANONYMOUS, Outcome, Session};
use crate::words;

/// The check.
pub(super) static INVENTORY: Check = Check {
    name: "inventory",
    about: "old versions, undocumented operations, what was deprecated",
    kinds: &[&OLD, &SHADOW, &ZOMBIE, &ABSENT],
    run,
};

static OLD: Kind = Kind {
    code: "old-version",
    title: "Another version of an operation answers, and is in no document",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Medium,
    fix: "Take old versions down, or document and protect them like the new one.",
    block: "validate: paths that the contract does not have are refused",
};

static SHADOW: Kind = Kind {
    code: "undocumented-operation",
    title: "An operation answers that is in no document",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Medium,
    fix: "Document it, or take it down.",
    block: "validate: paths that the contract does not have are refused",
};

static ZOMBIE: Kind = Kind {
    code: "deprecated-operation-answers",
    title: "A deprecated operation still answers",
    owasp: Owasp::Api9,
    cwe: 477,
    severity: Severity::Low,
    fix: "Set a date, tell its callers, and answer 410 from then on.",
    block: "deprecated: { sunset: refuse }",
};

static ABSENT: Kind = Kind {
    code: "documented-but-absent",
    title: "A documented path is not there",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Info,
    fix: "Take it out of the document.",
    block: "nothing is to be blocked",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    versions(cx)?;
    neighbours(cx)?;
    deprecated(cx)
}

/// Whether a path answers like something that is there, judged against made-up neighbours.
fn exists(
    cx: &mut Session<'_>,
    actor: usize,
    target: &str,
    control: &str,
) -> Outcome<Option<[std::rc::Rc<crate::http::Exchange>; 2]>> {
    let exchange = cx.send(actor, Request::new("GET", target))?;
    if !exchange.response.ok() || exchange.response.body.is_empty() {
        return Ok(None);
    }
    let absent = cx.send(actor, Request::new("GET", control))?;
    let alike = absent.response.status == exchange.response.status;
    Ok((!alike && matches!(absent.response.status, 400 | 401 | 403 | 404 | 405 | 410))
        .then_some([exchange, absent]))
}

fn versions(cx: &mut Session<'_>) -> Outcome {
    let user = cx.first_user();
    let readers =
        cx.operations(|op| op.is_get() && op.danger() == Danger::Read && op.segments().any(is_version));
    let documented: BTreeSet<String> = cx.api.operations.iter().map(|op| shape(&op.path)).collect();
    let mut found = 0;
    for index in readers {
        let Some(baseline) = cx.baseline(index, user)? else { continue };
        let operation = cx.operation(index).clone();
        let Some(version) = operation.segments().find(|s| is_version(s)).map(str::to_owned) else { continue };
        let number: u32 = version
            .trim_start_matches(['v', 'V'])
            .split('.')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(1);
        let mut others: Vec<String> = (0..number).rev().take(2).map(|n| format!("v{n}")).collect();
        others.push(format!("v{}", number + 1));
        for other in others {
            let path = operation.path.replacen(&version, &other, 1);
            if documented.contains(&shape(&path)) || found >= 6 {
                continue;
            }
            let request = cx.request_of(&baseline.call);
            let target = request.target.replacen(&format!("/{version}"), &format!("/{other}"), 1);
            let random = cx.marker();
            // A version that nobody has, and a word in the place of the noun: both have to be absent.
            let control = request.target.replacen(&format!("/{version}"), "/v9731", 1);
            let noun = operation
                .segments()
                .find(|s| !is_version(s) && !words::is_verb(s))
                .unwrap_or_default()
                .to_owned();
            let Some([there, absent]) = exists(cx, user, &target, &control)? else { continue };
            if !noun.is_empty() {
                let beside = target.replacen(&format!("/{noun}"), &format!("/{random}"), 1);
                if cx.send(user, Request::new("GET", &beside))?.response.ok() {
                    continue;
                }
            }
            found += 1;
            let nobody = cx.send(ANONYMOUS, Request::new("GET", &target))?;
            let open = nobody.response.ok()
                && matches!(cx.call(ANONYMOUS, &baseline.call)?.response.status, 401 | 403);
            let finding = Finding::new(
                &OLD,
                Confidence::Confirmed,
                format!("GET {path}"),
                &[&baseline.exchange, &there, &absent, &nobody],
            );
            cx.report(finding.saying(format!("{other} of {} answers{}", operation.label(), if open { ", and asks for no credential" } else { "" })).proved(
                "404 or 410",
                "the path with the other version answers with success; with a version that nobody has, and with another noun, it does not",
            ));
        }
    }
    Ok(())
}

/// A path with its parameters unnamed.
fn shape(path: &str) -> String {
    path.split('/')
        .map(|segment| if segment.contains('{') { "{}" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

/// Words that people leave beside what they document.
const NEIGHBOURS: &[&str] = &[
    "export", "debug", "all", "internal", "backup", "test", "admin", "config", "stats", "search", "_debug",
    "download", "dump", "logs", "users", "status",
];

fn neighbours(cx: &mut Session<'_>) -> Outcome {
    let user = cx.first_user();
    let documented: Vec<String> = cx.api.operations.iter().map(|op| op.path.clone()).collect();
    // Folders that have something in them, the root among them.
    let mut folders: BTreeSet<String> = BTreeSet::new();
    folders.insert(String::new());
    for path in &documented {
        let fixed: Vec<&str> = path.split('/').skip(1).take_while(|segment| !segment.contains('{')).collect();
        for depth in 1..=fixed.len().min(2) {
            if let Some(part) = fixed.get(..depth) {
                folders.insert(format!("/{}", part.join("/")));
            }
        }
    }
    let mut found = 0;
    for folder in folders.into_iter().take(12) {
        // A folder that takes ids answers to any word.
        if documented
            .iter()
            .any(|path| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with("/{")))
            && folder.is_empty()
        {
            continue;
        }
        let random = cx.marker();
        let control = format!("{}{folder}/{random}", cx.base);
        let absent = cx.send(user, Request::new("GET", &control))?;
        if absent.response.ok() || absent.response.status == 0 {
            continue;
        }
        let known = |path: &str| documented.iter().any(|known| shape(known) == path);
        let paths: Vec<String> =
            NEIGHBOURS.iter().map(|word| format!("{folder}/{word}")).filter(|path| !known(path)).collect();
        let requests = paths.iter().map(|path| Request::new("GET", &format!("{}{path}", cx.base))).collect();
        let answers = cx.send_many(user, requests)?;
        for (path, exchange) in paths.into_iter().zip(answers) {
            if found >= 8 {
                break;
            }
            let target = format!("{}{path}", cx.base);
            if !exchange.response.ok() || exchange.response.body.is_empty() || exchange.response.is_html() {
                continue;
            }
            // An object whose id happens to be that word is no operation.
            let by_id = cx.api.operations.iter().any(|op| {
                let takes_id = op
                    .path
                    .strip_prefix(folder.as_str())
                    .is_some_and(|rest| rest.starts_with("/{") && !rest.contains("}/"));
                takes_id
                    && op
                        .params
                        .iter()
                        .filter(|p| p.place == crate::api::Place::Path)
                        .any(|p| crate::api::kind_of(&p.schema) != "integer")
            });
            if by_id {
                continue;
            }
            let Some([there, absent]) = exists(cx, user, &target, &control)? else { continue };
            found += 1;
            let finding =
                Finding::new(&SHADOW, Confidence::Confirmed, format!("GET {path}"), &[&there, &absent]);
            cx.report(
                finding
                    .saying(format!("{path} answers and is in no document"))
                    .proved("404", "a made-up word in the same place is not found, this one is"),
            );
        }
    }
    Ok(())
}

/// Whether a date of HTTP (RFC 9110 section 5.6.7) is still to come.
fn is_to_come(date: &str) -> bool {
    let moment = OffsetDateTime::parse(&date.trim().replace("GMT", "+0000"), &Rfc2822);
    moment.is_ok_and(|moment| moment > OffsetDateTime::now_utc())
}

/// Whether a description says of its operation that it is deprecated, and does not only speak of such things.
fn says_deprecated(words: &str) -> bool {
    words.starts_with("deprecated")
        || [
            "(deprecated",
            "[deprecated",
            "deprecated:",
            "deprecated.",
            "is deprecated",
            "past its sunset",
            "sunset on",
        ]
        .iter()
        .any(|said| words.contains(said))
}

fn deprecated(cx: &mut Session<'_>) -> Outcome {
    let user = cx.first_user();
    for index in cx.operations(|op| op.is_get() && op.danger() == Danger::Read) {
        let operation = cx.operation(index);
        let by_document = operation.deprecated || says_deprecated(&operation.words.to_lowercase());
        let Some(baseline) = cx.baseline(index, user)? else { continue };
        // An answer may say of itself that its operation is on its way out (RFC 8594, RFC 9745).
        let says = |name: &str| baseline.exchange.response.header(name).is_some();
        if !by_document && !says("sunset") && !says("deprecation") {
            continue;
        }
        // Whoever tells its callers the day on which it ends has done what can be done until then.
        if baseline.exchange.response.header("sunset").is_some_and(is_to_come) {
            continue;
        }
        let label = cx.operation(index).label();
        let finding = Finding::new(&ZOMBIE, Confidence::Confirmed, label, &[&baseline.exchange]);
        cx.report(finding.proved(
            "410 after its date, and until then a `Sunset` field that names it",
            format!(
                "{} calls it deprecated, and it answers with success and no date that is still to come",
                if by_document { "the document" } else { "its own answer" }
            ),
        ));
    }
    for index in cx.operations(|op| op.is_get() && op.danger() == Danger::Read && op.path_names().is_empty())
    {
        let known = cx.baselines.iter().any(|((known, _), found)| *known == index && found.is_some());
        if known {
            continue;
        }
        let call = cx.compose(index, user, crate::values::Taste::Least);
        let exchange = cx.call(user, &call)?;
        if exchange.response.status == 404 {
            let label = cx.operation(index).label();
            let finding = Finding::new(&ABSENT, Confidence::Likely, label, &[&exchange]);
            cx.report(finding.proved("an answer", "404 for a path without parameters"));
        }
    }
    Ok(())
}
