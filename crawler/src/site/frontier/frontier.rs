//! The frontier itself: journal, seen-set and lanes together.

use std::fs;
use std::path::Path;

use super::super::disk::{DiskError, HEAD_BYTES, HashKey};
use super::counters::{Counters, End};
use super::entry::{Added, Bound, Claimed, Entry, Kept, Lane, Settled};
use super::error::FrontierError;
use super::frame::Framer;
use super::journal::{Journal, RESULTS, Segment};
use super::lane::{LaneQueue, Tail};
use super::limits::FrontierLimits;
use super::payloads::Payloads;
use super::seen::{SeenSet, Vacant};

/// A key may be longer than its URL by a prefix.
const PREFIX_BYTES_MAX: usize = 256;

/// What is still to be asked for, and what came of what was. After an error
/// it is of no use any more, except that its segments are.
pub struct Frontier {
    limits: FrontierLimits,
    key: HashKey,
    seen: SeenSet,
    journal: Journal,
    lanes: [LaneQueue; 2],
    results: Tail,
    framer: Framer,
    counters: Counters,
    claimed: usize,
}

impl Frontier {
    /// A new frontier in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// [`FrontierError::Exists`] if there is one; a failing disk.
    pub fn create(dir: &Path, key: HashKey, limits: FrontierLimits) -> Result<Self, FrontierError> {
        fs::create_dir_all(dir).map_err(DiskError::of("make the folder", dir))?;
        if dir.join(Segment::file_name(1)).exists() {
            return Err(FrontierError::Exists {
                folder: dir.display().to_string(),
            });
        }
        let seen = SeenSet::create(&dir.join(SeenSet::FILE_NAME))?;
        let journal = Journal::open(dir, key, Vec::new(), 0)?;
        Ok(Self::assemble(
            journal,
            limits,
            seen,
            LaneQueue::both()?,
            Counters::default(),
        ))
    }

    pub(super) fn assemble(
        journal: Journal,
        limits: FrontierLimits,
        seen: SeenSet,
        lanes: [LaneQueue; 2],
        counters: Counters,
    ) -> Self {
        Self {
            limits: limits.within_format(),
            key: journal.key(),
            seen,
            journal,
            lanes,
            results: Tail::default(),
            framer: Framer::default(),
            counters,
            claimed: 0,
        }
    }

    /// Offers an entry. It is pending if `key` was never met: the canonical
    /// URL, behind a prefix where several things may be at one URL, as a page
    /// and a category page are.
    ///
    /// # Errors
    /// A failing disk.
    pub fn add(&mut self, key: &str, entry: &Entry) -> Result<Added, FrontierError> {
        let vacant = match self.admit(key, entry.url.len())? {
            Ok(vacant) => vacant,
            Err(answer) => return Ok(answer),
        };
        let frame = self.framer.add(key, entry);
        let lane = &mut self.lanes[entry.lane.index()];
        if lane.tail_bytes() + frame.len() > self.limits.block_bytes {
            lane.flush(&mut self.journal)?;
        }
        self.seen.fill(vacant)?;
        lane.push_item(frame, &self.journal);
        self.counters.added += 1;
        self.counters.pending[entry.lane.index()] += 1;
        Ok(Added::New)
    }

    /// Makes `key` count as met without anything to be asked for: what a
    /// redirect led to, or what a page calls its canonical URL.
    ///
    /// # Errors
    /// A failing disk.
    pub fn know(&mut self, key: &str) -> Result<Added, FrontierError> {
        let vacant = match self.admit(key, key.len())? {
            Ok(vacant) => vacant,
            Err(answer) => return Ok(answer),
        };
        let frame = self.framer.known(key);
        let lane = &mut self.lanes[Lane::Page.index()];
        if lane.tail_bytes() + frame.len() > self.limits.block_bytes {
            lane.flush(&mut self.journal)?;
        }
        self.seen.fill(vacant)?;
        lane.push_other(frame);
        self.counters.known += 1;
        Ok(Added::New)
    }

    /// The place of a new key, or the answer to the offer.
    fn admit(
        &mut self,
        key: &str,
        url_bytes: usize,
    ) -> Result<Result<Vacant, Added>, FrontierError> {
        let url_bytes_max = self.limits.url_bytes_max;
        if url_bytes > url_bytes_max || key.len() > url_bytes_max + PREFIX_BYTES_MAX {
            return Ok(Err(self.refuse(Bound::UrlBytes)));
        }
        let Some(vacant) = self.seen.vacancy(self.key.hash(key.as_bytes()))? else {
            self.counters.repeated += 1;
            return Ok(Err(Added::Seen));
        };
        if self.seen.len() >= self.limits.entries_max {
            return Ok(Err(self.refuse(Bound::Entries)));
        }
        if self.journal_bytes() >= self.limits.journal_bytes_max {
            return Ok(Err(self.refuse(Bound::JournalBytes)));
        }
        Ok(Ok(vacant))
    }

    fn refuse(&mut self, bound: Bound) -> Added {
        self.counters.refused[bound.index()] += 1;
        Added::Full(bound)
    }

    /// Whether `key` was met.
    ///
    /// # Errors
    /// A failing disk.
    pub fn knows(&mut self, key: &str) -> Result<bool, FrontierError> {
        Ok(self.seen.vacancy(self.key.hash(key.as_bytes()))?.is_none())
    }

