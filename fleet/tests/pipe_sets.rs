//! Published sets of pipes: whole or not at all, whoever dies when.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use support::{TestClock, World, pipe};
use trawler_core::edition::Edition;
use trawler_core::feed::FeedMode;
use trawler_core::ports::{BlobMeta, Blobs};
use trawler_core::run::Run;
use trawler_core::{PipeSetId, RunId};
use trawler_fleet::{
    Parent, PipeError, PipeFile, PipeSetFiles, PipeSets, PipeSource, PublishError, Published,
    TableFile,
};

fn world() -> World {
    World::new(
        TestClock::frozen("2026-11-21T03:00:00Z"),
        Duration::from_secs(60),
    )
}

fn file(name: &str, rate: u32) -> PipeFile {
    PipeFile {
        id: pipe(name),
        text: format!(
            "# {name}\n[source]\nkind = \"file\"\npath = \"/feed\"\n[feed]\nformat = \"naver-ep\"\nmode = \"full\"\n[schedule]\ncron = \"0 3 * * *\"\n[fetch]\nrate_per_s = {rate}\n"
        ),
    }
}

/// A set of one pipe and one table, which differs by its number.
fn set(n: u32) -> PipeSetFiles {
    let table = TableFile::of("category.csv", table(n).as_bytes());
    PipeSetFiles::new(vec![file("shop", n)], vec![table])
}

fn table(n: u32) -> String {
    format!("from,to\na,{n}\n")
}

async fn publish(world: &World, n: u32) -> Result<PipeSetId, PublishError> {
    publish_after(world, n, &Parent::Any).await
}

async fn publish_after(world: &World, n: u32, parent: &Parent) -> Result<PipeSetId, PublishError> {
    let files = set(n);
    let content = |_: &TableFile| Ok(Bytes::from(table(n)));
    match PipeSets::new(&world.ports)
        .publish(&files, content, parent, "ann")
        .await?
    {
        Published::New(publication) | Published::Already(publication) => Ok(publication.set),
    }
}

/// The rate of the current set's pipe and the content of its table.
async fn current(world: &World) -> Option<(f64, String)> {
    let sets = PipeSets::new(&world.ports);
    let set = match sets.current().await {
        Ok(set) => set,
        Err(PipeError::NothingPublished) => return None,
        Err(error) => panic!("{error}"),
    };
    let table = sets.table(&set, "category.csv").await.unwrap().unwrap();
    let table = String::from_utf8(table.to_vec()).unwrap();
    let rate = set.pipe(&pipe("shop")).unwrap().fetch.rate_per_s;
    Some((rate, table))
}

#[test]
fn the_same_files_have_the_same_name_in_any_order() {
    let of = |files: Vec<PipeFile>| PipeSetFiles::new(files, Vec::new()).id();
    let (a, b) = (file("a", 1), file("b", 1));
    assert_eq!(
        of(vec![a.clone(), b.clone()]),
        of(vec![b.clone(), a.clone()])
    );
    assert_ne!(of(vec![a.clone(), b]), of(vec![a, file("b", 2)]));
}

#[tokio::test]
async fn a_publisher_that_dies_at_any_write_leaves_one_set_or_the_other() {
    let mut written = 0;
    for writes in 0.. {
        let world = world();
        publish(&world, 1).await.unwrap();
        world.crash.after_writes(writes);
        let published = publish(&world, 2).await;
        world.crash.restart();
        let (rate, table_of) = current(&world).await.unwrap();
        assert_eq!(table_of, table(rate as u32), "a set and its own table");
        // Whoever comes next finds nothing in the way.
        let set = publish(&world, 2).await.unwrap();
        assert_eq!(current(&world).await.unwrap().0, 2.0);
        let history = PipeSets::new(&world.ports).history(10).await.unwrap();
        let numbers: Vec<u64> = history.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [2, 1], "after {writes} writes");
        assert_eq!(history[0].set, set);
        if published.is_ok() {
            break;
        }
        written = writes;
    }
    assert!(written >= 3, "table, set, history and pointer are written");
}

