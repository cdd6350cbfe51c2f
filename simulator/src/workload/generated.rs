//! Generated workloads: shops whose sizes have a heavy tail and one giant, due
//! in a nightly peak and round the day, with noise from run to run. What a run
//! takes comes from the measured rates of the facts.

use std::sync::Arc;

use super::{ImageLoad, RunLoad, Source};
use crate::facts::Facts;
use crate::random::Random;
use crate::time::{DAY, HOUR, MINUTE, Ms, ms};

/// Of all products, in the largest shop.
const GIANT_SHARE: f64 = 0.10;
/// Where the tail bends: sizes go with 1 / (rank + BEND), which gives the
/// second shop a hundredth of everything and the middle one 17,000 products.
const BEND: f64 = 10.0;
/// Of the shops that are small enough (a third of all), which have no feed and
/// are crawled: 5 % of all.
const SITE_SHARE: f64 = 0.15;
/// A site with more products than this has a feed.
const SITE_ROWS_MAX: u64 = 10_000;
/// Of all pipes, which are due in the night.
const NIGHT_SHARE: f64 = 0.8;
/// The middle of the night's due instants, and how far they spread.
const NIGHT_AT: f64 = 2.0 * 3_600.0;
const NIGHT_SPREAD_S: f64 = 2_400.0;
/// What is due in the night is done in the morning.
const MORNING: Ms = 6 * HOUR;
/// What is due else has so long.
const DEADLINE: Ms = 4 * HOUR;
/// Log-normal noise of a run's time.
const NOISE: f64 = 0.12;
/// Runs that somebody asks for on a day, unplanned.
const UNPLANNED_A_DAY: u64 = 4;
/// The same of a fleet that has nothing else to do.
const QUIET_A_DAY: u64 = 2;

/// What all pipes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Each pipe once a day, most of them in the night; a few unplanned runs.
    Daily,
    /// Two unplanned runs a day and nothing else: the queue goes cold.
    Quiet,
    /// All pipes due at one instant, to be done in an hour.
    Hour,
    /// All pipes for the first time, all images with them, in a night.
    FirstLoad,
}

#[derive(Debug, Clone)]
struct Shop {
    rows: u64,
    source: Source,
    /// Of the day.
    due: Ms,
    /// After due.
    deadline: Ms,
    work_s: f64,
    per_s: f64,
}

/// A generated workload.
#[derive(Debug, Clone)]
pub struct Generated {
    shops: Arc<[Shop]>,
    shape: Shape,
    pub(crate) days: u64,
    seed: u64,
    /// The day on which everything happens `burst` times.
    holiday: Option<u64>,
    burst: u64,
    outliers: Outliers,
    daily: DailyImages,
}

/// Of a shop's images, on a day without anything special.
#[derive(Debug, Clone, Copy)]
struct DailyImages {
    changed: f64,
    rechecked: f64,
}

/// Runs that take several times as long as they should.
#[derive(Debug, Clone, Copy, Default)]
struct Outliers {
    share: f64,
    factor: f64,
}

impl Generated {
    pub(crate) fn new(facts: &Facts, shape: Shape, pipes: u32, products: u64, seed: u64) -> Self {
        let sizes = sizes(pipes, products);
        let mut random = Random::of([seed, 0x5105, u64::from(pipes)]);
        let shops = sizes
            .into_iter()
            .map(|rows| shop(facts, shape, rows, &mut random))
            .collect();
        Self {
            shops,
            shape,
            days: 1,
            seed,
            holiday: None,
            burst: 1,
            outliers: Outliers::default(),
            daily: DailyImages {
                changed: facts.get("rate.images_changed_day"),
                rechecked: facts.get("rate.images_rechecked_day"),
            },
        }
    }

    pub(crate) fn for_days(self, days: u64) -> Self {
        Self { days, ..self }
    }

    pub(crate) fn with_holiday(self, day: Option<u64>, burst: u64) -> Self {
        Self {
            holiday: day,
            burst,
            ..self
        }
    }

