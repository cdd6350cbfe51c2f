//! What there is to do, as the planner takes it: from what a tick has looked
//! at anyway, and without a request.
//!
//! It knows no page of a shop and no image: what a run takes is what its
//! pipe's last ones took. A job that is not a run (a fold, a refetch) counts
//! with a constant.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use trawler_core::job_name::JobName;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::maintenance::{Declarations, Touches, closed};
use trawler_core::open_runs::OpenRuns;
use trawler_core::pipe::Pipe;
use trawler_core::verdict::PAUSED;
use trawler_core::{PipeId, QueueName, RunId};
use trawler_fleet::PipeSet;

use super::PlanOptions;
use super::images::{ImageWork, by_rate_ms};
use super::record::Record;
use crate::look::Look;
use crate::plan::{End, Estimate, Flow, Typical, Work, estimate, left_ms, typical};

/// A fold or a refetch: a listing, a commit.
const OTHER_JOB_MS: i64 = 20_000;

/// Due instants of one pipe that are looked at ahead: every half hour of a day.
const AHEAD_MAX: usize = 48;

/// All work, and the pipes that it is of.
#[derive(Debug, Default)]
pub(crate) struct Workload {
    /// By [`Work::key`] and [`Flow::key`].
    pub(super) pipes: Vec<PipeId>,
    pub(super) crawl: Vec<Work>,
    pub(super) flows: Vec<Flow>,
    /// Whether any pipe has one.
    has_past: bool,
    /// What a run of each configured pipe is likely to bring.
    images: Vec<Images>,
}

/// Image jobs that a run brings.
#[derive(Debug, Clone, Copy)]
struct Images {
    jobs: u64,
    job_ms: i64,
    lanes: u32,
    within_ms: i64,
}

/// What is looked at.
pub(super) struct Scene<'a> {
    pub(super) now: DateTime<Utc>,
    /// Work that is due by then counts.
    pub(super) until: DateTime<Utc>,
    pub(super) set: &'a PipeSet,
    pub(super) look: &'a Look,
    pub(super) options: &'a PlanOptions,
    /// Maintenance that people have declared.
    pub(super) declared: &'a Declarations,
    pub(super) images: &'a BTreeMap<PipeId, ImageWork>,
    pub(super) record: &'a Record,
    /// When each pipe is due next, from one look to the next.
    pub(super) due: &'a mut DueTimes,
}

/// When pipes are due next: a cron line takes longer to read than all the rest
/// of a decision.
#[derive(Debug, Default)]
pub(crate) struct DueTimes(HashMap<PipeId, Known>);

#[derive(Debug)]
struct Known {
    schedule: String,
    after: Option<DateTime<Utc>>,
    next: Option<DateTime<Utc>>,
}

/// How long a pipe's runs take.
struct Habits<'a> {
    pipe: &'a Pipe,
    known: Option<&'a OpenRuns>,
    estimate: Estimate,
    image_jobs: u64,
}

impl Workload {
    pub(super) fn of(mut scene: Scene<'_>) -> Self {
        let habits = habits(scene.set, scene.look);
        let pipes: Vec<PipeId> = habits.iter().map(|habit| habit.pipe.id.clone()).collect();
        let mut load = Self {
            pipes,
            has_past: habits.iter().any(|habit| habit.estimate.is_known),
            images: habits
                .iter()
                .map(|habit| Images {
                    jobs: habit.image_jobs,
                    job_ms: scene.image_job_ms(habit.pipe),
                    lanes: habit.pipe.images.shards,
                    within_ms: within(scene.options, Some(habit.pipe)).num_milliseconds(),
                })
                .collect(),
            ..Self::default()
        };
        let mut jobs: HashMap<&PipeId, Vec<&JobRecord>> = HashMap::new();
        for job in scene.look.jobs(QueueName::Crawl) {
            jobs.entry(&job.document.pipe)
                .or_default()
                .push(&job.document);
        }
        for (key, habit) in habits.iter().enumerate() {
            let key = u32::try_from(key).unwrap_or(u32::MAX);
            let open = jobs.remove(&habit.pipe.id).unwrap_or_default();
            let unsettled = load.take_jobs(&scene, key, habit, &open);
            if scene.look.state(habit.pipe).is_collected() {
                load.take_due(&mut scene, key, habit, unsettled);
            }
        }
        // Jobs of pipes that are no longer configured.
        for (pipe, jobs) in jobs {
            let key = u32::try_from(load.pipes.len()).unwrap_or(u32::MAX);
            load.pipes.push(pipe.clone());
            for job in jobs {
                let work = load.other_job(&scene, key, job);
                load.crawl.extend(work);
            }
        }
        load.take_images(&scene);
        load
    }

