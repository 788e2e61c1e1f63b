//! Paths that mean another path once they are decoded.

use portcullis_engine::{Owasp, Severity};

use super::Check;
use crate::api::Danger;
use crate::finding::{Confidence, Finding, Kind};
use crate::session::{Outcome, Session};

/// The check.
pub(super) static PATHS: Check = Check {
    name: "path-confusion",
    about: "paths that are resolved after decoding",
    kinds: &[&RESOLVED],
    run,
};

static RESOLVED: Kind = Kind {
    code: "encoded-path-resolved",
    title: "Encoded dots or parameters in a path lead to another operation",
    owasp: Owasp::Api8,
    cwe: 436,
    severity: Severity::Low,
    fix: "Match the path once, as it is after decoding, and refuse what has dot segments or parameters in it.",
    block: "the engine refuses such paths",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    let user = cx.first_user();
    let readers = cx.operations(|op| op.is_get() && op.danger() == Danger::Read);
    let mut tried = 0;
    for index in readers {
        let Some(baseline) = cx.baseline(index, user)? else { continue };
        let request = cx.request_of(&baseline.call);
        let path = request.path().to_owned();
        let Some((folder, last)) = path.rsplit_once('/').filter(|(_, last)| !last.is_empty()) else {
            continue;
        };
        if tried >= 3 {
            break;
        }
        tried += 1;
        let marker = cx.marker();
        let forms = [
            (
                "encoded dots",
                format!("{folder}/{marker}/%2e%2e/{last}"),
                format!("{folder}/{marker}/%2d%2d/{last}"),
            ),
            (
                "dots behind an encoded slash",
                format!("{folder}/{marker}%2f%2e%2e/{last}"),
                format!("{folder}/{marker}%2f%2d%2d/{last}"),
            ),
            (
                "a path parameter",
                format!("{folder};{marker}=1/{last}"),
                format!("{folder}-{marker}=1/{last}"),
            ),
        ];
        for (what, form, other) in forms {
            let with = |path: &str| {
                let mut turned = request.clone();
                turned.target = request.target.replacen(&request.path().to_owned(), path, 1);
                turned
            };
            let plain = cx.send(user, request.clone())?;
            let turned = cx.send(user, with(&form))?;
            if !turned.response.ok() || turned.response.is_html() || turned.response.body.len() < 3 {
                continue;
            }
            let same = super::steady(&turned.response.text()) == super::steady(&plain.response.text());
            let control = cx.send(user, with(&other))?;
            if !same || control.response.ok() {
                continue;
            }
            let label = cx.operation(index).label();
            let finding = Finding::new(&RESOLVED, Confidence::Likely, label, &[&plain, &turned, &control]);
            cx.report(finding.at(format!("path, {what}")).saying(format!("`{form}` is answered like `{path}`: what stands in front of the API may see another path than the API does")).proved(
                "404 or 400",
                "both answers are the same, and a path of the same shape without dots or parameters is not found",
            ));
            return Ok(());
        }
    }
    Ok(())
}
