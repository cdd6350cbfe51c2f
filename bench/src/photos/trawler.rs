//! Trawler: image jobs as the fleet works them, from the planned ones to the catalogue that knows what
//! became of each image.
//!
//! A run of a feed beforehand plans them, which is not measured. In the measured time are ticks of the
//! scheduler that send the jobs, ledger and leases, address policy, pace, conditional requests, hashes,
//! rendering, variants put once by the hash of their source, results and their fold into the catalogue.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use trawler_core::image::{Fit, OutputFormat, Variant};
use trawler_core::run::{Run, RunPhase};
use trawler_core::{PipeId, QueueName, pipe::Pipe};
use trawler_fleet::{Drain, Handler, Pauses, Worker, WorkerOptions};
use trawler_local::MetricsSnapshot;
use trawler_scheduler::{Scheduler, SchedulerOptions};

use super::{Collected, Order, Served};
use crate::machine::{CONCURRENCY, Machine, RATE_PER_S};
use crate::measure::{Took, Watch, peak_bytes};

const QUALITY: u8 = 80;
/// Image jobs worked on at once and images of one that are fetched at once, as `trawler` has them
/// without settings of its own.
const SLOTS: usize = 4;
const FETCHES: usize = 8;
/// How often the scheduler ticks, and is looked at whether the work is over.
const TICK_EVERY: Duration = Duration::from_millis(50);
/// An empty queue is asked again after this, so that the end is not waited for.
const POLL: Duration = Duration::from_millis(200);
/// No run of a bench takes longer.
const RUN_WAIT: Duration = Duration::from_secs(1_800);

/// Collects the images in this process, and once more if that is asked for.
pub(crate) fn collect(order: &Order, scratch: &Path) -> Result<Collected> {
    // As many workers as the process has cores, which is one.
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(collect_in(order, scratch))
}

async fn collect_in(order: &Order, scratch: &Path) -> Result<Collected> {
    let folder = tempfile::tempdir_in(scratch).context("make a folder for the run")?;
    std::fs::write(folder.path().join("images.csv"), feed(order)).context("write the feed")?;
    let pipe = pipe()?;
    let machine = Machine::start(folder.path(), &order.url, pipe.clone()).await?;
    let day = Day {
        machine: &machine,
        pipe: &pipe,
        order,
    };
    let took = day.collect().await?;
    let first = machine.metrics.snapshot();
    let wanted = u64::from(order.images) * order.variants_px.len() as u64;
    ensure!(
        first.images_stored == wanted,
        "{} variants are stored of {wanted}",
        first.images_stored
    );
    let again = match order.again {
        true => {
            let took = day.collect().await?;
            unchanged(order, &first, &machine.metrics.snapshot())?;
            Some(took)
        }
        false => None,
    };
    Ok(Collected {
        images: order.images,
        took,
        again,
        peak_bytes: peak_bytes(),
    })
}

/// Whether the second day did what it is measured for and nothing else.
fn unchanged(order: &Order, first: &MetricsSnapshot, second: &MetricsSnapshot) -> Result<()> {
    let asked = |day: &MetricsSnapshot| day.image_requests_conditional + day.image_requests_plain;
    let (asked, down) = (
        asked(second) - asked(first),
        second.image_bytes_down - first.image_bytes_down,
    );
    let stored = second.images_stored - first.images_stored;
    ensure!(
        asked == u64::from(order.images) && stored == 0,
        "{asked} images of {} were looked at and {stored} variants stored",
        order.images
    );
    ensure!(
        (down == 0) == (order.served == Served::Validated),
        "{down} bytes came down of images that are {}",
        order.served.word()
    );
    Ok(())
}

/// Collects everything once.
struct Day<'a> {
    machine: &'a Machine,
    pipe: &'a Pipe,
    order: &'a Order,
}

