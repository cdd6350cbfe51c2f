//! What is remembered between two decisions, by whichever process makes them:
//! since when instances boot, what was spent today, how long image jobs take.

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

/// The document at [`KEY`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// When somebody last looked.
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) day: Option<NaiveDate>,
    /// On `day`, by the price that is configured.
    pub(super) spent_usd: f64,
    /// Instances at `at`, by queue.
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
        // A clock that is behind begins no day anew.
        if self.day < Some(today) {
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
            let all = heads.in_service + heads.booting + heads.leaving;
            self.live.insert(*queue, all);
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
    /// did not reach the group is no machine that left.
    fn compare(&mut self, queue: QueueName, wanted: u32) {
        let asked = self.asked.insert(queue, wanted).unwrap_or(0);
        if self.had.remove(&queue) == Some(wanted) {
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
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    fn look(record: &mut Record, minute: i64, [in_service, booting]: [u32; 2]) {
        let heads = Headcount {
            in_service,
            booting,
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

    #[test]
    fn a_machine_of_each_group_has_its_own_price() {
        let mut record = Record::default();
        let heads = |in_service| Headcount {
            in_service,
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
