//! The world of one policy: queue, groups, flow and policy, moved on from one
//! event to the next. No event looks at all pipes; what a look of the planner
//! goes through is what waits, what is in hand and what is due soon.

mod events;
mod flow;
mod group;
mod planning;
mod queue;
mod tally;

use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) use events::Tier;
use events::{Agenda, Event};
use flow::Flow;
pub(crate) use group::{Group, GroupTally};
use queue::CrawlQueue;
pub(crate) use tally::{Tally, quantile};

use crate::facts::Facts;
use crate::model::metrics::{Point, QueueMetrics};
use crate::model::weather::Weather;
use crate::policy::{Manner, PlannerPolicy, PolicyKind, Scaler, Sight, Tuning};
use crate::random::Random;
use crate::time::{DAY, HOUR, MINUTE, Ms, ms};
use crate::workload::{RunLoad, Workload};

/// How long before its midnight a day's runs become known.
const KNOWN_BEFORE: Ms = 2 * HOUR;
/// After the last day, what is open is finished within this.
const AFTER: Ms = 3 * DAY;
/// After a run the images of it have to be there within so long: what the
/// planner gives a pipe that says nothing else.
const IMAGES_WITHIN: Ms = HOUR;

/// A minute that is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    pub(crate) at: Ms,
    pub(crate) crawl_instances: u32,
    pub(crate) image_instances: u32,
    pub(crate) crawl_jobs: u64,
    pub(crate) image_jobs: u64,
}

/// What a world is made of.
pub(crate) struct Setting<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) workload: &'a Workload,
    pub(crate) history: &'a [Arc<[RunLoad]>],
    pub(crate) kind: PolicyKind,
    pub(crate) seed: u64,
    /// Instances of the policies whose number is fixed, of each tier.
    pub(crate) fixed: [u32; 2],
    pub(crate) weather: Option<Weather>,
    /// From when to when frames are kept.
    pub(crate) drawn: (Ms, Ms),
}

/// What came of it.
pub(crate) struct Ended {
    pub(crate) tally: Tally,
    pub(crate) groups: [GroupTally; 2],
    pub(crate) frames: Vec<Frame>,
    /// When the last work was done.
    pub(crate) last_at: Ms,
    /// Nothing is left.
    pub(crate) is_done: bool,
}

struct World<'a> {
    now: Ms,
    facts: &'a Facts,
    workload: &'a Workload,
    weather: Option<Weather>,
    kind: PolicyKind,
    manner: Manner,
    agenda: Agenda,
    upcoming: VecDeque<RunLoad>,
    queue: CrawlQueue,
    flow: Flow,
    groups: [Group; 2],
    metrics: [QueueMetrics; 2],
    scalers: [Scaler; 2],
    planner: PlannerPolicy,
    images_looked_at: Ms,
    random: Random,
    tally: Tally,
    frames: Vec<Frame>,
    drawn: (Ms, Ms),
    receive: Ms,
    /// Until when slots were counted.
    counted_at: Ms,
    last_at: Ms,
}

/// Lets a policy run the workload.
pub(crate) fn run(setting: &Setting<'_>) -> Ended {
    let mut world = World::new(setting);
    let days = setting.workload.days();
    let end = days * DAY + AFTER;
    if let Some(weather) = setting.weather {
        world.agenda.at(weather.next_wave(0), Event::Wave);
    }
    world.agenda.at(0, Event::Load { day: 0 });
    world.agenda.at(0, Event::Look);
    world.agenda.at(MINUTE, Event::Sample);
    while let Some((at, event)) = world.agenda.next() {
        if at > end || at >= days * DAY && world.is_over() {
            break;
        }
        world.now = at;
        world.tally.events += 1;
        world.happen(event);
    }
    world.close(days)
}

