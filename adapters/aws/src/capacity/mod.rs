//! Capacity of a fleet on Auto Scaling groups, one a queue, and this
//! instance's place in one of them.
//!
//! `leave` takes the instance out together with its place (the desired
//! capacity falls by one), and that must happen once: the SDK's retries are off
//! for it, a repeated call looks first whether the instance is going already,
//! and after an answer that was lost nothing is asked again until the group had
//! time to show what it did. `replace` leaves the place to another instance; it
//! goes the same way.

mod failure;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::config::Config;
use aws_sdk_autoscaling::types::{AutoScalingGroup, AutoScalingInstanceDetails, Instance};
use aws_smithy_types::retry::RetryConfig;
use chrono::{DateTime, Utc};
use trawler_core::QueueName;
use trawler_core::ports::{Capacity, CapacityError, Clock, Completion, Headcount, Start};

use crate::Cloud;
use failure::{failure, is_unknown_instance, refused};

/// How long a group may take to show a termination whose answer was lost; its
/// reads are eventually consistent, within seconds.
const SETTLE_MAX: Duration = Duration::from_secs(30);

const CONTINUE: &str = "CONTINUE";

/// Whether `want` may go below what is busy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shrink {
    /// Never below the protected instances: each of them takes its place with
    /// it when it leaves, and a lower wish would be undercut.
    #[default]
    IdleOnly,
    /// To what is wanted. Protected instances still work on until they leave.
    ToWanted,
}

/// Which groups there are.
#[derive(Debug, Clone, Default)]
pub struct AutoScalingOptions {
    /// The name of the group that works on a queue.
    pub groups: BTreeMap<QueueName, String>,
    /// The group's hook for terminating instances, if it has one: the drain
    /// completes it, so that nobody waits for its time-out.
    pub lifecycle_hook: Option<String>,
    pub shrink: Shrink,
}

/// This instance in its group.
#[derive(Debug, Clone)]
struct Place {
    instance: String,
    group: String,
}

/// What becomes of an instance's place in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vacancy {
    /// The desired capacity falls with it.
    Closed,
    /// Another instance is started.
    Filled,
}

impl Vacancy {
    fn verb(self) -> &'static str {
        match self {
            Self::Closed => "leave",
            Self::Filled => "replace",
        }
    }
}

/// How far this instance's leaving has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// Asked for at this moment of the monotonic clock; the answer was lost.
    Asked(Duration),
    Left,
}

/// Capacity on Auto Scaling.
pub struct AutoScaling {
    client: Client,
    clock: Arc<dyn Clock>,
    options: AutoScalingOptions,
    /// `None` outside a group: there is nothing to protect or to leave.
    place: Option<Place>,
    /// When this instance was launched, if that is known.
    launched: Option<DateTime<Utc>>,
    /// What the group is known to hold true; `None` while a call is under way
    /// or its answer was lost.
    protected: std::sync::Mutex<Option<bool>>,
    leaving: tokio::sync::Mutex<Leaving>,
}

impl AutoScaling {
    /// Makes sure that the groups are there, and finds this instance's place;
    /// `instance` is `None` off EC2.
    ///
    /// # Errors
    /// `Refused` names the group that is missing, or the permission.
    pub async fn open(
        cloud: &Cloud,
        clock: Arc<dyn Clock>,
        options: AutoScalingOptions,
        instance: Option<String>,
    ) -> Result<Self, CapacityError> {
        let mut capacity = Self {
            client: Client::new(cloud.config()),
            clock,
            options,
            place: None,
            launched: None,
            protected: std::sync::Mutex::new(None),
            leaving: tokio::sync::Mutex::new(Leaving::No),
        };
        for group in capacity.options.groups.values() {
            capacity.describe(group).await?;
        }
        if let Some(instance) = instance {
            capacity.take_place(instance).await?;
        }
        Ok(capacity)
    }

    /// With the instant at which this instance was launched.
    pub fn launched(self, at: Option<DateTime<Utc>>) -> Self {
        Self {
            launched: at,
            ..self
        }
    }

