//! One segment: its header, the mapping through which its owner appends, and how it is sealed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::fs::{Advice as FileAdvice, FallocateFlags, fadvise, fallocate};

use super::frame::MAX_PAYLOAD;

/// How a segment's file name ends; under another ending it is being made.
pub(super) const ENDING: &str = ".events";
/// The ending while it is being made.
pub(super) const UNFINISHED: &str = ".events-new";
pub(super) const HEADER: u64 = 128;
const MAGIC: &[u8; 8] = b"PCEVENTS";
const VERSION: u32 = 2;
const IDENTITY: usize = 40;
const SEAL: u64 = 48;
/// Bytes mapped at a time: what a writer adds to the process's resident memory.
const WINDOW: u64 = 128 << 10;
static ZEROS: [u8; WINDOW as usize] = [0; WINDOW as usize];
/// No segment is smaller: a few of the largest frames fit.
pub(super) const MIN_SEGMENT: u64 = 256 << 10;

/// Who made a segment, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) created: u64,
    pub(super) chain: u64,
    pub(super) writer: u32,
    pub(super) sequence: u32,
}

/// What a sealed segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) used: u64,
    pub(super) events: u64,
    pub(super) began: (u64, u64),
    pub(super) ended: (u64, u64),
}

impl Default for Summary {
    fn default() -> Self {
        Summary { used: HEADER, events: 0, began: (u64::MAX, 0), ended: (u64::MAX, 0) }
    }
}

impl Summary {
    /// Counts an event whose frame ends at `used`.
    pub(super) fn count(&mut self, used: u64, began: u64, ended: u64) {
        self.used = used;
        self.events += 1;
        self.began = (self.began.0.min(began), self.began.1.max(began));
        self.ended = (self.ended.0.min(ended), self.ended.1.max(ended));
    }
}

/// A segment's header as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: Identity,
    /// Where its owner is done with it.
    pub(super) summary: Option<Summary>,
}

/// Why a file is no segment that this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSegment {
    /// It does not begin as one.
    Foreign,
    /// It is one, of another version.
    Version(u32),
    /// Its header is damaged.
    Damaged,
}

impl Header {
    /// Reads a header; the inner error says why there is none.
    pub(super) fn read(file: &File) -> io::Result<Result<Header, NoSegment>> {
        let mut bytes = [0u8; HEADER as usize];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Header::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(NoSegment::Foreign)),
            Err(error) => Err(error),
        }
    }

    fn parse(bytes: &[u8; HEADER as usize]) -> Result<Header, NoSegment> {
        let u32_at =
            |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
        let u64_at =
            |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
        if !bytes.starts_with(MAGIC) {
            return Err(NoSegment::Foreign);
        }
        if u32_at(8) != VERSION {
            return Err(NoSegment::Version(u32_at(8)));
        }
        let identity_crc = crc32fast::hash(bytes.get(..IDENTITY).unwrap_or_default());
        if u64::from(u32_at(12)) != HEADER || u32_at(IDENTITY) != identity_crc {
            return Err(NoSegment::Damaged);
        }
        let identity =
            Identity { created: u64_at(16), chain: u64_at(24), writer: u32_at(32), sequence: u32_at(36) };
        let sealed = u32_at(48) == 1 && u32_at(52) == crc32fast::hash(bytes.get(56..104).unwrap_or_default());
        let summary = sealed.then(|| Summary {
            used: u64_at(56),
            events: u64_at(64),
            began: (u64_at(72), u64_at(80)),
            ended: (u64_at(88), u64_at(96)),
        });
        Ok(Header { identity, summary })
    }
}

impl Identity {
    fn header(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(HEADER as u32).to_le_bytes());
        out.extend_from_slice(&self.created.to_le_bytes());
        out.extend_from_slice(&self.chain.to_le_bytes());
        out.extend_from_slice(&self.writer.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out.resize(HEADER as usize, 0);
        out
    }

    fn file_name(&self) -> String {
        let (ms, chain) = (self.created / 1_000_000, self.chain);
        format!("{ms:013}-{chain:016x}-{:03}-{:06}{ENDING}", self.writer, self.sequence)
    }
}

/// The check sum of a frame: CRC-32 of the payload, seeded with its length.
pub(super) fn checksum(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(payload.len() as u32);
    hasher.update(payload);
    hasher.finalize()
}

/// Bytes that a frame with `payload` bytes takes.
pub(super) fn frame_len(payload: usize) -> u64 {
    (8 + payload as u64).next_multiple_of(8)
}

/// A segment that its owner appends to.
#[derive(Debug)]
pub(super) struct Segment {
    file: Arc<File>,
    path: PathBuf,
    identity: Identity,
    size: u64,
    window: Option<Window>,
    summary: Summary,
}

#[derive(Debug)]
struct Window {
    map: MmapMut,
    at: u64,
}

impl Segment {
    /// Makes a segment of `size` bytes, all of them allocated on disk, locked for its owner. It has its name only
    /// once it is whole.
    pub(super) fn create(folder: &Path, identity: Identity, size: u64) -> io::Result<Segment> {
        let path = folder.join(identity.file_name());
        let unfinished = path.with_extension(&UNFINISHED[1..]);
        let made = Self::make(&unfinished, identity, size)
            .and_then(|file| std::fs::rename(&unfinished, &path).map(|()| file));
        match made {
            Ok(file) => {
                let summary = Summary::default();
                Ok(Segment { file: Arc::new(file), path, identity, size, window: None, summary })
            }
            Err(error) => {
                // What could not be made must not keep the space that others wait for.
                let _ = std::fs::remove_file(&unfinished);
                Err(error)
            }
        }
    }

