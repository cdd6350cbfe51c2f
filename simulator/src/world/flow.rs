//! Image work as a flow of each host, asked at its own rate at most. Slots go
//! to those whose messages came first, as a FIFO queue hands out; where cores
//! do not suffice, all that are worked on are slowed down by the same share. So
//! a virtual time, which passes at that share of real time, orders their ends
//! once and for all, and no event looks at them all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use trawler_scheduler::plan::{Looked, Pace};

use crate::facts::Facts;
use crate::policy::signed;
use crate::time::{Ms, ms, seconds};
use crate::workload::ImageLoad;

/// Of a job, that sums of fractions may be off.
const ROUNDING: f64 = 1e-6;

/// The images of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    pub(crate) pipe: u32,
    /// At its own rate, in seconds.
    pub(crate) whole_s: f64,
    /// While it is worked on, its end in virtual seconds; while it waits, the
    /// virtual seconds that it still takes.
    mark_v: f64,
    is_active: bool,
    /// Counts how often it was taken up: ends of before are not ends.
    turn: u32,
    /// Its place in the queue.
    place: u64,
    /// Cores that its rate takes.
    cores: f64,
    /// Slots that its rate takes.
    pub(crate) slots: f64,
    pub(crate) jobs: f64,
    pub(crate) deadline: Ms,
    /// Since when its images are in the queue.
    pub(crate) since: Ms,
    /// As the scheduler measures it.
    pace: Pace,
}

impl Host {
    /// Jobs left at a virtual instant.
    pub(crate) fn left(&self, now_v: f64) -> f64 {
        let left_v = match self.is_active {
            true => self.mark_v - now_v,
            false => self.mark_v,
        };
        (left_v / self.whole_s).clamp(0.0, 1.0) * self.jobs
    }

    fn jobs_in_v(&self) -> f64 {
        self.jobs / self.whole_s
    }

    /// A job in its slot, at the rate that the host is asked with.
    pub(crate) fn by_rate_ms(&self) -> f64 {
        self.whole_s * self.slots / self.jobs * 1_000.0
    }

    /// Looks at its jobs, as the scheduler does, which knows whole ones.
    pub(crate) fn look(&mut self, now_v: f64, since: Ms) -> &Pace {
        self.pace.look(&Looked {
            since_ms: signed(since),
            planned: self.jobs as u64,
            open: self.left(now_v).ceil() as u64,
            in_hand: if self.is_active { self.slots as u64 } else { 0 },
        });
        &self.pace
    }
}

/// What an image costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    changed_s: f64,
    unchanged_s: f64,
    job_images: f64,
    job_per_s: f64,
}

impl Costs {
    pub(crate) fn new(facts: &Facts) -> Self {
        Self {
            changed_s: 1.0 / facts.get("rate.images_changed"),
            unchanged_s: 1.0 / facts.get("rate.images_unchanged"),
            job_images: facts.get("fleet.job_images"),
            job_per_s: facts.get("rate.job_fetches_s"),
        }
    }

    /// Core seconds.
    fn work_s(&self, load: &ImageLoad) -> f64 {
        load.changed * self.changed_s + load.unchanged * self.unchanged_s
    }

    pub(crate) fn jobs(&self, load: &ImageLoad) -> f64 {
        (load.count() / self.job_images).ceil()
    }
}

/// All image work that is open.
#[derive(Debug)]
pub(crate) struct Flow {
    costs: Costs,
    hosts: Vec<Option<Host>>,
    free: Vec<u32>,
    /// Hosts that are worked on and that wait, by their places.
    active: BTreeMap<u64, u32>,
    waiting: BTreeMap<u64, u32>,
    places: u64,
    /// By virtual end, with the turn; the bits of a float that is not negative
    /// sort as it does.
    ends: BinaryHeap<Reverse<(u64, u32, u32)>>,
    now: Ms,
    now_v: f64,
    /// Of the active hosts' own rates, that the cores allow.
    share: f64,
    /// How much longer jobs take than alone, for want of cores.
    stretch: f64,
    /// Of the active hosts.
    cores: f64,
    slots: f64,
    /// Sums of jobs in a virtual second and of that times the virtual end: what
    /// is left of the active is `ends_sum - now_v * rate_sum`.
    rate_sum: f64,
    ends_sum: f64,
    /// Jobs of those that wait.
    waiting_jobs: f64,
    open: u32,
    pub(crate) version: u64,
    /// Core seconds that were used.
    #[cfg(test)]
    pub(crate) core_s: f64,
}

impl Flow {
    pub(crate) fn new(facts: &Facts) -> Self {
        Self {
            costs: Costs::new(facts),
            hosts: Vec::new(),
            free: Vec::new(),
            active: BTreeMap::new(),
            waiting: BTreeMap::new(),
            places: 0,
            ends: BinaryHeap::new(),
            now: 0,
            now_v: 0.0,
            share: 0.0,
            stretch: 1.0,
            cores: 0.0,
            slots: 0.0,
            rate_sum: 0.0,
            ends_sum: 0.0,
            waiting_jobs: 0.0,
            open: 0,
            version: 0,
            #[cfg(test)]
            core_s: 0.0,
        }
    }

