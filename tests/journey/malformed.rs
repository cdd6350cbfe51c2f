//! Invariant 11: what cannot be read is told with where and why, and kept.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trawler_core::dead::DeadLetter;
use trawler_core::ledger::JobRecord;
use trawler_core::ports::Outgoing;
use trawler_core::{JobId, PipeId, QueueName};
use trawler_fleet::Ports;
use trawler_local::{CountingMetrics, LocalStore, QueueOptions, SystemClock};

use crate::look::{NO_IMAGES, feed_table, text};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};
use trawler_shop::FeedFormat;

/// 96 good rows and four bad ones, at lines 10, 20, 30 and 40.
fn feed() -> String {
    let mut text = "id\ttitle\tprice_pc\tlink\n".to_owned();
    for line in 2..102 {
        let row = match line {
            10 => "p10\ttoo\t100\thttps://shop.example/10\tmany\n".to_owned(),
            20 => "p20\tfew\n".to_owned(),
            30 => "\tno id\t100\thttps://shop.example/30\n".to_owned(),
            40 => "p40\tno price\tsoon\thttps://shop.example/40\n".to_owned(),
            n => format!("p{n}\tProduct {n}\t{n}00\thttps://shop.example/{n}\n"),
        };
        text.push_str(&row);
    }
    text
}

fn partner() -> (Server, Folder) {
    let server = Server::start(|_| Answer::of(feed()));
    let folder = Folder::new(&[server.host()], "");
    let feed = feed_table(FeedFormat::NaverEp);
    folder.pipe("odd", &pipe(&server.url("/feed"), &feed, NO_IMAGES));
    (server, folder)
}

#[test]
fn invariant_11_bad_rows_are_kept_with_line_and_reason() {
    let (_server, folder) = partner();
    folder.run_pipe("odd").with_code(0);
    let run = folder.last_run("odd");
    let counts = &run["counts"];
    let rows = folder.rows("odd");
    assert_eq!(counts["rows"], rows.len(), "{run:#}");
    let key = text(&run, "rejected_report");
    let report = std::fs::read_to_string(folder.blobs().join(&key)).unwrap();
    let told: Vec<Value> = report
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(counts["rejected"], told.len(), "{run:#}");
    let lines: Vec<u64> = told
        .iter()
        .map(|row| row["line"].as_u64().unwrap())
        .collect();
    // A price that is none is a value of the row, not the row.
    assert!(rows["p40"]["price_minor"].is_null());
    assert!(
        run["remarks"]
            .to_string()
            .contains("\\\"soon\\\" at line 40"),
        "{run:#}"
    );
    assert_eq!(lines, [10, 20, 30], "{report}");
    for row in &told {
        assert!(!text(row, "reason").is_empty(), "{row}");
        let told_of = [text(row, "found"), text(row, "column")].concat();
        assert!(!told_of.is_empty(), "{row}");
    }
    let remarks = run["remarks"].to_string();
    assert!(remarks.contains("rejected"), "{remarks}");
    assert_eq!(rows.len() + told.len(), 100);
}

