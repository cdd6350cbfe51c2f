//! What goes on beside the workers: this process's place in a group that
//! shrinks, the figures that it tells, and its signs of life.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trawler_core::ports::Capacity;
use trawler_core::tenure::TenurePolicy;
use trawler_core::{Environment, QueueName};
use trawler_fleet::{Drain, MetricsPage, Ports, Slots, Tenure, tell_start};
use trawler_local::OneMachine;

use crate::compose::Machine;
use crate::config::Loaded;
use crate::order::{Order, Role, Until};
use crate::service::ServiceManager;

/// The name of a fleet that needs none.
const LOCAL: &str = "local";

/// Tasks of this process besides its workers; their owner ends and joins them.
pub(crate) struct Beside {
    tenure: Arc<Tenure>,
    keeping: JoinSet<()>,
    telling: JoinSet<()>,
    end: CancellationToken,
    ports: Ports,
    capacity: Arc<dyn Capacity>,
    /// Whose workers this process has.
    queues: Vec<QueueName>,
    manager: Option<ServiceManager>,
    /// Gives signs of life to the very end, which may take minutes.
    living: JoinSet<()>,
    dead: CancellationToken,
}

impl Beside {
    pub(crate) async fn start(
        machine: &Machine,
        loaded: &Loaded,
        order: &Order<'_>,
        groups: Option<Arc<dyn Capacity>>,
        slots: &Slots,
        drain: &Drain,
    ) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let end = CancellationToken::new();
        let mut telling = JoinSet::new();
        if let Some(address) = config.metrics.prometheus {
            let environment = config.environment.clone().unwrap_or_else(|| {
                Environment::parse(LOCAL).expect("a constant that follows the rule")
            });
            let clock = Arc::clone(&machine.ports.clock);
            let figures = machine.metrics.clone();
            let page = MetricsPage::bind(address.port(), figures, environment, clock).await;
            let page = page.with_context(|| {
                format!("listen on {address}, which metrics.prometheus names; another process may have the port")
            })?;
            telling.spawn(page.run(end.clone()));
        }
        if let Some(sender) = machine.take_metrics_sender() {
            let end = end.clone();
            telling.spawn(async move {
                sender.run(end).await;
            });
        }
        let capacity = groups.unwrap_or_else(|| Arc::new(OneMachine));
        let policy = TenurePolicy {
            idle_exit: idle_exit(loaded, order),
            ..TenurePolicy::default()
        };
        let tenure = Tenure::new(&machine.ports, Arc::clone(&capacity), policy, slots.clone());
        let tenure = Arc::new(tenure);
        let mut keeping = JoinSet::new();
        let (kept, drain) = (Arc::clone(&tenure), drain.clone());
        keeping.spawn(async move { kept.keep(&drain).await });
        Ok(Self {
            tenure,
            keeping,
            telling,
            end,
            ports: machine.ports.clone(),
            capacity,
            queues: queues(order),
            manager: Some(ServiceManager::from_environment()),
            living: JoinSet::new(),
            dead: CancellationToken::new(),
        })
    }

    /// The workers have begun.
    pub(crate) fn ready(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.ready();
            let clock = Arc::clone(&self.ports.clock);
            self.living.spawn(manager.keep(clock, self.dead.clone()));
        }
        if let Some(start) = self.capacity.start() {
            let (ports, queues, end) = (self.ports.clone(), self.queues.clone(), self.end.clone());
            self.telling.spawn(async move {
                tokio::select! {
                    () = tell_start(&ports, &start, &queues) => {}
                    () = end.cancelled() => {}
                }
            });
        }
    }

    /// When every worker has been joined: gives the place back, and tells the
    /// last figures meanwhile, since both are waited for.
    pub(crate) async fn finish(mut self, drain: &Drain) -> anyhow::Result<()> {
        self.end.cancel();
        let telling = async {
            while let Some(joined) = self.telling.join_next().await {
                joined.context("join what tells figures")?;
            }
            anyhow::Ok(())
        };
        let leaving = async {
            while let Some(joined) = self.keeping.join_next().await {
                joined.context("join the keeper of this machine's place")?;
            }
            // Then this process fails, and is started again: a machine that
            // keeps its place works.
            let left = self.tenure.depart(drain).await;
            left.context("give this machine back")
        };
        let (told, left) = tokio::join!(telling, leaving);
        self.dead.cancel();
        while let Some(joined) = self.living.join_next().await {
            joined.context("join what gives signs of life")?;
        }
        told.and(left)
    }
}

/// The queues that this process polls.
fn queues(order: &Order<'_>) -> Vec<QueueName> {
    let queue = |role: &Role| match role {
        Role::Schedule => None,
        Role::Crawl => Some(QueueName::Crawl),
        Role::Images => Some(QueueName::Image),
    };
    order.roles.iter().filter_map(queue).collect()
}

/// A process that has a scheduler is never idle, and one that ends by itself
/// knows when.
fn idle_exit(loaded: &Loaded, order: &Order<'_>) -> Option<Duration> {
    let seconds = loaded.config.capacity.idle_exit_s;
    let may = order.until == Until::Told && !order.roles.contains(&Role::Schedule);
    (may && seconds > 0).then(|| Duration::from_secs(seconds))
}
