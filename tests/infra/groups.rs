//! The groups of the template, made on moto from their own properties, and
//! what machines fit what they ask for.

use std::collections::BTreeSet;

use serde_json::Value;
use trawler_tests::emulator::{Moto, REGION};

use crate::template::{Deployed, many, number, template, text};
use crate::wire::{query, values};

/// Spot capacity of so many types is seldom gone at once.
const TYPES_MIN: usize = 8;

fn call(service: &str, version: &str, form: &[(String, String)]) -> String {
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    query(&Moto::shared().endpoint(), service, version, &form)
}

/// Names and values of the query protocol, from the properties of a resource.
fn flat(name: &str, value: &Value, list: &str, form: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() {
                    field.clone()
                } else {
                    format!("{name}.{field}")
                };
                flat(&name, value, list, form);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                flat(&format!("{name}{list}.{}", at + 1), item, list, form);
            }
        }
        Value::Null => {}
        one => form.push((name.to_owned(), text(one))),
    }
}

fn make_template(deployed: &Deployed, name: &str) {
    let data = deployed.properties(name)["LaunchTemplateData"].clone();
    let mut form = vec![
        ("Action".to_owned(), "CreateLaunchTemplate".to_owned()),
        ("LaunchTemplateName".to_owned(), name.to_owned()),
    ];
    // What refers to other resources is theirs, and the image is a parameter.
    let own = [
        "InstanceInitiatedShutdownBehavior",
        "MetadataOptions",
        "BlockDeviceMappings",
        "TagSpecifications",
    ];
    for key in own {
        // EC2 names a list in the singular.
        let on_wire = key
            .trim_end_matches('s')
            .replace("MetadataOption", "MetadataOptions");
        flat(
            &format!("LaunchTemplateData.{on_wire}"),
            &data[key],
            "",
            &mut form,
        );
    }
    for (name, _) in &mut form {
        *name = name.replace(".Tags.", ".Tag.");
    }
    form.push((
        "LaunchTemplateData.ImageId".to_owned(),
        "ami-12c6146b".to_owned(),
    ));
    call("ec2", "2016-11-15", &form);
}

/// The network of the template with the subnets of the workers; their ids.
fn make_subnets(deployed: &Deployed, names: &Value) -> Vec<String> {
    let vpc = text(&deployed.properties("Vpc")["CidrBlock"]);
    let made = ec2("CreateVpc", &[("CidrBlock", &vpc)]);
    let vpc = values(&made, "vpcId").remove(0);
    let names = names.as_array().unwrap().iter();
    let subnets = names.map(|name| {
        let subnet = deployed.properties(&text(name));
        let zone = text(&subnet["AvailabilityZone"]).replace("zone-", REGION);
        let form = [
            ("VpcId", vpc.as_str()),
            ("CidrBlock", &text(&subnet["CidrBlock"])),
            ("AvailabilityZone", &zone),
        ];
        values(&ec2("CreateSubnet", &form), "subnetId").remove(0)
    });
    subnets.collect()
}

fn ec2(action: &str, form: &[(&str, &str)]) -> String {
    let action = [("Action", action)];
    let form = action.iter().chain(form);
    let form: Vec<_> = form
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    call("ec2", "2016-11-15", &form)
}

/// The group as its properties say; the launch templates by name, as they are
/// here, and these subnets.
fn make_group(deployed: &Deployed, name: &str, subnets: &str) -> String {
    let mut group = deployed.properties(name);
    let fields = group.as_object_mut().unwrap();
    // These have calls of their own.
    for other in ["MetricsCollection", "LifecycleHookSpecificationList"] {
        fields.remove(other);
    }
    fields.insert("VPCZoneIdentifier".to_owned(), subnets.into());
    let written = group
        .to_string()
        .replace("LaunchTemplateId", "LaunchTemplateName");
    let group: Value = serde_json::from_str(&written).unwrap();
    let mut form = vec![("Action".to_owned(), "CreateAutoScalingGroup".to_owned())];
    flat("", &group, ".member", &mut form);
    call("autoscaling", "2011-01-01", &form);
    text(&group["AutoScalingGroupName"])
}