    pub(crate) fn costs(&self) -> Costs {
        self.costs
    }

    pub(crate) fn open(&self) -> u32 {
        self.open
    }

    pub(crate) fn now_v(&self) -> f64 {
        self.now_v
    }

    pub(crate) fn hosts(&mut self) -> impl Iterator<Item = &mut Host> {
        self.hosts.iter_mut().flatten()
    }

    /// Jobs that are not done.
    pub(crate) fn jobs(&self) -> u64 {
        let active = self.ends_sum - self.now_v * self.rate_sum;
        match self.open {
            0 => 0,
            _ => (active.max(0.0) + self.waiting_jobs - ROUNDING)
                .max(1.0)
                .ceil() as u64,
        }
    }

    /// Jobs in hand.
    pub(crate) fn in_hand(&self) -> f64 {
        self.slots
    }

    /// Lets time pass at the present share.
    pub(crate) fn pass(&mut self, now: Ms) {
        let span = seconds(now - self.now);
        self.now = now;
        self.now_v += span * self.share;
        #[cfg(test)]
        {
            self.core_s += span * self.share * self.cores;
        }
    }

    /// Takes up the images of a run.
    pub(crate) fn add(&mut self, pipe: u32, load: &ImageLoad, deadline: Ms) {
        if load.count() <= 0.0 {
            return;
        }
        let whole_s = (load.count() / load.per_s).max(0.001);
        let host = Host {
            pipe,
            whole_s,
            mark_v: whole_s,
            is_active: false,
            turn: 0,
            place: self.places,
            cores: self.costs.work_s(load) / whole_s,
            slots: (load.per_s / self.costs.job_per_s).ceil().max(1.0),
            jobs: self.costs.jobs(load),
            deadline,
            since: self.now,
            pace: Pace::default(),
        };
        self.places += 1;
        self.open += 1;
        self.waiting_jobs += host.jobs;
        let id = self.free.pop().unwrap_or_else(|| {
            self.hosts.push(None);
            self.hosts.len() as u32 - 1
        });
        self.hosts[id as usize] = Some(host);
        self.waiting.insert(host.place, id);
    }

    /// The next host that is done by now.
    pub(crate) fn finished(&mut self) -> Option<Host> {
        /// Events are on whole milliseconds.
        const CLOSE_S: f64 = 0.000_6;
        let (end_v, id) = self.next_end()?;
        if end_v > self.now_v + CLOSE_S {
            return None;
        }
        let host = self.hosts[id as usize].take()?;
        self.free.push(id);
        self.active.remove(&host.place);
        self.ends.pop();
        self.open -= 1;
        self.leave_active(&host);
        if self.active.is_empty() {
            self.begin_anew();
        }
        Some(host)
    }

    /// The first end that is still one.
    fn next_end(&mut self) -> Option<(f64, u32)> {
        loop {
            let Reverse((bits, id, turn)) = *self.ends.peek()?;
            let host = self.hosts[id as usize];
            if host.is_some_and(|host| host.is_active && host.turn == turn) {
                return Some((f64::from_bits(bits), id));
            }
            self.ends.pop();
        }
    }

    fn leave_active(&mut self, host: &Host) {
        self.cores -= host.cores;
        self.slots -= host.slots;
        self.rate_sum -= host.jobs_in_v();
        self.ends_sum -= host.jobs_in_v() * host.mark_v;
    }

    /// Nobody is worked on: sums begin anew, so that roundings never add up.
    fn begin_anew(&mut self) {
        (self.cores, self.slots, self.rate_sum, self.ends_sum) = (0.0, 0.0, 0.0, 0.0);
        self.now_v = 0.0;
        self.ends.clear();
        if self.open == 0 {
            self.waiting_jobs = 0.0;
        }
    }

    /// The last in the queue waits again.
    fn put_back(&mut self) {
        let Some((place, id)) = self.active.pop_last() else {
            return;
        };
        let Some(mut host) = self.hosts[id as usize] else {
            return;
        };
        self.leave_active(&host);
        self.waiting_jobs += host.left(self.now_v);
        host.mark_v = (host.mark_v - self.now_v).max(0.0);
        host.is_active = false;
        self.hosts[id as usize] = Some(host);
        self.waiting.insert(place, id);
        if self.active.is_empty() {
            self.begin_anew();
        }
    }

