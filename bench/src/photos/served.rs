//! What the server of the photo part gives out: `/validated/1200/7.jpg`, `/bare/600/0.jpg`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::album::Album;
use super::{SIDES_PX, Served};
use crate::server::{ServerStats, accept, bind, run, until_input_ends};

/// Serves the photographs of a folder, which has one a size, until the input ends.
pub(crate) fn serve_photos(folder: &Path) -> Result<()> {
    let mut albums = HashMap::new();
    for side_px in SIDES_PX {
        let side = side_px.to_string();
        let album = Album::read(&folder.join(&side))?;
        albums.insert(side, album);
    }
    run(async move {
        let (listener, url) = bind().await?;
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let serving = accept(listener, move |request| {
            answer(request, &albums, &counts).unwrap_or_else(missing)
        });
        until_input_ends(url, serving, move || ServerStats {
            things: counted.images.load(Relaxed),
            bytes: counted.bytes.load(Relaxed),
        })
        .await
    })
}

/// Of images that were sent whole.
#[derive(Default)]
struct Counts {
    images: AtomicU64,
    bytes: AtomicU64,
}

/// `None` for what is not here.
fn answer(
    request: &Request<Incoming>,
    albums: &HashMap<String, Album>,
    counts: &Counts,
) -> Option<Response<Full<Bytes>>> {
    let mut path = request.uri().path().strip_prefix('/')?.split('/');
    let (served, side, name) = (path.next()?, path.next()?, path.next()?);
    let album = albums.get(side)?;
    let number: usize = name.strip_suffix(".jpg")?.parse().ok()?;
    let tag = HeaderValue::from_str(&format!("\"{side}-{number}\"")).ok()?;
    let validated = served == Served::Validated.word();
    if validated && request.headers().get(header::IF_NONE_MATCH) == Some(&tag) {
        let mut known = Response::new(Full::default());
        *known.status_mut() = StatusCode::NOT_MODIFIED;
        known.headers_mut().insert(header::ETAG, tag);
        return Some(known);
    }
    let body = album.image(number);
    counts.images.fetch_add(1, Relaxed);
    counts.bytes.fetch_add(body.len() as u64, Relaxed);
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    if validated {
        headers.insert(header::ETAG, tag);
    }
    Some(response)
}

fn missing() -> Response<Full<Bytes>> {
    let mut missing = Response::new(Full::new(Bytes::from_static(b"not found\n")));
    *missing.status_mut() = StatusCode::NOT_FOUND;
    missing
}
