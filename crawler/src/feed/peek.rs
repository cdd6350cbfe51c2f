//! The beginning of a feed as text: decompressed and decoded as [`read_feed`]
//! would, and no further. For who wants to know what a file is before anything
//! is declared about it.
//!
//! [`read_feed`]: super::read_feed

use trawler_core::feed::{Compression, FeedLimits, FeedOptions};
use trawler_core::product::COLUMNS;

use super::archive;
use super::charset;
use super::control::{Control, Fault, Step};
use super::error::FeedError;
use super::fields::{Fields, Target};
use super::text::{MALFORMED, Text};

/// The beginning of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    pub text: String,
    pub compression: Compression,
    /// Lower-case name; `euc-kr` is CP949.
    pub charset: String,
    /// Sequences that are malformed in this charset.
    pub malformed: usize,
    /// Whether the text ends where the file does.
    pub is_whole: bool,
}

/// Reads up to `text_bytes_max` bytes of text. `bytes` may be the beginning of
/// a file: that an archive ends in the middle is no error.
///
/// # Errors
///
/// The archive is damaged, or no text comes of it.
pub fn peek(
    bytes: &[u8],
    compression: Compression,
    text_bytes_max: usize,
) -> Result<Peeked, FeedError> {
    let mut step = |_| Step::Continue;
    let control = Control::new(&mut step);
    let limits = FeedLimits::default();
    let mut text = String::new();
    let opened = archive::open(bytes, compression, &limits, &control)
        .and_then(|(decoded, found)| Ok((Text::open(decoded, None, &control)?, found)));
    let (encoding, found, ended) = match opened {
        Ok((mut reader, found)) => {
            let mut ended = false;
            while text.len() < text_bytes_max && !ended {
                match reader.fill(&mut text) {
                    Ok(more) => ended = !more,
                    Err(_) => break,
                }
            }
            (reader.encoding(), found, ended)
        }
        Err(_) => (encoding_rs::UTF_8, compression, false),
    };
    match control.take_fault() {
        Some(Fault::Error(error)) => return Err(error),
        Some(Fault::Incomplete(_)) | None => {}
    }
    Ok(Peeked {
        malformed: text.matches(MALFORMED).count(),
        text,
        compression: found,
        charset: charset::name_of(encoding),
        is_whole: ended,
    })
}

/// The columns that each field would fill; none for what goes to `extra`, is
/// left out, or says what to do with the row.
pub fn columns_of(
    options: &FeedOptions,
    names: &[String],
) -> Result<Vec<Vec<&'static str>>, FeedError> {
    let mut fields = Fields::new(options);
    let by_position = options.csv.as_ref().is_some_and(|csv| !csv.header);
    let mut found = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let number = match by_position {
            true => fields.position(at)?,
            false => fields.number(name)?,
        };
        let columns = fields.targets(number).iter().filter_map(column_of);
        found.push(columns.collect());
    }
    Ok(found)
}

fn column_of(target: &Target) -> Option<&'static str> {
    match target {
        Target::Column { column, .. } | Target::Minor { column } | Target::Part { column, .. } => {
            Some(COLUMNS[*column].name)
        }
        Target::Class | Target::Personal | Target::Extra | Target::Ignore => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use super::*;

    const TEXT: &str = "id\ttitle\n1\t겨울 코트 남성 롱패딩\n2\t여름 운동화와 양말\n";

    fn utf_16() -> Vec<u8> {
        let units = TEXT.encode_utf16().flat_map(u16::to_le_bytes);
        [0xff, 0xfe].into_iter().chain(units).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn charset_and_compression_are_told() {
        let check = |bytes: &[u8], charset: &str, compression: Compression| {
            let found = peek(bytes, Compression::Auto, 1 << 20).unwrap();
            assert_eq!(found.text, TEXT, "{charset}");
            assert_eq!((&*found.charset, found.compression), (charset, compression));
            assert!(found.is_whole && found.malformed == 0);
        };
        let cp949 = encoding_rs::EUC_KR.encode(TEXT).0.into_owned();
        check(TEXT.as_bytes(), "utf-8", Compression::None);
        check(
            &[b"\xef\xbb\xbf", TEXT.as_bytes()].concat(),
            "utf-8",
            Compression::None,
        );
        check(&cp949, "euc-kr", Compression::None);
        check(&utf_16(), "utf-16le", Compression::None);
        check(&gzip(&cp949), "euc-kr", Compression::Gzip);
        let zstd = zstd::encode_all(TEXT.as_bytes(), 1).unwrap();
        check(&zstd, "utf-8", Compression::Zstd);
    }

    #[test]
    fn the_beginning_of_an_archive_gives_the_beginning_of_its_text() {
        let long: String = (0..50_000)
            .map(|n| format!("{n}\tcoat {}\n", n * 7))
            .collect();
        let packed = gzip(long.as_bytes());
        let found = peek(&packed[..packed.len() / 2], Compression::Auto, 64 << 20).unwrap();
        assert!(!found.is_whole && long.starts_with(&found.text));
        assert!(found.text.len() > 10_000, "{}", found.text.len());
        // Of a whole one no more than is wanted.
        let found = peek(&packed, Compression::Auto, 100_000).unwrap();
        assert!(found.text.len() < 400_000 && !found.is_whole);
        assert_eq!(peek(b"", Compression::Auto, 100).unwrap().text, "");
    }

    #[test]
    fn an_archive_that_is_none_is_an_error() {
        let error = peek(
            b"\x1f\x8bnonsense that is long enough",
            Compression::Auto,
            100,
        );
        assert!(matches!(error, Err(FeedError::Corrupt { .. })), "{error:?}");
    }
}
