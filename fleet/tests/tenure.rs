//! A worker's place in its group: decisions over hours of a clock that tests
//! move, against a group that behaves, refuses and loses answers.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use support::{TestClock, World};
use tokio::task::JoinHandle;
use trawler_core::QueueName;
use trawler_core::ports::{Capacity, CapacityError, Clock, Completion, Headcount, Metric, Notice};
use trawler_core::tenure::{Occupancy, TenurePolicy};
use trawler_fleet::{Drain, Slots, TakenSlot, Tenure};

const START: &str = "2026-11-21T03:00:00Z";
const SECOND: Duration = Duration::from_secs(1);
const POLICY: TenurePolicy = TenurePolicy {
    unprotect_after: Duration::from_secs(30),
    idle_exit: Some(Duration::from_secs(300)),
};

/// What happens to a call.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// This call is well.
    None,
    /// Refused for good, without an effect.
    Refuse,
    /// Not done, and nobody answers.
    Fail,
    /// Done, and nobody answers.
    Lose,
}

#[derive(Default)]
struct Member {
    protected: bool,
    terminating: bool,
    gone: bool,
}

/// A group with a hook: a terminating instance waits for its completion.
#[derive(Default)]
struct GroupState {
    desired: i64,
    min: i64,
    members: BTreeMap<usize, Member>,
    faults: Vec<Fault>,
    calls: BTreeMap<&'static str, usize>,
}

#[derive(Clone)]
struct Place {
    group: Arc<Mutex<GroupState>>,
    me: usize,
}

fn group(size: usize) -> Arc<Mutex<GroupState>> {
    Arc::new(Mutex::new(GroupState {
        desired: i64::try_from(size).unwrap(),
        members: (0..size).map(|me| (me, Member::default())).collect(),
        ..GroupState::default()
    }))
}

impl Place {
    fn call<T>(
        &self,
        verb: &'static str,
        effect: impl FnOnce(&mut GroupState) -> T,
    ) -> Result<T, CapacityError> {
        let mut group = self.group.lock().unwrap();
        *group.calls.entry(verb).or_default() += 1;
        let fault = group.faults.pop();
        let what = "the group".to_owned();
        let unavailable = |what| CapacityError::Unavailable {
            verb,
            what,
            source: "the line is dead".into(),
        };
        match fault {
            None | Some(Fault::None) => Ok(effect(&mut group)),
            Some(Fault::Refuse) => Err(CapacityError::Refused {
                verb,
                what,
                reason: "min size".to_owned(),
            }),
            Some(Fault::Fail) => Err(unavailable(what)),
            Some(Fault::Lose) => {
                effect(&mut group);
                Err(unavailable(what))
            }
        }
    }
}

#[async_trait]
impl Capacity for Place {
    async fn want(&self, _: QueueName, workers: u32) -> Result<(), CapacityError> {
        self.call("want", |group| group.desired = i64::from(workers))
    }

    async fn headcount(&self, _: QueueName) -> Result<Headcount, CapacityError> {
        let count = |group: &mut GroupState| group.members.values().filter(|m| !m.gone).count();
        let in_service = u32::try_from(self.call("headcount", count)?).unwrap();
        Ok(Headcount {
            in_service,
            ..Headcount::default()
        })
    }

    async fn protect(&self, busy: bool) -> Result<(), CapacityError> {
        self.call("protect", |group| {
            group.members.get_mut(&self.me).unwrap().protected = busy;
        })
    }

    async fn may_leave(&self) -> Result<bool, CapacityError> {
        self.call("may leave", |group| group.desired > group.min)
    }

    async fn leave(&self) -> Result<(), CapacityError> {
        let refused = CapacityError::Refused {
            verb: "leave",
            what: "the group".to_owned(),
            reason: "min size".to_owned(),
        };
        self.call("leave", |group| {
            let member = group.members.get_mut(&self.me).unwrap();
            if member.terminating {
                return Ok(());
            }
            if group.desired <= group.min {
                return Err(refused);
            }
            member.terminating = true;
            group.desired -= 1;
            Ok(())
        })?
    }

    async fn replace(&self) -> Result<(), CapacityError> {
        self.call("replace", |group| {
            group.members.get_mut(&self.me).unwrap().terminating = true;
        })
    }

