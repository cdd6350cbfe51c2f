//! The runtime interface of AWS Lambda, for a program that Lambda starts as a
//! custom runtime: ask for the next call, do it, answer.
//!
//! The interface is a plain HTTP service on the function's own machine, at the
//! address in `AWS_LAMBDA_RUNTIME_API` (version 2018-06-01 of "Using the Lambda
//! runtime API for custom runtimes"). Nothing is retried: it does not pass over
//! a network, and a process that loses it is started anew. Events are not
//! looked at; whoever calls the function decides what a call is.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::json;

/// Set by Lambda alone.
const ADDRESS: &str = "AWS_LAMBDA_RUNTIME_API";

const VERSION: &str = "2018-06-01";

/// An answer is taken in milliseconds. The wait for the next call has no bound:
/// the platform freezes the process meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Events that are not read are not kept either; asynchronous ones have at most
/// this.
const EVENT_BYTES_MAX: u64 = 1024 * 1024;

/// What a call may be answered with at most is 6 MB; ours are a few hundred
/// bytes.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

const ID: &str = "Lambda-Runtime-Aws-Request-Id";
const DEADLINE: &str = "Lambda-Runtime-Deadline-Ms";

/// Why the interface cannot be used any more. The process should end.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    #[error("{verb} at the Lambda runtime interface {endpoint}: nobody answers")]
    Unreachable {
        verb: &'static str,
        endpoint: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{verb} at the Lambda runtime interface {endpoint}: refused with status {status}")]
    Refused {
        verb: &'static str,
        endpoint: String,
        status: u16,
    },
    #[error("the Lambda runtime interface {endpoint} hands out a call without {header}")]
    NoHeader {
        endpoint: String,
        header: &'static str,
    },
}

/// One call of the function. To be answered once, or failed.
#[derive(Debug)]
pub struct FunctionCall {
    id: String,
    /// When Lambda ends the process, in milliseconds since 1970.
    deadline_ms: i64,
}

impl FunctionCall {
    /// What is left of its time at `now`, zero when none is.
    pub fn left(&self, now: chrono::DateTime<chrono::Utc>) -> Duration {
        let left = self.deadline_ms.saturating_sub(now.timestamp_millis());
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The function that this process is.
pub struct Function {
    http: Client,
    endpoint: String,
}

impl Function {
    /// `None` where Lambda did not start this process.
    pub fn from_environment() -> Option<Self> {
        let address = std::env::var(ADDRESS).ok()?;
        (!address.is_empty()).then(|| Self::at(&address))
    }

    /// With the interface at `host:port`.
    pub fn at(address: &str) -> Self {
        // The client asks for it although it never speaks TLS here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS settings can be built");
        Self {
            http,
            endpoint: format!("http://{address}"),
        }
    }

    /// Waits for the next call.
    pub async fn next(&self) -> Result<FunctionCall, FunctionError> {
        const VERB: &str = "ask for the next call";
        let url = self.url("invocation/next");
        let answer = self.sent(VERB, self.http.get(url)).await?;
        let header = |header: &'static str| {
            let value = answer.headers().get(header)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let missing = |header| FunctionError::NoHeader {
            endpoint: self.endpoint.clone(),
            header,
        };
        let id = header(ID).ok_or_else(|| missing(ID))?;
        let deadline_ms = header(DEADLINE).and_then(|text| text.parse().ok());
        let call = FunctionCall {
            id,
            deadline_ms: deadline_ms.ok_or_else(|| missing(DEADLINE))?,
        };
        // Read, so that the connection serves again; a larger one is let go.
        if answer
            .content_length()
            .is_some_and(|n| n <= EVENT_BYTES_MAX)
        {
            let _ = answer.bytes().await;
        }
        Ok(call)
    }

    /// The call is done.
    pub async fn answer(&self, call: FunctionCall, body: Vec<u8>) -> Result<(), FunctionError> {
        let url = self.url(&format!("invocation/{}/response", call.id));
        let request = self.http.post(url).timeout(ANSWER_MAX).body(body);
        self.sent("answer a call", request).await.map(drop)
    }

    /// The call came to nothing, and Lambda counts an error.
    pub async fn fail(
        &self,
        call: FunctionCall,
        kind: &str,
        message: &str,
    ) -> Result<(), FunctionError> {
        let path = format!("invocation/{}/error", call.id);
        self.tell(&path, kind, message).await
    }

    /// The function cannot be started. The process should end afterwards.
    pub async fn fail_start(&self, kind: &str, message: &str) -> Result<(), FunctionError> {
        self.tell("init/error", kind, message).await
    }

    async fn tell(&self, path: &str, kind: &str, message: &str) -> Result<(), FunctionError> {
        let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
        let body = json!({ "errorType": kind, "errorMessage": &message[..end] });
        let request = self
            .http
            .post(self.url(path))
            .timeout(ANSWER_MAX)
            .header("Lambda-Runtime-Function-Error-Type", kind)
            .body(body.to_string());
        self.sent("tell of a failure", request).await.map(drop)
    }

    async fn sent(
        &self,
        verb: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<Response, FunctionError> {
        let endpoint = || self.endpoint.clone();
        let answer = request
            .send()
            .await
            .map_err(|source| FunctionError::Unreachable {
                verb,
                endpoint: endpoint(),
                source,
            })?;
        match answer.status() {
            StatusCode::OK | StatusCode::ACCEPTED => Ok(answer),
            status => Err(FunctionError::Refused {
                verb,
                endpoint: endpoint(),
                status: status.as_u16(),
            }),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{VERSION}/runtime/{path}", self.endpoint)
    }
}
