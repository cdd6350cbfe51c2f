//! The simulator's table says of the fleet what the template and the README
//! make of it, so that what it prints is of a fleet that somebody deploys.

use serde_json::Value;

use crate::read;
use crate::template::{Deployed, number, template};

/// A number of the fleet in the simulator's table.
fn fact(name: &str) -> f64 {
    fact_of("fleet", name)
}

fn fact_of(part: &str, name: &str) -> f64 {
    let facts: toml::Table = toml::from_str(&read("simulator/src/facts.toml")).unwrap();
    let value = &facts[part][name]["value"];
    let whole = value.as_integer().map(|value| value as f64);
    whole.or_else(|| value.as_float()).unwrap()
}

#[test]
fn the_simulated_fleet_is_the_one_that_the_template_makes() {
    let default = |name: &str| number(&template()["Parameters"][name]["Default"]) as f64;
    for tier in ["Crawl", "Image"] {
        let name = tier.to_lowercase();
        assert_eq!(
            default(&format!("{tier}InstancesMax")),
            fact("instances_max")
        );
        let backlog = default(&format!("{tier}BacklogPerInstance"));
        assert_eq!(backlog, fact(&format!("{name}_backlog")));
        let disk = default(&format!("{tier}DiskGiB"));
        assert_eq!(disk, fact(&format!("{name}_disk_gib")));
    }
    let deployed = Deployed::with(&[]);
    for name in ["CrawlGroup", "ImageGroup"] {
        let warmup = number(&deployed.properties(name)["DefaultInstanceWarmup"]) as f64;
        assert_eq!(warmup, fact_of("latency", "warmup_s"), "{name}");
    }
    for name in ["CrawlWakeAlarm", "ImageWakeAlarm"] {
        let alarm = deployed.properties(name);
        let periods = number(&alarm["EvaluationPeriods"]) as f64;
        assert_eq!(periods, fact("wake_periods"), "{name}");
    }
}

/// AWS makes two alarms of each tracking.
#[test]
fn all_metrics_of_alarms_are_billed() {
    let metrics = |of: &Value| {
        let metrics = of["Metrics"].as_array().map_or(1, |metrics| {
            metrics
                .iter()
                .filter(|metric| !metric["MetricStat"].is_null())
                .count()
        });
        metrics as f64
    };
    let deployed = Deployed::with(&[]);
    let alarms = deployed.of_type("AWS::CloudWatch::Alarm");
    let alarms: f64 = alarms.iter().map(|(_, alarm)| metrics(alarm)).sum();
    let policies = deployed.of_type("AWS::AutoScaling::ScalingPolicy");
    let trackings: f64 = policies
        .iter()
        .map(|(_, policy)| &policy["TargetTrackingConfiguration"])
        .filter(|tracking| !tracking.is_null())
        .map(|tracking| 2.0 * metrics(&tracking["CustomizedMetricSpecification"]))
        .sum();
    assert_eq!(alarms + trackings, fact("alarm_metrics"));
}

#[test]
fn the_simulated_slots_are_those_of_the_readme() {
    let readme = read("infra/README.md");
    let (_, rest) = readme
        .split_once("cat > fleet/trawler.toml <<END\n")
        .unwrap();
    let (text, _) = rest.split_once("\nEND\n").unwrap();
    let config: toml::Table = toml::from_str(text).unwrap();
    for name in ["crawl_slots", "image_slots"] {
        let slots = config["workers"][name].as_integer().unwrap();
        assert_eq!(slots as f64, fact(name), "{name}");
    }
    let idle = config["capacity"]["idle_exit_s"].as_integer().unwrap();
    assert_eq!(idle as f64, fact("idle_exit_s"));
    // Nothing else says how many jobs a machine works on, since the planner
    // reads the configuration alone.
    for file in ["boot.sh", "trawler.service"] {
        assert!(
            !read(&format!("infra/instance/{file}"))
                .to_lowercase()
                .contains("slots")
        );
    }
}
