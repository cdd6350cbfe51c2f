//! What a study costs, line by line: for its days, and what is there by the
//! month whatever happens.

use serde::Serialize;

use crate::facts::Facts;
use crate::study::month_factor;
use crate::time::seconds;
use crate::workload::Workload;
use crate::world::Ended;

const GIB: f64 = 1_073_741_824.0;
/// Of S3 Standard, at the first price.
const FIRST_TIER_GIB: f64 = 50.0 * 1_024.0;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BillLine {
    pub name: &'static str,
    /// For the days of the study.
    pub usd: f64,
    /// Whether an old bill of servers is compared with it: instances and what
    /// comes with them, addresses, endpoints, the queue.
    pub is_compared: bool,
}

/// All lines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bill {
    pub lines: Vec<BillLine>,
    pub days: u64,
    pub total_usd: f64,
    pub compared_usd: f64,
    /// The same by the month, if every day is like these.
    pub month_usd: f64,
    pub compared_month_usd: f64,
}

impl Bill {
    pub(crate) fn of(ended: &Ended, workload: &Workload, facts: &Facts) -> Self {
        let days = workload.days();
        let mut lines = servers(ended, days, facts);
        lines.extend(services(ended, days, facts));
        lines.extend(kept(ended, workload, days, facts));
        let sum = |of: &dyn Fn(&&BillLine) -> bool| {
            lines.iter().filter(of).map(|line| line.usd).sum::<f64>()
        };
        let (total_usd, compared_usd) = (sum(&|_| true), sum(&|line| line.is_compared));
        let factor = month_factor(days);
        Self {
            days,
            total_usd,
            compared_usd,
            month_usd: total_usd * factor,
            compared_month_usd: compared_usd * factor,
            lines,
        }
    }

    /// A line by the month.
    pub(crate) fn month_of(&self, line: &BillLine) -> f64 {
        line.usd * month_factor(self.days)
    }
}

fn line(name: &'static str, usd: f64, is_compared: bool) -> BillLine {
    BillLine {
        name,
        usd,
        is_compared,
    }
}

/// What runs for as long as there is work.
fn servers(ended: &Ended, days: u64, facts: &Facts) -> Vec<BillLine> {
    let [crawl, image] = &ended.groups;
    let hours = |ms: u64| seconds(ms) / 3_600.0;
    let (crawl_h, image_h) = (hours(crawl.paid_ms), hours(image.paid_ms));
    let disk_hour = facts.get("price.ebs_gib_month") / facts.get("price.month_hours");
    let disks =
        crawl_h * facts.get("fleet.crawl_disk_gib") + image_h * facts.get("fleet.image_disk_gib");
    vec![
        line("crawl instances", crawl.usd, true),
        line("image instances", image.usd, true),
        line("disks of instances", disks * disk_hour, true),
        line(
            "public IPv4",
            (crawl_h + image_h) * facts.get("price.ipv4_hour"),
            true,
        ),
        line(
            "SQS",
            sqs_requests(ended, facts) / 1e6 * facts.get("price.sqs_fifo_million"),
            true,
        ),
        fixed_egress(days, facts),
        endpoints(days, facts),
        line("folds, as reckoned", folds(ended, facts), true),
    ]
}

/// SQS is reached publicly and S3 by its gateway, unless the template is told
/// otherwise.
fn endpoints(days: u64, facts: &Facts) -> BillLine {
    let zones = facts.get("fleet.sqs_endpoint_zones");
    let name = match zones > 0.0 {
        true => "endpoints of SQS",
        false => "endpoints of SQS (off)",
    };
    let hours = zones * days as f64 * 24.0;
    line(name, hours * facts.get("price.endpoint_hour"), true)
}

/// What images came to is brought into the catalogue by a job of the crawl
/// queue, which reads and writes as a run of the pipe does. It is not played,
/// since no deadline hangs on it; its time in slots is paid for at what the
/// crawlers' hours cost.
fn folds(ended: &Ended, facts: &Facts) -> f64 {
    let (tally, crawl) = (&ended.tally, &ended.groups[0]);
    let paid_h = seconds(crawl.paid_ms) / 3_600.0;
    if paid_h <= 0.0 {
        return 0.0;
    }
    let read_s = tally.rows as f64 / facts.get("rate.rows_daily");
    let slot_s = tally.runs_done as f64 * facts.get("rate.job_s") + read_s;
    let disk_hour = facts.get("fleet.crawl_disk_gib") * facts.get("price.ebs_gib_month")
        / facts.get("price.month_hours");
    let hour = crawl.usd / paid_h + facts.get("price.ipv4_hour") + disk_hour;
    slot_s / 3_600.0 / facts.get("fleet.crawl_slots") * hour
}

