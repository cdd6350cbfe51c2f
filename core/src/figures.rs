//! What observations add up to, and the one table of their names.
//!
//! Pure accumulation: adapters guard it with a lock of their own, send it
//! (CloudWatch) or show it (the metrics page). Bounded: a series is a figure, a
//! queue and a verdict of fixed vocabularies, never a pipe.

use std::collections::BTreeMap;

use crate::QueueName;
use crate::ports::{Metric, Notice};

/// What a figure measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    JobsSettled,
    LeasesRenewed,
    LeasesLost,
    Drains,
    SignalNotices,
    SpotInterruptions,
    RebalanceNotices,
    ScaleInNotices,
    RunSeconds,
    Commits,
    ProductsRead,
    ProductsChanged,
    RowsRewritten,
    FeedBytesDown,
    SitePages,
    SiteBytesDown,
    ImageRequestsConditional,
    ImageRequestsPlain,
    ImageBytesDown,
    ImagesStored,
    ImageBytesUp,
    QueueDepth,
    OldestAgeSeconds,
    BacklogPerInstance,
    RunnablePipes,
    CapacityPlanned,
    PipesOverdue,
    DeadLetters,
    FiguresLost,
}

/// How observations of a figure add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sum counts.
    Counter,
    /// The latest counts.
    Gauge,
    /// Count, sum, extremes and the spread count.
    Distribution,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
    Seconds,
}

/// What tells the series of one figure apart, besides the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// There is one series.
    Environment,
    Queue,
    QueueAndVerdict,
}

/// One line of the table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    pub figure: Figure,
    pub cloudwatch: &'static str,
    pub prometheus: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub by: By,
    pub help: &'static str,
}

/// Shortens a line of the table.
macro_rules! about {
    ($figure:ident $prometheus:literal $kind:ident $unit:ident $by:ident $help:literal) => {
        About {
            figure: Figure::$figure,
            cloudwatch: stringify!($figure),
            prometheus: $prometheus,
            kind: Kind::$kind,
            unit: Unit::$unit,
            by: By::$by,
            help: $help,
        }
    };
}

