//! Packets of the SSH File Transfer Protocol, version 3 as OpenSSH and nearly
//! all others speak it (draft-ietf-secsh-filexfer-02), and of those only what
//! reading files needs. Pure.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Requests.
pub(super) const INIT: u8 = 1;
pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const FSTAT: u8 = 8;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const STAT: u8 = 17;

/// Answers.
pub(super) const VERSION: u8 = 2;
pub(super) const STATUS: u8 = 101;
pub(super) const HANDLE: u8 = 102;
pub(super) const DATA: u8 = 103;
pub(super) const NAME: u8 = 104;
pub(super) const ATTRS: u8 = 105;

pub(super) const PROTOCOL: u32 = 3;

/// What an answer may have: OpenSSH sends 256 KiB at most.
pub(super) const PACKET_BYTES_MAX: usize = 256 * 1024 + 1024;

const HAS_SIZE: u32 = 0x1;
const HAS_OWNER: u32 = 0x2;
const HAS_PERMISSIONS: u32 = 0x4;
const HAS_TIMES: u32 = 0x8;
const HAS_MORE: u32 = 0x8000_0000;

const KIND_MASK: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// An answer that is not what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A link, a device.
    Other,
    Untold,
}

/// What a server tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attrs {
    pub(super) bytes: Option<u64>,
    pub(super) kind: Kind,
    /// Seconds since 1970.
    pub(super) modified: Option<u32>,
}

/// A request: length, kind, and what `body` writes behind them.
pub(super) fn packet(kind: u8, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut packet = BytesMut::with_capacity(64);
    packet.put_u32(0);
    packet.put_u8(kind);
    body(&mut packet);
    let length = u32::try_from(packet.len() - 4).expect("paths are bounded");
    packet[..4].copy_from_slice(&length.to_be_bytes());
    packet.freeze()
}

pub(super) fn put_text(packet: &mut BytesMut, text: &[u8]) {
    packet.put_u32(u32::try_from(text.len()).expect("paths and handles are bounded"));
    packet.put_slice(text);
}

/// Takes an answer apart; every length in it is checked against what is there.
pub(super) struct Answer(pub(super) Bytes);

impl Answer {
    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| Malformed)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.0.try_get_u64().map_err(|_| Malformed)
    }

    pub(super) fn text(&mut self) -> Result<Bytes, Malformed> {
        let length = self.u32()? as usize;
        if length > self.0.len() {
            return Err(Malformed);
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn attrs(&mut self) -> Result<Attrs, Malformed> {
        let flags = self.u32()?;
        let has = |flag: u32| flags & flag != 0;
        let bytes = has(HAS_SIZE).then(|| self.u64()).transpose()?;
        if has(HAS_OWNER) {
            self.u64()?;
        }
        let permissions = has(HAS_PERMISSIONS).then(|| self.u32()).transpose()?;
        let modified = match has(HAS_TIMES) {
            true => {
                let _accessed = self.u32()?;
                Some(self.u32()?)
            }
            false => None,
        };
        if has(HAS_MORE) {
            for _ in 0..self.u32()? {
                self.text()?;
                self.text()?;
            }
        }
        let kind = match permissions.map(|permissions| permissions & KIND_MASK) {
            Some(REGULAR) => Kind::File,
            Some(FOLDER) => Kind::Folder,
            // Some servers tell the rights alone.
            Some(0) | None => Kind::Untold,
            Some(_) => Kind::Other,
        };
        Ok(Attrs {
            bytes,
            kind,
            modified,
        })
    }

    /// The files of one page of a folder. Names that are not UTF-8 are left out.
    pub(super) fn names(&mut self) -> Result<Vec<(String, Attrs)>, Malformed> {
        let mut names = Vec::new();
        for _ in 0..self.u32()? {
            let name = self.text()?;
            let _long = self.text()?;
            let attrs = self.attrs()?;
            if let Ok(name) = std::str::from_utf8(&name) {
                names.push((name.to_owned(), attrs));
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn attrs(parts: &[u32]) -> Result<Attrs, Malformed> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_be_bytes()).collect();
        Answer(bytes.into()).attrs()
    }

    #[test]
    fn attributes_are_read_in_all_their_forms() {
        let check = |parts: &[u32], bytes: Option<u64>, kind: Kind, modified: Option<u32>| {
            let expected = Attrs {
                bytes,
                kind,
                modified,
            };
            assert_eq!(attrs(parts), Ok(expected), "{parts:?}");
        };
        check(&[0], None, Kind::Untold, None);
        check(&[1, 1, 2], Some((1 << 32) + 2), Kind::Untold, None);
        let full = [0xf, 0, 7, 0, 0, 0o100_644, 5, 6];
        check(&full, Some(7), Kind::File, Some(6));
        check(&[4, 0o040_755], None, Kind::Folder, None);
        check(&[4, 0o120_777], None, Kind::Other, None);
        check(&[4, 0o644], None, Kind::Untold, None);
        check(&[HAS_MORE, 1, 0, 0], None, Kind::Untold, None);
        for short in [&[][..], &[1, 0], &[8, 0], &[2, 0], &[HAS_MORE, u32::MAX]] {
            assert_eq!(attrs(short), Err(Malformed), "{short:?}");
        }
    }

    #[test]
    fn lengths_are_held_against_what_is_there() {
        let check = |bytes: &[u8], ok: bool| {
            let read = Answer(Bytes::copy_from_slice(bytes)).names();
            assert_eq!(read.is_ok(), ok, "{bytes:?}");
        };
        check(&[0, 0, 0, 0], true);
        check(&[0xff, 0xff, 0xff, 0xff], false);
        check(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 1], false);
        check(
            &[0, 0, 0, 1, 0, 0, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 0],
            true,
        );
        check(
            &[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
            true,
        );
        let sent = packet(OPEN, |packet| put_text(packet, b"a"));
        assert_eq!(&sent[..], [0, 0, 0, 6, OPEN, 0, 0, 0, 1, b'a']);
    }
}
