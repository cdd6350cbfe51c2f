//! Reading a feed: bytes of a file to Arrow batches, which are counted and
//! dropped.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use trawler_core::feed::{FeedFormat, FeedMode, FeedOptions};
use trawler_crawler::feed::{
    FeedOutcome, FeedTakers, RejectedRows, RowSink, SinkError, Step, read_feed,
};
use trawler_crawler::normalise::Normaliser;

use crate::measure::{Memory, Took, Watch, fastest, median};

/// Name, charset and compression of the files that are read.
pub(crate) const KINDS: [(&str, &str, &str); 2] = [
    ("UTF-8, plain", "utf-8", "none"),
    ("CP949, gzip", "cp949", "gzip"),
];

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FeedMeasured {
    pub(crate) rows: u64,
    pub(crate) file_bytes: u64,
    /// After decompression, in the file's charset.
    pub(crate) text_bytes: u64,
    /// Median of the runs.
    pub(crate) took: Took,
    pub(crate) fastest: Took,
    pub(crate) peak_bytes: Option<u64>,
}

/// Reads the feed once to warm up and `runs` times by the watch.
pub(crate) fn measure(input: &Path, rows: u32, runs: u32) -> Result<FeedMeasured> {
    let memory = Memory::start();
    let mut took = Vec::new();
    let mut outcome = read(input, rows)?.0;
    for _ in 0..runs {
        let one;
        (outcome, one) = read(input, rows)?;
        took.push(one);
    }
    Ok(FeedMeasured {
        rows: outcome.rows,
        file_bytes: outcome.bytes_read,
        text_bytes: outcome.bytes_decoded,
        took: median(&took),
        fastest: fastest(&took),
        peak_bytes: memory.peak_bytes(),
    })
}

fn read(input: &Path, rows: u32) -> Result<(FeedOutcome, Took)> {
    let file = File::open(input).with_context(|| format!("open {}", input.display()))?;
    let mut sink = Counted::default();
    let watch = Watch::start();
    let outcome = read_into(&mut sink, file)?;
    let took = watch.took();
    ensure!(
        outcome.complete && sink.rows == u64::from(rows) && outcome.rejected == 0,
        "a feed of {rows} rows gave {} and {} rejected ones: {:?}",
        sink.rows,
        outcome.rejected,
        outcome.incomplete_reason
    );
    Ok((outcome, took))
}

/// Reads a Naver EP feed as the crawler does.
pub(crate) fn read_into(sink: &mut dyn RowSink, file: File) -> Result<FeedOutcome> {
    let options = FeedOptions::new(FeedFormat::NaverEp, FeedMode::Full);
    let takers = FeedTakers {
        sink,
        rejected: &mut RejectedRows::counted(),
        normaliser: &mut Normaliser::default(),
        step: &mut |_| Step::Continue,
    };
    read_feed(file, &options, takers).context("read a feed")
}

#[derive(Default)]
struct Counted {
    rows: u64,
}

impl RowSink for Counted {
    fn upsert(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    fn delete(&mut self, _: Vec<trawler_catalogue::Deleted>) -> Result<(), SinkError> {
        Err("a full feed deletes nothing".into())
    }
}
