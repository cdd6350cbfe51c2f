//! gzip (RFC 1952), as shops serve it: several members, padding after the last.

use flate2::{Crc, Decompress};

use super::inflate::inflate;
use super::{DecodeFault, Output, Pushed};

/// A gzip head carries a name and comment at most; 64 KiB is far beyond both.
const GZIP_HEAD_BYTES_MAX: usize = 64 * 1024;

#[derive(Default)]
enum GzipState {
    #[default]
    Head,
    Body,
    Tail,
    /// Bytes after the last member, which are padding or junk and are ignored
    /// as browsers do.
    Junk,
}

/// gzip, of one or several members.
#[derive(Default)]
pub(crate) struct Gzip {
    state: GzipState,
    /// Bytes of a head or tail that is not complete yet.
    held: Vec<u8>,
    inflater: Option<Decompress>,
    crc: Crc,
    members: u32,
}

impl Gzip {
    const CODING: &'static str = "gzip";

    pub(super) fn is_finished(&self) -> bool {
        match self.state {
            GzipState::Head => self.held.is_empty(),
            GzipState::Junk => true,
            GzipState::Body | GzipState::Tail => false,
        }
    }

    fn invalid(why: &str) -> DecodeFault<()> {
        DecodeFault::Invalid(Self::CODING, why.to_owned())
    }

    pub(super) fn push(&mut self, mut input: &[u8], output: Output<'_>) -> Pushed {
        while !input.is_empty() {
            match self.state {
                GzipState::Junk => return Ok(()),
                GzipState::Head => input = self.head(input)?,
                GzipState::Body => {
                    let inflater = self
                        .inflater
                        .as_mut()
                        .expect("the head of the member made it");
                    let crc = &mut self.crc;
                    let mut counted = |piece: &[u8]| {
                        crc.update(piece);
                        output(piece)
                    };
                    let (used, end) = inflate(inflater, input, Self::CODING, &mut counted)?;
                    input = &input[used..];
                    if end {
                        self.state = GzipState::Tail;
                    }
                }
                GzipState::Tail => input = self.tail(input)?,
            }
        }
        Ok(())
    }

    fn head<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], DecodeFault<()>> {
        let before = self.held.len();
        self.held.extend_from_slice(input);
        match gzip_head(&self.held) {
            Head::Length(length) => {
                self.held.clear();
                match &mut self.inflater {
                    Some(inflater) => inflater.reset(false),
                    None => self.inflater = Some(Decompress::new(false)),
                }
                self.crc.reset();
                self.state = GzipState::Body;
                Ok(&input[length - before..])
            }
            Head::More if self.held.len() > GZIP_HEAD_BYTES_MAX => {
                Err(Self::invalid("its head does not end"))
            }
            Head::More => Ok(&[]),
            Head::Wrong if self.members > 0 => {
                self.held.clear();
                self.state = GzipState::Junk;
                Ok(&[])
            }
            Head::Wrong => Err(Self::invalid("it does not begin as gzip does (1f 8b 08)")),
        }
    }

    fn tail<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], DecodeFault<()>> {
        let wanted = 8 - self.held.len();
        let (part, rest) = input.split_at(wanted.min(input.len()));
        self.held.extend_from_slice(part);
        let Ok(tail) = <[u8; 8]>::try_from(self.held.as_slice()) else {
            return Ok(rest);
        };
        let [a, b, c, d, e, f, g, h] = tail;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
            return Err(Self::invalid("its checksum does not match"));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.crc.amount() {
            return Err(Self::invalid("its length does not match"));
        }
        self.held.clear();
        self.members += 1;
        self.state = GzipState::Head;
        Ok(rest)
    }
}

enum Head {
    Length(usize),
    More,
    Wrong,
}

/// Length of the gzip head (RFC 1952) at the beginning of `bytes`.
fn gzip_head(bytes: &[u8]) -> Head {
    let magic = [0x1f, 0x8b, 8];
    let known = bytes.len().min(magic.len());
    if bytes[..known] != magic[..known] {
        return Head::Wrong;
    }
    if bytes.len() < 10 {
        return Head::More;
    }
    let flags = bytes[3];
    let mut at = 10;
    if flags & 4 != 0 {
        let Some(&[low, high]) = bytes.get(at..at + 2).and_then(|two| two.first_chunk()) else {
            return Head::More;
        };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = bytes
                .get(at..)
                .and_then(|rest| rest.iter().position(|&byte| byte == 0));
            let Some(end) = end else { return Head::More };
            at += end + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    if bytes.len() < at {
        return Head::More;
    }
    Head::Length(at)
}