    /// The first that waits is worked on, if its slots are free.
    fn take_up(&mut self, slots: f64) -> bool {
        let Some((place, id)) = self.waiting.first_key_value().map(|(at, id)| (*at, *id)) else {
            return false;
        };
        let Some(mut host) = self.hosts[id as usize] else {
            return false;
        };
        if !self.active.is_empty() && self.slots + host.slots > slots {
            return false;
        }
        self.waiting.pop_first();
        self.waiting_jobs = (self.waiting_jobs - host.left(self.now_v)).max(0.0);
        host.mark_v += self.now_v;
        host.is_active = true;
        host.turn += 1;
        self.cores += host.cores;
        self.slots += host.slots;
        self.rate_sum += host.jobs_in_v();
        self.ends_sum += host.jobs_in_v() * host.mark_v;
        self.ends
            .push(Reverse((host.mark_v.to_bits(), id, host.turn)));
        self.active.insert(place, id);
        self.hosts[id as usize] = Some(host);
        true
    }

    /// Gives this many cores and slots to the hosts, first come, first served;
    /// says when the next host is done then.
    pub(crate) fn settle(&mut self, cores: f64, slots: f64) -> Option<Ms> {
        self.version += 1;
        while self.slots > slots
            && (self.active.len() > 1 || slots <= 0.0 && !self.active.is_empty())
        {
            self.put_back();
        }
        while slots > 0.0 && self.take_up(slots) {}
        self.stretch = match cores > 0.0 {
            true => (self.cores / cores).max(1.0),
            false => 1.0,
        };
        self.share = match self.active.is_empty() {
            true => 0.0,
            false => 1.0 / self.stretch,
        };
        let (end_v, _) = self.next_end()?;
        let left = (end_v - self.now_v).max(0.0) / self.share;
        Some(self.now + ms(left).max(1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn load(changed: f64, per_s: f64) -> ImageLoad {
        ImageLoad {
            changed,
            unchanged: 0.0,
            per_s,
        }
    }

    /// With cores enough that a host needs as many as it has images a second.
    fn flow() -> Flow {
        let text = "[rate.images_changed]\nvalue = 1";
        Flow::new(&Facts::overridden(text, "slow").unwrap())
    }

    #[test]
    fn a_host_is_never_asked_faster_than_its_rate() {
        let mut flow = flow();
        flow.add(1, &load(1_000.0, 10.0), 0);
        assert_eq!(flow.settle(1e6, 1e6), Some(100_000));
        assert_eq!(flow.jobs(), 10);
        flow.pass(50_000);
        assert_eq!(flow.jobs(), 5);
        assert!(flow.finished().is_none());
        flow.pass(100_000);
        assert_eq!(flow.finished().unwrap().pipe, 1);
        assert_eq!((flow.open(), flow.jobs()), (0, 0));
        assert!((flow.core_s - 1_000.0).abs() < 1e-6, "{}", flow.core_s);
    }

    #[test]
    fn hosts_share_what_there_is() {
        let mut flow = flow();
        // 10 and 20 cores wanted, 15 there: both at half their rate.
        flow.add(1, &load(100.0, 10.0), 0);
        flow.add(2, &load(400.0, 20.0), 0);
        assert_eq!(flow.settle(15.0, 1e6), Some(20_000));
        flow.pass(20_000);
        assert_eq!(flow.finished().unwrap().pipe, 1);
        assert!(flow.finished().is_none());
        // Alone it takes 15 of 20: half of 20 s are left, at three quarters.
        assert_eq!(flow.settle(15.0, 1e6), Some(20_000 + 13_333));
    }

    #[test]
    fn slots_go_to_who_came_first() {
        let mut flow = flow();
        // A slot each, for 10 s, 20 s and 30 s; two slots there.
        for (pipe, count) in [(1, 100.0), (2, 200.0), (3, 300.0)] {
            flow.add(pipe, &load(count, 10.0), 0);
        }
        assert_eq!(flow.settle(1e6, 2.0), Some(10_000));
        assert_eq!((flow.in_hand(), flow.jobs()), (2.0, 6));
        flow.pass(10_000);
        assert_eq!(flow.finished().unwrap().pipe, 1);
        // The third begins, the second has ten seconds left.
        assert_eq!(flow.settle(1e6, 2.0), Some(20_000));
        // At 15 s an instance is lost: the third waits with 25 s left.
        flow.pass(15_000);
        assert_eq!(flow.settle(1e6, 1.0), Some(20_000));
        flow.pass(20_000);
        assert_eq!(flow.finished().unwrap().pipe, 2);
        assert_eq!(flow.jobs(), 3, "250 images");
        assert_eq!(flow.settle(1e6, 1.0), Some(45_000));
    }

    #[test]
    fn without_instances_nothing_moves() {
        let mut flow = flow();
        flow.add(1, &load(100.0, 10.0), 0);
        assert_eq!(flow.settle(0.0, 0.0), None);
        flow.pass(1_000_000);
        assert!(flow.finished().is_none());
        assert_eq!(flow.jobs(), 1);
    }
}
