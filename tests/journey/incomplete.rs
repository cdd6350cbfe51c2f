//! Runs that did not see everything: they upsert what they saw, hold their
//! deletes and say so; the next complete run delists.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use trawler_shop::{Compression, DayChange, FeedFormat, Model, ShopSpec, render_feed};

use crate::look::{NO_IMAGES, assert_same, feed_table, truth};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};

/// Where links lead; nobody asks there.
const SHOP: &str = "http://shop.example";

fn model(gone_share: f64) -> Model {
    let spec = ShopSpec {
        format: FeedFormat::JsonLines,
        day_change: DayChange {
            new_share: 0.05,
            changed_share: 0.1,
            gone_share,
            ..DayChange::NONE
        },
        ..ShopSpec::new("incomplete", 5, 200)
    };
    Model::new(&spec, SHOP).unwrap()
}

fn feed(model: &Model, compression: Compression, day: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    render_feed(model, model.spec().format, compression, day, &mut bytes).unwrap();
    bytes
}

/// A partner that serves one answer, which the test exchanges.
struct Partner {
    answer: Arc<Mutex<(Vec<u8>, usize)>>,
    server: Server,
    folder: Folder,
}

impl Partner {
    fn of(model: &Model, compression: Compression, judge: &str) -> Self {
        let answer = Arc::new(Mutex::new((feed(model, compression, 0), 0)));
        let served = Arc::clone(&answer);
        let server = Server::start(move |_| {
            let (body, missing) = served.lock().unwrap().clone();
            Answer::of(body).missing(missing)
        });
        let folder = Folder::new(&[server.host()], "");
        let partner = Self {
            answer,
            server,
            folder,
        };
        partner.judge(judge);
        partner.folder.run_pipe("cut").with_code(0);
        assert_same(&partner.folder.told("cut"), &truth(model.products(0)));
        partner
    }

    /// Writes the pipe's file anew.
    fn judge(&self, judge: &str) {
        let more = format!("{NO_IMAGES}\n{judge}");
        let feed = feed_table(FeedFormat::JsonLines);
        let text = pipe(&self.server.url("/feed"), &feed, &more);
        self.folder.pipe("cut", &text);
    }

    fn serves(&self, body: Vec<u8>, missing: usize) {
        *self.answer.lock().unwrap() = (body, missing);
    }

    /// Runs on what did not come whole; gives the run.
    fn incomplete_run(&self, says: &str) -> Value {
        let printed = self.folder.run_pipe("cut").with_code(3).json();
        let run = self.folder.last_run("cut");
        assert_eq!(printed["runs"][0], run);
        let said = run["incomplete"].to_string();
        assert!(said.contains(says), "{says:?} is not in {said}");
        assert_eq!(run["phase"], "finished", "{run:#}");
        assert_eq!(run["counts"]["deletes"], 0, "{run:#}");
        assert!(run["counts"]["held_deletes"].as_u64() > Some(0), "{run:#}");
        run
    }

    /// Nobody is delisted, and everybody that was seen is as of the day.
    fn kept_and_upserted(&self, model: &Model, run: &Value) {
        let (old, new) = (truth(model.products(0)), truth(model.products(1)));
        let found = self.folder.told("cut");
        let ids = |map: &std::collections::BTreeMap<String, _>| -> BTreeSet<String> {
            map.keys().cloned().collect()
        };
        assert!(ids(&found).is_superset(&ids(&old)), "somebody was delisted");
        let mut fresh = 0;
        for (id, told) in &found {
            let (as_old, as_new) = (old.get(id) == Some(told), new.get(id) == Some(told));
            assert!(as_old || as_new, "{id} is of no day: {told:?}");
            fresh += u64::from(as_new && !as_old);
        }
        let counts = &run["counts"];
        let applied = counts["inserts"].as_u64().unwrap() + counts["updates"].as_u64().unwrap();
        assert_eq!(fresh, applied, "{run:#}");
        assert!(applied > 0, "{run:#}");
    }

    /// A complete run of the day delists.
    fn heals(&self, model: &Model, compression: Compression) {
        self.serves(feed(model, compression, 1), 0);
        self.folder.run_pipe("cut").with_code(0);
        assert_same(&self.folder.told("cut"), &truth(model.products(1)));
        let counts = &self.folder.last_run("cut")["counts"];
        assert_eq!(counts["deletes"], model.changes(1).gone.len(), "{counts:#}");
    }
}

#[test]
fn invariant_05_a_truncated_download_holds_its_deletes() {
    let model = model(0.04);
    let partner = Partner::of(&model, Compression::None, "");
    let mut whole = feed(&model, Compression::None, 1);
    let cut = whole.split_off(whole.len() * 3 / 4);
    partner.serves(whole, cut.len());
    let run = partner.incomplete_run("cut off");
    partner.kept_and_upserted(&model, &run);
    partner.heals(&model, Compression::None);
}

#[test]
fn invariant_05_a_truncated_archive_holds_its_deletes() {
    let model = model(0.04);
    let partner = Partner::of(&model, Compression::Gzip, "");
    let mut whole = feed(&model, Compression::Gzip, 1);
    whole.truncate(whole.len() * 3 / 4);
    partner.serves(whole, 0);
    let run = partner.incomplete_run("");
    partner.kept_and_upserted(&model, &run);
    partner.heals(&model, Compression::Gzip);
}

#[test]
fn invariant_05_too_large_a_drop_is_held() {
    let model = model(0.5);
    let partner = Partner::of(&model, Compression::None, "");
    partner.serves(feed(&model, Compression::None, 1), 0);
    let run = partner.incomplete_run("max_drop");
    assert_eq!(
        run["counts"]["held_deletes"],
        model.changes(1).gone.len(),
        "{run:#}"
    );
    partner.kept_and_upserted(&model, &run);
    // Nothing but a person's word lets such a drop through.
    partner.incomplete_run("max_drop");
    partner.judge("[judge]\nmax_drop = 0.8\n");
    partner.heals(&model, Compression::None);
}

#[test]
fn invariant_05_too_many_bad_rows_hold_the_deletes() {
    let model = model(0.04);
    let partner = Partner::of(&model, Compression::None, "");
    let whole = feed(&model, Compression::None, 1);
    let text = String::from_utf8(whole).unwrap();
    // Every tenth row has lost its end; one in twenty is believed.
    let spoilt: String = text
        .lines()
        .enumerate()
        .map(|(n, line)| match n % 10 {
            3 => format!("{}\n", line.split(",\"url\"").next().unwrap()),
            _ => format!("{line}\n"),
        })
        .collect();
    partner.serves(spoilt.into_bytes(), 0);
    let run = partner.incomplete_run("reject");
    assert!(run["counts"]["rejected"].as_u64() >= Some(20), "{run:#}");
    assert!(run["rejected_report"].is_string(), "{run:#}");
    partner.kept_and_upserted(&model, &run);
    partner.heals(&model, Compression::None);
}