    /// With runs that nothing of the past tells of.
    pub(crate) fn with_outliers(self, facts: &Facts) -> Self {
        let outliers = Outliers {
            share: facts.get("rough.outlier_share"),
            factor: facts.get("rough.outlier_factor"),
        };
        Self { outliers, ..self }
    }

    pub(crate) fn pipes(&self) -> usize {
        self.shops.len()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.shops.iter().map(|shop| shop.rows).sum()
    }

    pub(crate) fn day(&self, day: u64) -> Vec<RunLoad> {
        let mut random = Random::of([self.seed, 0xDA1, day]);
        let rounds = match self.holiday == Some(day) {
            _ if self.shape == Shape::Quiet => 0,
            true => self.burst,
            false => 1,
        };
        let mut runs = Vec::with_capacity(self.shops.len() * rounds as usize);
        for round in 0..rounds {
            for (pipe, shop) in (0..).zip(self.shops.iter()) {
                // The rounds of a holiday follow one another round the clock.
                let due = (shop.due + round * DAY / rounds) % DAY;
                runs.push(self.run(pipe, shop, day * DAY + due, true, &mut random));
            }
        }
        let unplanned = match self.shape {
            Shape::Daily => UNPLANNED_A_DAY,
            Shape::Quiet => QUIET_A_DAY,
            Shape::Hour | Shape::FirstLoad => 0,
        };
        for _ in 0..unplanned {
            let pipe = random.below(self.shops.len() as u64) as u32;
            // At any second: somebody asked.
            let due = day * DAY + random.below(DAY);
            let shop = &self.shops[pipe as usize];
            runs.push(self.run(pipe, shop, due, false, &mut random));
        }
        runs
    }

    fn run(&self, pipe: u32, shop: &Shop, due: Ms, planned: bool, random: &mut Random) -> RunLoad {
        let rows = shop.rows as f64;
        let (changed, unchanged) = match self.shape {
            Shape::FirstLoad => (rows, 0.0),
            Shape::Daily | Shape::Quiet | Shape::Hour => {
                (rows * self.daily.changed, rows * self.daily.rechecked)
            }
        };
        let deadline = match planned {
            true => due + shop.deadline,
            false => due + DEADLINE,
        };
        RunLoad {
            pipe,
            due,
            work: self.work(shop.work_s, random),
            source: shop.source,
            rows: shop.rows,
            deadline,
            planned,
            images: ImageLoad {
                changed: changed.round(),
                unchanged: unchanged.round(),
                per_s: shop.per_s,
            },
        }
    }

    fn work(&self, likely_s: f64, random: &mut Random) -> Ms {
        let work_s = random.log_normal(likely_s, NOISE);
        let Outliers { share, factor } = self.outliers;
        let is_outlier = share > 0.0 && random.unit() < share;
        ms(if is_outlier { work_s * factor } else { work_s }).max(1)
    }
}

/// Rows of each pipe, the largest first.
fn sizes(pipes: u32, products: u64) -> Vec<u64> {
    let giant = match pipes {
        1 => products,
        _ => (products as f64 * GIANT_SHARE) as u64,
    };
    let weight = |rank: u32| 1.0 / (f64::from(rank) + BEND);
    let all: f64 = (1..pipes).map(weight).sum();
    let rest = (products - giant) as f64;
    let tail = (1..pipes).map(|rank| ((rest * weight(rank) / all) as u64).max(1));
    [giant].into_iter().chain(tail).collect()
}

fn shop(facts: &Facts, shape: Shape, rows: u64, random: &mut Random) -> Shop {
    let is_site = rows <= SITE_ROWS_MAX && random.unit() < SITE_SHARE;
    let source = if is_site { Source::Site } else { Source::Feed };
    let count = rows as f64;
    // A third of the rows changes a day: nearer to a first load than to 1 %.
    let rate = facts.get("rate.rows_first");
    let work_s = facts.get("rate.job_s")
        + match source {
            Source::Site => count / facts.get("rate.site_pages_s"),
            Source::Feed => {
                let bytes = count * facts.get("rate.feed_bytes_row");
                count / rate + bytes / facts.get("rate.partner_bytes_s")
            }
        };
    let (due, deadline) = match shape {
        Shape::Daily | Shape::Quiet => daily(random),
        Shape::Hour => (2 * HOUR, HOUR + 5 * MINUTE),
        Shape::FirstLoad => (0, 8 * HOUR),
    };
    Shop {
        rows,
        source,
        due,
        deadline,
        work_s,
        per_s: facts
            .get("rate.host_images_s")
            .max(count / facts.get("rate.host_all_images_s")),
    }
}

