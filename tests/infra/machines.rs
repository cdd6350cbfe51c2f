//! Groups, launch templates, the network and the unit of the workers: as the
//! code's constants want them, and closed to whatever is private.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value;
use trawler_core::drain::EXIT_WITHIN;
use trawler_net::SPECIAL_RANGES;

use crate::read;
use crate::template::{Deployed, number, template, text};

/// Besides what routers pass on anyhow, these are assigned to nobody's servers:
/// the program refuses them, and nothing of ours is there.
const LEFT_TO_THE_PROGRAM: [&str; 9] = [
    "168.63.129.16/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.175.48.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "255.255.255.255/32",
];

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
fn machines_have_no_inbound_and_their_metadata_only_for_themselves() {
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
        assert_eq!(
            data["NetworkInterfaces"][0]["Groups"],
            serde_json::json!(["WorkerSecurityGroup"])
        );
    }
    let worker = deployed.properties("WorkerSecurityGroup");
    assert!(worker.get("SecurityGroupIngress").is_none());
    for name in ["EndpointSecurityGroup", "FixedEgressSecurityGroup"] {
        let rules = deployed.properties(name)["SecurityGroupIngress"].clone();
        let from = |rule: &Value| rule["SourceSecurityGroupId"] == "WorkerSecurityGroup";
        assert!(
            rules.as_array().unwrap().iter().all(from),
            "{name}: {rules}"
        );
    }
}

/// Numbers, actions and blocks of one direction, in the order that counts.
fn rules(deployed: &Deployed, egress: &str) -> Vec<(u64, String, String)> {
    let entries = deployed.of_type("AWS::EC2::NetworkAclEntry");
    let mine = entries
        .iter()
        .filter(|(_, entry)| text(&entry["Egress"]) == egress);
    let mut found: Vec<_> = mine
        .map(|(_, entry)| {
            (
                number(&entry["RuleNumber"]),
                text(&entry["RuleAction"]),
                text(&entry["CidrBlock"]),
            )
        })
        .collect();
    found.sort();
    found
}

/// Base and length of the prefix of a block of IPv4, which is never empty here.
fn parsed(block: &str) -> Option<(u32, u32)> {
    let (base, prefix) = block.split_once('/')?;
    let base: Ipv4Addr = base.parse().ok()?;
    Some((base.to_bits(), prefix.parse().ok()?))
}

fn blocks(words: &str) -> BTreeSet<String> {
    let words = words
        .split_whitespace()
        .filter(|word| word.contains('/') && !word.contains(':'));
    words.map(str::to_owned).collect()
}

#[test]
fn what_is_private_is_denied_by_the_network_the_unit_and_the_proxy_alike() {
    let deployed = Deployed::with(&[("SqsAccess", "endpoint"), ("Egress", "fixed")]);
    let out = rules(&deployed, "true");
    let first_deny = out
        .iter()
        .position(|(_, action, _)| action == "deny")
        .unwrap();
    let (own, rest) = out.split_at(first_deny);
    assert_eq!(
        own.len(),
        3,
        "our endpoints and the proxy are let in first: {own:?}"
    );
    let (last, denied) = rest.split_last().unwrap();
    assert_eq!((last.1.as_str(), last.2.as_str()), ("allow", "0.0.0.0/0"));
    assert!(
        denied.iter().all(|(_, action, _)| action == "deny"),
        "{denied:?}"
    );
    let by_network: BTreeSet<String> = denied.iter().map(|(_, _, block)| block.clone()).collect();

    let unit = read("infra/instance/trawler.service");
    let deny = unit
        .lines()
        .filter(|line| line.starts_with("IPAddressDeny="));
    let by_unit: BTreeSet<String> = deny
        .flat_map(|line| blocks(line.split_once('=').unwrap().1))
        .collect();
    let mut loopback = by_unit.clone();
    // The unit speaks to itself over it (the resolver).
    loopback.insert("127.0.0.0/8".to_owned());
    assert_eq!(loopback, by_network);

    let proxy = text(&deployed.properties("FixedEgressProxy")["UserData"]);
    let line = proxy
        .lines()
        .find(|line| line.trim_start().starts_with("acl private dst"))
        .unwrap();
    assert_eq!(blocks(line), by_network);
    let of_unit: BTreeSet<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("IPAddressDeny="))
        .flat_map(|line| line.split(' '))
        .filter(|block| block.contains(':'))
        .collect();
    let mut of_proxy: BTreeSet<&str> = proxy
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("acl private6 dst "))
        .unwrap()
        .split(' ')
        .collect();
    // The unit speaks to itself over it.
    assert!(of_proxy.remove("::1/128"));
    assert_eq!(of_proxy, of_unit);

    // And they are what the program refuses.
    for range in SPECIAL_RANGES {
        let block = range.block.to_string();
        let Some(inner) = parsed(&block) else {
            continue;
        };
        let denied = by_network.iter().filter_map(|outer| parsed(outer));
        let covers = |(base, prefix): (u32, u32)| {
            prefix <= inner.1 && (base ^ inner.0) >> (32 - prefix) == 0
        };
        assert!(
            denied.into_iter().any(covers) || LEFT_TO_THE_PROGRAM.contains(&block.as_str()),
            "{block}: {}",
            range.name
        );
    }
    assert!(
        rules(&deployed, "false").len() <= 20 && out.len() <= 20,
        "AWS takes 20 rules a direction"
    );
}

