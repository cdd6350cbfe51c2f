//! One piece of work for a process of its own: what it is told, and what it
//! answers on its standard output.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalogue::{self, CatalogueMeasured};
use crate::extract::{self, ExtractMeasured};
use crate::feed::{self, FeedMeasured};
use crate::images::{self, ImagesMeasured};
use crate::inputs;
use crate::measure::{pin_to_one_core, pin_to_other_core};
use crate::photos::{self, Collected, Order};
use crate::site::{self, CrawlMeasured, Pages, SitePlan};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Case {
    RenderFeed {
        to: PathBuf,
        rows: u32,
        day: u32,
        charset: String,
        compression: String,
    },
    ScalePhotographs {
        from: PathBuf,
        to: PathBuf,
        side_px: u32,
    },
    ReadFeed {
        input: PathBuf,
        rows: u32,
        runs: u32,
    },
    RenderImages {
        sources: PathBuf,
        images: u32,
        runs: u32,
    },
    KeepCatalogue {
        days: [PathBuf; 2],
        scratch: PathBuf,
        rows: u32,
        runs: u32,
    },
    /// Serves until its input ends.
    ServeBooks {
        folder: PathBuf,
        products: u32,
    },
    /// Serves until its input ends.
    ServePhotos {
        folder: PathBuf,
    },
    /// Serves until its input ends.
    ServeShop {
        products: u32,
    },
    /// Becomes another program, bound to one core.
    Become {
        program: PathBuf,
        arguments: Vec<OsString>,
    },
    CrawlSite {
        url: String,
        pages: Pages,
        scratch: PathBuf,
    },
    CollectPhotos {
        order: Order,
        scratch: PathBuf,
    },
    Extract {
        books: Option<PathBuf>,
        runs: u32,
    },
}

impl Case {
    /// Runs in this process, which does nothing else.
    pub(crate) fn run_here(&self) -> Result<()> {
        let answer = match self {
            Self::RenderFeed {
                to,
                rows,
                day,
                charset,
                compression,
            } => serde_json::to_string(&inputs::feed(to, *rows, *day, charset, compression)?),
            Self::ScalePhotographs { from, to, side_px } => {
                serde_json::to_string(&inputs::photographs(from, to, *side_px)?)
            }
            Self::ReadFeed { input, rows, runs } => {
                pin_to_one_core();
                serde_json::to_string(&feed::measure(input, *rows, *runs)?)
            }
            Self::RenderImages {
                sources,
                images,
                runs,
            } => {
                pin_to_one_core();
                serde_json::to_string(&images::measure(sources, *images, *runs)?)
            }
            Self::KeepCatalogue {
                days,
                scratch,
                rows,
                runs,
            } => {
                pin_to_one_core();
                serde_json::to_string(&catalogue::measure(days, scratch, *rows, *runs)?)
            }
            Self::ServeBooks { folder, products } => {
                pin_to_other_core();
                return site::serve_books(folder, *products);
            }
            Self::ServePhotos { folder } => {
                pin_to_other_core();
                return photos::serve_photos(folder);
            }
            Self::ServeShop { products } => {
                pin_to_other_core();
                return site::serve_shop(*products);
            }
            Self::Become { program, arguments } => {
                pin_to_one_core();
                return become_program(program, arguments);
            }
            Self::CrawlSite {
                url,
                pages,
                scratch,
            } => {
                pin_to_one_core();
                serde_json::to_string(&site::crawl(url, *pages, scratch)?)
            }
            Self::CollectPhotos { order, scratch } => {
                pin_to_one_core();
                serde_json::to_string(&photos::collect(order, scratch)?)
            }
            Self::Extract { books, runs } => {
                pin_to_one_core();
                serde_json::to_string(&extract::measure(books.as_deref(), *runs)?)
            }
        };
        println!("{}", answer.context("write the answer")?);
        Ok(())
    }

