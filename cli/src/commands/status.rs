//! `trawler status`: what is due, running, done and failed.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::json;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::open_runs::OpenRuns;
use trawler_core::pipe::Pipe;
use trawler_core::run::RunPhase;
use trawler_core::verdict::PAUSED;
use trawler_core::{PipeId, PipeSetId, QueueName, RunSeq};

use super::pipes;
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::output;

pub(crate) async fn run(loaded: &Loaded, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let now = machine.ports.clock.now();
    let runs = machine.runs("runs/").await?;
    let mut phases: BTreeMap<RunPhase, u64> = BTreeMap::new();
    for run in &runs {
        *phases.entry(run.phase).or_default() += 1;
    }
    let set = pipes::current(&machine).await?;
    let withheld = pipes::withheld(&machine).await?;
    let schedules = pipes::schedules(&machine).await?;
    let known = |pipe: &Pipe| schedules.get(&pipe.id).map(AsRef::as_ref);
    let state = |pipe: &Pipe| pipes::state(pipe, withheld.get(&pipe.id).map(AsRef::as_ref));
    let is_due = |pipe: &&Pipe| state(pipe).is_collected() && is_due(pipe, known(pipe), now);
    let due = set.pipes.values().filter(is_due).count();
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for pipe in set.pipes.values() {
        *states.entry(state(pipe).as_str()).or_default() += 1;
    }
    let over = |pipe: &Pipe| pipe.overdue(state(pipe), known(pipe), now);
    let overdue = overdue(set.pipes.values(), over);
    let mut queues = serde_json::Map::new();
    for queue in QueueName::ALL {
        queues.insert(queue.to_string(), queue_report(&machine, queue, now).await?);
    }
    let paused = machine.pauses().list().await?;
    let dead = machine.dead_letters().await?.len();
    let catalogue = machine.catalogue_figures().await?;
    let report = json!({
        "environment": loaded.config.environment, "pipe_set": set.id,
        "pipes": set.pipes.len(), "states": states, "due": due,
        "overdue": overdue.iter().map(|(pipe, over)| json!({ "pipe": pipe, "overdue_s": over.num_seconds() }))
            .collect::<Vec<_>>(), "runs": phases, "queues": queues,
        "paused": paused.iter().map(|(scope, _)| scope.to_string()).collect::<Vec<_>>(),
        "dead_letters": dead, "catalogue": catalogue,
    });
    if as_json {
        output::json(&report)?;
        return Ok(End::Done);
    }
    if let Some(environment) = &loaded.config.environment {
        say!("environment  {environment}");
    }
    if loaded.config.is_fleet() {
        let shown = set
            .id
            .as_ref()
            .map_or("none is published", PipeSetId::short);
        say!("pipe set     {shown}");
    }
    let shown: Vec<String> = states
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    say!(
        "pipes        {} ({due} due now): {}",
        set.pipes.len(),
        or_none(&shown)
    );
    say_overdue(&overdue);
    let shown: Vec<String> = phases
        .iter()
        .map(|(phase, count)| format!("{count} {}", phase.as_str()))
        .collect();
    say!("runs         {}", or_none(&shown));
    for queue in QueueName::ALL {
        say!(
            "{queue:<5} queue  {}",
            queue_line(&report["queues"][queue.as_str()])
        );
    }
    print_parked(&machine).await?;
    let shown: Vec<String> = paused.iter().map(|(scope, _)| scope.to_string()).collect();
    say!("paused       {}", or_none(&shown));
    say!("dead         {dead} letter(s)");
    say!(
        "catalogue    {} products in {} file(s), {}, version {}",
        output::grouped(catalogue.rows),
        catalogue.files,
        output::bytes(catalogue.bytes),
        catalogue.version
    );
    Ok(End::Done)
}

/// Pipes whose last complete run is older than they allow, the latest first.
fn overdue<'a>(
    pipes: impl Iterator<Item = &'a Pipe>,
    over: impl Fn(&Pipe) -> Option<Duration>,
) -> Vec<(&'a PipeId, Duration)> {
    let found = pipes.filter_map(|pipe| Some((&pipe.id, over(pipe)?)));
    let mut found: Vec<(&PipeId, Duration)> = found.collect();
    found.sort_by_key(|(_, over)| std::cmp::Reverse(*over));
    found
}

/// Overdue pipes that are named.
const OVERDUE_MAX: usize = 20;

fn say_overdue(overdue: &[(&PipeId, Duration)]) {
    if overdue.is_empty() {
        return;
    }
    say!("overdue      {} pipe(s)", overdue.len());
    for (pipe, over) in overdue.iter().take(OVERDUE_MAX) {
        say!("  {pipe} by {}", output::span(*over));
    }
    if overdue.len() > OVERDUE_MAX {
        say!("  and {} more", overdue.len() - OVERDUE_MAX);
    }
}

