//! The `paceline` program as its users meet it: real processes, what they print and how they end.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests stand outside of the nodes: they start processes and wait for them"
)]

mod addresses;
mod arguments;
mod ask;
mod harness;
mod manual;
mod pipes;
mod produce;
