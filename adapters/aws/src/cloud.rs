//! The account that a process talks to: credentials, region and endpoints by
//! the SDK's usual chain, and time-outs for every call.
//!
//! `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_S3`, `_SQS`, ... lead elsewhere,
//! as in every program that uses the SDK.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_types::retry::RetryConfig;
use trawler_core::ports::RECEIVE_WAIT_MAX;

/// Until a connection stands.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(3);

/// One attempt of a call that answers at once; a lost packet costs this much.
pub(crate) const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// A call with all its attempts.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(25);

/// One attempt of a long poll: the longest wait and the way back.
pub(crate) const POLL_ATTEMPT_MAX: Duration = Duration::from_secs(RECEIVE_WAIT_MAX.as_secs() + 5);

/// Attempts of one call within the SDK. What lasts longer is retried by those
/// who know what they hold, see `queue::retry`.
const ATTEMPTS: u32 = 3;

/// Why there is no account to talk to.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    #[error(
        "no AWS region is set; set AWS_REGION, or `region` in the profile that AWS_PROFILE names"
    )]
    NoRegion,
    #[error("no AWS credentials were found; {}", advice(profile.as_deref()))]
    NoCredentials {
        /// What AWS_PROFILE names, if it is set.
        profile: Option<String>,
    },
    #[error("ask for AWS credentials; check what AWS_PROFILE names, or the role of the instance")]
    Credentials(#[source] CredentialsError),
}

impl CloudError {
    pub(crate) fn no_credentials() -> Self {
        Self::NoCredentials {
            profile: std::env::var("AWS_PROFILE").ok(),
        }
    }
}

fn advice(profile: Option<&str>) -> String {
    match profile {
        Some(profile) => format!(
            "AWS_PROFILE is {profile:?}: check that this profile exists and has some, or set AWS_ACCESS_KEY_ID, or give the instance a role"
        ),
        None => "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the instance a role".to_owned(),
    }
}

/// Configuration of every client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cloud {
    config: SdkConfig,
}

impl Cloud {
    /// Asks the environment, profiles and, on an instance, its metadata
    /// service. No other service is called yet.
    pub async fn open() -> Result<Self, CloudError> {
        let config = loader().load().await;
        if config.region().is_none() {
            return Err(CloudError::NoRegion);
        }
        let Some(provider) = config.credentials_provider() else {
            return Err(CloudError::no_credentials());
        };
        // Asked for now, so that a machine without any says so by name, and
        // not as the failure of its first call.
        match provider.provide_credentials().await {
            Ok(_) => Ok(Self { config }),
            Err(CredentialsError::CredentialsNotLoaded(_)) => Err(CloudError::no_credentials()),
            Err(error) => Err(CloudError::Credentials(error)),
        }
    }

    /// An emulator or a proxy before one: every service at one address, with
    /// credentials that nobody checks, and nothing from the environment.
    pub async fn at(endpoint: &str, region: &str) -> Self {
        let credentials = Credentials::new("emulated", "emulated", None, None, "emulator");
        let config = loader()
            .endpoint_url(endpoint)
            .region(Region::new(region.to_owned()))
            .credentials_provider(credentials)
            .load()
            .await;
        Self { config }
    }

    pub fn region(&self) -> &str {
        self.config.region().map_or("", |region| region.as_ref())
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }
}

fn loader() -> ConfigLoader {
    // For the catalogue's object store, whose client asks for it. A second
    // call finds the first one's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(ATTEMPT_MAX)
        .operation_timeout(CALL_MAX)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_named_a_profile_is_not_told_to_name_one() {
        let check = |profile: Option<&str>, expected: &str| {
            let profile = profile.map(str::to_owned);
            let told = CloudError::NoCredentials { profile }.to_string();
            assert!(told.contains(expected), "{told}");
        };
        check(None, "found; set AWS_PROFILE or AWS_ACCESS_KEY_ID");
        check(
            Some("nope"),
            "AWS_PROFILE is \"nope\": check that this profile exists",
        );
    }
}
