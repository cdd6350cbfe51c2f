//! What is remembered between two decisions, by whichever process makes them:
//! since when instances boot, what was spent today, how long image jobs take.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use trawler_core::ports::Headcount;
use trawler_core::{PipeId, QueueName};

use super::images::ImageWork;
use super::options::Prices;
use crate::plan::{Crowding, Looked, Pace, TELLING_JOBS};

/// Where it lies.
pub(super) const KEY: &str = "capacity/record";

/// A gap in which nobody looked counts as no more than this.
const GAP_MAX: TimeDelta = TimeDelta::hours(1);

/// What a pipe takes of the record, its name of 64 bytes included: two numbers of
/// 24 digits and three of 20, and what they are called.
#[cfg(test)]
const PACE_BYTES_MAX: usize = 64 + 2 * 24 + 3 * 20 + 78;

/// Pipes whose image jobs are measured at once: 4,000 * 250 bytes is below the
/// 1 MiB of a document. Of more pipes those that have the most open.
const PACES_MAX: usize = 4_000;

/// The document at [`KEY`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// When somebody last looked.
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) day: Option<NaiveDate>,
    /// On `day`, by the price that is configured.
    pub(super) spent_usd: f64,
    /// Instances at `at` that are paid for, by queue.
    pub(super) live: BTreeMap<QueueName, u32>,
    /// Since when the instances that boot do so.
    pub(super) booting_since: BTreeMap<QueueName, DateTime<Utc>>,
    /// What each group was to have when it was left.
    pub(super) asked: BTreeMap<QueueName, u32>,
    /// What it was to have before it was asked for that; until somebody has seen
    /// what came of it.
    pub(super) had: BTreeMap<QueueName, u32>,
    /// Of that, so many that somebody else asked for: a person, an alarm, an
    /// update. They are not taken back, and leave by themselves when idle.
    pub(super) foreign: BTreeMap<QueueName, u32>,
    /// Of each pipe whose images are worked on.
    pub(super) paces: BTreeMap<PipeId, Pace>,
    pub(super) crowding: Crowding,
}

/// What is seen at one look.
pub(super) struct Seen<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) heads: &'a BTreeMap<QueueName, Headcount>,
    pub(super) usd_per_hour: Prices,
    pub(super) images: &'a BTreeMap<PipeId, ImageWork>,
}

impl Record {
    /// Takes a look into the record. A second look of the same instant changes
    /// nothing.
    pub(super) fn look(&mut self, seen: &Seen<'_>) {
        let today = seen.now.date_naive();
        // A clock that is behind begins no day anew; one that was days ahead is
        // not waited for.
        let is_ahead = self.day.is_some_and(|day| day - today > TimeDelta::days(1));
        if self.day < Some(today) || is_ahead {
            self.day = Some(today);
            self.spent_usd = 0.0;
        }
        let since = self.at.map_or(TimeDelta::zero(), |at| seen.now - at);
        let since = since.clamp(TimeDelta::zero(), GAP_MAX);
        let hours = since.as_seconds_f64() / 3_600.0;
        let price =
            |(queue, live): (&QueueName, &u32)| f64::from(*live) * seen.usd_per_hour.of(*queue);
        self.spent_usd += self.live.iter().map(price).sum::<f64>() * hours;
        self.measure(seen.images, since);
        for (queue, heads) in seen.heads {
            self.live.insert(*queue, heads.launched);
            self.compare(*queue, heads.wanted);
            if heads.booting == 0 {
                self.booting_since.remove(queue);
            } else {
                self.booting_since.entry(*queue).or_insert(seen.now);
            }
        }
        // Clocks of two machines differ: no minute is paid for twice. One that
        // was hours ahead is not waited for.
        let is_behind = self
            .at
            .is_some_and(|at| at - seen.now < GAP_MAX && at > seen.now);
        if !is_behind {
            self.at = Some(seen.now);
        }
    }

    /// What a group is to have that was not asked for here is somebody else's.
    /// A machine that left took its place with it; which kind it was nobody
    /// knows, and those of others are the first that are forgotten. A wish that
    /// did not reach the group is no machine that left, and one that reached it
    /// in part, because what works is not taken away, is nobody else's.
    fn compare(&mut self, queue: QueueName, wanted: u32) {
        let asked = self.asked.insert(queue, wanted).unwrap_or(0);
        if let Some(had) = self.had.remove(&queue)
            && (wanted == had || (asked..=had).contains(&wanted))
        {
            return;
        }
        let before = self.foreign(queue);
        let foreign =
            (before + wanted.saturating_sub(asked)).saturating_sub(asked.saturating_sub(wanted));
        self.foreign.insert(queue, foreign);
    }

    pub(super) fn foreign(&self, queue: QueueName) -> u32 {
        self.foreign.get(&queue).copied().unwrap_or(0)
    }

