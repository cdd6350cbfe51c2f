//! The crawl itself: entries are claimed from the frontier, visited beside one
//! another, and settled with what they gave, until none is left or a bound is
//! reached. One task owns the frontier; visits are its children and end with
//! it.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use trawler_core::RunId;
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{JobContext, Ports, chain};

use super::super::frontier::{Claimed, Entry, Frontier, FrontierError, Lane, Settled};
use super::super::links::Traps;
use super::super::url::CanonicalUrl;
use super::checkpoint::{NotPut, Segment, SiteCheckpoint, Tally};
use super::kind::{Kind, Outcome};
use super::lists::{ListPage, Lists};
use super::visit::{Done, Find, Visit};
use super::visitor::Visitor;

/// Attempts at one page; each has retries of its own in the fetcher.
const ATTEMPTS_MAX: u8 = 3;

/// How often the crawl looks whether it may go on, and shows how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Finds that a visit has handed over and nobody has taken in yet, in batches.
pub(super) const BATCHES_WAITING: usize = 4;

/// Journal that is put away before it is time: what an upload and a death may
/// cost stays small at any speed.
const PUT_AWAY_BYTES: u64 = 32 << 20;

/// A worker that leaves has 5 s in all.
const LAST_PUT_WITHIN: Duration = Duration::from_secs(3);

/// A rest that is longer is spent parked.
const REST_IN_PLACE_MAX: Duration = Duration::from_secs(60);

/// One crawl.
pub(super) struct Crawl<'a> {
    pub(super) ctx: &'a JobContext,
    pub(super) ports: &'a Ports,
    pub(super) run: &'a RunId,
    pub(super) visitor: Arc<Visitor>,
    pub(super) frontier: Frontier,
    /// To be asked for once the sitemaps are read.
    pub(super) later: Vec<Find>,
    pub(super) checkpoint: SiteCheckpoint,
    /// Closed segments that are not among the blobs yet, by number.
    pub(super) not_put: VecDeque<(u32, PathBuf)>,
    pub(super) bounds: CrawlBounds,
    pub(super) traps: Traps,
}

/// What one run may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct CrawlBounds {
    pub(super) visits_at_once: usize,
    pub(super) pages_max: u64,
    pub(super) sitemaps_max: u64,
    /// Work is put away so often.
    pub(super) put_every: Duration,
    /// Time of work, all deliveries of the run together.
    pub(super) whole: Duration,
}

/// Why a crawl ended before its frontier was empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Pages,
    Time,
}

/// A crawl that is over.
pub(super) struct Ended {
    pub(super) frontier: Frontier,
    pub(super) cut: Option<Cut>,
    pub(super) tally: Tally,
}

type Visited = (u64, Visit);

/// What is under way.
struct Way {
    visits: JoinSet<Visited>,
    /// By the number of the visit, which its task carries.
    claimed: HashMap<u64, Claimed>,
    next: u64,
    batches: mpsc::Receiver<Vec<Find>>,
    finds: mpsc::Sender<Vec<Find>>,
    /// Work of the deliveries before this one.
    earlier: Duration,
    /// Monotonic, as those below.
    began: Duration,
    looked: Duration,
    put: Duration,
    put_bytes: u64,
    rests_until: Duration,
    rest_reason: String,
    cut: Option<Cut>,
}

