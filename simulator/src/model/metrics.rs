//! Metrics of an SQS queue as CloudWatch has them: one data point a minute,
//! some time late, and none at all of a queue that nobody called for six hours;
//! when it is called again, up to 15 minutes pass before the first is seen
//! (SQS Developer Guide, "Monitoring Amazon SQS queues using CloudWatch").
//!
//! The figures of a group that a policy sets beside them ride on the same data
//! points.

use std::collections::VecDeque;

use crate::facts::Facts;
use crate::random::Random;
use crate::time::{Ms, ms};

/// Data points that are kept: more than the longest alarm looks at.
const POINTS_MAX: usize = 40;

/// One minute of a queue and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// The end of its period.
    pub(crate) at: Ms,
    /// From when on alarms see it.
    pub(crate) seen_at: Ms,
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    pub(crate) in_service: u32,
    pub(crate) pending: u32,
}

/// The metrics of one queue.
#[derive(Debug)]
pub(crate) struct QueueMetrics {
    period: Ms,
    lag: Ms,
    active: Ms,
    cold_max: Ms,
    called_at: Option<Ms>,
    /// Nothing is seen before it.
    cold_until: Ms,
    points: VecDeque<Point>,
}

impl QueueMetrics {
    pub(crate) fn new(facts: &Facts) -> Self {
        Self {
            period: ms(facts.get("latency.metric_period_s")),
            lag: ms(facts.get("latency.metric_lag_s")),
            active: ms(facts.get("latency.metric_active_s")),
            cold_max: ms(facts.get("latency.metric_cold_max_s")),
            called_at: None,
            cold_until: 0,
            points: VecDeque::new(),
        }
    }

    pub(crate) fn period(&self) -> Ms {
        self.period
    }

    /// Somebody sends to the queue or receives from it.
    pub(crate) fn call(&mut self, now: Ms, random: &mut Random) {
        let is_cold = self.called_at.is_none_or(|at| now - at > self.active);
        if is_cold {
            self.cold_until = now + random.below(self.cold_max + 1);
            self.points.clear();
        }
        self.called_at = Some(now);
    }

    /// The end of a period; a queue that is not active leaves no data point.
    pub(crate) fn sample(&mut self, point: Point) {
        let is_active = self
            .called_at
            .is_some_and(|at| point.at - at <= self.active);
        if !is_active {
            return;
        }
        let seen_at = (point.at + self.lag).max(self.cold_until);
        self.points.push_front(Point { seen_at, ..point });
        self.points.truncate(POINTS_MAX);
    }

    /// The newest `count` data points that are seen, the newest first; nothing
    /// while there are fewer, or when they are old.
    pub(crate) fn seen(&self, now: Ms, count: usize) -> Option<Vec<Point>> {
        let seen = self.points.iter().skip_while(|point| point.seen_at > now);
        let seen: Vec<Point> = seen.take(count).copied().collect();
        let newest = seen.first()?;
        let is_fresh = now - newest.at <= self.lag + 2 * self.period;
        (is_fresh && seen.len() == count).then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::time::{HOUR, MINUTE};

    fn point(at: Ms, visible: u64) -> Point {
        Point {
            at,
            seen_at: 0,
            visible,
            in_flight: 0,
            in_service: 0,
            pending: 0,
        }
    }

    #[test]
    fn a_data_point_is_seen_a_lag_after_its_minute() {
        let mut metrics = QueueMetrics::new(&Facts::default());
        metrics.called_at = Some(0);
        metrics.sample(point(MINUTE, 5));
        assert_eq!(metrics.seen(2 * MINUTE - 1, 1), None);
        assert_eq!(metrics.seen(2 * MINUTE, 1).unwrap()[0].visible, 5);
        assert_eq!(metrics.seen(2 * MINUTE, 2), None, "there is but one");
        // Three periods later nobody takes it for news.
        assert_eq!(metrics.seen(4 * MINUTE + 1, 1), None);
    }

    #[test]
    fn a_queue_goes_cold_after_six_hours_and_wakes_up_within_fifteen_minutes() {
        let mut metrics = QueueMetrics::new(&Facts::default());
        let mut random = Random::new(3);
        metrics.call(0, &mut random);
        metrics.sample(point(6 * HOUR, 0));
        assert_eq!(metrics.points.len(), 1, "six hours are still active");
        metrics.sample(point(6 * HOUR + MINUTE, 0));
        assert_eq!(metrics.points.len(), 1, "and no minute more");
        let woken = 8 * HOUR;
        metrics.call(woken, &mut random);
        let cold = metrics.cold_until - woken;
        assert!(cold > 0 && cold <= 15 * MINUTE, "{cold}");
        for minute in 1..=15 {
            metrics.sample(point(woken + minute * MINUTE, 7));
        }
        assert_eq!(metrics.seen(metrics.cold_until - 1, 1), None);
        let seen = metrics.seen(metrics.cold_until.max(woken + 2 * MINUTE), 1);
        assert_eq!(seen.unwrap()[0].visible, 7);
        // A call soon after another one makes nothing cold.
        let before = metrics.cold_until;
        metrics.call(woken + HOUR, &mut random);
        assert_eq!(metrics.cold_until, before);
    }
}
