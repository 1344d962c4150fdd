//! Comparing placements: strategies × hash functions × salts × node counts × populations ×
//! changes, without a cluster.
//!
//! [`mod@format`] reads the `[compare]` block, `population` makes names and their popularity, `entry`
//! places them, and `balance`, `movement`, `course` and `cost` each fill one list of the
//! [`CompareResult`](paceline_reports::compare::CompareResult), always with what
//! theory expects beside what was measured. [`run`] puts it all together and writes the report.

// They panic where the reader has gone: `paceline_runtime::say!` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod advice;
mod balance;
mod broker;
mod cli;
mod cluster;
mod cost;
mod course;
mod entry;
mod failover;
pub mod format;
mod movement;
mod plan;
mod population;
mod salts;
mod simulate;
mod spill;
mod summary;

#[cfg(test)]
mod rings;
#[cfg(test)]
mod tests;

pub use cli::{CompareArgs, compare};
pub use plan::{Progress, run};
