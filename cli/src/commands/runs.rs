//! `trawler runs`: how far, how long, what changed; and the decisions about
//! those that wait for a person.

mod decide;
mod show;

use serde_json::{Value, json};
use trawler_core::run::Run;

use crate::args::{RunsArgs, RunsCommand};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::lookup::known_pipe;
use crate::output::{self, Row};

pub(super) use show::parsed;

pub(crate) const COLUMNS: [&str; 12] = [
    "run",
    "phase",
    "took",
    "rows",
    "new",
    "changed",
    "gone",
    "held",
    "rejected",
    "images",
    "rewritten",
    "remark",
];

pub(crate) async fn run(loaded: &Loaded, args: &RunsArgs, as_json: bool) -> anyhow::Result<End> {
    match &args.command {
        None => list(loaded, args, as_json).await,
        Some(RunsCommand::Show(args)) => show::run(loaded, args, as_json).await,
        Some(RunsCommand::Accept(args)) => decide::accept(loaded, args, as_json).await,
        Some(RunsCommand::Reject(args)) => decide::reject(loaded, args, as_json).await,
    }
}

async fn list(loaded: &Loaded, args: &RunsArgs, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let prefix = match &args.pipe {
        Some(text) => format!("runs/{}/", known_pipe(&machine, text).await?),
        None => "runs/".to_owned(),
    };
    let mut runs = machine.runs(&prefix).await?;
    runs.retain(|run| !args.waiting || run.awaits_decision());
    runs.sort_by(|a, b| {
        b.id.seq
            .cmp(&a.id.seq)
            .then_with(|| a.id.pipe.cmp(&b.id.pipe))
    });
    runs.truncate(args.limit as usize);
    if as_json {
        output::json(&runs)?;
    } else if runs.is_empty() && args.waiting {
        say!("no run waits for a decision");
    } else if runs.is_empty() {
        say!("no run yet; `trawler run --once` collects what is due");
    } else {
        let rows: Vec<Row> = runs.iter().map(row).collect();
        output::list(&rows, &COLUMNS)?;
    }
    Ok(End::Done)
}

/// A run as a row of a list.
pub(crate) fn row(run: &Run) -> Row {
    let took = run
        .started
        .zip(run.finished)
        .map(|(started, finished)| output::span(finished - started));
    let count = |number: u64| Value::String(output::grouped(number));
    let counts = &run.counts;
    let cells = [
        json!(run.id),
        json!(run.phase.as_str()),
        json!(took),
        count(counts.rows),
        count(counts.inserts),
        count(counts.updates),
        count(counts.deletes),
        count(counts.held_deletes),
        count(counts.rejected),
        count(counts.images),
        count(counts.rewritten),
        json!(remark(run)),
    ];
    COLUMNS
        .iter()
        .map(|column| (*column).to_owned())
        .zip(cells)
        .collect()
}

fn remark(run: &Run) -> String {
    let mut parts = Vec::new();
    if !run.reason.is_empty() {
        parts.push(run.reason.clone());
    }
    if let Some(decided) = run.decided {
        parts.push(decided.as_str().to_owned());
    }
    if !run.quarantine.is_empty() {
        parts.push(format!("quarantined: {}", run.quarantine.join("; ")));
    }
    if !run.is_complete() {
        parts.push(format!("incomplete: {}", run.incomplete.join("; ")));
    }
    parts.extend(run.remarks.iter().cloned());
    parts.join("; ")
}
