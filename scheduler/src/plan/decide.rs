//! The decision: how many instances there are to be from now on.
//!
//! Why nothing is started twice for the same backlog: the answer is a number of
//! instances and not of further ones, and those that boot stand in it with the
//! instant at which they are there. Why nothing busy is taken away: the answer
//! is never below what is busy, and never below what finds work to take.

use super::pack::{Item, Packed, Packer, Ready};
use super::work::{Fleet, Limits, Work};

/// How much later than the largest fleet a smaller one may be over, of the
/// time that the work takes, where not even the largest keeps the deadlines:
/// one part in so many.
const LATER_PARTS: i64 = 20;

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Most of what is due has no past: the alarms are to decide.
    NoHistory,
    /// Nothing is due.
    Nothing,
    /// The smallest fleet that is over in time.
    Deadline,
    /// What is due would need fewer; what comes next could not be over in time
    /// with the largest fleet if it began then.
    Ahead,
    /// Fewer would do; these are there and have work to take.
    Kept,
    /// Fewer would do; these are busy.
    Busy,
    /// The least that is allowed.
    Least,
    /// More would be needed than are allowed.
    Most,
    /// More would be needed than the budget pays for.
    Budget,
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoHistory => "no history",
            Self::Nothing => "nothing due",
            Self::Deadline => "deadline",
            Self::Ahead => "what comes next",
            Self::Kept => "work for those there",
            Self::Busy => "busy",
            Self::Least => "least",
            Self::Most => "most",
            Self::Budget => "budget",
        }
    }
}

/// How many instances, and what that comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Those there and those that boot included. With [`Why::NoHistory`] it is
    /// what is there, and nobody should be asked for it.
    pub wanted: u32,
    pub why: Why,
    /// When what is due is over.
    pub finish_ms: Option<i64>,
    /// Whose job is over last.
    pub bound: Option<u32>,
    /// Jobs of what is due that are likely to end behind their deadline.
    pub late: u32,
    /// What the instances cost from now until what is due is over.
    pub usd: f64,
    /// When this has to be decided again although nothing happened: work that
    /// lies ahead has to be prepared for.
    pub again_ms: Option<i64>,
}

/// Decides. Keeps its buffers between decisions.
#[derive(Debug, Default)]
pub struct Planner {
    pub(super) packer: Packer,
    items: Vec<Item>,
    ahead: Vec<Item>,
}

/// What is known of one decision while it is made.
struct Case<'a> {
    now_ms: i64,
    fleet: &'a Fleet,
    limits: &'a Limits,
    /// Where the search begins, and what no answer goes below or above.
    floor: u32,
    most: u32,
}

impl Planner {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many instances there are to be at `now_ms`. Work that is not due
    /// within [`Limits::lead_ms`] is looked at only as far as a later start
    /// would be too late for it. `work` may be in any order and is quickest in
    /// that of the queue.
    pub fn decide(
        &mut self,
        now_ms: i64,
        work: &[Work],
        fleet: &Fleet,
        limits: &Limits,
    ) -> Decision {
        let again_ms = self.take(now_ms, work, limits);
        let due = work
            .iter()
            .filter(|work| work.in_hand || work.due_ms <= now_ms + limits.lead_ms());
        // What most of it takes is a guess where few of many have a past, and
        // these are the short ones, which were over first.
        let known = due.filter(|work| work.is_known).count();
        let is_known = known > 0 && 2 * known >= self.items.len();
        let floor = fleet.busy.min(fleet.in_service);
        let case = Case {
            now_ms,
            fleet,
            limits,
            floor: floor.max(limits.min.min(limits.max)),
            most: limits.max.max(floor),
        };
        if self.items.is_empty() {
            let (wanted, why) = self.beyond(&case, 0);
            let why = if why == Why::Deadline {
                Why::Nothing
            } else {
                why
            };
            return self.tell(&case, wanted, why, again_ms);
        }
        if !is_known {
            return self.tell(&case, fleet.live(), Why::NoHistory, again_ms);
        }
        let jobs = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        let useful = jobs.div_ceil(limits.slots());
        let (needed, is_enough) = self.smallest(&case, useful);
        let (ahead, mut why) = self.beyond(&case, needed);
        if !is_enough {
            why = Why::Most;
        }
        let mut wanted = ahead;
        // What finds work costs the same now as later, and a start less.
        let kept = fleet.live().min(useful).min(case.most);
        if kept > wanted {
            (wanted, why) = (kept, Why::Kept);
        }
        let longest = self.items.iter().map(|item| item.expected_ms).max();
        let paid = limits.affordable(longest.unwrap_or(0)).max(case.floor);
        if paid < wanted {
            (wanted, why) = (paid, Why::Budget);
        }
        self.tell(&case, wanted, why, again_ms)
    }

