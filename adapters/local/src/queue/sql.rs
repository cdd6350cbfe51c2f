//! The decisions of a queue, each inside one transaction of its caller.
//!
//! A message is hidden while `invisible_until` is in the future: leased when
//! `leased` is set, otherwise released with a delay. A group is locked while
//! any of its messages is hidden; `queue_group.locked_until` repeats the
//! latest of them and is brought up to date by whatever touches the group.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use trawler_core::QueueName;
use trawler_core::ports::{Depth, Lease, Outgoing, VISIBILITY_MAX};

/// How long a deduplication id is remembered, as in SQS: 5 minutes.
const DEDUP_MS: i64 = 5 * 60 * 1000;

/// Deduplication ids past their time that one send clears away at most, so
/// that no send pays for a whole day; above [`trawler_core::ports::BATCH_MAX`],
/// so that they never pile up.
const DEDUP_SWEPT_MAX: i64 = 100;

const VISIBILITY_MAX_MS: i64 = (VISIBILITY_MAX.as_secs() * 1000) as i64;

/// Where the messages of a queue are kept. A backstop dead-letter queue is a
/// queue like the other, under a key of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shelf {
    key: &'static str,
    /// The queue that its messages were sent to; part of their ids.
    origin: QueueName,
}

impl Shelf {
    pub(super) fn of(queue: QueueName) -> Self {
        Self {
            key: queue.as_str(),
            origin: queue,
        }
    }

    pub(super) fn dead_of(queue: QueueName) -> Self {
        Self {
            key: match queue {
                QueueName::Crawl => "crawl-dead",
                QueueName::Image => "image-dead",
            },
            origin: queue,
        }
    }
}

/// One hand-out of one message; written `seq.delivery` as a receipt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    seq: i64,
    number: i64,
}

impl Delivery {
    /// `None` when the receipt was not made here.
    pub(super) fn of(lease: &Lease) -> Option<Self> {
        let (seq, number) = lease.receipt.split_once('.')?;
        Some(Self {
            seq: seq.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    fn receipt(self) -> String {
        format!("{}.{}", self.seq, self.number)
    }
}

/// How settling a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Done,
    Lost,
    /// The lease would outlive the longest visibility.
    TooLong,
}

pub(super) fn send(
    tx: &Transaction<'_>,
    shelf: Shelf,
    batch: &[Outgoing],
    now: i64,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM queue_dedup WHERE (queue, dedup_id) IN
         (SELECT queue, dedup_id FROM queue_dedup WHERE sent_at <= ?1 LIMIT ?2)",
    )?
    .execute(params![now - DEDUP_MS, DEDUP_SWEPT_MAX])?;
    for message in batch {
        let fresh = tx
            .prepare_cached(
                "INSERT INTO queue_dedup (queue, dedup_id, sent_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (queue, dedup_id) DO UPDATE SET sent_at = excluded.sent_at
                 WHERE sent_at <= ?4",
            )?
            .execute(params![shelf.key, message.dedup_id, now, now - DEDUP_MS])?;
        if fresh == 1 {
            insert(tx, shelf, message, now)?;
        }
    }
    Ok(())
}

fn insert(
    tx: &Transaction<'_>,
    shelf: Shelf,
    message: &Outgoing,
    now: i64,
) -> rusqlite::Result<()> {
    let seq: i64 = tx
        .prepare_cached(
            "INSERT INTO queue_message (queue, grp, dedup_id, sent_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5) RETURNING seq",
        )?
        .query_row(
            params![
                shelf.key,
                message.group,
                message.dedup_id,
                now,
                message.body
            ],
            |row| row.get(0),
        )?;
    tx.prepare_cached(
        "INSERT INTO queue_group (queue, grp, head_seq, locked_until) VALUES (?1, ?2, ?3, 0)
         ON CONFLICT (queue, grp) DO NOTHING",
    )?
    .execute(params![shelf.key, message.group, seq])?;
    Ok(())
}

/// Whether a receive would find anything: one look, no write.
pub(super) fn any_visible(
    connection: &Connection,
    shelf: Shelf,
    now: i64,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM queue_group WHERE queue = ?1 AND locked_until <= ?2 LIMIT 1",
        )?
        .exists(params![shelf.key, now])
}

/// What a receive is asked for.
#[derive(Debug, Clone)]
pub(super) struct Receive {
    pub(super) shelf: Shelf,
    /// Where messages go that were delivered so often.
    pub(super) dead: Option<(Shelf, u32)>,
    pub(super) slots: usize,
    pub(super) now: i64,
    pub(super) visibility: i64,
    /// The process that will hold what it gets.
    pub(super) holder: Arc<str>,
}

