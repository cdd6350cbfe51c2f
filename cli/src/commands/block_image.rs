//! `trawler block --image` and `trawler unblock --image`: a picture that no
//! product shows, whichever pipe it is of.

use std::collections::BTreeSet;

use serde_json::json;
use trawler_catalogue::Fence;
use trawler_core::PipeId;
use trawler_core::blocked_images::{BlockedImages, ImageAct, ImageDecision};
use trawler_core::ports::{BlobError, BlobMeta};
use trawler_core::refetch::Wanted;
use trawler_core::withheld::{Decided, Note};
use trawler_crawler::{SHOWN_AT_ONCE, Showing, Withdrawer, WithholdFailure};
use trawler_fleet::{chain, retry};

use super::withhold::{DECISIONS, newest, refused, row};
use super::{dlq, images};
use crate::args::TargetArgs;
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::output::{self, Row};

/// With hashes, which are cut but in the last column.
const DECISIONS_SHOWN: [&str; 5] = ["number", "at", "by", "why", "decision"];

/// How a list of products is put.
const LIST: BlobMeta = BlobMeta {
    content_type: "application/json",
    immutable: true,
};

pub(super) async fn run(
    loaded: &Loaded,
    act: ImageAct,
    sha256: &str,
    args: &TargetArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let documents = machine.ports.documents();
    let scratch = tempfile::tempdir()?;
    let withdrawer = Withdrawer {
        documents: &documents,
        catalogue: machine.catalogue().await?,
        clock: &*machine.ports.clock,
        scratch: scratch.path(),
    };
    let note = Note {
        by: dlq::by(&args.who),
        at: machine.ports.clock.now(),
        why: args.why.clone(),
    };
    let decided = withdrawer.decide(act, sha256, &note).await;
    let decided = decided.map_err(refused)?;
    let snapshot = machine.catalogue().await?.snapshot().await?;
    let pipes = snapshot.pipes().map(|(pipe, _)| PipeId::parse(pipe));
    let pipes: Vec<PipeId> = pipes.collect::<Result<_, _>>()?;
    let pictures = BTreeSet::from([sha256.to_owned()]);
    let Done { products, left } = match act {
        ImageAct::Block => take_away(&withdrawer, pipes, &pictures).await?,
        ImageAct::Unblock => {
            let mut done = Done::default();
            let fetchable = images::fetchable(&machine, loaded).await?;
            let (pipes, others): (Vec<_>, Vec<_>) =
                pipes.into_iter().partition(|pipe| fetchable.contains(pipe));
            for pipe in others {
                eprintln!(
                    "pipe {pipe} is not collected, or not its images: none is fetched for it"
                );
            }
            for pipe in pipes {
                fetch_again(&machine, loaded, &withdrawer, pipe, &pictures, &mut done).await?;
            }
            done
        }
    };
    let end = match left.is_empty() {
        true => End::Done,
        false => End::Left,
    };
    if as_json {
        output::json(&json!({
            "image": sha256, "blocked": act == ImageAct::Block,
            "new": decided == Decided::New, "products": products, "left": left,
        }))?;
        return Ok(end);
    }
    let already = match decided {
        Decided::New => "",
        Decided::Already => " already",
    };
    let shown = output::grouped(products);
    match act {
        ImageAct::Block => {
            say!("image {sha256} is blocked{already}: {shown} product(s) showed it and do not now");
        }
        ImageAct::Unblock => say!(
            "image {sha256} is not blocked{already}: it is fetched again for {shown} product(s), {}",
            images::whose_turn(loaded)
        ),
    }
    if !left.is_empty() {
        let pipes: Vec<&str> = left.iter().map(PipeId::as_str).collect();
        say!(
            "left: pipe(s) {}; give the same command again",
            pipes.join(", ")
        );
    }
    Ok(end)
}

/// How far the rows of all pipes follow a decision.
#[derive(Default)]
struct Done {
    products: u64,
    /// Pipes for which the command has to be given again.
    left: Vec<PipeId>,
}

