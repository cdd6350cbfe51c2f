//! The command line. Parsing is in two steps: clap checks the shape here, the
//! commands turn text into types where an error can name what was meant.

mod dlq;
mod images;
mod maintenance;
mod pipe;
mod plan;
mod runs;
mod simulate;
mod undo;
mod way;
mod withhold;

use std::path::PathBuf;

pub(crate) use dlq::{DlqCommand, WhichLetters, Who};
pub(crate) use images::{GcArgs, ImagesArgs, ImagesCommand, RetryArgs, StatsArgs, VerifyArgs};
pub(crate) use maintenance::{AddWindow, MaintenanceCommand, WindowTarget};
pub(crate) use pipe::{As, Mode, NewPipeArgs, PipeCommand};
pub(crate) use plan::{PlanArgs, ScaleArgs};
pub(crate) use runs::{AcceptArgs, RejectArgs, RunsArgs, RunsCommand, ShowRunArgs};
pub(crate) use simulate::SimulateArgs;
pub(crate) use undo::{ReprocessArgs, RestoreArgs};
pub(crate) use way::{EgressArg, WayArgs};
pub(crate) use withhold::{BlockArgs, BlockCommand, PipeDecisionArgs, TargetArgs};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::telemetry::Loudness;

/// Keeps a product catalogue and its images in step with partner shops.
#[derive(Debug, Parser)]
#[command(name = "trawler", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Folder of trawler.toml; pipes are in its pipes/ folder. Default: what
    /// TRAWLER_DIR names, or else the current folder.
    #[arg(long, short = 'C', global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Print one JSON document (or JSON lines) instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Collect synthetic shops on this machine, twice, and show what happened.
    Demo(DemoArgs),
    /// Write a commented trawler.toml and pipes/example.toml.
    Init {
        /// Folder to write to; created if absent.
        folder: PathBuf,
    },
    /// Check configuration and pipes; reaches nothing.
    Check,
    /// Collect what is due: feeds, changes, images; all roles in one process.
    Run(RunArgs),
    /// One role of a fleet: plan what is due and keep jobs moving.
    Schedule(ScheduleArgs),
    /// One role of a fleet: work on the crawl queue.
    Crawl(WorkerArgs),
    /// One role of a fleet: work on the image queue. With a subcommand: look
    /// after the images that are stored.
    Images(ImagesArgs),
    /// Set a fleet up.
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// How many machines the work ahead needs, until when, and for how much.
    Plan(PlanArgs),
    /// Set the number of machines by the plan, for those who run this instead of
    /// the groups' policies.
    Scale(ScaleArgs),
    /// What is due, running, done and failed.
    Status,
    /// One pipe: draft it from a feed or a site; hide it, show it, retire it.
    #[command(subcommand)]
    Pipe(PipeCommand),
    /// The pipes and when they ran and run next; publish them to a fleet.
    Pipes {
        #[command(subcommand)]
        command: Option<PipesCommand>,
    },
    /// The runs: how far, how long, what changed; decide about those that wait
    /// for a person.
    Runs(RunsArgs),
    /// Read a kept input of a pipe once more, without asking the partner.
    Reprocess(ReprocessArgs),
    /// Bring a pipe's rows back to what an earlier run left, and pause it.
    Restore(RestoreArgs),
    /// Withhold a product from products and changes, or a picture from all
    /// products, until it is unblocked, whatever later runs bring; `list` says
    /// what is blocked.
    Block(BlockArgs),
    /// Let a blocked product out again, as it is by now, or fetch a blocked
    /// picture again.
    Unblock(TargetArgs),
    /// Show what a fleet would do and cost under each policy of scaling; reaches
    /// nothing.
    Simulate(SimulateArgs),
    /// The columns of a product: type, unit, and the feed fields they come from.
    Schema,
    /// Print products of a pipe.
    Products(ProductsArgs),
    /// Print changes since a watermark, and the next watermark.
    Changes(ChangesArgs),
    /// Run one step on one input and show the result; stores nothing.
    #[command(subcommand)]
    Try(TryCommand),
    /// Park the jobs of a pipe, a queue or everything until resumed.
    Pause(PauseArgs),
    /// Take a pause back.
    Resume(ScopeArgs),
    /// Windows in which a target is not to be touched.
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
    /// Jobs that were given up: list, look at, back up, send again, throw away.
    #[command(subcommand, alias = "dead")]
    Dlq(DlqCommand),
}

