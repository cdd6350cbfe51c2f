//! Alarms, policies and the dashboard: their operators, their metric math, and
//! that the figures they look at are figures that the program tells.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trawler_core::QueueName;
use trawler_core::figures::{By, FIGURES, VERDICTS};

use crate::metric_math::evaluate;
use crate::template::{Deployed, ENVIRONMENT, number, text};

const OPERATORS: [&str; 4] = [
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
];

const STATISTICS: [&str; 5] = ["Sum", "Maximum", "Minimum", "Average", "SampleCount"];

/// Of metric math, as far as the template uses it.
const FUNCTIONS: [&str; 4] = ["IF", "FILL", "AND", "OR"];

fn alarms() -> Vec<(&'static str, Value)> {
    Deployed::with(&[]).of_type("AWS::CloudWatch::Alarm")
}

/// Name and dimensions are those of a figure of ours, or of a service.
fn assert_is_told(place: &str, namespace: &str, metric: &str, dimensions: &[(String, String)]) {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| name.as_str()).collect();
    let value = |name: &str| {
        dimensions
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    };
    match namespace {
        "Trawler" => {
            let figure = FIGURES.iter().find(|about| about.cloudwatch == metric);
            let figure = figure.unwrap_or_else(|| panic!("{place}: nobody tells {metric}"));
            let expected: &[&str] = match figure.by {
                By::Environment => &["Environment"],
                By::Queue => &["Environment", "Queue"],
                By::QueueAndVerdict => &["Environment", "Queue", "Verdict"],
            };
            assert_eq!(names, expected, "{place}: {metric}");
            assert_eq!(value("Environment"), Some(ENVIRONMENT), "{place}");
            if let Some(queue) = value("Queue") {
                assert!(
                    QueueName::ALL.iter().any(|name| name.to_string() == queue),
                    "{place}: {queue}"
                );
            }
            if let Some(verdict) = value("Verdict") {
                assert!(VERDICTS.contains(&verdict), "{place}: {verdict}");
            }
        }
        "AWS/SQS" => {
            assert_eq!(names, ["QueueName"], "{place}");
            assert!(value("QueueName").unwrap().ends_with(".fifo"), "{place}");
            assert!(
                metric.starts_with("ApproximateNumberOfMessages"),
                "{place}: {metric}"
            );
        }
        "AWS/AutoScaling" => {
            assert_eq!(names, ["AutoScalingGroupName"], "{place}");
            let group = Deployed::with(&[]).properties("CrawlGroup");
            let told = &group["MetricsCollection"][0]["Metrics"];
            assert!(
                told.as_array().unwrap().iter().any(|name| name == metric),
                "{place}: {metric}"
            );
        }
        "AWS/Lambda" => assert_eq!(
            (names.as_slice(), metric),
            (&["FunctionName"][..], "Errors")
        ),
        other => panic!("{place}: namespace {other}"),
    }
}

fn dimensions(metric: &Value) -> Vec<(String, String)> {
    let all = metric["Dimensions"].as_array().unwrap();
    all.iter()
        .map(|one| (text(&one["Name"]), text(&one["Value"])))
        .collect()
}

/// One value is returned, every word of an expression is a metric or a
/// function, parentheses close, and metrics exist.
fn assert_metric_math(place: &str, metrics: &Value) {
    let metrics = metrics.as_array().unwrap();
    let ids: BTreeSet<String> = metrics.iter().map(|metric| text(&metric["Id"])).collect();
    assert_eq!(ids.len(), metrics.len(), "{place}: an id comes twice");
    let returned = metrics
        .iter()
        .filter(|metric| text(&metric["ReturnData"]) == "true");
    assert_eq!(returned.count(), 1, "{place}: one is returned");
    for metric in metrics {
        let id = text(&metric["Id"]);
        assert!(
            id.starts_with(|c: char| c.is_ascii_lowercase()),
            "{place}: {id}"
        );
        assert!(
            metric.get("ReturnData").is_some(),
            "{place}: {id} says whether it is returned"
        );
        match (metric.get("Expression"), metric.get("MetricStat")) {
            (Some(expression), None) => assert_expression(place, &text(expression), &ids),
            (None, Some(stat)) => {
                assert!(
                    STATISTICS.contains(&text(&stat["Stat"]).as_str()),
                    "{place}: {stat}"
                );
                let metric = &stat["Metric"];
                let (namespace, name) = (text(&metric["Namespace"]), text(&metric["MetricName"]));
                assert_is_told(place, &namespace, &name, &dimensions(metric));
            }
            _ => panic!("{place}: {id} is an expression or a metric"),
        }
    }
}

