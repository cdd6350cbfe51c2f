//! `trawler dead`: jobs that were given up.

use std::collections::HashSet;
use std::fs::File;

use anyhow::Context;
use chrono::SecondsFormat;
use serde_json::{Value, json};
use trawler_core::QueueName;
use trawler_core::dead::DeadLetter;

use crate::args::{DeadArgs, DeadCommand};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup::{known_pipe, queue};
use crate::output::{self, Row};

const COLUMNS: [&str; 7] = [
    "queue", "job", "pipe", "buried", "attempts", "crashes", "reason",
];

pub(crate) async fn run(
    loaded: &Loaded,
    command: DeadCommand,
    as_json: bool,
) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    match command {
        DeadCommand::List(which) => list(&select(loaded, &machine, &which).await?, as_json),
        DeadCommand::Backup { which, to } => {
            let letters = select(loaded, &machine, &which).await?;
            let file = File::create_new(&to)
                .with_context(|| format!("create {} (it must not exist)", to.display()))?;
            backup(file, &letters).with_context(|| format!("write {}", to.display()))?;
            told("backed up", letters.len(), as_json)
        }
        DeadCommand::Redrive(which) => {
            demand_choice(&which, "redrive")?;
            let letters = select(loaded, &machine, &which).await?;
            redrive(&machine, &letters, as_json).await
        }
        DeadCommand::Purge(which) => {
            demand_choice(&which, "purge")?;
            let letters = select(loaded, &machine, &which).await?;
            for letter in &letters {
                machine
                    .ports
                    .jobs()
                    .purge(letter.queue, &letter.job)
                    .await?;
            }
            told("purged", letters.len(), as_json)
        }
    }
}

/// Sends again what can be; a letter that cannot holds up no other one.
async fn redrive(machine: &Machine, letters: &[DeadLetter], as_json: bool) -> anyhow::Result<End> {
    let jobs = machine.ports.jobs();
    let mut refused = 0;
    for letter in letters {
        if let Err(error) = jobs.redrive(letter.queue, &letter.job).await {
            refused += 1;
            eprintln!("trawler: {:#}", anyhow::Error::from(error));
        }
    }
    let end = told("sent again", letters.len() - refused, as_json)?;
    Ok(if refused == 0 { end } else { End::Failed })
}

/// What cannot be taken back is not done to everything by leaving a word out.
fn demand_choice(which: &DeadArgs, verb: &str) -> anyhow::Result<()> {
    let chosen = which.all || which.queue.is_some() || which.pipe.is_some() || which.job.is_some();
    if chosen {
        return Ok(());
    }
    let text = format!("say which dead letters to {verb}: --job, --pipe, --queue or --all");
    Err(Misuse::new(text).into())
}

async fn select(
    loaded: &Loaded,
    machine: &Machine,
    which: &DeadArgs,
) -> anyhow::Result<Vec<DeadLetter>> {
    let queues: HashSet<QueueName> = match &which.queue {
        Some(text) => HashSet::from([queue(text)?]),
        None => QueueName::ALL.into_iter().collect(),
    };
    let pipe = which
        .pipe
        .as_deref()
        .map(|text| known_pipe(loaded, text))
        .transpose()?;
    let mut letters = machine.dead_letters().await?;
    letters.retain(|letter| {
        queues.contains(&letter.queue)
            && pipe
                .as_ref()
                .is_none_or(|pipe| letter.pipe.as_ref() == Some(pipe))
            && which.job.as_ref().is_none_or(|job| &letter.job == job)
    });
    Ok(letters)
}

fn list(letters: &[DeadLetter], as_json: bool) -> anyhow::Result<End> {
    if as_json {
        output::json(&letters)?;
    } else if letters.is_empty() {
        println!("no dead letters");
    } else {
        let rows: Vec<Row> = letters.iter().map(row).collect();
        output::list(&rows, &COLUMNS)?;
    }
    Ok(End::Done)
}

fn row(letter: &DeadLetter) -> Row {
    let cells: [Value; 7] = [
        json!(letter.queue),
        json!(letter.job),
        json!(letter.pipe),
        json!(letter.buried.to_rfc3339_opts(SecondsFormat::Secs, true)),
        json!(letter.attempts),
        json!(letter.crashes),
        json!(letter.reason),
    ];
    COLUMNS
        .iter()
        .map(|column| (*column).to_owned())
        .zip(cells)
        .collect()
}

fn backup(file: File, letters: &[DeadLetter]) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    for letter in letters {
        writer.serialize(letter)?;
    }
    let file = writer
        .into_inner()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    file.sync_all()?;
    Ok(())
}

fn told(verb: &str, count: usize, as_json: bool) -> anyhow::Result<End> {
    if as_json {
        output::json(&json!({ verb: count }))?;
    } else {
        println!("{count} dead letter(s) {verb}");
    }
    Ok(End::Done)
}
