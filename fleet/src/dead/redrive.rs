//! Redrive: a backup of all that is meant, then what is not needed is settled
//! with a note, then the rest is sent: in batches of ten at a rate, several at
//! once, those of one group one after another.
//!
//! Requests a letter: two reads (letter and record), a write (the record, which
//! says at once that it is open and sent), a tenth of a send, a delete (the
//! letter, last). A crawl job has its run document besides, an image job the
//! result of its burial. No second write says that the message was sent: who
//! dies before sending leaves the letter, and the next redrive sends the same
//! message again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use trawler_core::QueueName;
use trawler_core::ports::{BATCH_MAX, Outgoing, QueueError};

use super::backup::Writer;
use super::coalesce::{Needless, coalesce};
use super::item::{Item, by_turns};
use super::lanes::{Ready, Waiting};
use super::pace::Pace;
use super::selection::Selection;
use super::step::{self, Prepared};
use super::{BackupEntry, DeadLetters, stop};
use crate::retry::joined;
use crate::{DocumentError, Drain, Jobs, JobsError};

/// Send requests a second: what SQS allows a FIFO queue without high
/// throughput, for each kind of request.
pub const REQUESTS_PER_S: u32 = 300;

/// Jobs whose documents are worked on at once: at 80 ms for the four requests
/// of one, 3,000 a second need 240.
pub const CONCURRENCY: usize = 256;

/// Send requests under way: at 300 a second and 100 ms each there are 30.
const SENDS: usize = 48;

/// Jobs that are ready to be sent or on their way to it. They are open and
/// have no message yet, so there are few: what 48 batches hold, and as much
/// that waits.
const AHEAD: usize = 2 * SENDS * BATCH_MAX;

/// Letters that are being taken away; while there are so many, nothing new is
/// begun.
const FINISHES_MAX: usize = 1_024;

/// Notes that a report keeps; the figures count all.
const NOTES_MAX: usize = 1_000;

/// How often the pause flags are looked up.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How fast a redrive may be, and who wants it.
#[derive(Debug, Clone)]
pub struct RedriveOptions {
    /// Send requests a second, of up to ten messages each; at least 1.
    pub requests_per_s: u32,
    /// Jobs whose documents are worked on at once; at least 1.
    pub concurrency: usize,
    /// Kept with the backup.
    pub by: String,
}

impl Default for RedriveOptions {
    fn default() -> Self {
        Self {
            requests_per_s: REQUESTS_PER_S,
            concurrency: CONCURRENCY,
            by: String::new(),
        }
    }
}

/// Why it ended before it was through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// What is paused.
    Paused(String),
    /// This process was told to leave.
    Drain,
}

/// A job that was settled instead of sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coalesced {
    pub queue: QueueName,
    pub job: String,
    pub by: String,
}

/// A letter that is left as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub queue: QueueName,
    pub job: String,
    pub reason: String,
}

/// How far a redrive is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedriveFigures {
    /// Letters that are meant.
    pub letters: u64,
    pub sent: u64,
    /// Settled with a note instead of sent.
    pub coalesced: u64,
    /// Letters older than what the ledger says; taken away.
    pub outdated: u64,
    pub refused: u64,
    /// Send requests.
    pub requests: u64,
}

impl RedriveFigures {
    pub fn left(&self) -> u64 {
        let seen_to = self.sent + self.coalesced + self.outdated + self.refused;
        self.letters.saturating_sub(seen_to)
    }
}

/// The figures for those who watch. Clones are the same board.
#[derive(Debug, Clone, Default)]
pub struct RedriveBoard(Arc<Mutex<RedriveFigures>>);

impl RedriveBoard {
    pub fn figures(&self) -> RedriveFigures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut RedriveFigures)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a redrive did.
#[derive(Debug, Default)]
pub struct RedriveReport {
    pub backups: Vec<BackupEntry>,
    pub figures: RedriveFigures,
    /// The first thousand.
    pub coalesced: Vec<Coalesced>,
    /// The first thousand.
    pub refused: Vec<Refused>,
    pub unreadable: Vec<DocumentError>,
    pub stopped: Option<Stopped>,
}

