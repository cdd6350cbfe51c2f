//! Step scaling as it is usually set up: an alarm on visible messages adds by
//! how far it is breached, an alarm on an empty queue takes everything away.
//!
//! What is asked for by an earlier step and still warms up counts towards the
//! next one: "multiple alarm breaches in the same step adjustment result in a
//! single scaling activity" (Amazon EC2 Auto Scaling User Guide, "Step and
//! simple scaling policies").

use super::{Sight, Tuning};
use crate::model::alarm;
use crate::time::Ms;

/// Data points of the alarm that adds.
const OUT_PERIODS: usize = 2;
/// Data points of the alarm that takes away.
const IN_PERIODS: usize = 5;
/// An instance counts as warming up for so long, as in the template.
/// From so many visible messages for each instance of the step before on, so
/// many are added.
const STEPS: [(f64, u32); 3] = [(0.0, 1), (10.0, 4), (100.0, 10)];

#[derive(Debug)]
pub(crate) struct Step {
    tuning: Tuning,
    warming: u32,
    warm_at: Ms,
}

impl Step {
    pub(crate) fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            warming: 0,
            warm_at: 0,
        }
    }

    pub(crate) fn look(&mut self, sight: &Sight<'_>) -> Option<u32> {
        if sight.now >= self.warm_at {
            self.warming = 0;
        }
        let out = alarm::breach(sight.metrics, sight.now, OUT_PERIODS, |point| {
            point.visible > 0
        });
        if let Some(point) = out {
            let adds = adjustment(point.visible, self.tuning.backlog);
            let more = adds.saturating_sub(self.warming);
            let wanted = (sight.desired + more).min(self.tuning.max);
            if wanted == sight.desired {
                return None;
            }
            self.warming += more;
            self.warm_at = sight.now + self.tuning.warmup;
            return Some(wanted);
        }
        let idle = alarm::breach(sight.metrics, sight.now, IN_PERIODS, |point| {
            point.visible + point.in_flight == 0
        });
        (idle.is_some() && sight.desired > 0).then_some(0)
    }
}

/// How many instances a backlog adds.
fn adjustment(visible: u64, backlog: f64) -> u32 {
    let breach = visible as f64 / backlog;
    let steps = STEPS.iter().rev();
    let step = steps.into_iter().find(|(from, _)| breach >= *from);
    step.map_or(0, |(_, adds)| *adds)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Boots, Stage, TUNING};
    use super::super::{PolicyKind, Scaler};
    use super::*;

    #[test]
    fn a_step_adds_by_how_far_it_is_breached() {
        // 4 messages for each instance: 40 are the second step, 400 the third.
        let found = [1, 39, 40, 399, 400].map(|visible| adjustment(visible, 4.0));
        assert_eq!(found, [1, 1, 4, 4, 10]);
    }

    #[test]
    fn what_warms_up_is_not_asked_for_again() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Step, TUNING);
        for _ in 0..7 {
            stage.minute(&mut scaler, 50, 0, Boots::Never);
        }
        // Two points, the second seen a minute late: minute 3. Four warm up
        // for two minutes; then the alarm, still in breach, adds four more.
        assert_eq!(stage.asked, [(3, 4), (5, 8), (7, 12)]);
    }

    #[test]
    fn a_deeper_breach_adds_the_difference_only() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Step, TUNING);
        for visible in [50, 50, 500, 500] {
            stage.minute(&mut scaler, visible, 0, Boots::Never);
        }
        // Minute 4 sees the 500 of minute 3: ten, of which four warm up.
        assert_eq!(stage.asked, [(3, 4), (4, 10)]);
    }

    #[test]
    fn an_empty_queue_takes_everything_away_after_five_points() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Step, TUNING);
        for _ in 0..2 {
            stage.minute(&mut scaler, 8, 0, Boots::AtOnce);
        }
        for _ in 0..8 {
            stage.minute(&mut scaler, 0, 0, Boots::AtOnce);
        }
        // Empty from minute 3 on; the fifth empty point is seen at minute 8.
        assert_eq!(stage.asked, [(3, 1), (8, 0)]);
    }
}
