//! Tells the planner how long this machine took to start.

use std::time::Duration;

use trawler_core::QueueName;
use trawler_core::boots::Boots;
use trawler_core::ports::Start;

use crate::documents::{Created, chain};
use crate::{DocumentError, Ports};

/// To be called when the workers of these queues have begun to poll. Nobody
/// waits for it: a start that is not told is one of many.
pub async fn tell_start(ports: &Ports, start: &Start, queues: &[QueueName]) {
    let took = ports.clock.now() - start.at;
    // A clock that is not set yet.
    let Ok(took) = took.to_std() else { return };
    let told = note(ports, &start.machine, queues, took).await;
    match told {
        Ok(()) => tracing::info!("machine {} works {took:?} after its launch", start.machine),
        Err(error) => {
            let reason = chain(&error);
            tracing::debug!("the start of this machine is not told: {reason}");
        }
    }
}

async fn note(
    ports: &Ports,
    machine: &str,
    queues: &[QueueName],
    took: Duration,
) -> Result<(), DocumentError> {
    let note = |boots: &mut Boots| {
        for queue in queues {
            boots.note(*queue, machine, took);
        }
    };
    let documents = ports.documents();
    if documents.change(Boots::KEY, note).await?.is_some() {
        return Ok(());
    }
    let mut first = Boots::default();
    note(&mut first);
    if documents.create(Boots::KEY, &first).await? == Created::Existed {
        documents.change(Boots::KEY, note).await?;
    }
    Ok(())
}
