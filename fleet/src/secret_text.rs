//! The value of one key of a pipe that may be a reference.

use trawler_core::ports::Secrets;
use trawler_core::secret::{SecretText, SecretValue};
use trawler_core::verdict::Failure;

use crate::chain;

/// The text itself, or what it refers to. `key` is named when that cannot be
/// had.
pub async fn secret_text(
    secrets: &dyn Secrets,
    key: &str,
    text: &SecretText,
) -> Result<SecretValue, Failure> {
    let reference = match text {
        SecretText::Literal(text) => return Ok(SecretValue::new(text.clone())),
        SecretText::Reference(reference) => reference,
    };
    secrets.resolve(reference).await.map_err(|error| {
        let reason = format!("{key}: {}", chain(&error));
        if error.is_transient() {
            Failure::transient(reason)
        } else {
            Failure::permanent(reason)
        }
    })
}
