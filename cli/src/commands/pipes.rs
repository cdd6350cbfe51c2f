//! `trawler pipes`: the pipes, when they ran last and run next.

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use trawler_core::pause::PauseScope;
use trawler_core::pipe::{Pipe, Source};
use trawler_core::run::Run;

use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::output::{self, Row};

const COLUMNS: [&str; 7] = [
    "pipe", "products", "last run", "phase", "next run", "paused", "source",
];

pub(crate) async fn run(loaded: &Loaded, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let runs = machine.runs("runs/").await?;
    let pauses = machine.pauses().list().await?;
    let mut rows = Vec::new();
    for pipe in &loaded.pipes {
        let newest = runs
            .iter()
            .filter(|run| run.id.pipe == pipe.id)
            .max_by_key(|run| run.id.seq);
        let paused = pauses
            .iter()
            .any(|(scope, _)| scope == &PauseScope::Pipe(pipe.id.clone()));
        let live = machine.live_rows(&pipe.id).await?;
        rows.push(row(pipe, newest, paused, live));
    }
    if as_json {
        output::json(&rows)?;
    } else if rows.is_empty() {
        println!(
            "no pipe in {}; `trawler init DIR` writes an example",
            loaded.dir.join("pipes").display()
        );
    } else {
        output::list(&rows, &COLUMNS)?;
    }
    Ok(End::Done)
}

fn row(pipe: &Pipe, newest: Option<&Run>, paused: bool, live: u64) -> Row {
    let now = Utc::now();
    let next = pipe
        .schedule()
        .ok()
        .and_then(|schedule| schedule.next_after(now));
    let instant = |at: chrono::DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let source = match &pipe.source {
        Source::Http(source) => source.url.to_string(),
        Source::File(source) => source.path.display().to_string(),
    };
    let cells = [
        json!(pipe.id),
        Value::String(output::grouped(live)),
        json!(newest.map(|run| instant(run.id.due()))),
        json!(newest.map(|run| run.phase.as_str())),
        json!(next.map(instant)),
        json!(if paused { "yes" } else { "" }),
        json!(source),
    ];
    COLUMNS
        .iter()
        .map(|column| (*column).to_owned())
        .zip(cells)
        .collect()
}
