//! Shows how far the jobs in hand are: bars on a terminal, plain lines
//! elsewhere. Always on standard error, so that results can be piped.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use trawler_core::JobId;
use trawler_fleet::{Drain, Progress, ProgressBoard};

use crate::output;

/// Bars are drawn anew this often.
const REDRAW: Duration = Duration::from_millis(120);

/// Plain lines say something this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A journal is told this often: it is kept, and read long after.
const JOURNAL_EVERY: Duration = Duration::from_secs(60);

/// Whether anything is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Yes,
    /// Few lines, through the log.
    Journal,
    No,
}

/// Shows the board until the drain; then clears what it drew.
pub(crate) async fn show(board: ProgressBoard, drain: Drain, show: Show) {
    match show {
        Show::No => drain.wait().await,
        Show::Yes if stderr().is_terminal() => bars(board, drain).await,
        Show::Yes => lines(board, drain, LINE_EVERY, |line| eprintln!("{line}")).await,
        Show::Journal => lines(board, drain, JOURNAL_EVERY, |line| tracing::info!("{line}")).await,
    }
}

async fn bars(board: ProgressBoard, drain: Drain) {
    let drawn = MultiProgress::new();
    let mut bars: BTreeMap<JobId, ProgressBar> = BTreeMap::new();
    while !waited(&drain, REDRAW).await {
        let jobs = board.snapshot();
        bars.retain(|job, bar| {
            let keep = jobs.iter().any(|progress| &progress.job == job);
            if !keep {
                bar.finish_and_clear();
            }
            keep
        });
        for progress in jobs {
            let bar = bars
                .entry(progress.job.clone())
                .or_insert_with(|| drawn.add(ProgressBar::no_length()));
            draw(bar, &progress);
        }
    }
    for bar in bars.values() {
        bar.finish_and_clear();
    }
}

fn draw(bar: &ProgressBar, progress: &Progress) {
    let template = match progress.total {
        Some(total) => {
            bar.set_length(total);
            "{prefix:24!} {msg:10!} [{bar:30}] {human_pos}/{human_len}"
        }
        None => "{prefix:24!} {msg:10!} {spinner} {human_pos}",
    };
    let style =
        ProgressStyle::with_template(template).expect("the templates are constants that parse");
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(progress.pipe.to_string());
    bar.set_message(progress.what);
    bar.set_position(progress.done);
    bar.tick();
}

async fn lines(board: ProgressBoard, drain: Drain, every: Duration, tell: impl Fn(String)) {
    let started = Instant::now();
    while !waited(&drain, every).await {
        let jobs = board.snapshot();
        // Image jobs of one pipe are one line.
        let mut told: BTreeMap<(String, &str), (u64, u64, usize)> = BTreeMap::new();
        for progress in &jobs {
            let entry = told
                .entry((progress.pipe.to_string(), progress.what))
                .or_default();
            entry.0 += progress.done;
            entry.1 += progress.total.unwrap_or(0);
            entry.2 += 1;
        }
        for ((pipe, what), (done, total, count)) in told {
            let of = if total > 0 {
                format!(" of {}", output::grouped(total))
            } else {
                String::new()
            };
            let jobs = if count > 1 {
                format!(" ({count} jobs)")
            } else {
                String::new()
            };
            tell(format!(
                "[{:>4}s] {pipe}: {what} {}{of}{jobs}",
                started.elapsed().as_secs(),
                output::grouped(done)
            ));
        }
    }
}

/// Waits for the span; true when the drain came first.
async fn waited(drain: &Drain, span: Duration) -> bool {
    tokio::time::timeout(span, drain.wait()).await.is_ok()
}
