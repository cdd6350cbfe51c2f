//! Which objects were put, and how often with success.
//!
//! A put with a precondition that does not hold is refused and no success, so
//! an object that is put if absent succeeds at most once, however often it is
//! tried and whatever became of the answers. Parts of multipart uploads are not
//! counted, nor effects whose client was gone before the answer.

use std::collections::HashMap;

use hyper::{Method, StatusCode};

use super::faults::{Call, Service};

/// Paths that are kept, each of some hundred bytes; a test has thousands.
const PATHS_MAX: usize = 200_000;

/// Puts that the upstream has answered with success, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Puts {
    by_path: HashMap<String, u32>,
    uncounted: u64,
}

impl Puts {
    /// The paths of which this holds, as the requests had them, and how often
    /// each was put; in order.
    pub fn of(&self, holds: impl Fn(&str) -> bool) -> Vec<(&str, u32)> {
        let found = self.by_path.iter().filter(|(path, _)| holds(path));
        let mut found: Vec<_> = found.map(|(path, times)| (path.as_str(), *times)).collect();
        found.sort_unstable();
        found
    }

    /// Puts of paths that there was no room for.
    pub fn uncounted(&self) -> u64 {
        self.uncounted
    }

    pub(super) fn note(&mut self, call: &Call, status: StatusCode) {
        let is_put = call.service == Service::S3 && call.operation == Method::PUT.as_str();
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        if !is_put || !status.is_success() || query.contains("partNumber=") {
            return;
        }
        if let Some(times) = self.by_path.get_mut(path) {
            *times += 1;
        } else if self.by_path.len() < PATHS_MAX {
            self.by_path.insert(path.to_owned(), 1);
        } else {
            self.uncounted += 1;
        }
    }
}
