//! Image work: for each host a number of jobs, of which only so many may be in
//! flight at once, in lanes. The queue hands out what came first, so that a
//! host keeps its slots until it is done; its lanes are packed into slots as
//! crawl jobs are, each with all of its jobs at once.

use super::decide::{Decision, Why};
use super::load::Load;
use super::pack::{Item, Packed, Packer, Ready};
use super::work::{Fleet, Limits};

/// The image jobs of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The caller's number of the host, or of the pipe.
    pub key: u32,
    pub jobs: u64,
    /// Time of one job in a slot of a machine that has time for it.
    pub job_ms: i64,
    /// Jobs of the host that may be in flight at once: message groups.
    pub lanes: u32,
    /// From when on they are in the queue.
    pub due_ms: i64,
    pub deadline_ms: i64,
}

impl Flow {
    /// Those that have a job.
    pub(super) fn lanes(&self) -> u64 {
        self.jobs.min(u64::from(self.lanes.max(1)))
    }

    /// From the first job to the last in so many lanes.
    fn chain_ms(&self, lanes: u64, stretch: f64) -> i64 {
        let jobs = i64::try_from(self.jobs).unwrap_or(i64::MAX);
        let whole_ms = self.job_ms.max(1).saturating_mul(jobs);
        // Saturates.
        (whole_ms as f64 * stretch / lanes.max(1) as f64).ceil() as i64
    }
}

/// The smallest fleet by whose work every flow that is due is over in time.
/// Takes what is due within [`Limits::lead_ms`]; there is no history to lack,
/// since the time of a job is measured while others run. `crowding` is how much
/// longer than their hosts ask for jobs take on the machines of now.
pub fn decide_flow(
    now_ms: i64,
    flows: &[Flow],
    crowding: f64,
    fleet: &Fleet,
    limits: &Limits,
) -> Decision {
    let load = Load::of(crowding, now_ms, flows, fleet, limits.slots());
    decide_loaded(now_ms, flows, load, fleet, limits)
}

pub(super) fn decide_loaded(
    now_ms: i64,
    flows: &[Flow],
    load: Load,
    fleet: &Fleet,
    limits: &Limits,
) -> Decision {
    let lead = now_ms + limits.lead_ms();
    let open = flows.iter().filter(|flow| flow.jobs > 0);
    let (due, later): (Vec<&Flow>, Vec<&Flow>) = open.partition(|flow| flow.due_ms <= lead);
    let begin_ms = match (fleet.in_service, fleet.booting) {
        (0, 0) => now_ms + limits.boot_ms,
        (0, _) => fleet.booted_ms.max(now_ms),
        _ => now_ms,
    };
    let mut case = Case {
        now_ms,
        fleet,
        limits,
        load,
        lanes: due.iter().map(|flow| flow.lanes()).sum(),
        due: due
            .into_iter()
            .map(|flow| Due::of(flow, begin_ms, limits))
            .collect(),
        packer: Packer::default(),
        items: Vec::new(),
    };
    case.due
        .sort_unstable_by_key(|due| (due.flow.due_ms, due.until_ms, due.flow.key));
    let (wanted, why) = case.want();
    let packed = case.pack(wanted);
    let finish_ms = packed.last.map(|_| packed.finish_ms);
    let paid_ms = finish_ms.map_or(0, |finish| {
        (finish - now_ms + limits.idle_ms) * i64::from(wanted)
    });
    Decision {
        wanted,
        why,
        finish_ms,
        bound: packed
            .last
            .filter(|key| case.is_bound(*key, wanted, packed.finish_ms)),
        late: packed.late,
        usd: limits.usd(paid_ms),
        again_ms: later
            .iter()
            .map(|flow| flow.due_ms - limits.lead_ms())
            .min(),
    }
}

/// A flow that is due.
struct Due {
    flow: Flow,
    from_ms: i64,
    /// The deadline, or the end that can be had.
    until_ms: i64,
}

impl Due {
    fn of(flow: &Flow, begin_ms: i64, limits: &Limits) -> Self {
        let from_ms = flow.due_ms.max(begin_ms);
        let in_a_lane = flow.jobs.div_ceil(flow.lanes());
        let in_a_lane = i64::try_from(in_a_lane).unwrap_or(i64::MAX);
        let chain_ms = flow.job_ms.max(1).saturating_mul(in_a_lane);
        let earliest_ms = from_ms.saturating_add(chain_ms);
        Self {
            flow: *flow,
            from_ms,
            until_ms: if earliest_ms > flow.deadline_ms {
                earliest_ms.saturating_add(limits.catch_up_ms)
            } else {
                flow.deadline_ms
            },
        }
    }
}

/// What is known of one decision while it is made.
struct Case<'a> {
    now_ms: i64,
    fleet: &'a Fleet,
    limits: &'a Limits,
    load: Load,
    /// In the order of the queue.
    due: Vec<Due>,
    /// Of all that is due.
    lanes: u64,
    packer: Packer,
    items: Vec<Item>,
}

