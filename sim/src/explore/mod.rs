//! Runs: one seed or many, once or twice, printed and reported.

mod arguments;
pub mod cli;
mod determinism;
mod exit;
mod order;
mod output;
mod run;
mod sweep;

pub use cli::main;
pub use exit::Exit;

/// What a seed made of the scenario, beside the report.
const SCENARIO_FILE: &str = "scenario.toml";
