//! Which images a run turns into jobs: new and moved ones, failed ones whose
//! time has come, and stored ones that are due for a second look. And which
//! failed ones the upkeep tries again between runs: at growing ages.

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};

use crate::image::{ImageStatus, Recheck};
use crate::image_policy::is_made_by;
use crate::pipe::ImageOptions;
use crate::refetch::{Ages, Failed};

/// What the catalogue says of the image of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageStanding<'a> {
    pub product_id: &'a str,
    pub status: ImageStatus,
    /// When it was fetched last.
    pub tried: Option<DateTime<Utc>>,
}

/// Whether the run due at `due` fetches the image. What waits when a pipe stops
/// collecting images has a last job, which asks nobody and says `not_collected`.
pub fn is_image_due(image: ImageStanding<'_>, options: &ImageOptions, due: DateTime<Utc>) -> bool {
    if !options.collect {
        return image.status == ImageStatus::Pending;
    }
    if is_awaited(image.status) {
        return true;
    }
    let retry_after = Duration::hours(i64::from(options.retry_hours));
    let rested = image.tried.is_none_or(|tried| due - tried >= retry_after);
    if image.status.is_transient() && rested {
        return true;
    }
    match options.recheck {
        Recheck::Never => false,
        Recheck::EveryRun => true,
        Recheck::Days { every_days } => {
            let every = i64::from(every_days.max(1));
            day_of(due).rem_euclid(every) == spread(image.product_id).rem_euclid(every)
        }
    }
}

/// Ages at which a failed image is tried again, in days; after the last of
/// them again each time that many days have passed. What failed for a week is
/// unlikely to be mended tomorrow, and one request a month finds out when it is.
pub const RETRY_AGES_DAYS: [i64; 6] = [1, 2, 4, 8, 16, 30];

/// Whether the status says that the picture was not had.
pub fn is_failure(status: ImageStatus) -> bool {
    match status {
        ImageStatus::Pending
        | ImageStatus::Stored
        | ImageStatus::Unchanged
        | ImageStatus::NotCollected => false,
        ImageStatus::NotFound
        | ImageStatus::Blocked
        | ImageStatus::NotAnImage
        | ImageStatus::Truncated
        | ImageStatus::Corrupt
        | ImageStatus::TooLarge
        | ImageStatus::UnsupportedFormat
        | ImageStatus::Timeout
        | ImageStatus::RefusedAddress
        | ImageStatus::Unreachable
        | ImageStatus::BadUrl
        | ImageStatus::Placeholder
        | ImageStatus::PipePaused => true,
    }
}

/// Whether nobody has asked for the image yet.
fn is_awaited(status: ImageStatus) -> bool {
    match status {
        ImageStatus::Pending | ImageStatus::PipePaused | ImageStatus::NotCollected => true,
        ImageStatus::Stored
        | ImageStatus::Unchanged
        | ImageStatus::NotFound
        | ImageStatus::Blocked
        | ImageStatus::NotAnImage
        | ImageStatus::Truncated
        | ImageStatus::Corrupt
        | ImageStatus::TooLarge
        | ImageStatus::UnsupportedFormat
        | ImageStatus::Timeout
        | ImageStatus::RefusedAddress
        | ImageStatus::Unreachable
        | ImageStatus::BadUrl
        | ImageStatus::Placeholder => false,
    }
}

/// What pictures are made by today, and how soon those of an earlier recipe are
/// made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaking {
    /// Names all variants and how they are made.
    pub recipe: String,
    /// All of them are made anew within so many days; 0 for never.
    pub days: u32,
}

impl Remaking {
    /// Whether the stored variants are of another recipe than today's.
    pub fn is_outdated(&self, recipe: Option<&str>) -> bool {
        recipe.is_some_and(|recipe| !is_made_by(recipe, &self.recipe))
    }

    /// Whether the day of an outdated image has come since the run before this
    /// one: each has one in every `days`, by the hash of its product id. A pipe
    /// that runs once a week does seven days' worth; of one that runs every hour
    /// the first run of a day does it, and the others find little left.
    pub fn is_due(
        &self,
        image: ImageStanding<'_>,
        before: Option<DateTime<Utc>>,
        due: DateTime<Utc>,
    ) -> bool {
        if self.days == 0 || image.status != ImageStatus::Stored {
            return false;
        }
        let every = i64::from(self.days);
        let last = day_of(due);
        // What an earlier run of the same day did not get to is not left.
        let first = before.map_or(last, |before| day_of(before) + 1).min(last);
        let own = spread(image.product_id).rem_euclid(every);
        // The latest day of its own that is not after this one.
        let latest = last - (last - own).rem_euclid(every);
        latest >= first
    }
}

