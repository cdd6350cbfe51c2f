//! `trawler fleet`: queues and buckets, for those who set a fleet up without
//! the templates in `infra/`.

use std::sync::Arc;

use serde_json::json;
use trawler_aws::{S3Location, SqsQueue, create_bucket};
use trawler_core::QueueName;
use trawler_core::ports::Clock;
use trawler_local::SystemClock;

use super::roles::check_pipes;
use crate::args::FleetCommand;
use crate::compose::{Aws, Machine, sqs_error};
use crate::config::{Loaded, Place};
use crate::end::{End, Misuse};
use crate::output;

pub(crate) async fn run(
    loaded: &Loaded,
    command: &FleetCommand,
    as_json: bool,
) -> anyhow::Result<End> {
    if !loaded.config.is_fleet() {
        let text = format!(
            "{}: queue.kind is {:?}; a fleet has \"sqs\"",
            loaded.dir.join("trawler.toml").display(),
            loaded.config.queue.kind.as_str()
        );
        return Err(Misuse::new(text).into());
    }
    let mut done = Vec::new();
    if let FleetCommand::Create { bucket } = command {
        create(loaded, *bucket, &mut done).await?;
    }
    // Opening is checking.
    let machine = Machine::open(loaded).await?;
    machine.catalogue().await?;
    let config = &loaded.config;
    for queue in QueueName::ALL {
        let name = config
            .environment
            .as_ref()
            .map(|environment| config.queue.on_sqs(queue, environment));
        done.push(format!(
            "{queue} queue {} can be used",
            name.unwrap_or_default()
        ));
    }
    for place in places(loaded) {
        done.push(format!("{place} can be used"));
    }
    if let FleetCommand::Check = command {
        check_pipes(&machine, loaded).await?;
        done.push("a pipe set is published".to_owned());
    }
    if as_json {
        output::json(&json!({ "done": done }))?;
    } else {
        for line in &done {
            say!("{line}");
        }
        if let FleetCommand::Create { .. } = command {
            say!("\nNext: trawler pipes push DIR, then start the roles: schedule, crawl, images");
        }
    }
    Ok(End::Done)
}

async fn create(loaded: &Loaded, bucket: bool, done: &mut Vec<String>) -> anyhow::Result<()> {
    let config = &loaded.config;
    let aws = Aws::open(config).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    for queue in QueueName::ALL {
        let options = aws.queue_options(&config.queue, queue);
        let name = options.queue.clone();
        let created = SqsQueue::create(aws.cloud(), Arc::clone(&clock), options).await;
        created.map_err(|error| sqs_error(queue, error))?;
        done.push(format!("{queue} queue {name} is there"));
    }
    if bucket {
        let mut buckets: Vec<String> = Vec::new();
        for place in places(loaded) {
            let location = S3Location::parse(&place)?;
            if !buckets.contains(&location.bucket) {
                let finding = create_bucket(aws.cloud(), &location).await?;
                done.push(format!("bucket {} is there", location.bucket));
                done.extend(finding.map(|finding| finding.to_string()));
                buckets.push(location.bucket);
            }
        }
    }
    Ok(())
}

fn places(loaded: &Loaded) -> Vec<String> {
    let store = &loaded.config.store;
    let mut places = Vec::new();
    for place in [store.state(), store.blobs(), store.catalogue()] {
        if let Place::S3(location) = place
            && !places.contains(&location)
        {
            places.push(location);
        }
    }
    places
}
