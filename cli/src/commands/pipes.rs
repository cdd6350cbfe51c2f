//! `trawler pipes`: the pipes, when they ran last and run next.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::json;
use trawler_core::pause::PauseScope;
use trawler_core::run::{self, Run, RunPhase};
use trawler_core::{PipeId, RunId};
use trawler_fleet::{PipeError, PipeSet};

use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::output::{self, Row};

const COLUMNS: [&str; 7] = [
    "pipe", "products", "last run", "phase", "next run", "paused", "source",
];

/// One pipe as it stands.
#[derive(Debug, Serialize)]
struct PipeLine {
    pipe: PipeId,
    name: String,
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
    for pipe in set.pipes.values() {
        let of_pipe = runs.iter().filter(|run| run.id.pipe == pipe.id);
        let scope = PauseScope::Pipe(pipe.id.clone());
        let newest: Option<&Run> = of_pipe.clone().max_by_key(|run| run.id.seq);
        lines.push(PipeLine {
            pipe: pipe.id.clone(),
            name: pipe.name.clone(),
            products: machine.live_rows(&pipe.id).await?,
            last_run: newest.map(|run| run.id.due()),
            phase: newest.map(|run| run.phase),
            next_run: pipe
                .schedule()
                .ok()
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

/// What is current; nothing is, before the first push.
pub(super) async fn current(machine: &Machine) -> anyhow::Result<Arc<PipeSet>> {
    match machine.pipes.current().await {
        Ok(set) => Ok(set),
        Err(PipeError::NothingPublished) => Ok(Arc::default()),
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
        json!(output::grouped(line.products)),
        json!(line.last_run.map(instant)),
        json!(line.phase.map(RunPhase::as_str)),
        json!(line.next_run.map(instant)),
        json!(if line.paused { "yes" } else { "" }),
        json!(line.source),
    ];
    COLUMNS
        .iter()
        .map(|column| (*column).to_owned())
        .zip(cells)
        .collect()
}
