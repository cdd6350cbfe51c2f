//! Simulated time: whole milliseconds since the first midnight, so that sums
//! are exact and the order of events does not hang on rounding.

/// An instant, or a span, in milliseconds.
pub(crate) type Ms = u64;

pub(crate) const SECOND: Ms = 1_000;
pub(crate) const MINUTE: Ms = 60 * SECOND;
pub(crate) const HOUR: Ms = 60 * MINUTE;
pub(crate) const DAY: Ms = 24 * HOUR;

/// Seconds as milliseconds, rounded; what is below zero or no number is zero.
pub(crate) fn ms(seconds: f64) -> Ms {
    (seconds.max(0.0) * 1_000.0).round() as Ms
}

/// Milliseconds as seconds.
pub(crate) fn seconds(span: Ms) -> f64 {
    span as f64 / 1_000.0
}
