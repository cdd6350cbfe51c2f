//! The table read by programs that nobody here wrote: Python's `deltalake` and
//! DuckDB with its Delta extension. Counts, values, older versions and the
//! change feed must be what this crate says.
//!
//! The test sets up its own virtual environment from `requirements.txt`, once
//! for each content of that file, and fails where no package index answers.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::json;
use trawler_catalogue::{Catalogue, CatalogueOptions, Deletes, Mode, Watermark, local_store};
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage, SourceFacts, StoredVariant};
use trawler_core::withheld::{Act, Withholding};

use testing::{Product, Table, changes_of, pipe, run_of, small_files};

/// The Python of an environment with the readers.
fn readers() -> PathBuf {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-readers");
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return python;
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder));
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ]);
    run(install.arg(&requirements));
    std::fs::write(installed, wanted).unwrap();
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot start {command:?}: {error}; this test needs python3 with venv")
    });
    assert!(
        output.status.success(),
        "{command:?} failed (setting up readers needs a package index):\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn products(count: usize, price: i64) -> Vec<Product> {
    (0..count)
        .map(|n| {
            let product = Product::new(&format!("{n:04}")).title(&format!("모자 {n}"));
            let product = product.price(price).extra("색", "빨강");
            if n % 3 == 0 {
                product
            } else {
                product.image(&format!("http://img/{n}"))
            }
        })
        .collect()
}

fn stored(number: usize) -> ImageOutcome {
    ImageOutcome {
        product_id: format!("{number:04}"),
        url: format!("http://img/{number}"),
        status: ImageStatus::Stored,
        reason: String::new(),
        source: Some(SourceFacts {
            sha256: "s".repeat(64),
            format: "png".to_owned(),
            width: 3,
            height: 4,
            bytes: 5,
            ..SourceFacts::default()
        }),
        known: KnownImage::default(),
        variants: vec![StoredVariant {
            name: "list".to_owned(),
            key: format!("images/{number}"),
            width: 1,
            height: 2,
            bytes: 3,
            sha256: "v".to_owned(),
        }],
    }
}

/// First loads, changes, an unchanged run, a summary run, a fold, an emptied
/// pipe, a hidden one, and checkpoints in between.
async fn fill(table: &Table) {
    let (a, b, c) = (pipe("shop-a"), pipe("shop.b"), pipe("c"));
    table.full_run(&a, 0, &products(180, 100)).await;
    table.full_run(&b, 0, &products(20, 7)).await;
    table.full_run(&c, 0, &products(5, 1)).await;
    let mut rows = products(170, 100);
    for at in [3, 77, 78, 160] {
        rows[at] = rows[at].clone().price(90);
    }
    rows.extend((500..520).map(|n| Product::new(&format!("{n:04}"))));
    table.full_run(&a, 1, &rows).await;
    table.full_run(&b, 1, &products(20, 7)).await;
    let staged = table.staged(&[Product::new("0001").title("new")], &["0002", "0003"]);
    let run = run_of(&b, 2);
    let (_, prepared) = table
        .prepare(&run, &staged, Mode::Summary, Deletes::Apply)
        .await;
    table.commit(&prepared, &run).await;
    table
        .fold(&a, 1, &[stored(1), stored(2), stored(100)])
        .await
        .unwrap();
    table.full_run(&c, 1, &[]).await;
    // A commit that names an untold file.
    let mut document = Withholding::none(pipe("d"));
    table.withheld_run(&document, 0, &products(9, 1)).await;
    table.withhold(&mut document, &Act::Hide).await;
    table.withheld_run(&document, 1, &products(5, 2)).await;
    table.withhold(&mut document, &Act::Show).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_deltalake_and_duckdb_read_what_we_wrote() {
    let mut table = Table::with(CatalogueOptions {
        checkpoint_every: 3,
        ..small_files()
    })
    .await;
    // Kept after the test, to be looked at when it fails.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-readers-table");
    std::fs::remove_dir_all(&folder).ok();
    let options = CatalogueOptions {
        checkpoint_every: 3,
        ..small_files()
    };
    let store = local_store(&folder).unwrap();
    let clock = Arc::clone(&table.clock);
    table.catalogue = Catalogue::open_or_create(store, options, clock)
        .await
        .unwrap();
    fill(&table).await;

    let snapshot = table.catalogue.snapshot().await.unwrap();
    let mut counts = Vec::new();
    for version in 0..=snapshot.version() {
        let old = table.catalogue.snapshot_at(version).await.unwrap();
        counts.push(old.pipes().map(|(_, stats)| stats.rows).sum::<u64>());
    }
    let mut rows = Vec::new();
    for (shop, _) in snapshot.pipes() {
        for (_, mut row) in table.rows(&pipe(shop), 1_000).await {
            row.insert("pipe".to_owned(), shop.into());
            rows.push(row);
        }
    }
    let (changes, _) = changes_of(&table.catalogue, Watermark::START, None, 100).await;
    let expected = json!({
        "table": folder, "version": snapshot.version(), "counts": counts,
        "rows": rows, "changes": changes,
    });
    let expected_path = folder.with_extension("json");
    std::fs::write(&expected_path, expected.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_readers.py");
    run(Command::new(readers()).arg(script).arg(&expected_path));
}
