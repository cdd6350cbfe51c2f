//! `trawler runs show`: one run, and why it is believed or not.

use anyhow::Context;
use chrono::SecondsFormat;
use serde_json::{Value, json};
use trawler_core::RunId;
use trawler_core::decision::Decision;
use trawler_core::judge::{FACTORS, Facts, PriceMoves};
use trawler_core::raw_input::RawInput;
use trawler_core::run::Run;

use crate::args::ShowRunArgs;
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::output::{self, Row, grouped};

const COLUMNS_HEAD: [&str; 4] = ["column", "before", "now", "change"];

const PRICES_HEAD: [&str; 3] = ["price", "fell", "rose"];

/// Columns whose share of rows moved by less are left out: half a percent.
const FILL_SHOWN_FROM: f64 = 0.005;

/// The run that the user named.
pub(in crate::commands) fn parsed(text: &str) -> anyhow::Result<RunId> {
    RunId::parse(text).map_err(|error| Misuse::new(error.to_string()).into())
}

pub(super) async fn run(loaded: &Loaded, args: &ShowRunArgs, as_json: bool) -> anyhow::Result<End> {
    let id = parsed(&args.run)?;
    let machine = Machine::open(loaded).await?;
    let documents = machine.ports.documents();
    let found: Option<Run> = documents.get(&Run::key(&id)).await?;
    let run = found.ok_or_else(|| Misuse::new(format!("there is no run {id}")))?;
    let decision: Option<Decision> = documents.get(&Decision::key(&id)).await?;
    let raw: Option<RawInput> = documents.get(&RawInput::key(&id)).await?;
    if as_json {
        output::json(&json!({ "run": run, "decision": decision, "raw": raw }))?;
        return Ok(End::Done);
    }
    tell_run(&run, raw.as_ref());
    tell_decision(&run, decision.as_ref(), raw.is_some());
    if args.diff {
        match &run.facts {
            Some(facts) => tell_facts(facts).context("print what it found")?,
            None => say!("\nit had nothing to compare"),
        }
    }
    Ok(End::Done)
}

fn tell_run(run: &Run, raw: Option<&RawInput>) {
    let counts = &run.counts;
    say!("run          {}", run.id);
    say!("phase        {}", run.phase.as_str());
    if let Some((started, finished)) = run.started.zip(run.finished) {
        say!("took         {}", output::span(finished - started));
    }
    say!(
        "rows         {} read, {} rejected, {} repeated",
        grouped(counts.rows),
        grouped(counts.rejected),
        grouped(counts.duplicates)
    );
    say!(
        "applied      {} new, {} changed, {} gone; {} held",
        grouped(counts.inserts),
        grouped(counts.updates),
        grouped(counts.deletes),
        grouped(counts.held_deletes)
    );
    if let (true, Some(facts)) = (!run.quarantine.is_empty(), &run.facts) {
        say!(
            "would be     {} new, {} changed, {} gone, of {} that are stored",
            grouped(facts.inserts),
            grouped(facts.updates),
            grouped(facts.deletes),
            grouped(facts.live)
        );
    }
    if let Some(accepts) = &run.accepts {
        say!("brings in    run {accepts}");
    }
    if let Some(reread) = &run.rereads {
        say!("reads        the input of run {}", reread.run);
    }
    if let Some(restores) = &run.restores {
        say!("restores     what run {restores} left");
    }
    match raw {
        Some(raw) => say!(
            "input        {}, kept in {}",
            output::bytes(raw.bytes),
            output::bytes(raw.stored_bytes)
        ),
        None => say!("input        not kept"),
    }
    let lists = [
        ("quarantined", &run.quarantine),
        ("incomplete", &run.incomplete),
        ("remark", &run.remarks),
    ];
    for (word, lines) in lists {
        for line in lines {
            say!("{word:<12} {line}");
        }
    }
    if !run.reason.is_empty() {
        say!("reason       {}", run.reason);
    }
}

