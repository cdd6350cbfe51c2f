//! The crawl queue and its jobs: first in, first out, one job of a pipe at a
//! time, and what becomes of a job whose worker is lost.

use std::collections::{HashMap, VecDeque};

use crate::facts::Facts;
use crate::time::{Ms, ms};
use crate::workload::{RunLoad, Source};

use super::group::Group;

#[derive(Debug, Clone, Copy)]
struct Job {
    run: RunLoad,
    sent_at: Ms,
    /// Of the slot time, still to come.
    left: Ms,
    /// The delivery in hand since then, and where.
    in_hand: Option<(Ms, u32)>,
    delivery: u32,
    /// Slot time of all deliveries.
    spent: Ms,
}

/// A job that a slot takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) id: u32,
    pub(crate) delivery: u32,
    pub(crate) left: Ms,
    pub(crate) sent_at: Ms,
}

/// A job that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished {
    pub(crate) run: RunLoad,
    pub(crate) instance: u32,
    /// Slot time of its last delivery.
    pub(crate) spent: Ms,
    pub(crate) renewals: u64,
}

/// A delivery that ended without its job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    pub(crate) job: u32,
    pub(crate) spent: Ms,
    /// Of it, to be done again.
    pub(crate) lost: Ms,
    pub(crate) visible_at: Ms,
}

#[derive(Debug)]
pub(crate) struct CrawlQueue {
    jobs: Vec<Option<Job>>,
    free_jobs: Vec<u32>,
    waiting: VecDeque<u32>,
    /// Pipes with a job in hand, or hidden.
    locked: Vec<bool>,
    /// Jobs behind another one of their pipe.
    behind: HashMap<u32, VecDeque<u32>>,
    in_hand: Vec<u32>,
    /// Lost and not yet visible.
    hidden: u32,
    /// An instance for each of its free slots, the longest free first: whoever
    /// has polled longest is answered. May name instances that are gone.
    slots: VecDeque<u32>,
    visibility: Ms,
    hand_back: Ms,
    checkpoint: Ms,
}

impl CrawlQueue {
    pub(crate) fn new(facts: &Facts, pipes: usize) -> Self {
        Self {
            jobs: Vec::new(),
            free_jobs: Vec::new(),
            waiting: VecDeque::new(),
            locked: vec![false; pipes],
            behind: HashMap::new(),
            in_hand: Vec::new(),
            hidden: 0,
            slots: VecDeque::new(),
            visibility: ms(facts.get("fleet.crawl_visibility_s")),
            hand_back: ms(facts.get("latency.hand_back_s")),
            checkpoint: ms(facts.get("fleet.checkpoint_s")).max(1),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.in_hand.is_empty()
            && self.behind.is_empty()
            && self.hidden == 0
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Visible and in flight.
    pub(crate) fn depth(&self) -> (u64, u64) {
        let behind: usize = self.behind.values().map(VecDeque::len).sum();
        let visible = self.waiting.len() + behind;
        (
            visible as u64,
            self.in_hand.len() as u64 + u64::from(self.hidden),
        )
    }

    /// Runs that wait, in the queue's order.
    pub(crate) fn waiting_runs(&self) -> impl Iterator<Item = &RunLoad> {
        let behind = self.behind.values().flatten();
        let ids = self.waiting.iter().chain(behind);
        ids.filter_map(|id| self.jobs[*id as usize].as_ref())
            .map(|job| &job.run)
    }

    /// Runs in hand, and since when.
    pub(crate) fn runs_in_hand(&self) -> impl Iterator<Item = (&RunLoad, Ms)> {
        let jobs = self
            .in_hand
            .iter()
            .filter_map(|id| self.jobs[*id as usize].as_ref());
        jobs.filter_map(|job| job.in_hand.map(|(since, _)| (&job.run, since)))
    }

    pub(crate) fn send(&mut self, run: RunLoad) {
        let job = Job {
            run,
            sent_at: run.due,
            left: run.work,
            in_hand: None,
            delivery: 0,
            spent: 0,
        };
        let id = self.free_jobs.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() as u32 - 1
        });
        self.jobs[id as usize] = Some(job);
        self.waiting.push_back(id);
    }

    /// An instance polls with all its slots.
    pub(crate) fn come(&mut self, instance: u32, slots: u32) {
        self.slots.extend((0..slots).map(|_| instance));
    }

    pub(crate) fn give_back(&mut self, instance: u32) {
        self.slots.push_back(instance);
    }

    /// The slot that has been free longest.
    pub(crate) fn free_slot(&mut self, group: &Group) -> Option<u32> {
        loop {
            let instance = self.slots.pop_front()?;
            if group.is_serving(instance) {
                return Some(instance);
            }
        }
    }

    /// The first job whose pipe has none in hand.
    pub(crate) fn take(&mut self, now: Ms, instance: u32) -> Option<Taken> {
        while let Some(id) = self.waiting.pop_front() {
            let job = self.jobs[id as usize].as_mut()?;
            let pipe = job.run.pipe;
            if self.locked[pipe as usize] {
                self.behind.entry(pipe).or_default().push_back(id);
                continue;
            }
            self.locked[pipe as usize] = true;
            job.in_hand = Some((now, instance));
            job.delivery += 1;
            self.in_hand.push(id);
            return Some(Taken {
                id,
                delivery: job.delivery,
                left: job.left,
                sent_at: job.sent_at,
            });
        }
        None
    }

