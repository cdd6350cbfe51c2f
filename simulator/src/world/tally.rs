//! What is counted while the world goes on.

use crate::time::{MINUTE, Ms, seconds};

/// A stretch of work from the first message to the last job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wave {
    from: Ms,
    planned: bool,
    /// Nobody was there.
    from_zero: bool,
    first_busy: Option<Ms>,
    work: Ms,
    /// The latest that a run of it would end if all had a slot at once.
    longest: Ms,
    slots: u32,
}

impl Wave {
    pub(crate) fn begin(from: Ms, planned: bool, from_zero: bool) -> Self {
        Self {
            from,
            planned,
            from_zero,
            first_busy: None,
            work: 0,
            longest: from,
            slots: 0,
        }
    }

    pub(crate) fn sent(&mut self, now: Ms, work: Ms) {
        self.work += work;
        self.longest = self.longest.max(now + work);
    }

    pub(crate) fn saw_slots(&mut self, slots: u32) {
        self.slots = self.slots.max(slots);
    }

    /// No fleet of so many slots is over sooner: max(longest pipe, total /
    /// slots), the pipes from their own due instants on.
    fn bound(&self) -> Ms {
        let shared = self.work / Ms::from(self.slots.max(1));
        (self.longest - self.from).max(shared)
    }
}

/// The makespan of one wave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Makespan {
    pub(crate) took: Ms,
    pub(crate) bound: Ms,
}

/// Everything that is counted of crawl jobs and image work.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) runs_done: u64,
    pub(crate) rows: u64,
    pub(crate) image_jobs: f64,
    pub(crate) images_changed: f64,
    pub(crate) images: f64,
    /// Slot time of deliveries, redone work included.
    pub(crate) slot_ms: Ms,
    pub(crate) slots_there_ms: Ms,
    pub(crate) lost_ms: Ms,
    pub(crate) redone: u64,
    pub(crate) renewals: u64,
    pub(crate) late: u64,
    /// Of these, no fleet could have met it.
    pub(crate) late_anyway: u64,
    pub(crate) images_late: u64,
    pub(crate) images_late_anyway: u64,
    pub(crate) image_tail: Ms,
    /// Milliseconds to the first busy worker.
    pub(crate) first_from_zero: Vec<u32>,
    pub(crate) first_planned: Vec<u32>,
    pub(crate) waits: Waits,
    pub(crate) makespans: Vec<Makespan>,
    pub(crate) events: u64,
    wave: Option<Wave>,
}

impl Tally {
    /// A message is in the queue.
    pub(crate) fn sent(&mut self, now: Ms, work: Ms, planned: bool, slots: u32) {
        let wave = self
            .wave
            .get_or_insert_with(|| Wave::begin(now, planned, slots == 0));
        wave.sent(now, work);
        wave.saw_slots(slots);
    }

    pub(crate) fn is_first(&self) -> bool {
        self.wave.is_some_and(|wave| wave.first_busy.is_none())
    }

    /// A worker has a job, `receive` after it could.
    pub(crate) fn started(&mut self, now: Ms, receive: Ms) {
        let Some(wave) = &mut self.wave else { return };
        if wave.first_busy.is_some() {
            return;
        }
        wave.first_busy = Some(now);
        let took = u32::try_from(now - wave.from + receive).unwrap_or(u32::MAX);
        match (wave.planned, wave.from_zero) {
            (true, _) => self.first_planned.push(took),
            (false, true) => self.first_from_zero.push(took),
            // Somebody was there by chance, which says nothing.
            (false, false) => {}
        }
    }

    pub(crate) fn saw_slots(&mut self, slots: u32) {
        if let Some(wave) = &mut self.wave {
            wave.saw_slots(slots);
        }
    }

    /// Nothing waits and nothing is in hand.
    pub(crate) fn quiet(&mut self, now: Ms) {
        /// Shorter waves say nothing of a fleet.
        const LEAST: Ms = 10 * MINUTE;
        let Some(wave) = self.wave.take() else { return };
        let took = now - wave.from;
        if took >= LEAST {
            let bound = wave.bound().max(1);
            self.makespans.push(Makespan { took, bound });
        }
    }
}

/// How long messages waited, in classes: a study has millions.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    classes: [u64; CLASSES.len() + 1],
}

