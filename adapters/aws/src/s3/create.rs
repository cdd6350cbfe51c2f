//! Makes the bucket of a location, for those who set a fleet up without the
//! templates. What an own bucket that is there holds of rules is left as it is,
//! and what it lacks is told.
//!
//! The one rule that matters removes uploads that nobody completes: the parts
//! of a worker that was killed are billed for ever, and no list shows them.

use std::fmt;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    CreateBucketConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    PublicAccessBlockConfiguration,
};

use super::endpoint;
use super::error::S3OpenError;
use super::location::S3Location;
use crate::cloud::Cloud;

/// The one region whose name is not given as a constraint. It also answers to
/// the creation of an own bucket that is there as if it had been created.
const HOME_REGION: &str = "us-east-1";

const RULE: &str = "trawler-incomplete-uploads";

/// The least that S3 takes. No upload of ours lasts longer than minutes.
const INCOMPLETE_DAYS: i32 = 1;

/// What a bucket that was there lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketFinding {
    /// Parts of uploads that were never completed are kept and billed.
    KeepsIncompleteUploads { bucket: String },
    /// Its rules could not be read.
    UnknownRules { bucket: String, reason: String },
}

impl fmt::Display for BucketFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepsIncompleteUploads { bucket } => write!(
                f,
                "bucket {bucket} keeps parts of uploads that nobody completes, and they are billed: add a lifecycle rule with AbortIncompleteMultipartUpload after {INCOMPLETE_DAYS} day"
            ),
            Self::UnknownRules { bucket, reason } => write!(
                f,
                "bucket {bucket}: its lifecycle rules cannot be read ({reason}); allow s3:GetLifecycleConfiguration, or see to a rule with AbortIncompleteMultipartUpload"
            ),
        }
    }
}

/// Creates the bucket in the account's region, closed to the public and with a
/// rule that removes what incomplete uploads left. Of an own bucket that is
/// there already comes back what it lacks.
pub async fn create_bucket(
    cloud: &Cloud,
    location: &S3Location,
) -> Result<Option<BucketFinding>, S3OpenError> {
    let config = Builder::from(cloud.config())
        .force_path_style(endpoint::wants_path_style(cloud))
        .build();
    let client = Client::from_conf(config);
    let bucket = &location.bucket;
    let mut create = client.create_bucket().bucket(bucket);
    if cloud.region() != HOME_REGION {
        let constraint = BucketLocationConstraint::from(cloud.region());
        let config = CreateBucketConfiguration::builder().location_constraint(constraint);
        create = create.create_bucket_configuration(config.build());
    }
    let failed = |call: &'static str| {
        let place = format!("bucket {bucket}: {call}");
        move |source| S3OpenError::Unusable { place, source }
    };
    match create.send().await {
        Ok(_) => {}
        Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => {
            return Ok(match rules(&client, bucket).await {
                Ok(rules) => finding(&rules, location),
                Err(reason) => Some(unknown(bucket, reason)),
            });
        }
        Err(error) => return Err(failed("CreateBucket")(error.into())),
    }
    // The default of new buckets since 2023, and said here for older stores.
    let closed = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    client
        .put_public_access_block()
        .bucket(bucket)
        .public_access_block_configuration(closed)
        .send()
        .await
        .map_err(|error| failed("PutPublicAccessBlock")(error.into()))?;
    // In the home region the bucket may be an older one: its rules stay.
    match rules(&client, bucket).await {
        Ok(rules) if rules.is_empty() => {}
        Ok(rules) => return Ok(finding(&rules, location)),
        Err(reason) => return Ok(Some(unknown(bucket, reason))),
    }
    client
        .put_bucket_lifecycle_configuration()
        .bucket(bucket)
        .lifecycle_configuration(abort_incomplete())
        .send()
        .await
        .map_err(|error| failed("PutBucketLifecycleConfiguration")(error.into()))?;
    Ok(None)
}

/// Why they cannot be read, for want of them.
async fn rules(client: &Client, bucket: &str) -> Result<Vec<LifecycleRule>, String> {
    let got = client
        .get_bucket_lifecycle_configuration()
        .bucket(bucket)
        .send();
    match got.await {
        Ok(answer) => Ok(answer.rules.unwrap_or_default()),
        Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Ok(Vec::new()),
        Err(error) => Err(match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => error.to_string(),
        }),
    }
}

fn unknown(bucket: &str, reason: String) -> BucketFinding {
    let bucket = bucket.to_owned();
    BucketFinding::UnknownRules { bucket, reason }
}

fn finding(rules: &[LifecycleRule], location: &S3Location) -> Option<BucketFinding> {
    let bucket = location.bucket.clone();
    let is_covered = rules.iter().any(|rule| covers(rule, location));
    (!is_covered).then_some(BucketFinding::KeepsIncompleteUploads { bucket })
}

/// Whether a rule removes incomplete uploads wherever the location's objects
/// lie. Such a rule can name a prefix and neither tags nor sizes.
fn covers(rule: &LifecycleRule, location: &S3Location) -> bool {
    let filter = rule.filter();
    let of_filter = filter.and_then(|filter| {
        let and = || filter.and().and_then(|and| and.prefix());
        filter.prefix().or_else(and)
    });
    // Rules that were made long ago name it beside the filter.
    #[allow(deprecated)]
    let prefix = of_filter.or(rule.prefix()).unwrap_or_default();
    rule.status() == &ExpirationStatus::Enabled
        && rule.abort_incomplete_multipart_upload().is_some()
        && format!("{}/", location.prefix).starts_with(prefix)
}

fn abort_incomplete() -> BucketLifecycleConfiguration {
    let abort = AbortIncompleteMultipartUpload::builder()
        .days_after_initiation(INCOMPLETE_DAYS)
        .build();
    let rule = LifecycleRule::builder()
        .id(RULE)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .abort_incomplete_multipart_upload(abort)
        .build()
        .expect("the status is given");
    BucketLifecycleConfiguration::builder()
        .rules(rule)
        .build()
        .expect("the rule is given")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_rule_covers_what_lies_below_its_prefix() {
        let rule = |prefix: &str| {
            let mut rule = abort_incomplete().rules.remove(0);
            rule.filter = Some(LifecycleRuleFilter::builder().prefix(prefix).build());
            rule
        };
        let check = |rule: &LifecycleRule, location: &str, expected: bool| {
            let location = S3Location::parse(location).unwrap();
            assert_eq!(covers(rule, &location), expected, "{rule:?} {location}");
        };
        check(&rule(""), "s3://shops", true);
        check(&rule(""), "s3://shops/a/b", true);
        check(&rule("a/"), "s3://shops/a/b", true);
        check(&rule("a/b/"), "s3://shops/a/b", true);
        check(&rule("a/b/c/"), "s3://shops/a/b", false);
        check(&rule("a/"), "s3://shops", false);
        let mut disabled = rule("");
        disabled.status = ExpirationStatus::Disabled;
        check(&disabled, "s3://shops", false);
        let mut other = rule("");
        other.abort_incomplete_multipart_upload = None;
        check(&other, "s3://shops", false);
        let mut everywhere = rule("");
        everywhere.filter = None;
        check(&everywhere, "s3://shops/a", true);
    }
}