    /// Jobs of the ledger; says how many runs are not settled.
    fn take_jobs(
        &mut self,
        scene: &Scene<'_>,
        key: u32,
        habit: &Habits<'_>,
        jobs: &[&JobRecord],
    ) -> usize {
        let (mut unsettled, mut free_ms) = (0, i64::MIN);
        let from = self.crawl.len();
        for job in jobs {
            let run = match JobName::parse(QueueName::Crawl, &job.job) {
                Some(JobName::Collect(run)) => run,
                _ => {
                    let work = self.other_job(scene, key, job);
                    self.crawl.extend(work);
                    continue;
                }
            };
            unsettled += usize::from(!job.status.is_settled());
            let Some(mut due) = waits_until(job) else {
                continue;
            };
            let taken = due.max(scene.now);
            let opens = opens(habit.pipe, taken, scene.declared);
            if !job.in_hand && opens > taken {
                // Whoever took it now would park it.
                due = opens;
            }
            let elapsed_ms = elapsed_ms(job, scene.now);
            let (expected_ms, upper_ms) = (habit.estimate.expected_ms, habit.estimate.upper_ms);
            let work = Work {
                key,
                due_ms: due.timestamp_millis(),
                deadline_ms: deadline(scene, habit.pipe, run.due()),
                expected_ms: left_ms(expected_ms, elapsed_ms),
                upper_ms: left_ms(upper_ms, elapsed_ms),
                in_hand: job.in_hand,
                is_known: habit.estimate.is_known,
            };
            if job.in_hand {
                free_ms = scene.now.timestamp_millis() + work.expected_ms;
                let images = self.images(key, free_ms, work.deadline_ms);
                self.flows.extend(images);
            }
            self.crawl.push(work);
        }
        // A pipe is worked on by one worker at a time.
        for work in &mut self.crawl[from..] {
            if !work.in_hand {
                work.due_ms = work.due_ms.max(free_ms);
            }
        }
        unsettled
    }

    /// A job that is no run. It follows runs: where these have a past it is as
    /// well known, and no reason to leave everything to the alarms.
    fn other_job(&self, scene: &Scene<'_>, key: u32, job: &JobRecord) -> Option<Work> {
        let due = waits_until(job)?;
        Some(Work {
            key,
            due_ms: due.timestamp_millis(),
            deadline_ms: (due.max(scene.now) + scene.options.finish_within).timestamp_millis(),
            expected_ms: left_ms(OTHER_JOB_MS, elapsed_ms(job, scene.now)),
            upper_ms: 2 * OTHER_JOB_MS,
            in_hand: job.in_hand,
            is_known: self.has_past,
        })
    }

    /// Runs that are due within the time that is looked at.
    fn take_due(&mut self, scene: &mut Scene<'_>, key: u32, habit: &Habits<'_>, unsettled: usize) {
        let newest = habit.known.and_then(|known| known.newest);
        let newest = newest.map(|seq| {
            RunId {
                pipe: habit.pipe.id.clone(),
                seq,
            }
            .due()
        });
        let Some(mut next) = scene.due.next(habit.pipe, newest, scene.now) else {
            return;
        };
        if next <= scene.now && unsettled >= crate::due::UNSETTLED_RUNS_MAX {
            return;
        }
        let schedule = habit.pipe.schedule().ok();
        for _ in 0..AHEAD_MAX {
            if next > scene.until {
                return;
            }
            let at = opens(habit.pipe, next.max(scene.now), scene.declared);
            self.crawl.push(Work {
                key,
                due_ms: at.timestamp_millis(),
                deadline_ms: deadline(scene, habit.pipe, next.max(scene.now)),
                expected_ms: habit.estimate.expected_ms,
                upper_ms: habit.estimate.upper_ms,
                in_hand: false,
                is_known: habit.estimate.is_known,
            });
            let after = schedule
                .as_ref()
                .and_then(|it| it.next_after(next.max(scene.now)));
            match after {
                Some(after) => next = after,
                None => return,
            }
        }
    }

