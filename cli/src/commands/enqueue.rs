//! `trawler run --pipe ID --enqueue`: one run now, which the workers do.

use serde_json::json;
use trawler_core::pause::PauseScope;
use trawler_fleet::chain;
use trawler_scheduler::{Apply, Scaled};

use super::{images, run};
use crate::compose::{self, Machine};
use crate::config::{Imds, Loaded};
use crate::end::End;
use crate::lookup;
use crate::output;

pub(super) async fn of_pipe(mut loaded: Loaded, pipe: &str, as_json: bool) -> anyhow::Result<End> {
    // Whoever decides about the groups is no instance of them.
    loaded.config.notices.imds = Imds::No;
    let loaded = &loaded;
    let machine = Machine::open(loaded).await?;
    let pipe = lookup::current_pipe(&machine, pipe).await?;
    run::check_collected(&machine, loaded, &pipe).await?;
    let planned = machine.scheduler(loaded, None).run_now(&pipe).await?;
    let scaled = ask_for_machines(&machine, loaded).await;
    let pauses = machine.pauses().which([PauseScope::Pipe(pipe.clone())]);
    let is_paused = pauses.await?.is_some();
    if as_json {
        let machines: Vec<_> = scaled
            .iter()
            .map(|one| json!({ "queue": one.queue, "was": one.was, "wanted": one.wanted }))
            .collect();
        output::json(&json!({ "run": planned, "paused": is_paused, "machines": machines }))?;
        return Ok(End::Done);
    }
    say!("run {planned} is planned: {}", images::whose_turn(loaded));
    for one in scaled.iter().filter(|one| one.asked) {
        say!(
            "{} machine(s) were asked for, of {} now",
            one.wanted,
            one.was
        );
    }
    if is_paused {
        say!("pipe {pipe} is paused, and so is that run: `trawler resume --pipe {pipe}`");
    }
    Ok(End::Done)
}

/// Not later than the person: the next tick of the scheduler, which does the
/// same, may be most of a minute away. Without the right to ask, or a group, it
/// is left to that tick.
async fn ask_for_machines(machine: &Machine, loaded: &Loaded) -> Vec<Scaled> {
    let options = compose::plan_options(&loaded.config);
    let groups = match machine.capacity(loaded).await {
        Ok(Some(groups)) if loaded.config.plan.enabled => groups,
        Ok(_) => return Vec::new(),
        Err(error) => {
            tracing::info!("machines are left to the scheduler's next tick: {error:#}");
            return Vec::new();
        }
    };
    let scheduler = machine.scheduler(loaded, Some(&groups));
    let scaled = scheduler.with_planning(options).scale(Apply::Yes).await;
    scaled.unwrap_or_else(|error| {
        let reason = chain(&error);
        tracing::info!("machines are left to the scheduler's next tick: {reason}");
        Vec::new()
    })
}
