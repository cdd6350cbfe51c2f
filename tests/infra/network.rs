//! The network of the workers: its subnets and what they are joined to, what
//! its rules let in and out, and that what is private is denied alike by the
//! network, the unit and the proxy.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trawler_net::SPECIAL_RANGES;

use crate::block::Block;
use crate::proxy::PORT;
use crate::read;
use crate::template::{Deployed, number, text};

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

fn with_all() -> Deployed {
    Deployed::with(&[("SqsAccess", "endpoint"), ("Egress", "fixed")])
}

/// A rule of the network ACL: in the order of these fields one decides.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    number: u64,
    action: String,
    protocol: String,
    /// Or the type and code of ICMP.
    ports: String,
    block: String,
}

impl Rule {
    fn line(&self) -> String {
        let (action, protocol, ports) = (&self.action, &self.protocol, &self.ports);
        format!("{} {action} {protocol} {ports} {}", self.number, self.block)
    }
}

/// Those of one direction.
fn rules(deployed: &Deployed, egress: &str) -> Vec<Rule> {
    let entries = deployed.of_type("AWS::EC2::NetworkAclEntry");
    let mine = entries
        .iter()
        .filter(|(_, entry)| text(&entry["Egress"]) == egress);
    let mut found = Vec::new();
    for (name, entry) in mine {
        assert_eq!(entry["NetworkAclId"], "WorkerNetworkAcl", "{name}");
        let range = |key: &str, from: &str, to: &str| {
            let of = entry.get(key)?;
            Some(format!("{}-{}", text(&of[from]), text(&of[to])))
        };
        let protocol = match text(&entry["Protocol"]).as_str() {
            "-1" => "any",
            "1" => "icmp",
            "6" => "tcp",
            other => panic!("{name}: protocol {other}"),
        };
        let ports = range("PortRange", "From", "To").or(range("Icmp", "Type", "Code"));
        found.push(Rule {
            number: number(&entry["RuleNumber"]),
            action: text(&entry["RuleAction"]),
            protocol: protocol.to_owned(),
            ports: ports.unwrap_or("all".to_owned()),
            block: text(&entry["CidrBlock"]),
        });
    }
    found.sort();
    let numbers: BTreeSet<u64> = found.iter().map(|rule| rule.number).collect();
    assert_eq!(numbers.len(), found.len(), "each has its own");
    assert!(found.len() <= 20, "AWS takes 20 rules a direction");
    found
}

fn lines(rules: &[Rule]) -> Vec<String> {
    rules.iter().map(Rule::line).collect()
}

fn blocks(words: &str) -> BTreeSet<String> {
    let words = words
        .split_whitespace()
        .filter(|word| word.contains('/') && !word.contains(':'));
    words.map(str::to_owned).collect()
}

#[test]
fn what_is_private_is_denied_by_the_network_the_unit_and_the_proxy_alike() {
    let deployed = with_all();
    let out = rules(&deployed, "true");
    let first_deny = out.iter().position(|rule| rule.action == "deny").unwrap();
    let (own, rest) = out.split_at(first_deny);
    // Our endpoints and the proxy come first.
    let expected = [
        "10 allow tcp 443-443 10.64.48.0/27".to_owned(),
        "11 allow tcp 443-443 10.64.48.32/27".to_owned(),
        format!("12 allow tcp {PORT}-{PORT} 10.64.48.64/27"),
    ];
    assert_eq!(lines(own), expected);
    let (last, denied) = rest.split_last().unwrap();
    assert_eq!(last.line(), "200 allow tcp 1-65535 0.0.0.0/0");
    for rule in denied {
        let whole = (rule.action.as_str(), rule.protocol.as_str());
        assert_eq!(whole, ("deny", "any"), "{}", rule.line());
        assert_eq!(rule.ports, "all", "{}", rule.line());
    }
    let by_network: BTreeSet<String> = denied.iter().map(|rule| rule.block.clone()).collect();

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
        let written = range.block.to_string();
        let Ok(inner) = written.parse::<Block>() else {
            continue; // IPv6
        };
        let mut denied = by_network.iter().map(|outer| outer.parse::<Block>());
        assert!(
            denied.any(|outer| outer.unwrap().holds(&inner))
                || LEFT_TO_THE_PROGRAM.contains(&written.as_str()),
            "{written}: {}",
            range.name
        );
    }
}

/// Nothing but answers, and of this network those of our own endpoints alone.
#[test]
fn only_answers_come_in() {
    let all = [
        "10 allow tcp 32768-60999 10.64.48.0/27",
        "11 allow tcp 32768-60999 10.64.48.32/27",
        "12 allow tcp 32768-60999 10.64.48.64/27",
        "100 deny any all 10.64.0.0/16",
        "200 allow tcp 32768-60999 0.0.0.0/0",
        "210 allow icmp 3-4 0.0.0.0/0",
    ];
    assert_eq!(lines(&rules(&with_all(), "false")), all);
    assert_eq!(lines(&rules(&Deployed::with(&[]), "false")), all[3..]);
    let worker = with_all().properties("WorkerSecurityGroup");
    assert!(worker.get("SecurityGroupIngress").is_none());
    for (name, port) in [
        ("EndpointSecurityGroup", 443),
        ("FixedEgressSecurityGroup", PORT),
    ] {
        let rules = with_all().properties(name)["SecurityGroupIngress"].clone();
        let [rule] = rules.as_array().unwrap().as_slice() else {
            panic!("{name}: {rules}");
        };
        assert_eq!(rule["SourceSecurityGroupId"], "WorkerSecurityGroup");
        assert_eq!(rule["IpProtocol"], "tcp", "{name}");
        let ports = [number(&rule["FromPort"]), number(&rule["ToPort"])];
        assert_eq!(ports, [port, port], "{name}");
    }
}