    /// Image jobs that a run is likely to bring when it is over.
    fn images(&self, key: u32, due_ms: i64, deadline_ms: i64) -> Option<Flow> {
        let images = self.images.get(key as usize).copied()?;
        (images.jobs > 0).then_some(Flow {
            key,
            jobs: images.jobs,
            job_ms: images.job_ms,
            lanes: images.lanes,
            due_ms,
            deadline_ms: deadline_ms.max(due_ms),
        })
    }

    /// The same of a run that a forecast has ended.
    pub(super) fn images_after(&self, end: &End) -> Option<Flow> {
        let within_ms = self.images.get(end.key as usize)?.within_ms;
        self.images(end.key, end.end_ms, end.end_ms.saturating_add(within_ms))
    }

    /// Image jobs of the ledger and of manifests. What is parked goes on at its
    /// instant; what is not is parked by whoever takes it while its partner is
    /// closed. Hosts of images are known to nobody before their jobs are taken.
    fn take_images(&mut self, scene: &Scene<'_>) {
        for (pipe, work) in scene.images {
            let configured = scene.set.pipes.get(pipe);
            // Those that are configured come first and in order.
            let key = self.pipes[..scene.set.pipes.len()].binary_search(pipe);
            let key = key.unwrap_or_else(|_| {
                self.pipes.push(pipe.clone());
                self.pipes.len() - 1
            });
            let flow = |jobs, lanes, due: DateTime<Utc>| Flow {
                key: u32::try_from(key).unwrap_or(u32::MAX),
                jobs,
                job_ms: configured.map_or(scene.options.image_job_ms(), |pipe| {
                    scene.image_job_ms(pipe)
                }),
                lanes,
                due_ms: due.timestamp_millis(),
                deadline_ms: (due + within(scene.options, configured)).timestamp_millis(),
            };
            let opens = |at| configured.map_or(at, |pipe| images_open(pipe, at, scene.declared));
            if work.jobs > 0 {
                let since = work.since.map_or(scene.now, |since| since.min(scene.now));
                let due = Some(opens(scene.now)).filter(|opens| *opens > scene.now);
                self.flows
                    .push(flow(work.jobs, work.lanes, due.unwrap_or(since)));
            }
            for (until, parked) in &work.parked {
                let due = opens(scene.now.max(*until));
                self.flows.push(flow(parked.jobs, parked.lanes, due));
            }
        }
    }
}

impl Scene<'_> {
    /// As measured; before that, what its rate asks for at least.
    fn image_job_ms(&self, pipe: &Pipe) -> i64 {
        let by_rate_ms = by_rate_ms(pipe.fetch.rate_per_s);
        let measured = self.record.image_job_ms(&pipe.id, by_rate_ms);
        let first = || by_rate_ms.max(self.options.image_job_ms() as f64);
        // Saturates.
        measured.unwrap_or_else(first) as i64
    }
}

impl DueTimes {
    /// When the pipe is due after its newest run; now, if it never ran.
    fn next(
        &mut self,
        pipe: &Pipe,
        newest: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let schedule = pipe.schedule().ok()?;
        let text = schedule.to_string();
        if let Some(known) = self.0.get(&pipe.id)
            && known.schedule == text
            && known.after == newest
        {
            return known.next;
        }
        let next = match newest {
            Some(newest) => schedule.next_after(newest),
            None => schedule
                .latest_at_or_before(now)
                .or_else(|| schedule.next_after(now)),
        };
        self.0.insert(
            pipe.id.clone(),
            Known {
                schedule: text,
                after: newest,
                next,
            },
        );
        next
    }

    /// Forgets pipes that are not configured.
    pub(super) fn keep_only(&mut self, set: &PipeSet) {
        if self.0.len() > set.pipes.len() {
            self.0.retain(|pipe, _| set.pipes.contains_key(pipe));
        }
    }
}

