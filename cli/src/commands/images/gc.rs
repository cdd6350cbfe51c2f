//! `trawler images gc`: stored images that nothing refers to any more.

use chrono::SecondsFormat;
use trawler_core::removal::Marked;
use trawler_upkeep::{RemoveOptions, Removed};

use super::shower::Shower;
use crate::args::GcArgs;
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::output::{self, bytes, grouped};

pub(super) async fn run(loaded: &Loaded, args: &GcArgs, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let grace_days = loaded.config.catalogue.grace_days(args.grace_days);
    let options = RemoveOptions {
        grace: chrono::Duration::days(grace_days.into()),
        remove: args.delete,
    };
    let shower = Shower::new();
    let upkeep = machine.upkeep(loaded).await?;
    let watch = |step| shower.show(step);
    let removed = upkeep.remove_unused(options, &watch).await?;
    drop(shower);
    if as_json {
        output::json(&removed)?;
    } else {
        tell(args, grace_days, &removed);
    }
    // What is marked, a later call removes.
    Ok(match removed.resting {
        Some(_) if args.delete => End::Left,
        Some(_) | None => End::Done,
    })
}

fn tell(args: &GcArgs, days: u16, removed: &Removed) {
    if removed.looked {
        say!("used     {}", shown(removed.used));
        say!(
            "young    {}, unused and stored within {days} day(s)",
            shown(removed.young)
        );
        say!("unused   {}", shown(removed.unused));
    }
    if removed.removed.objects > 0 || removed.spared > 0 {
        say!(
            "removed  {}; {} that were marked are spared",
            shown(removed.removed),
            grouped(removed.spared)
        );
    }
    if let Some(resting) = removed.resting {
        let until = resting.until.to_rfc3339_opts(SecondsFormat::Secs, true);
        say!("marked   {}", shown(resting.marked));
        say!("after {until} `trawler images gc --delete` removes those that are still unused");
    } else if !args.delete && removed.unused.objects > 0 {
        say!("nothing was touched; --delete marks what is unused, and removes it a day later");
    }
}

fn shown(marked: Marked) -> String {
    format!(
        "{} object(s), {}",
        grouped(marked.objects),
        bytes(marked.bytes)
    )
}
