//! What S3 answers when it does not do what it was asked, told apart by what
//! comes of it: try again, decide anew, or have somebody change something.
//! How an answer is read is in `answer`.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::answer::Answer;
use super::call::{Call, Place};

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
    #[error(
        "{call}: no answer from {endpoint}; check AWS_ENDPOINT_URL, AWS_REGION, network and proxy"
    )]
    NoAnswer {
        call: String,
        /// A URL, or the service in its region.
        endpoint: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{call}: S3 is busy or failed: {answer}")]
    Busy { call: String, answer: String },
    #[error("{call}: S3 asks to slow down: {answer}")]
    Throttled { call: String, answer: String },
    #[error(
        "{call}: S3 finds the time of the request wrong ({answer}); set this machine's clock by NTP"
    )]
    ClockSkew { call: String, answer: String },
    #[error("{call}: the credentials have expired ({answer}); renew them")]
    Expired { call: String, answer: String },
    #[error(
        "{call}: there is no bucket {bucket} for this account in region {region}; create it (`trawler fleet create --bucket`), or correct the location or AWS_REGION"
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
    #[error(
        "{0}: the store tells no ETag of the object, which is its version; use Amazon S3 or a store that does"
    )]
    NoVersion(String),
}

impl Fault {
    /// Whether the same call may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Contended(_)
            | Self::NoAnswer { .. }
            | Self::Busy { .. }
            | Self::Throttled { .. }
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
            | Self::NoVersion(_) => false,
        }
    }

    /// Whether the call may have been carried out all the same. An answer of
    /// 5xx says that something failed, not that nothing was done; one that
    /// asks to slow down says that.
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
        Answer::of_one(code, message).judge(call, shown, place)
    }

    /// An answer of which a text with the status and the body is left.
    pub(super) fn of_text(call: Call, key: &str, place: &Place, text: &str) -> Self {
        let shown = format!("{} s3://{}/{key}", call.name(), place.bucket);
        Answer::of_text(text).judge(call, shown, place)
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
            return silent(shown, place.endpoint.clone(), Box::new(error));
        };
        answer.judge(call, shown, place)
    }
}

/// An error without an answer of the service.
fn silent(call: String, endpoint: String, source: Box<dyn Error + Send + Sync>) -> Fault {
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
    Fault::NoAnswer {
        call,
        endpoint,
        source,
    }
}
