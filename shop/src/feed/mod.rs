//! Feeds: the products of a day in any format, charset and compression, written as a stream.
//!
//! [`render_feed`] needs no server and holds one product and one block of text at a time, so it also
//! makes the inputs of benchmarks. How a format spells a product is in the modules below.

mod csv;
mod google;
mod json;
mod naver;
mod xml;

use std::io::{self, Write};

use encoding_rs::EUC_KR;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;

pub use google::GOOGLE_COLUMNS;
pub use naver::EP_COLUMNS;

use crate::model::Model;
use crate::product::ShopProduct;
use crate::spec::{Charset, Compression, FeedFormat};

/// Text is encoded and handed on in blocks of this size.
const BLOCK_BYTES: usize = 64 * 1024;
/// Fast settings, as a shop's nightly job would choose them.
const ZSTD_LEVEL: i32 = 3;
const BROTLI_QUALITY: u32 = 4;
/// 2^20 bytes: enough for the repetition between neighbouring rows.
const BROTLI_WINDOW_BITS: u32 = 20;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FeedSummary {
    pub rows: u64,
    /// Size of the encoded text before compression.
    pub text_bytes: u64,
}

/// Writes the feed of `day` to `out`, in the charset and with the separator of the specification.
///
/// # Errors
/// What `out` or the compressor says.
pub fn render_feed(
    model: &Model,
    format: FeedFormat,
    compression: Compression,
    day: u32,
    mut out: impl Write,
) -> io::Result<FeedSummary> {
    let summary = match compression {
        Compression::None => render_text(model, format, day, &mut out)?,
        Compression::Gzip => {
            let mut packer = GzEncoder::new(&mut out, flate2::Compression::default());
            let summary = render_text(model, format, day, &mut packer)?;
            packer.finish()?;
            summary
        }
        Compression::Zstd => {
            let mut packer = zstd::Encoder::new(&mut out, ZSTD_LEVEL)?;
            let summary = render_text(model, format, day, &mut packer)?;
            packer.finish()?;
            summary
        }
        Compression::Brotli => {
            let mut packer = brotli::CompressorWriter::new(
                &mut out,
                BLOCK_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            );
            let summary = render_text(model, format, day, &mut packer)?;
            // Taking the inner writer is what closes the brotli stream.
            packer.into_inner();
            summary
        }
        Compression::Zip => {
            let mut packer = zip::ZipWriter::new_stream(&mut out);
            let member = format.path().rsplit('/').next().unwrap_or("feed");
            packer
                .start_file(member, SimpleFileOptions::default().large_file(true))
                .map_err(io::Error::other)?;
            let summary = render_text(model, format, day, &mut packer)?;
            packer.finish().map_err(io::Error::other)?;
            summary
        }
    };
    out.flush()?;
    Ok(summary)
}

fn render_text(
    model: &Model,
    format: FeedFormat,
    day: u32,
    out: &mut dyn Write,
) -> io::Result<FeedSummary> {
    let mut sink = TextSink::new(out, model.spec().charset);
    match format {
        FeedFormat::NaverEp => naver::full(model, day, &mut sink),
        FeedFormat::NaverEpSummary => naver::summary(model, day, &mut sink),
        FeedFormat::GoogleTsv => google::tsv(model, day, &mut sink),
        FeedFormat::Rss => xml::rss(model, day, &mut sink),
        FeedFormat::Atom => xml::atom(model, day, &mut sink),
        FeedFormat::Csv => csv::csv(model, day, &mut sink),
        FeedFormat::Json => json::document(model, day, &mut sink),
        FeedFormat::JsonLines => json::lines(model, day, &mut sink),
    }?;
    sink.finish()
}

/// Writes one record a product of `day`.
fn each_product(
    model: &Model,
    day: u32,
    sink: &mut TextSink<'_>,
    mut record: impl FnMut(&mut String, &ShopProduct),
) -> io::Result<()> {
    let mut product = ShopProduct::empty();
    for slot in 0..model.universe(day) {
        if model.fill(slot, day, &mut product) {
            record(sink.text(), &product);
            sink.row()?;
        }
    }
    Ok(())
}

/// Collects text, encodes it in blocks and counts.
struct TextSink<'a> {
    out: &'a mut dyn Write,
    charset: Charset,
    text: String,
    encoded: Vec<u8>,
    summary: FeedSummary,
}

impl<'a> TextSink<'a> {
    fn new(out: &'a mut dyn Write, charset: Charset) -> Self {
        let mut text = String::with_capacity(BLOCK_BYTES * 2);
        if charset == Charset::Utf16Le {
            text.push('\u{FEFF}');
        }
        TextSink {
            out,
            charset,
            text,
            encoded: Vec::new(),
            summary: FeedSummary::default(),
        }
    }

    fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// Ends a record.
    fn row(&mut self) -> io::Result<()> {
        self.summary.rows += 1;
        if self.text.len() < BLOCK_BYTES {
            return Ok(());
        }
        self.flush_text()
    }

    fn flush_text(&mut self) -> io::Result<()> {
        let bytes = encode(&self.text, self.charset, &mut self.encoded);
        self.summary.text_bytes += bytes.len() as u64;
        self.out.write_all(bytes)?;
        self.text.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<FeedSummary> {
        self.flush_text()?;
        Ok(self.summary)
    }
}

/// The bytes of a text; `scratch` is used where they differ from the text's own.
///
/// What CP949 cannot write becomes a numeric character reference; the shop's vocabulary has none.
pub(crate) fn encode<'a>(text: &'a str, charset: Charset, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    match charset {
        Charset::Utf8 => return text.as_bytes(),
        Charset::Cp949 => {
            let (bytes, _, _) = EUC_KR.encode(text);
            scratch.clear();
            scratch.extend_from_slice(&bytes);
        }
        Charset::Utf16Le => {
            scratch.clear();
            scratch.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        }
    }
    scratch
}
