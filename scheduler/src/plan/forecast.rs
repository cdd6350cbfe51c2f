//! What the decisions of the hours that lie ahead come to, if every run takes
//! as long as it is expected to.
//!
//! Between two decisions the queue is played: its order, the slots that are
//! free first, instances that are there when they have booted. An instance that
//! has nothing to take is gone when it has been idle for its time.

use super::decide::{Planner, Why};
use super::work::{Fleet, Limits, Work};

/// So many decisions are played: one a minute for a week.
const DECISIONS_MAX: usize = 7 * 24 * 60;

/// From this instant on so many instances are paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub at_ms: i64,
    pub instances: u32,
}

/// One job's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub key: u32,
    pub end_ms: i64,
    /// It had begun before the forecast did.
    pub in_hand: bool,
}

/// The hours that lie ahead.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Whether every decision could be made; without a past the alarms decide,
    /// and what is told here is of no use.
    pub is_planned: bool,
    /// In order of time, beginning with now.
    pub steps: Vec<Step>,
    pub peak: u32,
    /// What the decision of now says.
    pub why: Why,
    /// When the last work is over.
    pub finish_ms: Option<i64>,
    /// Whose job that is.
    pub bound: Option<u32>,
    /// Pipes that are likely to end behind their deadline, in order of end.
    pub late: Vec<u32>,
    /// All instances from now until they are gone.
    pub usd: f64,
    pub instance_ms: i64,
    /// Time in slots that work takes.
    pub busy_ms: i64,
    /// In order of time.
    pub ends: Vec<End>,
}

impl Forecast {
    pub(super) fn nothing(why: Why) -> Self {
        Self {
            is_planned: true,
            steps: Vec::new(),
            peak: 0,
            why,
            finish_ms: None,
            bound: None,
            late: Vec::new(),
            usd: 0.0,
            instance_ms: 0,
            busy_ms: 0,
            ends: Vec::new(),
        }
    }

    /// Counts instances by when they came and went.
    pub(super) fn count(&mut self, now_ms: i64, mut changes: Vec<(i64, i64)>) {
        changes.push((now_ms, 0));
        changes.sort_unstable();
        let mut instances = 0_i64;
        for (at_ms, change) in changes {
            instances += change;
            let count = u32::try_from(instances).unwrap_or(0);
            match self.steps.last_mut() {
                Some(last) if last.at_ms == at_ms => last.instances = count,
                Some(last) if last.instances == count => {}
                Some(_) | None => self.steps.push(Step {
                    at_ms,
                    instances: count,
                }),
            }
        }
        // A change and its opposite in one instant are none.
        self.steps.dedup_by_key(|step| step.instances);
        let peak = self.steps.iter().map(|step| step.instances).max();
        self.peak = peak.unwrap_or(0);
    }
}

#[derive(Debug, Clone)]
struct Instance {
    from_ms: i64,
    ready_ms: i64,
    /// When each slot is free.
    free: Vec<i64>,
}

impl Instance {
    fn idle_from(&self) -> i64 {
        let last = self.free.iter().copied().max();
        last.unwrap_or(self.ready_ms).max(self.ready_ms)
    }
}

/// A job in a slot.
struct Started {
    work: Work,
    end_ms: i64,
}

struct Play<'a> {
    limits: &'a Limits,
    instances: Vec<Instance>,
    /// In the order of the queue.
    waiting: std::collections::VecDeque<Work>,
    started: Vec<Started>,
    /// When an instance came or went.
    changes: Vec<(i64, i64)>,
    forecast: Forecast,
}

impl Planner {
    /// Plays what lies ahead. `work` holds everything that is due in that time,
    /// a pipe once for each due instant.
    pub fn forecast(
        &mut self,
        now_ms: i64,
        work: &[Work],
        fleet: &Fleet,
        limits: &Limits,
    ) -> Forecast {
        let mut play = Play::begin(now_ms, work, fleet, limits);
        let mut at_ms = now_ms;
        for turn in 0..DECISIONS_MAX {
            let (work, fleet) = play.look(at_ms);
            let decision = self.decide(at_ms, &work, &fleet, limits);
            if turn == 0 {
                play.forecast.why = decision.why;
            }
            play.forecast.is_planned &= decision.why != Why::NoHistory;
            play.set(at_ms, decision.wanted);
            let next = decision.again_ms.filter(|_| turn + 1 < DECISIONS_MAX);
            play.run(next.unwrap_or(i64::MAX));
            match next {
                Some(next) => at_ms = next.max(at_ms + 1),
                None => break,
            }
        }
        play.end(now_ms)
    }
}

