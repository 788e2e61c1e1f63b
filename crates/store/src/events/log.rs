//! Writing: the observer that a gateway hands its records to.

use std::cell::Cell;
use std::fmt;
use std::fs::DirBuilder;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use portcullis_engine::{Observer, Record};

use super::frame;
use super::housekeeping;
use super::segment::{Identity, MIN_SEGMENT, Segment};

/// How an event log is kept.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The folder; made with mode 0700 where it is missing.
    pub folder: PathBuf,
    /// Bytes of a segment. Default 64 MiB; smaller where `total_bytes` would hold less than eight for each writer.
    pub segment_bytes: u64,
    /// A segment is done once it is so old. Default one hour.
    pub segment_age: Duration,
    /// The folder's segments together never take more, but for one segment a writer of each other process that
    /// writes there too. Default 1 GiB; at least 2 MiB for each writer.
    pub total_bytes: u64,
    /// Segments whose last event is older are deleted. Default 30 days.
    pub keep: Duration,
    /// How often written events are synced to the disk: what power loss can cost. Default one second.
    pub sync_every: Duration,
    /// Writers that do not wait for each other; threads share them in turn. Default: one for each core, at
    /// most 64.
    pub writers: usize,
}

impl LogConfig {
    /// The defaults, in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> LogConfig {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        LogConfig {
            folder: folder.into(),
            segment_bytes: 64 << 20,
            segment_age: Duration::from_secs(3600),
            total_bytes: 1 << 30,
            keep: Duration::from_secs(30 * 24 * 3600),
            sync_every: Duration::from_secs(1),
            writers: cores.min(64),
        }
    }
}

/// The event log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the event log in `{folder}` cannot be written: {error}; check that the folder belongs to the gateway's user and has room"
)]
pub struct LogError {
    /// The folder.
    pub folder: PathBuf,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

/// How the log is doing, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStats {
    /// Events kept since the log was opened.
    pub appended: u64,
    /// Events that could not be kept since the log was opened.
    pub lost: u64,
    /// Bytes of all segments in the folder, as of the last look (after each segment, and once a minute).
    pub bytes: u64,
    /// Segments in the folder, as of the last look.
    pub segments: u64,
    /// Segments that retention deleted since the log was opened.
    pub deleted: u64,
    /// Whether the last event was kept.
    pub healthy: bool,
}

/// An event log, open for writing. Several processes may share a folder. Dropping it seals its segments.
pub struct EventLog {
    shared: Arc<Shared>,
    housekeeper: Option<JoinHandle<()>>,
}

pub(super) struct Shared {
    pub(super) config: LogConfig,
    pub(super) segment_bytes: u64,
    pub(super) writers: Box<[Writer]>,
    chain: u64,
    sequence: AtomicU32,
    pub(super) healthy: AtomicBool,
    lost: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) segments: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) wake: Wake,
}

/// What ends the housekeeper's sleep.
#[derive(Debug, Default)]
pub(super) struct Wake {
    pub(super) asked: Mutex<Asked>,
    pub(super) bell: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) work: bool,
    pub(super) stop: bool,
}

/// One writer on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Writer(pub(super) Mutex<Slot>);

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) active: Option<Segment>,
    /// The next one, made ahead by the housekeeper.
    pub(super) spare: Option<Segment>,
    /// Full ones, to be sealed by the housekeeper.
    pub(super) full: Vec<Segment>,
    pub(super) appended: u64,
    /// `appended` as of the last sync.
    pub(super) synced: u64,
    /// Whether the housekeeper was told that a spare is wanted.
    asked: bool,
    /// No segment is made before this moment: the last attempt failed.
    retry: Option<Instant>,
    payload: Vec<u8>,
}

/// Full segments that may wait for the housekeeper. More mean that the disk is stuck: events are lost then, not
/// disk space.
const MOST_FULL: usize = 4;
/// How long a writer waits after it could not make a segment.
const RETRY: Duration = Duration::from_secs(1);

impl EventLog {
    /// Opens the log: makes the folder and its first segment, and starts the thread that keeps house.
    ///
    /// A full disk is no error here: the log is opened, and is not [healthy](EventLog::healthy) until there is room.
    ///
    /// # Errors
    /// Where the folder cannot be made or written to.
    pub fn open(config: LogConfig) -> Result<Arc<EventLog>, LogError> {
        let folder = config.folder.clone();
        let failed = |error| LogError { folder, error };
        Self::start(config).map(Arc::new).map_err(failed)
    }