    fn make(path: &Path, identity: Identity, size: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("someone else locked a segment that was just made"),
        })?;
        match fallocate(&file, FallocateFlags::empty(), 0, size) {
            Ok(()) => {}
            // A file system that cannot allocate: writing zeros allocates too.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                let zeros = vec![0u8; 1 << 20];
                let mut left = size;
                while left > 0 {
                    let part = zeros.get(..left.min(zeros.len() as u64) as usize).unwrap_or(&zeros);
                    file.write_all(part)?;
                    left -= part.len() as u64;
                }
            }
            Err(error) => return Err(error.into()),
        }
        file.write_all_at(&identity.header(), 0)?;
        Ok(file)
    }

    /// Appends a frame. `Ok(false)` where it no longer fits.
    pub(super) fn append(&mut self, payload: &[u8], began: u64, ended: u64) -> io::Result<bool> {
        let at = self.summary.used;
        let length = frame_len(payload.len());
        if payload.is_empty() || payload.len() > MAX_PAYLOAD || at + length > self.size {
            return Ok(false);
        }
        let frame = self.map(at, length)?;
        let Some((head, body)) = frame.split_at_mut_checked(8) else { return Ok(false) };
        let Some((commit, sum)) = head.split_at_mut_checked(4) else { return Ok(false) };
        if let Some(body) = body.get_mut(..payload.len()) {
            body.copy_from_slice(payload);
        }
        sum.copy_from_slice(&checksum(payload).to_le_bytes());
        // The length makes it a frame. Readers check the sum all the same, so order spares them only a retry.
        fence(Ordering::Release);
        commit.copy_from_slice(&(payload.len() as u32).to_le_bytes());
        self.summary.count(at + length, began, ended);
        Ok(true)
    }

    /// The mapped bytes `at..at + length`, which lie within the segment.
    fn map(&mut self, at: u64, length: u64) -> io::Result<&mut [u8]> {
        let inside =
            self.window.as_ref().is_some_and(|w| at >= w.at && at + length <= w.at + w.map.len() as u64);
        if !inside {
            self.window = None;
            let len = WINDOW.max(length).min(self.size - at) as usize;
            // The kernel takes memory for a write in large pieces, and reads nothing before it: a tenth of what it costs to
            // have each page of unwritten space faulted in and cleared.
            self.file.write_all_at(ZEROS.get(..len).unwrap_or_default(), at)?;
            let mut options = MmapOptions::new();
            options.offset(at).len(len);
            #[expect(
                unsafe_code,
                reason = "a shared mapping is sound while the file keeps its length and nobody else writes to it: \
                          it was created exclusively by this process with mode 0600, `at + len` is at most the \
                          allocated `size`, its lock is held for as long as `file` lives, the project's other \
                          code only reads or deletes it (which keeps the pages) while the lock is held, and \
                          `seal`, the only one to cut it, takes the segment by value and drops the mapping first"
            )]
            // SAFETY: see the reason above.
            let map = unsafe { options.map_mut(&*self.file)? };
            // One call for all its page faults. Where the kernel knows no such advice, pages fault one by one.
            let _ = map.advise(Advice::Random).and_then(|()| map.advise(Advice::PopulateWrite));
            self.window = Some(Window { map, at });
        }
        let window = self.window.as_mut();
        let slice = window.and_then(|w| {
            let from = (at - w.at) as usize;
            w.map.get_mut(from..from + length as usize)
        });
        slice.ok_or_else(|| io::Error::other("the mapping is shorter than was asked for"))
    }

    /// The file, for syncing it apart from its owner.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(super) fn created(&self) -> u64 {
        self.identity.created
    }

    /// Bytes on disk while it is not sealed.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Ends it: writes what it holds into the header, cuts it to its used length and syncs it. One without events
    /// is removed.
    pub(super) fn seal(self) -> io::Result<()> {
        let Segment { file, path, window, summary, .. } = self;
        drop(window);
        if summary.events == 0 {
            return std::fs::remove_file(path);
        }
        seal(&file, &summary, summary.used)
    }
}

/// Marks a segment as done and cuts it to `length` bytes.
pub(super) fn seal(file: &File, summary: &Summary, length: u64) -> io::Result<()> {
    let mut body = Vec::with_capacity(56);
    for word in
        [summary.used, summary.events, summary.began.0, summary.began.1, summary.ended.0, summary.ended.1]
    {
        body.extend_from_slice(&word.to_le_bytes());
    }
    // Frames first, then the word that vouches for them.
    file.sync_data()?;
    let mut record = 1u32.to_le_bytes().to_vec();
    record.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    record.extend_from_slice(&body);
    file.write_all_at(&record, SEAL)?;
    file.set_len(length)?;
    file.sync_data()?;
    forget(file, length);
    Ok(())
}

/// Gives back the memory in which the kernel keeps the first `length` bytes, which are on the disk: what was written
/// is seldom read soon, and the next events get the same memory instead of that of others.
pub(super) fn forget(file: &File, length: u64) {
    let _ = fadvise(file, 0, NonZeroU64::new(length), FileAdvice::DontNeed);
}
