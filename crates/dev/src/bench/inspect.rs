//! `cargo dev bench inspect`: CPU time for each inspected call, beside nginx with ModSecurity and the OWASP Core Rule Set.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use super::contenders::{self, Kind, Running};
use super::load::{self, Call};
use super::{measure, proxy, report};
use crate::setup::{self, Purpose};
use crate::{Failure, Outcome, cache, release};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rounds; both have a turn with each call in every round.
    pub rounds: u32,
    /// Seconds of load in each turn.
    pub seconds: u32,
    /// Whether to write `docs/inspection-benchmarks.md`.
    pub write: bool,
}

/// What is sent.
struct Case {
    name: &'static str,
    call: Call,
    /// How many times less it should cost.
    bound: f64,
    theirs: Vec<f64>,
    ours: Vec<f64>,
    ratios: Vec<f64>,
}

/// Runs the comparison.
///
/// # Errors
/// If something is not installed, does not start, or refuses an ordinary call.
pub fn run(options: &Options) -> Outcome {
    let missing = setup::ensure(&[Purpose::Test, Purpose::Bench], None)?;
    if !missing.is_empty() {
        eprintln!("missing: {}", missing.join("\nmissing: "));
    }
    let portcullis = release::to_measure()?.program;
    let scratch = proxy::Scratch::new()?;
    let folder = scratch.folder();
    let upstream = contenders::upstream("{}", folder)?;
    let start = |kind| contenders::start(kind, 1, upstream.address, &portcullis, folder);
    let (theirs, ours) = (start(Kind::ModSecurity)?, start(Kind::Inspecting)?);
    let mut cases = cases();
    for round in 1..=options.rounds {
        for case in &mut cases {
            let micros = |running: &Running| -> Outcome<f64> {
                load::wrk(&running.address.to_string(), &case.call, 1, folder)?;
                let before = measure::tree(running.pid());
                let done = load::wrk(&running.address.to_string(), &case.call, options.seconds, folder)?;
                let after = measure::tree(running.pid());
                if done.calls < 1.0 {
                    return Err(Failure::new(format!(
                        "no call was answered within {} s; give --seconds more",
                        options.seconds
                    )));
                }
                Ok((after.cpu - before.cpu) * 1e6 / done.calls)
            };
            let (theirs, ours) = (micros(&theirs)?, micros(&ours)?);
            eprintln!(
                "round {round}: {}: ModSecurity {theirs:.0} µs, Portcullis {ours:.1} µs, {:.0} times less",
                case.name,
                theirs / ours
            );
            case.theirs.push(theirs);
            case.ours.push(ours);
            case.ratios.push(theirs / ours);
        }
    }
    let text = markdown(&cases, options);
    println!("{text}");
    if options.write {
        let path = cache::workspace().join("docs/inspection-benchmarks.md");
        fs::write(&path, &text)?;
        eprintln!("written to {}", path.display());
    }
    Ok(())
}

/// The calls alone.
pub(crate) fn calls() -> impl Iterator<Item = Call> {
    cases().into_iter().map(|case| case.call)
}

fn cases() -> Vec<Case> {
    let fields = || {
        let fields =
            [("Host", "api.example.com"), ("User-Agent", "shop/1.4"), ("Accept", "application/json")];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    };
    let case = |name, bound, path: &str, body: Option<Value>| Case {
        name,
        call: Call {
            path: path.into(),
            fields: fields(),
            body: body.map(|body| body.to_string()),
            // Few: an inspected call may take tens of milliseconds, and what waits too long counts as lost.
            connections: Some(8),
        },
        bound,
        theirs: Vec::new(),
        ours: Vec::new(),
        ratios: Vec::new(),
    };
    let get = "/items/7?expand=owner&sort=-created&q=blue+running+shoes+size+42";
    let many: Vec<Value> = (0..10).map(|_| proxy::body()).collect();
    vec![
        case("GET, three parameters", 20.0, get, None),
        case("POST, 1.1 KB of JSON", 60.0, "/items", Some(proxy::body())),
        case("POST, 10 KB of JSON", 60.0, "/items", Some(json!({ "orders": many }))),
    ]
}

fn markdown(cases: &[Case], options: &Options) -> String {
    let mut out = String::from(
        "# What inspection costs\n\n\
         `cargo dev bench inspect` sends the same ordinary calls through nginx with ModSecurity 3 and the OWASP Core Rule \
         Set (Debian's `libnginx-mod-http-modsecurity` and `modsecurity-crs`, paranoia level 1, blocking) and through \
         Portcullis with its inspection, one worker each, before one upstream, and counts the CPU time of their \
         processes for each call: the whole gateway, not the inspection alone.\n\n",
    );
    let _ = writeln!(
        out,
        "{} rounds of {} s; both have a turn in each. Medians.\n",
        options.rounds, options.seconds
    );
    out.push_str("| call | ModSecurity | Portcullis | times less | to reach |\n|---|--:|--:|--:|--:|\n");
    for case in cases {
        let _ = writeln!(
            out,
            "| {} | {:.0} µs | {:.1} µs | {:.0} | {:.0} |",
            case.name,
            report::median(&case.theirs),
            report::median(&case.ours),
            report::median(&case.ratios),
            case.bound
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_are_as_large_as_their_names_say() {
        let sizes: Vec<usize> =
            cases().iter().map(|case| case.call.body.as_ref().map_or(0, String::len)).collect();
        assert!(matches!(sizes[..], [0, 900..=1150, 9_000..=11_500]), "{sizes:?}");
    }
}
