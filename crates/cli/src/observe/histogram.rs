//! A histogram of durations that many threads add to without waiting for each other.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds in seconds.
pub(crate) const BOUNDS: [f64; 15] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const BOUNDS_NS: [u64; 15] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// Counts of durations by size.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

/// What a histogram holds: seconds, count, and counts by upper bound, not cumulated.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) sum: f64,
    pub(crate) count: u64,
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// Adds a duration in nanoseconds.
    pub(crate) fn add(&self, ns: u64) {
        let index = BOUNDS_NS.partition_point(|bound| *bound < ns);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Adds what this histogram holds to `reading`.
    pub(crate) fn read_into(&self, reading: &mut Reading) {
        if reading.buckets.is_empty() {
            reading.buckets = BOUNDS.iter().copied().chain([f64::INFINITY]).map(|bound| (bound, 0)).collect();
        }
        for (bucket, (_, count)) in self.buckets.iter().zip(&mut reading.buckets) {
            let seen = bucket.load(Ordering::Relaxed);
            *count += seen;
            reading.count += seen;
        }
        reading.sum += self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_bucket() {
        let histogram = Histogram::default();
        for ns in [0, 100_000, 100_001, 3_000_000_000, u64::from(u32::MAX) * 10] {
            histogram.add(ns);
        }
        let mut reading = Reading::default();
        histogram.read_into(&mut reading);
        let at = |bound: f64| reading.buckets.iter().find(|(b, _)| *b == bound).unwrap().1;
        assert_eq!((at(0.000_1), at(0.000_25), at(10.0), at(f64::INFINITY)), (2, 1, 1, 1));
        assert_eq!(reading.count, 5);
        for (bound, ns) in BOUNDS.iter().zip(BOUNDS_NS) {
            assert!((bound * 1e9 - ns as f64).abs() < 1.0);
        }
    }
}
