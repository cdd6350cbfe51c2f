//! Word from the instance itself that it goes away.
//!
//! Three paths of the metadata service are asked every two seconds, as the EC2
//! documentation of spot interruptions advises (every five at least). A path
//! without a value answers 404. The poll happens inside `next`: what nobody
//! waits for stays where it is until somebody does.

mod metadata;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use trawler_core::ports::{Clock, Notice, Notices};

pub use metadata::{InstanceMetadata, MetadataError};

/// From the beginning of one look to the beginning of the next.
const POLL_EVERY: Duration = Duration::from_secs(2);

const INSTANCE_ACTION: &str = "/latest/meta-data/spot/instance-action";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
const TARGET_STATE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";

/// Notices of the instance: spot interruption, rebalance recommendation,
/// scale-in. Each kind comes once.
pub struct InstanceNotices {
    metadata: Arc<InstanceMetadata>,
    clock: Arc<dyn Clock>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// When the next look is due, on the monotonic clock.
    due: Duration,
    seen: Vec<Notice>,
    /// Seen and not yet told.
    waiting: VecDeque<Notice>,
    failing: bool,
}

/// The body of `spot/instance-action`.
#[derive(Deserialize)]
struct InstanceAction {
    action: String,
    time: DateTime<Utc>,
}

impl InstanceNotices {
    /// Makes sure that there is a metadata service, which answers who this
    /// instance is.
    ///
    /// # Errors
    /// When there is none: the caller says so once and does without.
    pub async fn listen(
        metadata: Arc<InstanceMetadata>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MetadataError> {
        let instance = metadata.instance_id().await?;
        tracing::info!(%instance, "listening for notices of instance {instance}");
        let heard = Heard {
            due: clock.monotonic(),
            ..Heard::default()
        };
        Ok(Self {
            metadata,
            clock,
            heard: Mutex::new(heard),
        })
    }

    /// Looks at the three paths and keeps what is new.
    async fn look(&self) {
        let asked = self.clock.monotonic();
        let (action, target, rebalance) = futures::join!(
            self.metadata.get(INSTANCE_ACTION),
            self.metadata.get(TARGET_STATE),
            self.metadata.get(REBALANCE),
        );
        // The most urgent first.
        let answers = [
            (Notice::SpotInterruption, action),
            (Notice::ScaleIn, target),
            (Notice::Rebalance, rebalance),
        ];
        let mut heard = self.lock();
        heard.due = asked + POLL_EVERY;
        let mut failure = None;
        for (notice, answer) in answers {
            match answer {
                Ok(Some(body)) if asks_to_leave(notice, &body) => {
                    if !heard.seen.contains(&notice) {
                        self.tell(notice, &body);
                        heard.seen.push(notice);
                        heard.waiting.push_back(notice);
                    }
                }
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        match (failure, heard.failing) {
            (Some(error), false) => {
                tracing::warn!(%error, "no notices of the instance for now: {error}");
                heard.failing = true;
            }
            (None, true) => {
                tracing::info!("the metadata service answers again");
                heard.failing = false;
            }
            (Some(_), true) | (None, false) => {}
        }
    }

    fn tell(&self, notice: Notice, body: &str) {
        if let (Notice::SpotInterruption, Ok(action)) =
            (notice, serde_json::from_str::<InstanceAction>(body))
        {
            let left = (action.time - self.clock.now()).num_seconds().max(0);
            tracing::warn!(
                action = action.action,
                "the instance is taken back ({}) in {left} s",
                action.action
            );
        } else {
            tracing::info!(?notice, "the instance is to leave: {notice:?} {body}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Each statement leaves it whole, also one that panicked.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Notices for InstanceNotices {
    async fn next(&self) -> Notice {
        loop {
            let due = {
                let mut heard = self.lock();
                if let Some(notice) = heard.waiting.pop_front() {
                    return notice;
                }
                heard.due
            };
            self.clock
                .sleep(due.saturating_sub(self.clock.monotonic()))
                .await;
            self.look().await;
        }
    }
}

/// Whether the body at the notice's path asks this worker to leave. That there
/// is an interruption or a recommendation is enough, whatever it says.
fn asks_to_leave(notice: Notice, body: &str) -> bool {
    match notice {
        // An instance on its way into a warm pool is not to work either.
        // Standby and Detached are a person's doing, who decides what runs.
        Notice::ScaleIn => body == "Terminated" || body.starts_with("Warmed:"),
        Notice::SpotInterruption | Notice::Rebalance | Notice::Signal => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_target_states_ask_to_leave() {
        let check = |state: &str, expected: bool| {
            assert_eq!(asks_to_leave(Notice::ScaleIn, state), expected, "{state}");
        };
        check("InService", false);
        check("Terminated", true);
        check("Warmed:Stopped", true);
        check("Warmed:Hibernated", true);
        check("Standby", false);
        check("Detached", false);
        check("", false);
    }
}
