//! What every test of the handler says.

use trawler_core::image::ImageStatus;
use trawler_core::job::ImageTask;
use trawler_shop::Fault;

pub(crate) const STORED: ImageStatus = ImageStatus::Stored;

pub(crate) const UNCHANGED: ImageStatus = ImageStatus::Unchanged;

pub(crate) fn status(code: u16) -> Fault {
    Fault::Status {
        code,
        retry_after_s: None,
    }
}

/// The path of an image, for rules.
pub(crate) fn path(task: &ImageTask) -> String {
    task.url[task.url.find("/img/").unwrap()..].to_owned()
}