/// Ports of partners, as squid writes them: `22`, `1024-65535`.
fn ports(deployed: &Deployed, group: &str) -> BTreeSet<String> {
    let rules = deployed.properties(group)["SecurityGroupEgress"].clone();
    let rules = rules.as_array().unwrap().iter();
    let range = |rule: &Value| match (text(&rule["FromPort"]), text(&rule["ToPort"])) {
        (from, to) if from == to => from,
        (from, to) => format!("{from}-{to}"),
    };
    rules.map(range).collect()
}

#[test]
fn the_fixed_address_is_all_that_its_proxy_has_and_workers_are_told_where_it_is() {
    let deployed = Deployed::with(&[("Egress", "fixed")]);
    let proxy = deployed.properties("FixedEgressProxy");
    let interface = &proxy["NetworkInterfaces"][0];
    // By another address a partner would see somebody it does not know.
    assert_eq!(text(&interface["AssociatePublicIpAddress"]), "false");
    // Of two that there are while one is replaced, both could not have it.
    assert!(interface.get("PrivateIpAddress").is_none(), "{interface}");
    // A bucket of this region would see the endpoint's.
    let by = deployed.properties("FixedEgressRoute")["RouteTableId"].clone();
    let of_endpoint = deployed.properties("S3Endpoint")["RouteTableIds"].clone();
    assert!(!of_endpoint.as_array().unwrap().contains(&by), "{by}");
    let association = deployed.properties("FixedEgressAssociation");
    assert_eq!(association["InstanceId"], "FixedEgressProxy");
    let address = &template()["Resources"]["FixedEgressAddress"];
    assert_eq!(address["DeletionPolicy"], "Retain", "partners know it");
    let outputs = &template()["Outputs"];
    assert_eq!(
        deployed.resolve(&outputs["FixedAddress"]["Value"]),
        "FixedEgressAddress"
    );

    // What workers may reach directly, they may reach through it, by CONNECT alone.
    let script = text(&proxy["UserData"]);
    let line = |start: &str| {
        let found = script
            .lines()
            .find_map(|line| line.trim().strip_prefix(start));
        found.unwrap_or_else(|| panic!("no line {start} in {script}"))
    };
    let by_proxy: BTreeSet<String> = line("acl partners port ")
        .split(' ')
        .map(str::to_owned)
        .collect();
    assert_eq!(by_proxy, ports(&deployed, "WorkerSecurityGroup"));
    assert_eq!(by_proxy, ports(&deployed, "FixedEgressSecurityGroup"));
    let rules: Vec<&str> = script
        .lines()
        .filter_map(|line| line.trim().strip_prefix("http_access "))
        .collect();
    let denied = [
        "!workers",
        "private",
        "private6",
        "literal6",
        "!partners",
        "!connect",
    ];
    assert_eq!(rules[..6], denied.map(|of| format!("deny {of}")));
    assert_eq!(rules[6..], ["allow workers", "deny all"]);

    for (egress, told) in [
        (
            "fixed",
            "TRAWLER_FIXED_EGRESS='http://FixedEgressProxy.PrivateIp:3128'",
        ),
        ("any", "TRAWLER_FIXED_EGRESS=''"),
    ] {
        let templates = Deployed::with(&[("Egress", egress)]).of_type("AWS::EC2::LaunchTemplate");
        assert_eq!(templates.len(), 4);
        for (name, properties) in templates {
            let script = text(&properties["LaunchTemplateData"]["UserData"]);
            assert!(script.contains(told), "{name}: {script}");
        }
    }
}

#[test]
fn without_an_endpoint_and_a_proxy_nothing_private_is_let_in() {
    let out = rules(&Deployed::with(&[]), "true");
    let allowed: Vec<&str> = out
        .iter()
        .filter(|rule| rule.1 == "allow")
        .map(|rule| rule.2.as_str())
        .collect();
    assert_eq!(allowed, ["0.0.0.0/0"]);
}

#[test]
fn the_unit_gives_a_worker_time_to_leave_and_finds_one_that_stands_still() {
    let unit = read("infra/instance/trawler.service");
    let value = |key: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("the unit has no {key}"))
    };
    let seconds = |key: &str| value(key).parse::<u64>().unwrap();
    assert!(seconds("TimeoutStopSec") > EXIT_WITHIN.as_secs());
    assert!(seconds("WatchdogSec") >= 30);
    assert_eq!(value("Type"), "notify");
    // 2 is a wrong configuration.
    assert_eq!(value("RestartPreventExitStatus"), "2");
    assert_eq!(value("OnFailure"), "trawler-gone.service");
    for limit in [
        "MemoryMax",
        "TasksMax",
        "LimitNOFILE",
        "NoNewPrivileges",
        "ProtectSystem",
    ] {
        value(limit);
    }
}