/// When a pipe is due, as people write cron lines: on five minutes in the
/// night, on the half hour else.
fn daily(random: &mut Random) -> (Ms, Ms) {
    if random.unit() < NIGHT_SHARE {
        let at = (NIGHT_AT + NIGHT_SPREAD_S * random.normal()).clamp(300.0, 4.0 * 3_600.0);
        let due = ms(at) / (5 * MINUTE) * (5 * MINUTE);
        (due, MORNING.max(due + HOUR) - due)
    } else {
        (random.below(48) * 30 * MINUTE, DEADLINE)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn generated(shape: Shape) -> Generated {
        Generated::new(&Facts::default(), shape, 5_000, 300_000_000, 7)
    }

    #[test]
    fn sizes_have_a_heavy_tail_and_one_giant() {
        let sizes = sizes(5_000, 300_000_000);
        let all: u64 = sizes.iter().sum();
        assert!((299_000_000..=300_000_000).contains(&all), "{all}");
        assert_eq!(sizes[0], 30_000_000);
        assert!(sizes[1] < 5_000_000 && sizes[1] > 3_000_000, "{}", sizes[1]);
        assert!((10_000..25_000).contains(&sizes[2_500]), "{}", sizes[2_500]);
        let largest: u64 = sizes[..500].iter().sum();
        assert!(largest > all / 2, "a tenth has most: {largest}");
        assert_eq!(super::sizes(1, 10), [10]);
    }

    #[test]
    fn a_day_is_the_same_for_everybody_who_asks() {
        let workload = generated(Shape::Daily).for_days(3);
        assert_eq!(workload.day(1), workload.day(1));
        assert_ne!(workload.day(1), workload.day(2));
        let runs = workload.day(1);
        assert_eq!(runs.len() as u64, 5_000 + UNPLANNED_A_DAY);
        assert!(runs.iter().all(|run| (DAY..2 * DAY).contains(&run.due)));
        assert!(runs.iter().all(|run| run.deadline > run.due));
        let night = runs.iter().filter(|run| run.due < DAY + 4 * HOUR).count();
        assert!(night > 4_000, "{night}");
    }

    #[test]
    fn a_holiday_is_ten_days_in_one() {
        let workload = generated(Shape::Daily)
            .for_days(3)
            .with_holiday(Some(1), 10);
        let images = |day| {
            let runs = workload.day(day);
            runs.iter().map(|run| run.images.count()).sum::<f64>()
        };
        let ratio = images(1) / images(0);
        assert!((9.5..10.5).contains(&ratio), "{ratio}");
    }

    #[test]
    fn of_rough_days_one_run_in_fifty_takes_four_times_as_long() {
        let facts = Facts::default();
        let rough = generated(Shape::Daily).with_outliers(&facts);
        let ratio = |run: &RunLoad| {
            let likely_s = rough.shops[run.pipe as usize].work_s;
            crate::time::seconds(run.work) / likely_s
        };
        let ratios: Vec<f64> = (0..10)
            .flat_map(|day| rough.day(day))
            .map(|run| ratio(&run))
            .collect();
        let long = ratios.iter().filter(|ratio| **ratio > 2.0).count();
        // Of 50,040.
        assert!((900..1_100).contains(&long), "{long}");
        let sum: f64 = ratios.iter().filter(|ratio| **ratio > 2.0).sum();
        assert!((3.8..4.2).contains(&(sum / long as f64)), "{sum}");
    }

    #[test]
    fn a_first_load_fetches_every_image() {
        let workload = generated(Shape::FirstLoad);
        let changed: f64 = workload.day(0).iter().map(|run| run.images.changed).sum();
        assert_eq!(changed as u64, workload.rows());
    }
}
