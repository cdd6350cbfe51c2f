//! Where S3 is reached: the SDK's own endpoint, or the one that the
//! environment or the profile names.

use std::net::IpAddr;

use aws_types::service_config::ServiceConfigKey;

use crate::cloud::Cloud;

/// What the program itself gave, or else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or `endpoint_url` of the profile,
/// in the order in which the SDK's own client takes them.
pub(super) fn configured(cloud: &Cloud) -> Option<String> {
    let config = cloud.config();
    let given = || config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return given();
    }
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all three names are given");
    let of_service = config.service_config().and_then(|all| all.load_config(key));
    of_service.or_else(given)
}

/// For people who look for what does not answer.
pub(super) fn shown(cloud: &Cloud) -> String {
    configured(cloud).unwrap_or_else(|| format!("S3 in {}", cloud.region()))
}

/// Whether the bucket stands in the path: other stores than Amazon's seldom
/// answer to a host name for each bucket, and an address never does.
pub(super) fn wants_path_style(cloud: &Cloud) -> bool {
    configured(cloud).is_some_and(|url| !is_amazon(&url))
}

fn is_amazon(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    if authority.starts_with('[') {
        return false;
    }
    let host = authority.split(':').next().unwrap_or_default();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.parse::<IpAddr>().is_err()
        && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_amazon_are_known() {
        let check = |url: &str, expected: bool| assert_eq!(is_amazon(url), expected, "{url}");
        check("https://s3.eu-west-1.amazonaws.com", true);
        check("https://s3.cn-north-1.amazonaws.com.cn/", true);
        check(
            "https://bucket.vpce-1a2b-3c.s3.eu-west-1.vpce.amazonaws.com",
            true,
        );
        check("http://127.0.0.1:4566", false);
        check("http://[::1]:4566", false);
        check("http://localhost:4566", false);
        check("https://minio.shops.example", false);
        check("https://amazonaws.com.shops.example", false);
    }
}
