//! Two synthetic shops over three days, and folders that collect them.

use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::process::{Child, Command};
use trawler_core::{JobId, PipeId, RunId};
use trawler_fleet::manifests;
use trawler_shop::{
    Charset, Compression, Currency, DayChange, Fault, FeedFormat, Rule, Shop, ShopSpec, Validators,
};

use crate::outcome::{Outcome, jobs, ports};
use crate::support::{Ended, Folder, pipe};

/// The first load, a day of changes, and a day without any.
pub(crate) const DAYS: [u32; 3] = [0, 1, 1];

/// A run of both shops takes about two seconds; a machine under load gets
/// much more before the test fails.
const RUN_MAX: Duration = Duration::from_secs(120);

/// The bound on crashes is there for a job that kills its worker. Here the
/// test kills, more often than the default of 5 allows.
const RETRY: &str = "[retry]\ncrashes_max = 50\n";

const SEED: u64 = 20_261_121;

/// Random moments, repeatable through `CHAOS_SEED`.
pub(crate) fn moments() -> SmallRng {
    let seed = std::env::var("CHAOS_SEED")
        .ok()
        .map_or(SEED, |text| text.parse().expect("CHAOS_SEED is a number"));
    println!("CHAOS_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

/// The partners, and the three instants at which their pipes were due.
pub(crate) struct World {
    shops: Vec<(&'static str, Shop)>,
    dues: [DateTime<Utc>; DAYS.len()],
}

/// What an undisturbed folder came to, day by day, and how long work took:
/// until the last job was settled, without the last poll that finds nothing.
pub(crate) struct Undisturbed {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) worked: Vec<Duration>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let day_change = DayChange {
            new_share: 0.05,
            changed_share: 0.1,
            gone_share: 0.05,
            image_changed_share: 0.1,
            image_broken_share: 0.03,
            image_moved_share: 0.05,
        };
        let korean = ShopSpec {
            format: FeedFormat::NaverEp,
            charset: Charset::Cp949,
            compression: Compression::Gzip,
            image_px: 96,
            images_distinct: 60,
            day_change,
            ..ShopSpec::new("korean", 11, 220)
        };
        let dollar = ShopSpec {
            format: FeedFormat::Rss,
            currency: Currency::Usd,
            image_px: 128,
            images_distinct: 90,
            validators: Validators {
                feed: false,
                ..Validators::ALL
            },
            day_change,
            ..ShopSpec::new("dollar", 12, 160)
        };
        let mut shops = Vec::new();
        for (id, spec) in [("korean", korean), ("dollar", dollar)] {
            let shop = Shop::start(spec).await.expect("start a shop");
            // So that moments fall into downloads as well as into the work
            // between them.
            let drip = Fault::Drip {
                piece_bytes: 8 * 1024,
                every: Duration::from_millis(20),
            };
            shop.misbehave("/feed/", drip);
            let delay = Fault::Delay(Duration::from_millis(60));
            shop.misbehave_by(Rule::new("/img/", delay).share(0.5));
            shops.push((id, shop));
        }
        let now = Utc::now();
        let dues = [3, 2, 1].map(|days| now - TimeDelta::days(days));
        Self { shops, dues }
    }

    pub(crate) fn shops(&self) -> impl Iterator<Item = (&'static str, &Shop)> {
        self.shops.iter().map(|(id, shop)| (*id, shop))
    }

    pub(crate) async fn stop(self) {
        for (_, shop) in self.shops {
            shop.stop().await;
        }
    }

    pub(crate) fn folder(&self) -> Folder {
        let hosts: Vec<String> = self
            .shops()
            .map(|(_, shop)| shop.addr().to_string())
            .collect();
        Folder::new(&hosts, RETRY)
    }

    /// Moves the shops to a day, and the folder's pipes to the instant at which
    /// they were due on it: the same in every folder, so that runs have the
    /// same ids.
    pub(crate) fn begin_day(&self, folder: &Folder, at: usize) {
        let due = self.due(at);
        let cron = format!(
            "{} {} {} {} *",
            due.minute(),
            due.hour(),
            due.day(),
            due.month()
        );
        for (id, shop) in self.shops() {
            shop.set_day(DAYS[at]);
            let feed = match id {
                "korean" => "format = \"naver-ep\"\nmode = \"full\"\ncharset = \"cp949\"",
                _ => "format = \"google-xml\"\nmode = \"full\"",
            };
            let more = "[images]\nrecheck = \"every_run\"\n";
            let text = pipe(&shop.feed_url(), feed, more).replace("15 3 * * *", &cron);
            assert!(text.contains(&cron), "the pipe has a schedule");
            folder.pipe(id, &text);
        }
    }

    /// Runs a folder of its own through all days and leaves it alone.
    pub(crate) async fn undisturbed(&self) -> Undisturbed {
        let folder = self.folder();
        let (mut outcomes, mut worked) = (Vec::new(), Vec::new());
        for (at, day) in DAYS.into_iter().enumerate() {
            self.begin_day(&folder, at);
            let started = Utc::now();
            run_to_end(&folder).await;
            let outcome = Outcome::of(&folder).await;
            outcome.check_against_shops(self.shops(), day);
            outcomes.push(outcome);
            let jobs = jobs(&ports(&folder).await).await;
            let last = jobs.iter().filter_map(|job| job.seen).max();
            let span = last.expect("jobs were seen") - started;
            worked.push(span.to_std().expect("after the start"));
        }
        println!("undisturbed: {worked:?}");
        Undisturbed { outcomes, worked }
    }

    /// Whether the work of a day is settled, all of it.
    pub(crate) async fn is_done(&self, folder: &Folder, at: usize) -> bool {
        let ports = ports(folder).await;
        let jobs = jobs(&ports).await;
        let planned = self.shops().all(|(id, _)| {
            let run = RunId::new(PipeId::parse(id).expect("a pipe"), self.due(at));
            jobs.iter().any(|job| job.job == JobId::from(&run))
        });
        let unsettled = manifests::unsettled(&ports.documents()).await;
        planned
            && jobs.iter().all(|job| job.status.is_settled())
            && unsettled.expect("read the manifests").is_empty()
    }

    /// The instant that the schedule of a day names: a whole minute.
    fn due(&self, at: usize) -> DateTime<Utc> {
        let due = self.dues[at].with_second(0);
        due.and_then(|due| due.with_nanosecond(0))
            .expect("every minute begins")
    }
}

/// Starts `trawler run --once`; the process dies with the test.
pub(crate) fn start(folder: &Folder) -> Child {
    Command::from(folder.command(&["run", "--once"]))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("start the program")
}

/// What it printed and how it ended, which must be within the bound.
pub(crate) async fn ended(child: Child) -> Ended {
    let output = tokio::time::timeout(RUN_MAX, child.wait_with_output()).await;
    output
        .expect("the run ends")
        .expect("wait for the program")
        .into()
}

pub(crate) async fn run_to_end(folder: &Folder) {
    ended(start(folder)).await.with_code(0);
}
