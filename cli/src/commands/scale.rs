//! `trawler scale`: the decision of the scheduler's tick about the number of
//! machines and nothing else, for those who run it every few seconds instead
//! of the group's own policies.
//!
//! Safe beside the tick and beside another one: a wish is a number of machines
//! and not of further ones.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{SecondsFormat, TimeDelta};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trawler_fleet::{Drain, chain};
use trawler_scheduler::{Apply, PlanError, Scaled, Scheduler};

use crate::args::ScaleArgs;
use crate::compose::{self, Machine, notices};
use crate::config::{Imds, Loaded};
use crate::end::{End, Misuse};
use crate::output;

/// Between the end of one look and the next, however long looks take, so that
/// a slow store is not asked without a pause.
const REST_MIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    mut loaded: Loaded,
    args: &ScaleArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    // Whoever decides about the groups is no instance of them.
    loaded.config.notices.imds = Imds::No;
    let loaded = &loaded;
    let machine = Machine::open_for(loaded, compose::Purpose::Work).await?;
    let Some(groups) = machine.capacity(loaded).await? else {
        let text = "capacity: trawler.toml names no group; set capacity.crawl_group or capacity.image_group";
        return Err(Misuse::new(text.to_owned()).into());
    };
    let mut options = compose::plan_options(&loaded.config);
    if args.follow {
        let tick = loaded.config.plan.enabled.then_some(options.every);
        options.every = view(TimeDelta::seconds(args.every.into()), tick);
    }
    let scheduler = machine
        .scheduler(loaded, Some(&groups))
        .with_planning(options);
    let desk = Desk {
        scheduler,
        apply: if args.dry_run { Apply::No } else { Apply::Yes },
        as_json,
    };
    let (mut sending, stop) = (JoinSet::new(), CancellationToken::new());
    if let Some(sender) = machine.take_metrics_sender() {
        sending.spawn(sender.run(stop.clone()));
    }
    let end = if args.follow {
        follow(&desk, &machine, loaded, args).await
    } else {
        once(&desk).await
    };
    stop.cancel();
    while let Some(joined) = sending.join_next().await {
        joined.context("join what sends figures")?;
    }
    end
}

struct Desk {
    scheduler: Scheduler,
    apply: Apply,
    as_json: bool,
}

impl Desk {
    async fn decide(&self) -> Result<Vec<Scaled>, PlanError> {
        self.scheduler.scale(self.apply).await
    }

    /// Tells what is not as it was told last.
    fn tell(&self, scaled: Vec<Scaled>, told: &mut Vec<Scaled>) -> anyhow::Result<()> {
        if self.as_json {
            output::json(&scaled)?;
            return Ok(());
        }
        for group in &scaled {
            let is_news = !told.iter().any(|before| is_same(before, group));
            if is_news {
                say!("{}", line(group, self.apply));
            }
        }
        *told = scaled;
        Ok(())
    }
}

async fn once(desk: &Desk) -> anyhow::Result<End> {
    let scaled = desk.decide().await?;
    desk.tell(scaled, &mut Vec::new())?;
    Ok(End::Done)
}

/// Until told to leave. A look that fails is told, and the next one tries
/// again when it would have been due anyway.
async fn follow(
    desk: &Desk,
    machine: &Machine,
    loaded: &Loaded,
    args: &ScaleArgs,
) -> anyhow::Result<End> {
    let clock = Arc::clone(&machine.ports.clock);
    let notices = notices::listen(&loaded.config, Arc::clone(&clock)).await?;
    let drain = Drain::new();
    let every = Duration::from_secs(args.every.into());
    let mut told = Vec::new();
    let looking = async {
        loop {
            let began = clock.monotonic();
            match desk.decide().await {
                Ok(scaled) => desk.tell(scaled, &mut told)?,
                Err(error) => {
                    complain(&error);
                    // After it everything is news.
                    told.clear();
                }
            }
            let took = clock.monotonic().saturating_sub(began);
            clock.sleep(rest(every, took)).await;
        }
    };
    // A look may end at any instant: what it asked for stands.
    tokio::select! {
        end = looking => end,
        () = drain.watch(&notices) => Ok(End::Done),
    }
}

