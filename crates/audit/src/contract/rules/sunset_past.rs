//! Past its sunset.
//!
//! **What it finds.** Operations whose `x-sunset` is before today.
//!
//! **The attack.** What should be gone is not watched any more.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "sunset-past",
    title: "an operation is past its end and still described",
    fix: "Turn it off, or give it a new date.",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some(("deprecated", "refuses calls after the date with 410")),
    source: include_str!("sunset_past.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(description: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let (Some(today), Some(sunset)) = (description.options.today, operation.spot.get("x-sunset")) else {
        return;
    };
    let text = description.snippet(sunset).trim_matches(['"', '\'']);
    let mut parts = text.split(['-', 'T', ' ']);
    let mut number = || parts.next().and_then(|part| part.parse::<i32>().ok());
    let (Some(year), Some(month), Some(day)) = (number(), number(), number()) else { return };
    let (now_year, now_month, now_day) = today;
    if (year, month, day) < (now_year, i32::from(now_month), i32::from(now_day)) {
        out.operation(operation, sunset.file, sunset.node.span, operation.method);
    }
}
