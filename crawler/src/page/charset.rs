//! Which encoding a page is in, and its text.
//!
//! Order: byte order mark, `charset` of the HTTP header, `<meta>` in the
//! first bytes, detection. A label is not believed against the bytes: text
//! that is valid UTF-8 is UTF-8, and a label under which the bytes are
//! malformed gives way to one under which they are not. EUC-KR means CP949
//! here, as in the WHATWG Encoding Standard.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use url::Url;

use super::limits::PAGE_BYTES_MAX;
use super::remarks::{Remarks, quoted};

/// Where a `<meta>` is looked for. The standard says 1024 bytes; shops that
/// put scripts first need more.
const META_BYTES_MAX: usize = 16 << 10;

/// The text of a page and the WHATWG name of its encoding.
pub(super) fn decode(
    bytes: &[u8],
    header: Option<&str>,
    page: &Url,
    remarks: &mut Remarks,
) -> (String, &'static str) {
    let is_cut = bytes.len() > PAGE_BYTES_MAX;
    let bytes = if is_cut {
        remarks.add(format!(
            "the page has {} bytes; the first {PAGE_BYTES_MAX} were read",
            bytes.len()
        ));
        &bytes[..PAGE_BYTES_MAX]
    } else {
        bytes
    };
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(bytes) {
        let (text, malformed) = encoding.decode_without_bom_handling(&bytes[mark_bytes..]);
        tell_malformed(malformed && !is_cut, encoding, remarks);
        return (text.into_owned(), encoding.name());
    }
    let labels = [
        ("HTTP header", header.map(str::to_owned)),
        ("<meta>", meta_label(bytes)),
    ];
    let mut labelled: Vec<(&str, &'static Encoding)> = Vec::new();
    for (place, label) in labels {
        let Some(label) = label else { continue };
        match encoding_of(&label) {
            // A page whose ASCII <meta> could be read is not UTF-16.
            Some(utf16) if place == "<meta>" && (utf16 == UTF_16LE || utf16 == UTF_16BE) => {
                labelled.push((place, UTF_8));
            }
            Some(encoding) => labelled.push((place, encoding)),
            None => remarks.add(format!(
                "the charset {} of the {place} is not known",
                quoted(&label)
            )),
        }
    }
    let utf8 = std::str::from_utf8(bytes);
    let is_utf8 = match &utf8 {
        Ok(_) => true,
        // Valid, but for a last character that was cut with the page.
        Err(error) => is_cut && error.error_len().is_none(),
    };
    let encoding = choose(bytes, is_utf8, &labelled, page, remarks);
    if let Ok(text) = utf8
        && encoding == UTF_8
    {
        return (text.to_owned(), encoding.name());
    }
    let (text, malformed) = encoding.decode_without_bom_handling(bytes);
    tell_malformed(malformed && !is_cut, encoding, remarks);
    (text.into_owned(), encoding.name())
}

/// Labels that are none of the standard's, but that servers and pages write.
const ALIASES: &[(&str, &str)] = &[
    ("cp949", "euc-kr"),
    ("ms949", "euc-kr"),
    ("uhc", "euc-kr"),
    ("euckr", "euc-kr"),
    ("euc_kr", "euc-kr"),
    ("ksc5601", "euc-kr"),
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp950", "big5"),
    ("utf_8", "utf-8"),
    ("utf8mb4", "utf-8"),
    ("latin-1", "latin1"),
    ("win-1251", "windows-1251"),
];

fn encoding_of(label: &str) -> Option<&'static Encoding> {
    let label = label.trim().trim_matches(['"', '\'']);
    let alias = || {
        let (_, name) = ALIASES
            .iter()
            .find(|(alias, _)| label.eq_ignore_ascii_case(alias))?;
        Encoding::for_label(name.as_bytes())
    };
    Encoding::for_label(label.as_bytes()).or_else(alias)
}