impl Command {
    /// What its log says where nobody asks for more.
    pub(crate) fn loudness(&self) -> Loudness {
        match self {
            Self::Schedule(_) | Self::Crawl(_) => Loudness::Journal,
            Self::Scale(scale) if scale.follow => Loudness::Journal,
            Self::Images(images) if images.command.is_none() => Loudness::Journal,
            Self::Run(run) if run.dry_run => Loudness::Report,
            Self::Reprocess(again) if again.dry_run => Loudness::Report,
            _ => Loudness::Warnings,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where the demo keeps its catalogue and images; emptied first if an
    /// earlier demo wrote it.
    #[arg(long, value_name = "DIR", default_value = "trawler-demo")]
    pub(crate) out: PathBuf,
    /// Synthetic shops.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) shops: u32,
    /// Products in each shop.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) products: u32,
    /// Seed of the shops; the same seed gives the same shops.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Stop when nothing is left to do.
    #[arg(long)]
    pub(crate) once: bool,
    /// Only this pipe, whether it is due or not.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// Do the whole run without keeping any of it, and show what it would
    /// change and how it would be judged.
    #[arg(long, requires = "pipe")]
    pub(crate) dry_run: bool,
    /// Plan the run and leave it to the workers; with groups, ask for their
    /// machines at once.
    #[arg(long, requires = "pipe", conflicts_with_all = ["once", "dry_run"])]
    pub(crate) enqueue: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    /// One look at everything, then leave: for a timer or a function.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Jobs at once, instead of what trawler.toml says.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) slots: Option<u8>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Create the queues, and check that the buckets can be used.
    Create {
        /// Create the buckets as well, if they are not there.
        #[arg(long)]
        bucket: bool,
    },
    /// Check queues, buckets and pipe set; change nothing.
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipesCommand {
    /// The pipes and when they ran and run next.
    List,
    /// Check the pipes and mapping tables of a folder and publish them.
    Push(PushArgs),
    /// What a published set holds, or one pipe of it.
    Show {
        /// A set, by its first digits; the current one when absent.
        set: Option<String>,
        /// Print this pipe as it was published.
        #[arg(long, value_name = "ID")]
        pipe: Option<String>,
    },
    /// What was current when, and who published it.
    History {
        /// At most so many, newest first.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Make a set current that was published before.
    Rollback {
        /// The set, by its first digits.
        set: String,
        #[command(flatten)]
        author: AuthorArgs,
    },
    /// How two sets differ.
    Diff {
        /// A set by its first digits, `current`, or a folder.
        from: String,
        /// The same; the current set when absent.
        #[arg(default_value = "current")]
        to: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Folder with pipes/ and mappings/; the one of trawler.toml when absent.
    pub(crate) folder: Option<PathBuf>,
    /// Refuse unless this set is current, by its first digits: so that nobody's
    /// push is undone unseen.
    #[arg(long, value_name = "SET")]
    pub(crate) parent: Option<String>,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AuthorArgs {
    /// Who publishes, for the history; default: the user of this machine.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    Table,
    Jsonl,
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct ProductsArgs {
    /// The pipe whose products are printed.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: String,
    /// Only the product with this id.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Start after this product id: the cursor that the last page printed.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// At most so many, in order of id.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    /// Also products that nobody is shown: of a shadow, hidden or retired pipe,
    /// and blocked ones; the column `withheld` says why.
    #[arg(long)]
    pub(crate) all: bool,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// Where the last call ended; 0 is the beginning.
    #[arg(long, value_name = "WATERMARK", default_value = "0")]
    pub(crate) since: String,
    /// Only changes of this pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// At most so many rows; an update is two.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TryCommand {
    /// Read a feed.
    Feed(TryFeedArgs),
    /// Extract the product of a page.
    Page(TryPageArgs),
    /// Decode an image and make its variants.
    Image(TryImageArgs),
    /// Say whether a robots file lets an agent ask for a URL, and which line decides.
    Robots(TryRobotsArgs),
    /// Go the way of a URL and say what the address policy decides at each hop.
    Url(TryUrlArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TryFeedArgs {
    /// A file, or an http(s) URL.
    pub(crate) input: String,
    /// naver-ep, tagged, google, google-tsv, google-xml, csv, jsonl or json; or the id of a pipe
    /// whose [feed] table is used.
    #[arg(long, value_name = "FORMAT|PIPE")]
    pub(crate) format: String,
    /// Character set, when it is not to be detected: utf-8, cp949, utf-16le ...
    #[arg(long)]
    pub(crate) charset: Option<String>,
    /// Products to show.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) sample: u32,
    #[command(flatten)]
    pub(crate) way: WayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TryPageArgs {
    /// A file, or an http(s) URL.
    pub(crate) input: String,
    /// The page's address, for relative links of a file.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Use the selectors and the currency of this pipe's [site] table.
    #[arg(long)]
    pub(crate) pipe: Option<String>,
    #[command(flatten)]
    pub(crate) way: WayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TryImageArgs {
    /// A file, or an http(s) URL.
    pub(crate) input: String,
    /// Write the variants here.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) way: WayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TryRobotsArgs {
    /// A robots file, or its http(s) URL.
    pub(crate) input: String,
    /// Who asks: a product token such as ExampleBot, or a whole User-Agent
    /// header. An empty one has no group of its own.
    pub(crate) agent: String,
    /// What is asked for: a URL, or a path with its query. An empty one is the
    /// root.
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) way: WayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TryUrlArgs {
    /// An http(s) URL. It is asked for; of the answers only the heads are read.
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) way: WayArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ScopeArgs {
    /// One pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// One queue: crawl or image.
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Everything.
    #[arg(long)]
    pub(crate) fleet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Why, for the others.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}
