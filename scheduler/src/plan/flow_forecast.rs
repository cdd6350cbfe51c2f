//! The hours ahead of image work: the decisions about a flow, played step by
//! step. Slots go to the hosts whose jobs came first.

use super::decide::Why;
use super::flow::{Flow, decide_loaded};
use super::forecast::{End, Forecast};
use super::load::Load;
use super::work::{Fleet, Limits};

/// So many steps are played: one a minute for a week.
const STEPS_MAX: usize = 7 * 24 * 60;

/// Shortest step.
const STEP_MS: i64 = 1_000;

struct Instance {
    from_ms: i64,
    ready_ms: i64,
}

struct Left {
    flow: Flow,
    /// In slots of machines that have time.
    left_ms: i64,
}

struct Play<'a> {
    limits: &'a Limits,
    load: Load,
    instances: Vec<Instance>,
    left: Vec<Left>,
    changes: Vec<(i64, i64)>,
    forecast: Forecast,
}

/// Plays what lies ahead of these flows. `crowding` as for
/// [`decide_flow`](super::decide_flow).
pub fn forecast_flow(
    now_ms: i64,
    flows: &[Flow],
    crowding: f64,
    fleet: &Fleet,
    limits: &Limits,
) -> Forecast {
    let mut play = Play {
        limits,
        load: Load::of(crowding, now_ms, flows, fleet, limits.slots()),
        instances: Vec::new(),
        left: flows.iter().map(Left::of).collect(),
        changes: Vec::new(),
        forecast: Forecast::nothing(Why::Nothing),
    };
    play.left
        .sort_unstable_by_key(|left| (left.flow.due_ms, left.flow.deadline_ms, left.flow.key));
    play.add(now_ms, now_ms, fleet.in_service);
    play.add(now_ms, fleet.booted_ms.max(now_ms), fleet.booting);
    let mut at_ms = now_ms;
    for turn in 0..STEPS_MAX {
        let flows: Vec<Flow> = play.left.iter().map(|left| left.flow).collect();
        let decision = decide_loaded(at_ms, &flows, play.load, &play.fleet(at_ms), limits);
        if turn == 0 {
            play.forecast.why = decision.why;
        }
        play.set(at_ms, decision.wanted);
        let is_due = play
            .left
            .iter()
            .any(|left| left.flow.due_ms <= at_ms + limits.lead_ms());
        let next_ms = match decision.again_ms {
            _ if is_due => at_ms + limits.every_ms.max(STEP_MS),
            Some(again) => again.max(at_ms + STEP_MS),
            None => break,
        };
        play.run(at_ms, next_ms);
        at_ms = next_ms;
    }
    play.end(now_ms, at_ms)
}

impl Left {
    fn of(flow: &Flow) -> Self {
        let jobs = i64::try_from(flow.jobs).unwrap_or(i64::MAX);
        Self {
            flow: *flow,
            left_ms: jobs.saturating_mul(flow.job_ms.max(1)),
        }
    }
}