    /// The next entry: of the first lane that has one, the one that came
    /// first. `None` if none is waiting, or if as many are claimed as may be.
    ///
    /// # Errors
    /// A failing disk; a journal that is not what was written.
    pub fn claim(&mut self) -> Result<Option<Claimed>, FrontierError> {
        for lane in Lane::ALL {
            if let Some(claimed) = self.claim_of(lane)? {
                return Ok(Some(claimed));
            }
        }
        Ok(None)
    }

    /// The next entry of one lane.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn claim_of(&mut self, lane: Lane) -> Result<Option<Claimed>, FrontierError> {
        if self.claimed >= self.limits.claims_max {
            return Ok(None);
        }
        let Some((item, entry)) = self.lanes[lane.index()].take(&self.journal)? else {
            return Ok(None);
        };
        self.claimed += 1;
        Ok(Some(Claimed { entry, item }))
    }

    /// How many entries are claimed and neither settled nor put back.
    pub fn claimed(&self) -> usize {
        self.claimed
    }

    /// The entry is done. What it led to has to be added before.
    ///
    /// # Errors
    /// A failing disk.
    pub fn settle(
        &mut self,
        claimed: Claimed,
        settled: &Settled<'_>,
    ) -> Result<Kept, FrontierError> {
        let bytes = settled.payload.len() + settled.facts.len();
        let bound = if bytes > self.limits.settled_bytes_max {
            Some(Bound::SettledBytes)
        } else if bytes > 0 && self.journal_bytes() >= self.limits.journal_bytes_max {
            Some(Bound::JournalBytes)
        } else {
            None
        };
        let kept = match bound {
            Some(_) => Settled {
                payload: &[],
                facts: &[],
                ..*settled
            },
            None => *settled,
        };
        let lane = claimed.entry.lane;
        let frame = self.framer.settle(lane, claimed.item, &kept);
        if self.results.raw.len() + frame.len() > self.limits.block_bytes {
            flush(&mut self.lanes, &mut self.results, &mut self.journal)?;
        }
        super::frame::put_frame(&mut self.results.raw, frame);
        self.results.items += 1;
        self.lanes[lane.index()].finish(claimed.item);
        self.claimed -= 1;
        self.counters.pending[lane.index()] -= 1;
        *self.counters.settled.entry(settled.outcome).or_default() += 1;
        Ok(match bound {
            None => Kept::Whole,
            Some(bound) => {
                self.counters.refused[bound.index()] += 1;
                Kept::OutcomeOnly(bound)
            }
        })
    }

    /// The entry goes to the end of its lane, with one attempt more.
    ///
    /// # Errors
    /// A failing disk.
    pub fn again(&mut self, claimed: Claimed) -> Result<(), FrontierError> {
        let Claimed { entry, item } = claimed;
        let frame = self
            .framer
            .again(item, &entry, entry.attempt.saturating_add(1));
        let lane = &mut self.lanes[entry.lane.index()];
        if lane.tail_bytes() + frame.len() > self.limits.block_bytes {
            lane.flush(&mut self.journal)?;
        }
        lane.finish(item);
        lane.push_item(frame, &self.journal);
        self.claimed -= 1;
        self.counters.again += 1;
        Ok(())
    }

    /// The entry was not tried, and is claimed next. Nothing is written: for a
    /// replay it was never claimed.
    pub fn hand_back(&mut self, claimed: Claimed) {
        self.claimed -= 1;
        self.lanes[claimed.entry.lane.index()].hand_back(claimed.item, claimed.entry);
    }

    /// Closes the open segment, so that it can be uploaded; `None` if nothing
    /// was written since the last cut. What a segment tells is whole: an entry
    /// that is settled in it has what it led to in it, or in one before.
    ///
    /// # Errors
    /// A failing disk.
    pub fn cut(&mut self) -> Result<Option<Segment>, FrontierError> {
        flush(&mut self.lanes, &mut self.results, &mut self.journal)?;
        if self.journal.written() == HEAD_BYTES {
            return Ok(None);
        }
        let end = End::of(&self.counters, &self.lanes);
        Ok(Some(self.journal.close(end)?))
    }

    #[cfg(test)]
    pub(super) fn limits_for_tests(&mut self) -> &mut FrontierLimits {
        &mut self.limits
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the journal takes on disk, with what waits to be written.
    pub fn journal_bytes(&self) -> u64 {
        let waiting =
            self.results.raw.len() + self.lanes.iter().map(LaneQueue::tail_bytes).sum::<usize>();
        self.journal.bytes() + waiting as u64
    }

    /// What the seen-set takes on disk.
    pub fn seen_bytes(&self) -> u64 {
        self.seen.bytes()
    }

    /// What was settled, in the order of settling, also before a replay.
    ///
    /// # Errors
    /// A failing disk.
    pub fn payloads(&self) -> Result<Payloads<'_>, FrontierError> {
        debug_assert_eq!(
            RESULTS as usize,
            Lane::ALL.len(),
            "kinds of blocks do not overlap"
        );
        Payloads::new(&self.journal, &self.results.raw)
    }
}

/// Makes blocks of all that waits. Lanes go first: when a journal ends after
/// any of its blocks, what a settled entry led to is in it.
fn flush(
    lanes: &mut [LaneQueue; 2],
    results: &mut Tail,
    journal: &mut Journal,
) -> Result<(), FrontierError> {
    for lane in lanes {
        lane.flush(journal)?;
    }
    if !results.raw.is_empty() {
        journal.append(RESULTS, results.items, &results.raw)?;
        results.raw.clear();
        results.items = 0;
    }
    Ok(())
}
