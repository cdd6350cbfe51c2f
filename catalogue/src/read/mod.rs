//! Reading: pages of products, one product, images that are due, changes.

pub(crate) mod candidates;
pub(crate) mod changes;
pub(crate) mod json;
pub(crate) mod products;
