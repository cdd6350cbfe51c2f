//! The launch templates: alike but for their role and architecture, each with
//! the profile, the package and the image of its own; and the groups that start
//! machines of them.

use serde_json::{Value, json};

use crate::template::{Deployed, number, template, text};

const ROLES: [(&str, &str); 2] = [("Crawl", "crawl"), ("Image", "image")];
const ARCHES: [(&str, &str); 2] = [("Arm", "arm64"), ("X86", "x86_64")];

/// One with a checksum and a disk for each, so that none stands for another.
fn deployed() -> Deployed {
    Deployed::with(&[
        ("ArmSha256", &"a".repeat(64)),
        ("X86Sha256", &"b".repeat(64)),
        ("ArmImage", "ami-arm"),
        ("X86Image", "ami-x86"),
        ("CrawlDiskGiB", "41"),
        ("ImageDiskGiB", "42"),
        ("CrawlInstancesMax", "43"),
        ("ImageInstancesMax", "44"),
        ("SqsAccess", "endpoint"),
        ("Egress", "fixed"),
    ])
}

/// Takes one text out of another, which has it so often.
fn without(whole: &str, part: &str, times: usize) -> String {
    assert_eq!(whole.matches(part).count(), times, "{part} in {whole}");
    whole.replace(part, "...")
}

/// Takes a value out, which is this one.
fn take(data: &mut Value, path: &str, expected: &Value) {
    let found = data.pointer_mut(path);
    let found = found.unwrap_or_else(|| panic!("no {path}")).take();
    assert_eq!(&found, expected, "{path}");
}

#[test]
fn launch_templates_differ_by_their_role_and_architecture_alone() {
    let deployed = deployed();
    let mut seen = Vec::new();
    for (role, queue) in ROLES {
        for (arch, package) in ARCHES {
            let name = format!("{role}{arch}LaunchTemplate");
            let mut properties = deployed.properties(&name);
            let data = &mut properties["LaunchTemplateData"];
            take(
                data,
                "/ImageId",
                &json!(format!("ami-{}", arch.to_lowercase())),
            );
            let profile = format!("{role}Profile.Arn of {role}Profile");
            take(data, "/IamInstanceProfile", &json!({"Arn": profile}));
            let disk = if role == "Crawl" { "41" } else { "42" };
            take(data, "/BlockDeviceMappings/0/Ebs/VolumeSize", &json!(disk));
            let machine = json!({"Key": "Name", "Value": format!("check-{queue}")});
            take(data, "/TagSpecifications/0/Tags/0", &machine);

            let script = text(&data["UserData"]);
            let script = without(&script, &format!("='{role}Group'"), 1);
            let script = without(&script, &format!("='check-{queue}'"), 1);
            let script = without(&script, &format!("='/trawler/check/{queue}'"), 1);
            let script = without(&script, &format!("./boot.sh {queue}\n"), 1);
            let script = without(&script, &format!("/trawler-{package}.tar.gz'"), 1);
            let sum = if arch == "Arm" { "a" } else { "b" }.repeat(64);
            let script = without(
                &script,
                &format!("'{sum}  package.tar.gz' | sha256sum --check"),
                1,
            );
            assert!(!script.contains("${"), "{name}: {script}");
            data["UserData"] = json!(script);
            seen.push((name, properties));
        }
    }
    for (name, properties) in &seen[1..] {
        assert_eq!(properties, &seen[0].1, "{name}");
    }
    for (role, _) in ROLES {
        let profile = deployed.properties(&format!("{role}Profile"));
        assert_eq!(profile["Roles"], json!([format!("{role}Role")]));
    }
}

#[test]
fn a_group_starts_machines_of_its_own_templates() {
    let deployed = deployed();
    for ((role, queue), max) in ROLES.into_iter().zip([43, 44]) {
        let group = deployed.properties(&format!("{role}Group"));
        assert_eq!(group["AutoScalingGroupName"], format!("check-{queue}"));
        assert_eq!(number(&group["MaxSize"]), max);
        let from = |arch: &str| {
            let name = format!("{role}{arch}LaunchTemplate");
            json!({"LaunchTemplateId": name, "Version": "$Latest"})
        };
        let launch = &group["MixedInstancesPolicy"]["LaunchTemplate"];
        assert_eq!(launch["LaunchTemplateSpecification"], from("Arm"));
        let makers = [json!(["amazon-web-services"]), json!(["intel", "amd"])];
        for (at, ((arch, _), makers)) in ARCHES.into_iter().zip(makers).enumerate() {
            let one = &launch["Overrides"][at];
            assert_eq!(one["LaunchTemplateSpecification"], from(arch), "{role}");
            assert_eq!(
                one["InstanceRequirements"]["CpuManufacturers"], makers,
                "{role}"
            );
        }
        let alone = Deployed::with(&[("ArmSha256", "")]).properties(&format!("{role}Group"));
        let launch = &alone["MixedInstancesPolicy"]["LaunchTemplate"];
        assert_eq!(launch["LaunchTemplateSpecification"], from("X86"));
    }
}

/// `LatestVersionNumber` is asked of the template that is named beside it.
#[test]
fn the_version_is_that_of_the_same_template() {
    fn check(value: &Value) -> usize {
        let inner: usize = match value {
            Value::Object(fields) => fields.values().map(check).sum(),
            Value::Array(items) => items.iter().map(check).sum(),
            _ => 0,
        };
        let Some(of) = value.get("LaunchTemplateId") else {
            return inner;
        };
        let version = &value["Version"]["Fn::GetAtt"];
        assert_eq!(version, &json!([of["Ref"], "LatestVersionNumber"]));
        inner + 1
    }
    let found: usize = ROLES
        .map(|(role, _)| check(&template()["Resources"][format!("{role}Group")]))
        .iter()
        .sum();
    assert_eq!(found, 8);
}
