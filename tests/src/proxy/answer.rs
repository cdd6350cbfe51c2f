//! Answers that the proxy makes itself, and bodies that end too early.
//!
//! Errors are worded as AWS words them: of S3 an XML document, of SQS its JSON
//! protocol with the header that older error codes are read from.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Response, StatusCode};

use super::faults::{Call, Service};

/// The body of an answer, whole or broken off.
pub(super) struct Bytewise {
    left: Option<Bytes>,
    then: Then,
}

/// What follows the last byte.
enum Then {
    End,
    /// Lets the bytes leave the process, then breaks.
    Pause,
    Break,
}

impl Bytewise {
    pub(super) fn whole(body: Bytes) -> Self {
        Self {
            left: (!body.is_empty()).then_some(body),
            then: Then::End,
        }
    }

    /// The first half of `body`.
    fn half(body: &Bytes) -> Self {
        Self {
            left: Some(body.slice(..body.len() / 2)),
            then: Then::Pause,
        }
    }
}

impl Body for Bytewise {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.left.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.then {
            Then::End => Poll::Ready(None),
            Then::Pause => {
                self.then = Then::Break;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Then::Break => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none() && matches!(self.then, Then::End)
    }

    fn size_hint(&self) -> SizeHint {
        match self.then {
            Then::End => SizeHint::with_exact(self.left.as_ref().map_or(0, Bytes::len) as u64),
            Then::Pause | Then::Break => SizeHint::default(),
        }
    }
}

/// The service is busy and did nothing.
pub(super) fn busy(call: &Call) -> Response<Bytewise> {
    let (status, kind, body) = match call.service {
        Service::Sqs => (
            StatusCode::BAD_REQUEST,
            "application/x-amz-json-1.0",
            r#"{"__type":"com.amazon.coral.availability#ThrottlingException","message":"Rate exceeded"}"#,
        ),
        Service::S3 => (
            StatusCode::SERVICE_UNAVAILABLE,
            "application/xml",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>\
             <Message>Please reduce your request rate.</Message>\
             <RequestId>FAULTPROXY</RequestId><HostId>fault-proxy</HostId></Error>",
        ),
        Service::AutoScaling => (
            StatusCode::BAD_REQUEST,
            "text/xml",
            "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>\
             <Message>Rate exceeded</Message></Error></ErrorResponse>",
        ),
        Service::Other => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "busy"),
    };
    refusal(call, status, kind, body, "ThrottlingException")
}

/// The caller lacks a right, and nothing was done.
pub(super) fn denied(call: &Call) -> Response<Bytewise> {
    let (status, kind, body) = match call.service {
        Service::Sqs => (
            StatusCode::FORBIDDEN,
            "application/x-amz-json-1.0",
            r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"Access denied"}"#,
        ),
        Service::S3 => (
            StatusCode::FORBIDDEN,
            "application/xml",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
             <Message>Access Denied</Message>\
             <RequestId>FAULTPROXY</RequestId><HostId>fault-proxy</HostId></Error>",
        ),
        Service::AutoScaling => (
            StatusCode::FORBIDDEN,
            "text/xml",
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
             <Message>User is not authorized to perform this</Message></Error></ErrorResponse>",
        ),
        Service::Other => (StatusCode::FORBIDDEN, "text/plain", "denied"),
    };
    refusal(call, status, kind, body, "AccessDeniedException")
}

fn refusal(
    call: &Call,
    status: StatusCode,
    kind: &str,
    body: &'static str,
    code: &str,
) -> Response<Bytewise> {
    // An answer to HEAD has no body, only its length.
    let body = match call.operation.as_str() {
        "HEAD" => Bytes::new(),
        _ => Bytes::from_static(body.as_bytes()),
    };
    let mut answer = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .header("x-amzn-requestid", "FAULTPROXY");
    if call.service == Service::Sqs {
        answer = answer.header("x-amzn-query-error", format!("{code};Sender"));
    }
    answer
        .body(Bytewise::whole(body))
        .expect("its parts are valid")
}

/// The answer, of which half of the body arrives; `None` without a body.
pub(super) fn truncated(answer: Response<Bytes>) -> Option<Response<Bytewise>> {
    let (mut head, body) = answer.into_parts();
    if body.is_empty() {
        return None;
    }
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    Some(Response::from_parts(head, Bytewise::half(&body)))
}
