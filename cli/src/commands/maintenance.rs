//! `trawler maintenance`: windows in which a target is not to be touched.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use trawler_core::maintenance::{Declared, MAINTENANCE, Target};
use trawler_fleet::{Maintenance, MaintenanceError};

use super::pipes;
use crate::args::{AddWindow, MaintenanceCommand, WindowTarget};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup::{current_pipe, instant};
use crate::output::{self, Row};

const COLUMNS: [&str; 6] = ["id", "target", "from", "until", "now", "reason"];

pub(crate) async fn run(
    loaded: &Loaded,
    command: &MaintenanceCommand,
    as_json: bool,
) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    match command {
        MaintenanceCommand::Add(window) => add(&machine, window, as_json).await,
        MaintenanceCommand::List => list(&machine, as_json).await,
        MaintenanceCommand::Remove { id } => remove(&machine, id, as_json).await,
    }
}

async fn add(machine: &Machine, window: &AddWindow, as_json: bool) -> anyhow::Result<End> {
    let target = target(machine, &window.target).await?;
    let now = machine.ports.clock.now();
    let from = match &window.from {
        Some(text) => instant(text, now, chrono::Duration::abs)?,
        None => now,
    };
    let until = instant(&window.until, now, chrono::Duration::abs)?;
    let maintenance = machine.pauses().maintenance();
    let declared = maintenance.declare(target, from, until, &window.reason);
    let declared = match declared.await {
        Err(error @ MaintenanceError::NoTime { .. }) => {
            return Err(Misuse::new(error.to_string()).into());
        }
        declared => declared?,
    };
    if as_json {
        output::json(&declared)?;
    } else {
        let Declared { id, target, .. } = &declared;
        say!(
            "{target} is in maintenance from {} until {} ({id})",
            shown(from),
            shown(until)
        );
    }
    Ok(End::Done)
}

async fn target(machine: &Machine, target: &WindowTarget) -> anyhow::Result<Target> {
    if let Some(text) = &target.host {
        return Target::host(text).ok_or_else(|| {
            let hint = "write it as in URLs, without scheme, port and path: img.example.com";
            Misuse::new(format!("{text:?} is no host; {hint}")).into()
        });
    }
    if let Some(text) = &target.pipe {
        return Ok(Target::Pipe(current_pipe(machine, text).await?));
    }
    Ok(if target.catalogue {
        Target::Catalogue
    } else {
        Target::Fleet
    })
}

async fn list(machine: &Machine, as_json: bool) -> anyhow::Result<End> {
    let declared = machine.pauses().maintenance().list().await?;
    let set = pipes::current(machine).await?;
    let partners: Vec<_> = set
        .pipes
        .values()
        .filter(|pipe| !pipe.maintenance.is_empty())
        .collect();
    let now = machine.ports.clock.now();
    if as_json {
        let of_pipes: serde_json::Map<String, serde_json::Value> = partners
            .iter()
            .map(|pipe| (pipe.id.to_string(), json!(pipe.maintenance)))
            .collect();
        output::json(&json!({ "declared": declared, "pipes": of_pipes }))?;
        return Ok(End::Done);
    }
    if declared.is_empty() && partners.is_empty() {
        say!("no maintenance is declared");
    }
    let rows: Vec<Row> = declared.iter().map(|window| row(window, now)).collect();
    if !rows.is_empty() {
        output::list(&rows, &COLUMNS)?;
    }
    for pipe in partners {
        for window in &pipe.maintenance {
            let days = match window.days.as_slice() {
                [] => String::new(),
                days => format!("{} ", days.join(",")),
            };
            let zone = match window.days.as_slice() {
                [] => String::new(),
                _ => format!(" {}", pipe.schedule.zone),
            };
            say!(
                "pipe {}: {days}{} to {}{zone} {}",
                pipe.id,
                window.from,
                window.until,
                window.reason
            );
        }
    }
    Ok(End::Done)
}

fn row(window: &Declared, now: DateTime<Utc>) -> Row {
    let state = if now < window.from {
        "to come"
    } else if now < window.until {
        "yes"
    } else {
        "over"
    };
    let cells = [
        window.id.clone(),
        window.target.to_string(),
        shown(window.from),
        shown(window.until),
        state.to_owned(),
        window.reason.clone(),
    ];
    COLUMNS
        .iter()
        .zip(cells)
        .map(|(column, cell)| ((*column).to_owned(), json!(cell)))
        .collect()
}

async fn remove(machine: &Machine, id: &str, as_json: bool) -> anyhow::Result<End> {
    let maintenance = machine.pauses().maintenance();
    let Some(window) = maintenance.remove(id).await? else {
        let hint = "`trawler maintenance list` shows the ids";
        return Err(Misuse::new(format!("there is no window {id}; {hint}")).into());
    };
    machine
        .ports
        .clock
        .sleep(Maintenance::FORGOTTEN_AFTER)
        .await;
    // Those that another window keeps waiting wait again.
    let reason = format!("{MAINTENANCE}{}", window.target);
    let woken = machine.ports.jobs().wake(&reason).await?;
    if as_json {
        output::json(&json!({ "removed": window, "woken": woken }))?;
    } else {
        say!(
            "the maintenance of {} is off; {woken} job(s) go on with the next tick",
            window.target
        );
    }
    Ok(End::Done)
}

fn shown(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
