//! One way to try again, for every call of S3.
//!
//! The SDK's own retries are off here: after an attempt without an answer, a
//! condition that does not hold may be our own doing, and only who counts the
//! attempts can tell.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Fault;
use crate::cloud::CALL_MAX;

/// S3 asks clients to slow down while it splits a partition, which takes
/// longer than a few attempts; a job that fails then is taken up again later.
const ATTEMPTS_MAX: u32 = 6;

/// The first wait is about one answer of S3 long.
const WAIT_FIRST: Duration = Duration::from_millis(40);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct Attempts {
    made: u32,
    end: Instant,
    /// Whether an earlier attempt may have been carried out.
    pub(super) unanswered: bool,
}

impl Attempts {
    pub(super) fn begin() -> Self {
        Self {
            made: 0,
            end: Instant::now() + CALL_MAX,
            unanswered: false,
        }
    }

    /// Waits for the next attempt. Gives the fault back where another attempt
    /// is of no use, too many were made, or the time is up.
    pub(super) async fn after(&mut self, fault: Fault) -> Result<(), Fault> {
        self.made += 1;
        self.unanswered |= fault.may_have_happened();
        let wait = wait_after(self.made, random());
        if !fault.is_transient() || self.made >= ATTEMPTS_MAX || Instant::now() + wait >= self.end {
            return Err(fault);
        }
        tracing::debug!(error = %fault, wait_ms = wait.as_millis() as u64, "trying again: {fault}");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Repeats a call that does the same however often it is made.
pub(super) async fn repeat<T, Fut>(mut call: impl FnMut() -> Fut) -> Result<T, Fault>
where
    Fut: Future<Output = Result<T, Fault>>,
{
    let mut attempts = Attempts::begin();
    loop {
        match call().await {
            Ok(done) => return Ok(done),
            Err(fault) => attempts.after(fault).await?,
        }
    }
}

/// Between half and the whole of a span that doubles, so that workers that
/// were refused together do not come back together.
fn wait_after(made: u32, random: u64) -> Duration {
    let span = WAIT_FIRST
        .saturating_mul(1 << (made - 1).min(16))
        .min(WAIT_MAX);
    let share = u32::try_from(random % 1_000).unwrap_or(0);
    span / 2 + span * share / 2_000
}

/// A number that no other call and no other process gets, but by chance.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// 128 bits of chance, by which a writer knows its own write again.
pub(super) fn nonce() -> String {
    format!("{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_spread() {
        let check = |made: u32, random: u64, expected_ms: u64| {
            assert_eq!(
                wait_after(made, random).as_millis(),
                u128::from(expected_ms)
            );
        };
        check(1, 0, 20);
        check(1, 999, 39);
        check(2, 0, 40);
        check(5, 500, 480);
        check(60, 0, 1_000);
    }
}
