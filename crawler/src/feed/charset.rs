//! Which character set a feed is in: byte-order mark, declaration, or the
//! bytes themselves, and whether a declaration can be true.
//!
//! EUC-KR means CP949 here, as it does on the web (WHATWG Encoding).

use encoding_rs::{DecoderResult, EUC_KR, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::error::FeedError;

/// Decoded bytes that the decision looks at.
pub(super) const SAMPLE_BYTES: usize = 256 << 10;

/// Malformed sequences above which a declaration is doubted: four, and one in
/// twenty non-ASCII bytes. Fewer are damage in the text.
const DOUBTED_FROM: usize = 4;
const DOUBTED_ONE_IN: usize = 20;

/// Labels in use in Korea that the WHATWG list does not have.
const MORE_LABELS: &[(&str, &Encoding)] = &[
    ("cp949", EUC_KR),
    ("ms949", EUC_KR),
    ("uhc", EUC_KR),
    ("euckr", EUC_KR),
    ("utf8", UTF_8),
    ("utf-8-sig", UTF_8),
];

/// The encoding that a label names.
pub fn encoding_for(label: &str) -> Option<&'static Encoding> {
    let trimmed = label.trim();
    let more = MORE_LABELS
        .iter()
        .find(|(name, _)| trimmed.eq_ignore_ascii_case(name));
    match more {
        Some((_, encoding)) => Some(encoding),
        None => Encoding::for_label(trimmed.as_bytes()),
    }
}

/// Lower-case name of an encoding, as reports show it.
pub(super) fn name_of(encoding: &'static Encoding) -> String {
    encoding.name().to_ascii_lowercase()
}

/// What was decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charset {
    pub(super) encoding: &'static Encoding,
    /// Bytes of the byte-order mark, to be skipped.
    pub(super) mark_bytes: usize,
}

/// Decides from the first bytes of the feed. `whole` says that they are all.
pub(super) fn choose(
    sample: &[u8],
    declared: Option<&'static Encoding>,
    whole: bool,
) -> Result<Charset, FeedError> {
    let marked = Encoding::for_bom(sample);
    if let Some(declared) = declared {
        check_declaration(sample, declared, marked, whole)?;
    }
    if let Some((encoding, mark_bytes)) = marked {
        return Ok(Charset {
            encoding,
            mark_bytes,
        });
    }
    let encoding = match declared {
        Some(declared) => declared,
        None => detect(sample, whole),
    };
    Ok(Charset {
        encoding,
        mark_bytes: 0,
    })
}

fn check_declaration(
    sample: &[u8],
    declared: &'static Encoding,
    marked: Option<(&'static Encoding, usize)>,
    whole: bool,
) -> Result<(), FeedError> {
    let is_utf_16 = |encoding| encoding == UTF_16LE || encoding == UTF_16BE;
    let wrong = |better: &'static Encoding, malformed: usize| {
        Err(FeedError::WrongCharset {
            used: name_of(declared),
            better: name_of(better),
            malformed: malformed as u64,
        })
    };
    if let Some((encoding, _)) = marked {
        let either_order = is_utf_16(declared) && is_utf_16(encoding);
        if encoding == declared || either_order {
            return Ok(());
        }
        return wrong(encoding, 0);
    }
    if declared != UTF_8 && certainly_utf_8(sample, whole) {
        return wrong(UTF_8, malformed(sample, declared, whole));
    }
    let damaged = malformed(sample, declared, whole);
    let foreign = sample.iter().filter(|byte| !byte.is_ascii()).count();
    if damaged < DOUBTED_FROM || damaged * DOUBTED_ONE_IN < foreign {
        return Ok(());
    }
    let better = detect(sample, whole);
    if better != declared && malformed(sample, better, whole) * 2 < damaged {
        return wrong(better, damaged);
    }
    Ok(())
}

/// The charset of undeclared text.
pub(super) fn detect(sample: &[u8], whole: bool) -> &'static Encoding {
    if let Some(encoding) = utf_16_without_mark(sample) {
        return encoding;
    }
    if is_utf_8(sample, whole) {
        return UTF_8;
    }
    // A pipe shows its damage as damage: mostly valid UTF-8 stays UTF-8.
    let foreign = sample.iter().filter(|byte| !byte.is_ascii()).count();
    if malformed(sample, UTF_8, whole) * DOUBTED_ONE_IN < foreign {
        return UTF_8;
    }
    let korean = malformed(sample, EUC_KR, whole);
    if korean == 0 && looks_korean(sample) {
        return EUC_KR;
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(sample, whole);
    let guess = detector.guess(None, chardetng::Utf8Detection::Deny);
    if malformed(sample, guess, whole) == 0 {
        return guess;
    }
    // Damaged text: the candidate with the least damage.
    if korean <= malformed(sample, guess, whole) {
        EUC_KR
    } else {
        guess
    }
}

/// Whether most of the non-ASCII text is Hangul when read as CP949: short
/// samples say too little for a statistical guess.
fn looks_korean(sample: &[u8]) -> bool {
    let (text, _) = EUC_KR.decode_without_bom_handling(sample);
    let foreign = text.chars().filter(|c| !c.is_ascii()).count();
    let hangul = |c: &char| matches!(c, '\u{ac00}'..='\u{d7a3}' | '\u{3131}'..='\u{318e}');
    foreign > 0 && text.chars().filter(hangul).count() * 2 > foreign
}

