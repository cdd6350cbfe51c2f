//! What people do with a pipe on one machine does the same on a fleet, whose
//! state is in the cloud alone: dry runs, decisions, reprocessing, restore.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::fleet::Fleet;
use crate::look::{NO_IMAGES, text};
use crate::server::{Answer, Server};
use crate::support::pipe;

fn feed(title: &str, count: usize) -> String {
    let mut feed = "id\ttitle\tprice_pc\tlink\n".to_owned();
    for n in 0..count {
        feed += &format!("{n:03}\t{title} {n}\t1000\thttps://a.example/{n}\n");
    }
    feed
}

#[test]
fn dry_runs_decisions_and_restores_work_on_a_fleet() {
    let served = Arc::new(Mutex::new(feed("Cup", 120)));
    let serving = Arc::clone(&served);
    let server = Server::start(move |_| Answer::of(serving.lock().unwrap().clone()));
    let fleet = Fleet::new("undo", &[server.host()]);
    let table = "format = \"naver-ep\"\nmode = \"full\"";
    let text_of = |state: &str| {
        let pipe = pipe(&server.url("/feed"), table, NO_IMAGES);
        format!("state = \"{state}\"\n{pipe}")
    };
    let push = |state: &str| {
        fleet.folder.pipe("shop", &text_of(state));
        fleet.push();
    };
    let rows = || -> BTreeMap<String, Value> {
        let args = ["products", "--pipe", "shop", "--limit", "1000"];
        let found = fleet.json(&args)["products"].as_array().unwrap().clone();
        found
            .into_iter()
            .map(|row| (text(&row, "id"), row))
            .collect()
    };
    let run = || fleet.trawler(&["run", "--once", "--pipe", "shop"]);

    push("draft");
    run().with_code(2);
    let dry = ["run", "--pipe", "shop", "--dry-run"];
    let told = fleet.json(&dry);
    assert_eq!(told["outcome"], "applied", "{told:#}");
    assert!(fleet.json(&["runs"]).as_array().unwrap().is_empty());

    push("live");
    run().with_code(0);
    let good = rows();
    assert_eq!(good.len(), 120);
    let to = text(&fleet.json(&["runs"])[0], "id");
    *served.lock().unwrap() = feed("TEST", 110);
    run().with_code(0);
    assert_eq!(rows().len(), 110);

    let said = |args: &[&str]| fleet.trawler(args).with_code(0);
    said(&["block", "--pipe", "shop", "--id", "007"]);
    said(&["restore", "--pipe", "shop", "--to", &to]);
    let mut shown = good.clone();
    shown.remove("007");
    assert_eq!(rows(), shown);
    said(&["resume", "--pipe", "shop"]);
    said(&["unblock", "--pipe", "shop", "--id", "007"]);
    assert_eq!(rows(), good);
    said(&["pipe", "hide", "shop"]);
    assert!(rows().is_empty());
    said(&["pipe", "show", "shop"]);
    assert_eq!(rows(), good);

    // The input of the second run once more, as what is wanted after all.
    let spoilt = fleet.json(&["runs"]);
    let spoilt = spoilt.as_array().unwrap().iter();
    let newest_read = spoilt
        .filter(|run| run["restores"].is_null())
        .map(|run| text(run, "id"))
        .max();
    let again = ["reprocess", "--pipe", "shop", "--run"];
    said(&[&again[..], &[&newest_read.unwrap(), "--force"]].concat());
    said(&["run", "--once"]);
    assert_eq!(rows().len(), 110);
}
