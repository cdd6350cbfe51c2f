//! What Auto Scaling answers when it does not do as asked.

use aws_sdk_autoscaling::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use trawler_core::ports::CapacityError;

pub(super) fn refused(verb: &'static str, what: &str, reason: String) -> CapacityError {
    CapacityError::Refused {
        verb,
        what: what.to_owned(),
        reason,
    }
}

/// `action` is the name of the call, which is that of the permission.
pub(super) fn failure<E, R>(
    verb: &'static str,
    what: &str,
    action: &'static str,
    error: SdkError<E, R>,
) -> CapacityError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let message = error.message().unwrap_or("no message").to_owned();
    match error.code() {
        Some("AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation") => refused(
            verb,
            what,
            format!("allow autoscaling:{action} in the role's policy ({message})"),
        ),
        Some("ValidationError" | "InvalidParameterValue" | "MissingParameter") => {
            refused(verb, what, message)
        }
        // Throttling, contention, activities in progress, no answer.
        _ => CapacityError::Unavailable {
            verb,
            what: what.to_owned(),
            source: DisplayErrorContext(error).to_string().into(),
        },
    }
}

/// The instance is no longer in a group.
pub(super) fn is_unknown_instance<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    says(error, "not found") || says(error, "No managed instance")
}

/// The group does not wait for this instance.
pub(super) fn is_not_awaited<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    says(error, "No active Lifecycle Action")
}

fn says<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, words: &str) -> bool {
    error.code() == Some("ValidationError")
        && error
            .message()
            .is_some_and(|message| message.to_lowercase().contains(&words.to_lowercase()))
}
