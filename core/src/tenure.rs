//! What a worker does about its place in a fleet that shrinks: when it must
//! not be chosen, when it may be, and when it goes by itself.

use std::time::Duration;

/// How a worker holds its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenurePolicy {
    /// Idle for so long, a worker may be chosen for scale-in. Not at once:
    /// between two jobs of seconds the platform would be asked twice a job.
    pub unprotect_after: Duration,
    /// Idle for so long, a worker leaves by itself; `None`: never.
    pub idle_exit: Option<Duration>,
}

impl Default for TenurePolicy {
    fn default() -> Self {
        Self {
            unprotect_after: Duration::from_secs(30),
            // Spot instances are billed by the second: waiting costs what a
            // start does after about this time.
            idle_exit: Some(Duration::from_secs(5 * 60)),
        }
    }
}

/// What the slots of a worker process are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupancy {
    /// So many jobs are in hand.
    Busy(usize),
    /// Nothing is in hand since this moment of the monotonic clock.
    IdleSince(Duration),
}

/// How the worker stands to its place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Must not be chosen for scale-in.
    Guarded,
    /// As it was before: idle, but only for a moment.
    Unchanged,
    /// May be chosen.
    Free,
    /// Goes: drain, then leave.
    Leaving,
}

/// How a worker stands at `now` of the monotonic clock.
pub fn stand(occupancy: Occupancy, now: Duration, policy: &TenurePolicy) -> Stand {
    let since = match occupancy {
        Occupancy::Busy(_) => return Stand::Guarded,
        Occupancy::IdleSince(since) => since,
    };
    let idle = now.saturating_sub(since);
    if policy.idle_exit.is_some_and(|bound| idle >= bound) {
        Stand::Leaving
    } else if idle >= policy.unprotect_after {
        Stand::Free
    } else {
        Stand::Unchanged
    }
}

/// How long the stand lasts if nothing happens; `None`: until the occupancy
/// changes.
pub fn stands_for(occupancy: Occupancy, now: Duration, policy: &TenurePolicy) -> Option<Duration> {
    let Occupancy::IdleSince(since) = occupancy else {
        return None;
    };
    let idle = now.saturating_sub(since);
    [Some(policy.unprotect_after), policy.idle_exit]
        .into_iter()
        .flatten()
        .filter(|bound| *bound > idle)
        .map(|bound| bound - idle)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: TenurePolicy = TenurePolicy {
        unprotect_after: Duration::from_secs(30),
        idle_exit: Some(Duration::from_secs(300)),
    };

    #[test]
    fn idle_workers_are_free_after_a_moment_and_leave_after_a_while() {
        let since = Duration::from_secs(1_000);
        let check = |idle: u64, stand_now: Stand, lasts: Option<u64>| {
            let (occupancy, now) = (
                Occupancy::IdleSince(since),
                since + Duration::from_secs(idle),
            );
            assert_eq!(stand(occupancy, now, &POLICY), stand_now, "{idle}");
            let expected = lasts.map(Duration::from_secs);
            assert_eq!(stands_for(occupancy, now, &POLICY), expected, "{idle}");
        };
        check(0, Stand::Unchanged, Some(30));
        check(29, Stand::Unchanged, Some(1));
        check(30, Stand::Free, Some(270));
        check(299, Stand::Free, Some(1));
        check(300, Stand::Leaving, None);
        check(100_000, Stand::Leaving, None);
    }

    #[test]
    fn a_busy_worker_is_guarded_however_long() {
        let now = Duration::from_secs(1 << 40);
        assert_eq!(stand(Occupancy::Busy(1), now, &POLICY), Stand::Guarded);
        assert_eq!(stands_for(Occupancy::Busy(1), now, &POLICY), None);
    }

    #[test]
    fn a_worker_without_an_idle_bound_stays() {
        let policy = TenurePolicy {
            idle_exit: None,
            ..POLICY
        };
        let (idle, now) = (Occupancy::IdleSince(Duration::ZERO), Duration::MAX);
        assert_eq!(stand(idle, now, &policy), Stand::Free);
        assert_eq!(stands_for(idle, now, &policy), None);
        // A clock that was read before the idle time began.
        let early = Occupancy::IdleSince(Duration::from_secs(9));
        assert_eq!(stand(early, Duration::ZERO, &policy), Stand::Unchanged);
    }
}