/// Takes the picture out of the rows of all pipes.
async fn take_away(
    withdrawer: &Withdrawer<'_>,
    pipes: Vec<PipeId>,
    pictures: &BTreeSet<String>,
) -> anyhow::Result<Done> {
    let fence = Fence::open();
    let withdrawn = withdrawer.withdraw_from(pipes, pictures, &fence).await;
    let withdrawn = withdrawn.map_err(refused)?;
    let mut done = Done {
        products: withdrawn.rows,
        left: Vec::new(),
    };
    for (pipe, error) in withdrawn.left {
        tell_left(&pipe, &error);
        done.left.push(pipe);
    }
    Ok(done)
}

fn tell_left(pipe: &PipeId, error: &WithholdFailure) {
    eprintln!("pipe {pipe}: {}; give the same command again", chain(error));
}

/// Plans a refetch of the products whose picture it was.
async fn fetch_again(
    machine: &Machine,
    loaded: &Loaded,
    withdrawer: &Withdrawer<'_>,
    pipe: PipeId,
    pictures: &BTreeSet<String>,
    done: &mut Done,
) -> anyhow::Result<()> {
    let snapshot = withdrawer.catalogue.snapshot().await?;
    let rows = withdrawer.showing(&snapshot, &pipe, pictures, Showing::Blocked);
    let rows = match rows.await {
        Ok(rows) => rows,
        Err(error) if error.is_of_one_pipe() => {
            tell_left(&pipe, &error);
            done.left.push(pipe);
            return Ok(());
        }
        Err(error) => return Err(refused(error)),
    };
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<&String> = rows.iter().map(|row| &row.id).collect();
    let body = serde_json::to_vec(&ids)?;
    let ports = &machine.ports;
    let key = Wanted::list_key(&pipe, ports.clock.now());
    retry(&*ports.clock, BlobError::is_transient, || {
        ports.blobs.put(&key, body.clone().into(), LIST)
    })
    .await?;
    let scheduler = machine.scheduler(loaded, None);
    if scheduler
        .refetch(&pipe, Wanted::Listed { key })
        .await?
        .is_none()
    {
        eprintln!(
            "pipe {pipe}: images are being fetched again already; give the command again when that is done"
        );
        done.left.push(pipe);
        return Ok(());
    }
    done.products += rows.len() as u64;
    if rows.len() == SHOWN_AT_ONCE {
        eprintln!(
            "pipe {pipe}: {} products at once; give the command again when these are fetched",
            output::grouped(SHOWN_AT_ONCE as u64)
        );
        done.left.push(pipe);
    }
    Ok(())
}

/// Takes pictures out of the rows that a restore brought back, unless it knew
/// that they are blocked.
pub(super) async fn withdraw_restored(
    machine: &Machine,
    pipe: &PipeId,
    known: Option<i64>,
) -> anyhow::Result<()> {
    let documents = machine.ports.documents();
    let scratch = tempfile::tempdir()?;
    let withdrawer = Withdrawer {
        documents: &documents,
        catalogue: machine.catalogue().await?,
        clock: &*machine.ports.clock,
        scratch: scratch.path(),
    };
    let fence = Fence::open();
    let withdrawn = withdrawer.withdraw_blocked(pipe, known, &fence);
    withdrawn.await.map_err(refused)?;
    Ok(())
}

/// What was decided about pictures, the newest first.
pub(super) async fn decisions(loaded: &Loaded, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let found: Vec<ImageDecision> = newest(&machine, ImageDecision::ALL).await?;
    if as_json {
        output::json(&found)?;
        return Ok(End::Done);
    }
    if found.is_empty() {
        say!("nothing was decided about pictures");
        return Ok(End::Done);
    }
    let rows: Vec<Row> = found
        .iter()
        .map(|entry| {
            let verb = match entry.act {
                ImageAct::Block => "block",
                ImageAct::Unblock => "unblock",
            };
            let words = format!("{verb} {}", entry.sha256);
            row(
                &DECISIONS,
                [json!(entry.revision), json!(words)],
                &entry.note,
            )
        })
        .collect();
    output::list(&rows, &DECISIONS_SHOWN)?;
    Ok(End::Done)
}

/// What is blocked, for the list.
pub(super) async fn blocked(machine: &Machine) -> anyhow::Result<BlockedImages> {
    let found = machine.ports.documents().get(BlockedImages::KEY).await?;
    Ok(found.unwrap_or_default())
}
