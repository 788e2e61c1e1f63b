//! What was found, and why.

use std::fmt;

use crate::budget::Budget;
use crate::class::{Class, Classes};
use crate::decode::Decoding;

/// From this score on a value is taken for an attack.
pub const ATTACK: u8 = 70;

/// From this score on a value is worth a look; ordinary text seldom gets here.
pub const SUSPICIOUS: u8 = 50;

/// What a value carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The kind of attack.
    pub class: Class,
    /// How sure: 0 to 100. See [`ATTACK`].
    pub score: u8,
    /// What the grammar saw.
    pub why: &'static str,
    /// The piece that it saw, shortened; of the decoded form. Never for a response: it is the caller's text.
    pub evidence: String,
    /// What had to be undone to see it, in order.
    pub undone: Vec<Decoding>,
}

impl Verdict {
    /// Whether it is taken for an attack.
    pub fn is_attack(&self) -> bool {
        self.score >= ATTACK
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} of 100: {}", self.class.title(), self.score, self.why)?;
        for (index, decoding) in self.undone.iter().enumerate() {
            f.write_str(if index == 0 { "; behind " } else { ", then " })?;
            f.write_str(decoding.title())?;
        }
        Ok(())
    }
}

/// What one detector saw in one view of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub(crate) class: Class,
    pub(crate) score: u8,
    pub(crate) why: &'static str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What all detectors saw in one view, and how much they may still look at.
#[derive(Debug)]
pub(crate) struct Hits {
    pub(crate) best: Option<Hit>,
    /// Kinds that nobody wants to hear of.
    pub(crate) passed: Classes,
    pub(crate) budget: Budget,
}

impl Hits {
    /// Notes a hit; the highest score stays.
    pub(crate) fn add(&mut self, class: Class, score: u8, why: &'static str, start: usize, end: usize) {
        if self.best.is_none_or(|best| best.score < score) && !self.passed.contains(class) {
            self.best = Some(Hit { class, score, why, start, end });
        }
    }

    /// Takes `steps` from the budget; `false` where there are none left, and nothing more is to be looked at.
    pub(crate) fn spend(&mut self, steps: usize) -> bool {
        self.budget.spend(steps)
    }

    /// Whether nothing more has to be looked for.
    pub(crate) fn sure(&self) -> bool {
        self.best.is_some_and(|best| best.score >= 90)
    }
}

/// The piece of `bytes` that a person is shown: short, printable.
pub(crate) fn excerpt(bytes: &[u8], start: usize, end: usize) -> String {
    const MOST: usize = 80;
    let end = end.max(start).min(bytes.len());
    let cut = crate::text::slice(bytes, start, end.min(start.saturating_add(MOST)));
    let mut out: String =
        String::from_utf8_lossy(cut).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if end > start.saturating_add(MOST) {
        out.push('…');
    }
    out
}
