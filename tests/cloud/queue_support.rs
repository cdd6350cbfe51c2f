//! What the tests of the queue share: names, queues made by hand, and an SQS
//! that answers by a script.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use trawler_aws::{Cloud, SqsOpenError, SqsOptions, SqsQueue};
use trawler_core::ports::{Clock, Lease, Outgoing, Queue, QueueError};
use trawler_core::{Environment, QueueName};
use trawler_local::SystemClock;
use trawler_tests::emulator::{Ministack, REGION};

use crate::wire;

pub(crate) const VISIBILITY: Duration = Duration::from_secs(4);

/// The account of everything in the emulator.
const ACCOUNT: &str = "000000000000";

pub(crate) fn options(queue: &str) -> SqsOptions {
    SqsOptions {
        name: QueueName::Crawl,
        environment: Environment::parse("ours").unwrap(),
        queue: queue.to_owned(),
        visibility: VISIBILITY,
        receive_count_max: 100,
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// The address of this process's emulator.
pub(crate) async fn endpoint() -> String {
    let emulator = tokio::task::spawn_blocking(Ministack::shared);
    emulator.await.unwrap().endpoint()
}

pub(crate) async fn cloud() -> Cloud {
    Cloud::at(&endpoint().await, REGION).await
}

pub(crate) async fn create(options: &SqsOptions) -> SqsQueue {
    let made = SqsQueue::create(&cloud().await, clock(), options.clone()).await;
    made.unwrap()
}

pub(crate) async fn open(options: &SqsOptions) -> Result<SqsQueue, SqsOpenError> {
    SqsQueue::open(&cloud().await, clock(), options.clone()).await
}

/// What a person reads who opens the queue.
pub(crate) async fn open_error(options: &SqsOptions) -> String {
    open(options).await.unwrap_err().to_string()
}

pub(crate) fn url(queue: &str) -> String {
    format!("http://127.0.0.1/{ACCOUNT}/{queue}")
}

pub(crate) fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")
}

/// A call of the emulator's SQS by hand.
pub(crate) async fn call(operation: &str, body: Value) {
    let endpoint = endpoint().await;
    let target = format!("AmazonSQS.{operation}");
    let called = tokio::task::spawn_blocking(move || {
        wire::json(&endpoint, "sqs", &target, &body.to_string());
    });
    called.await.unwrap();
}

pub(crate) async fn set_attribute(queue: &str, name: &str, value: &str) {
    let body = json!({"QueueUrl": url(queue), "Attributes": {name: value}});
    call("SetQueueAttributes", body).await;
}

/// A message as somebody else sends it.
pub(crate) async fn send_by_hand(queue: &str, group: &str, environment: Option<&str>) {
    let mut body = json!({
        "QueueUrl": url(queue),
        "MessageGroupId": group,
        "MessageDeduplicationId": format!("{group}-by-hand"),
        "MessageBody": format!("{group} by hand"),
    });
    if let Some(environment) = environment {
        let attribute = json!({"DataType": "String", "StringValue": environment});
        body["MessageAttributes"] = json!({"trawler-environment": attribute});
    }
    call("SendMessage", body).await;
}

pub(crate) fn message(group: &str) -> Outgoing {
    Outgoing {
        group: group.to_owned(),
        dedup_id: format!("{group}-1"),
        body: format!("{group} one"),
    }
}

pub(crate) async fn send(queue: &SqsQueue, groups: &[&str]) {
    let batch: Vec<Outgoing> = groups.iter().map(|group| message(group)).collect();
    let failed = queue.send(&batch).await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}

pub(crate) async fn take_one(queue: &SqsQueue) -> Lease {
    let mut leases = queue.receive(1, Duration::from_secs(10)).await.unwrap();
    assert_eq!(leases.len(), 1, "a message is visible");
    leases.remove(0)
}

pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, QueueError>) -> String {
    match result {
        Err(QueueError::Refused { reason, .. }) => reason,
        other => panic!("the call is refused: {other:?}"),
    }
}

/// One request to the script.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) operation: String,
    pub(crate) body: Value,
    /// `X-Amz-Date`: when the signature says that it was made.
    pub(crate) signed_at: String,
    /// Requests of this operation before.
    pub(crate) before: usize,
}