fn habits<'a>(set: &'a PipeSet, look: &'a Look) -> Vec<Habits<'a>> {
    let first = |pipe: &'a Pipe| {
        let known = look.schedules.get(&pipe.id).map(AsRef::as_ref);
        let past = known.map_or(&[][..], |known| &known.past);
        let mut images: Vec<u64> = past.iter().map(|past| past.image_jobs).collect();
        images.sort_unstable();
        Habits {
            pipe,
            known,
            estimate: estimate(past, None, &Typical::default()),
            image_jobs: images.get(images.len() / 2).copied().unwrap_or(0),
        }
    };
    let mut habits: Vec<Habits<'_>> = set.pipes.values().map(first).collect();
    let rows = |habit: &Habits<'_>| {
        let past = habit.known.and_then(|known| known.past.last());
        past.map_or(0, |past| past.rows)
    };
    let others = typical(habits.iter().map(|habit| (habit.estimate, rows(habit))));
    for habit in habits.iter_mut().filter(|habit| !habit.estimate.is_known) {
        // The least that a person expects of it is the one size that is known.
        let rows = Some(habit.pipe.judge.min_rows).filter(|rows| *rows > 0);
        habit.estimate = estimate(&[], rows, &others);
    }
    habits
}

/// Pipes in the order in which their messages are best sent: what may wait
/// least comes first, which of those with the same time is the longest run.
pub(crate) fn in_order<'a>(
    set: &'a PipeSet,
    look: &'a Look,
    options: Option<&PlanOptions>,
) -> Vec<&'a Pipe> {
    let defaults = PlanOptions::default();
    let options = options.unwrap_or(&defaults);
    let mut habits = habits(set, look);
    habits.sort_by_key(|habit| {
        within(options, Some(habit.pipe)).num_milliseconds() - habit.estimate.upper_ms
    });
    habits.iter().map(|habit| habit.pipe).collect()
}

/// From when on an open or parked job can be worked on; `None`: when somebody
/// resumes it.
fn waits_until(job: &JobRecord) -> Option<DateTime<Utc>> {
    match job.status {
        JobStatus::Open => Some(job.planned),
        JobStatus::Parked if job.reason == PAUSED => None,
        JobStatus::Parked => Some(job.due.unwrap_or(job.planned)),
        JobStatus::Done | JobStatus::Dead | JobStatus::Superseded => None,
    }
}

fn elapsed_ms(job: &JobRecord, now: DateTime<Utc>) -> i64 {
    let seen = job.seen.filter(|_| job.in_hand);
    seen.map_or(0, |seen| (now - seen).num_milliseconds().max(0))
}

fn within(options: &PlanOptions, pipe: Option<&Pipe>) -> TimeDelta {
    let own = pipe.and_then(|pipe| pipe.schedule.finish_within_s);
    own.map_or(options.finish_within, |seconds| {
        TimeDelta::seconds(seconds.into())
    })
}

fn deadline(scene: &Scene<'_>, pipe: &Pipe, due: DateTime<Utc>) -> i64 {
    (due + within(scene.options, Some(pipe))).timestamp_millis()
}

/// When the partner may be asked and the catalogue written, by the hours of the
/// pipe file and by what people have declared.
fn opens(pipe: &Pipe, due: DateTime<Utc>, declared: &Declarations) -> DateTime<Utc> {
    let touches = || Touches {
        partner: Some(pipe.hours()),
        hosts: pipe.source.host().map(str::to_owned).into_iter().collect(),
        catalogue: true,
    };
    open_from(touches, pipe, due, declared)
}

/// The same of its images, whichever hosts they lie with.
fn images_open(pipe: &Pipe, due: DateTime<Utc>, declared: &Declarations) -> DateTime<Utc> {
    let touches = || Touches {
        partner: Some(pipe.hours()),
        ..Touches::default()
    };
    open_from(touches, pipe, due, declared)
}

fn open_from(
    touches: impl Fn() -> Touches,
    pipe: &Pipe,
    due: DateTime<Utc>,
    declared: &Declarations,
) -> DateTime<Utc> {
    if pipe.maintenance.is_empty() && pipe.off_peak.is_empty() && declared.windows.is_empty() {
        return due;
    }
    let closed = closed(&touches(), &pipe.id, declared, due);
    closed.map_or(due, |closed| closed.until)
}
