//! What a failed call to SQS means.
//!
//! The codes are those of the service's model (the SDK's error types), their
//! older spellings with `AWS.SimpleQueueService.` before them, which the
//! service still sends beside, and those that every AWS service may answer. A
//! call that may pass is told from one that cannot; nothing is guessed from
//! texts but what SQS says in texts alone: an expired receipt and the 12 hours
//! are both `InvalidParameterValue`.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::BatchResultErrorEntry;
use trawler_core::ports::{QueueError, VISIBILITY_MAX};

/// Before the older spellings.
const OLD_PREFIX: &str = "AWS.SimpleQueueService.";

/// Slow down. `OverLimit` is the bound on messages in flight.
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "KMS.ThrottlingException",
    "KmsThrottled",
    "OverLimit",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// The service's own trouble, or credentials that are being renewed.
const PASSING: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "TokenRefreshRequired",
];

/// Signed at a time that is not the service's, as far as a code can tell.
const CLOCK: &[&str] = &[
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "KMS.AccessDeniedException",
    "KmsAccessDenied",
    "UnauthorizedOperation",
];

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The same call may succeed later.
    Passing {
        throttled: bool,
        /// The call may have taken effect although nobody heard of it.
        may_have_happened: bool,
        source: BoxError,
    },
    /// The receipt holds nothing any more.
    Lost,
    /// The message would stay hidden for over 12 h after its receive.
    TooLong,
    Clock {
        said: String,
    },
    Denied {
        said: String,
    },
    NoCredentials {
        source: BoxError,
    },
    MissingQueue,
    /// `CreateQueue`: the queue is there, with other attributes.
    NameTaken,
    RecentlyDeleted,
    BatchTooLong,
    Refused {
        code: String,
        said: String,
    },
}

impl Fault {
    pub(super) fn of<E>(error: SdkError<E>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                let code = context.err().code().unwrap_or_default();
                let said = context.err().message().unwrap_or_default();
                match Self::of_code(code, said) {
                    Some(fault) => fault.with_source(error),
                    None if status >= 500 || matches!(status, 408 | 429) => Self::Passing {
                        throttled: matches!(status, 429 | 503),
                        may_have_happened: status != 429,
                        source: error.into(),
                    },
                    None => Self::Refused {
                        code: named(code, status),
                        said: said.to_owned(),
                    },
                }
            }
            SdkError::DispatchFailure(_) if lacks_credentials(&error) => Self::NoCredentials {
                source: error.into(),
            },
            // A garbled answer, a broken connection, no answer in time.
            SdkError::DispatchFailure(_)
            | SdkError::ResponseError(_)
            | SdkError::TimeoutError(_) => Self::Passing {
                throttled: false,
                may_have_happened: true,
                source: error.into(),
            },
            // Never sent: the call itself or the configuration is not valid.
            _ => Self::Refused {
                code: "the call could not be made".to_owned(),
                said: causes(&error),
            },
        }
    }

    /// One message of a batch.
    pub(super) fn of_entry(entry: &BatchResultErrorEntry) -> Self {
        let said = entry.message().unwrap_or_default();
        let code = entry.code();
        Self::of_code(code, said).unwrap_or_else(|| {
            if entry.sender_fault() {
                Self::Refused {
                    code: code.to_owned(),
                    said: said.to_owned(),
                }
            } else {
                Self::Passing {
                    throttled: false,
                    may_have_happened: true,
                    source: format!("{code}: {said}").into(),
                }
            }
        })
    }

    /// What a code means by itself; `None` for one that is not known here.
    fn of_code(code: &str, said: &str) -> Option<Self> {
        let short = code.strip_prefix(OLD_PREFIX).unwrap_or(code);
        let is = |codes: &[&str]| codes.contains(&short);
        let text = || format!("{short}: {said}");
        Some(match short {
            _ if is(THROTTLED) => Self::Passing {
                throttled: true,
                may_have_happened: false,
                source: text().into(),
            },
            _ if is(PASSING) => Self::Passing {
                throttled: false,
                may_have_happened: true,
                source: text().into(),
            },
            _ if is(CLOCK) => Self::Clock { said: text() },
            _ if is(DENIED) => Self::Denied { said: text() },
            "ReceiptHandleIsInvalid" | "MessageNotInflight" => Self::Lost,
            "InvalidParameterValue" => return of_parameter(said),
            "NonExistentQueue" | "QueueDoesNotExist" => Self::MissingQueue,
            "QueueAlreadyExists" | "QueueNameExists" => Self::NameTaken,
            "QueueDeletedRecently" => Self::RecentlyDeleted,
            "BatchRequestTooLong" => Self::BatchTooLong,
            _ => return None,
        })
    }

    fn with_source<E>(self, error: SdkError<E>) -> Self
    where
        E: Error + Send + Sync + 'static,
    {
        match self {
            Self::Passing {
                throttled,
                may_have_happened,
                ..
            } => Self::Passing {
                throttled,
                may_have_happened,
                source: error.into(),
            },
            other => other,
        }
    }

    /// As the port tells it. `action` is the permission that the call needs.
    pub(super) fn into_queue_error(
        self,
        verb: &'static str,
        action: &str,
        queue: &str,
        message_id: &str,
    ) -> QueueError {
        let refused = |reason: String| QueueError::Refused { verb, reason };
        match self {
            Self::Passing { source, .. } => QueueError::Unavailable { verb, source },
            Self::Lost => QueueError::LeaseLost {
                verb,
                message_id: message_id.to_owned(),
            },
            Self::TooLong => refused(too_long(message_id)),
            Self::Clock { said } => refused(format!("queue {queue}: {}", clock_is_wrong(&said))),
            Self::Denied { said } => refused(denied(action, queue, &said)),
            Self::NoCredentials { source } => refused(format!(
                "queue {queue}: there are no AWS credentials: {}",
                causes(&*source)
            )),
            Self::MissingQueue => refused(format!("queue {queue} does not exist any more")),
            Self::NameTaken | Self::RecentlyDeleted | Self::BatchTooLong => {
                refused(format!("queue {queue}: SQS answers {self:?}"))
            }
            Self::Refused { code, said } => refused(format!("queue {queue}: {code}: {said}")),
        }
    }
}

