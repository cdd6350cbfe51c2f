//! Side-by-side measurements: `cargo run --release -p trawler-bench`.
//!
//! Every case runs in a process of its own, on one core and after a warm-up,
//! and is measured there: CPU time and peak memory of that process are those
//! of the case and of nothing else. Inputs are made beforehand by other
//! processes, in a temporary folder. Nothing here reaches a network, except that
//! the peers of the site and photo parts are installed once (`peers`).

mod args;
mod case;
mod catalogue;
mod extract;
mod feed;
mod images;
mod inputs;
mod machine;
mod measure;
mod peers;
mod photos;
mod photos_report;
mod report;
mod server;
mod site;
mod site_report;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use args::{Args, Part};
use case::Case;
use photos::PhotosPlan;
use report::{FeedLine, Report};
use site::SitePlan;

fn main() -> Result<()> {
    let args = Args::parse();
    match &args.case {
        Some(text) => {
            let case: Case = serde_json::from_str(text).context("read the case")?;
            case.run_here()
        }
        None => {
            let report = measure_all(&args)?;
            if args.json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                print!("{report}");
            }
            Ok(())
        }
    }
}

fn measure_all(args: &Args) -> Result<Report> {
    let folder = match &args.scratch {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    }
    .context("make a temporary folder")?;
    let scratch = folder.path();
    let mut report = Report::new(args);
    if args.wants(Part::Feed) {
        for (name, charset, compression) in feed::KINDS {
            // A tenth beside the whole shows whether memory grows.
            for rows in [args.rows / 10, args.rows] {
                eprintln!("feed, {name}, {rows} rows");
                let input = scratch.join(format!("{charset}-{rows}.feed"));
                case::render_feed(&input, rows, 0, charset, compression)?;
                let measured = case::read_feed(&input, rows, args.runs)?;
                std::fs::remove_file(&input).context("remove a feed that was read")?;
                report.feeds.push(FeedLine::new(name, measured));
            }
        }
    }
    if args.wants(Part::Images) {
        eprintln!("images, {} a run", args.images);
        let sources = scratch.join("images");
        case::scale_photographs(&args.photographs(), &sources, images::SIDE_PX)?;
        report.images = Some(case::render_images(&sources, args.images, args.runs)?);
    }
    if args.wants(Part::Photos) {
        report.photos = Some(photos::measure_photos(&PhotosPlan {
            photographs: &args.photographs(),
            runs: args.runs,
            scratch,
        })?);
    }
    if args.wants(Part::Catalogue) {
        eprintln!("catalogue, {} rows", args.rows);
        let days = [0, 1].map(|day| scratch.join(format!("day-{day}.feed")));
        for (day, input) in (0..).zip(&days) {
            case::render_feed(input, args.rows, day, "utf-8", "none")?;
        }
        report.catalogue = Some(case::keep_catalogue(&days, scratch, args.rows, args.runs)?);
    }
    if args.wants(Part::Extract) {
        eprintln!("extract");
        let books = Some(args.book_pages()).filter(|folder| folder.is_dir());
        report.extract = Some(case::extract(books, args.runs)?);
    }
    if args.wants(Part::Site) {
        report.sites = site::measure_sites(&SitePlan {
            products: args.pages,
            runs: args.runs,
            books: &args.book_pages(),
            scratch,
        })?;
    }
    Ok(report)
}
