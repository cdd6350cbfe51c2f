//! What an image job has finished so far: its checkpoint, which outlives the
//! delivery that wrote it and speaks for the job when it is buried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::{ImageOutcome, ImageStatus, KnownImage};
use crate::job::ImageTask;

/// Outcomes that need no further try, by their place in the job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndedImages {
    pub outcomes: BTreeMap<usize, ImageOutcome>,
}

impl EndedImages {
    /// Gives each of these places the outcome, under its own product.
    pub fn insert(&mut self, images: &[ImageTask], places: &[usize], outcome: &ImageOutcome) {
        for &place in places {
            let product_id = images[place].product_id.clone();
            let own = ImageOutcome {
                product_id,
                ..outcome.clone()
            };
            self.outcomes.insert(place, own);
        }
    }

    /// An outcome for every image of a job that is given up: what was finished
    /// stays finished, the rest has this status.
    pub fn given_up(
        mut self,
        images: &[ImageTask],
        status: ImageStatus,
        reason: &str,
    ) -> Vec<ImageOutcome> {
        images
            .iter()
            .enumerate()
            .map(|(place, task)| {
                let ended = self.outcomes.remove(&place);
                // A checkpoint of other images is none of this job's.
                ended
                    .filter(|ended| ended.url == task.url && ended.product_id == task.product_id)
                    .unwrap_or_else(|| ImageOutcome {
                        status,
                        ..given_up(task, reason)
                    })
            })
            .collect()
    }
}

/// What becomes of an image whose tries never came to an end.
pub fn given_up(task: &ImageTask, reason: &str) -> ImageOutcome {
    ImageOutcome {
        product_id: task.product_id.clone(),
        url: task.url.clone(),
        status: ImageStatus::Unreachable,
        reason: reason.to_owned(),
        source: None,
        known: KnownImage::default(),
        variants: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_finished_speaks_for_itself_when_the_job_is_given_up() {
        let task = |id: &str| ImageTask {
            product_id: id.to_owned(),
            url: format!("https://img.test/{id}"),
            known: KnownImage::default(),
            remake: None,
        };
        let images = [task("a"), task("b"), task("c")];
        let mut ended = EndedImages::default();
        let stored = ImageOutcome {
            status: ImageStatus::Stored,
            ..given_up(&images[1], "")
        };
        ended.insert(&images, &[1], &stored);
        // Of another job of that place.
        ended.outcomes.insert(2, given_up(&task("z"), "old"));
        let all = ended.given_up(&images, ImageStatus::PipePaused, "it crashed");
        let told: Vec<_> = all
            .iter()
            .map(|outcome| (outcome.status, outcome.reason.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (ImageStatus::PipePaused, "it crashed"),
                (ImageStatus::Stored, ""),
                (ImageStatus::PipePaused, "it crashed"),
            ]
        );
    }
}