impl<'a> World<'a> {
    fn new(setting: &Setting<'a>) -> Self {
        let Setting {
            facts, kind, seed, ..
        } = *setting;
        let manner = Manner::of(kind, facts);
        let group = |tier| {
            let group = Group::new(facts, tier, manner.is_on_demand, seed);
            group.in_weather(setting.weather)
        };
        let groups = Tier::BOTH.map(group);
        let tuning = |tier: Tier| Tuning {
            max: groups[tier as usize].max,
            backlog: facts.get(&format!("fleet.{}_backlog", tier.as_str())),
            wake_periods: facts.get("fleet.wake_periods") as usize,
            fixed: setting.fixed[tier as usize],
            warmup: ms(facts.get("latency.warmup_s")),
            stabilization: ms(facts.get("latency.keda_stabilization_s")),
            cooldown: ms(facts.get("latency.keda_cooldown_s")),
        };
        let scaler = |tier| Scaler::new(kind, tuning(tier));
        // While nothing has a past, the planner leaves it to the alarms.
        let fallback = |tier| Scaler::new(PolicyKind::Alarms, tuning(tier));
        let scalers = match kind {
            PolicyKind::Planner => Tier::BOTH.map(fallback),
            _ => Tier::BOTH.map(scaler),
        };
        Self {
            now: 0,
            facts,
            workload: setting.workload,
            weather: setting.weather,
            kind,
            manner,
            agenda: Agenda::default(),
            upcoming: VecDeque::new(),
            queue: CrawlQueue::new(facts, setting.workload.pipes()),
            flow: Flow::new(facts),
            groups,
            metrics: [QueueMetrics::new(facts), QueueMetrics::new(facts)],
            scalers,
            planner: PlannerPolicy::new(setting.workload.pipes(), setting.history),
            images_looked_at: 0,
            random: Random::of([seed, 0x3E7, kind as u64]),
            tally: Tally::default(),
            frames: Vec::new(),
            drawn: setting.drawn,
            receive: ms(facts.get("latency.receive_s")),
            counted_at: 0,
            last_at: 0,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Load { day } => self.load(day),
            Event::Due => self.send_due(),
            Event::Done { job, delivery } => self.done(job, delivery),
            Event::Visible { job } => {
                self.queue.visible_again(job);
                self.hand_out();
            }
            Event::Flow { version } if version == self.flow.version => self.move_flow(),
            Event::Flow { .. } => {}
            Event::Ready { tier, instance } => self.ready(tier, instance),
            Event::Idle {
                tier,
                instance,
                since,
            } => self.idle(tier, instance, since),
            Event::Strike {
                tier,
                instance,
                noticed,
            } => self.strike(tier, instance, noticed),
            Event::Wave => self.wave(),
            Event::Fill { tier } => {
                self.count_slots();
                self.groups[tier as usize].fill(self.now, &mut self.agenda);
            }
            Event::Sample => self.sample(),
            Event::Look => self.look(),
        }
    }

    fn is_over(&self) -> bool {
        self.upcoming.is_empty() && self.queue.is_empty() && self.flow.open() == 0
    }

    /// The runs of a day, in the order in which the scheduler sends them: those
    /// of one instant by how long they can wait.
    fn load(&mut self, day: u64) {
        let mut runs = self.workload.day(day);
        for run in &mut runs {
            // The tick sends what is due, once a minute.
            run.due = run.due.div_ceil(MINUTE) * MINUTE;
        }
        let slack = |run: &RunLoad| {
            let upper = self.planner.estimate(run.pipe).upper_ms.max(0) as Ms;
            run.deadline.saturating_sub(upper)
        };
        runs.sort_by_cached_key(|run| (run.due, slack(run), run.pipe));
        let was_empty = self.upcoming.is_empty();
        self.upcoming.extend(runs);
        if let (true, Some(first)) = (was_empty, self.upcoming.front()) {
            self.agenda.at(first.due, Event::Due);
        }
        if day + 1 < self.workload.days() {
            let known_at = ((day + 1) * DAY).saturating_sub(KNOWN_BEFORE);
            self.agenda
                .at(known_at.max(self.now), Event::Load { day: day + 1 });
        }
    }