fn on_group(action: &str, group: &str, properties: &Value) -> String {
    let mut form = vec![
        ("Action".to_owned(), action.to_owned()),
        ("AutoScalingGroupName".to_owned(), group.to_owned()),
    ];
    flat("", properties, ".member", &mut form);
    call("autoscaling", "2011-01-01", &form)
}

#[test]
fn moto_makes_the_groups_of_the_template_with_their_hooks_and_policies() {
    let deployed = Deployed::with(&[]);
    for (role, queue) in [("Crawl", "crawl"), ("Image", "image")] {
        for arch in ["Arm", "X86"] {
            make_template(&deployed, &format!("{role}{arch}LaunchTemplate"));
        }
        let properties = deployed.properties(&format!("{role}Group"));
        let subnets = make_subnets(&deployed, &properties["VPCZoneIdentifier"]);
        let group = make_group(&deployed, &format!("{role}Group"), &subnets.join(","));
        assert_eq!(group, format!("check-{queue}"));
        for metrics in properties["MetricsCollection"].as_array().unwrap() {
            on_group("EnableMetricsCollection", &group, metrics);
        }
        for hook in properties["LifecycleHookSpecificationList"]
            .as_array()
            .unwrap()
        {
            on_group("PutLifecycleHook", &group, hook);
        }
        for kind in ["Wake", "Backlog"] {
            let mut policy = deployed.properties(&format!("{role}{kind}Policy"));
            let fields = policy.as_object_mut().unwrap();
            let own = fields.remove("AutoScalingGroupName").unwrap();
            fields.insert("PolicyName".to_owned(), kind.into());
            on_group("PutScalingPolicy", &text(&own), &policy);
        }
        assert_group(&group, &subnets, &properties);
        assert_hook(&group, &properties["LifecycleHookSpecificationList"][0]);
        assert_policies(
            &group,
            &deployed.properties(&format!("{role}BacklogPolicy")),
        );
    }
}

/// What was told of a tag, every time.
fn told(xml: &str, tag: &str) -> Vec<String> {
    let plain = |value: String| value.replace("&gt;", ">").replace("&lt;", "<");
    values(xml, tag).into_iter().map(plain).collect()
}

fn assert_group(group: &str, subnets: &[String], properties: &Value) {
    let named = vec![
        ("Action".to_owned(), "DescribeAutoScalingGroups".to_owned()),
        (
            "AutoScalingGroupNames.member.1".to_owned(),
            group.to_owned(),
        ),
    ];
    let found = call("autoscaling", "2011-01-01", &named);
    let check = |tag: &str, expected: &str| {
        assert_eq!(
            told(&found, tag).first().map(String::as_str),
            Some(expected),
            "{found}"
        );
    };
    check("MinSize", "0");
    check("MaxSize", "72");
    check("DesiredCapacity", "0");
    check("NewInstancesProtectedFromScaleIn", "true");
    check("CapacityRebalance", "true");
    check("SpotAllocationStrategy", "price-capacity-optimized");
    check("HealthCheckGracePeriod", "120");
    check("VPCZoneIdentifier", &subnets.join(","));
    check("Key", "trawler-environment");
    check("Value", "check");
    check("PropagateAtLaunch", "true");
    let zones = told(&found, "AvailabilityZones").remove(0);
    let zones: BTreeSet<String> = told(&zones, "member").into_iter().collect();
    assert_eq!(zones.len(), 3, "{found}");
    let metrics = &properties["MetricsCollection"][0];
    assert_eq!(told(&found, "Metric"), many(&metrics["Metrics"]), "{found}");
    // Of itself moto takes no other.
    assert_eq!(metrics["Granularity"], "1Minute");
}

fn assert_hook(group: &str, hook: &Value) {
    let found = on_group("DescribeLifecycleHooks", group, &Value::Null);
    for tag in [
        "LifecycleHookName",
        "LifecycleTransition",
        "HeartbeatTimeout",
        "DefaultResult",
    ] {
        assert_eq!(told(&found, tag), [text(&hook[tag])], "{found}");
    }
}

