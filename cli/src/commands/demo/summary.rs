//! What the demo's two runs did, and where to look at what they left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use trawler_core::run::{Run, RunCounts};
use trawler_local::MetricsSnapshot;

use super::shops::Asked;
use crate::args::DemoArgs;
use crate::commands::runs;
use crate::compose::{CatalogueFigures, Machine};
use crate::output::{self, Row};

/// One whole run of every shop.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pass {
    pub(crate) seconds: f64,
    pub(crate) runs: Vec<Run>,
    pub(crate) products: u64,
    pub(crate) changes: u64,
    pub(crate) rows_rewritten: u64,
    pub(crate) log_entries: i64,
    pub(crate) feed_bytes_down: u64,
    pub(crate) image_requests: u64,
    pub(crate) image_requests_conditional: u64,
    pub(crate) image_not_modified: u64,
    pub(crate) image_bytes_down: u64,
    /// Bodies as the shops counted them; the two have to agree.
    pub(crate) image_bytes_sent: u64,
    pub(crate) images_stored: u64,
    pub(crate) image_bytes_up: u64,
}

impl Pass {
    pub(crate) fn new(
        took: Duration,
        runs: Vec<Run>,
        log_entries: i64,
        before: &MetricsSnapshot,
        after: &MetricsSnapshot,
        asked_before: Asked,
        asked: Asked,
    ) -> anyhow::Result<Self> {
        let sum =
            |count: fn(&RunCounts) -> u64| runs.iter().map(|run| count(&run.counts)).sum::<u64>();
        let conditional = after.image_requests_conditional - before.image_requests_conditional;
        let plain = after.image_requests_plain - before.image_requests_plain;
        Ok(Self {
            seconds: took.as_secs_f64(),
            products: sum(|counts| counts.inserts + counts.updates + counts.unchanged),
            changes: sum(RunCounts::changes),
            rows_rewritten: after.rows_rewritten - before.rows_rewritten,
            log_entries,
            feed_bytes_down: after.feed_bytes_down - before.feed_bytes_down,
            image_requests: conditional + plain,
            image_requests_conditional: conditional,
            image_not_modified: asked.image_not_modified - asked_before.image_not_modified,
            image_bytes_down: after.image_bytes_down - before.image_bytes_down,
            image_bytes_sent: asked.image_bytes - asked_before.image_bytes,
            images_stored: after.images_stored - before.images_stored,
            image_bytes_up: after.image_bytes_up - before.image_bytes_up,
            runs,
        })
    }

    /// Every run read its whole feed.
    fn is_whole(&self) -> bool {
        self.runs
            .iter()
            .all(|run| run.is_complete() && run.counts.rejected == 0)
    }

    /// Unchanged costs nothing.
    fn cost_nothing(&self) -> bool {
        self.rows_rewritten == 0
            && self.changes == 0
            && self.image_bytes_up == 0
            && self.image_bytes_down == 0
            && self.image_requests_conditional > 0
    }
}

/// Both runs and what they left.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    passes: Vec<Pass>,
    catalogue: CatalogueFigures,
    catalogue_dir: PathBuf,
    images_dir: PathBuf,
    sample_image: Option<PathBuf>,
    folder: PathBuf,
}

impl Summary {
    pub(crate) async fn new(
        args: &DemoArgs,
        machine: &Machine,
        passes: Vec<Pass>,
    ) -> anyhow::Result<Self> {
        let images_dir = machine.blobs_dir.join("images");
        Ok(Self {
            passes,
            catalogue: machine.catalogue_figures().await?,
            catalogue_dir: machine.catalogue_dir.clone(),
            sample_image: first_file(&images_dir),
            images_dir,
            folder: args.out.clone(),
        })
    }

    /// Everything was collected, and the second run cost nothing.
    pub(crate) fn is_good(&self) -> bool {
        self.catalogue.rows > 0
            && self.passes.iter().all(Pass::is_whole)
            && self.passes.last().is_some_and(Pass::cost_nothing)
    }

    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return output::json(self);
        }
        for (number, pass) in self.passes.iter().enumerate() {
            say!("\nrun {} ({:.1} s)", number + 1, pass.seconds);
            let rows: Vec<Row> = pass.runs.iter().map(runs::row).collect();
            output::list(&rows, &runs::COLUMNS)?;
        }
        say!("");
        self.print_figures()?;
        self.print_where();
        Ok(())
    }

    fn print_figures(&self) -> anyhow::Result<()> {
        type Figure = (&'static str, fn(&Pass) -> String);
        let figures: [Figure; 10] = [
            ("products", |pass| output::grouped(pass.products)),
            ("changes", |pass| output::grouped(pass.changes)),
            ("rows rewritten", |pass| {
                output::grouped(pass.rows_rewritten)
            }),
            ("log entries written", |pass| pass.log_entries.to_string()),
            ("feed bytes down", |pass| {
                output::bytes(pass.feed_bytes_down)
            }),
            ("image requests", |pass| {
                output::grouped(pass.image_requests)
            }),
            ("  of them conditional", |pass| {
                output::grouped(pass.image_requests_conditional)
            }),
            ("image bytes down", |pass| {
                output::bytes(pass.image_bytes_down)
            }),
            ("images stored", |pass| output::grouped(pass.images_stored)),
            ("image bytes up", |pass| output::bytes(pass.image_bytes_up)),
        ];
        let columns = ["", "first run", "second run"];
        let rows: Vec<Row> = figures
            .iter()
            .map(|(name, figure)| {
                let cells =
                    std::iter::once((*name).to_owned()).chain(self.passes.iter().map(figure));
                columns
                    .iter()
                    .map(|column| (*column).to_owned())
                    .zip(cells.map(Into::into))
                    .collect()
            })
            .collect();
        output::list(&rows, &columns)?;
        let verdict = if self.is_good() {
            "The second run found nothing changed, and cost nothing: rows rewritten 0, image bytes up 0, image bytes down 0."
        } else {
            "The second run should have cost nothing and did not: this is a bug."
        };
        say!("\n{verdict}");
        Ok(())
    }

    fn print_where(&self) {
        let folder = self.folder.display();
        say!(
            "\nThe catalogue is a Delta table: {}",
            self.catalogue_dir.display()
        );
        say!("  trawler -C {folder} products --pipe shop-1 --limit 5");
        say!("  trawler -C {folder} changes --since 0 --limit 5");
        say!("  trawler -C {folder} status");
        say!(
            "  python3 -c \"import deltalake; t = deltalake.DeltaTable('{}'); print(t.version(), t.count())\"",
            self.catalogue_dir.display()
        );
        say!(
            "The images are files, stored once by content: {}",
            self.images_dir.display()
        );
        if let Some(sample) = &self.sample_image {
            say!("  for example {}", sample.display());
        }
    }
}

/// Some file below the folder, the first in order of name.
fn first_file(dir: &Path) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    entries.into_iter().find_map(|path| {
        if path.is_dir() {
            first_file(&path)
        } else {
            Some(path)
        }
    })
}
