//! One Auto Scaling group: what is wanted, what boots, what is there and what
//! it costs. It replaces what it loses, and ends idle instances only.

use crate::facts::{Facts, InstanceType};
use crate::model::launch::{Launches, billed, interruption};
use crate::model::weather::Weather;
use crate::random::Random;
use crate::time::{HOUR, Ms, seconds};

use super::events::{Agenda, Event, Tier};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Booting,
    Serving,
    Gone,
}

/// One instance, to its end.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) state: State,
    kind: u32,
    running_at: Ms,
    /// Slots in use.
    pub(crate) used: u32,
    busy_since: Ms,
    pub(crate) idle_since: Ms,
}

/// What a group cost and did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct GroupTally {
    pub(crate) usd: f64,
    pub(crate) paid_ms: Ms,
    pub(crate) busy_ms: Ms,
    pub(crate) launches: u64,
    pub(crate) interruptions: u64,
    pub(crate) peak: u32,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) tier: Tier,
    pub(crate) max: u32,
    pub(crate) slots: u32,
    pub(crate) desired: u32,
    instances: Vec<Instance>,
    /// Those that are not gone, oldest first.
    live: Vec<u32>,
    pub(crate) serving: u32,
    kinds: Vec<InstanceType>,
    launches: Launches,
    booting_since: Option<Ms>,
    unannounced: f64,
    is_on_demand: bool,
    weather: Option<Weather>,
    /// When it tries again to launch what it did not get.
    fill_at: Option<Ms>,
    random: Random,
    pub(crate) tally: GroupTally,
}

impl Group {
    pub(crate) fn new(facts: &Facts, tier: Tier, is_on_demand: bool, seed: u64) -> Self {
        let of_tier = |of: &&InstanceType| of.tier == tier.as_str();
        Self {
            tier,
            max: facts.get("fleet.instances_max") as u32,
            slots: (facts.get(&format!("fleet.{}_slots", tier.as_str())) as u32).max(1),
            desired: 0,
            instances: Vec::new(),
            live: Vec::new(),
            serving: 0,
            kinds: facts.instances().iter().filter(of_tier).cloned().collect(),
            launches: Launches::new(facts),
            booting_since: None,
            unannounced: facts.get("latency.spot_unannounced_share"),
            is_on_demand,
            weather: None,
            fill_at: None,
            random: Random::of([seed, 0x6709, tier as u64]),
            tally: GroupTally::default(),
        }
    }

    /// Spot alone has weather.
    pub(crate) fn in_weather(self, weather: Option<Weather>) -> Self {
        let weather = weather.filter(|_| !self.is_on_demand);
        Self { weather, ..self }
    }

    pub(crate) fn instance(&self, id: u32) -> &Instance {
        &self.instances[id as usize]
    }

    pub(crate) fn live(&self) -> u32 {
        self.live.len() as u32
    }

    pub(crate) fn booting(&self) -> u32 {
        self.live() - self.serving
    }

    /// Those that boot, and those that are wanted and could not be launched: a
    /// group tells no difference.
    pub(crate) fn awaited(&self) -> u32 {
        self.desired.max(self.live()) - self.serving
    }

    /// When the last of those that boot is likely to be there, as the
    /// scheduler's record reckons: since the first wish of what still boots.
    pub(crate) fn booted_at(&self, now: Ms) -> Ms {
        let since = self.booting_since.unwrap_or(now);
        now.max(since + self.launches.p95())
    }

    pub(crate) fn boot_p95(&self) -> Ms {
        self.launches.p95()
    }

    /// Instances that have a job.
    pub(crate) fn busy(&self) -> u32 {
        let has_job = |id: &&u32| self.instances[**id as usize].used > 0;
        self.live.iter().filter(has_job).count() as u32
    }

    /// Mean cores of an instance.
    pub(crate) fn cores(&self) -> f64 {
        self.kinds.iter().map(|of| of.cores).sum::<f64>() / self.kinds.len() as f64
    }

    pub(crate) fn usd_per_hour(&self) -> f64 {
        let price = |of: &InstanceType| {
            if self.is_on_demand {
                of.on_demand
            } else {
                of.spot
            }
        };
        self.kinds.iter().map(price).sum::<f64>() / self.kinds.len() as f64
    }

    /// Asks for so many; says which idle ones end at once.
    pub(crate) fn want(&mut self, now: Ms, desired: u32, agenda: &mut Agenda) {
        self.desired = desired.min(self.max);
        self.forget_booted();
        self.fill(now, agenda);
    }