/// Every second byte is zero in UTF-16 text with a Latin header row.
fn utf_16_without_mark(sample: &[u8]) -> Option<&'static Encoding> {
    const PAIRS: usize = 32;
    let pairs: Vec<&[u8]> = sample.chunks_exact(2).take(PAIRS).collect();
    if pairs.len() < 4 {
        return None;
    }
    let zeros = |at: usize| pairs.iter().filter(|pair| pair[at] == 0).count();
    let most = pairs.len() * 3 / 4;
    if zeros(1) >= most && zeros(0) == 0 {
        Some(UTF_16LE)
    } else if zeros(0) >= most && zeros(1) == 0 {
        Some(UTF_16BE)
    } else {
        None
    }
}

fn is_utf_8(sample: &[u8], whole: bool) -> bool {
    match std::str::from_utf8(sample) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !whole,
    }
}

/// Valid UTF-8 with enough multi-byte characters that no legacy text could be
/// so by chance.
fn certainly_utf_8(sample: &[u8], whole: bool) -> bool {
    let leads = |from: u8| sample.iter().filter(|byte| **byte >= from).count();
    is_utf_8(sample, whole) && leads(0xc2) >= 4 && (leads(0xe0) > 0 || leads(0xc2) >= 16)
}

/// Malformed sequences in the sample.
pub(super) fn malformed(sample: &[u8], encoding: &'static Encoding, whole: bool) -> usize {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut scratch = vec![0_u8; 16 << 10];
    let (mut at, mut found) = (0, 0);
    loop {
        let (result, read, _) =
            decoder.decode_to_utf8_without_replacement(&sample[at..], &mut scratch, whole);
        at += read;
        match result {
            DecoderResult::InputEmpty => return found,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => found += 1,
        }
    }
}

/// A charset under which a damaged block is whole, for the error message.
pub(super) fn better_for(block: &[u8], used: &'static Encoding) -> Option<&'static Encoding> {
    let better = detect(block, false);
    let single_byte = better.is_single_byte() && used == UTF_8;
    let whole = malformed(block, better, false) == 0 && better != used;
    let damaged = malformed(block, used, false);
    (whole && damaged >= DOUBTED_FROM && !(single_byte && damaged < 2 * DOUBTED_FROM))
        .then_some(better)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KOREAN: &str = "상품명\t가격\n겨울 코트 남성 롱패딩\t129000\n";

    fn korean(encoding: &'static Encoding) -> Vec<u8> {
        encoding.encode(KOREAN).0.into_owned()
    }

    fn utf_16(text: &str, little: bool) -> Vec<u8> {
        let bytes = |unit: u16| {
            if little {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            }
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn charsets_are_detected() {
        let check = |sample: &[u8], expected: &str| {
            let found = choose(sample, None, true).unwrap();
            assert_eq!(name_of(found.encoding), expected, "{sample:?}");
        };
        check(b"", "utf-8");
        check(b"id\ttitle\n1\tcoat\n", "utf-8");
        check(KOREAN.as_bytes(), "utf-8");
        check(&[b"\xef\xbb\xbf", KOREAN.as_bytes()].concat(), "utf-8");
        check(&korean(EUC_KR), "euc-kr");
        // A syllable that only CP949 has, not EUC-KR proper.
        check(&EUC_KR.encode("똠방각하 펲시콜라").0, "euc-kr");
        check(&utf_16("id\ttitle\n1\tcoat\n", true), "utf-16le");
        check(&utf_16("id\ttitle\n1\tcoat\n", false), "utf-16be");
        let marked = [b"\xff\xfe".as_slice(), &utf_16(KOREAN, true)].concat();
        check(&marked, "utf-16le");
        let cafe = "Un café très cher déjà payé à Orléans, l'été dernier\n".repeat(4);
        let latin = encoding_rs::WINDOWS_1252.encode(&cafe).0;
        check(&latin, "windows-1252");
    }

    #[test]
    fn a_cut_character_at_the_end_of_the_sample_is_no_damage() {
        let sample = &KOREAN.as_bytes()[..KOREAN.find('남').unwrap() + 1];
        assert_eq!(detect(sample, false), UTF_8);
        assert_ne!(detect(sample, true), UTF_16LE);
    }

    #[test]
    fn wrong_declarations_name_a_better_charset() {
        let check = |sample: &[u8], declared: &str, better: Option<&str>| {
            let declared = encoding_for(declared).unwrap();
            match (choose(sample, Some(declared), true), better) {
                (Ok(_), None) => {}
                (Err(FeedError::WrongCharset { better: found, .. }), Some(better)) => {
                    assert_eq!(found, better);
                }
                (result, _) => panic!("{declared:?}: {result:?}"),
            }
        };
        check(KOREAN.as_bytes(), "utf8", None);
        check(KOREAN.as_bytes(), "cp949", Some("utf-8"));
        check(KOREAN.as_bytes(), "iso-8859-1", Some("utf-8"));
        check(&korean(EUC_KR), "CP949", None);
        check(&korean(EUC_KR), "ks_c_5601-1987", None);
        check(&korean(EUC_KR), "utf-8", Some("euc-kr"));
        check(b"\xef\xbb\xbfid", "cp949", Some("utf-8"));
        check(b"plain ascii", "cp949", None);
        // One damaged character in much good text is damage, not another charset.
        let mut damaged = KOREAN.repeat(4).into_bytes();
        damaged.push(0xff);
        check(&damaged, "utf-8", None);
    }
}