/// One that wakes and one that tracks, with its metrics as they are written.
fn assert_policies(group: &str, backlog: &Value) {
    let found = on_group("DescribePolicies", group, &Value::Null);
    let check = |tag: &str, expected: &[&str]| {
        assert_eq!(told(&found, tag), expected, "{tag}: {found}");
    };
    check("PolicyName", &["Wake", "Backlog"]);
    check("AdjustmentType", &["ChangeInCapacity"]);
    check("ScalingAdjustment", &["1"]);
    check("MetricIntervalLowerBound", &["0.0"]);
    check("EstimatedInstanceWarmup", &["120"]);
    check("DisableScaleIn", &["true"]);
    let tracking = &backlog["TargetTrackingConfiguration"];
    let target = told(&found, "TargetValue").remove(0);
    let expected = text(&tracking["TargetValue"]);
    assert_eq!(target.parse::<f64>(), expected.parse::<f64>());
    let metrics = &tracking["CustomizedMetricSpecification"]["Metrics"];
    let metrics = metrics.as_array().unwrap();
    let written = |path: &str| -> Vec<String> {
        let written = metrics.iter().filter_map(|metric| metric.pointer(path));
        written.map(text).collect()
    };
    for (tag, path) in [
        ("Id", "/Id"),
        ("Expression", "/Expression"),
        ("Namespace", "/MetricStat/Metric/Namespace"),
        ("MetricName", "/MetricStat/Metric/MetricName"),
        ("Stat", "/MetricStat/Stat"),
        ("Name", "/MetricStat/Metric/Dimensions/0/Name"),
        ("Value", "/MetricStat/Metric/Dimensions/0/Value"),
        ("ReturnData", "/ReturnData"),
    ] {
        let expected = written(path);
        assert!(!expected.is_empty(), "{path}");
        assert_eq!(told(&found, tag), expected, "{tag}: {found}");
    }
}

/// Types of EC2, as moto has them from its documentation: name and what the
/// groups look at.
fn types() -> Vec<String> {
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let mut form = vec![("Action".to_owned(), "DescribeInstanceTypes".to_owned())];
        if !next.is_empty() {
            form.push(("NextToken".to_owned(), next.clone()));
        }
        let xml = call("ec2", "2016-11-15", &form);
        let (_, items) = xml.split_once("<instanceTypeSet>").unwrap();
        found.extend(
            items
                .split("<instanceType>")
                .skip(1)
                .map(|item| format!("<instanceType>{item}")),
        );
        match values(&xml, "nextToken").pop() {
            Some(token) if !token.is_empty() => next = token,
            _ => return found,
        }
    }
}

fn is_between(bounds: &Value, found: u64) -> bool {
    let max = bounds.get("Max").map_or(u64::MAX, number);
    bounds.get("Min").map_or(0, number) <= found && found <= max
}

#[test]
fn every_group_has_at_least_eight_types_to_choose_from_with_one_architecture_alone() {
    let types = types();
    let deployed = Deployed::with(&[]);
    for (name, group) in deployed.of_type("AWS::AutoScaling::AutoScalingGroup") {
        for wanted in group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
            .as_array()
            .unwrap()
        {
            let wanted = &wanted["InstanceRequirements"];
            let arch = if wanted["CpuManufacturers"][0] == "amazon-web-services" {
                "arm64"
            } else {
                "x86_64"
            };
            let fitting: BTreeSet<String> = types
                .iter()
                .filter(|item| {
                    let one = |tag: &str| values(item, tag).first().cloned().unwrap_or_default();
                    let count = |tag: &str| one(tag).parse::<u64>().unwrap_or(0);
                    item.contains(&format!("<item>{arch}</item>"))
                        && is_between(&wanted["VCpuCount"], count("defaultVCpus"))
                        && is_between(&wanted["MemoryMiB"], count("sizeInMiB"))
                        && one("currentGeneration") == "true"
                        && one("bareMetal") == "false"
                        && one("burstablePerformanceSupported") == "false"
                        && !item.contains("<gpuInfo>")
                        && item.contains("<item>spot</item>")
                })
                .flat_map(|item| values(item, "instanceType").into_iter().take(1))
                .collect();
            assert!(fitting.len() >= TYPES_MIN, "{name} {arch}: {fitting:?}");
        }
    }
    assert!(template()["Resources"]["CrawlGroup"].is_object());
}
