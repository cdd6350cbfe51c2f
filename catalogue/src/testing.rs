//! What the tests of this crate share: products in a few words, batches of
//! them, and a clock that stands still.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow_schema::{DataType, Field};
use chrono::{DateTime, Utc};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use serde_json::{Map, Value};
use trawler_catalogue::{
    Catalogue, CatalogueOptions, CommitOutcome, Deletes, Diff, EXTRA, Fence, FoldStamp,
    ImageStaging, Mode, NotShown, PreparedCommit, RunStamp, SortLimits, Staged, Staging, Txn,
    Watermark, WriteId, content_schema, rows_as_json,
};
use trawler_core::image::ImageOutcome;
use trawler_core::ports::Clock;
use trawler_core::withheld::{Act, Note, Withholding};
use trawler_core::{PipeId, RunId};

/// A product with the columns that tests look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    pub id: String,
    pub title: Option<String>,
    pub price: Option<i64>,
    pub image_link: Option<String>,
    pub extra: Option<BTreeMap<String, String>>,
    extra_order: Vec<String>,
}

impl Product {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }

    pub fn title(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }

    pub fn price(mut self, price: i64) -> Self {
        self.price = Some(price);
        self
    }

    pub fn image(mut self, link: &str) -> Self {
        self.image_link = Some(link.to_owned());
        self
    }

    pub fn extra(mut self, key: &str, value: &str) -> Self {
        let extra = self.extra.get_or_insert_default();
        extra.insert(key.to_owned(), value.to_owned());
        self.extra_order.push(key.to_owned());
        self
    }

    pub fn empty_extra(mut self) -> Self {
        self.extra = Some(BTreeMap::new());
        self
    }
}

/// Products as rows of the content schema.
pub fn batch_of(products: &[Product]) -> RecordBatch {
    let schema = content_schema();
    let texts = |get: fn(&Product) -> Option<&String>| -> ArrayRef {
        Arc::new(products.iter().map(get).collect::<StringArray>())
    };
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "id" => texts(|product| Some(&product.id)),
            "title" => texts(|product| product.title.as_ref()),
            "image_link" => texts(|product| product.image_link.as_ref()),
            "price_minor" => {
                let prices: Int64Array = products.iter().map(|product| product.price).collect();
                Arc::new(prices)
            }
            EXTRA => extras(products),
            _ => new_null_array(field.data_type(), products.len()),
        })
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

fn extras(products: &[Product]) -> ArrayRef {
    let names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
        .with_keys_field(Field::new("key", DataType::Utf8, false))
        .with_values_field(Field::new("value", DataType::Utf8, true));
    for product in products {
        if let Some(extra) = &product.extra {
            for key in &product.extra_order {
                builder.keys().append_value(key);
                builder.values().append_value(&extra[key]);
            }
        }
        builder.append(product.extra.is_some()).unwrap();
    }
    Arc::new(builder.finish())
}

/// Wall time that the test sets; sleeping yields and moves it on.
#[derive(Debug)]
pub struct StillClock(AtomicI64);

impl StillClock {
    pub fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(millis)))
    }

    pub fn advance(&self, span: Duration) {
        let millis = i64::try_from(span.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

#[async_trait::async_trait]
impl Clock for StillClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::Relaxed)).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed).unsigned_abs())
    }

    async fn sleep(&self, span: Duration) {
        self.advance(span);
        tokio::task::yield_now().await;
    }
}

/// A catalogue with small files, in a folder of its own unless another store
/// is given.
pub struct Table {
    pub folder: tempfile::TempDir,
    pub store: Arc<dyn ObjectStore>,
    pub scratch: tempfile::TempDir,
    pub clock: Arc<StillClock>,
    pub catalogue: Catalogue,
}

pub fn small_files() -> CatalogueOptions {
    CatalogueOptions {
        file_rows: 50,
        row_group_rows: 20,
        checkpoint_every: 7,
        backoff: Duration::from_millis(1),
        ..CatalogueOptions::default()
    }
}

/// 2026-11-21T00:00:00Z; day `n` is that many days later.
pub const DAY_0_MS: i64 = 1_795_219_200_000;
pub const DAY_MS: i64 = 86_400_000;

pub fn pipe(text: &str) -> PipeId {
    PipeId::parse(text).unwrap()
}