fn tell_decision(run: &Run, decision: Option<&Decision>, has_input: bool) {
    if let Some(decision) = decision {
        let at = decision.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let why = match decision.why.as_str() {
            "" => String::new(),
            why => format!(": {why}"),
        };
        let verdict = decision.verdict.as_str();
        say!("decision     {verdict} by {} at {at}{why}", decision.by);
    } else if run.awaits_decision() {
        let id = &run.id;
        let accept = match has_input {
            true => format!("`trawler runs accept {id}` or "),
            false => String::new(),
        };
        say!("decision     none yet: {accept}`trawler runs reject {id}`");
    }
}

fn tell_facts(facts: &Facts) -> anyhow::Result<()> {
    say!("");
    tell_prices(&facts.prices)?;
    say!("");
    let columns: Vec<Row> = columns(facts);
    if columns.is_empty() {
        say!("no column changed in how many rows have it");
    } else {
        output::list(&columns, &COLUMNS_HEAD)?;
    }
    say!(
        "{} of {} rows have no price or the price 0",
        grouped(facts.unpriced),
        grouped(facts.filled.read)
    );
    let examples = &facts.examples;
    for (word, ids) in [
        ("new", &examples.inserts),
        ("changed", &examples.updates),
        ("gone", &examples.deletes),
    ] {
        if !ids.is_empty() {
            say!("{word:<8} such as {}", shown(ids));
        }
    }
    for moved in &facts.prices.examples {
        let id = shown(std::slice::from_ref(&moved.id));
        say!("price    of {id}: {} -> {}", moved.before, moved.after);
    }
    Ok(())
}

/// Ids come from partners: no control character reaches the terminal.
fn shown(ids: &[String]) -> String {
    let plain = |id: &String| -> String {
        let chars = id.chars();
        chars
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    };
    ids.iter().map(plain).collect::<Vec<_>>().join(", ")
}

fn tell_prices(prices: &PriceMoves) -> anyhow::Result<()> {
    say!(
        "prices of {} known products compared, {} of them much as they were",
        grouped(prices.compared),
        grouped(prices.still())
    );
    let steps = FACTORS.iter().zip(prices.fell.iter().zip(&prices.rose));
    let moved = steps.filter(|(_, (fell, rose))| **fell + **rose > 0);
    let rows: Vec<Row> = moved
        .map(|((factor, ..), (fell, rose))| {
            let cells: [Value; 3] = [
                json!(format!("by more than {factor}")),
                json!(grouped(*fell)),
                json!(grouped(*rose)),
            ];
            named(&PRICES_HEAD, cells)
        })
        .collect();
    if !rows.is_empty() {
        output::list(&rows, &PRICES_HEAD)?;
    }
    Ok(())
}

/// Columns whose fill moved enough to be seen, those that lost most first.
fn columns(facts: &Facts) -> Vec<Row> {
    let Some(before) = &facts.before else {
        return Vec::new();
    };
    let names = before
        .filled
        .columns
        .keys()
        .chain(facts.filled.columns.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    let mut moved: Vec<(f64, &String)> = names
        .into_iter()
        .map(|name| (facts.filled.share(name) - before.filled.share(name), name))
        .filter(|(change, _)| change.abs() >= FILL_SHOWN_FROM)
        .collect();
    moved.sort_by(|one, other| one.0.total_cmp(&other.0));
    let percent = |share: f64| json!(format!("{:.1} %", share * 100.0));
    let row = |(change, name): (f64, &String)| {
        let cells: [Value; 4] = [
            json!(name),
            percent(before.filled.share(name)),
            percent(facts.filled.share(name)),
            json!(format!("{:+.1}", change * 100.0)),
        ];
        named(&COLUMNS_HEAD, cells)
    };
    moved.into_iter().map(row).collect()
}

fn named<const N: usize>(head: &[&str; N], cells: [Value; N]) -> Row {
    let names = head.iter().map(|name| (*name).to_owned());
    names.zip(cells).collect()
}