    async fn take_place(&mut self, instance: String) -> Result<(), CapacityError> {
        let details = self.details(&instance).await?;
        let group = details.as_ref().and_then(|d| d.auto_scaling_group_name());
        let Some(group) = group.map(str::to_owned) else {
            tracing::warn!(%instance, "instance {instance} is in no Auto Scaling group: it is not protected and does not leave by itself");
            return Ok(());
        };
        let protected = details.and_then(|d| d.protected_from_scale_in());
        tracing::info!(%instance, %group, ?protected, "instance {instance} has a place in group {group}");
        self.remember(protected);
        self.place = Some(Place { instance, group });
        Ok(())
    }

    /// The group as it is now.
    async fn describe(&self, name: &str) -> Result<AutoScalingGroup, CapacityError> {
        let (verb, what) = ("describe", format!("Auto Scaling group {name}"));
        let found = self
            .client
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(name)
            .send()
            .await
            .map_err(|error| failure(verb, &what, "DescribeAutoScalingGroups", error))?;
        let group = found.auto_scaling_groups.unwrap_or_default().pop();
        group.ok_or_else(|| {
            let reason = format!(
                "there is no group of this name in {}; create it, or name another in the configuration",
                self.region()
            );
            refused(verb, &what, reason)
        })
    }

    /// The instance as its group has it; `None` outside a group.
    async fn details(
        &self,
        instance: &str,
    ) -> Result<Option<AutoScalingInstanceDetails>, CapacityError> {
        let what = format!("instance {instance}");
        let found = self
            .client
            .describe_auto_scaling_instances()
            .instance_ids(instance)
            .send()
            .await
            .map_err(|error| failure("describe", &what, "DescribeAutoScalingInstances", error))?;
        Ok(found.auto_scaling_instances.unwrap_or_default().pop())
    }

    fn group_of(&self, verb: &'static str, queue: QueueName) -> Result<&str, CapacityError> {
        let group = self.options.groups.get(&queue).map(String::as_str);
        group.ok_or_else(|| {
            let reason = "the configuration names no Auto Scaling group for it".to_owned();
            refused(verb, &format!("workers of the {queue} queue"), reason)
        })
    }

    fn region(&self) -> &str {
        self.client.config().region().map_or("", AsRef::as_ref)
    }

    fn remember(&self, protected: Option<bool>) {
        *self
            .protected
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = protected;
    }

