//! A clock whose time passes only when nothing else can happen.
//!
//! One thread runs everything. When no task can go on, the runtime is about to
//! park its thread; then the clock jumps to the next sleep that ends and wakes
//! it. Sleeps that end together wake one after the other, in the order in which
//! they began, so that the same program has the same history.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone, Utc};
use tokio::sync::Notify;
use trawler_core::ports::Clock;

/// Wall and monotonic time move together, from a fixed instant on.
pub struct VirtualClock {
    origin: DateTime<Utc>,
    timers: Mutex<Timers>,
    /// Told when every task waits for something that is no sleep.
    stuck: Notify,
}

#[derive(Default)]
struct Timers {
    now: Duration,
    begun: u64,
    /// Who waits, by the end of the sleep and then by its beginning.
    waiting: BTreeMap<(Duration, u64), Waker>,
}

impl VirtualClock {
    /// Runs `main` to its end on a thread of its own time.
    ///
    /// # Panics
    /// When `main` panics, and when nothing can ever happen again.
    pub fn run<T, F>(main: impl FnOnce(Arc<Self>) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let clock = Arc::new(Self {
            origin: Utc
                .with_ymd_and_hms(2026, 11, 21, 2, 59, 0)
                .single()
                .expect("the instant exists and is unique in UTC"),
            timers: Mutex::default(),
            stuck: Notify::new(),
        });
        let idle = Arc::clone(&clock);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || idle.jump())
            .build()
            .expect("a runtime without drivers needs nothing of the system");
        runtime.block_on(async {
            let mut main = tokio::spawn(main(Arc::clone(&clock)));
            tokio::select! {
                biased;
                joined = &mut main => match joined {
                    Ok(value) => value,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                () = clock.stuck.notified() => panic!("every task waits and no sleep will end: nothing can happen any more"),
            }
        })
    }

    /// Nothing can go on: the next sleep ends.
    fn jump(&self) {
        let next = {
            let mut timers = self.timers();
            let next = timers.waiting.pop_first();
            if let Some(((due, _), _)) = next {
                timers.now = timers.now.max(due);
            }
            next
        };
        match next {
            Some((_, waker)) => waker.wake(),
            None => self.stuck.notify_one(),
        }
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        // Each statement leaves the timers whole, also one that panicked.
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        self.origin + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.timers().now
    }

    async fn sleep(&self, span: Duration) {
        let key = {
            let mut timers = self.timers();
            timers.begun += 1;
            (timers.now + span, timers.begun)
        };
        Sleep { clock: self, key }.await;
    }
}

struct Sleep<'a> {
    clock: &'a VirtualClock,
    key: (Duration, u64),
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timers = self.clock.timers();
        if timers.now >= self.key.0 {
            return Poll::Ready(());
        }
        timers.waiting.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.clock.timers().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_pass_in_no_time_and_in_order() {
        let seen = VirtualClock::run(|clock| async move {
            let mut sleeps = tokio::task::JoinSet::new();
            for hours in [30, 10, 20, 10] {
                let clock = Arc::clone(&clock);
                sleeps.spawn(async move {
                    clock.sleep(Duration::from_secs(hours * 3600)).await;
                    (hours, clock.monotonic().as_secs() / 3600)
                });
            }
            let mut seen = Vec::new();
            while let Some(slept) = sleeps.join_next().await {
                seen.push(slept.expect("a sleep does not panic"));
            }
            seen
        });
        assert_eq!(seen, [(10, 10), (10, 10), (20, 20), (30, 30)]);
    }

    #[test]
    #[should_panic(expected = "nothing can happen any more")]
    fn a_program_that_waits_for_ever_is_found() {
        VirtualClock::run(|_| std::future::pending::<()>());
    }
}
