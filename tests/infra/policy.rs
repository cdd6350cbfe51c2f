//! What a role may do, by its statements: as IAM reads them, for `Allow` with
//! patterns of actions and resources. Conditions are not looked at.

use serde_json::Value;

use crate::template::{Deployed, many};

/// One statement of a role.
pub(crate) struct Grant {
    pub(crate) actions: Vec<String>,
    pub(crate) resources: Vec<String>,
}

/// A role with its own statements and those of the policies that it has.
pub(crate) struct Rights(pub(crate) Vec<Grant>);

impl Rights {
    pub(crate) fn of(deployed: &Deployed, role: &str) -> Self {
        let properties = deployed.properties(role);
        let mut grants = Vec::new();
        let policies = properties["Policies"].as_array().unwrap().iter();
        // What a condition leaves out is null.
        for policy in policies.filter(|policy| !policy.is_null()) {
            take(&policy["PolicyDocument"], &mut grants);
        }
        for name in many(&properties["ManagedPolicyArns"]) {
            take(&deployed.properties(&name)["PolicyDocument"], &mut grants);
        }
        Self(grants)
    }

    pub(crate) fn allow(&self, action: &str, resource: &str) -> bool {
        self.0.iter().any(|grant| {
            let any = |patterns: &[String], text: &str| {
                patterns.iter().any(|pattern| fits(pattern, text))
            };
            any(&grant.actions, action) && any(&grant.resources, resource)
        })
    }

    pub(crate) fn actions(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|grant| grant.actions.iter().map(String::as_str))
    }
}

fn take(document: &Value, grants: &mut Vec<Grant>) {
    for statement in document["Statement"].as_array().unwrap() {
        assert_eq!(
            statement["Effect"], "Allow",
            "only what is allowed is read: {statement}"
        );
        grants.push(Grant {
            actions: many(&statement["Action"]),
            resources: many(&statement["Resource"]),
        });
    }
}

/// A pattern with `*` for any text.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    (0..=text.len())
        .filter(|at| text.is_char_boundary(*at))
        .any(|at| fits(rest, &text[at..]))
}

#[test]
fn patterns_fit_as_in_iam() {
    let check = |pattern: &str, text: &str, expected: bool| {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    };
    check("a", "a", true);
    check("a", "ab", false);
    check("a*", "abc", true);
    check("*", "", true);
    check("a/*/c", "a/b/b/c", true);
    check("a/*/c", "a/c", false);
}