/// Every figure: its name in CloudWatch, its name on the metrics page, how it
/// adds up, its unit, what its series are told apart by, what it means.
#[rustfmt::skip]
pub const FIGURES: [About; 29] = [
    about!(JobsSettled              "trawler_jobs_settled_total"               Counter      Count   QueueAndVerdict "Deliveries that ended with a verdict."),
    about!(LeasesRenewed            "trawler_leases_renewed_total"             Counter      Count   Queue           "Leases that were renewed."),
    about!(LeasesLost               "trawler_leases_lost_total"                Counter      Count   Queue           "Leases that ended while their job was worked on."),
    about!(Drains                   "trawler_drains_total"                     Counter      Count   Queue           "Workers that handed back what they held and left."),
    about!(SignalNotices            "trawler_signal_notices_total"             Counter      Count   Environment     "Processes told to leave by SIGTERM or SIGINT."),
    about!(SpotInterruptions        "trawler_spot_interruptions_total"         Counter      Count   Environment     "Processes told to leave because their spot instance is taken back."),
    about!(RebalanceNotices         "trawler_rebalance_notices_total"          Counter      Count   Environment     "Processes told to leave because their spot instance is likely to be taken back."),
    about!(ScaleInNotices           "trawler_scale_in_notices_total"           Counter      Count   Environment     "Processes told to leave because their group shrinks."),
    about!(RunSeconds               "trawler_run_duration_seconds"             Distribution Seconds Environment     "Duration of finished runs, from their first delivery."),
    about!(Commits                  "trawler_commits_total"                    Counter      Count   Environment     "Commits that landed in the catalogue."),
    about!(ProductsRead             "trawler_products_read_total"              Counter      Count   Environment     "Rows read from feeds and pages."),
    about!(ProductsChanged          "trawler_products_changed_total"           Counter      Count   Environment     "Products inserted, updated or deleted."),
    about!(RowsRewritten            "trawler_rows_rewritten_total"             Counter      Count   Environment     "Rows written into data files to bring changes in."),
    about!(FeedBytesDown            "trawler_feed_bytes_down_total"            Counter      Bytes   Environment     "Bytes of feeds downloaded."),
    about!(SitePages                "trawler_site_pages_total"                 Counter      Count   Environment     "Pages of sites that were asked for."),
    about!(SiteBytesDown            "trawler_site_bytes_down_total"            Counter      Bytes   Environment     "Bytes of sites downloaded."),
    about!(ImageRequestsConditional "trawler_image_requests_conditional_total" Counter      Count   Environment     "Images asked for with validators."),
    about!(ImageRequestsPlain       "trawler_image_requests_plain_total"       Counter      Count   Environment     "Images asked for without validators."),
    about!(ImageBytesDown           "trawler_image_bytes_down_total"           Counter      Bytes   Environment     "Bytes of images downloaded."),
    about!(ImagesStored             "trawler_images_stored_total"              Counter      Count   Environment     "Variants of images stored."),
    about!(ImageBytesUp             "trawler_image_bytes_up_total"             Counter      Bytes   Environment     "Bytes of images stored."),
    about!(QueueDepth               "trawler_queue_depth_jobs"                 Gauge        Count   Queue           "Open jobs of the ledger: in the queue, in hand, or about to be sent."),
    about!(OldestAgeSeconds         "trawler_oldest_age_seconds"               Gauge        Seconds Queue           "Age of the open job that has waited longest since its latest send."),
    about!(BacklogPerInstance       "trawler_backlog_per_instance_jobs"        Gauge        Count   Queue           "Open jobs for each worker in service, at least one worker assumed."),
    about!(RunnablePipes            "trawler_runnable_pipes"                   Gauge        Count   Environment     "Pipes with an open job, and none in hand."),
    about!(CapacityPlanned          "trawler_capacity_planned"                 Gauge        Count   Environment     "1 while the scheduler sets capacity by its plan, 0 while the alarms have to."),
    about!(PipesOverdue             "trawler_pipes_overdue"                    Gauge        Count   Environment     "Pipes whose last complete run is older than their max_age."),
    about!(DeadLetters              "trawler_dead_letters"                     Gauge        Count   Queue           "Dead jobs that wait for a person."),
    about!(FiguresLost              "trawler_figures_lost_total"               Counter      Count   Environment     "Figures that could not be delivered and were dropped."),
];

/// The verdicts that settled jobs are counted by; any other word counts as
/// [`OTHER_VERDICT`], so that accumulation stays bounded.
pub const VERDICTS: [&str; 6] = ["done", "superseded", "hand_back", "retry", "park", "bury"];

pub const OTHER_VERDICT: &str = "other";

/// Upper bounds of the buckets of a distribution, in its unit: from a summary
/// feed of seconds to a site crawl of half a day.
pub const BUCKETS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 21_600.0, 43_200.0,
];

/// One line of observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    pub figure: Figure,
    pub queue: Option<QueueName>,
    pub verdict: Option<&'static str>,
}

/// What the observations of one series add up to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Count(u64),
    Level(f64),
    Spread(Spread),
}

/// A distribution; of no observation it does not exist.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    /// Observations within each of [`BUCKETS`] and above the one before; what
    /// is above the last is in `count` alone.
    pub buckets: [u64; BUCKETS.len()],
}

/// Everything recorded since it was made or last taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    series: BTreeMap<Series, Value>,
}

impl Figure {
    pub fn about(self) -> &'static About {
        FIGURES
            .iter()
            .find(|about| about.figure == self)
            .expect("the table has every figure; a test holds it to that")
    }
}

impl Series {
    pub fn of(figure: Figure) -> Self {
        Self {
            figure,
            queue: None,
            verdict: None,
        }
    }

    pub fn of_queue(figure: Figure, queue: QueueName) -> Self {
        Self {
            queue: Some(queue),
            ..Self::of(figure)
        }
    }

