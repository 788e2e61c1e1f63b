//! Reading: what is in the folder, now or as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::event::Event;
use super::frame::{MAX_PAYLOAD, View};
use super::merge::{Damage, Events};
use super::query::Query;
use super::segment::{ENDING, HEADER, Header, NoSegment, Summary, checksum, frame_len};

/// Reads the events in a folder, also while gateways write there. Never writes.
#[derive(Debug, Clone)]
pub struct Reader {
    folder: PathBuf,
}

/// The log could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the event log in `{path}` cannot be read: {error}")]
pub struct ReadError {
    /// The folder or segment.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

impl ReadError {
    pub(super) fn new(path: &Path, error: io::Error) -> ReadError {
        ReadError { path: path.to_owned(), error }
    }
}

/// Where following begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event.
    Beginning,
    /// With what is written from now on.
    End,
}

impl Reader {
    /// A reader of `folder`.
    ///
    /// # Errors
    /// Where the folder is missing or cannot be listed.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Reader, ReadError> {
        let folder = folder.into();
        std::fs::read_dir(&folder).map_err(|error| ReadError::new(&folder, error))?;
        Ok(Reader { folder })
    }

    /// The events that `query` asks for. What is appended meanwhile may or may not be among them.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn query(&self, query: &Query) -> Result<Events, ReadError> {
        Events::new(&self.folder, query.clone())
    }

    /// Follows what is written, over rotation and over gateways that come and go.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn follow(&self, query: &Query, start: Start) -> Result<Follower, ReadError> {
        let mut follower = Follower {
            folder: self.folder.clone(),
            query: query.clone(),
            open: BTreeMap::new(),
            done: BTreeSet::new(),
        };
        if start == Start::End {
            follower.skip_to_end().map_err(|error| ReadError::new(&self.folder, error))?;
        }
        Ok(follower)
    }
}

/// Follows a log. See [`Reader::follow`].
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    query: Query,
    open: BTreeMap<OsString, Tail>,
    /// Segments that nothing more will come from.
    done: BTreeSet<OsString>,
}

#[derive(Debug)]
struct Tail {
    frames: Frames,
    at: u64,
}

/// Events of one [`Follower::poll`]; there may be more right after.
const BATCH: usize = 10_000;

impl Follower {
    /// What was written since the last call, oldest first; empty where there is nothing new. Never waits: poll
    /// a few times a second. The query's limit and order do not count.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn poll(&mut self) -> Result<Vec<Event>, ReadError> {
        let events = self.advance(true);
        let mut events = events.map_err(|error| ReadError::new(&self.folder, error))?;
        events.sort_by_key(Event::ended);
        Ok(events)
    }

    fn skip_to_end(&mut self) -> io::Result<()> {
        self.advance(false).map(drop)
    }

    fn advance(&mut self, keep: bool) -> io::Result<Vec<Event>> {
        let names = segment_names(&self.folder)?;
        self.done.retain(|name| names.contains(name));
        for name in names {
            if self.done.contains(&name) || self.open.contains_key(&name) {
                continue;
            }
            match File::open(self.folder.join(&name)) {
                Ok(file) => match Header::read(&file)? {
                    Ok(header) if !keep && header.summary.is_some() => _ = self.done.insert(name),
                    Ok(_) => _ = self.open.insert(name, Tail { frames: Frames::new(file), at: HEADER }),
                    Err(_) => _ = self.done.insert(name),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let Follower { open, done, query, .. } = self;
        let mut events = Vec::new();
        let mut failed = None;
        open.retain(|name, tail| {
            if events.len() >= BATCH || failed.is_some() {
                return true;
            }
            match tail.advance(query, keep, &mut events) {
                Ok(true) => true,
                Ok(false) => {
                    done.insert(name.clone());
                    false
                }
                Err(error) => {
                    failed = Some(error);
                    true
                }
            }
        });
        match failed {
            Some(error) if events.is_empty() => Err(error),
            // What was read must not get lost; the error shows on the next call.
            _ => Ok(events),
        }
    }
}

impl Tail {
    /// Reads on; `false` once nothing more will come.
    fn advance(&mut self, query: &Query, keep: bool, events: &mut Vec<Event>) -> io::Result<bool> {
        // The header first: a segment that is sealed by now gets no further frames.
        let sealed = matches!(Header::read(&self.frames.file)?, Ok(Header { summary: Some(_), .. }));
        self.frames.forget();
        loop {
            if events.len() >= BATCH {
                return Ok(true);
            }
            match self.frames.find(self.at)? {
                Found::Frame { at, length, next, .. } => {
                    self.at = next;
                    let view = self.frames.payload(at, length).and_then(View::decode);
                    if let Some(view) = view.filter(|view| keep && query.matches(view)) {
                        events.push(view.to_event());
                    }
                }
                Found::End { .. } => return Ok(!sealed),
            }
        }
    }
}

/// The names of the folder's segments.
pub(super) fn segment_names(folder: &Path) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        // Nothing but regular files: opening a pipe would wait.
        if name.to_str().is_some_and(|name| name.ends_with(ENDING)) && entry.file_type()?.is_file() {
            names.insert(name);
        }
    }
    Ok(names)
}

/// A segment that is not open yet, with what its header says.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    pub(super) summary: Option<Summary>,
}

