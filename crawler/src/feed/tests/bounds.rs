use std::io;

use trawler_core::drain::{STEP_BYTES_MAX, STEP_ROWS_MAX};

use super::*;

/// A feed of any number of rows that is made while it is read.
struct Generated {
    next: u64,
    rows: u64,
    buffer: Vec<u8>,
    start: usize,
}

impl Generated {
    fn new(rows: u64) -> Self {
        Self {
            next: 0,
            rows,
            buffer: sample::naver_ep(0..0, true).into_bytes(),
            start: 0,
        }
    }
}

impl io::Read for Generated {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.buffer.len() {
            let upto = (self.next + 100).min(self.rows);
            self.buffer = sample::naver_ep(self.next..upto, false).into_bytes();
            self.next = upto;
            self.start = 0;
        }
        let bytes = out.len().min(self.buffer.len() - self.start);
        out[..bytes].copy_from_slice(&self.buffer[self.start..self.start + bytes]);
        self.start += bytes;
        Ok(bytes)
    }
}

fn measured(
    input: impl io::Read,
    options: &FeedOptions,
    step: &mut dyn FnMut(Progress) -> Step,
) -> (FeedOutcome, Kept) {
    let mut sink = Kept {
        measure_only: true,
        ..Kept::default()
    };
    let outcome = read_feed(
        input,
        options,
        FeedTakers {
            sink: &mut sink,
            rejected: &mut RejectedRows::counted(),
            normaliser: &mut Normaliser::default(),
            step,
        },
    );
    (outcome.unwrap(), sink)
}

#[test]
fn batches_are_bounded_however_large_the_feed() {
    let (outcome, sink) = measured(Generated::new(30_000), &ep(), &mut |_| Step::Continue);
    assert_eq!(outcome.rows, 30_000);
    assert_eq!(sink.rows_max, 4_096);
    assert!(sink.bytes_max < 24 << 20, "{}", sink.bytes_max);
    let mut small = ep();
    small.limits.batch_bytes = 64 << 10;
    let (outcome, sink) = measured(Generated::new(3_000), &small, &mut |_| Step::Continue);
    assert_eq!(outcome.rows, 3_000);
    assert!(sink.rows_max < 200, "{}", sink.rows_max);
}

#[test]
fn the_caller_is_asked_between_steps_and_can_stop() {
    let mut last = Progress::default();
    let mut check = |progress: Progress| {
        assert!(progress.rows - last.rows <= STEP_ROWS_MAX as u64);
        assert!(progress.bytes_decoded - last.bytes_decoded <= STEP_BYTES_MAX as u64);
        last = progress;
        if progress.rows >= 5_000 {
            Step::Stop
        } else {
            Step::Continue
        }
    };
    let (outcome, _) = measured(Generated::new(100_000), &ep(), &mut check);
    assert_eq!(outcome.incomplete_reason, Some(Incomplete::Stopped));
    assert!((4_999..=6_000).contains(&outcome.rows), "{}", outcome.rows);
}

/// Bytes without a single row count as steps too.
#[test]
fn an_endless_line_is_skipped_in_steps() {
    let mut asked = 0;
    let head = b"id\ttitle\tlink\n1\tA\thttps://s.example/1\n".as_slice();
    let line = io::Read::take(io::repeat(b'x'), 40 << 20);
    let tail = b"\n2\tB\thttps://s.example/2\n".as_slice();
    let input = io::Read::chain(io::Read::chain(head, line), tail);
    let options = FeedOptions {
        max_bad_share: 0.5,
        ..ep()
    };
    let (outcome, _) = measured(input, &options, &mut |_| {
        asked += 1;
        Step::Continue
    });
    assert_eq!((outcome.rows, outcome.rejected), (2, 1));
    assert_eq!(outcome.rejected_by_reason[&Reason::TooLong], 1);
    assert!(asked >= 5, "{asked}");
}

#[test]
fn rows_and_values_are_bounded() {
    let mut options = ep();
    options.limits.row_bytes_max = 2_000;
    options.limits.value_bytes_max = 300;
    options.max_bad_share = 1.0;
    let long = "가".repeat(200);
    let too_long = "x".repeat(5_000);
    let feed = format!(
        "id\ttitle\tlink\tmaker\n1\tA\thttps://s.example/1\t{long}\n\
         2\t{too_long}\thttps://s.example/2\t\n3\tC\thttps://s.example/3\t\n"
    );
    let result = read(feed.as_bytes(), &options).unwrap();
    assert_eq!(result.ids(), ["1", "3"]);
    assert_eq!(result.rows()[0]["maker"], "가".repeat(100));
    assert_eq!(result.outcome.bad_values["maker"].count, 1);
    assert_eq!(result.rejected[0]["line"], 3);
}

#[test]
fn rows_that_never_end_are_errors_in_every_format() {
    let check = |head: &str, format: FeedFormat| {
        let body = io::Read::take(io::repeat(b'x'), 32 << 20);
        let input = io::Read::chain(head.as_bytes(), body);
        let result = read_feed(
            input,
            &options(format),
            FeedTakers {
                sink: &mut Kept::default(),
                rejected: &mut RejectedRows::counted(),
                normaliser: &mut Normaliser::default(),
                step: &mut |_| Step::Continue,
            },
        );
        assert!(
            matches!(result, Err(FeedError::RowTooLong { .. })),
            "{format:?}: {result:?}"
        );
    };
    check("id,title,link\n1,\"", FeedFormat::Csv);
    check("[{\"id\": \"", FeedFormat::Json);
    check("<rss><channel><item><title>", FeedFormat::GoogleXml);
    check("<rss><channel><item", FeedFormat::GoogleXml);
}

#[test]
fn the_report_is_bounded_and_the_count_is_not() {
    let report = Report::default();
    let mut rejected = RejectedRows::new(Box::new(report.clone()), 3);
    let feed = small(&"\tx\t\t\t\n".repeat(20));
    let outcome = read_feed(
        feed.as_bytes(),
        &ep(),
        FeedTakers {
            sink: &mut Kept::default(),
            rejected: &mut rejected,
            normaliser: &mut Normaliser::default(),
            step: &mut |_| Step::Continue,
        },
    );
    assert_eq!(outcome.unwrap().rejected, 20);
    let lines = report.0.lock().unwrap().clone();
    assert_eq!(lines.iter().filter(|b| **b == b'\n').count(), 3);
    assert_eq!(rejected.examples().len(), 10);
}

/// A sink or a report that fails ends the run with its error.
#[test]
fn a_failing_sink_is_an_error() {
    struct Full;
    impl RowSink for Full {
        fn upsert(&mut self, _: RecordBatch) -> Result<(), SinkError> {
            Err("the disk is full".into())
        }
        fn delete(&mut self, _: Vec<Deleted>) -> Result<(), SinkError> {
            Ok(())
        }
    }
    let result = read_feed(
        ep_feed(3).as_bytes(),
        &ep(),
        FeedTakers {
            sink: &mut Full,
            rejected: &mut RejectedRows::counted(),
            normaliser: &mut Normaliser::default(),
            step: &mut |_| Step::Continue,
        },
    );
    assert!(matches!(result, Err(FeedError::Sink(_))), "{result:?}");
}
