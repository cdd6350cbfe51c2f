//! What was found, for people and as JSON, beside the targets and the figures
//! of the system that Trawler replaces.

use std::fmt;

use serde::Serialize;

use crate::args::Args;
use crate::catalogue::{CatalogueMeasured, DayMeasured};
use crate::extract::ExtractMeasured;
use crate::feed::FeedMeasured;
use crate::images::ImagesMeasured;
use crate::measure::Took;
use crate::photos::PhotosMeasured;
use crate::photos_report::write_photos;
use crate::site::{RUNS_MAX, SiteMeasured};
use crate::site_report::{write_extract, write_site};

/// To reach a core: rows of a 52-column feed to Arrow.
const FEED_ROWS_S: f64 = 100_000.0;
/// To reach a core: 1200 x 1200 JPEG to 256 and 720, in 9 ms.
const IMAGES_S: f64 = 111.0;
/// To reach a core: the same to 256 alone.
const THUMBNAILS_S: f64 = 300.0;
/// To stay within, whatever the size of the feed.
const PARSER_MIB: f64 = 64.0;
/// Products a second of the whole fleet that Trawler replaces, at its best.
const OLD_FLEET_ROWS_S: f64 = 8_000.0;
/// Its index page of 1,000 rows.
const OLD_PAGE_MS: f64 = 200.0;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    runs: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) feeds: Vec<FeedLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) images: Option<ImagesMeasured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) photos: Option<PhotosMeasured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalogue: Option<CatalogueMeasured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extract: Option<ExtractMeasured>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sites: Vec<SiteMeasured>,
}

#[derive(Debug, Serialize)]
struct Machine {
    cores: usize,
    processor: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct FeedLine {
    name: &'static str,
    /// Rows a second of CPU time.
    rows_s: f64,
    #[serde(flatten)]
    measured: FeedMeasured,
}

impl FeedLine {
    pub(crate) fn new(name: &'static str, measured: FeedMeasured) -> Self {
        Self {
            name,
            rows_s: rate(measured.rows, measured.took.cpu_s),
            measured,
        }
    }
}

impl Report {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            machine: Machine {
                cores: std::thread::available_parallelism().map_or(1, usize::from),
                processor: processor(),
            },
            runs: args.runs,
            feeds: Vec::new(),
            images: None,
            photos: None,
            catalogue: None,
            extract: None,
            sites: Vec::new(),
        }
    }
}

/// What the kernel calls the processor.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let name = model.and_then(|line| line.split_once(": "));
    name.map_or_else(
        || std::env::consts::ARCH.to_owned(),
        |(_, name)| name.trim().to_owned(),
    )
}

pub(crate) fn rate(units: u64, seconds: f64) -> f64 {
    units as f64 / seconds.max(1e-9)
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Peak memory in a column, a dash where the system does not tell.
pub(crate) fn peak(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.0}", mib(bytes)))
}

pub(crate) fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, processor } = &self.machine;
        writeln!(
            out,
            "{processor}, {cores} cores; every case in a process bound to one core, \
             medians of {} runs after a warm-up,\nper second of CPU time; memory is the \
             most in use above what the process had before (sites and photos: of the whole process,\n\
             at most {RUNS_MAX} runs without a warm-up).",
            self.runs
        )?;
        if cfg!(debug_assertions) {
            writeln!(
                out,
                "This program was built without optimisation: run it with --release."
            )?;
        }
        if !self.feeds.is_empty() {
            self.write_feeds(out)?;
        }
        if let Some(images) = &self.images {
            write_images(out, images)?;
        }
        if let Some(photos) = &self.photos {
            write_photos(out, photos)?;
        }
        if let Some(catalogue) = &self.catalogue {
            self.write_catalogue(out, catalogue)?;
        }
        if let Some(extract) = &self.extract {
            write_extract(out, extract)?;
        }
        for site in &self.sites {
            write_site(out, site)?;
        }
        Ok(())
    }
}

