//! Metrics: counted on the workers without allocation, written out in the Prometheus text format on demand.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use portcullis_engine::{Decision, End, Record};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::histogram::{Histogram, Reading};

/// Operations that get a label of their own; the rest are counted together as `other`.
const MAX_OPERATIONS: usize = 5_000;
const DECISIONS: [&str; 4] = ["permitted", "refused", "withheld", "answered"];
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const ENDS: [End; 4] = [End::Complete, End::ClientGone, End::UpstreamBroke, End::Cut];
const SHARDS: usize = 16;

/// The gateway's counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    shards: [Shard; SHARDS],
}

/// What one thread counts; others look only when metrics are read.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    counts: Mutex<Counts>,
    duration: Histogram,
    upstream: Histogram,
}

type ByOutcome = [[u64; CLASSES.len()]; DECISIONS.len()];

#[derive(Debug, Default)]
struct Counts {
    operations: HashMap<Arc<str>, ByOutcome>,
    unmatched: ByOutcome,
    other: ByOutcome,
    findings: HashMap<(&'static str, &'static str, bool), u64>,
    ends: [u64; ENDS.len()],
}

impl Metrics {
    /// Counts an exchange.
    pub(crate) fn observe(&self, record: &Record) {
        let shard = self.shard();
        shard.duration.add(record.duration_ns);
        if let Some(ns) = record.upstream_ns {
            shard.upstream.add(ns);
        }
        let decision = match record.decision {
            Decision::Permitted => 0,
            Decision::Refused { .. } => 1,
            Decision::Withheld { .. } => 2,
            Decision::Answered { .. } => 3,
        };
        let class = usize::from(record.status.as_u16() / 100);
        let mut counts = lock(&shard.counts);
        let counts = &mut *counts;
        let row = match record.operation() {
            None => &mut counts.unmatched,
            Some(operation) => {
                let full = counts.operations.len() >= MAX_OPERATIONS;
                match counts.operations.entry_ref(&*operation.id) {
                    EntryRef::Occupied(entry) => entry.into_mut(),
                    EntryRef::Vacant(_) if full => &mut counts.other,
                    EntryRef::Vacant(entry) => entry.insert(ByOutcome::default()),
                }
            }
        };
        if let Some(count) = row.get_mut(decision).and_then(|row| row.get_mut(class)) {
            *count += 1;
        }
        // Codes and guards are statics: their number is bounded by the program's text.
        for finding in &record.findings {
            *counts.findings.entry((finding.guard, finding.code.name, finding.enforced)).or_default() += 1;
        }
        let end = match record.end {
            End::Complete => 0,
            End::ClientGone => 1,
            End::UpstreamBroke => 2,
            End::Cut => 3,
        };
        if let Some(count) = counts.ends.get_mut(end) {
            *count += 1;
        }
    }

    fn shard(&self) -> &Shard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static INDEX: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        let index = INDEX.with(Cell::get);
        #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the array's length")]
        &self.shards[index]
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for shard in &self.shards {
            shard.duration.read_into(&mut sum.duration);
            shard.upstream.read_into(&mut sum.upstream);
            let counts = lock(&shard.counts);
            let mut add = |operation: &str, rows: &ByOutcome| {
                for (decision, row) in DECISIONS.iter().zip(rows) {
                    for (class, count) in CLASSES.iter().zip(row).filter(|(_, count)| **count > 0) {
                        *sum.requests.entry((operation.to_owned(), *decision, *class)).or_default() += count;
                    }
                }
            };
            add("unmatched", &counts.unmatched);
            add("other", &counts.other);
            for (operation, rows) in &counts.operations {
                add(operation, rows);
            }
            for (key, count) in &counts.findings {
                *sum.findings.entry(*key).or_default() += count;
            }
            for (end, count) in ENDS.iter().zip(counts.ends) {
                *sum.ends.entry(end.word()).or_default() += count;
            }
        }
        sum
    }
}

#[derive(Debug, Default)]
struct Sum {
    requests: BTreeMap<(String, &'static str, &'static str), u64>,
    findings: BTreeMap<(&'static str, &'static str, bool), u64>,
    ends: BTreeMap<&'static str, u64>,
    duration: Reading,
    upstream: Reading,
}