    fn send_due(&mut self) {
        let mut sent = false;
        while let Some(run) = self.upcoming.front().copied() {
            if run.due > self.now {
                break;
            }
            self.upcoming.pop_front();
            let slots = self.groups[0].serving * self.groups[0].slots;
            self.tally.runs += 1;
            self.tally.rows += run.rows;
            self.tally.sent(self.now, run.work, run.planned, slots);
            self.queue.send(run);
            sent = true;
        }
        if sent {
            self.metrics[0].call(self.now, &mut self.random);
            self.hand_out();
        }
        if let Some(next) = self.upcoming.front() {
            self.agenda.at(next.due, Event::Due);
        }
    }

    /// Gives waiting jobs to free slots.
    fn hand_out(&mut self) {
        while self.queue.is_waiting() {
            let Some(instance) = self.queue.free_slot(&self.groups[0]) else {
                break;
            };
            let Some(job) = self.queue.take(self.now, instance) else {
                self.queue.give_back(instance);
                break;
            };
            self.groups[0].take(self.now, instance);
            if self.tally.is_first() {
                self.tally.started(self.now, self.receive);
            }
            self.tally.waits.add(self.now - job.sent_at + self.receive);
            let done = Event::Done {
                job: job.id,
                delivery: job.delivery,
            };
            self.agenda.at(self.now + self.receive + job.left, done);
        }
    }

    fn done(&mut self, job: u32, delivery: u32) {
        let Some(ended) = self.queue.done(self.now, job, delivery) else {
            return;
        };
        let run = ended.run;
        self.tally.slot_ms += ended.spent;
        self.tally.renewals += ended.renewals;
        self.tally.runs_done += 1;
        self.last_at = self.now;
        if self.now > run.deadline {
            self.tally.late += 1;
            let is_lost = run.due + run.work > run.deadline;
            self.tally.late_anyway += u64::from(is_lost);
        }
        if self.kind == PolicyKind::Planner {
            self.planner.ran(&run, ended.spent);
        }
        let costs = self.flow.costs();
        self.tally.image_jobs += costs.jobs(&run.images);
        self.tally.images += run.images.count();
        self.tally.images_changed += run.images.changed;
        if run.images.count() > 0.0 {
            self.metrics[1].call(self.now, &mut self.random);
            self.flow.pass(self.now);
            self.flow
                .add(run.pipe, &run.images, self.now + IMAGES_WITHIN);
            self.settle();
        }
        let is_idle = self.groups[0].put_down(self.now, ended.instance);
        self.queue.give_back(ended.instance);
        self.hand_out();
        if is_idle && self.groups[0].instance(ended.instance).used == 0 {
            self.rest(Tier::Crawl, ended.instance);
        }
        if self.queue.is_empty() {
            self.tally.quiet(self.now);
        }
    }

    /// An instance has nothing to do: it goes if it is one too many, or later.
    fn rest(&mut self, tier: Tier, instance: u32) {
        self.count_slots();
        let group = &mut self.groups[tier as usize];
        group.trim(self.now);
        let is_serving = group.is_serving(instance);
        if let Some(after) = self.manner.idle_exit.filter(|_| is_serving) {
            let since = self.now;
            let idle = Event::Idle {
                tier,
                instance,
                since,
            };
            self.agenda.at(since + after, idle);
        }
    }

    fn idle(&mut self, tier: Tier, instance: u32, since: Ms) {
        let group = &self.groups[tier as usize];
        let of = group.instance(instance);
        let stayed = of.used == 0 && of.idle_since == since;
        if !group.is_serving(instance) || !stayed {
            return;
        }
        self.count_slots();
        self.groups[tier as usize].leave(self.now, instance);
        if tier == Tier::Image {
            self.flow.pass(self.now);
            self.settle();
        }
    }