impl Play<'_> {
    fn add(&mut self, from_ms: i64, ready_ms: i64, instances: u32) {
        let new = (0..instances).map(|_| Instance { from_ms, ready_ms });
        self.instances.extend(new);
    }

    fn fleet(&self, at_ms: i64) -> Fleet {
        let ready = self
            .instances
            .iter()
            .filter(|instance| instance.ready_ms <= at_ms);
        let in_service = u32::try_from(ready.count()).unwrap_or(u32::MAX);
        let open = self.left.iter().filter(|left| left.flow.due_ms <= at_ms);
        let lanes: u64 = open.map(|left| left.flow.lanes()).sum();
        let busy = lanes.div_ceil(u64::from(self.limits.slots()));
        Fleet {
            in_service,
            busy: u32::try_from(busy).unwrap_or(u32::MAX).min(in_service),
            booting: self.instances.len() as u32 - in_service,
            booted_ms: self
                .instances
                .iter()
                .map(|i| i.ready_ms)
                .max()
                .unwrap_or(at_ms),
        }
    }

    fn set(&mut self, at_ms: i64, wanted: u32) {
        let live = self.instances.len() as u32;
        if wanted > live {
            self.add(at_ms, at_ms + self.limits.boot_ms, wanted - live);
        }
        while self.instances.len() as u32 > wanted {
            // The latest goes first; those that boot may have to.
            if let Some(instance) = self.instances.pop() {
                self.leave(&instance, at_ms);
            }
        }
    }

    fn leave(&mut self, instance: &Instance, to_ms: i64) {
        let to_ms = to_ms.max(instance.from_ms);
        self.changes.extend([(instance.from_ms, 1), (to_ms, -1)]);
        self.forecast.instance_ms += to_ms - instance.from_ms;
    }

    /// How much longer jobs take for want of machines.
    fn stretch(&self, at_ms: i64, next_ms: i64) -> f64 {
        let open = self.left.iter().filter(|left| left.flow.due_ms < next_ms);
        let lanes = open.map(|left| left.flow.lanes()).sum();
        let ready = self
            .instances
            .iter()
            .filter(|instance| instance.ready_ms <= at_ms);
        let instances = u32::try_from(ready.count()).unwrap_or(u32::MAX);
        self.load.stretch(lanes, instances, self.limits.slots())
    }

    /// Work is done from one instant to the next.
    fn run(&mut self, at_ms: i64, next_ms: i64) {
        let slots = i64::from(self.limits.slots());
        let stretch = self.stretch(at_ms, next_ms);
        let worked_ms = |slot_ms: i64| (slot_ms as f64 / stretch) as i64;
        let supply = self.instances.iter();
        let whole = supply
            .map(|instance| (next_ms - instance.ready_ms.max(at_ms)).max(0) * slots)
            .sum();
        let whole = worked_ms(whole);
        let mut supply = whole;
        for left in &mut self.left {
            let from_ms = left.flow.due_ms.max(at_ms);
            let lanes = i64::from(left.flow.lanes.max(1));
            let lanes_ms = worked_ms((next_ms - from_ms).max(0) * lanes);
            let done = left.left_ms.min(lanes_ms).min(supply);
            supply -= done;
            left.left_ms -= done;
            self.forecast.busy_ms += (done as f64 * stretch) as i64;
            let job_ms = left.flow.job_ms.max(1);
            left.flow.jobs = u64::try_from((left.left_ms + job_ms - 1) / job_ms).unwrap_or(0);
            if left.left_ms == 0 && done > 0 {
                let share = (whole - supply) as f64 / whole.max(1) as f64;
                let alone_ms = ((done / lanes) as f64 * stretch) as i64;
                let shared_ms = ((next_ms - at_ms) as f64 * share) as i64;
                let end_ms = (at_ms + shared_ms).max(from_ms + alone_ms).min(next_ms);
                self.forecast.ends.push(End {
                    key: left.flow.key,
                    end_ms,
                    in_hand: false,
                });
                if end_ms > left.flow.deadline_ms {
                    self.forecast.late.push(left.flow.key);
                }
            }
        }
        self.left.retain(|left| left.left_ms > 0);
    }

    fn end(mut self, now_ms: i64, at_ms: i64) -> Forecast {
        let last = self.forecast.ends.iter().max_by_key(|end| end.end_ms);
        let (finish, bound) = last.map(|end| (end.end_ms, end.key)).unzip();
        (self.forecast.finish_ms, self.forecast.bound) = (finish, bound);
        let to_ms = finish.map_or(at_ms, |finish| finish.max(at_ms)) + self.limits.idle_ms;
        for instance in std::mem::take(&mut self.instances) {
            self.leave(&instance, to_ms);
        }
        self.forecast
            .late
            .extend(self.left.iter().map(|left| left.flow.key));
        let changes = std::mem::take(&mut self.changes);
        self.forecast.count(now_ms, changes);
        self.forecast.usd = self.limits.usd(self.forecast.instance_ms);
        self.forecast
    }
}
