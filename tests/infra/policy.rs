//! What a role may do, by its statements: as IAM reads them, with patterns of
//! actions and resources; what is denied is denied, whoever allows it.
//! Conditions are not looked at.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::calls::Needed;
use crate::template::{Deployed, many};

/// One statement of a role.
struct Grant {
    sid: String,
    actions: Vec<String>,
    resources: Vec<String>,
}

impl Grant {
    fn covers(&self, action: &str, resource: &str) -> bool {
        let any =
            |patterns: &[String], text: &str| patterns.iter().any(|pattern| fits(pattern, text));
        any(&self.actions, action) && any(&self.resources, resource)
    }
}

/// A role with its own statements and those of the policies that it has.
#[derive(Default)]
pub(crate) struct Rights {
    allowed: Vec<Grant>,
    denied: Vec<Grant>,
}

impl Rights {
    pub(crate) fn of(deployed: &Deployed, role: &str) -> Self {
        let properties = deployed.properties(role);
        let mut rights = Self::default();
        let policies = properties["Policies"].as_array().unwrap().iter();
        // What a condition leaves out is null.
        for policy in policies.filter(|policy| !policy.is_null()) {
            rights.take(&policy["PolicyDocument"]);
        }
        for name in many(&properties["ManagedPolicyArns"]) {
            rights.take(&deployed.properties(&name)["PolicyDocument"]);
        }
        rights
    }

    /// What passes an endpoint of the network.
    pub(crate) fn through(deployed: &Deployed, endpoint: &str) -> Self {
        let mut rights = Self::default();
        rights.take(&deployed.properties(endpoint)["PolicyDocument"]);
        rights
    }

    pub(crate) fn allow(&self, action: &str, resource: &str) -> bool {
        let any = |grants: &[Grant]| grants.iter().any(|grant| grant.covers(action, resource));
        any(&self.allowed) && !any(&self.denied)
    }

    /// Statement and action of what no call made use of. A call that does not
    /// tell its resource makes use of every statement with its action.
    pub(crate) fn uncalled(&self, calls: &BTreeSet<Needed>) -> BTreeSet<(&str, &str)> {
        let is_called = |grant: &Grant, right: &str| {
            calls.iter().any(|(action, resource)| match resource {
                Some(resource) => action == right && grant.covers(action, resource),
                None => action == right,
            })
        };
        let mut uncalled = BTreeSet::new();
        for grant in &self.allowed {
            let rest = grant
                .actions
                .iter()
                .filter(|right| !is_called(grant, right));
            uncalled.extend(rest.map(|right| (grant.sid.as_str(), right.as_str())));
        }
        uncalled
    }

    pub(crate) fn actions(&self) -> impl Iterator<Item = &str> {
        self.allowed
            .iter()
            .flat_map(|grant| grant.actions.iter().map(String::as_str))
    }

    fn take(&mut self, document: &Value) {
        for statement in document["Statement"].as_array().unwrap() {
            let grants = match statement["Effect"].as_str() {
                Some("Allow") => &mut self.allowed,
                Some("Deny") => &mut self.denied,
                _ => panic!("neither allowed nor denied: {statement}"),
            };
            grants.push(Grant {
                sid: statement["Sid"].as_str().unwrap().to_owned(),
                actions: many(&statement["Action"]),
                resources: many(&statement["Resource"]),
            });
        }
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
