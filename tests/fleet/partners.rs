//! Many small shops over some days, and what a folder makes of them that
//! nobody disturbs.

use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use tokio::process::Command;
use trawler_core::{PipeId, RunId};
use trawler_shop::{
    Charset, Compression, Currency, DayChange, Fault, FeedFormat, Rule, Shop, ShopSpec, Validators,
};

use crate::outcome::Outcome;
use crate::support::{Ended, Folder, pipe};

/// A folder collects all shops in seconds; a machine under load gets more.
const RUN_MAX: Duration = Duration::from_secs(300);

const DAY_CHANGE: DayChange = DayChange {
    new_share: 0.08,
    changed_share: 0.15,
    gone_share: 0.06,
    image_changed_share: 0.15,
    image_broken_share: 0.05,
    image_moved_share: 0.05,
};

/// A feed of 20 KB takes two seconds, and an image almost as long: what a storm
/// strikes is in the middle of something.
const SLOW_FEED: Fault = Fault::Drip {
    piece_bytes: 1024,
    every: Duration::from_millis(100),
};
const SLOW_IMAGE: Fault = Fault::Delay(Duration::from_millis(1_500));

/// The partners, and the instant at which their pipes are due on each day.
pub(crate) struct Partners {
    shops: Vec<(String, Shop)>,
    days: usize,
    now: DateTime<Utc>,
}

impl Partners {
    /// `count` shops of `products` products, which are collected on `days`
    /// days.
    pub(crate) async fn start(count: usize, products: u32, days: usize) -> Self {
        let mut shops = Vec::new();
        for number in 0..count {
            let shop = Shop::start(spec(number, products)).await;
            let shop = shop.expect("start a shop");
            be_usual(&shop);
            shops.push((format!("shop-{number:02}"), shop));
        }
        Self {
            shops,
            days,
            now: Utc::now(),
        }
    }

    /// From now on answers take seconds.
    pub(crate) fn slow_down(&self) {
        for (_, shop) in &self.shops {
            shop.misbehave("/feed/", SLOW_FEED);
            shop.misbehave("/img/", SLOW_IMAGE);
        }
    }

    /// From now on answers take the time that they took at the start.
    pub(crate) fn hurry(&self) {
        for (_, shop) in &self.shops {
            shop.heal();
            be_usual(shop);
        }
    }

    pub(crate) fn shops(&self) -> impl Iterator<Item = (&str, &Shop)> {
        self.shops.iter().map(|(id, shop)| (id.as_str(), shop))
    }

    /// As they are let in.
    pub(crate) fn hosts(&self) -> Vec<String> {
        self.shops()
            .map(|(_, shop)| shop.addr().to_string())
            .collect()
    }

    /// Moves the shops to a day; the texts of their pipes, which are due on it
    /// and not before: the same for everybody, so that runs have the same ids.
    pub(crate) fn begin_day(&self, at: usize) -> Vec<(String, String)> {
        let due = self.due(at);
        let cron = format!(
            "{} {} {} {} *",
            due.minute(),
            due.hour(),
            due.day(),
            due.month()
        );
        let text = |(number, (id, shop)): (usize, &(String, Shop))| {
            shop.set_day(u32::try_from(at).expect("a few days"));
            let feed = match number % 3 {
                0 => "format = \"naver-ep\"\nmode = \"full\"\ncharset = \"cp949\"",
                1 => "format = \"google-xml\"\nmode = \"full\"",
                _ => "format = \"google-tsv\"\nmode = \"full\"",
            };
            let more = "[images]\nrecheck = \"every_run\"\n";
            let text = pipe(&shop.feed_url(), feed, more).replace("15 3 * * *", &cron);
            assert!(text.contains(&cron), "the pipe has a schedule");
            (id.clone(), text)
        };
        self.shops.iter().enumerate().map(text).collect()
    }

    /// The runs that are due on a day.
    pub(crate) fn runs(&self, at: usize) -> Vec<RunId> {
        let run = |id: &str| RunId::new(PipeId::parse(id).expect("a pipe"), self.due(at));
        self.shops().map(|(id, _)| run(id)).collect()
    }

    /// What a folder of its own comes to, day by day, which nobody disturbs.
    pub(crate) async fn undisturbed(&self) -> Vec<Outcome> {
        let folder = Folder::new(&self.hosts(), "");
        let mut outcomes = Vec::new();
        for at in 0..self.days {
            for (id, text) in self.begin_day(at) {
                folder.pipe(&id, &text);
            }
            let mut command = Command::from(folder.command(&["run", "--once"]));
            let output = command.kill_on_drop(true).output();
            let output = tokio::time::timeout(RUN_MAX, output).await;
            let ended: Ended = output.expect("the run ends").expect("it starts").into();
            ended.with_code(0);
            let outcome = Outcome::of(&folder).await;
            outcome.check_against_shops(self.shops(), u32::try_from(at).expect("a few days"));
            outcomes.push(outcome);
        }
        outcomes
    }

    pub(crate) async fn stop(self) {
        for (_, shop) in self.shops {
            shop.stop().await;
        }
    }

    /// The instant that the schedule of a day names: a whole minute.
    fn due(&self, at: usize) -> DateTime<Utc> {
        let back = i64::try_from(self.days - at).expect("a few days");
        let due = (self.now - TimeDelta::days(back)).with_second(0);
        due.and_then(|due| due.with_nanosecond(0))
            .expect("every minute begins")
    }
}

/// As fast as small shops are.
fn be_usual(shop: &Shop) {
    shop.misbehave_by(Rule::new("/img/", Fault::Delay(Duration::from_millis(100))).share(0.4));
    let drip = Fault::Drip {
        piece_bytes: 4 * 1024,
        every: Duration::from_millis(25),
    };
    shop.misbehave("/feed/", drip);
}

fn spec(number: usize, products: u32) -> ShopSpec {
    let common = ShopSpec {
        image_px: 64,
        images_distinct: products / 2,
        extra_images_max: 1,
        day_change: DAY_CHANGE,
        ..ShopSpec::new(format!("shop {number}"), 100 + number as u64, products)
    };
    match number % 3 {
        0 => ShopSpec {
            format: FeedFormat::NaverEp,
            charset: Charset::Cp949,
            compression: Compression::Gzip,
            ..common
        },
        1 => ShopSpec {
            format: FeedFormat::Rss,
            currency: Currency::Usd,
            validators: Validators {
                feed: false,
                ..Validators::ALL
            },
            ..common
        },
        _ => ShopSpec {
            format: FeedFormat::GoogleTsv,
            currency: Currency::Usd,
            ..common
        },
    }
}
