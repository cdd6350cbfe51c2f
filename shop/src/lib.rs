//! The synthetic shop: a partner that does exactly what it is told.
//!
//! A [`Shop`] is a web server on loopback with a product feed in eight formats, a site with category
//! and product pages, and generated pictures. Everything it serves is a function of its [`ShopSpec`],
//! of a day number and of its base URL, so a test, a benchmark or the demo can ask the same [`Model`]
//! what the truth is. The next day ([`Shop::set_day`]) changes chosen shares of products and images,
//! and [`Shop::misbehave`] makes it as slow, wrong or hostile as real partners are.
//!
//! ```no_run
//! # async fn demo() -> std::io::Result<()> {
//! use trawler_shop::{DayChange, Fault, Shop, ShopSpec};
//!
//! let shop = Shop::start(ShopSpec {
//!     day_change: DayChange { changed_share: 0.02, ..DayChange::NONE },
//!     ..ShopSpec::new("Demo Shop", 42, 10_000)
//! })
//! .await?;
//! println!("{}", shop.feed_url());
//! shop.misbehave("/img/", Fault::Status { code: 429, retry_after_s: Some(5) });
//! shop.set_day(1);
//! assert_eq!(shop.model().changes(1).new.len(), 0);
//! shop.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It plays the partner and therefore shares no code with the system under test: nothing of the
//! workspace is a dependency of this crate. It does not speak TLS, does not persist anything, and is
//! not meant to be reached from another machine.

mod address;
mod body;
mod bomb;
mod fault;
mod feed;
mod image;
mod markup;
mod model;
mod number;
mod product;
mod request_log;
mod route;
mod server;
mod site;
mod site_spec;
mod spec;
mod stats;
mod vocabulary;

pub use fault::{Fault, Rule};
pub use feed::{EP_COLUMNS, FeedSummary, GOOGLE_COLUMNS, render_feed};
pub use image::{ImageFormat, render_image};
pub use model::{Changes, ImageState, Model, Place, SiteProduct};
pub use product::ShopProduct;
pub use request_log::Seen;
pub use server::Shop;
pub use site::render_page;
pub use site_spec::{
    BombCoding, CharsetMix, CodingMix, Gone, Lastmod, Paging, PagingMix, Places, ProductPaths,
    SiteCategory, SiteSpec, SitemapStyle, Trap,
};
pub use spec::{
    Charset, Compression, Currency, DayChange, FeedFormat, ImageMix, ImageShape, PLAIN_SELECTORS,
    Packing, PageMarkup, ShopSpec, Validators,
};
pub use stats::{Kind, KindStats, Stats};
