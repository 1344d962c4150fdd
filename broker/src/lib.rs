//! The broker: what stands around the pure crates so that they serve clients on a cluster.
//!
//! A listener hands each connection a [`router::ConnectionHandle`]; the router finds the shard of
//! every destination and its leader; a shard is a Raft group whose log is the message store.

// They panic where the reader has gone: `paceline_runtime::say!` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod cluster;
pub mod config;
mod connection;
pub mod costs;
mod drain;
pub mod identity;
pub mod link;
mod listener;
pub mod node;
pub use node::operator;
mod policy;
pub mod replication;
pub mod router;