impl Report {
    fn write_feeds(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "\nFeed: Naver EP, 52 columns, parsed to Arrow\n{:<14}{:>10}{:>11}{:>13}{:>10}{:>13}{:>8}{:>10}",
            "", "rows", "bytes/row", "rows/s/core", "fastest", "by the wall", "MB/s", "peak MiB"
        )?;
        for FeedLine {
            name,
            rows_s,
            measured,
        } in &self.feeds
        {
            writeln!(
                out,
                "{name:<14}{:>10}{:>11}{rows_s:>13.0}{:>10.0}{:>13.0}{:>8.0}{:>10}",
                measured.rows,
                measured.text_bytes / measured.rows.max(1),
                rate(measured.rows, measured.fastest.cpu_s),
                rate(measured.rows, measured.took.wall_s),
                rate(measured.text_bytes, measured.took.cpu_s) / 1e6,
                peak(measured.peak_bytes),
            )?;
        }
        let slowest = self.feeds.iter().map(|line| line.rows_s);
        let slowest = slowest.fold(f64::INFINITY, f64::min);
        let memory = self
            .feeds
            .iter()
            .filter_map(|line| line.measured.peak_bytes);
        let memory = mib(memory.max().unwrap_or(0));
        writeln!(
            out,
            "target {FEED_ROWS_S:.0} rows/s/core: {}; {PARSER_MIB:.0} MiB at any size: {}; \
             the fleet replaced: {OLD_FLEET_ROWS_S:.0} rows/s in all, one core here parses {:.0} times that",
            verdict(slowest >= FEED_ROWS_S),
            verdict(memory <= PARSER_MIB),
            slowest / OLD_FLEET_ROWS_S,
        )
    }

    fn write_catalogue(
        &self,
        out: &mut fmt::Formatter<'_>,
        measured: &CatalogueMeasured,
    ) -> fmt::Result {
        let rows = measured.rows;
        writeln!(
            out,
            "\nCatalogue: {rows} rows of one pipe, rows/s/core\n{:<14}{:>10}{:>11}{:>13}{:>13}{:>13}{:>11}",
            "", "changes", "stage", "diff+commit", "both", "MiB written", "peak MiB"
        )?;
        let days = [
            ("first load", &measured.first_load),
            ("1 % changed", &measured.changed),
            ("unchanged", &measured.unchanged),
        ];
        for (name, day) in days {
            writeln!(
                out,
                "{name:<14}{:>10}{:>11.0}{:>13.0}{:>13.0}{:>13.1}{:>11}",
                day.changes,
                rate(rows, day.stage.cpu_s),
                rate(rows, day.commit.cpu_s),
                rate(rows, both(day)),
                mib(day.bytes_written),
                peak(day.peak_bytes),
            )?;
        }
        write_page(out, measured)?;
        let whole_run = self.feeds.iter().find(|line| line.measured.rows == rows);
        if let Some(parse) = whole_run {
            let parse_s = parse.measured.took.cpu_s;
            let whole = |day: &DayMeasured| rate(rows, parse_s + both(day));
            let (load, changed) = (whole(&measured.first_load), whole(&measured.changed));
            writeln!(
                out,
                "a daily run, parse to commit: first load {load:.0}, 1 % changed {changed:.0} rows/s/core; \
                 {:.1} and {:.1} times the fleet replaced",
                load / OLD_FLEET_ROWS_S,
                changed / OLD_FLEET_ROWS_S,
            )?;
        }
        Ok(())
    }
}

fn both(day: &DayMeasured) -> f64 {
    day.stage.cpu_s + day.commit.cpu_s
}

fn write_page(out: &mut fmt::Formatter<'_>, measured: &CatalogueMeasured) -> fmt::Result {
    let page = &measured.page;
    let ms = |took: Took| {
        format!(
            "{:.1} ms CPU, {:.1} wall",
            took.cpu_s * 1e3,
            took.wall_s * 1e3
        )
    };
    writeln!(
        out,
        "page of {} products, all columns: Arrow {}; JSON {}; peak {} MiB; \
         the index page replaced: {OLD_PAGE_MS:.0} ms, {:.0} times that of JSON",
        page.rows,
        ms(page.arrow),
        ms(page.json),
        peak(page.peak_bytes),
        OLD_PAGE_MS / (page.json.wall_s * 1e3).max(1e-9),
    )
}

fn write_images(out: &mut fmt::Formatter<'_>, measured: &ImagesMeasured) -> fmt::Result {
    let kind = if measured.photographs {
        "real photographs, scaled"
    } else {
        "generated pictures"
    };
    let images_s = rate(u64::from(measured.images), measured.took.cpu_s);
    writeln!(
        out,
        "\nImages: 1200 x 1200 JPEG to 256 and 720 JPEG q80, from {} {kind} of {} kB on average\n\
         {images_s:.1} images/s/core (fastest run {:.1}, by the wall {:.1}), {:.2} ms CPU an image, \
         peak {} MiB; target {IMAGES_S:.0}: {}",
        measured.sources,
        measured.source_bytes_mean / 1_000,
        rate(u64::from(measured.images), measured.fastest.cpu_s),
        rate(u64::from(measured.images), measured.took.wall_s),
        1e3 / images_s,
        peak(measured.peak_bytes),
        verdict(images_s >= IMAGES_S),
    )?;
    let thumbnails_s = rate(u64::from(measured.images), measured.thumbnail.cpu_s);
    writeln!(
        out,
        "Thumbnail only (256): {thumbnails_s:.1} images/s/core (fastest run {:.1}), \
         {:.2} ms CPU an image; target {THUMBNAILS_S:.0}: {}",
        rate(u64::from(measured.images), measured.thumbnail_fastest.cpu_s),
        1e3 / thumbnails_s,
        verdict(thumbnails_s >= THUMBNAILS_S),
    )
}