    /// A child process of this program that does this.
    fn command(&self) -> Result<Command> {
        let program = std::env::current_exe().context("find this program")?;
        let mut command = Command::new(program);
        command
            .arg("--case")
            .arg(serde_json::to_string(self).context("write the case")?);
        Ok(command)
    }

    /// Runs in a child process of this program.
    fn run_apart<T: DeserializeOwned>(&self) -> Result<T> {
        let output = self
            .command()?
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("start a process for a case")?;
        ensure!(
            output.status.success(),
            "the case {self:?} failed: {}",
            output.status
        );
        serde_json::from_slice(&output.stdout).with_context(|| format!("answer of {self:?}"))
    }
}

#[cfg(unix)]
fn become_program(program: &Path, arguments: &[OsString]) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    // It only comes back where it failed.
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("start {}", program.display()))
}

#[cfg(not(unix))]
fn become_program(program: &Path, arguments: &[OsString]) -> Result<()> {
    let started = Command::new(program).args(arguments).status();
    let status = started.with_context(|| format!("start {}", program.display()))?;
    ensure!(status.success(), "{} failed: {status}", program.display());
    Ok(())
}

/// A process that serves pages.
pub(crate) fn serving(pages: Pages, plan: &SitePlan<'_>) -> Result<Command> {
    let case = match pages {
        Pages::Books => Case::ServeBooks {
            folder: plan.books.to_owned(),
            products: plan.products,
        },
        Pages::Shop => Case::ServeShop {
            products: plan.products,
        },
    };
    case.command()
}

/// A process that serves photographs.
pub(crate) fn serving_photos(folder: &Path) -> Result<Command> {
    let folder = folder.to_owned();
    Case::ServePhotos { folder }.command()
}

/// A process that binds itself to one core and becomes another program.
pub(crate) fn pinned(program: &Path, arguments: Vec<OsString>) -> Result<Command> {
    let program = program.to_owned();
    Case::Become { program, arguments }.command()
}

pub(crate) fn crawl_site(url: &str, pages: Pages, scratch: &Path) -> Result<CrawlMeasured> {
    Case::CrawlSite {
        url: url.to_owned(),
        pages,
        scratch: scratch.to_owned(),
    }
    .run_apart()
}

pub(crate) fn collect_photos(order: &Order, scratch: &Path) -> Result<Collected> {
    Case::CollectPhotos {
        order: order.clone(),
        scratch: scratch.to_owned(),
    }
    .run_apart()
}

pub(crate) fn extract(books: Option<PathBuf>, runs: u32) -> Result<ExtractMeasured> {
    Case::Extract { books, runs }.run_apart()
}

pub(crate) fn render_feed(
    to: &Path,
    rows: u32,
    day: u32,
    charset: &str,
    compression: &str,
) -> Result<()> {
    let case = Case::RenderFeed {
        to: to.to_owned(),
        rows,
        day,
        charset: charset.to_owned(),
        compression: compression.to_owned(),
    };
    let made: u64 = case.run_apart()?;
    ensure!(
        made == u64::from(rows),
        "asked for a feed of {rows} rows and got {made}"
    );
    Ok(())
}

pub(crate) fn scale_photographs(from: &Path, to: &Path, side_px: u32) -> Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    Case::ScalePhotographs { from, to, side_px }
        .run_apart::<u64>()
        .map(drop)
}

pub(crate) fn read_feed(input: &Path, rows: u32, runs: u32) -> Result<FeedMeasured> {
    let input = input.to_owned();
    Case::ReadFeed { input, rows, runs }.run_apart()
}

pub(crate) fn render_images(sources: &Path, images: u32, runs: u32) -> Result<ImagesMeasured> {
    Case::RenderImages {
        sources: sources.to_owned(),
        images,
        runs,
    }
    .run_apart()
}

pub(crate) fn keep_catalogue(
    days: &[PathBuf; 2],
    scratch: &Path,
    rows: u32,
    runs: u32,
) -> Result<CatalogueMeasured> {
    Case::KeepCatalogue {
        days: days.clone(),
        scratch: scratch.to_owned(),
        rows,
        runs,
    }
    .run_apart()
}
