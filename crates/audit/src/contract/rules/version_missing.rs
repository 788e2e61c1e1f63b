//! Which version is it?
//!
//! **What it finds.** Documents without `info.version`, or with an empty one or `0.0.0`.
//!
//! **Why it matters.** An inventory needs to tell the version that runs from the one that should.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "version-missing",
    title: "the description has no version",
    fix: "Give `info.version` a version, and raise it with every change.",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Low,
    suspects: false,
    once: true,
    guard: None,
    source: include_str!("version_missing.rs"),
    hook: Hook::Document(check),
};

fn check<'t>(description: &Description<'t>, out: &mut Out<'_, 't>) {
    let info = description.root.get("info");
    let version = info.and_then(|info| info.get("version"));
    let text = version.map(|version| description.snippet(version)).unwrap_or_default();
    if text.trim_matches(['"', '\'', ' ']).is_empty() || text.contains("0.0.0") {
        out.document(version.or(info).unwrap_or(description.root), "version");
    }
}
