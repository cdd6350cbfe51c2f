//! Auto Scaling: over the wire against moto with real groups and instances,
//! and against a group of our own for what moto does not do.

use std::sync::Arc;
use std::time::Duration;

use trawler_aws::{AutoScaling, AutoScalingOptions, Cloud, Shrink};
use trawler_core::QueueName;
use trawler_core::ports::{Capacity, CapacityError, Completion};
use trawler_tests::ManualClock;
use trawler_tests::emulator::{Moto, REGION};
use trawler_tests::group::{GROUP, Group, HOOK};
use trawler_tests::proxy::{Fault, FaultProxy};

use crate::wire::{query, values};

/// An image that moto knows.
const IMAGE: &str = "ami-12c6146b";

fn auto_scaling(action: &str, form: &[(&str, &str)]) -> String {
    let mut all = vec![("Action", action)];
    all.extend(form);
    query(
        &Moto::shared().endpoint(),
        "autoscaling",
        "2011-01-01",
        &all,
    )
}

/// A group of instances that were started through a launch template.
fn make_group(name: &str, min: &str, desired: &str) {
    let endpoint = Moto::shared().endpoint();
    let template = format!("{name}-template");
    let form = [
        ("Action", "CreateLaunchTemplate"),
        ("LaunchTemplateName", template.as_str()),
        ("LaunchTemplateData.ImageId", IMAGE),
        ("LaunchTemplateData.InstanceType", "c7g.large"),
    ];
    query(&endpoint, "ec2", "2016-11-15", &form);
    let form = [
        ("AutoScalingGroupName", name),
        ("MinSize", min),
        ("MaxSize", "6"),
        ("DesiredCapacity", desired),
        ("AvailabilityZones.member.1", "eu-west-1a"),
        ("LaunchTemplate.LaunchTemplateName", template.as_str()),
        ("LaunchTemplate.Version", "$Latest"),
    ];
    auto_scaling("CreateAutoScalingGroup", &form);
}

fn described(name: &str) -> String {
    auto_scaling(
        "DescribeAutoScalingGroups",
        &[("AutoScalingGroupNames.member.1", name)],
    )
}

fn desired(name: &str) -> String {
    values(&described(name), "DesiredCapacity").remove(0)
}

fn instances(name: &str) -> Vec<String> {
    values(&described(name), "InstanceId")
}

fn options(group: &str, shrink: Shrink) -> AutoScalingOptions {
    AutoScalingOptions {
        groups: [(QueueName::Crawl, group.to_owned())].into(),
        lifecycle_hook: None,
        shrink,
    }
}

async fn open(
    endpoint: &str,
    options: AutoScalingOptions,
    instance: Option<&str>,
) -> Result<(AutoScaling, Arc<ManualClock>), CapacityError> {
    let cloud = Cloud::at(endpoint, REGION).await;
    let clock = Arc::new(ManualClock::default());
    let instance = instance.map(str::to_owned);
    let capacity = AutoScaling::open(&cloud, clock.clone(), options, instance).await?;
    Ok((capacity, clock))
}

#[tokio::test]
async fn wishes_become_desired_capacity_within_the_bounds_and_above_what_is_busy() {
    make_group("wanted", "1", "3");
    let endpoint = Moto::shared().endpoint();
    let busy = instances("wanted").remove(0);
    let idle_only = options("wanted", Shrink::IdleOnly);
    let (worker, _) = open(&endpoint, idle_only.clone(), Some(&busy))
        .await
        .unwrap();
    worker.protect(true).await.unwrap();
    let (planner, _) = open(&endpoint, idle_only, None).await.unwrap();
    for (workers, expected) in [(5, "5"), (99, "6"), (0, "1")] {
        planner.want(QueueName::Crawl, workers).await.unwrap();
        assert_eq!(desired("wanted"), expected, "{workers}");
    }
    assert_eq!(planner.in_service(QueueName::Crawl).await.unwrap(), 1);
    assert_eq!(instances("wanted"), [busy], "the busy one was kept");
    // The floor is what is busy, and can be asked away.
    make_group("floor", "0", "2");
    let both = instances("floor");
    for instance in &both {
        let options = options("floor", Shrink::IdleOnly);
        let (worker, _) = open(&endpoint, options, Some(instance)).await.unwrap();
        worker.protect(true).await.unwrap();
    }
    let (planner, _) = open(&endpoint, options("floor", Shrink::IdleOnly), None)
        .await
        .unwrap();
    planner.want(QueueName::Crawl, 0).await.unwrap();
    assert_eq!(desired("floor"), "2");
    let (planner, _) = open(&endpoint, options("floor", Shrink::ToWanted), None)
        .await
        .unwrap();
    planner.want(QueueName::Crawl, 0).await.unwrap();
    assert_eq!(desired("floor"), "0");
    assert_eq!(instances("floor"), both, "protected ones work on");
}

