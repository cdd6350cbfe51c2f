//! The SDK's credentials for the catalogue's object store, kept until shortly
//! before they expire, and to their end where no newer ones can be had.
//!
//! The provider is asked itself and not through the SDK's cache, so what that
//! does about a service of credentials that stalls is done here: kept ones
//! serve on while they are valid, and without any the failure is one that
//! passes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::sdk_config::SharedTimeSource;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cloud::Cloud;

/// Credentials are renewed so long before they expire: longer than a request
/// with all its attempts takes, and an instance has new ones by then.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// How long credentials are kept at most, also those without an end: a profile
/// or a file may change under a worker that runs for weeks.
const KEPT_MAX: Duration = Duration::from_secs(60 * 60);

/// How long old ones serve before new ones are asked for again, so that not
/// every request waits for a provider that hangs.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Waits for a provider that hangs as long as the SDK itself does.
const PROVIDE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct SdkCredentials {
    provider: SharedCredentialsProvider,
    time: SharedTimeSource,
    provide_max: Duration,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    kept: Option<Kept>,
    /// When the last question went without an answer that helps, and why.
    failed: Option<(Instant, String)>,
}

#[derive(Debug)]
struct Kept {
    credential: Arc<AwsCredential>,
    /// When others are asked for.
    until: SystemTime,
    /// When AWS takes these no longer.
    expiry: Option<SystemTime>,
}

/// Not for want of configuration, which the open of the account would have
/// found: the provider had some before, or its service is not there now.
#[derive(Debug, thiserror::Error)]
#[error(
    "no valid credentials can be had now; if that lasts, check what AWS_PROFILE names, or the role and the metadata service of the instance"
)]
struct NoneNow(#[source] Box<dyn std::error::Error + Send + Sync>);

impl SdkCredentials {
    pub(super) fn of(cloud: &Cloud) -> Option<Self> {
        let config = cloud.config();
        Some(Self {
            provider: config.credentials_provider()?,
            time: config.time_source().unwrap_or_default(),
            provide_max: PROVIDE_MAX,
            known: Mutex::default(),
        })
    }

    async fn provide(&self) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
        let provided = self.provider.provide_credentials();
        Ok(tokio::time::timeout(self.provide_max, provided).await??)
    }
}

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let wanted_at = Instant::now();
        // Held while asking: many requests at once ask once.
        let mut known = self.known.lock().await;
        let now = self.time.now();
        if let Some(kept) = &known.kept
            && now < kept.until
        {
            return Ok(Arc::clone(&kept.credential));
        }
        // Nor do they wait for the same failure one after the other.
        if let Some((at, reason)) = &known.failed
            && *at >= wanted_at
        {
            return Err(none_now(reason.clone().into()));
        }
        match (self.provide().await, &mut known.kept) {
            (Ok(provided), kept) => {
                let fresh = Kept::of(&provided, now);
                let credential = Arc::clone(&fresh.credential);
                *kept = Some(fresh);
                Ok(credential)
            }
            (Err(error), Some(old)) if old.is_valid(self.time.now()) => {
                tracing::warn!(%error, "new credentials cannot be had, and the old ones serve on while they are valid: {error}");
                old.until = self.time.now() + ASK_AGAIN_AFTER;
                Ok(Arc::clone(&old.credential))
            }
            (Err(error), _) => {
                known.failed = Some((Instant::now(), error.to_string()));
                Err(none_now(error))
            }
        }
    }
}

fn none_now(source: Box<dyn std::error::Error + Send + Sync>) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: Box::new(NoneNow(source)),
    }
}

impl Kept {
    fn of(provided: &Credentials, now: SystemTime) -> Self {
        let credential = AwsCredential {
            key_id: provided.access_key_id().to_owned(),
            secret_key: provided.secret_access_key().to_owned(),
            token: provided.session_token().map(str::to_owned),
        };
        Self {
            credential: Arc::new(credential),
            until: kept_until(now, provided.expiry()),
            expiry: provided.expiry(),
        }
    }

    fn is_valid(&self, now: SystemTime) -> bool {
        self.expiry.is_none_or(|expiry| now < expiry)
    }
}

