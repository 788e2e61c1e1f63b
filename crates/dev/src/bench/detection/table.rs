//! The rates as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Count, Sample};

/// What others reach, measured with the same sets: the true and the false positive rate, and who.
const OTHERS: &[(&str, &str, &str)] = &[
    ("http-params", "≥ 99.7 / ≤ 0.05", "98.6 / 0.0"),
    ("gotestwaf", "≥ 95 / ≤ 2", "48.1 / 8.5"),
    ("blazehttp", "≥ 90 / ≤ 0.1", "71.1 / 14.2"),
    ("blazehttp-json", "– / ≤ 0.1", "– / 16.3 (paranoia 2)"),
    ("libinjection", "≥ 99.9 / ≤ 1", "99.9 / 9.5"),
    ("atrdf", "≥ 99 / 0", "54.6 / 0"),
];

/// Counts by set and class.
#[derive(Debug, Default)]
pub(crate) struct Table(BTreeMap<(String, String), Count>);

impl Table {
    pub(crate) fn add(&mut self, sample: &Sample, held: bool, stopped: bool) {
        let count = self.0.entry((sample.set.clone(), sample.class.clone())).or_default();
        count.samples += 1;
        count.stopped += u64::from(stopped);
        if held {
            count.held_samples += 1;
            count.held_stopped += u64::from(stopped);
        }
    }

    fn total(&self, set: &str, attacks: bool) -> Count {
        let mut total = Count::default();
        for ((name, class), count) in &self.0 {
            if name == set && class.is_empty() != attacks {
                total.samples += count.samples;
                total.stopped += count.stopped;
                total.held_samples += count.held_samples;
                total.held_stopped += count.held_stopped;
            }
        }
        total
    }

    /// The tables as Markdown.
    pub(crate) fn render(&self) -> String {
        let mut out = String::from(
            "| set | attacks | found | held out | ordinary | false alarms | held out | to reach | CRS v4, paranoia 1 |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        let mut sets: Vec<&String> = self.0.keys().map(|(set, _)| set).collect();
        sets.dedup();
        for set in sets {
            let (attacks, ordinary) = (self.total(set, true), self.total(set, false));
            let other = OTHERS.iter().find(|(name, ..)| name == set);
            let _ = writeln!(
                out,
                "| {set} | {} | {} | {} | {} | {} | {} | {} | {} |",
                attacks.samples,
                percent(attacks.stopped, attacks.samples),
                percent(attacks.held_stopped, attacks.held_samples),
                ordinary.samples,
                percent(ordinary.stopped, ordinary.samples),
                percent(ordinary.held_stopped, ordinary.held_samples),
                other.map_or("", |(_, reach, _)| reach),
                other.map_or("", |(.., crs)| crs),
            );
        }
        out.push_str("\n| set | class | samples | stopped | held out |\n|---|---|--:|--:|--:|\n");
        for ((set, class), count) in &self.0 {
            let class = if class.is_empty() { "(ordinary)" } else { class };
            let _ = writeln!(
                out,
                "| {set} | {class} | {} | {} | {} |",
                count.samples,
                percent(count.stopped, count.samples),
                percent(count.held_stopped, count.held_samples),
            );
        }
        out
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}