    /// Launches what is missing, once there is something to be had.
    pub(crate) fn fill(&mut self, now: Ms, agenda: &mut Agenda) {
        if self.live() >= self.desired {
            return;
        }
        self.booting_since.get_or_insert(now);
        if let Some(until) = self.weather.and_then(|it| it.dry_until(now)) {
            if self.fill_at != Some(until) {
                self.fill_at = Some(until);
                agenda.at(until, Event::Fill { tier: self.tier });
            }
            return;
        }
        while self.live() < self.desired {
            let launch = self.launches.draw(&mut self.random);
            let kind = self.random.below(self.kinds.len() as u64) as u32;
            let id = self.instances.len() as u32;
            let (running_at, ready_at) = (now + launch.running, now + launch.ready);
            self.instances.push(Instance {
                state: State::Booting,
                kind,
                running_at,
                used: 0,
                busy_since: 0,
                idle_since: ready_at,
            });
            self.live.push(id);
            self.tally.launches += 1;
            self.tally.peak = self.tally.peak.max(self.live());
            let tier = self.tier;
            agenda.at(ready_at, Event::Ready { tier, instance: id });
            if self.is_on_demand {
                continue;
            }
            let of = &self.kinds[kind as usize];
            if let Some((after, noticed)) = interruption(of, self.unannounced, &mut self.random) {
                let strike = Event::Strike {
                    tier,
                    instance: id,
                    noticed,
                };
                agenda.at(running_at.max(ready_at) + after, strike);
            }
        }
    }

    /// A worker polls for the first time; false if its instance is gone.
    pub(crate) fn ready(&mut self, id: u32) -> bool {
        let instance = &mut self.instances[id as usize];
        if instance.state != State::Booting {
            return false;
        }
        instance.state = State::Serving;
        self.serving += 1;
        self.forget_booted();
        true
    }

    fn forget_booted(&mut self) {
        if self.awaited() == 0 {
            self.booting_since = None;
        }
    }

    pub(crate) fn is_serving(&self, id: u32) -> bool {
        self.instances[id as usize].state == State::Serving
    }

    /// A slot takes a job.
    pub(crate) fn take(&mut self, now: Ms, id: u32) {
        let instance = &mut self.instances[id as usize];
        if instance.used == 0 {
            instance.busy_since = now;
        }
        instance.used += 1;
    }

    /// A slot is done with its job; true if the instance is idle now.
    pub(crate) fn put_down(&mut self, now: Ms, id: u32) -> bool {
        let instance = &mut self.instances[id as usize];
        instance.used -= 1;
        if instance.used > 0 {
            return false;
        }
        self.tally.busy_ms += now - instance.busy_since;
        instance.idle_since = now;
        true
    }

    /// Ends an instance, and what it had in hand with it.
    fn end(&mut self, now: Ms, id: u32) {
        let instance = &mut self.instances[id as usize];
        if instance.used > 0 {
            self.tally.busy_ms += now - instance.busy_since;
            instance.used = 0;
        }
        if instance.state == State::Serving {
            self.serving -= 1;
        }
        instance.state = State::Gone;
        // Whoever ends before it runs costs nothing.
        if now > instance.running_at {
            let paid = billed(now - instance.running_at);
            let of = &self.kinds[instance.kind as usize];
            let price = if self.is_on_demand {
                of.on_demand
            } else {
                of.spot
            };
            self.tally.paid_ms += paid;
            self.tally.usd += price * seconds(paid) / seconds(HOUR);
        }
        if let Some(at) = self.live.iter().position(|live| *live == id) {
            self.live.remove(at);
        }
        self.forget_booted();
    }

    /// Spot takes it back, and the group starts another one in its place.
    pub(crate) fn lose(&mut self, now: Ms, id: u32, agenda: &mut Agenda) {
        self.tally.interruptions += 1;
        self.end(now, id);
        self.fill(now, agenda);
    }

    /// It leaves by itself, and the group wants one less.
    pub(crate) fn leave(&mut self, now: Ms, id: u32) {
        self.end(now, id);
        self.desired = self.desired.saturating_sub(1);
    }

    /// Ends as many idle instances as are there beyond what is wanted, those
    /// that boot first: the last that came are the first that go.
    pub(crate) fn trim(&mut self, now: Ms) {
        let mut over = self.live().saturating_sub(self.desired);
        for at in (0..self.live.len()).rev() {
            if over == 0 {
                return;
            }
            let id = self.live[at];
            if self.instances[id as usize].used == 0 {
                self.end(now, id);
                over -= 1;
            }
        }
    }

