//! `[metrics]`, `[capacity]` and `[notices]`: what a machine of a fleet tells
//! and hears.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::check::Bounds;
use super::plan::PlanConfig;

/// Longest name of an Auto Scaling group or of a lifecycle hook, as AWS has it.
const NAME_CHARS_MAX: usize = 255;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MetricsConfig {
    /// Send figures to CloudWatch. Default false: each is billed. Needs
    /// credentials of AWS.
    pub(crate) cloudwatch: bool,
    /// CloudWatch namespace. Default `Trawler`; at most 255 characters.
    pub(crate) namespace: String,
    /// Address of a page with the same figures for Prometheus, such as
    /// `127.0.0.1:9464`. Default none.
    pub(crate) prometheus: Option<SocketAddr>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            cloudwatch: false,
            namespace: "Trawler".to_owned(),
            prometheus: None,
        }
    }
}

impl MetricsConfig {
    pub(crate) fn check(&self, bounds: &mut Bounds) {
        let namespace_ok = !self.namespace.is_empty()
            && self.namespace.len() <= NAME_CHARS_MAX
            && !self.namespace.starts_with("AWS/")
            && self
                .namespace
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-/#: ".contains(&b));
        if let Some(address) = self.prometheus {
            bounds.unless(
                address.ip() == Ipv4Addr::LOCALHOST,
                "metrics.prometheus",
                &address,
                "127.0.0.1 and a port: the page has no password",
            );
        }
        bounds.unless(
            namespace_ok,
            "metrics.namespace",
            &self.namespace,
            "1 to 255 ASCII letters, digits, spaces and ._-/#:, not below AWS/",
        );
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CapacityConfig {
    /// Auto Scaling group of the machines that run `trawler crawl`. Default
    /// none: nobody asks for machines and none leaves by itself.
    pub(crate) crawl_group: Option<String>,
    /// The same for `trawler images`. Default none.
    pub(crate) image_group: Option<String>,
    /// Seconds without work after which a machine of a group ends itself.
    /// Default 0: never. Bound 60 to 86400.
    pub(crate) idle_exit_s: u64,
    /// Lifecycle hook of the groups that is completed after a drain. Default
    /// none.
    pub(crate) lifecycle_hook: Option<String>,
}

impl CapacityConfig {
    pub(crate) fn check(&self, bounds: &mut Bounds) {
        let names = [
            ("capacity.crawl_group", &self.crawl_group),
            ("capacity.image_group", &self.image_group),
            ("capacity.lifecycle_hook", &self.lifecycle_hook),
        ];
        for (key, name) in names {
            if let Some(name) = name {
                let name_ok = !name.is_empty()
                    && name.len() <= NAME_CHARS_MAX
                    && name.bytes().all(|b| b.is_ascii_graphic());
                let allowed = "1 to 255 visible ASCII characters";
                bounds.unless(name_ok, key, name, allowed);
            }
        }
        bounds.unless(
            self.idle_exit_s == 0 || (60..=86_400).contains(&self.idle_exit_s),
            "capacity.idle_exit_s",
            &self.idle_exit_s,
            "0 (never) or 60 to 86400",
        );
    }

    /// What is allowed, and costs more than whoever wrote it may think.
    pub(crate) fn remark(&self, plan: &PlanConfig) -> Option<String> {
        let has_group = self.crawl_group.is_some() || self.image_group.is_some();
        let stay = has_group && plan.enabled && self.idle_exit_s == 0;
        stay.then(|| {
            "capacity.idle_exit_s is 0: machines that an alarm or a person asked for never leave, since the plan takes back those alone that it asked for itself".to_owned()
        })
    }

    pub(crate) fn is_set(&self) -> bool {
        self.crawl_group.is_some() || self.image_group.is_some() || self.lifecycle_hook.is_some()
    }
}

/// Whether the instance's metadata service is asked for notices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Imds {
    /// Where there is one.
    #[default]
    Auto,
    Yes,
    No,
}

impl<'de> Deserialize<'de> for Imds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl serde::de::Visitor<'_> for Words {
            type Value = Imds;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"auto\", true or false")
            }

            fn visit_bool<E>(self, yes: bool) -> Result<Imds, E> {
                Ok(if yes { Imds::Yes } else { Imds::No })
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Imds, E> {
                match text {
                    "auto" => Ok(Imds::Auto),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NoticesConfig {
    /// Ask the instance's metadata service for spot interruptions, rebalance
    /// recommendations and the end of the group's wish for this machine:
    /// `"auto"` (where it answers), true or false. Default `"auto"`.
    pub(crate) imds: Imds,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn machines_that_never_leave_are_remarked_where_they_are_planned() {
        let check = |capacity: &str, enabled: bool, expected: bool| {
            let config: CapacityConfig = toml::from_str(capacity).unwrap();
            let plan = PlanConfig {
                enabled,
                ..PlanConfig::default()
            };
            let told = config.remark(&plan);
            assert_eq!(told.is_some(), expected, "{capacity} {enabled}");
            assert!(told.is_none_or(|told| told.contains("capacity.idle_exit_s is 0")));
        };
        check("image_group = \"i\"", true, true);
        check("crawl_group = \"c\"\nidle_exit_s = 0", true, true);
        check("crawl_group = \"c\"\nidle_exit_s = 300", true, false);
        check("crawl_group = \"c\"", false, false);
        check("lifecycle_hook = \"h\"", true, false);
        check("", true, false);
    }
}
