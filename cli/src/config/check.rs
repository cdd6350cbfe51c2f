//! What the values of `trawler.toml` may be, each alone and together.

use std::fmt;

use trawler_core::problem::Problem;

use super::{Config, Place, QueueKind};

/// Collects the values that are outside their bounds.
#[derive(Default)]
pub(crate) struct Bounds(pub(crate) Vec<Problem>);

impl Bounds {
    pub(crate) fn unless(&mut self, ok: bool, key: &str, found: &dyn fmt::Display, allowed: &str) {
        if !ok {
            self.0.push(Problem {
                key: key.to_owned(),
                found: found.to_string(),
                allowed: allowed.to_owned(),
            });
        }
    }

    pub(crate) fn within(&mut self, key: &str, found: u64, min: u64, max: u64) {
        self.unless(
            (min..=max).contains(&found),
            key,
            &found,
            &format!("{min} to {max}"),
        );
    }
}

impl Config {
    pub(super) fn check(&self, bounds: &mut Bounds) {
        self.store.check(bounds);
        self.queue.check(bounds);
        self.workers.check(bounds);
        self.scheduler.check(bounds);
        self.net.check(bounds);
        self.catalogue.check(bounds);
        self.images.check(bounds);
        self.metrics.check(bounds);
        self.capacity.check(bounds);
        self.plan.check(bounds);
        bounds.within(
            "retry.attempts_max",
            u64::from(self.retry.attempts_max),
            1,
            50,
        );
        bounds.within(
            "retry.crashes_max",
            u64::from(self.retry.crashes_max),
            1,
            50,
        );
        bounds.within(
            "retry.backoff_base_ms",
            self.retry.backoff_base_ms,
            1,
            600_000,
        );
        bounds.within(
            "retry.backoff_max_ms",
            self.retry.backoff_max_ms,
            self.retry.backoff_base_ms,
            86_400_000,
        );
        self.check_kinds(bounds);
        // Relations between settings, both values named.
        let reach = u64::from(self.retry.attempts_max + self.retry.crashes_max);
        let allowed = format!("more than retry.attempts_max + retry.crashes_max = {reach}");
        bounds.unless(
            u64::from(self.queue.receives_max) > reach,
            "queue.receives_max",
            &self.queue.receives_max,
            &allowed,
        );
    }
}

impl Config {
    /// What is on AWS and what is here have to fit together.
    fn check_kinds(&self, bounds: &mut Bounds) {
        bounds.unless(
            self.environment.is_some() || !self.is_on_aws(),
            "environment",
            &"none",
            "a name such as \"production\", since something here is on AWS: it keeps fleets apart",
        );
        let kind = self.queue.kind;
        let places = [
            ("store.state", self.store.state()),
            ("store.blobs", self.store.blobs()),
            ("store.catalogue", self.store.catalogue()),
        ];
        for (key, place) in places {
            bounds.unless(
                kind != QueueKind::Sqs || place != Place::Local,
                key,
                &place,
                "an s3://bucket/prefix (or store.location) with queue.kind = \"sqs\": every machine of a fleet needs it",
            );
        }
        let state = self.store.state();
        bounds.unless(
            kind != QueueKind::Local || state == Place::Local,
            "store.state",
            &state,
            "none with queue.kind = \"local\": documents in S3 and jobs in a file cannot be kept in step",
        );
        bounds.unless(
            kind == QueueKind::Sqs || !self.capacity.is_set(),
            "capacity",
            &"names of groups",
            &format!(
                "none with queue.kind = {:?}: machines are asked for by a fleet alone",
                kind.as_str()
            ),
        );
    }
}
