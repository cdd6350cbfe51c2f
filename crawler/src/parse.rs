//! Reads a feed into the staging area, on a blocking thread.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use trawler_catalogue::{Deleted, Staged, Staging};
use trawler_core::judge::{Counted, UNRULED_MAX, Unruled};
use trawler_core::pipe::Pipe;
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{Interrupt, JobContext, chain};

use crate::crawler::Crawler;
use crate::error_page;
use crate::failure::catalogue_failure;
use crate::feed::{
    FeedError, FeedOutcome, FeedTakers, Progress, Reason, RejectedRows, RowSink, SinkError, Step,
    read_feed,
};
use crate::fill::Fill;
use crate::mappings::PipeMappings;
use crate::normalise::{Normaliser, Unmapped};

/// Values of one kind that a remark names.
const NAMED_MAX: usize = 3;

/// A feed to be read.
pub(crate) struct Parse<'a> {
    pub(crate) crawler: &'a Crawler,
    pub(crate) pipe: &'a Pipe,
    pub(crate) ctx: &'a JobContext,
    pub(crate) scratch: &'a Path,
}

/// What a feed gave.
pub(crate) struct Parsed {
    pub(crate) staged: Staged,
    pub(crate) rejected: u64,
    /// Why not everything was read or believed.
    pub(crate) incomplete: Vec<String>,
    pub(crate) remarks: Vec<String>,
    /// What the rows have in their columns.
    pub(crate) fill: Fill,
    pub(crate) unmapped: Unruled,
    /// What among the rejected rows, or where the feed breaks off, looks like
    /// an error of the partner's program.
    pub(crate) error_text: Option<String>,
    /// The rejected rows, when there are any.
    pub(crate) rejected_report: Option<PathBuf>,
}

impl Parse<'_> {
    fn staging(&self) -> Result<Staging, Ending> {
        let limits = self.crawler.options.sort;
        let staging = match self.pipe.reading().partial {
            true => Staging::partial(self.scratch, limits),
            false => Staging::new(self.scratch, limits),
        };
        staging.map_err(catalogue_failure)
    }

    pub(crate) async fn run(
        &self,
        input: &Path,
        cut: Option<&str>,
        mappings: PipeMappings,
    ) -> Result<Parsed, Ending> {
        let reader = Reader {
            pipe: self.pipe.clone(),
            ctx: self.ctx.clone(),
            input: input.to_owned(),
            report: self.scratch.join("rejected.jsonl"),
            staging: self.staging()?,
            normaliser: mappings.normaliser,
        };
        let interrupted: Arc<Mutex<Option<Interrupt>>> = Arc::default();
        let told = Arc::clone(&interrupted);
        // Sorting what was read has no steps; nobody waits for it once the job
        // has to stop.
        let reading = tokio::task::spawn_blocking(move || reader.read(&told));
        let work = self.ctx.unless_told(reading).await?;
        let interrupt = interrupted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(interrupt) = interrupt {
            return Err(interrupt.ending());
        }
        let mut parsed = work.map_err(|error| {
            Ending::Failed(Failure::transient(format!("read the feed: {error}")))
        })??;
        parsed
            .incomplete
            .extend(cut.map(|cut| format!("the download was cut off: {cut}")));
        Ok(parsed)
    }
}

/// Everything that the blocking thread owns.
struct Reader {
    pipe: Pipe,
    ctx: JobContext,
    input: PathBuf,
    report: PathBuf,
    staging: Staging,
    normaliser: Normaliser,
}

