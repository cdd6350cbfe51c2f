//! What journeys look at: what commands print and which files there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trawler_shop::{FeedFormat, ShopProduct};

use crate::support::{Ended, Folder};

/// Rows of one call; more than any journey has.
const ROWS: &str = "100000";

/// A pipe that collects no images.
pub(crate) const NO_IMAGES: &str = "[images]\ncollect = false\n";

/// A pipe that looks at every image with every run.
pub(crate) const EVERY_RUN: &str = "[images]\nrecheck = \"every_run\"\n";

/// One small variant: what journeys are about is not the picture.
pub(crate) const SMALL_VARIANT: &str = "[[images.variants]]\nname = \"small\"\nwidth = 32\nheight = 32\nfit = \"contain\"\nformat = \"jpeg\"\nquality = 70\n";

/// A product as all formats tell it: title, price in minor units, page, image.
pub(crate) type Told = (String, i64, String, String);

impl Folder {
    /// Runs one pipe now, whatever its schedule says.
    pub(crate) fn run_pipe(&self, pipe: &str) -> Ended {
        self.trawler(&["run", "--once", "--pipe", pipe, "--json"])
    }

    /// The rows of a pipe by id.
    pub(crate) fn rows(&self, pipe: &str) -> BTreeMap<String, Value> {
        let args = ["products", "--pipe", pipe, "--limit", ROWS, "--json"];
        let printed = self.trawler(&args).with_code(0).json();
        by_id(printed["products"].as_array().unwrap())
    }

    /// The rows of a pipe, as all formats tell them.
    pub(crate) fn told(&self, pipe: &str) -> BTreeMap<String, Told> {
        let rows = self.rows(pipe).into_iter();
        rows.map(|(id, row)| (id, told(&row))).collect()
    }

    /// The newest run of a pipe.
    pub(crate) fn last_run(&self, pipe: &str) -> Value {
        self.runs(pipe).into_iter().next().expect("a run")
    }

    /// The runs of a pipe, newest first.
    pub(crate) fn runs(&self, pipe: &str) -> Vec<Value> {
        let printed = self
            .trawler(&["runs", "--pipe", pipe, "--json"])
            .with_code(0);
        printed.json().as_array().unwrap().clone()
    }

    /// The changes since a watermark, and the next watermark.
    pub(crate) fn changes(&self, since: &str) -> (Vec<Value>, String) {
        let args = ["changes", "--since", since, "--limit", ROWS, "--json"];
        let printed = self.trawler(&args).with_code(0).json();
        (
            printed["changes"].as_array().unwrap().clone(),
            printed["next"].as_str().unwrap().to_owned(),
        )
    }

    pub(crate) fn dead_letters(&self) -> Vec<Value> {
        let printed = self.trawler(&["dlq", "list", "--json"]).with_code(0);
        printed.json()["letters"].as_array().unwrap().clone()
    }
}

fn by_id(rows: &[Value]) -> BTreeMap<String, Value> {
    let keyed = rows.iter().map(|row| (text(row, "id"), row.clone()));
    let map: BTreeMap<_, _> = keyed.collect();
    assert_eq!(map.len(), rows.len(), "an id is listed twice");
    map
}

/// A text column; empty where the row has none.
pub(crate) fn text(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}

fn told(row: &Value) -> Told {
    // A Merchant feed's price is the one before a reduction.
    let price = row["sale_price_minor"].as_i64();
    (
        text(row, "title"),
        price.or(row["price_minor"].as_i64()).unwrap_or(-1),
        text(row, "link"),
        text(row, "image_link"),
    )
}

/// The shop's own products, in the same words.
pub(crate) fn truth(products: impl IntoIterator<Item = ShopProduct>) -> BTreeMap<String, Told> {
    let products = products.into_iter().map(|product| {
        let price = i64::try_from(product.price_minor).unwrap();
        let told = (product.title, price, product.link, product.image_link);
        (product.id, told)
    });
    products.collect()
}

/// The `[feed]` table that reads a synthetic shop's feed.
pub(crate) fn feed_table(format: FeedFormat) -> String {
    let (name, more) = match format {
        FeedFormat::NaverEp => ("naver-ep", ""),
        FeedFormat::NaverEpSummary => {
            return "format = \"naver-ep\"\nmode = \"summary\"".to_owned();
        }
        FeedFormat::GoogleTsv => ("google-tsv", ""),
        FeedFormat::Rss | FeedFormat::Atom => ("google-xml", ""),
        FeedFormat::Csv => (
            "csv",
            "columns = { id = \"product_id\", title = \"name\", link = \"url\", image_link = \"image\" }",
        ),
        FeedFormat::Json => (
            "json",
            "items = \"data.items\"\ncolumns = { title = \"name\", link = \"url\", image_link = \"image\" }",
        ),
        FeedFormat::JsonLines => (
            "jsonl",
            "columns = { title = \"name\", link = \"url\", image_link = \"image\" }",
        ),
    };
    format!("format = \"{name}\"\nmode = \"full\"\ncurrency = \"KRW\"\n{more}")
}

/// Every file below a folder with its size; none where there is no folder.
pub(crate) fn files(folder: &Path) -> BTreeSet<(PathBuf, u64)> {
    let mut found = BTreeSet::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            } else {
                found.insert((entry.path(), entry.metadata().unwrap().len()));
            }
        }
    }
    found
}

/// The difference between what is expected and what is there, in few words.
#[track_caller]
pub(crate) fn assert_same<V: PartialEq + std::fmt::Debug>(
    found: &BTreeMap<String, V>,
    expected: &BTreeMap<String, V>,
) {
    for (id, value) in expected {
        assert_eq!(found.get(id), Some(value), "product {id}");
    }
    let more: Vec<&String> = found
        .keys()
        .filter(|id| !expected.contains_key(*id))
        .collect();
    assert!(more.is_empty(), "nobody sells these any more: {more:?}");
}
