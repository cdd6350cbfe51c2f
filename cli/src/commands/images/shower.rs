//! How far a long piece of upkeep is, on standard error: a line that is
//! overwritten on a terminal, now and then a line elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use trawler_upkeep::Step;

use crate::output::{grouped, span};

/// How often something is shown on a terminal, and otherwise.
const SHOW_EVERY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];

pub(super) struct Shower {
    terminal: bool,
    began: Instant,
    shown: Mutex<Option<Instant>>,
}

impl Shower {
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            began: Instant::now(),
            shown: Mutex::new(None),
        }
    }

    pub(super) fn show(&self, step: Step) {
        let every = SHOW_EVERY[usize::from(!self.terminal)];
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.unwrap_or(self.began).elapsed() < every {
            return;
        }
        *shown = Some(Instant::now());
        let total = step.total.map(|total| format!(" of {}", grouped(total)));
        let seconds = i64::try_from(self.began.elapsed().as_secs()).unwrap_or(i64::MAX);
        let line = format!(
            "[{}] {}: {}{}",
            span(chrono::Duration::seconds(seconds)),
            step.what,
            grouped(step.done),
            total.unwrap_or_default()
        );
        if self.terminal {
            eprint!("\r{line:<79}");
        } else {
            eprintln!("{line}");
        }
    }
}

impl Drop for Shower {
    fn drop(&mut self) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if self.terminal && shown.is_some() {
            eprint!("\r{:79}\r", "");
        }
    }
}