impl Reader {
    fn read(self, told: &Mutex<Option<Interrupt>>) -> Result<Parsed, Ending> {
        let Self {
            pipe,
            ctx,
            input,
            report,
            mut staging,
            mut normaliser,
        } = self;
        let io = |verb: &str, path: &Path, error: std::io::Error| {
            Ending::Failed(Failure::transient(format!(
                "{verb} {}: {error}",
                path.display()
            )))
        };
        let file = File::open(&input).map_err(|error| io("open feed", &input, error))?;
        let out = File::create(&report).map_err(|error| io("create report", &report, error))?;
        let mut rejected = RejectedRows::new(
            Box::new(BufWriter::new(out)),
            pipe.reading().limits.rejected_rows_kept,
        );
        let mut sink = Stage {
            staging: &mut staging,
            fill: Fill::default(),
        };
        let mut step = |progress: Progress| match ctx.interrupted() {
            None => {
                ctx.progress("read", progress.rows, None);
                Step::Continue
            }
            Some(interrupt) => {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupt);
                Step::Stop
            }
        };
        let takers = FeedTakers {
            sink: &mut sink,
            rejected: &mut rejected,
            normaliser: &mut normaliser,
            step: &mut step,
        };
        let outcome = read_feed(file, &pipe.reading(), takers)
            .map_err(|error| Ending::Failed(feed_failure(&error, &input)))?;
        let fill = sink.fill;
        let in_report = (outcome.rejected > 0).then(|| error_page::in_report(&report));
        let is_cut = outcome.incomplete_reason.is_some();
        let in_input = || is_cut.then(|| error_page::in_input(&input)).flatten();
        let staged = staging.finish().map_err(catalogue_failure)?;
        Ok(Parsed {
            staged,
            rejected: outcome.rejected,
            incomplete: outcome
                .incomplete_reason
                .iter()
                .map(ToString::to_string)
                .collect(),
            remarks: remarks(&outcome, &normaliser),
            fill,
            unmapped: Unruled {
                categories: counted(&normaliser.unmapped_categories()),
                brands: counted(&normaliser.unmapped_brands()),
            },
            error_text: in_report.flatten().or_else(in_input),
            rejected_report: (outcome.rejected > 0).then_some(report),
        })
    }
}

/// Our own disk may do better next time; the partner's bytes will not. A page
/// that says that the partner's program failed is told in its words.
fn feed_failure(error: &FeedError, input: &Path) -> Failure {
    let reason = chain(error);
    match error {
        FeedError::Io { .. } | FeedError::Sink { .. } => Failure::transient(reason),
        _ => Failure::permanent(match error_page::in_input(input) {
            Some(text) => format!(
                "what came is no feed, or one that its program did not finish; it says {text:?}: {reason}"
            ),
            None => reason,
        }),
    }
}

/// Stages what the feed gives, in its order.
struct Stage<'a> {
    staging: &'a mut Staging,
    fill: Fill,
}

impl RowSink for Stage<'_> {
    fn upsert(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.fill.note(&rows);
        Ok(self.staging.push(rows)?)
    }

    fn delete(&mut self, deleted: Vec<Deleted>) -> Result<(), SinkError> {
        Ok(self.staging.push_deletes(&deleted)?)
    }
}

/// What a person should know of a run that is otherwise fine.
fn remarks(outcome: &FeedOutcome, normaliser: &Normaliser) -> Vec<String> {
    let mut remarks = Vec::new();
    for (reason, count) in &outcome.rejected_by_reason {
        remarks.push(format!("{count} row(s) rejected: {}", reason_text(*reason)));
    }
    for (column, bad) in &outcome.bad_values {
        let example = bad.examples.first().map_or(String::new(), |bad| {
            format!(
                ", such as {:?} at line {} ({})",
                bad.found, bad.line, bad.reason
            )
        });
        remarks.push(format!(
            "{} wrong value(s) of {column} became empty{example}",
            bad.count
        ));
    }
    if !outcome.personal_fields.is_empty() {
        let fields = outcome.personal_fields.iter().take(NAMED_MAX);
        let fields: Vec<&str> = fields.map(String::as_str).collect();
        remarks.push(format!(
            "{} field(s) with personal data of sellers left out: {}; feed.keep keeps them",
            outcome.personal_fields.len(),
            fields.join(", ")
        ));
    }
    remarks.extend(unmapped("categories", &normaliser.unmapped_categories()));
    remarks.extend(unmapped("brands", &normaliser.unmapped_brands()));
    remarks
}

/// The reason as it stands in the report.
fn reason_text(reason: Reason) -> String {
    serde_json::to_string(&reason)
        .unwrap_or_default()
        .trim_matches('"')
        .replace('_', " ")
}

fn counted(unmapped: &Unmapped) -> Counted {
    let values = unmapped.values.iter().take(UNRULED_MAX);
    Counted {
        rows: unmapped.rows,
        values: values.map(|one| (one.value.clone(), one.rows)).collect(),
    }
}

fn unmapped(what: &str, unmapped: &Unmapped) -> Option<String> {
    if unmapped.rows == 0 {
        return None;
    }
    let named: Vec<String> = unmapped
        .values
        .iter()
        .take(NAMED_MAX)
        .map(|value| format!("{:?} ({})", value.value, value.rows))
        .collect();
    Some(format!(
        "{} row(s) with unmapped {what}: {}",
        unmapped.rows,
        named.join(", ")
    ))
}