/// One number from elsewhere: the proxy, the event log, reloads.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The name, without the program's prefix; a counter's without `_total`.
    pub(crate) name: Cow<'static, str>,
    /// One line of help.
    pub(crate) help: &'static str,
    /// Whether it only goes up.
    pub(crate) counter: bool,
    /// Labels.
    pub(crate) labels: Vec<(&'static str, String)>,
    /// The value.
    pub(crate) value: f64,
}

impl Sample {
    /// A number that only goes up.
    pub(crate) fn counter(name: &'static str, help: &'static str, value: u64) -> Sample {
        let name = name.strip_suffix("_total").unwrap_or(name);
        Sample { name: name.into(), help, counter: true, labels: Vec::new(), value: value as f64 }
    }

    /// A number that goes up and down.
    pub(crate) fn gauge(name: &'static str, help: &'static str, value: f64) -> Sample {
        Sample { name: name.into(), help, counter: false, labels: Vec::new(), value }
    }

    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self.counter {
            true => ConstCounter::new(self.value as u64).encode(encoder),
            false => ConstGauge::new(self.value).encode(encoder),
        }
    }

    /// Sets the name apart from others of the same kind.
    pub(crate) fn of(mut self, whose: &str) -> Sample {
        self.name = format!("{whose}_{}", self.name).into();
        self
    }

    /// Adds a label.
    pub(crate) fn label(mut self, name: &'static str, value: impl Into<String>) -> Sample {
        self.labels.push((name, value.into()));
        self
    }
}

/// Writes everything in the OpenMetrics text format.
pub(crate) fn render(metrics: &Arc<Metrics>, samples: Vec<Sample>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("portcullis");
    registry.register_collector(Box::new(Page { metrics: Arc::clone(metrics), samples }));
    let mut text = String::with_capacity(16 << 10);
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Page {
    metrics: Arc<Metrics>,
    samples: Vec<Sample>,
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sum = self.metrics.sum();
        let help = "Exchanges, by operation, decision and class of the status";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for ((operation, decision, class), count) in &sum.requests {
            let labels = [("operation", operation.as_str()), ("decision", decision), ("status", class)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let help = "What guards saw, by guard, code and whether the call was refused for it";
        let mut family = encoder.encode_descriptor("findings", help, None, MetricType::Counter)?;
        for ((guard, code, enforced), count) in &sum.findings {
            let mode = if *enforced { "enforce" } else { "monitor" };
            let labels = [("guard", *guard), ("code", *code), ("mode", mode)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let help = "Exchanges, by how they ended on the wire";
        let mut family = encoder.encode_descriptor("exchanges_ended", help, None, MetricType::Counter)?;
        for (end, count) in &sum.ends {
            ConstCounter::new(*count).encode(family.encode_family(&[("end", *end)])?)?;
        }
        for (name, help, reading) in [
            (
                "request_duration_seconds",
                "Time from a request's head to the end of its answer",
                &sum.duration,
            ),
            (
                "upstream_duration_seconds",
                "Time from sending a request upstream to its answer's head",
                &sum.upstream,
            ),
        ] {
            let mut one = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            one.encode_histogram::<NoLabelSet>(reading.sum, reading.count, &reading.buckets, None)?;
        }
        let mut at = 0;
        while let Some(first) = self.samples.get(at) {
            let kind = if first.counter { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(&first.name, first.help, None, kind)?;
            if first.labels.is_empty() {
                first.encode(family)?;
                at += 1;
                continue;
            }
            while let Some(sample) = self.samples.get(at).filter(|sample| sample.name == first.name) {
                let labels: Vec<(&str, &str)> =
                    sample.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
                sample.encode(family.encode_family(&labels)?)?;
                at += 1;
            }
        }
        Ok(())
    }
}

/// A thread that panicked while it counted leaves counts that are still counts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_by_family() {
        let metrics = Arc::new(Metrics::default());
        let samples = vec![
            Sample::counter("reloads_total", "Reloads", 3),
            Sample::gauge("upstream_healthy", "Healthy", 1.0).label("upstream", "http://a\"b"),
            Sample::gauge("upstream_healthy", "Healthy", 0.0).label("upstream", "http://c"),
        ];
        let text = render(&metrics, samples).unwrap();
        assert!(text.contains("# TYPE portcullis_reloads counter\nportcullis_reloads_total 3"), "{text}");
        assert!(text.contains("portcullis_upstream_healthy{upstream=\"http://a\\\"b\"} 1.0"), "{text}");
        assert_eq!(text.matches("# TYPE portcullis_upstream_healthy").count(), 1);
        assert!(text.contains("portcullis_request_duration_seconds_count 0"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