impl DeadLetters {
    /// Sends the jobs of the letters that are meant again, after a backup of
    /// them all. A paused fleet or queue, or the drain, ends it in good order;
    /// again, it goes on with what is left.
    pub async fn redrive(
        &self,
        selection: &Selection,
        options: &RedriveOptions,
        drain: &Drain,
        board: &RedriveBoard,
    ) -> Result<RedriveReport, JobsError> {
        let queues = selection.queues();
        let mut report = RedriveReport {
            stopped: stop(&self.pauses, drain, &queues).await?,
            ..RedriveReport::default()
        };
        if report.stopped.is_some() {
            return Ok(report);
        }
        let items = self.take_in(selection, options, &mut report, board).await?;
        let (needed, needless) = coalesce(self.documents(), items).await?;
        let mut run = Redriving {
            letters: self,
            jobs: self.jobs.clone(),
            pace: Arc::new(Pace::per_second(options.requests_per_s)),
            concurrency: options.concurrency.max(1),
            drain,
            queues,
            board,
            report,
            looked: None,
            work: Work::default(),
        };
        let failed = run.run(needed, needless).await.err();
        let mut report = run.report;
        report.figures = board.figures();
        let RedriveFigures {
            sent, coalesced, ..
        } = report.figures;
        tracing::info!(
            sent,
            coalesced,
            left = report.figures.left(),
            by = options.by,
            "redriven: {sent} job(s) sent, {coalesced} superseded"
        );
        match failed {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// Reads all that is meant, into the backup and into memory.
    async fn take_in(
        &self,
        selection: &Selection,
        options: &RedriveOptions,
        report: &mut RedriveReport,
        board: &RedriveBoard,
    ) -> Result<Vec<Item>, JobsError> {
        let writer = Writer::new(&self.jobs, "before a redrive", &options.by);
        let (mut items, mut refused) = (Vec::new(), Vec::new());
        let gathered = self.gather(selection, Some(writer), |found| {
            let queue = found.letter.queue;
            board.change(|figures| figures.letters += 1);
            match Item::of(found) {
                Ok(item) => items.push(item),
                Err(job) => {
                    board.change(|figures| figures.refused += 1);
                    if refused.len() < NOTES_MAX {
                        let reason = JobsError::NotAJob { name: job.clone() }.to_string();
                        refused.push(Refused { queue, job, reason });
                    }
                }
            }
        });
        (_, report.backups, report.unreadable) = gathered.await?;
        report.refused = refused;
        Ok(items)
    }
}

/// What became of a batch.
struct SentBatch {
    batch: Vec<Ready>,
    requests: u64,
    refused: Result<Vec<(usize, QueueError)>, QueueError>,
}

type PreparedOne = (usize, Item, Result<Prepared, JobsError>);

/// Everything that is under way. Tasks end by themselves and are joined.
#[derive(Default)]
struct Work {
    source: VecDeque<(Item, Option<String>)>,
    /// Number of the next item that leaves the source.
    next: usize,
    /// Number of the next item that becomes ready, whichever is prepared first.
    next_ready: usize,
    prepares: JoinSet<PreparedOne>,
    prepared: BTreeMap<usize, Option<Ready>>,
    waiting: Waiting,
    sends: JoinSet<SentBatch>,
    finishes: JoinSet<Result<(), JobsError>>,
}

impl Work {
    fn is_over(&self) -> bool {
        self.prepares.is_empty()
            && self.waiting.len() == 0
            && self.sends.is_empty()
            && self.finishes.is_empty()
    }

    fn ahead(&self) -> usize {
        self.prepares.len() + self.prepared.len() + self.waiting.len()
    }
}

struct Redriving<'a> {
    letters: &'a DeadLetters,
    jobs: Jobs,
    pace: Arc<Pace>,
    concurrency: usize,
    drain: &'a Drain,
    queues: Vec<QueueName>,
    board: &'a RedriveBoard,
    report: RedriveReport,
    looked: Option<Duration>,
    work: Work,
}

impl Redriving<'_> {
    async fn run(&mut self, needed: Vec<Item>, needless: Vec<Needless>) -> Result<(), JobsError> {
        let needless = needless.into_iter().map(|one| (one.item, Some(one.by)));
        let needed = by_turns(needed).into_iter().map(|item| (item, None));
        self.work.source = needless.chain(needed).collect();
        let mut failed = None;
        loop {
            if failed.is_none() {
                if let Err(error) = self.look().await {
                    failed = Some(error);
                } else {
                    self.start_prepares();
                }
            }
            // What is open already is sent in any case.
            self.start_sends(failed.is_some());
            if self.work.is_over() {
                return failed.map_or(Ok(()), Err);
            }
            if let Err(error) = self.wait().await {
                failed.get_or_insert(error);
            }
        }
    }

    /// Looks now and then whether to go on.
    async fn look(&mut self) -> Result<(), JobsError> {
        let now = self.jobs.clock().monotonic();
        let fresh = |looked: Duration| now.saturating_sub(looked) < LOOK_EVERY;
        if self.looked.is_some_and(fresh) && !self.drain.requested() {
            return Ok(());
        }
        let stopped = stop(&self.letters.pauses, self.drain, &self.queues).await?;
        self.looked = Some(now);
        if let Some(why) = stopped {
            self.report.stopped.get_or_insert(why);
            self.work.source.clear();
        }
        Ok(())
    }

    fn start_prepares(&mut self) {
        let work = &mut self.work;
        while work.prepares.len() < self.concurrency
            && work.ahead() < AHEAD
            && work.finishes.len() < FINISHES_MAX
            && let Some((item, by)) = work.source.pop_front()
        {
            let (jobs, number) = (self.jobs.clone(), work.next);
            work.next += 1;
            work.prepares.spawn(async move {
                let prepared = prepare(&jobs, &item, by.as_deref()).await;
                (number, item, prepared)
            });
        }
    }

