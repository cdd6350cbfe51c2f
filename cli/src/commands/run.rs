//! `trawler run`: collects what is due, once or for ever.

use serde_json::json;
use trawler_core::PipeId;
use trawler_core::ports::Notice;
use trawler_core::run::{Run, RunPhase};
use trawler_scheduler::SchedulerError;

use super::{dry_run, enqueue, runs, status};
use crate::args::RunArgs;
use crate::compose::{Machine, Purpose};
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup;
use crate::order::{Order, Plan, Role, Until};
use crate::output::{self, Row};
use crate::progress::Show;
use crate::work::{self, Worked};

pub(crate) async fn run(loaded: Loaded, args: &RunArgs, as_json: bool) -> anyhow::Result<End> {
    if let (true, Some(pipe)) = (args.dry_run, &args.pipe) {
        return dry_run::of_pipe(&loaded, pipe, as_json).await;
    }
    if let (true, Some(pipe)) = (args.enqueue, &args.pipe) {
        return enqueue::of_pipe(loaded, pipe, as_json).await;
    }
    let machine = Machine::open_for(&loaded, Purpose::Work).await?;
    let plan = match &args.pipe {
        Some(text) => {
            let pipe = lookup::current_pipe(&machine, text).await?;
            check_collected(&machine, &loaded, &pipe).await?;
            Plan::Now(vec![pipe])
        }
        None => Plan::Due,
    };
    super::roles::check_pipes(&machine, &loaded).await?;
    let until = if args.once { Until::Idle } else { Until::Told };
    let started = machine.ports.clock.now();
    let order = Order {
        roles: Role::ALL,
        plan,
        until: until.clone(),
        show: Show::Yes,
    };
    let worked = work::work(&machine, &loaded, order).await?;
    let touched: Vec<Run> = machine
        .runs("runs/")
        .await?
        .into_iter()
        .filter(|run| run.finished.is_none_or(|finished| finished >= started))
        .collect();
    let end = end_of(&worked, &touched, &until);
    if as_json {
        output::json(&json!({
            "runs": touched, "parked": worked.parked, "problems": worked.problems,
            "left": worked.notice.map(|notice| format!("{notice:?}")),
            "figures": machine.metrics.snapshot(),
        }))?;
        return Ok(end);
    }
    if touched.is_empty() {
        say!("nothing was due");
    } else {
        let rows: Vec<Row> = touched.iter().map(runs::row).collect();
        output::list(&rows, &runs::COLUMNS)?;
    }
    if touched.iter().any(|run| run.phase == RunPhase::Failed) {
        say!(
            "a failed run is in `trawler dlq list`; mend its cause, then `trawler dlq redrive --pipe ID`"
        );
    }
    if touched.iter().any(Run::awaits_decision) {
        say!(
            "what is held or quarantined waits for you: `trawler runs show RUN --diff`, then `trawler runs accept RUN` or `trawler runs reject RUN`"
        );
    }
    if worked.parked > 0 {
        say!("{} job(s) are parked until later:", worked.parked);
        status::print_parked(&machine).await?;
    }
    for problem in &worked.problems {
        say!("problem: {problem}");
    }
    if let Some(notice) = worked.notice {
        say!(
            "left {}; what was in hand is back in the queue",
            why_left(notice, &until)
        );
    }
    Ok(end)
}

/// Which pipe may run is the scheduler's word; asked here, it is misuse.
pub(super) async fn check_collected(
    machine: &Machine,
    loaded: &Loaded,
    pipe: &PipeId,
) -> anyhow::Result<()> {
    match machine.scheduler(loaded, None).check_collected(pipe).await {
        Ok(()) => Ok(()),
        Err(error @ SchedulerError::NotCollected { .. }) => {
            Err(Misuse::new(error.to_string()).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Why it ended before anybody else would have ended it.
fn why_left(notice: Notice, until: &Until) -> &'static str {
    match (notice, until) {
        (Notice::Signal, Until::Told) => "on request",
        (Notice::Signal, Until::Idle) => "on request, before everything was done",
        (Notice::SpotInterruption, _) => "because the instance is taken back",
        (Notice::Rebalance, _) => "because the instance may soon be taken back",
        (Notice::ScaleIn, _) => "because the group is shrinking",
    }
}

/// The exit code tells failure: 1 when a run failed or a job was buried, 3
/// when something is parked, held or left for the next start. To be told to
/// leave is how a run that stays ends, and no failure.
fn end_of(worked: &Worked, touched: &[Run], until: &Until) -> End {
    let failed = touched.iter().any(|run| run.phase == RunPhase::Failed);
    let is_left = |run: &Run| !run.is_complete() || run.phase == RunPhase::Quarantined;
    let incomplete = touched.iter().any(is_left);
    let left_early = worked.notice.is_some() && *until == Until::Idle;
    if failed || !worked.problems.is_empty() || worked.gave_up() > 0 {
        End::Failed
    } else if worked.parked > 0 || left_early || incomplete {
        End::Left
    } else {
        End::Done
    }
}
