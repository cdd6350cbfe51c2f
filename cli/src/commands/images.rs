//! `trawler images`: the role, and the upkeep of what is stored.

mod gc;
mod retry;
mod shower;
mod stats;
mod verify;

use std::collections::BTreeSet;

use trawler_core::PipeId;

use crate::args::{ImagesArgs, ImagesCommand};
use crate::compose::{Machine, Purpose};
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::order::{Order, Plan, Role, Until};
use crate::progress::Show;
use crate::work;

pub(crate) async fn run(loaded: Loaded, args: &ImagesArgs, as_json: bool) -> anyhow::Result<End> {
    match &args.command {
        None => super::roles::images(loaded, &args.worker).await,
        Some(ImagesCommand::Stats(args)) => stats::run(&loaded, args, as_json).await,
        Some(ImagesCommand::Retry(args)) => retry::run(&loaded, args, as_json).await,
        Some(ImagesCommand::Gc(args)) => gc::run(&loaded, args, as_json).await,
        Some(ImagesCommand::Verify(args)) => verify::run(&loaded, args, as_json).await,
    }
}

/// A machine that may work, if that was asked for.
pub(super) async fn open(loaded: &Loaded, works: bool) -> anyhow::Result<Machine> {
    if works && loaded.config.is_fleet() {
        let why = "--work is for one machine: in a fleet its workers do it";
        return Err(Misuse::new(why).into());
    }
    let purpose = if works { Purpose::Work } else { Purpose::Look };
    Machine::open_for(loaded, purpose).await
}

/// Pipes whose images can be fetched now.
pub(super) async fn fetchable(
    machine: &Machine,
    loaded: &Loaded,
) -> anyhow::Result<BTreeSet<PipeId>> {
    // Says which pipes there are to choose from, where there are none.
    super::pipes::current(machine).await?;
    Ok(machine.scheduler(loaded, None).fetchable().await?)
}

/// Works here until nothing is left; says whether all of it was done.
pub(super) async fn work_here(machine: &Machine, loaded: &Loaded) -> anyhow::Result<bool> {
    let order = Order {
        roles: Role::ALL,
        plan: Plan::Now(Vec::new()),
        until: Until::Idle,
        show: Show::Yes,
    };
    let worked = work::work(machine, loaded, order).await?;
    for problem in &worked.problems {
        eprintln!("problem: {problem}");
    }
    let is_left = worked.parked > 0 || worked.notice.is_some() || worked.gave_up() > 0;
    Ok(!is_left && worked.problems.is_empty())
}

/// Who does what was planned.
pub(super) fn whose_turn(loaded: &Loaded) -> &'static str {
    if loaded.config.is_fleet() {
        "the workers of the fleet do it"
    } else {
        "`trawler run` does it, now or when it is started"
    }
}

/// Counts by status in words.
fn told(statuses: &std::collections::BTreeMap<&'static str, u64>) -> String {
    let told = statuses
        .iter()
        .map(|(status, count)| format!("{} {status}", crate::output::grouped(*count)));
    told.collect::<Vec<_>>().join(", ")
}