    async fn complete(&self) -> Result<Completion, CapacityError> {
        self.call("complete", |group| {
            let member = group.members.get_mut(&self.me).unwrap();
            if member.terminating && !member.gone {
                member.gone = true;
                Completion::Completed
            } else {
                Completion::NotAwaited
            }
        })
    }
}

/// One worker process: its tenure as the composition root runs it.
struct Process {
    slots: Slots,
    drain: Drain,
    task: JoinHandle<Result<(), CapacityError>>,
    jobs: Vec<TakenSlot>,
}

impl Process {
    fn start(world: &World, place: Place, policy: TenurePolicy) -> Self {
        let slots = Slots::new(world.clock.clone());
        let drain = Drain::new();
        let tenure = Tenure::new(&world.ports, Arc::new(place), policy, slots.clone());
        let watched = drain.clone();
        let task = tokio::spawn(async move {
            tenure.keep(&watched).await;
            // Here the owner joins the workers.
            tenure.depart(&watched).await
        });
        Self {
            slots,
            drain,
            task,
            jobs: Vec::new(),
        }
    }
}

fn world() -> World {
    World::new(TestClock::frozen(START), Duration::from_secs(60))
}

/// Everything that can go on without time goes on. The runtime has one thread
/// and the fakes wait for nothing else.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn pass(world: &World, seconds: u64) {
    for _ in 0..seconds {
        settle().await;
        world.clock.advance(SECOND);
    }
    settle().await;
}

fn calls(group: &Mutex<GroupState>, verb: &str) -> usize {
    let group = group.lock().unwrap();
    group.calls.get(verb).copied().unwrap_or_default()
}

fn is_protected(group: &Mutex<GroupState>, me: usize) -> bool {
    group.lock().unwrap().members[&me].protected
}

fn place(group: &Arc<Mutex<GroupState>>, me: usize) -> Place {
    Place {
        group: Arc::clone(group),
        me,
    }
}

#[tokio::test]
async fn a_worker_is_protected_from_its_first_job_until_it_is_idle_for_a_moment() {
    let (world, group) = (world(), group(1));
    let mut process = Process::start(&world, place(&group, 0), POLICY);
    pass(&world, 5).await;
    assert_eq!(calls(&group, "protect"), 0, "idle, but not for long");
    // Jobs side by side and one after the other are one time of work.
    for _ in 0..10 {
        process.jobs.push(process.slots.take());
        process.jobs.push(process.slots.take());
        pass(&world, 3).await;
        assert!(is_protected(&group, 0));
        process.jobs.clear();
        pass(&world, 20).await;
        assert!(is_protected(&group, 0), "between two jobs");
    }
    assert_eq!(calls(&group, "protect"), 1, "asked on change only");
    pass(&world, 11).await;
    assert!(!is_protected(&group, 0));
    assert_eq!(calls(&group, "protect"), 2);
    assert!(!process.drain.requested());
}

#[tokio::test]
async fn an_idle_worker_drains_leaves_once_and_completes_its_hook() {
    let (world, group) = (world(), group(3));
    let mut process = Process::start(&world, place(&group, 1), POLICY);
    process.jobs.push(process.slots.take());
    pass(&world, 10_000).await;
    assert!(!process.drain.requested(), "it works");
    process.jobs.clear();
    pass(&world, 299).await;
    assert!(!process.drain.requested());
    pass(&world, 1).await;
    assert!(process.drain.requested());
    assert_eq!(process.drain.notice(), None, "nobody told it to");
    pass(&world, 1).await;
    process.task.await.unwrap().unwrap();
    let group = group.lock().unwrap();
    assert_eq!(group.desired, 2);
    assert!(group.members[&1].gone);
    assert_eq!(group.calls["leave"], 1);
}

