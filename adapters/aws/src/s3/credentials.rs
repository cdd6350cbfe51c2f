//! The SDK's credentials for the catalogue's object store, kept until shortly
//! before they expire.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::sdk_config::SharedTimeSource;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

use crate::cloud::Cloud;

/// Credentials are renewed so long before they expire: longer than a request
/// with all its attempts takes, and an instance has new ones by then.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// How long credentials without an end are kept: a profile or a file may
/// change under a worker that runs for weeks.
const KEPT_MAX: Duration = Duration::from_secs(60 * 60);

/// Waits for a provider that hangs as long as the SDK itself does.
const PROVIDE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct SdkCredentials {
    provider: SharedCredentialsProvider,
    time: SharedTimeSource,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    credential: Arc<AwsCredential>,
    until: SystemTime,
}

impl SdkCredentials {
    pub(super) fn of(cloud: &Cloud) -> Option<Self> {
        let config = cloud.config();
        Some(Self {
            provider: config.credentials_provider()?,
            time: config.time_source().unwrap_or_default(),
            kept: Mutex::new(None),
        })
    }
}

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let unauthenticated = |source| object_store::Error::Unauthenticated {
            path: "the credentials of the SDK".to_owned(),
            source,
        };
        // Held while asking: many requests at once ask once.
        let mut kept = self.kept.lock().await;
        let now = self.time.now();
        if let Some(kept) = &*kept
            && now < kept.until
        {
            return Ok(Arc::clone(&kept.credential));
        }
        let provided = tokio::time::timeout(PROVIDE_MAX, self.provider.provide_credentials());
        let provided = provided
            .await
            .map_err(|elapsed| unauthenticated(elapsed.into()))?
            .map_err(|error| unauthenticated(error.into()))?;
        let credential = Arc::new(AwsCredential {
            key_id: provided.access_key_id().to_owned(),
            secret_key: provided.secret_access_key().to_owned(),
            token: provided.session_token().map(str::to_owned),
        });
        let until = kept_until(now, provided.expiry());
        *kept = Some(Kept {
            credential: Arc::clone(&credential),
            until,
        });
        Ok(credential)
    }
}

fn kept_until(now: SystemTime, expiry: Option<SystemTime>) -> SystemTime {
    let latest = now + KEPT_MAX;
    let renewed = expiry.and_then(|expiry| expiry.checked_sub(RENEW_BEFORE));
    renewed.map_or(latest, |renewed| renewed.min(latest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_renewed_before_they_expire() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_219_200);
        let check = |expires_in: Option<u64>, kept_s: i64| {
            let expiry = expires_in.map(|seconds| now + Duration::from_secs(seconds));
            let until = kept_until(now, expiry);
            let kept = match until.duration_since(now) {
                Ok(span) => span.as_secs() as i64,
                Err(before) => -(before.duration().as_secs() as i64),
            };
            assert_eq!(kept, kept_s, "{expires_in:?}");
        };
        check(None, 3_600);
        check(Some(6 * 3_600), 3_600);
        check(Some(900), 600);
        // About to expire: asked for anew every time.
        check(Some(200), -100);
    }
}
