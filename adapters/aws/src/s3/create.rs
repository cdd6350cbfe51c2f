//! Makes the bucket of a location, for those who set a fleet up without the
//! templates. An own bucket that is there is left as it is.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration,
};

use super::endpoint;
use super::error::S3OpenError;
use super::location::S3Location;
use crate::cloud::Cloud;

/// The one region whose name is not given as a constraint.
const HOME_REGION: &str = "us-east-1";

/// Creates the bucket in the account's region, closed to the public.
pub async fn create_bucket(cloud: &Cloud, location: &S3Location) -> Result<(), S3OpenError> {
    let config = Builder::from(cloud.config())
        .force_path_style(endpoint::wants_path_style(cloud))
        .build();
    let client = Client::from_conf(config);
    let mut create = client.create_bucket().bucket(&location.bucket);
    if cloud.region() != HOME_REGION {
        let constraint = BucketLocationConstraint::from(cloud.region());
        let config = CreateBucketConfiguration::builder().location_constraint(constraint);
        create = create.create_bucket_configuration(config.build());
    }
    let failed = |call: &'static str| {
        let place = format!("bucket {}: {call}", location.bucket);
        move |source| S3OpenError::Unusable { place, source }
    };
    match create.send().await {
        Ok(_) => {}
        Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => return Ok(()),
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
        .bucket(&location.bucket)
        .public_access_block_configuration(closed)
        .send()
        .await
        .map(drop)
        .map_err(|error| failed("PutPublicAccessBlock")(error.into()))
}
