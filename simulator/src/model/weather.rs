//! What goes wrong on a rough day: for a while nothing new is to be had, and
//! many instances are taken back at once. Runs that take several times as long
//! as they should are the workload's.

use crate::facts::Facts;
use crate::time::{DAY, Ms, ms};

/// The same every day; of spot alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weather {
    /// Of the day, from when to when no launch succeeds.
    dry: (Ms, Ms),
    /// Of the day, when instances are taken back.
    wave_at: Ms,
    /// Of each group's instances that serve.
    pub(crate) wave_share: f64,
}

impl Weather {
    pub(crate) fn rough(facts: &Facts) -> Self {
        let dry_at = ms(facts.get("rough.dry_at_s"));
        Self {
            dry: (dry_at, dry_at + ms(facts.get("rough.dry_s"))),
            wave_at: ms(facts.get("rough.wave_at_s")),
            wave_share: facts.get("rough.wave_share").min(1.0),
        }
    }

    /// Until when nothing is to be had, if that is so now.
    pub(crate) fn dry_until(&self, now: Ms) -> Option<Ms> {
        let (from, to) = self.dry;
        let today = now / DAY * DAY;
        // What began yesterday may last into today.
        let days = [today.checked_sub(DAY), Some(today)];
        let mut ends = days.into_iter().flatten().filter_map(|day| {
            let is_dry = (day + from..day + to).contains(&now);
            is_dry.then_some(day + to)
        });
        ends.next_back()
    }

    /// The first wave after `now`.
    pub(crate) fn next_wave(&self, now: Ms) -> Ms {
        let today = now / DAY * DAY + self.wave_at;
        if today > now { today } else { today + DAY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{HOUR, MINUTE};

    #[test]
    fn every_day_has_its_dry_time_and_its_wave() {
        let weather = Weather::rough(&Facts::default());
        // From two in the night, for twenty minutes; at three half of all go.
        assert_eq!(weather.dry_until(2 * HOUR - 1), None);
        let until = Some(DAY + 2 * HOUR + 20 * MINUTE);
        assert_eq!(weather.dry_until(DAY + 2 * HOUR), until);
        assert_eq!(weather.dry_until(DAY + 2 * HOUR + 20 * MINUTE), None);
        let late = Weather {
            dry: (23 * HOUR, 25 * HOUR),
            ..weather
        };
        assert_eq!(late.dry_until(23 * HOUR), Some(25 * HOUR));
        assert_eq!(late.dry_until(24 * HOUR + 1), Some(25 * HOUR));
        assert_eq!(late.dry_until(25 * HOUR), None);
        assert_eq!(weather.next_wave(0), 3 * HOUR);
        assert_eq!(weather.next_wave(3 * HOUR), DAY + 3 * HOUR);
        assert_eq!(weather.wave_share, 0.5);
    }
}