fn assert_expression(place: &str, expression: &str, ids: &BTreeSet<String>) {
    let mut depth = 0_i32;
    for c in expression.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        assert!(depth >= 0, "{place}: {expression}");
    }
    assert_eq!(depth, 0, "{place}: {expression}");
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let mut seen = 0;
    for word in words.filter(|word| !word.is_empty()) {
        let known = FUNCTIONS.contains(&word) || ids.contains(word) || word.parse::<f64>().is_ok();
        assert!(known, "{place}: {word} of {expression} is nothing");
        seen += u32::from(ids.contains(word));
    }
    assert!(seen > 0, "{place}: {expression} looks at no metric");
}

#[test]
fn every_alarm_compares_what_is_told_and_says_what_silence_means() {
    let found = alarms();
    assert!(found.len() >= 11, "{} alarms", found.len());
    for (name, alarm) in found {
        assert!(
            OPERATORS.contains(&text(&alarm["ComparisonOperator"]).as_str()),
            "{name}"
        );
        let silence = text(&alarm["TreatMissingData"]);
        assert!(
            ["breaching", "notBreaching"].contains(&silence.as_str()),
            "{name}: {silence}"
        );
        assert!(number(&alarm["EvaluationPeriods"]) > 0, "{name}");
        assert!(!text(&alarm["AlarmDescription"]).is_empty(), "{name}");
        assert_eq!(
            alarm["AlarmActions"].as_array().map(Vec::len),
            Some(1),
            "{name}"
        );
        match alarm.get("Metrics") {
            Some(metrics) => {
                assert!(alarm.get("MetricName").is_none(), "{name} has both");
                assert_metric_math(name, metrics);
            }
            None => {
                assert!(
                    STATISTICS.contains(&text(&alarm["Statistic"]).as_str()),
                    "{name}"
                );
                let (namespace, metric) = (text(&alarm["Namespace"]), text(&alarm["MetricName"]));
                assert_is_told(name, &namespace, &metric, &dimensions(&alarm));
            }
        }
    }
}

/// Whatever our processes do: no figure for 15 minutes is an alarm. The gauge
/// is told by every tick, also by one that finds nothing.
#[test]
fn a_scheduler_that_is_silent_for_15_minutes_is_told() {
    let alarm = Deployed::with(&[]).properties("HeartbeatAlarm");
    assert_eq!(alarm["TreatMissingData"], "breaching");
    let ticks = &alarm["Metrics"][0]["MetricStat"];
    assert_eq!(ticks["Metric"]["MetricName"], "RunnablePipes");
    assert_eq!(
        (&ticks["Stat"], number(&alarm["Threshold"])),
        (&Value::from("SampleCount"), 1)
    );
    assert_eq!(alarm["ComparisonOperator"], "LessThanThreshold");
    let waits = number(&ticks["Period"]) * number(&alarm["EvaluationPeriods"]);
    assert_eq!(waits, 15 * 60);
    // Or CloudWatch looked for points that are older than these.
    assert_eq!(alarm["Metrics"][1]["Expression"], "FILL(ticks, 0)");
    // Without them nobody would come and look.
    let timer = Deployed::with(&[("ScheduleBy", "timer")]);
    assert!(
        timer
            .of_type("AWS::CloudWatch::Alarm")
            .iter()
            .any(|(name, _)| *name == "HeartbeatAlarm")
    );
}

#[test]
fn groups_grow_by_backlog_and_never_shrink_by_it() {
    let deployed = Deployed::with(&[]);
    let policies = deployed.of_type("AWS::AutoScaling::ScalingPolicy");
    assert_eq!(policies.len(), 4);
    for (name, policy) in policies {
        match text(&policy["PolicyType"]).as_str() {
            "TargetTrackingScaling" => {
                let tracking = &policy["TargetTrackingConfiguration"];
                assert_eq!(text(&tracking["DisableScaleIn"]), "true", "{name}");
                assert!(number(&tracking["TargetValue"]) > 0, "{name}");
                let metrics = &tracking["CustomizedMetricSpecification"]["Metrics"];
                assert_metric_math(name, metrics);
                let of = |queue: &str| format!("{ENVIRONMENT}-{queue}");
                let (queue, other) = if name.starts_with("Crawl") {
                    ("crawl", "image")
                } else {
                    ("image", "crawl")
                };
                let written = metrics.to_string();
                assert!(
                    written.contains(&of(queue)) && !written.contains(&of(other)),
                    "{name}: {written}"
                );
            }
            "StepScaling" => {
                // "Exactly one" would undo what the scheduler has asked for.
                assert_eq!(policy["AdjustmentType"], "ChangeInCapacity", "{name}");
                let steps = policy["StepAdjustments"].as_array().unwrap();
                assert!(
                    steps
                        .iter()
                        .all(|step| number(&step["ScalingAdjustment"]) > 0),
                    "{name}"
                );
            }
            other => panic!("{name}: {other}"),
        }
    }
}

