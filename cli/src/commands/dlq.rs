//! `trawler dlq`: jobs that were given up.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use trawler_core::dead::{DeadLetter, reason_kind};
use trawler_fleet::dead::{
    Backup, BackupEntry, DeadLetters, RedriveBoard, RedriveFigures, RedriveOptions, RedriveReport,
    Selection, Stopped,
};
use trawler_fleet::{DocumentError, Drain};
use trawler_local::SignalNotices;

use crate::args::{DlqCommand, WhichLetters, Who};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup::{instant, known_pipe, queue};
use crate::output::{self, Row, grouped};

const COLUMNS: [&str; 7] = [
    "queue", "job", "pipe", "buried", "attempts", "crashes", "reason",
];

const BACKUP_COLUMNS: [&str; 6] = ["taken", "letters", "bytes", "by", "why", "file"];

/// Notes about single letters that are printed; JSON has a thousand.
const NOTES_SHOWN: usize = 20;

/// How often progress is shown on a terminal, and otherwise.
const SHOW_EVERY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

pub(crate) async fn run(
    loaded: &Loaded,
    command: DlqCommand,
    as_json: bool,
) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let letters = DeadLetters::new(&machine.ports, machine.pauses());
    let selection = async |which: &WhichLetters| selection(&machine, which).await;
    match command {
        DlqCommand::List { which, limit } => {
            list(&letters, &selection(&which).await?, limit as usize, as_json).await
        }
        DlqCommand::Show { job } => show(&letters, &job, as_json).await,
        DlqCommand::Backup { list: true, .. } => list_backups(&letters, as_json).await,
        DlqCommand::Backup { which, to, who, .. } => {
            let selection = selection(&which).await?;
            backup(&letters, &selection, to.as_deref(), &by(&who), as_json).await
        }
        DlqCommand::Redrive { which, rate, who } => {
            demand_choice(&which, "redrive")?;
            let options = RedriveOptions {
                requests_per_s: rate,
                by: by(&who),
                ..RedriveOptions::default()
            };
            let selection = selection(&which).await?;
            redrive(&machine, &letters, &selection, &options, as_json).await
        }
        DlqCommand::Purge {
            which,
            no_backup,
            who,
        } => {
            demand_choice(&which, "purge")?;
            let first = if no_backup { Backup::No } else { Backup::First };
            let selection = selection(&which).await?;
            purge(&letters, &selection, first, &by(&who), as_json).await
        }
    }
}

/// What cannot be taken back is not done to everything by leaving a word out.
fn demand_choice(which: &WhichLetters, verb: &str) -> anyhow::Result<()> {
    let WhichLetters {
        queue,
        pipe,
        job,
        reason,
        since,
        all,
    } = which;
    let words = [queue, pipe, job, reason, since];
    if *all || words.iter().any(|word| word.is_some()) {
        return Ok(());
    }
    let text = format!(
        "say which dead letters to {verb}: --job, --pipe, --queue, --reason, --since or --all"
    );
    Err(Misuse::new(text).into())
}

async fn selection(machine: &Machine, which: &WhichLetters) -> anyhow::Result<Selection> {
    let now = machine.ports.clock.now();
    let ago = |span: &chrono::Duration| -span.abs();
    Ok(Selection {
        queue: which.queue.as_deref().map(queue).transpose()?,
        pipe: match &which.pipe {
            Some(text) => Some(known_pipe(machine, text).await?),
            None => None,
        },
        job: which.job.clone(),
        reason: which.reason.clone(),
        since: which
            .since
            .as_deref()
            .map(|text| instant(text, now, ago))
            .transpose()?,
    })
}

/// Who does it, as the backup and the ledger keep it.
pub(super) fn by(who: &Who) -> String {
    let user = || {
        ["USER", "LOGNAME"]
            .iter()
            .find_map(|name| std::env::var(name).ok())
    };
    who.by
        .clone()
        .or_else(user)
        .unwrap_or_else(|| "somebody without a name".to_owned())
}

