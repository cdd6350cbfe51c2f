//! Renders a feed into nothing and prints how fast:
//! `cargo run --release -p trawler-shop --example render_feed -- 1000000 naver-ep none`.
//!
//! With a fourth argument the bytes go to that file, as input for other benchmarks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use trawler_shop::{Compression, FeedFormat, Model, ShopSpec, render_feed};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |n: usize| arguments.get(n).map(String::as_str);
    let products = argument(0).map_or(Ok(100_000), str::parse);
    let products = products.map_err(|error| invalid(format!("products: {error}")))?;
    let format = match argument(1) {
        None => FeedFormat::NaverEp,
        Some(name) => FeedFormat::ALL
            .into_iter()
            .find(|format| format.path().contains(&format!("/{name}.")))
            .ok_or_else(|| invalid(format!("format {name}: expected the name of a feed's path")))?,
    };
    let compression = match argument(2) {
        None | Some("none") => Compression::None,
        Some(suffix) => Compression::ALL
            .into_iter()
            .find(|compression| compression.suffix().trim_start_matches('.') == suffix)
            .ok_or_else(|| invalid(format!("compression {suffix}: none, gz, zst, br, zip")))?,
    };
    let out: Box<dyn Write> = match argument(3) {
        None => Box::new(io::sink()),
        Some(path) => Box::new(BufWriter::new(File::create(path)?)),
    };
    let spec = ShopSpec::new("Benchmark Shop", 1, products);
    let model = Model::new(&spec, "http://shop.example")?;
    let started = Instant::now();
    let summary = render_feed(&model, format, compression, 0, out)?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} rows, {} bytes of text, {seconds:.2} s, {:.0} rows/s",
        summary.rows,
        summary.text_bytes,
        summary.rows as f64 / seconds
    );
    Ok(())
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
