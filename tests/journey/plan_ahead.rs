//! `trawler plan` on one machine: without a past it says so, after a run it
//! tells the machines of the hours ahead. `trawler scale` needs groups.

use trawler_shop::{Shop, ShopSpec};

use crate::look::feed_table;
use crate::support::{Folder, pipe};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_told_once_there_is_a_past() {
    let shop = Shop::start(ShopSpec::new("planned", 43, 10)).await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let feed = feed_table(shop.model().spec().format);
    let text = pipe(&shop.feed_url(), &feed, "[images]\ncollect = false\n");
    let text = text.replace("15 3 * * *", "0 * * * *");
    folder.pipe("hourly", &text);
    let before = folder.trawler(&["plan"]);
    assert_eq!(before.code, Some(0), "{before:?}");
    assert!(before.stdout.contains("no plan"), "{before:?}");

    folder.trawler(&["run", "--once"]).with_code(0);
    let report = folder.trawler(&["plan", "--json", "--hours", "3"]).json();
    let crawl = &report["groups"][0];
    assert_eq!(
        (&crawl["planned"], &crawl["peak"]),
        (&true.into(), &1.into()),
        "{report}"
    );
    // Three, or four when the hour turns meanwhile.
    let runs = report["runs"].as_u64().unwrap();
    assert!((3..=4).contains(&runs), "{report}");
    assert_eq!(report["runs_without_past"], 0, "{report}");
    assert_eq!(crawl["bound"], "hourly", "{report}");
    let shown = folder.trawler(&["plan", "--hours", "3"]);
    for part in [
        "0 of them without a past",
        "crawl",
        "bounded by pipe hourly",
        "cost ",
        "1 ####",
    ] {
        assert!(shown.stdout.contains(part), "{part:?} is not in {shown:?}");
    }

    let few = folder
        .trawler(&["plan", "--json", "--hours", "3", "--max", "1"])
        .json();
    assert_eq!(
        (&crawl["max"], &few["groups"][0]["max"]),
        (&20.into(), &1.into())
    );

    // What nothing may be started for is told, and not that nothing is due.
    let poor = "[plan]\nbudget_usd_per_day = 0.000001\n";
    folder.configure(&[shop.addr().to_string()], poor);
    let shown = folder.trawler(&["plan", "--hours", "3"]);
    for part in [
        "crawl    0 of at most 20 machine(s)",
        "late     hourly\n",
        "of $0.00 a day",
    ] {
        assert!(shown.stdout.contains(part), "{part:?} is not in {shown:?}");
    }

    let refused = folder.trawler(&["scale", "--once"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("capacity.crawl_group"),
        "{refused:?}"
    );
    shop.stop().await;
}
