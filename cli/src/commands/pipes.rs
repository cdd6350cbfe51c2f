//! `trawler pipes`: the pipes, when they ran last and run next.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::json;
use trawler_core::open_runs::OpenRuns;
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
    let runs = by_pipe(&runs);
    let pauses = machine.pauses().list().await?;
    let mut lines = Vec::new();
    let set = current(&machine).await?;
    let withheld = withheld(&machine).await?;
    let schedules = schedules(&machine).await?;
    let now = machine.ports.clock.now();
    for pipe in set.pipes.values() {
        let said = withheld.get(&pipe.id).map(AsRef::as_ref);
        let state = state(pipe, said);
        let known = schedules.get(&pipe.id).map(AsRef::as_ref);
        let of_pipe = runs.get(&pipe.id).map_or(&[][..], Vec::as_slice);
        let of_pipe = of_pipe.iter().copied();
        let scope = PauseScope::Pipe(pipe.id.clone());
        let newest = of_pipe.clone().max_by_key(|run| run.id.seq);
        lines.push(PipeLine {
            pipe: pipe.id.clone(),
            name: pipe.name.clone(),
            state,
            blocked: said.map_or(0, |said| said.blocked.len()),
            owner: pipe.owner.clone(),
            contact: pipe.contact.clone(),
            notes: pipe.notes.clone(),
            overdue_s: pipe
                .overdue(state, known, now)
                .map(|over| over.num_seconds()),
            products: machine.live_rows(&pipe.id).await?,
            last_run: newest.map(|run| run.id.due()),
            phase: newest.map(|run| run.phase),
            next_run: pipe
                .schedule()
                .ok()
                .filter(|_| state.is_collected())
                .and_then(|schedule| schedule.next_after(now)),
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

/// What a tick knows of the runs of each pipe.
pub(super) async fn schedules(
    machine: &Machine,
) -> anyhow::Result<BTreeMap<PipeId, Arc<OpenRuns>>> {
    let documents = machine.ports.documents();
    let found = documents
        .load::<OpenRuns>(OpenRuns::ALL, usize::MAX)
        .await?;
    Ok(found.into_iter().map(|of| (of.pipe.clone(), of)).collect())
}

/// Runs by pipe, so that nobody goes through those of all for each.
pub(super) fn by_pipe(runs: &[Run]) -> BTreeMap<&PipeId, Vec<&Run>> {
    let mut found: BTreeMap<&PipeId, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        found.entry(&run.id.pipe).or_default().push(run);
    }
    found
}

/// The state that counts: of the file as it is now, and of what a person said.
pub(super) fn state(pipe: &Pipe, said: Option<&Withholding>) -> PipeState {
    PipeState::that_counts(pipe.state, said.and_then(|said| said.said))
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
