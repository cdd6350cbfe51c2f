//! What was found about sites and pages, for people.

use std::fmt;

use crate::extract::ExtractMeasured;
use crate::report::{peak, rate, verdict};
use crate::site::{CrawlMeasured, Pages, SiteMeasured};

/// To reach a core on the book pages, eight fields read.
const SITE_PAGES_S: f64 = 2_700.0;
/// Times Scrapy to reach.
const SCRAPY_TIMES: f64 = 10.0;

/// The clients that others are compared with.
const COMPARED: [&str; 2] = ["Scrapy", "spider"];
const OWN: &str = "Trawler";

fn per_s(measured: &CrawlMeasured) -> f64 {
    rate(measured.pages, measured.took.cpu_s)
}

pub(crate) fn write_site(out: &mut fmt::Formatter<'_>, site: &SiteMeasured) -> fmt::Result {
    let kind = match site.pages {
        Pages::Books => "200 real pages of a shop for books, each under many addresses",
        Pages::Shop => "the pages of a generated shop",
    };
    writeln!(
        out,
        "\nSite: {kind}; {} product pages of {} bytes on average\n\
         {:<18}{:>9}{:>9}{:>13}{:>13}{:>12}{:>10}{:>10}{:>10}",
        site.products,
        site.page_bytes_mean,
        "",
        "pages",
        "products",
        "pages/s/core",
        "by the wall",
        "ms CPU/page",
        "peak MiB",
        "x Scrapy",
        "x spider",
    )?;
    let of = |name: &str| {
        let found = site.clients.iter().find(|client| client.client == name);
        found.map(|client| per_s(&client.measured))
    };
    for client in &site.clients {
        let measured = &client.measured;
        let own = per_s(measured);
        let times = COMPARED.map(|name| match of(name) {
            Some(other) => format!("{:.2}", own / other),
            None => "-".to_owned(),
        });
        let products = if client.extracts {
            measured.rows.to_string()
        } else {
            "-".to_owned()
        };
        writeln!(
            out,
            "{:<18}{:>9}{products:>9}{own:>13.0}{:>13.0}{:>12.3}{:>10}{:>10}{:>10}",
            client.client,
            measured.pages,
            rate(measured.pages, measured.took.wall_s),
            1e3 / own,
            peak(measured.peak_bytes),
            times[0],
            times[1],
        )?;
    }
    for (client, why) in &site.missing {
        writeln!(out, "{client}: not measured: {why}")?;
    }
    let Some(own) = of(OWN).filter(|_| site.pages == Pages::Books) else {
        return Ok(());
    };
    write!(
        out,
        "target {SITE_PAGES_S:.0} pages/s/core: {}",
        verdict(own >= SITE_PAGES_S)
    )?;
    if let Some(scrapy) = of("Scrapy") {
        let reached = verdict(own >= SCRAPY_TIMES * scrapy);
        write!(out, "; {SCRAPY_TIMES:.0} times Scrapy: {reached}")?;
    }
    if let Some(spider) = of("spider") {
        write!(out, "; above spider: {}", verdict(own > spider))?;
    }
    writeln!(out)
}

pub(crate) fn write_extract(
    out: &mut fmt::Formatter<'_>,
    measured: &ExtractMeasured,
) -> fmt::Result {
    writeln!(
        out,
        "\nExtraction alone, peak {} MiB\n{:<24}{:>12}{:>13}{:>10}{:>13}{:>8}",
        peak(measured.peak_bytes),
        "",
        "bytes/page",
        "pages/s/core",
        "fastest",
        "ms CPU/page",
        "MB/s",
    )?;
    for line in &measured.lines {
        let pages_s = rate(line.pages, line.took.cpu_s);
        let target = match line.target_pages_s {
            Some(target) => format!("  target {target:.0}: {}", verdict(pages_s >= target)),
            None => String::new(),
        };
        writeln!(
            out,
            "{:<24}{:>12}{pages_s:>13.0}{:>10.0}{:>13.3}{:>8.0}{target}",
            line.name,
            line.page_bytes_mean,
            rate(line.pages, line.fastest.cpu_s),
            1e3 / pages_s,
            pages_s * line.page_bytes_mean as f64 / 1e6,
        )?;
    }
    Ok(())
}
