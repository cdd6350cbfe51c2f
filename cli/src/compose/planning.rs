//! The planner's settings from the configuration.

use chrono::TimeDelta;
use trawler_core::QueueName;
use trawler_scheduler::{PlanOptions, Prices};

use crate::config::Config;

/// An idle machine is taken away by the plan when it has been idle for its time
/// without protection and a tick has seen it, or goes by itself.
const IDLE_MAX_S: u64 = 90;

/// How capacity is planned, of the groups that are named or, where none is, of
/// both.
pub(crate) fn plan_options(config: &Config) -> PlanOptions {
    let (plan, workers) = (&config.plan, &config.workers);
    let seconds =
        |seconds: u64| TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1000));
    let groups = [
        (QueueName::Crawl, &config.capacity.crawl_group),
        (QueueName::Image, &config.capacity.image_group),
    ];
    let named = groups.iter().filter(|(_, group)| group.is_some());
    let mut queues: Vec<QueueName> = named.map(|(queue, _)| *queue).collect();
    if queues.is_empty() {
        queues = QueueName::ALL.to_vec();
    }
    let idle_s = match config.capacity.idle_exit_s {
        0 => IDLE_MAX_S,
        idle_s => idle_s.min(IDLE_MAX_S),
    };
    PlanOptions {
        queues,
        finish_within: seconds(plan.finish_within_s),
        catch_up: seconds(plan.catch_up_s),
        reserve: plan.reserve,
        boot: seconds(plan.boot_s),
        every: TimeDelta::from_std(config.scheduler.tick(config.queue.kind))
            .unwrap_or(TimeDelta::minutes(1)),
        idle: seconds(idle_s),
        usd_per_hour: Prices {
            crawl: plan.crawl_usd_per_hour,
            image: plan.image_usd_per_hour,
        },
        usd_per_day: (plan.budget_usd_per_day > 0.0).then_some(plan.budget_usd_per_day),
        crawl_slots: u32::try_from(workers.crawl_slots).unwrap_or(u32::MAX),
        image_slots: u32::try_from(workers.image_slots).unwrap_or(u32::MAX),
        image_job: seconds(plan.image_job_s),
    }
}
