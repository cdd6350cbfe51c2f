//! Where in S3 an environment lives: a bucket and a prefix.

use std::fmt;

use trawler_core::Environment;
use trawler_core::ports::keys::{KEY_CHARS_MAX, is_key_part};

/// Longest key of S3, in bytes.
const S3_KEY_BYTES_MAX: usize = 1024;

/// Leaves room for environment, folder and the longest key of ours.
const PREFIX_CHARS_MAX: usize = 256;
const _: () = assert!(
    PREFIX_CHARS_MAX + "/".len() + 32 + "/catalogue/".len() + KEY_CHARS_MAX < S3_KEY_BYTES_MAX
);

/// What a location looks like.
const RULE: &str = "s3://bucket or s3://bucket/prefix: the bucket is 3 to 63 lower-case letters, digits, '.' or '-', the prefix at most 256 ASCII letters, digits and -_.@#=+:, in parts separated by '/'";

/// A text that names no place in S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a location in S3 ({reason}); write {RULE}")]
pub struct InvalidLocation {
    pub found: String,
    pub reason: &'static str,
}

/// `s3://bucket/prefix`. The prefix has no slash at either end and may be
/// empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct S3Location {
    pub bucket: String,
    pub prefix: String,
}

impl S3Location {
    pub const RULE: &'static str = RULE;

    pub fn parse(text: &str) -> Result<Self, InvalidLocation> {
        let invalid = |reason| InvalidLocation {
            found: text.to_owned(),
            reason,
        };
        let rest = text
            .strip_prefix("s3://")
            .ok_or_else(|| invalid("it does not start with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bare = prefix.is_empty();
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !is_bucket(bucket) {
            return Err(invalid("the bucket's name is not valid"));
        }
        if prefix.len() > PREFIX_CHARS_MAX {
            return Err(invalid("the prefix is too long"));
        }
        if !is_bare && !prefix.split('/').all(is_key_part) {
            return Err(invalid("the prefix is not valid"));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    /// Key prefix of one folder of one environment, with a slash at its end.
    pub(super) fn root(&self, environment: &Environment, folder: Folder) -> String {
        let folder = folder.name();
        if self.prefix.is_empty() {
            format!("{environment}/{folder}/")
        } else {
            format!("{}/{environment}/{folder}/", self.prefix)
        }
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

/// What lies side by side below an environment. Two environments of one
/// location share no key, so that none can use what is another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    Blobs,
    State,
    Catalogue,
}

impl Folder {
    fn name(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::State => "state",
            Self::Catalogue => "catalogue",
        }
    }
}

fn is_bucket(name: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    let is_end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|b| is_inner(*b))
        && is_end(bytes.first())
        && is_end(bytes.last())
        && !name.contains("..")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn locations_are_bucket_and_prefix() {
        let check = |text: &str, bucket: &str, prefix: &str| {
            let location = S3Location::parse(text).unwrap();
            assert_eq!(
                (&*location.bucket, &*location.prefix),
                (bucket, prefix),
                "{text}"
            );
            assert_eq!(S3Location::parse(&location.to_string()), Ok(location));
        };
        check("s3://shops", "shops", "");
        check("s3://shops/", "shops", "");
        check("s3://shops/a", "shops", "a");
        check("s3://shops.of-eu1/a/b=c/", "shops.of-eu1", "a/b=c");
    }

    #[test]
    fn what_names_no_place_is_refused() {
        let long = format!("s3://shops/{}", "a".repeat(257));
        for text in [
            "",
            "shops",
            "s3:/shops/a",
            "S3://shops",
            "s3://",
            "s3:///a",
            "s3://ab",
            "s3://Shops",
            "s3://a..b",
            "s3://-ab",
            "s3://ab-",
            "s3://shops//",
            "s3://shops//a",
            "s3://shops/a//b",
            "s3://shops/../b",
            "s3://shops/a b",
            "s3://shops/가",
            &long,
        ] {
            let error = S3Location::parse(text).unwrap_err();
            assert_eq!(error.found, text);
            assert!(error.to_string().contains("s3://bucket/prefix"), "{error}");
        }
    }

    #[test]
    fn environments_and_folders_share_no_key() {
        let root = |text: &str, environment: &str, folder| {
            let environment = Environment::parse(environment).unwrap();
            S3Location::parse(text).unwrap().root(&environment, folder)
        };
        assert_eq!(
            root("s3://shops", "staging", Folder::Blobs),
            "staging/blobs/"
        );
        assert_eq!(root("s3://shops/a/b", "p", Folder::State), "a/b/p/state/");
        assert_eq!(
            root("s3://shops/a", "p", Folder::Catalogue),
            "a/p/catalogue/"
        );
    }
}
