//! Files that are no pages, by the ends of their names.

/// Lower case. What is not listed is asked for and judged by what comes.
#[rustfmt::skip]
const ENDS: &[&str] = &[
    "7z", "aac", "apk", "atom", "avi", "avif", "bmp", "bz2", "css", "csv", "dmg", "doc", "docx",
    "eot", "eps", "epub", "exe", "flac", "flv", "gif", "gz", "ico", "ics", "iso", "jpeg", "jpg",
    "js", "m4a", "m4v", "mjs", "mov", "mp3", "mp4", "mpeg", "mpg", "msi", "odt", "ogg", "otf",
    "pdf", "png", "ppt", "pptx", "ps", "psd", "rar", "rss", "rtf", "svg", "swf", "tar", "tgz",
    "tif", "tiff", "ttf", "txt", "vcf", "wav", "webm", "webmanifest", "webp", "wmv", "woff",
    "woff2", "xls", "xlsx", "zip",
];

/// The longest of them.
const END_BYTES_MAX: usize = 11;

pub(super) fn is_file(path: &str) -> bool {
    let tail_at = path.len().saturating_sub(END_BYTES_MAX + 1);
    let tail = &path.as_bytes()[tail_at..];
    let Some(dot) = tail.iter().rposition(|byte| *byte == b'.') else {
        return false;
    };
    let end = &tail[dot + 1..];
    let lower = || end.iter().map(u8::to_ascii_lowercase);
    ENDS.binary_search_by(|known| known.bytes().cmp(lower()))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_ends() {
        assert!(ENDS.is_sorted());
        assert!(ENDS.iter().all(|end| end.len() <= END_BYTES_MAX));
        for (path, expected) in [
            ("/a.jpg", true),
            ("/a.b.PDF", true),
            ("/site.webmanifest", true),
            ("/a.html", false),
            ("/a.jpg/b", false),
            ("/jpg", false),
            ("/a.", false),
            ("/", false),
            ("/shirt-v2.0", false),
        ] {
            assert_eq!(is_file(path), expected, "{path}");
        }
    }
}
