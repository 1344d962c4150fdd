//! Runs: one seed or many, once or twice, printed and reported, and from one that fails to a small one.

mod arguments;
pub mod cli;
mod determinism;
mod exit;
mod mutants;
mod order;
mod output;
mod process;
#[cfg(not(madsim))]
pub mod real;
mod run;
mod shrink;
mod sweep;
mod trace;

pub use cli::main;
pub use exit::Exit;

/// What a seed made of the scenario, beside the report.
const SCENARIO_FILE: &str = "scenario.toml";
