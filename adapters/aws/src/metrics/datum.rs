//! Figures as CloudWatch takes them.

use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit, StatisticSet};
use aws_smithy_types::DateTime as AwsDateTime;
use chrono::{DateTime, Utc};
use trawler_core::Environment;
use trawler_core::figures::{Figures, Series, Unit, Value};

/// Most bytes of a request, before compression.
const REQUEST_BYTES_MAX: usize = 1_000_000;

/// Most bytes of one datum on the wire: names and values of fixed vocabularies
/// and an environment, some 250, and as many for the keys of the encoding.
const DATUM_BYTES_MAX: usize = 600;

const _: () = assert!(super::REQUEST_DATA_MAX * DATUM_BYTES_MAX <= REQUEST_BYTES_MAX);

/// The data of one minute. Counters that stood still are left out.
pub(super) fn of(
    minute: &Figures,
    environment: &Environment,
    at: DateTime<Utc>,
) -> Vec<MetricDatum> {
    minute
        .iter()
        .filter(|(_, value)| *value != Value::Count(0))
        .map(|(series, value)| datum(series, value, environment, at))
        .collect()
}

fn datum(
    series: Series,
    value: Value,
    environment: &Environment,
    at: DateTime<Utc>,
) -> MetricDatum {
    let about = series.figure.about();
    let datum = MetricDatum::builder()
        .metric_name(about.cloudwatch)
        .set_dimensions(Some(dimensions(series, environment)))
        .timestamp(AwsDateTime::from_millis(at.timestamp_millis()))
        .unit(match about.unit {
            Unit::Count => StandardUnit::Count,
            Unit::Bytes => StandardUnit::Bytes,
            Unit::Seconds => StandardUnit::Seconds,
        });
    match value {
        // Exact up to 2^53; a minute's bytes are far below.
        Value::Count(count) => datum.value(count as f64),
        Value::Level(level) => datum.value(level),
        Value::Spread(spread) => datum.statistic_values(
            StatisticSet::builder()
                .sample_count(spread.count as f64)
                .sum(spread.sum)
                .minimum(spread.min)
                .maximum(spread.max)
                .build(),
        ),
    }
    .build()
}

fn dimensions(series: Series, environment: &Environment) -> Vec<Dimension> {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let mut dimensions = vec![dimension("Environment", environment.as_str())];
    dimensions.extend(series.queue.map(|queue| dimension("Queue", queue.as_str())));
    dimensions.extend(series.verdict.map(|word| dimension("Verdict", word)));
    dimensions
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::QueueName;
    use trawler_core::environment::ENVIRONMENT_CHARS_MAX;
    use trawler_core::ports::Metric;

    use super::*;

    fn environment(text: &str) -> Environment {
        Environment::parse(text).unwrap()
    }

    /// The head of this module's parent counts the cost by it.
    #[test]
    fn there_are_at_most_49_custom_metrics() {
        assert_eq!(Series::all().len(), 49);
    }

    #[test]
    fn the_longest_datum_is_within_its_bound() {
        let environment = environment(&"e".repeat(ENVIRONMENT_CHARS_MAX));
        for series in Series::all() {
            let datum = datum(
                series,
                Value::Level(1.0),
                &environment,
                DateTime::UNIX_EPOCH,
            );
            let strings: usize = datum
                .dimensions()
                .iter()
                .map(|d| d.name().unwrap().len() + d.value().unwrap().len())
                .sum();
            // Keys of the encoding: MetricName, Dimensions, Timestamp, Unit,
            // StatisticValues with four names and numbers, and Name and Value
            // of each dimension.
            let keys = 10 + 10 + 9 + 4 + 15 + 30 + 5 * 9 + 8 + 3 * 9 + 40;
            let bytes = datum.metric_name().unwrap().len() + strings + keys;
            assert!(bytes <= DATUM_BYTES_MAX, "{series:?}: {bytes}");
        }
    }

    #[test]
    fn figures_become_sums_levels_and_statistic_sets() {
        let mut minute = Figures::new();
        let queue = QueueName::Crawl;
        minute.record(Metric::LeaseLost { queue });
        minute.record(Metric::ProductsRead { rows: 0 });
        minute.record(Metric::JobSettled {
            queue,
            verdict: "done",
        });
        for seconds in [3.0, 5.0] {
            minute.record(Metric::RunFinished { seconds });
        }
        let at = DateTime::from_timestamp_millis(1_234).unwrap();
        let data = of(&minute, &environment("test"), at);
        let lines: Vec<String> = data.iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "JobsSettled Environment=test Queue=crawl Verdict=done 1 Count",
                "LeasesLost Environment=test Queue=crawl 1 Count",
                "RunSeconds Environment=test n=2 sum=8 min=3 max=5 Seconds",
            ]
        );
        assert!(
            data.iter()
                .all(|d| d.timestamp() == Some(&AwsDateTime::from_millis(1_234)))
        );
    }

    fn line(datum: &MetricDatum) -> String {
        let mut words = vec![datum.metric_name().unwrap().to_owned()];
        for d in datum.dimensions() {
            words.push(format!("{}={}", d.name().unwrap(), d.value().unwrap()));
        }
        words.extend(datum.value().map(|value| value.to_string()));
        if let Some(set) = datum.statistic_values() {
            words.push(format!(
                "n={} sum={} min={} max={}",
                set.sample_count().unwrap(),
                set.sum().unwrap(),
                set.minimum().unwrap(),
                set.maximum().unwrap()
            ));
        }
        words.push(datum.unit().unwrap().as_str().to_owned());
        words.join(" ")
    }
}