/// The scheduler owns capacity while it tells so in every minute; when it is
/// silent, or says that it has no plan, alarms and policies act.
#[test]
fn alarms_and_policies_stand_back_while_the_scheduler_plans() {
    let deployed = Deployed::with(&[]);
    let looks = |place: &str, metrics: &Value, returned: &str, expected: &str| {
        let metrics = metrics.as_array().unwrap();
        let of = |id: &str| metrics.iter().find(|metric| metric["Id"] == id).unwrap();
        let planned = &of("planned")["MetricStat"];
        assert_eq!(
            planned["Metric"]["MetricName"], "CapacityPlanned",
            "{place}"
        );
        assert_eq!(planned["Stat"], "Maximum", "{place}");
        let expression = text(&of(returned)["Expression"]);
        assert!(expression.starts_with(expected), "{place}: {expression}");
    };
    for role in ["Crawl", "Image"] {
        let alarm = deployed.properties(&format!("{role}WakeAlarm"));
        looks(
            role,
            &alarm["Metrics"],
            "wake",
            "IF(FILL(planned, 0) == 0 AND ",
        );
        // One minute without a figure wakes nobody.
        assert_eq!(number(&alarm["EvaluationPeriods"]), 2);
        assert_eq!(number(&alarm["DatapointsToAlarm"]), 2);
        let policy = deployed.properties(&format!("{role}BacklogPolicy"));
        let tracking = &policy["TargetTrackingConfiguration"];
        let metrics = &tracking["CustomizedMetricSpecification"]["Metrics"];
        looks(role, metrics, "backlog", "IF(FILL(planned, 0) > 0, 0, ");
    }
}

/// The expression that an alarm or a policy looks at.
fn returned(metrics: &Value) -> String {
    let mut metrics = metrics.as_array().unwrap().iter();
    let returned =
        metrics.find(|metric| metric["Expression"].is_string() && metric["ReturnData"] != false);
    text(&returned.unwrap()["Expression"])
}

#[test]
fn a_group_wakes_for_messages_when_nobody_is_there_and_nobody_plans() {
    let deployed = Deployed::with(&[]);
    for role in ["Crawl", "Image"] {
        let alarm = deployed.properties(&format!("{role}WakeAlarm"));
        let expression = returned(&alarm["Metrics"]);
        let check = |values: &[(&'static str, f64)], expected: f64| {
            let values = values.iter().copied().collect();
            let found = evaluate(&expression, &values);
            assert_eq!(found, Some(expected), "{role} {values:?}: {expression}");
        };
        check(&[("visible", 1.0)], 1.0);
        check(&[("visible", 1.0), ("planned", 0.0)], 1.0);
        check(
            &[("visible", 1.0), ("inservice", 0.0), ("pending", 0.0)],
            1.0,
        );
        check(&[("visible", 1.0), ("planned", 1.0)], 0.0);
        check(&[("visible", 1.0), ("inservice", 1.0)], 0.0);
        check(&[("visible", 1.0), ("pending", 1.0)], 0.0);
        check(&[("visible", 0.0)], 0.0);
        check(&[], 0.0);
        // What the expression says is 1 or 0, and the alarm is for 1.
        assert_eq!(number(&alarm["Threshold"]), 1);
        let operator = text(&alarm["ComparisonOperator"]);
        assert_eq!(operator, "GreaterThanOrEqualToThreshold");
    }
}

#[test]
fn a_group_is_tracked_by_all_its_messages_for_each_machine() {
    let deployed = Deployed::with(&[]);
    for role in ["Crawl", "Image"] {
        let policy = deployed.properties(&format!("{role}BacklogPolicy"));
        let metrics = &policy["TargetTrackingConfiguration"]["CustomizedMetricSpecification"];
        let expression = returned(&metrics["Metrics"]);
        let check = |planned: Option<f64>, inservice: Option<f64>, expected: f64| {
            let mut values: BTreeMap<_, _> = [("visible", 30.0), ("inflight", 10.0)].into();
            values.extend(planned.map(|planned| ("planned", planned)));
            values.extend(inservice.map(|there| ("inservice", there)));
            let found = evaluate(&expression, &values);
            assert_eq!(found, Some(expected), "{role} {values:?}: {expression}");
        };
        check(None, Some(4.0), 10.0);
        check(Some(0.0), Some(4.0), 10.0);
        check(None, Some(0.0), 40.0);
        check(None, None, 40.0);
        check(Some(1.0), Some(4.0), 0.0);
    }
}

#[test]
fn the_dashboard_is_json_and_shows_what_is_told() {
    let body = text(&Deployed::with(&[]).properties("Dashboard")["DashboardBody"]);
    let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let widgets = body["widgets"].as_array().unwrap();
    assert!(widgets.len() >= 8);
    for widget in widgets {
        let place = text(&widget["properties"]["title"]);
        for metric in widget["properties"]["metrics"].as_array().unwrap() {
            let words: Vec<String> = metric
                .as_array()
                .unwrap()
                .iter()
                .filter(|word| word.is_string())
                .map(text)
                .collect();
            let pairs: Vec<(String, String)> = words[2..]
                .chunks(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .collect();
            assert_is_told(&place, &words[0], &words[1], &pairs);
        }
    }
}
