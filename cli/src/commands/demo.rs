//! `trawler demo`: synthetic shops on loopback, the whole run twice, then a
//! summary. The second run shows that unchanged costs nothing.

mod shops;
mod summary;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use trawler_core::PipeId;
use trawler_core::run::{Run, RunPhase};

use crate::args::DemoArgs;
use crate::compose::{Machine, Purpose};
use crate::config::{self, Loaded};
use crate::end::End;
use crate::order::{Order, Plan, Role, Until};
use crate::progress::Show;
use crate::work;
use shops::DemoShops;
use summary::{Pass, Summary};

/// Marks a folder that a demo may empty.
const MARKER: &str = ".trawler-demo";

pub(crate) async fn run(args: &DemoArgs, as_json: bool) -> anyhow::Result<End> {
    fresh_folder(&args.out)?;
    let shops = DemoShops::start(args).await?;
    shops.write_configuration(&args.out)?;
    let loaded = config::load(&args.out).map_err(crate::end::Misuse::config)?;
    let machine = Machine::open_for(&loaded, Purpose::Work).await?;
    let mut passes = Vec::new();
    for number in 1..=2 {
        if !as_json {
            eprintln!(
                "run {number} of 2: {} shops of {} products ...",
                args.shops, args.products
            );
        }
        passes.push(pass(&machine, &loaded, &shops, as_json).await?);
    }
    shops.stop().await;
    let summary = Summary::new(args, &machine, passes).await?;
    summary.print(as_json)?;
    Ok(if summary.is_good() {
        End::Done
    } else {
        End::Failed
    })
}

/// One whole run of every shop.
async fn pass(
    machine: &Machine,
    loaded: &Loaded,
    shops: &DemoShops,
    as_json: bool,
) -> anyhow::Result<Pass> {
    let pipes: Vec<PipeId> = loaded.pipes.iter().map(|pipe| pipe.id.clone()).collect();
    let (figures, asked) = (machine.metrics.snapshot(), shops.asked());
    let version = machine.catalogue_figures().await?.version;
    let started = (machine.ports.clock.now(), Instant::now());
    let show = if as_json { Show::No } else { Show::Yes };
    let order = Order {
        roles: Role::ALL,
        plan: Plan::Now(pipes),
        until: Until::Idle,
        show,
    };
    let worked = work::work(machine, loaded, order).await?;
    if let Some(notice) = worked.notice {
        bail!("the demo was told to leave ({notice:?}) before its end");
    }
    let took = started.1.elapsed();
    let runs: Vec<Run> = machine
        .runs("runs/")
        .await?
        .into_iter()
        .filter(|run| run.planned >= started.0)
        .collect();
    if let Some(failed) = runs.iter().find(|run| run.phase != RunPhase::Finished) {
        bail!(
            "run {} ended as {}: {}",
            failed.id,
            failed.phase.as_str(),
            failed.reason
        );
    }
    let commits = machine.catalogue_figures().await?.version - version;
    Pass::new(
        took,
        runs,
        commits,
        &figures,
        &machine.metrics.snapshot(),
        asked,
        shops.asked(),
    )
}

/// An empty folder that carries the marker. One that no demo wrote is left as
/// it is.
fn fresh_folder(out: &Path) -> anyhow::Result<()> {
    let marker = out.join(MARKER);
    let in_use = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if in_use && !marker.exists() {
        bail!(
            "{} holds something that no demo wrote; name another folder with --out",
            out.display()
        );
    }
    if in_use {
        fs::remove_dir_all(out).with_context(|| format!("empty {}", out.display()))?;
    }
    fs::create_dir_all(out).with_context(|| format!("create {}", out.display()))?;
    fs::write(
        &marker,
        "written by `trawler demo`, which empties this folder\n",
    )
    .with_context(|| format!("write {}", marker.display()))
}
