//! gzip (several members too), zlib, raw deflate and zip with one member,
//! over any `Read`.
//!
//! Written on the bare inflater and not on the readers that come with it:
//! those take an input that ends in mid-stream for its end, and a feed that
//! lost its second half has to be told from a short one.

use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::control::Control;
use super::error::{FeedError, Incomplete};

/// Compressed bytes read at once.
const INPUT_BYTES: usize = 64 << 10;

/// A file name in a gzip or zip header longer than this is not one.
const NAME_BYTES_MAX: usize = 64 << 10;

/// Input that is looked at byte by byte where headers demand it.
struct Input<'c, R> {
    input: R,
    control: &'c Control<'c>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Offset of `start` in the input.
    offset: u64,
    archive: &'static str,
}

impl<'c, R: Read> Input<'c, R> {
    fn new(input: R, control: &'c Control<'c>, archive: &'static str) -> Self {
        Self {
            input,
            control,
            buffer: vec![0; INPUT_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            offset: 0,
            archive,
        }
    }

    /// Bytes at hand, reading on when there are none; empty at the end.
    fn peek(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = self.input.read(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    fn truncated(&self) -> io::Error {
        self.control.incomplete(Incomplete::Truncated {
            what: self.archive,
            offset: self.offset,
        })
    }

    fn corrupt(&self, why: impl Into<String>) -> io::Error {
        self.control.error(FeedError::Corrupt {
            archive: self.archive,
            offset: self.offset,
            why: why.into(),
        })
    }

    fn byte(&mut self) -> io::Result<u8> {
        match self.peek()?.first().copied() {
            Some(byte) => {
                self.consume(1);
                Ok(byte)
            }
            None => Err(self.truncated()),
        }
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let at_hand = self.peek()?.len() as u64;
            if at_hand == 0 {
                return Err(self.truncated());
            }
            let step = at_hand.min(left);
            self.consume(step as usize);
            left -= step;
        }
        Ok(())
    }

    fn skip_text(&mut self) -> io::Result<()> {
        for _ in 0..NAME_BYTES_MAX {
            if self.byte()? == 0 {
                return Ok(());
            }
        }
        Err(self.corrupt("a name in the header never ends"))
    }
}

/// One deflate stream with the checksum of what came out.
struct Stream {
    inflater: Decompress,
    crc: Crc,
}

impl Stream {
    fn new(zlib: bool) -> Self {
        Self {
            inflater: Decompress::new(zlib),
            crc: Crc::new(),
        }
    }

    /// Fills `out` with at least one byte; 0 only at the end of the stream.
    fn inflate<R: Read>(&mut self, input: &mut Input<'_, R>, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let at_hand = input.peek()?;
            let ended = at_hand.is_empty();
            let (read, written) = (self.inflater.total_in(), self.inflater.total_out());
            let flush = FlushDecompress::None;
            let result = self.inflater.decompress(at_hand, out, flush);
            input.consume((self.inflater.total_in() - read) as usize);
            let produced = (self.inflater.total_out() - written) as usize;
            self.crc.update(&out[..produced]);
            match result {
                Err(error) => return Err(input.corrupt(error.to_string())),
                Ok(_) if produced > 0 => return Ok(produced),
                Ok(Status::StreamEnd) => return Ok(0),
                Ok(Status::Ok | Status::BufError) if ended => return Err(input.truncated()),
                Ok(Status::Ok | Status::BufError) => {}
            }
        }
    }
}

/// gzip, one member after the other.
pub(super) struct Gzip<'c, R> {
    input: Input<'c, R>,
    stream: Option<Stream>,
    members: u32,
    done: bool,
}

impl<'c, R: Read> Gzip<'c, R> {
    pub(super) fn new(input: R, control: &'c Control<'c>) -> Self {
        Self {
            input: Input::new(input, control, "gzip"),
            stream: None,
            members: 0,
            done: false,
        }
    }

