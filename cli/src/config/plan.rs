//! `[plan]`: how many machines a fleet asks for, and when.

use serde::Deserialize;

use super::check::Bounds;

/// Most that a machine can be said to cost by the hour, and all of them by the
/// day.
const USD_PER_HOUR_MAX: f64 = 100.0;
const USD_PER_DAY_MAX: f64 = 1_000_000.0;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PlanConfig {
    /// Whether the scheduler sets the number of machines of the groups in
    /// `[capacity]`. Default true; with false the alarms on the queues do
    /// alone.
    pub(crate) enabled: bool,
    /// Seconds after its due instant within which a run is to be over, where
    /// its pipe does not say otherwise. Default 3600, bound 60 to 604800.
    pub(crate) finish_within_s: u64,
    /// Seconds after its earliest end within which work is to be over that is
    /// late already, as after an outage. Default 1800, bound 60 to 86400.
    pub(crate) catch_up_s: u64,
    /// How many times longer than it hardly ever does a run may take and still
    /// be over in time, as far as half of the time for which it may wait allows
    /// to begin so early. Default 3, bound 0 to 20; with 0 the fleet is the
    /// smallest, and a run that takes much longer than usual is late.
    pub(crate) reserve: u32,
    /// Seconds from the wish for a machine to its first job, which one in
    /// twenty passes: so much earlier than work is due machines are asked for,
    /// until eight of the queue have told how long they took. Default 60, bound
    /// 5 to 1800.
    pub(crate) boot_s: u64,
    /// What a machine of the crawl queue costs by the hour in US dollars, its
    /// address and disk included. Default 0.044: 2 vCPU, spot, with a public
    /// address and 40 GiB. Bound 0.001 to 100.
    pub(crate) crawl_usd_per_hour: f64,
    /// The same of the image queue. Default 0.074: 4 vCPU, and 10 GiB.
    pub(crate) image_usd_per_hour: f64,
    /// What all machines may cost in a day of UTC, in US dollars; then no other
    /// one is asked for until the next. Default 0: no bound; bound 1000000.
    pub(crate) budget_usd_per_day: f64,
    /// Seconds that an image job takes in its slot, before the scheduler has
    /// measured it. Default 20, bound 1 to 600.
    pub(crate) image_job_s: u64,
}

impl Default for PlanConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            finish_within_s: 3_600,
            catch_up_s: 1_800,
            reserve: 3,
            boot_s: 60,
            crawl_usd_per_hour: 0.044,
            image_usd_per_hour: 0.074,
            budget_usd_per_day: 0.0,
            image_job_s: 20,
        }
    }
}

impl PlanConfig {
    pub(crate) fn check(&self, bounds: &mut Bounds) {
        bounds.within("plan.finish_within_s", self.finish_within_s, 60, 604_800);
        bounds.within("plan.catch_up_s", self.catch_up_s, 60, 86_400);
        bounds.within("plan.reserve", self.reserve.into(), 0, 20);
        bounds.within("plan.boot_s", self.boot_s, 5, 1_800);
        bounds.within("plan.image_job_s", self.image_job_s, 1, 600);
        let prices = [
            ("plan.crawl_usd_per_hour", self.crawl_usd_per_hour),
            ("plan.image_usd_per_hour", self.image_usd_per_hour),
        ];
        for (key, price) in prices {
            let fits = (0.001..=USD_PER_HOUR_MAX).contains(&price);
            bounds.unless(fits, key, &price, "0.001 to 100");
        }
        bounds.unless(
            (0.0..=USD_PER_DAY_MAX).contains(&self.budget_usd_per_day),
            "plan.budget_usd_per_day",
            &self.budget_usd_per_day,
            "0 (no bound) to 1000000",
        );
    }
}
