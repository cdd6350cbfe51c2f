//! Groups and launch templates of the workers, as the code's constants want
//! them.

use serde_json::{Value, json};
use trawler_core::drain::EXIT_WITHIN;

use crate::template::{Deployed, number, template, text};

fn groups() -> Vec<(&'static str, Value)> {
    let found = Deployed::with(&[]).of_type("AWS::AutoScaling::AutoScalingGroup");
    assert_eq!(found.len(), 2);
    found
}

#[test]
fn groups_are_spot_from_zero_and_leave_capacity_to_those_who_own_it() {
    for (name, group) in groups() {
        assert_eq!(number(&group["MinSize"]), 0, "{name}");
        assert!(number(&group["MaxSize"]) > 0, "{name}");
        // An update of the stack would set it back.
        assert!(group.get("DesiredCapacity").is_none(), "{name}");
        for switch in ["NewInstancesProtectedFromScaleIn", "CapacityRebalance"] {
            assert_eq!(text(&group[switch]), "true", "{name}: {switch}");
        }
        let spread = &group["MixedInstancesPolicy"]["InstancesDistribution"];
        assert_eq!(
            spread["SpotAllocationStrategy"], "price-capacity-optimized",
            "{name}"
        );
        assert_eq!(number(&spread["OnDemandPercentageAboveBaseCapacity"]), 0);
        assert_eq!(number(&spread["OnDemandBaseCapacity"]), 0);
        let overrides = group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
            .as_array()
            .unwrap();
        assert_eq!(overrides.len(), 2, "{name}");
        assert!(
            overrides
                .iter()
                .all(|one| one.get("InstanceType").is_none()),
            "{name}: by attributes"
        );
    }
}

#[test]
fn with_one_architecture_there_is_one_kind_of_machine() {
    for (given, gone) in [("ArmSha256", "Arm"), ("X86Sha256", "X86")] {
        let deployed = Deployed::with(&[(given, "")]);
        for (name, group) in deployed.of_type("AWS::AutoScaling::AutoScalingGroup") {
            let template = &group["MixedInstancesPolicy"]["LaunchTemplate"];
            assert_eq!(template["Overrides"].as_array().unwrap().len(), 1, "{name}");
            assert!(!template.to_string().contains(gone), "{name}: {template}");
        }
        assert_eq!(deployed.of_type("AWS::EC2::LaunchTemplate").len(), 2);
    }
}

#[test]
fn a_hook_waits_for_longer_than_a_drain_takes() {
    for (name, group) in groups() {
        let hooks = group["LifecycleHookSpecificationList"].as_array().unwrap();
        assert_eq!(hooks.len(), 1, "{name}");
        assert_eq!(
            hooks[0]["LifecycleHookName"], "drain",
            "as README.md configures it"
        );
        assert_eq!(
            hooks[0]["LifecycleTransition"],
            "autoscaling:EC2_INSTANCE_TERMINATING"
        );
        assert_eq!(hooks[0]["DefaultResult"], "CONTINUE");
        assert!(
            number(&hooks[0]["HeartbeatTimeout"]) > EXIT_WITHIN.as_secs(),
            "{name}"
        );
    }
}

#[test]
fn an_update_is_rolling_and_a_machine_that_does_not_start_fails_it() {
    for (name, _) in groups() {
        let update = &template()["Resources"][name]["UpdatePolicy"]["AutoScalingRollingUpdate"];
        assert_eq!(text(&update["WaitOnResourceSignals"]), "true", "{name}");
        assert_eq!(
            number(&update["MinSuccessfulInstancesPercent"]),
            100,
            "{name}"
        );
        assert_eq!(number(&update["MinInstancesInService"]), 0, "{name}");
    }
    for (name, properties) in Deployed::with(&[]).of_type("AWS::EC2::LaunchTemplate") {
        let script = text(&properties["LaunchTemplateData"]["UserData"]);
        // The group that waits is the one whose machine it is.
        let group = if name.starts_with("Crawl") {
            "CrawlGroup"
        } else {
            "ImageGroup"
        };
        assert!(
            script.contains(&format!("TRAWLER_RESOURCE='{group}'")),
            "{name}: {script}"
        );
        assert!(script.contains("sha256sum --check"), "{name}");
        assert!(!script.contains("${"), "{name}: {script}");
    }
}

#[test]
fn machines_have_their_metadata_for_themselves_and_an_address_to_go_out_by() {
    let deployed = Deployed::with(&[("SqsAccess", "endpoint"), ("Egress", "fixed")]);
    let templates = deployed.of_type("AWS::EC2::LaunchTemplate");
    assert_eq!(templates.len(), 4);
    for (name, properties) in templates {
        let data = &properties["LaunchTemplateData"];
        assert_eq!(data["MetadataOptions"]["HttpTokens"], "required", "{name}");
        assert_eq!(
            number(&data["MetadataOptions"]["HttpPutResponseHopLimit"]),
            1,
            "{name}"
        );
        assert_eq!(
            text(&data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"]),
            "true",
            "{name}"
        );
        // Without it there is no way out: the network has no NAT.
        let interfaces = data["NetworkInterfaces"].as_array().unwrap();
        assert_eq!(interfaces.len(), 1, "{name}");
        let public = text(&interfaces[0]["AssociatePublicIpAddress"]);
        assert_eq!(public, "true", "{name}");
        assert_eq!(interfaces[0]["Groups"], json!(["WorkerSecurityGroup"]));
    }
}
