//! `trawler schedule` as a function of Lambda, against a runtime interface that
//! behaves: a call is in hand until it is answered, once, and the next one waits.

use std::convert::Infallible;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use trawler_aws::{Function, FunctionError};
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::proxy::FaultProxy;
use trawler_tests::until;

/// How a call ended: `response` or `error`, and the body.
type Ended = (String, String, String);

#[derive(Default)]
struct State {
    waiting: Vec<String>,
    in_hand: Option<String>,
    ended: Vec<Ended>,
    start_error: Option<String>,
    /// Of a call, so long may it take.
    time: Duration,
}

/// The interface on a free port of 127.0.0.1; it ends with this value.
struct Runtime {
    address: String,
    state: Arc<Mutex<State>>,
    called: Arc<Notify>,
    _server: JoinSet<()>,
}

impl Runtime {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = State {
            time: Duration::from_secs(60),
            ..State::default()
        };
        let (state, called) = (Arc::new(Mutex::new(state)), Arc::new(Notify::new()));
        let mut server = JoinSet::new();
        let shared = (Arc::clone(&state), Arc::clone(&called));
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| {
                    let (state, called) = shared.clone();
                    async move { Ok::<_, Infallible>(serve(request, &state, &called).await) }
                });
                connections.spawn(async move {
                    // Who goes away is no fault of the interface.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            state,
            called,
            _server: server,
        }
    }

    fn call(&self, id: &str) {
        self.state.lock().unwrap().waiting.push(id.to_owned());
        self.called.notify_one();
    }

    fn give(&self, time: Duration) {
        self.state.lock().unwrap().time = time;
    }

    fn ended(&self) -> Vec<Ended> {
        self.state.lock().unwrap().ended.clone()
    }
}

async fn serve(
    request: Request<Incoming>,
    state: &Mutex<State>,
    called: &Notify,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let path = path
        .strip_prefix("/2018-06-01/runtime/")
        .unwrap_or_default()
        .to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let status = |code: u16| {
        Response::builder()
            .status(code)
            .body(Full::default())
            .unwrap()
    };
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["invocation", "next"] => loop {
            if let Some(answer) = hand_out(&mut state.lock().unwrap()) {
                return answer;
            }
            called.notified().await;
        },
        ["invocation", id, end @ ("response" | "error")] => {
            let mut state = state.lock().unwrap();
            if state.in_hand.as_deref() != Some(id) {
                return status(400);
            }
            state.in_hand = None;
            state
                .ended
                .push(((*id).to_owned(), (*end).to_owned(), body));
            status(202)
        }
        ["init", "error"] => {
            state.lock().unwrap().start_error = Some(body);
            status(202)
        }
        _ => status(404),
    }
}

fn hand_out(state: &mut State) -> Option<Response<Full<Bytes>>> {
    // Whoever asks anew has given up what it had.
    state.in_hand = None;
    let id = (!state.waiting.is_empty()).then(|| state.waiting.remove(0))?;
    state.in_hand = Some(id.clone());
    let deadline = Utc::now() + state.time;
    let answer = Response::builder()
        .header("Lambda-Runtime-Aws-Request-Id", id)
        .header(
            "Lambda-Runtime-Deadline-Ms",
            deadline.timestamp_millis().to_string(),
        )
        .body(Full::new(Bytes::from_static(b"{}")));
    Some(answer.unwrap())
}

#[tokio::test]
async fn a_call_is_answered_once_and_the_next_is_waited_for() {
    let runtime = Runtime::start().await;
    let function = Function::at(&runtime.address);
    runtime.call("one");
    let call = function.next().await.unwrap();
    assert_eq!(call.id(), "one");
    let left = call.left(Utc::now());
    assert!(
        left > Duration::from_secs(30) && left <= Duration::from_secs(60),
        "{left:?}"
    );
    assert_eq!(call.left(DateTime::<Utc>::MAX_UTC), Duration::ZERO);
    function.answer(call, b"{\"a\":1}".to_vec()).await.unwrap();
    let mut next = std::pin::pin!(function.next());
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut next).await;
    assert!(waits.is_err(), "nobody called");
    runtime.call("two");
    let call = next.await.unwrap();
    function
        .fail(call, "Trawler.Test", &"x".repeat(100_000))
        .await
        .unwrap();
    let ended = runtime.ended();
    assert_eq!(
        ended[0],
        (
            "one".to_owned(),
            "response".to_owned(),
            "{\"a\":1}".to_owned()
        )
    );
    let error: serde_json::Value = serde_json::from_str(&ended[1].2).unwrap();
    assert_eq!(
        (ended[1].1.as_str(), &error["errorType"]),
        ("error", &"Trawler.Test".into())
    );
    assert!(error["errorMessage"].as_str().unwrap().len() < 20_000);
}

