//! Photographs from a server to stored variants: Trawler and its peers, one after the other, on the
//! same images. And images that did not change, by Trawler alone: the peers know no such thing.
//!
//! A server in a process of its own, bound to another core, serves photographs of product sizes on
//! loopback; each client is a process bound to one core, which downloads them, makes JPEGs of quality 80
//! of 256 and 720 pixels, and writes those to disk.

mod album;
mod peers;
mod served;
mod trawler;

use std::path::Path;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

pub(crate) use self::served::serve_photos;
pub(crate) use self::trawler::collect;

use self::peers::{Client, Peers};
use crate::case;
use crate::measure::{Took, median};
use crate::server::Server;

/// Sides of product images, in pixels: of a list, of a page, of a close look.
pub(crate) const SIDES_PX: [u32; 3] = [600, 1_200, 2_700];
/// Of each size.
pub(crate) const PHOTOS: u32 = 200;
/// Images that did not change: enough for a second of work.
const UNCHANGED: u32 = 5_000;
/// Of the images that did not change, which are made once beforehand: the smallest, and one small
/// variant of each, so that this takes no longer than it must.
const UNCHANGED_SIDE_PX: u32 = 600;
const UNCHANGED_VARIANTS_PX: [u32; 1] = [64];
/// What the clients make.
const VARIANTS_PX: [u32; 2] = [256, 720];
/// One of img2dataset takes ten seconds.
const RUNS_MAX: u32 = 3;

/// What the server says of an image beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Served {
    /// With an `ETag`, and 304 where it is known.
    Validated,
    Bare,
}

impl Served {
    fn word(self) -> &'static str {
        match self {
            Self::Validated => "validated",
            Self::Bare => "bare",
        }
    }
}

/// Images of one server that are collected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Of the server, without a path.
    pub(crate) url: String,
    pub(crate) served: Served,
    pub(crate) side_px: u32,
    pub(crate) images: u32,
    /// Squares that are made of each image.
    pub(crate) variants_px: Vec<u32>,
    /// Whether they are collected on a second day as well.
    pub(crate) again: bool,
}

impl Order {
    fn image_url(&self, number: u32) -> String {
        let Self {
            url,
            served,
            side_px,
            ..
        } = self;
        format!("{url}/{}/{side_px}/{number}.jpg", served.word())
    }
}

/// What one client did in one run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Collected {
    pub(crate) images: u32,
    pub(crate) took: Took,
    /// The same again on the next day.
    #[serde(default)]
    pub(crate) again: Option<Took>,
    /// Of the whole process.
    pub(crate) peak_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PhotosMeasured {
    pub(crate) sizes: Vec<SizeMeasured>,
    pub(crate) unchanged: Vec<UnchangedMeasured>,
    /// Clients that could not be measured, and why.
    pub(crate) missing: Vec<(&'static str, String)>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SizeMeasured {
    pub(crate) side_px: u32,
    pub(crate) image_bytes_mean: u64,
    pub(crate) clients: Vec<ClientMeasured>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ClientMeasured {
    pub(crate) client: &'static str,
    /// Medians of the runs.
    #[serde(flatten)]
    pub(crate) collected: Collected,
}

#[derive(Debug, Serialize)]
pub(crate) struct UnchangedMeasured {
    pub(crate) served: Served,
    pub(crate) images: u32,
    pub(crate) image_bytes_mean: u64,
    pub(crate) took: Took,
}

/// What the photo part is measured with.
pub(crate) struct PhotosPlan<'a> {
    pub(crate) photographs: &'a Path,
    pub(crate) runs: u32,
    pub(crate) scratch: &'a Path,
}

/// Collects every size with every client there is, and what did not change with Trawler.
pub(crate) fn measure_photos(plan: &PhotosPlan<'_>) -> Result<PhotosMeasured> {
    let album = plan.scratch.join("album");
    for side_px in SIDES_PX {
        case::scale_photographs(plan.photographs, &album.join(side_px.to_string()), side_px)?;
    }
    let peers = Peers::prepare();
    let server = Server::start(case::serving_photos(&album)?)?;
    let mut measured = PhotosMeasured {
        sizes: Vec::new(),
        unchanged: Vec::new(),
        missing: peers.missing(),
    };
    for side_px in SIDES_PX {
        let size = measure_size(plan, &peers, &server, side_px)?;
        measured.sizes.push(size);
    }
    for served in [Served::Validated, Served::Bare] {
        let unchanged = measure_unchanged(plan, &server, served)?;
        measured.unchanged.push(unchanged);
    }
    Ok(measured)
}

fn measure_size(
    plan: &PhotosPlan<'_>,
    peers: &Peers,
    server: &Server,
    side_px: u32,
) -> Result<SizeMeasured> {
    let order = Order {
        url: server.url().to_owned(),
        served: Served::Validated,
        side_px,
        images: PHOTOS,
        variants_px: VARIANTS_PX.to_vec(),
        again: false,
    };
    let before = server.stats()?;
    let mut clients = Vec::new();
    for client in peers.ready() {
        eprintln!("photos, {side_px} px, {}", client.name());
        let mut runs = Vec::new();
        for _ in 0..plan.runs.min(RUNS_MAX) {
            runs.push(one_run(plan, peers, server, client, &order)?);
        }
        let took: Vec<Took> = runs.iter().map(|run| run.took).collect();
        clients.push(ClientMeasured {
            client: client.name(),
            collected: Collected {
                images: order.images,
                took: median(&took),
                again: None,
                peak_bytes: runs.iter().filter_map(|run| run.peak_bytes).max(),
            },
        });
    }
    Ok(SizeMeasured {
        side_px,
        image_bytes_mean: server.stats()?.since(before).bytes_mean(),
        clients,
    })
}

fn one_run(
    plan: &PhotosPlan<'_>,
    peers: &Peers,
    server: &Server,
    client: Client,
    order: &Order,
) -> Result<Collected> {
    let before = server.stats()?;
    let collected = peers.collect(client, order, plan.scratch)?;
    let served = server.stats()?.since(before).things;
    let wanted = order.images;
    ensure!(
        collected.images == wanted && served == u64::from(wanted),
        "{} made variants of {} images and the server gave out {served} of {wanted}",
        client.name(),
        collected.images,
    );
    Ok(collected)
}

/// What the second day costs: nothing goes up, and nothing comes down where there are validators.
fn measure_unchanged(
    plan: &PhotosPlan<'_>,
    server: &Server,
    served: Served,
) -> Result<UnchangedMeasured> {
    eprintln!("photos, unchanged, {}", served.word());
    let order = Order {
        url: server.url().to_owned(),
        served,
        side_px: UNCHANGED_SIDE_PX,
        images: UNCHANGED,
        variants_px: UNCHANGED_VARIANTS_PX.to_vec(),
        again: true,
    };
    let before = server.stats()?;
    let mut days = Vec::new();
    for _ in 0..plan.runs.min(RUNS_MAX) {
        let collected = case::collect_photos(&order, plan.scratch)?;
        days.extend(collected.again);
    }
    Ok(UnchangedMeasured {
        served,
        images: UNCHANGED,
        image_bytes_mean: server.stats()?.since(before).bytes_mean(),
        took: median(&days),
    })
}
