//! Text to lines, each bounded. LF and CRLF end a line; a longer line than
//! allowed is skipped and reported, not held.

use std::io;

use super::text::Text;

/// Bytes of a line too long that are shown.
const SHOWN_BYTES: usize = 200;

pub(super) struct Lines<'c> {
    text: Text<'c>,
    buffer: String,
    start: usize,
    /// Up to here the buffer has no line end.
    searched: usize,
    line: u64,
    offset: u64,
    line_bytes_max: usize,
    ended: bool,
}

/// One line, without its end.
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    /// From 1.
    pub(super) line: u64,
    /// Offset of its first byte in the feed as UTF-8.
    pub(super) offset: u64,
    /// Whether a line end followed; only the last line may have none.
    pub(super) ended: bool,
    /// `text` is only the beginning.
    pub(super) too_long: bool,
}

impl<'c> Lines<'c> {
    pub(super) fn new(text: Text<'c>, line_bytes_max: usize) -> Self {
        Self {
            text,
            buffer: String::new(),
            start: 0,
            searched: 0,
            line: 0,
            offset: 0,
            line_bytes_max,
            ended: false,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let Some((length, ended)) = self.find_end()? else {
            return Ok(None);
        };
        let (from, offset) = (self.start, self.offset);
        self.line += 1;
        if length > self.line_bytes_max {
            return self.skip_long(from, offset, ended).map(Some);
        }
        self.start += length + usize::from(ended);
        self.searched = self.start;
        self.offset += (length + usize::from(ended)) as u64;
        let text = &self.buffer[from..from + length];
        Ok(Some(Line {
            text: text.strip_suffix('\r').unwrap_or(text),
            line: self.line,
            offset,
            ended,
            too_long: false,
        }))
    }

    /// Length of the next line and whether it ended, reading on as needed;
    /// a line too long is given as it stands.
    fn find_end(&mut self) -> io::Result<Option<(usize, bool)>> {
        loop {
            let rest = &self.buffer.as_bytes()[self.searched..];
            if let Some(at) = memchr::memchr(b'\n', rest) {
                return Ok(Some((self.searched + at - self.start, true)));
            }
            self.searched = self.buffer.len();
            let at_hand = self.buffer.len() - self.start;
            if at_hand > self.line_bytes_max {
                return Ok(Some((at_hand, false)));
            }
            if self.ended {
                return Ok((at_hand > 0).then_some((at_hand, false)));
            }
            self.read_on()?;
        }
    }

    fn read_on(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.ended = !self.text.fill(&mut self.buffer)?;
        Ok(())
    }

    /// Drops the rest of a line that is too long and keeps its beginning.
    fn skip_long(&mut self, from: usize, offset: u64, ended: bool) -> io::Result<Line<'_>> {
        let mut shown = SHOWN_BYTES;
        while !self.buffer.is_char_boundary(from + shown) {
            shown -= 1;
        }
        let head = self.buffer[from..from + shown].to_owned();
        let mut ended = ended;
        if ended {
            let end = memchr::memchr(b'\n', &self.buffer.as_bytes()[from..])
                .expect("the line end was just found");
            self.start = from + end + 1;
            self.offset += end as u64 + 1;
        }
        while !ended && !self.ended {
            self.offset += (self.buffer.len() - self.start) as u64;
            self.buffer.clear();
            self.start = 0;
            self.ended = !self.text.fill(&mut self.buffer)?;
            if let Some(at) = memchr::memchr(b'\n', self.buffer.as_bytes()) {
                self.start = at + 1;
                self.offset += at as u64 + 1;
                ended = true;
            }
        }
        if !ended {
            self.start = self.buffer.len();
        }
        self.searched = self.start;
        // The head goes where the buffer has been read, so that the line can
        // borrow it like any other.
        self.buffer.insert_str(self.start, &head);
        let at = self.start;
        self.start += head.len();
        self.searched = self.start;
        Ok(Line {
            text: &self.buffer[at..at + head.len()],
            line: self.line,
            offset,
            ended,
            too_long: true,
        })
    }
}
