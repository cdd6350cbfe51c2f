//! What S3 answers when it does not do what it was asked, told apart by what
//! comes of it: try again, decide anew, or have somebody change something.
//!
//! Codes are those of the S3 API reference, "Error responses".

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::call::{Call, Place};

/// Bytes of an answer that are shown.
const SHOWN_MAX: usize = 300;

/// Why a location in S3 cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum S3OpenError {
    #[error("the {option} {found:?} cannot be used; use {allowed}")]
    InvalidOption {
        option: &'static str,
        found: String,
        allowed: String,
    },
    #[error("cannot use {place}")]
    Unusable {
        /// Bucket and key prefix.
        place: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error(
        "{place} cannot be used: the store does not keep to {condition} of a {call}, by which two workers are kept from overwriting each other; use Amazon S3 or a store that supports conditional writes"
    )]
    NoConditionalWrites {
        place: String,
        condition: &'static str,
        call: &'static str,
    },
}

impl S3OpenError {
    /// Whether opening again may succeed without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unusable { source, .. } => source
                .downcast_ref::<Fault>()
                .is_some_and(Fault::is_transient),
            Self::InvalidOption { .. } | Self::NoConditionalWrites { .. } => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}: there is no such object")]
    NoObject(String),
    #[error("{0}: the object is not in the expected state")]
    Unmet(String),
    #[error("{0}: the range begins behind the end")]
    BehindEnd(String),
    #[error("{0}: the upload is not known any longer")]
    NoUpload(String),
    #[error("{0}: another conditional write of the object was under way at every attempt")]
    Contended(String),
    #[error("{call}: no answer came")]
    NoAnswer {
        call: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{call}: S3 is busy or failed: {answer}")]
    Busy { call: String, answer: String },
    #[error(
        "{call}: S3 finds the time of the request wrong ({answer}); set this machine's clock by NTP"
    )]
    ClockSkew { call: String, answer: String },
    #[error("{call}: the credentials have expired ({answer}); renew them")]
    Expired { call: String, answer: String },
    #[error(
        "{call}: there is no bucket {bucket} for this account in region {region}; create it, or correct the location or AWS_REGION"
    )]
    NoBucket {
        call: String,
        bucket: String,
        region: String,
    },
    #[error(
        "{call}: bucket {bucket} is in region {right}, not in {region}; set AWS_REGION={right}"
    )]
    WrongRegion {
        call: String,
        bucket: String,
        region: String,
        right: String,
    },
    #[error("{call}: access denied ({answer}); allow {permission}")]
    Denied {
        call: String,
        answer: String,
        permission: String,
    },
    #[error(
        "{call}: the credentials are not accepted ({answer}); correct AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the instance's role"
    )]
    BadCredentials { call: String, answer: String },
    #[error(
        "{call}: no credentials can be had; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the instance a role"
    )]
    NoCredentials {
        call: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{call}: refused: {answer}")]
    Refused { call: String, answer: String },
    #[error("{0}: the object was not written by this program, or is damaged; restore or remove it")]
    Foreign(String),
}

impl Fault {
    /// Whether the same call may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Contended(_)
            | Self::NoAnswer { .. }
            | Self::Busy { .. }
            | Self::ClockSkew { .. }
            | Self::Expired { .. } => true,
            Self::NoObject(_)
            | Self::Unmet(_)
            | Self::BehindEnd(_)
            | Self::NoUpload(_)
            | Self::NoBucket { .. }
            | Self::WrongRegion { .. }
            | Self::Denied { .. }
            | Self::BadCredentials { .. }
            | Self::NoCredentials { .. }
            | Self::Refused { .. }
            | Self::Foreign(_) => false,
        }
    }

    /// Whether the call may have been carried out all the same. An answer of
    /// 5xx says that something failed, not that nothing was done.
    pub(super) fn may_have_happened(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Busy { .. })
    }

    /// The fault with its causes, for errors that hold a text alone.
    pub(super) fn told(&self) -> String {
        let mut told = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            told.push_str(&format!(": {error}"));
            cause = error.source();
        }
        told
    }

    /// What the answer to a call of many objects says of one of them.
    pub(super) fn of_one(
        call: Call,
        key: &str,
        place: &Place,
        code: &str,
        message: Option<String>,
    ) -> Self {
        let shown = format!("{} s3://{}/{key}", call.name(), place.bucket);
        let answer = Answer {
            // The answer as a whole was well; the codes are those of others.
            status: if code == "AccessDenied" { 403 } else { 200 },
            code: Some(code.to_owned()),
            message,
            ..Answer::default()
        };
        answer.judge(call, shown, place)
    }

    pub(super) fn of<E>(
        call: Call,
        key: &str,
        place: &Place,
        error: SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let shown = format!("{} s3://{}/{key}", call.name(), place.bucket);
        let Some(answer) = Answer::of(&error) else {
            return silent(shown, Box::new(error));
        };
        answer.judge(call, shown, place)
    }
}

/// An error without an answer of the service.
fn silent(call: String, source: Box<dyn Error + Send + Sync>) -> Fault {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*source);
    while let Some(error) = cause {
        if let Some(
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_),
        ) = error.downcast_ref()
        {
            return Fault::NoCredentials { call, source };
        }
        cause = error.source();
    }
    Fault::NoAnswer { call, source }
}

/// Whether a status means the same whatever the body says. A 404 may mean the
/// object or the bucket, a 403 the permission or the clock.
fn tells(status: u16) -> bool {
    matches!(status, 301 | 307 | 308 | 408 | 412 | 416 | 429 | 500..=599)
}

/// What came back.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    code: Option<String>,
    message: Option<String>,
    request: Option<String>,
    /// The region of the bucket, where the answer names it.
    region: Option<String>,
}

impl Answer {
    fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Self> {
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

    fn judge(self, call: Call, shown: String, place: &Place) -> Fault {
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
            (408 | 429 | 500..=599, _)
            | (
                _,
                "SlowDown"
                | "RequestTimeout"
                | "InternalError"
                | "ServiceUnavailable"
                | "Throttling"
                | "ThrottlingException"
                | "RequestLimitExceeded"
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
        check(Call::Put, 404, "NoSuchBucket", false, "no bucket shops");
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
        check(Call::Put, 503, "SlowDown", true, "503 SlowDown");
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
}
