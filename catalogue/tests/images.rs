//! Image state: who becomes pending, what a fold changes and what it leaves
//! alone, and which rows are due.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::collections::BTreeMap;

use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use trawler_catalogue::Watermark;
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage, SourceFacts, StoredVariant};
use trawler_core::phash::Phash;

use testing::{Product, Table, changes_of, pipe, replay};

const LOOK: Phash = Phash(0xe1b0_c3d4_9a5f_2786);

fn url(number: usize) -> String {
    format!("http://img/{number}.jpg")
}

fn products(count: usize) -> Vec<Product> {
    (0..count)
        .map(|n| Product::new(&format!("{n:05}")).title("x").image(&url(n)))
        .collect()
}

fn outcome(number: usize, status: ImageStatus) -> ImageOutcome {
    ImageOutcome {
        product_id: format!("{number:05}"),
        url: url(number),
        status,
        reason: String::new(),
        source: None,
        known: KnownImage::default(),
        variants: Vec::new(),
    }
}

fn stored(number: usize) -> ImageOutcome {
    let sha256 = format!("{number:064}");
    ImageOutcome {
        source: Some(SourceFacts {
            sha256: sha256.clone(),
            format: "jpeg".to_owned(),
            width: 1200,
            height: 900,
            bytes: 12_345,
            phash: Some(LOOK),
            damaged: None,
        }),
        known: KnownImage {
            sha256: Some(sha256),
            recipe: Some("r1".to_owned()),
            etag: Some("\"e\"".to_owned()),
            last_modified: None,
            phash: Some(LOOK),
        },
        variants: vec![StoredVariant {
            name: "list".to_owned(),
            key: "images/00/x/list-1.jpg".to_owned(),
            width: 256,
            height: 192,
            bytes: 999,
            sha256: "v".to_owned(),
        }],
        ..outcome(number, ImageStatus::Stored)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_changes_image_columns_of_the_rows_it_names_and_nothing_else() {
    let table = Table::new().await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(200)).await;
    let before = table.rows(&shop, 100).await;
    let files = |table: &Table| {
        let paths = table.objects().into_keys();
        paths.filter(|path| path.starts_with("pipe=")).count()
    };
    let files_before = files(&table);
    let moved = ImageOutcome {
        url: "http://img/elsewhere".to_owned(),
        ..stored(12)
    };
    let gone = ImageOutcome {
        product_id: "gone".to_owned(),
        ..stored(1)
    };
    let outcomes = [stored(10), outcome(11, ImageStatus::NotFound), moved, gone];
    let version = table.fold(&shop, 1, &outcomes).await.unwrap();
    assert_eq!(files(&table), files_before + 1, "one file has all the rows");
    let after = table.rows(&shop, 100).await;
    let row = &after["00010"];
    assert_eq!(row["image_status"], "stored");
    assert_eq!(row["image_url"], json!(url(10)));
    assert_eq!(row["image_width"], 1200);
    assert_eq!(row["image_phash"], "e1b0c3d49a5f2786");
    let variant = json!([{"name": "list", "key": "images/00/x/list-1.jpg", "width": 256,
        "height": 192, "bytes": 999, "sha256": "v"}]);
    assert_eq!(row["image_variants"], variant);
    assert_eq!(after["00011"]["image_status"], "not_found");
    for (id, row) in &after {
        let is_image = |name: &String| name.starts_with("image_") && name != "image_link";
        let content = |row: &testing::Row| -> testing::Row {
            row.clone()
                .into_iter()
                .filter(|(name, _)| !is_image(name))
                .collect()
        };
        assert_eq!(content(row), content(&before[id]), "{id}");
        if id != "00010" && id != "00011" {
            assert_eq!(row, &before[id]);
        }
    }
    let since = Watermark { version, offset: 0 };
    let (changes, _) = changes_of(&table.catalogue, since, None, 3).await;
    assert_eq!(changes.len(), 4);
    let mut copy: BTreeMap<_, _> = before
        .into_iter()
        .map(|(id, row)| ((shop.to_string(), id), row))
        .collect();
    replay(&mut copy, changes);
    assert!(copy.into_values().eq(after.into_values()));
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_what_is_known_already_writes_nothing() {
    let table = Table::new().await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(20)).await;
    let results = [stored(1), outcome(2, ImageStatus::Timeout)];
    table.fold(&shop, 1, &results).await.unwrap();
    let before = table.objects();
    let unchanged = [
        outcome(1, ImageStatus::Unchanged),
        outcome(2, ImageStatus::Timeout),
    ];
    assert_eq!(table.fold(&shop, 2, &unchanged).await, None);
    assert_eq!(table.fold(&shop, 3, &results).await, None);
    assert_eq!(table.fold(&shop, 4, &[]).await, None);
    assert_eq!(table.objects(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_image_state_while_the_link_stays_and_resets_it_when_it_changes() {
    let table = Table::new().await;
    let shop = pipe("shop");
    let mut rows = products(10);
    table.full_run(&shop, 0, &rows).await;
    let outcomes: Vec<ImageOutcome> = (0..10).map(stored).collect();
    table.fold(&shop, 1, &outcomes).await.unwrap();
    rows[1] = rows[1].clone().title("other");
    rows[2] = rows[2].clone().image("http://img/new");
    rows[3] = Product::new("00003").title("x");
    table.full_run(&shop, 1, &rows).await;
    let after = table.rows(&shop, 10).await;
    let state = |id: &str| {
        let row = &after[id];
        let image = row
            .keys()
            .filter(|n| n.starts_with("image_") && *n != "image_link");
        (
            row.get("image_status")
                .map(|s| s.as_str().unwrap().to_owned()),
            image.count(),
        )
    };
    let stored = Some("stored".to_owned());
    assert_eq!(state("00000"), (stored.clone(), 12));
    assert_eq!(state("00001"), (stored, 12));
    assert_eq!(state("00002"), (Some("pending".to_owned()), 1));
    assert_eq!(state("00003"), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_come_in_pages_of_due_rows() {
    let table = Table::new().await;
    let shop = pipe("shop");
    let mut rows = products(120);
    rows[5] = Product::new("00005").title("without image");
    table.full_run(&shop, 0, &rows).await;
    let outcomes: Vec<ImageOutcome> = (0..100).map(stored).collect();
    table.fold(&shop, 7, &outcomes).await.unwrap();
    let snapshot = table.catalogue.snapshot().await.unwrap();
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let is_due = |row: &trawler_catalogue::ImageRow| row.status == Some(ImageStatus::Pending);
        let page = table
            .catalogue
            .image_candidates(&snapshot, &shop, after.as_deref(), 8, is_due)
            .await
            .unwrap();
        found.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let ids: Vec<&str> = found.iter().map(|row| row.id.as_str()).collect();
    assert_eq!((ids.len(), ids[0], ids[19]), (20, "00100", "00119"));
    assert_eq!(found[0].image_link, url(100));
    assert_eq!(
        (found[0].tried, &found[0].known),
        (None, &KnownImage::default())
    );
    let page = table
        .catalogue
        .image_candidates(&snapshot, &shop, Some("00003"), 2, |_| true)
        .await
        .unwrap();
    assert_eq!(page.rows[0].known, stored(4).known);
    assert_eq!(
        page.rows[0].tried.unwrap().timestamp_millis(),
        testing::DAY_0_MS + 7_000
    );
    assert_eq!(page.rows[1].id, "00006", "a row without image is never due");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_and_a_run_of_one_pipe_conflict() {
    let table = Table::new().await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(10)).await;
    let run = testing::run_of(&shop, 1);
    let staged = table.staged(&products(11), &[]);
    let (_, prepared) = table
        .prepare(
            &run,
            &staged,
            trawler_catalogue::Mode::Full,
            trawler_catalogue::Deletes::Apply,
        )
        .await;
    table.fold(&shop, 1, &[stored(1)]).await.unwrap();
    let fence = trawler_catalogue::Fence::open();
    let error = table
        .catalogue
        .commit(&prepared, &testing::txn_of(&run), &fence)
        .await;
    assert!(matches!(
        error,
        Err(trawler_catalogue::CommitError::Conflict { .. })
    ));
}

/// Takes columns out of a table, as if a release had written it that did not
/// have them.
fn without_columns(table: &Table, names: &[&str]) {
    let folder = table.folder.path();
    let mut sizes = BTreeMap::new();
    for path in table.objects().into_keys() {
        if !path.ends_with(".parquet") {
            continue;
        }
        let file = folder.join(&path);
        let bytes = Bytes::from(std::fs::read(&file).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let kept: Vec<usize> = (0..reader.schema().fields().len())
            .filter(|at| !names.contains(&reader.schema().field(*at).name().as_str()))
            .collect();
        let schema = reader.schema().project(&kept).unwrap();
        let out = std::fs::File::create(&file).unwrap();
        let mut writer = ArrowWriter::try_new(out, schema.into(), None).unwrap();
        for batch in reader.build().unwrap() {
            writer
                .write(&batch.unwrap().project(&kept).unwrap())
                .unwrap();
        }
        writer.close().unwrap();
        sizes.insert(path, std::fs::metadata(&file).unwrap().len());
    }
    for path in table.objects().into_keys() {
        if !path.starts_with("_delta_log/") {
            continue;
        }
        let file = folder.join(&path);
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if let Some(metadata) = line.get_mut("metaData") {
                let schema = metadata["schemaString"].as_str().unwrap();
                let mut schema: Value = serde_json::from_str(schema).unwrap();
                let fields = schema["fields"].as_array_mut().unwrap();
                fields.retain(|field| !names.contains(&field["name"].as_str().unwrap()));
                metadata["schemaString"] = json!(schema.to_string());
            }
            for kind in ["add", "cdc"] {
                if let Some(action) = line.get_mut(kind) {
                    let path = action["path"].as_str().unwrap().replace("%3D", "=");
                    action["size"] = json!(sizes[&path]);
                }
            }
            line.to_string() + "\n"
        });
        std::fs::write(&file, lines.collect::<String>()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_an_earlier_release_gets_the_columns_that_it_lacks() {
    let mut table = Table::new().await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(3)).await;
    table.fold(&shop, 1, &[stored(0)]).await.unwrap();
    let names = ["image_phash", "image_damaged"];
    without_columns(&table, &names);
    table.catalogue = trawler_catalogue::Catalogue::open_or_create(
        table.store.clone(),
        testing::small_files(),
        table.clock.clone(),
    )
    .await
    .unwrap();
    let log: String = table
        .objects()
        .into_iter()
        .filter(|(path, _)| path.starts_with("_delta_log/"))
        .map(|(path, _)| std::fs::read_to_string(table.folder.path().join(path)).unwrap())
        .collect();
    assert!(log.contains("ADD COLUMNS"), "{log}");
    assert!(log.contains("image_phash") && log.contains("image_damaged"));
    let rows = table.rows(&shop, 10).await;
    assert_eq!(rows["00000"]["image_status"], "stored");
    assert!(!rows["00000"].contains_key("image_phash"));
    // What was stored before has no such hash until it is stored again.
    let again = stored(0);
    table.fold(&shop, 2, &[again, stored(1)]).await.unwrap();
    let rows = table.rows(&shop, 10).await;
    for id in ["00000", "00001"] {
        assert_eq!(rows[id]["image_phash"], LOOK.to_string(), "{id}");
    }
    let snapshot = table.catalogue.snapshot().await.unwrap();
    let page = table
        .catalogue
        .image_candidates(&snapshot, &shop, None, 9, |_| true)
        .await
        .unwrap();
    let known = page.rows.iter().map(|row| row.known.phash);
    assert!(known.eq([Some(LOOK), Some(LOOK), None]));
}
