//! `trawler schedule` where AWS Lambda has started it: a tick for each call.
//!
//! What a tick needs is opened once and kept between calls, which Lambda makes
//! to the same process as long as it likes. A call is answered with the tick's
//! report; one that met what a person has to mend fails its call, as `schedule
//! --once` ends with 1, so that the function's alarm tells. A tick that takes
//! longer than its call may is dropped: it may end at any instant, and the next
//! one heals it.

use std::time::Duration;

use trawler_aws::{Function, FunctionCall, MetricsSender};
use trawler_scheduler::{Scheduler, TickReport};

use crate::compose::{Machine, Purpose};
use crate::config::{Imds, Loaded};
use crate::end::End;

/// Kept of a call's time for the figures (3 s) and the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What Lambda's figures and logs tell failures apart by.
const START: &str = "Trawler.Start";
const TICK: &str = "Trawler.Tick";
const TIME: &str = "Trawler.Time";
const PROBLEMS: &str = "Trawler.Problems";

/// Opened once, used by every call.
struct Desk {
    machine: Machine,
    scheduler: Scheduler,
    sender: Option<MetricsSender>,
}

impl Desk {
    async fn open(loaded: &Loaded) -> anyhow::Result<Self> {
        let machine = Machine::open_for(loaded, Purpose::Work).await?;
        let groups = machine.capacity(loaded).await?;
        Ok(Self {
            scheduler: machine.scheduler(loaded, groups.as_ref()),
            sender: machine.take_metrics_sender(),
            machine,
        })
    }

    /// Within the time of the call: the report, or the kind of the failure and
    /// its reason.
    async fn tick(&self, call: &FunctionCall) -> Result<TickReport, (&'static str, String)> {
        let clock = &self.machine.ports.clock;
        let within = call.left(clock.now()).saturating_sub(ANSWER_WITHIN);
        tokio::select! {
            report = self.scheduler.tick() => {
                report.map_err(|error| (TICK, trawler_fleet::chain(&error)))
            }
            () = clock.sleep(within) => {
                let text = format!("the tick was dropped after {within:?}, so that its call could be answered; the next one goes on. If that lasts, raise the time-out of the function");
                Err((TIME, text))
            }
        }
    }
}

/// Serves calls until the interface is gone.
pub(crate) async fn run(mut loaded: Loaded, function: Function) -> anyhow::Result<End> {
    // A function is no instance: nobody answers, and asking takes seconds.
    loaded.config.notices.imds = Imds::No;
    let mut desk = match Desk::open(&loaded).await {
        Ok(desk) => desk,
        Err(error) => {
            function.fail_start(START, &format!("{error:#}")).await?;
            return Err(error);
        }
    };
    loop {
        let call = function.next().await?;
        let outcome = desk.tick(&call).await;
        if let Some(sender) = &mut desk.sender {
            sender.deliver().await;
        }
        match outcome {
            Ok(report) if report.problems.is_empty() => {
                if report != TickReport::default() {
                    tracing::info!(call = call.id(), ?report, "tick");
                }
                function.answer(call, serde_json::to_vec(&report)?).await?;
            }
            // Each was logged when it was met; everything else was done.
            Ok(report) => {
                let problems = report.problems.join("\n");
                function.fail(call, PROBLEMS, &problems).await?;
            }
            Err((kind, reason)) => {
                tracing::error!(
                    call = call.id(),
                    reason,
                    "tick of the scheduler failed; the next one tries again: {reason}"
                );
                function.fail(call, kind, &reason).await?;
            }
        }
    }
}