/// The proxy of partners that let in one address: it runs whether there is work
/// or not, and is off unless `fleet.fixed_egress` says that there is one.
fn fixed_egress(days: u64, facts: &Facts) -> BillLine {
    let proxies = facts.get("fleet.fixed_egress");
    let name = match proxies > 0.0 {
        true => "proxy with a fixed address",
        false => "proxy with a fixed address (off)",
    };
    let disk_hour = facts.get("fleet.proxy_disk_gib") * facts.get("price.ebs_gib_month")
        / facts.get("price.month_hours");
    let hour = facts.get("price.proxy_hour") + facts.get("price.ipv4_hour") + disk_hour;
    line(name, proxies * days as f64 * 24.0 * hour, true)
}

fn sqs_requests(ended: &Ended, facts: &Facts) -> f64 {
    let tally = &ended.tally;
    let jobs = tally.runs_done as f64 * facts.get("rate.crawl_job_requests")
        + tally.renewals as f64
        + tally.image_jobs * facts.get("rate.image_job_requests");
    // Slots that have no job poll for one.
    let poll_s = facts.get("fleet.poll_s");
    let free_s = seconds(tally.slots_there_ms.saturating_sub(tally.slot_ms));
    let image = &ended.groups[1];
    let idle_s = seconds(image.paid_ms.saturating_sub(image.busy_ms));
    jobs + (free_s + idle_s * facts.get("fleet.image_slots")) / poll_s
}

/// What is asked for by the call, and what looks after it all.
fn services(ended: &Ended, days: u64, facts: &Facts) -> Vec<BillLine> {
    let tally = &ended.tally;
    let ticks = days as f64 * 1_440.0;
    let month = 1.0 / month_factor(days);
    let runs = tally.runs_done as f64;
    let puts = runs * (facts.get("rate.crawl_job_puts") + facts.get("rate.commit_puts"))
        + tally.image_jobs * facts.get("rate.image_job_puts")
        + ticks * facts.get("rate.tick_puts");
    let image_puts = tally.images_changed * facts.get("rate.image_puts");
    let gets = runs * facts.get("rate.crawl_job_gets")
        + tally.image_jobs * facts.get("rate.image_job_gets");
    let log_gib = (runs + tally.image_jobs) * facts.get("rate.log_bytes_job") / GIB;
    let put = facts.get("price.s3_put_thousand") / 1_000.0;
    let schedule_s = ticks * facts.get("fleet.schedule_s") * facts.get("fleet.schedule_gib");
    let schedule = schedule_s * facts.get("price.lambda_gib_second")
        + ticks / 1e6 * (facts.get("price.lambda_million") + facts.get("price.schedule_million"));
    let sent_gib = (tally.images + runs) * facts.get("rate.request_bytes") / GIB;
    // A put a minute while a worker lives, and one of each tick.
    let instance_min = seconds(ended.groups[0].paid_ms + ended.groups[1].paid_ms) / 60.0;
    vec![
        line("S3 requests for images", image_puts * put, false),
        line(
            "S3 requests for state and catalogue",
            puts * put + gets / 1_000.0 * facts.get("price.s3_get_thousand"),
            false,
        ),
        line("schedule (function)", schedule, false),
        line("logs", log_gib * facts.get("price.logs_gib"), false),
        line(
            "alarms",
            facts.get("fleet.alarm_metrics") * facts.get("price.alarm_metric_month") * month,
            false,
        ),
        line(
            "metrics and dashboard",
            (facts.get("fleet.custom_metrics") * facts.get("price.metric_month")
                + facts.get("price.dashboard_month"))
                * month
                + (instance_min + ticks) / 1_000.0 * facts.get("price.metric_put_thousand"),
            false,
        ),
        line(
            "transfer to partners",
            sent_gib * facts.get("price.transfer_out_gib"),
            false,
        ),
    ]
}

