//! Short retries of one call to a port, for failures that pass, and tasks that
//! do not fail at all. Longer retries are the job's attempts. An adapter that
//! reaches far retries by itself and answers late; then there is no more to
//! try here.

use std::time::Duration;

use tokio::task::JoinError;
use trawler_core::ports::Clock;

/// Tries of one call: with the waits below about 1.5 s, which outlasts a busy
/// database or a connection that is made anew, and stays far below a lease.
pub(crate) const TRIES: u32 = 6;

/// A call that fails after so long is not tried again: two layers of retries
/// together must stay below a lease.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);

const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The wait after try number `tried` (from 1).
pub(crate) fn wait_after(tried: u32) -> Duration {
    FIRST_WAIT * 2_u32.saturating_pow(tried.saturating_sub(1).min(TRIES))
}

/// Calls until it works, fails for good, or the tries or the time are used up.
pub async fn retry<T, E, F, Fut>(
    clock: &dyn Clock,
    transient: fn(&E) -> bool,
    mut call: F,
) -> Result<T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let begun = clock.monotonic();
    let mut tried = 1;
    loop {
        match call().await {
            Err(error)
                if transient(&error)
                    && tried < TRIES
                    && clock.monotonic().saturating_sub(begun) < BEGIN_WITHIN =>
            {
                clock.sleep(wait_after(tried)).await;
                tried += 1;
            }
            settled => return settled,
        }
    }
}

/// What a task of our own gave back. Nobody aborts these tasks, so one that
/// did not return has panicked, and the panic goes on here.
pub(crate) fn joined<T>(task: Option<Result<T, JoinError>>) -> Option<T> {
    match task? {
        Ok(value) => Some(value),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_waits_together_stay_short() {
        let sum: Duration = (1..TRIES).map(wait_after).sum();
        assert_eq!(sum, Duration::from_millis(1550));
        assert!(wait_after(u32::MAX) < Duration::from_secs(10));
    }
}
