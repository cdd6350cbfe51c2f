//! The metadata service of an EC2 instance (IMDSv2), as strict as the real
//! one: no answer without a token that it gave and that still lives.
//!
//! The real service drops its token answers when too many hops lie between
//! (the limit is on the packet); here a test says so.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// As the real service: six hours.
const TTL_MAX_S: u64 = 21_600;

const INSTANCE_ACTION: &str = "spot/instance-action";
const REBALANCE: &str = "events/recommendations/rebalance";
const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
const TARGET_STATE: &str = "autoscaling/target-lifecycle-state";

/// A metadata service on a free port of 127.0.0.1; it ends with this value.
pub struct Imds {
    endpoint: String,
    instance: Arc<Mutex<Instance>>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Instance {
    /// What lies below `/latest/meta-data/`.
    data: BTreeMap<String, String>,
    /// The identity document, where there is one.
    identity: Option<String>,
    tokens: HashMap<String, Instant>,
    tokens_given: usize,
    requests: usize,
    silent: bool,
    hops_exceeded: bool,
}

/// An answer, or none at all.
enum Answer {
    Say(u16, String, Option<u64>),
    Silence,
}

impl Imds {
    /// An instance that is in service.
    pub async fn start(instance_id: &str, region: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("it is bound");
        let data = [
            ("instance-id", instance_id),
            ("placement/region", region),
            (TARGET_STATE, "InService"),
        ];
        let instance = Arc::new(Mutex::new(Instance {
            data: data.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..Instance::default()
        }));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&instance)));
        Self {
            endpoint: format!("http://{address}"),
            instance,
            _server: server,
        }
    }

    /// The address for `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The spot instance is terminated at this instant.
    pub fn interrupt(&self, at: DateTime<Utc>) {
        let time = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let body = format!(r#"{{"action": "terminate", "time": "{time}"}}"#);
        self.set(INSTANCE_ACTION, &body);
    }

    /// The spot instance is likely to be interrupted.
    pub fn recommend_rebalance(&self, at: DateTime<Utc>) {
        let time = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        self.set(REBALANCE, &format!(r#"{{"noticeTime": "{time}"}}"#));
    }

    /// What the group means this instance to become: `Terminated`, ...
    pub fn target_state(&self, state: &str) {
        self.set(TARGET_STATE, state);
    }

    /// A value below `/latest/meta-data/`.
    pub fn set(&self, path: &str, body: &str) {
        self.lock().data.insert(path.to_owned(), body.to_owned());
    }

    /// The identity document says that the instance was launched then.
    pub fn launched(&self, at: DateTime<Utc>) {
        let time = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        self.identify(&format!(
            r#"{{"accountId": "123456789012", "pendingTime": "{time}", "version": "2017-09-30"}}"#
        ));
    }

    /// The identity document is this.
    pub fn identify(&self, document: &str) {
        self.lock().identity = Some(document.to_owned());
    }

    pub fn remove(&self, path: &str) {
        self.lock().data.remove(path);
    }

    /// Tokens that were given are no longer known.
    pub fn forget_tokens(&self) {
        self.lock().tokens.clear();
    }

    /// Nothing answers any more, or all answer again.
    pub fn be_silent(&self, silent: bool) {
        self.lock().silent = silent;
    }

    /// Token answers do not arrive, as in a container without a higher limit.
    pub fn exceed_hops(&self, exceeded: bool) {
        self.lock().hops_exceeded = exceeded;
    }

    pub fn tokens_given(&self) -> usize {
        self.lock().tokens_given
    }

    pub fn requests(&self) -> usize {
        self.lock().requests
    }

    fn lock(&self) -> MutexGuard<'_, Instance> {
        self.instance.lock().expect("no answer panics")
    }
}

async fn serve(listener: TcpListener, instance: Arc<Mutex<Instance>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let instance = Arc::clone(&instance);
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = instance.lock().expect("no answer panics").answer(&request);
            async move { Ok::<_, Infallible>(respond(answer).await) }
        });
        connections.spawn(async move {
            // A client that goes away is no fault of the service.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Silence => std::future::pending().await,
        Answer::Say(status, body, ttl) => {
            let mut response = Response::builder().status(status);
            if let Some(ttl) = ttl {
                response = response.header(TOKEN_TTL, ttl);
            }
            response
                .body(Full::new(Bytes::from(body)))
                .expect("status and header are valid")
        }
    }
}

impl Instance {
    fn answer(&mut self, request: &Request<Incoming>) -> Answer {
        self.requests += 1;
        if self.silent {
            return Answer::Silence;
        }
        let (path, headers) = (request.uri().path(), request.headers());
        if path == "/latest/api/token" {
            return self.give_token(request.method(), headers);
        }
        let alive = header(headers, TOKEN)
            .and_then(|token| self.tokens.get(token))
            .is_some_and(|end| Instant::now() < *end);
        if !alive {
            return say(401, "Unauthorized");
        }
        if request.method() != Method::GET {
            return say(405, "Method Not Allowed");
        }
        let value = path
            .strip_prefix("/latest/meta-data/")
            .and_then(|path| self.data.get(path));
        let identity = self.identity.as_ref().filter(|_| path == IDENTITY);
        match value.or(identity) {
            Some(body) => say(200, body),
            None => say(404, "Not Found"),
        }
    }

    fn give_token(&mut self, method: &Method, headers: &HeaderMap) -> Answer {
        if method != Method::PUT {
            return say(405, "Method Not Allowed");
        }
        // What came through a proxy is refused.
        if headers.contains_key("x-forwarded-for") {
            return say(403, "Forbidden");
        }
        let ttl = header(headers, TOKEN_TTL).and_then(|text| text.parse().ok());
        let Some(ttl) = ttl.filter(|ttl| (1..=TTL_MAX_S).contains(ttl)) else {
            return say(400, "Bad Request");
        };
        if self.hops_exceeded {
            return Answer::Silence;
        }
        self.tokens_given += 1;
        let token = format!("token-{}", self.tokens_given);
        let end = Instant::now() + Duration::from_secs(ttl);
        self.tokens.insert(token.clone(), end);
        Answer::Say(200, token, Some(ttl))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn say(status: u16, body: &str) -> Answer {
    Answer::Say(status, body.to_owned(), None)
}
