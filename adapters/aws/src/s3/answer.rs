//! An answer of S3 that is not what was asked for, and what it means.
//!
//! Codes are those of the S3 API reference, "Error responses".

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::call::{Call, Place};
use super::error::Fault;

/// Stands before the status in the errors of `object_store`.
const STATUS: &str = "status code: ";

/// Characters of a message that are shown.
const SHOWN_MAX: usize = 300;

/// Whether a status means the same whatever the body says. A 404 may mean the
/// object or the bucket, a 403 the permission or the clock.
fn tells(status: u16) -> bool {
    matches!(status, 301 | 307 | 308 | 408 | 412 | 416 | 429 | 500..=599)
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    status: u16,
    code: Option<String>,
    message: Option<String>,
    request: Option<String>,
    /// The region of the bucket, where the answer names it.
    region: Option<String>,
}

impl Answer {
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Self> {
        let (raw, meta) = match error {
            SdkError::ServiceError(answered) => (answered.raw(), Some(answered.err().meta())),
            // An answer that cannot be read, such as one that breaks off, is
            // none, unless its status tells enough.
            SdkError::ResponseError(answered) if tells(answered.raw().status().as_u16()) => {
                (answered.raw(), None)
            }
            _ => return None,
        };
        let header = |name: &str| raw.headers().get(name).map(str::to_owned);
        let body = raw.body().bytes().unwrap_or_default();
        let body = String::from_utf8_lossy(body);
        Some(Self {
            status: raw.status().as_u16(),
            code: meta.and_then(|meta| meta.code()).map(str::to_owned),
            message: meta.and_then(|meta| meta.message()).map(str::to_owned),
            request: header("x-amz-request-id").or_else(|| element(&body, "RequestId")),
            region: header("x-amz-bucket-region").or_else(|| element(&body, "Region")),
        })
    }

    /// Of one object in an answer that was well as a whole; the codes are
    /// those of others.
    pub(super) fn of_one(code: &str, message: Option<String>) -> Self {
        Self {
            status: if code == "AccessDenied" { 403 } else { 200 },
            code: Some(code.to_owned()),
            message,
            ..Self::default()
        }
    }

    /// Of a text in which stand the status, as the client of `object_store`
    /// words it, and the body, if there was one. Without a status it is 0.
    pub(super) fn of_text(text: &str) -> Self {
        let status = text.split_once(STATUS).and_then(|(_, rest)| rest.get(..3));
        Self {
            status: status.and_then(|status| status.parse().ok()).unwrap_or(0),
            code: element(text, "Code"),
            message: element(text, "Message"),
            request: element(text, "RequestId"),
            region: element(text, "Region"),
        }
    }

    /// What the answer to a call means; `shown` is the call with its object.
    pub(super) fn judge(self, call: Call, shown: String, place: &Place) -> Fault {
        let answer = self.to_string();
        let bucket = place.bucket.clone();
        let region = place.region.clone();
        let is_head = call == Call::Head;
        match (self.status, self.code.as_deref().unwrap_or_default()) {
            (_, "NoSuchBucket") => Fault::NoBucket {
                call: shown,
                bucket,
                region,
            },
            (301 | 307 | 308, _)
            | (
                _,
                "PermanentRedirect"
                | "TemporaryRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
            ) => match self.region {
                Some(right) if right != region => Fault::WrongRegion {
                    call: shown,
                    bucket,
                    region,
                    right,
                },
                _ => Fault::Refused {
                    call: shown,
                    answer,
                },
            },
            (_, "NoSuchUpload") => Fault::NoUpload(shown),
            (404, "NoSuchKey" | "NotFound") => Fault::NoObject(shown),
            (404, "") if is_head => Fault::NoObject(shown),
            (412, _) => Fault::Unmet(shown),
            (416, _) => Fault::BehindEnd(shown),
            (_, "ConditionalRequestConflict" | "OperationAborted") => Fault::Contended(shown),
            (_, "RequestTimeTooSkewed") => Fault::ClockSkew {
                call: shown,
                answer,
            },
            (
                _,
                "ExpiredToken"
                | "ExpiredTokenException"
                | "TokenRefreshRequired"
                | "RequestExpired",
            ) => Fault::Expired {
                call: shown,
                answer,
            },
            (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "AuthFailure"
                | "UnrecognizedClientException",
            )
            | (401, _) => Fault::BadCredentials {
                call: shown,
                answer,
            },
            (403, _) => Fault::Denied {
                permission: call.permission(place),
                call: shown,
                answer,
            },
            (429, _)
            | (_, "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded") => {
                Fault::Throttled {
                    call: shown,
                    answer,
                }
            }
            (408 | 500..=599, _)
            | (
                _,
                "RequestTimeout"
                | "InternalError"
                | "ServiceUnavailable"
                | "BadDigest"
                | "XAmzContentSHA256Mismatch"
                | "IncompleteBody",
            ) => Fault::Busy {
                call: shown,
                answer,
            },
            _ => Fault::Refused {
                call: shown,
                answer,
            },
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            let shown: String = message.chars().take(SHOWN_MAX).collect();
            write!(f, ": {shown}")?;
        }
        if let Some(request) = &self.request {
            write!(f, ", request {request}")?;
        }
        Ok(())
    }
}

