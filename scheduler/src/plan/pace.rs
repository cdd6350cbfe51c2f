//! How long image jobs take, measured by looking: what was in somebody's hands
//! from one look to the next, by what was settled meanwhile (Little's law).
//!
//! A host is asked at its own pace, and a job takes what that pace asks for;
//! jobs of hosts that are all slower than usual wait for the machines and not
//! for the hosts. The two are told apart here, because more machines help
//! against one of them alone.

use serde::{Deserialize, Serialize};

/// The weight of a new measurement: what a change of the fleet changes shows
/// within a few looks.
const NEWEST: f64 = 0.5;

/// Bounds of a job's time, whatever was measured.
const JOB_MS: std::ops::RangeInclusive<f64> = 100.0..=600_000.0;

/// So many jobs of a host are open at least before it tells of the machines:
/// the last ones are often short.
pub const TELLING_JOBS: u64 = 3;

/// Of so few hosts it cannot be said whether they or the machines are slow.
const HOSTS_MIN: usize = 10;

/// The host that tells how slow all are: one of so many is quicker. Four of
/// five slow partners are no matter of machines.
const QUICK_PART: usize = 5;

/// How what is usual follows what is found: quickly down, and up by half in
/// seven hours of a look a minute, so that a long crowd does not become usual.
const DOWN: f64 = 0.1;
const UP: f64 = 1.001;

/// Jobs of one host, or of one pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    job_ms: Option<f64>,
    /// Time in slots since something was settled last.
    spent_ms: f64,
    seen: Option<Seen>,
}

/// What the last look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    planned: u64,
    open: u64,
    in_hand: u64,
}

/// What is found at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Since the look before.
    pub since_ms: i64,
    /// Jobs that there were ever.
    pub planned: u64,
    /// Of those, not settled.
    pub open: u64,
    /// Of those, in somebody's hands.
    pub in_hand: u64,
}

impl Pace {
    pub fn look(&mut self, looked: &Looked) {
        let now = Seen {
            planned: looked.planned,
            open: looked.open,
            in_hand: looked.in_hand,
        };
        let Some(before) = self.seen else {
            self.seen = Some(now);
            return;
        };
        if looked.since_ms <= 0 {
            return;
        }
        self.seen = Some(now);
        if now.planned < before.planned {
            // An earlier run of the host was put away.
            self.spent_ms = 0.0;
            return;
        }
        // When in between the first were taken up, or the last put down, nobody
        // knows.
        if before.in_hand == 0 || now.in_hand == 0 {
            return;
        }
        let in_hand = (before.in_hand + now.in_hand) as f64 / 2.0;
        self.spent_ms += looked.since_ms as f64 * in_hand;
        let settled = (now.planned - before.planned + before.open).saturating_sub(now.open);
        if settled == 0 {
            return;
        }
        let measured = (self.spent_ms / settled as f64).clamp(*JOB_MS.start(), *JOB_MS.end());
        let before = self.job_ms.unwrap_or(measured);
        self.job_ms = Some(before + (measured - before) * NEWEST);
        self.spent_ms = 0.0;
    }

    /// Of a job in its slot; `None` before one was measured.
    pub fn job_ms(&self) -> Option<f64> {
        self.job_ms
    }
}

/// How much longer than by their hosts jobs take now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Crowding {
    /// What jobs take, by what their host's rate asks for at least, where the
    /// machines have time for them.
    usual: Option<f64>,
    /// What the last two looks found. One alone may have found hosts that all
    /// had just been taken up.
    found: Option<f64>,
    before: Option<f64>,
}

impl Crowding {
    /// Takes what the jobs of each host take now, by what its rate asks for at
    /// least. In any order, which is changed.
    pub fn look(&mut self, ratios: &mut [f64]) {
        self.before = self.found.take();
        if ratios.len() < HOSTS_MIN {
            return;
        }
        let at = ratios.len() / QUICK_PART;
        let (_, found, _) = ratios.select_nth_unstable_by(at, f64::total_cmp);
        let found = found.max(f64::MIN_POSITIVE);
        self.found = Some(found);
        let usual = self.usual.unwrap_or(found);
        self.usual = Some(match found < usual {
            true => usual + (found - usual) * DOWN,
            false => found.min(usual * UP),
        });
    }

