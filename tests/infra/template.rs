//! The template as data, and its functions resolved for one deployment, as far
//! as the checks need them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::block::Block;
use crate::root;
use crate::tools::{lint, said};

pub(crate) const ENVIRONMENT: &str = "check";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ACCOUNT: &str = "123456789012";
const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Written in the long form: `{"Ref": ...}`, `{"Fn::Sub": ...}`.
const LOAD: &str = "import json, sys; from cfnlint.decode import decode; \
    template, errors = decode(sys.argv[1]); assert not errors, errors; \
    json.dump(template, sys.stdout)";

/// The template as it is written.
pub(crate) fn template() -> &'static Value {
    static TEMPLATE: OnceLock<Value> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let mut command = lint("python");
        command
            .args(["-c", LOAD])
            .arg(root().join("infra/trawler.yaml"));
        let (went_well, text) = said(&mut command);
        assert!(went_well, "{text}");
        serde_json::from_str(&text).unwrap()
    })
}

/// One deployment of it, with its parameters.
pub(crate) struct Deployed {
    parameters: BTreeMap<String, Value>,
}

impl Deployed {
    /// Both architectures, everything else as the defaults say, but for these.
    pub(crate) fn with(given: &[(&str, &str)]) -> Self {
        let mut parameters = BTreeMap::new();
        for (name, parameter) in template()["Parameters"].as_object().unwrap() {
            parameters.insert(name.clone(), parameter["Default"].clone());
        }
        let base = [
            ("Environment", ENVIRONMENT),
            ("ArtifactBucket", "artifacts"),
            ("Release", "0123456789abcdef"),
            ("ArmSha256", SUM),
            ("X86Sha256", SUM),
        ];
        for (name, value) in base.iter().chain(given) {
            let known = parameters.insert((*name).to_owned(), json!(value));
            assert!(known.is_some(), "{name} is no parameter");
        }
        Self { parameters }
    }

    /// Names and resolved properties of the resources of a type that there are.
    pub(crate) fn of_type(&self, kind: &str) -> Vec<(&'static str, Value)> {
        let resources = template()["Resources"].as_object().unwrap();
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind && self.is_there(resource))
            .map(|(name, resource)| (name.as_str(), self.resolve(&resource["Properties"])))
            .collect()
    }

    /// The resolved properties of a resource.
    pub(crate) fn properties(&self, name: &str) -> Value {
        let resource = &template()["Resources"][name];
        assert!(resource.is_object(), "there is no resource {name}");
        self.resolve(&resource["Properties"])
    }

    fn is_there(&self, resource: &Value) -> bool {
        resource
            .get("Condition")
            .is_none_or(|name| self.condition(name.as_str().unwrap()))
    }

    fn condition(&self, name: &str) -> bool {
        self.holds(&template()["Conditions"][name])
    }

    fn holds(&self, value: &Value) -> bool {
        match single(value) {
            Some(("Fn::Not", of)) => !self.holds(&of[0]),
            Some(("Fn::And", of)) => of.as_array().unwrap().iter().all(|one| self.holds(one)),
            Some(("Fn::Or", of)) => of.as_array().unwrap().iter().any(|one| self.holds(one)),
            Some(("Fn::Equals", of)) => text(&self.resolve(&of[0])) == text(&self.resolve(&of[1])),
            Some(("Condition", of)) => self.condition(of.as_str().unwrap()),
            other => panic!("no condition: {other:?}"),
        }
    }

    /// Without functions. Those that names are joined with are left out: what
    /// they give is a text of their own.
    pub(crate) fn resolve(&self, value: &Value) -> Value {
        match (single(value), value) {
            (Some(("Ref", name)), _) => self.reference(name.as_str().unwrap()),
            (Some(("Fn::GetAtt", path)), _) => self.attribute(path),
            (Some(("Fn::Sub", of)), _) => json!(self.substituted(of)),
            (Some(("Fn::Base64", of)), _) => self.resolve(of),
            (Some(("Fn::Cidr", of)), _) => json!(split(&self.resolve(of))),
            (Some(("Fn::GetAZs", _)), _) => json!(["zone-a", "zone-b", "zone-c"]),
            (Some(("Fn::Select", of)), _) => {
                let at = usize::try_from(number(&self.resolve(&of[0]))).unwrap();
                let of = self.resolve(&of[1]);
                let one = of.get(at);
                one.unwrap_or_else(|| panic!("{value}: {at} of {of}"))
                    .clone()
            }
            (Some(("Fn::If", of)), _) => {
                let at = if self.condition(of[0].as_str().unwrap()) {
                    1
                } else {
                    2
                };
                self.resolve(&of[at])
            }
            (Some((name, of)), _) if name.starts_with("Fn::") => json!(format!("{name} {of}")),
            (_, Value::Object(fields)) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name, self.resolve(value)));
                let there = fields.filter(|(_, value)| !value.is_null());
                Value::Object(
                    there
                        .map(|(name, value)| (name.clone(), value))
                        .collect::<Map<_, _>>(),
                )
            }
            (_, Value::Array(items)) => {
                let items = items.iter().map(|item| self.resolve(item));
                Value::Array(items.filter(|item| !item.is_null()).collect())
            }
            (_, plain) => plain.clone(),
        }
    }

    fn reference(&self, name: &str) -> Value {
        match name {
            "AWS::NoValue" => Value::Null,
            "AWS::Region" => json!(REGION),
            "AWS::AccountId" => json!(ACCOUNT),
            "AWS::Partition" => json!("aws"),
            "AWS::StackName" => json!("stack"),
            "AWS::StackId" => json!(format!(
                "arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/stack/1"
            )),
            _ => match self.parameters.get(name) {
                Some(value) => value.clone(),
                None => json!(self.name_of(name)),
            },
        }
    }

    /// What AWS would know a resource by: the name that it is given, or the one
    /// that it has in the template.
    fn name_of(&self, resource: &str) -> String {
        let properties = &template()["Resources"][resource]["Properties"];
        assert!(properties.is_object(), "there is no resource {resource}");
        let given = match text(&template()["Resources"][resource]["Type"]).as_str() {
            "AWS::S3::Bucket" => Some("BucketName"),
            "AWS::SQS::Queue" => Some("QueueName"),
            "AWS::AutoScaling::AutoScalingGroup" => Some("AutoScalingGroupName"),
            "AWS::Lambda::Function" => Some("FunctionName"),
            "AWS::Logs::LogGroup" => Some("LogGroupName"),
            _ => None,
        };
        let given = given.and_then(|key| properties.get(key));
        given.map_or(resource.to_owned(), |name| text(&self.resolve(name)))
    }

    fn attribute(&self, path: &Value) -> Value {
        let path = match path {
            Value::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join("."),
            path => text(path),
        };
        let (resource, attribute) = path.split_once('.').unwrap();
        let name = self.name_of(resource);
        let kind = text(&template()["Resources"][resource]["Type"]);
        let arn = match kind.as_str() {
            "AWS::S3::Bucket" => format!("arn:aws:s3:::{name}"),
            "AWS::SQS::Queue" => format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"),
            "AWS::Logs::LogGroup" => format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:*"),
            "AWS::Lambda::Function" => format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"),
            _ => format!("{path} of {name}"),
        };
        match attribute {
            "Arn" => json!(arn),
            "QueueName" => json!(name),
            "LatestVersionNumber" => json!("$Latest"),
            "CidrBlock" => self.properties(resource)["CidrBlock"].clone(),
            _ => json!(path),
        }
    }

    fn substituted(&self, of: &Value) -> String {
        let (pattern, own) = match of {
            Value::Array(parts) => (text(&parts[0]), parts[1].clone()),
            pattern => (text(pattern), Value::Null),
        };
        let mut parts = pattern.split("${");
        let mut whole = parts.next().unwrap().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            let value = match (own.get(name), name.contains('.')) {
                (Some(value), _) => self.resolve(value),
                (None, true) => self.attribute(&json!(name)),
                (None, false) => self.reference(name),
            };
            whole.push_str(&text(&value));
            whole.push_str(rest);
        }
        whole
    }
}