    /// Sorts the work into what is due and what lies ahead, both in the order
    /// of the queue; says when the first of the latter has to be prepared for.
    fn take(&mut self, now_ms: i64, work: &[Work], limits: &Limits) -> Option<i64> {
        self.items.clear();
        self.ahead.clear();
        let ready_ms = now_ms + limits.boot_ms;
        for work in work {
            let item = item(work, ready_ms, limits);
            if work.in_hand || work.due_ms <= now_ms + limits.lead_ms() {
                self.items.push(item);
            } else {
                self.ahead.push(item);
            }
        }
        self.items.sort_unstable_by_key(order);
        let first = self.ahead.iter().map(|item| item.due_ms).min();
        first.map(|due_ms| due_ms - limits.lead_ms())
    }

    /// The smallest fleet for what is due, and whether it is enough; one below
    /// the floor stands for any. `useful` instances give each job its own slot.
    fn smallest(&mut self, case: &Case<'_>, useful: u32) -> (u32, bool) {
        let most = case.most.min(useful.max(case.floor));
        let least = self.least(case).clamp(1, most.max(1));
        let from = least.max(case.floor).min(most);
        let slots = case.limits.slots();
        let mut found = search(from, most, |instances| self.fits(case, instances));
        if found.is_none() {
            let packer = &mut self.packer;
            packer.relax(&mut self.items, &case.ready(most), slots);
            found = search(from, most, |instances| self.fits(case, instances));
        }
        if let Some(found) = found {
            // Whether it is the work that needs them, or the floor.
            let is_fewer = found == case.floor && found > least && self.fits(case, found - 1);
            return (found - u32::from(is_fewer), true);
        }
        let (packer, items) = (&mut self.packer, &self.items);
        let all = packer.pack(items, &case.ready(most), slots);
        let later_ms = (all.finish_ms - case.now_ms) / LATER_PARTS;
        let mut is_as_good = |instances: u32, later_ms: i64| {
            let packed = packer.pack(items, &case.ready(instances), slots);
            packed.misses <= all.misses && packed.finish_ms <= all.finish_ms + later_ms
        };
        // What was asked for is not asked for again because it is there sooner.
        let live = case.fleet.live().min(most);
        if live > 0 && is_as_good(live, 2 * later_ms) && !is_as_good(live, later_ms) {
            return (live, false);
        }
        let found = search(from, most, |instances| is_as_good(instances, later_ms));
        (found.unwrap_or(most), false)
    }

    fn fits(&mut self, case: &Case<'_>, instances: u32) -> bool {
        let (ready, slots) = (case.ready(instances), case.limits.slots());
        self.packer.fits(&self.items, &ready, slots)
    }

    /// Fewer could not hold what waits even without a gap.
    fn least(&self, case: &Case<'_>) -> u32 {
        let waiting = self.items.iter().filter(|item| item.due_ms > i64::MIN);
        let (mut total_ms, mut last_ms) = (0_i64, i64::MIN);
        for item in waiting {
            total_ms = total_ms.saturating_add(item.expected_ms);
            last_ms = last_ms.max(item.last_ms.saturating_add(item.expected_ms));
        }
        let window_ms = last_ms.saturating_sub(case.now_ms).max(1);
        let slot_ms = window_ms.saturating_mul(i64::from(case.limits.slots()));
        u32::try_from(total_ms / slot_ms).unwrap_or(u32::MAX)
    }

    /// No fewer than `needed`, and so many that what lies ahead can still be
    /// over in time with the largest fleet from its first due instant on.
    fn beyond(&mut self, case: &Case<'_>, needed: u32) -> (u32, Why) {
        let wanted = needed.max(case.floor);
        let why = if needed >= case.floor {
            Why::Deadline
        } else if case.floor == case.fleet.busy {
            Why::Busy
        } else {
            Why::Least
        };
        let Some(first) = self.ahead.iter().map(|item| item.due_ms).min() else {
            return (wanted, why);
        };
        let slots = case.limits.slots();
        let all: i64 = self
            .items
            .iter()
            .chain(&self.ahead)
            .map(|item| item.expected_ms)
            .sum();
        let share = all / i64::from(case.most.saturating_mul(slots).max(1));
        // In the queue's order a job waits for those before it, shared by all.
        if self
            .ahead
            .iter()
            .all(|item| item.latest_ms - item.due_ms >= share)
        {
            return (wanted, why);
        }
        let due = self.items.len();
        self.items.extend_from_slice(&self.ahead);
        self.items[due..].sort_unstable_by_key(order);
        let (packer, items) = (&mut self.packer, &mut self.items);
        let with_all = |instances: u32| {
            let rest = Ready {
                at_ms: first.max(case.now_ms + case.limits.boot_ms),
                instances: case.most.saturating_sub(instances),
            };
            let [a, b, c] = case.ready(instances);
            [a, b, c, rest]
        };
        let all = with_all(case.most);
        let mut misses = packer.pack(items, &all, slots).misses;
        if misses > 0 {
            packer.relax(items, &all, slots);
            misses = packer.pack(items, &all, slots).misses;
        }
        let found = search(wanted.min(case.most), case.most, |instances| {
            packer.pack(items, &with_all(instances), slots).misses <= misses
        });
        self.items.truncate(due);
        match found {
            Some(found) if found > wanted => (found, Why::Ahead),
            Some(_) | None => (wanted, why),
        }
    }

