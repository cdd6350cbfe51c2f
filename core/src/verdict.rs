//! What happens to a delivery after the work on it ended: the one place where
//! errors, attempts and crashes become a verdict.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::QueueName;

/// Waits longer than this are parked in State instead of held in the queue: a
/// released message locks its group until then. The group of a crawl job is its
/// own pipe, which waits with it anyway.
pub const RELEASE_MAX: Duration = Duration::from_secs(60);

/// The same for image jobs, whose group is a host that many pipes share: a job
/// that waits is out of the way, and the others of the host go on.
pub const IMAGE_RELEASE_MAX: Duration = Duration::from_secs(5);

/// The longest wait that a message of the queue may spend in the queue.
pub fn release_max(queue: QueueName) -> Duration {
    match queue {
        QueueName::Crawl => RELEASE_MAX,
        QueueName::Image => IMAGE_RELEASE_MAX,
    }
}

/// How a job failed, as far as retrying is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// A later try may succeed: connection, time-out, 5xx, a store that did
    /// not answer, a panic.
    Transient,
    /// The partner asks to wait.
    Throttled,
    /// No try can succeed before a person changes something: bad
    /// configuration, 4xx, malformed input.
    Permanent,
}

/// A job that did not do its work: what, where, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub class: FailureClass,
    pub reason: String,
    /// The wait that the partner asked for.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    pub fn transient(reason: impl Into<String>) -> Self {
        Self {
            class: FailureClass::Transient,
            reason: reason.into(),
            retry_after_ms: None,
        }
    }

    pub fn permanent(reason: impl Into<String>) -> Self {
        Self {
            class: FailureClass::Permanent,
            reason: reason.into(),
            retry_after_ms: None,
        }
    }

    pub fn throttled(reason: impl Into<String>, retry_after: Duration) -> Self {
        let wait_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        Self {
            class: FailureClass::Throttled,
            reason: reason.into(),
            retry_after_ms: Some(wait_ms),
        }
    }
}

/// How the work on one delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every effect is durable.
    Done,
    /// The worker is leaving and gives the job back untried.
    HandedBack,
    /// Somebody paused the pipe, the queue or the fleet.
    Paused,
    /// The job may only go on at a set time (maintenance window).
    NotBefore {
        due: DateTime<Utc>,
        reason: String,
    },
    /// A newer complete run made the job pointless.
    Superseded {
        by: String,
    },
    Failed(Failure),
}

/// What to do with the message and the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Job done; ack.
    Done,
    /// Job superseded; ack.
    Superseded { by: String },
    /// Visible again at once, neither an attempt nor a crash.
    HandBack,
    /// Visible again after a short wait.
    Retry { after: Duration },
    /// Recorded as parked until due, then acked.
    Park { due: DateTime<Utc>, reason: String },
    /// Written as a dead-letter document, then acked.
    Bury { reason: String },
}

impl Verdict {
    /// The word in metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Superseded { .. } => "superseded",
            Self::HandBack => "hand_back",
            Self::Retry { .. } => "retry",
            Self::Park { .. } => "park",
            Self::Bury { .. } => "bury",
        }
    }
}

/// Bounds and pace of retries, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Failures of a job before it is buried; default 5, bound 1 to 50.
    pub attempts_max: u32,
    /// Deliveries that vanished before a job is buried; default 5, bound 1 to
    /// 50.
    pub crashes_max: u32,
    /// Wait after the first failure, doubled after each further one, in ms;
    /// default 5000, bound 1 to 600000.
    pub backoff_base_ms: u64,
    /// Longest wait, in ms; default 1800000, bound `backoff_base_ms` to
    /// 86400000.
    pub backoff_max_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            crashes_max: 5,
            backoff_base_ms: 5_000,
            // 30 minutes: five attempts then span at most half a morning.
            backoff_max_ms: 30 * 60 * 1000,
        }
    }
}

/// How long a paused job waits before somebody looks at the flag again. A
/// resume un-parks at the next tick, so this is only the outer bound.
pub const PAUSE_PARK: Duration = Duration::from_secs(24 * 60 * 60);

/// Turns an ending into a verdict. `attempt` is 1-based and counts this one.
pub fn judge(
    ending: Ending,
    queue: QueueName,
    attempt: u32,
    job: &str,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
) -> Verdict {
    let failure = match ending {
        Ending::Done => return Verdict::Done,
        Ending::HandedBack => return Verdict::HandBack,
        Ending::Superseded { by } => return Verdict::Superseded { by },
        Ending::NotBefore { due, reason } => return Verdict::Park { due, reason },
        Ending::Paused => {
            return Verdict::Park {
                due: now + PAUSE_PARK,
                reason: PAUSED.to_owned(),
            };
        }
        Ending::Failed(failure) => failure,
    };
    match failure.class {
        FailureClass::Permanent => Verdict::Bury {
            reason: failure.reason,
        },
        FailureClass::Transient | FailureClass::Throttled if attempt >= policy.attempts_max => {
            Verdict::Bury {
                reason: format!(
                    "{} (attempt {attempt} of {})",
                    failure.reason, policy.attempts_max
                ),
            }
        }
        FailureClass::Transient | FailureClass::Throttled => {
            let asked = failure
                .retry_after_ms
                .map(Duration::from_millis)
                .unwrap_or_default();
            let bound = Duration::from_millis(policy.backoff_max_ms);
            let wait = backoff(attempt, job, policy).max(asked.min(bound));
            if wait <= release_max(queue) {
                Verdict::Retry { after: wait }
            } else {
                Verdict::Park {
                    due: after(now, wait),
                    reason: failure.reason,
                }
            }
        }
    }
}

