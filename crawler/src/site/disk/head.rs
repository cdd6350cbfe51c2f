//! The head of a file that is one of a row: its number, the key of the hashes,
//! and the *chain*, which is the digest of all that the files before it held.
//! So a file of another row is not taken for the next one.
//!
//! ```text
//! 0 magic | 8 number u32 | 12 key | 28 before u64 | 36 check u64
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::HashKey;
use super::block::digest;

/// The length of a head.
pub(crate) const HEAD_BYTES: u64 = 44;

/// The head of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) number: u32,
    pub(crate) key: HashKey,
    /// The digest of all before it.
    pub(crate) before: u64,
    /// The same with the head itself.
    pub(crate) chain: u64,
}

impl Head {
    /// Writes the head of a new file; gives the chain with it.
    pub(crate) fn write(
        file: &File,
        magic: [u8; 8],
        number: u32,
        key: HashKey,
        before: u64,
    ) -> io::Result<u64> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES as usize);
        bytes.extend_from_slice(&magic);
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&key.bytes());
        bytes.extend_from_slice(&before.to_le_bytes());
        let check = digest(0, &bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        file.write_all_at(&bytes, 0)?;
        Ok(extend(before, check))
    }

    /// The head of a file of `length` bytes, or `None` if it has no sound one.
    pub(crate) fn read(file: &File, length: u64, magic: [u8; 8]) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEAD_BYTES as usize];
        if length < HEAD_BYTES {
            return Ok(None);
        }
        file.read_exact_at(&mut bytes, 0)?;
        let word = |at: usize| {
            u64::from_le_bytes(
                bytes[at..at + 8]
                    .try_into()
                    .expect("eight bytes of a fixed array"),
            )
        };
        let check = word(36);
        if bytes[..8] != magic || digest(0, &bytes[..36]) != check {
            return Ok(None);
        }
        let before = word(28);
        Ok(Some(Self {
            number: u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes")),
            key: HashKey::new(bytes[12..28].try_into().expect("sixteen bytes")),
            before,
            chain: extend(before, check),
        }))
    }
}

/// The chain with one more check in it.
pub(crate) fn extend(chain: u64, check: u64) -> u64 {
    digest(chain, &check.to_le_bytes())
}

/// What the checksum of a block at `offset` of file `number` begins with.
pub(crate) fn salt(number: u32, offset: u64) -> u64 {
    u64::from(number) << 40 ^ offset
}
