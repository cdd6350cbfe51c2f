//! The proxy with the fixed address: what it has, what it passes on, and that
//! workers are told where it is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::template::{Deployed, template, text};

/// Of squid, of the rules before it, and of what workers are told.
pub(crate) const PORT: u64 = 3128;

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
fn the_fixed_address_is_all_that_its_proxy_has() {
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
    assert_eq!(
        association["AllocationId"],
        "FixedEgressAddress.AllocationId"
    );
    let address = &template()["Resources"]["FixedEgressAddress"];
    // Partners know it; of a stack that never was nobody does.
    assert_eq!(address["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(address["UpdateReplacePolicy"], "Retain");
    let outputs = &template()["Outputs"];
    assert_eq!(
        deployed.resolve(&outputs["FixedAddress"]["Value"]),
        "FixedEgressAddress"
    );
}

#[test]
fn an_address_that_is_there_already_is_taken_instead_of_another() {
    let given = [("Egress", "fixed"), ("FixedAddressId", "eipalloc-0abc")];
    let deployed = Deployed::with(&given);
    assert!(deployed.of_type("AWS::EC2::EIP").is_empty());
    let association = deployed.properties("FixedEgressAssociation");
    assert_eq!(association["AllocationId"], "eipalloc-0abc");
    let told = &template()["Outputs"]["FixedAddress"]["Value"];
    assert_eq!(deployed.resolve(told), "eipalloc-0abc");
}

#[test]
fn the_proxy_passes_on_what_workers_may_reach_and_they_are_told_where_it_is() {
    let deployed = Deployed::with(&[("Egress", "fixed")]);
    let proxy = deployed.properties("FixedEgressProxy");
    // By CONNECT alone.
    let script = text(&proxy["UserData"]);
    let line = |start: &str| {
        let mut found = script
            .lines()
            .filter_map(|line| line.trim().strip_prefix(start));
        let one = found.next();
        assert_eq!(found.next(), None, "{start}");
        one.unwrap_or_else(|| panic!("no line {start} in {script}"))
    };
    assert_eq!(line("http_port "), PORT.to_string());
    assert_eq!(line("acl workers src "), "10.64.0.0/16");
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

    let proxy = format!("http://FixedEgressProxy.PrivateIp:{PORT}");
    let output = &template()["Outputs"]["FixedEgressProxy"]["Value"];
    assert_eq!(deployed.resolve(output), proxy);
    for (egress, told) in [("fixed", proxy.as_str()), ("any", "")] {
        let told = format!("TRAWLER_FIXED_EGRESS='{told}'");
        let templates = Deployed::with(&[("Egress", egress)]).of_type("AWS::EC2::LaunchTemplate");
        assert_eq!(templates.len(), 4);
        for (name, properties) in templates {
            let script = text(&properties["LaunchTemplateData"]["UserData"]);
            assert!(script.contains(&told), "{name}: {script}");
        }
    }
}
