//! What tests of the ledger begin with: a pipe, image jobs, their results.

use trawler_core::image::KnownImage;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::manifest::ImageResult;
use trawler_core::pipe::Pipe;
use trawler_core::{PipeId, RunId};
use trawler_fleet::manifests;

use super::World;

pub fn pipe(name: &str) -> PipeId {
    PipeId::parse(name).unwrap()
}

/// A pipe that reads a file when its schedule says so.
pub fn pipe_due(name: &str, cron: &str, zone: &str) -> Pipe {
    let text = serde_json::json!({
        "source": {"kind": "file", "path": "feed.tsv"},
        "feed": {"format": "naver-ep", "mode": "full"},
        "schedule": {"cron": cron, "zone": zone},
    });
    Pipe {
        id: pipe(name),
        ..serde_json::from_value(text).unwrap()
    }
}

/// A pipe that is due at three in the morning.
pub fn pipe_of(name: &str) -> Pipe {
    pipe_due(name, "0 3 * * *", "UTC")
}

/// An image job of one image.
pub fn image_job_at(run: &RunId, host: &str, n: u64) -> ImageJob {
    ImageJob {
        run: run.clone(),
        group: ImageJob::group_of(host, 0),
        images: vec![ImageTask {
            product_id: format!("p{n}"),
            url: format!("https://{host}/{n}.jpg"),
            known: KnownImage::default(),
            remake: None,
        }],
    }
}

/// The result of an image job, as its worker puts it.
pub async fn put_result(world: &World, job: &ImageJob) {
    let result = ImageResult {
        job: job.id(),
        run: job.run.clone(),
        tried: world.ports.clock.now(),
        outcomes: Vec::new(),
    };
    manifests::put_result(&world.ports, &result).await.unwrap();
}
