//! Debug, metrics and consoles on the internet.
//!
//! **What it finds.** Paths such as `/debug`, `/actuator`, `/metrics`, `/internal`, `/console`, `/phpinfo`, `/graphiql`.
//!
//! **The attack.** Heap dumps, environment variables and switches, made for developers.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "path-debug",
    title: "a debugging or internal path is part of the API",
    fix: "Take it off the public listener.",
    owasp: Owasp::Api9,
    cwe: 489,
    severity: Severity::Medium,
    suspects: true,
    once: false,
    guard: None,
    source: include_str!("path_debug.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let names = [
        "debug",
        "actuator",
        "phpinfo",
        "graphiql",
        "h2-console",
        "pprof",
        "heapdump",
        "threaddump",
        "env",
        "trace",
        "internal",
        "_internal",
        "createdb",
        "resetdb",
        "reset-db",
        "seed",
        "testing",
        "swagger-ui",
    ];
    let hit =
        operation.path.split('/').map(str::to_ascii_lowercase).any(|part| names.contains(&part.as_str()));
    if hit {
        out.operation(operation, operation.spot.file, operation.key, operation.path);
    }
}