async fn ports(folder: &Folder) -> Ports {
    let clock = Arc::new(SystemClock::new());
    let dir = folder.path().join("trawler-data");
    let store = LocalStore::open(dir, clock.clone()).await.unwrap();
    let options = QueueOptions {
        visibility: Duration::from_secs(60),
        receive_count_max: 1000,
    };
    let queue = |name| Arc::new(store.queue(name, options).unwrap());
    Ports {
        state: Arc::new(store.state()),
        blobs: Arc::new(store.blobs()),
        crawl: queue(QueueName::Crawl),
        image: queue(QueueName::Image),
        clock,
        metrics: Arc::new(CountingMetrics::new()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_11_messages_that_nobody_understands_become_dead_letters() {
    let (_server, folder) = partner();
    folder.run_pipe("odd").with_code(0);
    let before = folder.rows("odd");
    {
        let ports = ports(&folder).await;
        let strange = |dedup_id: &str, body: &str| Outgoing {
            group: "odd".to_owned(),
            dedup_id: dedup_id.to_owned(),
            body: body.to_owned(),
        };
        for queue in [&ports.crawl, &ports.image] {
            let messages = [
                strange("who-is-this", "{\"v\":1,\"job\":{\"kind\":\"dance\"}}"),
                strange("odd@2020-01-01T00:00:00.000Z:1", "not even JSON"),
            ];
            assert!(queue.send(&messages).await.unwrap().is_empty());
        }
    }
    // Nothing else is to do, and yet they are seen to.
    folder.trawler(&["run", "--once"]).with_code(1);
    assert_eq!(folder.dead_letters().len(), 4);
    {
        let ports = ports(&folder).await;
        // A job of a version that this program does not know.
        let record = JobRecord::plan(
            JobId::parse("odd@2031-01-01T00:00:00.000Z").unwrap(),
            QueueName::Crawl,
            PipeId::parse("odd").unwrap(),
            "odd".to_owned(),
            "{\"v\":99,\"job\":{\"kind\":\"collect\",\"run\":\"odd@2031-01-01T00:00:00.000Z\"}}"
                .to_owned(),
            ports.clock.now(),
        );
        ports.jobs().plan_and_send(vec![record]).await.unwrap();
    }
    folder.trawler(&["run", "--once"]).with_code(1);
    let letters = folder.dead_letters();
    assert_eq!(letters.len(), 5, "{letters:#?}");
    let version: Vec<&Value> = letters
        .iter()
        .filter(|letter| text(letter, "reason").contains("version 99"))
        .collect();
    assert_eq!(version.len(), 1, "{letters:#?}");
    assert_eq!(version[0]["job"], "odd@2031-01-01T00:00:00.000Z");
    let unknown = letters
        .iter()
        .filter(|letter| text(letter, "reason").contains("no job of this name"));
    for letter in unknown {
        assert_eq!(letter["group"], "odd", "{letter:#}");
        assert!(!text(letter, "body").is_empty(), "kept as it came");
    }
    show_names_the_whole_body(&folder).await;
    // The job can be sent again, what is no job cannot, and holds up nothing.
    let redriven = folder.trawler(&["dlq", "redrive", "--all"]).with_code(1);
    assert!(
        redriven.stdout.contains("1 dead letter(s) sent again"),
        "{redriven:?}"
    );
    assert_eq!(folder.dead_letters().len(), 4);
    folder.trawler(&["run", "--once"]).with_code(1);
    assert_eq!(folder.dead_letters().len(), 5, "it is as strange as before");
    // Nothing else is touched, and everything can be thrown away.
    assert_eq!(folder.rows("odd"), before);
    folder.trawler(&["dlq", "purge", "--all"]).with_code(0);
    assert!(folder.dead_letters().is_empty());
}

/// Of a message that no letter has room for; the local queue takes none so
/// large, so the letter is written here.
async fn show_names_the_whole_body(folder: &Folder) {
    let ports = ports(folder).await;
    let letters = ports.jobs().dead_letters(QueueName::Crawl).await.unwrap();
    let letter = letters.iter().find(|letter| letter.pipe.is_none()).unwrap();
    let key = DeadLetter::key(QueueName::Crawl, "message-large");
    let large = DeadLetter {
        job: "message-large".to_owned(),
        body_at: Some(key.clone()),
        ..letter.clone()
    };
    ports.documents().put(&key, &large).await.unwrap();
    let shown = folder.trawler(&["dlq", "show", "message-large"]);
    let shown = shown.with_code(0).stdout;
    assert!(shown.contains(&format!("whole body at {key}")), "{shown}");
    let other = folder.trawler(&["dlq", "show", &letter.job]).with_code(0);
    assert!(!other.stdout.contains("whole body"), "{other:?}");
    ports.documents().delete(&key).await.unwrap();
}
