//! What the servers of the site part give out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use trawler_shop::{PageMarkup, Shop, ShopSpec, SiteSpec};

use super::SHOP_PADDING_BYTES;
use super::books::Books;
use crate::server::{ServerStats, accept, bind, run, until_input_ends};

/// Products of a category page of the generated shop.
const SHOP_PAGE_SIZE: u32 = 200;

/// Serves the book pages until the input ends.
pub(crate) fn serve_books(folder: &Path, products: u32) -> Result<()> {
    run(async {
        let (listener, url) = bind().await?;
        let books = Books::read(folder, products, url.clone())?;
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let serving = accept(listener, move |request| answer(request, &books, &counts));
        until_input_ends(url, serving, move || ServerStats {
            things: counted.products.load(Relaxed),
            bytes: counted.bytes.load(Relaxed),
        })
        .await
    })
}

/// Serves a generated shop until the input ends.
pub(crate) fn serve_shop(products: u32) -> Result<()> {
    run(async {
        let spec = ShopSpec {
            page_markup: PageMarkup::Plain,
            page_size: SHOP_PAGE_SIZE,
            sitemap_part_urls: 5_000,
            seen_max: 1,
            site: SiteSpec {
                padding_bytes: SHOP_PADDING_BYTES,
                ..SiteSpec::PLAIN
            },
            ..ShopSpec::new("Bench", 1, products)
        };
        let shop = Shop::start(spec).await.context("start the shop")?;
        let url = shop.url("");
        let stats = || {
            let page = shop.stats().page;
            ServerStats {
                things: page.requests,
                bytes: page.body_bytes,
            }
        };
        until_input_ends(url, std::future::pending(), stats).await
    })
}

#[derive(Default)]
struct Counts {
    products: AtomicU64,
    bytes: AtomicU64,
}

fn answer(request: &Request<Incoming>, books: &Books, counts: &Counts) -> Response<Full<Bytes>> {
    let Some(found) = books.get(request.uri().path()) else {
        let mut missing = Response::new(Full::new(Bytes::from_static(b"not found\n")));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    };
    if found.is_product {
        counts.products.fetch_add(1, Relaxed);
        counts.bytes.fetch_add(found.body.len() as u64, Relaxed);
    }
    let mut response = Response::new(Full::new(found.body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(found.content_type),
    );
    response
}