    /// Those that a wave takes with it.
    pub(crate) fn swept(&mut self) -> Vec<u32> {
        let Some(weather) = self.weather else {
            return Vec::new();
        };
        let serving: Vec<u32> = self.serving_ids().collect();
        let is_swept = |_: &u32| self.random.unit() < weather.wave_share;
        serving.into_iter().filter(is_swept).collect()
    }

    /// Whether a notice comes with it.
    pub(crate) fn is_noticed(&mut self) -> bool {
        self.random.unit() >= self.unannounced
    }

    /// Instances that serve, oldest first.
    pub(crate) fn serving_ids(&self) -> impl Iterator<Item = u32> {
        let serves = |id: &&u32| self.instances[**id as usize].state == State::Serving;
        self.live.iter().filter(serves).copied()
    }

    /// The end of the study: what is there is paid for until now.
    pub(crate) fn close(&mut self, now: Ms) {
        while let Some(id) = self.live.last().copied() {
            self.end(now, id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::time::{MINUTE, SECOND};

    fn group(is_on_demand: bool) -> (Group, Agenda) {
        let group = Group::new(&Facts::default(), Tier::Crawl, is_on_demand, 1);
        (group, Agenda::default())
    }

    #[test]
    fn nothing_is_launched_twice_and_nothing_busy_is_ended() {
        let (mut group, mut agenda) = group(true);
        group.want(0, 3, &mut agenda);
        group.want(SECOND, 3, &mut agenda);
        assert_eq!((group.live(), group.tally.launches), (3, 3));
        for id in 0..3 {
            assert!(group.ready(id));
        }
        group.take(MINUTE, 2);
        group.want(2 * MINUTE, 0, &mut agenda);
        group.trim(2 * MINUTE);
        // The busy one stays, and goes when it has put its job down.
        assert_eq!((group.live(), group.serving), (1, 1));
        assert!(group.put_down(3 * MINUTE, 2));
        group.trim(3 * MINUTE);
        assert_eq!(group.live(), 0);
        assert_eq!(group.tally.busy_ms, 2 * MINUTE);
    }

    #[test]
    fn an_instance_is_paid_for_from_when_it_runs() {
        let (mut group, mut agenda) = group(true);
        group.want(0, 1, &mut agenda);
        assert!(group.ready(0));
        let running_at = group.instance(0).running_at;
        group.close(running_at + HOUR);
        let price = group.kinds[group.instance(0).kind as usize].on_demand;
        assert_eq!(group.tally.paid_ms, HOUR);
        assert!((group.tally.usd - price).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_to_be_had_is_launched_when_it_is() {
        let (group, mut agenda) = group(false);
        let weather = Weather::rough(&Facts::default());
        let mut group = group.in_weather(Some(weather));
        // Dry from two o'clock for twenty minutes.
        group.want(2 * HOUR, 3, &mut agenda);
        group.want(2 * HOUR + MINUTE, 4, &mut agenda);
        assert_eq!(
            (group.live(), group.desired, group.tally.launches),
            (0, 4, 0)
        );
        let again = agenda.next().unwrap();
        let tier = Tier::Crawl;
        assert_eq!(again, (2 * HOUR + 20 * MINUTE, Event::Fill { tier }));
        assert_eq!(agenda.next(), None, "asked for again once");
        group.fill(again.0, &mut agenda);
        assert_eq!((group.live(), group.tally.launches), (4, 4));
        // Who pays for each hour gets what he pays for.
        let (always, mut agenda) = super::tests::group(true);
        let mut always = always.in_weather(Some(weather));
        always.want(2 * HOUR, 3, &mut agenda);
        assert_eq!(always.live(), 3);
    }

    #[test]
    fn a_wave_takes_about_its_share_of_those_that_serve() {
        let (group, mut agenda) = group(false);
        let mut group = group.in_weather(Some(Weather::rough(&Facts::default())));
        group.want(0, 60, &mut agenda);
        assert!(group.swept().is_empty(), "none serves yet");
        for id in 0..60 {
            assert!(group.ready(id));
        }
        let swept = group.swept().len();
        assert!((20..=40).contains(&swept), "{swept}");
    }

    #[test]
    fn what_spot_takes_is_replaced_and_who_leaves_is_not() {
        let (mut group, mut agenda) = group(false);
        group.want(0, 2, &mut agenda);
        assert!(group.ready(0) && group.ready(1));
        group.lose(MINUTE, 0, &mut agenda);
        assert_eq!((group.live(), group.booting(), group.desired), (2, 1, 2));
        group.leave(2 * MINUTE, 1);
        assert_eq!((group.live(), group.desired), (1, 1));
    }
}
