//! What a process and its children cost, as the kernel counts it (proc(5)).

use std::collections::BTreeMap;
use std::fs;

/// CPU time and memory of a process and all its descendants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// User and system time since the start, in seconds.
    pub cpu: f64,
    /// Resident memory, in bytes; pages that several processes share count for each.
    pub resident: u64,
}

/// Reads the cost of the process tree below `root`, which counts as well.
#[must_use]
pub fn tree(root: u32) -> Cost {
    let all = processes();
    let mut cost = Cost::default();
    for (pid, process) in &all {
        let mut ancestor = *pid;
        // A parent's number may be greater than its child's, but a chain is never longer than the table.
        for _ in 0..=all.len() {
            if ancestor == root {
                cost.cpu += process.ticks as f64 / TICKS_PER_SECOND;
                cost.resident += process.pages * PAGE;
                break;
            }
            match all.get(&ancestor) {
                Some(Process { parent, .. }) if *parent != 0 => ancestor = *parent,
                _ => break,
            }
        }
    }
    cost
}

/// Seconds of CPU of all children of this process that have ended and were waited for, and of theirs.
#[must_use]
pub fn children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
    f64::from(number(13) + number(14)) / TICKS_PER_SECOND
}

/// `USER_HZ` and the page size are part of the kernel's interface on the platforms that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE: u64 = 4096;

#[derive(Debug)]
struct Process {
    parent: u32,
    ticks: u64,
    pages: u64,
}

fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parse(&stat)?))
        })
        .collect()
}

/// The fields after the command name, which may itself hold spaces and parentheses.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    Some(Process {
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)?,
        pages: number(21)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stat_line_with_an_odd_name() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 12345 99 1234 18446744073709551615 1";
        let process = parse(line).unwrap();
        assert_eq!((process.parent, process.ticks, process.pages), (7, 300, 1234));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(tree(std::process::id()).resident > 0);
    }
}