fn choose(
    bytes: &[u8],
    is_utf8: bool,
    labelled: &[(&str, &'static Encoding)],
    page: &Url,
    remarks: &mut Remarks,
) -> &'static Encoding {
    let first = labelled.first().copied();
    let utf16 = first.filter(|(_, label)| *label == UTF_16LE || *label == UTF_16BE);
    // UTF-16 and ISO-2022-JP text is made of bytes that are valid UTF-8 too.
    let shows_utf8 = is_utf8 && !bytes.is_ascii() && utf16.is_none();
    if shows_utf8 {
        if let Some((place, label)) = first.filter(|(_, label)| *label != UTF_8) {
            remarks.add(format!(
                "the {place} says {}, but the bytes are UTF-8",
                label.name()
            ));
        }
        return UTF_8;
    }
    let fits = |encoding: &'static Encoding| {
        encoding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .is_some()
    };
    let fitting: Vec<&(&str, &'static Encoding)> =
        labelled.iter().filter(|(_, label)| fits(label)).collect();
    // Nothing is malformed in an encoding of single bytes, which many servers
    // name without looking; well-formed bytes speak for another label.
    let telling = fitting.iter().find(|(_, label)| !label.is_single_byte());
    if let Some((place, encoding)) = telling.or(fitting.first()) {
        if let Some((wrong_place, wrong)) = first.filter(|(_, wrong)| wrong != encoding) {
            let why = match fits(wrong) {
                true => "any bytes are",
                false => "the bytes are malformed in it",
            };
            remarks.add(format!(
                "the {wrong_place} says {}, but {why}; read as {} as the {place} says",
                wrong.name(),
                encoding.name()
            ));
        }
        return encoding;
    }
    if bytes.is_ascii() {
        return UTF_8;
    }
    let detected = detect(bytes, page);
    match first {
        // A few bad bytes do not refute a label if detection has nothing better.
        Some((_, label)) if !fits(detected) => label,
        Some((place, label)) => {
            remarks.add(format!(
                "the {place} says {}, but the bytes are malformed in it; read as {}, as detected",
                label.name(),
                detected.name()
            ));
            detected
        }
        None => {
            remarks.add(format!(
                "the page names no charset; {} was detected",
                detected.name()
            ));
            detected
        }
    }
}

fn detect(bytes: &[u8], page: &Url) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let top_level = page
        .domain()
        .and_then(|host| host.rsplit('.').next())
        .filter(|label| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
    detector.guess(top_level.map(str::as_bytes), Utf8Detection::Allow)
}

fn tell_malformed(malformed: bool, encoding: &'static Encoding, remarks: &mut Remarks) {
    if malformed {
        remarks.add(format!(
            "some bytes are malformed in {}; they became U+FFFD",
            encoding.name()
        ));
    }
}

/// The label after `charset=` in the first `<meta>` that has one.
fn meta_label(bytes: &[u8]) -> Option<String> {
    let mut rest = &bytes[..bytes.len().min(META_BYTES_MAX)];
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = &rest[at + 1..];
        let is_meta = |name: &[u8]| name.eq_ignore_ascii_case(b"meta");
        if !rest.get(..4).is_some_and(is_meta) {
            continue;
        }
        let tag = &rest[4..];
        let tag = &tag[..memchr::memchr(b'>', tag).unwrap_or(tag.len())];
        let tag = tag.to_ascii_lowercase();
        let Some(at) = memchr::memmem::find(&tag, b"charset") else {
            continue;
        };
        let value = tag[at + 7..].trim_ascii_start();
        let Some(value) = value.strip_prefix(b"=") else {
            continue;
        };
        let value = value.trim_ascii_start();
        let value = value
            .strip_prefix(b"\"")
            .or(value.strip_prefix(b"'"))
            .unwrap_or(value);
        let length = value
            .iter()
            .position(|b| !b.is_ascii_alphanumeric() && !b"-_:.".contains(b))
            .unwrap_or(value.len());
        if length > 0 {
            return Some(String::from_utf8_lossy(&value[..length]).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn charsets_are_found_in_order_and_wrong_labels_survive() {
        let check = |bytes: &[u8], header: Option<&str>, charset: &str, text: &str, told: &str| {
            let mut remarks = Remarks::default();
            let page = Url::parse("https://shop.example/").unwrap();
            let (found, name) = decode(bytes, header, &page, &mut remarks);
            assert_eq!(name, charset, "{text}");
            assert!(found.contains(text), "{found:?} has no {text:?}");
            let remarks = remarks.into_list().join("; ");
            assert_eq!(remarks.is_empty(), told.is_empty(), "{remarks}");
            assert!(remarks.contains(told), "{remarks:?} has no {told:?}");
        };
        let (korean, ..) = encoding_rs::EUC_KR.encode("<p>똠방각하 펲시콜라</p>");
        let meta_korean = [b"<meta charset=euc-kr>".as_slice(), &korean].concat();
        let meta_http: &[u8] =
            b"<META http-equiv='Content-Type' content='text/html; charset=ISO-8859-1'>caf\xe9";
        check(
            b"\xef\xbb\xbfcaf\xc3\xa9",
            Some("euc-kr"),
            "UTF-8",
            "café",
            "",
        );
        check(b"\xff\xfea\0b\0", None, "UTF-16LE", "ab", "");
        check(&korean, Some("EUC-KR"), "EUC-KR", "똠방각하", "");
        check(&korean, Some("ks_c_5601-1987"), "EUC-KR", "펲시콜라", "");
        check(&korean, Some("CP949"), "EUC-KR", "똠방각하", "");
        check(&korean, Some("ms949"), "EUC-KR", "펲시콜라", "");
        check(&korean, Some("\"euc-kr\""), "EUC-KR", "펲시콜라", "");
        check(&korean, Some("iso-8859-1"), "windows-1252", "<p>", "");
        check(
            b"\x93\xfa\x96\x7b\x8c\xea",
            Some("cp932"),
            "Shift_JIS",
            "日本語",
            "",
        );
        check(&meta_korean, None, "EUC-KR", "똠방각하", "");
        check(meta_http, None, "windows-1252", "café", "");
        check(
            &meta_korean,
            Some("utf-8"),
            "EUC-KR",
            "똠방각하",
            "HTTP header says UTF-8",
        );
        check(
            "<p>한국어</p>".as_bytes(),
            Some("euc-kr"),
            "UTF-8",
            "한국어",
            "the bytes are UTF-8",
        );
        check("<p>한국어</p>".as_bytes(), None, "UTF-8", "한국어", "");
        check(b"<meta charset=utf-16>plain", None, "UTF-8", "plain", "");
        check(b"plain", None, "UTF-8", "plain", "");
        check(
            b"plain",
            Some("klingon"),
            "UTF-8",
            "plain",
            "\"klingon\" of the HTTP header",
        );
        check(
            b"a\xff\xff\xfeb\x81",
            Some("utf-8"),
            "windows-1252",
            "a",
            "as detected",
        );
    }

    #[test]
    fn unlabelled_pages_are_detected() {
        let text = "가격 비교 쇼핑몰 상품 정보와 배송 안내, 반품 및 교환 안내입니다.";
        let (bytes, ..) = encoding_rs::EUC_KR.encode(text);
        let mut remarks = Remarks::default();
        let page = Url::parse("https://shop.example.kr/").unwrap();
        let (found, name) = decode(&bytes, None, &page, &mut remarks);
        assert_eq!((found.as_str(), name), (text, "EUC-KR"));
        assert!(remarks.into_list()[0].contains("EUC-KR was detected"));
    }
}