#[tokio::test]
async fn of_publishers_that_expect_the_same_set_one_wins() {
    let world = world();
    let one = publish(&world, 1).await.unwrap();
    let parent = Parent::Set(one.clone());
    let two = publish_after(&world, 2, &parent).await.unwrap();
    let error = publish_after(&world, 3, &parent).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(one.as_str()) && text.contains(two.as_str()),
        "{text}"
    );
    assert_eq!(current(&world).await.unwrap().0, 2.0);
    // What is current already is published by nobody.
    assert_eq!(publish(&world, 2).await.unwrap(), two);
    let sets = PipeSets::new(&world.ports);
    assert_eq!(sets.history(10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_run_has_the_set_that_it_was_planned_with() {
    let world = world();
    let run = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
    let one = publish(&world, 1).await.unwrap();
    let planned = Run {
        pipe_set: Some(one.clone()),
        ..Run::plan(run.clone(), FeedMode::Full, run.due())
    };
    let documents = world.ports.documents();
    documents.create(&Run::key(&run), &planned).await.unwrap();
    let sets = PipeSets::new(&world.ports);
    for n in 2..12 {
        // More sets than are kept.
        publish(&world, n).await.unwrap();
        world.clock.advance(Duration::from_secs(60));
        let now = sets.current().await.unwrap();
        assert_eq!(
            now.pipe(&pipe("shop")).unwrap().fetch.rate_per_s,
            f64::from(n)
        );
        let kept = sets.of_run(&run).await.unwrap();
        assert_eq!(kept.id, Some(one.clone()));
        assert_eq!(kept.pipe(&pipe("shop")).unwrap().fetch.rate_per_s, 1.0);
        let content = sets.table(&kept, "category.csv").await.unwrap().unwrap();
        assert_eq!(content, table(1));
        assert_eq!(sets.table(&kept, "brand.csv").await.unwrap(), None);
    }
    let other = RunId::parse("shop@2026-11-22T03:00:00.000Z").unwrap();
    let unknown = sets.of_run(&other).await.unwrap();
    assert_eq!(unknown.id, sets.current().await.unwrap().id);
}

#[tokio::test]
async fn a_damaged_or_foreign_set_is_refused_and_one_bad_pipe_is_alone() {
    let world = world();
    let sets = PipeSets::new(&world.ports);
    let nothing = sets.current().await.unwrap_err();
    assert!(
        nothing.to_string().contains("trawler pipes push"),
        "{nothing}"
    );
    assert!(!nothing.is_transient());

    let missing = PipeSetId::parse(&"0".repeat(64)).unwrap();
    let error = sets.roll_back(&missing, "ann").await.unwrap_err();
    assert!(error.to_string().contains(missing.as_str()), "{error}");

    let meta = BlobMeta {
        content_type: "application/json",
        immutable: true,
    };
    let key = format!("pipe-sets/{missing}.json");
    world
        .blobs
        .put(&key, Bytes::from_static(b"{}"), meta)
        .await
        .unwrap();
    let error = sets.files(&missing).await.unwrap_err();
    assert!(
        error.to_string().contains("not those of its name"),
        "{error}"
    );

    let newer = PipeFile {
        id: pipe("newer"),
        text: "from_the_future = 1\n".to_owned(),
    };
    let files = PipeSetFiles::new(vec![newer, file("shop", 1)], Vec::new());
    let none = |_: &TableFile| Ok(Bytes::new());
    sets.publish(&files, none, &Parent::Any, "ann")
        .await
        .unwrap();
    let set = sets.current().await.unwrap();
    assert!(set.pipe(&pipe("shop")).is_ok());
    let error = set.pipe(&pipe("newer")).unwrap_err().to_string();
    assert!(
        error.contains("from_the_future") && error.contains("update"),
        "{error}"
    );
    let error = set.pipe(&pipe("gone")).unwrap_err().to_string();
    assert!(
        error.contains("pipe gone is not configured in pipe set"),
        "{error}"
    );
}

/// Whoever has looked some seconds ago goes by an older edition, also where the
/// set of today is that of an earlier day.
#[tokio::test]
async fn a_publication_is_a_later_edition_also_of_an_earlier_set() {
    let world = world();
    let mut numbers = Vec::new();
    let other = PipeSets::new(&world.ports);
    for n in [1, 2, 1] {
        publish(&world, n).await.unwrap();
        let current = PipeSets::new(&world.ports).current_set().await.unwrap();
        let Some(Edition::Published { number }) = current.edition else {
            panic!("{:?}", current.edition);
        };
        numbers.push(number);
        let rate = current.set.pipe(&pipe("shop")).unwrap().fetch.rate_per_s;
        assert_eq!(rate, f64::from(n));
        let known = other.current_set().await.unwrap();
        assert_eq!(known.edition, Some(Edition::Published { number: 1 }));
    }
    assert_eq!(numbers, [1, 2, 3]);
    world.clock.advance(Duration::from_secs(10));
    let known = other.current_set().await.unwrap();
    assert_eq!(known.edition, Some(Edition::Published { number: 3 }));
}