pub fn run_of(pipe: &PipeId, day: i64) -> RunId {
    let due = DateTime::from_timestamp_millis(DAY_0_MS + day * DAY_MS).unwrap();
    RunId::new(pipe.clone(), due)
}

pub fn stamp_of(run: &RunId) -> RunStamp {
    RunStamp {
        run: run.clone(),
        write_id: WriteId::of_run(run, 1),
        collects_images: true,
    }
}

pub fn txn_of(run: &RunId) -> Txn {
    Txn {
        app_id: run.pipe.to_string(),
        version: run.seq.0,
    }
}

pub fn decide(document: &mut Withholding, act: &Act) {
    let note = Note {
        by: "ann".to_owned(),
        at: DateTime::UNIX_EPOCH,
        why: String::new(),
    };
    document.decide(act, &note).unwrap();
}

impl Table {
    pub async fn new() -> Self {
        Self::with(small_files()).await
    }

    pub async fn with(options: CatalogueOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        Self {
            folder,
            ..Self::over(Arc::new(store), options).await
        }
    }

    pub async fn over(store: Arc<dyn ObjectStore>, options: CatalogueOptions) -> Self {
        let clock = StillClock::at(DAY_0_MS);
        let catalogue = Catalogue::open_or_create(store.clone(), options, clock.clone())
            .await
            .unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            store,
            scratch: tempfile::tempdir().unwrap(),
            clock,
            catalogue,
        }
    }

    /// Another handle on the same table, as another process has one.
    pub async fn reopened(&self) -> Catalogue {
        Catalogue::open(self.store.clone(), small_files(), self.clock.clone())
            .await
            .unwrap()
    }

    pub fn staged(&self, products: &[Product], deletes: &[&str]) -> Staged {
        let limits = SortLimits {
            buffer_bytes: 64 << 10,
            fan_in: 3,
        };
        let mut staging = Staging::new(self.scratch.path(), limits).unwrap();
        for products in products.chunks(37) {
            staging.push(batch_of(products)).unwrap();
        }
        staging.push_deletes(deletes).unwrap();
        staging.finish().unwrap()
    }

    pub async fn prepare(
        &self,
        run: &RunId,
        staged: &Staged,
        mode: Mode,
        deletes: Deletes,
    ) -> (Diff, PreparedCommit) {
        let base = self.catalogue.snapshot().await.unwrap();
        let diff = self
            .catalogue
            .diff(&base, &run.pipe, staged, mode)
            .await
            .unwrap();
        let prepared = self
            .catalogue
            .write(&diff, &stamp_of(run), deletes)
            .await
            .unwrap();
        (diff, prepared)
    }

    /// A whole full run.
    pub async fn full_run(&self, pipe: &PipeId, day: i64, products: &[Product]) -> (Diff, i64) {
        let run = run_of(pipe, day);
        let staged = self.staged(products, &[]);
        let (diff, prepared) = self
            .prepare(&run, &staged, Mode::Full, Deletes::Apply)
            .await;
        (diff, self.commit(&prepared, &run).await)
    }

    /// A full run that knows what is withheld.
    pub async fn withheld_run(
        &self,
        document: &Withholding,
        day: i64,
        products: &[Product],
    ) -> i64 {
        let run = run_of(&document.pipe, day);
        let staged = self.staged(products, &[]);
        let base = self.catalogue.snapshot().await.unwrap();
        let diff = self.catalogue.diff(&base, &run.pipe, &staged, Mode::Full);
        let diff = diff.await.unwrap();
        let not_shown = NotShown {
            products: document.policy(),
            ..NotShown::default()
        };
        self.commit_diff(&diff, &run, not_shown).await
    }

    pub async fn commit_diff(&self, diff: &Diff, run: &RunId, not_shown: NotShown) -> i64 {
        let (stamp, apply) = (stamp_of(run), Deletes::Apply);
        let written = self
            .catalogue
            .write_withholding(diff, &stamp, apply, not_shown);
        self.commit(&written.await.unwrap(), run).await
    }

    /// Takes a decision and brings the table to it; gives the rows that changed.
    pub async fn withhold(&self, document: &mut Withholding, act: &Act) -> u64 {
        decide(document, act);
        let base = self.catalogue.snapshot().await.unwrap();
        let made = self.catalogue.withhold(&base, document).await.unwrap();
        let fence = Fence::open();
        let committed = self.catalogue.commit(&made.prepared, &made.txn, &fence);
        let committed = committed.await.unwrap();
        assert!(matches!(committed, CommitOutcome::Committed { .. }));
        made.rows
    }

    pub async fn commit(&self, prepared: &PreparedCommit, run: &RunId) -> i64 {
        let outcome = self
            .catalogue
            .commit(prepared, &txn_of(run), &Fence::open())
            .await
            .unwrap();
        match outcome {
            CommitOutcome::Committed { version, .. } => version,
            other => panic!("expected a commit, found {other:?}"),
        }
    }

    /// All rows of a pipe by id, as JSON, read page by page.
    pub async fn rows(&self, pipe: &PipeId, page: usize) -> BTreeMap<String, Row> {
        rows_of(&self.catalogue, pipe, page).await
    }

    pub async fn fold(&self, pipe: &PipeId, number: i64, outcomes: &[ImageOutcome]) -> Option<i64> {
        let mut staging = ImageStaging::new(self.scratch.path(), SortLimits::default()).unwrap();
        staging.push(outcomes).unwrap();
        let results = staging.finish().unwrap();
        let base = self.catalogue.snapshot().await.unwrap();
        let stamp = FoldStamp {
            at: DateTime::from_timestamp_millis(DAY_0_MS + number * 1_000).unwrap(),
            write_id: WriteId::parse(&format!("f{number}")).unwrap(),
        };
        let prepared = self
            .catalogue
            .fold_images(&base, pipe, &results, &stamp)
            .await
            .unwrap()?;
        let txn = Txn {
            app_id: format!("{pipe}#images"),
            version: number,
        };
        match self.catalogue.commit(&prepared, &txn, &Fence::open()).await {
            Ok(CommitOutcome::Committed { version, .. }) => Some(version),
            other => panic!("expected a commit, found {other:?}"),
        }
    }

    /// Paths and sizes of everything in the store, scratch copies aside.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        let mut objects = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for item in std::fs::read_dir(folder).unwrap() {
                let item = item.unwrap();
                if item.file_type().unwrap().is_dir() {
                    folders.push(item.path());
                } else {
                    let path = item.path();
                    let path = path.strip_prefix(self.folder.path()).unwrap();
                    let size = item.metadata().unwrap().len();
                    objects.insert(path.display().to_string(), size);
                }
            }
        }
        objects
    }
}

