//! What a thread of its own does for the log: spare segments, sealing, syncing, recovery and retention.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::log::{Shared, unix_ns};
use super::reader::Frames;
use super::segment::{ENDING, Header, Segment, Summary, UNFINISHED, forget, seal};

/// Looks at the whole folder at least so often.
const LOOK: Duration = Duration::from_secs(60);
/// An unfinished segment without an owner, so old, was left by a process that died.
const LEFT: Duration = Duration::from_secs(10);

/// Runs until the log is closed; then seals everything.
pub(super) fn run(shared: &Shared) {
    let mut looked = None::<Instant>;
    loop {
        let stop = {
            let mut asked = shared.wake.asked.lock();
            if !asked.work && !asked.stop {
                shared.wake.bell.wait_for(&mut asked, shared.config.sync_every);
            }
            asked.work = false;
            asked.stop
        };
        let sealed = rotate(shared, stop);
        // Failures show where they matter: a writer without a segment is what `healthy` tells.
        let _ = sync(shared);
        if sealed > 0 || looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            let _ = make_room(shared);
        }
        if stop {
            return;
        }
        spare(shared);
    }
}

/// Seals full, old and (at the end) all segments. How many there were.
fn rotate(shared: &Shared, all: bool) -> usize {
    let now = unix_ns();
    let age = u64::try_from(shared.config.segment_age.as_nanos()).unwrap_or(u64::MAX);
    let mut done: Vec<Segment> = Vec::new();
    for writer in &shared.writers {
        let mut slot = writer.0.lock();
        done.append(&mut slot.full);
        let old =
            |segment: &Segment| segment.summary().events > 0 && now.saturating_sub(segment.created()) >= age;
        if all || slot.active.as_ref().is_some_and(old) {
            done.extend(slot.active.take());
        }
        if all {
            done.extend(slot.spare.take());
        }
    }
    let count = done.len();
    for segment in done {
        // One that cannot be sealed still holds its events; the next opening of the log tries again.
        let _ = segment.seal();
    }
    count
}

/// Syncs what writers appended.
pub(super) fn sync(shared: &Shared) -> io::Result<()> {
    let mut result = Ok(());
    for writer in &shared.writers {
        let file = {
            let mut slot = writer.0.lock();
            if slot.synced == slot.appended {
                continue;
            }
            slot.synced = slot.appended;
            slot.active.as_ref().map(|active| (active.file(), active.summary().used))
        };
        // Outside the lock: a slow disk must not hold up a worker.
        if let Some((file, used)) = file {
            result = result.and(file.sync_data());
            forget(&file, used);
        }
    }
    result
}

/// Makes the segments that writers will need next. One success after a failure heals the log.
fn spare(shared: &Shared) {
    let ailing = !shared.healthy.load(Ordering::Relaxed);
    for (index, writer) in shared.writers.iter().enumerate() {
        let wanted = {
            let slot = writer.0.lock();
            let filling = slot.active.as_ref().is_some_and(|s| s.summary().used > s.size() / 2);
            slot.spare.is_none() && (filling || (ailing && slot.active.is_none()))
        };
        if !wanted {
            continue;
        }
        let Ok(segment) = shared.create(index) else { continue };
        let unneeded = {
            let mut slot = writer.0.lock();
            if slot.spare.is_none() { slot.spare.replace(segment) } else { Some(segment) }
        };
        if let Some(segment) = unneeded {
            let _ = segment.seal();
        }
        if ailing {
            shared.healthy.store(true, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    bytes: u64,
    last: u64,
    deletable: bool,
}

/// Seals what dead processes left, and deletes the oldest segments until the bounds hold with room for the
/// segments that will be made next.
pub(super) fn make_room(shared: &Shared) -> io::Result<()> {
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(&shared.config.folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let path = entry.path();
        // A file that went away meanwhile, or that cannot be read, is nothing to count.
        if let Ok(Some(found)) = look(&path) {
            kept.push(found);
        }
    }
    let keep = u64::try_from(shared.config.keep.as_nanos()).unwrap_or(u64::MAX);
    let oldest = unix_ns().saturating_sub(keep);
    let next = shared.segment_bytes * shared.writers.len() as u64;
    let mut bytes: u64 = kept.iter().map(|segment| segment.bytes).sum();
    let mut segments = kept.len() as u64;
    kept.sort_by_key(|segment| segment.last);
    for segment in kept.iter().filter(|segment| segment.deletable) {
        let too_much = bytes + next > shared.config.total_bytes;
        if !too_much && segment.last >= oldest {
            break;
        }
        if std::fs::remove_file(&segment.path).is_ok() {
            bytes -= segment.bytes;
            segments -= 1;
            shared.deleted.fetch_add(1, Ordering::Relaxed);
        }
    }
    shared.bytes.store(bytes, Ordering::Relaxed);
    shared.segments.store(segments, Ordering::Relaxed);
    Ok(())
}

/// What a file of the folder is: `None` where it is none of ours to count or touch.
fn look(path: &Path) -> io::Result<Option<Kept>> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if name.ends_with(UNFINISHED) {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let age = SystemTime::now().duration_since(file.metadata()?.modified()?).unwrap_or_default();
        if age >= LEFT && file.try_lock().is_ok() {
            std::fs::remove_file(path)?;
        }
        return Ok(None);
    }
    if !name.ends_with(ENDING) {
        return Ok(None);
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    // Locked first, so that an owner cannot seal it between the look and what is done about it.
    let owned = file.try_lock().is_err();
    let Ok(header) = Header::read(&file)? else { return Ok(None) };
    let bytes = file.metadata()?.len();
    let created = header.identity.created;
    if let Some(summary) = header.summary {
        return Ok(Some(Kept {
            path: path.to_owned(),
            bytes,
            last: last(&summary, created),
            deletable: true,
        }));
    }
    if owned {
        return Ok(Some(Kept { path: path.to_owned(), bytes, last: u64::MAX, deletable: false }));
    }
    recover(path, file, created)
}

/// Until when a segment was of use: its last event's end, or its making where that is later.
fn last(summary: &Summary, created: u64) -> u64 {
    if summary.events > 0 { summary.ended.1.max(created) } else { created }
}

/// Seals a segment whose owner died. Bytes behind the last good frame that are not zero stay: they may be evidence.
fn recover(path: &Path, file: File, created: u64) -> io::Result<Option<Kept>> {
    let mut frames = Frames::new(file.try_clone()?);
    let (summary, _) = frames.summarise()?;
    if summary.events == 0 && frames.rest_is_empty(summary.used)? {
        std::fs::remove_file(path)?;
        return Ok(None);
    }
    let length = if frames.rest_is_empty(summary.used)? { summary.used } else { file.metadata()?.len() };
    seal(&file, &summary, length)?;
    Ok(Some(Kept { path: path.to_owned(), bytes: length, last: last(&summary, created), deletable: true }))
}