#[tokio::test]
async fn a_worker_is_protected_while_busy_and_asks_only_on_change() {
    make_group("guarded", "0", "2");
    let proxy = FaultProxy::start(&Moto::shared().endpoint()).await;
    let me = instances("guarded").remove(0);
    let options = options("guarded", Shrink::IdleOnly);
    let (worker, _) = open(&proxy.endpoint(), options, Some(&me)).await.unwrap();
    let before = proxy.counts().requests;
    for busy in [false, true, true, true, false, false] {
        worker.protect(busy).await.unwrap();
        let form = [("InstanceIds.member.1", me.as_str())];
        let xml = auto_scaling("DescribeAutoScalingInstances", &form);
        assert_eq!(values(&xml, "ProtectedFromScaleIn"), [busy.to_string()]);
    }
    assert_eq!(proxy.counts().requests - before, 2, "on change only");
    // While it is protected, the group shrinks round it.
    worker.protect(true).await.unwrap();
    let form = [
        ("AutoScalingGroupName", "guarded"),
        ("DesiredCapacity", "1"),
    ];
    auto_scaling("SetDesiredCapacity", &form);
    assert_eq!(instances("guarded"), [me]);
}

#[tokio::test]
async fn leaving_takes_one_place_away_however_often_it_is_asked() {
    make_group("left", "0", "3");
    let me = instances("left").remove(1);
    let options = options("left", Shrink::IdleOnly);
    let endpoint = Moto::shared().endpoint();
    let (worker, _) = open(&endpoint, options.clone(), Some(&me)).await.unwrap();
    for _ in 0..3 {
        worker.leave().await.unwrap();
    }
    assert_eq!(desired("left"), "2");
    let left = instances("left");
    assert!(left.len() == 2 && !left.contains(&me), "{left:?}");
    // Nor when the process was started anew meanwhile.
    let (again, _) = open(&endpoint, options, Some(&me)).await.unwrap();
    again.leave().await.unwrap();
    again.protect(true).await.unwrap();
    assert_eq!(desired("left"), "2");
}

#[tokio::test]
async fn a_worker_that_is_replaced_leaves_its_place_to_another() {
    make_group("replaced", "3", "3");
    let me = instances("replaced").remove(1);
    let with_place = options("replaced", Shrink::IdleOnly);
    let endpoint = Moto::shared().endpoint();
    let (worker, _) = open(&endpoint, with_place, Some(&me)).await.unwrap();
    for _ in 0..3 {
        worker.replace().await.unwrap();
    }
    assert_eq!(desired("replaced"), "3");
    let now = instances("replaced");
    assert!(now.len() == 3 && !now.contains(&me), "{now:?}");
    // Its hook is completed, and an answer that is lost does no harm.
    let group = Group::start(&["i-1"]).await;
    let with_hook = AutoScalingOptions {
        lifecycle_hook: Some(HOOK.to_owned()),
        ..options(GROUP, Shrink::IdleOnly)
    };
    let (worker, _) = open(group.endpoint(), with_hook, Some("i-1"))
        .await
        .unwrap();
    group.state().min = 1;
    group.state().lose_answer_of = Some("TerminateInstanceInAutoScalingGroup");
    assert!(worker.replace().await.unwrap_err().is_transient());
    worker.replace().await.unwrap();
    assert_eq!(worker.complete().await.unwrap(), Completion::Completed);
    assert_eq!(group.state().desired, 1);
    assert!(!group.state().states.contains_key("i-1"));
}

#[tokio::test]
async fn a_lost_answer_does_not_take_a_second_place_away() {
    make_group("lost", "0", "3");
    let proxy = FaultProxy::start(&Moto::shared().endpoint()).await;
    let me = instances("lost").remove(0);
    let options = options("lost", Shrink::IdleOnly);
    let (worker, _) = open(&proxy.endpoint(), options, Some(&me)).await.unwrap();
    // The second request from now on: after the look, the termination itself.
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let is_second = move |_: &_| seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
    proxy.fail_next(is_second, Fault::Lost);
    let error = worker.leave().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(desired("lost"), "2", "it happened");
    worker.leave().await.unwrap();
    worker.leave().await.unwrap();
    assert_eq!(desired("lost"), "2");
}

#[tokio::test]
async fn a_group_that_shows_a_termination_late_is_not_asked_again() {
    let group = Group::start(&["i-1", "i-2"]).await;
    let options = options(GROUP, Shrink::IdleOnly);
    let (worker, clock) = open(group.endpoint(), options, Some("i-1")).await.unwrap();
    {
        let mut state = group.state();
        state.stale = true;
        state.lose_answer_of = Some("TerminateInstanceInAutoScalingGroup");
    }
    for _ in 0..4 {
        let error = worker.leave().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        clock.advance(Duration::from_secs(5));
    }
    assert_eq!(group.count("TerminateInstanceInAutoScalingGroup"), 1);
    group.state().stale = false;
    worker.leave().await.unwrap();
    assert_eq!(group.count("TerminateInstanceInAutoScalingGroup"), 1);
    assert_eq!(group.state().desired, 1);
}

