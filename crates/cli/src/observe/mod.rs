//! Who is told of every exchange: event log, metrics, access log.

pub(crate) mod access;
pub(crate) mod histogram;
pub(crate) mod metrics;

use std::sync::Arc;

use portcullis_engine::{Observer, Record};

/// Hands each record to all that want it, in turn.
#[derive(Debug)]
pub(crate) struct Observers {
    /// The event log, where a data folder is set.
    pub(crate) events: Option<Arc<dyn Observer>>,
    /// The metrics.
    pub(crate) metrics: Arc<metrics::Metrics>,
    /// The access log, where it is on.
    pub(crate) access: Option<access::AccessLog>,
    /// The detectors.
    pub(crate) watch: Arc<dyn Observer>,
}

impl Observer for Observers {
    fn observe(&self, record: &Record) {
        if let Some(events) = &self.events {
            events.observe(record);
        }
        self.metrics.observe(record);
        if let Some(access) = &self.access {
            access.observe(record);
        }
        self.watch.observe(record);
    }
}
