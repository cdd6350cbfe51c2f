//! Documents that cannot be read hold up nobody else.

use trawler_core::RunId;
use trawler_fleet::manifests;

use crate::bench::{daily, image_job, scheduler, with_images, world_at};
use crate::support::pipe_of;

#[tokio::test]
async fn a_document_that_cannot_be_read_holds_up_nobody_else() {
    let world = world_at("2026-11-21T03:00:00Z");
    world.state.poke("runs/broken/00000000000001", b"{half");
    world.state.poke("jobs/crawl/broken", b"{half");
    let pipes = [pipe_of("broken"), daily()];
    let report = scheduler(&world, &pipes).tick().await.unwrap();
    assert_eq!(report.runs_planned, 1);
    assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
    assert!(report.problems[0].contains("jobs/crawl/broken"));
    assert!(report.problems[1].contains("runs/broken/00000000000001"));
    assert_eq!(world.state.peek("jobs/crawl/broken").unwrap(), b"{half");
}

#[tokio::test]
async fn a_broken_manifest_holds_up_no_other_pipe() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    world.state.poke("manifests/aaa/00000000000001", b"{half");
    let run = RunId::parse("bbb@2026-11-20T03:00:00.000Z").unwrap();
    let jobs = [image_job(&run, 1)];
    let torn = manifests::write(&world.ports, &run, 1, &jobs)
        .await
        .unwrap();
    world
        .blobs
        .poke(&format!("{}.000000", torn.jobs_key), b"{half");
    with_images(&world, &ticker, 2).await;
    let report = ticker.tick().await.unwrap();
    assert_eq!(report.image_jobs_sent, 2);
    assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
    assert!(report.problems[0].contains("manifests/aaa/00000000000001"));
    assert!(report.problems[1].contains(&torn.jobs_key));
}