#[tokio::test]
async fn failing_calls_are_tried_again_beside_the_work() {
    let (world, group) = (world(), group(1));
    group.lock().unwrap().faults = vec![Fault::Fail; 4];
    let mut process = Process::start(&world, place(&group, 0), POLICY);
    process.jobs.push(process.slots.take());
    // 1 s, 2 s, 4 s, 8 s between the tries.
    pass(&world, 14).await;
    assert_eq!(calls(&group, "protect"), 4);
    assert!(!is_protected(&group, 0));
    pass(&world, 1).await;
    assert!(is_protected(&group, 0));
    // Back-off is bounded, and what is wanted meanwhile is what is asked for.
    group.lock().unwrap().faults = vec![Fault::Fail; 8];
    process.jobs.clear();
    pass(&world, 30).await;
    process.jobs.push(process.slots.take());
    pass(&world, 400).await;
    assert!(is_protected(&group, 0) && group.lock().unwrap().faults.is_empty());
    assert!(!process.drain.requested());
    // A lost answer to `leave` takes no second place.
    process.jobs.clear();
    pass(&world, 299).await;
    group.lock().unwrap().faults = vec![Fault::Fail, Fault::Lose, Fault::None];
    pass(&world, 20).await;
    process.task.await.unwrap().unwrap();
    assert_eq!(group.lock().unwrap().desired, 0);
    assert_eq!(calls(&group, "leave"), 3);
}

/// Its process ended, and its machine was paid for and idle for good.
#[tokio::test]
async fn a_worker_that_its_group_keeps_goes_on_working_and_asks_again() {
    let (world, group) = (world(), group(2));
    group.lock().unwrap().min = 2;
    let mut process = Process::start(&world, place(&group, 0), POLICY);
    process.jobs.push(process.slots.take());
    pass(&world, 5).await;
    process.jobs.clear();
    // As during an update of the stack, which sets the group's least.
    pass(&world, 300 + 3 * 300).await;
    assert!(!process.drain.requested(), "it takes jobs");
    assert!(!is_protected(&group, 0), "and may be chosen");
    assert_eq!((calls(&group, "may leave"), calls(&group, "leave")), (4, 0));
    process.jobs.push(process.slots.take());
    pass(&world, 1_000).await;
    assert!(is_protected(&group, 0));
    process.jobs.clear();
    pass(&world, 301).await;
    assert_eq!(calls(&group, "may leave"), 5);
    assert!(!process.drain.requested() && !is_protected(&group, 0));
    group.lock().unwrap().min = 0;
    pass(&world, 301).await;
    process.task.await.unwrap().unwrap();
    let group = group.lock().unwrap();
    assert_eq!((group.desired, group.calls["leave"]), (1, 1));
    assert!(group.members[&0].gone);
}

#[tokio::test]
async fn a_worker_that_cannot_ask_whether_it_may_leave_stays() {
    let (world, group) = (world(), group(1));
    let process = Process::start(&world, place(&group, 0), POLICY);
    pass(&world, 299).await;
    group.lock().unwrap().faults = vec![Fault::Fail];
    pass(&world, 100).await;
    assert!(!process.drain.requested());
    assert_eq!((calls(&group, "may leave"), calls(&group, "leave")), (1, 0));
    pass(&world, 300).await;
    process.task.await.unwrap().unwrap();
    assert_eq!(group.lock().unwrap().desired, 0);
}

/// Of several that leave at once one may find its group at its least: the
/// process fails, so that whoever runs it starts it again.
#[tokio::test]
async fn a_group_that_lets_nobody_go_is_not_pressed_and_the_worker_is_told() {
    let (world, group) = (world(), group(1));
    let process = Process::start(&world, place(&group, 0), POLICY);
    pass(&world, 299).await;
    // The second call is the one that counts.
    group.lock().unwrap().faults = vec![Fault::Refuse, Fault::None];
    pass(&world, 10).await;
    let told = process.task.await.unwrap().unwrap_err();
    assert_eq!(told.to_string(), "leave the group: min size");
    assert_eq!(calls(&group, "leave"), 1);
    assert_eq!(group.lock().unwrap().desired, 1);
}