    /// Reads the header of the next member; false when there is none.
    fn open_member(&mut self) -> io::Result<bool> {
        const EXTRA: u8 = 4;
        const NAME: u8 = 8;
        const COMMENT: u8 = 16;
        const HEADER_CRC: u8 = 2;
        let input = &mut self.input;
        if self.members > 0 && input.peek()?.first() != Some(&0x1f) {
            // Some writers pad the last block with zeros.
            while let Some(byte) = input.peek()?.first().copied() {
                if byte != 0 {
                    return Err(input.corrupt("what follows the archive is no gzip"));
                }
                input.consume(1);
            }
            return Ok(false);
        }
        let [magic0, magic1, method, flags] = input.array::<4>()?;
        if [magic0, magic1, method] != [0x1f, 0x8b, 8] {
            return Err(input.corrupt("no gzip header"));
        }
        input.array::<6>()?;
        if flags & EXTRA != 0 {
            let length = u16::from_le_bytes(input.array()?);
            input.skip(u64::from(length))?;
        }
        if flags & NAME != 0 {
            input.skip_text()?;
        }
        if flags & COMMENT != 0 {
            input.skip_text()?;
        }
        if flags & HEADER_CRC != 0 {
            input.array::<2>()?;
        }
        self.stream = Some(Stream::new(false));
        self.members += 1;
        Ok(true)
    }

    fn close_member(&mut self, stream: &Stream) -> io::Result<()> {
        let crc = u32::from_le_bytes(self.input.array()?);
        let size = u32::from_le_bytes(self.input.array()?);
        if crc != stream.crc.sum() || size != stream.crc.amount() {
            return Err(self.input.corrupt("the checksum does not match"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Gzip<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.done && !out.is_empty() {
            match self.stream.take() {
                None => self.done = !self.open_member()?,
                Some(mut stream) => match stream.inflate(&mut self.input, out)? {
                    0 => self.close_member(&stream)?,
                    produced => {
                        self.stream = Some(stream);
                        return Ok(produced);
                    }
                },
            }
        }
        Ok(0)
    }
}

/// zlib or raw deflate; which one, the first two bytes say.
pub(super) struct Deflate<'c, R> {
    input: Input<'c, R>,
    stream: Option<Stream>,
    done: bool,
}

impl<'c, R: Read> Deflate<'c, R> {
    pub(super) fn new(input: R, control: &'c Control<'c>) -> Self {
        Self {
            input: Input::new(input, control, "deflate"),
            stream: None,
            done: false,
        }
    }
}

/// Whether two bytes are a zlib header (RFC 1950, 2.2).
fn is_zlib_header(bytes: &[u8]) -> bool {
    match bytes {
        [cmf, flg, ..] => {
            cmf & 0x0f == 8
                && cmf >> 4 <= 7
                && flg & 0x20 == 0
                && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0
        }
        _ => false,
    }
}

impl<R: Read> Read for Deflate<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.done || out.is_empty() {
            return Ok(0);
        }
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::new(is_zlib_header(self.input.peek()?)),
        };
        let produced = stream.inflate(&mut self.input, out)?;
        self.stream = Some(stream);
        self.done = produced == 0;
        Ok(produced)
    }
}

/// The one file of a zip archive, read from front to back: what the central
/// directory says is checked once the data is through.
pub(super) struct Zip<'c, R> {
    input: Input<'c, R>,
    member: Option<Member>,
    done: bool,
}

struct Member {
    stream: Stream,
    stored_left: Option<u64>,
    crc: u32,
    /// Checksum and sizes follow the data.
    descriptor: bool,
    zip64: bool,
}

const LOCAL_FILE: [u8; 4] = *b"PK\x03\x04";
const CENTRAL_FILE: [u8; 4] = *b"PK\x01\x02";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

impl<'c, R: Read> Zip<'c, R> {
    pub(super) fn new(input: R, control: &'c Control<'c>) -> Self {
        Self {
            input: Input::new(input, control, "zip"),
            member: None,
            done: false,
        }
    }

    fn refuse(&self, why: &str) -> io::Error {
        let why = why.to_owned();
        self.input.control.error(FeedError::Zip { why })
    }

