//! The gateway's own policy in a report: what it leaves open, unlimited or only watched.

use std::path::Path;
use std::sync::Arc;

use portcullis_engine::{FailMode, Mode, Owasp, Role, Stage, State as Counters};
use portcullis_guards::{Access, OperationReport, Report as Compiled};
use time::{Date, OffsetDateTime};

use crate::config::{self, Config, Overrides};
use crate::exit::{Failure, Result};
use crate::gateway::build;
use crate::gateway::keys::Keys;
use crate::report::{Confidence, Evidence, Item, Patch, Place, Report, Rule, Severity, State};

/// One thing that is looked for.
struct Check {
    code: &'static str,
    title: &'static str,
    page: &'static str,
    owasp: Owasp,
    cwe: u16,
    severity: Severity,
    fix: &'static str,
    yaml: Option<&'static str>,
    hits: fn(&OperationReport) -> bool,
}

const CHECKS: &[Check] = &[
    Check {
        code: "policy-public-write",
        title: "the gateway lets anyone change something",
        page: "Operations with POST, PUT, PATCH or DELETE that anyone may call, by the contract or by the policy.",
        owasp: Owasp::Api2,
        cwe: 306,
        severity: Severity::High,
        fix: "Demand credentials, in the contract or in a policy; log-in and registration are meant to be open.",
        yaml: Some("policies:\n  - match: { operation: … }\n    authenticate: { public: false }\n"),
        hits: |one| writes(one) && !matches!(one.access, Access::Credentials(_)),
    },
    Check {
        code: "policy-public",
        title: "the gateway lets anyone read",
        page: "Operations with GET or HEAD that anyone may call, by the contract or by the policy.",
        owasp: Owasp::Api2,
        cwe: 306,
        severity: Severity::Info,
        fix: "Make sure that what they answer is meant for everyone.",
        yaml: None,
        hits: |one| !writes(one) && !matches!(one.access, Access::Credentials(_)),
    },
    Check {
        code: "policy-unlimited",
        title: "no rate limit holds",
        page: "Operations without a `limit` guard in enforce mode: guessing, scraping and exhausting cost nothing.",
        owasp: Owasp::Api4,
        cwe: 770,
        severity: Severity::Medium,
        fix: "Give the gateway a rate that holds everywhere, and tighter ones where guessing pays.",
        yaml: Some("limit: { rate: 100/min, per: client }\n"),
        hits: |one| !enforced(one, "limit"),
    },
    Check {
        code: "policy-object-unbound",
        title: "nothing compares an object's owner with the caller",
        page: "Operations on one object (a parameter in the path) for which the gateway demands credentials, and nothing \
               that compares the object with the caller (`authorize.bind` or `authorize.owner`, `provenance.needs`, \
               `seal`, `decide`) in enforce mode: whoever may call may name any object.",
        owasp: Owasp::Api1,
        cwe: 639,
        severity: Severity::Medium,
        fix: "Bind the path's parameter or the answer's owner to the caller, or make sure that the API compares them.",
        yaml: Some(
            "policies:\n  - match: { operation: … }\n    authorize: { owner: { response: /owner_id, is: token.sub } }\n",
        ),
        hits: |one| {
            one.template.contains('{')
                && matches!(one.access, Access::Credentials(_))
                && !one
                    .guards
                    .iter()
                    .any(|guard| guard.role == Role::ComparesObjects && guard.mode == Mode::Enforce)
        },
    },
    Check {
        code: "policy-monitor",
        title: "a guard only watches",
        page: "Guards in monitor mode refuse nothing: what they would have stopped went through. A guard of which a part \
               only watches unless it is asked for, such as the check of answers, is not meant.",
        owasp: Owasp::Api8,
        cwe: 693,
        severity: Severity::Medium,
        fix: "Look at what they would have refused (`portcullis log`), then set `mode: enforce`.",
        yaml: Some("mode: enforce\n"),
        hits: |one| {
            one.guards.iter().any(|guard| {
                guard.mode == Mode::Monitor
                    && guard.stage != Stage::Observe
                    && guard.role != Role::Learns
                    && !enforced(one, guard.name)
            })
        },
    },
    Check {
        code: "policy-fails-open",
        title: "a guard that fails lets calls through",
        page: "Guards with `on_error: open`: whoever makes them fail is let in.",
        owasp: Owasp::Api8,
        cwe: 636,
        severity: Severity::Medium,
        fix: "Set `on_error: closed`, which is the default.",
        yaml: None,
        hits: |one| {
            one.guards.iter().any(|guard| guard.on_error == FailMode::Open && guard.mode == Mode::Enforce)
        },
    },
    Check {
        code: "policy-unvalidated",
        title: "input is not compared with the contract",
        page: "Operations without a `validate` guard in enforce mode: the contract is a wish.",
        owasp: Owasp::Api8,
        cwe: 20,
        severity: Severity::Medium,
        fix: "Set `validate: { mode: enforce }`.",
        yaml: Some("validate: { mode: enforce }\n"),
        hits: |one| !enforced(one, "validate"),
    },
    Check {
        code: "policy-security-overruled",
        title: "the policy opens what the contract protects",
        page: "Operations for which the contract demands credentials, and a policy says `public: true` or switches \
               `authenticate` off or to monitor.",
        owasp: Owasp::Api2,
        cwe: 306,
        severity: Severity::High,
        fix: "Take `public: true` out of the policy; if anyone may call it, say `security: []` in the contract.",
        yaml: None,
        hits: |one| {
            one.demands
                && match one.access {
                    Access::OpenByPolicy => true,
                    // A scheme that is left to the API is open here by the contract.
                    Access::OpenByContract | Access::OpenBySilence => false,
                    Access::Credentials(_) => !enforced(one, "authenticate"),
                }
        },
    },
    Check {
        code: "policy-contract-ahead",
        title: "the contract says more than the gateway can enforce",
        page: "Operations of which something in the contract cannot be enforced.",
        owasp: Owasp::Api9,
        cwe: 1059,
        severity: Severity::Low,
        fix: "Correct the contract; `portcullis config show` names each part.",
        yaml: None,
        hits: |one| !one.unenforced.is_empty(),
    },
];