    fn ready(&mut self, tier: Tier, instance: u32) {
        self.count_slots();
        if !self.groups[tier as usize].ready(instance) {
            return;
        }
        match tier {
            Tier::Crawl => {
                let group = &self.groups[0];
                self.queue.come(instance, group.slots);
                self.tally.saw_slots(group.serving * group.slots);
                self.metrics[0].call(self.now, &mut self.random);
                self.hand_out();
            }
            Tier::Image => {
                self.metrics[1].call(self.now, &mut self.random);
                self.flow.pass(self.now);
                self.settle();
            }
        }
        if self.groups[tier as usize].instance(instance).used == 0 {
            self.rest(tier, instance);
        }
    }

    fn strike(&mut self, tier: Tier, instance: u32, noticed: bool) {
        if !self.groups[tier as usize].is_serving(instance) {
            return;
        }
        self.count_slots();
        match tier {
            Tier::Crawl => {
                for lost in self.queue.lose(self.now, instance, noticed) {
                    self.tally.slot_ms += lost.spent;
                    self.tally.lost_ms += lost.lost;
                    self.tally.redone += u64::from(lost.lost > 0);
                    self.agenda
                        .at(lost.visible_at, Event::Visible { job: lost.job });
                }
            }
            Tier::Image => {
                self.flow.pass(self.now);
                if !noticed {
                    self.lose_images();
                }
            }
        }
        self.groups[tier as usize].lose(self.now, instance, &mut self.agenda);
        if tier == Tier::Image {
            self.settle();
        }
    }

    fn wave(&mut self) {
        for tier in Tier::BOTH {
            for instance in self.groups[tier as usize].swept() {
                let noticed = self.groups[tier as usize].is_noticed();
                self.strike(tier, instance, noticed);
            }
        }
        if let Some(weather) = self.weather {
            self.agenda.at(weather.next_wave(self.now), Event::Wave);
        }
    }

    /// Half of each job in hand on the instance is fetched again.
    fn lose_images(&mut self) {
        let serving = f64::from(self.groups[1].serving.max(1));
        let jobs = self.flow.in_hand() / serving;
        let images = jobs * self.facts.get("fleet.job_images") / 2.0;
        if images < 1.0 {
            return;
        }
        let per_s = 10.0 * jobs.max(1.0);
        let again = crate::workload::ImageLoad {
            changed: images,
            unchanged: 0.0,
            per_s,
        };
        self.tally.redone += jobs.ceil() as u64;
        self.tally.lost_ms += ms(images / per_s * jobs);
        self.flow.add(0, &again, Ms::MAX);
    }

    fn move_flow(&mut self) {
        self.flow.pass(self.now);
        while let Some(host) = self.flow.finished() {
            self.last_at = self.now;
            self.tally.image_tail = self.tally.image_tail.max(self.now);
            if self.now > host.deadline {
                self.tally.images_late += 1;
                let alone = host.since + ms(host.whole_s);
                self.tally.images_late_anyway += u64::from(alone > host.deadline);
            }
        }
        self.settle();
    }

    /// After anything about the flow or its group changed.
    fn settle(&mut self) {
        let group = &self.groups[1];
        let serving = f64::from(group.serving);
        let (cores, slots) = (serving * group.cores(), serving * f64::from(group.slots));
        if let Some(at) = self.flow.settle(cores, slots) {
            let version = self.flow.version;
            self.agenda.at(at, Event::Flow { version });
        }
        // Long polls hand jobs to whoever asks: they spread over all.
        let busy = (self.flow.in_hand().ceil() as u32).min(group.serving);
        if group.busy() == busy {
            return;
        }
        let ids: Vec<u32> = group.serving_ids().collect();
        let mut rests = Vec::new();
        for (id, is_busy) in ids.into_iter().zip((0..).map(|at| at < busy)) {
            let used = self.groups[1].instance(id).used;
            match (is_busy, used) {
                (true, 0) => self.groups[1].take(self.now, id),
                (false, 1..) => {
                    self.groups[1].put_down(self.now, id);
                    rests.push(id);
                }
                _ => {}
            }
        }
        for id in rests {
            if self.groups[1].is_serving(id) {
                self.rest(Tier::Image, id);
            }
        }
    }

