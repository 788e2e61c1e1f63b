//! Watching: refusals go to the detectors on a thread of its own; what they find is kept, counted and told.

mod alert;
mod incidents;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_engine::{Observer, Record};
use portcullis_watch::{Seen, SpikeConfig, Spikes};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use alert::{Webhook, WebhookWritten, key, split};
pub(crate) use incidents::{Incidents, Kept, read};

use crate::observe::metrics::Sample;

/// What is watched for, and who is told.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Alerts")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AlertsWritten {
    /// Where incidents are sent: a webhook, signed as Standard Webhooks are.
    pub(crate) webhook: Option<WebhookWritten>,
    /// When refusals (401 and 403) are a spike.
    pub(crate) spike: SpikeConfig,
}

/// Refusals that wait for the thread at most. What is over is counted and left out: calls never wait.
const QUEUE: usize = 8192;

/// How often incidents that are over are looked for.
const SETTLE: Duration = Duration::from_secs(1);

/// What the thread needs of a record.
#[derive(Debug)]
struct Refusal {
    at: u64,
    client: IpAddr,
    consumer: Option<Arc<str>>,
    operation: Option<Arc<str>>,
    status: u16,
}

/// Takes note of refusals.
#[derive(Debug)]
pub(crate) struct Watch {
    queue: SyncSender<Refusal>,
    pub(crate) dropped: AtomicU64,
    pub(crate) incidents: Arc<Incidents>,
    webhook: Option<Arc<Webhook>>,
}

impl Watch {
    /// Starts the threads: one that watches, and where somebody is told one that tells them.
    ///
    /// # Errors
    /// If a thread cannot be started, a folder cannot be written, or the webhook's secret or URL is of no use.
    pub(crate) fn start(alerts: &AlertsWritten, data: &Path) -> std::io::Result<Arc<Watch>> {
        let incidents = Arc::new(Incidents::open(data));
        let webhook = match &alerts.webhook {
            Some(written) => Some(Webhook::start(written, &data.join("alerts"))?),
            None => None,
        };
        let (queue, refusals) = sync_channel(QUEUE);
        let watch = Watch {
            queue,
            dropped: AtomicU64::new(0),
            incidents: Arc::clone(&incidents),
            webhook: webhook.clone(),
        };
        let spikes = Spikes::new(alerts.spike);
        std::thread::Builder::new()
            .name("watch".into())
            .spawn(move || watch_on(spikes, &refusals, &incidents, webhook.as_deref()))?;
        Ok(Arc::new(watch))
    }

    /// Its numbers.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let mut samples = vec![
            Sample::counter("incidents_total", "Incidents that began", self.incidents.begun()),
            Sample::gauge("incidents_open", "Incidents that go on", self.incidents.open_count() as f64),
            Sample::counter(
                "watch_dropped_total",
                "Refusals that no detector saw since they came too fast",
                self.dropped.load(Ordering::Relaxed),
            ),
        ];
        if let Some(webhook) = &self.webhook {
            samples.extend([
                Sample::counter("alerts_sent_total", "Alerts that the webhook took", webhook.sent()),
                Sample::counter("alert_failures_total", "Tries at which it did not", webhook.failed()),
                Sample::gauge("alerts_waiting", "Alerts that are still to be sent", webhook.waiting() as f64),
            ]);
        }
        samples
    }

    /// What is wrong with telling somebody.
    pub(crate) fn problem(&self) -> Option<String> {
        self.webhook.as_ref().and_then(|webhook| webhook.problem())
    }
}

impl Observer for Watch {
    fn observe(&self, record: &Record) {
        let status = record.status.as_u16();
        if !matches!(status, 401 | 403) {
            return;
        }
        let refusal = Refusal {
            at: record.began.unix_ns,
            client: record.client,
            consumer: record.principal.as_ref().map(|principal| Arc::clone(&principal.consumer)),
            operation: record.operation().map(|operation| Arc::clone(&operation.id)),
            status,
        };
        if self.queue.try_send(refusal).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn watch_on(
    mut spikes: Spikes,
    refusals: &Receiver<Refusal>,
    incidents: &Incidents,
    webhook: Option<&Webhook>,
) {
    let mut settled = now();
    loop {
        match refusals.recv_timeout(SETTLE) {
            Ok(one) => {
                let seen = Seen {
                    at: one.at,
                    client: one.client,
                    consumer: one.consumer.as_deref(),
                    operation: one.operation.as_deref(),
                    status: one.status,
                };
                for incident in spikes.observe(seen) {
                    tracing::warn!(incident = incident.id, "{}", incident.summary);
                    let alerted = webhook.is_some_and(|webhook| webhook.tell("incident.began", &incident));
                    incidents.keep(Kept { incident, alerted });
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = now();
        if now.saturating_sub(settled) >= 1_000_000_000 {
            settled = now;
            spikes.open().for_each(|incident| incidents.update(incident));
            for incident in spikes.settle(now) {
                tracing::info!(incident = incident.id, "over: {}", incident.summary);
                let alerted = webhook.is_some_and(|webhook| webhook.tell("incident.ended", &incident));
                incidents.keep(Kept { incident, alerted });
            }
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
