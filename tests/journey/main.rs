//! Whole journeys: the real program on a folder of its own, against shops on
//! loopback. One file a journey.

#![allow(clippy::unwrap_used)]

mod bounds;
mod cli;
mod days;
mod demo;
mod dlq;
mod fleet;
mod fleet_config;
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
mod pause;
mod pipe_new;
mod pipes_push;
mod proxied;
mod real_input;
mod remapped;
mod schedule;
mod secrets;
mod server;
mod sftp;
mod summary;
mod support;
mod try_site;