/// SQS has no code of its own for these two. The texts are those that it has
/// answered for years: "Value ... for parameter ReceiptHandle is invalid.
/// Reason: The receipt handle has expired." (delete; aws-sdk-js issue 1750),
/// "... Reason: Message does not exist or is not available for visibility
/// timeout change.", and "Value ... for parameter VisibilityTimeout is
/// invalid. Reason: Total VisibilityTimeout for the message is beyond the
/// limit [43200 seconds]".
fn of_parameter(said: &str) -> Option<Fault> {
    if said.contains("Total VisibilityTimeout") {
        Some(Fault::TooLong)
    } else if said.contains("parameter ReceiptHandle") || said.contains("receipt handle") {
        Some(Fault::Lost)
    } else {
        None
    }
}

pub(super) fn too_long(message_id: &str) -> String {
    format!(
        "the lease on message {message_id} would end more than {VISIBILITY_MAX:?} after its receive; release it before"
    )
}

pub(super) fn denied(action: &str, queue: &str, said: &str) -> String {
    format!("not allowed: let this process's role {action} on queue {queue} ({said})")
}

pub(super) fn clock_is_wrong(said: &str) -> String {
    format!(
        "AWS refuses the signature, also after correcting its time: set this machine's clock (NTP), and check the secret key ({said})"
    )
}

fn named(code: &str, status: u16) -> String {
    if code.is_empty() {
        format!("status {status}")
    } else {
        code.to_owned()
    }
}

fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        matches!(
            cause.downcast_ref::<CredentialsError>(),
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_)
            )
        )
    })
}

/// An error and everything behind it, in one line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    texts.join(": ")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    // Not `error.source()`, which would be that of the reference.
    std::iter::successors(Some(error), |error| <dyn Error>::source(*error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(fault: Option<Fault>) -> String {
        let Some(fault) = fault else {
            return "unknown".to_owned();
        };
        match fault {
            Fault::Passing {
                throttled: true, ..
            } => "throttled".to_owned(),
            Fault::Passing { .. } => "passing".to_owned(),
            other => {
                let text = format!("{other:?}");
                text.split([' ', '{']).next().unwrap().to_owned()
            }
        }
    }

    #[test]
    fn codes_mean_what_sqs_means() {
        let check = |code: &str, said: &str, expected: &str| {
            assert_eq!(name(Fault::of_code(code, said)), expected, "{code}: {said}");
        };
        check("RequestThrottled", "", "throttled");
        check("KMS.ThrottlingException", "", "throttled");
        check("OverLimit", "", "throttled");
        check("InternalError", "", "passing");
        check("ReceiptHandleIsInvalid", "", "Lost");
        check("AWS.SimpleQueueService.MessageNotInflight", "", "Lost");
        check(
            "InvalidParameterValue",
            "Value AQEB= for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
            "Lost",
        );
        check(
            "InvalidParameterValue",
            "Value AQEB= for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.",
            "Lost",
        );
        check(
            "InvalidParameterValue",
            "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            "TooLong",
        );
        check(
            "InvalidParameterValue",
            "Value x for parameter DelaySeconds is invalid.",
            "unknown",
        );
        check(
            "AWS.SimpleQueueService.NonExistentQueue",
            "",
            "MissingQueue",
        );
        check("QueueDoesNotExist", "", "MissingQueue");
        check("SignatureDoesNotMatch", "", "Clock");
        check("RequestTimeTooSkewed", "", "Clock");
        check("AccessDenied", "", "Denied");
        check("KmsAccessDenied", "", "Denied");
        check(
            "AWS.SimpleQueueService.BatchRequestTooLong",
            "",
            "BatchTooLong",
        );
        check("InvalidMessageContents", "", "unknown");
    }
}
