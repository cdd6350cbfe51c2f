//! Polling the queue itself, as KEDA does with its SQS scaler and the
//! horizontal autoscaler of Kubernetes behind it: every 30 s, visible and in
//! flight messages over a target; down to the highest wish of the last five
//! minutes; to zero after five minutes without work (KEDA's documentation:
//! `pollingInterval` 30, `cooldownPeriod` 300; Kubernetes: stabilization
//! window of scaling down 300 s).
//!
//! Instances stand for nodes: pods that wait for them are not simulated.

use std::collections::VecDeque;

use super::{Sight, Tuning, shares};
use crate::time::Ms;

#[derive(Debug)]
pub(crate) struct Keda {
    tuning: Tuning,
    /// Wishes of the window, oldest first.
    wishes: VecDeque<(Ms, u32)>,
    active_at: Option<Ms>,
}

impl Keda {
    pub(crate) fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            wishes: VecDeque::new(),
            active_at: None,
        }
    }

    pub(crate) fn look(&mut self, sight: &Sight<'_>) -> Option<u32> {
        let jobs = sight.visible + sight.in_flight;
        if jobs > 0 {
            self.active_at = Some(sight.now);
        }
        let wish = shares(jobs, self.tuning.backlog, self.tuning.max);
        let stabilization = self.tuning.stabilization;
        let is_in_window = |at: Ms| sight.now - at <= stabilization;
        while self
            .wishes
            .front()
            .is_some_and(|(at, _)| !is_in_window(*at))
        {
            self.wishes.pop_front();
        }
        self.wishes.push_back((sight.now, wish));
        let highest = self.wishes.iter().map(|(_, wish)| *wish).max().unwrap_or(0);
        let is_cold = self
            .active_at
            .is_none_or(|at| sight.now - at >= self.tuning.cooldown);
        let wanted = match (wish, is_cold) {
            (0, true) => 0,
            // One stays until the cool-down is over.
            (0, false) => highest.max(1),
            _ => wish.max(highest.min(sight.desired)),
        };
        (wanted != sight.desired).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Boots, Stage, TUNING};
    use super::super::{PolicyKind, Scaler};

    #[test]
    fn polling_sees_at_once_and_goes_down_by_the_highest_of_five_minutes() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Keda, TUNING);
        for jobs in [30, 30, 9, 9, 9, 9, 9, 9, 9] {
            stage.minute(&mut scaler, jobs, 0, Boots::AtOnce);
        }
        // 30 / 4 = 8 in the same minute; the last 30 leaves the window, which
        // holds five minutes whole, at minute 8.
        assert_eq!(stage.asked, [(1, 8), (8, 3)]);
    }

    #[test]
    fn zero_comes_five_minutes_after_the_last_work() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Keda, TUNING);
        for jobs in [2, 2, 0, 0, 0, 0, 0, 0] {
            stage.minute(&mut scaler, 0, jobs, Boots::AtOnce);
        }
        // Last work at minute 2.
        assert_eq!(stage.asked, [(1, 1), (7, 0)]);
    }
}