/// Text of the first element of that name. S3 writes none with attributes or
/// entities in it.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_what_comes_of_them() {
        let place = Place {
            bucket: "shops".to_owned(),
            root: "p/state/".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: "S3 in eu-west-1".to_owned(),
        };
        let check = |call: Call, status: u16, code: &str, is_transient: bool, expected: &str| {
            let answer = Answer {
                status,
                code: (!code.is_empty()).then(|| code.to_owned()),
                region: Some("us-east-1".to_owned()),
                ..Answer::default()
            };
            let fault = answer.judge(call, "PutObject s3://shops/p/state/a".to_owned(), &place);
            assert_eq!(fault.is_transient(), is_transient, "{fault:?}");
            let shown = fault.to_string();
            assert!(
                shown.starts_with("PutObject s3://shops/p/state/a: "),
                "{shown}"
            );
            assert!(shown.contains(expected), "{shown}");
        };
        check(
            Call::Put,
            404,
            "NoSuchBucket",
            false,
            "no bucket shops for this account in region eu-west-1; create it (`trawler fleet create --bucket`)",
        );
        check(
            Call::Put,
            301,
            "PermanentRedirect",
            false,
            "AWS_REGION=us-east-1",
        );
        check(Call::Head, 301, "", false, "AWS_REGION=us-east-1");
        check(
            Call::Get,
            400,
            "AuthorizationHeaderMalformed",
            false,
            "AWS_REGION=us-east-1",
        );
        check(
            Call::Put,
            403,
            "AccessDenied",
            false,
            "allow s3:PutObject and s3:GetObject on arn:aws:s3:::shops/p/state/*",
        );
        check(Call::Head, 403, "", false, "allow s3:GetObject on");
        check(
            Call::List,
            403,
            "AccessDenied",
            false,
            "allow s3:ListBucket on arn:aws:s3:::shops",
        );
        check(Call::Delete, 403, "AccessDenied", false, "s3:DeleteObject");
        check(
            Call::Put,
            403,
            "SignatureDoesNotMatch",
            false,
            "credentials are not accepted",
        );
        check(Call::Put, 403, "RequestTimeTooSkewed", true, "clock");
        check(Call::Put, 400, "ExpiredToken", true, "have expired");
        check(
            Call::Put,
            412,
            "PreconditionFailed",
            false,
            "expected state",
        );
        check(
            Call::Put,
            409,
            "ConditionalRequestConflict",
            true,
            "another conditional write",
        );
        check(Call::Put, 503, "SlowDown", true, "slow down: 503 SlowDown");
        check(Call::Put, 429, "", true, "slow down: 429");
        check(Call::Head, 500, "", true, "500");
        check(Call::Get, 404, "NoSuchKey", false, "no such object");
        check(Call::Head, 404, "", false, "no such object");
        check(
            Call::Put,
            400,
            "InvalidRequest",
            false,
            "refused: 400 InvalidRequest",
        );
    }
    /// After an answer that did nothing, a condition that does not hold is
    /// somebody else's doing.
    #[test]
    fn an_answer_that_did_nothing_is_told_from_one_that_may_have() {
        let place = Place {
            bucket: "shops".to_owned(),
            root: String::new(),
            region: "eu-west-1".to_owned(),
            endpoint: "S3 in eu-west-1".to_owned(),
        };
        let check = |status: u16, code: &str, expected: bool| {
            let text = format!(
                "Server returned non-2xx status code: {status} Words: <Error><Code>{code}</Code></Error>"
            );
            let fault = Fault::of_text(Call::Put, "a", &place, &text);
            assert!(fault.is_transient(), "{fault:?}");
            assert_eq!(fault.may_have_happened(), expected, "{fault:?}");
        };
        check(503, "SlowDown", false);
        check(429, "TooManyRequests", false);
        check(403, "RequestTimeTooSkewed", false);
        check(500, "InternalError", true);
        check(503, "ServiceUnavailable", true);
    }
}
