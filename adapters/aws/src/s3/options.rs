//! How objects are kept.

use aws_sdk_s3::types::StorageClass;
use trawler_core::Environment;

use super::error::S3OpenError;

/// One PUT up to this size; above, parts are uploaded side by side and one of
/// them can be sent again.
const MULTIPART_ABOVE: u64 = 16 * MIB;
const MIB: u64 = 1024 * 1024;

/// A year, the longest that caches keep.
const CACHE_FOR_EVER: &str = "public, max-age=31536000, immutable";

/// S3 takes at most 5 GiB in one PUT and at least 5 MiB in a part that is not
/// the last.
const MULTIPART_ABOVE_MIN: u64 = 5 * MIB;
const MULTIPART_ABOVE_MAX: u64 = 5 * 1024 * MIB;

/// Classes whose objects can be read at once. Archives would turn a read into
/// a restore of hours.
const STORAGE_CLASSES: [&str; 6] = [
    "STANDARD",
    "INTELLIGENT_TIERING",
    "STANDARD_IA",
    "ONEZONE_IA",
    "GLACIER_IR",
    "REDUCED_REDUNDANCY",
];

/// With what key S3 encrypts at rest. Without a choice the bucket's own
/// default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3Encryption {
    /// Keys of S3 (SSE-S3).
    S3,
    /// A key of KMS, by its id, ARN or alias, with the bucket key, which
    /// spares most calls of KMS.
    Kms { key: String },
}

#[derive(Debug, Clone)]
pub struct S3Options {
    /// Of blobs alone: documents are small and read often, and classes for
    /// seldom reads bill at least 128 KB an object.
    pub storage_class: Option<String>,
    /// Of blobs, documents and the catalogue.
    pub encryption: Option<S3Encryption>,
    /// Bytes above which a blob is uploaded in parts, 5 MiB to 5 GiB.
    pub multipart_above: u64,
    /// Cache-Control of blobs that never change.
    pub cache_control: String,
    pub environment: Environment,
}

impl S3Options {
    /// The bucket's own storage class and encryption.
    pub fn new(environment: Environment) -> Self {
        Self {
            storage_class: None,
            encryption: None,
            multipart_above: MULTIPART_ABOVE,
            cache_control: CACHE_FOR_EVER.to_owned(),
            environment,
        }
    }

    pub(super) fn check(&self) -> Result<(), S3OpenError> {
        let invalid = |option, found: String, allowed: String| {
            Err(S3OpenError::InvalidOption {
                option,
                found,
                allowed,
            })
        };
        if let Some(class) = &self.storage_class
            && !STORAGE_CLASSES.contains(&class.as_str())
        {
            let allowed = format!("one of {}", STORAGE_CLASSES.join(", "));
            return invalid("storage class", class.clone(), allowed);
        }
        if let Some(S3Encryption::Kms { key }) = &self.encryption
            && key.trim().is_empty()
        {
            let allowed = "the id, ARN or alias of a key of KMS".to_owned();
            return invalid("encryption key", key.clone(), allowed);
        }
        let visible = |byte: u8| (0x20..0x7f).contains(&byte);
        if self.cache_control.trim().is_empty() || !self.cache_control.bytes().all(visible) {
            let allowed = "printable ASCII characters".to_owned();
            return invalid("cache control", self.cache_control.clone(), allowed);
        }
        let bounds = MULTIPART_ABOVE_MIN..=MULTIPART_ABOVE_MAX;
        if !bounds.contains(&self.multipart_above) {
            let allowed = format!("{MULTIPART_ABOVE_MIN} to {MULTIPART_ABOVE_MAX} bytes");
            return invalid(
                "size for uploads in parts",
                self.multipart_above.to_string(),
                allowed,
            );
        }
        Ok(())
    }

    pub(super) fn storage_class(&self) -> Option<StorageClass> {
        self.storage_class.as_deref().map(StorageClass::from)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn options_out_of_bounds_name_what_is_allowed() {
        let check = |change: fn(&mut S3Options), expected: &str| {
            let mut options = S3Options::new(Environment::parse("p").unwrap());
            options.check().unwrap();
            change(&mut options);
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            |o| o.storage_class = Some("DEEP_ARCHIVE".into()),
            "GLACIER_IR",
        );
        check(|o| o.storage_class = Some("standard".into()), "STANDARD");
        check(|o| o.multipart_above = 5 * MIB - 1, "5242880");
        check(|o| o.multipart_above = u64::MAX, "5368709120");
        check(|o| o.cache_control = "a\nb".into(), "printable");
        let kms = |o: &mut S3Options| o.encryption = Some(S3Encryption::Kms { key: " ".into() });
        check(kms, "KMS");
    }
}
