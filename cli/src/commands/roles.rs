//! `trawler schedule`, `trawler crawl`, `trawler images`: the roles of a fleet,
//! a process each. They leave on SIGTERM, SIGINT and the platform's notices,
//! and what they say is for a journal.

use trawler_aws::Function;
use trawler_core::ports::SecretError;
use trawler_core::secret::SecretRef;
use trawler_fleet::{PipeError, chain};

use super::function;
use crate::args::{ScheduleArgs, WorkerArgs};
use crate::compose::{Machine, Purpose};
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::order::{Order, Plan, Role, Until};
use crate::output;
use crate::progress::Show;
use crate::work;

/// Secrets that are named when they are missing.
const MISSING_SHOWN: usize = 20;

pub(crate) async fn schedule(
    loaded: Loaded,
    args: &ScheduleArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    if !args.once {
        if let Some(function) = Function::from_environment() {
            return function::run(loaded, function).await;
        }
        return work(&loaded, Role::Schedule).await;
    }
    let machine = Machine::open_for(&loaded, Purpose::Work).await?;
    check_pipes(&machine, &loaded).await?;
    let groups = machine.capacity(&loaded).await?;
    let report = machine.scheduler(&loaded, groups.as_ref()).tick().await?;
    if let Some(sender) = machine.take_metrics_sender() {
        // Stopped at once: it sends what there is.
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        sender.run(stop).await;
    }
    if as_json {
        output::json(&report)?;
    } else {
        say!(
            "planned {} run(s), sent {} crawl and {} image job(s), planned {} fold(s)",
            report.runs_planned,
            report.jobs_sent + report.jobs_unparked + report.jobs_resent,
            report.image_jobs_sent,
            report.folds_planned
        );
        for problem in &report.problems {
            say!("problem: {problem}");
        }
    }
    Ok(if report.problems.is_empty() {
        End::Done
    } else {
        End::Failed
    })
}

pub(crate) async fn crawl(mut loaded: Loaded, args: &WorkerArgs) -> anyhow::Result<End> {
    if let Some(slots) = args.slots {
        loaded.config.workers.crawl_slots = slots.into();
    }
    work(&loaded, Role::Crawl).await
}

pub(crate) async fn images(mut loaded: Loaded, args: &WorkerArgs) -> anyhow::Result<End> {
    if let Some(slots) = args.slots {
        loaded.config.workers.image_slots = slots.into();
    }
    work(&loaded, Role::Images).await
}

/// Works until told to leave. What jobs came to is in the ledger: to have been
/// told is no failure, whatever was given up meanwhile.
async fn work(loaded: &Loaded, role: Role) -> anyhow::Result<End> {
    let machine = Machine::open_for(loaded, Purpose::Work).await?;
    check_pipes(&machine, loaded).await?;
    let name = role.as_str();
    let version = env!("CARGO_PKG_VERSION");
    let environment = loaded
        .config
        .environment
        .as_ref()
        .map_or("local", |environment| environment.as_str());
    tracing::info!(
        role = name,
        environment,
        version,
        "{name} of {environment} has started"
    );
    let order = Order {
        roles: &[role],
        plan: Plan::Due,
        until: Until::Told,
        show: Show::Journal,
    };
    let worked = work::work(&machine, loaded, order).await?;
    let why = worked
        .notice
        .map_or("idle".to_owned(), |notice| format!("{notice:?}"));
    tracing::info!(role = name, environment, %why, "{name} of {environment} has left ({why})");
    Ok(End::Done)
}

/// Before the first message is taken: there are pipes, and what is missing of
/// their secrets on this machine is told. A secret that is missing fails the
/// runs that need it and nobody else's.
pub(crate) async fn check_pipes(machine: &Machine, loaded: &Loaded) -> anyhow::Result<()> {
    let set = match machine.pipes.current().await {
        Ok(set) => set,
        Err(error @ PipeError::NothingPublished) => {
            let environment = loaded.config.environment.as_ref();
            let environment = environment.map_or("local", |name| name.as_str());
            return Err(Misuse::new(format!("environment {environment}: {error}")).into());
        }
        Err(error) => return Err(error.into()),
    };
    let mut missing = 0;
    for pipe in set.pipes.values() {
        for (key, reference) in pipe.secrets() {
            // A parameter costs a call; it is asked for when it is needed.
            if matches!(reference, SecretRef::Ssm(_)) && machine.aws.is_some() {
                continue;
            }
            let Err(error @ SecretError::Missing { .. }) = machine.secrets.resolve(reference).await
            else {
                continue;
            };
            missing += 1;
            if missing <= MISSING_SHOWN {
                let why = chain(&error);
                tracing::warn!(pipe = %pipe.id, %key, "pipe {}: {key}: {why}; its runs will fail here", pipe.id);
            }
        }
    }
    if missing > MISSING_SHOWN {
        tracing::warn!("{} more secrets are missing", missing - MISSING_SHOWN);
    }
    Ok(())
}
