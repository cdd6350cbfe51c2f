//! What AWS would bill: requests by API action, and what they cost.
//!
//! SQS bills a request for every 64 KB of its payload; S3 bills by class, and
//! refused conditional writes as well. Prices are those of us-east-1: SQS FIFO
//! $0.50, S3 PUT, COPY, POST and LIST $5, GET and HEAD $0.40, each a million;
//! S3 deletes are free.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Sub;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What SQS bills as one request.
const UNIT_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    SendMessage,
    SendMessageBatch,
    ReceiveMessage,
    DeleteMessage,
    ChangeMessageVisibility,
    GetQueueAttributes,
    PutObject,
    ListObjectsV2,
    GetObject,
    HeadObject,
    DeleteObject,
    DeleteObjects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Sqs,
    S3Put,
    S3Get,
    S3Free,
}

impl Action {
    fn class(self) -> Class {
        match self {
            Self::SendMessage
            | Self::SendMessageBatch
            | Self::ReceiveMessage
            | Self::DeleteMessage
            | Self::ChangeMessageVisibility
            | Self::GetQueueAttributes => Class::Sqs,
            Self::PutObject | Self::ListObjectsV2 => Class::S3Put,
            Self::GetObject | Self::HeadObject => Class::S3Get,
            Self::DeleteObject | Self::DeleteObjects => Class::S3Free,
        }
    }
}

impl Action {
    fn writes(self) -> bool {
        match self {
            Self::SendMessage
            | Self::SendMessageBatch
            | Self::DeleteMessage
            | Self::ChangeMessageVisibility
            | Self::PutObject
            | Self::DeleteObject
            | Self::DeleteObjects => true,
            Self::ReceiveMessage
            | Self::GetQueueAttributes
            | Self::ListObjectsV2
            | Self::GetObject
            | Self::HeadObject => false,
        }
    }
}

impl Class {
    fn dollars_a_million(self) -> f64 {
        match self {
            Self::Sqs => 0.50,
            Self::S3Put => 5.0,
            Self::S3Get => 0.40,
            Self::S3Free => 0.0,
        }
    }
}

/// Counts requests as the services answer them.
#[derive(Debug, Default)]
pub struct Meter {
    bill: Mutex<Bill>,
}

impl Meter {
    pub(super) fn count(&self, action: Action, payload_bytes: usize) {
        let billed = match action.class() {
            Class::Sqs => payload_bytes.div_ceil(UNIT_BYTES).max(1) as u64,
            Class::S3Put | Class::S3Get | Class::S3Free => 1,
        };
        let mut bill = self.bill();
        let line = bill.lines.entry(action).or_default();
        line.requests += 1;
        line.billed += billed;
    }

    /// [`Bill::writes`] of everything so far.
    pub fn writes(&self) -> u64 {
        self.bill().writes()
    }

    /// Everything so far.
    pub fn read(&self) -> Bill {
        self.bill().clone()
    }

    fn bill(&self) -> MutexGuard<'_, Bill> {
        // Counting does not panic half-way.
        self.bill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Line {
    requests: u64,
    billed: u64,
}

/// Requests of a span of time. Later readings minus earlier ones are bills too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    lines: BTreeMap<Action, Line>,
}

impl Bill {
    pub fn requests(&self, action: Action) -> u64 {
        self.lines.get(&action).map_or(0, |line| line.requests)
    }

    /// Requests that may change something, deliveries aside.
    pub fn writes(&self) -> u64 {
        let lines = self.lines.iter();
        let writes = lines.filter(|(action, _)| action.writes());
        writes.map(|(_, line)| line.requests).sum()
    }

    /// Billed SQS requests, in units of 64 KB.
    pub fn sqs(&self) -> u64 {
        self.of(Class::Sqs)
    }

    /// PUT, COPY, POST and LIST requests.
    pub fn s3_puts(&self) -> u64 {
        self.of(Class::S3Put)
    }

    /// GET and HEAD requests.
    pub fn s3_gets(&self) -> u64 {
        self.of(Class::S3Get)
    }

    pub fn sqs_dollars(&self) -> f64 {
        self.dollars(|class| class == Class::Sqs)
    }

    pub fn s3_dollars(&self) -> f64 {
        self.dollars(|class| class != Class::Sqs)
    }

    fn of(&self, wanted: Class) -> u64 {
        let lines = self.lines.iter();
        lines
            .filter(|(action, _)| action.class() == wanted)
            .map(|(_, line)| line.billed)
            .sum()
    }

    fn dollars(&self, wanted: impl Fn(Class) -> bool) -> f64 {
        let lines = self.lines.iter();
        lines
            .filter(|(action, _)| wanted(action.class()))
            .map(|(action, line)| line.billed as f64 * action.class().dollars_a_million() / 1e6)
            .sum()
    }
}

impl Sub for Bill {
    type Output = Self;

    fn sub(mut self, earlier: Self) -> Self {
        for (action, line) in earlier.lines {
            let left = self.lines.entry(action).or_default();
            left.requests -= line.requests;
            left.billed -= line.billed;
        }
        self
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (action, line)) in self.lines.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{action:?} {}", line.requests)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqs_bills_by_64_kb_and_s3_by_class() {
        let meter = Meter::default();
        meter.count(Action::SendMessageBatch, 64 * 1024);
        meter.count(Action::SendMessageBatch, 64 * 1024 + 1);
        meter.count(Action::ReceiveMessage, 0);
        meter.count(Action::PutObject, 1_000_000);
        meter.count(Action::DeleteObject, 0);
        let bill = meter.read();
        assert_eq!(bill.requests(Action::SendMessageBatch), 2);
        assert_eq!((bill.sqs(), bill.s3_puts(), bill.s3_gets()), (4, 1, 0));
        assert!((bill.s3_dollars() - 5e-6).abs() < 1e-12);
    }
}
