//! How often and how long a call to SQS is tried again: a policy for each
//! verb, and why.
//!
//! The SDK tries once: what may be repeated depends on what the caller holds,
//! and the SDK does not know that. What it does itself is correct a wrong
//! clock, by the time in the answers of the service; a signature that was
//! refused for its time is therefore tried once more, at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use trawler_core::drain::{EXIT_WITHIN, HAND_BACK_WITHIN};
use trawler_core::ports::Clock;

use super::fault::Fault;
use crate::cloud::ATTEMPT_MAX;

/// A throttled call waits so much longer than one that merely failed: it was
/// heard, and the service asks for less.
const THROTTLED_TIMES: u32 = 4;

/// Below this there is no use in asking: a way there and back between two
/// zones of a region, with a handshake.
const ATTEMPT_MIN: Duration = Duration::from_millis(250);

/// Calls that settle or keep a lease answer in tens of milliseconds; a packet
/// that was lost is noticed after this.
const QUICK_ATTEMPT: Duration = Duration::from_secs(2);

/// How one verb is tried again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    /// Longest single attempt.
    attempt: Duration,
    /// No attempt begins after this.
    pub(super) within: Duration,
    /// The first wait; each further one is twice as long, up to `most`.
    first: Duration,
    most: Duration,
}

/// Sending is idempotent for 5 minutes, since the queue remembers the dedup
/// id: a lost answer costs a repetition and nothing else. The caller has a
/// ledger and sends again at its next tick, so there is no use in insisting.
pub(super) const SEND: Retry = Retry {
    attempt: ATTEMPT_MAX,
    within: Duration::from_secs(20),
    first: Duration::from_millis(100),
    most: Duration::from_secs(4),
};

/// Aggressive: an idle worker costs more than a request, and a repetition with
/// the same attempt id gets the messages whose delivery was lost on the way,
/// instead of leaving them locked. Ends with the wait that was asked for, so
/// that a worker told to leave gets its last poll back in time; `within` is
/// for a receive that does not wait.
pub(super) const RECEIVE: Retry = Retry {
    attempt: ATTEMPT_MAX,
    within: Duration::from_secs(2),
    first: Duration::from_millis(50),
    most: Duration::from_secs(1),
};

/// Aggressive: the lease is running out, and extending twice does no harm.
/// Ends early, since the keeper of the lease asks again to the lease's end, and
/// a worker told to leave waits for the call before it hands back.
pub(super) const EXTEND: Retry = Retry {
    attempt: QUICK_ATTEMPT,
    within: Duration::from_secs(HAND_BACK_WITHIN.as_secs() - 1),
    first: Duration::from_millis(50),
    most: Duration::from_millis(500),
};

/// To the lease's deadline: the work is done, and only what is acked is not
/// done again. Beyond 20 s a redelivery, which finds the job settled, is
/// cheaper than a worker that cannot leave within its 25 s.
pub(super) const ACK: Retry = Retry {
    attempt: QUICK_ATTEMPT,
    within: Duration::from_secs(EXIT_WITHIN.as_secs() - HAND_BACK_WITHIN.as_secs()),
    first: Duration::from_millis(100),
    most: Duration::from_secs(2),
};

/// A courtesy to the next worker within the 5 s of a hand-back: without it the
/// message comes back when its visibility ends.
pub(super) const RELEASE: Retry = Retry {
    attempt: QUICK_ATTEMPT,
    within: Duration::from_secs(HAND_BACK_WITHIN.as_secs() - 1),
    first: Duration::from_millis(50),
    most: Duration::from_millis(500),
};

/// Somebody looks at a number.
pub(super) const DEPTH: Retry = Retry {
    attempt: ATTEMPT_MAX,
    within: Duration::from_secs(5),
    first: Duration::from_millis(100),
    most: Duration::from_secs(1),
};

/// A process that starts has nothing to lose but its start.
pub(super) const OPEN: Retry = Retry {
    attempt: ATTEMPT_MAX,
    within: Duration::from_secs(15),
    first: Duration::from_millis(200),
    most: Duration::from_secs(4),
};

/// The last answer to a call.
pub(super) struct Called<T> {
    pub(super) answer: Result<T, Fault>,
    /// An attempt before the last one may have taken effect, although nobody
    /// heard of it.
    pub(super) unsure: bool,
}

impl Retry {
    /// Calls until there is an answer or `end` on the monotonic clock has
    /// come; at least once. The call learns how long its attempt may take.
    pub(super) async fn run<T, F, Fut>(
        &self,
        clock: &dyn Clock,
        end: Duration,
        mut call: F,
    ) -> Called<T>
    where
        F: FnMut(Duration) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let mut unsure = false;
        let mut clock_corrected = false;
        for tried in 0_u32.. {
            let left = end.saturating_sub(clock.monotonic());
            let attempt = self.attempt.min(left.max(ATTEMPT_MIN));
            let fault = match call(attempt).await {
                Ok(value) => {
                    return Called {
                        answer: Ok(value),
                        unsure,
                    };
                }
                Err(fault) => fault,
            };
            let wait = match &fault {
                Fault::Passing { throttled, .. } => self.wait(tried, *throttled, random()),
                Fault::Clock { .. } if !clock_corrected => {
                    clock_corrected = true;
                    Duration::ZERO
                }
                _ => {
                    return Called {
                        answer: Err(fault),
                        unsure,
                    };
                }
            };
            if clock.monotonic() + wait >= end {
                return Called {
                    answer: Err(fault),
                    unsure,
                };
            }
            unsure |= matches!(
                fault,
                Fault::Passing {
                    may_have_happened: true,
                    ..
                }
            );
            tracing::debug!(?fault, ?wait, "a call to SQS failed and is tried again");
            clock.sleep(wait).await;
        }
        unreachable!("the loop ends by its deadline")
    }

    /// Between half and the whole of the step, so that many workers that fail
    /// at once do not come back at once.
    fn wait(&self, tried: u32, throttled: bool, random: u64) -> Duration {
        let times = if throttled { THROTTLED_TIMES } else { 1 };
        let doubled = self.first.saturating_mul(1 << tried.min(16));
        let step = doubled.min(self.most) * times;
        let half = step / 2;
        let share = u32::try_from(random % 1024).expect("it is below 1024");
        half + half * share / 1024
    }
}

/// A new hasher has new keys; waits and attempt ids need no more than that.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_with_jitter() {
        let check = |tried, throttled, random, expected_ms: u64| {
            let wait = SEND.wait(tried, throttled, random);
            assert_eq!(
                wait.as_millis(),
                u128::from(expected_ms),
                "{tried} {throttled}"
            );
        };
        check(0, false, 0, 50);
        check(0, false, 512, 75);
        check(1, false, 0, 100);
        check(10, false, 0, 2_000);
        check(u32::MAX, false, 512, 3_000);
        check(0, true, 0, 200);
        check(10, true, 0, 8_000);
    }

    #[test]
    fn hand_backs_and_exits_keep_their_bounds() {
        assert!(EXTEND.within + ATTEMPT_MIN < HAND_BACK_WITHIN);
        assert!(RELEASE.within + ATTEMPT_MIN < HAND_BACK_WITHIN);
        assert!(ACK.within + HAND_BACK_WITHIN <= EXIT_WITHIN);
    }
}
