//! An alarm of CloudWatch: in alarm when its last data points all breach.
//! Missing data breaches nothing, as the template has it.

use super::metrics::{Point, QueueMetrics};
use crate::time::Ms;

/// The newest data point, if the last `periods` of them breach.
pub(crate) fn breach(
    metrics: &QueueMetrics,
    now: Ms,
    periods: usize,
    is_breach: impl Fn(&Point) -> bool,
) -> Option<Point> {
    let seen = metrics.seen(now, periods)?;
    seen.iter().all(is_breach).then(|| seen[0])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::facts::Facts;
    use crate::random::Random;
    use crate::time::MINUTE;

    #[test]
    fn an_alarm_wants_all_of_its_periods_in_a_row() {
        let mut metrics = QueueMetrics::new(
            &Facts::overridden("[latency.metric_cold_max_s]\nvalue = 0", "warm").unwrap(),
        );
        metrics.call(0, &mut Random::new(0));
        let in_alarm = |metrics: &QueueMetrics, minute| {
            breach(metrics, minute * MINUTE, 3, |point| point.visible > 4).is_some()
        };
        let mut told = Vec::new();
        for (minute, visible) in (1..).zip([9, 9, 4, 9, 9, 9, 0]) {
            let at = minute * MINUTE;
            metrics.sample(Point {
                at,
                seen_at: 0,
                visible,
                in_flight: 0,
                in_service: 1,
                pending: 0,
            });
            // Seen a minute later.
            told.push(in_alarm(&metrics, minute + 1));
        }
        assert_eq!(told, [false, false, false, false, false, true, false]);
    }
}