/// The reason that parks a paused job; the tick looks for it after a resume.
pub const PAUSED: &str = "paused";

fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    now + chrono::Duration::from_std(wait).unwrap_or(chrono::Duration::days(1))
}

/// What to do with a job whose last delivery vanished, before it is tried
/// again; `None`: try it. One crash is a lost machine more often than a bad
/// job. After the next ones an image job lets the others of its host go first,
/// since every crash locks the group for a whole visibility.
pub fn after_crash(
    queue: QueueName,
    crashes: u32,
    job: &str,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
) -> Option<Verdict> {
    let locks_others = match queue {
        QueueName::Crawl => false,
        QueueName::Image => crashes >= 2,
    };
    locks_others.then(|| Verdict::Park {
        due: after(now, backoff(crashes - 1, job, policy)),
        reason: format!("{crashes} deliveries ended without a verdict"),
    })
}

/// A job whose deliveries keep vanishing kills its workers and is buried.
pub fn crashed_too_often(crashes: u32, policy: &RetryPolicy) -> Option<Verdict> {
    (crashes >= policy.crashes_max).then(|| Verdict::Bury {
        reason: format!(
            "{crashes} deliveries ended without a verdict; the job seems to kill its worker (memory, time or a crash)"
        ),
    })
}

/// Exponential, with a jitter of up to a quarter that depends only on job and
/// attempt, so that a replay waits as long as the original.
fn backoff(attempt: u32, job: &str, policy: &RetryPolicy) -> Duration {
    let doubled = 1_u64
        .checked_shl(attempt.saturating_sub(1))
        .unwrap_or(u64::MAX);
    let plain_ms = policy
        .backoff_base_ms
        .saturating_mul(doubled)
        .min(policy.backoff_max_ms);
    let digest = Sha256::digest(format!("{job}:{attempt}"));
    let share = u64::from(u16::from_be_bytes([digest[0], digest[1]]));
    let jitter_ms = plain_ms / 4 * share / u64::from(u16::MAX);
    Duration::from_millis(plain_ms - jitter_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts_max: 3,
        crashes_max: 2,
        backoff_base_ms: 1_000,
        backoff_max_ms: 600_000,
    };

    fn verdict(ending: Ending, attempt: u32) -> &'static str {
        verdict_of(QueueName::Crawl, ending, attempt)
    }

    fn verdict_of(queue: QueueName, ending: Ending, attempt: u32) -> &'static str {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        judge(ending, queue, attempt, "job", now, &POLICY).as_str()
    }

    #[test]
    fn endings_become_verdicts() {
        let wait = Duration::from_secs;
        assert_eq!(verdict(Ending::Done, 1), "done");
        assert_eq!(verdict(Ending::HandedBack, 9), "hand_back");
        assert_eq!(verdict(Ending::Paused, 9), "park");
        assert_eq!(verdict(Ending::Failed(Failure::permanent("x")), 1), "bury");
        assert_eq!(verdict(Ending::Failed(Failure::transient("x")), 1), "retry");
        assert_eq!(verdict(Ending::Failed(Failure::transient("x")), 2), "retry");
        assert_eq!(verdict(Ending::Failed(Failure::transient("x")), 3), "bury");
        assert_eq!(
            verdict(Ending::Failed(Failure::throttled("x", wait(30))), 1),
            "retry"
        );
        assert_eq!(
            verdict(Ending::Failed(Failure::throttled("x", wait(90))), 1),
            "park"
        );
    }

    #[test]
    fn an_image_job_that_waits_is_out_of_the_way_of_its_host() {
        let check = |queue, wait_s, expected| {
            let wait = Duration::from_secs(wait_s);
            let ending = Ending::Failed(Failure::throttled("busy", wait));
            assert_eq!(verdict_of(queue, ending, 1), expected, "{queue} {wait_s}");
        };
        check(QueueName::Image, 5, "retry");
        check(QueueName::Image, 6, "park");
        check(QueueName::Crawl, 60, "retry");
        check(QueueName::Crawl, 61, "park");
    }

    #[test]
    fn an_image_job_that_crashed_twice_lets_others_go_first() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let check = |queue, crashes, parked| {
            let verdict = after_crash(queue, crashes, "job", now, &POLICY);
            assert_eq!(verdict.is_some(), parked, "{queue} {crashes}");
        };
        check(QueueName::Image, 1, false);
        check(QueueName::Image, 2, true);
        check(QueueName::Crawl, 4, false);
    }

    #[test]
    fn backoff_grows_within_its_bound_and_never_panics() {
        for attempt in [1, 2, 10, 63, 64, 65, u32::MAX] {
            let wait = backoff(attempt, "job", &POLICY);
            assert!(
                wait <= Duration::from_millis(POLICY.backoff_max_ms),
                "{attempt}"
            );
            assert!(
                wait >= Duration::from_millis(POLICY.backoff_base_ms * 3 / 4),
                "{attempt}"
            );
        }
        assert_eq!(backoff(2, "job", &POLICY), backoff(2, "job", &POLICY));
    }

    #[test]
    fn a_job_that_kills_its_worker_does_not_loop() {
        assert_eq!(crashed_too_often(1, &POLICY), None);
        assert!(crashed_too_often(2, &POLICY).is_some());
    }
}