#[tokio::test]
async fn a_request_that_did_not_arrive_is_made_again_in_time() {
    let group = Group::start(&["i-1", "i-2"]).await;
    let proxy = FaultProxy::start(group.endpoint()).await;
    let options = options(GROUP, Shrink::IdleOnly);
    let (worker, clock) = open(&proxy.endpoint(), options, Some("i-1")).await.unwrap();
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let is_second = move |_: &_| seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
    proxy.fail_next(is_second, Fault::Reset);
    assert!(worker.leave().await.unwrap_err().is_transient());
    assert_eq!(group.count("TerminateInstanceInAutoScalingGroup"), 0);
    assert!(worker.leave().await.unwrap_err().is_transient());
    clock.advance(Duration::from_secs(31));
    worker.leave().await.unwrap();
    assert_eq!(group.state().desired, 1);
}

#[tokio::test]
async fn the_hook_of_a_terminating_instance_is_completed() {
    let group = Group::start(&["i-1", "i-2"]).await;
    let with_hook = AutoScalingOptions {
        lifecycle_hook: Some(HOOK.to_owned()),
        ..options(GROUP, Shrink::IdleOnly)
    };
    let (worker, _) = open(group.endpoint(), with_hook, Some("i-1"))
        .await
        .unwrap();
    assert_eq!(worker.complete().await.unwrap(), Completion::NotAwaited);
    worker.leave().await.unwrap();
    assert_eq!(worker.complete().await.unwrap(), Completion::Completed);
    assert!(!group.state().states.contains_key("i-1"));
    assert_eq!(worker.complete().await.unwrap(), Completion::NotAwaited);
    // Without a hook in the configuration nobody is asked.
    let options = options(GROUP, Shrink::IdleOnly);
    let (other, _) = open(group.endpoint(), options, Some("i-2")).await.unwrap();
    let before = group.count("CompleteLifecycleAction");
    assert_eq!(other.complete().await.unwrap(), Completion::NoHook);
    assert_eq!(group.count("CompleteLifecycleAction"), before);
}

#[tokio::test]
async fn refusals_name_what_to_change() {
    let endpoint = Moto::shared().endpoint();
    let missing = open(&endpoint, options("nobody", Shrink::IdleOnly), None).await;
    let error = missing.err().unwrap();
    assert_eq!(
        error.to_string(),
        "describe Auto Scaling group nobody: there is no group of this name in eu-west-1; create it, or name another in the configuration"
    );
    let group = Group::start(&["i-1"]).await;
    let crawl_only = options(GROUP, Shrink::IdleOnly);
    let (worker, _) = open(group.endpoint(), crawl_only.clone(), Some("i-1"))
        .await
        .unwrap();
    let error = worker.want(QueueName::Image, 1).await.unwrap_err();
    assert!(
        error.to_string().contains("names no Auto Scaling group"),
        "{error}"
    );
    // A group that may not get smaller lets nobody go.
    group.state().min = 1;
    let error = worker.leave().await.unwrap_err();
    assert!(
        !error.is_transient() && error.to_string().contains("min size"),
        "{error}"
    );
    group.state().denied = true;
    let error = open(group.endpoint(), crawl_only, None)
        .await
        .err()
        .unwrap();
    let told = error.to_string();
    assert!(!error.is_transient(), "{told}");
    assert!(
        told.contains("allow autoscaling:DescribeAutoScalingGroups"),
        "{told}"
    );
}

/// As while the stack is updated, and after two who leave at once.
#[tokio::test]
async fn a_group_at_its_least_says_that_nobody_may_leave() {
    let group = Group::start(&["i-1", "i-2"]).await;
    let options = options(GROUP, Shrink::IdleOnly);
    let (worker, _) = open(group.endpoint(), options.clone(), Some("i-1"))
        .await
        .unwrap();
    for (min, expected) in [(0, true), (1, true), (2, false), (1, true)] {
        group.state().min = min;
        assert_eq!(worker.may_leave().await.unwrap(), expected, "{min}");
    }
    let (other, _) = open(group.endpoint(), options.clone(), Some("i-2"))
        .await
        .unwrap();
    other.leave().await.unwrap();
    assert!(!worker.may_leave().await.unwrap());
    let (elsewhere, _) = open(group.endpoint(), options, Some("i-9")).await.unwrap();
    assert!(elsewhere.may_leave().await.unwrap());
    // What is paid for is what is there, however much is wanted.
    group.state().desired = 9;
    let heads = worker.headcount(QueueName::Crawl).await.unwrap();
    assert_eq!((heads.launched, heads.booting, heads.leaving), (2, 8, 1));
}

#[tokio::test]
async fn an_instance_outside_a_group_has_nothing_to_protect_or_leave() {
    let group = Group::start(&["i-1"]).await;
    let options = options(GROUP, Shrink::IdleOnly);
    let (elsewhere, _) = open(group.endpoint(), options, Some("i-9")).await.unwrap();
    let before = group.state().calls.len();
    elsewhere.protect(true).await.unwrap();
    elsewhere.leave().await.unwrap();
    assert_eq!(elsewhere.complete().await.unwrap(), Completion::NoHook);
    assert_eq!(group.state().calls.len(), before);
    assert_eq!(elsewhere.in_service(QueueName::Crawl).await.unwrap(), 1);
}