    /// At least 1; 1 is not at all.
    pub fn present(&self) -> f64 {
        let found = self.found.zip(self.before);
        let quicker = found.map(|(found, before)| found.min(before));
        let crowding = quicker.zip(self.usual).map(|(found, usual)| found / usual);
        crowding.map_or(1.0, |crowding| crowding.max(1.0))
    }

    /// What a job of a host takes where the machines have time for it: as it
    /// was measured, or as those of other hosts do.
    pub fn job_ms(&self, measured: Option<f64>, by_rate_ms: f64) -> Option<f64> {
        let own = measured.map(|ms| ms / self.present());
        own.or_else(|| self.usual.map(|usual| usual * by_rate_ms))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn jobs_are_measured_while_there_are_some() {
        let mut pace = Pace::default();
        let mut look = |since_s: i64, planned: u64, open: u64, in_hand: u64| {
            pace.look(&Looked {
                since_ms: since_s * 1_000,
                planned,
                open,
                in_hand,
            });
            pace.job_ms()
        };
        assert_eq!(look(60, 500, 100, 4), None, "nothing to compare with");
        // 20 jobs and 10 that came meanwhile, on 4 slots, in a minute.
        assert_eq!(look(60, 510, 80, 4), Some(8_000.0));
        assert_eq!(look(0, 510, 80, 4), Some(8_000.0), "the same look again");
        // 60 in a minute: 4 s, half of the way there.
        assert_eq!(look(60, 510, 20, 4), Some(6_000.0));
        assert_eq!(look(60, 510, 0, 0), Some(6_000.0), "the last ones");
        assert_eq!(look(60, 900, 390, 4), Some(6_000.0), "the first ones");
        // The run before was put away.
        assert_eq!(look(60, 400, 390, 4), Some(6_000.0));
    }

    #[test]
    fn a_job_of_many_looks_takes_as_long_as_all_of_them() {
        let mut pace = Pace::default();
        for (open, expected) in [(2, None), (2, None), (2, None), (1, Some(180_000.0))] {
            pace.look(&Looked {
                since_ms: 60_000,
                planned: 2,
                open,
                in_hand: 1,
            });
            assert_eq!(pace.job_ms(), expected, "{open}");
        }
    }

    #[test]
    fn machines_that_are_slow_are_told_from_hosts_that_are() {
        let hosts = |quick: usize, ratio: f64, slow: f64| {
            let mut ratios = vec![slow; 12];
            ratios[..quick].fill(ratio);
            ratios
        };
        let mut crowding = Crowding::default();
        let mut look = |mut ratios: Vec<f64>| {
            crowding.look(&mut ratios);
            (crowding.present() * 100.0).round() / 100.0
        };
        assert_eq!(look(hosts(9, 1.0, 6.0)), 1.0);
        assert_eq!(look(hosts(3, 1.0, 6.0)), 1.0, "slow hosts");
        assert_eq!(look(hosts(12, 2.0, 2.0)), 1.0, "once is by chance");
        assert_eq!(look(hosts(9, 2.0, 6.0)), 2.0, "slow machines");
        assert_eq!(look(vec![2.0; 3]), 1.0, "too few to tell");
        // Partners that are all slow are what is usual, until they are quick.
        let mut crowding = Crowding::default();
        for ratio in [3.0, 3.0] {
            crowding.look(&mut hosts(12, ratio, ratio));
            assert_eq!(crowding.present(), 1.0);
        }
        for ratio in [[1.5; 60].as_slice(), &[3.0; 2]].concat() {
            crowding.look(&mut hosts(12, ratio, ratio));
        }
        assert!((crowding.present() - 2.0).abs() < 0.02, "{crowding:?}");
        let of_others = crowding.job_ms(None, 10_000.0).unwrap();
        assert!((of_others - 15_000.0).abs() < 100.0, "{of_others}");
        let own = crowding.job_ms(Some(60_000.0), 10_000.0).unwrap();
        assert!((own - 30_000.0).abs() < 200.0, "{own}");
    }
}
