//! The way between a process and its cloud.
//!
//! What was sent is served whether or not the sender still lives: a request is
//! a task of the network, as it is a packet in the world. So a long poll of a
//! dead process takes a message that nobody gets, and a write of a frozen one
//! lands while it stands still.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use trawler_core::ports::Clock;

use super::life::Life;

/// How long a process that is cut off tries to connect.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long it waits for an answer that does not come.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Requests that are remembered until those that ended are looked for.
const UNDER_WAY_MAX: usize = 1_000;

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    #[error("the service is busy (503)")]
    Throttled,
    #[error("the service failed before it did anything (500)")]
    Failed,
    #[error("the connection broke before the answer came")]
    AnswerLost,
    #[error("the service cannot be reached")]
    Unreachable,
}

/// How often requests go wrong, each a share of all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FaultRates {
    pub throttled: f64,
    pub failed: f64,
    /// Done, but the sender does not learn it.
    pub answer_lost: f64,
    /// A conditional write that meets another one under way (409).
    pub conflict: f64,
    /// Takes a second or more instead of milliseconds.
    pub slow: f64,
}

impl FaultRates {
    /// The same rate for each kind of fault.
    pub fn all(rate: f64) -> Self {
        Self {
            throttled: rate,
            failed: rate,
            answer_lost: rate,
            conflict: rate,
            slow: rate,
        }
    }
}

/// Latency and faults, by the seed.
pub struct Network {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    rng: SmallRng,
    rates: FaultRates,
    under_way: JoinSet<()>,
}

struct Fate {
    there: Duration,
    back: Duration,
    outage: Option<Outage>,
}

impl Network {
    pub fn new(clock: Arc<dyn Clock>, seed: u64, rates: FaultRates) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::new(State {
                rng: SmallRng::seed_from_u64(seed),
                rates,
                under_way: JoinSet::new(),
            }),
        })
    }

    pub fn set_rates(&self, rates: FaultRates) {
        self.state().rates = rates;
    }

    fn fate(&self) -> Fate {
        let State { rng, rates, .. } = &mut *self.state();
        let FaultRates {
            throttled,
            failed,
            answer_lost,
            slow,
            ..
        } = *rates;
        let dice: f64 = rng.random();
        let outage = if dice < throttled {
            Some(Outage::Throttled)
        } else if dice < throttled + failed {
            Some(Outage::Failed)
        } else if dice < throttled + failed + answer_lost {
            Some(Outage::AnswerLost)
        } else {
            None
        };
        let slowest_us = if slow > 0.0 && rng.random_bool(slow) {
            4_000_000
        } else {
            40_000
        };
        let mut leg = || Duration::from_micros(rng.random_range(500..slowest_us));
        Fate {
            there: leg(),
            back: leg(),
            outage,
        }
    }

    fn conflicts(&self) -> bool {
        let State { rng, rates, .. } = &mut *self.state();
        rates.conflict > 0.0 && rng.random_bool(rates.conflict)
    }

    fn start(&self, request: impl Future<Output = ()> + Send + 'static) {
        let under_way = &mut self.state().under_way;
        if under_way.len() > UNDER_WAY_MAX {
            while under_way.try_join_next().is_some() {}
        }
        under_way.spawn(request);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each statement leaves the state whole, also one that panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process's way to the services.
#[derive(Clone)]
pub struct Wire {
    life: Arc<Life>,
    /// `None`: no distance and no faults.
    network: Option<Arc<Network>>,
}

impl Wire {
    /// Requests are served at once and answered without fail.
    pub fn direct(clock: Arc<dyn Clock>) -> Self {
        Self {
            life: Life::charmed(clock),
            network: None,
        }
    }

    /// The same for a process that may die, which it does between a request
    /// and its answer as well.
    pub fn near(life: &Arc<Life>) -> Self {
        Self {
            life: Arc::clone(life),
            network: None,
        }
    }

    pub fn new(network: &Arc<Network>, life: &Arc<Life>) -> Self {
        Self {
            life: Arc::clone(life),
            network: Some(Arc::clone(network)),
        }
    }

    /// One request: `served` runs at the service.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        served: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Outage> {
        self.life.stop().await;
        let answer = match &self.network {
            None => Ok(served.await),
            Some(network) => self.travel(network, served).await,
        };
        self.life.stop().await;
        answer
    }

    /// The process waits before it asks again.
    pub(super) async fn pause(&self, span: Duration) {
        self.life.sleep(span).await;
    }

    /// Whether a conditional write of this moment meets another one.
    pub(super) fn conflicts(&self) -> bool {
        self.network
            .as_ref()
            .is_some_and(|network| network.conflicts())
    }

    async fn travel<T: Send + 'static>(
        &self,
        network: &Arc<Network>,
        served: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Outage> {
        let clock = Arc::clone(&network.clock);
        if self.life.is_cut() {
            clock.sleep(CONNECT_MAX).await;
            return Err(Outage::Unreachable);
        }
        let fate = network.fate();
        match fate.outage {
            Some(outage @ (Outage::Throttled | Outage::Failed)) => {
                clock.sleep(fate.there + fate.back).await;
                return Err(outage);
            }
            Some(Outage::AnswerLost | Outage::Unreachable) | None => {}
        }
        let (send, answer) = oneshot::channel();
        let life = Arc::clone(&self.life);
        let way = Arc::clone(&clock);
        network.start(async move {
            way.sleep(fate.there).await;
            if life.is_cut() {
                return;
            }
            let value = served.await;
            way.sleep(fate.back).await;
            if fate.outage.is_none() && !life.is_cut() {
                // A sender that died does not listen.
                let _ = send.send(value);
            }
        });
        match answer.await {
            Ok(value) => Ok(value),
            Err(_) => {
                clock.sleep(ANSWER_MAX).await;
                Err(Outage::AnswerLost)
            }
        }
    }
}
