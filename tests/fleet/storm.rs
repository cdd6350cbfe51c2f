//! Faults at random moments, on processes and on their way to the cloud.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use crate::cloud::Site;
use crate::crew::{End, Member, Role};

/// Invariant 9: gone this long after the word.
const LEAVE_MAX: Duration = Duration::from_secs(25);

/// Between two rounds of faults, in milliseconds.
const ROUND_MS: std::ops::Range<u64> = 250..1_000;

/// Killed in one round, at most.
const KILLED_AT_ONCE_MAX: usize = 3;

/// Standing still at once, at most: somebody has to take over.
const FROZEN_MAX: usize = 2;

/// A notice of nothing: the kill follows within this, in milliseconds.
const NO_NOTICE_MS: std::ops::Range<u64> = 0..300;

/// How long the cloud is away in a storm, in milliseconds. Minutes are for
/// `outage`.
const AWAY_MS: std::ops::Range<u64> = 1_000..4_000;

/// One that ends by itself is started again after this, as a supervisor does.
const RESTART_WAIT: Duration = Duration::from_millis(250);

/// What strikes in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stroke {
    Kills,
    NoticeOfNothing,
    Sigterm,
    SpotNotice,
    Freeze,
    Cut,
    Silence,
}

/// How often each strikes before all are dealt anew: drawn one by one, a kind
/// could stay away from a whole storm.
const DECK: [(Stroke, usize); 7] = [
    (Stroke::Kills, 11),
    (Stroke::NoticeOfNothing, 2),
    (Stroke::Sigterm, 2),
    (Stroke::SpotNotice, 2),
    (Stroke::Freeze, 2),
    (Stroke::Cut, 1),
    (Stroke::Silence, 1),
];

/// What was done to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faced {
    /// Processes that a kill has ended.
    pub(crate) kills: BTreeMap<Role, u32>,
    pub(crate) sigterms: u32,
    pub(crate) spot_notices: u32,
    pub(crate) notices_of_nothing: u32,
    pub(crate) freezes: BTreeMap<Role, u32>,
    pub(crate) cuts: u32,
    pub(crate) silences: u32,
    pub(crate) starts: u32,
    /// Told by SIGTERM before they listened for it.
    pub(crate) unready: u32,
    /// Of those that were told and had the time.
    pub(crate) left: u32,
    /// Of these, by a notice of the platform.
    pub(crate) left_by_notice: u32,
    pub(crate) slowest_to_leave: Duration,
    /// Ended unasked, with a code.
    pub(crate) gave_up: BTreeMap<(Role, i32), u32>,
}

impl Faced {
    pub(crate) fn kills(&self) -> u32 {
        self.kills.values().sum()
    }
}

/// A crew in a storm.
pub(crate) struct Storm<'a> {
    pub(crate) site: &'a Site,
    crew: Vec<Hand>,
    rng: SmallRng,
    /// The last strikes next.
    deck: Vec<Stroke>,
    /// Longer than any lease lives without renewal.
    frozen_ms: std::ops::Range<u64>,
    /// Until when the cloud is away.
    away: Option<Instant>,
    pub(crate) faced: Faced,
}

/// A member of the crew and what awaits it.
struct Hand {
    member: Member,
    kill_at: Option<Instant>,
    /// It stands still until then.
    thaw_at: Option<Instant>,
    /// Down, and to be started again then.
    start_at: Option<Instant>,
}

impl<'a> Storm<'a> {
    /// Starts everybody; `visibility` is that of the leases.
    pub(crate) async fn over(
        site: &'a Site,
        roles: &[(Role, usize)],
        visibility: Duration,
        rng: SmallRng,
    ) -> Self {
        let mut crew = Vec::new();
        for (role, count) in roles {
            for number in 1..=*count {
                crew.push(Hand {
                    member: Member::start(site, *role, &format!("{role}-{number}")).await,
                    kill_at: None,
                    thaw_at: None,
                    start_at: None,
                });
            }
        }
        let lease_ms = u64::try_from(visibility.as_millis()).expect("seconds");
        Self {
            site,
            faced: Faced {
                starts: u32::try_from(crew.len()).expect("a few"),
                ..Faced::default()
            },
            crew,
            rng,
            deck: Vec::new(),
            frozen_ms: lease_ms + 1_000..lease_ms + 4_000,
            away: None,
        }
    }

