//! Target tracking of (visible + in flight) for each instance in service, and
//! the alarm that wakes from zero, as the template has them.
//!
//! Tracking makes two alarms: one over the target for three data points, one
//! under nine tenths of it for fifteen (as CloudWatch shows those of every
//! policy of its kind). It asks for as many as would bring the metric to the
//! target, and takes nothing away while instances warm up.

use super::{Sight, Tuning, shares};
use crate::model::alarm;
use crate::model::metrics::Point;
use crate::time::Ms;

const OUT_PERIODS: usize = 3;
const IN_PERIODS: usize = 15;
/// Of the target, below which the metric has to be.
const IN_SHARE: f64 = 0.9;

/// Who takes instances away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScaleIn {
    /// The policy.
    Tracked,
    /// Nobody: they leave by themselves.
    Disabled,
}

#[derive(Debug)]
pub(crate) struct Tracking {
    tuning: Tuning,
    scale_in: ScaleIn,
    warm_at: Ms,
}

impl Tracking {
    pub(crate) fn new(tuning: Tuning, scale_in: ScaleIn) -> Self {
        Self {
            tuning,
            scale_in,
            warm_at: 0,
        }
    }

    pub(crate) fn look(&mut self, sight: &Sight<'_>) -> Option<u32> {
        let out = self.wake(sight).max(self.out(sight));
        if let Some(wanted) = out.filter(|wanted| *wanted > sight.desired) {
            self.warm_at = sight.now + self.tuning.warmup;
            return Some(wanted);
        }
        match self.scale_in {
            ScaleIn::Disabled => None,
            ScaleIn::Tracked => self.take_away(sight),
        }
    }

    /// One more, if there is work and nobody, nor anybody on the way.
    fn wake(&self, sight: &Sight<'_>) -> Option<u32> {
        let is_asleep = |point: &Point| point.visible > 0 && point.in_service + point.pending == 0;
        alarm::breach(
            sight.metrics,
            sight.now,
            self.tuning.wake_periods,
            is_asleep,
        )?;
        // The data point is a minute old: what was asked for since warms up.
        (sight.now >= self.warm_at).then_some((sight.desired + 1).min(self.tuning.max))
    }

    fn out(&self, sight: &Sight<'_>) -> Option<u32> {
        let target = self.tuning.backlog;
        let point = alarm::breach(sight.metrics, sight.now, OUT_PERIODS, |point| {
            metric(point) > target
        })?;
        Some(shares(
            point.visible + point.in_flight,
            target,
            self.tuning.max,
        ))
    }

    fn take_away(&self, sight: &Sight<'_>) -> Option<u32> {
        if sight.now < self.warm_at {
            return None;
        }
        let below = self.tuning.backlog * IN_SHARE;
        let point = alarm::breach(sight.metrics, sight.now, IN_PERIODS, |point| {
            metric(point) < below
        })?;
        let wanted = shares(
            point.visible + point.in_flight,
            self.tuning.backlog,
            self.tuning.max,
        );
        (wanted < sight.desired).then_some(wanted)
    }
}

/// The expression of the template.
fn metric(point: &Point) -> f64 {
    let jobs = (point.visible + point.in_flight) as f64;
    jobs / f64::from(point.in_service.max(1))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Boots, Stage, TUNING};
    use super::super::{PolicyKind, Scaler};

    #[test]
    fn the_wake_alarm_adds_one_and_three_points_later_tracking_the_rest() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Alarms, TUNING);
        for _ in 0..6 {
            stage.minute(&mut scaler, 30, 2, Boots::AtOnce);
        }
        // Seen at minute 3: the wake. Three points over the target are seen at
        // minute 4: 32 jobs / 4 for each = 8.
        assert_eq!(stage.asked, [(3, 1), (4, 8)]);
    }

    #[test]
    fn the_wake_alarm_does_not_ask_twice_for_one_backlog() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Alarms, TUNING);
        for _ in 0..8 {
            // Two jobs are below the target: tracking stays silent.
            stage.minute(&mut scaler, 2, 0, Boots::Never);
        }
        assert_eq!(stage.asked, [(3, 1)]);
    }

    #[test]
    fn tracking_takes_away_after_fifteen_points_below_nine_tenths() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::TargetTracking, TUNING);
        for _ in 0..4 {
            stage.minute(&mut scaler, 32, 0, Boots::AtOnce);
        }
        assert_eq!(stage.asked, [(3, 1), (4, 8)]);
        // 28.8 jobs are nine tenths of 8 x 4: 29 never take away.
        for _ in 0..20 {
            stage.minute(&mut scaler, 29, 0, Boots::AtOnce);
        }
        assert_eq!(stage.asked.len(), 2);
        // 9 jobs from minute 25 on: the fifteenth point is seen at minute 40.
        for _ in 0..16 {
            stage.minute(&mut scaler, 9, 0, Boots::AtOnce);
        }
        assert_eq!(stage.asked[2..], [(40, 3)]);
        // And none of the template's, whose instances leave by themselves.
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Alarms, TUNING);
        stage.desired = 5;
        stage.in_service = 5;
        for _ in 0..40 {
            stage.minute(&mut scaler, 0, 0, Boots::AtOnce);
        }
        assert_eq!(stage.asked, []);
    }

    #[test]
    fn the_maximum_holds() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::TargetTracking, TUNING);
        for _ in 0..6 {
            stage.minute(&mut scaler, 4_000, 0, Boots::AtOnce);
        }
        assert_eq!(stage.asked, [(3, 1), (4, 20)]);
    }
}
