//! Settings of the planner, and what they come to for one group.

use chrono::TimeDelta;
use trawler_core::QueueName;
use trawler_core::ports::Headcount;

use crate::plan::{Fleet, Limits};

/// What an instance of each group costs by the hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    pub crawl: f64,
    pub image: f64,
}

impl Prices {
    pub(super) fn of(self, queue: QueueName) -> f64 {
        match queue {
            QueueName::Crawl => self.crawl,
            QueueName::Image => self.image,
        }
    }
}

/// How capacity is planned.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// The queues whose workers are a group.
    pub queues: Vec<QueueName>,
    /// After its due instant a run is over within so long, unless its pipe says
    /// otherwise.
    pub finish_within: TimeDelta,
    /// Work that is late anyway is over so long after its earliest end.
    pub catch_up: TimeDelta,
    /// How many times longer than it hardly ever does a run may take and still
    /// be over in time, where there is time for it.
    pub reserve: u32,
    /// From the wish for an instance to its first job, the 95th percentile:
    /// until enough of them have told how long it took.
    pub boot: TimeDelta,
    /// Between two decisions.
    pub every: TimeDelta,
    /// After so long without work an instance is gone.
    pub idle: TimeDelta,
    /// What an instance costs.
    pub usd_per_hour: Prices,
    /// What all of them may cost in a day of UTC; `None`: whatever it takes.
    pub usd_per_day: Option<f64>,
    pub crawl_slots: u32,
    pub image_slots: u32,
    /// An image job in its slot, before any was measured.
    pub image_job: TimeDelta,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            queues: QueueName::ALL.to_vec(),
            finish_within: TimeDelta::hours(1),
            catch_up: TimeDelta::minutes(30),
            reserve: 3,
            boot: TimeDelta::seconds(60),
            every: TimeDelta::seconds(60),
            idle: TimeDelta::seconds(60),
            usd_per_hour: Prices {
                crawl: 0.044,
                image: 0.074,
            },
            usd_per_day: None,
            crawl_slots: 2,
            image_slots: 4,
            image_job: TimeDelta::seconds(20),
        }
    }
}

impl PlanOptions {
    pub(super) fn image_job_ms(&self) -> i64 {
        self.image_job.num_milliseconds()
    }

    pub(super) fn limits(
        &self,
        queue: QueueName,
        heads: &Headcount,
        spent_usd: f64,
        boot: TimeDelta,
    ) -> Limits {
        Limits {
            min: heads.min,
            max: heads.max,
            slots: match queue {
                QueueName::Crawl => self.crawl_slots,
                QueueName::Image => self.image_slots,
            },
            boot_ms: boot.num_milliseconds(),
            every_ms: self.every.num_milliseconds(),
            catch_up_ms: self.catch_up.num_milliseconds(),
            reserve: self.reserve,
            idle_ms: self.idle.num_milliseconds(),
            usd_per_hour: self.usd_per_hour.of(queue),
            budget_usd: self.usd_per_day.map(|day| (day - spent_usd).max(0.0)),
        }
    }
}

/// The group as the planner sees it; `booted_ms` is when what boots is there.
pub(super) fn fleet(heads: &Headcount, booted_ms: i64) -> Fleet {
    Fleet {
        in_service: heads.in_service,
        busy: heads.busy,
        booting: heads.booting,
        booted_ms,
    }
}
