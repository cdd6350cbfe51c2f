//! Products that `images verify` listed become refetches, whoever looked: a
//! person, or a worker by the clock. Their jobs are recorded and not sent, since
//! a worker of a fleet may send none; the next tick sends them.

use trawler_core::refetch::Wanted;
use trawler_scheduler::{Scheduler, SchedulerError};
use trawler_upkeep::Repair;

/// What became of the lists.
#[derive(Debug, Default)]
pub(crate) struct Repairing {
    /// Products that are fetched again.
    pub(crate) products: u64,
    /// Why others are not, a sentence a pipe.
    pub(crate) left: Vec<String>,
}

pub(crate) async fn plan_repairs(
    scheduler: &Scheduler,
    repairs: &[Repair],
) -> Result<Repairing, SchedulerError> {
    let mut repairing = Repairing::default();
    for repair in repairs {
        let (pipe, key) = (&repair.pipe, repair.list.clone());
        let planned = scheduler.record_refetch(pipe, Wanted::Listed { key });
        match planned.await {
            Ok(Some(_)) => repairing.products += repair.products,
            Ok(None) => repairing.left.push(format!(
                "pipe {pipe}: images are being fetched again already; what is left of it the next `images verify --repair` finds"
            )),
            // Retired since its products were listed.
            Err(error @ SchedulerError::NotCollected { .. }) => {
                repairing.left.push(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(repairing)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::Duration;

    use trawler_core::pipe::{Pipe, PipeState};
    use trawler_core::{PipeId, QueueName};
    use trawler_fleet::Ports;
    use trawler_local::{CountingMetrics, LocalStore, QueueOptions, SystemClock};
    use trawler_scheduler::SchedulerOptions;

    use super::*;

    fn pipe_in(id: &str, state: PipeState) -> Pipe {
        let file = serde_json::json!({
            "source": {"kind": "file", "path": "feed.tsv"},
            "feed": {"format": "naver-ep", "mode": "full"},
            "schedule": {"cron": "0 3 * * *", "zone": "UTC"},
        });
        Pipe {
            id: PipeId::parse(id).unwrap(),
            state,
            ..serde_json::from_value(file).unwrap()
        }
    }

    #[tokio::test]
    async fn repairs_are_recorded_pipe_by_pipe_and_sent_by_the_tick() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock::new());
        let store = LocalStore::open(dir.path(), clock.clone()).await.unwrap();
        let options = QueueOptions {
            visibility: Duration::from_secs(60),
            receive_count_max: 10,
        };
        let queue = |name| Arc::new(store.queue(name, options).unwrap());
        let ports = Ports {
            state: Arc::new(store.state()),
            blobs: Arc::new(store.blobs()),
            crawl: queue(QueueName::Crawl),
            image: queue(QueueName::Image),
            clock,
            metrics: Arc::new(CountingMetrics::new()),
        };
        let pipes = vec![
            pipe_in("left", PipeState::Retired),
            pipe_in("mall", PipeState::Hidden),
            pipe_in("shop", PipeState::Live),
        ];
        let scheduler = Scheduler::new(ports.clone(), pipes.into(), SchedulerOptions::default());
        let repair = |pipe: &str, products| Repair {
            pipe: PipeId::parse(pipe).unwrap(),
            products,
            list: format!("refetches/{pipe}/1"),
        };
        let repairs = [repair("left", 1), repair("mall", 2), repair("shop", 3)];
        let first = plan_repairs(&scheduler, &repairs).await.unwrap();
        let second = plan_repairs(&scheduler, &repairs).await.unwrap();
        assert_eq!((first.products, first.left.len()), (5, 1), "{first:?}");
        assert!(first.left[0].contains("retired"), "{first:?}");
        assert_eq!((second.products, second.left.len()), (0, 3), "{second:?}");
        let waiting = || async { ports.crawl.depth().await.unwrap().visible };
        assert_eq!(waiting().await, 0, "a worker may send nothing");
        let ticked = scheduler.tick_without_planning().await.unwrap();
        // Beside them, what the states of the pipes make of their products.
        let others = ticked.folds_planned;
        assert_eq!((ticked.jobs_sent, waiting().await - others), (2, 2));
    }
}
