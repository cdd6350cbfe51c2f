//! Whole studies: what comes of them is the same for a seed, holds together,
//! and takes the time that is promised.
#![allow(clippy::unwrap_used)]

use trawler_simulator::{Facts, PolicyKind, Study, StudyOptions, Trace, WorkloadKind, html, text};

fn small() -> StudyOptions {
    StudyOptions {
        pipes: 300,
        products: 6_000_000,
        days: 3,
        ..StudyOptions::default()
    }
}

fn run(options: StudyOptions) -> trawler_simulator::Report {
    Study::new(options, Facts::default(), None).run()
}

#[test]
fn the_same_seed_gives_the_same_report_to_the_last_digit() {
    let json = |seed| {
        let options = StudyOptions { seed, ..small() };
        serde_json::to_string(&run(options)).unwrap()
    };
    assert_eq!(json(1), json(1));
    assert_ne!(json(1), json(2));
}

#[test]
fn every_policy_does_all_work_and_none_is_busier_than_it_is_paid_for() {
    let report = run(small());
    assert_eq!(report.sections.len(), 6);
    for section in &report.sections {
        assert_eq!(section.outcomes.len(), PolicyKind::ALL.len());
        let runs = section.outcomes[0].runs;
        for of in &section.outcomes {
            let what = format!("{} {}", section.workload.as_str(), of.policy.as_str());
            assert!(of.is_done, "{what}");
            assert_eq!(of.runs, runs, "{what}");
            for share in [
                of.busy_share,
                of.crawl_busy_share,
                of.image_busy_share,
                of.slot_share,
            ] {
                assert!(
                    share.is_none_or(|share| share > 0.0 && share <= 1.0),
                    "{what}: {share:?}"
                );
            }
            // Nobody is over sooner than the bound.
            assert!(
                of.makespan_ratio.is_none_or(|ratio| ratio >= 0.999),
                "{what}: {:?}",
                of.makespan_ratio
            );
            assert!(of.late >= of.late_anyway, "{what}");
            let sum: f64 = of.bill.lines.iter().map(|line| line.usd).sum();
            assert!((sum - of.bill.total_usd).abs() < 1e-9, "{what}");
            assert!(of.bill.compared_usd < of.bill.total_usd, "{what}");
        }
    }
}

#[test]
fn the_page_stands_alone_and_the_text_names_every_policy() {
    let report = run(StudyOptions {
        workloads: vec![WorkloadKind::Daily],
        ..small()
    });
    let (page, text) = (html(&report), text(&report));
    for kind in PolicyKind::ALL {
        assert!(page.contains(kind.as_str()) && text.contains(kind.as_str()));
    }
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    // Nothing is fetched and nothing runs.
    for foreign in ["<script", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("<svg").count(), 1 + PolicyKind::ALL.len());
    for (key, fact) in report.facts.iter() {
        assert!(page.contains(key), "{key}");
        assert!(!fact.source.is_empty());
    }
}

#[test]
fn a_trace_is_run_as_it_says() {
    let text = "pipe,at,seconds,deadline\n\
                a,2026-11-01T02:00:00Z,600,2026-11-01T04:00:00Z\n\
                b,2026-11-01T02:00:00Z,600,2026-11-01T02:05:00Z\n";
    let trace = Trace::read(text, "t.csv").unwrap();
    let options = StudyOptions {
        policies: vec![PolicyKind::Keda],
        ..StudyOptions::default()
    };
    let report = Study::new(options, Facts::default(), Some(trace)).run();
    let of = &report.sections[0].outcomes[0];
    assert_eq!(
        (of.runs, of.crawl_peak),
        (2, 1),
        "two slots are one instance"
    );
    // b needs ten minutes and is given five: nobody could.
    assert_eq!((of.late, of.late_anyway), (1, 1));
    // The instance boots for about half a minute, both run at once, and the
    // group is empty five minutes after.
    let ratio = of.makespan_ratio.unwrap();
    assert!((1.02..1.15).contains(&ratio), "{ratio}");
    assert!(
        (0.2..0.3).contains(&of.crawl_instance_h),
        "{}",
        of.crawl_instance_h
    );
}

#[test]
fn every_target_of_the_report_is_met() {
    let report = run(StudyOptions {
        policies: vec![PolicyKind::Alarms, PolicyKind::Planner],
        ..StudyOptions::default()
    });
    assert!(report.targets.len() >= 9, "{:?}", report.targets);
    let missed: Vec<_> = report.targets.iter().filter(|it| !it.is_met).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// What this thread took of a core so far, by Linux: the machine may have other
/// things to do.
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    nanos / 1e9
}

/// Prints the report of the whole study: `cargo test --release -p
/// trawler-simulator --test study -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute and more; prints the targets and how long a thousand days take"]
fn a_thousand_days_of_five_thousand_pipes_take_a_minute() {
    print!("{}", text(&run(StudyOptions::default())));
    for kind in PolicyKind::ALL {
        let options = StudyOptions {
            days: 1_000,
            policies: vec![kind],
            workloads: vec![WorkloadKind::Daily],
            ..StudyOptions::default()
        };
        let before = cpu_s();
        let report = run(options);
        let took = cpu_s() - before;
        let of = &report.sections[0].outcomes[0];
        println!(
            "{}: 1,000 days in {took:.1} s of one core, {} events",
            kind.as_str(),
            of.events
        );
        let is_release = !cfg!(debug_assertions);
        assert!(!is_release || took < 60.0, "{took} s");
    }
}
