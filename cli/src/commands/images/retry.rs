//! `trawler images retry`: failed images once more.

use serde_json::{Value, json};
use trawler_core::PipeId;
use trawler_core::image::ImageStatus;
use trawler_core::recheck::is_failure;
use trawler_core::refetch::{Ages, Failed, Wanted};
use trawler_scheduler::Scheduler;
use trawler_upkeep::FailedImages;

use super::shower::Shower;
use crate::args::RetryArgs;
use crate::commands::run::check_collected;
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup::current_pipe;
use crate::output::{self, Row, grouped};

const COLUMNS: [&str; 5] = ["pipe", "failed", "due", "job", "statuses"];

/// What was found of a pipe, and the job that fetches what is due.
struct Found {
    pipe: PipeId,
    images: FailedImages,
    job: Option<String>,
}

pub(super) async fn run(loaded: &Loaded, args: &RetryArgs, as_json: bool) -> anyhow::Result<End> {
    let statuses = statuses(&args.status)?;
    let machine = super::open(loaded, args.work).await?;
    let pipes = match &args.pipe {
        Some(text) => vec![current_pipe(&machine, text).await?],
        None => super::fetchable(&machine, loaded)
            .await?
            .into_iter()
            .collect(),
    };
    if let (Some(_), [pipe], false) = (&args.pipe, &pipes[..], args.dry_run) {
        check_collected(&machine, loaded, pipe).await?;
    }
    let found = look(&machine, loaded, args, &statuses, pipes).await?;
    let is_planned = |found: &Found| found.job.is_some();
    let is_busy = |found: &Found| found.images.due > 0 && found.job.is_none();
    let mut is_left = !args.dry_run && found.iter().any(is_busy);
    if args.work && found.iter().any(is_planned) {
        is_left |= !super::work_here(&machine, loaded).await?;
    }
    tell(loaded, args, &found, as_json)?;
    Ok(if is_left { End::Left } else { End::Done })
}

/// Counts what failed, pipe by pipe, and plans what is due of it.
async fn look(
    machine: &Machine,
    loaded: &Loaded,
    args: &RetryArgs,
    statuses: &[ImageStatus],
    pipes: Vec<PipeId>,
) -> anyhow::Result<Vec<Found>> {
    let upkeep = machine.upkeep(loaded).await?;
    let scheduler = machine.scheduler(loaded, None);
    let snapshot = upkeep.catalogue.snapshot().await?;
    let until = machine.ports.clock.now();
    let shower = Shower::new();
    let watch = |step| shower.show(step);
    let mut found = Vec::new();
    for pipe in pipes {
        let failed = Failed {
            statuses: statuses.to_vec(),
            which: match args.all {
                true => Ages::Any,
                false => scheduler.due_retries(&pipe, until).await?,
            },
        };
        let images = upkeep.failed(&snapshot, &pipe, &failed, &watch).await?;
        let job = match images.due > 0 && !args.dry_run {
            true => plan(&scheduler, &pipe, failed).await?,
            false => None,
        };
        if images.failed > 0 {
            found.push(Found { pipe, images, job });
        }
    }
    Ok(found)
}

async fn plan(
    scheduler: &Scheduler,
    pipe: &PipeId,
    failed: Failed,
) -> anyhow::Result<Option<String>> {
    let job = scheduler.refetch(pipe, Wanted::Failed(failed)).await?;
    if job.is_none() {
        eprintln!(
            "pipe {pipe}: images are being fetched again already; try again when that is done"
        );
    }
    Ok(job.map(|job| job.to_string()))
}

fn statuses(texts: &[String]) -> anyhow::Result<Vec<ImageStatus>> {
    let failures = || {
        ImageStatus::ALL
            .into_iter()
            .filter(|status| is_failure(*status))
    };
    let parse = |text: &String| {
        let status = failures().find(|status| status.as_str() == text);
        status.ok_or_else(|| {
            let known: Vec<&str> = failures().map(ImageStatus::as_str).collect();
            let known = known.join(", ");
            Misuse::new(format!("{text:?} is no failure; there are: {known}")).into()
        })
    };
    texts.iter().map(parse).collect()
}

fn tell(loaded: &Loaded, args: &RetryArgs, found: &[Found], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let of_pipe = |found: &Found| {
            json!({
                "pipe": found.pipe, "failed": found.images.failed, "due": found.images.due,
                "statuses": found.images.statuses, "job": found.job,
            })
        };
        let pipes: Vec<Value> = found.iter().map(of_pipe).collect();
        return output::json(&json!({ "pipes": pipes, "dry_run": args.dry_run }));
    }
    if found.is_empty() {
        say!("no image has failed");
        return Ok(());
    }
    let rows: Vec<Row> = found.iter().map(row).collect();
    output::list(&rows, &COLUMNS)?;
    let planned = found
        .iter()
        .filter(|found| found.job.is_some() || args.dry_run);
    let due: u64 = planned.map(|found| found.images.due).sum();
    let what = match (args.dry_run, args.work) {
        _ if due == 0 => "are due".to_owned(),
        (true, _) => "would be tried again".to_owned(),
        (false, true) => "were tried again".to_owned(),
        (false, false) => format!("are tried again: {}", super::whose_turn(loaded)),
    };
    say!("{} failed image(s) {what}", grouped(due));
    Ok(())
}

fn row(found: &Found) -> Row {
    let cells: [Value; 5] = [
        json!(found.pipe),
        json!(grouped(found.images.failed)),
        json!(grouped(found.images.due)),
        json!(found.job.as_deref().unwrap_or("none")),
        json!(super::told(&found.images.statuses)),
    ];
    let named = COLUMNS.iter().map(|column| (*column).to_owned());
    named.zip(cells).collect()
}
