//! The processes of a fleet: how they start, what they run, how they end and
//! are followed by others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use trawler_core::ports::{Clock, Notice};
use trawler_fleet::{Drain, Pauses, Pipes, Ports, Worker, WorkerOptions};
use trawler_scheduler::{Scheduler, SchedulerOptions};
use trawler_tests::model::{FaultRates, Life, LifeClock, Wire};

use crate::crawl::Crawl;
use crate::images::Images;
use crate::scenario::Blow;
use crate::script::seed_of;
use crate::world::World;

/// Invariant 9, for a process that is neither frozen nor cut off: 25 s, and
/// the latency of its last calls.
const EXIT_MAX: Duration = Duration::from_secs(26);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Crawler,
    ImageWorker,
    Scheduler,
}

impl World {
    /// Keeps one place filled: whoever dies or leaves is followed by another.
    pub(crate) async fn staff(self: Arc<Self>, role: Role, slot: usize, over: &Drain) {
        let name = format!("{role:?} {slot}");
        let mut rng = SmallRng::seed_from_u64(seed_of(self.scenario.seed, &name));
        while !over.requested() {
            self.live(role, &name, &mut rng, over).await;
            let pause = Duration::from_millis(rng.random_range(1_000..30_000));
            self.wait(pause, over).await;
        }
    }

    /// One process, from its start to its end.
    async fn live(self: &Arc<Self>, role: Role, name: &str, rng: &mut SmallRng, over: &Drain) {
        let (drain, told) = (Drain::new(), Arc::new(Told::default()));
        let life = {
            let (world, drain, told) = (Arc::clone(self), drain.clone(), Arc::clone(&told));
            Life::watched(self.clock.clone(), move |life| {
                world.at_stop(role, life, &drain, &told);
            })
        };
        let skew = chrono::Duration::milliseconds(rng.random_range(-2_000..=2_000));
        let clock = LifeClock::new(&life, skew);
        let ports = self.ports_over(&Wire::new(&self.network, &life), clock);
        let mut process = JoinSet::new();
        let (world, of_process) = (Arc::clone(self), Arc::clone(&life));
        process.spawn({
            let drain = drain.clone();
            async move { world.run(role, &ports, &of_process, &drain).await }
        });
        tokio::select! {
            biased;
            () = life.death() => {}
            joined = process.join_next() => {
                if let Some(Err(error)) = joined {
                    std::panic::resume_unwind(error.into_panic());
                }
                self.judge_exit(name, &told);
            }
            () = over.wait() => {
                drain.finish();
                tokio::select! {
                    biased;
                    () = life.death() => {}
                    _ = process.join_next() => {}
                }
            }
            () = self.after_notice(&told, &drain) => {}
        }
        // Nothing of it goes on, wherever it is.
        life.kill();
        process.shutdown().await;
    }

    /// Returns when the lead of a notice is over.
    async fn after_notice(&self, told: &Told, drain: &Drain) {
        drain.wait().await;
        let lead = told.lead();
        self.clock.sleep(lead).await;
    }

    fn judge_exit(&self, name: &str, told: &Told) {
        let quiet = self.scenario.rates == FaultRates::default();
        let Some(noticed) = told.alone_at() else {
            return;
        };
        let took = self.clock.monotonic().saturating_sub(noticed);
        if quiet && took > EXIT_MAX {
            let mut problems = self.problems.lock().unwrap();
            problems.push(format!("{name} took {took:?} to leave"));
        }
    }

    async fn run(&self, role: Role, ports: &Ports, life: &Arc<Life>, drain: &Drain) {
        let options = WorkerOptions {
            slots: self.scenario.slots,
            ..WorkerOptions::default()
        };
        let pauses = Pauses::new(ports);
        match role {
            Role::Crawler => {
                let handler = Arc::new(Crawl::new(&self.scenario, ports, life));
                let worker = Worker::new(ports, handler, options, pauses, drain.clone());
                worker.run().await;
            }
            Role::ImageWorker => {
                let handler = Arc::new(Images::new(&self.scenario, ports, life));
                let worker = Worker::new(ports, handler, options, pauses, drain.clone());
                worker.run().await;
            }
            Role::Scheduler => self.schedule(ports, drain).await,
        }
    }

    async fn schedule(&self, ports: &Ports, drain: &Drain) {
        let options = SchedulerOptions::default();
        let every = options.tick_every;
        let scheduler = Scheduler::new(ports.clone(), Pipes::from(self.pipes.to_vec()), options);
        while !drain.requested() {
            // A tick that fails is tried again, as in `Scheduler::run`.
            if self.is_planned() {
                let _ = scheduler.tick_without_planning().await;
            } else {
                let _planning = Planning::begin(&self.planning);
                let _ = scheduler.tick().await;
            }
            tokio::select! {
                biased;
                () = drain.wait() => {}
                () = ports.clock.sleep(every) => {}
            }
        }
    }

    fn at_stop(&self, role: Role, life: &Life, drain: &Drain, told: &Told) {
        if life.is_dead() {
            return;
        }
        let number = self.stops.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(blow) = self.coming.lock().unwrap().remove(&number) else {
            return;
        };
        self.struck.lock().unwrap().insert((role, blow.kind()));
        let mut blows = self.blows.lock().unwrap();
        match blow {
            Blow::Kill => {
                blows.kills += 1;
                life.kill();
            }
            Blow::Freeze(span) => {
                blows.freezes += 1;
                told.disturb();
                life.freeze(span);
            }
            Blow::Cut(span) => {
                blows.cuts += 1;
                told.disturb();
                life.cut(span);
            }
            Blow::Notice(lead) => {
                blows.notices += 1;
                told.notice(self.clock.monotonic(), lead);
                drain.request(Notice::SpotInterruption);
            }
        }
    }
}

/// A tick that may plan a run, until it ends or its process does.
struct Planning(Arc<AtomicUsize>);

impl Planning {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Planning {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one process was told and what else befell it.
#[derive(Default)]
struct Told {
    inner: Mutex<Notified>,
}

#[derive(Default)]
struct Notified {
    at: Option<Duration>,
    lead: Duration,
    disturbed: bool,
}

impl Told {
    fn notice(&self, at: Duration, lead: Duration) {
        let mut inner = self.inner.lock().unwrap();
        inner.at.get_or_insert(at);
        inner.lead = lead;
    }

    fn disturb(&self) {
        self.inner.lock().unwrap().disturbed = true;
    }

    fn lead(&self) -> Duration {
        self.inner.lock().unwrap().lead
    }

    /// When it was told to leave, if nothing else befell it.
    fn alone_at(&self) -> Option<Duration> {
        let inner = self.inner.lock().unwrap();
        inner.at.filter(|_| !inner.disturbed)
    }
}
