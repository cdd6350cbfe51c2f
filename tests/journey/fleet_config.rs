//! A fleet that is set up wrongly is told what to change before it takes its
//! first message; one that is set up right collects a shop with its roles as
//! processes of their own.

use serde_json::Value;
use trawler_shop::{Shop, ShopSpec};

use crate::fleet::Fleet;
use crate::look::{SMALL_VARIANT, feed_table, text};
use crate::support::{Ended, pipe};

/// It ended with this code, and said all of this.
#[track_caller]
fn told(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?} is not in: {ended:?}");
    }
}

fn any_pipe(fleet: &Fleet) {
    let feed = "format = \"naver-ep\"\nmode = \"full\"";
    fleet
        .folder
        .pipe("shop", &pipe("https://shop.example.com/ep.tsv", feed, ""));
}

#[test]
fn a_queue_that_is_missing_is_named_with_what_makes_it() {
    let fleet = Fleet::new("no-queue", &[]);
    fleet.configure("crawl = \"nobody-made-this.fifo\"", "");
    let ended = fleet.trawler(&["crawl"]);
    told(
        &ended,
        2,
        &["nobody-made-this.fifo", "eu-west-1", "trawler fleet create"],
    );
}

#[test]
fn a_bucket_that_is_missing_is_named_with_its_region() {
    let fleet = Fleet::planned("no-bucket", &[]);
    let ended = fleet.trawler(&["fleet", "create"]);
    told(
        &ended,
        2,
        &[
            "bucket no-bucket",
            "eu-west-1",
            "trawler fleet create --bucket",
        ],
    );
    told(&fleet.trawler(&["status"]), 2, &["bucket no-bucket"]);
}

#[test]
fn another_region_is_told_by_both_names() {
    let fleet = Fleet::new("elsewhere", &[]);
    let url = "https://sqs.us-east-1.amazonaws.com/000000000000/elsewhere-crawl.fifo";
    fleet.configure(&format!("crawl = {url:?}"), "");
    told(&fleet.trawler(&["crawl"]), 2, &["us-east-1", "eu-west-1"]);
    let ended = fleet
        .command(&["crawl"])
        .env_remove("AWS_REGION")
        .output()
        .unwrap()
        .into();
    told(&ended, 2, &["AWS_REGION"]);
}

#[test]
fn a_standard_queue_is_refused() {
    let fleet = Fleet::planned("standard", &[]);
    fleet.configure("image = \"standard-image\"", "");
    let ended = fleet.trawler(&["images"]);
    told(
        &ended,
        2,
        &["trawler.toml:8: queue.image", "standard-image", "FIFO"],
    );
}

#[test]
fn two_environments_do_not_share_a_queue() {
    Fleet::new("first-env", &[]);
    let second = Fleet::new("second-env", &[]);
    second.configure("crawl = \"first-env-crawl.fifo\"", "");
    let ended = second.trawler(&["crawl"]);
    told(
        &ended,
        2,
        &["first-env-crawl.fifo", "first-env", "second-env"],
    );
}

#[test]
fn without_a_pipe_set_no_role_starts() {
    let fleet = Fleet::new("no-pipes", &[]);
    for role in ["crawl", "images", "schedule", "run"] {
        let ended = fleet.trawler(&[role]);
        told(&ended, 2, &["environment no-pipes", "trawler pipes push"]);
    }
    // Looking is not working.
    let status = fleet.json(&["status"]);
    assert_eq!(status["pipe_set"], Value::Null);
    assert_eq!(status["environment"], "no-pipes");
    any_pipe(&fleet);
    fleet.push();
    fleet.trawler(&["fleet", "check"]).with_code(0);
}

#[test]
fn a_machine_without_credentials_says_so() {
    let fleet = Fleet::planned("nobody", &[]);
    let ended = fleet
        .command(&["status"])
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("HOME", fleet.folder.path())
        .output()
        .unwrap()
        .into();
    told(&ended, 2, &["credentials", "AWS_ACCESS_KEY_ID"]);
    let ended = fleet
        .command(&["status"])
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("HOME", fleet.folder.path())
        .env("AWS_PROFILE", "nope")
        .output()
        .unwrap()
        .into();
    told(
        &ended,
        2,
        &["AWS_PROFILE is \"nope\"", "check that this profile exists"],
    );
}

#[test]
fn an_endpoint_that_nobody_listens_at_is_named() {
    let fleet = Fleet::planned("nobody-there", &[]);
    // Bound and not listened at: connections to it are refused.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let ended: Ended = fleet
        .command(&["status"])
        .env("AWS_ENDPOINT_URL", &url)
        .output()
        .unwrap()
        .into();
    told(
        &ended,
        1,
        &[&format!("no answer from {url}; check AWS_ENDPOINT_URL")],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_roles_collect_a_shop_and_leave_when_told() {
    let shop = Shop::start(ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        ..ShopSpec::new("fleet", 51, 20)
    })
    .await
    .unwrap();
    let fleet = Fleet::new("three-roles", &[shop.addr().to_string()]);
    fleet.configure("", SMALL_VARIANT);
    let feed = feed_table(shop.model().spec().format);
    fleet
        .folder
        .pipe("shop", &pipe(&shop.feed_url(), &feed, ""));
    let set = fleet.push();
    // The machines of a fleet have no folder of pipes.
    std::fs::remove_dir_all(fleet.folder.path().join("pipes")).unwrap();
    let mut roles = [
        fleet.start(&["schedule"]),
        fleet.start(&["crawl", "--slots", "1"]),
        fleet.start(&["images", "--slots", "2"]),
    ];
    let deadline = std::time::Instant::now() + trawler_tests::WAIT_MAX * 2;
    let products = loop {
        let found = fleet.json(&["products", "--pipe", "shop", "--limit", "100"]);
        let rows = found["products"].as_array().unwrap().clone();
        if rows.len() == 20 && rows.iter().all(|row| text(row, "image_status") == "stored") {
            break rows;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "not stored: {rows:#?}"
        );
        assert!(
            !roles.iter_mut().any(crate::fleet::Role::is_gone),
            "one has left"
        );
    };
    assert_eq!(products.len(), shop.products(0).len());
    let runs = fleet.until_runs_end(1);
    assert_eq!(runs[0]["pipe_set"], set.as_str(), "{runs:#?}");
    let status = fleet.json(&["status"]);
    assert_eq!(status["pipe_set"], set.as_str());
    assert_eq!(status["dead_letters"], 0);
    for role in roles {
        assert_eq!(role.leave(), 0, "told to leave");
    }
    shop.stop().await;
}
