//! Reading: pages of products, one product, images that are due, changes, and
//! what is said of stored images.

pub(crate) mod candidates;
pub(crate) mod changes;
pub(crate) mod fill;
pub(crate) mod json;
pub(crate) mod products;
pub(crate) mod stored_images;
