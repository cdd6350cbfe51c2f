//! How much of the image work may be in the queue at once.

use std::collections::HashMap;

use trawler_core::manifest::{HOST_WINDOW, QUEUE_WINDOW};

/// How many unsettled image jobs may be in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Of one image host.
    pub host: usize,
    /// Of all hosts.
    pub queue: usize,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            host: HOST_WINDOW,
            queue: QUEUE_WINDOW,
        }
    }
}

/// Room that is left in the image queue.
#[derive(Debug, Clone)]
pub struct Room {
    windows: Windows,
    hosts: HashMap<String, usize>,
    total: usize,
}

impl Room {
    /// `groups` are those of all unsettled image jobs that have a record.
    pub fn new<'a>(windows: Windows, groups: impl IntoIterator<Item = &'a str>) -> Self {
        let mut room = Self {
            windows,
            hosts: HashMap::new(),
            total: 0,
        };
        for group in groups {
            *room.hosts.entry(host_of(group).to_owned()).or_default() += 1;
            room.total += 1;
        }
        room
    }

    pub fn is_full(&self) -> bool {
        self.total >= self.windows.queue
    }

    /// Whether the host of the group has a place.
    pub(crate) fn has_place(&self, host: &str) -> bool {
        let of_host = self.hosts.get(host).copied().unwrap_or_default();
        !self.is_full() && of_host < self.windows.host
    }

    /// Takes a place for one more job of the group, if there is one.
    pub fn admit(&mut self, group: &str) -> bool {
        let of_host = self.hosts.entry(host_of(group).to_owned()).or_default();
        if self.total >= self.windows.queue || *of_host >= self.windows.host {
            return false;
        }
        *of_host += 1;
        self.total += 1;
        true
    }
}

/// The host of a group: what stands before `#`, see [`ImageJob::group_of`].
pub(crate) fn host_of(group: &str) -> &str {
    group.split_once('#').map_or(group, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_for_every_host_and_for_all() {
        let windows = Windows { host: 2, queue: 4 };
        let mut room = Room::new(windows, ["a#0"]);
        assert!(room.admit("a#1"));
        assert!(!room.admit("a#0"), "the host is full, whichever shard");
        assert!(room.admit("b#0"));
        assert!(room.admit("c#0"));
        assert!(room.is_full());
        assert!(!room.admit("d#0"), "the queue is full");
    }
}