/// `Fn::Cidr`: a block, how many of it, and how many bits each of them has.
fn split(of: &Value) -> Vec<String> {
    let block: Block = text(&of[0]).parse().unwrap();
    let bits = u32::try_from(number(&of[2])).unwrap();
    let count = u32::try_from(number(&of[1])).unwrap();
    let parts = (0..count).map(|at| Block {
        first: block.first + (at << bits),
        prefix: 32 - bits,
    });
    let parts: Vec<Block> = parts.collect();
    let outside = parts.iter().find(|part| !block.holds(part));
    assert_eq!(outside, None, "{of}: it has not so many");
    parts.iter().map(Block::to_string).collect()
}

/// The one field of an object, if it has one.
fn single(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.iter().next().map(|(name, of)| (name.as_str(), of))
}

/// A value as a template writes it: numbers and truth values are texts too.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn number(value: &Value) -> u64 {
    let written = text(value);
    written
        .parse()
        .unwrap_or_else(|_| panic!("{written} is no number"))
}

/// One value, or several, as policies have them.
pub(crate) fn many(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::Null => Vec::new(),
        one => vec![text(one)],
    }
}

#[test]
fn functions_are_resolved_as_cloudformation_does() {
    let deployed = Deployed::with(&[("Zones", "2")]);
    let check = |written: Value, expected: Value| {
        assert_eq!(deployed.resolve(&written), expected, "{written}");
    };
    check(json!({"Ref": "Environment"}), json!("check"));
    check(
        json!({"Fn::Sub": "a-${Environment}-${AWS::Region}"}),
        json!("a-check-eu-west-1"),
    );
    check(
        json!({"Fn::Sub": ["${X}!", {"X": {"Ref": "Release"}}]}),
        json!("0123456789abcdef!"),
    );
    check(
        json!({"Fn::GetAtt": ["CrawlQueue", "Arn"]}),
        json!("arn:aws:sqs:eu-west-1:123456789012:check-crawl.fifo"),
    );
    check(
        json!([{"Fn::If": ["HasThreeZones", 1, {"Ref": "AWS::NoValue"}]}, 2]),
        json!([2]),
    );
    check(
        json!({"a": {"Fn::If": ["HasArm", 1, 2]}, "b": {"Ref": "AWS::NoValue"}}),
        json!({"a": 1}),
    );
    // The example of Fn::Cidr in the user guide, and one of the last of them.
    check(
        json!({"Fn::Select": ["1", {"Fn::Cidr": ["192.168.0.0/24", "6", "5"]}]}),
        json!("192.168.0.32/27"),
    );
    check(
        json!({"Fn::GetAtt": ["EndpointSubnetB", "CidrBlock"]}),
        json!("10.64.48.32/27"),
    );
}