/// Whether a run is due that is not planned yet.
fn is_due(pipe: &Pipe, known: Option<&OpenRuns>, now: DateTime<Utc>) -> bool {
    let newest = known.and_then(|known| known.newest);
    let schedule = pipe.schedule().ok();
    let latest = schedule.and_then(|schedule| schedule.latest_at_or_before(now));
    latest.is_some_and(|latest| newest < Some(RunSeq::from_due(latest)))
}

async fn queue_report(
    machine: &Machine,
    queue: QueueName,
    now: DateTime<Utc>,
) -> anyhow::Result<serde_json::Value> {
    let mut jobs: BTreeMap<JobStatus, u64> = BTreeMap::new();
    let records = machine.ports.jobs().list(queue).await?;
    for record in &records {
        *jobs.entry(record.status).or_default() += 1;
    }
    let oldest = oldest_open(records.iter().map(AsRef::as_ref));
    let oldest_s = oldest.map(|since| (now - since).num_seconds().max(0));
    let depth = machine.ports.queue(queue).depth().await?;
    Ok(json!({
        "visible": depth.visible, "in_flight": depth.in_flight, "delayed": depth.delayed,
        "jobs": jobs, "oldest_open_s": oldest_s,
    }))
}

fn queue_line(queue: &serde_json::Value) -> String {
    let jobs = queue["jobs"].as_object().map_or_else(Vec::new, |jobs| {
        JobStatus::ALL
            .iter()
            .filter_map(|status| {
                jobs.get(status.as_str())
                    .map(|count| format!("{count} {}", status.as_str()))
            })
            .collect()
    });
    let oldest = queue["oldest_open_s"].as_i64().map(|seconds| {
        let age = chrono::Duration::seconds(seconds);
        format!("; oldest open for {}", output::span(age))
    });
    format!(
        "{} visible, {} in flight; jobs: {}{}",
        queue["visible"],
        queue["in_flight"],
        or_none(&jobs),
        oldest.unwrap_or_default()
    )
}

/// Since when the job waits, or is worked on, that does so for longest.
fn oldest_open<'a>(records: impl Iterator<Item = &'a JobRecord>) -> Option<DateTime<Utc>> {
    records
        .filter(|record| record.status == JobStatus::Open)
        .map(|record| record.sent.unwrap_or(record.planned))
        .min()
}

fn or_none(parts: &[String]) -> String {
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

/// Parked jobs that are named.
const PARKED_MAX: usize = 20;

/// The parked jobs: which, why, until when.
pub(crate) async fn print_parked(machine: &Machine) -> anyhow::Result<()> {
    let jobs = machine.ports.jobs();
    let mut parked = Vec::new();
    for queue in QueueName::ALL {
        let records = jobs.list(queue).await?;
        parked.extend(
            records
                .into_iter()
                .filter(|record| record.status == JobStatus::Parked),
        );
    }
    for record in parked.iter().take(PARKED_MAX) {
        let due = record
            .due
            .map(|due| due.to_rfc3339_opts(SecondsFormat::Secs, true));
        let until = if record.reason == PAUSED { None } else { due };
        let until = until.map_or_else(|| "until resumed".to_owned(), |due| format!("until {due}"));
        say!("  {} {until}: {}", record.job, record.reason);
    }
    if parked.len() > PARKED_MAX {
        say!("  and {} more", parked.len() - PARKED_MAX);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::JobId;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn record(status: JobStatus, planned: i64, sent: Option<i64>) -> JobRecord {
        let pipe = PipeId::parse("cups").unwrap();
        let job = JobId::parse("cups@1").unwrap();
        let group = pipe.to_string();
        let (queue, body) = (QueueName::Crawl, String::new());
        let mut record = JobRecord::plan(job, queue, pipe, group, body, at(planned));
        (record.status, record.sent) = (status, sent.map(at));
        record
    }

    #[test]
    fn the_oldest_open_job_counts_from_its_last_message() {
        let check = |records: &[JobRecord], expected: Option<i64>| {
            assert_eq!(oldest_open(records.iter()), expected.map(at));
        };
        let open = |planned, sent| record(JobStatus::Open, planned, sent);
        check(&[], None);
        check(&[open(5, None), open(7, None)], Some(5));
        check(&[open(1, Some(9)), open(7, Some(8))], Some(8));
        check(
            &[record(JobStatus::Parked, 1, Some(2)), open(7, None)],
            Some(7),
        );
        check(&[record(JobStatus::Dead, 1, None)], None);
    }

    #[test]
    fn a_queue_is_told_in_one_line() {
        let check = |queue: serde_json::Value, expected: &str| {
            assert_eq!(queue_line(&queue), expected);
        };
        check(
            json!({ "visible": 3, "in_flight": 1, "jobs": { "open": 4 }, "oldest_open_s": 754 }),
            "3 visible, 1 in flight; jobs: 4 open; oldest open for 12m34s",
        );
        check(
            json!({ "visible": 0, "in_flight": 0, "jobs": {}, "oldest_open_s": null }),
            "0 visible, 0 in flight; jobs: none",
        );
    }
}
