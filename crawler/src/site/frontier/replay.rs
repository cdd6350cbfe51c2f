//! The frontier of another machine, rebuilt from the segments that it cut.
//!
//! A segment with an end must be sound, or the replay fails and names where it
//! is not. One without an end was being written: what is sound of it counts,
//! and the rest is told as torn. Between two segments that is accepted only if
//! the later one stands on exactly that part of the former.

use std::io;
use std::path::{Path, PathBuf};

use super::super::disk::{DiskError, HashKey, Wire};
use super::counters::{Counters, End};
use super::entry::Lane;
use super::error::FrontierError;
use super::frame::Frame;
use super::frontier::Frontier;
use super::journal::{END, Journal, RESULTS, Segment, kind_of, put_in_place};
use super::lane::LaneQueue;
use super::limits::FrontierLimits;
use super::seen::SeenSet;
use super::segment_reader::SegmentReader;

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// How many segments.
    pub segments: u32,
    /// What is missing of the last one, if it has no end.
    pub torn: Option<Torn>,
}

/// A segment that was still being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// The number of the segment.
    pub segment: u32,
    /// What lies before counts.
    pub offset: u64,
    /// How much lies behind, and does not.
    pub bytes: u64,
    /// Why it does not.
    pub what: &'static str,
}

impl Frontier {
    /// Rebuilds a frontier in `dir`, which is made if it is not there, from the
    /// files of all its segments in order. They are moved to their places in
    /// `dir` ([`Segment::file_name`]) if they are not there.
    ///
    /// Entries that were claimed and not settled are pending again, in the
    /// order in which they came.
    ///
    /// # Errors
    /// [`FrontierError::Empty`] without any segment; a segment that is damaged,
    /// missing, or of another crawl; a failing disk.
    pub fn replay(
        dir: &Path,
        limits: FrontierLimits,
        segments: impl IntoIterator<Item = io::Result<PathBuf>>,
    ) -> Result<(Self, Replayed), FrontierError> {
        std::fs::create_dir_all(dir).map_err(DiskError::of("make the folder", dir))?;
        let mut replay: Option<Replay> = None;
        for (path, number) in segments.into_iter().zip(1..) {
            let path = path.map_err(|source| FrontierError::NotGot {
                segment: number,
                source,
            })?;
            let place = dir.join(Segment::file_name(number));
            put_in_place(&path, &place).map_err(DiskError::of("put the segment at", &place))?;
            let mut reader = SegmentReader::open(place, number)?;
            match &mut replay {
                Some(replay) => replay.segment(&mut reader, number)?,
                none => none
                    .insert(Replay::begin(dir, &reader)?)
                    .segment(&mut reader, number)?,
            }
        }
        let replay = replay.ok_or(FrontierError::Empty)?;
        let replayed = Replayed {
            segments: replay.closed.len() as u32,
            torn: replay.torn,
        };
        let journal = Journal::open(dir, replay.key, replay.closed, replay.chain)?;
        let Replay {
            seen,
            lanes,
            counters,
            ..
        } = replay;
        Ok((
            Self::assemble(journal, limits, seen, lanes, counters),
            replayed,
        ))
    }
}

/// What was rebuilt so far.
struct Replay {
    key: HashKey,
    seen: SeenSet,
    lanes: [LaneQueue; 2],
    counters: Counters,
    /// How much of each segment counts.
    closed: Vec<u64>,
    chain: u64,
    /// Where the segments before the next one broke off.
    torn: Option<Torn>,
    /// Holds a key while it is put together.
    buffer: Vec<u8>,
}

impl Replay {
    fn begin(dir: &Path, first: &SegmentReader) -> Result<Self, FrontierError> {
        let head = first.head()?.ok_or(FrontierError::Damaged {
            segment: 1,
            offset: 0,
            what: NO_HEAD,
        })?;
        Ok(Self {
            key: head.key,
            seen: SeenSet::create(&dir.join(SeenSet::FILE_NAME))?,
            lanes: LaneQueue::both()?,
            counters: Counters::default(),
            closed: Vec::new(),
            chain: 0,
            torn: None,
            buffer: Vec::new(),
        })
    }