/// What lies there: all products, and an image of each.
fn kept(_: &Ended, workload: &Workload, days: u64, facts: &Facts) -> Vec<BillLine> {
    let rows = workload.rows() as f64;
    let gib = |bytes: f64| rows * bytes / GIB;
    let (images, catalogue) = (
        gib(facts.get("rate.image_bytes")),
        gib(facts.get("rate.catalogue_bytes_row")),
    );
    let first = FIRST_TIER_GIB.min(images);
    let images_month = first * facts.get("price.s3_gib_month")
        + (images - first) * facts.get("price.s3_gib_month_above_50_tb");
    let month = 1.0 / month_factor(days);
    let inputs = gib(facts.get("rate.feed_bytes_row"))
        * facts.get("rate.kept_inputs")
        * facts.get("rate.kept_share");
    vec![
        line("S3 storage of images", images_month * month, false),
        line(
            "S3 storage of inputs that are kept",
            inputs * facts.get("price.s3_gib_month") * month,
            false,
        ),
        line(
            "S3 storage of the catalogue",
            catalogue * facts.get("price.s3_gib_month") * month,
            false,
        ),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workload::Trace;
    use crate::world::{GroupTally, Tally};

    const HOUR_MS: u64 = 3_600_000;

    /// A day with figures that can be reckoned by hand.
    fn ended() -> Ended {
        let mut tally = Tally::default();
        (tally.runs, tally.runs_done, tally.rows) = (101, 100, 5_600_000);
        (tally.image_jobs, tally.images, tally.images_changed) = (1_000.0, 100_000.0, 60_000.0);
        (tally.slots_there_ms, tally.slot_ms) = (20 * HOUR_MS, 12 * HOUR_MS);
        tally.renewals = 50;
        let group = |usd, paid_h, busy_h| GroupTally {
            usd,
            paid_ms: paid_h * HOUR_MS,
            busy_ms: busy_h * HOUR_MS,
            ..GroupTally::default()
        };
        Ended {
            tally,
            groups: [group(1.25, 10, 8), group(2.5, 5, 3)],
            frames: Vec::new(),
            last_at: 0,
            is_done: true,
        }
    }

    #[test]
    fn every_line_of_a_bill_is_what_one_reckons_by_hand() {
        /// Of a mean month.
        const DAYS: f64 = 30.4375;
        // A day with a pipe of two thousand million products.
        let text = "pipe,at,seconds,rows\nall,2026-11-01T00:00:00Z,1,2000000000\n";
        let workload = Workload::Trace(Trace::read(text, "t.csv").unwrap());
        let bill = Bill::of(&ended(), &workload, &Facts::default());
        let disk_hour = 0.0912 / 730.0;
        // Jobs with their renewals; 8 h of free slots of crawlers and 2 h of 64
        // of image workers, each of which polls every 15 s.
        let jobs = 100.0 * 1.15 + 50.0 + 1_000.0 * 2.4;
        let polls = (8.0 * 3_600.0 + 2.0 * 3_600.0 * 64.0) / 15.0;
        // 3 s for each run and 100 s of reading, at half of what a crawler with
        // two slots costs an hour.
        let folds_h = (100.0 * 3.0 + 5_600_000.0 / 56_000.0) / 3_600.0 / 2.0;
        // A tick a minute.
        let ticks = 1_440.0;
        let puts = 100.0 * (13.0 + 6.0) + 1_000.0 * 4.1 + ticks * 12.0;
        let gets = 100.0 * 17.0 + 1_000.0 * 10.1;
        let gib = |bytes: f64| bytes / 1_024.0 / 1_024.0 / 1_024.0;
        let images = gib(2e9 * 41_000.0);
        assert!(images > 76_000.0, "above 50 TiB, which have a price apart");
        let expected = [
            ("crawl instances", 1.25),
            ("image instances", 2.5),
            ("disks of instances", (10.0 * 40.0 + 5.0 * 10.0) * disk_hour),
            ("public IPv4", 15.0 * 0.005),
            ("SQS", (jobs + polls) * 0.5 / 1e6),
            ("proxy with a fixed address (off)", 0.0),
            ("endpoints of SQS (off)", 0.0),
            (
                "folds, as reckoned",
                folds_h * (0.125 + 0.005 + 40.0 * disk_hour),
            ),
            ("S3 requests for images", 60_000.0 * 2.0 * 0.0045 / 1_000.0),
            (
                "S3 requests for state and catalogue",
                (puts * 0.0045 + gets * 0.00035) / 1_000.0,
            ),
            // One GiB for 1.5 s, the call and what calls it.
            (
                "schedule (function)",
                ticks * (1.5 * 0.000_013_333_4 + (0.20 + 1.0) / 1e6),
            ),
            ("logs", gib(1_100.0 * 2_000.0) * 0.76),
            ("alarms", 33.0 * 0.10 / DAYS),
            // 15 h of instances send a figure a minute, as each tick does.
            (
                "metrics and dashboard",
                (40.0 * 0.30 + 3.0) / DAYS + (15.0 * 60.0 + ticks) * 0.01 / 1_000.0,
            ),
            ("transfer to partners", gib(100_100.0 * 900.0) * 0.126),
            (
                "S3 storage of images",
                (51_200.0 * 0.025 + (images - 51_200.0) * 0.024) / DAYS,
            ),
            // Three inputs of each pipe, a fifth of them after compression.
            (
                "S3 storage of inputs that are kept",
                gib(2e9 * 550.0) * 3.0 * 0.2 * 0.025 / DAYS,
            ),
            (
                "S3 storage of the catalogue",
                gib(2e9 * 106.0) * 0.025 / DAYS,
            ),
        ];
        let close = |found: f64, usd: f64| (found - usd).abs() <= usd * 1e-9;
        assert_eq!(bill.lines.len(), expected.len());
        for (at, (line, (name, usd))) in bill.lines.iter().zip(expected).enumerate() {
            assert_eq!((line.name, line.is_compared), (name, at < 8));
            assert!(close(line.usd, usd), "{name}: {}, not {usd}", line.usd);
            assert!(close(bill.month_of(line), usd * DAYS), "{name}");
        }
        let all: f64 = expected.iter().map(|line| line.1).sum();
        let compared: f64 = expected[..8].iter().map(|line| line.1).sum();
        assert!(close(bill.total_usd, all) && close(bill.month_usd, all * DAYS));
        assert!(close(bill.compared_usd, compared));
        assert!(close(bill.compared_month_usd, compared * DAYS));
    }

    #[test]
    fn images_of_less_than_fifty_tib_are_kept_at_the_first_price() {
        // 1,000,000 x 41,000 bytes are 38.18 GiB, of which a day is billed.
        let text = "pipe,at,seconds,rows\nall,2026-11-01T00:00:00Z,1,1000000\n";
        let workload = Workload::Trace(Trace::read(text, "t.csv").unwrap());
        let bill = Bill::of(&ended(), &workload, &Facts::default());
        let of = bill.lines.iter().find(|it| it.name.ends_with("of images"));
        let usd = of.unwrap().usd;
        assert!((usd - 38.184 * 0.025 / 30.4375).abs() < 1e-6, "{usd}");
    }

    #[test]
    fn endpoints_are_billed_by_zone_and_hour_when_they_are_there() {
        let off = endpoints(30, &Facts::default());
        assert_eq!((off.usd, off.name.ends_with("(off)")), (0.0, true));
        let on = "[fleet.sqs_endpoint_zones]\nvalue = 2\nsource = \"SqsAccess=endpoint\"\n";
        let on = endpoints(30, &Facts::overridden(on, "own.toml").unwrap());
        assert!((on.usd - 2.0 * 720.0 * 0.013).abs() < 1e-9, "{}", on.usd);
    }

    #[test]
    fn a_proxy_with_a_fixed_address_is_billed_by_the_hour_when_it_is_on() {
        let off = fixed_egress(30, &Facts::default());
        assert_eq!((off.usd, off.name.ends_with("(off)")), (0.0, true));
        let on = "[fleet.fixed_egress]\nvalue = 1\nsource = \"Egress=fixed\"\n";
        let on = fixed_egress(30, &Facts::overridden(on, "own.toml").unwrap());
        // 720 hours of 0.0052 + 0.005 and of 8 GiB at 0.0912 a month of 730 hours.
        let expected = 720.0 * (0.0052 + 0.005 + 8.0 * 0.0912 / 730.0);
        assert!((on.usd - expected).abs() < 1e-9, "{}", on.usd);
        assert!(on.is_compared && !on.name.contains("off"));
    }
}