    /// Takes the instance out. An unknown instance has left before.
    async fn terminate(&self, place: &Place, vacancy: Vacancy) -> Result<(), CapacityError> {
        let terminate = self
            .client
            .terminate_instance_in_auto_scaling_group()
            .instance_id(&place.instance)
            .should_decrement_desired_capacity(vacancy == Vacancy::Closed)
            .customize()
            // A retry after a lost answer would take a second place away.
            .config_override(Config::builder().retry_config(RetryConfig::disabled()));
        match terminate.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_unknown_instance(&error) => Ok(()),
            Err(error) => {
                let what = format!("group {} with instance {}", place.group, place.instance);
                let action = "TerminateInstanceInAutoScalingGroup";
                Err(failure(vacancy.verb(), &what, action, error))
            }
        }
    }

    /// Whether the group has let the instance go, or is about to.
    async fn is_going(&self, place: &Place) -> Result<bool, CapacityError> {
        let details = self.details(&place.instance).await?;
        Ok(details.is_none_or(|details| is_going(details.lifecycle_state().unwrap_or_default())))
    }

    /// Takes this instance out of its group, once.
    async fn go(&self, vacancy: Vacancy) -> Result<(), CapacityError> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        let mut leaving = self.leaving.lock().await;
        if *leaving == Leaving::Left {
            return Ok(());
        }
        if self.is_going(place).await? {
            *leaving = Leaving::Left;
            return Ok(());
        }
        if let Leaving::Asked(at) = *leaving
            && self.clock.monotonic().saturating_sub(at) < SETTLE_MAX
        {
            return Err(CapacityError::Unavailable {
                verb: vacancy.verb(),
                what: format!("group {}", place.group),
                source:
                    "the answer to the first request was lost, and the group does not show it yet"
                        .into(),
            });
        }
        // Also if this call is dropped before its answer.
        *leaving = Leaving::Asked(self.clock.monotonic());
        match self.terminate(place, vacancy).await {
            Ok(()) => {
                *leaving = Leaving::Left;
                let (instance, group) = (&place.instance, &place.group);
                match vacancy {
                    Vacancy::Closed => {
                        tracing::info!(%instance, %group, "instance {instance} leaves group {group} and takes its place with it");
                    }
                    Vacancy::Filled => {
                        tracing::info!(%instance, %group, "instance {instance} leaves group {group}, which starts another");
                    }
                }
                Ok(())
            }
            Err(error) => {
                if !error.is_transient() {
                    *leaving = Leaving::No;
                }
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Capacity for AutoScaling {
    async fn want(&self, queue: QueueName, workers: u32) -> Result<(), CapacityError> {
        let name = self.group_of("want", queue)?;
        let group = self.describe(name).await?;
        let capacity = cut(workers, &group, self.options.shrink);
        if group.desired_capacity() == Some(capacity) {
            return Ok(());
        }
        let what = format!("{capacity} instances in group {name}");
        self.client
            .set_desired_capacity()
            .auto_scaling_group_name(name)
            .desired_capacity(capacity)
            .honor_cooldown(false)
            .send()
            .await
            .map_err(|error| failure("want", &what, "SetDesiredCapacity", error))?;
        tracing::info!(group = name, workers, capacity, was = ?group.desired_capacity(), "group {name} is to have {capacity} instances");
        Ok(())
    }

    async fn headcount(&self, queue: QueueName) -> Result<Headcount, CapacityError> {
        let group = self.describe(self.group_of("count", queue)?).await?;
        Ok(count(&group, self.options.shrink))
    }

    fn start(&self) -> Option<Start> {
        Some(Start {
            machine: self.place.as_ref()?.instance.clone(),
            at: self.launched?,
        })
    }

    async fn protect(&self, busy: bool) -> Result<(), CapacityError> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        let known = *self
            .protected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known == Some(busy) {
            return Ok(());
        }
        self.remember(None);
        let what = format!("instance {} of group {}", place.instance, place.group);
        self.client
            .set_instance_protection()
            .auto_scaling_group_name(&place.group)
            .instance_ids(&place.instance)
            .protected_from_scale_in(busy)
            .send()
            .await
            .map_err(|error| failure("protect", &what, "SetInstanceProtection", error))?;
        self.remember(Some(busy));
        Ok(())
    }

    async fn may_leave(&self) -> Result<bool, CapacityError> {
        let Some(place) = &self.place else {
            return Ok(true);
        };
        let group = self.describe(&place.group).await?;
        Ok(group.desired_capacity() > group.min_size())
    }

    async fn leave(&self) -> Result<(), CapacityError> {
        self.go(Vacancy::Closed).await
    }

    async fn replace(&self) -> Result<(), CapacityError> {
        self.go(Vacancy::Filled).await
    }

    async fn complete(&self) -> Result<Completion, CapacityError> {
        let (Some(place), Some(hook)) = (&self.place, &self.options.lifecycle_hook) else {
            return Ok(Completion::NoHook);
        };
        let what = format!("hook {hook} of instance {}", place.instance);
        let complete = self
            .client
            .complete_lifecycle_action()
            .auto_scaling_group_name(&place.group)
            .lifecycle_hook_name(hook)
            .instance_id(&place.instance)
            .lifecycle_action_result(CONTINUE)
            .send();
        match complete.await {
            Ok(_) => {
                tracing::info!(instance = place.instance, "completed {what}");
                Ok(Completion::Completed)
            }
            Err(error) if failure::is_not_awaited(&error) => Ok(Completion::NotAwaited),
            Err(error) => Err(failure("complete", &what, "CompleteLifecycleAction", error)),
        }
    }
}

/// By the state of its lifecycle.
fn is_going(state: &str) -> bool {
    ["Terminating", "Terminated", "Detaching", "Detached"]
        .iter()
        .any(|going| state.starts_with(going))
}

/// The group in figures. What is wanted and not there yet boots, also before
/// the group has started it; paid for is what it has started.
fn count(group: &AutoScalingGroup, shrink: Shrink) -> Headcount {
    let bound = |size: Option<i32>| u32::try_from(size.unwrap_or(0)).unwrap_or(0);
    let mut found = Headcount {
        wanted: bound(group.desired_capacity()),
        min: bound(group.min_size()),
        max: bound(group.max_size()),
        launched: u32::try_from(group.instances().len()).unwrap_or(u32::MAX),
        held: held(group, shrink),
        ..Headcount::default()
    };
    for instance in group.instances() {
        let state = instance
            .lifecycle_state()
            .map_or("", |state| state.as_str());
        if state == "InService" {
            found.in_service += 1;
            found.busy += u32::from(instance.protected_from_scale_in().unwrap_or_default());
        } else if state.starts_with("Pending") {
            found.booting += 1;
        } else {
            found.leaving += 1;
        }
    }
    let missing = found.wanted.saturating_sub(found.in_service);
    found.booting = found.booting.max(missing);
    found
}

/// What is protected and stays, whether it is in service or boots.
fn held(group: &AutoScalingGroup, shrink: Shrink) -> u32 {
    // One that leaves keeps its protection, and needs no place any more: a wish
    // raised for it would start another.
    let stays = |instance: &&Instance| {
        let state = instance.lifecycle_state().map_or("", |it| it.as_str());
        !is_going(state)
    };
    let held = match shrink {
        Shrink::ToWanted => 0,
        Shrink::IdleOnly => group
            .instances()
            .iter()
            .filter(stays)
            .filter(|instance| instance.protected_from_scale_in().unwrap_or_default())
            .count(),
    };
    u32::try_from(held).unwrap_or(u32::MAX)
}

/// The wish within the group's bounds.
fn cut(workers: u32, group: &AutoScalingGroup, shrink: Shrink) -> i32 {
    let wish = workers.max(held(group, shrink));
    let wish = i32::try_from(wish).unwrap_or(i32::MAX);
    let most = group.max_size().unwrap_or(i32::MAX);
    // A group's least is never above its most.
    wish.max(group.min_size().unwrap_or(0)).min(most)
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::LifecycleState;

    use super::*;

    #[test]
    fn wishes_are_cut_to_the_bounds_and_to_what_is_busy() {
        let instance = |state: &str, busy| {
            Instance::builder()
                .lifecycle_state(LifecycleState::from(state))
                .protected_from_scale_in(busy)
                .build()
        };
        let group = AutoScalingGroup::builder()
            .min_size(1)
            .max_size(10)
            .instances(instance("InService", true))
            .instances(instance("InService", true))
            .instances(instance("Pending", true))
            .instances(instance("InService", false))
            .instances(instance("Terminating:Wait", true))
            .instances(instance("Terminated", true))
            .build();
        let check = |workers: u32, shrink: Shrink, expected: i32| {
            assert_eq!(
                cut(workers, &group, shrink),
                expected,
                "{workers} {shrink:?}"
            );
        };
        check(5, Shrink::IdleOnly, 5);
        check(2, Shrink::IdleOnly, 3);
        check(0, Shrink::IdleOnly, 3);
        check(2, Shrink::ToWanted, 2);
        check(0, Shrink::ToWanted, 1);
        check(11, Shrink::ToWanted, 10);
        check(u32::MAX, Shrink::IdleOnly, 10);
    }

    #[test]
    fn what_is_wanted_and_not_there_boots_and_is_not_paid_for() {
        let instance = |state: &str, busy| {
            Instance::builder()
                .lifecycle_state(LifecycleState::from(state))
                .protected_from_scale_in(busy)
                .build()
        };
        let group = |desired: i32| {
            AutoScalingGroup::builder()
                .min_size(1)
                .max_size(10)
                .desired_capacity(desired)
                .instances(instance("InService", true))
                .instances(instance("InService", false))
                .instances(instance("Pending:Wait", true))
                .instances(instance("Terminating:Wait", true))
                .build()
        };
        let check = |desired: i32, booting: u32| {
            let expected = Headcount {
                in_service: 2,
                busy: 1,
                booting,
                leaving: 1,
                launched: 4,
                held: 2,
                wanted: u32::try_from(desired).unwrap_or(0),
                min: 1,
                max: 10,
            };
            let found = count(&group(desired), Shrink::IdleOnly);
            assert_eq!(found, expected, "{desired}");
        };
        check(3, 1);
        check(7, 5);
        check(1, 1);
    }
}
