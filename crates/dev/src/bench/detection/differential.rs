//! Our verdicts on SQL beside those of libinjection, value by value, on its own data: it is an oracle here and nothing else.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::{Input, Sample};
use crate::{Failure, Outcome, cache, process};

/// Judges the values of a file, one in hexadecimal digits a line: a `1` or a `0` a line.
const SCRIPT: &str = "\
import sys, libinjection
for line in open(sys.argv[1]):
    verdict = libinjection.is_sql_injection(bytes.fromhex(line.strip()).decode('latin-1'))
    print(1 if verdict['is_sqli'] else 0)
";

/// One value, and who takes it for an attack.
struct Judged<'a> {
    value: &'a [u8],
    attack: bool,
    theirs: bool,
    ours: bool,
}

/// Both verdicts on every value of libinjection's data, as Markdown; nothing where the library is not there.
///
/// # Errors
/// If the library is there and does not answer.
pub(super) fn render(samples: &[Sample]) -> Outcome<Option<String>> {
    let values: Vec<(&[u8], bool, bool)> = samples
        .iter()
        .filter(|sample| sample.set == "libinjection")
        .filter_map(|sample| match &sample.input {
            Input::Value(_, value) => {
                Some((value.as_slice(), !sample.class.is_empty(), sample.judge().is_some()))
            }
            Input::Request(_) => None,
        })
        .collect();
    let python = cache::venv().join("bin/python3");
    let there = Command::new(&python).args(["-c", "import libinjection"]).output();
    if values.is_empty() || !there.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "SKIPPED: no comparison with libinjection; `cargo dev setup` installs `libinjection-python`"
        );
        return Ok(None);
    }
    let file = cache::folder().join("differential.hex");
    let lines = values.iter().fold(String::new(), |mut out, (value, ..)| {
        for byte in *value {
            let _ = write!(out, "{byte:02x}");
        }
        out.push('\n');
        out
    });
    fs::write(&file, lines)?;
    let answers = process::run_quietly(Command::new(&python).args(["-c", SCRIPT]).arg(&file))?;
    let answers: Vec<bool> = answers.lines().map(|line| line == "1").collect();
    if answers.len() != values.len() {
        return Err(Failure::new(format!(
            "libinjection judged {} of {} values",
            answers.len(),
            values.len()
        )));
    }
    let judged: Vec<Judged<'_>> = values
        .into_iter()
        .zip(answers)
        .map(|((value, attack, ours), theirs)| Judged { value, attack, theirs, ours })
        .collect();
    Ok(Some(table(&judged)))
}

fn table(judged: &[Judged<'_>]) -> String {
    let mut out =
        String::from("| | attacks found | attacks missed | ordinary values refused |\n|---|--:|--:|--:|\n");
    let ordinary = judged.iter().filter(|one| !one.attack).count();
    for (name, says) in
        [("libinjection", (|one| one.theirs) as fn(&Judged<'_>) -> bool), ("Portcullis", |one| one.ours)]
    {
        let count = |attack: bool| judged.iter().filter(|one| one.attack == attack && says(one)).count();
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} of {ordinary} |",
            count(true),
            judged.len() - ordinary - count(true),
            count(false)
        );
    }
    for (title, attack, theirs) in [
        ("Attacks found by libinjection alone", true, true),
        ("Attacks found by Portcullis alone", true, false),
        ("Ordinary values refused by Portcullis alone", false, false),
        ("Ordinary values refused by libinjection alone", false, true),
    ] {
        let _ = writeln!(out, "\n{title}:\n");
        let mut none = true;
        for one in
            judged.iter().filter(|one| one.attack == attack && one.theirs == theirs && one.ours != theirs)
        {
            none = false;
            let text: String = String::from_utf8_lossy(one.value)
                .chars()
                .take(120)
                .map(|c| if c.is_control() { '·' } else { c })
                .collect();
            let _ = writeln!(out, "- `` {} ``", text.trim());
        }
        if none {
            out.push_str("- none\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_listed_where_it_belongs() {
        let one = |value: &'static str, attack, theirs, ours| Judged {
            value: value.as_bytes(),
            attack,
            theirs,
            ours,
        };
        let text = table(&[
            one("both", true, true, true),
            one("only they", true, true, false),
            one("only we", true, false, true),
            one("ordinary, we", false, false, true),
            one("ordinary, none", false, false, false),
        ]);
        assert!(
            text.contains("| libinjection | 2 | 1 | 0 of 2 |\n| Portcullis | 2 | 1 | 1 of 2 |"),
            "{text}"
        );
        assert!(text.contains("by libinjection alone:\n\n- `` only they ``\n"), "{text}");
        assert!(text.contains("found by Portcullis alone:\n\n- `` only we ``\n"), "{text}");
        assert!(text.contains("refused by Portcullis alone:\n\n- `` ordinary, we ``\n"), "{text}");
        assert!(!text.contains("both") && !text.contains("ordinary, none"), "{text}");
    }
}
