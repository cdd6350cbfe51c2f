//! `trawler images verify`: whether stored images are what the catalogue says.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trawler_upkeep::{Extent, Finding, Upkeep, Verified, VerifyOptions};

use super::shower::Shower;
use crate::args::VerifyArgs;
use crate::config::Loaded;
use crate::end::End;
use crate::lookup::known_pipe;
use crate::output::{self, Row, bytes, grouped};
use crate::repairs::plan_repairs;

const COLUMNS: [&str; 4] = ["pipe", "product", "what", "key"];

/// Findings that a table has; JSON has a thousand.
const SHOWN_MAX: usize = 100;

pub(super) async fn run(loaded: &Loaded, args: &VerifyArgs, as_json: bool) -> anyhow::Result<End> {
    let machine = super::open(loaded, args.work).await?;
    let options = VerifyOptions {
        pipe: match &args.pipe {
            Some(text) => Some(known_pipe(&machine, text).await?),
            None => None,
        },
        extent: match args.all {
            true => Extent::All,
            false => Extent::Sample(args.sample),
        },
        repair: match args.repair {
            true => super::fetchable(&machine, loaded).await?,
            false => BTreeSet::new(),
        },
    };
    let upkeep = machine.upkeep(loaded).await?;
    let found = verify(&upkeep, &options).await?;
    let scheduler = machine.scheduler(loaded, None);
    let repairing = plan_repairs(&scheduler, &found.repairs).await?;
    repairing.left.iter().for_each(|left| eprintln!("{left}"));
    let planned = repairing.products;
    let mut after = None;
    if args.work && planned > 0 {
        super::work_here(&machine, loaded).await?;
        let look = VerifyOptions {
            repair: BTreeSet::new(),
            ..options
        };
        after = Some(verify(&upkeep, &look).await?);
    }
    if as_json {
        output::json(&json!({ "verified": found, "planned": planned, "after": after }))?;
    } else {
        tell(loaded, args, &found, planned, after.as_ref())?;
    }
    let is_sound = after.as_ref().unwrap_or(&found).is_sound();
    Ok(if is_sound { End::Done } else { End::Left })
}

async fn verify(upkeep: &Upkeep, options: &VerifyOptions) -> anyhow::Result<Verified> {
    let shower = Shower::new();
    let watch = |step| shower.show(step);
    Ok(upkeep.verify(options, &watch).await?)
}

fn tell(
    loaded: &Loaded,
    args: &VerifyArgs,
    found: &Verified,
    planned: u64,
    after: Option<&Verified>,
) -> anyhow::Result<()> {
    if !found.findings.is_empty() {
        let rows: Vec<Row> = found.findings.iter().take(SHOWN_MAX).map(row).collect();
        output::list(&rows, &COLUMNS)?;
    }
    say!(
        "of {} product(s) {} stored object(s) are sound ({}), {} missing, {} damaged",
        grouped(found.rows),
        grouped(found.objects),
        bytes(found.bytes),
        grouped(found.missing),
        grouped(found.damaged)
    );
    let products = grouped(planned);
    match after {
        Some(after) if after.is_sound() => {
            say!("fetched the images of {products} product(s) again: all are sound");
        }
        Some(after) => say!(
            "fetched the images of {products} product(s) again: {} are still missing, {} damaged",
            grouped(after.missing),
            grouped(after.damaged)
        ),
        None if planned > 0 => say!(
            "the images of {products} product(s) are fetched again: {}",
            super::whose_turn(loaded)
        ),
        None if !args.repair && !found.is_sound() => say!("--repair fetches them again"),
        None => {}
    }
    if args.repair && found.left > 0 {
        say!("{} finding(s) are left as they are", grouped(found.left));
    }
    Ok(())
}

fn row(finding: &Finding) -> Row {
    let cells: [Value; 4] = [
        json!(finding.pipe),
        json!(finding.product),
        json!(finding.what.as_str()),
        json!(finding.key),
    ];
    let named = COLUMNS.iter().map(|column| (*column).to_owned());
    named.zip(cells).collect()
}