impl Day<'_> {
    async fn collect(&self) -> Result<Took> {
        let ports = &self.machine.ports;
        let options = SchedulerOptions::default();
        let scheduler = Scheduler::new(ports.clone(), vec![self.pipe.clone()].into(), options);
        self.plan(&scheduler).await?;
        let images = self
            .machine
            .image_worker(self.variants(), FETCHES)
            .context("make the image worker")?;
        let watch = Watch::start();
        let drain = Drain::new();
        let folds = self.worker(Arc::new(self.machine.crawler().await?), &drain);
        let images = self.worker(Arc::new(images), &drain);
        let ticks = async {
            while !self.is_over(&scheduler).await? {
                tokio::time::sleep(TICK_EVERY).await;
            }
            let took = watch.took();
            drain.finish();
            anyhow::Ok(took)
        };
        let all = async { tokio::join!(ticks, folds.run(), images.run()).0 };
        let ended = tokio::time::timeout(RUN_WAIT, all).await;
        ended.context("the images do not come to an end")?
    }

    /// The run of the feed, after which image jobs are planned.
    async fn plan(&self, scheduler: &Scheduler) -> Result<()> {
        let id = scheduler.run_now(&self.pipe.id).await;
        let id = id.context("plan the run")?;
        let drain = Drain::new();
        let worker = self.worker(Arc::new(self.machine.crawler().await?), &drain);
        let over = async {
            let documents = self.machine.ports.documents();
            loop {
                let run: Option<Run> = documents.get(&Run::key(&id)).await?;
                if let Some(run) = run.filter(|run| run.phase.is_over()) {
                    drain.finish();
                    return anyhow::Ok(run);
                }
                tokio::time::sleep(TICK_EVERY).await;
            }
        };
        let both = async { tokio::join!(over, worker.run()).0 };
        let run = tokio::time::timeout(RUN_WAIT, both).await;
        let run = run.context("the run does not end")??;
        ensure!(
            run.phase == RunPhase::Finished && run.counts.images == u64::from(self.order.images),
            "the run is {} with {} images: {}",
            run.phase.as_str(),
            run.counts.images,
            run.reason
        );
        Ok(())
    }

    /// Moves the work on; whether nothing is left of it.
    async fn is_over(&self, scheduler: &Scheduler) -> Result<bool> {
        scheduler.tick_without_planning().await?;
        let jobs = self.machine.ports.jobs();
        for queue in QueueName::ALL {
            let records = jobs.list(queue).await?;
            if records.iter().any(|record| !record.status.is_settled()) {
                return Ok(false);
            }
        }
        Ok(!scheduler.has_work().await?)
    }

    fn worker(&self, handler: Arc<dyn Handler>, drain: &Drain) -> Worker {
        let ports = &self.machine.ports;
        let options = WorkerOptions {
            slots: SLOTS,
            receive_wait: POLL,
            ..WorkerOptions::default()
        };
        Worker::new(ports, handler, options, Pauses::new(ports), drain.clone())
    }

    fn variants(&self) -> Vec<Variant> {
        let sides = self.order.variants_px.iter();
        let variants = sides.map(|&side_px| Variant {
            name: format!("at-{side_px}"),
            width: side_px,
            height: side_px,
            fit: Fit::Contain,
            format: OutputFormat::Jpeg,
            quality: QUALITY,
            background: None,
            transparent: None,
            trim: false,
        });
        variants.collect()
    }
}

fn feed(order: &Order) -> String {
    let mut feed = String::from("id,title,price,link,image_link\n");
    for number in 0..order.images {
        let image = order.image_url(number);
        let link = format!("https://shop.example/{number}");
        writeln!(feed, "{number},Photograph {number},1000 KRW,{link},{image}")
            .expect("a text takes what is written");
    }
    feed
}

fn pipe() -> Result<Pipe> {
    let text = format!(
        "source = {{ kind = \"file\", path = \"images.csv\" }}\n\
         feed = {{ format = \"csv\", mode = \"full\" }}\n\
         schedule = {{ cron = \"0 3 * * *\" }}\n\
         fetch = {{ rate_per_s = {RATE_PER_S:.1}, concurrency = {CONCURRENCY} }}\n\
         images = {{ recheck = \"every_run\", shards = 4 }}\n"
    );
    let pipe: Pipe = toml::from_str(&text).context("read the pipe")?;
    let pipe = pipe.named(PipeId::parse("bench").context("name the pipe")?);
    let problems = pipe.problems();
    ensure!(problems.is_empty(), "the pipe has problems: {problems:?}");
    Ok(pipe)
}