    /// Starts as many batches as there are. `now`: also those that are not full.
    fn start_sends(&mut self, now: bool) {
        while self.work.sends.len() < SENDS && self.work.finishes.len() < FINISHES_MAX {
            let batch = self.next_batch(now);
            if batch.is_empty() {
                return;
            }
            let (jobs, pace) = (self.jobs.clone(), Arc::clone(&self.pace));
            self.work.sends.spawn(async move {
                let queue = batch[0].item.queue;
                let messages: Vec<Outgoing> =
                    batch.iter().map(|ready| ready.message.clone()).collect();
                let (requests, refused) = step::send_paced(&jobs, queue, &messages, &pace).await;
                SentBatch {
                    batch,
                    requests,
                    refused,
                }
            });
        }
    }

    /// The next ten; fewer when no more can come.
    fn next_batch(&mut self, now: bool) -> Vec<Ready> {
        let work = &mut self.work;
        let more_may_come = !work.prepares.is_empty()
            || !work.sends.is_empty()
            || (!work.source.is_empty() && work.ahead() < AHEAD);
        work.waiting.next_batch(now || !more_may_come)
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self) -> Result<(), JobsError> {
        let work = &mut self.work;
        tokio::select! {
            done = work.prepares.join_next(), if !work.prepares.is_empty() => {
                match joined(done) {
                    Some((number, item, prepared)) => self.prepared(number, item, prepared),
                    None => Ok(()),
                }
            }
            sent = work.sends.join_next(), if !work.sends.is_empty() => {
                match joined(sent) {
                    Some(sent) => self.sent(sent).await,
                    None => Ok(()),
                }
            }
            finished = work.finishes.join_next(), if !work.finishes.is_empty() => {
                joined(finished).unwrap_or(Ok(()))
            }
        }
    }

    fn prepared(
        &mut self,
        number: usize,
        item: Item,
        prepared: Result<Prepared, JobsError>,
    ) -> Result<(), JobsError> {
        let mut failed = Ok(());
        let ready = match prepared {
            Ok(Prepared::Send(message)) => Some(Ready { item, message }),
            Ok(Prepared::Superseded(by)) => {
                tracing::debug!(job = %item.job, "{} is superseded by {by}", item.job);
                self.board.change(|figures| figures.coalesced += 1);
                if self.report.coalesced.len() < NOTES_MAX {
                    self.report.coalesced.push(Coalesced {
                        queue: item.queue,
                        job: item.job.to_string(),
                        by,
                    });
                }
                self.finish(item);
                None
            }
            Ok(Prepared::Settled(note)) => {
                tracing::info!(job = %item.job, "{} is not sent: {note}", item.job);
                self.board.change(|figures| figures.outdated += 1);
                self.finish(item);
                None
            }
            Err(error) => {
                match &error {
                    JobsError::InHand { .. }
                    | JobsError::Absent { .. }
                    | JobsError::Ledger(_)
                    | JobsError::Document(DocumentError::Unreadable { .. }) => {
                        self.refuse(&item, &error);
                    }
                    JobsError::Document(_)
                    | JobsError::Blob(_)
                    | JobsError::Queue(_)
                    | JobsError::NotAJob { .. }
                    | JobsError::Backup(_) => failed = Err(error),
                }
                None
            }
        };
        let work = &mut self.work;
        work.prepared.insert(number, ready);
        while let Some(ready) = work.prepared.remove(&work.next_ready) {
            work.next_ready += 1;
            if let Some(ready) = ready {
                work.waiting.push(ready);
            }
        }
        failed
    }

    async fn sent(&mut self, sent: SentBatch) -> Result<(), JobsError> {
        let SentBatch {
            batch,
            requests,
            refused,
        } = sent;
        self.work.waiting.unlock(&batch);
        self.board.change(|figures| figures.requests += requests);
        // They stay open with their letters: the next redrive sends them.
        let refused = refused?;
        for (at, ready) in batch.into_iter().enumerate() {
            if let Some((_, error)) = refused.iter().find(|(refused, _)| *refused == at) {
                step::take_back(&self.jobs, &ready.item, error).await?;
                self.refuse(&ready.item, error);
                continue;
            }
            self.board.change(|figures| figures.sent += 1);
            self.finish(ready.item);
        }
        Ok(())
    }

    fn finish(&mut self, item: Item) {
        let jobs = self.jobs.clone();
        self.work
            .finishes
            .spawn(async move { step::finish(&jobs, &item).await });
    }

    fn refuse(&mut self, item: &Item, error: &dyn std::error::Error) {
        self.board.change(|figures| figures.refused += 1);
        if self.report.refused.len() < NOTES_MAX {
            self.report.refused.push(Refused {
                queue: item.queue,
                job: item.job.to_string(),
                reason: crate::chain(error),
            });
        }
    }
}

async fn prepare(jobs: &Jobs, item: &Item, by: Option<&str>) -> Result<Prepared, JobsError> {
    if let Some(by) = by
        && let Some(superseded) = step::supersede(jobs, item, by).await?
    {
        return Ok(superseded);
    }
    step::prepare(jobs, item).await
}