pub(crate) struct Answer {
    status: u16,
    body: Value,
    code: Option<String>,
    date: Option<String>,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body,
            code: None,
            date: None,
        }
    }

    pub(crate) fn error(status: u16, code: &str, said: &str) -> Self {
        Self {
            status,
            body: json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": said}),
            code: Some(code.to_owned()),
            date: None,
        }
    }

    /// The `Date` of the answer, otherwise the true one.
    pub(crate) fn dated(self, date: String) -> Self {
        Self {
            date: Some(date),
            ..self
        }
    }
}

/// What a queue as it should be answers, with nothing in it.
pub(crate) fn usual(asked: &Asked) -> Answer {
    let queue = asked.body["QueueName"].as_str().unwrap_or_default();
    Answer::ok(match asked.operation.as_str() {
        "GetQueueUrl" => json!({"QueueUrl": url(queue)}),
        "GetQueueAttributes" => json!({"Attributes": attributes(asked)}),
        "SendMessageBatch" => {
            let entries = asked.body["Entries"].as_array().unwrap();
            let accepted: Vec<Value> = entries
                .iter()
                .map(|entry| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": ""}))
                .collect();
            json!({"Successful": accepted, "Failed": []})
        }
        "SendMessage" => json!({"MessageId": "m"}),
        _ => json!({}),
    })
}

fn attributes(asked: &Asked) -> Value {
    let is_dead = asked.body["QueueUrl"].as_str().unwrap().contains("-dead");
    let mut attributes = json!({
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "VisibilityTimeout": VISIBILITY.as_secs().to_string(),
        "MessageRetentionPeriod": "1209600",
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
    });
    if !is_dead {
        let policy =
            json!({"deadLetterTargetArn": arn("script-dead.fifo"), "maxReceiveCount": 100});
        attributes["RedrivePolicy"] = policy.to_string().into();
    }
    attributes
}

/// A delivery of one message.
pub(crate) fn delivery() -> Answer {
    Answer::ok(json!({"Messages": [{
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "b",
        "Attributes": {
            "MessageGroupId": "g",
            "MessageDeduplicationId": "d",
            "ApproximateReceiveCount": "1",
        },
    }]}))
}

type Answering = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// An SQS that answers what it is told to, on a free port.
pub(crate) struct Script {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
    _serving: JoinSet<()>,
}

impl Script {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::new(answer), Arc::clone(&seen)));
        Self {
            addr,
            seen,
            _serving: serving,
        }
    }

    pub(crate) async fn open(&self) -> Result<SqsQueue, SqsOpenError> {
        let cloud = Cloud::at(&format!("http://{}", self.addr), REGION).await;
        SqsQueue::open(&cloud, clock(), options("script.fifo")).await
    }

    /// The requests of one operation, in order.
    pub(crate) fn seen(&self, operation: &str) -> Vec<Asked> {
        let seen = self.seen.lock().unwrap();
        let of_one = seen.iter().filter(|asked| asked.operation == operation);
        of_one.cloned().collect()
    }
}

async fn serve(listener: TcpListener, answer: Answering, seen: Arc<Mutex<Vec<Asked>>>) {
    let mut connections = JoinSet::new();
    let counts: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (answer, seen, counts) = (Arc::clone(&answer), Arc::clone(&seen), Arc::clone(&counts));
        let service = service_fn(move |request| {
            let (answer, seen, counts) =
                (Arc::clone(&answer), Arc::clone(&seen), Arc::clone(&counts));
            async move {
                let asked = read(request, &counts).await;
                let answer = answer(&asked);
                seen.lock().unwrap().push(asked);
                Ok::<_, Infallible>(write(answer))
            }
        });
        connections.spawn(async move {
            // A client may leave at any time.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn read(request: Request<Incoming>, counts: &Mutex<BTreeMap<String, usize>>) -> Asked {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    let target = header("x-amz-target");
    let signed_at = header("x-amz-date");
    let operation = target.rsplit('.').next().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let before = {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(operation.clone()).or_default();
        *count += 1;
        *count - 1
    };
    Asked {
        operation,
        body: serde_json::from_slice(&body).unwrap(),
        signed_at,
        before,
    }
}

fn write(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder()
        .status(answer.status)
        .header("content-type", "application/x-amz-json-1.0");
    if let Some(code) = answer.code {
        response = response.header("x-amzn-query-error", format!("{code};Sender"));
    }
    if let Some(date) = answer.date {
        response = response.header("date", date);
    }
    let body = Full::new(Bytes::from(answer.body.to_string()));
    response.body(body).unwrap()
}
