//! The messages of one FIFO queue, indexed by group, by who is hidden until
//! when, and by their place among the first that the service looks through.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::sqs::Entry;

#[derive(Debug)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) entry: Arc<Entry>,
    pub(super) sent: Duration,
    pub(super) receives: u32,
    hidden: Option<Hidden>,
}

#[derive(Debug, Clone, Copy)]
struct Hidden {
    until: Duration,
    /// Number of the delivery that may settle it.
    delivery: u64,
    received: Duration,
}

#[derive(Debug, Default)]
struct Group {
    /// In order of sending.
    numbers: BTreeSet<u64>,
    hidden: usize,
}

#[derive(Debug)]
pub(super) struct Shelf {
    messages: HashMap<u64, Message>,
    groups: HashMap<String, Group>,
    /// Oldest message of each group of which nothing is hidden.
    free: BTreeSet<u64>,
    hidden: BTreeSet<(Duration, u64)>,
    /// The first messages, in which the service looks for free groups.
    near: BTreeSet<u64>,
    far: BTreeSet<u64>,
    look_ahead: usize,
}

impl Shelf {
    pub(super) fn new(look_ahead: usize) -> Self {
        Self {
            messages: HashMap::new(),
            groups: HashMap::new(),
            free: BTreeSet::new(),
            hidden: BTreeSet::new(),
            near: BTreeSet::new(),
            far: BTreeSet::new(),
            look_ahead,
        }
    }

    /// Numbers rise with every message.
    pub(super) fn add(&mut self, number: u64, entry: Arc<Entry>, now: Duration) {
        let group = self.groups.entry(entry.group.clone()).or_default();
        if group.numbers.is_empty() {
            self.free.insert(number);
        }
        group.numbers.insert(number);
        if self.near.len() < self.look_ahead {
            self.near.insert(number);
        } else {
            self.far.insert(number);
        }
        let message = Message {
            number,
            entry,
            sent: now,
            receives: 0,
            hidden: None,
        };
        self.messages.insert(number, message);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Message> {
        self.show(number);
        let message = self.messages.remove(&number)?;
        if self.near.remove(&number) {
            self.near.extend(self.far.pop_first());
        } else {
            self.far.remove(&number);
        }
        let group = self.groups.get_mut(&message.entry.group)?;
        self.free.remove(&number);
        group.numbers.remove(&number);
        match group.numbers.first() {
            None => {
                self.groups.remove(&message.entry.group);
            }
            Some(head) if group.hidden == 0 => {
                self.free.insert(*head);
            }
            Some(_) => {}
        }
        Some(message)
    }

    /// Hides a message from now on; its group is locked.
    fn hide(&mut self, number: u64, hidden: Hidden) {
        self.show(number);
        let Some(message) = self.messages.get_mut(&number) else {
            return;
        };
        message.hidden = Some(hidden);
        self.hidden.insert((hidden.until, number));
        if let Some(group) = self.groups.get_mut(&message.entry.group) {
            group.hidden += 1;
            if let Some(head) = group.numbers.first() {
                self.free.remove(head);
            }
        }
    }

    /// Makes a hidden message visible.
    fn show(&mut self, number: u64) {
        let Some(message) = self.messages.get_mut(&number) else {
            return;
        };
        let Some(hidden) = message.hidden.take() else {
            return;
        };
        self.hidden.remove(&(hidden.until, number));
        if let Some(group) = self.groups.get_mut(&message.entry.group) {
            group.hidden -= 1;
            if group.hidden == 0
                && let Some(head) = group.numbers.first()
            {
                self.free.insert(*head);
            }
        }
    }

    /// What was hidden until now or before is visible again.
    pub(super) fn settle_time(&mut self, now: Duration) {
        while let Some((until, number)) = self.hidden.first().copied()
            && until <= now
        {
            self.show(number);
        }
    }

    /// When the next message becomes visible by itself.
    pub(super) fn next_visible(&self) -> Option<Duration> {
        self.hidden.first().map(|(until, _)| *until)
    }

    /// Messages of the oldest free group that the service sees, at most `max`,
    /// in order.
    pub(super) fn oldest_free(&self, max: usize) -> Vec<u64> {
        let Some(head) = self.free.first() else {
            return Vec::new();
        };
        if self.near.last().is_none_or(|last| head > last) {
            return Vec::new();
        }
        let group = &self.messages[head].entry.group;
        let numbers = self.groups[group].numbers.iter();
        numbers.take(max).copied().collect()
    }

    /// Hands a visible message out; gives how often it has been now.
    pub(super) fn deliver(
        &mut self,
        number: u64,
        delivery: u64,
        now: Duration,
        visibility: Duration,
    ) -> Option<&Message> {
        let message = self.messages.get_mut(&number)?;
        message.receives += 1;
        self.hide(
            number,
            Hidden {
                until: now + visibility,
                delivery,
                received: now,
            },
        );
        self.messages.get(&number)
    }

    pub(super) fn receives(&self, number: u64) -> u32 {
        self.messages
            .get(&number)
            .map_or(0, |message| message.receives)
    }

    /// Whether the delivery still holds the message.
    pub(super) fn is_held(&self, number: u64, delivery: u64) -> bool {
        let message = self.messages.get(&number);
        message
            .and_then(|message| message.hidden)
            .is_some_and(|hidden| hidden.delivery == delivery)
    }

    /// When the delivery that holds the message began.
    pub(super) fn received(&self, number: u64) -> Option<Duration> {
        let hidden = self.messages.get(&number)?.hidden?;
        Some(hidden.received)
    }

    pub(super) fn extend(&mut self, number: u64, now: Duration, span: Duration) {
        let Some(hidden) = self.messages.get(&number).and_then(|held| held.hidden) else {
            return;
        };
        if span.is_zero() {
            self.show(number);
        } else {
            let until = now + span;
            self.hide(number, Hidden { until, ..hidden });
        }
    }

    /// Forgets what was sent before `oldest`; numbers rise with the time of
    /// sending.
    pub(super) fn expire(&mut self, oldest: Duration) {
        while let Some(number) = self.near.first().copied()
            && self.messages[&number].sent < oldest
        {
            self.remove(number);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.hidden.len()
    }

    /// Dedup ids of what is there, in order of sending.
    pub(super) fn dedup_ids(&self) -> Vec<String> {
        let numbers = self.near.iter().chain(&self.far);
        numbers
            .map(|number| self.messages[number].entry.dedup_id.clone())
            .collect()
    }
}
