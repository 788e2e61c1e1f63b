//! What the admin port tells of a running gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_proxy::{Kind, ProxyHandle};
use portcullis_store::events::EventLog;

use super::admin::{Health, Reason, Status};
use super::reload::Reloader;
use super::watch::Watch;
use crate::observe::metrics::{self, Metrics, Sample};

/// Everything that has a number or a state.
#[derive(Debug)]
pub(crate) struct GatewayStatus {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) proxy: ProxyHandle,
    pub(crate) events: Option<Arc<EventLog>>,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) access_dropped: Option<Arc<AtomicU64>>,
    pub(crate) watch: Arc<Watch>,
}

impl Status for GatewayStatus {
    fn metrics(&self) -> String {
        let mut samples = vec![
            Sample::gauge("build_info", "The program's version", 1.0)
                .label("version", env!("CARGO_PKG_VERSION")),
        ];
        for reading in self.proxy.stats().read() {
            let sample = match reading.kind {
                Kind::Counter => Sample::counter(reading.name, reading.help, reading.value),
                Kind::Gauge => Sample::gauge(reading.name, reading.help, reading.value as f64),
            };
            samples.push(sample.of("proxy"));
        }
        for origin in self.proxy.origins() {
            let gauge =
                |name, help, value: f64| Sample::gauge(name, help, value).label("origin", &*origin.url);
            samples.extend([
                gauge("upstream_healthy", "Whether health checks pass", f64::from(u8::from(origin.healthy))),
                gauge(
                    "upstream_circuit_open",
                    "Whether it is left alone after failures",
                    f64::from(u8::from(origin.circuit_open)),
                ),
                gauge("upstream_active", "Calls under way", origin.active as f64),
            ]);
        }
        if let Some(events) = &self.events {
            let stats = events.stats();
            samples.extend([
                Sample::counter("events_total", "Events kept", stats.appended),
                Sample::counter("events_lost_total", "Events that could not be kept", stats.lost),
                Sample::counter(
                    "event_segments_deleted_total",
                    "Segments that retention deleted",
                    stats.deleted,
                ),
                Sample::gauge("event_log_bytes", "Bytes of the event log on disk", stats.bytes as f64),
                Sample::gauge(
                    "event_log_healthy",
                    "Whether events can be kept",
                    f64::from(u8::from(stats.healthy)),
                ),
            ]);
        }
        if let Some(dropped) = &self.access_dropped {
            let dropped = dropped.load(Ordering::Relaxed);
            samples.push(Sample::counter("access_log_dropped_total", "Access log lines dropped", dropped));
        }
        let (done, failed) = (&self.reloader.done, &self.reloader.failed);
        samples.extend([
            Sample::counter("reloads_total", "Reloads that took effect", done.load(Ordering::Relaxed)),
            Sample::counter("reload_failures_total", "Reloads that did not", failed.load(Ordering::Relaxed)),
        ]);
        samples.extend(self.watch.samples());
        metrics::render(&self.metrics, samples).unwrap_or_default()
    }

    fn incidents(&self) -> String {
        self.watch.incidents.json()
    }

    fn health(&self) -> Health {
        let mut reasons = Vec::new();
        let mut add = |what: &str, reason: String| reasons.push(Reason { what: what.to_owned(), reason });
        let draining = self.proxy.is_draining();
        if draining {
            add("drain", "the gateway was told to stop and takes no further calls".into());
        }
        for origin in self.proxy.origins().iter().filter(|origin| !origin.healthy || origin.circuit_open) {
            let why = if origin.healthy { "its calls failed in a row" } else { "its health checks fail" };
            add("upstream", format!("{} is left out: {why}", origin.url));
        }
        let [reload, keys] = self.reloader.problems();
        if let Some(error) = reload {
            add("reload", error);
        }
        if let Some(error) = keys {
            add("keys", error);
        }
        if self.events.as_ref().is_some_and(|events| !events.healthy()) {
            add("event log", "events cannot be written; is the disk full?".into());
        }
        if let Some(problem) = self.watch.problem() {
            add("alerts", format!("the last alert was not taken: {problem}"));
        }
        let status = if reasons.is_empty() { "ok" } else { "degraded" };
        Health { status, reasons, version: env!("CARGO_PKG_VERSION"), ready: !draining }
    }
}