#[tokio::test]
async fn the_end_of_a_drain_is_told_to_whom_it_concerns() {
    let check = async |notice: Notice, expected: [usize; 4]| {
        let (world, group) = (world(), group(1));
        let mut process = Process::start(&world, place(&group, 0), POLICY);
        process.jobs.push(process.slots.take());
        pass(&world, 2).await;
        if notice == Notice::ScaleIn {
            group
                .lock()
                .unwrap()
                .members
                .get_mut(&0)
                .unwrap()
                .terminating = true;
        }
        process.drain.request(notice);
        pass(&world, 4).await;
        assert!(process.task.is_finished(), "{notice:?}");
        let told = ["protect", "leave", "replace", "complete"].map(|verb| calls(&group, verb));
        assert_eq!(told, expected, "{notice:?}");
        let heard = |metric: &Metric| *metric == Metric::NoticeHeard { notice };
        assert_eq!(world.metrics.count(heard), 1, "{notice:?}");
        assert_eq!(group.lock().unwrap().desired, 1, "{notice:?}");
    };
    // Protected while at work; at the end what the platform does not know.
    check(Notice::Signal, [2, 0, 0, 0]).await;
    check(Notice::ScaleIn, [1, 0, 0, 1]).await;
    check(Notice::SpotInterruption, [1, 0, 0, 0]).await;
    check(Notice::Rebalance, [2, 0, 1, 1]).await;
}

/// A machine that drained on a recommendation idled until its hook's time-out,
/// or for ever where no replacement could be had.
#[tokio::test]
async fn after_a_rebalance_notice_the_machine_is_given_back_and_its_place_kept() {
    let (world, group) = (world(), group(3));
    let mut process = Process::start(&world, place(&group, 1), POLICY);
    process.jobs.push(process.slots.take());
    pass(&world, 2).await;
    assert!(is_protected(&group, 1));
    // Also when the platform is slow to answer.
    group.lock().unwrap().faults = vec![Fault::Lose, Fault::Fail, Fault::Fail];
    process.drain.request(Notice::Rebalance);
    pass(&world, 30).await;
    process.task.await.unwrap().unwrap();
    let group = group.lock().unwrap();
    assert!(!group.members[&1].protected && group.members[&1].gone);
    assert_eq!(group.desired, 3, "another one takes the place");
    assert_eq!(group.calls.get("leave"), None);
}

#[tokio::test]
async fn a_worker_told_to_leave_does_not_wait_for_the_platform() {
    let (world, group) = (world(), group(1));
    group.lock().unwrap().faults = vec![Fault::Fail; 1_000];
    let mut process = Process::start(&world, place(&group, 0), POLICY);
    process.jobs.push(process.slots.take());
    pass(&world, 2).await;
    process.drain.request(Notice::Signal);
    pass(&world, 3).await;
    assert!(process.task.is_finished());
}

/// A small generator, so that a seed is all a run depends on.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// Five workers of one group for an hour, jobs and failures at random.
#[tokio::test]
async fn whatever_happens_places_add_up_and_work_is_protected() {
    for seed in 0..8 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let (world, group) = (world(), group(5));
        let start = |me| Process::start(&world, place(&group, me), POLICY);
        let mut processes: Vec<Process> = (0..5).map(start).collect();
        let mut quiet_since = world.clock.monotonic();
        for _ in 0..3_600 {
            let at = usize::try_from(dice.roll(5)).unwrap();
            match dice.roll(400) {
                0..4 if !processes[at].drain.requested() => {
                    let slot = processes[at].slots.take();
                    processes[at].jobs.push(slot);
                }
                4..20 => drop(processes[at].jobs.pop()),
                20 => {
                    let fault = [Fault::Fail, Fault::Lose];
                    let fault = fault[usize::try_from(dice.roll(2)).unwrap()];
                    group.lock().unwrap().faults.push(fault);
                }
                _ => {}
            }
            if !group.lock().unwrap().faults.is_empty() {
                quiet_since = world.clock.monotonic();
            }
            pass(&world, 1).await;
            let quiet = world.clock.monotonic().saturating_sub(quiet_since);
            for (me, process) in processes.iter().enumerate() {
                let busy = matches!(process.slots.occupancy(), Occupancy::Busy(_));
                let member = &group.lock().unwrap().members[&me];
                assert!(!(busy && member.terminating), "seed {seed}: left its job");
                // Longer than any back-off since the last failure.
                if busy && quiet > Duration::from_secs(61) {
                    assert!(member.protected, "seed {seed}: at work and not protected");
                }
            }
        }
        for process in &mut processes {
            process.jobs.clear();
        }
        group.lock().unwrap().faults.clear();
        pass(&world, 700).await;
        let group = group.lock().unwrap();
        assert_eq!(group.desired, 0, "seed {seed}");
        assert!(
            group.members.values().all(|member| member.gone),
            "seed {seed}"
        );
        assert!(processes.iter().all(|process| process.task.is_finished()));
    }
}
