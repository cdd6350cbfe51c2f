//! What callers of a queue must obey, one rule for every adapter: the bounds
//! of SQS FIFO, so that what runs on one machine runs on SQS. The errors are
//! reasons, for people.

use std::time::Duration;

use super::{BATCH_MAX, MESSAGE_BYTES_MAX, Outgoing, RECEIVE_WAIT_MAX, VISIBILITY_MAX};

/// Group and deduplication ids of SQS.
const ID_CHARS_MAX: usize = 128;

/// A reason is for people to read, not a place for a body.
pub const REASON_CHARS_MAX: usize = 1024;

pub fn check_batch(batch: &[Outgoing]) -> Result<(), String> {
    if batch.len() > BATCH_MAX {
        Err(format!(
            "the batch has {} messages and may have {BATCH_MAX}",
            batch.len()
        ))
    } else {
        Ok(())
    }
}

pub fn check_message(message: &Outgoing) -> Result<(), String> {
    check_id("group", &message.group)?;
    check_id("dedup_id", &message.dedup_id)?;
    let bytes = message.body.len();
    if !(1..=MESSAGE_BYTES_MAX).contains(&bytes) {
        return Err(format!(
            "the body has {bytes} bytes and may have 1 to {MESSAGE_BYTES_MAX}"
        ));
    }
    match message.body.chars().find(|c| !is_body_char(*c)) {
        Some(found) => Err(format!(
            "the body has the character {found:?}, which SQS does not carry"
        )),
        None => Ok(()),
    }
}

fn check_id(what: &str, id: &str) -> Result<(), String> {
    let ok = (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    if ok {
        Ok(())
    } else {
        Err(format!(
            "{what} {:?} is not valid: use 1 to {ID_CHARS_MAX} ASCII letters, digits and punctuation",
            id.chars().take(2 * ID_CHARS_MAX).collect::<String>()
        ))
    }
}

/// The characters of XML 1.0, which SQS messages are made of.
fn is_body_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}'))
}

pub fn check_receive(slots: usize, wait: Duration) -> Result<(), String> {
    if !(1..=BATCH_MAX).contains(&slots) {
        Err(format!(
            "{slots} slots are outside the bounds 1 to {BATCH_MAX}"
        ))
    } else if wait > RECEIVE_WAIT_MAX {
        Err(format!("a wait of {wait:?} is above {RECEIVE_WAIT_MAX:?}"))
    } else {
        Ok(())
    }
}

pub fn check_extend(visibility: Duration) -> Result<(), String> {
    if visibility < Duration::from_millis(1) || visibility > VISIBILITY_MAX {
        Err(format!(
            "visibility {visibility:?} is outside the bounds 1 ms to {VISIBILITY_MAX:?}; use release to give a message back"
        ))
    } else {
        Ok(())
    }
}

pub fn check_release(after: Duration) -> Result<(), String> {
    if after > VISIBILITY_MAX {
        Err(format!("a delay of {after:?} is above {VISIBILITY_MAX:?}"))
    } else {
        Ok(())
    }
}

/// A reason as a queue keeps it: short, and of characters that a message may
/// have.
pub fn clip_reason(reason: &str) -> String {
    reason
        .chars()
        .map(|c| if is_body_char(c) { c } else { '\u{FFFD}' })
        .take(REASON_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bodies_are_what_sqs_carries() {
        let check = |body: &str, ok: bool| {
            let message = Outgoing {
                group: "g".to_owned(),
                dedup_id: "d".to_owned(),
                body: body.to_owned(),
            };
            assert_eq!(check_message(&message).is_ok(), ok, "{body:?}");
        };
        check("{\"a\":\"가격\"}\r\n\t", true);
        check("😀", true);
        check("", false);
        check("a\0", false);
        check("a\u{1b}", false);
        check("\u{FFFF}", false);
    }

    #[test]
    fn reasons_are_short_and_can_be_carried() {
        assert_eq!(clip_reason("a\0b"), "a\u{FFFD}b");
        assert_eq!(
            clip_reason(&"é".repeat(2000)).chars().count(),
            REASON_CHARS_MAX
        );
    }
}
