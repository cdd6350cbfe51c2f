//! What bytes are, by their first bytes. File names and Content-Type are not
//! looked at: shops get both wrong.
//!
//! Facts: the signatures of the formats' own specifications; HTML as in the
//! WHATWG MIME sniffing standard, shortened.

use std::fmt;

use crate::error::ImageError;

/// Formats that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceFormat {
    Jpeg,
    Png,
    Gif,
    Webp,
    Bmp,
    Tiff,
}

impl SourceFormat {
    /// Lower-case name, as in results and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Webp => "webp",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        }
    }

    pub const ALL: [Self; 6] = [
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::Webp,
        Self::Bmp,
        Self::Tiff,
    ];

    /// The format of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// Of files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png | Self::Gif | Self::Webp | Self::Bmp | Self::Tiff => self.as_str(),
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
        }
    }
}

impl fmt::Display for SourceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Image(SourceFormat),
    /// An image or document format that is known but not decoded.
    Unsupported(&'static str),
    NotAnImage(&'static str),
}

/// Bytes that are looked at for text formats, after white space: an SVG may
/// open with a declaration, a comment and a document type.
const TEXT_WINDOW_BYTES: usize = 1024;

const SIGNATURES: &[(&[u8], Found)] = &[
    (b"\xff\xd8\xff", Found::Image(SourceFormat::Jpeg)),
    (b"\x89PNG\r\n\x1a\n", Found::Image(SourceFormat::Png)),
    (b"GIF87a", Found::Image(SourceFormat::Gif)),
    (b"GIF89a", Found::Image(SourceFormat::Gif)),
    (b"II*\0", Found::Image(SourceFormat::Tiff)),
    (b"MM\0*", Found::Image(SourceFormat::Tiff)),
    (b"II+\0", Found::Unsupported("tiff (BigTIFF)")),
    (b"MM\0+", Found::Unsupported("tiff (BigTIFF)")),
    (b"\0\0\x01\0", Found::Unsupported("ico")),
    (b"\0\0\x02\0", Found::Unsupported("ico (cursor)")),
    (b"8BPS", Found::Unsupported("psd")),
    (b"\xff\x0a", Found::Unsupported("jpeg-xl")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", Found::Unsupported("jpeg-xl")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Found::Unsupported("jpeg-2000")),
    (b"\xff\x4f\xff\x51", Found::Unsupported("jpeg-2000")),
    (b"II\xbc\x01", Found::Unsupported("jpeg-xr")),
    (b"%PDF-", Found::Unsupported("pdf")),
    (b"%!PS", Found::Unsupported("postscript")),
    (b"\x1f\x8b", Found::NotAnImage("gzip data")),
    (b"PK\x03\x04", Found::NotAnImage("a zip archive")),
];

/// Brands of an ISO base media file that holds a still image.
const BRANDS: &[(&[u8; 4], &str)] = &[
    (b"avif", "avif"),
    (b"avis", "avif"),
    (b"heic", "heic"),
    (b"heix", "heic"),
    (b"hevc", "heic"),
    (b"hevx", "heic"),
    (b"heim", "heic"),
    (b"heis", "heic"),
    (b"mif1", "heif"),
    (b"msf1", "heif"),
];

/// Says what `bytes` are.
pub fn sniff(bytes: &[u8]) -> Found {
    if bytes.is_empty() {
        return Found::NotAnImage("an empty body");
    }
    if bytes.len() >= 12 && bytes.starts_with(b"RIFF") && &bytes[8..12] == b"WEBP" {
        return Found::Image(SourceFormat::Webp);
    }
    if let Some((_, found)) = SIGNATURES.iter().find(|(sig, _)| bytes.starts_with(sig)) {
        return found.clone();
    }
    if let Some(found) = media_file(bytes) {
        return found;
    }
    // "BM" is two letters; the reserved words after it and the size of the
    // information header tell a bitmap from text.
    if bytes.starts_with(b"BM")
        && bytes.len() >= 18
        && bytes[6..10] == [0; 4]
        && matches!(bytes[14], 12 | 40 | 52 | 56 | 64 | 108 | 124)
    {
        return Found::Image(SourceFormat::Bmp);
    }
    text(bytes)
}

fn media_file(bytes: &[u8]) -> Option<Found> {
    if bytes.len() < 12 || &bytes[4..8] != b"ftyp" {
        return None;
    }
    // The major brand of many AVIF files is the generic mif1, and the codec is
    // named by the compatible brands that follow.
    let box_len = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let end = box_len.clamp(12, 256).min(bytes.len());
    let listed = |brand: &[u8; 4]| {
        bytes[8..end]
            .chunks_exact(4)
            .any(|listed| listed == brand.as_slice())
    };
    let name = BRANDS.iter().find(|(brand, _)| listed(brand));
    Some(match name {
        Some((_, name)) => Found::Unsupported(name),
        None => Found::NotAnImage("a video or other media file"),
    })
}

fn text(bytes: &[u8]) -> Found {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes
        .iter()
        .position(|byte| !byte.is_ascii_whitespace())
        .unwrap_or(bytes.len());
    let head = &bytes[start..bytes.len().min(start + TEXT_WINDOW_BYTES)];
    let lower = head.to_ascii_lowercase();
    let has = |needle: &[u8]| memchr::memmem::find(&lower, needle).is_some();
    if lower.is_empty() {
        return Found::NotAnImage("white space only");
    }
    if lower.starts_with(b"<") {
        if has(b"<html") || has(b"<!doctype html") || has(b"<head") || has(b"<body") {
            return Found::NotAnImage("HTML");
        }
        if has(b"<svg") {
            return Found::Unsupported("svg");
        }
        return Found::NotAnImage(if lower.starts_with(b"<?xml") {
            "XML"
        } else {
            "markup"
        });
    }
    if matches!(lower[0], b'{' | b'[') {
        return Found::NotAnImage("JSON or other text");
    }
    let is_text = head
        .iter()
        .all(|&byte| byte >= 0x80 || byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c));
    Found::NotAnImage(if is_text {
        "text"
    } else {
        "bytes of no known format"
    })
}

/// The format to decode, or the refusal.
pub(crate) fn decodable(bytes: &[u8]) -> Result<SourceFormat, ImageError> {
    match sniff(bytes) {
        Found::Image(format) => Ok(format),
        Found::Unsupported(found) => Err(ImageError::unsupported(found)),
        Found::NotAnImage(found) => Err(ImageError::NotAnImage {
            found: found.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_name_the_format() {
        let check = |bytes: &[u8], expected: Found| assert_eq!(sniff(bytes), expected, "{bytes:?}");
        check(b"", Found::NotAnImage("an empty body"));
        check(b" \n", Found::NotAnImage("white space only"));
        check(b"\xff\xd8\xff\xe0", Found::Image(SourceFormat::Jpeg));
        check(b"RIFF\x10\0\0\0WEBPVP8 ", Found::Image(SourceFormat::Webp));
        check(
            b"RIFF\x10\0\0\0WAVEfmt ",
            Found::NotAnImage("bytes of no known format"),
        );
        check(b"GIF89a\x01\0", Found::Image(SourceFormat::Gif));
        check(b"\n<!DOCTYPE html><title>404", Found::NotAnImage("HTML"));
        check(b"\xef\xbb\xbf<HTML><body>", Found::NotAnImage("HTML"));
        check(b"<html><body><svg></svg>", Found::NotAnImage("HTML"));
        check(
            b"<?xml version=\"1.0\"?><!-- x --><svg xmlns=''>",
            Found::Unsupported("svg"),
        );
        check(b"<?xml version=\"1.0\"?><Error>", Found::NotAnImage("XML"));
        check(b"{\"error\":404}", Found::NotAnImage("JSON or other text"));
        check(b"not found", Found::NotAnImage("text"));
        check(b"%PDF-1.4", Found::Unsupported("pdf"));
        check(b"II*\0\x08\0\0\0", Found::Image(SourceFormat::Tiff));
        check(
            b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif",
            Found::Unsupported("avif"),
        );
        check(
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            Found::Unsupported("heic"),
        );
        check(
            b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
            Found::NotAnImage("a video or other media file"),
        );
        check(
            b"BM\x10\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
            Found::Image(SourceFormat::Bmp),
        );
        check(b"BMW is a brand of cars and", Found::NotAnImage("text"));
    }
}