impl Crawl<'_> {
    /// To the end, or as far as the job may go: then everything that was
    /// settled is put away for the next delivery.
    pub(super) async fn run(mut self) -> Result<Ended, Ending> {
        let (finds, batches) = mpsc::channel(BATCHES_WAITING);
        let now = self.ports.clock.monotonic();
        let mut way = Way {
            visits: JoinSet::new(),
            claimed: HashMap::new(),
            next: 0,
            earlier: Duration::from_millis(self.checkpoint.tally.worked_ms),
            began: now,
            batches,
            finds,
            looked: now,
            put: now,
            put_bytes: self.frontier.journal_bytes(),
            rests_until: now,
            rest_reason: String::new(),
            cut: None,
        };
        match self.drive(&mut way).await {
            Ok(()) => Ok(Ended {
                frontier: self.frontier,
                cut: way.cut,
                tally: self.checkpoint.tally,
            }),
            Err(ending) => {
                way.visits.shutdown().await;
                self.count_work(&way);
                if let Ending::NotBefore { .. } = &ending {
                    let now = self.ports.clock.monotonic();
                    let rest = way.rests_until.saturating_sub(now);
                    self.checkpoint.tally.worked_ms += millis(rest);
                }
                self.put_away_last(&ending).await;
                Err(ending)
            }
        }
    }

    async fn drive(&mut self, way: &mut Way) -> Result<(), Ending> {
        loop {
            self.claim(way)?;
            if way.visits.is_empty() && !self.is_waiting(way) {
                return Ok(());
            }
            let clock = Arc::clone(&self.ports.clock);
            tokio::select! {
                biased;
                Some(batch) = way.batches.recv() => self.take_in(&batch)?,
                Some(visited) = way.visits.join_next() => self.settle(way, visited)?,
                () = clock.sleep(LOOK_EVERY) => {}
            }
            while let Some(visited) = way.visits.try_join_next() {
                self.settle(way, visited)?;
            }
            if self.ports.clock.monotonic().saturating_sub(way.looked) >= LOOK_EVERY {
                self.look(way).await?;
            }
        }
    }

    /// Entries are left and the host is resting.
    fn is_waiting(&self, way: &Way) -> bool {
        way.cut.is_none() && self.pending() > 0
    }

    /// Entries that are not settled, those under way among them.
    fn pending(&self) -> u64 {
        let counters = self.frontier.counters();
        Lane::ALL.iter().map(|lane| counters.pending(*lane)).sum()
    }

    /// Starts as many visits as there is room for.
    fn claim(&mut self, way: &mut Way) -> Result<(), Ending> {
        if way.cut.is_some() || way.rests_until > self.ports.clock.monotonic() {
            return Ok(());
        }
        if self.frontier.counters().pending(Lane::Source) == 0 {
            let later = std::mem::take(&mut self.later);
            self.take_in(&later)?;
        }
        while way.visits.len() < self.bounds.visits_at_once {
            if asked(&self.frontier) + way.visits.len() as u64 >= self.bounds.pages_max {
                let is_more = self.pending() > way.visits.len() as u64 || !self.later.is_empty();
                way.cut = is_more.then_some(Cut::Pages);
                return Ok(());
            }
            let Some(claimed) = self.frontier.claim().map_err(broken)? else {
                return Ok(());
            };
            let (number, entry) = (way.next, claimed.entry().clone());
            way.next += 1;
            way.claimed.insert(number, claimed);
            let (visitor, finds) = (Arc::clone(&self.visitor), way.finds.clone());
            way.visits
                .spawn(async move { (number, visitor.visit(&entry, &finds).await) });
        }
        Ok(())
    }

    fn settle(&mut self, way: &mut Way, visited: Result<Visited, JoinError>) -> Result<(), Ending> {
        let (number, visit) = match visited {
            Ok(visited) => visited,
            Err(error) if error.is_cancelled() => return Ok(()),
            Err(error) => {
                let reason = format!("visit a page: {error}");
                return Err(Ending::Failed(Failure::transient(reason)));
            }
        };
        // What the visit handed over is in the channel before its end is told.
        while let Ok(batch) = way.batches.try_recv() {
            self.take_in(&batch)?;
        }
        let Some(claimed) = way.claimed.remove(&number) else {
            return Ok(());
        };
        match visit {
            Visit::Done(done) => self.done(claimed, *done),
            Visit::Again { why } if claimed.entry().attempt + 1 < ATTEMPTS_MAX => {
                tracing::debug!(run = %self.run, url = claimed.entry().url, "asked again later: {why}");
                self.frontier.again(claimed).map_err(broken)
            }
            Visit::Again { why } => {
                let done = self.visitor.given_up(claimed.entry(), &why);
                self.done(claimed, done)
            }
            Visit::Resting { wait, why } => {
                let until = self.ports.clock.monotonic() + wait;
                if until > way.rests_until {
                    way.rests_until = until;
                    way.rest_reason = why;
                }
                self.frontier.hand_back(claimed);
                Ok(())
            }
        }
    }

    fn done(&mut self, claimed: Claimed, mut done: Done) -> Result<(), Ending> {
        self.take_in(&done.finds)?;
        if let Some(page) = done.list.take() {
            self.go_on_with_list(claimed.entry(), &page, &mut done)?;
        }
        if let Some(also) = &done.also {
            self.frontier.know(also.as_str()).map_err(broken)?;
        }
        self.checkpoint.tally.bytes_down += done.bytes_down;
        let settled = Settled {
            outcome: done.outcome.code(),
            payload: &done.rows,
            facts: &done.facts.to_bytes(),
        };
        self.frontier.settle(claimed, &settled).map_err(broken)?;
        Ok(())
    }

    /// What comes after a page of a list, or why nothing does.
    fn go_on_with_list(
        &mut self,
        entry: &Entry,
        page: &ListPage,
        done: &mut Done,
    ) -> Result<(), Ending> {
        // What comes next is added before the products count as named: a page
        // that is read again after a death brings as much as before.
        let mut new = Vec::new();
        for product in page.products() {
            let key = Lists::met_key(entry, product);
            if !self.frontier.knows(&key).map_err(broken)? {
                new.push(key);
            }
        }
        let rules = &self.visitor.rules;
        let on = rules
            .lists
            .next(entry, page, new.len() as u64, &rules.links);
        if let Some(find) = on.find {
            self.take_in(&[find])?;
        }
        for key in &new {
            self.frontier.know(key).map_err(broken)?;
        }
        done.outcome = on.outcome;
        if let Some(why) = on.why {
            done.facts = std::mem::take(&mut done.facts).because(&why);
        }
        if let Some(note) = on.note {
            done.facts = std::mem::take(&mut done.facts).noting(&note);
        }
        Ok(())
    }

    fn take_in(&mut self, finds: &[Find]) -> Result<(), Ending> {
        for find in finds {
            if self.is_admitted(find)? {
                take_in(&mut self.frontier, std::slice::from_ref(find))?;
            }
        }
        Ok(())
    }

    /// Whether there is room for one more of its kind.
    fn is_admitted(&mut self, find: &Find) -> Result<bool, Ending> {
        let is_sitemap = find.kind == Kind::Sitemap;
        if !is_sitemap && !find.is_counted {
            return Ok(true);
        }
        let key = find.kind.key(find.source, &find.url);
        if self.frontier.knows(&key).map_err(broken)? {
            return Ok(false);
        }
        let tally = &mut self.checkpoint.tally;
        if is_sitemap {
            let has_room = tally.sitemaps < self.bounds.sitemaps_max;
            match has_room {
                true => tally.sitemaps += 1,
                false => tally.sitemaps_left += 1,
            }
            return Ok(has_room);
        }
        let url = CanonicalUrl::stored(&find.url);
        let is_free = url.is_some_and(|url| self.traps.admit(&url).is_ok());
        if !is_free {
            tally.urls_left += 1;
        }
        Ok(is_free)
    }

    /// Between two steps: whether the job may go on, how far it is, what has to
    /// be put away.
    async fn look(&mut self, way: &mut Way) -> Result<(), Ending> {
        let clock = &self.ports.clock;
        way.looked = clock.monotonic();
        self.ctx.step().await?;
        let counters = self.frontier.counters();
        let (settled, all) = (counters.settled_total(), counters.added);
        self.ctx.progress("crawl", settled, Some(all));
        let worked = self.count_work(way);
        let is_more = self.pending() > 0 || !self.later.is_empty();
        if worked >= self.bounds.whole && is_more {
            way.cut = way.cut.or(Some(Cut::Time));
            // What is under way may take as long as a partner likes; it stays
            // pending, as what was not begun.
            way.visits.abort_all();
        }
        let clock = &self.ports.clock;
        let rest = way.rests_until.saturating_sub(clock.monotonic());
        if rest > REST_IN_PLACE_MAX && way.visits.is_empty() {
            return Err(Ending::NotBefore {
                due: clock.now() + rest,
                reason: way.rest_reason.clone(),
            });
        }
        let due = clock.monotonic().saturating_sub(way.put) >= self.bounds.put_every;
        let much = self.frontier.journal_bytes().saturating_sub(way.put_bytes) >= PUT_AWAY_BYTES;
        if due || much {
            self.put_away().await?;
            way.put = self.ports.clock.monotonic();
            way.put_bytes = self.frontier.journal_bytes();
        }
        Ok(())
    }

    /// Brings the time of work up to date.
    fn count_work(&mut self, way: &Way) -> Duration {
        let now = self.ports.clock.monotonic();
        let worked = way.earlier + now.saturating_sub(way.began);
        self.checkpoint.tally.worked_ms = millis(worked);
        worked
    }

    /// Puts what was settled since the last time where another machine finds
    /// it. What cannot be put now is put the next time.
    async fn put_away(&mut self) -> Result<(), Ending> {
        if let Some(segment) = self.frontier.cut().map_err(broken)? {
            self.not_put.push_back((segment.number, segment.path));
        }
        while let Some((number, path)) = self.not_put.front() {
            let segment = Segment {
                number: *number,
                path,
            };
            let cookies = self.visitor.cookies.as_ref().map(|jar| jar.saved());
            self.checkpoint.paths = self.traps.kept();
            let (ctx, run, blobs) = (self.ctx, self.run, &*self.ports.blobs);
            match self.checkpoint.add(blobs, ctx, run, segment, cookies).await {
                Ok(()) => {}
                Err(NotPut::Overtaken) => return Err(Ending::HandedBack),
                Err(NotPut::Failed(failure)) => {
                    tracing::warn!(run = %self.run, "where the crawl of {} stands is not put away yet: {}", self.run, failure.reason);
                    return Ok(());
                }
            }
            self.not_put.pop_front();
        }
        Ok(())
    }

    /// The same, for a job that ends here, with what was counted. What does not
    /// succeed is done again.
    async fn put_away_last(&mut self, ending: &Ending) {
        let putting = async {
            self.put_away()
                .await
                .map_err(|ending| format!("{ending:?}"))?;
            let saved = self.checkpoint.save(self.ctx).await;
            saved.map_err(|not_put| match not_put {
                NotPut::Overtaken => "a later delivery has the job".to_owned(),
                NotPut::Failed(failure) => failure.reason,
            })
        };
        let failed = match tokio::time::timeout(LAST_PUT_WITHIN, putting).await {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_) => format!("not within {} s", LAST_PUT_WITHIN.as_secs()),
        };
        tracing::warn!(run = %self.run, ?ending, "the last steps of the crawl of {} were not put away: {failed}", self.run);
    }
}

