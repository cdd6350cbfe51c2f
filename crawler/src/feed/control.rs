//! What every stage of reading shares: the caller's step callback, the
//! counters and the first failure.
//!
//! Readers of other crates stand between our stages and pass failures on as
//! `io::Error`; the cause is kept here, so that nothing has to be fished out
//! of a foreign error type.

use std::cell::{Cell, RefCell};
use std::io;

use trawler_core::drain::{STEP_BYTES_MAX, STEP_ROWS_MAX};

use super::error::{FeedError, Incomplete};

/// The caller is asked at least this often.
const STEP_ROWS: u64 = STEP_ROWS_MAX as u64;

/// Bytes are counted when a buffer of them has been read, so that a step may be
/// a buffer longer.
const STEP_BYTES: u64 = STEP_BYTES_MAX as u64 / 2;

/// How far reading has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows seen, rejected ones included.
    pub rows: u64,
    /// Bytes read from the input.
    pub bytes_read: u64,
    /// Bytes after decompression.
    pub bytes_decoded: u64,
}

/// The caller's answer between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Continue,
    Stop,
}

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Fault {
    /// What was read counts, the rest is missing.
    Incomplete(Incomplete),
    /// The feed cannot be used.
    Error(FeedError),
}

pub(super) struct Control<'a> {
    step: RefCell<&'a mut dyn FnMut(Progress) -> Step>,
    rows: Cell<u64>,
    bytes_read: Cell<u64>,
    bytes_decoded: Cell<u64>,
    next_rows: Cell<u64>,
    next_bytes: Cell<u64>,
    malformed: Cell<u64>,
    /// Where the parser stands in the text.
    offset: Cell<u64>,
    /// Bytes that may still be read for the current row.
    row_budget: Cell<usize>,
    /// The first raw block with malformed text, for naming a better charset.
    evidence: RefCell<Vec<u8>>,
    fault: RefCell<Option<Fault>>,
}

impl<'a> Control<'a> {
    pub(super) fn new(step: &'a mut dyn FnMut(Progress) -> Step) -> Self {
        Self {
            step: RefCell::new(step),
            rows: Cell::new(0),
            bytes_read: Cell::new(0),
            bytes_decoded: Cell::new(0),
            next_rows: Cell::new(STEP_ROWS),
            next_bytes: Cell::new(STEP_BYTES),
            malformed: Cell::new(0),
            offset: Cell::new(0),
            row_budget: Cell::new(usize::MAX),
            evidence: RefCell::new(Vec::new()),
            fault: RefCell::new(None),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            rows: self.rows.get(),
            bytes_read: self.bytes_read.get(),
            bytes_decoded: self.bytes_decoded.get(),
        }
    }

    /// Counts one row; fails when the caller wants to stop.
    pub(super) fn row(&self) -> io::Result<()> {
        self.rows.set(self.rows.get() + 1);
        if self.rows.get() >= self.next_rows.get() {
            return self.ask();
        }
        Ok(())
    }

    pub(super) fn read(&self, bytes: usize) {
        self.bytes_read.set(self.bytes_read.get() + bytes as u64);
    }

    /// Counts decoded bytes; fails when the caller wants to stop.
    pub(super) fn decoded(&self, bytes: usize) -> io::Result<()> {
        self.bytes_decoded
            .set(self.bytes_decoded.get() + bytes as u64);
        if self.bytes_decoded.get() >= self.next_bytes.get() {
            return self.ask();
        }
        Ok(())
    }

    fn ask(&self) -> io::Result<()> {
        self.next_rows.set(self.rows.get() + STEP_ROWS);
        self.next_bytes.set(self.bytes_decoded.get() + STEP_BYTES);
        let answer = (*self.step.borrow_mut())(self.progress());
        match answer {
            Step::Continue => Ok(()),
            Step::Stop => Err(self.incomplete(Incomplete::Stopped)),
        }
    }

    /// Keeps the first failure and gives the error to pass on.
    fn keep(&self, fault: Fault) -> io::Error {
        self.fault.borrow_mut().get_or_insert(fault);
        io::Error::other("reading the feed ended early")
    }

    pub(super) fn incomplete(&self, why: Incomplete) -> io::Error {
        self.keep(Fault::Incomplete(why))
    }

    pub(super) fn error(&self, error: FeedError) -> io::Error {
        self.keep(Fault::Error(error))
    }

    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.fault.borrow_mut().take()
    }

    pub(super) fn has_fault(&self) -> bool {
        self.fault.borrow().is_some()
    }

    pub(super) fn malformed(&self) -> u64 {
        self.malformed.get()
    }

    pub(super) fn count_malformed(&self, block: &[u8]) {
        self.malformed.set(self.malformed.get() + 1);
        let mut evidence = self.evidence.borrow_mut();
        if evidence.is_empty() {
            evidence.extend_from_slice(block);
        }
    }

    pub(super) fn evidence(&self) -> Vec<u8> {
        self.evidence.borrow().clone()
    }

    pub(super) fn advance(&self, bytes: usize) {
        self.offset.set(self.offset.get() + bytes as u64);
    }

    /// Bytes of text that parsers have consumed.
    pub(super) fn offset(&self) -> u64 {
        self.offset.get()
    }

    /// Gives the next row its bytes.
    pub(super) fn grant(&self, bytes: usize) {
        self.row_budget.set(bytes);
    }

    /// Takes bytes from the budget of the current row.
    pub(super) fn spend(&self, bytes: usize) -> io::Result<()> {
        match self.row_budget.get().checked_sub(bytes) {
            Some(rest) => {
                self.row_budget.set(rest);
                Ok(())
            }
            None => Err(self.error(FeedError::RowTooLong {
                row: self.rows.get() + 1,
            })),
        }
    }
}