    fn segment(&mut self, reader: &mut SegmentReader, number: u32) -> Result<(), FrontierError> {
        let Some(head) = reader.head()? else {
            self.tear(Torn {
                segment: number,
                offset: 0,
                bytes: reader.left(),
                what: NO_HEAD,
            });
            self.closed.push(0);
            return Ok(());
        };
        if head.number != number {
            return Err(FrontierError::Gap {
                expected: number,
                found: head.number,
            });
        }
        if head.before != self.chain || head.key != self.key {
            return Err(match self.torn {
                Some(Torn {
                    segment,
                    offset,
                    what,
                    bytes: _,
                }) => FrontierError::Damaged {
                    segment,
                    offset,
                    what,
                },
                None => FrontierError::Unrelated { segment: number },
            });
        }
        self.torn = None;
        reader.begin(&head);
        let closed = reader.is_closed()?;
        if let Err((offset, what)) = self.blocks(reader, number)? {
            if closed {
                return Err(FrontierError::Damaged {
                    segment: number,
                    offset,
                    what,
                });
            }
            self.tear(Torn {
                segment: number,
                offset,
                bytes: reader.left(),
                what,
            });
        }
        self.chain = reader.chain;
        self.closed.push(reader.offset);
        Ok(())
    }

    /// Of segments that broke off in a row, the first one is to blame.
    fn tear(&mut self, torn: Torn) {
        self.torn.get_or_insert(torn);
    }

    /// Takes in all blocks, or as many as are sound before what is not.
    fn blocks(
        &mut self,
        reader: &mut SegmentReader,
        number: u32,
    ) -> Result<Result<(), (u64, &'static str)>, FrontierError> {
        let mut raw = Vec::new();
        loop {
            let offset = reader.offset;
            let header = match reader.next(&mut raw) {
                Ok(Some(header)) => header,
                Ok(None) => return Ok(Err((offset, "its end is missing"))),
                Err(FrontierError::Damaged { offset, what, .. }) => return Ok(Err((offset, what))),
                Err(error) => return Err(error),
            };
            let damaged = |what| FrontierError::Damaged {
                segment: number,
                offset,
                what,
            };
            match header.kind {
                END => {
                    self.end(&raw).map_err(damaged)?;
                    return Ok(match reader.left() {
                        0 => Ok(()),
                        _ => Err((reader.offset, "something follows its end")),
                    });
                }
                RESULTS => self.results(&raw).map_err(damaged)?,
                kind => {
                    let lane = Lane::ALL.into_iter().find(|&lane| kind_of(lane) == kind);
                    let lane = lane.ok_or_else(|| damaged("a block is of no known kind"))?;
                    let items = self.lane(lane, &raw)?.map_err(damaged)?;
                    if items != header.items {
                        return Err(damaged("a block has not the entries that it counts"));
                    }
                }
            }
        }
    }

    /// The frames of a lane; gives the number of items among them.
    fn lane(&mut self, lane: Lane, raw: &[u8]) -> Result<Result<u32, &'static str>, FrontierError> {
        let mut wire = Wire::new(raw);
        let mut items = 0;
        while !wire.is_empty() {
            let queue = &mut self.lanes[lane.index()];
            match Frame::next(&mut wire) {
                Some(Frame::Add { key, entry }) => {
                    let hash = self.key.hash(key.bytes(entry.url, &mut self.buffer));
                    if let Some(vacant) = self.seen.vacancy(hash)? {
                        self.seen.fill(vacant)?;
                    }
                    queue.replay_item();
                    items += 1;
                    self.counters.added += 1;
                    self.counters.pending[lane.index()] += 1;
                }
                Some(Frame::Again { old, .. }) => {
                    if !queue.replay_done(old) {
                        return Ok(Err("an entry is put back that was not pending"));
                    }
                    queue.replay_item();
                    items += 1;
                    self.counters.again += 1;
                }
                Some(Frame::Known { key }) => {
                    if let Some(vacant) = self.seen.vacancy(self.key.hash(key))? {
                        self.seen.fill(vacant)?;
                    }
                    self.counters.known += 1;
                }
                Some(Frame::Settle { .. }) | None => return Ok(Err("a frame cannot be read")),
            }
        }
        Ok(Ok(items))
    }

    fn results(&mut self, raw: &[u8]) -> Result<(), &'static str> {
        let mut wire = Wire::new(raw);
        while !wire.is_empty() {
            let Some(Frame::Settle {
                lane,
                item,
                outcome,
                ..
            }) = Frame::next(&mut wire)
            else {
                return Err("a frame cannot be read");
            };
            if !self.lanes[lane.index()].replay_done(item) {
                return Err("an entry is settled that was not pending");
            }
            self.counters.pending[lane.index()] -= 1;
            *self.counters.settled.entry(outcome).or_default() += 1;
        }
        Ok(())
    }

    fn end(&mut self, raw: &[u8]) -> Result<(), &'static str> {
        let told = End::from_bytes(raw).ok_or("its end cannot be read")?;
        self.counters.repeated = told.repeated;
        self.counters.refused = told.refused;
        if End::of(&self.counters, &self.lanes) != told {
            return Err("its frames do not add up to what its end counts");
        }
        Ok(())
    }
}

const NO_HEAD: &str = "it does not begin as a segment does";
