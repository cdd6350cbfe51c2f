//! How long an instance takes to its first poll, and how long a spot instance
//! lives. Billing begins when it runs, and is for a minute at least.

use crate::facts::{Facts, InstanceType};
use crate::random::Random;
use crate::time::{HOUR, MINUTE, Ms, ms};

/// The steps of one launch, each from the wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Launch {
    /// Paid for from now on.
    pub(crate) running: Ms,
    /// Its worker polls.
    pub(crate) ready: Ms,
}

/// How instances come.
#[derive(Debug, Clone)]
pub(crate) struct Launches {
    reaction_s: f64,
    pending_s: f64,
    boot_s: f64,
    spread: f64,
}

impl Launches {
    pub(crate) fn new(facts: &Facts) -> Self {
        Self {
            reaction_s: facts.get("latency.group_reaction_s"),
            pending_s: facts.get("latency.pending_s"),
            boot_s: facts.get("latency.boot_s"),
            spread: facts.get("latency.launch_spread"),
        }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> Launch {
        let slow = random.log_normal(1.0, self.spread);
        let running = (self.reaction_s + self.pending_s) * slow;
        Launch {
            running: ms(running),
            ready: ms(running + self.boot_s * slow),
        }
    }

    /// The 95th percentile, which the planner reckons with.
    pub(crate) fn p95(&self) -> Ms {
        /// Of the normal distribution.
        const P95: f64 = 1.645;
        ms((self.reaction_s + self.pending_s + self.boot_s) * (P95 * self.spread).exp())
    }
}

/// When spot takes an instance back after it ran, and whether it says so.
pub(crate) fn interruption(
    of: &InstanceType,
    unannounced: f64,
    random: &mut Random,
) -> Option<(Ms, bool)> {
    if of.interruptions <= 0.0 {
        return None;
    }
    let hours = random.exponential(1_000.0 / of.interruptions);
    let noticed = random.unit() >= unannounced;
    Some(((hours * HOUR as f64) as Ms, noticed))
}

/// What is paid for of a run so long: whole seconds, and a minute at least.
pub(crate) fn billed(ran: Ms) -> Ms {
    ran.max(MINUTE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn launches_have_the_median_and_the_percentile_of_the_facts() {
        let launches = Launches::new(&Facts::default());
        let mut random = Random::new(5);
        let mut ready: Vec<Ms> = (0..20_001)
            .map(|_| launches.draw(&mut random).ready)
            .collect();
        ready.sort_unstable();
        // 4 + 17 + 10 s; 31 s x exp(1.645 x 0.30) = 50.779 s.
        assert!(
            (30_500..31_500).contains(&ready[10_000]),
            "{}",
            ready[10_000]
        );
        assert_eq!(launches.p95(), 50_779);
        assert!(
            (49_500..52_000).contains(&ready[19_000]),
            "{}",
            ready[19_000]
        );
    }

    #[test]
    fn spot_takes_back_as_often_as_its_type_says() {
        let facts = Facts::default();
        let of = &facts.instances()[0];
        let mut random = Random::new(9);
        let drawn: Vec<_> = (0..20_000)
            .map(|_| interruption(of, 0.05, &mut random).unwrap())
            .collect();
        let hours = drawn
            .iter()
            .map(|(at, _)| *at as f64 / HOUR as f64)
            .sum::<f64>()
            / 20_000.0;
        // 1.4 in 1,000 hours: one in 714.
        assert!((hours - 714.3).abs() < 15.0, "{hours}");
        let silent = drawn.iter().filter(|(_, noticed)| !noticed).count();
        assert!((850..1_150).contains(&silent), "{silent}");
        let never = InstanceType {
            interruptions: 0.0,
            ..of.clone()
        };
        assert_eq!(interruption(&never, 0.05, &mut random), None);
    }

    #[test]
    fn a_minute_is_paid_for_at_least() {
        assert_eq!((billed(5_000), billed(61_500)), (60_000, 61_500));
    }
}
