//! Which figure each alarm and policy looks at, and what it moves: queue, group
//! and action of the same role, and the other alarms by a table.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::template::{Deployed, number, text};

const ROLES: [(&str, &str); 2] = [("Crawl", "crawl"), ("Image", "image")];

/// With a number for each parameter, so that none stands for another.
fn deployed() -> Deployed {
    Deployed::with(&[
        ("CrawlBacklogPerInstance", "5"),
        ("ImageBacklogPerInstance", "201"),
        ("OldestCrawlJobSeconds", "301"),
        ("OldestImageJobSeconds", "302"),
    ])
}

/// Namespace, name and dimensions in one line.
fn line(metric: &Value) -> String {
    let dimensions = metric["Dimensions"].as_array().unwrap().iter();
    let dimensions =
        dimensions.map(|one| format!(" {}={}", text(&one["Name"]), text(&one["Value"])));
    let name = format!(
        "{} {}",
        text(&metric["Namespace"]),
        text(&metric["MetricName"])
    );
    name + &dimensions.collect::<String>()
}

/// Id, metric and statistic of what an expression is made of.
fn inputs(metrics: &Value) -> BTreeSet<String> {
    let metrics = metrics.as_array().unwrap().iter();
    let told = metrics.filter_map(|metric| {
        let stat = metric.get("MetricStat")?;
        let id = text(&metric["Id"]);
        Some(format!(
            "{id}: {} {}",
            line(&stat["Metric"]),
            text(&stat["Stat"])
        ))
    });
    told.collect()
}

fn lines<const N: usize>(of: [String; N]) -> BTreeSet<String> {
    of.into_iter().collect()
}

#[test]
fn each_role_is_moved_by_its_own_queue_and_group() {
    let deployed = deployed();
    for ((role, queue), target) in ROLES.into_iter().zip([5, 201]) {
        let messages = format!("AWS/SQS ApproximateNumberOfMessages@ QueueName=check-{queue}.fifo");
        let visible = messages.replace('@', "Visible");
        let inflight = messages.replace('@', "NotVisible");
        let group = format!("AWS/AutoScaling Group@Instances AutoScalingGroupName=check-{queue}");
        let inservice = group.replace('@', "InService");
        let pending = group.replace('@', "Pending");
        let planned = "planned: Trawler CapacityPlanned Environment=check Maximum".to_owned();

        let alarm = deployed.properties(&format!("{role}WakeAlarm"));
        assert_eq!(alarm["AlarmActions"], json!([format!("{role}WakePolicy")]));
        let expected = lines([
            format!("visible: {visible} Maximum"),
            format!("inservice: {inservice} Maximum"),
            format!("pending: {pending} Maximum"),
            planned.clone(),
        ]);
        assert_eq!(inputs(&alarm["Metrics"]), expected);

        for kind in ["Wake", "Backlog"] {
            let policy = deployed.properties(&format!("{role}{kind}Policy"));
            let group = format!("check-{queue}");
            assert_eq!(policy["AutoScalingGroupName"], group, "{role}{kind}Policy");
        }
        let policy = deployed.properties(&format!("{role}BacklogPolicy"));
        let tracking = &policy["TargetTrackingConfiguration"];
        assert_eq!(number(&tracking["TargetValue"]), target, "{role}");
        let expected = lines([
            format!("visible: {visible} Maximum"),
            format!("inflight: {inflight} Maximum"),
            format!("inservice: {inservice} Average"),
            planned,
        ]);
        let metrics = &tracking["CustomizedMetricSpecification"]["Metrics"];
        assert_eq!(inputs(metrics), expected);
    }
}

/// The alarms that tell a person: metric, statistic, and the bound that is
/// compared with, over how many seconds.
const TOLD: [(&str, &str, &str, &str, u64); 8] = [
    (
        "ScheduleErrorsAlarm",
        "AWS/Lambda Errors FunctionName=check-schedule",
        "Sum",
        ">= 3",
        3 * 300,
    ),
    (
        "FailedRunsAlarm",
        "Trawler JobsSettled Environment=check Queue=crawl Verdict=bury",
        "Sum",
        ">= 1",
        300,
    ),
    (
        "CrawlDeadLettersAlarm",
        "Trawler DeadLetters Environment=check Queue=crawl",
        "Maximum",
        ">= 1",
        3 * 300,
    ),
    (
        "ImageDeadLettersAlarm",
        "Trawler DeadLetters Environment=check Queue=image",
        "Maximum",
        "> 100",
        3 * 300,
    ),
    (
        "CrawlDeadQueueAlarm",
        "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=check-crawl-dead.fifo",
        "Minimum",
        ">= 1",
        3 * 300,
    ),
    (
        "ImageDeadQueueAlarm",
        "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=check-image-dead.fifo",
        "Minimum",
        ">= 1",
        3 * 300,
    ),
    (
        "CrawlAgeAlarm",
        "Trawler OldestAgeSeconds Environment=check Queue=crawl",
        "Maximum",
        "> 301",
        300,
    ),
    (
        "ImageAgeAlarm",
        "Trawler OldestAgeSeconds Environment=check Queue=image",
        "Maximum",
        "> 302",
        300,
    ),
];

#[test]
fn every_alarm_for_people_looks_at_its_figure_and_goes_to_the_topic() {
    let deployed = deployed();
    for (name, metric, statistic, bound, seconds) in TOLD {
        let alarm = deployed.properties(name);
        assert_eq!(line(&alarm), metric, "{name}");
        assert_eq!(alarm["Statistic"], statistic, "{name}");
        let sign = match text(&alarm["ComparisonOperator"]).as_str() {
            "GreaterThanOrEqualToThreshold" => ">=",
            "GreaterThanThreshold" => ">",
            other => panic!("{name}: {other}"),
        };
        let found = format!("{sign} {}", number(&alarm["Threshold"]));
        assert_eq!(found, bound, "{name}");
        let looks_at = number(&alarm["Period"]) * number(&alarm["EvaluationPeriods"]);
        assert_eq!(looks_at, seconds, "{name}");
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
    }
    let heartbeat = deployed.properties("HeartbeatAlarm");
    assert_eq!(
        inputs(&heartbeat["Metrics"]),
        lines(["ticks: Trawler RunnablePipes Environment=check SampleCount".to_owned()])
    );
    let people: BTreeSet<&str> = TOLD
        .iter()
        .map(|row| row.0)
        .chain(["HeartbeatAlarm"])
        .collect();
    for name in &people {
        let alarm = deployed.properties(name);
        assert_eq!(alarm["AlarmActions"], json!(["Alarms"]), "{name}");
    }
    let others = deployed.of_type("AWS::CloudWatch::Alarm").into_iter();
    let others: Vec<&str> = others
        .map(|(name, _)| name)
        .filter(|name| !people.contains(name))
        .collect();
    assert_eq!(
        others,
        ["CrawlWakeAlarm", "ImageWakeAlarm"],
        "all are asked"
    );
}