    /// How long image jobs took since the last look. A pipe without any is
    /// forgotten: its next ones may lie with another host.
    fn measure(&mut self, images: &BTreeMap<PipeId, ImageWork>, since: TimeDelta) {
        let images = self.to_measure(images);
        self.paces.retain(|pipe, _| images.contains_key(pipe));
        let mut ratios = Vec::new();
        for (pipe, work) in images {
            if !self.paces.contains_key(pipe) {
                self.paces.insert(pipe.clone(), Pace::default());
            }
            let Some(pace) = self.paces.get_mut(pipe) else {
                continue;
            };
            pace.look(&Looked {
                since_ms: since.num_milliseconds(),
                planned: work.planned,
                open: work.open,
                in_hand: work.in_hand,
            });
            if work.jobs >= TELLING_JOBS
                && let Some((job_ms, by_rate_ms)) = pace.job_ms().zip(work.by_rate_ms)
            {
                ratios.push(job_ms / by_rate_ms);
            }
        }
        if since > TimeDelta::zero() {
            self.crowding.look(&mut ratios);
        }
    }

    /// Those that have the most open, as many as the document has room for; of
    /// two alike the one that was measured before.
    fn to_measure<'a>(
        &self,
        images: &'a BTreeMap<PipeId, ImageWork>,
    ) -> BTreeMap<&'a PipeId, &'a ImageWork> {
        let mut all: Vec<(&PipeId, &ImageWork)> = images.iter().collect();
        if all.len() > PACES_MAX {
            all.sort_by_cached_key(|(pipe, work)| {
                (Reverse(work.open), !self.paces.contains_key(*pipe))
            });
            all.truncate(PACES_MAX);
        }
        all.into_iter().collect()
    }

    /// What an image job of the pipe takes on machines that have time for it;
    /// `None` before any was measured.
    pub(super) fn image_job_ms(&self, pipe: &PipeId, by_rate_ms: f64) -> Option<f64> {
        let measured = self.paces.get(pipe).and_then(Pace::job_ms);
        self.crowding.job_ms(measured, by_rate_ms)
    }

    /// So many instances are asked for now, of which some may have to boot; the
    /// group was to have `had`, and `live` are there or boot.
    pub(super) fn ask(
        &mut self,
        queue: QueueName,
        wanted: u32,
        [had, live]: [u32; 2],
        now: DateTime<Utc>,
    ) {
        self.asked.insert(queue, wanted);
        self.had.insert(queue, had);
        if wanted > live {
            self.booting_since.entry(queue).or_insert(now);
        }
    }

    /// When what boots is likely to be there: not later with every look or with
    /// every further wish, or late instances would be started a second time.
    pub(super) fn booted(
        &self,
        queue: QueueName,
        boot: TimeDelta,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let since = self.booting_since.get(&queue).copied().unwrap_or(now);
        let since = since.min(now);
        (since + boot).max(now)
    }

    /// Whether the document has to be written for what changed.
    pub(super) fn is_news(&self, before: &Self) -> bool {
        let is_live = |record: &Self| record.live.values().any(|live| *live > 0);
        is_live(self)
            || is_live(before)
            || self.asked != before.asked
            || self.had != before.had
            || self.paces != before.paces
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::ports::STATE_VALUE_BYTES_MAX;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    fn look(record: &mut Record, minute: i64, [in_service, booting]: [u32; 2]) {
        let heads = Headcount {
            in_service,
            booting,
            launched: in_service + booting,
            ..Headcount::default()
        };
        record.look(&Seen {
            now: at(minute),
            heads: &[(QueueName::Crawl, heads)].into(),
            usd_per_hour: Prices {
                crawl: 0.6,
                image: 1.2,
            },
            images: &BTreeMap::new(),
        });
    }

    #[test]
    fn spending_is_counted_by_day_and_once() {
        let mut record = Record::default();
        look(&mut record, 0, [0, 10]);
        assert_eq!(record.spent_usd, 0.0);
        look(&mut record, 1, [10, 0]);
        look(&mut record, 1, [10, 0]);
        assert!((record.spent_usd - 0.1).abs() < 1e-9, "{record:?}");
        look(&mut record, 24 * 60, [0, 0]);
        // A new day, and a gap that counts as an hour.
        assert!((record.spent_usd - 6.0).abs() < 1e-9, "{record:?}");
        look(&mut record, 24 * 60 + 1, [0, 0]);
        assert!((record.spent_usd - 6.0).abs() < 1e-9, "{record:?}");
    }

    #[test]
    fn a_clock_that_is_behind_spends_nothing_and_begins_no_day_anew() {
        let mut record = Record::default();
        look(&mut record, 24 * 60, [10, 0]);
        look(&mut record, 24 * 60 + 10, [10, 0]);
        assert!((record.spent_usd - 1.0).abs() < 1e-9, "{record:?}");
        // A minute behind, and right again: ten minutes were paid for, and two.
        look(&mut record, 24 * 60 + 9, [10, 0]);
        look(&mut record, 24 * 60 + 12, [10, 0]);
        assert!((record.spent_usd - 1.2).abs() < 1e-9, "{record:?}");
        // A day behind.
        look(&mut record, 12, [10, 0]);
        assert!((record.spent_usd - 1.2).abs() < 1e-9, "{record:?}");
    }

    /// One look from a laptop whose date is a month ahead kept the budget spent
    /// for that month.
    #[test]
    fn a_clock_that_was_days_ahead_does_not_keep_the_budget_spent() {
        let (mut record, day) = (Record::default(), 24 * 60);
        look(&mut record, day, [10, 0]);
        look(&mut record, 31 * day, [10, 0]);
        look(&mut record, day + 1, [10, 0]);
        assert!(record.spent_usd < 1e-9, "{record:?}");
        look(&mut record, day + 11, [10, 0]);
        assert!((record.spent_usd - 1.0).abs() < 1e-9, "{record:?}");
        look(&mut record, 2 * day, [0, 0]);
        assert!((record.spent_usd - 6.0).abs() < 1e-9, "{record:?}");
    }

    /// 72 machines of which none could be had for three hours spent $16.
    #[test]
    fn what_was_never_launched_is_not_paid_for() {
        let mut record = Record::default();
        let mut look = |minute, launched| {
            let heads = Headcount {
                in_service: 0,
                booting: 72,
                launched,
                wanted: 72,
                ..Headcount::default()
            };
            record.look(&Seen {
                now: at(minute),
                heads: &[(QueueName::Image, heads)].into(),
                usd_per_hour: Prices {
                    crawl: 1.0,
                    image: 1.0,
                },
                images: &BTreeMap::new(),
            });
            assert_eq!(record.booting_since[&QueueName::Image], at(0));
            record.spent_usd
        };
        for minute in 0..180 {
            assert_eq!(look(minute, 0), 0.0, "{minute}");
        }
        assert_eq!(look(180, 72), 0.0);
        assert!((look(190, 72) - 12.0).abs() < 1e-9);
    }

    #[test]
    fn a_machine_of_each_group_has_its_own_price() {
        let mut record = Record::default();
        let heads = |launched| Headcount {
            launched,
            ..Headcount::default()
        };
        for hour in [0, 1] {
            record.look(&Seen {
                now: at(hour * 60),
                heads: &[(QueueName::Crawl, heads(2)), (QueueName::Image, heads(3))].into(),
                usd_per_hour: Prices {
                    crawl: 0.1,
                    image: 1.0,
                },
                images: &BTreeMap::new(),
            });
        }
        assert!((record.spent_usd - 3.2).abs() < 1e-9, "{record:?}");
    }

    #[test]
    fn what_boots_is_not_expected_later_with_every_look() {
        let (mut record, boot) = (Record::default(), TimeDelta::seconds(90));
        let booted = |record: &Record, minute| record.booted(QueueName::Crawl, boot, at(minute));
        look(&mut record, 0, [0, 4]);
        assert_eq!(booted(&record, 0), at(0) + boot);
        look(&mut record, 1, [1, 3]);
        assert_eq!(booted(&record, 1), at(0) + boot);
        look(&mut record, 2, [1, 3]);
        assert_eq!(booted(&record, 2), at(2), "overdue: at any moment");
        look(&mut record, 3, [1, 5]);
        assert_eq!(booted(&record, 3), at(3), "two more are not waited for");
        look(&mut record, 4, [6, 0]);
        assert_eq!(booted(&record, 4), at(4) + boot);
    }

    #[test]
    fn what_others_asked_for_is_told_from_what_was_asked_for_here() {
        let mut record = Record::default();
        let mut look = |wanted: u32, ask: Option<u32>| {
            let heads = Headcount {
                wanted,
                ..Headcount::default()
            };
            record.look(&Seen {
                now: at(0),
                heads: &[(QueueName::Crawl, heads)].into(),
                usd_per_hour: Prices {
                    crawl: 0.0,
                    image: 0.0,
                },
                images: &BTreeMap::new(),
            });
            if let Some(ask) = ask {
                record.ask(QueueName::Crawl, ask, [wanted, 0], at(0));
            }
            record.foreign(QueueName::Crawl)
        };
        assert_eq!(look(0, Some(4)), 0);
        assert_eq!(look(4, None), 0);
        assert_eq!(look(6, None), 2, "a person asked for two more");
        assert_eq!(look(6, Some(3)), 2);
        assert_eq!(look(3, None), 2);
        assert_eq!(look(2, None), 1, "one left by itself");
        assert_eq!(look(2, Some(5)), 1);
        assert_eq!(look(2, None), 1, "the wish did not reach the group");
        assert_eq!(look(2, Some(5)), 1);
        assert_eq!(look(4, None), 0, "one of five left by itself");
        assert_eq!(look(0, None), 0);
    }

    /// Seven that booted were not taken back, and were somebody else's from then
    /// on.
    #[test]
    fn a_wish_that_was_cut_is_nobody_elses() {
        let mut record = Record::default();
        let mut look = |wanted: u32, ask: Option<u32>| {
            record.compare(QueueName::Crawl, wanted);
            if let Some(ask) = ask {
                record.ask(QueueName::Crawl, ask, [wanted, 0], at(0));
            }
            record.foreign(QueueName::Crawl)
        };
        assert_eq!(look(0, Some(10)), 0);
        assert_eq!(look(10, Some(0)), 0);
        assert_eq!(look(7, Some(0)), 0, "seven are not to be taken away");
        assert_eq!(look(7, None), 0, "none of them is any more");
        assert_eq!(look(7, Some(0)), 0);
        assert_eq!(look(9, None), 9, "a person asked for more than there were");
    }

    #[test]
    fn the_largest_record_fits_a_document() {
        let many = u64::MAX / 4;
        let work = |open: u64| ImageWork {
            jobs: open,
            planned: many + 3 * open,
            open: many + open,
            in_hand: many,
            by_rate_ms: Some(10_000.0 / 3.0),
            ..ImageWork::default()
        };
        let pipe = |n: u64| PipeId::parse(&format!("{n:0>64}")).unwrap();
        let pipes = 2 * PACES_MAX as u64;
        let mut record = Record::default();
        for minute in 0..3 {
            // The last ones have the most open.
            let open = |n| n * 10 + u64::try_from(7 - minute).unwrap();
            record.look(&Seen {
                now: at(minute * 7),
                heads: &QueueName::ALL
                    .map(|queue| (queue, Headcount::default()))
                    .into(),
                usd_per_hour: Prices {
                    crawl: 1.0 / 3.0,
                    image: 1.0 / 3.0,
                },
                images: &(0..pipes).map(|n| (pipe(n), work(open(n)))).collect(),
            });
        }
        for queue in QueueName::ALL {
            record.ask(queue, u32::MAX, [u32::MAX, 0], at(21));
        }
        assert_eq!(record.paces.len(), PACES_MAX);
        assert!(!record.paces.contains_key(&pipe(PACES_MAX as u64 - 1)));
        let bytes = serde_json::to_vec(&record).unwrap();
        assert!(bytes.len() < STATE_VALUE_BYTES_MAX, "{}", bytes.len());
        // And is not read as larger than the bound allows for.
        let largest = PACES_MAX * PACE_BYTES_MAX;
        assert!(bytes.len() > largest / 2 && largest < STATE_VALUE_BYTES_MAX);
    }

    /// Of pipes with as much to do those are kept that were measured.
    #[test]
    fn paces_beyond_the_bound_are_not_measured_anew_at_every_look() {
        let work = ImageWork {
            open: 5,
            ..ImageWork::default()
        };
        let pipe = |n: usize| PipeId::parse(&format!("shop-{n:0>6}")).unwrap();
        let images = |from: usize| -> BTreeMap<PipeId, ImageWork> {
            let all = from..PACES_MAX + 10;
            all.map(|n| (pipe(n), work.clone())).collect()
        };
        let mut record = Record::default();
        record.measure(&images(10), TimeDelta::zero());
        let before: Vec<PipeId> = record.paces.keys().cloned().collect();
        record.measure(&images(0), TimeDelta::zero());
        let after: Vec<PipeId> = record.paces.keys().cloned().collect();
        assert!(before == after && before.len() == PACES_MAX);
    }

    #[test]
    fn image_jobs_are_measured_by_their_pipes() {
        let pipe = PipeId::parse("shop").unwrap();
        let mut record = Record::default();
        let mut look = |minute: i64, open: u64, in_hand: u64| {
            let work = ImageWork {
                jobs: open,
                planned: 1_000,
                open,
                in_hand,
                by_rate_ms: Some(10_000.0),
                ..ImageWork::default()
            };
            let images = match open {
                0 => BTreeMap::new(),
                _ => [(pipe.clone(), work)].into(),
            };
            record.look(&Seen {
                now: at(minute),
                heads: &BTreeMap::new(),
                usd_per_hour: Prices {
                    crawl: 0.0,
                    image: 0.0,
                },
                images: &images,
            });
            record.image_job_ms(&pipe, 10_000.0)
        };
        assert_eq!(look(0, 100, 4), None);
        assert_eq!(look(1, 80, 4), Some(12_000.0));
        assert_eq!(look(1, 80, 4), Some(12_000.0), "the same look");
        assert_eq!(look(2, 0, 0), None, "nothing is kept of what is done");
    }
}
