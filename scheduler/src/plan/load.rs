//! What image machines have to do beside waiting for hosts: from how much
//! longer than their hosts ask for jobs take now, what they would take on
//! another number of machines.

use super::flow::Flow;
use super::work::Fleet;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    /// Of one machine's time, by a lane that is worked on; 0 where machines
    /// have time.
    by_lane: f64,
}

impl Load {
    /// What it is if jobs take `crowding` times as long as their hosts ask for
    /// on the machines of now.
    pub(super) fn of(
        crowding: f64,
        now_ms: i64,
        flows: &[Flow],
        fleet: &Fleet,
        slots: u32,
    ) -> Self {
        let there = u64::from(fleet.in_service) * u64::from(slots);
        let open = flows.iter().filter(|flow| flow.due_ms <= now_ms);
        let lanes = open.map(Flow::lanes).sum::<u64>().min(there);
        let is_crowded = crowding > 1.0 && lanes > 0;
        let by_lane = crowding * f64::from(fleet.in_service) / lanes.max(1) as f64;
        Self {
            by_lane: if is_crowded { by_lane } else { 0.0 },
        }
    }

    /// How much longer jobs take on so many machines.
    pub(super) fn stretch(&self, lanes: u64, instances: u32, slots: u32) -> f64 {
        let there = u64::from(instances) * u64::from(slots);
        let lanes = lanes.min(there) as f64;
        (self.by_lane * lanes / f64::from(instances.max(1))).max(1.0)
    }

    /// So many machines have time for all lanes.
    pub(super) fn machines(&self, lanes: u64) -> u32 {
        // Saturates.
        (self.by_lane * lanes as f64).ceil() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_machines_help_where_machines_are_slow() {
        let flow = Flow {
            key: 0,
            jobs: 100,
            job_ms: 1_000,
            lanes: 40,
            due_ms: 0,
            deadline_ms: 0,
        };
        let fleet = Fleet {
            in_service: 2,
            busy: 2,
            ..Fleet::default()
        };
        // 20 slots are taken, on machines that have half the time they need.
        let load = Load::of(2.0, 0, &[flow], &fleet, 10);
        let check = |lanes: u64, instances: u32, expected: f64| {
            let found = load.stretch(lanes, instances, 10);
            assert!((found - expected).abs() < 1e-9, "{instances}: {found}");
        };
        check(20, 2, 2.0);
        check(20, 3, 4.0 / 3.0);
        check(20, 4, 1.0);
        check(20, 8, 1.0);
        // As long as each new machine takes up lanes of its own, nothing is won.
        check(40, 3, 2.0);
        check(40, 4, 2.0);
        check(40, 6, 8.0 / 6.0);
        assert_eq!((load.machines(20), load.machines(40)), (4, 8));
        let idle = Load::of(1.0, 0, &[flow], &fleet, 10);
        assert_eq!((idle.machines(40), idle.stretch(40, 1, 10)), (0, 1.0));
    }
}
