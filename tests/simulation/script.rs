//! What a job does, by the seed and its name: how long it takes, what it
//! makes, and what goes wrong with it. The same job of the same seed always
//! does the same, whichever delivery works on it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// One failure with a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Transient,
    /// The partner asks for a wait that the queue can hold.
    ThrottledShort,
    /// The partner asks for a wait that parks the job.
    ThrottledLong,
    Panic,
}

/// How a job ends once its troubles are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// Fails in a way that no try can mend.
    Permanent,
    /// Kills the process that works on it, every time.
    Poison,
}

#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) steps: u32,
    pub(crate) step: Duration,
    /// One image takes so long.
    pub(crate) image: Duration,
    /// Whether images are new; unchanged ones are looked at and not stored.
    pub(crate) stores: bool,
    /// Steps between two checkpoints.
    pub(crate) checkpoint_every: u32,
    /// Images that a run finds.
    pub(crate) images: u32,
    /// In the first attempts, one each.
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) fate: Fate,
    /// One step that takes so long and hears nothing meanwhile.
    pub(crate) hang: Duration,
}

/// A number of its own for each seed and name.
pub(crate) fn seed_of(seed: u64, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, name).hash(&mut hasher);
    hasher.finish()
}

impl Script {
    pub(crate) fn of(seed: u64, job: &str, troubled: bool) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed_of(seed, job));
        // Most are short; some outlast a renewal of their lease.
        let step = Duration::from_millis(1 << rng.random_range(6..=16));
        let mut script = Self {
            steps: rng.random_range(1..=4),
            step,
            image: step / 4,
            stores: true,
            checkpoint_every: rng.random_range(1..=3),
            images: rng.random_range(0..=6),
            troubles: Vec::new(),
            fate: Fate::Fine,
            hang: Duration::ZERO,
        };
        if !troubled {
            return script;
        }
        let kinds = [
            Trouble::Transient,
            Trouble::ThrottledShort,
            Trouble::ThrottledLong,
            Trouble::Panic,
        ];
        while script.troubles.len() < 3 && rng.random_bool(0.15) {
            script.troubles.extend(kinds.choose(&mut rng));
        }
        script.fate = match rng.random_range(0..40) {
            0 => Fate::Permanent,
            1 => Fate::Poison,
            _ => Fate::Fine,
        };
        if rng.random_bool(0.03) {
            script.hang = Duration::from_secs(rng.random_range(60..=1_200));
        }
        script
    }

    /// What attempt number `attempts` + 1 meets, if it meets anything.
    pub(crate) fn trouble(&self, attempts: u32) -> Option<Trouble> {
        self.troubles.get(attempts as usize).copied()
    }

    /// Failures with a verdict that the ledger shows in the end.
    pub(crate) fn attempts(&self) -> u32 {
        let last = u32::from(self.fate == Fate::Permanent);
        self.troubles.len() as u32 + last
    }
}
