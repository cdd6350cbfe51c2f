//! `trawler pipes`: the pipes, when they ran last and run next.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::json;
use trawler_core::pause::PauseScope;
use trawler_core::pipe::{Pipe, PipeState};
use trawler_core::run::{self, Run, RunPhase};
use trawler_core::withheld::Withholding;
use trawler_core::{PipeId, RunId};
use trawler_fleet::{CurrentSet, PipeError, PipeSet};

use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::output::{self, Row};

const COLUMNS: [&str; 10] = [
    "pipe", "state", "products", "last run", "phase", "next run", "overdue", "paused", "owner",
    "source",
];

/// One pipe as it stands.
#[derive(Debug, Serialize)]
struct PipeLine {
    pipe: PipeId,
    name: String,
    /// What counts of the file and of what persons said.
    state: PipeState,
    /// Products that are blocked.
    blocked: usize,
    owner: String,
    contact: String,
    notes: String,
    /// By how much the last complete run is older than `max_age` allows.
    overdue_s: Option<i64>,
    products: u64,
    last_run: Option<DateTime<Utc>>,
    phase: Option<RunPhase>,
    next_run: Option<DateTime<Utc>>,
    paused: bool,
    /// The summary run whose changes are missing, if one is.
    gap: Option<RunId>,
    source: String,
}

pub(crate) async fn run(loaded: &Loaded, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let runs = machine.runs("runs/").await?;
    let pauses = machine.pauses().list().await?;
    let mut lines = Vec::new();
    let set = current(&machine).await?;
    let withheld = withheld(&machine).await?;
    let now = machine.ports.clock.now();
    for pipe in set.pipes.values() {
        let said = withheld.get(&pipe.id);
        let of_pipe = runs.iter().filter(|run| run.id.pipe == pipe.id);
        let scope = PauseScope::Pipe(pipe.id.clone());
        let newest: Option<&Run> = of_pipe.clone().max_by_key(|run| run.id.seq);
        lines.push(PipeLine {
            pipe: pipe.id.clone(),
            name: pipe.name.clone(),
            state: state(pipe, said.map(|said| &**said)),
            blocked: said.map_or(0, |said| said.blocked.len()),
            owner: pipe.owner.clone(),
            contact: pipe.contact.clone(),
            notes: pipe.notes.clone(),
            overdue_s: overdue(pipe, of_pipe.clone(), now).map(|over| over.num_seconds()),
            products: machine.live_rows(&pipe.id).await?,
            last_run: newest.map(|run| run.id.due()),
            phase: newest.map(|run| run.phase),
            next_run: pipe
                .schedule()
                .ok()
                .filter(|_| state(pipe, said.map(|said| &**said)).is_collected())
                .and_then(|schedule| schedule.next_after(Utc::now())),
            paused: pauses.iter().any(|(paused, _)| paused == &scope),
            gap: run::gap(of_pipe).cloned(),
            source: pipe.source.to_string(),
        });
    }
    if as_json {
        output::json(&lines)?;
    } else if lines.is_empty() {
        say!("{}", none(loaded));
    } else {
        output::list(&lines.iter().map(row).collect::<Vec<_>>(), &COLUMNS)?;
        for line in &lines {
            if let Some(gap) = &line.gap {
                say!(
                    "gap: run {gap} failed and its changes are missing; redrive it or collect a full feed"
                );
            }
        }
    }
    Ok(End::Done)
}

/// What is withheld, by pipe.
pub(super) async fn withheld(
    machine: &Machine,
) -> anyhow::Result<BTreeMap<PipeId, Arc<Withholding>>> {
    let documents = machine.ports.documents();
    let found = documents
        .load::<Withholding>(Withholding::ALL, usize::MAX)
        .await?;
    Ok(found.into_iter().map(|of| (of.pipe.clone(), of)).collect())
}

/// The state that counts: of the file as it is now, and of what a person said.
pub(super) fn state(pipe: &Pipe, said: Option<&Withholding>) -> PipeState {
    let said = said.and_then(|said| said.said);
    match (pipe.state, said) {
        (PipeState::Draft | PipeState::Retired, _) | (_, None) => pipe.state,
        (_, Some(said)) => said,
    }
}

/// By how much the pipe's last complete run is too old.
pub(super) fn overdue<'a>(
    pipe: &Pipe,
    runs: impl Iterator<Item = &'a Run>,
    now: DateTime<Utc>,
) -> Option<Duration> {
    let (mut complete, mut known) = (None, None::<DateTime<Utc>>);
    for run in runs {
        let due = run.id.due();
        known = Some(known.map_or(due, |known| known.min(due)));
        if run.phase == RunPhase::Finished && run.is_complete() {
            complete = complete.max(run.finished);
        }
    }
    pipe.overdue(complete, known, now)
}

/// What is current; nothing is, before the first push.
pub(super) async fn current(machine: &Machine) -> anyhow::Result<Arc<PipeSet>> {
    Ok(current_set(machine).await?.set)
}

/// As [`current`], with the reading of the files that it is.
pub(super) async fn current_set(machine: &Machine) -> anyhow::Result<CurrentSet> {
    match machine.pipes.current_set().await {
        Ok(current) => Ok(current),
        Err(PipeError::NothingPublished) => Ok(CurrentSet {
            set: Arc::default(),
            edition: None,
        }),
        Err(error) => Err(error.into()),
    }
}

fn none(loaded: &Loaded) -> String {
    if loaded.config.is_fleet() {
        "no pipe is published; `trawler pipes push DIR` publishes those of a folder".to_owned()
    } else {
        format!(
            "no pipe in {}; `trawler init DIR` writes an example",
            loaded.dir.join("pipes").display()
        )
    }
}

fn row(line: &PipeLine) -> Row {
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let cells = [
        json!(line.pipe),
        json!(line.state),
        json!(output::grouped(line.products)),
        json!(line.last_run.map(instant)),
        json!(line.phase.map(RunPhase::as_str)),
        json!(line.next_run.map(instant)),
        json!(line.overdue_s.map(|s| output::span(Duration::seconds(s)))),
        json!(if line.paused { "yes" } else { "" }),
        json!(line.owner),
        json!(line.source),
    ];
    COLUMNS
        .iter()
        .map(|column| (*column).to_owned())
        .zip(cells)
        .collect()
}