#[test]
fn subnets_lie_apart_and_within_the_network() {
    for vpc in ["10.64.0.0/16", "172.31.128.0/17", "192.168.64.0/18"] {
        for zones in ["2", "3"] {
            for access in ["public", "endpoint"] {
                for egress in ["any", "fixed"] {
                    let given = [
                        ("VpcCidr", vpc),
                        ("Zones", zones),
                        ("SqsAccess", access),
                        ("Egress", egress),
                    ];
                    assert_subnets(&given);
                }
            }
        }
    }
}

/// Of EC2: neither larger nor smaller.
const PREFIXES: std::ops::RangeInclusive<u32> = 16..=28;

fn assert_subnets(given: &[(&str, &str)]) {
    let deployed = Deployed::with(given);
    let vpc: Block = text(&deployed.properties("Vpc")["CidrBlock"])
        .parse()
        .unwrap();
    let subnets = deployed.of_type("AWS::EC2::Subnet");
    let block = |subnet: &Value| text(&subnet["CidrBlock"]).parse::<Block>().unwrap();
    for (at, (name, subnet)) in subnets.iter().enumerate() {
        let mine = block(subnet);
        assert!(vpc.holds(&mine), "{name}: {mine} of {vpc}");
        assert!(PREFIXES.contains(&mine.prefix), "{name}: {mine}");
        for (other, theirs) in &subnets[at + 1..] {
            let theirs = block(theirs);
            assert!(!mine.overlaps(&theirs), "{name} {mine}, {other} {theirs}");
        }
        assert_eq!(subnet["VpcId"], "Vpc", "{name}");
    }
    let there: Vec<&str> = subnets.iter().map(|(name, _)| *name).collect();
    let workers = ["WorkerSubnetA", "WorkerSubnetB", "WorkerSubnetC"];
    let endpoints = ["EndpointSubnetA", "EndpointSubnetB"];
    let of = |name: &str| given.iter().find(|one| one.0 == name).unwrap().1;
    let mut expected = workers[..of("Zones").parse().unwrap()].to_vec();
    assert_joined(&deployed, &expected);
    if of("SqsAccess") == "endpoint" {
        expected.extend(endpoints);
        let endpoint = deployed.properties("SqsEndpoint");
        assert_eq!(endpoint["SubnetIds"], json!(endpoints));
        assert_eq!(
            endpoint["SecurityGroupIds"],
            json!(["EndpointSecurityGroup"])
        );
    }
    if of("Egress") == "fixed" {
        expected.push("FixedEgressSubnet");
        let proxy = &deployed.properties("FixedEgressProxy")["NetworkInterfaces"][0];
        assert_eq!(proxy["SubnetId"], "FixedEgressSubnet");
        assert_eq!(proxy["GroupSet"], json!(["FixedEgressSecurityGroup"]));
    }
    expected.sort_unstable();
    assert_eq!(there, expected);
}

/// Machines start in each of these, a zone each; what has no rules of its own
/// has those of the network, which let everything in.
fn assert_joined(deployed: &Deployed, workers: &[&str]) {
    let joined = |kind: &str, to: &str| {
        let all = deployed.of_type(kind).into_iter();
        let mine = all.filter(|(_, one)| text(&one["SubnetId"]).starts_with("Worker"));
        let found = mine.map(|(name, one)| {
            assert!(
                one.to_string().contains(&format!("\"{to}\"")),
                "{name}: {one}"
            );
            text(&one["SubnetId"])
        });
        found.collect::<Vec<_>>()
    };
    let rules = joined("AWS::EC2::SubnetNetworkAclAssociation", "WorkerNetworkAcl");
    assert_eq!(rules, workers);
    let routes = joined("AWS::EC2::SubnetRouteTableAssociation", "RouteTable");
    assert_eq!(routes, workers);
    let route = deployed.properties("DefaultRoute");
    assert_eq!(route["RouteTableId"], "RouteTable");
    assert_eq!(route["GatewayId"], "InternetGateway");
    assert_eq!(route["DestinationCidrBlock"], "0.0.0.0/0");
    for (name, group) in deployed.of_type("AWS::AutoScaling::AutoScalingGroup") {
        assert_eq!(group["VPCZoneIdentifier"], json!(workers), "{name}");
    }
    let zones = workers
        .iter()
        .map(|name| text(&deployed.properties(name)["AvailabilityZone"]));
    assert_eq!(zones.collect::<BTreeSet<_>>().len(), workers.len());
}

#[test]
fn without_an_endpoint_and_a_proxy_nothing_private_is_let_in() {
    let out = rules(&Deployed::with(&[]), "true");
    let allowed: Vec<String> = out
        .iter()
        .filter(|rule| rule.action == "allow")
        .map(Rule::line)
        .collect();
    assert_eq!(allowed, ["200 allow tcp 1-65535 0.0.0.0/0"]);
}
