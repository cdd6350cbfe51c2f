//! Where the services are reached, as the environment says: read by a child
//! process, because a process has one environment.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use trawler_aws::{
    Cloud, Parameters, S3Blobs, S3Location, S3State, SqsOptions, SqsQueue, catalogue_store,
};
use trawler_core::ports::{Blobs, Queue, State};
use trawler_core::{Environment, QueueName};
use trawler_local::SystemClock;
use trawler_tests::emulator::REGION;

use crate::s3_support::{BUCKET, emulator, options};
use crate::wire::json;

const PARAMETER: &str = "/trawler/test/endpoints";

/// Names the place in S3 of such a process.
const OPENS: &str = "TRAWLER_TEST_OPENS_EVERYTHING";

/// Opens and uses every service that has an endpoint of its own.
async fn use_everything(prefix: &str) -> Result<(), Box<dyn std::error::Error>> {
    let cloud = Cloud::open().await?;
    let clock = Arc::new(SystemClock::new());
    let at = S3Location::parse(&format!("s3://{BUCKET}/{prefix}"))?;
    let state = S3State::open(&cloud, at.clone(), options()).await?;
    state.create("a", b"1").await?;
    let blobs = S3Blobs::open(&cloud, at.clone(), options()).await?;
    blobs.head("a").await?;
    let store = catalogue_store(&cloud, &at, &options()).await?;
    store.put(&Path::from("a"), PutPayload::from("1")).await?;
    store.get(&Path::from("a")).await?;
    let queue = SqsOptions {
        name: QueueName::Crawl,
        environment: Environment::parse("ours")?,
        queue: "endpoints.fifo".to_owned(),
        visibility: Duration::from_secs(30),
        receive_count_max: 100,
    };
    let queue = SqsQueue::create(&cloud, clock.clone(), queue).await?;
    queue.depth().await?;
    let value = Parameters::new(&cloud, clock).get(PARAMETER).await?;
    assert_eq!(value.reveal(), "v");
    Ok(())
}

/// Not a test: the process of the test below.
#[tokio::test]
async fn child_process_that_uses_everything() {
    if let Ok(prefix) = std::env::var(OPENS) {
        use_everything(&prefix).await.unwrap();
        println!("@everything was used");
    }
}

#[tokio::test]
async fn an_endpoint_of_a_service_comes_before_that_of_all() {
    let endpoint = emulator().await;
    let value = serde_json::json!({ "Name": PARAMETER, "Type": "String", "Value": "v" });
    let value = value.to_string();
    json(&endpoint, "ssm", "AmazonSSM.PutParameter", &value);
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let run = async |prefix: &'static str, variables: Vec<(&'static str, String)>| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "endpoints::child_process_that_uses_everything"])
            .arg("--nocapture")
            .env_clear()
            .env(OPENS, prefix)
            .env("HOME", "/nonexistent")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "emulated")
            .env("AWS_SECRET_ACCESS_KEY", "emulated")
            .envs(variables);
        let ran = tokio::task::spawn_blocking(move || child.output());
        let output = ran.await.unwrap().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let failed = String::from_utf8(output.stderr).unwrap();
        (said.contains("@everything was used"), said + &failed)
    };
    let variables = vec![
        ("AWS_ENDPOINT_URL", nobody.clone()),
        ("AWS_ENDPOINT_URL_S3", endpoint.clone()),
        ("AWS_ENDPOINT_URL_SQS", endpoint.clone()),
        ("AWS_ENDPOINT_URL_SSM", endpoint.clone()),
    ];
    let (used, said) = run("endpoints-of-services", variables).await;
    assert!(used, "{said}");
    // And the other way round: one of them leads nowhere.
    let one_dead = vec![
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ENDPOINT_URL_SSM", nobody),
    ];
    let (used, said) = run("endpoints-one-dead", one_dead).await;
    assert!(!used, "{said}");
    assert!(said.contains(PARAMETER), "{said}");
}
