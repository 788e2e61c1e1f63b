//! The access log: one line for each exchange, written by a thread of its own. When that thread falls behind,
//! lines are dropped and counted; calls never wait for it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use portcullis_engine::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Lines that may wait for the writer.
const QUEUE: usize = 16_384;

/// How an exchange is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Not at all; the event log has it.
    #[default]
    Off,
    /// One line for people.
    Text,
    /// One JSON object.
    Json,
}

/// The near end of the access log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: Format,
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// Opens the log: `stdout`, `stderr` or a file that is appended to. `None` where it is off.
    pub(crate) fn open(format: Format, to: &str) -> io::Result<Option<AccessLog>> {
        if format == Format::Off {
            return Ok(None);
        }
        let sink: Box<dyn Write + Send> = match to {
            "stdout" => Box::new(io::stdout()),
            "stderr" => Box::new(io::stderr()),
            path => Box::new(OpenOptions::new().create(true).append(true).open(Path::new(path))?),
        };
        let (lines, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&queue, sink, &lost))?;
        Ok(Some(AccessLog { format, lines, dropped }))
    }

    /// Lines that could not be written.
    pub(crate) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Writes down an exchange.
    pub(crate) fn observe(&self, record: &Record) {
        let line = match self.format {
            Format::Off => return,
            Format::Text => text(record),
            Format::Json => json(record),
        };
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(queue: &Receiver<String>, sink: Box<dyn Write + Send>, lost: &AtomicU64) {
    let mut sink = BufWriter::with_capacity(64 << 10, sink);
    let mut dirty = false;
    loop {
        // A full buffer writes itself; what is left over is written when nothing more comes.
        let outcome = match queue.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                dirty = true;
                sink.write_all(line.as_bytes())
            }
            Err(RecvTimeoutError::Timeout) if dirty => {
                dirty = false;
                sink.flush()
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if outcome.is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
    let _ = sink.flush();
}

fn time(unix_ns: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ns / 1_000_000) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// Printable ASCII, without what would end or fake a line or a field.
fn clean(value: Option<&http::HeaderValue>) -> String {
    let bytes = value.map(http::HeaderValue::as_bytes).unwrap_or(b"-");
    bytes
        .iter()
        .take(256)
        .map(|b| {
            if b.is_ascii_graphic() && *b != b'"' && *b != b'\\' || *b == b' ' { char::from(*b) } else { '.' }
        })
        .collect()
}

fn text(record: &Record) -> String {
    let mut line = String::with_capacity(256);
    let consumer = record.principal.as_ref().map_or("-", |principal| &*principal.consumer);
    let (mark, query) = record.query().map_or(("", ""), |query| ("?", query));
    let _ = write!(
        line,
        "{} - {} [{}] \"{} {}{mark}{query} {:?}\" {} {} \"{}\" {} {:.1}ms",
        record.client,
        consumer,
        time(record.began.unix_ns),
        record.method,
        record.path(),
        record.version,
        record.status.as_u16(),
        record.bytes_out,
        clean(record.user_agent()),
        record.decision.word(),
        record.duration_ns as f64 / 1e6,
    );
    if let Some((code, guard, _)) = record.decision.refusal() {
        let _ = write!(line, " {guard}/{}", code.name);
    }
    line.push('\n');
    line
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: String,
    client: std::net::IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    status: u16,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    end: &'static str,
    bytes_in: u64,
    bytes_out: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    user_agent: String,
    trace_id: String,
}

fn json(record: &Record) -> String {
    let refusal = record.decision.refusal();
    let line = Line {
        time: time(record.began.unix_ns),
        id: record.id.to_string(),
        client: record.client,
        consumer: record.principal.as_ref().map(|principal| &*principal.consumer),
        method: record.method.as_str(),
        path: record.path(),
        query: record.query(),
        operation: record.operation().map(|operation| &*operation.id),
        status: record.status.as_u16(),
        decision: record.decision.word(),
        guard: refusal.map(|(_, guard, _)| guard),
        code: refusal.map(|(code, _, _)| code.name),
        end: record.end.word(),
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        duration_ms: (record.duration_ns / 1000) as f64 / 1000.0,
        upstream: record.upstream.as_deref(),
        user_agent: clean(record.user_agent()),
        trace_id: format!("{:032x}", record.trace_id),
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}