fn kept_until(now: SystemTime, expiry: Option<SystemTime>) -> SystemTime {
    let latest = now + KEPT_MAX;
    let renewed = expiry.and_then(|expiry| expiry.checked_sub(RENEW_BEFORE));
    renewed.map_or(latest, |renewed| renewed.min(latest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::{error::CredentialsError, future};

    use super::*;

    const START_S: u64 = 1_795_219_200;
    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[test]
    fn credentials_are_renewed_before_they_expire() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(START_S);
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

    /// A service of credentials: what it does when it is asked, and when its
    /// next ones expire.
    #[derive(Debug)]
    struct Service {
        does: StdMutex<Does>,
        asked: AtomicUsize,
        now: Arc<StdMutex<SystemTime>>,
        valid_for: Option<Duration>,
    }

    #[derive(Debug, Clone, Copy)]
    enum Does {
        Answer,
        Fail,
        Stall,
    }

    #[derive(Debug, Clone)]
    struct Handle(Arc<Service>);

    impl ProvideCredentials for Handle {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let service = &self.0;
            let number = service.asked.fetch_add(1, Ordering::SeqCst) + 1;
            future::ProvideCredentials::new(async move {
                let does = *service.does.lock().unwrap();
                match does {
                    Does::Answer => {
                        let now = *service.now.lock().unwrap();
                        let expiry = service.valid_for.map(|span| now + span);
                        let id = format!("key-{number}");
                        Ok(Credentials::new(id, "secret", None, expiry, "test"))
                    }
                    Does::Fail => Err(CredentialsError::not_loaded("packets are dropped")),
                    Does::Stall => std::future::pending().await,
                }
            })
        }
    }

    #[derive(Debug)]
    struct Time(Arc<StdMutex<SystemTime>>);

    impl aws_types::sdk_config::TimeSource for Time {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    struct World {
        service: Arc<Service>,
        credentials: SdkCredentials,
    }

    impl World {
        fn new(valid_for: Option<Duration>) -> Self {
            let start = SystemTime::UNIX_EPOCH + Duration::from_secs(START_S);
            let now = Arc::new(StdMutex::new(start));
            let service = Arc::new(Service {
                does: StdMutex::new(Does::Answer),
                asked: AtomicUsize::new(0),
                now: Arc::clone(&now),
                valid_for,
            });
            let credentials = SdkCredentials {
                provider: SharedCredentialsProvider::new(Handle(Arc::clone(&service))),
                time: SharedTimeSource::new(Time(now)),
                provide_max: Duration::from_millis(20),
                known: Mutex::default(),
            };
            Self {
                service,
                credentials,
            }
        }

        fn set(&self, does: Does) {
            *self.service.does.lock().unwrap() = does;
        }

        fn pass(&self, span: Duration) {
            *self.service.now.lock().unwrap() += span;
        }

        fn asked(&self) -> usize {
            self.service.asked.load(Ordering::SeqCst)
        }

        async fn key(&self) -> Result<String, object_store::Error> {
            let credential = self.credentials.get_credential().await;
            credential.map(|credential| credential.key_id.clone())
        }
    }

    /// Kept for an hour and valid for six: a service that dropped packets at
    /// that moment had crawl jobs buried.
    #[tokio::test]
    async fn valid_credentials_serve_on_while_no_new_ones_can_be_had() {
        for does in [Does::Fail, Does::Stall] {
            let world = World::new(Some(6 * HOUR));
            assert_eq!(world.key().await.unwrap(), "key-1", "{does:?}");
            world.set(does);
            world.pass(HOUR);
            for _ in 0..3 {
                assert_eq!(world.key().await.unwrap(), "key-1", "{does:?}");
            }
            assert_eq!(world.asked(), 2, "not every request waits: {does:?}");
            world.pass(ASK_AGAIN_AFTER);
            assert_eq!(world.key().await.unwrap(), "key-1", "{does:?}");
            assert_eq!(world.asked(), 3, "{does:?}");
            // Once they have expired there are none, for now.
            world.pass(5 * HOUR);
            let error = world.key().await.unwrap_err();
            let passes = matches!(error, object_store::Error::Generic { .. });
            assert!(passes, "{does:?}: {error:?}");
            assert!(
                error.to_string().contains("no valid credentials"),
                "{error}"
            );
            world.set(Does::Answer);
            assert_eq!(world.key().await.unwrap(), "key-5", "{does:?}");
        }
    }

    #[tokio::test]
    async fn credentials_without_an_end_outlive_their_provider() {
        let world = World::new(None);
        assert_eq!(world.key().await.unwrap(), "key-1");
        world.set(Does::Fail);
        world.pass(100 * HOUR);
        assert_eq!(world.key().await.unwrap(), "key-1");
        world.set(Does::Answer);
        world.pass(ASK_AGAIN_AFTER);
        assert_eq!(world.key().await.unwrap(), "key-3");
    }

    #[tokio::test]
    async fn the_first_question_may_fail_and_be_asked_again() {
        let world = World::new(Some(HOUR));
        world.set(Does::Stall);
        // Together they wait as long as one.
        let all = futures::future::join_all((0..20).map(|_| world.key())).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(world.asked(), 1);
        let error = world.key().await.unwrap_err();
        assert!(
            matches!(error, object_store::Error::Generic { .. }),
            "{error:?}"
        );
        world.set(Does::Answer);
        assert_eq!(world.key().await.unwrap(), "key-3");
    }
}