pub type Row = Map<String, Value>;

pub async fn rows_of(catalogue: &Catalogue, pipe: &PipeId, page: usize) -> BTreeMap<String, Row> {
    let snapshot = catalogue.snapshot().await.unwrap();
    let mut rows = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = catalogue
            .products(&snapshot, pipe, after.as_deref(), page, None)
            .await
            .unwrap();
        for row in rows_as_json(&page.rows) {
            let id = row["id"].as_str().unwrap().to_owned();
            assert!(
                after.as_ref().is_none_or(|after| *after < id),
                "pages go up"
            );
            assert!(rows.insert(id, row).is_none(), "no row comes twice");
        }
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

/// Changes since a watermark, page by page.
pub async fn changes_of(
    catalogue: &Catalogue,
    since: Watermark,
    pipe: Option<&PipeId>,
    page: usize,
) -> (Vec<Row>, Watermark) {
    let mut rows = Vec::new();
    let mut next = since;
    loop {
        let page = catalogue.changes(next, pipe, page).await.unwrap();
        rows.extend(rows_as_json(&page.rows));
        next = page.next;
        if page.is_end {
            return (rows, next);
        }
    }
}

/// Applies changes to a copy of the table, checking that each fits.
pub fn replay(copy: &mut BTreeMap<(String, String), Row>, changes: Vec<Row>) {
    for mut change in changes {
        let kind = change.remove("_change_type").unwrap();
        change.remove("_commit_version").unwrap();
        change.remove("_commit_timestamp").unwrap();
        let pipe = change.remove("pipe").unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = (text(&pipe), text(&change["id"]));
        match kind.as_str().unwrap() {
            "insert" => assert!(copy.insert(key, change).is_none(), "inserts are new"),
            "update_postimage" => assert!(copy.insert(key, change).is_some()),
            "update_preimage" => assert_eq!(copy.get(&key), Some(&change)),
            "delete" => assert_eq!(copy.remove(&key), Some(change)),
            other => panic!("unknown change {other}"),
        }
    }
}
