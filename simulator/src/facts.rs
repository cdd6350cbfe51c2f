//! Prices, latencies, rates and settings, each with its source and date:
//! `facts.toml`, and another file over it. No number of the model stands
//! anywhere else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::FactsError;

/// What is taken for true without another file.
const EMBEDDED: &str = include_str!("facts.toml");

/// Facts that may be 0: what a fleet may do without.
const MAY_BE_ZERO: [&str; 6] = [
    "price.",
    "latency.",
    "rate.",
    "rough.",
    "fleet.fixed_egress",
    "fleet.sqs_endpoint_zones",
];

/// One number and where it is from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    pub value: f64,
    pub unit: String,
    pub source: String,
    pub as_of: String,
}

/// A type of instance that a group may start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceType {
    pub name: String,
    /// `crawl` or `image`.
    pub tier: String,
    pub cores: f64,
    /// USD an hour.
    pub on_demand: f64,
    /// USD an hour.
    pub spot: f64,
    /// Spot interruptions in 1,000 hours.
    pub interruptions: f64,
    pub source: String,
    pub as_of: String,
}

/// All facts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    facts: BTreeMap<String, Fact>,
    instances: Vec<InstanceType>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactText {
    value: f64,
    unit: Option<String>,
    source: Option<String>,
    as_of: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceText {
    tier: Option<String>,
    cores: Option<f64>,
    on_demand: Option<f64>,
    spot: Option<f64>,
    interruptions: Option<f64>,
    source: Option<String>,
    as_of: Option<String>,
    /// Takes a type out of the fleet.
    #[serde(default)]
    leave_out: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactsText {
    #[serde(default)]
    price: BTreeMap<String, FactText>,
    #[serde(default)]
    latency: BTreeMap<String, FactText>,
    #[serde(default)]
    rate: BTreeMap<String, FactText>,
    #[serde(default)]
    fleet: BTreeMap<String, FactText>,
    #[serde(default)]
    rough: BTreeMap<String, FactText>,
    #[serde(default)]
    instance: BTreeMap<String, InstanceText>,
}

impl Default for Facts {
    fn default() -> Self {
        let mut facts = Self {
            facts: BTreeMap::new(),
            instances: Vec::new(),
        };
        facts
            .lay(EMBEDDED, "facts.toml", true)
            .expect("the table of the program is whole, which a test holds");
        facts
    }
}

impl Facts {
    /// The embedded table as it is written.
    pub fn embedded() -> &'static str {
        EMBEDDED
    }

    /// The facts with entries of another table in place of theirs.
    pub fn overridden(text: &str, file: &str) -> Result<Self, FactsError> {
        let mut facts = Self::default();
        facts.lay(text, file, false)?;
        Ok(facts)
    }

    /// All facts but the instances, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.facts.iter().map(|(key, fact)| (key.as_str(), fact))
    }

    pub fn instances(&self) -> &[InstanceType] {
        &self.instances
    }

    /// The number under a name of `facts.toml`.
    ///
    /// # Panics
    ///
    /// If there is no such name: names are written in this crate alone.
    pub(crate) fn get(&self, key: &str) -> f64 {
        self.facts
            .get(key)
            .unwrap_or_else(|| panic!("facts.toml has no {key}"))
            .value
    }

    fn lay(&mut self, text: &str, file: &str, first: bool) -> Result<(), FactsError> {
        let read: FactsText = toml::from_str(text).map_err(|source| FactsError::Toml {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        let groups = [
            ("price", read.price),
            ("latency", read.latency),
            ("rate", read.rate),
            ("fleet", read.fleet),
            ("rough", read.rough),
        ];
        for (group, facts) in groups {
            for (name, fact) in facts {
                self.lay_fact(format!("{group}.{name}"), fact, file, first)?;
            }
        }
        for (name, instance) in read.instance {
            self.lay_instance(name, instance, file)?;
        }
        for tier in ["crawl", "image"] {
            if !self.instances.iter().any(|of| of.tier == tier) {
                let file = file.to_owned();
                return Err(FactsError::NoInstance { file, tier });
            }
        }
        Ok(())
    }

    fn lay_fact(
        &mut self,
        key: String,
        text: FactText,
        file: &str,
        first: bool,
    ) -> Result<(), FactsError> {
        let before = self.facts.remove(&key);
        if before.is_none() && !first {
            let file = file.to_owned();
            return Err(FactsError::Unknown { file, key });
        }
        number(file, &key, text.value, Least::of(&key))?;
        let (unit, source, as_of) = before.map_or_else(Default::default, |fact| {
            (fact.unit, file.to_owned(), "as overridden".to_owned())
        });
        let fact = Fact {
            value: text.value,
            unit: text.unit.unwrap_or(unit),
            source: text.source.unwrap_or(source),
            as_of: text.as_of.unwrap_or(as_of),
        };
        self.facts.insert(key, fact);
        Ok(())
    }

    fn lay_instance(
        &mut self,
        name: String,
        text: InstanceText,
        file: &str,
    ) -> Result<(), FactsError> {
        let at = self.instances.iter().position(|of| of.name == name);
        let before = at.map(|at| self.instances.remove(at));
        if text.leave_out {
            return Ok(());
        }
        let old = before.as_ref();
        let lacks = |key| FactsError::Instance {
            file: file.to_owned(),
            name: name.clone(),
            key,
        };
        let taken = InstanceType {
            tier: text
                .tier
                .or_else(|| old.map(|of| of.tier.clone()))
                .filter(|tier| tier == "crawl" || tier == "image")
                .ok_or_else(|| lacks("tier"))?,
            cores: text
                .cores
                .or(old.map(|of| of.cores))
                .ok_or_else(|| lacks("cores"))?,
            on_demand: text
                .on_demand
                .or(old.map(|of| of.on_demand))
                .ok_or_else(|| lacks("on_demand"))?,
            spot: text
                .spot
                .or(old.map(|of| of.spot))
                .ok_or_else(|| lacks("spot"))?,
            interruptions: text
                .interruptions
                .or(old.map(|of| of.interruptions))
                .ok_or_else(|| lacks("interruptions"))?,
            source: text.source.unwrap_or_else(|| file.to_owned()),
            as_of: text.as_of.unwrap_or_else(|| "as overridden".to_owned()),
            name,
        };
        let key = |what: &str| format!("instance.{}.{what}", taken.name);
        number(file, &key("cores"), taken.cores, Least::Above)?;
        number(file, &key("on_demand"), taken.on_demand, Least::Zero)?;
        number(file, &key("spot"), taken.spot, Least::Zero)?;
        number(
            file,
            &key("interruptions"),
            taken.interruptions,
            Least::Zero,
        )?;
        self.instances.push(taken);
        self.instances.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }
}

/// Facts that something is divided by, or that an event recurs by.
const DIVISORS: [&str; 13] = [
    "price.month_hours",
    "latency.metric_period_s",
    "latency.keda_poll_s",
    "rate.rows_first",
    "rate.rows_daily",
    "rate.images_changed",
    "rate.images_unchanged",
    "rate.partner_bytes_s",
    "rate.site_pages_s",
    "rate.host_images_s",
    "rate.host_all_images_s",
    "rate.job_fetches_s",
    "rough.outlier_factor",
];

/// Facts that count things of which there is at least one.
const COUNTS: [&str; 3] = [
    "fleet.crawl_slots",
    "fleet.image_slots",
    "fleet.instances_max",
];

/// How small a number may be.
#[derive(Clone, Copy)]
enum Least {
    Zero,
    Above,
    One,
}

impl Least {
    fn of(key: &str) -> Self {
        if COUNTS.contains(&key) {
            Self::One
        } else if DIVISORS.contains(&key) || !MAY_BE_ZERO.iter().any(|group| key.starts_with(group))
        {
            Self::Above
        } else {
            Self::Zero
        }
    }
}

fn number(file: &str, key: &str, value: f64, least: Least) -> Result<(), FactsError> {
    let (fits, wanted) = match least {
        Least::Zero => (value >= 0.0, "of 0 or more"),
        Least::Above => (value > 0.0, "above 0"),
        Least::One => (value >= 1.0, "of 1 or more"),
    };
    match fits && value.is_finite() {
        true => Ok(()),
        false => Err(FactsError::Value {
            file: file.to_owned(),
            key: key.to_owned(),
            value,
            wanted,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_fact_says_where_it_is_from_and_as_of_when() {
        let facts = Facts::default();
        assert!(facts.facts.len() >= 50);
        for (key, fact) in facts.iter() {
            let texts = [&fact.unit, &fact.source, &fact.as_of];
            assert!(texts.iter().all(|text| !text.is_empty()), "{key}");
        }
        for instance in facts.instances() {
            assert!(instance.source.starts_with("https://"), "{instance:?}");
            assert!(!instance.as_of.is_empty(), "{instance:?}");
            assert!(instance.spot < instance.on_demand, "{instance:?}");
        }
    }

    #[test]
    fn another_file_lies_over_the_table() {
        let text = "[price.ipv4_hour]\nvalue = 0\nsource = \"our contract\"\n\
                    [instance.\"c6g.large\"]\nspot = 0.01\n\
                    [instance.\"m6g.large\"]\nleave_out = true\n";
        let facts = Facts::overridden(text, "own.toml").unwrap();
        assert_eq!(facts.get("price.ipv4_hour"), 0.0);
        assert_eq!(facts.facts["price.ipv4_hour"].source, "our contract");
        assert!(facts.facts["price.ipv4_hour"].unit.contains("IPv4"));
        let names: Vec<&str> = facts
            .instances()
            .iter()
            .map(|of| of.name.as_str())
            .collect();
        assert!(!names.contains(&"m6g.large"));
        let cheap = facts.instances().iter().find(|of| of.name == "c6g.large");
        assert_eq!(cheap.unwrap().spot, 0.01);
        assert_eq!(cheap.unwrap().on_demand, 0.077);
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said() {
        let check = |text: &str, expected: &str| {
            let error = Facts::overridden(text, "own.toml").unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(
            "[price.ipv6_hour]\nvalue = 1",
            "own.toml: there is no fact \"price.ipv6_hour\"",
        );
        check(
            "[price.ipv4_hour]\nvalue = -1",
            "price.ipv4_hour is -1; it has to be a number of 0 or more",
        );
        check(
            "[fleet.crawl_slots]\nvalue = 0",
            "fleet.crawl_slots is 0; it has to be a number of 1 or more",
        );
        check("[rate.rows_daily]\nvalue = 0", "above 0");
        check("[fleet.instances_max]\nvalue = 0.5", "of 1 or more");
        check(
            "[instance.big]\ncores = 8",
            "instance \"big\" is new and lacks tier",
        );
        check("price = 3", "own.toml is no table of facts");
        let all = "[instance.\"c6g.large\"]\nleave_out = true\n[instance.\"m6g.large\"]\nleave_out = true\n[instance.\"c7g.large\"]\nleave_out = true\n";
        check(all, "no instance of tier \"crawl\" is left");
    }
}
