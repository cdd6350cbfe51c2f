//! Which faults there are, how often they come, and what was met.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Method, Uri};
use rand::Rng;
use rand::rngs::SmallRng;

/// Who is asked, as the request tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Sqs,
    S3,
    AutoScaling,
    /// CloudWatch, SSM, STS; and the emulator's own paths.
    Other,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub service: Service,
    /// `SendMessageBatch` of a service with named operations; of S3 the
    /// method.
    pub operation: String,
    /// Path and query.
    pub path: String,
    /// The parameters of a call of Auto Scaling.
    pub form: BTreeMap<String, String>,
    pub body: Bytes,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused before the effect: 503 SlowDown of S3, ThrottlingException of
    /// SQS, Throttling of Auto Scaling, 503 of others.
    Busy,
    /// Refused before the effect, for want of a right.
    Denied,
    /// The connection is reset before the effect.
    Reset,
    /// The effect happens; the connection is reset without an answer.
    Lost,
    /// The effect happens; the body ends before its length. One without a body
    /// is lost.
    Truncated,
    /// Answered, this much later.
    Late(Duration),
}

/// Shares of requests, of which the sum is at most 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    pub busy: f64,
    pub reset: f64,
    pub lost: f64,
    pub truncated: f64,
}

/// What the proxy does until it is told otherwise. The default lets pass.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// Of the draws; the order of requests is that of their arrival.
    pub seed: u64,
    pub sqs: Rates,
    pub s3: Rates,
    /// Every request waits for a random part of this before it is forwarded.
    pub latency_max: Duration,
}

/// Requests by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that came while the cloud could be reached.
    pub requests: u64,
    pub busy: u64,
    pub denied: u64,
    pub reset: u64,
    pub lost: u64,
    pub truncated: u64,
    pub late: u64,
    /// Connections that were reset while the cloud was cut.
    pub cut: u64,
    /// Requests by service and operation.
    pub operations: BTreeMap<(Service, String), u64>,
}

impl Rates {
    /// One request in `n`, each kind of fault as often as the others.
    pub fn one_in(n: u32) -> Self {
        let each = 0.25 / f64::from(n);
        Self {
            busy: each,
            reset: each,
            lost: each,
            truncated: each,
        }
    }
}

impl Faults {
    /// 5 % of what goes to SQS and S3.
    pub fn every_twentieth() -> Self {
        Self {
            sqs: Rates::one_in(20),
            s3: Rates::one_in(20),
            ..Self::default()
        }
    }

    pub(super) fn latency(&self, rng: &mut SmallRng) -> Duration {
        if self.latency_max.is_zero() {
            return Duration::ZERO;
        }
        self.latency_max.mul_f64(rng.random_range(0.0..1.0))
    }

    pub(super) fn draw(&self, service: Service, rng: &mut SmallRng) -> Option<Fault> {
        let rates = match service {
            Service::Sqs => self.sqs,
            Service::S3 => self.s3,
            Service::AutoScaling | Service::Other => return None,
        };
        let mut drawn: f64 = rng.random_range(0.0..1.0);
        let kinds = [
            (rates.busy, Fault::Busy),
            (rates.reset, Fault::Reset),
            (rates.lost, Fault::Lost),
            (rates.truncated, Fault::Truncated),
        ];
        for (rate, fault) in kinds {
            if drawn < rate {
                return Some(fault);
            }
            drawn -= rate;
        }
        None
    }
}

impl Counts {
    /// Requests that met a fault.
    pub fn faults(&self) -> u64 {
        self.busy + self.denied + self.reset + self.lost + self.truncated + self.late
    }

    /// Requests of one service with this operation.
    pub fn asked(&self, service: Service, operation: &str) -> u64 {
        let key = (service, operation.to_owned());
        self.operations.get(&key).copied().unwrap_or(0)
    }

    /// Requests of one service.
    pub fn of(&self, service: Service) -> u64 {
        let operations = self.operations.iter();
        let of_service = operations.filter(|((asked, _), _)| *asked == service);
        of_service.map(|(_, count)| count).sum()
    }

    pub(super) fn note(&mut self, call: &Call, fault: Option<Fault>) {
        self.requests += 1;
        let operation = (call.service, call.operation.clone());
        *self.operations.entry(operation).or_default() += 1;
        match fault {
            None => {}
            Some(Fault::Busy) => self.busy += 1,
            Some(Fault::Denied) => self.denied += 1,
            Some(Fault::Reset) => self.reset += 1,
            Some(Fault::Lost) => self.lost += 1,
            Some(Fault::Truncated) => self.truncated += 1,
            Some(Fault::Late(_)) => self.late += 1,
        }
    }
}

impl Call {
    pub(super) fn of(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Self {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if is_auto_scaling(headers) {
            let form: BTreeMap<String, String> =
                url::form_urlencoded::parse(body).into_owned().collect();
            return Self {
                service: Service::AutoScaling,
                operation: form.get("Action").cloned().unwrap_or_default(),
                path: path.to_owned(),
                form,
                body: body.clone(),
            };
        }
        let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
        let (service, operation) = match target.and_then(|target| target.split_once('.')) {
            Some(("AmazonSQS", operation)) => (Service::Sqs, operation),
            Some((_, operation)) => (Service::Other, operation),
            // The CBOR protocol of CloudWatch names its operation in the path.
            None => match path.rsplit_once("/operation/") {
                Some((service, operation)) if service.starts_with("/service/") => {
                    (Service::Other, operation)
                }
                _ if path.starts_with("/_ministack") => (Service::Other, path),
                _ => (Service::S3, method.as_str()),
            },
        };
        Self {
            service,
            operation: operation.to_owned(),
            path: path.to_owned(),
            form: BTreeMap::new(),
            body: body.clone(),
        }
    }
}

/// The query protocol names the service in the scope of the signature alone.
fn is_auto_scaling(headers: &HeaderMap) -> bool {
    let signature = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    signature.is_some_and(|it| it.contains("/autoscaling/aws4_request"))
}