    /// Every series there can be, in order.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for about in &FIGURES {
            match about.by {
                By::Environment => all.push(Self::of(about.figure)),
                By::Queue => all.extend(QueueName::ALL.map(|q| Self::of_queue(about.figure, q))),
                By::QueueAndVerdict => {
                    for queue in QueueName::ALL {
                        all.extend(
                            VERDICTS
                                .into_iter()
                                .chain([OTHER_VERDICT])
                                .map(|word| Self {
                                    verdict: Some(word),
                                    ..Self::of_queue(about.figure, queue)
                                }),
                        );
                    }
                }
            }
        }
        all
    }
}

impl Figures {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn record(&mut self, metric: Metric) {
        use Figure as F;
        match metric {
            Metric::JobSettled { queue, verdict } => {
                let known = VERDICTS.into_iter().find(|known| *known == verdict);
                let series = Series {
                    verdict: Some(known.unwrap_or(OTHER_VERDICT)),
                    ..Series::of_queue(F::JobsSettled, queue)
                };
                self.add(series, 1);
            }
            Metric::LeaseRenewed { queue } => self.add_of(F::LeasesRenewed, queue),
            Metric::LeaseLost { queue } => self.add_of(F::LeasesLost, queue),
            Metric::Drained { queue } => self.add_of(F::Drains, queue),
            Metric::NoticeHeard { notice } => {
                let figure = match notice {
                    Notice::Signal => F::SignalNotices,
                    Notice::SpotInterruption => F::SpotInterruptions,
                    Notice::Rebalance => F::RebalanceNotices,
                    Notice::ScaleIn => F::ScaleInNotices,
                };
                self.add(Series::of(figure), 1);
            }
            Metric::RunFinished { seconds } => self.spread(Series::of(F::RunSeconds), seconds),
            Metric::CommitLanded => self.add(Series::of(F::Commits), 1),
            Metric::ProductsRead { rows } => self.add(Series::of(F::ProductsRead), rows),
            Metric::ProductsChanged { rows } => self.add(Series::of(F::ProductsChanged), rows),
            Metric::RowsRewritten { rows } => self.add(Series::of(F::RowsRewritten), rows),
            Metric::FeedBytesDown { bytes } => self.add(Series::of(F::FeedBytesDown), bytes),
            Metric::SitePages { pages } => self.add(Series::of(F::SitePages), pages),
            Metric::SiteBytesDown { bytes } => self.add(Series::of(F::SiteBytesDown), bytes),
            Metric::ImageRequests { conditional, count } => {
                let figure = if conditional {
                    F::ImageRequestsConditional
                } else {
                    F::ImageRequestsPlain
                };
                self.add(Series::of(figure), count);
            }
            Metric::ImageBytesDown { bytes } => self.add(Series::of(F::ImageBytesDown), bytes),
            Metric::ImagesStored { count } => self.add(Series::of(F::ImagesStored), count),
            Metric::ImageBytesUp { bytes } => self.add(Series::of(F::ImageBytesUp), bytes),
            Metric::QueueDepth { queue, jobs } => {
                self.set(Series::of_queue(F::QueueDepth, queue), as_level(jobs));
            }
            Metric::OldestAge { queue, seconds } => {
                self.set(Series::of_queue(F::OldestAgeSeconds, queue), seconds);
            }
            Metric::BacklogPerInstance { queue, jobs } => {
                self.set(Series::of_queue(F::BacklogPerInstance, queue), jobs);
            }
            Metric::RunnablePipes { pipes } => {
                self.set(Series::of(F::RunnablePipes), as_level(pipes));
            }
            Metric::CapacityPlanned { planned } => {
                let level = if planned { 1.0 } else { 0.0 };
                self.set(Series::of(F::CapacityPlanned), level);
            }
            Metric::PipesOverdue { pipes } => {
                self.set(Series::of(F::PipesOverdue), as_level(pipes));
            }
            Metric::DeadLetters { queue, letters } => {
                self.set(Series::of_queue(F::DeadLetters, queue), as_level(letters));
            }
            Metric::FiguresLost { count } => self.add(Series::of(F::FiguresLost), count),
        }
    }

    pub fn get(&self, series: Series) -> Option<Value> {
        self.series.get(&series).copied()
    }

