//! Runs a shop on a fixed address, on a given day, until Ctrl-C, with a plain site or with every
//! peculiarity: `cargo run --release -p trawler-shop --example serve -- 127.0.0.1:8080 1000 0 full`.

use std::io;

use trawler_shop::{DayChange, PageMarkup, Shop, ShopSpec, SiteSpec};

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |n: usize, default: &'static str| -> String {
        arguments.get(n).map_or(default, String::as_str).to_owned()
    };
    let addr = argument(0, "127.0.0.1:0").parse().map_err(invalid)?;
    let products = argument(1, "1000").parse().map_err(invalid)?;
    let day = argument(2, "0").parse().map_err(invalid)?;
    let (site, page_markup) = match argument(3, "plain").as_str() {
        "full" => (SiteSpec::full(), PageMarkup::All),
        _ => (SiteSpec::PLAIN, PageMarkup::Mixed),
    };
    let spec = ShopSpec {
        site,
        page_markup,
        day_change: DayChange {
            new_share: 0.01,
            changed_share: 0.05,
            gone_share: 0.01,
            image_changed_share: 0.01,
            image_broken_share: 0.005,
            image_moved_share: 0.005,
        },
        ..ShopSpec::new("Example Shop", 1, products)
    };
    let shop = Shop::start_on(spec, addr).await?;
    shop.set_day(day);
    println!("{}", shop.feed_url());
    tokio::signal::ctrl_c().await?;
    shop.stop().await;
    Ok(())
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
}
