//! The same number of instances, always or by the clock.

use super::Sight;
use crate::time::{DAY, HOUR, MINUTE, Ms};

/// From when to when of the day instances are wanted.
#[derive(Debug)]
pub(crate) struct Fixed {
    count: u32,
    from: Ms,
    until: Ms,
}

impl Fixed {
    pub(crate) fn always(count: u32) -> Self {
        Self {
            count,
            from: 0,
            until: DAY,
        }
    }

    /// From half past midnight, before the peak of the night, until seven.
    pub(crate) fn nightly(count: u32) -> Self {
        Self {
            count,
            from: 30 * MINUTE,
            until: 7 * HOUR,
        }
    }

    pub(crate) fn look(&self, sight: &Sight<'_>) -> Option<u32> {
        let of_day = sight.now % DAY;
        let is_on = of_day >= self.from && of_day < self.until;
        let wanted = if is_on { self.count } else { 0 };
        (wanted != sight.desired).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Boots, Stage, TUNING};
    use super::super::{PolicyKind, Scaler};

    #[test]
    fn the_clock_switches_on_at_half_past_midnight_and_off_at_seven() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::Scheduled, TUNING);
        for _ in 0..2 * 24 * 60 {
            stage.minute(&mut scaler, 100, 0, Boots::AtOnce);
        }
        assert_eq!(stage.asked, [(30, 3), (420, 0), (1_470, 3), (1_860, 0)]);
    }

    #[test]
    fn always_on_asks_once() {
        let mut stage = Stage::warm();
        let mut scaler = Scaler::new(PolicyKind::AlwaysOn, TUNING);
        for _ in 0..24 * 60 + 5 {
            stage.minute(&mut scaler, 0, 0, Boots::AtOnce);
        }
        assert_eq!(stage.asked, [(1, 3)]);
    }
}