    /// Waits a moment, looks after the crew, and strikes.
    pub(crate) async fn round(&mut self) {
        let wait = Duration::from_millis(self.rng.random_range(ROUND_MS));
        let until = Instant::now() + wait;
        while Instant::now() < until {
            self.tend().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let stroke = self.deal();
        if !self.strike(stroke) {
            // Nobody was there to be struck: later.
            self.deck.insert(0, stroke);
        }
    }

    fn deal(&mut self) -> Stroke {
        if self.deck.is_empty() {
            let kinds = DECK.iter();
            self.deck = kinds
                .flat_map(|(stroke, count)| std::iter::repeat_n(*stroke, *count))
                .collect();
            self.deck.shuffle(&mut self.rng);
        }
        self.deck.pop().expect("it was dealt anew")
    }

    /// False when there was nobody to strike.
    fn strike(&mut self, stroke: Stroke) -> bool {
        match stroke {
            Stroke::Kills => self.kill_some(),
            Stroke::NoticeOfNothing => self.give_no_notice(),
            Stroke::Sigterm => self.tell(Member::terminate, |faced| faced.sigterms += 1),
            Stroke::SpotNotice => {
                self.tell(Member::interrupt_spot, |faced| faced.spot_notices += 1)
            }
            Stroke::Freeze => self.freeze_one(),
            Stroke::Cut => self.leave_the_cloud(),
            Stroke::Silence => self.silence_the_cloud(),
        }
    }

    /// The storm is over: the cloud is back, everybody is awake, and those that
    /// leave have left and come again.
    pub(crate) async fn end(&mut self) {
        self.away = None;
        self.site.proxy.mend();
        for hand in &mut self.crew {
            if hand.thaw_at.take().is_some() {
                hand.member.thaw();
            }
        }
        loop {
            self.tend().await;
            let is_calm = |hand: &Hand| {
                hand.member.is_up() && hand.kill_at.is_none() && hand.start_at.is_none()
            };
            if self.crew.iter().all(is_calm) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Does what is due, and starts again who has ended.
    pub(crate) async fn tend(&mut self) {
        let now = Instant::now();
        if self.away.is_some_and(|until| until <= now) {
            self.away = None;
            self.site.proxy.mend();
        }
        for hand in &mut self.crew {
            if let Some(start_at) = hand.start_at {
                if start_at <= now {
                    hand.member.restart(self.site).await;
                    self.faced.starts += 1;
                    hand.start_at = None;
                }
                continue;
            }
            if hand.kill_at.is_some_and(|at| at <= now) {
                hand.member.kill();
                hand.kill_at = None;
            }
            if hand.thaw_at.is_some_and(|at| at <= now) {
                hand.member.thaw();
                hand.thaw_at = None;
            }
            hand.look(&mut self.faced, now);
        }
    }

    fn kill_some(&mut self) -> bool {
        let count = self.rng.random_range(1..=KILLED_AT_ONCE_MAX);
        let chosen = self.choose(count, |_| true);
        for at in &chosen {
            self.crew[*at].kill_at = Some(Instant::now());
        }
        !chosen.is_empty()
    }

    fn give_no_notice(&mut self) -> bool {
        let Some(at) = self.choose_one(|_| true) else {
            return false;
        };
        let within = Duration::from_millis(self.rng.random_range(NO_NOTICE_MS));
        let hand = &mut self.crew[at];
        hand.member.interrupt_spot();
        hand.kill_at = Some(Instant::now() + within);
        self.faced.notices_of_nothing += 1;
        true
    }

    fn tell(&mut self, word: fn(&mut Member), count: fn(&mut Faced)) -> bool {
        let Some(at) = self.choose_one(|_| true) else {
            return false;
        };
        word(&mut self.crew[at].member);
        count(&mut self.faced);
        true
    }

    fn freeze_one(&mut self) -> bool {
        let frozen = self.crew.iter().filter(|hand| hand.member.frozen);
        if frozen.count() >= FROZEN_MAX {
            return false;
        }
        let Some(at) = self.choose_one(|role| role != Role::Schedule) else {
            return false;
        };
        let span = Duration::from_millis(self.rng.random_range(self.frozen_ms.clone()));
        let hand = &mut self.crew[at];
        hand.member.freeze();
        hand.thaw_at = Some(Instant::now() + span);
        *self.faced.freezes.entry(hand.member.role).or_default() += 1;
        true
    }

    fn leave_the_cloud(&mut self) -> bool {
        self.site.proxy.cut();
        self.faced.cuts += 1;
        self.stay_away()
    }

    fn silence_the_cloud(&mut self) -> bool {
        self.site.proxy.hush();
        self.faced.silences += 1;
        self.stay_away()
    }

    fn stay_away(&mut self) -> bool {
        let span = Duration::from_millis(self.rng.random_range(AWAY_MS));
        self.away = Some(Instant::now() + span);
        true
    }

    fn choose_one(&mut self, fits: impl Fn(Role) -> bool) -> Option<usize> {
        self.choose(1, fits).pop()
    }

    /// Some of those that work, at random.
    fn choose(&mut self, count: usize, fits: impl Fn(Role) -> bool) -> Vec<usize> {
        let is_free =
            |hand: &Hand| hand.member.is_up() && hand.kill_at.is_none() && hand.start_at.is_none();
        let mut free: Vec<usize> = (0..self.crew.len())
            .filter(|at| is_free(&self.crew[*at]) && fits(self.crew[*at].member.role))
            .collect();
        free.shuffle(&mut self.rng);
        free.truncate(count);
        free
    }
}

impl Hand {
    /// Notes how it ended, and that somebody in its place is due.
    fn look(&mut self, faced: &mut Faced, now: Instant) {
        let role = self.member.role;
        let told = self.member.told.map(|since| since.elapsed());
        let Some(end) = self.member.ended() else {
            let late = told.filter(|told| *told > LEAVE_MAX);
            assert!(late.is_none(), "{role} was told to leave {late:?} ago");
            return;
        };
        (self.kill_at, self.thaw_at) = (None, None);
        self.start_at = Some(now);
        match (end, told) {
            (End::Killed, _) => *faced.kills.entry(role).or_default() += 1,
            (End::Unready, _) => faced.unready += 1,
            (End::Left(0), Some(told)) => {
                faced.left += 1;
                faced.left_by_notice += u32::from(self.member.is_noticed);
                faced.slowest_to_leave = faced.slowest_to_leave.max(told);
            }
            (End::Left(code), _) => {
                *faced.gave_up.entry((role, code)).or_default() += 1;
                self.start_at = Some(now + RESTART_WAIT);
            }
        }
    }
}
