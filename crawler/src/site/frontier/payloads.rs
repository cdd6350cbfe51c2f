//! What was settled, read back in the order of settling.

use super::super::disk::Wire;
use super::cursor::Cursor;
use super::entry::Settlement;
use super::error::FrontierError;
use super::frame::Frame;
use super::journal::{Journal, RESULTS};

/// Settled entries in the order of settling, one block in memory at a time.
pub struct Payloads<'a> {
    journal: &'a Journal,
    cursor: Cursor,
    at: usize,
    /// What is not in a block yet.
    tail: Wire<'a>,
}

impl<'a> Payloads<'a> {
    pub(super) fn new(journal: &'a Journal, tail: &'a [u8]) -> Result<Self, FrontierError> {
        Ok(Self {
            journal,
            cursor: Cursor::new(RESULTS)?,
            at: 0,
            tail: Wire::new(tail),
        })
    }

    fn read(&mut self) -> Result<Option<Settlement>, FrontierError> {
        while self.at >= self.cursor.raw.len() {
            self.at = 0;
            if !self.cursor.next(self.journal, |_| true)? {
                self.cursor.raw.clear();
                if self.tail.is_empty() {
                    return Ok(None);
                }
                return settlement(&mut self.tail, &self.cursor).map(Some);
            }
        }
        let raw = &self.cursor.raw;
        let mut wire = Wire::new(&raw[self.at..]);
        let settlement = settlement(&mut wire, &self.cursor)?;
        self.at = raw.len() - wire.len();
        Ok(Some(settlement))
    }
}

fn settlement(wire: &mut Wire<'_>, cursor: &Cursor) -> Result<Settlement, FrontierError> {
    Frame::next(wire)
        .and_then(Frame::into_settlement)
        .ok_or_else(|| cursor.damaged("a frame cannot be read"))
}

impl Iterator for Payloads<'_> {
    type Item = Result<Settlement, FrontierError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