impl<'a> Play<'a> {
    fn begin(now_ms: i64, work: &[Work], fleet: &Fleet, limits: &'a Limits) -> Self {
        let mut work = work.to_vec();
        work.sort_unstable_by_key(|work| {
            let latest = work.deadline_ms.saturating_sub(work.upper_ms);
            (!work.in_hand, work.due_ms, latest, work.key)
        });
        let mut play = Self {
            limits,
            instances: Vec::new(),
            waiting: work.into(),
            started: Vec::new(),
            changes: Vec::new(),
            forecast: Forecast::nothing(Why::Nothing),
        };
        play.add(now_ms, now_ms, fleet.in_service);
        play.add(now_ms, fleet.booted_ms.max(now_ms), fleet.booting);
        // What is in hand is in a slot already.
        while play.waiting.front().is_some_and(|work| work.in_hand) {
            if !play.start_one(i64::MAX) {
                break;
            }
        }
        play
    }

    fn add(&mut self, from_ms: i64, ready_ms: i64, instances: u32) {
        let slots = self.limits.slots() as usize;
        for _ in 0..instances {
            self.instances.push(Instance {
                from_ms,
                ready_ms,
                free: vec![ready_ms; slots],
            });
        }
    }

    /// Puts the first that waits into the slot that is free first, if it starts
    /// before `until_ms`.
    fn start_one(&mut self, until_ms: i64) -> bool {
        let Some(work) = self.waiting.front().copied() else {
            return false;
        };
        let slots = self
            .instances
            .iter_mut()
            .flat_map(|instance| instance.free.iter_mut());
        let Some(slot) = slots.min_by_key(|free| **free) else {
            return false;
        };
        let start_ms = if work.in_hand {
            *slot
        } else {
            (*slot).max(work.due_ms)
        };
        if start_ms >= until_ms {
            return false;
        }
        let end_ms = start_ms + work.expected_ms.max(0);
        *slot = end_ms;
        self.waiting.pop_front();
        self.forecast.busy_ms += end_ms - start_ms;
        if self.forecast.finish_ms.is_none_or(|finish| end_ms > finish) {
            self.forecast.finish_ms = Some(end_ms);
            self.forecast.bound = Some(work.key);
        }
        self.started.push(Started { work, end_ms });
        true
    }

    fn run(&mut self, until_ms: i64) {
        while self.start_one(until_ms) {}
    }

    /// What a decision at this instant sees. Instances that were idle for long
    /// have gone by then.
    fn look(&mut self, at_ms: i64) -> (Vec<Work>, Fleet) {
        let idle_ms = self.limits.idle_ms;
        self.part(
            |instance| instance.idle_from() + idle_ms <= at_ms,
            move |instance| instance.idle_from() + idle_ms,
        );
        let in_hand = self.started.iter().filter(|started| started.end_ms > at_ms);
        let in_hand = in_hand.map(|started| {
            let left_ms = started.end_ms - at_ms;
            Work {
                expected_ms: left_ms,
                upper_ms: left_ms,
                in_hand: true,
                ..started.work
            }
        });
        let work = in_hand.chain(self.waiting.iter().copied()).collect();
        let mut fleet = Fleet::default();
        for instance in &self.instances {
            if instance.ready_ms > at_ms {
                fleet.booting += 1;
                fleet.booted_ms = fleet.booted_ms.max(instance.ready_ms);
            } else {
                fleet.in_service += 1;
                fleet.busy += u32::from(instance.idle_from() > at_ms);
            }
        }
        (work, fleet)
    }

    fn set(&mut self, at_ms: i64, wanted: u32) {
        let live = self.instances.len() as u32;
        if wanted > live {
            self.add(at_ms, at_ms + self.limits.boot_ms, wanted - live);
        }
        let mut over = live.saturating_sub(wanted);
        self.part(
            |instance| {
                let goes = over > 0 && instance.idle_from() <= at_ms;
                over -= u32::from(goes);
                goes
            },
            |_| at_ms,
        );
    }

    /// Instances that go, and when.
    fn part(&mut self, mut goes: impl FnMut(&Instance) -> bool, when: impl Fn(&Instance) -> i64) {
        let (changes, forecast) = (&mut self.changes, &mut self.forecast);
        self.instances.retain(|instance| {
            let stays = !goes(instance);
            if !stays {
                let to_ms = when(instance).max(instance.from_ms);
                changes.extend([(instance.from_ms, 1), (to_ms, -1)]);
                forecast.instance_ms += to_ms - instance.from_ms;
            }
            stays
        });
    }

    fn end(mut self, now_ms: i64) -> Forecast {
        let idle_ms = self.limits.idle_ms;
        self.part(|_| true, |instance| instance.idle_from() + idle_ms);
        let mut forecast = self.forecast;
        forecast.usd = self.limits.usd(forecast.instance_ms);
        self.started.sort_by_key(|started| started.end_ms);
        let late = self
            .started
            .iter()
            .filter(|started| started.end_ms > started.work.deadline_ms);
        forecast.late = late.map(|started| started.work.key).collect();
        // Work that nothing was started for is late as well.
        forecast
            .late
            .extend(self.waiting.iter().map(|work| work.key));
        let end = |started: &Started| End {
            key: started.work.key,
            end_ms: started.end_ms,
            in_hand: started.work.in_hand,
        };
        forecast.ends = self.started.iter().map(end).collect();
        forecast.count(now_ms, self.changes);
        forecast
    }
}
