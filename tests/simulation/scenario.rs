//! What is played: the size of the fleet, what its jobs do, and what befalls
//! its processes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trawler_core::pipe::Pipe;
use trawler_core::{JobId, PipeId};
use trawler_tests::model::FaultRates;

use crate::script::Script;

/// A run of each pipe is due every so many minutes.
const RUN_EVERY_MIN: u64 = 10;

/// What befalls a process at one of its stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Kill,
    /// SIGSTOP, and SIGCONT after so long.
    Freeze(Duration),
    /// Reaches nothing for so long.
    Cut(Duration),
    /// Told to leave, and killed after the lead if it is still there.
    Notice(Duration),
}

/// The kinds of [`Blow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BlowKind {
    Kill,
    Freeze,
    Cut,
    Notice,
}

impl Blow {
    pub(crate) fn kind(self) -> BlowKind {
        match self {
            Self::Kill => BlowKind::Kill,
            Self::Freeze(_) => BlowKind::Freeze,
            Self::Cut(_) => BlowKind::Cut,
            Self::Notice(_) => BlowKind::Notice,
        }
    }
}

/// What is played.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) pipes: usize,
    /// Runs of each pipe.
    pub(crate) runs: usize,
    pub(crate) crawlers: usize,
    pub(crate) image_workers: usize,
    pub(crate) schedulers: usize,
    pub(crate) slots: usize,
    /// Whether jobs have troubles of their own.
    pub(crate) troubled: bool,
    pub(crate) rates: FaultRates,
    /// By the number of the stop, counted over all processes.
    pub(crate) blows: BTreeMap<u64, Blow>,
    /// Whether somebody pauses things now and then.
    pub(crate) pauses: bool,
    /// Breaks the commit rule on purpose.
    pub(crate) careless: bool,
    /// Every job does this, instead of what the seed says.
    pub(crate) script: Option<Script>,
    pub(crate) images_a_job: usize,
    pub(crate) image_hosts: usize,
    /// How long the fleet stays at least.
    pub(crate) idle: Duration,
    /// Different pictures; several products may show one.
    pub(crate) pictures: u32,
}

impl Scenario {
    /// A small fleet without any disturbance.
    pub(crate) fn calm(seed: u64) -> Self {
        Self {
            seed,
            pipes: 1,
            runs: 2,
            crawlers: 2,
            image_workers: 1,
            schedulers: 1,
            slots: 2,
            troubled: false,
            rates: FaultRates::default(),
            blows: BTreeMap::new(),
            pauses: false,
            careless: false,
            script: None,
            images_a_job: 2,
            image_hosts: 1,
            pictures: 7,
            idle: Duration::ZERO,
        }
    }

    pub(crate) fn script(&self, job: &JobId) -> Script {
        if let Some(script) = &self.script {
            return script.clone();
        }
        Script::of(self.seed, job.as_str(), self.troubled)
    }

    pub(crate) fn pipes(&self) -> Arc<[Pipe]> {
        let text = format!(
            r#"
            source = {{ kind = "file", path = "feed.tsv" }}
            feed = {{ format = "google-tsv", mode = "full" }}
            schedule = {{ cron = "*/{RUN_EVERY_MIN} * * * *" }}
            "#
        );
        let pipe: Pipe = toml::from_str(&text).unwrap();
        (0..self.pipes)
            .map(|n| Pipe {
                id: PipeId::parse(&format!("shop{n}")).unwrap(),
                ..pipe.clone()
            })
            .collect()
    }
}

/// What has befallen the fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Blows {
    pub(crate) kills: u64,
    pub(crate) freezes: u64,
    pub(crate) cuts: u64,
    pub(crate) notices: u64,
}