    /// Reads the local header, past folders, up to the data of the file.
    fn open_member(&mut self) -> io::Result<Member> {
        const ENCRYPTED: u16 = 1;
        const DESCRIPTOR_FOLLOWS: u16 = 8;
        loop {
            match self.input.array::<4>()? {
                LOCAL_FILE => {}
                CENTRAL_FILE | [b'P', b'K', 5, 6] => {
                    return Err(self.refuse("there is no file in it"));
                }
                _ => return Err(self.input.corrupt("no zip header")),
            }
            let header = self.input.array::<26>()?;
            let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
            let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
            let (flags, method, crc) = (u16_at(2), u16_at(4), u32_at(10));
            let (packed, unpacked) = (u32_at(14), u32_at(18));
            let mut name = Vec::new();
            for _ in 0..u16_at(22) {
                name.push(self.input.byte()?);
            }
            let has_zip64 = self.skip_extra(u16_at(24))?;
            let descriptor = flags & DESCRIPTOR_FOLLOWS != 0;
            if name.ends_with(b"/") && packed == 0 {
                continue;
            }
            if flags & ENCRYPTED != 0 {
                return Err(self.refuse("its file is encrypted"));
            }
            let zip64 = has_zip64 || packed == u32::MAX || unpacked == u32::MAX;
            let stored_left = match method {
                0 if descriptor || packed == u32::MAX => {
                    return Err(self.refuse("its file is stored with unknown length"));
                }
                0 => Some(u64::from(packed)),
                8 => None,
                _ => return Err(self.refuse("its file is packed with a method other than deflate")),
            };
            let stream = Stream::new(false);
            return Ok(Member {
                stream,
                stored_left,
                crc,
                descriptor,
                zip64,
            });
        }
    }

    /// Passes the extra fields of a local header; tells whether one of them
    /// makes the sizes after the data 64 bits wide.
    fn skip_extra(&mut self, bytes: u16) -> io::Result<bool> {
        const ZIP64: [u8; 2] = [1, 0];
        let mut left = bytes;
        let mut has_zip64 = false;
        while left >= 4 {
            let [id_low, id_high, size_low, size_high] = self.input.array::<4>()?;
            has_zip64 |= [id_low, id_high] == ZIP64;
            left -= 4;
            let size = u16::from_le_bytes([size_low, size_high]).min(left);
            self.input.skip(u64::from(size))?;
            left -= size;
        }
        self.input.skip(u64::from(left))?;
        Ok(has_zip64)
    }

    fn close_member(&mut self, member: &Member) -> io::Result<()> {
        let mut crc = member.crc;
        let mut next = self.input.array::<4>()?;
        if member.descriptor {
            // The signature before the checksum is optional.
            if next == DESCRIPTOR {
                next = self.input.array()?;
            }
            crc = u32::from_le_bytes(next);
            let sizes = if member.zip64 { 16 } else { 8 };
            self.input.skip(sizes)?;
            next = self.input.array()?;
        }
        if crc != member.stream.crc.sum() {
            return Err(self.input.corrupt("the checksum does not match"));
        }
        match next {
            CENTRAL_FILE => self.close_archive(),
            LOCAL_FILE => Err(self.refuse("there are several files in it")),
            _ => Err(self.input.corrupt("no central directory after the file")),
        }
    }

    /// Looks for the end record, without which the archive is cut off.
    fn close_archive(&mut self) -> io::Result<()> {
        let mut window = [0_u8; 4];
        loop {
            window.rotate_left(1);
            window[3] = self.input.byte()?;
            if window == *b"PK\x05\x06" {
                self.input.array::<18>()?;
                return Ok(());
            }
        }
    }

    fn member_bytes(&mut self, member: &mut Member, out: &mut [u8]) -> io::Result<usize> {
        let Some(left) = &mut member.stored_left else {
            return member.stream.inflate(&mut self.input, out);
        };
        if *left == 0 {
            return Ok(0);
        }
        let at_hand = self.input.peek()?;
        let most = (*left).min(out.len() as u64) as usize;
        let bytes = at_hand.len().min(most);
        out[..bytes].copy_from_slice(&at_hand[..bytes]);
        member.stream.crc.update(&out[..bytes]);
        *left -= bytes as u64;
        self.input.consume(bytes);
        match bytes {
            0 => Err(self.input.truncated()),
            _ => Ok(bytes),
        }
    }
}

impl<R: Read> Read for Zip<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.done || out.is_empty() {
            return Ok(0);
        }
        let mut member = match self.member.take() {
            Some(member) => member,
            None => self.open_member()?,
        };
        let produced = self.member_bytes(&mut member, out)?;
        if produced == 0 {
            self.close_member(&member)?;
            self.done = true;
        }
        self.member = Some(member);
        Ok(produced)
    }
}
