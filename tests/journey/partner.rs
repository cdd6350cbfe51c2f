//! A partner of few words: what its feed lists and what its pictures show is
//! what the journey says, and its server counts who asks.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex};

use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};

use crate::look::{SMALL_VARIANT, feed_table};
use crate::server::{Answer, Server};
use crate::support::{Ended, Folder, pipe};
use trawler_shop::FeedFormat;

pub(crate) const PIPE: &str = "partner";

#[derive(Default)]
struct Sells {
    feed: Vec<u8>,
    pictures: BTreeMap<String, Vec<u8>>,
}

/// The partner and the folder that collects it.
pub(crate) struct Partner {
    sells: Arc<Mutex<Sells>>,
    pub(crate) server: Server,
    pub(crate) folder: Folder,
}

/// Product `n`, at a price in whole won.
pub(crate) fn product(n: usize, price: usize) -> Value {
    json!({
        "id": format!("p{n:04}"), "name": format!("Product {n}"),
        "url": format!("http://shop.example/{n}"), "price": price,
        "brand": if n.is_multiple_of(2) { "Even" } else { "Odd" },
        "category_path": format!("Things>Kind {}", n % 3),
    })
}

pub(crate) fn products(count: usize, price: usize) -> Vec<Value> {
    (0..count).map(|n| product(n, price)).collect()
}

impl Partner {
    /// `more` are further tables of the pipe.
    pub(crate) fn new(more: &str) -> Self {
        let sells: Arc<Mutex<Sells>> = Arc::default();
        let sold = Arc::clone(&sells);
        let server = Server::start(move |path| {
            let sold = sold.lock().unwrap();
            match path {
                "/feed" => Answer::of(sold.feed.clone()),
                path => match sold.pictures.get(path) {
                    Some(picture) => Answer::of(picture.clone()),
                    None => Answer::not_found(),
                },
            }
        });
        let folder = Folder::new(&[server.host()], SMALL_VARIANT);
        let partner = Self {
            sells,
            server,
            folder,
        };
        partner.says(more);
        partner
    }

    /// Writes the pipe anew.
    pub(crate) fn says(&self, more: &str) {
        let feed = feed_table(FeedFormat::JsonLines);
        let text = pipe(&self.server.url("/feed"), &feed, more);
        self.folder.pipe(PIPE, &text);
    }

    pub(crate) fn serve(&self, rows: &[Value]) {
        let lines = rows.iter().map(|row| format!("{row}\n"));
        self.sells.lock().unwrap().feed = lines.collect::<String>().into_bytes();
    }

    /// Shows a picture of its own at the path; gives its address.
    pub(crate) fn show(&self, path: &str, shade: u8) -> String {
        let mut png = Cursor::new(Vec::new());
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([shade, x as u8, y as u8]));
        picture.write_to(&mut png, ImageFormat::Png).unwrap();
        let mut sells = self.sells.lock().unwrap();
        sells.pictures.insert(path.to_owned(), png.into_inner());
        self.server.url(path)
    }

    /// Runs the pipe; gives its run.
    #[track_caller]
    pub(crate) fn runs(&self, code: i32) -> Value {
        self.folder.run_pipe(PIPE).with_code(code);
        self.folder.last_run(PIPE)
    }

    pub(crate) fn rows(&self) -> BTreeMap<String, Value> {
        self.folder.rows(PIPE)
    }

    /// A command about this pipe.
    pub(crate) fn asks(&self, args: &[&str]) -> Ended {
        let args = [args, &["--pipe", PIPE]].concat();
        self.folder.trawler(&args)
    }

    /// Everything that is stored, but for the database of queues and documents.
    pub(crate) fn stored(&self) -> std::collections::BTreeSet<(std::path::PathBuf, u64)> {
        let mut files = crate::look::files(&self.folder.catalogue());
        files.extend(crate::look::files(&self.folder.blobs()));
        files
    }
}