    fn tell(&mut self, case: &Case<'_>, wanted: u32, why: Why, again_ms: Option<i64>) -> Decision {
        let packed = self
            .packer
            .pack(&self.items, &case.ready(wanted), case.limits.slots());
        let is_over = wanted > 0 && packed.last.is_some();
        Decision {
            wanted,
            why,
            finish_ms: is_over.then_some(packed.finish_ms),
            bound: packed.last,
            late: packed.late,
            usd: self.usd(case, &packed),
            again_ms,
        }
    }

    /// Each instance is paid for from now until it has nothing left to do and
    /// has been idle for as long as it stays.
    fn usd(&self, case: &Case<'_>, packed: &Packed) -> f64 {
        if packed.last.is_none() {
            return 0.0;
        }
        let ends = self.packer.ends().iter();
        let paid_ms: i64 = ends
            .map(|end| end.max(&case.now_ms) - case.now_ms + case.limits.idle_ms)
            .sum();
        case.limits.usd(paid_ms)
    }
}

impl Case<'_> {
    /// From when on so many instances take work: those in service first, then
    /// those that boot, then new ones.
    fn ready(&self, instances: u32) -> [Ready; 3] {
        let there = instances.min(self.fleet.in_service);
        let booting = (instances - there).min(self.fleet.booting);
        let ready = |at_ms, instances| Ready { at_ms, instances };
        [
            ready(self.now_ms, there),
            ready(self.fleet.booted_ms.max(self.now_ms), booting),
            ready(
                self.now_ms + self.limits.boot_ms,
                instances - there - booting,
            ),
        ]
    }
}

/// What cannot be over in time even if it began at once is to be over soon
/// after that; what is in hand has begun.
fn item(work: &Work, ready_ms: i64, limits: &Limits) -> Item {
    let upper_ms = work.upper_ms.max(work.expected_ms);
    let earliest_ms = work.due_ms.max(ready_ms);
    let in_time_ms = work.deadline_ms.saturating_sub(upper_ms);
    let slack_ms = in_time_ms.saturating_sub(earliest_ms);
    let reserve_ms = upper_ms.saturating_mul(limits.reserve.into());
    let (last_ms, latest_ms) = if work.in_hand {
        (i64::MAX, i64::MAX)
    } else if slack_ms < 0 {
        let caught_up_ms = earliest_ms.saturating_add(limits.catch_up_ms);
        (caught_up_ms, caught_up_ms)
    } else {
        (in_time_ms, in_time_ms - reserve_ms.min(slack_ms / 2))
    };
    Item {
        key: work.key,
        // What is in hand is in front of everything that waits.
        due_ms: if work.in_hand { i64::MIN } else { work.due_ms },
        expected_ms: work.expected_ms.max(0),
        last_ms,
        latest_ms,
        deadline_ms: work.deadline_ms,
    }
}

/// That of the queue: the scheduler sends what can wait least first.
fn order(item: &Item) -> (i64, i64, u32) {
    (item.due_ms, item.last_ms, item.key)
}

/// The smallest number from `from` to `to` that is good, where every number
/// above a good one is good. Begins at `from`, which mostly is, and takes
/// growing steps.
fn search(from: u32, to: u32, mut is_good: impl FnMut(u32) -> bool) -> Option<u32> {
    if is_good(from) {
        return Some(from);
    }
    let (mut bad, mut step) = (from, 1_u32);
    let mut good = loop {
        if bad >= to {
            return None;
        }
        let next = bad.saturating_add(step).min(to);
        if is_good(next) {
            break next;
        }
        bad = next;
        step = step.saturating_mul(2);
    };
    while good - bad > 1 {
        let between = bad + (good - bad) / 2;
        if is_good(between) {
            good = between;
        } else {
            bad = between;
        }
    }
    Some(good)
}
