//! The bytes of a sitemap as UTF-8, with a bound for what is held at once.
//!
//! The character set is that of the byte-order mark, of the XML declaration,
//! or UTF-8, as the protocol wants it. EUC-KR means CP949.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, EUC_KR, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::error::{Fault, SitemapError, of_io};

/// Bytes that are read and decoded at once.
const CHUNK_BYTES: usize = 32 << 10;

/// A declaration is found in so many bytes at the beginning.
const DECLARATION_BYTES: usize = 256;

/// Labels in use in Korea that the WHATWG list does not have.
const CP949_LABELS: &[&str] = &["cp949", "ms949", "uhc", "euckr"];

pub(super) struct Text<'i> {
    bytes: Box<dyn Read + 'i>,
    decoder: Decoder,
    raw: Box<[u8]>,
    raw_start: usize,
    raw_end: usize,
    raw_ended: bool,
    text: Box<[u8]>,
    start: usize,
    end: usize,
    /// The decoder has nothing left.
    ended: bool,
    /// Of `start` in the text.
    offset: u64,
    /// Bytes that may be taken before the next [`Text::grant`].
    granted: usize,
}

impl<'i> Text<'i> {
    pub(super) fn new(bytes: Box<dyn Read + 'i>) -> Result<Self, SitemapError> {
        let mut this = Self {
            bytes,
            decoder: UTF_8.new_decoder_with_bom_removal(),
            raw: vec![0; CHUNK_BYTES].into_boxed_slice(),
            raw_start: 0,
            raw_end: 0,
            raw_ended: false,
            text: vec![0; CHUNK_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            ended: false,
            offset: 0,
            granted: super::EVENT_BYTES_MAX,
        };
        while !this.raw_ended && this.raw_end < DECLARATION_BYTES {
            this.read_more().map_err(|error| of_io(&error, 0))?;
        }
        let sample = &this.raw[..this.raw_end.min(DECLARATION_BYTES)];
        this.decoder = encoding_of(sample).new_decoder_with_bom_removal();
        Ok(this)
    }

    /// The first byte that is no white space; `None` if there is none.
    pub(super) fn first_character(&mut self) -> Result<Option<u8>, SitemapError> {
        loop {
            let offset = self.offset;
            let at_hand = self.fill_buf().map_err(|error| of_io(&error, offset))?;
            if at_hand.is_empty() {
                return Ok(None);
            }
            let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
            let blanks = at_hand.iter().take_while(|byte| blank(byte)).count();
            let found = at_hand.get(blanks).copied();
            self.consume(blanks);
            // Blanks are not held.
            self.grant();
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Allows the next step to take its bytes.
    pub(super) fn grant(&mut self) {
        self.granted = super::EVENT_BYTES_MAX;
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether everything was taken.
    pub(super) fn at_end(&self) -> bool {
        self.ended && self.start == self.end
    }

    fn read_more(&mut self) -> io::Result<()> {
        if self.raw_start == self.raw_end {
            (self.raw_start, self.raw_end) = (0, 0);
        }
        let room = &mut self.raw[self.raw_end..];
        match self.bytes.read(room) {
            Ok(0) => self.raw_ended = !room.is_empty(),
            Ok(bytes) => self.raw_end += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn decode_more(&mut self) -> io::Result<()> {
        if self.raw_start == self.raw_end && !self.raw_ended {
            self.read_more()?;
        }
        let raw = &self.raw[self.raw_start..self.raw_end];
        let (result, read, written, _) =
            self.decoder
                .decode_to_utf8(raw, &mut self.text, self.raw_ended);
        self.raw_start += read;
        (self.start, self.end) = (0, written);
        self.ended = self.raw_ended && result == encoding_rs::CoderResult::InputEmpty;
        Ok(())
    }
}

impl Read for Text<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(into)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

impl BufRead for Text<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.start == self.end && !self.ended {
            self.decode_more()?;
        }
        if self.granted == 0 && self.start < self.end {
            return Err(Fault::TooLong.into_io());
        }
        let end = self.end.min(self.start.saturating_add(self.granted));
        Ok(&self.text[self.start..end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
        self.granted = self.granted.saturating_sub(bytes);
    }
}

fn encoding_of(sample: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(sample) {
        return encoding;
    }
    match sample {
        [b'<', 0, ..] => return UTF_16LE,
        [0, b'<', ..] => return UTF_16BE,
        _ => {}
    }
    declared(sample).unwrap_or(UTF_8)
}

/// By `<?xml version="1.0" encoding="...">`.
fn declared(sample: &[u8]) -> Option<&'static Encoding> {
    let text: String = sample.iter().map(|byte| char::from(*byte)).collect();
    let declaration = text.trim_start().strip_prefix("<?xml")?;
    let declaration = &declaration[..declaration.find("?>")?];
    let value = declaration.split_once("encoding")?.1.trim_start();
    let value = value.strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let label = value[1..].split(quote).next()?.trim();
    if CP949_LABELS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(label))
    {
        return Some(EUC_KR);
    }
    let encoding = Encoding::for_label(label.as_bytes())?;
    // One that could say so in ASCII is not it.
    let wide = encoding == UTF_16LE || encoding == UTF_16BE;
    Some(if wide { UTF_8 } else { encoding })
}
