//! What a decision is made from: the work, the fleet, and what bounds it.

/// One crawl job, waiting, in hand, or due later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// The caller's number of the pipe; comes back where a pipe is named.
    pub key: u32,
    /// From when on its message is in the queue.
    pub due_ms: i64,
    /// When it should be over.
    pub deadline_ms: i64,
    /// Time in a slot that is still to come, as it is likely to be.
    pub expected_ms: i64,
    /// The same as it hardly ever is more; at least `expected_ms`.
    pub upper_ms: i64,
    /// A worker has it.
    pub in_hand: bool,
    /// Its times are from past runs, and not a default.
    pub is_known: bool,
}

/// The instances of one group as they are now. Those that leave are in none of
/// the figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Able to take work.
    pub in_service: u32,
    /// Of these, so many must not be taken away.
    pub busy: u32,
    /// Asked for, and not yet able to take work.
    pub booting: u32,
    /// When the last of those is likely to be able to.
    pub booted_ms: i64,
}

impl Fleet {
    /// Instances that are paid for, or will be.
    pub fn live(&self) -> u32 {
        self.in_service.saturating_add(self.booting)
    }
}

/// What bounds a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    pub min: u32,
    pub max: u32,
    /// Jobs that an instance works on at once; at least 1.
    pub slots: u32,
    /// From the wish for an instance to its first job: the 95th percentile.
    pub boot_ms: i64,
    /// Until the next decision is made, at the latest.
    pub every_ms: i64,
    /// Work that is late whatever is done is over so long after its earliest
    /// end, so that a backlog after an outage does not start everything there is.
    pub catch_up_ms: i64,
    /// A run is to begin so early that it could take so many times longer than
    /// it hardly ever does, as far as half of the time that it may wait allows:
    /// it is the one that does that comes too late.
    pub reserve: u32,
    /// How long an instance is paid for after its last job.
    pub idle_ms: i64,
    /// Of one instance.
    pub usd_per_hour: f64,
    /// What may still be spent; `None`: whatever it takes.
    pub budget_usd: Option<f64>,
}

impl Limits {
    /// How long before its due instant work is prepared for: the start of an
    /// instance, and the rest of the time in which nobody looks.
    pub fn lead_ms(&self) -> i64 {
        self.boot_ms.saturating_add(self.every_ms)
    }

    pub(super) fn slots(&self) -> u32 {
        self.slots.max(1)
    }

    pub(super) fn usd(&self, instance_ms: i64) -> f64 {
        instance_ms as f64 / 3_600_000.0 * self.usd_per_hour
    }

    /// How many instances what is left pays for, if each is kept until the
    /// longest job is over.
    pub(super) fn affordable(&self, longest_ms: i64) -> u32 {
        let Some(left) = self.budget_usd else {
            return u32::MAX;
        };
        let kept_ms = self.boot_ms.saturating_add(longest_ms).max(1);
        let each = self.usd(kept_ms);
        if each <= 0.0 {
            return u32::MAX;
        }
        // Saturates: a negative rest pays for none.
        (left / each).floor() as u32
    }
}
