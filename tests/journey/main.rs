//! Whole journeys: the real program on a folder of its own, against shops on
//! loopback. One file a journey.

#![allow(clippy::unwrap_used)]

mod blocked_images;
mod bounds;
mod cli;
mod days;
mod demo;
mod dlq;
mod dry_run;
mod fixed_egress;
mod fleet;
mod fleet_config;
mod fleet_undo;
mod hostile;
mod images_remade;
mod images_unasked;
mod images_upkeep;
mod inbox;
mod incomplete;
mod judge;
mod korean;
mod look;
mod maintenance;
mod malformed;
mod partner;
mod pause;
mod pipe_new;
mod pipes_push;
mod plan_ahead;
mod proxied;
mod real_input;
mod remapped;
mod reprocess;
mod restore;
mod schedule;
mod secrets;
mod server;
mod sftp;
mod simulate;
mod summary;
mod support;
mod try_site;
mod withheld;
