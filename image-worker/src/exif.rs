//! The orientation tag of an EXIF block, and nothing else of it.
//!
//! Facts: TIFF 6.0 (header, image file directory), EXIF 2.32 (tag 0x0112).

use crate::orient::Orientation;

const TAG_ORIENTATION: u16 = 0x0112;
const TYPE_SHORT: u16 = 3;
const ENTRY_BYTES: usize = 12;
/// Entries of the first directory that are looked at; cameras write about 20.
const ENTRIES_MAX: usize = 512;

/// Reads the orientation from a TIFF block, with or without the `Exif\0\0`
/// that JPEG puts before it. A block that cannot be read says nothing about
/// the picture: it is upright.
pub(crate) fn orientation(block: &[u8]) -> Orientation {
    let tiff = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    first_directory(tiff)
        .and_then(Orientation::from_exif)
        .unwrap_or_default()
}

fn first_directory(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let pair: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        })
    };
    let long: [u8; 4] = tiff.get(4..8)?.try_into().ok()?;
    let directory = if little {
        u32::from_le_bytes(long)
    } else {
        u32::from_be_bytes(long)
    } as usize;
    let entries = usize::from(short(directory)?).min(ENTRIES_MAX);
    (0..entries).find_map(|entry| {
        let at = directory.checked_add(2)?.checked_add(entry * ENTRY_BYTES)?;
        (short(at)? == TAG_ORIENTATION && short(at.checked_add(2)?)? == TYPE_SHORT)
            .then(|| short(at.checked_add(8)?))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orientation_is_read_in_both_byte_orders_and_never_guessed() {
        let check = |block: &[u8], expected: u8| {
            assert_eq!(orientation(block).exif(), expected, "{block:?}");
        };
        let little = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        check(little, 6);
        check(big, 8);
        check(&little[..20], 1);
        check(b"", 1);
        check(b"II*\0\xff\xff\xff\xff", 1);
        check(
            b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0",
            1,
        );
    }
}
