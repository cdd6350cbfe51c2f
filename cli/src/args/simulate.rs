//! Arguments of `trawler simulate`.

use std::path::PathBuf;

use clap::Args;
use trawler_simulator::{PolicyKind, STUDY_DAYS_MAX, STUDY_PIPES_MAX, WorkloadKind};

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Days of the workloads that last for more than one.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=STUDY_DAYS_MAX))]
    pub(crate) days: u64,
    /// Pipes of generated workloads.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(STUDY_PIPES_MAX)))]
    pub(crate) pipes: u32,
    /// Products of all pipes together; the largest has a tenth of them.
    #[arg(long, default_value_t = 300_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000_000))]
    pub(crate) products: u64,
    /// How often everything happens on the holiday.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=100))]
    pub(crate) burst: u64,
    /// Seed of everything that is drawn; the same seed gives the same report.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Only these policies: always-on, scheduled, step, target-tracking, keda,
    /// alarms, planner.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    pub(crate) policy: Vec<PolicyKind>,
    /// Only these workloads: daily, holiday, rough, quiet, hour,
    /// first-load.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME,...",
        conflicts_with = "trace"
    )]
    pub(crate) workload: Vec<WorkloadKind>,
    /// Runs of your own instead of generated ones: CSV with pipe, at, seconds
    /// and more.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Prices, latencies and rates over those of the program, as TOML.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// The bill of what Trawler replaces, as CSV, to be compared line by line.
    #[arg(long, value_name = "FILE")]
    pub(crate) bill: Option<PathBuf>,
    /// Write the report as a page with plots.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print what is taken for true, with sources and dates, and simulate
    /// nothing: the file that --prices overrides.
    #[arg(long, exclusive = true)]
    pub(crate) facts: bool,
}
