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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use trawler_core::ports::{Capacity, CapacityError, Completion, Headcount, Metric, Metrics};
    use trawler_scheduler::{Apply, PlanError};

    use super::*;
    use crate::compose::{self, Machine};
    use crate::config::Loaded;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    /// The simulated planner has the scheduler's own defaults.
    #[test]
    fn a_fleet_without_settings_is_planned_by_the_defaults_of_the_scheduler() {
        let found = plan_options(&config("[queue]\nkind = \"sqs\"\n"));
        let expected = PlanOptions {
            // A machine that does not end itself is idle until a tick sees it.
            idle: TimeDelta::seconds(90),
            ..PlanOptions::default()
        };
        assert_eq!(found, expected);
        // On one machine a tick comes each second.
        let found = plan_options(&Config::default());
        let every = TimeDelta::seconds(1);
        assert_eq!(found, PlanOptions { every, ..expected });
    }

    #[test]
    fn each_key_arrives() {
        let found = plan_options(&config(
            "[queue]\nkind = \"sqs\"\n\
             [workers]\ncrawl_slots = 3\nimage_slots = 5\n\
             [scheduler]\ntick_ms = 30_000\n\
             [capacity]\ncrawl_group = \"c\"\nidle_exit_s = 75\n\
             [plan]\nfinish_within_s = 7_200\ncatch_up_s = 600\nreserve = 5\nboot_s = 90\n\
             crawl_usd_per_hour = 0.5\nimage_usd_per_hour = 0.25\n\
             budget_usd_per_day = 12.5\nimage_job_s = 30\n",
        ));
        let expected = PlanOptions {
            queues: vec![QueueName::Crawl],
            finish_within: TimeDelta::hours(2),
            catch_up: TimeDelta::minutes(10),
            reserve: 5,
            boot: TimeDelta::seconds(90),
            every: TimeDelta::seconds(30),
            idle: TimeDelta::seconds(75),
            usd_per_hour: Prices {
                crawl: 0.5,
                image: 0.25,
            },
            usd_per_day: Some(12.5),
            crawl_slots: 3,
            image_slots: 5,
            image_job: TimeDelta::seconds(30),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn groups_that_are_named_are_planned_and_idle_ones_leave() {
        let check = |capacity: &str, queues: &[QueueName], idle_s: i64| {
            let found = plan_options(&config(&format!("[capacity]\n{capacity}")));
            assert_eq!(found.queues, queues, "{capacity}");
            assert_eq!(found.idle, TimeDelta::seconds(idle_s), "{capacity}");
        };
        check("", &QueueName::ALL, 90);
        check("idle_exit_s = 60\n", &QueueName::ALL, 60);
        check(
            "image_group = \"i\"\nidle_exit_s = 300\n",
            &[QueueName::Image],
            90,
        );
        check(
            "image_group = \"i\"\ncrawl_group = \"c\"\n",
            &QueueName::ALL,
            90,
        );
    }

    /// Groups that are to have one machine at least, and what was asked for and
    /// told.
    #[derive(Default)]
    struct Groups {
        wishes: Mutex<Vec<(QueueName, u32)>>,
        planned: Mutex<Vec<bool>>,
    }

    #[async_trait]
    impl Capacity for Groups {
        async fn want(&self, queue: QueueName, workers: u32) -> Result<(), CapacityError> {
            self.wishes.lock().unwrap().push((queue, workers));
            Ok(())
        }

        async fn headcount(&self, _: QueueName) -> Result<Headcount, CapacityError> {
            Ok(Headcount {
                min: 1,
                max: 5,
                ..Headcount::default()
            })
        }

        async fn protect(&self, _: bool) -> Result<(), CapacityError> {
            Ok(())
        }

        async fn leave(&self) -> Result<(), CapacityError> {
            Ok(())
        }

        async fn replace(&self) -> Result<(), CapacityError> {
            Ok(())
        }

        async fn complete(&self) -> Result<Completion, CapacityError> {
            Ok(Completion::NoHook)
        }
    }

    impl Metrics for Groups {
        fn record(&self, metric: Metric) {
            if let Metric::CapacityPlanned { planned } = metric {
                self.planned.lock().unwrap().push(planned);
            }
        }
    }

    #[tokio::test]
    async fn with_plan_enabled_false_nobody_asks_and_the_alarms_decide() {
        use QueueName::{Crawl, Image};
        for (enabled, wishes) in [(true, &[(Crawl, 1), (Image, 1)][..]), (false, &[])] {
            let dir = tempfile::tempdir().unwrap();
            let loaded = Loaded {
                dir: dir.path().to_owned(),
                config: config(&format!("[plan]\nenabled = {enabled}\n")),
                pipes: Vec::new(),
                read: compose::now(),
            };
            let mut machine = Machine::open(&loaded).await.unwrap();
            let groups = Arc::new(Groups::default());
            machine.ports.metrics = groups.clone();
            let capacity: Arc<dyn Capacity> = groups.clone();
            let scheduler = machine.scheduler(&loaded, Some(&capacity));
            scheduler.tick().await.unwrap();
            assert_eq!(*groups.wishes.lock().unwrap(), wishes);
            assert_eq!(*groups.planned.lock().unwrap(), [enabled]);
            let scaled = scheduler.scale(Apply::No).await;
            let is_refused = matches!(scaled, Err(PlanError::NotHere));
            assert_eq!(is_refused, !enabled, "{scaled:?}");
        }
    }
}