/// The segments in a folder, and what could not be read.
pub(super) fn list(folder: &Path) -> io::Result<(Vec<Listed>, Vec<Damage>)> {
    let (mut listed, mut damage) = (Vec::new(), Vec::new());
    for name in segment_names(folder)? {
        let path = folder.join(name);
        let header = match File::open(&path).and_then(|file| Header::read(&file)) {
            Ok(header) => header,
            // Retention may be faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                damage.push(Damage { segment: path, offset: 0, what: error.to_string() });
                continue;
            }
        };
        let what = match header {
            Ok(header) => {
                listed.push(Listed { path, summary: header.summary });
                continue;
            }
            Err(NoSegment::Foreign) => "not a segment of an event log".to_owned(),
            Err(NoSegment::Version(version)) => {
                format!("format version {version}; this program reads version 1")
            }
            Err(NoSegment::Damaged) => "the header is damaged".to_owned(),
        };
        damage.push(Damage { segment: path, offset: 0, what });
    }
    Ok((listed, damage))
}

const CHUNK: usize = 256 << 10;

/// The frames of one segment, read through a buffer, forwards or backwards.
#[derive(Debug)]
pub(super) struct Frames {
    file: File,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte.
    at: u64,
}

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Frame {
        length: usize,
        next: u64,
    },
    End,
    /// Not a good frame; where the next one would begin, as far as its length can be believed.
    Bad {
        next: Option<u64>,
    },
}

/// The first good frame from an offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Its payload's length, and where the one after it begins.
    Frame { at: u64, length: usize, next: u64, skipped: u32 },
    /// There is none: `damaged` where something stands there that is no frame.
    End { at: u64, damaged: bool },
}

impl Frames {
    pub(super) fn new(file: File) -> Frames {
        Frames { file, buffer: Vec::new(), at: 0 }
    }

    /// Drops what was read ahead: it may have been written meanwhile.
    pub(super) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// The next good frame. A damaged one is stepped over where a good one follows it; otherwise reading ends.
    pub(super) fn find(&mut self, from: u64) -> io::Result<Found> {
        let (mut at, mut skipped) = (from, 0);
        loop {
            match self.step(at)? {
                Step::Frame { length, next } => return Ok(Found::Frame { at, length, next, skipped }),
                Step::End => return Ok(Found::End { at, damaged: skipped > 0 }),
                Step::Bad { next: Some(next) } if matches!(self.step(next)?, Step::Frame { .. }) => {
                    skipped += 1;
                    at = next;
                }
                Step::Bad { .. } => return Ok(Found::End { at, damaged: true }),
            }
        }
    }

    /// The payload of the frame that [`Frames::find`] found last at `at`.
    pub(super) fn payload(&self, at: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.at)?).ok()? + 8;
        self.buffer.get(from..from + length)
    }

    fn step(&mut self, at: u64) -> io::Result<Step> {
        let Some((length, sum)) = self.read(at, 8)?.and_then(|head| {
            let (length, rest) = head.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*length) as usize, u32::from_le_bytes(*rest.first_chunk::<4>()?)))
        }) else {
            return Ok(Step::End);
        };
        if length == 0 {
            return Ok(Step::End);
        }
        if length > MAX_PAYLOAD {
            return Ok(Step::Bad { next: None });
        }
        let next = at + frame_len(length);
        let Some(frame) = self.read(at, 8 + length)? else { return Ok(Step::Bad { next: None }) };
        let payload = frame.get(8..).unwrap_or_default();
        let good = checksum(payload) == sum && View::decode(payload).is_some();
        Ok(if good { Step::Frame { length, next } } else { Step::Bad { next: Some(next) } })
    }

    /// Exactly `length` bytes from `at` on, through the buffer; `None` where the file ends before.
    fn read(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let have = self.at..self.at + self.buffer.len() as u64;
        if at < have.start || at + length as u64 > have.end {
            let chunk = CHUNK.max(length);
            // Going backwards, what comes before is wanted next.
            let start = if at < have.start { (at + length as u64).saturating_sub(chunk as u64) } else { at };
            self.fill(start, chunk)?;
        }
        let from = (at - self.at) as usize;
        Ok(self.buffer.get(from..from + length))
    }

    fn fill(&mut self, at: u64, length: usize) -> io::Result<()> {
        self.at = at;
        self.buffer.resize(length, 0);
        let mut filled = 0;
        while let Some(rest) = self.buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.clear();
                    return Err(error);
                }
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }

    /// Walks all frames: what the segment holds, and how many frames are damaged.
    pub(super) fn summarise(&mut self) -> io::Result<(Summary, u32)> {
        let (mut summary, mut damaged) = (Summary::default(), 0);
        let mut at = HEADER;
        while let Found::Frame { at: start, length, next, skipped } = self.find(at)? {
            if let Some(view) = self.payload(start, length).and_then(View::decode) {
                summary.count(next, view.began, view.ended());
            }
            damaged += skipped;
            at = next;
        }
        Ok((summary, damaged))
    }

    /// Whether nothing but zeros stands from `at` on.
    pub(super) fn rest_is_empty(&mut self, mut at: u64) -> io::Result<bool> {
        loop {
            self.fill(at, CHUNK)?;
            if self.buffer.is_empty() {
                return Ok(true);
            }
            if self.buffer.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += self.buffer.len() as u64;
        }
    }
}
