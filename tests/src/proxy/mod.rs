//! A proxy before an emulator of the cloud that does to requests what networks
//! and throttled services do.
//!
//! It forwards bytes as they are, the `Host` header included. It does not
//! check signatures, speaks no TLS and knows no emulator: whatever answers
//! HTTP/1.1 can be behind it. It runs in a thread of its own, so that one
//! proxy serves tests of any runtime, and ends with its value.
//!
//! ```no_run
//! # async fn f() {
//! use trawler_tests::proxy::{Fault, Faults, FaultProxy, Rates};
//!
//! let proxy = FaultProxy::start("http://127.0.0.1:4566").await;
//! // Every SQS and S3 request in twenty meets one of the faults.
//! proxy.set(Faults { seed: 7, ..Faults::every_twentieth() });
//! // This one request is done, and its answer is lost.
//! proxy.fail_next(|call| call.operation == "DeleteMessage", Fault::Lost);
//! proxy.cut();
//! proxy.mend();
//! println!("{} is at fault: {:?}", proxy.endpoint(), proxy.counts());
//! # }
//! ```

mod answer;
mod faults;
mod puts;
mod serve;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use faults::{Call, Counts, Fault, Faults, Rates, Service};
pub use puts::Puts;

/// Whether the cloud can be reached at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Open,
    /// Connections are reset, those under way too.
    Cut,
    /// Nothing comes back, in either direction.
    Silent,
}

type Matcher = Box<dyn Fn(&Call) -> bool + Send>;

/// What tests set and connections ask.
struct Plan {
    faults: Faults,
    rng: SmallRng,
    targeted: Vec<(Matcher, Fault)>,
    counts: Counts,
    puts: Puts,
}

struct Shared {
    upstream: Mutex<String>,
    plan: Mutex<Plan>,
    reach: watch::Sender<Reach>,
    held_back: AtomicUsize,
}

/// A running proxy on a free port of 127.0.0.1.
pub struct FaultProxy {
    shared: Arc<Shared>,
    addr: SocketAddr,
    stopping: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts before `upstream`, as `http://host:port`, and lets everything
    /// pass.
    ///
    /// # Panics
    /// When no thread, runtime or port is to be had.
    pub async fn start(upstream: &str) -> Self {
        let faults = Faults::default();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(host_of(upstream)),
            plan: Mutex::new(Plan {
                rng: SmallRng::seed_from_u64(faults.seed),
                faults,
                targeted: Vec::new(),
                counts: Counts::default(),
                puts: Puts::default(),
            }),
            reach: watch::Sender::new(Reach::Open),
            held_back: AtomicUsize::new(0),
        });
        let stopping = CancellationToken::new();
        let (told, addr) = oneshot::channel();
        let thread = {
            let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
            std::thread::spawn(move || serve::run(&shared, &stopping, told))
        };
        Self {
            shared,
            addr: addr.await.expect("the proxy has a port"),
            stopping,
            thread: Some(thread),
        }
    }

    /// The address for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// From now on these faults; their seed starts anew. Targeted faults stay.
    pub fn set(&self, faults: Faults) {
        let mut plan = self.shared.plan();
        plan.rng = SmallRng::seed_from_u64(faults.seed);
        plan.faults = faults;
    }

    /// The cloud is unreachable: connections are reset at once, also those
    /// under way. What was forwarded before may still take effect.
    pub fn cut(&self) {
        self.shared.reach.send_replace(Reach::Cut);
    }

    /// The cloud is silent: requests and answers are held back until mended.
    pub fn hush(&self) {
        self.shared.reach.send_replace(Reach::Silent);
    }

    /// The cloud can be reached again.
    pub fn mend(&self) {
        self.shared.reach.send_replace(Reach::Open);
    }

    /// From now on connections lead to another upstream, as after a restart on
    /// another port.
    pub fn lead_to(&self, upstream: &str) {
        let behind = self.shared.upstream.lock();
        *behind.unwrap_or_else(PoisonError::into_inner) = host_of(upstream);
    }

    /// The next request that matches meets this fault, whatever the rates say.
    /// Several wait side by side; each is met once.
    pub fn fail_next(&self, matches: impl Fn(&Call) -> bool + Send + 'static, fault: Fault) {
        self.shared.plan().targeted.push((Box::new(matches), fault));
    }

    /// Targeted faults that no request has met yet.
    pub fn waiting(&self) -> usize {
        self.shared.plan().targeted.len()
    }

    /// Requests that a [`Fault::Late`] has met and that have no answer yet.
    pub fn held_back(&self) -> usize {
        self.shared.held_back.load(Ordering::SeqCst)
    }

    /// What it did since the start.
    pub fn counts(&self) -> Counts {
        self.shared.plan().counts.clone()
    }

    /// The objects that were put since the start.
    pub fn puts(&self) -> Puts {
        self.shared.plan().puts.clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stopping.cancel();
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            assert!(
                joined.is_ok() || std::thread::panicking(),
                "the proxy panicked"
            );
        }
    }
}

/// Of `http://host:port`.
fn host_of(upstream: &str) -> String {
    let host = upstream.trim_start_matches("http://");
    host.trim_end_matches('/').to_owned()
}

impl Shared {
    fn upstream(&self) -> String {
        let upstream = self.upstream.lock();
        upstream.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a panicking test set is still a plan.
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    /// Judges one request and counts the verdict.
    fn judge(&mut self, call: &Call) -> (std::time::Duration, Option<Fault>) {
        let targeted = self.targeted.iter().position(|(matches, _)| matches(call));
        let latency = self.faults.latency(&mut self.rng);
        let fault = match targeted {
            Some(at) => Some(self.targeted.remove(at).1),
            None => self.faults.draw(call.service, &mut self.rng),
        };
        self.counts.note(call, fault);
        (latency, fault)
    }
}

#[cfg(test)]
mod tests;