/// Upper ends, in milliseconds.
const CLASSES: [Ms; 12] = [
    1_000, 5_000, 15_000, 30_000, 60_000, 120_000, 300_000, 900_000, 3_600_000, 7_200_000,
    14_400_000, 86_400_000,
];

impl Waits {
    pub(crate) fn add(&mut self, wait: Ms) {
        let class = CLASSES.iter().position(|end| wait <= *end);
        self.classes[class.unwrap_or(CLASSES.len())] += 1;
    }

    /// The upper end of the class in which a share of the waits lies, in
    /// seconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let all: u64 = self.classes.iter().sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (count, end) in self.classes.iter().zip(CLASSES) {
            seen += count;
            if seen >= wanted {
                return seconds(end);
            }
        }
        f64::INFINITY
    }
}

/// The value below which a share of the sorted values lies, by nearest rank.
pub(crate) fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_bound_is_the_longest_pipe_or_the_sum_by_the_slots() {
        let mut wave = Wave::begin(0, true, true);
        wave.sent(0, 100 * MINUTE);
        wave.sent(0, 40 * MINUTE);
        wave.sent(0, 40 * MINUTE);
        wave.saw_slots(2);
        // 180 min / 2 = 90 min, and one pipe takes 100.
        assert_eq!(wave.bound(), 100 * MINUTE);
        wave.sent(10 * MINUTE, 120 * MINUTE);
        // 300 / 2 = 150; the last is due at 10 and done at 130.
        assert_eq!(wave.bound(), 150 * MINUTE);
        wave.saw_slots(4);
        assert_eq!(wave.bound(), 130 * MINUTE);
    }

    /// The first busy worker of one wave: from zero, and planned.
    fn first_busy(planned: bool, slots: u32) -> (Vec<u32>, Vec<u32>) {
        let mut tally = Tally::default();
        tally.sent(MINUTE, MINUTE, planned, slots);
        assert!(tally.is_first());
        tally.started(MINUTE + 31_000, 30);
        assert!(!tally.is_first());
        // The next jobs of a wave are not its first.
        tally.sent(2 * MINUTE, MINUTE, planned, slots);
        tally.started(3 * MINUTE, 30);
        (tally.first_from_zero, tally.first_planned)
    }

    #[test]
    fn the_first_busy_worker_is_counted_from_the_first_message() {
        let check = |planned, slots, from_zero: &[u32], expected: &[u32]| {
            let found = first_busy(planned, slots);
            assert_eq!(found, (from_zero.to_vec(), expected.to_vec()), "{slots}");
        };
        // 31 s until somebody was there, and 30 ms to receive.
        check(false, 0, &[31_030], &[]);
        check(true, 0, &[], &[31_030]);
        check(true, 2, &[], &[31_030]);
        // Somebody was there by chance.
        check(false, 2, &[], &[]);
    }

    #[test]
    fn every_wave_has_a_first_busy_worker_and_long_ones_a_makespan() {
        let mut tally = Tally::default();
        tally.started(0, 30);
        assert!(tally.first_planned.is_empty(), "nothing was sent");
        // 9 min 59 s say nothing; 20 min do, of which 12 had to be.
        for (from, took, work) in [(0, 599_000, MINUTE), (3_600_000, 20 * MINUTE, 12 * MINUTE)] {
            tally.sent(from, work, true, 0);
            tally.started(from, 30);
            tally.saw_slots(4);
            tally.quiet(from + took);
        }
        assert_eq!(tally.first_planned, [30, 30]);
        let (took, bound) = (20 * MINUTE, 12 * MINUTE);
        assert_eq!(tally.makespans, [Makespan { took, bound }]);
        assert!(!tally.is_first(), "nothing is open");
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        assert_eq!(quantile(&[1, 2, 3, 4], 0.5), Some(2));
        assert_eq!(quantile(&[1, 2, 3, 4, 5], 0.95), Some(5));
        assert_eq!(quantile::<u32>(&[], 0.5), None);
        let mut waits = Waits::default();
        for wait in [10, 20, 30_000, 50_000_000] {
            waits.add(wait);
        }
        assert_eq!(waits.quantile(0.5), 1.0);
        assert_eq!(waits.quantile(0.75), 30.0);
        assert_eq!(waits.quantile(1.0), 86_400.0);
    }
}