/// How far ahead of a boot it looks. Where ticks decide as well, no less far
/// than they: what they asked for would be taken back here, and asked for again
/// there.
fn view(every: TimeDelta, tick: Option<TimeDelta>) -> TimeDelta {
    tick.map_or(every, |tick| tick.max(every))
}

/// Until the next look: one that took its time is no reason for a later one.
fn rest(every: Duration, took: Duration) -> Duration {
    every.saturating_sub(took).max(REST_MIN)
}

fn complain(error: &PlanError) {
    let reason = chain(error);
    if error.needs_person() {
        tracing::error!("nothing was decided; the next look tries again: {reason}");
    } else {
        tracing::warn!("nothing was decided; the next look tries again: {reason}");
    }
}

fn is_same(before: &Scaled, now: &Scaled) -> bool {
    let of = |scaled: &Scaled| {
        (
            scaled.queue,
            scaled.in_service,
            scaled.busy,
            scaled.booting,
            scaled.wanted,
            scaled.asked,
            scaled.why,
        )
    };
    of(before) == of(now)
}

fn line(group: &Scaled, apply: Apply) -> String {
    let asked = match apply {
        _ if group.wanted == group.was => "as it is",
        Apply::Yes if group.asked => "asked for",
        Apply::Yes => "left to another process that decides at this moment",
        Apply::No => "would be asked for",
    };
    let bound = group
        .bound
        .as_ref()
        .map_or(String::new(), |pipe| format!(", bounded by pipe {pipe}"));
    let finish = group.finish.map_or(String::new(), |finish| {
        format!(
            "; over {}{bound}",
            finish.to_rfc3339_opts(SecondsFormat::Secs, true)
        )
    });
    let late = match group.late {
        0 => String::new(),
        late => format!(", {late} late"),
    };
    format!(
        "{:<5}  {} wanted, {asked} ({}); {} in service, {} busy, {} booting{finish}{late}",
        group.queue.as_str(),
        group.wanted,
        group.why,
        group.in_service,
        group.busy,
        group.booting
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::{PipeId, QueueName};

    use super::*;

    #[test]
    fn looks_keep_their_pace_however_long_they_take() {
        let seconds = Duration::from_secs;
        let check = |took: u64, expected: u64| {
            assert_eq!(
                rest(seconds(10), seconds(took)),
                seconds(expected),
                "{took}"
            );
        };
        check(0, 10);
        check(3, 7);
        check(10, 1);
        check(25, 1);
    }

    #[test]
    fn it_looks_no_less_far_ahead_than_a_tick_beside_it() {
        let check = |tick: Option<i64>, expected: i64| {
            let found = view(TimeDelta::seconds(10), tick.map(TimeDelta::seconds));
            assert_eq!(found.num_seconds(), expected, "{tick:?}");
        };
        check(Some(60), 60);
        check(Some(1), 10);
        check(None, 10);
    }

    #[test]
    fn a_decision_is_told_with_its_reason() {
        let group = Scaled {
            queue: QueueName::Crawl,
            in_service: 1,
            busy: 1,
            booting: 2,
            was: 3,
            wanted: 5,
            why: "deadline",
            asked: true,
            finish: chrono::DateTime::from_timestamp(0, 0),
            bound: Some(PipeId::parse("kiln").unwrap()),
            late: 2,
            usd: 0.1,
        };
        assert_eq!(
            line(&group, Apply::Yes),
            "crawl  5 wanted, asked for (deadline); 1 in service, 1 busy, 2 booting; over 1970-01-01T00:00:00Z, bounded by pipe kiln, 2 late"
        );
        assert!(line(&group, Apply::No).contains("would be asked for"));
        let same = Scaled {
            was: 5,
            finish: None,
            late: 0,
            ..group
        };
        assert_eq!(
            line(&same, Apply::Yes),
            "crawl  5 wanted, as it is (deadline); 1 in service, 1 busy, 2 booting"
        );
    }
}