impl Case<'_> {
    fn want(&mut self) -> (u32, Why) {
        let (fleet, limits) = (self.fleet, self.limits);
        let floor = fleet.busy.min(fleet.in_service);
        let least = floor.max(limits.min.min(limits.max));
        let below = if least == fleet.busy {
            Why::Busy
        } else {
            Why::Least
        };
        if self.due.is_empty() {
            return (least, if least > 0 { below } else { Why::Nothing });
        }
        // More than the lanes can be worked on at would not end it sooner,
        // unless machines are what is slow.
        let by_slots = self.lanes.div_ceil(u64::from(limits.slots()));
        let by_slots = u32::try_from(by_slots).unwrap_or(u32::MAX);
        let useful = by_slots.max(self.load.machines(self.lanes)).max(1);
        let most = limits.max.max(floor);
        let top = most.min(useful);
        let (needed, fits) = self.smallest(top);
        let mut why = if fits || top < most {
            Why::Deadline
        } else {
            Why::Most
        };
        let mut wanted = needed;
        let kept = fleet.live().min(useful).min(most);
        if kept > wanted {
            (wanted, why) = (kept, Why::Kept);
        }
        if least > wanted {
            (wanted, why) = (least, below);
        }
        let whole_ms = |due: &Due| due.flow.chain_ms(1, 1.0) / i64::from(useful);
        let longest = self.due.iter().map(whole_ms).max();
        let paid = limits.affordable(longest.unwrap_or(0)).max(floor);
        if paid < wanted {
            (wanted, why) = (paid, Why::Budget);
        }
        (wanted, why)
    }

    /// Halving: one more instance never makes a flow later. Without a fleet
    /// that is enough the largest.
    fn smallest(&mut self, top: u32) -> (u32, bool) {
        let (mut bad, mut good) = (0, top);
        if !self.is_enough(good) {
            return (top, false);
        }
        while good - bad > 1 {
            let between = bad + (good - bad) / 2;
            if self.is_enough(between) {
                good = between;
            } else {
                bad = between;
            }
        }
        (good, true)
    }

    fn is_enough(&mut self, instances: u32) -> bool {
        if !self.has_time(instances) {
            return false;
        }
        self.put_items(instances);
        let ready = self.ready(instances);
        self.packer.fits(&self.items, &ready, self.limits.slots())
    }

    /// Whether there is as much slot time as work until the last flow has to be
    /// over: what is far from enough need not be packed.
    fn has_time(&self, instances: u32) -> bool {
        let stretch = self.stretch(instances);
        let work_ms: f64 = self
            .due
            .iter()
            .map(|due| due.flow.chain_ms(1, stretch) as f64)
            .sum();
        let until_ms = self.due.iter().map(|due| due.until_ms).max();
        let until_ms = until_ms.unwrap_or(self.now_ms);
        let time_ms: f64 = self
            .ready(instances)
            .iter()
            .map(|ready| {
                let slots = f64::from(ready.instances) * f64::from(self.limits.slots());
                (until_ms - ready.at_ms).max(0) as f64 * slots
            })
            .sum();
        work_ms <= time_ms
    }

    fn stretch(&self, instances: u32) -> f64 {
        self.load
            .stretch(self.lanes, instances, self.limits.slots())
    }

    /// Lanes of a flow that so many instances can work on.
    fn lanes_of(&self, flow: &Flow, instances: u32) -> u64 {
        let slots = u64::from(instances) * u64::from(self.limits.slots());
        flow.lanes().min(slots.max(1))
    }

    /// Every lane with its jobs. Of a flow, the last one says whether it is late.
    fn put_items(&mut self, instances: u32) {
        let stretch = self.stretch(instances);
        let mut items = std::mem::take(&mut self.items);
        items.clear();
        for due in &self.due {
            let lanes = self.lanes_of(&due.flow, instances);
            let expected_ms = due.flow.chain_ms(lanes, stretch);
            items.extend((1..=lanes).map(|lane| Item {
                key: due.flow.key,
                due_ms: due.flow.due_ms,
                expected_ms,
                last_ms: due.until_ms - expected_ms,
                latest_ms: due.until_ms - expected_ms,
                deadline_ms: if lane == lanes {
                    due.flow.deadline_ms
                } else {
                    i64::MAX
                },
            }));
        }
        self.items = items;
    }

    fn pack(&mut self, instances: u32) -> Packed {
        self.put_items(instances);
        let ready = self.ready(instances);
        self.packer.pack(&self.items, &ready, self.limits.slots())
    }

    /// Whether the host is what lasts, and not that slots were taken.
    fn is_bound(&self, key: u32, instances: u32, finish_ms: i64) -> bool {
        let stretch = self.stretch(instances);
        self.due.iter().any(|due| {
            let lanes = due.flow.lanes();
            due.flow.key == key && due.from_ms + due.flow.chain_ms(lanes, stretch) >= finish_ms
        })
    }

    /// From when on so many instances are there.
    fn ready(&self, instances: u32) -> [Ready; 3] {
        let there = instances.min(self.fleet.in_service);
        let booting = (instances - there).min(self.fleet.booting);
        [
            Ready {
                at_ms: self.now_ms,
                instances: there,
            },
            Ready {
                at_ms: self.fleet.booted_ms.max(self.now_ms),
                instances: booting,
            },
            Ready {
                at_ms: self.now_ms + self.limits.boot_ms,
                instances: instances - there - booting,
            },
        ]
    }
}