fn day_of(instant: DateTime<Utc>) -> i64 {
    instant.timestamp().div_euclid(24 * 60 * 60)
}

/// Whether an image that fails since `failing_since` came to an age of
/// [`RETRY_AGES_DAYS`] after `since` and not after `until`. Missed ages count
/// once: the newest speaks for those before it. One that is not known to have
/// failed since when is due.
pub fn is_retry_due(
    failing_since: Option<DateTime<Utc>>,
    since: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
) -> bool {
    let Some(failing_since) = failing_since else {
        return true;
    };
    let reached = newest_retry_age(until - failing_since);
    reached.is_some_and(|age| since.is_none_or(|since| failing_since + age > since))
}

/// The newest age of a retry that an image of this age has come to.
fn newest_retry_age(age: Duration) -> Option<Duration> {
    let days = age.num_days();
    let last = RETRY_AGES_DAYS[RETRY_AGES_DAYS.len() - 1];
    let reached = if days >= last {
        days - days % last
    } else {
        *RETRY_AGES_DAYS.iter().rev().find(|step| **step <= days)?
    };
    Some(Duration::days(reached))
}

/// Whether a retry of failed images takes this one up.
pub fn is_wanted_again(image: ImageStanding<'_>, failed: &Failed) -> bool {
    let of_status = failed.statuses.is_empty() || failed.statuses.contains(&image.status);
    let of_age = match failed.which {
        Ages::Any => true,
        Ages::Due { since, until } => is_retry_due(image.tried, since, until),
    };
    is_failure(image.status) && of_status && of_age
}

