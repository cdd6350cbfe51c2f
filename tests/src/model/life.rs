//! Whether a process lives, stands still or is cut off.
//!
//! A process meets the world only in calls to its ports, and what it does
//! between two of them nobody else can see. So a kill at every await point is a
//! kill before and after every call: a [`Life`] is asked at both, counts them,
//! and never lets a dead process go on. Freezing (SIGSTOP) holds the process at
//! the same places, also its sleeps, while what it sent is still on its way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use trawler_core::ports::Clock;

/// Called at every stop of a process, before the process goes on.
type AtStop = dyn Fn(&Life) + Send + Sync;

/// One process, as the world sees it.
pub struct Life {
    clock: Arc<dyn Clock>,
    at_stop: Option<Box<AtStop>>,
    state: Mutex<State>,
    died: Notify,
}

#[derive(Debug, Default)]
struct State {
    dead: bool,
    frozen_until: Duration,
    cut_until: Duration,
}

impl Life {
    /// A process to which nothing ever happens.
    pub fn charmed(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            at_stop: None,
            state: Mutex::default(),
            died: Notify::new(),
        })
    }

    /// A process whose every stop is told to `at_stop`, which may end it.
    pub fn watched(
        clock: Arc<dyn Clock>,
        at_stop: impl Fn(&Self) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock,
            at_stop: Some(Box::new(at_stop)),
            state: Mutex::default(),
            died: Notify::new(),
        })
    }

    /// kill -9: nothing that this process does has an effect any more. What it
    /// had sent before is still on its way.
    pub fn kill(&self) {
        self.state().dead = true;
        self.died.notify_one();
    }

    /// Stands still for so long.
    pub fn freeze(&self, span: Duration) {
        self.state().frozen_until = self.clock.monotonic() + span;
    }

    /// Reaches nothing for so long.
    pub fn cut(&self, span: Duration) {
        self.state().cut_until = self.clock.monotonic() + span;
    }

    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Returns once it is dead. For one waiter.
    pub async fn death(&self) {
        while !self.is_dead() {
            self.died.notified().await;
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.clock.monotonic() < self.state().cut_until
    }

    /// A place at which the process may be ended or held.
    pub(super) async fn stop(&self) {
        if let Some(at_stop) = &self.at_stop {
            at_stop(self);
        }
        self.gate().await;
    }

    /// A wait of the process, which does not end while it is frozen.
    pub(super) async fn sleep(&self, span: Duration) {
        self.clock.sleep(span).await;
        self.gate().await;
    }

    /// Returns when the process may go on, which a dead one never may.
    async fn gate(&self) {
        loop {
            let (dead, frozen_until) = {
                let state = self.state();
                (state.dead, state.frozen_until)
            };
            if dead {
                std::future::pending::<()>().await;
            }
            let held = frozen_until.saturating_sub(self.clock.monotonic());
            if held.is_zero() {
                return;
            }
            self.clock.sleep(held).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each statement leaves the state whole, also one that panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock as one process has it: its sleeps do not end while it is frozen,
/// and its wall clock may be wrong.
pub struct LifeClock {
    life: Arc<Life>,
    skew: chrono::Duration,
}

impl LifeClock {
    pub fn new(life: &Arc<Life>, skew: chrono::Duration) -> Arc<Self> {
        Arc::new(Self {
            life: Arc::clone(life),
            skew,
        })
    }
}

#[async_trait]
impl Clock for LifeClock {
    fn now(&self) -> DateTime<Utc> {
        self.life.clock.now() + self.skew
    }

    fn monotonic(&self) -> Duration {
        self.life.clock.monotonic()
    }

    async fn sleep(&self, span: Duration) {
        self.life.sleep(span).await;
    }
}
