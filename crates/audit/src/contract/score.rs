//! Scores from 0 to 100, and what each fix is worth.
//!
//! An operation begins with 100 points. Each rule that hits it takes a share of what is left: its weight (20 % for
//! high severity, 8 % for medium, 3 % for low) times `k / (k + 1)`, where `k` is the number of findings of that
//! rule, so that the first costs the most and fixing any of them gives something. The document's score is the mean
//! of its operations' scores, less the same for what is wrong with the document as a whole. A fix is worth the
//! difference between the score and the score without that finding.

use super::findings::{Group, Subject};
use super::model::Description;
use super::rule::Rule;
use super::rules::RULES;

/// An operation and its score.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationScore {
    /// `GET /orders/{id}`.
    pub operation: String,
    /// Its `operationId`.
    pub id: Option<String>,
    /// From 0 to 100.
    pub score: f64,
    /// What costs it the most points, at most five.
    pub reasons: Vec<Reason>,
}

/// What a rule costs an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// The rule's code.
    pub code: &'static str,
    /// Points that mending all of it gives the operation.
    pub points: f64,
}

/// All scores of a document.
#[derive(Debug)]
pub(crate) struct Scored {
    pub(crate) document: f64,
    pub(crate) operations: Vec<OperationScore>,
    /// What each group is worth, in their order.
    pub(crate) points: Vec<f64>,
}

pub(crate) fn score(description: &Description<'_>, groups: &mut [Group<'_>]) -> Scored {
    let rules: Vec<usize> = groups.iter().map(|group| position(group.rule)).collect();
    let mut by_unit: Vec<Vec<usize>> = vec![Vec::new(); description.units.len()];
    let mut by_operation: Vec<Vec<usize>> = vec![Vec::new(); description.operations.len()];
    for (index, group) in groups.iter().enumerate() {
        if let Subject::Unit(unit) = group.subject
            && let Some(list) = by_unit.get_mut(unit as usize)
        {
            list.push(index);
        }
        let mut named = group.operations.clone();
        named.sort_unstable();
        named.dedup();
        for operation in named {
            if let Some(list) = by_operation.get_mut(operation as usize) {
                list.push(index);
            }
        }
    }
    let whole = Factor::of(
        groups
            .iter()
            .zip(&rules)
            .filter(|(group, _)| group.is_document() && !matches!(group.subject, Subject::Unit(_)))
            .map(|(_, rule)| *rule),
    );
    let mut points = vec![0.0; groups.len()];
    let mut operations = Vec::with_capacity(description.operations.len());
    let mut sum = 0.0;
    let mut hit: Vec<usize> = Vec::new();
    for (index, operation) in description.operations.iter().enumerate() {
        hit.clone_from(by_operation.get(index).unwrap_or(&Vec::new()));
        let (request, response) = (description.reach.request(index), description.reach.response(index));
        let mut units = request.clone();
        units.join(response);
        for unit in units.iter() {
            for at in by_unit.get(unit).into_iter().flatten() {
                let concerns = groups.get(*at).is_some_and(|group| {
                    (group.request && request.has(unit)) || (group.response && response.has(unit))
                });
                if concerns {
                    hit.push(*at);
                }
            }
        }
        let factor = Factor::of(hit.iter().filter_map(|at| rules.get(*at).copied()));
        let score = factor.score();
        sum += score;
        for at in &hit {
            if let (Some(sum), Some(rule)) = (points.get_mut(*at), rules.get(*at)) {
                *sum += factor.without_one(*rule) - score;
            }
            if let Some(group) = groups.get_mut(*at).filter(|group| matches!(group.subject, Subject::Unit(_)))
            {
                group.reached(operation.index);
            }
        }
        operations.push(OperationScore {
            operation: operation.label(),
            id: operation.spot.str("operationId").map(str::to_owned),
            score,
            reasons: factor.reasons(),
        });
    }
    #[expect(clippy::cast_precision_loss, reason = "a document has fewer operations than 2^52")]
    let count = operations.len().max(1) as f64;
    let mean = if operations.is_empty() { 100.0 } else { sum / count };
    let share = whole.score() / 100.0;
    for ((points, group), rule) in points.iter_mut().zip(&*groups).zip(&rules) {
        *points = match group.is_document() && !matches!(group.subject, Subject::Unit(_)) {
            true => mean * (whole.without_one(*rule) / 100.0 - share),
            false => *points / count * share,
        };
    }
    Scored { document: mean * share, operations, points }
}

fn position(rule: &'static Rule) -> usize {
    RULES.iter().position(|one| one.code == rule.code).unwrap_or(0)
}

/// What rules leave of 100 points.
struct Factor {
    /// For each rule that hits, how many findings.
    rules: Vec<(usize, u32)>,
    product: f64,
}

impl Factor {
    fn of(hits: impl Iterator<Item = usize>) -> Factor {
        let mut all: Vec<usize> = hits.collect();
        all.sort_unstable();
        let mut rules: Vec<(usize, u32)> = Vec::new();
        for rule in all {
            match rules.last_mut() {
                Some((last, count)) if *last == rule => *count += 1,
                _ => rules.push((rule, 1)),
            }
        }
        let product = rules.iter().map(|(rule, count)| left(*rule, *count)).product();
        Factor { rules, product }
    }

    fn score(&self) -> f64 {
        100.0 * self.product
    }

    /// The score if a rule had one finding less.
    fn without_one(&self, rule: usize) -> f64 {
        let count = self.rules.iter().find(|(known, _)| *known == rule).map_or(0, |(_, count)| *count);
        match count {
            0 => self.score(),
            count => self.score() / left(rule, count) * left(rule, count - 1),
        }
    }

    fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self
            .rules
            .iter()
            .filter_map(|(rule, count)| {
                let points = self.score() / left(*rule, *count) - self.score();
                RULES.get(*rule).map(|rule| Reason { code: rule.code, points })
            })
            .filter(|reason| reason.points > 0.05)
            .collect();
        reasons.sort_by(|a, b| b.points.total_cmp(&a.points).then_with(|| a.code.cmp(b.code)));
        reasons.truncate(5);
        reasons
    }
}

fn left(rule: usize, count: u32) -> f64 {
    let weight = RULES.get(rule).map_or(0.0, |rule| rule.severity.weight());
    1.0 - weight * f64::from(count) / f64::from(count + 1)
}