#[tokio::test]
async fn an_interface_that_refuses_or_is_gone_ends_the_function() {
    let runtime = Runtime::start().await;
    let function = Function::at(&runtime.address);
    runtime.call("one");
    let call = function.next().await.unwrap();
    // Another one has been handed out since.
    runtime.call("two");
    let _second = function.next().await.unwrap();
    let error = function.answer(call, Vec::new()).await.unwrap_err();
    assert!(
        matches!(error, FunctionError::Refused { status: 400, .. }),
        "{error}"
    );
    let error = Function::at("127.0.0.1:1").next().await.unwrap_err();
    assert!(
        matches!(error, FunctionError::Unreachable { .. }),
        "{error}"
    );
}

fn schedule(folder: &std::path::Path, runtime: &Runtime, endpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trawler-under-test"));
    command
        .arg("-C")
        .arg(folder)
        .arg("schedule")
        .env("AWS_LAMBDA_RUNTIME_API", &runtime.address)
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "emulated")
        .env("AWS_SECRET_ACCESS_KEY", "emulated")
        .stdin(Stdio::null());
    command
}

fn configure(folder: &std::path::Path, environment: &str) {
    let text = format!(
        "environment = \"{environment}\"\n\n[queue]\nkind = \"sqs\"\n\n[store]\nlocation = \"s3://function-{environment}\"\n\n[metrics]\ncloudwatch = true\n"
    );
    std::fs::write(folder.join("trawler.toml"), text).unwrap();
}

/// Without published pipes a tick fails its call, says why, and the function goes on:
/// the next call, after the push, is answered with what the tick did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scheduler_as_a_function_ticks_for_each_call() {
    let endpoint = tokio::task::spawn_blocking(|| Ministack::shared().endpoint())
        .await
        .unwrap();
    let runtime = Runtime::start().await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    configure(dir, "ticks");
    let trawler = |args: &[&str]| {
        let mut command = schedule(dir, &runtime, &endpoint);
        let mut plain = Command::new(command.get_program());
        plain.arg("-C").arg(dir).args(args);
        for (name, value) in command.env("AWS_LAMBDA_RUNTIME_API", "").get_envs() {
            plain.env(name, value.unwrap());
        }
        assert!(
            plain.stdout(Stdio::null()).status().unwrap().success(),
            "{args:?}"
        );
    };
    trawler(&["fleet", "create", "--bucket"]);
    // Nothing below is written to, as in a package of Lambda.
    let proxy = FaultProxy::start(&endpoint).await;
    let mut function = schedule(dir, &runtime, &proxy.endpoint()).spawn().unwrap();
    runtime.call("early");
    until("the first call has ended", || runtime.ended().len() == 1).await;
    let (_, how, body) = runtime.ended().remove(0);
    assert_eq!(how, "error", "{body}");
    assert!(
        body.contains("Trawler.Problems") && body.contains("pipes push"),
        "{body}"
    );

    let pipes = dir.join("partner/pipes");
    std::fs::create_dir_all(&pipes).unwrap();
    let pipe = "name = \"a\"\n\n[source]\nkind = \"http\"\nurl = \"https://shop.example.com/a.csv\"\n\n[feed]\nformat = \"csv\"\nmode = \"full\"\n\n[schedule]\ncron = \"15 3 * * *\"\nzone = \"Asia/Seoul\"\n";
    std::fs::write(pipes.join("a.toml"), pipe).unwrap();
    trawler(&["pipes", "push", dir.join("partner").to_str().unwrap()]);
    for (at, (call, runs)) in [("planned", 1), ("again", 0)].into_iter().enumerate() {
        runtime.call(call);
        until("the call has ended", || runtime.ended().len() == at + 2).await;
        let (id, how, body) = runtime.ended().remove(at + 1);
        assert_eq!((id.as_str(), how.as_str()), (call, "response"), "{body}");
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(report["runs_planned"], runs, "{body}");
    }
    assert!(
        !dir.join("trawler-data").exists(),
        "a function writes nothing beside its package"
    );
    // A store that is silent: the call is answered within its time, and the
    // next one goes on.
    proxy.hush();
    runtime.give(Duration::from_secs(6));
    runtime.call("late");
    until("the call has ended", || runtime.ended().len() == 4).await;
    let (_, how, body) = runtime.ended().remove(3);
    assert_eq!(how, "error", "{body}");
    assert!(body.contains("Trawler.Time"), "{body}");
    proxy.mend();
    runtime.give(Duration::from_secs(60));
    runtime.call("after");
    until("the call has ended", || runtime.ended().len() == 5).await;
    let (_, how, body) = runtime.ended().remove(4);
    assert_eq!(how, "response", "{body}");
    function.kill().unwrap();
    function.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_cannot_start_says_why() {
    let endpoint = tokio::task::spawn_blocking(|| Ministack::shared().endpoint())
        .await
        .unwrap();
    let runtime = Runtime::start().await;
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "nobodys");
    let mut function = schedule(folder.path(), &runtime, &endpoint)
        .spawn()
        .unwrap();
    let status = tokio::task::spawn_blocking(move || function.wait().unwrap())
        .await
        .unwrap();
    assert_eq!(status.code(), Some(2));
    let told = runtime.state.lock().unwrap().start_error.clone().unwrap();
    assert!(
        told.contains("Trawler.Start") && told.contains("nobodys"),
        "{told}"
    );
}
