//! Decoded bytes to valid UTF-8 text, block by block.
//!
//! A malformed sequence becomes [`MALFORMED`], a code point that no feed may
//! hold, so that the row with it can be told and rejected.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding};

use super::archive::Decoded;
use super::charset::{self, Charset, SAMPLE_BYTES};
use super::control::Control;

/// Stands where bytes were malformed: a noncharacter (Unicode 23.7), which is
/// not meant for interchange.
pub(super) const MALFORMED: char = '\u{fdd0}';

/// Bytes decoded at once.
const BLOCK_BYTES: usize = 64 << 10;

pub(super) struct Text<'c> {
    input: Decoded<'c>,
    control: &'c Control<'c>,
    decoder: Decoder,
    encoding: &'static Encoding,
    raw: Vec<u8>,
    start: usize,
    end: usize,
    /// What stopped the sample, to be told once the sample is used up.
    pending: Option<io::Error>,
    ended: bool,
    finished: bool,
}

impl<'c> Text<'c> {
    /// Reads the sample and decides the charset.
    pub(super) fn open(
        mut input: Decoded<'c>,
        declared: Option<&'static Encoding>,
        control: &'c Control<'c>,
    ) -> io::Result<Self> {
        let mut raw = vec![0; SAMPLE_BYTES];
        let (mut end, mut ended, mut pending) = (0, false, None);
        while end < raw.len() && !ended {
            match input.read(&mut raw[end..]) {
                Ok(0) => ended = true,
                Ok(bytes) => end += bytes,
                Err(error) => {
                    pending = Some(error);
                    break;
                }
            }
        }
        let Charset {
            encoding,
            mark_bytes,
        } = charset::choose(&raw[..end], declared, ended).map_err(|error| control.error(error))?;
        Ok(Self {
            input,
            control,
            decoder: encoding.new_decoder_without_bom_handling(),
            encoding,
            raw,
            start: mark_bytes,
            end,
            pending,
            ended,
            finished: false,
        })
    }

    pub(super) fn encoding(&self) -> &'static Encoding {
        self.encoding
    }

    /// The first character that is not blank, without reading on.
    pub(super) fn first_visible(&self) -> Option<char> {
        let sample = &self.raw[self.start..self.end.min(self.start + 4096)];
        let (text, _) = self.encoding.decode_without_bom_handling(sample);
        text.chars().find(|c| !c.is_whitespace())
    }

    /// Appends a block of text; false at the end of the feed.
    pub(super) fn fill(&mut self, out: &mut String) -> io::Result<bool> {
        let before = out.len();
        while out.len() == before && !self.finished {
            if self.start == self.end && !self.ended {
                self.read_block()?;
            }
            self.decode_block(out);
        }
        Ok(out.len() > before)
    }

    fn read_block(&mut self) -> io::Result<()> {
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        // The sample was larger than a block; its memory is given back.
        if self.raw.len() > BLOCK_BYTES {
            self.raw = vec![0; BLOCK_BYTES];
        }
        self.start = 0;
        self.end = self.input.read(&mut self.raw)?;
        self.ended = self.end == 0;
        Ok(())
    }

    fn decode_block(&mut self, out: &mut String) {
        let block_end = self.end.min(self.start + BLOCK_BYTES);
        let last = self.ended && block_end == self.end;
        while self.start < block_end || last {
            let block = &self.raw[self.start..block_end];
            let room = self
                .decoder
                .max_utf8_buffer_length_without_replacement(block.len());
            out.reserve(room.expect("a block is far below the address space"));
            let (result, read) = self
                .decoder
                .decode_to_string_without_replacement(block, out, last);
            self.start += read;
            match result {
                DecoderResult::InputEmpty => {
                    self.finished = last;
                    return;
                }
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    let from = self.start.saturating_sub(BLOCK_BYTES / 4);
                    let upto = block_end.min(self.start + BLOCK_BYTES / 4);
                    self.control.count_malformed(&self.raw[from..upto]);
                    out.push(MALFORMED);
                }
            }
        }
    }
}

/// What parsers may have read ahead when a row begins, beside the row.
pub(super) const READ_AHEAD_BYTES: usize = 8 * BLOCK_BYTES;

/// The text as a reader, for parsers that take bytes. Every block is taken
/// from the budget of the current row.
pub(super) struct TextReader<'c> {
    text: Text<'c>,
    control: &'c Control<'c>,
    buffer: String,
    start: usize,
    quotes: u64,
    quote: Option<u8>,
}

impl<'c> TextReader<'c> {
    pub(super) fn new(text: Text<'c>, control: &'c Control<'c>) -> Self {
        Self {
            text,
            control,
            buffer: String::new(),
            start: 0,
            quotes: 0,
            quote: None,
        }
    }

    /// Counts a quote character, whose number tells an open quote at the end.
    pub(super) fn counting(mut self, quote: u8) -> Self {
        self.quote = Some(quote);
        self
    }

    pub(super) fn quotes(&self) -> u64 {
        self.quotes
    }

    /// Whether the feed has ended and all of it was handed out.
    pub(super) fn at_end(&self) -> bool {
        self.text.finished && self.start == self.buffer.len()
    }
}

impl BufRead for TextReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.text.fill(&mut self.buffer)?;
            if let Some(quote) = self.quote {
                self.quotes += memchr::memchr_iter(quote, self.buffer.as_bytes()).count() as u64;
            }
            // The whole buffer counts: a row too long is noticed within a block.
            self.control.spend(self.buffer.len())?;
        }
        Ok(&self.buffer.as_bytes()[self.start..])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.control.advance(bytes);
    }
}

impl Read for TextReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let at_hand = self.fill_buf()?;
        let bytes = at_hand.len().min(out.len());
        out[..bytes].copy_from_slice(&at_hand[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}
