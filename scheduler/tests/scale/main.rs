//! Several who decide about the same groups, groups that refuse, and work whose
//! time has not come: on a frozen clock, with groups that do nothing but count.
#![allow(clippy::unwrap_used)]

mod ahead;
mod closed;
mod deciders;
mod site;
#[path = "../../../fleet/tests/support/mod.rs"]
mod support;
