//! The groups of the template, made on moto from their own properties, and
//! what machines fit what they ask for.

use std::collections::BTreeSet;

use serde_json::Value;
use trawler_tests::emulator::Moto;

use crate::template::{Deployed, number, template, text};
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

fn subnets() -> Vec<String> {
    let zones = call(
        "ec2",
        "2016-11-15",
        &[("Action".to_owned(), "DescribeSubnets".to_owned())],
    );
    values(&zones, "subnetId")
}

/// The group as its properties say; the launch templates by name, as they are
/// here, and the subnets of the emulator.
fn make_group(deployed: &Deployed, name: &str) -> String {
    let mut group = deployed.properties(name);
    let fields = group.as_object_mut().unwrap();
    for other in [
        "MetricsCollection",
        "VPCZoneIdentifier",
        "LifecycleHookSpecificationList",
        "Tags",
    ] {
        fields.remove(other);
    }
    let written = group
        .to_string()
        .replace("LaunchTemplateId", "LaunchTemplateName");
    let group: Value = serde_json::from_str(&written).unwrap();
    let mut form = vec![("Action".to_owned(), "CreateAutoScalingGroup".to_owned())];
    flat("", &group, ".member", &mut form);
    form.push(("VPCZoneIdentifier".to_owned(), subnets().join(",")));
    call("autoscaling", "2011-01-01", &form);
    text(&group["AutoScalingGroupName"])
}

fn on_group(action: &str, group: &str, properties: &Value) {
    let mut form = vec![
        ("Action".to_owned(), action.to_owned()),
        ("AutoScalingGroupName".to_owned(), group.to_owned()),
    ];
    flat("", properties, ".member", &mut form);
    call("autoscaling", "2011-01-01", &form);
}

#[test]
fn moto_makes_the_groups_of_the_template_with_their_hooks_and_policies() {
    let deployed = Deployed::with(&[]);
    for (role, queue) in [("Crawl", "crawl"), ("Image", "image")] {
        for arch in ["Arm", "X86"] {
            make_template(&deployed, &format!("{role}{arch}LaunchTemplate"));
        }
        let group = make_group(&deployed, &format!("{role}Group"));
        assert_eq!(group, format!("check-{queue}"));
        let properties = deployed.properties(&format!("{role}Group"));
        for hook in properties["LifecycleHookSpecificationList"]
            .as_array()
            .unwrap()
        {
            on_group("PutLifecycleHook", &group, hook);
        }
        for kind in ["Wake", "Backlog"] {
            let mut policy = deployed.properties(&format!("{role}{kind}Policy"));
            let fields = policy.as_object_mut().unwrap();
            fields.remove("AutoScalingGroupName");
            fields.insert("PolicyName".to_owned(), kind.into());
            on_group("PutScalingPolicy", &group, &policy);
        }
        let named = |key: &str| vec![(key.to_owned(), group.clone())];
        let with = |action: &str, mut form: Vec<(String, String)>| {
            form.insert(0, ("Action".to_owned(), action.to_owned()));
            call("autoscaling", "2011-01-01", &form)
        };
        let found = with(
            "DescribeAutoScalingGroups",
            named("AutoScalingGroupNames.member.1"),
        );
        let one = |tag: &str| values(&found, tag).first().cloned().unwrap_or_default();
        assert_eq!(
            (one("MinSize"), one("MaxSize"), one("DesiredCapacity")),
            ("0".into(), "72".into(), "0".into())
        );
        assert_eq!(one("NewInstancesProtectedFromScaleIn"), "true", "{found}");
        assert_eq!(one("CapacityRebalance"), "true", "{found}");
        assert_eq!(
            one("SpotAllocationStrategy"),
            "price-capacity-optimized",
            "{found}"
        );
        let hooks = with("DescribeLifecycleHooks", named("AutoScalingGroupName"));
        assert_eq!(values(&hooks, "LifecycleHookName"), ["drain"]);
        let policies = with("DescribePolicies", named("AutoScalingGroupName"));
        assert_eq!(values(&policies, "PolicyName").len(), 2, "{policies}");
        assert!(
            policies.contains("<DisableScaleIn>true</DisableScaleIn>"),
            "{policies}"
        );
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
