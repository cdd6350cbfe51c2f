//! Tells the planner how long this machine took to start.

use std::time::Duration;

use trawler_core::QueueName;
use trawler_core::boots::Boots;
use trawler_core::ports::Start;

use crate::documents::{Created, chain};
use crate::{DocumentError, Ports};

/// To be called when the workers of these queues have begun to poll. Nobody
/// waits for it: a start that is not told is one of many. Cancel-safe: the
/// start is noted, or it is not.
pub async fn tell_start(ports: &Ports, start: &Start, queues: &[QueueName]) {
    // Before a launch there is only a clock that is not set yet.
    let Ok(took) = (ports.clock.now() - start.at).to_std() else {
        return;
    };
    if queues.is_empty() {
        return;
    }
    let machine = &start.machine;
    match note(ports, machine, queues, took).await {
        Ok(true) => tracing::info!(%machine, "machine {machine} works {took:?} after its launch"),
        Ok(false) => {}
        Err(error) => {
            let reason = chain(&error);
            tracing::debug!(%machine, "the start of machine {machine} is not told: {reason}");
        }
    }
}

/// Whether it was noted, and not before.
async fn note(
    ports: &Ports,
    machine: &str,
    queues: &[QueueName],
    took: Duration,
) -> Result<bool, DocumentError> {
    let mut is_new = false;
    let mut note = |boots: &mut Boots| {
        is_new = false;
        for queue in queues {
            is_new |= boots.note(*queue, machine, took);
        }
    };
    let documents = ports.documents();
    if documents.change(Boots::KEY, &mut note).await?.is_none() {
        let mut first = Boots::default();
        note(&mut first);
        let created = documents.create(Boots::KEY, &first).await?;
        if created == Created::Existed {
            documents.change(Boots::KEY, &mut note).await?;
        }
    }
    Ok(is_new)
}
