//! Many segments as one sequence.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::event::Event;
use super::frame::View;
use super::query::{Order, Query};
use super::reader::{Found, Frames, Listed, ReadError, list};
use super::segment::{HEADER, Summary};

/// A part of the log that could not be read. What is around it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub segment: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// Events of a query, merged over all segments by the moment when they ended. Opens a segment only when its time
/// has come.
#[derive(Debug)]
pub struct Events {
    query: Query,
    left: usize,
    heads: BinaryHeap<Reverse<Head>>,
    damage: Vec<Damage>,
}

/// A segment in the merge, sorted by what comes next from it. An unopened one goes before an event of the same
/// moment, since it may hold one.
#[derive(Debug)]
struct Head {
    rank: u64,
    index: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Unopened(Listed),
    Event(Box<Event>, Box<Stream>),
}

impl Head {
    fn key(&self) -> (u64, bool, usize) {
        (self.rank, matches!(self.what, What::Event(..)), self.index)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Events {
    pub(super) fn new(folder: &Path, query: Query) -> Result<Events, ReadError> {
        let (listed, damage) = list(folder).map_err(|error| ReadError::new(folder, error))?;
        let mut events =
            Events { left: query.limit.unwrap_or(usize::MAX), query, heads: BinaryHeap::new(), damage };
        for (index, segment) in listed.into_iter().enumerate() {
            if segment.summary.as_ref().is_some_and(|summary| events.is_outside(summary)) {
                continue;
            }
            let rank = match (&segment.summary, events.query.order) {
                // One that is still written to holds anything.
                (None, _) => 0,
                (Some(summary), Order::OldestFirst) => summary.ended.0,
                (Some(summary), Order::NewestFirst) => u64::MAX - summary.ended.1,
            };
            events.heads.push(Reverse(Head { rank, index, what: What::Unopened(segment) }));
        }
        Ok(events)
    }

    /// What could not be read, of the segments that were opened so far.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    fn is_outside(&self, summary: &Summary) -> bool {
        self.query.since.is_some_and(|since| summary.began.1 < since)
            || self.query.until.is_some_and(|until| summary.began.0 >= until)
    }

    /// Puts a segment back into the merge with its next event, or drops it.
    fn put(&mut self, mut stream: Box<Stream>, index: usize) -> io::Result<()> {
        if let Some(event) = stream.next(&self.query, &mut self.damage)? {
            let ended = event.ended();
            let rank = if self.query.order == Order::NewestFirst { u64::MAX - ended } else { ended };
            self.heads.push(Reverse(Head { rank, index, what: What::Event(Box::new(event), stream) }));
        }
        Ok(())
    }
}

impl Iterator for Events {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            let Reverse(head) = self.heads.pop()?;
            match head.what {
                What::Unopened(listed) => {
                    let path = listed.path.clone();
                    let opened = Stream::open(listed, self.query.order, &mut self.damage)
                        .and_then(|stream| self.put(Box::new(stream), head.index));
                    match opened {
                        Ok(()) => {}
                        // Retention may be faster.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Some(Err(ReadError { path, error })),
                    }
                }
                What::Event(event, stream) => {
                    let path = stream.path.clone();
                    self.left -= 1;
                    return match self.put(stream, head.index) {
                        Ok(()) => Some(Ok(*event)),
                        Err(error) => Some(Err(ReadError { path, error })),
                    };
                }
            }
        }
        None
    }
}

/// The events of one segment, in either direction.
#[derive(Debug)]
struct Stream {
    path: PathBuf,
    frames: Frames,
    /// Where frames end, of a sealed segment.
    used: Option<u64>,
    at: u64,
    /// Backwards: where the frames begin that are still to be read.
    offsets: Option<Vec<u64>>,
}

impl Stream {
    fn open(listed: Listed, order: Order, damage: &mut Vec<Damage>) -> io::Result<Stream> {
        let frames = Frames::new(File::open(&listed.path)?);
        let used = listed.summary.map(|summary| summary.used);
        let mut stream = Stream { path: listed.path, frames, used, at: HEADER, offsets: None };
        if order == Order::NewestFirst {
            let mut offsets = Vec::new();
            while let Some((at, _)) = stream.find(damage)? {
                offsets.push(at);
            }
            stream.offsets = Some(offsets);
        }
        Ok(stream)
    }

    fn next(&mut self, query: &Query, damage: &mut Vec<Damage>) -> io::Result<Option<Event>> {
        loop {
            let place = match &mut self.offsets {
                None => self.find(damage)?,
                Some(offsets) => match offsets.pop() {
                    None => None,
                    Some(at) => match self.frames.find(at)? {
                        Found::Frame { at, length, .. } => Some((at, length)),
                        Found::End { .. } => None,
                    },
                },
            };
            let Some((at, length)) = place else { return Ok(None) };
            let view = self.frames.payload(at, length).and_then(View::decode);
            if let Some(view) = view.filter(|view| query.matches(view)) {
                return Ok(Some(view.to_event()));
            }
        }
    }

    /// The next frame's place, going forwards.
    fn find(&mut self, damage: &mut Vec<Damage>) -> io::Result<Option<(u64, usize)>> {
        let from = self.at;
        if self.used.is_some_and(|used| from >= used) {
            return Ok(None);
        }
        let mut note = |offset, what: &str| {
            damage.push(Damage { segment: self.path.clone(), offset, what: what.to_owned() });
        };
        match self.frames.find(from)? {
            Found::Frame { at, length, next, skipped } => {
                if skipped > 0 {
                    note(from, "a damaged event was stepped over");
                }
                self.at = next;
                Ok(Some((at, length)))
            }
            Found::End { at, damaged } => {
                // In a segment that is being written, a half-written frame at the end is no damage.
                if self.used.is_some_and(|used| at < used) || (damaged && at != from) {
                    note(at, "the events from here on are damaged or missing");
                }
                Ok(None)
            }
        }
    }
}