    fn start(mut config: LogConfig) -> io::Result<EventLog> {
        config.writers = config.writers.clamp(1, 64);
        let writers = config.writers as u64;
        config.total_bytes = config.total_bytes.max(writers * MIN_SEGMENT * 8);
        config.sync_every = config.sync_every.max(Duration::from_millis(10));
        let most = config.total_bytes / (writers * 8);
        let segment_bytes = config.segment_bytes.min(most).max(MIN_SEGMENT).next_multiple_of(4096);
        DirBuilder::new().recursive(true).mode(0o700).create(&config.folder)?;
        let shared = Arc::new(Shared {
            segment_bytes,
            writers: (0..config.writers).map(|_| Writer::default()).collect(),
            // Random keys of the standard library's hash maps: enough to tell two openings apart.
            chain: RandomState::new().hash_one(std::process::id()),
            sequence: AtomicU32::new(0),
            healthy: AtomicBool::new(true),
            lost: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            segments: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            wake: Wake::default(),
            config,
        });
        housekeeping::make_room(&shared)?;
        if let Some(writer) = shared.writers.first() {
            match shared.create(0) {
                Ok(segment) => writer.0.lock().spare = Some(segment),
                Err(error) if is_full(&error) => shared.healthy.store(false, Ordering::Relaxed),
                Err(error) => return Err(error),
            }
        }
        let of_thread = Arc::clone(&shared);
        let housekeeper = std::thread::Builder::new()
            .name("event-log".to_owned())
            .spawn(move || housekeeping::run(&of_thread))?;
        Ok(EventLog { shared, housekeeper: Some(housekeeper) })
    }

    /// Whether the last event was kept. Cheap enough to ask on every call; while it is false, the log tries
    /// again every second, with or without calls.
    pub fn healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    /// How it is doing.
    pub fn stats(&self) -> LogStats {
        let shared = &self.shared;
        LogStats {
            appended: shared.writers.iter().map(|writer| writer.0.lock().appended).sum(),
            lost: shared.lost.load(Ordering::Relaxed),
            bytes: shared.bytes.load(Ordering::Relaxed),
            segments: shared.segments.load(Ordering::Relaxed),
            deleted: shared.deleted.load(Ordering::Relaxed),
            healthy: self.healthy(),
        }
    }

    /// Writes everything that was appended so far to the disk. Blocks; not for workers.
    ///
    /// # Errors
    /// What the disk said.
    pub fn sync(&self) -> io::Result<()> {
        housekeeping::sync(&self.shared)
    }
}

impl Observer for EventLog {
    fn observe(&self, record: &Record) {
        let shared = &*self.shared;
        let index = thread_number() % shared.writers.len().max(1);
        let Some(writer) = shared.writers.get(index) else { return };
        let mut slot = writer.0.lock();
        let kept = slot.append(shared, index, record);
        drop(slot);
        if !kept {
            shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        if kept != shared.healthy.load(Ordering::Relaxed) {
            shared.healthy.store(kept, Ordering::Relaxed);
        }
    }
}

impl Slot {
    fn append(&mut self, shared: &Shared, index: usize, record: &Record) -> bool {
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        frame::encode(record, &mut payload);
        let began = record.began.unix_ns;
        let kept = self.write(shared, index, &payload, began, began.saturating_add(record.duration_ns));
        self.payload = payload;
        self.appended += u64::from(kept);
        kept
    }

    fn write(&mut self, shared: &Shared, index: usize, payload: &[u8], began: u64, ended: u64) -> bool {
        // Twice: once for the active segment, once for the one after it.
        for _ in 0..2 {
            let Some(active) = &mut self.active else {
                if !self.next(shared, index) {
                    return false;
                }
                continue;
            };
            match active.append(payload, began, ended) {
                Ok(true) => {
                    let half = active.summary().used > active.size() / 2;
                    if half && self.spare.is_none() && !self.asked {
                        self.asked = true;
                        shared.wake.ring();
                    }
                    return true;
                }
                // Full, or it can no longer be mapped: the next one may do better.
                Ok(false) | Err(_) => {
                    self.full.extend(self.active.take());
                    if !self.next(shared, index) {
                        return false;
                    }
                }
            }
        }
        match &mut self.active {
            Some(active) => matches!(active.append(payload, began, ended), Ok(true)),
            None => false,
        }
    }

    /// Puts the next segment in place: the spare, or a new one.
    fn next(&mut self, shared: &Shared, index: usize) -> bool {
        self.asked = false;
        if self.spare.is_some() {
            self.active = self.spare.take();
            shared.wake.ring();
            return true;
        }
        if self.retry.is_some_and(|moment| Instant::now() < moment) {
            return false;
        }
        if self.full.len() < MOST_FULL
            && let Ok(segment) = shared.create(index)
        {
            self.retry = None;
            self.active = Some(segment);
            return true;
        }
        self.retry = Some(Instant::now() + RETRY);
        shared.wake.ring();
        false
    }
}

impl Shared {
    /// Makes the next segment of a writer.
    pub(super) fn create(&self, writer: usize) -> io::Result<Segment> {
        let identity = Identity {
            created: unix_ns(),
            chain: self.chain,
            writer: u32::try_from(writer).unwrap_or(u32::MAX),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
        };
        Segment::create(&self.config.folder, identity, self.segment_bytes)
    }
}

impl Wake {
    pub(super) fn ring(&self) {
        self.asked.lock().work = true;
        self.bell.notify_one();
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.shared.wake.asked.lock().stop = true;
        self.shared.wake.bell.notify_one();
        if let Some(housekeeper) = self.housekeeper.take() {
            // It seals everything before it ends.
            let _ = housekeeper.join();
        }
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog").field("folder", &self.shared.config.folder).finish_non_exhaustive()
    }
}

/// Whether there is no room, now.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Now, in nanoseconds since the Unix epoch.
pub(super) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A number for the calling thread, in the order in which threads first ask.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}
