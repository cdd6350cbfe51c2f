//! Which images a run turns into jobs: new and moved ones, failed ones whose
//! time has come, and stored ones that are due for a second look.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::image::{ImageStatus, Recheck};
use crate::pipe::ImageOptions;

/// What the catalogue says of the image of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageStanding<'a> {
    pub product_id: &'a str,
    pub status: ImageStatus,
    /// When it was fetched last.
    pub tried: Option<DateTime<Utc>>,
}

/// Whether the run due at `due` fetches the image.
pub fn is_image_due(image: ImageStanding<'_>, options: &ImageOptions, due: DateTime<Utc>) -> bool {
    if !options.collect {
        return false;
    }
    if image.status == ImageStatus::Pending {
        return true;
    }
    let retry_after = chrono::Duration::hours(i64::from(options.retry_hours));
    let rested = image.tried.is_none_or(|tried| due - tried >= retry_after);
    if image.status.is_transient() && rested {
        return true;
    }
    match options.recheck {
        Recheck::Never => false,
        Recheck::EveryRun => true,
        Recheck::Days { every_days } => {
            let every = i64::from(every_days.max(1));
            let day = due.timestamp().div_euclid(24 * 60 * 60);
            day.rem_euclid(every) == spread(image.product_id).rem_euclid(every)
        }
    }
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
        let now = DateTime::<Utc>::UNIX_EPOCH + chrono::Duration::days(20_000);
        let image = ImageStanding {
            product_id: "p1",
            status,
            tried: Some(now - chrono::Duration::hours(hours_since)),
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
    fn every_image_is_rechecked_once_in_so_many_days() {
        let options = ImageOptions {
            recheck: Recheck::Days { every_days: 7 },
            ..ImageOptions::default()
        };
        let start = DateTime::<Utc>::UNIX_EPOCH + chrono::Duration::days(20_000);
        for product in 0..100 {
            let id = format!("p{product}");
            let days = (0..7)
                .filter(|day| {
                    let image = ImageStanding {
                        product_id: &id,
                        status: ImageStatus::Stored,
                        tried: None,
                    };
                    is_image_due(image, &options, start + chrono::Duration::days(*day))
                })
                .count();
            assert_eq!(days, 1, "{id}");
        }
    }

    #[test]
    fn a_pipe_that_collects_no_images_has_no_image_jobs() {
        let options = ImageOptions {
            collect: false,
            ..ImageOptions::default()
        };
        let image = ImageStanding {
            product_id: "p",
            status: ImageStatus::Pending,
            tried: None,
        };
        assert!(!is_image_due(image, &options, DateTime::<Utc>::UNIX_EPOCH));
    }
}