/// A number that depends on the product alone, so that rechecks spread evenly
/// over the days.
fn spread(product_id: &str) -> i64 {
    let digest = Sha256::digest(product_id);
    i64::from(u32::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3],
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(status: ImageStatus, recheck: Recheck, hours_since: i64) -> bool {
        let now = DateTime::<Utc>::UNIX_EPOCH + Duration::days(20_000);
        let image = ImageStanding {
            product_id: "p1",
            status,
            tried: Some(now - Duration::hours(hours_since)),
        };
        let options = ImageOptions {
            recheck,
            ..ImageOptions::default()
        };
        is_image_due(image, &options, now)
    }

    #[test]
    fn new_failed_and_old_images_become_jobs() {
        use ImageStatus::{NotFound, Pending, Stored, Timeout};
        let check = |status, recheck, hours_since, expected| {
            assert_eq!(
                due(status, recheck, hours_since),
                expected,
                "{status:?} {recheck:?}"
            );
        };
        check(Pending, Recheck::Never, 0, true);
        check(Stored, Recheck::Never, 10_000, false);
        check(Stored, Recheck::EveryRun, 0, true);
        check(Timeout, Recheck::Never, 23, false);
        check(Timeout, Recheck::Never, 24, true);
        check(NotFound, Recheck::Never, 10_000, false);
        check(NotFound, Recheck::EveryRun, 0, true);
    }

    #[test]
    fn failed_images_are_tried_again_at_growing_ages() {
        let began = DateTime::<Utc>::UNIX_EPOCH + Duration::days(20_000) + Duration::hours(5);
        // A job an hour later each day: every age is met on its day, once.
        let jobs: Vec<DateTime<Utc>> = (0..130)
            .map(|day| began + Duration::days(day) + Duration::hours(1))
            .collect();
        let days: Vec<usize> = (1..130)
            .filter(|day| is_retry_due(Some(began), Some(jobs[day - 1]), jobs[*day]))
            .collect();
        assert_eq!(days, [1, 2, 4, 8, 16, 30, 60, 90, 120]);
        // Days that were missed are caught up once, by the newest age.
        let check = |since: Option<i64>, until: i64, expected: bool| {
            let at = |hours: i64| began + Duration::hours(hours);
            let found = is_retry_due(Some(began), since.map(at), at(until));
            assert_eq!(found, expected, "{since:?} {until}");
        };
        check(None, 23, false);
        check(None, 24, true);
        check(None, 24 * 100, true);
        check(Some(24), 47, false);
        check(Some(24), 48, true);
        check(Some(24 * 3), 24 * 20, true);
        check(Some(24 * 17), 24 * 20, false);
        check(Some(24 * 20), 24 * 20, false);
        // A clock that went back asks for nothing.
        check(Some(24 * 9), 24 * 8, false);
        check(None, -5, false);
        assert!(is_retry_due(None, Some(began), began));
    }

    #[test]
    fn a_retry_takes_failures_of_its_statuses_and_ages() {
        use ImageStatus::{NotFound, Pending, Stored, Timeout};
        let now = DateTime::<Utc>::UNIX_EPOCH + Duration::days(20_000);
        let check = |status, hours, statuses: &[ImageStatus], which, expected| {
            let image = ImageStanding {
                product_id: "p",
                status,
                tried: Some(now - Duration::hours(hours)),
            };
            let failed = Failed {
                statuses: statuses.to_vec(),
                which,
            };
            assert_eq!(is_wanted_again(image, &failed), expected, "{status:?}");
        };
        let due = Ages::Due {
            since: None,
            until: now,
        };
        check(NotFound, 25, &[], due, true);
        check(NotFound, 23, &[], due, false);
        check(NotFound, 23, &[], Ages::Any, true);
        check(NotFound, 25, &[Timeout], due, false);
        check(Timeout, 25, &[Timeout], due, true);
        check(Stored, 25, &[], Ages::Any, false);
        check(Pending, 25, &[], Ages::Any, false);
    }

    #[test]
    fn every_image_is_rechecked_once_in_so_many_days() {
        let options = ImageOptions {
            recheck: Recheck::Days { every_days: 7 },
            ..ImageOptions::default()
        };
        let start = DateTime::<Utc>::UNIX_EPOCH + Duration::days(20_000);
        for product in 0..100 {
            let id = format!("p{product}");
            let days = (0..7)
                .filter(|day| {
                    let image = ImageStanding {
                        product_id: &id,
                        status: ImageStatus::Stored,
                        tried: None,
                    };
                    is_image_due(image, &options, start + Duration::days(*day))
                })
                .count();
            assert_eq!(days, 1, "{id}");
        }
    }

    #[test]
    fn a_pipe_that_collects_no_images_fetches_none_and_all_of_them_later() {
        let check = |status, collect, expected| {
            let options = ImageOptions {
                collect,
                recheck: Recheck::Never,
                ..ImageOptions::default()
            };
            let image = ImageStanding {
                product_id: "p",
                status,
                tried: Some(DateTime::<Utc>::UNIX_EPOCH),
            };
            let found = is_image_due(image, &options, DateTime::<Utc>::UNIX_EPOCH);
            assert_eq!(found, expected, "{status:?} {collect}");
        };
        check(ImageStatus::NotCollected, false, false);
        check(ImageStatus::NotCollected, true, true);
        check(ImageStatus::PipePaused, false, false);
        check(ImageStatus::PipePaused, true, true);
        check(ImageStatus::Stored, false, false);
        check(ImageStatus::Stored, true, false);
        check(ImageStatus::Timeout, false, false);
        // Has a last job, which asks nobody.
        check(ImageStatus::Pending, false, true);
    }

    #[test]
    fn outdated_pictures_are_made_anew_once_in_so_many_days() {
        let remaking = Remaking {
            recipe: "new".to_owned(),
            days: 10,
        };
        assert!(remaking.is_outdated(Some("old")));
        assert!(!remaking.is_outdated(Some("new")) && !remaking.is_outdated(None));
        let start = DateTime::<Utc>::UNIX_EPOCH + Duration::days(20_000);
        let times = |remaking: &Remaking, status, id: &str, runs: i64, hours: i64| {
            let due = |run: i64| start + Duration::hours(run * hours);
            let image = ImageStanding {
                product_id: id,
                status,
                tried: None,
            };
            (0..runs)
                .filter(|run| remaking.is_due(image, Some(due(run - 1)), due(*run)))
                .count()
        };
        let mut of_first_day = 0;
        for product in 0..1000 {
            let id = format!("p{product}");
            let check = |runs, hours, expected| {
                let found = times(&remaking, ImageStatus::Stored, &id, runs, hours);
                assert_eq!(found, expected, "{id}: {runs} runs, one every {hours} h");
            };
            // Each once in ten days, however often the pipe runs in that time.
            check(10, 24, 1);
            // While it is not done: with every run of its day.
            check(240, 1, 24);
            check(1, 240, 1);
            check(2, 24 * 365, 2);
            of_first_day += times(&remaking, ImageStatus::Stored, &id, 1, 24);
        }
        assert!((70..=130).contains(&of_first_day), "{of_first_day} of 1000");
        let never = Remaking {
            days: 0,
            ..remaking.clone()
        };
        assert_eq!(times(&never, ImageStatus::Stored, "p", 100, 24), 0);
        // What failed has its own retries.
        assert_eq!(times(&remaking, ImageStatus::NotFound, "p", 100, 24), 0);
    }
}
