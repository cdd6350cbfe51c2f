//! The policies: who asks for how many instances, when. Each looks at what it
//! would see in the world, a metric that is late or a queue that it asks
//! itself, and none at the future but the planner, which is the scheduler's.
//!
//! Whatever a policy asks for, a group ends idle instances only: Trawler's
//! workers protect themselves while they are busy.

mod fixed;
mod keda;
mod planner;
mod step;
mod tracking;

use serde::Serialize;

pub(crate) use planner::{Bounds, ImageFlow, PlannerPolicy, Standing, signed};

use crate::facts::Facts;
use crate::model::metrics::QueueMetrics;
use crate::time::{MINUTE, Ms, ms};

/// A way to run the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyKind {
    /// The same instances on demand, day and night.
    AlwaysOn,
    /// The same instances, from half an hour before the night to its end.
    Scheduled,
    /// Alarms on the depth of the queue, with steps.
    Step,
    /// Target tracking of the backlog for each instance, in and out.
    TargetTracking,
    /// Asks the queue itself every 30 s, as KEDA does.
    Keda,
    /// What the template has for when no planner is alive: a wake alarm,
    /// tracking out, and instances that leave by themselves.
    Alarms,
    /// The planner of the scheduler.
    Planner,
}

impl PolicyKind {
    pub const ALL: [Self; 7] = [
        Self::AlwaysOn,
        Self::Scheduled,
        Self::Step,
        Self::TargetTracking,
        Self::Keda,
        Self::Alarms,
        Self::Planner,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlwaysOn => "always-on",
            Self::Scheduled => "scheduled",
            Self::Step => "step",
            Self::TargetTracking => "target-tracking",
            Self::Keda => "keda",
            Self::Alarms => "alarms",
            Self::Planner => "planner",
        }
    }
}

impl std::str::FromStr for PolicyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!(
                "there is no policy {text:?}; there are {}",
                names.join(", ")
            )
        })
    }
}

/// What a policy sees of one queue and its group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) now: Ms,
    /// What the queue itself says now; metrics have their own.
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    pub(crate) desired: u32,
    pub(crate) metrics: &'a QueueMetrics,
}

/// What a group is bounded by and tuned with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    pub(crate) max: u32,
    /// Jobs for each instance, where a metric scales.
    pub(crate) backlog: f64,
    /// Data points until an alarm wakes from zero.
    pub(crate) wake_periods: usize,
    /// Instances of the policies whose number is fixed.
    pub(crate) fixed: u32,
    /// After a step or a track upwards, until the next one.
    pub(crate) warmup: Ms,
    /// Of KEDA: what its autoscaler looks back before it goes down.
    pub(crate) stabilization: Ms,
    /// Of KEDA: how long nothing is to do before it goes to zero.
    pub(crate) cooldown: Ms,
}

/// One policy at one group. The planner sees the work itself, and is asked by
/// the world.
#[derive(Debug)]
pub(crate) enum Scaler {
    Fixed(fixed::Fixed),
    Step(step::Step),
    Tracking(tracking::Tracking),
    Keda(keda::Keda),
    Planner,
}

impl Scaler {
    pub(crate) fn new(kind: PolicyKind, tuning: Tuning) -> Self {
        match kind {
            PolicyKind::AlwaysOn => Self::Fixed(fixed::Fixed::always(tuning.fixed)),
            PolicyKind::Scheduled => Self::Fixed(fixed::Fixed::nightly(tuning.fixed)),
            PolicyKind::Step => Self::Step(step::Step::new(tuning)),
            PolicyKind::TargetTracking => {
                Self::Tracking(tracking::Tracking::new(tuning, tracking::ScaleIn::Tracked))
            }
            PolicyKind::Alarms => {
                Self::Tracking(tracking::Tracking::new(tuning, tracking::ScaleIn::Disabled))
            }
            PolicyKind::Keda => Self::Keda(keda::Keda::new(tuning)),
            PolicyKind::Planner => Self::Planner,
        }
    }

    /// How many instances there are to be, if that is to change.
    pub(crate) fn look(&mut self, sight: &Sight<'_>) -> Option<u32> {
        match self {
            Self::Fixed(of) => of.look(sight),
            Self::Step(of) => of.look(sight),
            Self::Tracking(of) => of.look(sight),
            Self::Keda(of) => of.look(sight),
            Self::Planner => None,
        }
    }
}

/// What holds for a policy at both groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Between two looks.
    pub(crate) every: Ms,
    /// Idle instances leave by themselves after it.
    pub(crate) idle_exit: Option<Ms>,
    pub(crate) is_on_demand: bool,
}

impl Manner {
    pub(crate) fn of(kind: PolicyKind, facts: &Facts) -> Self {
        let idle_exit = ms(facts.get("fleet.idle_exit_s"));
        Self {
            every: match kind {
                PolicyKind::Keda => ms(facts.get("latency.keda_poll_s")),
                _ => MINUTE,
            },
            idle_exit: match kind {
                PolicyKind::Alarms | PolicyKind::Planner => Some(idle_exit),
                _ => None,
            },
            is_on_demand: kind == PolicyKind::AlwaysOn,
        }
    }
}

/// `total / each`, rounded up and within a bound.
fn shares(total: u64, each: f64, max: u32) -> u32 {
    ((total as f64 / each).ceil() as u32).min(max)
}

#[cfg(test)]
pub(crate) mod testing {
    //! A queue and a group that a test moves by hand, a minute at a time.

    use super::*;
    use crate::model::metrics::Point;
    use crate::random::Random;

    pub(crate) const TUNING: Tuning = Tuning {
        max: 20,
        backlog: 4.0,
        wake_periods: 2,
        fixed: 3,
        warmup: 2 * MINUTE,
        stabilization: 5 * MINUTE,
        cooldown: 5 * MINUTE,
    };

    pub(crate) struct Stage {
        pub(crate) metrics: QueueMetrics,
        pub(crate) now: Ms,
        pub(crate) desired: u32,
        pub(crate) in_service: u32,
        pub(crate) asked: Vec<(Ms, u32)>,
    }

    impl Stage {
        /// Of a queue that is warm, whose metrics lag by a minute.
        pub(crate) fn warm() -> Self {
            let text = "[latency.metric_cold_max_s]\nvalue = 0";
            let facts = Facts::overridden(text, "warm").expect("the name is right");
            let mut metrics = QueueMetrics::new(&facts);
            metrics.call(0, &mut Random::new(0));
            Self {
                metrics,
                now: 0,
                desired: 0,
                in_service: 0,
                asked: Vec::new(),
            }
        }

        /// A minute with this backlog; what is asked for is there at once if
        /// `boots` is true.
        pub(crate) fn minute(
            &mut self,
            scaler: &mut Scaler,
            visible: u64,
            in_flight: u64,
            boots: Boots,
        ) {
            self.now += MINUTE;
            self.metrics.call(self.now, &mut Random::new(0));
            self.metrics.sample(Point {
                at: self.now,
                seen_at: 0,
                visible,
                in_flight,
                in_service: self.in_service,
                pending: self.desired.saturating_sub(self.in_service),
            });
            let sight = Sight {
                now: self.now,
                visible,
                in_flight,
                desired: self.desired,
                metrics: &self.metrics,
            };
            if let Some(desired) = scaler.look(&sight) {
                self.desired = desired;
                self.asked.push((self.now / MINUTE, desired));
            }
            if boots == Boots::AtOnce {
                self.in_service = self.desired;
            }
        }
    }

    #[derive(Clone, Copy, PartialEq)]
    pub(crate) enum Boots {
        AtOnce,
        Never,
    }
}