    /// The sum of a counter, 0 when nothing was recorded.
    pub fn count(&self, series: Series) -> u64 {
        match self.get(series) {
            Some(Value::Count(count)) => count,
            Some(Value::Level(_) | Value::Spread(_)) | None => 0,
        }
    }

    /// What was recorded, in order of series.
    pub fn iter(&self) -> impl Iterator<Item = (Series, Value)> + '_ {
        self.series.iter().map(|(series, value)| (*series, *value))
    }

    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Gives what was recorded and begins anew.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    fn add_of(&mut self, figure: Figure, queue: QueueName) {
        self.add(Series::of_queue(figure, queue), 1);
    }

    fn add(&mut self, series: Series, count: u64) {
        if let Value::Count(sum) = self.series.entry(series).or_insert(Value::Count(0)) {
            *sum = sum.saturating_add(count);
        }
    }

    fn set(&mut self, series: Series, level: f64) {
        self.series.insert(series, Value::Level(sane(level)));
    }

    fn spread(&mut self, series: Series, observed: f64) {
        let observed = sane(observed);
        let empty = Value::Spread(Spread {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            buckets: [0; BUCKETS.len()],
        });
        if let Value::Spread(spread) = self.series.entry(series).or_insert(empty) {
            spread.count += 1;
            spread.sum += observed;
            spread.min = spread.min.min(observed);
            spread.max = spread.max.max(observed);
            if let Some(at) = BUCKETS.iter().position(|bound| observed <= *bound) {
                spread.buckets[at] += 1;
            }
        }
    }
}

/// No figure of ours is negative, and readers take no infinity: what is absurd
/// counts as nothing rather than spoil a sum for ever.
fn sane(observed: f64) -> f64 {
    if observed.is_finite() {
        observed.max(0.0)
    } else {
        0.0
    }
}

