//! `trawler restore`: a pipe's rows as an earlier run left them.

use anyhow::Context;
use trawler_upkeep::{RestoreError, RestoreOptions, Restored};

use super::runs::parsed;
use super::{block_image, dlq};
use crate::args::RestoreArgs;
use crate::compose::{self, Machine};
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup::known_pipe;
use crate::output::{self, grouped};

pub(crate) async fn run(loaded: &Loaded, args: &RestoreArgs, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let pipe = known_pipe(&machine, &args.pipe).await?;
    let to = parsed(&args.to)?;
    if to.pipe != pipe {
        return Err(Misuse::new(format!("run {to} is not of pipe {pipe}")).into());
    }
    let options = RestoreOptions {
        to,
        by: dlq::by(&args.who),
        why: args.why.clone(),
        kept: loaded.config.catalogue.restorable(),
        sort: compose::sort_limits(&loaded.config),
    };
    let upkeep = machine.upkeep(loaded).await?;
    let restored = match args.dry_run {
        true => upkeep.look_at_restore(&options).await,
        false => upkeep.restore(&options, machine.pauses()).await,
    };
    let restored = restored.map_err(refused)?;
    // Also of a restore that is done already: who was killed gives it again.
    if !args.dry_run {
        let known = restored.blocked_images;
        let withdrawn = block_image::withdraw_restored(&machine, &pipe, known).await;
        withdrawn.context("the rows are back, and some may show a picture that is blocked; give the same command again")?;
    }
    if as_json {
        output::json(&restored)?;
    } else {
        tell(&restored, args.dry_run);
    }
    Ok(End::Done)
}

fn tell(restored: &Restored, is_dry: bool) {
    let (to, pipe) = (&restored.to, &restored.to.pipe);
    let rows = format!(
        "{} row(s) come back, {} become what they were, {} go; {} rows become {}",
        grouped(restored.inserts),
        grouped(restored.updates),
        grouped(restored.deletes),
        grouped(restored.rows_before),
        grouped(restored.rows_after)
    );
    let examples = &restored.examples;
    let show_examples = || {
        for (word, ids) in [
            ("back", &examples.inserts),
            ("changed", &examples.updates),
            ("gone", &examples.deletes),
        ] {
            if !ids.is_empty() {
                let ids: Vec<String> = ids.iter().map(|id| super::trial::plain(id)).collect();
                say!("{word:<8} such as {}", ids.join(", "));
            }
        }
    };
    match &restored.run {
        None if restored.inserts + restored.updates + restored.deletes == 0 => {
            say!("pipe {pipe} is as run {to} left it: there is nothing to restore");
        }
        Some(run) => {
            say!("pipe {pipe} is as run {to} left it, by run {run}: {rows}");
            show_examples();
            say!("the pipe is paused: `trawler resume --pipe {pipe}` when its next run is right");
        }
        None => {
            debug_assert!(is_dry, "only a dry run leaves differences");
            say!(
                "a restore to run {to} would undo run {} and all after it: {rows}",
                restored.replaced_by
            );
            show_examples();
        }
    }
}

/// What cannot be restored is misuse; what did not answer is not.
fn refused(error: RestoreError) -> anyhow::Error {
    match error {
        RestoreError::Cannot(error) => Misuse::new(error.to_string()).into(),
        error @ (RestoreError::NoVersion { .. } | RestoreError::Overtaken { .. }) => {
            Misuse::new(error.to_string()).into()
        }
        error => error.into(),
    }
}
