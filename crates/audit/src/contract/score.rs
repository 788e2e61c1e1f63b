//! Scores from 0 to 100, and what each fix is worth.
//!
//! An operation begins with 100 points. Each rule that hits it takes a share of what is left: its weight (20 % for
//! high severity, 8 % for medium, 3 % for low) times `k / (k + 1)`, where `k` is the number of findings of that
//! rule, so that the first costs the most and fixing any of them gives something. The document's score is the mean
//! of its operations' scores, less the same for what is wrong with the document as a whole. A fix is worth the
//! difference between the score and the score without that finding.

use std::collections::BTreeMap;

use super::findings::{Group, MAX_OPERATIONS, Subject};
use super::model::Description;
use super::reach::{Base, Bits};
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
    let of_document = |group: &Group<'_>| group.is_document() && !matches!(group.subject, Subject::Unit(_));
    let about_all: Vec<usize> =
        groups.iter().enumerate().filter(|(_, group)| of_document(group)).map(|(at, _)| at).collect();
    let mut counts = NO_COUNTS;
    count(&mut counts, &about_all, &rules);
    let whole = Factor::of(&counts);
    let mut points = vec![0.0; groups.len()];
    let mut operations = Vec::with_capacity(description.operations.len());
    let mut sum = 0.0;
    let (mut request, mut response) = (Bits::default(), Bits::default());
    let mut hit: Vec<usize> = Vec::new();
    let sides: Vec<(bool, bool)> = groups.iter().map(|group| (group.request, group.response)).collect();
    let concerns = |at: usize, unit: usize, request: &Bits, response: &Bits| {
        let (of_request, of_response) = sides.get(at).copied().unwrap_or_default();
        (of_request && request.has(unit)) || (of_response && response.has(unit))
    };
    let of_unit = |unit: usize| by_unit.get(unit).into_iter().flatten().copied();
    // What operations have in common is weighed once, and what it costs each is added up.
    let mut shared: BTreeMap<Base, Shared> = BTreeMap::new();
    for (index, operation) in description.operations.iter().enumerate() {
        let base = description.reach.base(index);
        let (base_request, base_response) = description.reach.of_base(base);
        let shared = shared.entry(base).or_insert_with(|| {
            let units = base_request.either(base_response);
            let hit = units
                .flat_map(|unit| of_unit(unit).map(move |at| (at, unit)))
                .filter(|(at, unit)| concerns(*at, *unit, base_request, base_response));
            Shared::new(hit.map(|(at, _)| at).collect(), &rules)
        });
        request.clear();
        response.clear();
        description.reach.join_request(index, &mut request);
        description.reach.join_response(index, &mut response);
        hit.clear();
        for unit in Bits::beyond([&request, &response], [base_request, base_response]) {
            let own = of_unit(unit).filter(|at| {
                concerns(*at, unit, &request, &response) && !concerns(*at, unit, base_request, base_response)
            });
            hit.extend(own);
        }
        for at in &hit {
            if let Some(group) = groups.get_mut(*at) {
                group.reached(operation.index);
            }
        }
        hit.extend(by_operation.get(index).into_iter().flatten());
        let mut counts = shared.counts;
        count(&mut counts, &hit, &rules);
        let factor = Factor::of(&counts);
        let score = factor.score();
        sum += score;
        for at in &hit {
            if let (Some(sum), Some(rule)) = (points.get_mut(*at), rules.get(*at)) {
                *sum += factor.gain(*rule);
            }
        }
        shared.add(&factor, operation.index);
        operations.push(OperationScore {
            operation: description.labels.get(index).cloned().unwrap_or_default(),
            id: operation.spot.str("operationId").map(str::to_owned),
            score,
            reasons: factor.reasons(),
        });
    }
    for Shared { hit, gains, operations, count, .. } in shared.into_values() {
        for at in hit {
            if let (Some(sum), Some(rule)) = (points.get_mut(at), rules.get(at)) {
                *sum += gains.get(*rule).copied().unwrap_or(0.0);
            }
            if let Some(group) = groups.get_mut(at) {
                group.reached_by(&operations, count);
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a document has fewer operations than 2^52")]
    let count = operations.len().max(1) as f64;
    let mean = if operations.is_empty() { 100.0 } else { sum / count };
    let share = whole.score() / 100.0;
    for ((points, group), rule) in points.iter_mut().zip(&*groups).zip(&rules) {
        *points = match of_document(group) {
            true => mean * whole.gain(*rule) / 100.0,
            false => *points / count * share,
        };
    }
    Scored { document: mean * share, operations, points }
}

fn position(rule: &'static Rule) -> usize {
    RULES.iter().position(|one| std::ptr::eq(*one, rule)).unwrap_or(0)
}

/// For each rule, how many findings.
type Counts = [u32; RULES.len()];

const NO_COUNTS: Counts = [0; RULES.len()];

fn count(counts: &mut Counts, hit: &[usize], rules: &[usize]) {
    for at in hit {
        if let Some(count) = rules.get(*at).and_then(|rule| counts.get_mut(*rule)) {
            *count += 1;
        }
    }
}

/// What hits all operations that have a base in common.
struct Shared {
    hit: Vec<usize>,
    counts: Counts,
    /// For each rule, what one finding less gives all of these operations together.
    gains: [f64; RULES.len()],
    /// The first of the operations, and how many there are.
    operations: Vec<u32>,
    count: usize,
}

impl Shared {
    fn new(hit: Vec<usize>, rules: &[usize]) -> Shared {
        let mut counts = NO_COUNTS;
        count(&mut counts, &hit, rules);
        Shared { hit, counts, gains: [0.0; RULES.len()], operations: Vec::new(), count: 0 }
    }

    fn add(&mut self, factor: &Factor, operation: u32) {
        for (gain, more) in self.gains.iter_mut().zip(&factor.gains) {
            *gain += more;
        }
        self.count += 1;
        if self.operations.len() < MAX_OPERATIONS {
            self.operations.push(operation);
        }
    }
}

/// What rules leave of 100 points.
struct Factor {
    counts: Counts,
    product: f64,
    /// For each rule, the points that one finding less gives.
    gains: [f64; RULES.len()],
}

impl Factor {
    fn of(counts: &Counts) -> Factor {
        let mut product = 1.0;
        for (rule, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            product *= left(rule, *count);
        }
        let mut gains = [0.0; RULES.len()];
        for ((rule, count), gain) in counts.iter().enumerate().zip(&mut gains) {
            if let Some(less) = count.checked_sub(1) {
                *gain = 100.0 * product * (left(rule, less) / left(rule, *count) - 1.0);
            }
        }
        Factor { counts: *counts, product, gains }
    }

    fn score(&self) -> f64 {
        100.0 * self.product
    }

    /// What a finding less of a rule gives.
    fn gain(&self, rule: usize) -> f64 {
        self.gains.get(rule).copied().unwrap_or(0.0)
    }

    fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self
            .counts
            .iter()
            .zip(RULES)
            .enumerate()
            .filter(|(_, (count, _))| **count > 0)
            .map(|(at, (count, rule))| {
                let points = self.score() / left(at, *count) - self.score();
                Reason { code: rule.code, points }
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
