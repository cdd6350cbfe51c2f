//! What a call that a process makes needs of its role's rights.

use serde_json::Value;
use trawler_tests::emulator::{Moto, REGION};
use trawler_tests::proxy::{Call, Service};

use crate::template::ACCOUNT;
use crate::wire::{query, values};

/// What one call needs: action, and resource where the request tells it.
pub(crate) type Needed = (String, Option<String>);

pub(crate) fn needed(call: &Call) -> Vec<Needed> {
    let of_all = |action: &str| vec![(action.to_owned(), None)];
    match call.service {
        Service::Sqs => {
            let body: Value = serde_json::from_slice(&call.body).unwrap();
            // Found by its name once, then called by its address.
            let name = body["QueueName"].as_str();
            let address = body["QueueUrl"].as_str();
            let name = name.or_else(|| address?.rsplit('/').next()).unwrap();
            let action = call.operation.trim_end_matches("Batch");
            let queue = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
            vec![(format!("sqs:{action}"), Some(queue))]
        }
        Service::S3 => {
            let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
            let path = path.trim_matches('/');
            let has = |word: &str| {
                query
                    .split('&')
                    .any(|part| part.split('=').next() == Some(word))
            };
            let is_object = path.contains('/');
            let on = |action: &str, path: &str| {
                (format!("s3:{action}"), Some(format!("arn:aws:s3:::{path}")))
            };
            let action = match (call.operation.as_str(), is_object) {
                ("GET" | "HEAD", false) => "ListBucket",
                ("GET" | "HEAD", true) => "GetObject",
                ("DELETE", true) if has("uploadId") => "AbortMultipartUpload",
                ("DELETE", true) => "DeleteObject",
                ("POST", false) if has("delete") => {
                    let keys = values(std::str::from_utf8(&call.body).unwrap(), "Key");
                    assert!(!keys.is_empty(), "{call:?}");
                    let each = keys.iter();
                    return each
                        .map(|key| on("DeleteObject", &format!("{path}/{key}")))
                        .collect();
                }
                ("PUT" | "POST", true) => "PutObject",
                other => panic!("{other:?} {}", call.path),
            };
            vec![on(action, path)]
        }
        Service::AutoScaling => {
            let action = format!("autoscaling:{}", call.operation);
            // Describing knows no resources: only all of them can be allowed.
            let resource = if call.operation.starts_with("Describe") {
                "*".to_owned()
            } else if let Some(name) = call.form.get("AutoScalingGroupName") {
                group_arn(name)
            } else {
                group_arn(&group_of(&call.form["InstanceId"]))
            };
            vec![(action, Some(resource))]
        }
        Service::Other => match call.operation.as_str() {
            "PutMetricData" => of_all("cloudwatch:PutMetricData"),
            "GetParameter" => of_all("ssm:GetParameter"),
            _ => Vec::new(),
        },
    }
}

fn group_arn(name: &str) -> String {
    format!(
        "arn:aws:autoscaling:eu-west-1:{ACCOUNT}:autoScalingGroup:0-0-0:autoScalingGroupName/{name}"
    )
}

/// The group that an instance of moto's was started for.
fn group_of(instance: &str) -> String {
    let xml = auto_scaling(&[
        ("Action", "DescribeAutoScalingInstances"),
        ("InstanceIds.member.1", instance),
    ]);
    let group = values(&xml, "AutoScalingGroupName").pop();
    group.unwrap_or_else(|| panic!("{instance} is in no group: {xml}"))
}

fn auto_scaling(form: &[(&str, &str)]) -> String {
    query(
        &Moto::shared().endpoint(),
        "autoscaling",
        "2011-01-01",
        form,
    )
}

/// Groups of moto's by the names that the template gives them; the newest
/// instance of each.
pub(crate) fn make_groups(environment: &str) -> [String; 2] {
    let form = [
        ("Action", "CreateLaunchTemplate"),
        ("LaunchTemplateName", environment),
        ("LaunchTemplateData.ImageId", "ami-12c6146b"),
        ("LaunchTemplateData.InstanceType", "c7g.large"),
    ];
    query(&Moto::shared().endpoint(), "ec2", "2016-11-15", &form);
    ["crawl", "image"].map(|queue| {
        let name = format!("{environment}-{queue}");
        auto_scaling(&[
            ("Action", "CreateAutoScalingGroup"),
            ("AutoScalingGroupName", &name),
            ("MinSize", "0"),
            ("MaxSize", "6"),
            ("DesiredCapacity", "2"),
            ("AvailabilityZones.member.1", "eu-west-1a"),
            ("LaunchTemplate.LaunchTemplateName", environment),
            ("LaunchTemplate.Version", "$Latest"),
        ]);
        let xml = auto_scaling(&[
            ("Action", "DescribeAutoScalingGroups"),
            ("AutoScalingGroupNames.member.1", &name),
        ]);
        values(&xml, "InstanceId").pop().unwrap()
    })
}