async fn list(
    letters: &DeadLetters,
    selection: &Selection,
    limit: usize,
    as_json: bool,
) -> anyhow::Result<End> {
    let listed = letters.list(selection).await?;
    let end = tell_unreadable(&listed.unreadable);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for letter in &listed.letters {
        *counts.entry(reason_kind(&letter.reason)).or_default() += 1;
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    if as_json {
        let reasons: Vec<Value> = counts
            .iter()
            .map(|(reason, count)| json!({ "reason": reason, "letters": count }))
            .collect();
        output::json(&json!({ "letters": listed.letters, "reasons": reasons }))?;
        return Ok(end);
    }
    if listed.letters.is_empty() {
        say!("no dead letters");
        return Ok(end);
    }
    let rows: Vec<Row> = listed.letters.iter().take(limit).map(row).collect();
    output::list(&rows, &COLUMNS)?;
    let total = listed.letters.len();
    if total > limit {
        say!("... and {} more; --limit shows them", total - limit);
    }
    say!("{} dead letter(s):", grouped(total as u64));
    for (reason, count) in counts.iter().take(NOTES_SHOWN) {
        say!("{:>9}  {reason}", grouped(*count));
    }
    Ok(end)
}

fn row(letter: &DeadLetter) -> Row {
    let cells: [Value; 7] = [
        json!(letter.queue),
        json!(letter.job),
        json!(letter.pipe),
        json!(shown(letter.buried)),
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

async fn show(letters: &DeadLetters, job: &str, as_json: bool) -> anyhow::Result<End> {
    let selection = Selection {
        job: Some(job.to_owned()),
        ..Selection::default()
    };
    let listed = letters.list(&selection).await?;
    let end = tell_unreadable(&listed.unreadable);
    if listed.letters.is_empty() && listed.unreadable.is_empty() {
        let hint = "`trawler dlq list` shows the names";
        return Err(Misuse::new(format!("there is no dead letter {job}; {hint}")).into());
    }
    // A body that is no JSON is shown as it is.
    let decoded = |letter: &DeadLetter| {
        serde_json::from_str::<Value>(&letter.body).unwrap_or_else(|_| json!(letter.body))
    };
    if as_json {
        let shown: Vec<Value> = listed
            .letters
            .iter()
            .map(|letter| json!({ "letter": letter, "decoded": decoded(letter) }))
            .collect();
        output::json(&shown)?;
        return Ok(end);
    }
    for letter in &listed.letters {
        let at = |instant: Option<DateTime<Utc>>| instant.map_or("not known".to_owned(), shown);
        let pipe = letter.pipe.as_ref().map_or("none", |pipe| pipe.as_str());
        say!("job            {}", letter.job);
        say!("queue          {} (group {})", letter.queue, letter.group);
        say!("pipe           {pipe}");
        say!("asked for      {}", plain(&letter.input.words));
        say!("reason         {}", plain(&letter.reason));
        say!(
            "attempts       {}, crashes {}",
            letter.attempts,
            letter.crashes
        );
        say!("planned        {}", at(letter.planned));
        say!("first failure  {}", at(letter.first_failure));
        say!("last failure   {}", at(letter.last_failure));
        say!("buried         {}", shown(letter.buried));
        if !letter.log.is_empty() {
            say!("log");
            for line in letter.log.lines() {
                say!("  {}", plain(line));
            }
        }
        say!("input\n{}", pretty(&letter.input.facts)?);
        say!("body\n{}", pretty(&decoded(letter))?);
        if let Some(key) = &letter.body_at {
            say!("whole body at {}", plain(key));
        }
    }
    Ok(end)
}

/// JSON escapes control characters of a partner's text.
fn pretty(value: &Value) -> anyhow::Result<String> {
    serde_json::to_string_pretty(value).context("print JSON")
}

/// Control characters of a partner's text never reach the terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

async fn backup(
    letters: &DeadLetters,
    selection: &Selection,
    to: Option<&Path>,
    by: &str,
    as_json: bool,
) -> anyhow::Result<End> {
    // Before anything is kept: the file may be in the way.
    let mut file = match to {
        Some(to) => Some(
            File::create_new(to)
                .with_context(|| format!("create {} (it must not exist)", to.display()))?,
        ),
        None => None,
    };
    let taken = letters.backup(selection, "asked for", by).await?;
    let end = tell_unreadable(&taken.unreadable);
    if let (Some(file), Some(to)) = (&mut file, to) {
        for (at, entry) in taken.backups.iter().enumerate() {
            let mut csv = Vec::new();
            letters.write_backup(entry, &mut csv).await?;
            // The heading is there once.
            let heading = csv
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(0, |end| end + 1);
            let rows = if at == 0 { &csv[..] } else { &csv[heading..] };
            file.write_all(rows)
                .with_context(|| format!("write {}", to.display()))?;
        }
        file.sync_all()
            .with_context(|| format!("write {}", to.display()))?;
    }
    if as_json {
        output::json(&json!({ "backups": taken.backups }))?;
    } else {
        let count: u64 = taken.backups.iter().map(|entry| entry.letters).sum();
        say!("{} dead letter(s) backed up", grouped(count));
        tell_backups(&taken.backups);
    }
    Ok(end)
}

async fn list_backups(letters: &DeadLetters, as_json: bool) -> anyhow::Result<End> {
    let backups = letters.backups().await?;
    if as_json {
        output::json(&backups)?;
        return Ok(End::Done);
    }
    if backups.is_empty() {
        say!("no backups");
        return Ok(End::Done);
    }
    let rows: Vec<Row> = backups.iter().map(backup_row).collect();
    output::list(&rows, &BACKUP_COLUMNS)?;
    Ok(End::Done)
}

fn backup_row(entry: &BackupEntry) -> Row {
    let letters = match entry.complete {
        true => grouped(entry.letters),
        false => "not finished".to_owned(),
    };
    let cells = [
        shown(entry.taken),
        letters,
        output::bytes(entry.bytes),
        entry.by.clone(),
        entry.why.clone(),
        entry.file.clone(),
    ];
    BACKUP_COLUMNS
        .iter()
        .zip(cells)
        .map(|(column, cell)| ((*column).to_owned(), json!(cell)))
        .collect()
}

fn tell_backups(backups: &[BackupEntry]) {
    for entry in backups {
        say!("kept in {} ({})", entry.file, output::bytes(entry.bytes));
    }
}

async fn redrive(
    machine: &Machine,
    letters: &DeadLetters,
    selection: &Selection,
    options: &RedriveOptions,
    as_json: bool,
) -> anyhow::Result<End> {
    let drain = Drain::new();
    let notices = SignalNotices::listen().context("listen for signals")?;
    let board = RedriveBoard::default();
    let report = {
        let redrive = letters.redrive(selection, options, &drain, &board);
        tokio::pin!(redrive);
        let watch = drain.watch(&notices);
        tokio::pin!(watch);
        let shower = Shower::new(machine.ports.clock.monotonic());
        let mut told = false;
        loop {
            tokio::select! {
                report = &mut redrive => break report,
                () = &mut watch, if !told => {
                    told = true;
                    eprintln!("stopping: what is open is sent, the rest stays a dead letter");
                }
                () = machine.ports.clock.sleep(shower.every) => {
                    shower.show(board.figures(), machine.ports.clock.monotonic());
                }
            }
        }
    };
    let report = report?;
    let end = redrive_end(&report);
    if as_json {
        output::json(&redrive_json(&report))?;
        return Ok(end);
    }
    tell_redrive(&report);
    Ok(end)
}

fn redrive_end(report: &RedriveReport) -> End {
    if report.figures.refused > 0 || !report.unreadable.is_empty() {
        End::Failed
    } else if report.stopped.is_some() {
        End::Left
    } else {
        End::Done
    }
}

fn redrive_json(report: &RedriveReport) -> Value {
    let RedriveFigures {
        letters,
        sent,
        coalesced,
        outdated,
        refused,
        requests,
    } = report.figures;
    json!({
        "letters": letters, "sent": sent, "superseded": coalesced, "outdated": outdated,
        "refused": refused, "requests": requests, "left": report.figures.left(),
        "stopped": report.stopped.as_ref().map(stopped),
        "backups": report.backups,
        "notes": report.coalesced.iter().map(|one| {
            json!({ "queue": one.queue, "job": one.job, "superseded_by": one.by })
        }).collect::<Vec<_>>(),
        "refusals": report.refused.iter().map(|one| {
            json!({ "queue": one.queue, "job": one.job, "reason": one.reason })
        }).collect::<Vec<_>>(),
        "unreadable": report.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn tell_redrive(report: &RedriveReport) {
    let figures = report.figures;
    for one in report.refused.iter().take(NOTES_SHOWN) {
        eprintln!("trawler: {}", plain(&one.reason));
    }
    tell_unreadable(&report.unreadable);
    say!("{} dead letter(s) sent again", grouped(figures.sent));
    if figures.coalesced > 0 {
        say!("{} superseded and not sent:", grouped(figures.coalesced));
        for one in report.coalesced.iter().take(NOTES_SHOWN) {
            say!("  {} by {}", one.job, one.by);
        }
    }
    if figures.outdated > 0 {
        say!(
            "{} were seen to since and are gone",
            grouped(figures.outdated)
        );
    }
    if figures.refused > 0 {
        say!("{} stay dead letters", grouped(figures.refused));
    }
    tell_backups(&report.backups);
    if let Some(why) = &report.stopped {
        say!(
            "stopped ({}); {} left; the same command goes on",
            stopped(why),
            grouped(figures.left())
        );
    }
}

fn stopped(why: &Stopped) -> String {
    match why {
        Stopped::Paused(what) => format!("{what} is paused"),
        Stopped::Drain => "told to leave".to_owned(),
    }
}

/// Shows how far a redrive is, on standard error.
struct Shower {
    every: Duration,
    terminal: bool,
    began: Duration,
}

impl Shower {
    fn new(began: Duration) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            every: SHOW_EVERY[usize::from(!terminal)],
            terminal,
            began,
        }
    }

    fn show(&self, figures: RedriveFigures, now: Duration) {
        let seconds = now.saturating_sub(self.began).as_secs_f64().max(0.001);
        let seen_to = figures.letters - figures.left();
        let a_second = seen_to as f64 / seconds;
        let remaining = if a_second > 0.0 {
            let seconds = (figures.left() as f64 / a_second).min(1e9);
            output::span(chrono::Duration::seconds(seconds as i64))
        } else {
            "not known".to_owned()
        };
        let line = format!(
            "{} of {} seen to, {a_second:.0} a second, remaining {remaining}",
            grouped(seen_to),
            grouped(figures.letters)
        );
        if self.terminal {
            eprint!("\r{line:<79}");
        } else {
            eprintln!("{line}");
        }
    }
}

impl Drop for Shower {
    fn drop(&mut self) {
        if self.terminal {
            eprint!("\r{:79}\r", "");
        }
    }
}

async fn purge(
    letters: &DeadLetters,
    selection: &Selection,
    backup: Backup,
    by: &str,
    as_json: bool,
) -> anyhow::Result<End> {
    let report = letters.purge(selection, by, backup, &Drain::new()).await?;
    let end = match (tell_unreadable(&report.unreadable), &report.stopped) {
        (End::Done, Some(_)) => End::Left,
        (end, _) => end,
    };
    if as_json {
        output::json(&json!({
            "purged": report.purged, "by": by, "left": report.left,
            "stopped": report.stopped.as_ref().map(stopped), "backups": report.backups,
        }))?;
        return Ok(end);
    }
    say!("{} dead letter(s) purged by {by}", grouped(report.purged));
    tell_backups(&report.backups);
    if let Some(why) = &report.stopped {
        say!("stopped ({}); {} left", stopped(why), grouped(report.left));
    }
    Ok(end)
}

fn tell_unreadable(unreadable: &[DocumentError]) -> End {
    for error in unreadable.iter().take(NOTES_SHOWN) {
        eprintln!("trawler: {error}");
    }
    if unreadable.is_empty() {
        End::Done
    } else {
        End::Failed
    }
}

fn shown(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