/// Exact up to 2^53, far above any count of jobs.
fn as_level(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::time::Duration;

    use chrono::{DateTime, Utc};

    use super::*;
    use crate::verdict::Verdict;

    /// Custom metrics are billed each, see `adapters/aws/src/metrics`.
    const SERIES_MAX: usize = 49;

    #[test]
    fn the_table_names_every_figure_once() {
        let figures: BTreeSet<_> = FIGURES.iter().map(|about| about.figure).collect();
        let cloudwatch: BTreeSet<_> = FIGURES.iter().map(|about| about.cloudwatch).collect();
        let prometheus: BTreeSet<_> = FIGURES.iter().map(|about| about.prometheus).collect();
        assert_eq!(figures.len(), FIGURES.len());
        assert_eq!(cloudwatch.len(), FIGURES.len());
        assert_eq!(prometheus.len(), FIGURES.len());
        for about in &FIGURES {
            assert_eq!(about.figure.about(), about);
            let total = about.prometheus.ends_with("_total");
            assert_eq!(total, about.kind == Kind::Counter, "{}", about.prometheus);
            assert!(about.help.ends_with('.'), "{}", about.help);
        }
        assert!(Series::all().len() <= SERIES_MAX, "{}", Series::all().len());
    }

    #[test]
    fn every_observation_has_a_line_of_the_table() {
        let queue = QueueName::Crawl;
        let observations = [
            Metric::JobSettled {
                queue,
                verdict: "done",
            },
            Metric::LeaseRenewed { queue },
            Metric::LeaseLost { queue },
            Metric::Drained { queue },
            Metric::NoticeHeard {
                notice: Notice::Signal,
            },
            Metric::NoticeHeard {
                notice: Notice::SpotInterruption,
            },
            Metric::NoticeHeard {
                notice: Notice::Rebalance,
            },
            Metric::NoticeHeard {
                notice: Notice::ScaleIn,
            },
            Metric::RunFinished { seconds: 1.0 },
            Metric::CommitLanded,
            Metric::ProductsRead { rows: 1 },
            Metric::ProductsChanged { rows: 1 },
            Metric::RowsRewritten { rows: 1 },
            Metric::FeedBytesDown { bytes: 1 },
            Metric::SitePages { pages: 1 },
            Metric::SiteBytesDown { bytes: 1 },
            Metric::ImageRequests {
                conditional: true,
                count: 1,
            },
            Metric::ImageRequests {
                conditional: false,
                count: 1,
            },
            Metric::ImageBytesDown { bytes: 1 },
            Metric::ImagesStored { count: 1 },
            Metric::ImageBytesUp { bytes: 1 },
            Metric::QueueDepth { queue, jobs: 1 },
            Metric::OldestAge {
                queue,
                seconds: 1.0,
            },
            Metric::BacklogPerInstance { queue, jobs: 1.0 },
            Metric::RunnablePipes { pipes: 1 },
            Metric::CapacityPlanned { planned: true },
            Metric::PipesOverdue { pipes: 1 },
            Metric::DeadLetters { queue, letters: 1 },
            Metric::FiguresLost { count: 1 },
        ];
        let mut figures = Figures::new();
        for metric in observations {
            figures.record(metric);
        }
        let seen: Vec<Figure> = figures.iter().map(|(series, _)| series.figure).collect();
        let all: Vec<Figure> = FIGURES.iter().map(|about| about.figure).collect();
        assert_eq!(seen, all, "each figure once, in order");
        let possible: BTreeSet<Series> = Series::all().into_iter().collect();
        for (series, value) in figures.iter() {
            assert!(possible.contains(&series), "{series:?}");
            let kind = series.figure.about().kind;
            let fits = match value {
                Value::Count(n) => kind == Kind::Counter && n == 1,
                Value::Level(n) => kind == Kind::Gauge && n == 1.0,
                Value::Spread(s) => kind == Kind::Distribution && s.count == 1,
            };
            assert!(fits, "{series:?} {value:?}");
        }
    }

    #[test]
    fn the_verdicts_are_those_of_the_judge() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let text = String::new;
        let verdicts = [
            Verdict::Done,
            Verdict::Superseded { by: text() },
            Verdict::HandBack,
            Verdict::Retry {
                after: Duration::ZERO,
            },
            Verdict::Park {
                due: now,
                reason: text(),
            },
            Verdict::Bury { reason: text() },
        ];
        assert_eq!(verdicts.map(|verdict| verdict.as_str()), VERDICTS);
    }

    #[test]
    fn words_outside_the_vocabulary_count_as_other() {
        let mut figures = Figures::new();
        let queue = QueueName::Image;
        for verdict in ["done", "tea", "coffee"] {
            figures.record(Metric::JobSettled { queue, verdict });
        }
        let other = Series {
            verdict: Some(OTHER_VERDICT),
            ..Series::of_queue(Figure::JobsSettled, queue)
        };
        assert_eq!(figures.count(other), 2);
        assert_eq!(figures.iter().count(), 2);
    }

    #[test]
    fn a_distribution_keeps_count_sum_extremes_and_buckets() {
        let mut figures = Figures::new();
        for seconds in [0.5, 61.0, 1e9, f64::NAN, f64::INFINITY, -3.0] {
            figures.record(Metric::RunFinished { seconds });
        }
        let Some(Value::Spread(spread)) = figures.get(Series::of(Figure::RunSeconds)) else {
            panic!("no distribution")
        };
        assert_eq!((spread.count, spread.min, spread.max), (6, 0.0, 1e9));
        assert_eq!(spread.sum, 1e9 + 61.5);
        assert_eq!(spread.buckets[0], 4);
        assert_eq!(spread.buckets[4], 1, "61 s are within 300 s");
        assert_eq!(spread.buckets.iter().sum::<u64>(), 5);
    }

    #[test]
    fn what_was_taken_is_gone_and_gauges_keep_the_latest() {
        let mut figures = Figures::new();
        figures.record(Metric::RunnablePipes { pipes: 7 });
        figures.record(Metric::RunnablePipes { pipes: 3 });
        figures.record(Metric::ProductsRead { rows: u64::MAX });
        figures.record(Metric::ProductsRead { rows: 9 });
        let taken = figures.take();
        assert!(figures.is_empty());
        let runnable = taken.get(Series::of(Figure::RunnablePipes));
        assert_eq!(runnable, Some(Value::Level(3.0)));
        assert_eq!(taken.count(Series::of(Figure::ProductsRead)), u64::MAX);
    }
}