/// Takes from the free group with the oldest message as many as fit, then from
/// the next, as SQS does.
pub(super) fn receive(tx: &Transaction<'_>, order: &Receive) -> rusqlite::Result<Vec<Lease>> {
    let mut leases = Vec::new();
    while leases.len() < order.slots {
        // A pass either takes a message, or moves at least one to the dead,
        // or finds no group: it ends.
        let Some(group) = free_group(tx, order.shelf, order.now)? else {
            break;
        };
        for message in first_of_group(tx, order.shelf, &group, order.slots - leases.len())? {
            match order.dead {
                Some((dead, max)) if message.receive_count >= max => {
                    let reason = format!("received {} times without an ack", message.receive_count);
                    move_to(tx, dead, message.seq, order.now, &reason)?;
                    refresh_group(tx, dead.key, &group)?;
                }
                Some(_) | None => leases.push(lease(tx, message, order)?),
            }
        }
        refresh_group(tx, order.shelf.key, &group)?;
    }
    Ok(leases)
}

fn free_group(tx: &Transaction<'_>, shelf: Shelf, now: i64) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached(
        "SELECT grp FROM queue_group WHERE queue = ?1 AND locked_until <= ?2
         ORDER BY head_seq LIMIT 1",
    )?
    .query_row(params![shelf.key, now], |row| row.get(0))
    .optional()
}

struct Message {
    seq: i64,
    group: String,
    dedup_id: String,
    body: String,
    receive_count: u32,
    deliveries: i64,
    reason: Option<String>,
}

fn first_of_group(
    tx: &Transaction<'_>,
    shelf: Shelf,
    group: &str,
    most: usize,
) -> rusqlite::Result<Vec<Message>> {
    let read = |row: &Row<'_>| {
        Ok(Message {
            seq: row.get(0)?,
            group: row.get(1)?,
            dedup_id: row.get(2)?,
            body: row.get(3)?,
            receive_count: row.get(4)?,
            deliveries: row.get(5)?,
            reason: row.get(6)?,
        })
    };
    tx.prepare_cached(
        "SELECT seq, grp, dedup_id, body, receive_count, delivery, reason
         FROM queue_message WHERE queue = ?1 AND grp = ?2 ORDER BY seq LIMIT ?3",
    )?
    .query_map(
        params![shelf.key, group, i64::try_from(most).unwrap_or(i64::MAX)],
        read,
    )?
    .collect()
}

fn lease(tx: &Transaction<'_>, message: Message, order: &Receive) -> rusqlite::Result<Lease> {
    let delivery = Delivery {
        seq: message.seq,
        number: message.deliveries + 1,
    };
    let receive_count = message.receive_count.saturating_add(1);
    tx.prepare_cached(
        "UPDATE queue_message SET leased = 1, delivery = ?2, receive_count = ?3,
         received_at = ?4, invisible_until = ?5, holder = ?6 WHERE seq = ?1",
    )?
    .execute(params![
        message.seq,
        delivery.number,
        receive_count,
        order.now,
        order.now + order.visibility,
        order.holder
    ])?;
    Ok(Lease {
        message_id: format!("{}-{}", order.shelf.origin, message.seq),
        group: message.group,
        dedup_id: message.dedup_id,
        body: message.body,
        receive_count,
        receipt: delivery.receipt(),
        buried: message.reason,
    })
}

/// Takes deliveries back that never reached anybody, unless they have ended.
pub(super) fn undo(
    tx: &Transaction<'_>,
    shelf: Shelf,
    deliveries: &[Delivery],
) -> rusqlite::Result<()> {
    for delivery in deliveries {
        let group = tx
            .prepare_cached(
                "UPDATE queue_message SET leased = 0, holder = NULL, invisible_until = 0,
                 receive_count = receive_count - 1
                 WHERE seq = ?1 AND delivery = ?2 AND leased = 1 AND queue = ?3 RETURNING grp",
            )?
            .query_row(params![delivery.seq, delivery.number, shelf.key], |row| {
                row.get::<_, String>(0)
            })
            .optional()?;
        if let Some(group) = group {
            refresh_group(tx, shelf.key, &group)?;
        }
    }
    Ok(())
}

