//! What a reference to a secret stands for, on the machine that needs it.

use async_trait::async_trait;

use crate::secret::{SecretRef, SecretValue};

/// A secret that is not to be had. It names the reference, never a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("secret {reference}: {reason}")]
    Missing {
        reference: SecretRef,
        reason: String,
    },
    #[error("secret {reference}: where it is kept did not answer")]
    Unavailable {
        reference: SecretRef,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SecretError {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Missing { .. } => false,
        }
    }
}

/// Asked at use, so that a rotated secret counts from the next use on.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The value. An empty one is `Missing`. Cancel-safe.
    async fn resolve(&self, reference: &SecretRef) -> Result<SecretValue, SecretError>;
}
