//! The look of the planner: what waits, what is in hand, what is due soon, and
//! the image work of each host.

use trawler_scheduler::plan::{Flow as PlannedFlow, Why};

use super::{Tier, World};
use crate::policy::{Bounds, ImageFlow, Standing, signed};
use crate::time::{HOUR, Ms};

/// How far ahead runs are shown to the planner beyond its lead.
const AHEAD: Ms = HOUR;

impl World<'_> {
    /// One owner for both groups: where runs have no past the alarms decide
    /// about images as well.
    pub(super) fn plan(&mut self) {
        match self.plan_crawl() {
            Some(Why::NoHistory) => {
                for tier in Tier::BOTH {
                    if let Some(desired) = self.ask_scaler(tier) {
                        self.want(tier, desired);
                    }
                }
            }
            Some(_) | None => self.plan_images(),
        }
    }

    fn bounds(&self, tier: Tier) -> Bounds {
        let group = &self.groups[tier as usize];
        Bounds {
            max: group.max,
            slots: group.slots,
            boot: group.boot_p95(),
            every: self.manner.every,
            idle: self.manner.idle_exit.unwrap_or(0),
            usd_per_hour: group.usd_per_hour(),
        }
    }

    fn standing(&self, tier: Tier) -> Standing {
        let group = &self.groups[tier as usize];
        Standing {
            in_service: group.serving,
            busy: group.busy(),
            booting: group.awaited(),
            booted: group.booted_at(self.now),
        }
    }

    /// Why, if there was anything to decide.
    fn plan_crawl(&mut self) -> Option<Why> {
        let is_idle = self.queue.is_empty() && self.groups[0].live() == 0;
        if is_idle && !self.planner.is_needed(self.now) {
            return None;
        }
        let bounds = self.bounds(Tier::Crawl);
        self.planner.begin();
        for (run, since) in self.queue.runs_in_hand() {
            self.planner.add_in_hand(run, self.now - since);
        }
        for run in self.queue.waiting_runs() {
            self.planner.add(run);
        }
        // What somebody asks for, the schedule does not know before.
        let horizon = self.now + bounds.lead() + AHEAD;
        let soon = self.upcoming.iter().take_while(|run| run.due <= horizon);
        for run in soon.filter(|run| run.planned) {
            self.planner.add(run);
        }
        let standing = self.standing(Tier::Crawl);
        let decision = self.planner.decide(self.now, standing, &bounds);
        if decision.why != Why::NoHistory {
            self.want(Tier::Crawl, decision.wanted);
        }
        Some(decision.why)
    }

    fn plan_images(&mut self) {
        if self.flow.open() == 0 && self.groups[1].live() == 0 {
            return;
        }
        self.flow.pass(self.now);
        let now_v = self.flow.now_v();
        let since = self.now - std::mem::replace(&mut self.images_looked_at, self.now);
        self.planner.begin_images();
        for host in self.flow.hosts() {
            let left = host.left(now_v);
            if left <= 0.0 {
                continue;
            }
            let measured = host.look(now_v, since).job_ms();
            self.planner.add_images(ImageFlow {
                measured,
                by_rate_ms: host.by_rate_ms(),
                flow: PlannedFlow {
                    key: host.pipe,
                    jobs: left.ceil() as u64,
                    job_ms: 0,
                    lanes: host.slots as u32,
                    due_ms: signed(host.since),
                    deadline_ms: signed(host.deadline),
                },
            });
        }
        let (standing, bounds) = (self.standing(Tier::Image), self.bounds(Tier::Image));
        let decision = self.planner.decide_images(self.now, standing, &bounds);
        self.want(Tier::Image, decision.wanted);
    }
}