    pub(crate) fn done(&mut self, now: Ms, id: u32, delivery: u32) -> Option<Finished> {
        let job = self.jobs[id as usize].filter(|job| job.delivery == delivery)?;
        let (since, instance) = job.in_hand?;
        self.jobs[id as usize] = None;
        self.free_jobs.push(id);
        self.in_hand.retain(|in_hand| *in_hand != id);
        self.unlock(job.run.pipe);
        let spent = now - since;
        let half = (self.visibility / 2).max(1);
        Some(Finished {
            run: job.run,
            instance,
            spent,
            renewals: (job.spent + spent) / half,
        })
    }

    fn unlock(&mut self, pipe: u32) {
        self.locked[pipe as usize] = false;
        let Some(behind) = self.behind.get_mut(&pipe) else {
            return;
        };
        if let Some(next) = behind.pop_front() {
            self.waiting.push_front(next);
        }
        if behind.is_empty() {
            self.behind.remove(&pipe);
        }
    }

    /// What an instance had in hand. With notice it hands back: a site puts
    /// away what it has, a feed begins anew. Without, messages are hidden until
    /// the lease that was renewed last has run out.
    pub(crate) fn lose(&mut self, now: Ms, instance: u32, noticed: bool) -> Vec<Lost> {
        let (jobs, visibility, checkpoint) = (&mut self.jobs, self.visibility, self.checkpoint);
        let hand_back = self.hand_back;
        let mut found = Vec::new();
        self.in_hand.retain(|id| {
            let Some(job) = jobs[*id as usize].as_mut() else {
                return false;
            };
            let Some((since, of)) = job.in_hand else {
                return false;
            };
            if of != instance {
                return true;
            }
            let spent = (now - since).min(job.left);
            let lost = match (job.run.source, noticed) {
                (Source::Feed, _) => spent,
                (Source::Site, true) => 0,
                (Source::Site, false) => spent % checkpoint,
            };
            job.left -= spent - lost;
            job.left = job.left.max(1);
            job.spent += spent;
            job.in_hand = None;
            let half = (visibility / 2).max(1);
            let visible_at = match noticed {
                true => now + hand_back,
                false => since + (now - since) / half * half + visibility,
            };
            found.push(Lost {
                job: *id,
                spent,
                lost,
                visible_at,
            });
            false
        });
        self.hidden += found.len() as u32;
        found
    }

    /// It is at the front: its message is older than those that wait.
    pub(crate) fn visible_again(&mut self, id: u32) {
        self.hidden -= 1;
        let pipe = self.jobs[id as usize].map(|job| job.run.pipe);
        if let Some(pipe) = pipe {
            self.locked[pipe as usize] = false;
            self.waiting.push_front(id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workload::ImageLoad;

    fn run(pipe: u32, work: Ms, source: Source) -> RunLoad {
        RunLoad {
            pipe,
            due: 0,
            work,
            source,
            rows: 0,
            deadline: Ms::MAX,
            planned: true,
            images: ImageLoad {
                changed: 0.0,
                unchanged: 0.0,
                per_s: 1.0,
            },
        }
    }

    fn queue() -> CrawlQueue {
        CrawlQueue::new(&Facts::default(), 3)
    }

    #[test]
    fn a_pipe_is_worked_on_once_at_a_time() {
        let mut queue = queue();
        queue.send(run(0, 1_000, Source::Feed));
        queue.send(run(0, 2_000, Source::Feed));
        queue.send(run(1, 3_000, Source::Feed));
        let first = queue.take(0, 7).unwrap();
        let second = queue.take(0, 7).unwrap();
        assert_eq!((first.left, second.left), (1_000, 3_000));
        assert!(queue.take(0, 8).is_none());
        assert_eq!(queue.depth(), (1, 2));
        assert_eq!(queue.done(1_000, first.id, 1).unwrap().spent, 1_000);
        assert_eq!(queue.take(1_000, 7).unwrap().left, 2_000);
    }

    #[test]
    fn a_feed_begins_anew_and_a_site_goes_on() {
        let check = |source, noticed, lost, left, visible_at| {
            let mut queue = queue();
            queue.send(run(0, 1_000_000, source));
            queue.take(0, 7).unwrap();
            let found = queue.lose(400_000, 7, noticed);
            assert_eq!((found[0].spent, found[0].lost), (400_000, lost));
            // Renewed at 150 s and 300 s: visible 300 s after the latter.
            assert_eq!(found[0].visible_at, visible_at);
            assert!(queue.take(400_000, 8).is_none() && !queue.is_empty());
            queue.visible_again(found[0].job);
            assert_eq!(queue.take(600_000, 8).unwrap().left, left);
        };
        check(Source::Feed, true, 400_000, 1_000_000, 403_000);
        check(Source::Feed, false, 400_000, 1_000_000, 600_000);
        check(Source::Site, true, 0, 600_000, 403_000);
        // 30 s between checkpoints: the last was at 390 s.
        check(Source::Site, false, 10_000, 610_000, 600_000);
    }

    #[test]
    fn a_delivery_that_was_lost_does_not_end_its_job() {
        let mut queue = queue();
        queue.send(run(0, 1_000, Source::Feed));
        let taken = queue.take(0, 7).unwrap();
        let lost = queue.lose(500, 7, true);
        queue.visible_again(lost[0].job);
        assert!(queue.done(1_000, taken.id, taken.delivery).is_none());
        let again = queue.take(4_000, 8).unwrap();
        assert!(queue.done(5_000, again.id, taken.delivery).is_none());
        assert!(queue.done(5_000, again.id, again.delivery).is_some());
        assert!(queue.is_empty());
    }
}
