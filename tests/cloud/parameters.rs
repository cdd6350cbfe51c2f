//! Secrets of the SSM parameter store: against the emulator, and against
//! canned answers for what it does not refuse.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use trawler_aws::{Cloud, ParameterError, Parameters};
use trawler_core::secret::SecretValue;
use trawler_local::SystemClock;
use trawler_tests::emulator::{Ministack, REGION};

use crate::wire::json;

const SECRET: &str = "hunter2 \"quoted\" \u{fc}";

async fn parameters(endpoint: &str) -> Parameters {
    Parameters::new(
        &Cloud::at(endpoint, REGION).await,
        Arc::new(SystemClock::new()),
    )
}

fn put(name: &str, kind: &str) {
    let value = serde_json::json!({ "Name": name, "Type": kind, "Value": SECRET });
    let endpoint = Ministack::shared().endpoint();
    json(
        &endpoint,
        "ssm",
        "AmazonSSM.PutParameter",
        &value.to_string(),
    );
}

#[tokio::test]
async fn a_parameter_is_read_and_decrypted_and_never_printed() {
    put("/trawler/test/plain", "String");
    put("/trawler/test/secure", "SecureString");
    let parameters = parameters(&Ministack::shared().endpoint()).await;
    for name in ["/trawler/test/plain", "/trawler/test/secure"] {
        let value: SecretValue = parameters.get(name).await.unwrap();
        assert_eq!(value.reveal(), SECRET, "{name}");
        assert!(!format!("{value:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_there_is_told_with_its_region() {
    let parameters = parameters(&Ministack::shared().endpoint()).await;
    let error = parameters.get("/trawler/test/nothing").await.unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(
        error.to_string(),
        "SSM parameter /trawler/test/nothing: there is none of this name in eu-west-1; create it there as a SecureString, or correct the reference"
    );
}

/// A service that always says the same, and what it was asked with last.
struct Canned {
    endpoint: String,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
    _server: JoinSet<()>,
}

async fn canned(status: u16, body: &str) -> Canned {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, body) = (Arc::clone(&asked), Bytes::from(body.to_owned()));
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, body) = (Arc::clone(&seen), body.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                seen.lock().unwrap().push(request.headers().clone());
                let response = Response::builder().status(status);
                let response = response.body(Full::new(body.clone())).unwrap();
                async move { Ok::<_, Infallible>(response) }
            });
            connections.spawn(async move {
                let stream = TokioIo::new(stream);
                let _ = http1::Builder::new()
                    .serve_connection(stream, service)
                    .await;
            });
        }
    });
    Canned {
        endpoint,
        asked,
        _server: server,
    }
}

#[tokio::test]
async fn refusals_name_the_permission_and_nothing_tells_a_value() {
    let check = async |status: u16, body: &str, transient: bool, words: &str, asked: usize| {
        let service = canned(status, body).await;
        let error = parameters(&service.endpoint)
            .await
            .get("/a/b")
            .await
            .unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error:?}");
        let told = format!("{error} {error:?}");
        assert!(told.contains("/a/b") && told.contains(words), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(service.asked.lock().unwrap().len(), asked, "{told}");
    };
    let denied = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User: x is not authorized to perform: ssm:GetParameter on resource: y"}"#;
    check(400, denied, false, "allow ssm:GetParameter", 1).await;
    let key = r#"{"__type":"AccessDeniedException","message":"The ciphertext refers to a key you cannot access (kms:Decrypt)"}"#;
    check(400, key, false, "allow kms:Decrypt", 1).await;
    let key = r#"{"__type":"InvalidKeyId","message":"the key is disabled"}"#;
    check(400, key, false, "the key is disabled", 1).await;
    let unknown = r#"{"__type":"ValidationException","message":"bad name"}"#;
    check(400, unknown, false, "ValidationException: bad name", 1).await;
    check(403, "<html>", false, "status 403", 1).await;
    let busy = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
    check(400, busy, true, "ThrottlingException", 3).await;
    let late = r#"{"__type":"InvalidSignatureException","message":"Signature expired: 20261122T010000Z is now earlier than 20261122T025500Z"}"#;
    check(400, late, true, "set this machine's clock", 3).await;
    let renewed = r#"{"__type":"ExpiredTokenException","message":"The security token is expired"}"#;
    check(400, renewed, true, "ExpiredTokenException", 3).await;
    check(503, "", true, "did not answer", 3).await;
    check(
        200,
        r#"{"Parameter":{"Name":"hunter2"}}"#,
        true,
        "no parameter",
        3,
    )
    .await;
    let endless = format!(r#"{{"Parameter":{{"Value":"{}"}}}}"#, "x".repeat(70_000));
    check(200, &endless, true, "more than 65536 bytes", 3).await;
}

#[tokio::test]
async fn requests_are_signed_for_the_service_and_region() {
    let service = canned(200, r#"{"Parameter":{"Value":"v"}}"#).await;
    let value = parameters(&service.endpoint).await.get("/a").await.unwrap();
    assert_eq!(value.reveal(), "v");
    let asked = service.asked.lock().unwrap().remove(0);
    let signed = asked["authorization"].to_str().unwrap();
    assert!(signed.contains("/eu-west-1/ssm/aws4_request"), "{signed}");
    assert!(
        signed.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target"),
        "{signed}"
    );
    assert_eq!(asked["x-amz-target"], "AmazonSSM.GetParameter");
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_told_with_the_endpoint() {
    let parameters = parameters("http://127.0.0.1:9").await;
    let error = parameters.get("/a").await.unwrap_err();
    assert!(
        matches!(error, ParameterError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("http://127.0.0.1:9"), "{error}");
}