/// The good lease of a delivery: its group and when it was received.
fn held(
    tx: &Transaction<'_>,
    shelf: Shelf,
    delivery: Delivery,
    now: i64,
) -> rusqlite::Result<Option<(String, i64)>> {
    tx.prepare_cached(
        "SELECT grp, received_at FROM queue_message WHERE seq = ?1 AND delivery = ?2
         AND queue = ?3 AND leased = 1 AND invisible_until > ?4",
    )?
    .query_row(
        params![delivery.seq, delivery.number, shelf.key, now],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
    .optional()
}

pub(super) fn extend(
    tx: &Transaction<'_>,
    shelf: Shelf,
    delivery: Delivery,
    now: i64,
    visibility: i64,
) -> rusqlite::Result<Settled> {
    let Some((group, received_at)) = held(tx, shelf, delivery, now)? else {
        return Ok(Settled::Lost);
    };
    if now + visibility > received_at + VISIBILITY_MAX_MS {
        return Ok(Settled::TooLong);
    }
    tx.prepare_cached("UPDATE queue_message SET invisible_until = ?2 WHERE seq = ?1")?
        .execute(params![delivery.seq, now + visibility])?;
    refresh_group(tx, shelf.key, &group)?;
    Ok(Settled::Done)
}

pub(super) fn ack(
    tx: &Transaction<'_>,
    shelf: Shelf,
    delivery: Delivery,
    now: i64,
) -> rusqlite::Result<Settled> {
    let Some((group, _)) = held(tx, shelf, delivery, now)? else {
        return Ok(Settled::Lost);
    };
    tx.prepare_cached("DELETE FROM queue_message WHERE seq = ?1")?
        .execute([delivery.seq])?;
    refresh_group(tx, shelf.key, &group)?;
    Ok(Settled::Done)
}

pub(super) fn release(
    tx: &Transaction<'_>,
    shelf: Shelf,
    delivery: Delivery,
    now: i64,
    after: i64,
) -> rusqlite::Result<Settled> {
    let Some((group, received_at)) = held(tx, shelf, delivery, now)? else {
        return Ok(Settled::Lost);
    };
    if now + after > received_at + VISIBILITY_MAX_MS {
        return Ok(Settled::TooLong);
    }
    // Zero, not now: a message that waits for nothing is in no index of
    // hidden ones.
    let until = if after == 0 { 0 } else { now + after };
    tx.prepare_cached(
        "UPDATE queue_message SET leased = 0, holder = NULL, invisible_until = ?2 WHERE seq = ?1",
    )?
    .execute(params![delivery.seq, until])?;
    refresh_group(tx, shelf.key, &group)?;
    Ok(Settled::Done)
}

pub(super) fn bury(
    tx: &Transaction<'_>,
    shelf: Shelf,
    dead: Shelf,
    delivery: Delivery,
    now: i64,
    reason: &str,
) -> rusqlite::Result<Settled> {
    let Some((group, _)) = held(tx, shelf, delivery, now)? else {
        return Ok(Settled::Lost);
    };
    move_to(tx, dead, delivery.seq, now, reason)?;
    refresh_group(tx, shelf.key, &group)?;
    refresh_group(tx, dead.key, &group)?;
    Ok(Settled::Done)
}

fn move_to(
    tx: &Transaction<'_>,
    dead: Shelf,
    seq: i64,
    now: i64,
    reason: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE queue_message SET queue = ?2, leased = 0, holder = NULL, invisible_until = 0,
         buried_at = ?3, reason = ?4 WHERE seq = ?1",
    )?
    .execute(params![seq, dead.key, now, reason])?;
    Ok(())
}

/// Every process that a lease names.
pub(super) fn holders(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT DISTINCT holder FROM queue_message WHERE holder IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Ends the leases of a holder that has died; says how many. The deliveries
/// stay counted: they were made.
pub(super) fn free(tx: &Transaction<'_>, holder: &str) -> rusqlite::Result<usize> {
    let freed: Vec<(String, String)> = tx
        .prepare_cached(
            "UPDATE queue_message SET leased = 0, holder = NULL, invisible_until = 0
             WHERE holder = ?1 RETURNING queue, grp",
        )?
        .query_map([holder], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (queue, group) in &freed {
        refresh_group(tx, queue, group)?;
    }
    Ok(freed.len())
}

/// Brings the row of a group up to date with its messages.
fn refresh_group(tx: &Transaction<'_>, queue: &str, group: &str) -> rusqlite::Result<()> {
    let head: Option<i64> = tx
        .prepare_cached("SELECT min(seq) FROM queue_message WHERE queue = ?1 AND grp = ?2")?
        .query_row(params![queue, group], |row| row.get(0))?;
    let Some(head) = head else {
        tx.prepare_cached("DELETE FROM queue_group WHERE queue = ?1 AND grp = ?2")?
            .execute(params![queue, group])?;
        return Ok(());
    };
    let locked_until: Option<i64> = tx
        .prepare_cached(
            "SELECT max(invisible_until) FROM queue_message
             WHERE queue = ?1 AND grp = ?2 AND invisible_until > 0",
        )?
        .query_row(params![queue, group], |row| row.get(0))?;
    tx.prepare_cached(
        "INSERT INTO queue_group (queue, grp, head_seq, locked_until) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (queue, grp) DO UPDATE SET
         head_seq = excluded.head_seq, locked_until = excluded.locked_until",
    )?
    .execute(params![queue, group, head, locked_until.unwrap_or(0)])?;
    Ok(())
}

pub(super) fn depth(connection: &Connection, shelf: Shelf, now: i64) -> rusqlite::Result<Depth> {
    // One statement, so that all three figures are of one moment.
    let (total, leased, delayed): (i64, i64, i64) = connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM queue_message WHERE queue = ?1),
                    coalesce(sum(leased = 1), 0), coalesce(sum(leased = 0), 0)
             FROM queue_message WHERE queue = ?1 AND invisible_until > 0 AND invisible_until > ?2",
        )?
        .query_row(params![shelf.key, now], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    Ok(Depth {
        visible: count(total - leased - delayed),
        in_flight: count(leased),
        delayed: count(delayed),
    })
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}