/// Offers what was found to the frontier.
pub(super) fn take_in(frontier: &mut Frontier, finds: &[Find]) -> Result<(), Ending> {
    for find in finds {
        let lane = match find.kind {
            Kind::Page => Lane::Page,
            Kind::Sitemap | Kind::Category | Kind::Json => Lane::Source,
        };
        let entry = Entry {
            depth: find.depth,
            kind: find.kind.code(),
            source: find.source,
            page: find.page,
            lastmod: find.lastmod,
            ..Entry::new(lane, find.url.as_str())
        };
        let key = find.kind.key(find.source, &find.url);
        frontier.add(&key, &entry).map_err(broken)?;
    }
    Ok(())
}

/// Pages that were asked for, sitemaps and pages of lists included.
pub(super) fn asked(frontier: &Frontier) -> u64 {
    let settled = &frontier.counters().settled;
    let was_asked = |outcome: Outcome| outcome.was_asked() || outcome.is_list();
    let asked = settled
        .iter()
        .filter(|(code, _)| Outcome::of_code(**code).is_some_and(was_asked));
    asked.map(|(_, count)| count).sum()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The scratch disk, or a journal that is not what was written. The next
/// delivery begins with what was put away.
fn failure(error: &FrontierError) -> Failure {
    Failure::transient(chain(error))
}

pub(super) fn broken(error: FrontierError) -> Ending {
    Ending::Failed(failure(&error))
}
