//! `trawler simulate`: what a fleet would do and cost. Reads what it is given,
//! writes the page, and leaves the rest to the simulator; it needs no folder,
//! no account and no network.

use std::fs;
use std::path::Path;

use anyhow::Context;
use trawler_simulator::{
    Facts, OldBill, PolicyKind, Study, StudyOptions, Trace, WorkloadKind, html, text,
};

use crate::args::SimulateArgs;
use crate::end::{End, Misuse};
use crate::{output, say};

/// Largest file that is read: a trace of a thousand days of 5,000 pipes.
const FILE_BYTES_MAX: u64 = 1 << 30;

pub(crate) async fn run(args: SimulateArgs, as_json: bool) -> anyhow::Result<End> {
    if args.facts {
        say::text(Facts::embedded());
        return Ok(End::Done);
    }
    let page = args.html.clone();
    let trace = read(args.trace.as_deref(), Trace::read)?;
    let facts = read(args.prices.as_deref(), Facts::overridden)?.unwrap_or_default();
    let bill = read(args.bill.as_deref(), OldBill::read)?;
    let study = Study::new(options(args), facts, trace);
    // It computes for seconds and more, and has nothing to wait for.
    let report = tokio::task::spawn_blocking(move || study.run())
        .await
        .context("simulate")?;
    let report = match &bill {
        Some(bill) => report.beside(bill),
        None => report,
    };
    if let Some(page) = &page {
        fs::write(page, html(&report)).with_context(|| format!("write {}", page.display()))?;
    }
    match as_json {
        true => output::json(&report)?,
        false => say::text(&text(&report)),
    }
    Ok(End::Done)
}

fn options(args: SimulateArgs) -> StudyOptions {
    let all_or = |some: Vec<PolicyKind>| match some.is_empty() {
        true => PolicyKind::ALL.to_vec(),
        false => some,
    };
    StudyOptions {
        pipes: args.pipes,
        products: args.products,
        days: args.days,
        seed: args.seed,
        burst: args.burst,
        policies: all_or(args.policy),
        workloads: match args.workload.is_empty() {
            true => WorkloadKind::GENERATED.to_vec(),
            false => args.workload,
        },
    }
}

/// Reads a file that was named, if one was. What is wrong with it is for the
/// user to change.
fn read<T, E>(
    path: Option<&Path>,
    parse: impl FnOnce(&str, &str) -> Result<T, E>,
) -> anyhow::Result<Option<T>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let Some(path) = path else { return Ok(None) };
    let name = path.display().to_string();
    let misuse = |why: String| Misuse::new(format!("{name}: {why}"));
    let bytes = fs::metadata(path).map_err(|error| misuse(error.to_string()))?;
    if bytes.len() > FILE_BYTES_MAX {
        let why = format!("is larger than {}", output::bytes(FILE_BYTES_MAX));
        return Err(misuse(why).into());
    }
    let text = fs::read_to_string(path).map_err(|error| misuse(error.to_string()))?;
    let parsed = parse(&text, &name);
    let parsed = parsed.map_err(|error| Misuse::new(format!("{:#}", anyhow::Error::new(error))))?;
    Ok(Some(parsed))
}