fn writes(one: &OperationReport) -> bool {
    !matches!(one.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "QUERY")
}

fn enforced(one: &OperationReport, name: &str) -> bool {
    one.guards.iter().any(|guard| guard.name == name && guard.mode == Mode::Enforce)
}

/// A patch that was to be looked at again.
fn overdue(config: &Config, file: &str, today: Date) -> Vec<Item> {
    let due = config.policies.patches().filter(|(_, patch)| patch.until.0 < today);
    due.map(|(index, patch)| {
        let closes = patch.closes.join("; ");
        let pointer = format!("/policies/{index}/patch");
        let at = config.document.as_ref().and_then(|document| {
            Some(document.locate(document.get(&pointer)?.span.start))
        });
        Item {
            code: OVERDUE.into(),
            title: "a patch is due to be looked at".into(),
            detail: format!("It closes {closes}, and its day is over. It goes on protecting."),
            owasp: Owasp::Api9,
            cwe: 1059,
            severity: Severity::Low,
            confidence: Confidence::Confirmed,
            places: vec![Place {
                file: Some(file.to_owned()),
                part: Some(pointer.clone()),
                line: at.map_or(0, |at| at.line),
                column: at.map_or(0, |at| at.column),
                ..Place::default()
            }],
            evidence: Evidence::default(),
            fix: "`portcullis fix --review` scans the API without the gateway, and says whether the patch can go.".into(),
            patch: None,
            points: None,
            fingerprint: Item::fingerprint_of(OVERDUE, &closes),
            state: State::New,
        }
    })
    .collect()
}

const OVERDUE: &str = "policy-patch-overdue";

/// Audits a configuration into a report.
pub(super) fn collect(report: &mut Report, path: &Path, now: OffsetDateTime) -> Result<()> {
    let overrides =
        Overrides { config: Some(path.to_owned()), upstream_optional: true, ..Overrides::default() };
    let config = config::load(&overrides).map_err(Failure::usage)?;
    let keys = Keys::none().ring().clone();
    let compiled = build::compile(&config, keys, Arc::new(Counters::default())).map_err(Failure::usage)?;
    let file = path.display().to_string();
    report.rules.extend(CHECKS.iter().map(|check| Rule {
        code: check.code.into(),
        title: check.title.into(),
        page: check.page.into(),
        owasp: check.owasp,
        cwe: check.cwe,
        severity: check.severity,
    }));
    for warning in &compiled.report.warnings {
        report.notes.push(format!("{file}: {warning}"));
    }
    report.fact("operations behind the gateway", compiled.report.operations.len());
    report.rules.push(Rule {
        code: OVERDUE.into(),
        title: "a patch is due to be looked at".into(),
        page: "Patches stand in until the API itself is mended; each says until when, and protects beyond that day.".into(),
        owasp: Owasp::Api9,
        cwe: 1059,
        severity: Severity::Low,
    });
    report.items.extend(overdue(&config, &file, now.date()));
    report.items.extend(CHECKS.iter().filter_map(|check| judge(check, &compiled.report, &file)));
    Ok(())
}

/// One finding for all operations that have the same fault: one line of policy mends them.
fn judge(check: &Check, compiled: &Compiled, file: &str) -> Option<Item> {
    let hits: Vec<&OperationReport> = compiled.operations.iter().filter(|one| (check.hits)(one)).collect();
    if hits.is_empty() {
        return None;
    }
    let label = |one: &&OperationReport| format!("{} {}", one.method.as_str(), one.template);
    let labels: Vec<String> = hits.iter().map(label).collect();
    let mut places =
        vec![Place { file: Some(file.to_owned()), operation: labels.first().cloned(), ..Place::default() }];
    places.extend(labels.iter().skip(1).take(200).map(Place::operation));
    let count = if labels.len() > 1 { format!(" ({} operations)", labels.len()) } else { String::new() };
    Some(Item {
        code: check.code.into(),
        title: format!("{}{count}", check.title),
        detail: check.page.into(),
        owasp: check.owasp,
        cwe: check.cwe,
        severity: check.severity,
        confidence: Confidence::Confirmed,
        places,
        evidence: Evidence::default(),
        fix: check.fix.into(),
        patch: check.yaml.map(|yaml| Patch { text: check.fix.into(), yaml: Some(yaml.into()) }),
        points: None,
        fingerprint: Item::fingerprint_of(check.code, &labels.join(",")),
        state: State::New,
    })
}