    /// Slot time that was there since the last change of the crawl group.
    fn count_slots(&mut self) {
        let group = &self.groups[0];
        let slots = Ms::from(group.serving * group.slots);
        self.tally.slots_there_ms += slots * (self.now - self.counted_at);
        self.counted_at = self.now;
    }

    fn sample(&mut self) {
        for tier in Tier::BOTH {
            let (visible, in_flight) = self.depth(tier);
            let group = &self.groups[tier as usize];
            let (in_service, pending) = (group.serving, group.booting());
            if visible + in_flight > 0 || in_service > 0 {
                self.metrics[tier as usize].call(self.now, &mut self.random);
            }
            self.metrics[tier as usize].sample(Point {
                at: self.now,
                seen_at: 0,
                visible,
                in_flight,
                in_service,
                pending,
            });
        }
        if self.now >= self.drawn.0 && self.now <= self.drawn.1 {
            let jobs = |tier| {
                let (visible, in_flight) = self.depth(tier);
                visible + in_flight
            };
            self.frames.push(Frame {
                at: self.now,
                crawl_instances: self.groups[0].live(),
                image_instances: self.groups[1].live(),
                crawl_jobs: jobs(Tier::Crawl),
                image_jobs: jobs(Tier::Image),
            });
        }
        let period = self.metrics[0].period();
        self.agenda.at(self.now + period, Event::Sample);
    }

    fn depth(&self, tier: Tier) -> (u64, u64) {
        match tier {
            Tier::Crawl => self.queue.depth(),
            Tier::Image => {
                let all = self.flow.jobs();
                let in_hand = (self.flow.in_hand().ceil() as u64).min(all);
                (all - in_hand, in_hand)
            }
        }
    }

    fn look(&mut self) {
        if self.kind == PolicyKind::Planner {
            self.plan();
        } else {
            for tier in Tier::BOTH {
                if let Some(desired) = self.ask_scaler(tier) {
                    self.want(tier, desired);
                }
            }
        }
        self.agenda.at(self.now + self.manner.every, Event::Look);
    }

    fn ask_scaler(&mut self, tier: Tier) -> Option<u32> {
        if tier == Tier::Image {
            self.flow.pass(self.now);
        }
        let (visible, in_flight) = self.depth(tier);
        let (group, at) = (&self.groups[tier as usize], tier as usize);
        let sight = Sight {
            now: self.now,
            visible,
            in_flight,
            desired: group.desired,
            metrics: &self.metrics[at],
        };
        self.scalers[at].look(&sight)
    }

    fn want(&mut self, tier: Tier, desired: u32) {
        self.count_slots();
        let group = &mut self.groups[tier as usize];
        group.want(self.now, desired, &mut self.agenda);
        let serving = group.serving;
        group.trim(self.now);
        if tier == Tier::Image && self.groups[1].serving != serving {
            self.flow.pass(self.now);
            self.settle();
        }
    }

    fn close(mut self, days: u64) -> Ended {
        // What stands idle behind the last day is not the study's.
        let until = self.now.min((days * DAY).max(self.last_at));
        let is_done = self.is_over();
        self.count_slots();
        for group in &mut self.groups {
            group.close(until.max(self.counted_at));
        }
        Ended {
            tally: self.tally,
            groups: self.groups.map(|group| group.tally),
            frames: self.frames,
            last_at: self.last_at,
            is_done,
        }
    }
}

#[cfg(test)]
mod tests;
